"""Level 4 of the programming tasks: small algorithms with parameters and edge cases.

Every maker draws parameters and returns a :class:`~thinkact.envs.python_task_gen.Spec`: words that settle
the edge cases, a reference, and the expert's lines, written independently of the reference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from thinkact.envs.python_task_gen import Spec, between, draw_ints, draw_text, pick

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _spec(
    words: str,
    reference: Callable[[Any], Any],
    body: str,
    draw: Callable[[random.Random], Any],
    edges: Sequence[Any],
) -> Spec:
    """Close a spec; what tells its functions apart are the edges and ten fixed draws."""
    probe_rng = random.Random("probes")
    probes = (*edges, *(draw(probe_rng) for _ in range(10)))
    return Spec(words, reference, tuple(body.strip("\n").splitlines()), draw, tuple(edges), probes)


def _runs(rng: random.Random) -> str:
    return "".join(pick(rng, "abcxyz") * between(rng, 1, 5) for _ in range(between(rng, 2, 5)))


def run_lengths(rng: random.Random) -> Spec:
    """Run-length coding with a shortest run and a layout."""
    shortest, first, mark = between(rng, 2, 4), pick(rng, ("count", "letter")), pick(rng, ("", ":", "*", "_"))
    layout = f"count{mark}letter" if first == "count" else f"letter{mark}count"

    def reference(x: str) -> str:
        out = ""
        for letter, run in groupby(x):
            n = len(list(run))
            coded = f"{n}{mark}{letter}" if first == "count" else f"{letter}{mark}{n}"
            out += coded if n >= shortest else letter * n
        return out

    piece = f"str(n) + '{mark}' + x[i]" if first == "count" else f"x[i] + '{mark}' + str(n)"
    body = f"""
out, i = '', 0
while i < len(x):
    n = 1
    while i + n < len(x) and x[i + n] == x[i]:
        n += 1
    out += {piece} if n >= {shortest} else x[i] * n
    i += n
return out
"""
    words = f"write each run of {shortest} or more equal letters as {layout}, leave shorter runs as they are"
    return _spec(words, reference, body, _runs, ["", "a", "aaaaaaaaaaaa", "abab", "zzzzz"])


def to_base(rng: random.Random) -> Spec:
    """Base conversion with padding and a sign."""
    base, width, upper = between(rng, 2, 36), between(rng, 1, 9), rng.random() < 0.5

    def reference(x: int) -> str:
        n, digits = abs(x), ""
        while n:
            n, digit = divmod(n, base)
            digits = _DIGITS[digit] + digits
        text = digits.rjust(width, "0")
        return ("-" if x < 0 else "") + (text.upper() if upper else text)

    body = f"""
digits = '{_DIGITS.upper() if upper else _DIGITS}'
out, n = '', abs(x)
while n > 0:
    out = digits[n % {base}] + out
    n //= {base}
while len(out) < {width}:
    out = '0' + out
return '-' + out if x < 0 else out
"""
    words = (
        f"write x in base {base} with {'upper' if upper else 'lower'} case digits, padded with 0 to at "
        f"least {width} digits, a minus sign in front if negative"
    )
    return _spec(words, reference, body, lambda r: between(r, -999, 5000), [0, 1, -1, base, -base * base])


def merge_intervals(rng: random.Random) -> Spec:
    """Interval union with a gap; the list, its length or its total."""
    gap, shortest = between(rng, 0, 9), between(rng, 0, 12)
    form = pick(rng, ("list", "total"))

    def reference(x: list[list[int]]) -> Any:
        merged: list[list[int]] = []
        for low, high in sorted(x):
            if merged and low - merged[-1][1] <= gap:
                merged[-1] = [merged[-1][0], max(merged[-1][1], high)]
            else:
                merged.append([low, high])
        kept = [pair for pair in merged if pair[1] - pair[0] >= shortest]
        return kept if form == "list" else sum(high - low for low, high in kept)

    end = "out" if form == "list" else "sum(b - a for a, b in out)"
    body = f"""
