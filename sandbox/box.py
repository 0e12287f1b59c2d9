"""The host's side of one box: the line to its supervisor, the boxes inside it, and its death."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import signal
import socket
import threading
from collections.abc import Callable

from thinkact.sandbox.sessions import check_path
from thinkact.sandbox.talk import START_S, Outcome, Talk, readable, receive
from thinkact.sandbox.types import FileEntry, ForkRefused, Limits, SandboxFault, SandboxFileError

_MAX_LIST = 64 << 20


def memory_file(name: str, data: bytes) -> int:
    """Return a descriptor to read ``data`` from that nobody can write to."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Box:
    """One process tree in its own namespaces, possibly with boxes of branches inside.

    A box dies by :meth:`kill`, at once and as a whole, unless there are boxes inside it: then only what runs
    in it dies, and its supervisor stays until the last of them is killed.

    Args:
        line: Where to ask for it: the fork server, or the supervisor of the box around it.
        limits: What may be used inside.
        mode: ``session``: a guest that waits for requests. ``run``: one program. ``cases``: one guest after the other.
            ``program``: one beside the interpreter of ``around``. ``branch``: a copy of that.
        request: What the fork server has to know.
        stdin_fd: The guest's standard input, instead of nothing.
        around: The box that it is made in, if it is not the fork server's.
        sink: Takes the guest's standard output as it comes.

    Raises:
        SandboxFault: It could not be made.
        ForkRefused: The box around it cannot be copied.
    """

    def __init__(
        self,
        line: socket.socket,
        limits: Limits,
        mode: str,
        request: dict[str, object],
        stdin_fd: int | None = None,
        around: Box | None = None,
        sink: Callable[[bytes], None] | None = None,
    ) -> None:
        self._limits = limits
        self._pidfd = -1
        self._mode = mode
        self.depth: int = 0 if around is None else around.depth + 1
        self._around = around
        self._inside = 0
        self._orphaned = False
        self._count = threading.Lock()
        self._watch, far_watch = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._case = 0
        self._talk: Talk | None = None if mode == "cases" else Talk(limits, self._watch, self, sink=sink)
        fds = [far_watch.fileno()] * 4 if self._talk is None else self._talk.far_ends(far_watch.fileno())
        rights = array.array("i", fds if stdin_fd is None else [*fds, stdin_fd])
        if around is not None:
            around._add()
        try:
            try:
                line.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            except OSError as error:
                raise SandboxFault(f"what makes sandboxes is gone: {error}") from error
            finally:
                far_watch.close()
                if self._talk is not None:
                    self._talk.handed_over()
            if around is not None and self._talk is not None and mode == "branch":
                self._pidfd = around._answer("be copied")
                self._talk.started(says_so=False)
            else:
                self._started()
        except BaseException:
            self.kill()
            raise

    def _started(self) -> None:
        """Wait until its guest is locked down and ready."""
        message, fd = receive(self._watch, START_S)
        if message is not None and fd is not None:
            self._pidfd = fd
            if self._talk is None or self._talk.started():
                return
            message, _ = receive(self._watch, 1.0)
        words = self._talk.last_words() if self._talk is not None else ""
        raise SandboxFault(f"the sandbox could not be prepared: {message}, {words!r}")

    # --- conversation -------------------------------------------------------------------------------------

    def talk(self, request: dict[str, object], timeout: float, *, until_exit: bool) -> Outcome:
        """Send the guest a request and follow it to its end; see :meth:`Talk.talk`."""
        assert self._talk is not None
        return self._talk.talk(request, timeout, until_exit=until_exit)

    def next_case(self, request: dict[str, object], timeout: float) -> Outcome:
        """Run one test case in a fresh guest; in a box of mode ``cases`` only.

        Raises:
            SandboxFault: It could not be made, or its remains could not be removed.
        """
        self._case += 1
        talk = Talk(self._limits, self._watch, self, self._case)
        try:
            rights = array.array("i", talk.far_ends(self._watch.fileno()))
            self._send({"op": "case"}, rights)
            talk.handed_over()
            if not talk.started():
                message, _ = receive(self._watch, 1.0)
                raise SandboxFault(f"a test case could not be prepared: {message}, {talk.last_words()!r}")
            outcome = talk.talk(request, timeout, until_exit=True)
        finally:
            talk.close()
        return outcome

    def _send(self, request: dict[str, object], rights: array.array[int] | None = None) -> None:
        extra = [] if rights is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        try:
            self._watch.sendmsg([json.dumps(request).encode()], extra)
        except OSError as error:
            raise SandboxFault(f"the sandbox's supervisor is gone: {error}") from error

    def _answer(self, what: str) -> int:
        """Wait for the supervisor's answer to the last request; return the descriptor that came with it, or -1.

        Raises:
            ForkRefused: The guest's state does not allow it, or the guest is dead.
            SandboxFault: The supervisor is gone, or the machinery failed.
        """
        while True:
            message, fd = receive(self._watch, START_S)
            if message is not None and "done" in message:
                return -1 if fd is None else fd
            if fd is not None:
                os.close(fd)
            if message is None or "exit" in message or "oom" in message:
                raise ForkRefused(f"the session cannot {what}: its interpreter is dead")
            if "refused" in message:
                raise ForkRefused(f"the session cannot {what}: {message['refused']}")
            if message.get("errno") == errno.ELOOP:
                raise ForkRefused(f"the session cannot {what}: its directories are nested too deeply")
            if message.get("errno") == errno.ENOSPC:
                raise ForkRefused(f"the session cannot {what}: there is no room for another work directory")
            raise SandboxFault(f"the session cannot {what}: {message}")

    def ask_for_memory(self) -> None:
        """Have the supervisor look whether the tree uses too much; its answer comes by itself."""
        for box in (self, self._around if self._mode == "program" else None):
            if box is not None:
                try:
                    box._watch.send(b'{"op":"memory"}', socket.MSG_DONTWAIT)
                except OSError:
                    pass  # busy or dead; whoever waits for it sees the latter

    # --- files --------------------------------------------------------------------------------------------

    def open_file(self, path: str, *, write: bool) -> int:
        """Have the supervisor open a regular file in the work directory and return the descriptor.

        Raises:
            ValueError: The path is absolute or climbs out.
            SandboxFileError: It could not be opened.
            SandboxFault: The supervisor is gone.
        """
        return self._file({"op": "open", "path": check_path(path), "write": write}, path)

    def list_files(self, most: int) -> list[FileEntry]:
        """Have the supervisor describe the work directory.

        Raises:
            SandboxFileError: There is too much of it, or the session is dead.
            SandboxFault: The supervisor is gone.
        """
        with open(self._file({"op": "list", "most": most}, "."), "rb") as file:
            file.seek(0)
            rows = json.loads(file.read(_MAX_LIST))
        return [FileEntry(path, kind, size, mode, target) for path, kind, size, mode, target in rows]

    def _file(self, request: dict[str, object], path: str) -> int:
        try:
            self._watch.send(json.dumps(request).encode())
        except OSError as error:
            raise SandboxFileError(error.errno, "the session is dead", path) from error
        message, fd = receive(self._watch, START_S)
        if message is None or "exit" in message or "oom" in message:
            raise SandboxFileError(3, "the session is dead", path)
        if fd is None:
            raise SandboxFileError(int(message["errno"]), str(message["why"]), path)
        return fd

    # --- copies -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Freeze the guest, to be copied.

        Raises:
            ForkRefused: It cannot be copied exactly; it goes on unharmed.
            SandboxFault: The supervisor is gone.
        """
        self._send({"op": "pause"})
        self._answer("be copied")

    def resume(self) -> None:
        """Let a frozen guest go on. There must not be boxes inside.

        Raises:
            ForkRefused: It is dead.
            SandboxFault: The supervisor is gone.
        """
        self._send({"op": "resume"})
        self._answer("go on")

    def branch(self, more: int = 0) -> Box:
        """Return a copy of this box, which runs; it is frozen for that, and stays so.

        Args:
            more: How many others are going to be made of this moment: 0 if that is not known, -1 if none.

        Raises:
            ForkRefused: It cannot be copied exactly, the interpreter is dead, or too many generations of copies
                were made. If it was not frozen, it goes on unharmed.
            SandboxFault: The machinery failed.
        """
        return Box(self._watch, self._limits, "branch", {"op": "branch", "more": more}, around=self)

    def program(self, stdin_fd: int | None) -> Box:
        """Return a box for one program that shares the work directory with this one.

        Raises:
            SandboxFault: The machinery failed.
        """
        return Box(self._watch, self._limits, "program", {"op": "program"}, stdin_fd, around=self)

    @property
    def inhabited(self) -> bool:
        """Whether there are boxes inside."""
        return self._inside > 0

    def _add(self) -> None:
        with self._count:
            self._inside += 1

    def _remove(self) -> None:
        with self._count:
            self._inside -= 1
            last = self._inside == 0 and self._orphaned
        if last:
            self.kill()

    # --- death --------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Kill all that runs in it; after a test case, make it ready for the next.

        Raises:
            SandboxFault: Something would not die.
        """
        if self._case:
            self._send({"op": "end"})
            while True:
                message, _ = receive(self._watch, START_S)
                if message is None:
                    raise SandboxFault("a sandbox died while it was made ready for its next test case")
                if message.get("ended") == self._case:
                    return
        elif self._inside and self._pidfd >= 0:
            try:
                self._send({"op": "drop"})
                self._answer("be dropped")
            except (ForkRefused, SandboxFault):
                pass  # dead already; the boxes inside with it
        else:
            self._die()

    def _die(self) -> None:
        """Kill the tree and wait until nothing of it runs.

        Raises:
            SandboxFault: It would not die.
        """
        if self._pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # The kernel ends every other process of the namespace before its first one.
        if not readable(self._pidfd, START_S):
            raise SandboxFault(f"a sandboxed process tree did not die within {START_S:.0f} s of SIGKILL")
        os.close(self._pidfd)
        self._pidfd = -1

    def death_line(self) -> int:
        """Return a descriptor of the caller's own by which another thread may kill the tree."""
        return os.dup(self._pidfd)

    @property
    def alive(self) -> bool:
        """Whether its first process still runs."""
        return self._pidfd >= 0 and not readable(self._pidfd, 0)

    def kill(self) -> None:
        """Kill the tree, wait until nothing of it runs, and close every descriptor.

        Raises:
            SandboxFault: It would not die.
        """
        with self._count:
            inhabited = self._inside > 0
            self._orphaned = self._orphaned or inhabited
        if inhabited:
            self.end()
            if self._talk is not None:
                self._talk.close()
            return
        try:
            self._die()
        finally:
            self.abandon()
            around, self._around = self._around, None
            if around is not None:
                around._remove()

    def abandon(self) -> None:
        """Close the descriptors only: what a forked child does with its parent's box."""
        self._watch.close()
        if self._talk is not None:
            self._talk.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
