"""How many tokens a model may write: in a thought, in a turn, in an episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effort = Literal["low", "medium", "high"]
#: Which share of a turn's tokens its thought may take: the shares that gateways in front of many models agree on
#: (https://openrouter.ai/docs/use-cases/reasoning-tokens).
EFFORTS: dict[str, float] = {"low": 0.2, "medium": 0.5, "high": 0.8}


@dataclass(frozen=True)
class Budgets:
    """How many tokens a model may write.

    Attributes:
        turn: In one turn, thought and action together.
        thought: In the thought of one turn; None leaves it to the turn's budget.
        episode: In all turns of an episode and the summaries between them; None for any number.

    Raises:
        ValueError: On a budget below 1, or a thought's that leaves no room for an action.
    """

    turn: int
    thought: int | None = None
    episode: int | None = None

    def __post_init__(self) -> None:
        """Check that they go together."""
        if self.turn < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.turn}.")
        if self.thought is not None and not 1 <= self.thought < self.turn:
            raise ValueError(
                f"max_thought_tokens must be from 1 to below max_new_tokens ({self.turn}), not {self.thought}."
            )
        if self.episode is not None and self.episode < 1:
            raise ValueError(f"max_episode_tokens must be at least 1, not {self.episode}.")

    @classmethod
    def of(cls, turn: int, *, thought: int | None, episode: int | None, effort: str | None) -> Budgets:
        """Make them of a policy's options; ``effort`` stands for a share of the turn (see :data:`EFFORTS`).

        Raises:
            ValueError: On both an effort and a thought's budget, or an effort that there is not.
        """
        if effort is None:
            return cls(turn, thought, episode)
        if effort not in EFFORTS:
            raise ValueError(f"effort must be one of {', '.join(map(repr, EFFORTS))}, not {effort!r}.")
        if thought is not None:
            raise ValueError("effort and max_thought_tokens say the same thing: give one of them.")
        return cls(turn, max(1, int(EFFORTS[effort] * turn)), episode)
