"""Which Chromium, and how it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from thinkact.tools.browser.types import BrowserFault

#: Programs in the order of preference: the shell without a window costs a third of the whole browser.
HEADLESS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PLAYWRIGHTS = (
    "chromium_headless_shell-*/chrome-*/*headless*shell",
    "chromium-*/chrome-*/chrome",
    "chromium-*/chrome-*/*.app/Contents/MacOS/*",
)


def find_chrome(*, headful: bool = False) -> str:
    """Return the path of the Chromium to run.

    The variable ``THINKACT_CHROME`` (a path or a name) decides; then come ``chromium-headless-shell``, ``chromium``
    and Google's Chrome on the path, then what ``playwright install`` laid down.

    Args:
        headful: Only one that can show a window.

    Raises:
        BrowserFault: There is none; the message says how to install one.
    """
    if wanted := os.environ.get("THINKACT_CHROME"):
        if found := shutil.which(wanted):
            return found
        raise BrowserFault(f"THINKACT_CHROME names {wanted!r}, which is no program here.")
    names = HEADLESS[1:] if headful else HEADLESS
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    for folder in (
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH"),
        "~/.cache/ms-playwright",
        "~/Library/Caches/ms-playwright",
    ):
        patterns = _PLAYWRIGHTS[headful:] if folder else ()
        for pattern in patterns:
            # The newest that is there.
            for program in sorted(Path(folder or "").expanduser().glob(pattern), reverse=True):
                if os.access(program, os.X_OK):
                    return str(program)
    raise BrowserFault(
        "there is no Chromium here: `sudo apt-get install chromium-headless-shell` (Debian), "
        "`playwright install chromium`, or the path of one in THINKACT_CHROME."
    )


def flags(port: int) -> list[str]:
    """Return the options with which Chromium is started beside Playwright's own.

    Names under ``.test`` are the server on ``port``, whatever port a page asks for; no other name or address is
    reached: what is not for these names goes to a proxy that does not exist, and is not resolved before.

    Args:
        port: Of the server on loopback.
    """
    return [
        f"--host-resolver-rules=MAP *.test 127.0.0.1:{port}, MAP * ~NOTFOUND",
        "--proxy-server=socks5://127.0.0.1:1",
        "--proxy-bypass-list=*.test;<-loopback>",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--dns-prefetch-disable",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-domain-reliability",
        "--disable-sync",
        "--disable-quic",
        "--no-first-run",
        "--no-pings",
        "--disable-gpu",
        # One renderer for a context: contexts never share one, and a second in a context costs 20 MB.
        "--renderer-process-limit=1",
        "--disable-site-isolation-trials",
        # The last of such options counts, so that what Playwright turns off stands here again. RenderDocument makes
        # a frame and a compositor anew for every page of the same site: half of what opening one costs.
        "--disable-features=IsolateOrigins,site-per-process,SpareRendererForSitePerProcess,HttpsUpgrades,"
        "HttpsFirstBalancedModeAutoEnable,BackForwardCache,OptimizationHints,MediaRouter,Translate,RenderDocument,"
        "PaintHolding,AcceptCHFrame,AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,LazyFrameLoading",
        "--force-prefers-reduced-motion",
        "--force-color-profile=srgb",
        "--font-render-hinting=none",
        "--disable-lcd-text",
    ]
