"""States of an episode's browser as plain values, and the way back to them.

A page is what its sites make of its address, with the fields, the focus, the scrolling and the storage put back. What
cannot be seen so (variables of the page's scripts, databases in the browser) is not part of a state: pages that depend
on such things differ in what they do later, though not in what they show.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from thinkact.tools.browser.server import COOKIE
from thinkact.tools.browser.types import NotExact

if TYPE_CHECKING:
    from thinkact.tools.browser.episode import Episode

#: What must be the same of every tab for a state to be back.
_SAME = ("url", "title", "lines", "focus", "refs", "state")


async def take(episode: Episode) -> dict[str, Any]:
    """Return the state of the last observation.

    Raises:
        NotExact: The page had not settled.
    """
    unsettled = not episode.settled or episode.tab.busy or episode.visit.in_flight
    if unsettled or any(tab.hung or not tab.seen for tab in episode.tabs):
        raise NotExact("the page has not settled.")
    cookies = [each for each in await episode.lease.context.cookies() if each["name"] != COOKIE]
    return {
        "tabs": [{"before": list(tab.before), **{key: tab.seen[key] for key in _SAME}} for tab in episode.tabs],
        "active": episode.active,
        "next": episode.next_ref,
        "cookies": cookies,
    }


async def put(episode: Episode, state: dict[str, Any]) -> None:
    """Open every tab of a state again, and compare.

    Raises:
        NotExact: A tab is not what it was.
    """
    context = episode.lease.context
    await context.clear_cookies()
    await context.add_cookies([*episode.passes(), *state["cookies"]])
    while len(episode.tabs) > len(state["tabs"]):
        await episode.tabs[-1].page.close()
    for index, saved in enumerate(state["tabs"]):
        if index == len(episode.tabs):
            await episode.new_tab()
        await episode.show(index)
        await _tab(episode, saved)
    if episode.active != state["active"]:
        await episode.show(state["active"])
    episode.next_ref = state["next"]
    episode.view.shown(state["tabs"][state["active"]], episode.turned)
    episode.notes.clear()


async def _tab(episode: Episode, saved: dict[str, Any]) -> None:
    tab, deadline = episode.tab, episode.deadline()
    kept = saved["state"]
    if "#" in saved["url"]:  # or it would be the same document
        await episode.open("about:blank", deadline)
    await episode.open(saved["url"], deadline)
    await episode.look(deadline)
    stored = tab.seen["state"]
    if any(stored[kind] != kept[kind] for kind in ("local", "session")):
        # Scripts read their storage when a page is opened.
        for kind in ("local", "session"):
            await tab.call("store", kind, kept[kind], deadline=deadline)
        await episode.open(saved["url"], deadline)
        await episode.look(deadline)
    typed = await tab.call("put", kept, deadline=deadline)
    # What the fields brought into view has its numbers too.
    await episode.look(deadline, saved["refs"])
    if typed is not None:
        # The field that is being written in: once it is left, the page hears of a change, as it would have.
        await tab.call("selectAll", _focused(saved), deadline=deadline)
        if typed:
            await tab.page.keyboard.insert_text(typed)
        else:
            await tab.page.keyboard.press("Delete")
    await tab.call("focus", _focused(saved), kept["caret"], kept["scroll"], deadline=deadline)
    await episode.look(max(deadline, time.monotonic() + 1.0))
    for key in _SAME:
        if tab.seen[key] != saved[key]:
            raise NotExact(f"the {key} of {saved['url']} cannot be brought back.")
    if not episode.settled:
        raise NotExact(f"{saved['url']} did not settle.")
    tab.before = list(saved["before"])


def _focused(saved: dict[str, Any]) -> str:
    """Return the reference of the element that has the focus, or nothing."""
    return str(saved["focus"].rpartition("[")[2].rstrip("]"))
