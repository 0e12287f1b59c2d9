"""Where the expert scripts register."""

from __future__ import annotations

from collections.abc import Callable

from thinkact.envs.miniwob.reading import Hand, Turns

Script = Callable[[Hand], Turns]

#: Task name to the script that solves it.
SCRIPTS: dict[str, Script] = {}


def script(*names: str) -> Callable[[Script], Script]:
    """Register a script for tasks."""

    def register(written: Script) -> Script:
        SCRIPTS.update(dict.fromkeys(names, written))
        return written

    return register
