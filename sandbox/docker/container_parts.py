"""The pieces that ``container_worker.py`` is made of: the line to the host, a guest, its pipes, its files.

Runs inside, in the supervisor. Standard library only, and imported by nobody but that file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import stat
import struct
import typing

HELLO, OUT, ERR, REPLY, END, DATA, ASK, STOP = (bytes([letter]) for letter in b"HOERZDQS")
WORK, SHARED = "/tmp", "/dev/shm"
PIPE = 1 << 16


class HungUp(Exception):
    """The host is gone."""


class Line:
    """The frames from and to the host."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self._sock.fileno()

    def pending(self) -> bool:
        """Whether the beginning of a further frame is here already."""
        return bool(self._data)

    def send(self, kind: bytes, contents: bytes = b"") -> None:
        """Send a frame."""
        try:
            self._sock.sendall(kind + struct.pack("!I", len(contents)) + contents)
        except OSError as error:
            raise HungUp from error

    def send_json(self, kind: bytes, value: dict[str, object]) -> None:
        """Send a frame of JSON."""
        self.send(kind, json.dumps(value).encode())

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a frame."""
        while True:
            if len(self._data) >= 5:
                size = struct.unpack("!I", self._data[1:5])[0]
                if len(self._data) >= 5 + size:
                    kind, contents = bytes(self._data[:1]), bytes(self._data[5 : 5 + size])
                    del self._data[: 5 + size]
                    return kind, contents
            try:
                part = self._sock.recv(1 << 20)
            except OSError as error:
                raise HungUp from error
            if not part:
                raise HungUp
            self._data += part


class Pipe:
    """One stream of the guest, passed on up to a cap and counted beyond it."""

    def __init__(self, kind: bytes, cap: int, fd: int) -> None:
        os.set_blocking(fd, False)
        self._kind, self._cap = kind, cap
        self.fd, self.seen = fd, 0

    def take(self, line: Line) -> bool:
        """Read once; return whether there was something."""
        if self.fd < 0:
            return False
        try:
            data = os.read(self.fd, PIPE)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        if self.seen < self._cap:
            line.send(self._kind, data[: self._cap - self.seen])
        self.seen += len(data)
        return True

    def close(self) -> None:
        """Close it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Guest:
    """One locked-down process and the pipes to it."""

    def __init__(self, worker: typing.Any, limits: dict[str, int], bpf: bytes, stdin: int) -> None:
        self.exit: int | None = None
        self.ooms = oom_kills()
        self.line, far = socket.socketpair()
        out, out_write = os.pipe()
        err, err_write = os.pipe()
        self.out, self.err = Pipe(OUT, limits["output_bytes"], out), Pipe(ERR, limits["output_bytes"], err)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                with open("/proc/self/oom_score_adj", "w") as score:
                    score.write("1000")  # whatever exhausts the container's memory, the supervisor goes last
                os.nice(5)
            except OSError:
                pass
            fds = [far.fileno(), -1, out_write, err_write]
            worker._guest.run(limits, fds if stdin < 0 else [*fds, stdin], bpf, worker._fence.scopes)
        far.close()
        for fd in (out_write, err_write, stdin):
            if fd >= 0:
                os.close(fd)

    def ready(self) -> tuple[bool, str]:
        """Wait until it is locked down; return whether it is, and what it said if not."""
        self.line.settimeout(20)
        try:
            head = self.line.recv(4, socket.MSG_WAITALL)
            if len(head) == 4 and self.line.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL):
                self.line.setblocking(False)
                return True, ""
        except OSError:
            pass
        try:
            return False, os.read(self.err.fd, PIPE).decode("utf-8", "replace")[-500:]
        except BlockingIOError:
            return False, ""

    def close(self) -> None:
        """Close the pipes."""
        self.line.close()
        self.out.close()
        self.err.close()


def hear(line: socket.socket, incoming: bytearray, most: int) -> bool:
    """Take what a guest said; return whether it can say more. It cannot fill the memory here."""
    try:
        while len(incoming) <= most + 4:
            data = line.recv(PIPE)
            if not data:
                return False
            incoming += data
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def processes() -> dict[int, int]:
    """Return the parent of every live process but this one."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rsplit(b")", 1)[1].split()[:2]
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
            if state not in (b"Z", b"X"):
                found[int(name)] = int(parent)
    return found


def below(pid: int, those: set[int], parents: dict[int, int]) -> bool:
    """Whether a process is one of those, or descends from one that still lives."""
    for _ in range(len(parents) + 1):
        if pid in those:
            return True
        if pid not in parents:
            return False
        pid = parents[pid]
    return False


def frame(data: bytearray, most: int) -> tuple[bytes | None, bool]:
    """Return the guest's first whole frame, if it is there, and whether it broke the grammar."""
    if len(data) < 4:
        return None, False
    size = struct.unpack("!I", data[:4])[0]
    if size > most:
        return None, True
    return (bytes(data[4 : 4 + size]), False) if len(data) >= 4 + size else (None, False)


def oom_kills() -> int:
    """Return how often the kernel killed something here for memory; 0 where it does not tell."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                words = dict(line.split() for line in file.read().splitlines())
        except (OSError, ValueError):
            continue
        if "oom_kill" in words:
            return int(words["oom_kill"])
    return 0


def write(worker: typing.Any, path: str, data: bytes) -> bytes:
    """Put a file into the work directory."""
    fd = worker._open_beneath(path, True)
    try:
        os.ftruncate(fd, 0)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    return b""


def read(worker: typing.Any, path: str, most: int) -> bytes:
    """Get a regular file from the work directory."""
    fd = worker._open_beneath(path, False)
    data = bytearray()
    try:
        while len(data) <= most:
            part = os.read(fd, min(1 << 20, most + 1 - len(data)))
            if not part:
                return bytes(data)
            data += part
    finally:
        os.close(fd)
    raise OSError(errno.EFBIG, "larger than allowed")


def listing(worker: typing.Any, tree: typing.Any, most: int, digests: bool) -> list[list[object]]:
    """Describe the work directory: path, kind, size, mode, link target and, if asked for, a digest."""
    here = os.open(WORK, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows: list[list[object]] = tree.entries(here, most)
    finally:
        os.close(here)
    for row in rows:
        row.append(_digest(worker, str(row[0])) if digests and row[1] == "file" else "")
    return rows


def _digest(worker: typing.Any, path: str) -> str:
    total = hashlib.sha256()
    fd = worker._open_beneath(path, False)
    try:
        while part := os.read(fd, 1 << 20):
            total.update(part)
    finally:
        os.close(fd)
    return total.hexdigest()


def wipe(folder: str) -> None:
    """Empty a folder, however deep and however barred. No process is left that could add to it meanwhile."""
    number = 0
    while True:
        names = os.listdir(folder)
        if not names:
            return
        for name in names:
            path = f"{folder}/{name}"
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for inner in os.listdir(path):
                # Folders move up one level before they are emptied, so that no path becomes too long.
                if stat.S_ISDIR(os.lstat(f"{path}/{inner}").st_mode):
                    number += 1
                    os.chmod(f"{path}/{inner}", 0o700)
                    os.rename(f"{path}/{inner}", f"{folder}/.moved-{number}-{os.urandom(8).hex()}")
                else:
                    os.unlink(f"{path}/{inner}")
            os.rmdir(path)
