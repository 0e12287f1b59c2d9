"""Experts for tasks of several steps: flights, shops, searches, a terminal, an editor."""

from __future__ import annotations

import re

from thinkact.envs.miniwob.experts_choose import pick_date
from thinkact.envs.miniwob.reading import Hand, Turns
from thinkact.envs.miniwob.scripts import script

_EDITOR_STYLES = {"bold": "Control+b", "italics": "Control+i", "underlined": "Control+u"}


def _book(hand: Hand, start: str, *, by_price: bool, most: bool = False) -> Turns:
    """Click the cheapest or shortest, or the dearest or longest, of what is offered on buttons that start so."""
    offers = hand.page.all("button", lambda name: name.startswith(start))
    prices = [int(each.name.split("$")[1]) for each in offers]
    times = [60 * int(hours) + int(minutes) for hours, minutes in re.findall(r"(\d+)h (\d+)m", hand.page.text)]
    values = prices if by_price else times
    yield from hand.click(offers[values.index(max(values) if most else min(values))])


@script("buy-ticket")
def buy_ticket(hand: Hand) -> Turns:
    """Buy the cheapest, dearest, shortest or longest."""
    most = "longest" in hand.goal or "expensive" in hand.goal
    yield from _book(hand, "Book for", by_price="cost" in hand.goal, most=most)


@script("book-flight", "book-flight-nodelay")
def book_flight(hand: Hand) -> Turns:
    """Search for flights and book the cheapest or shortest."""
    kind, origin, target, month, day, year = hand.found(
        r"Book the (\w+) one-way flight from: (.+) to: (.+) on (\d+)/(\d+)/(\d+)"
    )
    for label, place in (("From:", origin), ("To:", target)):
        field = hand.page.one("textbox|combobox", label)
        yield from hand.fill(field, place)
        yield from hand.click(hand.page.one("", lambda name, place=place: place in name and "(" in name))  # type: ignore[misc]
    date = hand.page.all("textbox|combobox")[-1]
    yield from pick_date(hand, date, int(year), int(month), int(day))
    yield from hand.click("Search", "button")
    yield from _book(hand, "Book flight", by_price=kind == "cheapest")


@script("order-food")
def order_food(hand: Hand) -> Turns:
    """Order dishes by name, or by what they contain."""
    menu = _menu(hand)
    if ":" in hand.goal:
        wanted = [name.strip() for name in hand.goal.split(": ", 1)[1].split(", ")]
    else:
        count, kind = hand.found(r"Order (\d+) items? that (?:is|are|contains?) ([\w-]+)")
        wanted = [name for name, kinds in menu.items() if kind in kinds][: int(count)]
    for name in wanted:
        line = next(n for n, text in enumerate(hand.page.lines) if f'"{name}"' in text or f"- {name}" in text)
        yield from hand.click(hand.page.after(line, "button", "+"))
    yield from hand.click("Order!", "button")


def _menu(hand: Hand) -> dict[str, list[str]]:
    menu: dict[str, list[str]] = {}
    name = ""
    for line in hand.page.lines:
        picture = re.search(r'- (?:img|image)(?: \[e\d+\])? "([\w-]+)"', line)
        text = re.search(r'- (?:text \[e\d+\] )?"?([A-Z][\w ]+?)"?$', line)
        if picture:
            menu.setdefault(name, []).append(picture[1])
        elif text:
            name = text[1]
    return menu


@script("phone-book")
def phone_book(hand: Hand) -> Turns:
    """Turn pages to a person and click one of their details."""
    person, detail = hand.found(r"Find (.+) in the contact book and click on their (.+)\.")
    label = {"phone number": "Phone", "email": "Email", "address": "Address"}[detail]
    while not re.search(rf'"?\b{person}"?$', hand.page.text, re.MULTILINE):
        yield from hand.click(hand.page.one("", ">"))
    yield from hand.click(hand.page.after(f"{label}:", "button|link"))


