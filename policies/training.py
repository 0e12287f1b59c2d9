"""The main job: measure, imitate, measure, reinforce, measure. Any step can be interrupted and resumed.

All randomness is a function of (seed, stage, step), so a resumed run repeats the uninterrupted one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thinkact.envs import Policy
from thinkact.policies.advantages import FORKING
from thinkact.policies.advantages_batch import Array
from thinkact.policies.alarms import alarms
from thinkact.policies.arms import Arms, check_faults, difficulties
from thinkact.policies.collect import Order, Played, Sampling, hired, load_weights, play_all, trained_weights
from thinkact.policies.config import TrainConfig
from thinkact.policies.crew import Crew
from thinkact.policies.curriculum import Curriculum, course_figures
from thinkact.policies.distributed import Ranks, SharedRunDir
from thinkact.policies.distributed_model import Parallel, load_optimizer, plain_copy
from thinkact.policies.episode import Episode
from thinkact.policies.gold import gold_probabilities
from thinkact.policies.hf import HFPolicy
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row, zero_variance_share
from thinkact.policies.metrics_report import report_of, write_report
from thinkact.policies.models import LoadedModel, locate_model, save_model
from thinkact.policies.reinforce import Reinforcer, rate
from thinkact.policies.rundir import RunDir, RunError, free_gigabytes
from thinkact.policies.scripted import POLICIES
from thinkact.policies.streams import Stream, stream
from thinkact.policies.training_data import Lessons
from thinkact.policies.training_report import Quiet, Reporter, summary
from thinkact.policies.training_setup import arithmetic, check_devices, make_model, policy_options
from thinkact.policies.turns import Turns
from thinkact.policies.vine import check_forkable

__all__ = ["Quiet", "Reporter", "TrainResult", "Trainer", "summary"]


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves: the measured episodes by name (``before``, ``imitation``, ``rl``, baselines)."""

    path: Path
    evaluations: dict[str, list[Episode]]
    seconds: float


