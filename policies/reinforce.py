"""One step of reinforcement: episodes in, credit, loss, optimiser steps, figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkact.policies.advantages import ESTIMATORS, Advantages, CreditBatch
from thinkact.policies.config import TrainConfig
from thinkact.policies.episode import Episode, Turn
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row, encode_sampled, rows_of
from thinkact.policies.losses_reference import Reference
from thinkact.policies.losses_spec import overlong_penalty
from thinkact.policies.vine import Forked


class Reinforcer:
    """Learns from batches of episodes as :class:`~thinkact.policies.config.RLConfig` says.

    Args:
        config: The run's configuration.
        learner: Model and optimiser.
        seed: ``seed(step)`` is the seed of that step's shuffling.
    """

    def __init__(self, config: TrainConfig, learner: Learner, seed: Callable[[int], int]) -> None:
        self.config = config
        self.learner = learner
        self._seed = seed
        self._loss = config.rl.loss_options()
        self.reference = Reference(learner.model) if config.rl.kl_coef > 0 else None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep beside weights and optimiser."""
        return {} if self.reference is None else {"reference": self.reference.weights}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        if self.reference is not None and "reference" in state:
            self.reference.load(state["reference"])

    def learn(self, used: Sequence[Episode], step: int, forked: Forked | None = None) -> dict[str, float]:
        """Take the optimiser steps that a batch of episodes is good for.

        Args:
            used: Episodes that count; see :func:`~thinkact.policies.learner_rows.informative`.
            step: Number of the batch.
            forked: Their continuations, for estimators that need them.
        """
        options, loss = self.config.rl, self._loss
        if self.reference is not None and options.reference_reset and step and step % options.reference_reset == 0:
            self.reference.reset()
            self.learner.reset_optimizer()
        figures: dict[str, float] = {}
        episodes, parents = list(used), None
        histories: list[list[Turn]] = []
        if forked is not None:
            episodes = [*used, *forked.episodes]
            parents = [None] * len(used) + list(forked.parents)
            histories = [[] for _ in used] + [used[i].turns[:turn] for i, turn in forked.parents]
            figures |= forked.figures
        batch = CreditBatch.of(episodes, parents or ())
        batch, shaped = self._shaped(batch, episodes, histories)
        figures |= shaped
        credit = ESTIMATORS[options.estimator](batch, **options.estimator_options)
        rows = rows_of(
            episodes,
            credit,
            entropy_bonus=options.entropy_coef > 0,
            max_rows=options.max_rows,
            histories=histories,
        )
        if options.entropy_coef > 0 and forked is not None:
            # Continuations that only served as measure are not trained on, not even for their entropy.
            rows = [row for row in rows if np.any(row.advantage) or not row.forked]
        rows = self._annotated(rows)
        order = np.random.default_rng(self._seed(step)).permutation(len(rows))
        parts = [part for part in np.array_split(order, min(options.updates, max(1, len(rows)))) if len(part)]
        taken: dict[str, list[float]] = {}
        for number, part in enumerate(parts):
            update, total = step * options.updates + number, options.steps * options.updates
            values = self.learner.rl_step(
                [rows[i] for i in part],
                loss,
                lr_scale=rate(update, options.warmup_updates, total),
                seed=update,
            )
            for name, value in values.items():
                taken.setdefault(name, []).append(value)
        figures |= {name: float(np.mean(values)) for name, values in taken.items()}
        return {
            **figures,
            **advantage_figures(credit[: len(used)]),
            "trained_tokens": float(sum(len(row.ids) for row in rows)),
        }

    def _shaped(
        self, batch: CreditBatch, episodes: Sequence[Episode], histories: Sequence[Sequence[Turn]]
    ) -> tuple[CreditBatch, dict[str, float]]:
        """Take penalties that are no part of the score from the rewards: length, and KL where it is one."""
        options, loss = self.config.rl, self._loss
        figures: dict[str, float] = {}
        rewards = batch.rewards
        if options.overlong_cache is not None:
            fines = []
            for index, episode in enumerate(episodes):
                turns = [*(histories[index] if histories else ()), *episode.turns]
                tokens = sum(len(turn.prompt_ids) + len(turn.token_ids) for turn in turns)
                fines.append(
                    options.overlong_coef * overlong_penalty(tokens, self.config.sample.max_len, options.overlong_cache)
                )
            rewards = [_add_last(each, fine) for each, fine in zip(rewards, fines, strict=True)]
            figures["overlong_penalty"] = float(np.mean(fines))
        if loss.kl_in_reward and self.reference is not None:
            rows = [
                encode_sampled(episode, np.zeros(len(episode.turns)), histories[i] if histories else ())
                for i, episode in enumerate(episodes)
            ]
            rows = self.reference.annotate(self.learner, rows)
            paid = [_k1_per_turn(row, len(each)) for row, each in zip(rows, rewards, strict=True)]
            rewards = [each - loss.kl_coef * k1 for each, k1 in zip(rewards, paid, strict=True)]
            figures["kl_reference"] = float(np.concatenate(paid).sum()) / max(
                1, sum(int(r.sampled.sum()) for r in rows)
            )
        return (batch if rewards is batch.rewards else replace(batch, rewards=rewards)), figures

    def _annotated(self, rows: list[Row]) -> list[Row]:
        if self._loss.tis_cap is not None:
            rows = [replace(r, trainer=p) for r, p in zip(rows, self.learner.logprobs(rows), strict=True)]
        if self._loss.kl_in_loss and self.reference is not None:
            rows = self.reference.annotate(self.learner, rows)
        return rows


def _add_last(rewards: NDArray[np.float64], fine: float) -> NDArray[np.float64]:
    out = rewards.copy()
    out[-1] += fine
    return out


def _k1_per_turn(row: Row, turns: int) -> NDArray[np.float64]:
    """Sum of log π_sampler − log π_ref over every turn's tokens, shape (turns,); a turn without tokens has 0."""
    assert row.reference is not None
    k1 = (row.logprob - row.reference)[row.sampled].astype(np.float64)
    found = np.bincount(row.turns[row.sampled], weights=k1)
    # Only the last turn can be without tokens: the context was full.
    return np.pad(found, (0, turns - len(found)))


def advantage_figures(credit: Advantages) -> dict[str, float]:
    """Spread of all advantages, and their mean and spread on the first, the middle and the last third of the turns."""
    flat = np.concatenate([np.asarray(values) for values in credit])
    figures = {"advantage_std": float(flat.std())}
    at = np.concatenate([np.arange(len(values)) / max(1, len(values)) for values in credit])
    for name, low, high in (("early", 0.0, 1 / 3), ("middle", 1 / 3, 2 / 3), ("late", 2 / 3, 1.0)):
        part = flat[(at >= low) & (at < high)]
        if len(part):
            figures |= {f"advantage_{name}_mean": float(part.mean()), f"advantage_{name}_std": float(part.std())}
    return figures


def rate(update: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate: linear up over ``warmup`` updates, linear down to a tenth at the end."""
    return min(1.0, (update + 1) / (warmup + 1)) * (1.0 - 0.9 * update / total)
