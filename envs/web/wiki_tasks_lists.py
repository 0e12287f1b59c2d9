"""Tasks of the wiki that end in an answer from its lists and categories."""

from __future__ import annotations

from collections import Counter

from thinkact.envs.answers import Answer
from thinkact.envs.web import wiki_words
from thinkact.envs.web.pilot import Element, Moves, Pilot
from thinkact.envs.web.tasks import ANSWER_ONLY, Draw, WebTask, template
from thinkact.envs.web.wiki_book import (
    Book,
    fact_on,
    names,
    open_page,
    table_rows,
)
from thinkact.envs.web.wiki_text import plain, rows, section


@template("wiki/extreme-of-category", app="wiki", level=2)
def _extreme_of_category(draw: Draw) -> WebTask | None:
    """Which page of a category has the largest or smallest figure; every page has to be opened."""
    book = Book(draw)
    kind, name, words = draw.rng.choice([
        ("People", "Joined", ("joined first", "joined last")),
        ("People", "Extension", ("has the lowest extension", "has the highest extension")),
        ("Services", "Launched", ("was launched first", "was launched last")),
    ])  # fmt: skip
    category = draw.rng.choice(
        ["First aiders", "Mentors"] if kind == "People" else ["Audited", "Legacy", "Customer facing"]
    )
    there = [each for each in book.of(kind, facts=True) if category in each.categories]
    others = [each for each in book.of() if category in each.categories and each not in there]
    sign = draw.rng.choice([0, 1])
    ranked = sorted(there, key=lambda each: int(each.facts[name]))
    if not 6 <= len(there) <= 14 or others or len({each.facts[name] for each in there}) < len(there):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Categories")
        yield from pilot.click("link", category)
        seen = {}
        for each in [element.name for element in _listed(pilot, "Category")]:
            yield from open_page(pilot, each)
            seen[each] = int(fact_on(pilot, name))
        pick = max if sign else min
        yield from pilot.answer(pick(seen, key=lambda title: seen[title]))

    prompt = draw.say(
        f"Of all pages in the category {category}, which one {words[sign]}?",
        f"Look at everything in the category {category}: which page is of the one that {words[sign]}?",
        indirect=(f"Nobody in the category {category} can beat one of its pages in this: it {words[sign]}. Which?",),
    )
    return WebTask(prompt, solve, answer=Answer("name", ranked[-sign].title), steps=len(there) + 3)


@template("wiki/list-extreme", app="wiki", level=0)
def _list_extreme(draw: Draw) -> WebTask | None:
    book = Book(draw)
    title, column, words = draw.rng.choice([
        ("List of offices", "Opened", ("oldest office", "newest office")),
        ("List of offices", "Desks", ("office with the fewest desks", "office with the most desks")),
        ("List of services", "Port", ("service with the lowest port", "service with the highest port")),
        ("List of suppliers", "Minimum order", ("supplier with the smallest minimum order",
                                                "supplier with the largest minimum order")),
        ("List of projects", "Budget", ("project with the smallest budget", "project with the largest budget")),
    ])  # fmt: skip
    sign = draw.rng.choice([0, 1])
    head, *lines = rows(section(book[title].body, "Table"))
    at = head.index(column)
    value = {plain(line[0]): int(line[at].split()[0]) for line in lines}
    ranked = sorted(value, key=lambda each: value[each])
    if len(set(value.values())) < len(value):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", title)
        head, *lines = (row for row in table_rows(pilot) if len(row) > 2)
        at = head.index(column)
        yield from pilot.answer(sorted(lines, key=lambda row: int(row[at].split()[0]))[-sign][0])

    prompt = draw.say(
        f"Which is the {words[sign]}? {ANSWER_ONLY}",
        f"Name the {words[sign]}. {ANSWER_ONLY}",
        f"According to the wiki's lists, which is the {words[sign]}? {ANSWER_ONLY}",
        indirect=(f"Somebody asks me for the {words[sign]}, and I only know that the wiki has lists. {ANSWER_ONLY}",),
    )
    return WebTask(prompt, solve, answer=Answer("name", ranked[-sign]))


