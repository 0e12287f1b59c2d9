"""Our engine as an OpenAI-compatible endpoint, so that any harness can drive a model that was trained here.

Requests are decoded together, a few tokens at a time; one that arrives meanwhile joins the next round. A conversation's
next request opens with what the engine has seen: its keys and values are still there, so only the new messages are
computed, although the protocol repeats everything. What the model sampled is remembered as ids under the messages that
led to it: the next request's history is made of those ids and not of their text read anew.

The HTTP side is :mod:`thinkact.policies.serving_http`.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from thinkact.policies.budgets import EFFORTS
from thinkact.policies.chat_requests import BadRequest, ChatRequest, digest
from thinkact.policies.engine import Engine
from thinkact.policies.history import SUMMARY_REQUEST
from thinkact.policies.models import LoadedModel
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.templates import codec_for
from thinkact.policies.token_bytes import TokenBytes
from thinkact.policies.tool_choice import call_opening
from thinkact.policies.writing import Writing

#: After the first request, wait this long (seconds) for others.
_LINGER_S = 0.005
#: Tokens of one round: then newcomers join, stop strings are looked for, and streams are fed.
_ROUND = 16
_REMEMBERED = 4096


class Busy(RuntimeError):
    """Too many requests wait already."""


@dataclass
class Job:
    """One answer on its way.

    Attributes:
        ids: The conversation so far.
        params: Of sampling.
        seed: Of its draws.
        thought: Tokens of its thought, after which it is closed.
        opening: Ids that it is made to begin with.
        stops: Strings before which it ends.
        say: Called with each further piece of its text, from the thread that computes.
        done: Resolved with the finished writing.
        text: So far.
        said: How many characters of that ``say`` was told.
        gone: Nobody waits for it any more.
    """

    ids: list[int]
    params: SamplingParams
    seed: int
    thought: int | None = None
    opening: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()
    say: Callable[[str], None] | None = None
    done: Future[Writing] = field(default_factory=Future)
    text: str = ""
    said: int = 0
    gone: bool = False


@dataclass(frozen=True)
class Read:
    """A request as ids.

    Attributes:
        key: Of the conversation so far.
        ids: All of it.
        opening: Ids of its first message.
        newest: How many ids the newest message has.
        closed: Whether the turn before that was ended by the model itself.
    """

    key: str
    ids: list[int]
    opening: list[int]
    newest: int
    closed: bool


class ChatEngine:
    """Answers chat requests with one model, all in one batch. Use as a context manager.

    Args:
        loaded: The model.
        max_slots: Requests decoded at once.
        kept: Further conversations whose keys and values are kept for their next request; the one that was quiet
            longest goes first.
        max_len: Tokens of one conversation.
        max_tokens: Of one answer, where the request does not say.
        max_kv_bytes: Of keys and values; see :class:`~thinkact.policies.engine.Engine`. None for what is needed.
        dtype: Of inference.
        waiting: Requests that may wait; more are refused.
        codec: See :func:`~thinkact.policies.templates.codec_for`.
        history: What becomes of a conversation that outgrows ``max_len``: ``"cut"`` refuses it
            (``context_length_exceeded``); ``"summarize"`` has the model sum it up, and goes on with the first message,
            the summary and the newest message. Clients go on to send the whole conversation.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_slots: int = 32,
        kept: int = 32,
        max_len: int = 4096,
        max_tokens: int = 256,
        max_kv_bytes: int | None = None,
        dtype: torch.dtype = torch.bfloat16,
        waiting: int = 512,
        codec: Literal["auto", "chatml", "template"] = "auto",
        history: Literal["cut", "summarize"] = "cut",
    ) -> None:
        self.name = loaded.name
        self.codec = codec_for(loaded.tokenizer, codec)
        self.token_bytes = TokenBytes(loaded.tokenizer)
        self.engine = Engine(
            loaded.model, max_slots=max_slots + kept, max_len=max_len, dtype=dtype, max_kv_bytes=max_kv_bytes
        )
        self.max_slots, self.max_tokens, self.history = max_slots, max_tokens, history
        self._quiet: OrderedDict[int, None] = OrderedDict()  # slots of conversations that may go on, oldest first
        self._jobs: queue.Queue[Job | None] = queue.Queue(waiting)
        #: By the key of a conversation: what the model said there, and a context that began anew.
        self._sampled: OrderedDict[str, list[int]] = OrderedDict()
        self._anew: OrderedDict[str, list[int]] = OrderedDict()
        self._guard = threading.Lock()
        self._rng = np.random.default_rng()
        self._thread = threading.Thread(target=self._work, name="chat-engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> ChatEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer what waits, then end. Idempotent."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests that nobody has begun with."""
        return self._jobs.qsize()

    # A request as ids.

    def read(self, request: ChatRequest) -> Read:
        """Return a request's conversation as ids.

        Raises:
            BadRequest: The messages make no conversation.
        """
        said = list(request.messages)
        system = "\n".join(each.text for each in said if each.role in ("system", "developer"))
        said = [each for each in said if each.role not in ("system", "developer")]
        if not said or said[0].role != "user":
            raise BadRequest("the first message, after the system's, must be a user's.", param="messages")
        tools = request.shown_tools
        try:
            names = [tool["function"]["name"] for tool in tools]
        except (KeyError, TypeError):
            raise BadRequest("a tool has no function with a name.", param="tools") from None
        key = digest("", json.dumps([system, tools, names], sort_keys=True))
        at, newest, closed = 0, 0, True
        ids: list[int] = []
        opening: list[int] = []
        while at < len(said):
            role, block = said[at].role, [said[at]]
            while at + len(block) < len(said) and role != "assistant" and said[at + len(block)].role == role:
                block.append(said[at + len(block)])
            text = "\n".join(each.text for each in block)
            key = digest(key, json.dumps([role, *([each.plain() for each in block])]))
            if at == 0:
                ids = opening = self.codec.opening(tools, text, system=system)
                newest = len(ids)
            elif role == "assistant":
                if at + len(block) == len(said):
                    raise BadRequest(
                        "the last message is the assistant's: there is nothing to answer.", param="messages"
                    )
                ids = ids + (self._known(self._sampled, key) or self.codec.action(block[0].written()))
            else:
                closed = ids[-1] == self.codec.end_id
                tool = role == "tool" or not closed
                new = self.codec.observation(text, turn_closed=closed) if tool else self.codec.user(text)
                ids, newest = self._known(self._anew, key) or ids + new, len(new)
            at += len(block)
        return Read(key, ids, opening, newest, closed)

    def _known(self, memory: OrderedDict[str, list[int]], key: str) -> list[int] | None:
        with self._guard:
            found = memory.get(key)
            if found is not None:
                memory.move_to_end(key)
        return found

    def remember(self, key: str, ids: list[int], *, anew: bool = False) -> None:
        """Keep what the model said in a conversation, or (``anew``) the context that it goes on with."""
        memory = self._anew if anew else self._sampled
        with self._guard:
            memory[key] = ids
            while len(memory) > _REMEMBERED:
                memory.popitem(last=False)

    # Answers.

    def limit(self, request: ChatRequest) -> int:
        """Return how many tokens an answer may have."""
        return request.max_completion_tokens or request.max_tokens or self.max_tokens

    def jobs(self, request: ChatRequest, ids: list[int]) -> list[Job]:
        """Return the answers that are to be sampled.

        Raises:
            BadRequest: There is no room for an answer, or there are to be too many.
        """
        opening = call_opening(self.codec, request.called)
        room = self.engine.max_len - len(ids) - len(opening)
        if room < 1:
            raise BadRequest(
                f"{len(ids)} tokens, and the maximum context length is {self.engine.max_len}.",
                "context_length_exceeded",
                "messages",
            )
        if request.n > self.max_slots:
            raise BadRequest(f"n must be at most {self.max_slots} here.", param="n")
        most = min(self.limit(request), room)
        params = SamplingParams(request.temperature, request.top_p, most, self.codec.stop_ids, request.top_logprobs)
        thought = (
            None
            if opening or request.reasoning_effort is None
            else max(1, int(EFFORTS[request.reasoning_effort] * most))
        )
        first = int(self._rng.integers(2**63)) if request.seed is None else request.seed
        seeds = [first, *(int(digest(str(first), str(at))[:15], 16) for at in range(1, request.n))]
        return [Job(list(ids), params, seed, thought, opening, tuple(request.stop)) for seed in seeds]

    def summary_job(self, request: ChatRequest, read: Read) -> Job | None:
        """Return the summary that has to be written first, if the conversation is full and that helps."""
        ask = [*([] if read.closed else [self.codec.end_id]), *self.codec.user(SUMMARY_REQUEST)]
        most, limit = self.max_tokens, min(self.limit(request), self.max_tokens)
        before = read.ids[: -read.newest]
        if self.history != "summarize" or not before or len(read.ids) + limit + len(ask) + most < self.engine.max_len:
            return None
        fits = len(before) + len(ask) + most <= self.engine.max_len
        helps = len(read.opening) + most + read.newest + limit < min(self.engine.max_len, len(read.ids) + limit)
        if not fits or not helps:
            return None
        params = SamplingParams(request.temperature, request.top_p, most, self.codec.stop_ids)
        seed = int(digest(read.key, str(request.seed))[:15], 16)
        return Job(before + ask, params, seed)

    def begin_anew(self, read: Read, summary: list[int]) -> list[int]:
        """Return, and remember, the context that begins anew: first message, summary, newest message."""
        newest = read.ids[-read.newest :]
        if not read.closed:
            newest = newest[1:]  # what closes the turn before: the summary has an end of its own
        closed = summary[-1:] == [self.codec.end_id]
        ids = [*read.opening, *summary, *([] if closed else [self.codec.end_id]), *newest]
        self.remember(read.key, ids, anew=True)
        return ids

    def submit(self, jobs: list[Job]) -> None:
        """Have answers sampled.

        Raises:
            Busy: Too many requests wait already.
        """
        for at, job in enumerate(jobs):
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                for begun in jobs[:at]:
                    begun.gone = True
                raise Busy("too many requests wait; try again later.") from None

    # The one thread that computes.

    def _work(self) -> None:
        running: list[tuple[Job, Writing]] = []
        stopping = False
        while running or not stopping:
            new, ended = self._newcomers(self.max_slots - len(running), idle=not running and not stopping)
            stopping |= ended
            for job in new:
                if not job.gone and job.done.set_running_or_notify_cancel():
                    slot, known = self._seat(job.ids)
                    unseen = job.ids[known:]
                    writing = Writing(slot, unseen, job.params, self.codec, job.seed, job.thought, job.opening)
                    running.append((job, writing))
            running = self._round(running)

    def _newcomers(self, room: int, *, idle: bool) -> tuple[list[Job], bool]:
        """Return the jobs that join now, and whether this is the end."""
        found: list[Job] = []
        until: float | None = None
        while len(found) < room:
            try:
                if idle and until is None:
                    job = self._jobs.get()
                    until = time.monotonic() + _LINGER_S
                elif until is not None:
                    job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
                else:
                    job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return found, True
            found.append(job)
        return found, False

    def _round(self, running: list[tuple[Job, Writing]]) -> list[tuple[Job, Writing]]:
        """Sample a few tokens of every answer; return those that go on."""
        for job, writing in running:
            if job.gone:
                self.engine.close(writing.slot)
        running = [pair for pair in running if not pair[0].gone]
        if not running:
            return []
        try:
            requests = [writing.request(_ROUND) for _, writing in running]
            for (_, writing), result in zip(running, self.engine.generate(requests, SamplingParams()), strict=True):
                writing.take(result)
        except Exception as error:  # to those who asked; the next ones may do better
            for job, writing in running:
                self.engine.close(writing.slot)
                job.done.set_exception(error)
            return []
        going = []
        for job, writing in running:
            whole = self._hear(job, writing)
            if not writing.stop:
                going.append((job, writing))
                continue
            if whole:
                self._quiet[writing.slot] = None
            else:
                self.engine.close(writing.slot)
            job.done.set_result(writing)
        return going

    def _hear(self, job: Job, writing: Writing) -> bool:
        """Read what was written so far, and end it before a stop string; tell whether its slot holds no more."""
        job.text = self.codec.decode(writing.tokens)
        at = min((found for found in map(job.text.find, job.stops) if found >= 0), default=-1)
        if at >= 0:
            job.text, writing.stop = job.text[:at], "stop"
            while writing.tokens and len(self.codec.decode(writing.tokens[:-1])) > at:
                writing.cut()
        if job.say is not None:
            # What may still become a stop string, or a character of several tokens, is held back.
            held = 0 if writing.stop else max((len(stop) - 1 for stop in job.stops), default=0)
            end = len(job.text if writing.stop else job.text.rstrip("\ufffd")) - held
            if end > job.said:
                job.say(job.text[job.said : end])
                job.said = end
        return at < 0

    def _seat(self, ids: list[int]) -> tuple[int, int]:
        """Return a slot for a conversation, and how many of its ids the slot holds already."""
        best, known = -1, 0
        for slot in self._quiet:
            held = self.engine.tokens(slot)
            if known < len(held) < len(ids) and held == ids[: len(held)]:
                best, known = slot, len(held)
        if best >= 0:
            del self._quiet[best]
            return best, known
        if len(self._quiet) > self.engine.max_slots - self.max_slots:
            self.engine.close(self._quiet.popitem(last=False)[0])
        return self.engine.open(), 0
