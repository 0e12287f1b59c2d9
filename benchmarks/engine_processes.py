"""The arm "engine, a process per core" of `engine.py`: the same rollouts, their groups dealt out to processes."""

from __future__ import annotations

import copy
import time
from functools import partial
from typing import Any

import torch

from thinkact.policies.crew import Tell
from thinkact.policies.crew_processes import ProcessCrew
from thinkact.policies.engine import Engine
from thinkact.policies.episode import Episode


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
