"""The host's side of one box: its pipes, its two lines, its deadline and its death."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from thinkact.sandbox.types import ExecResult, Limits, SandboxFault, SandboxFileError, Status

_TICK_S = 0.1
_PIPE = 1 << 16
_START_S = 20.0


def readable(fd: int, timeout: float) -> bool:
    """Wait until a descriptor has something to read; not with select(), which ends at descriptor 1023."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def receive(line: socket.socket, timeout: float) -> tuple[dict[str, Any] | None, int | None]:
    """Receive one datagram and the descriptor that may come with it; (None, None) at the end of the line.

    Raises:
        SandboxFault: Nothing came in time.
    """
    if not readable(line.fileno(), timeout):
        raise SandboxFault(f"the sandbox did not answer within {timeout:.0f} s")
    try:
        data, rights, _, _ = line.recvmsg(1 << 16, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None, None
    fds = array.array("i")
    for _, _, payload in rights:
        fds.frombytes(payload[:4])
    if not data:
        return None, None
    message: dict[str, Any] = json.loads(data)
    return message, fds[0] if fds else None


@dataclass(slots=True)
class _Stream:
    """One output pipe, read to a cap and counted beyond it."""

    fd: int
    cap: int
    kept: bytearray = field(default_factory=bytearray)
    seen: int = 0
    open: bool = True

    def read(self) -> bool:
        """Read once; return whether there was something."""
        try:
            data = os.read(self.fd, _PIPE)
        except BlockingIOError:
            return False
        if not data:
            self.open = False
            return False
        self.kept += data[: max(0, self.cap - len(self.kept))]
        self.seen += len(data)
        return True

    def drain(self, most: int) -> None:
        """Read what is there now, but not for ever: somebody may still be writing."""
        while self.open and most > 0 and self.read():
            most -= _PIPE

    def take(self) -> tuple[str, bool]:
        """Return the kept text and whether some was dropped, and start over."""
        text, dropped = self.kept.decode("utf-8", "replace"), self.seen > self.cap
        self.kept, self.seen = bytearray(), 0
        return text, dropped


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request: the guest's reply (not to be trusted) and the supervised facts (to be).

    ``lost`` means that the box ended without a word from its supervisor: perhaps with the whole machinery.
    """

    reply: dict[str, Any] | None
    run: ExecResult
    lost: bool


class Box:
    """One process tree in its own namespaces. Closed by :meth:`kill`, which leaves no process.

    Raises:
        SandboxFault: It could not be made.
    """

    def __init__(self, server: socket.socket, limits: Limits, library_path: str, stdin_fd: int | None) -> None:
        self._limits = limits
        self._pidfd = -1
        self._line, far_line = socket.socketpair()
        self._watch, far_watch = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._out = _Stream(out_read, limits.output_bytes)
        self._err = _Stream(err_read, limits.output_bytes)
        far = [far_line.fileno(), far_watch.fileno(), out_write, err_write]
        request = json.dumps(
            {
                "memory_bytes": limits.memory_bytes,
                "cpu_s": limits.cpu_s,
                "processes": limits.processes,
                "file_bytes": limits.file_bytes,
                "tmpfs_bytes": limits.tmpfs_bytes,
                "tmpfs_inodes": limits.tmpfs_inodes,
                "open_files": limits.open_files,
                "library_path": library_path,
            }
        )
        rights = array.array("i", far if stdin_fd is None else [*far, stdin_fd])
        try:
            server.sendmsg([request.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError as error:
            self._close_fds()
            raise SandboxFault(f"the sandbox's fork server is gone: {error}") from error
        finally:
            far_line.close()
            far_watch.close()
            os.close(out_write)
            os.close(err_write)
        try:
            self._started()
        except BaseException:
            self.kill()
            raise
        os.set_blocking(out_read, False)
        os.set_blocking(err_read, False)
        self._line.setblocking(False)

    def _started(self) -> None:
        """Wait until the guest is locked down and ready."""
        message, fd = receive(self._watch, _START_S)
        if message is not None and fd is not None:
            self._pidfd = fd
            self._line.settimeout(_START_S)
            try:
                head = self._line.recv(4, socket.MSG_WAITALL)
                if len(head) == 4 and self._line.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL):
                    return
            except TimeoutError as error:
                raise SandboxFault(f"the sandbox's guest was not ready within {_START_S:.0f} s") from error
            self._err.drain(_PIPE)
            message, _ = receive(self._watch, 1.0)
        raise SandboxFault(f"the sandbox could not be prepared: {message}, {self._err.take()[0][-500:]!r}")

    def talk(self, request: dict[str, object], timeout: float, *, until_exit: bool) -> Outcome:
        """Send a request and follow it until it is answered, the box is dead, or the time is over.

        Args:
            request: What the guest shall do.
            timeout: Wall-clock seconds.
            until_exit: Whether the end of the guest, and not its reply, is the end of the request. A box
                that answered and still lives is still usable only if this is False.
        """
        body = json.dumps(request).encode()
        outgoing = memoryview(struct.pack("!I", len(body)) + body)
        incoming = bytearray()
        begin = time.monotonic()
        deadline, tick = begin + timeout, begin + _TICK_S
        flood = self._limits.output_bytes * self._limits.flood_factor
        reply: dict[str, Any] | None = None
        status: Status = "killed"
        limit: str | None = None
        code: int | None = None
        line_open, broken = True, False
        line, watch = self._line.fileno(), self._watch.fileno()
        poller = select.poll()
        streams = {stream.fd: stream for stream in (self._out, self._err) if stream.open}
        for fd in (line, watch, *streams):
            poller.register(fd, select.POLLIN)
        try:  # the usual case: a request fits into the socket's buffer
            outgoing = outgoing[self._line.send(outgoing) :]
        except OSError:
            pass
        if outgoing:
            poller.modify(line, select.POLLIN | select.POLLOUT)
        while True:
            now = time.monotonic()
            if now >= deadline:
                if not line_open and not until_exit:
                    break  # it hung up without an answer and lives on: as good as dead
                status, limit, code = "timeout", "wall", -signal.SIGKILL
                break
            if max(self._out.seen, self._err.seen) > flood:
                status, limit, code = "output_limit", "output", -signal.SIGKILL
                break
            if now >= tick:
                tick = now + _TICK_S
                self._ask_for_memory()
            finished = False
            for fd, event in poller.poll(max(1, 1000 * (min(deadline, tick) - now))):
                if fd in streams:
                    if not streams[fd].read() and not streams[fd].open:
                        poller.unregister(fd)
                elif fd == watch:
                    try:
                        message, _ = receive(self._watch, 1.0)
                    except SandboxFault:
                        message = None
                    if message is not None and "oom" in message:
                        status, limit, code = "oom", "memory", -signal.SIGKILL
                    elif message is not None and "exit" in message:
                        code = int(message["exit"])
                    finished = True
                elif line_open:
                    if event & select.POLLOUT and outgoing:
                        try:
                            outgoing = outgoing[self._line.send(outgoing) :]
                        except OSError:
                            outgoing = outgoing[:0]
                        if not outgoing:
                            poller.modify(line, select.POLLIN)
                    if event & ~select.POLLOUT:
                        line_open = self._read_line(incoming)
                        if not line_open:
                            poller.unregister(line)
                            if not until_exit:
                                deadline = min(deadline, now + 0.5)
                        if reply is None:
                            reply, broken = _parse_frame(incoming, self._limits.output_bytes)
                            if broken:
                                finished = True
                        if reply is not None and not until_exit:
                            finished = True
            if finished:
                break
        duration = time.monotonic() - begin
        most = 17 * _PIPE  # no pipe holds more
        ended = until_exit or reply is None or code is not None
        if ended:
            self._die()
        self._out.drain(most)
        self._err.drain(most)
        if limit is None and max(self._out.seen, self._err.seen) > flood:
            # Found after the end: the verdict must not hang on who was faster.
            status, limit, code = "output_limit", "output", -signal.SIGKILL
            self._die()
        if reply is None and line_open and until_exit:
            self._read_line(incoming)
            reply, _ = _parse_frame(incoming, self._limits.output_bytes)
        if code is not None and limit is None:
            if code == -signal.SIGXCPU:
                status, limit = "timeout", "cpu"
            else:
                status = "ok" if code == 0 else "error" if code > 0 else "killed"
        lost = reply is None and code is None and not broken
        return Outcome(reply, self._result(status, limit, code, duration), lost)

    def _result(self, status: Status, limit: str | None, code: int | None, duration: float) -> ExecResult:
        out, out_dropped = self._out.take()
        err, err_dropped = self._err.take()
        dropped = out_dropped or err_dropped
        exit_code = -signal.SIGKILL if code is None else code
        return ExecResult(out, err, exit_code, duration, dropped, limit or ("output" if dropped else None), status)

    def _read_line(self, incoming: bytearray) -> bool:
        """Take what the guest said; return whether it can say more. It cannot fill the host's memory."""
        try:
            while len(incoming) <= self._limits.output_bytes + 4:
                data = self._line.recv(_PIPE)
                if not data:
                    return False
                incoming += data
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _ask_for_memory(self) -> None:
        try:
            self._watch.send(b'{"op":"memory"}', socket.MSG_DONTWAIT)
        except OSError:
            pass  # busy or dead; the loop sees the latter

    def open_file(self, path: str, *, write: bool) -> int:
        """Have the supervisor open a regular file in the work directory and return the descriptor.

        Raises:
            ValueError: The path is absolute or climbs out.
            SandboxFileError: It could not be opened.
            SandboxFault: The supervisor is gone.
        """
        parts = path.split("/")
        if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{path!r} must be a relative path below the work directory, without . and ..")
        if len(path.encode("utf-8", "surrogateescape")) > 4000:
            raise ValueError("the path is longer than 4,000 bytes")
        try:
            self._watch.send(json.dumps({"op": "open", "path": path, "write": write}).encode())
        except OSError as error:
            raise SandboxFileError(error.errno, "the session is dead", path) from error
        message, fd = receive(self._watch, _START_S)
        if message is None or "exit" in message or "oom" in message:
            raise SandboxFileError(3, "the session is dead", path)
        if fd is None:
            number = int(message["errno"])
            raise SandboxFileError(number, os.strerror(number), path)
        return fd

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
        if not readable(self._pidfd, _START_S):
            raise SandboxFault(f"a sandboxed process tree did not die within {_START_S:.0f} s of SIGKILL")
        os.close(self._pidfd)
        self._pidfd = -1

    @property
    def alive(self) -> bool:
        """Whether its first process still runs."""
        return self._pidfd >= 0 and not readable(self._pidfd, 0)

    def kill(self) -> None:
        """Kill the tree, wait until nothing of it runs, and close every descriptor.

        Raises:
            SandboxFault: It would not die.
        """
        try:
            self._die()
        finally:
            self._close_fds()

    def abandon(self) -> None:
        """Close the descriptors only: what a forked child does with its parent's box."""
        self._close_fds()

    def _close_fds(self) -> None:
        self._line.close()
        self._watch.close()
        for stream in (self._out, self._err):
            if stream.fd >= 0:
                os.close(stream.fd)
                stream.fd, stream.open = -1, False
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _parse_frame(data: bytearray, most: int) -> tuple[dict[str, Any] | None, bool]:
    """Return the first whole frame, if it is there, and whether the guest broke the grammar."""
    if len(data) < 4:
        return None, False
    size = struct.unpack("!I", data[:4])[0]
    if size > most:
        return None, True
    if len(data) < 4 + size:
        return None, False
    try:
        message = json.loads(bytes(data[4 : 4 + size]))
    except (ValueError, RecursionError):
        return None, True
    return (message, False) if isinstance(message, dict) else (None, True)
