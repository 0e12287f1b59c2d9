"""One step of reinforcement: episodes in, credit, loss, optimiser steps, figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thinkact.policies.advantages import CRITIC, ESTIMATORS, REMEMBERING, Advantages, CreditBatch, returns_to_go
from thinkact.policies.advantages_batch import Array
from thinkact.policies.advantages_memory import TransitionMemory
from thinkact.policies.config import TrainConfig
from thinkact.policies.critic import TurnCritic, explained_variance, per_turn, token_gae, turn_starts
from thinkact.policies.episode import Episode, Turn
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row, encode_segments, rows_of
from thinkact.policies.losses_reference import Reference
from thinkact.policies.losses_spec import overlong_penalty
from thinkact.policies.vine import Forked

#: Credit while a critic explains nothing of the returns.
FALLBACK = "turn_rtg"


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
        rate_of_head = config.rl.critic_lr or 10 * config.rl.lr
        needed = config.rl.estimator in CRITIC
        self.critic = TurnCritic(learner, lr=rate_of_head, seed=config.seed) if needed else None
        #: What batches before this one said of states, for estimators that ask.
        self.memory = TransitionMemory() if config.rl.estimator in REMEMBERING else None
        #: For igpo: what gives the gold answer's probabilities, see :func:`thinkact.policies.gold.gold_probabilities`.
        self.gold: Callable[[Sequence[Episode]], list[Array]] | None = None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep beside weights and optimiser."""
        kept: dict[str, Any] = {} if self.reference is None else {"reference": self.reference.weights}
        if self.memory is not None:
            kept["memory"] = self.memory.state()
        return kept if self.critic is None else {**kept, "critic": self.critic.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        if self.reference is not None:
            self.reference.load(state["reference"])
        if self.critic is not None:
            self.critic.load(state["critic"])
        if self.memory is not None:
            self.memory.load(state["memory"])

    def witness(self, episodes: Sequence[Episode]) -> None:
        """Remember episodes that nothing is learned from: groups that all fail say what their states are worth, too."""
        if self.memory is not None:
            batch = CreditBatch.of(episodes)
            for states, rewards in zip(batch.states, batch.rewards, strict=True):
                self.memory.add(states, rewards)

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
        batch = replace(CreditBatch.of(episodes, parents or ()), memory=self.memory)
        batch, shaped = self._shaped(batch, episodes, histories)
        figures |= shaped
        tokens: list[Array] = []
        if self.critic is not None:
            credit, tokens, judged = self._criticised(self.critic, batch, episodes)
            figures |= judged
        else:
            if options.estimator == "igpo":
                if self.gold is None:
                    raise ValueError("igpo needs the gold answer's probabilities.")
                batch = replace(batch, values=self.gold(episodes))
            credit = ESTIMATORS[options.estimator](batch, **options.estimator_options)
        # A vine's continuations are measures; a tree's are lessons as well.
        taught = len(episodes) if options.estimator == "tree" else len(used)
        rows = rows_of(
            episodes[:taught],
            credit[:taught],
            entropy_bonus=options.entropy_coef > 0,
            max_rows=options.max_rows,
            histories=histories[:taught],
            tokens=tokens,
        )
        rows = self._annotated(rows)
        figures |= mismatch(rows)
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

    def _criticised(
        self, critic: TurnCritic, batch: CreditBatch, episodes: Sequence[Episode]
    ) -> tuple[Advantages, list[Array], dict[str, float]]:
        """Judge with the critic as it is, then fit it; where it explains nothing, credit comes without it."""
        options = self.config.rl
        rows = [encode_segments(episode, np.zeros(len(episode.turns))) for episode in episodes]
        features = critic.features(rows)
        values = critic.values(features)
        starts = [turn_starts(each) for each in rows]
        turns = [per_turn(v, at, len(r)) for v, at, r in zip(values, starts, batch.rewards, strict=True)]
        gamma = float(options.estimator_options.get("gamma", 1.0))
        explained = explained_variance(turns, [returns_to_go(r, gamma) for r in batch.rewards])
        credit = ESTIMATORS[options.estimator](replace(batch, values=turns), **options.estimator_options)
        # The critic learns what GAE took the return to be (targets A + V), whether or not it is trusted yet.
        targets = [(a + v)[: len(at)] for a, v, at in zip(credit, turns, starts, strict=True)]
        places = [each[at] for each, at in zip(features, starts, strict=True)]
        tokens: list[Array] = []
        if options.estimator == "bilevel_gae":
            lam = float(options.estimator_options.get("token_lam", 1.0))
            for target, value, at in zip(targets, values, starts, strict=True):
                parts = np.split(value, at[1:]) if len(at) else []
                each = [token_gae(float(end), part, lam) for end, part in zip(target, parts, strict=True)]
                tokens.append(np.concatenate(each) if each else np.zeros(0))
            targets, places = [t + v for t, v in zip(tokens, values, strict=True)], features
        figures = {"explained_variance": explained, "critic_loss": critic.fit(places, targets)}
        figures["critic_trusted"] = float(explained > 0)
        if explained <= 0:
            return ESTIMATORS[FALLBACK](batch), [], figures
        return credit, tokens, figures

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
                # What counts is the context that fills up, the last one.
                first = max((at for at, turn in enumerate(turns) if turn.restart), default=0)
                tokens = sum(len(turn.prompt_ids) + len(turn.token_ids) for turn in turns[first:])
                fines.append(
                    options.overlong_coef * overlong_penalty(tokens, self.config.sample.max_len, options.overlong_cache)
                )
            rewards = [_add_last(each, fine) for each, fine in zip(rewards, fines, strict=True)]
            figures["overlong_penalty"] = float(np.mean(fines))
        if loss.kl_in_reward and self.reference is not None:
            past = histories or [()] * len(episodes)
            rows = [
                encode_segments(e, np.zeros(len(e.turns)), before) for e, before in zip(episodes, past, strict=True)
            ]
            judged = iter(self.reference.annotate(self.learner, [row for each in rows for row in each]))
            paid = [_k1_per_turn([next(judged) for _ in each], len(r)) for each, r in zip(rows, rewards, strict=True)]
            rewards = [each - loss.kl_coef * k1 for each, k1 in zip(rewards, paid, strict=True)]
            tokens = max(1, sum(int(row.sampled.sum()) for each in rows for row in each))
            figures["kl_reference"] = float(np.concatenate(paid).sum()) / tokens
        return (batch if rewards is batch.rewards else replace(batch, rewards=rewards)), figures

    def _annotated(self, rows: list[Row]) -> list[Row]:
        if self._loss.tis_cap is not None:
            rows = [replace(r, trainer=p) for r, p in zip(rows, self.learner.logprobs(rows), strict=True)]
        if self._loss.kl_in_loss and self.reference is not None:
            rows = self.reference.annotate(self.learner, rows)
        return rows


def mismatch(rows: Sequence[Row]) -> dict[str, float]:
    """Return how far the weights that learn are from those that sampled, where the former were asked.

    ``mismatch`` is the KL divergence sampler to trainer per token, estimated by k3 on the sampled tokens before the
    first update. It is the sampler's arithmetic, and with older weights their age.
    """
    found = [(row.trainer - row.logprob)[row.sampled] for row in rows if row.trainer is not None]
    if not found:
        return {}
    d = np.concatenate(found).astype(np.float64)
    return {"mismatch": float(np.mean(np.expm1(d) - d))}


def _add_last(rewards: Array, fine: float) -> Array:
    out = rewards.copy()
    out[-1] += fine
    return out


def _k1_per_turn(rows: Sequence[Row], turns: int) -> Array:
    """Sum of log π_sampler − log π_ref over every turn's tokens, shape (turns,); a turn without tokens has 0."""
    found = np.zeros(turns)
    for row in rows:
        assert row.reference is not None
        k1 = (row.logprob - row.reference)[row.sampled].astype(np.float64)
        # A summary stands in another row than the turn that it counts as.
        found += np.bincount(row.turns[row.sampled], weights=k1, minlength=turns)
    return found


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
