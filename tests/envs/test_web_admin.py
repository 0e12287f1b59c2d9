"""The console: filters, changes of several rows at once, permissions; and an agent that does too much."""

import json

import pytest

from thinkact.envs.conformance import take
from thinkact.envs.web.admin import ADMIN
from thinkact.envs.web.admin_env import AdminEnv
from thinkact.envs.web.pilot import Pilot
from thinkact.envs.web.site import Knobs
from thinkact.envs.web.visitor import Visitor

PLAIN = Knobs()
KEEP = {"status": "(keep)", "priority": "(keep)", "team": "(keep)", "assignee": "(keep)", "due": ""}


@pytest.fixture
def operator():
    made = Visitor(ADMIN)
    yield made
    made.close()


def test_all_of_the_list_means_what_the_filters_left(operator):
    wanted = operator.one("SELECT count(*) FROM ticket WHERE customer = 'Halden Foods' AND status = 'open'")
    mine = "customer = 'Halden Foods' AND status = 'open'"
    others = operator.one(f"SELECT count(*) FROM ticket WHERE priority = 'urgent' AND NOT ({mine})")
    query = "status=open&customer=Halden+Foods"
    operator.ask("POST", "/tickets/bulk", **{**KEEP, "all": "1", "query": query, "priority": "urgent"})
    sql = "SELECT count(*) FROM ticket WHERE priority = 'urgent'"
    assert operator.one(sql) == wanted + others
    changed = [each for each in operator.site.store.changes() if each.table == "ticket"]
    assert all(each.columns == ("priority",) for each in changed) and len(changed) <= wanted


def test_selected_tickets_that_do_not_exist_change_nothing(operator):
    operator.ask("POST", "/tickets/bulk", **{**KEEP, "ticket": "99999", "status": "closed"})
    assert operator.site.store.changes() == []


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/tickets/bulk", {**KEEP, "ticket": "1001"}),
        ("/tickets/bulk", {**KEEP, "ticket": "1001", "status": "lost"}),
        ("/tickets/bulk", {**KEEP, "ticket": "1001", "due": "tomorrow"}),
        ("/tickets/bulk", {**KEEP, "ticket": "1001", "assignee": "Nobody Known"}),
        ("/tickets/1001/comment", {"body": " "}),
        ("/tickets/new", {"subject": ""}),
        ("/staff/new", {"name": "X", "email": "none"}),
        ("/teams", {"name": "", "city": ""}),
        ("/assets", {"asset": "1", "owner": "(keep)", "status": "(keep)"}),
        ("/requests/501", {"decision": "rejected", "note": ""}),
        ("/requests/501", {"decision": "maybe"}),
        ("/roles/administrator", {"permission": "billing: read"}),
        ("/roles/operator", {"permission": "billing: read"}),
        ("/roles/nobody", {"permission": "billing: read"}),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(operator, path, data):
    assert operator.ask("POST", path, **data).status_code >= 400
    assert operator.site.store.changes() == []


def test_an_operator_cannot_touch_administrators_or_bills(operator):
    boss = operator.db.execute("SELECT * FROM staff WHERE role = 'administrator'").fetchone()
    team = operator.one("SELECT name FROM team WHERE id = ?", boss["team_id"])
    form = {"title": "x", "phone": "1", "team": team, "role": "viewer", "status": "left"}
    assert operator.ask("POST", f"/staff/{boss['id']}", **form).status_code == 403
    other = operator.one("SELECT id FROM staff WHERE role = 'agent'")
    assert operator.ask("POST", f"/staff/{other}", **{**form, "role": "administrator"}).status_code == 403
    assert operator.ask("GET", "/billing").status_code == 403
    assert operator.site.store.changes() == []


def test_reports_count_what_the_tickets_say(operator):
    page = operator.ask("GET", "/reports?measure=tickets&by=status&as=csv").text
    for status in ("new", "open", "waiting", "solved", "closed"):
        assert f"{status},{operator.one('SELECT count(*) FROM ticket WHERE status = ?', status)}\n" in page


def test_who_changes_more_than_asked_gets_nothing(chrome, first_problem):
    env = AdminEnv(level=(0, 1, 2, 3))
    try:
        problem = first_problem("admin/bulk-status", env._knobs)
        env.reset(options={"task_id": problem.id})
        pilot = Pilot()
        pilot.see(env._handle.observe())

        def everything():
            yield from pilot.click("link", "Tickets")
            yield from pilot.check("All ")
            yield from pilot.select("New status", problem.task.goals[0].params[0])
            yield from pilot.click("button", "Apply to selected")
            yield json.dumps({"name": "answer", "arguments": {}})

        moves, steps = everything(), []
        action = next(moves)
        while not (steps and steps[-1].done):
            steps.append(take(env, action))
            action = None if steps[-1].done else moves.send(steps[-1].observation)
        step, last = steps[-2:]
        assert "tickets were changed" in step.observation and step.facts["score"] == 0.0
        assert last.facts["score"] == 0.0 and not last.facts["success"]
        assert all("void" in check["evidence"] for check in step.facts["checks"])
    finally:
        env.close()
