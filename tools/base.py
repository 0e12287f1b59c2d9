"""The tool protocol: one schema, one ``run``, one result.

A model's mistake is data: it comes back as a :class:`ToolResult` with an ``error_kind``. An exception
that leaves ``run`` is a fault of ours and is raised by the environment as ``EnvironmentFault``.
"""

from __future__ import annotations

import json
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
    if POSITIONAL in arguments:
        arguments = {next(iter(tool.Arguments.model_fields)): arguments[POSITIONAL]}
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
    mark = f" …[{len(text) - limit} characters cut]… "
    head = max(0, (limit - len(mark)) * 2 // 3)
    tail = max(0, limit - len(mark) - head)
    return text[:head] + mark + (text[-tail:] if tail else "")


_WORDS = ("a", "x", "0", "7", "list", "Paris", "print(1)", "population", "1.5")


def sample_call(schemas: list[dict[str, Any]], rng: np.random.Generator) -> str:
    """Draw a random call that is valid under the given function schemas, as action text.

    Used by ``action_space.sample()`` and by the random policy, so that both explore the same set.
    """
    function = schemas[int(rng.integers(len(schemas)))]["function"]
    parameters = function["parameters"]
    arguments: dict[str, Any] = {}
    for name, prop in parameters.get("properties", {}).items():
        if name in parameters.get("required", []) or rng.random() < 0.5:
            arguments[name] = _sample_value(prop, rng)
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)


def _sample_value(prop: Mapping[str, Any], rng: np.random.Generator) -> Any:
    options = prop.get("enum") or prop.get("examples")
    if options:
        return options[int(rng.integers(len(options)))]
    if "anyOf" in prop:
        return _sample_value(prop["anyOf"][int(rng.integers(len(prop["anyOf"])))], rng)
    low, high = int(prop.get("minimum", 0)), int(prop.get("maximum", 99))
    by_type: dict[str, Callable[[], Any]] = {
        "integer": lambda: int(rng.integers(low, high + 1)),
        "number": lambda: round(float(rng.uniform(low, high)), 3),
        "boolean": lambda: bool(rng.integers(2)),
        "array": lambda: [_sample_value(prop.get("items", {}), rng) for _ in range(int(rng.integers(1, 4)))],
        "null": lambda: None,
    }
    draw = by_type.get(str(prop.get("type", "string")))
    if draw is not None:
        return draw()
    return " ".join(_WORDS[int(i)] for i in rng.integers(len(_WORDS), size=int(rng.integers(1, 4))))
