"""The calls with which an agent works a browser."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from thinkact.tools.base import Tool, ToolContext, ToolResult
from thinkact.tools.browser.handle import BrowserHandle

Ref = Annotated[
    str, Field(description="The element, as the page shows it: e12.", max_length=12, examples=["e1", "e2", "e3", "e9"])
]


class _Arguments(BaseModel):
    model_config = {"extra": "forbid", "coerce_numbers_to_str": True}


class Click(_Arguments):
    """Arguments of ``click``."""

    ref: Ref
    double: bool = Field(default=False, description="Click twice.")


class Fill(_Arguments):
    """Arguments of ``fill``."""

    ref: Ref
    text: str = Field(description="What the field shall hold instead.", max_length=10_000)
    submit: bool = Field(default=False, description="Press Enter afterwards.")


class Select(_Arguments):
    """Arguments of ``select``."""

    ref: Ref
    option: str = Field(description="The option, as it is shown.", max_length=500)


class Check(_Arguments):
    """Arguments of ``check``."""

    ref: Ref
    checked: bool = Field(default=True, description="The state that the box shall have.")


class Press(_Arguments):
    """Arguments of ``press``."""

    key: str = Field(
        description="Enter, Tab, Escape, ArrowDown, a, Control+a …",
        max_length=40,
        examples=["Enter", "Tab", "Escape", "ArrowDown", "a"],
    )


class Scroll(_Arguments):
    """Arguments of ``scroll``."""

    direction: Literal["down", "up", "right", "left", "bottom", "top"] = "down"
    ref: str = Field(
        default="", description="An element to scroll in; otherwise the page.", max_length=12, examples=[""]
    )


class Hover(_Arguments):
    """Arguments of ``hover``."""

    ref: Ref


class Back(_Arguments):
    """Arguments of ``back``: none."""


class Goto(_Arguments):
    """Arguments of ``goto``."""

    url: str = Field(description="An address, or a path on this site.", max_length=2000)


class OpenTab(_Arguments):
    """Arguments of ``open_tab``."""

    url: str = Field(description="An address, or a path on this site.", max_length=2000)


class Tab(_Arguments):
    """Arguments of ``switch_tab`` and ``close_tab``."""

    n: int = Field(description="The tab's number, from 1.", ge=1, le=99)


class WaitFor(_Arguments):
    """Arguments of ``wait_for``."""

    text: str = Field(description="Text that the page is going to show.", min_length=1, max_length=500)


class PageNumber(_Arguments):
    """Arguments of ``page``."""

    n: int = Field(default=1, description="Which part of a long page, from 1.", ge=1, le=999)


class ClickAt(_Arguments):
    """Arguments of ``click_at``."""

    x: float = Field(description="Pixels from the left.", ge=0, le=4096)
    y: float = Field(description="Pixels from the top.", ge=0, le=4096)
    double: bool = Field(default=False, description="Click twice.")


class BrowserTool:
    """One call of a browser; all that are made together share one :class:`BrowserHandle`.

    The handle's state is not theirs: an environment takes and restores it with :meth:`BrowserHandle.snapshot`,
    after it has put back what the sites hold.
    """

    terminal = False

    def __init__(self, handle: BrowserHandle, name: str, arguments: type[BaseModel], description: str) -> None:
        self.handle = handle
        self.name = name
        self.Arguments: type[BaseModel] = arguments
        self.description = description

    def run(self, args: Any, ctx: ToolContext) -> ToolResult:
        """Do it, and return the page once it has settled; a mistake leaves the page unchanged.

        Raises:
            BrowserFault: The browser is gone, or a site failed.
        """
        text, kind = self.handle.act(self.name, args.model_dump())
        return ToolResult(call_id=ctx.call_id, content=text, error_kind=kind)

    def snapshot(self) -> None:
        """Return nothing: the handle has the state."""

    def restore(self, state: None) -> None:
        """Nothing to put back here."""

    def close(self) -> None:
        """Give the handle's context back."""
        self.handle.close()


_CALLS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("click", Click, "Click an element."),
    ("fill", Fill, "Replace the text of a field."),
    ("select", Select, "Choose an option of a combobox or listbox."),
    ("check", Check, "Set a checkbox, radio button or switch."),
    ("press", Press, "Press a key or a combination of keys."),
    ("scroll", Scroll, "Scroll; needed only where more is loaded by scrolling."),
    ("hover", Hover, "Move the mouse over an element."),
    ("back", Back, "Go back to the page before."),
    ("goto", Goto, "Open an address."),
    ("open_tab", OpenTab, "Open an address in a new tab."),
    ("switch_tab", Tab, "Go to another tab."),
    ("close_tab", Tab, "Close a tab."),
    ("wait_for", WaitFor, "Wait until the page shows a text."),
    ("page", PageNumber, "Show the page again, or another part of a long one."),
)
_PIXELS = (("click_at", ClickAt, "Click at a point of the screenshot."),)


def browser_tools(handle: BrowserHandle, *, pixels: bool = False) -> list[Tool]:
    """Return the calls for a browser.

    Args:
        handle: The browser; environments keep it and start it for every episode.
        pixels: Also ``click_at``, for agents that see screenshots.

    Returns:
        ``click``, ``fill``, ``select``, ``check``, ``press``, ``scroll``, ``hover``, ``back``, ``goto``, ``open_tab``,
        ``switch_tab``, ``close_tab``, ``wait_for`` and ``page``. Each returns the page as text after it has settled.
    """
    return [BrowserTool(handle, *call) for call in (*_CALLS, *(_PIXELS if pixels else ()))]
