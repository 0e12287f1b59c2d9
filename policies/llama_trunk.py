"""A Llama's trunk for learning on a CPU, forward and backward written out.

What the model's own modules compute, to rounding: pre-norm layers of grouped-query attention and a gated MLP, the
residual stream in fp32 and products in the type that is asked for. Over the modules autograd keeps a copy of nearly
every intermediate value, and time beside products goes into casting and copying them. Here the projections that share
an input are one product; kept for backward are, per layer, the normalised inputs, the rotated queries, keys and values,
what attention mixed and the two halves of the MLP, all in the type of the products; what is cheap is computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from thinkact.policies.packed_attention import Plan, attend, attend_backward, plan_of
from thinkact.policies.packing import Packed
from thinkact.policies.recompute import Checkpointing

#: Kinds of rotary angles that do not change with the length of the sequence.
_ROPES = {"default", "linear", "llama3", "yarn"}


@dataclass(frozen=True)
class _Pass:
    """What all layers of a pass have in common.

    Attributes:
        cos: Of the rotary angles, (N, 1, D), in the type of the products.
        sin: Likewise, the first half negated: what :func:`_rotated` wants.
        plan: Who attends to whom.
        eps: Of the norms.
    """

    cos: Tensor
    sin: Tensor
    plan: Plan
    eps: float

    @property
    def dtype(self) -> torch.dtype:
        return self.cos.dtype


class LlamaTrunk:
    """Hidden states of packed rows.

    Args:
        trunk: The model without its head; its parameters are read at every call.
        dtype: Of the products.
    """

    def __init__(self, trunk: Any, dtype: torch.dtype) -> None:
        self._trunk, self._dtype = trunk, dtype

    @staticmethod
    def supports(trunk: Any) -> bool:
        """Whether this computes what a model computes: a plain Llama, whole and on a CPU, without adapters."""
        c = trunk.config
        return (
            type(trunk).__name__ == "LlamaModel"
            and c.model_type == "llama"
            and c.hidden_act == "silu"
            and (c.rope_parameters or {}).get("rope_type") in _ROPES
            and all(type(p) is nn.Parameter and p.device.type == "cpu" for p in trunk.parameters())
            and all(
                type(module) is nn.Linear and module.bias is None
                for name, module in trunk.layers.named_modules()
                if name.endswith("_proj")
            )
        )

    def __call__(self, ids: Tensor, positions: Tensor, packed: Packed, where: Tensor, kind: Checkpointing) -> Tensor:
        """Return the last hidden states at some places.

        Args:
            ids: int64 (N,).
            positions: int64 (N,).
            packed: Who sees whom.
            where: int64 (M,), the places.
            kind: With ``selective`` backward computes the halves of the MLP again, half of what is kept and a ninth of
                the products; with ``full`` whole layers.

        Returns:
            (M, E) in fp32.
        """
        trunk, c = self._trunk, self._trunk.config
        x = trunk.embed_tokens(ids)
        cos, sin = trunk.rotary_emb(x, positions[None])
        half = torch.ones_like(sin[0])
        half[:, : half.shape[1] // 2] = -1.0
        shared = _Pass(
            cos[0, :, None].to(self._dtype),
            (sin[0] * half)[:, None].to(self._dtype),
            plan_of(packed, c.num_attention_heads, c.num_key_value_heads, self._dtype),
            c.rms_norm_eps,
        )
        for number, layer in enumerate(trunk.layers):
            # Behind the last layer's attention only those places matter that are asked for.
            run = partial(
                _layer, layer, shared, kind != "selective", where if number == len(trunk.layers) - 1 else None
            )
            x = checkpoint(run, x, use_reentrant=False, preserve_rng_state=False) if kind == "full" else run(x)
        return cast(Tensor, trunk.norm(x))


def _layer(layer: Any, shared: _Pass, keep: bool, only: Tensor | None, x: Tensor) -> Tensor:
    """(N, E) to (N, E); to (M, E) where only M places are wanted. ``keep`` the halves of the MLP for backward."""
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
    qkv = _apply(_Enter, x, layer.input_layernorm.weight, *projections, shared)
    mixed = _apply(_Attend, qkv, shared)
    if only is not None:
        x, mixed = x.index_select(0, only), mixed.index_select(0, only)
    rest = (attention.o_proj.weight, mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight)
    return _apply(_Leave, x, mixed, layer.post_attention_layernorm.weight, *rest, shared.eps, keep)


def _apply(function: Any, *args: Any) -> Tensor:  # which has no types
    return cast(Tensor, function.apply(*args))


class _Enter(torch.autograd.Function):
    """Norm, the three projections, rotation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, query: Tensor, key: Tensor, value: Tensor, shared: _Pass) -> Tensor:
        """(N, E) to (N, heads of queries, keys and values, D)."""
        unit, rate, h = _normed(x, gain, shared.eps, shared.dtype)
        dim = shared.cos.shape[-1]
        qkv = F.linear(h, _stacked((query, key, value), shared.dtype)).view(len(x), -1, dim)
        turned = qkv[:, : (len(query) + len(key)) // dim]
        turned.copy_(_rotated(turned, shared.cos, shared.sin))
        ctx.save_for_backward(unit, rate, gain, query, key, value)
        ctx.shared = shared
        return qkv

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        unit, rate, gain, *weights = ctx.saved_tensors
        shared: _Pass = ctx.shared
        turned = (len(weights[0]) + len(weights[1])) // grad.shape[-1]
        d = torch.cat([_turned_back(grad[:, :turned], shared.cos, shared.sin), grad[:, turned:]], 1).flatten(1)
        wanted = ctx.needs_input_grad
        parts = _of_weights(d, _times(unit, gain), weights, wanted[2:5])
        x, gains = _of_norm(d @ _stacked(weights, d.dtype), unit, rate, gain, wanted[:2])
        return x, gains, *parts, None


class _Attend(torch.autograd.Function):
    """Attention by row; see :mod:`thinkact.policies.packed_attention`."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, shared: _Pass) -> Tensor:
        """(N, heads, D) to (N, heads of queries * D)."""
        ctx.save_for_backward(qkv)
        ctx.plan = shared.plan
        return attend(qkv, shared.plan)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (qkv,) = ctx.saved_tensors
        return attend_backward(grad, qkv, ctx.plan), None


class _Leave(torch.autograd.Function):
    """What attention mixed, projected and added; norm, MLP, added."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mixed: Tensor,
        gain: Tensor,
        out: Tensor,
        gate: Tensor,
        up: Tensor,
        down: Tensor,
        eps: float,
        keep: bool,
    ) -> Tensor:
        """(N, E) and (N, heads * D) to (N, E)."""
        dtype = mixed.dtype
        x = x + F.linear(mixed, out.to(dtype))
        unit, rate, h = _normed(x, gain, eps, dtype)
        both = F.linear(h, _stacked((gate, up), dtype))
        ctx.save_for_backward(mixed, unit, rate, both if keep else None, gain, out, gate, up, down)
        return x.add_(F.linear(_gated(both), down.to(dtype)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mixed, unit, rate, both, gain, out, gate, up, down = ctx.saved_tensors
        dtype, wanted = mixed.dtype, ctx.needs_input_grad
        d, stacked, h = grad.to(dtype), _stacked((gate, up), dtype), _times(unit, gain)
        both = F.linear(h, stacked) if both is None else both
        (of_down,) = _of_weights(d, _gated(both), (down,), wanted[6:7])
        d = _of_gated(d @ down.to(dtype), both)
        parts = _of_weights(d, h, (gate, up), wanted[4:6])
        of_x, gains = _of_norm(d @ stacked, unit, rate, gain, (True, wanted[2]))
        assert of_x is not None
        of_x += grad
        d = of_x.to(dtype)
        (of_out,) = _of_weights(d, mixed, (out,), wanted[3:4])
        return of_x, d @ out.to(dtype), gains, of_out, *parts, of_down, None, None


def _stacked(weights: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Weights (out_i, in) as one (sum of out_i, in), in another type."""
    found = torch.empty(sum(map(len, weights)), weights[0].shape[1], dtype=dtype, device=weights[0].device)
    for part, weight in zip(torch.split(found, [len(weight) for weight in weights]), weights, strict=True):
        part.copy_(weight)
    return found


def _of_weights(d: Tensor, inputs: Tensor, weights: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of stacked weights from that of their product, (N, sum of out_i), and its input, (N, in)."""
    if not any(wanted):
        return [None] * len(weights)
    found = (d.t() @ inputs).to(weights[0].dtype)
    parts = torch.split(found, [len(weight) for weight in weights])
    return [part if each else None for part, each in zip(parts, wanted, strict=True)]


def _normed(x: Tensor, gain: Tensor, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """RMS norm of (N, E): x over its root mean square, one over that, (N, 1), and the norm with its gain."""
    rate = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    unit = x * rate
    kept = unit.to(dtype, copy=True)
    return kept, rate, unit.mul_(gain).to(dtype)


def _times(unit: Tensor, gain: Tensor) -> Tensor:
    return (unit * gain).to(unit.dtype)


def _of_norm(
    d: Tensor, unit: Tensor, rate: Tensor, gain: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a norm's input and gain: rate (g - u mean(g u)) with g = gain d, and the sum of d u."""
    d = d.float()
    both = d * unit
    gains = both.sum(0) if wanted[1] else None
    if not wanted[0]:
        return None, gains
    mean = torch.mv(both, gain.float()).div_(d.shape[1])
    return d.mul_(gain).addcmul_(unit, mean[:, None], value=-1).mul_(rate), gains


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return (x * cos).addcmul_(x.roll(x.shape[-1] // 2, -1), sin)


def _turned_back(d: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return (d * cos).add_((d * sin).roll(d.shape[-1] // 2, -1))


def _gated(both: Tensor) -> Tensor:
    """(N, 2 I), gate and up, to (N, I)."""
    gate, up = both.chunk(2, 1)
    return F.silu(gate).mul_(up)


def _of_gated(d: Tensor, both: Tensor) -> Tensor:
    """The gradient of gate and up, (N, 2 I)."""
    gate, up = both.chunk(2, 1)
    found = torch.empty_like(both)
    first, second = found.chunk(2, 1)
    torch.mul(d, F.silu(gate), out=second)
    first.copy_(torch.ops.aten.silu_backward(d * up, gate))
    return found
