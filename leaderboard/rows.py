"""Rows of a board: who is on it, and with which figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thinkact.leaderboard.statistics import Summary


@dataclass(frozen=True)
class Entry:
    """One agent on one list of tasks, without its figures: those take work, who is there does not.

    Attributes:
        submission: Id; :meth:`Board.episodes` takes it.
        name: The agent's.
        baseline: Shown for reference, takes no rank.
        suite: Label of the settings it ran under; rows compare only within (suite, env, version, split).
        env_id: Gymnasium id.
        env_version: Version of the environment.
        split: ``train``, ``eval`` or ``hidden``.
        created: When it was submitted (ISO 8601, UTC).
        meta: What the submitter noted.
        earlier: Older submissions under the same name in the same group, not shown.
    """

    submission: str
    name: str
    baseline: bool
    suite: str
    env_id: str
    env_version: str
    split: str
    created: str
    meta: dict[str, Any]
    earlier: int

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What rows must share to be compared: suite, env, its version and split."""
        return self.suite, self.env_id, self.env_version, self.split


@dataclass(frozen=True)
class Row(Entry):
    """An entry with its figures.

    Attributes:
        summary: The figures.
        rank: 1 + the number of agents of the same group shown to be better; None for a baseline.
        worst_rank: The agents of the group less those shown to be worse; the true place lies in between.
    """

    summary: Summary
    rank: int | None
    worst_rank: int | None = None
