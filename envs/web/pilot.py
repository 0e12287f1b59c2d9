"""``Pilot``: how a scripted expert uses a page. It knows only the text of the latest observation."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

#: A generator that yields action text, is sent observations and returns nothing.
Moves = Generator[str, str, None]

_ELEMENT = re.compile(r'([a-z]+) \[(e[0-9]+)\](?: ("(?:[^"\\]|\\.)*"))?')
#: How an observation begins its list of changes, where the environment shows only those.
_CHANGES = "\n\nChanges (+ came, ~ went;"
_POPUP_BUTTONS = ("Got it", "No thanks", "Not now")
#: Pop-ups and loading pages that may stand in the way of one action.
_MOST_OBSTACLES = 6


class NotOnPage(RuntimeError):
    """The expert looks for something that the observation does not show: a bug of the task's script."""


@dataclass(frozen=True)
class Element:
    """Something on the page that can be used: role, ref, name, and where in the text it stands."""

    role: str
    ref: str
    name: str
    at: int


class Pilot:
    """Reads observations and writes actions. Every verb is a generator: ``yield from pilot.click("link", "Cart")``.

    Pop-ups are closed and loading pages are waited for on the way, as anybody would.
    """

    def __init__(self) -> None:
        self.text = ""

    def see(self, text: str) -> None:
        """Take in an observation; one that tells only what changed is applied to the page before."""
        _, told, changes = text.partition(_CHANGES)
        if not told:
            self.text = text
            return
        lines = self.text.split("\n")
        at = len(lines)
        for line in changes.split("\n")[1:]:
            if line.startswith("~ ") and line[2:] in lines:
                at = lines.index(line[2:])
                del lines[at]
            elif line.startswith("+ "):
                lines.insert(at, line[2:])
                at += 1
        self.text = "\n".join(lines)

    def elements(self) -> list[Element]:
        """Return what can be used on the page, in order."""
        return [
            Element(match[1], match[2], json.loads(match[3]) if match[3] else "", match.start())
            for match in _ELEMENT.finditer(self.text)
        ]

    def shows(self, text: str) -> bool:
        """Tell whether a text stands on the page."""
        return text in self.text

    def find(self, role: str, name: str, *, nth: int = 0, near: str = "") -> Element | None:
        """Return the ``nth`` element of a role and name, or None.

        Args:
            role: Its role, or an empty string for any.
            name: Its whole name; failing that, the start of it, then any part of it.
            nth: Which of several, from 0.
            near: Text that stands in the same line, or else the last before the element: a row's number, say.
        """
        there = [element for element in self.elements() if role in ("", element.role)]
        for fits in (str.__eq__, str.startswith, str.__contains__):
            found = [element for element in there if fits(element.name, name)]
            if near:
                found = self._near(found, near)
            if len(found) > nth:
                return found[nth]
        return None

    def _near(self, elements: list[Element], near: str) -> list[Element]:
        at = self.text.find(near)
        if at < 0:
            return []
        line = self.text.rfind("\n", 0, at) + 1
        return [element for element in elements if element.at >= line]

    def ref(self, role: str, name: str, *, nth: int = 0, near: str = "") -> str:
        """Return the ref of an element; see :meth:`find`.

        Raises:
            NotOnPage: There is none.
        """
        found = self.find(role, name, nth=nth, near=near)
        if found is None:
            raise NotOnPage(f"no {role} {name!r}" + (f" near {near!r}" if near else "") + f" on:\n{self.text}")
        return found.ref

    def read(self, pattern: str) -> str:
        """Return the first group of a regular expression's first match on the page.

        Raises:
            NotOnPage: It does not match.
        """
        match = re.search(pattern, self.text, re.MULTILINE)
        if match is None:
            raise NotOnPage(f"nothing like {pattern!r} on:\n{self.text}")
        return match[1]

    def read_all(self, pattern: str) -> list[Any]:
        """Return every match of a regular expression on the page, as ``re.findall`` does."""
        return re.findall(pattern, self.text, re.MULTILINE)

    # Verbs.

    def act(self, tool: str, **arguments: Any) -> Moves:
        """Call a tool and see what came of it."""
        self.see((yield json.dumps({"name": tool, "arguments": arguments}, ensure_ascii=False)))

    def clear(self) -> Moves:
        """Close pop-ups and wait for pages that are loading."""
        for _ in range(_MOST_OBSTACLES):
            button = next((e for e in self.elements() if e.role == "button" and e.name in _POPUP_BUTTONS), None)
            if button is not None:
                yield from self.act("click", ref=button.ref)
            elif (link := self.find("link", "Show the page")) is not None:
                yield from self.act("click", ref=link.ref)
            else:
                return

    def click(self, role: str, name: str, *, nth: int = 0, near: str = "") -> Moves:
        """Click an element."""
        yield from self.clear()
        yield from self.act("click", ref=self.ref(role, name, nth=nth, near=near))
        yield from self.clear()

    def fill(self, role: str, name: str, text: str, *, submit: bool = False, nth: int = 0, near: str = "") -> Moves:
        """Write into a field; ``submit`` presses Enter afterwards."""
        yield from self.clear()
        arguments = {"submit": True} if submit else {}
        yield from self.act("fill", ref=self.ref(role, name, nth=nth, near=near), text=text, **arguments)
        yield from self.clear()

    def select(self, name: str, option: str, *, nth: int = 0, near: str = "") -> Moves:
        """Choose an option of a combo box."""
        yield from self.clear()
        yield from self.act("select", ref=self.ref("combobox", name, nth=nth, near=near), option=option)

    def check(self, name: str, on: bool = True, *, role: str = "checkbox", nth: int = 0, near: str = "") -> Moves:
        """Set or clear a check box (or choose a radio button)."""
        yield from self.clear()
        yield from self.act("check", ref=self.ref(role, name, nth=nth, near=near), checked=on)

    def goto(self, url: str) -> Moves:
        """Go to an address."""
        yield from self.act("goto", url=url)
        yield from self.clear()

    def answer(self, text: str) -> Moves:
        """Give the answer; ends the episode."""
        yield from self.act("answer", text=text)

    def done(self) -> Moves:
        """Say that the work is done; ends the episode."""
        yield from self.act("answer")

    def impossible(self) -> Moves:
        """Say that it cannot be done; ends the episode."""
        yield from self.act("answer", impossible=True)
