"""Observation and action spaces of text environments.

They derive from ``Space``, not from ``gymnasium.spaces.Text``: with ``Text`` an ``AsyncVectorEnv`` that
shares memory (its default) hands out wrong observations without a word (Gymnasium 1.4), while for a
custom space it refuses and names ``shared_memory=False``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium as gym
from numpy.random import Generator

from thinkact.tools.base import sample_call


class TextSpace(gym.Space[str]):
    """All strings of at most ``max_length`` characters."""

    def __init__(self, max_length: int, seed: int | Generator | None = None) -> None:
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    def contains(self, x: Any) -> bool:
        """Tell whether ``x`` is a string within the length limit."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a short random string. Raises ``ValueError`` for a mask or probabilities: there are none."""
        _refuse_masks(mask, probability)
        letters = self.np_random.integers(97, 123, size=int(self.np_random.integers(1, 17)))
        return "".join(chr(int(letter)) for letter in letters)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Return the samples themselves: strings are JSON."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Inverse of :meth:`to_jsonable`."""
        return [str(sample) for sample in sample_n]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__.get("max_length") == self.max_length

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.max_length))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_length})"


class ToolCallSpace(TextSpace):
    """Action text; ``sample()`` draws schema-valid calls of the environment's tools."""

    def __init__(
        self, schemas: list[dict[str, Any]], max_length: int = 20_000, seed: int | Generator | None = None
    ) -> None:
        self.schemas = schemas
        super().__init__(max_length, seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw one random call that the tools' JSON schemas accept. Raises like :class:`TextSpace`."""
        _refuse_masks(mask, probability)
        return sample_call(self.schemas, self.np_random)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, ToolCallSpace) and other.schemas == self.schemas

    def __hash__(self) -> int:
        return super().__hash__()


def _refuse_masks(mask: Any, probability: Any) -> None:
    if mask is not None or probability is not None:
        raise ValueError("Text spaces take neither a mask nor probabilities.")
