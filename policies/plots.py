"""What a run looks like: its learning curve as a picture.

The intervals are worked out by the caller: judging is not this room's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Evaluations in the order of a run.
STAGES = ("before", "imitation", "rl")
_COLOURS = {"before": "#8d99ae", "imitation": "#3a7ca5", "rl": "#d1495b"}
_LABELS = {"before": "before", "imitation": "after\nimitation", "rl": "after\nRL"}


@dataclass(frozen=True)
class Measured:
    """Success on held-out tasks with its 95 % interval, all between 0 and 1."""

    success: float
    low: float
    high: float


def smooth(values: Sequence[float], window: int = 5) -> NDArray[np.float64]:
    """Return the centred moving mean; towards the ends the window shrinks and stays centred."""
    array = np.asarray(values, dtype=np.float64)
    reach = [min(window // 2, at, len(array) - 1 - at) for at in range(len(array))]
    return np.asarray([array[at - r : at + r + 1].mean() for at, r in enumerate(reach)])


def learning_curve(
    metrics: Sequence[Mapping[str, Any]],
    held_out: Mapping[str, Measured],
    path: Path,
    *,
    title: str,
) -> Path:
    """Draw a run: held-out success at each stage, and the success of every batch of RL.

    Args:
        metrics: Rows of ``metrics.jsonl``.
        held_out: By evaluation name; ``before``, ``imitation`` and ``rl`` are drawn, as far as there.
        path: The PNG to write.
        title: Above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    rl = [row for row in metrics if row["stage"] == "rl"]
    # No pyplot: it would choose a display.
    figure = Figure(figsize=(9, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left", weight="bold")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.9), sharey=True)
    for axes in (left, right):
        axes.set_ylim(-0.03, 1.06)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#999999")
        axes.tick_params(color="#999999", labelsize=9)

    stages = [name for name in STAGES if name in held_out]
    for at, name in enumerate(stages):
        point = held_out[name]
        whiskers = [[point.success - point.low], [point.high - point.success]]
        left.errorbar(at, point.success, whiskers, fmt="o", color=_COLOURS[name], markersize=8, capsize=5, elinewidth=2)
        left.annotate(
            f"{100 * point.success:.0f} %",
            (at, point.success),
            xytext=(10, -3),
            textcoords="offset points",
            fontsize=9,
            color=_COLOURS[name],
            weight="bold",
        )
    left.set_xlim(-0.5, max(len(stages), 1) - 0.25)
    left.set_xticks(range(len(stages)), [_LABELS[name] for name in stages])
    left.set_title("held-out tasks, 95 % intervals", fontsize=10, loc="left")
    left.set_ylabel("solved")

    right.set_title("batches of reinforcement (training tasks)", fontsize=10, loc="left")
    right.set_xlabel("step")
    right.tick_params(labelleft=False)
    if rl:
        steps = [row["step"] + 1 for row in rl]
        success = [row["success"] for row in rl]
        score = smooth([row["score"] for row in rl])
        right.plot(steps, score, color="#c9a227", linewidth=1.5, linestyle="--", label="score (partial credit)")
        right.plot(steps, success, "o", color=_COLOURS["rl"], alpha=0.35, markersize=5, label="solved, each batch")
        right.plot(steps, smooth(success), color=_COLOURS["rl"], linewidth=2.4, label="solved, moving mean")
        right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        right.legend(frameon=False, fontsize=9, loc="lower right")
    else:
        right.text(0.5, 0.5, "no reinforcement in this run", transform=right.transAxes, ha="center", color="#999999")
        right.set_xticks([])
    work = path.with_name(f".{path.name}.part")
    figure.savefig(work, format="png")
    work.rename(path)
    return path
