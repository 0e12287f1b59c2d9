"""Figures of ``learning_estimators.py``: what is read off its runs, as numbers and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from credit_learning import place as exact
from credit_learning import ranks, with_interval
from numpy.typing import NDArray

from thinkact.policies.advantages import CRITIC, FORKING
from thinkact.policies.fidelity import Setting, measure

Table = NDArray[np.float64]
#: The arm that others are compared with.
REFERENCE = "grpo"
STAGES = ("start", "middle", "end")


class Place(NamedTuple):
    """Where is learned: a configuration; what differs in reinforcement; of the diagnostic worlds which, how long."""

    config: dict[str, Any]
    practice: dict[str, Any] = {}
    worlds: tuple[str, ...] = ()
    horizon: int = 0

    @property
    def best(self) -> float:
        """The best score that one can expect who does not know the luck."""
        return statistics.fmean(exact(world, self.horizon)[1] for world in self.worlds) if self.worlds else 1.0


class Run(NamedTuple):
    place: str
    arm: str
    seed: int
    settings: str  # a digest: what was run with other settings is another run


def spread(values: Table, rng: np.random.Generator) -> list[float]:
    """Mean over seeds with its 95 % interval of a bootstrap over seeds."""
    again = rng.choice(values, (2000, len(values))).mean(axis=1)
    return [round(float(v), 4) for v in (values.mean(), *np.quantile(again, [0.025, 0.975]))]


def area(result: dict[str, Any]) -> float:
    return statistics.fmean([*result["score"][1:], result["held_out"]["end"]["score"]])


def batches_to(result: dict[str, Any], best: float) -> int:
    """Batches played until three in a row are half-way to the best on average; one more than all where none are."""
    scores, start = result["score"], result["held_out"]["start"]["score"]
    target = start + 0.5 * (best - start)
    means = [statistics.fmean(scores[at : at + 3]) for at in range(len(scores) - 2)]
    return next((at + 3 for at, mean in enumerate(means) if mean >= target), len(scores) + 1)


def report(done: Mapping[Run, dict[str, Any]], places: Mapping[str, Place]) -> dict[str, Any]:
    """Reduce runs to figures by place and arm, and over places."""
    rng = np.random.default_rng(0)
    by: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for run, result in done.items():
        by.setdefault(run.place, {}).setdefault(run.arm, {})[run.seed] = result
    out: dict[str, Any] = {"places": {}, "over_places": {}}
    for name, arms in by.items():
        cosines = fidelity(places[name], list(arms))
        shared = sorted(set.intersection(*(set(results) for results in arms.values())))
        figures: dict[str, Any] = {}
        for arm, results in arms.items():
            figures[arm] = of_arm(results, arms.get(REFERENCE, {}), places[name].best, rng)
            # A curve is for looking at arms side by side: of the same seeds.
            curves = [results[seed]["score"] for seed in shared]
            figures[arm]["curve"] = [round(float(v), 4) for v in np.mean(curves, axis=0)] if shared else []
            if arm in cosines:
                figures[arm]["cosine"] = cosines[arm]
        out["places"][name] = {"best_score": round(places[name].best, 4), "curve_seeds": shared, "arms": figures}
        if len(cosines) > 2 and REFERENCE in arms:
            # Arms may have other seeds; their differences to the reference compare all the same.
            gaps = [figures[arm].get("area_minus_grpo", [0.0])[0] for arm in cosines]
            correlation = np.corrcoef(ranks(cosines.values()), ranks(gaps))[0, 1]
            out["places"][name]["rank_correlation_with_fidelity"] = round(float(correlation), 4)
    for arm in {run.arm: None for run in done}:
        there = {name: arms for name, arms in by.items() if arm in arms and REFERENCE in arms}
        seeds = sorted(set.intersection(*({*a[arm]} & {*a[REFERENCE]} for a in there.values()))) if there else []
        if arm != REFERENCE and seeds:
            gap = [[area(a[arm][seed]) - area(a[REFERENCE][seed]) for seed in seeds] for a in there.values()]
            figure = with_interval(np.array(gap), rng)
            out["over_places"][arm] = {"places": list(there), "seeds": seeds, "area_minus_grpo": figure}
    return out


def of_arm(
    results: dict[int, dict[str, Any]], reference: dict[int, dict[str, Any]], best: float, rng: np.random.Generator
) -> dict[str, Any]:
    values = list(results.values())
    paired = [seed for seed in results if seed in reference]
    figures: dict[str, Any] = {
        "seeds": sorted(results),
        "area": spread(np.array([area(each) for each in values]), rng),
        "batches_to_half_way": spread(np.array([float(batches_to(each, best)) for each in values]), rng),
    }
    for stage in STAGES:
        for kind in ("score", "success"):
            figures[f"{kind}_{stage}"] = spread(np.array([each["held_out"][stage][kind] for each in values]), rng)
    for kind in ("env_steps", "fork_steps", "trained_tokens", "cpu_seconds"):
        figures[kind] = round(statistics.fmean(each[kind] for each in values))
    if paired and results is not reference:
        gaps = np.array([area(results[seed]) - area(reference[seed]) for seed in paired])
        ends = [results[s]["held_out"]["end"]["score"] - reference[s]["held_out"]["end"]["score"] for s in paired]
        figures["area_minus_grpo"] = spread(gaps, rng)
        figures["end_minus_grpo"] = spread(np.array(ends), rng)
        figures["ahead_of_grpo"] = [int((gaps > 0).sum()), len(gaps)]
    return figures


def fidelity(place: Place, arms: Sequence[str]) -> dict[str, float]:
    """Cosine with the exact gradient of arms that neither fork nor ask a critic, mean over the place's worlds."""
    names = [arm for arm in arms if place.worlds and arm not in FORKING | CRITIC]
    found = [measure(Setting(world, place.horizon), batches=8, methods=set(names)) for world in place.worlds]
    return {name: round(statistics.fmean(each[name].cosine for each in found), 4) for name in names if found}


