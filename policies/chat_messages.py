"""A conversation as the messages of a chat completion request, and what comes back as an action's text."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from typing import Any

from thinkact.envs import Conversation
from thinkact.tools.base import POSITIONAL, ToolCall
from thinkact.tools.parse import parse_action

#: Error code of an answer that had to call a tool and did not, however often it was written.
UNMET = "tool_choice_not_met"


def messages(conversation: Conversation, system: str | None = None) -> list[dict[str, Any]]:
    """Write a conversation as chat messages, each action as the native tool calls that it was.

    An action that was no readable call goes back as text, and what came of it as a user's message.
    """
    out: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    open_calls: list[str] = []
    for at, message in enumerate(conversation.messages):
        if message.role == "user":
            out.append({"role": "user", "content": message.content})
        elif message.role == "assistant":
            calls = parse_action(message.content)
            if any(call.parse_error is not None for call in calls) or not all(call.name for call in calls):
                open_calls = []
                out.append({"role": "assistant", "content": message.content or "(empty)"})
                continue
            open_calls = [f"call_{at}_{call.id}" for call in calls]
            made = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": json.dumps(named(call, conversation.tools)),
                    },
                }
                for call_id, call in zip(open_calls, calls, strict=True)
            ]
            out.append({"role": "assistant", "content": None, "tool_calls": made})
        elif not open_calls:
            out.append({"role": "user", "content": message.content})
        else:  # one text holds the results of all calls
            for index, call_id in enumerate(open_calls):
                content = message.content if index == 0 else "(see the result of the first call)"
                out.append({"role": "tool", "tool_call_id": call_id, "content": content})
    return out


def named(call: ToolCall, tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a call's arguments; one that the model gave without its name gets the tool's first one."""
    if POSITIONAL not in call.arguments:
        return call.arguments
    schemas = [tool["function"].get("parameters") or {} for tool in tools if tool["function"]["name"] == call.name]
    names = [name for schema in schemas for name in schema.get("properties", {})] or ["value"]
    first = next((name for name in names if name not in call.arguments), "value")
    return {name or first: value for name, value in call.arguments.items()}


def call_text(function: dict[str, Any]) -> str:
    """Write a native tool call as the text that environments read.

    Raises:
        TypeError: It has no name.
    """
    name, arguments = function["name"], function.get("arguments")
    if not isinstance(name, str):
        raise TypeError("a tool without a name")
    if isinstance(arguments, str):
        # What is no JSON object is the model's mistake: it goes on as it is, and the environment says so.
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(arguments or "{}")
            arguments = value if isinstance(value, dict) else arguments
    return json.dumps({"name": name, "arguments": {} if arguments is None else arguments}, ensure_ascii=False)


def usage_of(usage: Any) -> tuple[int, int]:
    """Return the tokens read and written; 0 where an endpoint does not count them.

    Tokens that were put into the answer (``forced_tokens`` of ``thinkact serve``) were read, not written.
    """
    if not isinstance(usage, dict):
        return 0, 0
    details = usage.get("completion_tokens_details")
    forced = _count((details if isinstance(details, dict) else {}).get("forced_tokens"))
    prompt, sampled = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    forced = min(forced, sampled)
    return prompt + forced, sampled - forced


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 40 else 0


def tokens_of(answer: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any] | None:
    """Return an action's ``prompt_ids``, ``token_ids``, ``logprobs`` and ``forced``; None where they are not all there.

    vLLM writes the prompt's ids beside the choices (vllm-project/vllm#22587), SGLang in each
    (sgl-project/sglang#30917); ``forced_positions`` are of ``thinkact serve``.
    """
    fed, written = answer.get("prompt_token_ids") or choice.get("prompt_token_ids"), choice.get("token_ids")
    forced = choice.get("forced_positions") or []
    try:
        scores = [each["logprob"] for each in choice["logprobs"]["content"]]
    except (KeyError, TypeError):
        return None
    if not isinstance(fed, list) or not isinstance(written, list) or len(written) != len(scores):
        return None
    if not isinstance(forced, list) or not all(type(at) is int and 0 <= at < len(written) for at in forced):
        return None
    if not all(type(each) is int and each >= 0 for each in (*fed, *written)):
        return None
    if not all(type(each) in (int, float) and math.isfinite(each) for each in scores):
        return None
    scores = [0.0 if at in forced else float(each) for at, each in enumerate(scores)]
    return {"prompt_ids": fed, "token_ids": written, "logprobs": scores, "forced": sorted(set(forced))}
