"""The pages of MiniWoB, served to one episode.

The pages are those of the PyPI package ``miniwob`` (MIT). Two things are different: a script runs first
(``page.js``), which keeps the clock, starts the episode from its seed and names what has no name; and the scripts and
style sheets that a page loads stand in it, so that opening it is one request.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import mimetypes
import posixpath
import re
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

#: The host of the pages, inside the browser.
HOST = "miniwob.test"
#: What every page takes for the moment it was loaded. Tasks that draw dates name years from 2010 to 2019.
EPOCH = datetime(2016, 10, 1, 9, tzinfo=UTC)
#: Milliseconds of the page's clock after which a task ends itself. Below 2**31, above what any budget of turns takes.
LONGEST_MS = 1_000_000_000

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class MiniWobMissing(RuntimeError):
    """The package that holds the pages is not installed."""


@functools.cache
def pages_folder() -> Path:
    """Return the folder of the pages.

    Raises:
        MiniWobMissing: The package ``miniwob`` is not installed.
    """
    spec = importlib.util.find_spec("miniwob")
    folder = Path(spec.origin).parent / "html" if spec is not None and spec.origin else None
    if folder is None or not (folder / "core" / "core.js").is_file():
        raise MiniWobMissing("The pages of MiniWoB are not installed: pip install --no-deps miniwob==1.1.0")
    return folder


def page_path(name: str) -> str:
    """Return the path of a task's page, below the host."""
    return f"/{name}/wrapper.html" if name.startswith("flight/") else f"/miniwob/{name}.html"


@functools.cache
def _script() -> str:
    return resources.files(__package__).joinpath("page.js").read_text("utf-8")


@functools.lru_cache(maxsize=512)
def _file(path: str) -> bytes | None:
    folder = pages_folder()
    file = (folder / path.lstrip("/")).resolve()
    return file.read_bytes() if file.is_relative_to(folder) and file.is_file() else None


_SCRIPT = re.compile(r'<script src="([^"]+)"[^>]*></script>')
_STYLE = re.compile(r'<link [^>]*href="([^"]+\.css)"[^>]*>')
_URL = re.compile(r"url\(['\"]?(?!data:)([^)'\"]+)['\"]?\)")


@functools.lru_cache(maxsize=256)
def _whole(path: str) -> tuple[bytes, bytes]:
    """Return a page with what it loads in place, cut where the first script goes."""

    def read(address: str, base: str) -> tuple[str, str]:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(base), address))
        body = _file(target)
        return target, "" if body is None else body.decode("utf-8", "replace")

    def script(match: re.Match[str]) -> str:
        text = read(match[1], path)[1].replace("</script", "<\\/script")
        return f"<script>{text}</script>"

    def style(match: re.Match[str]) -> str:
        target, text = read(match[1], path)
        folder = posixpath.dirname(target)
        return (
            f"<style>{_URL.sub(lambda url: f'url({posixpath.normpath(posixpath.join(folder, url[1]))})', text)}</style>"
        )

    text = (_file(path) or b"").decode("utf-8", "replace")
    if path.startswith("/miniwob/"):
        text = _STYLE.sub(style, _SCRIPT.sub(script, text))
    head = text.lower().index("<head>") + len("<head>")
    return text[:head].encode(), text[head:].encode()


class Site:
    """The ASGI application of one episode: the page of its task, and what that page loads.

    Args:
        name: The task, such as ``"click-test"``.
        seed: Seed of the page's random numbers.

    Raises:
        MiniWobMissing: The package ``miniwob`` is not installed.
    """

    def __init__(self, name: str, seed: int) -> None:
        pages_folder()
        self._page = page_path(name)
        settings = {"seed": seed, "epoch": round(EPOCH.timestamp() * 1000), "longest": LONGEST_MS}
        script = _script().replace("__SETTINGS__", json.dumps(settings))
        self._first = f'<meta charset="utf-8"><script>{script}</script>'.encode()

    def url(self) -> str:
        """Return the address of the task's page."""
        return f"http://{HOST}{self._page}"

    def read(self, path: str) -> bytes | None:
        """Return what is at a path; None where nothing is, other tasks' pages included."""
        body = _file(path)
        if body is None or not path.startswith(("/miniwob/", "/flight/")) or not path.endswith(".html"):
            return body
        if path == self._page:
            before, after = _whole(path)
            return before + self._first + after
        # The flights of an airline are pages inside a page; tasks of other names are not for this episode.
        return body if path.rpartition("/")[0] == self._page.rpartition("/")[0] != "/miniwob" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = self.read(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        kind = mimetypes.guess_type(scope["path"])[0] or "application/octet-stream"
        kind += "; charset=utf-8" if kind.startswith("text/") else ""
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body or b"")).encode())]
        await send({"type": "http.response.start", "status": 404 if body is None else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body or b""})
