"""Tasks of the wiki's history: who edited what, what a page said before, undoing edits and vandalism."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from thinkact.envs.answers import Answer
from thinkact.envs.web import hints
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Goal, Start
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import EDITS, Article, Book, cells, open_page, reads, table_rows, text_of


def _page(draw: Draw, book: Book) -> Article:
    return draw.rng.choice([each for each in book.of() if each.kind != "Archive"])


@template("wiki/last-editor", app="wiki", level=0)
def _last_editor(draw: Draw) -> WebTask | None:
    book = Book(draw)
    found = _page(draw, book)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, found.title)
        yield from pilot.answer(pilot.read(r"Last edited \S+ \S+ by ([^\n\"]+)"))

    prompt = draw.say(
        f"Who was the last to edit the page {found.title}? Give the name of the account.",
        f"Whose is the latest edit of {found.title}? Give the name of the account.",
        indirect=(
            f"I want to thank whoever worked on {hints.article(draw, found)} last. Under which account do I find them?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("literal", found.editor))


@template("wiki/edits-of-page", app="wiki", level=0)
def _edits_of_page(draw: Draw) -> WebTask | None:
    book = Book(draw)
    found = _page(draw, book)
    counts = draw.rows("SELECT author, count(*) AS n FROM revision WHERE article_id = ? GROUP BY author ORDER BY "
                       "author",
                       found.id)  # fmt: skip
    author, n = draw.rng.choice(counts)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, found.title)
        yield from pilot.click("link", "History")
        yield from pilot.answer(str(sum(row[1] == author for row in table_rows(pilot) if len(row) > 3)))

    prompt = draw.say(
        f"How many versions of the page {found.title} were saved by {author}?",
        f"How often did {author} edit {found.title}, the first version included?",
        indirect=(
            f"Of all the versions that there ever were of {hints.article(draw, found)}, how many do we owe to "
            f"{author}?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(n)))


@lru_cache(maxsize=192)
def _corrections(start: Start) -> list[tuple[str, str, str, str, int]]:
    """Return the edits that changed a figure: title, fact, old and new value, and how many edits came later."""
    found = []
    for row in start.db.execute("SELECT id, title FROM article WHERE body NOT LIKE '#REDIRECT%' ORDER BY id"):
        bodies = [
            r["body"]
            for r in start.db.execute("SELECT body FROM revision WHERE article_id = ? ORDER BY id", (row["id"],))
        ]
        for n, (old, new) in enumerate(zip(bodies, bodies[1:], strict=False)):
            lines = [line for line in difflib.ndiff(old.split("\n"), new.split("\n")) if line[0] in "+-" and line[2:]]
            if len(lines) == 2 and all(re.fullmatch(r"[+-] \| [A-Z][\w ]+ \| \d+", line) for line in lines):
                name, before = cells(lines[0][2:].strip("| "))
                found.append((row["title"], name, before, cells(lines[1][2:].strip("| "))[1], len(bodies) - 2 - n))
    return found


def _correction(draw: Draw) -> tuple[str, str, str, str, int] | None:
    """Draw an edit that changed a figure which no other edit changed, and after which the page was edited again."""
    found = _corrections(draw.starts["wiki"])
    chosen = draw.rng.choice(found)
    return chosen if chosen[-1] and sum(each[:2] == chosen[:2] for each in found) == 1 else None


@template("wiki/value-before", app="wiki", level=1)
def _value_before(draw: Draw) -> WebTask | None:
    """Walk back through the edits of a page to the one that changed a figure."""
    found = _correction(draw)
    if found is None:
        return None
    title, name, before, after, later = found

    def solve(pilot: Pilot) -> Moves:
        yield from _to_change(pilot, title, name)
        yield from pilot.answer(pilot.read(rf"\| {name} \| (\d+)"))

    prompt = draw.say(
        f"The page {title} once gave another figure for {name}, before it was changed to {after}. Which one?",
        f"{name} of {title} was corrected to {after} at some time. What did the page say before?",
        indirect=(
            f"An old letter quotes {title} with another {name} than {after}, which is what it was corrected to later. "
            "Which figure does the letter have?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", before), steps=4 + later)


def _to_change(pilot: Pilot, title: str, name: str) -> Moves:
    """From the latest edit of a page back to the one that changed a fact."""
    yield from open_page(pilot, title)
    yield from pilot.click("link", "History")
    yield from pilot.click("link", "Changes of")
    while not pilot.read_all(rf"(?s)Removed.*\| {name} \| \d+.*Added.*\| {name} \| \d+"):
        yield from pilot.click("link", "its changes")


@template("wiki/who-changed", app="wiki", level=1)
def _who_changed(draw: Draw) -> WebTask | None:
    found = _correction(draw)
    if found is None:
        return None
    title, name, before, after, later = found
    author = draw.rows("SELECT author FROM revision r JOIN article a ON a.id = r.article_id WHERE a.title = ? "
                       "ORDER BY r.id DESC", title)[later]["author"]  # fmt: skip

    def solve(pilot: Pilot) -> Moves:
        yield from _to_change(pilot, title, name)
        yield from pilot.answer(pilot.read(r'Edit of \S+ \S+ by\s+(?:- )?link \[e\d+\] "([^"]+)"'))

    prompt = draw.say(
        f"Who changed {name} from {before} to {after} on the page {title}?",
        f"On {title}, {name} went from {before} to {after}. Whose edit was that?",
        indirect=(f"I believed that {name} of {title} was {before}, and now I read {after}. Who did that?",),
    )
    return WebTask(prompt, solve, answer=Answer("name", author), steps=4 + later)


@template("wiki/edits-of-account", app="wiki", level=0)
def _edits_of_account(draw: Draw) -> WebTask | None:
    """Which page did somebody edit most recently: from the recent changes to the account."""
    found = draw.pick("SELECT author, count(*) AS n FROM (SELECT * FROM revision ORDER BY id DESC LIMIT 15) "
                      "GROUP BY author ORDER BY author")  # fmt: skip
    assert found is not None
    n = draw.row("SELECT count(*) AS n FROM revision WHERE author = ?", found["author"])
    assert n is not None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Recent changes")
        yield from pilot.click("link", found["author"])
        yield from pilot.answer(pilot.read(r"(\d+) edits?, the latest"))

    prompt = draw.say(
        f"How many edits has the account {found['author']} made in this wiki so far?",
        f"{found['author']} is among those who edited lately. How many edits has that account in all?",
        indirect=(f"{found['author']} is proud of every edit in this wiki. How many is that to be proud of?",),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(n["n"])))


@template("wiki/undo-last-edit", app="wiki", level=1)
def _undo_last_edit(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice([each for each in book.of() if each.kind != "Archive" and not each.protected])
    bodies = draw.rows("SELECT body FROM revision WHERE article_id = ? ORDER BY id DESC LIMIT 2", article.id)
    if len(bodies) < 2 or bodies[1]["body"] == article.body:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "History")
        yield from pilot.click("link", "Changes of")
        yield from pilot.click("button", "Undo this edit")
        yield from pilot.done()

    prompt = draw.say(
        f"The last edit of the page {article.title}, by {article.editor}, was a mistake. Undo it.",
        f"Undo what {article.editor} did last on the page {article.title}; earlier edits stay.",
        indirect=(f"The page {article.title} was better one edit ago. Make it what it was.",),
    )
    return WebTask(prompt, solve, (reads(article, bodies[1]["body"]),), (text_of(article), EDITS))


@template("wiki/restore-version", app="wiki", level=1)
def _restore_version(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice([each for each in book.of() if each.kind != "Archive" and not each.protected])
    older = draw.rows("SELECT * FROM revision WHERE article_id = ? ORDER BY id DESC", article.id)[1:]
    old = draw.rng.choice(older) if older else None
    if old is None or old["body"] == article.body:
        return None
    at = old["at"]

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "History")
        yield from pilot.click("link", f"View version of {at}")
        yield from pilot.click("button", "Restore this version")
        yield from pilot.done()

    prompt = draw.say(
        f"Bring the page {article.title} back to its version of {at}.",
        f"Make the version of {at}, saved by {old['author']}, the current one of the page {article.title}.",
        indirect=(f"On {at} the page {article.title} was as it should be, and never since. It should be so again.",),
    )
    return WebTask(prompt, solve, (reads(article, old["body"]),), (text_of(article), EDITS))


def _mended(draw: Draw, vandals: list[str]) -> tuple[tuple[Goal, ...], tuple[Article, ...]]:
    """Return the goals, and the articles, of undoing what some accounts did last."""
    hit = tuple(each for each in Book(draw).of() if each.editor in vandals)
    good = [draw.rows("SELECT body FROM revision WHERE article_id = ? ORDER BY id DESC LIMIT 2", each.id)[1]["body"]
            for each in hit]  # fmt: skip
    return tuple(reads(each, body, f"{each.title} is mended") for each, body in zip(hit, good, strict=True)), hit


def _undo_all(pilot: Pilot, vandal: str) -> Moves:
    """From the recent changes: undo every edit of an account that is still the current version."""
    yield from pilot.click("link", "Recent changes")
    while not pilot.find("link", vandal):
        yield from pilot.click("link", "Next page")
    yield from pilot.click("link", vandal)
    for when in [row[0] for row in table_rows(pilot) if len(row) > 4 and row[4] == "current"]:
        yield from pilot.click("link", f"Changes of {when}")
        yield from pilot.click("button", "Undo this edit")
        yield from pilot.goto(f"/user/{vandal}")


def _vandals(draw: Draw) -> list[str]:
    return [row["name"] for row in draw.rows("SELECT name FROM account WHERE role = 'newcomer' ORDER BY id")]


def _revert(draw: Draw, which: list[str], said: str) -> WebTask | None:
    goals, hit = _mended(draw, which)

    def solve(pilot: Pilot) -> Moves:
        for vandal in which:
            yield from _undo_all(pilot, vandal)
        yield from pilot.done()

    prompt = draw.say(
        f"{said} been writing nonsense into our pages. Undo every such edit that nobody has undone yet.",
        f"{said} vandalised the wiki. Put each page that still shows it back to the version before.",
        indirect=(
            f"{said} done us no good. Whoever reads our pages should not be able to tell that, even where nobody has "
            "cared so far.",
        ),
    )
    return WebTask(prompt, solve, goals, (*map(text_of, hit), EDITS), steps=3 * len(goals) + 4)


@template("wiki/revert-vandal", app="wiki", level=1)
def _revert_vandal(draw: Draw) -> WebTask | None:
    vandal = _vandals(draw)[1]
    return _revert(draw, [vandal], f"The account {vandal} has")


@template("wiki/revert-busy-vandal", app="wiki", level=2)
def _revert_busy_vandal(draw: Draw) -> WebTask | None:
    vandal = _vandals(draw)[0]
    return _revert(draw, [vandal], f"The account {vandal} has")


@template("wiki/revert-both-vandals", app="wiki", level=3)
def _revert_both(draw: Draw) -> WebTask | None:
    both = _vandals(draw)
    return _revert(draw, both, f"The accounts {both[0]} and {both[1]} have")
