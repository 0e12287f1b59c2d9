"""What all web environments share: databases with an audit, pages, tasks, and one environment over a real browser."""

import asyncio
import dataclasses
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from thinkact import ENV_ENTRY_POINTS
from thinkact.cli_common import env_class
from thinkact.envs.conformance import Subject, budgets_truncate, misuse_raises, play_expert, samples_are_valid, take
from thinkact.envs.types import SPLITS
from thinkact.envs.web import look
from thinkact.envs.web.env import WebEnv
from thinkact.envs.web.pilot import NotOnPage, Pilot
from thinkact.envs.web.site import App, Knobs, Page, Site, clock, day, money
from thinkact.envs.web.store import Allowed, Goal, Store, start_of
from thinkact.envs.web.tasks import APPS, TEMPLATES, build, template

WEB_IDS = [
    env_id for env_id, where in ENV_ENTRY_POINTS.items()
    if where.startswith("thinkact.envs.web.") and issubclass(env_class(env_id), WebEnv)
]  # fmt: skip
PLAIN = Knobs()


class Notes(App):
    """An application as small as one can be."""

    name, host, title = "notes", "notes.test", "Notes"
    schema = """
    CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE tag (id INTEGER PRIMARY KEY, note_id INTEGER NOT NULL REFERENCES note ON DELETE CASCADE, word TEXT);
    """

    def fill(self, db, rng, knobs):
        for number in range(3):
            note = db.execute("INSERT INTO note (text) VALUES (?)", (f"note {rng.random()}",)).lastrowid
            db.execute("INSERT INTO tag (note_id, word) VALUES (?, ?)", (note, f"t{number}"))

    def pages(self):
        return [
            Page("GET", "/", lambda web: web.render("error.html", status=200, message=web.query.get("q", ""))),
            Page("GET", "/sneaky", lambda web: self._write(web)),
            Page("POST", "/half", lambda web: self._half(web)),
            Page("POST", "/echo", lambda web: web.refuse(200, repr((web.text("a"), web.texts("b"), web.number("n"))))),
            Page("GET", "/count/{id:int}", lambda web, id: web.redirect("/", f"counted {id}")),
        ]

    def _write(self, web):
        web.write("DELETE FROM note")
        return web.redirect("/")

    def _half(self, web):
        web.write("DELETE FROM note")
        web.need("SELECT * FROM note")


NOTES = Notes()


@pytest.fixture
def store():
    made = Store(start_of(NOTES, "0", PLAIN))
    yield made
    made.close()


def ask(site, method, path, **kwargs):
    async def go():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=site), base_url=f"http://{NOTES.host}"
        ) as client:
            return await client.request(method, path, **kwargs)

    return asyncio.run(go())


@pytest.fixture
def site():
    made = Site(NOTES, start_of(NOTES, "0", PLAIN), PLAIN)
    yield made
    made.store.close()


# Databases.


def test_what_is_undone_is_no_change(store):
    db = store.db
    assert store.changes() == []
    db.execute("UPDATE note SET done = 1 WHERE id = 2")
    assert [str(each) for each in store.changes()] == ["update note 2 (done)"]
    db.execute("UPDATE note SET done = 0 WHERE id = 2")
    db.execute("INSERT INTO note (text) VALUES ('new')")
    db.execute("DELETE FROM note WHERE text = 'new'")
    assert store.changes() == [] and store.writes() > 0


def test_a_row_that_comes_back_under_another_id_is_no_change(store):
    row = store.db.execute("SELECT note_id, word FROM tag WHERE id = 1").fetchone()
    store.db.execute("DELETE FROM tag WHERE id = 1")
    assert [each.op for each in store.changes()] == ["delete"]
    store.db.execute("INSERT INTO tag (note_id, word) VALUES (?, ?)", tuple(row))
    assert store.changes() == []


def test_replacing_and_cascading_do_not_go_behind_the_audit(store):
    store.db.execute("INSERT OR REPLACE INTO note (id, text) VALUES (1, 'other')")
    found = {(each.table, each.id, each.op) for each in store.changes()}
    assert ("note", 1, "update") in found and ("tag", 1, "delete") in found


def test_a_moved_id_is_seen_on_both_sides(store):
    store.db.execute("PRAGMA foreign_keys = 0")
    store.db.execute("UPDATE note SET id = 9 WHERE id = 3")
    assert store.changes() == []  # the same row under another number
    store.db.execute("UPDATE note SET text = 'x' WHERE id = 9")
    assert {(each.id, each.op) for each in store.changes()} == {(3, "delete"), (9, "insert")}


