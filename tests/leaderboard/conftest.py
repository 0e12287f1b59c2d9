"""A board of one's own, and episodes that look like real ones."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thinkact.leaderboard import secret
from thinkact.leaderboard.store import Board
from thinkact.policies.episode import Episode, Turn, Usage

ENV = "thinkact/FactbookQA-v0"
COUNTRIES = ["France", "Peru", "Chad", "Nepal", "Oman", "Laos", "Fiji", "Malta", "Ghana", "Chile"]
WEIRD = "<script>window.pwned=1</script></script><img src=x onerror=pwned=1>\x1b[31mred\x1b[0m \u202egnp.exe"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    secret.create(tmp_path / "board")
    return Board(tmp_path / "board", busy_timeout_s=0.2)


@pytest.fixture
def make() -> Callable[..., Episode]:
    return episode


@pytest.fixture
def many() -> Callable[..., list[Episode]]:
    return realistic


@pytest.fixture
def weird() -> str:
    return WEIRD


def episode(
    task: int = 0,
    *,
    success: bool | None = True,
    trial: int = 0,
    policy: str = "agent",
    turns: list[Turn] | None = None,
    **changes: Any,
) -> Episode:
    """An honest episode; ``success=None`` makes it one that ended in a fault."""
    score = None if success is None else float(success)
    if turns is None:
        turns = [Turn(observation="prompt", action="{}", result="ok", reward=score or 0.0)]
    fields: dict[str, Any] = dict(
        id=f"{policy}-{task}-{trial}",
        env_id=ENV,
        family="factbook",
        env_version="0",
        task_id=f"eval-{task:04d}",
        split="eval",
        seed=task,
        policy=policy,
        turns=turns,
        terminated=success is not None,
        score=score,
        success=success,
        error="EnvironmentFault: the sandbox is gone" if success is None else None,
        usage=Usage(prompt_tokens=300, sampled_tokens=60, policy_seconds=1.5, env_seconds=0.1),
    )
    return Episode(**(fields | changes))


def realistic(
    n: int, success_rate: float, *, policy: str = "agent", seed: int = 0, tokens: bool = False
) -> list[Episode]:
    rng = random.Random(f"{seed} {policy}")
    return [_realistic(i, success_rate, policy, rng, tokens) for i in range(n)]


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": "0", "name": name, "arguments": arguments, "parse_error": None}


def _realistic(i: int, rate: float, policy: str, rng: random.Random, tokens: bool) -> Episode:
    country, other = COUNTRIES[i % 10], COUNTRIES[(i * 7 + 3) % 10]
    draw = rng.random()
    status = None if draw > 0.985 else draw < rate
    question = (
        f"Question: What is the capital of the country that borders {country} and has the larger population "
        f"than {other}?\nTools: search(query), open(page), submit(answer). Open the pages that hold the facts, "
        "then submit the answer."
    )
    turns: list[Turn] = []
    seen = question

    def add(thought: str, call: dict[str, Any], result: str, reward: float, **more: Any) -> None:
        nonlocal seen
        text = json.dumps({call["name"]: call["arguments"]})
        sampled = [rng.randrange(49000) for _ in range(len(text) // 4 + len(thought) // 4)]
        turns.append(
            Turn(
                observation=seen,
                thought=thought,
                action=text,
                calls=[call],
                results=[{"call_id": "0", "content": result, "error_kind": None, "artifacts": {}}],
                result=result,
                reward=reward,
                prompt_ids=[rng.randrange(49000) for _ in range(40)] if tokens else [],
                token_ids=sampled if tokens else [],
                logprobs=[-rng.expovariate(1.5) for _ in sampled] if tokens else [],
                advantage=rng.uniform(-1, 1) if tokens else None,
                **more,
            )
        )
        seen = result

    add(
        f"I need the neighbours of {country} first, so I look it up.",
        _call("search", {"query": f"{country} land boundaries"}),
        "\n".join(f"{k + 1}. {c}: Geography, land boundaries, area" for k, c in enumerate(COUNTRIES[:5])),
        0.0,
        checks=[
            {"name": f"opened {country}: Geography", "weight": 0.25, "passed": False, "evidence": ""},
            {"name": f"opened {other}: People", "weight": 0.25, "passed": False, "evidence": ""},
            {"name": "answer is right", "weight": 0.5, "passed": False, "evidence": "nothing submitted"},
        ],
    )
    add(
        "",
        _call("open", {"page": f"{country}/geography"}),
        f"{country}: Geography\nLand boundaries: total 4,072 km. Border countries: {other} 451 km; "
        + "Area: 643,801 sq km. Climate: generally cool winters and mild summers. " * 12,
        0.25,
        checks=[
            {
                "name": f"opened {country}: Geography",
                "weight": 0.25,
                "passed": True,
                "evidence": f"page {country}/geography opened on turn 2",
            }
        ],
    )
    if i % 4 == 0:
        add(
            "Let me compute the ratio with Python rather than by hand.",
            _call(
                "python",
                {
                    "code": "population = {'a': 12_000_000, 'b': 9_400_000}\nfor k, v in population.items():\n"
                    "    print(k, v / 1e6)\n"
                },
            ),
            "a 12.0\nb 9.4\n",
            0.0,
        )
    if i % 9 == 2:
        text = "I think the answer is Paris, let me submit it now"
        broken = {"id": "0", "name": "", "arguments": {}, "parse_error": "no JSON call found."}
        turns.append(
            Turn(
                observation=seen,
                action=text,
                calls=[broken],
                results=[{"call_id": "0", "content": "no call", "error_kind": "parse_error", "artifacts": {}}],
                result='no JSON call found. Write one JSON call, for example {"name": "tool"}.',
                reward=0.0,
                invalid=True,
                stop="length",
            )
        )
        seen = turns[-1].result
    truncated = status is False and rng.random() < 0.3
    if status is not None and not truncated:
        add(
            f"The page says {other} is the neighbour; its capital should be the answer.",
            _call("submit", {"answer": "Paris" if status else "Lyon"}),
            "submitted",
            0.75 if status else 0.0,
            checks=[
                {
                    "name": "answer is right",
                    "weight": 0.5,
                    "passed": status,
                    "evidence": f"submitted {'Paris' if status else 'Lyon'}",
                }
            ],
        )
    return episode(
        i,
        success=status,
        policy=policy,
        turns=turns,
        terminated=status is not None and not truncated,
        truncated=truncated,
        score=None if status is None else math.fsum(turn.reward for turn in turns),
        difficulty=float(i % 3),
        usage=Usage(
            prompt_tokens=rng.randrange(200, 900),
            sampled_tokens=rng.randrange(30, 200),
            policy_seconds=rng.uniform(0.5, 4),
            env_seconds=rng.uniform(0.01, 0.3),
        ),
    )
