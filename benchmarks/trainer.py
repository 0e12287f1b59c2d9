"""What forward and backward of a training step cost: padded rows, packed rows, openings computed once.

    python benchmarks/trainer.py --json --out benchmarks/results/trainer.json      under 5 minutes on two cores
    python benchmarks/trainer.py --quick                                           the small model: does everything run?

Every arm computes the gradient of the same loss for the same rows with the same weights, dtype and threads. The loss is
the policy gradient's on sampled tokens: at the edge of a clip rounding alone would turn a token's gradient on or off.

* plain: rows padded to the longest, `model(...)` with logits of every position over the whole vocabulary, a log-softmax
  in fp32, four rows a pass; what trainers on Hugging Face models do by default.
* padded: our learner, rows of like length together, logits of sampled tokens only.
* packed: the same without padding, attention by row, through the model's modules.
* shared: what rows open with alike computed once, forward and backward.
* fused: the same with a Llama's passes written out; the learner's default.
* fused, selective: and half of what it keeps computed again.

Workloads: 8 attempts behind a prompt of 128 or 768 tokens, and an episode with continuations forked from its turns
(vine, tree), which share trunks. The arms take turns in one process. Memory is the peak of the resident set above what
the process held before, gradients included, the optimiser's state left out. Every gradient is compared with plain's, in
the dtype that is measured and, on a small model, in fp32; one that differs is an error.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import thinkact
from thinkact.policies.learner import Learner, Row
from thinkact.policies.losses_spec import LossOptions
from thinkact.policies.models import build_tiny, load_model

ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padded": {"packed": False},
    "packed": {"share_prefixes": False, "fused": False},
    "shared": {"fused": False},
    "fused": {},
    "fused, selective": {"checkpointing": "selective"},
}

#: Largest difference to plain's gradient, relative to its norm. bf16 has 8 bits of mantissa; arms round differently.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


def group_rows(rng: np.random.Generator, prompt: int, size: int = 8, turns: int = 4) -> list[Row]:
    """Attempts at one task: a prompt, then turns of 24 sampled and 24 given tokens."""
    opening = rng.integers(10, 250, prompt)
    return [_row(rng, opening, int(rng.integers(turns - 1, turns + 2))) for _ in range(size)]


def vine_rows(rng: np.random.Generator, prompt: int, turns: int = 6, forks: int = 2) -> list[Row]:
    """An episode, and continuations from its turns: those repeat the episode up to there as context."""
    whole = _row(rng, rng.integers(10, 250, prompt), turns)
    rows = [whole]
    for turn in range(1, turns):
        rows += [_row(rng, whole.ids[: prompt + 48 * turn], turns - turn) for _ in range(forks)]
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
    "group of 8, prompt 128": lambda rng: group_rows(rng, 128),
    "group of 8, prompt 768": lambda rng: group_rows(rng, 768),
    "tree, 6 turns, 2 forks a turn": lambda rng: vine_rows(rng, 128),
}


def plain(model: Any, dtype: torch.dtype, rows: list[Row]) -> float:
    """Forward and backward the usual way; return the loss."""
    total = sum(int(row.sampled.sum()) for row in rows)
    loss_sum = 0.0
    for first in range(0, len(rows), 4):
        part = rows[first : first + 4]
        longest = max(len(row.ids) for row in part)
        ids, mask = torch.zeros(len(part), longest, dtype=torch.long), torch.zeros(len(part), longest)
        weight = torch.zeros(len(part), longest)
        for at, row in enumerate(part):
            ids[at, : len(row.ids)] = torch.from_numpy(row.ids)
            mask[at, : len(row.ids)] = torch.from_numpy(row.sampled.astype(np.float32))
            weight[at, : len(row.ids)] = torch.from_numpy(row.advantage)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        logp = logits.float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        loss = -(logp * weight[:, 1:] * mask[:, 1:]).sum() / total
        loss.backward()
        loss_sum += float(loss.detach())
    return loss_sum


def gradient(name: str, model: Any, dtype: torch.dtype, rows: list[Row]) -> tuple[Tensor, dict[str, float]]:
    """Return an arm's gradient, (parameters,), and what it cost."""
    parameters = list(model.parameters())
    found: list[Tensor] = []
    computed = float("nan")
    learner = None
    if name != "plain":
        learner = Learner(model, dtype=dtype, lr=0.0, max_grad_norm=float("inf"), **ARMS[name])
        # Nothing moves, and no state of an optimiser is in the memory.
        learner.optimizer = torch.optim.SGD(learner.parameters, lr=0.0)
        learner.optimizer.register_step_pre_hook(lambda *_: found.append(_flat(parameters)))
        computed = float(sum(batch.ids.numel() for batch in learner._batches(rows)))
    before = _begin_of_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    if learner is None:
        loss = plain(model, dtype, rows)
    else:
        loss = learner.rl_step(rows, LossOptions(name="pg"))["loss"]
    cost = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    # The copy for the comparison is made at the end of backward, when activations are gone.
    cost |= {"memory_above_model_mb": _peak() - before, "computed_tokens": computed, "loss": loss}
    if learner is None:
        found.append(_flat(parameters))
        model.zero_grad(set_to_none=True)
    return found[0], cost


