"""What a training run says of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from thinkact.policies.episode import Episode


class Reporter(Protocol):
    """Where progress and figures go; the command line draws bars, tests keep a list."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage of ``total`` units, of which an interrupted run has ``done`` some."""
        ...

    def advance(self) -> None:
        """One unit of the current stage is done."""
        ...

    def note(self, text: str) -> None:
        """Show a figure beside the current stage."""
        ...

    def figures(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Take a step's figures."""
        ...


class Quiet:
    """A reporter that says nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Ignore."""

    def advance(self) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def figures(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Ignore."""


def summary(episodes: Sequence[Episode]) -> dict[str, float]:
    """Return the figures of a batch of episodes; errored ones count only in ``errors``."""
    scored = [episode for episode in episodes if episode.error is None]

    def mean(of: Callable[[Episode], float]) -> float:
        return float(np.mean([of(episode) for episode in scored])) if scored else 0.0

    return {
        "episodes": float(len(episodes)),
        "errors": float(len(episodes) - len(scored)),
        "success": mean(lambda e: float(bool(e.success))),
        "score": mean(lambda e: float(e.score or 0.0)),
        "turns": mean(lambda e: float(len(e.turns))),
        "truncated": mean(lambda e: float(e.truncated)),
        "invalid": mean(lambda e: float(any(turn.invalid for turn in e.turns))),
        "sampled_tokens": mean(lambda e: float(e.usage.sampled_tokens)),
        "tokens": mean(lambda e: float(e.usage.sampled_tokens + e.usage.prompt_tokens)),
    }
