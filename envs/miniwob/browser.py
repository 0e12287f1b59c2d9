"""A browser in which the page's time passes call by call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thinkact.envs.miniwob.site import HOST, Site
from thinkact.tools.base import ErrorKind
from thinkact.tools.browser import BrowserFault, BrowserHandle, BrowserOptions

#: Milliseconds of the page's clock that one call takes.
CALL_MS = 1000
#: Milliseconds before the first look: what a page sets going at once has happened by then.
OPENING_MS = 100
#: Times that a page is asked whether it is ready; most are at the first.
_MOST_LOOKS = 50
_TICK = "typeof thinkactMiniwob === 'function' ? thinkactMiniwob({ms}) : null"


@dataclass(frozen=True)
class PageState:
    """What the page says of its episode.

    Attributes:
        goal: The task, in words.
        done: Whether the episode ended.
        reward: The page's raw reward, from -1 to 1, without its discount for time.
        reason: Why, where the page says it.
    """

    goal: str = ""
    done: bool = False
    reward: float = 0.0
    reason: str = ""


class PageHandle(BrowserHandle):
    """A browser whose page the environment can ask; agents have no such call."""

    def evaluate(self, expression: str) -> Any:
        """Run an expression among the page's own scripts, wait for its promise, return its value (plain JSON).

        Raises:
            BrowserFault: The page is gone, raised, or did not answer in time.
        """
        return self._call(self._evaluate(expression))

    async def _evaluate(self, expression: str) -> Any:
        episode = self._open
        question = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        async with episode.lease.chromium.turns:
            try:
                async with asyncio.timeout(self.options.action_timeout):
                    answer = await episode.tab.cdp.send("Runtime.evaluate", question)
            except Exception as error:
                raise BrowserFault(f"the page did not answer: {error or 'no answer in time'}") from error
        if trouble := answer.get("exceptionDetails"):
            said = trouble.get("exception", {}).get("description") or trouble.get("text")
            raise BrowserFault(f"the page's script failed: {said}")
        return answer["result"].get("value")


class MiniWobBrowser:
    """One page of MiniWoB at a time: opened from a seed, acted on, asked for its reward.

    Args:
        options: How the browser behaves.
    """

    def __init__(self, options: BrowserOptions) -> None:
        self.handle = PageHandle(options)
        self.state = PageState()

    def open(self, name: str, seed: int) -> str:
        """Open a task; return its page as text.

        Raises:
            BrowserFault: No browser could be had, or the page did not start.
            MiniWobMissing: The package ``miniwob`` is not installed.
        """
        site = Site(name, seed)
        self.state = PageState()
        self.handle.start({HOST: site}, site.url())
        for _ in range(_MOST_LOOKS):
            told = self._tick(OPENING_MS)
            if told is not None and told["ready"]:
                return self.handle.observe()
        raise BrowserFault(f"the page of {name} did not start.")

    def act(self, tool: str, arguments: Mapping[str, Any]) -> tuple[str, ErrorKind | None]:
        """Do what a tool does, let the page's time pass, and return the page as text.

        A mistake takes time as well, as it does for a person.

        Raises:
            BrowserFault: The browser is gone.
        """
        kind: ErrorKind | None = None
        text, milliseconds = "", CALL_MS
        if tool == "wait":
            milliseconds = round(1000 * float(arguments["seconds"]))
        else:
            text, kind = self.handle.act(tool, arguments)
        self._tick(milliseconds)
        # A page that is over holds nothing to act on.
        if self.state.done:
            return f"The task is over: reward {self.state.reward:g}.", kind
        return (text if kind is not None else self.handle.observe()), kind

    def _tick(self, milliseconds: int) -> dict[str, Any] | None:
        told: dict[str, Any] | None = self.handle.evaluate(_TICK.format(ms=milliseconds))
        if told is not None and not self.state.done:
            self.state = PageState(
                goal=str(told["goal"]) or self.state.goal,
                done=bool(told["done"]),
                reward=float(told["reward"]),
                reason=str(told["reason"])[:200],
            )
        return told
