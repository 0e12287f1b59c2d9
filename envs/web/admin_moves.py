"""What the console's templates and experts share: goals, what may change, and the ways through the pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from thinkact.envs.web.admin_data import LIVE
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw
from thinkact.envs.web.wiki_book import table_rows

#: The log is only ever added to.
LOG = Allowed("activity", ops=("insert",))
#: SQL of a ticket that is worked on.
IS_LIVE = "status IN ('new', 'open', 'waiting')"
TICKETS = (
    "SELECT t.*, g.name AS team, coalesce(s.name, 'nobody') AS assignee FROM ticket t JOIN team g ON g.id = t.team_id "
    "LEFT JOIN staff s ON s.id = t.assignee_id"
)
STAFF = "SELECT s.*, g.name AS team FROM staff s JOIN team g ON g.id = s.team_id"


def change(
    table: str, rows: Iterable[sqlite3.Row], values: dict[str, Any], name: str = "id", app: str = ""
) -> tuple[tuple[Goal, ...], tuple[Allowed, ...]]:
    """Return goals and rules of a task that gives some rows new values in some columns.

    Args:
        table: The table.
        rows: Its rows that change; those that have the values already get no goal.
        values: Column to new value.
        name: Column that names a row in the checks.
        app: Whose database.
    """
    found = list(rows)
    condition = " AND ".join(f"{column} IS ?" for column in values)
    goals = tuple(
        Goal(f"{table} {row[name]}: {', '.join(f'{column} is {value}' for column, value in values.items())}",
             f"SELECT {condition} FROM {table} WHERE id = ?", (*values.values(), row["id"]), app=app)
        for row in found if any(row[column] != value for column, value in values.items())
    )  # fmt: skip
    ids = ", ".join(str(row["id"]) for row in found)
    return goals, (Allowed(table, f"id IN ({ids})", tuple(values), ("update",), app), replace(LOG, app=app))


def overdue(draw: Draw, row: sqlite3.Row) -> bool:
    """Tell whether a ticket is worked on and late."""
    return row["status"] in LIVE and str(row["due"]) < draw.now.date().isoformat()


def person(draw: Draw, condition: str = "1", *params: Any) -> sqlite3.Row | None:
    """Draw a person; second accounts are nobody's choice."""
    return draw.pick(f"{STAFF} WHERE s.name NOT LIKE '%(2)' AND {condition} ORDER BY s.id", *params)


# Ways through the pages.


def narrow(pilot: Pilot, page: str, **filters: str) -> Moves:
    """Open a list and set its filters (keyword: label of the combo box)."""
    yield from pilot.click("link", page)
    for label, option in filters.items():
        yield from pilot.select(label, option)
    yield from pilot.click("button", "Filter")


def find(pilot: Pilot, page: str, text: str) -> Moves:
    """Open a list and search it."""
    yield from pilot.click("link", page)
    yield from pilot.fill("textbox", "Find", text, submit=True)


def open_ticket(pilot: Pilot, number: int) -> Moves:
    """Open a ticket's page."""
    yield from find(pilot, "Tickets", str(number))
    yield from pilot.click("link", str(number))


def add_comment(pilot: Pilot, number: int, text: str) -> Moves:
    """Open a ticket's page and comment on it."""
    yield from open_ticket(pilot, number)
    yield from pilot.fill("textbox", "Comment", text)
    yield from pilot.click("button", "Add comment")


def open_person(pilot: Pilot, name: str) -> Moves:
    """Open a person's page."""
    yield from find(pilot, "Staff", name)
    yield from pilot.click("link", name)


def listed(pilot: Pilot, columns: int) -> list[list[str]]:
    """Return the rows of the list on the page: those with so many columns, without its head."""
    return [row for row in table_rows(pilot) if len(row) == columns][1:]


def all_listed(pilot: Pilot, columns: int, rows: list[list[str]]) -> Moves:
    """Collect the rows of the list on this page and on those that follow."""
    rows += listed(pilot, columns)
    while pilot.find("link", "Next page"):
        yield from pilot.click("link", "Next page")
        rows += listed(pilot, columns)


def report(pilot: Pilot, measure: str, by: str) -> Moves:
    """Make a report."""
    yield from pilot.click("link", "Reports")
    yield from pilot.select("Show", measure)
    yield from pilot.select("By", by)
    yield from pilot.click("button", "Make report")


def apply(pilot: Pilot, rows: Iterable[str], **new: str) -> Moves:
    """Select rows (none: all of the list) and change them together (keyword: what becomes new)."""
    chosen = list(rows)
    for each in chosen:
        yield from pilot.check(f"Select {each}")
    if not chosen:
        yield from pilot.check("All ")
    for what, option in new.items():
        if what == "due":
            yield from pilot.fill("textbox", "New due date", option)
        else:
            yield from pilot.select(f"New {what}", option)
    yield from pilot.click("button", "Apply to selected")


#: Columns of the lists: tickets have their number second, then subject, customer, team, assignee, status, priority,
#: due; assets serial, kind, model, owner, status, bought, price; people name, title, team, role, status, mail, joined;
#: requests number, person, team, kind, what, amount, status.
TICKET_COLUMNS, ASSET_COLUMNS, STAFF_COLUMNS, REQUEST_COLUMNS = 9, 8, 7, 7
