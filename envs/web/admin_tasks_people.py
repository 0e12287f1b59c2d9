"""Tasks of the console about people: accounts, teams, roles and what each may do."""

from __future__ import annotations

from thinkact.envs.web import admin_data as data
from thinkact.envs.web import hints, wiki_words
from thinkact.envs.web.admin_moves import (
    LOG,
    STAFF,
    STAFF_COLUMNS,
    change,
    find,
    listed,
    open_person,
    person,
)
from thinkact.envs.web.goals import added, together
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import table_rows

#: Roles that an operator may change.
_OPEN_ROLES = ("viewer", "agent", "senior agent", "team lead", "auditor")


@template("admin/edit-account", app="admin", level=1)
def _edit_account(draw: Draw) -> WebTask | None:
    who = person(draw, "s.role != 'administrator'")
    assert who is not None
    column = draw.rng.choice(["phone", "title"])
    new = f"+47 56 {draw.rng.randint(1000, 9999)}" if column == "phone" else draw.rng.choice(wiki_words.TITLES)
    if new == who[column]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_person(pilot, who["name"])
        yield from pilot.fill("textbox", column.capitalize(), new)
        yield from pilot.click("button", "Save account")
        yield from pilot.done()

    what = "phone number" if column == "phone" else "job title"
    prompt = draw.say(
        f"Change the {what} of {who['name']} to {new}.",
        f"{who['name']} has a new {what}: {new}. Enter it.",
        indirect=(f"The {what} that the console has for {hints.person(draw, who)} is out of date. It is {new}.",),
    )
    goals, rules = change("staff", [who], {column: new}, "name")
    return WebTask(prompt, solve, goals, rules)


@template("admin/new-account", app="admin", level=1)
def _new_account(draw: Draw) -> WebTask | None:
    rng = draw.rng
    name = f"{rng.choice(wiki_words.FIRST)} {rng.choice(wiki_words.LAST)}"
    team = draw.pick("SELECT * FROM team ORDER BY id")
    role, title = rng.choice(["agent", "senior agent", "auditor"]), rng.choice(wiki_words.TITLES)
    if team is None or draw.row("SELECT 1 FROM staff WHERE name = ?", name):
        return None
    email = data.email_of(name)

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Staff")
        yield from pilot.click("link", "New account")
        yield from pilot.fill("textbox", "Full name", name)
        yield from pilot.fill("textbox", "Mail", email)
        yield from pilot.fill("textbox", "Title", title)
        yield from pilot.select("Team", team["name"])
        yield from pilot.select("Role", role)
        yield from pilot.click("button", "Make account")
        yield from pilot.done()

    prompt = draw.say(
        f"Make an account for {name} ({email}), {title}, in the team {team['name']} with the role “{role}”.",
        f"{name} starts today in the team {team['name']} as {title}. Make the account: mail {email}, role “{role}”.",
        indirect=(
            f"A new {title}, {name}, cannot sign in yet. They work in the team {team['name']}, read mail at {email} "
            f"and are to do what the role “{role}” allows.",
        ),
    )
    new = added("the account is there", "staff", name=name, email=email, title=title, team_id=team["id"], role=role)
    return WebTask(prompt, solve, *together(new, ((), (LOG,))))


@template("admin/move-people", app="admin", level=2)
def _move_people(draw: Draw) -> WebTask | None:
    people = draw.rows(f"{STAFF} WHERE s.role NOT IN ('administrator', 'team lead') AND s.status = 'active' AND s.name "
                       "NOT LIKE '%(2)' ORDER BY s.id")  # fmt: skip
    chosen = draw.some(people, draw.rng.choice([2, 3]))
    team = draw.pick("SELECT * FROM team ORDER BY id")
    if team is None or any(each["team_id"] == team["id"] for each in chosen):
        return None

    def solve(pilot: Pilot) -> Moves:
        for each in chosen:
            yield from open_person(pilot, each["name"])
            yield from pilot.select("Team", team["name"])
            yield from pilot.click("button", "Save account")
        yield from pilot.done()

    said = ", ".join(each["name"] for each in chosen[:-1]) + f" and {chosen[-1]['name']}"
    prompt = draw.say(
        f"Move {said} to the team {team['name']}.",
        f"{said} work in the team {team['name']} from now on. Change their accounts.",
        indirect=(f"The team {team['name']} has grown: {said} belong to it now, whatever the console says.",),
    )
    goals, rules = change("staff", chosen, {"team_id": team["id"]}, "name")
    return WebTask(prompt, solve, goals, rules, steps=5 * len(chosen) + 1)