out = []
for a, b in sorted(x):
    if out and a <= out[-1][1] + {gap}:
        out[-1][1] = max(out[-1][1], b)
    else:
        out.append([a, b])
out = [[a, b] for a, b in out if b - a >= {shortest}]
return {end}
"""
    words = (
        f"merge the intervals [a, b] that overlap or lie at most {gap} apart, drop merged ones shorter than "
        f"{shortest}, return {'the sorted list' if form == 'list' else 'the sum of their lengths'}"
    )

    def draw(r: random.Random) -> list[list[int]]:
        starts = [between(r, 0, 60) for _ in range(between(r, 2, 5))]
        return [[start, start + between(r, 0, 20)] for start in starts]

    return _spec(words, reference, body, draw, [[], [[5, 30]], [[20, 40], [0, 20]], [[0, 50], [10, 15]], [[3, 3]]])


def matrix(rng: random.Random) -> Spec:
    """Turn a matrix, scale it, and maybe take row sums."""
    turn = pick(rng, ("turn it by 90 degrees clockwise", "transpose it", "turn it by 180 degrees"))
    factor, plus, sums = between(rng, 2, 20), between(rng, 1, 30), rng.random() < 0.5

    def reference(x: list[list[int]]) -> Any:
        rows, columns = len(x), len(x[0])
        if turn == "transpose it":
            out = [[x[i][j] for i in range(rows)] for j in range(columns)]
        elif turn == "turn it by 180 degrees":
            out = [[x[rows - 1 - i][columns - 1 - j] for j in range(columns)] for i in range(rows)]
        else:
            out = [[x[rows - 1 - i][j] for i in range(rows)] for j in range(columns)]
        out = [[value * factor + plus for value in row] for row in out]
        return [sum(row) for row in out] if sums else out

    code = {
        "transpose it": "[list(row) for row in zip(*x)]",
        "turn it by 180 degrees": "[row[::-1] for row in x[::-1]]",
        "turn it by 90 degrees clockwise": "[list(row) for row in zip(*x[::-1])]",
    }[turn]
    body = f"""
x = {code}
x = [[v * {factor} + {plus} for v in row] for row in x]
return {"[sum(row) for row in x]" if sums else "x"}
"""
    words = (
        f"x is a matrix: {turn}, multiply each number by {factor} and add {plus}, "
        f"return {'the sum of each row' if sums else 'the matrix'}"
    )

    def draw(r: random.Random) -> list[list[int]]:
        columns = between(r, 1, 4)
        return [[between(r, -9, 9) for _ in range(columns)] for _ in range(between(r, 1, 4))]

    return _spec(words, reference, body, draw, [[[0]], [[1, 2, 3]], [[4], [5]], [[1, 2], [3, 4]]])


def robot(rng: random.Random) -> Spec:
    """A walk on a small grid with walls or wrap-around."""
    size, step, wrap = between(rng, 3, 30), between(rng, 1, 5), rng.random() < 0.5
    facing = between(rng, 0, 3)

    def reference(x: str) -> list[int]:
        place, heading = 0 + 0j, 1j * (-1j) ** facing
        for order in x:
            if order == "L":
                heading *= 1j
            elif order == "R":
                heading *= -1j
            else:
                for _ in range(step):
                    ahead = place + heading
                    column, row = round(ahead.real), round(ahead.imag)
                    if wrap:
                        place = complex(column % size, row % size)
                    elif 0 <= column < size and 0 <= row < size:
                        place = ahead
        return [round(place.real), round(place.imag)]

    move = (
        f"a, b = (a + dx * {step}) % {size}, (b + dy * {step}) % {size}"
        if wrap
        else f"a, b = min(max(a + dx * {step}, 0), {size - 1}), min(max(b + dy * {step}, 0), {size - 1})"
    )
    start = ((0, 1), (1, 0), (0, -1), (-1, 0))[facing]
    body = f"""
