"""Learning beside TRL's: success against updates and against time, from the same small model, over several seeds.

    python benchmarks/trl_learning.py --json --out benchmarks/results/trl_learning.json
    python benchmarks/trl_learning.py --collect --plot trl_learning.png
    python benchmarks/trl_learning.py --quick                two updates an arm: does everything run?

The game of `trl_compare.py`, harder: a number from 1 to 10, and only four guesses count. A Llama of 0.4 M parameters
imitates players of whom one in five halves what is left and the others guess anything; from that very model every arm
takes the same number of updates. The same for all: tasks in the same order, attempts, budgets of turns and tokens, chat
template, sampling at temperature 1, one AdamW update on a whole batch (beta 0.9 and 0.99, no decay, gradients clipped
to norm 1), peak learning rate and warm-up, fp32, one thread, a process of its own. TRL's rate then falls linearly to 0
and ours to a tenth. TRL's arm is GRPO as GRPOConfig has it, but without gradient checkpointing, which costs time. Ours
are the same GRPO, and `memory_td`, the default of `RLConfig`, which compares states: what the tool has told so far.

Success is that of the batches, which are fresh draws from the policy; intervals are of a bootstrap over seeds around
the IQM (arXiv 2108.13264). `final` is the mean of the last quarter of the updates. A level is reached where the mean
over eight updates first does; `to_final_of_trl` says, seed by seed, after which share of the updates and seconds that
*TRL* took an arm had what TRL has in the end. Seconds are those of processors, which other work on the machine changes
less than wall time; that is recorded, too. Loading is not counted.

Runs, one arm with one seed each, are kept in `--runs` and not repeated.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from credit_learning import with_interval
from trl_compare import CACHE, kept, make_environment, run

#: Arms by name: whose program, and what is set under ``rl``.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "trl grpo": ("trl fp32", {}),
    "thinkact grpo": ("thinkact fp32", {"estimator": "grpo"}),
    "thinkact memory_td": ("thinkact fp32", {"estimator": "memory_td"}),
}
REFERENCE = "trl grpo"
LEVELS = (0.4, 0.5, 0.6, 0.7, 0.8)
WINDOW = 8
#: Updates of rising learning rate. Without, Adam's first steps at 1e-3 left a model that calls no tool.
WARMUP = 5
#: Imitation: optimiser steps, conversations of each, learning rate.
WARM = (200, 8, 3e-3)
#: Share of imitated players who listen; the others guess anything.
LISTENS = 0.2
#: What the record tells of every update.
KEPT = ("score", "cpu_seconds", "seconds", "sampled_tokens")
OPTIONS: dict[str, Any] = {"group": 8, "prompts": 4, "turns": 4, "guesses": 4, "completion": 192, "threads": 1}


def make_model(python: Path, folder: Path) -> None:
    """Make the model that all arms begin with, if it is missing: a Llama from scratch that has imitated."""
    if (folder / "config.json").exists():
        return
    import random

    import torch
    from transformers.utils import get_json_schema
    from trl_arm import PROMPT, conversation, guess

    from thinkact.policies.learner import Learner, Row
    from thinkact.policies.models import build_tiny, save_model
    from thinkact.policies.reinforce import rate

    (file,) = python.parent.parent.glob("lib/python3*/site-packages/trl/chat_templates/qwen2_5.jinja")
    rng, tools, user = random.Random(0), [get_json_schema(guess)], {"role": "user", "content": PROMPT}
    template = file.read_text()
    texts = [json.dumps(tools), *(json.dumps(conversation(rng, user, LISTENS)) for _ in range(64)), template]
    loaded = build_tiny(texts, vocab_size=512, hidden=96, layers=3, seed=0)
    tokenizer: Any = loaded.tokenizer
    tokenizer.chat_template = template
    start = tokenizer.encode("<|im_start|>assistant\n")
    steps, batch, lr = WARM
    torch.set_num_threads(1)
    learner = Learner(loaded.model, dtype=torch.float32, lr=lr, batch_tokens=8192)
    for step in range(steps):
        rows = []
        for _ in range(batch):
            ids = tokenizer.apply_chat_template(conversation(rng, user, LISTENS), tools=tools, return_dict=False)
            said, inside = np.zeros(len(ids), dtype=bool), False
            for at, token in enumerate(ids):
                said[at] = inside
                inside = ids[at - len(start) + 1 : at + 1] == start or (inside and token != tokenizer.eos_token_id)
            zeros = np.zeros(len(ids), dtype=np.float32)
            rows.append(Row(np.asarray(ids, dtype=np.int64), said, zeros, zeros))
        loss = learner.sft_step(rows, lr_scale=rate(step, 10, steps))["loss"]
    print(f"imitation: loss {loss:.3f} after {steps} steps", file=sys.stderr, flush=True)
    save_model(loaded, folder)


def first(success: Sequence[float], level: float) -> int | None:
    """Updates until the mean of so many reached the level."""
    for end in range(WINDOW, len(success) + 1):
        if statistics.fmean(success[end - WINDOW : end]) >= level:
            return end
    return None


def final(success: Sequence[float]) -> float:
    return statistics.fmean(success[-max(1, len(success) // 4) :])


def report(runs: Mapping[str, Mapping[int, dict[str, Any]]]) -> dict[str, Any]:
    """Reduce runs, by arm and seed, to figures by arm."""
    rng = np.random.default_rng(0)

    def over_seeds(values: Sequence[float]) -> list[float]:
        return with_interval(np.asarray([values], dtype=float), rng)

    out: dict[str, Any] = {}
    for arm, seeds in runs.items():
        found = list(seeds.values())
        figures: dict[str, Any] = {
            "seeds": sorted(seeds),
            "final": over_seeds([final(each["score"]) for each in found]),
            "final_by_seed": [round(final(each["score"]), 4) for each in found],
            "curve": [round(float(v), 4) for v in np.mean([each["score"] for each in found], axis=0)],
            "cpu_seconds": over_seeds([sum(each["cpu_seconds"]) for each in found]),
            "wall_seconds": over_seeds([sum(each["seconds"]) for each in found]),
            "sampled_tokens": over_seeds([sum(each["sampled_tokens"]) for each in found]),
            "peak_rss_mb": max(each["peak_rss_mb"] for each in found),
            "to_level": {str(level): to_level(found, level) for level in LEVELS},
        }
        figures["cpu_seconds_per_update"] = round(figures["cpu_seconds"][0] / len(figures["curve"]), 4)
        paired = sorted(set(seeds) & set(runs.get(REFERENCE, {})))
        if arm != REFERENCE and paired:
            figures["to_final_of_trl"] = against(seeds, runs[REFERENCE], paired, rng)
        out[arm] = figures
    return out


def to_level(found: Sequence[dict[str, Any]], level: float) -> dict[str, Any]:
    reached = [(each, at) for each in found if (at := first(each["score"], level)) is not None]
    return {
        "reached_by": [len(reached), len(found)],
        "updates": round(statistics.median(at for _, at in reached), 1) if reached else None,
        "cpu_seconds": round(statistics.median(sum(each["cpu_seconds"][:at]) for each, at in reached), 2)
        if reached
        else None,
    }


def against(
    mine: Mapping[int, dict[str, Any]],
    theirs: Mapping[int, dict[str, Any]],
    seeds: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return what an arm needs for the other's final success as a share of what the other needed, seed by seed."""
    updates, seconds, wall = [], [], []
    for seed in seeds:
        level = final(theirs[seed]["score"])
        at, other = first(mine[seed]["score"], level), first(theirs[seed]["score"], level)
        if at is None:
            continue
        other = other or len(theirs[seed]["score"])
        updates.append(at / other)
        seconds.append(sum(mine[seed]["cpu_seconds"][:at]) / sum(theirs[seed]["cpu_seconds"][:other]))
        wall.append(sum(mine[seed]["seconds"][:at]) / sum(theirs[seed]["seconds"][:other]))
    out: dict[str, Any] = {"reached_by": [len(updates), len(seeds)]}
    if updates:
        for name, values in (("updates", updates), ("cpu_seconds", seconds), ("wall_seconds", wall)):
            out[f"share_of_{name}"] = with_interval(np.asarray([values]), rng)
    gaps = [final(mine[seed]["score"]) - final(theirs[seed]["score"]) for seed in seeds]
    return {**out, "final_minus_trl": with_interval(np.asarray([gaps]), rng)}


