"""The index of a board: what the files hold, in SQLite, derived from them and repaired to match."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from thinkact.leaderboard.statistics import Outcome
from thinkact.policies.episode import Episode

_INDEX_VERSION = 2
_SCHEMA = f"""
DROP TABLE IF EXISTS submission; DROP TABLE IF EXISTS outcome;
CREATE TABLE submission (
    id TEXT PRIMARY KEY, stamp TEXT NOT NULL, created TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
    suite TEXT NOT NULL, meta TEXT NOT NULL, withheld TEXT);
CREATE TABLE outcome (
    submission TEXT NOT NULL, env_id TEXT NOT NULL, env_version TEXT NOT NULL, split TEXT NOT NULL,
    id TEXT NOT NULL, task TEXT NOT NULL, success INTEGER, score REAL, truncated INTEGER NOT NULL,
    turns INTEGER NOT NULL, invalid_turns INTEGER NOT NULL, tokens INTEGER NOT NULL, seconds REAL NOT NULL,
    cost REAL NOT NULL, attempts INTEGER NOT NULL, family TEXT NOT NULL, difficulty REAL NOT NULL,
    PRIMARY KEY (submission, id)) WITHOUT ROWID;
PRAGMA user_version = {_INDEX_VERSION};
"""
_OUTCOME_COLUMNS = ", ".join(field.name for field in fields(Outcome))


class BoardLocked(RuntimeError):
    """Another process held the index for longer than the time allowed; try again."""


#: A suite, an environment with its version, and a split: what is compared together.
Group = tuple[str, str, str, str]


@dataclass(frozen=True)
class Indexed:
    """What the index takes of one submission.

    Attributes:
        created: When, as text that sorts by time.
        meta: Its notes, as JSON.
        withheld: Why it is not shown, if it is not; then it has no episodes.
    """

    created: str
    name: str
    kind: str
    suite: str
    meta: str
    withheld: str | None
    episodes: list[Episode]


class Index:
    """``index.sqlite`` in a board's folder.

    Args:
        folder: The board's.
        busy_timeout_s: How long to wait for another process that writes.
    """

    def __init__(self, folder: Path, busy_timeout_s: float) -> None:
        self.folder, self.busy_timeout_s = folder, busy_timeout_s

    def repair(self, present: Mapping[str, str], read: Callable[[str], Indexed]) -> None:
        """Bring the index up to the files: what a crash left out is added, what is gone or changed redone.

        Args:
            present: Every submission, with a stamp that changes whenever what it holds does.
            read: Reads one of them.

        Raises:
            BoardLocked: Another process holds it.
            OSError: The disk is full.
        """
        try:
            self._repair(present, read)
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "No space left on device", str(self.folder)) from error
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            raise BoardLocked(f"{self.folder}: the index is in use by another process ({error})") from error
        except sqlite3.DatabaseError:  # Not a database, or a malformed one: the files know better.
            self.drop()
            self._repair(present, read)

    def _repair(self, present: Mapping[str, str], read: Callable[[str], Indexed]) -> None:
        with self.open() as db:
            indexed = dict(db.execute("SELECT id, stamp FROM submission"))
            if present == indexed:
                return
            db.execute("BEGIN IMMEDIATE")
            for submission in indexed.keys() | present.keys():
                if indexed.get(submission) == present.get(submission):
                    continue
                db.execute("DELETE FROM outcome WHERE submission = ?", (submission,))
                db.execute("DELETE FROM submission WHERE id = ?", (submission,))
                if submission in present:
                    _insert(db, submission, present[submission], read(submission))
            db.execute("COMMIT")

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Connect to it, with its tables in place."""
        path = self.folder / "index.sqlite"
        with closing(sqlite3.connect(path, timeout=self.busy_timeout_s, isolation_level=None)) as db:
            version = "PRAGMA user_version"
            if db.execute(version).fetchone() != (_INDEX_VERSION,):
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("BEGIN IMMEDIATE")
                if db.execute(version).fetchone() != (_INDEX_VERSION,):  # Another process may have been first.
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                db.execute("COMMIT")
            yield db

    def drop(self) -> None:
        """Throw it away."""
        for suffix in ("", "-wal", "-shm"):
            (self.folder / f"index.sqlite{suffix}").unlink(missing_ok=True)


def _insert(db: sqlite3.Connection, submission: str, stamp: str, found: Indexed) -> None:
    db.execute(
        "INSERT INTO submission VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (submission, stamp, found.created, found.name, found.kind, found.suite, found.meta, found.withheld),
    )
    db.executemany(
        f"INSERT INTO outcome (submission, env_id, env_version, split, {_OUTCOME_COLUMNS}) "
        f"VALUES ({', '.join('?' * (4 + len(fields(Outcome))))})",
        ((submission, one.env_id, one.env_version, one.split, *astuple(Outcome.of(one))) for one in found.episodes),
    )


def members_of(db: sqlite3.Connection, wanted: dict[str, str | None]) -> dict[Group, list[tuple[str, ...]]]:
    """Return (created, submission, name, kind, meta) of each group's submissions, newest first."""
    asked = {key: value for key, value in wanted.items() if value is not None}
    where = "".join(f" AND {key} = :{key}" for key in asked)
    query = (
        "SELECT DISTINCT suite, env_id, env_version, split, created, submission, name, kind, meta "
        "FROM outcome JOIN submission ON submission.id = outcome.submission "
        f"WHERE withheld IS NULL{where} ORDER BY suite, env_id, env_version, split, created DESC"
    )
    groups: dict[Group, list[tuple[str, ...]]] = {}
    for record in db.execute(query, asked):
        groups.setdefault(record[:4], []).append(record[4:])
    return groups


def outcomes_of(db: sqlite3.Connection, submission: str, group: Group) -> list[Outcome]:
    """Return a submission's outcomes in one group."""
    where = "submission = ? AND env_id = ? AND env_version = ? AND split = ?"
    query = f"SELECT {_OUTCOME_COLUMNS} FROM outcome WHERE {where}"
    return [_outcome(record) for record in db.execute(query, (submission, *group[1:]))]


def outcomes_by_submission(db: sqlite3.Connection, suite: str, split: str) -> dict[tuple[str, str, str], list[Outcome]]:
    """Return everybody's outcomes on a suite and split, by (submission, env_id, env_version)."""
    columns = ", ".join(f"outcome.{field.name}" for field in fields(Outcome))
    query = (
        f"SELECT submission, env_id, env_version, {columns} FROM outcome JOIN submission "
        "ON submission.id = outcome.submission WHERE withheld IS NULL AND suite = ? AND split = ?"
    )
    found: dict[tuple[str, str, str], list[Outcome]] = {}
    for record in db.execute(query, (suite, split)):
        found.setdefault(record[:3], []).append(_outcome(record[3:]))
    return found


def _outcome(record: tuple[Any, ...]) -> Outcome:
    key, task, success, score, truncated, *rest = record
    return Outcome(key, task, None if success is None else bool(success), score, bool(truncated), *rest)
