"""Our engine as an OpenAI-compatible endpoint, so that any harness can drive a model that was trained here.

Requests that arrive together are decoded together. A conversation's next request opens with what the engine has seen:
its keys and values are still there, so only the new messages are computed, although the protocol repeats everything.
What the model sampled is remembered as ids under the messages that led to it: the next request's history is
made of those ids and not of their text read anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thinkact.policies.codec import split_thought
from thinkact.policies.engine import Engine, GenRequest, GenResult
from thinkact.policies.models import LoadedModel
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import codec_for
from thinkact.tools.parse import parse_action

#: After the first request, wait this long (seconds) for others.
_LINGER_S = 0.005
_MAX_BODY = 16 << 20
_REMEMBERED = 4096


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Function(_Lenient):
    name: str
    arguments: str | dict[str, Any] = "{}"


class _MadeCall(_Lenient):
    function: _Function


class _Part(_Lenient):
    type: Literal["text"]
    text: str


class _Said(_Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_MadeCall] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(_Lenient):
    """What of a chat completion request is understood; other fields are let pass.

    ``return_token_ids`` is vLLM's: the answer then carries ``prompt_token_ids`` and ``token_ids``.
    """

    messages: Annotated[list[_Said], Field(min_length=1, max_length=10_000)]
    model: str = ""
    tools: list[dict[str, Any]] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    seed: int | None = None
    n: Literal[1] = 1
    stream: bool = False
    logprobs: bool = False
    return_token_ids: bool = False


class BadRequest(ValueError):
    """The request cannot be answered; ``code`` is OpenAI's word for it."""

    def __init__(self, message: str, code: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.code = code


class Busy(RuntimeError):
    """Too many requests wait already."""


@dataclass
class _Job:
    ids: list[int]
    params: SamplingParams
    seed: int
    done: Future[GenResult] = field(default_factory=Future)


class ChatEngine:
    """Answers chat requests with one model, those that arrive together in one batch. Use as a context manager.

    Args:
        loaded: The model.
        max_slots: Requests decoded at once.
        kept: Further conversations whose keys and values are kept for their next request; the one that was quiet
            longest goes first.
        max_len: Tokens of one conversation.
        max_tokens: Of one answer, where the request does not say.
        dtype: Of inference.
        waiting: Requests that may wait; more are refused.
        codec: See :func:`~thinkact.policies.templates.codec_for`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_slots: int = 32,
        kept: int = 32,
        max_len: int = 4096,
        max_tokens: int = 256,
        dtype: torch.dtype = torch.bfloat16,
        waiting: int = 512,
        codec: Literal["auto", "chatml", "template"] = "auto",
    ) -> None:
        self.name = loaded.name
        self.codec = codec_for(loaded.tokenizer, codec)
        self.engine = Engine(loaded.model, max_slots=max_slots + kept, max_len=max_len, dtype=dtype)
        self._max_slots = max_slots
        self._quiet: OrderedDict[int, None] = OrderedDict()  # slots of conversations that may go on, oldest first
        self._max_tokens = max_tokens
        self._jobs: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._sampled: OrderedDict[str, list[int]] = OrderedDict()
        self._guard = threading.Lock()
        self._rng = np.random.default_rng()
        self._thread = threading.Thread(target=self._work, name="chat-engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> ChatEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer what waits, then end. Idempotent."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    async def answer(self, request: ChatRequest) -> dict[str, Any]:
        """Return a chat completion.

        Raises:
            BadRequest: The messages make no conversation, or there is no room for an answer.
            Busy: Too many requests wait already.
        """
        keys, ids = self._read(request)
        room = self.engine.max_len - len(ids)
        if room < 1:
            raise BadRequest(
                f"{len(ids)} tokens, and the maximum context length is {self.engine.max_len}.",
                "context_length_exceeded",
            )
        limit = request.max_completion_tokens or request.max_tokens or self._max_tokens
        job = _Job(
            ids,
            SamplingParams(
                temperature=request.temperature,
                top_p=request.top_p,
                max_new_tokens=min(limit, room),
                stop_ids=self.codec.stop_ids,
            ),
            int(self._rng.integers(2**63)) if request.seed is None else request.seed,
        )
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Busy("too many requests wait; try again later.") from None
        result = await asyncio.wrap_future(job.done)
        return self._write(request, keys, ids, result)

    # A request as ids.

    def _read(self, request: ChatRequest) -> tuple[str, list[int]]:
        """Return the key of the conversation so far and its ids."""
        said = list(request.messages)
        system = "\n".join(each.text for each in said if each.role in ("system", "developer"))
        said = [each for each in said if each.role not in ("system", "developer")]
        if not said or said[0].role != "user":
            raise BadRequest("the first message, after the system's, must be a user's.")
        tools = request.tools or []
        try:
            names = [tool["function"]["name"] for tool in tools]
        except (KeyError, TypeError):
            raise BadRequest("a tool has no function with a name.") from None
        key = _digest("", json.dumps([system, tools, names], sort_keys=True))
        at = 0
        ids: list[int] = []
        while at < len(said):
            role, block = said[at].role, [said[at]]
            while at + len(block) < len(said) and role != "assistant" and said[at + len(block)].role == role:
                block.append(said[at + len(block)])
            text = "\n".join(each.text for each in block)
            key = _digest(key, json.dumps([role, *([_plain(each) for each in block])]))
            if at == 0:
                ids = self.codec.opening(tools, text, system=system)
            elif role == "assistant":
                if at + len(block) == len(said):
                    raise BadRequest("the last message is the assistant's: there is nothing to answer.")
                ids += self._known(key) or self.codec.action(_as_text(block[0]))
            else:
                closed = ids[-1] == self.codec.end_id
                tool = role == "tool" or not closed
                ids += self.codec.observation(text, turn_closed=closed) if tool else self.codec.user(text)
            at += len(block)
        return key, ids

    def _known(self, key: str) -> list[int] | None:
        with self._guard:
            found = self._sampled.get(key)
            if found is not None:
                self._sampled.move_to_end(key)
        return found

    # An answer.

    def _write(self, request: ChatRequest, key: str, ids: list[int], result: GenResult) -> dict[str, Any]:
        text = self.codec.decode(result.tokens)
        thought, action = split_thought(text)
        calls = parse_action(action) if request.tools else []
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls and all(call.parse_error is None for call in calls):
            message["content"] = None
            message["tool_calls"] = [
                {
                    "id": f"call_{key[:12]}_{call.id}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(_named(call, request.tools or []))},
                }
                for call in calls
            ]
            if thought:
                message["reasoning_content"] = thought
        with self._guard:
            said = _Said.model_validate(message)
            self._sampled[_digest(key, json.dumps(["assistant", _plain(said)]))] = list(result.tokens)
            while len(self._sampled) > _REMEMBERED:
                self._sampled.popitem(last=False)
        choice: dict[str, Any] = {
            "index": 0,
            "message": message,
            "finish_reason": "length" if result.stop != "stop" else "tool_calls" if "tool_calls" in message else "stop",
        }
        if request.logprobs:
            tokens = [self.codec.decode([token]) for token in result.tokens]
            choice["logprobs"] = {
                "content": [
                    {"token": token, "logprob": score, "top_logprobs": []}
                    for token, score in zip(tokens, result.logprobs, strict=True)
                ]
            }
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{key[:24]}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [choice],
            "usage": {
                "prompt_tokens": len(ids),
                "completion_tokens": len(result.tokens),
                "total_tokens": len(ids) + len(result.tokens),
            },
        }
        if request.return_token_ids:
            answer["prompt_token_ids"], choice["token_ids"] = ids, list(result.tokens)
        return answer

    # The one thread that computes.

    def _work(self) -> None:
        stopping = False
        while not stopping:
            first = self._jobs.get()
            if first is None:
                return
            jobs, until = [first], time.monotonic() + _LINGER_S
            while len(jobs) < self._max_slots:
                try:
                    job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if job is None:
                    stopping = True
                    break
                jobs.append(job)
            # A client may have hung up meanwhile.
            if live := [job for job in jobs if job.done.set_running_or_notify_cancel()]:
                self._generate(live)

    def _generate(self, group: Sequence[_Job]) -> None:
        slots: list[int] = []
        try:
            requests = []
            for job in group:
                slot, known = self._seat(job.ids)
                slots.append(slot)
                requests.append(GenRequest(slot, job.ids[known:], job.seed, job.params))
            results = self.engine.generate(requests, SamplingParams())
        except Exception as error:  # to those who asked; the next batch may do better
            for slot in slots:
                self.engine.close(slot)
            for job in group:
                job.done.set_exception(error)
            return
        for slot, job, result in zip(slots, group, results, strict=True):
            self._quiet[slot] = None
            job.done.set_result(result)

    def _seat(self, ids: list[int]) -> tuple[int, int]:
        """Return a slot for a conversation, and how many of its ids the slot holds already."""
        best, known = -1, 0
        for slot in self._quiet:
            held = self.engine.tokens(slot)
            if known < len(held) < len(ids) and held == ids[: len(held)]:
                best, known = slot, len(held)
        if best >= 0:
            del self._quiet[best]
            return best, known
        if len(self._quiet) > self.engine.max_slots - self._max_slots:
            self.engine.close(self._quiet.popitem(last=False)[0])
        return self.engine.open(), 0


def _digest(before: str, text: str) -> str:
    return hashlib.blake2b(f"{before}\n{text}".encode(errors="replace"), digest_size=20).hexdigest()


def _plain(said: _Said) -> list[Any]:
    """What of a message makes a conversation another one; ids of calls and spelling of their JSON do not."""
    calls = [[call.function.name, _arguments(call.function)] for call in said.tool_calls or ()]
    return ["" if calls else said.text, calls]


def _arguments(function: _Function) -> Any:
    if isinstance(function.arguments, dict):
        return function.arguments
    try:
        return json.loads(function.arguments or "{}")
    except (ValueError, RecursionError):
        return function.arguments


def _as_text(said: _Said) -> str:
    calls = [{"name": call.function.name, "arguments": _arguments(call.function)} for call in said.tool_calls or ()]
    return "\n".join(json.dumps(call, ensure_ascii=False) for call in calls) or said.text


def _named(call: Any, tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Name the argument that the model gave without its name."""
    from thinkact.tools.base import POSITIONAL

    arguments = dict(call.arguments)
    if set(arguments) == {POSITIONAL}:
        for tool in tools:
            if tool["function"]["name"] == call.name:
                names = list((tool["function"].get("parameters") or {}).get("properties", {}))
                return {(names[0] if names else "value"): arguments[POSITIONAL]}
    return {name or "value": value for name, value in arguments.items()}


def chat_app(engine: ChatEngine, *, token: str | None = None) -> Any:
    """Return the ASGI application: ``/v1/chat/completions``, ``/v1/models`` and ``/health``.

    Args:
        engine: Who answers.
        token: What ``Authorization: Bearer`` must say; None asks for nothing.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    def refuse(status: int, message: str, code: str) -> Response:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        headers = {"Retry-After": "1"} if status == 429 else {}
        return JSONResponse({"error": {"message": message, "type": kind, "code": code}}, status, headers=headers)

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
            found = await engine.answer(asked)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "body"
            return refuse(400, f"{where}: {first['msg']}.", "invalid_request_error")
        except BadRequest as error:
            return refuse(400, str(error), error.code)
        except Busy as error:
            return refuse(429, str(error), "rate_limit_exceeded")
        if asked.stream:
            return StreamingResponse(_events(found), media_type="text/event-stream")
        return JSONResponse(found)

    async def models(request: Request) -> Response:
        if (no := denied(request)) is not None:
            return no
        one = {"id": engine.name, "object": "model", "created": 0, "owned_by": "thinkact"}
        return JSONResponse({"object": "list", "data": [one]})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": engine._jobs.qsize()})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


async def _events(found: dict[str, Any]) -> AsyncIterator[str]:
    """Write a whole answer as the events of a stream."""
    base = {name: found[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = found["choices"][0]
    message = choice["message"]
    delta = {name: value for name, value in message.items() if value is not None}
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(delta["tool_calls"])]
    for part, reason in ((delta, None), ({}, choice["finish_reason"])):
        event = {**base, "choices": [{"index": 0, "delta": part, "finish_reason": reason}]}
        yield f"data: {json.dumps(event)}\n\n"
    yield f"data: {json.dumps({**base, 'choices': [], 'usage': found['usage']})}\n\ndata: [DONE]\n\n"
