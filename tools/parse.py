r"""The one grammar between a model's text and tool calls.

A call is a JSON object, in one of three spellings::

    {"name": "search", "arguments": {"query": "Paris"}}    # or "parameters", as Llama models write it
    {"search": {"query": "Paris"}}
    {"search": "Paris"}            # the tool's first argument

bare, or inside ``<tool_call>…</tool_call>`` tags. Where tags are present only they count. Everything
outside the calls is dropped at the door, so neither the environment nor its verifier sees a thought.
Tags are looked for between the JSON objects only: ``{"python": "print('</tool_call>')"}`` is one call.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from thinkact.tools.base import POSITIONAL, ToolCall

#: With more calls than this in one action, none of them is run.
MAX_CALLS = 8
#: Longer action text is not parsed at all; thoughts that open the text do not count.
MAX_CHARS = 20_000
#: Deeper nesting of a call is refused: serialisers give up at some depth, and no tool needs it.
MAX_DEPTH = 32

_MARK = re.compile(r"</?think>|</?tool_call>|\{")
_LEADING_THOUGHTS = re.compile(r"\s*(?:<think>.*?(?:</think>|\Z)\s*)+", re.DOTALL)
_LOOKS_LIKE_CALL = re.compile(r'\{\s*"')
_HELP = 'Write one JSON call, for example {"name": "tool", "arguments": {...}}.'


def parse_action(text: str) -> list[ToolCall]:
    """Read the tool calls out of an action.

    Args:
        text: The action as the policy wrote it.

    Returns:
        At least one call, in order of appearance, with ids ``"0"``, ``"1"``, …. Text without a readable
        call gives a single call whose ``parse_error`` tells the model what to do; so does a call that opens
        like one and cannot be read.

    Raises:
        TypeError: When ``text`` is not a string. No string makes it raise.
    """
    if not isinstance(text, str):
        raise TypeError(f"an action is a string, not {type(text).__name__}.")
    leading = _LEADING_THOUGHTS.match(text)
    text = text[leading.end() :] if leading else text
    if len(text) > MAX_CHARS:
        return [_broken(0, f"the action has more than {MAX_CHARS} characters. {_HELP}")]
    found = _scan(text)
    if len(found) > MAX_CALLS:
        return [_broken(0, f"{len(found)} calls in one action; at most {MAX_CALLS} are allowed.")]
    return [call.model_copy(update={"id": str(index)}) for index, call in enumerate(found)]


def _scan(text: str) -> list[ToolCall]:
    found: list[ToolCall] = []
    tagged = inside = False
    before_tag = at = 0
    complaint: str | None = None
    while mark := _MARK.search(text, at):
        at = mark.end()
        match mark.group():
            case "<think>":
                end = text.find("</think>", at)
                at = len(text) if end < 0 else end + len("</think>")
            case "</think>":
                # Chat templates may put the opening tag into the prompt: all so far was a thought.
                found, tagged, inside, complaint = [], False, False, None
            case "<tool_call>":
                if not tagged:
                    found, complaint = [], None
                if inside and len(found) == before_tag:
                    found.append(_broken(0, complaint or f"no JSON call found. {_HELP}"))
                tagged = inside = True
                before_tag = len(found)
            case "</tool_call>":
                if inside and len(found) == before_tag:
                    found.append(_broken(0, complaint or f"no JSON call found. {_HELP}"))
                inside, complaint = False, None
            case _ if inside or not tagged:
                call, error, at = _decode(text, mark.start())
                if call is not None:
                    found.append(call)
                complaint = complaint or error
    if not found or (inside and len(found) == before_tag):
        found.append(_broken(0, complaint or f"no JSON call found. {_HELP}"))
    return found


def _decode(text: str, at: int) -> tuple[ToolCall | None, str | None, int]:
    """Read the object that opens at ``at``: a call or None, a complaint or None, where to go on."""
    try:
        value, end = _DECODER.raw_decode(text, at)
        _check_storable(value)
    except (ValueError, RecursionError) as problem:
        # A JSONDecodeError's str() repeats positions that mean nothing to a model; its msg does not.
        reason = getattr(problem, "msg", None) or str(problem)
        if isinstance(problem, RecursionError):
            reason = "nested too deeply"
        error = f"bad JSON: {reason}. {_HELP}"
        if _LOOKS_LIKE_CALL.match(text, at):
            # Parts of an unreadable call are no calls; go on behind the place where it broke.
            return _broken(0, error), None, max(at + 1, getattr(problem, "pos", None) or len(text))
        return None, error, at + 1  # prose: "the set {1, 2}"
    call = _as_call(value)
    return call, None if call else f"a JSON object that is not a tool call. {_HELP}", end


def _as_call(value: dict[str, Any]) -> ToolCall | None:
    given = {"arguments", "parameters"} & set(value)
    if isinstance(value.get("name"), str) and set(value) <= {"name", "id", *given} and len(given) <= 1:
        arguments = value.get(given.pop(), {}) if given else {}
        if isinstance(arguments, str):  # OpenAI-style arguments arrive as a JSON string
            try:
                arguments = _DECODER.decode(arguments)
                _check_storable(arguments)
            except (ValueError, RecursionError):
                return _broken(0, f"arguments are not a JSON object. {_HELP}")
        if not isinstance(arguments, dict):
            return _broken(0, f"arguments are not a JSON object. {_HELP}")
        return ToolCall(id="0", name=value["name"], arguments=arguments)
    if len(value) == 1:
        name, arguments = next(iter(value.items()))
        if not isinstance(arguments, dict):
            arguments = {POSITIONAL: arguments}
        return ToolCall(id="0", name=name, arguments=arguments)
    return None


def _broken(index: int, reason: str) -> ToolCall:
    return ToolCall(id=str(index), name="", parse_error=reason)


def _check_storable(value: Any, depth: int = 0) -> None:
    """Raise ``ValueError`` for what tools, logs and JSON serialisers could not hold."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a lone surrogate in a string") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_storable(key, depth)
            _check_storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, depth + 1)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # 1e999: parse_constant does not see it
        raise ValueError("a number is out of range")
    return number


def _storable_int(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:  # more than SQLite and most readers of JSON take
        raise ValueError("a number is out of range")
    return int(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_storable_int)
