"""Tasks of every web application: sound, split, the same everywhere; pages that nothing makes fail; the pilot."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thinkact import ENV_ENTRY_POINTS
from thinkact.cli_common import env_class
from thinkact.envs.types import SPLITS
from thinkact.envs.web import look
from thinkact.envs.web.env import WebEnv
from thinkact.envs.web.pilot import NotOnPage, Pilot
from thinkact.envs.web.site import Knobs, Site
from thinkact.envs.web.store import Store
from thinkact.envs.web.tasks import APPS, TEMPLATES, build, template
from thinkact.envs.web.visitor import ask

WEB_IDS = [
    env_id for env_id, where in ENV_ENTRY_POINTS.items()
    if where.startswith("thinkact.envs.web.") and issubclass(env_class(env_id), WebEnv)
]  # fmt: skip
PLAIN = Knobs()


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
