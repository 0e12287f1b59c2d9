"""Drawing what a city is made of: names, hours, prices, holidays, news."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Literal

from thinkact.envs.types import Split
from thinkact.envs.zoo.hours import SUNDAY, Footnote, Hours, Notice, Prices, Season, Span, Week, span_on
from thinkact.envs.zoo.render import Layout, Style
from thinkact.envs.zoo.words import HIDDEN_KINDS, OPEN_KINDS, Lang, venue_name

_HEADS = (
    "Al Ar Bel Bran Cal Cor Dar Del Ell Fen Gar Hal Har Kel Lin Lor Mar Mer Nor Or Pel Quen Ros Sal Sel Tar Tel Tor "
    "Ul Val Ver Wen Yar Zel"
).split()
_TAILS = ("by den dor field ford gate ham holt lock low mere mont ness rick stead ton ville vale wick worth").split()
_CITY_TAILS = ("haven", "burgh", "minster", "moor", "polis", "grad")
_NEAR = ("North", "South", "Old", "New", "East", "West", "Royal", "Little")


@cache
def stems(split: Split) -> tuple[str, ...]:
    """Return the proper names of a split: no two splits share one."""
    wanted = {"train": (0, 1, 2), "eval": (3,), "hidden": (4,)}[split]
    every = (head + tail for head in _HEADS for tail in _TAILS)
    return tuple(s for s in every if hashlib.blake2b(s.encode(), digest_size=2).digest()[0] % 5 in wanted)


@cache
def cities(split: Split) -> tuple[str, ...]:
    """Return the cities of a split: no two splits share one."""
    every = [head + tail for head in _HEADS for tail in _CITY_TAILS]
    third = len(every) // 3
    at = {"train": 0, "eval": 1, "hidden": 2}[split]
    return tuple(sorted(every, key=lambda name: hashlib.blake2b(name.encode()).digest())[at * third : (at + 1) * third])


class Names:
    """The names of one city; no two venues share a proper name.

    Attributes:
        city: The city's name.
        neighbour: The name of a city nearby.
    """

    def __init__(self, rng: random.Random, split: Split) -> None:
        self._rng = rng
        self._stems = rng.sample(stems(split), 24)
        self._kinds = HIDDEN_KINDS if split == "hidden" else OPEN_KINDS
        self.city, self.neighbour = rng.sample(cities(split), 2)
        self._kind = rng.choice(self._kinds)
        self._first = True

    def venue(self, lang: Lang) -> str:
        """Return another venue's name; the first one's kind is kept for :meth:`renamed`."""
        kind = self._kind if self._first else self._rng.choice(self._kinds)
        self._first = False
        return venue_name(lang, self._stems.pop(), kind)

    def renamed(self, lang: Lang) -> str:
        """Return a new name for the first venue."""
        return venue_name(lang, self._stems.pop(), self._kind)

    def near(self, name: str) -> str:
        """Return a name that is nearly this one."""
        words = name.split(" ")
        words.insert(self._rng.randint(0, len(words)), self._rng.choice(_NEAR))
        return " ".join(words)


def style(rng: random.Random, lang: Lang, layouts: Sequence[Layout], *, twelve: bool) -> Style:
    """Draw how a site writes."""
    return Style(lang, rng.choice(layouts), twelve and lang.code == "en" and rng.random() < 0.4)


def span(rng: random.Random) -> Span:
    """Draw opening hours of a day."""
    return rng.randrange(480, 691, 30), rng.randrange(900, 1231, 30)


def week(rng: random.Random, layout: str) -> Week:
    """Draw a week: days one by one for a table, in runs where the layout joins them."""
    days: list[Span | None]
    if layout in ("table", "grid"):
        days = [span(rng) for _ in range(7)]
    elif layout == "except":
        days = [span(rng)] * 7
        for day in rng.sample(range(7), 2):
            days[day] = span(rng)
    else:
        cuts = sorted(rng.sample(range(1, 7), rng.randint(1, 3)))
        days = []
        for start, end in zip((0, *cuts), (*cuts, 7), strict=True):
            days += [span(rng)] * (end - start)
    if rng.random() < 0.7:
        days[rng.choice((0, 0, 1, 2, 3, 4, 5, SUNDAY))] = None
    return tuple(days)


def hours(rng: random.Random, today: date, site: Style, *, dated: bool, last: bool) -> Hours:
    """Draw what a page of opening hours says, holidays and news apart."""
    seasons: tuple[Season, ...] = (Season(1, 12, week(rng, site.layout)),)
    footnote = None
    if dated and rng.random() < 0.4:
        first, length = rng.randint(1, 12), rng.randint(4, 8)
        end = (first + length - 2) % 12 + 1
        second = Season(end % 12 + 1, (first - 2) % 12 + 1, week(rng, site.layout))
        seasons = (Season(first, end, seasons[0].week), second)
    elif dated and rng.random() < 0.5:
        day = today.weekday() if rng.random() < 0.6 and today.weekday() != SUNDAY else rng.randrange(6)
        open_hours = seasons[0].week[day]
        if rng.random() < 0.5 or open_hours is None:
            footnote = Footnote(day)
        else:
            month = today.month if rng.random() < 0.6 else rng.randint(1, 12)
            footnote = Footnote(day, month, min(open_hours[1] + 60 * rng.randint(1, 2), 1380))
    minutes = rng.choice((15, 20, 30, 45, 60)) if last or (dated and rng.random() < 0.3) else None
    return Hours(seasons, footnote, last=minutes)


def holiday_rule(rng: random.Random) -> Literal["sunday", "closed"] | Span:
    """Draw what a site does on public holidays."""
    return rng.choice(("sunday", "closed", span(rng)))


def prices(rng: random.Random, city: str, *, tiers: bool) -> Prices:
    """Draw a price list; with ``tiers`` weekends and the city's public holidays cost more."""

    def row(least: int) -> tuple[int, int, int]:
        adult = least + 50 * rng.randrange(12)
        return adult, adult // 2 + rng.choice((0, 10, 20)), adult - 50 * rng.randint(1, 3)

    weekday = row(600)
    if not tiers:
        return Prices(weekday)
    raise_ = 50 * rng.randint(2, 6)
    return Prices(weekday, (weekday[0] + raise_, weekday[1] + raise_, weekday[2] + raise_), city)


