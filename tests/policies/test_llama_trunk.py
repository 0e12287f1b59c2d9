"""A Llama's passes written out, against the model's own modules."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from thinkact.policies.learner import Learner, Row  # noqa: E402
from thinkact.policies.llama_trunk import LlamaTrunk  # noqa: E402
from thinkact.policies.losses_spec import LossOptions  # noqa: E402

ROPES = {
    "plain": {"rope_type": "default", "rope_theta": 1e4},
    "llama3": {
        **{"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "original_max_position_embeddings": 16},
        **{"low_freq_factor": 1.0, "high_freq_factor": 4.0},
    },
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(*, tied=True, kv=2, rope="plain", **other):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=kv,
            head_dim=8,
            tie_word_embeddings=tied,
            rope_parameters=ROPES[rope],
            **other,
        )
        model = LlamaForCausalLM(config).eval()
        for parameter in model.parameters():
            # Gains that are not 1, and probabilities that differ.
            torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    return model


def rows(seed=0, groups=2, members=4):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(groups):
        prompt = rng.integers(2, 64, 20)
        for member in range(members):
            tail = rng.integers(2, 64, int(rng.integers(3, 15)) + 4 * member)
            ids = np.concatenate([prompt, tail]).astype(np.int64)
            sampled = np.arange(len(ids)) >= 20
            sampled[20:] &= rng.random(len(tail)) < 0.8
            sampled[-1] = True
            advantage = np.where(sampled, rng.normal(), 0).astype(np.float32)
            found.append(Row(ids, sampled, advantage, np.where(sampled, -4.0, 0).astype(np.float32)))
    return found


def learner_of(model, **options):
    return Learner(model, **{"dtype": torch.float32, "lr": 0.0, "max_grad_norm": 1e9, "batch_tokens": 100, **options})


def gradients(model, loss=None, **options):
    """By parameter; and the step's figures."""
    learner = learner_of(model, **options)
    found = {}
    learner.optimizer.register_step_pre_hook(
        lambda *_: found.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    )
    return found, learner.rl_step(rows(), loss)


@pytest.mark.parametrize("kind", ["none", "selective", "full"])
@pytest.mark.parametrize(
    "shape", [{}, {"kv": 4, "tied": False}, {"kv": 1, "rope": "llama3"}], ids=["groups", "untied", "llama3"]
)
@pytest.mark.parametrize("share", [True, False], ids=["shared", "whole"])
def test_the_gradient_is_that_of_the_modules(shape, kind, share):
    model = model_of(**shape)
    wanted, figures = gradients(model, LossOptions(entropy_coef=0.1), fused=False, share_prefixes=share)
    found, others = gradients(model, LossOptions(entropy_coef=0.1), checkpointing=kind, share_prefixes=share)
    assert found.keys() == wanted.keys() == dict(model.named_parameters()).keys()
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 1e-5, name
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
    assert others == pytest.approx(figures, rel=1e-4, abs=1e-6)


def test_in_bf16_it_is_as_close_to_fp32_as_the_modules_are():
    model = model_of()
    exact, _ = gradients(model)
    distances = [
        sum(float((found[name] - exact[name]).square().sum()) for name in exact) ** 0.5
        for found in (gradients(model, dtype=torch.bfloat16, fused=fused)[0] for fused in (True, False))
    ]
    assert 0 < distances[0] < 1.5 * distances[1]


@pytest.mark.parametrize("kind, dtype", [("selective", torch.float32), ("full", torch.bfloat16)])
def test_checkpoints_change_no_bit(kind, dtype):
    plain, found = (gradients(model_of(), dtype=dtype, checkpointing=each)[0] for each in ("none", kind))
    assert all(torch.equal(found[name], gradient) for name, gradient in plain.items())


def test_states_and_log_probabilities_are_those_of_the_modules():
    model = model_of()
    fused, modules = learner_of(model), learner_of(model, fused=False)
    for ask in ("logprobs", "hidden"):
        for a, b in zip(getattr(fused, ask)(rows()), getattr(modules, ask)(rows()), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


@pytest.mark.parametrize("trained", ["layers.2", "layers.1.mlp.gate_proj", "layers.0.input_layernorm", "q_proj"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(trained):
    model = model_of()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained in name)
    wanted, _ = gradients(model, fused=False)
    found, _ = gradients(model)
    assert found.keys() == wanted.keys() and all(trained in name for name in found)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6)


def test_checkpoints_keep_less():
    def kept(kind):
        model, sizes = model_of(), {}
        parameters = {p.data_ptr() for p in model.parameters()}

        def pack(tensor):
            if tensor.data_ptr() not in parameters:
                sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        learner = learner_of(model, checkpointing=kind, batch_tokens=10**6)
        (batch,) = learner._batches(rows())
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            states = learner._states(batch)
        assert states.requires_grad
        return sum(sizes.values())

    assert kept("full") < 0.7 * kept("selective") and kept("selective") < 0.7 * kept("none")


# peft asks transformers for a name that it has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_what_is_no_plain_llama_goes_through_its_modules():
    peft = pytest.importorskip("peft")
    assert LlamaTrunk.supports(model_of().model)
    assert not LlamaTrunk.supports(model_of(attention_bias=True).model)
    assert not LlamaTrunk.supports(model_of(hidden_act="gelu").model)
    adapted = peft.get_peft_model(model_of(), peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert not LlamaTrunk.supports(adapted.get_base_model().model)
