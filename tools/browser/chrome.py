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
