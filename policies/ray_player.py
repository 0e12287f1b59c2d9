"""A crew on Ray workers, on one machine or many.

A worker is a Ray actor. The weights travel once per batch, through Ray's object store; the episodes come back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch

from thinkact.policies.config import TrainConfig
from thinkact.policies.crew import Crew, Event
from thinkact.policies.episode import Episode
from thinkact.policies.models import LoadedModel
from thinkact.policies.rundir import RunError
from thinkact.policies.shard_player import Assignment, ShardPlayer, load_weights, own_copy, trained_weights


class Worker:
    """What runs in a Ray actor: a player of shards that is sent its weights."""

    def __init__(self, config: str, loaded: LoadedModel, threads: int) -> None:
        torch.set_num_threads(threads)
        model: Any = loaded.model  # transformers wraps `to` without types
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._player = ShardPlayer(config, loaded)
        self._version = -1

    def pid(self) -> int:
        """Return the id of the process; it answers when the worker is ready."""
        return os.getpid()

    def play(self, version: int, weights: dict[str, Any], task: Assignment) -> tuple[list[Episode], Any]:
        """Play a shard with weights of a version, arrays by parameter name."""
        if version != self._version:
            model = self._player.policy.loaded.model
            load_weights(model, {name: torch.tensor(value) for name, value in weights.items()})
            self._version = version
        return self._player.play(task, lambda episode: None)


class RayCrew(Crew[Any]):
    """``rollout.ray_workers`` workers.

    It joins the cluster that ``RAY_ADDRESS`` names, or one this process is in already; else it starts one here.

    Args:
        config: The run's configuration.
        loaded: The learner's model.

    Raises:
        RunError: Ray is not installed.
    """

    def __init__(self, config: TrainConfig, loaded: LoadedModel) -> None:
        super().__init__(config.rollout.ray_workers or 1)
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise RunError('rollout.ray_workers needs Ray: pip install "thinkact[ray]"') from error
        self._config, self._loaded = config, loaded
        self._begun = not self._ray.is_initialized()
        if self._begun:
            self._ray.init(include_dashboard=False, logging_level="error", log_to_driver=False)
        self._make = self._ray.remote(num_cpus=1, num_gpus=config.rollout.ray_gpus or 0)(Worker)
        sent = own_copy(loaded)
        model: Any = sent.model
        model.to("cpu")  # a worker may have no GPU
        self._model = self._ray.put(sent)
        self._version = 0
        self._weights: Any = None
        self._asked: dict[Any, tuple[Any, str]] = {}
        self._starting = [self._start() for _ in range(self.size)]

    def _start(self) -> Any:
        worker = self._make.remote(self._config.model_dump_json(), self._model, self._config.threads or 1)
        self._asked[worker.pid.remote()] = worker, "ready"
        return worker

    def _publish(self, weights: Mapping[str, Any] | None) -> None:
        new = trained_weights(self._loaded.model) if weights is None else weights
        self._weights = self._ray.put({name: value.cpu().numpy() for name, value in new.items()})
        self._version += 1

    def _ask(self, worker: Any, task: Any) -> None:
        self._asked[worker.play.remote(self._version, self._weights, task)] = worker, "done"

    def _listen(self, timeout: float) -> Iterator[Event[Any]]:
        ended, _ = self._ray.wait(list(self._asked), num_returns=1, timeout=timeout)
        for one in ended:
            worker, kind = self._asked.pop(one)
            try:
                value = self._ray.get(one)
            except self._lost as error:
                yield Event(worker, "lost", str(error))
            else:
                yield Event(worker, "ready" if kind == "ready" else "done", value)

    @property
    def _lost(self) -> tuple[type[BaseException], ...]:
        """What Ray raises where a worker, its node or its result is gone; errors of its code are others."""
        errors = self._ray.exceptions
        return (errors.RayActorError, errors.WorkerCrashedError, errors.ObjectLostError, errors.OutOfMemoryError)

    def _end(self, workers: Sequence[Any]) -> None:
        if not self._ray.is_initialized():
            return
        for worker in workers:
            self._ray.kill(worker)  # should it only be out of reach: what it still sends is not wanted
        self._asked = {one: asked for one, asked in self._asked.items() if asked[0] not in workers}

    def _free(self) -> str:
        return f"each needs a CPU of the cluster, which has free: {self._ray.available_resources()}"

    def close(self) -> None:
        """End the workers, and Ray where it was started here. Idempotent."""
        super().close()
        if self._begun and self._ray.is_initialized():
            self._ray.shutdown()
