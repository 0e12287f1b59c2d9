"""What a model sees of an episode: all of it, or, once that is too much, a shorter context that begins anew.

Either the oldest tool results are dropped, or the model is asked for a summary. Whatever the model wrote stays the ids
that it wrote, and every context is a sequence of its own for a trainer: no token is trained on twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from thinkact.envs import Conversation
from thinkact.policies.episode import Turn
from thinkact.policies.templates import Codec

Kind = Literal["cut", "drop", "summarize"]
KINDS: tuple[Kind, ...] = ("cut", "drop", "summarize")
#: What a model is asked for when its context is full. The newest result is not in it yet.
SUMMARY_REQUEST = (
    "Your context is full and will be cleared. Only the task, what you write now and the result of your last call, "
    "which you will be shown next, will stay. Write down what you have found out and done, and what is left to do. "
    "Make no tool call."
)
#: Of the budget, what a context may take once results were dropped: doing so at every turn would compute it anew each
#: time.
_SHORTENED = 0.6
#: Characters; a result that is no longer than the note in its place stays.
_NOTE = 30


@dataclass
class Live:
    """An episode in flight.

    Attributes:
        slot: Its slot in the engine.
        said: Ids of each of its actions, and whether the model ended them itself.
        dropped: Which results its context shows no more, counted from 0.
        first: The first turn that its context shows at all.
        chosen: Tokens that the model chose so far, in actions and summaries.
    """

    slot: int
    said: list[tuple[list[int], bool]] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    first: int = 0
    chosen: int = 0


class History:
    """Decides what a context holds.

    Args:
        codec: How conversations are framed.
        kind: ``cut``, ``drop`` or ``summarize``.
        limit: Tokens that a context may take, the turn that is written into it included.
        turn: Tokens of one turn, those that are put into it among them.
        summary: Tokens of one summary.

    Raises:
        ValueError: On an unknown kind, or a limit that a turn and a summary fill alone.
    """

    def __init__(self, codec: Codec, kind: Kind, *, limit: int, turn: int, summary: int) -> None:
        if kind not in KINDS:
            raise ValueError(f"history must be one of {', '.join(map(repr, KINDS))}, not {kind!r}.")
        self.codec, self.kind, self.limit, self.turn, self.summary = codec, kind, limit, turn, summary
        # Room that is kept, so that a summary can always be asked for and written; one id closes the turn before it.
        self._reserve = len(codec.user(SUMMARY_REQUEST)) + 1 + summary
        if kind == "summarize" and turn + self._reserve >= limit:
            raise ValueError(
                f"history='summarize' needs a context of more than {turn + self._reserve} tokens (a turn, the request "
                f"for a summary and the summary), not {limit}: raise budget or max_len."
            )

    # A conversation as ids: what came before its newest message, and that.

    def opened(
        self, conversation: Conversation, live: Live, turns: Sequence[Turn] | None
    ) -> tuple[list[int], list[int]]:
        """Return the ids of a conversation that the engine has not seen: before its newest message, and that one's.

        Args:
            conversation: The conversation.
            live: Its state, which is filled in.
            turns: The turns that it begins with, where this policy sampled them: the very tokens, thoughts included.
        """
        if turns:
            live.said = [(turn.token_ids, self._closed(turn.token_ids)) for turn in turns]
            summed = [turn.summary.token_ids for turn in turns if turn.summary is not None]
            live.chosen = sum(len(turn.token_ids) - len(turn.forced) for turn in turns) + sum(map(len, summed))
            first = max((at for at, turn in enumerate(turns) if turn.restart), default=0)
            return [i for turn in turns[first:] for i in (*turn.prompt_ids, *turn.token_ids)], self.newest(
                conversation, live
            )
        live.said = [(self.codec.action(m.content), True) for m in conversation.messages if m.role == "assistant"]
        if not live.said:
            return [], self.codec.opening(conversation.tools, conversation.messages[0].content)
        newest = self.newest(conversation, live)
        return self._written(conversation, live)[: -len(newest)], newest

    def newest(self, conversation: Conversation, live: Live) -> list[int]:
        """Return the ids of the newest result, frame included."""
        return self.codec.observation(conversation.messages[-1].content, turn_closed=live.said[-1][1])

    def say(self, live: Live, ids: list[int], chosen: int) -> None:
        """Take down an action."""
        live.said.append((ids, self._closed(ids)))
        live.chosen += chosen

    def _closed(self, ids: list[int]) -> bool:
        return ids[-1:] == [self.codec.end_id]

    def _written(self, conversation: Conversation, live: Live) -> list[int]:
        """Encode a conversation with the very ids that were sampled, and notes where results were dropped."""
        ids = self.codec.opening(conversation.tools, conversation.messages[0].content)
        for at, (said, closed) in list(enumerate(live.said))[live.first :]:
            text = conversation.messages[2 * at + 2].content
            if at in live.dropped:
                text = f"[{len(text)} characters dropped]"
            ids += said
            ids += self.codec.observation(text, turn_closed=closed)
        return ids

    # Shorter contexts.

    def dropped(self, conversation: Conversation, live: Live, used: int) -> list[int] | None:
        """Return a context without the oldest results, if this one is full and that helps.

        Args:
            conversation: The conversation.
            live: Its state; what is dropped is taken down.
            used: Tokens of the present context, the newest result included.
        """
        if used + self.turn <= self.limit:
            return None
        last = len(live.said) - 1  # its result was not acted on yet: it stays
        for at in range(live.first, last):
            if at not in live.dropped and len(conversation.messages[2 * at + 2].content) > _NOTE:
                live.dropped.add(at)
                ids = self._written(conversation, live)
                if len(ids) <= _SHORTENED * self.limit:
                    return ids
        ids = self._written(conversation, live)
        while len(ids) > _SHORTENED * self.limit and live.first < last:
            live.first += 1
            ids = self._written(conversation, live)
        return ids if len(ids) + self.turn <= self.limit else None

    def request(self, conversation: Conversation, live: Live, used: int) -> list[int] | None:
        """Return the ids that ask for a summary, if it is time for one and the newest result fits behind it.

        Args:
            conversation: The conversation.
            live: Its state.
            used: Tokens of the present context, the newest result included.
        """
        if not live.said or used + self.turn + self._reserve <= self.limit:
            return None
        anew = len(self.restarted(conversation, [0] * self.summary))
        if anew + self.turn + self._reserve > self.limit:
            return None
        return [*([] if live.said[-1][1] else [self.codec.end_id]), *self.codec.user(SUMMARY_REQUEST)]

    def restarted(self, conversation: Conversation, summary: list[int]) -> list[int]:
        """Return the context that begins anew: the task, the summary as the model's words, the newest result."""
        return [
            *self.codec.opening(conversation.tools, conversation.messages[0].content),
            *summary,
            *self.codec.observation(conversation.messages[-1].content, turn_closed=self._closed(summary)),
        ]
