"""Build a repair task from its id alone: which bug, which files, which tests.

Above the levels of functions there is one of methods: the modules of a library, and a bug in one method of one class.

Splits are cut by *group*: functions that do much the same, or that call each other, share one, so a function of
the ``eval`` or ``hidden`` split never occurs in a training task, not even as a neighbour or helper.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from thinkact.envs.code.env import Problem, visible_tests
from thinkact.envs.code.grade import Case, best_constant
from thinkact.envs.code.repair_classes import CLASSES, METHODS, layout, method_text
from thinkact.envs.code.repair_files import package, single_file
from thinkact.envs.code.repair_libraries import FUNCTIONS
from thinkact.envs.code.repair_pool import (
    LIBRARIES,
    Bug,
    Pool,
    bugs_of,
    call_of,
    catalogue,
    checked_pool,
    class_catalogue,
    slice_of,
)
from thinkact.envs.code.repair_types import Function
from thinkact.envs.code.slice import Definition, Slice
from thinkact.envs.python_task_gen import between
from thinkact.envs.types import Limits, Split, Task

#: 0: one function, most inputs betray the bug. 1: one function, few do. 2: a module of several. 3: a package.
LEVELS = (0, 1, 2, 3)
#: A library of classes, thousands of lines: one method is wrong. In the train split only.
CLASS_LEVEL = 4
_EVAL = frozenset(
    "strip offset partitions items ordinal derange list-text bytes extremes matrix get format fractional".split()
)
_HIDDEN = frozenset(
    "path int-list lines clamp runs prefix merge-sorted diff metric ellipsize polynomial_derivative multinomial a10n "
    "comma".split()
)
#: Visible tests of the broken function, hidden ones of it, and hidden ones of each neighbour.
_VISIBLE, _HIDDEN_TESTS, _NEIGHBOUR_TESTS = 5, 12, 2
_MODULE, _PACKAGE = "solution", "kit"
#: Longer neighbours would only fill the context.
_MAX_NEIGHBOUR = 2200


def split_of(function: Function) -> Split:
    """Tell the split of a function: that of its group."""
    return "eval" if function.group in _EVAL else "hidden" if function.group in _HIDDEN else "train"


@lru_cache(maxsize=16)
def rows(split: Split, level: int) -> tuple[tuple[Function, Bug], ...]:
    """List the bugs of a split that a level offers, in a fixed order."""
    if level == CLASS_LEVEL:
        methods = [each for each in METHODS if each.key in class_catalogue()["functions"] and split_of(each) == split]
        return tuple((method, bug) for method in methods for bug in bugs_of(method.key))
    known = catalogue()["functions"]
    found = []
    for function in FUNCTIONS:
        if function.key in known and split_of(function) == split:
            size = known[function.key]["inputs"]
            for bug in bugs_of(function.key):
                plain = 2 * bug.mask.bit_count() >= size
                if level >= 2 or plain == (level == 0):
                    found.append((function, bug))
    return tuple(found)


@dataclass(frozen=True)
class _Chosen:
    visible: tuple[int, ...]
    hidden: tuple[int, ...]


def _choose(pool: Pool, mask: int, rng: random.Random) -> _Chosen:
    """Choose tests so that the bug fails visible and hidden ones, and no answer is right too often."""
    places = sorted(range(len(pool.inputs)), key=lambda _: rng.random())
    failing = [i for i in places if mask >> i & 1]
    passing = [i for i in places if not mask >> i & 1]
    shown = min(3, len(failing) - 2, max(1, len(failing) // 3))
    failing.sort(key=lambda i: len(str(pool.inputs[i])) + len(str(pool.wanted[i])) > 160)  # short ones are shown
    visible = failing[:shown] + passing[: _VISIBLE - shown][: max(1, len(passing) // 3)]
    rest_failing, rest_passing = failing[shown:], [i for i in passing if i not in visible]
    rng_order = sorted(rest_failing, key=lambda _: rng.random())
    taken: list[int] = []
    counts: dict[str, int] = {}

    def take(candidates: list[int], most: int) -> None:
        for i in candidates:
            if most <= 0:
                return
            text = repr(pool.wanted[i])
            if counts.get(text, 0) < 3:
                counts[text] = counts.get(text, 0) + 1
                taken.append(i)
                most -= 1

    take(rng_order, 8)
    take(rest_passing, _HIDDEN_TESTS - len(taken))
    if sum(mask >> i & 1 for i in taken) < 2 or len(taken) < 6:  # all failing inputs want the same: bear repeats
        taken = (rng_order[:8] + rest_passing)[:_HIDDEN_TESTS]
    return _Chosen(tuple(sorted(visible, key=lambda _: rng.random())), tuple(sorted(taken, key=lambda _: rng.random())))


def _names(cut: Slice) -> dict[str, str]:
    bound = {line.split()[-1].split(".")[0]: line for line in cut.imports}
    return {**bound, **{each.name: each.module for each in cut.definitions}}


def _neighbours(function: Function, bug: Bug, split: Split, wanted: int, rng: random.Random) -> list[Function]:
    """Choose functions of the same split that go into the same files and that the bug cannot reach."""
    names = _names(slice_of(function))
    broken = next(each for each in slice_of(function).definitions if each.name == bug.definition)
    chosen: list[Function] = []
    known = catalogue()["functions"]
    candidates = [each for each in FUNCTIONS if split_of(each) == split and each.key in known and each != function]
    candidates.sort(key=lambda each: (each.library != function.library, rng.random()))
    for each in candidates:
        if len(chosen) == wanted:
            break
        cut = slice_of(each)
        theirs = _names(cut)
        clash = any(names.get(name, meaning) != meaning for name, meaning in theirs.items())
        touched = any((part.module, part.name) == (broken.module, broken.name) for part in cut.definitions)
        size = sum(len(part.text) for part in cut.definitions if part.name not in names)
        if clash or touched or size > _MAX_NEIGHBOUR or each.name in names:
            continue
        names.update(theirs)
        chosen.append(each)
    return chosen


def _header(functions: list[Function]) -> str:
    lines = []
    for library in dict.fromkeys(function.library for function in functions):
        name, version, licence = LIBRARIES[library]
        lines.append(f"# From {name} {version} ({licence}); changed.\n")
    return "".join(lines)


def _lay_out(level: int, functions: list[Function], changes: dict[tuple[str, str], str]) -> dict[str, str]:
    slices = [slice_of(function) for function in functions]
    head = _header(functions)
    if level < 3:
        return {f"{_MODULE}.py": head + single_file(slices, changes)}
    public = [name for function in functions for name in (function.name, *function.also)]
    files = package(_PACKAGE, slices, public, ("items", "more"), changes)
    return {path: head + text if not path.endswith("__init__.py") else text for path, text in files.items()}


def _edit(broken: dict[str, str], fixed: dict[str, str]) -> tuple[str, str, str]:
    """Find the expert's edit: whole lines around the difference, as many as make the old text unique."""
    path = next(path for path in broken if broken[path] != fixed[path])
    old, new = broken[path].splitlines(keepends=True), fixed[path].splitlines(keepends=True)
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    tail = 0
    while tail < min(len(old), len(new)) - first and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    start, end_old, end_new = first, len(old) - tail, len(new) - tail
    while start == end_old or broken[path].count("".join(old[start:end_old])) != 1:
        start -= 1
        if broken[path].count("".join(old[max(start, 0) : end_old])) != 1 and end_old < len(old):
            end_old, end_new = end_old + 1, end_new + 1
    return path, "".join(old[start:end_old]), "".join(new[start:end_new])


