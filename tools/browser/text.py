"""The page as an agent reads it: heading, notes, and the lines, whole, in parts or as what changed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thinkact.tools.base import clip
from thinkact.tools.browser.types import BrowserOptions, PageMistake

if TYPE_CHECKING:
    from thinkact.tools.browser.episode import Episode

#: A difference that is longer than this share of the page is no help.
WORTH = 0.6


class View:
    """Renders observations, and remembers the one before."""

    def __init__(self, options: BrowserOptions) -> None:
        self.options = options
        self._shown: list[str] | None = None
        self._url = ""
        self._turned = 0

    def shown(self, page: Mapping[str, Any], turned: int) -> None:
        """Take a page for the one that was shown before; after another turn to a tab it does not count."""
        self._shown, self._url, self._turned = page["lines"], address(page["url"]), turned

    def show(self, episode: Episode, page: int, *, whole: bool) -> str:
        """Return the text of the active tab.

        Args:
            episode: What to show.
            page: Which part, from 1.
            whole: Not as a difference.

        Raises:
            PageMistake: There is no such part.
        """
        seen = episode.tab.seen
        lines: list[str] = seen["lines"]
        url = address(seen["url"])
        parts = paginate(lines, self.options.page_chars)
        if page > len(parts):
            raise PageMistake(f"the page has {len(parts)} part{'s' * (len(parts) > 1)}.")
        head = [f"URL: {url}", f"Title: {seen['title']}"]
        if len(episode.tabs) > 1:
            names = (
                f"{'*' if tab is episode.tab else ''}{n} {clip(tab.seen.get('title') or 'untitled', 40)}"
                for n, tab in enumerate(episode.tabs, 1)
            )
            head.append(f"Tabs: {'; '.join(names)}")
        if seen["focus"]:
            head.append(f"Focus: {seen['focus']}")
        head += episode.notes
        before, same = self._shown, (url, episode.turned) == (self._url, self._turned)
        self.shown(seen, episode.turned)
        if self.options.observation == "diff" and not whole and same and before is not None:
            changes = difference(before, lines)
            if sum(map(len, changes)) <= WORTH * len("\n".join(lines)):
                return "\n".join([*head, "", *changes])
        if len(parts) > 1:
            head.append(f"Part {page} of {len(parts)}; page(n) shows another.")
        return "\n".join([*head, "", parts[page - 1] or "(The page is empty.)"])


def address(url: str) -> str:
    """Return an address as it is shown: an error page of the browser has none of its own."""
    return "(this page could not be opened)" if url.startswith("chrome-error:") else clip(url, 500)


def paginate(lines: list[str], limit: int) -> list[str]:
    """Cut a page between lines into parts of at most ``limit`` characters; a longer line is cut itself."""
    parts: list[str] = []
    part: list[str] = []
    size = 0
    for line in lines:
        pieces = [line[i : i + limit] for i in range(0, len(line), limit)] or [""]
        for piece in pieces:
            if part and size + len(piece) + 1 > limit:
                parts.append("\n".join(part))
                part, size = [], 0
            part.append(piece)
            size += len(piece) + 1
    return [*parts, "\n".join(part)]


def difference(before: list[str], after: list[str]) -> list[str]:
    """Return what changed, line by line: ``+ `` for what came and ``~ `` for what went.

    Order is kept, unchanged lines are counted.
    """
    changes: list[str] = []
    same = 0
    for tag, i, k, m, n in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            same += k - i
            continue
        changes += [f"~ {line}" for line in before[i:k]]
        changes += [f"+ {line}" for line in after[m:n]]
    head = f"Changes (+ came, ~ went; {same} lines are as before; page() shows all):" if changes else ""
    return [head, *changes] if changes else [f"(Nothing changed: {same} lines are as before; page() shows all.)"]


def told(kind: str, message: str, default: str, accepted: bool) -> str:
    """Return the line that tells of a dialog."""
    text = clip(" ".join(message.split()), 500)
    done = "accepted" if accepted else "dismissed"
    if kind == "prompt" and accepted and default:
        done += f" with {clip(default, 100)!r}"
    return f'Dialog: {kind} "{text}" ({done})'
