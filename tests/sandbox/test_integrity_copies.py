"""Copies of a session: forks and snapshots are exact or refused, whatever the session did. See ``contract.py``."""

from __future__ import annotations

import pytest

from thinkact import sandbox
from thinkact.sandbox import Session

from .contract import marked, new_mark, out, set_mark

_STATE = """
import os, random, itertools
random.seed(7)
random.random()
counter = itertools.count(5)
next(counter)
shared = [1, 2]; alias = shared
def gen():
    n = 0
    while True:
        n += 1
        yield n
g = gen(); next(g)
os.makedirs('d/e', exist_ok=True)
open('d/e/f', 'w').write('one')
os.symlink('e/f', 'd/link'); os.chmod('d/e/f', 0o640)
handle = open('log', 'w'); handle.write('begun '); handle.flush()
"""
_LOOK = (
    "print(random.random(), next(counter), next(g), alias is shared, open('d/e/f').read(), os.readlink('d/link'), "
    "oct(os.stat('d/e/f').st_mode), open('log').read(), sorted(os.listdir('.')), hash('x'), os.getcwd())"
)


def forked(session: Session) -> Session:
    try:
        return session.fork()
    except sandbox.ForkRefused as error:
        pytest.skip(f"it refuses to fork and says so: {str(error)[:80]}")


def test_fork_is_exact(guest: Session) -> None:
    """A fork has the same live memory, iterators, generators and open files too; neither side sees the other's."""
    out(guest, _STATE)
    branch = forked(guest)
    with branch:
        assert out(branch, _LOOK) == out(guest, _LOOK)
        out(branch, "shared.append(3); open('d/e/f', 'w').write('branch'); os.mkdir('only-here')")
        assert out(guest, "print(shared, open('d/e/f').read(), os.listdir('.').count('only-here'))") == "[1, 2] one 0"
        out(guest, "os.unlink('d/e/f')")
        assert out(branch, "print(alias, open('d/e/f').read())") == "[1, 2, 3] branch"
        assert branch.read_file("d/e/f") == b"branch"
        with forked(branch) as deeper:
            assert out(deeper, "alias") == "[1, 2, 3]"
    assert out(guest, "shared") == "[1, 2]"


_PLAIN = """
import random, os, collections
random.seed(7)
_ = random.random()
rows = [[1, 'é'], {'a': {2, 3}}]
same = rows
def f(n):
    return [n, rows]
count = collections.Counter('abca')
os.makedirs('d/e')
with open('d/e/f', 'wb') as file:
    _ = file.write(bytes(range(256)))
del file
os.symlink('e/f', 'd/l')
os.chmod('d/e/f', 0o640)
"""


def test_copies_of_plain_state(guest: Session) -> None:
    """Forks and snapshots of plain variables, functions, random numbers and files are exact."""
    out(guest, _PLAIN)
    look = (
        "print(random.random(), f(1), same is rows, count, open('d/l', 'rb').read() == bytes(range(256)), "
        "oct(os.stat('d/e/f').st_mode), sorted(os.listdir('.')))"
    )
    with forked(guest) as branch, guest.snapshot() as kept:
        first = out(guest, look)
        assert out(branch, look) == first
        out(branch, "rows.append(9); os.unlink('d/e/f')")
        out(guest, "rows.clear(); open('d/e/f', 'w').write('spoilt')")
        for _ in range(2):
            guest.restore(kept)
            assert out(guest, look) == first
        assert out(branch, "print(rows[2:], os.path.exists('d/e/f'))") == "[9] False"


