import base64
import hashlib
import html
import json
import re
import shutil
import unicodedata

import pytest

from thinkact.leaderboard import Board, export_site
from thinkact.leaderboard.inert import inert, one_line, script_json
from thinkact.leaderboard.site import CHUNK, episode_view
from thinkact.policies.episode import Turn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "board")


def hostile(make, weird):
    turn = Turn(
        observation=weird,
        thought=weird,
        action=weird,
        calls=[
            {"id": "0", "name": weird, "arguments": {weird: weird, "n": [1, {"k": weird}]}, "parse_error": None},
            {"id": "1", "name": "", "arguments": {}, "parse_error": weird},
            {"arguments": "not a dict"},
        ],
        results=[{"call_id": "0", "content": weird, "error_kind": weird}],
        result=weird,
        checks=[{"name": weird, "passed": True, "evidence": weird, "weight": weird}, {}],
        reward=1.0,
        stop=weird,
    )
    return make(0, turns=[turn], task_id=weird, id=weird, env_id=weird, env_version=weird, family=weird)


def parts(page):
    data = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.S)
    return dict(data)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def test_inert_text():
    assert inert("a\tb\nc é 漢 😀") == "a\tb\nc é 漢 😀"
    assert inert("\x1b[31m\r\n\x00\x7f\x9b") == "␛[31m\n␀␡⟨U+009B⟩"
    assert inert("\u202e\u2066\u200b\u2028\ud800\U000e0041") == "⟨U+202E⟩⟨U+2066⟩⟨U+200B⟩⟨U+2028⟩⟨U+D800⟩⟨U+E0041⟩"
    assert inert("x" * 30_000).endswith("… 10,000 more characters left out")
    assert len(one_line("a\n" * 500)) == 120 and "\n" not in one_line("a\nb")


def test_json_cannot_leave_its_script():
    value = {"</script>": "<!--<script>&\u2028"}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text) and json.loads(text) == value
    with pytest.raises(ValueError):
        script_json(float("nan"))


def test_every_episode_has_its_transcript(board, many, tmp_path):
    episodes = many(2 * CHUNK + 7, 0.6)
    key = board.submit("agent", episodes)
    index = export_site(board, tmp_path / "site")
    assert index == tmp_path / "site" / "index.html" and f'href="{key}/index.html"' in index.read_text()
    seen = {}
    for page in sorted((index.parent / key).glob("episodes-*.html")):
        seen |= parts(page.read_text()) | {"listing": None}
    for number, episode in enumerate(episodes):
        view = json.loads(seen[f"episode-{number}"])
        assert view["task"] == episode.task_id and len(view["turns"]) == len(episode.turns)
        assert [turn["reward"] for turn in view["turns"]] == episode.rewards
        assert view["status"] == {True: "solved", False: "failed", None: "error"}[episode.success]
    listing = (index.parent / key / "index.html").read_text()
    assert all(f"episodes-{n // CHUNK}.html#{n}" in listing for n in range(len(episodes)))


def test_pages_are_self_contained_and_allow_only_their_own_code(board, many, tmp_path):
    board.submit("agent", many(3, 0.5))
    export_site(board, tmp_path / "site")
    pages = list((tmp_path / "site").rglob("*"))
    assert all(page.suffix == ".html" for page in pages if page.is_file())
    for page in pages:
        if page.is_dir():
            continue
        text = page.read_text()
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|innerHTML|\son\w+=|<[^>]* style=", text)
        policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy
        for code in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.S):
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_hostile_text_is_inert_on_every_page(board, make, weird, tmp_path):
    board.submit(weird, [hostile(make, weird)], suite=weird, meta={weird: weird})
    export_site(board, tmp_path / "site")
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert "<script>window" not in text and "<img" not in text and "</script></script>" not in text
        active = {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t"}
        assert not active
        assert len(re.findall("<script", text)) == len(re.findall("</script>", text))
        for data in parts(text).values():
            found = list(strings(json.loads(data)))
            assert found and all(char.isprintable() or char == "\n" for text in found for char in text)


def test_huge_text_is_clipped_with_a_note(make):
    turn = Turn(observation="o", action="a" * 10**6, result="r" * 10**6, reward=1.0)
    view = episode_view(make(0, turns=[turn]))
    assert len(json.dumps(view)) < 60_000
    assert "980,000 more characters left out" in view["turns"][0]["result"]


def test_tokens_need_a_decoder_that_fits(board, many, tmp_path):
    episode = many(1, 1.0, tokens=True)[0]
    assert "sampled_tokens" not in episode_view(episode)["turns"][0]
    view = episode_view(episode, lambda ids: [f"</script>{i}" for i in ids])["turns"][0]
    assert len(view["sampled_tokens"]) == len(view["logprobs"]) == view["sampled"] > 0
    assert len(view["fed_tokens"]) == view["fed"] == 40 and view["advantage"] is not None
    board.submit("agent", [episode])
    with pytest.raises(ValueError, match="token ids"):
        export_site(board, tmp_path / "site", decode=lambda ids: ["one"])
    assert not (tmp_path / "site").exists() and not list(tmp_path.glob(".site*"))


def test_export_replaces_an_export_and_nothing_else(board, many, tmp_path):
    export_site(board, tmp_path / "site")
    assert "No submissions yet" in (tmp_path / "site" / "index.html").read_text()
    board.submit("agent", many(3, 0.5))
    export_site(board, tmp_path / "site")
    assert len(list((tmp_path / "site").iterdir())) == 2
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("dear")
    with pytest.raises(FileExistsError, match="not an earlier export"):
        export_site(board, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter").read_text() == "dear"


def test_withheld_submissions_are_named(board, make, tmp_path):
    key = board.submit("agent", [make(0)])
    path = board.path / "episodes" / f"{key}.jsonl"
    path.write_text(path.read_text().replace("prompt", "Prompt"))
    page = export_site(board, tmp_path / "site").read_text()
    assert key in page and "not what was submitted" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_in_a_browser(board, many, make, weird, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    episodes = [*many(CHUNK, 0.6, tokens=True), hostile(make, weird)]
    key = board.submit("agent", episodes)
    index = export_site(board, tmp_path / "site", decode=lambda ids: [f"<b>{i}" for i in ids])
    noise = []
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or noise.append(request.url))
        for path in ("index.html", f"{key}/index.html", f"{key}/episodes-1.html#{CHUNK}"):
            page.goto(f"file://{index.parent / path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate("window.pwned") is None
        assert page.locator("#transcript script, #transcript img, #transcript b").count() == 0
        assert "<script>window.pwned=1</script>" in page.inner_text("#transcript")
        page.set_viewport_size({"width": 1280, "height": 900})
        page.keyboard.press("k")  # over the page's border
        page.wait_for_url(f"**/episodes-0.html#{CHUNK - 1}")
        for key_name in "kkkjjj":  # faster than the browser reports a change of address
            page.keyboard.press(key_name)
        assert page.url.endswith(f"#{CHUNK - 1}")
        assert page.inner_text("#position") == f"{CHUNK} / {CHUNK + 1}"
        page.keyboard.press("t")
        assert page.locator(".tokens .token").count() > 20
        page.click("#filters button:has-text('Failed')")
        failed = sum(e.success is False for e in episodes)
        assert page.locator("#list li").count() == failed
        page.click("#up")
        page.wait_for_url("**/index.html#failed")
        assert page.locator("#episodes tbody tr:visible").count() == failed
        browser.close()
    assert noise == []
