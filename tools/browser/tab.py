"""One tab: scripts in an isolated world, and counters that tell when a page has settled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from thinkact.tools.browser.cdp import TargetClosed
from thinkact.tools.browser.driver import Page
from thinkact.tools.browser.types import BrowserFault

#: Name of the isolated world: a page's scripts see neither it nor what is in it.
WORLD = "thinkact"
#: What the reader is called in there.
READER = "thinkactReader"
#: Seconds that a page's script gets to stop once it was told to.
STOP = 10.0
#: Times that one page may hang before its scripts stay off.
HANGS = 2


@cache
def _reader() -> str:
    """Return the script that reads pages, to be run once in every document's isolated world."""
    folder = files(__package__)
    parts = [
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page_dom.js", "page_read.js", "page_act.js")
    ]
    offered = (
        "look, glance, locate, set, select, scroll, put, store, focus, selectAll, waitFor, wipe, quieted, lookDrawn"
    )
    # An element may have that id: only what the world itself holds counts.
    begin = f'"use strict"; if (Object.hasOwn(globalThis, "{READER}")) return;'
    end = f'Object.defineProperty(globalThis, "{READER}", {{ value: {{ {offered} }} }});'
    return "\n".join(["(() => {", begin, *parts, end, "})();"])


class Hung(Exception):
    """The page's scripts kept it busy for longer than it was waited for; they were stopped."""


class Late(Exception):
    """The page did not answer in time because another was on its way, which was stopped."""


class Gone(Exception):
    """The tab was closed."""


