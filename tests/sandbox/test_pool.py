"""The pool: never more sessions than its size, fair, and faults of the machinery reach nobody who can be served."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest

from thinkact import sandbox
from thinkact.sandbox import Limits, Sandbox, SandboxFault, SandboxUnavailable
from thinkact.sandbox.pool import Lease, PoolExhausted, SandboxPool

from .contract import Place, marked, new_mark, out, set_mark, wait_until

LIMITS = Limits(memory_bytes=256 << 20, processes=8)


@pytest.fixture
def pool() -> Iterator[SandboxPool]:
    with SandboxPool(size=2, limits=LIMITS, max_waiting=32, acquire_timeout=60) as made:
        yield made


def test_sessions_are_warm_fresh_and_never_reused(pool: SandboxPool) -> None:
    assert wait_until(lambda: pool.stats().idle == 2)
    mark = new_mark()
    with pool.acquire() as session:
        assert session.exec(f"{set_mark(mark)}x = 1\nopen('f', 'w').close()").status == "ok"
    assert not marked(mark)
    for _ in range(3):
        with pool.acquire() as session:
            assert session.exec("import os; print('x' in globals(), os.listdir('.'))").stdout == "False []\n"
    assert wait_until(lambda: pool.stats().idle == 2)
    stats = pool.stats()
    assert (stats.served, stats.leased, stats.waiting, stats.faults) == (4, 0, 0, 0) and stats.made == 6


def test_every_backend(place: Place) -> None:
    with SandboxPool(size=1, make=place.make) as pool:
        for turn in range(2):
            with pool.acquire() as session:
                assert out(session, f"print('x' in globals(), {turn})\nx = 1") == f"False {turn}"
        assert pool.exec(["echo", "on"]).stdout == "on\n"
        assert pool.stats().faults == 0


def test_stress_never_more_than_size_and_everyone_is_served(pool: SandboxPool) -> None:
    live, most, answers = 0, 0, []
    guard = threading.Lock()

    def user(number: int) -> None:
        nonlocal live, most
        for turn in range(3):
            with pool.acquire() as session:
                with guard:
                    live += 1
                    most = max(most, live)
                answers.append((number, turn, session.exec(f"{number} * 100 + {turn}").stdout))
                stats = pool.stats()
                assert stats.idle + stats.leased <= stats.size
                with guard:
                    live -= 1

    threads = [threading.Thread(target=user, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [(n, t, f"{n * 100 + t}\n") for n in range(10) for t in range(3)]
    assert most <= 2 and pool.stats().served == 30


def test_first_come_first_served(pool: SandboxPool) -> None:
    held = [pool.acquire(), pool.acquire()]
    order: list[int] = []

    def user(number: int) -> None:
        with pool.acquire():
            order.append(number)

    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=user, args=(number,)))
        threads[-1].start()
        assert wait_until(lambda waiting=number + 1: pool.stats().waiting == waiting)  # type: ignore[misc]
    held.pop().release()  # one session for all six: they can only be served in turn
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 5]
    held.pop().release()


def test_a_full_line_and_a_long_wait_are_typed() -> None:
    with SandboxPool(size=1, limits=LIMITS, max_waiting=1) as pool:
        with pool.acquire():
            with pytest.raises(PoolExhausted, match="in time"):
                pool.acquire(timeout=0.05)
            assert pool.stats().waiting == 0
            results: list[object] = []

            def wait() -> None:
                with pool.acquire() as session:
                    results.append(session.exec("1").stdout)

            waiter = threading.Thread(target=wait)
            waiter.start()
            assert wait_until(lambda: pool.stats().waiting == 1)
            with pytest.raises(PoolExhausted, match="raise size"):
                pool.acquire()
        waiter.join()
        assert results == ["1\n"] and pool.stats().refused == 2
    for wrong in ({"size": 0}, {"size": True}, {"max_waiting": -1}, {"acquire_timeout": 0}):
        with pytest.raises(ValueError):
            SandboxPool(**wrong)  # type: ignore[arg-type]


def test_programs_and_cases_take_their_turn(pool: SandboxPool) -> None:
    assert pool.exec(["cat", "a"], files={"a": b"text"}).stdout == "text"
    assert [case.value for case in pool.run_cases("def f(x): return x + 1", "f", [[1], [2]])] == [2, 3]
    assert pool.stats().served == 2 and pool.stats().leased == 0
    held = [pool.acquire(), pool.acquire()]
    pool._default_wait = 0.05
    with pytest.raises(PoolExhausted):
        pool.exec(["true"])
    for lease in held:
        lease.release()


def test_a_session_that_died_waiting_is_replaced(pool: SandboxPool, caplog: pytest.LogCaptureFixture) -> None:
    assert wait_until(lambda: pool.stats().idle == 2)
    mark = new_mark()
    for made in list(pool._idle):
        made.session.exec(f"{set_mark(mark)}import os, threading; threading.Timer(0.01, os._exit, (3,)).start()")
    assert wait_until(lambda: not marked(mark))
    with caplog.at_level(logging.WARNING), pool.acquire() as session:
        assert session.exec("1").stdout == "1\n"
    assert pool.stats().replaced >= 1 and "replaced" in caplog.text


def kill_server(box: Sandbox) -> None:
    process = box._process  # type: ignore[attr-defined]
    process.kill()
    process.wait()


def test_a_broken_sandbox_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    boxes: list[Sandbox] = []

    def make() -> Sandbox:
        boxes.append(sandbox.create("bubblewrap", limits=LIMITS))
        return boxes[-1]

    with SandboxPool(size=2, make=make) as pool:
        assert wait_until(lambda: pool.stats().idle == 2)
        kill_server(boxes[0])
        assert wait_until(lambda: not boxes[0].alive)  # type: ignore[attr-defined]
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                with pool.acquire() as session:
                    assert session.exec("1").stdout == "1\n"
            assert pool.exec(["echo", "on"]).stdout == "on\n"
        assert len(boxes) == 2 and not boxes[0].alive  # type: ignore[attr-defined]


class Failing:
    """A maker of real sandboxes that fails as often as it is told, like a machine without memory."""

    def __init__(self, failures: int, error: Callable[[], Exception]) -> None:
        self.left, self.error, self.calls = failures, error, 0

    def __call__(self) -> Sandbox:
        made = sandbox.create("bubblewrap", limits=LIMITS)
        first = made.session

        def session(*args: object, **kwargs: object) -> object:
            self.calls += 1
            if self.left:
                self.left -= 1
                raise self.error()
            return first(*args, **kwargs)  # type: ignore[arg-type]

        made.session = session  # type: ignore[assignment, method-assign]
        return made


def test_faults_are_tried_again_twice_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), SandboxPool(size=1, make=Failing(2, lambda: SandboxFault("a hiccup"))) as p:
        with p.acquire() as session:
            assert session.exec("1").stdout == "1\n"
        assert p.stats().faults == 2
    assert caplog.text.count("a hiccup") == 2


def test_a_fault_that_stays_is_raised_and_then_forgotten() -> None:
    make = Failing(6, lambda: SandboxFault("still broken"))
    with SandboxPool(size=1, make=make) as pool:
        assert wait_until(lambda: pool.stats().faults == 3)  # nobody waits: the pool rests
        calls = make.calls
        time.sleep(0.2)
        assert make.calls == calls == 3
        with pytest.raises(SandboxFault, match="still broken"):
            pool.acquire()
        assert make.calls == 6
        with pool.acquire() as session:
            assert session.exec("1").stdout == "1\n"


def test_an_unfit_machine_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    make = Failing(9, lambda: SandboxUnavailable("install it"))
    with SandboxPool(size=1, make=make) as pool:
        with pytest.raises(SandboxUnavailable, match="install it"):
            pool.acquire()
        assert make.calls in (1, 2)  # the filler's own attempt, and the one for us
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable):
        SandboxPool("bubblewrap")


def test_an_interrupted_wait_loses_no_session(pool: SandboxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [pool.acquire(), pool.acquire()]

    calls: list[int] = []

    def interrupt() -> None:  # not before the line, but in it
        calls.append(pool.stats().waiting)
        if len(calls) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_collect_forgotten", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.acquire()
    monkeypatch.undo()
    assert calls == [0, 1] and pool.stats().waiting == 0
    for lease in held:
        lease.release()
    assert wait_until(lambda: pool.stats().idle == 2) and pool.stats().leased == 0


def test_a_forgotten_lease_does_not_shrink_the_pool(caplog: pytest.LogCaptureFixture) -> None:
    with SandboxPool(size=1, limits=LIMITS) as pool:
        lease: Lease | None = pool.acquire()
        assert lease is not None
        del lease
        gc.collect()
        with caplog.at_level(logging.WARNING), pool.acquire() as session:
            assert session.exec("1").stdout == "1\n"
        assert "without release" in caplog.text


def test_close_ends_everything_and_wakes_those_who_wait() -> None:
    pool = SandboxPool(size=1, limits=LIMITS)
    mark = new_mark()
    lease = pool.acquire()
    assert lease.session.exec(f"{set_mark(mark)}import os, time\nif os.fork() == 0: time.sleep(600)").status == "ok"
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            pool.acquire()
        except SandboxFault as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert wait_until(lambda: pool.stats().waiting == 1)
    pool.close()
    waiter.join()
    assert not marked(mark) and len(raised) == 1
    pool.close()
    lease.release()
    lease.release()
    with pytest.raises(SandboxFault, match="closed"):
        pool.acquire()


def test_pools_leave_nothing() -> None:
    with SandboxPool(size=1, limits=LIMITS) as pool, pool.acquire():
        pass
    gc.collect()
    fds, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        with SandboxPool(size=2, limits=LIMITS) as pool, pool.acquire() as session:
            session.exec("1")
    forgotten = [SandboxPool(size=1, limits=LIMITS)]
    assert wait_until(lambda: forgotten[0].stats().idle == 1)
    forgotten.clear()
    gc.collect()
    assert wait_until(lambda: (gc.collect(), len(os.listdir("/proc/self/fd")))[1] <= fds)
    assert wait_until(lambda: threading.active_count() <= threads)


def test_a_forked_child_has_a_pool_of_its_own(pool: SandboxPool) -> None:
    lease = pool.acquire()
    lease.session.exec("x = 1")
    with warnings.catch_warnings():  # Python 3.12 warns of forks beside threads, which is the point here
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            with pool.acquire() as session:
                if session.exec("'x' in globals()").stdout == "False\n":
                    code = 0
            lease.release()
            pool.close()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert lease.session.exec("x").stdout == "1\n"
    lease.release()
    with pool.acquire() as session:
        assert session.exec("1").stdout == "1\n"
