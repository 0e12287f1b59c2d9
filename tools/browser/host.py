"""The browsers of a process: one thread with one event loop, one server, warm contexts."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from thinkact.tools.browser.chrome import find_chrome
from thinkact.tools.browser.contexts import USES, Chromium, Lease, Place, Window, prepare, wash
from thinkact.tools.browser.driver import Name, chosen, launch
from thinkact.tools.browser.server import Server
from thinkact.tools.browser.types import BrowserFault

T = TypeVar("T")

#: Contexts that one Chromium holds before another is started, as long as there are cores for it.
CONTEXTS = 16
#: Episodes that one Chromium serves before it is replaced: what it leaks goes with it.
RECYCLE = 300
#: Seconds for the start of a browser or of a context.
START = 60.0
#: Contexts that are kept ready beyond those in use, at most.
SPARES = 4


class Host:
    """Browsers and the server of the sites, on a loop of their own; see :func:`current`."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.server = Server()
        self.dead = False
        self._driver: Name = "pipe"
        self._browsers: list[Chromium] = []
        self._background: set[asyncio.Task[Any]] = set()
        self.loop = asyncio.new_event_loop()
        self._launching: asyncio.Lock | None = None
        self._thread = threading.Thread(target=self._serve, name="thinkact-browser", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine on the loop and wait for it.

        Raises:
            BrowserFault: It took longer than ``timeout`` seconds, or the loop is gone.
        """
        if self.dead:
            work.close()
            raise BrowserFault("the browser of this process was shut down.")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise BrowserFault(f"the browser did not answer within {timeout:g} s.") from None
        except concurrent.futures.CancelledError:
            raise BrowserFault("the browser was shut down.") from None
        except BaseException:
            future.cancel()
            raise

    async def lease(self, window: Window, place: Place) -> Lease:
        """Return a fresh context, a warm one where there is one, and make the next ready.

        Args:
            window: What it must be like.
            place: Where the episode begins; one that waits there is taken first.

        Raises:
            BrowserFault: None could be made.
        """
        error: Exception | None = None
        for _ in range(2):
            chromium = await self._chromium(window.headful)
            try:
                return await self._take(chromium, window, place)
            except Exception as failure:
                error = failure
                self.retire(chromium)
        raise BrowserFault(f"no browser context could be made: {error}") from error

    async def _take(self, chromium: Chromium, window: Window, place: Place) -> Lease:
        chromium.live += 1
        chromium.served += 1
        try:
            lease = await asyncio.wait_for(self._spare(chromium, window, place), START)
        except BaseException:
            chromium.live -= 1
            raise
        # As many as are in use, so that episodes that end together begin together too.
        spares = chromium.spares[window] = chromium.spares.pop(window, [])
        # A spare with a window would cover the one that is worked in.
        if chromium in self._browsers and chromium.served < RECYCLE and not window.headful:
            while len(spares) < min(SPARES, chromium.live):
                spares.append(asyncio.create_task(self._later_made(chromium, window, place)))
                spares[-1].add_done_callback(_seen)
        self._spare_less(chromium)
        return lease

    async def _spare(self, chromium: Chromium, window: Window, place: Place) -> Lease:
        spares = chromium.spares.setdefault(window, [])
        while spares:
            # One that is ready before one that is being made, and of those the one that is on the spot.
            spares.sort(key=lambda task: (not task.done(), not _waits(task, place)))
            made = spares.pop(0)
            try:
                with chromium.turns.hurry() if not made.done() else nullcontext():
                    lease = await made
                if not lease.tab.odd:
                    return lease
                self.later(quietly(lease.context.close()))  # its process died while nobody used it
            except Exception:
                if chromium.dead or not chromium.browser.is_connected():
                    raise
        # Somebody waits: its first page is loaded at once, rather than a shell before it.
        return await prepare(chromium, window, Place(place.hosts))

    async def _later_made(self, chromium: Chromium, window: Window, place: Place) -> Lease:
        await chromium.turns.rest()
        return await prepare(chromium, window, place)

    async def _washed(self, lease: Lease, hosts: Sequence[str]) -> Lease:
        try:
            return await asyncio.wait_for(wash(lease, hosts), START)
        except BaseException:
            self.later(quietly(lease.context.close()))
            raise

    def _spare_less(self, chromium: Chromium) -> None:
        """Throw away what is more than can be of use; what was asked for last is kept longest."""
        most = max(SPARES, chromium.live)
        for window in list(chromium.spares):
            spares = chromium.spares[window]
            while spares and sum(map(len, chromium.spares.values())) > most:
                self.later(_unmade(spares.pop()))
            if not spares:
                del chromium.spares[window]

    def release(self, lease: Lease, hosts: Sequence[str]) -> None:
        """Take a context back; called on the loop.

        Args:
            lease: The context.
            hosts: Those that answered its episode, if it may serve another; none throws it away.
        """
        chromium = lease.chromium
        chromium.live -= 1
        over = chromium not in self._browsers or chromium.served >= RECYCLE
        if not hosts or over or lease.window.headful or lease.uses + 1 >= USES:
            self.later(quietly(lease.context.close()))
        else:
            spares = chromium.spares.setdefault(lease.window, [])
            spares.append(self.loop.create_task(self._washed(lease, hosts)))
            spares[-1].add_done_callback(_seen)
            self._spare_less(chromium)
        if chromium.live == 0 and over:
            self.later(self._shut(chromium))

    def retire(self, chromium: Chromium) -> None:
        """Hand out nothing more of a browser; it ends with its last episode."""
        if chromium in self._browsers:
            self._browsers.remove(chromium)
        if chromium.live == 0:
            self.later(self._shut(chromium))

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside, on the loop."""
        task = self.loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def stop(self) -> None:
        """End every browser and the thread. Idempotent; not from the loop's own thread."""
        if self.dead or self.pid != os.getpid():
            return
        self.dead = True
        if self._thread.is_alive():
            try:
                asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
            except Exception:
                pass  # what hangs dies with the driver, whose pipe closes with this process
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)

    # On the loop.

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        # What is sent and not waited for complains of pages that were closed meanwhile; the rest is all waited for.
        self.loop.set_exception_handler(lambda loop, context: None)
        self.loop.run_forever()
        self.loop.close()

    async def open(self) -> None:
        """Choose the driver and start the server.

        Raises:
            BrowserFault: There is no such driver, or the server does not start.
        """
        self._driver = chosen()
        self._launching = asyncio.Lock()
        await self.server.start()

    async def _chromium(self, headful: bool) -> Chromium:
        assert self._launching is not None
        async with self._launching:
            fit = [
                each
                for each in self._browsers
                if not each.dead and each.headful == headful and each.served < RECYCLE and each.browser.is_connected()
            ]
            best = min(fit, key=lambda each: each.live, default=None)
            if best is None or (best.live >= CONTEXTS and len(fit) < (os.cpu_count() or 1)):
                best = await self._launch(headful)
                self._browsers.append(best)
            return best

    async def _launch(self, headful: bool) -> Chromium:
        program = find_chrome(headful=headful)
        try:
            browser = await launch(self._driver, program, self.server.port, headful=headful)
        except Exception as error:
            raise BrowserFault(f"{program} did not start: {str(error)[:2000]}") from error
        chromium = Chromium(browser, browser.session, headful, self.server)

        def gone(_: Any) -> None:
            chromium.dead = True
            if chromium in self._browsers:
                self._browsers.remove(chromium)

        browser.on("disconnected", gone)
        return chromium

    async def _shut(self, chromium: Chromium) -> None:
        if chromium in self._browsers:
            self._browsers.remove(chromium)
        for spares in chromium.spares.values():
            for task in spares:
                task.cancel()
        await quietly(chromium.browser.close())

    async def _end(self) -> None:
        for chromium in list(self._browsers):
            await self._shut(chromium)
        await self.server.stop()


