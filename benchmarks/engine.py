"""What keeping an episode's keys and values across turns is worth, beside Hugging Face `generate` in the same run.

    python benchmarks/engine.py --json --out benchmarks/results/engine.json
    python benchmarks/engine.py --quick

Rollouts: episodes in groups of 8 that share a prompt; each turn samples a fixed number of tokens and is given a tool
result. Both sides sample from the same model, in the same dtype, on the same threads, the same number of tokens:

* engine: our engine. It computes a prompt once per group and a tool result once; log-probabilities included.
* generate: `model.generate` on the whole history of every episode at every turn, which is what Hugging Face paths of
  trainers do (TRL's among them), without the second pass that they need for log-probabilities.

Ragged histories are padded on the left for `generate`. Both sides take turns, round after round; figures are medians.

Decode: tokens per second beyond the prompt, at several batch sizes, beside a plain loop over the model's own forward
pass with its own cache. Roofline: the time that reading the weights and the cache once per step takes at the measured
copy bandwidth, or the products at the measured matrix rate, whichever is longer, over the time taken.

Idle: the share of a rollout during which the model waits, with tools that take as long as the model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import thinkact
from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.models import LoadedModel, build_tiny, load_model
from thinkact.policies.sampling import SamplingParams

GROUP, PROMPT, SAMPLED = 8, 256, 32


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


def with_engine(engine: Engine, work: Workload) -> float:
    params = SamplingParams(temperature=1.0, max_new_tokens=SAMPLED)
    engine.sync()  # nothing is known of the round before
    before = engine.prefilled_tokens
    start = time.perf_counter()
    slots = [engine.open() for _ in range(work.episodes)]
    for turn in range(work.turns):
        given = work.prompts if turn == 0 else work.results[turn - 1]
        requests = [GenRequest(slot, ids, seed=turn) for slot, ids in zip(slots, given, strict=True)]
        results = engine.generate(requests, params)
        assert all(len(result.tokens) == SAMPLED for result in results)
    seconds = time.perf_counter() - start
    for slot in slots:
        engine.close(slot)
    work.computed = engine.prefilled_tokens - before  # type: ignore[attr-defined]
    return seconds


@torch.inference_mode()
def with_generate(model: Any, work: Workload) -> float:
    histories = [list(prompt) for prompt in work.prompts]
    start = time.perf_counter()
    for turn in range(work.turns):
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
    return time.perf_counter() - start


def rollouts(loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare whole rollouts over turns and lengths of tool results."""
    model: Any = loaded.model.to(dtype)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    cells = [(16, turns, (40, 40)) for turns in args.turns]
    cells += [(16, 8, (20, 20)), (16, 8, (20, 400))] if args.ragged and not args.quick else []
    limit = int(getattr(model.config, "max_position_embeddings", 1 << 20))
    rows = []
    for episodes, turns, result in cells:
        work = Workload(vocabulary, episodes, turns, result, seed=turns)
        if work.longest + 8 > limit:
            rows.append({"turns": turns, "result": result, "skipped": f"{work.longest} tokens, the model has {limit}"})
            continue
        engine = Engine(model, max_slots=episodes, max_len=work.longest + 8, dtype=dtype)
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(with_engine(engine, work))
            theirs.append(with_generate(model, work))
        row = {
            "episodes": episodes,
            "turns": turns,
            "result_tokens": result,
            "engine_s": round(statistics.median(ours), 3),
            "generate_s": round(statistics.median(theirs), 3),
            "ratio": round(statistics.median(t / o for o, t in zip(ours, theirs, strict=True)), 2),
            "sampled_tokens_per_s": round(work.sampled / statistics.median(ours), 1),
            "prefilled": work.computed,  # type: ignore[attr-defined]
            "prefilled_over_least": round(work.computed / work.least, 4),  # type: ignore[attr-defined]
        }
        rows.append(row)
        say(args, f"{turns:3d} turns, results {result}: {row['ratio']}x  ({row['engine_s']} s, {row['generate_s']} s)")
    return rows


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


# Decode.


def copy_rate() -> float:
    """Bytes per second that a large copy reads."""
    source = torch.empty(64 << 20, dtype=torch.float32)
    target = torch.empty_like(source)
    return best(lambda: target.copy_(source), 5, source.nbytes)


def product_rate(dtype: torch.dtype, rows: int, hidden: int, wide: int) -> float:
    """Floating-point operations per second of a product of the shape that a layer has."""
    a, b = torch.randn(max(rows, 256), hidden, dtype=dtype), torch.randn(hidden, wide, dtype=dtype)
    return best(lambda: a @ b, 20, 2 * a.numel() * wide)


def best(call: Callable[[], object], times: int, amount: float) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return amount / min(seconds)


@torch.inference_mode()
def plain_decode(model: Any, prompt: Tensor, steps: int) -> float:
    """Seconds of a loop over the model's own forward pass and cache, sampling included."""
    out = model(input_ids=prompt, use_cache=True, logits_to_keep=1)
    start = time.perf_counter()
    for _ in range(steps):
        picked = torch.multinomial(out.logits[:, -1].float().softmax(-1), 1)
        out = model(input_ids=picked, past_key_values=out.past_key_values, use_cache=True)
    return time.perf_counter() - start