@lru_cache(maxsize=256)
def build(split: Split, level: int, number: int) -> Problem | None:
    """Build a task, or None where there is none of that number.

    Raises:
        MissingLibrary: A library of the extra ``code`` is not there.
    """
    if level not in (*LEVELS, CLASS_LEVEL) or not 0 <= number < len(rows(split, level)):
        return None
    function, bug = rows(split, level)[number]
    rng = random.Random(f"repair/{split}/{level}/{number}")
    pool = checked_pool(function)
    if level == CLASS_LEVEL:
        neighbours: list[Function] = []
    else:
        neighbours = _neighbours(function, bug, split, {2: between(rng, 3, 5), 3: 3}.get(level, 0), rng)
    functions = [function, *neighbours]
    functions.sort(key=lambda each: rng.random())
    if level == CLASS_LEVEL:
        changed, head = bug.edit.apply(method_text(function)), _header(functions)
        files, fixed = layout(_PACKAGE, function, changed, head), layout(_PACKAGE, function, None, head)
    else:
        broken: Definition = next(each for each in slice_of(function).definitions if each.name == bug.definition)
        changes = {(broken.module, broken.name): bug.edit.apply(broken.text)}
        files, fixed = _lay_out(level, functions, changes), _lay_out(level, functions, {})
    module = _PACKAGE if level >= 3 else _MODULE
    calls = tuple(call_of(each, module) for each in functions)
    target = functions.index(function)
    chosen = _choose(pool, bug.mask, rng)
    visible = [Case(target, pool.inputs[i], pool.wanted[i]) for i in chosen.visible]
    hidden = [Case(target, pool.inputs[i], pool.wanted[i]) for i in chosen.hidden]
    unharmed = sum(not bug.mask >> i & 1 for i in chosen.hidden)
    floor = max(unharmed, best_constant([case.wanted for case in hidden], [case.args for case in hidden]))
    for each in neighbours:
        other = checked_pool(each)
        place = functions.index(each)
        picked = sorted(range(len(other.inputs)), key=lambda _: rng.random())[: 1 + _NEIGHBOUR_TESTS]
        cases = [Case(place, other.inputs[i], other.wanted[i]) for i in picked]
        visible.append(cases[0])
        hidden += cases[1:]
        floor += len(cases) - 1
    visible.sort(key=lambda case: case.call)
    tests = f"test_{module}.py"
    names = [each.name for each in functions]
    files[tests] = visible_tests(calls, visible, names)
    graded = tuple(path for path in files if path != tests)
    failing = sum(bug.mask >> i & 1 for i in chosen.visible)
    task = Task(
        id=f"{split}/{level}/{number}",
        family="code-repair",
        split=split,
        seed=number,
        prompt=_prompt(graded, sorted(CLASSES if level == CLASS_LEVEL else names), tests, failing, len(visible)),
        difficulty=float(level),
        limits=Limits(max_turns={0: 10, 1: 10, CLASS_LEVEL: 24}.get(level, 16), max_invalid=3, max_chars=4000),
    )
    return Problem(task, files, tests, graded, calls, tuple(hidden), floor, (_edit(files, fixed),))


def _prompt(graded: tuple[str, ...], public: list[str], tests: str, failing: int, total: int) -> str:
    where = graded[0] if len(graded) == 1 else f"the package in {graded[0].split('/')[0]}/ ({len(graded)} files)"
    names = ", ".join(public)
    fail = "fails" if failing == 1 else "fail"
    return (
        f"{where} defines {names}. There is one bug in it: {failing} of {total} tests in {tests} {fail}. "
        "Find it and repair it so that everything does what its docstring says. "
        "Other tests, which you cannot see, decide; what worked must go on working. Then call submit."
    )


def draw(split: Split, levels: tuple[int, ...], rng: Any) -> str:
    """Draw a task id; functions are equally likely, whatever number of bugs each has."""
    level = levels[int(rng.integers(len(levels)))]
    found = rows(split, level)
    keys = list(dict.fromkeys(function.key for function, _ in found))
    key = keys[int(rng.integers(len(keys)))]
    numbers = [number for number, (function, _) in enumerate(found) if function.key == key]
    return f"{split}/{level}/{numbers[int(rng.integers(len(numbers)))]}"


__all__ = ["CLASS_LEVEL", "LEVELS", "build", "draw", "rows", "split_of"]