def as_markdown(learning: Mapping[str, dict[str, Any]]) -> str:
    """Return a table, as in ``docs/training.md``."""

    def cell(values: Sequence[float] | None, digits: int = 2) -> str:
        return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*values, d=digits) if values else ""

    lines = [
        "| | seeds | final success | processor seconds, all updates | TRL's final success: reached by | share of its "
        "updates | share of its processor seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, figures in learning.items():
        other = figures.get("to_final_of_trl", {})
        cells = [
            arm,
            str(len(figures["seeds"])),
            cell(figures["final"]),
            cell(figures["cpu_seconds"], 0),
            "{} of {}".format(*other["reached_by"]) if other else "",
            cell(other.get("share_of_updates")),
            cell(other.get("share_of_cpu_seconds")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(runs: Mapping[str, Mapping[int, dict[str, Any]]], path: Path) -> None:
    """Draw success against updates and against processor seconds: every seed thin, their mean thick."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from thinkact.policies.plots import smooth

    figure = Figure(figsize=(9.6, 3.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for number, (arm, seeds) in enumerate(runs.items()):
        curves = np.array([smooth(each["score"], WINDOW + 1) for each in seeds.values()])
        clocks = np.array([list(accumulate(each["cpu_seconds"])) for each in seeds.values()])
        for axis, at in ((left, [np.arange(1, curves.shape[1] + 1)] * len(curves)), (right, clocks)):
            for x, curve in zip(at, curves, strict=True):
                axis.plot(x, curve, color=f"C{number}", linewidth=0.6, alpha=0.35)
            axis.plot(np.mean(at, axis=0), curves.mean(axis=0), color=f"C{number}", linewidth=2.2, label=arm)
            axis.grid(alpha=0.3)
    left.set_xlabel("updates")
    right.set_xlabel("processor seconds")
    right.set_xscale("log")
    left.set_ylabel("success of the batch")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", action="append", choices=ARMS, help="repeatable; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0, help="others than those of the record, for trying out")
    parser.add_argument("--steps", type=int, default=40, help="updates")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--python", type=Path, default=CACHE / "trl" / "bin" / "python", help="one that has TRL")
    parser.add_argument("--model", type=Path, default=CACHE / "guess-tiny", help="folder of the model to begin with")
    parser.add_argument("--runs", type=Path, default=Path("runs/trl-learning"), help="folder of runs that are done")
    parser.add_argument("--collect", action="store_true", help="read what is done, train nothing")
    parser.add_argument("--quick", action="store_true", help="one seed, two updates; nothing is kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    parser.add_argument("--plot", type=Path, help="also draw the curves to this PNG")
    args = parser.parse_args()
    if not args.collect:
        make_environment(args.python)
        make_model(args.python, args.model)
    steps, seeds = (2, 1) if args.quick else (args.steps, args.seeds)
    options = {**OPTIONS, "steps": steps, "lr": args.lr, "trl": {"adam_beta2": 0.99, "warmup_steps": WARMUP}}
    chosen = args.arm or list(ARMS)
    runs: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in chosen}
    for seed in range(args.first_seed, args.first_seed + seeds):
        tasks = [10_000 * seed + at for at in range(steps * options["prompts"])]
        for arm in chosen:
            program, credit = ARMS[arm]
            mine = {**options, "seed": seed, "tasks": tasks, "rl": {"warmup_updates": WARMUP, **credit}}
            file = None if args.quick else args.runs / f"{arm.replace(' ', '-')}-{seed}.json"
            make = partial(sys.exit, f"{file} holds a run of other settings.")
            if not args.collect:
                make = partial(run, program, mine, args.python, args.model)
            elif file is None or not file.is_file():
                continue
            found = kept(file, mine, make)
            runs[arm][seed] = found
            told = (
                f"{arm}, seed {seed}: {final(found['score']):.3f} after {sum(found['cpu_seconds']):.0f} s of processors"
            )
            print(told, file=sys.stderr, flush=True)
    runs = {arm: found for arm, found in runs.items() if found}
    if not runs:
        sys.exit(f"{args.runs} holds none of these runs; leave --collect out to do them.")
    import torch
    import transformers

    import thinkact

    record = {
        "benchmark": "trl_learning",
        "thinkact": thinkact.__version__,
        "trl": "1.16",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{platform.machine()}, 1 thread",
        "options": options,
        "arms_settings": {arm: ARMS[arm][1] for arm in runs},
        "imitation": dict(zip(("steps", "rows", "lr"), WARM, strict=True)),
        "learning": report(runs),
        "runs": {
            arm: {str(seed): {name: found[name] for name in KEPT} for seed, found in each.items()}
            for arm, each in runs.items()
        },
    }
    if args.out is not None:
        args.out.write_text(json.dumps(record) + "\n")
    if args.plot is not None:
        draw(runs, args.plot)
    print(json.dumps(record, indent=1) if args.json else as_markdown(record["learning"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
