"""The diagnostic worlds: exact answers against brute force and sampling, and the same world as an environment."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.envs.diagnostic.mdp import Mdp, Outcome, World, along_the_way, softmax
from thinkact.envs.diagnostic.worlds import WORLDS, clairvoyant, happens, make_world

NAMES = tuple(WORLDS)


def table(mdp: Mdp, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(mdp.uniform().shape)


def paths(world, pi, row, state, turn=0):
    """Every way an episode can go on: probability and return, by plain recursion over the rules."""
    if state is None or turn == world.horizon:
        yield 1.0, 0.0
        return
    for action in range(len(world.actions)):
        for p, then, reward in world.step(state, action):
            for q, rest in paths(world, pi, row, then, turn + 1):
                yield pi[row[world.observe(state)], action] * p * q, reward + rest


@pytest.mark.parametrize("name", NAMES)
def test_the_exact_value_is_that_of_enumerating_all_paths(name):
    world = make_world(name, 4)
    mdp = Mdp(world)
    pi = softmax(table(mdp, 1))
    row = {text: i for i, text in enumerate(mdp.observations)}
    total = sum(p0 * sum(p * r for p, r in paths(world, pi, row, state)) for p0, state in world.start)
    assert mdp.solve(pi).j == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("horizon", [3, 8])
def test_the_exact_gradient_is_the_slope_of_the_exact_value(name, horizon):
    mdp = Mdp(make_world(name, horizon))
    theta = table(mdp, 2)
    exact = mdp.solve(softmax(theta)).gradient
    for at in itertools.product(range(theta.shape[0]), range(theta.shape[1])):
        step = np.zeros_like(theta)
        step[at] = 1e-5
        slope = (mdp.solve(softmax(theta + step)).j - mdp.solve(softmax(theta - step)).j) / 2e-5
        assert exact[at] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_advantages_are_centred_and_explain_returns(name):
    mdp = Mdp(make_world(name, 8))
    pi = softmax(table(mdp, 3))
    exact = mdp.solve(pi)
    assert (pi[mdp.observation] * exact.advantage).sum(axis=1) == pytest.approx(0.0, abs=1e-12)
    assert exact.visits[mdp.layers[0]].sum() == pytest.approx(1.0)
    sample = mdp.sample(pi, 20_000, np.random.default_rng(0))
    returns = sample.rewards.sum(axis=1)
    assert abs(returns.mean() - exact.j) < 5 * returns.std() / np.sqrt(len(returns)) + 1e-9
    turns = np.arange(mdp.world.horizon)[None] < sample.length[:, None]
    counts = np.bincount(sample.states[turns], minlength=mdp.n_states) / len(returns)
    assert np.abs(counts - exact.visits).max() < 0.03
    assert (sample.rewards[~turns] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_the_luck_earns_one_and_nobody_more(name):
    world = make_world(name, 6)
    rng = np.random.default_rng(4)
    for _ in range(20):
        luck = rng.random(world.horizon).tolist()
        state = world.start[rng.integers(len(world.start))][1]
        best, actions = clairvoyant(world, luck, state)
        assert best == pytest.approx(1.0)
        earned, at = 0.0, state
        for turn, action in enumerate(actions):
            reward, at = happens(world, at, action, luck[turn])
            earned += reward
        assert earned == pytest.approx(1.0)
        for _ in range(20):
            earned, at, turn = 0.0, state, 0
            while at is not None and turn < world.horizon:
                reward, at = happens(world, at, int(rng.integers(len(world.actions))), luck[turn])
                earned, turn = earned + reward, turn + 1
            assert earned <= 1.0 + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_can_learn_each_world(name):
    mdp = Mdp(make_world(name, 8))
    low, middle, high = (mdp.solve(softmax(along_the_way(mdp, share))).j for share in (0.0, 0.5, 1.0))
    assert low < middle < high
    assert high > 0.7


def test_rules_that_are_no_probabilities_are_refused():
    def step(state, action):
        return [Outcome(0.7, None, 1.0)]

    with pytest.raises(ValueError, match="sum to"):
        Mdp(World("w", 3, [(1.0, 0)], ("0",), step, str, ""))
    with pytest.raises(ValueError, match="Unknown world"):
        make_world("nowhere", 8)
    with pytest.raises(ValueError, match="horizon"):
        CreditEnv(horizon=101)


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_is_the_world(name):
    env = CreditEnv(world=name, horizon=5, split="eval")
    rng = np.random.default_rng(5)
    for task_id in env.sample_tasks(20, 0):
        env.reset(options={"task_id": task_id})
        world, state = env.exact()
        luck = env._hidden_part.luck
        for turn in range(world.horizon):
            choice = int(rng.integers(len(world.actions)))
            reward, state = happens(world, state, choice, luck[turn])
            observation, paid, *_ = env.step(f'{{"act": {choice}}}')
            assert paid == pytest.approx(reward)
            assert observation == (
                "It is over." if state is None or turn == world.horizon - 1 else world.observe(state)
            )
            if state is None:
                break


@pytest.mark.parametrize("name", NAMES)
def test_experts_always_win_and_the_luck_is_not_in_the_prompt(name):
    env = CreditEnv(world=name, horizon=(4, 9))
    won = 0.0
    for task_id in env.sample_tasks(60, 1):
        prompt, _ = env.reset(options={"task_id": task_id})
        assert not any(str(roll)[:6] in prompt for roll in env._hidden_part.luck)
        policy = env.expert()
        observation, done, total = prompt, False, 0.0
        solution = env._solution(env.task, env._hidden_part)
        for action in solution:
            observation, reward, terminated, truncated, info = env.step(action)
            total += reward
            done = terminated or truncated
        assert done and info["success"] and total == pytest.approx(1.0), (task_id, observation, policy)
        won += total
    assert won == pytest.approx(60.0)


SCRIPT = """
import hashlib
from thinkact.envs.diagnostic.env import CreditEnv
env, digest = CreditEnv(), hashlib.sha256()
for seed in range(12):
    digest.update(repr(env.reset(seed=seed)).encode())
    for turn in range(9):
        out = env.step('{"act": %d}' % ((seed * 7 + turn) % 3))
        digest.update(repr(out).encode())
        if out[2] or out[3]:
            break
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_hashing():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
