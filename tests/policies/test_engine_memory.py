"""The engine under a limit of memory: requests wait, keys give way, and nobody samples anything else for it.

And what it tells of itself: whether its weights are still the trainer's.
"""

import ctypes
import random

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from thinkact.policies.engine import Engine, GenRequest  # noqa: E402
from thinkact.policies.kv import KVTable  # noqa: E402
from thinkact.policies.sampling import SamplingParams  # noqa: E402

VOCABULARY = 200
LAYERS, KV_HEADS, HEAD = 2, 2, 16
TOKEN = 2 * LAYERS * KV_HEADS * HEAD * 4  # bytes of one token's keys and values in fp32
MAX_LEN = 192


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=MAX_LEN,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def sizes(monkeypatch):
    """Bytes of every table after each change of its size."""
    seen = []
    resize = KVTable.resize

    def watched(self, rows, capacity):
        resize(self, rows, capacity)
        seen.append(rows * capacity * TOKEN)

    monkeypatch.setattr(KVTable, "resize", watched)
    return seen


def build(model, rows=None, max_slots=8):
    limit = None if rows is None else rows * MAX_LEN * TOKEN
    return Engine(model, max_slots=max_slots, max_len=MAX_LEN, dtype=torch.float32, max_kv_bytes=limit)


def draw(rng, low, high):
    return [rng.randrange(VOCABULARY) for _ in range(rng.randint(low, high))]


def same(ours, theirs):
    """Equal results; the last digits of log-probabilities depend on who shares a product."""
    for a, b in zip(ours, theirs, strict=True):
        assert (a.tokens, a.stop) == (b.tokens, b.stop)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_limit_changes_no_result_in_any_order_of_calls(model, sizes, rows):
    rng = random.Random(rows)
    narrow, wide = build(model, rows), build(model)
    system, live = draw(rng, 20, 20), []
    for _ in range(30):
        move = rng.random()
        if move < 0.35 and len(live) < 8:
            live.append(narrow.open())
            assert wide.open() == live[-1]
        elif move < 0.45 and live:
            slot = live.pop(rng.randrange(len(live)))
            narrow.close(slot), wide.close(slot)
        elif move < 0.55 and live and len(live) < 8:
            source = rng.choice(live)
            live.append(narrow.fork(source))
            assert wide.fork(source) == live[-1]
        elif move < 0.6:
            narrow.sync(), wide.sync()
        elif live:
            del sizes[:]
            chosen = rng.sample(live, rng.randint(1, len(live)))
            params = SamplingParams(max_new_tokens=rng.randint(1, 9), stop_ids=tuple(range(20)))
            asked = [
                GenRequest(s, ([] if wide.tokens(s) else system) + draw(rng, 1, 30), rng.randrange(99)) for s in chosen
            ]
            results = narrow.generate(asked, params)
            assert max(sizes, default=0) <= rows * MAX_LEN * TOKEN
            same(results, wide.generate(asked, params))
        assert narrow.kv_bytes <= rows * MAX_LEN * TOKEN
        assert [narrow.tokens(s) for s in live] == [wide.tokens(s) for s in live]
    assert narrow.evicted_tokens > 0 and wide.evicted_tokens == 0
    assert narrow.prefilled_tokens >= wide.prefilled_tokens  # what gave way is computed anew where it is asked for


def test_short_rows_share_what_one_long_row_takes(model):
    """Memory is counted in tokens: a batch of short episodes runs together where two long ones must take turns."""
    rng = random.Random(7)
    engine = build(model, rows=1)
    requests = [GenRequest(engine.open(), draw(rng, 10, 20), seed) for seed in range(3)]
    engine.generate(requests, SamplingParams(max_new_tokens=8))
    assert engine.evicted_tokens == 0 and engine.kv_bytes == 3 * 64 * TOKEN  # three rows of 64 tokens
    engine.generate([GenRequest(requests[0].slot, draw(rng, 150, 150))], SamplingParams(max_new_tokens=4))
    assert engine.evicted_tokens > 0 and engine.kv_bytes == MAX_LEN * TOKEN  # one row of 192
    engine.sync()
    assert engine.kv_bytes == 0


def test_a_fork_without_room_is_computed_when_it_is_asked_for(model):
    rng = random.Random(8)
    engine = build(model, rows=1)
    slot = engine.open()
    engine.generate([GenRequest(slot, draw(rng, 120, 120))], SamplingParams(max_new_tokens=4))
    size, before = engine.kv_bytes, engine.prefilled_tokens
    forks = [engine.fork(slot) for _ in range(3)]
    assert engine.kv_bytes == size and engine.prefilled_tokens == before
    assert [engine.tokens(f) for f in forks] == [engine.tokens(slot)] * 3
    results = engine.generate([GenRequest(f, [5, 6], seed=3) for f in forks], SamplingParams(max_new_tokens=6))
    same(results, [results[0]] * 3)
    assert engine.kv_bytes <= MAX_LEN * TOKEN


def test_an_episode_larger_than_the_limit_is_refused_at_once(model):
    with pytest.raises(ValueError, match=rf"max_len=192 tokens takes {MAX_LEN * TOKEN} bytes.*lower max_len to 191"):
        Engine(model, max_len=MAX_LEN, dtype=torch.float32, max_kv_bytes=MAX_LEN * TOKEN - 1)


def test_batches_of_all_sizes_make_do_with_few_kernels(model, capfd):
    """OneDNN keeps up to 1024 compiled products of 0.6 MB: one for every number of rows and of keys, if one lets it."""
    rng = random.Random(9)
    engine = Engine(model, max_slots=24, max_len=MAX_LEN, dtype=torch.bfloat16)
    params = SamplingParams(max_new_tokens=2)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):
        for length in (30, 180):  # rows of 64 and 192 tokens
            prompt = draw(rng, length, length)
            for batch in range(1, 25):
                slots = [engine.open() for _ in range(batch)]
                engine.generate([GenRequest(slot, prompt) for slot in slots], params)
                for slot in slots:
                    engine.close(slot)
        ctypes.CDLL(None).fflush(None)
    made = [line for line in capfd.readouterr().out.splitlines() if "primitive,create:" in line and ",matmul," in line]
    if not made:
        pytest.skip("this processor has no products of bf16 for oneDNN to compile")
    # 1, 2, 4, ..., 16, 20 and 24 rows, 2 lengths, 2 products; with all 24 numbers of rows it would be 96.
    assert len([line for line in made if "cache_miss" in line]) <= 11 * 2 * 2


@pytest.mark.parametrize("fused", [True, False])
def test_a_training_step_is_seen_until_it_is_taken_over(model, fused):
    learner = LlamaForCausalLM(model.config)
    engine = Engine(learner, max_slots=1, max_len=64, dtype=torch.float32, fused=fused)
    for optimizer in (torch.optim.AdamW(learner.parameters(), lr=0.1), torch.optim.SGD(learner.parameters(), lr=0.1)):
        assert not engine.stale
        learner(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
        assert not engine.stale  # gradients alone change nothing
        optimizer.step()
        assert engine.stale
        engine.sync()
    learner.model.norm.weight = torch.nn.Parameter(learner.model.norm.weight.detach().clone())
    assert engine.stale
