"""A crew on this machine: one process for each worker, the model's weights in memory that all of them read.

Workers end with the process that made them, also where that is killed: each watches it. They take no notice of Ctrl-C,
which a terminal sends to all, but of SIGTERM: then they close their environments.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, reduction
from multiprocessing.context import BaseContext
from typing import Any, NoReturn

from thinkact.policies.crew import Crew, Event, Worker
from thinkact.policies.episode import Episode
from thinkact.policies.shared_tensors import OpenedObject, SharedObject

#: Seconds to close environments in; after that a worker is killed.
GRACE_S = 10.0
#: Episodes for each core from which a model samples more in a process per core. With fewer, every process reads all
#: weights for a few rows, and one with all cores was faster (`benchmarks/engine.py --parts processes`).
EPISODES_PER_CORE = 32


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def automatic(episodes: int | None = None) -> int:
    """Return how many processes sample best.

    Args:
        episodes: In flight at once, where a model of this machine writes for them.

    Returns:
        One per core. For a model it is one where there is a GPU, or fewer than 32 episodes for each core.
    """
    if episodes is None:
        return cores()
    import torch

    return 1 if torch.cuda.is_available() or episodes < EPISODES_PER_CORE * cores() else cores()


@dataclass(eq=False)
class _Process:
    """A worker as seen from here; ``told`` are the episodes of its present task."""

    process: Any
    line: connection.Connection
    told: dict[str, Episode] = field(default_factory=dict)


class ProcessCrew(Crew[_Process]):
    """Workers in processes of this machine.

    Args:
        make: Makes a worker, there. It is pickled; its tensors are shared instead.
        size: How many workers.
        threads: Of PyTorch, for each of them; by default an equal part of the cores.
        model: Whose parameters :meth:`play` may be given new values for; a part of ``make``.

    Raises:
        TypeError: ``make`` cannot be pickled.
        OSError: There is not enough memory for the weights.
    """

    def __init__(self, make: Callable[[], Worker], size: int, *, threads: int | None = None, model: Any = None) -> None:
        super().__init__(size)
        self._threads = threads or max(1, cores() // size)
        self._context = _context()
        self._shared = SharedObject(make)
        self._trained = {} if model is None else {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._views = {name: self._shared.view(parameter) for name, parameter in self._trained.items()}
        # They come up while others work.
        self._starting = [self._start() for _ in range(size)]

    @property
    def pids(self) -> list[int]:
        """Ids of the processes."""
        return [each.process.pid for each in (*self._idle, *self._starting, *self._busy)]

    def _start(self) -> _Process:
        mine, theirs = self._context.Pipe()
        process: Any = self._context.Process(  # type: ignore[attr-defined]
            target=_live,
            args=(theirs, _Descriptor(self._shared.descriptor), self._shared.opening, self._threads, dict(os.environ)),
            name="thinkact-worker",
            daemon=True,
        )
        process.start()
        theirs.close()
        return _Process(process, mine)

    def _publish(self, weights: Mapping[str, Any] | None) -> None:
        for name, value in (self._trained if weights is None else weights).items():
            self._views[name].copy_(value.detach())

    def _ask(self, worker: _Process, task: Any) -> None:
        worker.told.clear()
        with contextlib.suppress(OSError):  # it is dead: listening will tell
            worker.line.send(task)

    def _listen(self, timeout: float) -> Iterator[Event[_Process]]:
        lines = {each.line: each for each in (*self._starting, *self._busy)}
        for line in connection.wait(list(lines), timeout):
            worker = lines[line]  # type: ignore[index]
            try:
                kind, value = worker.line.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                worker.process.join(GRACE_S)
                yield Event(worker, "lost", _end_of(worker.process.exitcode))
                continue
            if kind == "episode":
                worker.told[value.id] = value
            elif kind == "done":
                ids, more = value
                value = [worker.told[each] for each in ids], more
            yield Event(worker, kind, value)

    def _end(self, workers: Sequence[_Process]) -> None:
        for each in workers:
            each.line.close()
            each.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for each in workers:
            each.process.join(max(0.0, deadline - time.monotonic()))
            if each.process.exitcode is None:
                each.process.kill()
                each.process.join()
            each.process.close()

    def close(self) -> None:
        """End all workers. Idempotent."""
        super().close()
        self._shared.close()


def _end_of(code: int | None) -> str:
    """Say how a worker ended, and what to do about it."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}. Is there enough memory? Fewer processes, or fewer episodes at once, take less."
    return f"ended with code {code}. What it printed says why; a script needs if __name__ == '__main__'."


def _context() -> BaseContext:
    """Return how processes are started: by a server that has imported the heavy parts once, where there is one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    heavy = ["thinkact.policies.hf"] if "thinkact.policies.hf" in sys.modules else []
    context.set_forkserver_preload(["thinkact.policies.crew_processes", "thinkact.policies.rollout", *heavy])
    return context


class _Descriptor:
    """A file descriptor that is handed on to a process that starts."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._number),)


def _received(handle: Any) -> int:
    return int(handle.detach())


# In the worker's process.


def _live(
    line: connection.Connection, descriptor: int, opening: tuple[int, int], threads: int, environment: dict[str, str]
) -> None:
    """Play tasks until the line is hung up."""
    # Not ignored: programs that are started here would inherit that.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch, name="watch", daemon=True).start()
    # The server that starts processes has the environment of its own beginning.
    os.environ.clear()
    os.environ.update(environment)
    worker: Worker | None = None
    try:
        shared = OpenedObject(descriptor, opening)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(threads)
        worker = shared.value()
        line.send(("ready", None))
        while True:
            task = line.recv()
            shared.refresh()
            episodes, more = worker.play(task, lambda episode: line.send(("episode", episode)))
            line.send(("done", ([episode.id for episode in episodes], more)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # hung up
    except Exception as error:
        with contextlib.suppress(OSError):
            line.send(("failed", _portable(error)))
    finally:
        if worker is not None:
            worker.close()


def _leave(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # once: what follows is closing
    raise SystemExit(0)


def _watch() -> None:
    """End with the process that made this one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return an error that can travel, with the place where it was raised as a note."""
    place = "".join(traceback.format_exception(error))
    try:
        found = pickle.loads(pickle.dumps(error))
        assert isinstance(found, type(error))
        sent: Exception = error
    except Exception:
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(f"In a worker process:\n{place}")
    return sent
