"""How long the board's pages take where many agents ran many tasks.

    python benchmarks/board_pages.py --json --out benchmarks/results/board_pages.json
    python benchmarks/board_pages.py --agents 20 --tasks 200

Synthetic episodes go through the real store; pages are asked of the real application, through HTTP but without a
socket. Each kind of page is asked for at several addresses, each for the first time (`first`) and again (`again`,
when only a tag has to be compared). `cold` is the very first page after a submission, nothing kept; `restart` the first
page of a new server on a board that has not changed. The bars: a page in 200 ms, an export in 30 s, at 100 agents with
1,000 tasks each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from sandbox_parts import machine

from thinkact.leaderboard import Board, export_site
from thinkact.leaderboard.web import application
from thinkact.policies.episode import Episode, Turn, Usage

BAR_PAGE_S, BAR_EXPORT_S = 0.2, 30.0
SAMPLES = 12


def episodes(agent: str, tasks: int, rate: float) -> Iterator[Episode]:
    """Yield episodes of a few short turns each, in five environments with ten templates."""
    rng = random.Random(agent)
    for at in range(tasks):
        solved = rng.random() < rate
        look = {"id": "0", "name": "search", "arguments": {"query": f"fact {at}"}, "parse_error": None}
        say = {"id": "0", "name": "submit", "arguments": {"answer": str(at)}, "parse_error": None}
        found = f"1. Country {at}: Geography, land boundaries, area\n" * 5
        check = {"name": "opened the page", "weight": 0.25, "passed": True, "evidence": "page opened on turn 1"}
        turns = [
            Turn(observation="Question: …\nTools: search, open, submit.", thought="I look it up.", action="{}",
                 calls=[look], result=found, reward=0.25, checks=[check]),
            Turn(observation=found, action="{}", calls=[look], result="The capital is Lima. " * 20, reward=0.0),
            Turn(observation="…", action="{}", calls=[say], result="submitted", reward=0.75 * solved),
        ]  # fmt: skip
        yield Episode(
            id=f"{agent}-{at}", env_id=f"thinkact/Env{at % 5}-v0", family=f"family{at % 5}", env_version="1",
            task_id=f"eval/template{at % 10}/{at}", split="eval", difficulty=float(at % 3), seed=at, policy=agent,
            turns=turns, terminated=True, score=1.0 if solved else 0.25, success=solved,
            usage=Usage(prompt_tokens=rng.randrange(200, 900), sampled_tokens=60, policy_seconds=1.0),
        )  # fmt: skip


def long_episode(turns: int) -> Episode:
    """Return an episode of many turns with tokens."""
    ids = list(range(400))
    turn = Turn(observation="o", thought="t" * 400, action="{}", result="line\n" * 200, reward=0.0, prompt_ids=ids,
                token_ids=ids, logprobs=[-0.5] * 400, advantage=0.1)  # fmt: skip
    return Episode(id="long", env_id="thinkact/Env0-v0", family="family0", env_version="1", task_id="eval/long/0",
                   split="eval", seed=0, policy="long", turns=[turn] * turns, truncated=True, score=0.0,
                   success=False)  # fmt: skip


class Reader:
    """Asks an application for pages, and takes the time."""

    def __init__(self, board: Board) -> None:
        self.app = application(board)
        self.tags: dict[str, str] = {}

    def get(self, path: str) -> tuple[float, httpx.Response]:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> tuple[float, httpx.Response]:
        known = {"if-none-match": self.tags[path]} if path in self.tags else {}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url="http://127.0.0.1"
        ) as client:
            start = time.perf_counter()
            answer = await client.get(path, headers=known)
            took = time.perf_counter() - start
        assert answer.status_code in (200, 304), (path, answer.status_code)
        self.tags[path] = answer.headers["etag"]
        return took, answer


def addresses(board: str, reader: Reader) -> dict[str, list[str]]:
    """Return some addresses of each kind of page."""
    rng = random.Random(0)
    agents = re.findall(r'href="(agents/[^"]+)"', board)
    on, ids = re.findall(r'data-on="([^"]+)"', board)[0], re.findall(r'data-id="([^"]+)"', board)
    pairs = [sorted(rng.sample(range(len(ids)), 2)) for _ in range(SAMPLES)]
    compared = [f"/compare/{on}-{ids[a]}-{ids[b]}" for a, b in pairs]
    chosen = rng.sample(agents, min(SAMPLES, len(agents) // 2))
    found = [re.search(r"submissions/[^/]+", reader.get(f"/{path}")[1].text) for path in chosen]
    submissions = [f"/{match[0]}" for match in found if match]
    reader.tags.clear()
    fresh = [path for path in agents if path not in chosen]
    return {
        "agent": [f"/{path}" for path in rng.sample(fresh, min(SAMPLES, len(fresh)))],
        "compare": [f"{address}.html" for address in compared],
        "side by side": [f"{address}-episodes.html" for address in compared],
        "submission": [f"{path}/index.html" for path in submissions],
        "viewer": [f"{path}/episodes-{rng.randrange(3)}.html" for path in submissions],
    }


def measure(folder: Path, agents: int, tasks: int) -> dict[str, Any]:
    """Build a board and measure it."""
    board = Board(folder / "board")
    start = time.perf_counter()
    for at in range(agents):
        name = f"agent {at:03d}"
        board.submit(name, episodes(name, tasks, 0.2 + 0.6 * at / agents), suite="synthetic@1")
    figures: dict[str, Any] = {"agents": agents, "tasks": tasks, "built_s": time.perf_counter() - start}
    cold, answer = Reader(board).get("/")
    reader = Reader(board)
    restart, _ = reader.get("/")
    figures["first_page"] = {"cold_s": cold, "restart_s": restart, "bytes": len(answer.content)}
    pages: dict[str, Any] = {"board again": [reader.get("/")[0] for _ in range(5)]}
    reader.get("/" + re.findall(r'href="(agents/[^"]+)"', answer.text)[0])  # loads everybody's outcomes, once
    for kind, paths in addresses(answer.text, reader).items():
        pages[kind] = [reader.get(path)[0] for path in paths]
        pages[f"{kind} again"] = [reader.get(path)[0] for path in paths]
    figures["pages"] = {
        kind: {"median_s": sorted(all_)[len(all_) // 2], "max_s": max(all_)} for kind, all_ in pages.items()
    }
    start = time.perf_counter()
    site = export_site(board, folder / "site").parent
    figures["export_s"] = time.perf_counter() - start
    files = [path.stat().st_size for path in site.rglob("*.html")]
    figures |= {"export_pages": len(files), "export_bytes": sum(files)}
    shutil.rmtree(site)
    long = Board(folder / "long")
    key = long.submit("long", [long_episode(200)])
    took, answer = Reader(long).get(f"/submissions/{key}/episodes-0.html")
    figures["viewer_200_turns"] = {"first_s": took, "bytes": len(answer.content)}
    slowest = max(one["median_s"] for one in figures["pages"].values())
    figures["bars"] = {
        "page_s": BAR_PAGE_S,
        "slowest_kind_median_s": slowest,
        "pages_met": slowest <= BAR_PAGE_S,
        "export_s": BAR_EXPORT_S,
        "export_met": figures["export_s"] <= BAR_EXPORT_S,
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="Where to build the board; default a temporary folder.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.add_argument("--out", type=Path, help="Write the JSON object here too.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="board-pages-", dir=args.folder) as folder:
        record = {"benchmark": "board_pages", "machine": machine(), **measure(Path(folder), args.agents, args.tasks)}
    text = json.dumps(record, indent=2)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
        return
    print(f"{args.agents} agents, {args.tasks} tasks each; seconds")
    first = record["first_page"]
    print(f"  first page: cold {first['cold_s']:.2f}, after a restart {first['restart_s']:.3f}")
    for kind, times in record["pages"].items():
        print(f"  {kind:22} median {times['median_s']:.3f}  max {times['max_s']:.3f}")
    print(f"  viewer, 200 turns      {record['viewer_200_turns']['first_s']:.3f}")
    print(
        f"  export {record['export_s']:.1f} ({record['export_pages']:,} pages, {record['export_bytes'] / 1e6:.0f} MB)"
    )


if __name__ == "__main__":
    main()
