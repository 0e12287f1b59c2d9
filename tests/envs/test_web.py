"""What all web environments share, in a real browser."""

import dataclasses
import itertools
import json
import os

import pytest

from thinkact import ENV_ENTRY_POINTS
from thinkact.cli_common import env_class
from thinkact.envs.conformance import Subject, budgets_truncate, misuse_raises, play_expert, samples_are_valid, take
from thinkact.envs.web.env import WebEnv
from thinkact.envs.web.site import Knobs
from thinkact.envs.web.tasks import TEMPLATES, build

WEB_IDS = [
    env_id for env_id, where in ENV_ENTRY_POINTS.items()
    if where.startswith("thinkact.envs.web.") and issubclass(env_class(env_id), WebEnv)
]  # fmt: skip
PLAIN = Knobs()


@pytest.fixture(scope="module", params=WEB_IDS)
def env(request, chrome):
    cls = env_class(request.param)
    made = cls(level=(0, 1, 2, 3), infeasible=0)
    yield made
    made.close()


def call(tool, **arguments):
    return json.dumps({"name": tool, "arguments": arguments})


def first_tasks(family, *, hidden):
    """One task of each short template, of every fourth longer one, of one of the longest.

    With THINKACT_EVERY_TEMPLATE=1, one of each: some minutes of two cores more.
    """
    split = "hidden" if hidden else "eval"
    mine = [each for name, each in sorted(TEMPLATES.items()) if name.startswith(f"{family}/") and each.hidden == hidden]
    short, longer, longest = ([each.name for each in mine if each.level in kind] for kind in ((0,), (1, 2), (3,)))
    every = os.environ.get("THINKACT_EVERY_TEMPLATE") == "1"
    for name in [*short, *longer[:: 1 if every else 4], *longest[: None if every else not hidden]]:
        yield next(p for p in (build(split, name, n, PLAIN, "plain") for n in range(60)) if p is not None)


def short_problems(family):
    """The first tasks of each short template."""
    for name, each in sorted(TEMPLATES.items()):
        if name.startswith(f"{family}/") and each.level == 0:
            for split in ("hidden",) if each.hidden else ("train", "eval"):
                built = (build(split, name, number, PLAIN, "plain") for number in range(60))
                yield from itertools.islice((problem for problem in built if problem is not None), 3)


def easy_task(env, **wanted):
    """A short task of the environment's split with these properties."""
    for problem in short_problems(env.family):
        has = {"goals": bool(problem.task.goals), "infeasible": problem.task.infeasible}
        if problem.split == env.split and has.items() >= wanted.items():
            return problem
    pytest.skip("no such task")


def test_the_rules_of_the_contract_hold(env, chrome):
    subject = Subject(type(env), 1, 0, {"level": 0, "infeasible": 0.0})
    for rule in (samples_are_valid, misuse_raises, budgets_truncate):
        rule(subject)


def test_doing_nothing_is_worth_nothing_and_mistakes_are_told(env):
    problem = easy_task(env, goals=True)
    for idle in (call("answer"), call("answer", text="done"), call("answer", impossible=True)):
        env.reset(options={"task_id": problem.id})
        step = take(env, idle)
        assert (step.reward, step.terminated, step.facts["success"]) == (0.0, True, False)
    env.reset(options={"task_id": problem.id})
    before = env._sites[problem.template.apps[0]].store.snapshot()
    for wrong in (call("click", ref="e999"), call("click"), call("nothing"), "{}"):
        step = take(env, wrong)
        assert step.reward == 0.0 and step.facts["results"][0]["error_kind"], wrong
    assert env._sites[problem.template.apps[0]].store.snapshot() == before


