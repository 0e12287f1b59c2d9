"""The board as static pages: no server, no request to anywhere, opened straight from disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

from thinkact.leaderboard.pages import Pages
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.transcripts import Decode

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
    pages.refresh()
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        fresh.mkdir(mode=0o755)
        for path in pages.paths():
            page = pages.render(path)
            assert page is not None, path
            file = fresh / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page, encoding="utf-8")
        fresh.chmod(0o755)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    return out / "index.html"


def _may_replace(out: Path) -> bool:
    if not out.is_dir():
        return False
    if not any(out.iterdir()):
        return True
    index = out / "index.html"
    return index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
