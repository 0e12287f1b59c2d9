"""Our engine behind an OpenAI-compatible address, on a real server on loopback."""

import asyncio
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

from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.policies.codec import system_prompt  # noqa: E402
from thinkact.policies.endpoint import EndpointPolicy, EndpointRefused  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.learner import Learner, encode_expert  # noqa: E402
from thinkact.policies.learner_rows import encode_segments  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.rollout import Runner, make_jobs  # noqa: E402
from thinkact.policies.scripted import ExpertPolicy  # noqa: E402
from thinkact.policies.serving import ChatEngine  # noqa: E402
from thinkact.policies.serving_http import chat_app  # noqa: E402

ENV_ID = "thinkact/Credit-v0"
KNOBS = {"world": "umbrella", "horizon": 4}
KEY = "sk-serving-test"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are no faster on two, and much slower where others want the second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runner():
    with Runner(ENV_ID, concurrency=6, env_kwargs=KNOBS, lockstep=True) as found:
        yield found


@pytest.fixture(scope="module")
def loaded(runner):
    """A small model that has learned to write calls: an untrained one never would."""
    expert = runner.run(make_jobs(runner.sample_tasks(6, 0), seed=0, prefix="expert"), ExpertPolicy())
    texts = [system_prompt(runner.tool_schemas)]
    texts += [text for e in expert for turn in e.turns for text in (turn.observation, turn.action)]
    made = build_tiny(texts, vocab_size=400, hidden=64, layers=2, heads=2, seed=0)
    policy = HFPolicy(made, max_slots=1)
    rows = [encode_expert(episode, runner.tool_schemas, policy.codec) for episode in expert]
    learner = Learner(made.model, dtype=torch.float32, lr=5e-3)
    for _ in range(40):
        if (loss := learner.sft_step(rows)["loss"]) < 0.2:
            break
    assert loss < 0.3
    return made


