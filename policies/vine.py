"""Forking: continuations by the current policy from turns of episodes just played, for credit that needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thinkact.envs import EnvironmentFault, Policy
from thinkact.policies.episode import Episode
from thinkact.policies.jobs import Job, Snapshots, Start
from thinkact.policies.rollout import Runner
from thinkact.policies.rundir import RunError


@dataclass(frozen=True)
class Forked:
    """Continuations and what they cost.

    Attributes:
        episodes: The continuations; their turns and rewards begin where they were forked.
        parents: For each the index of its episode and the turn before which it was forked.
        errors: Continuations that ended in a fault of ours; they are not among ``episodes``.
    """

    episodes: list[Episode]
    parents: list[tuple[int, int]]
    errors: int

    @property
    def figures(self) -> dict[str, float]:
        """What it took: continuations, environment steps, tokens sampled and tokens fed."""
        return {
            "fork_episodes": float(len(self.episodes)),
            "fork_errors": float(self.errors),
            "fork_steps": float(sum(len(e.turns) for e in self.episodes)),
            "fork_sampled_tokens": float(sum(e.usage.sampled_tokens for e in self.episodes)),
            "fork_tokens": float(sum(e.usage.sampled_tokens + e.usage.prompt_tokens for e in self.episodes)),
        }


def pivots(episode: Episode, limit: int | None, by: str) -> list[int]:
    """Choose the turns of an episode from which to fork, in order.

    Args:
        episode: The episode.
        limit: At most so many; None for all.
        by: ``even``: the first turn and others evenly spaced over the episode's length. ``entropy``: where the sampled
            tokens were least likely on average (AT²PO, arXiv 2601.04767, takes the entropy). The latter depends on the
            actions, and the former does where the policy decides how long an episode is: that makes a vine's baselines
            a little biased. Forking every turn does not.
    """
    turns = len(episode.turns)
    if limit is None or limit >= turns:
        return list(range(turns))
    if by == "even":
        return [(turns * i) // limit for i in range(limit)]
    # Forced tokens have log-probability 0 and were not chosen.
    doubt = [-sum(turn.logprobs) / max(1, len(turn.logprobs) - len(turn.forced)) for turn in episode.turns]
    return sorted(np.argsort(-np.asarray(doubt), kind="stable")[:limit].tolist())


def fork(
    runner: Runner,
    policy: Policy,
    episodes: Sequence[Episode],
    snapshots: Snapshots,
    *,
    count: int,
    turns: int | None,
    by: str,
    seed: int,
) -> Forked:
    """Play continuations from turns of episodes.

    Args:
        runner: The runner that played the episodes.
        policy: The policy that played them, with the same weights.
        episodes: Episodes without error.
        snapshots: What :meth:`~thinkact.policies.rollout.Runner.run` left of them.
        count: Continuations per turn.
        turns: Turns per episode at most; see :func:`pivots`.
        by: See :func:`pivots`.
        seed: Of the continuations' sampling.
    """
    jobs: list[Job] = []
    parents: list[tuple[int, int]] = []
    for index, episode in enumerate(episodes):
        for turn in pivots(episode, turns, by):
            start = Start(snapshots[episode.id, turn], tuple(episode.turns[:turn]))
            for number in range(count):
                draw = int(np.random.SeedSequence((seed, len(jobs))).generate_state(1)[0])
                jobs.append(Job(f"{episode.id}+{turn}.{number}", episode.task_id, draw, start))
                parents.append((index, turn))
    played = runner.run(jobs, policy)
    good = [at for at, episode in enumerate(played) if episode.error is None and episode.turns]
    return Forked([played[at] for at in good], [parents[at] for at in good], len(played) - len(good))


def check_forkable(runner: Runner) -> None:
    """Try a snapshot and its restoration before anything is played.

    Raises:
        RunError: The environment cannot be forked; the message says why.
    """
    try:
        runner.try_fork()
    except (EnvironmentFault, NotImplementedError) as error:
        raise RunError(
            f"{runner.env_id} cannot be forked ({error or 'no snapshots'}); choose an estimator that does not fork, "
            "for example state_td."
        ) from error
