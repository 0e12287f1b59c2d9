"""The soak of `engine.py`: thousands of episodes in one process, and what memory does meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from slopes import slope

from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.policies.engine import Engine, GenRequest
from thinkact.policies.heap import give_back
from thinkact.policies.hf import HFPolicy
from thinkact.policies.history import KINDS, Kind
from thinkact.policies.kv import few_lengths, few_rows
from thinkact.policies.models import LoadedModel, build_tiny
from thinkact.policies.rollout import Runner, make_jobs
from thinkact.policies.sampling import SamplingParams
from thinkact.policies.vine import fork

ROUND, SLOTS, MAX_LEN = 100, 24, 1024
#: Of keys and values: a third of what all slots could fill, so that turns wait and idle slots give way.
SHARE = 3
#: Bytes that memory may seem to grow by, at the slope's upper end, while as many episodes again are played.
ALLOWED = 16 << 20


class Ragged(CreditEnv):
    """A world of 3 to 9 turns whose tool says 20 to 400 tokens, more or less.

    The model is untrained and its words are no calls, so a random call is made in its stead.
    """

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        found = super().reset(seed=seed, options=options)
        self.action_space.seed(self.task.seed)
        return found

    def step(self, action: str) -> Any:
        said, *rest = super().step(str(self.action_space.sample()))
        rng = random.Random(f"{self.task.seed} {said} {len(action)}")
        return (said + " " + "".join(rng.choices("aeklmnrtu ,", k=rng.randint(20, 400))), *rest)


def memory() -> dict[str, int]:
    """Bytes of this process's memory that are its own and no file's: all, and what is held.

    What the C library has been given back and keeps for later comes and goes by 20 MB from round to round, so it is
    returned to the system before the second figure is taken. Growth is read off that one.
    """
    before = anonymous()
    give_back()
    return {"pss_anon": before, "held": anonymous()}


def anonymous() -> int:
    lines = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()]
    return next(int(line[1]) * 1024 for line in lines[1:] if line[0] == "Pss_Anon:")


def policy_for(loaded: LoadedModel, history: Kind, dtype: torch.dtype) -> HFPolicy:
    """A policy whose contexts fill up, and whose keys do not all fit."""
    config: Any = loaded.model.config  # type: ignore[attr-defined]
    whole = SLOTS * MAX_LEN * 2 * config.num_hidden_layers * config.hidden_size * dtype.itemsize
    return HFPolicy(
        loaded,
        max_new_tokens=24,
        max_summary_tokens=16,
        max_slots=SLOTS,
        max_len=MAX_LEN,
        max_kv_bytes=whole // SHARE,
        history=history,
        budget=None if history == "cut" else 960,
        dtype=dtype,
    )


def compile_all(loaded: LoadedModel) -> int:
    """Have every kernel compiled that the soak can come to need, so that none of them passes for growth.

    oneDNN compiles a product for every shape and keeps it, 0.6 MB each, up to a number of its own (1024). Which shapes
    there are follows from the engine's rounding: of rows and of keys in a decoding step, of tokens in prefill. Where
    memory is limited, the table's rows are one more number of rows for each length.

    Returns:
        How many shapes of decoding, and sizes of prefill.
    """
    lengths = sorted({few_lengths(n) for n in range(1, MAX_LEN + 1)})
    room = {min(SLOTS, SLOTS * MAX_LEN // SHARE // length) for length in lengths}
    numbers = sorted({few_rows(n) for n in range(1, SLOTS + 1)} | room)
    for rows in numbers:
        engine = Engine(loaded.model, max_slots=rows, max_len=MAX_LEN, dtype=torch.bfloat16)
        slots = [engine.open() for _ in range(rows)]
        given = 0
        for length in lengths:  # 2 tokens: the second is decoded with all keys of a table of this length
            prompt = [20 + length % 7] * (length - 2 - given)
            engine.generate([GenRequest(slot, prompt) for slot in slots], SamplingParams(max_new_tokens=2))
            given = len(engine.tokens(slots[0]))
    sizes = [*range(8, 65, 8), *range(128, 513, 64), *range(768, 2049, 256)]
    for size in sizes:
        engine = Engine(loaded.model, max_slots=2, max_len=2 * MAX_LEN, dtype=torch.bfloat16)
        engine.generate([GenRequest(engine.open(), [20] * (size - 1))], SamplingParams(max_new_tokens=1))
    return len(numbers) * len(lengths) + len(sizes)


def walk(engine: Engine, rng: random.Random, episodes: int) -> int:
    """Play episodes on the engine itself, some of them forked from others or freed half-way; return how many."""
    live: dict[int, int] = {}  # slot to turns that are left
    begun = 0
    while begun < episodes or live:
        while begun < episodes and engine.open_slots < SLOTS:
            sources = [slot for slot in live if engine.tokens(slot)]
            forked = bool(sources) and rng.random() < 0.2
            live[engine.fork(rng.choice(sources)) if forked else engine.open()] = rng.randint(1, 6)
            begun += 1
        chosen = rng.sample(sorted(live), rng.randint(1, len(live)))
        requests = []
        for slot in chosen:
            given = [rng.randrange(engine.vocabulary) for _ in range(rng.randint(20, 400))]
            requests.append(GenRequest(slot, given, seed=rng.randrange(1 << 30)))
        params = SamplingParams(max_new_tokens=24, stop_ids=tuple(range(20)))
        for slot, result in zip(chosen, engine.generate(requests, params), strict=True):
            live[slot] -= 1
            if not live[slot] or result.stop == "context" or rng.random() < 0.05:
                del live[slot]
                engine.close(slot)
    return begun


def soak(episodes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Play episodes of 3 to 9 turns with a tiny model in bf16 and watch what memory does.

    A round of a hundred: 60 through the runner (histories cut, with dropped results and with summaries, in turns), 20
    continuations of theirs, 20 on the engine itself with forks and early ends. Before every round the weights are
    taken over anew. Keys and values have a third of the memory that they could use.

    Flat: the slope of memory over the second half, at the upper end of its 95 % interval, is no more than 16 MB on as
    many episodes again; the tables keep their limit; no slot is left open, no conversation remembered, and no episode
    fails. All kernels are compiled beforehand (`compile_all`).
    """
    from gymnasium.envs.registration import register

    register("thinkact/BenchRagged-v0", entry_point=Ragged, disable_env_checker=True)
    loaded = build_tiny(["an umbrella, a letter, a key"], vocab_size=320, hidden=64, layers=2, heads=2, seed=0)
    shapes = compile_all(loaded)
    policies = [policy_for(loaded, history, torch.bfloat16) for history in KINDS]
    rng = random.Random(0)
    rounds: list[dict[str, int]] = []
    played = failed = summaries = restarts = turns = 0
    start, cpu = time.perf_counter(), time.process_time()
    world = {"world": "umbrella", "horizon": list(range(3, 10))}
    with Runner("thinkact/BenchRagged-v0", concurrency=SLOTS, env_kwargs=world) as runner:
        while played < episodes:
            policy = policies[len(rounds) % len(policies)]
            policy.sync()
            snapshots: Any = {}
            jobs = make_jobs(runner.sample_tasks(ROUND * 6 // 10, played), seed=played, prefix=f"soak{played}")
            whole = runner.run(jobs, policy, snapshots=snapshots)
            good = [episode for episode in whole if episode.error is None]
            seed = len(rounds)
            more = fork(runner, policy, good[: ROUND // 10], snapshots, count=1, turns=2, by="even", seed=seed)
            walked = walk(policy.engine, rng, ROUND - len(whole) - len(more.episodes))
            failed += len(whole) - len(good) + more.errors
            played += len(whole) + len(more.episodes) + walked
            turns += sum(len(episode.turns) for episode in (*good, *more.episodes))
            for turn in (turn for episode in (*good, *more.episodes) for turn in episode.turns):
                summaries += turn.summary is not None
                restarts += turn.restart
            engine = policy.engine
            rounds.append(
                {
                    "episodes": played,
                    **memory(),
                    "kv_bytes": engine.kv_bytes,
                    "open": engine.open_slots,
                    "remembered": len(policy._live) + len(policy._resumed),
                }
            )
            say(f"soak: {rounds[-1]}")
    later = rounds[len(rounds) // 2 :]
    growth, half_width = slope([(each["episodes"], each["held"]) for each in later])
    limit = MAX_LEN * SLOTS * 2 * 2 * 64 * torch.bfloat16.itemsize // SHARE
    return {
        "episodes": played,
        "shapes_compiled_beforehand": shapes,
        "failed": failed,
        "turns_of_episodes": turns,
        "contexts_begun_anew": restarts,
        "summaries": summaries,
        "evicted_tokens": sum(policy.engine.evicted_tokens for policy in policies),
        "prefilled_tokens": sum(policy.engine.prefilled_tokens for policy in policies),
        "sampled_tokens": sum(policy.engine.generated_tokens for policy in policies),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "bytes_per_episode_in_the_second_half": round(growth, 1),
        "half_width_95": round(half_width, 1),
        "flat": (growth + half_width) * episodes <= ALLOWED
        and all(each["kv_bytes"] <= limit and not each["open"] and not each["remembered"] for each in rounds)
        and not failed,
        "rounds": rounds,
    }
