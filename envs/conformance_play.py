"""What the rules of the contract play: the environment under test, steps in comparable form, mixes of actions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym
import numpy as np

from thinkact.envs.core import ToolEnv
from thinkact.envs.types import Conversation, Message
from thinkact.tools.base import sample_call

#: An id of the Gymnasium registry, or a callable that takes the constructor's keywords. Checks across
#: processes need a callable that pickles.
EnvSource = str | Callable[..., gym.Env[str, str]]

#: Actions that are mistakes in every environment. None of them may raise, pay, or end in silence.
MISTAKES = (
    "",
    "   ",
    "{}",
    "[]",
    "null",
    "I would rather not.",
    '{"python": ',
    '{"name": "no_such_tool", "arguments": {}}',
    '{"no_such_tool": "x"}',
    "<tool_call>not json</tool_call>",
    "<tool_call></tool_call>",
    "<think>only a thought",
    '{"name": 3}',
    '{"": 1e999}',
    '{"x": "\\ud800"}',
    '{"a": ' * 500 + "1" + "}" * 500,
    "{" * 5000,
    "x" * 50_000,
    " ".join(['{"submit": "x"}'] * 40),
)


@dataclass(frozen=True)
class Step:
    """What one turn gave, in comparable form."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: str

    @property
    def done(self) -> bool:
        """Whether the episode ended here."""
        return self.terminated or self.truncated

    @property
    def facts(self) -> dict[str, Any]:
        """The info dictionary."""
        return cast(dict[str, Any], json.loads(self.info))


@dataclass
class Subject:
    """The environment under test.

    Attributes:
        source: Id or factory.
        tasks: How many tasks a rule looks at where it looks at many.
        seed: Seed of everything that is drawn.
        kwargs: Constructor keywords for every environment made (difficulty knobs).
    """

    source: EnvSource
    tasks: int = 20
    seed: int = 0
    kwargs: dict[str, Any] = field(default_factory=dict)

    def make(self, **kwargs: Any) -> gym.Env[str, str]:
        """Make an environment as a user would, wrappers included."""
        kwargs = {**self.kwargs, **kwargs}
        if isinstance(self.source, str):
            return cast("gym.Env[str, str]", gym.make(self.source, **kwargs))
        return self.source(**kwargs)

    @contextmanager
    def open(self, **kwargs: Any) -> Iterator[ToolEnv[Any]]:
        """Make the bare environment and close it afterwards."""
        env = self.make(**kwargs)
        try:
            yield cast("ToolEnv[Any]", env.unwrapped)
        finally:
            env.close()

    def rng(self, salt: int) -> np.random.Generator:
        """Return a generator of its own for one rule."""
        return np.random.default_rng([self.seed, salt])


def take(env: ToolEnv[Any], action: str) -> Step:
    """Take one step; refuses info that is not plain, storable JSON."""
    observation, reward, terminated, truncated, info = env.step(action)
    text = json.dumps(info, allow_nan=False, sort_keys=True, ensure_ascii=False)
    text.encode()
    observation.encode()
    return Step(observation, reward, terminated, truncated, text)


def play(env: ToolEnv[Any], task_id: str, actions: Sequence[str]) -> list[Step]:
    """Reset to a task and play the actions until they or the episode end."""
    env.reset(options={"task_id": task_id})
    steps: list[Step] = []
    for action in actions:
        steps.append(take(env, action))
        if steps[-1].done:
            break
    return steps


def play_expert(env: ToolEnv[Any], task_id: str) -> tuple[list[str], list[Step]]:
    """Let the scripted expert play a task; returns its actions and what came of them."""
    prompt, info = env.reset(options={"task_id": task_id})
    expert = env.expert()
    conversation = Conversation("conformance", "", task_id, 0, info["tools"], messages=[Message("user", prompt)])
    actions: list[str] = []
    steps: list[Step] = []
    while not (steps and steps[-1].done):
        actions.append(expert.act([conversation])[0].text)
        steps.append(take(env, actions[-1]))
        conversation.messages += [Message("assistant", actions[-1]), Message("tool", steps[-1].observation)]
    return actions, steps


def random_actions(env: ToolEnv[Any], rng: np.random.Generator, *, final: bool = True) -> list[str]:
    """Draw as many schema-valid calls as an episode can take; ``final=False`` leaves terminal tools out."""
    schemas = [s for s in env.tool_schemas if final or not env.tools[s["function"]["name"]].terminal]
    return [sample_call(schemas, rng) for _ in range(env.task.limits.max_turns + 1)]


def action_mixes(env: ToolEnv[Any], task_id: str, rng: np.random.Generator) -> dict[str, list[str]]:
    """Return the action sequences on which rewards, determinism and snapshots are compared."""
    expert, _ = play_expert(env, task_id)
    work = random_actions(env, rng, final=False)
    mixed = [MISTAKES[int(rng.integers(len(MISTAKES)))], *expert[:-1], work[0], *expert]
    twice = [text for text in expert[:-1] for _ in range(2)] + work
    return {"expert": expert, "random": random_actions(env, rng), "mixed": mixed, "repeated": twice}


def empty_submissions(env: ToolEnv[Any]) -> list[str]:
    """Return, per terminal tool, a call that is valid and says nothing."""
    blank = {"string": "none", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    calls = []
    for schema in env.tool_schemas:
        function = schema["function"]
        if env.tools[function["name"]].terminal:
            parameters = function["parameters"]
            arguments = {
                name: parameters["properties"][name].get("enum", [None])[0]
                or blank.get(parameters["properties"][name].get("type"))
                for name in parameters.get("required", [])
            }
            calls.append(json.dumps({"name": function["name"], "arguments": arguments}))
    return calls


def difference(first: list[Step], second: list[Step]) -> str:
    """Say in which turn two episodes differ."""
    for turn, (a, b) in enumerate(zip(first, second, strict=False), 1):
        if a != b:
            return f"turn {turn} differs: {a} and {b}"
    return f"{len(first)} and {len(second)} turns"