a, b, dx, dy = 0, 0, {start[0]}, {start[1]}
for c in x:
    if c == 'L':
        dx, dy = -dy, dx
    elif c == 'R':
        dx, dy = dy, -dx
    else:
        {move}
return [a, b]
"""
    words = (
        f"a robot starts at [0, 0] facing {('north', 'east', 'south', 'west')[facing]} on a {size} by {size} "
        f"grid; L and R turn it, F moves it {step}; "
        f"{'edges wrap around' if wrap else 'it stops at the edge'}; return its place [east, north]"
    )

    def draw(r: random.Random) -> str:
        return "".join(pick(r, "FFFLR") for _ in range(between(r, 3, 14)))

    return _spec(words, reference, body, draw, ["", "F", "RFLF", "FFFFFFFFFF", "LFFFLFF", "RRFRF", "LFLFF"])


def reduce_number(rng: random.Random) -> Spec:
    """A Collatz-like loop with a cap; returns the end and the number of rounds."""
    p, q, r_, cap = between(rng, 2, 7), between(rng, 2, 9), between(rng, 1, 9), between(rng, 3, 25)

    def reference(x: int) -> list[int]:
        rounds = 0
        while x > 1 and rounds < cap:
            quotient, rest = divmod(x, p)
            x = quotient if rest == 0 else q * x + r_
            rounds += 1
        return [x, rounds]

    body = f"""
n = 0
while x > 1 and n < {cap}:
    x = x // {p} if x % {p} == 0 else x * {q} + {r_}
    n += 1
return [x, n]
"""
    words = (
        f"while x is above 1 and for at most {cap} rounds: divide x by {p} if that leaves no remainder, else "
        f"multiply by {q} and add {r_}; return [x, rounds]"
    )
    return _spec(words, reference, body, lambda r: between(r, 2, 400), [0, 1, -5, 2, p, p * p])


def windows(rng: random.Random) -> Spec:
    """Best sum over windows, for each window or overall, modulo something."""
    size, weight = between(rng, 2, 4), between(rng, 2, 30)
    form = pick(rng, ("list", "best"))

    def reference(x: list[int]) -> Any:
        sums = [sum(x[i : i + size]) * weight for i in range(len(x) - size + 1)] or [sum(x)]
        return sums if form == "list" else [max(sums), sums.index(max(sums))]

    end = "out" if form == "list" else "[max(out), out.index(max(out))]"
    body = f"""
out = []
for i in range(len(x) - {size - 1}):
    out.append(sum(x[i:i + {size}]) * {weight})
if len(x) < {size}:
    out = [sum(x)]
return {end}
"""
    words = (
        f"take the sum of every {size} neighbours times {weight}; if there are fewer than {size} numbers, "
        f"only the plain sum of all; return "
        f"{'the list' if form == 'list' else '[the largest, the index where it first occurs]'}"
    )
    return _spec(words, reference, body, draw_ints, [[], [7], [1, 2], [-5, -6, -7, -8], [4, 4, 4, 4, 4]])


def wrap_text(rng: random.Random) -> Spec:
    """Greedy line filling."""
    width, fill = between(rng, 5, 30), pick(rng, (".", "-", "_", "*", "#", "~"))
    side = pick(rng, ("left", "right"))

    def reference(x: str) -> list[str]:
        lines: list[list[str]] = []
        for word in x.split():
            if lines and len(" ".join([*lines[-1], word])) <= width:
                lines[-1].append(word)
            else:
                lines.append([word])
        texts = [" ".join(line) for line in lines]
        return [t.ljust(width, fill) if side == "left" else t.rjust(width, fill) for t in texts]

    body = f"""
out = []
for word in x.split():
    if out and len(out[-1]) + 1 + len(word) <= {width}:
        out[-1] += ' ' + word
    else:
        out.append(word)
