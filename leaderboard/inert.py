"""Text that a model wrote, made safe to show: nothing in it can act on a terminal, a page or the eye."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

#: Longer texts are cut, with a note that says how much is missing.
MAX_CHARS = 20_000

#: Control, format (bidi overrides, zero-width and tag characters), surrogate, line and paragraph separator.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def inert(text: str, limit: int | None = MAX_CHARS) -> str:
    r"""Return ``text`` with every invisible or commanding character spelt out.

    Newline and tab stay; other control characters become their pictures (``␛``), the rest ``⟨U+202E⟩``.
    HTML is not escaped here: pages use text nodes and autoescape for that.

    Args:
        text: Anything, lone surrogates included.
        limit: Characters kept from the start; None keeps all.
    """
    left_out = 0 if limit is None else max(0, len(text) - limit)
    if left_out:
        text = text[:limit]
    text = text.replace("\r\n", "\n")
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_spell, text))
    return f"{text}\n… {left_out:,} more characters left out" if left_out else text


def one_line(text: str, limit: int = 120) -> str:
    """Return :func:`inert` text on a single line, for names, ids and table cells."""
    line = inert(text, None).replace("\n", "␊").replace("\t", "␉")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def script_json(value: Any) -> str:
    r"""Return JSON that can stand inside ``<script>``: ``<``, ``>`` and ``&`` are written as ``\u00xx``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _spell(char: str) -> str:
    code = ord(char)
    if char in "\n\t" or unicodedata.category(char) not in _ACTIVE:
        return char
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