def _flat(parameters: list[Any]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


def _begin_of_peak() -> float:
    """Give free memory back, forget the peak so far, and return what is held, in MB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the resident set's high-water mark becomes what it is now
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def compare(model: Any, dtype_name: str, rows: list[Row], rounds: int) -> dict[str, Any]:
    """Run the arms on one workload, in turn, and compare their gradients with plain's."""
    dtype = torch.bfloat16 if dtype_name == "bf16" else torch.float32
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    differences: dict[str, float] = {}
    for _ in range(rounds):
        wanted = None
        for name in ARMS:
            found, cost = gradient(name, model, dtype, rows)
            costs[name].append(cost)
            wanted = found if wanted is None else wanted
            differences[name] = float((found - wanted).norm() / wanted.norm())
            if not differences[name] < TOLERANCE[dtype_name]:
                raise SystemExit(f"{name}: its {dtype_name} gradient differs by {differences[name]:.2g} from plain's.")
            del found
    tokens = sum(len(row.ids) for row in rows)
    arms: dict[str, Any] = {}
    base = statistics.median(cost["seconds"] for cost in costs["plain"])
    for name, each in costs.items():
        seconds = statistics.median(cost["seconds"] for cost in each)
        arms[name] = {
            "seconds": round(seconds, 3),
            "cpu_seconds": round(statistics.median(cost["cpu_seconds"] for cost in each), 3),
            "tokens_per_second": round(tokens / seconds, 1),
            "times_faster_than_plain": round(base / seconds, 2),
            "computed_tokens": None if name == "plain" else int(each[0]["computed_tokens"]),
            "memory_above_model_mb": round(max(cost["memory_above_model_mb"] for cost in each)),
            "gradient_difference": float(f"{differences[name]:.2g}"),
            "loss": round(each[0]["loss"], 5),
        }
    return {"rows": len(rows), "tokens": tokens, "arms": arms}


def small() -> Any:
    """A model of ten million weights."""
    return build_tiny(["a b"], vocab_size=1024, hidden=320, layers=8, heads=5, seed=0).model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="name or folder")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--rounds", type=int, default=1, help="medians are taken over")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="the small model only")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    record: dict[str, Any] = {
        "benchmark": "trainer",
        "thinkact": thinkact.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {args.threads} threads",
        "models": {},
    }
    plan = [("10m", "fp32", 1)] + ([] if args.quick else [(args.model, args.dtype, args.rounds)])
    for name, dtype, rounds in plan:
        model = small() if name == "10m" else load_model(name).model
        warm = group_rows(np.random.default_rng(1), 64, size=2, turns=2)
        for arm in ARMS:  # kernels and threads come up
            gradient(arm, model, torch.bfloat16 if dtype == "bf16" else torch.float32, warm)
        record["models"][name] = {"dtype": dtype, "rounds": rounds, "workloads": {}}
        for workload, build in WORKLOADS.items():
            found = compare(model, dtype, build(np.random.default_rng(0)), rounds)
            record["models"][name]["workloads"][workload] = found
            for arm, each in found["arms"].items():
                shown = ", ".join(f"{key} {value}" for key, value in each.items())
                print(f"{name}, {workload}, {arm}: {shown}", file=sys.stderr if args.json else sys.stdout, flush=True)
    text = json.dumps(record, indent=1)
    if args.out is not None:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
