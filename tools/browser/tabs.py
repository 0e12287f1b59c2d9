"""The tabs of an episode, and what happens to them by itself: they open and close, ask, crash and load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from thinkact.tools.browser.contexts import Lease
from thinkact.tools.browser.driver import Dialog, Emitter, Page
from thinkact.tools.browser.host import START, Host, quietly
from thinkact.tools.browser.server import Visit
from thinkact.tools.browser.tab import Tab
from thinkact.tools.browser.text import told
from thinkact.tools.browser.types import ASGIApp, BrowserDied, BrowserFault, BrowserOptions

#: Dialogs that one action may open; the tab of a page that opens more is closed.
MAX_DIALOGS = 8
#: Seconds to wait for a tab that a page said it opens.
OPENING = 2.0


class Tabs:
    """A context of one's own and its tabs; everything here runs on the host's loop.

    Attributes:
        tabs: Those that are open, in order.
        active: Index of the one that is looked at.
        turned: How often another one came to be looked at.
        notes: What happened during the action under way, for the observation.
    """

    def __init__(self, host: Host, lease: Lease, options: BrowserOptions, sites: Mapping[str, ASGIApp]) -> None:
        self.host = host
        self.lease = lease
        self.options = options
        self.visit = Visit(sites, self.changed, lease.token)
        self.tabs: list[Tab] = []
        self.active = 0
        self.turned = 0
        self.notes: list[str] = []
        self.closed = False
        self._dialogs = 0
        self._opening = 0
        self._epoch = 0
        self._event = asyncio.Event()
        self._attaching: dict[Page, asyncio.Task[None]] = {}
        self._heard: list[tuple[Emitter, str, Callable[[Any], Any]]] = []

    @property
    def tab(self) -> Tab:
        """The tab that is looked at."""
        return self.tabs[self.active]

    def close(self) -> None:
        """Give the context back. Idempotent."""
        if not self.closed:
            self.closed = True
            self.host.server.dismiss(self.visit)
            for emitter, event, handler in self._heard:
                emitter.remove_listener(event, handler)
            whole = self.lease.tab in self.tabs and not (self.visit.fault or self._opening or self._attaching)
            again = whole and not any(tab.odd or tab.doomed for tab in self.tabs)
            self.host.release(self.lease, list(self.visit.met) if again else [])

    def changed(self) -> None:
        """A counter changed: whoever waits looks again."""
        self._epoch += 1
        self._event.set()

    def _hear(self, emitter: Emitter, event: str, handler: Callable[[Any], Any]) -> None:
        emitter.on(event, handler)
        self._heard.append((emitter, event, handler))

    def _on_page(self, page: Page) -> None:
        if self._opening:
            self._opening -= 1
        task = asyncio.ensure_future(self._attach(page))
        self._attaching[page] = task

        def attached(_: Any) -> None:
            self._attaching.pop(page, None)
            self.changed()

        task.add_done_callback(attached)
        self.changed()

    async def _attach(self, page: Page) -> None:
        try:
            if sum(not each.doomed for each in self.tabs) >= self.options.max_tabs:
                self.notes.append("The page tried to open another tab; there are too many.")
                await page.close()
                return
            tab = Tab(page, self.changed)
            await tab.open()
        except Exception:
            return  # closed as soon as it was opened
        self.tabs.append(tab)
        self._watch(tab)
        if page.is_closed():
            self._on_closed(tab)
            return
        self.active = len(self.tabs) - 1
        self.turned += 1

    async def _open_tab(self) -> None:
        page = await self.lease.context.new_page()
        if attaching := self._attaching.get(page):
            await attaching
        if all(tab.page is not page for tab in self.tabs):
            raise BrowserFault("a new tab went away.")

    def _watch(self, tab: Tab) -> None:
        def opens(_: Any) -> None:
            self._opening += 1
            self.changed()
            self.host.loop.call_later(OPENING, self._give_up_opening)

        def crashed(_: Any) -> None:
            if tab.doomed:
                self.host.later(self._replace(tab))
            else:
                self.visit.fault = self.visit.fault or "the page's process died."
            self.changed()

        self._hear(tab.cdp, "Page.windowOpen", opens)
        self._hear(tab.page, "close", lambda _: self._on_closed(tab))
        self._hear(tab.page, "crash", crashed)
        self._hear(tab.page, "download", lambda _: self.notes.append("A download was refused."))

    def _give_up_opening(self) -> None:
        self._opening = 0
        self.changed()

    def _on_closed(self, tab: Tab) -> None:
        if tab in self.tabs and not self.closed:
            index = self.tabs.index(tab)
            self.tabs.remove(tab)
            if self.active >= index:
                self.active = max(0, self.active - 1)
            self.turned += 1
            if not self.tabs:
                self.visit.fault = self.visit.fault or "the last tab was closed."
            self.changed()

    async def _on_dialog(self, dialog: Dialog) -> None:
        self._dialogs += 1
        leaving = dialog.type == "beforeunload"
        accepts = leaving or self.options.dialogs == "accept"
        if self._dialogs > MAX_DIALOGS:
            # Nothing reaches a script between two dialogs: only the end of its process ends it.
            tab = next((each for each in self.tabs if each.page is dialog.page), None)
            if tab is not None and not tab.doomed:
                tab.doomed = True
                self.notes.append("The page opened dialog after dialog; it was closed.")
                self.host.later(quietly(tab.cdp.send("Page.crash")))
            return
        if not leaving:
            self.notes.append(told(dialog.type, dialog.message, dialog.default_value, accepts))
        await quietly(dialog.accept(dialog.default_value) if accepts else dialog.dismiss())

    async def _replace(self, tab: Tab) -> None:
        """Put an empty tab in the place of one that is lost."""
        await self._open_tab()
        self.tabs[-1].before = [*tab.before, str(tab.seen["url"])]
        await quietly(tab.page.close())

    async def _until_closed(self, tab: Tab) -> None:
        """Wait for the news that a tab was closed, after it did not answer.

        Raises:
            BrowserFault: There is none: the browser or its driver is gone.
        """
        try:
            await asyncio.wait_for(self.lease.chromium.root.send("Browser.getVersion"), START)
        except Exception as error:
            raise BrowserDied(f"the browser is gone: {error}") from error
        limit = time.monotonic() + START
        while tab in self.tabs:
            self._check()
            if time.monotonic() > limit:
                raise BrowserFault("a tab went away without a word.")
            await self._news(limit)
        self._check()

    def _check(self) -> None:
        """Raise for what happened beside the calls."""
        if self.closed:
            raise BrowserFault("the browser is closed; call start().")
        if self.lease.chromium.dead or not self.lease.chromium.browser.is_connected():
            raise BrowserDied("the browser died.")
        if self.visit.fault is not None:
            raise BrowserFault(self.visit.fault)
        if self.visit.waited() > self.options.site_timeout:
            raise BrowserFault(f"a site has not answered for {self.options.site_timeout:g} s.")

    def _fault(self, error: str) -> BrowserFault:
        """Return the fault that explains an error best: a death rather than what came of it."""
        try:
            self._check()
        except BrowserFault as known:
            return known
        return BrowserFault(error)

    async def _news(self, deadline: float) -> None:
        """Wait until a counter changes, or it is too late."""
        self._event.clear()
        try:
            async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
                await self._event.wait()
        except TimeoutError:
            pass
