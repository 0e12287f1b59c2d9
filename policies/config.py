"""The configuration of a training run: one typed object, strict, with presets that are measured."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from thinkact.policies.advantages import CRITIC, FORKING, check_estimator
from thinkact.policies.budgets import Budgets
from thinkact.policies.config_rollout import ArmConfig, CurriculumConfig, RolloutConfig, Strict
from thinkact.policies.losses_spec import KL, Aggregation, Guard, LossOptions


class ConfigError(ValueError):
    """The configuration makes no sense; the message says which key and what to do."""


class ModelConfig(Strict):
    """Which model, and how it runs."""

    name: str = Field("smollm2-135m", description="'smollm2-135m', 'tiny' (from scratch), a Hugging Face id or folder.")
    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Of the arithmetic; master weights are fp32.")
    codec: Literal["auto", "chatml", "template"] = Field(
        "auto", description="How conversations are framed: ChatML, or the model's own template where it shows tools."
    )
    train_layers: int | None = Field(None, ge=1, description="Train only the top N layers; default all.")
    lora_rank: int | None = Field(None, ge=1, description="Train LoRA adapters of this rank instead of the weights.")
    tiny_hidden: int = Field(192, ge=32, multiple_of=8, description="Width of the from-scratch model (name='tiny').")
    tiny_layers: int = Field(4, ge=1, description="Layers of the from-scratch model.")
    tiny_vocab: int = Field(512, ge=300, description="Vocabulary of the from-scratch model.")

    @model_validator(mode="after")
    def _one_way_to_train_less(self) -> ModelConfig:
        if self.train_layers is not None and self.lora_rank is not None:
            raise ValueError("train_layers and lora_rank exclude each other.")
        return self


class EnvConfig(Strict):
    """Which environment, and how hard."""

    id: str = Field("thinkact/FactbookQA-v0", description="Gymnasium id; see `thinkact envs`.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Difficulty knobs, passed to gym.make.")


class SampleConfig(Strict):
    """How the policy samples."""

    concurrency: int = Field(48, ge=1, description="Episodes in flight.")
    max_new_tokens: int = Field(48, ge=1, description="Tokens of one turn, thought and action together.")
    max_len: int = Field(768, ge=64, description="Tokens of one episode's context.")
    max_thought_tokens: int | None = Field(None, ge=1, description="Of the thought of a turn, which is then closed.")
    max_episode_tokens: int | None = Field(None, ge=1, description="Of all that is sampled in an episode.")
    history: Literal["cut", "drop", "summarize"] = Field(
        "cut",
        description="An episode that outgrows its context: 'cut' ends it, 'drop' goes on without old results, "
        "'summarize' with a summary that the model is asked for (and trained on).",
    )
    budget: int | None = Field(None, ge=64, description="Tokens of context to shorten from; default max_len.")
    max_summary_tokens: int | None = Field(None, ge=1, description="Of a summary; default max_new_tokens.")
    max_kv_bytes: int | None = Field(
        None, ge=1, description="Memory for keys and values, all processes together; default what is needed."
    )
    temperature: float = Field(1.0, gt=0.0, description="Of sampling in training.")
    lockstep: bool = Field(True, description="Batches independent of timing: a run repeats bit for bit on a CPU.")

    @model_validator(mode="after")
    def _budgets_go_together(self) -> SampleConfig:
        Budgets(self.max_new_tokens, self.max_thought_tokens, self.max_episode_tokens)
        if self.budget is not None and self.history == "cut":
            raise ValueError("budget is used with history 'drop' or 'summarize' only.")
        if self.max_summary_tokens is not None and self.history != "summarize":
            raise ValueError("max_summary_tokens is used with history 'summarize' only.")
        return self


class EvalConfig(Strict):
    """How progress is measured: on held-out tasks, the same ones before, between and after."""

    tasks: int = Field(300, ge=1, description="Held-out tasks, one attempt each.")
    split: Literal["eval", "hidden"] = "eval"
    temperature: float = Field(1.0, ge=0.0, description="0 is greedy.")
    seed: int = Field(1234, ge=0, description="Picks the tasks; the same for every run, so that runs compare.")
    every: int | None = Field(
        None, ge=1, description="Also after every so many batches of RL; default only at its end."
    )


class SFTConfig(Strict):
    """Imitation: of the scripted expert, of the model's own best attempts, or of another agent's episodes."""

    source: str = Field(
        "expert",
        description="'expert'; 'own' (rejection sampling); or a JSONL file or folder of episodes (distillation).",
    )
    episodes: int = Field(
        320, ge=0, description="Expert episodes, own attempts, or the most to take of a file; 0 skips imitation."
    )
    min_score: float | None = Field(
        None, ge=0.0, le=1.0, description="own, file: imitate attempts that reached this score; default 1."
    )
    attempts: int | None = Field(None, ge=1, description="own: attempts per task; default 4.")
    keep: int | None = Field(None, ge=1, description="own, file: different attempts per task at most; default 1.")
    epochs: int = Field(1, ge=1)
    batch_episodes: int = Field(4, ge=1, description="Episodes per optimiser step.")
    lr: float = Field(3e-4, gt=0.0)
    warmup_steps: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _every_knob_is_used(self) -> SFTConfig:
        if self.source == "expert" and (self.min_score, self.keep) != (None, None):
            raise ValueError("min_score and keep choose among attempts of source 'own' or a file; experts solve all.")
        if self.source != "own" and self.attempts is not None:
            raise ValueError("attempts is used with source 'own' only.")
        return self


class RLConfig(Strict):
    """Multi-turn reinforcement learning with turn-level credit."""

    steps: int = Field(10, ge=0, description="Batches of rollouts; 0 skips RL.")
    tasks_per_step: int = Field(30, ge=1, description="Tasks differ more than attempts: many tasks, small groups.")
    group_size: int = Field(4, ge=2, description="Attempts per task.")
    estimator: str = Field("memory_td", description="See thinkact.policies.advantages.ESTIMATORS.")
    estimator_options: dict[str, Any] = Field(default_factory=dict)
    forks: int | None = Field(
        None, ge=1, description="Continuations per turn; default 1 (vine_td), 2 (tree), 4 (vine)."
    )
    fork_turns: int | None = Field(None, ge=1, description="Turns to fork per attempt at most; default all.")
    fork_at: Literal["even", "entropy"] | None = Field(
        None, description="Which turns, where not all: evenly spaced (default), or the least certain ones (AT2PO)."
    )
    critic_lr: float | None = Field(None, gt=0.0, description="Of the value head; default ten times lr.")
    lr: float = Field(1e-4, gt=0.0, description="Peak; it falls linearly to a tenth over the stage.")
    warmup_updates: int = Field(
        8, ge=0, description="Optimiser steps of rising rate: before Adam knows the noise, its steps are all noise."
    )
    updates: int = Field(4, ge=1, description="Optimiser steps per batch of rollouts (minibatches).")
    loss: str = Field("clip_higher", description="See thinkact.policies.losses_spec.LOSSES.")
    clip_low: float | None = Field(
        None, gt=0.0, lt=1.0, description="Ratio below 1 - clip_low is clipped; default the loss's own."
    )
    clip_high: float | None = Field(
        None, gt=0.0, description="Ratio above 1 + clip_high is clipped; default the loss's own."
    )
    aggregation: Aggregation | None = Field(None, description="How tokens are averaged; default the loss's own.")
    aggregation_constant: int | None = Field(None, ge=1, description="Tokens that 'constant' divides an episode by.")
    entropy_coef: float = Field(0.0, ge=0.0, description="Weight of an entropy bonus.")
    entropy_guard: Guard = Field("none", description="Clip-Cov or KL-Cov against entropy collapse.")
    cov_share: float | None = Field(
        None, gt=0.0, le=1.0, description="Share of tokens the guard acts on; default 2e-4."
    )
    cov_coef: float | None = Field(None, gt=0.0, description="Fine of kl_cov; default 1.")
    kl_coef: float = Field(0.0, ge=0.0, description="Weight of the KL term to the policy RL began with.")
    kl_estimator: KL | None = Field(None, description="k1: taken from rewards; k2, k3: in the loss.")
    reference_reset: int | None = Field(
        None, ge=1, description="Every so many steps the policy becomes the reference and AdamW starts anew."
    )
    off_policy_mask: float | None = Field(
        None, gt=0.0, description="Leave out A < 0 in attempts whose mean log(old/new) exceeds this."
    )
    tis_cap: float | None = Field(None, ge=1.0, description="Truncated importance sampling: cap of trainer/sampler.")
    overlong_coef: float = Field(0.0, ge=0.0, description="Most that an attempt near sample.max_len loses; 0: nothing.")
    overlong_cache: int | None = Field(None, ge=1, description="Width in tokens of the ramp to overlong_coef.")
    max_rows: int | None = Field(
        None, ge=1, description="Learn from at most this many attempts per batch: in each group the extremes."
    )
    filter: bool = Field(True, description="Leave out groups whose attempts all earned the same.")
    mask_truncated: bool = Field(False, description="Leave out attempts that ran out of turns or tokens.")

    @model_validator(mode="after")
    def _estimator_exists(self) -> RLConfig:
        check_estimator(self.estimator, self.estimator_options)
        return self

    @model_validator(mode="after")
    def _every_knob_is_used(self) -> RLConfig:
        self.loss_options()
        if self.estimator not in FORKING:
            for knob in ("forks", "fork_turns"):
                if getattr(self, knob) is not None:
                    raise ValueError(f"{knob} is used with estimators that fork ({', '.join(sorted(FORKING))}) only.")
        if self.critic_lr is not None and self.estimator not in CRITIC:
            raise ValueError(f"critic_lr is used with a critic ({', '.join(sorted(CRITIC))}) only.")
        if self.fork_at is not None and self.fork_turns is None:
            raise ValueError("fork_at is used with fork_turns only: without it all turns are forked.")
        if (self.overlong_coef > 0) != (self.overlong_cache is not None):
            raise ValueError("overlong_coef and overlong_cache go together.")
        if self.reference_reset is not None and self.kl_coef == 0:
            raise ValueError("reference_reset is used with kl_coef > 0 only.")
        return self

    def loss_options(self) -> LossOptions:
        """Return the loss with its knobs.

        Raises:
            ValueError: Knobs that do not go together.
        """
        names = {field.name for field in dataclasses.fields(LossOptions)} - {"name"}
        return LossOptions(self.loss, **{name: getattr(self, name) for name in names})


class AlarmConfig(Strict):
    """What a run that goes wrong looks like; see :func:`thinkact.policies.alarms.alarms`."""

    action: Literal["off", "warn", "stop"] = Field("warn", description="'stop' ends the run, its checkpoint kept.")
    entropy_share: float = Field(0.1, ge=0.0, le=1.0, description="Entropy below this share of the first steps'.")
    kl: float = Field(0.5, gt=0.0, description="KL per token to the sampling policy or the reference above this.")
    hacking: float = Field(0.05, gt=0.0, description="Score up, and what is not paid for worse, by more than this.")
    errors: float = Field(0.05, ge=0.0, le=1.0, description="Share of attempts that ended in faults above this.")


class TrainConfig(Strict):
    """A whole run: measure, imitate, measure, reinforce, measure."""

    preset: str = "custom"
    seed: int = Field(0, ge=0)
    model: ModelConfig = ModelConfig()
    env: EnvConfig = EnvConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    rollout: RolloutConfig = RolloutConfig()
    sample: SampleConfig = SampleConfig()
    eval: EvalConfig = EvalConfig()
    sft: SFTConfig = SFTConfig()
    rl: RLConfig = RLConfig()
    alarms: AlarmConfig = AlarmConfig()
    max_grad_norm: float = Field(1.0, gt=0.0)
    batch_tokens: int = Field(1536, ge=64, description="Tokens of one forward pass, padding included.")
    share_prefixes: bool | None = Field(
        None, description="Compute what rows open with alike once: prompts, forks; default where the model allows it."
    )
    checkpointing: Literal["none", "selective", "full"] = Field(
        "none", description="What is computed again for backward instead of kept: all but products; whole layers."
    )
    moments: Literal["fp32", "bf16"] = Field("fp32", description="Of AdamW; in bf16 its state takes half the memory.")
    checkpoint_seconds: float = Field(
        60.0, ge=0.0, description="Least time between checkpoints of a stage; 0 saves after every step."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all cores.")
    shard: Literal["none", "full"] = Field(
        "none", description="On several devices: the whole model on each, or everything split over them (FSDP2)."
    )

    @model_validator(mode="after")
    def _the_ramp_fits(self) -> TrainConfig:
        if self.rl.overlong_cache is not None and self.rl.overlong_cache >= self.sample.max_len:
            raise ValueError("rl.overlong_cache must be below sample.max_len.")
        return self

    @model_validator(mode="after")
    def _old_weights_and_shards_fit(self) -> TrainConfig:
        if self.rollout.max_staleness and self.rl.tis_cap is None:
            raise ValueError(
                "rollout.max_staleness trains on what older weights sampled: set rl.tis_cap (2 is the usual cap)."
            )
        if self.rollout.max_staleness is not None and self.shard == "full":
            raise ValueError("rollout.max_staleness keeps whole copies of the model: it needs shard = 'none'.")
        if self.moments == "bf16" and self.shard == "full":
            raise ValueError("moments = 'bf16' is for whole models: shard = 'full' splits AdamW's own state.")
        return self

    @model_validator(mode="after")
    def _vllm_fits(self) -> TrainConfig:
        if self.rollout.sampler == "vllm":
            if self.rl.steps and self.rl.tis_cap is None:
                raise ValueError("rollout.sampler 'vllm' computes otherwise than the learner: set rl.tis_cap (2).")
            if self.sample.max_kv_bytes is not None or self.shard == "full":
                raise ValueError("rollout.sampler 'vllm' knows neither sample.max_kv_bytes nor shard = 'full'.")
        return self

    @property
    def arms(self) -> list[ArmConfig]:
        """The kinds of tasks, each with its own id and all its knobs; ``[env]`` alone where there are no arms."""
        given = self.curriculum.arms or [ArmConfig(name="all")]
        return [
            arm.model_copy(
                update={
                    "id": arm.id or self.env.id,
                    "kwargs": {**({} if arm.id else self.env.kwargs), **arm.kwargs},
                }
            )
            for arm in given
        ]


#: Overrides of the defaults. What each reaches, and in which time, is in the README.
PRESETS: dict[str, dict[str, Any]] = {
    # Training the upper half costs about half as much on a CPU as training everything, and learns as fast.
    "default": {
        "model": {"train_layers": 14},
        "rl": {"max_rows": 56, "estimator": "turn_rtg", "estimator_options": {"normalise": True}},
        "checkpointing": "selective",
    },
    # Two games of luck that take microseconds. The expert knows the luck, so imitating it is not enough: what one
    # can do who does not know it, RL finds.
    "tiny": {
        "model": {"name": "tiny", "dtype": "fp32"},
        "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": ["key-door", "lucky"], "horizon": 8}},
        "sample": {"concurrency": 128, "max_new_tokens": 16, "max_len": 384},
        "eval": {"tasks": 300},
        "sft": {"episodes": 480, "epochs": 2, "batch_episodes": 16, "lr": 2e-3, "warmup_steps": 20},
        "rl": {
            "steps": 10,
            "tasks_per_step": 24,
            "group_size": 8,
            "max_rows": 96,
            "lr": 6e-4,
            "updates": 4,
            "warmup_updates": 4,
            "estimator": "turn_rtg",
            "estimator_options": {"normalise": True},
        },
        "batch_tokens": 8192,
    },
}


def make_config(
    preset: str = "default", *, file: Path | None = None, overrides: dict[str, Any] | None = None
) -> TrainConfig:
    """Build a configuration: preset, then a TOML file, then single overrides such as ``{"rl.lr": 1e-5}``.

    A file may name its preset; one that is asked for here goes before it.

    Raises:
        ConfigError: On an unknown preset or key, a value of the wrong type, or a file that is no TOML.
    """
    written: dict[str, Any] = {}
    if file is not None:
        try:
            written = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(f"There is no file {file}; thinkact train --dry-run > {file} writes one.") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file}: {error}") from error
        preset = str(written.get("preset", preset)) if preset == "default" else preset
    if preset not in PRESETS:
        raise ConfigError(f"Unknown preset {preset!r}; there are {', '.join(PRESETS)}.")
    values: dict[str, Any] = copy.deepcopy(PRESETS[preset])
    _merge(values, written)
    values["preset"] = preset
    single: dict[str, Any] = {}
    for key, value in (overrides or {}).items():
        *parents, last = key.split(".")
        nested: dict[str, Any] = {last: value}
        for parent in reversed(parents):
            nested = {parent: nested}
        _merge(single, nested, whole=())  # knobs given one by one stay together
    _merge(values, single)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def _merge(into: dict[str, Any], new: dict[str, Any], whole: tuple[str, ...] = ("kwargs",)) -> None:
    # kwargs of an environment are replaced whole: another environment's knobs must not leak in. Nor shall one
    # estimator's options, or one loss's bounds, stay when another is chosen.
    if new.get("estimator", into.get("estimator")) != into.get("estimator"):
        for knob in ("estimator_options", "forks", "fork_turns", "fork_at", "critic_lr"):
            into.pop(knob, None)
    if new.get("loss", into.get("loss")) != into.get("loss"):
        for knob in ("clip_low", "clip_high", "aggregation", "aggregation_constant"):
            into.pop(knob, None)
    # Of the two ways to train less than all weights, the one that is asked for takes the place of a preset's. Asked for
    # together (where keys are put together that were given one by one) both stay, and are refused.
    for one, other in (("lora_rank", "train_layers"), ("train_layers", "lora_rank")):
        if whole and new.get(one) is not None:
            into.pop(other, None)
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and key not in whole:
            _merge(into[key], value, whole)
        else:
            into[key] = dict(value) if isinstance(value, dict) else value


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parent: Any = TrainConfig
            for part in problem["loc"][:-1]:
                if isinstance(part, str):
                    parent = parent.model_fields[part].annotation
                else:  # an entry of a list
                    (parent,) = get_args(parent)
            close = difflib.get_close_matches(str(problem["loc"][-1]), parent.model_fields, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            lines.append(f"unknown key {where!r}{hint}; here there are {', '.join(parent.model_fields)}")
        else:
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ').rstrip('.')}")
    return "Bad configuration: " + "; ".join(lines) + "."
