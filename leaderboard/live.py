"""What the page of running submissions polls: how far each run is, and how its latest episodes ended.

A run's journal (:mod:`thinkact.leaderboard.running`) only grows: each poll reads what was added since the last.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkact.leaderboard.inert import one_line
from thinkact.leaderboard.running import Status, running
from thinkact.leaderboard.statistics import wilson
from thinkact.leaderboard.transcripts import status_of

#: Episodes shown per run, newest first.
LATEST = 30
#: Read of a journal at one poll; the rest comes at the next.
_READ = 16_000_000


@dataclass
class _Tail:
    """What was read of a journal so far; ``ident`` tells another file in its place."""

    ident: tuple[int, int]
    offset: int = 0
    solved: int = 0
    resolved: int = 0
    score: float = 0.0
    latest: list[dict[str, Any]] = field(default_factory=list)


class Live:
    """Follows the runs of a board.

    Args:
        board: The board's folder.
        hidden: Name tasks of the hidden split too.
    """

    def __init__(self, board: Path, *, hidden: bool = False) -> None:
        self.board = board
        self.hidden = hidden
        self._tails: dict[str, _Tail] = {}
        self._lock = threading.Lock()

    def poll(self) -> list[dict[str, Any]]:
        """Return the runs, newest first, in JSON types; every text is inert."""
        with self._lock:
            found = [self._run(status) for status in running(self.board)]
            gone = self._tails.keys() - {one["run"] for one in found}
            for run in gone:
                del self._tails[run]
            return found

    def _run(self, status: Status) -> dict[str, Any]:
        tail = self._follow(status.run)
        interval = wilson(tail.solved, tail.resolved)
        return {
            "run": status.run,
            "agent": one_line(status.agent, 60),
            "suite": one_line(status.suite, 40),
            "state": status.state if status.state == "stopped" or _alive(status.pid) else "gone",
            "message": one_line(status.message, 200),
            "done": status.done,
            "total": status.total,
            "errors": status.errors,
            "retries": status.retries,
            "cost": status.cost,
            "seconds": round(status.seconds),
            "eta": None if status.eta is None else round(status.eta),
            "success": tail.solved / tail.resolved if tail.resolved else None,
            "low": interval.low,
            "high": interval.high,
            "score": tail.score / tail.resolved if tail.resolved else None,
            "latest": tail.latest[::-1],
        }

    def _follow(self, run: str) -> _Tail:
        path = self.board / "running" / Path(run).name / "episodes.jsonl"
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                ident = stat.st_dev, stat.st_ino
                tail = self._tails.get(run)
                if tail is None or tail.ident != ident or tail.offset > stat.st_size:
                    tail = self._tails[run] = _Tail(ident)
                file.seek(tail.offset)
                read = file.read(_READ)
        except OSError:  # between two polls the run may end, and its folder go
            return self._tails.get(run) or _Tail((0, 0))
        whole = read.rfind(b"\n") + 1  # a line without its end is not there yet
        tail.offset += whole
        for line in read[:whole].splitlines():
            self._add(tail, line)
        del tail.latest[:-LATEST]
        return tail

    def _add(self, tail: _Tail, line: bytes) -> None:
        # Plain JSON: only a few fields are wanted, of many episodes.
        try:
            record = json.loads(line)
            success, score, split = record["success"], record["score"], str(record["split"])
            task, env_id, turns = str(record["task_id"]), str(record["env_id"]), len(record["turns"])
        except (ValueError, TypeError, KeyError):
            return
        if success is not None:
            tail.solved += success is True
            tail.resolved += 1
            tail.score += float(score or 0.0)
        secret = split == "hidden" and not self.hidden
        tail.latest.append(
            {
                "task": "a hidden task" if secret else one_line(task, 80),
                "env": one_line(env_id.removeprefix("thinkact/"), 40),
                "status": status_of(success),
                "score": score if isinstance(score, int | float) else None,
                "turns": turns,
            }
        )


def _alive(pid: int) -> bool:
    """Tell whether a process is there; one of another machine's folder cannot be known and counts as gone."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
