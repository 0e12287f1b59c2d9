"""What an answer says of its tokens, and calls that have to be made: over the wire, on a real server."""

import contextlib
import json
import socket
import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")
pytest.importorskip("uvicorn", reason='needs pip install "thinkact[serve]"')

import httpx  # noqa: E402
import numpy as np  # noqa: E402
import uvicorn  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from tokenizers import Tokenizer, decoders, normalizers  # noqa: E402
from tokenizers.models import BPE  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.policies.chat_messages import named, tokens_of, usage_of  # noqa: E402
from thinkact.policies.codec import system_prompt  # noqa: E402
from thinkact.policies.endpoint import EndpointPolicy  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.learner import Learner, encode_expert  # noqa: E402
from thinkact.policies.learner_rows import encode_segments  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.rollout import Runner, make_jobs  # noqa: E402
from thinkact.policies.scripted import ExpertPolicy  # noqa: E402
from thinkact.policies.serving import ChatEngine  # noqa: E402
from thinkact.policies.serving_http import chat_app  # noqa: E402
from thinkact.policies.token_bytes import TokenBytes  # noqa: E402
from thinkact.tools.base import ToolCall  # noqa: E402

ENV_ID = "thinkact/Credit-v0"
WORDS = [{"role": "user", "content": "Say something."}]


def tool(name, argument):
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TOOLS = [tool("look", "where"), tool("take", "what")]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are no faster on two, and much slower where others want the second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def loaded():
    """A small model that has learned to write calls, of both tools."""
    calls = [f'{{"{name}": "{thing}"}}' for name in ("look", "take") for thing in ("door", "key", "box")]
    made = build_tiny([system_prompt(TOOLS), *calls], vocab_size=400, hidden=64, layers=2, heads=2, seed=0)
    with Runner(ENV_ID, concurrency=1) as runner:
        (episode,) = runner.run(make_jobs(runner.sample_tasks(1, 0), seed=0, prefix="x"), ExpertPolicy())
    turn = episode.turns[0]
    episodes = [
        episode.model_copy(
            update={"turns": [turn.model_copy(update={"observation": "Go.", "thought": "", "action": c})]}
        )
        for c in calls
    ]
    codec = HFPolicy(made, max_slots=1).codec
    learner = Learner(made.model, dtype=torch.float32, lr=5e-3)
    rows = [encode_expert(e, TOOLS, codec) for e in episodes]
    for _ in range(40):
        learner.sft_step(rows)
    return made


@pytest.fixture(scope="module")
def server(loaded):
    with (
        ChatEngine(loaded, max_slots=4, kept=4, max_len=600, max_tokens=16, dtype=torch.float32) as engine,
        socket.socket() as sock,
    ):
        sock.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(chat_app(engine), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1", engine
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server[0], timeout=60) as found:
        yield found


def ask(client, messages, **more):
    return client.post("/chat/completions", json={"model": "tiny", "messages": messages, **more})


def test_tokens_that_were_put_into_an_answer_are_marked_and_not_learned_from(loaded, server, client):
    url, engine = server
    closing = engine.codec.thought_end
    options = {"temperature": 30, "max_tokens": 20, "reasoning_effort": "low", "logprobs": True}
    answer = ask(client, WORDS, seed=1, return_token_ids=True, **options).json()
    (choice,) = answer["choices"]
    at = choice["forced_positions"]
    assert at == list(range(4, 4 + len(closing))) and [choice["token_ids"][i] for i in at] == closing
    assert [choice["logprobs"]["content"][i]["logprob"] for i in at] == [0.0] * len(at)
    assert answer["usage"]["completion_tokens_details"] == {"forced_tokens": len(at)}
    # Our own client knows them for what they are, streamed or whole.
    for say in (None, lambda name, piece: None):
        with EndpointPolicy(
            url, "tiny", temperature=30, max_tokens=20, effort="low", token_ids=True, extra={"seed": 1}, on_text=say
        ) as policy:
            (action,) = policy.act([Conversation("a", ENV_ID, "t", 0, [], [Message("user", "Say something.")])])
            assert policy._talks["a"].spent == len(action.token_ids) - len(at)
        assert action.forced == at and action.token_ids == choice["token_ids"]
        assert action.tokens == (len(action.prompt_ids) + len(at), len(action.token_ids) - len(at))
    fields = ("prompt_ids", "token_ids", "logprobs", "forced")
    turn = Turn(observation="", action="", result="", reward=0.0, **{name: getattr(action, name) for name in fields})
    more = {"env_id": "e", "family": "f", "env_version": "0", "task_id": "t", "split": "train", "seed": 0}
    (row,) = encode_segments(
        Episode(id="a", policy="p", turns=[turn], truncated=True, score=0.0, success=False, **more), np.ones(1)
    )
    assert row.sampled.sum() == len(action.token_ids) - len(at)


