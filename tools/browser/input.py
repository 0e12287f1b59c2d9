"""A mouse and a keyboard: the events of a person's, made where the window system's arrive.

Keys are those of an American keyboard; codes and numbers are those of UI Events (https://www.w3.org/TR/uievents-code/
and https://www.w3.org/TR/uievents/#legacy-key-models).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thinkact.tools.browser.cdp import Session

if TYPE_CHECKING:
    from thinkact.tools.browser.chromium import Page

#: Bits by which events tell of the keys that are held.
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}


@dataclass(frozen=True)
class Key:
    """What a key is called, where it lies, its number, and what it types."""

    key: str
    code: str
    number: int
    text: str = ""
    location: int = 0


def _keys() -> dict[str, Key]:
    keys: dict[str, Key] = {}

    def types(code: str, number: int, characters: str) -> None:
        for character in characters:
            keys[character] = Key(character, code, number, character)

    for letter in "abcdefghijklmnopqrstuvwxyz":
        types(f"Key{letter.upper()}", ord(letter.upper()), letter + letter.upper())
    for digit, shifted in zip("0123456789", ")!@#$%^&*(", strict=True):
        types(f"Digit{digit}", ord(digit), digit + shifted)
    for code, number, characters in (
        *(("Semicolon", 186, ";:"), ("Equal", 187, "=+"), ("Comma", 188, ",<"), ("Minus", 189, "-_")),
        *(("Period", 190, ".>"), ("Slash", 191, "/?"), ("Backquote", 192, "`~"), ("BracketLeft", 219, "[{")),
        *(("Backslash", 220, "\\|"), ("BracketRight", 221, "]}"), ("Quote", 222, "'\""), ("Space", 32, " ")),
    ):
        types(code, number, characters)
    for name, number in (
        *(("Tab", 9), ("Escape", 27), ("Backspace", 8), ("Delete", 46), ("Insert", 45), ("Home", 36), ("End", 35)),
        *(("PageUp", 33), ("PageDown", 34), ("ArrowLeft", 37), ("ArrowUp", 38), ("ArrowRight", 39), ("ArrowDown", 40)),
        *((f"F{n}", 111 + n) for n in range(1, 13)),
    ):
        keys[name] = Key(name, name, number)
    for name, number in (("Shift", 16), ("Control", 17), ("Alt", 18), ("Meta", 91)):
        keys[name] = Key(name, f"{name}Left", number, location=1)
    keys["Enter"] = keys["\n"] = Key("Enter", "Enter", 13, "\r")
    return keys | {"Space": keys[" "]}


KEYS = _keys()
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789;=,-./`[\\]'"
#: What a key types while Shift is held.
_SHIFTED = dict(zip(_PLAIN, (KEYS[each] for each in 'ABCDEFGHIJKLMNOPQRSTUVWXYZ)!@#$%^&*(:+<_>?~{|}"'), strict=True))


class Mouse:
    """The mouse of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def move(self, x: float, y: float) -> None:
        """Move to a point, in CSS pixels of the window."""
        moved = self._event("mouseMoved", x, y, buttons=0)
        # A page hears of moves once a frame.
        with self._page.drawing():
            self._page.frame()
            await moved

    async def click(self, x: float, y: float, *, click_count: int = 1) -> None:
        """Move to a point and click there, once or more often."""
        # All is sent before the first is answered: the order stays, and the page works once.
        events = [self._event("mouseMoved", x, y, buttons=0)]
        for count in range(1, click_count + 1):
            events.append(self._event("mousePressed", x, y, button="left", buttons=1, clickCount=count, force=0.5))
            events.append(self._event("mouseReleased", x, y, button="left", buttons=0, clickCount=count))
        await asyncio.gather(*events)

    def _event(self, kind: str, x: float, y: float, **more: Any) -> asyncio.Future[Any]:
        return self._page.session.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})


class Keyboard:
    """The keyboard of a page."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def press(self, keys: str) -> None:
        """Press keys together, joined by ``+``: the last one while those before it, modifiers, are held."""
        *names, last = (
            [*keys[:-2].split("+"), "+"] if keys.endswith("++") else [keys] if keys == "+" else keys.split("+")
        )
        held = 0
        events = []
        for name in names:
            held |= MODIFIERS[name]
            events += self._down(KEYS[name], held)
        key = _SHIFTED.get(last, KEYS[last]) if "Shift" in names else KEYS[last]
        # With Control, Alt or Meta a key gives a command and types nothing.
        events += self._down(key, held, key.text if not held & ~MODIFIERS["Shift"] else "")
        events += self._up(key, held)
        for name in reversed(names):
            held &= ~MODIFIERS[name]
            events += self._up(KEYS[name], held)
        await asyncio.gather(*events)

    async def type(self, text: str) -> None:
        """Type text key by key; what no key types is put in."""
        events = []
        for character in text:
            key = KEYS.get(character)
            if key is None:
                events.append(self._put(character))
            else:
                events += [*self._down(key, 0, key.text), *self._up(key, 0)]
        await asyncio.gather(*events)

    async def insert_text(self, text: str) -> None:
        """Put text in where the caret is, as an input method does: without keys."""
        await self._put(text)

    def _put(self, text: str) -> asyncio.Future[Any]:
        return self._session.send("Input.insertText", {"text": text})

    def _down(self, key: Key, held: int, text: str = "") -> list[asyncio.Future[Any]]:
        typed = {"type": "keyDown", "text": text, "unmodifiedText": text} if text else {"type": "rawKeyDown"}
        return [self._event(key, held, typed)]

    def _up(self, key: Key, held: int) -> list[asyncio.Future[Any]]:
        return [self._event(key, held, {"type": "keyUp"})]

    def _event(self, key: Key, held: int, more: dict[str, str]) -> asyncio.Future[Any]:
        told = {"key": key.key, "code": key.code, "windowsVirtualKeyCode": key.number, "location": key.location}
        return self._session.send("Input.dispatchKeyEvent", {**told, "modifiers": held, **more})