@template("admin/second-accounts", app="admin", level=2)
def _second_accounts(draw: Draw) -> WebTask | None:
    extra = draw.rows(f"{STAFF} WHERE s.name LIKE '%(2)' ORDER BY s.name")
    new = draw.rng.choice(["left", "on leave"])
    role = draw.rng.choice(["", "auditor", "agent"])

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Staff", "(2)")
        for each in [row[0] for row in listed(pilot, STAFF_COLUMNS)]:
            yield from open_person(pilot, each)
            yield from pilot.select("Status", new)
            if role:
                yield from pilot.select("Role", role)
            yield from pilot.click("button", "Save account")
        yield from pilot.done()

    also = f" and the role “{role}”" if role else ""
    prompt = draw.say(
        "Some people have a second account by mistake; its name ends in (2). Give each of those the status "
        f"“{new}”{also}.",
        f"Find all accounts whose name is marked with (2) and set their status to “{new}”{also}.",
        indirect=(
            "Nobody needs two accounts. Those that were made by mistake bear a (2) behind the name; let each of them "
            f"be “{new}”{also}.",
        ),
    )
    goals, rules = change("staff", extra, {"status": new} | ({"role": role} if role else {}), "name")
    return WebTask(prompt, solve, goals, rules, steps=13 + 2 * bool(role))


@template("admin/new-lead", app="admin", level=1)
def _new_lead(draw: Draw) -> WebTask | None:
    team = draw.pick("SELECT g.*, s.name AS lead FROM team g JOIN staff s ON s.id = g.lead_id ORDER BY g.id")
    assert team is not None
    who = person(draw, "s.status = 'active' AND s.id != ?", team["lead_id"])
    assert who is not None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Teams")
        yield from pilot.click("link", team["name"])
        yield from pilot.select("Lead", who["name"])
        yield from pilot.click("button", "Save team")
        yield from pilot.done()

    prompt = draw.say(
        f"Make {who['name']} the lead of the team {team['name']}.",
        f"{who['name']} follows {team['lead']} as lead of the team {team['name']}. Enter it under Teams.",
        indirect=(f"The team {team['name']} answers to {who['name']} from today, no longer to {team['lead']}.",),
    )
    goals, rules = change("team", [team], {"lead_id": who["id"]}, "name")
    return WebTask(prompt, solve, goals, rules)


