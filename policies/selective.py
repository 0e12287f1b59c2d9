"""Log-probability and entropy of sampled tokens, without the whole vocabulary in fp32 for all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

#: Rows of logits that are worked on together: what they take in fp32 stays in a CPU's cache.
_ROWS = 32


def selective_log_softmax(
    logits: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    entropy_grad: bool = True,
    overwrite: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return log-probability of the targets and entropy of every row of logits, both fp32 (N,).

    With z = logits / temperature and p = softmax(z): the gradient of log p_t is 1[j = t] - p_j, that of the entropy
    H is -p_j (log p_j + H). Both are computed from the logits anew, a few rows at a time; autograd would keep four
    copies of (N, V) in fp32.

    Args:
        logits: (N, V), any floating type.
        targets: int64 (N,).
        temperature: Divides the logits.
        softcap: Logits are first bent to softcap * tanh(logits / softcap).
        entropy_grad: Whether gradients flow through the entropy.
        overwrite: Whether backward may write the gradient over the logits; nobody else must want them then.
    """
    return cast(tuple[Tensor, Tensor], _Selective.apply(logits, targets, temperature, softcap, entropy_grad, overwrite))  # type: ignore[no-untyped-call]


class _Selective(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        temperature: float,
        softcap: float | None,
        entropy_grad: bool,
        overwrite: bool,
    ) -> tuple[Tensor, Tensor]:
        logp, entropy, total = (torch.empty(len(logits), dtype=torch.float32, device=logits.device) for _ in range(3))
        for at in _parts(len(logits)):
            z = _scaled(logits[at], temperature, softcap)
            top = z.amax(-1, keepdim=True)
            p = z.sub_(top).exp()
            mass = p.sum(-1)
            rest = mass.log()
            logp[at] = z.gather(1, targets[at, None])[:, 0] - rest
            entropy[at] = rest - torch.linalg.vecdot(p, z) / mass  # both parts are positive: nothing cancels
            total[at] = top[:, 0] + rest
        ctx.save_for_backward(logits, targets, total, entropy)
        ctx.options = temperature, softcap, entropy_grad, overwrite
        if not entropy_grad:
            ctx.mark_non_differentiable(entropy)
        return logp, entropy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_logp: Tensor, of_entropy: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        logits, targets, total, entropy = ctx.saved_tensors
        temperature, softcap, entropy_grad, overwrite = ctx.options
        found = logits if overwrite else torch.empty_like(logits)
        for at in _parts(len(logits)):
            z = _scaled(logits[at], temperature, softcap)
            bend = None if softcap is None else 1 - (z * (temperature / softcap)) ** 2
            z -= total[at, None]
            p = z.exp()
            if entropy_grad:
                # what multiplies -p: the log-probability's own part, and the entropy's
                z = z.add_(entropy[at, None]).mul_(of_entropy[at, None]).add_(of_logp[at, None])
                d = p.mul_(z).neg_()
            else:
                d = p.mul_(-of_logp[at, None])
            d.scatter_add_(1, targets[at, None], of_logp[at, None])
            if bend is not None:
                d.mul_(bend)
            found[at] = d.div_(temperature)
        return found, None, None, None, None, None


def _parts(count: int) -> Iterator[slice]:
    for first in range(0, count, _ROWS):
        yield slice(first, first + _ROWS)


def _scaled(logits: Tensor, temperature: float, softcap: float | None) -> Tensor:
    """Return a copy in fp32, bent and scaled."""
    z = logits.to(torch.float32, copy=True)
    if softcap is not None:
        z.div_(softcap).tanh_().mul_(softcap)
    return z.div_(temperature)
