"""The part of `trl_compare.py` that runs with TRL's packages and without ours.

python trl_arm.py warm MODEL OUT STEPS          teach the model to call tools the way TRL's template shows
python trl_arm.py step MODEL ARM JSON           GRPO steps; prints one JSON object
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch

PROMPT = "I am thinking of a number between 1 and 10. Call the guess tool until it says correct."

SPENT = "no guess left"


def guess(number: int) -> str:
    """Guess the secret number.

    Args:
        number: your guess, from 1 to 10

    Returns:
        'higher', 'lower' or 'correct'
    """
    raise NotImplementedError


def answer(secret: int, number: int) -> str:
    return "correct" if number == secret else "higher" if number < secret else "lower"


def secret_of(task: int) -> int:
    """The number behind a task, the same for both sides."""
    return random.Random(task).randint(1, 10)


def peak_mb() -> float:
    """Largest resident set of this process, and of the largest of its children beside it."""
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def cpu_seconds() -> float:
    """Time on processors of this process, all threads, and of its children that have ended."""
    return sum(os.times()[:4])


class Guess:
    """Guess-the-number as TRL wants environments: public methods are tools."""

    #: Guesses that count; a message may hold several.
    most = 1000

    def reset(self, **task: Any) -> None:
        self.secret, self.guesses, self.right = int(task["secret"]), 0, False

    def guess(self, number: int) -> str:
        """Guess the secret number.

        Args:
            number: your guess, from 1 to 10

        Returns:
            'higher', 'lower' or 'correct'
        """
        self.guesses += 1
        if self.guesses > self.most:
            return SPENT
        self.right = self.right or int(number) == self.secret
        return answer(self.secret, int(number))

    def get_reward(self) -> float:
        return float(self.right)


def warm(model_path: str, out: str, steps: int) -> None:
    """Imitation, as without it the model calls no tool at all and there is nothing to compare."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import get_json_schema
    from trl.chat_template_utils import qwen2_5_chat_template

    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = qwen2_5_chat_template
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).train()
    tools = [get_json_schema(guess)]
    user = {"role": "user", "content": PROMPT}
    opening = len(tokenizer.apply_chat_template([user], tools=tools, return_dict=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for _ in range(steps):
        rows = [
            tokenizer.apply_chat_template(conversation(rng, user), tools=tools, return_dict=False) for _ in range(4)
        ]
        longest = max(len(row) for row in rows)
        ids = torch.tensor([row + [tokenizer.eos_token_id] * (longest - len(row)) for row in rows])
        wanted = torch.tensor([row + [-100] * (longest - len(row)) for row in rows])
        wanted[:, :opening] = -100
        loss = model(input_ids=ids, labels=wanted).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    print(f"imitation: loss {float(loss.detach()):.3f} after {steps} steps", file=sys.stderr)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def conversation(rng: random.Random, user: dict[str, Any], listens: float = 0.0) -> list[dict[str, Any]]:
    """Return a conversation of a player who guesses anything or, with this probability, halves what is left."""
    secret, messages = rng.randint(1, 10), [user]
    halves = rng.random() < listens if listens else False
    low, high = 1, 10
    for _ in range(5):
        number = (low + high) // 2 if halves else rng.randint(1, 10)
        low, high = (number + 1, high) if number < secret else (low, number - 1)
        call = {"type": "function", "function": {"name": "guess", "arguments": {"number": number}}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "name": "guess", "content": answer(secret, number)})
        if number == secret:
            messages.append({"role": "assistant", "content": "Done."})
            break
    return messages


def step(model_path: str, arm: str, options: dict[str, Any]) -> dict[str, Any]:
    """Take GRPO steps; their seconds are from one step's begin to its end, so all that TRL does is in them."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    Guess.most = options.get("guesses", Guess.most)
    # "default": what GRPOConfig does by itself. The others: one dtype throughout, memory spent for speed.
    chosen: dict[str, Any] = {
        "default": {},
        "fp32": {"bf16": False, "gradient_checkpointing": False},
        "bf16": {"bf16": True, "gradient_checkpointing": False},
    }[arm]
    group, prompts = options["group"], options["prompts"]
    secrets = [secret_of(task) for task in options["tasks"]]
    data = Dataset.from_dict(
        {"prompt": [[{"role": "user", "content": PROMPT}] for _ in secrets], "secret": secrets},
    )
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-arm-"),
        per_device_train_batch_size=group * prompts,
        num_generations=group,
        max_completion_length=options["completion"],
        max_tool_calling_iterations=options["turns"],
        max_steps=options["steps"],
        learning_rate=options["lr"],
        shuffle_dataset=False,
        seed=options["seed"],
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        **chosen,
        **options.get("trl", {}),
    )
    dtype = torch.bfloat16 if arm == "bf16" else torch.float32
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype),
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(model_path),
        environment_factory=Guess,
    )
    spent: dict[str, list[float]] = {"seconds": [], "rollout_seconds": [], "sampled_tokens": [], "fed_tokens": []}
    spent["cpu_seconds"] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.start, self.cpu = time.perf_counter(), cpu_seconds()
            for values in spent.values():
                values.append(0.0)

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            spent["seconds"][-1] = time.perf_counter() - self.start
            spent["cpu_seconds"][-1] = cpu_seconds() - self.cpu

    trainer.add_callback(Clock())
    generate, single = trainer._generate, trainer._generate_single_turn

    def timed_generate(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        out = generate(*args, **kwargs)
        spent["rollout_seconds"][-1] += time.perf_counter() - start
        return out

    def counted_single(prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        out = single(prompt_ids, *args, **kwargs)
        spent["fed_tokens"][-1] += sum(len(ids) for ids in prompt_ids)
        spent["sampled_tokens"][-1] += sum(len(ids) for ids in out[0])
        return out

    trainer._generate, trainer._generate_single_turn = timed_generate, counted_single
    before = peak_mb()
    trainer.train()
    logged = [row for row in trainer.state.log_history if "reward" in row]
    return {
        **{name: [round(value, 2) for value in values] for name, values in spent.items()},
        "score": [round(float(row["reward"]), 3) for row in logged],
        "calls_per_rollout": [round(float(row.get("tools/call_frequency", -1.0)), 2) for row in logged],
        "rss_before_mb": round(before),
        "peak_rss_mb": round(peak_mb()),
    }


if __name__ == "__main__":
    if sys.argv[1] == "warm":
        warm(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        found = step(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
        print("RESULT " + json.dumps(found), flush=True)
