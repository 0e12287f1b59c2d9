"""The learner against plain forwards, by gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.advantages import ESTIMATORS, CreditBatch  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.learner import Learner, Row, encode_sampled, informative, rows_of  # noqa: E402
from thinkact.policies.losses_spec import LossOptions  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402

VOCABULARY = 300


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model():
    found = build_tiny(["some text"] * 3, vocab_size=VOCABULARY, hidden=32, layers=2, heads=2, seed=1).model
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)  # peaked, so that differences show
    return found


def learner_of(model, **options):
    return Learner(model, **{"dtype": torch.float32, "lr": 1e-3, "max_grad_norm": 1e9, **options})


def make_row(seed, length=None, advantage=None):
    rng = np.random.default_rng(seed)
    length = length or int(rng.integers(8, 60))
    sampled = rng.random(length) < 0.4
    sampled[0], sampled[-1] = False, True
    values = rng.normal(size=length) if advantage is None else np.full(length, advantage)
    return Row(
        rng.integers(VOCABULARY, size=length),
        sampled,
        np.where(sampled, values, 0).astype(np.float32),
        np.where(sampled, -5.0, 0).astype(np.float32),
    )


def plain(model, row, temperature=1.0):
    """Log-probability of each sampled token by a forward of the row alone."""
    with torch.no_grad():
        logits = model(torch.from_numpy(row.ids)[None]).logits[0].float() / temperature
    logp = logits.log_softmax(-1)
    return np.array([float(logp[at - 1, row.ids[at]]) for at in np.flatnonzero(row.sampled)])


def on_policy(model, row):
    logprob = np.zeros(len(row.ids), dtype=np.float32)
    logprob[row.sampled] = plain(model, row)
    return Row(row.ids, row.sampled, row.advantage, logprob)


def gradient_of(learner, step):
    """The gradient a step used, and the step's figures."""
    found = []
    hook = learner.optimizer.register_step_pre_hook(
        lambda *_: found.append(torch.cat([p.grad.flatten().clone() for p in learner.parameters if p.grad is not None]))
    )
    # The weights stay, so that gradients compare.
    figures = step(learner, 0.0)
    hook.remove()
    return found[0], figures


def sft(rows):
    return lambda learner, scale: learner.sft_step(rows, lr_scale=scale)


def rl(rows, **options):
    return lambda learner, scale: learner.rl_step(rows, LossOptions(**options), lr_scale=scale)


@pytest.mark.parametrize("batch_tokens", [64, 200, 10_000])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_each_row_alone(model, batch_tokens, temperature):
    learner = learner_of(model, batch_tokens=batch_tokens, temperature=temperature)
    rows = [make_row(seed) for seed in range(12)]
    ordered, got, entropies = [], [], []
    for batch in learner._batches(rows):
        assert len(batch.members) == 1 or batch.ids.numel() <= batch_tokens
        logp, entropy = learner._logprobs(batch, entropy_grad=False)
        ordered += [rows[i] for i in batch.members]
        got.append(logp.detach().numpy())
        entropies.append(entropy.numpy())
    wanted = np.concatenate([plain(model, row, temperature) for row in ordered])
    np.testing.assert_allclose(np.concatenate(got), wanted, atol=1e-5)
    assert (np.concatenate(entropies) >= 0).all() and (np.concatenate(entropies) <= np.log(VOCABULARY + 64)).all()


def test_dropout_is_off(model):
    # It would make the trainer's probabilities others than the sampler's, and a resumed run another run.
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    rows = [on_policy(model, make_row(seed)) for seed in range(3)]
    _, figures = gradient_of(learner_of(model), rl(rows))
    assert abs(figures["kl_sampler"]) < 1e-6


@pytest.mark.parametrize("step", [sft, rl, lambda rows: rl(rows, entropy_coef=0.1)])
def test_the_gradient_of_a_batch_is_that_of_its_rows(model, step):
    rows = [on_policy(model, make_row(seed)) for seed in range(6)]
    whole, _ = gradient_of(learner_of(model, batch_tokens=100), step(rows))
    tokens = [int(row.sampled.sum()) for row in rows]
    parts = sum(n * gradient_of(learner_of(model), step([row]))[0] for n, row in zip(tokens, rows, strict=True))
    torch.testing.assert_close(whole, parts / sum(tokens), atol=1e-6, rtol=1e-4)
    # One pass or many: the same.
    once, _ = gradient_of(learner_of(model, batch_tokens=10**6), step(rows))
    torch.testing.assert_close(whole, once, atol=1e-6, rtol=1e-4)


