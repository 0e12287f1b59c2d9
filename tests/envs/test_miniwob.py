"""MiniWoB in a real Chromium: pages, clock, rewards, experts, the contract."""

import asyncio
import dataclasses
import importlib.util
import json
import multiprocessing
import os
import pickle
import re
from concurrent.futures import ProcessPoolExecutor

import pytest

from thinkact.envs.conformance import RULES, Subject, play, play_expert, take
from thinkact.envs.miniwob import catalogue
from thinkact.envs.miniwob.browser import MiniWobBrowser
from thinkact.envs.miniwob.env import MiniWoBEnv, numbered_task
from thinkact.envs.miniwob.experts import SCRIPTS
from thinkact.envs.miniwob.site import HOST, Site, page_path, pages_folder, shell
from thinkact.envs.types import SPLITS, EnvironmentFault
from thinkact.tools.browser import BrowserFault, BrowserHandle, BrowserOptions, find_chrome


def _lacking():
    if importlib.util.find_spec("miniwob") is None:
        return "the pages are not here: pip install --no-deps miniwob==1.1.0"
    if importlib.util.find_spec("uvicorn") is None:
        return "uvicorn is not here: pip install 'thinkact[browser]'"
    try:
        find_chrome()
    except BrowserFault as error:
        return str(error)
    return ""


LACKING = _lacking()
pytestmark = pytest.mark.skipif(bool(LACKING) and os.environ.get("CI") != "true", reason=LACKING or "nothing lacks")
#: Variants of a task share a script, so one of them speaks for it; benchmarks/miniwob_experts.py plays all of them.
ONE_EACH = sorted({script: name for name, script in reversed(SCRIPTS.items())}.values())[::4]


@pytest.fixture(scope="module")
def envs():
    made = {split: MiniWoBEnv(split=split, tasks="all") for split in ("train", "hidden")}
    yield made
    for env in made.values():
        env.close()


@pytest.fixture(scope="module")
def browser():
    opened = MiniWobBrowser(BrowserOptions(width=500, height=320, refs="all"))
    yield opened
    opened.handle.close()


def _task(name, seed=0):
    task_id = numbered_task(name, seed)
    return task_id.partition("/")[0], task_id


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def test_the_catalogue_is_the_package_s():
    text = (pages_folder().parent / "registration.py").read_text(encoding="utf-8")
    registered = [name.replace("flight.", "flight/") for name in re.findall(r'id="miniwob/([\w.-]+?)-v\d+"', text)]
    assert sorted(registered) == sorted(catalogue.TASKS)
    assert all((pages_folder() / page_path(name).lstrip("/")).is_file() for name in catalogue.TASKS)


def test_splits_are_fixed_and_variants_share_theirs():
    shares = {split: set(catalogue.names(split)) for split in SPLITS}
    assert shares["train"] - shares["eval"] == catalogue.ALIKE
    assert not shares["train"] & shares["hidden"]
    assert 0.2 <= len(shares["hidden"]) / len(catalogue.TASKS) <= 0.3
    stems = {split: {catalogue.stem(name) for name in names} for split, names in shares.items()}
    assert not stems["train"] & stems["hidden"]


def test_every_task_has_a_script_or_a_reason():
    assert set(SCRIPTS) | set(catalogue.BEYOND_TEXT) == set(catalogue.TASKS)
    assert not set(SCRIPTS) & set(catalogue.BEYOND_TEXT)
    assert len(SCRIPTS) >= 60


@pytest.mark.parametrize("name", ONE_EACH)
def test_expert_solves(envs, name):
    split, task_id = _task(name, seed=1)
    actions, steps = play_expert(envs[split], task_id)
    last = steps[-1].facts
    assert last["score"] == 1.0 and last["success"] and steps[-1].terminated, f"{actions}: {steps[-1].observation}"
    assert len(steps) <= envs[split].task.limits.max_turns / 1.2
    assert not any(step.reward for step in steps[:-1])


@pytest.mark.parametrize("name", ["bisect-angle", "count-sides", "drag-box", "flight/AA", "tic-tac-toe"])
def test_tasks_beyond_text_open_and_act(envs, name):
    split, task_id = _task(name)
    text, _ = envs[split].reset(options={"task_id": task_id})
    assert len(text.splitlines()[0]) > 10
    _, reward, terminated, truncated, info = envs[split].step(call("wait"))
    assert (reward, terminated, truncated, info["score"]) == (0.0, False, False, 0.0)
    with pytest.raises(Exception, match="no script solves"):
        envs[split].expert().act([None])


def test_time_passes_by_calls_alone(envs):
    """The price of a stock moves ten times a second of the page's clock, and not while nobody acts."""
    env = envs["train"]
    env.reset(options={"task_id": "train/stock-market/3"})
    seen = [re.search(r"\$[\d.]+", env.step(call("hover", ref="e1"))[0]) for _ in range(2)]
    again = play(env, "train/stock-market/3", [call("wait", seconds=2.5), call("wait", seconds=0.1)])
    assert again == play(env, "train/stock-market/3", [call("wait", seconds=2.5), call("wait", seconds=0.1)])
    assert again[0].observation != again[1].observation, seen


