"""``EndpointPolicy``: a model behind an OpenAI-compatible ``/chat/completions`` with native tool calls.

Faults of the endpoint (no answer, 429, 5xx, a body that is cut or no JSON) are tried again and then end the
episode as errored: never a zero, never a second start. Mistakes of the *model* (malformed arguments, unknown
tools) go to the environment like any other model's. A wrong key or address raises at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ipaddress
import json
import math
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from thinkact.envs import Action, Conversation
from thinkact.policies.budgets import EFFORTS, Effort
from thinkact.policies.chat_messages import UNMET, call_text, messages, tokens_of, usage_of
from thinkact.policies.codec import split_thought
from thinkact.policies.endpoint_stream import Assembled, StreamBroken

__all__ = ["EndpointFault", "EndpointPolicy", "EndpointRefused", "is_loopback", "messages", "retry_after"]

_MAX_BODY = 8 << 20
_MAX_TEXT = 100_000
_AGAIN = frozenset({408, 409, 425, 429, *range(500, 600)})
_TOO_LONG = ("context_length_exceeded", "context length", "maximum context", "too many tokens", "context window")


class EndpointFault(RuntimeError):
    """The endpoint failed, time and again; the model is not to blame and no score is made of it."""


class EndpointRefused(ValueError):
    """The endpoint does not take what it is asked; the message names what to mend."""


class _Retry(Exception):
    """One attempt failed in a way that another may not. ``after``: seconds that the endpoint asked for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass
class _Talk:
    """What is known of a conversation: its tokens, where the endpoint tells them, and how many were written."""

    ids: list[int] = field(default_factory=list)
    spent: int = 0


