"""Chromium through Playwright: its driver's process, its mouse and keyboard, its way with every build there is.

Playwright (https://playwright.dev/python/) sets contexts and pages up; what :class:`~thinkact.tools.browser.tab.Tab`
asks beyond that goes through a DevTools session of its own to every page. Pages draw by themselves.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from playwright import async_api

from thinkact.tools.browser.cdp import Emitter, ProtocolError, TargetClosed

#: Seconds for Playwright and for Chromium to answer for the first time.
START = 60.0
#: How Playwright says that something is no more.
_CLOSED = ("has been closed", "Target closed", "crashed", "Connection closed")
#: Put by Playwright before what Chromium said.
_SAID = re.compile(r"^.*?Protocol error \([\w.]+\): ", re.DOTALL)
#: What a cookie is made of, for one to be set again.
_COOKIE = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite")


def _meant(error: BaseException) -> Exception:
    """Return what an error of Playwright's means."""
    text = str(error)
    if isinstance(error, async_api.Error) and not any(words in text for words in _CLOSED):
        return ProtocolError(_SAID.sub("", text))
    return TargetClosed(text)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except async_api.Error as error:
        raise _meant(error) from error


class Session(Emitter):
    """What is said to one target, and what it says: the browser itself, or a page."""

    def __init__(self, cdp: async_api.CDPSession) -> None:
        super().__init__()
        self._cdp = cdp
        self._heard: set[str] = set()
        self._waiting: set[asyncio.Future[dict[str, Any]]] = set()
        self._over = ""

    def on(self, event: str, handler: Any) -> None:
        """Call ``handler`` with the parameters of every such event."""
        if event not in self._heard:
            self._heard.add(event)

            def happened(params: Any) -> None:
                self.emit(event, params or {})

            self._cdp.on(event, happened)
        super().on(event, handler)

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> asyncio.Future[dict[str, Any]]:
        """Send a command; what is sent one after another is carried out in this order.

        Returns:
            A future of the answer. It fails with :class:`ProtocolError` or :class:`TargetClosed`.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._over:
            future.set_exception(TargetClosed(self._over))
            return future
        self._waiting.add(future)
        sent = asyncio.ensure_future(self._cdp.send(method, dict(params or {})))
        sent.add_done_callback(partial(self._answered, future))
        return future

    def end(self, why: str) -> None:
        """Fail what is not answered, and all that will be sent: Playwright says nothing to either after a crash."""
        self._over = self._over or why
        for future in self._waiting:
            if not future.done():
                future.set_exception(TargetClosed(why))
        self._waiting.clear()

    def _answered(self, future: asyncio.Future[dict[str, Any]], sent: asyncio.Future[Any]) -> None:
        self._waiting.discard(future)
        error = asyncio.CancelledError("the browser is gone.") if sent.cancelled() else sent.exception()
        if not future.done():
            if error is not None:
                future.set_exception(_meant(error))
            else:
                future.set_result(sent.result() or {})


class Mouse:
    """The mouse of a page."""

    def __init__(self, mouse: async_api.Mouse) -> None:
        self._mouse = mouse

    async def move(self, x: float, y: float) -> None:
        """Move to a point, in CSS pixels of the window."""
        with _translated():
            await self._mouse.move(x, y)

    async def click(self, x: float, y: float, *, click_count: int = 1) -> None:
        """Move to a point and click there, once or more often."""
        with _translated():
            await self._mouse.click(x, y, click_count=click_count)


class Keyboard:
    """The keyboard of a page."""

    def __init__(self, keyboard: async_api.Keyboard) -> None:
        self._keyboard = keyboard

    async def press(self, keys: str) -> None:
        """Press keys together, joined by ``+``: the last one while those before it, modifiers, are held."""
        with _translated():
            await self._keyboard.press(keys)

    async def type(self, text: str) -> None:
        """Type text key by key; what no key types is put in."""
        with _translated():
            await self._keyboard.type(text)

    async def insert_text(self, text: str) -> None:
        """Put text in where the caret is, as an input method does: without keys."""
        with _translated():
            await self._keyboard.insert_text(text)


class Page(Emitter):
    """A tab; tells of its ``close``, its ``crash`` and every ``download`` (which is refused)."""

    #: Set by :meth:`begin`.
    session: Session

    def __init__(self, page: async_api.Page) -> None:
        super().__init__()
        self._page = page
        self.mouse = Mouse(page.mouse)
        self.keyboard = Keyboard(page.keyboard)
        #: It draws by itself.
        self.frames = None
        page.on("close", lambda _: self._ended("close", "the page has been closed."))
        page.on("crash", lambda _: self._ended("crash", "the page has crashed."))
        page.on("download", self._on_download)

    async def begin(self) -> None:
        """Open a session to it.

        Raises:
            TargetClosed: It is gone already.
        """
        with _translated():
            self.session = Session(await self._page.context.new_cdp_session(self._page))
        await self.session.send("Page.enable")
        if self.is_closed():
            raise TargetClosed("the page has been closed.")

    def frame(self) -> None:
        """It gets frames anyway."""

    def drawing(self) -> AbstractContextManager[None]:
        """It gets frames anyway."""
        return nullcontext()

    async def screenshot(self) -> bytes:
        """Return the window as PNG."""
        shot = await self.session.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})
        return base64.b64decode(shot["data"])

    def is_closed(self) -> bool:
        """Tell whether it is gone."""
        return self._page.is_closed()

    async def bring_to_front(self) -> None:
        """Make it the one that has the focus."""
        with _translated():
            await self._page.bring_to_front()

    async def close(self) -> None:
        """Close it, without asking it, and wait until it is gone."""
        with _translated():
            await self._page.close()

    def _on_download(self, download: async_api.Download) -> None:
        self.emit("download", download)

    def _ended(self, event: str, why: str) -> None:
        if hasattr(self, "session"):
            self.session.end(why)
        self.emit(event, self)


class Dialog:
    """What a page asks: its page waits until :meth:`accept` or :meth:`dismiss`."""

    def __init__(self, dialog: async_api.Dialog, page: Page | None) -> None:
        self._dialog = dialog
        self.page = page
        self.type = dialog.type
        self.message = dialog.message
        self.default_value = dialog.default_value

    async def accept(self, text: str = "") -> None:
        """Say yes, or give ``text``."""
        with _translated():
            await self._dialog.accept(text)

    async def dismiss(self) -> None:
        """Say no."""
        with _translated():
            await self._dialog.dismiss()


class Context(Emitter):
    """A browser as if nobody had used it; tells of every ``page`` that is there and every ``dialog``."""

    def __init__(self, context: async_api.BrowserContext) -> None:
        super().__init__()
        self._context = context
        self.pages: list[Page] = []
        self._known: dict[async_api.Page, Page] = {}
        self._made: dict[async_api.Page, asyncio.Future[Page]] = {}
        context.on("page", self._on_page)
        context.on("dialog", self._on_dialog)

    async def new_page(self) -> Page:
        """Open an empty page.

        Raises:
            TargetClosed: It went away at once.
        """
        with _translated():
            page = await self._context.new_page()
        return await self._begun(page)

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies."""
        with _translated():
            found: list[Any] = list(await self._context.cookies())
        return [{part: each[part] for part in _COOKIE if part in each} for each in found]

    async def add_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        """Set cookies, each with a ``url`` or a ``domain`` and a ``path``."""
        given: list[Any] = [dict(each) for each in cookies]
        with _translated():
            await self._context.add_cookies(given)

    async def clear_cookies(self) -> None:
        """Remove all cookies."""
        with _translated():
            await self._context.clear_cookies()

    async def close(self) -> None:
        """Close its pages and forget all it held."""
        with _translated():
            await self._context.close()

    def _on_page(self, page: async_api.Page) -> None:
        self._begun(page)

    def _begun(self, page: async_api.Page) -> asyncio.Future[Page]:
        # Playwright tells of a page that was asked for as well; whoever comes first begins.
        if page not in self._made:
            mine = self._known[page] = Page(page)
            self._made[page] = asyncio.ensure_future(self._begin(mine))
            self._made[page].add_done_callback(lambda made: made.cancelled() or made.exception())
            mine.on("close", lambda _: self._forget(page))
        return self._made[page]

    async def _begin(self, page: Page) -> Page:
        await page.begin()
        self.pages.append(page)
        self.emit("page", page)
        return page

    def _forget(self, page: async_api.Page) -> None:
        gone = self._known.pop(page)
        del self._made[page]
        if gone in self.pages:
            self.pages.remove(gone)

    async def _on_dialog(self, asked: async_api.Dialog) -> None:
        dialog = Dialog(asked, self._known.get(asked.page) if asked.page is not None else None)
        if not self.emit("dialog", dialog):
            with contextlib.suppress(ProtocolError, TargetClosed):  # nobody works here any more
                await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())


