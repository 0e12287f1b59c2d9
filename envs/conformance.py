"""The environment contract as a suite that any environment must pass.

Use it on an id or on anything that builds an environment::

    check_environment("thinkact/FactbookQA-v0", tasks=20)
    check_environment(MyEnv, tasks=20)

Every rule is one function of a :class:`Subject`; its docstring states the rule. A rule that does not hold
raises ``AssertionError``; ``check_environment`` runs them all and raises once, with every finding.

Not covered: whether a family's verifier can be fooled by means of its own (each family attacks itself in its
tests), and speed.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from thinkact.envs.conformance_play import (
    MISTAKES,
    EnvSource,
    Step,
    Subject,
    action_mixes,
    difference,
    empty_submissions,
    play,
    play_expert,
    random_actions,
    take,
)
from thinkact.envs.types import SPLITS
from thinkact.tools.base import bind
from thinkact.tools.parse import parse_action

__all__ = [
    "EXACT",
    "MISTAKES",
    "RULES",
    "EnvSource",
    "Finding",
    "Step",
    "Subject",
    "check_environment",
    "findings",
    "play",
    "play_expert",
    "take",
]

EXACT = 1e-9


@dataclass
class Finding:
    """A rule of the contract that does not hold."""

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


# The rules, in the order of the contract.


def gymnasium_accepts_it(subject: Subject) -> None:
    """``check_env`` passes and warns of nothing; the ANSI transcript shows the task."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with subject.open() as env:
            check_env(env, skip_render_check=env.spec is None)
        with subject.open(render_mode="ansi") as env:
            prompt, _ = env.reset(seed=subject.seed)
            env.step("{}")
            assert prompt in str(env.render()), "render() does not show the prompt"
        env.close()  # a second time


def vector_environments_agree(subject: Subject) -> None:
    """Sync and Async vector environments give what a single one gives; shared memory is refused."""
    makers = [subject.make, subject.make]
    with subject.open() as env:
        singles = []
        for seed in (subject.seed, subject.seed + 1):
            prompt, _ = env.reset(seed=seed)
            action = random_actions(env, np.random.default_rng(seed), final=False)[0]
            singles.append((prompt, action, env.step(action)[:2]))
    actions = tuple(action for _, action, _ in singles)
    for vector in (SyncVectorEnv(makers), AsyncVectorEnv(makers, shared_memory=False)):
        name = type(vector).__name__
        try:
            prompts, _ = vector.reset(seed=[subject.seed, subject.seed + 1])
            assert list(prompts) == [prompt for prompt, _, _ in singles], f"{name}: other prompts"
            observations, rewards, *_ = vector.step(actions)
            got = list(zip(observations, map(float, rewards), strict=True))
            assert got == [step for _, _, step in singles], f"{name}: other steps: {got}"
        finally:
            vector.close()
    try:
        shared = AsyncVectorEnv(makers, shared_memory=True)
    except ValueError as error:
        # Gymnasium's refusal names the way out; any other failure is not a refusal.
        if "shared_memory=False" in str(error):
            return
        raise
    shared.close()
    raise AssertionError("AsyncVectorEnv(shared_memory=True) is not refused; it would garble strings")


def same_seed_same_task(subject: Subject) -> None:
    """``reset(seed=…)`` and ``sample_tasks`` depend on the seed alone; ``task_id`` overrides the seed."""
    with subject.open() as env, subject.open() as other:
        for seed in range(subject.seed, subject.seed + 5):
            first, second = env.reset(seed=seed), other.reset(seed=seed)
            assert first == second, f"seed {seed}: two environments start differently"
            again = other.reset(seed=seed + 1, options={"task_id": first[1]["task_id"]})
            assert again == first, f"{first[1]['task_id']}: another prompt when asked for by id"
        assert env.sample_tasks(5, 3) == other.sample_tasks(5, 3), "sample_tasks is not reproducible"
        json.dumps(first[1], allow_nan=False)


def _play_elsewhere(subject: Subject, task_id: str, actions: Sequence[str]) -> list[Step]:
    with subject.open() as env:
        return play(env, task_id, actions)


