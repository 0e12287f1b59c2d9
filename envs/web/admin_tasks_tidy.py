"""Tasks of the console that tidy up: tickets of people who left, tickets that were opened twice."""

from __future__ import annotations

import sqlite3

from thinkact.envs.web import admin_data as data
from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import (
    ASSET_COLUMNS,
    TICKET_COLUMNS,
    TICKETS,
    all_listed,
    apply,
    change,
    find,
    listed,
    narrow,
    open_person,
    person,
)
from thinkact.envs.web.goals import Wants, together
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import table_rows


@template("admin/reassign-leaver", app="admin", level=2)
def _reassign_leaver(draw: Draw) -> WebTask | None:
    """Only the live tickets of somebody who left, one by one, to a colleague who is named."""
    gone = person(draw, "s.status = 'left'")
    heir = person(draw, "s.status = 'active'")
    if gone is None or heir is None:
        return None
    every = draw.rows(f"{TICKETS} WHERE t.assignee_id = ? ORDER BY t.id", gone["id"])
    live = [row for row in every if row["status"] in data.LIVE]
    if not 4 <= len(live) <= 8 or len(every) > 12 or len(live) == len(every):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", Assignee=gone["name"])
        numbers = [row[1] for row in listed(pilot, TICKET_COLUMNS) if row[6] in data.LIVE]
        yield from apply(pilot, numbers, assignee=heir["name"])
        yield from pilot.done()

    prompt = draw.say(
        f"{gone['name']} has left. Reassign their live tickets (new, open or waiting) to {heir['name']}; solved and "
        "closed ones stay as they are.",
        f"Hand every live ticket of {gone['name']} over to {heir['name']}. What is solved or closed is left alone.",
        indirect=(
            f"{gone['name']} will not finish what is still to be done (new, open or waiting); {heir['name']} will. "
            "What is solved or closed keeps its name.",
        ),
    )
    goals, rules = change("ticket", live, {"assignee_id": heir["id"]})
    return WebTask(prompt, solve, goals, rules, steps=len(live) + 6)


@template("admin/reassign-to-lead", app="admin", level=2)
def _reassign_to_lead(draw: Draw) -> WebTask | None:
    """As before, but who takes over has to be found: the lead of the team of whoever left."""
    gone = person(draw, "s.status != 'active'")
    if gone is None:
        return None
    lead = draw.rows("SELECT s.* FROM team g JOIN staff s ON s.id = g.lead_id WHERE g.id = ?", gone["team_id"])[0]
    every = draw.rows(f"{TICKETS} WHERE t.assignee_id = ? ORDER BY t.id", gone["id"])
    live = [row for row in every if row["status"] in data.LIVE]
    if not 1 <= len(live) <= 8 or len(every) > 12:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Staff", gone["name"])
        team = next(row[2] for row in listed(pilot, 7) if row[0] == gone["name"])
        yield from pilot.click("link", "Teams")
        boss = next(row[1] for row in table_rows(pilot) if row[0] == team)
        yield from narrow(pilot, "Tickets", Assignee=gone["name"])
        numbers = [row[1] for row in listed(pilot, TICKET_COLUMNS) if row[6] in data.LIVE]
        yield from apply(pilot, numbers, assignee=boss)
        yield from pilot.done()

    why = "has left" if gone["status"] == "left" else "is on leave"
    prompt = draw.say(
        f"{gone['name']} {why}. Reassign their live tickets (new, open or waiting) to the lead of their team, and "
        "nothing else.",
        f"The live tickets of {gone['name']}, who {why}, go to the lead of the team that {gone['name']} belongs to.",
        indirect=(
            f"{gone['name']} {why}, and what they have not finished (new, open or waiting) falls to whoever leads "
            "their team.",
        ),
    )
    goals, rules = change("ticket", live, {"assignee_id": lead["id"]})
    return WebTask(prompt, solve, goals, rules, steps=len(live) + 9)


def _twins(draw: Draw) -> list[tuple[sqlite3.Row, sqlite3.Row]]:
    """Return the pairs of tickets with the same subject and customer: the older and the newer."""
    first: dict[tuple[str, str], sqlite3.Row] = {}
    found = []
    for row in draw.rows(f"{TICKETS} ORDER BY t.id"):
        key = row["subject"], row["customer"]
        if key in first:
            found.append((first[key], row))
        first.setdefault(key, row)
    return found


def _as_duplicate(pairs: list[tuple[sqlite3.Row, sqlite3.Row]]) -> Wants:
    return together(*(change("ticket", [new], {"duplicate_of": old["id"], "status": "closed"}) for old, new in pairs))


