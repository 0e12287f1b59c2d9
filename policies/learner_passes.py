"""Rows cut into forward passes, and how the rows of one pass are laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thinkact.policies import trie
from thinkact.policies.learner_rows import Row
from thinkact.policies.packing import Packed, pack

#: ``padded``: one row below the other, filled up to the longest. ``packed``: side by side. ``shared``: side by side,
#: and what rows open with alike once.
Layout = Literal["padded", "packed", "shared"]


@dataclass(frozen=True)
class Batch:
    """The rows of one pass. Tensors without a shape are (N,), one value per sampled token.

    Attributes:
        members: Indices of the rows.
        ids: Token ids, (B, S); B is 1 where rows are packed.
        where: Indices of the states that predict sampled tokens, the one before each.
        positions: (B, S); None for 0, 1, 2, ...
        packed: Who sees whom; None where attention is causal.
        sequence: Which row, counted in this pass.
        targets: The sampled tokens.
        turn: Which turn, counted in this pass.
        advantage: Its advantage.
        logprob: Log-probability under the sampling policy.
        trainer: The same under the trainer's arithmetic, or None.
        reference: The same under the reference policy, or None.
    """

    members: list[int]
    ids: Tensor
    where: tuple[Tensor, Tensor]
    positions: Tensor | None
    packed: Packed | None
    sequence: Tensor
    targets: Tensor
    turn: Tensor
    advantage: Tensor
    logprob: Tensor
    trainer: Tensor | None
    reference: Tensor | None


class Passes:
    """Cuts rows into passes.

    Args:
        layout: How a pass is laid out.
        batch_tokens: Tokens of one pass, padding included; a row that is longer has a pass of its own.
        device: Where the passes are computed.
    """

    def __init__(self, layout: Layout, batch_tokens: int, device: torch.device) -> None:
        self.layout = layout
        self.batch_tokens = batch_tokens
        self.device = device

    def __call__(self, rows: Sequence[Row]) -> Iterator[Batch]:
        """Yield every row in one pass: rows of like length together, or of like openings where those are shared."""
        ids = [row.ids for row in rows]
        # By length, too, where there is no padding: the masks and kernels of like lengths are alike.
        order = trie.in_order(ids) if self.layout == "shared" else sorted(range(len(rows)), key=lambda i: len(ids[i]))
        chunk: list[int] = []
        used = 0
        for i in order:
            new = len(ids[i]) - (trie.shared(ids[chunk[-1]], ids[i]) if chunk and self.layout == "shared" else 0)
            if (
                chunk
                and (len(ids[i]) * (len(chunk) + 1) if self.layout == "padded" else used + new) > self.batch_tokens
            ):
                yield self._collate(rows, chunk)
                chunk, used, new = [], 0, len(ids[i])
            chunk.append(i)
            used += new
        if chunk:
            yield self._collate(rows, chunk)

    def _collate(self, every: Sequence[Row], members: list[int]) -> Batch:
        rows = [every[i] for i in members]
        places = [np.flatnonzero(row.sampled) for row in rows]
        turns: list[NDArray[np.int64]] = []
        offset = 0
        for row, place in zip(rows, places, strict=True):
            mine = row.turns[place]
            turns.append(mine - mine[:1] + offset)
            offset = int(turns[-1][-1]) + 1 if len(place) else offset
        sequence = np.repeat(np.arange(len(rows)), [len(place) for place in places])
        packed = None
        if self.layout == "padded":
            # On the right: attention is causal, so no token sees the padding.
            ids = np.zeros((len(rows), max(len(row.ids) for row in rows)), dtype=np.int64)
            for at, row in enumerate(rows):
                ids[at, : len(row.ids)] = row.ids
            where = sequence, np.concatenate(places) - 1
        else:
            packed = pack([row.ids for row in rows], share=self.layout == "shared", device=self.device)
            ids = packed.ids[None]
            column = np.concatenate([path[place - 1] for path, place in zip(packed.paths, places, strict=True)])
            where = np.zeros_like(column), column

        def pick(name: str) -> Tensor:
            values = [getattr(row, name)[place] for row, place in zip(rows, places, strict=True)]
            return self._tensor(np.concatenate(values))

        return Batch(
            members=members,
            ids=self._tensor(ids),
            where=(self._tensor(where[0]), self._tensor(where[1])),
            positions=None if packed is None else self._tensor(packed.positions[None]),
            packed=packed,
            sequence=self._tensor(sequence),
            targets=self._tensor(np.concatenate([row.ids[place] for row, place in zip(rows, places, strict=True)])),
            turn=self._tensor(np.concatenate(turns)),
            advantage=pick("advantage"),
            logprob=pick("logprob"),
            trainer=pick("trainer") if all(row.trainer is not None for row in rows) else None,
            reference=pick("reference") if all(row.reference is not None for row in rows) else None,
        )

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
