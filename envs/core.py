"""``ToolEnv``: the environment contract, once, for every family.

A family says which tasks there are, which tools an episode has, which facts its verifier checks and how a
scripted expert solves a task. Everything else (grammar, budgets, rewards as differences of a potential,
snapshots, rendering, faults) is here and the same for all.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import gymnasium as gym
import numpy as np

from thinkact.envs.knobs import chosen_levels
from thinkact.envs.scripted import ScriptedExpert, Solution
from thinkact.envs.snapshots import Progress, Snapshot
from thinkact.envs.spaces import TextSpace, ToolCallSpace
from thinkact.envs.types import SPLITS, Check, EnvironmentFault, Split, StepReward, Task
from thinkact.sandbox import SandboxFault
from thinkact.tools import Tool, ToolContext, ToolResult, clip, parse_action, tool_schema
from thinkact.tools.base import bind
from thinkact.tools.workspace import Workspace

__all__ = ["ScriptedExpert", "Snapshot", "Solution", "ToolEnv", "chosen_levels"]

HiddenT = TypeVar("HiddenT")


class ToolEnv(gym.Env[str, str], Generic[HiddenT]):
    """A Gymnasium environment whose actions are tool calls and whose rewards are verified.

    Args:
        split: Which tasks ``reset`` draws from. Splits never share a task.
        reward: ``"step"`` pays every turn the change of the potential; ``"outcome"`` pays the same total
            on the last turn.
        render_mode: ``"ansi"`` (the transcript) or None.

    Raises:
        ValueError: On an unknown split, reward mode or render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]
    #: Family name and version; both go into every episode's record.
    family: ClassVar[str]
    version: ClassVar[str] = "0"
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments: :meth:`fork` makes another environment like this one."""
        env = super().__new__(cls)
        env._made_with = (args, kwargs)
        return env

    def __init__(
        self,
        *,
        split: Split = "train",
        reward: Literal["step", "outcome"] = "step",
        render_mode: str | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}.")
        if reward not in ("step", "outcome"):
            raise ValueError(f"reward must be 'step' or 'outcome', not {reward!r}.")
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode must be {', '.join(map(repr, modes))} or None, not {render_mode!r}.")
        self.split: Split = split
        self.reward_mode = reward
        self.render_mode = render_mode
        self._tools: dict[str, Tool] = {tool.name: tool for tool in self._make_tools()}
        self.tool_schemas = [tool_schema(tool) for tool in self._tools.values()]
        self.action_space = ToolCallSpace(self.tool_schemas)
        self.observation_space = TextSpace(100_000)
        self._task: Task | None = None
        self._hidden: HiddenT | None = None
        self._episode = Progress(done=True)

    # What a family provides.

    def _make_tools(self) -> Sequence[Tool]:
        """Build the tools, once per environment object; they are reset by :meth:`_begin`."""
        raise NotImplementedError

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        """Draw a task id of ``self.split`` under the environment's difficulty knobs."""
        raise NotImplementedError

    def _build_task(self, task_id: str) -> tuple[Task, HiddenT]:
        """Build a task from its id alone. Raises ``KeyError`` when there is no such task."""
        raise NotImplementedError

    def _begin(self, task: Task, hidden: HiddenT) -> None:
        """Bring tools and family state to the start of an episode."""
        raise NotImplementedError

    def _opening(self, task: Task) -> str:
        """Return the first observation: the prompt, and what a family shows beside it."""
        return task.prompt

    def _checks(self, task: Task, hidden: HiddenT) -> Sequence[Check]:
        """Look at the state (never at action text) and say which facts hold. Weights sum to 1."""
        raise NotImplementedError

    def _success(self, checks: Sequence[Check]) -> bool:
        """Tell whether the task is solved; by default when every check passed."""
        return bool(checks) and all(check.passed for check in checks)

    def _solution(self, task: Task, hidden: HiddenT) -> Solution:
        """Solve the task: the scripted expert as a generator of actions."""
        raise NotImplementedError

    def _gold(self, task: Task, hidden: HiddenT) -> str | None:
        """Return the gold answer as text, or None where there is no such thing."""
        return None

    def versions(self) -> dict[str, str]:
        """Return what a reader must know to repeat an episode; families add to it (a corpus' fingerprint, say).

        Raises:
            EnvironmentFault: The isolation that the tools need is not to be had.
        """
        try:
            levels = {space.sandbox.level for space in self._workspaces()}
        except SandboxFault as error:
            raise EnvironmentFault(f"{self.family}: {error}") from error
        return {"sandbox": "; ".join(sorted(levels))} if levels else {}

    def _family_state(self) -> Any:
        """Return family state that is not in the tools; copied deeply into snapshots."""
        return None

    def _set_family_state(self, state: Any) -> None:
        """Put back what :meth:`_family_state` returned."""

    # Gymnasium.

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Picks the task (same seed, same episode) unless ``options`` names one.
            options: ``{"task_id": …}`` picks the task; nothing else is accepted.

        Returns:
            The opening (the task prompt first) and ``info`` with ``task_id``, ``tools`` (JSON schemas), ``score``,
            ``success``.

        Raises:
            ValueError: On an unknown option or task id.
            EnvironmentFault: When our infrastructure failed.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        task_id = options.pop("task_id", None)
        if options:
            raise ValueError(f"Unknown reset option {next(iter(options))!r}; 'task_id' is the only one.")
        if task_id is None:
            task_id = self._draw_task_id(self.np_random)
        self._start(str(task_id))
        info = {"task_id": self.task.id, "tools": self.tool_schemas, "score": 0.0, "success": False}
        return self._episode.opening, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run one turn: parse the calls, run the tools, verify the state, pay the difference.

        Args:
            action: Action text; see :mod:`thinkact.tools.parse` for the grammar.

        Returns:
            Observation, reward, terminated, truncated and ``info`` with ``checks`` (what changed and why),
            ``score``, ``success``, ``invalid_action``, ``calls``, ``results`` and ``state_key`` (equal for equal
            full states; group estimators compare steps by it).

        Raises:
            RuntimeError: When called before ``reset`` or after the episode's end.
            EnvironmentFault: When our infrastructure failed; the episode is lost, not scored.
        """
        episode, task = self._episode, self.task
        if episode.done:
            raise RuntimeError("The episode has ended; call reset() before step().")
        calls = parse_action(action)
        episode.turn += 1
        try:
            results, terminated = self._run(calls)
            checks = tuple(self._checks(task, self._hidden_part))
        except Exception as error:
            episode.done = True
            raise EnvironmentFault(f"{task.family} {task.id}, turn {episode.turn}: {error}") from error
        # A crash of the agent's own program is ordinary work; a call that could not be run is a mistake.
        invalid = any(result.error_kind not in (None, "tool_error", "timeout") for result in results)
        episode.invalid_in_a_row = episode.invalid_in_a_row + 1 if invalid else 0
        truncated = not terminated and (
            episode.turn >= task.limits.max_turns or episode.invalid_in_a_row >= task.limits.max_invalid
        )
        step_reward = self._pay(checks, invalid, last=terminated or truncated)
        before = set(episode.checks)
        changed = [check for check in checks if check not in before]
        episode.checks = checks
        episode.done = terminated or truncated
        observation = clip("\n".join(result.content for result in results), task.limits.max_chars)
        calls_text = "\n".join(call.model_dump_json(exclude_none=True) for call in calls)
        episode.transcript.append((calls_text, observation))
        info = {
            "task_id": task.id,
            "checks": [check.model_dump() for check in changed],
            "score": self._potential(checks),
            "success": self._success(checks),
            "invalid_action": invalid,
            "calls": [call.model_dump() for call in calls],
            "results": [result.model_dump() for result in results],
            "state_key": self._state_key(),
        }
        return observation, step_reward.value, terminated, truncated, info

    def render(self) -> Any:
        """Return the transcript of the episode so far (``render_mode="ansi"``)."""
        if self.render_mode is None:
            return None
        lines = [f"task {self.task.id}", self._episode.opening]
        for turn, (calls, observation) in enumerate(self._episode.transcript, 1):
            lines += [f"[{turn}] > {calls}", observation]
        return "\n".join(lines)

    def close(self) -> None:
        """End the episode and free the tools. Idempotent."""
        self._episode.done = True
        for tool in self._tools.values():
            tool.close()

    # thinkact's own.

    @property
    def task(self) -> Task:
        """The current task. Raises ``RuntimeError`` before the first ``reset``."""
        if self._task is None:
            raise RuntimeError("No task yet; call reset() first.")
        return self._task

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools by name."""
        return self._tools

    def sample_tasks(self, n: int, seed: int) -> list[str]:
        """Draw ``n`` distinct task ids of the split, reproducibly; fewer when the family has fewer."""
        rng = np.random.default_rng(seed)
        chosen: dict[str, None] = {}
        misses = 0
        while len(chosen) < n and misses < 50 + 20 * n:
            before = len(chosen)
            chosen[self._draw_task_id(rng)] = None
            misses += len(chosen) == before
        return list(chosen)

    def gold(self) -> str | None:
        """Return the current task's gold answer, for trainers that reward the gain of information per turn.

        It is never in an observation or in ``info``. None where a task has no answer text, and always None on the
        split ``hidden``.
        """
        return None if self.task.split == "hidden" else self._gold(self.task, self._hidden_part)

    def verify(self) -> tuple[tuple[Check, ...], float]:
        """Look at the state as it is now, outside of any turn; return the checks and what they are worth."""
        checks = tuple(self._checks(self.task, self._hidden_part))
        return checks, self._potential(checks)

    def expert(self) -> ScriptedExpert:
        """Return a policy that solves the current episode, from its start."""
        return ScriptedExpert(self._solution(self.task, self._hidden_part))

    def snapshot(self, *, live: bool = True) -> Snapshot:
        """Return this point of the episode. Raises ``RuntimeError`` before the first ``reset``.

        Args:
            live: Whether to hold paused copies of what runs, so that restoring is fast in this process.
        """
        episode, task = self._episode, self.task
        return Snapshot(
            task_id=task.id,
            turn=episode.turn,
            potential=episode.potential,
            invalid_in_a_row=episode.invalid_in_a_row,
            done=episode.done,
            checks=episode.checks,
            tools={name: tool.snapshot() for name, tool in self._tools.items()},
            family=copy.deepcopy(self._family_state()),
            transcript=tuple(episode.transcript),
            rng=copy.deepcopy(dict(self.np_random.bit_generator.state)),
            live=tuple(space.hold() for space in self._workspaces()) if live and not episode.done else (),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot taken here or in another environment of the same kind.

        Raises:
            EnvironmentFault: When a tool could not be brought back to exactly that state.
        """
        self._start(snapshot.task_id)
        try:
            for space, held in zip(self._workspaces(), snapshot.live, strict=False):
                if held is not None:
                    space.resume(held)  # where it does, the tools below find their history in place
            for name, state in snapshot.tools.items():
                self._tools[name].restore(state)
        except Exception as error:
            self._episode.done = True
            raise EnvironmentFault(f"restore of {snapshot.task_id}: {error}") from error
        self._set_family_state(copy.deepcopy(snapshot.family))
        self.np_random.bit_generator.state = copy.deepcopy(snapshot.rng)
        self._episode = Progress.at(snapshot, self._episode.opening)

    def fork(self) -> Self:
        """Return another environment that continues from here; the two share nothing afterwards.

        Raises:
            EnvironmentFault: When a tool could not be brought to exactly this state.
        """
        args, kwargs = self._made_with
        twin = type(self)(*args, **kwargs)
        twin.spec = self.spec
        try:
            twin.restore(self.snapshot())
        except BaseException:
            twin.close()
            raise
        return twin

    # Inside.

    def _workspaces(self) -> list[Workspace]:
        """Return the workspaces of the tools, each once."""
        spaces = (getattr(tool, "workspace", None) for tool in self._tools.values())
        return list({id(space): space for space in spaces if isinstance(space, Workspace)}.values())

    @property
    def _hidden_part(self) -> HiddenT:
        assert self._hidden is not None
        return self._hidden

    def _state_key(self) -> str:
        """Digest the full state: equal keys mean that the same futures are possible."""
        state = (
            self.task.id,
            {name: tool.snapshot() for name, tool in self._tools.items()},
            self._family_state(),
        )
        return hashlib.blake2b(repr(state).encode(), digest_size=8).hexdigest()

    def _start(self, task_id: str) -> None:
        try:
            self._task, self._hidden = self._build_task(task_id)
        except KeyError as error:
            raise ValueError(
                f"{self.family} has no task {task_id!r}; sample_tasks(n, seed) lists ids that exist."
            ) from error
        # Should _begin fail, the episode before must not go on under this task.
        self._episode = Progress(done=True)
        try:
            self._begin(self._task, self._hidden)
            opening = self._opening(self._task)
        except Exception as error:
            raise EnvironmentFault(f"{self.family} {task_id}, reset: {error}") from error
        self._episode = Progress(opening=opening)

    def _run(self, calls: Sequence[Any]) -> tuple[list[ToolResult], bool]:
        results: list[ToolResult] = []
        for call in calls:
            bound = bind(call, self._tools)
            if bound.tool is None or bound.args is None:
                assert bound.error is not None
                results.append(bound.error)
                continue
            context = ToolContext(call.id, self._episode.turn, self.task.limits.max_chars)
            result = bound.tool.run(bound.args, context)
            results.append(result)
            if bound.tool.terminal and result.error_kind is None:
                return results, True
        return results, False

    def _pay(self, checks: tuple[Check, ...], invalid: bool, *, last: bool) -> StepReward:
        episode = self._episode
        potential = self._potential(checks)
        if self.reward_mode == "outcome":
            value = potential if last else 0.0
        else:
            value = potential - episode.potential
        episode.potential = potential
        return StepReward(value=value, checks=checks, invalid=invalid)

    @staticmethod
    def _potential(checks: Sequence[Check]) -> float:
        total = math.fsum(check.weight for check in checks if check.passed)
        return 1.0 if total > 1 - 1e-9 else total  # weights such as 1/7 need not add up to 1 exactly
