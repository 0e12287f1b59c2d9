"""Compiled templates, kept for the processes to come: compiling one takes ten times as long as showing its page.

They lie under ``$THINKACT_CACHE/templates`` (default ``~/.cache/thinkact``), by Jinja's version and options; Jinja
itself looks at the version of Python, and compares the text that was compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket


class Kept(jinja2.FileSystemBytecodeCache):
    """A folder of compiled templates; what cannot be read or written there is compiled anew."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket, or leave it empty."""
        try:
            super().load_bytecode(bucket)
        except Exception:  # unpickling what is damaged raises almost anything
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what is in a bucket."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def kept(options: Mapping[str, object]) -> Kept:
    """Return the folder for templates that are compiled with these options."""
    name = hashlib.blake2b(repr((jinja2.__version__, sorted(options.items()))).encode(), digest_size=8).hexdigest()
    folder = Path(os.environ.get("THINKACT_CACHE") or Path.home() / ".cache" / "thinkact") / "templates" / name
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return Kept(str(folder))
