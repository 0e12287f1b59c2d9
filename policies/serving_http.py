"""The HTTP side of :mod:`thinkact.policies.serving`: OpenAI's chat completions, whole or streamed."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from thinkact.policies.chat_messages import UNMET, named
from thinkact.policies.chat_requests import BadRequest, ChatRequest, Said, digest
from thinkact.policies.codec import split_thought
from thinkact.policies.serving import Busy, ChatEngine, Job
from thinkact.policies.tool_choice import ATTEMPTS, meets
from thinkact.policies.writing import Writing
from thinkact.tools.parse import parse_action

_MAX_BODY = 16 << 20


class Unmet(RuntimeError):
    """The model was to call a tool, and wrote no readable call."""


class Answering:
    """One request, from its messages to its answers.

    Args:
        engine: Who answers.
        request: The request.

    Raises:
        BadRequest: The messages make no conversation, or there is no room for an answer.
    """

    def __init__(self, engine: ChatEngine, request: ChatRequest) -> None:
        self.engine, self.request = engine, request
        self._read = engine.read(request)
        self._ids = self._read.ids
        self._summary: tuple[str, int] | None = None
        self._jobs: list[Job] = []
        self._wasted: list[Writing] = []

    async def begin(self, say: Callable[[int, str], None] | None = None) -> None:
        """Have the answers sampled, after a summary if one is due.

        Args:
            say: Called with an answer's index and each piece of its text, from another thread.

        Raises:
            BadRequest: There is no room for an answer.
            Busy: Too many requests wait already.
        """
        first = self.engine.summary_job(self.request, self._read)
        if first is not None:
            self.engine.submit([first])
            written = await _written(first)
            self._ids = self.engine.begin_anew(self._read, written.tokens)
            self._summary = first.text, len(written.tokens)
        self._jobs = self.engine.jobs(self.request, self._ids)
        if say is not None:
            for at, job in enumerate(self._jobs):
                job.say = _with_index(say, at)
        self.engine.submit(self._jobs)

    def leave(self) -> None:
        """Nobody waits for the answers any more."""
        for job in self._jobs:
            job.gone = True

    async def whole(self) -> dict[str, Any]:
        """Return the chat completion.

        Raises:
            Unmet: A tool had to be called, and was not.
            Busy: Too many requests wait for an answer to be written again.
        """
        try:
            found = await asyncio.gather(*(self._met(at) for at in range(len(self._jobs))))
        finally:
            self.leave()
        choices = [
            self._choice(at, job, writing) for at, (job, writing) in enumerate(zip(self._jobs, found, strict=True))
        ]
        answer = {**self.head("chat.completion"), "choices": choices, "usage": self._usage(found)}
        if self._summary is not None:
            answer["context_summary"] = self._summary[0]
        if self.request.return_token_ids:
            answer["prompt_token_ids"] = self._ids
        return answer

    async def _met(self, at: int) -> Writing:
        """Return an answer's writing, the first one that calls a tool where one has to be called."""
        names = self.request.called
        for attempt in range(1, ATTEMPTS + 1):
            job = self._jobs[at]
            writing = await _written(job)
            if meets(job.text, names):
                return writing
            self._wasted.append(writing)
            if attempt == ATTEMPTS or not job.params.temperature:
                break  # greedy, it would be the same again
            seed = int(digest(str(job.seed), f"attempt {attempt}")[:15], 16)
            self._jobs[at] = replace(job, seed=seed, done=Future(), text="", said=0)
            self.engine.submit([self._jobs[at]])
        raise Unmet(
            f"tool_choice wants a call, and what the model wrote, {attempt} times, is none (the last one ended with "
            f"{writing.stop!r}): more max_tokens or another temperature may help."
        )

    async def events(self, pieces: asyncio.Queue[tuple[int, str] | None]) -> AsyncIterator[str]:
        """Yield the events of a streamed chat completion.

        Args:
            pieces: What ``say`` was told.
        """
        head = self.head("chat.completion.chunk")

        def event(choices: list[dict[str, Any]], **more: Any) -> str:
            return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n"

        def delta(at: int, part: dict[str, Any], reason: str | None = None, **more: Any) -> str:
            return event([{"index": at, "delta": part, "finish_reason": reason, **more}])

        whole = asyncio.ensure_future(self.whole())
        whole.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            for at in range(self.request.n):
                yield delta(at, {"role": "assistant", "content": ""})
            said = [0] * self.request.n
            while (piece := await pieces.get()) is not None:
                said[piece[0]] += len(piece[1])
                yield delta(piece[0], {"content": piece[1]})
            answer = await whole
            for at, choice in enumerate(answer["choices"]):
                message = choice["message"]
                if reasoning := message.get("reasoning_content"):
                    yield delta(at, {"reasoning_content": reasoning})
                if rest := (message["content"] or "")[said[at] :]:
                    yield delta(at, {"content": rest})
                if calls := message.get("tool_calls"):
                    yield delta(at, {"tool_calls": [{"index": number, **call} for number, call in enumerate(calls)]})
                told_last = ("logprobs", "token_ids", "forced_positions")
                more = {name: choice[name] for name in told_last if choice.get(name) is not None}
                yield delta(at, {}, choice["finish_reason"], **more)
            told: dict[str, Any] = {}
            for name in ("prompt_token_ids", "context_summary"):
                if name in answer:
                    told[name] = answer[name]
            if self.request.stream_options.include_usage:
                told["usage"] = answer["usage"]
            if told:
                yield event([], **told)
        except Exception as error:  # the status was sent already
            known = isinstance(error, Unmet)
            told_error = _error(422, str(error), UNMET) if known else _error(500, type(error).__name__, "server_error")
            yield f"data: {json.dumps({'error': told_error, **head})}\n\n"
            if not known:
                raise
        finally:
            whole.cancel()
            self.leave()
        yield "data: [DONE]\n\n"

    def head(self, kind: str) -> dict[str, Any]:
        """Return what every object of this answer begins with."""
        key = self._read.key
        return {"id": f"chatcmpl-{key[:24]}", "object": kind, "created": int(time.time()), "model": self.engine.name}

    def _usage(self, found: list[Writing]) -> dict[str, Any]:
        every = [*found, *self._wasted]
        written = sum(len(each.tokens) for each in every) + (self._summary[1] if self._summary is not None else 0)
        return {
            "prompt_tokens": len(self._ids),
            "completion_tokens": written,
            "total_tokens": len(self._ids) + written,
            "completion_tokens_details": {"forced_tokens": sum(len(each.forced) for each in every)},
        }

    def _choice(self, at: int, job: Job, writing: Writing) -> dict[str, Any]:
        text, key, tools = job.text, self._read.key, self.request.shown_tools
        thought, action = split_thought(text)
        calls = parse_action(action) if tools else []
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls and all(call.parse_error is None for call in calls):
            message["content"] = None
            message["tool_calls"] = [
                {
                    "id": f"call_{key[:12]}_{at}_{call.id}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(named(call, tools))},
                }
                for call in calls
            ]
            if thought:
                message["reasoning_content"] = thought
        said = digest(key, json.dumps(["assistant", Said.model_validate(message).plain()]))
        if text == self.engine.codec.decode(writing.tokens):  # not one that a stop string cut
            self.engine.remember(said, list(writing.tokens))
        reason = "length" if writing.stop != "stop" else "tool_calls" if "tool_calls" in message else "stop"
        choice: dict[str, Any] = {"index": at, "message": message, "finish_reason": reason, "logprobs": None}
        if self.request.logprobs:
            choice["logprobs"] = {
                "content": [
                    {**self._token(token, score), "top_logprobs": [self._token(*each) for each in top]}
                    for token, score, top in zip(writing.tokens, writing.logprobs, writing.top, strict=True)
                ]
            }
        if self.request.return_token_ids:
            choice["token_ids"] = list(writing.tokens)
            choice["forced_positions"] = list(writing.forced)
        return choice

    def _token(self, token: int, score: float) -> dict[str, Any]:
        told = self.engine.token_bytes(token)
        return {"token": told.decode("utf-8", "replace"), "logprob": score, "bytes": list(told)}


