"""A submission while it runs: ``board/running/<run>/``, written by one process and read by anyone.

==================  ====================================================================================
``plan.json``       What will be run (:class:`~thinkact.leaderboard.plan.Plan`), written once, first.
``status.json``     How far it is (:class:`Status`), replaced whole about twice a second.
``episodes.jsonl``  One :class:`~thinkact.policies.episode.Episode` a line, appended and flushed to disk as it ends,
                    in the order they ended. A last line without its line end is not there yet. Never rewritten.
``faults.jsonl``    One :class:`Fault` a line: every attempt of ours that failed and was played again or given up.
``agent.log``       What the agent's program wrote to its standard error.
==================  ====================================================================================

When all is played the episodes move to ``board/episodes`` and the folder goes. It holds hidden tasks and is for the
board's owner only.
"""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thinkact.leaderboard.journal import Journal, JournalBusy, read_lines
from thinkact.policies.episode import Episode

State = Literal["running", "stopped"]
_EVERY_S = 0.5


class Status(BaseModel):
    """How far a run is; the content of ``status.json``.

    Attributes:
        run: Name of the folder.
        agent: The agent's name.
        suite: Label of the suite, such as ``core-cpu@1``.
        state: ``running``, or ``stopped``: interrupted, and the same command goes on. A process that was killed
            cannot say so: then ``updated`` is old and ``pid`` is gone.
        message: Why it stopped, or what it does now (``thinkact/Math-v0, hidden``).
        done: Episodes that ended, those of earlier parts included.
        total: Episodes in all.
        solved: Of ``done``, how many succeeded.
        errors: Of ``done``, how many ended in a fault of ours.
        retries: Attempts beyond the first.
        cost: US dollars so far.
        started: When the run began (ISO 8601, UTC).
        updated: When this was written.
        seconds: Wall time so far, over all parts.
        eta: Seconds still needed, from the pace of this part; None while nothing ended.
        pid: The process that writes.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    agent: str
    suite: str
    state: State = "running"
    message: str = ""
    done: int = 0
    total: int = 0
    solved: int = 0
    errors: int = 0
    retries: int = 0
    cost: float = 0.0
    started: str
    updated: str
    seconds: float = 0.0
    eta: float | None = None
    pid: int = 0


class Fault(BaseModel):
    """One attempt at an episode that failed through no fault of the agent."""

    model_config = ConfigDict(extra="forbid")

    at: str
    episode: str
    attempt: int
    error: str


class RunFolder:
    """The folder of one run, locked while it is open. Use as a context manager.

    Args:
        board: The board's folder.
        run: Name of the run.

    Raises:
        JournalBusy: Another process runs it.
    """

    def __init__(self, board: Path, run: str) -> None:
        self.path = board / "running" / run
        self.run = run
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self.journal = Journal(self.path / "episodes.jsonl")
        except JournalBusy as error:
            status = read_status(self.path)
            who = f" (process {status.pid}, {status.done} of {status.total} episodes)" if status else ""
            raise JournalBusy(
                f"{self.path} is being run by another process{who}. Wait for it, or stop it; the same command then "
                "goes on where it was."
            ) from error
        self._faults: Journal | None = None
        self._written = 0.0

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder. Idempotent."""
        self.journal.close()
        if self._faults is not None:
            self._faults.close()

    def episodes(self) -> dict[str, Episode]:
        """Return what ended so far, by episode id; of two records of one episode the first counts."""
        found: dict[str, Episode] = {}
        for line in self.journal.lines():
            episode = _episode(line)
            if episode is not None:
                found.setdefault(episode.id, episode)
        return found

    def fault(self, episode: str, attempt: int, error: str) -> None:
        """Write down an attempt that failed."""
        if self._faults is None:
            self._faults = Journal(self.path / "faults.jsonl")
        self._faults.append(
            Fault(at=now(), episode=episode, attempt=attempt, error=error[:500].encode("utf-8", "replace").decode())
            .model_dump_json()
            .encode()
        )

    def faults(self) -> list[Fault]:
        """Return the attempts that failed."""
        return [Fault.model_validate_json(line) for line in read_lines(self.path / "faults.jsonl")]

    def status(self) -> Status | None:
        """Return how far it was when that was last written."""
        return read_status(self.path)

    def write_status(self, status: Status, *, at_once: bool = False) -> None:
        """Replace ``status.json``, at most every half second unless ``at_once``."""
        if not at_once and time.monotonic() - self._written < _EVERY_S:
            return
        # Replaced whole, for those who read it; not waited for, for nothing rests on it.
        fresh = self.path / ".status.part"
        fresh.write_text(status.model_dump_json(), encoding="utf-8")
        fresh.replace(self.path / "status.json")
        self._written = time.monotonic()

    def clear(self) -> None:
        """Forget what was begun; the folder stays, locked."""
        for name in ("plan.json", "status.json", "faults.jsonl", "agent.log"):
            (self.path / name).unlink(missing_ok=True)
        self.journal.clear()

    def remove(self) -> None:
        """Take the folder away: what it held is on the board."""
        gone = self.path.with_name(f".{self.run}.{os.getpid()}")
        self.path.rename(gone)
        self.close()
        shutil.rmtree(gone, ignore_errors=True)


def running(board: Path) -> list[Status]:
    """Return the runs of a board that have begun and not ended, newest first."""
    found = [read_status(path) for path in sorted((board / "running").glob("[!.]*"))]
    return sorted((status for status in found if status is not None), key=lambda status: status.started, reverse=True)


def read_status(folder: Path) -> Status | None:
    """Read a run's ``status.json``; None when there is none (yet)."""
    try:
        return Status.model_validate_json((folder / "status.json").read_bytes())
    except (OSError, ValidationError):
        return None


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()


def _episode(line: bytes) -> Episode | None:
    try:
        return Episode.model_validate_json(line)
    except ValidationError:  # what a failing disk left; the episode is played again
        return None
