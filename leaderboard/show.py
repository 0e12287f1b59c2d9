"""The board as terminal tables, and as plain data for ``--json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from thinkact.leaderboard.compare import Comparison
from thinkact.leaderboard.inert import one_line
from thinkact.leaderboard.paired import Rank, p_text
from thinkact.leaderboard.pareto import Amount, pareto
from thinkact.leaderboard.passk import pass_k
from thinkact.leaderboard.standings import Standings, flags_of, standings
from thinkact.leaderboard.statistics import Summary
from thinkact.leaderboard.store import Board, Row

_AMOUNTS: tuple[Amount, ...] = ("tokens", "cost", "seconds", "turns")
_MOST_DISAGREEMENTS = 20
_Line = tuple[Text, str, bool, Summary, tuple[str, ...]]
_Flags = dict[tuple[str, str, str, str, str], tuple[str, ...]]


def table(board: Board, suite: str | None = None) -> Group:
    """Return the board as rich tables, one per (suite, env, version, split).

    A suite of several environments has a table over all of them first. Baselines are dim and take no rank.
    Everything a submitter wrote is shown inert.
    """
    rows, overall = board.rows(suite=suite), standings(board, suite)
    sections = [*map(_overall, (one for one in overall if len(one.environments) > 1))]
    flags: _Flags = {
        (one.suite, one.split, *one.environments[0], agent.name): agent.flags
        for one in overall
        if len(one.environments) == 1
        for agent in one.agents
    }
    for group, members in groupby(rows, key=lambda row: row.group):
        sections.append((_group_title(group), [_line(row, flags) for row in members]))
    with_cost = any(line[3].cost > 0 for _, lines in sections for line in lines)
    with_flags = any(line[4] for _, lines in sections for line in lines)
    tables = [_section(heading, lines, with_cost, with_flags) for heading, lines in sections]
    return Group(*tables, Text(_caption(board, rows), style="dim italic"))


def _section(heading: str, lines: list[_Line], with_cost: bool, with_flags: bool) -> Table:
    view = Table(title=Text(heading), title_justify="left", box=box.SIMPLE_HEAD, padding=0, expand=False)
    view.add_column("#", justify="right", no_wrap=True, min_width=3)
    view.add_column("agent", overflow="fold", min_width=10)
    heads = ["success %, 95 %", "score", "turns", "tokens", "s/ep", *["$"] * with_cost, "inv%", "cut%", "err", "n"]
    for name in heads:
        view.add_column(name, justify="right", no_wrap=True)
    if with_flags:
        view.add_column("flags", overflow="fold")
    for rank, name, baseline, summary, said in lines:
        cells = [rank, _agent(name, baseline), *_figures(summary, with_cost)]
        cells += [Text(" ".join(said), style="yellow")] * with_flags
        view.add_row(*cells, style="dim" if baseline else None)
    return view


def as_dict(board: Board, suite: str | None = None) -> dict[str, Any]:
    """Return the board as JSON types.

    ``rows`` has rank, figures, flags, pass@k and pass^k of each agent in each environment; ``standings`` the
    same over each suite, with the pairs tested and the Pareto fronts; ``withheld`` what was altered.
    """
    rows = []
    for row in board.rows(suite=suite):
        plain = {key: value for key, value in asdict(row).items() if key != "summary"} | asdict(row.summary)
        plain["flags"] = flags_of(row.summary, network=row.meta.get("network") is True)
        trials = row.summary.episodes > row.summary.tasks
        outcomes = board.outcomes(row.submission, row.group) if trials else []
        rows.append(plain | {"pass_k": [asdict(each) for each in pass_k(outcomes)]})
    overall = [asdict(one) | {"pareto": _fronts(one)} for one in standings(board, suite)]
    return {"rows": rows, "standings": overall, "withheld": board.withheld()}


def comparison_table(found: Comparison) -> Table:
    """Return a comparison as a rich table: the two agents' figures, then each part of the tasks."""
    a, b = (one_line(name, 30) for name in (found.a, found.b))
    view = Table(title=Text(one_line(found.note, 400)), box=box.SIMPLE_HEAD, padding=(0, 1), expand=False)
    view.caption = Text(_comparison_caption(found))
    view.add_column("", overflow="fold")
    for head in ("tasks", a, b, "difference, points, 95 %"):
        view.add_column(Text(head), justify="right", overflow="fold")
    points = f"{_points(found.difference)} [{_points(found.low)}, {_points(found.high)}]"
    view.add_row("success %", str(found.tasks), *(f"{100 * s.success:.1f}" for s in _both(found)), points)
    points = f"{_points(found.score_difference)} [{_points(found.score_low)}, {_points(found.score_high)}]"
    view.add_row("score", "", *(f"{s.score:.3f}" for s in _both(found)), points)
    view.add_row("turns", "", *(f"{s.turns:.1f}" for s in _both(found)))
    view.add_row("tokens", "", *(f"{s.tokens:,.0f}" for s in _both(found)))
    view.add_row("seconds", "", *(f"{s.seconds:.2f}" for s in _both(found)))
    view.add_row("cost $", "", *(f"{s.cost:.2f}" for s in _both(found)))
    view.add_row("invalid %", "", *(f"{100 * s.invalid:.1f}" for s in _both(found)))
    view.add_row("cut %", "", *(f"{100 * s.truncated:.1f}" for s in _both(found)))
    view.add_row("errors", "", *(str(s.unresolved) for s in _both(found)))
    for by, cells in groupby(found.cells, key=lambda cell: cell.by):
        view.add_section()
        view.add_row(Text(by, style="bold cyan"))
        for cell in cells:
            points = f"{_points(cell.difference)} [{_points(cell.low)}, {_points(cell.high)}]"
            figures = (f"{100 * share:.1f}" for share in (cell.a, cell.b))
            view.add_row(Text(f"  {one_line(cell.name, 40)}"), str(cell.tasks), *figures, points)
    return view


