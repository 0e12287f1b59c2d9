"""Collecting the batches of reinforcement: now, or ahead of the learner with weights of a known age.

Batch s is played with the weights that the learner has after max(0, s - k) batches, where k is
``rollout.max_staleness``: with k = 1 it is one step off (Noukhovitch et al., arXiv 2410.18252), larger k let slow
batches be made up for (the bounded staleness of AReaL, arXiv 2505.24298). The age is part of the schedule and never a
matter of timing: an asynchronous run repeats bit for bit, k = 0 is the synchronous run, and no row is ever older
than the bound. What older weights sampled is corrected for by truncated importance sampling, ``rl.tis_cap``.

A checkpoint holds the weights of the batches in flight, k copies of what is trained. The batches themselves are thrown
away by an interruption and played again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from thinkact.envs import Policy
from thinkact.policies.advantages import FORKING
from thinkact.policies.arms import Arms, Shard, check_faults
from thinkact.policies.config import TrainConfig
from thinkact.policies.crew import Crew
from thinkact.policies.distributed import Ranks
from thinkact.policies.episode import Episode
from thinkact.policies.hf import HFPolicy
from thinkact.policies.models import LoadedModel
from thinkact.policies.rollout import Progress
from thinkact.policies.shard_player import (
    Assignment,
    ShardPlayer,
    load_weights,
    own_copy,
    play,
    tell,
    trained_weights,
    used_of,
)
from thinkact.policies.streams import Stream, stream
from thinkact.policies.training_report import Reporter
from thinkact.policies.training_setup import policy_options
from thinkact.policies.turns import Turns, TurnTaking
from thinkact.policies.vine import Forked

__all__ = ["Order", "Pipeline", "Played", "Player", "Sampling", "hired", "load_weights", "play_all", "trained_weights"]

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Order:
    """A batch to be played.

    Attributes:
        step: Its number.
        version: How many batches the weights that play it have learned from.
        counts: Tasks of each arm.
    """

    step: int
    version: int
    counts: list[int]


@dataclass(frozen=True)
class Played:
    """What a batch came to.

    Attributes:
        episodes: All episodes.
        used: Those that enter credit.
        forked: Continuations of those, for estimators that fork.
        figures: What it took.
    """

    episodes: list[Episode]
    used: list[Episode]
    forked: Forked | None
    figures: dict[str, float] = field(default_factory=dict)


class Player(Protocol):
    """Plays one batch with given weights; those of the learner itself where none are given."""

    def __call__(self, order: Order, weights: Weights | None) -> Played:
        """Play the batch."""
        ...


class LocalPlayer:
    """Plays in this process.

    Args:
        config: The run's configuration.
        arms: The training environments.
        policy: Who acts. Where orders bring weights, its model must not be the learner's.
        ranks: The processes that share a batch out.
        on_episode: Called with every episode of an order: as it ends, or once another process has told of it.
    """

    def __init__(
        self,
        config: TrainConfig,
        arms: Arms,
        policy: HFPolicy,
        *,
        ranks: Ranks | None = None,
        on_episode: Progress | None = None,
    ) -> None:
        self.config, self.arms, self.policy, self._on_episode = config, arms, policy, on_episode
        self._ranks = ranks or Ranks()

    def __call__(self, order: Order, weights: Weights | None) -> Played:
        """Play the batch; see :class:`Player`."""
        if weights is not None:
            load_weights(self.policy.loaded.model, weights)
        size = self.config.rollout.shard_tasks or self._ranks.part(sum(order.counts))
        parts = self._ranks.spread(
            assignments(self.arms, order, self.config, size),
            lambda task: play(self.config, self.arms, self.policy, task, self._on_episode),
            idle=self.policy.sync,  # to put a sharded model together takes all
            elsewhere=lambda part: tell(part[0], self._on_episode),
        )
        return joined(parts, self.config)


class CrewPlayer:
    """Has batches played by a crew, an equal part by each worker where ``rollout.shard_tasks`` does not say otherwise.

    Args:
        config: The run's configuration.
        arms: The training environments; they draw the tasks.
        crew: Who plays.
        stopped: When set, what is being played is broken off.
        on_episode: Called with every episode.
    """

    def __init__(
        self,
        config: TrainConfig,
        arms: Arms,
        crew: Crew[Any],
        *,
        stopped: threading.Event,
        on_episode: Progress | None = None,
    ) -> None:
        self.config, self.arms, self.crew = config, arms, crew
        self._stopped, self._on_episode = stopped, on_episode

    def __call__(self, order: Order, weights: Weights | None) -> Played:
        """Play the batch; see :class:`Player`.

        Raises:
            WorkersLost: See :meth:`~thinkact.policies.crew.Crew.play`; likewise Stopped.
        """
        size = self.config.rollout.shard_tasks or -(-sum(order.counts) // self.crew.size)
        tasks = assignments(self.arms, order, self.config, size)
        found = self.crew.play(tasks, weights=weights, on_episode=self._on_episode, stopped=self._stopped)
        return joined(found.parts, self.config, worker_deaths=float(found.deaths))


class Pipeline:
    """Keeps ``lag`` batches ahead of the learner.

    Args:
        player: Plays them, one after the other.
        lag: How many.
        ahead: Whether they are played in a thread of their own, with copies of the weights; without it ``lag`` must
            be 0.
        stop: Called at the end, to have what is being played broken off.
    """

    def __init__(
        self, player: Player, *, lag: int = 0, ahead: bool = False, stop: Callable[[], None] = lambda: None
    ) -> None:
        if lag and not ahead:
            raise ValueError("batches can only be played ahead in a thread of their own.")
        self.lag = lag
        self._player, self._stop = player, stop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler") if ahead else None
        self._flight: deque[tuple[Order, Weights | None, Future[Played] | None]] = deque()
        self._free_since = time.perf_counter()

    def close(self) -> None:
        """Throw away what is in flight. Idempotent."""
        if self._thread is not None:
            self._stop()
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._flight.clear()

    @property
    def ahead(self) -> int:
        """How many batches are in flight."""
        return len(self._flight)

    def submit(self, order: Order, weights: Weights) -> None:
        """Have a batch played with weights, which are copied."""
        if self._thread is None:
            self._flight.append((order, None, None))
            return
        kept = {name: value.detach().clone() for name, value in weights.items()}
        self._flight.append((order, kept, self._thread.submit(self._timed, order, kept)))

    def take(self) -> tuple[Order, Played]:
        """Return the oldest batch in flight, waiting for it.

        Raises:
            RunError: Too many of its episodes ended in faults.
        """
        order, weights, future = self._flight.popleft()
        start = time.perf_counter()
        played = self._timed(order, weights) if future is None else future.result()
        check_faults(played.episodes)
        played.figures["wait_seconds"] = time.perf_counter() - start
        return order, played

    def _timed(self, order: Order, weights: Weights | None) -> Played:
        start = time.perf_counter()
        played = self._player(order, weights)
        end = time.perf_counter()
        played.figures["rollout_seconds"] = end - start
        if self._thread is not None:
            played.figures["sampler_idle"] = (start - self._free_since) / max(1e-9, end - self._free_since)
            self._free_since = end
        return played

    def state(self) -> list[dict[str, Any]]:
        """Return the orders in flight and their weights, for a checkpoint."""
        return [
            {**asdict(order), "weights": {name: value.cpu() for name, value in (weights or {}).items()}}
            for order, weights, _ in self._flight
        ]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Have the batches played again that were in flight."""
        for each in state:
            order = {name: value for name, value in each.items() if name != "weights"}
            self.submit(Order(**order), each["weights"])


