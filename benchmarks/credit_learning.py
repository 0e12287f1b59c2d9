"""Learning evidence on the diagnostic worlds: does credit that is right also learn faster, at the same cost?

    python benchmarks/credit_learning.py --quick              a minute
    python benchmarks/credit_learning.py --json --out benchmarks/results/credit_learning.json
    python benchmarks/credit_learning.py --horizon 16 --horizon 32 --arm grpo --arm memory_td --batches 80
    python benchmarks/credit_learning.py --policy tiny --world umbrella --horizon 8

Every arm (an estimator of credit) learns in every world from the same start by gradient ascent until the same budget of
environment steps is spent; steps of forked continuations count like any others, and a step takes the same tokens in all
arms. Better credit bears larger steps, so every arm's learning rate is the best of four for it, chosen on other seeds
(and on 8 turns only, or the shortest horizon asked for). `tabular` is a softmax table over observations, judged by its
*exact* return; `tiny` is the transformer of `thinkact train --preset tiny`, judged by the score of its batches.

A table moves at most `--kl` per update: the mean over the batch's turns of KL(before || after), to second order, as
trust regions bound it (TRPO, arXiv 1502.05477). Without that bound (`--kl 0`) most of these worlds are solved in three
huge steps whatever the credit: a table has separate entries for the turns that do not matter, and pushing those about
costs nothing. Under a bound, credit that falls on inert turns uses up what a step may change.

Figures, each with a 95 % interval of a bootstrap stratified by world and horizon (arXiv 2108.13264): IQM of the area
under the learning curve (share of the gain that exact gradient ascent finds, mean over the logarithm of the budget from
1 % on) and of the share of the budget needed to 90 % of it (1 where it is never reached); and the rank correlation of
the area with the credit's fidelity over arms that do not fork.

Runs are kept in a JSON-lines file and never repeated: an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import thinkact
from thinkact.envs.diagnostic.mdp import Floats, Mdp, along_the_way, softmax
from thinkact.envs.diagnostic.worlds import WORLDS, make_world
from thinkact.policies.advantages import DEFAULT_FORKS, ESTIMATORS, FORKING, REMEMBERING
from thinkact.policies.advantages_memory import TransitionMemory
from thinkact.policies.fidelity import METHODS, Drawn, Setting, draw, gradient_of, measure, with_forks

#: Arms by name; "name:n" forks from n turns of an episode only.
ARMS = (
    "grpo", "rloo", "gigpo", "turn_rtg", "grouped_gae", "state_rtg", "state_td", "memory_td", "vine", "vine_td",
    "vine_td:2", "tree",
)  # fmt: skip
TASKS, GROUP = {"tabular": 1, "tiny": 4}, 8
#: Learning rates of plain gradient ascent on logits, and the seeds on which an arm's is chosen. (Adam's steps have the
#: same size whatever the gradient is worth: with it, all arms learned alike.)
LRS, TUNING = (1.0, 4.0, 16.0, 64.0), (1000, 1001)
#: Points at which a curve is kept, as shares of the budget, on a logarithmic axis: gains come with its logarithm.
POINTS = np.geomspace(0.01, 1.0, 41)


class Run(NamedTuple):
    policy: str
    world: str
    horizon: int
    arm: str
    seed: int
    batches: int  # of the arms that do not fork; the budget is the steps these take at most
    lr: float  # of the table; the transformer has its preset's
    kl: float  # how far the table may move per update; 0: as far as it likes

    @property
    def budget(self) -> int:
        """Environment steps."""
        return self.batches * TASKS[self.policy] * GROUP * self.horizon


@lru_cache(maxsize=32)
def place(world: str, horizon: int) -> tuple[Mdp, float]:
    """Return the world and the best return that exact gradient ascent finds in it."""
    mdp = Mdp(make_world(world, horizon))
    return mdp, mdp.solve(softmax(along_the_way(mdp, 1.0))).j


def judge(drawn: Drawn, arm: str, rng: np.random.Generator, memory: TransitionMemory) -> tuple[Floats, int]:
    """Return the arm's advantages, shape (N, horizon), and the steps its forks took."""
    name, _, limit = arm.partition(":")
    if name not in FORKING | REMEMBERING:
        return METHODS[name](drawn, rng), 0
    if name in REMEMBERING:
        credit = replace(drawn.credit, memory=memory)
    else:
        credit = with_forks(drawn, DEFAULT_FORKS[name], rng, int(limit) if limit else None)
    whole = len(drawn.truth)
    out = np.zeros_like(drawn.truth)
    for row, values in zip(out, ESTIMATORS[name](credit), strict=False):
        row[: len(values)] = values
    return out, sum(len(rewards) for rewards in credit.rewards[whole:])


