"""Forks and snapshots of sessions: exact copies, or refused with a reason. See ``contract.py``."""

import os
import signal
from collections.abc import Callable

import pytest

from thinkact import sandbox
from thinkact.sandbox import ForkRefused, Limits, Sandbox, SandboxFault, SandboxFileError, Session

from .contract import out, wait_until

pytestmark = pytest.mark.usefixtures("box")  # skips all where bubblewrap is missing


def test_a_fork_has_the_memory_and_the_files(session: Session) -> None:
    session.exec("x = [1]; y = x; import random; random.random(); g = (i * i for i in range(9)); next(g)")
    session.exec("def f(n): return n + len(x)\nopen('a.txt', 'w').write('one')")
    with session.fork() as branch:
        assert out(branch, "x.append(2); print(f(40), y is x, next(g), open('/tmp/a.txt').read())") == "42 True 1 one"
        branch.exec("open('a.txt', 'w').write('two'); open('b.txt', 'w').close()")
        assert out(session, "print(f(40), x, next(g), open('/tmp/a.txt').read())") == "41 [1] 1 one"
        assert [entry.path for entry in session.list_files()] == ["a.txt"]
        assert branch.read_file("a.txt") == b"two" and session.read_file("a.txt") == b"one"
    assert out(session, "x") == "[1]"


def test_the_next_observation_is_the_same(session: Session) -> None:
    """What a program can print of itself is the same in the original and in a copy of a copy."""
    session.exec("import os, random, sys, time\nclass A: pass\na = A(); d = {A(): 1}\nos.mkdir('w'); os.chdir('w')")
    probe = (
        "print(a, id(a), id(d), hash(a), random.random(), hash('x'), os.getpid(), os.getpgid(0), os.getsid(0),"
        " os.getcwd(), os.umask(0o22), sorted(os.environ.items()), sys.path, os.getuid(),"
        " [n for n in os.listdir('/proc') if n.isdigit()], sorted(os.listdir('/proc/self/fd')), os.times().user < 5,"
        " [l for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNew', 'Seccomp', 'Sig', 'Groups', 'Uid'))],"
        " open('/proc/self/limits').read(), open('/proc/sys/kernel/hostname').read() if 0 else os.uname())"
    )
    with session.fork() as one, one.fork() as two, two.snapshot() as kept, kept.session() as three:
        seen = {out(each, probe) for each in (three, two, session, one)}
        assert len(seen) == 1, seen
        text = seen.pop()
        assert "CapEff:\\t0000000000000000" in text and "CapBnd:\\t0000000000000000" in text


def test_files_are_copied_exactly(session: Session) -> None:
    make = """
import os, socket
os.makedirs('d/e/f'); os.chdir('d')
open('data', 'wb').write(bytes(range(256)) * 1000); os.link('data', 'e/hard'); os.symlink('../nowhere', 'e/soft')
with open('holes', 'wb') as file:
    file.seek(1 << 20); file.write(b'x'); file.truncate(3 << 20)
os.mkfifo('pipe', 0o620); open('locked', 'w').write('x'); os.chmod('locked', 0)
os.utime('data', ns=(1, 1_000_000_001)); os.utime('e/soft', ns=(5, 6), follow_symlinks=False)
for name in ('z', 'm', 'a', 'q'): open(name, 'w').close()
os.chmod('e', 0o500); os.utime('.', ns=(7, 8)); os.chmod('/tmp', 0o711)
open('/dev/shm/s', 'w').write('shared')
"""
    look = """
import os
for top, folders, files in os.walk('/tmp'):
    for name in (*folders, *files, '.'):
        s = os.lstat(os.path.join(top, name))
        print(top, name, oct(s.st_mode), s.st_size, s.st_blocks, s.st_nlink, s.st_mtime_ns, s.st_uid, s.st_gid)
    print(folders, files)
print(open('/dev/shm/s').read(), os.readlink('e/soft'), os.path.samefile('data', 'e/hard'), os.getcwd())
os.chmod('locked', 0o600); print(open('locked').read(), hash(open('data', 'rb').read()))
s = os.statvfs('/tmp'); print(s.f_blocks, s.f_files, s.f_ffree)
"""
    session.exec(make)
    with session.fork() as branch:
        assert out(branch, look) == out(session, look)


