"""Submitted expressions are judged in a process of their own, which is killed if one costs too much.

The parser bounds what an expression can cost before anything is computed (:mod:`thinkact.envs.answers_expression`).
This is the second fence, for what the first one was not thought to let through: the text goes to a small Python with
limits on processor time and memory, as JSON, and one word comes back. There is one such process, started when it is
first needed. What the submission does to it makes the submission wrong; what else happens to it is a fault.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from thinkact.envs.answers_expression import BOUNDS, Bounds
from thinkact.envs.types import EnvironmentFault

_log = logging.getLogger(__name__)
_PROGRAM = Path(__file__).with_name("answers_worker.py")
_TRIES = 3
#: Without these some Pythons do not start: Windows', and those whose shared library lies elsewhere.
_PASSED_ON = ("SYSTEMROOT", "LD_LIBRARY_PATH")
#: Deaths that an expression cannot cause: its own limits are told by other signals, and memory by an exception.
_NOT_ITS_DOING = frozenset(
    -getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


@dataclass(frozen=True)
class Verdict:
    """Whether a submission is right, and why it could not even be compared, if so."""

    right: bool
    reason: str | None = None


class ExpressionProcess:
    """A process that judges expressions, started at the first one and again after each death.

    Any thread may use it; they take turns. A forked child has one of its own.

    Args:
        cpu_s: Seconds of processor time that one expression may take.
        wall_s: Seconds after which the process is taken for dead, however little it did.
        memory_bytes: Address space of the process.
        bounds: What the parser lets through.
    """

    def __init__(
        self, *, cpu_s: float = 2.0, wall_s: float = 60.0, memory_bytes: int = 512 << 20, bounds: Bounds = BOUNDS
    ) -> None:
        self.cpu_s, self.wall_s = cpu_s, wall_s
        self._setting = json.dumps([cpu_s, memory_bytes, bounds.chars, bounds.depth, bounds.bits])
        self._longest = bounds.chars
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The process that the next expression goes to, if there is one already."""
        return None if self._process is None else self._process.pid

    def ask(self, judge: str, submitted: str, *args: object) -> Verdict:
        """Judge one submission.

        Args:
            judge: A name in :data:`thinkact.envs.answers_expression.JUDGES`.
            submitted: What the model wrote.
            *args: What it is compared with; plain JSON.

        Raises:
            EnvironmentFault: The process could not be started, or died three times of what no expression does.
        """
        if len(submitted) > self._longest:
            return Verdict(False, f"it is longer than {self._longest} characters")
        request = json.dumps({"judge": judge, "args": [submitted, *args]}).encode() + b"\n"
        with self._lock:
            crashes = 0
            for _ in range(_TRIES):
                line = self._exchange(request)
                if line.endswith(b"\n"):
                    return self._read(line)
                code = self._bury()
                if code == -getattr(signal, "SIGPROF", 0):
                    return Verdict(False, f"it takes more than {self.cpu_s:g} s to evaluate")
                if code not in _NOT_ITS_DOING:
                    crashes += 1
                    if crashes > 1:  # the same text, a new process, the same end
                        return Verdict(False, f"evaluating it ends the interpreter (exit code {code})")
                _log.warning("the process that judges expressions ended with %d; started again", code)
        raise EnvironmentFault(f"the process that judges expressions died {_TRIES} times, at last with {code}")

    def _exchange(self, request: bytes) -> bytes:
        """Send a request and return the answer: a whole line, or the beginning of one if the process is dead."""
        if self._process is not None and self._process.poll() is not None:
            _log.warning("the process that judges expressions died between two of them (%d)", self._bury())
        if self._process is None:
            self._start()
        return self._send(request)

    def _send(self, request: bytes) -> bytes:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(self.wall_s, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            left = memoryview(request)
            while left:
                left = left[os.write(process.stdin.fileno(), left) :]
            return os.read(process.stdout.fileno(), 4096)  # an answer is small enough to come in one piece
        except BrokenPipeError:
            return b""
        except BaseException:  # Ctrl-C half-way: the next one must not get this one's answer
            process.kill()
            self._bury()
            raise
        finally:
            alarm.cancel()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(_PROGRAM), self._setting],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,  # Ctrl-C is for this process
            )
        except OSError as error:
            raise EnvironmentFault(f"the process that judges expressions does not start: {error}") from error
        if self._send(b"") != b"ready\n":
            raise EnvironmentFault(f"the process that judges expressions does not start: exit code {self._bury()}")

    @staticmethod
    def _read(line: bytes) -> Verdict:
        reply = json.loads(line)
        if "fault" in reply:
            raise EnvironmentFault(f"an expression could not be judged: {reply['fault']}")
        return Verdict(reply["right"] is True, reply.get("reason"))

    def _bury(self) -> int:
        """Wait for the process, which is dead or about to be, and return its exit code."""
        process, self._process = self._process, None
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            code = process.wait(self.wall_s)
        except subprocess.TimeoutExpired:  # it closed its output and lives on
            process.kill()
            code = process.wait()
        process.stdout.close()
        process.stdin.close()
        return code

    def close(self) -> None:
        """End the process; the next expression starts another."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._bury()

    def forget(self) -> None:
        """In a forked child: leave the process to the parent, and let the parent's death end it."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            process.returncode = 0  # not this process's child
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


SHARED = ExpressionProcess()
"""The one that answers of all families are judged by."""

atexit.register(SHARED.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHARED.forget)
