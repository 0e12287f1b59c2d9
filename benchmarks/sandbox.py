"""What isolation costs: every figure beside a plain subprocess and beside peers, in the same run.

    python benchmarks/sandbox.py --json --out benchmarks/results/sandbox.json
    python benchmarks/sandbox.py --quick --only bubblewrap

All calls are taken in turn, round after round, so that a machine that is busy for a while is busy for all of
them; figures are medians with the 10th and 90th percentile, and ratios to `python -I -S -c "print(1)"` as a
plain subprocess. Peers (GEM, SWE-ReX, smolagents) are installed on first use into environments of their own
below $THINKACT_CACHE/peers. What cannot be measured here is named with its reason.

Not told: peers isolate nothing, so their figures are what one pays *without* a sandbox.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sandbox_parts as parts
from sandbox_parts import Call, Skip, machine

import thinkact

Part = Callable[[], Iterator[Call]]

BIG = "import numpy, pandas; a = numpy.ones(25_000_000); f = pandas.DataFrame({'a': [1, 2]})"

PARTS: dict[str, Part] = {
    "plain subprocess": parts.plain_subprocess,
    "plain fork": parts.plain_fork,
    "bubblewrap: exec in a session": parts.exec_in_session("bubblewrap"),
    "bubblewrap: new sandbox, exec, kill": parts.new_and_gone("bubblewrap"),
    "bubblewrap: lease from a pool, exec, give back": parts.pooled,
    "bubblewrap: a program": parts.program("bubblewrap"),
    "bubblewrap: a program beside a session": parts.program_in_session("bubblewrap"),
    "bubblewrap: per case, one case": parts.case("bubblewrap", 1, 4),
    "bubblewrap: per case, eight cases": parts.case("bubblewrap", 8),
    "bubblewrap: fork of a session": parts.fork("x = 1"),
    "bubblewrap: fork of a session that goes on": parts.fork("x = 1", goes_on=True),
    "bubblewrap: the only fork of a session": parts.first_fork(),
    "bubblewrap: os.fork inside a session": parts.kernel_fork("x = 1"),
    "bubblewrap: fork of a session, pandas and 200 MB": parts.fork(BIG, "python-data", 2),
    "bubblewrap: os.fork inside a session, pandas and 200 MB": parts.kernel_fork(BIG, "python-data", 2),
    "bubblewrap: restore of a snapshot, exec": parts.restore,
    "docker: exec in a session": parts.exec_in_session("docker"),
    "docker: new sandbox, exec, kill": parts.new_and_gone("docker", 1),
    "docker: per case, eight cases": parts.case("docker", 8, 1),
    "remote: exec in a session": parts.exec_in_session("remote"),
    "remote: new sandbox, exec, kill": parts.new_and_gone("remote", 3),
    "peer: GEM run_python (no isolation)": parts.peer("gem", 4),
    "peer: SWE-ReX session (no isolation)": parts.peer("swerex_session", 2),
    "peer: SWE-ReX execute (no isolation)": parts.peer("swerex_execute", 4),
    "peer: smolagents in-process (no isolation)": parts.peer("smolagents", 10),
}
BASE = "plain subprocess"


def part_at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(chosen: dict[str, Part], rounds: int, say: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, str]]:
    """Run all parts in turn; return figures and, for those that cannot run, reasons."""
    calls: dict[str, Call] = {}
    skipped: dict[str, str] = {}
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        for name, part in chosen.items():
            say(f"preparing {name}")
            try:
                calls[name] = stack.enter_context(contextmanager(part)())
                calls[name].run(1)  # the first one pays for what all later ones share
            except Skip as reason:
                calls.pop(name, None)
                skipped[name] = str(reason)
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            for name, call in calls.items():
                times.setdefault(name, []).extend(call.run(call.reps))
    base = statistics.median(times[BASE])
    return {
        name: {
            "median_ms": round(statistics.median(values), 4),
            "p10_ms": round(part_at(values, 0.1), 4),
            "p90_ms": round(part_at(values, 0.9), 4),
            "ratio_to_plain_subprocess": round(statistics.median(values) / base, 4),
            "n": len(values),
        }
        for name, values in times.items()
    }, skipped


# --- figures that are not a call's latency -------------------------------------------------------------------


def throughput(seconds: float) -> dict[str, Any]:
    """Count, per second and with one thread per core, plain subprocesses and new sandboxes, in turn."""
    cores = len(os.sched_getaffinity(0))

    def rate(work: Callable[[], object]) -> float:
        counts = [0] * cores
        end = time.monotonic() + seconds

        def loop(index: int) -> None:
            while time.monotonic() < end:
                work()
                counts[index] += 1

        threads = [threading.Thread(target=loop, args=(index,)) for index in range(cores)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.monotonic() - begin)

    with parts.opened("bubblewrap") as box:

        def one() -> None:
            with box.session() as session:
                parts.need(session.exec(parts.CODE))

        def plain() -> None:
            subprocess.run(parts.PLAIN, stdout=subprocess.DEVNULL, check=True)

        found: dict[str, list[float]] = {"new_sandbox_exec_kill": [], "plain_subprocess": []}
        for _ in range(3):
            found["new_sandbox_exec_kill"].append(rate(one))
            found["plain_subprocess"].append(rate(plain))
    medians = {f"{name}_per_s": round(statistics.median(values), 1) for name, values in found.items()}
    return {"threads": cores, **medians}


def below(root: int) -> set[int]:
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent == root or parent in found} - found:
        found |= more
    return found


def memory(sessions: int) -> dict[str, Any]:
    """Own (USS) and proportional (PSS) memory of idle sessions, from the kernel's books."""
    with parts.opened("bubblewrap") as box:
        before = below(os.getpid())
        opened = [box.session() for _ in range(sessions)]
        for session in opened:
            parts.need(session.exec(parts.CODE))
        own = proportional = 0
        processes = below(os.getpid()) - before
        for pid in processes:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except PermissionError as error:
                raise Skip("the memory of isolated processes is for root to read") from error
            book = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            own += book["Private_Clean"] + book["Private_Dirty"]
            proportional += book["Pss"]
        for session in opened:
            session.close()
    return {
        "sessions": sessions,
        "uss_mb_each": round(own / sessions / 1024, 2),
        "pss_mb_each": round(proportional / sessions / 1024, 2),
        "processes_each": round(len(processes) / sessions, 1),
    }


