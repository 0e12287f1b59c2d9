"""What breaks is told in bounded time: a page's own doing as a page, ours as a fault; and nothing is left behind."""

import asyncio
import datetime
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from thinkact.tools.browser import BrowserFault, BrowserOptions, find_chrome
from thinkact.tools.browser import host as hosts


def children(pid):
    """All that descends from a process, by what /proc says."""
    found, wait = [], [pid]
    while wait:
        for listed in Path(f"/proc/{wait.pop()}/task").glob("*/children"):
            try:
                some = [int(each) for each in listed.read_text().split()]
            except OSError:
                continue
            found += some
            wait += some
    return found


def gone(pids, seconds=20):
    limit = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() and "Z" not in state(pid) for pid in pids):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def renderers(page):
    """Processes of this page's browser that draw pages, by their command line."""
    root = page.handle._episode.lease.chromium.root

    async def ask():
        told = await root.send("SystemInfo.getProcessInfo")
        return {each["type"]: each["id"] for each in told["processInfo"]}["browser"]

    main = page.handle._episode.host.call(ask(), 20)
    return main, [pid for pid in children(main) if "--type=renderer" in command(pid)]


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.mark.both_drivers
def test_a_page_that_hangs_is_stopped_and_can_be_left(browse):
    page = browse(
        {"/": "<p>here</p><button onclick='for(;;);'>b</button>", "/2": "<p>two</p>"}, options={"action_timeout": 0.7}
    )
    page.do("click", ref="e1")
    assert page.kind is None and "ran too long and was stopped" in page.text and "here" in page.lines
    for _ in range(20):
        page.do("goto", url="/2")
        if "did not finish loading" not in page.text:  # as it may in so little time
            break
    assert page.lines == ["two"]


def test_a_page_that_hangs_for_ever_can_be_left(browse):
    page = browse(
        {
            "/": "<a href=/bad>x</a>",
            "/bad": "<script>for(;;);</script><p>rest</p>",
            "/worse": "<p>x</p><script>setInterval(() => {for(;;);}, 0)</script>",
        },
        options={"action_timeout": 0.7},
    )
    page.do("click", ref="e1")
    assert page.kind is None and "ran too long" in page.text
    page.do("goto", url="/worse")
    assert page.kind is None and "ran too long" in page.text
    page.do("goto", url="/")
    assert page.lines == [page.lines[0]] and "link" in page.lines[0]


def test_a_page_that_hangs_in_a_frame_only_delays_its_neighbours(browse):
    page = browse(
        "<p>here</p><button onclick='requestAnimationFrame(() => { for(;;); })'>b</button>",
        options={"action_timeout": 1.5},
    )
    other = browse("<button onclick='requestAnimationFrame(() => this.textContent += 1)'>n</button>")
    hanging = threading.Thread(target=page.do, args=("click",), kwargs={"ref": "e1"})
    hanging.start()
    for n in range(5):
        other.do("click", ref="e1")
        assert other.text == f'URL: http://shop.test/\nTitle: \nFocus: button [e1]\n\n- button [e1] "n{"1" * (n + 1)}"'
    hanging.join(60)
    assert page.kind is None and "ran too long and was stopped" in page.text and "here" in page.lines
    assert other.do("click", ref="e1").endswith('"n111111"')


@pytest.mark.both_drivers
def test_a_storm_of_dialogs_ends(browse):
    page = browse("<p>here</p><button onclick='for(let i = 0;; i++) alert(i)'>b</button>", options={"max_tabs": 1})
    page.do("click", ref="e1")
    assert page.kind is None and page.lines == ["(The page is empty.)"]
    assert page.text.count("Dialog: alert") == 8 and "dialog after dialog; it was closed" in page.text
    page.do("back")
    assert page.lines[0] == "here" and "Dialog" not in page.text


def test_a_frame_that_goes_away_leaves_its_elements_stale(browse):
    page = browse(
        {
            "/": "<iframe src=/in></iframe><button onclick='document.querySelector(\"iframe\").remove()'>b</button>",
            "/in": "<button>inner</button>",
        }
    )
    inner, outer = page.ref("button", "inner"), page.ref("button", "b")
    page.do("click", ref=outer)
    page.do("click", ref=inner)
    assert page.kind == "tool_error" and "no element" in page.text
    assert page.do("page").count("- button") == 1


