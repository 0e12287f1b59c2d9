"""A person does a task of a web environment: in a window of the environment's own browser, or in their own."""

from __future__ import annotations

import json
import os
import queue
import secrets
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlencode

from rich.panel import Panel
from rich.text import Text

from thinkact.cli_common import UserError, out
from thinkact.envs import Check, ToolEnv
from thinkact.leaderboard.inert import inert

#: Seconds between two looks at the checks.
_BETWEEN = 0.5
_COOKIE = "thinkact_play"
Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Door:
    """One site of an episode, for a person's own browser: who does not know the token stays outside.

    Args:
        site: The application, which believes to be on ``host``.
        host: Its name in the environment.
        token: What the first address carries; a cookie carries it from then on.
        places: Every site's name in the environment to its address here, for links from one to another.
    """

    def __init__(self, site: App, host: str, token: str, places: dict[str, str]) -> None:
        self.site, self.host, self.token, self.places = site, host, token, places

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve a request (ASGI)."""
        if scope["type"] != "http":
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = query.pop("token", [""])[-1]
        if secrets.compare_digest(given.encode(), self.token.encode()):
            place = scope["path"] + (f"?{urlencode(query, doseq=True)}" if query else "")
            cookie = f"{_COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _reply(send, 303, {"location": place, "set-cookie": cookie, "referrer-policy": "no-referrer"})
            return
        jar = headers.get(b"cookie", b"").decode("latin-1").replace(" ", "").split(";")
        if not any(secrets.compare_digest(each, f"{_COOKIE}={self.token}") for each in jar if each.isascii()):
            await _reply(send, 403, {}, b"Open the address that thinkact printed.")
            return
        sent = [(name, value) for name, value in scope["headers"] if name not in _OURS]
        inner = {**scope, "headers": [*sent, (b"host", self.host.encode())], "server": (self.host, 80)}
        await self.site(inner, receive, self._outward(send))

    def _outward(self, send: Callable[[Message], Awaitable[None]]) -> Callable[[Message], Awaitable[None]]:
        """Return a ``send`` that puts this machine's addresses where the environment's are."""
        start: Message = {}
        body = bytearray()

        async def outward(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            kept = [(name, self._here(value)) for name, value in start["headers"] if name != b"content-length"]
            kind = dict(kept).get(b"content-type", b"")
            text = self._here(bytes(body)) if kind.startswith((b"text/", b"application/json")) else bytes(body)
            await send({**start, "headers": [*kept, (b"content-length", str(len(text)).encode())]})
            await send({"type": "http.response.body", "body": text})

        return outward

    def _here(self, text: bytes) -> bytes:
        for host, place in self.places.items():
            text = text.replace(f"http://{host}".encode(), place.encode())
        return text


#: Headers that would tell the application where it really is, or of our cookie.
_OURS = (b"host", b"origin", b"referer", b"accept-encoding", b"content-security-policy")


async def _reply(
    send: Callable[[Message], Awaitable[None]], status: int, headers: dict[str, str], body: bytes = b""
) -> None:
    lines = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


class Served:
    """The sites of an episode on ports of this machine; a context manager.

    Attributes:
        places: Every site's name in the environment to its address here.
        token: What the first address must carry.
    """

    def __init__(self, sites: dict[str, App], port: int = 0) -> None:
        import uvicorn

        self.token = secrets.token_urlsafe(16)
        self.places: dict[str, str] = {}
        self._servers: list[uvicorn.Server] = []
        self._threads: list[threading.Thread] = []
        sockets = []
        for number, host in enumerate(sites):
            sockets.append(socket.create_server(("127.0.0.1", port + number if port else 0)))
            self.places[host] = f"http://127.0.0.1:{sockets[-1].getsockname()[1]}"
        for (host, site), listening in zip(sites.items(), sockets, strict=True):
            door = Door(site, host, self.token, self.places)
            config = uvicorn.Config(cast(Any, door), log_level="error", lifespan="off", access_log=False, ws="none")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            self._servers.append(server)
            self._threads.append(thread)

    def addresses(self) -> list[str]:
        """Return what a person opens first, one address per site."""
        return [f"{place}/?token={self.token}" for place in self.places.values()]

    def __enter__(self) -> Served:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        for server in self._servers:
            server.should_exit = True
        for thread in self._threads:
            thread.join(5)


def play_in_browser(
    env_id: str, *, task_id: str | None, seed: int, kwargs: dict[str, Any], serve: bool, port: int = 0
) -> None:
    """Let a person do a task and show the checks as they change.

    Args:
        env_id: A web environment.
        task_id: The task, or None for the seed's.
        seed: Picks the task.
        kwargs: The environment's knobs.
        serve: On a port of this machine, for the person's own browser; otherwise in a window of the environment's.
        port: The port of the first site; 0 is a free one.

    Raises:
        UserError: The environment is not in a browser, cannot be served, or does not know the task.
    """
    import gymnasium as gym

    from thinkact import cli_common as common

    cls = common.env_class(env_id)
    if "rgb_array" not in cls.metadata["render_modes"]:
        raise UserError(f"{env_id} is not in a browser; play it in the terminal, without --headful and --serve.")
    if not serve and sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("--headful opens a window and there is no display here: use --serve.")
    env = gym.make(env_id, **kwargs, **({} if serve else {"headful": True}))
    try:
        bare = cast(ToolEnv[Any], env.unwrapped)
        if serve and not hasattr(bare, "_sites"):
            raise UserError(f"{env_id} keeps its clock in the browser that it drives: use --headful.")
        try:
            prompt, info = env.reset(seed=seed, options={"task_id": task_id} if task_id else None)
        except ValueError as error:
            raise UserError(str(error)) from error
        out.print(Panel(Text(inert(bare.task.prompt)), title=f"{env_id} · {info['task_id']}", title_align="left"))
        if not serve:
            out.print("Work in the window that opened.", style="dim")
            _watch(bare)
            return
        sites = {str(site.app.host): cast(App, site) for site in bare._sites.values()}  # type: ignore[attr-defined]
        with Served(sites, port) as served:
            out.print("Open this in your browser (over ssh, forward the port first):", style="dim")
            for address in served.addresses():
                out.print(address, style="bold cyan", markup=False, highlight=False)
            _watch(bare)
    finally:
        env.close()


def _watch(env: ToolEnv[Any]) -> None:
    """Show the checks whenever they change, until the person answers or leaves."""
    terminal = next((name for name, tool in env.tools.items() if tool.terminal), None)
    hint = f"{terminal} TEXT (or nothing) ends the task, impossible says that it cannot be done, " if terminal else ""
    out.print(f"Here: {hint}quit leaves.", style="dim")
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    seen: tuple[Check, ...] = ()
    # A page with a clock of its own moves while it is watched, and may end its task itself.
    pass_time = getattr(env, "pass_time", None)
    over = False
    while not over:
        over = pass_time is not None and pass_time(_BETWEEN)
        checks, score = env.verify()
        _show([check for check in checks if check not in seen])
        seen = checks
        try:
            line = lines.get(timeout=_BETWEEN)
        except queue.Empty:
            continue
        if line is None or line.strip() in ("quit", "exit"):
            out.print("Left before the end; nothing is kept.", style="dim")
            return
        word, _, rest = line.strip().partition(" ")
        if terminal and word in (terminal, "done", "impossible"):
            arguments: dict[str, Any] = {"impossible": True} if word == "impossible" else {"text": rest}
            info = env.step(json.dumps({"name": terminal, "arguments": arguments}))[-1]
            _show([Check.model_validate(check) for check in info["checks"]])
            over, score = True, info["score"]
    style = "bold green" if score == 1.0 else "bold red"
    out.print(Text(f"{'solved' if score == 1.0 else 'not solved'}: score {score:.3f}", style=style))


def _read(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    while sys.stdin.isatty() is False:  # a pipe that ended: the checks are watched until somebody stops it
        time.sleep(60)
    lines.put(None)


def _show(checks: Iterable[Check] | Sequence[Check]) -> None:
    for check in checks:
        mark = Text("  ✓ ", style="green") if check.passed else Text("  ✗ ", style="red")
        out.print(mark, Text(inert(f"{check.name}  {check.evidence}")), sep="")
