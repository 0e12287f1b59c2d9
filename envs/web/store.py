"""The database of a web application: a seeded template, one clone per episode, and what changed since.

A start is filled once per (application, seed, knobs), when somebody looks into it; an episode clones it (well under a
millisecond) when its application is asked for something first. Where a task has many applications, those that nobody
looks into cost nothing. Generated triggers write every state change to an append-only audit, so the net difference
from the start is found by comparing only the rows that were ever touched.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from thinkact.envs.web.site import App, Knobs

Op = Literal["insert", "update", "delete"]

#: Tables of the framework, in every database: the visitor's session and the audit. They are no state of the task.
SESSION, AUDIT = "_session", "_audit"
_OWN_TABLES = f"""
CREATE TABLE {SESSION} (id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL);
INSERT INTO {SESSION} VALUES (1, '{{}}');
CREATE TABLE {AUDIT} (seq INTEGER PRIMARY KEY, op TEXT NOT NULL, tbl TEXT NOT NULL, row INTEGER NOT NULL);
CREATE TRIGGER _audit_keeps_updates BEFORE UPDATE ON {AUDIT} BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER _audit_keeps_deletes BEFORE DELETE ON {AUDIT} BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


@dataclass(frozen=True)
class Goal:
    """A fact that a task wants to be true of an application's database, and that is not true at its start.

    Attributes:
        name: What a person reads in the checks.
        sql: A query; the goal holds when the first value of its first row is true.
        params: Values of the query's ``?`` marks.
        weight: Its share relative to the task's other goals.
        app: Whose database; the task's first application where empty.
    """

    name: str
    sql: str
    params: tuple[Any, ...] = ()
    weight: float = 1.0
    app: str = ""


@dataclass(frozen=True)
class Allowed:
    """What a task may change. Any other change in the net difference is collateral damage.

    Attributes:
        table: The table.
        where: SQL condition on the row: as it is now, for a deletion as it was at the start.
        columns: Columns that may differ after an update; all where empty.
        ops: Which kinds of change.
        app: Whose database; the task's first application where empty.
        params: Values of the condition's ``?`` marks.
    """

    table: str
    where: str = "1"
    columns: tuple[str, ...] = ()
    ops: tuple[Op, ...] = ("insert", "update", "delete")
    app: str = ""
    params: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Change:
    """A row that differs from the start: ``before`` is None for an insertion, ``after`` for a deletion."""

    table: str
    id: int
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def op(self) -> Op:
        """What kind of change it is."""
        return "insert" if self.before is None else "delete" if self.after is None else "update"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that an update changed."""
        if self.before is None or self.after is None:
            return ()
        return tuple(name for name, value in self.before.items() if self.after[name] != value)

    def __str__(self) -> str:
        what = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.op} {self.table} {self.id}{what}"


class Start:
    """The database that the episodes of a task start from; ``lock`` guards ``db``, which can only be read.

    Args:
        fill: Makes the whole database; called when it is looked into first.
    """

    def __init__(self, fill: Callable[[], bytes]) -> None:
        self.lock = threading.RLock()
        self._fill = fill
        self._db: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The database.

        Raises:
            ValueError: The schema has a table without ``id INTEGER PRIMARY KEY``.
        """
        with self.lock:
            if self._db is None:
                self._db = _connect(self._fill())
                self._db.execute("PRAGMA query_only = 1")
            return self._db

    def ready(self) -> None:
        """Fill it now, rather than when it is looked into."""
        _ = self.db

    @property
    def digest(self) -> str:
        """A name for what it holds."""
        return hashlib.blake2b(self.data, digest_size=8).hexdigest()

    @property
    def data(self) -> bytes:
        """The whole database, to clone."""
        with self.lock:
            return self.db.serialize()


#: Starts that anybody holds: a task may keep one for longer than the cache does.
_alive: WeakValueDictionary[tuple[App, str, Knobs], Start] = WeakValueDictionary()


@lru_cache(maxsize=128)
def start_of(app: App, seed: str, knobs: Knobs) -> Start:
    """Return the seeded start of an application, the same one as long as anybody holds it."""
    start = _alive.get((app, seed, knobs))
    if start is None:
        start = _alive[app, seed, knobs] = Start(partial(_filled, app, seed, knobs))
    return start


def _filled(app: App, seed: str, knobs: Knobs) -> bytes:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("BEGIN")
    for statement in _statements(app.schema):
        db.execute(statement)
    # One generator per purpose, seeded by text: Python hashes strings for this with SHA-512, the same everywhere.
    app.fill(db, random.Random(f"{app.name}/{seed}"), knobs)
    db.execute("COMMIT")
    db.executescript(_OWN_TABLES)
    for table in tables(db):
        columns = {row["name"]: row for row in db.execute(f"PRAGMA table_info({table})")}
        key = columns.get("id")
        if key is None or key["pk"] != 1 or key["type"].upper() != "INTEGER":
            raise ValueError(f"{app.name}: table {table} needs a column 'id INTEGER PRIMARY KEY'.")
        for op, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            db.execute(
                f"CREATE TRIGGER _audit_{table}_{op}_{row} AFTER {op} ON {table} "
                f"BEGIN INSERT INTO {AUDIT} (op, tbl, row) VALUES ('{op.lower()}', '{table}', {row}.id); END"
            )
    data = db.serialize()
    db.close()
    return data


