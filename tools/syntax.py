"""Python's own parser for programs that are looked at in threads."""

from __future__ import annotations

import ast
import threading

_lock = threading.Lock()


def parse_python(source: str) -> ast.Module:
    """Return the syntax tree of ``source``, as ``ast.parse`` does.

    CPython before 3.13 counts the depth of a tree that it hands out once per interpreter. The garbage collector may let
    another thread in meanwhile, and two threads that both parse then meet a ``SystemError`` ("AST constructor
    recursion depth mismatch"). Whatever parses in an environment's thread therefore goes through here.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As ``ast.parse``.
    """
    with _lock:
        return ast.parse(source)
