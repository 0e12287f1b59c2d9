"""The reference policy: trained weights as they once were, swapped in where its probabilities are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from thinkact.policies.learner import Learner, Row


class Reference:
    """Keeps a copy of the parameters that are trained (adapters alone, where only those are).

    Args:
        model: The model in training; its current weights become the reference.
    """

    def __init__(self, model: nn.Module) -> None:
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.reset()

    def reset(self) -> None:
        """Make the current weights the reference (ProRL, arXiv 2505.24864)."""
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._trained.items()}

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take over weights that a checkpoint kept."""
        with torch.no_grad():
            for name, value in weights.items():
                self.weights[name].copy_(value)

    def annotate(self, learner: Learner, rows: Sequence[Row]) -> list[Row]:
        """Return the rows with the reference's log-probabilities."""
        with self._in_place():
            found = learner.logprobs(rows)
        return [replace(row, reference=logp) for row, logp in zip(rows, found, strict=True)]

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        current = {name: p.data for name, p in self._trained.items()}
        try:
            for name, p in self._trained.items():
                p.data = self.weights[name]
            yield
        finally:
            for name, p in self._trained.items():
                p.data = current[name]
