"""Tasks of the wiki that change texts: facts, tables, lists, sections, vandalism, names that occur in many pages."""

from __future__ import annotations

import re
from collections.abc import Callable

from thinkact.envs.web import hints, wiki_words
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Goal
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import (
    EDITS,
    Article,
    Book,
    edit_page,
    fact_on,
    open_page,
    reads,
    table_rows,
    text_of,
)
from thinkact.envs.web.wiki_text import normal, plain, rows, section, sections, with_section


def _rewrite(
    prompt: str, article: Article, link: str, change: Callable[[str], str], *, app: str = ""
) -> WebTask | None:
    """Return the task of one edit behind one edit link of an article; None where it changes nothing."""
    if link == "Edit":
        body = normal(change(article.body))
    else:
        heading = link.removeprefix("Edit section ") if link != "Edit introduction" else ""
        parts = sections(article.body)
        number = [name for name, _ in parts].index(heading)
        body = with_section(article.body, number, change(parts[number][1]))
    if body == article.body or article.protected:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from edit_page(pilot, link, change)
        yield from pilot.done()

    return WebTask(prompt, solve, (reads(article, body, app=app),), (text_of(article, app), EDITS))


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _new_value(draw: Draw, name: str, value: str) -> str:
    rng = draw.rng
    pools = {"City": wiki_words.CITIES, "Language": wiki_words.LANGUAGES, "Status": wiki_words.STATUSES,
             "Second language": wiki_words.SPOKEN, "Title": wiki_words.TITLES, "Goods": wiki_words.GOODS}  # fmt: skip
    if name in pools:
        return rng.choice([each for each in pools[name] if each != value])
    if value.isdigit():
        return str(int(value) + rng.choice([-9, -4, -3, -1, 1, 2, 3, 7, 12]))
    return f"{rng.randint(1, 9)}.{rng.randint(20, 40)}"


_CHANGEABLE = ("City", "Language", "Status", "Second language", "Title", "Desks", "Extension", "Port", "Minimum order",
               "Founded", "Joined", "Launched", "Version", "Floors")  # fmt: skip


@template("wiki/correct-fact", app="wiki", level=1)
def _correct_fact(draw: Draw) -> WebTask | None:
    article = draw.rng.choice(
        Book(draw).of("People", "Teams", "Services", "Suppliers", "Projects", editable=True, facts=True)
    )
    name = draw.rng.choice([name for name in article.facts if name in _CHANGEABLE])
    old = article.facts[name]
    new = _new_value(draw, name, old)
    prompt = draw.say(
        f"The page {article.title} gives a wrong value for {name}: it must be {new}. Correct it, and nothing else.",
        f"Please set {name} to {new} in the introduction's table of the page {article.title}.",
        indirect=(f"{article.title}: {name} is {new} by now. See to it that the wiki's page of that title says so.",),
    )
    return _rewrite(prompt, article, "Edit introduction", _swap(f"| {name} | {old}", f"| {name} | {new}"))


@template("wiki/new-lead", app="wiki", level=1)
def _new_lead(draw: Draw) -> WebTask | None:
    """The new value stands on another page: the lead of one team takes over an office or a supplier."""
    book = Book(draw)
    team = draw.rng.choice(book.of("Teams"))
    article = draw.rng.choice(book.of("Offices", "Suppliers", editable=True, facts=True))
    name = "Site manager" if article.kind == "Offices" else "Account manager"
    lead, old = team.links("Lead"), article.links(name)
    if lead == old or team.wrecked:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, team.title)
        now = fact_on(pilot, "Lead")
        yield from open_page(pilot, article.title)
        yield from edit_page(pilot, "Edit introduction", lambda text: re.sub(
            rf"\| {name} \| .*", f"| {name} | [[{now}]]", text))  # fmt: skip
        yield from pilot.done()

    body = article.body.replace(f"| {name} | [[{old}]]", f"| {name} | [[{lead}]]")
    prompt = draw.say(
        f"The lead of the team {team.title} has become {name.lower()} of {article.title}. Bring the page "
        f"{article.title} up to date, with a link to the person's page.",
        f"On the page {article.title}, put the lead of the team {team.title} in place of the present {name.lower()}, "
        "as a link.",
        indirect=(
            f"On {hints.article(draw, article, without=name)}, the {name.lower()} is yesterday's. Whoever leads the "
            f"team {team.title} has taken that over; the page should say so, by a link to theirs.",
        ),
    )
    return WebTask(prompt, solve, (reads(article, body),), (text_of(article), EDITS))


