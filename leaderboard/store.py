"""The board: a folder of submissions, and an SQLite index over them that can always be rebuilt."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from thinkact.leaderboard.decisions import Decisions
from thinkact.leaderboard.index import (
    BoardLocked,
    Group,
    Index,
    Indexed,
    members_of,
    outcomes_by_submission,
    outcomes_of,
)
from thinkact.leaderboard.paired import all_pairs, rank_sets
from thinkact.leaderboard.records import (
    BASELINES,
    Kind,
    Manifest,
    RejectedSubmission,
    complete,
    lost,
    read_back,
    read_manifest,
    submission_id,
    to_lines,
    write_whole,
)
from thinkact.leaderboard.rows import Entry, Row
from thinkact.leaderboard.statistics import Outcome, summarise, task_means
from thinkact.policies.episode import Episode

__all__ = ["Board", "BoardLocked", "Entry", "Row"]


class Board:
    """A leaderboard in a folder: ``episodes/<submission>.jsonl`` and ``index.sqlite``.

    The episode files are the truth and are never changed; the index is derived from them and repaired at
    every use. Several processes may use one board.

    Args:
        path: The folder; made when it is missing.
        busy_timeout_s: How long to wait for another process that writes the index.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 10.0) -> None:
        self.path = Path(path)
        self._files = self.path / "episodes"
        self._files.mkdir(parents=True, exist_ok=True)
        self._index = Index(self.path, busy_timeout_s)
        #: Why submissions are shown or not; what it takes off is treated like an altered one.
        self.decisions = Decisions(self.path)

    def submit(
        self,
        name: str,
        episodes: Iterable[Episode],
        *,
        kind: Kind = "agent",
        suite: str = "default",
        meta: dict[str, Any] | None = None,
    ) -> str:
        """Check and store one agent's episodes.

        The same episodes under the same name, kind and suite give the same id and change nothing, except
        that a damaged copy is mended. After a crash or on a full disk nothing half-written counts.

        Args:
            name: The agent's; a later submission under it takes its place in :meth:`rows`.
            episodes: At least one; all tasks the agent was given, errored episodes included.
            kind: ``"baseline"`` for rows that are references and take no rank.
            suite: Label of the environment settings; agents compare within it.
            meta: Notes in JSON types (model, training stage, command).

        Returns:
            The submission's id.

        Raises:
            RejectedSubmission: When an episode contradicts itself or there is none; nothing is stored.
            OSError: When the disk is full or not writable; nothing is stored.
        """
        if not name.strip():
            raise RejectedSubmission("a submission needs a name")
        lines = to_lines(episodes)
        if not lines:
            raise RejectedSubmission("a submission needs at least one episode")
        receipts = tuple(receipt for _, receipt in lines.values())
        manifest = Manifest(
            id=submission_id(name, kind, suite, [receipt.digest for receipt in receipts]),
            name=name,
            kind=kind,
            suite=suite,
            created=datetime.now(UTC).isoformat(),
            meta=json.loads(json.dumps(meta or {}, allow_nan=False)),
            episodes=receipts,
        )
        jsonl, manifest_file = self._paths(manifest.id)
        known = read_manifest(manifest_file)
        if known is None or not complete(known, jsonl):
            write_whole(jsonl, b"".join(line for line, _ in lines.values()))
        if known is None:
            write_whole(manifest_file, manifest.model_dump_json().encode())
        try:
            self._repair()
        except (BoardLocked, sqlite3.OperationalError):
            pass  # The submission is safe on disk; the next use of the board indexes it.
        return manifest.id

    def rows(
        self,
        *,
        suite: str | None = None,
        env_id: str | None = None,
        split: str | None = None,
        history: bool = False,
    ) -> list[Row]:
        """Return the board: group by group, best success first.

        Args:
            suite: Only this suite.
            env_id: Only this environment.
            split: Only this split.
            history: Every submission, not only the newest of each name in each group.

        Raises:
            BoardLocked: When the index needs repair and another process holds it.
        """
        self._repair()
        with self._index.open() as db:
            groups = members_of(db, {"suite": suite, "env_id": env_id, "split": split})
            return [row for group, members in groups.items() for row in self._group(db, group, members, history)]

    def entries(self, *, suite: str | None = None, history: bool = False) -> list[Entry]:
        """Return who is on the board, group by group, newest first, without any figure.

        Args:
            suite: Only this suite.
            history: Every submission, not only the newest of each name in each group.
        """
        self._repair()
        with self._index.open() as db:
            groups = members_of(db, {"suite": suite})
        return [
            Entry(
                submission=key,
                name=name,
                baseline=kind == "baseline" or name in BASELINES,
                suite=group[0],
                env_id=group[1],
                env_version=group[2],
                split=group[3],
                created=created,
                meta=json.loads(meta),
                earlier=0 if history else sum(other[2] == name for other in members) - 1,
            )
            for group, members in groups.items()
            for at, (created, key, name, kind, meta) in enumerate(members)
            if history or all(other[2] != name for other in members[:at])
        ]

    def state(self) -> str:
        """Return a digest that changes whenever anything on the board does."""
        self._repair()
        with self._index.open() as db:
            found = db.execute("SELECT id, stamp, withheld FROM submission ORDER BY id").fetchall()
        return hashlib.sha256(json.dumps(found).encode()).hexdigest()

    def episodes(self, submission: str) -> Iterator[Episode]:
        """Yield the episodes of a submission as they were submitted; lost ones as unresolved.

        Raises:
            KeyError: When there is no such submission.
            RejectedSubmission: When the files are not what was submitted.
        """
        manifest = self.manifest(submission)
        found = read_back(manifest, self._paths(submission)[0].read_bytes())
        for receipt in manifest.episodes:
            yield found[receipt.digest] if receipt.digest in found else lost(manifest, receipt)

    def submissions(self) -> list[str]:
        """Return the ids of all submissions, those that are not shown included."""
        return sorted(path.stem for path in self._files.glob("[!.]*.json"))

    def manifest(self, submission: str) -> Manifest:
        """Return a submission's manifest: who, on what, how it was played, and the digest of every episode.

        Raises:
            KeyError: When there is no such submission.
        """
        manifest = read_manifest(self._paths(submission)[1])
        if manifest is None:
            raise KeyError(f"no submission {submission!r} on this board")
        return manifest

    def submission_of(self, run: str) -> tuple[str, dict[str, Any]] | None:
        """Return the submission that a run of the board became, with its notes; None when there is none."""
        self._repair()
        with self._index.open() as db:
            for key, meta in db.execute("SELECT id, meta FROM submission"):
                found: dict[str, Any] = json.loads(meta)
                if found.get("run") == run:
                    return key, found
        return None

    def outcomes(self, submission: str, group: Group) -> list[Outcome]:
        """Return what statistics need of a submission's episodes in one :attr:`Row.group`, from the index."""
        self._repair()
        with self._index.open() as db:
            return outcomes_of(db, submission, group)

    def all_outcomes(self, suite: str, split: str) -> dict[tuple[str, str, str], list[Outcome]]:
        """Return the outcomes of everybody on a suite and split, by (submission, env_id, env_version), in one go."""
        self._repair()
        with self._index.open() as db:
            return outcomes_by_submission(db, suite, split)

    def withheld(self) -> dict[str, str]:
        """Return the submissions that are not shown, with the reason: altered, rejected or retracted."""
        self._repair()
        with self._index.open() as db:
            return dict(db.execute("SELECT id, withheld FROM submission WHERE withheld IS NOT NULL"))

    def rebuild(self) -> None:
        """Throw the index away and derive it anew from the episode files; clears left-over part files."""
        self._index.drop()
        for leftover in self._files.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        self._repair()

    # Inside.

    def _group(
        self,
        db: sqlite3.Connection,
        group: Group,
        members: list[tuple[str, ...]],
        history: bool,
    ) -> list[Row]:
        """Build one group's rows from (created, submission, name, kind, meta), newest first."""
        names = [member[2] for member in members]
        shown = [member for at, member in enumerate(members) if history or member[2] not in names[:at]]
        outcomes = {member[1]: outcomes_of(db, member[1], group) for member in shown}
        baselines = {member[1] for member in shown if member[3] == "baseline" or member[2] in BASELINES}
        means = {key: task_means(found) for key, found in outcomes.items() if key not in baselines}
        ranked = rank_sets(means, all_pairs(means))
        rows = [
            Row(
                submission=key,
                name=name,
                baseline=key in baselines,
                suite=group[0],
                env_id=group[1],
                env_version=group[2],
                split=group[3],
                created=created,
                meta=json.loads(meta),
                summary=summarise(outcomes[key]),
                rank=ranked[key].best if key in ranked else None,
                worst_rank=ranked[key].worst if key in ranked else None,
                earlier=0 if history else names.count(name) - 1,
            )
            for created, key, name, _, meta in shown
        ]
        return sorted(rows, key=lambda row: (-row.summary.success, -row.summary.score, row.name))

    def _paths(self, submission: str) -> tuple[Path, Path]:
        if Path(submission).name != submission or submission.startswith("."):
            raise KeyError(f"{submission!r} is not a submission id")
        return self._files / f"{submission}.jsonl", self._files / f"{submission}.json"

    def _stamp(self, submission: str) -> str:
        """Tell whether the files changed since they were indexed, without reading them."""
        stats = [path.stat() for path in self._paths(submission) if path.exists()]
        return " ".join(f"{stat.st_size}.{stat.st_mtime_ns}.{stat.st_ino}" for stat in stats)

    def _repair(self) -> None:
        off = self.decisions.off()
        present = {
            path.stem: f"{self._stamp(path.stem)} {off.get(path.stem, '')}".rstrip()
            for path in sorted(self._files.glob("[!.]*.json"))
        }
        self._index.repair(present, lambda submission: self._read(submission, off.get(submission)))

    def _read(self, submission: str, withheld: str | None) -> Indexed:
        """Read what the index takes of a submission, which is withheld too where its files are damaged."""
        manifest = read_manifest(self._paths(submission)[1])
        episodes = list[Episode]()
        try:
            if manifest is None or manifest.id != submission:
                raise RejectedSubmission("its manifest is damaged")
            episodes = list(self.episodes(submission)) if withheld is None else []
        except (RejectedSubmission, ValidationError, OSError) as error:
            withheld = str(error)
        known = (manifest.created, manifest.name, manifest.kind, manifest.suite) if manifest else ("",) * 4
        return Indexed(*known, json.dumps(manifest.meta if manifest else {}), withheld, episodes)