@pytest.mark.parametrize("sql", ["UPDATE _audit SET op = 'x'", "DELETE FROM _audit", "UPDATE _audit SET seq = seq + 9"])
def test_the_audit_can_only_grow(store, sql):
    store.db.execute("UPDATE note SET done = 1")
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        store.db.execute(sql)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Allowed("note"), 1),
        (Allowed("note", "id = 2"), 2),
        (Allowed("note", columns=("done",)), 2),
        (Allowed("note", columns=("done",), ops=("update",)), 2),
        (Allowed("note", ops=("insert",)), 3),
        (Allowed("tag"), 2),
        (Allowed("tag", "word = ?", params=("t0",)), 2),
        (Allowed("tag", "word = 't1'"), 3),
        (Allowed("note", "done = 1"), 2),
    ],
)
def test_only_what_a_rule_names_is_allowed(store, rule, left):
    store.db.execute("UPDATE note SET done = 1 WHERE id = 1")
    store.db.execute("UPDATE note SET text = 'x' WHERE id = 2")
    store.db.execute("DELETE FROM tag WHERE id = 1")
    assert len(store.collateral(store.changes(), [rule])) == left
    assert len(store.collateral(store.changes(), [])) == 3


def test_snapshots_of_a_database_are_exact(store):
    before = store.snapshot()
    store.db.execute("DELETE FROM note")
    store.save_session({"a": 1})
    after = store.snapshot()
    store.restore(before)
    assert store.changes() == [] and store.session() == {} and store.snapshot() == before
    store.restore(after)
    assert store.session() == {"a": 1} and store.holds(Goal("", "SELECT count(*) = 0 FROM note"))


def test_a_schema_without_ids_is_refused():
    class Odd(Notes):
        schema = "CREATE TABLE note (text TEXT); CREATE TABLE tag (id INTEGER PRIMARY KEY, note_id, word)"

    with pytest.raises(ValueError, match="id INTEGER PRIMARY KEY"):
        start_of(Odd(), "0", PLAIN)


# Pages.


def test_asking_cannot_write(site):
    assert ask(site, "GET", "/sneaky").status_code == 500
    assert isinstance(site.fault, sqlite3.OperationalError)
    assert site.store.changes() == [] and site.store.writes() == 0


def test_a_page_that_refuses_has_changed_nothing(site):
    assert ask(site, "POST", "/half").status_code == 404
    assert site.fault is None and site.store.changes() == []


def test_words_of_visitors_are_inert(site):
    reply = ask(site, "GET", "/", params={"q": "<script>alert(1)</script>"})
    assert "<script>alert" not in reply.text and "&lt;script&gt;alert" in reply.text
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe-eval" not in policy


def test_forms_are_read_whatever_they_hold(site):
    posted = ask(site, "POST", "/echo?a=query", content=b"a=%00x&a=2&b=1&b=%ff&n=99999999999999&%zz")
    assert posted.status_code == 200
    assert ask(site, "POST", "/echo", content=b"x" * 100_000).status_code == 413
    assert ask(site, "POST", "/echo", content=b"&".join([b"a=1"] * 2000)).status_code == 200
    for path in ("/count/" + "9" * 40, "/count/-1", "/count/x", "/%ff", "/..%2f..%2fetc", "/reset", "/step", "/state"):
        assert ask(site, "GET", path).status_code == 404
    assert ask(site, "DELETE", "/").status_code == 405
    assert site.fault is None


def test_a_message_is_shown_once(site):
    assert ask(site, "GET", "/count/7").headers["Location"] == "/"
    assert "counted 7" in ask(site, "GET", "/").text
    assert "counted 7" not in ask(site, "GET", "/").text


def test_amounts_and_days_are_shown_like_this():
    assert [money(0), money(5), money(-123456789)] == ["$0.00", "$0.05", "-$1,234,567.89"]
    assert day("2026-03-07") == "7 Mar 2026" and clock("2026-03-07 09:05") == "7 Mar 2026, 09:05"


# The pilot.


def test_the_pilot_finds_by_name_and_by_row():
    pilot = Pilot()
    pilot.see(
        '- link [e1] "Cart"\nrow 1 | button [e2] "Open"\nrow 2 | button [e3] "Open"\n- button [e4] "Say \\"hi\\""'
    )
    assert pilot.ref("button", "Open") == "e2" and pilot.ref("button", "Open", nth=1) == "e3"
    assert pilot.ref("button", "Open", near="row 2") == "e3" and pilot.ref("", 'Say "hi"') == "e4"
    with pytest.raises(NotOnPage, match="no button 'Close'"):
        pilot.ref("button", "Close")
    with pytest.raises(NotOnPage):
        pilot.ref("button", "Open", near="row 3")


def test_the_pilot_applies_changes_to_the_page_before():
    pilot = Pilot()
    pilot.see('- textbox [e1] "A" value="1"\n- button [e2] "Go"')
    pilot.see('URL: x\n\nChanges (+ came, ~ went; 1 as before):\n~ - textbox [e1] "A" value="1"\n+ - textbox [e1] "A"')
    assert pilot.text == '- textbox [e1] "A"\n- button [e2] "Go"'


# Tasks of every application.


def _problems(family, numbers=3, knobs=PLAIN):
    for name, each in sorted(TEMPLATES.items()):
        if name.startswith(f"{family}/"):
            splits = ("hidden",) if each.hidden else ("train", "eval")
            for split in splits:
                built = (build(split, name, number, knobs, "plain") for number in range(60))
                yield from itertools.islice((problem for problem in built if problem is not None), numbers)