@script("search-engine")
def search_engine(hand: Hand) -> Turns:
    """Search, then click the n-th of nine results on three pages."""
    (nth,) = hand.found(r"the (\d)\w\w search result")
    yield from hand.fill(hand.page.one("textbox"), hand.quoted()[0])
    yield from hand.click("Search", "button")
    page, place = divmod(int(nth) - 1, 3)
    if page:
        yield from hand.click(str(page + 1), "link")
    titles = hand.page.all("link", lambda name: bool(re.fullmatch(r"[A-Z][\w-]+", name)) and name not in _PAGES)
    yield from hand.click(titles[place])


_PAGES = ("First", "Last", "Next", "Previous")


@script("sign-agreement")
def sign_agreement(hand: Hand) -> Turns:
    """Read to the end, sign, and agree or cancel."""
    if "enter the name" not in hand.goal:
        yield from hand.click("Cancel", "button")
        return
    name, button = hand.quoted()
    yield from hand.call("scroll", direction="bottom", ref=hand.page.one("textbox").ref)
    yield from hand.fill(hand.page.one("textbox", nth=-1), name)
    yield from hand.click(button, "button")


@script("stock-market")
def stock_market(hand: Hand) -> Turns:
    """Wait for a price, then buy."""
    limit = float(hand.found(r"less than \$([\d.]+)\.")[0])
    while True:
        price = re.search(r"\$(\d+\.\d+)", hand.page.text)
        if price is not None and float(price[1]) <= limit:
            break
        yield from hand.call("wait", seconds=0.2)
    yield from hand.click("Buy", "button")


@script("terminal")
def terminal(hand: Hand) -> Turns:
    """List the files, delete the one of a kind."""
    ending = re.search(r"extension (\.[\w.]+)", hand.goal)
    yield from hand.click(hand.page.one("textbox"))
    yield from _command(hand, "ls")
    listing = re.findall(r"[\w.]+", hand.page.text.split("ls", 1)[1])
    names = [name for name in listing if re.fullmatch(r"[a-z_0-9]+(\.[a-z.]+)?", name)]
    names = names[: next((n for n, name in enumerate(names) if name == "user"), len(names))]
    chosen = next(name for name in names if (name.endswith(ending[1]) if ending else "." not in name))
    yield from _command(hand, f"rm {chosen}")


def _command(hand: Hand, text: str) -> Turns:
    yield from hand.press(*("Space" if each == " " else each for each in text), "Enter")


@script("text-editor")
def text_editor(hand: Hand) -> Turns:
    """Give a word, or everything, a style."""
    whole = "everything" in hand.goal
    style = next((style for style in _EDITOR_STYLES if f"style {style}" in hand.goal), "")
    text = hand.page.one("textbox")
    yield from hand.click(text)
    yield from hand.press("Control+a")
    if not whole:
        word = hand.found(r"give the text (\S+) the")[0]
        words = text.value.split(" ")
        before = len(" ".join(words[: words.index(word)])) + (words.index(word) > 0)
        yield from hand.press("ArrowLeft", *["ArrowRight"] * before, *["Shift+ArrowRight"] * len(word))
    if style:
        yield from hand.press(_EDITOR_STYLES[style])
    else:
        (color,) = hand.found(r"color (\w+)")
        yield from hand.click(hand.page.one("", lambda name: "picker label" in name))
        yield from hand.click(hand.page.one("", lambda name: _color_of(name) == color))
    yield from hand.submit()


def _color_of(name: str) -> str:
    """Return the name of a swatch's colour: ``ql picker item … rgb(230, 0, 0)``."""
    found = re.search(r"rgb\((\d+), (\d+), (\d+)\)", name)
    swatches = {(230, 0, 0): "red", (255, 153, 0): "orange", (255, 255, 0): "yellow", (0, 138, 0): "green"}
    swatches |= {(0, 102, 204): "blue", (153, 51, 255): "purple"}
    return swatches.get((int(found[1]), int(found[2]), int(found[3])), "") if found else ""
