"""Every registered environment passes every rule of the contract, on its real tools."""

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkact import ENV_ENTRY_POINTS
from thinkact.envs.conformance import (
    EXACT,
    MISTAKES,
    RULES,
    Subject,
    check_environment,
    play,
    snapshots_are_exact,
    take,
)
from thinkact.sandbox import probe
from thinkact.tools import sample_call
from thinkact.tools.corpus.docsets import installed_sets

NEEDS_SANDBOX = {
    "thinkact/DataQA-v0",
    "thinkact/Math-v0",
    "thinkact/CodeRepair-v0",
    "thinkact/CodeWrite-v0",
    "thinkact/PythonTask-v0",
    "thinkact/Terminal-v0",
}


#: Environments in a browser take seconds for what takes others milliseconds: their own files run the rules, on less.
IN_BROWSER = ("thinkact.envs.web.", "thinkact.envs.miniwob.")
HERE = [env_id for env_id, where in ENV_ENTRY_POINTS.items() if not where.startswith(IN_BROWSER)]


@pytest.fixture(scope="module", params=HERE)
def env_id(request):
    if request.param in NEEDS_SANDBOX:
        report = probe()
        if not report.works and os.environ.get("CI") != "true":
            pytest.skip(f"no isolation on this machine: {report.detail}")
    if request.param == "thinkact/DocsQA-v0" and not installed_sets() and os.environ.get("THINKACT_DOCS") != "1":
        pytest.skip("no documentation set is here: thinkact corpus docs apache sqlite")
    return request.param


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(env_id, rule):
    # Programs take seconds for what takes others milliseconds. Each family's own file plays many of its tasks, and
    # below snapshots are taken in the middle of random episodes.
    few = 1 if rule is snapshots_are_exact else 2
    rule(Subject(env_id, tasks=few if env_id in NEEDS_SANDBOX else 8))


@pytest.fixture(scope="module")
def pair(env_id):
    with Subject(env_id).open() as env, Subject(env_id).open() as other:
        yield env, other


def test_any_actions_add_up_repeat_and_continue(pair):
    env, other = pair
    task_id = env.sample_tasks(1, 7)[0]
    env.reset(options={"task_id": task_id})
    samples = st.integers(0, 2**32).map(partial(_sample, env))
    actions = st.lists(st.sampled_from(MISTAKES) | st.text(max_size=40) | samples, min_size=1, max_size=5)

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(actions, st.integers(0, 4))
    def holds(actions, cut):
        steps = play(env, task_id, actions)
        assert sum(step.reward for step in steps) == pytest.approx(steps[-1].facts["score"], abs=EXACT)
        assert 0.0 <= steps[-1].facts["score"] <= 1.0
        cut = min(cut, len(steps) - 1)
        assert play(other, task_id, actions[:cut]) == steps[:cut]
        if cut == 0:
            other.reset(options={"task_id": task_id})
        env.restore(other.snapshot())
        assert [take(env, action) for action in actions[cut : len(steps)]] == steps[cut:]

    holds()


def _sample(env, seed):
    import numpy as np

    return sample_call(env.tool_schemas, np.random.default_rng(seed))


def test_check_environment_lists_every_finding(env_id, monkeypatch):
    def never(subject):
        raise AssertionError("it does not")

    monkeypatch.setattr("thinkact.envs.conformance.RULES", (never, never))
    with pytest.raises(AssertionError, match="2 of 2 rules.*\n- never: it does not\n- never"):
        check_environment(env_id)
