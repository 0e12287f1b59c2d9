"""How far an episode is, and a point of it from which it can be continued."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from thinkact.envs.types import Check
from thinkact.tools.held import Held


@dataclass(frozen=True)
class Snapshot:
    """A point of an episode from which :meth:`ToolEnv.restore` continues, any number of times.

    A plain value: it pickles, and in another process what led here is done again. In the process that took it,
    ``live`` continues from paused copies instead, in milliseconds, as long as they are held (see
    :class:`thinkact.tools.held.Held`); pickling and copying drop them.
    """

    task_id: str
    turn: int
    potential: float
    invalid_in_a_row: int
    done: bool
    checks: tuple[Check, ...]
    tools: dict[str, Any]
    family: Any
    transcript: tuple[tuple[str, str], ...]
    rng: dict[str, Any]
    live: tuple[Held | None, ...] = field(default=(), compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles."""
        return {**self.__dict__, "live": ()}


@dataclass
class Progress:
    """What an environment keeps of the current episode, apart from its tools and its family's state."""

    opening: str = ""
    turn: int = 0
    potential: float = 0.0
    invalid_in_a_row: int = 0
    done: bool = False
    checks: tuple[Check, ...] = ()
    transcript: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def at(cls, point: Snapshot, opening: str) -> Self:
        """Return how far the episode was at a snapshot; its opening follows from the task."""
        return cls(
            opening=opening,
            turn=point.turn,
            potential=point.potential,
            invalid_in_a_row=point.invalid_in_a_row,
            done=point.done,
            checks=point.checks,
            transcript=list(point.transcript),
        )
