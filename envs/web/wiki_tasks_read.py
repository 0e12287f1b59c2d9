"""Tasks of the wiki that end in an answer: facts over one to four hops, lists, history, links, discussions."""

from __future__ import annotations

import re
from collections import Counter

from thinkact.envs.answers import Answer
from thinkact.envs.web import wiki_words
from thinkact.envs.web.pilot import Element, Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template
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
from thinkact.envs.web.wiki_text import plain, rows, section

_ANSWER = "Give the answer only."


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
        f"What is {what}? {_ANSWER}",
        f"Look up {what} in the wiki. {_ANSWER}",
        f"Find {what}. {_ANSWER}",
        indirect=(f"A colleague wants to know {what}. {_ANSWER}",),
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

    prompt = draw.say(f"Whose extension is {number}? Give the full name.",
                      f"Somebody called from extension {number}. Who was it? Give the full name.",
indirect=(f"I have missed a call; all I see is {number}. At whose desk do I ring back? Give the full "
"name.",
))  # fmt: skip
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

    prompt = draw.say(f"Which one {words}: {first.title} or {second.title}?",
                      f"{first.title} and {second.title}: which of the two {words}?",
indirect=(f"Two people bet: one says that {first.title} {words}, the other says {second.title}. Who of "
"these two do I name the winner's?",
))  # fmt: skip
    answer = Answer("choice", right.title, options=(first.title, second.title))
    return WebTask(prompt, solve, answer=answer)


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

    prompt = draw.say(f"Of all pages in the category {category}, which one {words[sign]}?",
                      f"Look at everything in the category {category}: which page is of the one that "
                      f"{words[sign]}?",
indirect=(f"Nobody in the category {category} can beat one of its pages in this: it {words[sign]}. "
"Which?",
))  # fmt: skip
    return WebTask(prompt, solve, answer=Answer("name", ranked[-sign].title), steps=len(there) + 3)


def _listed(pilot: Pilot, heading: str) -> list[Element]:
    """Return the links below a page's heading."""
    at = pilot.text.index(f"# {heading}")
    return [element for element in pilot.elements() if element.role == "link" and element.at > at]


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

    prompt = draw.say(f"Which is the {words[sign]}? {_ANSWER}", f"Name the {words[sign]}. {_ANSWER}",
                      f"According to the wiki's lists, which is the {words[sign]}? {_ANSWER}",
indirect=(f"Somebody asks me for the {words[sign]}, and I only know that the wiki has lists. {_ANSWER}",
))  # fmt: skip
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
            f"{words} The page {title} has the figures. {_ANSWER}",
            indirect=(f"I need one figure, and the page {title} has all that it takes. {words} {_ANSWER}",),
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

    prompt = draw.say(f"How many pages are in the category {found['name']}?",
                      f"Count the pages of the category {found['name']}.",
indirect=(f"If I read one page of the category {found['name']} a day, for how many days do I have "
"something to read?",
))  # fmt: skip
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

    prompt = draw.say(f"Which pages are both in the category {first} and in the category {second}? List their titles, "
                      "separated by semicolons.",
                      f"List the titles of all pages that {first} and {second} have in common, separated by "
                      "semicolons.",
indirect=(f"Whoever is interested in {first} but only where it is {second} as well: what should they "
"read? List the titles, separated by semicolons.",
))  # fmt: skip
    return WebTask(prompt, solve, answer=names(both))


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

    prompt = draw.say(f"How many pages link to {found.title}, redirects included?",
                      f"Count the pages (redirects too) that link to {found.title}.",
indirect=(f"If {found.title} was taken out of the wiki, how many pages (redirects too) would point at "
"nothing?",
))  # fmt: skip
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

    prompt = draw.say(f"Which services belong to the team of {who.title}? List them, separated by semicolons.",
                      f"{who.title} is in one of our teams. List the services of that team, separated by "
                      "semicolons.",
indirect=(f"When something that is the business of {who.title}'s team breaks, what can that be? List "
"the services, separated by semicolons.",
))  # fmt: skip
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

    prompt = draw.say(f"How many of the services that the team {team.title} owns were launched in {year} or later?",
                      f"Count the services of {team.title} whose launch was in {year} or after it.",
indirect=(f"The team {team.title} was praised for what it has brought out from {year} on. How many of "
"the services that are still its own can that be?",
))  # fmt: skip
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

    prompt = draw.say(f"On the discussion page of {found['page']}, who opened the topic “{found['title']}”?",
                      f"Who started the discussion “{found['title']}” about the page {found['page']}?",
indirect=(f"Without whom would nobody have talked about “{found['title']}” where {found['page']} is "
"discussed?",
))  # fmt: skip
    return WebTask(prompt, solve, answer=Answer("name", found["author"]))


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

    prompt = draw.say(f"Which people in the wiki joined Northwind before {year}? List their full names, separated "
                      "by semicolons.",
                      f"List everybody with a page in the category People who joined before {year}, full names "
                      "separated by "
                      "semicolons.",
indirect=(f"{year} was the first year of our new pension, and whoever came before it has the old one. "
"Who is that, by their pages (category People)? Full names, separated by semicolons.",
))  # fmt: skip
    return WebTask(prompt, solve, answer=names(early), steps=len(everyone) + 3)


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
        f"What is {what}? {_ANSWER}",
        f"Look up {what} in the wiki. {_ANSWER}",
        indirect=(f"A colleague wants to know {what}, and says that the wiki has it. {_ANSWER}",),
    )
    return WebTask(prompt, solve, infeasible=True)
