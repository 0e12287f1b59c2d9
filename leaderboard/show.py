"""The board as a terminal table, and as plain data for ``--json``."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from thinkact.leaderboard.inert import one_line
from thinkact.leaderboard.store import Board, Row


def table(board: Board, suite: str | None = None) -> Table:
    """Return the board as a rich table, one section per (suite, env, version, split).

    Baselines are dim and take no rank. Everything a submitter wrote is shown inert.
    """
    rows = board.rows(suite=suite)
    groups = {row.group for row in rows}
    single = len(groups) == 1
    title = _group_title(rows[0].group) if single else "leaderboard"
    view = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=0, caption=Text(_caption(board, rows)), expand=False)
    view.add_column("#", justify="right")
    view.add_column("agent", overflow="fold", min_width=10)
    for name in ("success %, 95 %", "score", "turns", "tokens", "s/ep", "inv%", "cut%", "err", "n"):
        view.add_column(name, justify="right", no_wrap=True)
    for group, members in groupby(rows, key=lambda row: row.group):
        view.add_section()
        if not single:
            view.add_row("", Text(_group_title(group), style="bold cyan"))
        for row in members:
            view.add_row(*_cells(row), style="dim" if row.baseline else None)
    return view


def as_dict(board: Board, suite: str | None = None) -> dict[str, Any]:
    """Return the board as JSON types: ``rows`` (with rank and every figure) and ``withheld``."""
    rows = [
        {**{key: value for key, value in asdict(row).items() if key != "summary"}, **asdict(row.summary)}
        for row in board.rows(suite=suite)
    ]
    return {"rows": rows, "withheld": board.withheld()}


def _cells(row: Row) -> list[Text]:
    s = row.summary
    agent = Text(one_line(row.name, 60))
    if row.baseline:
        agent.append(" *")
    texts = (
        f"{100 * s.success:.1f} [{100 * s.low:.1f}, {100 * s.high:.1f}]",
        f"{s.score:.3f}",
        f"{s.turns:.1f}",
        f"{s.tokens:,.0f}",
        f"{s.seconds:.2f}",
        f"{100 * s.invalid:.1f}",
        f"{100 * s.truncated:.1f}",
        str(s.unresolved),
        str(s.episodes),
    )
    return [Text("–" if row.rank is None else str(row.rank)), agent, *map(Text, texts)]


def _group_title(group: tuple[str, str, str, str]) -> str:
    suite, env_id, version, split = map(one_line, group)
    return f"{env_id} · version {version} · {split} · {suite}"


def _caption(board: Board, rows: list[Row]) -> str:
    if not rows:
        caption = "No submissions yet."
    else:
        caption = (
            "# = 1 + agents shown to be better (paired permutation over common tasks, Holm, 5 %); "
            "* baseline, not ranked; inv%: turns that could not be run; cut%: episodes that met a limit; "
            "err: faults, counted as not solved."
        )
    withheld = board.withheld()
    if withheld:
        caption += f" Withheld because their files were altered: {', '.join(map(one_line, withheld))}."
    return caption
