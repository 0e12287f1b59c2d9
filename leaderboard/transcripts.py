"""What the viewer shows of an episode: plain JSON types, every text inert and clipped.

A page holds no more than it can show at once: texts, token lists and pictures have caps that shrink with the
number of turns, so that an episode of 200 turns still loads like one of ten.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkact.leaderboard.inert import MAX_CHARS, inert, one_line
from thinkact.policies.episode import Episode, Turn

#: Turns token ids into one text each.
Decode = Callable[[list[int]], list[str]]
#: Tokens shown per turn, fed and sampled each.
MAX_TOKENS = 4_000
#: Of one picture, as base64, and of all pictures of an episode.
MAX_PICTURE, MAX_PICTURES = 600_000, 6_000_000
#: Pixels of one picture: a small file can be a huge picture.
MAX_PIXELS = 16_000_000
_TEXT_BUDGET, _TOKEN_BUDGET = 1_000_000, 200_000


def tokenizer_decoder(where: str | Path) -> Decode:
    """Return the decoder of a ``tokenizer.json``, or of the folder of a model that holds one.

    Bytes that are a part of a character are shown as the replacement character.

    Raises:
        FileNotFoundError: When there is no such file.
        ModuleNotFoundError: Without ``tokenizers``, which comes with ``pip install 'thinkact[train]'``.
    """
    from tokenizers import Tokenizer

    path = Path(where)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(2, "no tokenizer.json there", str(path))
    tokenizer = Tokenizer.from_file(str(path))

    def decode(ids: list[int]) -> list[str]:
        texts: list[str] = tokenizer.decode_batch([[one] for one in ids], skip_special_tokens=False)
        return texts

    return decode


def episode_view(episode: Episode, decode: Decode | None = None) -> dict[str, Any]:
    """Return what the viewer shows of an episode.

    Args:
        episode: Any episode, hostile ones included.
        decode: Gives the text of each token id; without it ids are shown.

    Raises:
        ValueError: When ``decode`` does not give one text per token.
    """
    usage, turns = episode.usage, episode.turns
    clip = min(MAX_CHARS, max(2_000, _TEXT_BUDGET // max(1, len(turns))))
    show = _Shower(decode, clip, min(MAX_TOKENS, max(100, _TOKEN_BUDGET // max(1, len(turns)))))
    return {
        "id": one_line(episode.id),
        "task": one_line(episode.task_id),
        "agent": one_line(episode.policy, 60),
        "env": one_line(f"{episode.env_id} · version {episode.env_version} · {episode.split}"),
        "status": status_of(episode.success),
        "ending": "fault" if episode.error is not None else "cut by a limit" if episode.truncated else "ended",
        "error": inert(episode.error or "", 4000),
        "score": _finite(episode.score),
        "facts": [
            ["score", "none" if episode.score is None else f"{episode.score:.3f}"],
            ["turns", str(len(turns))],
            ["tokens", f"{usage.prompt_tokens + usage.sampled_tokens:,}"],
            ["seconds", f"{usage.policy_seconds + usage.env_seconds:.2f}"],
            *([["cost", f"${usage.cost:.4f}"]] if usage.cost else []),
            ["difficulty", f"{episode.difficulty:g}"],
            ["seed", str(episode.seed)],
            *([["attempts", str(usage.attempts)]] if usage.attempts != 1 else []),
        ],
        "turns": [show.turn(turn, turns[at - 1].result if at else None) for at, turn in enumerate(turns)],
    }


def status_of(success: bool | None) -> str:
    """Name an outcome: ``solved``, ``failed`` or ``error`` (a fault: no score)."""
    return "error" if success is None else "solved" if success else "failed"


class _Shower:
    """Views turns of one episode within its caps."""

    def __init__(self, decode: Decode | None, clip: int, tokens: int) -> None:
        self.decode = decode
        self.clip = clip
        self.tokens = tokens
        self.pictures_left = MAX_PICTURES

    def turn(self, turn: Turn, before: str | None) -> dict[str, Any]:
        """View one turn; its observation is left out when it is the result just shown above it."""
        view: dict[str, Any] = {
            "observation": "" if turn.observation == before else inert(turn.observation, self.clip),
            "thought": inert(turn.thought, self.clip),
            "action": inert(turn.action, self.clip),
            "calls": [self.call(call) for call in turn.calls[:32]],
            "result": inert(turn.result, self.clip),
            "faults": sorted({one_line(str(r["error_kind"]), 40) for r in turn.results[:32] if r.get("error_kind")}),
            "checks": [_check(check) for check in turn.checks[:200]],
            "reward": _finite(turn.reward) or 0.0,
            "invalid": turn.invalid,
            "stop": one_line(turn.stop, 40),
            "advantage": _finite(turn.advantage),
        }
        if turn.summary is not None:
            view["summary"] = inert(turn.summary.text, self.clip)
        if pictures := self.pictures(turn.results):
            view["pictures"] = pictures
        if turn.token_ids:
            view["tokens"] = self.token_view(turn)
        return view

    def call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        arguments = call.get("arguments")
        pairs = arguments.items() if isinstance(arguments, dict) else [("", arguments)] if arguments else []
        return {
            "name": one_line(str(call.get("name") or ""), 80),
            "error": inert(str(call.get("parse_error") or ""), 2000),
            "arguments": [[one_line(str(key), 80), self.value(value)] for key, value in list(pairs)[:32]],
        }

    def value(self, value: object) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return inert(text, self.clip)

    def pictures(self, results: Sequence[Mapping[str, Any]]) -> list[str]:
        found = []
        for result in results[:32]:
            artifacts = result.get("artifacts")
            picture = artifacts.get("screenshot") if isinstance(artifacts, dict) else None
            if isinstance(picture, str) and len(picture) <= self.pictures_left and is_picture(picture):
                self.pictures_left -= len(picture)
                found.append(picture)
        return found

    def token_view(self, turn: Turn) -> dict[str, Any]:
        """Fed tokens (mask 0) and sampled ones (mask 1), the first of each that fit."""
        # What was fed last stands nearest to what was sampled.
        fed, sampled = turn.prompt_ids[-self.tokens :], turn.token_ids[: self.tokens]
        return {
            "fed": self.texts(fed),
            "sampled": self.texts(sampled),
            "logprobs": [_finite(value, 3) for value in turn.logprobs[: len(sampled)]],
            "all": [len(turn.prompt_ids), len(turn.token_ids)],
        }

    def texts(self, ids: list[int]) -> list[int] | list[str]:
        if self.decode is None:
            return ids
        texts = self.decode(ids)
        if len(texts) != len(ids):
            raise ValueError(f"decode gave {len(texts)} texts for {len(ids)} token ids.")
        return [inert(text, 200) for text in texts]


def is_picture(text: str) -> bool:
    """Tell whether ``text`` is a PNG as base64 that is not too large to show, as file and as picture."""
    if len(text) > MAX_PICTURE:
        return False
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        return False
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return 0 < width * height <= MAX_PIXELS


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": one_line(str(check.get("name", "")), 200),
        "passed": check.get("passed") is True,
        "weight": one_line(f"{check.get('weight', '')}", 12),
        "evidence": inert(str(check.get("evidence", "")), 2000),
    }


def _finite(value: float | None, digits: int = 4) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None
