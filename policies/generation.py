"""What is asked of an engine and what it answers; every engine of a policy speaks this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from thinkact.policies.sampling import SamplingParams

Stop = Literal["stop", "length", "context"]


@dataclass
class GenRequest:
    """`new_tokens` are appended to `slot`, then tokens are sampled with a generator seeded by `seed`.

    `params` are this request's own; None takes those of the call. `drawn` tokens were sampled with this seed before:
    a turn that is sampled in parts is what it would be in one go.
    """

    slot: int
    new_tokens: list[int]
    seed: int = 0
    params: SamplingParams | None = None
    drawn: int = 0


@dataclass
class GenResult:
    """What a request sampled.

    Attributes:
        tokens: The sampled ids, with the stop token if one was hit.
        logprobs: Log-probability of each under softmax(logits / temperature) over the whole vocabulary:
            `top_p` restricts what is drawn and does not renormalise this figure. For temperature 0 it is that
            of temperature 1. A trainer recomputes the same figure from logits at the same temperature.
        stop: "stop" (a stop id), "length" (`max_new_tokens`), or "context" (the slot is full).
        top: For each token the likeliest ones of its place with their log-probabilities, the likeliest first; as
            many as `params.top_logprobs`.
    """

    tokens: list[int]
    logprobs: list[float]
    stop: Stop
    top: list[list[tuple[int, float]]] = field(default_factory=list)


class EngineFull(RuntimeError):
    """Every slot is taken: close one, or build the engine with more `max_slots`."""


class Sampler(Protocol):
    """An engine: slots that hold an episode's tokens each, sampled from in batches.

    Attributes:
        max_len: Tokens per slot.
    """

    max_len: int

    def open(self) -> int:
        """Take a free slot.

        Raises:
            EngineFull: All are open.
        """
        ...

    def close(self, slot: int) -> None:
        """Free a slot."""
        ...

    def tokens(self, slot: int) -> list[int]:
        """All tokens of the slot so far, given and sampled."""
        ...

    def generate(self, requests: Sequence[GenRequest], params: SamplingParams) -> list[GenResult]:
        """Append each request's tokens to its slot and sample until a stop.

        A request whose tokens leave no room to sample gets an empty result with stop "context", and its slot stays as
        it was.

        Raises:
            ValueError: An unknown or closed slot, a slot named twice, an id outside the vocabulary, or nothing to
                continue from. Nothing was taken in then.
        """
        ...

    def sync(self) -> None:
        """Take over the model's current weights. Open slots keep their tokens."""
        ...
