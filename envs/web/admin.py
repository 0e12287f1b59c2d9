"""The operations console: tickets, people, teams, assets, requests, roles, settings, reports and a log."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from thinkact.envs.web import admin_data as data
from thinkact.envs.web.site import NOW, App, Knobs, Page, Refusal, Reply, Web
from thinkact.envs.web.tasks import register_app

#: Shown for "no one" and "leave as it is" in combo boxes.
NOBODY, KEEP = "nobody", "(keep)"


class Admin(App):
    """The console with which Northwind's operators work."""

    name = "admin"
    host = "admin.northwind.test"
    title = "Northwind Operations"
    schema = data.SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert people, tickets and whatever else there is to administer."""
        data.fill(db, rng, NOW, distractors=knobs.distractors, injection=knobs.injection)

    def user(self, web: Web) -> str:
        """Return the operator's account."""
        return f"{data.ME} ({data.MY_ROLE})"

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the top bar."""
        names = (
            "Tickets",
            "Staff",
            "Teams",
            "Assets",
            "Requests",
            "Reports",
            "Roles",
            "Settings",
            "Activity",
            "Billing",
        )
        return [(name, f"/{name.lower()}") for name in names]

    def common(self, web: Web) -> Mapping[str, Any]:
        """Return the lists that combo boxes offer."""
        return {
            "data": data,
            "team_names": [row["name"] for row in web.rows("SELECT name FROM team ORDER BY name")],
            "staff_names": [
                row["name"] for row in web.rows("SELECT name FROM staff WHERE status != 'left' ORDER BY name")
            ],
            "today": web.now.date().isoformat(),
        }

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        from thinkact.envs.web import admin_office as office
        from thinkact.envs.web import admin_people as people

        return (
            Page("GET", "/", dashboard),
            Page("GET", "/tickets", tickets),
            Page("POST", "/tickets/bulk", bulk),
            Page("GET", "/tickets/new", new_ticket),
            Page("POST", "/tickets/new", made_ticket),
            Page("GET", "/tickets/{number:int}", ticket),
            Page("POST", "/tickets/{number:int}", save_ticket),
            Page("POST", "/tickets/{number:int}/comment", comment),
            *people.PAGES,
            *office.PAGES,
        )


def log(web: Web, action: str, subject: str) -> None:
    """Write into the log that everybody with the permission can read."""
    at = f"{web.now:%Y-%m-%d %H:%M}"
    web.write("INSERT INTO activity (at, actor, action, subject) VALUES (?, ?, ?, ?)", at, data.ME, action, subject)


def one_of(value: str, known: Sequence[str], what: str) -> str:
    """Return a posted value that must be one of some. Raises ``Refusal`` otherwise."""
    if value not in known:
        raise Refusal(400, f"{what}: choose one of the options.")
    return value


def a_day(text: str, what: str) -> str:
    """Return a posted day in ISO form. Raises ``Refusal`` when it is none."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Refusal(400, f"{what}: a day like 2026-03-31 is needed.") from None


def id_of(web: Web, table: str, name: str) -> int | None:
    """Return the id of a team or person by name; None for nobody. Raises ``Refusal`` where there is no such name."""
    if name == NOBODY:
        return None
    found: int | None = web.value(f"SELECT id FROM {table} WHERE name = ?", name)
    if found is None:
        raise Refusal(400, f"There is nobody and nothing called {name}.")
    return found


