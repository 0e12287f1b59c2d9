"""``submit``: hand in the answer and end the episode."""

from __future__ import annotations

from pydantic import BaseModel, Field

from thinkact.tools.base import ToolContext, ToolResult

#: Longer answers are refused: listing every candidate is not an answer.
MAX_ANSWER = 200


class SubmitArguments(BaseModel):
    """Arguments of ``submit``."""

    answer: str = Field(description="The answer, and nothing else.", max_length=MAX_ANSWER)

    model_config = {"extra": "forbid", "coerce_numbers_to_str": True}


class SubmitTool:
    """Keeps the one submitted answer for the verifier."""

    name = "submit"
    description = "Give the final answer. Ends the episode."
    Arguments: type[BaseModel] = SubmitArguments
    terminal = True

    def __init__(self) -> None:
        self.answer: str | None = None

    def reset(self) -> None:
        """Forget the answer of the previous episode."""
        self.answer = None

    def run(self, args: SubmitArguments, ctx: ToolContext) -> ToolResult:
        """Keep the answer; an empty one is a mistake that the model is told about."""
        answer = args.answer.strip()
        if not answer:
            return ToolResult(
                call_id=ctx.call_id, content="Error: the answer is empty.", error_kind="invalid_arguments"
            )
        self.answer = answer
        return ToolResult(call_id=ctx.call_id, content="Submitted.")

    def snapshot(self) -> str | None:
        """Return the answer so far."""
        return self.answer

    def restore(self, state: str | None) -> None:
        """Put back an answer."""
        self.answer = state

    def close(self) -> None:
        """Nothing is held."""
