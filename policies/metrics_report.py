"""A run's report: one HTML file without scripts or links, from what the run's folder holds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from thinkact.policies.episode import Episode
from thinkact.policies.rundir import RunDir

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{width:100%;height:auto;background:#fafafa}h2{margin-top:2em;font-size:1.1em}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0;padding:.3em .5em;border-radius:4px;font-size:13px}"
    ".a{color:#666;font-size:12px}table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right}"
    ".w{color:#a40000}"
)
_WIDTH, _HEIGHT, _LEFT, _BASE = 720, 260, 46, 220
_COLOURS = {"success": "#1f77b4", "score": "#c9a227", "rollout": "#1f77b4", "learn": "#d62728"}
#: Columns of a histogram over time.
_COLUMNS = 60
#: Characters of one text of a transcript that are shown.
_CLIP = 1200


def run_report(
    title: str,
    metrics: Sequence[Mapping[str, Any]],
    *,
    trained: Sequence[Episode] = (),
    measured: Sequence[Episode] = (),
) -> str:
    """Return the report as HTML.

    Args:
        title: Name of the run.
        metrics: Rows of ``metrics.jsonl``.
        trained: Episodes of the last batch of reinforcement, with every turn's advantage: one is shown.
        measured: Held-out episodes of the last evaluation: for success by difficulty.
    """
    rl = [row for row in metrics if row["stage"] == "rl"]
    parts = [f"<!doctype html><meta charset=utf-8><title>{_text(title)}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{_text(title)}</h1>{_table(metrics)}")
    warned = [(row["step"], name, text) for row in rl for name, text in row.get("alarms", {}).items()]
    if warned:
        items = "".join(f"<li>step {int(step)}: {_text(name)}: {_text(text)}" for step, name, text in warned)
        parts.append(f"<h2>Alarms</h2><ul class=w>{items}</ul>")
    if rl:
        parts.append("<h2>Learning curve (batches of training tasks; steps on a logarithmic axis)</h2>" + _curve(rl))
        parts.append("<h2>Where the time went (seconds per step)</h2>" + _times(rl))
        parts.append(
            "<h2>What the batches were made of (height: share of the attempts; blue: solved)</h2>" + _over_time(rl)
        )
    if measured:
        parts.append("<h2>Held-out success by difficulty</h2>" + _difficulty(measured))
    shown = _telling(trained)
    if shown is not None:
        parts.append("<h2>Credit over one attempt (blue: praised, red: blamed)</h2>" + _transcript(shown))
    return "\n".join(parts) + "\n"


def report_of(run: RunDir) -> str:
    """Return the report of what a run's folder holds."""
    batches = sorted((run.path / "episodes" / "rl").glob("*.jsonl"))
    trained = run.load_episodes(f"rl/{batches[-1].stem}") if batches else None
    names = ("eval-rl", "eval-imitation", "eval-before")
    measured = next((found for name in names if (found := run.load_episodes(name))), [])
    return run_report(run.path.name, run.metrics(), trained=trained or [], measured=measured)


def write_report(path: Path, html: str) -> None:
    """Write a report so that a reader never sees half of it."""
    work = path.with_name(f".{path.name}.part")
    # Lone surrogates, which a page may have brought, have no encoding.
    work.write_bytes(html.encode("utf-8", "replace"))
    work.rename(path)


def _table(metrics: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for row in metrics if str(row["stage"]).startswith("eval-")]
    cells = "".join(
        f"<tr><th>{escape(str(row['stage'])[5:])}<td>{row['success']:.3f}<td>{row['score']:.3f}<td>{row['turns']:.1f}"
        f"<td>{row['invalid']:.3f}<td>{row['errors']:.0f}</tr>"
        for row in rows
    )
    head = "<tr><th>held-out tasks<th>solved<th>score<th>turns<th>invalid<th>errors</tr>"
    return f"<table>{head}{cells}</table>" if rows else ""


def _frame(body: str, top: float, ticks: Sequence[tuple[float, str]]) -> str:
    lines = [f'<line x1="{_LEFT}" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}" stroke="#999"/>']
    for share in (0.0, 0.5, 1.0):
        y = _BASE - share * (_BASE - 20)
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="11">{share * top:.3g}</text>')
        lines.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH}" y2="{y:.1f}" stroke="#ddd"/>')
    for x, text in ticks:
        lines.append(f'<text x="{x:.1f}" y="{_BASE + 16}" text-anchor="middle" font-size="11">{escape(text)}</text>')
    return f'<svg viewBox="0 0 {_WIDTH + 10} {_HEIGHT}">{"".join(lines)}{body}</svg>'


def _curve(rl: Sequence[Mapping[str, Any]]) -> str:
    last = max(2, max(int(row["step"]) + 1 for row in rl))

    def across(step: int) -> float:
        return _LEFT + math.log(step) / math.log(last) * (_WIDTH - _LEFT)

    body = ""
    for at, name in enumerate(("success", "score")):
        points = " ".join(
            f"{across(int(row['step']) + 1):.1f},{_BASE - min(1.0, max(0.0, row[name])) * (_BASE - 20):.1f}"
            for row in rl
        )
        body += f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>'
        body += f'<text x="{_LEFT + 10 + 90 * at}" y="14" fill="{_COLOURS[name]}" font-size="12">{name}</text>'
    steps = sorted({1, *(2**k for k in range(1, 24) if 2**k < last), last})
    return _frame(body, 1.0, [(across(step), str(step)) for step in steps])


