"""``HFPolicy``: a Hugging Face causal language model that plays many episodes at once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from thinkact.envs import Action, Conversation
from thinkact.policies.codec import split_thought
from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.episode import Turn
from thinkact.policies.models import LoadedModel, load_model
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import codec_for

#: Of the context, what a shortened history may take: shortening at every turn would compute it anew at every turn.
_SHORTENED = 0.6
#: Characters; a result that is no longer than the note in its place stays.
_NOTE = 30


@dataclass
class _Live:
    """An episode in flight.

    Attributes:
        slot: Its slot in the engine.
        said: Ids of each of its actions, and whether the model ended them itself.
        dropped: Which results its context shows no more, counted from 0.
        first: The first turn that its context shows at all.
    """

    slot: int
    said: list[tuple[list[int], bool]] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    first: int = 0


class HFPolicy:
    """Think-act loops on a causal language model, batched, with the KV cache kept across turns.

    Args:
        model: A model already loaded, or what :func:`~thinkact.policies.models.load_model` takes:
            ``"smollm2-135m"``, a Hugging Face id or a folder.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: Budget of one turn, thought and action together.
        max_slots: Episodes in flight at once.
        max_len: Tokens of one episode's context.
        history: What happens to an episode that outgrows it: ``"cut"`` ends it; ``"drop"`` goes on in a context
            that opens anew without the oldest tool results (a note stands in their place) and, where that is not
            enough, without the oldest turns.
        dtype: Of inference; the trainer's weights stay as they are.
        codec: How conversations are framed; see :func:`~thinkact.policies.templates.codec_for`.
        name: Name in episodes and on the leaderboard; by default the model's.

    Raises:
        ValueError: On an unknown ``history``.
        TemplateRefused: The model's chat template cannot be rendered turn by turn; the message says where it parts.
    """

    def __init__(
        self,
        model: str | LoadedModel,
        *,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        max_slots: int = 64,
        max_len: int = 1024,
        dtype: torch.dtype = torch.bfloat16,
        history: Literal["cut", "drop"] = "cut",
        codec: Literal["auto", "chatml", "template"] = "auto",
        name: str | None = None,
    ) -> None:
        if history not in ("cut", "drop"):
            raise ValueError(f"history must be 'cut' or 'drop', not {history!r}.")
        self.history = history
        self.loaded = load_model(model) if isinstance(model, str) else model
        self.codec = codec_for(self.loaded.tokenizer, codec)
        self.name = name or self.loaded.name
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.max_slots = max_slots
        self.engine = Engine(self.loaded.model, max_slots=max_slots, max_len=max_len, dtype=dtype)
        self._live: dict[str, _Live] = {}
        self._resumed: dict[str, Sequence[Turn]] = {}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one action for each conversation.

        Raises:
            EngineFull: When more than ``max_slots`` episodes are live.
        """
        start = time.perf_counter()
        requests, restarts = [], []
        for conversation in conversations:
            live = self._live.get(conversation.id)
            if live is None:
                live = self._live[conversation.id] = _Live(self.engine.open())
                turns = self._resumed.pop(conversation.id, None)
                prompt = self._so_far(conversation, live) if turns is None else self._after(turns, conversation, live)
            else:
                prompt = self.codec.observation(conversation.messages[-1].content, turn_closed=live.said[-1][1])
            shorter = self._shortened(conversation, live, len(prompt))
            if shorter is not None:
                self.engine.close(live.slot)
                live.slot, prompt = self.engine.open(), shorter
            restarts.append(shorter is not None)
            turn = len(conversation.messages) // 2
            requests.append(GenRequest(live.slot, prompt, seed=_seed(conversation.seed, turn)))
        params = SamplingParams(
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            stop_ids=self.codec.stop_ids,
        )
        results = self.engine.generate(requests, params)
        seconds = (time.perf_counter() - start) / max(1, len(conversations))
        actions = []
        for conversation, request, result, restart in zip(conversations, requests, results, restarts, strict=True):
            self._live[conversation.id].said.append((result.tokens, result.tokens[-1:] == [self.codec.end_id]))
            thought, text = split_thought(self.codec.decode(result.tokens))
            actions.append(
                Action(
                    text=text,
                    thought=thought,
                    # Where there was no room to sample, the engine took in nothing either.
                    prompt_ids=list(request.new_tokens) if result.tokens else [],
                    token_ids=list(result.tokens),
                    logprobs=list(result.logprobs),
                    restart=restart and bool(result.tokens),
                    stop=result.stop,
                    seconds=seconds,
                )
            )
        return actions

    def resume(self, conversation_id: str, turns: Sequence[Turn]) -> None:
        """Let a conversation begin with turns that this policy sampled: the very tokens, thoughts included."""
        if all(turn.token_ids for turn in turns):
            self._resumed[conversation_id] = turns

    def _after(self, turns: Sequence[Turn], conversation: Conversation, live: _Live) -> list[int]:
        if not turns:
            return self._so_far(conversation, live)
        live.said = [(turn.token_ids, turn.token_ids[-1:] == [self.codec.end_id]) for turn in turns]
        first = max((at for at, turn in enumerate(turns) if turn.restart), default=0)
        ids = [i for turn in turns[first:] for i in (*turn.prompt_ids, *turn.token_ids)]
        return ids + self.codec.observation(conversation.messages[-1].content, turn_closed=live.said[-1][1])

    def _so_far(self, conversation: Conversation, live: _Live) -> list[int]:
        """Encode a conversation from its start, also one that others began."""
        live.said = [(self.codec.action(m.content), True) for m in conversation.messages if m.role == "assistant"]
        return self._written(conversation, live)

    def _written(self, conversation: Conversation, live: _Live) -> list[int]:
        """Encode a conversation with the very ids that were sampled, and notes where results were dropped."""
        ids = self.codec.opening(conversation.tools, conversation.messages[0].content)
        for at, (said, closed) in list(enumerate(live.said))[live.first :]:
            text = conversation.messages[2 * at + 2].content
            if at in live.dropped:
                text = f"[{len(text)} characters dropped]"
            ids += said
            ids += self.codec.observation(text, turn_closed=closed)
        return ids

    def _shortened(self, conversation: Conversation, live: _Live, coming: int) -> list[int] | None:
        """Return a context without the oldest results, if this one is full and that helps."""
        if self.history == "cut":
            return None
        limit = self.engine.max_len - self.max_new_tokens
        if len(self.engine.tokens(live.slot)) + coming <= limit:
            return None
        last = len(live.said) - 1  # its result was not acted on yet: it stays
        for at in range(live.first, last):
            if at not in live.dropped and len(conversation.messages[2 * at + 2].content) > _NOTE:
                live.dropped.add(at)
                ids = self._written(conversation, live)
                if len(ids) <= _SHORTENED * self.engine.max_len:
                    return ids
        ids = self._written(conversation, live)
        while len(ids) > _SHORTENED * self.engine.max_len and live.first < last:
            live.first += 1
            ids = self._written(conversation, live)
        return ids if len(ids) <= limit else None

    def release(self, conversation_id: str) -> None:
        """Free the episode's slot."""
        self._resumed.pop(conversation_id, None)
        live = self._live.pop(conversation_id, None)
        if live is not None:
            self.engine.close(live.slot)

    def sync(self) -> None:
        """Take over the trainer's weights. Call it after every update, with no episode live.

        Raises:
            RuntimeError: When episodes are live: their caches belong to the old weights.
        """
        if self._live:
            raise RuntimeError(f"{len(self._live)} episodes are live; finish them before sync().")
        self.engine.sync()


def _seed(*parts: int) -> int:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
