"""The pages of MiniWoB, served to one episode.

The pages are those of the PyPI package ``miniwob`` (MIT). Two things are different: a script runs first
(``page.js``), which keeps the clock, starts the episode from its seed and names what has no name; and what pages load
is kept by the browser until the episode is over, and made ready for the next one (:func:`shell`).
"""

from __future__ import annotations

import functools
import html
import importlib.util
import json
import mimetypes
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from thinkact.tools.browser import Shell

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


#: The script that runs first in every page.
_FIRST = "/thinkact/page.js"
#: What most pages load, in the order in which they do.
_COMMON = (
    "/core/core.css /core/jquery-ui/jquery-ui.min.css /core/core.js /core/d3.v3.min.js "
    "/core/jquery-ui/external/jquery/jquery.js /core/jquery-ui/jquery-ui.min.js /common/ui_utils.js"
).split()


@functools.lru_cache(maxsize=512)
def _file(path: str) -> bytes | None:
    if path == _FIRST:
        return resources.files(__package__).joinpath("page.js").read_bytes()
    folder = pages_folder()
    file = (folder / path.lstrip("/")).resolve()
    return file.read_bytes() if file.is_relative_to(folder) and file.is_file() else None


def _first(seed: int) -> str:
    settings = json.dumps({"seed": seed, "epoch": round(EPOCH.timestamp() * 1000), "longest": LONGEST_MS})
    return f'<meta charset="utf-8"><script src="{_FIRST}" data-settings="{html.escape(settings)}"></script>'


async def _answer(scope: Scope, send: Send, read: Callable[[str], bytes | None]) -> None:
    path = scope["path"]
    body = read(path) if scope["method"] in ("GET", "HEAD") else None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    kind += "; charset=utf-8" if kind.startswith("text/") else ""
    # All but pages is the same for everybody; a context that has it does not ask again.
    keep = "no-store" if body is None or path.endswith(".html") else "max-age=31536000, immutable"
    headers = {"content-type": kind, "content-length": str(len(body or b"")), "cache-control": keep}
    head = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 404 if body is None else 200, "headers": head})
    await send({"type": "http.response.body", "body": body or b""})


async def _library(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(scope, send, lambda path: None if path.endswith(".html") else _file(path))


@functools.cache
def shell() -> Shell:
    """Return the page on which a new context waits, whatever the task: what most tasks load runs in it once."""
    script, style = '<script src="{}"></script>', '<link rel="stylesheet" href="{}">'
    tags = "".join((style if path.endswith(".css") else script).format(path) for path in _COMMON)
    page = f"<!doctype html><head>{_first(0)}<title></title>{tags}"
    return Shell(HOST, page, "default-src 'self'; style-src 'self' 'unsafe-inline'", _library)


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
        self._first = _first(seed).encode()

    def url(self) -> str:
        """Return the address of the task's page."""
        return f"http://{HOST}{self._page}"

    def read(self, path: str) -> bytes | None:
        """Return what is at a path; None where nothing is, other tasks' pages included."""
        body = _file(path)
        if body is None or not path.endswith(".html"):
            return body
        if path == self._page:
            head = body.lower().index(b"<head>") + len(b"<head>")
            return body[:head] + self._first + body[head:]
        # The flights of an airline are pages inside a page; tasks of other names are not for this episode.
        return body if path.rpartition("/")[0] == self._page.rpartition("/")[0] != "/miniwob" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await _answer(scope, send, self.read)
