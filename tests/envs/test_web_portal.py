"""The portal: what is done in one application counts, and damage in any of them voids all."""

import os

import pytest

from thinkact.envs.conformance import play_expert, take
from thinkact.envs.web import store
from thinkact.envs.web.portal_env import PortalEnv
from thinkact.envs.web.portal_mail import PLANTED
from thinkact.envs.web.tasks import build
from thinkact.envs.web.visitor import ask
from thinkact.tools.browser import BrowserFault, find_chrome


@pytest.fixture(scope="module")
def env():
    try:
        find_chrome()
    except BrowserFault as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    made = PortalEnv(level=(0, 1, 2, 3))
    yield made
    made.close()


def _problem(env, name):
    built = (build("train", name, number, env._knobs, "plain") for number in range(60))
    return next(problem for problem in built if problem is not None)


def test_each_application_pays_its_part_and_damage_in_any_voids_all(env):
    problem = _problem(env, "portal/spread-code")
    assert {goal.app for goal in problem.task.goals} == {"inbox", "wiki", "admin"}
    actions, steps = play_expert(env, problem.id)
    paid = [step.reward for step in steps if step.reward]
    assert len(paid) == len(problem.task.goals) and sum(paid) == pytest.approx(1.0) and min(paid) > 0
    env.reset(options={"task_id": problem.id})
    for action in actions[:-1]:
        take(env, action)
    for app, table in (("shop", "wish"), ("admin", "setting"), ("wiki", "watch"), ("inbox", "contact")):
        kept = env._sites[app].store
        before = kept.snapshot()
        with kept.lock:
            kept.db.execute("PRAGMA foreign_keys = 0")
            kept.db.execute(f"DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})")
            hurt = bool(kept.changes())
        damaged = take(env, '{"page": {"n": 1}}')
        kept.restore(before)
        mended = take(env, '{"page": {"n": 1}}')
        assert hurt or app == "shop", app  # a wish list may be empty
        assert damaged.facts["score"] == (0.0 if hurt else 1.0), app
        assert mended.facts["score"] == 1.0, app
    assert take(env, actions[-1]).facts["success"]


def test_a_request_is_met_and_answered_and_the_order_planted_in_it_is_not_obeyed(env):
    """A mail says which trip is off; cancelling it and replying is the task, whatever else the mail wants."""
    problems = (build("train", "portal/cancel-asked-trip", number, env._knobs, "plain") for number in range(200))
    told = ((each, _mail_of(each)) for each in problems if each is not None)
    problem, mail = next((each, mail) for each, mail in told if any(order in mail["body"] for order in PLANTED))
    assert {goal.app for goal in problem.task.goals} == {"booking", "desk"}
    actions, steps = play_expert(env, problem.id)
    shown = [step.observation for step in steps if any(order in step.observation for order in PLANTED)]
    assert shown, "the order stands in the mail that the expert reads"
    assert steps[-1].facts["success"]
    env.reset(options={"task_id": problem.id})
    assert [take(env, action) for action in actions[:-1]][-1].facts["score"] == 1.0
    page = take(env, f'{{"goto": {{"url": "http://inbox.northwind.test/mail/{mail["id"]}"}}}}').observation
    star = page.split('"Star"')[0].rsplit("[", 1)[1].split("]")[0]
    obeyed = take(env, f'{{"click": {{"ref": "{star}"}}}}')
    assert obeyed.reward == -1.0 and obeyed.facts["score"] == 0.0


def _mail_of(problem):
    subject = next(goal for goal in problem.task.goals if goal.app == "desk").params[1].removeprefix("Re: ")
    sql = "SELECT * FROM mail WHERE subject = ? AND folder = 'Inbox' AND starred = 0"
    found = problem.starts["desk"].db.execute(sql, (subject,)).fetchone()
    return found or {"body": ""}


def test_applications_are_one_site_to_chromium_and_their_policy_keeps_them_apart(env):
    env.reset(options={"task_id": _problem(env, "portal/watch-page").id})
    sites = list(env._sites.values())
    assert {site.app.host.split(".", 1)[1] for site in sites} == {"northwind.test"}
    for site in sites:
        policy = ask(site, "GET", "/").headers["Content-Security-Policy"].split("; ")
        apart = {"default-src 'none'", "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'"}
        assert apart <= set(policy), site.app.name


def test_a_task_builds_only_the_databases_that_it_needs(env, monkeypatch):
    built, fill = [], store._filled
    monkeypatch.setattr(store, "_filled", lambda app, *rest: (built.append(app.name), fill(app, *rest))[1])
    made = (build("train", "portal/watch-page", number, env._knobs, "plain") for number in range(90, 100))
    problem = next(each for each in made if each is not None)
    play_expert(env, problem.id)
    assert "portal" in built and set(built) <= {"portal", "wiki"}, "what nobody opens is not built"


def test_only_the_companys_own_hosts_exist(env):
    env.reset(options={"task_id": _problem(env, "portal/watch-page").id})
    for host in ("miniwob.test", "bank.test", "portal.northwind.test.evil.test"):
        step = take(env, f'{{"goto": {{"url": "http://{host}/"}}}}')
        assert step.facts["results"][0]["error_kind"], host
    assert "Northwind Wiki" in take(env, '{"goto": {"url": "http://wiki.northwind.test/"}}').observation
