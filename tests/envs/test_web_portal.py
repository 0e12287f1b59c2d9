"""The portal: what is done in one application counts, and damage in any of them voids all."""

import os

import pytest

from thinkact.envs.conformance import play_expert, take
from thinkact.envs.web.portal_env import PortalEnv
from thinkact.envs.web.tasks import build
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
        store = env._sites[app].store
        before = store.snapshot()
        with store.lock:
            store.db.execute("PRAGMA foreign_keys = 0")
            store.db.execute(f"DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})")
            hurt = bool(store.changes())
        damaged = take(env, '{"page": {"n": 1}}')
        store.restore(before)
        mended = take(env, '{"page": {"n": 1}}')
        assert hurt or app == "shop", app  # a wish list may be empty
        assert damaged.facts["score"] == (0.0 if hurt else 1.0), app
        assert mended.facts["score"] == 1.0, app
    assert take(env, actions[-1]).facts["success"]


def test_only_the_companys_own_hosts_exist(env):
    env.reset(options={"task_id": _problem(env, "portal/watch-page").id})
    for host in ("miniwob.test", "bank.test", "portal.test.evil.test"):
        step = take(env, f'{{"goto": {{"url": "http://{host}/"}}}}')
        assert step.facts["results"][0]["error_kind"], host
    assert "Northwind Wiki" in take(env, '{"goto": {"url": "http://wiki.test/"}}').observation
