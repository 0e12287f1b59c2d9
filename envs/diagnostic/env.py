"""``thinkact/Credit-v0``: the diagnostic worlds as an ordinary environment, for policies that read and write text."""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from thinkact.envs.core import Solution, ToolEnv
from thinkact.envs.diagnostic.mdp import World
from thinkact.envs.diagnostic.worlds import WORLDS, clairvoyant, happens, make_world
from thinkact.envs.types import SPLITS, Check, Limits, Split, Task
from thinkact.tools import Tool, ToolContext, ToolResult
from thinkact.tools.submit import HandInTool

_TASK_ID = re.compile(r"(train|eval|hidden)/([a-z-]{1,20})/([1-9][0-9]{0,2})/(0|[1-9][0-9]{0,8})")
#: Games per split: train has the first so many, eval the next, hidden those after.
_SEEDS = 100_000
_OVER = "It is over."


class Fate(NamedTuple):
    """A task's hidden part: where it starts, and which way luck falls on every turn."""

    world: World
    start: Hashable
    luck: tuple[float, ...]


class ActArguments(BaseModel):
    """Arguments of ``act``."""

    choice: int = Field(description="Number of the action.", ge=0, le=3)

    model_config = {"extra": "forbid"}


class ActTool:
    """The one thing that can be done: choose an action by its number."""

    name = "act"
    description = "Choose an action."
    Arguments: type[BaseModel] = ActArguments
    terminal = False

    def __init__(self) -> None:
        self.fate: Fate | None = None
        self.state: Hashable | None = None
        self.turn = 0
        self.earned = 0.0

    def reset(self, fate: Fate) -> None:
        """Start in a world."""
        self.fate, self.state, self.turn, self.earned = fate, fate.start, 0, 0.0

    def run(self, args: ActArguments, ctx: ToolContext) -> ToolResult:
        """Act; a number that no action of this world has does nothing."""
        assert self.fate is not None
        world = self.fate.world
        if self.state is None:
            return ToolResult(call_id=ctx.call_id, content=_OVER)
        if args.choice >= len(world.actions):
            message = f"Error: only {', '.join(world.actions)}."
            return ToolResult(call_id=ctx.call_id, content=message, error_kind="tool_error")
        reward, self.state = happens(world, self.state, args.choice, self.fate.luck[self.turn])
        self.earned += reward
        self.turn += 1
        if self.turn == world.horizon:
            self.state = None
        seen = _OVER if self.state is None else world.observe(self.state)
        return ToolResult(call_id=ctx.call_id, content=seen)

    def snapshot(self) -> tuple[Hashable | None, int, float]:
        """Return where the episode stands."""
        return self.state, self.turn, self.earned

    def restore(self, state: tuple[Hashable | None, int, float]) -> None:
        """Put back what :meth:`snapshot` returned."""
        self.state, self.turn, self.earned = state

    def close(self) -> None:
        """Nothing is held."""


@functools.lru_cache(maxsize=256)
def _world(name: str, horizon: int) -> World:
    return make_world(name, horizon)


class CreditEnv(ToolEnv[Fate]):
    """Small worlds in which exactly one thing makes credit hard, with the truth known.

    A task fixes where an episode starts and how luck falls, so somebody who knew it could always earn 1; an agent
    does not know it. Attempts at one task share their luck.

    Args:
        split: Which tasks ``reset`` draws from; the splits share no seed.
        reward: ``"step"`` or ``"outcome"``.
        render_mode: ``"ansi"`` or None.
        world: One or several of :data:`~thinkact.envs.diagnostic.worlds.WORLDS`.
        horizon: Turns of an episode, one number or several, 3 to 100.

    Raises:
        ValueError: On an unknown world, or a horizon out of range.
    """

    family: ClassVar[str] = "Credit"
    version: ClassVar[str] = "0"

    def __init__(
        self,
        *,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
        world: str | Sequence[str] = tuple(WORLDS),
        horizon: int | Sequence[int] = 8,
    ) -> None:
        super().__init__(split=split, reward=reward, render_mode=render_mode)
        self.worlds = (world,) if isinstance(world, str) else tuple(world)
        self.horizons = (horizon,) if isinstance(horizon, int) else tuple(horizon)
        if not self.worlds or not self.horizons:
            raise ValueError("world and horizon must name at least one each.")
        for name in self.worlds:
            for length in self.horizons:
                _world(name, length)

    def _make_tools(self) -> Sequence[Tool]:
        self._act = ActTool()
        self._submit = HandInTool("End the episode, once it is over.")
        return self._act, self._submit

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        name = self.worlds[int(rng.integers(len(self.worlds)))]
        horizon = self.horizons[int(rng.integers(len(self.horizons)))]
        return f"{self.split}/{name}/{horizon}/{SPLITS.index(self.split) * _SEEDS + int(rng.integers(_SEEDS))}"

    def _build_task(self, task_id: str) -> tuple[Task, Fate]:
        match = _TASK_ID.fullmatch(task_id)
        if match is None:
            raise KeyError(task_id)
        split: Split = match[1]  # type: ignore[assignment]
        horizon, seed = int(match[3]), int(match[4])
        if seed // _SEEDS != SPLITS.index(split):
            raise KeyError(task_id)
        try:
            world = _world(match[2], horizon)
        except ValueError as error:
            raise KeyError(task_id) from error
        rng = np.random.default_rng([seed, horizon])
        chances = np.array([p for p, _ in world.start])
        start = world.start[int(rng.choice(len(chances), p=chances / chances.sum()))][1]
        fate = Fate(world, start, tuple(rng.random(horizon).tolist()))
        task = Task(
            id=task_id,
            family=self.family,
            split=split,
            seed=seed,
            prompt=f"Game {seed}. {world.goal} Submit when it is over.\nYou see {world.observe(start)}",
            difficulty=float(horizon),
            limits=Limits(max_turns=horizon + 1, max_invalid=2, max_chars=200),
        )
        return task, fate

    def _begin(self, task: Task, hidden: Fate) -> None:
        self._act.reset(hidden)
        self._submit.reset()

    def _checks(self, task: Task, hidden: Fate) -> Sequence[Check]:
        earned = min(1.0, round(self._act.earned, 12))
        return (
            Check(name="earned", weight=earned, passed=True),
            Check(name="not earned", weight=round(1.0 - earned, 12), passed=False),
        )

    def _success(self, checks: Sequence[Check]) -> bool:
        assert self._act.fate is not None
        return checks[0].weight >= self._act.fate.world.enough - 1e-9

    def _state_key(self) -> str:
        # The turn is in the state where it counts; without it, coming back to a place is coming back. Luck is no part
        # of it, and so the same place is the same state in all games of a world.
        world = self._hidden_part.world
        return f"{world.name}/{world.horizon}|{self._act.state!r}"

    def _solution(self, task: Task, hidden: Fate) -> Solution:
        for choice in clairvoyant(hidden.world, hidden.luck, hidden.start)[1]:
            yield f'{{"act": {choice}}}'
        yield '{"submit": ""}'

    def exact(self) -> tuple[World, Any]:
        """Return the world and the current state, for those who measure credit."""
        return self._hidden_part.world, self._act.state
