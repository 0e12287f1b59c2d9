"""Success against what it takes, as geometry for an inline drawing: all places in percent of its width and height."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from thinkact.leaderboard.pareto import Amount, Point, pareto
from thinkact.leaderboard.standings import Standing
from thinkact.leaderboard.statistics import Summary

AMOUNTS: tuple[Amount, ...] = ("tokens", "seconds", "cost", "turns")
#: Above this ratio of the largest amount to the smallest the axis is logarithmic.
_LOG_FROM = 12
#: Labels closer than this (percent of width, of height) would run into each other.
_LABEL = (16.0, 7.0)


#: Room for the names of the levels, percent of the width.
_MARGIN = 7.0


@dataclass(frozen=True)
class Mark:
    """One agent in the drawing.

    Attributes:
        point: What it stands for.
        x: Place from the left.
        y: Place from the top.
        low: Where the interval's lower end is, from the top.
        high: Its upper end.
        labelled: Its name fits beside it.
        left: The name stands to the left of the mark.
    """

    point: Point
    x: float
    y: float
    low: float
    high: float
    labelled: bool
    left: bool


@dataclass(frozen=True)
class Plot:
    """A drawing of success against one amount.

    Attributes:
        amount: What the axis shows, a mean per episode.
        marks: The agents, by rising amount.
        front: Segments (x1, y1, x2, y2) of the staircase through the agents that no other beats.
        ticks: Place and text of the axis' marks.
        logarithmic: The axis is.
    """

    amount: Amount
    marks: tuple[Mark, ...]
    front: tuple[tuple[float, float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool


def plots(agents: Iterable[Standing]) -> list[Plot]:
    """Return a drawing for each amount that at least two agents were measured by.

    Baselines are drawn and make no front: the expert knows the answers.
    """
    sides: dict[bool, list[tuple[str, Summary]]] = {False: [], True: []}
    for one in agents:
        sides[one.baseline].append((one.name, one.summary))
    drawn = []
    for of in AMOUNTS:
        references = [replace(point, front=False) for point in pareto(sides[True], of)]
        drawn.append(_plot([*pareto(sides[False], of), *references], of))
    return [plot for plot in drawn if len(plot.marks) > 1]


def _plot(points: list[Point], of: Amount) -> Plot:
    if not points:
        return Plot(of, (), (), (), False)
    amounts = [point.amount for point in points]
    smallest, largest = min(amounts), max(amounts)
    logarithmic = largest > _LOG_FROM * smallest
    scale = math.log10 if logarithmic else float
    low, high = scale(smallest), scale(largest)
    room = 0.03 * (high - low) or 0.1 * abs(low) or 1.0
    low, high = low - room, high + room
    if not logarithmic:
        low = max(0.0, low)

    def x(amount: float) -> float:
        return round(_MARGIN + (100 - _MARGIN) * (scale(amount) - low) / (high - low), 2)

    def y(share: float) -> float:
        return round(100 - 100 * share, 2)

    marks: list[Mark] = []
    placed: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda one: (not one.front, -one.success)):
        at = x(point.amount), y(point.success)
        free = all(abs(at[0] - px) > _LABEL[0] or abs(at[1] - py) > _LABEL[1] for px, py in placed)
        labelled = free and len(placed) < 24
        if labelled:
            placed.append(at)
        marks.append(Mark(point, *at, y(point.low), y(point.high), labelled, at[0] > 70))
    marks.sort(key=lambda mark: (mark.point.amount, -mark.point.success, mark.point.name))
    steps = [(mark.x, mark.y) for mark in marks if mark.point.front]
    front = []
    for (ax, ay), (bx, by) in zip(steps, steps[1:], strict=False):
        front += [(ax, ay, bx, ay), (bx, ay, bx, by)]
    if steps:
        front.append((*steps[-1], 100.0, steps[-1][1]))
    ticks = [(x(value), _text(value)) for value in _ticks(low, high, logarithmic)]
    return Plot(of, tuple(marks), tuple(front), tuple(ticks), logarithmic)


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        powers = range(math.ceil(low), math.floor(high) + 1)
        found = [10.0**power for power in powers]
        return (
            found
            if len(found) > 1
            else [
                f * 10.0**p
                for p in range(math.floor(low), powers.stop)
                for f in (1, 2, 5)
                if low <= math.log10(f * 10.0**p) <= high
            ]
        )
    raw = (high - low) / 4
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw)
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _text(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:.3g}"
