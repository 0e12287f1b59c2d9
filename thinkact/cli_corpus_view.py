"""What ``thinkact corpus`` shows: progress, tables, marked words, and text that cannot steer a terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from thinkact import cli_common as common

if TYPE_CHECKING:
    from rich.text import Text

#: Seconds between lines of progress where there is no terminal to draw on.
_LINE_EVERY_S = 20.0
_SHOWN_REASONS = 8


@contextmanager
def watching(title: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show how far something is: a bar on a terminal, now and then a line elsewhere."""
    if not common.err.is_terminal:
        printed = time.monotonic()

        def line(what: str, done: int, total: int | None) -> None:
            nonlocal printed
            if time.monotonic() - printed >= _LINE_EVERY_S:
                printed = time.monotonic()
                common.err.print(f"{title}: {what} {done:,}" + (f" of {total:,}" if total else ""), highlight=False)

        yield line
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeElapsedColumn(), console=common.err, transient=True) as view:
        task = view.add_task(title, total=None, text="")

        def bar(what: str, done: int, total: int | None) -> None:
            text = f"{what} {done:,}" + (f" of {total:,}" if total else "")
            view.update(task, completed=done, total=total, text=text)

        yield bar


def table(rows: list[tuple[str, str]]) -> None:
    """Print labels and what goes with them, in two columns."""
    from rich.table import Table
    from rich.text import Text

    view = Table.grid(padding=(0, 2))
    for label, text in rows:
        view.add_row(Text(label, style="dim"), Text(text))
    common.out.print(view)


def left_out(reasons: dict[str, int], each: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the table's rows about what was left out: how many for each reason, with one path as an example."""
    lines = []
    for number, (reason, count) in enumerate(reasons.items()):
        if number == _SHOWN_REASONS:
            lines.append(("", "… (--json lists them all)"))
            break
        first = next(path for path, why in each if why.partition(":")[0] == reason)
        lines.append(("left out" if not number else "", f"{count} × {reason}, such as {inert(first)}"))
    return lines


def marked(snippet: str, words: list[str]) -> Text:
    """Return a snippet with the words of the query marked."""
    from rich.text import Text

    text = Text(f"  {inert(snippet)}")
    # Words are found by their stems; a longer word's beginning stands for its stem.
    stems = [re.escape(word if len(word) < 6 else word[: max(5, len(word) - 3)]) for word in words]
    if stems:
        text.highlight_regex(re.compile(rf"\b(?:{'|'.join(stems)})\w*", re.IGNORECASE), style="bold yellow")
    return text


def inert(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(char if char in "\n\t" or char.isprintable() else " " for char in text)


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def size_text(size: int) -> str:
    """Return a number of bytes as people read it (powers of 1000)."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
