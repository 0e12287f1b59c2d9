"""The console's pages about people: staff, teams and roles."""

from __future__ import annotations

from thinkact.envs.web import admin_data as data
from thinkact.envs.web.admin import NOBODY, Filter, id_of, log, one_of
from thinkact.envs.web.site import Page, Reply, Web

_STAFF = "SELECT s.*, g.name AS team FROM staff s JOIN team g ON g.id = s.team_id"


def staff(web: Web) -> Reply:
    """Show the people that the filters leave."""
    chosen = Filter(web)
    chosen.holds("q", "s.name || ' ' || s.email || ' ' || s.title")
    for name, sql in (("team", "g.name"), ("role", "s.role"), ("status", "s.status")):
        chosen.equal(name, sql)
    order = {"name": "s.name", "joined": "s.joined", "team": "g.name"}
    return web.render("staff.html", found=web.paged(chosen.rows(_STAFF, order, "name"), 15))


def person(web: Web, number: int) -> Reply:
    """Show one person, what is assigned to them, and the form that changes the account."""
    row = web.need(f"{_STAFF} WHERE s.id = ?", number)
    live = web.value(
        "SELECT count(*) FROM ticket WHERE assignee_id = ? AND status IN ('new', 'open', 'waiting')", number
    )
    assets = web.rows("SELECT * FROM asset WHERE owner_id = ? ORDER BY serial", number)
    return web.render("person.html", row=row, live=live, assets=assets)


def save_person(web: Web, number: int) -> Reply:
    """Change an account; those of administrators are not an operator's to change."""
    old = web.need("SELECT * FROM staff WHERE id = ?", number)
    role = one_of(web.text("role"), data.ROLES, "Role")
    if "administrator" in (old["role"], role):
        return web.refuse(403, "Only administrators may change the account of an administrator or make one.")
    changes = {
        "title": web.text("title", most=60),
        "phone": web.text("phone", most=30),
        "team_id": id_of(web, "team", web.text("team")),
        "role": role,
        "status": one_of(web.text("status"), data.STAFF_STATUSES, "Status"),
    }
    if all(old[name] == value for name, value in changes.items()):
        return web.redirect(f"/staff/{number}", "Nothing was changed.")
    names = ", ".join(f"{name} = ?" for name in changes)
    web.write(f"UPDATE staff SET {names} WHERE id = ?", *changes.values(), number)
    log(web, "account changed", old["name"])
    return web.redirect(f"/staff/{number}", f"The account of {old['name']} was saved.")


def new_person(web: Web) -> Reply:
    """Show the form for a new account."""
    return web.render("person_new.html")


def made_person(web: Web) -> Reply:
    """Store a new account."""
    name, email = web.text("name", most=60), web.text("email", most=80).lower()
    if not name or "@" not in email:
        return web.refuse(400, "An account needs a name and a mail address.")
    if name == NOBODY or web.row("SELECT 1 FROM staff WHERE name = ? OR email = ?", name, email):
        return web.refuse(409, "There is an account of that name or address already.")
    role = one_of(web.text("role"), data.ROLES, "Role")
    if role == "administrator":
        return web.refuse(403, "Only administrators may make an administrator.")
    team = id_of(web, "team", web.text("team"))
    if team is None:
        return web.refuse(400, "An account needs a team.")
    made = web.write(
        "INSERT INTO staff (name, email, title, team_id, role, status, phone, joined) VALUES (?, ?, ?, ?, ?, "
        "'active', ?, ?)",
        name, email, web.text("title", most=60), team, role, web.text("phone", most=30), web.now.date().isoformat(),
    )  # fmt: skip
    log(web, "account made", name)
    return web.redirect(f"/staff/{made}", f"The account of {name} was made.")