def test_a_restart_is_the_same_and_another_seed_is_not(browser):
    first = browser.open("login-user", 5)
    goal = browser.state.goal
    assert browser.open("login-user", 6) and browser.state.goal != goal
    assert browser.open("login-user", 5) == first and browser.state.goal == goal


def _evaluate(browser, expression):
    """Run something among the scripts of the page, as no agent can; say in which context that was."""
    episode = browser.handle._episode

    async def ask():
        question = {"expression": expression, "returnByValue": True}
        return (await episode.tab.cdp.send("Runtime.evaluate", question))["result"].get("value")

    return episode.host.call(ask(), 60), episode.lease.context


def test_a_context_that_served_before_keeps_libraries_and_nothing_that_was_done_to_them(browser, monkeypatch):
    """Every reset loads the page; scripts that are the same for everybody are not asked for again."""
    asked, real = [], Site.read

    def read(site, path):
        if path != "/favicon.ico":
            asked.append(path)
        return real(site, path)

    monkeypatch.setattr(Site, "read", read)
    traces = "[core.left, $.left, d3.left, [].left, name, localStorage.left, sessionStorage.left, document.cookie]"
    leave = "core.left = $.left = d3.left = Array.prototype.left = name = localStorage.left = sessionStorage.left = 'x'"
    pages, served = [], []
    for _ in range(16):  # at the most: the browser may be replaced meanwhile
        asked.clear()
        pages.append(browser.open("use-autocomplete", 3))
        found, context = _evaluate(browser, traces)
        assert found == [None, None, None, None, "", None, None, ""]
        assert asked.count("/miniwob/use-autocomplete.html") == 1
        if context in served:
            break
        served.append(context)
        _evaluate(browser, f"{leave}; document.cookie = 'left=x'; core.sample = () => 'x'; $.fn.html = () => 0")
    else:
        raise AssertionError("no context served a second time")
    assert len(asked) == 1 and set(pages) == {pages[0]}


def test_what_a_context_keeps_is_for_its_own_kind_alone(browser):
    """Another site of that name, in a window of that size, is asked for all its files, and sees none of MiniWoB's."""
    browser.open("click-test", 1)
    _, context = _evaluate(browser, "0")
    asked = []

    async def site(scope, receive, send):
        asked.append(scope["path"])
        kind, body = b"text/html", b"<body><script src=/core/core.js></script>"
        if scope["path"] == "/core/core.js":
            kind, body = b"text/javascript", b"document.body.append('mine')"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    other = BrowserHandle(browser.handle.options)
    try:
        for _ in range(2):
            asked.clear()
            assert other.start({HOST: site}, f"http://{HOST}/").endswith("mine")
            assert "/core/core.js" in asked and other._episode.lease.context is not context
    finally:
        other.close()


def test_only_what_is_the_same_for_everybody_may_be_kept():
    def kept(site, path):
        told = []

        async def send(message):
            told.append(message)

        asyncio.run(site({"type": "http", "method": "GET", "path": path}, None, send))
        return told[0]["status"], dict(told[0]["headers"])[b"cache-control"]

    site, library = Site("click-test", 1), shell().files
    assert kept(site, "/miniwob/click-test.html") == (200, b"no-store")
    assert kept(site, "/nothing.js") == kept(library, "/miniwob/click-test.html") == (404, b"no-store")
    assert kept(site, "/core/core.js") == kept(library, "/core/core.js") == (200, b"max-age=31536000, immutable")
    paths = re.findall(r'(?:src|href)="([^"]+)"', shell().html)
    assert len(paths) > 5 and all(kept(library, path)[0] == 200 for path in paths)


def test_wrong_ends_are_worth_nothing_and_end(envs):
    env = envs["train"]
    text, _ = env.reset(options={"task_id": "train/click-test-2/1"})
    wrong = re.search(r'button \[(e\d+)\] "TWO"', text)[1]
    observation, reward, terminated, _, info = env.step(call("click", ref=wrong))
    assert (reward, terminated, info["score"], info["success"]) == (0.0, True, 0.0, False)
    assert "raw reward -1" in info["checks"][0]["evidence"] and "over" in observation


def test_a_part_of_the_reward_is_paid_as_such(envs):
    env = envs["train"]
    text, _ = env.reset(options={"task_id": "train/ascending-numbers/2"})
    one, two, three = (re.search(rf'button \[(e\d+)\] "\\"{n}\\"', text) for n in (1, 2, 3))
    assert one and two and three
    text = env.step(call("click", ref=one[1]))[0]
    left = re.findall(r"button \[(e\d+)\] \"rect", text)
    _, reward, terminated, _, info = env.step(call("click", ref=left[-1]))
    assert terminated and 0.0 < reward < 1.0 and info["score"] == reward and not info["success"]
    assert sum(check["weight"] for check in info["checks"]) == pytest.approx(1.0)


