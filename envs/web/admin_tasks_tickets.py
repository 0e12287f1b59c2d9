"""Tasks of the console that change tickets: one, several, all that match, duplicates, those of people who left."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from thinkact.envs.web import admin_data as data
from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import (
    IS_LIVE,
    LOG,
    TICKET_COLUMNS,
    TICKETS,
    add_comment,
    apply,
    change,
    find,
    listed,
    narrow,
    open_ticket,
    overdue,
    person,
    report,
)
from thinkact.envs.web.goals import added, together
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


def _ticket(draw: Draw, condition: str = "1") -> sqlite3.Row | None:
    return draw.pick(f"{TICKETS} WHERE {condition} ORDER BY t.id")


@template("admin/set-field", app="admin", level=1)
def _set_field(draw: Draw) -> WebTask | None:
    row = _ticket(draw)
    assert row is not None
    column = draw.rng.choice(["status", "priority"])
    new = draw.rng.choice(
        [each for each in (data.STATUSES if column == "status" else data.PRIORITIES) if each != row[column]]
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_ticket(pilot, row["id"])
        yield from pilot.select(column.capitalize(), new)
        yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    prompt = draw.say(f"Set the {column} of ticket {row['id']} to “{new}”.",
                      f"Ticket {row['id']} should have the {column} “{new}”. See to it.",
                      indirect=(f"The ticket about “{row['subject']}” of {row['customer']} with the number "
                                f"{row['id']}: make its {column} “{new}”.",))  # fmt: skip
    goals, rules = change("ticket", [row], {column: new})
    return WebTask(prompt, solve, goals, rules)


@template("admin/escalate", app="admin", level=1)
def _escalate(draw: Draw) -> WebTask | None:
    """Three fields of one ticket at once."""
    row = _ticket(draw, "t.priority != 'urgent'")
    who = person(draw, "s.status = 'active'")
    assert row is not None and who is not None
    due = (draw.now + timedelta(days=draw.rng.randint(1, 20))).date().isoformat()
    if due == row["due"] or who["id"] == row["assignee_id"]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_ticket(pilot, row["id"])
        yield from pilot.select("Priority", "urgent")
        yield from pilot.select("Assignee", who["name"])
        yield from pilot.fill("textbox", "Due", due)
        yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    prompt = draw.say(
        f"Make ticket {row['id']} urgent, give it to {who['name']} and set its due date to {due}.",
        f"Ticket {row['id']} is urgent now: {who['name']} takes it over, and it is due on {due}.",
        indirect=(
            f"I mean {hints.ticket(draw, row)}: nothing could be more urgent. {who['name']} is the right one for it, "
            f"and has until {due}.",
        ),
    )
    goals, rules = change("ticket", [row], {"priority": "urgent", "assignee_id": who["id"], "due": due})
    return WebTask(prompt, solve, goals, rules)


@template("admin/comment", app="admin", level=1)
def _comment(draw: Draw) -> WebTask | None:
    row = _ticket(draw)
    assert row is not None
    text = draw.rng.choice(["The customer was called back.", "A new parcel is on its way.", "We wait for the bank.",
                            "Please check again on Friday.", "The offer was sent by post.",
                            "Solved with the new version.", "The warehouse is looking for it.",
                            "A voucher was promised."])  # fmt: skip

    def solve(pilot: Pilot) -> Moves:
        yield from add_comment(pilot, row["id"], text)
        yield from pilot.done()

    prompt = draw.say(
        f"Add this comment to ticket {row['id']}: {text}",
        f"Note on ticket {row['id']}, as a comment: {text}",
        indirect=(f"Whoever takes up {hints.ticket(draw, row)} should read there, as a comment: {text}",),
    )
    return WebTask(prompt, solve, *added("the comment is there", "comment", ticket_id=row["id"], body=text))


@template("admin/new-ticket", app="admin", level=2)
def _new_ticket(draw: Draw) -> WebTask | None:
    rng = draw.rng
    team = draw.pick("SELECT * FROM team ORDER BY id")
    assert team is not None
    subject = rng.choice(["Box was empty", "Website is slow", "Wrong language on the invoice", "Voucher is lost",
                          "Chat does not open", "Colour of the button", "Missing screws",
                          "Courier was late"])  # fmt: skip
    customer, priority = rng.choice(data.CUSTOMERS), rng.choice(["low", "high", "urgent"])
    due = (draw.now + timedelta(days=rng.randint(2, 40))).date().isoformat()
    text = rng.choice(
        ["They called this morning.", "See the mail of Monday.", "It happened twice.", "Photos will follow."]
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Tickets")
        yield from pilot.click("link", "New ticket")
        yield from pilot.fill("textbox", "Subject", subject)
        yield from pilot.select("Customer", customer)
        yield from pilot.select("Team", team["name"])
        yield from pilot.select("Priority", priority)
        yield from pilot.fill("textbox", "Due", due)
        yield from pilot.fill("textbox", "Text", text)
        yield from pilot.click("button", "Open ticket")
        yield from pilot.done()

    prompt = draw.say(
        f"Open a ticket for {customer}: subject “{subject}”, text “{text}”, team {team['name']}, priority "
        f"“{priority}”, due on {due}.",
        f"{customer} has a new problem. Open a ticket with the subject “{subject}” and the text “{text}”. The team "
        f"{team['name']} gets it, with the priority “{priority}” and the due date {due}.",
        indirect=(
            f"{customer} is not content: “{subject}”. Make sure that the team {team['name']} works on it by {due} with "
            f"the priority “{priority}”, and reads: {text}",
        ),
    )
    new = added("the ticket is open", "ticket", subject=subject, body=text, customer=customer, team_id=team["id"],
                priority=priority, due=due)  # fmt: skip
    return WebTask(prompt, solve, *together(new, ((), (LOG,))), steps=10)


@template("admin/least-busy", app="admin", level=2)
def _least_busy(draw: Draw) -> WebTask | None:
    """Who of a team has the fewest live tickets is in a report; who is in the team is elsewhere."""
    row = _ticket(draw, "t.assignee_id IS NULL")
    if row is None:
        return None
    members = draw.rows("SELECT * FROM staff WHERE team_id = ? AND status = 'active' AND name NOT LIKE '%(2)'",
                        row["team_id"])  # fmt: skip
    loads = {each["id"]: draw.rows("SELECT count(*) AS n FROM ticket WHERE assignee_id = ? AND "
                                   f"{IS_LIVE}", each["id"])[0]["n"]
             for each in members}  # fmt: skip
    if len(loads) < 2 or list(loads.values()).count(min(loads.values())) > 1:
        return None
    who = min(loads, key=lambda each: loads[each])

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Tickets", str(row["id"]))
        team = listed(pilot, TICKET_COLUMNS)[0][4]
        yield from narrow(pilot, "Staff", Team=team, Status="active")
        people = [each[0] for each in listed(pilot, 7) if not each[0].endswith("(2)")]
        yield from report(pilot, "live tickets", "assignee")
        live = {each[0]: int(each[1]) for each in listed(pilot, 2)}
        least = min(people, key=lambda name: live.get(name, 0))
        yield from open_ticket(pilot, row["id"])
        yield from pilot.select("Assignee", least)
        yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    prompt = draw.say(
        f"Assign ticket {row['id']} to the active member of the ticket's team who has the fewest live tickets (new, "
        "open or waiting). Second accounts, marked (2), do not count.",
        f"Nobody works on ticket {row['id']}. Give it to whoever is active in its team and has the fewest live "
        "tickets; accounts marked (2) do not count.",
        indirect=(
            f"Nobody looks after {hints.ticket(draw, row)}. In its team, one active member has less live work (new, "
            "open, waiting) than any other and should; accounts with a (2) are not people.",
        ),
    )
    goals, rules = change("ticket", [row], {"assignee_id": who})
    return WebTask(prompt, solve, goals, rules, steps=16)


def _together(draw: Draw, prompt: str, rows: list[sqlite3.Row], new: dict[str, str], **filters: str) -> WebTask | None:
    """Return the task of changing everything that some filters leave, as one."""
    if not 2 <= len(rows) <= 20:
        return None
    columns = {"status": "status", "priority": "priority", "due": "due", "assignee": "assignee_id", "team": "team_id"}
    values = {columns[what]: value for what, value in new.items()}

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Tickets", **filters)
        yield from apply(pilot, (), **new)
        yield from pilot.done()

    goals, rules = change("ticket", rows, values)
    return WebTask(prompt, solve, goals, rules, steps=9) if len(goals) >= 2 else None


@template("admin/bulk-status", app="admin", level=1)
def _bulk_status(draw: Draw) -> WebTask | None:
    row = _ticket(draw)
    assert row is not None
    name = draw.rng.choice(["customer", "team", "priority"])
    new = draw.rng.choice([each for each in data.STATUSES if each != row["status"]])
    rows = [
        each
        for each in draw.rows(f"{TICKETS} ORDER BY t.id")
        if (each[name], each["status"]) == (row[name], row["status"])
    ]
    prompt = draw.say(
        f"Set every ticket of the {name} “{row[name]}” that is “{row['status']}” to “{new}”.",
        f"All tickets with the {name} “{row[name]}” and the status “{row['status']}” become “{new}”.",
        indirect=(f"Nothing of the {name} “{row[name]}” should be “{row['status']}” any more; it is all “{new}”.",),
    )
    return _together(draw, prompt, rows, {"status": new}, **{name.capitalize(): row[name]}, Status=row["status"])


@template("admin/bulk-priority", app="admin", level=1)
def _bulk_priority(draw: Draw) -> WebTask | None:
    row = _ticket(draw)
    assert row is not None
    name = draw.rng.choice(["customer", "team"])
    new = draw.rng.choice(["high", "urgent"])
    rows = [each for each in draw.rows(f"{TICKETS} ORDER BY t.id") if each[name] == row[name] and overdue(draw, each)]
    prompt = draw.say(
        f"Raise all overdue tickets of the {name} {row[name]} to the priority “{new}”.",
        f"Give each overdue ticket of the {name} {row[name]} the priority “{new}”.",
        indirect=(
            f"The {name} {row[name]} has waited past the promised day for too many tickets. Let each of them count as "
            f"“{new}”.",
        ),
    )
    return _together(draw, prompt, rows, {"priority": new}, **{name.capitalize(): row[name]}, Due="overdue")


@template("admin/bulk-due", app="admin", level=1)
def _bulk_due(draw: Draw) -> WebTask | None:
    row = _ticket(draw)
    assert row is not None
    due = (draw.now + timedelta(days=draw.rng.randint(1, 30))).date().isoformat()
    rows = [each for each in draw.rows(f"{TICKETS} ORDER BY t.id") if each["priority"] == row["priority"]
            and each["team"] == row["team"] and overdue(draw, each)]  # fmt: skip
    prompt = draw.say(
        f"Overdue tickets of the team {row['team']} with the priority “{row['priority']}” get a new due date: {due}.",
        f"Set the due date of every overdue “{row['priority']}” ticket of the team {row['team']} to {due}.",
        indirect=(
            f"What the team {row['team']} should have done by now, with the priority “{row['priority']}”, it may do "
            f"until {due}. Let the tickets say so.",
        ),
    )
    return _together(draw, prompt, rows, {"due": due}, Team=row["team"], Priority=row["priority"], Due="overdue")


@template("admin/worst-team", app="admin", level=2)
def _worst_team(draw: Draw) -> WebTask | None:
    """Find the team with the most overdue tickets in a report, then raise those."""
    rows = [row for row in draw.rows(f"{TICKETS} ORDER BY t.id") if overdue(draw, row)]
    counts = {row["team"]: sum(each["team"] == row["team"] for each in rows) for row in rows}
    top = max(counts, key=lambda name: counts[name])
    new = draw.rng.choice(["urgent", "high"])
    due = (draw.now + timedelta(days=draw.rng.randint(1, 30))).date().isoformat()
    both = draw.rng.random() < 0.5
    if list(counts.values()).count(counts[top]) > 1:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from report(pilot, "overdue tickets", "team")
        shown = {row[0]: int(row[1]) for row in listed(pilot, 2)}
        yield from narrow(pilot, "Tickets", Team=max(shown, key=lambda name: shown[name]), Due="overdue")
        yield from apply(pilot, (), priority=new, **({"due": due} if both else {}))
        yield from pilot.done()

    extra = f" and the due date {due}" if both else ""
    prompt = draw.say(
        f"Find the team with the most overdue tickets. Give all its overdue tickets the priority “{new}”{extra}.",
        f"One team has more overdue tickets than any other. Each of those tickets gets the priority “{new}”{extra}.",
        indirect=(
            "One team keeps our customers waiting more than any other, by the number of tickets whose day has passed. "
            f"Let each of those have the priority “{new}”{extra}.",
        ),
    )
    values = {"priority": new} | ({"due": due} if both else {})
    goals, rules = change("ticket", [row for row in rows if row["team"] == top], values)
    return WebTask(prompt, solve, goals, rules, steps=13)


@template("admin/no-such-ticket", app="admin", level=0, infeasible=True)
def _no_such_ticket(draw: Draw) -> WebTask | None:
    number = draw.rng.randint(1200, 9999)
    new = draw.rng.choice(data.STATUSES)

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Tickets", str(number))
        assert pilot.shows("0 tickets."), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Set the status of ticket {number} to “{new}”.",
        f"Ticket {number} should have the status “{new}”. See to it.",
        indirect=(f"Whoever looks up ticket {number} should find it “{new}”.",),
    )
    return WebTask(prompt, solve, infeasible=True)


@template("admin/no-such-assignee", app="admin", level=0, infeasible=True)
def _no_such_assignee(draw: Draw) -> WebTask | None:
    """People who left cannot be given tickets any more."""
    row, gone = _ticket(draw), person(draw, "s.status = 'left'")
    if row is None or gone is None or row["assignee_id"] == gone["id"]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_ticket(pilot, row["id"])
        options = pilot.read(r'combobox \[e\d+\] "Assignee".* options: (.*)')
        assert gone["name"] not in options.split(", "), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Assign ticket {row['id']} to {gone['name']}.",
        f"{gone['name']} is to work on ticket {row['id']}. Assign it.",
        indirect=(f"Only {gone['name']} understands {hints.ticket(draw, row)}, and should have it.",),
    )
    return WebTask(prompt, solve, infeasible=True)
