"""Tasks of the console about requests, assets and settings."""

from __future__ import annotations

import sqlite3

from thinkact.envs.web import admin_data as data
from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import (
    ASSET_COLUMNS,
    LOG,
    REQUEST_COLUMNS,
    all_listed,
    apply,
    change,
    find,
    listed,
    narrow,
    person,
)
from thinkact.envs.web.goals import Wants, together
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed
from thinkact.envs.web.tasks import Draw, WebTask, template

_REASONS = ("too expensive", "not this year", "please ask again in June", "there is one in the store already")


def decided(rows: list[sqlite3.Row], status: str, note: str = "", app: str = "") -> Wants:
    """Return goals and rules of deciding some requests in one way."""
    return change("request", rows, {"status": status, "note": note}, app=app) if rows else ((), ())


@template("admin/decide-request", app="admin", level=1)
def _decide_request(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT * FROM request WHERE status = 'pending' ORDER BY id")
    assert row is not None
    reject = draw.rng.random() < 0.5
    note = draw.rng.choice(_REASONS) if reject else ""

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Requests", Status="pending")
        while not pilot.find("link", str(row["id"])):
            yield from pilot.click("link", "Next page")
        yield from pilot.click("link", str(row["id"]))
        if reject:
            yield from pilot.fill("textbox", "Note", note)
        yield from pilot.click("button", "Reject" if reject else "Approve")
        yield from pilot.done()

    if reject:
        prompt = draw.say(f"Reject request {row['id']} with the note “{note}”.",
                          f"Request {row['id']} cannot be granted. Reject it; the note is: {note}",
                          indirect=(f"Whoever made request {row['id']} will not get it, and should read why: "
                                    f"“{note}”.",))  # fmt: skip
    else:
        prompt = draw.say(
            f"Approve request {row['id']}, without a note.",
            f"Request {row['id']} is fine. Approve it; no note.",
            indirect=(f"Whoever made request {row['id']} shall have it; there is nothing more to say to them.",),
        )
    goals, rules = decided([row], "rejected" if reject else "approved", note)
    return WebTask(prompt, solve, goals, rules)


def _decide_all(draw: Draw, rows: list[sqlite3.Row], limit: int, which: str, **filters: str) -> WebTask | None:
    """Approve what costs no more than a limit, reject the rest with a note; one by one."""
    yes = [row for row in rows if row["amount"] <= limit]
    no = [row for row in rows if row["amount"] > limit]
    steps = 4 + len(filters) + 2 * len(yes) + 3 * len(no)
    if not yes or not no or not 10 <= steps <= 40:
        return None
    note = draw.rng.choice(["over the limit", "above the limit", "limit exceeded"])

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Requests", **filters)
        shown: list[list[str]] = []
        yield from all_listed(pilot, REQUEST_COLUMNS, shown)
        for number, *_, amount, _ in shown:
            yield from pilot.goto(f"/requests/{number}")
            over = float(amount.strip("$").replace(",", "")) * 100 > limit
            if over:
                yield from pilot.fill("textbox", "Note", note)
            yield from pilot.click("button", "Reject" if over else "Approve")
        yield from pilot.done()

    prompt = draw.say(
        f"Decide {which}: approve those of up to ${limit // 100} (without a note), reject the others with the note "
        f"“{note}”.",
        f"Go through {which}. Up to ${limit // 100} they are approved, with no note; above that they are rejected, and "
        f"the note says “{note}”.",
        indirect=(
            f"We can spend ${limit // 100} on one wish, not more. Answer {which} by that: who keeps to it gets it "
            f"without a word, all others read “{note}” and get nothing.",
        ),
    )
    made = [decided(yes, "approved"), decided(no, "rejected", note)]
    return WebTask(prompt, solve, *together(*made), steps=steps)


@template("admin/decide-kind", app="admin", level=2)
def _decide_kind(draw: Draw) -> WebTask | None:
    kind = draw.rng.choice(data.REQUEST_KINDS)
    rows = draw.rows("SELECT * FROM request WHERE status = 'pending' AND kind = ? ORDER BY id", kind)
    limit = draw.rng.choice(range(200, 1300, 50)) * 100
    found = _decide_all(draw, rows, limit, f"all pending requests for {kind}", Status="pending", Kind=kind)
    return found if found and found.steps <= 20 else None


@template("admin/decide-all", app="admin", level=3)
def _decide_everything(draw: Draw) -> WebTask | None:
    rows = draw.rows("SELECT * FROM request WHERE status = 'pending' ORDER BY id")
    limit = draw.rng.choice(range(800, 1400, 50)) * 100
    return _decide_all(draw, rows, limit, "every pending request", Status="pending")


@template("admin/hand-over-asset", app="admin", level=1)
def _hand_over_asset(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT * FROM asset WHERE status = 'in store' ORDER BY id")
    who = person(draw, "s.status = 'active'")
    if row is None or who is None:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Assets", row["serial"])
        yield from apply(pilot, [row["serial"]], owner=who["name"], status="in use")
        yield from pilot.done()

    prompt = draw.say(
        f"{who['name']} gets the {row['kind']} {row['serial']} from the store. Enter the owner and the status “in "
        "use”.",
        f"Give the {row['kind']} with the serial number {row['serial']} to {who['name']}: owner, and status “in use”.",
        indirect=(
            f"{who['name']} needs a {row['kind']}, and {hints.asset(draw, row)} does nobody any good in the store. It "
            "is theirs and “in use” from today; let the console know.",
        ),
    )
    goals, rules = change("asset", [row], {"owner_id": who["id"], "status": "in use"}, "serial")
    return WebTask(prompt, solve, goals, rules)


@template("admin/retire-old", app="admin", level=2)
def _retire_old(draw: Draw) -> WebTask | None:
    """Everything of a kind that was bought before a year and is not retired yet."""
    kind, year = draw.rng.choice(list(data.MODELS)), draw.rng.choice([2020, 2021, 2022, 2023])
    every = draw.rows("SELECT * FROM asset WHERE kind = ? ORDER BY bought", kind)
    rows = [row for row in every if row["bought"] < str(year) and row["status"] != "retired"]
    if not 2 <= len(rows) <= 8 or len(every) > 15:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Assets", Kind=kind)
        yield from pilot.click("link", "Sort by bought ascending")
        old = [row[1] for row in listed(pilot, ASSET_COLUMNS) if row[6] < str(year) and row[5] != "retired"]
        yield from apply(pilot, old, owner="nobody", status="retired")
        yield from pilot.done()

    prompt = draw.say(
        f"Retire every {kind} that was bought before {year} and is not retired yet: status “retired”, owner nobody.",
        f"Each {kind} bought before the year {year} gets the status “retired” and the owner nobody, unless it is "
        "retired already.",
        indirect=(
            f"Nobody should work with a {kind} from before {year} any more: such things end up “retired” and with "
            "nobody, where they have not already.",
        ),
    )
    goals, rules = change("asset", rows, {"owner_id": None, "status": "retired"}, "serial")
    return WebTask(prompt, solve, goals, rules, steps=len(rows) + 8)


@template("admin/collect-assets", app="admin", level=1)
def _collect_assets(draw: Draw) -> WebTask | None:
    who = person(draw, "s.status = 'left'")
    if who is None:
        return None
    rows = draw.rows("SELECT * FROM asset WHERE owner_id = ? ORDER BY id", who["id"])
    new = draw.rng.choice(["in store", "in repair", "retired"])
    if not 1 <= len(rows) <= 2:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from narrow(pilot, "Assets", Owner=who["name"])
        yield from apply(pilot, [row[1] for row in listed(pilot, ASSET_COLUMNS)], owner="nobody", status=new)
        yield from pilot.done()

    prompt = draw.say(
        f"{who['name']} has left and returned everything. Give all assets of {who['name']} the owner nobody and the "
        f"status “{new}”.",
        f"Whatever belongs to {who['name']}, who has left, is now “{new}” and has the owner nobody. Enter that under "
        "Assets.",
        indirect=(
            f"What {hints.person(draw, who)} had was handed in at the end. The console still knows it as theirs: it is "
            f"nobody's, and “{new}”.",
        ),
    )
    goals, rules = change("asset", rows, {"owner_id": None, "status": new}, "serial")
    return WebTask(prompt, solve, goals, rules)


_VALUES = {
    "Reply time in hours": ("12", "36", "48", "72"), "Days until a ticket closes": ("7", "10", "21", "30"),
    "Tickets per agent": ("15", "25", "30", "40"), "Time zone": ("Europe/Paris", "Europe/Riga", "Asia/Tokyo"),
    "Currency": ("EUR", "NOK", "GBP"), "Working hours": ("07:00-16:00", "09:00-18:00", "10:00-19:00"),
    "Greeting": ("Good day", "Welcome", "Hi there"), "Holiday mode": ("on",), "Survey after closing": ("off",),
    "Language": ("German", "Norwegian", "French"),
}  # fmt: skip


def _settings(draw: Draw, n: int) -> WebTask | None:
    chosen = {name: draw.rng.choice(_VALUES[name]) for name in draw.some(list(_VALUES), n)}

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Settings")
        for name, value in chosen.items():
            yield from pilot.fill("textbox", name, value)
        yield from pilot.click("button", "Save settings")
        yield from pilot.done()

    said = ", ".join(f"“{name}” to {value}" for name, value in chosen.items())
    wish = "; ".join(f"{value} as “{name}”" for name, value in chosen.items())
    prompt = draw.say(
        f"Set {said} in the settings.",
        f"Change the settings: {said}. Leave the others as they are.",
        indirect=(f"From today we work with other rules, and the console does not know yet: {wish}.",),
    )
    rows = [draw.rows("SELECT * FROM setting WHERE name = ?", name)[0] for name in chosen]
    goals = [goal for row in rows for goal in change("setting", [row], {"value": chosen[row["name"]]}, "name")[0]]
    ids = ", ".join(str(row["id"]) for row in rows)
    return WebTask(prompt, solve, tuple(goals), (Allowed("setting", f"id IN ({ids})", ("value",), ("update",)), LOG))


@template("admin/change-setting", app="admin", level=0)
def _setting(draw: Draw) -> WebTask | None:
    return _settings(draw, 1)


@template("admin/settings-several", app="admin", level=1)
def _settings_several(draw: Draw) -> WebTask | None:
    return _settings(draw, draw.rng.choice([2, 3, 4]))
