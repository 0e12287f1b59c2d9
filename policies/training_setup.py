"""Which parameters of a model are trained."""

from __future__ import annotations

from typing import Any

import torch

from thinkact.policies.config import ModelConfig
from thinkact.policies.models import LoadedModel
from thinkact.policies.rundir import RunError


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
