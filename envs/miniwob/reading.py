"""How a scripted expert reads a page and acts on it: from the observation's text alone, like any agent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

#: A script's turns: it yields action text and is sent the observation that came of it.
Turns = Generator[str, str, None]

_ELEMENT = re.compile(r'^ *(?:- )?(?P<role>[\w-]+) \[(?P<ref>e\d+)\](?: "(?P<name>(?:[^"\\]|\\.)*)")?(?P<rest>.*)$')
_VALUE = re.compile(r'value="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Element:
    """One line of a page that names something to act on."""

    ref: str
    role: str
    name: str
    rest: str
    line: int

    @property
    def value(self) -> str:
        """What is in the field."""
        found = _VALUE.search(self.rest)
        return _plain(found[1]) if found else ""


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def bare(line: str) -> str:
    """Return what a line, or a cell of a table's row, says: without its mark and its quotes."""
    return re.sub(r'^\s*(?:- )?(?:\w+ \[e\d+\] )?"?|"?\s*$', "", line)


@dataclass
class Page:
    """An observation, read."""

    text: str
    lines: list[str] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines = self.text.splitlines()
        for number, line in enumerate(self.lines):
            # A row of a table has a cell's worth of them side by side.
            for piece in [line] if line.lstrip().startswith("- ") else line.split(" | "):
                if found := _ELEMENT.match(piece):
                    name = _plain(found["name"] or "")
                    self.elements.append(Element(found["ref"], found["role"], name, found["rest"], number))

    def all(self, role: str = "", name: str | Callable[[str], bool] = "") -> list[Element]:
        """Return the elements of a role whose name is (or satisfies) ``name``, in the page's order."""

        def fits(each: Element) -> bool:
            if role and each.role not in role.split("|"):
                return False
            return name(each.name) if callable(name) else not name or each.name.strip() == name.strip()

        return [each for each in self.elements if fits(each)]

    def one(self, role: str = "", name: str | Callable[[str], bool] = "", nth: int = 0) -> Element:
        """Return the ``nth`` of them.

        Raises:
            LookupError: There are not so many.
        """
        found = self.all(role, name)
        if not -len(found) <= nth < len(found):
            raise LookupError(f"no {role or 'element'} {name!r} (number {nth}) on the page:\n{self.text}")
        return found[nth]

    def after(self, start: str | int, role: str = "", name: str | Callable[[str], bool] = "") -> Element:
        """Return the first such element below a line (a number, or the first line that contains the text)."""
        line = start if isinstance(start, int) else self.line(start)
        for each in self.all(role, name):
            if each.line > line:
                return each
        raise LookupError(f"no {role or 'element'} {name!r} below {start!r} on the page:\n{self.text}")

    def line(self, text: str) -> int:
        """Return the number of the first line that contains the text."""
        for number, line in enumerate(self.lines):
            if text in line:
                return number
        raise LookupError(f"{text!r} is not on the page:\n{self.text}")


class Hand:
    """What a script holds: the goal, the page as it was last seen, and the tools.

    Attributes:
        goal: The task's goal.
        page: The page as it was last seen.
    """

    def __init__(self, goal: str, opening: str) -> None:
        self.goal = goal
        self.page = Page(opening)

    def quoted(self) -> list[str]:
        """Return what the goal puts in double quotes."""
        return re.findall(r'"([^"]*)"', self.goal)

    def found(self, pattern: str) -> tuple[str, ...]:
        """Return the groups of a pattern in the goal.

        Raises:
            LookupError: The goal does not read like that.
        """
        match = re.search(pattern, self.goal)
        if match is None:
            raise LookupError(f"the goal does not match {pattern!r}: {self.goal}")
        return tuple(group or "" for group in match.groups())

    def number(self, nth: int = 0) -> int:
        """Return the ``nth`` number that stands alone on the page."""
        return [int(text) for text in map(bare, self.page.lines) if re.fullmatch(r"-?\d+", text)][nth]

    def call(self, tool: str, **arguments: object) -> Turns:
        """Call a tool and look at what came of it."""
        self.page = Page((yield json.dumps({"name": tool, "arguments": arguments}, ensure_ascii=False)))

    def click(self, target: Element | str, role: str = "") -> Turns:
        """Click an element, or the first of that name."""
        element = self.page.one(role, target) if isinstance(target, str) else target
        yield from self.call("click", ref=element.ref)

    def fill(self, element: Element, text: str) -> Turns:
        """Put text into a field."""
        yield from self.call("fill", ref=element.ref, text=text)

    def press(self, *keys: str) -> Turns:
        """Press keys, one call each."""
        for key in keys:
            yield from self.call("press", key=key)

    def submit(self, name: str = "Submit") -> Turns:
        """Click the button that ends most tasks."""
        yield from self.click(name, "button")