@template("admin/new-team", app="admin", level=2)
def _new_team(draw: Draw) -> WebTask | None:
    """Make a team, then move two people into it."""
    people = draw.rows(f"{STAFF} WHERE s.role NOT IN ('administrator', 'team lead') AND s.status = 'active' AND s.name "
                       "NOT LIKE '%(2)' ORDER BY s.id")  # fmt: skip
    lead, other = draw.some(people, 2)
    taken = {row["name"] for row in draw.rows("SELECT name FROM team")}
    name = draw.rng.choice([each for each in wiki_words.TEAMS if each not in taken])
    city = draw.rng.choice(wiki_words.CITIES)

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Teams")
        yield from pilot.fill("textbox", "Name", name)
        yield from pilot.fill("textbox", "City", city)
        yield from pilot.select("Lead", lead["name"])
        yield from pilot.click("button", "Make team")
        for each in (lead, other):
            yield from open_person(pilot, each["name"])
            yield from pilot.select("Team", name)
            yield from pilot.click("button", "Save account")
        yield from pilot.done()

    prompt = draw.say(
        f"Make a new team {name} in {city} with {lead['name']} as its lead, and move {lead['name']} and "
        f"{other['name']} into it.",
        f"There is a new team: {name}, in {city}, led by {lead['name']}. {lead['name']} and {other['name']} are its "
        "members. Enter all of this.",
        indirect=(
            f"{lead['name']} opens an office in {city}, with a team {name} to lead that nobody knows yet, and takes "
            f"{other['name']} along. The console should show all of it.",
        ),
    )
    made = "SELECT count(*) = 1 FROM team WHERE name = ? AND city = ? AND lead_id = ?"
    moved = "SELECT count(*) = 1 FROM staff s JOIN team g ON g.id = s.team_id WHERE s.id = ? AND g.name = ?"
    goals = [Goal("the team is there", made, (name, city, lead["id"]))]
    goals += [Goal(f"{each['name']} is in it", moved, (each["id"], name)) for each in (lead, other)]
    rules = (
        Allowed("team", "name = ? AND city = ? AND lead_id = ?", ops=("insert",), params=(name, city, lead["id"])),
        Allowed("staff", f"id IN ({lead['id']}, {other['id']})", ("team_id",), ("update",)),
        LOG,
    )
    return WebTask(prompt, solve, tuple(goals), rules, steps=16)


def _held(draw: Draw, role: str) -> set[str]:
    return {row["name"] for row in draw.rows("SELECT name FROM permission WHERE role = ?", role)}


def _holds(role: str, name: str, *, there: bool) -> tuple[Goal, Allowed]:
    sql = f"SELECT count(*) = {int(there)} FROM permission WHERE role = ? AND name = ?"
    rule = Allowed("permission", "role = ? AND name = ?", ops=("insert" if there else "delete",), params=(role, name))
    return Goal(f"{role} {'has' if there else 'lacks'} {name}", sql, (role, name)), rule


@template("admin/grant-permission", app="admin", level=1)
def _grant_permission(draw: Draw) -> WebTask | None:
    role = draw.rng.choice(_OPEN_ROLES)
    held = _held(draw, role)
    give = draw.rng.random() < 0.6
    names = [name for name in data.PERMISSIONS if (name in held) != give]
    if not names:
        return None
    name = draw.rng.choice(names)

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Roles")
        yield from pilot.click("link", role)
        yield from pilot.check(name, give)
        yield from pilot.click("button", "Save role")
        yield from pilot.done()

    prompt = draw.say(
        f"The role “{role}” {'gets' if give else 'loses'} the permission “{name}”, and nothing else changes.",
        f"{'Grant' if give else 'Take'} the permission “{name}” {'to' if give else 'from'} the role “{role}”.",
        indirect=(
            f"Whoever has the role “{role}” {'could not' if give else 'should not'} use “{name}” so far; from today "
            f"they {'can' if give else 'cannot'}, and all else stays.",
        ),
    )
    goal, rule = _holds(role, name, there=give)
    return WebTask(prompt, solve, (goal,), (rule, LOG))


@template("admin/same-permissions", app="admin", level=1)
def _same_permissions(draw: Draw) -> WebTask | None:
    role, model = draw.some(_OPEN_ROLES, 2)
    held, wanted = _held(draw, role), _held(draw, model)
    differ = sorted(held ^ wanted)
    if not 1 <= len(differ) <= 5:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Roles")
        head, *rows = [row for row in table_rows(pilot) if len(row) > 2]
        mine, theirs = head.index(role), head.index(model)
        change_to = {row[0]: row[theirs] == "yes" for row in rows if row[mine] != row[theirs]}
        yield from pilot.click("link", role)
        for name, there in change_to.items():
            yield from pilot.check(name, there)
        yield from pilot.click("button", "Save role")
        yield from pilot.done()

    prompt = draw.say(
        f"Give the role “{role}” exactly the permissions that the role “{model}” has: no more and no fewer.",
        f"The roles “{role}” and “{model}” are to have the same permissions. Change “{role}” only.",
        indirect=(
            f"Whoever is “{role}” should be able to do just what a “{model}” can, and the latter is not to change.",
        ),
    )
    pairs = [_holds(role, name, there=name in wanted) for name in differ]
    return WebTask(prompt, solve, tuple(goal for goal, _ in pairs), (*(rule for _, rule in pairs), LOG))