class Browser(Emitter):
    """A running Chromium with a Playwright of its own; tells ``disconnected`` when it is gone."""

    def __init__(self, playwright: async_api.Playwright, browser: async_api.Browser, cdp: async_api.CDPSession) -> None:
        super().__init__()
        self._playwright = playwright
        self._browser = browser
        #: What is said to the browser itself.
        self.session = Session(cdp)
        browser.on("disconnected", self._on_disconnected)

    @classmethod
    async def launch(cls, program: str, options: Sequence[str], *, headful: bool) -> Browser:
        """Start Playwright's driver, and Chromium by it.

        Args:
            program: What to run.
            options: Those beside Playwright's own; of ``--disable-features`` the last one counts, so that what
                Playwright turns off stands in there again where it is meant to.
            headful: With a window.

        Raises:
            async_api.Error: One of them does not start.
            TimeoutError: The driver does not answer.
        """
        playwright = await asyncio.wait_for(async_api.async_playwright().start(), START)
        try:
            browser = await playwright.chromium.launch(
                executable_path=program,
                headless=not headful,
                # Chromium refuses its own sandbox to root.
                chromium_sandbox=os.geteuid() != 0,
                args=options,
                env={**os.environ, "TZ": "UTC", "LANGUAGE": "en_US"},
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=START * 1000,
            )
            return cls(playwright, browser, await browser.new_browser_cdp_session())
        except BaseException:
            await playwright.stop()
            raise

    def is_connected(self) -> bool:
        """Tell whether it is there."""
        return self._browser.is_connected()

    async def new_context(self, width: int, height: int, script: str) -> Context:
        """Return a context that shares nothing with any other.

        Args:
            width: Of its pages' windows, in CSS pixels.
            height: Likewise.
            script: JavaScript that runs in every page before its own.
        """
        with _translated():
            context = await self._browser.new_context(
                viewport={"width": width, "height": height},
                locale="en-US",
                timezone_id="UTC",
                reduced_motion="reduce",
                color_scheme="light",
                service_workers="block",
                accept_downloads=False,
                permissions=[],
            )
            await context.add_init_script(script=script)
        return Context(context)

    async def close(self) -> None:
        """End it and its driver, and wait until nothing is left of them."""
        try:
            with _translated():
                await self._browser.close()
        finally:
            await self._playwright.stop()

    def _on_disconnected(self, _: async_api.Browser) -> None:
        self.session.end("the browser is gone.")
        self.emit("disconnected", self)
