"""``thinkact/Terminal-v0``: work on files with a shell, judged by what lies there in the end.

The agent finds a seeded work tree and one to four things to do in it: delete, rename, convert, count, pack, …,
among files that only look as if they were meant. After every turn the tree is read from outside, through the
sandbox's supervisor, and compared with what is wanted:

* every goal that holds is worth an equal share of 0.8;
* all goals holding and nothing left behind (no stray file or folder) is worth 0.2;
* as long as one file that was to stay is missing or altered (in content, mode or kind), nothing is worth
  anything: no goal can be bought with somebody else's files.

A goal never holds at the start. Folders that become empty may stay or go. Success is all of it *and* submitted.

Left out on purpose: dates and owners of files are not looked at; a hard link to a file counts as a copy of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from thinkact.envs.core import Solution, chosen_levels
from thinkact.envs.numbered import NumberedEnv, in_split
from thinkact.envs.terminal.tasks import LEVELS, NUMBERS, Problem, build
from thinkact.envs.terminal.tree import File, Survey, damage, leftovers, plain, preparation, read_tree
from thinkact.envs.types import Check, Limits, Split, Task
from thinkact.sandbox import Limits as SandboxLimits
from thinkact.tools import Tool
from thinkact.tools.files import EditFileTool, ListFilesTool, ReadFileTool, WriteFileTool
from thinkact.tools.python import PythonTool
from thinkact.tools.shell import ShellTool
from thinkact.tools.submit import HandInTool
from thinkact.tools.workspace import Workspace

_GOALS = 0.8
_LIMITS = SandboxLimits(
    wall_s=5.0,
    cpu_s=5,
    memory_bytes=512 << 20,
    processes=32,
    file_bytes=8 << 20,
    tmpfs_bytes=16 << 20,
    tmpfs_inodes=4096,
    output_bytes=64 << 10,
)


class TerminalEnv(NumberedEnv[Problem]):
    """File-system and text-processing tasks with a shell, verified by the final state from outside.

    Args:
        level: Difficulty, or several to draw from: 0 one goal among few files, 1 one among more, 2 two goals
            and awkward names, 3 three of which one may build on another, 4 four or five in a large tree.
        python: Whether the agent has the stateful ``python`` tool too.
        split: Which tasks ``reset`` draws from; ``hidden`` has templates of its own.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.

    Raises:
        ValueError: On an unknown level, split, reward mode or render mode.
    """

    family: ClassVar[str] = "terminal"
    numbers: ClassVar[int] = NUMBERS

    def __init__(
        self,
        *,
        level: int | tuple[int, ...] | list[int] = (0, 1, 2),
        python: bool = False,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        self.levels = chosen_levels(level, range(len(LEVELS)))
        self._python = python
        self._survey: Survey | None = None
        super().__init__(split=split, reward=reward, render_mode=render_mode)

    def _make_tools(self) -> Sequence[Tool]:
        self._workspace = space = Workspace(_LIMITS)
        self._done = HandInTool()
        tools: list[Tool] = [ShellTool(space), ListFilesTool(space), ReadFileTool(space), WriteFileTool(space)]
        tools.append(EditFileTool(space))
        if self._python:
            tools.append(PythonTool(workspace=space))
        return [*tools, self._done]

    def _problem(self, split: Split, level: int, number: int) -> Problem | None:
        return in_split(build(split == "hidden", level, number), split)

    def _limits(self, problem: Problem) -> Limits:
        return Limits(max_turns=4 + 4 * len(problem.goals), max_invalid=3, max_chars=1200)

    def _begin(self, task: Task, hidden: Problem) -> None:
        files = {path: node.data for path, node in hidden.start.items() if isinstance(node, File)}
        self._workspace.reset(files, prepare=preparation(hidden.start))
        self._done.submitted = False
        self._survey = None

    def _checks(self, task: Task, hidden: Problem) -> Sequence[Check]:
        self._survey = survey = read_tree(self._workspace)
        harmed = damage(hidden.start, hidden.changes, survey.tree)
        extra = leftovers(hidden.start, hidden.changes, survey.tree)
        done = [goal.done(survey.tree) for goal in hidden.goals]
        why = f"{len(harmed)} files that were to stay did not, {plain(harmed[0])} for one" if harmed else ""
        checks = [
            Check(
                name=f"goal {number}: {goal.name}",
                weight=_GOALS / len(done),
                passed=holds and not harmed,
                evidence=why or ("as wanted" if holds else "not as wanted"),
            )
            for number, (goal, holds) in enumerate(zip(hidden.goals, done, strict=True), 1)
        ]
        left = f"{len(extra)} things are left behind, {plain(extra[0])} for one" if extra else ""
        tidy = all(done) and not harmed and not extra
        checks.append(Check(name="tidy", weight=1 - _GOALS, passed=tidy, evidence=why or left or "nothing left behind"))
        return checks

    def _success(self, checks: Sequence[Check]) -> bool:
        return self._done.submitted and super()._success(checks)

    def _solution(self, task: Task, hidden: Problem) -> Solution:
        for goal in hidden.goals:
            yield json.dumps({"shell": goal.script})
        yield json.dumps({"name": "submit", "arguments": {}})

    def _state_key(self) -> str:
        """Two histories that leave the same files are the same state, unless something else remembers more.

        An interpreter does, and so may a folder in memory beside the work directory.
        """
        hoard = any("shm" in str(step.what) for step in self._workspace.journal)
        if self._python or hoard or self._survey is None or self._survey.digest is None:
            return super()._state_key()
        state = (self.task.id, self._survey.digest, self._done.submitted)
        return hashlib.blake2b(repr(state).encode(), digest_size=8).hexdigest()
