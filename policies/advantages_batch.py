"""What estimators of credit see, and what they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thinkact.policies.advantages_memory import TransitionMemory
from thinkact.policies.episode import Episode

Array = NDArray[np.float64]
Advantages = list[Array]


@dataclass(frozen=True)
class CreditBatch:
    """What an estimator sees.

    Attributes:
        rewards: One array per episode, shape (T_i,).
        groups: The task of each episode; episodes of one task form a group.
        states: Per episode and turn, a key of the state *before* the action. Equal keys, equal states.
        parents: Per episode None, or (episode, turn) for a continuation that was forked from the state before that
            turn; for estimators of :data:`~thinkact.policies.advantages.FORKING` only. Empty: nothing was forked.
        values: Per episode and turn what a model says of the state before the action: its value (``turn_gae``,
            ``bilevel_gae``) or how likely the gold answer is (``igpo``). Empty: nobody was asked.
        memory: What earlier batches said of states, for ``memory_td``, which adds this batch to it.
    """

    rewards: list[Array]
    groups: list[str]
    states: list[list[Hashable]]
    parents: list[tuple[int, int] | None] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    memory: TransitionMemory | None = None

    def __post_init__(self) -> None:
        if not len(self.rewards) == len(self.groups) == len(self.states):
            raise ValueError("rewards, groups and states must have one entry per episode.")
        if self.parents and len(self.parents) != len(self.rewards):
            raise ValueError("parents must have one entry per episode, or none at all.")
        for place in self.parents:
            if place is not None and not (
                self.parents[place[0]] is None and 0 <= place[1] < len(self.rewards[place[0]])
            ):
                raise ValueError(f"a continuation was forked from {place}, which is no turn of a whole episode.")
        if self.values and [len(v) for v in self.values] != [len(r) for r in self.rewards]:
            raise ValueError("values must have one entry per turn, or there must be none at all.")
        for rewards, states in zip(self.rewards, self.states, strict=True):
            if len(rewards) != len(states):
                raise ValueError("every turn needs one reward and one state key.")
            if not np.isfinite(rewards).all():
                raise ValueError("a reward is NaN or infinite.")

    def members(self) -> dict[str, list[int]]:
        """Return the indices of each group's episodes."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(self.groups):
            found[group].append(index)
        return dict(found)

    def parent(self, index: int) -> tuple[int, int] | None:
        """Return the (episode, turn) that a continuation was forked from, None for a whole episode."""
        return self.parents[index] if self.parents else None

    def forks(self) -> dict[tuple[int, int], list[int]]:
        """Return the continuations of every (episode, turn) that was forked."""
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, place in enumerate(self.parents):
            if place is not None:
                found[place].append(index)
        return dict(found)

    @classmethod
    def of(cls, episodes: Sequence[Episode], parents: Sequence[tuple[int, int] | None] = ()) -> CreditBatch:
        """Build a batch from episodes, continuations among them where ``parents`` says so.

        Raises:
            ValueError: When an episode ended in a fault: it has no reward and must not be here.
        """
        for episode in episodes:
            if episode.error is not None:
                raise ValueError(f"episode {episode.id} ended in a fault; leave it out of the batch.")
        return cls(
            rewards=[np.asarray(episode.rewards, dtype=np.float64) for episode in episodes],
            groups=[_group(episode) for episode in episodes],
            states=[_states(episodes, parents, index) for index in range(len(episodes))],
            parents=list(parents),
        )


def _group(episode: Episode) -> str:
    return f"{episode.env_id}|{episode.task_id}"


def _states(episodes: Sequence[Episode], parents: Sequence[tuple[int, int] | None], index: int) -> list[Hashable]:
    # The key recorded with a turn is of the state after it; the first state is the task itself.
    place = parents[index] if parents else None
    episode = episodes[index]
    first = _group(episode)
    if place is not None and place[1]:
        first = episodes[place[0]].turns[place[1] - 1].state_key
    return [first, *(turn.state_key for turn in episode.turns[:-1])]


def returns_to_go(rewards: Array, gamma: float = 1.0) -> Array:
    """Return Ĝ_t for one episode, shape (T,)."""
    out = np.zeros_like(rewards)
    running = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        running = rewards[t] + gamma * running
        out[t] = running
    return out


def episode_term(batch: CreditBatch, scale: Callable[[Array], Array]) -> Advantages:
    """Give every turn of an episode what ``scale`` makes of its group's returns, shape (G,) to (G,)."""
    totals = np.array([rewards.sum() for rewards in batch.rewards])
    values = np.zeros_like(totals)
    for members in batch.members().values():
        values[members] = scale(totals[members])
    return [np.full(len(rewards), value) for rewards, value in zip(batch.rewards, values, strict=True)]
