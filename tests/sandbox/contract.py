"""What the contract tests share: one place per backend to run them in, and the matrix made from a real run.

Every test of the files in ``AREAS`` takes ``place`` (a backend) and so runs once per backend. Its docstring is the
rule that it proves; ``python tests/sandbox/contract.py`` runs them all and prints, or writes into
``docs/sandbox.md``, which backend holds which.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from thinkact import sandbox
from thinkact.sandbox import Limits, Sandbox, SandboxUnavailable, Session

MiB = 1 << 20
SECRET = "canary-5b1f-of-the-host"
LIMITS = Limits(
    memory_bytes=256 * MiB,
    processes=16,
    file_bytes=4 * MiB,
    tmpfs_bytes=8 * MiB,
    tmpfs_inodes=512,
    open_files=64,
    output_bytes=64 << 10,
)
BACKENDS = ("bubblewrap", "docker", "remote")
#: The tables of the matrix, and the files whose rules stand in each.
AREAS = {
    "Data": ("test_contract.py",),
    "Resources": ("test_resources.py",),
    "Containment": ("test_attacks_reach.py", "test_attacks.py"),
    "Lifecycle": ("test_lifecycle.py",),
    "Integrity": ("test_integrity.py", "test_integrity_copies.py"),
}


@dataclass
class Place:
    """A backend under test.

    Attributes:
        backend: Its name.
        box: A sandbox with :data:`LIMITS` that tests share.
        options: What ``create`` needs beside the backend's name.
        root: The process that the sandboxes' processes descend from.
    """

    backend: str
    box: Sandbox
    options: dict[str, Any]
    root: int
    stack: ExitStack = field(default_factory=ExitStack)

    def make(self, **changes: Any) -> Sandbox:
        """Make another sandbox, with some limits changed; the caller closes it."""
        if self.backend == "docker":  # which needs fewer warm containers than a user's
            from thinkact.sandbox.docker.sandbox import DockerSandbox

            return DockerSandbox(replace(LIMITS, **changes), pool=1)
        return sandbox.create(self.backend, limits=replace(LIMITS, **changes), **self.options)  # type: ignore[arg-type]

    def leftovers(self) -> dict[str, set[str]]:
        """Return all that a sandbox may leave behind on this machine, by kind."""
        kinds: dict[str, set[str]] = {
            "processes": {str(pid) for pid in descendants(self.root)},
            "files": own_files(),
            "cgroups": {
                # Other tests' containers come and go meanwhile: walk passes over what has just gone.
                f"{folder}/{name}"
                for folder, names, _ in os.walk("/sys/fs/cgroup")
                for name in names
                if "thinkact" in name
            },
        }
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        if self.backend == "docker":  # whose warm containers come and go, so that only their number can be compared
            kinds["containers"] = {f"number {number}" for number in range(len(containers()))}
        else:
            # Containers of tests beside this one have mounts of their own, which come and go.
            kinds["mounts"] = {at for line in mounts if "docker" not in (at := line.split()[4])}
        return kinds


def own_files() -> set[str]:
    """Return what this process left in the temporary directory: other tests may run beside it."""
    found = {name for name in os.listdir(tempfile.gettempdir()) if "bwrap" in name}
    for file in Path(tempfile.gettempdir()).glob("thinkact-*/owner"):
        try:
            if f"/{os.getpid()}/" in file.read_text():
                found.add(file.parent.name)
        except OSError:  # it is going
            continue
    return found


def containers() -> set[str]:
    """Return the ids of every container of this process, running or not."""
    import docker

    from thinkact.sandbox.docker.daemon import LABEL, owner

    client = docker.from_env()
    try:
        return {found["Id"] for found in client.api.containers(all=True, filters={"label": f"{LABEL}={owner()}"})}
    finally:
        client.close()


def descendants(root: int) -> set[int]:
    """Return every process below ``root``, seen from the host, where those inside have ids too.

    A browser of other tests in this process is passed over: its helpers come and go.
    """
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found: set[int] = set()
    grown = True
    parents = {pid: parent for pid, parent in parents.items() if parent != root or not drives_a_browser(pid)}
    while grown:
        more = {pid for pid, parent in parents.items() if parent == root or parent in found} - found
        found |= more
        grown = bool(more)
    return found


def drives_a_browser(pid: int) -> bool:
    try:
        return b"run-driver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def new_mark() -> str:
    """Return a process name that nobody else has; a child inherits it, and the host sees it."""
    return f"tk{secrets.token_hex(6)}"


def marked(mark: str) -> set[int]:
    """Return the live processes of that name, zombies aside, anywhere on this machine."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                comm, rest = Path(f"/proc/{name}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if comm == mark and rest.split()[0] not in ("Z", "X"):
                found.add(int(name))
    return found


def set_mark(mark: str) -> str:
    """Return code that names the process inside."""
    return f"import ctypes; ctypes.CDLL(None).prctl(15, {mark.encode()!r}, 0, 0, 0)\n"


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Wait for something that a busy machine may need time for."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def out(session: Session, code: str, timeout: float = 20.0) -> str:
    """Run a cell that must succeed and return what it printed."""
    result = session.exec(code, timeout=timeout)
    assert result.status == "ok", result
    return result.stdout.strip()


# --- fixtures ------------------------------------------------------------------------------------------------


