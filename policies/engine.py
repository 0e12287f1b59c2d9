"""Batched generation for live episodes: one slot per episode, its key-value cache kept across turns.

Only tokens that a slot has not seen are prefilled. Prompts that open alike are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thinkact.policies.forwards import Forward, GenericForward, LlamaForward, unwrap
from thinkact.policies.generation import EngineFull, GenRequest, GenResult, Stop
from thinkact.policies.heap import give_back
from thinkact.policies.kv import Chunk, KVTable
from thinkact.policies.sampling import SamplingParams, draw
from thinkact.policies.slots import Slot, Slots, opening

__all__ = ["Engine", "EngineFull", "GenRequest", "GenResult", "Stop"]

_PREFILL_TOKENS = 2048  # tokens per prefill pass: bounds the activations


@dataclass
class _Run:
    slot: Slot
    result: GenResult
    draws: list[float]
    index: int
    params: SamplingParams
    done: bool = False

    @property
    def reach(self) -> int:
        """How many tokens its slot may come to hold."""
        return len(self.slot.tokens) + self.params.max_new_tokens


def _token_bytes(config: Any, dtype: torch.dtype) -> int:
    """What the keys and values of one token take in all layers."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * dtype.itemsize)


def _versions(model: nn.Module) -> list[tuple[int, int]]:
    """What changes with every training step: the parameters' identities and version counters."""
    return [(id(p), 0 if p.is_inference() else p._version) for p in model.parameters()]


