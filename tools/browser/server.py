"""The one door between the pages and their sites: a server on loopback that knows every episode by its cookie."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from thinkact.tools.browser.types import ASGIApp, BrowserFault

#: Name of the cookie that ties a request to its episode. Pages cannot read it (HttpOnly) nor guess it.
COOKIE = "thinkact-episode"

_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def new_token() -> str:
    """Return what a cookie holds that nobody guesses."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Shell:
    """A page without content on which a context waits for the next episode.

    There are two kinds. The first page of an episode is fetched into one without ``files``, by soft navigation, instead
    of being loaded: its script fetches what is at the page's address, and puts it in place, when it hears
    ``popstate``; until then it draws nothing from clock and chance and keeps nothing. One with ``files`` is where a new
    context begins, and the first page is loaded in its place: what both need is there already, and compiled. It stays
    in the context's caches from episode to episode.

    Attributes:
        host: The site's.
        html: The page, at ``/``.
        policy: Its Content-Security-Policy, which holds for everything that comes into it.
        files: Answers what it loads, as its site does: with the same bytes in every episode and leave to keep them.
            All else the site must forbid to be kept.
    """

    host: str
    html: str
    policy: str
    files: ASGIApp | None = None


class Visit:
    """The sites of one episode, and the requests that they have not answered.

    Args:
        sites: Host to application.
        changed: Called whenever a request begins or ends.
        token: What the cookies of its pages hold.
    """

    def __init__(self, sites: Mapping[str, ASGIApp], changed: Callable[[], None], token: str) -> None:
        self.sites = dict(sites)
        self.changed = changed
        self.token = token
        self.fault: str | None = None
        #: Hosts that were asked for something, in order.
        self.met: dict[str, None] = {}
        self._open: dict[int, float] = {}
        self._work: set[asyncio.Future[None]] = set()
        self._count = 0

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet."""
        return len(self._open)

    def waited(self) -> float:
        """Return the seconds for which the oldest open request has waited; 0 when there is none."""
        return time.monotonic() - min(self._open.values()) if self._open else 0.0

    async def answer(self, app: ASGIApp, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Let a site answer one request; what it raises is kept as a fault of ours."""
        self._count += 1
        number = self._count
        self._open[number] = time.monotonic()
        self.changed()
        begun = ended = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal begun, ended
            begun = True
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        work = asyncio.ensure_future(app(scope, receive, watched))
        self._work.add(work)
        try:
            await asyncio.wait([work])
            if not work.cancelled() and (error := work.exception()) is not None:
                shown = "".join(traceback.format_exception(error, limit=-6))
                self.fault = f"{scope['method']} {scope['path']}: {shown}"
            if not begun:
                await _reply(send, 500, "The site failed.")
            elif not ended:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._work.discard(work)
            del self._open[number]
            self.changed()

    def end(self) -> None:
        """Give up what is still being answered."""
        for work in self._work:
            work.cancel()


class Server:
    """Serves every episode of a process: a request goes to the site of its Host in the episode of its cookie."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._shells: dict[str, Shell] = {}
        # With its protocol named, asyncio turns Nagle's algorithm off: an answer's body else waits 40 ms for the
        # browser's acknowledgement of its head.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._task: asyncio.Task[None] | None = None
        self._server: Any = None

    async def start(self) -> None:
        """Listen.

        Raises:
            BrowserFault: uvicorn is not installed, or cannot listen.
        """
        try:
            import uvicorn
        except ImportError as error:
            raise BrowserFault("the browser needs uvicorn: pip install 'thinkact[browser]'.") from error
        # Without dates and names: a site's answers are the same bytes every time.
        config = uvicorn.Config(
            self._dispatch,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                raise BrowserFault(f"the server of the sites did not start: {self._task.exception()}")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Stop listening; open requests are dropped."""
        for visit in list(self._visits.values()):
            self.dismiss(visit)
        if self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            await asyncio.wait([self._task], timeout=3)
        self._socket.close()

    def admit(self, visit: Visit) -> None:
        """Let an episode's requests in."""
        self._visits[visit.token] = visit

    def dismiss(self, visit: Visit) -> None:
        """Let them in no more."""
        self._visits.pop(visit.token, None)
        visit.end()

    @contextmanager
    def offer(self, token: str, shell: Shell) -> Iterator[None]:
        """Answer a context that serves no episode with a shell, at its address only."""
        self._shells[token] = shell
        try:
            yield
        finally:
            del self._shells[token]

    async def _dispatch(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        host, token, headers = "", "", []
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            if name == b"cookie":
                # The token is between the browser and us; a site must not be able to show it.
                token, rest = _take(value.decode("latin-1"), token)
                if not rest:
                    continue
                value = rest.encode("latin-1")
            headers.append((name, value))
        visit = self._visits.get(token)
        app = visit.sites.get(host) if visit else None
        if visit is not None and app is not None:
            visit.met[host] = None
        if visit is None or app is None:
            shell = self._shells.get(token)
            if shell is None or (shell.host, "GET") != (host, scope["method"]):
                await _reply(send, 403, "There is nothing here.")
            elif scope["path"] == "/":
                await _reply(send, 200, shell.html, "text/html", (b"content-security-policy", shell.policy.encode()))
            elif shell.files is not None:
                await shell.files({**scope, "headers": headers}, receive, send)
            else:
                await _reply(send, 403, "There is nothing here.")
            return
        await visit.answer(app, {**scope, "headers": headers}, receive, send)


def _take(cookies: str, token: str) -> tuple[str, str]:
    rest = []
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            token = value
        elif cookie.strip():
            rest.append(cookie.strip())
    return token, "; ".join(rest)


async def _reply(send: _Send, status: int, text: str, kind: str = "text/plain", *more: tuple[bytes, bytes]) -> None:
    body = text.encode()
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
