"""One row per agent over all environments of a suite: rank, flags, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from thinkact.leaderboard.gap import Gap, public_hidden_gap
from thinkact.leaderboard.paired import PairTest, Rank, all_pairs, rank_sets
from thinkact.leaderboard.statistics import Outcome, Summary, summarise, task_means
from thinkact.leaderboard.store import Board, Entry

#: Everybody's outcomes on a suite and split, by (submission, env_id, env_version).
Load = Callable[[str, str], Mapping[tuple[str, str, str], list[Outcome]]]
#: From this share of unresolved episodes on, an agent's figures are flagged: they say more of our faults than of it.
MANY_ERRORS = 0.02


@dataclass(frozen=True)
class Standing:
    """One agent on one suite and split.

    Attributes:
        name: The agent's.
        submissions: Where its episodes are.
        baseline: Shown for reference, takes no rank.
        summary: The figures over all its tasks.
        rank: Among the agents of the suite and split; None for a baseline.
        missing: Tasks that others of the suite and split ran and it did not. Ranks rest on common tasks alone,
            but its mean is over other tasks than theirs.
        environments: How many environments it ran.
        gap: Public less hidden success, on the public split of a board with both; else None.
        flags: Short words: ``"gap"``, ``"errors"``, ``"missing"``, ``"network"``.
    """

    name: str
    submissions: tuple[str, ...]
    baseline: bool
    summary: Summary
    rank: Rank | None
    missing: int
    environments: int
    gap: Gap | None
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Standings:
    """All agents on one suite and split, best success first.

    Attributes:
        suite: Label of the settings.
        split: ``train``, ``eval`` or ``hidden``.
        environments: Gymnasium id and version of each environment in it.
        tasks: Tasks that any agent ran.
        agents: The rows.
        pairs: Every pair of agents that is ranked, Holm-corrected.
    """

    suite: str
    split: str
    environments: tuple[tuple[str, str], ...]
    tasks: int
    agents: tuple[Standing, ...]
    pairs: tuple[PairTest, ...]


def standings(
    board: Board,
    suite: str | None = None,
    *,
    split: str | None = None,
    env_id: str | None = None,
    load: Load | None = None,
) -> list[Standings]:
    """Return the standings of every suite and split of a board, or of those asked for.

    Args:
        board: Where the episodes are.
        suite: Only this suite.
        split: Only this split.
        env_id: Over this environment alone.
        load: In place of :meth:`Board.all_outcomes`, for those who have them already.
    """
    load = load or board.all_outcomes
    entries = [one for one in board.entries(suite=suite) if env_id in (None, one.env_id)]
    # The gap of the public split needs the hidden one.
    needed = {None: None, "eval": {"eval", "hidden"}}.get(split, {split})
    found: dict[tuple[str, str], list[tuple[Entry, list[Outcome]]]] = {}
    loaded: dict[tuple[str, str], Mapping[tuple[str, str, str], list[Outcome]]] = {}
    for one in entries:
        key = one.suite, one.split
        if needed is not None and one.split not in needed:
            continue
        if key not in loaded:
            loaded[key] = load(*key)
        outcomes = loaded[key][one.submission, one.env_id, one.env_version]
        found.setdefault(key, []).append((one, _versioned(one, outcomes)))
    return [_standings(found, label, which) for label, which in found if split in (None, which)]


def flags_of(summary: Summary, *, gap: Gap | None = None, missing: int = 0, network: bool = False) -> tuple[str, ...]:
    """Return what a reader should know before trusting a row, in short words."""
    said = {
        "gap": gap is not None and gap.flagged,
        "network": network,
        "errors": summary.unresolved > MANY_ERRORS * summary.episodes,
        "missing": missing > 0,
    }
    return tuple(word for word, holds in said.items() if holds)


def _standings(found: dict[tuple[str, str], list[tuple[Entry, list[Outcome]]]], suite: str, split: str) -> Standings:
    parts = _by_name(found[suite, split])
    hidden = _by_name(found.get((suite, "hidden"), [])) if split == "eval" else {}
    outcomes = {name: [one for _, own in members for one in own] for name, members in parts.items()}
    means = {name: task_means(own) for name, own in outcomes.items()}
    baselines = {name for name, members in parts.items() if any(row.baseline for row, _ in members)}
    competing = {name: means[name] for name in means if name not in baselines}
    pairs = all_pairs(competing)
    ranks = rank_sets(competing, pairs)
    everything = {task for own in means.values() for task in own}
    agents = []
    for name, members in parts.items():
        summary = summarise(outcomes[name])
        gap = public_hidden_gap(outcomes[name], [one for _, own in hidden.get(name, ()) for one in own])
        missing = len(everything) - len(means[name])
        network = any(row.meta.get("network") is True for row, _ in members)
        agents.append(
            Standing(
                name=name,
                submissions=tuple(dict.fromkeys(row.submission for row, _ in members)),
                baseline=name in baselines,
                summary=summary,
                rank=ranks.get(name),
                missing=missing,
                environments=len({row.env_id for row, _ in members}),
                gap=gap,
                flags=flags_of(summary, gap=gap, missing=missing, network=network),
            )
        )
    agents.sort(key=lambda one: (-one.summary.success, -one.summary.score, one.name))
    environments = sorted({(row.env_id, row.env_version) for members in parts.values() for row, _ in members})
    return Standings(suite, split, tuple(environments), len(everything), tuple(agents), tuple(pairs))


def _by_name(found: Sequence[tuple[Entry, list[Outcome]]]) -> dict[str, list[tuple[Entry, list[Outcome]]]]:
    ordered = sorted(found, key=lambda one: one[0].name)
    return {name: list(members) for name, members in groupby(ordered, key=lambda one: one[0].name)}


def _versioned(row: Entry, outcomes: list[Outcome]) -> list[Outcome]:
    """Tell tasks of different versions of an environment apart; they are other tasks."""
    head, cut = f"{row.env_id}@{row.env_version} ", len(row.env_id) + 1
    return [Outcome(**(vars(one) | {"task": head + one.task[cut:]})) for one in outcomes]
