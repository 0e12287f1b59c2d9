"""Where and with what a submission was played, for its manifest."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import thinkact

_PACKAGES = ("gymnasium", "numpy", "pydantic", "torch", "transformers", "playwright")


def machine() -> dict[str, Any]:
    """Return versions and hardware as JSON types; what cannot be found out is left out."""
    found: dict[str, Any] = {
        "thinkact": thinkact.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": _packages(),
    }
    optional = {"commit": _commit(), "processor": _processor(), "memory_gib": _memory(), "accelerator": _accelerator()}
    return found | {key: value for key, value in optional.items() if value}


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of a checkout that thinkact runs from; with a plus sign where files were changed."""
    root = Path(thinkact.__file__).parents[1]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "-c", f"safe.directory={root}", "-C", str(root)]
    try:
        run = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run([*command, "diff", "--quiet", "HEAD"], capture_output=True, timeout=30).returncode
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() + ("+" if changed else "")


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def _accelerator() -> str | None:
    torch = sys.modules.get("torch")  # where no model played, it is not loaded for this
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())