def holidays(rng: random.Random, today: date, turning: date, hit: bool) -> tuple[date, ...]:
    """Draw the public holidays of a year; the turning day is one of them or not."""
    days = {turning: None} if hit and turning.year == today.year else {}
    while len(days) < 5:
        day = date(today.year, 1, 1) + timedelta(days=rng.randrange(365))
        if day not in (turning, today):
            days[day] = None
    return tuple(sorted(days))


def same_day(day: date, year: int) -> date:
    """Return the day of that date in another year (29 February becomes 28)."""
    return date(year, day.month, min(day.day, 28) if day.month == 2 else day.day)


def notices(rng: random.Random, today: date, turning: date, hit: bool, *, full: bool) -> tuple[Notice, ...]:
    """Draw news, one of which concerns the turning day or none.

    Args:
        rng: Where chance comes from.
        today: Today.
        turning: The day that counts.
        hit: Whether an item concerns it.
        full: Whether that item closes it; else it shifts opening or closing.
    """
    items: list[Notice] = []
    if hit:
        length = rng.choice((0, 0, 1, 3))
        first = turning - timedelta(days=rng.randint(0, length))
        items.append(_item(rng, first, length, "closed" if full else rng.choice(("later", "earlier"))))
    # The same days of another year, and days that are close.
    items.append(_item(rng, same_day(turning, today.year - 1), 0, rng.choice(("closed", "later", "earlier"))))
    far = turning + timedelta(days=rng.choice((-1, 1)) * rng.randint(40, 70))
    items.append(_item(rng, far, rng.randint(0, 2), rng.choice(("closed", "later", "earlier"))))
    rng.shuffle(items)
    return tuple(items)


def _item(rng: random.Random, first: date, length: int, effect: str) -> Notice:
    last = first + timedelta(days=length)
    if effect == "closed":
        return Notice(first, last, "closed")
    return Notice(first, last, "later" if effect == "later" else "earlier", rng.choice((30, 45, 60, 90)))


def asked_time(rng: random.Random, facts: Hours, today: date, days: Sequence[date], news: Sequence[Notice]) -> int:
    """Draw a time to ask about: close to an edge of hours that hold, or would but for holidays or news."""
    told: tuple[Sequence[Notice], ...] = (news, ())
    known = [span_on(facts, today, which, notes) for which in (days, (), (today,)) for notes in told]
    edges = [edge for hours_of in known if hours_of is not None for edge in hours_of] or list(span(rng))
    # Not before every place opens or after every place has closed: then no page would be wrong.
    return max(510, min(1200, rng.choice(edges) + rng.choice((-45, -30, -15, 15, 30, 45))))
