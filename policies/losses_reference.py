"""The reference policy: trained weights as they once were, swapped in where its probabilities are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from thinkact.policies.distributed_model import is_sharded, part_of
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
                self.weights[name].copy_(part_of(value, self.weights[name]))

    def annotate(self, learner: Learner, rows: Sequence[Row]) -> list[Row]:
        """Return the rows with the reference's log-probabilities."""
        with self._in_place():
            found = learner.logprobs(rows)
        return [replace(row, reference=logp) for row, logp in zip(rows, found, strict=True)]

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        if any(is_sharded(p) for p in self._trained.values()):
            # FSDP reads memory of its own that a parameter is a view of: values are exchanged, not tensors.
            current = {name: p.detach().clone() for name, p in self._trained.items()}
            put = _copied
        else:
            current, put = {name: p.data for name, p in self._trained.items()}, _swapped
        try:
            put(self._trained, self.weights)
            yield
        finally:
            put(self._trained, current)


def _swapped(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.data = values[name]


@torch.no_grad()
def _copied(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])
