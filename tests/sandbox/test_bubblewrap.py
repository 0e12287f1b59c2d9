"""What is bubblewrap's own; what every backend must do is in test_contract.py and its neighbours."""

import gc
import os
from collections.abc import Callable

import pytest

from thinkact import sandbox
from thinkact.sandbox import (
    Limits,
    Sandbox,
    SandboxFault,
    SandboxUnavailable,
    Session,
    rootfs,
)

from .contract import marked, new_mark, set_mark, wait_until

pytestmark = pytest.mark.usefixtures("box")  # skips all where bubblewrap is missing


def test_session_traceback_is_short_and_shows_the_line(session: Session) -> None:
    session.exec("def g():\n    return 1 / 0")
    result = session.exec("g()")
    assert (result.status, result.exit_code) == ("error", 1)
    assert "ZeroDivisionError: division by zero" in result.stderr
    assert "return 1 / 0" in result.stderr
    assert "worker.py" not in result.stderr
    deep = session.exec("def h(n):\n    return h(n + 1)\nh(0)")
    assert "RecursionError" in deep.stderr and len(deep.stderr) < 3000
    assert "SyntaxError" in session.exec("for").stderr
    assert session.exec("1").stdout == "1\n"


def test_session_survives_sys_exit_and_fork(session: Session) -> None:
    session.exec("x = 1")
    assert session.exec("import sys; sys.exit(4)").exit_code == 4
    assert session.exec("import os\nif os.fork() == 0: x = 2\nelse: os.wait()").status == "ok"
    assert session.exec("x").stdout == "1\n"


def test_session_that_dies_between_cells_says_so(session: Session) -> None:
    mark = new_mark()
    session.exec(f"{set_mark(mark)}import os, threading; threading.Timer(0.05, os._exit, (3,)).start()")
    assert wait_until(lambda: not marked(mark))
    result = session.exec("print('not run')")
    assert (result.status, result.stdout) == ("killed", "") and "fresh" in result.stderr
    assert session.exec("1").stdout == "1\n"


def test_missing_bubblewrap_names_the_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        sandbox.create("bubblewrap")
    report = sandbox.probe("bubblewrap")
    assert not report.works and "apt-get install bubblewrap" in report.detail


def test_broken_bubblewrap_is_unavailable_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "find_bwrap", lambda *_: "/bin/false")
    with pytest.raises(SandboxUnavailable, match="does not start here"):
        sandbox.create("bubblewrap")
    assert "user namespaces" in rootfs.explain("bwrap: setting up uid map: Permission denied")
    assert "proc" in rootfs.explain("bwrap: Can't mount proc on /newroot/proc: Operation not permitted")


def test_probe_runs_something_real() -> None:
    assert sandbox.probe().works


def test_closed_and_forked_sandboxes_refuse(box: Sandbox) -> None:
    other = sandbox.create("bubblewrap")
    kept = other.session()
    other.close()
    other.close()
    for call in (lambda: other.exec(["true"]), lambda: other.session(), lambda: kept.exec("1")):
        with pytest.raises(SandboxFault):
            call()


def test_fork_server_death_is_a_fault_not_a_result() -> None:
    with sandbox.create("bubblewrap") as made, made.session() as session:
        made._process.kill()  # type: ignore[attr-defined]
        made._process.wait()  # type: ignore[attr-defined]
        with pytest.raises(SandboxFault):
            session.exec("import time; time.sleep(3)")
        with pytest.raises(SandboxFault):
            made.exec(["true"])


HOSTILE = """
import os, signal, time
def bear():
    for number in range(1, 65):
        if number not in (9, 19, 32, 33):
            signal.signal(number, signal.SIG_IGN)
read, write = os.pipe()  # the output pipes are held open too: nobody closes them
for turn in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        bear()
        if turn == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        while turn == 2:
            try:
                os.fork()
            except OSError:
                pass
        time.sleep(600)
bear()
time.sleep(600)
"""


def leftovers(own_processes: Callable[[], set[int]]) -> dict[str, object]:
    """What a sandbox could leave on this machine."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line for line in file if "docker" not in line]  # other tests' containers come and go
    cgroups = [top for top, _, _ in os.walk("/sys/fs/cgroup") if "thinkact" in top]
    files = {name for name in os.listdir("/tmp") + os.listdir("/dev/shm") if "bwrap" in name}
    gc.collect()  # what other tests left to the collector is not to go in between
    return {"pids": own_processes(), "fds": len(os.listdir("/proc/self/fd")), "rest": (mounts, cgroups, files)}


def test_create_and_kill_cycles_leave_nothing(own_processes: Callable[[], set[int]]) -> None:
    """THINKACT_SANDBOX_CYCLES=1000 for the long run."""
    cycles = int(os.environ.get("THINKACT_SANDBOX_CYCLES", "150"))
    with sandbox.create("bubblewrap", limits=Limits(processes=12)) as made:
        made.exec(["true"])
        before = leftovers(own_processes)
        for index in range(cycles):
            session = made.session()
            if index % 3 == 0:
                assert session.exec("1").stdout == "1\n"
            if index % 10 == 0:
                session.fork().close()
            session.close()

        def clean() -> bool:
            after = leftovers(own_processes)  # what was there before may have ended meanwhile
            no_more = after["pids"] <= before["pids"] and after["fds"] <= before["fds"]  # type: ignore[operator]
            return no_more and after["rest"] == before["rest"]

        assert wait_until(clean), (before, leftovers(own_processes))


def test_timeouts_of_hostile_trees_leave_nothing(own_processes: Callable[[], set[int]]) -> None:
    """THINKACT_SANDBOX_CYCLES=1000 makes 200 of them."""
    cycles = int(os.environ.get("THINKACT_SANDBOX_CYCLES", "150")) // 5
    with sandbox.create("bubblewrap", limits=Limits(processes=12)) as made, made.session() as session:
        session.exec("1")
        before = leftovers(own_processes)
        for index in range(cycles):
            if index % 2:
                assert session.exec(HOSTILE, timeout=0.1).status == "timeout"
            else:
                assert made.exec(["python3", "-c", HOSTILE], timeout=0.1).status in ("timeout", "killed")
        assert session.exec("1").stdout == "1\n"

        def clean() -> bool:
            after = leftovers(own_processes)
            pids = len(after["pids"]) == len(before["pids"])  # type: ignore[arg-type]
            return pids and after["fds"] <= before["fds"] and after["rest"] == before["rest"]  # type: ignore[operator]

        assert wait_until(clean), (before, leftovers(own_processes))


def test_cycles_leave_nothing(own_processes: Callable[[], set[int]]) -> None:
    with sandbox.create("bubblewrap") as warm:  # the starter thread comes with the first one
        warm.exec(["true"])
    gc.collect()
    pids, fds, files = own_processes(), os.listdir("/proc/self/fd"), set(os.listdir("/tmp"))
    for index in range(10):
        made = sandbox.create("bubblewrap")
        session = made.session()
        assert session.exec("1").stdout == "1\n"
        if index % 2:
            session.close()
        made.close()
    assert wait_until(lambda: own_processes() <= pids)
    assert wait_until(lambda: len(os.listdir("/proc/self/fd")) <= len(fds))
    assert not {name for name in set(os.listdir("/tmp")) - files if "bwrap" in name}
