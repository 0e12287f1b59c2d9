"""What a submission is on disk, and which episodes a board accepts.

A submission is two files: ``<id>.jsonl``, the episodes, and ``<id>.json``, its manifest with the digest of
every episode. The manifest is written last: without it nothing counts. The id is a digest of all that
decides a figure, so a submission cannot be altered under its own id.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from thinkact.policies.episode import Episode

#: A baseline is shown on every board but takes no rank: it does not compete.
Kind = Literal["agent", "baseline"]
#: Names that are baselines whatever kind they were submitted as.
BASELINES = frozenset({"null", "random", "expert"})
#: What an episode says whose record was cut off the file.
LOST = "the record of this episode was lost"
_TOLERANCE = 1e-9


class RejectedSubmission(ValueError):
    """The episodes contradict themselves; nothing was stored. The message names the episode and the fault."""


class Receipt(BaseModel):
    """That an episode was submitted, so that its loss shows instead of raising the mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    id: str
    env_id: str
    env_version: str
    split: str
    task_id: str


class Manifest(BaseModel):
    """What was submitted, by whom and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    id: str
    name: str
    kind: Kind
    suite: str
    created: str
    meta: dict[str, Any] = Field(default_factory=dict)
    episodes: tuple[Receipt, ...]


def submission_id(name: str, kind: str, suite: str, digests: Iterable[str]) -> str:
    """Return the id of a submission: a readable start and a digest of its content, order aside."""
    content = json.dumps([name, kind, suite, sorted(digests)]).encode()
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "agent"
    return f"{slug}-{hashlib.sha256(content).hexdigest()[:16]}"


def digest(line: bytes) -> str:
    """Digest of one episode's JSONL line, its line end left out."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def check_episode(episode: Episode) -> None:
    """Accept an episode whose figures agree with each other.

    Raises:
        RejectedSubmission: When the score is not the sum of the step rewards, is not finite or not in
            [0, 1], when score, success and error contradict each other, or when a count is impossible.
    """

    def refuse(reason: str) -> RejectedSubmission:
        return RejectedSubmission(f"episode {episode.id!r} (task {episode.task_id!r}): {reason}")

    if not all(math.isfinite(reward) for reward in episode.rewards):
        raise refuse("a step reward is not a finite number")
    usage = episode.usage
    amounts = (
        usage.prompt_tokens,
        usage.sampled_tokens,
        usage.policy_seconds,
        usage.env_seconds,
        usage.cost,
    )
    if not all(math.isfinite(amount) and amount >= 0 for amount in amounts):
        raise refuse("its usage holds a negative or non-finite amount")
    if episode.error is not None:
        if episode.score is not None or episode.success is not None:
            raise refuse("it has an error and yet a score; a fault is never scored")
        return
    if episode.score is None or episode.success is None:
        raise refuse("it has neither an error nor a score and success")
    if not (math.isfinite(episode.score) and -_TOLERANCE <= episode.score <= 1 + _TOLERANCE):
        raise refuse(f"score {episode.score} does not lie in [0, 1]")
    total = math.fsum(episode.rewards)
    if abs(total - episode.score) > _TOLERANCE:
        raise refuse(f"score {episode.score} is not the sum of its step rewards, {total}")
    if episode.success and episode.score <= 0:
        raise refuse("it claims success with score 0")
    if not (episode.terminated or episode.truncated):
        raise refuse("it has a score but never ended (neither terminated nor truncated)")


def to_lines(episodes: Iterable[Episode]) -> dict[str, tuple[bytes, Receipt]]:
    """Check episodes and write them as JSONL lines by episode id; an episode delivered twice counts once.

    Raises:
        RejectedSubmission: On an episode that :func:`check_episode` refuses, that cannot be written and
            read back unchanged, or on two different episodes under one id.
    """
    lines: dict[str, tuple[bytes, Receipt]] = {}
    for episode in episodes:
        check_episode(episode)
        try:
            text = episode.model_dump_json()
            Episode.model_validate_json(text)
        except (PydanticSerializationError, ValidationError) as error:
            raise RejectedSubmission(f"episode {episode.id!r} cannot be stored as JSON: {error}") from error
        line = text.encode() + b"\n"
        known = lines.get(episode.id)
        if known is not None and known[0] != line:
            raise RejectedSubmission(f"two different episodes share the id {episode.id!r}")
        receipt = Receipt(
            digest=digest(line),
            id=episode.id,
            env_id=episode.env_id,
            env_version=episode.env_version,
            split=episode.split,
            task_id=episode.task_id,
        )
        lines[episode.id] = (line, receipt)
    return lines


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None when there is none that can be read."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_back(manifest: Manifest, data: bytes) -> dict[str, Episode]:
    """Read a submission's episodes by digest.

    What a crash cut off the end is simply absent. Digests are compared before anything is believed.

    Raises:
        RejectedSubmission: When a line is not what was submitted, or the manifest does not match its id.
    """
    expected = {receipt.digest: receipt for receipt in manifest.episodes}
    if submission_id(manifest.name, manifest.kind, manifest.suite, expected) != manifest.id:
        raise RejectedSubmission(f"the manifest of {manifest.id} was altered")
    found: dict[str, Episode] = {}
    for number, line in enumerate(io.BytesIO(data), 1):
        key = digest(line)
        if key in expected:
            episode = Episode.model_validate_json(line)
            check_episode(episode)
            found[key] = episode
        elif line.endswith(b"\n"):
            raise RejectedSubmission(f"{manifest.id}.jsonl, line {number} is not what was submitted")
    return found


def complete(manifest: Manifest, jsonl: Path) -> bool:
    """Tell whether every submitted episode is on disk, unaltered."""
    try:
        return len(read_back(manifest, jsonl.read_bytes())) == len(manifest.episodes)
    except (OSError, RejectedSubmission):
        return False


def lost(manifest: Manifest, receipt: Receipt) -> Episode:
    """Stand in for an episode whose record is gone: unresolved, so that a loss never raises a mean."""
    identity = receipt.model_dump(exclude={"digest"})
    return Episode(**identity, family="", seed=0, policy=manifest.name, error=LOST)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even through a crash or a full disk."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
