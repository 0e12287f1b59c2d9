"""The board as a web server on this machine, for this machine's browser: the pages of an export, made when asked for.

It can only be read. It listens on the loopback address, answers to no other name than this machine's own (a page
elsewhere that makes its name point here gets nothing), to no request that another site's page makes, and opens no
file by an address: every address is looked up in what the board lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from thinkact.leaderboard.live import Live
from thinkact.leaderboard.pages import Pages
from thinkact.leaderboard.records import RejectedSubmission
from thinkact.leaderboard.store import Board, BoardLocked
from thinkact.leaderboard.transcripts import Decode

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

#: What this machine calls itself.
_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
#: Rendered pages kept, and how often the board is looked at so that the next reader need not wait.
_KEPT, _LOOK_EVERY_S = 64, 2.0
_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest stands in each page, with its hashes
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_log = logging.getLogger("thinkact.leaderboard.web")


def application(
    board: Board, *, suite: str | None = None, decode: Decode | None = None, hidden: bool = False
) -> Starlette:
    """Return the ASGI application.

    Args:
        board: What to show.
        suite: Only this suite.
        decode: Gives the text of each token id; without it ids are shown.
        hidden: Show tasks and transcripts of the hidden split too.

    Raises:
        ModuleNotFoundError: Without Starlette, which comes with ``pip install 'thinkact[serve]'``.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    front = _Front(Pages(board, suite=suite, decode=decode, hidden=hidden, live=True), Live(board.path, hidden=hidden))
    routes = [Route("/live.json", front.live_data), Route("/{path:path}", front.page)]
    return Starlette(routes=routes, lifespan=front.lifespan)


def serve(app: Starlette, *, port: int = 8321, started: Callable[[str], None] = print) -> None:
    """Serve on the loopback address until interrupted.

    Args:
        app: See :func:`application`.
        port: 0 takes a free one.
        started: Called with the address once it can be asked.

    Raises:
        OSError: The port is taken.
    """
    import uvicorn

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        started(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, limit_concurrency=64)
        uvicorn.Server(config).run(sockets=[listener])


class _Front:
    """Takes requests: who asks, for what, and whether they have it already."""

    def __init__(self, pages: Pages, live: Live) -> None:
        self.pages = pages
        self.live = live
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Keep figures at hand while the application runs."""
        watch = asyncio.create_task(self._watch())
        yield
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch

    async def page(self, request: Request) -> Response:
        """Answer with a page."""
        from starlette.responses import PlainTextResponse, Response

        if refusal := _refusal(request):
            return PlainTextResponse(refusal, 403, _HEADERS)
        path = request.path_params["path"] or "index.html"
        try:
            tag, body = await asyncio.to_thread(self._rendered, path, request.headers.get("if-none-match", ""))
        except BoardLocked as error:
            return PlainTextResponse(str(error), 503, {**_HEADERS, "Retry-After": "2"})
        except (RejectedSubmission, FileNotFoundError) as error:
            _log.warning("%s: %s", path, error)
            return PlainTextResponse("The files of this submission have changed since it was listed.", 409, _HEADERS)
        if tag is None:
            return PlainTextResponse("There is no such page.", 404, _HEADERS)
        headers = {**_HEADERS, "ETag": tag, "Cache-Control": "private, no-cache"}
        if body is None:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/html")

    async def live_data(self, request: Request) -> Response:
        """Answer with how far the running submissions are."""
        from starlette.responses import JSONResponse, PlainTextResponse

        if refusal := _refusal(request):
            return PlainTextResponse(refusal, 403, _HEADERS)
        runs = await asyncio.to_thread(self.live.poll)
        return JSONResponse({"runs": runs}, headers={**_HEADERS, "Cache-Control": "no-store"})

    def _rendered(self, path: str, known: str) -> tuple[str | None, bytes | None]:
        """Return a page and its tag; no page when the reader has it already, no tag when there is none."""
        state = self.pages.refresh()
        tag = f'"{hashlib.sha256(f"{state} {path}".encode()).hexdigest()[:32]}"'
        with self._lock:
            body = self._kept.get((state, path))
        if body is None:
            page = self.pages.page("live.html", "", ("live.js",)) if path == "live.html" else self.pages.render(path)
            if page is None:
                return None, None
            body = page.encode()
        with self._lock:
            self._kept[state, path] = body
            self._kept.move_to_end((state, path))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return tag, None if tag in known else body

    def _warm(self) -> None:
        self.pages.refresh()
        self.pages.warm()

    async def _watch(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._warm)
            except Exception as error:  # whoever asks for the page is told; the watch goes on
                _log.warning("looking at the board: %s", error)
            await asyncio.sleep(_LOOK_EVERY_S)


def _refusal(request: Request) -> str:
    """Return why a request is not answered; nothing for an honest one."""
    host = request.headers.get("host", "")
    if _name(host) not in _NAMES:
        return "This board answers to 127.0.0.1 and localhost only."
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "Another site's page may not ask this board."
    # A link from anywhere may lead here; a page elsewhere may load nothing from here.
    site, mode = (request.headers.get(f"sec-fetch-{part}", "") for part in ("site", "mode"))
    if site not in ("", "none", "same-origin") and mode != "navigate":
        return "Another site's page may not load this board."
    return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
