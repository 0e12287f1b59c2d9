"""What all applications share on the outside: style, soft navigation, pop-ups and pages that load slowly."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from thinkact.tools.browser import Shell

if TYPE_CHECKING:
    from thinkact.envs.web.site import App, Page, Reply, Web

#: Pop-ups by the number of the page view that brings them: (title, words, words of the button that closes it).
POPUPS = (
    ("Cookies", "We only use cookies that this site needs.", "Got it"),
    ("Newsletter", "Get our news by mail every week.", "No thanks"),
    ("Survey", "Would you answer four quick questions?", "Not now"),
)
#: Page views (counted from 1) that bring a pop-up; after the last, every twelfth.
_POPUP_VIEWS = (2, 6, 13)
#: With ``noise=2`` every so many page views the first answer is a page that says it is loading.
_SLOW_EVERY = 4


@cache
def style() -> str:
    """Return the style sheet."""
    return _file("style.css")


@cache
def script() -> str:
    """Return the script of soft navigation: links and forms are fetched, the body is swapped."""
    return _file("soft.js")


@cache
def policy() -> str:
    """Return the Content-Security-Policy: the one script that is ours, nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def shell(host: str) -> Shell:
    """Return the page without content that the first page of an application is fetched into, by soft navigation."""
    return Shell(host, _shell(), policy())


@cache
def _shell() -> str:
    return _file("shell.html").replace("STYLE", style()).replace("SCRIPT", script())


def _file(name: str) -> str:
    return (resources.files(__name__) / name).read_text("utf-8")


def pages() -> Sequence[Page]:
    """Return the routes that every application has."""
    from thinkact.envs.web.site import Page

    return [Page("POST", "/close-popup", _close)]


def _close(web: Web) -> Reply:
    web.session.pop("popup", None)
    back = web.text("back")
    return web.redirect(back if back.startswith("/") and not back.startswith("//") else "/")


def hold(web: Web) -> Reply | None:
    """Count a page view and return the page that says "loading", where the noise wants one first."""
    if web.knobs.noise == 0 or web.method != "GET":
        return None
    if web.knobs.noise >= 2:
        if web.session.get("slow") == web.path:
            del web.session["slow"]
            web.session["quick"] = web.path  # shown whole from now on, until another page is asked for
        elif web.session.get("quick") != web.path:
            web.session.pop("quick", None)
            if (web.session.get("views", 0) + 1) % _SLOW_EVERY == 0:
                web.session["views"] = web.session.get("views", 0) + 1
                web.session["slow"] = web.path
                return web.render("loading.html")
    views = web.session["views"] = web.session.get("views", 0) + 1
    if views in _POPUP_VIEWS or (views > _POPUP_VIEWS[-1] and (views - _POPUP_VIEWS[-1]) % 12 == 0):
        shown = web.session.get("popups", 0)
        web.session["popups"] = shown + 1
        web.session["popup"] = shown % len(POPUPS)
    return None


def popup(web: Web) -> tuple[str, str, str] | None:
    """Return the pop-up that covers the page until it is closed, or None."""
    number = web.session.get("popup")
    return None if number is None else POPUPS[number]


def money(cents: int) -> str:
    """Return an amount as it is shown: ``$1,234.50``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def day(text: str) -> str:
    """Return an ISO date (or date and time) as it is shown: ``17 Mar 2026``."""
    moment = datetime.fromisoformat(text)
    return f"{moment.day} {moment:%b %Y}"


def clock(text: str) -> str:
    """Return an ISO date and time as it is shown: ``17 Mar 2026, 09:30``."""
    return f"{day(text)}, {datetime.fromisoformat(text):%H:%M}"


@lru_cache(maxsize=64)
def templates(app: App) -> Any:
    """Return the Jinja2 environment of an application: its own folder first, those it derives from, what is shared."""
    import jinja2

    from thinkact.envs.web.look.kept import kept

    package = resources.files("thinkact.envs.web")
    names = [vars(each)["name"] for each in type(app).__mro__ if "name" in vars(each)]
    folders = [*(str(package / "pages" / name) for name in names), str(package / "look")]
    compiling: dict[str, Any] = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        bytecode_cache=kept(compiling),
        **compiling,
    )
    env.filters.update(money=money, day=day, clock=clock)
    env.globals.update(style=style(), script=script(), find_popup=popup)
    env.globals["ui"] = env.get_template("macros.html").module
    return env
