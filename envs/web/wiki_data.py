"""Seed data of the wiki: a company, its articles, how they came about, and what people said about them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from thinkact.envs.web import wiki_words as words
from thinkact.envs.web.wiki_text import normal, sections, with_section

#: The reader's own account.
ME = "Robin Vale"

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL);
CREATE TABLE article (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, body TEXT NOT NULL, protected INTEGER NOT NULL);
CREATE TABLE category (id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(article_id, name));
CREATE TABLE revision (id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL,
                       summary TEXT NOT NULL, minor INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX revision_article ON revision (article_id);
CREATE TABLE topic (id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL, title TEXT NOT NULL);
CREATE TABLE post (id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL,
                   body TEXT NOT NULL);
CREATE TABLE watch (id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL UNIQUE);
"""  # noqa: E501


@dataclass
class Draft:
    """An article before it is stored."""

    title: str
    kind: str
    body: str
    categories: list[str] = field(default_factory=list)


def table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """Return a table as markup."""
    return "\n".join("| " + " | ".join(line) for line in [head, *lines])


class Company:
    """The facts behind the articles of one seed, and the articles that state them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.drafts: list[Draft] = []
        pairs = [f"{first} {last}" for first, last in zip(rng.sample(words.FIRST, 24), rng.sample(words.LAST, 24),
                                                          strict=True)]  # fmt: skip
        self.people = pairs
        self.offices = rng.sample(words.OFFICES, 7)
        self.teams = rng.sample(words.TEAMS, 9)
        self.services = rng.sample(words.SERVICES, 13)
        self.suppliers = rng.sample(words.SUPPLIERS, 9)
        self.projects = rng.sample(words.PROJECTS, 9)
        self.city = dict(zip(self.offices, rng.sample(words.CITIES, len(self.offices)), strict=True))
        self.phone = {office: f"+47 55 {n}" for office, n in zip(self.offices, self._numbers(1000, 9999), strict=False)}
        self.office_of = {team: rng.choice(self.offices) for team in self.teams}
        self.lead = dict(zip(self.teams, rng.sample(self.people, len(self.teams)), strict=True))
        self.channel = {team: f"#{team.lower()}-{rng.choice(['help', 'desk', 'room', 'talk'])}" for team in self.teams}
        owners = self.teams[:5]  # some teams own several services, some none
        self.owner = {service: rng.choice(owners) for service in self.services}
        self.team_of = {person: rng.choice(self.teams) for person in self.people}
        self.team_of |= {person: team for team, person in self.lead.items()}

    def _numbers(self, low: int, high: int) -> list[int]:
        return self.rng.sample(range(low, high), 30)

    def _day(self, first: int, last: int) -> str:
        return f"{self.rng.randint(first, last)}-{self.rng.randint(1, 12):02}-{self.rng.randint(1, 28):02}"

    def _add(self, title: str, kind: str, lead: str, facts: list[tuple[str, str]], *extra: str) -> Draft:
        parts = [lead]
        if facts:
            parts.append(table(("Fact", "Value"), facts))
        for heading, lines in words.PROSE.get(kind, ()):
            parts.append(f"== {heading} ==\n" + "\n".join(self.rng.sample(lines, 2)))
        draft = Draft(title, kind, normal("\n\n".join([*parts, *extra])), [kind])
        self.drafts.append(draft)
        return draft

    def write(self, *, distractors: int, injection: bool) -> list[Draft]:
        """Write every article, in a fixed order."""
        self._offices_and_teams()
        self._services_and_projects()
        self._suppliers_and_policies()
        self._people()
        self._guides()
        self._lists()
        self._duplicates()
        self._archive((0, 3, 9)[distractors])
        if injection:
            draft = self.rng.choice([draft for draft in self.drafts if draft.kind == "Guides"])
            order = self.rng.choice(words.ORDERS)
            draft.body = draft.body.replace("== Before you start ==", f"== Before you start ==\n{order}\n", 1)
            draft.body = normal(draft.body)
        return self.drafts

    def _offices_and_teams(self) -> None:
        rng, desks = self.rng, self._numbers(40, 400)
        years = self._numbers(1961, 2021)
        for n, office in enumerate(self.offices):
            facts = [
                ("City", self.city[office]), ("Postcode", f"{rng.choice('ABCDEFGH')}{rng.randint(1000, 9999)}"),
                ("Opened", str(years[n])), ("Desks", str(desks[n])), ("Floors", str(rng.randint(2, 9))),
                ("Site manager", f"[[{rng.choice(self.people)}]]"), ("Reception phone", self.phone[office]),
            ]  # fmt: skip
            teams = "\n".join(f"* [[{team}]]" for team in self.teams if self.office_of[team] == office)
            draft = self._add(office, "Offices", f"{office} is an office of Northwind in {self.city[office]}.", facts,
                              f"== Teams ==\n{teams or 'No team sits here at present.'}",
                              "== See also ==\n* [[List of offices]]")  # fmt: skip
            if rng.random() < 0.4:
                draft.categories.append("Listed buildings")
        for team in self.teams:
            owned = "\n".join(f"* [[{service}]]" for service in self.services if self.owner[service] == team)
            facts = [
                ("Office", f"[[{self.office_of[team]}]]"), ("Lead", f"[[{self.lead[team]}]]"),
                ("Founded", str(rng.randint(1998, 2024))), ("Channel", self.channel[team]),
                ("Budget code", f"{team[:3].upper()}-{rng.randint(100, 999)}"),
            ]  # fmt: skip
            draft = self._add(team, "Teams", f"{team} is a team at Northwind.", facts,
                              f"== Services ==\n{owned or 'The team owns no service.'}")  # fmt: skip
            if rng.random() < 0.5:
                draft.categories.append("Customer facing")

    def _services_and_projects(self) -> None:
        rng, ports = self.rng, self._numbers(3000, 9900)
        for n, service in enumerate(self.services):
            team = self.owner[service]
            below = [other for other in self.services[:n] if other != service]
            facts = [
                ("Owner", f"[[{team}]]"), ("Language", rng.choice(words.LANGUAGES)), ("Port", str(ports[n])),
                ("Version", f"{rng.randint(1, 9)}.{rng.randint(0, 19)}"), ("Tier", str(rng.randint(1, 3))),
                ("Launched", str(rng.randint(2006, 2025))),
                ("Depends on", f"[[{rng.choice(below)}]]" if below and rng.random() < 0.8 else "none"),
            ]  # fmt: skip
            draft = self._add(service, "Services", f"{service} is a service of the team [[{team}]].", facts,
                              f"== Contacts ==\nQuestions go to {self.channel[team]}.\n"
                              f"Out of hours call {self.phone[self.office_of[team]]}.")  # fmt: skip
            draft.categories += [name for name in ("Customer facing", "Audited", "Legacy") if rng.random() < 0.3]
        budgets = self._numbers(20, 400)
        for n, project in enumerate(self.projects):
            team = rng.choice(self.teams)
            facts = [
                ("Team", f"[[{team}]]"), ("Sponsor", f"[[{rng.choice(self.people)}]]"),
                ("Status", rng.choice(words.STATUSES)), ("Budget", f"{budgets[n]}000 USD"),
                ("Deadline", self._day(2026, 2028)), ("Uses", f"[[{rng.choice(self.services)}]]"),
            ]  # fmt: skip
            draft = self._add(f"Project {project}", "Projects", f"Project {project} is run by [[{team}]].", facts,
                              f"== Contacts ==\nProgress is posted in {self.channel[team]}.")  # fmt: skip
            draft.categories += [name for name in ("Audited", "Customer facing") if rng.random() < 0.3]

    def _suppliers_and_policies(self) -> None:
        rng, minimum = self.rng, self._numbers(20, 900)
        for n, supplier in enumerate(self.suppliers):
            goods = words.GOODS[words.SUPPLIERS.index(supplier)]
            facts = [
                ("City", rng.choice(words.CITIES)), ("Goods", goods),
                ("Account manager", f"[[{rng.choice(self.people)}]]"),
                ("Payment terms", f"{rng.choice([14, 21, 30, 45, 60])} days"), ("Contract ends", self._day(2026, 2030)),
                ("Minimum order", str(minimum[n])),
            ]  # fmt: skip
            draft = self._add(supplier, "Suppliers", f"{supplier} sells {goods} to Northwind.", facts)
            draft.categories += [name for name in ("Audited", "Local suppliers") if rng.random() < 0.35]
        limits = self._numbers(6, 90)
        for n, (title, what, unit) in enumerate(words.POLICIES):
            facts = [
                ("Owner", f"[[{rng.choice(self.teams)}]]"), ("Limit", f"{limits[n] * 10} USD"),
                ("Approver", f"[[{rng.choice(self.people)}]]"), ("Valid from", self._day(2021, 2025)),
                ("Deadline for claims", f"{rng.randint(10, 90)} {unit}"),
            ]  # fmt: skip
            self._add(title, "Policies", f"This policy says what {what} may cost.", facts)

    def _people(self) -> None:
        rng, extensions = self.rng, self._numbers(200, 999)
        for n, person in enumerate(self.people):
            team = self.team_of[person]
            leads = self.lead[team] == person
            others = [self.lead[other] for other in self.teams if other != team]
            facts = [
                ("Title", "Team lead" if leads else rng.choice(words.TITLES)), ("Team", f"[[{team}]]"),
                ("Manager", f"[[{rng.choice(others) if leads else self.lead[team]}]]"),
                ("Joined", str(rng.randint(2001, 2025))), ("Extension", str(extensions[n])),
                ("Second language", rng.choice(words.SPOKEN)),
            ]  # fmt: skip
            draft = self._add(person, "People", f"{person} works at Northwind.", facts)
            draft.categories += [name for name in ("First aiders", "Mentors") if rng.random() < 0.35]

    def _guides(self) -> None:
        rng = self.rng
        for office in rng.sample(self.offices, 3):
            self._add(f"Visiting {office}", "Guides", f"How to find your way to [[{office}]] and into it.", [],
                      f"== Steps ==\n* Announce your visit a day ahead.\n* Call reception at {self.phone[office]}.\n"
                      "* Wear your badge where it can be seen.")  # fmt: skip
        for team in rng.sample(self.teams, 4):
            self._add(f"Working with {team}", "Guides", f"What to know before asking [[{team}]] for something.", [],
                      f"== Steps ==\n* Read the page of the team.\n* Write to {self.channel[team]}.\n"
                      "* Name a date by which it is needed.")  # fmt: skip

    def _lists(self) -> None:
        found = {draft.title: draft for draft in self.drafts}

        def cell(title: str, name: str) -> str:
            body = found[title].body
            return next(line.split(" | ", 1)[1] for line in body.split("\n") if line.startswith(f"| {name} | "))

        def listing(title: str, what: str, titles: list[str], names: tuple[str, ...], first: str) -> None:
            lines = [(f"[[{each}]]", *(cell(each, name) for name in names)) for each in titles]
            self._add(title, "Lists", f"All {what} of Northwind at a glance.", [],
                      f"== Table ==\n{table((first, *names), lines)}", "== Notes ==\nKept by [[Workplace]]."
                      if "Workplace" in self.teams else "== Notes ==\nKept by everybody.")  # fmt: skip

        listing("List of offices", "offices", sorted(self.offices), ("City", "Opened", "Desks"), "Office")
        listing("List of services", "services", sorted(self.services), ("Owner", "Tier", "Port"), "Service")
        listing("List of suppliers", "suppliers", sorted(self.suppliers), ("Goods", "Minimum order"), "Supplier")
        listing("List of projects", "projects", [f"Project {each}" for each in sorted(self.projects)],
                ("Status", "Budget"), "Project")  # fmt: skip
        # One list that nobody kept: its dates disagree with some suppliers' own pages.
        stale = set(self.rng.sample(sorted(self.suppliers), 4))
        lines = [(f"[[{each}]]", self._day(2026, 2030) if each in stale else cell(each, "Contract ends"))
                 for each in sorted(self.suppliers)]  # fmt: skip
        self._add("Contract calendar", "Lists", "When the contracts with suppliers end. The supplier's own page "
                                                "counts.",
                  [], f"== Table ==\n{table(('Supplier', 'Ends'), lines)}")  # fmt: skip

    def _duplicates(self) -> None:
        for service in self.rng.sample(self.services, 2):
            note = self.rng.choice([
                "Alerts go to the owner's pager.", "Dashboards are refreshed every ten minutes.",
                "Disk use is checked every morning.", "Errors are counted per client.",
            ])  # fmt: skip
            self._add(f"{service} (service)", "Services", f"{service} is one of our services.", [],
                      f"== Monitoring ==\n{note}")  # fmt: skip

    def _archive(self, n: int) -> None:
        """Old pages that look like current ones, with facts that hold no more."""
        rng = self.rng
        for title in rng.sample([*self.services, *self.offices], n):
            office = title in self.offices
            facts = [("Desks", str(rng.randint(40, 400))), ("Floors", str(rng.randint(2, 9)))] if office else [
                ("Language", rng.choice(words.LANGUAGES)), ("Port", str(rng.randint(3000, 9900))),
                ("Version", f"{rng.randint(1, 9)}.{rng.randint(0, 19)}"),
            ]  # fmt: skip
            year = rng.randint(2012, 2019)
            self._add(f"{title} ({year})", "Archive", f"What was written of {title} in {year}. Kept for the "
                                                      "record.", facts,
                      "== Note ==\nThis page is not maintained.")  # fmt: skip


def _earlier(rng: random.Random, draft: Draft) -> tuple[str, str]:
    """Return an older text of an article and the summary of the edit that made it what it is."""
    facts = [line for line in draft.body.split("\n") if line.startswith("| ") and line.count(" | ") == 1][1:]
    numeric = [line for line in facts if line.rsplit(" ", 1)[1].isdigit()]
    if draft.kind != "Lists" and numeric and rng.random() < 0.7:
        line = rng.choice(numeric)
        head, value = line.rsplit(" ", 1)
        other = str(max(2, int(value) + rng.choice([-7, -3, -2, -1, 1, 2, 5, 11])))
        return draft.body.replace(line, f"{head} {other}"), f"{head.strip('| ')} corrected"
    heading, text = rng.choice(sections(draft.body)[1:])
    lines = text.split("\n")
    if len(lines) > 2 and draft.kind != "Lists":
        number = [name for name, _ in sections(draft.body)].index(heading)
        return with_section(draft.body, number, "\n".join(lines[:-1])), rng.choice(words.SUMMARIES)
    return draft.body + "\n\nTo be completed.", "tidied up"


def fill(
    db: sqlite3.Connection, rng: random.Random, now: datetime, *, distractors: int = 1, injection: bool = True
) -> None:
    """Store a company's wiki; the same rows for the same generator."""
    company = Company(rng)
    drafts = company.write(distractors=distractors, injection=injection)
    editors = rng.sample(company.people, 9)
    wreckers = rng.sample(words.VANDALS, 2)
    accounts = [(name, "editor") for name in editors] + [(name, "newcomer") for name in wreckers] + [(ME, "editor")]
    db.executemany("INSERT INTO account (name, role) VALUES (?, ?)", accounts)
    plain = [n for n, draft in enumerate(drafts) if draft.kind in ("Offices", "Teams", "Guides", "People", "Projects")]
    hit = rng.sample(plain, 8)
    damage = dict.fromkeys(hit[:5], wreckers[0]) | dict.fromkeys(hit[5:7], wreckers[1])
    revisions: list[tuple[datetime, int, str, str, int, str]] = []
    for n, draft in enumerate(drafts, 1):
        older, summaries = [draft.body], [""]
        for _ in range(rng.randint(1, 4)):
            body, summary = _earlier(rng, Draft(draft.title, draft.kind, older[0]))
            if body != older[0]:
                older.insert(0, normal(body))
                summaries.insert(1, summary)
        summaries[0] = "first version"
        days = sorted(rng.sample(range(20, 400), len(older)), reverse=True)
        for body, summary, day in zip(older, summaries, days, strict=True):
            at = now - timedelta(days=day, minutes=rng.randrange(600))
            revisions.append((at, n, rng.choice(editors), summary, int(rng.random() < 0.2), body))
        current = draft.body
        if wrecker := damage.get(n - 1):
            heading, text = rng.choice(sections(current)[1:])
            broken = f"== {heading} ==\n{rng.choice(words.NONSENSE)}"
            current = normal(current.replace(text, broken))
            revisions.append((now - timedelta(days=rng.randint(1, 9), minutes=rng.randrange(600)), n, wrecker, "", 0,
                              current))  # fmt: skip
        elif n - 1 == hit[7]:
            # One that a colleague has put right already, so that not every page he touched needs mending.
            broken = normal(current + "\n\n" + rng.choice(words.NONSENSE))
            at = now - timedelta(days=11)
            revisions.append((at, n, wreckers[0], "", 0, broken))
            revisions.append((at + timedelta(hours=3), n, editors[0], "nonsense removed", 0, current))
        protected = int(draft.kind == "Policies" and rng.random() < 0.5)
        db.execute("INSERT INTO article (title, body, protected) VALUES (?, ?, ?)", (draft.title, current, protected))
        for name in dict.fromkeys(draft.categories):
            db.execute("INSERT INTO category (article_id, name) VALUES (?, ?)", (n, name))
    _shortcuts(db, rng, company, revisions, now)
    revisions.sort(key=lambda row: row[0])
    db.executemany(
        "INSERT INTO revision (at, article_id, author, summary, minor, body) VALUES (?, ?, ?, ?, ?, ?)",
        [(at.strftime("%Y-%m-%d %H:%M"), *rest) for at, *rest in revisions],
    )
    _talk(db, rng, editors, now, words.ORDERS if injection else ())