class Filter:
    """What a list is narrowed to, from the query (of the request, or another): SQL conditions and the order."""

    def __init__(self, web: Web, query: Mapping[str, str] | None = None) -> None:
        self.web = web
        self.query = web.query if query is None else query
        self.conditions: list[str] = ["1"]
        self.values: list[Any] = []

    def equal(self, name: str, sql: str) -> None:
        """Keep rows where an expression equals the query's value, if there is one."""
        if value := self.query.get(name, ""):
            self.conditions.append(f"{sql} = ?")
            self.values.append(value)

    def holds(self, name: str, sql: str) -> None:
        """Keep rows where an expression contains the query's value, if there is one."""
        if value := self.query.get(name, "").strip():
            self.conditions.append(f"instr(lower({sql}), ?)")
            self.values.append(value.lower())

    def where(self, condition: str, *values: Any) -> None:
        """Keep rows of which a condition is true."""
        self.conditions.append(condition)
        self.values += values

    def rows(self, sql: str, order: Mapping[str, str], default: str) -> list[sqlite3.Row]:
        """Return the rows of ``SELECT …`` in the order that the query asks for (``-name``: descending)."""
        asked = self.query.get("sort", default)
        down, name = asked.startswith("-"), asked.removeprefix("-")
        by = f"{order.get(name, order[default.removeprefix('-')])} {'DESC' if down else 'ASC'}"
        return self.web.rows(f"{sql} WHERE {' AND '.join(self.conditions)} ORDER BY {by}, 1", *self.values)


def dashboard(web: Web) -> Reply:
    """Show what there is to do."""
    counts = [(status, web.value("SELECT count(*) FROM ticket WHERE status = ?", status)) for status in data.STATUSES]
    pending = web.value("SELECT count(*) FROM request WHERE status = 'pending'")
    return web.render("dashboard.html", counts=counts, pending=pending)


_TICKETS = (
    "SELECT t.*, g.name AS team, coalesce(s.name, 'nobody') AS assignee FROM ticket t JOIN team g ON g.id = t.team_id "
    "LEFT JOIN staff s ON s.id = t.assignee_id"
)
#: SQL of "overdue": worked on, and due before today (the parameter).
_OVERDUE = "t.status IN ('new', 'open', 'waiting') AND t.due < ?"


def _matching(web: Web, query: Mapping[str, str] | None = None) -> list[sqlite3.Row]:
    today = web.now.date().isoformat()
    chosen = Filter(web, query)
    chosen.holds("q", "t.subject || ' ' || t.customer || ' ' || t.id")
    for name in ("status", "priority", "customer"):
        chosen.equal(name, f"t.{name}")
    chosen.equal("team", "g.name")
    chosen.equal("assignee", "coalesce(s.name, 'nobody')")
    due = chosen.query.get("due", "")
    if due == "overdue":
        chosen.where(_OVERDUE, today)
    elif due == "not overdue":
        chosen.where(f"NOT ({_OVERDUE})", today)
    order = {"number": "t.id", "created": "t.created", "due": "t.due", "customer": "t.customer",
             "priority": "instr('low normal high urgent', t.priority)"}  # fmt: skip
    return chosen.rows(_TICKETS, order, "number")


def tickets(web: Web) -> Reply:
    """Show the tickets that the filters leave, with a form that changes several at once."""
    found = _matching(web)
    assignees = [row["name"] for row in web.rows("SELECT name FROM staff WHERE id IN (SELECT assignee_id FROM ticket) "
                                                 "ORDER BY name")]  # fmt: skip
    query = web.path.partition("?")[2]
    return web.render(
        "tickets.html", found=web.paged(found, 12), assignees=assignees, customers=data.CUSTOMERS, query=query
    )


def bulk(web: Web) -> Reply:
    """Change the selected tickets, or all that the filters left."""
    if web.text("all") == "1":
        asked = dict(parse_qsl(web.text("query", most=2000)))
        numbers = [row["id"] for row in _matching(web, asked)]
    else:
        numbers = web.numbers("ticket")
    changes: dict[str, Any] = {}
    if (status := web.text("status")) != KEEP:
        changes["status"] = one_of(status, data.STATUSES, "New status")
    if (priority := web.text("priority")) != KEEP:
        changes["priority"] = one_of(priority, data.PRIORITIES, "New priority")
    if (assignee := web.text("assignee")) != KEEP:
        changes["assignee_id"] = id_of(web, "staff", assignee)
    if (team := web.text("team")) != KEEP:
        changes["team_id"] = id_of(web, "team", team)
    if due := web.text("due"):
        changes["due"] = a_day(due, "New due date")
    if not numbers or not changes:
        return web.refuse(400, "Select tickets and say what is to change.")
    known = {row["id"] for row in web.rows("SELECT id FROM ticket")}
    for number in numbers:
        if number in known:
            _change(web, number, changes)
    return web.redirect("/tickets", f"{len(numbers)} {'ticket was' if len(numbers) == 1 else 'tickets were'} changed.")


