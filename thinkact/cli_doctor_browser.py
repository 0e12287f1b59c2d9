"""The doctor's look at the browser: one is started, opens a page of ours, reads it and clicks in it."""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from thinkact.cli_doctor_sandbox import Seen

_PAGE = (
    b"<!doctype html><title>Probe</title><p>six times seven</p><button onclick='this.textContent=6*7'>work out</button>"
)
_URL = "http://probe.test/"


async def _site(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _PAGE})


def browser() -> Seen:
    """Start a browser, read a page, click in it, and try an address that must not exist."""
    if importlib.util.find_spec("uvicorn") is None:
        return Seen(False, "uvicorn is not installed", fix="pip install 'thinkact[browser]'")
    from thinkact.tools.browser import BrowserFault, BrowserHandle, find_chrome
    from thinkact.tools.browser.driver import chosen

    fix = "sudo apt-get install chromium-headless-shell (or: playwright install chromium; or THINKACT_CHROME=PATH)"
    try:
        driver = chosen()
    except BrowserFault as error:
        return Seen(False, str(error), fix="THINKACT_BROWSER_DRIVER=pipe, or pip install 'thinkact[browser]'")
    try:
        program = find_chrome()
    except BrowserFault as error:
        return Seen(False, str(error).splitlines()[0], fix=fix)
    handle = BrowserHandle()
    try:
        begin = time.perf_counter()
        handle.start({"probe.test": _site}, _URL)
        cold = time.perf_counter() - begin
        begin = time.perf_counter()
        handle.start({"probe.test": _site}, _URL)
        warm = time.perf_counter() - begin
        found = re.search(r'button \[(e\d+)\] "work out"', handle.observe())
        shown = handle.act("click", {"ref": found[1], "double": False})[0] if found else ""
        _, outside = handle.act("goto", {"url": "file:///etc/passwd"})
        picture = handle.screenshot()[:4] == b"\x89PNG"
    except BrowserFault as error:
        return Seen(False, f"{program}: {str(error).splitlines()[0][:300]}", fix=f"see the message; {fix}")
    finally:
        handle.close()
    facts: dict[str, object] = {
        "program": program,
        "driver": driver,
        "playwright": importlib.util.find_spec("playwright") is not None,
        "cold_ms": round(1e3 * cold),
        "warm_ms": round(1e3 * warm),
        "reads": found is not None,
        "clicks": '"42"' in shown,
        "file_refused": outside is not None,
        "screenshot": picture,
        "miniwob": importlib.util.find_spec("miniwob") is not None,
    }
    wrong = [name for name in ("reads", "clicks", "file_refused", "screenshot") if not facts[name]]
    if wrong:
        return Seen(False, f"{program}: wrong: {', '.join(wrong)}", facts, "report this as a bug, with --json")
    pages = "" if facts["miniwob"] else "; MiniWoB's pages are not here: pip install --no-deps miniwob"
    by = "Playwright" if driver == "playwright" else "pipe"
    here = "" if facts["playwright"] else " (Playwright is not here: pip install playwright)"
    speed = f"{facts['cold_ms']} ms from cold, {facts['warm_ms']} ms warm"
    detail = f"{program} by {by}{here}: reads a page and clicks, {speed}{pages}"
    return Seen(True, detail, facts)
