"""bubblewrap's own fences; what holds on every backend is in test_attacks*.py. All of it runs inside the sandbox."""

import json
import os
import socket

import pytest

from thinkact.sandbox import Sandbox, Session, seccomp
from thinkact.sandbox.bubblewrap import BubblewrapSandbox

MiB = 1 << 20


def out(session: Session, code: str) -> str:
    result = session.exec(code, timeout=20)
    assert result.status == "ok", result
    return result.stdout.strip()


def test_loopback_works_inside(session: Session) -> None:
    code = """
import socket
a = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname()); b.send(b'x')
print(a.accept()[0].recv(1))
a.close(); b.close()
"""
    assert out(session, code) == "b'x'"


def test_no_third_party_packages(session: Session) -> None:
    code = """
import glob, importlib.util
print([name for name in ('numpy', 'pydantic', 'pip', 'thinkact') if importlib.util.find_spec(name)])
roots = ('/usr/lib', '/usr/local/lib', '/opt/python/lib')
print([path for root in roots for path in glob.glob(root + '/python3*/*-packages/*')])
"""
    assert out(session, code).split() == ["[]", "[]"]


def test_system_call_filter(session: Session) -> None:
    code = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def refused(call, *args):
    ctypes.set_errno(0)
    result = getattr(libc, call)(*args)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else 'allowed'
print(refused('unshare', 0x10000000), refused('ptrace', 0, 0, 0, 0))
print(refused('mount', b'none', b'/tmp', b'tmpfs', 0, None), refused('chroot', b'/tmp'))
print(refused('memfd_create', b'x', 0), refused('shmget', 0, 4096, 0o1600), refused('semget', 0, 1, 0o1600))
print(refused('setns', 0, 0), refused('syscall', 438, 0, 0, 0))
print(refused('syscall', 425, 8, 0), refused('syscall', 435, 0, 0), refused('syscall', 9999))
print(refused('personality', 0x40000))
print(refused('prlimit64', 1, 7, None, ctypes.create_string_buffer(16)))
print(refused('prlimit64', 0, 6, ctypes.create_string_buffer(16), None))
print(refused('setrlimit', 6, ctypes.create_string_buffer(16)))
print(refused('prlimit64', 0, 6, None, ctypes.create_string_buffer(16)))
"""
    words = out(session, code).split()
    assert words == ["EPERM"] * 7 + ["ENOSYS"] * 5 + ["EPERM"] * 4 + ["allowed"]


def test_the_filter_fits_the_headers_of_this_machine() -> None:
    for machine in ("x86_64", "aarch64"):
        program = seccomp.build(machine)
        assert len(program) % 8 == 0 and len(program) // 8 < 4096
        for at in range(0, len(program), 8):  # every jump stays inside
            left = (len(program) - at) // 8 - 1
            if program[at] == 0x15:
                assert max(program[at + 2], program[at + 3]) < left
    with pytest.raises(ValueError):
        seccomp.build("riscv64")


def test_supervisor_cannot_be_touched(session: Session) -> None:
    code = """
import os, signal
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV):
    try:
        os.kill(1, number)  # process 1 ignores them; with Landlock they are not even sent
    except PermissionError:
        pass
reached = []
for name in ('mem', 'environ', 'maps', 'fd/3', 'cwd', 'root'):
    try:
        os.open('/proc/1/' + name, os.O_RDONLY)
        reached.append(name)
    except OSError:
        pass
print(reached, [name for name in os.listdir('/proc') if name.isdigit()])
"""
    assert out(session, code) == "[] ['1', '2']"
    assert out(session, "1") == "1"


def test_a_guest_that_breaks_the_line_is_killed_not_a_fault(session: Session) -> None:
    find = """
