"""A turn while it is being written: its budgets, and what is put into it that the model did not choose.

A thought that has used up its budget is closed by force, and the model goes on with its action (the budget forcing of
s1, arXiv 2501.19393, section 3.1). The tokens that close it are context: no log-probability, nothing to train on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from thinkact.policies.codec import in_thought
from thinkact.policies.generation import GenRequest, GenResult, Sampler
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import Codec


@dataclass
class Writing:
    """One turn in one slot of an engine; what it becomes does not depend on the parts it is sampled in.

    Attributes:
        slot: Of the engine.
        prompt: Ids that the slot has not seen yet.
        params: Of sampling; ``max_new_tokens`` counts what the model chooses.
        codec: Says what ends a thought.
        seed: Of the turn's draws.
        thought: Tokens of the thought, after which it is closed.
        opening: Ids that the turn is made to begin with.
        tokens: Written so far, forced ones among them.
        logprobs: Of each; 0 of a forced one.
        forced: Their positions in ``tokens``.
        top: For each the likeliest ones of its place, where ``params`` ask for them; none for a forced one.
        stop: Why it ended; empty while it has not.
    """

    slot: int
    prompt: list[int]
    params: SamplingParams
    codec: Codec
    seed: int = 0
    thought: int | None = None
    opening: Sequence[int] = ()
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    top: list[list[tuple[int, float]]] = field(default_factory=list)
    stop: str = ""

    def __post_init__(self) -> None:
        """Begin before the first token."""
        self._unseen = [*self.prompt, *self.opening]
        self._forcing = list(self.opening)  # of what the slot has not seen, the part that belongs to the turn
        if self.thought is not None and self.thought >= self.params.max_new_tokens:
            self.thought = None

    @property
    def chosen(self) -> int:
        """How many tokens the model chose."""
        return len(self.tokens) - len(self.forced)

    def request(self, most: int | None = None) -> GenRequest:
        """Return what is to be sampled next, no more than ``most`` tokens."""
        left = (self.params.max_new_tokens if self.thought is None else self.thought) - self.chosen
        params = replace(self.params, max_new_tokens=left if most is None else min(left, most))
        return GenRequest(self.slot, self._unseen, self.seed, params, drawn=self.chosen)

    def take(self, result: GenResult) -> None:
        """Add what was sampled, and close the thought if that is due."""
        if not result.tokens:
            self.stop = result.stop
            return
        self.forced += range(len(self.tokens), len(self.tokens) + len(self._forcing))
        self.tokens += [*self._forcing, *result.tokens]
        self.logprobs += [*([0.0] * len(self._forcing)), *result.logprobs]
        self.top += [*([] for _ in self._forcing), *result.top]
        self._unseen, self._forcing = [], []
        if result.stop != "length" or self.chosen >= self.params.max_new_tokens:
            self.stop = result.stop
        elif self.thought is not None and self.chosen >= self.thought:
            self.thought = None
            if in_thought(self.codec.decode(self.tokens)):
                self._unseen = self._forcing = self.codec.thought_end

    def cut(self) -> None:
        """Take the last token back."""
        for each in (self.tokens, self.logprobs, self.top):
            each.pop()
        self.forced = [at for at in self.forced if at < len(self.tokens)]


def write(engine: Sampler, writings: Sequence[Writing]) -> None:
    """Sample turns to their ends, all in one batch."""
    while live := [each for each in writings if not each.stop]:
        results = engine.generate([each.request() for each in live], SamplingParams())
        for each, result in zip(live, results, strict=True):
            each.take(result)
