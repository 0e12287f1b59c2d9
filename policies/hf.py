"""``HFPolicy``: a Hugging Face causal language model that plays many episodes at once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from thinkact.envs import Action, Conversation, Summary
from thinkact.policies.budgets import Budgets, Effort
from thinkact.policies.codec import split_thought
from thinkact.policies.engine import Engine
from thinkact.policies.episode import Turn
from thinkact.policies.generation import Sampler
from thinkact.policies.history import History, Kind, Live
from thinkact.policies.models import LoadedModel, load_model
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import codec_for
from thinkact.policies.writing import Writing, write

SamplerName = Literal["hf", "vllm"]


@dataclass
class _Step:
    """One conversation on its way to its next action: what its slot has not seen, and what has become of that."""

    conversation: Conversation
    live: Live
    before: list[int]  # of the newest message
    newest: list[int]
    restart: bool
    summary: Summary | None = None

    @property
    def prompt(self) -> list[int]:
        return self.before + self.newest


class HFPolicy:
    """Think-act loops on a causal language model, batched, with the KV cache kept across turns.

    Args:
        model: A model already loaded, or what :func:`~thinkact.policies.models.load_model` takes:
            ``"smollm2-135m"``, a Hugging Face id or a folder.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: Budget of one turn, thought and action together.
        max_thought_tokens: Budget of the thought of one turn. One that is not closed by then is closed by force; the
            tokens that do it are not sampled and not trained on (``Action.forced``).
        max_episode_tokens: Budget of all that is sampled in an episode. Once it is spent the episode is truncated.
        effort: ``"low"``, ``"medium"`` or ``"high"``, instead of ``max_thought_tokens``: 20, 50 or 80 % of
            ``max_new_tokens``.
        max_slots: Episodes in flight at once.
        max_len: Tokens of one episode's context.
        max_kv_bytes: Of keys and values; see :class:`~thinkact.policies.engine.Engine`. None for what is needed.
        history: What happens to an episode that outgrows it: ``"cut"`` ends it; ``"drop"`` goes on in a context
            that opens anew without the oldest tool results (a note stands in their place) and, where that is not
            enough, without the oldest turns; ``"summarize"`` asks the model for a summary
            (:data:`~thinkact.policies.history.SUMMARY_REQUEST`) and goes on with the task, the summary and the newest
            result. The summary is sampled and trained on like an action, and shares the advantage of the turn after it.
        budget: Tokens of context from which the history is shortened, if that is to be before ``max_len``.
        max_summary_tokens: Budget of one summary; by default ``max_new_tokens``.
        dtype: Of inference; the trainer's weights stay as they are.
        sampler: ``"hf"``, our own engine, or ``"vllm"``, which wants a GPU and the extra of that name; see
            :class:`~thinkact.policies.vllm_engine.VLLMEngine`.
        vllm_memory: Share of the GPU's memory that vLLM takes.
        codec: How conversations are framed; see :func:`~thinkact.policies.templates.codec_for`.
        name: Name in episodes and on the leaderboard; by default the model's.

    Raises:
        ValueError: On an unknown ``history``, ``effort`` or ``sampler``, or options that do not go together.
        VLLMMissing: vLLM is asked for and not installed, or there is no GPU.
        TemplateRefused: The model's chat template cannot be rendered turn by turn; the message says where it parts.
    """

    def __init__(
        self,
        model: str | LoadedModel,
        *,
        temperature: float = 1.0,
        max_new_tokens: int = 64,
        max_thought_tokens: int | None = None,
        max_episode_tokens: int | None = None,
        effort: Effort | None = None,
        max_slots: int = 64,
        max_len: int = 1024,
        max_kv_bytes: int | None = None,
        dtype: torch.dtype = torch.bfloat16,
        history: Kind = "cut",
        budget: int | None = None,
        max_summary_tokens: int | None = None,
        codec: Literal["auto", "chatml", "template"] = "auto",
        sampler: SamplerName = "hf",
        vllm_memory: float | None = None,
        name: str | None = None,
    ) -> None:
        self.budgets = Budgets.of(max_new_tokens, thought=max_thought_tokens, episode=max_episode_tokens, effort=effort)
        self._made: dict[str, Any] = {
            "max_len": max_len,
            "max_kv_bytes": max_kv_bytes,
            "dtype": dtype,
            "budget": budget,
            "codec": codec,
            "sampler": sampler,
            "vllm_memory": vllm_memory,
        }
        if budget is not None and history == "cut":
            raise ValueError("budget says when a history is shortened: give history='drop' or 'summarize' with it.")
        self.loaded = load_model(model) if isinstance(model, str) else model
        self.codec = codec_for(self.loaded.tokenizer, codec)
        self.name = name or self.loaded.name
        self.temperature = temperature
        self.max_slots = max_slots
        self.engine: Sampler
        if sampler == "vllm":
            from thinkact.policies.vllm_engine import VLLMEngine

            if max_kv_bytes is not None:
                raise ValueError("vLLM has its own keys and values: give vllm_memory instead of max_kv_bytes.")
            share = {} if vllm_memory is None else {"memory": vllm_memory}
            self.engine = VLLMEngine(self.loaded.model, max_slots=max_slots, max_len=max_len, dtype=dtype, **share)
        elif sampler != "hf":
            raise ValueError(f"sampler must be 'hf' or 'vllm', not {sampler!r}.")
        elif vllm_memory is not None:
            raise ValueError("vllm_memory is used with sampler='vllm' only.")
        else:
            self.engine = Engine(
                self.loaded.model, max_slots=max_slots, max_len=max_len, dtype=dtype, max_kv_bytes=max_kv_bytes
            )
        self.max_summary_tokens = max_summary_tokens or max_new_tokens
        forced = 0 if self.budgets.thought is None else len(self.codec.thought_end)
        self.history = History(
            self.codec,
            history,
            limit=min(budget or max_len, self.engine.max_len),
            turn=max_new_tokens + forced,
            summary=self.max_summary_tokens,
        )
        self._live: dict[str, Live] = {}
        self._resumed: dict[str, Sequence[Turn]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as it would be made anew: the model and the options, no episodes, no keys and values."""
        options: dict[str, Any] = {
            "temperature": self.temperature,
            "max_new_tokens": self.budgets.turn,
            "max_thought_tokens": self.budgets.thought,
            "max_episode_tokens": self.budgets.episode,
            "max_slots": self.max_slots,
            "history": self.history.kind,
            "max_summary_tokens": self.max_summary_tokens,
            "name": self.name,
        }
        return partial(type(self), self.loaded, **options, **self._made), ()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Sample one action for each conversation.

        Raises:
            EngineFull: When more than ``max_slots`` episodes are live.
        """
        start = time.perf_counter()
        steps = [self._step(conversation) for conversation in conversations]
        if self.history.kind == "summarize":
            self._summarize(steps)
        elif self.history.kind == "drop":
            self._drop(steps)
        writings = {}
        for at, step in enumerate(steps):
            if (left := self._left(step.live)) > 0:
                writings[at] = self._writing(step, step.prompt, min(left, self.budgets.turn))
        write(self.engine, list(writings.values()))
        seconds = (time.perf_counter() - start) / max(1, len(conversations))
        return [self._action(step, writings.get(at), seconds) for at, step in enumerate(steps)]

    def _step(self, conversation: Conversation) -> _Step:
        live = self._live.get(conversation.id)
        if live is not None:
            return _Step(conversation, live, [], self.history.newest(conversation, live), restart=False)
        live = self._live[conversation.id] = Live(self.engine.open())
        turns = self._resumed.pop(conversation.id, None)
        before, newest = self.history.opened(conversation, live, turns)
        return _Step(conversation, live, before, newest, restart=bool(turns))

    def _used(self, step: _Step) -> int:
        return len(self.engine.tokens(step.live.slot)) + len(step.prompt)

    def _left(self, live: Live) -> int:
        """Return how many tokens the model may still choose in an episode; without a budget, those of a turn."""
        return self.budgets.turn if self.budgets.episode is None else self.budgets.episode - live.chosen

    def _writing(self, step: _Step, prompt: list[int], most: int, *, summary: bool = False) -> Writing:
        params = SamplingParams(temperature=self.temperature, max_new_tokens=most, stop_ids=self.codec.stop_ids)
        seed = _seed(step.conversation.seed, len(step.conversation.messages) // 2, *(["summary"] if summary else []))
        # A summary leads to no call, so all of it would pass for a thought.
        thought = None if summary else self.budgets.thought
        return Writing(step.live.slot, prompt, params, self.codec, seed, thought)

    def _begin_anew(self, step: _Step, ids: list[int]) -> None:
        self.engine.close(step.live.slot)
        step.live.slot = self.engine.open()
        step.before, step.newest, step.restart = [], ids, True

    def _drop(self, steps: Sequence[_Step]) -> None:
        """Begin the full contexts anew without their oldest results."""
        for step in steps:
            shorter = self.history.dropped(step.conversation, step.live, self._used(step))
            if shorter is not None:
                self._begin_anew(step, shorter)

    def _summarize(self, steps: Sequence[_Step]) -> None:
        """Have the summaries written that are due, and begin those contexts anew."""
        asked: list[tuple[_Step, Writing]] = []
        for step in steps:
            request = self.history.request(step.conversation, step.live, self._used(step))
            most = self.max_summary_tokens
            # A summary that left nothing for an action would be no use.
            if request is not None and (self.budgets.episode is None or self._left(step.live) > most):
                writing = self._writing(step, step.before + request, most, summary=True)
                asked.append((step, writing))
        write(self.engine, [writing for _, writing in asked])
        for step, writing in asked:
            thought, text = split_thought(self.codec.decode(writing.tokens))
            step.summary = Summary(
                text="\n".join(part for part in (thought, text) if part),
                prompt_ids=writing.prompt,
                token_ids=writing.tokens,
                logprobs=writing.logprobs,
            )
            step.live.chosen += writing.chosen
            self._begin_anew(step, self.history.restarted(step.conversation, writing.tokens))

    def _action(self, step: _Step, writing: Writing | None, seconds: float) -> Action:
        if writing is None:
            return Action(text="", stop="budget", seconds=seconds)
        tokens = writing.tokens
        self.history.say(step.live, tokens, writing.chosen)
        thought, text = split_thought(self.codec.decode(tokens))
        return Action(
            text=text,
            thought=thought,
            # Where there was no room to sample, the engine took in nothing either.
            prompt_ids=writing.prompt if tokens else [],
            token_ids=tokens,
            logprobs=writing.logprobs,
            restart=step.restart and bool(tokens),
            forced=writing.forced,
            summary=step.summary,
            stop=writing.stop,
            seconds=seconds,
        )

    def resume(self, conversation_id: str, turns: Sequence[Turn]) -> None:
        """Let a conversation begin with turns that this policy sampled: the very tokens, thoughts included."""
        if all(turn.token_ids for turn in turns):
            self._resumed[conversation_id] = turns

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

    def rest(self) -> None:
        """Free the engine's copy of the weights until :meth:`sync`: the trainer learns meanwhile, and wants the memory.

        An engine of another maker than ours keeps what it has.
        """
        if isinstance(self.engine, Engine):
            self.engine.rest()


def _seed(*parts: int | str) -> int:
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
