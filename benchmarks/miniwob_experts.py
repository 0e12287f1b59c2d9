"""Every task of MiniWoB: which split, what it needs, and whether its expert solves it.

python benchmarks/miniwob_experts.py --seeds 5 --json      plays every expert on so many seeds
python benchmarks/miniwob_experts.py --contract            checks every rule that environments must keep; minutes
python benchmarks/miniwob_experts.py --table               prints the table of docs/miniwob.md, plays nothing
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from browser_parts import play

from thinkact.envs.conformance import RULES, Subject
from thinkact.envs.miniwob import catalogue
from thinkact.envs.miniwob.env import MiniWoBEnv, numbered_task
from thinkact.envs.types import SPLITS


def table() -> str:
    lines = ["| task | split | turns | solved from text |", "|---|---|---|---|"]
    for name in catalogue.TASKS:
        split = ", ".join(split for split in SPLITS if name in catalogue.names(split))
        reason = catalogue.BEYOND_TEXT.get(name)
        lines.append(f"| {name} | {split} | {catalogue.turns(name)} | {'yes' if reason is None else f'no: {reason}'} |")
    return "\n".join(lines)


def played(env: MiniWoBEnv, task_id: str) -> tuple[float, int]:
    """Return the expert's score and turns."""
    scores: list[float] = []

    def step(action: str) -> Any:
        result = env.step(action)
        scores.append(float(result[4]["score"]))
        return result

    play(env, *env.reset(options={"task_id": task_id}), step)
    return scores[-1], len(scores)


def contract() -> int:
    # Tasks whose text varies enough that no two splits ever ask the same.
    some = ("email-inbox", "enter-password", "read-table", "login-user", "multi-layouts")
    subject = Subject("thinkact/MiniWoB-v0", tasks=3, kwargs={"tasks": some, "max_turns": 8})
    broken = 0
    for rule in RULES:
        try:
            rule(subject)
            print(f"ok      {rule.__name__}", flush=True)
        except Exception as error:
            broken += 1
            print(f"BROKEN  {rule.__name__}: {error}", flush=True)
    return 1 if broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the table and play nothing")
    parser.add_argument("--contract", action="store_true", help="check the contract of environments")
    parser.add_argument("--seeds", type=int, default=1, help="how many of each task")
    parser.add_argument("--only", nargs="*", help="these tasks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.table:
        print(table())
        return 0
    if options.contract:
        return contract()
    envs = {"train": MiniWoBEnv(tasks="all"), "hidden": MiniWoBEnv(tasks="all", split="hidden")}
    names = options.only or [name for name in catalogue.TASKS if name not in catalogue.BEYOND_TEXT]
    failed: list[str] = []
    longest: dict[str, int] = {}
    for name in names:
        for seed in range(options.seeds):
            task_id = numbered_task(name, seed)
            try:
                score, turns = played(envs[task_id.partition("/")[0]], task_id)
            except Exception as error:  # a script that finds nothing to do is a finding, not the end
                failed.append(f"{task_id}: {str(error).splitlines()[0][:200]}")
                continue
            longest[name] = max(turns, longest.get(name, 0))
            if score != 1.0:
                failed.append(f"{task_id}: score {score:g}")
        print(name, longest.get(name), file=sys.stderr, flush=True)
    for env in envs.values():
        env.close()
    found: dict[str, Any] = {
        "tasks": len(names),
        "seeds": options.seeds,
        "episodes": len(names) * options.seeds,
        "solved": len(names) * options.seeds - len(failed),
        "failed": failed,
        "longest": longest,
    }
    print(json.dumps(found, indent=2) if options.json else f"{found['solved']} of {found['episodes']} solved; {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
