"""Answers that have to call a tool: ``tool_choice`` ``"required"``, or a function's name.

The answer is made to begin as a call does, with tokens that count as forced, and the model writes on from there. That
is no proof of a readable call, so it is read; one that is none is written again with other draws, and after the last
attempt the request fails by name rather than being answered with something else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from thinkact.policies.codec import split_thought
from thinkact.policies.templates import Codec
from thinkact.tools.parse import parse_action

#: Times that an answer is written, if the ones before were no calls.
ATTEMPTS = 3


def call_opening(codec: Codec, names: Sequence[str]) -> tuple[int, ...]:
    """Return the ids that a call of one of the tools begins with; none where there are no names.

    A codec with lines of our own writes ``{"tool": arguments}``, as it teaches; others the spelling of templates.
    """
    if not names:
        return ()
    known = bool(getattr(codec, "knows_tools", False))
    if len(names) > 1:
        text = '{"name": "' if known else '{"'
    else:
        name = json.dumps(names[0])
        text = f'{{"name": {name}, "arguments":' if known else f"{{{name}:"
    return tuple(codec.action(text)[:-1])


def meets(text: str, names: Sequence[str]) -> bool:
    """Tell whether an answer consists of calls of these tools; where there are no names, any answer will do."""
    if not names:
        return True
    calls = parse_action(split_thought(text)[1])
    return all(call.parse_error is None and call.name in names for call in calls)