def _waits(task: asyncio.Task[Lease], place: Place) -> bool:
    """Tell whether a spare waits where an episode begins."""
    made = task.done() and not task.cancelled() and task.exception() is None
    return made and task.result().place.shell == place.shell


def _seen(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended, so that nobody complains that nobody did."""
    if not task.cancelled():
        task.exception()


async def _unmade(task: asyncio.Task[Lease]) -> None:
    """Throw a context away that is ready, or still being made."""
    await quietly((await task).context.close())


async def quietly(work: Any) -> None:
    """Wait for what is about to go away anyway, for a while; how it ends does not matter."""
    try:
        await asyncio.wait_for(work, 10)
    except Exception:
        pass


_guard = threading.Lock()
_host: Host | None = None


def current() -> Host:
    """Return the host of this process, started on first use; a forked child gets one of its own.

    Raises:
        BrowserFault: It does not start.
    """
    global _host
    with _guard:
        if _host is not None and _host.pid == os.getpid() and not _host.dead:
            return _host
        host = Host()
        try:
            host.call(host.open(), START + 10)
        except BaseException:
            host.stop()
            raise
        _host = host
        return host


def shut_down() -> None:
    """End the browsers of this process; the next use starts them anew."""
    global _host
    with _guard:
        host, _host = _host, None
    if host is not None:
        host.stop()


def _after_fork() -> None:
    """A child has none of the threads: it makes a host of its own when it needs one."""
    global _guard, _host
    _guard = threading.Lock()
    _host = None


atexit.register(shut_down)
os.register_at_fork(after_in_child=_after_fork)
