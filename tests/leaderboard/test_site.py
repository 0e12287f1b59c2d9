"""The static pages: everything is there, nothing acts, nothing secret is written."""

import base64
import hashlib
import html
import json
import re
import struct
import unicodedata
import zlib
from dataclasses import replace

import pytest

from thinkact.leaderboard import Board, export_site
from thinkact.leaderboard.figures import Figures, Tab
from thinkact.leaderboard.inert import inert, one_line, script_json
from thinkact.leaderboard.pages import Pages
from thinkact.leaderboard.pareto import pareto
from thinkact.leaderboard.plot import plots
from thinkact.leaderboard.standings import standings
from thinkact.leaderboard.transcripts import MAX_PICTURE, episode_view, is_picture, tokenizer_decoder
from thinkact.leaderboard.view_episodes import CHUNK
from thinkact.policies.episode import Turn


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
        results=[{"call_id": "0", "content": weird, "error_kind": weird, "artifacts": {"screenshot": weird}}],
        result=weird,
        checks=[{"name": weird, "passed": True, "evidence": weird, "weight": weird}, {}],
        reward=1.0,
        stop=weird,
    )
    return make(0, turns=[turn], task_id=weird, id=weird, env_id=weird, env_version=weird, family=weird, policy=weird)


def png(width=2, height=2):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 6) * 2))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")).decode()


def parts(page):
    return dict(re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.S))


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
    assert inert("\u3164\U000e0101") == "⟨U+3164⟩⟨U+E0101⟩"
    assert inert("x" * 30_000).endswith("… 10,000 more characters left out")
    assert len(one_line("a\n" * 500)) == 120 and "\n" not in one_line("a\nb")
    assert one_line("x" * 120) == "x" * 120 and one_line("x" * 121) == "x" * 119 + "…"


def test_no_character_that_acts_or_hides_passes():
    active = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert len(active) > 200
    left = {char for char in inert("".join(active), None) if unicodedata.category(char) in ("Cc", "Cf", "Cs")}
    assert left == {"\n", "\t"}


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
    assert index == tmp_path / "site" / "index.html" and 'href="agents/agent-' in index.read_text()
    folder = index.parent / "submissions" / key
    listing = (folder / "index.html").read_text()
    for number, episode in enumerate(episodes):
        address = re.search(rf'"(episodes-\d+\.html)#e={number}"', listing)[1]
        view = json.loads(parts((folder / address).read_text())[f"episode-{number}"])
        assert view["task"] == episode.task_id and len(view["turns"]) == len(episode.turns)
        assert [turn["reward"] for turn in view["turns"]] == episode.rewards
        assert view["status"] == {True: "solved", False: "failed", None: "error"}[episode.success]


def test_large_episodes_get_pages_of_their_own(board, make, tmp_path):
    heavy = Turn(observation="o", action="a", result="r" * 1_000_000, reward=1.0)
    board.submit("agent", [make(i, turns=[heavy], task_id=f"eval-{i}") for i in range(3)])
    export_site(board, tmp_path / "site")
    pages = sorted((tmp_path / "site").rglob("episodes-*.html"))
    assert len(pages) == 3 and all(page.stat().st_size < 100_000 for page in pages)
    assert "980,000 more characters left out" in pages[0].read_text()


def test_a_long_episode_is_no_larger_than_a_page_can_hold(make):
    text, ids = "x\n" * 50_000, list(range(5_000))
    turn = Turn(
        observation="o", thought=text, action=text, result=text, reward=0.0, token_ids=ids, logprobs=[-1.0] * 5_000
    )
    view = episode_view(make(0, success=False, turns=[turn] * 200))
    assert len(view["turns"]) == 200 and len(json.dumps(view)) < 10_000_000
    assert view["turns"][0]["tokens"]["all"] == [0, 5_000] and len(view["turns"][0]["tokens"]["sampled"]) == 1_000


