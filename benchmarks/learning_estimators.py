"""Learning evidence on a small model: one imitation checkpoint, many estimators of credit, the same budget.

    python benchmarks/learning_estimators.py --seeds 3 --json --out benchmarks/results/learning_estimators.json
    python benchmarks/learning_estimators.py --seeds 5 --arm grpo --arm turn_rtg --arm memory_td
    python benchmarks/learning_estimators.py --collect --plot docs/learning_estimators.png
    python benchmarks/learning_estimators.py --quick

In every place and for every seed a small transformer imitates the scripted expert, once. From that very checkpoint
every arm then learns by reinforcement: the same tasks in the same batches, as many attempts, updates and learning rate,
the same held-out tasks at the start, in the middle and at the end. Only credit differs. Forks count as steps: `vine`
plays half the tasks per batch, and with continuations from two turns of an attempt takes 1.3 times the steps of others.

Places: the two games of ``thinkact train --preset tiny``, delayed reward over 16 turns, and proofs, which a kernel
checks: there reinforcement practises a small set of theorems that come again and again, so that states of a tool recur,
too (imitation has seen any theorems of the split ``train``, and what is measured are those of ``eval``).

Figures: ``area``, the mean score of all batches but the first (which is the same for all) and of the last evaluation;
held-out score and success; batches until the mean of three is half-way from the start to the best possible (one more
than there are where that is never so); and differences to GRPO with the same seed. Over places: IQM with a bootstrap
stratified by place (arXiv 2108.13264). Over the seeds of a place: mean with a bootstrap over seeds, which is too narrow
where they are few; so the number of seeds in which an arm was ahead is told, too.

Runs are kept as lines of JSON and never repeated; an interrupted sweep goes on where it stopped. Seeds go outermost, so
that whole seeds are there at any moment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from learning_estimators_report import REFERENCE, Place, Run, as_markdown, draw, report

import thinkact
from thinkact.envs.proof.env import ProofEnv
from thinkact.policies.config import make_config
from thinkact.policies.episode import Episode, read_episodes
from thinkact.policies.training import Trainer

#: Arms by name: what they set under ``rl``. ``turn_rtg`` is normalised as the presets have it.
ARMS: dict[str, dict[str, Any]] = {
    "grpo": {"estimator": "grpo"},
    "turn_rtg": {"estimator": "turn_rtg", "estimator_options": {"normalise": True}},
    "memory_td": {"estimator": "memory_td"},
    "gigpo": {"estimator": "gigpo"},
    "grouped_gae": {"estimator": "grouped_gae"},
    "rloo": {"estimator": "rloo"},
    "turn_gae": {"estimator": "turn_gae"},
    "state_td": {"estimator": "state_td"},
    "vine": {"estimator": "vine", "forks": 1, "fork_turns": 2},
}
#: Share of a batch's tasks, where continuations take environment steps, too.
TASKS_SHARE = {"vine": 0.5}
#: A model of 0.4 M parameters: three layers of 96.
SMALL: dict[str, Any] = {
    "model.tiny_hidden": 96,
    "model.tiny_layers": 3,
    "sample.concurrency": 64,
    "sft.warmup_steps": 10,
    "eval.tasks": 64,
    "threads": 1,
    "rl.group_size": 8,
    "rl.max_rows": None,
    "checkpoint_seconds": 3600.0,
}
_SET = "thinkact-benchmarks/ProofSet-v0"


def credit(worlds: Sequence[str], horizon: int, config: dict[str, Any]) -> Place:
    # One arm of the curriculum per world: every batch holds as many tasks of each.
    arms = [{"name": world.replace("-", ""), "kwargs": {"world": world}} for world in worlds]
    env = {"env.id": "thinkact/Credit-v0", "env.kwargs": {"horizon": horizon}, "curriculum.arms": arms}
    return Place({**SMALL, **env, **config}, {}, tuple(worlds), horizon)


PLACES = {
    "credit-8": credit(
        ("key-door", "lucky"),
        8,
        {
            "sft.episodes": 360, "sft.epochs": 3, "sft.batch_episodes": 8,
            "rl.steps": 10, "rl.tasks_per_step": 6,
        },
    ),
    "credit-16": credit(
        ("key-door", "inventory"),
        16,
        {
            "sft.episodes": 360, "sft.epochs": 2, "sft.batch_episodes": 4, "sample.max_len": 768,
            "rl.steps": 10, "rl.tasks_per_step": 4,
        },
    ),
    "proof-set": Place(
        {
            **SMALL,
            "env.id": "thinkact/Proof-v0",
            "env.kwargs": {"level": 1, "source": "equation"},
            "sample.max_new_tokens": 16, "sample.max_len": 512,
            "sft.episodes": 240, "sft.epochs": 3, "sft.batch_episodes": 4,
            "rl.steps": 10, "rl.tasks_per_step": 6,
        },
        {"env.id": _SET, "env.kwargs": {"level": 1, "source": "equation", "tasks": 12}},
    ),
}  # fmt: skip


class ProofSet(ProofEnv):
    """Proofs of which the split ``train`` has only so many.

    Args:
        tasks: How many.
        knobs: Of the environment.
    """

    def __init__(self, *, tasks: int = 12, **knobs: Any) -> None:
        self._few: list[str] = []
        super().__init__(**knobs)
        if self.split == "train":
            self._few = self.sample_tasks(tasks, seed=0)

    def _draw_task_id(self, rng: np.random.Generator) -> str:
        return self._few[int(rng.integers(len(self._few)))] if self._few else super()._draw_task_id(rng)


def settings_of(name: str, arm: str) -> str:
    shares = [TASKS_SHARE[arm]] if arm in TASKS_SHARE else []
    text = json.dumps([PLACES[name].config, *filter(None, [PLACES[name].practice]), ARMS[arm], *shares], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def base_of(name: str, seed: int, folder: Path) -> Path:
    """Return the run that imitated; its model is what every arm begins with."""
    config = {key: value for key, value in PLACES[name].config.items() if not key.startswith("rl.")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"base-{name}-{seed}-{digest}"
    if not (path / "model" / "config.json").is_file():
        wanted = make_config("tiny", overrides={**config, "rl.steps": 0, "seed": seed})
        Trainer(wanted, path, resume=(path / "config.json").is_file()).run()
    return path


def learn(run: Run, folder: Path) -> dict[str, Any]:
    """Let an arm learn; return what is kept of it."""
    base = base_of(run.place, run.seed, folder)
    path = folder / f"{run.place}-{run.arm}-{run.seed}-{run.settings}"
    steps = int(PLACES[run.place].config["rl.steps"])
    overrides = {
        **PLACES[run.place].config,
        **PLACES[run.place].practice,
        "model.name": str(base / "model"),
        "sft.episodes": 0,
        "eval.every": steps // 2,
        "seed": run.seed,
        **{f"rl.{key}": value for key, value in ARMS[run.arm].items()},
        "rl.tasks_per_step": round(PLACES[run.place].config["rl.tasks_per_step"] * TASKS_SHARE.get(run.arm, 1.0)),
    }
    # All arms begin with the same weights, so what was measured of them holds for all.
    (path / "episodes").mkdir(parents=True, exist_ok=True)
    for name in ("null", "random", "expert", "imitation"):
        to = path / "episodes" / f"eval-{'before' if name == 'imitation' else name}.jsonl"
        shutil.copy(base / "episodes" / f"eval-{name}.jsonl", to)
    before = os.times()
    Trainer(make_config("tiny", overrides=overrides), path, resume=(path / "config.json").is_file()).run()
    after = os.times()
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["stage"] == "rl"]
    files = {"start": "before", "middle": f"rl-{steps // 2:05d}", "end": "rl"}
    held_out = {
        stage: mean_of(list(read_episodes(path / "episodes" / f"eval-{name}.jsonl"))) for stage, name in files.items()
    }
    shutil.rmtree(path)
    return {
        "score": [round(row["score"], 5) for row in rows],
        "success": [round(row["success"], 5) for row in rows],
        "held_out": held_out,
        "env_steps": round(sum(row["turns"] * row["episodes"] for row in rows)),
        "fork_steps": round(sum(row.get("fork_steps", 0.0) for row in rows)),
        "trained_tokens": round(sum(row.get("trained_tokens", 0.0) for row in rows)),
        "cpu_seconds": round(after.user + after.system - before.user - before.system, 1),
    }


def mean_of(episodes: Sequence[Episode]) -> dict[str, float]:
    good = [episode for episode in episodes if episode.error is None]
    return {
        "score": round(statistics.fmean(episode.score or 0.0 for episode in good), 5),
        "success": round(statistics.fmean(bool(episode.success) for episode in good), 5),
    }


def read_runs(folder: Path) -> dict[Run, dict[str, Any]]:
    kept = folder / "runs.jsonl"
    found: dict[Run, dict[str, Any]] = {}
    for line in kept.read_text().splitlines() if kept.is_file() else []:
        try:
            run, result = json.loads(line)
        except ValueError:  # cut off
            continue
        found[Run(*run)] = result
    return found


def keep(run: Run, result: dict[str, Any], folder: Path) -> None:
    kept = folder / "runs.jsonl"
    cut = kept.is_file() and kept.stat().st_size and not kept.read_bytes().endswith(b"\n")
    with kept.open("a") as file:
        file.write(("\n" if cut else "") + json.dumps([list(run), result]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", action="append", choices=list(PLACES), help="repeatable; default all")
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="repeatable; default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/learning-estimators"), help="folder of what is done")
    parser.add_argument("--collect", action="store_true", help="read what is done, train nothing")
    parser.add_argument("--quick", action="store_true", help="one place, two arms, one seed, three batches")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    parser.add_argument("--plot", type=Path, help="also draw the curves to this PNG")
    args = parser.parse_args()
    gym.register(_SET, entry_point=ProofSet, disable_env_checker=True, order_enforce=False)
    places = args.place or (["credit-8"] if args.quick else list(PLACES))
    arms = args.arm or ([REFERENCE, "memory_td"] if args.quick else list(ARMS))
    seeds = 1 if args.quick else args.seeds
    if args.quick:
        PLACES["credit-8"].config.update({"sft.episodes": 64, "rl.steps": 3, "eval.tasks": 16})
    args.runs.mkdir(parents=True, exist_ok=True)
    wanted = [Run(name, arm, seed, settings_of(name, arm)) for seed in range(seeds) for name in places for arm in arms]
    done = read_runs(args.runs)
    for number, run in enumerate(wanted, 1):
        if run in done or args.collect:
            continue
        start = time.perf_counter()
        done[run] = learn(run, args.runs)
        keep(run, done[run], args.runs)
        if sys.stderr.isatty() or not args.json:
            print(f"{number}/{len(wanted)} {run[:3]} {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    found = {run: done[run] for run in wanted if run in done}
    if not found:
        sys.exit(f"{args.runs} holds none of these runs; leave --collect out to do them.")
    record = {
        "benchmark": "learning_estimators",
        "thinkact": thinkact.__version__,
        "machine": f"{platform.machine()}, 1 thread",
        "places_settings": {run.place: [PLACES[run.place].config, PLACES[run.place].practice] for run in found},
        "tasks_share": TASKS_SHARE,
        "arms_settings": {arm: ARMS[arm] for arm in arms if any(run.arm == arm for run in found)},
        **report(found, PLACES),
    }
    text = json.dumps(record, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    if args.plot:
        draw(record, args.plot)
    if args.json:
        print(text)
        return 0
    print(as_markdown(record))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
