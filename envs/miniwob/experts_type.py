"""Experts for tasks of writing: fields, forms, sums, copies."""

from __future__ import annotations

import re
from datetime import datetime

from thinkact.envs.miniwob.reading import Hand, Turns, bare
from thinkact.envs.miniwob.scripts import script

#: What the page calls its colours, as it writes them in a field.
_COLORS = {
    "blue": "0000ff",
    "aqua": "00ffff",
    "gold": "ffd700",
    "gray": "808080",
    "green": "008000",
    "lime": "00ff00",
    "magenta": "ff00ff",
    "maroon": "800000",
    "navy": "000080",
    "olive": "808000",
    "orange": "ffa500",
    "pink": "ffc0cb",
    "purple": "800080",
    "red": "ff0000",
    "silver": "c0c0c0",
    "teal": "008080",
    "white": "ffffff",
    "yellow": "ffff00",
    "black": "000000",
}


def _write(hand: Hand, text: str) -> Turns:
    """Write into the last text field and submit."""
    yield from hand.fill(hand.page.one("textbox|spinbutton", nth=-1), text)
    yield from hand.submit()


@script("enter-text", "enter-text-dynamic")
def enter_text(hand: Hand) -> Turns:
    """Write what the goal quotes."""
    yield from _write(hand, hand.quoted()[0])


@script("enter-text-2")
def enter_cased(hand: Hand) -> Turns:
    """Write what the goal quotes, in upper or lower case."""
    text = hand.quoted()[0]
    yield from _write(hand, text.upper() if "all upper" in hand.goal else text.lower())


@script("enter-password")
def enter_password(hand: Hand) -> Turns:
    """Write a password twice."""
    (password,) = hand.quoted()
    yield from hand.fill(hand.page.one("textbox"), password)
    yield from _write(hand, password)


@script("enter-date")
def enter_date(hand: Hand) -> Turns:
    """Write a date."""
    month, day, year = hand.found(r"(\d+)/(\d+)/(\d+)")
    yield from hand.fill(hand.page.elements[0], f"{year}-{month}-{day}")
    yield from hand.submit()


@script("enter-time")
def enter_time(hand: Hand) -> Turns:
    """Write a time of the day."""
    (time,) = hand.found(r"Enter (\d+:\d+\s[AP]M)")
    yield from hand.fill(hand.page.elements[0], datetime.strptime(time, "%I:%M %p").strftime("%H:%M"))
    yield from hand.submit()


@script("login-user", "login-user-popup")
def login(hand: Hand) -> Turns:
    """Write user name and password; close what pops up."""
    user, password = hand.quoted()
    for label, text in (("Username", user), ("Password", password)):
        yield from hand.fill(hand.page.after(label, "textbox"), text)
        if hand.page.all("button", "Cancel"):
            yield from hand.click("Cancel", "button")
            yield from hand.fill(hand.page.after(label, "textbox"), text)
    yield from hand.click(hand.page.one("button", lambda name: name in ("Login", "OK")))


@script("find-word")
def find_word(hand: Hand) -> Turns:
    """Write the n-th word of a text."""
    (nth,) = hand.found(r"the (\d+)\w\w word")
    text = next(
        line for line in hand.page.lines if len(line.split()) > 5 and "textbox" not in line and "URL" not in line
    )
    yield from _write(hand, re.sub(r"[^A-Za-z]", "", bare(text).split()[int(nth) - 1]))


@script("copy-paste")
def copy_paste(hand: Hand) -> Turns:
    """Copy from one field to the other, whichever comes first."""
    fields = hand.page.all("textbox")
    source, target = fields if fields[0].value else reversed(fields)
    yield from hand.fill(target, source.value)
    yield from hand.submit()


@script("copy-paste-2")
def copy_one_of(hand: Hand) -> Turns:
    """Copy from one of three fields."""
    (nth,) = hand.found(r"the (\d)\w\w text area")
    yield from _write(hand, hand.page.one("textbox", nth=int(nth) - 1).value)


@script("scroll-text")
def last_word(hand: Hand) -> Turns:
    """Write the last word of a long text."""
    text = hand.page.one("textbox").value
    yield from _write(hand, re.sub(r"\W", "", text.split()[-1]))


@script("scroll-text-2")
def scroll_text(hand: Hand) -> Turns:
    """Scroll a field to one of its ends."""
    (end,) = hand.found(r"to the (top|bottom)")
    yield from hand.call("scroll", direction=end, ref=hand.page.one("textbox").ref)
    yield from hand.submit()


@script("simple-arithmetic")
def arithmetic(hand: Hand) -> Turns:
    """Work out a sum."""
    found = re.search(r"(\d+) ([-+x]) (\d+) =", hand.page.text)
    assert found is not None
    a, b = int(found[1]), int(found[3])
    yield from _write(hand, str({"+": a + b, "-": a - b, "x": a * b}[found[2]]))


