"""Experts for tasks that are clicks: buttons, links, tabs, menus, drawings."""

from __future__ import annotations

import re
from collections.abc import Callable

from thinkact.envs.miniwob.reading import Element, Hand, Turns
from thinkact.envs.miniwob.scripts import script

#: How drawings are called on the page: ``"7" red … at 10,20 size 11x22`` or ``circle red … at 10,20 size 20x20``.
_DRAWING = re.compile(
    r'^(?:"(?P<text>.*?)"|(?P<kind>\w+)) (?P<about>.*?)(?: ?)at (?P<x>-?\d+),(?P<y>-?\d+) size (?P<w>\d+)x(?P<h>\d+)$'
)
_KINDS = {"circle": "circle", "rect": "rectangle", "polygon": "triangle"}
#: What the icons of a menu stand for.
_ICONS = {"disk": "Save", "start": "Prev", "stop": "Stop", "play": "Play", "end": "Next", "zoomin": "Zoom In"}
_ICONS |= {"zoomout": "Zoom Out"}
#: Height in pixels from which a drawing is a large one: glyphs are 22 or 11 pixels high, shapes 20 or 10.
_LARGE = 15


def exactly(name: str) -> Callable[[str], bool]:
    """Return a test for a name, whatever space is around it."""
    return lambda each: each.strip() == name.strip()


@script("click-test", "unicode-test", "click-button")
def click_named(hand: Hand) -> Turns:
    """Click the button that the goal quotes, or the only one."""
    quoted = hand.quoted()
    yield from hand.click(hand.page.one("button", quoted[0] if quoted else ""))


@script("click-test-2", "click-test-transfer", "click-button-sequence")
def click_capitals(hand: Hand) -> Turns:
    """Click the buttons that the goal names in capitals, in turn."""
    for name in re.findall(r"\b(ONE|TWO)\b", hand.goal):
        yield from hand.click(name, "button")


@script("click-link")
def click_link(hand: Hand) -> Turns:
    """Click a word in a text."""
    yield from hand.click(hand.quoted()[0])


@script("click-dialog")
def click_dialog(hand: Hand) -> Turns:
    """Close the dialog."""
    yield from hand.click("Close", "button")


@script("click-dialog-2")
def click_dialog_button(hand: Hand) -> Turns:
    """Press one of the dialog's buttons."""
    name = hand.quoted()[0]
    yield from hand.click("Close" if name == "x" else name, "button")


@script("click-tab")
def click_tab(hand: Hand) -> Turns:
    """Open a tab."""
    yield from hand.click(hand.found(r"(Tab #\d)")[0], "tab")


@script("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard")
def click_in_tabs(hand: Hand) -> Turns:
    """Look for a link behind every tab."""
    wanted = hand.quoted()[0]
    for tab in hand.page.all("tab"):
        if not hand.page.all("button", exactly(wanted)):
            yield from hand.click(tab.name, "tab")
    yield from hand.click(wanted, "button")


@script("click-collapsible", "click-collapsible-nodelay")
def expand_and_submit(hand: Hand) -> Turns:
    """Open the section, then submit."""
    yield from hand.click(hand.page.one("tab", lambda name: name.startswith("Section")))
    yield from hand.click("Submit", "button|tab")


@script("click-collapsible-2", "click-collapsible-2-nodelay")
def click_in_sections(hand: Hand) -> Turns:
    """Look for a link in every section."""
    wanted = hand.quoted()[0]
    for section in [each.name for each in hand.page.all("tab")]:
        if not hand.page.all("button", exactly(wanted)):
            yield from hand.click(section, "tab")
    yield from hand.click(wanted, "button")


@script("click-menu")
def click_menu(hand: Hand) -> Turns:
    """Walk down a menu: what has more below it opens under the mouse."""
    *way, last = hand.goal.removeprefix("Select ").split(">")
    for item in way:
        yield from hand.call("hover", ref=hand.page.one("menuitem", item).ref)
        yield from hand.call("wait", seconds=1)
    yield from hand.click(last, "menuitem")


@script("click-menu-2")
def click_icon_menu(hand: Hand) -> Turns:
    """Open a menu and choose by its label."""
    icons = " ".join(each.name for each in hand.page.all("img"))
    yield from hand.click("Menu", "button")
    quoted = hand.quoted()
    wanted = quoted[1] if len(quoted) > 1 else next(label for icon, label in _ICONS.items() if icon in icons)
    if not hand.page.all("menuitem", wanted):
        yield from hand.call("hover", ref=hand.page.one("menuitem", "Playback").ref)
        yield from hand.call("wait", seconds=1)
    yield from hand.click(wanted, "menuitem")


