"""Rows side by side in one sequence, each token seeing its own row only: no padding, and no mask over the whole.

A pass over packed rows is one sequence of N tokens for everything that treats tokens one by one (nearly all of a
transformer), and a loop over rows in the attention: the work of a row of length L is that of L² / 2 scores, where one
mask over the sequence would make it N · L. With shared openings a row's block holds only what the row before it does
not have, and attends to the opening's keys as well (tree attention; SpecInfer, arXiv 2305.09781, uses it to verify).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface

from thinkact.policies import trie

_NAME = "thinkact_packed"


@dataclass(frozen=True)
class Block:
    """A row's own tokens, or what of them is not shared."""

    seen: list[int]  # the pieces on the way to its end, its own last
    mask: Tensor | None  # (own, seen tokens), False where hidden; None where the block sees nothing but itself


@dataclass(frozen=True)
class Packed:
    """Rows laid out as one sequence.

    Attributes:
        ids: int64 (N,), the tokens.
        positions: int64 (N,), each token's place in its row.
        paths: Per row, int64 (length,), where its tokens are.
        sizes: Lengths of the pieces that the sequence is cut into: where a row begins, and where one leaves another.
        blocks: What is attended to; the tokens of a block follow those of the block before.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    paths: list[NDArray[np.int64]]
    sizes: list[int]
    blocks: list[Block]


def pack(rows: Sequence[NDArray[np.int64]], *, share: bool, device: torch.device) -> Packed:
    """Lay out rows.

    Args:
        rows: Token ids, each int64 (length,) and not empty.
        share: Lay out once what rows open with alike; they have to be in the order of :func:`trie.in_order`.
        device: Of the masks.

    Raises:
        ValueError: There are no rows, or an empty one.
    """
    tree = trie.build(rows, share=share)
    cuts = np.unique(np.concatenate([[0, len(tree.ids)], *(_cuts(path) for path in tree.paths)]))
    blocks = []
    for path, common in zip(tree.paths, tree.common, strict=True):
        if own := len(path) - common:
            seen = np.unique(np.searchsorted(cuts, path, side="right") - 1)
            mask = torch.ones(own, len(path), dtype=torch.bool, device=device).tril_(common) if common else None
            blocks.append(Block(seen.tolist(), mask))
    return Packed(tree.ids, tree.positions, tree.paths, np.diff(cuts).tolist(), blocks)


def _cuts(path: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a row's tokens cease to lie side by side: ends and beginnings of its runs."""
    jumps = np.flatnonzero(np.diff(path) != 1)
    return np.concatenate([path[:1], path[jumps] + 1, path[jumps + 1], path[-1:] + 1])


def packable(trunk: Any) -> bool:
    """Whether a model's layers keep tokens apart but for an attention that can be replaced."""
    config = trunk.config
    kinds = set(getattr(config, "layer_types", None) or ())
    return (
        bool(getattr(trunk, "_supports_attention_backend", False))
        and config._attn_implementation == "sdpa"
        and kinds <= {"full_attention"}
        and (bool(kinds) or getattr(config, "sliding_window", None) is None)
        # Convolutions and states over the sequence would run from one row into the next.
        and not any(isinstance(module, nn.Conv1d) for module in trunk.modules())
    )


@contextmanager
def attending(trunk: Any) -> Iterator[None]:
    """Let a model attend by row, to what the keyword ``packed`` of its forward says."""
    config = trunk.config
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: Packed,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend block by block. query (1, H, N, D), key and value (1, KV, N, D) to (1, N, H, D)."""
    keys, values = torch.split(key, packed.sizes, 2), torch.split(value, packed.sizes, 2)
    queries = torch.split(query, [_own(block, packed) for block in packed.blocks], 2)
    heads, group = query.shape[1], query.shape[1] // key.shape[1]
    found = []
    for block, q in zip(packed.blocks, queries, strict=True):
        k, v = (torch.cat([part[at] for at in block.seen], 2) for part in (keys, values))
        mask = block.mask
        if group > 1 and k.is_cuda and mask is not None:  # its kernels take masks or groups
            k, v = (part.repeat_interleave(group, 1) for part in (k, v))
        elif group > 1 and not k.is_cuda:
            # The CPU's kernel takes no groups, what does without it holds all scores: heads become more queries.
            mask = whole_mask(block, packed).repeat(group, 1)
            q = q.reshape(1, k.shape[1], -1, q.shape[3])
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=k.shape[1] < q.shape[1],
        )
        found.append(mixed.reshape(1, heads, -1, mixed.shape[-1]))
    return torch.cat(found, 2).transpose(1, 2), None


def _own(block: Block, packed: Packed) -> int:
    return len(block.mask) if block.mask is not None else sum(packed.sizes[at] for at in block.seen)


def whole_mask(block: Block, packed: Packed) -> Tensor:
    """A block's mask on a CPU, also where it sees nothing but itself: (own, seen), False where hidden."""
    own = _own(block, packed)
    return torch.ones(own, own, dtype=torch.bool).tril_() if block.mask is None else block.mask


AttentionInterface.register(_NAME, _attend)
