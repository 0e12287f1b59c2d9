"""What is to be played: a task from its start, or from a point that another episode reached; and what is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np

from thinkact.envs import Action, Conversation, Snapshot
from thinkact.policies.episode import Episode, Turn


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


@dataclass
class Live:
    """An episode that is being played.

    Attributes:
        job: What is played.
        env: Where.
        attempt: 1, and one more each time after a fault.
        conversation: What the policy sees; there from the reset on.
        episode: The record so far; likewise.
        action: The last action.
        spent: What earlier attempts cost, in US dollars.
    """

    job: Job
    env: gym.Env[str, str]
    attempt: int = 1
    conversation: Conversation = field(init=False)
    episode: Episode = field(init=False)
    action: Action = field(default_factory=lambda: Action(text=""))
    spent: float = 0.0

    def act(self, action: Action) -> None:
        """Take the next action, and count what it took."""
        self.action, usage = action, self.episode.usage
        read, written = action.tokens
        usage.prompt_tokens += read
        usage.sampled_tokens += written
        usage.policy_seconds += action.seconds
        usage.cost += action.cost


def make_jobs(task_ids: Sequence[str], *, trials: int = 1, seed: int, prefix: str) -> list[Job]:
    """Make ``trials`` jobs for each task, with sampling seeds that depend on nothing but the arguments."""
    jobs = []
    for at, task_id in enumerate(task_ids):
        for trial in range(trials):
            job_seed = int(np.random.SeedSequence((seed, at, trial)).generate_state(1)[0])
            jobs.append(Job(f"{prefix}-{at:05d}-{trial}", task_id, job_seed))
    return jobs