def test_the_likeliest_tokens_are_those_of_the_model(loaded, client):
    for temperature in (0, 1.7):
        options = {"logprobs": True, "top_logprobs": 5, "max_tokens": 8, "seed": 3, "return_token_ids": True}
        answer = ask(client, WORDS, temperature=temperature, **options).json()
        (choice,) = answer["choices"]
        ids = answer["prompt_token_ids"] + choice["token_ids"]
        with torch.no_grad():
            logits = loaded.model(torch.tensor([ids])).logits[0, len(answer["prompt_token_ids"]) - 1 : -1]
        wanted, order = (logits / (temperature or 1.0)).log_softmax(-1).topk(5)
        told = choice["logprobs"]["content"]
        assert len(told) == len(choice["token_ids"])
        for place, values, tokens in zip(told, wanted.tolist(), order.tolist(), strict=True):
            assert [each["logprob"] for each in place["top_logprobs"]] == pytest.approx(values, abs=1e-4)
            texts = [loaded.tokenizer.decode([token]) for token in tokens]
            assert [each["token"] for each in place["top_logprobs"]] == texts
            if temperature == 0:
                assert place["top_logprobs"][0]["token"] == place["token"]
        # Who does not ask is not told, and samples the same.
        plain = ask(client, WORDS, temperature=temperature, **{**options, "top_logprobs": 0}).json()["choices"][0]
        assert plain["token_ids"] == choice["token_ids"] and not plain["logprobs"]["content"][0]["top_logprobs"]


def test_the_bytes_of_an_answers_tokens_are_those_of_its_text(client):
    options = {"temperature": 30, "max_tokens": 40, "logprobs": True}
    broken = 0
    for seed in range(4):
        (choice,) = ask(client, WORDS, seed=seed, **options).json()["choices"]
        told = choice["logprobs"]["content"]
        if choice["finish_reason"] == "stop":
            told = told[:-1]  # the end of the turn is no text
        text = b"".join(bytes(each["bytes"]) for each in told)
        assert text.decode("utf-8", "replace") == choice["message"]["content"]
        broken += sum("\ufffd" in each["token"] for each in told)
    assert broken  # single tokens that are no whole characters
    with pytest.raises(httpx.HTTPStatusError):
        ask(client, WORDS, top_logprobs=21, logprobs=True).raise_for_status()


