"""The parts of a run's configuration that say what is played, where and when."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Strict(BaseModel):
    """A part of the configuration: no unknown keys, no changes, no numbers that are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ArmConfig(Strict):
    """One kind of task of a run: an environment, or the same one with other knobs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$", description="In figures and ids: a-z, 0-9, _.")
    id: str | None = Field(None, description="Gymnasium id; default env.id, and its kwargs below these.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Difficulty knobs, passed to gym.make.")


class CurriculumConfig(Strict):
    """Several kinds of tasks in one run; see :mod:`thinkact.policies.curriculum`."""

    arms: list[ArmConfig] = Field(default_factory=list, description="From easy to hard; none: [env] alone.")
    mode: Literal["mix", "adaptive", "staged"] = Field(
        "mix",
        description="Equal shares; by what can be learned; or that, and an arm opens when the one before is done.",
    )
    explore: float | None = Field(
        None, gt=0.0, le=1.0, description="Share of tasks that all arms get equally; default 0.1."
    )
    window: int | None = Field(None, ge=4, description="Attempts that an arm's success is taken over; default 64.")
    retire: float | None = Field(
        None, gt=0.0, le=1.0, description="Success from which an arm only gets its part of explore; default 0.9."
    )
    promote: float | None = Field(
        None, gt=0.0, le=1.0, description="staged: success from which the next arm opens; default 0.6."
    )

    @model_validator(mode="after")
    def _every_knob_is_used(self) -> CurriculumConfig:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError("two arms have the same name.")
        if self.mode != "mix" and len(self.arms) < 2:
            raise ValueError(f"mode {self.mode!r} chooses between arms: give two or more.")
        for knob in ("explore", "window", "retire"):
            if self.mode == "mix" and getattr(self, knob) is not None:
                raise ValueError(f"{knob} is used with mode 'adaptive' or 'staged' only.")
        if self.mode != "staged" and self.promote is not None:
            raise ValueError("promote is used with mode 'staged' only.")
        return self


class RolloutConfig(Strict):
    """Where and when the batches of RL are played; see :mod:`thinkact.policies.collect`."""

    max_staleness: int | None = Field(
        None,
        ge=0,
        le=16,
        description="Play ahead while learning, with weights so many batches old; default: play, then learn.",
    )
    processes: int | Literal["auto"] | None = Field(
        None,
        description="Sample in so many processes; 'auto': one per core where each has 32 episodes in flight, on a GPU "
        "one; default: in this one.",
    )
    shard_tasks: int | None = Field(
        None, ge=1, description="Tasks played together; default all, with several workers an equal part for each."
    )
    sampler: Literal["hf", "vllm"] = Field(
        "hf", description="Our own engine, or vLLM (extra 'vllm', a GPU, rl.tis_cap set)."
    )
    vllm_memory: float | None = Field(
        None, gt=0.0, lt=1.0, description="Share of the GPU's memory that vLLM takes; default 0.4."
    )
    ray_workers: int | None = Field(None, ge=1, description="Play on so many Ray workers (extra 'ray').")
    ray_gpus: float | None = Field(None, gt=0.0, description="GPUs of one Ray worker; default none.")

    @field_validator("processes", mode="before")
    @classmethod
    def _a_number_or_auto(cls, value: Any) -> Any:
        if value in (None, "auto") or (type(value) is int and value >= 1):
            return value
        raise ValueError("a number from 1 on, or 'auto'")

    @model_validator(mode="after")
    def _every_knob_is_used(self) -> RolloutConfig:
        if self.ray_gpus is not None and self.ray_workers is None:
            raise ValueError("ray_gpus is used with ray_workers only.")
        if self.processes is not None and self.ray_workers is not None:
            raise ValueError("processes and ray_workers exclude each other: Ray starts processes of its own.")
        if self.sampler != "vllm" and self.vllm_memory is not None:
            raise ValueError("vllm_memory is used with sampler 'vllm' only.")
        if self.sampler == "vllm":
            for knob in ("processes", "ray_workers", "max_staleness"):
                if getattr(self, knob) is not None:
                    raise ValueError(f"sampler 'vllm' is one engine beside the learner: leave out {knob}.")
        return self
