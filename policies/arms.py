"""The kinds of tasks of a run: what each one's next tasks are, and how a batch of them is played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkact.envs import Policy
from thinkact.policies.config import TrainConfig
from thinkact.policies.episode import Episode
from thinkact.policies.jobs import Job, Snapshots, make_jobs
from thinkact.policies.rollout import Progress, Runner
from thinkact.policies.rundir import RunError

#: Share of errored episodes in one batch above which the run stops: the numbers would mean nothing.
MAX_ERRORS = 0.2


@dataclass(frozen=True)
class Shard:
    """Jobs of one arm that are played together, and by one player."""

    arm: int
    jobs: tuple[Job, ...]


class Arms:
    """One :class:`~thinkact.policies.rollout.Runner` for each arm. Use as a context manager.

    Args:
        config: The run's configuration.
        split: Which tasks: ``train``, ``eval`` or ``hidden``.
    """

    def __init__(self, config: TrainConfig, split: str) -> None:
        sample = config.sample
        self.names = [arm.name for arm in config.arms]
        self.runners: list[Runner] = []
        try:
            for arm in config.arms:
                self.runners.append(
                    Runner(
                        arm.id or config.env.id,
                        concurrency=sample.concurrency,
                        env_kwargs={**arm.kwargs, "split": split},
                        lockstep=sample.lockstep,
                    )
                )
            #: Of each arm, the JSON schemas of its tools. Taken now: a sampler's thread may have the runners later.
            self.schemas = [runner.tool_schemas for runner in self.runners]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Arms:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the environments. Idempotent."""
        for runner in self.runners:
            runner.close()

    def __len__(self) -> int:
        return len(self.runners)

    def even(self, tasks: int) -> list[int]:
        """Share tasks out evenly, the first arms getting what is left over."""
        return [tasks // len(self) + (arm < tasks % len(self)) for arm in range(len(self))]

    def shards(
        self, counts: Sequence[int], *, tasks_seed: int, seed: int, trials: int, prefix: str, size: int | None = None
    ) -> list[Shard]:
        """Draw tasks and make their jobs.

        Args:
            counts: Tasks of each arm. An arm may have fewer than that.
            tasks_seed: Of the tasks.
            seed: Of the policy's sampling.
            trials: Attempts at each task.
            prefix: Of the episodes' ids; no two batches of a run may share one.
            size: Tasks of one shard at most; None for an arm's whole batch.
        """
        found: list[Shard] = []
        taken: set[str] = set()  # a task that two arms have is a group of one of them only
        for arm, (runner, count) in enumerate(zip(self.runners, counts, strict=True)):
            if not count:
                continue
            drawn = runner.sample_tasks(count + len(taken), _of(tasks_seed, arm))
            tasks = [task for task in drawn if task not in taken][:count]
            taken.update(tasks)
            jobs = make_jobs(tasks, trials=trials, seed=_of(seed, arm), prefix=self._prefix(prefix, arm))
            step = (size or max(1, len(tasks))) * trials
            found += [Shard(arm, tuple(jobs[at : at + step])) for at in range(0, len(jobs), step)]
        return found

    def _prefix(self, prefix: str, arm: int) -> str:
        return prefix if len(self) == 1 else f"{prefix}.{self.names[arm]}"

    def arm_of(self, episode: Episode) -> int:
        """Return the arm that an episode was played in, which its id tells."""
        return 0 if len(self) == 1 else self.names.index(episode.id.partition(".")[2].rsplit("-", 2)[0])

    def tools(self, episode: Episode) -> list[dict[str, Any]]:
        """Return the JSON schemas of the tools that an episode had."""
        return self.schemas[self.arm_of(episode)]

    def play(
        self,
        shard: Shard,
        policy: Policy,
        *,
        on_episode: Progress | None = None,
        snapshots: Snapshots | None = None,
    ) -> list[Episode]:
        """Play one shard; see :meth:`~thinkact.policies.rollout.Runner.run`."""
        return self.runners[shard.arm].run(shard.jobs, policy, on_episode=on_episode, snapshots=snapshots)

    def figures(self, episodes: Sequence[Episode]) -> dict[str, float]:
        """Return attempts, success and score of each arm, where there are several; errored episodes do not count."""
        found: dict[str, float] = {}
        if len(self) == 1:
            return found
        for arm, scored in enumerate(self.scored(episodes)):
            name = self.names[arm]
            found[f"attempts/{name}"] = float(len(scored))
            if scored:
                found[f"success/{name}"] = float(np.mean([bool(e.success) for e in scored]))
                found[f"score/{name}"] = float(np.mean([e.score or 0.0 for e in scored]))
        return found

    def scored(self, episodes: Sequence[Episode]) -> list[list[Episode]]:
        """Sort the episodes without error by arm."""
        found: list[list[Episode]] = [[] for _ in self.names]
        for episode in episodes:
            if episode.error is None:
                found[self.arm_of(episode)].append(episode)
        return found


def check_faults(episodes: Sequence[Episode]) -> None:
    """Stop a run most of whose figures would be about faults of ours.

    Raises:
        RunError: More than a fifth of the episodes ended in faults.
    """
    faults = [episode.error for episode in episodes if episode.error is not None]
    if len(faults) > MAX_ERRORS * len(episodes):
        raise RunError(f"{len(faults)} of {len(episodes)} episodes ended in faults, the first: {faults[0]}")


def difficulties(episodes: Sequence[Episode]) -> dict[str, list[int]]:
    """Return by difficulty how many attempts were scored, and how many of them solved their task."""
    scored = [episode for episode in episodes if episode.error is None]
    tried = Counter(episode.difficulty for episode in scored)
    solved = Counter(episode.difficulty for episode in scored if episode.success)
    return {f"{level:g}": [tried[level], solved[level]] for level in sorted(tried)}


def _of(seed: int, arm: int) -> int:
    """Derive an arm's seed; the first arm's is the seed itself, so one arm alone plays what no arms would."""
    return seed if arm == 0 else int(np.random.SeedSequence((seed, arm)).generate_state(1)[0])
