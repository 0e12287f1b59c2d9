"""Why a submission is or is not shown: an append-only log with a reason for everything."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thinkact.leaderboard.journal import Journal, read_lines
from thinkact.leaderboard.running import now

#: ``accepted`` and ``verified`` show a submission; ``rejected`` and ``retracted`` take it off. What was retracted comes
#: back with ``accepted`` only. ``unverified`` (not repeatable here), ``abandoned`` (a run given up) and ``revealed``
#: are for the record.
Verdict = Literal["accepted", "verified", "unverified", "rejected", "retracted", "abandoned", "revealed"]


class Decision(BaseModel):
    """One line of ``decisions.jsonl``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    submission: str
    verdict: Verdict
    reason: str


class Decisions:
    """The decision log of a board.

    Args:
        board: The board's folder.
    """

    def __init__(self, board: Path) -> None:
        self.path = board / "decisions.jsonl"

    def add(self, submission: str, verdict: Verdict, reason: str) -> Decision:
        """Write a decision down, durably.

        Raises:
            OSError: The disk is full; nothing was written.
        """
        clean = reason.encode("utf-8", "replace").decode()[:4000]
        made = Decision(at=now(), submission=submission, verdict=verdict, reason=clean)
        with Journal(self.path, wait=True) as journal:
            journal.append(made.model_dump_json().encode())
        return made

    def all(self) -> list[Decision]:
        """Return every decision, oldest first; lines that are none are passed over."""
        found = []
        for line in read_lines(self.path):
            try:
                found.append(Decision.model_validate_json(line))
            except ValidationError:
                continue
        return found

    def of(self, submission: str) -> list[Decision]:
        """Return one submission's decisions, oldest first."""
        return [each for each in self.all() if each.submission == submission]

    def off(self) -> dict[str, str]:
        """Return the submissions that are not to be shown, each with its reason."""
        found: dict[str, Decision] = {}
        for each in self.all():
            retracted = each.submission in found and found[each.submission].verdict == "retracted"
            if each.verdict in ("rejected", "retracted"):
                if not (retracted and each.verdict == "rejected"):
                    found[each.submission] = each
            elif each.verdict == "accepted" or (each.verdict == "verified" and not retracted):
                found.pop(each.submission, None)
        return {key: f"{each.verdict}: {each.reason}" for key, each in found.items()}
