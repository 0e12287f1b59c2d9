"""Landlock, the kernel's own fence around a process and all that comes of it; see ``worker.py``, which loads this.

Only as far as the kernel has it:

* around the box of a live interpreter, its supervisor included: no signal to anybody outside, no abstract socket of
  anybody outside, no tracing of anybody outside. A fence closer to the interpreter would keep its copies from being
  moved into other boxes.
* around a program or a test case: the same again, closer. Where no interpreter lives beside it also files: everything
  may be read, only the work directory and shared memory changed, only the devices written to; ``/proc`` cannot be
  written to, not even one's own entry, and nothing can be mounted. In the box of an interpreter there is no layer for
  files: the kernel would take the box's own for one that forbids to move a file to another directory.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_PATH_BENEATH = 1
_SCOPES = 1 | 2  # abstract sockets, signals
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read file, read directory
_NODES = 1 << 6 | 1 << 11  # make character and block devices
_FIRST = (1 << 13) - 1
_libc = ctypes.CDLL(None, use_errno=True)
VERSION = max(0, int(_libc.syscall(_CREATE, None, 0, 1)))
"""The version of Landlock's interface that the kernel has, or 0: asked once, before the forks; scopes came with 6."""


def scopes() -> None:
    """Fence this process in: signals, abstract sockets and tracing.

    Raises:
        OSError: The kernel has them and refused.
    """
    if VERSION >= 6:
        _restrict(_ruleset(0, _SCOPES))


def files(work: str) -> None:
    """Fence this process in: its files, and all that :func:`scopes` does.

    Args:
        work: Its work directory, which it may change as it likes.

    Raises:
        OSError: The kernel has Landlock and refused.
    """
    if VERSION < 2:  # the first one forbids to move a file to another directory, whatever is allowed
        return
    known = _FIRST | sum(1 << bit for bit, since in ((13, 2), (14, 3), (15, 5)) if since <= VERSION)
    rules = _ruleset(known, _SCOPES if VERSION >= 6 else 0)
    _allow(rules, "/", _READ)
    _allow(rules, work, known & ~_NODES)
    # Shared memory and each device are mounts below this directory, which itself is read-only.
    _allow(rules, "/dev", known & ~_NODES)
    _restrict(rules)


def _ruleset(handled: int, scoped: int) -> int:
    rules = struct.pack("QQQ", handled, 0, scoped)
    return _checked(_libc.syscall(_CREATE, rules, 24 if scoped else 8, 0))  # older kernels know the first field only


def _allow(rules: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _checked(_libc.syscall(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0))
    finally:
        os.close(fd)


def _restrict(rules: int) -> None:
    try:
        _checked(_libc.syscall(_RESTRICT, rules, 0))
    finally:
        os.close(rules)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    return result
