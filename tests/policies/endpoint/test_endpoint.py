"""A model behind an HTTP address, tried on a real server that misbehaves in every way it can."""

import asyncio
import json
import logging
import socket
import threading

import pytest

pytest.importorskip("uvicorn", reason='needs pip install "thinkact[serve]"')
from starlette.responses import JSONResponse, Response, StreamingResponse

from thinkact.policies.endpoint import (
    EndpointFault,
    EndpointPolicy,
    EndpointRefused,
    is_loopback,
    messages,
    retry_after,
)
from thinkact.policies.rollout import Job, Runner

KEY = "sk-canary-0123456789"


def called(name, arguments):
    return {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_native_calls_become_an_action_and_all_else_a_thought(server, policy, only, tools):
    calls = [called("submit", '{"code": "é"}'), called("submit", ""), called("look", {"at": 1})]
    message = {"content": 'I say {"submit": 1}.', "reasoning_content": "Hm.", "tool_calls": calls}
    server.script = [server.completion(message, usage={"prompt_tokens": 1000, "completion_tokens": 200})]
    action = only(policy(prices=(1.0, 10.0)))
    assert action.text.splitlines() == [
        '{"name": "submit", "arguments": {"code": "é"}}',
        '{"name": "submit", "arguments": {}}',
        '{"name": "look", "arguments": {"at": 1}}',
    ]
    assert action.thought == 'Hm.\nI say {"submit": 1}.' and action.seconds > 0
    assert (action.prompt_tokens, action.sampled_tokens) == (1000, 200) and action.cost == pytest.approx(0.003)
    request = server.requests[0]
    assert request["tools"] == tools and request["messages"] == [{"role": "user", "content": "Do it."}]
    assert "secret" not in json.dumps(request) and "4711" not in json.dumps(request)


def test_plain_text_is_read_as_any_models(server, policy, only):
    for content, thought, text in (
        ('<think>So {"a": 1}</think>{"submit": "x"}', 'So {"a": 1}', '{"submit": "x"}'),
        ('Well: {"submit": "x"}', "Well:", '{"submit": "x"}'),
        ("I refuse.", "", "I refuse."),
        (None, "", ""),
        ([{"type": "text", "text": '{"submit": "y"}'}], "", '{"submit": "y"}'),
    ):
        server.script = [server.completion({"content": content})]
        action = only(policy())
        assert (action.thought, action.text, action.fault) == (thought, text, "")


def test_a_models_broken_arguments_are_its_own_mistake_and_not_a_fault(server, policy, only):
    for arguments in ('{"code": ', "[1]", '"x"', "[" * 5000, '{"a": NaN}'):
        server.script = [server.completion({"tool_calls": [called("submit", arguments)]})]
        action = only(policy())
        assert action.fault == "" and action.text.startswith('{"name": "submit", "arguments": ')
    assert len(server.requests) == 5


def test_history_goes_back_as_the_calls_that_were_made(talk):
    two = '{"name": "look", "arguments": {"at": 1}}\n{"submit": "x"}'
    sent = messages(talk("Q", two, "seen", "no call", "what?", "", "nothing"), "Be brief.")
    assert [each["role"] for each in sent] == [
        *("system", "user", "assistant", "tool", "tool", "assistant", "user", "assistant", "user"),
    ]
    calls = sent[2]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"at": 1}, {"code": "x"}]
    assert [each["tool_call_id"] for each in sent[3:5]] == [call["id"] for call in calls]
    assert sent[3]["content"] == "seen" and sent[5]["content"] == "no call" and sent[6]["content"] == "what?"


async def short(_):
    return Response(b'{"choices": [', headers={"Content-Length": "1000"})


async def hang(_):
    await asyncio.sleep(30)


async def drip(_):
    async def body():
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(body(), media_type="application/json")


