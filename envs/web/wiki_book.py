"""What the wiki's templates and experts share: the articles of a seeded start, and the ways through the pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from thinkact.envs.answers import Answer
from thinkact.envs.web import wiki_words
from thinkact.envs.web.pilot import Moves, NotOnPage, Pilot
from thinkact.envs.web.store import Allowed, Goal, Start
from thinkact.envs.web.tasks import Draw
from thinkact.envs.web.wiki_text import facts, links, plain, redirect

#: The category that says what an article is about.
KINDS = ("Offices", "Teams", "Services", "Projects", "Suppliers", "People", "Policies", "Guides", "Lists", "Archive")
#: Phrases for facts: what is asked for, given the phrase of whose fact it is.
ASK = {
    "City": "the city of {}", "Postcode": "the postcode of {}", "Opened": "the year in which {} opened",
    "Desks": "the number of desks in {}", "Floors": "the number of floors of {}",
    "Reception phone": "the phone number of the reception of {}", "Founded": "the year in which {} was founded",
    "Channel": "the channel of {}", "Budget code": "the budget code of {}", "Language": "the language of {}",
    "Port": "the port of {}", "Version": "the version of {}", "Launched": "the year in which {} was launched",
    "Status": "the status of {}", "Deadline": "the deadline of {}", "Goods": "the goods of {}",
    "Contract ends": "the end of the contract with {}", "Minimum order": "the minimum order at {}",
    "Title": "the job title of {}", "Joined": "the year in which {} joined", "Extension": "the extension of {}",
    "Second language": "the second language of {}", "Valid from": "the day from which the {} is valid",
}  # fmt: skip
#: Phrases for facts that are links to other articles.
FOLLOW = {
    "Site manager": "the site manager of {}", "Office": "the office of {}", "Lead": "the lead of {}",
    "Owner": "the team that owns {}", "Depends on": "the service that {} depends on", "Team": "the team of {}",
    "Sponsor": "the sponsor of {}", "Uses": "the service that {} uses", "Manager": "the manager of {}",
    "Account manager": "our account manager for {}", "Approver": "the approver named in {}",
}  # fmt: skip
_KIND_OF_ANSWER = {
    "Opened": "number", "Desks": "number", "Floors": "number", "Founded": "number", "Port": "number",
    "Launched": "number", "Minimum order": "number", "Joined": "number", "Extension": "number", "Deadline": "date",
    "Contract ends": "date", "Valid from": "date", "Channel": "literal", "Version": "literal",
    "Reception phone": "literal", "Budget code": "literal", "Postcode": "literal",
}  # fmt: skip


@dataclass(frozen=True)
class Article:
    """An article of the seeded start."""

    id: int
    title: str
    body: str
    protected: bool
    categories: tuple[str, ...]
    editor: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is about; empty for a redirect."""
        return next((name for name in KINDS if name in self.categories), "")

    @property
    def wrecked(self) -> bool:
        """Whether its last edit is vandalism."""
        return self.editor in wiki_words.VANDALS

    @property
    def ask(self) -> str:
        """How a question names it."""
        return f"the service {self.title}" if self.kind == "Services" else self.title

    def links(self, name: str) -> str | None:
        """Return the title that a fact links to."""
        found = links(self.facts.get(name, ""))
        return found[0] if found else None


@lru_cache(maxsize=192)
def _articles(start: Start) -> dict[str, Article]:
    """Read the articles of a start; once, since a hundred tasks are drawn from each."""
    names: dict[int, list[str]] = {}
    for row in start.db.execute("SELECT * FROM category ORDER BY article_id, name"):
        names.setdefault(row["article_id"], []).append(row["name"])
    last = "SELECT author FROM revision WHERE article_id = a.id ORDER BY id DESC LIMIT 1"
    return {
        row["title"]: Article(row["id"], row["title"], row["body"], bool(row["protected"]),
                              tuple(names.get(row["id"], ())), row["editor"], facts(row["body"]))
        for row in start.db.execute(f"SELECT a.*, ({last}) AS editor FROM article a ORDER BY a.id")
    }  # fmt: skip


