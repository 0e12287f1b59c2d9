"""An engine that rests while somebody else wants the memory."""

import weakref

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.engine import Engine, GenRequest  # noqa: E402
from thinkact.policies.heap import give_back  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.sampling import SamplingParams  # noqa: E402

PARAMS = SamplingParams(max_new_tokens=5)


@pytest.fixture
def model():
    return build_tiny(["some text"] * 3, vocab_size=300, hidden=32, layers=2, heads=2, seed=1).model


def engine_of(model, fused):
    return Engine(model, max_slots=3, max_len=96, dtype=torch.bfloat16, fused=fused)


def turns(engine, between):
    """Two turns of two episodes."""
    slots = [engine.open(), engine.open()]
    first = engine.generate([GenRequest(s, [5, 6, 7 + s], seed=s) for s in slots], PARAMS)
    between()
    second = engine.generate([GenRequest(s, [9], seed=10 + s) for s in slots], PARAMS)
    return [(result.tokens, result.logprobs) for result in (*first, *second)]


@pytest.mark.parametrize("fused", [True, False])
def test_episodes_go_on_as_after_a_sync(model, fused):
    one, other = engine_of(model, fused), engine_of(model, fused)
    assert turns(one, one.rest) == turns(other, other.sync)


@pytest.mark.parametrize("fused", [True, False])
def test_the_copy_and_the_keys_are_freed_and_the_weights_are_those_of_the_awakening(model, fused):
    engine = engine_of(model, fused)
    turns(engine, lambda: None)
    assert engine.kv_bytes
    held = weakref.ref(engine._forward.embed if fused else engine._forward.copy.model.embed_tokens.weight)
    assert held() is not None
    engine.rest()
    engine.rest()  # idempotent
    assert held() is None or not held().nbytes
    assert engine.kv_bytes == 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    fresh = engine_of(model, fused)
    request = [GenRequest(2, [3, 4, 5], seed=1)]
    results = []
    for each in (engine, fresh):
        while each.open() != 2:
            pass
        results.append(each.generate(request, PARAMS)[0])
    assert results[0].tokens == results[1].tokens
    assert results[0].logprobs == pytest.approx(results[1].logprobs, abs=1e-6)
    assert not engine.stale


def test_memory_is_given_back_again_and_again():
    give_back()
    give_back()
