"""Losses against values and gradients worked out by hand, and against each other."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.learner import Learner, Row  # noqa: E402
from thinkact.policies.losses import (  # noqa: E402
    Tokens,
    guarded_tokens,
    kl_term,
    loss_of,
    segment_mean,
    surrogate,
    weights_of,
)
from thinkact.policies.losses_reference import Reference  # noqa: E402
from thinkact.policies.losses_spec import LOSSES, LossOptions, overlong_penalty  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402

#: Two episodes; the first has turns of two and one tokens, the second one turn of one token.
RATIO = [1.5, 0.5, 1.1, 0.9]
ADVANTAGE = [1.0, 1.0, -2.0, -1.0]
SEQUENCE, TURN = [0, 0, 0, 1], [0, 0, 1, 2]


def pieces(ratio=RATIO, advantage=ADVANTAGE, **more):
    old = torch.full((len(ratio),), -1.0, dtype=torch.float64)
    logp = (old + torch.tensor(ratio, dtype=torch.float64).log()).requires_grad_()
    tokens = Tokens(
        torch.tensor(advantage, dtype=torch.float64),
        old,
        torch.tensor(SEQUENCE),
        torch.tensor(TURN),
        torch.ones(len(ratio), dtype=torch.float64),
        **more,
    )
    return logp, tokens


def gradient(logp, tokens, options, normaliser=1.0):
    loss, _ = loss_of(logp, torch.zeros_like(logp), tokens, options, normaliser)
    return torch.autograd.grad(-loss, logp)[0].tolist()


def test_values_by_hand():
    logp, tokens = pieces()

    def u(name, **options):
        return surrogate(logp, tokens, LossOptions(name, **options))[0].tolist()

    assert u("pg") == pytest.approx([a * (-1 + math.log(r)) for a, r in zip(ADVANTAGE, RATIO, strict=True)])
    assert u("ppo") == pytest.approx([1.2, 0.5, -2.2, -0.9])
    assert u("clip_higher") == pytest.approx([1.28, 0.5, -2.2, -0.9])
    # CISPO caps the weight at 1 + high: 1.5 becomes 1.4 and nothing else changes.
    capped = [
        1.4 * (-1 + math.log(1.5)),
        0.5 * (-1 + math.log(0.5)),
        -2.2 * (-1 + math.log(1.1)),
        -0.9 * (-1 + math.log(0.9)),
    ]
    assert u("cispo", clip_high=0.4) == pytest.approx(capped)
    first = math.sqrt(1.5 * 0.5)  # of the turn with two tokens
    assert u("turn", clip_low=0.05, clip_high=0.05) == pytest.approx([first, first, -2.2, -0.95])
    whole = (1.5 * 0.5 * 1.1) ** (1 / 3)
    assert u("gspo", clip_low=0.01, clip_high=0.01) == pytest.approx([whole, whole, -2 * 0.99, -0.99])


def test_gradients_by_hand():
    logp, tokens = pieces()
    assert gradient(logp, tokens, LossOptions("pg")) == pytest.approx(ADVANTAGE)
    assert gradient(logp, tokens, LossOptions("ppo")) == pytest.approx([0.0, 0.5, -2.2, -0.9])
    # What the ratio is clipped to still weighs the gradient of CISPO: no token is silenced.
    assert gradient(logp, tokens, LossOptions("cispo", clip_high=0.4)) == pytest.approx([1.4, 0.5, -2.2, -0.9])
    first = math.sqrt(0.75)
    assert gradient(logp, tokens, LossOptions("turn", clip_low=0.2, clip_high=0.2)) == pytest.approx(
        [first, first, -2.2, -0.9]
    )


def test_gspo_has_the_gradient_of_the_sequence_ratio_where_turns_agree():
    """GSPO-token is GSPO (eqs. 5 and 14 of its paper) when an episode has one advantage."""
    logp, tokens = pieces(ratio=[1.001, 0.9995, 1.0002, 0.9999], advantage=[1.0, 1.0, 1.0, -1.0])
    lengths = [3, 1]
    weights, n = weights_of(lengths, LossOptions("gspo"))
    tokens = replace(tokens, weight=torch.tensor(np.repeat(weights, lengths)))
    got = gradient(logp, tokens, LossOptions("gspo", clip_low=0.1, clip_high=0.1), n)
    log_ratio = logp - tokens.old
    whole = (log_ratio[:3].mean().exp() * 1.0 + log_ratio[3:].mean().exp() * -1.0) / 2
    assert got == pytest.approx(torch.autograd.grad(whole, logp)[0].tolist())


@pytest.mark.parametrize("name", LOSSES)
def test_on_policy_every_loss_has_the_policy_gradient(name):
    logp, tokens = pieces(ratio=[1.0] * 4)
    assert gradient(logp, tokens, LossOptions(name)) == pytest.approx(ADVANTAGE)
    _, outside = surrogate(logp, tokens, LossOptions(name))
    assert not outside.any()


def test_aggregations():
    assert weights_of([3, 1], LossOptions()) == ([1.0, 1.0], 4.0)
    assert weights_of([4, 1], LossOptions(aggregation="sequence_mean")) == ([0.25, 1.0], 2.0)
    assert weights_of([4, 1], LossOptions(aggregation="constant", aggregation_constant=10)) == ([1.0, 1.0], 20.0)
    values = torch.tensor([1.0, 2.0, 6.0, 5.0])
    assert segment_mean(values, torch.tensor(SEQUENCE)).tolist() == [3.0, 3.0, 3.0, 5.0]


def test_kl_estimators():
    # The policy's own distribution over three tokens against another: expectations are exact sums.
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    theta = p.log().clone().requires_grad_()
    logp = theta.log_softmax(0)
    exact = (logp.exp() * (logp - q.log())).sum()
    wanted = torch.autograd.grad(exact, theta, retain_graph=True)[0]
    for name in ("k1", "k3"):
        assert float((p * kl_term(p.log(), q.log(), name)).sum()) == pytest.approx(exact.item())
    # k1 as a reward and k2 in the loss have the gradient of the KL; k1 in the loss has none, which is why it cannot
    # be chosen there.
    reward = (p * kl_term(p.log(), q.log(), "k1").detach() * logp).sum()
    in_loss = {name: (p * kl_term(logp, q.log(), name)).sum() for name in ("k1", "k2")}
    for value in (reward, in_loss["k2"]):
        torch.testing.assert_close(torch.autograd.grad(value, theta, retain_graph=True)[0], wanted)
    torch.testing.assert_close(
        torch.autograd.grad(in_loss["k1"], theta, retain_graph=True)[0], torch.zeros(3, dtype=torch.float64)
    )


def test_kl_in_the_loss_by_hand():
    reference = torch.full((4,), -1.2, dtype=torch.float64)
    logp, tokens = pieces(ratio=[1.0] * 4, advantage=[0.0] * 4, reference=reference)
    loss, figures = loss_of(
        logp, torch.zeros_like(logp), tokens, LossOptions(kl_coef=0.5, kl_estimator="k3"), normaliser=4.0
    )
    k3 = math.exp(-0.2) - 1 + 0.2
    assert loss.item() == pytest.approx(0.5 * k3) and figures["kl_reference"] == pytest.approx(k3)
    got = torch.autograd.grad(loss, logp)[0].tolist()
    assert got == pytest.approx([0.5 * (1 - math.exp(-0.2)) / 4] * 4)


def test_truncated_importance_weighs_the_gradient():
    importance = torch.tensor([2.0, 0.5, 1.0, 1.0], dtype=torch.float64)
    logp, tokens = pieces(ratio=[1.0] * 4, importance=importance)
    assert gradient(logp, tokens, LossOptions(tis_cap=2.0)) == pytest.approx([2.0, 0.5, -2.0, -1.0])


def test_long_left_mistakes_are_not_pushed_down_further():
    # Both episodes are less likely than they were; the second by more than the bound. Praise is never masked.
    logp, tokens = pieces(ratio=[0.9, 0.9, 0.9, 0.5])
    options = LossOptions("pg", off_policy_mask=0.2)
    assert gradient(logp, tokens, options) == pytest.approx([1.0, 1.0, -2.0, 0.0])
    praised = replace(tokens, advantage=torch.ones(4, dtype=torch.float64))
    assert gradient(logp, praised, options) == pytest.approx([1.0] * 4)


def test_entropy_guards_choose_by_covariance():
    old = np.array([-0.1, -4.0, -0.2, -3.0, -0.1, -2.0], dtype=np.float32)
    advantage = np.array([2.0, 2.0, -2.0, -2.0, 0.0, 0.0], dtype=np.float32)
    covariance = (old - old.mean()) * (advantage - advantage.mean())
    kl = LossOptions(entropy_guard="kl_cov", cov_share=0.34)
    rng = np.random.default_rng(0)
    assert sorted(np.flatnonzero(guarded_tokens(old, advantage, kl, rng))) == sorted(np.argsort(-covariance)[:2])
    clip = LossOptions(entropy_guard="clip_cov", cov_share=1.0)
    np.testing.assert_array_equal(guarded_tokens(old, advantage, clip, rng), (covariance > 1) & (covariance < 5))
    guarded = torch.tensor([True, False, False, False])
    logp, tokens = pieces(ratio=[1.1, 1.0, 1.0, 1.0], guarded=guarded)
    assert gradient(logp, tokens, clip)[0] == 0.0
    # KL-Cov: the gradient of −coef·|log ρ| comes to that of the surrogate.
    assert gradient(logp, tokens, replace(kl, cov_coef=0.25))[0] == pytest.approx(1.1 - 0.25)


def test_soft_overlong_punishment():
    fines = [overlong_penalty(n, 100, 20) for n in (50, 80, 90, 100, 130)]
    assert fines == pytest.approx([0.0, 0.0, -0.5, -1.0, -1.0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "ppoo"}, "Unknown loss 'ppoo'; there are pg, ppo"),
        ({"name": "pg", "clip_high": 0.3}, "no clip_high"),
        ({"name": "cispo", "clip_low": 0.3}, "no clip_low"),
        ({"aggregation": "constant"}, "needs aggregation_constant"),
        ({"aggregation_constant": 5}, "used with aggregation 'constant'"),
        ({"kl_coef": 0.1}, "needs kl_estimator"),
        ({"kl_estimator": "k3"}, "used with kl_coef > 0"),
        ({"cov_share": 0.1}, "there is none"),
        ({"entropy_guard": "clip_cov", "cov_coef": 1.0}, "belongs to entropy_guard 'kl_cov'"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LossOptions(**options)


# With a model.


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model():
    found = build_tiny(["some text"] * 3, vocab_size=300, hidden=32, layers=2, heads=2, seed=1).model
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return found


def row_of(seed, turns=3):
    rng = np.random.default_rng(seed)
    sampled = np.concatenate([[False] * 3 + [True] * int(rng.integers(1, 5)) for _ in range(turns)])
    size = len(sampled)
    advantage = np.where(sampled, rng.normal(size=size), 0).astype(np.float32)
    return Row(rng.integers(300, size=size), sampled, advantage, np.where(sampled, -5.5, 0).astype(np.float32))


def learner_of(model, **options):
    return Learner(model, dtype=torch.float32, lr=1e-3, max_grad_norm=1e9, **options)


def step_gradient(learner, rows, options):
    found = []
    hook = learner.optimizer.register_step_pre_hook(
        lambda *_: found.append(torch.cat([p.grad.flatten().clone() for p in learner.parameters]))
    )
    figures = learner.rl_step(rows, options, lr_scale=0.0, seed=3)
    hook.remove()
    return found[0], figures


FULL = {
    "kl": LossOptions(kl_coef=0.1, kl_estimator="k3", aggregation="sequence_mean", entropy_coef=0.01),
    "gspo": LossOptions("gspo", clip_low=0.5, clip_high=0.5),
    "turn": LossOptions("turn", clip_low=0.5, clip_high=0.5, tis_cap=2.0),
    "guard": LossOptions("ppo", entropy_guard="kl_cov", cov_share=0.3, off_policy_mask=0.1),
    "constant": LossOptions("cispo", aggregation="constant", aggregation_constant=7, entropy_guard="clip_cov"),
}


@pytest.mark.parametrize("options", FULL.values(), ids=FULL)
def test_a_step_does_not_depend_on_how_it_is_cut_into_passes(model, options):
    rows = [row_of(seed) for seed in range(6)]
    learner = learner_of(model)
    rows = [replace(r, trainer=p, reference=p + 0.1) for r, p in zip(rows, learner.logprobs(rows), strict=True)]
    one, figures = step_gradient(learner, rows, options)
    many, others = step_gradient(learner_of(model, batch_tokens=64), rows, options)
    torch.testing.assert_close(one, many, atol=1e-6, rtol=1e-4)
    assert figures == pytest.approx(others, rel=1e-3, abs=1e-6)


def test_the_reference_stays_until_it_is_reset(model):
    learner, rows = learner_of(model), [row_of(seed) for seed in range(3)]
    reference = Reference(model)
    before = learner.logprobs(rows)
    for _ in range(3):
        learner.rl_step(rows)
    annotated = reference.annotate(learner, rows)
    now = learner.logprobs(rows)
    for row, was, is_now in zip(annotated, before, now, strict=True):
        np.testing.assert_allclose(row.reference, was, atol=1e-5)
        assert np.abs(is_now - was).max() > 1e-3  # the weights in training were put back
    kept = {name: value.clone() for name, value in reference.weights.items()}
    reference.reset()
    np.testing.assert_allclose(reference.annotate(learner, rows)[0].reference, now[0], atol=1e-5)
    reference.load(kept)
    np.testing.assert_allclose(reference.annotate(learner, rows)[0].reference, before[0], atol=1e-5)


def test_rows_without_what_a_loss_needs_are_refused(model):
    learner, rows = learner_of(model), [row_of(1)]
    with pytest.raises(ValueError, match="reference"):
        learner.rl_step(rows, LossOptions(kl_coef=0.1, kl_estimator="k2"))
    with pytest.raises(ValueError, match="trainer"):
        learner.rl_step(rows, LossOptions(tis_cap=2.0))
