"""Text that a model wrote, made safe to show: nothing in it can act on a terminal, a page or the eye."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

#: Longer texts are cut, with a note that says how much is missing.
MAX_CHARS = 20_000

#: Control, format (bidi overrides, zero-width and tag characters), surrogate, line and paragraph separator.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Letters and marks that show as nothing: Hangul fillers, the grapheme joiner, variation selectors 17 to 256.
_BLANK = frozenset({0x34F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0xE0100, 0xE01F0)})
#: All that is looked at twice; most text has none of it.
_SUSPECT = re.compile(r"[^\x20-\x7e\n\t]")


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
    text = _SUSPECT.sub(_spell, text.replace("\r\n", "\n"))
    return f"{text}\n… {left_out:,} more characters left out" if left_out else text


def one_line(text: str, limit: int = 120) -> str:
    """Return :func:`inert` text on a single line, for names, ids and table cells."""
    # What is spelt out only grows: no more of a huge text is looked at than can be shown.
    line = inert(text[: limit + 1], None).replace("\n", "␊").replace("\t", "␉")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def script_json(value: Any) -> str:
    r"""Return JSON that can stand inside ``<script>``: ``<``, ``>`` and ``&`` are written as ``\u00xx``."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _spell(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    if unicodedata.category(char) not in _ACTIVE and code not in _BLANK:
        return char
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
