"""``BrowserHandle``: one environment's browser, for callers without an event loop."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from thinkact.tools.base import ErrorKind
from thinkact.tools.browser.episode import Episode
from thinkact.tools.browser.host import START, current
from thinkact.tools.browser.server import Shell
from thinkact.tools.browser.types import HOST, ASGIApp, BrowserDied, BrowserFault, BrowserOptions

T = TypeVar("T")


class BrowserHandle:
    """A browser of an environment's own: at most one context (cookies, storage, tabs) at a time.

    The Chromium below is shared by the handles of a process and runs on a thread of its own; a handle is for one
    thread at a time. Sites are called on that thread too, so that a plain function there must not block for long.

    Args:
        options: How it behaves.
    """

    def __init__(self, options: BrowserOptions | None = None) -> None:
        self.options = options or BrowserOptions()
        self._episode: Episode | None = None

    def start(
        self,
        sites: Mapping[str, ASGIApp],
        url: str,
        *,
        now: datetime | None = None,
        init_script: str | None = None,
        seed: int = 0,
        first: tuple[str, Mapping[str, Any]] | None = None,
        shell: Shell | None = None,
    ) -> str:
        """Open ``url`` in a context without a trace of any episode before; what was open is gone.

        Args:
            sites: Host to application, ``{"shop.test": app}``. Nothing else exists for the pages: no other host,
                no other port, no other scheme.
            url: Where to begin, on one of the sites.
            now: What ``Date`` says in the pages, all the time (naive: in UTC); timers run nevertheless. None leaves
                the clock of the machine. The zone is UTC, the language en-US.
            init_script: JavaScript that runs in every page before its own.
            seed: Of ``Math.random`` in the pages.
            first: An action (its name and arguments, as for :meth:`act`) to do before the page is looked at.
            shell: A page of the first site that ``url``, its ``/``, can be fetched into, or one that has the files
                of any ``url`` there ready. A context that waits there for this episode is quicker; whether there is
                one makes no difference otherwise.

        Returns:
            The page as text, as :meth:`observe` does.

        Raises:
            ValueError: A host that does not end in ``.test``, or a URL that is on none of the sites.
            BrowserFault: No browser could be had, or the first page could not be opened.
        """
        if not sites:
            raise ValueError("there must be at least one site.")
        for name in sites:
            if not HOST.fullmatch(name):
                raise ValueError(f"{name!r}: a site's host is lower case and ends in .test (shop.test).")
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.netloc not in sites:
            raise ValueError(f"{url!r} is on none of the sites: {', '.join(sites)}.")
        if shell is not None and shell.files is None and url != f"http://{shell.host}/":
            raise ValueError(f"{url!r} is not where the shell is: http://{shell.host}/.")
        self.close()
        for last in (False, False, True):
            host = current()
            episode = Episode.start(
                host, self.options, sites, url, now=now, init_script=init_script, seed=seed, first=first, shell=shell
            )
            try:
                self._episode = host.call(episode, 3 * START + self.options.action_timeout)
                return self._episode.opening
            except BrowserFault as fault:
                # What died since it was used last is replaced at once.
                if last or not isinstance(fault, BrowserDied):
                    raise
        raise AssertionError("the last try returns or raises")

    def observe(self, page: int = 1) -> str:
        """Return the page as text, whole (never as a difference).

        First come address, title, tabs (when there are several), focus and what happened beside the page (dialogs,
        refused downloads); then the page in reading order, one line for a piece of text or a control:
        ``- button [e12] "Add to cart"``. The rows of a table are one line each, their cells separated by `` | ``.

        Args:
            page: Which part of a text that is longer than ``options.page_chars``, from 1.

        Raises:
            BrowserFault: The browser is gone.
        """
        return self._call(self._open.observe(page))

    def act(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, ErrorKind | None]:
        """Do what the tool ``name`` does; return the page as text and whether it was a mistake.

        Raises:
            BrowserFault: The browser is gone, or a site failed.
        """
        return self._call(self._open.act(name, arguments))

    def screenshot(self) -> bytes:
        """Return the visible part of the page as PNG.

        Raises:
            BrowserFault: The browser is gone, or drew nothing in time.
        """
        return self._call(self._open.screenshot())

    @property
    def url(self) -> str:
        """The address of the active tab, as of the last observation."""
        return str(self._open.tab.seen["url"])

    @property
    def title(self) -> str:
        """The title of the active tab, as of the last observation."""
        return str(self._open.tab.seen["title"])

    def snapshot(self) -> Any:
        """Return the state as a plain value: tabs, addresses, form values, focus, scrolling, storage.

        It is the state of the last observation, and cheap.

        Raises:
            NotExact: The page had not settled, or holds what cannot be put into a value.
            BrowserFault: The browser is gone.
        """
        return self._call(self._open.snapshot())

    def restore(self, state: Any) -> None:
        """Bring back a state that :meth:`snapshot` returned, after :meth:`start` with the same arguments.

        Pages are opened anew from the sites, so those must be in the state of that moment already, and opening a
        page must not change them (or they are put back once more afterwards). The text of every tab is compared
        with what it was.

        Raises:
            NotExact: It could not be brought back exactly.
            BrowserFault: The browser is gone.
        """
        self._call(self._open.restore(state))

    def close(self) -> None:
        """Give the context back. Idempotent; :meth:`start` opens another."""
        episode, self._episode = self._episode, None
        if episode is not None and episode.host.pid == os.getpid() and not episode.host.dead:
            episode.host.loop.call_soon_threadsafe(episode.close)

    @property
    def _open(self) -> Episode:
        if self._episode is None:
            raise BrowserFault("the browser is closed; call start().")
        if self._episode.host.pid != os.getpid():
            raise BrowserFault("this browser was started in the parent process; call start() here.")
        return self._episode

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        # Every wait inside has a limit of its own; this one is for what nobody thought of.
        return self._open.host.call(work, 10 * self.options.action_timeout + START)
