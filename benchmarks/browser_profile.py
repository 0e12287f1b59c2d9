"""Where the CPU time of a browser's step goes, and what a bare one costs: for ``browser.py``.

A profile counts by process and thread (of the kernel's own accounts) and by phase; the phases are cut where thinkact
asks the page something, in the order in which a step has them. What the page and the browser do beside is counted to
the phase that is under way. The bare step is a click of a real mouse on a link, the soft navigation that follows, and
one evaluation of the page's text, over the protocol alone: no snapshot, no check, no environment, frames as Chromium
makes them by itself. It is what any driver pays on this machine before it does anything of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from browser_parts import Env, kind, play

from thinkact.tools.browser.chrome import find_chrome, flags
from thinkact.tools.browser.chromium import Browser
from thinkact.tools.browser.input import Keyboard, Mouse
from thinkact.tools.browser.tab import Tab
from thinkact.tools.browser.tabs import Tabs

Seconds = dict[tuple[str, str], float]
#: What the calls of the reader belong to; all others are "other questions".
PHASES = {
    "locate": "1 find the element",
    "quieted": "3 site, swap or load, until quiet",
    "look": "4 frame and reading",
    "lookDrawn": "4 frame and reading",
    "glance": "4 frame and reading",
}
INPUT = "2 mouse and keyboard"
#: A click and what comes of it, and then the text: what is under way is counted on the root by the applications.
_TARGET = """(() => {
    const here = (link) => link.origin === location.origin && !link.target;
    const links = [...document.querySelectorAll("header a[href]")].filter(here);
    const box = links[%d %% links.length].getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
_TEXT = """new Promise((done) => {
    const root = document.documentElement, quiet = () => !root.dataset.pending;
    const told = () => done(document.body.innerText);
    if (quiet()) return told();
    const watcher = new MutationObserver(() => quiet() && (watcher.disconnect(), told()));
    watcher.observe(root, { attributes: true });
})"""


class Account:
    """CPU seconds of this process and all below it, by kind of process and name of thread; looking is not counted."""

    def __init__(self) -> None:
        self.spent: dict[str, Seconds] = defaultdict(lambda: defaultdict(float))
        self.phase = ""
        self._kinds: dict[int, str] = {}
        self._last: dict[tuple[int, str], tuple[float, str]] = {}

    def turn(self, phase: str) -> None:
        """Count what was spent since the last turn to the phase that ends, and begin another; none counts nothing."""
        begun = time.thread_time()
        now = self._look()
        for (pid, thread), (seconds, name) in now.items():
            before, _ = self._last.get((pid, thread), (0.0, ""))
            if self.phase:
                self.spent[self.phase][self._kinds[pid], name] += seconds - before
        me = (os.getpid(), str(threading.get_native_id()))
        self._last = now
        if me in now:  # what this look itself takes of the thread that looks
            seconds, name = now[me]
            self._last[me] = seconds + time.thread_time() - begun, name
        self.phase = phase

    def _look(self) -> dict[tuple[int, str], tuple[float, str]]:
        found = {}
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                if process.pid not in self._kinds:
                    self._kinds[process.pid] = kind(process)
                for thread in Path(f"/proc/{process.pid}/task").iterdir():
                    seconds = int(thread.joinpath("schedstat").read_text().split()[0]) / 1e9
                    name = thread.joinpath("comm").read_text().strip()
                    if process.pid == me.pid:
                        name = "main thread" if thread.name == str(me.pid) else "browser's thread"
                    found[process.pid, thread.name] = seconds, name
            except (psutil.Error, OSError):
                pass
        return found


@contextlib.contextmanager
def phases(account: Account) -> Iterator[None]:
    """Cut steps into phases while this is open."""
    was: list[tuple[type, str, Any]] = []

    def cut(owner: type, name: str, phase_of: Callable[..., str]) -> None:
        plain = getattr(owner, name)
        was.append((owner, name, plain))

        @functools.wraps(plain)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            account.turn(phase_of(*args) if account.phase else "")
            try:
                return await plain(*args, **kwargs)
            finally:
                account.turn("5 all the rest" if account.phase else "")

        setattr(owner, name, counted)

    cut(Tabs, "_news", lambda *rest: "3 site, swap or load, until quiet")
    cut(Tab, "call", lambda tab, function, *rest: PHASES.get(function, "other questions"))
    for owner, name in ((Mouse, "click"), (Mouse, "move"), (Keyboard, "press"), (Keyboard, "type")):
        cut(owner, name, lambda *rest: INPUT)
    try:
        yield
    finally:
        for owner, name, plain in was:
            setattr(owner, name, plain)


def profile(env: Env, episodes: int) -> dict[str, Any]:
    """Let the expert play; return CPU milliseconds a step, by process and thread, by phase and by call."""
    account, steps = Account(), 0
    calls: dict[str, list[float]] = defaultdict(list)
    ids = env.sample_tasks(episodes + 2, 0)
    with phases(account):
        for number, task_id in enumerate(ids):
            prompt, info = env.reset(options={"task_id": task_id})
            time.sleep(0.5)  # spares are made and washed meanwhile, which is no part of a step

            def step(action: str, number: int = number) -> Any:
                nonlocal steps
                account.turn("5 all the rest" if number >= 2 else "")
                before = total(account)
                result = env.step(action)
                account.turn("")
                if number >= 2:
                    steps += 1
                    calls[action.split('"')[3]].append(total(account) - before)
                return result

            play(env, prompt, info, step)
    by_thread: dict[str, float] = defaultdict(float)
    by_process: dict[str, float] = defaultdict(float)
    for spent in account.spent.values():
        for (process, thread), seconds in spent.items():
            by_process[process] += seconds
            by_thread[f"{process}: {thread}"] += seconds
    by_phase = {phase: sum(spent.values()) for phase, spent in sorted(account.spent.items())}
    return {
        "steps": steps,
        "step_cpu_ms": round(1e3 * total(account) / steps, 2),
        "by_process": _shares(by_process, steps),
        "by_thread": _shares(by_thread, steps, least=0.1),
        "by_phase": {phase: round(1e3 * seconds / steps, 2) for phase, seconds in by_phase.items()},
        "by_call": {
            name: {"n": len(each), "ms": round(1e3 * sum(each) / len(each), 1)} for name, each in calls.items()
        },
    }


def total(account: Account) -> float:
    """Seconds of all phases."""
    return sum(sum(spent.values()) for spent in account.spent.values())


def _shares(seconds: dict[str, float], steps: int, least: float = 0.0) -> dict[str, float]:
    shares = {name: round(1e3 * value / steps, 2) for name, value in seconds.items()}
    return {name: ms for name, ms in sorted(shares.items(), key=lambda each: -each[1]) if ms >= least}


def raw(env: Env, times: int, meter: Any) -> float:
    """Return CPU milliseconds of a bare step in the application that an environment begins with.

    Args:
        env: One of the package's web environments.
        times: Steps to take.
        meter: What counts CPU seconds while it is open.
    """
    env.reset(options={"task_id": env.sample_tasks(1, 0)[0]})
    episode = env._handle._episode  # type: ignore[attr-defined]
    host, first = episode.host, episode.tab.seen["url"]

    async def play() -> float:
        browser = await Browser.launch([find_chrome(), *flags(host.server.port)], frames=False)
        try:
            context = await browser.new_context(1280, 720, "")
            await context.add_cookies(episode.passes())
            page = await context.new_page()

            async def evaluate(script: str) -> Any:
                asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
                return (await page.session.send("Runtime.evaluate", asked))["result"].get("value")

            loaded = asyncio.Event()
            page.session.on("Page.loadEventFired", lambda _: loaded.set())
            await page.session.send("Page.navigate", {"url": first})
            await loaded.wait()
            for step in range(-5, times):  # the first ones warm up
                x, y = await evaluate(_TARGET % (step % 3))
                await asyncio.sleep(0.05)
                with meter if step >= 0 else contextlib.nullcontext():
                    await page.mouse.click(x, y)
                    await evaluate(_TEXT)
        finally:
            await browser.close()
        return 1e3 * meter.seconds / times

    return float(host.call(play(), 300))
