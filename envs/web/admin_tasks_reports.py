"""Tasks of the console that end in an answer from a report, the log, or the lists of people."""

from __future__ import annotations

from thinkact.envs.answers import Answer
from thinkact.envs.web.admin_moves import (
    STAFF,
    STAFF_COLUMNS,
    find,
    listed,
    narrow,
    report,
)
from thinkact.envs.web.admin_office import GROUPS, MEASURES
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import ANSWER_ONLY, Draw, WebTask, template


def _report(draw: Draw, measure: str, by: str) -> dict[str, float]:
    rows = draw.rows(
        f"SELECT {GROUPS[by]} AS name, {MEASURES[measure].replace(':today', '?')} AS value FROM ticket t "
        "JOIN team g ON g.id = t.team_id LEFT JOIN staff s ON s.id = t.assignee_id GROUP BY 1 ORDER BY 1",
        *([draw.now.date().isoformat()] if ":today" in MEASURES[measure] else []),
    )
    return {row["name"]: row["value"] for row in rows}


@template("admin/report-extreme", app="admin", level=1)
def _report_extreme(draw: Draw) -> WebTask | None:
    measure, by = draw.rng.choice(list(MEASURES)), draw.rng.choice(list(GROUPS))
    if (by, measure.split()[0]) in {
        ("priority", "urgent"),
        ("status", "live"),
        ("status", "overdue"),
        ("status", "urgent"),
    }:
        return None
    values = _report(draw, measure, by)
    sign = draw.rng.choice([-1, 0])
    ranked = sorted(values, key=lambda name: values[name])
    if list(values.values()).count(values[ranked[sign]]) > 1:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from report(pilot, measure, by)
        shown = {row[0]: float(row[1]) for row in listed(pilot, 2)}
        yield from pilot.answer(sorted(shown, key=lambda name: shown[name])[sign])

    words = "most" if sign else "fewest"
    what = f"the {words} {measure}"
    if "average" in measure:
        what = f"the {'most' if sign else 'fewest'} days on average from creation to due date"
    prompt = draw.say(
        f"Which {by} has {what}? Tickets of nobody count under “nobody”. {ANSWER_ONLY}",
        f"Find out which {by} has {what} (“nobody” counts as an answer). {ANSWER_ONLY}",
        indirect=(f"Tell me which {by} stands out by {what}; “nobody” is an answer too. {ANSWER_ONLY}",),
    )
    return WebTask(prompt, solve, answer=Answer("name", ranked[sign]))