def test_calls_after_the_end_do_nothing(envs):
    env = envs["train"]
    text, _ = env.reset(options={"task_id": "train/click-test-2/1"})
    right, wrong = (re.search(rf'button \[(e\d+)\] "{name}"', text)[1] for name in ("ONE", "TWO"))
    both = [{"name": "click", "arguments": {"ref": ref}} for ref in (right, wrong)]
    _, reward, terminated, _, info = env.step(json.dumps(both))
    assert (reward, terminated, info["score"]) == (1.0, True, 1.0)


def test_a_page_serves_its_task_and_no_other():
    site = Site("click-test", 1)
    assert b"&quot;seed&quot;: 1," in site.read("/miniwob/click-test.html") and site.read("/core/core.js")
    for path in ("/miniwob/click-button.html", "/../environment.py", "/miniwob/../../registration.py", "/", "/nothing"):
        assert site.read(path) is None, path


def test_agents_get_no_code_into_the_page(envs):
    names = set(envs["train"].tools)
    assert not names & {"evaluate", "goto", "open_tab", "back"}
    env = envs["train"]
    text, _ = env.reset(options={"task_id": "train/copy-paste/1"})
    field = re.findall(r"textbox \[(e\d+)\]", text)[0]
    attack = "<img src=x onerror=core.endEpisode(1)>javascript:core.endEpisode(1)"
    _, reward, terminated, _, info = env.step(call("fill", ref=field, text=attack))
    assert (reward, terminated, info["score"]) == (0.0, False, 0.0)


def test_pixels_are_given_where_they_are_asked_for():
    env = MiniWoBEnv(tasks="click-test", pixels=True, render_mode="rgb_array")
    try:
        env.reset(seed=0)
        picture = env.render()
        assert picture.shape == (320, 500, 3) and picture.std() > 1
        assert "click_at" in env.tools
    finally:
        env.close()


def test_unknown_tasks_are_refused():
    for tasks in ("no-such-task", [], "click-checkboxes"):
        with pytest.raises(ValueError, match="tasks"):
            MiniWoBEnv(tasks=tasks)
    assert MiniWoBEnv(tasks="click-checkboxes", split="hidden").sample_tasks(1, 0)[0].startswith("hidden/click-check")


def _elsewhere(task_id, actions):
    env = MiniWoBEnv(tasks="all")
    try:
        return play(env, task_id, actions)
    finally:
        env.close()


def test_an_episode_is_the_same_in_another_process_and_when_it_goes_on_from_a_snapshot(envs):
    env, task_id = envs["train"], "train/use-autocomplete/2"
    actions, steps = play_expert(env, task_id)
    env.reset(options={"task_id": task_id})
    take(env, actions[0])
    point = pickle.loads(pickle.dumps(env.snapshot()))
    env.reset(options={"task_id": "train/click-test/1"})
    for _ in range(2):
        env.restore(point)
        assert [take(env, action) for action in actions[1:]] == steps[1:]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(_elsewhere, task_id, actions).result() == steps


def test_a_page_that_comes_out_otherwise_is_not_restored(envs):
    env = envs["train"]
    env.reset(options={"task_id": "train/enter-password/1"})
    point = env.snapshot()
    history, page = point.family
    with pytest.raises(EnvironmentFault, match="came out otherwise"):
        env.restore(dataclasses.replace(point, family=(history, page + "!")))
    with pytest.raises(RuntimeError):
        env.step("{}")


def test_nothing_is_worth_nothing_and_outcome_pays_at_the_end():
    env = MiniWoBEnv(tasks="enter-password", reward="outcome", max_turns=6)
    try:
        for idle in ("", "{}", "I refuse.", call("wait"), call("scroll")):
            steps = play(env, "train/enter-password/4", [idle] * 30)
            assert steps[-1].truncated and not any(step.reward for step in steps) and steps[-1].facts["score"] == 0.0
        _, steps = play_expert(env, "train/enter-password/4")
        assert [step.reward for step in steps] == [0.0, 0.0, 1.0]
    finally:
        env.close()


#: The rules that are cheap. The others play and restore hundreds of pages: `benchmarks/miniwob_experts.py --contract`
#: has them all, and the tests above show their points for this family.
CHEAP = ("gymnasium_accepts_it", "vector_environments_agree", "budgets_truncate", "misuse_raises")
SHORT = {"tasks": ("click-test-2", "enter-password", "simple-arithmetic"), "max_turns": 5}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.__name__ in CHEAP], ids=lambda rule: rule.__name__)
def test_rule(rule):
    rule(Subject("thinkact/MiniWoB-v0", tasks=1, kwargs=SHORT))