def _statements(script: str) -> Iterable[str]:
    """Split a script into statements without ending the transaction, as ``executescript`` would."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""


def tables(db: sqlite3.Connection) -> list[str]:
    """Return the names of an application's own tables."""
    found = db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 1) != '_' ORDER BY name"
    )
    return [row[0] for row in found if not row[0].startswith("sqlite_")]


def _connect(data: bytes) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.deserialize(data)
    db.execute("PRAGMA foreign_keys = 1")
    db.execute("PRAGMA recursive_triggers = 1")  # else INSERT OR REPLACE deletes behind the audit's back
    return db


class Store:
    """The database of one episode, cloned when it is used first: until then it is its start.

    ``lock`` guards ``db``: pages are served on another thread.
    """

    def __init__(self, start: Start) -> None:
        self.start = start
        self.lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._closed = False

    @property
    def db(self) -> sqlite3.Connection:
        """The database.

        Raises:
            ValueError: The store is closed.
        """
        with self.lock:
            if self._db is None:
                if self._closed:
                    raise ValueError("the store is closed.")
                self._db = _connect(self.start.data)
            return self._db

    def snapshot(self) -> bytes:
        """Return the whole database; nothing where it has not been used."""
        with self.lock:
            return b"" if self._db is None else self._db.serialize()

    def restore(self, data: bytes) -> None:
        """Go back to what :meth:`snapshot` returned."""
        with self.lock:
            self._free()
            self._db = _connect(data) if data else None

    def equals(self, data: bytes) -> bool:
        """Tell whether it holds what it did when :meth:`snapshot` returned this."""
        mine = self.snapshot()
        return mine == data or (mine or self.start.data) == (data or self.start.data)

    def close(self) -> None:
        """Free the database. Idempotent."""
        with self.lock:
            self._closed = True
            self._free()

    def _free(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None

    def session(self) -> dict[str, Any]:
        """Return the visitor's session."""
        with self.lock:
            if self._db is None:
                return {}
            loaded: dict[str, Any] = json.loads(self._db.execute(f"SELECT data FROM {SESSION}").fetchone()[0])
            return loaded

    def save_session(self, data: Mapping[str, Any]) -> None:
        """Keep the visitor's session. Raises ``TypeError`` for what is not JSON."""
        with self.lock:
            if data != self.session():
                self.db.execute(f"UPDATE {SESSION} SET data = ?", (json.dumps(data, sort_keys=True),))

    def writes(self) -> int:
        """Return how many rows were written since the start, undone ones included."""
        with self.lock:
            if self._db is None:
                return 0
            return int(self._db.execute(f"SELECT coalesce(max(seq), 0) FROM {AUDIT}").fetchone()[0])

    def holds(self, goal: Goal) -> bool:
        """Tell whether a goal is true now."""
        with self.lock, self.start.lock:
            row = (self._db or self.start.db).execute(goal.sql, goal.params).fetchone()
            return row is not None and bool(row[0])

    def changes(self) -> list[Change]:
        """Return the net difference from the start, by table and id.

        A row that was deleted and put in again under another id, equal in every other column, is no change.
        """
        with self.lock, self.start.lock:
            if self._db is None:
                return []
            touched = self._db.execute(f"SELECT DISTINCT tbl, row FROM {AUDIT} ORDER BY tbl, row").fetchall()
            found = []
            for table, key in touched:
                before, after = (
                    db.execute(f"SELECT * FROM {table} WHERE id = ?", (key,)).fetchone()
                    for db in (self.start.db, self._db)
                )
                if before is None and after is None:
                    continue
                change = Change(table, key, _plain(before), _plain(after))
                if change.before != change.after:
                    found.append(change)
        return _without_returned(found)

    def collateral(self, changes: Iterable[Change], allowed: Iterable[Allowed]) -> list[Change]:
        """Return the changes that no rule allows."""
        rules = list(allowed)
        return [change for change in changes if not any(self._allows(rule, change) for rule in rules)]

    def _allows(self, rule: Allowed, change: Change) -> bool:
        if rule.table != change.table or change.op not in rule.ops:
            return False
        if rule.columns and not set(change.columns) <= set(rule.columns):
            return False
        gone = change.op == "delete"
        lock, db = (self.start.lock, self.start.db) if gone else (self.lock, self.db)
        with lock:
            query = f"SELECT 1 FROM {rule.table} WHERE id = ? AND ({rule.where})"
            return db.execute(query, (change.id, *rule.params)).fetchone() is not None


def _plain(row: sqlite3.Row | None) -> dict[str, Any] | None:
    return None if row is None else dict(zip(row.keys(), tuple(row), strict=True))


def _without_returned(changes: list[Change]) -> list[Change]:
    """Drop pairs of a deletion and an insertion that differ in nothing but the id."""
    gone = [change for change in changes if change.op == "delete"]
    kept = []
    for change in changes:
        if change.op == "insert":
            twin = next((old for old in gone if old.table == change.table and _content(old) == _content(change)), None)
            if twin is not None:
                gone.remove(twin)
                continue
        if change.op != "delete":
            kept.append(change)
    return sorted([*kept, *gone], key=lambda change: (change.table, change.id))


def _content(change: Change) -> dict[str, Any]:
    row = change.before or change.after or {}
    return {name: value for name, value in row.items() if name != "id"}
