"""The board as static pages: no server, no request to anywhere, opened straight from disk."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from thinkact.leaderboard.pages import Pages
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.transcripts import Decode

#: From this many pages on an export takes all processors.
_MANY_PAGES = 400
_MARK = '<meta name="generator" content="thinkact leaderboard">'


def export_site(
    board: Board, out: Path, *, suite: str | None = None, decode: Decode | None = None, hidden: bool = False
) -> Path:
    """Write every page of a board: tables, agents, comparisons, and a transcript of every episode.

    The folder appears whole or not at all; an earlier export in its place is replaced. Two agents of a large
    board are compared when they stand next to each other; the server compares any two.

    Args:
        board: What to show.
        out: Folder of the site.
        suite: Only this suite; None shows all.
        decode: Gives the text of each token id; without it ids are shown.
        hidden: Write tasks and transcripts of the hidden split too. Whoever reads them knows the tasks.

    Returns:
        The index page.

    Raises:
        FileExistsError: When ``out`` holds something that is not an earlier export.
        ValueError: When ``decode`` does not give one text per token.
    """
    out = Path(out)
    if out.exists() and not _may_replace(out):
        raise FileExistsError(f"{out} is not empty and not an earlier export; name another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    pages = Pages(board, suite=suite, decode=decode, hidden=hidden)
    tag = pages.refresh()
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        fresh.mkdir(mode=0o755)
        paths = list(pages.paths())
        shares = 1 if decode is not None or len(paths) < _MANY_PAGES else min(8, os.cpu_count() or 1)
        _write_all(pages, tag, paths, fresh, shares)
        fresh.chmod(0o755)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    return out / "index.html"


def work() -> None:
    """Write a share of an export's pages, as told on standard input; the process of a large export."""
    told = json.load(sys.stdin)
    pages = Pages(Board(Path(told["board"])), suite=told["suite"], hidden=told["hidden"])
    if pages.refresh() != told["tag"]:
        sys.exit("the board has changed")
    _write(pages, told["paths"], Path(told["out"]))


def _write_all(pages: Pages, tag: str, paths: Sequence[str], out: Path, shares: int) -> None:
    """Write pages, in several processes where that pays; what a process fails at is written here."""
    told = {
        "board": str(pages.board.path.resolve()),
        "out": str(out.resolve()),
        "suite": pages.figures.suite,
        "hidden": pages.hidden,
        "tag": tag,
    }
    # Neighbours share what they read: whole stretches of each kind go to one process.
    own, *others = [
        [path for _, same in groupby(paths, key=_kind) for path in _stretch(list(same), share, shares)]
        for share in range(shares)
    ]
    command = [sys.executable, "-P", "-c", "from thinkact.leaderboard.site import work; work()"]
    started = []
    try:
        for some in others:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            started.append(process)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                json.dump({**told, "paths": some}, process.stdin)
        _write(pages, own, out)
        for process, some in zip(started, others, strict=True):
            if process.wait() != 0:
                _write(pages, some, out)
    finally:
        for process in started:
            process.kill()
            process.wait()


def _write(pages: Pages, paths: Iterable[str], out: Path) -> None:
    for path in paths:
        page = pages.render(path)
        assert page is not None, path
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")


def _kind(path: str) -> str:
    return path.partition("/")[0]


def _stretch(paths: list[str], share: int, shares: int) -> list[str]:
    return paths[len(paths) * share // shares : len(paths) * (share + 1) // shares]


def _may_replace(out: Path) -> bool:
    if not out.is_dir():
        return False
    if not any(out.iterdir()):
        return True
    index = out / "index.html"
    return index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
