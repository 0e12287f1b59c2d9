"""A line through what a soak has seen, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Student's t, two-sided 95 %, for a line through so many blocks.
BLOCKS, T = 10, 2.306


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit a line through the means of 10 blocks of points, whose errors are less alike than those of points.

    Returns:
        Its slope, and half the width of the slope's 95 % interval; infinite where there are too few points.
    """
    if len(points) < BLOCKS:
        return 0.0, float("inf")
    parts = np.array_split(np.array(points, dtype=float), BLOCKS)
    x, y = np.array([part.mean(axis=0) for part in parts]).T
    rise, offset = np.polyfit(x, y, 1)
    spread = float(((y - rise * x - offset) ** 2).sum()) / (BLOCKS - 2)
    return float(rise), T * float(np.sqrt(spread / ((x - x.mean()) ** 2).sum()))
