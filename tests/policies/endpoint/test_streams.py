"""Streams of a model behind an HTTP address, and the token ids that some of them tell."""

import json

import pytest

pytest.importorskip("uvicorn", reason='needs pip install "thinkact[serve]"')
from starlette.responses import Response, StreamingResponse


def events(*objects, done=True):
    lines = [f"data: {json.dumps(each)}\n\n" for each in objects] + ["data: [DONE]\n\n"] * done
    return lambda _: StreamingResponse(iter([": a comment\n\n", *lines]), media_type="text/event-stream")


def delta(reason=None, **part):
    return {"choices": [{"index": 0, "delta": part, "finish_reason": reason}]}


def part_of_call(index, **function):
    return delta(tool_calls=[{"index": index, "function": function}])


def test_a_stream_is_told_as_it_comes_and_read_as_a_whole(server, policy, only):
    said = []
    server.script = [
        events(
            delta(role="assistant", content=""),
            delta(reasoning_content="Hm. "),
            delta(content="I "),
            delta(content="say."),
            part_of_call(0, name="submit", arguments=""),
            part_of_call(0, arguments='{"code": '),
            part_of_call(1, name="look", arguments="{}"),
            part_of_call(0, arguments='"é"}'),
            delta("tool_calls"),
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
        )
    ]
    action = only(policy(on_text=lambda name, piece: said.append((name, piece))))
    assert action.text.splitlines() == [
        '{"name": "submit", "arguments": {"code": "é"}}',
        '{"name": "look", "arguments": {}}',
    ]
    assert action.thought == "Hm.\nI say." and (action.prompt_tokens, action.sampled_tokens) == (7, 5)
    assert "".join(piece for _, piece in said) == 'Hm. I say.submit{"code": look{}"é"}' and said[0][0] == "c0"
    assert server.requests[0]["stream"] is True and server.requests[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "broken",
    [
        events(delta(content="half"), done=False),
        events(delta(content="half"), {"error": {"message": "gone"}}),
        events({"choices": [{"index": 0, "delta": {"tool_calls": [{}]}}]}),
        lambda _: Response("data: {\n\n", media_type="text/event-stream"),
        lambda _: Response("slow down", 429, media_type="text/event-stream"),
    ],
    ids=["cut", "error", "shape", "no JSON", "429"],
)
def test_a_stream_that_breaks_is_tried_again(server, policy, broken, only):
    server.script = [broken, events(delta("stop", content="{}"))]
    action = only(policy(on_text=lambda name, piece: None))
    assert action.text == "{}" and not action.fault and len(server.requests) == 2


def test_who_cannot_stream_answers_all_the_same(server, policy, only):
    server.script = [server.completion({"content": "{}"})]
    assert only(policy(on_text=lambda name, piece: None)).text == "{}"


def test_token_ids_are_taken_where_they_are_told(server, policy, only):
    """As vLLM and SGLang write them; a prompt that does not go on with what was written begins a context anew."""

    def told(fed, written, where):
        answer = server.completion(
            {"content": "{}"}, usage={"prompt_tokens": len(fed), "completion_tokens": len(written)}
        )
        (choice,) = answer["choices"]
        choice["token_ids"] = written
        choice["logprobs"] = {"content": [{"token": "x", "logprob": -0.5} for _ in written]}
        (answer if where == "vllm" else choice)["prompt_token_ids"] = fed
        return answer

    asking = policy(token_ids=True)
    talks = [("Q",), ("Q", "{}", "seen"), ("Q", "{}", "seen", "{}", "more")]
    for where in ("vllm", "sglang"):
        server.script = [
            told([1, 2], [3, 4], where),
            told([1, 2, 3, 4, 5], [6], where),
            told([1, 2, 9, 5], [6, 7], where),
        ]
        actions = [only(asking, *texts) for texts in talks]
        assert [(a.prompt_ids, a.token_ids, a.restart) for a in actions] == [
            ([1, 2], [3, 4], False),
            ([5], [6], False),
            ([1, 2, 9, 5], [6, 7], True),
        ]
        assert actions[2].logprobs == [-0.5, -0.5]
        asking.release("c0")
    assert server.requests[0]["return_token_ids"] is True and server.requests[0]["logprobs"] is True
    # Where they are missing or make no sense, tokens are counted.
    for change in ({"token_ids": None}, {"token_ids": [3, "4"]}, {"token_ids": [3]}, {"logprobs": None}):
        answer = told([1, 2], [3, 4], "vllm")
        answer["choices"][0] |= change
        server.script = [answer]
        action = only(asking)
        assert action.token_ids == [] and (action.prompt_tokens, action.sampled_tokens) == (2, 2)
        asking.release("c0")
