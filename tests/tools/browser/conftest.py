"""A small site of pages, and a browser that works it by the tools' names."""

import asyncio
import importlib.util
import os
import re
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest

from thinkact.tools import ToolCall, ToolContext
from thinkact.tools.base import bind
from thinkact.tools.browser import BrowserFault, BrowserHandle, BrowserOptions, browser_tools, find_chrome
from thinkact.tools.browser import host as hosts
from thinkact.tools.browser.driver import VARIABLE

HOST = "shop.test"


@pytest.fixture(scope="session", autouse=True)
def chrome():
    try:
        return find_chrome()
    except BrowserFault as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def pytest_generate_tests(metafunc):
    """What is marked ``both_drivers`` is tested on both; pytest puts the tests of one driver together."""
    if "driven" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_drivers")
        metafunc.parametrize("driven", ["pipe", "playwright"][: 2 if both else 1], indirect=True, scope="session")


@pytest.fixture(scope="session")
def driven(request):
    """The driver of the browsers of this process, by name; ``THINKACT_BROWSER_DRIVER`` takes the place of the pipe."""
    if request.param == "playwright" and importlib.util.find_spec("playwright") is None:
        if os.environ.get("CI") == "true":
            raise RuntimeError("Playwright is not installed")
        pytest.skip("Playwright is not installed: pip install 'thinkact[browser]'")
    hosts.shut_down()
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get(VARIABLE, "pipe") == "pipe":
            patch.setenv(VARIABLE, request.param)
        yield os.environ[VARIABLE]
        hosts.shut_down()


class Site:
    """An ASGI application: ``pages`` is path to HTML, or to a function of the request that returns
    HTML, ``(status, headers, body)``, or waits."""

    def __init__(self, pages):
        self.pages = pages if isinstance(pages, dict) else {"/": pages}
        self.requests = []

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = SimpleNamespace(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            form=dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)),
            headers=headers,
        )
        if scope["path"] != "/favicon.ico":
            self.requests.append(f"{request.method} {request.path}")
        reply = self.pages.get(scope["path"], (404, {}, "<title>Lost</title><p>No such page"))
        reply = reply(request) if callable(reply) else reply
        if asyncio.iscoroutine(reply):
            reply = await reply
        status, extra, text = reply if isinstance(reply, tuple) else (200, {}, reply)
        sent = {"content-type": "text/html; charset=utf-8", **extra}
        sent = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": text.encode() if isinstance(text, str) else text})


class Driver:
    """A browser, its tools and what was seen last."""

    def __init__(self, **options):
        self.handle = BrowserHandle(BrowserOptions(**options))
        self.tools = {tool.name: tool for tool in browser_tools(self.handle, pixels=True)}
        self.text = ""
        self.kind = None

    def open(self, pages, path="/", *, more=None, **start):
        self.site = pages if isinstance(pages, Site) else Site(pages)
        sites = {HOST: self.site, **(more or {})}
        self.handle.start(sites, f"http://{HOST}{path}", **start)
        self.text, self.kind = self.handle.observe(), None
        return self

    def do(self, name, **arguments):
        bound = bind(ToolCall(id="1", name=name, arguments=arguments), self.tools)
        result = bound.error or bound.tool.run(bound.args, ToolContext("1", 1))
        self.text, self.kind = result.content, result.error_kind
        return self.text

    def ref(self, role, name=None):
        """The first element with this role and name in what was seen last."""
        for found in re.finditer(r'(\w+) \[(e\d+)\](?: "((?:[^"\\]|\\.)*)")?', self.text):
            if found[1] == role and name in (None, found[3]):
                return found[2]
        raise AssertionError(f"no {role} {name!r} in:\n{self.text}")

    @property
    def lines(self):
        return self.text.partition("\n\n")[2].splitlines()


@pytest.fixture
def browse(driven):
    """Open pages in a browser of one's own: ``browse(html)`` or ``browse({"/": …}, now=…, options={…})``."""
    drivers = []

    def start(pages, path="/", options=None, **rest):
        drivers.append(Driver(**(options or {})))
        return drivers[-1].open(pages, path, **rest)

    yield start
    for driver in drivers:
        driver.handle.close()