@pytest.fixture(params=WEB_IDS)
def cls(request):
    return env_class(request.param)


def test_every_template_gives_sound_tasks(cls):
    owners, names = {}, set()
    for problem in _problems(cls.family):
        task = problem.task
        names.add(problem.template.name)
        assert owners.setdefault(task.prompt, problem.split) == problem.split, f"{task.prompt!r} is in two splits"
        assert bool(task.infeasible) == problem.template.infeasible
        assert task.infeasible or task.goals or task.answer, problem.id
        assert not (task.infeasible and (task.goals or task.answer)), problem.id
        if task.answer is not None:
            assert task.answer.accepts(task.answer.text), problem.id
            assert not any(task.answer.accepts(text) for text in ("", "none", "done", "unanswerable")), problem.id
        stores = {app: Store(start) for app, start in problem.starts.items()}
        for goal in task.goals:
            app = goal.app or problem.template.apps[0]
            assert not stores[app].holds(goal), f"{problem.id}: {goal.name} holds at the start"
        for rule in task.allowed:
            app = rule.app or problem.template.apps[0]
            stores[app].db.execute(f"SELECT 1 FROM {rule.table} WHERE {rule.where}", rule.params)
        for each in stores.values():
            each.close()
    missing = {name for name in TEMPLATES if name.startswith(f"{cls.family}/")} - names
    assert not missing, f"no task of the first 60 numbers: {missing}"


def test_hidden_templates_are_about_a_quarter_of_every_length(cls):
    mine = [each for name, each in TEMPLATES.items() if name.startswith(f"{cls.family}/")]
    assert 0.1 <= sum(each.hidden for each in mine) / len(mine) <= 0.45
    for split in SPLITS:
        cls(split=split, level=tuple({each.level for each in mine if each.hidden == (split == "hidden")})).close()


_ODD = (
    "",
    "-1",
    "999999999999",
    "0",
    "'; DROP TABLE x; --",
    "x" * 2000,
    "\x00\x1b[31m",
    "2026-02-31",
    "1e309",
    "é\u202e",
)


@pytest.mark.parametrize("name", sorted(APPS))
def test_no_request_makes_a_page_fail(name):
    """Whoever could make a page fail could have episodes thrown away that go badly."""
    app = APPS[name]
    site = Site(app, app.start("odd/0", PLAIN), PLAIN)
    folder = Path(look.__file__).parents[1] / "pages" / name
    found = [re.findall(r'name="(\w+)"|, "(\w+)"', page.read_text()) for page in sorted(folder.glob("*.html"))]
    fields = sorted({one or other for each in found for one, other in each})
    fields = fields or ["q"]
    for number, page in enumerate(app.pages()):
        for turn, id in enumerate(("1", "0", "999999999999")):
            path = re.sub(r"\{\w+:int\}", id, page.path)
            path = re.sub(r"\{\w+(:path)?\}", ("x", "%27", "..%2f")[turn], path)
            odd = {field: _ODD[(number + turn + at) % len(_ODD)] for at, field in enumerate(fields)}
            reply = ask(site, page.method, path, **{"params" if page.method == "GET" else "data": odd})
            assert reply.status_code < 500 and site.fault is None, f"{page.method} {path} {odd}: {site.fault!r}"
    site.store.close()


def test_templates_cannot_be_registered_twice_or_wrongly():
    name = next(iter(TEMPLATES))
    for wrong in ({"name": name, "app": "x", "level": 0}, {"name": "a/b", "app": "x", "level": 7},
                  {"name": "a/b", "level": 0}):  # fmt: skip
        with pytest.raises(ValueError, match="template"):
            template(**wrong)


_DIGEST = """
import hashlib
from thinkact.cli_common import env_class
from thinkact.envs.web.site import Knobs
from thinkact.envs.web.tasks import TEMPLATES, build

def digest(env_ids):
    all = hashlib.sha256()
    for env_id in env_ids:
        family = env_class(env_id).family
        for name, each in sorted(TEMPLATES.items()):
            if name.startswith(family + "/"):
                for number in range(2):
                    problem = build("hidden" if each.hidden else "train", name, number, Knobs(), "indirect")
                    if problem:
                        starts = [start.digest for start in problem.starts.values()]
                        what = (problem.task.prompt, problem.task.goals, problem.task.allowed, starts)
                        all.update(repr(what).encode())
    return all.hexdigest()
"""


def test_tasks_and_databases_are_the_same_in_every_process():
    here = {}
    exec(_DIGEST, here)
    code = f"{_DIGEST}\nimport sys\nprint(digest(sys.argv[1:]), hash('x'))"
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code, *WEB_IDS], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digest, salt = done.stdout.split()
    assert digest == here["digest"](WEB_IDS) and int(salt) != hash("x")


# In a real browser.


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


def easy_task(env, **wanted):
    """A short task of the environment's split with these properties."""
    for problem in _problems(env.family):
        has = {"goals": bool(problem.task.goals), "infeasible": problem.task.infeasible}
        if problem.split == env.split and problem.template.level == 0 and has.items() >= wanted.items():
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
