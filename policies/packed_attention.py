"""Attention by row over packed rows on a CPU, with a gradient of its own.

Three products and a softmax, block by block, computed again for backward from the queries, keys and values alone: no
row's copy of them is kept, and no scores. For rows of a few hundred tokens and heads of 64 that takes a quarter of the
time of the CPU's flash kernel and of its backward in bf16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thinkact.policies.packing import Packed, whole_mask

#: Tokens of a block that are worked on together: less of what lies behind them is computed, and scores stay in a cache.
_TILE = 128


@dataclass(frozen=True)
class _Part:
    """A block or a part of one: its tokens, those that they see, and what is added to scores, (group * own, seen)."""

    own: slice
    seen: list[slice]
    mask: Tensor


@dataclass(frozen=True)
class Plan:
    """How :func:`attend` goes through a packed sequence; the same for all layers.

    Attributes:
        heads: Of queries.
        kv: Of keys, and of values.
        parts: The blocks.
    """

    heads: int
    kv: int
    parts: list[_Part]


def plan_of(packed: Packed, heads: int, kv: int, dtype: torch.dtype) -> Plan:
    """Plan a pass with so many heads of queries and of keys, in an arithmetic."""
    ends = np.cumsum(packed.sizes).tolist()
    parts, at = [], 0
    for block in packed.blocks:
        seen: list[slice] = []
        for piece in block.seen:
            first, last = ends[piece] - packed.sizes[piece], ends[piece]
            if seen and seen[-1].stop == first:
                first = seen.pop().start
            seen.append(slice(first, last))
        shown = whole_mask(block, packed)
        own, reach = shown.shape
        for first in range(0, own, _TILE):
            last = min(own, first + _TILE)
            part = shown[first:last, : reach - own + last].repeat(heads // kv, 1)
            mask = torch.zeros(part.shape, dtype=dtype).masked_fill_(part.logical_not_(), float("-inf"))
            parts.append(_Part(slice(at + first, at + last), _opening(seen, part.shape[1]), mask))
        at += own
    return Plan(heads, kv, parts)


def _opening(seen: Sequence[slice], count: int) -> list[slice]:
    """The first tokens of those that are seen."""
    found = []
    for at in seen:
        if count > 0:
            found.append(slice(at.start, min(at.stop, at.start + count)))
        count -= at.stop - at.start
    return found


def attend(qkv: Tensor, plan: Plan) -> Tensor:
    """Attend block by block: queries, keys and values (N, heads + 2 KV, D) to (N, heads * D)."""
    mixed = qkv.new_empty(len(qkv), plan.heads, qkv.shape[2])
    for part in plan.parts:
        q, k, v = _operands(qkv, part, plan)
        mixed[part.own] = _ungrouped(_weights(q, k, part).to(v.dtype) @ v, part)
    return mixed.flatten(1)


def attend_backward(grad: Tensor, qkv: Tensor, plan: Plan) -> Tensor:
    """Return the gradient of ``qkv`` from that of what :func:`attend` returned."""
    found = torch.empty_like(qkv)
    shared = torch.zeros(len(qkv), 2 * plan.kv, qkv.shape[2])  # many blocks add to a token's, so in fp32
    grad = grad.view(len(qkv), plan.heads, -1)
    for part in plan.parts:
        q, k, v = _operands(qkv, part, plan)
        weights = _weights(q, k, part)
        d = _grouped(grad[part.own], plan.kv)
        of_weights = (d @ v.transpose(1, 2)).float()
        scores = torch._softmax_backward_data(of_weights, weights, -1, torch.float32).to(q.dtype)
        of_q = (scores @ k).mul_(_scale(qkv))
        of_seen = torch.cat([scores.transpose(1, 2) @ q, weights.to(d.dtype).transpose(1, 2) @ d])
        found[part.own, : plan.heads] = _ungrouped(of_q, part)
        pieces = torch.split(of_seen.transpose(0, 1), [at.stop - at.start for at in part.seen])  # (seen, 2 KV, D)
        for at, piece in zip(part.seen, pieces, strict=True):
            shared[at] += piece
    found[:, plan.heads :] = shared
    return found


def _weights(q: Tensor, k: Tensor, part: _Part) -> Tensor:
    """(KV, group * own, seen), in fp32: the CPU's softmax in bf16 takes fourteen times as long."""
    return torch.baddbmm(part.mask, q, k.transpose(1, 2)).softmax(-1, dtype=torch.float32)


def _operands(qkv: Tensor, part: _Part, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """A block's scaled queries, (KV, group * own, D), and the keys and values that it sees, (KV, seen, D)."""
    seen = torch.cat([qkv[at, plan.heads :] for at in part.seen]).transpose(0, 1)
    return _grouped(qkv[part.own, : plan.heads], plan.kv).mul_(_scale(qkv)), seen[: plan.kv], seen[plan.kv :]


def _scale(qkv: Tensor) -> float:
    return float(qkv.shape[2] ** -0.5)


def _grouped(x: Tensor, kv: int) -> Tensor:
    """A copy, from (own, heads, D) to (KV, group * own, D): heads that share keys become more queries."""
    own, heads, dim = x.shape
    return x.reshape(own, kv, heads // kv, dim).permute(1, 2, 0, 3).flatten(1, 2).clone()


def _ungrouped(x: Tensor, part: _Part) -> Tensor:
    """The inverse, to (own, heads, D)."""
    own = part.own.stop - part.own.start
    return x.view(len(x), -1, own, x.shape[2]).permute(2, 0, 1, 3).flatten(1, 2)
