"""Schemas, validation, clipping and random calls."""

import json
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from thinkact.tools import ToolCall, clip, sample_call, tool_schema
from thinkact.tools.base import POSITIONAL, bind
from thinkact.tools.submit import SubmitTool


class Inner(BaseModel):
    size: int = Field(ge=200)
    tags: list[Literal["red", "blue"]] = Field(min_length=2, max_length=3)


class Arguments(BaseModel):
    text: str = Field(min_length=30, max_length=40)
    inner: Inner
    ratio: float = Field(gt=0.5, lt=0.75)
    below: int = Field(lt=-5)
    above: Annotated[int, Field(gt=7, le=8)]
    maybe: bool | None = None
    kind: Literal["one"] = "one"


class NoArguments(BaseModel):
    """A tool that takes nothing; pydantic ignores extras here, the tool layer does not."""


class Probe:
    description = "For tests."
    terminal = False

    def __init__(self, name, arguments):
        self.name, self.Arguments = name, arguments


TOOLS = {tool.name: tool for tool in (SubmitTool(), Probe("look", NoArguments), Probe("rich", Arguments))}


def refusal(name, **arguments):
    bound = bind(ToolCall(id="0", name=name, arguments=arguments), TOOLS)
    return bound.error.error_kind if bound.error else None


def test_schema_is_plain_json_in_openai_form():
    schema = tool_schema(TOOLS["submit"])
    assert json.loads(json.dumps(schema)) == schema
    assert schema["function"]["parameters"]["required"] == ["answer"]
    assert schema["function"]["parameters"]["additionalProperties"] is False


def test_bind_accepts_named_and_positional_arguments():
    assert refusal("submit", answer="x") is None
    assert refusal("submit", **{POSITIONAL: 7}) is None
    assert refusal("look") is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("submit", {}),
        ("submit", {"answer": "x" * 1000}),
        ("submit", {POSITIONAL: "x", "answer": "y"}),
        ("submit", {"answer": "x", "extra": 1}),
        ("submit", {"answer": ["x"]}),
        ("look", {"extra": 1}),
        ("look", {POSITIONAL: "x"}),
        ("look", {"k" * 5000: 1}),
    ],
)
def test_bind_refuses_wrong_arguments_in_few_words(name, arguments):
    bound = bind(ToolCall(id="0", name=name, arguments=arguments), TOOLS)
    assert bound.error is not None
    assert bound.error.error_kind == "invalid_arguments"
    assert len(bound.error.content) < 200


def test_bind_names_the_tools_there_are():
    bound = bind(ToolCall(id="0", name="x" * 500, arguments={}), TOOLS)
    assert bound.error is not None and bound.error.error_kind == "unknown_tool"
    assert "submit, look, rich" in bound.error.content
    assert len(bound.error.content) < 200


def test_random_calls_hold_to_bounds_nesting_and_choices():
    schemas = [tool_schema(tool) for tool in TOOLS.values()]
    rng = np.random.default_rng(0)
    names = set()
    for _ in range(300):
        call = json.loads(sample_call(schemas, rng))
        names.add(call["name"])
        bound = bind(ToolCall(id="0", **call), TOOLS)
        assert bound.error is None, bound.error
    assert names == set(TOOLS)


def test_what_cannot_be_drawn_is_said():
    class Odd(BaseModel):
        code: str = Field(pattern="[a-z]{3}")

    with pytest.raises(ValueError, match="examples"):
        sample_call([tool_schema(Probe("odd", Odd))], np.random.default_rng(0))


@given(st.text(max_size=500), st.integers(min_value=64, max_value=400))
def test_clip_keeps_within_the_limit_and_counts_the_cut(text, limit):
    cut = clip(text, limit)
    assert len(cut) <= limit
    if len(text) <= limit:
        assert cut == text
    else:
        head, rest = cut.split(" …[", 1) if text[: cut.index(" …[")] == cut[: cut.index(" …[")] else (None, cut)
        count, tail = rest.split(" characters cut]… ", 1)
        assert len(head) + int(count) + len(tail) == len(text)
        assert text.startswith(head) and text.endswith(tail)
