r"""The one grammar between a model's text and tool calls.

A call is a JSON object, in one of three spellings::

    {"name": "search", "arguments": {"query": "Paris"}}
    {"search": {"query": "Paris"}}
    {"search": "Paris"}            # the tool's first argument

bare, or inside ``<tool_call>…</tool_call>`` tags. Where tags are present only they count. Everything
outside the calls is dropped at the door, so neither the environment nor its verifier sees a thought.
"""

from __future__ import annotations

import json
import re
from typing import Any

from thinkact.tools.base import POSITIONAL, ToolCall

#: More calls than this in one action are a mistake; the surplus is not run.
MAX_CALLS = 8
#: Longer action text is not parsed at all.
MAX_CHARS = 20_000

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_HELP = 'Write one JSON call, for example {"name": "tool", "arguments": {...}}.'


def parse_action(text: str) -> list[ToolCall]:
    """Read the tool calls out of an action.

    Args:
        text: The action as the policy wrote it.

    Returns:
        At least one call, in order of appearance, with ids ``"0"``, ``"1"``, …. Text without a readable
        call gives a single call whose ``parse_error`` tells the model what to do. Never raises.
    """
    if len(text) > MAX_CHARS:
        return [_broken(0, f"the action has more than {MAX_CHARS} characters. {_HELP}")]
    text = _THOUGHT.sub("", text)
    tagged = _TAGGED.findall(text)
    calls: list[ToolCall] = []
    for chunk in tagged or [text]:
        found, error = _calls_in(chunk, first_id=len(calls))
        calls += found
        if not found and (tagged or error):
            calls.append(_broken(len(calls), error or f"no JSON call found. {_HELP}"))
    if not calls:
        return [_broken(0, f"no JSON call found. {_HELP}")]
    if len(calls) > MAX_CALLS:
        return [_broken(0, f"{len(calls)} calls in one action; at most {MAX_CALLS} are allowed.")]
    return calls


def _calls_in(text: str, first_id: int) -> tuple[list[ToolCall], str | None]:
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    calls: list[ToolCall] = []
    error: str | None = None
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as problem:
            reason = getattr(problem, "msg", None) or str(problem) or "nested too deeply"
            error = error or f"bad JSON: {reason}. {_HELP}"
            # An unreadable brace may be prose ("the set {1, 2}"); a later one may open the call.
            at = text.find("{", at + 1)
            continue
        call = _as_call(value, first_id + len(calls))
        if call is not None:
            calls.append(call)
        else:
            error = error or f"a JSON object that is not a tool call. {_HELP}"
        at = text.find("{", end)
    return calls, error


def _as_call(value: Any, index: int) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("name"), str) and set(value) <= {"name", "arguments", "id"}:
        arguments = value.get("arguments", {})
        if isinstance(arguments, str):  # OpenAI-style arguments arrive as a JSON string
            try:
                arguments = json.loads(arguments, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                return _broken(index, f"arguments are not a JSON object. {_HELP}")
        if not isinstance(arguments, dict):
            return _broken(index, f"arguments are not a JSON object. {_HELP}")
        return ToolCall(id=str(index), name=value["name"], arguments=arguments)
    if len(value) == 1:
        name, arguments = next(iter(value.items()))
        if not isinstance(arguments, dict):
            arguments = {POSITIONAL: arguments}
        return ToolCall(id=str(index), name=name, arguments=arguments)
    return None


def _broken(index: int, reason: str) -> ToolCall:
    return ToolCall(id=str(index), name="", parse_error=reason)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
