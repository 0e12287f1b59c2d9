"""The board's secret: it decides which hidden tasks are played, and can be checked afterwards.

``thinkact leaderboard init`` draws 256 random bits, keeps them in ``secret.json`` for the owner alone and publishes
their commitment, SHA-256 over secret and salt, in ``board.json``. Nobody can tell the hidden tasks from it; and the
owner cannot choose other ones later. ``thinkact leaderboard reveal`` ends that and lets anyone check.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thinkact.leaderboard.records import write_whole
from thinkact.leaderboard.running import now

_HEX = r"^[0-9a-f]{64}$"
#: Key of the public tasks: known to all, so that they are the same on every board.
PUBLIC_KEY = b"thinkact public tasks 1"


class SecretError(ValueError):
    """The board has no secret, a damaged one, or one that others may read; the message says what to do."""


class BoardFile(BaseModel):
    """``board.json``, for everyone.

    Attributes:
        created: When the board was made (ISO 8601, UTC).
        commitment: SHA-256 of ``secret + salt`` (bytes), in hex.
        revealed: When the secret was published.
        secret: The secret in hex, once it is revealed.
        salt: Likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    created: str
    commitment: str = Field(pattern=_HEX)
    revealed: str | None = None
    secret: str | None = Field(None, pattern=_HEX)
    salt: str | None = Field(None, pattern=_HEX)


@dataclass(frozen=True)
class Secret:
    """The secret and its salt, 32 bytes each. It is not shown by ``repr``."""

    key: bytes
    salt: bytes

    def __repr__(self) -> str:
        return f"Secret(commitment={self.commitment[:12]}…)"

    @property
    def commitment(self) -> str:
        """SHA-256 of ``secret + salt``, in hex."""
        return hashlib.sha256(self.key + self.salt).hexdigest()


def create(board: Path) -> BoardFile:
    """Make a board's secret and publish its commitment.

    Raises:
        SecretError: It has one.
    """
    board.mkdir(parents=True, exist_ok=True)
    if (board / "board.json").exists():
        raise SecretError(f"{board} is a board already; its secret stays as it is.")
    private = board / "secret.json"
    if not private.exists():  # it does where a crash came between the two files
        key, salt = secrets.token_bytes(32), secrets.token_bytes(32)
        work = board / f".secret.{os.getpid()}.part"
        work.unlink(missing_ok=True)
        fd = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps({"secret": key.hex(), "salt": salt.hex()}).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(work, private)  # unlike a rename it never replaces one
        except FileExistsError:
            pass  # another process was first; both publish what it drew
        finally:
            work.unlink()
    about = BoardFile(created=now(), commitment=_read_private(board).commitment)
    write_whole(board / "board.json", about.model_dump_json(indent=1).encode())
    return about


def board_file(board: Path) -> BoardFile:
    """Read ``board.json``.

    Raises:
        SecretError: There is none, or it is damaged.
    """
    path = board / "board.json"
    try:
        return BoardFile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise SecretError(
            f"{board} has no secret for hidden tasks yet: thinkact leaderboard init --board {board}"
        ) from error
    except ValidationError as error:
        raise SecretError(f"{path} is damaged: {error.errors()[0]['msg']}.") from error


def load(board: Path) -> Secret:
    """Return the board's secret, from its own file or, once revealed, from the public one.

    Raises:
        SecretError: It is not there, damaged, readable by others, or not the one that was committed to.
    """
    about = board_file(board)
    if about.secret is not None and about.salt is not None:
        secret = Secret(bytes.fromhex(about.secret), bytes.fromhex(about.salt))
    else:
        secret = _read_private(board)
    if not hmac.compare_digest(secret.commitment, about.commitment):
        raise SecretError(f"{board}: the secret is not the one that board.json commits to; one of the two was altered.")
    return secret


def reveal(board: Path) -> BoardFile:
    """Publish the secret: hidden tasks can then be shown and checked, and no more are drawn."""
    about = board_file(board)
    if about.revealed is not None:
        return about
    secret = load(board)
    public = about.model_copy(update={"revealed": now(), "secret": secret.key.hex(), "salt": secret.salt.hex()})
    write_whole(board / "board.json", public.model_dump_json(indent=1).encode())
    return public


def seeds(key: bytes, suite: str, env: str) -> Iterator[int]:
    """Yield the seeds of a cell's tasks: HMAC-SHA256(key, ``suite|env|i``) for i = 0, 1, …, as 256-bit numbers.

    Args:
        key: The board's secret, or :data:`PUBLIC_KEY`.
        suite: The suite's label without what is missing on a machine.
        env: Gymnasium id.
    """
    at = 0
    while True:
        yield int.from_bytes(hmac.digest(key, f"{suite}|{env}|{at}".encode(), "sha256"), "big")
        at += 1


def _read_private(board: Path) -> Secret:
    path = board / "secret.json"
    try:
        mode = path.stat().st_mode
        data = json.loads(path.read_bytes())
        secret = Secret(bytes.fromhex(data["secret"]), bytes.fromhex(data["salt"]))
    except FileNotFoundError as error:
        raise SecretError(f"{path} is missing: hidden tasks cannot be drawn on this machine.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SecretError(f"{path} is damaged.") from error
    if mode & 0o077:
        raise SecretError(f"{path} can be read by others: chmod 600 {path}, or make a new board.")
    if len(secret.key) != 32 or len(secret.salt) != 32:
        raise SecretError(f"{path} is damaged.")
    return secret
