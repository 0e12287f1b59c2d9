"""Tasks of the wiki that end in an answer: facts over one to four hops, lists, history, links, discussions."""

from __future__ import annotations

import re
from collections import Counter

from thinkact.envs.answers import Answer
from thinkact.envs.web import wiki_words
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import ANSWER_ONLY, Draw, WebTask, template
from thinkact.envs.web.wiki_book import (
    ASK,
    FOLLOW,
    Book,
    fact_on,
    gold,
    names,
    open_page,
    table_rows,
)
from thinkact.envs.web.wiki_text import plain


def _hops(draw: Draw, n: int) -> WebTask | None:
    """Ask for a fact at the end of ``n - 1`` links."""
    book = Book(draw)
    start = draw.rng.choice(book.of(facts=True))
    here, path, phrase = start, list[str](), start.ask
    for _ in range(n - 1):
        on = [name for name in FOLLOW if here.links(name) in book.articles and here.links(name) != start.title]
        if not on:
            return None
        path.append(draw.rng.choice(on))
        phrase = FOLLOW[path[-1]].format(phrase)
        here = book[here.links(path[-1]) or ""]
    asked = [name for name in here.facts if name in ASK and name != "Contract ends"]
    if not asked or here is start and n > 1:
        return None
    name = draw.rng.choice(asked)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, start.title)
        for link in path:
            yield from pilot.click("link", fact_on(pilot, link), near=f"{link} |")
        yield from pilot.answer(fact_on(pilot, name))

    what = ASK[name].format(phrase)
    prompt = draw.say(
        f"What is {what}? {ANSWER_ONLY}",
        f"Look up {what} in the wiki. {ANSWER_ONLY}",
        f"Find {what}. {ANSWER_ONLY}",
        indirect=(f"A colleague wants to know {what}. {ANSWER_ONLY}",),
    )
    return WebTask(prompt, solve, answer=gold(name, here.facts[name]))


@template("wiki/fact", app="wiki", level=0)
def _fact(draw: Draw) -> WebTask | None:
    return _hops(draw, 1)


@template("wiki/fact-two-hops", app="wiki", level=0)
def _fact_two_hops(draw: Draw) -> WebTask | None:
    return _hops(draw, 2)


@template("wiki/fact-three-hops", app="wiki", level=0)
def _fact_three_hops(draw: Draw) -> WebTask | None:
    return _hops(draw, 3)


@template("wiki/fact-four-hops", app="wiki", level=1)
def _fact_four_hops(draw: Draw) -> WebTask | None:
    return _hops(draw, 4)


@template("wiki/whose-number", app="wiki", level=0)
def _whose_number(draw: Draw) -> WebTask | None:
    book = Book(draw)
    who = draw.rng.choice(book.of("People"))
    number = who.facts["Extension"]
    if sum(number in plain(each.body) for each in book.of()) != 1:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.fill("textbox", "Search", number, submit=True)
        yield from pilot.answer(next(row[0] for row in table_rows(pilot) if row[1:] == [f"Extension: {number}"]))

    prompt = draw.say(
        f"Whose extension is {number}? Give the full name.",
        f"Somebody called from extension {number}. Who was it? Give the full name.",
        indirect=(f"I have missed a call; all I see is {number}. At whose desk do I ring back? Give the full name.",),
    )
    return WebTask(prompt, solve, answer=Answer("name", who.title))


@template("wiki/compare", app="wiki", level=0)
def _compare(draw: Draw) -> WebTask | None:
    book = Book(draw)
    kind, name, words = draw.rng.choice([
        ("Offices", "Desks", "has more desks"), ("Offices", "Floors", "has more floors"),
        ("Suppliers", "Minimum order", "asks for the larger minimum order"),
        ("People", "Joined", "joined Northwind later"), ("Teams", "Founded", "was founded later"),
        ("Services", "Launched", "was launched later"), ("People", "Extension", "has the higher extension"),
    ])  # fmt: skip
    first, second = draw.some(book.of(kind, facts=True), 2)
    values = int(first.facts[name]), int(second.facts[name])
    if values[0] == values[1]:
        return None
    right = first if values[0] > values[1] else second

    def solve(pilot: Pilot) -> Moves:
        seen = {}
        for each in (first.title, second.title):
            yield from open_page(pilot, each)
            seen[each] = int(fact_on(pilot, name))
        yield from pilot.answer(max(seen, key=lambda title: seen[title]))

    prompt = draw.say(
        f"Which one {words}: {first.title} or {second.title}?",
        f"{first.title} and {second.title}: which of the two {words}?",
        indirect=(
            f"Two people bet: one says that {first.title} {words}, the other says {second.title}. Who of these two do "
            "I name the winner's?",
        ),
    )
    answer = Answer("choice", right.title, options=(first.title, second.title))
    return WebTask(prompt, solve, answer=answer)


