"""Episodes as token rows: what the learner is fed, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkact.envs.types import Summary
from thinkact.policies.advantages import Advantages
from thinkact.policies.episode import Episode, Turn
from thinkact.policies.templates import Codec


@dataclass(frozen=True)
class Row:
    """One episode as the learner sees it; all arrays have shape (L,).

    Attributes:
        ids: Token ids exactly as they were fed and sampled.
        sampled: True where the policy chose the token; only those are trained on.
        advantage: The turn's advantage on sampled tokens, else 0.
        logprob: Log-probability under the sampling policy on sampled tokens, else 0.
        trainer: The same under the trainer's arithmetic before the first update; None where it is not needed.
        reference: The same under the reference policy; None where there is none.
        turn: Of every token the number of its turn in the episode, -1 where it was played before that; None where
            sampled tokens that touch are one turn's.
    """

    ids: NDArray[np.int64]
    sampled: NDArray[np.bool_]
    advantage: NDArray[np.float32]
    logprob: NDArray[np.float32]
    trainer: NDArray[np.float32] | None = None
    reference: NDArray[np.float32] | None = None
    turn: NDArray[np.int64] | None = None

    @property
    def turns(self) -> NDArray[np.int64]:
        """The turn of every token, shape (L,), never falling."""
        if self.turn is not None:
            return self.turn
        starts = self.sampled & ~np.concatenate(([False], self.sampled[:-1]))
        return np.cumsum(starts) - 1


def encode_expert(episode: Episode, tools: Sequence[dict[str, Any]], codec: Codec) -> Row:
    """Encode an episode that no model sampled (an expert's) as imitation data."""
    ids: list[int] = codec.opening(tools, episode.turns[0].observation)
    sampled = [False] * len(ids)
    for turn in episode.turns:
        if turn is not episode.turns[0]:
            observation = codec.observation(turn.observation, turn_closed=True)
            ids += observation
            sampled += [False] * len(observation)
        action = codec.action(f"{turn.thought}\n{turn.action}" if turn.thought else turn.action)
        ids += action
        sampled += [True] * len(action)
    zeros = np.zeros(len(ids), dtype=np.float32)
    return Row(np.asarray(ids), np.asarray(sampled), zeros, zeros)


def encode_segments(episode: Episode, advantages: NDArray[np.float64], history: Sequence[Turn] = ()) -> list[Row]:
    """Lay out a sampled episode, a row for every context that it had; see :func:`encode_sampled`.

    Where a policy shortened its history, what it sampled before is context (mask 0) of what it sampled afterwards, so
    every sampled token is trained on once, in the context in which it was sampled. A summary is the last thing in the
    context that it closes. It has no reward of its own: it shares the advantage of the turn after it, which is the
    first that acts on it, and counts as a part of that turn.
    """
    turns = episode.turns
    rows: list[Row] = []
    parts: list[_Part] = []
    before = list(_context(turns, history))
    for number, (turn, value) in enumerate(zip(turns, advantages, strict=True)):
        if turn.restart:
            if turn.summary is not None:
                parts.append((turn.summary, float(value), number))
            if parts:
                rows.append(_row(before, parts))
            before, parts = [], []
        parts.append((turn, float(value), number))
    return [*rows, _row(before, parts)] if parts else rows


def encode_sampled(episode: Episode, advantages: NDArray[np.float64], history: Sequence[Turn] = ()) -> Row:
    """Lay out a sampled episode: the very ids that were fed and sampled, one advantage per turn.

    Args:
        episode: The episode, sampled in one context.
        advantages: Shape (turns,).
        history: What a continuation was forked from; it is context and not trained on.

    Raises:
        ValueError: The episode had several contexts; :func:`encode_segments` lays out such a one.
    """
    rows = encode_segments(episode, advantages, history)
    if len(rows) > 1:
        raise ValueError(f"{episode.id} had several contexts: use encode_segments.")
    return rows[0] if rows else _row([], [])


#: Fed and sampled tokens, their advantage and the number of the turn that they count as.
_Part = tuple[Turn | Summary, float, int]


def _context(turns: Sequence[Turn], history: Sequence[Turn]) -> Iterator[int]:
    """Yield the ids of what a continuation was forked from, where its first turn does not bring them along."""
    if turns and turns[0].restart:
        return
    begin = max((at for at, turn in enumerate(history) if turn.restart), default=0)
    for turn in history[begin:]:
        yield from (*turn.prompt_ids, *turn.token_ids)


def _row(before: Sequence[int], parts: Sequence[_Part]) -> Row:
    ids: list[int] = list(before)
    sampled: list[bool] = [False] * len(ids)
    advantage: list[float] = [0.0] * len(ids)
    logprob: list[float] = [0.0] * len(ids)
    turn: list[int] = [-1] * len(ids)
    for part, value, number in parts:
        fed, drawn = part.prompt_ids, part.token_ids
        forced = part.forced if isinstance(part, Turn) else ()
        mine = [at not in forced for at in range(len(drawn))]
        ids += [*fed, *drawn]
        sampled += [False] * len(fed) + mine
        advantage += [0.0] * len(fed) + [value * chosen for chosen in mine]
        logprob += [0.0] * len(fed) + list(part.logprobs)
        turn += [number] * (len(fed) + len(drawn))
    return Row(
        np.asarray(ids, dtype=np.int64),
        np.asarray(sampled, dtype=np.bool_),
        np.asarray(advantage, dtype=np.float32),
        np.asarray(logprob, dtype=np.float32),
        turn=np.asarray(turn, dtype=np.int64),
    )


def informative(episodes: Sequence[Episode], *, filter_groups: bool, mask_truncated: bool) -> list[Episode]:
    """Choose the episodes that enter credit: scored ones, of groups that did not all earn the same.

    Errored episodes are never used: they have no reward. With ``filter_groups`` a group without variance is
    left out (nothing can be learned from it), unless its attempts differ in *invalid* actions. Such a group
    still counts where the baseline is the batch's (``reinforce``) or entropy is paid; against its own mean its
    advantages are 0 like any other's.
    """
    scored = [e for e in episodes if e.error is None and e.turns and not (mask_truncated and e.truncated)]
    if not filter_groups:
        return scored
    groups: dict[str, list[Episode]] = {}
    for episode in scored:
        groups.setdefault(episode.task_id, []).append(episode)
    kept: list[Episode] = []
    for members in groups.values():
        returns = {round(sum(e.rewards), 9) for e in members}
        formats = {any(turn.invalid for turn in e.turns) for e in members}
        if len(members) > 1 and (len(returns) > 1 or len(formats) > 1):
            kept += members
    return kept


def zero_variance_share(episodes: Sequence[Episode]) -> float:
    """Return the share of groups whose scored attempts all earned the same: their own mean teaches nothing."""
    groups: dict[str, set[float]] = {}
    for episode in episodes:
        if episode.error is None:
            groups.setdefault(episode.task_id, set()).add(round(sum(episode.rewards), 9))
    return sum(len(returns) == 1 for returns in groups.values()) / max(1, len(groups))


def rows_of(
    episodes: Sequence[Episode],
    advantages: Advantages,
    *,
    entropy_bonus: bool = False,
    max_rows: int | None = None,
    histories: Sequence[Sequence[Turn]] = (),
    tokens: Sequence[NDArray[np.float64]] = (),
) -> list[Row]:
    """Lay out sampled episodes and drop what carries no signal.

    Turns after the last one with an advantage are cut, and episodes without any are left out: they would
    cost a forward and a backward pass and move nothing. With an entropy bonus every token counts, so nothing
    is cut. The loss is a mean over the tokens that stay.

    Args:
        episodes: Sampled episodes; each turn's ``advantage`` is set for the record.
        advantages: One array per episode, one value per turn.
        entropy_bonus: Whether the loss has an entropy term.
        max_rows: Keep at most this many episodes, from every group alike those with the largest mean
            |advantage|. Sampling is cheaper than learning, and the ends of a group carry most of the gradient
            (down-sampling to the largest spread: PODS, arXiv 2504.13818). Over the whole batch such a cut would
            drop the hard tasks, whose partial credit is small. Credit is computed on whole groups before it.
        histories: Per episode the turns it was forked from; empty where none was.
        tokens: Per episode the advantages of its sampled tokens, where those of a turn differ; else empty.
    """
    rows: list[Row] = []
    weights: list[float] = []
    groups: list[str] = []
    for index, (episode, values) in enumerate(zip(episodes, advantages, strict=True)):
        for turn, value in zip(episode.turns, values, strict=True):
            turn.advantage = float(value)
        useful = np.flatnonzero(np.abs(values) > 1e-8)
        if not len(useful) and not entropy_bonus:
            continue
        last = len(values) if entropy_bonus else int(useful[-1]) + 1
        kept = episode.model_copy(update={"turns": episode.turns[:last]})
        at = 0
        for row in encode_segments(kept, values[:last], histories[index] if histories else ()):
            count = int(row.sampled.sum())
            if tokens:
                row.advantage[row.sampled] = tokens[index][at : at + count]
            at += count
            if entropy_bonus or row.advantage.any():
                rows.append(row)
                weights.append(float(np.abs(values).mean()))
                groups.append(episode.task_id)
    if max_rows is None or len(rows) <= max_rows:
        return rows
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, float, int]] = []
    for i in np.argsort(-np.asarray(weights), kind="stable"):
        ranked.append((seen[groups[i]], -weights[i], int(i)))
        seen[groups[i]] += 1
    return [rows[i] for i in sorted(i for _, _, i in sorted(ranked)[:max_rows])]
