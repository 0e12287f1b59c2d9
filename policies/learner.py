"""The learner: token rows in, one optimiser step out. Imitation and RL share everything but the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thinkact.policies.compact_adamw import CompactAdamW
from thinkact.policies.distributed_model import IDLE, Parallel, whole
from thinkact.policies.learner_passes import Batch, Layout, Passes
from thinkact.policies.learner_rows import Row, encode_expert, encode_sampled, informative, rows_of
from thinkact.policies.llama_trunk import LlamaTrunk
from thinkact.policies.losses import Tokens, guarded_tokens, loss_of, weights_of
from thinkact.policies.losses_spec import LossOptions
from thinkact.policies.packing import attending, packable
from thinkact.policies.recompute import Checkpointing, checkpointed
from thinkact.policies.selective import selective_log_softmax

Moments = Literal["fp32", "bf16"]

__all__ = ["Learner", "Moments", "Row", "encode_expert", "encode_sampled", "informative", "rows_of"]


class Learner:
    """AdamW on fp32 master weights, arithmetic in bf16 where asked.

    Args:
        model: A causal language model, possibly wrapped by peft; weights in fp32.
        dtype: Of the arithmetic (autocast).
        lr: Peak learning rate; see :meth:`step` for the schedule.
        batch_tokens: Tokens of one forward pass, padding included; gradients accumulate over passes.
        packed: Lay rows side by side without padding, where the model's attention can be told who sees whom; else,
            and with False, one below the other.
        share_prefixes: Compute what packed rows open with alike once, forward and backward, instead of once per row.
            The gradient is the same up to rounding. None: where rows are packed.
        checkpointing: What backward needs and is computed again instead of kept: nothing; all but products and
            attention ("selective"); whole layers ("full").
        fused: Compute packed rows of a plain Llama on a CPU by :class:`~thinkact.policies.llama_trunk.LlamaTrunk`,
            which keeps little beside products in any case, and with "selective" not all of those; False goes through
            the model's modules.
        moments: What AdamW's two moments are kept in; "bf16" takes half, see
            :class:`~thinkact.policies.compact_adamw.CompactAdamW`.
        max_grad_norm: Gradients are clipped to this norm.
        temperature: At which the tokens were sampled; log-probabilities are taken at the same.
        turns: Entered around every pass, where the device is shared with a policy that acts in another thread.
        parallel: How passes are divided among processes; each is called with all rows and learns from its share.

    Raises:
        ValueError: ``share_prefixes`` without packing, or on a model that cannot be packed: some of its layers see a
            window only, or it brings an attention of its own.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        dtype: torch.dtype = torch.bfloat16,
        lr: float,
        batch_tokens: int = 2048,
        packed: bool = True,
        share_prefixes: bool | None = None,
        checkpointing: Checkpointing = "none",
        fused: bool = True,
        moments: Moments = "fp32",
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        turns: AbstractContextManager[object] | None = None,
        parallel: Parallel | None = None,
    ) -> None:
        self.model = model
        self._parallel = parallel or Parallel()
        self._turns: AbstractContextManager[object] = turns or nullcontext()
        self.dtype = dtype
        self.checkpointing = checkpointing
        self.max_grad_norm = max_grad_norm
        self.temperature = temperature
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.lr, self.moments = lr, moments
        self.reset_optimizer()
        base: Any = model
        if hasattr(model, "get_base_model"):  # adapters around it
            base = base.get_base_model()
        self.hidden_size: int = base.config.hidden_size
        self._trunk, self._head = base.base_model, base.get_output_embeddings()
        # Gemma 2 bends its logits after the head, and what is sampled is sampled from those (2408.00118, section 2).
        self._softcap: float | None = getattr(base.config, "final_logit_softcapping", None)
        self.device = next(model.parameters()).device
        packed = packed and packable(self._trunk)
        if share_prefixes and not packed:
            raise ValueError(
                "share_prefixes lays rows side by side, and this model cannot be told which of them a token belongs to "
                "(a sliding window, a state over the sequence, or an attention of its own). Leave it off."
            )
        self.layout: Layout = "padded" if not packed else "packed" if share_prefixes is False else "shared"
        self._fused = LlamaTrunk(self._trunk, dtype) if fused and packed and LlamaTrunk.supports(self._trunk) else None
        self._batches = Passes(self.layout, batch_tokens, self.device)

    def reset_optimizer(self) -> None:
        """Begin with a fresh AdamW."""
        options: dict[str, Any] = {"lr": self.lr, "betas": (0.9, 0.99), "weight_decay": 0.0}
        self.optimizer: torch.optim.Optimizer = (
            CompactAdamW(self.parameters, **options)
            if self.moments == "bf16"
            else torch.optim.AdamW(self.parameters, **options, fused=True)
        )

    def sft_step(self, rows: Sequence[Row], *, lr_scale: float = 1.0) -> dict[str, float]:
        """Take one step on the mean cross-entropy of the expert's tokens."""
        total = max(1, sum(int(row.sampled.sum()) for row in rows))

        def cross_entropy(logp: Tensor, entropy: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            return -logp.sum() / total, {"loss": float(-logp.detach().sum()) / total}

        return self._step(rows, cross_entropy, lr_scale, entropy_grad=False)

    def rl_step(
        self, rows: Sequence[Row], loss: LossOptions | None = None, *, lr_scale: float = 1.0, seed: int = 0
    ) -> dict[str, float]:
        """Take one step on a loss of the registry.

        Args:
            rows: Sampled episodes with their advantages.
            loss: By default the clipped surrogate of PPO with more room upwards. The ratio is against the *sampling*
                policy's recorded log-probabilities, so it also corrects for the sampler's arithmetic.
            lr_scale: Share of the peak learning rate.
            seed: Of the entropy guard's draw.

        Raises:
            ValueError: The loss needs probabilities (of the reference, of the trainer) that the rows lack.
        """
        options = loss or LossOptions()
        if options.kl_in_loss and any(row.reference is None for row in rows):
            raise ValueError("The KL term needs rows with the reference's log-probabilities.")
        if options.tis_cap is not None and any(row.trainer is None for row in rows):
            raise ValueError("tis_cap needs rows with the trainer's log-probabilities.")
        lengths = [int(row.sampled.sum()) for row in rows]
        weights, normaliser = weights_of(lengths, options)
        guarded = _guarded(rows, lengths, options, seed)

        def of_batch(logp: Tensor, entropy: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            old, importance = batch.logprob, None
            if options.tis_cap is not None:
                assert batch.trainer is not None
                old, importance = batch.trainer, (batch.trainer - batch.logprob).exp().clamp(max=options.tis_cap)
            each = np.array([weights[i] for i in batch.members], dtype=np.float32)
            tokens = Tokens(
                advantage=batch.advantage,
                old=old,
                sequence=batch.sequence,
                turn=batch.turn,
                weight=self._tensor(np.repeat(each, [lengths[i] for i in batch.members])),
                importance=importance,
                reference=batch.reference,
                guarded=self._tensor(np.concatenate([guarded[i] for i in batch.members])) if guarded else None,
            )
            return loss_of(logp, entropy, tokens, options, normaliser)

        return self._step(rows, of_batch, lr_scale, entropy_grad=options.entropy_coef > 0)

    @torch.no_grad()
    def logprobs(self, rows: Sequence[Row]) -> list[NDArray[np.float32]]:
        """Return every row's log-probabilities under the current weights, shape (L,), 0 on tokens not sampled."""
        self.model.eval()
        mine: dict[int, NDArray[np.float32]] = {}
        for batch in self._own(rows):
            with self._turns:
                logp = self._parallel.run(self._logprobs, batch, entropy_grad=False)[0].cpu().numpy()
            start = 0
            for i in batch.members:
                count = int(rows[i].sampled.sum())
                mine[i] = np.zeros(len(rows[i].ids), dtype=np.float32)
                mine[i][rows[i].sampled] = logp[start : start + count]
                start += count
        return self._parallel.collected(mine)

    @torch.no_grad()
    def hidden(self, rows: Sequence[Row]) -> list[Tensor]:
        """Return per row the last hidden states that sampled tokens are predicted from, (sampled tokens, E) in fp32."""
        self.model.eval()
        mine: dict[int, Tensor] = {}
        for batch in self._own(rows):
            with self._turns:
                states = self._parallel.run(self._states, batch).float()
            start = 0
            for i in batch.members:
                count = int(rows[i].sampled.sum())
                mine[i] = states[start : start + count]
                start += count
        return [states.to(self.device) for states in self._parallel.collected(mine)]

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _step(self, rows: Sequence[Row], objective: LossOf, lr_scale: float, *, entropy_grad: bool) -> dict[str, float]:
        # No dropout: the ratio needs the sampler's probabilities, and a resumed run the same numbers.
        self.model.eval()
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * lr_scale
        figures: dict[str, float] = {}
        for batch in self._own(rows):
            with self._turns:
                logp, entropy = self._parallel.run(self._logprobs, batch, entropy_grad=entropy_grad)
                loss, part = objective(logp, entropy, batch) if batch.members else (0.0 * logp.sum(), {})
                torch.autograd.backward(loss)  # loss.backward() has no types
            for name, value in part.items():
                figures[name] = figures.get(name, 0.0) + value
        self._parallel.sum_gradients(self.parameters)
        figures = self._parallel.summed(figures)
        norm = whole(nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm))
        if not math.isfinite(float(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise FloatingPointError("The gradient is not finite; lower the learning rate or use dtype fp32.")
        with self._turns:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {**figures, "grad_norm": float(norm), "lr": self.lr * lr_scale}

    def _logprobs(self, batch: Batch, *, entropy_grad: bool) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy of every sampled token, both (N,), head on those only."""
        states = self._states(batch)
        with self._precision():
            logits = self._head(states)  # (N, V)
        return selective_log_softmax(
            logits,
            batch.targets,
            temperature=self.temperature,
            softcap=self._softcap,
            entropy_grad=entropy_grad,
            overwrite=True,
        )

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=self.dtype) if self.dtype != torch.float32 else nullcontext()

    def _states(self, batch: Batch) -> Tensor:
        kind = self.checkpointing if torch.is_grad_enabled() else "none"
        if self._fused is not None and batch.packed is not None and batch.positions is not None:
            return self._fused(batch.ids[0], batch.positions[0], batch.packed, batch.where[1], kind)
        inputs: dict[str, Any] = {} if batch.packed is None else {"packed": batch.packed}
        around = nullcontext if batch.packed is None else partial(attending, self._trunk)
        with self._precision(), around(), checkpointed(self._trunk, kind, around):
            states: Tensor = self._trunk(
                input_ids=batch.ids, position_ids=batch.positions, use_cache=False, **inputs
            ).last_hidden_state[batch.where]  # (N, E)
        return states

    def _own(self, rows: Sequence[Row]) -> Iterator[Batch]:
        """Yield the passes over this process's share of the rows; members are places among all rows.

        Where a sharded model needs a pass that this process has no rows for, it has no members.
        """
        mine = self._parallel.share(rows)
        for batch in self._parallel.passes(self._batches([rows[i] for i in mine])):
            if batch is None:
                (idle,) = self._batches([IDLE])
                yield replace(idle, members=[])
            else:
                yield replace(batch, members=[mine[i] for i in batch.members])


def _guarded(rows: Sequence[Row], lengths: list[int], options: LossOptions, seed: int) -> list[NDArray[np.bool_]]:
    """Return per row where the entropy guard acts, shape (sampled tokens,); nothing where there is none."""
    if options.entropy_guard == "none" or not rows:
        return []
    old = np.concatenate([(row.logprob if row.trainer is None else row.trainer)[row.sampled] for row in rows])
    advantage = np.concatenate([row.advantage[row.sampled] for row in rows])
    chosen = guarded_tokens(old, advantage, options, np.random.default_rng(seed))
    return np.split(chosen, np.cumsum(lengths)[:-1])


LossOf = Callable[[Tensor, Tensor, Batch], tuple[Tensor, dict[str, float]]]