@script("simple-algebra")
def algebra(hand: Hand) -> Turns:
    """Solve for x."""
    found = re.search(r"(x|\d+) ([-+]) (x|\d+) = (-?\d+)", hand.page.text)
    assert found is not None
    first, sign, second, total = found.groups()
    if first == "x":
        answer = int(total) - int(second) if sign == "+" else int(total) + int(second)
    else:
        answer = int(total) - int(first) if sign == "+" else int(first) - int(total)
    yield from _write(hand, str(answer))


@script("text-transform")
def text_transform(hand: Hand) -> Turns:
    """Write slanted letters as they are."""
    letters = [text for text in map(bare, hand.page.lines) if re.fullmatch(r"\w", text)]
    yield from _write(hand, "".join(letters))


@script("read-table")
def read_table(hand: Hand) -> Turns:
    """Write the value of one row."""
    (key,) = hand.found(r"value of (.+) into")
    yield from _write(hand, _row(hand, key))


@script("read-table-2")
def read_table_twice(hand: Hand) -> Turns:
    """Write the values of two rows next to their labels."""
    for nth in range(2):
        field = hand.page.one("textbox", nth=nth)
        labels = [match for line in hand.page.lines[: field.line + 1] for match in re.findall(r"([A-Z][\w ]+):", line)]
        yield from hand.fill(field, _row(hand, labels[-1]))
    yield from hand.submit()


def _row(hand: Hand, key: str) -> str:
    for line in hand.page.lines:
        cells = [bare(cell) for cell in line.split(" | ")]
        if len(cells) == 2 and cells[0] == key:
            return cells[1]
    raise LookupError(f"no row {key!r} on the page:\n{hand.page.text}")


@script("multi-layouts", "multi-orderings")
def movie_search(hand: Hand) -> Turns:
    """Fill in a form whose labels and order differ from time to time."""
    genre, director, year = hand.found(r"Search for (.+) movies directed by (.+) from year (\d+)")
    texts = {"Genre": genre, "Director": director, "Year": year, "Date": year}
    labels = [line for line in hand.page.lines if re.search(r"Genre|Director|Year|Date", line)]
    fields = hand.page.all("textbox")
    for nth in range(len(fields)):
        key = next(key for key in texts if key in labels[nth])
        yield from hand.fill(hand.page.one("textbox", nth=nth), texts[key])
    yield from hand.click(hand.page.one("button", lambda name: name in ("Submit", "Search", "Go!")))


@script("use-autocomplete", "use-autocomplete-nodelay")
def autocomplete(hand: Hand) -> Turns:
    """Write the start, then choose a suggestion with the right end."""
    start, *end = hand.quoted()
    field = hand.page.one("textbox|combobox")
    yield from hand.fill(field, start)

    def fits(name: str) -> bool:
        return name.startswith(start) and name.endswith(end[0] if end else "")

    offered = [each for each in hand.page.all("", fits) if each.ref != field.ref and each.name != start]
    yield from hand.click(offered[0])
    yield from hand.submit()


@script("use-spinner")
def spinner(hand: Hand) -> Turns:
    """Press a field's small buttons until the number is right."""
    wanted = int(hand.found(r"Select (-?\d+) with")[0])
    way = "spinner up" if wanted > 0 else "spinner down"
    for _ in range(abs(wanted)):
        yield from hand.click(hand.page.one("button", lambda name: way in name))
    yield from hand.submit()


@script("use-colorwheel")
def colorwheel(hand: Hand) -> Turns:
    """Write a colour as its number."""
    yield from _color(hand, _COLORS[hand.found(r"Select (\w+) with")[0]])


@script("use-colorwheel-2")
def colorwheel_like(hand: Hand) -> Turns:
    """Write the colour of a patch."""
    parts = re.findall(r"\d+", hand.page.one("img").name)
    yield from _color(hand, "".join(f"{int(part):02x}" for part in parts[-3:]))


def _color(hand: Hand, number: str) -> Turns:
    yield from hand.fill(hand.page.one("textbox"), number)
    yield from hand.press("Tab", "Enter")  # the picker covers the button, but not for the keyboard


@script("guess-number")
def guess_number(hand: Hand) -> Turns:
    """Halve what is left until it is found."""
    low, high = 0, 9
    while low <= high:
        guess = (low + high) // 2
        yield from _write(hand, str(guess))
        if "lower than" in hand.page.text:
            high = guess - 1
        else:
            low = guess + 1


@script("generate-number")
def generate_number(hand: Hand) -> Turns:
    """Draw numbers until one fits."""

    def fits(number: int) -> bool:
        if "odd" in hand.goal or "even" in hand.goal:
            return number % 2 == ("odd" in hand.goal)
        word, bound = hand.found(r"(less|greater) than (\d+)")
        return number < int(bound) if word == "less" else number > int(bound)

    while True:
        yield from hand.click("Generate", "button")
        if fits(hand.number()):
            break
    yield from hand.submit()
