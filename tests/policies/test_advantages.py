"""Every estimator by hand, its invariants, and the values that are remembered from batch to batch."""

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


def batch_of(*episodes, group="task"):
    return CreditBatch(
        [np.array(r, dtype=float) for r, _ in episodes], [group] * len(episodes), [list(s) for _, s in episodes]
    )


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


def test_a_vine_without_forks_is_leave_one_out():
    batch = batch_of(([0.0, 1.0], "ab"), ([0.4], "a"), ([0.0], "a"))
    for one, two in zip(ESTIMATORS["vine"](batch), ESTIMATORS["rloo"](batch), strict=True):
        np.testing.assert_allclose(one, two)


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
