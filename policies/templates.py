"""``TemplateCodec``: a model's own chat template, rendered once per turn instead of anew each time.

A template is a program, so nothing is assumed of it. It renders one conversation whose contents are unlike anything
else; what stands between them are the frame's pieces, and a turn costs two pieces and one content. Then it is
*proved*: conversations with quotes, braces, blank lines and markers of the frame itself are encoded both ways, and a
template whose own rendering has other ids than the pieces is refused, with the first place where they part.

What a model sampled stays the ids it sampled, thoughts included, also where a template would strip the thoughts of
earlier turns: token in, token out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, Protocol

from jinja2.exceptions import TemplateError

from thinkact.policies.codec import END, START, ChatCodec, system_prompt, thought_end

log = logging.getLogger(__name__)

#: Some templates print today's date; the same episode must have the same ids tomorrow.
_DATE = "01 Jan 2025"
_MARK = "zqx{}qxz"
_PROBES = (
    'plain words, "quoted" and {"a": [1, 2]}',
    "two\n\nlines\tand a tab",
    "<b>tags</b> & entities &amp; ünï çødé 東京",
    "- a list\n- of two",
)


class Codec(Protocol):
    """Text to ids and back, a turn at a time."""

    end_id: int

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end the model's turn; ``end_id`` is the one that the frame expects."""
        ...

    @property
    def thought_end(self) -> list[int]:
        """Ids that close a thought which its model did not close."""
        ...

    def opening(self, tools: Sequence[dict[str, Any]], prompt: str, *, system: str = "") -> list[int]:
        """Return the ids of a conversation's start up to the model's first word."""
        ...

    def observation(self, text: str, *, turn_closed: bool) -> list[int]:
        """Return the ids between one sampled action and the next."""
        ...

    def user(self, text: str) -> list[int]:
        """Return the ids between a whole action and the next where a user speaks again."""
        ...

    def action(self, text: str) -> list[int]:
        """Return the ids of an action that was not sampled, end included."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of sampled ids without the end."""
        ...


class TemplateRefused(ValueError):
    """The tokenizer's chat template cannot be rendered a turn at a time; the message says where it parts."""