def teams(web: Web) -> Reply:
    """Show the teams."""
    rows = web.rows(
        "SELECT g.*, coalesce(s.name, 'nobody') AS lead, (SELECT count(*) FROM staff WHERE team_id = g.id AND "
        "status != 'left') AS size FROM team g LEFT JOIN staff s ON s.id = g.lead_id ORDER BY g.name"
    )
    return web.render("teams.html", rows=rows)


def team(web: Web, number: int) -> Reply:
    """Show one team with its members, and the form that changes it."""
    row = web.need("SELECT g.*, coalesce(s.name, 'nobody') AS lead FROM team g LEFT JOIN staff s ON s.id = g.lead_id "
                   "WHERE g.id = ?", number)  # fmt: skip
    members = web.rows("SELECT * FROM staff WHERE team_id = ? ORDER BY name", number)
    return web.render("team.html", row=row, members=members)


def save_team(web: Web, number: int) -> Reply:
    """Change a team's lead or city."""
    old = web.need("SELECT * FROM team WHERE id = ?", number)
    lead, city = id_of(web, "staff", web.text("lead")), web.text("city", most=40)
    if not city:
        return web.refuse(400, "A team needs a city.")
    if (old["lead_id"], old["city"]) == (lead, city):
        return web.redirect(f"/teams/{number}", "Nothing was changed.")
    web.write("UPDATE team SET lead_id = ?, city = ? WHERE id = ?", lead, city, number)
    log(web, "team changed", old["name"])
    return web.redirect(f"/teams/{number}", f"The team {old['name']} was saved.")


def made_team(web: Web) -> Reply:
    """Store a new team."""
    name, city = web.text("name", most=40), web.text("city", most=40)
    if not name or not city or web.row("SELECT 1 FROM team WHERE name = ?", name):
        return web.refuse(400, "A team needs a city and a name that no other team has.")
    made = web.write(
        "INSERT INTO team (name, lead_id, city) VALUES (?, ?, ?)", name, id_of(web, "staff", web.text("lead")), city
    )
    log(web, "team made", name)
    return web.redirect(f"/teams/{made}", f"The team {name} was made.")


def roles(web: Web) -> Reply:
    """Show what each role may do."""
    held = {(row["role"], row["name"]) for row in web.rows("SELECT role, name FROM permission")}
    return web.render("roles.html", held=held)


def role(web: Web, name: str) -> Reply:
    """Show the permissions of one role as check boxes."""
    held = {
        row["name"] for row in web.rows("SELECT name FROM permission WHERE role = ?", one_of(name, data.ROLES, "Role"))
    }
    return web.render("role.html", name=name, held=held)


def save_role(web: Web, name: str) -> Reply:
    """Change the permissions of a role."""
    if one_of(name, data.ROLES, "Role") in ("administrator", data.MY_ROLE):
        return web.refuse(403, "Only administrators may change this role.")
    wanted = {each for each in web.texts("permission") if each in data.PERMISSIONS}
    held = {row["name"] for row in web.rows("SELECT name FROM permission WHERE role = ?", name)}
    for each in sorted(held - wanted):
        web.write("DELETE FROM permission WHERE role = ? AND name = ?", name, each)
    for each in sorted(wanted - held):
        web.write("INSERT INTO permission (role, name) VALUES (?, ?)", name, each)
    if held != wanted:
        log(web, "role changed", name)
    return web.redirect(f"/roles/{name.replace(' ', '%20')}", f"The role {name} was saved.")


PAGES = (
    Page("GET", "/staff", staff),
    Page("GET", "/staff/new", new_person),
    Page("POST", "/staff/new", made_person),
    Page("GET", "/staff/{number:int}", person),
    Page("POST", "/staff/{number:int}", save_person),
    Page("GET", "/teams", teams),
    Page("POST", "/teams", made_team),
    Page("GET", "/teams/{number:int}", team),
    Page("POST", "/teams/{number:int}", save_team),
    Page("GET", "/roles", roles),
    Page("GET", "/roles/{name}", role),
    Page("POST", "/roles/{name}", save_role),
)
