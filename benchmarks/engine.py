"""What keeping an episode's keys and values across turns is worth, beside Hugging Face `generate` and TRL in one run.

    python benchmarks/engine.py --json --out benchmarks/results/engine.json
    python benchmarks/engine.py --quick
    python benchmarks/engine.py --soak 5000 --out benchmarks/results/engine_soak.json

Rollouts: episodes in groups of 8 that share a prompt; each turn samples a fixed number of tokens and is given a tool
result. All sides sample from the same model, in the same dtype, on the same threads, the same number of tokens:

* engine: our engine. It computes a prompt once per group and a tool result once; log-probabilities included.
* generate: `model.generate` on the whole history of every episode at every turn, which is what Hugging Face paths of
  trainers do, without the second pass that they need for log-probabilities.
* trl: TRL's own `GRPOTrainer._generate_single_turn` in a process of its own (`engine_trl.py`), where there is an
  environment with TRL (`trl_compare.py --setup` makes it), for the cells of `--trl-turns`.
* per core: our engine again, one process of one thread for each core (`engine_processes.py`).

Ragged histories are padded on the left for `generate`. Both sides take turns, round after round; figures are medians.
The benchmark fails where the engine prefills more than 5 % beyond the least possible.

History: seconds of single turns over the tokens of history before them, as a slope (seconds per 1000 tokens).

Decode: tokens per second beyond the prompt, at several batch sizes, beside a plain loop over the model's own forward
pass with its own cache. Roofline: the time that reading the weights and the cache once per step takes at the measured
copy bandwidth, or the products at the measured matrix rate, whichever is longer, over the time taken.

Processes: the engine in one process beside one process per core, with few and with many episodes, 2 turns.

Idle: the share of a rollout during which the model waits, with tools that take as long as the model.

The record is written anew after every part, so that a run that is broken off keeps what it measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import thinkact
from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.models import LoadedModel, build_tiny, load_model, save_model
from thinkact.policies.sampling import SamplingParams

sys.path.insert(0, str(Path(__file__).parent))
from engine_parts import decode, idle
from engine_processes import PerCore, processes
from engine_soak import soak

GROUP, PROMPT, SAMPLED = 8, 256, 32
#: Prefilled tokens over the least possible, at most.
WASTE = 1.05
PARTS = ("rollouts", "decode", "overlap", "processes")
#: Untrained Llamas, by name: width, layers and heads; only their speed matters.
SIZES = {"10m": (320, 8, 5), "40m": (512, 12, 8)}
TRL_PYTHON = Path.home() / ".cache" / "thinkact-bench" / "trl" / "bin" / "python"


class Workload:
    """Prompts and tool results of one rollout, as token ids.

    Args:
        vocabulary: Ids are drawn below this.
        episodes: How many; groups of 8 share a prompt.
        turns: Turns of every episode.
        result: Tokens of a tool result, or the least and the most.
        seed: Of the draw.
    """

    def __init__(self, vocabulary: int, episodes: int, turns: int, result: tuple[int, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.episodes, self.turns, self.vocabulary = episodes, turns, vocabulary
        prompts = [rng.integers(10, vocabulary, PROMPT).tolist() for _ in range(-(-episodes // GROUP))]
        self.prompts = [prompts[at // GROUP] for at in range(episodes)]
        sizes = rng.integers(result[0], result[1] + 1, (turns - 1, episodes))
        self.results = [[rng.integers(10, vocabulary, size).tolist() for size in row] for row in sizes]
        given = PROMPT * len(prompts) + int(sizes.sum())
        #: Every given token once, and the last sampled one of a turn, which only the next turn feeds.
        self.least = given + episodes * (turns - 1)
        self.sampled = episodes * turns * SAMPLED
        self.longest = int(PROMPT + turns * SAMPLED + sizes.sum(axis=0).max(initial=0))
        #: Mean tokens of an episode before each turn.
        self.history = [PROMPT + turn * SAMPLED + float(sizes[:turn].sum()) / episodes for turn in range(turns)]


def with_engine(engine: Engine, work: Workload) -> tuple[list[float], int]:
    """Return the seconds of each turn, and how many tokens were prefilled."""
    params = SamplingParams(temperature=1.0, max_new_tokens=SAMPLED)
    engine.sync()  # nothing is known of the round before
    before = engine.prefilled_tokens
    seconds = []
    slots = [engine.open() for _ in range(work.episodes)]
    for turn in range(work.turns):
        start = time.perf_counter()
        given = work.prompts if turn == 0 else work.results[turn - 1]
        requests = [GenRequest(slot, ids, seed=turn) for slot, ids in zip(slots, given, strict=True)]
        results = engine.generate(requests, params)
        seconds.append(time.perf_counter() - start)
        assert all(len(result.tokens) == SAMPLED for result in results)
    for slot in slots:
        engine.close(slot)
    return seconds, engine.prefilled_tokens - before


@torch.inference_mode()
def with_generate(model: Any, work: Workload) -> list[float]:
    """Return the seconds of each turn."""
    histories = [list(prompt) for prompt in work.prompts]
    seconds = []
    for turn in range(work.turns):
        start = time.perf_counter()
        if turn:
            for history, result in zip(histories, work.results[turn - 1], strict=True):
                history += result
        width = max(map(len, histories))
        ids = torch.zeros(len(histories), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, history in enumerate(histories):
            ids[row, width - len(history) :] = torch.tensor(history)
            mask[row, width - len(history) :] = 1
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=SAMPLED,
            min_new_tokens=SAMPLED,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=0,
        )
        for history, sampled in zip(histories, out[:, width:].tolist(), strict=True):
            history += sampled
        seconds.append(time.perf_counter() - start)
    return seconds


def with_trl(folder: Path, work: Workload, args: argparse.Namespace) -> list[float]:
    """Return the seconds of each round."""
    asked = {
        "prompts": work.prompts,
        "results": work.results,
        "sampled": SAMPLED,
        "dtype": args.dtype,
        "threads": args.threads,
        "rounds": args.rounds,
    }
    path = folder / "work.json"
    path.write_text(json.dumps(asked))
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "false"}
    program = [args.trl_python, Path(__file__).with_name("engine_trl.py"), folder, path]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    seconds: list[float] = json.loads(line.removeprefix("RESULT "))
    return seconds


def rollouts(
    loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace, keep: Callable[[list[dict[str, Any]]], None]
) -> None:
    """Compare whole rollouts over turns and lengths of tool results."""
    model: Any = loaded.model.to(dtype)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    cells = [(turns, (40, 40)) for turns in args.turns]
    cells += [(8, (20, 20)), (8, (20, 400))] if args.ragged and not args.quick else []
    episodes = args.episodes
    limit = int(getattr(model.config, "max_position_embeddings", 1 << 20))
    rows: list[dict[str, Any]] = []
    for turns, result in cells:
        work = Workload(vocabulary, episodes, turns, result, seed=turns)
        if work.longest + 8 > limit:
            rows.append({"turns": turns, "result": result, "skipped": f"{work.longest} tokens, the model has {limit}"})
            continue
        engine = Engine(model, max_slots=episodes, max_len=work.longest + 8, dtype=dtype)
        ours, theirs, computed, apart, computed_apart = [], [], 0, [], 0
        with PerCore(model, args.processes, episodes, work.longest + 8, dtype, with_engine) as crew:
            crew.play(work, GROUP)  # they are up
            for _ in range(args.rounds):
                seconds, computed = with_engine(engine, work)
                ours.append(seconds)
                theirs.append(with_generate(model, work))
                once, computed_apart = crew.play(work, GROUP)
                apart.append(once)
        ratio = statistics.median(sum(t) / sum(o) for o, t in zip(ours, theirs, strict=True))
        engine_s = statistics.median(map(sum, ours))
        row = {
            "episodes": episodes,
            "turns": turns,
            "result_tokens": result,
            "engine_s": round(engine_s, 3),
            "generate_s": round(statistics.median(map(sum, theirs)), 3),
            "ratio": round(ratio, 2),
            "per_core_s": round(statistics.median(apart), 3),
            "per_core_ratio": round(statistics.median(sum(t) / a for a, t in zip(apart, theirs, strict=True)), 2),
            "per_core_over_engine": round(statistics.median(sum(o) / a for a, o in zip(apart, ours, strict=True)), 2),
            "sampled_tokens_per_s": round(work.sampled / engine_s, 1),
            "prefilled": computed,
            "prefilled_over_least": round(max(computed, computed_apart) / work.least, 4),
            "turn_s_per_1000_tokens_of_history": {
                "engine": per_thousand(work.history, ours),
                "generate": per_thousand(work.history, theirs),
            },
        }
        if turns in args.trl_turns and result == (40, 40) and args.trl_python.exists():
            with tempfile.TemporaryDirectory(prefix="engine-trl-") as folder:
                trl = statistics.median(with_trl(save_model(loaded, Path(folder) / "model"), work, args))
            row |= {"trl_s": round(trl, 3), "trl_ratio": round(trl / engine_s, 2)}
        rows.append(row)
        keep(rows)
        beside = f", {row['per_core_ratio']}x with a process per core"
        beside += f", TRL {row['trl_ratio']}x" if "trl_ratio" in row else ""
        say(args, f"{turns:3d} turns, results {result}: {row['ratio']}x{beside}  ({row['engine_s']} s)")


def per_thousand(history: Sequence[float], rounds: Sequence[Sequence[float]]) -> float | None:
    """Fit the seconds of a turn, in the median round, over the tokens before it; seconds per 1000 tokens."""
    if len(history) < 3:
        return None
    seconds = np.median(np.asarray(rounds), axis=0)[1:]  # the first turn has the prompt to compute
    return round(1000 * float(np.polyfit(history[1:], seconds, 1)[0]), 3)


def slopes(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Fit seconds ~ turns ** power over the cells that differ in turns only: 1 is linear, 2 quadratic."""
    same = [row for row in rows if row.get("result_tokens") == (40, 40)]
    if len(same) < 2:
        return {}
    turns = np.log([row["turns"] for row in same])
    return {
        side: round(float(np.polyfit(turns, np.log([row[f"{side}_s"] for row in same]), 1)[0]), 2)
        for side in ("engine", "generate")
    }


