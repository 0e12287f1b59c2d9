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

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from thinkact.policies.advantages import DEFAULT_FORKS, FORKING
from thinkact.policies.arms import Arms, Shard, check_faults
from thinkact.policies.config import RLConfig, TrainConfig
from thinkact.policies.episode import Episode
from thinkact.policies.hf import HFPolicy
from thinkact.policies.jobs import Snapshots
from thinkact.policies.learner_rows import informative
from thinkact.policies.models import LoadedModel
from thinkact.policies.rollout import Progress
from thinkact.policies.streams import Stream, stream
from thinkact.policies.training_report import Reporter
from thinkact.policies.training_setup import policy_options
from thinkact.policies.turns import Turns, TurnTaking
from thinkact.policies.vine import Forked, fork

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
        on_episode: Called with every episode of an order as it ends.
    """

    def __init__(
        self, config: TrainConfig, arms: Arms, policy: HFPolicy, *, on_episode: Progress | None = None
    ) -> None:
        self.config, self.arms, self.policy, self._on_episode = config, arms, policy, on_episode

    def __call__(self, order: Order, weights: Weights | None) -> Played:
        """Play the batch; see :class:`Player`."""
        if weights is not None:
            load_weights(self.policy.loaded.model, weights)
        self.policy.temperature = self.config.sample.temperature
        options = self.config.rl
        snapshots: Snapshots | None = {} if options.estimator in FORKING else None
        episodes: list[Episode] = []
        for shard in shards_of(self.arms, order, self.config, self.config.rollout.shard_tasks):
            # Every shard begins without keys of others: it is the same whoever plays it, and after what.
            self.policy.sync()
            episodes += self.arms.play(shard, self.policy, on_episode=self._on_episode, snapshots=snapshots)
        used = used_of(episodes, options)
        return Played(episodes, used, None if snapshots is None else self._fork(used, snapshots, order.step))

    def _fork(self, used: Sequence[Episode], snapshots: Snapshots, step: int) -> Forked:
        """Fork each arm's episodes with its own environments."""
        options = self.config.rl
        found: list[Episode] = []
        parents: list[tuple[int, int]] = []
        errors = 0
        for arm in range(len(self.arms)):
            at = [i for i, episode in enumerate(used) if self.arms.arm_of(episode) == arm]
            if not at:
                continue
            forked = fork(
                self.arms.runners[arm],
                self.policy,
                [used[i] for i in at],
                snapshots,
                count=options.forks or DEFAULT_FORKS[options.estimator],
                turns=options.fork_turns,
                by=options.fork_at or "even",
                seed=stream(self.config.seed, Stream.FORKS, step) + arm,
            )
            found += forked.episodes
            parents += [(at[i], turn) for i, turn in forked.parents]
            errors += forked.errors
        return Forked(found, parents, errors)


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
    """

    def __init__(
        self, config: TrainConfig, loaded: LoadedModel, policy: HFPolicy, arms: Arms, reporter: Reporter
    ) -> None:
        lag = config.rollout.max_staleness
        #: Entered by the learner around its passes, where model and learner share a device.
        self.turns: Turns | None = None
        self._stopped = threading.Event()

        def count(episode: Episode) -> None:
            reporter.advance()

        self._close: Callable[[], None] = lambda: None
        player: Player
        if config.rollout.ray_workers is not None:
            from thinkact.policies.ray_player import RayPlayer

            player = remote = RayPlayer(config, arms, loaded, stopped=self._stopped, on_episode=count)
            self._close = remote.close
        elif lag is None:
            player = LocalPlayer(config, arms, policy, on_episode=count)
        else:
            self.turns = Turns()
            own = TurnTaking(own_copy(loaded), **policy_options(config))
            own.turns, own.stopped = self.turns, self._stopped
            player = LocalPlayer(config, arms, own, on_episode=count)
        self.pipeline = Pipeline(player, lag=lag or 0, ahead=lag is not None, stop=self._stopped.set)

    def __enter__(self) -> Sampling:
        return self

    def __exit__(self, *exc: object) -> None:
        self.pipeline.close()
        self._close()


def shards_of(arms: Arms, order: Order, config: TrainConfig, size: int | None) -> list[Shard]:
    """Return the jobs of a batch; they depend on the configuration, the step and the counts alone."""
    return arms.shards(
        order.counts,
        tasks_seed=stream(config.seed, Stream.TASKS, order.step),
        seed=stream(config.seed, Stream.SAMPLING, order.step),
        trials=config.rl.group_size,
        prefix=f"rl-{order.step:05d}",
        size=size,
    )


def used_of(episodes: Sequence[Episode], options: RLConfig) -> list[Episode]:
    """Choose the episodes of a batch that enter credit."""
    return informative(episodes, filter_groups=options.filter, mask_truncated=options.mask_truncated)


def own_copy(loaded: LoadedModel) -> LoadedModel:
    """Return a model of one's own, so that another thread may act with it while the learner changes the first."""
    return LoadedModel(copy.deepcopy(loaded.model), loaded.tokenizer, loaded.name)


def trained_weights(model: nn.Module) -> Weights:
    """Return the parameters that are trained, by name; not copied."""
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


@torch.no_grad()
def load_weights(model: nn.Module, weights: Weights) -> None:
    """Put weights in the place of a model's parameters of these names."""
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        parameters[name].copy_(value)
