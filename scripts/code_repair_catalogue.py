"""Write envs/code/repair_catalogue.json and repair_classes.json: run edits in a sandbox, keep what tests can tell.

Usage: python scripts/code_repair_catalogue.py [FUNCTION-KEY …]   (what is missing or out of date without arguments)
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import sys
import time
from pathlib import Path

from thinkact.envs.code.grade import PLAIN, grading_source
from thinkact.envs.code.mutate import Edit, edits
from thinkact.envs.code.repair_classes import METHODS, layout, method_text
from thinkact.envs.code.repair_files import single_file
from thinkact.envs.code.repair_libraries import FUNCTIONS
from thinkact.envs.code.repair_pool import LIBRARIES, Pool, call_of, check_versions, pool_of, slice_of, source_digest
from thinkact.envs.code.repair_types import Function
from thinkact.sandbox import Limits, Sandbox, create, json_equal

_FOLDER = Path(__file__).resolve().parent.parent / "envs" / "code"
TARGET, CLASSES = _FOLDER / "repair_catalogue.json", _FOLDER / "repair_classes.json"
#: A bug must be betrayed by this many inputs: one or more for the visible tests, two or more for the hidden ones.
LEAST = 4
#: Bugs kept per function, and how many of them may sit in a helper that it calls.
MOST, HELPERS = 12, 3
#: Edits tried per helper.
HELPER_EDITS = 24
#: Edits tried per method of a class.
METHOD_EDITS = 28
SECONDS = 4.0


def run_pool(sandbox: Sandbox, function: Function, source: str, pool: Pool) -> list[object] | None:
    """Return what a source gives for each input, or None where it cannot be had."""
    call = call_of(function, "")
    names = [f"a{i}" for i in range(call.arity)]
    unpack = f"        {', '.join(names)}, = args\n" if names else ""
    expression = function.call.format(*names)
    check = (
        f"{PLAIN}\ndef check(inputs):\n    out = []\n    for args in inputs:\n{unpack}"
        f"        try:\n            out.append(_outcome(lambda: {expression}))\n"
        "        except Exception as error:\n            out.append({'odd': type(error).__name__})\n    return out\n"
    )
    result = sandbox.run_cases(source + check, "check", [[[list(args) for args in pool.inputs]]], timeout=SECONDS)[0]
    return result.value if result.ok and isinstance(result.value, list) else None


def run_layout(sandbox: Sandbox, function: Function, files: dict[str, str], pool: Pool) -> list[object] | None:
    """Return what a work tree gives for each input, or None where it cannot be had."""
    source = grading_source(files, (call_of(function, "kit"),)) + (
        "def check_all(inputs):\n    out = []\n    for args in inputs:\n"
        "        try:\n            out.append(check(0, args))\n"
        "        except Exception as error:\n            out.append({'odd': type(error).__name__})\n    return out\n"
    )
    result = sandbox.run_cases(source, "check_all", [[[list(args) for args in pool.inputs]]], timeout=SECONDS)[0]
    return result.value if result.ok and isinstance(result.value, list) else None


def spread(possible: list[Edit], most: int) -> list[Edit]:
    """Return at most so many, from all over the source."""
    step = max(1.0, len(possible) / most)
    return [possible[int(number * step)] for number in range(min(most, len(possible)))]


def method_bugs(sandbox: Sandbox, function: Function) -> dict[str, object]:
    """Try edits of one method, in the class that it belongs to."""
    pool, text = pool_of(function), method_text(function)
    original = run_layout(sandbox, function, layout("kit", function), pool)
    if original is None or not json_equal(original, list(pool.wanted)):
        raise SystemExit(f"{function.key}: the modules do not behave like the library: {original}")
    tried = []
    for edit in spread(edits(text, function.method), METHOD_EDITS):
        tried.append((edit, run_layout(sandbox, function, layout("kit", function, edit.apply(text)), pool)))
    return told_apart(function, pool, [(function.method, edit, got) for edit, got in tried])


def keep(function: Function, found: list[tuple[str, Edit, int]]) -> list[list[object]]:
    """Choose bugs of many kinds, most of them in the function itself."""
    rng = random.Random(f"keep/{function.key}")
    own = function.method or function.name
    order = sorted(found, key=lambda row: (row[0] != own, rng.random()))
    chosen: list[tuple[str, Edit, int]] = []
    helpers = 0
    rounds: dict[str, int] = {}
    ranked = []
    for row in order:
        rounds[row[1].kind] = rounds.get(row[1].kind, 0) + 1
        ranked.append((rounds[row[1].kind], row))
    for _, row in sorted(ranked, key=lambda pair: pair[0]):
        helper = row[0] != own
        if len(chosen) < MOST and not (helper and helpers >= HELPERS):
            helpers += helper
            chosen.append(row)
    chosen.sort(key=lambda row: (row[0] != own, row[0], row[1].start, row[1].new))
    return [[name, edit.kind, edit.start, edit.end, edit.new, f"{mask:x}"] for name, edit, mask in chosen]


def bugs(sandbox: Sandbox, function: Function) -> dict[str, object]:
    """Try every edit of one function."""
    pool, cut = pool_of(function), slice_of(function)
    original = run_pool(sandbox, function, single_file([cut]), pool)
    if original is None or not json_equal(original, list(pool.wanted)):
        raise SystemExit(f"{function.key}: the slice does not behave like the library: {original}")
    tried: list[tuple[str, Edit, list[object] | None]] = []
    for definition in cut.definitions:
        if not isinstance(ast.parse(definition.text).body[0], (ast.FunctionDef, ast.ClassDef)):
            continue
        possible = edits(definition.text, definition.name)
        if definition.name != function.name:
            possible = spread(possible, HELPER_EDITS)
        for edit in possible:
            text = single_file([cut], {(definition.module, definition.name): edit.apply(definition.text)})
            tried.append((definition.name, edit, run_pool(sandbox, function, text, pool)))
    return told_apart(function, pool, tried)


def told_apart(function: Function, pool: Pool, tried: list[tuple[str, Edit, list[object] | None]]) -> dict[str, object]:
    """Return the catalogue's row: of what was tried, with what it gave, the bugs that inputs betray."""
    found: list[tuple[str, Edit, int]] = []
    seen: set[str] = set()
    for name, edit, got in tried:
        if got is None:
            continue
        mask = sum(1 << i for i, (a, b) in enumerate(zip(got, pool.wanted, strict=True)) if not json_equal(a, b))
        behaviour = hashlib.blake2b(json.dumps(got).encode(), digest_size=8).hexdigest()
        if mask.bit_count() >= LEAST and behaviour not in seen:
            seen.add(behaviour)
            found.append((name, edit, mask))
    rows = keep(function, found)
    print(f"{function.key}: {len(tried)} edits, {len(found)} betrayed, {len(rows)} kept", flush=True)
    return {"source": source_digest(function), "pool": pool.digest, "inputs": len(pool.inputs), "bugs": rows}


