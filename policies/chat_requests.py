"""A chat completion request: what of it is understood, and what is refused rather than passed over.

The fields are those of OpenAI's API (https://platform.openai.com/docs/api-reference/chat/create). One that would change
the answer and is not known here is refused by name; one that would not is let pass.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class BadRequest(ValueError):
    """The request cannot be answered; ``code`` is OpenAI's word for it, ``param`` the field that is to blame."""

    def __init__(self, message: str, code: str = "invalid_request_error", param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Function(_Lenient):
    name: str
    arguments: str | dict[str, Any] = "{}"


class _MadeCall(_Lenient):
    function: _Function


class _Part(_Lenient):
    type: Literal["text"]
    text: str


class Said(_Lenient):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_MadeCall] | None = None

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    def plain(self) -> list[Any]:
        """Return what makes a conversation another one; ids of calls and the spelling of their JSON do not."""
        calls = [[call.function.name, _arguments(call.function)] for call in self.tool_calls or ()]
        return ["" if calls else self.text, calls]

    def written(self) -> str:
        """Return it as a model would have written it."""
        calls = [{"name": call.function.name, "arguments": _arguments(call.function)} for call in self.tool_calls or ()]
        return "\n".join(json.dumps(call, ensure_ascii=False) for call in calls) or self.text


class _StreamOptions(_Lenient):
    include_usage: bool = False


#: Fields that would change the answer, with the values that change nothing.
_UNKNOWN: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logit_bias": ({}, None),
    "response_format": ({"type": "text"}, None),
    "modalities": (["text"], None),
    "functions": ([], None),
    "prediction": (None,),
    "audio": (None,),
}


class _ChosenName(_Lenient):
    name: str


class _ChosenFunction(_Lenient):
    type: Literal["function"]
    function: _ChosenName


class ChatRequest(_Lenient):
    """What of a chat completion request is understood.

    ``return_token_ids`` is vLLM's: the answer then carries ``prompt_token_ids`` and ``token_ids``.
    """

    messages: Annotated[list[Said], Field(min_length=1, max_length=10_000)]
    model: str = ""
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none", "required"] | _ChosenFunction = "auto"
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1, le=128)] = 1
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)] = []
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    return_token_ids: bool = False

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        # null means the default, and that is how some clients write it.
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_passed_over(cls, data: Any) -> Any:
        for name, harmless in _UNKNOWN.items():
            if isinstance(data, dict) and data.get(name) not in harmless:
                raise ValueError(f"{name} is not supported here; leave it out")
        return data

    @model_validator(mode="after")
    def _fields_go_together(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs wants logprobs to be true")
        return self

    @property
    def called(self) -> tuple[str, ...]:
        """The tools of which one has to be called; none where that is the model's choice.

        Raises:
            BadRequest: There is no such tool.
        """
        names = tuple(str(tool["function"]["name"]) for tool in self.shown_tools)
        if self.tool_choice in ("auto", "none"):
            return ()
        if isinstance(self.tool_choice, _ChosenFunction):
            names = tuple(name for name in names if name == self.tool_choice.function.name)
        if not names:
            raise BadRequest("tool_choice wants a call, and there is no such tool among tools.", param="tool_choice")
        return names

    @property
    def shown_tools(self) -> list[dict[str, Any]]:
        """The tools that the model is told of."""
        return [] if self.tool_choice == "none" else self.tools or []


def digest(before: str, text: str) -> str:
    """Return the key of a conversation that goes on with ``text``."""
    return hashlib.blake2b(f"{before}\n{text}".encode(errors="replace"), digest_size=20).hexdigest()


def _arguments(function: _Function) -> Any:
    if isinstance(function.arguments, dict):
        return function.arguments
    try:
        return json.loads(function.arguments or "{}")
    except (ValueError, RecursionError):
        return function.arguments
