"""Moving a copy of a frozen guest into another box; see ``trace.py`` for how it is made to.

Entering a user namespace brings its capabilities along; the helper, which shares the guest's memory for the
moment, drops them by its next system calls, before any instruction of the guest's runs again.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import typing

_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000
_NEW_NET = 0x40000000
_CLONE_VM, _CLONE_PARENT = 0x100, 0x8000
_AT_FDCWD = -100


class Transplant:
    """One copy on its way: a helper first, which then turns into it.

    Args:
        kit: The modules ``trace`` and ``program``.
        frozen: What to copy.
    """

    def __init__(self, kit: typing.Any, frozen: typing.Any) -> None:
        self._kit = kit
        _, pid = frozen.call_for_child("clone", _CLONE_VM | _CLONE_PARENT | signal.SIGCHLD)
        frozen.settle()
        self.pid = pid
        self._helper: typing.Any = frozen.adopt(pid)

    def enter(
        self,
        supervisor: int,
        cwd: str,
        lines: list[tuple[int, int, int]],
        files: list[tuple[int, str, int, int]],
        *,
        network: bool,
    ) -> None:
        """Have the helper take what the copy needs, enter the new box, and give up all capabilities.

        Args:
            supervisor: The first process of the new box, which must be dumpable still.
            cwd: The copy's working directory.
            lines: For each pipe or socket to replace: its number in the supervisor, its number in the copy, and
                its flags.
            files: Likewise for files to open again: number, path, flags and offset.
            network: Whether both boxes are on the machine's network, which is not theirs to enter.

        Raises:
            OSError: A system call failed.
            Refused: The helper did not do as it was told, or has no descriptor or memory to spare.
        """
        todo = self._kit._program.Program()
        box = todo.call("pidfd_open", supervisor, 0)
        had: dict[int, int] = {}
        for source, target, flags in lines:
            private = flags & os.O_CLOEXEC
            if source in had:  # the same one under another number
                todo.call("dup3", had[source], target, private)
                continue
            new = todo.call("pidfd_getfd", box, source, 0)
            if flags & os.O_NONBLOCK:
                todo.call("fcntl", new, 4, os.O_NONBLOCK)  # F_SETFL
            todo.call("dup3", new, target, private)
            todo.call("close", new)
            had[source] = target
        todo.call("setns", box, _NEW_NAMESPACES if network else _NEW_NAMESPACES | _NEW_NET)
        todo.call("close", box)
        for number, path, flags, offset in files:
            again = (flags & ~(os.O_CREAT | os.O_EXCL)) | os.O_NOFOLLOW
            new = todo.call("openat", _AT_FDCWD, os.fsencode(path) + b"\0", again, 0)
            if offset:
                todo.call("lseek", new, offset, os.SEEK_SET)
            todo.call("dup3", new, number, flags & os.O_CLOEXEC)
            todo.call("close", new)
        todo.call("chdir", os.fsencode(cwd) + b"\0")
        todo.drop_bounds()
        todo.call("prctl", 47, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
        todo.call("capset", struct.pack("<Ii", 0x20080522, 0), bytes(24))
        try:
            self._helper.run(todo)
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise self._kit._trace.Refused("it has no descriptor to spare") from error
            raise

    def finish(self, mask: bytes) -> typing.Any:
        """Return the copy, still stopped, in the state that the guest was frozen in.

        Args:
            mask: The signals that the guest blocked before it was frozen.
        """
        _, pid = self._helper.call_for_child("clone", signal.SIGCHLD)
        copy = self._helper.adopt(pid)
        self._helper.exit()
        copy.call("setsid")
        copy.settle()
        copy.set_mask(mask)
        self.give_up()
        return copy

    def give_up(self) -> None:
        """End the helper and wait for that: the next look at the guest shall not take it for a child."""
        helper, self._helper = self._helper, None
        if helper is None:
            return
        try:
            os.kill(helper.pid, signal.SIGKILL)
            os.waitpid(helper.pid, 0x40000000)  # __WALL
        except (ProcessLookupError, ChildProcessError):
            pass  # it died by itself, and somebody noticed
