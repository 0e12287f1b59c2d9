"""Experts for tasks of choosing: boxes, lists, sliders, calendars."""

from __future__ import annotations

import re

from thinkact.envs.miniwob.reading import Element, Hand, Turns
from thinkact.envs.miniwob.scripts import script

#: Words that the page takes for alike.
_ALIKE = [
    set(group.split())
    for group in (
        "big large huge enormous gigantic|small tiny little mini petite|red scarlet crimson vermillion|"
        "happy cheerful joyful gleeful delighted|sad unhappy sorrowful miserable tragic|angry mad furious irritated|"
        "evil wicked immoral sinful corrupt depraved|wrong incorrect mistaken erroneous|real genuine actual|"
        "strange odd peculiar unusual weird|stop cease halt end finish|"
        "scared terrified panicked fearful frightened afraid|quiet calm peaceful serene mild|old aged archaic|"
        "love like adore favor|kill murder assassinate|keep retain preserve sustain maintain|hide conceal camouflage|"
        "hate despise loathe detest dislike|funny humorous amusing comical laughable|fat fleshy plump chubby|"
        "stupid dumb dull unwise|delicious savory delectable appetizing|cut slice carve chop|"
        "brave courageous fearless|begin start initiate launch|answer reply response|television televisions TV TVs|"
        "house home houses homes|fire flame fires flames|pig pork swine|rabbit rabbits bunny bunnies|"
        "car cars automobile automobiles vehicle vehicles|water"
    ).split("|")
]
_MONTHS = "January February March April May June July August September October November December".split()


def _listed(hand: Hand, pattern: str) -> list[str]:
    (names,) = hand.found(pattern)
    return [] if names == "nothing" else names.split(", ")


@script("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer", "click-option")
def tick(hand: Hand) -> Turns:
    """Tick what the goal lists, then submit."""
    for name in _listed(hand, r"^Select (.+) and click Submit"):
        box = hand.page.one("checkbox|radio", name)
        yield from hand.call("check", ref=box.ref, checked=True)
    yield from hand.submit()


@script("click-checkboxes-soft")
def tick_alike(hand: Hand) -> Turns:
    """Tick what means the same as what the goal lists."""
    for word in _listed(hand, r"similar to (.+) and click Submit"):
        alike = next(group for group in _ALIKE if word in group)
        box = hand.page.one("checkbox", lambda name, alike=alike: name.strip() in alike)  # type: ignore[misc]
        yield from hand.call("check", ref=box.ref, checked=True)
    yield from hand.submit()


@script("choose-list", "click-scroll-list")
def choose(hand: Hand) -> Turns:
    """Choose what the goal names from a list that stays open or does not."""
    for name in _listed(hand, r"^Select (.+) from the (?:scroll )?list"):
        yield from hand.call("select", ref=hand.page.one("combobox|listbox").ref, option=name)
    yield from hand.submit()


def slide(hand: Hand, nth: int, now: int, wanted: int, low: int, high: int) -> Turns:
    """Move the ``nth`` handle of a slider with the keyboard."""
    yield from hand.click(hand.page.one("", lambda name: "slider handle" in name, nth))
    steps = {"Home": wanted - low, "End": high - wanted, "": abs(wanted - now)}
    start = min(steps, key=lambda key: steps[key] + bool(key))
    if start:
        yield from hand.press(start)
        now = low if start == "Home" else high
    yield from hand.press(*(["ArrowRight"] * (wanted - now) if wanted >= now else ["ArrowLeft"] * (now - wanted)))


@script("use-slider")
def use_slider(hand: Hand) -> Turns:
    """Move a slider whose ends are not shown: walk in pages, then in steps."""
    wanted = int(hand.found(r"Select (-?\d+) with")[0])
    yield from hand.click(hand.page.one("", lambda name: "slider handle" in name))
    while (now := hand.number()) != wanted:
        # A page is a fifth of the way between the ends, as far as is known of it: try, and see what it did.
        up = wanted > now
        yield from hand.press("PageUp" if up else "PageDown")
        step = abs(hand.number() - now)
        if step > abs(wanted - now) or not step:
            yield from hand.press("PageDown" if up and step else "PageUp" if step else "Shift")
            now = hand.number()
            yield from hand.press(*(["ArrowRight" if wanted > now else "ArrowLeft"] * abs(wanted - now)))
    yield from hand.submit()


