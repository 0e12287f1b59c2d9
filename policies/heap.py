"""Giving freed memory back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Return what was freed and not yet given back; a no-op where the C library has no such thing.

    glibc keeps freed blocks of up to 32 MB for later. What one phase of training left there the next cannot always use,
    and to those who count a process's memory it is in use.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        found = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # not glibc
        return None
    found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    return found
