"""Every estimator against exact policy gradients, with a policy that decides when to stop."""

import itertools
import math

import numpy as np
import pytest

from thinkact.policies.advantages import (
    ESTIMATORS,
    CreditBatch,
)
from thinkact.policies.advantages_memory import TransitionMemory

THETA = np.array([0.3, -0.4])
MAX_TURNS = 3


def go(state):
    """Probability of going on in a state, one parameter each; the rest stops."""
    return 1 / (1 + math.exp(-THETA[state]))


class Path:
    """One possible episode: its probability, rewards, states and the score function of every turn."""

    def __init__(self, p=1.0, rewards=(), states=(), scores=()):
        self.p, self.rewards, self.states, self.scores = p, rewards, states, scores

    def then(self, state, went, chance, reward):
        p, score = go(state), np.zeros(2)
        score[state] = 1 - p if went else -p
        return Path(
            self.p * (p if went else 1 - p) * chance,
            (*self.rewards, reward),
            (*self.states, state),
            (*self.scores, score),
        )


def wandering(path=None, state=0):
    """Going on may find something (0.4, once), may lose time; stopping pays by luck. States recur."""
    path = path or Path()
    if len(path.rewards) == MAX_TURNS:
        yield path
        return
    if state == 0:
        yield from wandering(path.then(0, True, 0.5, 0.4), 1)
        yield from wandering(path.then(0, True, 0.5, 0.0), 0)
        yield path.then(0, False, 0.2, 1.0)
        yield path.then(0, False, 0.8, 0.0)
    else:
        yield from wandering(path.then(1, True, 1.0, -0.2), 1)
        yield path.then(1, False, 0.7, 0.6)
        yield path.then(1, False, 0.3, 0.0)


def chain():
    """Two states, each at most once: going on in both pays 1, stopping in the second 0.3, in the first 0.1."""
    yield Path().then(0, False, 1.0, 0.1)
    first = Path().then(0, True, 1.0, 0.2)
    yield first.then(1, True, 0.5, 0.8)
    yield first.then(1, True, 0.5, 0.0)
    yield first.then(1, False, 1.0, 0.1)


def batch_of(*episodes, group="task"):
    return CreditBatch(
        [np.array(r, dtype=float) for r, _ in episodes], [group] * len(episodes), [list(s) for _, s in episodes]
    )


def exact_gradient(paths):
    return sum(p.p * sum(p.rewards) * sum(p.scores) for p in paths)


def expected(name, paths, group, **options):
    """Expectation of the estimated gradient of one episode, over all groups of that size."""
    total = np.zeros(2)
    mass = 0.0
    for members in itertools.product(paths, repeat=group):
        batch = CreditBatch([np.array(m.rewards) for m in members], ["task"] * group, [list(m.states) for m in members])
        p = math.prod(m.p for m in members)
        mass += p
        for member, advantages in zip(members, ESTIMATORS[name](batch, **options), strict=True):
            total += p / group * sum(a * s for a, s in zip(advantages, member.scores, strict=True))
    assert mass == pytest.approx(1.0)
    return total


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("world", [wandering, chain])
@pytest.mark.parametrize("group", [2, 3])
@pytest.mark.parametrize(
    "name, options",
    [
        ("reinforce", {}),
        ("rloo", {}),
        ("turn_rtg", {}),
        ("turn_rtg", {"kappa": 0.0}),
        ("turn_rtg", {"kappa": 7.0}),
        ("grouped_gae", {"lam": 1.0}),
        ("grouped_gae", {"lam": 1.0, "kappa": 0.0}),
    ],
)
def test_unbiased_estimators_are_unbiased(world, group, name, options):
    paths = list(world())
    if group == 3 and world is wandering:
        paths = paths_of_two_turns()
    np.testing.assert_allclose(expected(name, paths, group, **options), exact_gradient(paths), atol=1e-12)


def paths_of_two_turns():
    """The wandering world cut at two turns: few enough paths for groups of three."""
    global MAX_TURNS
    MAX_TURNS, before = 2, MAX_TURNS
    try:
        return list(wandering())
    finally:
        MAX_TURNS = before


