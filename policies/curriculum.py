"""Curriculum: which kinds of tasks the next batch is made of, by what there is still to learn in each.

An *arm* is an environment with its knobs, for example one level of difficulty. With p the success of an arm over its
last attempts, its weight is p(1 - p): the variance of an attempt's outcome, which is what a group's advantages are made
of and is called its learnability (Rutherford et al., arXiv 2408.15099; for language models Foster et al., 2502.12272).
An arm without attempts counts as p = 1/2. Beside that every arm, also one that is closed or retired, has an equal part
of an exploration share, so that none starves and one that is forgotten comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from thinkact.policies.config_rollout import CurriculumConfig

#: What the configuration leaves open.
EXPLORE, WINDOW, RETIRE, PROMOTE = 0.1, 64, 0.9, 0.6

Status = Literal["open", "closed", "retired"]


class Curriculum:
    """Shares tasks out among arms. It draws nothing: the same outcomes give the same batches.

    Args:
        options: Mode and thresholds.
        arms: How many arms, from easy to hard.
    """

    def __init__(self, options: CurriculumConfig, arms: int) -> None:
        self.mode = options.mode
        self.explore = EXPLORE if options.explore is None else options.explore
        self.retire = RETIRE if options.retire is None else options.retire
        self.promote = PROMOTE if options.promote is None else options.promote
        self._window = WINDOW if options.window is None else options.window
        self._outcomes: list[deque[bool]] = [deque(maxlen=self._window) for _ in range(arms)]
        #: Tasks that each arm is owed; they sum to 0 between batches.
        self._owed = [0.0] * arms
        self._opened = 1 if options.mode == "staged" else arms

    def success(self, arm: int) -> float:
        """Success over the window, with one solved and one failed attempt added (Laplace's rule): 1/2 when unknown."""
        seen = self._outcomes[arm]
        return (sum(seen) + 1) / (len(seen) + 2)

    def status(self, arm: int) -> Status:
        """Whether the arm takes part, waits for the one before it, or has been learned."""
        if arm >= self._opened:
            return "closed"
        return "retired" if self.mode != "mix" and self._reached(arm, self.retire) else "open"

    def shares(self) -> list[float]:
        """Return the share of tasks that each arm gets; they sum to 1."""
        count = len(self._owed)
        if self.mode == "mix":
            return [1 / count] * count
        success = [self.success(arm) for arm in range(count)]
        weights = [p * (1 - p) if self.status(arm) == "open" else 0.0 for arm, p in enumerate(success)]
        total = sum(weights)
        if not total:  # all that is open has been learned
            return [1 / count] * count
        return [self.explore / count + (1 - self.explore) * weight / total for weight in weights]

    def plan(self, tasks: int) -> list[int]:
        """Return how many of the next batch's tasks come from each arm.

        What an arm is owed is carried over, so an arm with share s gets a task at least once in ceil(arms / (s·tasks))
        batches however small its share is.
        """
        for arm, share in enumerate(self.shares()):
            self._owed[arm] += share * tasks
        counts = [0] * len(self._owed)
        for _ in range(tasks):
            arm = max(range(len(counts)), key=self._owed.__getitem__)
            self._owed[arm] -= 1.0
            counts[arm] += 1
        return counts

    def observe(self, outcomes: Sequence[Sequence[bool]]) -> None:
        """Take note of a batch: per arm, whether each scored attempt solved its task."""
        for seen, new in zip(self._outcomes, outcomes, strict=True):
            seen.extend(new)
        while self._opened < len(self._outcomes) and self._reached(self._opened - 1, self.promote):
            self._opened += 1

    def _reached(self, arm: int, level: float) -> bool:
        seen = self._outcomes[arm]
        return len(seen) == self._window and sum(seen) >= level * self._window

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"outcomes": [list(seen) for seen in self._outcomes], "owed": list(self._owed), "opened": self._opened}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._outcomes = [deque(seen, maxlen=self._window) for seen in state["outcomes"]]
        self._owed, self._opened = list(state["owed"]), int(state["opened"])


def course_figures(course: Curriculum, names: Sequence[str], counts: Sequence[int]) -> dict[str, float]:
    """Return what a curriculum did with a batch: per arm its tasks, its success over the window, whether it is out."""
    found: dict[str, float] = {}
    if len(names) > 1:
        for arm, name in enumerate(names):
            found[f"tasks/{name}"] = float(counts[arm])
            found[f"window/{name}"] = course.success(arm)
            found[f"retired/{name}"] = float(course.status(arm) == "retired")
    return found
