"""Expressions are judged in a process that may die: of the text, which is wrong then, or of itself: a fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from thinkact.envs import answers_process
from thinkact.envs.answers import Answer
from thinkact.envs.answers_expression import Bounds
from thinkact.envs.answers_process import SHARED, ExpressionProcess, Verdict
from thinkact.envs.math import checks
from thinkact.envs.types import EnvironmentFault

CURVE = ("(x + 1)*(x - 1)", "x", False)
RIGHT = Verdict(True)


@pytest.fixture(scope="module")
def open_process() -> Iterator[ExpressionProcess]:
    """One whose parser lets everything through: what the second fence is for."""
    made = ExpressionProcess(cpu_s=0.2, memory_bytes=192 << 20, bounds=Bounds(10**7, 10**7, 10**18))
    yield made
    made.close()


@pytest.fixture
def process() -> Iterator[ExpressionProcess]:
    made = ExpressionProcess()
    yield made
    made.close()


BOMBS = {
    "a tower of powers": "(((9^100)^100)^100)^100",
    "a higher one": "((((9^100)^100)^100)^100)^100",
    "a product of large powers": "*".join(f"(x+{number})^100" for number in range(2000)),
    "a sum that nests to the left": "+".join(["x"] * 10_000),
    "brackets": "(" * 30_000 + "x" + ")" * 30_000,
    "a huge text": "x" * 2_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_an_expression_does_to_the_process_makes_it_wrong(bomb: str, open_process: ExpressionProcess) -> None:
    verdict = open_process.ask("equal", BOMBS[bomb], *CURVE)
    assert not verdict.right and verdict.reason, bomb
    assert open_process.ask("equal", "x^2 - 1", *CURVE) == RIGHT  # whoever comes next does not notice


def test_time_and_memory_are_the_reasons(open_process: ExpressionProcess) -> None:
    slow = open_process.ask("equal", BOMBS["a tower of powers"], *CURVE)
    assert slow.reason == "it takes more than 0.2 s to evaluate"
    small = ExpressionProcess(cpu_s=30.0, memory_bytes=40 << 20, bounds=Bounds(10**7, 10**7, 10**18))
    try:
        large = small.ask("equal", "+".join(["x"] * 100_000), *CURVE)
        assert large.reason == "it cannot be evaluated: MemoryError"
        assert small.ask("equal", "x^2 - 1", *CURVE) == RIGHT
    finally:
        small.close()


@pytest.mark.parametrize(
    "text", ["9**9**9", "9^9^9", "x!!!!", "x^101", "(" * 200, "__import__('os')", "\ud800", "½" * 9]
)
def test_the_parser_refuses_what_it_always_refused(text: str) -> None:
    verdict = SHARED.ask("equal", text, *CURVE)
    assert not verdict.right and verdict.reason
    assert not SHARED.ask("equal", "1" * 601, *CURVE).right


def test_all_families_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(judge: str, submitted: str, *args: object) -> Verdict:
        json.dumps(args)
        asked.append((judge, submitted))
        return Verdict(submitted == "x")

    monkeypatch.setattr(SHARED, "ask", ask)
    curve = Answer("expression", "x^2", variables="x")
    for accepts in (curve.accepts, checks.antiderivative("x**2 + C", "X"), checks.makes(24, [4, 6])):
        assert accepts("x") and not accepts("y")
    assert [judge for judge, _ in asked] == ["equal"] * 2 + ["same_derivative"] * 2 + ["makes"] * 2


def test_a_process_that_died_by_itself_is_replaced(process: ExpressionProcess) -> None:
    assert process.pid is None
    assert process.ask("equal", "x^2 - 1", *CURVE) == RIGHT
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert process.ask("equal", "x^2 - 1", *CURVE) == RIGHT
    assert process.pid not in (None, first)


def test_one_that_is_killed_or_hangs_over_a_question_is_never_a_wrong_answer(process: ExpressionProcess) -> None:
    assert process.ask("equal", "x^2 - 1", *CURVE) == RIGHT
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    killer = threading.Timer(0.1, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    assert process.ask("equal", "x^2 - 1", *CURVE) == RIGHT  # asked again in a new one
    killer.join()
    os.kill(process.pid, signal.SIGSTOP)
    process.wall_s = 0.002  # no Python starts as fast as that
    with pytest.raises(EnvironmentFault, match="does not start"):
        process.ask("equal", "x^2 - 1", *CURVE)


def test_no_interpreter_is_a_fault(process: ExpressionProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EnvironmentFault, match="does not start"):
        process.ask("equal", "x", *CURVE)
    monkeypatch.undo()
    monkeypatch.setattr(answers_process, "_PROGRAM", "/nowhere/program.py")
    with pytest.raises(EnvironmentFault, match="exit code 2"):
        process.ask("equal", "x", *CURVE)


def test_threads_take_turns(process: ExpressionProcess) -> None:
    wrong: list[int] = []

    def judge(number: int) -> None:
        for at in range(20):
            right = at % 2 == 0
            if (
                process.ask("equal", f"x + {number if right else number + 1}", f"{number} + x", "x", False).right
                != right
            ):
                wrong.append(number)

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


_HOST = """
import os
from thinkact.envs.answers_process import SHARED
assert SHARED.ask("equal", "x", "x", "x", False).right
parent = SHARED.pid
child = os.fork()
if child == 0:
    assert SHARED.pid is None
    assert SHARED.ask("equal", "x", "x", "x", False).right and SHARED.pid != parent
    SHARED.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert SHARED.ask("equal", "x", "x", "x", False).right and SHARED.pid == parent
print(parent, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_dies_with_its_host_and_a_fork_has_its_own() -> None:
    run = subprocess.run([sys.executable, "-c", _HOST], capture_output=True, text=True, timeout=120)
    assert run.returncode == -9, run.stderr
    pid = int(run.stdout)
    deadline = 400
    while _is_judge(pid) and deadline:
        threading.Event().wait(0.05)
        deadline -= 1
    assert not _is_judge(pid)


def _is_judge(pid: int) -> bool:
    """Whether a process lives and is one of ours: ids are used again."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"answers_worker" in file.read()
    except OSError:
        return False


def test_it_holds_nothing_of_its_host(process: ExpressionProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKACT_TEST_SECRET", "canary")
    assert process.ask("equal", "x", "x", "x", False) == RIGHT
    with open(f"/proc/{process.pid}/environ", "rb") as file:
        assert b"canary" not in file.read()
    assert sorted(os.listdir(f"/proc/{process.pid}/fd"), key=int) == ["0", "1", "2"]
    with open(f"/proc/{process.pid}/maps") as file:
        assert "site-packages" not in file.read()
