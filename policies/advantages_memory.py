"""What batches before this one say of states: transitions as fading counts, and the values they imply."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A transition that counts for less than this is forgotten; it bounds what a memory holds.
FORGOTTEN = 0.01


class Values(NamedTuple):
    """What is known of every node, a pair of turn and state.

    Attributes:
        value: Reward still to come.
        visits: How often the node was seen; visits of earlier batches count for less.
    """

    value: dict[tuple[int, Hashable], float]
    visits: dict[tuple[int, Hashable], float]


class TransitionMemory:
    """Transitions (turn, state) → (turn + 1, state') with their weights and rewards.

    The turn is part of a node because what can still be earned depends on the turns left; so there are no loops, and
    values are solved exactly in one sweep from the last turn to the first.
    """

    def __init__(self) -> None:
        # turn -> state -> next state, None at the end -> [weight, weight times reward]
        self._turns: dict[int, dict[Hashable, dict[Hashable | None, list[float]]]] = {}

    def __len__(self) -> int:
        """Return the number of transitions that are remembered."""
        return sum(len(then) for states in self._turns.values() for then in states.values())

    def add(self, states: Sequence[Hashable], rewards: Array, first: int = 0) -> None:
        """Remember an episode.

        Args:
            states: Keys of the states before its turns; equal keys, equal states, whatever the episode.
            rewards: What the turns paid, shape (T,).
            first: Number of its first turn; more than 0 for continuations.
        """
        following: list[Hashable | None] = [*states[1:], None]
        for turn, (state, reward, then) in enumerate(zip(states, rewards.tolist(), following, strict=True), first):
            seen = self._turns.setdefault(turn, {}).setdefault(state, {}).setdefault(then, [0.0, 0.0])
            seen[0] += 1.0
            seen[1] += reward

    def solve(self) -> Values:
        """Return the values of the Markov chain that the transitions make up.

        V_t(s) = Σ_{s'} w·(r̄ + V_{t+1}(s')) / Σ_{s'} w, where w is how often s' followed and r̄ what that paid; the
        certainty equivalent, which batch TD(0) converges to (Sutton 1988, section 4.1).
        """
        value: dict[tuple[int, Hashable], float] = {}
        visits: dict[tuple[int, Hashable], float] = {}
        for turn in sorted(self._turns, reverse=True):
            for state, following in self._turns[turn].items():
                weight = total = 0.0
                for then, (count, paid) in following.items():
                    weight += count
                    total += paid if then is None else paid + count * value[turn + 1, then]
                value[turn, state], visits[turn, state] = total / weight, weight
        return Values(value, visits)

    def fade(self, share: float) -> None:
        """Let everything count for only this share of what it did; what hardly counts any more is forgotten."""
        for states in self._turns.values():
            for following in states.values():
                for seen in following.values():
                    seen[0] *= share
                    seen[1] *= share
        self._forget()

    def _forget(self) -> None:
        # From the last turn to the first: a state that nothing leaves any more cannot be led to.
        for turn in sorted(self._turns, reverse=True):
            later = self._turns.get(turn + 1, {})
            for state, following in list(self._turns[turn].items()):
                for then, (weight, _) in list(following.items()):
                    if weight < FORGOTTEN or (then is not None and then not in later):
                        del following[then]
                if not following:
                    del self._turns[turn][state]
            if not self._turns[turn]:
                del self._turns[turn]

    def copy(self) -> TransitionMemory:
        """Return a memory of the same that changes on its own."""
        other = TransitionMemory()
        other._turns = {
            turn: {state: {then: list(seen) for then, seen in following.items()} for state, following in states.items()}
            for turn, states in self._turns.items()
        }
        return other

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep: plain lists."""
        rows = [
            [turn, state, then, weight, paid]
            for turn, states in self._turns.items()
            for state, following in states.items()
            for then, (weight, paid) in following.items()
        ]
        return {"transitions": rows}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._turns = {}
        for turn, before, then, weight, paid in state["transitions"]:
            self._turns.setdefault(turn, {}).setdefault(before, {})[then] = [weight, paid]
