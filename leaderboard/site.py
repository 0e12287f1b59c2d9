"""The board as static pages: no server, no request to anywhere, opened straight from disk.

Pages carry a content security policy that allows exactly the style and script written here, by hash. What a
model wrote reaches a page only through autoescape or as JSON that the viewer turns into text nodes, and is
made :func:`~thinkact.leaderboard.inert.inert` before.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from thinkact.leaderboard.inert import inert, one_line, script_json
from thinkact.leaderboard.store import Board, Row
from thinkact.policies.episode import Episode, Turn

#: Turns token ids into one text each, for colouring by log-probability.
Decode = Callable[[list[int]], list[str]]
#: Episodes per viewer page; each is parsed only when it is looked at.
CHUNK = 50
#: Tokens shown per turn, fed and sampled each.
MAX_TOKENS = 4_000
_MARK = '<meta name="generator" content="thinkact leaderboard">'


def export_site(board: Board, out: Path, *, suite: str | None = None, decode: Decode | None = None) -> Path:
    """Write the board, a page per submission and a transcript view of every episode.

    The folder appears whole or not at all; an earlier export in its place is replaced.

    Args:
        board: What to show.
        out: Folder of the site.
        suite: Only this suite; None shows all.
        decode: Gives the text of each token id; without it there is no token view.

    Returns:
        The index page.

    Raises:
        FileExistsError: When ``out`` holds something that is not an earlier export.
        ValueError: When ``decode`` does not give one text per token.
    """
    out = Path(out)
    if out.exists() and not _may_replace(out):
        raise FileExistsError(f"{out} is not empty and not an earlier export; name another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        _Writer(fresh, decode).write(board, suite)
        fresh.chmod(0o755)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    return out / "index.html"


class _Writer:
    def __init__(self, out: Path, decode: Decode | None) -> None:
        self.out = out
        self.decode = decode
        loader = PackageLoader("thinkact.leaderboard", "templates")
        self.env = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self.env.filters["line"] = one_line
        self.sources = {name: self._source(name) for name in ("site.css", "list.js", "viewer.js")}

    def write(self, board: Board, suite: str | None) -> None:
        rows = board.rows(suite=suite)
        self.out.mkdir(parents=True)
        groups = [{"title": key, "rows": list(members)} for key, members in groupby(rows, key=lambda row: row.group)]
        self._page("index.html", "board.html", None, groups=groups, bar=_bar, withheld=board.withheld())
        for submission in dict.fromkeys(row.submission for row in rows):
            self._submission([row for row in rows if row.submission == submission], board.episodes(submission))

    def _submission(self, rows: Sequence[Row], episodes: Iterable[Episode]) -> None:
        folder = rows[0].submission
        (self.out / folder).mkdir()
        items: list[dict[str, Any]] = []
        chunks: list[list[str]] = []
        for index, episode in enumerate(episodes):
            if index % CHUNK == 0:
                chunks.append([])
            items.append(_item(index, episode))
            chunks[-1].append(script_json(episode_view(episode, self.decode)))
        counts = {key: sum(item["status"] == key for item in items) for key in ("solved", "failed", "error")}
        common = {"rows": rows, "items": items, "counts": counts, "bar": _bar, "chunk": CHUNK}
        self._page(f"{folder}/index.html", "submission.html", "list.js", **common)
        listing = script_json({"chunk": CHUNK, "items": [[i["status"], i["task"], i["score"]] for i in items]})
        for number, chunk in enumerate(chunks):
            self._page(
                f"{folder}/episodes-{number}.html",
                "episodes.html",
                "viewer.js",
                row=rows[0],
                listing=listing,
                first=number * CHUNK,
                chunk=chunk,
            )

    def _page(self, path: str, template: str, script: str | None, **context: Any) -> None:
        style, code = self.sources["site.css"], self.sources[script] if script else ""
        allowed = _hash(code) if code else "'none'"
        policy = (
            f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )
        page = self.env.get_template(template).render(style=style, script=code, policy=policy, **context)
        (self.out / path).write_text(page, encoding="utf-8")

    def _source(self, name: str) -> str:
        assert self.env.loader is not None
        return self.env.loader.get_source(self.env, name)[0]


def episode_view(episode: Episode, decode: Decode | None = None) -> dict[str, Any]:
    """Return what the viewer shows of an episode: JSON types, every text inert and clipped."""
    usage = episode.usage
    return {
        "id": one_line(episode.id),
        "task": one_line(episode.task_id),
        "env": one_line(f"{episode.env_id} · version {episode.env_version} · {episode.split}"),
        "status": _status(episode),
        "ending": _ending(episode),
        "error": inert(episode.error or "", 4000),
        "score": episode.score,
        "facts": [
            ["score", "none" if episode.score is None else f"{episode.score:.3f}"],
            ["turns", str(len(episode.turns))],
            ["tokens", f"{usage.prompt_tokens + usage.sampled_tokens:,}"],
            ["seconds", f"{usage.policy_seconds + usage.env_seconds:.2f}"],
            ["difficulty", f"{episode.difficulty:g}"],
            ["seed", str(episode.seed)],
            *([["attempts", str(usage.attempts)]] if usage.attempts != 1 else []),
        ],
        "turns": [
            _turn_view(turn, episode.turns[index - 1].result if index else None, decode)
            for index, turn in enumerate(episode.turns)
        ],
    }


def _turn_view(turn: Turn, before: str | None, decode: Decode | None) -> dict[str, Any]:
    """View one turn; its observation is left out when it is the result just shown above it."""
    view: dict[str, Any] = {
        "observation": "" if turn.observation == before else inert(turn.observation),
        "thought": inert(turn.thought),
        "action": inert(turn.action),
        "calls": [_call_view(call) for call in turn.calls[:32]],
        "result": inert(turn.result),
        "faults": sorted({one_line(str(r["error_kind"])) for r in turn.results if r.get("error_kind")}),
        "checks": [
            {
                "name": one_line(str(check.get("name", "")), 200),
                "passed": check.get("passed") is True,
                "weight": one_line(f"{check.get('weight', '')}", 12),
                "evidence": inert(str(check.get("evidence", "")), 2000),
            }
            for check in turn.checks[:200]
        ],
        "reward": turn.reward,
        "invalid": turn.invalid,
        "stop": one_line(turn.stop, 40),
        "advantage": _finite(turn.advantage),
        "fed": len(turn.prompt_ids),
        "sampled": len(turn.token_ids),
    }
    if decode is not None and turn.token_ids:
        view["sampled_tokens"] = _decode(decode, turn.token_ids[:MAX_TOKENS])
        view["logprobs"] = [_finite(value, 3) for value in turn.logprobs[:MAX_TOKENS]]
        view["fed_tokens"] = _decode(decode, turn.prompt_ids[-MAX_TOKENS:])
    return view


def _call_view(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call.get("arguments")
    pairs = arguments.items() if isinstance(arguments, dict) else [("", arguments)] if arguments else []
    return {
        "name": one_line(str(call.get("name") or ""), 80),
        "error": inert(str(call.get("parse_error") or ""), 2000),
        "arguments": [
            [
                one_line(str(key), 80),
                inert(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)),
            ]
            for key, value in list(pairs)[:32]
        ],
    }


def _item(index: int, episode: Episode) -> dict[str, Any]:
    usage = episode.usage
    return {
        "index": index,
        "status": _status(episode),
        "ending": _ending(episode),
        "task": one_line(episode.task_id, 80),
        "env": one_line(episode.env_id),
        "score": episode.score,
        "turns": len(episode.turns),
        "tokens": usage.prompt_tokens + usage.sampled_tokens,
        "seconds": usage.policy_seconds + usage.env_seconds,
        "href": f"episodes-{index // CHUNK}.html#{index}",
    }


def _status(episode: Episode) -> str:
    return "error" if episode.success is None else "solved" if episode.success else "failed"


def _ending(episode: Episode) -> str:
    return "fault" if episode.error is not None else "cut by a limit" if episode.truncated else "ended"


def _decode(decode: Decode, ids: list[int]) -> list[str]:
    texts = decode(ids)
    if len(texts) != len(ids):
        raise ValueError(f"decode gave {len(texts)} texts for {len(ids)} token ids.")
    return [inert(text, 200) for text in texts]


def _finite(value: float | None, digits: int = 4) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class _Bar:
    """Geometry of a success bar in a 100-unit wide drawing."""

    success: str
    low: str
    high: str


def _bar(row: Row) -> _Bar:
    s = row.summary
    return _Bar(*(f"{100 * value:.2f}" for value in (s.success, s.low, s.high)))


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _may_replace(out: Path) -> bool:
    if not out.is_dir():
        return False
    if not any(out.iterdir()):
        return True
    index = out / "index.html"
    return index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
