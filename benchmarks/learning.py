"""Learning evidence: the main job over several seeds, each stage measured on the same held-out tasks.

    python benchmarks/learning.py --preset default --seeds 0 1 2 --json

Trains each seed (a run that is already finished under --runs is read, not repeated) and prints per seed and pooled
success with 95 % intervals: Wilson for one run (one attempt per task), bootstrap over tasks for the pool (a task's
attempts by several seeds belong together). --collect reads finished runs only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import thinkact
from thinkact.leaderboard import summarise
from thinkact.policies.config import PRESETS, make_config
from thinkact.policies.episode import Episode, read_episodes
from thinkact.policies.training import Trainer

STAGES = ("null", "random", "expert", "before", "imitation", "rl")


def figures(episodes: list[Episode]) -> dict[str, Any]:
    summary = summarise(episodes)
    out: dict[str, Any] = {
        "success": round(summary.success, 4),
        "low": round(summary.low, 4),
        "high": round(summary.high, 4),
        "interval": summary.method,
        "score": round(summary.score, 4),
        "invalid": round(summary.invalid, 4),
        "episodes": summary.episodes,
        "errors": summary.unresolved,
    }
    by_difficulty: dict[float, list[bool]] = defaultdict(list)
    for episode in episodes:
        by_difficulty[episode.difficulty].append(bool(episode.success))
    out["success_by_difficulty"] = {f"{k:g}": round(sum(v) / len(v), 4) for k, v in sorted(by_difficulty.items())}
    return out


def stages(run: Path) -> dict[str, list[Episode]]:
    found = {name: run / "episodes" / f"eval-{name}.jsonl" for name in STAGES}
    return {name: list(read_episodes(path)) for name, path in found.items() if path.is_file()}


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def apart(lower: dict[str, Any], higher: dict[str, Any]) -> bool:
    """Tell whether ``higher`` is above ``lower`` with intervals that do not overlap."""
    return bool(higher["low"] > lower["high"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--collect", action="store_true", help="read finished runs, train nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()

    seeds: dict[str, Any] = {}
    pooled: dict[str, list[Episode]] = defaultdict(list)
    configs = {}
    for seed in args.seeds:
        run = args.runs / (f"{args.preset}-seed{seed}" if seed else args.preset)
        if not (run / "episodes" / "eval-rl.jsonl").is_file():
            if args.collect:
                sys.exit(f"{run} is not a finished run; leave --collect out to train it.")
            config = make_config(args.preset, overrides={"seed": seed})
            Trainer(config, run, resume=(run / "config.json").is_file()).run()
        found = stages(run)
        for name, episodes in found.items():
            # Pooled statistics need distinct ids; a task's attempts by several seeds stay one cluster.
            pooled[name] += [e.model_copy(update={"id": f"{seed}/{e.id}"}) for e in episodes]
        seeds[str(seed)] = {name: figures(episodes) for name, episodes in found.items()}
        seeds[str(seed)]["seconds"] = round(sum(row.get("seconds", 0.0) for row in metrics(run)), 1)
        seeds[str(seed)]["rl_batch_success"] = [
            round(row["success"], 3) for row in metrics(run) if row["stage"] == "rl"
        ]
        configs[str(seed)] = json.loads((run / "config.json").read_text())
    together = {name: figures(episodes) for name, episodes in pooled.items()}
    first = configs[str(args.seeds[0])]
    record = {
        "benchmark": "learning",
        "preset": args.preset,
        "thinkact": thinkact.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads available",
        "threads": {seed: config["threads"] for seed, config in configs.items()},
        "config": {key: value for key, value in first.items() if key not in ("seed", "threads")},
        "pooled": together,
        "imitation_above_before": apart(together["before"], together["imitation"]),
        "rl_above_imitation": apart(together["imitation"], together["rl"]),
        "rl_above_imitation_by_seed": {s: apart(v["imitation"], v["rl"]) for s, v in seeds.items()},
        "seeds": seeds,
    }
    text = json.dumps(record, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
    else:
        for name, values in together.items():
            print(
                f"{name:10s} {values['success']:.3f}  [{values['low']:.3f}, {values['high']:.3f}]  {values['interval']}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