class Sampling:
    """All that a run of reinforcement needs to have its batches played. Use as a context manager.

    Args:
        config: The run's configuration.
        loaded: The learner's model.
        policy: The policy on it.
        arms: The training environments.
        reporter: Is told of every episode.
        crew: Who plays, if that is not the policy.
        ranks: The processes that share batches out.
    """

    def __init__(
        self,
        config: TrainConfig,
        loaded: LoadedModel,
        policy: HFPolicy,
        arms: Arms,
        reporter: Reporter,
        crew: Crew[Any] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        ranks = ranks or Ranks()
        lag = config.rollout.max_staleness
        #: Entered by the learner around its passes, where model and learner share a device.
        self.turns: Turns | None = None
        stopped = threading.Event()

        def count(episode: Episode) -> None:
            reporter.advance()

        player: Player
        if crew is not None:
            player = CrewPlayer(config, arms, crew, stopped=stopped, on_episode=count)
        elif lag is None:
            player = LocalPlayer(config, arms, policy, ranks=ranks, on_episode=count)
        else:
            self.turns = Turns()
            own = TurnTaking(own_copy(loaded), **policy_options(config))
            own.turns, own.stopped = self.turns, stopped
            player = LocalPlayer(config, arms, own, ranks=ranks.apart(), on_episode=count)
        self.pipeline = Pipeline(player, lag=lag or 0, ahead=lag is not None, stop=stopped.set)

    def __enter__(self) -> Sampling:
        return self

    def __exit__(self, *exc: object) -> None:
        self.pipeline.close()


@contextmanager
def hired(config: TrainConfig, loaded: LoadedModel) -> Iterator[Crew[Any] | None]:
    """Yield the crew that plays a run's batches; None where they are played in this process.

    Raises:
        RunError: It needs what is not installed.
    """
    crew: Crew[Any] | None = None
    workers = processes_of(config)
    if config.rollout.ray_workers is not None:
        from thinkact.policies.ray_player import RayCrew

        crew = RayCrew(config, loaded)
    elif workers > 1:
        from thinkact.policies.crew_processes import ProcessCrew, cores

        make = partial(ShardPlayer, share_of(config, workers).model_dump_json(), loaded)
        crew = ProcessCrew(make, workers, threads=max(1, (config.threads or cores()) // workers), model=loaded.model)
    with crew or nullcontext():
        yield crew


def processes_of(config: TrainConfig) -> int:
    """Return how many processes sample; see :func:`~thinkact.policies.crew_processes.automatic`."""
    wanted = config.rollout.processes
    if wanted == "auto":
        from thinkact.policies.crew_processes import automatic

        return min(automatic(config.sample.concurrency), config.rl.tasks_per_step)
    return wanted or 1


def share_of(config: TrainConfig, workers: int) -> TrainConfig:
    """Return the configuration of one of several workers on this machine: its part of the episodes and the memory."""
    sample = config.sample
    most = sample.max_kv_bytes
    part = {
        "concurrency": -(-sample.concurrency // workers),
        "max_kv_bytes": None if most is None else most // workers,
    }
    return config.model_copy(update={"sample": sample.model_copy(update=part)})


def play_all(
    arms: Arms,
    shards: Sequence[Shard],
    policy: Policy,
    *,
    crew: Crew[Any] | None,
    split: str,
    on_episode: Progress | None = None,
    ranks: Ranks | None = None,
) -> list[Episode]:
    """Play shards with a policy of this process, or with its like in a crew, or in other processes of the run."""
    if crew is None or not isinstance(policy, HFPolicy):
        parts = (ranks or Ranks()).spread(
            shards,
            lambda shard: arms.play(shard, policy, on_episode=on_episode),
            elsewhere=lambda part: tell(part, on_episode),
        )
        return [episode for part in parts for episode in part]
    tasks = [Assignment(shard, split, policy.temperature) for shard in shards]
    return crew.play(tasks, on_episode=on_episode).episodes


def assignments(arms: Arms, order: Order, config: TrainConfig, size: int | None) -> list[Assignment]:
    """Return a batch in parts; they depend on the configuration, the step and the counts alone."""
    shards = arms.shards(
        order.counts,
        tasks_seed=stream(config.seed, Stream.TASKS, order.step),
        seed=stream(config.seed, Stream.SAMPLING, order.step),
        trials=config.rl.group_size,
        prefix=f"rl-{order.step:05d}",
        size=size,
    )
    forks = stream(config.seed, Stream.FORKS, order.step) if config.rl.estimator in FORKING else None
    found: list[Assignment] = []
    for shard in shards:
        before = sum(one.shard.arm == shard.arm for one in found)  # an arm's first shard has the arm's own seed
        seed = None if forks is None else forks + shard.arm if not before else stream(forks + shard.arm, before)
        found.append(Assignment(shard, "train", config.sample.temperature, seed))
    return found


def joined(parts: Sequence[tuple[list[Episode], Forked | None]], config: TrainConfig, **figures: float) -> Played:
    """Put the parts of a batch together."""
    episodes: list[Episode] = []
    used: list[Episode] = []
    forked = Forked([], [], 0)
    for played, continued in parts:
        if continued is not None:
            forked = Forked(
                forked.episodes + continued.episodes,
                forked.parents + [(len(used) + index, turn) for index, turn in continued.parents],
                forked.errors + continued.errors,
            )
        episodes += played
        used += used_of(played, config.rl)
    return Played(episodes, used, forked if config.rl.estimator in FORKING else None, figures)