def test_forks_share_nothing(guest: Session) -> None:
    """A fork cannot signal, connect to, or read its sibling, and one's death leaves the other alone."""
    out(guest, "import os")
    branch = forked(guest)
    with branch:
        out(guest, "import socket; u = socket.socket(socket.AF_UNIX); u.bind(b'\\0of-the-parent'); u.listen()")
        out(guest, "open('/dev/shm/parent', 'w').write('x'); open('parent', 'w').write('x')")
        probe = (
            "import os, socket\n"
            "print(socket.socket(socket.AF_UNIX).connect_ex(b'\\0of-the-parent') == 0, "
            "os.path.exists('/dev/shm/parent'), os.path.exists('parent'))"
        )
        assert out(branch, probe) == "False False False"
        kill = (
            "import os, signal\n"
            "for pid in [int(name) for name in os.listdir('/proc') if name.isdigit()]:\n"
            "    if pid not in (os.getpid(), os.getppid()):\n"
            "        try: os.kill(pid, signal.SIGKILL)\n"
            "        except OSError: pass"
        )
        branch.exec(kill, timeout=20)
        assert out(guest, "1") == "1"
        assert branch.exec("import os; os._exit(3)").status == "killed"
        assert out(guest, "os.path.exists('parent')") == "True"
    assert out(guest, "1") == "1"


def test_many_forks(guest: Session) -> None:
    """Several forks at once continue independently and end with their own close."""
    mark = new_mark()
    out(guest, f"{set_mark(mark)}x = 0")
    forked(guest).close()
    branches = guest.fork(8)
    try:
        for number, branch in enumerate(branches):
            out(branch, f"x = {number}; open('n', 'w').write('{number}')")
        assert [out(branch, "print(x, open('n').read())") for branch in branches] == [f"{n} {n}" for n in range(8)]
        guest.close()
        assert out(branches[3], "x") == "3"
    finally:
        for branch in branches:
            branch.close()
    assert not marked(mark)


def test_snapshot_is_exact(guest: Session) -> None:
    """A snapshot of all that can be gone back to any number of times, and every continuation is the same."""
    out(guest, _STATE)
    forked(guest).close()
    snapshot = guest.snapshot()
    try:
        first = out(guest, _LOOK)
        for _ in range(3):
            out(guest, "shared.clear(); open('d/e/f', 'w').write('spoilt'); os.makedirs('more/and/more')")
            guest.restore(snapshot)
            assert out(guest, _LOOK) == first
        guest.exec("import os; os._exit(1)")
        guest.restore(snapshot)
        assert out(guest, _LOOK) == first
        with snapshot.session() as other:
            assert out(other, _LOOK) == first
    finally:
        snapshot.close()


HINDRANCES = {
    "threads": "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "children": "import os, time\nif os.fork() == 0: time.sleep(60)",
    "a zombie": "import os\nif os.fork() == 0: os._exit(0)",
    "sockets": "import socket; s = socket.create_server(('127.0.0.1', 0))",
    "pipes": "import os; p = os.pipe()",
    "shared memory": "import mmap; m = mmap.mmap(-1, 1 << 20)",
    "deleted files": "import os; f = open('x', 'w'); os.unlink('x')",
    "a deleted directory": "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    "no descriptor": "f = []\ntry:\n    while True: f.append(open('/dev/null'))\nexcept OSError: pass",
    "blocked signals": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); 0",
    "a timer": "import signal; signal.signal(14, lambda *a: None); signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01); 0",
    "no access": "import os; os.chmod('.', 0)",
    "odd files": "import os; os.symlink('a', 'a'); os.mkfifo('p'); os.makedirs('d/' * 100)",
    "hidden from the debugger": "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
    "patched modules": "import os, copy, pickle; os.fork = copy.deepcopy = pickle.dumps = None",
}


@pytest.mark.parametrize("name", HINDRANCES)
def test_a_session_is_copied_exactly_or_not_at_all(guest: Session, name: str) -> None:
    """Whatever state a guest is in, it is copied exactly or refused in a typed way; it is never a fault."""
    result = guest.exec(f"{HINDRANCES[name]}\nkept = 41", timeout=20)
    assert result.status == "ok", result
    try:
        branch = guest.fork()
    except sandbox.ForkRefused as refused:
        assert str(refused)
    else:
        with branch:
            assert out(branch, "kept + 1") == "42"
    after = guest.exec("kept")
    # Where each cell needs a descriptor or a fork, these two have spoilt their own interpreter.
    spoilt = name in ("no descriptor", "patched modules") and after.status == "killed"
    assert after.stdout == "41\n" or spoilt, after