@template("wiki/list-sum", app="wiki", level=0)
def _list_sum(draw: Draw) -> WebTask | None:
    """Add up a column of a list under a condition."""
    book = Book(draw)
    title, column, condition = draw.rng.choice([
        ("List of offices", "Desks", "Opened"), ("List of projects", "Budget", "Status"),
        ("List of suppliers", "Minimum order", ""),
    ])  # fmt: skip
    head, *lines = rows(section(book[title].body, "Table"))
    at = head.index(column)
    if condition == "Opened":
        year = draw.rng.choice(range(1975, 2015, 5))
        words = f"Add up the desks of all offices that opened before {year}."
    elif condition == "Status":
        status = draw.rng.choice(wiki_words.STATUSES)
        words = f"What is the total budget, in USD, of the projects with the status {status}?"
    else:
        least = draw.rng.choice(range(100, 600, 50))
        words = f"Add up those minimum orders at suppliers that are larger than {least}."

    def counts(row: list[str]) -> bool:
        if condition == "Opened":
            return int(row[head.index("Opened")]) < year
        if condition == "Status":
            return row[head.index("Status")] == status
        return int(row[at]) > least

    kept = [int(line[at].split()[0]) for line in lines if counts(line)]
    if len(kept) < 2:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", title)
        shown = [row for row in table_rows(pilot) if len(row) > 2][1:]
        yield from pilot.answer(str(sum(int(row[at].split()[0]) for row in shown if counts(row))))

    return WebTask(
        draw.say(
            f"{words} The page {title} has the figures. {ANSWER_ONLY}",
            indirect=(f"I need one figure, and the page {title} has all that it takes. {words} {ANSWER_ONLY}",),
        ),
        solve,
        answer=Answer("number", str(sum(kept))),
    )


@template("wiki/category-size", app="wiki", level=0)
def _category_size(draw: Draw) -> WebTask | None:
    found = draw.pick("SELECT name, count(*) AS n FROM category GROUP BY name ORDER BY name")
    assert found is not None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Categories")
        yield from pilot.answer(next(row[1] for row in table_rows(pilot) if row[0] == found["name"]))

    prompt = draw.say(
        f"How many pages are in the category {found['name']}?",
        f"Count the pages of the category {found['name']}.",
        indirect=(
            f"If I read one page of the category {found['name']} a day, for how many days do I have something to read?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(found["n"])))


@template("wiki/in-both-categories", app="wiki", level=1)
def _in_both(draw: Draw) -> WebTask | None:
    book = Book(draw)
    pairs = Counter((a, b) for each in book.of() for a in each.categories for b in each.categories if a != b)
    first, second = draw.rng.choice(sorted(pair for pair, n in pairs.items() if n <= 5))
    both = [each.title for each in book.of() if first in each.categories and second in each.categories]

    def solve(pilot: Pilot) -> Moves:
        seen = []
        for category in (first, second):
            yield from pilot.click("link", "Categories")
            yield from pilot.click("link", category)
            seen.append([element.name for element in _listed(pilot, "Category")])
        yield from pilot.answer("; ".join(each for each in seen[0] if each in seen[1]))

    prompt = draw.say(
        f"Which pages are both in the category {first} and in the category {second}? List their titles, separated by "
        "semicolons.",
        f"List the titles of all pages that {first} and {second} have in common, separated by semicolons.",
        indirect=(
            f"Whoever is interested in {first} but only where it is {second} as well: what should they read? List the "
            "titles, separated by semicolons.",
        ),
    )
    return WebTask(prompt, solve, answer=names(both))


@template("wiki/people-joined-before", app="wiki", level=3)
def _people_joined_before(draw: Draw) -> WebTask | None:
    """Read the page of every person."""
    book = Book(draw)
    year = draw.rng.choice(range(2002, 2012))
    everyone = book.of("People")
    early = [each.title for each in everyone if int(each.facts["Joined"]) < year]
    if not 2 <= len(early) <= 7:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Categories")
        yield from pilot.click("link", "People")
        found = []
        for title in [element.name for element in _listed(pilot, "Category")]:
            yield from open_page(pilot, title)
            if int(fact_on(pilot, "Joined")) < year:
                found.append(title)
        yield from pilot.answer("; ".join(found))

    prompt = draw.say(
        f"Which people in the wiki joined Northwind before {year}? List their full names, separated by semicolons.",
        f"List everybody with a page in the category People who joined before {year}, full names separated by "
        "semicolons.",
        indirect=(
            f"{year} was the first year of our new pension, and whoever came before it has the old one. Who is that, "
            "by their pages (category People)? Full names, separated by semicolons.",
        ),
    )
    return WebTask(prompt, solve, answer=names(early), steps=len(everyone) + 3)


def _listed(pilot: Pilot, heading: str) -> list[Element]:
    """Return the links below a page's heading."""
    at = pilot.text.index(f"# {heading}")
    return [element for element in pilot.elements() if element.role == "link" and element.at > at]
