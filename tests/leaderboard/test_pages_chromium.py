"""The pages in a real browser: from the board to an episode, by mouse and by keys, at three widths, under attack."""

import json
import os
import re
import subprocess
import sys

import pytest

from thinkact.leaderboard import Board, export_site
from thinkact.leaderboard.running import RunFolder, Status, now
from thinkact.policies.episode import Turn
from thinkact.tools.browser.chrome import find_chrome

if os.environ.get("CI") != "true":
    pytest.importorskip("playwright", reason="needs thinkact[browser]")
    pytest.importorskip("starlette", reason="needs thinkact[serve]")

WIDTHS = (390, 820, 1440)
LONG = "https://evil.example/" + "a" * 1_000_000


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    try:
        path = find_chrome()
    except Exception as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A page that fails its test when it says anything on the console or asks anyone else for anything."""
    noise = []
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("dialog", lambda dialog: noise.append(dialog.message))
    page.on("popup", lambda popup: noise.append(popup.url))
    page.on(
        "request",
        lambda request: re.match(r"http://127\.0\.0\.1:|file:|data:", request.url) or noise.append(request.url),
    )
    yield page
    context.close()
    assert noise == []


@pytest.fixture
def serve():
    """Serves boards by the command that users give."""
    started = []

    def run(path):
        command = [sys.executable, "-m", "thinkact.cli", "leaderboard", "serve", "--board", str(path), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield run
    for process in started:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def fits(page):
    """Tell whether nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_from_the_board_to_two_episodes_side_by_side(serve, tab, many, tmp_path):
    board = Board(tmp_path / "board")
    for name, rate in (("strong", 0.9), ("weak", 0.2)):
        board.submit(name, many(60, rate, policy=name, tokens=True), meta={"hardware": {"cpu": "two cores"}})
    board.submit("null", [e.model_copy(update={"id": f"n{e.id}"}) for e in many(60, 0.0)], kind="baseline")
    url = serve(board.path)
    tab.goto(url)
    assert tab.locator("#board tbody tr:visible").count() == 3
    # Filter, sort, choose.
    tab.fill("#search", "WEAK")
    assert tab.locator("#board tbody tr:visible .agent a").all_inner_texts() == ["weak"]
    tab.fill("#search", "")
    tab.click("[data-toggle=baseline]")
    assert tab.locator("#board tbody tr:visible").count() == 2
    tab.click("th[data-sort=success]")
    tab.click("th[data-sort=success]")
    assert tab.locator("#board tbody tr:visible .agent a").all_inner_texts() == ["weak", "strong"]
    tab.click("[data-plot=turns]")
    assert tab.locator("figure:visible").get_attribute("data-amount") == "turns"
    # An agent, and back.
    tab.click("#board >> text=strong")
    assert tab.inner_text("h1") == "strong" and "two cores" in tab.inner_text(".manifest")
    tab.go_back()
    # Two agents: in whichever order they are ticked the better one comes first.
    tab.check("tr:has-text('weak') input")
    assert tab.get_attribute("#compare", "aria-disabled") == "true"
    tab.check("tr:has-text('strong') input")
    tab.click("#compare")
    assert tab.inner_text("h1") == "strong and weak" and "strong is better than weak" in tab.inner_text(".note")
    tab.click("text=side by side >> nth=1")
    task = tab.inner_text("#task")
    assert tab.inner_text("#left .who") == "strong" and tab.inner_text("#right .who") == "weak"
    assert tab.locator("#left .status.solved").count() == tab.locator("#right .status.failed").count() == 1
    tab.keyboard.press("n")
    assert tab.inner_text("#task") != task and tab.inner_text("#position").startswith("3 / ")
    # From the list of disagreements to one episode.
    tab.click(".crumbs a:has-text('strong and weak')")
    tab.click(".disagreements tbody tr >> nth=0 >> td >> nth=1 >> a")
    tab.wait_for_selector("#transcript .turn")
    assert "/submissions/strong-" in tab.url and tab.locator("#transcript .status.solved").count() == 1