@pytest.mark.parametrize("page_of", ["raise", "start"])
def test_a_site_that_fails_is_a_fault_of_ours(browse, page_of):
    def broken(request):
        raise KeyError("bug")

    if page_of == "start":
        with pytest.raises(BrowserFault, match="KeyError: 'bug'"):
            browse({"/": broken})
        return
    page = browse({"/": "<a href=/b>x</a>", "/b": broken})
    with pytest.raises(BrowserFault, match="GET /b.*KeyError: 'bug'|(?s:GET /b.*KeyError)"):
        page.do("click", ref="e1")


def test_an_error_page_of_a_site_is_a_page(browse):
    page = browse({"/": "<a href=/b>x</a>", "/b": (500, {}, "<h1>Sorry</h1>")})
    page.do("click", ref="e1")
    assert page.lines == ["# Sorry"]


def test_a_site_that_never_answers_becomes_a_fault(browse):
    page = browse(
        {"/": "<a href=/never>x</a>", "/never": lambda r: asyncio.sleep(3600)},
        options={"action_timeout": 1.5, "site_timeout": 2},
    )
    with pytest.raises(BrowserFault, match="has not answered for 2 s"):
        for _ in range(10):
            page.do("click", ref=page.ref("link"))


@pytest.mark.both_drivers
def test_a_renderer_that_dies_is_a_fault_and_the_next_start_works(browse):
    page = browse("<p>one</p>")
    other = browse("<p>other</p>")
    main, drawing = renderers(page)
    assert drawing
    mine = []
    page.handle._episode.tab.page.on("crash", lambda crashed: mine.append(crashed))
    for pid in drawing:
        os.kill(pid, signal.SIGKILL)
        if mine:
            break
        time.sleep(0.2)
    with pytest.raises(BrowserFault, match="process died"):
        for _ in range(50):
            page.do("page")
    assert page.open("<p>two</p>").lines == ["two"]
    other.open("<p>again</p>")
    assert other.lines == ["again"]


@pytest.mark.both_drivers
def test_a_browser_that_dies_is_a_fault_and_the_next_start_works(browse):
    page, other = browse("<p>one</p>"), browse("<p>other</p>")
    main, _ = renderers(page)
    (folder,) = [part[16:] for part in command(main).split() if part.startswith("--user-data-dir=")]
    os.kill(main, signal.SIGKILL)
    begun = time.monotonic()
    for each in (page, other):
        with pytest.raises(BrowserFault):
            for _ in range(50):
                each.do("page")
        assert each.open("<p>two</p>").lines == ["two"]
    while os.path.exists(folder):
        assert time.monotonic() - begun < 60
        time.sleep(0.02)


@pytest.mark.both_drivers
def test_nobody_else_holds_the_pipes_and_nothing_listens(browse):
    # Who can speak to the browser can do anything to it: a port would be open to every page and process.
    page = browse("<p>one</p>")
    main, _ = renderers(page)
    mine = {main, *children(main)}
    held = {os.readlink(f"/proc/{main}/fd/{end}") for end in (3, 4)}
    assert all(each.startswith(("pipe:", "socket:")) for each in held)  # of Playwright's driver: a pair of sockets
    sockets = set()
    for pid in mine:
        for end in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                what = os.readlink(end)
            except OSError:
                continue
            sockets.add(what)
            assert what not in held or "--type=" not in command(pid), command(pid)
    listening = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    assert not {f"socket:[{each[9]}]" for each in listening if each[3] == "0A"} & sockets
    assert "--remote-debugging-pipe" in command(main) and "--remote-debugging-port" not in command(main)


def test_more_threads_than_turns_all_come_through(browse):
    pages = [browse("<button onclick='this.textContent = Number(this.textContent) + 1'>0</button>") for _ in range(5)]
    assert len({id(page.handle._episode.lease.chromium) for page in pages}) == 1
    failed = []

    def work(page):
        try:
            for n in range(3):
                page.do("click", ref="e1")
                assert page.lines == [f'- button [e1] "{n + 1}"']
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed and not any(thread.is_alive() for thread in threads)


