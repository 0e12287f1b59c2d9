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
        ends: int64 (N,), where the subtree of each token ends: i is an ancestor of j, or j itself, if and only if
            i <= j < ends[i].
        paths: Per row, int64 (length,), where its tokens are.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    ends: NDArray[np.int64]
    paths: list[NDArray[np.int64]]

    def visible(self) -> NDArray[np.bool_]:
        """Return who sees whom, (N, N): row j has True in column i where token j sees token i."""
        at = np.arange(len(self.ids))
        return (at[None, :] <= at[:, None]) & (at[:, None] < self.ends[None, :])


def in_order(rows: Sequence[NDArray[np.int64]]) -> list[int]:
    """Return the rows' indices sorted by their tokens: rows that open alike stand side by side."""
    return sorted(range(len(rows)), key=lambda at: rows[at].tolist())


def shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Return how many tokens two rows open with alike."""
    size = min(len(first), len(second))
    differ = np.flatnonzero(first[:size] != second[:size])
    return int(differ[0]) if len(differ) else size


def build(rows: Sequence[NDArray[np.int64]]) -> Trie:
    """Merge rows, which have to be in the order of :func:`in_order`.

    Args:
        rows: Token ids, each int64 (length,) and not empty.

    Raises:
        ValueError: There are no rows, or an empty one.
    """
    if not rows or any(not len(row) for row in rows):
        raise ValueError("a prefix tree needs rows with tokens.")
    paths: list[NDArray[np.int64]] = []
    ids, positions = [], []
    ends: list[NDArray[np.int64]] = []
    count = 0
    for at, row in enumerate(rows):
        common = shared(rows[at - 1], row) if at else 0
        new = np.arange(count, count + len(row) - common)
        paths.append(np.concatenate([paths[-1][:common], new]) if at else new)
        if at:  # what the row before has beyond the common part has no more descendants
            ends.append(np.stack([paths[-2][common:], np.full(len(rows[at - 1]) - common, count)]))
        ids.append(row[common:])
        positions.append(np.arange(common, len(row)))
        count += len(new)
    ends.append(np.stack([paths[-1], np.full(len(paths[-1]), count)]))
    closed = np.concatenate(ends, axis=1)
    last = np.zeros(count, dtype=np.int64)
    last[closed[0]] = closed[1]
    return Trie(np.concatenate(ids).astype(np.int64), np.concatenate(positions).astype(np.int64), last, paths)