def test_pages_are_self_contained_and_allow_only_their_own_code(board, many, tmp_path):
    for name in "ab":
        board.submit(name, many(12, 0.5, policy=name))
    export_site(board, tmp_path / "site")
    pages = [page for page in (tmp_path / "site").rglob("*") if page.is_file()]
    assert all(page.suffix == ".html" for page in pages) and len(pages) == 9
    for page in pages:
        text = page.read_text()
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|innerHTML|\son\w+=|<[^>]* style=", text)
        policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
        assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "connect-src 'none'" in policy
        for code in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.S):
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_every_link_leads_to_a_page(board, many, tmp_path):
    for name in ("a", "b", "c"):
        board.submit(name, many(15, 0.5, policy=name), suite="first@1")
        board.submit(
            name, [e.model_copy(update={"env_id": "E-v0"}) for e in many(9, 0.4, policy=name)], suite="first@1"
        )
    board.submit("a", many(9, 0.4, policy="other"), suite="second@1")
    export_site(board, tmp_path / "site")
    for page in (tmp_path / "site").rglob("*.html"):
        links = re.findall(r'href="([^"#]+)', page.read_text())
        assert links
        for link in links:
            assert (page.parent / link).resolve().is_file(), (page, link)


def test_hostile_text_is_inert_on_every_page(board, make, many, weird, tmp_path):
    board.submit(weird, [hostile(make, weird)], suite=weird, meta={weird: {weird: [weird, {weird: weird}]}})
    board.submit("other", [hostile(make, weird).model_copy(update={"success": False, "score": 1.0})], suite=weird)
    export_site(board, tmp_path / "site")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {"agents", "compare", "submissions"} < {page.relative_to(tmp_path / "site").parts[0] for page in pages}
    for page in pages:
        text = page.read_text()
        assert re.fullmatch(r"[a-z0-9-]+\.html", page.name)
        assert "<script>window" not in text and "<img" not in text and "</script></script>" not in text
        active = {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t"}
        assert not active
        assert len(re.findall("<script", text)) == len(re.findall("</script>", text))
        for data in parts(text).values():
            assert all(char.isprintable() or char == "\n" for text in strings(json.loads(data)) for char in text)


def test_hidden_tasks_stay_off_the_pages_unless_asked_for(board, many, tmp_path):
    def secret(name, rate):
        turn = Turn(observation="SECRET prompt", action="{}", result="SECRET result", reward=0.0)
        changes = {
            "split": "hidden",
            "turns": [turn],
            "score": 0.0,
            "success": False,
            "error": None,
            "terminated": True,
        }
        return [
            e.model_copy(update={**changes, "id": f"h{e.id}", "task_id": f"hidden/SECRET/{i}"})
            for i, e in enumerate(many(12, rate, policy=name))
        ]

    for name, rate in (("a", 0.9), ("b", 0.2)):
        hidden = secret(name, rate)
        if name == "a":
            hidden = [
                e.model_copy(
                    update={"success": True, "score": 1.0, "turns": [e.turns[0].model_copy(update={"reward": 1.0})]}
                )
                for e in hidden
            ]
        board.submit(name, [*many(12, rate, policy=name), *hidden])
    export_site(board, tmp_path / "site")
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert not any("SECRET" in page for page in pages)
    assert any("12 episodes of the hidden split are not shown" in page for page in pages)
    assert any("Tasks of the hidden split are not shown" in page for page in pages)
    assert any("hidden split" in page and "100.0" in page for page in pages)  # the figures are no secret
    export_site(board, tmp_path / "site", hidden=True)
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert sum("SECRET prompt" in page for page in pages) >= 3  # two viewers, one comparison


def test_only_checked_pictures_are_shown(make):
    def shown(picture):
        results = [{"call_id": "0", "content": "", "artifacts": {"screenshot": picture}}]
        turn = Turn(observation="o", action="a", result="r", reward=1.0, results=results)
        return episode_view(make(0, turns=[turn]))["turns"][0].get("pictures", [])

    good = png()
    assert shown(good) == [good]
    svg = base64.b64encode(b"<svg onload=alert(1)>").decode()
    too_large = base64.b64encode(base64.b64decode(good) + b"\0" * MAX_PICTURE).decode()
    for bad in (
        svg,
        "javascript:alert(1)",
        good + "<",
        good[:20],
        png(60_000, 60_000),
        png(0, 5),
        too_large,
        None,
        {"a": 1},
    ):
        assert shown(bad) == []
    assert is_picture(good) and not is_picture("\ud800")


def test_tokens_are_ids_without_a_decoder_and_it_must_fit(board, many, tmp_path):
    episode = many(1, 1.0, tokens=True)[0]
    turn = episode.turns[0]
    assert episode_view(episode)["turns"][0]["tokens"]["sampled"] == turn.token_ids
    view = episode_view(episode, lambda ids: [f"</script>{i}" for i in ids])["turns"][0]
    tokens = view["tokens"]
    assert len(tokens["sampled"]) == len(tokens["logprobs"]) == tokens["all"][1] > 0
    assert len(tokens["fed"]) == tokens["all"][0] == 40 and view["advantage"] is not None
    board.submit("agent", [episode])
    with pytest.raises(ValueError, match="token ids"):
        export_site(board, tmp_path / "site", decode=lambda ids: ["one"])
    assert not (tmp_path / "site").exists() and not list(tmp_path.glob(".site*"))


def test_a_tokenizer_of_a_model_gives_the_texts(make, tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="needs thinkact[train]")
    words = tokenizers.models.WordLevel({"[UNK]": 0, "search": 1, "</script>": 2, "\u202e": 3}, unk_token="[UNK]")
    tokenizers.Tokenizer(words).save(str(tmp_path / "tokenizer.json"))
    turn = Turn(
        observation="o", action="a", result="r", reward=1.0, prompt_ids=[1], token_ids=[2, 3], logprobs=[-1, -2]
    )
    (view,) = episode_view(make(0, turns=[turn]), tokenizer_decoder(tmp_path))["turns"]
    assert view["tokens"]["fed"] == ["search"] and view["tokens"]["sampled"] == ["</script>", "⟨U+202E⟩"]
    with pytest.raises(FileNotFoundError, match="no tokenizer.json there"):
        tokenizer_decoder(tmp_path / "nowhere")


def test_export_replaces_an_export_and_nothing_else(board, many, tmp_path):
    export_site(board, tmp_path / "site")
    assert "No submissions yet" in (tmp_path / "site" / "index.html").read_text()
    board.submit("agent", many(3, 0.5))
    export_site(board, tmp_path / "site")
    assert {path.name for path in (tmp_path / "site").iterdir()} == {"index.html", "agents", "submissions"}
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("dear")
    with pytest.raises(FileExistsError, match="not an earlier export"):
        export_site(board, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter").read_text() == "dear"


def test_several_processes_write_the_same_site(board, many, tmp_path, monkeypatch):
    from thinkact.leaderboard import site

    for name in "abc":
        board.submit(name, many(8, 0.5, policy=name))

    write, calls = site._write, []
    monkeypatch.setattr(site, "_write", lambda *given: (calls.append(given), write(*given)))

    def written(folder, *, many_pages):
        calls.clear()
        monkeypatch.setattr(site, "_MANY_PAGES", many_pages)
        monkeypatch.setattr(site.os, "cpu_count", lambda: 2)
        root = export_site(board, tmp_path / folder).parent
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.html")}

    alone = written("alone", many_pages=10**6)
    assert len(alone) > 10 and written("together", many_pages=1) == alone
    assert len(calls) == 1  # the other process wrote its share
    monkeypatch.setattr(site.sys, "executable", "false")  # a process that fails is made up for
    assert written("despite", many_pages=1) == alone and len(calls) == 2


def test_disagreements_lead_to_the_newest_submissions(board, many, tmp_path):
    def numbered(rate, policy):  # ids that every submission has
        return [e.model_copy(update={"id": f"e{at}"}) for at, e in enumerate(many(20, rate, policy=policy))]

    old = board.submit("a", numbered(0.1, "old"))
    new, other = board.submit("a", numbered(0.9, "a")), board.submit("b", numbered(0.2, "b"))
    export_site(board, tmp_path / "site")
    (page,) = (path for path in (tmp_path / "site" / "compare").iterdir() if "episodes" not in path.name)
    linked = set(re.findall(r'submissions/([^/"]+)/episodes', page.read_text()))
    assert linked == {new, other} and old not in linked
    side = page.with_name(page.name.replace(".html", "-episodes.html")).read_text()
    for pair in json.loads(parts(side)["pairs"]):
        assert {one["status"] for one in pair["sides"]} & {"solved"} and len(
            {one["status"] for one in pair["sides"]}
        ) == 2
        assert all(one["task"] in pair["task"] for one in pair["sides"])


def test_withheld_submissions_are_named(board, make, tmp_path):
    key = board.submit("agent", [make(0)])
    path = board.path / "episodes" / f"{key}.jsonl"
    path.write_text(path.read_text().replace("prompt", "Prompt"))
    page = export_site(board, tmp_path / "site").read_text()
    assert key in page and "not what was submitted" in page


def test_a_lost_record_is_shown_as_an_error(board, make):
    key = board.submit("agent", [make(i) for i in range(3)])
    path = board.path / "episodes" / f"{key}.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    pages = Pages(board)
    pages.refresh()
    views = [json.loads(text) for text in parts(pages.render(f"submissions/{key}/episodes-0.html")).values()]
    assert [view["status"] for view in views[1:]] == ["solved", "solved", "error"]


def test_kept_figures_are_those_of_the_board(board, many):
    board.submit("a", many(20, 0.8, policy="a"))
    board.submit("b", many(20, 0.3, policy="b"))
    tab = Tab("default", "eval")
    first, again = Figures(board), Figures(board)
    for one in (first, again):
        one.refresh()
    computed, kept = first.standings(tab), again.standings(tab)
    (expected,) = standings(board)
    assert kept == computed and [a.summary for a in kept.agents] == [a.summary for a in expected.agents]
    assert [(a.rank.best, a.rank.worst) for a in kept.agents] == [(a.rank.best, a.rank.worst) for a in expected.agents]
    board.submit("c", many(20, 0.5, policy="c"))
    assert again.refresh() and not again.refresh()
    assert len(again.standings(tab).agents) == 3
    assert len(list((board.path / "cache").iterdir())) == 1  # of the board as it is now alone
    for spoilt in (b"{}", b"[", b'{"agents": 3}'):
        for file in (board.path / "cache").iterdir():
            file.write_bytes(spoilt)
        fresh = Figures(board)
        fresh.refresh()
        assert fresh.standings(tab) == again.standings(tab)


def test_plots_mark_the_front_and_stay_within_their_frame(board, many):
    for at, name in enumerate("abcde"):
        board.submit(name, many(20, 0.2 * at, policy=name))
    quick = [
        e.model_copy(update={"id": f"x{e.id}", "turns": e.turns[-1:], "score": e.turns[-1].reward})
        for e in many(20, 1.0)
    ]
    board.submit("expert", [e for e in quick if e.error is None and not e.truncated], kind="baseline")
    agents = standings(board)[0].agents
    competing = [(one.name, one.summary) for one in agents if not one.baseline]
    drawn = plots(agents)
    assert [plot.amount for plot in drawn] == ["tokens", "seconds", "turns"]  # nothing had a price
    for plot in drawn:
        assert [mark.point for mark in plot.marks if mark.point.name != "expert"] == pareto(competing, plot.amount)
        assert [mark.point.front for mark in plot.marks if mark.point.name == "expert"] == [False]
        assert len(plot.front) == 2 * sum(mark.point.front for mark in plot.marks) - 1
        assert all(0 <= place <= 100 for mark in plot.marks for place in (mark.x, mark.y, mark.low, mark.high))
        assert plot.ticks and all(0 <= place <= 100 for place, _ in plot.ticks)


@pytest.mark.parametrize("amounts", [(1, 1), (1, 1.0001), (3, 4), (9, 110), (1e-4, 1e7), (7, 80)])
def test_every_axis_has_marks(board, many, amounts):
    board.submit("a", many(5, 0.5))
    one = standings(board)[0].agents[0]
    agents = [replace(one, name=str(at), summary=replace(one.summary, tokens=at)) for at in amounts]
    (plot,) = (plot for plot in plots(agents) if plot.amount == "tokens")
    assert plot.ticks and all(0 <= place <= 100 for place, _ in plot.ticks)
