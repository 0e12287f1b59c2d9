"""Tasks of the console that end in an answer: fields, counts, orders, reports, permissions, the log."""

from __future__ import annotations

from thinkact.envs.answers import Answer
from thinkact.envs.web import admin_data as data
from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import (
    ASSET_COLUMNS,
    REQUEST_COLUMNS,
    STAFF,
    STAFF_COLUMNS,
    TICKET_COLUMNS,
    TICKETS,
    all_listed,
    find,
    listed,
    narrow,
    open_person,
    overdue,
    person,
)
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import ANSWER_ONLY, Draw, WebTask, template
from thinkact.envs.web.wiki_book import names, table_rows


@template("admin/ticket-field", app="admin", level=0)
def _ticket_field(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{TICKETS} ORDER BY t.id")
    assert row is not None
    column, words, kind = draw.rng.choice([
        ("customer", "customer", "name"), ("team", "team", "name"), ("assignee", "assignee", "name"),
        ("status", "status", "name"), ("priority", "priority", "name"), ("due", "due date", "date"),
    ])  # fmt: skip
    at = {"customer": 3, "team": 4, "assignee": 5, "status": 6, "priority": 7, "due": 8}[column]

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Tickets", str(row["id"]))
        yield from pilot.answer(listed(pilot, TICKET_COLUMNS)[0][at])

    number = row["id"]
    prompt = draw.say(
        f"What is the {words} of ticket {number}? {ANSWER_ONLY}",
        f"Look up ticket {number} and tell its {words}. {ANSWER_ONLY}",
        f"Ticket {number}: which {words} does it have? {ANSWER_ONLY}",
        indirect=(f"I mean {hints.ticket(draw, row)}. What is the {words} of that? {ANSWER_ONLY}",),
    )
    return WebTask(prompt, solve, answer=Answer(kind, str(row[column])))  # type: ignore[arg-type]


@template("admin/count-tickets", app="admin", level=1)
def _count_tickets(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{TICKETS} ORDER BY t.id")
    assert row is not None
    columns = draw.some(["status", "priority", "team", "customer", "assignee"], 2)
    chosen = {name: row[name] for name in columns}
    found = [each for each in draw.rows(TICKETS) if all(each[name] == value for name, value in chosen.items())]
    if len(found) < 2:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", **{name.capitalize(): value for name, value in chosen.items()})
        yield from pilot.answer(pilot.read(r"^(\d+) tickets?\."))

    said = " and ".join(f"the {name} “{value}”" for name, value in chosen.items())
    prompt = draw.say(
        f"How many tickets have {said}?",
        f"Count the tickets with {said}.",
        indirect=(f"Filter the tickets so that only those with {said} are left. How many do you see?",),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(len(found))))


@template("admin/count-overdue", app="admin", level=1)
def _count_overdue(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{TICKETS} ORDER BY t.id")
    assert row is not None
    name = draw.rng.choice(["customer", "team", "assignee", "priority"])
    found = [each for each in draw.rows(TICKETS) if each[name] == row[name] and overdue(draw, each)]

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", **{name.capitalize(): row[name]}, Due="overdue")
        yield from pilot.answer(pilot.read(r"^(\d+) tickets?\."))

    prompt = draw.say(
        f"How many overdue tickets are there with the {name} “{row[name]}”?",
        f"Count the overdue tickets whose {name} is “{row[name]}”.",
        indirect=(
            "How many promises have we broken: tickets that are still worked on though their day has passed, with the "
            f"{name} “{row[name]}”?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(len(found))))


@template("admin/first-due", app="admin", level=1)
def _first_due(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{TICKETS} ORDER BY t.id")
    assert row is not None
    name, last = draw.rng.choice(["customer", "team"]), draw.rng.random() < 0.5
    found = [each for each in draw.rows(f"{TICKETS} ORDER BY t.due") if each[name] == row[name]
             and each["status"] == row["status"]]  # fmt: skip
    days = [each["due"] for each in found]
    right = found[-1 if last else 0]
    if len(found) < 3 or days.count(right["due"]) > 1 or len(found) > 12:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", **{name.capitalize(): row[name]}, Status=row["status"])
        yield from pilot.click("link", "Sort by due ascending")
        yield from pilot.answer(listed(pilot, TICKET_COLUMNS)[-1 if last else 0][1])

    words = "latest" if last else "earliest"
    prompt = draw.say(
        f"Among the tickets of the {name} {row[name]} with the status “{row['status']}”, which has the {words} due "
        "date? Give its number.",
        f"Give the number of the ticket with the {words} due date, of those that are “{row['status']}” and of the "
        f"{name} {row[name]}.",
        indirect=(
            f"If I take up what is “{row['status']}” for the {name} {row[name]} in the order of its due dates, which "
            f"ticket comes {'last' if last else 'first'}? Its number, please.",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(right["id"])))


@template("admin/lead-of-person", app="admin", level=1)
def _lead_of_person(draw: Draw) -> WebTask | None:
    """From a person to the team, to its lead, to the lead's account."""
    who = person(draw)
    assert who is not None
    lead = draw.row(f"{STAFF} WHERE s.id = (SELECT lead_id FROM team WHERE id = ?)", who["team_id"])
    if lead is None or lead["name"] == who["name"]:
        return None
    column, words, kind = draw.rng.choice([("email", "mail address", "literal"), ("joined", "day of joining", "date")])

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Staff", who["name"])
        team = next(row[2] for row in listed(pilot, STAFF_COLUMNS) if row[0] == who["name"])
        yield from pilot.click("link", "Teams")
        boss = next(row[1] for row in table_rows(pilot) if row[0] == team)
        yield from find(pilot, "Staff", boss)
        row = next(row for row in listed(pilot, STAFF_COLUMNS) if row[0] == boss)
        yield from pilot.answer(row[5] if column == "email" else row[6])

    prompt = draw.say(
        f"What is the {words} of the lead of the team in which {who['name']} works? {ANSWER_ONLY}",
        f"{who['name']} belongs to a team. Find the {words} of its lead. {ANSWER_ONLY}",
        indirect=(
            f"I have a question about {hints.person(draw, who)} and will ask their team's lead. What is the {words} of "
            f"that lead? {ANSWER_ONLY}",
        ),
    )
    return WebTask(prompt, solve, answer=Answer(kind, lead[column]))  # type: ignore[arg-type]


@template("admin/asset-owner", app="admin", level=0)
def _asset_owner(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT a.*, s.name AS owner FROM asset a JOIN staff s ON s.id = a.owner_id ORDER BY a.id")
    assert row is not None

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Assets", row["serial"])
        yield from pilot.answer(listed(pilot, ASSET_COLUMNS)[0][4])

    prompt = draw.say(
        f"Who has the {row['kind']} with the serial number {row['serial']}?",
        f"The {row['kind']} {row['serial']} was found in the lobby. Whose is it?",
        indirect=(f"Somebody misses {hints.asset(draw, row)}. Who?",),
    )
    return WebTask(prompt, solve, answer=Answer("name", row["owner"]))


@template("admin/asset-value", app="admin", level=1)
def _asset_value(draw: Draw) -> WebTask | None:
    kind, status = draw.rng.choice(list(data.MODELS)), draw.rng.choice(data.ASSET_STATUSES)
    prices = [row["price"] for row in draw.rows("SELECT price FROM asset WHERE kind = ? AND status = ?", kind, status)]
    if len(prices) < 2:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Assets", Kind=kind, Status=status)
        rows: list[list[str]] = []
        yield from all_listed(pilot, ASSET_COLUMNS, rows)
        yield from pilot.answer(f"{sum(float(row[7].strip('$').replace(',', '')) for row in rows):.2f}")

    prompt = draw.say(
        f"What did all assets of the kind “{kind}” with the status “{status}” cost together, in dollars? Give the "
        "number only.",
        f"Add up the prices (in dollars) of every {kind} that is “{status}”. Give the number only.",
        indirect=(
            f"Suppose the insurance pays back every {kind} that is “{status}” at its price. How many dollars will "
            "come? Only the number.",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", f"{sum(prices) / 100:.2f}"))


@template("admin/roles-with-permission", app="admin", level=0)
def _roles_with_permission(draw: Draw) -> WebTask | None:
    name = draw.rng.choice(data.PERMISSIONS)
    held = [row["role"] for row in draw.rows("SELECT role FROM permission WHERE name = ? ORDER BY id", name)]

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Roles")
        head, *rows = [row for row in table_rows(pilot) if len(row) > 2]
        row = next(row for row in rows if row[0] == name)
        yield from pilot.answer("; ".join(role for role, cell in zip(head, row, strict=True) if cell == "yes"))

    prompt = draw.say(
        f"Which roles have the permission “{name}”? List them, separated by semicolons.",
        f"List all roles that include “{name}”, separated by semicolons.",
        indirect=(f"I need “{name}” for my work. Which roles would let me? List them, separated by semicolons.",),
    )
    return WebTask(prompt, solve, answer=names(held))


@template("admin/largest-request", app="admin", level=1)
def _largest_request(draw: Draw) -> WebTask | None:
    kind = draw.rng.choice(data.REQUEST_KINDS)
    status = draw.rng.choice(data.REQUEST_STATUSES)
    rows = draw.rows("SELECT * FROM request WHERE kind = ? AND status = ? ORDER BY amount", kind, status)
    if len(rows) < 2:
        return None
    smallest = draw.rng.random() < 0.5

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Requests", Kind=kind, Status=status)
        yield from pilot.click("link", "Sort by amount ascending")
        yield from pilot.answer(listed(pilot, REQUEST_COLUMNS)[0 if smallest else -1][0])

    words = "smallest" if smallest else "largest"
    prompt = draw.say(
        f"What is the number of the {words} {status} request for {kind}?",
        f"Of the {status} requests of the kind “{kind}”, which is the {words}? Give its number.",
        indirect=(
            f"Somebody asked for {kind} and it is {status}, and of all such requests nobody wants "
            f"{'less' if smallest else 'more'} money. Which number does theirs have?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(rows[0 if smallest else -1]["id"])))


@template("admin/assets-of-person", app="admin", level=0)
def _assets_of_person(draw: Draw) -> WebTask | None:
    who = person(draw)
    assert who is not None
    rows = draw.rows("SELECT serial FROM asset WHERE owner_id = ? ORDER BY serial", who["id"])
    if not 1 <= len(rows) <= 4:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_person(pilot, who["name"])
        yield from pilot.answer("; ".join(row[0] for row in listed(pilot, 4)))

    prompt = draw.say(
        f"Which assets does {who['name']} have? List the serial numbers, separated by semicolons.",
        f"List the serial numbers of everything that {who['name']} was given, separated by semicolons.",
        indirect=(
            f"If {hints.person(draw, who)} left tomorrow, what would have to be handed in? List the serial numbers, "
            "separated by semicolons.",
        ),
    )
    answer = Answer("set", items=tuple(Answer("literal", row["serial"]) for row in rows))
    return WebTask(prompt, solve, answer=answer)


@template("admin/bills", app="admin", level=0, infeasible=True)
def _bills(draw: Draw) -> WebTask | None:
    """The operator may not open the page."""
    month = draw.rng.choice("January February March April May June July August September October November".split())
    customer = draw.rng.choice(data.CUSTOMERS)

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Billing")
        assert pilot.shows("Not allowed"), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"How much did we bill {customer} in {month} 2025? {ANSWER_ONLY}",
        f"Look up the total of the bills to {customer} for {month} 2025. {ANSWER_ONLY}",
        f"Find the sum billed to {customer} in {month} of last year. {ANSWER_ONLY}",
        indirect=(
            f"{customer} says that we took too much in {month} of last year. How much was it in all? {ANSWER_ONLY}",
        ),
    )
    return WebTask(prompt, solve, infeasible=True)
