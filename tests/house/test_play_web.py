"""Playing web tasks by hand, and films of episodes: the lock of the door, what passes it, pictures that are right."""

import importlib.util
import os

import httpx
import pytest
from PIL import Image

from thinkact.cli_common import UserError
from thinkact.cli_film import Film, film_episode, nth_episode
from thinkact.cli_play_browser import Door, Served
from thinkact.tools.browser import BrowserFault, find_chrome

PLACES = {"shop.test": "http://127.0.0.1:1", "mail.test": "http://127.0.0.1:2"}


def _browser_lacking():
    if importlib.util.find_spec("miniwob") is None or importlib.util.find_spec("uvicorn") is None:
        return "MiniWoB's pages or uvicorn are not here"
    try:
        find_chrome()
    except BrowserFault as error:
        return str(error)
    return ""


needs_browser = pytest.mark.skipif(
    bool(_browser_lacking()) and os.environ.get("CI") != "true", reason=_browser_lacking() or "nothing lacks"
)


async def site(scope, receive, send):
    headers = dict(scope["headers"])
    seen = [headers[b"host"].decode(), scope["path"], str(sorted(name.decode() for name in headers))]
    body = ("<a href='http://mail.test/box'>mail</a> " + " ".join(seen)).encode()
    start = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode())]
    start += [(b"location", b"http://shop.test/next"), (b"set-cookie", b"a=b")]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    await send({"type": "http.response.body", "body": body[:10], "more_body": True})
    await send({"type": "http.response.body", "body": body[10:]})


def ask(door, path, **kwargs):
    import anyio

    async def go():
        transport = httpx.ASGITransport(app=door)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1", **kwargs) as client:
            return await client.get(path)

    return anyio.run(go)


def test_the_door_opens_for_the_token_only():
    door = Door(site, "shop.test", "secret-token", PLACES)
    for path, cookies in (("/", {}), ("/?token=wrong", {}), ("/?token=", {}), ("/", {"thinkact_play": "wrong"})):
        answer = ask(door, path, cookies=cookies)
        assert answer.status_code == 403 and b"mail" not in answer.content
    answer = ask(door, "/orders?page=2&token=secret-token")
    assert answer.status_code == 303 and answer.headers["location"] == "/orders?page=2"
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=Strict" in answer.headers["set-cookie"]


def test_what_passes_the_door_belongs_to_the_other_side():
    door = Door(site, "shop.test", "secret-token", PLACES)
    headers = {"origin": "http://127.0.0.1:1", "referer": "http://127.0.0.1:1/x", "x-soft": "1"}
    answer = ask(door, "/cart", cookies={"thinkact_play": "secret-token"}, headers=headers)
    assert answer.headers["location"] == "http://127.0.0.1:1/next"
    assert "http://127.0.0.1:2/box" in answer.text and ".test/box" not in answer.text
    assert "shop.test /cart" in answer.text and "x-soft" in answer.text
    assert "origin" not in answer.text and "referer" not in answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_sites_are_served_on_this_machine_and_stop():
    with Served({"shop.test": site, "mail.test": site}) as served:
        first, second = served.addresses()
        assert first.startswith("http://127.0.0.1:") and served.token in second
        with httpx.Client(follow_redirects=True) as client:
            assert served.places["mail.test"] in client.get(first).text
            assert httpx.get(served.places["shop.test"]).status_code == 403
    with pytest.raises(httpx.ConnectError):
        httpx.get(first)


def test_films_are_gifs_or_strips(tmp_path):
    import numpy as np

    for name in ("a.gif", "a.png"):
        film = Film(tmp_path / name)
        with pytest.raises(UserError, match="nothing to show"):
            film.save()
        for shade in (0, 120, 240):
            film.add(np.full((60, 1600, 3), shade, dtype=np.uint8), f"frame {shade}\x1b[31m" * 40)
        assert film.save() == 3
        with Image.open(tmp_path / name) as made:
            assert getattr(made, "n_frames", 1) == (3 if name.endswith("gif") else 1)
    with pytest.raises(UserError, match="gif"):
        Film(tmp_path / "a.mp4")


@needs_browser
def test_an_episode_is_filmed_as_it_was(tmp_path):
    from thinkact.policies import ExpertPolicy, rollout
    from thinkact.policies.episode import write_episodes

    played = rollout("thinkact/MiniWoB-v0", ExpertPolicy(), episodes=1, seed=3, env_kwargs={"tasks": "enter-password"})
    write_episodes(tmp_path / "played.jsonl", played)
    episode = nth_episode(tmp_path / "played.jsonl", 0, None)
    told = film_episode(episode, tmp_path / "film.gif", {"tasks": "enter-password"})
    assert told["as_recorded"] and told["score"] == 1.0 and told["frames"] == len(episode.turns) + 1
    with Image.open(tmp_path / "film.gif") as made:
        assert 2 <= made.n_frames <= told["frames"]  # frames that are alike are one
    with pytest.raises(UserError, match="no episode 1"):
        nth_episode(tmp_path / "played.jsonl", 1, None)


@needs_browser
def test_the_doctor_tries_the_browser(monkeypatch):
    from thinkact.cli_doctor_browser import browser

    seen = browser()
    assert seen.works, seen.detail
    assert seen.facts["clicks"] and seen.facts["file_refused"] and seen.facts["screenshot"]
    monkeypatch.setenv("THINKACT_CHROME", "/nowhere/chrome")
    seen = browser()
    assert not seen.works and "THINKACT_CHROME" in seen.detail and "apt-get" in seen.fix
