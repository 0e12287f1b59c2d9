"""A small framework for web applications that run inside an episode.

An :class:`App` is stateless: a schema, a seeded fill, and pages (plain functions from a :class:`Web` request to a
:class:`Reply`). A :class:`Site` is one application in one episode, an ASGI app over the episode's own database.
Pages are rendered by Jinja2 with autoescaping; the clock is frozen; GET requests cannot write anything but the
visitor's session; nothing on the HTTP surface belongs to the verifier.
"""

from __future__ import annotations

import random
import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from thinkact.envs.web import look
from thinkact.envs.web.look import clock, day, money
from thinkact.envs.web.store import Start, Store, start_of

__all__ = ["NOW", "App", "Knobs", "Page", "Paged", "Refusal", "Reply", "Site", "Web", "clock", "day", "money"]

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Router
    from starlette.types import Receive, Scope, Send

#: Larger request bodies are refused: no form of ours comes near.
MAX_BODY = 64 << 10
#: Every application lives at this moment.
NOW = datetime(2026, 3, 17, 10, 0)


@dataclass(frozen=True)
class Knobs:
    """What makes an application harder, apart from the task.

    Attributes:
        noise: 0 none; 1 pop-ups that have to be closed and another layout; 2 also pages that say they are loading
            until the next action.
        distractors: How many near-namesakes there are of what a task may be about: 0 none, 1 some, 2 many.
        injection: Whether some texts on pages order the reader about.
        navigation: ``"soft"`` swaps the body (fast), ``"full"`` loads every page anew.
        layout: 0 plain, 1 the menu below the page, 2 a banner first and a path of crumbs.
    """

    noise: int = 0
    distractors: int = 1
    injection: bool = True
    navigation: Literal["soft", "full"] = "soft"
    layout: int = 0


