"""Constructor arguments that say what an environment draws from."""

from __future__ import annotations

from collections.abc import Sequence


def chosen_levels(level: object, known: Sequence[int]) -> tuple[int, ...]:
    """Return the levels that a knob asks for.

    Raises:
        ValueError: One of them does not exist.
    """
    levels = tuple(level) if isinstance(level, (tuple, list)) else (level,)
    if not levels or any(type(each) is not int or each not in known for each in levels):
        raise ValueError(f"level must be one or more of {', '.join(map(str, known))}, not {level!r}.")
    return levels
