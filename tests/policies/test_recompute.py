"""Checkpointed activations: the same gradient, bit for bit, with as much computed again as was asked for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from thinkact.policies.learner import Learner, Row  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Products(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default)
        return func(*args, **(kwargs or {}))


def rows():
    rng = np.random.default_rng(0)
    opening = rng.integers(300, size=12)
    found = []
    for size in (5, 9, 14):
        ids = np.concatenate([opening, rng.integers(300, size=size)])
        sampled = np.arange(len(ids)) >= len(opening)
        advantage = np.where(sampled, rng.normal(size=len(ids)), 0).astype(np.float32)
        found.append(Row(ids, sampled, advantage, np.where(sampled, -5.5, 0).astype(np.float32)))
    return found


def step(kind, *, dtype=torch.float32, lora=False, **options):
    """Gradient, products and calls of a norm in one step."""
    model = build_tiny(["some text"] * 3, vocab_size=300, hidden=32, layers=2, heads=2, seed=1).model
    norm = model.model.layers[1].post_attention_layernorm
    if lora:
        peft = pytest.importorskip("peft")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
            model = peft.get_peft_model(model, config)
    learner = Learner(model, dtype=dtype, lr=0.0, max_grad_norm=1e9, checkpointing=kind, **options)
    found, calls = [], []
    learner.optimizer.register_step_pre_hook(
        lambda *_: found.append(torch.cat([p.grad.flatten().clone() for p in learner.parameters if p.grad is not None]))
    )
    norm.register_forward_hook(lambda *_: calls.append(1))
    with Products() as products:
        learner.rl_step(rows())
    assert all("forward" not in vars(layer) for layer in model.modules())
    return found[0], products.count, len(calls)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "options", [{"packed": False}, {"share_prefixes": True, "fused": False}], ids=["padded", "shared"]
)
def test_the_gradient_is_the_same_and_products_are_repeated_only_where_asked_for(dtype, options):
    plain, products, calls = step("none", dtype=dtype, **options)
    assert calls == 1 and plain.any()
    chosen, again, twice = step("selective", dtype=dtype, **options)
    assert torch.equal(chosen, plain) and (again, twice) == (products, 2)
    whole, again, twice = step("full", dtype=dtype, **options)
    assert torch.equal(whole, plain) and again > products and twice == 2


# peft asks transformers for a name that it has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_learn_the_same():
    plain, _, _ = step("none", lora=True)
    for kind in ("selective", "full"):
        assert torch.equal(step(kind, lora=True)[0], plain)