@contextlib.contextmanager
def serving(engine, token=None):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(chat_app(engine, token=token), log_level="critical", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def server(loaded):
    with (
        ChatEngine(loaded, max_slots=4, kept=4, max_len=600, max_tokens=16, dtype=torch.float32) as engine,
        serving(engine, KEY) as url,
    ):
        yield url, engine


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server[0], headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as found:
        yield found


def ask(client, messages, **more):
    return client.post("/chat/completions", json={"model": "tiny", "messages": messages, **more})


def test_episodes_over_the_wire_are_those_played_in_process(runner, loaded, server, monkeypatch):
    """Same calls, rewards and scores; and the keys of a conversation's earlier turns are not computed again."""
    url, engine = server
    monkeypatch.setenv("SERVING_KEY", KEY)
    jobs = make_jobs(runner.sample_tasks(6, 1), seed=0, prefix="eval")
    near = HFPolicy(loaded, temperature=0.0, max_new_tokens=16, max_slots=6, max_len=600, dtype=torch.float32)
    here = runner.run(jobs, near)
    before = engine.engine.prefilled_tokens
    with EndpointPolicy(url, "tiny", api_key_env="SERVING_KEY", temperature=0.0, max_tokens=16) as far:
        there = runner.run(jobs, far)
    assert any(turn.calls and not turn.invalid for e in here for turn in e.turns)
    # On the wire an argument that the model gave without its name has one.
    calls, others = (
        [[(c["name"], list(c["arguments"].values())) for t in e.turns for c in t.calls] for e in all_]
        for all_ in (here, there)
    )
    assert calls == others
    assert [e.rewards for e in there] == [e.rewards for e in here]
    # Each given token once, and the last sampled one of a turn; whole histories would be several times that.
    least = sum(len(t.prompt_ids) + 1 for e in here for t in e.turns)
    assert engine.engine.prefilled_tokens - before <= least
    assert sum(e.usage.prompt_tokens for e in there) > 2 * least


def test_what_was_sampled_comes_back_as_the_same_ids(client, runner):
    env = runner.tool_schemas
    messages = [{"role": "user", "content": "Which?"}]
    first = ask(client, messages, tools=env, temperature=1.5, seed=3, return_token_ids=True, max_tokens=12).json()
    said = first["choices"][0]["message"]
    ids = first["prompt_token_ids"] + first["choices"][0]["token_ids"]
    more = [*messages, said, {"role": "tool", "tool_call_id": "x", "content": "seen"}]
    second = ask(client, more, tools=env, seed=4, return_token_ids=True).json()
    assert second["prompt_token_ids"][: len(ids)] == ids
    again = ask(client, messages, tools=env, temperature=1.5, seed=3, return_token_ids=True, max_tokens=12).json()
    assert again["choices"] == first["choices"]


def test_many_at_once_are_answered_as_each_alone(client):
    def one(at):
        return ask(client, [{"role": "user", "content": f"Question {at}?"}], seed=at, temperature=1.0, max_tokens=8)

    alone = [one(at).json()["choices"] for at in range(9)]
    found = [None] * 9

    def keep(at):
        found[at] = one(at).json()["choices"]

    threads = [threading.Thread(target=keep, args=(at,)) for at in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_a_stream_says_the_same(client, runner):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    whole = ask(client, messages, tools=runner.tool_schemas, temperature=0, logprobs=True).json()
    choice = whole["choices"][0]
    assert len(choice["logprobs"]["content"]) == whole["usage"]["completion_tokens"]
    assert all(each["logprob"] <= 0 for each in choice["logprobs"]["content"])
    options = {"stream": True, "stream_options": {"include_usage": True}}
    parts = streamed(ask(client, messages, tools=runner.tool_schemas, temperature=0, **options))
    deltas = [part["choices"][0]["delta"] for part in parts[:-1]]
    calls = [{k: v for k, v in call.items() if k != "index"} for d in deltas for call in d.get("tool_calls", [])]
    assert calls == choice["message"].get("tool_calls", [])
    assert "".join(delta.get("content") or "" for delta in deltas) == (choice["message"]["content"] or "")
    assert parts[-2]["choices"][0]["finish_reason"] == choice["finish_reason"]
    assert parts[-1]["usage"] == whole["usage"] and not parts[-1]["choices"]


def streamed(answer):
    """Return the objects of a stream, which has to end as it should."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


WORDS = [{"role": "user", "content": "Say something."}]


def test_text_is_streamed_as_it_is_written(client):
    options = {"temperature": 30, "seed": 5, "max_tokens": 60}
    whole = ask(client, WORDS, **options).json()
    parts = streamed(ask(client, WORDS, stream=True, **options))
    pieces = [part["choices"][0]["delta"].get("content") for part in parts]
    assert pieces[0] == "" and len([piece for piece in pieces if piece]) > 1
    assert "".join(filter(None, pieces)) == whole["choices"][0]["message"]["content"]
    assert "usage" not in parts[-1]  # it was not asked for


def test_several_answers_and_where_they_stop(client):
    options = {"temperature": 30, "seed": 5, "max_tokens": 40}
    one = ask(client, WORDS, **options).json()
    many = ask(client, WORDS, n=3, **options).json()
    texts = [choice["message"]["content"] for choice in many["choices"]]
    assert [choice["index"] for choice in many["choices"]] == [0, 1, 2] and len(set(texts)) == 3
    assert texts[0] == one["choices"][0]["message"]["content"]
    assert many["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    found = ["", "", ""]
    for part in streamed(ask(client, WORDS, n=3, stream=True, **options)):
        for choice in part["choices"]:
            found[choice["index"]] += choice["delta"].get("content") or ""
    assert found == texts
    # An answer ends before the first of its stop strings, and is paid for up to it.
    stop = next(texts[0][at : at + 2] for at in range(6, 40) if "\ufffd" not in texts[0][at : at + 2])
    wanted = texts[0].partition(stop)[0]
    cut = ask(client, WORDS, stop=["never said", stop], return_token_ids=True, **options).json()
    (choice,) = cut["choices"]
    assert choice["message"]["content"] == wanted and choice["finish_reason"] == "stop"
    assert cut["usage"]["completion_tokens"] == len(choice["token_ids"]) < one["usage"]["completion_tokens"]
    parts = streamed(ask(client, WORDS, stop=stop, stream=True, **options))
    assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts) == wanted


def test_an_effort_closes_a_thought(client):
    for seed in range(30):
        options = {"temperature": 30, "seed": seed, "max_tokens": 20, "return_token_ids": True}
        found = ask(client, WORDS, reasoning_effort="low", **options).json()["choices"][0]
        if "</think>" in found["message"]["content"]:
            break
    plain = ask(client, WORDS, **options).json()["choices"][0]
    assert found["token_ids"][:4] == plain["token_ids"][:4] and "</think>" not in plain["message"]["content"]


def test_what_is_not_a_route_or_a_model_is_told_in_the_same_shape(client):
    for path, code in (("/embeddings", "unknown_url"), ("/models/gpt", "model_not_found")):
        answer = client.get(path)
        assert answer.status_code == 404 and answer.json()["error"]["code"] == code
    assert client.get("/models/tiny").json()["id"] == "tiny"
    assert client.get("/chat/completions").status_code == 405


def test_a_conversation_that_outgrows_its_context_is_summed_up(loaded, monkeypatch):
    """Over the wire: no request is refused, and what comes back is token by token what the model saw."""
    requests = []
    with (
        ChatEngine(loaded, max_slots=2, max_len=420, max_tokens=12, dtype=torch.float32, history="summarize") as engine,
        serving(engine) as url,
        EndpointPolicy(url, "tiny", max_tokens=12, token_ids=True) as policy,
    ):
        post = policy._post
        monkeypatch.setattr(policy, "_post", lambda data, heard: requests.append(json.loads(data)) or post(data, heard))
        talk = Conversation("a", ENV_ID, "t", 0, [], [Message("user", "Which?")])
        turns = []
        for turn in range(8):
            (action,) = policy.act([talk])
            assert action.stop != "context" and action.token_ids
            fields = ("prompt_ids", "token_ids", "logprobs", "restart")
            turns.append(
                Turn(
                    observation="", action="", result="", reward=0.0, **{name: getattr(action, name) for name in fields}
                )
            )
            talk.messages += [
                Message("assistant", action.text or "x"),
                Message("tool", f"Result {turn}: " + "umbrella " * 12),
            ]
        assert len(engine._anew) >= 2
        opening = engine.codec.opening([], "Which?")
        again = httpx.post(f"{url}/chat/completions", json=requests[-1], timeout=60).json()
    assert len(requests[-1]["messages"]) == 15  # the client knows nothing of it
    anew = [turn for turn in turns if turn.restart]
    assert len(anew) >= 2 and all(turn.prompt_ids[: len(opening)] == opening for turn in anew)
    # The same request finds the context that was made for it.
    held = [
        i
        for turn in turns[max(i for i, t in enumerate(turns) if t.restart) :]
        for i in (*turn.prompt_ids, *turn.token_ids)
    ]
    assert again["prompt_token_ids"] == held[: len(again["prompt_token_ids"])]
    fields = {"env_id": "e", "family": "f", "env_version": "0", "task_id": "t", "split": "train", "seed": 0}
    episode = Episode(id="a", policy="p", turns=turns, truncated=True, score=0.0, success=False, **fields)
    rows = encode_segments(episode, np.ones(len(turns)))
    learner = Learner(loaded.model, dtype=torch.float32, lr=1e-3)
    assert len(rows) == len(anew) + 1
    for row, found in zip(rows, learner.logprobs(rows), strict=True):
        assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4


def test_our_own_endpoint_streams_to_our_own_policy(runner, server, monkeypatch):
    monkeypatch.setenv("SERVING_KEY", KEY)
    said = []
    options = {"api_key_env": "SERVING_KEY", "temperature": 0.0, "max_tokens": 40, "token_ids": True}
    for tools in ([], runner.tool_schemas):
        talk = Conversation("a", ENV_ID, "t", 0, tools, [Message("user", "Which?")])
        with EndpointPolicy(server[0], "tiny", **options) as still:
            (wanted,) = still.act([talk])
        with EndpointPolicy(server[0], "tiny", **options, on_text=lambda name, piece: said.append(piece)) as loud:
            (found,) = loud.act([talk])
        assert (found.text, found.thought, found.token_ids) == (wanted.text, wanted.thought, wanted.token_ids)
        assert found.prompt_ids == wanted.prompt_ids and found.logprobs == pytest.approx(wanted.logprobs, abs=1e-5)
        assert found.sampled_tokens == wanted.sampled_tokens > 0
    assert "".join(said)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("{", 400, "JSON"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "must be a user's"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, 400, "nothing to"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": -1}, 400, "temperature"),
        ({"messages": [{"role": "user", "content": "x"}], "n": 9}, 400, "at most 4"),
        ({"messages": [{"role": "user", "content": "x"}], "top_logprobs": 3}, 400, "wants logprobs"),
        ({"messages": [{"role": "user", "content": "x"}], "logit_bias": {"5": 1}}, 400, "logit_bias is not supported"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": ["a"] * 5}, 400, "stop"),
        ({"messages": [{"role": "user", "content": "x"}], "tool_choice": "required"}, 400, "no such tool"),
        ({"messages": [{"role": "user", "content": "x"}], "tool_choice": "always"}, 400, "tool_choice"),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [{}]}, 400, "no function"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "text": ""}]}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, 400, "maximum context length"),
        ("x" * (17 << 20), 413, "MiB"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(client, body, status, says):
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/chat/completions", content=content, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert answer.status_code == status and says in error["message"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


def test_who_has_no_key_is_refused(server, client):
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"bearer {KEY}x"}):
        for path in ("/models", "/chat/completions"):
            answer = httpx.request(
                "GET" if path == "/models" else "POST", server[0] + path, headers=headers, content="{}"
            )
            assert answer.status_code == 401
    assert client.get("/models").json()["data"][0]["id"] == "tiny"
    # A form that a web page posts to this machine.
    assert client.post("/chat/completions", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_a_context_that_is_full_ends_the_episode_and_not_the_run(server, monkeypatch):
    monkeypatch.setenv("SERVING_KEY", KEY)
    with EndpointPolicy(server[0], "tiny", api_key_env="SERVING_KEY", max_tokens=4) as policy:
        talk = Conversation("a", ENV_ID, "t", 0, [], [Message("user", "word " * 2000)])
        assert policy.act([talk])[0].stop == "context"
    with EndpointPolicy(server[0], "tiny") as policy, pytest.raises(EndpointRefused, match="Is the key right"):
        policy.act([Conversation("b", ENV_ID, "t", 0, [], [Message("user", "x")])])


def test_too_many_are_told_to_come_back(loaded):
    engine = ChatEngine(loaded, max_slots=1, waiting=1, dtype=torch.float32)
    gate = threading.Event()
    generate = engine.engine.generate
    engine.engine.generate = lambda *args: (gate.wait(30), generate(*args))[1]

    async def scenario():
        transport = httpx.ASGITransport(chat_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
            asked = [asyncio.ensure_future(client.post("/v1/chat/completions", json=body)) for _ in range(4)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=30)
            gate.set()  # whoever was answered before this was not served
            return await asyncio.gather(*asked)

    with engine:
        answers = asyncio.run(scenario())
    assert {each.status_code for each in answers} == {200, 429}
    assert {each.headers.get("Retry-After") for each in answers if each.status_code == 429} == {"1"}