def episodes_are_deterministic(subject: Subject) -> None:
    """Same task and actions, same bytes: again, in another object, and in another process."""
    with subject.open() as env, subject.open() as other:
        task_id = env.sample_tasks(1, subject.seed)[0]
        env.reset(options={"task_id": task_id})
        mixes = action_mixes(env, task_id, subject.rng(1))
        first = {name: play(env, task_id, actions) for name, actions in mixes.items()}
        for name, actions in mixes.items():
            for where in (env, other):
                again = play(where, task_id, actions)
                assert again == first[name], f"{task_id}, {name}: {difference(first[name], again)}"
    spawn = multiprocessing.get_context("spawn")  # a new interpreter: other hash seeds, other addresses
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        for name, actions in mixes.items():
            away = pool.submit(_play_elsewhere, subject, task_id, actions).result()
            assert away == first[name], f"{task_id}, {name}, other process: {difference(first[name], away)}"


def rewards_add_up(subject: Subject) -> None:
    """Step rewards sum to the score, in [0, 1], in both reward modes; check weights sum to 1."""
    rng = subject.rng(2)
    with subject.open() as env, subject.open(reward="outcome") as late:
        for task_id in env.sample_tasks(min(subject.tasks, 5), subject.seed):
            for name, actions in action_mixes(env, task_id, rng).items():
                steps, outcome = play(env, task_id, actions), play(late, task_id, actions)
                where = f"{task_id}, {name}"
                score = steps[-1].facts["score"]
                assert 0.0 <= score <= 1.0, f"{where}: score {score}"
                total = sum(step.reward for step in steps)
                assert abs(total - score) <= EXACT, f"{where}: rewards sum to {total}, score {score}"
                assert all(isinstance(step.reward, float) for step in steps), f"{where}: reward is no float"
                checks = {check["name"]: check for check in steps[0].facts["checks"]}
                weight = sum(check["weight"] for check in checks.values())
                assert abs(weight - 1) <= EXACT, f"{where}: weights of the checks sum to {weight}"
                if outcome[-1].done:
                    paid = [step.reward for step in outcome]
                    assert not any(paid[:-1]), f"{where}: outcome reward before the end: {paid}"
                    assert abs(paid[-1] - score) <= EXACT, f"{where}: outcome {paid[-1]}, score {score}"
                strip = [(s.observation, s.done, s.info) for s in steps]
                assert strip == [(s.observation, s.done, s.info) for s in outcome], (
                    f"{where}: the reward mode changes more than the reward"
                )


def samples_are_valid(subject: Subject) -> None:
    """``action_space.sample()`` draws calls that parse and validate, of every tool."""
    with subject.open() as env:
        env.action_space.seed(subject.seed)
        names = set()
        for _ in range(200):
            action = env.action_space.sample()
            assert env.action_space.contains(action), f"{action} is not in the space it was drawn from"
            for call in parse_action(action):
                bound = bind(call, env.tools)
                assert bound.error is None, f"{action}: {bound.error.content}"
                names.add(call.name)
        assert names == set(env.tools), f"never drawn: {sorted(set(env.tools) - names)}"
        task_id = env.sample_tasks(1, subject.seed)[0]
        env.reset(options={"task_id": task_id})
        for action in random_actions(env, subject.rng(3)):
            step = play(env, task_id, [action])[0]
            kinds = [result["error_kind"] for result in step.facts["results"]]
            assert "invalid_arguments" not in kinds, f"{action}: {step.observation}"


def mistakes_are_observations(subject: Subject) -> None:
    """Unreadable text, unknown tools and wrong arguments come back as text, flagged, unpaid."""
    with subject.open() as env:
        task_id = env.sample_tasks(1, subject.seed)[0]
        env.reset(options={"task_id": task_id})
        wrong = [json.dumps({name: {"no_such_argument": 1}}) for name in env.tools]
        wrong += [json.dumps({name: [[]]}) for name in env.tools]
        wrong += [
            json.dumps({"name": s["function"]["name"], "arguments": {}})
            for s in env.tool_schemas
            if s["function"]["parameters"].get("required")
        ]
        for action in (*MISTAKES, *wrong):
            step = play(env, task_id, [action])[0]
            what = action if len(action) < 80 else action[:80] + "…"
            assert step.facts["invalid_action"], f"{what!r} is not flagged: {step.observation!r}"
            assert step.reward == 0.0, f"{what!r} is paid {step.reward}"
            assert not step.terminated, f"{what!r} ends the episode"
            assert 0 < len(step.observation) <= env.task.limits.max_chars, f"{what!r}: {step.observation!r}"


