"""What imitation imitates: the scripted expert, the model's own best attempts, or another agent's episodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thinkact.envs import Policy
from thinkact.policies.arms import Arms, check_faults
from thinkact.policies.codec import system_prompt
from thinkact.policies.collect import play_all
from thinkact.policies.config import TrainConfig
from thinkact.policies.crew import Crew
from thinkact.policies.distributed import Ranks
from thinkact.policies.episode import Episode, read_episodes
from thinkact.policies.hf import HFPolicy
from thinkact.policies.history import SUMMARY_REQUEST
from thinkact.policies.learner_rows import Row, encode_expert, encode_segments
from thinkact.policies.rundir import RunDir, RunError
from thinkact.policies.scripted import ExpertPolicy
from thinkact.policies.streams import Stream, stream
from thinkact.policies.training_report import Reporter

#: Expert episodes for the tokenizer of a model from scratch, where none are imitated.
_TEXTS = 64


class Lessons:
    """The imitation data of a run, kept in its folder so that an interrupted run goes on with the same.

    Sources (``sft.source``):

    - ``expert``: the scripted expert plays ``sft.episodes`` tasks.
    - ``own``: rejection sampling. The model plays ``sft.episodes`` attempts, and imitates those that were good: up to
      ``sft.keep`` different ones per task (RFT, arXiv 2308.01825, eq. 1; the first round of STaR, 2203.14465, and of
      ReST, 2308.08998). Its very tokens are trained on.
    - a JSONL file of episodes, or a folder of such files: distillation from whoever played them. Only tasks of the
      split ``train`` are accepted; those are not what anyone is measured with.
    """

    def __init__(
        self, config: TrainConfig, run: RunDir, arms: Arms, reporter: Reporter, ranks: Ranks | None = None
    ) -> None:
        self.ranks = ranks or Ranks()
        self.config, self.dir, self.arms, self.reporter = config, run, arms, reporter

    def texts(self) -> list[str]:
        """Return what a model from scratch makes its tokenizer of."""
        found = [SUMMARY_REQUEST] if self.config.sample.history == "summarize" else []
        for tools in self.arms.schemas:
            prompt = system_prompt(tools)
            if prompt not in found:
                found.append(prompt)
        for episode in self._expert():
            for turn in episode.turns:
                found += [turn.observation, turn.thought, turn.action]
        return found

    def rows(self, policy: HFPolicy, crew: Crew[Any] | None = None) -> list[Row]:
        """Return the rows to imitate; they fit ``sample.max_len``.

        Args:
            policy: The model as it is before imitation.
            crew: Who plays in its place, if anyone does.

        Raises:
            RunError: There are none, or a file holds what must not be learned from.
        """
        source, limit = self.config.sft.source, self.config.sample.max_len
        if source == "own":
            rows = [row for e in self._own(policy, crew) for row in encode_segments(e, np.zeros(len(e.turns)))]
        elif source == "expert":
            rows = [encode_expert(e, self.arms.tools(e), policy.codec) for e in self._expert()]
        else:
            rows = [encode_expert(e, self._tools_like(e), policy.codec) for e in self._given(Path(source))]
        fitting = [row for row in rows if len(row.ids) <= limit]
        if not fitting:
            shortest = min((len(row.ids) for row in rows), default=0)
            raise RunError(f"No episode to imitate fits sample.max_len = {limit}; the shortest has {shortest} tokens.")
        return fitting

    def _expert(self) -> list[Episode]:
        config = self.config
        imitated = config.sft.episodes if config.sft.source == "expert" else 0
        wanted = imitated or (_TEXTS if config.model.name == "tiny" else 0)
        found = self.dir.load_episodes("expert-train")
        if found is None and wanted:
            self.reporter.stage("expert episodes", wanted)
            found = self._play(ExpertPolicy(), wanted, trials=1, seed=stream(config.seed, Stream.EXPERT), of="expert")
            unsolved = [e.task_id for e in found if e.error is None and not e.success]
            if unsolved:
                raise RunError(f"The scripted expert did not solve {unsolved[0]} ({len(unsolved)} in all): a bug.")
            self.dir.save_episodes("expert-train", found)
        return [episode for episode in found or [] if episode.error is None]

    def _own(self, policy: HFPolicy, crew: Crew[Any] | None) -> list[Episode]:
        options = self.config.sft
        found = self.dir.load_episodes("own-train")
        if found is None:
            attempts = options.attempts or 4
            tasks = max(1, options.episodes // attempts)
            self.reporter.stage("own attempts", tasks * attempts)
            policy.sync()
            policy.temperature = self.config.sample.temperature
            seed = stream(self.config.seed, Stream.OWN)
            found = self._play(policy, tasks, trials=attempts, seed=seed, of="own", crew=crew)
            self.dir.save_episodes("own-train", found)
        return self._best(found, "own attempts")

    def _given(self, source: Path) -> list[Episode]:
        """Read another agent's episodes; the run keeps a copy of what it takes."""
        kept = self.dir.load_episodes("teacher-train")
        if kept is not None:
            return kept
        files = sorted(source.rglob("*.jsonl")) if source.is_dir() else [source]
        if not files or not all(file.is_file() for file in files):
            raise RunError(f"sft.source: {source} is neither 'expert' nor 'own' nor a JSONL file (or folder) that is.")
        try:
            found = [episode for file in files for episode in read_episodes(file)]
        except ValueError as error:
            raise RunError(f"sft.source: {str(error).splitlines()[0]}") from error
        for episode in found:
            if episode.split != "train":
                raise RunError(
                    f"sft.source: {episode.id} is a task of the split {episode.split!r}, which is for measuring; play "
                    "the teacher with --split train."
                )
            self._tools_like(episode)
        best = self._best(found, f"episodes of {source}")[: self.config.sft.episodes]
        self.dir.save_episodes("teacher-train", best)
        return best

    def _play(
        self, policy: Policy, tasks: int, *, trials: int, seed: int, of: str, crew: Crew[Any] | None = None
    ) -> list[Episode]:
        size = self.ranks.part(tasks) if crew is None else -(-tasks // crew.size)
        shards = self.arms.shards(
            self.arms.even(tasks), tasks_seed=seed, seed=seed, trials=trials, prefix=of, size=size
        )
        episodes = play_all(
            self.arms,
            shards,
            policy,
            crew=crew,
            split="train",
            on_episode=lambda _: self.reporter.advance(),
            ranks=self.ranks,
        )
        check_faults(episodes)
        return episodes

    def _best(self, episodes: Sequence[Episode], what: str) -> list[Episode]:
        """Choose good attempts: enough score, no two alike, not too many of one task."""
        options = self.config.sft
        least = 1.0 if options.min_score is None else options.min_score
        seen: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        chosen: list[Episode] = []
        for episode in episodes:
            if episode.error is not None or not episode.turns or (episode.score or 0.0) < least:
                continue
            told = tuple(turn.action for turn in episode.turns)
            others = seen[episode.env_id, episode.task_id]
            if told not in others and len(others) < (options.keep or 1):
                others.add(told)
                chosen.append(episode)
        if not chosen:
            raise RunError(
                f"None of {len(episodes)} {what} reached a score of {least}: lower sft.min_score, or imitate the "
                "expert first."
            )
        self.reporter.note(f"{len(chosen)} of {len(episodes)} {what} are imitated")
        self.dir.rewind_metrics("lessons", 0)
        self.dir.log("lessons", 0, {"attempts": len(episodes), "imitated": len(chosen)})
        return chosen

    def _tools_like(self, episode: Episode) -> list[dict[str, Any]]:
        """Return the tools of the arm that another agent's episode could be of."""
        for runner, tools in zip(self.arms.runners, self.arms.schemas, strict=True):
            if runner.env_id == episode.env_id:
                return tools
        known = ", ".join(dict.fromkeys(runner.env_id for runner in self.arms.runners))
        raise RunError(f"sft.source: {episode.id} was played in {episode.env_id}; this run is about {known}.")