class EndpointPolicy:
    """Think-act loops on a remote model.

    Args:
        base_url: Up to and without ``/chat/completions``, for example ``http://127.0.0.1:8000/v1``.
        model: Name of the model there.
        api_key_env: Environment variable that holds the key; the key itself is never stored or shown.
        temperature: Of sampling; the endpoint's own default if None.
        max_tokens: Budget of one turn; the endpoint's own default if None.
        max_episode_tokens: Budget of all turns of an episode, as the endpoint counts them. Once it is spent the episode
            is truncated.
        effort: ``"low"``, ``"medium"`` or ``"high"``, sent as ``reasoning_effort``; what it means is the endpoint's.
        system: A system message, if one is wanted.
        extra: Further fields of the request, such as ``{"top_p": 0.9}``.
        token_ids: Ask for token ids and log-probabilities (``return_token_ids`` of vLLM, SGLang and ``thinkact
            serve``), so that what was sampled can be trained on. An endpoint that has none answers all the same, and
            its tokens are only counted. The log-probabilities are the endpoint's: vLLM gives those of temperature 1
            unless it runs with ``--logprobs-mode processed_logprobs``.
        on_text: Called with a conversation's id and each piece of text as it is written: the answer is streamed. Called
            from another thread; what an attempt that failed has said is said again by the next.
        prices: US dollars per million tokens, read and written.
        concurrency: Requests in flight at once.
        timeout_s: Seconds of one attempt, from the first byte sent to the last byte read.
        tries: Attempts for one action.
        max_wait_s: Longest pause before another attempt, whatever ``Retry-After`` says.
        breaker: Actions lost in a row, none won between them, after which the run is broken off.
        name: Name in episodes; by default the model's.

    Raises:
        EndpointRefused: A wrong address, a missing key, or a key that would travel unencrypted.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        max_episode_tokens: int | None = None,
        effort: Effort | None = None,
        system: str | None = None,
        extra: dict[str, Any] | None = None,
        token_ids: bool = False,
        on_text: Callable[[str, str], None] | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
        concurrency: int = 16,
        timeout_s: float = 120.0,
        tries: int = 3,
        max_wait_s: float = 60.0,
        breaker: int = 16,
        name: str | None = None,
    ) -> None:
        if concurrency < 1 or tries < 1 or breaker < 1 or timeout_s <= 0:
            raise ValueError("concurrency, tries and breaker must be at least 1, timeout_s positive.")
        if effort is not None and effort not in EFFORTS:
            raise ValueError(f"effort must be one of {', '.join(map(repr, EFFORTS))}, not {effort!r}.")
        self.name, self.model, self.base_url = name or model, model, base_url.rstrip("/")
        asked = {"logprobs": True, "return_token_ids": True} if token_ids else {}
        self._options = {"temperature": temperature, "reasoning_effort": effort, **asked, **(extra or {})}
        self._max_tokens, self._max_episode_tokens, self.on_text = max_tokens, max_episode_tokens, on_text
        self._talks: dict[str, _Talk] = {}
        self._system, self._prices, self._concurrency = system, prices, concurrency
        self._timeout_s, self._tries, self._max_wait_s, self._breaker = timeout_s, tries, max_wait_s, breaker
        self._key = _key(api_key_env, self.base_url)
        self._lost = 0
        self._random = random.Random()
        self._sleep = asyncio.sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx.AsyncClient | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> EndpointPolicy:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Ask for one action per conversation.

        An action that could not be had carries a ``fault``: the rollout ends its episode as errored.

        Raises:
            EndpointRefused: The endpoint does not know the model or the key, or takes no such request.
            EndpointFault: Nothing came for many actions in a row.
        """
        if not conversations:
            return []
        actions = self._run(self._all(conversations))
        for action in actions:
            self._lost = self._lost + 1 if action.fault else 0
            if self._lost >= self._breaker:
                raise EndpointFault(f"{self._lost} actions in a row were lost; the last one: {action.fault}")
        return actions

    def release(self, conversation_id: str) -> None:
        """Forget a conversation; every request carries the whole of it, only its tokens are kept here."""
        self._talks.pop(conversation_id, None)

    def close(self) -> None:
        """Hang up. Idempotent."""
        with self._guard:
            loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is not None:
            if client is not None:
                asyncio.run_coroutine_threadsafe(client.aclose(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()

    def _run(self, work: Coroutine[Any, Any, list[Action]]) -> list[Action]:
        """Run in a thread of our own: the caller may have an event loop already, as notebooks do."""
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
                self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C: nothing goes on behind the caller's back
            future.cancel()
            raise

    async def _all(self, conversations: Sequence[Conversation]) -> list[Action]:
        if self._client is None:
            limits = httpx.Limits(max_connections=self._concurrency)
            self._client = httpx.AsyncClient(timeout=None, limits=limits)
        room = asyncio.Semaphore(self._concurrency)

        async def one(conversation: Conversation) -> Action:
            async with room:
                start = time.perf_counter()
                try:
                    action = await self._one(conversation)
                except EndpointFault as fault:
                    action = Action(text="", stop="fault", fault=f"EndpointFault: {fault}")
                action.seconds = time.perf_counter() - start
                return action

        tasks = [asyncio.ensure_future(one(conversation)) for conversation in conversations]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, conversation: Conversation) -> Action:
        talk = self._talks.setdefault(conversation.id, _Talk())
        most = self._max_tokens
        if self._max_episode_tokens is not None:
            left = self._max_episode_tokens - talk.spent
            if left < 1:
                return Action(text="", stop="budget")
            most = left if most is None else min(most, left)
        say = self.on_text
        body = {
            "model": self.model,
            "messages": messages(conversation, self._system),
            **({"tools": conversation.tools} if conversation.tools else {}),
            **({"max_tokens": most} if most is not None else {}),
            **({"stream": True, "stream_options": {"include_usage": True}} if say is not None else {}),
            **{key: value for key, value in self._options.items() if value is not None},
        }
        # ASCII only, so that a lone surrogate in a tool's output is an escape and no error.
        data = json.dumps(body).encode()
        for attempt in range(1, self._tries + 1):
            try:
                try:
                    heard = None if say is None else Assembled(lambda piece: say(conversation.id, piece))
                    status, reply = await asyncio.wait_for(self._post(data, heard), self._timeout_s)
                except TimeoutError:
                    raise _Retry(f"no whole answer within {self._timeout_s:g} s") from None
                except (httpx.HTTPError, httpx.StreamError, StreamBroken) as error:
                    raise _Retry(f"{type(error).__name__}: {error}") from None
                if status != 200:
                    return self._refused(status, reply)
                return self._action(reply, talk)
            except _Retry as problem:
                if attempt == self._tries:
                    raise EndpointFault(self._hide(f"{problem} ({attempt} attempts)")) from None
                backoff = 2.0 ** (attempt - 1) * self._random.uniform(0.5, 1.5)
                await self._sleep(min(self._max_wait_s, max(problem.after, backoff)))
        raise AssertionError

    async def _post(self, data: bytes, heard: Assembled | None) -> tuple[int, bytes]:
        assert self._client is not None
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        async with self._client.stream(
            "POST", f"{self.base_url}/chat/completions", content=data, headers=headers
        ) as response:
            # What is refused, or was not streamed although that was asked for, comes as one piece of JSON.
            streamed = heard is not None and response.headers.get("Content-Type", "").startswith("text/event-stream")
            body, size = bytearray(), 0
            async for part in response.aiter_bytes(None if streamed else 1 << 16):
                size += len(part)
                if size > _MAX_BODY:
                    raise _Retry(f"an answer of more than {_MAX_BODY >> 20} MiB")
                if streamed and response.status_code == 200:
                    assert heard is not None
                    heard.feed(part)
                else:
                    body += part
            if response.status_code in _AGAIN:
                after = retry_after(response.headers.get("Retry-After"), time.time())
                raise _Retry(f"HTTP {response.status_code}: {_text(body)}", after)
            if streamed and response.status_code == 200:
                assert heard is not None
                return 200, json.dumps(heard.whole()).encode()
            return response.status_code, bytes(body)

    def _refused(self, status: int, reply: bytes) -> Action:
        text = self._hide(_text(reply))
        if status in (400, 413) and any(sign in text.lower() for sign in _TOO_LONG):
            return Action(text="", stop="context")
        if status == 422 and UNMET.encode() in reply:  # the model's mistake: it was to call a tool and would not
            return Action(text="")
        hints = {
            401: "Is the key right? It is read from the variable that api_key_env names.",
            403: "Is the key allowed to use this model?",
            404: f"Is {self.base_url} the address up to /v1, and {self.model!r} a model there?",
        }
        hint = hints.get(status, "It does not take this request.")
        raise EndpointRefused(f"{self.base_url} answered HTTP {status}. {hint} It said: {text}")

    def _action(self, reply: bytes, talk: _Talk) -> Action:
        try:
            answer = json.loads(reply)
            choice = answer["choices"][0]
            message = choice["message"]
            content, calls = message.get("content") or "", message.get("tool_calls") or []
            reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
            if not isinstance(content, str):  # a list of parts, as some servers write it
                content = "".join(part["text"] for part in content if part.get("type") == "text")
            text = "\n".join(call_text(call["function"]) for call in calls)
            stop = "length" if choice.get("finish_reason") == "length" else "stop"
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise _Retry(f"an answer that is no chat completion ({type(error).__name__}): {_text(reply)}") from None
        # Beside native calls all text is thought, a call written out in it included: it was not made.
        thought, text = (content, text) if calls else split_thought(content)
        parts = (reasoning if isinstance(reasoning, str) else "", thought)
        prompt, sampled = usage_of(answer.get("usage"))
        talk.spent += sampled
        given: dict[str, Any] = {}
        if (ids := tokens_of(answer, choice)) is not None:
            before, fed = talk.ids, ids["prompt_ids"]
            talk.ids = fed + ids["token_ids"]
            # An endpoint that reads its own words anew may spell them with other tokens: a new context.
            goes_on = bool(before) and fed[: len(before)] == before
            if goes_on:
                ids["prompt_ids"] = fed[len(before) :]
            given = {**ids, "restart": bool(before) and not goes_on}
        return Action(
            **given,
            text=_clean(text),
            thought=_clean("\n".join(part.strip() for part in parts if part.strip())),
            stop=stop,
            prompt_tokens=prompt,
            sampled_tokens=sampled,
            cost=(prompt * self._prices[0] + sampled * self._prices[1]) / 1e6,
        )

    def _hide(self, text: str) -> str:
        """Take the key out of what an endpoint, or a library, says."""
        return text.replace(self._key, "[key]") if self._key else text


def retry_after(value: str | None, now: float) -> float:
    """Read a ``Retry-After`` header, seconds or a date; 0.0 when there is none that makes sense."""
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _key(variable: str | None, base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointRefused(f"base_url must be like https://host/v1, not {base_url!r}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EndpointRefused("base_url holds a user, a query or a fragment; keys belong into api_key_env.")
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EndpointRefused(f"The environment variable {variable} is not set; it must hold the key.")
    if not key.isascii() or not key.isprintable():
        raise EndpointRefused(f"The environment variable {variable} holds characters that no key has.")
    if parts.scheme == "http" and not is_loopback(base_url):
        raise EndpointRefused(f"The key would travel unencrypted to {parts.hostname}: use https.")
    return key


def _clean(text: str) -> str:
    """Cut a text and drop lone surrogates, which no record could hold."""
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode()


def _text(body: bytes | bytearray) -> str:
    return bytes(body[:300]).decode("utf-8", "replace")
