"""A conversation as the messages of a chat completion request, and what comes back as an action's text."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from thinkact.envs import Conversation
from thinkact.tools.base import POSITIONAL
from thinkact.tools.parse import parse_action


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
                        "arguments": json.dumps(_named(call.name, call.arguments, conversation)),
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


def _named(tool: str, arguments: dict[str, Any], conversation: Conversation) -> dict[str, Any]:
    """Give an argument that was written without its name the tool's first one."""
    if POSITIONAL not in arguments:
        return arguments
    for each in conversation.tools:
        if each["function"]["name"] == tool:
            first = next(iter(each["function"]["parameters"].get("properties", {})), "value")
            return {first: arguments[POSITIONAL]}
    return {"value": arguments[POSITIONAL]}


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
    """Return the tokens read and written; 0 where an endpoint does not count them."""
    if not isinstance(usage, dict):
        return 0, 0
    found = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, sampled = (each if type(each) is int and 0 <= each < 1 << 40 else 0 for each in found)
    return prompt, sampled


def tokens_of(answer: dict[str, Any], choice: dict[str, Any]) -> tuple[list[int], list[int], list[float]] | None:
    """Return the ids of the prompt and of what was written, with log-probabilities; None where they are not all there.

    vLLM writes the prompt's beside the choices (vllm-project/vllm#22587), SGLang in each (sgl-project/sglang#30917).
    """
    fed, written = answer.get("prompt_token_ids") or choice.get("prompt_token_ids"), choice.get("token_ids")
    try:
        scores = [each["logprob"] for each in choice["logprobs"]["content"]]
    except (KeyError, TypeError):
        return None
    if not isinstance(fed, list) or not isinstance(written, list) or len(written) != len(scores):
        return None
    if not all(type(each) is int and each >= 0 for each in (*fed, *written)):
        return None
    if not all(type(each) in (int, float) and math.isfinite(each) for each in scores):
        return None
    return fed, written, [float(each) for each in scores]