def test_a_browser_is_replaced_when_it_has_served_enough(browse, monkeypatch):
    page = browse("<p>0</p>")
    chromium = page.handle._episode.lease.chromium
    monkeypatch.setattr(hosts, "RECYCLE", chromium.served)
    main, _ = renderers(page)
    page.open("<p>1</p>")
    assert page.handle._episode.lease.chromium is not chromium
    assert gone([main])


STEPS = [("fill", {"ref": "e2", "text": "tea"}), ("click", {"ref": "e1"}), ("back", {})]
PAGES = {
    "/": """<title>T</title><a href=/2>go</a><input aria-label=q><ul><li>a<li>b</ul><script>
        document.body.append(Math.random(), ' ', new Date().toISOString(), ' ', Object.keys({b: 1, a: 2}))</script>""",
    "/2": "<button>x</button><table><tr><td>1<td>2</table>",
}
CHILD = """
import sys, datetime
sys.path.insert(0, sys.argv[1])
from conftest import Driver
page = Driver().open(eval(sys.argv[2]), now=datetime.datetime(2026, 1, 2))
print(page.text, *(page.do(name, **arguments) for name, arguments in eval(sys.argv[3])), "shown", sep="\\n", flush=True)
assert ("playwright" in sys.modules) == (sys.argv[4] == "playwright")  # a driver that is not used is not loaded
sys.stdin.readline()
"""


@pytest.mark.both_drivers
@pytest.mark.parametrize("end", ["return", "kill"])
def test_another_process_shows_the_same_bytes_and_leaves_nothing(browse, driven, end):
    page = browse(PAGES, now=datetime.datetime(2026, 1, 2))
    here = "\n".join([page.text, *(page.do(name, **arguments) for name, arguments in STEPS), "shown\n"])
    command_line = [sys.executable, "-c", CHILD, os.path.dirname(__file__), repr(PAGES), repr(STEPS), driven]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    child = subprocess.Popen(command_line, env={**os.environ, "PYTHONHASHSEED": "1"}, text=True, **pipes)
    try:
        there = ""
        while not there.endswith("\nshown\n") and (line := child.stdout.readline()):
            there += line
        assert here == there
        assert "2026-01-02T00:00:00.000Z b,a" in here and here.count("URL:") == 4
        below = children(child.pid)
        (folder,) = {part[16:] for pid in below for part in command(pid).split() if part.startswith("--user-data-dir=")}
        assert len(below) >= 3 and os.path.isdir(folder)
        if end == "kill":
            child.kill()
        _, error = child.communicate("\n", timeout=60)
        assert gone(below), [command(pid) for pid in below]
        assert not os.path.exists(folder)
        assert error == ""
    finally:
        child.kill()
        child.wait()


def _in_child(pipe):
    from conftest import Driver

    pipe.send(Driver().open("<p>child</p>").lines)


def test_a_forked_child_makes_a_browser_of_its_own(browse, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    page = browse("<p>parent</p>")
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(theirs,))
    child.start()
    assert mine.poll(60) and mine.recv() == ["child"]
    child.join(30)
    assert child.exitcode == 0
    assert page.do("page").endswith("parent")


def test_a_missing_browser_names_the_fix(monkeypatch):
    monkeypatch.setenv("THINKACT_CHROME", "no-such-browser")
    with pytest.raises(BrowserFault, match="THINKACT_CHROME"):
        find_chrome()
    monkeypatch.delenv("THINKACT_CHROME")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    with pytest.raises(BrowserFault, match="apt-get install chromium-headless-shell"):
        find_chrome()


@pytest.mark.parametrize(
    "options", [{"width": 10}, {"page_chars": 5}, {"dialogs": "ask"}, {"max_tabs": 0}, {"action_timeout": 99.0}]
)
def test_options_are_checked_at_once(options):
    with pytest.raises(ValueError):
        BrowserOptions(**options)