def disagreement_table(found: Comparison, most: int = _MOST_DISAGREEMENTS) -> Table:
    """Return the tasks on which two agents differ, with the ids of their episodes."""
    left_out = len(found.disagreements) - most
    caption = f"{left_out} more left out; --json has all." if left_out > 0 else None
    view = Table(box=box.SIMPLE_HEAD, padding=(0, 1), caption=caption)
    view.add_column("task", overflow="fold")
    for head in (found.a, found.b):
        view.add_column(Text(f"{one_line(head, 30)} %"), justify="right")
        view.add_column("episodes", overflow="fold")
    for one in found.disagreements[:most]:
        sides = ((one.a, one.episodes_a), (one.b, one.episodes_b))
        cells = [text for share, ids in sides for text in (f"{100 * share:.0f}", one_line(" ".join(ids), 80))]
        view.add_row(Text(one_line(one.task)), *map(Text, cells))
    return view


def _overall(one: Standings) -> tuple[str, list[_Line]]:
    heading = f"{one_line(one.suite)} · {one_line(one.split)} · all {len(one.environments)} environments"
    return heading, [(_rank(a.rank), a.name, a.baseline, a.summary, a.flags) for a in one.agents]


def _line(row: Row, flags: _Flags) -> _Line:
    own = flags_of(row.summary, network=row.meta.get("network") is True)
    said = flags.get((row.suite, row.split, row.env_id, row.env_version, row.name), own)
    rank = Rank(row.rank, row.worst_rank or row.rank, ()) if row.rank is not None else None
    return _rank(rank), row.name, row.baseline, row.summary, said


def _rank(rank: Rank | None) -> Text:
    if rank is None:
        return Text("–")
    return Text(str(rank.best) if rank.best == rank.worst else f"{rank.best}–{rank.worst}")


def _agent(name: str, baseline: bool) -> Text:
    return Text(one_line(name, 60) + (" *" if baseline else ""))


def _figures(s: Summary, with_cost: bool) -> list[Text]:
    texts = (
        f"{100 * s.success:.1f} [{100 * s.low:.1f}, {100 * s.high:.1f}]",
        f"{s.score:.3f}",
        f"{s.turns:.1f}",
        f"{s.tokens:,.0f}",
        f"{s.seconds:.2f}",
        *[f"{s.cost:.2f}"] * with_cost,
        f"{100 * s.invalid:.1f}",
        f"{100 * s.truncated:.1f}",
        str(s.unresolved),
        str(s.episodes),
    )
    return [*map(Text, texts)]


def _fronts(one: Standings) -> dict[str, list[dict[str, Any]]]:
    named = [(agent.name, agent.summary) for agent in one.agents]
    return {of: [asdict(point) for point in pareto(named, of)] for of in _AMOUNTS}


def _both(found: Comparison) -> tuple[Summary, Summary]:
    return found.summary_a, found.summary_b


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _comparison_caption(found: Comparison) -> str:
    caption = f"suite {one_line(found.suite)}, {one_line(found.split)} split, common tasks only"
    if found.only_a or found.only_b:
        caption += f"; left out: {found.only_a} that only the first ran, {found.only_b} that only the second ran"
    caption += f". Tasks won: {found.a_better} and {found.b_better}."
    if found.p_templates is not None:
        caption += f" Over templates instead of tasks {p_text(found.p_templates)}."
    return caption + " Parts are not corrected for their number."


def _group_title(group: tuple[str, str, str, str]) -> str:
    suite, env_id, version, split = map(one_line, group)
    return f"{env_id} · version {version} · {split} · {suite}"


def _caption(board: Board, rows: Sequence[Row]) -> str:
    if not rows:
        caption = "No submissions yet: thinkact submit --policy expert --suite core-cpu"
    else:
        caption = (
            "# = from 1 + agents shown to be better, to agents less those shown to be worse (paired permutation "
            "over common tasks, Holm, 5 %): who cannot be told apart overlaps; * baseline, not ranked; inv%: turns "
            "that could not be run; cut%: episodes that met a limit; err: faults, counted as not solved."
        )
    if any(row.summary.cost for row in rows):
        caption += " $: in all, retried attempts included."
    withheld = board.withheld()
    if withheld:
        caption += f" Withheld because their files were altered: {', '.join(map(one_line, withheld))}."
    return caption