class Trainer:
    """One run of :class:`~thinkact.policies.config.TrainConfig` in a folder.

    Raises:
        RunError: See :class:`~thinkact.policies.rundir.RunDir`; also when the disk has no room.
        ModelNotFound: When the model is not there.
    """

    def __init__(
        self, config: TrainConfig, path: Path, *, resume: bool = False, reporter: Reporter | None = None
    ) -> None:
        self.config = config
        self.ranks = Ranks.join()
        check_devices(config, self.ranks)
        self._parallel = Parallel(self.ranks)
        self.reporter: Reporter = reporter if reporter is not None and self.ranks.is_first else Quiet()
        torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // self.ranks.local_size))
        # Two checkpoints with the optimiser state, a third being written, the model: ten times its fp32 weights.
        needed = 1.0 if config.model.name == "tiny" else 6.0
        if free_gigabytes(path) < needed:
            raise RunError(f"{path}: less than {needed:.0f} GB free for checkpoints and episodes; make room.")
        if config.model.name != "tiny":
            locate_model(config.model.name)  # now, and not after the baselines have been played
        kept = config.model_dump(mode="json")
        self.dir = (
            RunDir(path, kept, resume=resume)
            if self.ranks.size == 1
            else SharedRunDir(self.ranks, path, kept, resume=resume)
        )
        self._crew: Crew[Any] | None = None
        self._saved = time.perf_counter()

    def run(self) -> TrainResult:
        """Do all stages, or what is left of them; the folder is free again afterwards, whatever happens.

        Raises:
            RunError: When too many episodes end in faults, or no expert episode fits ``sample.max_len``.
        """
        start = time.perf_counter()
        config = self.config
        try:
            with ExitStack() as stack:
                train, test = (stack.enter_context(Arms(config, split)) for split in ("train", config.eval.split))
                evaluations = {name: self._evaluate(test, name, cls()) for name, cls in POLICIES.items()}
                if config.rl.steps and config.rl.estimator in FORKING:
                    for runner in train.runners:
                        check_forkable(runner)
                lessons = Lessons(config, self.dir, train, self.reporter, self.ranks)
                loaded = make_model(config.model, config.seed, lessons.texts, place=config.shard == "none")
                self._parallel = Parallel.of(
                    self.ranks, loaded.model, shard=config.shard == "full", dtype=arithmetic(config.model)
                )
                policy = self._policy(loaded)
                self._crew = stack.enter_context(hired(config, loaded))
                rows = lessons.rows(policy, self._crew) if config.sft.episodes else []
                evaluations["before"] = self._evaluate(test, "before", policy)
                if config.sft.episodes:
                    policy.rest()
                    self._imitate(loaded, rows)
                    policy.sync()
                    evaluations["imitation"] = self._evaluate(test, "imitation", policy)
                if config.rl.steps:
                    self._reinforce(loaded, policy, train, test)
                    policy.sync()
                    evaluations["rl"] = self._evaluate(test, "rl", policy)
                self._export(loaded)
                self._report()
        except RuntimeError as error:
            self.ranks.explain(error)
            raise
        finally:
            self.dir.close()
        self.ranks.close()
        return TrainResult(self.dir.path, evaluations, time.perf_counter() - start)

    def _seed(self, *parts: int) -> int:
        return stream(self.config.seed, *parts)

    def _policy(self, loaded: LoadedModel) -> HFPolicy:
        return HFPolicy(loaded, **policy_options(self.config))

    # Stages.

    def _evaluate(self, arms: Arms, name: str, policy: Policy) -> list[Episode]:
        done = self.dir.load_episodes(f"eval-{name}")
        if done is not None:
            return done
        # Figures come before episodes, and the episodes say that this is done: no line is lost or doubled.
        self.dir.rewind_metrics(f"eval-{name}", 0)
        options = self.config.eval
        shards = arms.shards(
            arms.even(options.tasks),
            tasks_seed=options.seed,
            seed=options.seed,
            trials=1,
            prefix=f"eval-{name}",
            size=self.ranks.part(options.tasks) if self._crew is None else -(-options.tasks // self._crew.size),
        )
        self.reporter.stage(f"evaluate {name}", sum(len(shard.jobs) for shard in shards))
        start = time.perf_counter()
        if isinstance(policy, HFPolicy):
            policy.temperature = options.temperature
        episodes = play_all(
            arms,
            shards,
            policy,
            crew=self._crew,
            split=options.split,
            on_episode=lambda _: self.reporter.advance(),
            ranks=self.ranks,
        )
        check_faults(episodes)
        values = {**summary(episodes), **arms.figures(episodes), "seconds": time.perf_counter() - start}
        self._log(f"eval-{name}", 0, values)
        self.dir.save_episodes(f"eval-{name}", episodes)
        return episodes

    def _imitate(self, loaded: LoadedModel, rows: Sequence[Row]) -> None:
        options = self.config.sft
        per_epoch = -(-len(rows) // options.batch_episodes)
        total = per_epoch * options.epochs
        learner = self._learner(loaded, options.lr)
        done = min(total, self._restore("sft", learner, loaded, skip=self.dir.begun("rl")))
        self.reporter.stage("imitation", total, done)
        for step in range(done, total):
            start = time.perf_counter()
            epoch, at = divmod(step, per_epoch)
            order = np.random.default_rng(self._seed(Stream.SHUFFLE, epoch)).permutation(len(rows))
            chosen = order[at * options.batch_episodes : (at + 1) * options.batch_episodes]
            scale = rate(step, options.warmup_steps, total)
            values = learner.sft_step([rows[i] for i in chosen], lr_scale=scale)
            values["seconds"] = time.perf_counter() - start
            self._log("sft", step, values)
            self.reporter.advance()
            self.reporter.note(f"loss {values['loss']:.3f}")
            self._maybe_save("sft", step + 1, total, learner, loaded)

    def _reinforce(self, loaded: LoadedModel, policy: HFPolicy, arms: Arms, test: Arms) -> None:
        options = self.config.rl
        with Sampling(self.config, loaded, policy, arms, self.reporter, self._crew, self.ranks) as sampling:
            learner = self._learner(loaded, options.lr, sampling.turns)
            reinforcer = Reinforcer(self.config, learner, lambda step: self._seed(Stream.SHUFFLE, step))
            if options.estimator == "igpo":
                reinforcer.gold = partial(_gold, learner, policy, arms)
            course = Curriculum(self.config.curriculum, len(arms))

            def state() -> dict[str, Any]:
                return {**reinforcer.state(), "curriculum": course.state(), "flight": sampling.pipeline.state()}

            def load(kept: dict[str, Any]) -> None:
                reinforcer.load(kept)
                course.load(kept["curriculum"])
                sampling.pipeline.load(kept["flight"])

            done = self._restore("rl", learner, loaded, skip=False, extra=load)
            per_step = options.tasks_per_step * options.group_size
            self.reporter.stage("reinforcement", options.steps * per_step, done * per_step)
            pipeline = sampling.pipeline
            for step in range(done, options.steps):
                if self.config.eval.every and step and step % self.config.eval.every == 0:
                    # At the begin of a step, so that a run that was killed here measures after all.
                    with sampling.turns or nullcontext():
                        policy.sync()
                        self._evaluate(test, f"rl-{step:05d}", policy)
                    self.reporter.stage("reinforcement", options.steps * per_step, step * per_step)
                start = time.perf_counter()
                for number in range(step + pipeline.ahead, min(step + pipeline.lag + 1, options.steps)):
                    order = Order(number, step, course.plan(options.tasks_per_step))
                    pipeline.submit(order, trained_weights(loaded.model))
                order, batch = pipeline.take()
                values = summary(batch.episodes) | arms.figures(batch.episodes) | batch.figures
                values |= course_figures(course, arms.names, order.counts)
                course.observe([[bool(e.success) for e in scored] for scored in arms.scored(batch.episodes)])
                learning = time.perf_counter()
                policy.rest()
                values |= self._learn(reinforcer, batch, step)
                now = time.perf_counter()
                values |= {"learn_seconds": now - learning, "seconds": now - start}
                if self.config.rollout.max_staleness is not None:
                    idle = batch.figures["wait_seconds"] / max(1e-9, values["seconds"])
                    values |= {"staleness": float(step - order.version), "learner_idle": idle}
                self.dir.save_episodes(f"rl/{step:05d}", batch.episodes)
                raised = self.ranks.first(partial(self._alarms, values))
                told = {"difficulty": difficulties(batch.episodes), **({"alarms": raised} if raised else {})}
                self._log("rl", step, {**values, **told})
                self.reporter.note("; ".join(raised.values()) or f"success {values['success']:.2f}")
                stop = bool(raised) and self.config.alarms.action == "stop"
                self._maybe_save("rl", step + 1, options.steps, learner, loaded, extra=state, now=stop)
                if stop:
                    self._report()
                    raise RunError(
                        f"Stopped at step {step}: {'; '.join(raised.values())}. Look at {self.dir.path}/report.html."
                    )

    def _learn(self, reinforcer: Reinforcer, batch: Played, step: int) -> dict[str, float]:
        share = {
            "used_share": len(batch.used) / max(1, len(batch.episodes)),
            "zero_variance_groups": zero_variance_share(batch.episodes),
        }
        used = {episode.id for episode in batch.used}
        reinforcer.witness([e for e in batch.episodes if e.error is None and e.turns and e.id not in used])
        if not batch.used:
            return share
        return {**share, **reinforcer.learn(batch.used, step, batch.forked)}

    def _alarms(self, values: dict[str, Any]) -> dict[str, str]:
        if self.config.alarms.action == "off":
            return {}
        before = [row for row in self.dir.metrics() if row["stage"] == "rl"]
        return alarms([*before, values], self.config.alarms)

    def _report(self) -> None:
        self.ranks.first(lambda: write_report(self.dir.path / "report.html", report_of(self.dir)))

    # State.

    def _learner(self, loaded: LoadedModel, lr: float, turns: Turns | None = None) -> Learner:
        config = self.config
        return Learner(
            loaded.model,
            dtype=arithmetic(config.model),
            lr=lr,
            batch_tokens=config.batch_tokens,
            share_prefixes=config.share_prefixes,
            checkpointing=config.checkpointing,
            moments=config.moments,
            max_grad_norm=config.max_grad_norm,
            temperature=config.sample.temperature,
            turns=turns,
            parallel=self._parallel,
        )

    def _restore(
        self,
        stage: str,
        learner: Learner,
        loaded: LoadedModel,
        *,
        skip: bool,
        extra: Callable[[dict[str, Any]], None] | None = None,
    ) -> int:
        """Bring model and optimiser to the stage's last checkpoint; return the steps done."""
        state = None if skip else self.dir.load_checkpoint(stage)
        if state is None:
            # A later stage has begun: its checkpoint brings the weights, this stage has nothing left to do.
            done = 10**9 if skip else 0
            if not skip:
                self.dir.rewind_metrics(stage, 0)
            return done
        load_weights(loaded.model, state["weights"])
        load_optimizer(learner.optimizer, state["optimizer"])
        if extra is not None:
            extra(state)
        self.dir.rewind_metrics(stage, int(state["step"]))
        return int(state["step"])

    def _maybe_save(
        self,
        stage: str,
        done: int,
        total: int,
        learner: Learner,
        loaded: LoadedModel,
        extra: Callable[[], dict[str, Any]] | None = None,
        now: bool = False,
    ) -> None:
        # When a checkpoint is written has no influence on what is learned, so it may follow the clock.
        due = self.ranks.first(lambda: time.perf_counter() - self._saved >= self.config.checkpoint_seconds)
        if not (now or done == total or due):
            return
        state = {"weights": trained_weights(loaded.model), "optimizer": learner.optimizer.state_dict()}
        state = self._parallel.whole(state | (extra() if extra is not None else {}))
        weights = {name: value.cpu() for name, value in state["weights"].items()}
        self.dir.save_checkpoint(stage, done, {**state, "weights": weights})
        self._saved = time.perf_counter()

    def _export(self, loaded: LoadedModel) -> None:
        model: Any = loaded.model
        if self._parallel.sharded:
            model = plain_copy(model, keep=self.ranks.is_first)
        elif hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        if self.ranks.is_first:
            save_model(LoadedModel(model, loaded.tokenizer, loaded.name), self.dir.path / "model")

    def _log(self, stage: str, step: int, values: dict[str, Any]) -> None:
        self.dir.log(stage, step, values)
        self.reporter.figures(stage, step, values)


def _gold(learner: Learner, policy: HFPolicy, arms: Arms, episodes: Sequence[Episode]) -> list[Array]:
    """Ask for the gold answers' probabilities, arm by arm: each has its own tools."""
    found: list[Array] = [np.zeros(0)] * len(episodes)
    for arm, tools in enumerate(arms.schemas):
        at = [i for i, episode in enumerate(episodes) if arms.arm_of(episode) == arm]
        if at:
            values = gold_probabilities(learner, policy.codec, tools, [episodes[i] for i in at])
            for i, value in zip(at, values, strict=True):
                found[i] = value
    return found
