"""Contexts of a browser: made, and made as new again after an episode.

A context that an episode is done with serves the next one after a wash. Its tabs are closed but the first, which leaves
for an empty page of the same site; then history, the window's name, the mouse, cookies, caches and storage of every
kind are put back to what a new context has, and what can be asked is asked. The process that draws stays, warm: a new
context costs several times as much. Whatever is odd about an episode (a fault, a script that hung, input cut short, a
tab still opening, the first tab gone) or about its wash, and its context is thrown away instead.

A spare has the cookies of its next episode already and, where that begins on a site with a
:class:`~thinkact.tools.browser.server.Shell`, waits on that: its first page is then one fetch away. Where the shell has
files, that is said of new contexts only; those files stay in the caches of a context, which serves no other kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinkact.tools.browser.driver import Browser, Context, Session
from thinkact.tools.browser.server import COOKIE, Server, Shell, new_token
from thinkact.tools.browser.tab import Tab
from thinkact.tools.browser.types import ASGIApp

#: Episodes that may make one Chromium work at the same time; more wait for their turn.
ACTIVE = 4
#: Episodes that one context serves before it is thrown away.
USES = 50
#: Seconds for which a wash waits until nobody works the browser: the next episode's first steps come before it.
PATIENCE = 0.5
#: Seconds for the wash itself.
WASH = 10.0
#: Seconds without work after which the browser counts as idle.
IDLE = 0.02
#: The first empties Chromium's cache, the second that of the process which draws.
_EMPTY_CACHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Network.clearBrowserCache", {}),
    ("Network.setCacheDisabled", {"cacheDisabled": True}),
)
#: Where the mouse is when a page is opened first. It stays somewhere through every page that a tab opens, so that a new
#: tab has it at this place as well.
CORNER = (0, 0)


@dataclass(frozen=True)
class Window:
    """What contexts must have in common to be handed out for one another.

    Attributes:
        script: What runs in every page of theirs before its own scripts.
        keeps: What answers the files that stay in their caches from episode to episode; None keeps nothing.
    """

    width: int
    height: int
    headful: bool
    script: str
    keeps: ASGIApp | None = None


@dataclass(frozen=True)
class Place:
    """Where an episode begins.

    Attributes:
        hosts: Of its sites.
        shell: What its first page can be fetched into.
    """

    hosts: tuple[str, ...]
    shell: Shell | None = None


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
        server: What answers its pages.
        live: Contexts in use.
        served: Episodes so far.
    """

    browser: Browser
    root: Session
    headful: bool
    server: Server
    turns: Turns = field(default_factory=lambda: Turns(ACTIVE))
    spares: dict[Window, list[asyncio.Task[Lease]]] = field(default_factory=dict)
    live: int = 0
    served: int = 0
    dead: bool = False


@dataclass
class Lease:
    """A context without a trace of anybody, with one tab on an empty page.

    Attributes:
        place: Where it waits for an episode: it has the cookies for these hosts, and is on that shell.
        token: What those cookies hold.
        uses: Episodes that it has served.
    """

    chromium: Chromium
    window: Window
    context: Context
    tab: Tab
    place: Place
    token: str
    uses: int = 0


class Unclean(Exception):
    """A context is not as new after its wash."""


def passes(token: str, hosts: Iterable[str]) -> list[dict[str, Any]]:
    """Return the cookies that let an episode's pages in."""
    return [
        {"name": COOKIE, "value": token, "url": f"http://{host}", "httpOnly": True, "sameSite": "Lax"} for host in hosts
    ]


async def prepare(chromium: Chromium, window: Window, place: Place) -> Lease:
    """Return a context that nobody has used yet."""
    context = await chromium.browser.new_context(window.width, window.height, window.script)
    page = await context.new_page()
    tab = Tab(page, lambda: None)
    page.on("crash", lambda _: setattr(tab, "odd", True))
    await tab.open()
    lease = Lease(chromium, window, context, tab, place, new_token())
    await context.add_cookies(passes(lease.token, place.hosts))
    if place.shell is not None:
        await _wait_on(lease, place.shell, time.monotonic() + WASH)
        await tab.cdp.send("Page.resetNavigationHistory")
    await tab.page.mouse.move(*CORNER)
    return lease


async def wash(lease: Lease, hosts: Sequence[str]) -> Lease:
    """Return a context as new, after the episode that used it is over and its cookie opens no site any more.

    Args:
        lease: The context; the next one waits where its episode began.
        hosts: Those that answered the episode's pages, at least one; nothing else can have stored anything.

    Raises:
        Unclean: Something is left in it; it must be thrown away.
    """
    await lease.chromium.turns.rest()
    context, tab = lease.context, lease.tab
    await asyncio.gather(*(page.close() for page in context.pages if page is not tab.page))
    tab.renew()
    deadline = time.monotonic() + WASH
    place, shell = lease.place, None if lease.window.keeps else lease.place.shell
    again = Lease(lease.chromium, lease.window, context, tab, place, new_token(), lease.uses + 1)
    for url in sorted(tab.kept) or ([] if shell else [f"http://{hosts[0]}/"]):
        # Without an episode every site answers with the same empty page, which runs nothing.
        await _visit(tab, url, deadline)
        await tab.call("store", "session", [], deadline=deadline)
    await context.clear_cookies()
    if shell is not None:
        await context.add_cookies(passes(again.token, [shell.host]))
        await _wait_on(again, shell, deadline)
    send = tab.cdp.send
    await asyncio.gather(
        send("Page.resetNavigationHistory"),
        tab.page.mouse.move(*CORNER),
        *(send(*each) for each in _EMPTY_CACHES if not lease.window.keeps),
        *(send("Storage.clearDataForOrigin", {"origin": f"http://{host}", "storageTypes": "all"}) for host in hosts),
    )
    await context.add_cookies(passes(again.token, place.hosts))  # with everything else they were cleared
    _, wiped, cookies, mine, there = await asyncio.gather(
        send("Network.setCacheDisabled", {"cacheDisabled": False}),
        tab.call("wipe", deadline=deadline),
        context.cookies(),
        send("Target.getTargetInfo"),
        lease.chromium.root.send("Target.getTargets"),
    )
    # What a page opened while it was being closed would be there now.
    here = mine["targetInfo"]["browserContextId"]
    of_context = [each["type"] for each in there["targetInfos"] if each.get("browserContextId") == here]
    targets = [
        kind for kind in of_context if kind != "browser_ui"
    ]  # such as the whole browser's own field of addresses
    others = len(cookies) - len(place.hosts)
    ours = all(each["name"] == COOKIE and each["value"] == again.token for each in cookies)
    left = [*wiped["left"], *(f"session storage of {url}" for url in sorted(tab.kept))]
    if left or others or not ours or len(targets) != 1 or context.pages != [tab.page]:
        raise Unclean(f"{left}, {others} cookies and {len(targets)} targets are left")
    return again


async def _wait_on(lease: Lease, shell: Shell, deadline: float) -> None:
    with lease.chromium.server.offer(lease.token, shell):
        await _visit(lease.tab, f"http://{shell.host}/", deadline)
        await lease.tab.loaded(deadline)


async def _visit(tab: Tab, url: str, deadline: float) -> None:
    if trouble := await tab.navigate(url, deadline):
        raise Unclean(f"{url} could not be opened: {trouble}")
