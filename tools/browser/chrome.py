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
        raise BrowserFault(f"THINKACT_CHROME names {wanted!r}, which is no program here: unset it or name another.")
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
        "`pip install playwright && playwright install chromium`, or the path of one in THINKACT_CHROME."
    )


def shell(program: str) -> bool:
    """Tell whether a program is Chromium's shell without a window, which alone makes frames when it is asked to."""
    return "headless" in Path(program).name


def flags(port: int, *, headful: bool = False, frames: bool = False) -> list[str]:
    """Return the options with which Chromium is started.

    Names under ``.test`` are the server on ``port``, whatever port a page asks for; no other name or address is
    reached: what is not for these names goes to a proxy that does not exist, and is not resolved before.

    Args:
        port: Of the server on loopback.
        headful: With a window.
        frames: Frames are made only when that is asked for; see :func:`shell`.
    """
    # Chromium refuses its own sandbox to root.
    mode = [] if headful else ["--headless", "--hide-scrollbars", "--disable-gpu"]
    mode += ["--no-sandbox"] if os.geteuid() == 0 else []
    mode += ["--enable-begin-frame-control", "--run-all-compositor-stages-before-draw"] if frames else []
    return [
        *mode,
        f"--host-resolver-rules=MAP *.test 127.0.0.1:{port}, MAP * ~NOTFOUND",
        "--proxy-server=socks5://127.0.0.1:1",
        "--proxy-bypass-list=*.test;<-loopback>",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--dns-prefetch-disable",
        # The zone is in the environment of the process.
        "--lang=en-US",
        "--accept-lang=en-US",
        # Nothing that a page does not ask for.
        "--disable-background-networking",
        "--disable-breakpad",
        "--disable-component-extensions-with-background-pages",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-domain-reliability",
        "--disable-extensions",
        "--disable-field-trial-config",
        "--disable-infobars",
        "--disable-search-engine-choice-screen",
        "--disable-stack-profiler",
        "--disable-sync",
        "--disable-quic",
        "--metrics-recording-only",
        "--mute-audio",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
        "--no-service-autorun",
        "--password-store=basic",
        "--use-mock-keychain",
        # A page behind another is as awake as the one in front.
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        # The mouse may come before the first frame; who drives it decides what hangs and what opens.
        "--allow-pre-commit-input",
        "--disable-hang-monitor",
        "--disable-ipc-flooding-protection",
        "--disable-popup-blocking",
        "--disable-prompt-on-repost",
        "--disable-dev-shm-usage",
        # One renderer for a context: contexts never share one, and a second in a context costs 20 MB.
        "--renderer-process-limit=1",
        "--disable-site-isolation-trials",
        # RenderDocument makes a frame and a compositor anew for every page of the same site: half of what opening one
        # costs. DeferRendererTasksAfterInput keeps what a click fetched back until the next frame, for nobody's eyes.
        "--disable-features=IsolateOrigins,site-per-process,SpareRendererForSitePerProcess,HttpsUpgrades,"
        "HttpsFirstBalancedModeAutoEnable,BackForwardCache,OptimizationHints,MediaRouter,Translate,RenderDocument,"
        "DeferRendererTasksAfterInput,PaintHolding,AcceptCHFrame,AvoidUnnecessaryBeforeUnloadCheckSync,"
        "DestroyProfileOnBrowserClose,LazyFrameLoading",
        "--disable-back-forward-cache",
        # Chromium takes a machine without a mouse for a telephone.
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
        "--force-prefers-reduced-motion",
        "--force-color-profile=srgb",
        "--font-render-hinting=none",
        "--disable-lcd-text",
    ]
