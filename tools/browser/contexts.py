"""Contexts of a browser: made, and made as new again after an episode.

A context that an episode is done with serves the next one after a wash. Its tabs are closed but the first, which leaves
for an empty page of the same site; then history, the window's name, the mouse, cookies, caches and storage of every
kind are put back to what a new context has, and what can be asked is asked. The process that draws stays, warm: a new
context costs several times as much. Whatever is odd about an episode (a fault, a script that hung, input cut short, a
tab still opening, the first tab gone) or about its wash, and its context is thrown away instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from thinkact.tools.browser.tab import Tab

#: Episodes that may make one Chromium work at the same time; more wait for their turn.
ACTIVE = 4
#: Episodes that one context serves before it is thrown away.
USES = 50
#: Seconds for which a wash waits until nobody works the browser: the next episode's first steps come before it.
PATIENCE = 0.1
#: Seconds for the wash itself.
WASH = 10.0
#: Seconds without work after which the browser counts as idle.
IDLE = 0.02
#: Where the mouse is when a page is opened first. It stays somewhere through every page that a tab opens, so that a new
#: tab has it at this place as well.
CORNER = (0, 0)


@dataclass(frozen=True)
class Window:
    """What contexts must have in common to be handed out for one another.

    Attributes:
        script: What runs in every page of theirs before its own scripts.
    """

    width: int
    height: int
    headful: bool
    script: str


class Turns:
    """Who may make a browser work: ``async with turns``, and :meth:`rest` for what can wait."""

    def __init__(self, most: int) -> None:
        self._most = asyncio.Semaphore(most)
        self._working = 0
        self._began = 0
        self._news = asyncio.Event()
        self._waited = 0

    async def __aenter__(self) -> None:
        await self._most.acquire()
        self._working += 1
        self._began += 1

    async def __aexit__(self, *_: object) -> None:
        self._working -= 1
        self._most.release()
        self._news.set()

    @contextlib.contextmanager
    def hurry(self) -> Iterator[None]:
        """Wait for something that rests: it goes on at once."""
        self._waited += 1
        self._news.set()
        try:
            yield
        finally:
            self._waited -= 1

    async def rest(self) -> None:
        """Return once nobody has worked for a moment, somebody waits, or it has been long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self._waited:
                    began = self._began
                    self._news.clear()
                    if self._working:
                        await self._news.wait()
                        continue
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(IDLE):
                            await self._news.wait()
                    if not self._working and self._began == began:
                        return


@dataclass
class Chromium:
    """One browser process and what it holds.

    Attributes:
        root: A CDP session to the browser itself.
        live: Contexts in use.
        served: Episodes so far.
    """

    browser: Browser
    root: Session
    headful: bool
    turns: Turns = field(default_factory=lambda: Turns(ACTIVE))
    spares: dict[Window, list[asyncio.Task[Lease]]] = field(default_factory=dict)
    live: int = 0
    served: int = 0
    dead: bool = False


@dataclass
class Lease:
    """A context without a trace of anybody, with one tab on an empty page.

    Attributes:
        uses: Episodes that it has served.
    """

    chromium: Chromium
    window: Window
    context: Context
    tab: Tab
    uses: int = 0


class Unclean(Exception):
    """A context is not as new after its wash."""


async def prepare(chromium: Chromium, window: Window) -> Lease:
    """Return a context that nobody has used yet."""
    context = await chromium.browser.new_context(window.width, window.height, window.script)
    page = await context.new_page()
    tab = Tab(page, lambda: None)
    page.on("crash", lambda _: setattr(tab, "odd", True))
    await tab.open()
    await tab.page.mouse.move(*CORNER)
    return Lease(chromium, window, context, tab)


async def wash(lease: Lease, hosts: Sequence[str]) -> Lease:
    """Return a context as new, after the episode that used it is over and its cookie opens no site any more.

    Args:
        lease: The context.
        hosts: Those that answered the episode's pages, at least one; nothing else can have stored anything.

    Raises:
        Unclean: Something is left in it; it must be thrown away.
    """
    await lease.chromium.turns.rest()
    context, tab = lease.context, lease.tab
    await asyncio.gather(*(page.close() for page in context.pages if page is not tab.page))
    tab.renew()
    deadline = time.monotonic() + WASH
    for host in hosts:
        # Without its cookie every site answers with the same empty page, which runs nothing.
        await _visit(tab, f"http://{host}/", deadline)
    send = tab.cdp.send
    await asyncio.gather(
        context.clear_cookies(),
        send("Page.resetNavigationHistory"),
        tab.page.mouse.move(*CORNER),
        send("Network.clearBrowserCache"),
        # This empties the cache inside the process that draws.
        send("Network.setCacheDisabled", {"cacheDisabled": True}),
        *(send("Storage.clearDataForOrigin", {"origin": f"http://{host}", "storageTypes": "all"}) for host in hosts),
    )
    _, wiped, cookies, mine, there = await asyncio.gather(
        send("Network.setCacheDisabled", {"cacheDisabled": False}),
        tab.call("wipe", deadline=deadline),
        context.cookies(),
        send("Target.getTargetInfo"),
        lease.chromium.root.send("Target.getTargets"),
    )
    # What a page opened while it was being closed would be there now.
    here = mine["targetInfo"]["browserContextId"]
    targets = [each for each in there["targetInfos"] if each.get("browserContextId") == here]
    if wiped["left"] or cookies or len(targets) != 1 or context.pages != [tab.page]:
        raise Unclean(f"{wiped['left']}, {len(cookies)} cookies and {len(targets)} targets are left")
    return Lease(lease.chromium, lease.window, context, tab, lease.uses + 1)


async def _visit(tab: Tab, url: str, deadline: float) -> None:
    if trouble := await tab.navigate(url, deadline):
        raise Unclean(f"{url} could not be opened: {trouble}")
    await tab.call("store", "session", [], deadline=deadline)  # it can be reached only from there
