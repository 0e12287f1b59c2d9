"""Playing episodes in several processes: on a CPU, one process per core samples more than one with all cores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from thinkact.envs import Policy
from thinkact.policies.crew import Tell
from thinkact.policies.crew_processes import ProcessCrew
from thinkact.policies.episode import Episode
from thinkact.policies.jobs import Job
from thinkact.policies.rollout import Progress, Runner

#: Shards per process where there is enough to play: whoever is done takes the next one.
_SHARDS = 4


class JobPlayer:
    """A worker that plays jobs; see :class:`~thinkact.policies.crew.Worker`.

    Args:
        policy: Who acts.
        env_id: Gymnasium id.
        options: Of the :class:`~thinkact.policies.rollout.Runner`.
    """

    def __init__(self, policy: Policy, env_id: str, options: dict[str, Any]) -> None:
        self._policy = policy
        self._runner = Runner(env_id, **options)

    def play(self, task: Sequence[Job], tell: Tell) -> tuple[list[Episode], Any]:
        """Play jobs."""
        sync = getattr(self._policy, "sync", None)
        if sync is not None and self._runner.lockstep:
            sync()  # no keys of earlier shards: a shard is the same, bit for bit, whoever plays it and after what
        return self._runner.run(task, self._policy, on_episode=tell), None

    def close(self) -> None:
        """Close the environments."""
        self._runner.close()


class ProcessRunner:
    """Plays jobs in processes of this machine that are kept between calls. Use as a context manager.

    Each process has environments and a copy of the policy of its own; a model's weights are in memory that all of them
    read. Jobs are parted between them, those of one task together. An episode is what it would be in one process: it
    depends on its job alone, up to the rounding that :class:`~thinkact.policies.engine.Engine` documents for different
    batch-mates; in lockstep, runs with the same number of processes are equal bit for bit.

    A process that dies is replaced, and what it played is played again, twice at most. All of them end with this one.

    Args:
        env_id: Gymnasium id. One that is registered by a module of yours is ``"your_module:YourEnv-v0"``: the
            processes have to find it, too.
        policy: Who acts. It is pickled: scripted policies, models and the wrappers around them can be; a policy that
            holds a connection or a process of its own cannot, and need not, for it does not compute here. Python code
            that is not in a module needs ``if __name__ == "__main__"``, as with :mod:`multiprocessing`.
        processes: How many.
        concurrency: Live environments in all of them together.
        env_kwargs: Passed to ``gym.make``.
        lockstep: See :class:`~thinkact.policies.rollout.Runner`.
        waves: Likewise, in each process.

    Raises:
        TypeError: The policy cannot be pickled.
        ValueError: See :class:`~thinkact.policies.rollout.Runner`.
    """

    def __init__(
        self,
        env_id: str,
        policy: Policy,
        *,
        processes: int,
        concurrency: int = 32,
        env_kwargs: dict[str, Any] | None = None,
        lockstep: bool = False,
        waves: int = 1,
    ) -> None:
        self._each = -(-concurrency // processes)
        options: dict[str, Any] = {
            "concurrency": self._each,
            "env_kwargs": env_kwargs,
            "lockstep": lockstep,
            "waves": waves,
        }
        self._near = Runner(env_id, **{**options, "concurrency": max(1, waves)})  # draws tasks, and checks all this
        try:
            self.crew = ProcessCrew(partial(JobPlayer, policy, env_id, options), processes)
        except BaseException as error:
            self._near.close()
            if isinstance(error, TypeError):
                raise TypeError(f"{policy.name}: play it in one process, {error}") from error
            raise

    def __enter__(self) -> ProcessRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes. Idempotent."""
        self.crew.close()
        self._near.close()

    @property
    def tool_schemas(self) -> list[dict[str, Any]]:
        """The environment's tools as JSON schemas."""
        return self._near.tool_schemas

    def sample_tasks(self, n: int, seed: int) -> list[str]:
        """Draw distinct task ids of the environment's split."""
        return self._near.sample_tasks(n, seed)

    def run(self, jobs: Iterable[Job], *, on_episode: Progress | None = None) -> list[Episode]:
        """Play every job once and return the episodes in the jobs' order; see ``Runner.run``.

        Raises:
            WorkersLost: A process died time and again.
        """
        jobs = list(jobs)
        if len({job.id for job in jobs}) != len(jobs):
            raise ValueError("Two jobs have the same id.")
        return self.crew.play(self._shards(jobs), on_episode=on_episode).episodes

    def _shards(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Part jobs evenly, without parting a task's from one another where they stand together."""
        most = max(1, min(_SHARDS, len(jobs) // (2 * self._each * self.crew.size)))
        size = -(-len(jobs) // (self.crew.size * most))
        found: list[list[Job]] = []
        for _, group in groupby(jobs, lambda job: job.task_id):
            if not found or len(found[-1]) >= size:
                found.append([])
            found[-1] += group
        return found