def test_on_policy_the_surrogate_has_the_policy_gradient(model):
    rows = [on_policy(model, make_row(seed)) for seed in range(4)]
    got, figures = gradient_of(learner_of(model), rl(rows))
    loss = torch.zeros(())
    for row in rows:
        logp = model(torch.from_numpy(row.ids)[None]).logits[0].log_softmax(-1)
        at = np.flatnonzero(row.sampled)
        loss = loss - (logp[at - 1, row.ids[at]] * torch.from_numpy(row.advantage[at])).sum()
    wanted = torch.autograd.grad(loss / sum(int(row.sampled.sum()) for row in rows), list(model.parameters()))
    torch.testing.assert_close(got, torch.cat([g.flatten() for g in wanted]), atol=1e-6, rtol=1e-4)
    assert figures["clip_fraction"] == 0.0 and abs(figures["kl_sampler"]) < 1e-6


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_advantage_moves_probability_its_way(model, sign):
    row = on_policy(model, make_row(3, advantage=sign))
    before = plain(model, row).sum()
    learner_of(model).rl_step([row])
    assert sign * (plain(model, row).sum() - before) > 0.1


def test_imitation_learns_its_row(model):
    learner, row = learner_of(model, lr=1e-2), make_row(5)
    first = -plain(model, row).mean()
    losses = [learner.sft_step([row])["loss"] for _ in range(30)]
    assert losses[0] == pytest.approx(first, rel=1e-5) and losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    "ratio, advantage, flows",
    [(1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False), (1.2, 1.0, True), (0.9, -1.0, True)],
)
def test_clipping_stops_the_gradient_outside_and_only_there(model, ratio, advantage, flows):
    row = on_policy(model, make_row(7, advantage=advantage))
    row = Row(row.ids, row.sampled, row.advantage, np.where(row.sampled, row.logprob - np.log(ratio), 0).astype("f4"))
    gradient, figures = gradient_of(learner_of(model), rl([row], clip_low=0.2, clip_high=0.28))
    assert (float(gradient.norm()) > 1e-4) == flows
    assert figures["clip_fraction"] == pytest.approx(0.0 if flows else 1.0)


def test_a_gradient_that_is_not_finite_changes_nothing(model):
    learner = learner_of(model)
    before = [p.clone() for p in model.parameters()]
    row = make_row(1)
    row.advantage[row.sampled] = np.nan
    with pytest.raises(FloatingPointError, match="learning rate"):
        learner.rl_step([row])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    learner.sft_step([make_row(1)])


