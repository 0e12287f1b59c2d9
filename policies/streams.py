"""The streams of random numbers of a run: each is a function of its seed, what it is for, and where in the run."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for."""

    EXPERT = 0
    SHUFFLE = 1
    TASKS = 2
    SAMPLING = 3
    FORKS = 4
    OWN = 5


def stream(seed: int, *parts: int) -> int:
    """Return the seed of a stream, for example ``stream(config.seed, Stream.TASKS, step)``."""
    return int(np.random.SeedSequence((seed, *parts)).generate_state(1)[0])
