"""What an agent can do to a page, with the mouse and the keyboard that a person would use."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from thinkact.tools.browser.tab import Gone, Hung, Late, closed
from thinkact.tools.browser.types import PageMistake

if TYPE_CHECKING:
    from thinkact.tools.browser.episode import Episode

Action = Callable[["Episode", Mapping[str, Any], float], Awaitable[None]]

#: Characters that are typed key by key; of a longer text only the last one is, the rest is put in at once.
TYPED = 4
_KEYS = (
    "Enter Tab Escape Backspace Delete Insert Home End PageUp PageDown Space "
    "ArrowUp ArrowDown ArrowLeft ArrowRight F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12"
).split()
_MODIFIERS = ("Control", "Shift", "Alt", "Meta")


async def _in_time(work: Awaitable[Any], deadline: float, episode: Episode) -> None:
    """Wait for input to be taken.

    Raises:
        Hung: The page took none by the deadline; its script was stopped.
        Late: Another page was on its way, which was stopped.
        Gone: The tab was closed by it.
    """
    tab = episode.tab
    try:
        async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
            with tab.page.drawing():
                await work
    except TimeoutError:
        raise (Hung if await tab.stop() else Late) from None
    except Exception as error:
        if closed(error):
            raise Gone from error
        raise


async def _ask(episode: Episode, function: str, *arguments: Any, deadline: float) -> Any:
    """Ask the page; what it refuses is a mistake."""
    answer = await episode.tab.call(function, *arguments, deadline=deadline)
    if error := answer.get("error"):
        raise PageMistake(error)
    return answer


async def _locate(episode: Episode, ref: str, deadline: float) -> dict[str, Any]:
    found: dict[str, Any] = await _ask(episode, "locate", _ref(ref), deadline=deadline)
    return found


def _ref(ref: str) -> str:
    match = re.fullmatch(r"\[?(e\d{1,9})\]?", ref.strip())
    if match is None:
        raise PageMistake(f"{ref!r} is no element; elements are written e12.", "invalid_arguments")
    return match[1]


async def _click(episode: Episode, at: Mapping[str, Any], deadline: float, count: int = 1) -> None:
    await _in_time(episode.tab.page.mouse.click(at["x"], at["y"], click_count=count), deadline, episode)


async def click(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Click an element where it is."""
    at = await _locate(episode, arguments["ref"], deadline)
    if at["type"] == "file":
        raise PageMistake(f"{at['who']}: files cannot be chosen here.")
    if at["tag"] == "SELECT":
        raise PageMistake(f"{at['who']}: use select to choose an option.")
    await _click(episode, at, deadline, 2 if arguments["double"] else 1)


