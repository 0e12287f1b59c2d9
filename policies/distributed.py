"""The processes of a run on several devices: who they are, what they share out, what they tell each other.

Every process runs the same program on the same episodes and comes to the same decisions; only work is divided: shards
of tasks when a batch is played, rows when it is learned from. What is told: episodes once per batch, figures, and
the gradient. One process alone is the same program with nothing to tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from thinkact.policies.episode import Episode
from thinkact.policies.rundir import RunDir, RunError

T = TypeVar("T")
R = TypeVar("R")

#: How long a process waits for the others: longer than the slowest share of a batch, for one that hangs. One that
#: dies is noticed at once.
PATIENCE = timedelta(hours=1)
#: Elements of gradients that travel together.
BUCKET = 8_000_000


class FirstFailed(RunError):
    """Raised on the other processes where the first one failed; the first one's own error says all."""


class LostProcess(RunError):
    """Another process of the run is gone; the message says how to go on."""


class Ranks:
    """The processes of a run, and which of them this is. Collective calls must be made by all of them, in one order.

    Args:
        rank: Number of this process.
        size: How many there are.
        owned: Whether :meth:`close` ends the process group.
        group: Whom it speaks in; by default the group of all.
    """

    def __init__(self, rank: int = 0, size: int = 1, *, owned: bool = False, group: Any = None) -> None:
        self.rank, self.size, self._owned, self._group = rank, size, owned, group
        self._telling = False

    @classmethod
    def join(cls) -> Ranks:
        """Return the processes that a launcher started (``torchrun``, ``accelerate launch``), or this one alone.

        Tensors travel by NCCL between GPUs and by gloo between CPUs, all else by gloo.

        Raises:
            RunError: A machine has fewer GPUs than processes.
        """
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        if not launched():
            return cls()
        backend = "gloo"
        if torch.cuda.is_available():
            local = int(os.environ.get("LOCAL_RANK", "0"))
            if local >= torch.cuda.device_count():
                raise RunError(f"Process {local} of this machine has no GPU: there are {torch.cuda.device_count()}.")
            torch.cuda.set_device(local)
            backend = "cpu:gloo,cuda:nccl"
        dist.init_process_group(backend, timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size(), owned=True)

    def close(self) -> None:
        """Leave; call it where all went well, for one that failed must not wait for the others. Idempotent."""
        if self._owned:
            self._owned = False
            dist.destroy_process_group()

    def apart(self) -> Ranks:
        """Return the same processes with a line of their own, for what another thread tells."""
        return self if self.size == 1 else Ranks(self.rank, self.size, group=dist.new_group(backend="gloo"))

    @property
    def is_first(self) -> bool:
        """Whether this process keeps the run's folder and says how it goes."""
        return self.rank == 0

    @property
    def local_size(self) -> int:
        """How many of the processes share this machine."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.size)) if self.size > 1 else 1

    def gathered(self, value: T) -> list[T]:
        """Return every process's value, in order of rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self._group)
        return found

    def first(self, do: Callable[[], T]) -> T:
        """Have the first process do something, and return on all what it returned. It may do so meanwhile again.

        Raises:
            FirstFailed: On the others, when the first one failed.
        """
        if self.size == 1 or self._telling:
            return do()
        told: list[Any] = [None, None]
        if not self.is_first:
            dist.broadcast_object_list(told, src=0)
            if told[1] is not None:
                raise FirstFailed(told[1])
            return cast(T, told[0])
        self._telling = True
        try:
            told[0] = do()
        except Exception as error:
            told[1] = f"{type(error).__name__}: {error}"
            dist.broadcast_object_list(told, src=0)
            raise
        finally:
            self._telling = False
        dist.broadcast_object_list(told, src=0)
        return cast(T, told[0])

    def any(self, flag: bool) -> bool:
        """Whether it is so for one of the processes."""
        if self.size == 1:
            return flag
        told = torch.tensor(int(flag))
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def part(self, tasks: int) -> int | None:
        """Return how many tasks make a shard, such that each process has one; None for one process."""
        return None if self.size == 1 else -(-tasks // self.size)

    def spread(
        self,
        items: Sequence[T],
        do: Callable[[T], R],
        *,
        idle: Callable[[], None] = lambda: None,
        elsewhere: Callable[[R], None] = lambda result: None,
    ) -> list[R]:
        """Do something with every item, each on one of the processes; return all results in order, on all.

        Args:
            items: The same ones on all.
            do: What.
            idle: Called in its place where this process has one item less than others.
            elsewhere: Called with every result of the others.
        """
        mine = [do(item) for item in items[self.rank :: self.size]]
        if len(mine) < -(-len(items) // self.size):
            idle()
        done = self.gathered(mine)
        for rank, results in enumerate(done):
            for result in results if rank != self.rank else ():
                elsewhere(result)
        return [result for row in zip_longest(*done, fillvalue=_NOTHING) for result in row if result is not _NOTHING]

    def even(self, passes: Iterable[T]) -> Iterator[T | None]:
        """Yield this process's passes, then None as long as another one has some: equal counts on all."""
        own = iter(passes)
        while True:
            mine = next(own, None)
            if not self.any(mine is not None):
                return
            yield mine

    def summed(self, figures: dict[str, float]) -> dict[str, float]:
        """Return the sums of figures over all processes; one that a process lacks counts as 0 there."""
        total: dict[str, float] = {}
        for each in self.gathered(figures):
            for name, value in each.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def share(self, sizes: Sequence[int]) -> list[int]:
        """Return which items are this process's, such that the processes' sums of sizes are close.

        The largest first, each to whom has least so far (LPT: Graham 1969, SIAM J. Appl. Math. 17).
        """
        if self.size == 1:
            return list(range(len(sizes)))
        loads = [0] * self.size
        mine: list[int] = []
        for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
            rank = loads.index(min(loads))
            loads[rank] += sizes[i]
            if rank == self.rank:
                mine.append(i)
        return sorted(mine)

    @torch.no_grad()
    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Put the sum over all processes in every gradient's place; one that nobody has stays None."""
        if self.size == 1:
            return
        has = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
        dist.all_reduce(has)
        found = []
        for parameter, count in zip(parameters, has.tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                found.append(parameter.grad)
        for bucket in _buckets(found):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def explain(self, error: RuntimeError) -> None:
        """Say of an error that it means a broken connection, if it does.

        Raises:
            LostProcess: It does.
        """
        told = str(error)
        broken = isinstance(error, dist.DistError) or "gloo" in told or "NCCL" in told
        if self.size == 1 or isinstance(error, RunError) or not broken:
            return
        raise LostProcess(
            f"Process {self.rank} of {self.size} has lost another one, which was killed, failed, or did not answer for "
            f"{PATIENCE.total_seconds() / 60:.0f} minutes; what that one said last tells why. Go on with --resume, "
            "with any number of devices."
        ) from error


_NOTHING: Any = object()


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 and "RANK" in os.environ and "MASTER_ADDR" in os.environ


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group gradients of one type that travel together."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(g.numel() for g in bucket) + gradient.numel() > BUCKET
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


class SharedRunDir(RunDir):
    """A run's folder as all processes of the run see it: the first one reads and writes, and tells what it read.

    Args:
        ranks: The processes.
        path: See :class:`~thinkact.policies.rundir.RunDir`.
        config: See there.
        resume: See there.

    Raises:
        RunError: See there; on the other processes :class:`FirstFailed`.
    """

    _mapped = True

    def __init__(self, ranks: Ranks, path: Path, config: dict[str, Any], *, resume: bool) -> None:
        self._ranks, self.path = ranks, path
        ranks.first(lambda: RunDir.__init__(self, path, config, resume=resume))

    def close(self) -> None:
        """Release the lock. Idempotent."""
        if self._ranks.is_first:
            super().close()

    def save_episodes(self, name: str, episodes: Iterable[Episode]) -> None:
        """Have the first process write them."""
        if self._ranks.is_first:
            super().save_episodes(name, episodes)

    def load_episodes(self, name: str) -> list[Episode] | None:
        """Return what the first process finds."""
        return self._ranks.first(lambda: RunDir.load_episodes(self, name))

    def log(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Have the first process write it."""
        if self._ranks.is_first:
            super().log(stage, step, values)

    def rewind_metrics(self, stage: str, step: int) -> None:
        """Have the first process do it."""
        if self._ranks.is_first:
            super().rewind_metrics(stage, step)

    def begun(self, stage: str) -> bool:
        """Return what the first process finds."""
        return self._ranks.first(lambda: RunDir.begun(self, stage))

    def save_checkpoint(self, stage: str, step: int, state: dict[str, Any]) -> Path | None:
        """Have the first process write it."""
        return super().save_checkpoint(stage, step, state) if self._ranks.is_first else None

    def checkpoint_path(self, stage: str) -> Path | None:
        """Return what the first process finds, which also looks whether it is whole."""
        return self._ranks.first(lambda: RunDir.checkpoint_path(self, stage))
