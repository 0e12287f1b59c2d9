"""A crew: workers in other processes, each with environments and a policy of its own, that play shards of a batch.

What a shard's episodes are depends on the shard and the weights alone. So a shard whose worker died is simply played
again by another: nothing is lost, nothing is doubled, and the result is the same. How workers are started and spoken
to is a transport's matter: :mod:`~thinkact.policies.crew_processes` on this machine,
:mod:`~thinkact.policies.ray_player` on many.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from thinkact.policies.episode import Episode

#: Times that a shard is played again when its worker died; starts without success, per worker, before giving up.
MAX_REPLAYS, MAX_STARTS = 2, 3
#: Seconds without a worker that could play, after which this is said, and after which it is given up.
SAY_S, PATIENCE_S = 60.0, 1800.0

log = logging.getLogger(__name__)

W = TypeVar("W")
Tell = Callable[[Episode], None]


class WorkersLost(RuntimeError):
    """Workers die again and again, or none can be started. No episode is scored for it."""


class Stopped(Exception):
    """The run ends: what is being played is not wanted any more."""


class Worker(Protocol):
    """What lives in another process."""

    def play(self, task: Any, tell: Tell) -> tuple[list[Episode], Any]:
        """Play a task.

        Args:
            task: What; it travels.
            tell: Called with each episode as it ends.

        Returns:
            All episodes, and whatever else came of it.
        """
        ...

    def close(self) -> None:
        """Close the environments."""
        ...


@dataclass(frozen=True)
class Event(Generic[W]):
    """What came from a worker.

    Attributes:
        worker: Which.
        kind: It is ``ready``, tells an ``episode``, is ``done`` with its task, its code ``failed``, or it is ``lost``.
        value: The episode; what it is done with, as :meth:`Worker.play` returns it; the error; or why it is lost.
    """

    worker: W
    kind: Literal["ready", "episode", "done", "failed", "lost"]
    value: Any = None


@dataclass
class Outcome:
    """What came of the tasks, in their order, and how many workers died meanwhile."""

    parts: list[tuple[list[Episode], Any]] = field(default_factory=list)
    deaths: int = 0

    @property
    def episodes(self) -> list[Episode]:
        """All episodes."""
        return [episode for episodes, _ in self.parts for episode in episodes]


class Crew(ABC, Generic[W]):
    """Workers that are started once and play one batch after the other. Use as a context manager.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a crew has at least 1 worker, not {size}.")
        self.size = size
        self._idle: list[W] = []
        self._starting: list[W] = []
        self._busy: dict[W, int] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Crew[W]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def _start(self) -> W:
        """Start a worker; an event says when it is ready."""

    @abstractmethod
    def _ask(self, worker: W, task: Any) -> None:
        """Have a worker that is ready play a task."""

    @abstractmethod
    def _listen(self, timeout: float) -> Iterable[Event[W]]:
        """Wait for news of workers that start or play, no longer than ``timeout`` seconds."""

    @abstractmethod
    def _end(self, workers: Sequence[W]) -> None:
        """End workers, whatever they do; what they would still say is not heard."""

    @abstractmethod
    def _publish(self, weights: Mapping[str, Any] | None) -> None:
        """Let the next tasks be played with weights by name; with the model's own where none are given."""

    def _free(self) -> str:
        """Say what workers may be waiting for."""
        return "the machine is busy"

    def play(
        self,
        tasks: Sequence[Any],
        *,
        weights: Mapping[str, Any] | None = None,
        on_episode: Tell | None = None,
        stopped: threading.Event | None = None,
    ) -> Outcome:
        """Have tasks played; one batch at a time, whoever asks.

        Args:
            tasks: What; each is played by one worker.
            weights: New weights of the policy's model, by name.
            on_episode: Called once with each episode, as it ends.
            stopped: When set, what is being played is broken off.

        Raises:
            WorkersLost: A task's worker died time and again, or none could be started.
            Stopped: ``stopped`` was set.
        """
        with self._guard:
            self._publish(weights)
            try:
                return self._play(tasks, on_episode or (lambda episode: None), stopped)
            finally:
                # Where it was broken off: what is left of it must not be taken for a part of the next batch.
                broken, self._busy = list(self._busy), {}
                self._end(broken)

    def _play(self, tasks: Sequence[Any], on_episode: Tell, stopped: threading.Event | None) -> Outcome:
        waiting = deque(range(len(tasks)))
        replays = [0] * len(tasks)
        done: dict[int, tuple[list[Episode], Any]] = {}
        told: set[str] = set()
        deaths = starts = 0
        said, since = False, time.monotonic()

        def tell(episode: Episode) -> None:
            if episode.id not in told:  # one of a shard that is played again was told already
                told.add(episode.id)
                on_episode(episode)

        while len(done) < len(tasks):
            if stopped is not None and stopped.is_set():
                raise Stopped
            while waiting and self._idle:
                worker, number = self._idle.pop(0), waiting.popleft()
                self._busy[worker] = number
                self._ask(worker, tasks[number])
            while len(self._idle) + len(self._starting) + len(self._busy) < self.size:
                self._starting.append(self._start())
            since = time.monotonic() if self._busy else since
            waited = time.monotonic() - since
            if waited > PATIENCE_S:
                raise WorkersLost(f"No worker could be started in {PATIENCE_S:.0f} s: {self._free()}.")
            if waited > SAY_S and not said:
                said = True
                log.warning("no worker is ready after %.0f s: %s", waited, self._free())
            for event in self._listen(1.0):
                worker = event.worker
                match event.kind:
                    case "ready":
                        self._starting.remove(worker)
                        self._idle.append(worker)
                    case "episode":
                        tell(event.value)
                    case "done":
                        done[self._busy.pop(worker)] = event.value
                        self._idle.append(worker)
                        for episode in event.value[0]:
                            tell(episode)
                    case "failed":
                        self._forget(worker)
                        raise event.value
                    case "lost":
                        deaths += 1
                        lost = self._forget(worker)
                        log.warning("a worker is lost (%s); it is replaced", event.value)
                        if lost is None:
                            starts += 1
                        else:
                            waiting.appendleft(lost)
                            replays[lost] += 1
                        if starts > MAX_STARTS * self.size or (lost is not None and replays[lost] > MAX_REPLAYS):
                            raise WorkersLost(f"{deaths} workers died, the last one: {event.value}")
        return Outcome([done[number] for number in range(len(tasks))], deaths)

    def _forget(self, worker: W) -> int | None:
        """End a worker; return the number of the task that it was at."""
        number = self._busy.pop(worker, None)
        for group in (self._starting, self._idle):
            if worker in group:
                group.remove(worker)
        self._end([worker])
        return number

    def close(self) -> None:
        """End all workers. Idempotent."""
        everyone = [*self._idle, *self._starting, *self._busy]
        self._idle, self._starting, self._busy = [], [], {}
        self._end(everyone)
