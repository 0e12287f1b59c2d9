"""Branches of a session: many at once, bounded, out of one another's reach, and gone without a trace."""

import gc
import os
import threading
from collections.abc import Callable

import pytest

from thinkact import sandbox
from thinkact.sandbox import Sandbox, SandboxFault, Session

from .contract import out, wait_until

pytestmark = pytest.mark.usefixtures("box")  # skips all where bubblewrap is missing


def test_sixteen_branches_at_once(session: Session) -> None:
    session.exec("x = 100")
    branches = session.fork(16)
    answers: dict[int, str] = {}

    def use(index: int) -> None:
        code = (
            f"x += {index}; open('mine', 'w').write(str(x)); import os; print(x, open('mine').read(), os.listdir('.'))"
        )
        answers[index] = out(branches[index], code)

    threads = [threading.Thread(target=use, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {index: f"{100 + index} {100 + index} ['mine']" for index in range(16)}
    assert out(session, "import os; print(x, os.listdir('.'))") == "100 []"
    for branch in branches:
        branch.close()


def test_branches_live_and_die_alone(box: Sandbox, own_processes: Callable[[], set[int]]) -> None:
    before = own_processes()
    session = box.session()
    session.exec("x = 1")
    one, two, three = session.fork(3)
    grandchild = one.fork()
    assert one.exec("import os; os._exit(9)").status == "killed"
    assert out(two, "x") == "1" and out(grandchild, "x") == "1"
    assert two.exec("while True: pass", timeout=0.2).status == "timeout"
    assert "NameError" in two.exec("x").stderr
    session.close()
    with pytest.raises(SandboxFault):
        session.exec("1")
    assert out(three, "x += 1; x") == "2" and out(grandchild, "x") == "1"
    one.close()
    assert out(grandchild, "x += 5; x") == "6"
    late = grandchild.fork()
    grandchild.close()
    assert out(late, "x") == "6"
    for each in (two, three, late):
        each.close()
    assert wait_until(lambda: own_processes() <= before)  # the kernel takes a moment to clear the dead away


def test_branches_cannot_reach_one_another(session: Session) -> None:
    """No process, file, port, name, signal or memory of one branch is there for another, nor for the original."""
    session.exec("import os, socket, signal, glob\nsecret = 'planted-' + 'x' * 8\nopen('f', 'w').write('old')")
    one, two = session.fork(2)
    one.exec(
        "s = socket.create_server(('127.0.0.1', 4000)); u = socket.socket(socket.AF_UNIX)\n"
        "u.bind('\\0name'); u.listen()\n"
        "open('/dev/shm/one', 'w').close(); open('f', 'w').write('new'); os.link('f', 'g')\n"
        "child = os.fork()\nif child == 0:\n    import time; time.sleep(600)"
    )
    attack = """
found = []
for pid in range(1, 400):
    for action in (lambda: os.kill(pid, signal.SIGKILL), lambda: os.kill(-pid, signal.SIGKILL)):
        if pid in (os.getpid(), 1):
            continue
        try:
            action(); found.append(('killed', pid))
        except OSError:
            pass
pids = [name for name in os.listdir('/proc') if name.isdigit()]
for family, address in ((socket.AF_INET, ('127.0.0.1', 4000)), (socket.AF_UNIX, '\\0name')):
    try:
        socket.socket(family).connect(address); found.append('connected')
    except OSError:
        pass
print(found, pids, os.listdir('/dev/shm'), sorted(os.listdir('/tmp')), open('f').read())
for name in ('/proc/1/root/tmp', '/proc/1/cwd', '/proc/1/fd', '/proc/1/mem'):
    try:
        os.listdir(name) if name != '/proc/1/mem' else open(name, 'rb'); print('reached', name)
    except OSError:
        pass
mounts = [line.split() for line in open('/proc/self/mountinfo')]
print(len([line for line in mounts if line[4] == '/tmp' and 'rw' in line[5]]) >= 1)
"""
    for each in (two, session):
        assert out(each, attack) == "[] ['1', '2'] [] ['f'] old\nTrue"
    assert out(one, "os.kill(child, 0); print(sorted(os.listdir('.')))") == "['f', 'g']"
    two.close()
    one.close()


def test_limits_hold_in_each_branch(box: Sandbox) -> None:
    with box.session() as session:
        session.exec("import os, time\ndata = 'x' * (60 << 20)")
        branches = session.fork(3)
        for branch in branches:  # each counts for itself: 60 MB shared, and 100 more each, below 256
            assert out(branch, "more = 'y' * (100 << 20); print(len(more) >> 20)") == "100"
        one, two, three = branches
        result = one.exec("more += 'z' * (300 << 20)")
        assert result.status == "oom"
        code = """
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
        count += 1
except BlockingIOError:
    print(12 <= count < 16)
"""
        session.exec("x = 1")
        with session.fork() as small, box.session() as light:
            light.exec("import os, time")
            for each in (light, *light.fork(2)):
                assert out(each, code) == "True"
            assert out(small, "x") == "1"
        assert "No space left" in three.exec("for i in range(9): open(str(i), 'w').write('x' * (2 << 20))").stderr
        full = two.exec("for i in range(9): open(str(i), 'w').write('x' * (2 << 20))")
        assert "No space left" in full.stderr
        assert one.exec("while True: print('x' * 1000)").status == "output_limit"
        assert out(session, "import os; print(len(data) >> 20, os.listdir('.'))") == "60 []"
        for branch in branches:
            branch.close()


def test_a_branch_leaves_no_orphan(box: Sandbox, own_processes: Callable[[], set[int]]) -> None:
    before = own_processes()
    with box.session() as session:
        session.exec("import os, signal, time")
        spawn = """
for _ in range(4):
    if os.fork() == 0:
        for number in range(1, 32):
            if number not in (9, 19): signal.signal(number, signal.SIG_IGN)
        os.setsid()
        if os.fork(): os._exit(0)
        time.sleep(600)
"""
        with session.fork() as branch:
            inside = own_processes()
            branch.exec(spawn)
            assert len(own_processes() - inside) >= 4
        assert own_processes() & (inside - before) != own_processes()
        assert out(session, "1") == "1"
        assert len(own_processes() - before) <= 2
    assert wait_until(lambda: own_processes() <= before)  # the kernel takes a moment to clear the dead away


def test_programs_run_beside_the_interpreter(session: Session, own_processes: Callable[[], set[int]]) -> None:
    session.exec("x = 1; open('a', 'w').write('from python')")
    before = own_processes()
    result = session.run(["bash", "-c", "cat a; cat; echo made > b; exit 3"], stdin=b" and stdin")
    assert (result.stdout, result.exit_code, result.status) == ("from python and stdin", 3, "error")
    assert out(session, "print(x, open('b').read())") == "1 made"
    assert session.run(["sh", "-c", "setsid sleep 60 & sleep 60"], timeout=0.2).status == "timeout"
    assert session.run(["sh", "-c", "(setsid sleep 60 &) ; kill -9 -1; true"], timeout=5).status in ("ok", "killed")
    assert session.run(["no-such-program"]).exit_code == 127
    assert session.run(["sh", "-c", "yes"]).status == "output_limit"
    big = "import time\nx = ['x' * (1 << 20) for _ in range(900)]\ntime.sleep(60)"
    assert session.run(["python3", "-c", big], timeout=10).status in ("oom", "error")
    with pytest.raises(ValueError):
        session.run([])
    assert wait_until(lambda: own_processes() <= before)  # the kernel takes a moment to clear the dead away
    assert out(session, "x") == "1"
    with session.fork() as branch:
        assert branch.run(["cat", "b"]).stdout == "made\n"
        branch.run(["sh", "-c", "echo changed > b"])
    assert session.run(["cat", "b"]).stdout == "made\n"


def test_nothing_is_left(own_processes: Callable[[], set[int]]) -> None:
    with sandbox.create("bubblewrap") as warm:
        warm.exec(["true"])
    gc.collect()  # what other tests left to the collector is not to go in between
    pids, fds = own_processes(), len(os.listdir("/proc/self/fd"))
    with open("/proc/self/mountinfo") as file:
        mounts = [line for line in file if "docker" not in line]  # other tests' containers come and go
    with sandbox.create("bubblewrap") as made:
        for index in range(6):
            session = made.session()
            branches = session.fork(3)
            kept = branches[0].snapshot()
            late = kept.session()
            assert out(late, "1") == "1"
            if index % 2:
                for each in (session, *branches, late):
                    each.close()
                kept.close()
    assert wait_until(lambda: own_processes() <= pids)
    assert wait_until(lambda: len(os.listdir("/proc/self/fd")) <= fds)
    with open("/proc/self/mountinfo") as file:
        assert [line for line in file if "docker" not in line] == mounts
