"""A browser in which the page's time passes call by call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thinkact.envs.miniwob.site import HOST, Site, shell
from thinkact.tools.base import ErrorKind
from thinkact.tools.browser import BrowserFault, BrowserHandle, BrowserOptions
from thinkact.tools.browser.actions import ACTIONS

if TYPE_CHECKING:
    from thinkact.tools.browser.episode import Episode

#: Milliseconds of the page's clock that one call takes.
CALL_MS = 1000
#: Milliseconds before the first look: what a page sets going at once has happened by then.
OPENING_MS = 100
#: Times that a page is asked whether it is ready; most are at the first.
_MOST_LOOKS = 50
#: Name under which a call and the time it takes are one action of the browser.
_TIMED = "miniwob: timed"


@dataclass(frozen=True)
class PageState:
    """What the page says of its episode.

    Attributes:
        ready: Whether the episode has started.
        goal: The task, in words.
        done: Whether the episode ended.
        reward: The page's raw reward, from -1 to 1, without its discount for time.
        reason: Why, where the page says it.
    """

    ready: bool = False
    goal: str = ""
    done: bool = False
    reward: float = 0.0
    reason: str = ""


class MiniWobBrowser:
    """One page of MiniWoB at a time: opened from a seed, acted on, asked for its reward.

    Args:
        options: How the browser behaves.
    """

    def __init__(self, options: BrowserOptions) -> None:
        self.handle = BrowserHandle(options)
        self.state = PageState()

    def open(self, name: str, seed: int) -> str:
        """Open a task; return its page as text.

        Raises:
            BrowserFault: No browser could be had, or the page did not start.
            MiniWobMissing: The package ``miniwob`` is not installed.
        """
        site = Site(name, seed)
        self.state = PageState()
        first = (_TIMED, self._call("wait", {}, OPENING_MS))
        page = self.handle.start({HOST: site}, site.url(), first=first, shell=shell())
        for _ in range(_MOST_LOOKS):
            if self.state.ready:
                return page
            page, _ = self._timed("wait", {}, OPENING_MS)
        raise BrowserFault(f"the page of {name} did not start.")

    def act(self, tool: str, arguments: Mapping[str, Any]) -> tuple[str, ErrorKind | None]:
        """Do what a tool does, let the page's time pass, and return the page as text; a mistake takes no time.

        Raises:
            BrowserFault: The browser is gone.
        """
        milliseconds = round(1000 * float(arguments["seconds"])) if tool == "wait" else CALL_MS
        page, kind = self._timed(tool, arguments, milliseconds)
        # A page that is over holds nothing to act on.
        return (f"The task is over: reward {self.state.reward:g}." if self.state.done else page), kind

    def _timed(self, tool: str, arguments: Mapping[str, Any], milliseconds: int) -> tuple[str, ErrorKind | None]:
        return self.handle.act(_TIMED, self._call(tool, arguments, milliseconds))

    def _call(self, tool: str, arguments: Mapping[str, Any], milliseconds: int) -> dict[str, Any]:
        return {"tool": tool, "arguments": arguments, "milliseconds": milliseconds, "tell": self._tell}

    def _tell(self, told: Mapping[str, Any] | None) -> None:
        if told is not None and not self.state.done:
            self.state = PageState(
                ready=bool(told["ready"]),
                goal=str(told["goal"]) or self.state.goal,
                done=bool(told["done"]),
                reward=float(told["reward"]),
                reason=str(told["reason"])[:200],
            )


async def _act_and_pass_time(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Do a call, let the page's clock run on, and hear what the page says: before it is looked at."""
    if arguments["tool"] != "wait":
        await ACTIONS[arguments["tool"]](episode, arguments["arguments"], deadline)
    # Among the page's own scripts: that is where upstream keeps the reward. No agent has a call that gets there.
    run = f"typeof thinkactMiniwob === 'function' ? thinkactMiniwob({int(arguments['milliseconds'])}) : null"
    question = {"expression": run, "returnByValue": True, "awaitPromise": True}
    async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
        answer = await episode.tab.cdp.send("Runtime.evaluate", question)
    if trouble := answer.get("exceptionDetails"):
        said = trouble.get("exception", {}).get("description") or trouble.get("text")
        raise BrowserFault(f"the page's script failed: {said}")
    arguments["tell"](answer["result"].get("value"))


ACTIONS[_TIMED] = _act_and_pass_time
