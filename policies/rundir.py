"""The folder of a run: config, metrics, episodes, checkpoints. What is in it survives ``kill -9``.

Everything that counts is written beside its place, flushed, and renamed; a reader sees the old or the new,
never half of one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import torch

from thinkact.policies.episode import Episode, read_episodes, write_episodes


class RunError(RuntimeError):
    """The run's folder cannot be used as asked; the message says what to do."""


class CheckpointError(RunError):
    """A checkpoint is damaged; the message names it and the way out."""


class RunDir:
    """One run's folder, locked while it is open.

    Args:
        path: For example ``runs/default``.
        config: The run's configuration as JSON-able data; on resume it must be the one the run began with.
        resume: Continue what is there; without it a folder that already holds a run is refused.

    Raises:
        RunError: When the folder holds a run (and ``resume`` is off), none (and it is on), one with another
            configuration, or is in use by another process.
    """

    #: Whether checkpoints are mapped into memory instead of read, where only parts of them are wanted.
    _mapped = False

    def __init__(self, path: Path, config: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        begun = (path / "config.json").is_file()
        if begun and not resume:
            raise RunError(f"{path} already holds a run: continue it with --resume, or choose another --name.")
        if resume and not begun:
            raise RunError(f"{path} holds no run to resume; start one without --resume.")
        path.mkdir(parents=True, exist_ok=True)
        self._lock: TextIO = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise RunError(f"{path} is in use by another process; wait for it or choose another --name.") from error
        try:
            if begun:
                self._check_config(config)
            else:
                write_whole(path / "config.json", json.dumps(config, indent=2))
        except BaseException:
            self.close()
            raise

    def _check_config(self, config: dict[str, Any]) -> None:
        path = self.path / "config.json"
        try:
            old = _flat(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise RunError(f"{path} is damaged ({error}); start a new run with another --name.") from error
        new = _flat(config)
        changed = [key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key]]
        if changed:
            raise RunError(
                f"{self.path} was begun with another configuration ({', '.join(changed)} changed); resume with the "
                "same options, or start a new run with another --name."
            )

    def close(self) -> None:
        """Release the lock. Idempotent."""
        self._lock.close()

    # Episodes.

    def episodes_path(self, name: str) -> Path:
        """Where the episodes of one part of the run are, for example ``eval-before`` or ``rl/00003``."""
        return self.path / "episodes" / f"{name}.jsonl"

    def save_episodes(self, name: str, episodes: Iterable[Episode]) -> None:
        """Write one part's episodes whole."""
        target = self.episodes_path(name)
        work = target.with_name(f".{target.name}.part")
        work.unlink(missing_ok=True)
        write_episodes(work, episodes)
        work.rename(target)

    def load_episodes(self, name: str) -> list[Episode] | None:
        """Return one part's episodes, or None when that part has not been finished."""
        path = self.episodes_path(name)
        return list(read_episodes(path)) if path.is_file() else None

    # Metrics.

    def log(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Append one line of figures to ``metrics.jsonl``."""
        line = json.dumps({"stage": stage, "step": step, **values})
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Return the figures so far; a line cut off by a crash is passed over."""
        path = self.path / "metrics.jsonl"
        rows: list[dict[str, Any]] = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def rewind_metrics(self, stage: str, step: int) -> None:
        """Drop the figures of ``stage`` from ``step`` on: those steps will be done again."""
        kept = [row for row in self.metrics() if row["stage"] != stage or row["step"] < step]
        write_whole(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    # Checkpoints.

    def begun(self, stage: str) -> bool:
        """Whether a stage has a checkpoint."""
        return any((self.path / "checkpoints").glob(f"{stage}-*.pt"))

    def save_checkpoint(self, stage: str, step: int, state: dict[str, Any]) -> Path | None:
        """Write a checkpoint whole and drop the stage's older one.

        Args:
            stage: ``sft`` or ``rl``.
            step: Steps done.
            state: Tensors and plain data, as ``torch.save`` takes them.

        Raises:
            OSError: On a full disk; the previous checkpoint stays as it was.
        """
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        work = folder / f".{stage}-{step:05d}.part"
        target = folder / f"{stage}-{step:05d}.pt"
        try:
            with work.open("wb") as file:
                torch.save({"stage": stage, "step": step, **state}, file)
                file.flush()
                os.fsync(file.fileno())
            write_whole(target.with_suffix(".sha256"), _digest(work))
            work.rename(target)
            _sync_folder(folder)  # the new name must be on the disk before the old file goes
        except (OSError, RuntimeError) as error:
            # torch turns what its file raised into a RuntimeError.
            work.unlink(missing_ok=True)
            raise OSError(f"{target} could not be written: {error.__context__ or error}") from error
        # Older ones, and what a killed process left; weights before their digest.
        left = [*sorted(folder.glob(f"{stage}-*")), *folder.glob(f".{stage}-*.part")]
        for old in left:
            if old.stem != target.stem:
                old.unlink()
        return target

    def load_checkpoint(self, stage: str) -> dict[str, Any] | None:
        """Return a stage's last checkpoint, or None when it has none.

        Raises:
            CheckpointError: When it is damaged.
        """
        path = self.checkpoint_path(stage)
        if path is None:
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=self._mapped)
        return state

    def checkpoint_path(self, stage: str) -> Path | None:
        """Return the file of a stage's last checkpoint, whose checksum is right, or None when it has none.

        Raises:
            CheckpointError: When it is damaged.
        """
        found = sorted((self.path / "checkpoints").glob(f"{stage}-*.pt"))
        if not found:
            return None
        path = found[-1]
        digest = path.with_suffix(".sha256")
        if not digest.is_file() or digest.read_text() != _digest(path):
            raise CheckpointError(
                f"{path} is damaged (its checksum does not match). Delete it and its .sha256 and resume: the "
                f"{stage} stage then starts again from the one before it."
            )
        return path


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a reader never sees half of it."""
    work = path.with_name(f".{path.name}.part")
    with work.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    work.rename(path)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested data by dotted key."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def free_gigabytes(path: Path) -> float:
    """Return the free space of the file system that ``path`` will be on."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 1e9


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
