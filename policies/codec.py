"""Text to token ids and back, once per turn: token in, token out, never re-tokenised.

A conversation is rendered as ChatML. Only the new messages are encoded at each turn; what the model sampled
stays the ids it sampled. Message text is encoded with special tokens *off*, so a page that contains the
characters ``<|im_end|>`` cannot forge a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from thinkact.envs import Message

START, END = "<|im_start|>", "<|im_end|>"
#: Tool output is given as a user message: the models at hand were pretrained on user/assistant turns.
_ROLES = {"user": "user", "tool": "user"}


class TokenizerLike(Protocol):
    """The part of a Hugging Face tokenizer that the codec uses."""

    def encode(self, text: str, **options: Any) -> list[int]:
        """Return token ids."""
        ...

    def decode(self, token_ids: list[int], **options: Any) -> Any:
        """Return text (transformers says: or a list of texts, for a list of lists)."""
        ...


def system_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """Say in one line which tools there are and how a call is written."""
    calls = []
    for tool in tools:
        function = tool["function"]
        first = next(iter(function["parameters"].get("properties", {})), "")
        calls.append(f'{{"{function["name"]}": {first}}}')
    choice = " or ".join(part for part in (", ".join(calls[:-1]), calls[-1]) if part)
    return f"Reply with one JSON tool call: {choice}."


class ChatCodec:
    """Renders conversations for one tokenizer.

    Raises:
        ValueError: When the tokenizer lacks the ChatML tokens.
    """

    def __init__(self, tokenizer: TokenizerLike) -> None:
        self._tokenizer = tokenizer
        self.start_id = self._special(START)
        self.end_id = self._special(END)
        self._newline = self._text("\n")
        self._open = {role: [self.start_id, *self._text(f"{role}\n")] for role in ("system", "user", "assistant")}

    def _special(self, token: str) -> int:
        ids = self._tokenizer.encode(token, add_special_tokens=False)
        if len(ids) != 1:
            raise ValueError(
                f"The tokenizer has no single token {token}; thinkact renders ChatML and needs a model with "
                "it, such as smollm2-135m or a Qwen instruct model."
            )
        return ids[0]

    def _text(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end the model's turn."""
        return (self.end_id,)

    @property
    def thought_end(self) -> list[int]:
        """Ids that close a thought which its model did not close; see :func:`in_thought`."""
        return thought_end(self._tokenizer)

    def opening(self, tools: Sequence[dict[str, Any]], prompt: str, *, system: str = "") -> list[int]:
        """Return the ids of a conversation's start up to the model's first word.

        Args:
            tools: Their schemas; what they are called is put behind ``system``.
            prompt: The first user message.
            system: What else the system message says.
        """
        told = "\n".join(part for part in (system, system_prompt(tools) if tools else "") if part)
        start = [*self._open["system"], *self._text(told), self.end_id, *self._newline] if told else []
        return [*start, *self._message(Message("user", prompt)), *self._open["assistant"]]

    def observation(self, text: str, *, turn_closed: bool) -> list[int]:
        """Return the ids between one sampled action and the next.

        Args:
            text: The tool results.
            turn_closed: Whether the model itself ended its turn with the end token; otherwise (it ran into
                its token limit) the end is put here, with mask 0.
        """
        close = [] if turn_closed else [self.end_id]
        return [*close, *self._newline, *self._message(Message("tool", text)), *self._open["assistant"]]

    def user(self, text: str) -> list[int]:
        """Return the ids between a whole action and the next where a user speaks again."""
        return self.observation(text, turn_closed=True)

    def action(self, text: str) -> list[int]:
        """Return the ids of an action that was not sampled, as imitation data, end token included."""
        return [*self._text(text), self.end_id]

    def _message(self, message: Message) -> list[int]:
        return [*self._open[_ROLES[message.role]], *self._text(message.content), self.end_id, *self._newline]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of sampled ids without the end token."""
        ids = list(ids)
        if ids and ids[-1] == self.end_id:
            ids.pop()
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))


def thought_end(tokenizer: TokenizerLike) -> list[int]:
    """Return the ids of ``</think>`` on a line of its own, one token of them where the tokenizer has such a one."""
    return tokenizer.encode("\n</think>\n\n", add_special_tokens=False)


def in_thought(text: str) -> bool:
    """Tell whether the beginning of a turn is all thought, as :func:`split_thought` would read it."""
    if "</think>" in text:
        return False
    if text.lstrip().startswith("<think>"):
        return True  # a brace in it is no call
    return "{" not in text and "<tool_call>" not in text


def split_thought(text: str) -> tuple[str, str]:
    """Split a model's text into its thought and its action.

    The thought is a ``<think>`` block, or whatever stands before the first call.
    """
    if "</think>" in text and not text.lstrip().startswith(("{", "<tool_call>")):
        # The template may have opened the block in the prompt. Where the text opens with a call instead, the
        # tag can only stand inside its arguments.
        thought, _, action = text.partition("</think>")
        return thought.replace("<think>", "").strip(), action.strip()
    starts = [at for at in (text.find("{"), text.find("<tool_call>")) if at >= 0]
    if not starts:
        return "", text.strip()
    return text[: min(starts)].strip(), text[min(starts) :].strip()
