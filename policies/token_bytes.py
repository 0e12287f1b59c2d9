"""The bytes of single tokens, which need not be whole characters."""

from __future__ import annotations

import re
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_characters() -> dict[str, int]:
    """Return the characters that byte-level BPE writes bytes with (GPT-2, Radford et al. 2019).

    A printable byte is itself; the others, in order, are the characters from 256 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


class TokenBytes:
    """Tells the bytes of a tokenizer's tokens: those of a text are the text's, in a row.

    Args:
        tokenizer: A fast Hugging Face tokenizer. Byte-level ones and those with ``▁`` for a space and ``<0x..>`` for
            bytes are told exactly; of others a token is the text that it decodes to.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        decoder = str(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", ""))
        self._characters = _byte_characters() if "ByteLevel" in decoder else None
        self._pieces = "ByteFallback" in decoder
        self._added = set(getattr(tokenizer, "added_tokens_decoder", ()))

    def __call__(self, token: int) -> bytes:
        """Return a token's bytes."""
        piece = None if token in self._added else self._tokenizer.convert_ids_to_tokens(token)
        if piece is not None and self._characters is not None:
            return bytes(self._characters[each] for each in piece)
        if piece is not None and self._pieces:
            byte = _BYTE.fullmatch(piece)
            return bytes.fromhex(byte[1]) if byte else piece.replace("\u2581", " ").encode()
        return str(self._tokenizer.decode([token])).encode("utf-8", "replace")
