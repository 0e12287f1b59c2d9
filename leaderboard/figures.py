"""The figures of a board's pages, kept between requests and between runs of the server.

Standings take seconds where a hundred agents ran a thousand tasks each. They follow from what is on the board
alone, so they are kept under the digest of its state: in memory, and as JSON in ``board/cache``, which can be
thrown away at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from thinkact.leaderboard.breakdown import horizons
from thinkact.leaderboard.gap import Gap
from thinkact.leaderboard.paired import Rank
from thinkact.leaderboard.records import write_whole
from thinkact.leaderboard.standings import Standing, Standings, standings
from thinkact.leaderboard.statistics import Outcome, Summary
from thinkact.leaderboard.store import Board, Entry

#: Raised whenever the same episodes give other figures.
_VERSION = 1
_ORDER = {"eval": 0, "hidden": 1, "train": 2}


@dataclass(frozen=True)
class Tab:
    """One table of the board.

    Attributes:
        suite: Label of the settings.
        split: ``train``, ``eval`` or ``hidden``.
        env_id: One environment; None for all of the suite.
    """

    suite: str
    split: str
    env_id: str | None = None

    @property
    def key(self) -> str:
        """Eight hex digits, for addresses."""
        return short_hash(self.suite, self.split, self.env_id or "")


class Figures:
    """What pages show of a board, by its state: call :meth:`refresh` first, then look.

    Args:
        board: The board.
        suite: Only this suite; None for all.
    """

    def __init__(self, board: Board, suite: str | None = None) -> None:
        self.board = board
        self.suite = suite
        self.state = ""
        self.entries: list[Entry] = []
        self._standings: dict[Tab, Standings] = {}
        self._outcomes: dict[tuple[str, str], dict[tuple[str, str, str], list[Outcome]]] = {}
        self._horizons: dict[tuple[str, str], dict[str, int]] = {}

    def refresh(self) -> bool:
        """Look whether the board changed, and forget what then no longer holds; tell whether it did.

        Raises:
            BoardLocked: When the index needs repair and another process holds it.
        """
        state = self.board.state()
        if state == self.state:
            return False
        self._standings, self._outcomes, self._horizons = {}, {}, {}
        self.entries = self.board.entries(suite=self.suite, history=True)
        self.state = state
        return True

    def tabs(self) -> list[Tab]:
        """Return the tables there are: the suite of the newest submission first, its ``eval`` split before others."""
        newest: dict[str, str] = {}
        for one in self.entries:
            newest[one.suite] = max(newest.get(one.suite, ""), one.created)
        found = []
        for suite in sorted(newest, key=lambda suite: (newest[suite], suite), reverse=True):
            there = {(one.split, one.env_id) for one in self.entries if one.suite == suite}
            for split in sorted({split for split, _ in there}, key=lambda one: (_ORDER.get(one, 9), one)):
                found.append(Tab(suite, split))
                environments = sorted(env_id for part, env_id in there if part == split)
                found += [Tab(suite, split, env_id) for env_id in environments if len(environments) > 1]
        return found

    def standings(self, tab: Tab) -> Standings:
        """Return a table's agents; the pairs they were tested in are left out."""
        if tab not in self._standings:
            self._standings[tab] = self._kept(tab) or self._computed(tab)
        return self._standings[tab]

    def outcomes(self, suite: str, split: str) -> Mapping[tuple[str, str, str], list[Outcome]]:
        """Return everybody's outcomes by (submission, env_id, env_version)."""
        key = suite, split
        if key not in self._outcomes:
            if len(self._outcomes) >= 4:  # the largest thing kept
                self._outcomes.clear()
            self._outcomes[key] = self.board.all_outcomes(suite, split)
        return self._outcomes[key]

    def horizons(self, suite: str, split: str) -> Mapping[str, int]:
        """Return the turns that each task takes, from all that was run on it."""
        key = suite, split
        if key not in self._horizons:
            everybody = self.outcomes(suite, split).values()
            self._horizons[key] = horizons(one for own in everybody for one in own)
        return self._horizons[key]

    def _computed(self, tab: Tab) -> Standings:
        found = standings(self.board, tab.suite, split=tab.split, env_id=tab.env_id, load=self.outcomes)[0]
        ranked = [
            replace(one, rank=one.rank and Rank(one.rank.best, one.rank.worst, ())) for one in found.agents
        ]  # without who is tied with whom: a square of names that no page shows
        found = replace(found, agents=tuple(ranked), pairs=())
        self._keep(tab, found)
        return found

    def _kept(self, tab: Tab) -> Standings | None:
        try:
            return _standings(json.loads((self.board.path / "cache" / self._file(tab)).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _keep(self, tab: Tab, found: Standings) -> None:
        folder, name = self.board.path / "cache", self._file(tab)
        with contextlib.suppress(OSError):  # a board that cannot be written to can still be read
            folder.mkdir(exist_ok=True)
            write_whole(folder / name, json.dumps(asdict(found)).encode())
            for old in folder.glob("*.json"):
                if not old.name.startswith(name.partition("-")[0]):
                    old.unlink(missing_ok=True)

    def _file(self, tab: Tab) -> str:
        return f"{short_hash(self.state, str(_VERSION))}-{tab.key}.json"


def short_hash(*parts: str) -> str:
    """Return eight hex digits of a digest of the parts."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _standings(plain: dict[str, Any]) -> Standings:
    agents = [
        Standing(
            **one
            | {
                "submissions": tuple(one["submissions"]),
                "summary": Summary(**one["summary"]),
                "rank": one["rank"] and Rank(**one["rank"] | {"tied": ()}),
                "gap": one["gap"] and Gap(**one["gap"]),
                "flags": tuple(one["flags"]),
            }
        )
        for one in plain["agents"]
    ]
    environments = tuple((env_id, version) for env_id, version in plain["environments"])
    return Standings(**plain | {"environments": environments, "agents": tuple(agents), "pairs": ()})