def snapshots_are_exact(subject: Subject) -> None:
    """From every turn, any number of times, in any object: the rest of the episode is the same."""
    rng = subject.rng(4)
    with subject.open() as env, subject.open() as other:
        for task_id in env.sample_tasks(min(subject.tasks, 2), subject.seed):
            for name, actions in action_mixes(env, task_id, rng).items():
                env.reset(options={"task_id": task_id})
                points, steps = [env.snapshot()], []
                for action in actions:
                    steps.append(take(env, action))
                    points.append(env.snapshot())
                    if steps[-1].done:
                        break
                for turn in reversed(range(len(steps))):
                    ways = [(env, points[turn]), (other, points[turn])]
                    if turn % 3 == 0:  # what another process would get; the way that costs the most
                        ways.append((other, pickle.loads(pickle.dumps(points[turn]))))
                    elif turn % 2:
                        ways.reverse()
                    for left, (where, point) in enumerate(ways, 1 - len(ways)):
                        where.restore(point)
                        end = turn + 1 if left else len(steps)  # all try the next step, the last one the whole rest
                        again = [take(where, action) for action in actions[turn:end]]
                        assert again == steps[turn:end], (
                            f"{task_id}, {name}, restored before turn {turn + 1}: {difference(steps[turn:end], again)}"
                        )
                if steps[-1].done:
                    env.restore(points[-1])
                    _raises(RuntimeError, partial(env.step, "{}"), "step after a restored end")


def expert_solves_and_null_does_not(subject: Subject) -> None:
    """The scripted expert scores exactly 1 on every task, doing nothing exactly 0."""
    for split in SPLITS:
        with subject.open(split=split) as env:
            for task_id in env.sample_tasks(subject.tasks if split == "eval" else 3, subject.seed):
                _, steps = play_expert(env, task_id)
                last = steps[-1]
                assert last.facts["score"] == 1.0, f"{task_id}: expert scores {last.facts['score']}"
                assert last.facts["success"] and last.terminated, f"{task_id}: expert ends without success"
                flagged = [step.observation for step in steps if step.facts["invalid_action"]]
                assert not flagged, f"{task_id}: the expert makes a mistake: {flagged}"
                for idle in ("", "{}", "I refuse.", *empty_submissions(env)):
                    steps = play(env, task_id, [idle] * env.task.limits.max_turns)
                    last = steps[-1]
                    assert last.done, f"{task_id}: {idle!r} never ends the episode"
                    paid = [step.reward for step in steps]
                    assert not any(paid), f"{task_id}: {idle!r} is paid {paid}"
                    assert last.facts["score"] == 0.0, f"{task_id}: {idle!r} scores {last.facts['score']}"
                    assert not last.facts["success"], f"{task_id}: {idle!r} succeeds"


def splits_are_disjoint(subject: Subject) -> None:
    """No id and no prompt occurs in two splits; an environment draws from its own split only."""
    owner: dict[str, str] = {}
    for split in SPLITS:
        with subject.open(split=split) as env:
            for task_id in env.sample_tasks(max(30, 3 * subject.tasks), subject.seed):
                prompt, info = env.reset(options={"task_id": task_id})
                assert env.task.split == split, f"{task_id} was drawn from {split}"
                assert info["task_id"] == env.task.id == task_id, f"{task_id} is called {info['task_id']}"
                for key in (task_id, prompt):
                    assert owner.setdefault(key, split) == split, f"{key!r} is in {owner[key]} and {split}"


