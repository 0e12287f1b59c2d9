"""Parts of `engine.py`: decoding beside the model's own loop and the roofline, and idle time."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.models import LoadedModel
from thinkact.policies.sampling import SamplingParams

Say = Callable[[str], None]

SLOW_WORLD: dict[str, Any] = {"world": "umbrella", "horizon": 8}


def copy_rate() -> float:
    """Bytes per second that a large copy moves: what it reads and what it writes, as STREAM counts them."""
    source = torch.zeros(64 << 20, dtype=torch.float32)
    target = torch.empty_like(source)
    return best(lambda: target.copy_(source), 5, 2 * source.nbytes)


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


def decode(loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace, say: Say) -> list[dict[str, Any]]:
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
                "copy_gb_per_s": round(bandwidth / 1e9, 1),
                "product_gflop_per_s": round(products / 1e9, 1),
            }
        )
        say(f"decode, batch {batch}: {rows[-1]['engine_tokens_per_s']} tokens/s, {rows[-1]['ratio']}x")
    return rows


# Overlap.


def idle(loaded: LoadedModel, dtype: torch.dtype, args: argparse.Namespace, say: Say) -> list[dict[str, Any]]:
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
        say(f"{waves} waves: the model waits {rows[-1]['idle']:.0%} of the time")
    return rows
