"""Shares of arms: nobody starves, what is learned goes, and it all comes back from a checkpoint."""

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.policies.config_rollout import CurriculumConfig
from thinkact.policies.curriculum import Curriculum


def course(arms=3, **options):
    names = [{"name": f"a{i}"} for i in range(arms)]
    return Curriculum(CurriculumConfig.model_validate({"arms": names, **options}), arms)


def play(one, chances, batches, tasks=4, attempts=4):
    """Play batches in which an arm's attempts solve their task by its chance; return each batch's counts."""
    seen, found = [0] * len(chances), []
    for _ in range(batches):
        counts = one.plan(tasks)
        outcomes = []
        for arm, count in enumerate(counts):
            results = []
            for _ in range(count * attempts):
                seen[arm] += 1
                results.append(math.floor(seen[arm] * chances[arm]) > math.floor((seen[arm] - 1) * chances[arm]))
            outcomes.append(results)
        one.observe(outcomes)
        found.append(counts)
    return found


@settings(max_examples=60)
@given(
    st.sampled_from(["mix", "adaptive", "staged"]),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=2, max_size=6),
    st.integers(1, 9),
    st.sampled_from([0.05, 0.2, 1.0]),
)
def test_every_batch_is_full_and_no_arm_starves(mode, chances, tasks, explore):
    arms = len(chances)
    options = {} if mode == "mix" else {"explore": explore, "window": 8}
    one = course(arms, mode=mode, **options)
    least = 1 / arms if mode == "mix" else explore / arms
    longest = math.ceil(arms / (least * tasks))
    batches = play(one, chances, 2 * longest + 4, tasks)
    assert all(sum(counts) == tasks and min(counts) >= 0 for counts in batches)
    assert math.isclose(sum(one.shares()), 1.0) and min(one.shares()) >= least - 1e-12
    for arm in range(arms):
        waits, wait = [], 0
        for counts in batches:
            wait = 0 if counts[arm] else wait + 1
            waits.append(wait)
        assert max(waits) <= longest


def test_shares_follow_what_can_be_learned():
    one = course(4, mode="adaptive", window=20, explore=0.1)
    play(one, [0.0, 0.5, 0.8, 1.0], 60)
    shares = one.shares()
    assert [one.status(arm) for arm in range(4)] == ["open", "open", "open", "retired"]
    assert shares[1] > shares[2] > shares[0] > shares[3] == pytest.approx(0.1 / 4)
    # p(1 - p) with Laplace's p, and the exploration share.
    p = [1 / 22, 11 / 22, 17 / 22]
    total = sum(x * (1 - x) for x in p)
    assert shares[:3] == pytest.approx([0.025 + 0.9 * x * (1 - x) / total for x in p])


def test_what_is_forgotten_comes_back():
    one = course(2, mode="adaptive", window=8, explore=0.25)
    play(one, [1.0, 0.5], 30)
    assert one.status(0) == "retired"
    play(one, [0.5, 0.5], 40)  # exploration finds out
    assert one.status(0) == "open" and one.shares()[0] == pytest.approx(0.5, abs=0.1)


def test_all_learned_shares_evenly():
    one = course(3, mode="adaptive", window=8)
    play(one, [1.0] * 3, 60)
    assert one.shares() == pytest.approx([1 / 3] * 3)


def test_stages_open_one_after_the_other_and_stay_open():
    one = course(3, mode="staged", window=8, explore=0.3, promote=0.6)
    assert [one.status(arm) for arm in range(3)] == ["open", "closed", "closed"]
    play(one, [0.5, 1.0, 1.0], 30)
    assert one.status(1) == "closed"
    play(one, [0.75, 0.0, 1.0], 30)
    assert [one.status(arm) for arm in range(3)] == ["open", "open", "closed"]
    play(one, [0.0, 0.25, 1.0], 30)
    assert [one.status(arm) for arm in range(3)] == ["open", "open", "closed"]


@given(st.integers(0, 12), st.integers(1, 7), st.sampled_from(["mix", "adaptive", "staged"]))
def test_a_state_goes_on_exactly(before, tasks, mode):
    options = {} if mode == "mix" else {"window": 8}
    one, other = course(3, mode=mode, **options), course(3, mode=mode, **options)
    play(one, [0.3, 0.5, 1.0], before, tasks)
    other.load(copy.deepcopy(one.state()))
    chances = [0.9, 0.6, 0.2]
    assert play(one, chances, 12, tasks) == play(other, chances, 12, tasks)
    assert one.state() == other.state()