def learn_tabular(run: Run) -> list[float]:
    """Return the curve: the share of the possible gain reached at every point of the budget."""
    mdp, best = place(run.world, run.horizon)
    rng = np.random.default_rng([run.seed, run.horizon])
    # The same small noise for every arm: exactly uniform, some worlds have no gradient.
    logits = 0.1 * rng.standard_normal(mdp.uniform().shape)
    spent, memory = 0, TransitionMemory()
    at, reached = [0.0], [mdp.solve(softmax(logits)).j]
    while spent < run.budget:
        pi = softmax(logits)
        drawn = draw(mdp, pi, groups=TASKS[run.policy], group=GROUP, rng=rng)
        estimate, forked = judge(drawn, run.arm, rng, memory)
        spent += int(drawn.live.sum()) + forked
        gradient = gradient_of(drawn, estimate)
        logits = logits + min(run.lr, furthest(drawn, gradient, run.kl)) * gradient
        at.append(spent / run.budget)
        reached.append(mdp.solve(softmax(logits)).j)
    return gains(at, reached, reached[0], best)


def furthest(drawn: Drawn, gradient: Floats, kl: float) -> float:
    """Return the step along a gradient at which the batch's turns have moved by ``kl`` on average."""
    if kl <= 0:
        return math.inf
    # KL(p || p') of softmax tables is half the variance of the logits' change under p, to second order.
    centred = gradient - (drawn.pi * gradient).sum(axis=1, keepdims=True)
    moved = 0.5 * (drawn.pi * centred**2).sum(axis=1)[drawn.mdp.observation[drawn.sample.states[drawn.live]]].mean()
    return math.sqrt(kl / moved) if moved > 0 else math.inf


def gains(at: list[float], reached: list[float], low: float, best: float) -> list[float]:
    """Return what is reached at every point of the budget; what a batch brings counts once it is paid for."""
    where = np.searchsorted(np.asarray(at), POINTS + 1e-12, side="right") - 1
    return [round(float((reached[i] - low) / max(best - low, 1e-9)), 4) for i in where]


def learn_tiny(run: Run, folder: Path) -> list[float]:
    """The same with the transformer, after the preset's imitation; its curve is the score of the batches it plays."""
    from thinkact.policies.config import make_config
    from thinkact.policies.training import Trainer

    name, _, limit = run.arm.partition(":")
    forks = {"fork_turns": int(limit)} if limit else {}
    turns = int(limit) if limit else run.horizon
    cost = 1 + DEFAULT_FORKS.get(name, 0) * turns * (run.horizon + 1) / 2 / run.horizon if name in FORKING else 1.0
    overrides = {
        "seed": run.seed,
        "env.kwargs": {"world": run.world, "horizon": run.horizon},
        "sample.max_len": 160 + 48 * run.horizon,
        "eval.tasks": 8,
        "threads": 1,
        "rl": {
            "estimator": name,
            "steps": max(2, round(run.batches / cost)),
            "tasks_per_step": TASKS[run.policy],
            # Where all attempts of a group fare alike, earlier ones may have fared otherwise.
            "filter": name not in REMEMBERING,
            **forks,
        },
    }
    path = folder / f"{run.world}-{run.horizon}-{run.arm.replace(':', '_')}-{run.seed}"
    Trainer(make_config("tiny", overrides=overrides), path, resume=(path / "config.json").is_file()).run()
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["stage"] == "rl"]
    spent = np.cumsum([row["turns"] * row["episodes"] + row.get("fork_steps", 0.0) for row in steps])
    # A batch's score is of the policy before it learned from it.
    at = [0.0, *(spent[:-1] / run.budget).tolist()]
    _, best = place(run.world, run.horizon)
    return gains(at, [row["score"] for row in steps], 0.0, best)


def learn(run: Run, folder: Path) -> tuple[Run, list[float]]:
    return run, learn_tabular(run) if run.policy == "tabular" else learn_tiny(run, folder)


