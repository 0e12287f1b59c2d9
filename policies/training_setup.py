"""The model of a run, and which of its parameters are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from thinkact.policies.config import ModelConfig, TrainConfig
from thinkact.policies.distributed import Ranks
from thinkact.policies.models import LoadedModel, build_tiny, load_model
from thinkact.policies.rundir import RunError


def make_model(
    options: ModelConfig, seed: int, texts: Callable[[], Sequence[str]], *, place: bool = True
) -> LoadedModel:
    """Return the model to train, on the GPU where there is one.

    Args:
        options: Which one.
        seed: Of what is drawn.
        texts: Gives what a model from scratch makes its tokenizer of.
        place: Whether it is put on the GPU; one that is to be sharded gets there part by part.

    Raises:
        RunError: The model has fewer layers than are to be trained.
    """
    if options.name == "tiny":
        loaded = build_tiny(
            texts(), vocab_size=options.tiny_vocab, hidden=options.tiny_hidden, layers=options.tiny_layers, seed=seed
        )
    else:
        loaded = load_model(options.name, seed=seed)
    if place and torch.cuda.is_available():
        model: Any = loaded.model  # transformers wraps `to` without types
        model.to("cuda")
    return choose_parameters(loaded, options, seed)


def choose_parameters(loaded: LoadedModel, options: ModelConfig, seed: int) -> LoadedModel:
    """Return the model with only those parameters in training that were asked for: adapters, or the top layers.

    Raises:
        RunError: The model has fewer layers.
    """
    model = loaded.model
    if options.lora_rank is not None:
        from peft import LoraConfig, get_peft_model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            lora = LoraConfig(
                r=options.lora_rank,
                lora_alpha=2 * options.lora_rank,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            )
            return LoadedModel(get_peft_model(model, lora), loaded.tokenizer, loaded.name)  # type: ignore[arg-type]
    if options.train_layers is not None:
        layers: Any = model.base_model.layers
        if options.train_layers > len(layers):
            raise RunError(f"model.train_layers is {options.train_layers}; {loaded.name} has {len(layers)} layers.")
        trained = {id(p) for layer in layers[-options.train_layers :] for p in layer.parameters()}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in trained)
    return loaded


def arithmetic(options: ModelConfig) -> torch.dtype:
    """Return the type that a model computes in."""
    return torch.bfloat16 if options.dtype == "bf16" else torch.float32


def check_devices(config: TrainConfig, ranks: Ranks) -> None:
    """Refuse what several devices cannot do.

    Raises:
        RunError: Batches are to be played elsewhere, or with vLLM.
    """
    if ranks.size > 1 and config.rollout.sampler == "vllm":
        raise RunError(f"rollout.sampler = 'vllm' is one engine on one GPU, and there are {ranks.size} devices.")
    if ranks.size > 1 and (config.rollout.ray_workers is not None or config.rollout.processes is not None):
        raise RunError(
            f"Each of {ranks.size} devices plays its own part of a batch: leave out rollout.ray_workers and "
            "rollout.processes."
        )


def policy_options(config: TrainConfig) -> dict[str, Any]:
    """Return how a run's model acts, as keyword arguments of :class:`~thinkact.policies.hf.HFPolicy`."""
    sample = config.sample
    return {
        "max_new_tokens": sample.max_new_tokens,
        "max_slots": sample.concurrency,
        "max_len": sample.max_len,
        "max_kv_bytes": sample.max_kv_bytes,
        "dtype": arithmetic(config.model),
        "max_thought_tokens": sample.max_thought_tokens,
        "max_episode_tokens": sample.max_episode_tokens,
        "history": sample.history,
        "budget": sample.budget,
        "max_summary_tokens": sample.max_summary_tokens,
        "codec": config.model.codec,
        "sampler": config.rollout.sampler,
        "vllm_memory": config.rollout.vllm_memory,
    }
