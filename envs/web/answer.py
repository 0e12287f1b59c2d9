"""``answer``: say that the work is done, what was asked for, or that it cannot be done; ends the episode."""

from __future__ import annotations

from pydantic import BaseModel, Field

from thinkact.tools import ToolContext, ToolResult


class AnswerArguments(BaseModel):
    """Arguments of ``answer``."""

    text: str = Field(default="", description="What was asked for, and nothing else; empty if nothing.", max_length=500)
    impossible: bool = Field(default=False, description="Whether the task cannot be done.")

    model_config = {"extra": "forbid", "coerce_numbers_to_str": True}


class AnswerTool:
    """Keeps what the agent said in the end.

    Attributes:
        given: Text and claim, or None as long as nothing was said.
    """

    name = "answer"
    description = "Say that the task is done, with the answer if one was asked for. Ends the episode."
    Arguments: type[BaseModel] = AnswerArguments
    terminal = True

    def __init__(self) -> None:
        self.given: tuple[str, bool] | None = None

    def run(self, args: AnswerArguments, ctx: ToolContext) -> ToolResult:
        """Keep it."""
        self.given = (args.text.strip(), args.impossible)
        return ToolResult(call_id=ctx.call_id, content="The task is over.")

    def snapshot(self) -> tuple[str, bool] | None:
        """Return what was said."""
        return self.given

    def restore(self, state: tuple[str, bool] | None) -> None:
        """Put back what :meth:`snapshot` returned."""
        self.given = state

    def close(self) -> None:
        """Nothing is held."""