@script("click-pie")
def click_pie(hand: Hand) -> Turns:
    """Open the wheel and click a slice."""
    yield from hand.click(hand.page.one("", lambda name: name.startswith('"+"')))
    wanted = f'"{hand.quoted()[0]}"'
    title = hand.page.one("", lambda name: name.startswith(wanted))
    yield from hand.click(title)


@script("click-color")
def click_color(hand: Hand) -> Turns:
    """Click the box of a colour."""
    yield from hand.click(f"color {hand.found(r'the (.+) colored')[0]}", "button")


@script("click-shades")
def click_shades(hand: Hand) -> Turns:
    """Click every box in which one of red, green and blue leads."""
    leading = ("red", "green", "blue").index(hand.found(r"shades of (\w+)")[0])
    for box in hand.page.all("button"):
        shade = [int(part) for part in re.findall(r"\d+", box.name)]
        if len(shade) == 3 and shade.index(max(shade)) == leading:
            yield from hand.click(box)
    yield from hand.submit()


@script("click-widget")
def click_widget(hand: Hand) -> Turns:
    """Click the first widget of a kind."""
    kind = hand.quoted()[0]
    roles = {"text": "textbox", "textarea": "textbox", "radio": "radio", "checkbox": "checkbox", "button": "button"}
    for element in hand.page.all(roles[kind]):
        if roles[kind] != "textbox" or (element.name == "textarea") == (kind == "textarea"):
            yield from hand.click(element)
            return
    raise LookupError(f"no {kind} on the page:\n{hand.page.text}")


@script("focus-text", "focus-text-2")
def focus(hand: Hand) -> Turns:
    """Click a text field."""
    number = re.search(r"(\d)(?:st|nd|rd)", hand.goal)
    yield from hand.click(hand.page.one("textbox", nth=int(number[1]) - 1 if number else 0))


@script("grid-coordinate")
def grid(hand: Hand) -> Turns:
    """Click a point by its coordinates."""
    (wanted,) = hand.found(r"(\(-?\d,-?\d\))")
    yield from hand.click(hand.page.one("", lambda name: f" {wanted} " in name))


@script("ascending-numbers")
def ascending(hand: Hand) -> Turns:
    """Click the numbers in order; after the first only their places tell them apart."""

    def place(element: Element) -> tuple[int, int]:
        found = _DRAWING.match(element.name)
        assert found is not None
        return int(found["x"]), int(found["y"])

    start = {element.name.split('"')[1]: element for element in hand.page.all("", lambda name: name.startswith('"'))}
    places = {number: place(element) for number, element in start.items()}
    yield from hand.click(start["1"])
    for number in sorted(places)[1:]:
        there = hand.page.all("", lambda name: name.startswith("rect "))
        x, y = places[number]
        yield from hand.click(min(there, key=lambda each: (place(each)[0] - x) ** 2 + (place(each)[1] - y) ** 2))


def _is(element: Element, wanted: list[str]) -> bool:
    """Tell whether a drawing fits a description such as ``small red digit``."""
    found = _DRAWING.match(element.name)
    if found is None:
        return False
    text, kind = found["text"], _KINDS.get(found["kind"] or "", "")
    facts = {"large" if int(found["h"]) >= _LARGE else "small", found["about"].split(" ")[0], "item"}
    facts |= {text, "digit" if text.isdigit() else "letter"} if text is not None else {kind, "shape"}
    return set(wanted) <= facts


@script("click-shape")
def click_shape(hand: Hand) -> Turns:
    """Click a drawing that fits a description."""
    wanted = hand.found(r"Click on an? (.+)$")[0].split()
    yield from hand.click(next(each for each in hand.page.elements if _is(each, wanted)))


@script("count-shape")
def count_shape(hand: Hand) -> Turns:
    """Count the drawings that fit a description."""
    wanted = hand.found(r"How many (.+)s are there")[0].split()
    count = sum(_is(each, wanted) for each in hand.page.elements)
    yield from hand.click(str(count), "button")


@script("identify-shape")
def identify_shape(hand: Hand) -> Turns:
    """Say what the drawing is."""
    names = {
        "circle": "Circle",
        "rectangle": "Rectangle",
        "triangle": "Triangle",
        "letter": "Letter",
        "digit": "Number",
    }
    drawing = next(each for each in hand.page.elements if _DRAWING.match(each.name))
    yield from hand.click(next(name for kind, name in names.items() if _is(drawing, [kind])), "button")


@script("navigate-tree")
def navigate_tree(hand: Hand) -> Turns:
    """Open folders until the name is seen."""
    wanted = hand.quoted()[0]
    while not hand.page.all("", exactly(wanted)):
        closed = hand.page.all("", lambda name: "expandable" in name)
        if not closed:
            break
        yield from hand.click(closed[0])
    yield from hand.click(wanted)