@template("admin/revoke-everywhere", app="admin", level=2)
def _revoke_everywhere(draw: Draw) -> WebTask | None:
    name = draw.rng.choice(data.PERMISSIONS)
    roles = [role for role in _OPEN_ROLES if name in _held(draw, role)]
    if not 3 <= len(roles) <= 4:
        return None

    def solve(pilot: Pilot) -> Moves:
        for role in roles:
            yield from pilot.click("link", "Roles")
            yield from pilot.click("link", role)
            yield from pilot.check(name, False)
            yield from pilot.click("button", "Save role")
        yield from pilot.done()

    prompt = draw.say(
        f"Take the permission “{name}” from every role but operator and administrator.",
        f"Only operators and administrators may keep the permission “{name}”. Take it from all other roles.",
        indirect=(
            f"It is too risky that so many may use “{name}”. Apart from operators and administrators nobody should.",
        ),
    )
    pairs = [_holds(role, name, there=False) for role in roles]
    return WebTask(prompt, solve, tuple(goal for goal, _ in pairs), (*(rule for _, rule in pairs), LOG),
                   steps=4 * len(roles) + 1)  # fmt: skip


@template("admin/smallest-role", app="admin", level=1)
def _smallest_role(draw: Draw) -> WebTask | None:
    """The role with the fewest permissions that includes the one that is needed."""
    name = draw.rng.choice(data.PERMISSIONS)
    who = person(draw, "s.role != 'administrator' AND s.status = 'active'")
    sizes = {role: len(_held(draw, role)) for role in data.ROLES if name in _held(draw, role)}
    if who is None or len(sizes) < 2 or list(sizes.values()).count(min(sizes.values())) > 1:
        return None
    role = min(sizes, key=lambda each: sizes[each])
    if role == "administrator" or role == who["role"]:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Roles")
        head, *rows = [row for row in table_rows(pilot) if len(row) > 2]
        row = next(row for row in rows if row[0] == name)
        fits = [n for n in range(1, len(head)) if row[n] == "yes"]
        least = min(fits, key=lambda n: sum(each[n] == "yes" for each in rows))
        best = head[least]
        yield from open_person(pilot, who["name"])
        yield from pilot.select("Role", best)
        yield from pilot.click("button", "Save account")
        yield from pilot.done()

    prompt = draw.say(
        f"{who['name']} needs the permission “{name}”. Give {who['name']} the role that includes it and has the fewest "
        "permissions in all.",
        f"Change the role of {who['name']} to the one with the fewest permissions among those that include “{name}”.",
        indirect=(
            f"{who['name']} cannot work without “{name}”, but should be given as little else as our roles allow. See "
            "to it.",
        ),
    )
    goals, rules = change("staff", [who], {"role": role}, "name")
    return WebTask(prompt, solve, goals, rules)


@template("admin/administrators-account", app="admin", level=1, infeasible=True)
def _administrators_account(draw: Draw) -> WebTask | None:
    """An operator may not change the account of an administrator."""
    who = person(draw, "s.role = 'administrator'")
    if who is None:
        return None
    new = f"+47 56 {draw.rng.randint(1000, 9999)}"

    def solve(pilot: Pilot) -> Moves:
        yield from open_person(pilot, who["name"])
        yield from pilot.fill("textbox", "Phone", new)
        yield from pilot.click("button", "Save account")
        assert pilot.shows("Only administrators"), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Change the phone number of {who['name']} to {new}.",
        f"{who['name']} has a new phone number: {new}. Enter it.",
        indirect=(f"The phone number that the console has for {hints.person(draw, who)} is out of date. It is {new}.",),
    )
    return WebTask(prompt, solve, infeasible=True)
