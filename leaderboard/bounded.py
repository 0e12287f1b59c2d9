"""Playing under limits: time limits that nest, and agents that are trusted with nothing.

From the inside out: a tool's own limit (its environment's; the model is told ``timeout``), :class:`TurnLimit` (an
environment that hangs: a fault of ours), the episode's (:data:`EPISODE_LIMIT`) and the submission's
(:data:`SUBMISSION_LIMIT`), both of which cut an episode and score it as it stands.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import gymnasium as gym

from thinkact.envs import Action, Conversation, EnvironmentFault, Policy
from thinkact.leaderboard.suites import Budget
from thinkact.policies.jobs import Live
from thinkact.policies.rollout import Runner
from thinkact.policies.scripted import ExpertPolicy

#: The last turn's ``stop`` of an episode that took too long.
EPISODE_LIMIT = "episode limit"
#: Likewise, when the whole submission took too long.
SUBMISSION_LIMIT = "submission limit"
_CUTS = frozenset({EPISODE_LIMIT, SUBMISSION_LIMIT})
#: Characters kept of an action and of a thought; the tools' grammar refuses longer actions anyway.
MAX_TEXT = 200_000
_CLOSE_S = 30.0


class TurnLimit(EnvironmentFault):
    """An environment did not come back from a reset or a step within the suite's ``turn_s``."""


class BoundedRunner(Runner):
    """A :class:`~thinkact.policies.rollout.Runner` in which nothing hangs and every failed attempt is told.

    Args:
        env_id: See there.
        concurrency: See there.
        env_kwargs: See there.
        turn_s: Seconds for one reset or step.
        on_fault: Told the episode's id, the attempt and the fault.
    """

    cuts: ClassVar[frozenset[str]] = Runner.cuts | _CUTS

    def __init__(
        self,
        env_id: str,
        *,
        concurrency: int,
        env_kwargs: dict[str, Any],
        turn_s: float,
        on_fault: Callable[[str, int, str], None] | None = None,
    ) -> None:
        self._turn_s, self._on_fault = turn_s, on_fault
        self._hands: deque[_Hand] = deque()
        super().__init__(env_id, concurrency=concurrency, env_kwargs=env_kwargs)

    def close(self) -> None:
        """Close the environments. Idempotent."""
        super().close()
        while self._hands:
            self._hands.pop().stop()

    def perform(self, what: Literal["reset", "step"], live: Live, work: Callable[[], None]) -> None:
        """Do it within ``turn_s``.

        Raises:
            TurnLimit: It took longer.
        """
        if not self._within(self._turn_s, work):
            # Whatever the late thread still writes goes into a record that nobody reads.
            live.episode = live.episode.model_copy(deep=True)
            raise TurnLimit(f"{self.env_id}: a {what} took more than {self._turn_s:g} s")

    def faulted(self, live: Live, fault: EnvironmentFault) -> None:
        """Tell who asked for it, or the log."""
        if self._on_fault is None:
            super().faulted(live, fault)
        else:
            self._on_fault(live.job.id, live.attempt, f"{type(fault).__name__}: {fault}")

    def shut(self, env: gym.Env[str, str]) -> None:
        """Close it, or leave it: one that hangs in a step may hang here too; its sandbox has limits of its own."""
        self._within(_CLOSE_S, env.close)

    def _within(self, seconds: float, work: Callable[[], None]) -> bool:
        try:
            hand = self._hands.pop()
        except IndexError:
            hand = _Hand()
        back = True
        try:
            back = hand.do(work, seconds)
        finally:
            if back:
                self._hands.append(hand)
            else:
                hand.stop()
        return back


class _Hand:
    """A thread that does one thing after another, and is left behind when it does not come back.

    It is kept between turns because tools keep things by thread, and a daemon because one that hangs must not keep the
    process from ending.
    """

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[tuple[Callable[[], None], queue.SimpleQueue[BaseException | None]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._work, name="bounded", daemon=True).start()

    def do(self, work: Callable[[], None], seconds: float) -> bool:
        """Do something; False when it is not done in time. What it raises is raised here."""
        answer: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._todo.put((work, answer))
        try:
            raised = answer.get(timeout=seconds)
        except queue.Empty:
            return False
        if raised is not None:
            raise raised
        return True

    def stop(self) -> None:
        """End the thread, once it has come back."""
        self._todo.put(None)

    def _work(self) -> None:
        while (asked := self._todo.get()) is not None:
            work, answer = asked
            raised = None
            try:
                work()
            except BaseException as error:
                raised = error
            answer.put(raised)
            del asked, work, answer, raised


class Guarded:
    """An agent under the limits of a suite; a :class:`~thinkact.envs.Policy`.

    Text is made such that it can be stored and played again; amounts that are no amounts are dropped.

    Args:
        agent: Who plays.
        limits: The suite's.
        spent: Seconds that earlier parts of the submission took.
    """

    def __init__(self, agent: Policy, limits: Budget, *, spent: float = 0.0) -> None:
        self.name = agent.name
        self._agent, self._limits = agent, limits
        self._began = time.monotonic() - spent
        self._since: dict[str, float] = {}
        if isinstance(agent, ExpertPolicy):
            # Environments are handed to the scripted expert alone, whatever methods an agent has.
            self.begin = agent.begin

    @property
    def seconds(self) -> float:
        """Seconds of the submission so far, over all its parts."""
        return time.monotonic() - self._began

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Ask the agent for those episodes that have time left; the others get an empty last action."""
        now = time.monotonic()
        cuts = [self._cut(one, now) for one in conversations]
        asked = [one for one, cut in zip(conversations, cuts, strict=True) if cut is None]
        given = iter(self._agent.act(asked) if asked else ())
        return [Action(text="", stop=cut) if cut is not None else _clean(next(given)) for cut in cuts]

    def release(self, conversation_id: str) -> None:
        """Forget an episode."""
        self._since.pop(conversation_id, None)
        self._agent.release(conversation_id)

    def _cut(self, conversation: Conversation, now: float) -> str | None:
        since = self._since.setdefault(conversation.id, now)
        if now - self._began >= self._limits.submission_s:
            return SUBMISSION_LIMIT
        return EPISODE_LIMIT if now - since >= self._limits.episode_s else None


def _clean(action: Action) -> Action:
    action.text, action.thought, action.fault = map(storable, (action.text, action.thought, action.fault))
    action.stop = storable(action.stop)[:200]
    if action.stop in _CUTS:
        action.stop = "stop"  # only the board cuts
    for amount in ("seconds", "cost"):
        if not (math.isfinite(getattr(action, amount)) and getattr(action, amount) >= 0):
            setattr(action, amount, 0.0)
    return action


def storable(text: str) -> str:
    """Return text as JSON in UTF-8 can hold it, and no more of it than :data:`MAX_TEXT`."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()
