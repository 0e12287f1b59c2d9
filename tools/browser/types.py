"""What the browser's parts and their users share: options, faults, mistakes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from thinkact.tools.base import ErrorKind

#: An ASGI 3 application, as the specification has it.
ASGIApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]

#: Hosts that a site may have. ``test`` is reserved for this (RFC 6761), so no name ever leaves the machine.
HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?\.){1,3}test")


class BrowserFault(RuntimeError):
    """Our infrastructure failed: the browser did not start, died, or hung beyond every deadline; or a site failed."""


class BrowserDied(BrowserFault):
    """The browser itself is gone; the next :meth:`BrowserHandle.start` has another."""


class NotExact(RuntimeError):
    """A state could not be brought back exactly; do again what led to it."""


class PageMistake(Exception):
    """Something that the agent asked for cannot be done; the page is unchanged.

    Attributes:
        kind: What :class:`thinkact.tools.ToolResult` says of it.
    """

    def __init__(self, message: str, kind: ErrorKind = "tool_error") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class BrowserOptions:
    """How an environment's browser behaves; one object holds for the life of a :class:`BrowserHandle`.

    Attributes:
        width: Width of the viewport in CSS pixels.
        height: Its height.
        page_chars: Characters of page text in one observation; what is longer is read page by page.
        action_timeout: Seconds that a page gets to settle after an action; what it has not done then is not waited
            for, and the observation says so.
        site_timeout: Seconds after which a request that a site has not answered is a fault of ours.
        dialogs: What becomes of alert, confirm and prompt; each is told in the observation. A prompt is accepted
            with its default text.
        observation: ``"diff"`` shows what changed since the observation before, where the page is still the same.
        refs: Which elements can be acted on: ``"controls"`` (what assistive technology would offer, and what shows a
            pointer), or ``"all"`` (also every element that holds text or a drawing itself: for pages that listen to
            clicks anywhere).
        max_tabs: Tabs that may be open at once; a page that opens more is refused.
        headful: Show a window; needs a display and a full Chromium.

    Raises:
        ValueError: A value that means nothing.
    """

    width: int = 1280
    height: int = 720
    page_chars: int = 6000
    action_timeout: float = 10.0
    site_timeout: float = 30.0
    dialogs: Literal["accept", "dismiss"] = "accept"
    observation: Literal["full", "diff"] = "full"
    refs: Literal["controls", "all"] = "controls"
    max_tabs: int = 5
    headful: bool = False

    def __post_init__(self) -> None:
        if not (64 <= self.width <= 4096 and 64 <= self.height <= 4096):
            raise ValueError(f"a viewport of {self.width} x {self.height}: each side must be 64 to 4096 pixels.")
        if self.page_chars < 200:
            raise ValueError(f"page_chars must be 200 or more, not {self.page_chars}.")
        if not 0 < self.action_timeout <= self.site_timeout:
            raise ValueError("action_timeout must be above 0 and not above site_timeout.")
        if self.max_tabs < 1:
            raise ValueError("max_tabs must be 1 or more.")
        for name, known in (("dialogs", "accept dismiss"), ("observation", "full diff"), ("refs", "controls all")):
            if getattr(self, name) not in known.split():
                raise ValueError(f"{name} must be one of {known.split()}, not {getattr(self, name)!r}.")
