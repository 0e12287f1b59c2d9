"""Algebraic expressions compared as functions, without a computer algebra system and without ``eval``.

A small parser builds a tree; two trees are equal if they agree at random rational points, in exact arithmetic.
For rational functions of bounded degree the chance that different ones agree at all points is below 2**-60.
Everything is bounded before it is computed: length, nesting, and the size that powers can reach. What was submitted
is looked at in another process all the same: see :mod:`thinkact.envs.answers_process`, which calls the functions
that are named in :data:`JUDGES`.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from thinkact.envs.answers_read import number_text

MAX_CHARS = 600
_POINT_BITS = 24
_POINTS = 4
_TOKEN = re.compile(r" *(?:(\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})|([a-z])|(\*\*|[-+*/^()]))", re.ASCII)

_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹]+")

Op = Literal["+", "-", "*", "/", "^", "neg", "num", "var"]


class NoExpression(ValueError):
    """The text is not one expression of the grammar, or it is too large."""


@dataclass(frozen=True)
class Bounds:
    """What an expression may cost; one that could cost more is refused while it is parsed.

    Attributes:
        chars: Length of the text.
        depth: Brackets and powers within one another.
        bits: Size of any value on the way.
    """

    chars: int = MAX_CHARS
    depth: int = 40
    bits: int = 20_000


BOUNDS = Bounds()


@dataclass(frozen=True)
class Node:
    """A number, a variable or an operation; ``bits`` bounds the size of its value at any point."""

    op: Op
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""
    bits: int = 0


class _Parser:
    def __init__(self, text: str, variables: frozenset[str], bounds: Bounds) -> None:
        self.variables, self.bounds = variables, bounds
        self.tokens: list[str] = []
        end = len(text.rstrip())
        position = 0
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise NoExpression(f"cannot read {text[position : position + 10]!r}")
            self.tokens.append("^" if match[3] == "**" else next(group for group in match.groups() if group))
            position = match.end()
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > self.bounds.depth:
            raise NoExpression("nested too deeply")
        node = self.product()
        while self.peek() in ("+", "-"):
            node = self.join("+" if self.take() == "+" else "-", node, self.product())
        self.depth -= 1
        return node

    def product(self) -> Node:
        node = self.signed()
        while (token := self.peek()) in ("*", "/") or token == "(" or token[:1].isalnum():
            if token in ("*", "/"):
                self.take()
                node = self.join("*" if token == "*" else "/", node, self.signed())
            elif token[0].isdigit():  # "x 2" and "2 2" are typing errors rather than products
                raise NoExpression("a number directly after a factor")
            else:
                node = self.join("*", node, self.power())
        return node

    def signed(self) -> Node:
        negative = False
        while self.peek() in ("+", "-"):
            negative ^= self.take() == "-"
        node = self.power()
        return Node("neg", (node,), bits=node.bits) if negative else node

    def power(self) -> Node:
        base = self.atom()
        if self.peek() != "^":
            return base
        self.take()
        self.depth += 1
        if self.depth > self.bounds.depth:
            raise NoExpression("nested too deeply")
        exponent = self.signed()
        self.depth -= 1
        power = exponent.value if exponent.op == "num" else -exponent.args[0].value if exponent.op == "neg" else None
        inner = exponent.args[0] if exponent.op == "neg" else exponent
        if inner.op != "num" or power is None or power.denominator != 1 or abs(power) > 100:
            raise NoExpression("exponents must be whole numbers up to 100")
        bits = max(1, base.bits) * max(1, abs(power.numerator))
        if bits > self.bounds.bits:
            raise NoExpression("too large")
        return Node("^", (base,), value=power, bits=bits)

    def atom(self) -> Node:
        token = self.take()
        if token == "(":
            node = self.sum()
            if self.take() != ")":
                raise NoExpression("a bracket is not closed")
            return node
        if token[:1].isdigit() or token[:1] == ".":
            value = Fraction(token)
            return Node("num", value=value, bits=value.numerator.bit_length() + value.denominator.bit_length())
        if token in self.variables:
            return Node("var", name=token, bits=2 * _POINT_BITS)
        raise NoExpression(f"{token or 'the end'} is out of place")

    def join(self, op: Op, left: Node, right: Node) -> Node:
        bits = left.bits + right.bits + 1
        if bits > self.bounds.bits:
            raise NoExpression("too large")
        return Node(op, (left, right), bits=bits)


def parse(text: str, variables: frozenset[str], bounds: Bounds = BOUNDS) -> Node:
    """Parse one expression.

    Raises:
        NoExpression: The text is none, or it is too large.
    """
    spelled = _SUPERSCRIPT.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text[: bounds.chars + 1])
    plain = number_text(spelled) if len(text) <= bounds.chars else None
    if plain is None:
        raise NoExpression("no expression")
    parser = _Parser(plain.replace("·", "*").replace("×", "*"), variables, bounds)
    node = parser.sum()
    if parser.peek():
        raise NoExpression(f"{parser.peek()} is out of place")
    return node


def evaluate(node: Node, point: dict[str, Fraction]) -> Fraction:
    """Return the value at a point. Raises ``ZeroDivisionError`` at a pole."""
    if node.op == "num":
        return node.value
    if node.op == "var":
        return point[node.name]
    first = evaluate(node.args[0], point)
    if node.op == "neg":
        return -first
    if node.op == "^":
        return first**node.value.numerator
    second = evaluate(node.args[1], point)
    if node.op == "+":
        return first + second
    if node.op == "-":
        return first - second
    return first * second if node.op == "*" else first / second


def is_expanded(node: Node) -> bool:
    """Tell whether the expression is a sum of monomials, each power of the variables at most once."""
    seen: Counter[tuple[tuple[str, int], ...]] = Counter()
    terms = [node]
    while terms:
        term = terms.pop()
        if term.op in ("+", "-"):
            terms += term.args
            continue
        if term.op == "neg":
            terms.append(term.args[0])
            continue
        powers: Counter[str] = Counter()
        if not _monomial(term, powers):
            return False
        seen[tuple(sorted(powers.items()))] += 1
    return all(count == 1 for count in seen.values())


def _monomial(node: Node, powers: Counter[str]) -> bool:
    if node.op == "num":
        return True
    if node.op == "var":
        powers[node.name] += 1
        return True
    if node.op == "neg":
        return _monomial(node.args[0], powers)
    if node.op == "^" and node.args[0].op == "var":
        powers[node.args[0].name] += node.value.numerator
        return node.value > 0
    if node.op == "*":
        return _monomial(node.args[0], powers) and _monomial(node.args[1], powers)
    return node.op == "/" and node.args[1].op == "num" and _monomial(node.args[0], powers)


def equal(
    submitted: str, gold: str, variables: frozenset[str], *, expanded: bool = False, bounds: Bounds = BOUNDS
) -> bool:
    """Tell whether two expressions are the same function (and, if asked, the first one is multiplied out).

    A submission that has a pole wherever the gold was tried is not equal.

    Raises:
        NoExpression: One of them is no expression.
    """
    wanted, given = parse(gold, variables), parse(submitted, variables, bounds)
    if expanded and not is_expanded(given):
        return False
    rng = random.Random(f"points/{gold}")
    tried = 0
    for _ in range(50):
        point = {
            name: Fraction(rng.getrandbits(_POINT_BITS - 1) + 1, rng.randrange(1, 997)) for name in sorted(variables)
        }
        try:
            if evaluate(wanted, point) != evaluate(given, point):
                return False
        except ZeroDivisionError:
            continue
        tried += 1
        if tried == _POINTS:
            return True
    return False


def same_derivative(submitted: str, gold: str, variable: str, *, bounds: Bounds = BOUNDS) -> bool:
    """Tell whether two functions of a variable differ by a constant (which may be called ``c``).

    Raises:
        NoExpression: One of them is no expression.
    """
    names = frozenset((variable, "c"))
    wanted, given = parse(gold, names), parse(submitted, names, bounds)
    gaps = set()
    for place in (Fraction(3, 7), Fraction(-11, 5), Fraction(19, 13), Fraction(29, 3)):
        point = {"c": Fraction(17, 23), variable: place}
        try:
            gaps.add(evaluate(given, point) - evaluate(wanted, point))
        except ZeroDivisionError:
            return False
    return len(gaps) == 1


def makes(submitted: str, target: int, numbers: Sequence[int], *, bounds: Bounds = BOUNDS) -> bool:
    """Tell whether an expression of exactly these numbers, each used once, and ``+ - * /`` has a value.

    Raises:
        NoExpression: It is none.
    """
    node = parse(submitted, frozenset(), bounds)
    used: list[Fraction] = []
    parts = [node]
    while parts:
        part = parts.pop()
        if part.op == "num":
            used.append(part.value)
        elif part.op in ("+", "-", "*", "/"):
            parts += part.args
        else:
            return False
    try:
        return Counter(used) == Counter(map(Fraction, numbers)) and evaluate(node, {}) == target
    except ZeroDivisionError:
        return False


JUDGES: dict[str, Callable[..., bool]] = {
    "equal": lambda submitted, gold, variables, expanded, bounds: equal(
        submitted, gold, frozenset(variables), expanded=expanded, bounds=bounds
    ),
    "same_derivative": same_derivative,
    "makes": makes,
}
"""What a submission can be asked, by name: each takes it, plain JSON, and ``bounds``, and may raise NoExpression."""
