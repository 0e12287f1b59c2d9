"""Plain JSON values: what may come out of a sandbox, and when two of them are equal."""

from __future__ import annotations

import json

MAX_DEPTH = 100
"""How deeply lists and dicts may be nested."""


def json_equal(left: object, right: object) -> bool:
    """Whether two values are plain JSON of the same exact types and equal.

    ``True`` is not ``1``, ``1`` is not ``1.0``, a tuple is not a list, NaN equals nothing, and an object of
    any other type, however it defines equality, equals nothing.
    """
    kind = type(left)
    if kind is not type(right):
        return False
    if isinstance(left, list) and isinstance(right, list) and kind is list:
        return len(left) == len(right) and all(json_equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict) and kind is dict:
        if any(type(key) is not str for key in (*left, *right)) or left.keys() != right.keys():
            return False
        return all(json_equal(value, right[key]) for key, value in left.items())
    return (left is None or kind in (bool, int, float, str)) and left == right


def strict_json(text: object) -> object:
    """Parse JSON that came from hostile code.

    Raises:
        ValueError: It is not a string, not JSON, too deep, or holds NaN, an infinity or an absurd number.
    """
    if not isinstance(text, str):
        raise ValueError("not a JSON text")

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    def finite(word: str) -> float:
        number = float(word)
        if number - number != 0:
            raise ValueError(f"{word[:40]} is out of range")
        return number

    try:
        value: object = json.loads(text, parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):  # deeper, a caller's own recursion could be made to fail
        level = [item for parent in level for item in _items(parent)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _items(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
