"""What a driver of Chromium offers, and which one is used.

There are two. The pipe driver (:mod:`~thinkact.tools.browser.chromium`) speaks Chromium's protocol itself: nothing
stands between, and frames are made only when they are asked for. Playwright's
(:mod:`~thinkact.tools.browser.playwright_driver`) is the general one. Everything else here knows these protocols only,
and an episode shows the same with either.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, cast, get_args

from thinkact.tools.browser.chrome import flags, shell
from thinkact.tools.browser.types import BrowserFault

#: The environment variable that names the driver.
VARIABLE = "THINKACT_BROWSER_DRIVER"
Name = Literal["pipe", "playwright"]
Handler = Callable[[Any], Any]


class Emitter(Protocol):
    """Something that tells what happens to it; a handler may be a coroutine function."""

    def on(self, event: str, handler: Handler) -> None:
        """Call ``handler`` with every such event."""

    def remove_listener(self, event: str, handler: Handler) -> None:
        """Call it no more."""


class Session(Emitter, Protocol):
    """The DevTools protocol of one target: a page, or the browser itself; its events are the target's."""

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> asyncio.Future[dict[str, Any]]:
        """Send a command at once; what is sent one after another is carried out in this order.

        Returns:
            A future of the answer. It fails with :class:`~thinkact.tools.browser.cdp.ProtocolError` or
            :class:`~thinkact.tools.browser.cdp.TargetClosed`, as all that is asked of a driver does.
        """


class Mouse(Protocol):
    """The mouse of a page; points are in CSS pixels of its window."""

    async def move(self, x: float, y: float) -> None:
        """Move to a point."""

    async def click(self, x: float, y: float, *, click_count: int = 1) -> None:
        """Move to a point and click there, once or more often."""


class Keyboard(Protocol):
    """The keyboard of a page."""

    async def press(self, keys: str) -> None:
        """Press keys together, joined by ``+``: the last one while those before it, modifiers, are held."""

    async def type(self, text: str) -> None:
        """Type text key by key; what no key types is put in."""

    async def insert_text(self, text: str) -> None:
        """Put text in where the caret is, as an input method does: without keys."""


class Page(Emitter, Protocol):
    """A tab; tells of its ``close``, its ``crash`` and every ``download`` (which is refused)."""

    @property
    def session(self) -> Session:
        """What is said to it."""

    @property
    def mouse(self) -> Mouse:
        """Its mouse."""

    @property
    def keyboard(self) -> Keyboard:
        """Its keyboard."""

    @property
    def frames(self) -> object | None:
        """None where it draws by itself; otherwise a frame is made when :meth:`frame` or :meth:`drawing` asks."""

    def frame(self) -> None:
        """Let it have a frame, unless it gets them anyway."""

    def drawing(self) -> AbstractContextManager[None]:
        """Let it have frames as long as it is waited for."""

    async def screenshot(self) -> bytes:
        """Return the window as PNG."""

    def is_closed(self) -> bool:
        """Tell whether it is gone."""

    async def bring_to_front(self) -> None:
        """Make it the one that has the focus."""

    async def close(self) -> None:
        """Close it, without asking it, and wait until it is gone."""


class Dialog(Protocol):
    """What a page asks: its page waits until :meth:`accept` or :meth:`dismiss`."""

    @property
    def page(self) -> Page | None:
        """Who asks, where that is known."""

    @property
    def type(self) -> str:
        """``alert``, ``confirm``, ``prompt`` or ``beforeunload``."""

    @property
    def message(self) -> str:
        """What is asked."""

    @property
    def default_value(self) -> str:
        """What a prompt already holds."""

    async def accept(self, text: str = "") -> None:
        """Say yes, or give ``text``."""

    async def dismiss(self) -> None:
        """Say no."""


class Context(Emitter, Protocol):
    """A browser as if nobody had used it; tells of every ``page`` that is there and every ``dialog``."""

    @property
    def pages(self) -> Sequence[Page]:
        """Those that are there, in the order in which they came."""

    async def new_page(self) -> Page:
        """Open an empty page; ``page`` has been told of it by then."""

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies, as :meth:`add_cookies` takes them."""

    async def add_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        """Set cookies, each with a ``url`` or a ``domain`` and a ``path``."""

    async def clear_cookies(self) -> None:
        """Remove all cookies."""

    async def close(self) -> None:
        """Close its pages and forget all it held."""


class Browser(Emitter, Protocol):
    """A running Chromium; tells ``disconnected`` when it is gone."""

    @property
    def session(self) -> Session:
        """What is said to the browser itself."""

    def is_connected(self) -> bool:
        """Tell whether it is there."""

    async def new_context(self, width: int, height: int, script: str) -> Context:
        """Return a context that shares nothing with any other.

        Args:
            width: Of its pages' windows, in CSS pixels.
            height: Likewise.
            script: JavaScript that runs in every page before its own.
        """

    async def close(self) -> None:
        """End it, and wait until nothing is left of it."""


def chosen() -> Name:
    """Return the driver that ``THINKACT_BROWSER_DRIVER`` names: the pipe where it names none.

    Raises:
        BrowserFault: There is no such driver, or it is not installed.
    """
    name = os.environ.get(VARIABLE) or "pipe"
    if name not in get_args(Name):
        raise BrowserFault(f"{VARIABLE} is {name!r}; it must be one of {', '.join(get_args(Name))}, or not be set.")
    if name == "playwright" and importlib.util.find_spec("playwright") is None:
        raise BrowserFault(f"{VARIABLE} is 'playwright', which is not installed: pip install 'thinkact[browser]'.")
    return cast(Name, name)


async def launch(name: Name, program: str, port: int, *, headful: bool) -> Browser:
    """Start Chromium, by the driver of this name.

    Args:
        name: Of the driver.
        program: What to run.
        port: Of the server on loopback that answers all pages.
        headful: With a window.

    Raises:
        Exception: It does not start.
    """
    if name == "playwright":
        from thinkact.tools.browser.playwright_driver import Browser as ByPlaywright

        return await ByPlaywright.launch(program, flags(port, headful=headful), headful=headful)
    from thinkact.tools.browser.chromium import Browser as ByPipe

    frames = not headful and shell(program)
    return await ByPipe.launch([program, *flags(port, headful=headful, frames=frames)], frames=frames)
