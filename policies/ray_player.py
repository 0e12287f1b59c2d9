"""Batches of reinforcement played on Ray workers, on one machine or many.

A worker is a Ray actor with its own environments and its own copy of the policy. A batch is cut into shards of whole
tasks; the weights travel once per version, through Ray's object store; the episodes come back. What a shard's episodes
are depends on its jobs and the weights alone, so a shard whose worker died is simply played again by another: nothing
is lost, nothing is doubled, and the result is the same.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from importlib import import_module
from typing import Any

import torch

from thinkact.policies.arms import Arms, Shard
from thinkact.policies.collect import (
    Order,
    Played,
    Weights,
    load_weights,
    own_copy,
    shards_of,
    trained_weights,
    used_of,
)
from thinkact.policies.config import TrainConfig
from thinkact.policies.episode import Episode
from thinkact.policies.hf import HFPolicy
from thinkact.policies.models import LoadedModel
from thinkact.policies.rollout import Progress
from thinkact.policies.rundir import RunError
from thinkact.policies.training_setup import policy_options
from thinkact.policies.turns import Stopped

#: Workers that may die during one batch, per worker, before the run stops.
MAX_DEATHS = 3
#: Seconds without a worker that could play, after which this is said, and after which the run stops.
SAY_S, PATIENCE_S = 60.0, 1800.0

log = logging.getLogger(__name__)


class Worker:
    """What runs in a Ray actor."""

    def __init__(self, config: str, loaded: LoadedModel) -> None:
        self.config = TrainConfig.model_validate_json(config)
        torch.set_num_threads(self.config.threads or 1)
        model: Any = loaded.model  # transformers wraps `to` without types
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.policy = HFPolicy(loaded, **policy_options(self.config))
        self.policy.temperature = self.config.sample.temperature
        self.arms = Arms(self.config, "train")
        self._version = -1

    def pid(self) -> int:
        """Return the id of the process; it answers when the worker is ready."""
        return os.getpid()

    def play(self, version: int, weights: dict[str, Any], shard: Shard) -> list[Episode]:
        """Play a shard with weights of a version, arrays by parameter name."""
        if version != self._version:
            load_weights(self.policy.loaded.model, {name: torch.tensor(value) for name, value in weights.items()})
            self._version = version
        self.policy.sync()
        return self.arms.play(shard, self.policy)


class RayPlayer:
    """Plays batches on ``rollout.ray_workers`` workers; see :class:`~thinkact.policies.collect.Player`.

    It joins the cluster that ``RAY_ADDRESS`` names, or one this process is in already; else it starts one here.

    Args:
        config: The run's configuration.
        arms: The training environments; they draw the tasks.
        loaded: The learner's model.
        stopped: When set, what is being played is broken off.
        on_episode: Called with every episode.

    Raises:
        RunError: Ray is not installed.
    """

    def __init__(
        self,
        config: TrainConfig,
        arms: Arms,
        loaded: LoadedModel,
        *,
        stopped: threading.Event,
        on_episode: Progress | None = None,
    ) -> None:
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise RunError('rollout.ray_workers needs Ray: pip install "thinkact[ray]"') from error
        self.config, self.arms, self.loaded = config, arms, loaded
        self._stopped, self._on_episode = stopped, on_episode
        self.workers = config.rollout.ray_workers or 1
        self._begun = not self._ray.is_initialized()
        if self._begun:
            self._ray.init(include_dashboard=False, logging_level="error", log_to_driver=False)
        self._make = self._ray.remote(num_cpus=1, num_gpus=config.rollout.ray_gpus or 0)(Worker)
        sent = own_copy(loaded)
        model: Any = sent.model
        model.to("cpu")  # a worker may have no GPU
        self._model = self._ray.put(sent)
        self._alive: list[Any] = []
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        for _ in range(self.workers):
            self._start()

    def _start(self) -> None:
        worker = self._make.remote(self.config.model_dump_json(), self._model)
        self._alive.append(worker)
        self._starting[worker.pid.remote()] = worker

    def __call__(self, order: Order, weights: Weights | None) -> Played:
        """Play a batch.

        Raises:
            RunError: Workers die again and again, or none can be started.
            Stopped: The run ends.
        """
        ray = self._ray
        sent = trained_weights(self.loaded.model) if weights is None else weights
        stored = ray.put({name: value.cpu().numpy() for name, value in sent.items()})
        size = self.config.rollout.shard_tasks or -(-sum(order.counts) // self.workers)
        shards = shards_of(self.arms, order, self.config, size)
        waiting = deque(range(len(shards)))
        done: dict[int, list[Episode]] = {}
        running: dict[Any, tuple[Any, int]] = {}
        deaths, alive, said = 0, time.monotonic(), False
        while len(done) < len(shards):
            if self._stopped.is_set():
                raise Stopped
            while waiting and self._idle:
                worker, first = self._idle.pop(0), waiting.popleft()
                running[worker.play.remote(order.version, stored, shards[first])] = (worker, first)
            alive = time.monotonic() if running else alive
            waited = time.monotonic() - alive
            if waited > PATIENCE_S:
                raise RunError(f"No Ray worker could be started in {PATIENCE_S:.0f} s: has the cluster free CPUs?")
            if waited > SAY_S and not said:
                said = True
                log.warning(
                    "no Ray worker is ready yet; each needs a CPU of the cluster: %s", ray.available_resources()
                )
            ended, _ = ray.wait([*running, *self._starting], num_returns=1, timeout=1.0)
            for one in ended:
                number: int | None = None
                if one in running:
                    worker, number = running.pop(one)
                else:
                    worker = self._starting.pop(one)
                try:
                    found = ray.get(one)
                except self._lost as error:
                    deaths += 1
                    self._alive.remove(worker)
                    ray.kill(worker)  # should it only be out of reach: what it still sends is not wanted
                    if number is not None:
                        waiting.appendleft(number)
                    if deaths > MAX_DEATHS * self.workers:
                        raise RunError(f"{deaths} Ray workers died during batch {order.step}: {error}") from error
                    self._start()
                    continue
                self._idle.append(worker)
                if number is not None:
                    done[number] = found
                    for episode in found:
                        if self._on_episode is not None:
                            self._on_episode(episode)
        episodes = [episode for number in range(len(shards)) for episode in done[number]]
        return Played(episodes, used_of(episodes, self.config.rl), None, {"worker_deaths": float(deaths)})

    @property
    def _lost(self) -> tuple[type[BaseException], ...]:
        """What Ray raises where a worker, its node or its result is gone; errors of its code are others."""
        errors = self._ray.exceptions
        return (errors.RayActorError, errors.WorkerCrashedError, errors.ObjectLostError, errors.OutOfMemoryError)

    def close(self) -> None:
        """End the workers, and Ray where it was started here. Idempotent."""
        if not self._ray.is_initialized():
            return
        for worker in self._alive:
            self._ray.kill(worker)
        self._alive, self._idle, self._starting = [], [], {}
        if self._begun:
            self._ray.shutdown()