def say(args: argparse.Namespace, line: str) -> None:
    print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", default=["smollm2-135m", "10m"], help=f"names, folders, or {', '.join(SIZES)}"
    )
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--turns", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--episodes", type=int, default=16, help="of a rollout; groups of 8 share a prompt")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--ragged", action=argparse.BooleanOptionalAction, default=True, help="also other results")
    parser.add_argument("--trl-turns", type=int, nargs="*", default=[2, 8], help="cells that TRL plays too")
    parser.add_argument("--trl-python", type=Path, default=TRL_PYTHON, help="one that has TRL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="of the arm 'per core'")
    parser.add_argument("--soak", type=int, metavar="EPISODES", help="only this: play many episodes, watch memory")
    parser.add_argument("--quick", action="store_true", help="one round, few turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file, after every part")
    args = parser.parse_args()
    if args.quick:
        args.turns, args.batches, args.rounds, args.trl_turns = [2, 4], [8], 1, [2]
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    record: dict[str, Any] = {
        "benchmark": "engine",
        "thinkact": thinkact.__version__,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {args.threads} threads",
        "dtype": args.dtype,
        "prompt_tokens": PROMPT,
        "sampled_tokens_per_turn": SAMPLED,
        "group": GROUP,
    }

    def write() -> None:
        if args.out is not None:
            args.out.write_text(json.dumps(record, indent=1) + "\n")

    if args.soak is not None:
        record["soak"] = soak(args.soak, lambda line: say(args, line))
        failures = [] if record["soak"]["flat"] else ["memory is not flat, or episodes failed"]
    else:
        record["models"] = {}
        failures = [each for name in args.models for each in measure(name, dtype, args, record["models"], write)]
    write()
    if args.json:
        print(json.dumps(record, indent=1))
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


def measure(
    name: str, dtype: torch.dtype, args: argparse.Namespace, models: dict[str, Any], write: Callable[[], None]
) -> list[str]:
    """Measure one model into `models`; return what must not be."""
    say(args, f"{name}, {args.dtype}")
    loaded = untrained(*SIZES[name]) if name in SIZES else load_model(name)
    found: dict[str, Any] = {}
    models[name] = found

    def keep(rows: list[dict[str, Any]]) -> None:
        found["rollouts"], found["seconds_grow_as_turns_to_the"] = rows, slopes(rows)
        write()

    def told(line: str) -> None:
        say(args, line)

    if "rollouts" in args.parts:
        rollouts(loaded, dtype, args, keep)
    if "decode" in args.parts:
        found["decode"] = decode(loaded, dtype, args, told)
        write()
    if "overlap" in args.parts:
        found["overlap"] = idle(loaded, dtype, args, told)
        write()
    if "processes" in args.parts:
        found["processes"] = processes(loaded.model, dtype, args, Workload, with_engine, told)
        write()
    return [
        f"{name}, {row['turns']} turns: prefilled {row['prefilled_over_least']} times the least possible"
        for row in found.get("rollouts", ())
        if row.get("prefilled_over_least", 1.0) > WASTE
    ]


def untrained(hidden: int, layers: int, heads: int) -> LoadedModel:
    """A Llama with random weights."""
    return build_tiny(["a b c"], vocab_size=1024, hidden=hidden, layers=layers, heads=heads, seed=0)


if __name__ == "__main__":
    sys.exit(main())