@script("use-slider-2")
def use_sliders(hand: Hand) -> Turns:
    """Move three sliders from 0 to 20."""
    wanted = [int(each) for each in hand.found(r"\[(\d+),(\d+),(\d+)\]")]
    for nth, number in enumerate(wanted):
        yield from slide(hand, nth, hand.number(nth), number, 0, 20)
    yield from hand.submit()


@script("form-sequence")
def slider_and_box(hand: Hand) -> Turns:
    """Move a slider, tick a box, submit."""
    number, box = hand.found(r"Select (-?\d+) with the slider, click the (\d)")
    yield from slide(hand, 0, hand.number(), int(number), -10, 10)
    yield from hand.call("check", ref=hand.page.one("checkbox", nth=int(box) - 1).ref, checked=True)
    yield from hand.submit()


@script("form-sequence-2")
def radio_and_text(hand: Hand) -> Turns:
    """Choose a radio button, write a number into one of three fields, submit."""
    radio, number, field = hand.found(r'the (\d)\w\w radio .* number "(-?\d+)" into the (\d)')
    yield from hand.call("check", ref=hand.page.one("radio", nth=int(radio) - 1).ref, checked=True)
    yield from hand.fill(hand.page.one("textbox", nth=int(field) - 1), number)
    yield from hand.submit()


@script("form-sequence-3")
def dropdown_and_button(hand: Hand) -> Turns:
    """Choose from a drop-down list that is drawn by a script, press a button."""
    (size,) = hand.found(r"Choose (.+) from the dropdown")
    yield from hand.click("▾", "button")
    yield from hand.click(hand.page.one("", size, nth=-1))
    yield from hand.click(hand.quoted()[0], "button")


@script("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def choose_date(hand: Hand) -> Turns:
    """Turn the pages of a calendar to a day."""
    month, day, year = (int(each) for each in hand.found(r"Select (\d+)/(\d+)/(\d+)"))
    yield from pick_date(hand, hand.page.one("textbox"), year, month, day)
    yield from hand.submit()


def pick_date(hand: Hand, field: Element, year: int, month: int, day: int) -> Turns:
    """Open a field's calendar and choose a day."""
    yield from hand.click(field)
    wanted = 12 * year + month - 1
    while True:
        found = re.search(rf"({'|'.join(_MONTHS)})\W+(?:\w+ \[e\d+\] \")?(\d{{4}})", hand.page.text)
        if found is None:
            raise LookupError(f"no calendar on the page:\n{hand.page.text}")
        now = 12 * int(found[2]) + _MONTHS.index(found[1])
        if now == wanted:
            break
        yield from hand.click(hand.page.one("", "Next" if now < wanted else "Prev"))
    yield from hand.click(hand.page.one("link|gridcell|cell|button|text", str(day)))


@script("odd-or-even")
def odd_or_even(hand: Hand) -> Turns:
    """Say of three numbers whether they are odd."""
    for nth in range(3):
        odd = hand.number(nth) % 2 == 1
        yield from hand.click(hand.page.one("button", "Odd" if odd else "Even", nth))
    yield from hand.submit()


@script("find-greatest")
def find_greatest(hand: Hand) -> Turns:
    """Turn over every card, then choose the greatest."""

    def cards() -> list[Element]:
        return hand.page.all("button", lambda name: name != "Submit")

    seen: list[int] = []
    for nth in range(len(cards())):
        yield from hand.click(cards()[nth])
        seen.append(int(re.sub(r"\D", "", cards()[nth].name)))
    yield from hand.click(cards()[seen.index(max(seen))])
    yield from hand.submit()