def test_only_what_requires_a_gradient_is_trained(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("layers.1" in name)
    before = {name: p.clone() for name, p in model.named_parameters()}
    learner_of(model).sft_step([make_row(1)])
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("layers.1" in name for name in changed)


# peft asks transformers for a name that it has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_lora_trains_adapters_only(model):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = peft.get_peft_model(model, config)
    before = {name: p.clone() for name, p in wrapped.named_parameters()}
    row = make_row(2)
    learner = learner_of(wrapped, lr=1e-2)
    np.testing.assert_allclose(
        learner.logprobs([row])[0][row.sampled],
        plain(wrapped, row),
        atol=1e-5,
    )
    losses = [learner.sft_step([row])["loss"] for _ in range(5)]
    changed = {name for name, p in wrapped.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert losses[-1] < losses[0]


# Episodes to rows.


def episode(name, rewards, *, task="t", invalid=(), truncated=False, error=None, seed=0):
    rng = np.random.default_rng((seed, len(rewards)))
    turns = []
    for at, reward in enumerate(rewards):
        drawn = int(rng.integers(1, 6))
        turns.append(
            Turn(
                **dict(observation="q", action="a", result="r", reward=reward, invalid=at in invalid),
                prompt_ids=rng.integers(VOCABULARY, size=int(rng.integers(3, 9))).tolist(),
                token_ids=rng.integers(VOCABULARY, size=drawn).tolist(),
                logprobs=[-5.5] * drawn,
                state_key=f"{name}{at}",
            )
        )
    score = None if error else sum(rewards)
    return Episode(
        **dict(id=name, env_id="env", family="f", env_version="0", split="train", seed=seed, policy="p"),
        **dict(task_id=task, turns=turns, truncated=truncated, terminated=not truncated),
        **dict(score=score, success=None if error else score == 1.0, error=error),
    )


def test_sampled_rows_are_the_recorded_tokens():
    one = episode("a", [0.4, 0.6])
    row = encode_sampled(one, np.array([0.5, -0.25]))
    ids = [i for turn in one.turns for i in [*turn.prompt_ids, *turn.token_ids]]
    assert row.ids.tolist() == ids
    assert row.ids[row.sampled].tolist() == [i for turn in one.turns for i in turn.token_ids]
    drawn = [len(turn.token_ids) for turn in one.turns]
    assert row.advantage[row.sampled].tolist() == [0.5] * drawn[0] + [-0.25] * drawn[1]
    assert not row.advantage[~row.sampled].any() and not row.logprob[~row.sampled].any()


def test_what_is_dropped_has_no_gradient(model):
    episodes = [episode(str(i), [0.2, 0.3, 0.5], seed=i) for i in range(4)]
    advantages = [np.array(a) for a in ([1.0, -0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 0.7, 0.0], [0.0, 0.0, -1.0])]
    short, full = rows_of(episodes, advantages), rows_of(episodes, advantages, entropy_bonus=True)
    assert [len(short), len(full)] == [3, 4]
    assert sum(len(row.ids) for row in short) < sum(len(row.ids) for row in full)
    assert [turn.advantage for turn in episodes[0].turns] == [1.0, -0.5, 0.0]
    tokens = [sum(int(row.sampled.sum()) for row in rows) for rows in (short, full)]
    one, two = (gradient_of(learner_of(model), rl(rows))[0] for rows in (short, full))
    torch.testing.assert_close(one * tokens[0], two * tokens[1], atol=1e-5, rtol=1e-4)


def test_a_cut_takes_the_extremes_of_every_group_alike():
    # The easy group's advantages are all larger than the hard one's: a cut over the batch would drop the latter.
    values = {"easy": [0.9, -0.8, 0.7, 0.6], "hard": [0.2, -0.3, 0.1, 0.05]}
    episodes = [episode(f"{task}{i}", [0.5], task=task, seed=i) for task in values for i in range(4)]
    advantages = [np.array([value]) for task in values for value in values[task]]
    rows = rows_of(episodes, advantages, max_rows=4)
    kept = sorted(float(row.advantage[row.sampled][0]) for row in rows)
    assert kept == pytest.approx([-0.8, -0.3, 0.2, 0.9])
    assert len(rows_of(episodes, advantages, max_rows=100)) == 8


def ids(episodes):
    return [e.id for e in episodes]


def test_groups_without_variance_are_left_out_but_not_format_failures():
    episodes = [
        episode("won", [1.0], task="easy"),
        episode("won too", [0.4, 0.6], task="easy"),
        episode("lost", [0.0], task="mixed"),
        episode("found", [0.4], task="mixed"),
        episode("garbled", [0.0, 0.0], task="format", invalid={1}),
        episode("clean", [0.0], task="format"),
        episode("all garbled", [0.0], task="hopeless", invalid={0}),
        episode("garbled too", [0.0], task="hopeless", invalid={0}),
        episode("alone", [1.0], task="single"),
        episode("faulty", [0.0], task="mixed", error="EnvironmentFault: gone"),
        episode("cut", [0.2], task="mixed", truncated=True),
    ]
    kept = informative(episodes, filter_groups=True, mask_truncated=False)
    assert ids(kept) == ["lost", "found", "cut", "garbled", "clean"]
    assert "faulty" not in ids(informative(episodes, filter_groups=False, mask_truncated=False))
    assert len(informative(episodes, filter_groups=False, mask_truncated=False)) == 10
    assert ids(informative(episodes, filter_groups=True, mask_truncated=True)) == ["lost", "found", "garbled", "clean"]


@pytest.mark.parametrize("name", ["rloo", "grpo", "dr_grpo", "turn_rtg"])
def test_the_filter_takes_nothing_from_estimators_with_a_group_baseline(name):
    group = [episode("a", [0.4, 0.6], seed=1), episode("b", [0.0, 0.4, 0.6], seed=2), episode("c", [1.0], seed=3)]
    for advantages in ESTIMATORS[name](CreditBatch.of(group)):
        np.testing.assert_allclose(advantages, 0, atol=1e-9)
