"""What carries over: a small model learns one family of tasks and plays all of them, at once and after a few lessons.

    python benchmarks/transfer.py --seeds 3 --json --out benchmarks/results/transfer.json
    python benchmarks/transfer.py --collect --plot transfer.png
    python benchmarks/transfer.py --quick

Two kinds of tools with two families each: choices with luck (``Credit-v0``, worlds `key-door` and `umbrella`) and
proofs that a kernel checks (``Proof-v0``, `equation` and `derived`), so that what carries over between families that
share tools can be told from what carries over between tools. All models of a seed begin with the same weights and have
one tokenizer, made of texts of all families.

``matrix``: imitation of the expert on one family, or on all of them (as many episodes in all), with the same number of
optimiser steps; then success on held-out tasks (split ``eval``) of every family. ``rl``: the same after reinforcement
on the family's training tasks went on from there. ``few``: the model that learned the one family then gets a few
lessons of another and as many steps as a new model gets on the same lessons, the row ``nothing``; where it beats that
row, something was carried over.

Success has a 95 % interval of a bootstrap over seeds and tasks at once. A seed's cells are kept as soon as they are
there, and an interrupted run goes on behind the last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from zoo_learning import interval, keep

import thinkact
from thinkact.policies.codec import ChatCodec, system_prompt
from thinkact.policies.config import make_config
from thinkact.policies.hf import HFPolicy
from thinkact.policies.learner import Learner, Row, encode_expert
from thinkact.policies.models import LoadedModel, build_tiny, load_model, save_model
from thinkact.policies.reinforce import rate
from thinkact.policies.rollout import Runner, make_jobs
from thinkact.policies.scripted import ExpertPolicy, RandomPolicy
from thinkact.policies.training import Trainer

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "key-door": ("thinkact/Credit-v0", {"world": "key-door", "horizon": 8}),
    "umbrella": ("thinkact/Credit-v0", {"world": "umbrella", "horizon": 8}),
    "equation": ("thinkact/Proof-v0", {"level": 1, "source": "equation"}),
    "derived": ("thinkact/Proof-v0", {"level": 1, "source": "derived"}),
}
NOTHING, ALL, CHANCE = "nothing", "all", "random calls"
CONFIG: dict[str, Any] = {
    "hidden": 96,
    "layers": 3,
    "vocab": 640,
    "lessons": 320,
    "batch": 8,
    "steps": 120,
    "lr": 2e-3,
    "few_lessons": 24,
    "few_steps": 20,
    "eval_tasks": 64,
    "max_len": 512,
    "rl_steps": 10,
}
#: Held-out tasks are drawn with this seed in every run, so that all models meet the same ones.
EVAL_SEED = 1234


class Seed:
    """All cells of one seed. Use as a context manager.

    Args:
        seed: Of weights, lessons, their order, and sampling.
        config: See :data:`CONFIG`.
        folder: Where models and cells are kept.
    """

    def __init__(self, seed: int, config: dict[str, Any], folder: Path) -> None:
        self.seed, self.config, self.folder = seed, config, folder / f"seed{seed}"
        self.cells: dict[str, list[bool]] = {}
        kept = self.folder / "cells.json"
        if kept.is_file():
            self.cells = json.loads(kept.read_text())
        with ExitStack() as stack:
            self.train, self.test = (
                {
                    name: stack.enter_context(
                        Runner(env, concurrency=64, env_kwargs={**knobs, "split": split}, lockstep=True)
                    )
                    for name, (env, knobs) in FAMILIES.items()
                }
                for split in ("train", "eval")
            )
            self._open = stack.pop_all()
        self.held_out = {
            name: runner.sample_tasks(config["eval_tasks"], EVAL_SEED) for name, runner in self.test.items()
        }

    def __enter__(self) -> Seed:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def run(self, *, reinforce: bool) -> None:
        """Fill in the cells that are missing."""
        rows = self._lessons()
        sources = {NOTHING: [], **{name: rows[name] for name in FAMILIES}, ALL: _turns(list(rows.values()))}
        for name in FAMILIES:
            self._cell(f"matrix/{CHANCE}/{name}", name, RandomPolicy())
        for source, lessons in sources.items():
            loaded = self._imitated(source, lessons)
            self._row(f"matrix/{source}", loaded)
        for source in (NOTHING, *FAMILIES):
            for target in FAMILIES:
                if source != target and f"few/{source}/{target}" not in self.cells:
                    loaded = load_model(str(self.folder / source))
                    few = rows[target][: self.config["few_lessons"]]
                    self._imitate(loaded, few, self.config["few_steps"])
                    self._cell(f"few/{source}/{target}", target, self._policy(loaded))
        for source in FAMILIES if reinforce else ():
            if f"rl/{source}/{list(FAMILIES)[-1]}" not in self.cells:
                self._row(f"rl/{source}", self._reinforced(source))

    # Lessons.

    def _lessons(self) -> dict[str, list[Row]]:
        """Return rows of the expert's episodes by family, and see to it that there is a model to begin with."""
        played = {}
        for name, runner in self.train.items():
            # The same for all seeds, so that the tokenizer is; order and weights are the seed's.
            tasks = runner.sample_tasks(self.config["lessons"], 0)
            played[name] = runner.run(make_jobs(tasks, seed=0, prefix=name), ExpertPolicy())
        if not (self.folder / NOTHING / "config.json").is_file():
            prompts = {system_prompt(runner.tool_schemas) for runner in self.train.values()}
            texts = sorted(prompts) + [
                text
                for episodes in played.values()
                for episode in episodes[:64]
                for turn in episode.turns
                for text in (turn.observation, turn.action)
            ]
            size = {"vocab_size": self.config["vocab"], "hidden": self.config["hidden"]}
            save_model(build_tiny(texts, layers=self.config["layers"], seed=self.seed, **size), self.folder / NOTHING)
        codec = ChatCodec(load_model(str(self.folder / NOTHING)).tokenizer)
        rows = {
            name: [encode_expert(episode, self.train[name].tool_schemas, codec) for episode in episodes]
            for name, episodes in played.items()
        }
        return {name: [row for row in each if len(row.ids) <= self.config["max_len"]] for name, each in rows.items()}

    # Learning.

    def _imitated(self, source: str, lessons: Sequence[Row]) -> LoadedModel:
        path = self.folder / source
        if (path / "config.json").is_file():
            return load_model(str(path))
        loaded = load_model(str(self.folder / NOTHING))
        self._imitate(loaded, lessons, self.config["steps"])
        save_model(loaded, path)
        return loaded

    def _imitate(self, loaded: LoadedModel, rows: Sequence[Row], steps: int) -> None:
        learner = Learner(loaded.model, dtype=torch.float32, lr=self.config["lr"], batch_tokens=8192)
        stream = _shuffled(len(rows), self.seed)
        for step in range(steps):
            chosen = [rows[next(stream)] for _ in range(self.config["batch"])]
            learner.sft_step(chosen, lr_scale=rate(step, steps // 12, steps))

    def _reinforced(self, source: str) -> LoadedModel:
        path = self.folder / f"rl-{source}"
        if not (path / "model" / "config.json").is_file():
            env, knobs = FAMILIES[source]
            overrides = {
                "model.name": str(self.folder / source),
                "env.id": env, "env.kwargs": knobs,
                "sample.concurrency": 64, "sample.max_len": self.config["max_len"], "sample.max_new_tokens": 24,
                "eval.tasks": 1, "sft.episodes": 0, "seed": self.seed, "threads": torch.get_num_threads(),
                "rl.steps": self.config["rl_steps"], "rl.tasks_per_step": 6, "rl.group_size": 8,
            }  # fmt: skip
            Trainer(make_config("tiny", overrides=overrides), path, resume=(path / "config.json").is_file()).run()
        return load_model(str(path / "model"))

    # Cells.

    def _policy(self, loaded: LoadedModel) -> HFPolicy:
        policy = HFPolicy(
            loaded, max_new_tokens=24, max_slots=64, max_len=self.config["max_len"], dtype=torch.float32, codec="chatml"
        )
        policy.sync()
        return policy

    def _row(self, prefix: str, loaded: LoadedModel) -> None:
        policy = self._policy(loaded)
        for name in FAMILIES:
            self._cell(f"{prefix}/{name}", name, policy)

    def _cell(self, cell: str, family: str, policy: Any) -> None:
        if cell in self.cells:
            return
        jobs = make_jobs(self.held_out[family], seed=self.seed, prefix="eval")
        episodes = self.test[family].run(jobs, policy)
        broken = [episode.error for episode in episodes if episode.error is not None]
        if broken:
            sys.exit(f"{cell}: {len(broken)} episodes ended in faults, the first: {broken[0]}")
        self.cells[cell] = [bool(episode.success) for episode in episodes]
        keep(self.folder / "cells.json", self.cells)
        print(f"seed {self.seed} {cell}: {np.mean(self.cells[cell]):.2f}", file=sys.stderr, flush=True)


def _turns(lists: Sequence[Sequence[Row]]) -> list[Row]:
    """Take as many of each, and as many in all as of one, by turns."""
    return [row for rows in zip(*(each[: len(each) // len(lists)] for each in lists), strict=False) for row in rows]


def _shuffled(count: int, seed: int) -> Iterator[int]:
    rng = np.random.default_rng((seed, 1))
    while True:
        yield from (int(at) for at in rng.permutation(count))


# Figures.


def summarise(seeds: Mapping[int, Mapping[str, Sequence[bool]]]) -> dict[str, Any]:
    """Return tables by kind, source and target, over the seeds that have the cell."""
    out: dict[str, Any] = {}
    for cell in dict.fromkeys(cell for cells in seeds.values() for cell in cells):
        kind, source, target = cell.split("/")
        there = {seed: cells[cell] for seed, cells in seeds.items() if cell in cells}
        table = np.asarray(list(there.values()), dtype=float)
        figures = {**interval(table), "seeds": sorted(there)}
        out.setdefault(kind, {}).setdefault(source, {})[target] = figures
    return out


def as_markdown(tables: Mapping[str, Any]) -> str:
    """Return a table per kind, as in ``docs/training.md``."""
    lines: list[str] = []
    for kind, rows in tables.items():
        lines += [f"\n`{kind}`:\n", f"| learned | {' | '.join(FAMILIES)} |", f"| --- |{' --- |' * len(FAMILIES)}"]
        for source, row in rows.items():
            cells = []
            for target in FAMILIES:
                found = row.get(target)
                text = (
                    "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * found[k] for k in ("success", "low", "high")))
                    if found
                    else ""
                )
                cells.append(f"**{text}**" if text and source == target else text)
            lines.append(f"| {source} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(tables: Mapping[str, Any], path: Path) -> None:
    """Draw a heat-map of success per kind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 3.4 * len(tables), 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (kind, rows) in zip(np.atleast_1d(figure.subplots(1, len(tables))), tables.items(), strict=True):
        table = np.array([[row.get(name, {}).get("success", np.nan) for name in FAMILIES] for row in rows.values()])
        axis.imshow(table, vmin=0.0, vmax=1.0, cmap="viridis", aspect="auto")
        for (y, x), value in np.ndenumerate(table):
            if not np.isnan(value):
                axis.text(x, y, f"{100 * value:.0f}", ha="center", va="center", color="w" if value < 0.6 else "k")
        axis.set_xticks(range(len(FAMILIES)), list(FAMILIES), rotation=30, ha="right", fontsize=8)
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axis.set_title({"matrix": "after imitation", "few": "and a few lessons", "rl": "and RL"}[kind], fontsize=10)
    figure.supylabel("learned", fontsize=9)
    figure.supxlabel("held-out tasks of, % solved", fontsize=9)
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rl", action="store_true", help="go on with reinforcement, too")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="folder of what is done")
    parser.add_argument("--collect", action="store_true", help="read what is done, train nothing")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one seed, three steps, four tasks")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    parser.add_argument("--plot", type=Path, help="also draw heat-maps to this PNG")
    args = parser.parse_args()
    config = dict(CONFIG)
    if args.quick:
        args.seeds, args.runs = 1, args.runs.with_name(f"{args.runs.name}-quick")
        config |= {"lessons": 16, "steps": 3, "few_lessons": 8, "few_steps": 2, "eval_tasks": 4, "rl_steps": 1}
        shutil.rmtree(args.runs, ignore_errors=True)
    settings = json.loads(json.dumps({**config, "families": FAMILIES}))
    if (kept := args.runs / "config.json").is_file():
        if json.loads(kept.read_text()) != settings:
            sys.exit(f"{args.runs} holds results of other settings; give another --runs, or remove it.")
    elif not args.collect:
        keep(kept, settings)
    torch.set_num_threads(args.threads)
    for number in range(0 if args.collect else args.seeds):
        with Seed(number, config, args.runs) as seed:
            seed.run(reinforce=args.rl)
    files = {number: args.runs / f"seed{number}" / "cells.json" for number in range(args.seeds)}
    found = {number: json.loads(file.read_text()) for number, file in files.items() if file.is_file()}
    if not found:
        sys.exit(f"{args.runs} holds no results; leave --collect out to make them.")
    tables = summarise(found)
    record = {
        "benchmark": "transfer",
        "thinkact": thinkact.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {args.threads} threads",
        "config": settings,
        "interval": "95 %, bootstrap over seeds and tasks",
        "tables": tables,
    }
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    if args.plot:
        draw(tables, args.plot)
    print(json.dumps(record, indent=1) if args.json else as_markdown(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
