"""Activation checkpointing: what backward needs of a layer is computed again instead of kept.

``full`` (arXiv 1604.06174) keeps a layer's input and runs its forward twice. ``selective`` (arXiv 2205.05198) keeps
what is dear to compute, products and attention, and runs the rest twice: norms, rotations, activation functions, casts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts
from transformers.modeling_layers import GradientCheckpointingLayer

Checkpointing = Literal["none", "selective", "full"]

_aten = torch.ops.aten
_DEAR = {
    _aten.mm.default,
    _aten.addmm.default,
    _aten.bmm.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
}

Around = Callable[[], AbstractContextManager[None]]


@contextmanager
def checkpointed(trunk: Any, kind: Checkpointing, around: Around = nullcontext) -> Iterator[None]:
    """Within it, forward passes of a Hugging Face model keep less for backward.

    Args:
        trunk: The model.
        kind: What is kept.
        around: Makes the context that a layer's second forward needs; the first has it from the caller.
    """
    with ExitStack() as stack:
        if kind != "none":
            for layer in trunk.modules():
                if isinstance(layer, GradientCheckpointingLayer):
                    # On the instance, so that it hides the class's method; hooks and wrappers stay around it.
                    again = partial(
                        checkpoint,
                        layer.forward,
                        use_reentrant=False,
                        preserve_rng_state=False,  # there is no dropout
                        context_fn=partial(_contexts, kind, around),
                    )
                    object.__setattr__(layer, "forward", again)
                    stack.callback(object.__delattr__, layer, "forward")
        yield


def _contexts(kind: Checkpointing, around: Around) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    if kind == "full":
        return nullcontext(), around()
    first, second = create_selective_checkpoint_contexts(_policy)  # type: ignore[no-untyped-call]
    return first, _both(second, around())


@contextmanager
def _both(one: AbstractContextManager[Any], other: AbstractContextManager[Any]) -> Iterator[None]:
    with one, other:
        yield


def _policy(ctx: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in _DEAR else CheckpointPolicy.PREFER_RECOMPUTE
