"""One step of multi-turn GRPO, ours beside TRL's: whole step, rollout, tokens and peak memory.

    python benchmarks/trl_compare.py --setup                 once: a virtual environment with TRL, and the warm model
    python benchmarks/trl_compare.py --json --out benchmarks/results/trl.json
    python benchmarks/trl_compare.py --quick                 2 rollouts, one step an arm: does everything run?

Workload: guess a number from 1 to 10 with a tool that says higher, lower or correct; 2 tasks × 8 attempts, at most 6
tool turns and 256 tokens behind the prompt; SmolLM2-135M after 24 steps of imitation (as it comes it never calls a
tool). All arms start from the same weights, render with the same chat template, train all weights on all attempts
with one AdamW update, and run in a process of their own on the same number of threads. In none of them does the
environment end an episode: the model stops calling, or its turns or tokens run out.

TRL's arms: `default` leaves precision and gradient checkpointing at GRPOConfig's defaults; `fp32` and `bf16` have one
dtype throughout and no checkpointing, which is TRL at its fastest. Ours: `fp32`, and `bf16` arithmetic over fp32
weights, both without checkpoints; `lean` is `bf16` with selective checkpoints and AdamW's moments in bf16. All rows of
a step are one pass. The median of the steps after the first counts, the first where there is only one. Arms that are
done are kept in `--runs` and not measured again.

What is learned on both sides, over many steps and seeds, is in `trl_learning.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

ARM_SCRIPT = Path(__file__).with_name("trl_arm.py")
CACHE = Path.home() / ".cache" / "thinkact-bench"
ARMS = ("trl default", "trl fp32", "trl bf16", "thinkact fp32", "thinkact bf16", "thinkact lean")
#: What our arms set in a run's configuration.
OURS: dict[str, dict[str, Any]] = {
    "fp32": {"model.dtype": "fp32", "checkpointing": "none"},
    "bf16": {"model.dtype": "bf16", "checkpointing": "none"},
    "lean": {"model.dtype": "bf16", "checkpointing": "selective", "moments": "bf16"},
}
WARM_STEPS = 24


def make_environment(python: Path) -> None:
    """Make the environment that has TRL, if it is missing."""
    if not python.exists():
        # On top of our own packages: the same torch and transformers in all arms, and nothing downloaded twice.
        folder = python.parent.parent
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        site = [path for path in sys.path if path.endswith("site-packages")][:1]
        for target in (folder / "lib").glob("python3*/site-packages"):
            (target / "base.pth").write_text("\n".join(site) + "\n")
        subprocess.run([python, "-m", "pip", "install", "trl==1.16.*", "jmespath"], check=True)


def setup(python: Path, warm: Path) -> None:
    """Make the environment and the model, whatever of them is missing."""
    make_environment(python)
    if not (warm / "config.json").exists():
        from thinkact.policies.models import locate_model

        subprocess.run([python, ARM_SCRIPT, "warm", locate_model("smollm2-135m"), warm, str(WARM_STEPS)], check=True)


def ours(model_path: str, which: str, options: dict[str, Any]) -> dict[str, Any]:
    """The same steps with our runner, engine and learner."""
    import gymnasium as gym
    import torch
    from pydantic import BaseModel, Field
    from transformers.utils import get_json_schema

    from thinkact.envs.core import Solution, ToolEnv
    from thinkact.envs.types import Check, Limits, Split, Task
    from thinkact.policies.config import make_config
    from thinkact.policies.hf import HFPolicy
    from thinkact.policies.jobs import make_jobs
    from thinkact.policies.learner import Learner
    from thinkact.policies.models import load_model
    from thinkact.policies.reinforce import Reinforcer
    from thinkact.policies.rollout import Runner
    from thinkact.policies.training_setup import arithmetic
    from thinkact.tools import Tool, ToolContext, ToolResult

    sys.path.insert(0, str(ARM_SCRIPT.parent))
    from trl_arm import PROMPT, SPENT, Guess, answer, cpu_seconds, guess, peak_mb, secret_of

    class GuessArguments(BaseModel):
        number: int = Field(description="your guess, from 1 to 10")

    class GuessTool:
        name, description = "guess", "Guess the secret number."
        Arguments: type[BaseModel] = GuessArguments
        terminal = False
        secret, low, high, right, guesses = 0, 1, 10, False, 0

        def run(self, args: GuessArguments, ctx: ToolContext) -> ToolResult:
            self.guesses += 1
            if self.guesses > options.get("guesses", Guess.most):
                return ToolResult(call_id=ctx.call_id, content=SPENT)
            self.right = self.right or args.number == self.secret
            if args.number <= self.secret:
                self.low = max(self.low, args.number)
            if args.number >= self.secret:
                self.high = min(self.high, args.number)
            return ToolResult(call_id=ctx.call_id, content=answer(self.secret, args.number))

        def snapshot(self) -> tuple[int, int, int, bool, int]:
            return self.secret, self.low, self.high, self.right, self.guesses

        def restore(self, state: tuple[int, int, int, bool, int]) -> None:
            self.secret, self.low, self.high, self.right, self.guesses = state

        def close(self) -> None:
            """Nothing is held."""

    class GuessEnv(ToolEnv[int]):
        family: ClassVar[str] = "Guess"
        version: ClassVar[str] = "0"

        def __init__(self, **knobs: Any) -> None:
            super().__init__(**knobs)
            # The very prompt of the other side.
            self.tool_schemas = [get_json_schema(guess)]

        def _make_tools(self) -> Sequence[Tool]:
            self._tool = GuessTool()
            return (self._tool,)

        def _draw_task_id(self, rng: Any) -> str:
            return f"{self.split}/{int(rng.integers(10**6))}"

        def _build_task(self, task_id: str) -> tuple[Task, int]:
            seed = int(task_id.split("/")[1])
            split: Split = "train"
            # A message without a call is the model's last one, as it is for TRL.
            limits = Limits(max_turns=options["turns"] + 1, max_invalid=1)
            task = Task(id=task_id, family=self.family, split=split, seed=seed, prompt=PROMPT, limits=limits)
            return task, secret_of(seed)

        def _begin(self, task: Task, hidden: int) -> None:
            self._tool.restore((hidden, 1, 10, False, 0))

        def _state_key(self) -> str:
            # What has been told; the secret is luck, as in Credit-v0.
            return f"{self._tool.low}-{self._tool.high} {self._tool.right} {self._tool.guesses}"

        def _checks(self, task: Task, hidden: int) -> Sequence[Check]:
            return (Check(name="guessed", weight=1.0, passed=self._tool.right),)

        def _solution(self, task: Task, hidden: int) -> Solution:
            yield json.dumps({"guess": hidden})

    gym.register("bench/Guess-v0", entry_point=GuessEnv)
    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    loaded = load_model(model_path)
    rollouts = options["group"] * options["prompts"]
    opening = len(
        loaded.tokenizer.apply_chat_template(  # type: ignore[attr-defined]
            [{"role": "user", "content": PROMPT}], tools=GuessEnv().tool_schemas, return_dict=False
        )
    )
    config = make_config(
        overrides={
            **OURS[which],
            "model.train_layers": None,
            "batch_tokens": 4096,
            "rl": {
                **{"estimator": "grpo", "loss": "clip_higher", "lr": options["lr"], "updates": 1, "max_rows": None},
                **{"steps": options["steps"], "warmup_updates": 0},
                **options.get("rl", {}),
            },
        }
    )
    dtype = arithmetic(config.model)
    policy = HFPolicy(
        loaded,
        max_new_tokens=options["completion"],
        max_slots=rollouts,
        max_len=opening + options["completion"] + 8,
        dtype=dtype,
        codec="template",
    )
    learner = Learner(
        loaded.model,
        dtype=dtype,
        lr=options["lr"],
        batch_tokens=config.batch_tokens,
        checkpointing=config.checkpointing,
        moments=config.moments,
    )
    reinforcer = Reinforcer(config, learner, lambda step: step)
    before = peak_mb()
    found: dict[str, list[float]] = {
        name: []
        for name in (
            *("seconds", "cpu_seconds", "rollout_seconds", "sampled_tokens", "fed_tokens", "trained_tokens"),
            *("score", "calls_per_rollout"),
        )
    }
    with Runner("bench/Guess-v0", concurrency=rollouts, lockstep=True) as runner:
        for step in range(options["steps"]):
            start, cpu = time.perf_counter(), cpu_seconds()
            policy.sync()
            first = step * options["prompts"]
            tasks = [f"train/{task}" for task in options["tasks"][first : first + options["prompts"]]]
            seed = 1000 * options["seed"] + step
            episodes = runner.run(make_jobs(tasks, trials=options["group"], seed=seed, prefix=f"{step}"), policy)
            played = time.perf_counter()
            policy.rest()
            learned = reinforcer.learn(episodes, step)
            end = time.perf_counter()
            values = {
                "seconds": round(end - start, 2),
                "cpu_seconds": round(cpu_seconds() - cpu, 2),
                "rollout_seconds": round(played - start, 2),
                "sampled_tokens": sum(e.usage.sampled_tokens for e in episodes),
                # Attempts without credit (a group that fared alike) are no work for us, and work for TRL.
                "trained_tokens": learned["trained_tokens"],
                "fed_tokens": sum(e.usage.prompt_tokens for e in episodes),
                "score": round(statistics.mean(float(e.score or 0.0) for e in episodes), 3),
                "calls_per_rollout": round(
                    statistics.mean(sum(not turn.invalid for turn in e.turns) for e in episodes), 2
                ),
            }
            for name, value in values.items():
                found[name].append(value)
    return {
        **found,
        "rss_before_mb": round(before),
        "peak_rss_mb": round(peak_mb()),
    }


def run(arm: str, options: dict[str, Any], python: Path, warm: Path) -> dict[str, Any]:
    """Run an arm in a process of its own; return what it says of its steps."""
    whose, which = arm.split()
    program = [python, ARM_SCRIPT, "step"] if whose == "trl" else [sys.executable, __file__, "--arm-of-ours"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options["threads"]), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [*program, warm, which, json.dumps(options)], stdout=subprocess.PIPE, text=True, env=environment, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    steps: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return steps


def kept(file: Path | None, options: dict[str, Any], made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what an earlier run with the same options left in the file; else make it, and leave it there."""
    if file is not None and file.is_file():
        before = json.loads(file.read_text())
        if before["options"] == options:
            figures: dict[str, Any] = before["figures"]
            return figures
    found = made()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        work = file.with_suffix(".part")
        work.write_text(json.dumps({"options": options, "figures": found}))
        work.replace(file)
    return found


