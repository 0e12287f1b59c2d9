"""What the board's table, an agent's page and a comparison show, from figures to plain context for the templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from thinkact.leaderboard.breakdown import By, Part, breakdown
from thinkact.leaderboard.compare import Comparison, Disagreement, compare_outcomes
from thinkact.leaderboard.figures import Figures, Tab, short_hash
from thinkact.leaderboard.inert import one_line
from thinkact.leaderboard.passk import PassK, pass_k
from thinkact.leaderboard.standings import Standing
from thinkact.leaderboard.statistics import Outcome
from thinkact.leaderboard.store import Entry

#: What each flag means, in a sentence.
FLAGS = {
    "gap": "does better on public tasks than on hidden ones than chance explains",
    "errors": "more than 2 % of its episodes ended in a fault of the infrastructure",
    "missing": "did not run all tasks that others ran: its mean is over other tasks than theirs",
    "network": "its program was granted network access",
}
#: A breakdown by more parts than this is left out: nobody reads it.
_MOST_PARTS = 60
_BREAKDOWNS: tuple[By, ...] = ("environment", "family", "difficulty", "horizon", "template")


@dataclass(frozen=True)
class Placed:
    """An agent's standing in one table, with what its page shows of it.

    Attributes:
        tab: The table.
        standing: The figures.
        agents: Ranked agents in the table.
        parts: Breakdowns with at least two parts.
        pass_k: pass@k and pass^k for some k, where every task had several trials.
    """

    tab: Tab
    standing: Standing
    agents: int
    parts: Mapping[str, list[Part]]
    pass_k: list[PassK]


def agent_key(name: str) -> str:
    """Return an agent's name for addresses: a readable start and eight hex digits."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "agent"
    return f"{slug}-{short_hash(name)}"


def placed(figures: Figures, name: str) -> list[Placed]:
    """Return an agent's standing in every suite and split it ran."""
    found = []
    for tab in figures.tabs():
        if tab.env_id is not None:
            continue
        agents = figures.standings(tab).agents
        standing = next((one for one in agents if one.name == name), None)
        if standing is None:
            continue
        outcomes = [one for own in own_outcomes(figures, tab, name).values() for one in own]
        horizons = figures.horizons(tab.suite, tab.split)
        parts = {by: breakdown(outcomes, by, horizons=horizons) for by in _BREAKDOWNS}
        tried = pass_k(outcomes) if standing.summary.episodes > standing.summary.tasks else []
        found.append(
            Placed(
                tab,
                standing,
                sum(one.rank is not None for one in agents),
                {by: each for by, each in parts.items() if 1 < len(each) <= _MOST_PARTS},
                [one for one in tried if one.k in (1, 2, 3, 5, 8, 10)] if len(tried) > 1 else [],
            )
        )
    return found


def own_entries(figures: Figures, tab: Tab, name: str) -> dict[tuple[str, str], Entry]:
    """Return an agent's newest entry for each (env_id, env_version) of a suite and split."""
    newest: dict[tuple[str, str], Entry] = {}
    for one in figures.entries:
        if (one.suite, one.split, one.name) == (tab.suite, tab.split, name):
            known = newest.setdefault((one.env_id, one.env_version), one)
            if one.created > known.created:
                newest[one.env_id, one.env_version] = one
    return newest


def own_outcomes(figures: Figures, tab: Tab, name: str) -> dict[tuple[str, str], list[Outcome]]:
    """Return an agent's newest outcomes in a suite and split, by (env_id, env_version)."""
    everybody = figures.outcomes(tab.suite, tab.split)
    return {key: everybody[one.submission, *key] for key, one in own_entries(figures, tab, name).items()}


def comparison(figures: Figures, tab: Tab, a: str, b: str) -> Comparison:
    """Compare two agents of a suite and split over the tasks they share."""
    sides = [own_outcomes(figures, tab, name) for name in (a, b)]
    # Versions of an environment that only one of them ran are other tasks.
    shared = sides[0].keys() & sides[1].keys()
    outcomes = [[one for key in sorted(shared) for one in side[key]] for side in sides]
    apart = [len({one.task for key, own in side.items() if key not in shared for one in own}) for side in sides]
    found = compare_outcomes(
        *outcomes, names=(a, b), horizons=figures.horizons(tab.suite, tab.split), suite=tab.suite, split=tab.split
    )
    return replace(found, only_a=found.only_a + apart[0], only_b=found.only_b + apart[1])


def telling_pair(one: Disagreement, outcomes: Sequence[Mapping[str, Outcome]]) -> list[str]:
    """Return the ids of the two episodes that show a disagreement best: a solved and an unsolved one, if there are.

    Args:
        one: The task.
        outcomes: Each side's outcomes by episode id.
    """
    sides = zip((one.episodes_a, one.episodes_b), outcomes, (one.a > one.b, one.b > one.a), strict=True)
    return [min(ids, key=lambda key: (bool(own[key].success) != solved, key)) for ids, own, solved in sides]  # noqa: B023


def manifest_lines(meta: Mapping[str, Any], *, most: int = 200) -> list[tuple[int, str, str]]:
    """Return what a submitter noted as lines (depth, name, value), nested parts indented; everything inert."""
    lines: list[tuple[int, str, str]] = []

    def walk(value: object, name: str, depth: int) -> None:
        if len(lines) >= most:
            return
        if isinstance(value, dict) and value and depth < 5:
            if name:
                lines.append((depth - 1, one_line(name, 60), ""))
            for key, inner in value.items():
                walk(inner, str(key), depth + 1)
        elif isinstance(value, list) and value and depth < 5 and any(isinstance(one, dict | list) for one in value):
            lines.append((depth - 1, one_line(name, 60), ""))
            for at, inner in enumerate(value, 1):
                walk(inner, str(at), depth + 1)
        else:
            empty = value is None or value == [] or value == {} or value == ""
            shown = "none" if empty else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append((depth - 1, one_line(name, 60), one_line(shown, 300)))

    walk(dict(meta), "", 0)
    return lines
