"""``HFPolicy``: a Hugging Face causal language model that plays many episodes at once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from thinkact.envs import Action, Conversation
from thinkact.policies.codec import split_thought
from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.episode import Turn
from thinkact.policies.models import LoadedModel, load_model
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import codec_for


@dataclass
class _Live:
    slot: int
    closed: bool


class HFPolicy:
    """Think-act loops on a causal language model, batched, with the KV cache kept across turns.

    Args:
        model: A model already loaded, or what :func:`~thinkact.policies.models.load_model` takes:
            ``"smollm2-135m"``, a Hugging Face id or a folder.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: Budget of one turn, thought and action together.
        max_slots: Episodes in flight at once.
        max_len: Tokens of one episode; an episode that outgrows it is cut.
        dtype: Of inference; the trainer's weights stay as they are.
        codec: How conversations are framed; see :func:`~thinkact.policies.templates.codec_for`.
        name: Name in episodes and on the leaderboard; by default the model's.

    Raises:
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
        codec: Literal["auto", "chatml", "template"] = "auto",
        name: str | None = None,
    ) -> None:
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
        requests = []
        for conversation in conversations:
            live = self._live.get(conversation.id)
            if live is None:
                live = self._live[conversation.id] = _Live(self.engine.open(), True)
                history = self._resumed.pop(conversation.id, None)
                prompt = self._so_far(conversation) if history is None else self._after(history, conversation)
            else:
                prompt = self.codec.observation(conversation.messages[-1].content, turn_closed=live.closed)
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
        for conversation, request, result in zip(conversations, requests, results, strict=True):
            self._live[conversation.id].closed = result.tokens[-1:] == [self.codec.end_id]
            thought, text = split_thought(self.codec.decode(result.tokens))
            actions.append(
                Action(
                    text=text,
                    thought=thought,
                    # Where there was no room to sample, the engine took in nothing either.
                    prompt_ids=list(request.new_tokens) if result.tokens else [],
                    token_ids=list(result.tokens),
                    logprobs=list(result.logprobs),
                    stop=result.stop,
                    seconds=seconds,
                )
            )
        return actions

    def resume(self, conversation_id: str, turns: Sequence[Turn]) -> None:
        """Let a conversation begin with turns that this policy sampled: the very tokens, thoughts included."""
        if all(turn.token_ids for turn in turns):
            self._resumed[conversation_id] = turns

    def _after(self, turns: Sequence[Turn], conversation: Conversation) -> list[int]:
        if not turns:
            return self._so_far(conversation)
        ids = [i for turn in turns for i in (*turn.prompt_ids, *turn.token_ids)]
        return ids + self.codec.observation(conversation.messages[-1].content, turn_closed=turns[-1].stop == "stop")

    def _so_far(self, conversation: Conversation) -> list[int]:
        """Encode a conversation from its start, also one that others began."""
        first, *rest = conversation.messages
        ids = self.codec.opening(conversation.tools, first.content)
        for message in rest:
            if message.role == "assistant":
                ids += self.codec.action(message.content)
            else:
                ids += self.codec.observation(message.content, turn_closed=True)
        return ids

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
