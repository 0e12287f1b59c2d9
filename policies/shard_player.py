"""One shard of a batch, played and forked: here, in a process of its own, or on another machine."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from thinkact.policies.advantages import DEFAULT_FORKS
from thinkact.policies.arms import Arms, Shard
from thinkact.policies.config import RLConfig, TrainConfig
from thinkact.policies.crew import Tell
from thinkact.policies.distributed_model import part_of
from thinkact.policies.episode import Episode
from thinkact.policies.hf import HFPolicy
from thinkact.policies.jobs import Snapshots
from thinkact.policies.learner_rows import informative
from thinkact.policies.models import LoadedModel
from thinkact.policies.training_setup import policy_options
from thinkact.policies.vine import Forked, fork


@dataclass(frozen=True)
class Assignment:
    """A shard to be played.

    Attributes:
        shard: Its jobs.
        split: Of its tasks.
        temperature: Of sampling.
        fork_seed: Of continuations, where episodes are to be forked after they were played.
    """

    shard: Shard
    split: str
    temperature: float
    fork_seed: int | None = None


def play(
    config: TrainConfig, arms: Arms, policy: HFPolicy, task: Assignment, on_episode: Tell | None
) -> tuple[list[Episode], Forked | None]:
    """Play a shard with the weights that the policy's model has, and fork it where the environments are.

    What comes of it does not depend on what was played before.
    """
    policy.sync()
    policy.temperature = task.temperature
    snapshots: Snapshots | None = None if task.fork_seed is None else {}
    episodes = arms.play(task.shard, policy, on_episode=on_episode, snapshots=snapshots)
    if snapshots is None or task.fork_seed is None:
        return episodes, None
    options = config.rl
    forked = fork(
        arms.runners[task.shard.arm],
        policy,
        used_of(episodes, options),
        snapshots,
        count=options.forks or DEFAULT_FORKS[options.estimator],
        turns=options.fork_turns,
        by=options.fork_at or "even",
        seed=task.fork_seed,
    )
    return episodes, forked


def tell(episodes: Sequence[Episode], on_episode: Tell | None) -> None:
    """Call back with episodes that have been played elsewhere."""
    if on_episode is not None:
        for episode in episodes:
            on_episode(episode)


def used_of(episodes: Sequence[Episode], options: RLConfig) -> list[Episode]:
    """Choose the episodes of a batch that enter credit; groups lie within shards, so a shard's are its part."""
    return informative(episodes, filter_groups=options.filter, mask_truncated=options.mask_truncated)


class ShardPlayer:
    """A worker of a training run: environments and a policy of its own. See :class:`~thinkact.policies.crew.Worker`.

    Args:
        config: The run's configuration, as JSON; ``sample`` holds for this worker alone.
        loaded: The model, on the device that it is to run on.
    """

    def __init__(self, config: str, loaded: LoadedModel) -> None:
        self.config = TrainConfig.model_validate_json(config)
        self.policy = HFPolicy(loaded, **policy_options(self.config))
        self._arms: dict[str, Arms] = {}

    def play(self, task: Assignment, tell: Tell) -> tuple[list[Episode], Any]:
        """Play a shard."""
        if task.split not in self._arms:
            self._arms[task.split] = Arms(self.config, task.split)
        return play(self.config, self._arms[task.split], self.policy, task, tell)

    def close(self) -> None:
        """Close the environments."""
        while self._arms:
            self._arms.popitem()[1].close()


@torch.no_grad()
def load_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put weights in the place of a model's parameters of these names."""
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        parameters[name].copy_(part_of(value, parameters[name]))


def trained_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters that are trained, by name; not copied."""
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


def own_copy(loaded: LoadedModel) -> LoadedModel:
    """Return a model of one's own, so that somebody else may act with it while the learner changes the first."""
    return LoadedModel(copy.deepcopy(loaded.model), loaded.tokenizer, loaded.name)