def pieces():
    """A tokenizer as SentencePiece makes them: a character for the space, and bytes for what is unknown."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "\u2581a", "ab"]
    core = Tokenizer(
        BPE(
            {word: at for at, word in enumerate(words)},
            [("\u2581", "a"), ("a", "b")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    core.normalizer = normalizers.Replace(" ", "\u2581")
    core.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=core)


TOKENIZERS = {"bytes": build_tiny(["plain words"], hidden=32, heads=2, layers=1, seed=0).tokenizer, "pieces": pieces()}


@pytest.mark.parametrize("kind", sorted(TOKENIZERS))
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_the_bytes_of_a_texts_tokens_are_the_texts(kind, text):
    tokenizer = TOKENIZERS[kind]
    told = TokenBytes(tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert b"".join(map(told, ids)) == text.encode()


@pytest.mark.parametrize("choice", ["required", "look", "take"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_required_is_made(server, client, choice, stream):
    asked = choice if choice == "required" else {"type": "function", "function": {"name": choice}}
    talk = [{"role": "user", "content": "Go."}]
    seen = set()
    for seed in range(6):
        answer = ask(
            client, talk, tools=TOOLS, tool_choice=asked, seed=seed, return_token_ids=True, logprobs=True, stream=stream
        )
        answer.raise_for_status()
        if stream:
            events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
            deltas = [choice for event in events for choice in event["choices"]]
            calls = [call for each in deltas for call in each["delta"].get("tool_calls", ())]
            last = deltas[-1]
        else:
            (last,) = answer.json()["choices"]
            calls = last["message"]["tool_calls"]
        names = {call["function"]["name"] for call in calls}
        assert names and names <= ({"look", "take"} if choice == "required" else {choice})
        for call in calls:
            argument = {"look": "where", "take": "what"}[call["function"]["name"]]
            assert set(json.loads(call["function"]["arguments"])) == {argument}
        opening = last["forced_positions"]
        assert last["finish_reason"] == "tool_calls" and opening == list(range(len(opening))) and opening
        seen |= names
    assert seen == ({"look", "take"} if choice == "required" else {choice})


def test_a_call_that_the_model_does_not_write_is_no_answer(server, client):
    talk = [{"role": "user", "content": "Go."}]
    for more, times in (({"temperature": 0}, 1), ({"temperature": 30}, 3)):
        answer = ask(client, talk, tools=TOOLS, tool_choice="required", max_tokens=2, seed=0, **more)
        assert answer.status_code == 422 and f"{times} times" in answer.json()["error"]["message"]
        assert answer.json()["error"]["code"] == "tool_choice_not_met"
        streamed = ask(client, talk, tools=TOOLS, tool_choice="required", max_tokens=2, seed=0, stream=True, **more)
        assert "tool_choice_not_met" in streamed.text and "[DONE]" in streamed.text
    # To an agent it is the model's mistake, and no reason to stop.
    with EndpointPolicy(server[0], "tiny", max_tokens=2, extra={"tool_choice": "required"}) as policy:
        (action,) = policy.act([Conversation("a", ENV_ID, "t", 0, TOOLS, [Message("user", "Go.")])])
    assert action.text == "" and not action.fault
    unknown = {"type": "function", "function": {"name": "fly"}}
    assert ask(client, talk, tools=TOOLS, tool_choice=unknown).json()["error"]["param"] == "tool_choice"


def test_an_argument_without_a_name_gets_the_first_that_is_free():
    def names(arguments, name="look"):
        return named(ToolCall(id="0", name=name, arguments=arguments), [*TOOLS, {"function": {"name": "bare"}}])

    assert names({"": "x"}) == {"where": "x"} and names({"where": "x"}) == {"where": "x"}
    assert names({"": "x", "where": "y"}) == {"value": "x", "where": "y"}
    assert names({"": "x"}, "bare") == names({"": "x"}, "unknown") == {"value": "x"} and names({}) == {}


@pytest.mark.parametrize("forced", ["x", [9], [-1], [True], [0.5], {"0": 1}])
def test_marks_that_make_no_sense_are_no_marks(forced):
    content = [{"logprob": -1.0}, {"logprob": -2.0}]
    choice = {"token_ids": [5, 6], "logprobs": {"content": content}, "prompt_token_ids": [1]}
    assert tokens_of({}, {**choice, "forced_positions": forced}) is None
    assert tokens_of({}, {**choice, "forced_positions": [1, 1]})["logprobs"] == [-1.0, 0.0]
    for details in (forced, {"forced_tokens": forced}, {"forced_tokens": 99}):
        read, written = usage_of({"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": details})
        assert read + written == 7 and written >= 0


def test_memory_that_holds_no_conversation_is_refused(loaded):
    with pytest.raises(ValueError, match="max_kv_bytes"), contextlib.closing(ChatEngine(loaded, max_kv_bytes=1000)):
        pass