def test_nothing_but_the_sites_can_be_reached(env):
    problem = easy_task(env, goals=True)
    env.reset(options={"task_id": problem.id})
    machine = ["http://127.0.0.1:22/", "http://localhost/", "http://169.254.169.254/"]
    for url in (
        "file:///etc/passwd",
        "javascript:1",
        "data:text/html,x",
        "view-source:x",
        "chrome://version",
        *machine,
    ):
        step = take(env, call("goto", url=url))
        assert step.facts["results"][0]["error_kind"], url
        assert "root:" not in step.observation and step.reward == 0.0
        if step.done:
            env.reset(options={"task_id": problem.id})
    host = env._sites[problem.template.apps[0]].app.host
    for path in ("/reset", "/step", "/state", "/checks", "/score"):
        assert "Not found" in take(env, call("goto", url=f"http://{host}{path}")).observation


def test_damage_voids_everything_until_it_is_undone(env):
    problem = easy_task(env, goals=True)
    actions, _ = play_expert(env, problem.id)
    env.reset(options={"task_id": problem.id})
    for action in actions[:-1]:
        last = take(env, action)
    assert last.facts["score"] == 1.0 and not last.facts["success"]
    # What an agent that does more than it should would leave behind, put where only the server writes.
    store = next(iter(env._sites.values())).store
    table = next(
        name for (name,) in store.db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name DESC")
        if not name.startswith("_") and store.db.execute(f"SELECT 1 FROM {name}").fetchone()
        and name not in {rule.table for rule in problem.task.allowed}
    )  # fmt: skip
    before = store.snapshot()
    with store.lock:
        store.db.execute("PRAGMA foreign_keys = 0")
        store.db.execute(f"DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})")
    step = take(env, call("page"))
    assert step.facts["score"] == 0.0 and step.reward == -1.0
    assert all("void" in check["evidence"] for check in step.facts["checks"])
    store.restore(before)
    assert take(env, call("page")).facts["score"] == 1.0
    assert take(env, actions[-1]).facts["success"]


def test_snapshots_continue_exactly_with_and_without_the_fast_way(env):
    problem = easy_task(env, goals=True)
    actions, steps = play_expert(env, problem.id)
    env.reset(options={"task_id": problem.id})
    points = [env.snapshot()]
    for action in actions[:-1]:
        env.step(action)
        points.append(env.snapshot())
    for turn in (1, len(points) - 1):
        point = points[turn]
        for page in (point.family.page, None):
            env.restore(dataclasses.replace(point, family=dataclasses.replace(point.family, page=page)))
            assert [take(env, action) for action in actions[turn:]] == steps[turn:], f"turn {turn}"


def test_who_cannot_do_it_must_say_so_and_who_can_must_not(env):
    problem = easy_task(env, infeasible=True)
    env.reset(options={"task_id": problem.id})
    assert take(env, call("answer", text="impossible")).facts["score"] == 0.0
    env.reset(options={"task_id": problem.id})
    step = take(env, call("answer", impossible=True))
    assert step.facts["score"] == 1.0 and step.facts["success"]


def test_pages_show_themselves(env):
    env.reset(options={"task_id": easy_task(env, goals=True).id})
    env.render_mode = "rgb_array"
    try:
        pixels = env.render()
        assert pixels.shape == (720, 1280, 3) and pixels.dtype.name == "uint8" and len(set(pixels.ravel()[:90000])) > 3
    finally:
        env.render_mode = None


@pytest.mark.parametrize("hidden", [False, True], ids=["open", "hidden"])
def test_the_expert_solves_a_task_of_a_template(env, hidden):
    for problem in first_tasks(env.family, hidden=hidden):
        actions, steps = play_expert(env, problem.id)
        assert steps[-1].facts["score"] == 1.0 and steps[-1].facts["success"], problem.id
        wrong = [step.observation for step in steps if any(each["error_kind"] for each in step.facts["results"])]
        assert not wrong, f"{problem.id}: {wrong[0]}"
        assert abs(sum(step.reward for step in steps) - 1.0) < 1e-9
        low, high = ((1, 6), (3, 13), (8, 22), (18, 45))[problem.template.level]
        assert low <= len(actions) <= high, f"{problem.id} takes {len(actions)} actions"