@pytest.mark.parametrize("group", [2, 3, 4])
def test_dr_grpo_is_the_gradient_shrunk_by_its_own_share_of_the_mean(group):
    paths = list(chain())
    np.testing.assert_allclose(
        expected("dr_grpo", paths, group), (group - 1) / group * exact_gradient(paths), atol=1e-12
    )


def test_grpo_keeps_the_direction_and_not_the_size():
    paths = list(chain())
    estimate, exact = expected("grpo", paths, 4), exact_gradient(paths)
    assert cosine(estimate, exact) > 0.9
    assert np.linalg.norm(estimate) > 1.5 * np.linalg.norm(exact)
    # A division by the standard deviation has no unit: doubled rewards change nothing.
    batch = CreditBatch([np.array([r]) for r in (0.0, 0.2, 1.0)], ["t"] * 3, [["s"]] * 3)
    double = CreditBatch([np.array([2 * r]) for r in (0.0, 0.2, 1.0)], ["t"] * 3, [["s"]] * 3)
    for a, b in zip(ESTIMATORS["grpo"](batch), ESTIMATORS["grpo"](double), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("group", [2, 4])
def test_gigpo_weights_each_state_by_the_company_it_has_there(group):
    # Where no state recurs: G-1/G of the gradient, and of each state's part m/(m+1) more, m = others there.
    paths = list(chain())
    visit = (1.0, go(0))
    share = [
        sum(math.comb(group - 1, m) * p**m * (1 - p) ** (group - 1 - m) * m / (m + 1) for m in range(group))
        for p in visit
    ]
    wanted = exact_gradient(paths) * ((group - 1) / group + np.array(share))
    np.testing.assert_allclose(expected("gigpo", paths, group, gamma=1.0), wanted, atol=1e-12)


@pytest.mark.parametrize(
    "name, options",
    [
        ("gigpo", {}),
        ("hgpo", {}),
        ("state_rtg", {}),
        ("state_td", {}),
        ("memory_td", {}),
        ("reinforce_pp", {}),
        ("grouped_gae", {}),
        ("grouped_gae", {"lam": 0.0}),
    ],
)
def test_biased_estimators_still_point_uphill(name, options):
    paths = list(wandering())
    assert cosine(expected(name, paths, 2, **options), exact_gradient(paths)) > 0.8


def test_short_traces_are_biased_as_documented():
    paths = list(wandering())
    off = expected("grouped_gae", paths, 2, lam=0.5) - exact_gradient(paths)
    assert np.abs(off).max() > 1e-3


# Estimators that fork. An episode's states below are what decides its future: the wandering world's state alone is
# not, since the turns left count, so the turn is part of it here.


def continuations(world, path, turn):
    """Every continuation of a path from before a turn, with its probability given the start."""
    same = [
        p
        for p in world()
        if p.states[: turn + 1] == path.states[: turn + 1] and p.rewards[:turn] == path.rewards[:turn]
    ]
    mass = sum(p.p for p in same)
    return [(p.p / mass, p) for p in same]


def forked_batch(members, choices):
    """A batch of whole paths with the chosen continuations; ``choices`` maps (episode, turn) to paths."""
    rewards = [np.array(m.rewards) for m in members]
    states = [list(m.states) for m in members]
    parents = [None] * len(members)
    for (i, t), paths in choices.items():
        for path in paths:
            rewards.append(np.array(path.rewards[t:]))
            states.append(list(path.states[t:]))
            parents.append((i, t))
    return CreditBatch(rewards, ["task"] * len(rewards), states, parents)


def expected_with_forks(name, world, fork_at):
    """Expected gradient of one episode in a group of one, one continuation from each forked turn."""
    total = np.zeros(2)
    for path in world():
        turns = [t for t in range(len(path.rewards)) if t in fork_at]
        for drawn in itertools.product(*(continuations(world, path, t) for t in turns)):
            p = path.p * math.prod(chance for chance, _ in drawn)
            batch = forked_batch([path], {(0, t): [c] for t, (_, c) in zip(turns, drawn, strict=True)})
            advantages = ESTIMATORS[name](batch)[0]
            total += p * sum(a * s for a, s in zip(advantages, path.scores, strict=True))
    return total


@pytest.mark.parametrize("world", [wandering, chain])
@pytest.mark.parametrize("fork_at", [{0, 1, 2}, {0}, {0, 2}, {0, 1}])
def test_a_vine_is_unbiased_wherever_it_forks(world, fork_at):
    np.testing.assert_allclose(expected_with_forks("vine", world, fork_at), exact_gradient(list(world())), atol=1e-12)


def test_one_fork_a_turn_halves_the_gradient_of_values_that_hold_the_judged_step():
    """The documented bias of ``vine_td``, where no state recurs but for the forks: K/(K + 1) of the truth."""
    paths = list(chain())
    # Forked at the first turn alone, the first state has two visits: the judged step is half of its value.
    exact = exact_gradient(paths)
    estimate = expected_with_forks("vine_td", chain, {0})
    assert estimate[0] == pytest.approx(exact[0] / 2)
    assert cosine(expected_with_forks("vine_td", chain, {0, 1}), exact) > 0.95


def test_trees_point_uphill():
    paths = list(wandering())
    assert cosine(expected_with_forks("tree", wandering, {0, 1, 2}), exact_gradient(paths)) > 0.8


def test_mt_grpo_compares_only_those_who_still_go_on():
    """Its documented bias: what all who go on are paid is taken from them, and the last turn has the outcome alone."""
    batch = batch_of(([0.5, 0.5], "ab"), ([0.5, 0.0], "ab"), ([0.0], "a"))
    outcome = ESTIMATORS["grpo"](batch)
    for one, two in zip(ESTIMATORS["mt_grpo"](batch), outcome, strict=True):
        np.testing.assert_allclose(one, two)  # going on paid 0.5 to both who did: no credit for going on
    batch = batch_of(([0.5, 0.0], "ab"), ([0.1, 0.0], "ab"), ([0.0], "a"))
    paid = ESTIMATORS["mt_grpo"](batch, lam=2.0)
    plain = ESTIMATORS["grpo"](batch)
    np.testing.assert_allclose([paid[i][0] - plain[i][0] for i in range(3)], [2.0, -2.0, 0.0], atol=1e-4)
    paths = list(wandering())
    assert cosine(expected("mt_grpo", paths, 2), exact_gradient(paths)) < 0.999


def filled(paths, episodes):
    """What is remembered of so many episodes of a policy that stands still, in expectation."""
    kept = {}
    for path in paths:
        for turn, (state, then) in enumerate(zip(path.states, (*path.states[1:], None), strict=True)):
            row = kept.setdefault((turn, state, then), [turn, state, then, 0.0, 0.0])
            row[3] += episodes * path.p
            row[4] += episodes * path.p * path.rewards[turn]
    memory = TransitionMemory()
    memory.load({"transitions": list(kept.values())})
    return memory


@pytest.mark.parametrize("world", [wandering, chain])
def test_bias_of_remembered_values_goes_as_the_memory_fills(world):
    """Turn and state tell all that counts here, so the chain is true; the policy decides when to stop."""
    paths = list(world())

    def off(episodes):
        total = np.zeros(2)
        for members in itertools.product(paths, repeat=2):
            batch = CreditBatch(
                [np.array(m.rewards) for m in members],
                ["task"] * 2,
                [list(m.states) for m in members],
                memory=filled(paths, episodes) if episodes else None,
            )
            for member, credit in zip(members, ESTIMATORS["memory_td"](batch, nu=0.0), strict=True):
                total += (
                    math.prod(m.p for m in members) / 2 * sum(a * s for a, s in zip(credit, member.scores, strict=True))
                )
        return float(np.abs(total - exact_gradient(paths)).max())

    assert off(0) > 0.02  # one small batch alone
    assert off(100) < 0.01
    assert off(10_000) < 1e-4
