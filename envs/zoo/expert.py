"""The scripted expert: it looks things up, and every call follows from what it has seen so far.

It is given the prompt and the observations, nothing else. That it scores 1 on a task shows that the answer follows
from the pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import date, timedelta

from thinkact.envs.zoo.hours import Notice, clock, next_open, price_on, span_on
from thinkact.envs.zoo.read import (
    Title,
    new_name,
    read_dates,
    read_hours,
    read_news,
    read_prices,
    read_title,
)
from thinkact.envs.zoo.words import LANGS

_TODAY = re.compile(
    r"Today is (?:(?P<weekday>[A-Z][a-z]+day)(?: |\.))?(?P<date>\d+ [A-Z][a-z]+ \d{4})?\.? ?(?P<rest>.*)"
)
_QUESTIONS = {
    "opens": r"When does (?P<name>.+) open today\?",
    "closes": r"When does (?P<name>.+) close today\?",
    "open": r"Is (?P<name>.+) open or closed today\?",
    "at": r"Is (?P<name>.+) open at (?P<at>[\d:]+) today\? \(yes or no\)",
    "last": r"When is last admission to (?P<name>.+) today\?",
    "next": r"On which date is (?P<name>.+) next open, after today\?",
    "price": r"How many euros does (?P<who>an adult|a child|a senior) pay at (?P<name>.+) today\?",
}
_MORE = re.compile(r"\n?\[\d+-\d+ of \d+; go on at offset (\d+)\]$")


class NotFound(Exception):
    """A page that the answer needs was not to be found, or not to be read."""


@dataclass(frozen=True)
class Query:
    """What a prompt asks: the kind of question, whose, of which day."""

    kind: str
    name: str
    today: date
    dated: bool
    who: int = 0
    minutes: int = 0


def read_prompt(prompt: str) -> Query | None:
    """Read a prompt of this family."""
    match = _TODAY.fullmatch(prompt)
    if match is None:
        return None
    english = LANGS["en"]
    if match["date"]:
        today = read_dates(match["date"], english)[0]
    else:
        # Only the weekday is known, and nothing but it counts; 2001 began on a Monday.
        today = date(2001, 1, 1) + timedelta(days=english.days.index(match["weekday"]))
    for kind, pattern in _QUESTIONS.items():
        if found := re.fullmatch(pattern, match["rest"]):
            groups = found.groupdict()
            hour, _, minute = (groups.get("at") or "0:0").partition(":")
            who = ("an adult", "a child", "a senior").index(groups["who"]) if groups.get("who") else 0
            return Query(kind, found["name"], today, bool(match["date"]), who, 60 * int(hour) + int(minute))
    return None


@dataclass
class Seeker:
    """One search for an answer.

    Attributes:
        query: What is asked.
        listed: Titles seen so far, by number.
        titles: Titles of the pages that were read for the answer, in order.
    """

    query: Query
    listed: dict[int, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)

    def answer(self) -> Generator[str, str, str]:
        """Look the answer up.

        Raises:
            NotFound: When a page is missing.
        """
        query = self.query
        sort = "prices" if query.kind == "price" else "hours"
        words = query.name
        while True:
            title, text = yield from self._page(words, sort, self._current(sort))
            renamed = new_name(text, title.lang)
            if renamed is None:
                break
            words = renamed
        if sort == "prices":
            prices = read_prices(text, title.lang)
            if prices is None:
                raise NotFound(f"no prices in {text!r}")
            days = []
            if prices.weekend is not None and query.today.weekday() < 5:
                days = yield from self._holidays(prices.city, title)
            cents = price_on(prices, query.who, query.today, days)
            return f"{cents // 100}.{cents % 100:02}"
        page = read_hours(text, title.lang)
        if page is None:
            raise NotFound(f"no hours in {text!r}")
        days, notices = [], list[Notice]()
        if page.hours.holiday is not None:
            days = yield from self._holidays(page.hours.city, title)
        if page.hours.news:
            news_title, news = yield from self._page(f"{title.name} {title.lang.news}", "news", None, name=title.name)
            notices = read_news(news, news_title.lang)
        if query.kind == "next":
            day = next_open(page.hours, query.today, days, notices)
            return day.isoformat() if day else "closed"
        span = span_on(page.hours, query.today, days, notices)
        match query.kind:
            case "open":
                return "open" if span else "closed"
            case "at":
                return "yes" if span and span[0] <= query.minutes < span[1] else "no"
            case "last":
                if span and page.hours.last is None:
                    raise NotFound("no word on last admission")
                return clock(span[1] - (page.hours.last or 0)) if span else "closed"
            case kind:
                return clock(span[0] if kind == "opens" else span[1]) if span else "closed"

    def _current(self, sort: str) -> int | None:
        """Return the year that a page of hours must be for, where pages have years."""
        return self.query.today.year if self.query.dated and sort == "hours" else None

    def _page(
        self, words: str, sort: str, year: int | None, *, name: str = ""
    ) -> Generator[str, str, tuple[Title, str]]:
        """Find an official page of somebody, of this year where that matters, and read it."""
        name = name or words
        asked = f"{words} {sort}" if words == name else words
        listing = yield json.dumps({"search": asked}, ensure_ascii=False)
        for line in listing.split("\n"):
            number, _, shown = line.partition(" ")
            title = read_title(shown)
            if not number.isdigit() or title is None or title.name != name or title.sort != sort:
                continue
            text = yield from self._open(int(number))
            if sort == "hours" and year is not None and new_name(text, title.lang) is None:
                page = read_hours(text, title.lang)
                if page is None or page.year != year:
                    continue
            self.titles.append(shown)
            return title, text
        raise NotFound(f"no {sort} of {name}")

    def _holidays(self, city: str, title: Title) -> Generator[str, str, list[date]]:
        year = self.query.today.year
        words = f"{city} {title.lang.holidays} {year}"
        listing = yield json.dumps({"search": words}, ensure_ascii=False)
        for line in listing.split("\n"):
            number, _, shown = line.partition(" ")
            found = read_title(shown)
            if (
                number.isdigit()
                and found is not None
                and (found.name, found.sort, found.year)
                == (
                    city,
                    "holidays",
                    year,
                )
            ):
                text = yield from self._open(int(number))
                self.titles.append(shown)
                return read_dates(text, found.lang)
        raise NotFound(f"no public holidays of {city}")

    def _open(self, number: int) -> Generator[str, str, str]:
        """Read a document to its end; returns its text without the title."""
        shown = yield json.dumps({"open": number})
        text = shown.partition("\n")[2]
        while more := _MORE.search(text):
            shown = yield json.dumps({"open": {"id": number, "offset": int(more[1])}})
            text = text[: more.start()] + ("\n" if text[more.start() : more.start() + 1] == "\n" else "")
            text += shown.partition("\n")[2]
        return text


def solve(prompt: str) -> Generator[str, str, None]:
    """Solve a task from its prompt: yields actions, is sent observations.

    Raises:
        NotFound: When the prompt or a page cannot be read.
    """
    query = read_prompt(prompt)
    if query is None:
        raise NotFound(f"no question of this family: {prompt!r}")
    answer = yield from Seeker(query).answer()
    yield json.dumps({"submit": answer})
