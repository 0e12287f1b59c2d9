"""The one loop: observation → thought → action → result → reward, for many episodes at once.

The policy acts for all environments that are *ready*; the others are busy with their tools in threads, so
model and tools overlap and a straggler holds nobody up.
"""

from __future__ import annotations

import logging
import math
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, ClassVar, Literal

import gymnasium as gym

import thinkact
from thinkact.envs import Conversation, EnvironmentFault, Message, Policy, Split, ToolEnv
from thinkact.policies.episode import Episode, Turn, Usage
from thinkact.policies.jobs import Job, Live, Snapshots, make_jobs

__all__ = ["Job", "Runner", "make_jobs", "rollout"]

log = logging.getLogger(__name__)

#: A fault of ours is tried again on a fresh environment this many times.
MAX_RETRIES = 2
#: After the first environment is ready, wait this long (seconds) for others: larger batches, small delay.
LINGER_S = 0.02

#: What a turn's record takes over from its action as it is.
_RECORDED = ("stop", "prompt_ids", "token_ids", "logprobs", "forced", "restart", "summary")

Progress = Callable[[Episode], None]


class Runner:
    """Plays jobs with live environments that are kept between calls. Use as a context manager.

    A subclass may set :attr:`cuts` and override :meth:`perform`, :meth:`faulted` and :meth:`shut`: around every
    reset and step, after every fault, and to close an environment. All else is the loop's own.

    Args:
        env_id: Gymnasium id, for example ``"thinkact/FactbookQA-v0"``.
        concurrency: Live environments, and so the largest batch the policy sees.
        env_kwargs: Passed to ``gym.make``.
        lockstep: Act only when every live environment is ready. Batches then do not depend on timing, so a
            run repeats bit for bit on a CPU; a slow tool holds the others up.
        waves: Into how many batches the live episodes are parted. With one, the model waits whenever all tools
            run; with two, it writes for one half while the tools of the other half run, which pays where tools
            take about as long as the model.

    Raises:
        gymnasium.error.Error: On an unknown id (with a suggestion).
        ValueError: On a concurrency below 1, more waves than that, several waves in lockstep, or an environment
            that is not a ``ToolEnv``.
    """

    #: An action with one of these as its ``stop`` ends its episode as it stands, with the score it has: a context
    #: that is full, or a budget that is spent. The environment knows nothing of tokens.
    cuts: ClassVar[frozenset[str]] = frozenset({"context", "budget"})

    def __init__(
        self,
        env_id: str,
        *,
        concurrency: int = 32,
        env_kwargs: dict[str, Any] | None = None,
        lockstep: bool = False,
        waves: int = 1,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}.")
        if not 1 <= waves <= concurrency:
            raise ValueError(f"waves must be from 1 to the concurrency ({concurrency}), not {waves}.")
        if lockstep and waves > 1:
            raise ValueError("lockstep acts for all at once: leave waves at 1.")
        self._batch = -(-concurrency // waves)
        self.env_id = env_id
        self.concurrency = concurrency
        self.lockstep = lockstep
        self.env_kwargs = dict(env_kwargs or {})
        self._all: list[gym.Env[str, str]] = []
        self._idle: list[gym.Env[str, str]] = [self._make()]
        self._threads = ThreadPoolExecutor(min(concurrency, 16), thread_name_prefix="env")

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the environments. Idempotent."""
        self._threads.shutdown(wait=True)
        self._idle.clear()
        while self._all:
            self._discard(self._all[-1])

    @property
    def tool_schemas(self) -> list[dict[str, Any]]:
        """The environment's tools as JSON schemas."""
        return self._tool_env(self._spare()).tool_schemas

    def sample_tasks(self, n: int, seed: int) -> list[str]:
        """Draw distinct task ids of the environment's split."""
        return self._tool_env(self._spare()).sample_tasks(n, seed)

    def try_fork(self) -> None:
        """Take a snapshot of a first state and restore it, to learn whether that can be done.

        Raises:
            EnvironmentFault: It cannot.
        """
        env = self._spare()
        env.reset(seed=0)
        self._tool_env(env).restore(self._tool_env(env).snapshot())

    def perform(self, what: Literal["reset", "step"], live: Live, work: Callable[[], None]) -> None:
        """Do a reset or a step of an episode: call ``work``, once, in a thread of the runner's.

        Raises:
            EnvironmentFault: It failed through no fault of the policy's; the episode is played anew.
        """
        work()

    def faulted(self, live: Live, fault: EnvironmentFault) -> None:
        """Told of every fault of an attempt, before the episode is played anew or given up."""
        log.warning("%s, attempt %d: %s", live.job.id, live.attempt, fault)

    def shut(self, env: gym.Env[str, str]) -> None:
        """Close an environment; what this raises is logged."""
        env.close()

    def run(
        self,
        jobs: Iterable[Job],
        policy: Policy,
        *,
        on_episode: Progress | None = None,
        snapshots: Snapshots | None = None,
    ) -> list[Episode]:
        """Play every job once and return the episodes in the jobs' order; put all states into ``snapshots``.

        An ``EnvironmentFault`` is retried at most twice on a fresh environment; after that the episode's
        ``error`` is set and its score is None; so it is, at once, for an action with a ``fault``. Any other
        exception is a bug and is raised.
        """
        pending = deque(jobs)
        order = [job.id for job in pending]
        if len(set(order)) != len(order):
            raise ValueError("Two jobs have the same id.")
        done: dict[str, Episode] = {}
        ready: list[Live] = []
        busy: dict[Future[None], Live] = {}
        alive: dict[str, Live] = {}

        def reset(live: Live) -> None:
            alive[live.job.id] = live
            work = partial(self._reset, live, policy, snapshots)
            busy[self._threads.submit(self.perform, "reset", live, work)] = live

        def step(live: Live) -> None:
            work = partial(self._step, live, snapshots)
            busy[self._threads.submit(self.perform, "step", live, work)] = live

        def finish(live: Live) -> None:
            del alive[live.job.id]
            self._idle.append(live.env)
            policy.release(live.conversation.id)
            done[live.job.id] = live.episode
            if on_episode is not None:
                on_episode(live.episode)

        try:
            while pending or ready or busy:
                while pending and len(ready) + len(busy) < self.concurrency:
                    reset(Live(pending.popleft(), self._take()))
                if ready:
                    now, ready = ready[: self._batch], ready[self._batch :]
                    for live, action in zip(now, policy.act([live.conversation for live in now]), strict=True):
                        live.act(action)
                        if action.fault:
                            # Not played again: whoever may fail at will could have a bad start forgotten.
                            live.episode.error = action.fault
                            finish(live)
                            continue
                        step(live)
                for future in _some(busy, everything=self.lockstep, patient=not ready):
                    live = busy.pop(future)
                    try:
                        future.result()
                    except EnvironmentFault as fault:
                        retried = self._retry(live, policy, fault)
                        if retried is None:
                            finish(live)
                        else:
                            reset(retried)
                        continue
                    if live.episode.terminated or live.episode.truncated:
                        finish(live)
                    else:
                        ready.append(live)
        except BaseException:
            for future in busy:
                future.cancel()
            wait(busy)
            for live in alive.values():
                if hasattr(live, "conversation"):
                    policy.release(live.conversation.id)
                # Broken off in the middle of an episode, perhaps by a bug of its own: not to be used again.
                self._discard(live.env)
            raise
        return [done[job_id] for job_id in order]

    def _make(self) -> gym.Env[str, str]:
        env = gym.make(self.env_id, **self.env_kwargs)
        if not isinstance(env.unwrapped, ToolEnv):
            env.close()
            raise ValueError(f"{self.env_id} is not a thinkact environment.")
        self._all.append(env)
        return env

    def _discard(self, env: gym.Env[str, str]) -> None:
        """Close an environment for good. One that is broken may fail at that too: logged, no reason to stop."""
        if env not in self._all:
            return
        self._all.remove(env)
        try:
            self.shut(env)
        except Exception:
            log.warning("%s: an environment did not close", self.env_id, exc_info=True)

    def _take(self) -> gym.Env[str, str]:
        return self._idle.pop() if self._idle else self._make()

    def _spare(self) -> gym.Env[str, str]:
        if not self._idle:
            self._idle.append(self._make())
        return self._idle[0]

    @staticmethod
    def _tool_env(env: gym.Env[str, str]) -> ToolEnv[Any]:
        assert isinstance(env.unwrapped, ToolEnv)
        return env.unwrapped

    def _reset(self, live: Live, policy: Policy, snapshots: Snapshots | None) -> None:
        start = time.perf_counter()
        job, env = live.job, self._tool_env(live.env)
        conversation_id = f"{job.id}#{live.attempt}"
        live.conversation = Conversation(conversation_id, self.env_id, job.task_id, job.seed, env.tool_schemas, [])
        live.episode = Episode(
            id=job.id,
            env_id=self.env_id,
            family=env.family,
            env_version=env.version,
            task_id=job.task_id,
            split=env.split,
            seed=job.seed,
            policy=policy.name,
            usage=Usage(attempts=live.attempt, cost=live.spent),
            versions={"thinkact": thinkact.__version__, "python": platform.python_version()},
        )
        prompt, _ = live.env.reset(seed=job.seed, options={"task_id": job.task_id})
        live.episode.difficulty = env.task.difficulty
        live.episode.versions.update(env.versions())
        live.episode.gold = env.gold() if env.task.split == "train" else None
        live.conversation.messages.append(Message("user", prompt))
        if job.start is not None:
            env.restore(job.start.snapshot)
            for turn in job.start.turns:
                live.conversation.messages += [Message("assistant", turn.action), Message("tool", turn.result)]
            resume = getattr(policy, "resume", None)
            if resume is not None:
                resume(conversation_id, job.start.turns)
        if snapshots is not None:
            snapshots[job.id, 0] = env.snapshot()
        begin = getattr(policy, "begin", None)
        if begin is not None:
            begin(conversation_id, env)
        live.episode.usage.env_seconds += time.perf_counter() - start

    def _step(self, live: Live, snapshots: Snapshots | None) -> None:
        start = time.perf_counter()
        action, episode, messages = live.action, live.episode, live.conversation.messages
        result, reward, terminated, truncated, info = live.env.step(action.text)
        cut = action.stop in self.cuts and not (terminated or truncated)
        if cut:
            # With reward="outcome" it still owes what was earned: pay it, so that the rewards sum to the score.
            before = () if live.job.start is None else live.job.start.turns
            reward = float(info["score"]) - sum(turn.reward for turn in (*before, *episode.turns))
        if not math.isfinite(reward):
            raise EnvironmentFault(f"{self.env_id} paid a reward of {reward}")
        episode.turns.append(
            Turn(
                observation=messages[-1].content,
                thought=action.thought,
                action=action.text,
                result=result,
                calls=info["calls"],
                results=info["results"],
                checks=info["checks"],
                reward=float(reward),
                invalid=info["invalid_action"],
                state_key=info["state_key"],
                **{name: getattr(action, name) for name in _RECORDED},
            )
        )
        messages += [Message("assistant", action.text), Message("tool", result)]
        episode.terminated, episode.truncated = terminated, truncated or cut
        if terminated or episode.truncated:
            episode.score, episode.success = float(info["score"]), bool(info["success"])
        elif snapshots is not None:
            snapshots[live.job.id, len(episode.turns)] = self._tool_env(live.env).snapshot()
        episode.usage.env_seconds += time.perf_counter() - start

    def _retry(self, live: Live, policy: Policy, fault: EnvironmentFault) -> Live | None:
        self.faulted(live, fault)
        policy.release(live.conversation.id)
        # The environment that failed may be broken in ways we cannot see: never use it again.
        self._discard(live.env)
        live.env = self._make()
        if live.attempt > MAX_RETRIES:
            live.episode.error = f"{type(fault).__name__}: {fault}"
            live.episode.score = live.episode.success = None
            return None
        return Live(live.job, live.env, live.attempt + 1, spent=live.episode.usage.cost)


def _some(busy: dict[Future[None], Live], *, everything: bool, patient: bool) -> Sequence[Future[None]]:
    """Wait for one environment, then a moment for more (or for all; if not ``patient`` for none), in their order."""
    if not busy:
        return []
    if everything:
        wait(busy)
    elif patient:
        wait(busy, return_when=FIRST_COMPLETED)
        wait(busy, timeout=LINGER_S)
    return [future for future in busy if future.done()]


def rollout(
    env_id: str,
    policy: Policy,
    *,
    episodes: int,
    seed: int = 0,
    concurrency: int = 32,
    waves: int = 1,
    processes: int = 1,
    split: Split = "train",
    trials: int = 1,
    env_kwargs: dict[str, Any] | None = None,
    on_episode: Progress | None = None,
) -> list[Episode]:
    """Play episodes of an environment with a policy.

    Args:
        env_id: Gymnasium id, for example ``"thinkact/FactbookQA-v0"``.
        policy: Who acts.
        episodes: How many episodes, all trials counted.
        seed: Picks the tasks and every episode's sampling.
        concurrency: Live environments at once.
        waves: Into how many batches they are parted, so that tools and model overlap; see :class:`Runner`.
        processes: Play in so many processes, the policy copied into each; see
            :class:`~thinkact.policies.process_runner.ProcessRunner`.
        split: Which tasks: ``train``, ``eval`` or ``hidden``.
        trials: Episodes per task; ``episodes`` is rounded up to whole tasks.
        env_kwargs: Difficulty knobs and the like, passed to ``gym.make``.
        on_episode: Called with each episode as it ends, for progress and for writing it down.

    Returns:
        The episodes, in task order. Where the split has fewer tasks than asked, tasks repeat.

    Raises:
        ValueError: On arguments that make no sense.
        TypeError: With several processes, on a policy that cannot be copied into them.
        gymnasium.error.Error: On an unknown environment id.
    """
    if min(episodes, trials, processes) < 1:
        raise ValueError("episodes, trials and processes must be at least 1.")
    knobs = {**(env_kwargs or {}), "split": split}
    options: dict[str, Any] = {"concurrency": concurrency, "env_kwargs": knobs, "waves": waves}

    def draw(sample_tasks: Callable[[int, int], list[str]]) -> list[Job]:
        tasks = sample_tasks(n := -(-episodes // trials), seed)
        return make_jobs([tasks[at % len(tasks)] for at in range(n)], trials=trials, seed=seed, prefix=split)

    if processes > 1:
        from thinkact.policies.process_runner import ProcessRunner

        with ProcessRunner(env_id, policy, processes=processes, **options) as crew:
            return crew.run(draw(crew.sample_tasks), on_episode=on_episode)
    with Runner(env_id, **options) as runner:
        return runner.run(draw(runner.sample_tasks), policy, on_episode=on_episode)
