"""Copies of a box's guest: freeze it, make whole boxes inside this one, and move copies of it in.

Part of the supervisor. A box for a copy takes about as long to make as the copy itself, so it is made *ahead*
where that is likely to be of use: beside the inspection of a guest that was just frozen, after a snapshot, and
after a second copy of the same moment. One at most, never used twice, and only while the guest is frozen: what
runs in this box could otherwise reach it before its door is closed.
"""

from __future__ import annotations

import array
import errno
import json
import os
import resource
import signal
import socket
import typing

_ALL_SIGNALS = b"\xff" * 8
_PATIENCE_S = 20.0


class _Empty(typing.NamedTuple):
    """A box that waits for its guest."""

    first: int
    pidfd: int
    line: socket.socket
    journey: typing.Any  # the guest's way there, if that has begun


class Copier:
    """Makes copies of one guest; the supervisor asks for them.

    Args:
        kit: The module ``worker.py``.
        limits: What the host allows.
        bpf: The guests' system-call filter.
    """

    def __init__(self, kit: typing.Any, limits: dict[str, typing.Any], bpf: bytes) -> None:
        self.kit, self.limits, self.bpf = kit, limits, bpf
        self.frozen: typing.Any = None
        self.branches: dict[int, socket.socket] = {}
        self.carries = False  # boxes inside, perhaps: then only the host may end this one
        self._mask = b""
        self._made = 0
        self._ahead: _Empty | None = None

    # --- the guest ----------------------------------------------------------------------------------------

    def pause(self, guest: int, pipes: dict[str, int], *, ahead: bool = False) -> None:
        """Freeze the guest if it can be copied exactly.

        Args:
            guest: Its process, or 0.
            pipes: What its standard streams and its line are, by link text.
            ahead: Whether a box for a copy is to be made meanwhile.

        Raises:
            Refused: It cannot; it goes on unharmed.
        """
        if guest == 0:
            raise self.kit._trace.Refused("its interpreter is dead")
        if self.frozen is not None:
            return
        self.frozen = frozen = self.kit._trace.freeze(guest)
        self._made = 0
        self._mask = frozen.mask()
        frozen.set_mask(_ALL_SIGNALS)
        self._cpus = os.sched_getaffinity(frozen.pid)
        try:
            inspection = self.kit._inspection.Inspection(frozen.pid, pipes, (self.kit._WORK, self.kit._SHM))
            inspection.alone()  # from here on nothing hostile runs in this box
            if ahead:
                self._ahead = self._empty()
            self._lines, self._files, self._cwd = inspection.result()
            hard = resource.prlimit(frozen.pid, resource.RLIMIT_NPROC)[1]
            resource.prlimit(frozen.pid, resource.RLIMIT_NPROC, (hard, hard))  # copies count here too, for a moment
        except BaseException:
            self.resume()
            raise

    def resume(self) -> None:
        """Let the guest go on, if it is frozen."""
        frozen, self.frozen = self.frozen, None
        if frozen is not None:
            self.discard()
            self._limit_processes(frozen.pid)
            os.sched_setaffinity(frozen.pid, self._cpus)
            frozen.set_mask(self._mask)
            frozen.settle()
            frozen.let_go()

    def forget(self) -> None:
        """Make no more copies: the guest is dead, or about to be killed."""
        self.frozen = None
        self.discard()

    def _limit_processes(self, pid: int) -> None:
        hard = resource.prlimit(pid, resource.RLIMIT_NPROC)[1]
        resource.prlimit(pid, resource.RLIMIT_NPROC, (min(hard, self.limits["processes"] + 1), hard))

    def _come_here(self) -> None:
        """Move the guest to this processor: its helpers and this process only ever wait for one another."""
        try:
            os.sched_setaffinity(self.frozen.pid, {self.kit._libc.sched_getcpu()})
        except (OSError, ValueError):
            pass  # it takes a little longer

    # --- boxes --------------------------------------------------------------------------------------------

    def _empty(self) -> _Empty:
        """Begin a box; it makes itself ready in its own time.

        Raises:
            Refused: There are too many boxes inside boxes.
            OSError: The machinery failed.
        """
        self.carries = True
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.settimeout(_PATIENCE_S)
        try:
            first, pidfd = self.kit.clone_box({**self.limits, "mode": "branch"}, self.bpf, far)
        except OSError as error:
            near.close()
            if error.errno in (errno.ENOSPC, errno.EUSERS):
                raise self.kit._trace.Refused("too many generations of copies were made of one another") from error
            raise
        finally:
            far.close()
        return _Empty(first, pidfd, near, None)

    def discard(self) -> None:
        """Kill the box that was made ahead, if there is one."""
        box, self._ahead = self._ahead, None
        if box is not None:
            if box.journey is not None:
                box.journey.give_up()
            try:
                os.kill(box.first, signal.SIGKILL)
                os.waitpid(box.first, 0)
            except (ProcessLookupError, ChildProcessError):
                pass  # dead already, and seen
            box.line.close()
            os.close(box.pidfd)

    def make_ahead(self) -> None:
        """Make a box for the next copy, which is expected; if that fails, so will the copy, and say why."""
        if self.frozen is not None and self._ahead is None:
            try:
                self._ahead = self._empty()
                self._ahead = self._ahead._replace(journey=self._journey())
            except (OSError, self.kit._trace.Refused):
                pass

    def _journey(self) -> typing.Any:
        """Begin to move a copy: not yet anywhere."""
        self._come_here()
        return self.kit._transplant.Transplant(self.kit, self.frozen)

    # --- copies -------------------------------------------------------------------------------------------

    def branch(self, guest: int, pipes: dict[str, int], fds: list[int]) -> int:
        """Copy the guest into a new box inside this one and return a pidfd of that.

        It is frozen first if it is not yet.

        Args:
            guest: Its process, or 0.
            pipes: What its standard streams and its line are, by link text.
            fds: The copy's line, the new supervisor's line to the host, the copy's stdout and stderr.

        Raises:
            Refused: The guest cannot be copied; if it was not frozen before, it goes on.
            OSError: The machinery failed.
        """
        was_frozen = self.frozen is not None
        try:
            self.pause(guest, pipes, ahead=True)
            pidfd = self._move(fds)
        except BaseException:
            if not was_frozen:
                self.resume()
            raise
        self._made += 1
        return pidfd

    @property
    def more_are_likely(self) -> bool:
        """Whether this moment was copied more than once already."""
        return self._made > 1

    def _move(self, fds: list[int]) -> int:
        box, self._ahead = self._ahead or self._empty(), None
        line, journey = box.line, box.journey
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            try:
                line.sendmsg([b'{"take": true}'], [rights])
            except BrokenPipeError:
                pass  # it failed before; what it said of that is still there to be read
            journey = journey or self._journey()
            theirs = self._answer(line)["ready"]
            lines = [(theirs[index], number, flags) for index, number, flags in self._lines]
            journey.enter(box.first, self._cwd, lines, self._files, network=bool(self.limits.get("network")))
            line.send(b'{"go": true}')  # it closes the door while the copy is made
            copy = journey.finish(self._mask)
            self._limit_processes(copy.pid)
            os.sched_setaffinity(copy.pid, self._cpus)
            self._answer(line)
            copy.let_go()
            line.setblocking(False)
            self.branches[copy.pid] = line
        except BaseException:
            if journey is not None:
                journey.give_up()
            line.close()
            try:
                os.kill(box.first, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.close(box.pidfd)
            raise
        return box.pidfd

    @staticmethod
    def _answer(line: socket.socket) -> dict[str, typing.Any]:
        """Return what the new supervisor says.

        Raises:
            OSError: It failed, or is gone.
        """
        try:
            data = line.recv(4096)
        except ConnectionResetError:  # told once, before what it said last
            data = line.recv(4096)
        message: dict[str, typing.Any] = json.loads(data or b'{"fault": "it ended"}')
        if "fault" in message:
            raise OSError(message.get("errno") or errno.EIO, str(message["fault"]))
        return message

    def ended(self, pid: int, code: int) -> None:
        """Tell the supervisor of a copy that it is dead."""
        line = self.branches.pop(pid, None)
        if line is not None:
            try:
                line.send(json.dumps({"exit": code}).encode())
            except OSError:
                pass  # that supervisor is dead too
            line.close()
        elif self._ahead is not None and pid in (self._ahead.first, getattr(self._ahead.journey, "pid", 0)):
            self.discard()  # the machine's memory killer, say