def _change(web: Web, number: int, changes: Mapping[str, Any]) -> None:
    names = ", ".join(f"{name} = ?" for name in changes)
    web.write(f"UPDATE ticket SET {names} WHERE id = ?", *changes.values(), number)
    log(web, "ticket changed", f"ticket {number}")


def ticket(web: Web, number: int) -> Reply:
    """Show a ticket with its comments, and the form that changes it."""
    row = web.need(f"{_TICKETS} WHERE t.id = ?", number)
    comments = web.rows("SELECT * FROM comment WHERE ticket_id = ? ORDER BY id", number)
    return web.render("ticket.html", row=row, comments=comments)


def save_ticket(web: Web, number: int) -> Reply:
    """Change one ticket."""
    old = web.need("SELECT * FROM ticket WHERE id = ?", number)
    twin = web.text("duplicate_of").lstrip("#")
    if twin and (
        not twin.isdigit() or int(twin) == number or not web.row("SELECT 1 FROM ticket WHERE id = ?", int(twin))
    ):
        return web.refuse(400, f"Duplicate of: there is no other ticket {twin}.")
    changes = {
        "status": one_of(web.text("status"), data.STATUSES, "Status"),
        "priority": one_of(web.text("priority"), data.PRIORITIES, "Priority"),
        "team_id": id_of(web, "team", web.text("team")),
        "assignee_id": id_of(web, "staff", web.text("assignee")),
        "due": a_day(web.text("due"), "Due"),
        "duplicate_of": int(twin) if twin else None,
    }
    if all(old[name] == value for name, value in changes.items()):
        return web.redirect(f"/tickets/{number}", "Nothing was changed.")
    _change(web, number, changes)
    return web.redirect(f"/tickets/{number}", f"Ticket {number} was saved.")


def comment(web: Web, number: int) -> Reply:
    """Add a comment to a ticket."""
    web.need("SELECT 1 FROM ticket WHERE id = ?", number)
    body = web.text("body", most=1000)
    if not body:
        return web.refuse(400, "A comment needs a text.")
    web.write("INSERT INTO comment (ticket_id, author, at, body) VALUES (?, ?, ?, ?)", number, data.ME,
              f"{web.now:%Y-%m-%d %H:%M}", body)  # fmt: skip
    return web.redirect(f"/tickets/{number}", "Your comment was added.")


def new_ticket(web: Web) -> Reply:
    """Show the form for a new ticket."""
    return web.render("ticket_new.html", customers=data.CUSTOMERS)


def made_ticket(web: Web) -> Reply:
    """Store a new ticket."""
    subject = web.text("subject", most=120)
    if not subject:
        return web.refuse(400, "A ticket needs a subject.")
    team = id_of(web, "team", web.text("team"))
    if team is None:
        return web.refuse(400, "A ticket needs a team.")
    number = web.write(
        "INSERT INTO ticket (subject, body, customer, team_id, assignee_id, status, priority, created, due) "
        "VALUES (?, ?, ?, ?, NULL, 'new', ?, ?, ?)",
        subject, web.text("body", most=1000), one_of(web.text("customer"), data.CUSTOMERS, "Customer"), team,
        one_of(web.text("priority"), data.PRIORITIES, "Priority"), web.now.date().isoformat(),
        a_day(web.text("due"), "Due"),
    )  # fmt: skip
    log(web, "ticket opened", f"ticket {number}")
    return web.redirect(f"/tickets/{number}", f"Ticket {number} was opened.")


ADMIN = register_app(Admin())