import os, socket, stat, struct
opened = [fd for fd in range(3, 256) if os.path.exists(f'/proc/self/fd/{fd}')]
lines = [fd for fd in opened if stat.S_ISSOCK(os.fstat(fd).st_mode)]
"""
    for attack in (
        "[os.write(fd, b'\\xff' * 64) for fd in lines]",
        "[os.write(fd, struct.pack('!I', 3) + b'[1]') for fd in lines]",
        "[os.write(fd, struct.pack('!I', 400) + b'[' * 400) for fd in lines]",
        "[os.write(fd, struct.pack('!I', 2) + b'{}') for fd in lines]",
        "[os.close(fd) for fd in lines]",
        "import sys, json; json.dumps = None; sys.stdout = sys.stderr = None; os.close(1); os.close(2)",
    ):
        result = session.exec(find + attack, timeout=5)
        assert result.status in ("killed", "ok", "error"), (attack, result)
        assert session.exec("1", timeout=5).status in ("ok", "killed", "error")
        session.restart()
    assert json.loads(session.exec("1").stdout) == 1


needs_landlock = pytest.mark.skipif(seccomp.landlock_version() < 6, reason="this kernel's Landlock has no scopes")

_KNOCK = """
import socket
def knock(name):
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect('\\0' + name)
            return 'open'
        except OSError as error:
            return type(error).__name__
def listen(name):
    line = socket.socket(socket.AF_UNIX)
    line.bind('\\0' + name)
    line.listen()
    return line
"""


@needs_landlock
def test_even_on_the_machines_network_its_abstract_sockets_are_out_of_reach() -> None:
    """A box that shares the network would reach them, and those of other boxes, if Landlock were not around it."""
    name = f"thinkact-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as host, BubblewrapSandbox(network=True) as box, box.session() as one:
        host.bind(f"\0{name}")
        host.listen()
        assert out(one, f"{_KNOCK}\nknock({name!r})") == "'PermissionError'"
        with box.session() as other:
            assert out(other, f"{_KNOCK}\nmine = listen('{name}-2'); knock('{name}-2')") == "'open'"
            assert out(one, f"knock('{name}-2')") == "'PermissionError'"
            ran = one.run(["python3", "-c", f"{_KNOCK}\nprint(knock({name!r}), knock('{name}-2'))"])
            assert ran.stdout == "PermissionError PermissionError\n"
        with socket.socket(socket.AF_UNIX) as neighbour:
            neighbour.connect(f"\0{name}")  # it was there all the time


def test_a_session_on_the_machines_network_forks_like_any_other() -> None:
    """Its network is not entered a second time: only who owns a network may."""
    with BubblewrapSandbox(network=True) as box, box.session() as one:
        one.exec("x = 1")
        with one.fork() as other, other.fork() as third:
            assert (out(other, "x = 2; x"), out(third, "x"), out(one, "x")) == ("2", "1", "1")
            assert len({out(each, "len(open('/proc/self/net/dev').readlines())") for each in (one, other, third)}) == 1


@needs_landlock
def test_single_programs_and_cases_change_nothing_but_their_work(box: Sandbox, session: Session) -> None:
    code = """
import os, socket
def tried(act, *args):
    try:
        act(*args)
        return True
    except PermissionError:
        return False
def put(path):
    fd = os.open(path, os.O_WRONLY | (os.O_CREAT if path in ('here', '/dev/shm/there') else 0))
    os.close(fd)
refused = ['/proc/self/comm', '/proc/self/oom_score_adj', '/proc/self/mem', '/proc/self/coredump_filter',
           '/proc/thread-self/comm']
allowed = ['here', '/dev/shm/there', '/dev/null', '/dev/zero']
def work():
    os.mkdir('d'); os.rename('here', 'd/b'); os.link('d/b', 'c'); os.symlink('c', 'l'); os.mkfifo('p')
    os.truncate('c', 0); os.unlink('l'); os.rmdir(os.mkdir('e') or 'e')
    with socket.socket(socket.AF_UNIX) as line:
        line.bind('s')
    open('/proc/self/mem', 'rb').close()
def look(_=0):
    return [[tried(put, path) for path in refused], [tried(put, path) for path in allowed], tried(work)]
"""
    wanted = [[False] * 5, [True] * 4, True]
    ran = box.exec(["python3", "-c", f"{code}\nimport json; print(json.dumps(look()))"])
    assert ran.status == "ok" and json.loads(ran.stdout) == wanted, ran
    assert [case.value for case in box.run_cases(code, "look", [[0], [1]])] == [wanted, wanted]
    # Beside an interpreter there is no layer for files; moving them must work there too.
    moved = session.run(["python3", "-c", f"{code}\nput('here'); work(); print(sorted(os.listdir()))"])
    assert moved.stdout == "['c', 'd', 'p', 's']\n", moved
