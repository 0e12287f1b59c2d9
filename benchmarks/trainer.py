"""What one optimiser step costs: our learner, the same with shared openings, and a plain Hugging Face step.

    python benchmarks/trainer.py --json --out benchmarks/results/trainer.json
    python benchmarks/trainer.py --quick

Every arm takes the same step on the same rows (policy gradient on sampled tokens, AdamW), in the same dtype and on the
same threads, in a process of its own, so that its peak memory is its own:

* plain: rows padded to the longest, `model(...)` with logits of every position over the whole vocabulary, a
  log-softmax in fp32, four rows a pass; what trainers on Hugging Face models do by default.
* learner: rows of like length together, logits of sampled tokens only.
* learner, shared: as learner, what rows open with alike computed once, forward and backward (a prefix tree).

Workloads: groups of 8 attempts behind a prompt of 128 or 1,024 tokens, and episodes with continuations forked from
every turn (vine), which share trunks. The arms take turns, round after round; figures are medians, and the losses
of all arms are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import thinkact
from thinkact.policies.learner import Learner, Row
from thinkact.policies.models import build_tiny, load_model

ARMS = ("plain", "learner", "learner, shared")


def group_rows(rng: np.random.Generator, prompt: int, groups: int, size: int = 8, turns: int = 4) -> list[Row]:
    """Attempts at the same tasks: a prompt, then turns of 24 sampled and 24 given tokens."""
    rows = []
    for _ in range(groups):
        opening = rng.integers(10, 250, prompt)
        for _ in range(size):
            rows.append(_row(rng, opening, int(rng.integers(turns - 1, turns + 2))))
    return rows


def vine_rows(rng: np.random.Generator, prompt: int, episodes: int, turns: int = 8, forks: int = 2) -> list[Row]:
    """Episodes, and continuations from their turns: those repeat the episode up to there as context."""
    rows = []
    for _ in range(episodes):
        whole = _row(rng, rng.integers(10, 250, prompt), turns)
        rows.append(whole)
        for turn in range(1, turns):
            at = prompt + 48 * turn
            rows += [_row(rng, whole.ids[:at], turns - turn) for _ in range(forks)]
    return rows


def _row(rng: np.random.Generator, opening: Any, turns: int) -> Row:
    ids = np.concatenate([opening, rng.integers(10, 250, 48 * turns)]).astype(np.int64)
    sampled = np.zeros(len(ids), dtype=bool)
    for turn in range(turns):
        at = len(opening) + 48 * turn
        sampled[at : at + 24] = True
    advantage = np.where(sampled, rng.normal(), 0.0).astype(np.float32)
    return Row(ids, sampled, advantage, np.where(sampled, -6.0, 0.0).astype(np.float32))


WORKLOADS = {
    "group of 8, prompt 128": lambda rng, quick: group_rows(rng, 128, 1 if quick else 2),
    "group of 8, prompt 1024": lambda rng, quick: group_rows(rng, 1024, 1),
    "vine, 8 turns, 2 forks a turn": lambda rng, quick: vine_rows(rng, 128, 1),
}


class Plain:
    """One step the usual way."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(self, rows: list[Row]) -> float:
        total = sum(int(row.sampled.sum()) for row in rows)
        loss_sum = 0.0
        for first in range(0, len(rows), 4):
            part = rows[first : first + 4]
            longest = max(len(row.ids) for row in part)
            ids, mask = torch.zeros(len(part), longest, dtype=torch.long), torch.zeros(len(part), longest)
            weight, old = torch.zeros(len(part), longest), torch.zeros(len(part), longest)
            for at, row in enumerate(part):
                ids[at, : len(row.ids)] = torch.from_numpy(row.ids)
                mask[at, : len(row.ids)] = torch.from_numpy(row.sampled.astype(np.float32))
                weight[at, : len(row.ids)] = torch.from_numpy(row.advantage)
                old[at, : len(row.ids)] = torch.from_numpy(row.logprob)
            with torch.autocast("cpu", dtype=self.dtype, enabled=self.dtype != torch.float32):
                logits = self.model(input_ids=ids).logits[:, :-1]
            logp = logits.float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
            ratio = (logp - old[:, 1:]).exp()
            clipped = ratio.clamp(0.8, 1.28)
            gain = torch.minimum(ratio * weight[:, 1:], clipped * weight[:, 1:])
            loss = -(gain * mask[:, 1:]).sum() / total
            loss.backward()
            loss_sum += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss_sum


def arm(name: str, workload: str, model_name: str, dtype_name: str, threads: int, quick: bool) -> None:
    """Serve one arm over the pipe: a line in, a step taken, a line out."""
    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if dtype_name == "bf16" else torch.float32
    tiny = build_tiny(["a b"], vocab_size=1024, hidden=320, layers=8, heads=5, seed=0) if model_name == "10m" else None
    model: Any = (tiny or load_model(model_name)).model
    rows = WORKLOADS[workload](np.random.default_rng(0), quick)
    learner = Learner(model, dtype=dtype, lr=1e-6, share_prefixes=name.endswith("shared"))
    plain = Plain(model, dtype) if name == "plain" else None
    computed = sum(batch.ids.numel() for batch in learner._batches(rows))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"ready": len(rows), "tokens": computed, "rss_mb": before / 1024}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = plain.step(rows) if plain else learner.rl_step(rows)["loss"]
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "loss": loss, "peak_mb": peak}), flush=True)


def compare(workload: str, model: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run the arms of one workload side by side, a step each in turn."""
    children = {}
    for name in ARMS:
        command = [sys.executable, __file__, "--arm", name, workload, model, args.dtype, str(args.threads)]
        child = subprocess.Popen(
            [*command, "quick" if args.quick else "whole"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        children[name] = (child, json.loads(child.stdout.readline()))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    for _ in range(args.rounds + 1):  # the first one allocates
        for name, (child, _) in children.items():
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write("step\n")
            child.stdin.flush()
            found[name].append(json.loads(child.stdout.readline()))
    for child, _ in children.values():
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
    base = statistics.median(each["seconds"] for each in found["plain"][1:])
    result: dict[str, Any] = {"rows": children["plain"][1]["ready"], "arms": {}}
    for name, steps in found.items():
        seconds = statistics.median(each["seconds"] for each in steps[1:])
        first = children[name][1]
        result["arms"][name] = {
            "seconds": round(seconds, 3),
            "times_faster_than_plain": round(base / seconds, 2),
            "computed_tokens": None if name == "plain" else first["tokens"],
            "memory_above_model_mb": round(max(each["peak_mb"] for each in steps) - first["rss_mb"]),
            "loss": round(steps[0]["loss"], 5),
        }
    return result


def main() -> int:
    if sys.argv[1:2] == ["--arm"]:
        _, _, name, workload, model, dtype, threads, size = sys.argv
        arm(name, workload, model, dtype, int(threads), size == "quick")
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2-135m", "10m"], help="names, folders, or '10m'")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="one round on the small model")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()
    if args.quick:
        args.models, args.rounds = ["10m"], 1
    record: dict[str, Any] = {
        "benchmark": "trainer",
        "thinkact": thinkact.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {args.threads} threads",
        "dtype": args.dtype,
        "models": {},
    }
    for model in args.models:
        record["models"][model] = {}
        for workload in WORKLOADS:
            found = record["models"][model][workload] = compare(workload, model, args)
            shown = ", ".join(f"{name} {each['seconds']} s" for name, each in found["arms"].items())
            print(f"{model}, {workload}: {shown}", file=sys.stderr if args.json else sys.stdout, flush=True)
    text = json.dumps(record, indent=1)
    if args.out is not None:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
