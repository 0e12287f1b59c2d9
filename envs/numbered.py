"""``NumberedEnv``: what the families share whose tasks are generated from a level and a number."""

from __future__ import annotations

import re
from typing import ClassVar, Protocol, TypeVar, cast

import numpy as np

from thinkact.envs.core import ToolEnv
from thinkact.envs.types import Limits, Split, Task

_TASK_ID = re.compile(r"(train|eval|hidden)/([0-9])/(0|[1-9][0-9]{0,8})")


class Numbered(Protocol):
    """What is generated from a level and a number."""

    @property
    def level(self) -> int:
        """How hard it is."""

    @property
    def number(self) -> int:
        """Which of its level; the task's seed."""

    @property
    def split(self) -> Split:
        """Where it belongs."""

    @property
    def prompt(self) -> str:
        """What the agent is told."""


ProblemT = TypeVar("ProblemT", bound=Numbered)


class NumberedEnv(ToolEnv[ProblemT]):
    """A family whose tasks are called ``split/level/number``.

    A family sets :attr:`levels` before ``ToolEnv.__init__`` and says which problem a number gives.
    """

    #: Numbers are drawn below this.
    numbers: ClassVar[int]
    #: To draw from.
    levels: tuple[int, ...]

    def _problem(self, split: Split, level: int, number: int) -> ProblemT | None:
        """Build a problem; None where a level and number give none in this split."""
        raise NotImplementedError

    def _limits(self, problem: ProblemT) -> Limits:
        """Return what an episode may take."""
        raise NotImplementedError

    def _offers(self, level: int, number: int) -> bool:
        """Tell whether ``reset`` may draw this; a family with more knobs adds to it."""
        return self._problem(self.split, level, number) is not None

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        level = self.levels[int(rng.integers(len(self.levels)))]
        while True:
            number = int(rng.integers(self.numbers))
            if self._offers(level, number):
                return f"{self.split}/{level}/{number}"

    def _build_task(self, task_id: str) -> tuple[Task, ProblemT]:
        match = _TASK_ID.fullmatch(task_id)
        problem = self._problem(cast(Split, match[1]), int(match[2]), int(match[3])) if match else None
        if problem is None:
            raise KeyError(task_id)
        task = Task(
            id=task_id,
            family=self.family,
            split=problem.split,
            seed=problem.number,
            prompt=problem.prompt,
            difficulty=float(problem.level),
            limits=self._limits(problem),
        )
        return task, problem


def in_split(problem: ProblemT | None, split: Split) -> ProblemT | None:
    """Return a problem where it belongs to a split."""
    return problem if problem is not None and problem.split == split else None
