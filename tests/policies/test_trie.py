"""Rows side by side, and what they open with alike computed once: everything that is learned stays what it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from transformers import (  # noqa: E402
    Gemma2Config,
    Gemma2ForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from thinkact.policies import trie  # noqa: E402
from thinkact.policies.learner import Learner, Row  # noqa: E402
from thinkact.policies.losses_spec import LossOptions  # noqa: E402
from thinkact.policies.packing import pack  # noqa: E402

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
MODELS = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(kind):
    config, build = MODELS[kind]
    torch.manual_seed(0)
    return build(config(**SHAPE)).eval()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8), st.booleans())
def test_every_row_is_a_path_that_sees_itself_and_nothing_else(tokens, share):
    rows = [np.array(row) for row in tokens]
    if share:
        order = trie.in_order(rows)
        assert sorted(order) == list(range(len(rows)))
        rows = [rows[at] for at in order]
    packed = pack(rows, share=share, device=torch.device("cpu"))
    distinct = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    assert len(packed.ids) == (len(distinct) if share else sum(map(len, rows))) == sum(packed.sizes)
    sees = {}
    pieces = np.split(np.arange(len(packed.ids)), np.cumsum(packed.sizes)[:-1])
    for block in packed.blocks:
        keys = np.concatenate([pieces[at] for at in block.seen])
        mask = np.tri(len(keys), dtype=bool) if block.mask is None else block.mask.numpy()
        for own, row in zip(keys[len(keys) - len(mask) :], mask, strict=True):
            assert own == len(sees)  # blocks follow one another
            sees[own] = keys[row].tolist()
    for row, path in zip(rows, packed.paths, strict=True):
        assert packed.ids[path].tolist() == row.tolist()
        assert packed.positions[path].tolist() == list(range(len(row)))
        for depth, node in enumerate(path):
            assert sees[node] == path[: depth + 1].tolist()


def test_a_tree_needs_tokens():
    for rows in ([], [np.array([], dtype=np.int64)]):
        with pytest.raises(ValueError, match="rows with tokens"):
            trie.build(rows)


def rows_with_trunks(rng, groups=3, members=4):
    """Groups with a long prompt; half of the members also share sampled turns, as forked episodes do."""
    rows = []
    for _ in range(groups):
        prompt, trunk = rng.integers(2, 64, 20), rng.integers(2, 64, 9)
        for member in range(members):
            tail = rng.integers(2, 64, int(rng.integers(3, 15)))
            ids = np.concatenate([prompt, trunk, tail] if member % 2 else [prompt, tail]).astype(np.int64)
            sampled = np.zeros(len(ids), dtype=bool)
            sampled[20:] = rng.random(len(ids) - 20) < 0.7
            sampled[-1] = True
            count = len(ids)
            rows.append(
                Row(
                    ids,
                    sampled,
                    np.where(sampled, rng.normal(size=count), 0).astype(np.float32),
                    np.where(sampled, -2 + 0.1 * rng.normal(size=count), 0).astype(np.float32),
                )
            )
    return rows


def after_a_step(kind, rows, layout, step, **options):
    packed, shared = layout != "padded", layout == "shared"
    learner = Learner(
        model_of(kind), dtype=torch.float32, lr=1.0, packed=packed, share_prefixes=shared, max_grad_norm=1e9, **options
    )
    assert learner.layout == layout
    learner.optimizer = torch.optim.SGD(learner.parameters, lr=1.0)  # what moves is the gradient itself
    before = [p.detach().clone() for p in learner.parameters]
    figures = step(learner, rows)
    return figures, [p.detach() - b for p, b in zip(learner.parameters, before, strict=True)]


STEPS = {
    "imitation": lambda learner, rows: learner.sft_step(rows),
    "ppo": lambda learner, rows: learner.rl_step(rows),
    "gspo": lambda learner, rows: learner.rl_step(rows, LossOptions(name="gspo")),
    "entropy": lambda learner, rows: learner.rl_step(rows, LossOptions(entropy_coef=0.1)),
}


@pytest.mark.parametrize("kind, step", [*(("llama", step) for step in STEPS), ("qwen3", "ppo")])
def test_the_gradient_is_the_same(kind, step):
    rows = rows_with_trunks(np.random.default_rng(1))
    plain, gradient = after_a_step(kind, rows, "padded", STEPS[step], batch_tokens=4096)
    assert any(float(g.abs().max()) > 1e-4 for g in gradient)
    for layout, budget in (("packed", 70), ("shared", 70), ("shared", 4096)):
        merged, other = after_a_step(kind, rows, layout, STEPS[step], batch_tokens=budget)
        for a, b in zip(gradient, other, strict=True):
            torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4)
        for name in ("loss", "grad_norm"):
            assert merged[name] == pytest.approx(plain[name], rel=1e-4, abs=1e-6)


def test_a_model_attends_as_it_did_when_nothing_is_learned():
    learner, rows = Learner(model_of("llama"), dtype=torch.float32, lr=1.0), rows_with_trunks(np.random.default_rng(4))
    for step in (learner.sft_step, learner.logprobs, learner.hidden):
        step(rows)
        assert learner.model.config._attn_implementation == "sdpa"
    for row in rows:
        row.advantage[row.sampled] = np.nan
    with pytest.raises(FloatingPointError):
        learner.rl_step(rows)
    assert learner.model.config._attn_implementation == "sdpa"


def test_log_probabilities_come_back_in_the_order_of_the_rows():
    rows = rows_with_trunks(np.random.default_rng(2))
    plain, *others = (
        Learner(model_of("llama"), dtype=torch.float32, lr=1e-3, batch_tokens=100, **layout).logprobs(rows)
        for layout in ({"packed": False}, {"share_prefixes": False}, {})
    )
    for found in others:
        for a, b in zip(plain, found, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_each_shared_token_is_computed_once():
    rows = rows_with_trunks(np.random.default_rng(3), groups=2, members=8)
    learner = Learner(model_of("llama"), dtype=torch.float32, lr=1e-3, batch_tokens=4096)
    (batch,) = learner._batches(rows)
    distinct = {tuple(row.ids[: n + 1]) for row in rows for n in range(len(row.ids))}
    assert batch.ids.shape == (1, len(distinct)) and len(distinct) < 0.5 * sum(len(row.ids) for row in rows)


def gemma():
    return Gemma2ForCausalLM(Gemma2Config(**SHAPE, sliding_window=8))


def eager():
    model = model_of("llama")
    model.set_attn_implementation("eager")
    return model


def recurrent():
    config = Lfm2Config(**SHAPE, layer_types=["full_attention", "conv"], full_attn_idxs=[0])
    return Lfm2ForCausalLM(config)


@pytest.mark.parametrize("build", [gemma, eager, recurrent])
def test_what_would_run_from_row_to_row_is_not_packed(build):
    torch.manual_seed(0)
    model = build().eval()
    with pytest.raises(ValueError, match="Leave it off"):
        Learner(model, dtype=torch.float32, lr=1e-3, share_prefixes=True)
    learner = Learner(model, dtype=torch.float32, lr=1e-3)
    assert learner.layout == "padded"
    rows = rows_with_trunks(np.random.default_rng(5), groups=1)
    together, alone = learner.logprobs(rows), [learner.logprobs([row])[0] for row in rows]
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), atol=1e-5)
