"""What runs inside a sandbox: handed over as text, one file beside the other, and imported by nobody there.

Standard library only. ``worker.py`` is the program to start; see there.
"""

from __future__ import annotations

from pathlib import Path

FILES = (
    *("worker.py", "guest.py", "fence.py", "supervisor.py", "copying.py"),
    *("trace.py", "program.py", "transplant.py", "inspection.py", "tree.py"),
)
"""Their names; the first is the program to start."""


def files() -> list[Path]:
    """Return where they are."""
    return [Path(__file__).with_name(name) for name in FILES]
