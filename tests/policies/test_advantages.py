"""Every estimator against exact policy gradients, with a policy that decides when to stop."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.policies.advantages import (
    ESTIMATORS,
    NEED_MODEL,
    REMEMBERING,
    CreditBatch,
    check_estimator,
    returns_to_go,
)
from thinkact.policies.advantages_memory import TransitionMemory
from thinkact.policies.episode import Episode, Turn

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


def test_hgpo_without_history_is_gigpo():
    batch = batch_of(([0.0, 1.0], "ab"), ([0.4, 0.1], "ab"), ([0.0, 0.2, 0.3], "aba"))
    for one, two in zip(ESTIMATORS["hgpo"](batch, history=0), ESTIMATORS["gigpo"](batch), strict=True):
        np.testing.assert_allclose(one, two)
    # With history, the visit to "a" that came from "b" is alone at k = 1 and 2: only k = 0 counts for it.
    deeper = ESTIMATORS["hgpo"](batch, history=2, gamma=1.0)
    np.testing.assert_allclose(deeper[2][2], ESTIMATORS["gigpo"](batch, gamma=1.0)[2][2])
    # Episodes 0 and 1 share "a" then "b"; against those two alone the step at "b" is judged harder.
    step = [1.0, 0.1, 0.5]
    wanted = (1 * (step[0] - np.mean(step)) + 2 * (step[0] - np.mean(step))) / 3
    np.testing.assert_allclose(deeper[0][1] - ESTIMATORS["dr_grpo"](batch)[0][1], wanted)


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


def test_a_vine_without_forks_is_leave_one_out():
    batch = batch_of(([0.0, 1.0], "ab"), ([0.4], "a"), ([0.0], "a"))
    for one, two in zip(ESTIMATORS["vine"](batch), ESTIMATORS["rloo"](batch), strict=True):
        np.testing.assert_allclose(one, two)


def test_one_fork_a_turn_halves_the_gradient_of_values_that_hold_the_judged_step():
    """The documented bias of ``vine_td``, where no state recurs but for the forks: K/(K + 1) of the truth."""
    paths = list(chain())
    # Forked at the first turn alone, the first state has two visits: the judged step is half of its value.
    exact = exact_gradient(paths)
    estimate = expected_with_forks("vine_td", chain, {0})
    assert estimate[0] == pytest.approx(exact[0] / 2)
    assert cosine(expected_with_forks("vine_td", chain, {0, 1}), exact) > 0.95


def test_values_along_chains_by_hand():
    # Both reach "b" on the second turn; one wins there. At "a" nothing is known that tells the two apart.
    batch = batch_of(([0.0, 1.0], "ab"), ([0.0, 0.0], "ab"), ([0.2], "a"))
    first, second, third = ESTIMATORS["state_td"](batch, kappa=0.0)
    # V(b) = .5; V(a) = (.5 + .5 + .2)/3 = .4.
    np.testing.assert_allclose(first, [0.1, 0.5])
    np.testing.assert_allclose(second, [0.1, -0.5])
    np.testing.assert_allclose(third, [-0.2])
    # κ = 1 pulls towards a quarter of the episode's own term: n = 3 and 2 visits.
    assert ESTIMATORS["state_td"](batch)[0] == pytest.approx([(0.3 + 0.15) / 4, (1.0 + 0.15) / 3])
    # The same place at another turn is another node.
    apart = batch_of(([0.0, 1.0], "ab"), ([0.0], "b"))
    np.testing.assert_allclose(ESTIMATORS["state_td"](apart)[0], 0.25 * 0.5)
    # A continuation from "b" that wins: V(b) = 2/3, V(a) = (2/3 + 2/3 + .2)/3.
    forked = CreditBatch(
        [*batch.rewards, np.array([1.0])], ["task"] * 4, [*batch.states, ["b"]], [None, None, None, (1, 1)]
    )
    got = ESTIMATORS["vine_td"](forked)
    start = (4 / 3 + 0.2) / 3
    np.testing.assert_allclose(got[0], [2 / 3 - start, 1 / 3])
    np.testing.assert_allclose(got[3], [0.0])  # a continuation is a measure, not a lesson


def test_trees_by_hand():
    # One attempt wins 1 after two turns; from its second turn a continuation gets 0. Another attempt gets .4.
    batch = CreditBatch(
        [np.array([0.0, 1.0]), np.array([0.4]), np.array([0.0, 0.0])],
        ["task"] * 3,
        [["a", "b"], ["a"], ["b", "c"]],
        [None, None, (0, 1)],
    )
    first, second, third = ESTIMATORS["tree"](batch)
    root = (1.0 + 0.0 + 0.4) / 3  # every leaf once
    np.testing.assert_allclose(first, [0.5 - root, 0.5])
    np.testing.assert_allclose(second, [0.4 - root])
    np.testing.assert_allclose(third, [-0.5, -0.5])
    # Without forks: every attempt against the mean of all.
    plain = batch_of(([0.0, 1.0], "ab"), ([0.4], "a"))
    for one, two in zip(ESTIMATORS["tree"](plain), ESTIMATORS["dr_grpo"](plain), strict=True):
        np.testing.assert_allclose(one, two)


def test_trees_point_uphill():
    paths = list(wandering())
    assert cosine(expected_with_forks("tree", wandering, {0, 1, 2}), exact_gradient(paths)) > 0.8


def test_a_continuation_needs_a_place_to_come_from():
    for bad in [(0, 1), (1, 0), (-1, 5)]:
        with pytest.raises(ValueError, match="no turn of a whole episode"):
            CreditBatch([np.ones(1), np.ones(1)], ["t"] * 2, [["a"], ["a"]], [None, bad])


def test_state_rtg_pays_nothing_where_nothing_was_decided():
    # All go through "b" and fare there alike: what they did at "a" decided.
    batch = batch_of(([0.0, 1.0], "ab"), ([0.0, 1.0], "ab"), ([0.0, 0.0], "ac"), ([0.0, 0.0], "ad"))
    first, second, third, fourth = ESTIMATORS["state_rtg"](batch, kappa=0.0)
    np.testing.assert_allclose([first[0], second[0], third[0], fourth[0]], [0.5, 0.5, -0.5, -0.5])
    np.testing.assert_allclose([first[1], second[1]], 0.0)
    np.testing.assert_allclose([third[1], fourth[1]], 0.25 * -0.5)  # alone there: a quarter of the episode's
    # With prior weight 1: (n·A + ν·(R − mean))/(n + 1).
    assert ESTIMATORS["state_rtg"](batch)[0][1] == pytest.approx((2 * 0.0 + 0.125) / 3)
    never = batch_of(([1.0], "a"), ([0.0], "b"))
    np.testing.assert_allclose(ESTIMATORS["state_rtg"](never), [[0.125], [-0.125]])


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


def batch_of(*episodes, group="task"):
    return CreditBatch(
        [np.array(r, dtype=float) for r, _ in episodes], [group] * len(episodes), [list(s) for _, s in episodes]
    )


def test_by_hand():
    batch = batch_of(([0.0, 1.0], "ab"), ([0.4], "a"), ([0.0], "a"))

    def rounded(name, **options):
        return [[round(float(v), 6) for v in row] for row in ESTIMATORS[name](batch, **options)]

    # rloo: own return minus the mean of the others': 1 - .2, .4 - .5, 0 - .7.
    assert rounded("rloo") == [[0.8, 0.8], [-0.1], [-0.7]]
    assert rounded("dr_grpo") == [[0.533333, 0.533333], [-0.066667], [-0.466667]]
    # reinforce: returns to go are (1, 1), .4, 0; baselines .2, 2/3, .8.
    assert rounded("reinforce") == [[0.8, 0.8], [-0.266667], [-0.8]]
    # gigpo: step term at "a": mean of (1, .4, 0); at "b" a singleton.
    assert rounded("gigpo", gamma=1.0) == [[1.066667, 0.533333], [-0.133333], [-0.933333]]
    # turn_rtg: all stand at progress 0. Episode 0: b = (2·.2 + 2·.2)/4; episode 1: (2·1 + 0 + 2·.5)/(3 + 2).
    assert rounded("turn_rtg") == [[0.8, 0.8], [-0.2], [-0.76]]
    # Normalised: the same over the spread of the task's returns, the one number for every turn of the task.
    spread = float(np.std([sum(rewards) for rewards in batch.rewards])) + 0.1
    plain, scaled = ESTIMATORS["turn_rtg"](batch), ESTIMATORS["turn_rtg"](batch, normalise=True)
    for one, two in zip(plain, scaled, strict=True):
        assert two == pytest.approx(one / spread)
    # grouped_gae: V = (.2, .2), (.5,), (.7,); at "b" nobody else: the prior alone.
    assert rounded("grouped_gae", lam=0.0) == [[0.0, 0.8], [-0.1], [-0.7]]
    assert rounded("grouped_gae", lam=1.0) == [[0.8, 0.8], [-0.1], [-0.7]]


def test_progress_is_not_judged_twice():
    # Both found the evidence (.4) at once; from there one wins .6 and one wins nothing.
    batch = batch_of(([0.4, 0.6], "ab"), ([0.4, 0.0], "ab"))
    ahead, behind = ESTIMATORS["turn_rtg"](batch)
    np.testing.assert_allclose(ahead, [0.6, 0.6])
    np.testing.assert_allclose(behind, [-0.6, -0.6])


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.floats(-1, 1), max_size=6), st.floats(0, 1))
def test_returns_to_go_follow_their_recursion(rewards, gamma):
    rewards = np.array(rewards)
    out = returns_to_go(rewards, gamma)
    wanted = [sum(gamma ** (u - t) * rewards[u] for u in range(t, len(rewards))) for t in range(len(rewards))]
    np.testing.assert_allclose(out, wanted, atol=1e-9)


BATCH_WIDE = ("reinforce", "reinforce_pp")

groups = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.0, 0.2, 0.4, 1.0, -0.4]), min_size=1, max_size=4), st.sampled_from(["x", "y"])
    ),
    min_size=1,
    max_size=7,
)


@settings(deadline=None)
@given(groups, st.sampled_from(sorted(set(ESTIMATORS) - NEED_MODEL)), st.randoms(use_true_random=False))
def test_shape_order_and_groups(episodes, name, random):
    def batch(some):
        return CreditBatch(
            [np.array(r) for r, _ in some],
            [g for _, g in some],
            [[f"s{len(r)}-{t}" for t in range(len(r))] for r, _ in some],
        )

    out = ESTIMATORS[name](batch(episodes))
    assert [len(a) for a in out] == [len(r) for r, _ in episodes]
    assert all(np.isfinite(a).all() for a in out)
    # The order of the episodes says nothing.
    order = list(range(len(episodes)))
    random.shuffle(order)
    shuffled = ESTIMATORS[name](batch([episodes[i] for i in order]))
    for i, a in zip(order, shuffled, strict=True):
        np.testing.assert_allclose(a, out[i], atol=1e-9)
    # Another task's episodes say nothing either, but where baseline or states are the whole batch's by definition.
    if name not in (*BATCH_WIDE, *REMEMBERING):
        for task in ("x", "y"):
            mine = [i for i, (_, g) in enumerate(episodes) if g == task]
            for i, a in zip(mine, ESTIMATORS[name](batch([episodes[i] for i in mine])), strict=True):
                np.testing.assert_allclose(a, out[i], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in (*BATCH_WIDE, *NEED_MODEL, "gigpo")])
def test_a_group_of_one_has_nothing_to_compare_with(name):
    (advantages,) = ESTIMATORS[name](batch_of(([0.4, 0.6], "ab")))
    np.testing.assert_array_equal(advantages, [0.0, 0.0])


def episode(**changes):
    turns = [Turn(observation="q", action="a", result="r", reward=0.5, state_key=key) for key in "xy"]
    return Episode(
        **{
            **dict(id="e", env_id="env", family="f", env_version="0", task_id="t", split="train", seed=0),
            **dict(policy="p", turns=turns, terminated=True, score=1.0, success=True),
            **changes,
        }
    )


def test_a_batch_of_episodes_keys_each_turn_by_the_state_before_it():
    batch = CreditBatch.of([episode(), episode(id="other", task_id="u")])
    assert batch.states == [["env|t", "x"], ["env|u", "x"]]  # one task's start is not another's
    assert batch.groups == ["env|t", "env|u"]
    assert [list(r) for r in batch.rewards] == [[0.5, 0.5]] * 2


def test_what_has_no_reward_is_refused():
    with pytest.raises(ValueError, match="ended in a fault"):
        CreditBatch.of([episode(), episode(error="EnvironmentFault: gone", score=None, success=None)])
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="NaN or infinite"):
            batch_of(([bad], "a"))
    with pytest.raises(ValueError, match="one entry per episode"):
        CreditBatch([np.zeros(1)], [], [["a"]])
    with pytest.raises(ValueError, match="one state key"):
        batch_of(([0.0, 1.0], "a"))


def test_unknown_names_are_refused_with_the_known_ones():
    check_estimator("gigpo", {"omega": 0.5})
    with pytest.raises(ValueError, match=r"'grop'.*rloo, grpo"):
        check_estimator("grop", {})
    with pytest.raises(ValueError, match=r"no option 'lambda'.*gamma, lam, kappa"):
        check_estimator("grouped_gae", {"lambda": 0.5})
    with pytest.raises(ValueError, match="it has none"):
        check_estimator("rloo", {"gamma": 0.5})


# Values that are remembered from batch to batch.


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


def test_nothing_remembered_and_nothing_met_again_is_leave_one_out():
    rewards = [np.array([0.3, 0.1]), np.array([0.0]), np.array([0.0, 0.0, 1.0])]
    never = CreditBatch(rewards, ["t"] * 3, [["a", "b"], ["c"], ["d", "e", "f"]])
    for one, two in zip(ESTIMATORS["memory_td"](never, nu=0.6), ESTIMATORS["rloo"](never), strict=True):
        np.testing.assert_allclose(one, 0.6 * 2 / 3 * two)


def test_a_lone_attempt_is_judged_by_what_earlier_batches_saw():
    memory = TransitionMemory()
    for reward in (0.0, 1.0):
        one = replace(batch_of(([0.0, reward], "ab"), ([0.0, reward], "ab")), memory=memory)
        ESTIMATORS["memory_td"](one, decay=0.5)
    # At "b": two wins at weight 1/2, two losses at 1/4; "a" leads there, and once to "c", where a win waits.
    alone = replace(batch_of(([0.0, 1.0], "ac"), group="another task"), memory=memory)
    ((first, second),) = ESTIMATORS["memory_td"](alone, kappa=0.0)
    assert second == 0.0  # nobody else was ever at "c": no credit but the episode's, and that has no company
    of_b, n = 1.0 / 1.5, 2.5
    assert first == pytest.approx(n / (n - 1) * (1.0 - (1.5 * of_b + 1.0) / n))


def test_a_memory_is_bounded_and_a_checkpoint_holds_it():
    memory = TransitionMemory()
    sizes = []
    for step in range(60):
        memory.add([f"{step}-{t}" for t in range(4)], np.ones(4))
        memory.fade(0.8)
        sizes.append(len(memory))
    assert max(sizes) == sizes[-1] == 4 * 20  # 0.8 ** 21 is below a hundredth
    known = memory.solve()
    assert all(known.value[turn, f"59-{turn}"] == pytest.approx(4 - turn) for turn in range(4))
    other = TransitionMemory()
    other.load(json.loads(json.dumps(memory.state())))  # plain data
    assert other.state() == memory.state() and other.solve() == known
    twin = memory.copy()
    twin.add(["59-0"], np.zeros(1))
    assert memory.solve() == known != twin.solve()


def test_a_state_that_is_forgotten_is_led_to_by_nothing():
    memory = TransitionMemory()
    for end in range(5):
        memory.add(["hub", "middle", f"end {end}"], np.array([0.0, 0.0, 1.0]))
    for _ in range(21):  # single transitions are forgotten one step before the one that five had in common
        memory.fade(0.8)
        known = memory.solve()  # never asks for a state that is gone
    assert len(memory) == 0 and not known.value