class Tab:
    """A page of an episode.

    Args:
        page: The page.
        changed: Called when a counter changes, so that whoever waits looks again.
    """

    def __init__(self, page: Page, changed: Callable[[], None]) -> None:
        self.page = page
        self.cdp = page.session
        self.changed = changed
        #: Whether it is being replaced, after dialogs without an end.
        self.doomed = False
        #: What the page was when it was last shown, and the number of that reading.
        self.seen: dict[str, Any] = {}
        self.shown = 0
        #: Addresses that were shown before this one, for going back.
        self.before: list[str] = []
        self._world: int | None = None
        self._frame = ""
        #: Whether something happened to it after which it serves nobody else.
        self.odd = False
        #: Whether its scripts are off.
        self.stopped = False
        self._hangs = 0
        self._readings = 0
        self._loads: set[str] = set()
        self._requests: set[str] = set()
        #: Addresses of the sites that keep something in the tab's session storage. Nobody can ask for that but a page
        #: of the site; Chromium tells of every change.
        self.kept: set[str] = set()

    async def open(self) -> None:
        """Begin to count."""
        for event, handler in (
            ("Page.frameRequestedNavigation", self._on_requested),
            ("Page.frameStartedLoading", self._on_started),
            ("Page.frameStoppedLoading", self._on_stopped),
            ("Page.frameDetached", self._on_stopped),
            ("Page.frameNavigated", self._on_navigated),
            ("Network.requestWillBeSent", self._on_request),
            ("Network.loadingFinished", self._on_answered),
            ("Network.loadingFailed", self._on_answered),
            ("Network.responseReceived", self._on_response),
            ("DOMStorage.domStorageItemAdded", self._on_kept),
            ("DOMStorage.domStorageItemsCleared", self._on_cleared),
        ):
            self.cdp.on(event, handler)
        enabled = asyncio.gather(self.cdp.send("Network.enable"), self.cdp.send("DOMStorage.enable"))
        tree = await self.cdp.send("Page.getFrameTree")
        self._frame = tree["frameTree"]["frame"]["id"]
        await enabled

    @property
    def busy(self) -> bool:
        """Whether a navigation or a request of the page is under way."""
        return bool(self._loads or self._requests)

    @property
    def hung(self) -> bool:
        """Whether a script of this page had to be stopped."""
        return self._hangs > 0

    @property
    def loading(self) -> bool:
        """Whether a navigation is under way. A page does not answer while another is on its way to take its place."""
        return bool(self._loads)

    async def give_up(self) -> None:
        """Stop what is still under way, and count from nothing."""
        try:
            async with asyncio.timeout(STOP):
                await self.cdp.send("Page.stopLoading")
        except TimeoutError:
            raise
        except Exception:
            pass  # between two pages there is nothing to stop
        self._loads.clear()
        self._requests.clear()

    async def navigate(self, url: str, deadline: float) -> str:
        """Open an address; return Chromium's word for what went wrong, or nothing.

        Raises:
            TimeoutError: No answer had come by the deadline; loading was stopped.
        """
        try:
            async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
                if self.stopped:  # the next page shall run its scripts, and this one shall not hang once more
                    await self.cdp.send("Page.navigate", {"url": "about:blank"})
                    await self._scripts(True)
                answer = await self.cdp.send("Page.navigate", {"url": url})
        except TimeoutError:
            await self.give_up()
            raise
        return str(answer.get("errorText", ""))

    async def call(self, function: str, *arguments: Any, deadline: float) -> Any:
        """Call a function of the reader in the page that is there now.

        Raises:
            Hung: The page did not answer by the deadline; its script was stopped.
            Late: Another page was on its way, which was stopped.
            Gone: The tab was closed.
            BrowserFault: It did not answer even then.
        """
        question = f"{READER}.{function}({', '.join(json.dumps(each) for each in arguments)})"
        try:
            # Somewhat later than the page's own limit: a page that lives answers before.
            async with asyncio.timeout(max(0.01, deadline - time.monotonic()) + 0.5):
                with self.page.drawing():
                    return await self._ask(question)
        except TimeoutError:
            raise (Hung if await self.stop() else Late) from None

    async def read(self, options: dict[str, Any], *, deadline: float) -> tuple[bool, dict[str, Any]]:
        """Read the page once it has loaded; see ``page_read.js`` for what a reading holds.

        Args:
            options: ``next`` (number of the next new element), ``all``, and for a restored page ``refs``.
            deadline: When to read it even if it has not loaded.

        Returns:
            Whether it has loaded, and the reading; :meth:`show` makes it the one that counts.
        """
        self._readings += 1
        limit = max(0.0, deadline - time.monotonic()) * 1000
        reading = {**options, "number": self._readings, "shown": self.shown, "limit": limit}
        how, ready = "glance" if self.stopped else "look", True
        if self.page.frames is not None and not self.stopped:
            # One frame, when the page is ready for it.
            ready = await self.call("quieted", limit, deadline=deadline)
            how = "lookDrawn" if ready else "glance"
            self.page.frame()
        answer = await self.call(how, reading, deadline=deadline)
        return ready and answer["done"], {**answer["page"], "number": self._readings}

    async def replace(self, url: str) -> None:
        """Begin to open an address in the place of an empty page: history holds nothing before it."""
        await self.cdp.send("Runtime.evaluate", {"expression": f"location.replace({json.dumps(url)})"})

    async def fill(self) -> None:
        """Begin to fetch the page of a shell (see :class:`~thinkact.tools.browser.server.Shell`) into it."""
        await self.cdp.send("Runtime.evaluate", {"expression": "dispatchEvent(new PopStateEvent('popstate'))"})

    async def loaded(self, deadline: float) -> None:
        """Wait until nothing is under way in a tab that nobody else waits for.

        Raises:
            TimeoutError: Something still was at the deadline.
        """
        news = asyncio.Event()
        self.changed = news.set
        async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
            while self.busy:
                news.clear()
                await news.wait()

    def renew(self) -> None:
        """Forget what was seen: the tab is for another episode."""
        self.changed = lambda: None
        self.seen, self.shown, self.before = {}, 0, []
        self._readings, self._world = 0, None
        self._loads.clear()
        self._requests.clear()

    def show(self, page: dict[str, Any]) -> None:
        """Make a reading the one that was seen."""
        before = self.seen.get("url", "")
        if before.startswith("http") and page["url"] != before:
            self.before.append(before)
        self.seen, self.shown = page, page["number"]

    async def stop(self) -> bool:
        """Stop what keeps the page from answering; return whether that was a script.

        Its scripts are off then; see :meth:`resume`. Otherwise it was another page that did not come, and now will
        not.

        Raises:
            BrowserFault: It does not answer even so.
        """
        self.odd = True  # and what it was doing was cut short
        try:
            await self.give_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.cdp.send("Runtime.evaluate", {"expression": "0"})
                return False
            async with asyncio.timeout(STOP):
                await self._scripts(False)
                await self.cdp.send("Runtime.terminateExecution")
                await self.cdp.send("Runtime.evaluate", {"expression": "0"})
            self._hangs += 1
            return True
        except Exception as error:
            raise BrowserFault(f"a page hangs and cannot be stopped: {error or 'no answer'}") from error

    async def resume(self) -> None:
        """Let a page that hung run its scripts again, unless it hangs again and again."""
        if self.stopped and self._hangs < HANGS:
            await self._scripts(True)

    async def _scripts(self, on: bool) -> None:
        await self.cdp.send("Emulation.setScriptExecutionDisabled", {"value": not on})
        self.stopped = not on

    async def _ask(self, question: str) -> Any:
        for _ in range(20):
            new = self._world is None
            try:
                if new:
                    where = {"frameId": self._frame, "worldName": WORLD}
                    made = await self.cdp.send("Page.createIsolatedWorld", where)
                    self._world = made["executionContextId"]
                    # Not waited for. Alone it is the same text in every page, which V8 need not compile again.
                    self._evaluate(_reader())
                answer = await self._evaluate(question)
            except Exception as error:
                if closed(error):
                    raise Gone from error
                if not _replaced(str(error)):
                    raise BrowserFault(f"the page is gone: {error}") from error
                self._world = None  # another document took the place of this one
                continue
            except BaseException:
                if new:
                    self._world = None  # nobody knows whether the reader is there
                raise
            if trouble := answer.get("exceptionDetails"):
                said = trouble.get("exception", {}).get("description") or trouble.get("text")
                raise BrowserFault(f"the page could not be read: {said}")
            return answer["result"].get("value")
        raise BrowserFault("the page replaces itself without an end.")

    def _evaluate(self, expression: str) -> asyncio.Future[dict[str, Any]]:
        asked = {"expression": expression, "contextId": self._world, "returnByValue": True, "awaitPromise": True}
        return self.cdp.send("Runtime.evaluate", asked)

    # Counters. What a renderer tells of navigations and requests comes before its answer to a later question.

    def _on_requested(self, event: Any) -> None:
        if event.get("disposition", "currentTab") == "currentTab":
            self._load(event["frameId"], True)

    def _on_started(self, event: Any) -> None:
        self._load(event["frameId"], True)

    def _on_stopped(self, event: Any) -> None:
        self._load(event["frameId"], False)

    def _on_navigated(self, event: Any) -> None:
        if not event["frame"].get("parentId"):
            self._world = None
            self._hangs = 0
            self._requests.clear()  # those of the document before
            self._loads &= {event["frame"]["id"]}
        self.changed()

    def _load(self, frame: str, begins: bool) -> None:
        (self._loads.add if begins else self._loads.discard)(frame)
        self.changed()

    def _on_request(self, event: Any) -> None:
        # A stream has no end to wait for.
        if event.get("type") not in ("EventSource", "WebSocket", "Ping", "Document"):
            self._requests.add(event["requestId"])
            self.changed()

    def _on_response(self, event: Any) -> None:
        if event.get("type") == "EventSource":
            self._on_answered(event)

    def _on_answered(self, event: Any) -> None:
        if event["requestId"] in self._requests:
            self._requests.discard(event["requestId"])
            self.changed()

    def _on_kept(self, event: Any) -> None:
        if not event["storageId"]["isLocalStorage"]:
            self.kept.add(event["storageId"]["storageKey"])

    def _on_cleared(self, event: Any) -> None:
        if not event["storageId"]["isLocalStorage"]:
            self.kept.discard(event["storageId"]["storageKey"])


def closed(error: Exception) -> bool:
    """Tell whether an error says that a page is no more."""
    return isinstance(error, TargetClosed)


def _replaced(error: str) -> bool:
    """Tell whether a document went away while it was asked."""
    return any(
        words in error
        for words in (
            "Cannot find context",
            "context was destroyed",
            "navigated or closed",
            "Promise was collected",
            "uniqueContextId not found",
            "No frame for given id",
        )
    )
