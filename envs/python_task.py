"""``thinkact/PythonTask-v0``: write a function, try it out with a real Python, hand it in.

The task is a short text and two examples. The agent has a stateful, isolated ``python`` and a terminal
``submit``. What counts is the *candidate*, the source that defines ``f``:

* the successful ``python`` cells up to the last one that defines ``f`` at top level, one after the other;
  of a cell that failed only its imports and definitions count (so a crash while trying ``f`` out costs
  nothing); or
* the code given to ``submit``, where it is not empty.

Whenever the candidate changes, ``f`` is called on hidden inputs, each in a fresh interpreter of a sandbox
that the agent's session shares nothing with. Expected values come from a reference in this process and never
enter a sandbox. Every hidden test is one check; the potential is the fraction that passes. All expected
values of a task differ from each other and from the visible ones, and a candidate that passes no more tests
than a constant or ``return x`` could is paid nothing. Success is all tests passed *and* submitted.

Left out on purpose: correct but slow code is not told from fast code (below the time-out), and a candidate
that is right on most tests is paid for them although it is wrong.
"""

from __future__ import annotations

import ast
import json
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from thinkact.envs.core import Solution, chosen_levels
from thinkact.envs.numbered import NumberedEnv, in_split
from thinkact.envs.python_task_gen import LEVELS, NUMBERS, Problem, build, split_at
from thinkact.envs.types import Check, Limits, Split, Task
from thinkact.sandbox import CaseResult, json_equal
from thinkact.tools import Tool, ToolCall, ToolContext, ToolResult
from thinkact.tools.base import POSITIONAL
from thinkact.tools.python import PythonTool
from thinkact.tools.syntax import parse_python

#: Seconds per hidden test: milliseconds is usual, the rest is for busy machines. If the first one, an ordinary
#: input, takes longer, the others are not run.
CASE_TIMEOUT_S = 10.0
#: Verdicts kept per process: the rollouts of a group often write the same candidate.
_KEPT_VERDICTS = 4096
_FUNCTION = "f"


_parse_lock = threading.Lock()


def _after_fork() -> None:
    """Replace a lock that a thread of the parent may have held; that thread is not here to free it."""
    global _parse_lock
    _parse_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class SubmitCodeArguments(BaseModel):
    """Arguments of ``submit``."""

    code: str = Field(default="", description="Source that defines f; empty: what python has.", max_length=8000)

    model_config = {"extra": "forbid"}


class SubmitCodeTool:
    """Ends the episode; may bring the whole program along."""

    name = "submit"
    description = "Hand in f, as python has it or as code. Ends the episode."
    Arguments: type[BaseModel] = SubmitCodeArguments
    terminal = True

    def __init__(self) -> None:
        self.submitted = False
        self.code = ""

    def reset(self) -> None:
        """Forget what was handed in."""
        self.submitted, self.code = False, ""

    def run(self, args: SubmitCodeArguments, ctx: ToolContext) -> ToolResult:
        """Take the code, if any; the model is told, and may go on, if it does not define ``f``."""
        if args.code.strip() and not defines_f(args.code):
            message = "Error: the code does not define f(x). Nothing was handed in."
            return ToolResult(call_id=ctx.call_id, content=message, error_kind="tool_error")
        self.submitted, self.code = True, args.code.strip()
        return ToolResult(call_id=ctx.call_id, content="Submitted.")

    def snapshot(self) -> tuple[bool, str]:
        """Return what was handed in so far."""
        return self.submitted, self.code

    def restore(self, state: tuple[bool, str]) -> None:
        """Put back what :meth:`snapshot` returned."""
        self.submitted, self.code = state

    def close(self) -> None:
        """Nothing is held."""