return [line.{"ljust" if side == "left" else "rjust"}({width}, '{fill}') for line in out]
"""
    words = (
        f"fill lines of at most {width} characters with the words of x, one space between; a longer word gets "
        f"its own line; pad each line on the {'right' if side == 'left' else 'left'} with {fill} to {width}; "
        "return the lines"
    )
    return _spec(words, reference, body, draw_text, ["", "a", "noon noon noon", "aaaaaaaaaaaaaaaaaaaaaaaaaa b"])


def automaton(rng: random.Random) -> Spec:
    """An elementary cellular automaton."""
    rule, rounds, ring = between(rng, 1, 254), between(rng, 1, 4), rng.random() < 0.5

    def reference(x: str) -> str:
        for _ in range(rounds):
            outer = (x[-1:], x[:1]) if ring else ("0", "0")
            padded = outer[0] + x + outer[1]
            x = "".join(str(rule >> int(padded[i : i + 3], 2) & 1) for i in range(len(x)))
        return x

    edge = ("x[i - 1]", "x[(i + 1) % n]") if ring else (
        "(x[i - 1] if i > 0 else '0')", "(x[i + 1] if i + 1 < n else '0')"
    )  # fmt: skip
    body = f"""
n = len(x)
for _ in range({rounds}):
    y = ''
    for i in range(n):
        k = int({edge[0]} + x[i] + {edge[1]}, 2)
        y += str({rule} // 2 ** k % 2)
    x = y
return x
"""
    words = (
        f"apply rule {rule} {rounds} times to the cells x: a cell with left, self, right read as a binary "
        f"number k becomes bit k of {rule}; {'the ends are neighbours' if ring else 'outside is 0'}"
    )

    def draw(r: random.Random) -> str:
        return "".join(pick(r, "01") for _ in range(between(r, 5, 14)))

    return _spec(words, reference, body, draw, ["", "0", "1", "11", "000000", "1111111", "0001000"])


def stack_machine(rng: random.Random) -> Spec:
    """Reverse Polish notation modulo a number."""
    modulus, missing = between(rng, 50, 999), between(rng, 0, 9)

    def reference(x: str) -> int:
        stack: list[int] = []
        for token in x.split():
            if token.isdigit():
                stack.append(int(token) % modulus)
                continue
            right = stack.pop() if stack else missing
            left = stack.pop() if stack else missing
            stack.append({"+": left + right, "-": left - right, "*": left * right}[token] % modulus)
        return stack[-1] if stack else missing

    body = f"""
s = []
for t in x.split():
    if t not in '+-*':
        s.append(int(t) % {modulus})
    else:
        b = s.pop() if s else {missing}
        a = s.pop() if s else {missing}
        s.append((a + b if t == '+' else a - b if t == '-' else a * b) % {modulus})
return s[-1] if s else {missing}
"""
    words = (
        f"evaluate x in reverse Polish notation (numbers, + - *), every number modulo {modulus}; a missing "
        f"operand counts as {missing}; return the top of the stack, {missing} if it is empty"
    )

    def draw(r: random.Random) -> str:
        tokens = [str(between(r, 0, 99)) for _ in range(2)]
        for _ in range(between(r, 1, 6)):
            tokens.append(pick(r, ("+", "-", "*", str(between(r, 0, 99)), str(between(r, 0, 99)))))
        return " ".join(tokens)

    return _spec(words, reference, body, draw, ["", "7", "+", "3 -", "5 6 7", "1 999 -", "99 99 * 99 *"])


ALGORITHMS: tuple[Callable[[random.Random], Spec], ...] = (
    run_lengths,
    to_base,
    merge_intervals,
    matrix,
    robot,
    reduce_number,
    windows,
    wrap_text,
    automaton,
    stack_machine,
)


def make_algorithm(rng: random.Random) -> Spec:
    """Draw one of the algorithms with its parameters."""
    maker: Callable[[random.Random], Spec] = pick(rng, ALGORITHMS)
    return maker(rng)
