"""A trainer that remembers: what it keeps between batches, in a checkpoint, and of groups that it skips."""

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.advantages import ESTIMATORS, CreditBatch  # noqa: E402
from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.learner import Learner  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.reinforce import Reinforcer  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reinforcer():
    model = build_tiny(["some text"] * 3, vocab_size=320, hidden=32, layers=1, heads=2, seed=1).model
    overrides = {"rl.estimator": "memory_td", "rl.max_rows": None, "rl.updates": 1}
    return Reinforcer(make_config(overrides=overrides), Learner(model, dtype=torch.float32, lr=1e-3), lambda step: step)


def episode(name, task, way, won):
    """Two turns of task ``task``: to the place ``way``, and from there to the end."""
    turns = [
        Turn(
            **dict(observation="q", action="a", result="r", reward=reward, state_key=f"{task}/{key}"),
            prompt_ids=[41, 42],
            token_ids=[50 + at, 60],
            logprobs=[-5.5, -5.5],
        )
        for at, (reward, key) in enumerate([(0.0, way), (float(won), "end")])
    ]
    return Episode(
        **dict(id=name, env_id="x", family="f", env_version="0", task_id=task, split="train", seed=0, policy="p"),
        **dict(turns=turns, terminated=True, score=float(won), success=won),
    )


def credit_of(episodes):
    return [turn.advantage for one in episodes for turn in one.turns]


def test_the_second_batch_is_judged_by_the_first_also_after_a_checkpoint():
    first = [episode("a", "t", "left", True), episode("b", "t", "right", False)]
    second = [episode("c", "t", "left", True), episode("d", "t", "left", False)]
    one = reinforcer()
    one.learn(first, 0)
    file = io.BytesIO()
    torch.save(one.state(), file)
    one.learn(second, 1)
    remembered = credit_of(second)

    file.seek(0)
    two = reinforcer()
    two.load(torch.load(file, weights_only=True))
    two.learn(second, 1)
    assert credit_of(second) == remembered

    two = reinforcer()
    two.learn(second, 0)
    assert credit_of(second) != remembered
    assert credit_of(second) == pytest.approx(np.concatenate(ESTIMATORS["memory_td"](CreditBatch.of(second))).tolist())


def test_groups_that_nothing_is_learned_from_still_say_what_their_states_are_worth():
    lost = [episode(name, "t", "left", False) for name in "abcd"]
    used = [episode("e", "t", "left", False), episode("f", "t", "right", True)]
    told, untold = reinforcer(), reinforcer()
    told.witness(lost)
    told.learn(used, 0)
    with_witness = credit_of(used)
    untold.learn(used, 0)
    # Going left was known to be hopeless, so going right is worth more than one loss and one win say.
    assert with_witness[2] > credit_of(used)[2] > 0
    assert len(told.memory) == len(untold.memory) == 4
