"""The main job: measure, imitate, measure, reinforce, measure. Any step can be interrupted and resumed.

All randomness is a function of (seed, stage, step), so a resumed run repeats the uninterrupted one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thinkact.envs import Policy
from thinkact.policies.advantages import DEFAULT_FORKS, FORKING
from thinkact.policies.alarms import alarms
from thinkact.policies.codec import system_prompt
from thinkact.policies.config import TrainConfig
from thinkact.policies.episode import Episode
from thinkact.policies.gold import gold_probabilities
from thinkact.policies.hf import HFPolicy
from thinkact.policies.jobs import Snapshots, make_jobs
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row, encode_expert, informative, zero_variance_share
from thinkact.policies.metrics_report import report_of, write_report
from thinkact.policies.models import LoadedModel, build_tiny, load_model, locate_model, save_model
from thinkact.policies.reinforce import Reinforcer, rate
from thinkact.policies.rollout import Runner
from thinkact.policies.rundir import RunDir, RunError, free_gigabytes
from thinkact.policies.scripted import POLICIES, ExpertPolicy
from thinkact.policies.templates import codec_for
from thinkact.policies.training_report import Quiet, Reporter, summary
from thinkact.policies.training_setup import choose_parameters
from thinkact.policies.vine import Forked, check_forkable, fork

__all__ = ["Quiet", "Reporter", "TrainResult", "Trainer", "summary"]

#: Share of errored episodes in one batch above which the run stops: the numbers would mean nothing.
MAX_ERRORS = 0.2
#: Seeds of the stages' random streams.
_EXPERT, _SHUFFLE, _TASKS, _SAMPLING, _FORKS = range(5)


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
        self.reporter: Reporter = reporter or Quiet()
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        # Two checkpoints with the optimiser state, a third being written, the model: ten times its fp32 weights.
        needed = 1.0 if config.model.name == "tiny" else 6.0
        if free_gigabytes(path) < needed:
            raise RunError(f"{path}: less than {needed:.0f} GB free for checkpoints and episodes; make room.")
        if config.model.name != "tiny":
            locate_model(config.model.name)  # now, and not after the baselines have been played
        self.dir = RunDir(path, config.model_dump(mode="json"), resume=resume)
        self._saved = time.perf_counter()

    def run(self) -> TrainResult:
        """Do all stages, or what is left of them; the folder is free again afterwards, whatever happens.

        Raises:
            RunError: When too many episodes end in faults, or no expert episode fits ``sample.max_len``.
        """
        start = time.perf_counter()
        config = self.config
        held_out = {**config.env.kwargs, "split": config.eval.split}
        try:
            with self._runner({**config.env.kwargs, "split": "train"}) as train, self._runner(held_out) as test:
                evaluations = {name: self._evaluate(test, name, cls()) for name, cls in POLICIES.items()}
                if config.rl.steps and config.rl.estimator in FORKING:
                    check_forkable(train)
                loaded, rows = self._model_and_rows(train)
                policy = self._policy(loaded)
                evaluations["before"] = self._evaluate(test, "before", policy)
                if config.sft.episodes:
                    self._imitate(loaded, rows)
                    policy.sync()
                    evaluations["imitation"] = self._evaluate(test, "imitation", policy)
                if config.rl.steps:
                    self._reinforce(loaded, policy, train)
                    policy.sync()
                    evaluations["rl"] = self._evaluate(test, "rl", policy)
                self._export(loaded)
                self._report()
        finally:
            self.dir.close()
        return TrainResult(self.dir.path, evaluations, time.perf_counter() - start)

    def _runner(self, kwargs: dict[str, Any]) -> Runner:
        sample = self.config.sample
        return Runner(self.config.env.id, concurrency=sample.concurrency, env_kwargs=kwargs, lockstep=sample.lockstep)

    def _seed(self, *parts: int) -> int:
        return int(np.random.SeedSequence((self.config.seed, *parts)).generate_state(1)[0])

    # The model and what it imitates.

    def _model_and_rows(self, runner: Runner) -> tuple[LoadedModel, list[Row]]:
        config = self.config
        episodes = self._expert_episodes(runner)
        tools = runner.tool_schemas
        if config.model.name == "tiny":
            texts = [system_prompt(tools)]
            for episode in episodes:
                for turn in episode.turns:
                    texts += [turn.observation, turn.thought, turn.action]
            loaded = build_tiny(
                texts,
                vocab_size=config.model.tiny_vocab,
                hidden=config.model.tiny_hidden,
                layers=config.model.tiny_layers,
                seed=config.seed,
            )
        else:
            loaded = load_model(config.model.name, seed=config.seed)
        if torch.cuda.is_available():
            model: Any = loaded.model  # transformers wraps `to` without types
            model.to("cuda")
        loaded = choose_parameters(loaded, config.model, config.seed)
        codec = codec_for(loaded.tokenizer, self.config.model.codec)
        rows = [encode_expert(e, tools, codec) for e in episodes]
        fitting = [row for row in rows if len(row.ids) <= config.sample.max_len]
        if config.sft.episodes and not fitting:
            shortest = min(len(row.ids) for row in rows)
            raise RunError(
                f"No expert episode fits sample.max_len = {config.sample.max_len}; the shortest has {shortest} tokens."
            )
        return loaded, fitting

    def _expert_episodes(self, runner: Runner) -> list[Episode]:
        # A from-scratch model needs texts for its tokenizer even when imitation is off.
        wanted = self.config.sft.episodes or (64 if self.config.model.name == "tiny" else 0)
        found = self.dir.load_episodes("expert-train")
        if found is not None or not wanted:
            return [episode for episode in found or [] if episode.error is None]
        self.reporter.stage("expert episodes", wanted)
        seed = self._seed(_EXPERT)
        tasks = runner.sample_tasks(wanted, seed)
        episodes = self._play(runner, ExpertPolicy(), tasks, trials=1, seed=seed, prefix="expert")
        unsolved = [e.task_id for e in episodes if e.error is None and not e.success]
        if unsolved:
            raise RunError(f"The scripted expert did not solve {unsolved[0]} ({len(unsolved)} in all): a bug.")
        self.dir.save_episodes("expert-train", episodes)
        return [episode for episode in episodes if episode.error is None]

    def _policy(self, loaded: LoadedModel) -> HFPolicy:
        sample = self.config.sample
        return HFPolicy(
            loaded,
            max_new_tokens=sample.max_new_tokens,
            max_slots=sample.concurrency,
            max_len=sample.max_len,
            dtype=self._dtype,
            history=sample.history,
            codec=self.config.model.codec,
        )

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.config.model.dtype == "bf16" else torch.float32

    # Stages.

    def _play(
        self,
        runner: Runner,
        policy: Policy,
        tasks: Sequence[str],
        *,
        trials: int,
        seed: int,
        prefix: str,
        snapshots: Snapshots | None = None,
    ) -> list[Episode]:
        jobs = make_jobs(tasks, trials=trials, seed=seed, prefix=prefix)
        episodes = runner.run(jobs, policy, on_episode=lambda episode: self.reporter.advance(), snapshots=snapshots)
        faults = [episode.error for episode in episodes if episode.error is not None]
        if len(faults) > MAX_ERRORS * len(episodes):
            raise RunError(f"{len(faults)} of {len(episodes)} episodes ended in faults, the first: {faults[0]}")
        return episodes

    def _evaluate(self, runner: Runner, name: str, policy: Policy) -> list[Episode]:
        done = self.dir.load_episodes(f"eval-{name}")
        if done is not None:
            return done
        # Figures come before episodes, and the episodes say that this is done: no line is lost or doubled.
        self.dir.rewind_metrics(f"eval-{name}", 0)
        options = self.config.eval
        tasks = runner.sample_tasks(options.tasks, options.seed)
        self.reporter.stage(f"evaluate {name}", len(tasks))
        start = time.perf_counter()
        if isinstance(policy, HFPolicy):
            policy.temperature = options.temperature
        episodes = self._play(runner, policy, tasks, trials=1, seed=options.seed, prefix=f"eval-{name}")
        values = {**summary(episodes), "seconds": time.perf_counter() - start}
        self._log(f"eval-{name}", 0, values)
        self.dir.save_episodes(f"eval-{name}", episodes)
        return episodes

    def _imitate(self, loaded: LoadedModel, rows: Sequence[Row]) -> None:
        options = self.config.sft
        per_epoch = -(-len(rows) // options.batch_episodes)
        total = per_epoch * options.epochs
        learner = self._learner(loaded, options.lr)
        done = min(total, self._restore("sft", learner, loaded, skip=self._begun("rl")))
        self.reporter.stage("imitation", total, done)
        for step in range(done, total):
            start = time.perf_counter()
            epoch, at = divmod(step, per_epoch)
            order = np.random.default_rng(self._seed(_SHUFFLE, epoch)).permutation(len(rows))
            chosen = order[at * options.batch_episodes : (at + 1) * options.batch_episodes]
            scale = rate(step, options.warmup_steps, total)
            values = learner.sft_step([rows[i] for i in chosen], lr_scale=scale)
            values["seconds"] = time.perf_counter() - start
            self._log("sft", step, values)
            self.reporter.advance()
            self.reporter.note(f"loss {values['loss']:.3f}")
            self._maybe_save("sft", step + 1, total, learner, loaded)

    def _reinforce(self, loaded: LoadedModel, policy: HFPolicy, runner: Runner) -> None:
        options = self.config.rl
        learner = self._learner(loaded, options.lr)
        reinforcer = Reinforcer(self.config, learner, lambda step: self._seed(_SHUFFLE, step))
        if options.estimator == "igpo":
            reinforcer.gold = partial(gold_probabilities, learner, policy.codec, runner.tool_schemas)
        done = self._restore("rl", learner, loaded, skip=False, extra=reinforcer.load)
        per_step = options.tasks_per_step * options.group_size
        self.reporter.stage("reinforcement", options.steps * per_step, done * per_step)
        for step in range(done, options.steps):
            start = time.perf_counter()
            policy.sync()
            policy.temperature = self.config.sample.temperature
            tasks = runner.sample_tasks(options.tasks_per_step, self._seed(_TASKS, step))
            seed = self._seed(_SAMPLING, step)
            snapshots: Snapshots | None = {} if options.estimator in FORKING else None
            episodes = self._play(
                runner,
                policy,
                tasks,
                trials=options.group_size,
                seed=seed,
                prefix=f"rl-{step:05d}",
                snapshots=snapshots,
            )
            sampled = time.perf_counter()
            values = summary(episodes)
            forks = None if snapshots is None else partial(self._fork, runner, policy, snapshots, step)
            values |= self._learn(reinforcer, episodes, step, forks)
            now = time.perf_counter()
            values |= {"rollout_seconds": sampled - start, "learn_seconds": now - sampled, "seconds": now - start}
            self.dir.save_episodes(f"rl/{step:05d}", episodes)
            raised = self._alarms(values)
            self._log("rl", step, {**values, "alarms": raised} if raised else values)
            self.reporter.note("; ".join(raised.values()) or f"success {values['success']:.2f}")
            stop = bool(raised) and self.config.alarms.action == "stop"
            self._maybe_save("rl", step + 1, options.steps, learner, loaded, extra=reinforcer.state, now=stop)
            if stop:
                self._report()
                raise RunError(
                    f"Stopped at step {step}: {'; '.join(raised.values())}. Look at {self.dir.path}/report.html."
                )

    def _fork(
        self, runner: Runner, policy: HFPolicy, snapshots: Snapshots, step: int, episodes: Sequence[Episode]
    ) -> Forked:
        options = self.config.rl
        return fork(
            runner,
            policy,
            episodes,
            snapshots,
            count=options.forks or DEFAULT_FORKS[options.estimator],
            turns=options.fork_turns,
            by=options.fork_at or "even",
            seed=self._seed(_FORKS, step),
        )

    def _learn(
        self,
        reinforcer: Reinforcer,
        episodes: Sequence[Episode],
        step: int,
        forks: Callable[[Sequence[Episode]], Forked] | None,
    ) -> dict[str, float]:
        options = self.config.rl
        used = informative(episodes, filter_groups=options.filter, mask_truncated=options.mask_truncated)
        share = {
            "used_share": len(used) / max(1, len(episodes)),
            "zero_variance_groups": zero_variance_share(episodes),
        }
        if not used:
            return share
        return {**share, **reinforcer.learn(used, step, forks(used) if forks else None)}

    def _alarms(self, values: dict[str, Any]) -> dict[str, str]:
        if self.config.alarms.action == "off":
            return {}
        before = [row for row in self.dir.metrics() if row["stage"] == "rl"]
        return alarms([*before, values], self.config.alarms)

    def _report(self) -> None:
        write_report(self.dir.path / "report.html", report_of(self.dir))

    # State.

    def _learner(self, loaded: LoadedModel, lr: float) -> Learner:
        config = self.config
        return Learner(
            loaded.model,
            dtype=self._dtype,
            lr=lr,
            batch_tokens=config.batch_tokens,
            share_prefixes=config.share_prefixes,
            max_grad_norm=config.max_grad_norm,
            temperature=config.sample.temperature,
        )

    def _begun(self, stage: str) -> bool:
        return any((self.dir.path / "checkpoints").glob(f"{stage}-*.pt"))

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
        trained = dict(loaded.model.named_parameters())
        with torch.no_grad():
            for name, value in state["weights"].items():
                trained[name].copy_(value)
        learner.optimizer.load_state_dict(state["optimizer"])
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
        if not now and done != total and time.perf_counter() - self._saved < self.config.checkpoint_seconds:
            return
        weights = {name: p.detach().cpu() for name, p in loaded.model.named_parameters() if p.requires_grad}
        state = {"weights": weights, "optimizer": learner.optimizer.state_dict()}
        self.dir.save_checkpoint(stage, done, state | (extra() if extra is not None else {}))
        self._saved = time.perf_counter()

    def _export(self, loaded: LoadedModel) -> None:
        model: Any = loaded.model
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        save_model(LoadedModel(model, loaded.tokenizer, loaded.name), self.dir.path / "model")

    def _log(self, stage: str, step: int, values: dict[str, Any]) -> None:
        self.dir.log(stage, step, values)
        self.reporter.figures(stage, step, values)
