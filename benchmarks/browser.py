"""What the browser and its environments cost, beside BrowserGym on the same tasks.

    python benchmarks/browser.py --json --out benchmarks/results/browser.json --browsergym-python PATH
    python benchmarks/browser.py --quick
    python benchmarks/browser.py --profile --only thinkact/Shop-v0

Measured, each in this one run: on ten tasks of MiniWoB the milliseconds of a reset and of a step, for text alone and
with a screenshot beside it (what BrowserGym always takes), and the same of BrowserGym (its defaults, and without its
waits) where an interpreter that has it is named; in thinkact's own applications steps per second of one environment
with real mouse and keyboard input, played by the expert, and reset, cold and from the warm pool; memory of a context
when 16 are open; with --soak N, and nothing else then, memory and processes over N steps; with --profile, and nothing
else then, where the CPU time of a step goes. Beside each application's CPU time of a step stands that of a bare click
and soft navigation over the protocol alone, ``raw_cdp_cpu_ms`` (see browser_profile.py). PATH is the Python of a
virtual environment of its own: python -m venv V && V/bin/pip install browsergym-core browsergym-miniwob miniwob psutil.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from browser_parts import Env, opened, play, say, tree
from browser_profile import profile, raw
from browser_soak import soak
from sandbox_parts import machine

import thinkact
from thinkact.envs.miniwob.env import numbered_task
from thinkact.tools.browser import BrowserHandle, find_chrome

TASKS = (
    "click-test login-user enter-text book-flight social-media use-autocomplete click-checkboxes email-inbox "
    "choose-date terminal"
).split()
#: The environments of the package that live in a browser, other than MiniWoB.
WEB = [name for name, where in thinkact.ENV_ENTRY_POINTS.items() if where.startswith("thinkact.envs.web.")]
BARS = {
    "step_times_faster": 10.0,
    "reset_times_faster": 10.0,
    "steps_per_second_per_core": 30.0,
    "reset_pooled_ms": 50.0,
    "context_mb_at_16": 25.0,
}
#: How often each task of MiniWoB is reset here; once beside, where a reset takes a second.
ROUNDS = 3
#: Seconds after a reset until its work in the background is over.
QUIET = 1.0


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = call()
    return (time.perf_counter() - begin) * 1e3, result


class Meter:
    """CPU seconds of this process and all below it, while it is open; looking them up is not counted."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Meter:
        self._below = self._look()
        self._own = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._own
        self.seconds += sum(now - self._below.get(pid, 0.0) for pid, now in self._look().items())

    @staticmethod
    def _look() -> dict[int, float]:
        found = {}
        for process in tree()[1:]:
            try:
                found[process.pid] = spent(process)
            except (psutil.Error, OSError):
                pass
        return found