def engine_decode(engine: Engine, prompts: list[list[int]], steps: int) -> float:
    """Seconds of the engine for the same, without its prefill."""
    took = []
    for count in (1, steps + 1):
        engine.sync()
        slots = [engine.open() for _ in prompts]
        requests = [GenRequest(slot, ids, seed=at) for at, (slot, ids) in enumerate(zip(slots, prompts, strict=True))]
        start = time.perf_counter()
        engine.generate(requests, SamplingParams(temperature=1.0, max_new_tokens=count))
        took.append(time.perf_counter() - start)
        for slot in slots:
            engine.close(slot)
    return took[1] - took[0]


def decode(loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare decoding at several batch sizes, and with what the machine could do."""
    model: Any = loaded.model.to(dtype)
    config, steps = model.config, 16 if args.quick else 48
    weights = sum(p.numel() for p in model.parameters())
    bandwidth = copy_rate()
    products = product_rate(dtype, 64, config.hidden_size, config.intermediate_size)
    head = config.hidden_size // config.num_attention_heads
    rows = []
    for batch in args.batches:
        rng = np.random.default_rng(batch)
        vocabulary = int(model.get_input_embeddings().weight.shape[0])
        prompts = [rng.integers(10, vocabulary, 128).tolist() for _ in range(batch)]
        engine = Engine(model, max_slots=batch, max_len=128 + steps + 8, dtype=dtype)
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(engine_decode(engine, prompts, steps))
            theirs.append(plain_decode(model, torch.tensor(prompts), steps))
        cache = 2 * config.num_hidden_layers * config.num_key_value_heads * head * (128 + steps // 2) * batch
        read = (weights + cache) * dtype.itemsize / bandwidth
        compute = 2 * weights * batch / products
        seconds = statistics.median(ours)
        rows.append(
            {
                "batch": batch,
                "engine_tokens_per_s": round(batch * steps / seconds, 1),
                "model_tokens_per_s": round(batch * steps / statistics.median(theirs), 1),
                "ratio": round(statistics.median(t / o for o, t in zip(ours, theirs, strict=True)), 2),
                "of_roofline": round(max(read, compute) * steps / seconds, 3),
                "bound": "memory" if read > compute else "arithmetic",
            }
        )
        say(args, f"decode, batch {batch}: {rows[-1]['engine_tokens_per_s']} tokens/s, {rows[-1]['ratio']}x")
    return rows


# Overlap.


def idle(loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Play a world whose tool sleeps as long as the model takes for half of the episodes."""
    from gymnasium.envs.registration import register

    from thinkact.envs.diagnostic.env import CreditEnv
    from thinkact.policies.hf import HFPolicy
    from thinkact.policies.rollout import Runner, make_jobs

    class Slow(CreditEnv):
        """Its tool takes a while."""

        latency = 0.0

        def step(self, action: str) -> Any:
            time.sleep(type(self).latency)
            return super().step(action)

    class Timed(HFPolicy):
        """Keeps count of the seconds in which it writes."""

        busy, calls = 0.0, 0

        def act(self, conversations: Any) -> Any:
            start = time.perf_counter()
            try:
                return super().act(conversations)
            finally:
                self.busy += time.perf_counter() - start
                self.calls += 1

    register("thinkact/BenchSlow-v0", entry_point=Slow, disable_env_checker=True)
    policy = Timed(loaded, max_new_tokens=16, max_slots=32, max_len=640, dtype=dtype)
    episodes = 32 if args.quick else 96
    rows = []
    for waves in (1, 2, 3):
        Slow.latency = 0.0
        with Runner("thinkact/BenchSlow-v0", concurrency=16, waves=waves, env_kwargs=SLOW_WORLD) as runner:
            tasks = [runner.sample_tasks(1, 0)[0]] * episodes
            policy.busy, policy.calls = 0.0, 0
            runner.run(make_jobs(tasks[:16], seed=0, prefix="warm"), policy)
            Slow.latency = policy.busy / policy.calls
            policy.busy, policy.calls = 0.0, 0
            start = time.perf_counter()
            played = runner.run(make_jobs(tasks, seed=1, prefix="idle"), policy)
            wall = time.perf_counter() - start
        rows.append(
            {
                "waves": waves,
                "tool_s": round(Slow.latency, 3),
                "idle": round(1 - policy.busy / wall, 3),
                "episodes_per_s": round(len(played) / wall, 2),
            }
        )
        say(args, f"{waves} waves: the model waits {rows[-1]['idle']:.0%} of the time")
    return rows


SLOW_WORLD: dict[str, Any] = {"world": "umbrella", "horizon": 8}


def say(args: argparse.Namespace, line: str) -> None:
    print(line, file=sys.stderr if args.json else sys.stdout, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2-135m", "10m"], help="names, folders, or '10m'")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--turns", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--ragged", action=argparse.BooleanOptionalAction, default=True, help="also other results")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="one round, few turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()
    if args.quick:
        args.turns, args.batches, args.rounds = [2, 4], [8], 1
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
        "models": {},
    }
    for name in args.models:
        say(args, f"{name}, {args.dtype}")
        loaded = ten_million() if name == "10m" else load_model(name)
        table = rollouts(loaded, dtype, args)
        found = {"rollouts": table, "seconds_grow_as_turns_to_the": slopes(table)}
        found["decode"] = decode(loaded, dtype, args)
        found["overlap"] = idle(loaded, dtype, args)
        record["models"][name] = found
    text = json.dumps(record, indent=1)
    if args.out is not None:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
    return 0


def ten_million() -> LoadedModel:
    """A Llama of about ten million parameters, untrained: only its speed matters."""
    return build_tiny(["a b c"], vocab_size=1024, hidden=320, layers=8, heads=5, seed=0)


if __name__ == "__main__":
    sys.exit(main())
