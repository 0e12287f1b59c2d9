"""The credit benchmark: every estimator in every diagnostic world, as records, summaries and pictures."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from thinkact.envs.diagnostic.worlds import WORLDS
from thinkact.policies.fidelity import METHODS, Fidelity, Setting, measure

#: More than matplotlib's ten, so that no two lines look alike.
_COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2",
    "#7f7f7f", "#bcbd22", "#17becf", "#aec7e8", "#ffbb78", "#d62728", "#98df8a", "#9edae5", "#c5b0d5", "#393b79",
)  # fmt: skip
HORIZONS, GROUPS, SHARES = (4, 8, 16, 32), (2, 4, 8, 16), (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Cell:
    """One setting with what every method scored in it."""

    setting: Setting
    methods: dict[str, Fidelity]

    def as_dict(self) -> dict[str, Any]:
        """Return plain figures for JSON."""
        found = {name: fidelity.as_dict() for name, fidelity in self.methods.items()}
        return {**asdict(self.setting), "methods": found}


def settings(
    *,
    worlds: Sequence[str] = tuple(WORLDS),
    horizons: Sequence[int] = HORIZONS,
    groups: Sequence[int] = GROUPS,
    shares: Sequence[float] = SHARES,
) -> list[Setting]:
    """Return the cells: horizons × shares at a group of 8, and group sizes at the longest horizon up to 16.

    Group sizes are swept half-way through learning only: the full product would cost much and say little more.
    """
    middle = 8 if 8 in groups else groups[-1]
    found = [Setting(world, horizon, middle, share) for world, horizon, share in product(worlds, horizons, shares)]
    sweep = max((h for h in horizons if h <= 16), default=horizons[0])
    half = min(shares, key=lambda share: abs(share - 0.5))
    found += [Setting(world, sweep, group, half) for world, group in product(worlds, groups) if group != middle]
    return found


def run(cells: Sequence[Setting], *, batches: int, tasks: int, seed: int, workers: int) -> Iterator[Cell]:
    """Measure all cells, in whatever order they end; every figure depends on its setting and the seed alone."""
    job = partial(measure, batches=batches, tasks=tasks, seed=seed)
    if workers <= 1 or len(cells) == 1:
        for setting in cells:
            yield Cell(setting, job(setting))
        return
    with ProcessPoolExecutor(min(workers, len(cells)), mp_context=multiprocessing.get_context("spawn")) as pool:
        # The long ones first, so that no worker is left with one of them at the end.
        waiting = {pool.submit(job, setting): setting for setting in sorted(cells, key=lambda s: -s.horizon * s.group)}
        try:
            for done in as_completed(waiting):
                yield Cell(waiting[done], done.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def mean_of(cells: Iterable[Cell], name: str, figure: Callable[[Fidelity], float | None]) -> float:
    """Return the mean of a figure of one method over cells, without those where it is not defined."""
    values = [value for cell in cells if (value := figure(cell.methods[name])) is not None]
    return float(np.mean(values)) if values else float("nan")


def gain_over(cells: Sequence[Cell], name: str, other: str) -> tuple[float, float, float]:
    """Return by how much a method's cosine is above another's, with a 95 % bootstrap interval over worlds."""
    worlds = sorted({cell.setting.world for cell in cells})
    each = np.array(
        [
            np.mean([c.methods[name].cosine - c.methods[other].cosine for c in cells if c.setting.world == world])
            for world in worlds
        ]
    )
    drawn = np.random.default_rng(0).integers(len(each), size=(2000, len(each)))
    low, high = np.quantile(each[drawn].mean(axis=1), [0.025, 0.975])
    return float(each.mean()), float(low), float(high)


def draw_picture(cells: Sequence[Cell], path: Path) -> Path:
    """Draw cosine against horizon, one panel per world, into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    half = min({cell.setting.share for cell in cells}, key=lambda share: abs(share - 0.5))
    group = max({cell.setting.group for cell in cells}, key=lambda g: sum(c.setting.group == g for c in cells))
    shown = [cell for cell in cells if cell.setting.share == half and cell.setting.group == group]
    worlds = [world for world in WORLDS if any(cell.setting.world == world for cell in shown)]
    names = [name for name in METHODS if name not in ("(shuffled)", "(position)")]
    columns = min(3, len(worlds))
    rows = -(-len(worlds) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows + 0.6), dpi=130, layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    for axis, world in zip(axes, worlds, strict=False):
        own = sorted((cell for cell in shown if cell.setting.world == world), key=lambda cell: cell.setting.horizon)
        turns = [cell.setting.horizon for cell in own]
        for number, name in enumerate(names):
            axis.plot(
                turns,
                [cell.methods[name].cosine for cell in own],
                label=name,
                color="black" if name == "(truth)" else _COLOURS[number % len(_COLOURS)],
                linestyle=":" if name == "(truth)" else "-",
                marker="os^vD*"[number // 2 % 6],
                markersize=4,
                linewidth=1.2,
            )
        axis.set_title(world, fontsize=10)
        axis.set_xscale("log", base=2)
        axis.set_xticks(turns, [str(turn) for turn in turns])
        axis.grid(alpha=0.3)
    for axis in axes[len(worlds) :]:
        axis.set_axis_off()
    figure.supylabel("cosine with the exact policy gradient")
    figure.supxlabel(f"turns (groups of {group}, half-way through learning)" if half == 0.5 else "turns")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)  # savefig needs a canvas; pyplot would choose a display
    figure.savefig(path)
    return path