def _everywhere(draw: Draw, least: int, most: int) -> WebTask | None:
    """A channel or a phone number is replaced: every page that gives it has to be found and changed."""
    book = Book(draw)
    team = draw.rng.random() < 0.6
    home = draw.rng.choice(book.of("Teams" if team else "Offices", facts=True))
    old = home.facts["Channel" if team else "Reception phone"]
    pages = sorted(book.holding(old), key=lambda each: each.title)
    if not least <= len(pages) <= most or any(each.protected for each in pages):
        return None
    new = f"#{home.title.lower()}-{draw.rng.choice(['chat', 'line', 'forum', 'team'])}" if team else (
        f"+47 55 {draw.rng.randint(1000, 9999)}")  # fmt: skip
    if book.holding(new):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.fill("textbox", "Search", old, submit=True)
        for title in [row[0] for row in table_rows(pilot)[1:]]:
            yield from open_page(pilot, title)
            yield from edit_page(pilot, "Edit", _swap(old, new))
        yield from pilot.done()

    what = f"channel of the team {home.title}" if team else f"phone number of the reception at {home.title}"
    prompt = draw.say(
        f"The {what} has changed from {old} to {new}. Correct it on every page of the wiki that gives it.",
        f"From today, the {what} is {new} instead of {old}. Replace it wherever it occurs in the wiki.",
        indirect=(f"The {what} has changed to {new}. No page of the wiki may give the old one any more.",),
    )
    goals = tuple(reads(each, each.body.replace(old, new), f"{each.title} gives {new}") for each in pages)
    return WebTask(prompt, solve, goals, (*map(text_of, pages), EDITS), steps=4 * len(pages) + 2)


@template("wiki/replace-everywhere", app="wiki", level=2)
def _replace_everywhere(draw: Draw) -> WebTask | None:
    return _everywhere(draw, 2, 4)


@template("wiki/replace-everywhere-long", app="wiki", level=3)
def _replace_everywhere_long(draw: Draw) -> WebTask | None:
    return _everywhere(draw, 5, 9)


@template("wiki/add-row", app="wiki", level=1)
def _add_row(draw: Draw) -> WebTask | None:
    book = Book(draw)
    rng = draw.rng
    title, pool = rng.choice([("List of offices", wiki_words.OFFICES), ("List of services", wiki_words.SERVICES),
                              ("List of suppliers", wiki_words.SUPPLIERS)])  # fmt: skip
    head = rows(section(book[title].body, "Table"))[0]
    new = rng.choice([each for each in pool if each not in book.articles])
    made = {"City": rng.choice(wiki_words.CITIES), "Opened": str(rng.randint(2022, 2026)),
            "Desks": str(rng.randint(40, 400)),
            "Owner": f"[[{rng.choice(book.of('Teams')).title}]]", "Tier": str(rng.randint(1, 3)),
            "Port": str(rng.randint(3000, 9900)), "Goods": rng.choice(wiki_words.GOODS),
            "Minimum order": str(rng.randint(20, 900))}  # fmt: skip
    values = [f"[[{new}]]", *(made[name] for name in head[1:])]
    said = ", ".join(f"{name}: {value}" for name, value in zip(head, values, strict=True))
    prompt = draw.say(
        f"Add a row at the end of the table on the page {title}: {said}. (Double square brackets make a link.)",
        f"The table of the page {title} lacks a last row with {said}. Add it; double square brackets are links.",
        indirect=(
            f"There is something that the page {title} does not have yet, and its table should, below all else: "
            f"{said}. What stands in double square brackets is a link.",
        ),
    )
    return _rewrite(prompt, book[title], "Edit section Table", lambda text: f"{text.rstrip()}\n| {' | '.join(values)}")


@template("wiki/remove-row", app="wiki", level=1)
def _remove_row(draw: Draw) -> WebTask | None:
    book = Book(draw)
    title = draw.rng.choice(["List of offices", "List of services", "List of suppliers", "List of projects"])
    line = draw.rng.choice(rows(section(book[title].body, "Table"))[1:])
    gone = plain(line[0])
    prompt = draw.say(
        f"{gone} is no longer to be listed on the page {title}. Remove its row from the table there.",
        f"Delete the row of {gone} from the table of the page {title}; leave the page of {gone} itself alone.",
        indirect=(
            f"{gone} is history, and the table of the page {title} pretends that it is not. The page about it may stay "
            "as it is.",
        ),
    )

    def change(text: str) -> str:
        return "\n".join(each for each in text.split("\n") if not each.startswith(f"| [[{gone}]]"))

    return _rewrite(prompt, book[title], "Edit section Table", change)


