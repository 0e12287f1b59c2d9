"""What is to be played: a task from its start, or from a point that another episode reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thinkact.envs import Snapshot
from thinkact.policies.episode import Turn


@dataclass(frozen=True)
class Start:
    """A point of an episode to continue from: the environment's state, and the turns that led there."""

    snapshot: Snapshot
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Job:
    """One episode to play: a task and the seed of the policy's sampling. ``id`` names the record.

    With ``start`` it begins in the middle; its record then holds the turns, and the rewards, from there on, while its
    score is that of the whole.
    """

    id: str
    task_id: str
    seed: int
    start: Start | None = None


#: Where :meth:`~thinkact.policies.rollout.Runner.run` puts the state before every turn, by job and turn.
Snapshots = dict[tuple[str, int], Snapshot]


def make_jobs(task_ids: Sequence[str], *, trials: int = 1, seed: int, prefix: str) -> list[Job]:
    """Make ``trials`` jobs for each task, with sampling seeds that depend on nothing but the arguments."""
    jobs = []
    for at, task_id in enumerate(task_ids):
        for trial in range(trials):
            job_seed = int(np.random.SeedSequence((seed, at, trial)).generate_state(1)[0])
            jobs.append(Job(f"{prefix}-{at:05d}-{trial}", task_id, job_seed))
    return jobs