class Book:
    """All articles of a draw's wiki, by title."""

    def __init__(self, draw: Draw, app: str = "") -> None:
        self.articles = _articles(draw.starts[app or next(iter(draw.starts))])

    def __getitem__(self, title: str) -> Article:
        return self.articles[title]

    def of(self, *kinds: str, facts: bool = False, editable: bool = False) -> list[Article]:
        """Return the articles of some kinds (all but redirects where none is named), in a fixed order.

        Args:
            kinds: Which kinds.
            facts: Only those with a table of facts.
            editable: Only those that are not protected and whose text is not vandalised.
        """
        return [
            each for each in self.articles.values()
            if each.kind and (not kinds or each.kind in kinds) and (each.facts or not facts)
            and not (editable and (each.protected or each.wrecked))
        ]  # fmt: skip

    def linking(self, title: str) -> list[Article]:
        """Return the articles (redirects too) that link to a title, in the order of their titles."""
        found = [each for each in self.articles.values() if title in links(each.body)]
        return sorted(found, key=lambda each: each.title)

    def holding(self, text: str) -> list[Article]:
        """Return the articles whose text holds some text."""
        return [each for each in self.articles.values() if text in plain(each.body)]

    def is_redirect(self, title: str) -> bool:
        """Tell whether an article only leads to another."""
        return redirect(self[title].body) is not None


def gold(name: str, value: str) -> Answer:
    """Return the typed answer for a fact."""
    kind = _KIND_OF_ANSWER.get(name, "name")
    return Answer(kind, plain(value))  # type: ignore[arg-type]


def names(titles: Iterable[str]) -> Answer:
    """Return the answer that is a set of names."""
    return Answer("set", items=tuple(Answer("name", title) for title in titles))


#: Versions are only ever added: what counts is the text that a page has now.
EDITS = Allowed("revision", ops=("insert",))


def text_of(article: Article, app: str = "") -> Allowed:
    """Allow the text of an article to change."""
    return Allowed("article", "id = ?", ("body",), ("update",), app, (article.id,))


def reads(article: Article, body: str, name: str = "", app: str = "") -> Goal:
    """Return the goal that an article has a certain text."""
    return Goal(name or f"{article.title} reads as asked", "SELECT body = ? FROM article WHERE id = ?",
                (body, article.id), app=app)  # fmt: skip


# Ways through the pages.


def open_page(pilot: Pilot, title: str) -> Moves:
    """Open the article of a title."""
    yield from pilot.fill("textbox", "Search", title, submit=True)


def edit_page(pilot: Pilot, link: str, change: Callable[[str], str]) -> Moves:
    """On an article's page: change its text behind one of the edit links, and save."""
    yield from pilot.click("link", link)
    text = change(value_of(pilot, "textbox", "Text"))
    yield from pilot.fill("textbox", "Text", text)
    yield from pilot.click("button", "Save page")


def value_of(pilot: Pilot, role: str, name: str) -> str:
    """Read what stands in a field. Raises ``NotOnPage`` when the page does not show it."""
    element = pilot.find(role, name)
    if element is None:
        raise NotOnPage(f"no {role} {name!r} on:\n{pilot.text}")
    line = pilot.text[element.at :].split("\n", 1)[0]
    found = re.search(r'value=("(?:[^"\\]|\\.)*")', line)
    return json.loads(found[1]) if found else ""


def cells(line: str) -> list[str]:
    """Return the words of a table's row as a page shows it."""
    plain_line = re.sub(r'[a-z]+ \[e[0-9]+\] "((?:[^"\\]|\\.)*)"', r"\1", line)
    return [cell.strip().strip("- ") if n == 0 else cell.strip() for n, cell in enumerate(plain_line.split(" | "))]


def table_rows(pilot: Pilot) -> list[list[str]]:
    """Return the rows of the tables on a page."""
    return [cells(line) for line in pilot.text.split("\n") if " | " in line]


def fact_on(pilot: Pilot, name: str) -> str:
    """Read a fact of the article on the page. Raises ``NotOnPage`` when it is not there."""
    for row in table_rows(pilot):
        if len(row) == 2 and row[0] == name:
            return row[1]
    raise NotOnPage(f"no fact {name!r} on:\n{pilot.text}")
