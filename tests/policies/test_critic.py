"""The turn critic and the belief in the gold answer: arithmetic by hand, and that they look where they may."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.advantages import ESTIMATORS, CreditBatch  # noqa: E402
from thinkact.policies.codec import ChatCodec  # noqa: E402
from thinkact.policies.config import ConfigError, make_config  # noqa: E402
from thinkact.policies.critic import (  # noqa: E402
    TurnCritic,
    explained_variance,
    per_turn,
    token_gae,
    turn_starts,
)
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.gold import gold_probabilities  # noqa: E402
from thinkact.policies.learner import Learner, Row, encode_sampled  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.reinforce import Reinforcer  # noqa: E402


def test_turn_gae_by_hand():
    batch = CreditBatch([np.array([0.2, 1.0])], ["t"], [["a", "b"]], values=[np.array([0.5, 0.8])])
    # δ = (.2 + .8 − .5, 1 − .8) = (.5, .2).
    np.testing.assert_allclose(ESTIMATORS["turn_gae"](batch, lam=0.5), [[0.6, 0.2]])
    np.testing.assert_allclose(ESTIMATORS["turn_gae"](batch, lam=1.0), [[0.7, 0.2]])
    # γ = .5: δ = (.2 + .4 − .5, .2), λ = 1.
    np.testing.assert_allclose(ESTIMATORS["turn_gae"](batch, gamma=0.5, lam=1.0), [[0.2, 0.2]])
    np.testing.assert_allclose(ESTIMATORS["bilevel_gae"](batch, lam=0.5), [[0.6, 0.2]])
    with pytest.raises(ValueError, match="critic's values"):
        ESTIMATORS["turn_gae"](CreditBatch([np.ones(1)], ["t"], [["a"]]))


def stopping(go):
    """All episodes of a chain on which the policy stops or goes on: probability, rewards, states, scores."""
    yield 1 - go[0], [0.1], [0], [np.array([-go[0], 0.0])]
    first = np.array([1 - go[0], 0.0])
    for chance, paid in ((0.5, 1.0), (0.5, 0.0)):
        yield go[0] * go[1] * chance, [0.2, paid], [0, 1], [first, np.array([0.0, 1 - go[1]])]
    yield go[0] * (1 - go[1]), [0.2, 0.3], [0, 1], [first, np.array([0.0, -go[1]])]


def test_a_critic_is_unbiased_with_long_traces_or_with_the_truth():
    go = np.array([0.6, 0.3])
    second = go[1] * 0.5 + (1 - go[1]) * 0.3
    truth = np.array([(1 - go[0]) * 0.1 + go[0] * (0.2 + second), second])

    def expected(value, lam):
        total = np.zeros(2)
        for p, rewards, states, scores in stopping(go):
            batch = CreditBatch([np.array(rewards)], ["t"], [states], values=[value[states]])
            (advantages,) = ESTIMATORS["turn_gae"](batch, lam=lam)
            total += p * sum(a * s for a, s in zip(advantages, scores, strict=True))
        return total

    exact = sum(p * sum(rewards) * sum(scores) for p, rewards, _, scores in stopping(go))
    wrong = np.array([0.9, -0.4])
    np.testing.assert_allclose(expected(wrong, 1.0), exact, atol=1e-12)
    np.testing.assert_allclose(expected(truth, 0.0), exact, atol=1e-12)
    assert np.abs(expected(wrong, 0.0) - exact).max() > 0.05  # the bias that λ < 1 lets in


def test_tokens_share_their_turns_return():
    values = np.array([0.1, 0.4, 0.2])
    np.testing.assert_allclose(token_gae(1.0, values, 1.0), 1.0 - values)
    np.testing.assert_allclose(token_gae(1.0, values, 0.0), [0.3, -0.2, 0.8])


def test_explained_variance():
    returns = [np.array([0.0, 1.0]), np.array([0.5])]
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance([np.full(2, 0.3), np.full(1, 0.3)], returns) == pytest.approx(0.0)
    assert explained_variance([-r for r in returns], returns) < 0
    assert explained_variance(returns, [np.ones(2), np.ones(1)]) == 0.0  # nothing to explain


def test_igpo_by_hand():
    batch = CreditBatch(
        [np.array([0.0, 1.0]), np.array([0.0])],
        ["t"] * 2,
        [["a", "b"], ["a"]],
        values=[np.array([0.2, 0.6]), np.array([0.2])],
    )
    # Paid: .4 for what was learned on the first turn, 1 on the last; and 0.
    paid = np.array([0.4, 1.0, 0.0])
    z = (paid - paid.mean()) / (paid.std() + 1e-6)
    first, second = ESTIMATORS["igpo"](batch)
    np.testing.assert_allclose(first, [z[0] + z[1], z[1]])
    np.testing.assert_allclose(second, [z[2]])
    np.testing.assert_allclose(ESTIMATORS["igpo"](batch, gamma=0.5)[0][0], z[0] + 0.5 * z[1])


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def loaded():
    return build_tiny(['{"submit": "Rome"} some text'] * 3, vocab_size=320, hidden=32, layers=2, heads=2, seed=1)


def learner_of(loaded, lr=1e-3):
    return Learner(loaded.model, dtype=torch.float32, lr=lr)


def episode(name, won, rng, *, gold=None, last_without_tokens=False):
    """Two turns; the last token of each observation tells who will win."""
    turns = []
    for at, reward in enumerate([0.0, float(won)]):
        drawn = 0 if at and last_without_tokens else 3
        turns.append(
            Turn(
                **dict(observation="q", action="a", result="r", reward=reward, state_key=f"{name}{at}"),
                prompt_ids=[*rng.integers(40, 300, size=3).tolist(), 30 + int(won)] if drawn else [],
                token_ids=rng.integers(40, 300, size=drawn).tolist(),
                logprobs=[-5.5] * drawn,
            )
        )
    return Episode(
        **dict(id=name, env_id="x", family="f", env_version="0", task_id="t", split="train", seed=0, policy="p"),
        **dict(turns=turns, terminated=True, score=float(won), success=won, gold=gold),
    )


def test_values_stand_before_the_action(loaded):
    rng = np.random.default_rng(0)
    one = episode("a", True, rng)
    critic = TurnCritic(learner_of(loaded), lr=1e-2, seed=0)
    row = encode_sampled(one, np.zeros(2))
    assert turn_starts([row]).tolist() == [0, 3]
    assert turn_starts([row, row]).tolist() == [0, 3, 6, 9]
    critic.fit(critic.features([[row]]), [np.linspace(0, 1, 6)])
    before = critic.values(critic.features([[row]]))[0]
    ids = row.ids.copy()
    ids[np.flatnonzero(row.sampled)[3:]] = 5  # another second action
    after = critic.values(critic.features([[Row(ids, row.sampled, row.advantage, row.logprob)]]))[0]
    np.testing.assert_allclose(after[:4], before[:4], atol=1e-6)
    assert np.abs(after[4:] - before[4:]).max() > 1e-6
    # A last turn for which the context had no room keeps the value before it.
    short = episode("b", True, rng, last_without_tokens=True)
    found = per_turn(np.array([0.7, 0.1, 0.2]), turn_starts([encode_sampled(short, np.zeros(2))]), 2)
    assert found.tolist() == [0.7, 0.7]


@pytest.mark.parametrize("name", ["turn_gae", "bilevel_gae"])
def test_a_critic_is_trusted_once_it_explains_returns(loaded, name):
    learner = learner_of(loaded, lr=1e-9)
    overrides = {"rl.estimator": name, "rl.critic_lr": 3e-2, "rl.max_rows": None, "rl.updates": 1}
    reinforcer = Reinforcer(make_config(overrides=overrides), learner, lambda step: 0)
    rng = np.random.default_rng(1)
    figures = []
    for step in range(5):
        episodes = [episode(f"{step}-{i}", i % 2 == 0, rng) for i in range(12)]
        figures.append(reinforcer.learn(episodes, step))
        if step == 0:
            # Nothing is known yet: credit as without a critic.
            plain = ESTIMATORS["turn_rtg"](CreditBatch.of(episodes))
            assert [turn.advantage for e in episodes for turn in e.turns] == pytest.approx(
                np.concatenate(plain).tolist()
            )
    assert figures[0]["explained_variance"] == 0.0 and figures[0]["critic_trusted"] == 0.0
    assert figures[-1]["explained_variance"] > 0.5 and figures[-1]["critic_trusted"] == 1.0
    # What was announced is no credit of what follows: the advantages shrink.
    assert figures[-1]["advantage_std"] < 0.6 * figures[0]["advantage_std"]
    again = Reinforcer(make_config(overrides=overrides), learner, lambda step: 0)
    again.load(reinforcer.state())
    rows = [[encode_sampled(e, np.zeros(2))] for e in episodes]
    for one, two in zip(
        again.critic.values(again.critic.features(rows)),
        reinforcer.critic.values(reinforcer.critic.features(rows)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


def test_belief_in_the_gold_answer_is_that_of_a_plain_forward(loaded):
    learner, codec = learner_of(loaded), ChatCodec(loaded.tokenizer)
    one = episode("a", True, np.random.default_rng(2), gold="Rome")
    tools = [{"function": {"name": name}} for name in ("act", "submit")]
    (found,) = gold_probabilities(learner, codec, tools, [one])
    encode = lambda text: loaded.tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    context, gold = encode('{"submit": "'), encode("Rome")
    history = []
    for at, turn in enumerate(one.turns):
        history += turn.prompt_ids
        ids = torch.tensor([[*history, *context, *gold]])
        with torch.no_grad():
            logp = loaded.model(ids).logits[0].log_softmax(-1)
        first = len(history) + len(context)
        scores = [logp[first + k - 1, token].item() for k, token in enumerate(gold)]
        assert found[at] == pytest.approx(np.exp(np.mean(scores)), rel=1e-4)
        history += turn.token_ids
    with pytest.raises(ValueError, match="gives no gold answer"):
        gold_probabilities(learner, codec, tools, [episode("b", True, np.random.default_rng(2))])


def test_a_critics_rate_without_a_critic_is_refused():
    with pytest.raises(ConfigError, match="critic_lr is used with a critic"):
        make_config(overrides={"rl.critic_lr": 1e-3})