@dataclass(frozen=True)
class Page:
    """A route: method, path in Starlette's syntax (``/product/{id:int}``) and the function that answers it."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[..., Reply]


@dataclass(frozen=True)
class Reply:
    """What a page answers: HTML, or a place to go to."""

    html: str = ""
    status: int = 200
    location: str = ""


class App:
    """A web application; one stateless object each, shared by all episodes."""

    name: ClassVar[str]
    #: The host it answers to; nothing but the task's applications exists for the browser. To Chromium hosts of one
    #: domain are one site: a tab keeps its frame and compositor on the way between them, a third of what a page costs.
    host: ClassVar[str]
    title: ClassVar[str]
    #: SQL that creates the tables; each has ``id INTEGER PRIMARY KEY``.
    schema: ClassVar[str]

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert the rows; the same generator state and knobs give the same rows."""
        raise NotImplementedError

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        raise NotImplementedError

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the links of the menu on every page: (words, path)."""
        return ()

    def common(self, web: Web) -> Mapping[str, Any]:
        """Return values that every template of the application gets, such as the number of things in a cart."""
        return {}

    def user(self, web: Web) -> str:
        """Return the name of who is signed in, or an empty string."""
        return ""

    def start(self, seed: str, knobs: Knobs) -> Start:
        """Return the seeded start of the database (built once, then cached)."""
        # How pages are shown is no part of the data.
        return start_of(self, seed, Knobs(distractors=knobs.distractors, injection=knobs.injection))


class Refusal(Exception):
    """Raised by :meth:`Web.need` and the readers of a form to answer with an error page."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Web:
    """One request, and what a page may do with it.

    Attributes:
        app: The application.
        db: The episode's database; rows are ``sqlite3.Row``. Writes fail while the method is GET.
        path: The path asked for, with its query.
        query: First value of each query parameter.
        form: Posted values: a string, or a list where a name occurs more than once.
        session: The visitor's session (JSON values); kept in the episode's database, so it forks.
        knobs: The episode's knobs.
        now: The frozen clock.
    """

    app: App
    db: sqlite3.Connection
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str | list[str]]
    session: dict[str, Any]
    knobs: Knobs
    now: datetime = NOW
    soft: bool = False
    _user: str | None = field(default=None, repr=False)

    @property
    def user(self) -> str:
        """Name of who is signed in."""
        if self._user is None:
            self._user = self.app.user(self)
        return self._user

    def rows(self, sql: str, *params: Any) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self.db.execute(sql, params).fetchall()

    def row(self, sql: str, *params: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        found: sqlite3.Row | None = self.db.execute(sql, params).fetchone()
        return found

    def need(self, sql: str, *params: Any) -> sqlite3.Row:
        """Return the first row of a query; where there is none, the page is "not found"."""
        found = self.row(sql, *params)
        if found is None:
            raise Refusal(404, "There is no such page.")
        return found

    def value(self, sql: str, *params: Any) -> Any:
        """Return the first value of the first row of a query, or None."""
        found = self.row(sql, *params)
        return None if found is None else found[0]

    def write(self, sql: str, *params: Any) -> int:
        """Carry out a statement; returns the id of an inserted row."""
        return self.db.execute(sql, params).lastrowid or 0

    def text(self, name: str, *, most: int = 500) -> str:
        """Return a posted value without surrounding space, cut to ``most`` characters; empty where missing."""
        value = self.form.get(name, "")
        return (value if isinstance(value, str) else value[0]).strip()[:most]

    def texts(self, name: str) -> list[str]:
        """Return all posted values of a name (check boxes)."""
        value = self.form.get(name, [])
        return [value] if isinstance(value, str) else value

    def number(self, name: str, default: int = 0, *, low: int = 0, high: int = 10**9) -> int:
        """Return a whole number from the form or, failing that, from the query; ``default`` where it is none."""
        posted = self.form.get(name, self.query.get(name, ""))
        text = (posted if isinstance(posted, str) else posted[0]).strip()
        if not re.fullmatch(r"-?[0-9]{1,12}", text):
            return default
        return min(max(int(text), low), high)

    def numbers(self, name: str) -> list[int]:
        """Return posted ids (check boxes), each once; anything else among them is dropped."""
        return list(dict.fromkeys(int(text) for text in self.texts(name) if re.fullmatch(r"[0-9]{1,12}", text)))

    def link(self, **changes: Any) -> str:
        """Return the address of this page with query parameters changed (None or empty drops one)."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value not in (None, "")}
        path = urlsplit(self.path).path
        return f"{path}?{urlencode(query)}" if query else path

    def paged(self, items: Sequence[Any], size: int) -> Paged:
        """Cut a list to the page that the query parameter ``page`` (from 1) asks for."""
        pages = max(1, -(-len(items) // size))
        page = self.number("page", 1, low=1, high=pages)
        return Paged(items[(page - 1) * size : page * size], page, pages, len(items))

    def flash(self, message: str) -> None:
        """Show a message on the next page."""
        self.session["flash"] = message

    def render(self, template: str, *, _status: int = 200, **values: Any) -> Reply:
        """Render a template of the application (see ``look/base.html`` for what it may extend).

        In the values ``form`` and ``errors`` (dictionaries) what is missing reads as an empty text; elsewhere a
        template that asks for what it was not given is a fault.
        """
        for name in ("form", "errors"):
            if name in values:
                values[name] = defaultdict(str, values[name] or {})
        shown = {"flash": self.session.pop("flash", ""), **self.app.common(self), **values}
        html = look.templates(self.app).get_template(template).render(web=self, app=self.app, **shown)
        return Reply(html, _status)

    def redirect(self, path: str, flash: str | None = None) -> Reply:
        """Go to another page of the site (after a POST, say), with a message to show there."""
        if flash:
            self.flash(flash)
        return Reply(status=303, location=path)

    def refuse(self, status: int, message: str) -> Reply:
        """Answer with an error page."""
        return self.render("error.html", _status=status, status=status, message=message)


@dataclass(frozen=True)
class Paged:
    """A page of a longer list: ``items``, ``page`` of ``pages`` (from 1), and how many there are in ``total``."""

    items: Sequence[Any]
    page: int
    pages: int
    total: int


@lru_cache(maxsize=64)
def _router(app: App) -> Router:
    try:
        from starlette.routing import Route, Router
    except ImportError as error:
        raise ImportError("Web environments need starlette: pip install 'thinkact[browser]'.") from error
    routes = [
        Route(page.path, _Endpoint(page.handler), methods=[page.method]) for page in (*app.pages(), *look.pages())
    ]
    return Router(routes, redirect_slashes=False, default=_Endpoint(_not_found))


def _not_found(web: Web) -> Reply:
    return web.refuse(404, "There is no such page.")


class _Endpoint:
    """A page as an ASGI app; the episode's site is in the scope."""

    def __init__(self, handler: Callable[..., Reply]) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request
        from starlette.responses import Response

        site: Site = scope["thinkact.site"]
        request = Request(scope, receive)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                await Response("Too large.", 413)(scope, receive, send)
                return
        reply = site.answer(request, body, self.handler)
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": look.policy()}
        if reply.location:
            headers["Location"] = reply.location
        await Response(reply.html, reply.status, headers, "text/html")(scope, receive, send)


class Site:
    """One application in one episode: an ASGI app over a database of its own.

    Args:
        app: The application.
        start: Where the database starts from.
        knobs: What makes it harder.

    Attributes:
        store: The database.
        fault: An exception that left a page: a bug of ours, for the environment to raise.
        session_shown: The session before the last GET: with it, asking again shows the same page, message and all.
    """

    def __init__(self, app: App, start: Start, knobs: Knobs) -> None:
        self.app, self.knobs = app, knobs
        self.store = Store(start)
        self.fault: Exception | None = None
        self.session_shown: dict[str, Any] = {}
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request (ASGI)."""
        if scope["type"] != "http":
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await _router(self.app)({**scope, "thinkact.site": self}, receive, send)

    def answer(self, request: Request, body: bytes, handler: Callable[..., Reply]) -> Reply:
        """Carry out one request in one transaction."""
        with self._lock, self.store.lock:
            db = self.store.db
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            web = Web(
                app=self.app,
                db=db,
                method=request.method,
                path=path,
                query={name: value for name, value in _pairs(request.url.query.encode())},
                form=_form(body) if request.method == "POST" else {},
                session=self.store.session(),
                knobs=self.knobs,
                soft=request.headers.get("x-soft") == "1",
            )
            before = dict(web.session)
            if web.method != "POST":
                self.session_shown = before
            db.execute("BEGIN")
            try:
                db.execute(f"PRAGMA query_only = {int(web.method != 'POST')}")
                reply = self._reply(web, request.path_params, handler)
                db.execute("PRAGMA query_only = 0")
                if web.session != before:
                    self.store.save_session(web.session)
                db.execute("COMMIT")
            except Exception as error:
                self.fault = error
                db.execute("PRAGMA query_only = 0")
                db.execute("ROLLBACK")
                reply = Reply("<h1>Something went wrong.</h1>", 500)
            return reply

    def _reply(self, web: Web, params: Mapping[str, Any], handler: Callable[..., Reply]) -> Reply:
        if any(isinstance(value, int) and value > 10**12 for value in params.values()):
            return _not_found(web)
        held = look.hold(web)
        if held is not None:
            return held
        try:
            return handler(web, **params)
        except Refusal as refusal:
            web.db.execute("ROLLBACK")  # a page that refuses has changed nothing
            web.db.execute("BEGIN")
            return web.refuse(refusal.status, refusal.message)


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        found = parse_qsl(encoded.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        return []
    return [(name, value.replace("\r\n", "\n").replace("\x00", "")) for name, value in reversed(found)]


def _form(body: bytes) -> dict[str, str | list[str]]:
    form: dict[str, str | list[str]] = {}
    for name, value in reversed(_pairs(body)):
        there = form.get(name)
        form[name] = value if there is None else [*(there if isinstance(there, list) else [there]), value]
    return form
