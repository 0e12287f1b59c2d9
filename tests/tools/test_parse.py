"""The call grammar: every spelling, every mistake, no thought, no exception."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.tools import parse_action
from thinkact.tools.base import POSITIONAL
from thinkact.tools.parse import MAX_CALLS, MAX_CHARS


def calls(text):
    return [(c.name, c.arguments) if c.parse_error is None else "broken" for c in parse_action(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "search", "arguments": {"query": "Paris"}}', [("search", {"query": "Paris"})]),
        ('{"name": "search", "arguments": "{\\"query\\": \\"Paris\\"}", "id": 3}', [("search", {"query": "Paris"})]),
        ('{"search": {"query": "Paris"}}', [("search", {"query": "Paris"})]),
        ('{"search": "Paris"}', [("search", {POSITIONAL: "Paris"})]),
        ('{"name": "look"}', [("look", {})]),
        ('I think {"search": "a"} and then {"open": 3}.', [("search", {POSITIONAL: "a"}), ("open", {POSITIONAL: 3})]),
        ('The set {1, 2} first. {"search": "a"}', [("search", {POSITIONAL: "a"})]),
        ('{"plan": 1, "step": 2} {"search": "a"}', [("search", {POSITIONAL: "a"})]),
    ],
)
def test_spellings(text, expected):
    assert calls(text) == expected
    assert calls(f"<tool_call>{text}</tool_call>") == expected


def test_only_tagged_calls_count_where_there_are_tags():
    assert calls('{"a": 1} <tool_call>{"b": 2}</tool_call> {"c": 3}') == [("b", {POSITIONAL: 2})]
    assert calls('<tool_call>{"b": 2}') == [("b", {POSITIONAL: 2})], "generation may stop before the end tag"
    assert calls('<tool_call>x</tool_call><tool_call>{"b": 2}</tool_call>') == ["broken", ("b", {POSITIONAL: 2})]


def test_thoughts_are_dropped():
    assert calls('<think>{"a": 1}</think>{"b": 2}') == [("b", {POSITIONAL: 2})]
    assert calls('{"b": 2}<think>{"a": 1}') == [("b", {POSITIONAL: 2})]
    assert calls('opened by the template {"a": 1}</think>{"b": 2}') == [("b", {POSITIONAL: 2})]
    assert calls("<think>" + "x" * (2 * MAX_CHARS) + '</think>{"b": 2}') == [("b", {POSITIONAL: 2})]
    assert "secret" not in str(parse_action("<think>secret</think>{"))


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<tool_call>", "</tool_call>", '{"a": 1}'])
def test_tags_inside_a_string_are_text(tag):
    text = json.dumps({"python": f"print({tag!r})"})
    assert calls(text) == [("python", {POSITIONAL: f"print({tag!r})"})]
    assert calls(f"<tool_call>{text}</tool_call>") == [("python", {POSITIONAL: f"print({tag!r})"})]


def test_no_part_of_an_unreadable_call_is_run():
    assert calls('{"name": "python", "arguments": {"submit": "x"}') == ["broken"]
    assert calls('{"python": {"submit": "x"}') == ["broken"]
    assert calls('{"python": "x = {}') == ["broken"]


def test_a_cut_off_call_is_reported_beside_a_good_one():
    assert calls('{"a": 1} {"b": "unfinished') == [("a", {POSITIONAL: 1}), "broken"]
    assert [call.id for call in parse_action('{"a": 1} {"b": "unfinished')] == ["0", "1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no call",
        "{}",
        "[]",
        '"x"',
        "<tool_call></tool_call>",
        "<tool_call>",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": -1e999}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"name": "a", "arguments": [1]}',
        '{"name": "a", "arguments": "{\\"x\\": \\"\\\\ud800\\"}"}',
        '{"a": ' * 100 + "1" + "}" * 100,
        '{"a": ' * 3000 + "1" + "}" * 3000,
        '{"a": ' + "9" * 10_000 + "}",
        '{"a": 9223372036854775808}',
        "x" * (MAX_CHARS + 1),
        '{"a": 1}' * (MAX_CALLS + 1),
    ],
)
def test_mistakes_come_back_as_one_broken_call(text):
    [call] = parse_action(text)
    assert call.parse_error
    assert len(call.parse_error) < 200


def test_only_strings_are_actions():
    with pytest.raises(TypeError, match="string"):
        parse_action(None)  # type: ignore[arg-type]


PIECES = ["<think>", "</think>", "<tool_call>", "</tool_call>", '{"a": 1}', '{"a"', "{", "}", '"', "\ud800", "\\", "x"]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_any_text_gives_storable_calls(text):
    found = parse_action(text)
    assert 1 <= len(found) <= MAX_CALLS
    for number, call in enumerate(found):
        assert call.id == str(number)
        json.loads(call.model_dump_json())


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1), st.dictionaries(st.text(), json_values, max_size=3), st.booleans())
def test_what_was_written_is_what_is_read(name, arguments, ascii_only):
    text = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=ascii_only)
    assert calls(text) == [(name, arguments)]
