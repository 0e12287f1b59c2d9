"""Model and learner on one device: one at a time, in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from thinkact.envs import Action, Conversation
from thinkact.policies.crew import Stopped
from thinkact.policies.hf import HFPolicy


class Turns:
    """A lock that is handed on in the order of asking. Use as a context manager.

    Model and learner share a device: at the same time they would not be faster, and on few cores much slower. What
    overlaps is learning and the tools. A plain lock would let the learner, which asks again at once, have it for good.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def __enter__(self) -> None:
        with self._changed:
            ticket = object()
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._queue[0] is ticket)
            except BaseException:  # Ctrl-C while waiting: others must not wait for this one
                self._queue.remove(ticket)
                self._changed.notify_all()
                raise

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()


class TurnTaking(HFPolicy):
    """A policy whose model runs when it is its turn, and which can be stopped from another thread."""

    turns: Turns
    stopped: threading.Event

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Wait for the device, then act.

        Raises:
            Stopped: The run ends.
        """
        with self.turns:
            if self.stopped.is_set():
                raise Stopped
            return super().act(conversations)