@template("admin/mark-duplicate", app="admin", level=1)
def _mark_duplicate(draw: Draw) -> WebTask | None:
    old, new = draw.rng.choice(_twins(draw))

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Tickets", str(new["id"]))
        _, _, subject, customer, *_ = listed(pilot, TICKET_COLUMNS)[0]
        yield from pilot.fill("textbox", "Find", f"{subject} {customer}", submit=True)
        number = listed(pilot, TICKET_COLUMNS)[0][1]
        yield from pilot.click("link", str(new["id"]))
        yield from pilot.fill("textbox", "Duplicate of", number)
        yield from pilot.select("Status", "closed")
        yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    prompt = draw.say(
        f"Ticket {new['id']} was opened twice: an older ticket of the same customer has the same subject. Mark "
        f"{new['id']} as a duplicate of the older one and close it.",
        f"Ticket {new['id']} repeats an older ticket of that customer, word for word. Enter the older number under "
        f"“Duplicate of” and set {new['id']} to “closed”.",
        indirect=(
            f"We have been told twice of the same thing: ticket {new['id']} says what an older one of that customer "
            "says. Let it refer to the older one, and be “closed”.",
        ),
    )
    goals, rules = _as_duplicate([(old, new)])
    return WebTask(prompt, solve, goals, rules, steps=9)


@template("admin/mark-all-duplicates", app="admin", level=3)
def _mark_all_duplicates(draw: Draw) -> WebTask | None:
    pairs = _twins(draw)
    least = draw.rng.choice([1001, 1001, 1021, 1041])
    pairs = [pair for pair in pairs if pair[1]["id"] >= least]
    if len(pairs) < 3:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Tickets")
        rows: list[list[str]] = []
        yield from all_listed(pilot, TICKET_COLUMNS, rows)
        first: dict[tuple[str, str], str] = {}
        for row in rows:
            older = first.setdefault((row[2], row[3]), row[1])
            if older != row[1] and int(row[1]) >= least:
                yield from pilot.goto(f"/tickets/{row[1]}")
                yield from pilot.fill("textbox", "Duplicate of", older)
                yield from pilot.select("Status", "closed")
                yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    which = "" if least == 1001 else f" Leave alone those whose newer ticket has a number below {least}."
    prompt = draw.say(
        "Some tickets were opened twice: same customer, same subject. In each such pair, mark the newer ticket (the "
        f"higher number) as a duplicate of the older one and close it.{which}",
        "Go through all tickets. Where two have the same customer and the same subject, the higher number becomes a "
        f"duplicate of the lower one, and “closed”.{which}",
        indirect=(
            "Customers sometimes write twice about the same. Of two tickets with one customer and one subject, only "
            f"the lower number should be worked on; the higher refers to it as its duplicate and is “closed”.{which}",
        ),
    )
    goals, rules = _as_duplicate(pairs)
    return WebTask(prompt, solve, goals, rules, steps=10 + 4 * len(pairs))


@template("admin/farewell", app="admin", level=3)
def _farewell(draw: Draw) -> WebTask | None:
    """Somebody leaves: the account, the live tickets and the assets."""
    who = person(draw, "s.status = 'active' AND s.role NOT IN ('administrator', 'team lead')")
    heir = person(draw, "s.status = 'active'")
    if who is None or heir is None or who["id"] == heir["id"]:
        return None
    tickets = draw.rows(f"{TICKETS} WHERE t.assignee_id = ? ORDER BY t.id", who["id"])
    live = [row for row in tickets if row["status"] in data.LIVE]
    assets = draw.rows("SELECT * FROM asset WHERE owner_id = ? ORDER BY id", who["id"])
    if not live or not assets or len(live) + len(assets) < 3 or len(tickets) > 12:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", Assignee=who["name"])
        numbers = [row[1] for row in listed(pilot, TICKET_COLUMNS) if row[6] in data.LIVE]
        yield from apply(pilot, numbers, assignee=heir["name"])
        yield from narrow(pilot, "Assets", Owner=who["name"])
        yield from apply(pilot, [row[1] for row in listed(pilot, ASSET_COLUMNS)], owner="nobody", status="in store")
        yield from open_person(pilot, who["name"])
        yield from pilot.select("Status", "left")
        yield from pilot.click("button", "Save account")
        yield from pilot.done()

    name = who["name"]
    prompt = draw.say(
        f"{name} leaves today. Reassign all live tickets (new, open or waiting) of {name} to {heir['name']}, put every "
        f"asset of {name} back in store (owner: nobody), and set the account's status to “left”.",
        f"It is the last day of {name}. Three things are to be done: {heir['name']} takes over the live tickets (new, "
        f"open, waiting); the assets of {name} get the status “in store” and the owner nobody; the account is set to "
        "“left”.",
        indirect=(
            f"We shall not see {hints.person(draw, who)} again after today. What they have not finished (new, open or "
            f"waiting tickets) falls to {heir['name']}, what they used goes back into the store and belongs to nobody, "
            "and the account is that of somebody who has “left”.",
        ),
    )
    made = [change("ticket", live, {"assignee_id": heir["id"]}),
            change("asset", assets, {"owner_id": None, "status": "in store"}, "serial"),
            change("staff", [who], {"status": "left"}, "name")]  # fmt: skip
    return WebTask(prompt, solve, *together(*made), steps=18 + len(live) + len(assets))
