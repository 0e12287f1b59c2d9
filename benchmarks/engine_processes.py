"""The arm "engine, a process per core" of `engine.py`: the same rollouts, their groups dealt out to processes."""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from thinkact.policies.crew import Tell
from thinkact.policies.crew_processes import ProcessCrew
from thinkact.policies.engine import Engine
from thinkact.policies.episode import Episode

#: Episodes per core: few, as where a run's concurrency is small, and many.
EACH = (8, 32)


class EngineWorker:
    """An engine in a process of its own; a task is the turns of some episodes."""

    def __init__(self, model: Any, slots: int, max_len: int, dtype: torch.dtype, turns: Any) -> None:
        self._engine = Engine(model, max_slots=slots, max_len=max_len, dtype=dtype)
        self._turns = turns

    def play(self, task: Any, tell: Tell) -> tuple[list[Episode], Any]:
        """Play a part of a workload; return the tokens prefilled."""
        _, prefilled = self._turns(self._engine, task)
        return [], prefilled

    def close(self) -> None:
        """Nothing is held."""


class PerCore:
    """One engine per core. Use as a context manager.

    Args:
        model: Whose weights all of them read.
        processes: How many, one thread each.
        slots: Episodes in all.
        max_len: Tokens of one.
        dtype: Of inference.
        turns: Plays a workload with an engine, there.
    """

    def __init__(self, model: Any, processes: int, slots: int, max_len: int, dtype: torch.dtype, turns: Any) -> None:
        make = partial(EngineWorker, model, slots, max_len, dtype, turns)
        self.crew = ProcessCrew(make, processes, threads=1)

    def __enter__(self) -> PerCore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.crew.close()

    def play(self, work: Any, group: int) -> tuple[float, int]:
        """Return the seconds of a rollout, and how many tokens were prefilled."""
        tasks = dealt(work, self.crew.size, group)
        start = time.perf_counter()
        found = self.crew.play(tasks)
        return time.perf_counter() - start, sum(prefilled for _, prefilled in found.parts)


def dealt(work: Any, parts: int, group: int) -> list[Any]:
    """Deal a workload's groups out; a group stays together, for its prompt is computed once."""
    found = []
    for part in range(parts):
        chosen = [at for at in range(work.episodes) if at // group % parts == part]
        if chosen:
            share = copy.copy(work)
            share.episodes, share.prompts = len(chosen), [work.prompts[at] for at in chosen]
            share.results = [[row[at] for at in chosen] for row in work.results]
            found.append(share)
    return found


def processes(
    model: Any,
    dtype: torch.dtype,
    args: argparse.Namespace,
    workload: Callable[..., Any],
    turns: Any,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Compare one process with all cores and one process per core, taking turns, in rollouts of 2 turns.

    Args:
        model: Whose engine it is.
        dtype: Of inference.
        args: The command's.
        workload: Makes a workload of a vocabulary, episodes, turns, the length of results, and a seed.
        turns: Plays one with an engine.
        say: Told of every row.
    """
    model = model.to(dtype)
    vocabulary, weights = int(model.get_input_embeddings().weight.shape[0]), sum(p.numel() for p in model.parameters())
    rows = []
    for each in EACH[:1] if args.quick else EACH:
        episodes = each * args.processes
        work = workload(vocabulary, episodes, 2, (40, 40), seed=episodes)
        engine = Engine(model, max_slots=episodes, max_len=work.longest + 8, dtype=dtype)
        one, apart = [], []
        with PerCore(model, args.processes, episodes, work.longest + 8, dtype, turns) as crew:
            crew.play(work, 8)  # they are up, and both sides have their kernels
            turns(engine, work)
            for _ in range(args.rounds):
                one.append(sum(turns(engine, work)[0]))
                apart.append(crew.play(work, 8)[0])
        row = {
            "weights_mb": round(weights * dtype.itemsize / 1e6),
            "episodes": episodes,
            "one_process_s": round(statistics.median(one), 3),
            "per_core_s": round(statistics.median(apart), 3),
            "per_core_over_one": round(statistics.median(o / a for o, a in zip(one, apart, strict=True)), 2),
        }
        rows.append(row)
        say(f"processes, {episodes} episodes: a process per core is {row['per_core_over_one']}x one process")
    return rows