def test_an_episode_by_keys(tab, many, tmp_path):
    board = Board(tmp_path / "board")
    episodes = many(60, 0.6, tokens=True)
    key = board.submit("agent", episodes)
    site = export_site(board, tmp_path / "site", decode=lambda ids: [f"<b>{i}" for i in ids]).parent
    tab.goto(f"file://{site}/submissions/{key}/episodes-0.html#e=48&t=2")

    def at():
        return re.search(
            r"turn (\d+) / (\d+) · score ([\d.]+) · checks (\d+) / (\d+)", tab.inner_text(".strip")
        ).groups()

    assert at()[0] == "2" and tab.inner_text("#position") == "49 / 60"
    turns = episodes[48].turns
    assert at()[1:4] == (str(len(turns)), f"{turns[0].reward + turns[1].reward:.2f}", "1")
    tab.keyboard.press("j")
    assert at()[0] == "3" and tab.url.endswith("#e=48&t=3")
    for key_name in ("ArrowLeft", "k", "k"):
        tab.keyboard.press(key_name)
    assert at()[0] == "1" and at()[3] == "0"
    tab.keyboard.press("G")
    assert at()[0] == str(len(turns))
    for _ in range(3):  # over the page's border, faster than the browser reports a change of address
        tab.keyboard.press("n")
        tab.wait_for_selector("#transcript .turn")
    assert "episodes-1.html" in tab.url and tab.inner_text("#position") == "52 / 60"
    for _ in range(2):
        tab.keyboard.press("p")
        tab.wait_for_selector("#transcript .turn")
    tab.wait_for_url("**/episodes-0.html#e=49")
    tab.keyboard.press("t")
    tab.wait_for_selector(".tokens .token")
    assert tab.locator(".tokens b").count() == 0 and "<b>" in tab.inner_text(".tokens >> nth=0")
    assert tab.locator(".tokens >> nth=0 >> .token").count() == len(episodes[49].turns[0].token_ids)
    assert "log-prob" in tab.get_attribute(".tokens .token >> nth=0", "title")
    tab.keyboard.press("a")
    shade = "q" if episodes[49].turns[0].advantage > 0 else "m"
    assert re.search(rf"\b{shade}\d", tab.get_attribute(".tokens .token >> nth=0", "class"))
    tab.keyboard.press("?")
    assert tab.is_visible("#keys")
    tab.keyboard.press("?")
    assert not tab.is_visible("#keys")
    tab.keyboard.press("f")
    tab.keyboard.press("f")
    failed = sum(e.success is False for e in episodes)
    assert tab.locator("#list li").count() == failed
    tab.click("#up")
    tab.wait_for_selector("#episodes")
    assert tab.locator("#episodes tbody tr:visible").count() == failed


def test_two_hundred_turns_are_there_at_once(tab, make, tmp_path):
    board = Board(tmp_path / "board")
    ids = list(range(500))
    turns = [
        Turn(observation="o", thought=f"thought {at}", action="a", result="line\n" * 200, reward=0.005, token_ids=ids,
             logprobs=[-0.1] * 500, checks=[{"name": f"step {at}", "weight": 0.005, "passed": True, "evidence": ""}])
        for at in range(200)
    ]  # fmt: skip
    key = board.submit("agent", [make(0, turns=turns, score=1.0)])
    site = export_site(board, tmp_path / "site").parent
    tab.goto(f"file://{site}/submissions/{key}/episodes-0.html#t=150")
    assert tab.locator(".turn").count() == 200
    assert "turn 150 / 200 · score 0.75 · checks 150 / 200" in tab.inner_text(".strip")
    top = tab.evaluate("document.querySelector('[data-turn=\"150\"]').getBoundingClientRect().top")
    assert 0 <= top < 300
    tab.keyboard.press("t")
    tab.wait_for_selector("[data-turn='150'] .tokens")
    assert tab.locator(".tokens").count() < 40  # of the turns near the screen alone


def test_nothing_is_wider_than_the_window_light_or_dark(tab, many, tmp_path):
    board = Board(tmp_path / "board")
    long = "an-agent-whose-name-has-no-end-" * 6
    for name, rate in ((long, 0.9), ("b", 0.4), ("c", 0.1)):
        board.submit(name, many(12, rate, policy=name, tokens=True), meta={"key" * 30: "value" * 80})
    url = f"file://{export_site(board, tmp_path / 'site').parent}/"
    tab.goto(url + "index.html")
    agent = tab.get_attribute("#board .agent a", "href")
    tab.goto(url + agent)
    links = tab.locator("a").evaluate_all("all => all.map(a => a.href)")
    compare = next(link for link in links if "/compare/" in link)
    submission = next(link for link in links if "/submissions/" in link)
    addresses = [url + "index.html", url + agent, compare, compare.replace(".html", "-episodes.html"), submission,
                 submission.replace("index.html", "episodes-0.html")]  # fmt: skip
    for address in addresses:
        tab.goto(address)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 844})
            assert fits(tab), (address, width)

    # The switch: as the system has it, dark, light; kept from page to page.
    def ground():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    tab.click("#theme")
    dark = ground()
    assert dark != light
    tab.goto(url + "index.html")
    assert ground() == dark
    tab.click("#theme")
    assert ground() == light
    tab.click("#theme")
    tab.emulate_media(color_scheme="dark")
    assert ground() == dark


