"""Lifecycle: what is killed, what is left, who may use what from where. See ``contract.py``."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from thinkact import sandbox
from thinkact.sandbox import SandboxFault, Session

from .contract import Place, marked, new_mark, out, set_mark, wait_until

CYCLES = int(os.environ.get("THINKACT_TEST_CYCLES", "100"))
TIMEOUTS = int(os.environ.get("THINKACT_TEST_TIMEOUTS", "6"))

HOSTILE = """
import os, signal, sys, time
for number in range(1, 65):
    if number not in (9, 19, 32, 33):
        signal.signal(number, signal.SIG_IGN)
for kind in range(5):
    if os.fork() == 0:
        if kind == 0:
            os.setsid()
            if os.fork(): os._exit(0)
        elif kind == 1:
            os.setpgid(0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif kind == 2:
            os.closerange(0, 1024)
        elif kind == 3:
            while True: pass
        while True: time.sleep(1)
"""


def test_time_out_kills_the_whole_tree(place: Place, guest: Session) -> None:
    """A time-out leaves none of the tree: own sessions, double forks, stopped, deaf, spinning, holding pipes."""
    for number in range(2 if place.backend == "docker" and "THINKACT_TEST_TIMEOUTS" not in os.environ else TIMEOUTS):
        mark = new_mark()
        code = f"{set_mark(mark)}{HOSTILE}\nprint('started', flush=True)\nwhile True: time.sleep(1)"
        if number % 2:
            result = place.box.exec(["python3", "-c", code], timeout=1.5)
        else:
            result = guest.exec(code, timeout=1.5)
            assert guest.exec("1 + 1").stdout == "2\n"
        assert result.status == "timeout", result
        assert not marked(mark), "checked at once: when the result is there, they are not"


def test_a_program_leaves_no_daemon(place: Place) -> None:
    """When a program has ended, all that it left in the background is dead, and nobody waited for it."""
    mark = new_mark()
    code = f"{set_mark(mark)}{HOSTILE.replace('while True: pass', 'time.sleep(100)')}\nprint('done', flush=True)"
    result = place.box.exec(["python3", "-c", code + "\nos._exit(0)"], timeout=60)
    assert (result.status, result.stdout) == ("ok", "done\n"), result
    assert result.duration_s < 50
    assert not marked(mark)


def test_close_kills(place: Place) -> None:
    """Closing a session kills what it left in the background; closing a sandbox closes its sessions."""
    mark = new_mark()
    leave = f"{set_mark(mark)}import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    with place.box.session() as session:
        out(session, leave)
        assert marked(mark)
    assert not marked(mark)
    with place.make() as box:
        kept = box.session()
        out(kept, leave)
        assert marked(mark)
    assert not marked(mark)
    with pytest.raises(SandboxFault):
        kept.exec("1")


def test_restart_forgets(guest: Session) -> None:
    """A restart leaves nothing: variables, files, shared memory, processes."""
    mark = new_mark()
    out(
        guest,
        f"{set_mark(mark)}import os, time\nx = 1\nopen('f', 'w').write('x'); open('/dev/shm/f', 'w').write('x')\n"
        "if os.fork() == 0: time.sleep(600)",
    )
    guest.restart()
    assert not marked(mark)
    assert out(guest, "import os; print('x' in globals(), os.listdir('.'), os.path.exists('/dev/shm/f'))") == (
        "False [] False"
    )


def test_forgotten_sessions_are_closed(place: Place) -> None:
    """A session that nobody refers to any more is closed."""
    if place.backend == "remote":
        pytest.skip("it is closed with its sandbox, or when the client's lease runs out")
    mark = new_mark()
    session = place.box.session()
    out(session, f"{set_mark(mark)}1")
    assert marked(mark)
    del session
    gc.collect()
    assert wait_until(lambda: not marked(mark))


def settled() -> int:
    """Return the number of open descriptors once warm containers have all been made."""
    counts = [len(os.listdir("/proc/self/fd"))]
    while len(counts) < 15 or len(set(counts[-15:])) > 1:
        time.sleep(0.05)
        counts.append(len(os.listdir("/proc/self/fd")))
    return counts[-1]


def test_cycles_leave_nothing(place: Place) -> None:
    """Cycles of sandboxes, sessions and programs leave no process, descriptor, file, mount, cgroup or container."""
    with place.make() as box, box.session() as session:  # what a first use brings for good is here from now on
        out(session, "1")
    slow = place.backend == "docker"
    gc.collect()
    fds = settled() if slow else len(os.listdir("/proc/self/fd"))
    before = place.leftovers()
    for _ in range(1 if slow else CYCLES // 10):
        with place.make() as box:
            left = box.session()
            assert left.exec("1").stdout == "1\n"
            assert box.exec(["true"]).exit_code == 0
            for _ in range(CYCLES // 50 if slow else 5):
                with box.session() as session:
                    assert session.exec("1").stdout == "1\n"
    del box, left, session
    gc.collect()

    def clean() -> bool:
        after = place.leftovers()
        return all(after[kind] <= before[kind] for kind in before)

    assert wait_until(clean), {kind: place.leftovers()[kind] - before[kind] for kind in before}
    assert (settled() if slow else len(os.listdir("/proc/self/fd"))) <= fds


def test_many_threads(place: Place) -> None:
    """Threads share a sandbox: each has sessions of its own and gets its own answers."""
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(1 if place.backend == "docker" else 2):
                with place.box.session() as session:
                    session.write_file("n", str(number).encode())
                    got = session.exec(f"print(open('n').read(), {turn})").stdout
                    if got != f"{number} {turn}\n":
                        wrong.append(got)
                if place.box.exec(["echo", str(number)]).stdout != f"{number}\n":
                    wrong.append(number)
        except BaseException as error:  # whatever it is, it must fail the test and not only this thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3 if place.backend == "docker" else 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_thread_that_made_it_may_end(place: Place) -> None:
    """A sandbox outlives the thread that made it."""
    made: list[sandbox.Sandbox] = []
    thread = threading.Thread(target=lambda: made.append(place.make()))
    thread.start()
    thread.join()
    with made[0] as box, box.session() as session:
        assert out(session, "1") == "1"


def test_fork_of_the_host(place: Place) -> None:
    """A forked child makes sandboxes of its own, and closing its parent's does its parent no harm."""
    with place.make() as box, box.session() as session:
        session.exec("x = 1")
        with warnings.catch_warnings():  # Python 3.12 warns of forks beside threads, which is the point here
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                with place.make() as own:
                    code = own.exec(["true"]).exit_code
                session.close()
                box.close()
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert out(session, "x") == "1"
        assert box.exec(["true"]).exit_code == 0


def test_death_of_the_host(place: Place) -> None:
    """When the host process is killed, nothing of its sandboxes lives on."""
    if place.backend == "remote":
        pytest.skip("the server closes it when the client's lease runs out")
    mark = new_mark()
    hostile = f"{set_mark(mark)}{HOSTILE}"
    program = f"""
import sys
from thinkact import sandbox
made = sandbox.create({place.backend!r})
session = made.session()
session.exec({hostile!r})
print("ready", flush=True)
session.exec("import time; time.sleep(600)", timeout=600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None and host.stdout.readline() == "ready\n"
        assert len(marked(mark)) >= 5
        host.kill()
        host.wait()
    assert wait_until(lambda: not marked(mark), 30)