def spent(process: psutil.Process) -> float:
    """CPU seconds of a process: exact where the kernel keeps them for each thread, else in hundredths."""
    threads = list(Path(f"/proc/{process.pid}/task").glob("*/schedstat"))
    if not threads:
        return sum(process.cpu_times()[:2])
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def memory(processes: list[psutil.Process]) -> float:
    """Megabytes, what is shared divided among those that share it."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            pass
    return total / 2**20


def spread(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    return {
        "n": len(values),
        "median": round(statistics.median(values), 2),
        "p10": round(values[len(values) // 10], 2),
        "p95": round(values[min(len(values) - 1, int(0.95 * len(values)))], 2),
    }


def miniwob(steps: int, screenshots: bool) -> dict[str, Any]:
    """Random clicks, so that the same is done here and beside it."""
    how = {"tasks": "all", "max_turns": 1000, "render_mode": "rgb_array" if screenshots else None}
    envs = {split: opened("thinkact/MiniWoB-v0", split=split, **how) for split in ("train", "hidden")}
    resets, stepped, meter = [], [], Meter()
    rng = random.Random(0)
    envs["train"].reset(seed=0)  # the browser starts here
    for task_id in [numbered_task(name, number) for number in range(ROUNDS) for name in TASKS]:
        env = envs[task_id.partition("/")[0]]
        milliseconds, (text, _) = clock(lambda env=env, task_id=task_id: env.reset(options={"task_id": task_id}))
        resets.append(milliseconds)
        for _ in range(steps):
            found = re.findall(r"(?:button|textbox|checkbox|link|radio|text) \[(e\d+)\]", text)
            name, arguments = ("click", {"ref": rng.choice(found)}) if found else ("wait", {})
            action = json.dumps({"name": name, "arguments": arguments})

            def step(env: Env = env, action: str = action) -> Any:
                result = env.step(action)
                if screenshots and not (result[2] or result[3]):
                    env.render()
                return result

            with meter:
                milliseconds, (text, _, terminated, truncated, _) = clock(step)
            stepped.append(milliseconds)
            if terminated or truncated:
                break
    for env in envs.values():
        env.close()
    return {
        "reset_ms": spread(resets),
        "step_ms": spread(stepped),
        "step_cpu_ms": round(meter.seconds * 1e3 / len(stepped), 2),
    }


def browsergym(python: str | None, steps: int) -> dict[str, Any]:
    if python is None or not Path(python).exists():
        why = "no interpreter was named: --browsergym-python" if python is None else f"there is no {python}"
        return {"skipped": why}
    found: dict[str, Any] = {}
    for kind, flags in (("default", []), ("without_waits", ["--fast"])):
        say(f"BrowserGym, {kind} …")
        script = Path(__file__).with_name("browser_peer.py")
        command = [python, str(script), find_chrome(), str(steps), ",".join(TASKS), *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        if done.returncode != 0:
            return {"skipped": f"it failed: {done.stderr.strip().splitlines()[-1:]}"}
        told = json.loads(done.stdout.strip().splitlines()[-1])
        found[kind] = {
            "reset_ms": spread(told["reset_ms"]),
            "step_ms": spread(told["step_ms"]),
            "step_cpu_ms": round(told["step_cpu_ms"], 2),
        }
    return found


def own_app(env_id: str, episodes: int) -> dict[str, Any]:
    """The expert plays; time of its own thinking is not counted."""
    env = opened(env_id, split="eval")
    ids = env.sample_tasks(episodes + 2, 0)
    for task_id in ids[:2]:  # the pages' template, the store's, the pool
        env.reset(options={"task_id": task_id})
    time.sleep(QUIET)
    resets: list[float] = []
    stepped: list[float] = []
    in_steps, in_resets = Meter(), Meter()
    for task_id in ids[2:]:
        with in_resets:
            milliseconds, (prompt, info) = clock(lambda task_id=task_id: env.reset(options={"task_id": task_id}))
            time.sleep(QUIET)  # the wash of the context before, and the next spare, are what a reset costs
        resets.append(milliseconds)

        def step(action: str) -> Any:
            with in_steps:
                milliseconds, result = clock(lambda: env.step(action))
            stepped.append(milliseconds)
            return result

        play(env, prompt, info, step)
    raw_cpu = raw(env, 10 * episodes, Meter())
    env.close()
    return {
        "reset_pooled_ms": spread(resets),
        "reset_cpu_ms": round(1e3 * in_resets.seconds / len(resets), 2),
        "step_ms": spread(stepped),
        "step_cpu_ms": round(1e3 * in_steps.seconds / len(stepped), 2),
        "raw_cdp_cpu_ms": round(raw_cpu, 2),
        "steps_per_second": round(1e3 * len(stepped) / sum(stepped), 1),
        "steps_per_second_per_core": round(len(stepped) / in_steps.seconds, 1),
        "steps_per_second_per_core_with_resets": round(len(stepped) / (in_steps.seconds + in_resets.seconds), 1),
    }


_COLD = """
import sys, time
import gymnasium as gym
import thinkact
env = gym.make(sys.argv[1])
begin = time.perf_counter()
env.reset(seed=0)
print((time.perf_counter() - begin) * 1e3)
env.close()
"""


def cold(env_id: str, times: int) -> dict[str, float]:
    """The first reset of a process, which starts the browser."""
    command = [sys.executable, "-c", _COLD, env_id]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=300) for _ in range(times)]
    return spread([float(run.stdout) for run in runs])


async def _page(scope: Any, receive: Any, send: Any) -> None:
    rows = "".join(f"<tr><td>Item {n}</td><td><button>Buy {n}</button></td></tr>" for n in range(40))
    body = f"<!doctype html><title>Page</title><h1>Shop</h1><table>{rows}</table>".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": body})


def contexts(count: int = 16) -> dict[str, float]:
    """Memory of the browser with one page open and with ``count``, over the difference."""
    handles = [BrowserHandle() for _ in range(count)]
    handles[0].start({"page.test": _page}, "http://page.test/")
    time.sleep(2)
    browser = [each for each in tree() if "chrom" in each.name()]
    one = memory(browser)
    for handle in handles[1:]:
        handle.start({"page.test": _page}, "http://page.test/")
    time.sleep(2)
    many = memory([each for each in tree() if "chrom" in each.name()])
    for handle in handles:
        handle.close()
    return {"one_mb": round(one, 1), "all_mb": round(many, 1), "context_mb_at_16": round((many - one) / (count - 1), 1)}


def verdict(found: dict[str, Any]) -> dict[str, Any]:
    """Compare with the bars, where there is something to compare."""
    reached: dict[str, float] = {}
    peer = found["browsergym"].get("default")
    if peer is not None:
        ours = found["miniwob"]
        reached["step_times_faster"] = peer["step_ms"]["median"] / ours["with_screenshot"]["step_ms"]["median"]
        reached["reset_times_faster"] = peer["reset_ms"]["median"] / ours["text"]["reset_ms"]["median"]
    if found["apps"]:
        reached["steps_per_second_per_core"] = min(app["steps_per_second_per_core"] for app in found["apps"].values())
        reached["reset_pooled_ms"] = max(app["reset_pooled_ms"]["median"] for app in found["apps"].values())
    reached["context_mb_at_16"] = found["contexts"]["context_mb_at_16"]
    most = {"reset_pooled_ms", "context_mb_at_16"}
    return {
        name: {"reached": round(value, 1), "bar": BARS[name], "ok": (value <= BARS[name]) == (name in most)}
        for name, value in reached.items()
    }


def told(found: dict[str, Any], started: float, options: argparse.Namespace) -> int:
    found["seconds"] = round(time.time() - started, 1)
    text = json.dumps(found, indent=2)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    part = "soak" if options.soak else "profile" if options.profile else "bars"
    print(text if options.json else json.dumps(found[part], indent=2))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="also write it here")
    parser.add_argument("--browsergym-python", help="an interpreter that has browsergym-miniwob")
    parser.add_argument("--only", nargs="*", default=WEB, help="which of thinkact's own applications")
    parser.add_argument(
        "--soak", type=int, default=0, metavar="N", help="take N steps and look for growth; nothing else"
    )
    parser.add_argument("--profile", action="store_true", help="where the CPU time of a step goes; nothing else")
    options = parser.parse_args()
    steps, episodes = (3, 3) if options.quick else (8, 20)
    started = time.time()
    found: dict[str, Any] = {"machine": machine(), "load": os.getloadavg()[0], "quick": options.quick}
    if options.soak:
        found["soak"] = soak(options.only, options.soak)
        return told(found, started, options)
    if options.profile:
        found["profile"] = {}
        for env_id in options.only:
            say(f"profile of {env_id} …")
            env = opened(env_id, split="eval")
            found["profile"][env_id] = {**profile(env, episodes), "raw_cdp_cpu_ms": round(raw(env, 50, Meter()), 2)}
            env.close()
        return told(found, started, options)
    say("MiniWoB …")
    found["miniwob"] = {"text": miniwob(steps, False), "with_screenshot": miniwob(steps, True)}
    found["browsergym"] = browsergym(options.browsergym_python, steps)
    found["apps"] = {}
    for env_id in options.only:
        say(f"{env_id} …")
        found["apps"][env_id] = {**own_app(env_id, episodes), "reset_cold_ms": cold(env_id, 1 if options.quick else 5)}
    say("contexts …")
    found["contexts"] = contexts()
    found["bars"] = verdict(found)
    return told(found, started, options)


if __name__ == "__main__":
    raise SystemExit(main())
