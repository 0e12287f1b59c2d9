"""The server: who may ask, what is never asked again, and what a running submission shows."""

import asyncio
import json
import os
import re
import socket

import httpx
import pytest

from thinkact.leaderboard import Board
from thinkact.leaderboard.live import LATEST, Live
from thinkact.leaderboard.running import RunFolder, Status, now

web = pytest.importorskip("thinkact.leaderboard.web", reason="needs thinkact[serve]")
pytest.importorskip("starlette", reason="needs thinkact[serve]")


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "board")


@pytest.fixture
def ask(board):
    app = web.application(board)

    def asked(path="/", method="GET", **headers):
        async def go():
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8321") as client:
                return await client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

        return asyncio.run(go())

    return asked


def test_pages_are_those_of_the_export_with_headers_on_top(board, many, ask):
    key = board.submit("agent", many(60, 0.5))
    for path in (
        "/",
        "/index.html",
        f"/submissions/{key}/index.html",
        f"/submissions/{key}/episodes-1.html",
        "/live.html",
    ):
        answer = ask(path)
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8", path
        assert (
            answer.headers["x-frame-options"] == "DENY"
            and "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        )
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', answer.text)[1]
        assert ("connect-src &#39;self&#39;" in policy) == (path == "/live.html")


def test_a_page_is_sent_once_until_the_board_changes(board, many, ask):
    board.submit("agent", many(5, 0.5))
    first = ask("/")
    tag = first.headers["etag"]
    again = ask("/", if_none_match=tag)
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == tag
    assert ask("/live.html", if_none_match=tag).status_code == 200
    board.submit("other", many(5, 0.5, policy="other"))
    changed = ask("/", if_none_match=tag)
    assert changed.status_code == 200 and "other" in changed.text and changed.headers["etag"] != tag


@pytest.mark.parametrize("path", ["/", "/live.json", "/nowhere"])
def test_only_this_machine_by_its_own_name(path, ask):
    for host in ("evil.example", "127.0.0.1.evil.example:8321", "0.0.0.0:8321", "", "[::1", "localhost@evil.example"):
        assert ask(path, host=host).status_code == 403, host
    for host in ("localhost:8321", "127.0.0.1:9", "[::1]:8321", "LOCALHOST"):
        assert ask(path, host=host).status_code != 403, host


def test_other_sites_may_link_here_and_load_nothing(ask):
    assert ask("/", origin="http://evil.example").status_code == 403
    assert ask("/", origin="null").status_code == 403
    assert ask("/", origin="http://127.0.0.1:9999").status_code == 403  # another program's page on this machine
    assert ask("/", origin="http://127.0.0.1:8321").status_code == 200
    assert ask("/live.json", sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status_code == 403
    assert ask("/live.json", sec_fetch_site="same-site", sec_fetch_mode="cors").status_code == 403
    assert ask("/live.json", sec_fetch_site="same-origin", sec_fetch_mode="cors").status_code == 200
    assert ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status_code == 200


def test_it_can_only_be_read(board, ask):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask("/", method=method).status_code == 405
    assert ask("/", method="HEAD").status_code == 200


def test_no_file_is_opened_by_an_address(board, many, ask):
    key = board.submit("agent", many(2, 0.5))
    (board.path / "secret.json").write_text("SECRET")
    (board.path / "episodes" / "plain.jsonl").write_text("SECRET")
    for path in (
        "/../secret.json",
        "/%2e%2e/secret.json",
        "/..%2fsecret.json",
        "/secret.json",
        "/index.sqlite",
        f"/episodes/{key}.jsonl",
        "/submissions/plain/index.html",
        f"/submissions/{key}/../../secret.json",
        f"/submissions/..%2f{key}/index.html",
        f"/submissions/{key}/episodes-999999.html",
        "/compare/00000000-00000000-00000000.html",
        "/agents/%00.html",
        "/etc/passwd",
        "//etc/passwd",
    ):
        answer = ask(path)
        assert answer.status_code == 404 and "SECRET" not in answer.text, path


def test_files_that_change_under_a_page_are_a_clear_answer(board, many, ask):
    key = board.submit("agent", many(3, 1.0))
    path = board.path / "episodes" / f"{key}.jsonl"
    assert ask(f"/submissions/{key}/episodes-0.html").status_code == 200
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"capital", b"CAPITAL"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # an index that has not noticed
    answer = ask(f"/submissions/{key}/episodes-0.html")
    assert answer.status_code == 200 and b"CAPITAL" not in answer.content or answer.status_code in (404, 409)
    path.write_bytes(b"")
    assert ask(f"/submissions/{key}/episodes-0.html").status_code in (200, 404)
    assert ask("/").status_code == 200


def run(board, name, episodes, **changes):
    fields = dict(run=name, agent="agent", suite="core@1", total=40, started=now(), updated=now(), pid=os.getpid())
    with RunFolder(board.path, name) as folder:
        for episode in episodes:
            folder.journal.append(episode.model_dump_json().encode())
        folder.write_status(Status(**{**fields, "done": len(episodes), **changes}), at_once=True)


def test_a_run_is_followed_episode_by_episode(board, many, ask):
    assert ask("/live.json").json() == {"runs": []}
    episodes = many(40, 0.6)
    run(board, "one", episodes[:3], eta=12.4)
    (first,) = ask("/live.json").json()["runs"]
    assert (first["done"], first["total"], first["state"], first["eta"]) == (3, 40, "running", 12)
    run(board, "one", episodes[3:], done=40)
    live = Live(board.path)
    (shown,) = live.poll()
    resolved = [e for e in episodes if e.success is not None]
    assert shown["success"] == pytest.approx(sum(e.success for e in resolved) / len(resolved))
    assert shown["low"] < shown["success"] < shown["high"]
    assert [one["task"] for one in shown["latest"]] == [e.task_id for e in episodes[::-1]][:LATEST]
    assert live.poll() == [shown]  # nothing is counted twice


def test_what_is_not_whole_is_not_there_yet(board, many):
    episodes = many(3, 1.0)
    run(board, "one", episodes[:1])
    live, journal = Live(board.path), board.path / "running" / "one" / "episodes.jsonl"
    line = episodes[1].model_dump_json().encode() + b"\n"
    with journal.open("ab") as file:
        file.write(line[:50])
    assert len(live.poll()[0]["latest"]) == 1
    with journal.open("ab") as file:
        file.write(line[50:] + b"not json\n[]\n")
    assert len(live.poll()[0]["latest"]) == 2
    journal.unlink()
    assert live.poll()[0]["latest"]  # its status is still there
    journal.write_bytes(line)  # a new run in its place
    assert [one["task"] for one in live.poll()[0]["latest"]] == [episodes[1].task_id]


def test_runs_tell_whether_they_still_run(board):
    run(board, "stopped", [], state="stopped", message="interrupted")
    run(board, "killed", [], pid=2**22 + 1)
    states = {one["run"]: one["state"] for one in Live(board.path).poll()}
    assert states == {"stopped": "stopped", "killed": "gone"}


def test_a_run_shows_no_hidden_task_and_nothing_that_acts(board, make, weird):
    hostile = make(0, task_id=weird, env_id=weird)
    secret = make(1, split="hidden", task_id="SECRET")
    run(board, "one", [hostile, secret], agent=weird, suite=weird, message=weird)
    text = json.dumps(Live(board.path).poll(), ensure_ascii=False)
    assert "SECRET" not in text and "\x1b" not in text and "\u202e" not in text
    assert "SECRET" in json.dumps(Live(board.path, hidden=True).poll())


def test_a_taken_port_is_a_clear_error(board):
    from thinkact.cli_common import UserError
    from thinkact.cli_serve import serve_board

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="name another with --port"):
            serve_board(board=board.path, port=taken.getsockname()[1])


def test_a_new_reader_of_the_board_gets_the_same_tags(board, many, ask):
    board.submit("agent", many(3, 0.5))
    other = web.application(Board(board.path))
    with_texts = web.application(board, decode=lambda ids: [str(one) for one in ids])
    with_hidden = web.application(board, hidden=True)

    def tag(app):
        async def go():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
                return (await client.get("/")).headers["etag"]

        return asyncio.run(go())

    first = ask("/").headers["etag"]
    assert tag(other) == first and len({first, tag(with_texts), tag(with_hidden)}) == 3