@template("wiki/links-to-page", app="wiki", level=0)
def _links_to_page(draw: Draw) -> WebTask | None:
    book = Book(draw)
    found = draw.rng.choice(book.of("Offices", "Teams", "Services", "People"))
    n = len(book.linking(found.title))
    if n == 0:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, found.title)
        yield from pilot.click("link", "What links here")
        yield from pilot.answer(pilot.read(r"(\d+) pages?\b"))

    prompt = draw.say(
        f"How many pages link to {found.title}, redirects included?",
        f"Count the pages (redirects too) that link to {found.title}.",
        indirect=(
            f"If {found.title} was taken out of the wiki, how many pages (redirects too) would point at nothing?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(n)))


def _owned_on(pilot: Pilot) -> list[str]:
    """Return what a team's page lists under Services."""
    part = pilot.text[pilot.text.index("Edit section Services") :].split("Categories:")[0]
    return re.findall(r'link \[e\d+\] "([^"]+)"', part)


@template("wiki/services-of-lead", app="wiki", level=0)
def _services_of_lead(draw: Draw) -> WebTask | None:
    """Which services does the team of a person own: person, team, list."""
    book = Book(draw)
    who = draw.rng.choice(book.of("People"))
    team = book[who.links("Team") or ""]
    owned = [each.title for each in book.of("Services") if each.links("Owner") == team.title]
    if not owned or team.wrecked:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, who.title)
        yield from pilot.click("link", fact_on(pilot, "Team"), near="Team |")
        yield from pilot.answer("; ".join(_owned_on(pilot)))

    prompt = draw.say(
        f"Which services belong to the team of {who.title}? List them, separated by semicolons.",
        f"{who.title} is in one of our teams. List the services of that team, separated by semicolons.",
        indirect=(
            f"When something that is the business of {who.title}'s team breaks, what can that be? List the services, "
            "separated by semicolons.",
        ),
    )
    return WebTask(prompt, solve, answer=names(owned))


@template("wiki/count-launched", app="wiki", level=1)
def _count_launched(draw: Draw) -> WebTask | None:
    """Of a team's services, how many are younger than some year."""
    book = Book(draw)
    owners = Counter(each.links("Owner") for each in book.of("Services"))
    team = book[draw.rng.choice(sorted(title for title, n in owners.items() if title and 3 <= n <= 7))]
    owned = [each for each in book.of("Services") if each.links("Owner") == team.title]
    year = draw.rng.choice(range(2010, 2023))
    young = [each for each in owned if int(each.facts["Launched"]) >= year]
    if team.wrecked:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, team.title)
        n = 0
        for title in _owned_on(pilot):
            yield from open_page(pilot, title)
            n += int(fact_on(pilot, "Launched")) >= year
        yield from pilot.answer(str(n))

    prompt = draw.say(
        f"How many of the services that the team {team.title} owns were launched in {year} or later?",
        f"Count the services of {team.title} whose launch was in {year} or after it.",
        indirect=(
            f"The team {team.title} was praised for what it has brought out from {year} on. How many of the services "
            "that are still its own can that be?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(len(young))), steps=len(owned) + 2)


@template("wiki/topic-opener", app="wiki", level=0)
def _topic_opener(draw: Draw) -> WebTask | None:
    found = draw.pick("SELECT a.title AS page, t.title, (SELECT author FROM post WHERE topic_id = t.id ORDER BY id "
                      "LIMIT 1) "
                      "AS author FROM topic t JOIN article a ON a.id = t.article_id ORDER BY t.id")  # fmt: skip
    assert found is not None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, found["page"])
        yield from pilot.click("link", "Discussion")
        after = pilot.text[pilot.text.index(found["title"]) :]
        match = re.search(r"([A-Z]\w+ [A-Z]\w+), \d{4}-", after)
        yield from pilot.answer(match[1] if match else "")

    prompt = draw.say(
        f"On the discussion page of {found['page']}, who opened the topic “{found['title']}”?",
        f"Who started the discussion “{found['title']}” about the page {found['page']}?",
        indirect=(
            f"Without whom would nobody have talked about “{found['title']}” where {found['page']} is discussed?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("name", found["author"]))


@template("wiki/no-such-page", app="wiki", level=0, infeasible=True)
def _no_such_page(draw: Draw) -> WebTask | None:
    """Ask for a fact of something that the wiki does not know."""
    book = Book(draw)
    kind = draw.rng.choice(["Services", "Projects", "Suppliers", "Offices"])
    pool = {"Services": wiki_words.SERVICES, "Projects": [f"Project {each}" for each in wiki_words.PROJECTS],
            "Suppliers": wiki_words.SUPPLIERS, "Offices": wiki_words.OFFICES}[kind]  # fmt: skip
    absent = [each for each in pool if each not in book.articles]
    name = draw.rng.choice([name for name in book.of(kind, facts=True)[0].facts if name in ASK])
    title = draw.rng.choice(absent)

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.fill("textbox", "Search", title, submit=True)
        assert not pilot.shows(f"{name} |"), pilot.text
        yield from pilot.impossible()

    what = ASK[name].format(f"the service {title}" if kind == "Services" else title)
    prompt = draw.say(
        f"What is {what}? {ANSWER_ONLY}",
        f"Look up {what} in the wiki. {ANSWER_ONLY}",
        indirect=(f"A colleague wants to know {what}, and says that the wiki has it. {ANSWER_ONLY}",),
    )
    return WebTask(prompt, solve, infeasible=True)
