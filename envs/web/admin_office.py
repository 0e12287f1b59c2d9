"""The console's pages about things: assets, requests, settings, reports and the log."""

from __future__ import annotations

from typing import Any

from thinkact.envs.web import admin_data as data
from thinkact.envs.web.admin import KEEP, Filter, id_of, log, one_of
from thinkact.envs.web.site import Page, Reply, Web

_ASSETS = "SELECT a.*, coalesce(s.name, 'nobody') AS owner FROM asset a LEFT JOIN staff s ON s.id = a.owner_id"
_REQUESTS = "SELECT r.*, s.name AS person, g.name AS team FROM request r JOIN staff s ON s.id = r.staff_id " \
            "JOIN team g ON g.id = s.team_id"  # fmt: skip


def assets(web: Web) -> Reply:
    """Show the assets that the filters leave, with a form that changes several at once."""
    chosen = Filter(web)
    chosen.holds("q", "a.serial || ' ' || a.model")
    for name, sql in (("kind", "a.kind"), ("status", "a.status"), ("owner", "coalesce(s.name, 'nobody')")):
        chosen.equal(name, sql)
    order = {"serial": "a.serial", "bought": "a.bought", "price": "a.price", "owner": "owner"}
    owners = [
        row["name"] for row in web.rows("SELECT name FROM staff WHERE id IN (SELECT owner_id FROM asset) ORDER BY name")
    ]
    return web.render("assets.html", found=web.paged(chosen.rows(_ASSETS, order, "serial"), 15), owners=owners)


def change_assets(web: Web) -> Reply:
    """Change the selected assets: who has them, and in what state they are."""
    changes: dict[str, Any] = {}
    if (owner := web.text("owner")) != KEEP:
        changes["owner_id"] = id_of(web, "staff", owner)
    if (status := web.text("status")) != KEEP:
        changes["status"] = one_of(status, data.ASSET_STATUSES, "New status")
    known = {row["id"]: row["serial"] for row in web.rows("SELECT id, serial FROM asset")}
    chosen = [number for number in web.numbers("asset") if number in known]
    if not chosen or not changes:
        return web.refuse(400, "Select assets and say what is to change.")
    names = ", ".join(f"{name} = ?" for name in changes)
    for number in chosen:
        web.write(f"UPDATE asset SET {names} WHERE id = ?", *changes.values(), number)
        log(web, "asset changed", known[number])
    return web.redirect("/assets", f"{len(chosen)} {'asset was' if len(chosen) == 1 else 'assets were'} changed.")


def requests(web: Web) -> Reply:
    """Show the requests that the filters leave."""
    chosen = Filter(web)
    for name, sql in (("status", "r.status"), ("kind", "r.kind"), ("team", "g.name")):
        chosen.equal(name, sql)
    order = {"number": "r.id", "amount": "r.amount", "person": "s.name"}
    return web.render("requests.html", found=web.paged(chosen.rows(_REQUESTS, order, "number"), 15))


def request(web: Web, number: int) -> Reply:
    """Show a request and the form that decides it."""
    row = web.need(f"{_REQUESTS} WHERE r.id = ?", number)
    return web.render("request.html", row=row)


def decide(web: Web, number: int) -> Reply:
    """Approve or reject a request; a rejection needs a reason."""
    web.need("SELECT 1 FROM request WHERE id = ?", number)
    verdict, note = one_of(web.text("decision"), ("approved", "rejected"), "Decision"), web.text("note", most=200)
    if verdict == "rejected" and not note:
        return web.refuse(400, "Say why the request is rejected.")
    web.write("UPDATE request SET status = ?, note = ? WHERE id = ?", verdict, note, number)
    log(web, f"request {verdict}", f"request {number}")
    return web.redirect("/requests", f"Request {number} was {verdict}.")


def settings(web: Web) -> Reply:
    """Show the settings as a form."""
    return web.render("settings.html", rows=web.rows("SELECT * FROM setting ORDER BY id"))


def save_settings(web: Web) -> Reply:
    """Change the settings that differ."""
    changed = []
    for row in web.rows("SELECT * FROM setting ORDER BY id"):
        value = web.text(f"setting{row['id']}", most=80)
        if value and value != row["value"]:
            web.write("UPDATE setting SET value = ? WHERE id = ?", value, row["id"])
            log(web, "setting changed", row["name"])
            changed.append(row["name"])
    return web.redirect("/settings", f"Saved: {', '.join(changed)}." if changed else "Nothing was changed.")


#: What a report can count tickets by, and what it can show of them.
GROUPS = {"team": "g.name", "assignee": "coalesce(s.name, 'nobody')", "customer": "t.customer",
          "priority": "t.priority", "status": "t.status"}  # fmt: skip
_LIVE = "t.status IN ('new', 'open', 'waiting')"
MEASURES = {
    "tickets": "count(*)",
    "live tickets": f"coalesce(sum({_LIVE}), 0)",
    "overdue tickets": f"coalesce(sum({_LIVE} AND t.due < :today), 0)",
    "urgent live tickets": f"coalesce(sum({_LIVE} AND t.priority = 'urgent'), 0)",
    "average days to due date": "round(avg(julianday(t.due) - julianday(t.created)), 1)",
}


def reports(web: Web) -> Reply:
    """Count tickets by something; also as comma-separated text."""
    by, measure = web.query.get("by", ""), web.query.get("measure", "")
    rows: list[Any] = []
    if by in GROUPS and measure in MEASURES:
        rows = web.db.execute(
            f"SELECT {GROUPS[by]} AS name, {MEASURES[measure]} AS value FROM ticket t JOIN team g ON g.id = t.team_id "
            "LEFT JOIN staff s ON s.id = t.assignee_id GROUP BY 1 ORDER BY 1",
            {"today": web.now.date().isoformat()},
        ).fetchall()
    return web.render("reports.html", rows=rows, by=by, measure=measure, groups=list(GROUPS), measures=list(MEASURES),
                      csv=web.query.get("as") == "csv")  # fmt: skip


def activity(web: Web) -> Reply:
    """Show the log, the latest entry first."""
    chosen = Filter(web)
    chosen.equal("actor", "actor")
    chosen.holds("q", "action || ' ' || subject")
    actors = [row["actor"] for row in web.rows("SELECT DISTINCT actor FROM activity ORDER BY actor")]
    found = chosen.rows("SELECT * FROM activity", {"number": "id"}, "-number")
    return web.render("activity.html", found=web.paged(found, 20), actors=actors)


def billing(web: Web) -> Reply:
    """Say that an operator may not look at bills."""
    return web.refuse(403, "Your role (operator) lacks the permission billing: read. Only auditors and "
                           "administrators may "
                      "see bills.")  # fmt: skip


PAGES = (
    Page("GET", "/assets", assets),
    Page("POST", "/assets", change_assets),
    Page("GET", "/requests", requests),
    Page("GET", "/requests/{number:int}", request),
    Page("POST", "/requests/{number:int}", decide),
    Page("GET", "/settings", settings),
    Page("POST", "/settings", save_settings),
    Page("GET", "/reports", reports),
    Page("GET", "/activity", activity),
    Page("GET", "/billing", billing),
)
