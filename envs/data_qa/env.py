"""``thinkact/DataQA-v0``: questions about real tables, answered with pandas or SQL in a sandbox.

The work directory holds data files as published (CSV, JSON, SQLite). The prompt names the files and asks two to
four questions about them; columns, codes and date formats have to be found out. The agent has a stateful
``python`` with pandas, ``answer(part, value)`` and ``submit()``.

Reward: the potential is the share of parts whose last answer is right; every step pays its change. What the
agent sees never says whether an answer was right, and a part takes two answers at most. Success is every part
right *and* submitted. Golds are computed in this process, in plain Python, from the verifier's own copy of the
tables: nothing that the agent does to its files changes them, and they never enter the sandbox.

Left out on purpose: a right number found by a wrong way counts as right.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from thinkact.envs.answer_sheet import AnswerTool, check_sheet
from thinkact.envs.core import Solution, chosen_levels
from thinkact.envs.data_qa.gen import LEVELS, NUMBERS, Problem, build, split_at, world_at
from thinkact.envs.data_qa.tables import WORLDS, world
from thinkact.envs.numbered import NumberedEnv, in_split
from thinkact.envs.types import Check, Limits, Split, Task
from thinkact.tools import Tool
from thinkact.tools.python import PythonTool
from thinkact.tools.submit import HandInTool
from thinkact.tools.workspace import LIMITS, Workspace

_LOOK = "import os\nfor name in sorted(os.listdir()):\n    print(name, open(name, 'rb').read(150))"


class DataQAEnv(NumberedEnv[Problem]):
    """Multi-part questions over real tables, with executed golds and typed answers.

    Args:
        level: Difficulty, or several to draw from: how many operations a question composes, from 1 (a filter
            and an aggregate) to 4 (pivots, windows, joins of three tables).
        worlds: Restricts the tables to these worlds (see :data:`~thinkact.envs.data_qa.tables.WORLDS`).
            None means all.
        split: Which tasks ``reset`` draws from; no question is in two splits.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.

    Raises:
        ValueError: On an unknown level, world, split, reward mode or render mode.
        DataMissing: When the data are not installed (``pip install "thinkact[data]"``).
    """

    family: ClassVar[str] = "DataQA"
    numbers: ClassVar[int] = NUMBERS

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (1, 2),
        worlds: Sequence[str] | None = None,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        levels = chosen_levels(level, tuple(LEVELS))
        if worlds is not None and (isinstance(worlds, str) or not worlds or not set(worlds) <= set(WORLDS)):
            raise ValueError(f"worlds must be one or more of {', '.join(WORLDS)}, not {worlds!r}.")
        self.levels = levels
        self.worlds = None if worlds is None else tuple(worlds)
        for key in WORLDS:
            world(key)  # a missing package is told now and not in the middle of a run
        super().__init__(split=split, reward=reward, render_mode=render_mode)

    def _make_tools(self) -> Sequence[Tool]:
        self._workspace = Workspace(LIMITS, profile="python-data")
        self._python = PythonTool(workspace=self._workspace)
        self._sheet = AnswerTool()
        self._submit = HandInTool("Hand in the parts answered so far. Ends the episode.")
        return [self._python, self._sheet, self._submit]

    def _offers(self, level: int, number: int) -> bool:
        # Split and world are known without building the task.
        wanted = split_at(level, number) == self.split and (
            self.worlds is None or world_at(level, number) in self.worlds
        )
        return wanted and super()._offers(level, number)

    def _problem(self, split: Split, level: int, number: int) -> Problem | None:
        return in_split(build(level, number), split)

    def _limits(self, problem: Problem) -> Limits:
        return Limits(max_turns=6 + 3 * len(problem.parts), max_invalid=3, max_chars=2000)

    def _begin(self, task: Task, hidden: Problem) -> None:
        self._workspace.reset(world(hidden.world).files)
        self._sheet.reset(len(hidden.parts))
        self._submit.reset()

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        return check_sheet([part.gold for part in hidden.parts], self._sheet)

    def _success(self, checks: Sequence[Check]) -> bool:
        return self._submit.submitted and super()._success(checks)

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        """Look, compute with pandas or SQL in the sandbox, and hand in what the sandbox printed."""
        yield _call(
            "python", "import os\nfor name in sorted(os.listdir()):\n    print(name, open(name, 'rb').read(150))"
        )
        for number, part in enumerate(hidden.parts, 1):
            printed = yield _call("python", part.code)
            value = printed.strip().split("\n")[-1]
            yield json.dumps({"answer": {"part": number, "value": value}}, ensure_ascii=False)
        yield json.dumps({"submit": {}})


def _call(tool: str, argument: str) -> str:
    return json.dumps({tool: argument}, ensure_ascii=False)
