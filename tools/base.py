"""The tool protocol: one schema, one ``run``, one result.

A model's mistake is data: it comes back as a :class:`ToolResult` with an ``error_kind``. An exception
that leaves ``run`` is a fault of ours and is raised by the environment as ``EnvironmentFault``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ErrorKind = Literal["parse_error", "unknown_tool", "invalid_arguments", "tool_error", "timeout"]

#: Key under which the grammar keeps a bare, unnamed argument: ``{"search": "Paris"}``.
POSITIONAL = ""


class ToolCall(BaseModel):
    """One call as the model wrote it; ``parse_error`` says why it could not be read."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    parse_error: str | None = None


class ToolResult(BaseModel):
    """What came of one call: the text the model sees, and whether the call was a mistake."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    content: str
    error_kind: ErrorKind | None = None
    artifacts: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class ToolContext:
    """What a tool may know about the moment of the call."""

    call_id: str
    turn: int
    max_chars: int = 2000


@runtime_checkable
class Tool(Protocol):
    """A capability the agent can call by name.

    ``Arguments`` is the single source of the JSON schema, of validation and of random sampling. The first
    field is the positional one: ``{"search": "Paris"}`` means ``{"search": {"query": "Paris"}}``.
    ``terminal`` tools end the episode when a call to them is valid.
    """

    name: str
    description: str
    Arguments: type[BaseModel]
    terminal: bool

    def run(self, args: Any, ctx: ToolContext) -> ToolResult:
        """Carry out a validated call (``args`` is an instance of ``Arguments``)."""
        ...

    def snapshot(self) -> Any:
        """Return the tool's state, so that :meth:`restore` continues from exactly here."""
        ...

    def restore(self, state: Any) -> None:
        """Put back a state that :meth:`snapshot` returned; usable any number of times."""
        ...

    def close(self) -> None:
        """Free what the tool holds. Idempotent."""
        ...


@dataclass
class BoundCall:
    """A call joined with its tool and validated arguments, or the error the model is told."""

    call: ToolCall
    tool: Tool | None = None
    args: BaseModel | None = None
    error: ToolResult | None = field(default=None)


