"""Policies without a model: null, random, expert. They are rows on every leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from thinkact.envs import Action, Conversation, Policy
from thinkact.tools import sample_call


class NullPolicy:
    """Does nothing, in several ways: an environment that pays it anything is broken."""

    name = "null"
    ACTIONS = ("", "{}", "I cannot help with that.", '{"name": "submit", "arguments": {}}')

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return an empty action, empty JSON, a refusal or an instant empty submit, by seed."""
        return [Action(text=self.ACTIONS[c.seed % len(self.ACTIONS)]) for c in conversations]

    def release(self, conversation_id: str) -> None:
        """Nothing is held."""


class RandomPolicy:
    """Draws schema-valid calls uniformly over the tools."""

    name = "random"

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return one random valid call each, reproducible from the conversation's seed and turn."""
        return [
            Action(text=sample_call(c.tools, np.random.default_rng((c.seed, len(c.messages))))) for c in conversations
        ]

    def release(self, conversation_id: str) -> None:
        """Nothing is held."""


class HasExpert(Protocol):
    """An environment that brings a scripted expert for its current episode."""

    def expert(self) -> Policy:
        """Return a policy for the current episode."""
        ...


class ExpertPolicy:
    """Plays every episode with the environment's own scripted expert.

    The rollout hands it each live environment through :meth:`begin`; other policies never see one.
    """

    name = "expert"

    def __init__(self) -> None:
        self._experts: dict[str, Policy] = {}

    def begin(self, conversation_id: str, env: HasExpert) -> None:
        """Take the expert of a freshly reset environment."""
        self._experts[conversation_id] = env.expert()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return each episode's next expert action."""
        return [self._experts[c.id].act([c])[0] for c in conversations]

    def release(self, conversation_id: str) -> None:
        """Drop the episode's expert."""
        self._experts.pop(conversation_id, None)


POLICIES: dict[str, type[NullPolicy] | type[RandomPolicy] | type[ExpertPolicy]] = {
    "null": NullPolicy,
    "random": RandomPolicy,
    "expert": ExpertPolicy,
}
