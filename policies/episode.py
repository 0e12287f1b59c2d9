"""The record of an episode: one JSONL row that feeds training, the leaderboard and the viewer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from thinkact.envs.types import Summary

SCHEMA = 1


class Turn(BaseModel):
    """One think-act-observe step.

    ``observation`` is what the policy saw *before* acting (turn 0: the task prompt); ``result`` is what came
    of the action. ``prompt_ids`` are the tokens fed since the previous action (mask 0), ``token_ids`` those
    sampled (mask 1) with their ``logprobs`` under the sampling distribution; empty for policies that are no
    models. Tokens at the positions ``forced`` of ``token_ids`` were put there, not sampled (mask 0). Where the context
    begins anew before this turn (``restart``), ``prompt_ids`` are all of the new one, and ``summary`` is what the model
    wrote at the end of the old one, where it was asked to.
    """

    model_config = ConfigDict(extra="forbid")

    observation: str
    thought: str = ""
    action: str
    result: str
    calls: list[dict[str, Any]] = Field(default_factory=list)
    results: list[dict[str, Any]] = Field(default_factory=list)
    checks: list[dict[str, Any]] = Field(default_factory=list)
    reward: float
    invalid: bool = False
    stop: str = "stop"
    prompt_ids: list[int] = Field(default_factory=list)
    token_ids: list[int] = Field(default_factory=list)
    logprobs: list[float] = Field(default_factory=list)
    forced: list[int] = Field(default_factory=list)
    restart: bool = False
    summary: Summary | None = None
    advantage: float | None = None
    state_key: str = ""


class Usage(BaseModel):
    """What an episode took. ``cost`` (US dollars) counts retried attempts."""

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int = 0
    sampled_tokens: int = 0
    policy_seconds: float = 0.0
    env_seconds: float = 0.0
    cost: float = 0.0
    attempts: int = 1


class Episode(BaseModel):
    """One attempt at one task.

    ``score`` and ``success`` are None exactly when ``error`` is set: a fault of ours is never a zero, and
    such an episode enters neither a loss nor a statistic of scores.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA
    id: str
    env_id: str
    family: str
    env_version: str
    task_id: str
    split: str
    difficulty: float = 0.0
    seed: int
    policy: str
    turns: list[Turn] = Field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    score: float | None = None
    success: bool | None = None
    #: The gold answer, on the split ``train`` only: what trainers need to reward the gain of information per turn.
    gold: str | None = None
    error: str | None = None
    usage: Usage = Field(default_factory=Usage)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def rewards(self) -> list[float]:
        """Step rewards in order; their sum is ``score``."""
        return [turn.reward for turn in self.turns]


def write_episodes(path: Path, episodes: Iterable[Episode]) -> int:
    """Append episodes to a JSONL file, flushed to disk; returns how many.

    What UTF-8 cannot hold (lone surrogates, which some endpoints and file names bring) becomes "?".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("a", encoding="utf-8") as file:
        for episode in episodes:
            file.write(episode_line(episode) + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def read_episodes(path: Path) -> Iterator[Episode]:
    """Read a JSONL file of episodes; a last line cut off by a crash is passed over.

    Raises:
        ValueError: When any other line is not an episode.
    """
    with path.open(encoding="utf-8") as file:
        lines = enumerate(file, 1)
        for number, line in lines:
            try:
                yield Episode.model_validate_json(line)
            except ValidationError as error:
                if not line.endswith("\n") and not _is_json(line):
                    return
                raise ValueError(f"{path}, line {number}: not an episode: {error}") from error


def episode_line(episode: Episode) -> str:
    """Write an episode as one line of JSON; see :func:`write_episodes` for what UTF-8 cannot hold."""
    try:
        return episode.model_dump_json()
    except PydanticSerializationError:
        return json.dumps(_encodable(episode.model_dump()), ensure_ascii=False)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