BROKEN = {
    "429": lambda _: Response("slow down", 429),
    "500": lambda _: Response("oops", 500),
    "503": lambda _: Response("later", 503),
    "no JSON": lambda _: Response("<html>"),
    "empty": lambda _: Response(""),
    "no choices": {"choices": []},
    "a list": [1, 2],
    "no message": {"choices": [{}]},
    "calls of another shape": {"choices": [{"message": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
    "deep": lambda _: Response("[" * 100_000),
    "huge": lambda _: Response(b" " * (9 << 20)),
    "cut short": short,
    "hangs": hang,
    "drips": drip,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_that_passes_is_tried_again_and_one_that_stays_is_no_score(server, policy, name, only):
    timeout = 0.5 if name in ("hangs", "drips") else 20.0
    if timeout == 20.0:
        server.script = [BROKEN[name], BROKEN[name], server.completion({"content": "{}"})]
        action = only(policy(timeout_s=timeout))
        assert action.text == "{}" and action.fault == "" and len(server.requests) == 3
    server.script = [BROKEN[name]]
    broken = policy(timeout_s=timeout)
    action = only(broken)
    assert action.fault.startswith("EndpointFault: ") and action.text == ""
    assert len(broken.pauses) == 2 and all(0 < pause <= 60 for pause in broken.pauses)


def test_it_waits_as_long_as_it_is_asked_but_not_for_ever(server, policy, only):
    server.script = [
        Response("", 429, headers={"Retry-After": "7"}),
        Response("", 503, headers={"Retry-After": "100000"}),
        server.completion({"content": "{}"}),
    ]
    patient = policy()
    assert only(patient).text == "{}" and patient.pauses == [7.0, 60.0]
    assert retry_after("Fri, 01 Jan 2100 00:00:10 GMT", 4102444800.0) == 10.0
    for value in (None, "soon", "-5", "nan", "inf", "1e999", ""):
        assert retry_after(value, 0.0) == 0.0


@pytest.mark.parametrize(
    ("status", "word"), [(401, "key"), (403, "key"), (404, "model"), (400, "request"), (302, "HTTP 302")]
)
def test_what_the_user_can_mend_raises_at_once(server, policy, status, word, only):
    headers = {"Location": "http://192.0.2.1/"} if status == 302 else {}
    server.script = [Response("no", status, headers=headers)]
    with pytest.raises(EndpointRefused, match=word):
        only(policy())
    assert len(server.requests) == 1


def test_a_context_that_is_full_ends_the_episode_without_a_fault(server, policy, only):
    server.script = [JSONResponse({"error": {"code": "context_length_exceeded"}}, 400)]
    action = only(policy())
    assert action.stop == "context" and action.fault == ""


def test_the_key_goes_to_the_endpoint_and_nowhere_else(server, policy, monkeypatch, caplog, only):
    monkeypatch.setenv("SOME_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server.script = [Response(f"bad key {KEY}", 401)]
    keyed = policy(api_key_env="SOME_API_KEY")
    with pytest.raises(EndpointRefused) as refused:
        only(keyed)
    server.script = [Response(f"broken {KEY}", 500)]
    action = only(keyed)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    for text in (str(refused.value), repr(refused.value), action.fault, repr(keyed), caplog.text):
        assert KEY not in text
    assert "[key]" in str(refused.value) and "[key]" in action.fault


@pytest.mark.parametrize(
    ("url", "variable", "words"),
    [
        ("http://example.org/v1", "SOME_API_KEY", "unencrypted"),
        ("ftp://example.org", None, "https://host"),
        ("https://me:pw@example.org/v1", None, "api_key_env"),
        ("https://example.org/v1", "NO_SUCH_API_KEY", "NO_SUCH_API_KEY is not set"),
        ("https://example.org/v1", "ODD_API_KEY", "no key has"),
    ],
)
def test_wrong_addresses_and_keys_are_refused_before_a_byte_is_sent(monkeypatch, url, variable, words):
    monkeypatch.setenv("SOME_API_KEY", KEY)
    monkeypatch.setenv("ODD_API_KEY", "a\nHost: b")
    monkeypatch.delenv("NO_SUCH_API_KEY", raising=False)
    with pytest.raises(EndpointRefused, match=words) as refused:
        EndpointPolicy(url, "m", api_key_env=variable)
    assert KEY not in str(refused.value)


def test_loopback_is_told_from_names_that_only_look_like_it():
    assert all(
        map(is_loopback, ("http://localhost/v1", "http://127.0.0.1:80", "http://[::1]:80/v1", "http://127.9.9.9"))
    )
    assert not any(
        map(is_loopback, ("http://localhost.example.org", "http://127.0.0.1.example.org", "http://10.0.0.1"))
    )


def test_requests_in_flight_are_counted_and_answers_stay_in_order(server, policy, talk):
    async def slow(request):
        for _ in range(3000):  # until three are there: the first may not be answered before the third has come
            if server.most >= 3:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        return server.completion({"content": "{" + request["messages"][0]["content"] + "}"})

    server.script = [slow]
    actions = policy(concurrency=3).act([talk(str(at), at=at) for at in range(12)])
    assert [action.text for action in actions] == [f"{{{at}}}" for at in range(12)]
    assert server.most == 3


def test_one_that_is_down_breaks_the_run_off(server, policy, talk, only):
    server.script = [BROKEN["500"]]
    with pytest.raises(EndpointFault, match="4 actions in a row"):
        policy(breaker=4).act([talk("x", at=at) for at in range(4)])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = EndpointPolicy(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1", "m", tries=1, breaker=2)
        try:
            assert "ConnectError" in only(gone).fault
            with pytest.raises(EndpointFault):
                only(gone)
        finally:
            gone.close()


def test_texts_that_no_record_could_hold_are_mended(server, policy, only):
    server.script = [
        lambda _: Response(json.dumps(server.completion({"content": '{"a": "\ud800"}', "reasoning": "\udfff"})))
    ]
    action = only(policy(), "a lone \ud800")
    (action.text + action.thought).encode()
    server.script = [
        server.completion({"content": "{" * 300_000}, usage={"prompt_tokens": -1, "completion_tokens": "7"})
    ]
    action = only(policy())
    assert len(action.text) == 100_000 and (action.prompt_tokens, action.sampled_tokens) == (0, 0)


def test_in_a_rollout_faults_are_errors_once_and_everything_is_counted(server, policy):
    def answer(request):
        task = request["messages"][0]["content"]
        if "subtract" in task:
            return Response("oops", 500)
        return server.completion(
            {"tool_calls": [called("submit", '{"code": "def f(x): return 0"}')]},
            usage={"prompt_tokens": 11, "completion_tokens": 5},
        )

    server.script = [answer]
    player = policy(prices=(1e6, 1e6))
    with Runner("thinkact/PythonTask-v0", concurrency=4, env_kwargs={"level": 0, "split": "eval"}) as runner:
        jobs = [Job(f"j{at}", task, at) for at, task in enumerate(runner.sample_tasks(12, 0))]
        episodes = runner.run(jobs, player)
    lost = [episode for episode in episodes if episode.error]
    assert lost and len(lost) < 12
    assert all("EndpointFault" in e.error and e.score is None and e.success is None for e in lost)
    assert all(e.usage.attempts == 1 for e in episodes)
    won = [episode for episode in episodes if not episode.error]
    assert all(e.score == 0.0 and e.usage.prompt_tokens == 11 and e.usage.cost == pytest.approx(16.0) for e in won)


def test_it_works_under_a_loop_of_the_callers_own(server, policy, only):
    async def notebook():
        return only(policy())

    assert asyncio.run(notebook()).text == "{}"


def test_closing_leaves_no_thread(server, only):
    before = set(threading.enumerate())
    with EndpointPolicy(server.url, "m") as policy:
        only(policy)
        started = set(threading.enumerate()) - before
        assert started
    for thread in started:
        thread.join(30)
    assert not any(thread.is_alive() for thread in started)


def test_efforts_and_budgets_are_passed_on_and_kept(server, policy, only):
    server.script = [server.completion({"content": "{}"}, usage={"prompt_tokens": 9, "completion_tokens": 30})]
    thrifty = policy(effort="low", max_tokens=40, max_episode_tokens=70)
    stops = [only(thrifty).stop for _ in range(4)]
    assert stops == ["stop", "stop", "stop", "budget"]
    assert [each["max_tokens"] for each in server.requests] == [40, 40, 10]
    assert {each["reasoning_effort"] for each in server.requests} == {"low"}
    thrifty.release("c0")
    assert only(thrifty).stop == "stop"
    with pytest.raises(ValueError, match="'medium'"):
        policy(effort="much")
