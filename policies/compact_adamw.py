"""AdamW whose moments are kept in bf16: half of the memory that its state takes.

They are widened a part at a time, updated by the fused kernel in fp32, and rounded back stochastically: up or down with
the probability that makes the mean right. Rounded to nearest, a moment that a step moves by less than 1/512 of itself
would not move at all (the remedy is that of Gupta et al., arXiv 1502.02551, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

#: Elements that are worked on together: their fp32 copies stay in a CPU's cache.
_PART = 1 << 18
_MOMENTS = ("exp_avg", "exp_avg_sq")


class CompactAdamW(torch.optim.Optimizer):
    """AdamW (arXiv 1711.05101) with bf16 moments. The rounding is drawn from the number of the step: runs repeat.

    Args:
        params: Parameters in fp32, each whole on its device.
        lr: Learning rate.
        betas: Decay of the moments.
        eps: Added to the root of the second.
        weight_decay: Decoupled.

    Raises:
        TypeError: A parameter is not in fp32.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        for group in self.param_groups:
            if any(p.dtype != torch.float32 for p in group["params"]):
                raise TypeError("compact moments are for weights in fp32: widen the model, or keep AdamW's own.")

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step with the gradients that are there."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        noises: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32)
                    state |= {name: torch.zeros_like(parameter, dtype=torch.bfloat16) for name in _MOMENTS}
                key = int(state["step"]), parameter.device
                if key not in noises:
                    noises[key] = _noise(*key)
                _update(parameter, state, group, noises[key])
                state["step"] += 1
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that :meth:`state_dict` returned."""
        super().load_state_dict(state_dict)
        for state in self.state.values():  # which were widened to the parameters' type, losing nothing
            state |= {name: state[name].bfloat16() for name in _MOMENTS}


def _update(parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any], noise: tuple[Tensor, Tensor]) -> None:
    assert parameter.grad is not None
    weights, gradients = parameter.view(-1), parameter.grad.reshape(-1)
    kept = [state[name].view(-1) for name in _MOMENTS]
    for first in range(0, len(weights), _PART):
        at = slice(first, first + _PART)
        wide = [moment[at].float() for moment in kept]
        adamw(
            [weights[at]],
            [gradients[at]],
            [wide[0]],
            [wide[1]],
            [],
            [state["step"].to(parameter.device, copy=True)],  # counted up
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        for moment, value, random in zip(kept, wide, noise, strict=True):
            moment[at] = _rounded(value, random[: len(value)])


def _noise(step: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """16 random bits for every element of a part, for either moment; all parts of a step share them."""
    draw = torch.Generator().manual_seed(step)
    first, second = torch.randint(1 << 16, (2, _PART), generator=draw, dtype=torch.int32).to(device)
    return first, second


def _rounded(value: Tensor, random: Tensor) -> Tensor:
    """Round fp32 to bf16 stochastically: what is added to the bits that fall away carries as often as it should."""
    bits = value.view(torch.int32) + random
    return bits.bitwise_and_(-(1 << 16)).view(torch.float32).bfloat16()
