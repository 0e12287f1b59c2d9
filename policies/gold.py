"""How likely the model holds the gold answer before each turn: the reward of information gained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from thinkact.policies.advantages_batch import Array
from thinkact.policies.episode import Episode
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row
from thinkact.policies.templates import Codec


def gold_probabilities(
    learner: Learner, codec: Codec, tools: Sequence[dict[str, Any]], episodes: Sequence[Episode]
) -> list[Array]:
    """Return p(gold | all up to the turn's observation) = exp(mean log-probability) per turn, shape (turns,) each.

    The answer stands where the model would write it, inside the call that hands it in (IGPO, arXiv 2510.14967 eq. 3);
    only its own tokens count.

    Raises:
        ValueError: An episode has no gold answer (its environment has none, or it is not of the split ``train``).
    """
    rows: list[Row] = []
    for episode in episodes:
        if episode.gold is None:
            raise ValueError(
                f"{episode.env_id} gives no gold answer for {episode.task_id}; estimator 'igpo' needs one per task."
            )
        before = codec.action(_opening(tools))[:-1]  # without the end of the turn
        gold = codec.action(json.dumps(episode.gold, ensure_ascii=False)[1:-1])[:-1]
        ids: list[int] = []
        for turn in episode.turns:
            ids = [*(() if turn.restart else ids), *turn.prompt_ids]
            context = [*ids, *before]
            sampled = np.array([False] * len(context) + [True] * len(gold))
            zeros = np.zeros(len(sampled), dtype=np.float32)
            rows.append(Row(np.array([*context, *gold], dtype=np.int64), sampled, zeros, zeros))
            ids += turn.token_ids
    found = learner.logprobs(rows)
    p = [float(np.exp(logp[row.sampled].mean())) for row, logp in zip(rows, found, strict=True)]
    ends = np.cumsum([len(episode.turns) for episode in episodes])
    return [np.asarray(part) for part in np.split(np.asarray(p), ends[:-1])]


def _opening(tools: Sequence[dict[str, Any]]) -> str:
    """Return the call that hands an answer in, up to the answer."""
    names = [tool["function"]["name"] for tool in tools]
    name = next((wanted for wanted in ("answer", "submit") if wanted in names), names[-1])
    return f'{{"{name}": "'