def as_markdown(record: dict[str, Any]) -> str:
    """Return a table per place, as in ``docs/credit.md``."""

    def cell(values: Sequence[float] | None, sign: str = "") -> str:
        return "{:{s}.2f} [{:{s}.2f}, {:{s}.2f}]".format(*values, s=sign) if values else ""

    lines: list[str] = []
    for name, place in record["places"].items():
        lines += [
            f"\n`{name}` (at best {place['best_score']:.2f}; rank correlation with fidelity "
            f"{place.get('rank_correlation_with_fidelity', 'not known')}):\n",
            "| | seeds | score at the end | success at the end | area | area - `grpo` | ahead | steps |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for arm, figures in place["arms"].items():
            ahead = "{} of {}".format(*figures["ahead_of_grpo"]) if "ahead_of_grpo" in figures else ""
            cells = [
                f"`{arm}`",
                str(len(figures["seeds"])),
                *(cell(figures[kind]) for kind in ("score_end", "success_end", "area")),
                cell(figures.get("area_minus_grpo"), "+"),
                ahead,
                f"{figures['env_steps'] + figures['fork_steps']:,}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "\nOver places, area minus that of `grpo` (IQM):\n",
        "| | places | seeds | |",
        "| --- | --- | --- | --- |",
    ]
    for arm, figures in record["over_places"].items():
        gap = cell(figures["area_minus_grpo"], "+")
        lines.append(f"| `{arm}` | {', '.join(figures['places'])} | {len(figures['seeds'])} | {gap} |")
    return "\n".join(lines)


def draw(record: dict[str, Any], path: Path) -> None:
    """Draw the mean score of every batch, a panel per place."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from thinkact.policies.plots import smooth

    figure = Figure(figsize=(4.4 * len(record["places"]), 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, len(record["places"])))
    for axis, (name, place) in zip(axes, record["places"].items(), strict=True):
        for number, arm in enumerate(record["arms_settings"]):
            if arm not in place["arms"]:
                continue
            wide = 2.6 if arm in (REFERENCE, "memory_td") else 1.2
            axis.plot(smooth(place["arms"][arm]["curve"], 3), label=arm, color=f"C{number}", linewidth=wide)
        axis.axhline(place["best_score"], color="#999999", linestyle=":", linewidth=1)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("batches learned from")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("score of the batch")
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside right center", fontsize=8)
    figure.savefig(path)
