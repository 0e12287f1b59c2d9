"""``MiniWoB-v0``: the tasks of MiniWoB++, through the same browser as every other page."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field

from thinkact.envs.core import Solution, ToolEnv
from thinkact.envs.miniwob import catalogue
from thinkact.envs.miniwob.browser import MiniWobBrowser
from thinkact.envs.miniwob.experts import SCRIPTS
from thinkact.envs.miniwob.reading import Hand
from thinkact.envs.types import Check, EnvironmentFault, Limits, Split, Task
from thinkact.tools import Tool, ToolContext, ToolResult
from thinkact.tools.browser import BrowserOptions, browser_tools

#: The calls of the browser that one page needs: nothing here is reached by an address or in another tab.
_CALLS = ("click", "fill", "select", "check", "press", "scroll", "hover", "click_at")
#: Characters of a page; only those of the airlines have more.
_PAGE_CHARS = 8000
#: Every split has seeds of its own; so many of each.
SEEDS = 1_000_000
_FIRST_SEED: dict[Split, int] = {"train": 0, "eval": SEEDS, "hidden": 2 * SEEDS}


@dataclass(frozen=True)
class _Hidden:
    name: str
    seed: int


class Wait(BaseModel):
    """Arguments of ``wait``."""

    model_config = {"extra": "forbid"}

    seconds: float = Field(default=1.0, description="How long, by the page's clock.", ge=0.1, le=10)


class _TimedTool:
    """A call that takes time on the page; after the task's end it does nothing."""

    terminal = False

    def __init__(self, env: MiniWoBEnv, name: str, arguments: type[BaseModel], description: str) -> None:
        self._env, self.name, self.Arguments, self.description = env, name, arguments, description

    def run(self, args: Any, ctx: ToolContext) -> ToolResult:
        content, kind = self._env.act(self.name, args.model_dump())
        return ToolResult(call_id=ctx.call_id, content=content, error_kind=kind)

    def snapshot(self) -> None:
        """Return nothing: the environment has the history."""

    def restore(self, state: None) -> None:
        """Nothing to put back here."""

    def close(self) -> None:
        self._env.browser.handle.close()


