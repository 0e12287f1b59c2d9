"""A real browser as a tool: Chromium, hermetic, shared by the environments of a process."""

from thinkact.tools.browser.chrome import find_chrome
from thinkact.tools.browser.handle import BrowserHandle
from thinkact.tools.browser.server import Shell
from thinkact.tools.browser.tools import browser_tools
from thinkact.tools.browser.types import ASGIApp, BrowserFault, BrowserOptions, NotExact

__all__ = [
    "ASGIApp",
    "BrowserFault",
    "BrowserHandle",
    "BrowserOptions",
    "NotExact",
    "Shell",
    "browser_tools",
    "find_chrome",
]
