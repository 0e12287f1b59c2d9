"""Append-only JSON lines that a crash, a full disk or a second writer cannot spoil.

A line counts when its line end is on the disk. What a crash left of a line is cut off when the file is opened
again; what a full disk refused is taken back at once, so that the file always ends with a whole line.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class JournalBusy(RuntimeError):
    """Another process writes this file, or a folder around it; the message says which and what to do."""


class Journal:
    """A file of lines, locked while it is open. Use as a context manager.

    Args:
        path: The file; made (for its owner only) when it is missing.
        wait: Wait for another writer instead of raising.

    Raises:
        JournalBusy: Another process has it open, and ``wait`` is off.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            self._size = self._cut_torn_end()
        except BlockingIOError as error:
            os.close(self._fd)
            raise JournalBusy(f"{path} is written by another process; wait until it has ended.") from error
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def append(self, line: bytes) -> None:
        """Write one line and wait until the disk has it.

        Args:
            line: Without its line end, and without one inside.

        Raises:
            ValueError: There is a line end inside.
            OSError: The disk is full or failed; nothing was added.
        """
        if b"\n" in line:
            raise ValueError("a journal's line holds no line end")
        rest = memoryview(line + b"\n")
        try:
            os.lseek(self._fd, self._size, os.SEEK_SET)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except BaseException:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line) + 1

    def lines(self) -> list[bytes]:
        """Return the lines so far, without their line ends."""
        return os.pread(self._fd, self._size, 0).split(b"\n")[:-1]

    def clear(self) -> None:
        """Drop every line."""
        os.ftruncate(self._fd, 0)
        self._size = 0

    def _cut_torn_end(self) -> int:
        with os.fdopen(os.dup(self._fd), "rb") as file:
            whole = file.read().rfind(b"\n") + 1
        os.ftruncate(self._fd, whole)
        return whole


def read_lines(path: Path) -> list[bytes]:
    """Return a journal's whole lines without locking it; none when there is no file."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