def tool_schema(tool: Tool) -> dict[str, Any]:
    """Return the tool as an OpenAI function schema (JSON-serialisable)."""
    schema = tool.Arguments.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    for prop in schema.get("properties", {}).values():
        prop.pop("title", None)
    schema["additionalProperties"] = False
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def bind(call: ToolCall, tools: Mapping[str, Tool]) -> BoundCall:
    """Validate a parsed call against the tools at hand. Never raises for what a model wrote."""

    def refuse(kind: ErrorKind, message: str) -> BoundCall:
        return BoundCall(call, error=ToolResult(call_id=call.id, content=message, error_kind=kind))

    if call.parse_error is not None:
        return refuse("parse_error", f"Error: {call.parse_error}")
    tool = tools.get(call.name)
    if tool is None:
        return refuse("unknown_tool", f"Error: no tool {clip(call.name, 40)!r}. Tools: {', '.join(tools)}.")
    arguments = dict(call.arguments)
    names = list(tool.Arguments.model_fields)
    if set(arguments) == {POSITIONAL} and names:
        arguments = {names[0]: arguments[POSITIONAL]}
    # The schema says additionalProperties: false; hold to it also where Arguments would ignore extras.
    if unknown := set(arguments) - set(names):
        name = clip(sorted(unknown)[0], 40)
        known = ", ".join(names) or "none"
        return refuse("invalid_arguments", f"Error: {call.name}: no argument {name!r}. Arguments: {known}.")
    try:
        return BoundCall(call, tool, tool.Arguments.model_validate(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "arguments"
        return refuse("invalid_arguments", f"Error: {call.name}: {where}: {first['msg']}.")
    except RecursionError:
        return refuse("invalid_arguments", f"Error: {call.name}: arguments are nested too deeply.")


def clip(text: str, limit: int) -> str:
    """Cut ``text`` to about ``limit`` characters, keep head and tail, and show the cut."""
    if len(text) <= limit:
        return text
    room = max(0, limit - len(f" …[{len(text)} characters cut]… "))
    head = room * 2 // 3
    tail = room - head
    mark = f" …[{len(text) - room} characters cut]… "
    return text[:head] + mark + (text[-tail:] if tail else "")


_WORDS = ("a", "x", "0", "7", "list", "Paris", "print(1)", "population", "1.5")


def sample_call(schemas: list[dict[str, Any]], rng: np.random.Generator) -> str:
    """Draw a random call that is valid under the given function schemas, as action text.

    Used by ``action_space.sample()`` and by the random policy, so that both explore the same set.

    Raises:
        ValueError: When a schema asks for something that cannot be drawn (``pattern``, say); give such a
            property ``examples``.
    """
    function = schemas[int(rng.integers(len(schemas)))]["function"]
    arguments = _sample_object(function["parameters"], function["parameters"].get("$defs", {}), rng)
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)


def _sample_object(schema: Mapping[str, Any], defs: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    required = schema.get("required", [])
    return {
        name: _sample_value(prop, defs, rng)
        for name, prop in schema.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }


def _sample_value(prop: Mapping[str, Any], defs: Mapping[str, Any], rng: np.random.Generator) -> Any:
    if "$ref" in prop:
        return _sample_value(defs[prop["$ref"].rsplit("/", 1)[-1]], defs, rng)
    if "const" in prop:
        return prop["const"]
    options = prop.get("enum") or prop.get("examples")
    if options:
        return options[int(rng.integers(len(options)))]
    choices = prop.get("anyOf") or prop.get("oneOf")
    if choices:
        return _sample_value(choices[int(rng.integers(len(choices)))], defs, rng)
    kind = prop.get("type", "string")
    if kind == "string":
        return _sample_text(prop, rng)
    if kind == "array":
        low = int(prop.get("minItems", 1))
        size = int(rng.integers(low, int(prop.get("maxItems", low + 2)) + 1))
        return [_sample_value(prop.get("items", {}), defs, rng) for _ in range(size)]
    if kind in ("integer", "number"):
        return _sample_number(prop, rng, whole=kind == "integer")
    draws: dict[str, Callable[[], Any]] = {
        "boolean": lambda: bool(rng.integers(2)),
        "object": lambda: _sample_object(prop, defs, rng),
        "null": lambda: None,
    }
    return draws[kind]()


def _sample_number(prop: Mapping[str, Any], rng: np.random.Generator, *, whole: bool) -> int | float:
    if "multipleOf" in prop:
        raise ValueError(f"cannot draw a multiple of {prop['multipleOf']}: give the property examples.")
    span = 99 if whole else 99.0
    low = prop.get("minimum", prop.get("exclusiveMinimum"))
    high = prop.get("maximum", prop.get("exclusiveMaximum"))
    if low is None:
        low = 0 if high is None or high >= 0 else high - span
    if high is None:
        high = low + span
    if whole:
        first = math.ceil(low) + ("minimum" not in prop and prop.get("exclusiveMinimum") == math.ceil(low))
        last = math.floor(high) - ("maximum" not in prop and prop.get("exclusiveMaximum") == math.floor(high))
        return int(rng.integers(first, last + 1))
    # Strictly inside the bounds, so that exclusive ones hold too; not rounded for the same reason.
    return float(low + (high - low) * (0.01 + 0.98 * rng.random()))


def _sample_text(prop: Mapping[str, Any], rng: np.random.Generator) -> str:
    if "pattern" in prop or "format" in prop:
        raise ValueError("cannot draw text for a pattern or format: give the property examples.")
    text = " ".join(_WORDS[int(i)] for i in rng.integers(len(_WORDS), size=int(rng.integers(1, 4))))
    return text.ljust(int(prop.get("minLength", 0)), "a")[: prop.get("maxLength")]