async def _written(job: Job) -> Writing:
    return await asyncio.wrap_future(job.done)


def _with_index(say: Callable[[int, str], None], at: int) -> Callable[[str], None]:
    return lambda piece: say(at, piece)


def _error(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": message, "type": kind, "param": param, "code": code}


def chat_app(engine: ChatEngine, *, token: str | None = None) -> Any:
    """Return the ASGI application: ``/v1/chat/completions``, ``/v1/models`` and ``/health``.

    Args:
        engine: Who answers.
        token: What ``Authorization: Bearer`` must say; None asks for nothing.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    def refuse(status: int, message: str, code: str, param: str | None = None) -> Response:
        headers = {"Retry-After": "1"} if status == 429 else {}
        return JSONResponse({"error": _error(status, message, code, param)}, status, headers=headers)

    def denied(request: Request) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if token is None or hmac.compare_digest(given, f"Bearer {token}".encode()):
            return None
        return refuse(401, "the key is wrong or missing.", "invalid_api_key")

    async def complete(request: Request) -> Response:
        if (no := denied(request)) is not None:
            return no
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            # What a web page may send to this machine without asking has another type.
            return refuse(415, "the body must be application/json.", "unsupported_media_type")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return refuse(413, f"a request of more than {_MAX_BODY >> 20} MiB.", "request_too_large")
        try:
            asked = ChatRequest.model_validate_json(bytes(body))
            answering = Answering(engine, asked)
            if not asked.stream:
                await answering.begin()
                return JSONResponse(await answering.whole())
            pieces: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
            loop = asyncio.get_running_loop()

            def say(at: int, piece: str) -> None:
                with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                    loop.call_soon_threadsafe(pieces.put_nowait, (at, piece))

            # With tools, what is being written may turn out to be a call: it is told when it is whole.
            await answering.begin(None if asked.shown_tools else say)
            return StreamingResponse(answering.events(pieces), media_type="text/event-stream")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return refuse(400, f"{where or 'body'}: {first['msg']}.", "invalid_request_error", where or None)
        except BadRequest as error:
            return refuse(400, str(error), error.code, error.param)
        except Unmet as error:
            return refuse(422, str(error), UNMET, "tool_choice")
        except Busy as error:
            return refuse(429, str(error), "rate_limit_exceeded")

    async def models(request: Request) -> Response:
        if (no := denied(request)) is not None:
            return no
        one = {"id": engine.name, "object": "model", "created": 0, "owned_by": "thinkact"}
        if (asked := request.path_params.get("model")) is None:
            return JSONResponse({"object": "list", "data": [one]})
        if asked != engine.name:
            return refuse(404, f"the model {asked!r} is not here; {engine.name!r} is.", "model_not_found", "model")
        return JSONResponse(one)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": engine.waiting})

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refuse(error.status_code, f"{request.method} {request.url.path}: {error.detail}.", "unknown_url")

    async def broken(request: Request, error: Exception) -> Response:
        return refuse(500, "the engine failed; its log says how.", "server_error")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{model:path}", models),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: no_route, Exception: broken},
    )