def _calendar(text: str, ends: dict[str, str]) -> str:
    for supplier, day in ends.items():
        text = re.sub(rf"\| \[\[{re.escape(supplier)}\]\] \| .*", f"| [[{supplier}]] | {day}", text)
    return text


@template("wiki/fix-cell", app="wiki", level=1)
def _fix_cell(draw: Draw) -> WebTask | None:
    """One row of the contract calendar disagrees with the supplier's page, which counts."""
    book = Book(draw)
    calendar = book["Contract calendar"]
    stale = [plain(name) for name, day in rows(section(calendar.body, "Table"))[1:]
             if book[plain(name)].facts["Contract ends"] != day]  # fmt: skip
    supplier = draw.rng.choice(stale)
    body = _calendar(calendar.body, {supplier: book[supplier].facts["Contract ends"]})

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, supplier)
        ends = fact_on(pilot, "Contract ends")
        yield from open_page(pilot, calendar.title)
        yield from edit_page(pilot, "Edit section Table", lambda text: _calendar(text, {supplier: ends}))
        yield from pilot.done()

    prompt = draw.say(
        f"The Contract calendar gives another day for {supplier} than the page of {supplier}. The supplier's page is "
        "right: correct the calendar's row.",
        f"In the Contract calendar, correct the row of {supplier} after the supplier's own page. Leave the other rows.",
        indirect=(
            f"Somebody relied on the Contract calendar for {supplier} and was wrong: {supplier} has a page, and that "
            "one is right. No one else should be misled; the other rows do not matter now.",
        ),
    )
    return WebTask(prompt, solve, (reads(calendar, body),), (text_of(calendar), EDITS), steps=6)


@template("wiki/audit-calendar", app="wiki", level=2)
def _audit_calendar(draw: Draw) -> WebTask | None:
    """Every row of the contract calendar is compared with the supplier's page."""
    book = Book(draw)
    calendar = book["Contract calendar"]
    everyone = sorted(plain(row[0]) for row in rows(section(calendar.body, "Table"))[1:])
    first = draw.rng.choice("FGHIJ")
    part, which = draw.rng.choice([
        (everyone, "all suppliers"),
        ([each for each in everyone if each[0] >= first], f"those suppliers whose name begins with {first} or a later "
                                                          "letter"),
        ([each for each in everyone if each[0] <= first], f"those suppliers whose name begins with A to {first}"),
    ])  # fmt: skip
    ends = {each: book[each].facts["Contract ends"] for each in part}
    if len(part) < 5 or _calendar(calendar.body, ends) == calendar.body:
        return None

    def solve(pilot: Pilot) -> Moves:
        seen = {}
        for each in part:
            yield from open_page(pilot, each)
            seen[each] = fact_on(pilot, "Contract ends")
        yield from open_page(pilot, calendar.title)
        yield from edit_page(pilot, "Edit section Table", lambda text: _calendar(text, seen))
        yield from pilot.done()

    prompt = draw.say(
        f"Compare the Contract calendar with the suppliers' own pages, for {which}, and correct the rows that "
        "disagree. The suppliers' pages are right.",
        f"Some days in the Contract calendar are out of date. Go through {which} and set each row to what the "
        "supplier's own page says under Contract ends.",
        indirect=(
            f"I no longer trust the Contract calendar. For {which}, it should say what can be read on the suppliers' "
            "own pages, which never err.",
        ),
    )
    now = {plain(name): day for name, day in rows(section(calendar.body, "Table"))[1:]}
    goals = [Goal(f"the row of {each} is right", "SELECT instr(body, ?) FROM article WHERE id = ?",
                  (f"| [[{each}]] | {day}", calendar.id))
             for each, day in ends.items() if now[each] != day]  # fmt: skip
    whole = reads(calendar, _calendar(calendar.body, ends))
    return WebTask(prompt, solve, (*goals, whole), (text_of(calendar), EDITS), steps=len(part) + 5)