async def fill(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Replace the text of a field by typing."""
    ref, text, submit = _ref(arguments["ref"]), arguments["text"], arguments["submit"]
    at = await _locate(episode, ref, deadline)
    if not (at["text"] or at["special"]):
        raise PageMistake(f"{at['who']} takes no text.")
    if at["readonly"]:
        raise PageMistake(f"{at['who']} is read-only.")
    if submit and at["multiline"]:
        raise PageMistake(f"{at['who']} has several lines, where Enter does not submit: click the button instead.")
    if at["special"]:
        await _ask(episode, "set", ref, text.strip(), deadline=deadline)
    else:
        if not at["focused"]:
            await _click(episode, at, deadline)
        # A click may have run a script that took the field away.
        await _ask(episode, "selectAll", ref, deadline=deadline)
        await _in_time(_type(episode, text, at["multiline"]), deadline, episode)
    if submit:
        await _in_time(episode.tab.page.keyboard.press("Enter"), deadline, episode)


async def _type(episode: Episode, text: str, multiline: bool) -> None:
    keyboard = episode.tab.page.keyboard
    text = re.sub(r"\r\n?", "\n", text)
    text = text if multiline else re.sub(r"\n+", " ", text)
    text = "".join(each for each in text if each == "\n" or each == "\t" or each.isprintable())
    if "\t" in text:  # the key would leave the field
        await keyboard.insert_text(text)
    elif not text:
        await keyboard.press("Delete")
    else:
        at_once = len(text) - 1 if len(text) > TYPED else 0
        if at_once:
            await keyboard.insert_text(text[:at_once])
        await keyboard.type(text[at_once:])


async def select(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Choose an option; the browser's own list cannot be clicked, so that it is set and told to the page."""
    ref = _ref(arguments["ref"])
    await _locate(episode, ref, deadline)
    await _ask(episode, "select", ref, arguments["option"], deadline=deadline)


async def check(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Click a box unless it is as wanted."""
    at = await _locate(episode, arguments["ref"], deadline)
    if not at["checkable"]:
        raise PageMistake(f"{at['who']} is no checkbox, radio button or switch.")
    if at["radio"] and not arguments["checked"]:
        raise PageMistake(f"{at['who']}: a radio button is unchecked by checking another.")
    if at["checked"] != arguments["checked"]:
        await _click(episode, at, deadline)


async def press(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Press keys together."""
    key = arguments["key"].strip() or "Space"
    *modifiers, last = (
        key.split("+") if key != "+" and not key.endswith("++") else [*key[:-1].strip("+").split("+"), "+"]
    )
    modifiers = [each for each in modifiers if each]
    names = {name.lower(): name for name in (*_KEYS, *_MODIFIERS)} | {
        "ctrl": "Control",
        "esc": "Escape",
        "return": "Enter",
    }
    modifiers = [names.get(each.lower(), each) for each in modifiers]
    last = last if len(last) == 1 else names.get(last.lower(), "")
    known = last and (len(last) > 1 or last.isprintable()) and last not in _MODIFIERS
    if not known or any(each not in _MODIFIERS for each in modifiers):
        raise PageMistake(
            f"there is no key {key!r}. Keys: one character, or {', '.join(_KEYS[:15])}.", "invalid_arguments"
        )
    if last.isascii():
        await _in_time(episode.tab.page.keyboard.press("+".join([*modifiers, last])), deadline, episode)
    else:
        await _in_time(episode.tab.page.keyboard.insert_text(last), deadline, episode)


async def scroll(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Scroll by most of a window, or to an end."""
    ref = _ref(arguments["ref"]) if arguments["ref"].strip() else ""
    await _ask(episode, "scroll", ref, arguments["direction"], deadline=deadline)


async def hover(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Move the mouse over an element."""
    at = await _locate(episode, arguments["ref"], deadline)
    await _in_time(episode.tab.page.mouse.move(at["x"], at["y"]), deadline, episode)


async def back(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Open the address before again; so it is the same after a restore, which has no history."""
    if not episode.tab.before:
        raise PageMistake("there is no page before this one.")
    before = episode.tab.before.pop()
    episode.tab.seen = {**episode.tab.seen, "url": ""}  # what is left is not to be gone back to
    await episode.open(before, deadline)


async def goto(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Open an address in this tab."""
    await episode.open(episode.address(arguments["url"]), deadline)


async def open_tab(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Open an address in a tab of its own."""
    address = episode.address(arguments["url"])
    await episode.new_tab()
    await episode.open(address, deadline)


async def switch_tab(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Look at another tab."""
    await episode.show(_number(episode, arguments["n"]))


async def close_tab(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Close a tab; the last one stays."""
    index = _number(episode, arguments["n"])
    if len(episode.tabs) == 1:
        raise PageMistake("this is the only tab.")
    tab = episode.tabs[index]
    async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
        await tab.page.close()
    await episode.show(min(episode.active, len(episode.tabs) - 1))


def _number(episode: Episode, n: int) -> int:
    if n > len(episode.tabs):
        raise PageMistake(f"there are {len(episode.tabs)} tabs.")
    return n - 1


async def wait_for(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Wait until a text is shown."""
    left = max(0.0, deadline - time.monotonic() - 0.5)
    answer = await episode.tab.call("waitFor", arguments["text"], left * 1000, deadline=deadline)
    if not answer["found"]:
        raise PageMistake(f"{arguments['text'][:100]!r} did not appear.")


async def page(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Do nothing: the page is shown anyway."""


async def click_at(episode: Episode, arguments: Mapping[str, Any], deadline: float) -> None:
    """Click at a point."""
    if arguments["x"] >= episode.options.width or arguments["y"] >= episode.options.height:
        size = f"{episode.options.width} x {episode.options.height}"
        raise PageMistake(f"the point is outside of the window, which has {size} pixels.", "invalid_arguments")
    await _click(episode, arguments, deadline, 2 if arguments["double"] else 1)


ACTIONS: dict[str, Action] = {
    action.__name__: action
    for action in (
        *(click, fill, select, check, press, scroll, hover, back, goto, open_tab, switch_tab, close_tab),
        *(wait_for, page, click_at),
    )
}

#: Those that a page's scripts may answer to.
IN_PAGE = frozenset({"click", "fill", "select", "check", "press", "scroll", "hover", "wait_for", "click_at"})