HOSTILE = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(15, b"tk-bench-hostil", 0, 0, 0)
for number in {*range(1, 65)} - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
for kind in range(4):
    if os.fork() == 0:
        if kind == 0:
            os.setsid()
            if os.fork(): os._exit(0)
        elif kind == 1: os.kill(os.getpid(), signal.SIGSTOP)
        elif kind == 2: os.closerange(0, 1024)
        while True: time.sleep(1)
while True: time.sleep(1)
"""


def time_outs(count: int) -> dict[str, Any]:
    """How much later than asked a hostile tree is dead, and how many of its processes live on."""
    wall, late, survivors = 0.25, [], 0
    with parts.opened("bubblewrap") as box, box.session() as session:
        for _ in range(count):
            begin = time.perf_counter()
            result = session.exec(HOSTILE, timeout=wall)
            late.append((time.perf_counter() - begin - wall) * 1e3)
            if result.status != "timeout":
                raise RuntimeError(f"no time-out: {result}")
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    survivors += Path(f"/proc/{pid}/comm").read_text() == "tk-bench-hostil\n"
                except OSError:
                    continue
            parts.need(session.exec(parts.CODE))
    return {
        "count": count,
        "median_overshoot_ms": round(statistics.median(late), 2),
        "worst_overshoot_ms": round(max(late), 2),
        "survivors": survivors,
    }


def cycles(count: int) -> dict[str, Any]:
    """Make and kill sandboxes; count what is left."""
    with parts.opened("bubblewrap") as box:
        with box.session() as session:
            session.exec("1")
        pids, fds = below(os.getpid()), len(os.listdir("/proc/self/fd"))
        mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
        for _ in range(count):
            with box.session() as session:
                parts.need(session.exec(parts.CODE))
        left = {
            "processes": len(below(os.getpid()) - pids),
            "descriptors": len(os.listdir("/proc/self/fd")) - fds,
            "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()) - mounts,
        }
    return {"count": count, "left": left}


# --- the record ----------------------------------------------------------------------------------------------


def bars(record: dict[str, Any]) -> dict[str, Any]:
    """Hold the figures against what the project asks of them."""
    calls = record["calls"]

    def of(name: str, key: str) -> float | None:
        return calls[name][key] if name in calls else None

    ratio, ms = "ratio_to_plain_subprocess", "median_ms"
    wanted: list[tuple[str, float | None, str, float]] = [
        ("exec in a session, ratio", of("bubblewrap: exec in a session", ratio), "<=", 0.05),
        ("new sandbox, exec, kill, ratio", of("bubblewrap: new sandbox, exec, kill", ratio), "<=", 1.0),
        ("new sandboxes per second", record.get("throughput", {}).get("new_sandbox_exec_kill_per_s"), ">=", 100),
        ("own memory per session, MB", record.get("memory", {}).get("uss_mb_each"), "<=", 4.0),
        ("fork of a session, ms", of("bubblewrap: fork of a session", ms), "<=", 3.0),
        ("fork with pandas and 200 MB, ms", of("bubblewrap: fork of a session, pandas and 200 MB", ms), "<=", 10.0),
        ("docker, exec in a session, ms", of("docker: exec in a session", ms), "<=", 0.5),
        ("median overshoot of a time-out, ms", record.get("time_outs", {}).get("median_overshoot_ms"), "<=", 100.0),
        ("survivors of time-outs", record.get("time_outs", {}).get("survivors"), "<=", 0),
    ]
    return {
        name: {"value": value, "bar": f"{sign} {bar:g}", "holds": value <= bar if sign == "<=" else value >= bar}
        for name, value, sign, bar in wanted
        if value is not None
    }


def forks(calls: dict[str, Any]) -> dict[str, float]:
    """Return how often os.fork, exit and wait of the same interpreter fit into each kind of fork, in this run."""
    pairs = {
        "fork of a session": "os.fork inside a session",
        "the only fork of a session": "os.fork inside a session",
        "fork of a session, pandas and 200 MB": "os.fork inside a session, pandas and 200 MB",
    }
    return {
        name: calls[f"bubblewrap: {name}"]["median_ms"] / calls[f"bubblewrap: {base}"]["median_ms"]
        for name, base in pairs.items()
        if f"bubblewrap: {name}" in calls and f"bubblewrap: {base}" in calls
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="a try-out: few repetitions, no figures for the record")
    parser.add_argument("--only", help="parts whose name holds this text, beside the plain subprocess")
    parser.add_argument("--no-peers", action="store_true", help="install and measure no peers")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write the JSON object to this file")
    args = parser.parse_args()

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text} …", end="", file=sys.stderr, flush=True)

    chosen = {
        name: part
        for name, part in PARTS.items()
        if name == BASE or ((args.only or "") in name and not (args.no_peers and name.startswith("peer")))
    }
    record: dict[str, Any] = {
        "benchmark": "sandbox",
        "thinkact": thinkact.__version__,
        "quick": args.quick,
        "machine": machine(),
        "limits": "defaults",
    }
    record["calls"], skipped = measure(chosen, 2 if args.quick else args.rounds, say)
    if args.only is None or args.only in "bubblewrap":
        more: dict[str, Callable[[], dict[str, Any]]] = {
            "throughput": lambda: throughput(0.5 if args.quick else 5.0),
            "memory": lambda: memory(5 if args.quick else 20),
            "time_outs": lambda: time_outs(3 if args.quick else 200),
            "cycles": lambda: cycles(10 if args.quick else 1000),
        }
        for name, work in more.items():
            say(name)
            try:
                record[name] = work()
            except Skip as reason:
                skipped[name] = str(reason)
    record["peers"] = dict(sorted(parts.versions.items()))
    record["skipped"] = skipped
    record["forks_beside_os_fork"] = forks(record["calls"])
    record["bars"] = bars(record)
    say("")
    text = json.dumps(record, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    if args.json:
        print(text)
    else:
        show(record)
    return 0


def show(record: dict[str, Any]) -> None:
    print(f"{'':52s} {'median':>10s} {'p10':>10s} {'p90':>10s} {'ratio':>8s}   (milliseconds)")
    for name, row in record["calls"].items():
        figures = f"{row['median_ms']:10.3f} {row['p10_ms']:10.3f} {row['p90_ms']:10.3f}"
        print(f"{name:52s} {figures} {row['ratio_to_plain_subprocess']:8.3f}")
    for name in ("throughput", "memory", "time_outs", "cycles", "forks_beside_os_fork"):
        if name in record:
            print(f"{name:20s} {json.dumps(record[name])}")
    for name, row in record["bars"].items():
        print(f"{'holds' if row['holds'] else 'MISSED':6s} {name}: {row['value']:g} ({row['bar']})")
    for name, reason in record["skipped"].items():
        print(f"skipped {name}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
