"""``thinkact/Math-v0``: mathematical problems with a Python tool, verified exactly.

A task is two or three problems of different kinds, drawn from reasoning-gym's generators. The agent has a
stateful, isolated ``python`` (standard library), ``answer(part, value)`` and ``submit()``.

Reward: the potential is the share of problems whose last answer is right; every step pays its change. What the
agent sees never says whether an answer was right, and a problem takes two answers at most. Success is every
problem right *and* submitted. Answers are verified in this process by thinkact's own rules (see
:mod:`thinkact.envs.math.checks`); format alone pays nothing, a partly right grid pays nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from thinkact.envs.answer_sheet import AnswerTool, part_checks
from thinkact.envs.core import Solution, chosen_levels
from thinkact.envs.math.tasks import LEVELS, NUMBERS, Problem, build, require, split_at
from thinkact.envs.numbered import NumberedEnv, in_split
from thinkact.envs.types import Check, Limits, Split, Task
from thinkact.tools import Tool
from thinkact.tools.python import PythonTool
from thinkact.tools.submit import HandInTool


class MathEnv(NumberedEnv[Problem]):
    """Problems from reasoning-gym's generators with exact verifiers and a Python tool.

    Args:
        level: Difficulty, or several to draw from: 1 (two small problems) to 3 (three large ones).
        split: Which tasks ``reset`` draws from; no problem is in two splits.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.

    Raises:
        ValueError: On an unknown level, split, reward mode or render mode.
        GeneratorsMissing: When reasoning-gym is not installed (``pip install "thinkact[math]"``).
    """

    family: ClassVar[str] = "Math"
    numbers: ClassVar[int] = NUMBERS

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (1, 2),
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        levels = chosen_levels(level, tuple(LEVELS))
        require()
        self.levels = levels
        super().__init__(split=split, reward=reward, render_mode=render_mode)

    def _make_tools(self) -> Sequence[Tool]:
        self._python = PythonTool()
        self._sheet = AnswerTool()
        self._submit = HandInTool("Hand in the parts answered so far. Ends the episode.")
        return [self._python, self._sheet, self._submit]

    def _offers(self, level: int, number: int) -> bool:
        # A split is known without building the task.
        return split_at(level, number) == self.split and super()._offers(level, number)

    def _problem(self, split: Split, level: int, number: int) -> Problem | None:
        return in_split(build(level, number), split)

    def _limits(self, problem: Problem) -> Limits:
        return Limits(max_turns=4 + 3 * len(problem.parts), max_invalid=3, max_chars=1500)

    def _begin(self, task: Task, hidden: Problem) -> None:
        self._python.reset()
        self._sheet.reset(len(hidden.parts))
        self._submit.reset()

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        given = [self._sheet.last(number) for number in range(1, len(hidden.parts) + 1)]
        right = [text is not None and part.accepts(text) for part, text in zip(hidden.parts, given, strict=True)]
        return part_checks(right, given)

    def _success(self, checks: Sequence[Check]) -> bool:
        return self._submit.submitted and super()._success(checks)

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        """Try the tool once, then fill in the sheet."""
        yield json.dumps({"python": f"answers = {[part.answer for part in hidden.parts]!r}\nlen(answers)"})
        for number, part in enumerate(hidden.parts, 1):
            yield json.dumps({"answer": {"part": number, "value": part.answer}}, ensure_ascii=False)
        yield json.dumps({"submit": {}})
