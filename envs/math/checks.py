"""Exact verifiers for mathematical problems: a submitted text against the facts of the problem.

Where several answers are right (a colouring, a path, an expression that makes 24) the answer is checked against
the rules and not against one solution. Every function is total: what cannot be read is wrong, nothing that is
submitted raises, and nothing costs more than its length allows; expressions are judged in a process that can be
killed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import gcd

from thinkact.envs.answers_expression import parse
from thinkact.envs.answers_process import SHARED
from thinkact.envs.answers_read import read_items, read_rational

#: Longer submissions are no answer to any problem here.
MAX_CHARS = 600
Accepts = Callable[[str], bool]
Grid = list[list[str]]


def bounded(accepts: Accepts) -> Accepts:
    """Refuse over-long text before looking at it."""
    return lambda text: len(text) <= MAX_CHARS and bool(text.strip()) and accepts(text.strip())


def read_json(text: str) -> object:
    """Parse JSON with numbers as text; None if it is none (or nested too deeply)."""

    def refuse(name: str) -> object:
        raise ValueError(name)

    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def read_grid(text: str) -> Grid | None:
    """Read a grid as rows of cells separated by white space, or as a JSON array of arrays."""
    if text.startswith("["):
        rows = read_json(text)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
            return None
        if any(not isinstance(cell, str) for row in rows for cell in row):
            return None
        return [list(row) for row in rows]
    grid = [line.split() for line in text.splitlines() if line.strip()]
    return grid or None


def whole(text: str) -> int | None:
    """Read a small whole number written in plain digits."""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else None


def whole_grid(text: str, rows: int, columns: int) -> list[list[int]] | None:
    """Read a grid of whole numbers of a given size."""
    grid = read_grid(text)
    if grid is None or len(grid) != rows or any(len(row) != columns for row in grid):
        return None
    cells = [[whole(cell) for cell in row] for row in grid]
    return None if any(cell is None for row in cells for cell in row) else cells  # type: ignore[return-value]


def same_grid(wanted: Sequence[Sequence[float | int | str]], decimals: int | None = None) -> Accepts:
    """Accept exactly this grid; numbers may be given with more decimals than asked for."""
    golds = [[Fraction(str(cell)) for cell in row] for row in wanted]
    slack = Fraction(0) if decimals is None else Fraction(500_001, 10**6) / 10**decimals

    def accepts(text: str) -> bool:
        grid = read_grid(text)
        if grid is None or [len(row) for row in grid] != [len(row) for row in golds]:
            return False
        for row, gold_row in zip(grid, golds, strict=True):
            for cell, gold in zip(row, gold_row, strict=True):
                value = read_rational(cell)
                if value is None or abs(value - gold) > slack:
                    return False
        return True

    return accepts


def same_list(wanted: Sequence[str]) -> Accepts:
    """Accept exactly these numbers in this order, separated by commas, semicolons or white space."""
    golds = [Fraction(item) for item in wanted]

    def accepts(text: str) -> bool:
        items = read_items(text) if any(mark in text for mark in ",;[") else text.split()
        if items is None:
            return text.replace(" ", "") == "[]" and not golds
        return [read_rational(item) for item in items] == golds

    return accepts


def same_words(wanted: Sequence[str]) -> Accepts:
    """Accept exactly these tokens, separated by white space."""
    return lambda text: text.split() == list(wanted)


def reduced_fraction(above: int, below: int) -> Accepts:
    """Accept a fraction in lowest terms, plain or as LaTeX."""
    divisor = gcd(above, below)
    above, below = above // divisor, below // divisor

    def accepts(text: str) -> bool:
        match = re.fullmatch(r"\$?(?:(\d{1,30})/(\d{1,30})|\\d?frac\{(\d{1,30})\}\{(\d{1,30})\})\$?", text, re.ASCII)
        if match is None:
            return below == 1 and whole(text) == above
        return (int(match[1] or match[3]), int(match[2] or match[4])) == (above, below)

    return accepts


def rounded(value: float, digits: int) -> Accepts:
    """Accept what rounds to a value at so many significant digits."""
    gold = Fraction(value)
    power = 0
    while abs(gold) >= Fraction(10) ** (power + 1):
        power += 1
    while abs(gold) < Fraction(10) ** power:
        power -= 1
    slack = Fraction(500_001, 10**6) * Fraction(10) ** (power - digits + 1)
    return lambda text: (given := read_rational(text)) is not None and abs(given - gold) <= slack


def factors(wanted: Sequence[int]) -> Accepts:
    """Accept these prime factors in any order, separated by ×, x or *."""

    def accepts(text: str) -> bool:
        given = [whole(part.strip()) for part in re.split("[×x*]", text)]
        return None not in given and Counter(given) == Counter(wanted)

    return accepts


def hexadecimal(value: int) -> Accepts:
    """Accept one hexadecimal number with its prefix."""

    def accepts(text: str) -> bool:
        match = re.fullmatch(r"(-?)0x([0-9a-f]{1,40})", text.lower(), re.ASCII)
        return match is not None and int(match[1] + match[2], 16) == value

    return accepts


def antiderivative(gold: str, variable: str) -> Accepts:
    """Accept any function that differs from the gold by a constant (which may be called C)."""
    name = variable.lower()
    parse(gold, frozenset((name, "c")))  # raises if it is none
    return lambda text: SHARED.ask("same_derivative", text, gold, name).right


def makes(target: int, numbers: Sequence[int]) -> Accepts:
    """Accept an expression of exactly these numbers, each used once, that makes the target."""
    return lambda text: SHARED.ask("makes", text, target, list(numbers)).right


def latin(
    puzzle: Sequence[Sequence[int]], box: int = 0, order: Sequence[tuple[int, int, int, int, str]] = ()
) -> Accepts:
    """Accept a filled Latin square (Sudoku with ``box``, Futoshiki with ``order``) that keeps the given cells."""
    size = len(puzzle)
    every = set(range(1, size + 1))

    def accepts(text: str) -> bool:
        lines = [re.sub("[<>∧∨^|v]", " ", line) for line in text.splitlines()] if order else text.splitlines()
        grid = whole_grid("\n".join(lines) if not text.startswith("[") else text, size, size)
        if grid is None:
            return False
        units = [*map(set, grid), *(set(column) for column in zip(*grid, strict=True))]
        if box:
            units += [
                {grid[top + i][left + j] for i in range(box) for j in range(box)}
                for top in range(0, size, box)
                for left in range(0, size, box)
            ]
        return (
            all(unit == every for unit in units)
            and all(given in (0, cell) for row, filled in zip(puzzle, grid, strict=True)
                    for given, cell in zip(row, filled, strict=True))
            and all((grid[a][b] < grid[c][d]) == (sign == "<") for a, b, c, d, sign in order)
        )  # fmt: skip

    return accepts


def kakurasu(row_sums: Sequence[int], column_sums: Sequence[int]) -> Accepts:
    """Accept zeros and ones whose weighted sums are right."""

    def accepts(text: str) -> bool:
        grid = whole_grid(text, len(row_sums), len(column_sums))
        if grid is None or any(cell not in (0, 1) for row in grid for cell in row):
            return False
        rows = [sum(j * cell for j, cell in enumerate(row, 1)) for row in grid]
        columns = [sum(i * cell for i, cell in enumerate(column, 1)) for column in zip(*grid, strict=True)]
        return rows == list(row_sums) and columns == list(column_sums)

    return accepts


def survo(puzzle: Sequence[Sequence[int]], numbers: Sequence[int]) -> Accepts:
    """Accept a filled table whose last row and column are the sums, with each number used once."""
    size = len(puzzle)

    def accepts(text: str) -> bool:
        grid = whole_grid(text, size, size)
        if grid is None:
            return False
        used = []
        for row, filled in zip(puzzle, grid, strict=True):
            for given, cell in zip(row, filled, strict=True):
                if given == 0:
                    used.append(cell)
                elif given != cell:
                    return False
        sums = all(sum(line[:-1]) == line[-1] for line in (*grid, *zip(*grid, strict=True)))
        return sums and Counter(used) == Counter(numbers)

    return accepts


def queens(puzzle: Sequence[Sequence[str]]) -> Accepts:
    """Accept a board with all queens, none of which attacks another, that keeps the given ones."""
    size = len(puzzle)

    def accepts(text: str) -> bool:
        grid = [line.split() for line in text.splitlines() if line.strip()]
        if [len(row) for row in grid] != [size] * size or any(cell not in "Q_" for row in grid for cell in row):
            return False
        placed = [(i, j) for i, row in enumerate(grid) for j, cell in enumerate(row) if cell == "Q"]
        kept = all(grid[i][j] == "Q" for i, row in enumerate(puzzle) for j, cell in enumerate(row) if cell == "Q")
        lines = ({i for i, _ in placed}, {j for _, j in placed}, {i + j for i, j in placed}, {i - j for i, j in placed})
        return kept and len(placed) == size and all(len(line) == size for line in lines)

    return accepts


def cryptarithm(words: Sequence[str], result: str) -> Accepts:
    """Accept a mapping of all letters to different digits, without leading zeros, for which the sum is right."""
    letters = set("".join(words) + result)

    def accepts(text: str) -> bool:
        pairs = [re.fullmatch(r" *([A-Z]) *= *(\d) *", part, re.ASCII) for part in text.upper().split(",")]
        if any(pair is None for pair in pairs):
            return False
        digits = {pair[1]: pair[2] for pair in pairs if pair is not None}
        if set(digits) != letters or len(pairs) != len(letters) or len(set(digits.values())) != len(letters):
            return False
        if any(digits[word[0]] == "0" for word in (*words, result)):
            return False
        return sum(int("".join(digits[c] for c in word)) for word in words) == int("".join(digits[c] for c in result))

    return accepts


def coloring(vertices: Sequence[int], edges: Sequence[Sequence[int]], colors: Sequence[int]) -> Accepts:
    """Accept a colour for every vertex such that no edge joins two of the same."""

    def accepts(text: str) -> bool:
        given = read_json(text)
        if not isinstance(given, dict) or set(given) != {str(vertex) for vertex in vertices}:
            return False
        if any(not isinstance(color, str) or whole(color) not in colors for color in given.values()):
            return False
        return all(given[str(a)] != given[str(b)] for a, b in edges)

    return accepts