def measured(steps: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of an arm's steps."""
    counted = slice(1, None) if len(steps["seconds"]) > 1 else slice(None)
    seconds, tokens = statistics.median(steps["seconds"][counted]), statistics.median(steps["sampled_tokens"][counted])
    return {
        "step_seconds": seconds,
        "rollout_seconds": statistics.median(steps["rollout_seconds"][counted]),
        "sampled_tokens": tokens,
        "sampled_tokens_per_second": round(tokens / seconds, 1),
        "peak_rss_mb": steps["peak_rss_mb"],
        "steps": steps,
    }


def compared(arms: dict[str, Any]) -> dict[str, Any]:
    """Return by how much each arm of ours is faster and smaller than each of TRL's."""
    out: dict[str, Any] = {}
    for mine in (arm for arm in arms if arm.startswith("thinkact")):
        for other in (arm for arm in arms if arm.startswith("trl")):
            a, b = arms[mine], arms[other]
            out[f"{mine} / {other}"] = {
                "step_times_faster": round(b["step_seconds"] / a["step_seconds"], 2),
                "per_sampled_token_times_faster": round(
                    a["sampled_tokens_per_second"] / b["sampled_tokens_per_second"], 2
                ),
                "peak_memory_share": round(a["peak_rss_mb"] / b["peak_rss_mb"], 3),
            }
    return out


def main() -> int:
    if sys.argv[1:2] == ["--arm-of-ours"]:
        print("RESULT " + json.dumps(ours(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))), flush=True)
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="make what is missing, and stop")
    parser.add_argument("--arm", action="append", choices=ARMS, help="repeatable; default all")
    parser.add_argument("--steps", type=int, default=2, help="per arm")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--python", type=Path, default=CACHE / "trl" / "bin" / "python", help="one that has TRL")
    parser.add_argument("--model", type=Path, default=CACHE / "guess-warm", help="folder of the warm model")
    parser.add_argument("--runs", type=Path, default=Path("runs/trl"), help="folder of arms that are done")
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--quick", action="store_true", help="2 rollouts, one step, at most 3 turns; nothing is kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()
    setup(args.python, args.model)
    if args.setup:
        return 0
    options = {"group": 8, "prompts": 2, "turns": 6, "completion": 256, "threads": args.threads, "lr": args.lr}
    if args.quick:
        options |= {"group": 2, "prompts": 1, "turns": 3, "completion": 96}
    steps = 1 if args.quick else args.steps
    arms: dict[str, Any] = {}
    for arm in args.arm or ARMS:
        mine = {**options, "steps": steps, "seed": 0, "tasks": list(range(steps * options["prompts"]))}
        file = None if args.quick else args.runs / f"{arm.replace(' ', '-')}.json"
        arms[arm] = measured(kept(file, mine, partial(run, arm, mine, args.python, args.model)))
        shown = {key: value for key, value in arms[arm].items() if key != "steps"}
        print(f"{arm}: {shown}", file=sys.stderr if args.json else sys.stdout, flush=True)
    options["steps"] = steps
    import torch
    import transformers

    import thinkact

    record = {
        "benchmark": "trl_compare",
        "thinkact": thinkact.__version__,
        "trl": "1.16",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": f"{platform.machine()}, {args.threads} threads",
        "options": options,
        "arms": arms,
        "compared": compared(arms),
    }
    text = json.dumps(record, indent=1)
    if args.out is not None:
        args.out.write_text(text + "\n")
    print(text if args.json else json.dumps(record["compared"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