class MiniWoBEnv(ToolEnv[_Hidden]):
    """Small tasks on a web page: click, type, choose, search, book. The foreign suite MiniWoB++, for comparison.

    The reward is the page's own raw reward (without the discount for time), from 0 to 1; what is below 0 counts 0.
    The page computes it, in the browser, as it does upstream: unlike in thinkact's own web families no server vouches
    for it. Agents have no call that runs code in the page.

    Args:
        split: ``train`` and ``eval`` have the same tasks and other seeds; ``hidden`` has tasks of its own.
        reward: ``"step"`` or ``"outcome"``; the same here, since a page pays at the end only.
        tasks: ``"text"``: the tasks that need no pixels and no drags (see docs/miniwob.md); ``"all"``; or names such
            as ``click-test,email-inbox``, of which those of the split are drawn.
        pixels: Also give the call ``click_at``, for agents that see the page.
        max_turns: Turns of an episode; by default what the task needs, with room.
        headful: Show the browser's window.
        render_mode: ``"ansi"``, ``"rgb_array"`` (the page as it looks) or None.

    Raises:
        ValueError: On a task that does not exist, when none of them is in the split, and on a budget below 1.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # type: ignore[misc]
    family: ClassVar[str] = "miniwob"

    def __init__(
        self,
        *,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        tasks: str | Sequence[str] = "text",
        pixels: bool = False,
        max_turns: int | None = None,
        headful: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if max_turns is not None and max_turns < 1:
            raise ValueError(f"max_turns must be 1 or more, not {max_turns}.")
        options = BrowserOptions(width=500, height=320, page_chars=_PAGE_CHARS, refs="all", headful=headful)
        self.browser = MiniWobBrowser(options)
        self._pixels, self._max_turns = pixels, max_turns
        self._history: list[tuple[str, str]] = []
        self._page = ""
        super().__init__(split=split, reward=reward, render_mode=render_mode)
        self._names = chosen_tasks(tasks, split)

    def _make_tools(self) -> Sequence[Tool]:
        found = {tool.name: tool for tool in browser_tools(self.browser.handle, pixels=self._pixels)}
        calls = [(found[name].Arguments, found[name].description, name) for name in _CALLS if name in found]
        calls.append((Wait, "Let time pass on the page.", "wait"))
        return [_TimedTool(self, name, arguments, description) for arguments, description, name in calls]

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        name = self._names[int(rng.integers(len(self._names)))]
        return f"{self.split}/{name}/{_FIRST_SEED[self.split] + int(rng.integers(SEEDS))}"

    def _build_task(self, task_id: str) -> tuple[Task, _Hidden]:
        split, _, rest = task_id.partition("/")
        name, _, digits = rest.rpartition("/")
        if split not in _FIRST_SEED or name not in catalogue.TASKS or not digits.isascii() or not digits.isdigit():
            raise KeyError(task_id)
        seed = int(digits) if len(digits) < 12 else -1
        if name not in catalogue.names(split) or str(seed) != digits or seed // SEEDS != _FIRST_SEED[split] // SEEDS:
            raise KeyError(task_id)
        limits = Limits(max_turns=self._max_turns or catalogue.turns(name), max_chars=_PAGE_CHARS + 500)
        task = Task(id=task_id, family=self.family, split=split, seed=seed, prompt=name, limits=limits)
        return task, _Hidden(name, seed)

    def _begin(self, task: Task, hidden: _Hidden) -> None:
        self._history = []
        self._page = self.browser.open(hidden.name, hidden.seed)
        # The goal is drawn by the page; the task is complete when it has said it.
        self._task = task.model_copy(update={"prompt": self.browser.state.goal})

    def _opening(self, task: Task) -> str:
        return f"{self.task.prompt}\n\n{self._page}"

    def act(self, tool: str, arguments: dict[str, Any]) -> tuple[str, Any]:
        """Do one call of the browser and remember it; for the tools."""
        if self.browser.state.done:
            return "The task is over.", None
        self._history.append((tool, json.dumps(arguments, sort_keys=True)))
        self._page, kind = self.browser.act(tool, arguments)
        return self._page, kind

    def pass_time(self, seconds: float) -> bool:
        """Let the page's time pass outside of any turn, for a person who works in the window; tell whether it ended."""
        if not self.browser.state.done:
            self.browser.act("wait", {"seconds": seconds})
        return self.browser.state.done

    def _run(self, calls: Sequence[Any]) -> tuple[list[ToolResult], bool]:
        results, _ = super()._run(calls)
        return results, self.browser.state.done

    def _checks(self, task: Task, hidden: _Hidden) -> Sequence[Check]:
        state = self.browser.state
        paid = min(1.0, max(0.0, state.reward)) if state.done else 0.0
        said = f"raw reward {state.reward:g}{' ' + state.reason if state.reason else ''}" if state.done else "not over"
        checks = [Check(name="paid by the page", weight=paid, passed=True, evidence=said)] if paid else []
        if paid < 1.0:
            checks.append(Check(name="withheld by the page", weight=1.0 - paid, passed=False, evidence=said))
        return checks

    def _solution(self, task: Task, hidden: _Hidden) -> Solution:
        if hidden.name not in SCRIPTS:
            raise EnvironmentFault(f"no script solves {hidden.name}: {catalogue.BEYOND_TEXT[hidden.name]}.")
        return SCRIPTS[hidden.name](Hand(self.task.prompt, self._page))

    def _family_state(self) -> Any:
        return tuple(self._history), self._page

    def _set_family_state(self, state: Any) -> None:
        """Do again what led here: a page's scripts hold state that no value does."""
        history, page = state
        try:
            for tool, arguments in history:
                self.act(tool, json.loads(arguments))
        except Exception as error:
            raise EnvironmentFault(f"restore of {self.task.id}: {error}") from error
        if self._page != page:
            self._episode.done = True
            raise EnvironmentFault(f"restore of {self.task.id}: the page came out otherwise.")

    def versions(self) -> dict[str, str]:
        """Return what a reader must know to repeat an episode."""
        from importlib.metadata import version

        return {**super().versions(), "miniwob": version("miniwob")}

    def render(self) -> Any:
        """Return the transcript (``"ansi"``) or the page's pixels, height x width x 3 (``"rgb_array"``)."""
        if self.render_mode != "rgb_array":
            return super().render()
        from PIL import Image

        with Image.open(io.BytesIO(self.browser.handle.screenshot())) as image:
            return np.asarray(image.convert("RGB"))


def numbered_task(name: str, number: int) -> str:
    """Return the id of an instance of a task, in the split that has it: ``hidden``, or else ``train``."""
    split: Split = "hidden" if name in catalogue.HIDDEN else "train"
    return f"{split}/{name}/{_FIRST_SEED[split] + number}"


def chosen_tasks(tasks: str | Sequence[str], split: Split) -> tuple[str, ...]:
    """Return the names that a knob asks for, within a split.

    Raises:
        ValueError: One of them does not exist, or none is in the split.
    """
    known = catalogue.names(split)
    if tasks == "all":
        return known
    if tasks == "text":
        return tuple(name for name in known if name not in catalogue.BEYOND_TEXT)
    wanted = tuple(tasks.split(",")) if isinstance(tasks, str) else tuple(tasks)
    for name in wanted:
        if name not in catalogue.TASKS:
            raise ValueError(
                f"tasks: MiniWoB has no task {name!r}; thinkact.envs.miniwob.catalogue.TASKS has them all."
            )
    here = tuple(name for name in wanted if name in known)
    if not here:
        raise ValueError(f"tasks: none of {', '.join(wanted) or 'nothing'} is in the split {split!r}.")
    return here
