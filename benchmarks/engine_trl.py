"""The part of `engine.py` that runs with TRL's packages and without ours: TRL's own generation, turn after turn.

    python engine_trl.py MODEL WORK.json

Calls `GRPOTrainer._generate_single_turn` as TRL's tool loop does: with every episode's whole history, at every turn.
Tools cost nothing here, as on the other sides. Prints one line, RESULT and a JSON object: the seconds of each round.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch


def trainer_for(model_path: str, work: dict[str, Any]) -> Any:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    bf16 = work["dtype"] == "bf16"
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-arm-"),
        per_device_train_batch_size=len(work["prompts"]),
        num_generations=len(work["prompts"]),
        max_completion_length=work["sampled"],
        generation_kwargs={"min_new_tokens": work["sampled"]},
        bf16=bf16,
        gradient_checkpointing=False,  # with it, TRL generates without a cache
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    dtype = torch.bfloat16 if bf16 else torch.float32
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * len(work["prompts"])}),
        processing_class=AutoTokenizer.from_pretrained(model_path),
    )


def play(trainer: Any, work: dict[str, Any]) -> float:
    histories = [list(prompt) for prompt in work["prompts"]]
    start = time.perf_counter()
    for results in [None, *work["results"]]:
        if results is not None:
            for history, result in zip(histories, results, strict=True):
                history += result
        sampled, _ = trainer._generate_single_turn(histories, None, {}, num_generations=1)
        for history, ids in zip(histories, sampled, strict=True):
            assert len(ids) == work["sampled"]
            history += ids
    return time.perf_counter() - start


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    made = trainer_for(sys.argv[1], asked)
    made.model.eval()
    print("RESULT " + json.dumps([round(play(made, asked), 3) for _ in range(asked["rounds"])]), flush=True)
