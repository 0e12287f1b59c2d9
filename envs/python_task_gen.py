"""Procedural programming tasks: every task is rebuilt from ``(level, number)`` alone.

A task asks for one function ``f(x)``. Levels 0 to 3 chain *steps*; a step has words for the prompt, a
reference in Python that the verifier calls, and a line of code that the scripted expert writes. Reference
and line are separate on purpose: a solved task shows that they agree. Level 4 is a library of small
algorithms (:mod:`thinkact.envs.python_task_algos`).

Splits are cut by *behaviour*: the outputs of the reference on fixed probe inputs are hashed, so two texts
for the same function ("add 3, then add 4" and "add 4, then add 3") always share a split.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from thinkact.envs.types import Split

LEVELS = (0, 1, 2, 3, 4)
#: Task numbers run from 0 to here, per level.
NUMBERS = 1_000_000
#: Hidden tests per task, and how many of them may be edge cases.
HIDDEN, EDGES = 8, 3


@dataclass(frozen=True)
class Step:
    """One step of a chain: ``{}`` in ``code`` stands for the value so far."""

    words: str
    apply: Callable[[Any], Any]
    code: str


@dataclass(frozen=True)
class Spec:
    """A function to write: what the prompt says, what is right, and the expert's lines."""

    words: str
    reference: Callable[[Any], Any]
    body: tuple[str, ...]
    draw: Callable[[random.Random], Any]
    edges: tuple[Any, ...]
    #: Fixed inputs that tell functions over this kind of input apart.
    probes: tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """A task with its hidden part."""

    level: int
    number: int
    split: Split
    words: str
    source: str
    visible: tuple[tuple[Any, Any], ...]
    hidden: tuple[tuple[Any, Any], ...] = field(repr=False)
    #: Hidden cases that returning a constant, or the input itself, could pass; they alone pay nothing.
    floor: int = 1

    @property
    def prompt(self) -> str:
        """The task as the agent reads it: short, with two examples."""
        examples = " ".join(f"f({given!r})={wanted!r}" for given, wanted in self.visible)
        return f"Write f(x): {self.words}. {examples}"


def pick(rng: random.Random, items: Sequence[Any]) -> Any:
    """Draw one item with ``Random.random`` only: the one method whose stream Python promises to keep."""
    return items[int(rng.random() * len(items))]


def between(rng: random.Random, low: int, high: int) -> int:
    """Draw an integer, both ends included."""
    return low + int(rng.random() * (high - low + 1))


# Kinds of input: (a random one, edge cases, probes).

WORDS = "sun tree river code moon blue apple stone ada otto level cat bee noon Paris Oslo Tea Egg".split()


def draw_int(rng: random.Random) -> int:
    """Draw a small integer."""
    return between(rng, -9, 30)


def draw_ints(rng: random.Random) -> list[int]:
    """Draw a short list with some values twice."""
    values = [between(rng, -9, 20) for _ in range(between(rng, 2, 7))]
    return values + [pick(rng, values)] if rng.random() < 0.5 else values


def draw_text(rng: random.Random) -> str:
    """Draw a few words, single-spaced."""
    return " ".join(pick(rng, WORDS) for _ in range(between(rng, 2, 5)))


