"""Both drivers show the same, byte for byte; and what goes wrong with the choice, or with Playwright's own process."""

import os
import signal
import sys

import psutil
import pytest

from thinkact.envs.conformance import play_expert
from thinkact.envs.miniwob.env import MiniWoBEnv
from thinkact.envs.web.shop_env import ShopEnv
from thinkact.tools.browser import BrowserFault, BrowserHandle
from thinkact.tools.browser import host as hosts
from thinkact.tools.browser.driver import VARIABLE, chosen

FORM = """<!doctype html><title>Form</title><input aria-label=q value=old>
<select aria-label=s><option>A<option>B</select><label><input type=checkbox>box</label>
<a href=/file>file</a><a href=/new target=_blank>tab</a>
<button onclick="log.append(confirm('Sure?'), prompt('Who?', 'Jo'))">ask</button>
<div id=d draggable=true style='width:80px;height:30px;background:#9cf'>drag</div><p id=log>heard:</p><script>
for (const type of ['mousemove', 'mousedown', 'mouseup', 'click', 'dblclick', 'keydown', 'keyup', 'input', 'change',
        'focusin', 'focusout', 'mouseover', 'mouseout'])
    document.addEventListener(type, (e) => log.append(' ' + [type, e.key, e.code, e.keyCode, e.location, e.shiftKey,
        e.ctrlKey, e.button, e.buttons, e.detail, e.clientX, e.clientY, e.isTrusted].filter((x) => x != null)), true);
</script>"""
FORM_PAGES = {
    "/": FORM,
    "/new": "<title>New</title><p>a tab</p>",
    "/file": (200, {"content-disposition": "attachment; filename=x.bin"}, "bytes"),
}
FORM_STEPS = [
    ("fill", {"ref": "e1", "text": "Tea; for_Two! né 字"}),
    ("press", {"key": "Shift+Tab"}),
    ("press", {"key": "Control+a"}),
    ("press", {"key": "ArrowDown"}),
    ("press", {"key": "F5"}),
    ("select", {"ref": "e2", "option": "B"}),
    ("check", {"ref": "e3"}),
    ("hover", {"ref": "e6"}),
    ("click", {"ref": "e6", "double": True}),
    ("click", {"ref": "e4"}),
    ("click", {"ref": "e5"}),
    ("close_tab", {"n": 2}),
    ("click_at", {"x": 40, "y": 200}),
    ("scroll", {"direction": "down"}),
    ("page", {}),
]


def seen_by(driver, monkeypatch, look):
    """What ``look()`` sees in a browser of this driver."""
    hosts.shut_down()
    monkeypatch.setenv(VARIABLE, driver)
    try:
        return look()
    finally:
        hosts.shut_down()


def test_both_drivers_show_the_same(browse, monkeypatch):
    def look():
        page = browse(FORM_PAGES, options={"page_chars": 100_000})
        shown = [page.text, *(page.do(name, **arguments) for name, arguments in FORM_STEPS)]
        return [*shown, page.handle.screenshot()]

    pipe, playwright = (seen_by(driver, monkeypatch, look) for driver in ("pipe", "playwright"))
    assert playwright == pipe
    for words in ('value="Tea; for_Two! né 字"', "keydown,Tab,Tab,9,0,true", "dblclick", "truetrueJo", "2 New"):
        assert any(words in shown for shown in pipe[:-1]), words
    assert any("A download was refused" in shown for shown in pipe[:-1])


def test_experts_episodes_are_the_same_by_both_drivers(driven, monkeypatch):
    def look():
        played = []
        for make in (ShopEnv, MiniWoBEnv):
            env = make()
            try:
                env.reset(seed=3)
                played.append(play_expert(env, env.task.id))
            finally:
                env.close()
        return played

    pipe, playwright = (seen_by(driver, monkeypatch, look) for driver in ("pipe", "playwright"))
    assert playwright == pipe
    assert all(steps[-1].terminated and sum(step.reward for step in steps) == pytest.approx(1) for _, steps in pipe)


def drivers():
    """Playwright's own processes below this one."""
    mine = psutil.Process().children(recursive=True)
    return [each for each in mine if "run-driver" in " ".join(each.cmdline())]


def test_a_driver_that_dies_is_a_fault_and_the_next_start_works(browse, monkeypatch):
    def look():
        page, other = browse("<p>one</p>"), browse("<p>other</p>")
        (driver,) = drivers()
        below = driver.children(recursive=True)
        assert below
        os.kill(driver.pid, signal.SIGKILL)
        with pytest.raises(BrowserFault):
            for _ in range(50):
                page.do("page")
        assert page.open("<p>two</p>").lines == other.open("<p>two</p>").lines == ["two"]
        _, left = psutil.wait_procs(below, 20)
        assert not left

    seen_by("playwright", monkeypatch, look)
    assert not drivers()


def test_the_choice_is_checked_and_says_what_to_do(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen() == "pipe"
    monkeypatch.setenv(VARIABLE, "selenium")
    with pytest.raises(BrowserFault, match="THINKACT_BROWSER_DRIVER is 'selenium'; .* pipe, playwright, or not be set"):
        chosen()
    monkeypatch.setenv(VARIABLE, "playwright")
    monkeypatch.setitem(sys.modules, "playwright", None)  # as if it were not installed
    hosts.shut_down()
    with pytest.raises(BrowserFault, match=r"pip install 'thinkact\[browser\]'"):
        BrowserHandle().start({"a.test": None}, "http://a.test/")
