"""A streamed chat completion put together again, while its words are passed on as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class StreamBroken(ValueError):
    """The events are no chat completion, or end before it does."""


class Assembled:
    """Collects the events of one answer, its first choice only.

    Args:
        said: Called with every piece of text, of thought as well as of the answer, as it comes.
    """

    def __init__(self, said: Callable[[str], None]) -> None:
        self._said = said
        self._buffer = b""
        self._message: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._choice: dict[str, Any] = {}
        self._answer: dict[str, Any] = {}
        self._done = False

    def feed(self, part: bytes) -> None:
        """Take in what came.

        Raises:
            StreamBroken: It is no stream of chat completion chunks.
        """
        *lines, self._buffer = (self._buffer + part).split(b"\n")
        for line in lines:
            name, _, value = line.strip().partition(b":")
            if name == b"data":  # the rest is comments and pauses
                try:
                    self._event(value.strip())
                except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
                    raise StreamBroken(f"a broken event ({type(error).__name__}): {value[:200]!r}") from None

    def whole(self) -> dict[str, Any]:
        """Return the answer in the shape that it has without streaming.

        Raises:
            StreamBroken: It was cut off.
        """
        if not self._done and "finish_reason" not in self._choice:
            raise StreamBroken("the stream ended before the answer did")
        calls = [self._calls[at] for at in sorted(self._calls)]
        message = {**self._message, **({"tool_calls": calls} if calls else {})}
        return {**self._answer, "choices": [{**self._choice, "message": message}]}

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._done = True
            return
        event = json.loads(data)
        if "error" in event:  # some servers fail in the middle, with status 200
            raise ValueError("the server failed")
        for name in ("usage", "prompt_token_ids"):
            if event.get(name) is not None:
                self._answer[name] = event[name]
        for choice in event.get("choices") or ():
            if choice.get("index", 0) == 0:
                self._take(choice)

    def _take(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or {}
        for name in ("content", "reasoning_content", "reasoning"):
            if piece := delta.get(name):
                self._message[name] = self._message.get(name, "") + piece
                self._said(piece)
        for part in delta.get("tool_calls") or ():
            call = self._calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
            for name, piece in (part.get("function") or {}).items():
                if piece:
                    call["function"][name] = call["function"].get(name, "") + piece
                    self._said(piece)
        if choice.get("finish_reason"):
            self._choice["finish_reason"] = choice["finish_reason"]
        if choice.get("prompt_token_ids") is not None:
            self._choice["prompt_token_ids"] = choice["prompt_token_ids"]
        if choice.get("token_ids"):
            self._choice.setdefault("token_ids", []).extend(choice["token_ids"])
        if choice.get("forced_positions"):
            self._choice["forced_positions"] = choice["forced_positions"]
        if (choice.get("logprobs") or {}).get("content"):
            self._choice.setdefault("logprobs", {"content": []})["content"] += choice["logprobs"]["content"]
