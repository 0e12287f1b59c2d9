import os
import shutil
from collections.abc import Iterator

import pytest

from thinkact.sandbox import Limits
from thinkact.tools import Tool, ToolContext, ToolResult, run_tests
from thinkact.tools.run_tests import RunTestsArguments, RunTestsTool
from thinkact.tools.workspace import Workspace

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and os.environ.get("CI") != "true",
    reason="bubblewrap is missing: apt-get install bubblewrap",
)

SOLUTION = b"def add(a, b):\n    return a + b\n\ndef crash(x):\n    return [][x]\n"
TESTS = b"""
import unittest
from solution import add, crash

def test_right(): assert add(1, 2) == 3
def test_wrong():
    total = add(2, 2)
    print("looking")
    assert total == 5
def test_crash(): crash(7)
def helper(): raise AssertionError("not a test")

class TestMore(unittest.TestCase):
    def setUp(self): self.two = 2
    def test_two(self): self.assertEqual(add(1, 1), self.two)
    def test_in(self): self.assertIn(3, [1, 2])
"""


@pytest.fixture(scope="module")
def space() -> Iterator[Workspace]:
    made = Workspace(Limits(wall_s=4.0, output_bytes=64 << 10))
    yield made
    made.close()


def run(space: Workspace, tests: bytes, max_chars: int = 2000, path: str = "", name: str = "") -> ToolResult:
    space.reset({"solution.py": SOLUTION, "test_main.py": tests})
    tool = RunTestsTool(space)
    assert isinstance(tool, Tool)
    return tool.run(RunTestsArguments(path=path, name=name), ToolContext("c", 1, max_chars))


def test_the_report_names_every_test_and_explains_the_first_failure(space: Workspace) -> None:
    result = run(space, TESTS)
    assert result.content == (
        "2 of 5 tests pass.\n"
        "failed: test_wrong, test_crash, TestMore.test_in\n"
        "passed: test_right, TestMore.test_two\n"
        "first failure: test_wrong: AssertionError: left: 4, right: 5\n"
        "  test_main.py, line 9, in test_wrong: assert total == 5\n"
        "printed: looking"
    )
    assert result.error_kind == "tool_error" and result.artifacts == {"status": "error", "exit_code": 1}
    assert run(space, TESTS).content == result.content


def test_a_crash_is_shown_where_it_happened(space: Workspace) -> None:
    content = run(space, TESTS, name="crash").content
    assert "0 of 1 tests pass" in content and "IndexError: list index out of range" in content
    assert "  test_main.py, line 10, in test_crash: def test_crash(): crash(7)" in content
    assert content.endswith("  solution.py, line 5, in crash: return [][x]")


def test_all_right_is_an_ordinary_result(space: Workspace) -> None:
    result = run(space, TESTS, name="t_two")
    assert (result.content, result.error_kind) == ("1 of 1 tests pass.\npassed: TestMore.test_two", None)


HANG = b"def test_x():\n    while True: pass\ndef test_y(): pass"
NAP = b"import time\ndef test_x(): time.sleep(60)\ndef test_y(): pass"
NO_REPR = b"class R:\n    def __repr__(self): raise KeyError\ndef test_x(): assert R() == 1"
SKIPPED = b"import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('no')\n    def test_x(self): pass"
ONCE = b"""
calls = []
def f():
    calls.append(1)
    return 2
def test_x(): assert f() == 3
def test_y(): assert calls == [1]
"""


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (b"def test_x(: pass", "could not be loaded: "),
        (b"import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        (b"x = 1", "no tests in test_main.py"),
        (b"raise SystemExit(0)", "could not be loaded: SystemExit"),
        (b"def test_x(fixture): pass", "missing 1 required positional argument"),
        (b"def test_x(): assert [1, 2] == [1, 3], 'lists'", "AssertionError: lists"),
        (b"def test_x(): assert not [1]", "test_main.py, line 1, in test_x: def test_x(): assert not [1]"),
        (b"def test_x(): assert 3 in (n for n in [])", "left: 3, right: <generator"),
        (b"def test_x():\n    raise SystemExit(0)", "0 of 1 tests pass"),
        (HANG, "failed: test_x\npassed: test_y\nfirst failure: test_x: time-out"),
        (NAP, "failed: test_x\npassed: test_y\nfirst failure: test_x: time-out"),
        (b"def test_x():\n    import os; os._exit(0)", "without a report"),
        (b"def test_x():\n    import os, signal; os.kill(os.getpid(), 9)", "[exit code -9]"),
        (NO_REPR, "left: <R: its repr raises KeyError>"),
        (b"def test_x(): assert 'x' * 9000 == ''", "more]"),
        (SKIPPED, "1 of 1 tests pass"),
        (ONCE, "failed: test_x\npassed: test_y"),
    ],
)
def test_what_tests_can_be_like(space: Workspace, tests: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tests is NAP:
        monkeypatch.setattr(run_tests, "_WALL_S", 1.5)
    content = run(space, tests).content
    assert said in content and len(content) <= 2000
    assert "/tmp" not in content and "inner_test_runner" not in content


def test_another_file_and_none_at_all(space: Workspace) -> None:
    assert "No such file" in run(space, TESTS, path="nowhere.py").content
    assert run(space, TESTS, path="a\0b").error_kind == "invalid_arguments"
    assert "no tests in solution.py" in run(space, TESTS, path="solution.py").content


def test_the_work_directory_stays_as_it_is(space: Workspace) -> None:
    run(space, TESTS)
    assert [entry.path for entry in space.list()] == ["solution.py", "test_main.py"]


def test_the_report_keeps_to_the_budget(space: Workspace) -> None:
    many = "\n".join(f"def test_{'x' * 40}_{number}(): assert {number} == -1" for number in range(100)).encode()
    content = run(space, many, max_chars=500).content
    assert len(content) <= 500 and content.startswith("0 of 100 tests pass.") and "characters cut" in content