def _unavailable(backend: str, error: Exception) -> None:
    """Skip where a user's machine lacks the backend; fail where the machine was made to have it."""
    reason = f"{backend} does not work here: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _served(token: str) -> Iterator[tuple[str, int]]:
    """Run a real server of sandboxes on the loopback; yield its address and process id."""
    program = (
        "import sys\n"
        "from thinkact.sandbox import SandboxUnavailable\n"
        "from thinkact.sandbox.remote.server import Settings, serve\n"
        "try:\n"
        "    serve(Settings(backend='bubblewrap', token=sys.stdin.readline().strip(), max_sessions=64), port=0,\n"
        "          ready=lambda url: print(url, flush=True))\n"
        "except SandboxUnavailable as error:\n"
        "    print(error, flush=True)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(token + "\n")
        server.stdin.flush()
        said = server.stdout.readline().strip()
        try:
            if not said.startswith("http"):
                raise SandboxUnavailable(said or "the server does not start")
            yield said, server.pid
        finally:
            server.terminate()


@contextmanager
def open_place(backend: str) -> Iterator[Place]:
    """Open a backend.

    Raises:
        SandboxUnavailable: This machine lacks it.
    """
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        root = os.getpid()
        if backend == "remote":
            token = secrets.token_hex(16)
            url, root = stack.enter_context(_served(token))
            options = {"url": url, "token": token}
        try:
            box = sandbox.create(backend, limits=LIMITS, **options)  # type: ignore[arg-type]
        except (ImportError, ValueError) as error:  # not installed
            raise SandboxUnavailable(str(error)) from error
        stack.enter_context(box)
        yield Place(backend, box, options, root, stack)


@pytest.fixture(scope="session", params=BACKENDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A backend; every test that takes it runs once per backend."""
    os.environ["THINKACT_TEST_SECRET"] = SECRET
    opened = open_place(request.param)
    try:
        try:
            found = opened.__enter__()
        except SandboxUnavailable as error:
            _unavailable(request.param, error)
        else:
            yield found
            opened.__exit__(None, None, None)
    finally:
        os.environ.pop("THINKACT_TEST_SECRET", None)


@pytest.fixture
def guest(place: Place) -> Iterator[Session]:
    """A session of its own for a test that breaks or fills it."""
    with place.box.session() as made:
        yield made


@pytest.fixture(scope="session")
def calm(place: Place) -> Iterator[Session]:
    """One session that many tests only look around in."""
    with place.box.session() as made:
        yield made


# --- the matrix ----------------------------------------------------------------------------------------------

BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"


class Recorder:
    """A pytest plug-in that notes, per rule and backend, how its tests went."""

    def __init__(self) -> None:
        self.rules: dict[tuple[str, str], str] = {}
        self.verdicts: dict[tuple[str, str], dict[str, list[str]]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            doc = getattr(getattr(item, "function", None), "__doc__", None)
            if doc and hasattr(item, "callspec") and "place" in item.callspec.params:
                key = (item.path.name, item.function.__name__)  # type: ignore[attr-defined]
                self.rules[key] = " ".join(doc.split()).rstrip(".")
                item.user_properties.append(("rule", (*key, item.callspec.params["place"])))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rule = dict(report.user_properties).get("rule")
        if not isinstance(rule, tuple) or (report.when != "call" and report.passed):
            return
        file, name, backend = rule
        if report.skipped:
            longrepr = report.longrepr
            why = longrepr[2] if isinstance(longrepr, tuple) else getattr(report, "wasxfail", "")
            verdict = f"does not: {report.wasxfail}" if hasattr(report, "wasxfail") else why.removeprefix("Skipped: ")
        else:
            verdict = "holds" if report.passed else "**fails**"
        self.verdicts.setdefault((file, name), {}).setdefault(backend, []).append(verdict)

    def table(self) -> str:
        """Return the matrix in Markdown."""
        lines: list[str] = []
        notes: list[str] = []
        seen = {backend for by in self.verdicts.values() for backend in by}
        columns = [backend for backend in BACKENDS if backend in seen]
        for area, files in AREAS.items():
            keys = [key for key in self.rules if key[0] in files and key in self.verdicts]
            if not keys:
                continue
            lines += [f"| {area} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
            for key in keys:
                cells = [self._cell(self.verdicts[key].get(backend, []), notes) for backend in columns]
                lines.append(f"| {self.rules[key].replace('|', chr(92) + '|')} | {' | '.join(cells)} |")
            lines.append("")
        lines += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
        return "\n".join(lines).rstrip() + "\n"

    @staticmethod
    def _cell(verdicts: list[str], notes: list[str]) -> str:
        holds = verdicts.count("holds")
        if verdicts and holds == len(verdicts):
            return "holds" if holds == 1 else f"holds ({holds})"
        if "**fails**" in verdicts:
            return "**fails**"
        if not verdicts:
            return "not run"
        note = next(verdict for verdict in verdicts if verdict != "holds")
        if note not in notes:
            notes.append(note)
        word = "does not" if note.startswith("does not") else "n.a."
        return f"{word} [{notes.index(note) + 1}]"


def main() -> int:
    """Run the contract and print the matrix; with --write FILE put it between FILE's markers."""
    recorder = Recorder()
    here = Path(__file__).parent
    files = [str(here / name) for names in AREAS.values() for name in names]
    code = pytest.main(["-p", "no:xdist", "-q", *files], plugins=[recorder])
    table = recorder.table()
    if "--write" in sys.argv:
        file = Path(sys.argv[sys.argv.index("--write") + 1])
        head, _, rest = file.read_text().partition(BEGIN)
        file.write_text(f"{head}{BEGIN}\n{table}{END}{rest.partition(END)[2]}")
    else:
        print(table)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
