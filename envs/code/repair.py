"""``thinkact/CodeRepair-v0``: real library code with one bug, visible tests that fail, hidden tests that score.

The functions come from pinned permissive libraries (more-itertools, toolz, boltons, funcy, inflection, humanize, and
the classes of sortedcontainers: the extra ``code``), the bugs from a catalogue of small semantic edits that tests were
shown to betray (:mod:`thinkact.envs.code.repair_pool`). See :mod:`thinkact.envs.code.env` for tools, potential and
success.

Left out on purpose: a repair that is right on every hidden input but wrong elsewhere counts as right; slow code
is not told from fast code below the time-out.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal, cast

import numpy as np

from thinkact.envs.code import repair_tasks as tasks
from thinkact.envs.code.env import CodeEnv, Problem
from thinkact.envs.code.repair_pool import LIBRARIES, catalogue_digest, check_versions
from thinkact.envs.core import chosen_levels
from thinkact.envs.types import Split, Task

_TASK_ID = re.compile(r"(train|eval|hidden)/([0-9])/(0|[1-9][0-9]{0,5})")


class CodeRepairEnv(CodeEnv):
    """Find and repair one bug in a work tree.

    Args:
        level: Difficulty, or several to draw from: 0 one function that is wrong on most inputs, 1 one function
            that is wrong on few, 2 a module of several functions, 3 a package of several files, 4 a method of
            a class of sortedcontainers, whose modules are thousands of lines (in the train split only).
        shell: Whether there is a ``shell`` tool too.
        split: Which tasks ``reset`` draws from.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.

    Raises:
        ValueError: On an unknown level, split, reward mode or render mode, or a level without tasks in the split.
        MissingLibrary: The extra ``code`` is not installed, or in other versions.
    """

    family: ClassVar[str] = "code-repair"

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (0, 1),
        shell: bool = False,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        self.levels = chosen_levels(level, (*tasks.LEVELS, tasks.CLASS_LEVEL))
        check_versions()
        super().__init__(shell=shell, split=split, reward=reward, render_mode=render_mode)
        if split != "train" and tasks.CLASS_LEVEL in self.levels:
            raise ValueError(f"level {tasks.CLASS_LEVEL} has tasks in the train split only, not in {split!r}.")

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        return tasks.draw(self.split, self.levels, rng)

    def _build_task(self, task_id: str) -> tuple[Task, Problem]:
        match = _TASK_ID.fullmatch(task_id)
        problem = tasks.build(cast(Split, match[1]), int(match[2]), int(match[3])) if match else None
        if problem is None:
            raise KeyError(task_id)
        return problem.task, problem

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that the tasks are cut from, and which catalogue breaks them."""
        libraries = {name: version for name, version, _ in LIBRARIES.values()}
        return {**super().versions(), **libraries, "catalogue": catalogue_digest()}
