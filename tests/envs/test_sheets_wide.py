"""DataQA and Math, whose answers go on a sheet, over all knobs: the expert earns everything, cheap agents nothing."""

import json
import os
import re

import numpy as np
import pytest

pytest.importorskip("vega_datasets", reason='the tables are not installed: pip install "thinkact[data]"')
pytest.importorskip("reasoning_gym", reason='the generators are not installed: pip install "thinkact[math]"')

from thinkact.envs.conformance import play, play_expert  # noqa: E402
from thinkact.envs.conformance_play import random_actions  # noqa: E402
from thinkact.envs.data_qa import gen as data_qa  # noqa: E402
from thinkact.envs.data_qa.env import DataQAEnv  # noqa: E402
from thinkact.envs.math import tasks as math  # noqa: E402
from thinkact.envs.math.env import MathEnv  # noqa: E402
from thinkact.envs.types import SPLITS  # noqa: E402
from thinkact.sandbox import probe  # noqa: E402

SUBMIT = '{"submit": {}}'
GUESSES = "0 1 -1 2 3 5 7 10 12 24 42 50 100 1000 0.5 1/2 yes no true none infeasible A B x x+C all USA [] {}".split()
#: Environment, its levels, what its task ids mean, and how many kinds of questions the drawn tasks hold at least.
DATA_QA = (DataQAEnv, data_qa.LEVELS, data_qa.build, 25)
MATH = (MathEnv, math.LEVELS, math.build, 20)


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    report = probe()
    if not report.works and os.environ.get("CI") != "true":
        pytest.skip(f"no isolation on this machine: {report.detail}")


def drawn(make, split, levels):
    """Two tasks of every level, as the knob draws them."""
    return [(level, task_id) for level in levels for task_id in make(split=split, level=level).sample_tasks(2, 17)]


def answer(part, value):
    return json.dumps({"answer": {"part": part, "value": value}})


@pytest.mark.parametrize(("make", "levels", "build", "kinds"), [DATA_QA, MATH], ids=["DataQA", "Math"])
def test_the_expert_earns_everything_on_every_level_of_every_split(make, levels, build, kinds):
    seen = set()
    for split in SPLITS:
        env = make(split=split, reward="outcome" if split == "eval" else "step")
        try:
            for level, task_id in drawn(make, split, levels):
                _, steps = play_expert(env, task_id)
                last = steps[-1]
                assert last.facts["success"] and last.facts["score"] == 1.0, (task_id, env.task.prompt)
                assert sum(step.reward for step in steps) == pytest.approx(1.0, abs=1e-9), task_id
                assert not any(step.facts["invalid_action"] for step in steps), task_id
                where, at, number = task_id.split("/")
                assert (where, int(at), env.task.difficulty) == (split, level, float(level))
                parts = build(level, int(number)).parts
                seen |= {getattr(part, "template", None) or part.generator for part in parts}
        finally:
            env.close()
    assert len(seen) >= kinds, len(seen)


def cheap_agents(env, rng):
    """Actions of agents that do no work: nothing, anything, and whatever could be typed without looking."""
    turns = env.task.limits.max_turns
    prompt = env.task.prompt
    parts = range(1, 6)  # more than any task has
    words = re.findall(r"[\w.-]+", prompt)
    yield "hands in nothing", [SUBMIT]
    yield "draws calls", random_actions(env, rng)
    for first, second in rng.choice(GUESSES, (3, 2)):
        yield "guesses", [answer(part, guess) for part in parts for guess in (str(first), str(second))] + [SUBMIT]
    yield "lists all guesses", [answer(part, "; ".join(GUESSES)) for part in parts] + [SUBMIT]
    yield "copies the prompt", [answer(part, prompt[:2000]) for part in parts] + [SUBMIT]
    yield "tries one number after the other", [answer(1, str(number)) for number in range(13, 13 + turns)]
    yield "reads words off the prompt", [answer(part, str(rng.choice(words))) for part in parts] + [SUBMIT]


@pytest.mark.parametrize(("make", "levels"), [DATA_QA[:2], MATH[:2]], ids=["DataQA", "Math"])
def test_agents_that_do_no_work_earn_nothing(make, levels):
    rng = np.random.default_rng(5)
    env = make(split="eval")
    try:
        for _, task_id in drawn(make, "eval", levels):
            env.reset(options={"task_id": task_id})
            for agent, actions in cheap_agents(env, rng):
                steps = play(env, task_id, actions)
                assert not any(step.reward for step in steps), (task_id, agent, env.task.prompt)
                assert not steps[-1].facts["success"], (task_id, agent)
    finally:
        env.close()