def _times(rl: Sequence[Mapping[str, Any]]) -> str:
    pairs = [(float(row.get("rollout_seconds", 0.0)), float(row.get("learn_seconds", 0.0))) for row in rl]
    top = max((a + b for a, b in pairs), default=0.0) or 1.0
    wide = (_WIDTH - _LEFT) / len(pairs)
    body = ""
    for at, pair in enumerate(pairs):
        y = float(_BASE)
        for name, value in zip(("rollout", "learn"), pair, strict=True):
            tall = value / top * (_BASE - 20)
            y -= tall
            x = _LEFT + at * wide
            body += (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide * 0.8:.1f}" height="{tall:.1f}" fill="{_COLOURS[name]}"/>'
            )
    for at, name in enumerate(("rollout", "learn")):
        body += f'<text x="{_LEFT + 10 + 90 * at}" y="14" fill="{_COLOURS[name]}" font-size="12">{name}</text>'
    return _frame(body, top, [(_LEFT + wide / 2, str(int(rl[0]["step"]) + 1))])


def _difficulty(episodes: Sequence[Episode]) -> str:
    found: dict[float, list[bool]] = defaultdict(list)
    for episode in episodes:
        if episode.error is None:
            found[episode.difficulty].append(bool(episode.success))
    levels = sorted(found)
    wide = (_WIDTH - _LEFT) / max(1, len(levels))
    body, ticks = "", []
    for at, level in enumerate(levels):
        share = sum(found[level]) / len(found[level])
        x, tall = _LEFT + at * wide, share * (_BASE - 20)
        body += (
            f'<rect x="{x:.1f}" y="{_BASE - tall:.1f}" width="{wide * 0.8:.1f}" height="{tall:.1f}" fill="#1f77b4"/>'
        )
        ticks.append((x + wide * 0.4, f"{level:g} (n={len(found[level])})"))
    return _frame(body, 1.0, ticks)


def _kinds(row: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return attempts and solved ones of a batch by arm, or where there are no arms by difficulty."""
    arms = [name.partition("/")[2] for name in row if name.startswith("attempts/")]
    if arms:
        return {arm: (row[f"attempts/{arm}"], row[f"attempts/{arm}"] * row.get(f"success/{arm}", 0.0)) for arm in arms}
    return {f"difficulty {level}": (tried, solved) for level, (tried, solved) in row.get("difficulty", {}).items()}


def _over_time(rl: Sequence[Mapping[str, Any]]) -> str:
    """Draw a histogram of what was tried for each batch (or run of batches), side by side."""
    batches = [_kinds(row) for row in rl]
    kinds = sorted({kind for batch in batches for kind in batch}, key=lambda kind: (len(kind), kind))
    if not kinds:
        return "<p class=a>Nothing was scored.</p>"
    each = -(-len(rl) // _COLUMNS)
    parts = [batches[at : at + each] for at in range(0, len(batches), each)]
    left, line = 130, 34
    wide = (_WIDTH - left) / len(parts)
    body = ""
    for number, kind in enumerate(kinds):
        base = (number + 1) * line
        body += f'<text x="{left - 6}" y="{base - 4}" text-anchor="end" font-size="11">{escape(kind)}</text>'
        body += f'<line x1="{left}" y1="{base}" x2="{_WIDTH}" y2="{base}" stroke="#ddd"/>'
        for at, part in enumerate(parts):
            every = sum(tried for batch in part for tried, _ in batch.values()) or 1.0
            tried, solved = (sum(batch.get(kind, (0.0, 0.0))[i] for batch in part) / every for i in (0, 1))
            for share, colour in ((tried, "#ccc"), (solved, _COLOURS["success"])):
                tall = share * (line - 6)
                body += (
                    f'<rect x="{left + at * wide:.1f}" y="{base - tall:.1f}" width="{wide * 0.85:.1f}" '
                    f'height="{tall:.1f}" fill="{colour}"/>'
                )
    foot = len(kinds) * line + 16
    body += f'<text x="{left}" y="{foot}" font-size="11">step {int(rl[0]["step"]) + 1}</text>'
    body += f'<text x="{_WIDTH}" y="{foot}" text-anchor="end" font-size="11">step {int(rl[-1]["step"]) + 1}</text>'
    return f'<svg viewBox="0 0 {_WIDTH + 10} {foot + 8}">{body}</svg>'


def _telling(episodes: Sequence[Episode]) -> Episode | None:
    """Choose the attempt whose turns differ most in credit."""
    judged = [e for e in episodes if e.turns and all(turn.advantage is not None for turn in e.turns)]

    def spread(episode: Episode) -> float:
        values = [turn.advantage or 0.0 for turn in episode.turns]
        return max(values) - min(values)

    return max(judged, key=spread, default=None)


def _transcript(episode: Episode) -> str:
    largest = max(abs(turn.advantage or 0.0) for turn in episode.turns) or 1.0
    out = [f"<p class=a>{_text(episode.task_id)}, score {episode.score}</p>"]
    out.append(f"<pre>{_text(episode.turns[0].observation)}</pre>")
    for number, turn in enumerate(episode.turns, 1):
        value = turn.advantage or 0.0
        colour = "31,119,180" if value >= 0 else "214,39,40"
        said = f"{turn.thought}\n{turn.action}" if turn.thought else turn.action
        out.append(f"<p class=a>turn {number}: advantage {value:+.3f}, reward {turn.reward:+.3f}</p>")
        out.append(
            f'<pre style="background:rgba({colour},{0.05 + 0.5 * abs(value) / largest:.2f})">{_text(said)}</pre>'
        )
        out.append(f"<pre>{_text(turn.result)}</pre>")
    return "".join(out)


def _text(text: str) -> str:
    clipped = text if len(text) <= _CLIP else f"{text[:_CLIP]} … ({len(text)} characters)"
    # Control characters are shown, not obeyed.
    return escape("".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in clipped))