class PythonTaskEnv(NumberedEnv[Problem]):
    """Functions to write, tried out with a sandboxed Python and verified by hidden tests.

    Args:
        level: Difficulty, or several to draw from: 0 one arithmetic step, 1 two or three, 2 lists and
            conditions, 3 strings and dicts, 4 small algorithms with edge cases.
        split: Which tasks ``reset`` draws from.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.

    Raises:
        ValueError: On an unknown level, split, reward mode or render mode.
    """

    family: ClassVar[str] = "python-task"
    numbers: ClassVar[int] = NUMBERS

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (1, 2),
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        self.levels = chosen_levels(level, tuple(LEVELS))
        self._candidate = ""
        self._cells: tuple[str, ...] = ()
        super().__init__(split=split, reward=reward, render_mode=render_mode)

    def _make_tools(self) -> Sequence[Tool]:
        self._python = PythonTool()
        self._submit = SubmitCodeTool()
        return [self._python, self._submit]

    def _offers(self, level: int, number: int) -> bool:
        # A split is known without building the task.
        return split_at(level, number) == self.split and super()._offers(level, number)

    def _problem(self, split: Split, level: int, number: int) -> Problem | None:
        return in_split(build(level, number), split)

    def _limits(self, problem: Problem) -> Limits:
        return Limits(max_turns=6, max_invalid=3, max_chars=800)

    def _begin(self, task: Task, hidden: Problem) -> None:
        self._python.reset()
        self._submit.reset()
        self._cells, self._candidate = (), ""

    def _run(self, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], bool]:
        results, terminated = super()._run(calls)
        for call, result in zip(calls, results, strict=False):
            if call.name == self._python.name and result.error_kind in (None, "tool_error", "timeout"):
                code = str(call.arguments.get("code", call.arguments.get(POSITIONAL, "")))
                self._note_cell(code, failed=result.error_kind is not None)
        if self._submit.code:
            self._candidate = self._submit.code
        return results, terminated

    def _note_cell(self, code: str, *, failed: bool) -> None:
        kept = definitions_of(code) if failed else code
        if kept.strip():
            self._cells += (kept,)
            if defines_f(kept):
                self._candidate = "\n".join(self._cells)

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        verdicts = self._verify(hidden) if self._candidate else ("no candidate",) * len(hidden.hidden)
        passed = sum(verdict == RIGHT for verdict in verdicts)
        paid = passed > hidden.floor
        weight = 1 / len(verdicts)
        return [
            Check(
                name=f"test {number}",
                weight=weight,
                passed=paid and verdict == RIGHT,
                evidence=verdict if paid or verdict != RIGHT else "right, as a constant would be",
            )
            for number, verdict in enumerate(verdicts, 1)
        ]

    def _success(self, checks: Sequence[Check]) -> bool:
        return self._submit.submitted and super()._success(checks)

    def _verify(self, problem: Problem) -> tuple[str, ...]:
        key = (problem.level, problem.number, self._candidate)
        known = _VERDICTS.get(key)
        if known is not None:
            return known
        inputs = [[given] for given, _ in problem.hidden]
        grader = self._python.sandbox
        results = grader.run_cases(self._candidate, _FUNCTION, inputs[:1], timeout=CASE_TIMEOUT_S)
        if results[0].run.status == "timeout":
            results = results * len(inputs)
        else:
            results += grader.run_cases(self._candidate, _FUNCTION, inputs[1:], timeout=CASE_TIMEOUT_S)
        verdicts = tuple(_verdict(result, wanted) for result, (_, wanted) in zip(results, problem.hidden, strict=True))
        if "time-out" not in verdicts:  # a busy machine must not condemn a candidate for good
            if len(_VERDICTS) >= _KEPT_VERDICTS:
                _VERDICTS.clear()
            _VERDICTS[key] = verdicts
        return verdicts

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        given = hidden.visible[0][0]
        yield json.dumps({"python": f"{hidden.source}\nprint(f({given!r}))"})
        yield json.dumps({"submit": ""})

    def _family_state(self) -> Any:
        return self._cells, self._candidate

    def _set_family_state(self, state: Any) -> None:
        self._cells, self._candidate = state


RIGHT = "right"
_VERDICTS: dict[tuple[int, int, str], tuple[str, ...]] = {}


def _verdict(result: CaseResult, wanted: object) -> str:
    """Say in fixed words how a case went: the program's own words could carry hidden inputs out."""
    if result.ok:
        return RIGHT if json_equal(result.value, wanted) else "wrong value"
    return {"timeout": "time-out", "oom": "out of memory"}.get(result.run.status, "no value")


def _parse(source: str) -> list[ast.stmt]:
    """Return the top-level statements; none where Python itself would not read the source."""
    with _parse_lock, warnings.catch_warnings():  # '\d' in the agent's code is no concern of our log
        warnings.simplefilter("ignore")
        try:
            return parse_python(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


def defines_f(source: str) -> bool:
    """Tell whether the source defines ``f`` at top level, by ``def`` or by assignment."""
    for node in _parse(source):
        if isinstance(node, ast.FunctionDef) and node.name == _FUNCTION:
            return True
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == _FUNCTION for target in targets):
            return True
    return False


def definitions_of(source: str) -> str:
    """Return only the imports, functions and classes of a source."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    try:
        return "\n".join(ast.unparse(node) for node in _parse(source) if isinstance(node, kinds))
    except RecursionError:
        return ""
