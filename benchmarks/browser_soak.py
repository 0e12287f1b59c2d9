"""The soak of ``browser.py``: thousands of steps in the applications, and what memory and processes do meanwhile."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from browser_parts import kind, opened, play, say, tree
from slopes import slope

from thinkact.tools.browser.host import Host, current

#: Looks at memory, the same number of steps apart; the second half of them counts.
LOOKS = 80
#: Megabytes that memory may seem to grow by, at the slope's upper end, while as many steps again are played: for the
#: whole, and for each kind of process.
ALLOWED_MB = 25.0
#: Seconds until the browser counts as quiet, between two looks at its memory, and at most.
QUIET, MOST = 0.5, 20.0
#: Kilobytes by which the memory of a browser that is quiet may differ between two looks.
STILL = 1024


def private(process: psutil.Process) -> int:
    """Kilobytes that are no file's; what several processes share is divided among them."""
    lines = [line.split() for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]]
    kilobytes = {line[0]: int(line[1]) for line in lines}
    return kilobytes["Pss_Anon:"] + kilobytes["Pss_Shmem:"] + kilobytes["SwapPss:"]


def look() -> tuple[dict[str, int], int]:
    """Return kilobytes by kind of process, and how many processes there are."""
    found: dict[str, int] = defaultdict(int)
    count = 0
    for process in tree():
        try:
            found[kind(process)] += private(process)
            count += 1
        except (psutil.Error, OSError):
            pass  # it has just ended
    return dict(found), count


async def _tidy(host: Host) -> None:
    """Wait for what goes on beside, and let every browser throw away what it can do without."""
    while host._background:
        await asyncio.wait(host._background)
    for chromium in host._browsers:
        waiting = [spare for spares in chromium.spares.values() for spare in spares]
        for lease in await asyncio.gather(*waiting, return_exceptions=True):
            if not isinstance(lease, BaseException):
                await lease.tab.cdp.send("HeapProfiler.collectGarbage")
        await chromium.root.send("Memory.simulatePressureNotification", {"level": "critical"})


def settled() -> tuple[dict[str, int], int]:
    """Look at what is left when nobody plays, garbage is collected, and nothing is under way any more."""
    host = current()
    host.call(_tidy(host), 60)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before, deadline = 0, time.monotonic() + MOST
    while True:
        time.sleep(QUIET)
        found, count = look()
        if abs(sum(found.values()) - before) < STILL or time.monotonic() > deadline:
            return found, count
        before = sum(found.values())


def soak(env_ids: list[str], steps: int) -> dict[str, Any]:
    """Play expert episodes of the applications in turn for so many steps, and look at memory now and then.

    A look comes when every environment is closed and the browser has thrown away what it can do without, so that what
    is seen is what is kept. Flat: the slope over the second half, at the upper end of its 95 % interval, is no more
    than :data:`ALLOWED_MB` on as many steps again, for all processes together and for each kind of them, and there are
    never more processes than in the first half.
    """
    envs = [opened(env_id) for env_id in env_ids]
    marks = [steps * n // LOOKS for n in range(1, LOOKS + 1)]
    seen: list[dict[str, Any]] = []
    done = seed = 0
    started = time.time()

    def step(env: Any, action: str) -> Any:
        nonlocal done
        done += 1
        return env.step(action)

    while marks:
        env = envs[seed % len(envs)]
        prompt, info = env.reset(seed=seed)
        seed += 1
        play(env, prompt, info, lambda action, env=env: step(env, action))
        if done < marks[0]:
            continue
        in_use = sum(look()[0].values())
        for each in envs:
            each.close()
        found, count = settled()
        if "browser" not in found:
            continue  # it was due to be replaced; the next episode starts another
        while marks and done >= marks[0]:
            marks.pop(0)
        kept = {name: round(kilobytes / 1024, 2) for name, kilobytes in sorted(found.items())}
        seen.append(
            {
                "steps": done,
                "episodes": seed,
                "processes": count,
                "in_use_mb": round(in_use / 1024, 1),
                "kept_mb": {"all": round(sum(found.values()) / 1024, 2), **kept},
            }
        )
        say(f"soak, {time.time() - started:.0f} s: {seen[-1]}")
    for env in envs:
        env.close()
    return {"steps": done, "episodes": seed, **judged(seen, done), "seen": seen}


def judged(seen: Sequence[dict[str, Any]], steps: int) -> dict[str, Any]:
    """Say whether what was seen is flat; see :func:`soak`."""
    half = len(seen) // 2
    first, later = seen[:half], seen[half:]
    growth: dict[str, dict[str, float]] = {}
    for name in sorted({name for each in later for name in each["kept_mb"]}):
        points = [(each["steps"], each["kept_mb"].get(name, 0.0)) for each in later]
        rise, half_width = slope(points)
        growth[name] = {
            "mb_on_as_many_steps_again": round(rise * steps, 2),
            "half_width_95": round(half_width * steps, 2),
        }
    most = max((each["processes"] for each in first), default=0)
    small = all(sum(each.values()) <= ALLOWED_MB for each in growth.values())
    return {
        "allowed_mb": ALLOWED_MB,
        "growth_in_the_second_half": growth,
        "most_processes": [most, max(each["processes"] for each in later)],
        "flat": small and all(each["processes"] <= most for each in later),
    }