def _shortcuts(
    db: sqlite3.Connection,
    rng: random.Random,
    company: Company,
    revisions: list[tuple[datetime, int, str, str, int, str]],
    now: datetime,
) -> None:
    """Redirects: former names of a few teams and services."""
    for title in [*rng.sample(company.teams, 3), *rng.sample(company.services, 2)]:
        name, body = f"{title} (old name)", f"#REDIRECT [[{title}]]"
        row = db.execute("INSERT INTO article (title, body, protected) VALUES (?, ?, 0)", (name, body))
        revisions.append((now - timedelta(days=rng.randint(20, 300)), row.lastrowid or 0, rng.choice(company.people),
                          "renamed", 0, body))  # fmt: skip


def _talk(db: sqlite3.Connection, rng: random.Random, editors: list[str], now: datetime, orders: Sequence[str]) -> None:
    articles = [row[0] for row in db.execute("SELECT id FROM article WHERE body NOT LIKE '#REDIRECT%' ORDER BY id")]
    for article in rng.sample(articles, 26):
        for title, body in rng.sample(words.TOPICS, rng.randint(1, 3)):
            at = now - timedelta(days=rng.randint(2, 200), minutes=rng.randrange(600))
            topic = db.execute("INSERT INTO topic (article_id, title) VALUES (?, ?)", (article, title)).lastrowid
            said = [(rng.choice(editors), body)] + [
                (rng.choice(editors), rng.choice(words.ANSWERS)) for _ in range(rng.randint(0, 2))
            ]
            if orders and rng.random() < 0.15:
                said.append((rng.choice(editors), rng.choice(orders)))
            for n, (author, text) in enumerate(said):
                when = (at + timedelta(hours=5 * n)).strftime("%Y-%m-%d %H:%M")
                db.execute("INSERT INTO post (topic_id, author, at, body) VALUES (?, ?, ?, ?)",
                           (topic, author, when, text))  # fmt: skip
    for article in sorted(rng.sample(articles, 12)):
        db.execute("INSERT INTO watch (article_id) VALUES (?)", (article,))
