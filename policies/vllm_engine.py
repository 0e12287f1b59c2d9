"""vLLM as the sampler of a training run on a GPU: the same slots, tokens and log-probabilities as our own engine.

Written to vLLM's documented interface (``LLM``, ``SamplingParams``, ``TokensPrompt``, ``RequestOutput``; sleep mode's
``collective_rpc("reload_weights")``) and never run with vLLM itself: see docs/engine.md.

A slot is a list of tokens here. Every request sends all of them, and vLLM's prefix cache finds what it has computed
before; no text is made or read, so tokens stay the ids that were sampled.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thinkact.policies.forwards import effective_weights, unwrap
from thinkact.policies.generation import EngineFull, GenRequest, GenResult
from thinkact.policies.models import quiet
from thinkact.policies.sampling import SamplingParams


class VLLMMissing(RuntimeError):
    """vLLM is not installed, or there is no GPU for it."""


def _vllm() -> Any:
    """Import vLLM.

    Raises:
        VLLMMissing: It is not there, or no GPU is.
    """
    try:
        vllm = importlib.import_module("vllm")
    except ImportError as error:
        raise VLLMMissing(
            f"sampling with vLLM needs the extra: pip install 'thinkact[vllm]', on a machine with a GPU ({error}). "
            "Without one, leave rollout.sampler at 'hf'."
        ) from error
    if not torch.cuda.is_available():
        raise VLLMMissing("sampling with vLLM wants a GPU, and torch sees none: leave rollout.sampler at 'hf'.")
    return vllm


class VLLMEngine:
    """Generates for many slots at once, with vLLM; see :class:`~thinkact.policies.generation.Sampler`.

    The weights go to it as a Hugging Face folder of its own, adapters merged, which is written anew at every
    :meth:`sync`. They are sampled with in another implementation than the trainer's, so what it samples is slightly
    off policy: train on it with importance correction (``rl.tis_cap``).

    Args:
        model: A Hugging Face causal language model, or a peft LoRA model around one.
        max_slots: Slots that can be open at once; also the rows of vLLM's largest batch.
        max_len: Tokens per slot, bounded by the model's own limit.
        dtype: Of vLLM's weights and keys.
        memory: Share of the GPU's memory that vLLM takes for itself; the trainer needs the rest.

    Raises:
        VLLMMissing: vLLM is not installed, or there is no GPU.

    Attributes:
        prefilled_tokens: Tokens computed in prefill; what vLLM's prefix cache had is not counted.
        generated_tokens: Tokens sampled.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        max_slots: int = 64,
        max_len: int = 1024,
        dtype: torch.dtype = torch.bfloat16,
        memory: float = 0.4,
    ) -> None:
        self._vllm = _vllm()
        self._source, self._dtype = unwrap(model), dtype
        limit = getattr(self._source.config, "max_position_embeddings", None)
        self.max_slots, self.max_len = max_slots, min(max_len, limit) if limit else max_len
        embeddings: Any = self._source.get_input_embeddings()
        self.vocabulary = int(embeddings.weight.shape[0])
        self._slots: dict[int, list[int]] = {}
        self.prefilled_tokens = self.generated_tokens = 0
        self._folder = Path(tempfile.mkdtemp(prefix="thinkact-vllm-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._write()
        self._llm = self._vllm.LLM(
            model=str(self._folder),
            skip_tokenizer_init=True,
            generation_config="vllm",  # nothing of the model's own defaults for sampling
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=self.max_len,
            max_num_seqs=max_slots,
            gpu_memory_utilization=memory,
            enable_prefix_caching=True,
            logprobs_mode="processed_logprobs",  # at the request's temperature, as `GenResult.logprobs`
            seed=0,
        )

    @torch.no_grad()
    def _write(self) -> None:
        """Write the model's present weights into the folder that vLLM reads."""
        weights = effective_weights(self._source)
        source: Any = self._source
        with torch.device("meta"):  # the names that a checkpoint has, which a model with adapters has not
            names = type(source)(source.config).state_dict()
        for old in self._folder.glob("*.safetensors"):
            old.unlink()  # not overwritten: a reader may still have it mapped
        with quiet():
            source.save_pretrained(self._folder, state_dict={name: weights[name].to(self._dtype) for name in names})

    def open(self) -> int:
        """Take a free slot.

        Raises:
            EngineFull: All `max_slots` are open.
        """
        for slot in range(self.max_slots):
            if slot not in self._slots:
                self._slots[slot] = []
                return slot
        raise EngineFull(f"all {self.max_slots} slots are open: close one or raise max_slots")

    def close(self, slot: int) -> None:
        """Free a slot.

        Raises:
            ValueError: It is unknown or closed.
        """
        self._held(slot)
        del self._slots[slot]

    def tokens(self, slot: int) -> list[int]:
        """All tokens of the slot so far, given and sampled.

        Raises:
            ValueError: It is unknown or closed.
        """
        return list(self._held(slot))

    def _held(self, slot: int) -> list[int]:
        if slot not in self._slots:
            raise ValueError(f"slot {slot} is not open")
        return self._slots[slot]

    def sync(self) -> None:
        """Take over the model's current weights; what vLLM has cached is of the old ones and is dropped.

        Raises:
            RuntimeError: vLLM keeps its cache, because requests of somebody else's are running.
        """
        self._write()
        self._llm.collective_rpc("reload_weights")
        if self._llm.reset_prefix_cache() is False:
            raise RuntimeError("vLLM did not drop the keys of the old weights: is somebody else sampling from it?")

    def generate(self, requests: Sequence[GenRequest], params: SamplingParams) -> list[GenResult]:
        """Append each request's tokens to its slot and sample until a stop.

        Raises:
            ValueError: See :meth:`~thinkact.policies.generation.Sampler.generate`; also on a `top_p` below 1, under
                which vLLM tells other log-probabilities.
            RuntimeError: vLLM answers something that is not documented.
        """
        self._check(requests, params)
        results = [GenResult([], [], "context") for _ in requests]
        asked = []
        for at, request in enumerate(requests):
            held = self._slots[request.slot]
            if len(held) + len(request.new_tokens) < self.max_len:
                held += request.new_tokens
                asked.append(at)
        if not asked:
            return results
        answers = self._llm.generate(
            [self._vllm.TokensPrompt(prompt_token_ids=list(self._slots[requests[at].slot])) for at in asked],
            [self._asked(requests[at], requests[at].params or params) for at in asked],
            use_tqdm=False,
        )
        for at, answer in zip(asked, answers, strict=True):
            held, own = self._slots[requests[at].slot], requests[at].params or params
            results[at] = result = _read(answer, own)
            if result.stop == "length" and len(held) + len(result.tokens) >= self.max_len:
                result.stop = "context"
            self.prefilled_tokens += len(held) - (answer.num_cached_tokens or 0)
            self.generated_tokens += len(result.tokens)
            held += result.tokens
        return results

    def _check(self, requests: Sequence[GenRequest], params: SamplingParams) -> None:
        if len({request.slot for request in requests}) != len(requests):
            raise ValueError("a slot may appear once per call")
        for request in requests:
            if not self._held(request.slot) and not request.new_tokens:
                raise ValueError(f"slot {request.slot} is empty and the request brings no tokens")
            if request.new_tokens and not (0 <= min(request.new_tokens) and max(request.new_tokens) < self.vocabulary):
                raise ValueError(f"slot {request.slot}: token ids must lie in [0, {self.vocabulary})")
            if (request.params or params).top_p < 1:
                raise ValueError("with vLLM top_p must be 1: its log-probabilities are those of the nucleus otherwise")

    def _asked(self, request: GenRequest, params: SamplingParams) -> Any:
        room = self.max_len - len(self._slots[request.slot])
        # Its own draws for every part of a turn: the first ones again would repeat the part before.
        seed = np.random.SeedSequence((request.seed % 2**64, request.drawn)).generate_state(1, np.uint64)[0]
        return self._vllm.SamplingParams(
            temperature=params.temperature,
            max_tokens=min(params.max_new_tokens, room),
            stop_token_ids=list(params.stop_ids),
            ignore_eos=True,  # `stop_ids` alone end a turn
            logprobs=params.top_logprobs,  # besides the sampled token's own, which is always told
            seed=int(seed >> np.uint64(1)),
            detokenize=False,
        )


def _read(answer: Any, params: SamplingParams) -> GenResult:
    """Read a ``RequestOutput`` with its one ``CompletionOutput``.

    Raises:
        RuntimeError: It is not finished by a stop id or the length, or brings no log-probability for a token.
    """
    (completion,) = answer.outputs
    tokens = [int(token) for token in completion.token_ids]
    if completion.finish_reason not in ("stop", "length") or not tokens:
        raise RuntimeError(f"vLLM ended a request with {completion.finish_reason!r} after {len(tokens)} tokens")
    if (completion.finish_reason == "stop") != (tokens[-1] in params.stop_ids):
        raise RuntimeError(f"vLLM says {completion.finish_reason!r} where the last of its tokens is {tokens[-1]}")
    places = completion.logprobs or ()
    if len(places) != len(tokens) or any(token not in place for token, place in zip(tokens, places, strict=True)):
        raise RuntimeError("vLLM told no log-probabilities of what it sampled")
    top = [
        [(int(token), each.logprob) for token, each in sorted(place.items(), key=lambda item: -item[1].logprob)]
        for place in places
    ]
    return GenResult(
        tokens,
        [float(place[token].logprob) for token, place in zip(tokens, places, strict=True)],
        completion.finish_reason,
        [likeliest[: params.top_logprobs] for likeliest in top],
    )