def test_open_files_keep_their_place_and_part(session: Session) -> None:
    session.exec("f = open('log', 'w+'); f.write('abc'); f.flush(); u = open('/usr/bin/env', 'rb'); u.read(10)")
    session.exec(
        "import os; d = os.open('.', os.O_RDONLY); q = os.open('log', os.O_RDONLY | os.O_CLOEXEC); os.read(q, 1)"
    )
    with session.fork() as branch:
        code = "f.write('{}'); f.flush(); _ = f.seek(0)\n"
        code += "print(f.read(), u.tell(), os.read(q, 9), os.listdir(d)); _ = u.read(5)"
        assert out(branch, code.format("B")) == "abcB 10 b'bcB' ['log']"
        assert out(session, code.format("original")) == "abcoriginal 10 b'bcorigina' ['log']"
        assert branch.read_file("log") == b"abcB"
        assert out(branch, "u.tell()") == "15"


def test_its_own_lines_stay_what_the_guest_made_of_them(session: Session) -> None:
    session.exec("import os; d = os.dup(1); os.set_blocking(d, False); n = os.dup2(2, 60, inheritable=True)")
    probe = (
        "print([os.get_blocking(n) for n in (0, 1, 2, d, 60)], [os.get_inheritable(n) for n in (1, 2, d, 60)])\n"
        "os.set_blocking(1, True); print(os.get_blocking(d)); os.set_blocking(1, False); _ = os.write(60, b'x')"
    )
    with session.fork() as branch, branch.fork() as twig:
        seen = {(result.stdout, result.stderr) for result in (each.exec(probe) for each in (twig, session, branch))}
    assert seen == {("[True, False, True, False, True] [True, True, False, True]\nTrue\n", "x")}


