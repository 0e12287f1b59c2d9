import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import thinkact

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ["sandbox", "tools", "envs", "policies", "leaderboard"]
HEAVY = ["torch", "transformers", "matplotlib", "tensorboard", "pydantic", "rich", "typer"]


def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    # A checkout that belongs to another user is still ours to read.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names in a wheel that is built from a copy: a build leaves folders behind."""
    work = tmp_path_factory.mktemp("wheel")
    keep = shutil.ignore_patterns("__pycache__")
    for room in [*ROOMS, "thinkact"]:
        shutil.copytree(ROOT / room, work / "tree" / room, ignore=keep)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", str(work), str(work / "tree")], check=True, timeout=120)
    (built,) = work.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_every_module_and_data_file(wheel):
    here = {
        f"thinkact/{path.relative_to(ROOT)}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    here |= {f"thinkact/{path.name}" for path in (ROOT / "thinkact").iterdir() if path.is_file()}
    assert len(here) > 50
    assert not here - wheel


def test_nothing_generic_lands_in_site_packages(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"thinkact"}


def test_every_folder_with_modules_is_listed():
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    listed = {(ROOT / folder).resolve() for folder in PROJECT["tool"]["setuptools"]["package-dir"].values()}
    assert folders | {ROOT / "thinkact"} == listed


def test_the_version_is_written_once_each():
    assert PROJECT["project"]["version"] == thinkact.__version__
    assert thinkact.__version__ in (ROOT / "CHANGELOG.md").read_text()


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return set(done.stdout.split("\n")[-2].split())


def test_import_thinkact_imports_nothing_heavy():
    assert not modules_after("import thinkact") & set(HEAVY)


def test_environments_need_no_model_library():
    code = "import gymnasium, thinkact; [gymnasium.spec(i) for i in thinkact.ENV_IDS]; import thinkact.policies.rollout"
    assert not modules_after(code) & {"torch", "transformers", "matplotlib"}


def test_the_help_imports_no_model_library():
    code = "from thinkact.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass"
    assert not modules_after(code) & {"torch", "transformers", "matplotlib", "tensorboard"}


def test_constraints_pin_everything_that_is_asked_for():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    # Not with the rest: trackio wants an older pillow, vllm another torch.
    apart = ("trackio", "vllm")
    extras = [wanted for name, wanted in PROJECT["project"]["optional-dependencies"].items() if name not in apart]
    for wanted in [*PROJECT["project"]["dependencies"], *(each for extra in extras for each in extra)]:
        name = re.match(r"[\w-]+", wanted)[0]
        assert name in pins, name
    assert not [pin for pin in pins.values() if "+" in pin]


def test_no_machine_paths_and_no_registry_hosts_in_tracked_files():
    # Spelt in pieces, or this file would find itself.
    words = [
        "/wo" + "rk/",
        "pypi" + ".org",
        "pytorch" + ".org/whl",
        "index" + "-url",
        "files.pythonhosted",
    ]
    bad = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        bad += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert not bad, bad