@template("admin/report-difference", app="admin", level=1)
def _report_difference(draw: Draw) -> WebTask | None:
    measure = draw.rng.choice([name for name in MEASURES if "average" not in name])
    by = draw.rng.choice(["team", "customer", "priority"])
    values = _report(draw, measure, by)
    first, second = draw.some(list(values), 2)
    if values[first] <= values[second]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from report(pilot, measure, by)
        shown = {row[0]: int(row[1]) for row in listed(pilot, 2)}
        yield from pilot.answer(str(shown[first] - shown[second]))

    prompt = draw.say(
        f"How many more {measure} has the {by} {first} than the {by} {second}?",
        f"By how much do the {measure} of the {by} {first} outnumber those of the {by} {second}?",
        indirect=(
            f"Take the number of {measure} of the {by} {first}, and that of the {by} {second}. What is left when the "
            "second is taken off the first?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(int(values[first] - values[second]))))


@template("admin/log-last", app="admin", level=0)
def _log_last(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT subject, action, actor, max(id) FROM activity GROUP BY subject ORDER BY subject")
    assert row is not None
    hits = draw.rows("SELECT subject FROM activity WHERE instr(action || ' ' || subject, ?)", row["subject"])
    if any(each["subject"] != row["subject"] for each in hits):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Activity", row["subject"])
        yield from pilot.answer(next(each[1] for each in listed(pilot, 4) if each[3] == row["subject"]))

    what = f"the setting “{row['subject']}”" if row["action"].startswith("setting") else row["subject"]
    prompt = draw.say(
        f"Who was the last to change {what}, according to the log?",
        f"Look into the log: whose was the latest change of {what}?",
        indirect=(
            f"{what[0].upper() + what[1:]} is not what it was. Whom do I have to ask, as the one who touched it last?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("name", row["actor"]))


@template("admin/log-count", app="admin", level=0)
def _log_count(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT actor, count(*) AS n FROM activity GROUP BY actor ORDER BY actor")
    assert row is not None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Activity", Actor=row["actor"])
        yield from pilot.answer(pilot.read(r"^(\d+) entr"))

    prompt = draw.say(
        f"How many entries does the activity log have for {row['actor']}?",
        f"Count the entries of {row['actor']} in the log of activity.",
        indirect=(f"How often has {row['actor']} done something that the console wrote down?",),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(row["n"])))


@template("admin/count-staff", app="admin", level=1)
def _count_staff(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{STAFF} ORDER BY s.id")
    assert row is not None
    chosen = {name: row[name] for name in draw.some(["team", "role", "status"], 2)}
    found = [each for each in draw.rows(STAFF) if all(each[name] == value for name, value in chosen.items())]

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Staff", **{name.capitalize(): value for name, value in chosen.items()})
        yield from pilot.answer(pilot.read(r"^(\d+) (?:people|person)\."))

    said = " and ".join(f"the {name} “{value}”" for name, value in chosen.items())
    prompt = draw.say(
        f"How many accounts have {said}?",
        f"Count the accounts with {said}.",
        indirect=(f"Filter the accounts so that only those with {said} are left. How many do you see?",),
    )
    return WebTask(prompt, solve, answer=Answer("number", str(len(found))))


@template("admin/longest-serving", app="admin", level=1)
def _longest_serving(draw: Draw) -> WebTask | None:
    team = draw.pick("SELECT * FROM team ORDER BY id")
    assert team is not None
    newest = draw.rng.random() < 0.5
    people = draw.rows(f"{STAFF} WHERE s.team_id = ? ORDER BY s.joined", team["id"])
    right = people[-1 if newest else 0]
    if right["name"].endswith("(2)"):
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Staff", Team=team["name"])
        yield from pilot.click("link", "Sort by joined ascending")
        yield from pilot.answer(listed(pilot, STAFF_COLUMNS)[-1 if newest else 0][0])

    words = "latest" if newest else "first"
    prompt = draw.say(
        f"Of everybody listed in the team {team['name']}, who joined {words}?",
        f"Who in the team {team['name']} has the {'latest' if newest else 'earliest'} day of joining?",
        indirect=(
            f"At the party of the team {team['name']}, whoever has been there for the "
            f"{'shortest' if newest else 'longest'} time makes a speech. Who is it, of all that the list has?",
        ),
    )
    return WebTask(prompt, solve, answer=Answer("name", right["name"]))


@template("admin/leavers-with-tickets", app="admin", level=1)
def _leavers(draw: Draw) -> WebTask | None:
    gone = draw.rows(f"{STAFF} WHERE s.status = 'left' ORDER BY s.name")
    live = {row["assignee"]: row["n"] for row in draw.rows(
        "SELECT s.name AS assignee, count(*) AS n FROM ticket t JOIN staff s ON s.id = t.assignee_id WHERE t.status IN "
        "('new', 'open', 'waiting') GROUP BY 1")}  # fmt: skip
    most = max(gone, key=lambda row: live.get(row["name"], 0))
    counts = [live.get(row["name"], 0) for row in gone]
    if counts.count(max(counts)) > 1:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Staff", Status="left")
        shown = {}
        for n, name in enumerate(row[0] for row in listed(pilot, STAFF_COLUMNS)):
            if n:
                yield from pilot.act("back")
            yield from pilot.click("link", name)
            shown[name] = int(pilot.read(r"Live tickets: (\d+)"))
        yield from pilot.answer(max(shown, key=lambda name: shown[name]))

    prompt = draw.say(
        "Among the people who have left, who still has the most live tickets?",
        "Somebody who has left Northwind still has more live tickets than all others who left. Who?",
        "Which of those who left has the largest number of live tickets?",
        indirect=("Some people are gone but their work is still open. Whose pile is the highest?",),
    )
    return WebTask(prompt, solve, answer=Answer("name", most["name"]), steps=9)
