"""Rows that open alike, computed once: a group's prompt, and the trunk that forked episodes share.

Rows are sorted and merged into a prefix tree, which is laid out in depth-first order as one sequence. A token sees
itself and its ancestors, at the position that it has in its own row, so its hidden state is the one that the row alone
would give it; forward and backward, because the gradients of all rows through a shared token add up in it. (Tree
attention, as in SpecInfer, arXiv 2305.09781, here for training.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trie:
    """A prefix tree of N tokens in depth-first order.

    Attributes:
        ids: int64 (N,), the tokens.
        positions: int64 (N,), each token's place in its row, which is its depth.
        paths: Per row, int64 (length,), where its tokens are; those that it does not share are the last ones, and lie
            side by side.
        common: Per row, how many tokens it shares with the row before it.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    paths: list[NDArray[np.int64]]
    common: list[int]


def in_order(rows: Sequence[NDArray[np.int64]]) -> list[int]:
    """Return the rows' indices sorted by their tokens: rows that open alike stand side by side."""
    return sorted(range(len(rows)), key=lambda at: rows[at].tolist())


def shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Return how many tokens two rows open with alike."""
    size = min(len(first), len(second))
    differ = np.flatnonzero(first[:size] != second[:size])
    return int(differ[0]) if len(differ) else size


def build(rows: Sequence[NDArray[np.int64]], *, share: bool = True) -> Trie:
    """Merge rows, which have to be in the order of :func:`in_order`.

    Args:
        rows: Token ids, each int64 (length,) and not empty.
        share: False keeps every row whole, as if none opened like another; their order is free then.

    Raises:
        ValueError: There are no rows, or an empty one.
    """
    if not rows or any(not len(row) for row in rows):
        raise ValueError("a prefix tree needs rows with tokens.")
    paths: list[NDArray[np.int64]] = []
    common: list[int] = []
    count = 0
    for at, row in enumerate(rows):
        common.append(shared(rows[at - 1], row) if share and at else 0)
        new = np.arange(count, count + len(row) - common[-1])
        paths.append(np.concatenate([paths[-1][: common[-1]], new]) if common[-1] else new)
        count += len(new)
    ids = np.concatenate([row[known:] for row, known in zip(rows, common, strict=True)])
    positions = np.concatenate([np.arange(known, len(row)) for row, known in zip(rows, common, strict=True)])
    return Trie(ids.astype(np.int64), positions, paths, common)