class TemplateCodec:
    """Renders conversations with the tokenizer's own chat template, tools included where it knows tools.

    Args:
        tokenizer: A Hugging Face tokenizer with a ``chat_template``.

    Raises:
        TemplateRefused: There is no template, or its rendering is not the sum of its turns.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise TemplateRefused("the tokenizer has no chat template; name a model that was trained to chat.")
        self._tokenizer = tokenizer
        named = tokenizer.chat_template
        self._template = str((named.get("tool_use") or named.get("default")) if isinstance(named, dict) else named)
        if "strftime_now" in self._template:
            self._template = f"{{% macro strftime_now(format) %}}{_DATE}{{% endmacro %}}{self._template}"
        self.knows_tools = self._shows_tools()
        self._system = self._takes_system()
        reasons = []
        for self._tool_role in ("tool", "user"):
            try:
                self._frames = {role: self._find_frame(role) for role in {self._tool_role, "user"}}
                self._prove()
                break
            except TemplateRefused as reason:
                reasons.append(f"tool results as {self._tool_role!r}: {reason}")
        else:
            raise TemplateRefused("; ".join(reasons))

    # What a policy asks for.

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The end of a turn, and the end of a text."""
        eos = self._tokenizer.eos_token_id
        return (self.end_id,) if eos is None or eos == self.end_id else (self.end_id, int(eos))

    @property
    def thought_end(self) -> list[int]:
        """Ids that close a thought which its model did not close."""
        return thought_end(self._tokenizer)

    def opening(self, tools: Sequence[dict[str, Any]], prompt: str, *, system: str = "") -> list[int]:
        """Return the ids of a conversation's start up to the model's first word.

        Args:
            tools: Their schemas, shown as the template shows them, or in a line of ours where it knows none.
            prompt: The first user message.
            system: A system message; it opens the user's where the template takes none.
        """
        before, after = self._around_prompt(tools, system)
        return [*self._ids(before), *self._content(prompt), *self._ids(after)]

    def observation(self, text: str, *, turn_closed: bool) -> list[int]:
        """Return the ids between one sampled action and the next.

        Args:
            text: The tool results.
            turn_closed: Whether the model ended its turn itself; otherwise the end is put here, with mask 0.
        """
        before, after = self._frames[self._tool_role]
        close = [] if turn_closed else [self.end_id]
        return [*close, *before, *self._content(text), *after]

    def user(self, text: str) -> list[int]:
        """Return the ids between a whole action and the next where a user speaks again."""
        before, after = self._frames["user"]
        return [*before, *self._content(text), *after]

    def action(self, text: str) -> list[int]:
        """Return the ids of an action that was not sampled, as imitation data, end token included."""
        return [*self._plain(text), self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of sampled ids without the token that ended them."""
        ids = list(ids)
        if ids and ids[-1] in self.stop_ids:
            ids.pop()
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    # Finding the frame.

    def _render(self, messages: list[dict[str, str]], tools: Sequence[dict[str, Any]], *, prompt: bool = True) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    tools=list(tools) or None,
                    tokenize=False,
                    add_generation_prompt=prompt,
                    chat_template=self._template,
                    date_string=_DATE,
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise TemplateRefused(f"the template does not take it: {error}") from error

    def _shows_tools(self) -> bool:
        tool = {
            "type": "function",
            "function": {
                "name": _MARK.format("tool"),
                "description": "d",
                "parameters": {"type": "object", "properties": {}},
            },
        }
        try:
            return _MARK.format("tool") in self._render([{"role": "user", "content": "q"}], [tool])
        except TemplateRefused:
            return False

    def _takes_system(self) -> bool:
        mark = _MARK.format("system")
        try:
            return mark in self._render([{"role": "system", "content": mark}, {"role": "user", "content": "q"}], [])
        except TemplateRefused:
            return False

    def _start(
        self, tools: Sequence[dict[str, Any]], prompt: str, system: str = ""
    ) -> tuple[list[dict[str, str]], Sequence[Any]]:
        """Return the first messages and the tools that the template itself is to show."""
        ours = system_prompt(tools) if tools and not self.knows_tools else ""
        told = "\n".join(part for part in (system, ours) if part)
        shown = tools if self.knows_tools else []
        if told and not self._system:
            return [{"role": "user", "content": f"{told}\n\n{prompt}"}], shown
        start = [{"role": "system", "content": told}] if told else []
        return [*start, {"role": "user", "content": prompt}], shown

    def _around_prompt(self, tools: Sequence[dict[str, Any]], system: str) -> tuple[str, str]:
        mark = _MARK.format("prompt")
        messages, shown = self._start(tools, mark, system)
        before, after = self._parts(self._render(messages, shown), mark)
        return before, after

    def _find_frame(self, role: str) -> tuple[list[int], list[int]]:
        """Return the pieces before and after the content that follows an action, as ids."""
        marks = [_MARK.format(name) for name in ("p", "a", "t", "b", "u")]
        roles = ("user", "assistant", role, "assistant", role)
        talk = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        _, _, between, reopened, again, after = self._parts(self._render(talk, []), *marks)
        if between != again:
            raise TemplateRefused(f"two actions are closed in different ways, {between!r} and {again!r}")
        if reopened != after:
            raise TemplateRefused(f"an answer is opened in different ways, {reopened!r} and {after!r}")
        ids = self._ids(between)
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        if not ids or ids[0] not in special:
            raise TemplateRefused(f"an action is not ended by a token of its own but by {between[:20]!r}")
        self.end_id = int(ids[0])
        return ids[1:], self._ids(after)

    @staticmethod
    def _parts(text: str, *marks: str) -> list[str]:
        """Split a rendering at its contents, each of which has to be there once, in order."""
        parts = []
        for mark in marks:
            before, found, text = text.partition(mark)
            if not found or mark in text:
                raise TemplateRefused(f"the template drops, repeats or moves the content {mark!r}")
            parts.append(before)
        return [*parts, text]

    # The proof.

    def _prove(self) -> None:
        """Compare with the template's own rendering, after every turn of conversations that try to trip it."""
        tools = [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Look it up.",
                    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
                },
            }
        ]
        for role, (at, probe) in product(self._frames, enumerate(_PROBES)):
            messages, shown = self._start(tools, probe)
            ids = self.opening(tools, probe)
            self._same(ids, messages, shown)
            for turn in range(3):
                call = json.dumps({"name": "look", "arguments": {"what": _PROBES[(at + turn) % len(_PROBES)]}})
                result = _PROBES[(at + turn + 1) % len(_PROBES)]
                before, after = self._frames[role]
                ids += [*self.action(call), *before, *self._content(result), *after]
                messages = [*messages, {"role": "assistant", "content": call}, {"role": role, "content": result}]
                self._same(ids, messages, shown)

    def _same(self, ids: list[int], messages: list[dict[str, str]], tools: Sequence[dict[str, Any]]) -> None:
        text = self._render(messages, tools)
        wanted = self._ids(text)
        if ids == wanted:
            return
        at = next((i for i, (a, b) in enumerate(zip(ids, wanted, strict=False)) if a != b), min(len(ids), len(wanted)))
        ours, theirs = (self._tokenizer.decode(part[max(0, at - 3) : at + 5]) for part in (ids, wanted))
        raise TemplateRefused(f"turn by turn it reads {ours!r} where the whole reads {theirs!r}, at token {at}")

    # Text.

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _content(self, text: str) -> list[int]:
        """Encode what a frame stands around; white space at its ends would melt into the frame's tokens."""
        return self._plain(text.strip())

    def _plain(self, text: str) -> list[int]:
        """Encode text in which markers are only characters: a page cannot forge a turn."""
        return list(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def codec_for(tokenizer: Any, kind: Literal["auto", "chatml", "template"] = "auto") -> Codec:
    """Return the codec of a tokenizer.

    Args:
        tokenizer: A Hugging Face tokenizer.
        kind: ``"chatml"`` frames with ``<|im_start|>`` and describes the tools in one short line, which suits models
            that learn to act here; ``"template"`` is the model's own template. ``"auto"`` takes the template where it
            shows tools, or where the ChatML markers are missing; one that is refused is logged, and ChatML is taken.

    Raises:
        TemplateRefused: Neither fits, or the template cannot be rendered turn by turn; it says why.
        ValueError: ``"chatml"`` was asked for and the tokenizer lacks its tokens.
    """
    if kind not in ("auto", "chatml", "template"):
        raise ValueError(f"codec must be 'auto', 'chatml' or 'template', not {kind!r}.")
    has_markers = all(len(tokenizer.encode(mark, add_special_tokens=False)) == 1 for mark in (START, END))
    if kind == "chatml" or (kind == "auto" and not getattr(tokenizer, "chat_template", None)):
        return ChatCodec(tokenizer)
    if kind == "template":
        return TemplateCodec(tokenizer)
    try:
        found = TemplateCodec(tokenizer)
    except TemplateRefused as reason:
        if not has_markers:
            raise
        log.warning("conversations are framed with ChatML; the model's own template was refused: %s", reason)
        return ChatCodec(tokenizer)
    return found if found.knows_tools or not has_markers else ChatCodec(tokenizer)
