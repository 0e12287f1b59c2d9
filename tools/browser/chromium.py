"""Chromium as objects: a browser, its contexts, their pages and the dialogs of those.

Thin on purpose: every step of an episode passes here, and a general driver beside the browser costs as much CPU time as
half of what Chromium itself needs for a page.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from thinkact.tools.browser.cdp import Connection, Emitter, Process, ProtocolError, Session, TargetClosed
from thinkact.tools.browser.input import Keyboard, Mouse

#: Seconds for Chromium to answer for the first time.
START = 60.0
#: Seconds between two frames of a page that is waited for.
FRAME = 0.05
#: The same on every Linux, whatever fonts are taken for these by default.
_FONTS = {
    **{"standard": "Times New Roman", "serif": "Times New Roman", "sansSerif": "Arial"},
    **{"fixed": "Monospace", "cursive": "Comic Sans MS", "fantasy": "Impact"},
}
_MEDIA = {
    **{"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"},
    **{"forced-colors": "none", "prefers-contrast": "no-preference"},
}
_NO_WORKERS = """if (self.ServiceWorkerContainer)
    ServiceWorkerContainer.prototype.register = { async register() {} }.register;"""
#: What a cookie is made of, for one to be set again.
_COOKIE = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite")


class Frames:
    """Asks for frames, one after another: Chromium's process that draws ends when two are under way at a time."""

    def __init__(self) -> None:
        self._asked: deque[tuple[Session, Mapping[str, Any], asyncio.Future[Any]]] = deque()
        self._busy = False

    def ask(self, session: Session, how: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Ask for a frame of a page; the answer is Chromium's to ``HeadlessExperimental.beginFrame``."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked.append((session, how, answer))
        self._next()
        return answer

    def _next(self) -> None:
        while self._asked and not self._busy:
            session, how, answer = self._asked.popleft()
            if not answer.done():  # nobody has given up
                self._busy = True
                frame = session.send("HeadlessExperimental.beginFrame", how)
                frame.add_done_callback(partial(self._done, answer))

    def _done(self, answer: asyncio.Future[Any], frame: asyncio.Future[Any]) -> None:
        self._busy = False
        if not answer.done():
            if error := frame.exception():
                answer.set_exception(error)
            else:
                answer.set_result(frame.result())
        self._next()


class Browser(Emitter):
    """A running Chromium; tells ``disconnected`` when it is gone."""

    def __init__(self, connection: Connection, frames: bool) -> None:
        super().__init__()
        self._connection = connection
        #: Set where its pages are drawn only when that is asked for.
        self.frames = Frames() if frames else None
        #: What is said to the browser itself.
        self.session = connection.root
        self._contexts: dict[str, Context] = {}
        self._ending: asyncio.Future[None] | None = None

    @classmethod
    async def launch(cls, command: Sequence[str], *, frames: bool) -> Browser:
        """Start Chromium.

        Args:
            command: The program and its options.
            frames: Whether those say that frames are asked for.

        Raises:
            OSError: It cannot be run.
            TargetClosed: It ended at once, with the text of its complaints.
            TimeoutError: It does not answer.
        """
        process = Process(list(command))
        connection = Connection(process)
        browser = cls(connection, frames)
        try:
            async with asyncio.timeout(START):
                await connection.open()
                browser.session.on("Target.attachedToTarget", browser._on_attached)
                browser.session.on("Target.detachedFromTarget", browser._on_detached)
                await browser.session.send(
                    "Target.setAutoAttach",
                    # Pages wait until they are set up; nothing else is attached to.
                    {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": [{"type": "page"}]},
                )
        except TargetClosed:
            complaints = process.complaints()
            await browser.close()
            raise TargetClosed(complaints or "it ended at once.") from None
        except BaseException:
            await browser.close()
            raise
        connection.lost = browser._lost
        return browser

    def is_connected(self) -> bool:
        """Tell whether it is there."""
        return not self.session.over

    async def new_context(self, width: int, height: int, script: str) -> Context:
        """Return a context that shares nothing with any other.

        Args:
            width: Of its pages' windows, in CSS pixels.
            height: Likewise.
            script: JavaScript that runs in every page before its own.
        """
        made = await self.session.send("Target.createBrowserContext", {"disposeOnDetach": True})
        name = made["browserContextId"]
        context = self._contexts[name] = Context(self, name, width, height, f"{_NO_WORKERS}\n{script}")
        mine = {"browserContextId": name}
        await asyncio.gather(
            self.session.send("Browser.setDownloadBehavior", {"behavior": "deny", "eventsEnabled": True, **mine}),
            self.session.send("Browser.grantPermissions", {"permissions": [], **mine}),  # and refuse all others
        )
        return context

    async def close(self) -> None:
        """End it, and wait until nothing is left of it."""
        self._connection.connection_lost(None)
        await asyncio.shield(self._end())

    def forget(self, context: Context) -> None:
        """Know a context no more."""
        self._contexts.pop(context.name, None)

    def _lost(self) -> None:
        self.emit("disconnected", self)
        self._end()

    def _end(self) -> asyncio.Future[None]:
        if self._ending is None:
            self._ending = asyncio.ensure_future(asyncio.to_thread(self._connection.process.end))
        return self._ending

    def _on_attached(self, event: Mapping[str, Any]) -> None:
        info, name = event["targetInfo"], event["sessionId"]
        session = self._connection.session(name)
        context = self._contexts.get(info.get("browserContextId", ""))
        if context is None:
            session.send("Runtime.runIfWaitingForDebugger")
            self.session.send("Target.detachFromTarget", {"sessionId": name})
        else:
            context.attach(session, info["targetId"])

    def _on_detached(self, event: Mapping[str, Any]) -> None:
        self._connection.forget(event["sessionId"], "the page has been closed.")


class Context(Emitter):
    """A browser as if nobody had used it; tells of every ``page`` that is there and every ``dialog``."""

    def __init__(self, browser: Browser, name: str, width: int, height: int, script: str) -> None:
        super().__init__()
        self.browser = browser
        self.name = name
        self.pages: list[Page] = []
        self._window = {"width": width, "height": height, "screenWidth": width, "screenHeight": height}
        self._script = script
        self._made: dict[str, asyncio.Future[Page]] = {}
        self._beginning: set[asyncio.Task[None]] = set()

    async def new_page(self) -> Page:
        """Open an empty page.

        Raises:
            TargetClosed: It went away at once.
        """
        where: dict[str, Any] = {"url": "about:blank", "browserContextId": self.name}
        if self.browser.frames is not None:  # every page of the shell is a window of its own
            size = {"width": self._window["width"], "height": self._window["height"]}
            where |= {"enableBeginFrameControl": True, **size}
        made = await self._send("Target.createTarget", where)
        return await self._page(made["targetId"])

    async def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies."""
        told = await self._send("Storage.getCookies", {"browserContextId": self.name})
        found = [{part: each[part] for part in _COOKIE if part in each} for each in told["cookies"]]
        return [{"sameSite": "Lax", **each} for each in found]

    async def add_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        """Set cookies, each with a ``url`` or a ``domain`` and a ``path``."""
        await self._send("Storage.setCookies", {"cookies": list(cookies), "browserContextId": self.name})

    async def clear_cookies(self) -> None:
        """Remove all cookies."""
        await self._send("Storage.clearCookies", {"browserContextId": self.name})

    async def close(self) -> None:
        """Close its pages and forget all it held."""
        self.browser.forget(self)
        await self._send("Target.disposeBrowserContext", {"browserContextId": self.name})

    def attach(self, session: Session, target: str) -> None:
        """Set up a page that has just come to be."""
        task = asyncio.ensure_future(self._begin(Page(self, session, target)))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _send(self, method: str, params: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        return self.browser.session.send(method, params)

    def _page(self, target: str) -> asyncio.Future[Page]:
        return self._made.setdefault(target, asyncio.get_running_loop().create_future())

    async def _begin(self, page: Page) -> None:
        made = self._page(page.target)
        page.session.on("closed", lambda _: self._made.pop(page.target, None))
        try:
            await page.begin(self._window, self._script)
        except Exception as error:
            made.set_exception(error if isinstance(error, TargetClosed) else TargetClosed(str(error)))
            made.exception()  # nobody may be waiting
            self._made.pop(page.target, None)
        else:
            self.pages.append(page)
            page.on("close", self.pages.remove)
            self.emit("page", page)
            made.set_result(page)


class Page(Emitter):
    """A tab; tells of its ``close``, its ``crash`` and every ``download`` (which is refused).

    Nobody looks at it, and so where the browser can leave it (:attr:`Browser.frames`) a frame is made only when
    somebody needs one, and is not drawn to the end: style, layout and the page's own work for a frame are done, pixels
    are not made. Sixty frames a second of what moves under a mouse cost more than a page itself does.
    """

    def __init__(self, context: Context, session: Session, target: str) -> None:
        super().__init__()
        self.context = context
        self.session = session
        self.target = target
        self.mouse = Mouse(self)
        self.keyboard = Keyboard(session)
        self.frames = context.browser.frames
        self._frame: asyncio.Future[Any] | None = None
        self._closed = asyncio.Event()
        session.on("closed", self._on_closed)
        session.on("Inspector.targetCrashed", self._on_crashed)
        session.on("Page.javascriptDialogOpening", self._on_dialog)
        session.on("Page.downloadWillBegin", lambda event: self.emit("download", event))

    async def begin(self, window: Mapping[str, Any], script: str) -> None:
        """Set it up, and let it run.

        Raises:
            TargetClosed: It is gone already.
        """
        send = self.session.send
        await asyncio.gather(
            send("Page.enable"),
            send("Emulation.setDeviceMetricsOverride", {**window, "deviceScaleFactor": 1, "mobile": False}),
            send("Emulation.setFocusEmulationEnabled", {"enabled": True}),
            send("Emulation.setEmulatedMedia", {"features": [{"name": n, "value": v} for n, v in _MEDIA.items()]}),
            send("Page.setFontFamilies", {"fontFamilies": _FONTS}),
            send("Page.addScriptToEvaluateOnNewDocument", {"source": script}),
            send("Runtime.runIfWaitingForDebugger"),
        )
        if self.is_closed():
            raise TargetClosed(self.session.over)

    def frame(self) -> None:
        """Let the page have a frame, unless it gets them anyway."""
        if self.frames is not None and (self._frame is None or self._frame.done()):
            self._frame = self.frames.ask(self.session, {"noDisplayUpdates": True})

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Let the page have frames as long as it is waited for: what it does may depend on them."""
        loop = asyncio.get_running_loop()
        timers = [] if self.frames is None else [loop.call_later(FRAME, lambda: tick())]

        def tick() -> None:
            self.frame()
            timers[0] = loop.call_later(FRAME, tick)

        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

    async def screenshot(self) -> bytes:
        """Return the window as PNG."""
        options = {"format": "png", "optimizeForSpeed": True}
        if self.frames is not None:
            shot = await self.frames.ask(self.session, {"screenshot": options})
            return base64.b64decode(shot["screenshotData"])
        shot = await self.session.send("Page.captureScreenshot", options)
        return base64.b64decode(shot["data"])

    def is_closed(self) -> bool:
        """Tell whether it is gone."""
        return self._closed.is_set()

    async def bring_to_front(self) -> None:
        """Make it the one that has the focus."""
        await self.session.send("Page.bringToFront")

    async def close(self) -> None:
        """Close it, without asking it, and wait until it is gone."""
        if not self.is_closed():
            await self.context.browser.session.send("Target.closeTarget", {"targetId": self.target})
            await self._closed.wait()

    def _on_closed(self, _: Any) -> None:
        self._closed.set()
        self.emit("close", self)

    def _on_crashed(self, _: Any) -> None:
        self.session.end("the page has crashed.")
        self.emit("crash", self)

    async def _on_dialog(self, event: Mapping[str, Any]) -> None:
        dialog = Dialog(self, event)
        if not self.context.emit("dialog", dialog):
            try:  # nobody works here any more
                await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())
            except (ProtocolError, TargetClosed):
                pass


class Dialog:
    """What a page asks: its page waits until :meth:`accept` or :meth:`dismiss`."""

    def __init__(self, page: Page, event: Mapping[str, Any]) -> None:
        self.page = page
        self.type = str(event["type"])
        self.message = str(event["message"])
        self.default_value = str(event.get("defaultPrompt", ""))

    async def accept(self, text: str = "") -> None:
        """Say yes, or give ``text``."""
        await self._answer(True, text)

    async def dismiss(self) -> None:
        """Say no."""
        await self._answer(False)

    async def _answer(self, yes: bool, text: str = "") -> None:
        await self.page.session.send("Page.handleJavaScriptDialog", {"accept": yes, "promptText": text})