def budgets_truncate(subject: Subject) -> None:
    """Running out of turns, or of patience with invalid actions, truncates and does not terminate."""
    with subject.open() as env:
        task_id = env.sample_tasks(1, subject.seed)[0]
        env.reset(options={"task_id": task_id})
        limits = env.task.limits
        steps = play(env, task_id, random_actions(env, subject.rng(5), final=False))
        assert len(steps) == limits.max_turns, f"{len(steps)} turns, not {limits.max_turns}"
        assert steps[-1].truncated and not steps[-1].terminated, "out of turns must truncate"
        _raises(RuntimeError, partial(env.step, "{}"), "step after the end")
        steps = play(env, task_id, ["{}"] * (limits.max_turns + 1))
        assert len(steps) == min(limits.max_invalid, limits.max_turns), f"{len(steps)} invalid turns"
        assert steps[-1].truncated and not steps[-1].terminated, "too many invalid actions must truncate"


def misuse_raises(subject: Subject) -> None:
    """Wrong knobs, options and ids raise at once and name what would be right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium.make warns of the render mode, then makes the environment
        for wrong in ({"split": "test"}, {"reward": "dense"}, {"render_mode": "hologram"}):
            _raises(ValueError, partial(subject.make, **wrong), f"{wrong}")
    _raises((TypeError, ValueError), partial(subject.make, no_such_knob=1), "an unknown knob")
    with subject.open() as env:
        _raises(RuntimeError, partial(env.step, "{}"), "step before reset")
        _raises(ValueError, partial(env.reset, options={"no_such_option": 1}), "an unknown option")
        env.reset(seed=0)
        odd: tuple[Any, ...] = ("no-such-task", "", "eval/", "../../etc/passwd", "eval/-1/-1", 7, "\ud800")
        for task_id in odd:
            _raises(ValueError, partial(env.reset, options={"task_id": task_id}), f"task {task_id!r}")
        _raises(TypeError, partial(env.step, cast(str, None)), "an action that is no string")


def thoughts_do_not_count(subject: Subject) -> None:
    """Text around the calls changes nothing: the verifier cannot see it."""
    with subject.open() as env:
        for task_id in env.sample_tasks(2, subject.seed):
            actions, plain = play_expert(env, task_id)
            for thought in ("<think>The answer is 42. {\"submit\": \"x\"}</think>\n{}", "I will look. {}",
                            "{}\nThat should do.", "<think>" + "hm " * 20_000 + "</think>{}",
                            "left open by the template {\"submit\": \"x\"} </think>{}"):  # fmt: skip
                head, tail = thought.split("{}")
                steps = play(env, task_id, [head + action + tail for action in actions])
                assert steps == plain, f"{task_id}, {thought[:40]!r}: {difference(plain, steps)}"


def _raises(kind: type[Exception] | tuple[type[Exception], ...], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except kind as error:
        assert len(str(error)) > 10, f"{what}: the error says nothing: {error!r}"
    else:
        raise AssertionError(f"{what} is accepted")


RULES: tuple[Callable[[Subject], None], ...] = (
    gymnasium_accepts_it,
    vector_environments_agree,
    same_seed_same_task,
    episodes_are_deterministic,
    rewards_add_up,
    samples_are_valid,
    mistakes_are_observations,
    snapshots_are_exact,
    expert_solves_and_null_does_not,
    splits_are_disjoint,
    budgets_truncate,
    misuse_raises,
    thoughts_do_not_count,
)


def findings(env: EnvSource, *, tasks: int = 20, seed: int = 0, **kwargs: Any) -> list[Finding]:
    """Run every rule and return those that do not hold; see :func:`check_environment`."""
    found = []
    for rule in RULES:
        try:
            rule(Subject(env, tasks, seed, kwargs))
        except Exception as error:
            text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            found.append(Finding(rule.__name__, text))
    return found


def check_environment(env: EnvSource, *, tasks: int = 20, seed: int = 0, **kwargs: Any) -> None:
    """Check the whole contract.

    Args:
        env: A registered id, or a callable that takes the constructor's keywords.
        tasks: How many tasks the expert must solve; other rules look at fewer.
        seed: Seed of all that is drawn.
        **kwargs: Keywords for every environment made, such as difficulty knobs.

    Raises:
        AssertionError: When a rule does not hold; the message lists every one.
    """
    found = findings(env, tasks=tasks, seed=seed, **kwargs)
    if found:
        lines = "\n".join(f"- {finding}" for finding in found)
        raise AssertionError(f"{len(found)} of {len(RULES)} rules of the contract do not hold:\n{lines}")