def test_what_agents_write_is_inert(serve, tab, make, weird, tmp_path):
    attacks = [weird, "javascript:pwned=1", LONG, "</pre></style><style>body{display:none}</style>", "{{7*7}}${7*7}",
               '" onmouseover=pwned=1 x="', "\u202eevil\u2066\u200b\x9b31m\x00"]  # fmt: skip
    picture = {"artifacts": {"screenshot": '"><img src=x onerror=pwned=1>'}}

    def hostile(at, text, policy):
        call = {"id": "0", "name": text, "arguments": {text: text, "__proto__": text}, "parse_error": None}
        broken = {"id": "1", "name": "", "arguments": {}, "parse_error": text}
        check = {"name": text, "weight": 1.0, "passed": True, "evidence": text}
        turn = Turn(observation=text, thought=text, action=text, calls=[call, broken], results=[picture], result=text,
                    checks=[check], reward=1.0, stop=text[:50])  # fmt: skip
        return make(at, turns=[turn, turn.model_copy(update={"reward": 0.0})], task_id=f"{at} {text}", policy=policy)

    board = Board(tmp_path / "board")
    for name in (weird, attacks[5]):
        good = [hostile(at, text, name) for at, text in enumerate(attacks if name == weird else attacks[:2])]
        board.submit(
            name, [e.model_copy(update={"success": name == weird}) for e in good], suite=weird, meta={weird: weird}
        )
    with RunFolder(board.path, "one") as folder:
        folder.journal.append(hostile(0, weird, weird).model_dump_json().encode())
        folder.write_status(Status(run="one", agent=weird, suite=weird, message=weird, started=now(), updated=now()))
    url = serve(board.path)
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(url)
    seen, queue = set(), [tab.url]
    while queue:
        address = queue.pop()
        if address.split("#")[0] in seen:
            continue
        seen.add(address.split("#")[0])
        tab.goto(address)
        if "live.html" in address:
            tab.wait_for_selector("#runs .card")
        assert tab.evaluate("window.pwned") is None, address
        assert tab.locator("img, iframe, object, embed, form, base").count() == 0, address
        assert tab.evaluate("getComputedStyle(document.body).display") != "none", address
        assert fits(tab), address
        shown = tab.inner_text("body")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2066]", shown), address
        links = tab.locator("a[href]").evaluate_all("all => all.map(a => a.href)")
        assert all(link.startswith(url) for link in links), address
        queue += links
        for data in tab.locator("script[type='application/json']").all_inner_texts():
            json.loads(data)
    kinds = {re.sub(r"[^/]*$|(?<=submissions/)[^/]*", "", page[len(url) :]) for page in seen}
    assert {"agents/", "compare/", "submissions//"} <= kinds and len(seen) >= 9
    tab.goto(next(page for page in seen if "episodes-0" in page))
    assert "<script>window.pwned=1</script>" in tab.inner_text("#transcript")


def test_a_run_is_shown_as_it_goes(serve, tab, many, tmp_path):
    board = Board(tmp_path / "board")
    episodes = many(6, 1.0)
    url = serve(board.path)
    tab.goto(url)
    assert "No submissions yet" in tab.inner_text("main")
    tab.click("text=Running")
    tab.wait_for_selector("text=Nothing is running")
    fields = dict(run="one", agent="my agent", suite="core@1", total=6, started=now(), updated=now(), pid=os.getpid())
    with RunFolder(board.path, "one") as folder:
        for done, episode in enumerate(episodes[:2], 1):
            folder.journal.append(episode.model_dump_json().encode())
            folder.write_status(Status(**fields, done=done), at_once=True)
        tab.wait_for_selector("text=2 of 6")
        assert tab.locator(".episodes tr").count() == 2
        folder.journal.append(episodes[2].model_dump_json().encode())
        folder.write_status(Status(**fields, done=3), at_once=True)
        tab.wait_for_selector("text=3 of 6")
        assert tab.locator(".episodes .task >> nth=0").inner_text().startswith(episodes[2].task_id)
        folder.remove()
    board.submit("my agent", episodes)
    tab.wait_for_selector("text=Nothing is running")
    tab.click(".crumbs a")
    tab.click("#board >> text=my agent")
    assert tab.inner_text("h1") == "my agent"
