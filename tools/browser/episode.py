"""One episode's browser: what is done with it, and the rule for when a page has settled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urljoin, urlsplit

from thinkact.tools.base import ErrorKind
from thinkact.tools.browser import actions, states
from thinkact.tools.browser.contexts import Lease, Place, Window, passes
from thinkact.tools.browser.host import Host
from thinkact.tools.browser.server import Shell
from thinkact.tools.browser.tab import Gone, Hung, Late, closed
from thinkact.tools.browser.tabs import Tabs
from thinkact.tools.browser.text import View
from thinkact.tools.browser.types import ASGIApp, BrowserDied, BrowserFault, BrowserOptions, NotExact, PageMistake

STOPPED = "The page's script ran too long and was stopped."


@cache
def _page_start() -> str:
    return files(__package__).joinpath("page_start.js").read_text(encoding="utf-8")


def _clock_and_chance(now: datetime | None, seed: int) -> str:
    clock = None if now is None else (now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp()
    script = _page_start().replace("NOW", json.dumps(None if clock is None else int(clock * 1000)))
    return script.replace("SEED", str(seed & 0xFFFFFFFF))


class Episode(Tabs):
    """What a :class:`BrowserHandle` drives; everything here runs on the host's loop."""

    def __init__(self, host: Host, lease: Lease, options: BrowserOptions, sites: Mapping[str, ASGIApp]) -> None:
        super().__init__(host, lease, options, sites)
        self.view = View(options)
        self.next_ref = 1
        self.settled = True
        #: The first page as text, whole.
        self.opening = ""

    @classmethod
    async def start(
        cls,
        host: Host,
        options: BrowserOptions,
        sites: Mapping[str, ASGIApp],
        url: str,
        *,
        now: datetime | None,
        init_script: str | None,
        seed: int,
        first: tuple[str, Mapping[str, Any]] | None = None,
        shell: Shell | None = None,
    ) -> Episode:
        """Take a context and open the first page in it; see :meth:`BrowserHandle.start`.

        Raises:
            BrowserFault: There is no context, or the page could not be opened.
        """
        script = f"{_clock_and_chance(now, seed)}\n{init_script or ''}"
        place = Place(tuple(sites), shell)
        keeps = shell.files if shell is not None else None
        lease = await host.lease(Window(options.width, options.height, options.headful, script, keeps), place)
        episode = cls(host, lease, options, sites)
        try:
            async with lease.chromium.turns:
                await episode._begin(url, first, place)
                if not episode.settled:
                    raise BrowserFault(f"{url} did not finish loading within {options.action_timeout:g} s.")
                if not episode.tab.seen["url"].startswith("http://"):
                    raise BrowserFault(f"{url} could not be opened.")
                episode.opening = episode.view.show(episode, 1, whole=True)
        except BrowserFault:
            episode.close()
            raise
        except Exception as error:
            fault = BrowserDied(str(error)) if closed(error) else episode._fault(f"{url}: {error or 'no answer'}")
            if isinstance(fault, BrowserDied):
                host.retire(lease.chromium)
            elif isinstance(error, TimeoutError) and lease.tab.odd:
                fault = BrowserDied(str(fault))  # the context's process, unnoticed until now
            episode.close()
            raise fault from error
        except BaseException:
            episode.close()
            raise
        return episode

    async def _begin(self, url: str, first: tuple[str, Mapping[str, Any]] | None, place: Place) -> None:
        self.host.server.admit(self.visit)
        self._hear(self.lease.context, "page", self._on_page)
        self._hear(self.lease.context, "dialog", self._on_dialog)
        tab = self.lease.tab
        tab.changed = self.changed
        self.tabs.append(tab)
        self._watch(tab)
        waits, self.lease.place = self.lease.place, place
        if missing := [host for host in place.hosts if host not in waits.hosts]:
            await self.lease.context.add_cookies(passes(self.lease.token, missing))
        deadline = self.deadline()
        async with asyncio.timeout(self.options.action_timeout):
            if place.shell is not None and place.shell.files is None and waits.shell == place.shell:
                await tab.fill()
                while (tab.busy or self.visit.in_flight) and self.visit.fault is None:
                    await self._news(deadline)  # a look before that would have to be taken again
            else:
                await tab.replace(url)
        if first is not None:
            while tab.loading and time.monotonic() < deadline:
                await self._news(deadline)
            await actions.ACTIONS[first[0]](self, first[1], deadline)
        await self.look(deadline)

    # What the outside sees.

    async def act(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, ErrorKind | None]:
        """Do one thing; return the page after it and whether it was a mistake.

        Raises:
            BrowserFault: The browser is gone, or a site failed.
        """
        async with self.lease.chromium.turns:
            self._check()
            self.notes.clear()
            self._dialogs = 0
            deadline = self.deadline()
            page = int(arguments["n"]) if name == "page" else 1
            try:
                if name in actions.IN_PAGE:
                    await self.tab.resume()
                try:
                    await actions.ACTIONS[name](self, arguments, deadline)
                except Hung:
                    self.notes.append(STOPPED)
                except (Gone, Late):
                    pass  # as can happen when one clicks
                await self.look(deadline)
                return self.view.show(self, page, whole=name == "page"), None
            except PageMistake as mistake:
                self._check()
                return f"Error: {mistake}", mistake.kind
            except TimeoutError as error:
                raise self._fault("the browser did not answer in time") from error
            except BrowserFault as error:
                raise self._fault(str(error)) from error
            except Exception as error:
                raise self._fault(f"{name}: {error}") from error

    async def observe(self, page: int) -> str:
        """Return the page as text, whole."""
        async with self.lease.chromium.turns:
            self._check()
            try:
                await self.look(self.deadline())
                return self.view.show(self, page, whole=True)
            except PageMistake as mistake:
                return f"Error: {mistake}"
            except Exception as error:
                raise self._fault(str(error)) from error

    async def screenshot(self) -> bytes:
        """Return the visible part as PNG."""
        async with self.lease.chromium.turns:
            self._check()
            try:
                async with asyncio.timeout(self.options.action_timeout):
                    return await self.tab.page.screenshot()
            except Exception as error:
                raise self._fault(f"no screenshot: {error or 'no answer'}") from error

    async def snapshot(self) -> dict[str, Any]:
        """Return the state of the last observation; see :mod:`thinkact.tools.browser.states`."""
        async with self.lease.chromium.turns:
            self._check()
            try:
                return await states.take(self)
            except NotExact:
                raise
            except Exception as error:
                raise self._fault(f"snapshot: {error}") from error

    async def restore(self, state: dict[str, Any]) -> None:
        """Bring back a state; see :mod:`thinkact.tools.browser.states`."""
        async with self.lease.chromium.turns:
            self._check()
            self.notes.clear()
            try:
                await states.put(self, state)
            except NotExact:
                raise
            except PageMistake as error:
                raise NotExact(str(error)) from error
            except (Hung, Late, Gone) as error:
                raise NotExact("a page hangs when it is opened again.") from error
            except Exception as error:
                raise self._fault(f"restore: {error}") from error

    # For the actions.

    def passes(self) -> list[dict[str, Any]]:
        """Return the cookies that let this episode's pages in."""
        return passes(self.visit.token, self.visit.sites)

    def deadline(self) -> float:
        """Return the time by which what begins now must have settled."""
        return time.monotonic() + self.options.action_timeout

    def address(self, text: str) -> str:
        """Return the address that an agent means.

        Raises:
            PageMistake: It is not an address on one of the sites.
        """
        text = text.strip().replace(" ", "%20")
        bad = any(ord(each) < 32 or each in "\\\x7f" for each in text)  # browsers and parsers differ over these
        if text.split("/", 1)[0] in self.visit.sites:
            text = f"http://{text}"
        try:
            parts = urlsplit(urljoin(str(self.tab.seen.get("url", "")), text))
            plain = parts.netloc == parts.hostname
        except ValueError:
            plain = False
        if bad or not plain or parts.scheme != "http" or parts.netloc not in self.visit.sites:
            hosts = ", ".join(f"http://{host}/" for host in self.visit.sites)
            raise PageMistake(f"only addresses of these sites can be opened: {hosts}", "invalid_arguments")
        return parts.geturl()

    async def open(self, url: str, deadline: float) -> None:
        """Open an address in the active tab."""
        try:
            trouble = await self.tab.navigate(url, deadline)
        except TimeoutError:
            return  # looking at the page tells
        if trouble and trouble != "net::ERR_ABORTED":
            self.notes.append("The address could not be opened.")

    async def new_tab(self) -> None:
        """Open an empty tab and look at it.

        Raises:
            PageMistake: There are too many already.
        """
        if len(self.tabs) >= self.options.max_tabs:
            raise PageMistake(f"there are {len(self.tabs)} tabs already; close one first.")
        await self._open_tab()

    async def show(self, index: int) -> None:
        """Look at another tab."""
        self.active = index
        self.turned += 1
        await self.tab.page.bring_to_front()

    async def look(self, deadline: float, refs: list[str] | None = None) -> None:
        """Wait until the page has settled, and read it.

        It has when it is loaded, its sites have answered everything, no navigation, request, soft navigation or tab
        is under way, and a frame was drawn, all between one question and its answer. By the deadline what is there
        is read all the same.

        Args:
            deadline: When to read it even if it has not settled.
            refs: The references of its elements, in reading order; None numbers on.
        """
        options = {"next": self.next_ref, "all": self.options.refs == "all", "refs": refs}
        self.settled = False
        while True:
            epoch, tab = self._epoch, self.tab
            late = time.monotonic() >= deadline
            if (tab.loading or self._attaching) and not late:
                await self._news(deadline)
                continue
            try:
                if tab.loading:
                    await tab.give_up()
                done, page = await tab.read(options, deadline=deadline)
            except Hung:
                if STOPPED in self.notes:
                    raise BrowserFault("a page hangs and cannot be read.") from None
                self.notes.append(STOPPED)
                continue
            except Late:
                deadline = min(deadline, time.monotonic())
                continue
            except Gone:
                await self._until_closed(tab)
                continue
            if tab is not self.tab:
                continue
            quiet = not (tab.busy or self.visit.in_flight or self._opening or self._attaching)
            self.settled = done and quiet and epoch == self._epoch
            if self.settled or late:
                if not self.settled:
                    self.notes.append("The page did not finish loading.")
                    await tab.give_up()
                    self._opening = 0
                tab.show(page)
                self.next_ref = page["next"]
                break
            if not quiet:
                await self._news(deadline)
        self._check()
