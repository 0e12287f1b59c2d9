"""The tracing of a stopped process by itself: programs of system calls, made as machine code and one by one."""

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from thinkact.sandbox import seccomp
from thinkact.sandbox.inside import program, trace

pytestmark = [
    pytest.mark.skipif(not seccomp.supported(), reason=f"no system-call filter for {platform.machine()}"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the children do not touch a lock
]


@pytest.fixture
def frozen() -> Iterator[trace.Tracee]:
    """A process with the guests' filter that waits for a request, stopped."""
    near, far = socket.socketpair()
    filter_text = seccomp.build()
    pid = os.fork()
    if pid == 0:
        near.close()
        libc = ctypes.CDLL(None)
        libc.prctl(38, 1, 0, 0, 0)
        text = ctypes.create_string_buffer(filter_text, len(filter_text))
        libc.prctl(22, 2, struct.pack("HxxxxxxP", len(filter_text) // 8, ctypes.addressof(text)), 0, 0)
        far.send(b"r")
        while far.recv(1):
            far.send(os.getcwd().encode() + b" " + str(len(os.listdir("/proc/self/fd"))).encode())
        os._exit(0)
    far.close()
    try:
        assert near.recv(1) == b"r"
        tracee = trace.freeze(pid)
        tracee.line = near  # type: ignore[attr-defined]
        yield tracee
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0x40000000)
        near.close()


@pytest.fixture(params=["machine code", "one by one"])
def run(request: pytest.FixtureRequest, frozen: trace.Tracee, monkeypatch: pytest.MonkeyPatch) -> trace.Tracee:
    if request.param == "one by one":
        monkeypatch.setattr(trace, "_AT_ONCE", frozenset())
    elif platform.machine() not in trace._AT_ONCE:
        pytest.skip(f"no assembler for {platform.machine()}")
    return frozen


def maps(pid: int) -> list[str]:
    with open(f"/proc/{pid}/maps") as file:
        return file.read().splitlines()


def answer(tracee: trace.Tracee) -> str:
    """Let it go on and answer the request that it waited for."""
    tracee.settle()
    tracee.let_go()
    line: socket.socket = tracee.line  # type: ignore[attr-defined]
    line.send(b"?")
    return line.recv(4096).decode()


def unused(run: trace.Tracee) -> int:
    """Return a descriptor that the process does not have: it inherits those of whatever ran here before."""
    return max(map(int, os.listdir(f"/proc/{run.pid}/fd"))) + 10


def test_steps_use_what_earlier_steps_returned(run: trace.Tracee, tmp_path: object) -> None:
    (folder := os.fspath(tmp_path)) and open(f"{folder}/a", "w").close()  # type: ignore[call-overload]
    before, fds, free = maps(run.pid), len(os.listdir(f"/proc/{run.pid}/fd")), unused(run)
    todo = program.Program()
    new = todo.call("openat", -100, os.fsencode(f"{folder}/a") + b"\0", os.O_RDWR, 0)
    todo.call("lseek", new, 77, os.SEEK_SET)
    todo.call("dup3", new, free, os.O_CLOEXEC)
    todo.call("close", new)
    todo.call("chdir", os.fsencode(folder) + b"\0")
    run.run(todo)
    with open(f"/proc/{run.pid}/fdinfo/{free}") as file:
        assert "pos:\t77\n" in file.read()
    assert maps(run.pid) == before  # nothing of it is left in its memory
    # The one that it reads the folder with is counted too.
    assert answer(run) == f"{os.path.realpath(folder)} {fds + 2}"


def test_the_first_failure_ends_it_and_is_told(run: trace.Tracee) -> None:
    before, free = maps(run.pid), unused(run)
    todo = program.Program()
    todo.call("chdir", b"/\0")
    todo.call("chdir", b"/no/such/folder\0")
    todo.call("dup3", 0, free, 0)
    with pytest.raises(OSError, match="chdir") as caught:
        run.run(todo)
    assert caught.value.errno == errno.ENOENT
    assert not os.path.exists(f"/proc/{run.pid}/fd/{free}")
    assert maps(run.pid) == before
    assert answer(run).startswith("/ ")


def test_what_the_filter_tells_of_goes_on(run: trace.Tracee) -> None:
    """``pidfd_getfd`` is one of the calls that stop their maker, as the end of a program does."""
    with open("/dev/zero", "rb") as file:
        todo = program.Program()
        who = todo.call("pidfd_open", run.pid, 0)
        got = todo.call("pidfd_getfd", who, 0, 0)
        todo.call("dup3", got, 70, 0)
        run.run(todo)
        assert os.readlink(f"/proc/{run.pid}/fd/70") == os.readlink(f"/proc/{run.pid}/fd/0")
        assert file.read(1) == b"\0"


def test_a_long_program(run: trace.Tracee) -> None:
    todo = program.Program()
    for number in range(100, 300):
        todo.call("dup3", 0, number, 0)
        todo.call("chdir", b"/" + b"./" * 400 + b"\0")
    run.run(todo)
    assert {str(number) for number in range(100, 300)} <= set(os.listdir(f"/proc/{run.pid}/fd"))


def test_signals_delay_a_freeze_and_are_not_lost() -> None:
    near, far = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        near.close()
        count = 0

        def hear(*_: object) -> None:
            nonlocal count
            count += 1

        signal.signal(signal.SIGUSR1, hear)
        far.send(b"r")
        while far.recv(1):
            far.send(str(count).encode())
        os._exit(0)
    far.close()
    try:
        assert near.recv(1) == b"r"
        for number in range(1, 101):  # one that comes between the interrupt and the stop is what is delicate
            os.kill(pid, signal.SIGUSR1)
            tracee = trace.freeze(pid)
            tracee.settle()
            tracee.let_go()
            near.send(b"?")
            assert int(near.recv(10)) == number
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        near.close()


def test_a_process_that_is_busy_is_refused() -> None:
    pid = os.fork()
    if pid == 0:
        while True:
            pass
    try:
        with pytest.raises(trace.Refused, match="busy"):
            trace.freeze(pid)
        with open(f"/proc/{pid}/status") as file:
            assert "TracerPid:\t0\n" in file.read()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