_PROBE = random.Random("probes")
KINDS: dict[str, tuple[Callable[[random.Random], Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "int": (draw_int, (0, -1, -50, 1000), (0, 1, -1, 2, 7, 10, 99, -50, 1234, 100_003)),
    "ints": (
        draw_ints,
        ([], [0], [7], [-3, -8], [5, 5, 5], [4, 1, 4, 1]),
        ([], [0], [2], [9, 9], *(draw_ints(_PROBE) for _ in range(12)), list(range(-30, 60))),
    ),
    "text": (
        draw_text,
        ("", "a", "Z", "noon noon", "A b A"),
        ("", "a", *(draw_text(_PROBE) for _ in range(12))),
    ),
}


# Steps. Each maker takes the generator and returns a step; the tables below say what fits where.

Maker = Callable[[random.Random], Step]


def _number(words: str, apply: Callable[[Any, int], Any], code: str, low: int, high: int) -> Maker:
    """Make a step with one number: ``K`` in words and code."""

    def make(rng: random.Random) -> Step:
        k = between(rng, low, high)
        return Step(words.replace("K", str(k)), lambda x: apply(x, k), code.replace("K", str(k)))

    return make


def _fixed(words: str, apply: Callable[[Any], Any], code: str) -> Maker:
    step = Step(words, apply, code)
    return lambda rng: step


def _unique(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: list(values).count(value) for value in values}


_SIMPLE: list[Maker] = [
    _number("add K", lambda x, k: x + k, "{} + K", 1, 99),
    _number("subtract K", lambda x, k: x - k, "{} - K", 1, 99),
    _number("multiply by K", lambda x, k: x * k, "{} * K", 2, 99),
    _number("subtract it from K", lambda x, k: k - x, "K - {}", 1, 99),
]
_SMALL: list[Maker] = [
    _number("add K", lambda x, k: x + k, "{} + K", 1, 20),
    _number("subtract K", lambda x, k: x - k, "{} - K", 1, 20),
    _number("multiply by K", lambda x, k: x * k, "{} * K", 2, 9),
]
_INT: list[Maker] = [
    *_SMALL,
    _number("take the remainder by K", lambda x, k: x % k, "{} % K", 11, 29),
    _number("divide by K rounding down", lambda x, k: x // k, "{} // K", 2, 5),
    _fixed("take the absolute value", abs, "abs({})"),
    _fixed("square it", lambda x: x * x, "{} ** 2"),
]
_LIST: list[Maker] = [
    _fixed("keep the even numbers", lambda x: [v for v in x if v % 2 == 0], "[v for v in {} if v % 2 == 0]"),
    _fixed("keep the odd numbers", lambda x: [v for v in x if v % 2], "[v for v in {} if v % 2 == 1]"),
    _number("keep numbers above K", lambda x, k: [v for v in x if v > k], "[v for v in {} if v > K]", -4, 8),
    _number("keep numbers below K", lambda x, k: [v for v in x if v < k], "[v for v in {} if v < K]", 3, 15),
    _number("add K to each", lambda x, k: [v + k for v in x], "[v + K for v in {}]", 1, 9),
    _number("multiply each by K", lambda x, k: [v * k for v in x], "[v * K for v in {}]", 2, 9),
    _number("drop the first K", lambda x, k: x[k:], "{}[K:]", 1, 2),
    _number("keep the first K", lambda x, k: x[:k], "{}[:K]", 3, 4),
    _fixed("reverse the list", lambda x: x[::-1], "{}[::-1]"),
    _fixed("sort it", sorted, "sorted({})"),
    _fixed("sort it from high to low", lambda x: sorted(x, reverse=True), "sorted({}, reverse=True)"),
    _fixed("remove repeats", _unique, "list(dict.fromkeys({}))"),
]
_REDUCE: list[Maker] = [
    _fixed("sum it", sum, "sum({})"),
    _fixed("take the largest or 0", lambda x: max(x, default=0), "max({}, default=0)"),
    _fixed("take the smallest or 0", lambda x: min(x, default=0), "min({}, default=0)"),
    _number("sum it and add K", lambda x, k: sum(x) + k, "sum({}) + K", 1, 50),
    _number("count it and multiply by K", lambda x, k: len(x) * k, "len({}) * K", 2, 9),
]
_VOWELS = "aeiouAEIOU"
#: Level 3: (type before, type after, maker).
_TYPED: list[tuple[str, str, Maker]] = [
    ("text", "text", _fixed("make it upper case", str.upper, "{}.upper()")),
    ("text", "text", _fixed("make it lower case", str.lower, "{}.lower()")),
    ("text", "text", _fixed("reverse the text", lambda x: x[::-1], "{}[::-1]")),
    (
        "text",
        "text",
        _fixed(
            "remove the vowels",
            lambda x: "".join(c for c in x if c not in _VOWELS),
            "''.join(c for c in {} if c not in 'aeiouAEIOU')",
        ),
    ),
    ("text", "text", _number("drop the last K characters", lambda x, k: x[:-k], "{}[:-K]", 1, 5)),
    ("text", "text", _number("drop the first K characters", lambda x, k: x[k:], "{}[K:]", 1, 5)),
    ("text", "words", _fixed("split it into words", str.split, "{}.split()")),
    ("text", "words", _fixed("list its letters without spaces", lambda x: list(x.replace(" ", "")),
                             "list({}.replace(' ', ''))")),
    ("words", "words", _fixed("sort the list", sorted, "sorted({})")),
    ("words", "words", _fixed("reverse the list", lambda x: x[::-1], "{}[::-1]")),
    ("words", "words", _fixed("remove repeats", _unique, "list(dict.fromkeys({}))")),
    ("words", "words", _fixed("reverse each item", lambda x: [w[::-1] for w in x], "[w[::-1] for w in {}]")),
    ("words", "words", _number("drop the first K items", lambda x, k: x[k:], "{}[K:]", 1, 3)),
    ("words", "words", _number("repeat each item K times", lambda x, k: [w * k for w in x],
                               "[w * K for w in {}]", 2, 4)),
    ("words", "text", _fixed("join it with -", "-".join, "'-'.join({})")),
    ("words", "text", _fixed("take the longest item, the first if tied, or ''",
                             lambda x: max(x, key=len, default=""), "max({}, key=len, default='')")),
    ("words", "counts", _fixed("count each item in a dict", _counts, "{k: {}.count(k) for k in {}}")),
    ("words", "counts", _fixed("map each item to its length", lambda x: {w: len(w) for w in x},
                               "{w: len(w) for w in {}}")),
    ("words", "ints", _fixed("take the length of each", lambda x: [len(w) for w in x],
                             "[len(w) for w in {}]")),
    ("counts", "counts", _number("add K to each value", lambda x, k: {a: b + k for a, b in x.items()},
                                 "{a: b + K for a, b in {}.items()}", 1, 9)),
    ("counts", "counts", _number("multiply each value by K", lambda x, k: {a: b * k for a, b in x.items()},
                                 "{a: b * K for a, b in {}.items()}", 2, 9)),
    ("counts", "counts", _number("keep values above K", lambda x, k: {a: b for a, b in x.items() if b > k},
                                 "{a: b for a, b in {}.items() if b > K}", 1, 3)),
    ("counts", "words", _fixed("list the keys in order", sorted, "sorted({})")),
    ("counts", "words", _fixed("list the keys by falling value, ties by key",
                               lambda x: sorted(x, key=lambda a: (-x[a], a)),
                               "sorted({}, key=lambda a: (-{}[a], a))")),
    ("counts", "ints", _fixed("list the values in order", lambda x: sorted(x.values()),
                              "sorted({}.values())")),
    *(("ints", "ints", maker) for maker in _LIST[4:6] + _LIST[8:11]),
    ("ints", "int", _fixed("sum it", sum, "sum({})")),
    ("int", "int", _number("multiply by K", lambda x, k: x * k, "{} * K", 2, 9)),
    ("int", "int", _number("add K", lambda x, k: x + k, "{} + K", 1, 50)),
]  # fmt: skip


def _chain(steps: Sequence[Step], kind: str, *, one_expression: bool) -> Spec:
    def reference(x: Any) -> Any:
        for step in steps:
            x = step.apply(x)
        return x

    if one_expression:  # return ((x + 4) * 2) - 7: the steps in the order of the words
        code = "x"
        for step in steps:
            bare = code == "x" or step.code == "abs({})"
            code = step.code.replace("{}", code if bare else f"({code})")
        body: tuple[str, ...] = (f"return {code}",)
    else:
        lines = [step.code.replace("{}", "x") for step in steps]
        body = (*(f"x = {line}" for line in lines[:-1]), f"return {lines[-1]}")
    words = ", then ".join(step.words for step in steps)
    return Spec(words, reference, body, *KINDS[kind])


def _condition(rng: random.Random) -> Spec:
    """Make a choice between two arithmetic steps."""
    k = between(rng, -3, 15)
    words, test, code = pick(
        rng,
        [
            ("x is even", lambda x: x % 2 == 0, "x % 2 == 0"),
            (f"x is above {k}", lambda x: x > k, f"x > {k}"),
            (f"x is below {k}", lambda x: x < k, f"x < {k}"),
        ],
    )
    yes, no = pick(rng, _SMALL)(rng), pick(rng, _SMALL)(rng)
    return Spec(
        f"if {words} {yes.words}, else {no.words}",
        lambda x: yes.apply(x) if test(x) else no.apply(x),
        (f"return {yes.code.format('x')} if {code} else {no.code.format('x')}",),
        *KINDS["int"],
    )


def _typed_chain(rng: random.Random) -> Spec:
    kind, steps = "text", []
    for _ in range(between(rng, 3, 4)):
        _, kind, maker = pick(rng, [row for row in _TYPED if row[0] == kind])
        steps.append(maker(rng))
    return _chain(steps, "text", one_expression=False)


def make_spec(level: int, rng: random.Random) -> Spec:
    """Draw a function of the given level."""
    if level == 0:
        return _chain([pick(rng, _SIMPLE)(rng)], "int", one_expression=True)
    if level == 1:
        steps = [pick(rng, _SMALL)(rng) for _ in range(between(rng, 2, 3))]
        return _chain(steps, "int", one_expression=True)
    if level == 2:
        form = pick(rng, ("condition", "int", "list", "reduce", "reduce"))
        if form == "condition":
            return _condition(rng)
        if form == "int":
            return _chain([pick(rng, _INT)(rng) for _ in range(3)], "int", one_expression=True)
        lists = [pick(rng, _LIST)(rng) for _ in range(2)]
        reduce = [pick(rng, _REDUCE)(rng)] if form == "reduce" else []
        return _chain(lists + reduce, "ints", one_expression=False)
    if level == 3:
        return _typed_chain(rng)
    from thinkact.envs.python_task_algos import make_algorithm  # it builds on Spec: imported late

    return make_algorithm(rng)


def split_of(spec: Spec) -> Split:
    """Tell the split by what the function does: 8 in 10 train, 1 eval, 1 hidden."""
    outputs = [spec.reference(copy.deepcopy(probe)) for probe in spec.probes]
    text = json.dumps([spec.probes, outputs], sort_keys=True)
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    return "train" if bucket < 8 else "eval" if bucket == 8 else "hidden"


@lru_cache(maxsize=4096)
def split_at(level: int, number: int) -> Split:
    """Tell the split of a task without building its cases."""
    return split_of(make_spec(level, random.Random(f"{level}/{number}")))


@lru_cache(maxsize=4096)
def build(level: int, number: int) -> Problem | None:
    """Build a task, or None when this number gives a function too dull to test (few distinct outputs)."""
    if level not in LEVELS or not 0 <= number < NUMBERS:
        return None
    rng = random.Random(f"{level}/{number}")
    spec = make_spec(level, rng)
    cases = _cases(spec, rng)
    if cases is None:
        return None
    visible, hidden = cases
    source = "def f(x):\n" + "".join(f"    {line}\n" for line in spec.body)
    floor = max(1, sum(given == wanted for given, wanted in hidden))
    return Problem(level, number, split_of(spec), spec.words, source.rstrip("\n"), tuple(visible), tuple(hidden), floor)


def _cases(spec: Spec, rng: random.Random) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]] | None:
    """Choose inputs whose outputs all differ, so that no constant passes two and no visible output one."""
    seen_inputs: set[str] = set()
    seen_outputs: set[str] = set()
    fixed_points = 0

    def take(given: Any, longest: int = 400) -> tuple[Any, Any] | None:
        nonlocal fixed_points
        wanted = spec.reference(copy.deepcopy(given))
        key_in, key_out = json.dumps(given), json.dumps(wanted, sort_keys=True)
        dull = given == wanted and fixed_points >= 1
        too_long = len(key_in) + len(key_out) > longest
        if dull or too_long or key_in in seen_inputs or key_out in seen_outputs:
            return None
        fixed_points += given == wanted
        seen_inputs.add(key_in)
        seen_outputs.add(key_out)
        return given, wanted

    def fill(cases: list[tuple[Any, Any]], size: int, longest: int = 400) -> None:
        for _ in range(10 * size):
            if len(cases) >= size:
                return
            case = take(spec.draw(rng), longest)
            if case is not None:
                cases.append(case)

    visible: list[tuple[Any, Any]] = []
    fill(visible, 2, longest=80)
    hidden: list[tuple[Any, Any]] = []
    fill(hidden, HIDDEN - EDGES)  # the first hidden case is an ordinary one: see the verifier's time-out
    offset = int(rng.random() * len(spec.edges)) if spec.edges else 0
    for edge in spec.edges[offset:] + spec.edges[:offset]:
        case = take(edge) if len(hidden) < HIDDEN else None
        if case is not None:
            hidden.append(case)
    fill(hidden, HIDDEN)
    return (visible, hidden) if len(visible) == 2 and len(hidden) == HIDDEN else None