def write(target: Path, done: dict[str, dict[str, object]]) -> None:
    """Write a catalogue, one bug a line."""
    blocks = []
    for key, row in done.items():
        head = ", ".join(f'"{name}": {json.dumps(row[name])}' for name in ("source", "pool", "inputs"))
        lines = ",\n".join(json.dumps(bug) for bug in row["bugs"])  # type: ignore[attr-defined]
        blocks.append(f'"{key}": {{{head}, "bugs": [\n{lines}]}}')
    libraries = {key.split(".")[0] for key in done}
    versions = json.dumps(
        {name: version for name, version, _ in LIBRARIES.values() if name.replace("-", "_") in libraries}
    )
    body = ",\n".join(blocks)
    target.write_text(f'{{"libraries": {versions},\n"functions": {{\n{body}\n}}}}\n')


def main() -> None:
    """Build the catalogues, or the named part of them; what is there for the same source and inputs is kept."""
    check_versions()
    wanted = set(sys.argv[1:])
    started = time.monotonic()
    with create(limits=Limits(wall_s=SECONDS, cpu_s=1, memory_bytes=256 << 20)) as sandbox:
        for target, functions, find in ((TARGET, FUNCTIONS, bugs), (CLASSES, METHODS, method_bugs)):
            known = json.loads(target.read_text())["functions"] if target.exists() else {}
            done: dict[str, dict[str, object]] = {}
            for function in functions:
                row = known.get(function.key)
                same = row and row["source"] == source_digest(function) and row["pool"] == pool_of(function).digest
                if not same or function.key in wanted:
                    row = find(sandbox, function)
                    write(target, {**known, **done, function.key: row})  # whoever stops it goes on from here
                if row["bugs"]:
                    done[function.key] = row
            write(target, done)
            total = sum(len(row["bugs"]) for row in done.values())  # type: ignore[arg-type]
            print(f"{target.name}: {len(done)} entries, {total} bugs, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
