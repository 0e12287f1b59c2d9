"""One model on several devices: a copy on each, or fully sharded (FSDP2), and what the learner needs of either.

Sharding: Rajbhandari et al., ZeRO stage 3 (arXiv 1910.02054); Zhao et al., PyTorch FSDP (2304.11277). Weights,
gradients and the state of AdamW are split over the processes; a decoder layer's are put together while it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from thinkact.policies.distributed import Ranks
from thinkact.policies.forwards import effective_weights, unwrap
from thinkact.policies.learner_rows import Row

T = TypeVar("T")

#: What a process feeds a sharded model that others still have rows for.
IDLE = Row(
    ids=np.zeros(2, dtype=np.int64),
    sampled=np.array([False, True]),
    advantage=np.zeros(2, dtype=np.float32),
    logprob=np.zeros(2, dtype=np.float32),
)


class Parallel:
    """How a learner divides its passes and adds up its gradients. Without arguments it is alone and divides nothing.

    Args:
        ranks: The processes.
        root: What every pass goes through where the model is sharded.
    """

    def __init__(self, ranks: Ranks | None = None, root: nn.Module | None = None) -> None:
        self.ranks = ranks or Ranks()
        self._root = root

    @classmethod
    def of(cls, ranks: Ranks, model: nn.Module, *, shard: bool, dtype: torch.dtype) -> Parallel:
        """Give all processes the same weights, and shard them where that is asked for and there are several.

        Args:
            ranks: The processes.
            model: The model, changed in place.
            shard: Whether each process keeps a part only.
            dtype: Of the arithmetic; what layers are put together in.
        """
        ranks.agree(model.parameters())
        return cls(ranks, _sharded(model, ranks.size, dtype) if shard and ranks.size > 1 else None)

    @property
    def sharded(self) -> bool:
        """Whether the processes keep parts of the model only."""
        return self._root is not None

    def run(self, do: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Do a pass, with the weights put together as it needs them."""
        found: T = do(*args, **kwargs) if self._root is None else self._root(do, *args, **kwargs)
        return found

    def share(self, rows: Sequence[Row]) -> list[int]:
        """Return which rows are this process's: nearly as many tokens on each."""
        return self.ranks.share([len(row.ids) for row in rows])

    def passes(self, passes: Iterable[T]) -> Iterator[T | None]:
        """Yield this process's passes; of a sharded model all must do equally many, so some are None."""
        return self.ranks.even(passes) if self.sharded else iter(passes)

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sum gradients over the processes; those of a sharded model have been summed on the way."""
        if not self.sharded:
            self.ranks.sum_gradients(parameters)

    def summed(self, figures: dict[str, float]) -> dict[str, float]:
        """Return figures of which every process has its rows' part."""
        return self.ranks.summed(figures)

    def collected(self, mine: dict[int, T]) -> list[T]:
        """Return what the processes found for their own rows, in the order of all rows."""
        found = {i: value for part in self.ranks.gathered(mine) for i, value in part.items()}
        return [found[i] for i in range(len(found))]

    def whole(self, tree: Any) -> Any:
        """Return nested data with sharded tensors put together on the CPU; only the first process keeps them."""
        if isinstance(tree, DTensor):
            full = whole(tree)
            return full.cpu() if self.ranks.is_first else torch.empty(0)
        if isinstance(tree, dict):
            return {name: self.whole(value) for name, value in tree.items()}
        if isinstance(tree, list | tuple):
            return type(tree)(self.whole(value) for value in tree)
        return tree


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process has a part of a tensor only."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor without gradient, put together from all processes' parts where it is sharded."""
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


class _Pass(nn.Module):
    """Runs functions on a model as if they were its forward, so that FSDP's hooks enclose all of a pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return do(*args, **kwargs)


def _sharded(model: nn.Module, size: int, dtype: torch.dtype) -> nn.Module:
    """Shard a model in place, decoder layer by decoder layer, and the rest as one; return what passes go through."""
    base: Any = unwrap(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (size,))
    # The residual stream and norms of the root stay in fp32 as they do under autocast alone.
    layers = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    kinds = set(getattr(base, "_no_split_modules", None) or ())
    for module in [module for module in base.modules() if type(module).__name__ in kinds]:
        fully_shard(module, mesh=mesh, mp_policy=layers)
    # Resharded after each pass, also one without gradients: weights may be changed before the next.
    root = _Pass(model)
    fully_shard(root, mesh=mesh, reshard_after_forward=True)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # The loss is normalised over all rows, so gradients are summed, not averaged; gloo can do no other.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return root


def part_of(value: Tensor, like: Tensor) -> Tensor:
    """Return what a process keeps of a whole tensor where ``like`` is sharded; else the tensor itself."""
    if not isinstance(like, DTensor):
        return value
    whole = value.to(device=like.device, dtype=like.dtype)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over the state that an optimiser had, whole, in however many processes it was."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    each = {
        at: {
            name: part_of(value, parameters[at])
            if isinstance(value, Tensor) and value.shape == parameters[at].shape
            else value
            for name, value in kept.items()
        }
        for at, kept in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": each})


def plain_copy(model: nn.Module, *, keep: bool) -> nn.Module | None:
    """Put a sharded model together on the CPU as a plain one, adapters merged, weight by weight.

    Args:
        model: The model.
        keep: Whether this process wants it; all must call this.
    """
    base: Any = unwrap(model)
    weights = effective_weights(base)
    fresh: Any = type(base)(base.config) if keep else None
    own = dict(fresh.named_parameters(remove_duplicate=False)) if keep else {}
    with torch.no_grad():
        for name, value in weights.items():
            if name in own:
                own[name].copy_(value)
    if fresh is not None:
        fresh.generation_config = base.generation_config
    return cast(nn.Module | None, fresh)