@template("wiki/add-step", app="wiki", level=1)
def _add_step(draw: Draw) -> WebTask | None:
    article = draw.rng.choice(Book(draw).of("Guides", editable=True))
    step = draw.rng.choice(["Thank the colleague who helped you.", "Return the badge when you leave.",
                            "Tell your own team lead.", "Note the date in your calendar.",
                            "Leave feedback on the discussion page.", "Switch your phone to silent.",
                            "Sign the list at the door.", "Bring something to drink.", "Close the door behind you.",
                            "Put the chairs back.", "Ask for a receipt.", "Check the notice board."])  # fmt: skip
    where = draw.rng.choice(["last", "first"])

    def change(text: str) -> str:
        lines = text.rstrip().split("\n")
        return "\n".join([lines[0], f"* {step}", *lines[1:]] if where == "first" else [*lines, f"* {step}"])

    prompt = draw.say(
        f"In the guide {article.title}, add a new {where} item to the list of the section Steps: {step}",
        f"The Steps of the page {article.title} need one more item, in {where} place: {step}",
        indirect=(
            f"Whoever follows the Steps on the page {article.title} leaves out what should come {where}: {step} Let "
            "the list have it.",
        ),
    )
    return _rewrite(prompt, article, "Edit section Steps", change)


@template("wiki/add-section", app="wiki", level=1)
def _add_section(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice([each for each in book.of(editable=True) if each.kind not in ("Lists", "Archive")])
    heading, text = draw.rng.choice([
        ("Opening "
         "hours", "Open from 8 to 18 on working "
                          "days."), ("Feedback", "Remarks are welcome on the discussion "
                                                                              "page."),
        ("Accessibility", "Everything can be reached without stairs."),
        ("History", "Nobody has written it down yet."),
        ("Review", "This page is reviewed every spring."), ("Training", "A course is held twice a year."),
        ("Emergency", "Leave by the nearest stairs and meet in the yard."),
        ("Languages", "English is fine everywhere."),
    ])  # fmt: skip
    if heading in dict(sections(article.body)):
        return None
    prompt = draw.say(
        f"Add a section “{heading}” at the very end of the page {article.title}. Its only sentence: {text}",
        f"The page {article.title} is to end with a new section named “{heading}” that says: {text}",
        indirect=(
            f"Who has read {article.title} to the end still does not know this: {text} A section of its own, "
            f"“{heading}”, after all others, would mend that.",
        ),
    )
    return _rewrite(prompt, article, "Edit", lambda body: f"{body}\n\n== {heading} ==\n{text}")


@template("wiki/remove-sentence", app="wiki", level=1)
def _remove_sentence(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice(
        [each for each in book.of(editable=True) if each.kind not in ("Lists", "Archive", "Guides")]
    )
    wordy = {heading for parts in wiki_words.PROSE.values() for heading, _ in parts}
    heading = draw.rng.choice([name for name, _ in sections(article.body) if name in wordy] or [""])
    if not heading:
        return None
    gone = draw.rng.choice([line for line in section(article.body, heading).split("\n")[1:] if line])
    prompt = draw.say(
        f"On the page {article.title}, delete the sentence “{gone}”; it is no longer true.",
        f"The sentence “{gone}” on the page {article.title} is out of date. Take it out and leave the rest as it is.",
        indirect=(
            f"“{gone}” - that was once so, and {article.title} should no longer claim it. All the rest is still right.",
        ),
    )
    return _rewrite(prompt, article, f"Edit section {heading}", _swap(gone, ""))


@template("wiki/protected-edit", app="wiki", level=0, infeasible=True)
def _protected_edit(draw: Draw) -> WebTask | None:
    """The page may be changed by administrators only, and the reader is none."""
    found = [each for each in Book(draw).of("Policies") if each.protected]
    if not found:
        return None
    article = draw.rng.choice(found)
    limit = f"{draw.rng.randint(6, 99) * 10} USD"

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        edits = [each for each in pilot.elements() if each.name == "Edit"]  # the whole name: Edith may approve
        assert not edits and pilot.shows("This page is protected."), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Set the Limit on the page {article.title} to {limit}.",
        f"The page {article.title} gives a wrong value for Limit: it must be {limit}. Correct it, and nothing else.",
        indirect=(f"We may spend {limit} now, and the {article.title} should say so where it gives its Limit.",),
    )
    return WebTask(prompt, solve, infeasible=True)
