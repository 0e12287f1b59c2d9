"""AdamW with moments in bf16 against AdamW."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.compact_adamw import _PART, CompactAdamW, _rounded  # noqa: E402
from thinkact.policies.config import ConfigError, make_config  # noqa: E402
from thinkact.policies.distributed_model import load_optimizer  # noqa: E402
from thinkact.policies.learner import Learner, Row  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402


def test_rounding_is_to_a_neighbour_and_right_on_average():
    value = torch.full((_PART,), 1 + 0.3 / 128)  # 0.3 of the way between two neighbours in bf16
    random = torch.randint(1 << 16, (_PART,), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    found = _rounded(value, random).float()
    assert set(found.unique().tolist()) == {1.0, 1 + 1 / 128}
    assert float(found.double().mean()) == pytest.approx(float(value[0]), abs=2e-5)
    exact = torch.tensor([0.0, -2.5])
    assert torch.equal(_rounded(exact, random[:2]).float(), exact)


def gradients(steps, size):
    draw = torch.Generator().manual_seed(1)
    scale = torch.logspace(-4, 1, size)
    return [scale * (0.3 + torch.randn(size, generator=draw)) for _ in range(steps)]


def run(make, steps, *, size=_PART + 77, weights=None):
    parameter = torch.nn.Parameter(torch.ones(size) if weights is None else weights)
    optimizer = make([parameter])
    for gradient in steps:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach(), optimizer


def plain(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)


def compact(parameters):
    return CompactAdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)


def test_it_goes_where_adamw_goes():
    steps = gradients(60, _PART + 77)
    wanted, _ = run(plain, steps)
    found, optimizer = run(compact, steps)
    moved = (wanted - 1).abs()
    assert float((found - wanted).abs().mean()) < 0.01 * float(moved.mean())
    (state,) = optimizer.state.values()
    assert {state[name].dtype for name in ("exp_avg", "exp_avg_sq")} == {torch.bfloat16}
    assert sum(value.nbytes for value in state.values()) < 4.01 * len(found)


def test_a_moment_that_barely_moves_does_move():
    # To nearest, 0.999 of a number in bf16 is the number itself.
    made = CompactAdamW([torch.nn.Parameter(torch.ones(4096))], lr=0.0, betas=(0.9, 0.999))
    (parameter,) = made.param_groups[0]["params"]
    for step in range(200):
        parameter.grad = torch.full((4096,), 1.0 if not step else 0.0)
        made.step()
    second = made.state[parameter]["exp_avg_sq"].double().mean()
    assert float(second) == pytest.approx(1e-3 * 0.999**199, rel=0.01)


def test_it_goes_on_where_it_stopped():
    steps = gradients(9, 300)
    whole, _ = run(compact, steps, size=300)
    half, optimizer = run(compact, steps[:5], size=300)
    kept = copy.deepcopy(optimizer.state_dict())

    def resumed(parameters):
        made = compact(parameters)
        made.load_state_dict(kept)
        return made

    found, _ = run(resumed, steps[5:], weights=half.clone())
    assert torch.equal(found, whole)


def test_weights_in_bf16_are_refused():
    with pytest.raises(TypeError, match="fp32"):
        CompactAdamW([torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))], lr=1e-3)


def test_a_learner_goes_on_bit_for_bit_after_a_checkpoint(tmp_path):
    def learner_and_model():
        model = build_tiny(["some text"] * 3, vocab_size=300, hidden=32, layers=2, heads=2, seed=1).model
        return Learner(model, dtype=torch.bfloat16, lr=1e-2, moments="bf16"), model

    rng = np.random.default_rng(0)
    sampled = np.arange(30) > 9
    zeros = np.zeros(30, dtype=np.float32)
    batches = [[Row(rng.integers(300, size=30), sampled, zeros, zeros) for _ in range(3)] for _ in range(4)]
    whole, wanted = learner_and_model()
    for number, rows in enumerate(batches):
        if number == 2:
            torch.save({"optimizer": whole.optimizer.state_dict(), "weights": wanted.state_dict()}, tmp_path / "kept")
        whole.sft_step(rows)
    resumed, found = learner_and_model()
    kept = torch.load(tmp_path / "kept")
    found.load_state_dict(kept["weights"])
    load_optimizer(resumed.optimizer, kept["optimizer"])
    for rows in batches[2:]:
        resumed.sft_step(rows)
    assert all(torch.equal(a, b) for a, b in zip(wanted.parameters(), found.parameters(), strict=True))


def test_a_model_that_is_split_keeps_adamws_own():
    with pytest.raises(ConfigError, match="moments"):
        make_config(overrides={"moments": "bf16", "shard": "full"})
    assert make_config(overrides={"moments": "bf16"}).moments == "bf16"