REFUSED = {
    "threads": "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "child": "import subprocess; p = subprocess.Popen(['sleep', '60'])",
    "did not wait": "import os\nif os.fork() == 0: os._exit(0)",
    "open pipe": "import os; r, w = os.pipe()",
    "open socket": "import socket; s = socket.create_server(('127.0.0.1', 0))",
    "shared memory": "import mmap; m = mmap.mmap(-1, 4096)",
    "work directory is mapped": (
        "import mmap; f = open('m', 'w+b'); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE)"
    ),
    "deleted": "import os; f = open('gone', 'w'); os.unlink('gone')",
    "lock": "import fcntl; f = open('l', 'w'); fcntl.flock(f, fcntl.LOCK_EX)",
    "directory is deleted": "import os; os.mkdir('x'); os.chdir('x'); os.rmdir('/tmp/x')",
    "open anon_inode": "import select; e = select.epoll()",
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_copied_is_refused_and_goes_on(box: Sandbox, why: str) -> None:
    with box.session() as session:
        session.exec("x = 5")
        assert session.exec(REFUSED[why]).status == "ok"
        for attempt in (session.fork, session.snapshot):
            with pytest.raises(ForkRefused, match=why):
                attempt()
        assert out(session, "x") == "5"


def test_a_guest_without_a_page_to_spare_is_refused(box: Sandbox) -> None:
    fill = """
import mmap
kept, size = [], 1 << 24
while size >= 4096:
    try:
        kept.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except OSError:
        size >>= 1
"""
    with box.session() as session:
        assert session.exec(fill).status == "ok"
        for _ in range(2):
            with pytest.raises(ForkRefused, match="no memory to spare"):
                session.fork()
        assert out(session, "kept.pop().close(); del kept[10:]; len(kept)") == "10"
        with session.fork() as branch:
            assert out(branch, "len(kept)") == "10"


def test_a_guest_that_hides_itself_is_refused(box: Sandbox) -> None:
    for attack in (
        "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP) if os.fork() == 0 else None",
    ):
        with box.session() as session:
            session.exec(attack)
            with pytest.raises(ForkRefused):
                session.fork()
            assert session.exec("1").status == "ok"
    with box.session() as session:
        session.exec("import os; os._exit(3)")
        assert session.exec("x = 1").status == "ok"
        with session.fork() as branch:
            assert out(branch, "x") == "1"


def test_a_box_made_ahead_is_neither_seen_nor_left(session: Session, own_processes: Callable[[], set[int]]) -> None:
    session.exec("import os")
    before = own_processes()
    with session.snapshot():
        assert wait_until(lambda: len(own_processes() - before) == 2)  # the next copy's box, and what will be it
        waiting = own_processes() - before
    # Thawed: nothing of it may be there when the guest runs again.
    assert out(session, "[name for name in os.listdir('/proc') if name.isdigit()]") == "['1', '2']"
    assert not waiting & own_processes()
    for victim in (min, max):
        with session.snapshot() as kept:
            assert wait_until(lambda: len(own_processes() - before) == 2)
            os.kill(victim(own_processes() - before), signal.SIGKILL)  # as the machine's memory killer may do
            assert wait_until(lambda: own_processes() == before)
            with kept.session() as one, kept.session() as two:
                assert out(one, "1") == out(two, "1") == "1"
        session.exec("1")
    assert out(session, "[name for name in os.listdir('/proc') if name.isdigit()]") == "['1', '2']"
    assert wait_until(lambda: own_processes() == before)


def test_the_parent_may_be_restarted(session: Session) -> None:
    session.exec("x = 1; open('a', 'w').close()")
    with session.fork() as branch:
        session.restart()
        assert "NameError" in session.exec("x").stderr
        assert out(branch, "import os; print(x, os.listdir('.'))") == "1 ['a']"
        branch.restart()
        assert out(branch, "import os; print('x' in globals(), os.listdir('.'))") == "False []"


def test_restore_any_number_of_times(session: Session) -> None:
    session.exec("x = 0")
    with session.snapshot() as zero:
        for index in range(4):
            assert out(session, f"x += {index + 1}; open('f{index}', 'w').close(); print(x)") == str(index + 1)
            session.restore(zero)
        assert session.list_files() == []
        session.exec("x = 50")
        with session.snapshot() as fifty:
            session.restore(zero)
            assert out(session, "x") == "0"
            session.restore(fifty)
            assert out(session, "x") == "50"
            session.exec("import os; os._exit(1)")
            session.restore(fifty)
            assert out(session, "x") == "50"
        with zero.session() as other:
            assert out(other, "x += 7; x") == "7"
    with pytest.raises(SandboxFault, match="closed"):
        zero.session()
    assert out(session, "x") == "50"


def test_a_snapshot_outlives_its_session(box: Sandbox) -> None:
    with box.session() as session:
        session.exec("x = 3")
        kept = session.snapshot()
    with kept, kept.session() as other:
        assert out(other, "x") == "3"
    with sandbox.create("bubblewrap") as elsewhere, elsewhere.session() as session:
        with box.session() as other, other.snapshot() as foreign, pytest.raises(ValueError, match="another sandbox"):
            session.restore(foreign)


def test_a_line_of_snapshots(session: Session) -> None:
    """One snapshot per turn, kept all: a chain of boxes inside boxes, up to what the kernel allows."""
    session.exec("n = 0")
    kept = []
    for turn in range(20):
        kept.append(session.snapshot())
        assert out(session, "n += 1; n") == str(turn + 1)
    for turn in (0, 7, 19):
        session.restore(kept[turn])
        assert out(session, "n") == str(turn)
    for snapshot in kept:
        snapshot.close()
    assert out(session, "n") == "19"


def test_too_many_generations_are_refused(box: Sandbox, own_processes: Callable[[], set[int]]) -> None:
    before = own_processes()
    sessions = [box.session()]
    sessions[0].exec("x = 1")
    with pytest.raises(ForkRefused, match="generations"):
        for _ in range(40):
            sessions.append(sessions[-1].fork())
    assert len(sessions) > 20
    assert out(sessions[-1], "x += 1; x") == "2" and out(sessions[0], "x") == "1"
    for session in sessions:
        session.close()
    assert wait_until(lambda: own_processes() <= before)  # the kernel takes a moment to clear the dead away


def test_list_files_tells_what_is_there(session: Session) -> None:
    session.exec(
        "import os; os.mkdir('d', 0o750); open('d/f', 'w').write('xyz'); os.symlink('/etc', 'l'); os.mkfifo('p')"
    )
    rows = [(entry.path, entry.kind, entry.size, oct(entry.mode), entry.target) for entry in session.list_files()]
    assert rows == [
        ("d", "directory", 0, "0o750", None),
        ("d/f", "file", 3, "0o644", None),
        ("l", "link", 4, "0o777", "/etc"),
        ("p", "other", 0, "0o644", None),
    ]
    with pytest.raises(SandboxFileError):
        session.list_files(max_entries=3)
    deep = "import os\nfor _ in range(300):\n    os.mkdir('n'); os.chdir('n')"
    session.exec(deep)
    with pytest.raises(SandboxFileError, match="deep"):
        session.list_files()
    for attempt in (session.fork, session.fork, lambda: session.fork(3)):
        with pytest.raises(ForkRefused, match="nested too deeply"):
            attempt()
    with session.snapshot() as kept:
        for _ in range(3):
            with pytest.raises(ForkRefused, match="nested too deeply"):
                kept.session()
    assert out(session, "1") == "1"


def test_the_default_limits_fork_too() -> None:
    with sandbox.create("bubblewrap", limits=Limits(processes=1)) as made, made.session(files={"a": b"x"}) as session:
        session.exec("x = open('a').read()")
        with session.fork() as branch, branch.fork() as twig:
            assert out(twig, "x") == out(branch, "x") == "'x'"