class Engine:
    """Generates for many slots at once; see the module's head.

    Weights take effect at `sync()`. A model whose parameters already have `dtype` and that has no fused pass
    shares them instead of copying; call `sync()` all the same, the stored keys are of the old weights.

    Args:
        model: A Hugging Face causal language model, or a peft LoRA model around one.
        max_slots: Slots that can be open at once.
        max_len: Tokens per slot, bounded by the model's own limit.
        dtype: Of the inference copy and the key-value tables.
        fused: Use the fused Llama pass where it applies; False forces the model's own forward.
        max_kv_bytes: Of the key-value tables (a table that grows holds one of its layers' tensors twice meanwhile).
            Requests that do not fit together wait for one another within a call, and slots that wait for their
            tools lose their keys, which their next request computes anew. None for as much as the slots need.

    Raises:
        ValueError: `max_kv_bytes` do not hold one slot of `max_len` tokens.

    Attributes:
        prefilled_tokens: Tokens computed in prefill.
        generated_tokens: Tokens sampled.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        max_slots: int = 64,
        max_len: int = 1024,
        dtype: torch.dtype = torch.bfloat16,
        fused: bool = True,
        max_kv_bytes: int | None = None,
    ) -> None:
        """Copy the weights and prepare empty slots; tables grow with use."""
        base = unwrap(model)
        self._model, self._taken = model, _versions(model)
        self._resting = False
        limit = getattr(base.config, "max_position_embeddings", None)
        self.max_slots, self.max_len = max_slots, min(max_len, limit) if limit else max_len
        self.device = next(base.parameters()).device
        embeddings: Any = base.get_input_embeddings()
        self.vocabulary = int(embeddings.weight.shape[0])
        self._forward: Forward = (
            LlamaForward(model, dtype, self.max_len)
            if fused and LlamaForward.supports(model)
            else GenericForward(model, dtype)
        )
        config = base.config
        self._table = KVTable(config.num_hidden_layers, dtype=dtype, device=self.device)
        self._slots = Slots(
            self._table,
            max_slots=max_slots,
            max_len=self.max_len,
            max_bytes=max_kv_bytes,
            token_bytes=_token_bytes(config, dtype),
        )
        self.prefilled_tokens = 0
        self.generated_tokens = 0

    @property
    def kv_bytes(self) -> int:
        """What keys and values take now."""
        return self._table.nbytes

    @property
    def stale(self) -> bool:
        """Whether the model's weights have changed since they were taken over: `sync()` is due.

        Told by the version counters of autograd and by which tensors the parameters are; writes through `.data` leave
        no trace there.
        """
        return self._taken != _versions(self._model)

    @property
    def open_slots(self) -> int:
        """How many slots are open."""
        return sum(slot.open for slot in self._slots.all)

    @property
    def evicted_tokens(self) -> int:
        """Tokens of open slots whose keys had to give way to others."""
        return self._slots.evicted_tokens

    def open(self) -> int:
        """Take a free slot.

        Raises:
            EngineFull: All `max_slots` are open.
        """
        return self._slots.open()

    def close(self, slot: int) -> None:
        """Free a slot. Its keys stay as a source of shared openings until the row is reused."""
        self._slots.close(slot)

    def tokens(self, slot: int) -> list[int]:
        """All tokens of the slot so far, given and sampled."""
        return list(self._slots.get(slot).tokens)

    @torch.inference_mode()  # the tables belong to inference mode, and only it may write them
    def fork(self, slot: int) -> int:
        """Open a slot with a copy of the state of another.

        Where memory is limited and used up, the copy holds tokens only until it is asked for.

        Raises:
            EngineFull: All `max_slots` are open.
        """
        return self._slots.fork(slot)

    def sync(self) -> None:
        """Take over the model's current weights and drop all keys and values, which are of the old ones.

        Open slots keep their tokens, which the next `generate` computes again.
        """
        self._taken = _versions(self._model)
        self._forward.refresh()
        self._slots.forget()
        self._resting = False

    def rest(self) -> None:
        """Free the inference copy and all keys and values: nothing will be sampled for a while, as while one learns.

        `sync()` brings them back, and so does the next `generate`; both take the weights as they are then. Open slots
        keep their tokens.
        """
        if not self._resting:
            self._slots.forget()
            self._table.clear()
            self._forward.release()
            self._resting = True
            give_back()

    @torch.inference_mode()
    def generate(self, requests: Sequence[GenRequest], params: SamplingParams) -> list[GenResult]:
        """Append each request's tokens to its slot and sample until a stop.

        What a request samples depends on its own tokens, seed and parameters, not on who shares its batch.

        A request whose tokens leave no room to sample gets an empty result with stop "context", and its slot
        stays as it was.

        Raises:
            ValueError: An unknown or closed slot, a slot named twice, an id outside the vocabulary, or
                nothing to continue from.
        """
        runs, results = self._admit(requests, params)
        if self._resting:
            with torch.inference_mode(False):  # what the copy is made of outlives this call
                self.sync()
        for wave in self._waves(runs):
            self._decode(wave, self._prefill(wave))
        return results

    def _admit(self, requests: Sequence[GenRequest], params: SamplingParams) -> tuple[list[_Run], list[GenResult]]:
        if len({r.slot for r in requests}) != len(requests):
            raise ValueError("a slot may appear once per call")
        for request in requests:
            state = self._slots.get(request.slot)
            if not state.tokens and not request.new_tokens:
                raise ValueError(f"slot {request.slot} is empty and the request brings no tokens")
            if request.new_tokens and not (0 <= min(request.new_tokens) and max(request.new_tokens) < self.vocabulary):
                raise ValueError(f"slot {request.slot}: token ids must lie in [0, {self.vocabulary})")
        runs: list[_Run] = []
        results: list[GenResult] = []
        for request in requests:
            state = self._slots.all[request.slot]
            result = GenResult([], [], "context")
            results.append(result)
            if len(state.tokens) + len(request.new_tokens) >= self.max_len:
                continue
            state.tokens.extend(request.new_tokens)
            # Drawn up front from the request's own generator: batch-mates cannot shift them.
            own = request.params or params
            draws = np.random.default_rng(request.seed % 2**64).random(request.drawn + own.max_new_tokens)
            runs.append(_Run(state, result, draws[request.drawn :].tolist(), request.slot, own))
        return runs, results

    def _waves(self, runs: Sequence[_Run]) -> Iterator[list[_Run]]:
        """Part runs into batches that fit in memory, short ones first: a long one takes room from all in its batch."""
        wave: list[_Run] = []
        for run in sorted(runs, key=lambda r: r.reach):
            if wave and len(wave) >= self._slots.room(run.reach):
                yield wave
                wave = []
            wave.append(run)
        if wave:
            yield wave

    def _prefill(self, runs: list[_Run]) -> Tensor:
        """Compute every token without keys; return last logits (B, V) in the order of `runs`.

        `runs` is reordered, and its rows are brought to the front of the table.
        """
        # Similar chunk lengths side by side: little padding in attention.
        runs.sort(key=lambda r: len(r.slot.tokens) - r.slot.stored)
        self._slots.bring([r.index for r in runs], max(r.reach for r in runs))
        leaders, copies = self._share(runs)
        logits: Tensor | None = None
        start = 0
        while start < len(leaders):
            stop, used = start, 0
            while stop < len(leaders):
                slot = runs[leaders[stop]].slot
                used += len(slot.tokens) - slot.stored
                if stop > start and used > _PREFILL_TOKENS:
                    break
                stop += 1
            part = self._compute([(runs[i].slot, len(runs[i].slot.tokens)) for i in leaders[start:stop]])
            if logits is None:
                logits = part.new_empty(len(runs), part.shape[1])
            logits[torch.tensor(leaders[start:stop], device=part.device)] = part
            start = stop
        assert logits is not None
        for leader, followers in copies.items():
            slot = runs[leader].slot
            self._table.copy_row(slot.row, [runs[i].slot.row for i in followers], slot.stored)
            logits[followers] = logits[leader].clone()
            for i in followers:
                runs[i].slot.stored = slot.stored
        return logits

    def _compute(self, work: Sequence[tuple[Slot, int]]) -> Tensor:
        """Compute keys of each slot up to the given length; return the last logits."""
        chunk = Chunk(
            self._table,
            [s.row for s, _ in work],
            [s.stored for s, _ in work],
            [s.tokens[s.stored : end] for s, end in work],
        )
        logits = self._forward(self._table, chunk)
        for slot, end in work:
            slot.stored = end
        self.prefilled_tokens += len(chunk.tokens)
        return logits

    def _share(self, runs: list[_Run]) -> tuple[list[int], dict[int, list[int]]]:
        """Reuse what is known of fresh prompts.

        Returns:
            Indices of the runs to compute, and of those to copy from one of them once it is computed.
        """
        fresh: dict[tuple[int, ...], list[int]] = {}
        leaders: list[int] = []
        for i, run in enumerate(runs):
            if run.slot.stored:
                leaders.append(i)
            else:
                fresh.setdefault(tuple(run.slot.tokens), []).append(i)
        firsts = [same[0] for same in fresh.values()]
        for i in firsts:  # what a row still holds of an earlier owner
            slot = runs[i].slot
            slot.stored = slot.known(slot.stale)
        new = set(firsts)
        for same in fresh.values():
            for i in same:
                runs[i].slot.stale = []
        if firsts:
            # Donors are rows that this call does not rewrite, and one fresh prompt computed ahead.
            donors = self._slots.donors({runs[i].index for same in fresh.values() for i in same})
            for i in firsts:
                self._slots.borrow(runs[i].slot, donors)
            shared = opening([runs[i].slot for i in firsts])
            first = max(firsts, key=lambda i: runs[i].slot.stored)
            ahead = runs[first].slot
            if shared:
                if ahead.stored < shared:
                    self._compute([(ahead, shared)])
                for i in firsts:
                    self._slots.borrow(runs[i].slot, [(ahead.row, ahead.tokens[: ahead.stored])])
        leaders = sorted([*leaders, *new])
        return leaders, {same[0]: same[1:] for same in fresh.values() if len(same) > 1}

    def _decode(self, runs: list[_Run], logits: Tensor) -> None:
        step = 0
        while True:
            drawn = draw([run.params for run in runs], [run.draws[step] for run in runs], logits)
            step += 1
            for run, token, score, top in zip(runs, drawn.tokens, drawn.logprobs, drawn.top, strict=True):
                run.slot.tokens.append(token)
                run.result.tokens.append(token)
                run.result.logprobs.append(score)
                run.result.top.append(top)
                run.done = True
                if token in run.params.stop_ids:
                    run.result.stop = "stop"
                elif len(run.slot.tokens) >= self.max_len:
                    run.result.stop = "context"
                elif step >= run.params.max_new_tokens:
                    run.result.stop = "length"
                else:
                    run.done = False
            self.generated_tokens += len(runs)
            runs = self._compact(runs)
            if not runs:
                return
            chunk = Chunk(
                self._table,
                range(len(runs)),
                [r.slot.stored for r in runs],
                [r.slot.tokens[-1:] for r in runs],
            )
            logits = self._forward(self._table, chunk)
            for run in runs:
                run.slot.stored += 1

    def _compact(self, runs: list[_Run]) -> list[_Run]:
        """Drop finished runs, filling their rows from the back: the batch stays at the front of the table."""
        live = sum(not r.done for r in runs)
        kept = runs[:live]
        movers = [r for r in runs[live:] if not r.done]
        for i, run in enumerate(kept):
            if run.done:
                mover = movers.pop()
                self._slots.place(mover.index, i)
                kept[i] = mover
        return kept