def fidelity(world: str, horizon: int) -> tuple[str, int, dict[str, float]]:
    names = {arm.partition(":")[0] for arm in ARMS}
    found = measure(Setting(world, horizon), batches=8, methods=names)
    return world, horizon, {name: value.cosine for name, value in found.items()}


# Figures.


def iqm(values: Floats) -> float:
    """Return the mean of the middle half."""
    ordered = np.sort(values.ravel())
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def with_interval(table: Floats, rng: np.random.Generator) -> list[float]:
    """IQM of a table (settings, seeds) with its 95 % interval: seeds are drawn anew within every setting."""
    settings, seeds = table.shape
    drawn = rng.integers(seeds, size=(500, settings, seeds))
    again = [iqm(np.take_along_axis(table, one, axis=1)) for one in drawn]
    low, high = np.quantile(again, [0.025, 0.975])
    return [round(iqm(table), 4), round(float(low), 4), round(float(high), 4)]


def ranks(values: Iterable[float]) -> Floats:
    return np.argsort(np.argsort(np.asarray(list(values)))).astype(float)


def against(other: Floats, mine: Floats, rng: np.random.Generator) -> list[float]:
    """How many times as much another arm needed, seeds against seeds, with the 95 % interval of a bootstrap."""
    again = [iqm(rng.choice(other, len(other))) / iqm(rng.choice(mine, len(mine))) for _ in range(1000)]
    low, high = np.quantile(again, [0.025, 0.975])
    return [round(iqm(other) / iqm(mine), 3), round(float(low), 3), round(float(high), 3)]


