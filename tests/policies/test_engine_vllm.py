"""One protocol, two engines: our own, and vLLM's behind a stand-in that speaks its documented interface.

The stand-in reads the folder that is written for vLLM, knows the documented arguments only, computes every request's
whole history with the plain model, and answers with the documented fields. What vLLM itself does is not tested here.
"""

import random
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM  # noqa: E402

from thinkact.policies.engine import Engine  # noqa: E402
from thinkact.policies.generation import EngineFull, GenRequest  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.rollout import rollout  # noqa: E402
from thinkact.policies.sampling import SamplingParams  # noqa: E402
from thinkact.policies.vllm_engine import VLLMEngine, VLLMMissing, _read  # noqa: E402

VOCABULARY, MAX_LEN = 200, 96
STOPS = tuple(range(0, VOCABULARY, 9))


@dataclass
class Sampling:
    """vllm.SamplingParams: the documented arguments that matter here."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    stop_token_ids: list[int] = field(default_factory=list)
    ignore_eos: bool = False
    logprobs: int | None = None
    detokenize: bool = True


class LLM:
    """vllm.LLM over a plain model that computes every history anew."""

    made = None

    def __init__(
        self,
        model,
        *,
        skip_tokenizer_init=False,
        generation_config="auto",
        dtype="auto",
        max_model_len=None,
        max_num_seqs=None,
        gpu_memory_utilization=0.9,
        enable_prefix_caching=None,
        logprobs_mode="raw_logprobs",
        seed=0,
    ):
        LLM.made = self
        assert skip_tokenizer_init and generation_config == "vllm" and logprobs_mode == "processed_logprobs"
        self.folder, self.max_model_len, self.share = model, max_model_len, gpu_memory_utilization
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        self.known, self.calls = [], []

    def collective_rpc(self, method, timeout=None, args=(), kwargs=None):
        assert method == "reload_weights"
        state = {}
        for file in sorted(Path(self.folder).glob("*.safetensors")):
            state |= load_file(file)
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        assert not unexpected and set(missing) <= {"lm_head.weight"}
        return [None]

    def reset_prefix_cache(self):
        self.known = []
        return True

    @torch.no_grad()
    def generate(self, prompts, sampling_params=None, *, use_tqdm=True):
        self.calls.append((prompts, sampling_params))
        return [self._answer(p["prompt_token_ids"], s) for p, s in zip(prompts, sampling_params, strict=True)]

    def _answer(self, prompt, asked):
        assert prompt and len(prompt) + asked.max_tokens <= self.max_model_len and not asked.detokenize
        assert 0 <= asked.seed < 2**63 and asked.ignore_eos and asked.top_p == 1
        generator = torch.Generator().manual_seed(asked.seed)
        tokens, places, why = [], [], "length"
        for _ in range(asked.max_tokens):
            logits = self.model(torch.tensor([prompt + tokens])).logits[0, -1].float()
            scores = (logits / (asked.temperature or 1.0)).log_softmax(-1)
            draw = scores.exp() if asked.temperature else (scores == scores.max()).float()
            token = int(torch.multinomial(draw, 1, generator=generator))
            told = [token, *scores.topk(asked.logprobs).indices.tolist()]
            places.append({t: SimpleNamespace(logprob=float(scores[t]), rank=1, decoded_token=None) for t in told})
            tokens.append(token)
            if token in asked.stop_token_ids:
                why = "stop"
                break
        hit = max((n for k in self.known for n in range(len(k) + 1) if k[:n] == prompt[:n]), default=0)
        self.known.append(prompt + tokens[:-1])
        completion = SimpleNamespace(
            index=0, text="", token_ids=tuple(tokens), cumulative_logprob=None, logprobs=places, finish_reason=why
        )
        return SimpleNamespace(request_id="0", outputs=[completion], finished=True, num_cached_tokens=hit)


@pytest.fixture
def vllm(monkeypatch):
    """What `import vllm` finds."""
    stand_in = SimpleNamespace(LLM=LLM, SamplingParams=Sampling, TokensPrompt=dict)
    monkeypatch.setitem(sys.modules, "vllm", stand_in)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return stand_in


@pytest.fixture(params=["ours", "vllm"])
def engine_of(request, vllm):
    """Makes an engine around a model."""

    def make(model, **options):
        kind = Engine if request.param == "ours" else VLLMEngine
        return kind(model, max_len=MAX_LEN, dtype=torch.float32, **options)

    return make


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def draw(rng, low, high):
    return [rng.randrange(VOCABULARY) for _ in range(rng.randint(low, high))]


def told(model, history, tokens, temperature=1.0):
    """Log-probabilities of `tokens` after `history`, by the plain model."""
    with torch.no_grad():
        logits = model(torch.tensor([history + tokens])).logits[0, len(history) - 1 : -1].float() / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist()


def test_turns_are_what_the_whole_history_gives(engine_of, model):
    rng = random.Random(1)
    engine = engine_of(model, max_slots=4)
    slots = [engine.open() for _ in range(4)]
    with pytest.raises(EngineFull):
        engine.open()
    history = {slot: [] for slot in slots}
    stops = set()
    for turn in range(5):
        for temperature in (1.0, 0.7, 0.0):
            params = SamplingParams(temperature=temperature, max_new_tokens=5, stop_ids=STOPS, top_logprobs=3)
            requests = [
                GenRequest(slot, draw(rng, 1, 9), seed=turn) for slot in rng.sample(slots, 3) if len(history[slot]) < 80
            ]
            for request, result in zip(requests, engine.generate(requests, params), strict=True):
                before = history[request.slot] + request.new_tokens
                assert result.logprobs == pytest.approx(
                    told(model, before, result.tokens, temperature or 1.0), abs=1e-4
                )
                assert (result.tokens[-1] in STOPS) == (result.stop == "stop")
                assert not set(result.tokens[:-1]) & set(STOPS)
                assert [len(each) for each in result.top] == [3] * len(result.tokens)
                assert all(each == sorted(each, key=lambda item: -item[1]) for each in result.top)
                history[request.slot] = before + result.tokens
                assert engine.tokens(request.slot) == history[request.slot]
                stops.add(result.stop)
    assert stops >= {"stop", "length"}
    # Only the last token of a turn, which nothing has read yet, is computed besides the new ones.
    assert engine.prefilled_tokens + engine.generated_tokens <= sum(map(len, history.values())) + 5 * 3 * 4
    engine.close(slots[0])
    assert engine.tokens(engine.open()) == []


def test_a_full_slot_says_so_and_stays_as_it_was(engine_of, model):
    rng = random.Random(2)
    engine = engine_of(model, max_slots=2)
    slot = engine.open()
    (result,) = engine.generate([GenRequest(slot, draw(rng, 90, 90))], SamplingParams(max_new_tokens=20))
    assert (result.stop, len(result.tokens), len(engine.tokens(slot))) == ("context", 6, MAX_LEN)
    before, other = engine.tokens(slot), engine.open()
    results = engine.generate(
        [GenRequest(slot, [1]), GenRequest(other, [1, 2], seed=4)], SamplingParams(max_new_tokens=2)
    )
    assert (results[0].stop, results[0].tokens, engine.tokens(slot)) == ("context", [], before)
    assert len(results[1].tokens) == 2


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([GenRequest(0, [1]), GenRequest(0, [2])], "may appear once"),
        ([GenRequest(1, [1])], "slot 1 is not open"),
        ([GenRequest(0, [1, VOCABULARY])], r"token ids must lie in \[0, 200\)"),
        ([GenRequest(0, [-1])], r"token ids must lie in \[0, 200\)"),
        ([GenRequest(0, [])], "is empty and the request brings no tokens"),
    ],
)
def test_a_senseless_request_is_refused_and_nothing_is_taken_in(engine_of, model, requests, message):
    engine = engine_of(model, max_slots=2)
    slot = engine.open()
    with pytest.raises(ValueError, match=message):
        engine.generate(requests, SamplingParams(max_new_tokens=2))
    assert engine.tokens(slot) == []
    with pytest.raises(ValueError, match="slot 1 is not open"):
        engine.close(1)


@pytest.mark.parametrize("adapters", [False, True])
def test_weights_take_effect_at_sync(engine_of, model, adapters):
    if adapters:
        from peft import LoraConfig, get_peft_model

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft asks for a name that transformers is about to drop
            model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    rng = random.Random(3)
    engine = engine_of(model, max_slots=2)
    slot, prompt, params = engine.open(), draw(rng, 12, 12), SamplingParams(max_new_tokens=4)
    (first,) = engine.generate([GenRequest(slot, prompt)], params)
    assert first.logprobs == pytest.approx(told(model, prompt, first.tokens), abs=1e-4)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(3):
        model(torch.tensor([prompt]), labels=torch.tensor([prompt])).loss.backward()
        optimizer.step()
    engine.sync()
    history = engine.tokens(slot)
    assert history == prompt + first.tokens
    (second,) = engine.generate([GenRequest(slot, [5])], params)
    assert second.logprobs == pytest.approx(told(model, [*history, 5], second.tokens), abs=1e-4)
    changed = told(model, prompt, first.tokens)
    assert max(abs(a - b) for a, b in zip(changed, first.logprobs, strict=True)) > 0.1


def test_an_episode_through_vllm_is_on_record_token_by_token(vllm):
    loaded = build_tiny(["an umbrella, a letter, a key"], vocab_size=320, hidden=32, layers=2, heads=2, seed=0)
    policy = HFPolicy(
        loaded, sampler="vllm", vllm_memory=0.3, max_slots=3, max_len=512, max_new_tokens=8, dtype=torch.float32
    )
    assert LLM.made.share == 0.3
    world = {"world": "umbrella", "horizon": 3}
    episodes = rollout("thinkact/Credit-v0", policy, episodes=3, trials=3, concurrency=3, env_kwargs=world)
    for episode in episodes:
        history = []
        assert episode.turns
        for turn in episode.turns:
            history += turn.prompt_ids
            assert turn.logprobs == pytest.approx(told(loaded.model, history, turn.token_ids), abs=1e-4)
            history += turn.token_ids
    # Attempts at one task share a prompt and differ in what is drawn.
    assert len({tuple(episode.turns[0].token_ids) for episode in episodes}) > 1
    seeds = [asked.seed for _, params in LLM.made.calls for asked in params]
    assert len(set(seeds)) == len(seeds)
    assert not policy._live


def test_parts_of_a_turn_are_drawn_apart(vllm, model):
    engine = VLLMEngine(model, max_slots=1, max_len=MAX_LEN, dtype=torch.float32)
    slot = engine.open()
    for drawn in (0, 3):
        engine.generate([GenRequest(slot, [1] * (not drawn), seed=8, drawn=drawn)], SamplingParams(max_new_tokens=3))
    (_, (first,)), (_, (second,)) = LLM.made.calls
    assert first.seed != second.seed


def test_what_is_no_documented_answer_is_an_error():
    params = SamplingParams(stop_ids=(7,))

    def answer(tokens=(3, 7), finish_reason="stop", logprobs=None):
        told = [{t: SimpleNamespace(logprob=-1.0)} for t in tokens] if logprobs is None else logprobs
        completion = SimpleNamespace(token_ids=tokens, finish_reason=finish_reason, logprobs=told)
        return SimpleNamespace(outputs=[completion])

    assert _read(answer(), params).tokens == [3, 7]
    for broken in (
        answer(finish_reason="abort"),
        answer(finish_reason=None),
        answer(tokens=()),
        answer(tokens=(3, 4)),  # "stop" without a stop id: its text was cut somewhere else
        answer(finish_reason="length"),
        answer(logprobs=[{3: SimpleNamespace(logprob=-1.0)}]),
        answer(logprobs=[{3: SimpleNamespace(logprob=-1.0)}, {4: SimpleNamespace(logprob=-1.0)}]),
    ):
        with pytest.raises(RuntimeError, match="vLLM"):
            _read(broken, params)


def test_a_nucleus_is_refused(vllm, model):
    engine = VLLMEngine(model, max_slots=1, max_len=MAX_LEN, dtype=torch.float32)
    slot = engine.open()
    with pytest.raises(ValueError, match="top_p must be 1"):
        engine.generate([GenRequest(slot, [1])], SamplingParams(top_p=0.9))


def test_what_is_missing_is_said(monkeypatch, model):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(VLLMMissing, match=r"pip install 'thinkact\[vllm\]', on a machine with a GPU"):
        VLLMEngine(model)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(VLLMMissing, match="wants a GPU"):
        VLLMEngine(model)


def test_options_that_belong_to_the_other_engine_are_refused():
    loaded = build_tiny(["a key"], vocab_size=320, hidden=32, layers=1, heads=2, seed=0)
    for options, message in (
        ({"sampler": "sglang"}, "must be 'hf' or 'vllm'"),
        ({"vllm_memory": 0.5}, "with sampler='vllm' only"),
        ({"sampler": "vllm", "max_kv_bytes": 1 << 20}, "vllm_memory instead of max_kv_bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            HFPolicy(loaded, **options)