def report(curves: dict[Run, list[float]], cosines: dict[tuple[str, int], dict[str, float]]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    episodes = {run.horizon: run.budget / run.horizon for run in curves}
    to_90: dict[str, Floats] = {}
    places = sorted({(run.world, run.horizon) for run in curves})
    arms = [arm for arm in ARMS if any(run.arm == arm for run in curves)]
    seeds = sorted({run.seed for run in curves})
    table = {arm: np.zeros((len(places), len(seeds), len(POINTS))) for arm in arms}
    for run, curve in curves.items():
        table[run.arm][places.index((run.world, run.horizon)), seeds.index(run.seed)] = curve
    out: dict[str, Any] = {"arms": {}, "places": {}}
    for arm in arms:
        area = table[arm].mean(axis=2)
        there = table[arm] >= 0.9
        needed = np.where(there.any(axis=2), POINTS[there.argmax(axis=2)], 1.0)
        to_90[arm] = needed
        long = [i for i, (_, horizon) in enumerate(places) if horizon >= 16]
        out["arms"][arm] = {
            "area": with_interval(area, rng),
            "area_16_and_more": with_interval(area[long], rng) if long else None,
            "budget_to_90": with_interval(needed, rng),
            "reached_90": round(float(there.any(axis=2).mean()), 4),
            "final": with_interval(table[arm][:, :, -1], rng),
            "curve": [round(iqm(table[arm][:, :, i]), 4) for i in range(len(POINTS))],
        }
        for i, (world, horizon) in enumerate(places):
            figures = {
                "area": round(float(area[i].mean()), 4),
                "reached_90": round(float(there[i].any(axis=1).mean()), 4),
                "episodes_to_90": round(iqm(needed[i]) * episodes[horizon], 1),
            }
            if "grpo" in to_90:
                figures["grpo_needs_times"] = against(to_90["grpo"][i], needed[i], rng)
            out["places"].setdefault(f"{world}/{horizon}", {})[arm] = figures
    # Arms that cost nothing more: forks buy fidelity with budget, which is another question.
    plain = [arm for arm in arms if arm not in FORKING and ":" not in arm]
    found = []
    for i, key in enumerate(places):
        if key in cosines and len(plain) > 2:
            a, b = ranks(cosines[key][arm] for arm in plain), ranks(table[arm][i].mean() for arm in plain)
            found.append(float(np.corrcoef(a, b)[0, 1]))
    if found:
        drawn = np.array(found)[rng.integers(len(found), size=(1000, len(found)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        values = (np.mean(found), low, high)
        out["rank_correlation_with_fidelity"] = [round(float(v), 4) for v in values]
    return out


def finish(pool: ProcessPoolExecutor, wanted: list[Run], folder: Path) -> dict[Run, list[float]]:
    """Do the runs that are not done yet; return the curves of all that are wanted."""
    kept = folder / "runs.jsonl"
    done: dict[Run, list[float]] = {}
    for line in kept.read_text().splitlines() if kept.is_file() else []:
        try:
            run, curve = json.loads(line)
        except ValueError:  # cut off
            continue
        done[Run(*run)] = curve
    waiting = [pool.submit(learn, run, folder) for run in wanted if run not in done]
    with kept.open("a") as file:
        if kept.stat().st_size and not kept.read_bytes().endswith(b"\n"):
            file.write("\n")
        for number, future in enumerate(as_completed(waiting), 1):
            run, curve = future.result()
            done[run] = curve
            file.write(json.dumps([list(run), curve]) + "\n")
            file.flush()
            if sys.stderr.isatty():
                print(f"\r{number} of {len(waiting)} runs", end="", file=sys.stderr)
    return {run: done[run] for run in wanted}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", choices=["tabular", "tiny"], default="tabular")
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="repeatable; default all")
    parser.add_argument("--horizon", action="append", type=int, help="repeatable; default 4, 8, 16, 32")
    parser.add_argument("--arm", action="append", choices=ARMS, help="repeatable; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=120, help="budget: batches of an arm that does not fork")
    parser.add_argument("--kl", type=float, default=0.01, help="trust region of an update of the table; 0: none")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=Path, default=Path("runs/credit-learning"), help="folder of what is done")
    parser.add_argument("--quick", action="store_true", help="three worlds, 8 turns, two seeds, a short budget")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()
    worlds = args.world or (["umbrella", "maze", "stopping"] if args.quick else list(WORLDS))
    horizons = args.horizon or ([8] if args.quick else [4, 8, 16, 32])
    seeds, batches = (min(args.seeds, 2), min(args.batches, 30)) if args.quick else (args.seeds, args.batches)
    arms = args.arm or list(ARMS)
    args.runs.mkdir(parents=True, exist_ok=True)
    tuning = 8 if 8 in horizons else min(horizons)
    start = time.perf_counter()
    with ProcessPoolExecutor(args.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        best = dict.fromkeys(arms, 0.0)
        if args.policy == "tabular":
            trial = {
                (arm, lr): [
                    Run("tabular", world, tuning, arm, seed, batches, lr, args.kl)
                    for world in worlds
                    for seed in TUNING
                ]
                for arm in arms
                for lr in LRS
            }
            curves = finish(pool, [run for runs in trial.values() for run in runs], args.runs)
            for arm in arms:
                best[arm] = max(LRS, key=lambda lr: np.mean([curves[run] for run in trial[arm, lr]]))
        measured = [pool.submit(fidelity, world, horizon) for world in worlds for horizon in horizons]
        wanted = [
            Run(
                args.policy, world, horizon, arm, seed, batches, best[arm], args.kl if args.policy == "tabular" else 0.0
            )
            for horizon in sorted(horizons, reverse=True)
            for world in worlds
            for arm in arms
            for seed in range(seeds)
        ]
        done = finish(pool, wanted, args.runs)
        cosines = {(world, horizon): found for world, horizon, found in (each.result() for each in measured)}
    record = {
        "benchmark": "credit_learning",
        "thinkact": thinkact.__version__,
        "machine": f"{platform.machine()}, {args.workers} workers",
        "policy": args.policy,
        "settings": {
            "seeds": seeds,
            "batches": batches,
            "tasks": TASKS[args.policy],
            "group": GROUP,
            "lr": best,
            "kl": args.kl,
        },
        "seconds": round(time.perf_counter() - start, 1),
        **report(done, cosines),
    }
    text = json.dumps(record, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
        return 0
    print("\narm            area under the curve   16 turns and more      share of the budget to 90 %   reached")
    for arm, figures in record["arms"].items():
        cells = [figures["area"], figures["area_16_and_more"], figures["budget_to_90"]]
        texts = ["{:.2f} [{:.2f}, {:.2f}]".format(*cell) if cell else "-" for cell in cells]
        print(f"{arm:14s} {texts[0]:22s} {texts[1]:22s} {texts[2]:29s} {figures['reached_90']:.0%}")
    print("rank correlation with fidelity:", record.get("rank_correlation_with_fidelity"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
