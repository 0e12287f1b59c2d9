"""Plausible bugs: small semantic edits of a function's source text.

Every edit replaces one span of the text and leaves the rest, comments and formatting included, as it was. Only
edits that still parse are returned. Whether an edit changes what the function *does* is for tests to say.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from thinkact.tools.syntax import parse_python


@dataclass(frozen=True)
class Edit:
    """Replace ``text[start:end]`` by ``new``; ``kind`` names the sort of mistake."""

    kind: str
    start: int
    end: int
    new: str

    def apply(self, text: str) -> str:
        """Return the edited text."""
        return text[: self.start] + self.new + text[self.end :]


_COMPARE: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_BINARY: dict[type[ast.operator], tuple[str, tuple[str, ...]]] = {
    ast.Add: ("+", ("-",)),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("+",)),
    ast.FloorDiv: ("//", ("%", "*")),
    ast.Div: ("/", ("*",)),
    ast.Mod: ("%", ("//",)),
    ast.Pow: ("**", ("*",)),
    ast.BitAnd: ("&", ("|",)),
    ast.BitOr: ("|", ("&",)),
    ast.LShift: ("<<", (">>",)),
    ast.RShift: (">>", ("<<",)),
}
#: Names that are easily taken for one another, as functions or methods.
_TWINS = {
    "min": "max", "any": "all", "append": "extend", "appendleft": "append", "popleft": "pop", "lstrip": "rstrip",
    "startswith": "endswith", "find": "rfind", "keys": "values", "upper": "lower", "title": "capitalize",
    "islice": "takewhile", "takewhile": "dropwhile", "zip": "zip_longest", "add": "discard", "index": "count",
    "filter": "filterfalse", "bisect_left": "bisect_right", "partition": "rpartition", "ceil": "floor",
    "items": "keys", "search": "match", "sub": "findall",
}  # fmt: skip
_TWIN = {**{right: left for left, right in _TWINS.items()}, **_TWINS}


class _Text:
    """Offsets of nodes in a text; ``ast`` counts columns in UTF-8 bytes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt | ast.arg) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def between(self, left: ast.expr, right: ast.expr, word: str) -> tuple[int, int] | None:
        """Find an operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = self.text[start:end]
        if gap.count(word) != 1 or "#" in gap:
            return None
        return start + gap.index(word), start + gap.index(word) + len(word)


def edits(text: str, function: str) -> list[Edit]:
    """Return every edit of a top-level function or class in ``text``, in the order of the source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top = next(node for node in parse_python(text).body if getattr(node, "name", None) == function)
    where = _Text(text)
    found: dict[Edit, None] = {}
    for node in ast.walk(top):
        if _is_docstring_holder(node):
            continue
        for edit in _edits_of(node, where):
            found[edit] = None
    skipped = _quiet_spans(top, where)
    kept = [edit for edit in found if not any(a <= edit.start and edit.end <= b for a, b in skipped)]
    return sorted((edit for edit in kept if _parses(edit.apply(text))), key=lambda e: (e.start, e.end, e.new))


def _is_docstring_holder(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _quiet_spans(top: ast.AST, where: _Text) -> list[tuple[int, int]]:
    """Find text whose change no caller sees: what an exception says, annotations, docstrings."""
    spans = []
    for node in ast.walk(top):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            spans += [where.span(arg) for arg in node.exc.args]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            spans.append(where.span(node))
        elif isinstance(node, ast.arg) and node.annotation is not None:
            spans.append(where.span(node.annotation))
    return spans


def _parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "<edit>", "exec")
        except (SyntaxError, ValueError):
            return False
    return True


def _edits_of(node: ast.AST, where: _Text) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        yield from _comparisons(node, where)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        word, others = _BINARY[type(node.op)]
        span = where.between(node.left, node.right, word)
        if span and not isinstance(node.left, ast.JoinedStr):
            yield from (Edit("wrong operator", *span, other) for other in others)
    elif isinstance(node, ast.BoolOp):
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            span = where.between(left, right, word)
            if span:
                yield Edit("and for or", *span, other)
            yield Edit("missing condition", where.span(left)[0], where.span(right)[0], "")
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, (ast.Not, ast.USub)):
            start, end = where.span(node)
            yield Edit("lost negation", start, end, where.of(node.operand))
    elif isinstance(node, ast.Constant):
        yield from _constants(node, where)
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield from _conditions(node, where)
    elif isinstance(node, ast.Call):
        yield from _calls(node, where)
    elif isinstance(node, ast.Subscript):
        yield from _slices(node, where)
    elif isinstance(node, ast.stmt):
        yield from _statements(node, where)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield _swap("swapped values", node.elts[0], node.elts[1], where)
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            start, end = where.span(test)
            yield Edit("negated condition", start, end, f"not ({where.of(test)})")


def _swap(kind: str, left: ast.expr, right: ast.expr, where: _Text) -> Edit:
    (start, first_end), (second, end) = where.span(left), where.span(right)
    return Edit(kind, start, end, where.of(right) + where.text[first_end:second] + where.of(left))


def _comparisons(node: ast.Compare, where: _Text) -> Iterator[Edit]:
    operands = [node.left, *node.comparators]
    for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
        word, others = _COMPARE[type(op)]
        span = where.between(left, right, word)
        if span:
            yield from (Edit("wrong comparison", *span, other) for other in others)


def _constants(node: ast.Constant, where: _Text) -> Iterator[Edit]:
    start, end = where.span(node)
    if type(node.value) is bool:
        yield Edit("wrong constant", start, end, str(not node.value))
    elif type(node.value) is int and abs(node.value) < 1000:
        yield Edit("off by one", start, end, str(node.value + 1))
        yield Edit("off by one", start, end, str(node.value - 1) if node.value else "-1")


def _conditions(node: ast.If | ast.IfExp | ast.While, where: _Text) -> Iterator[Edit]:
    start, end = where.span(node.test)
    test = where.of(node.test)
    constant = isinstance(node.test, ast.Constant)
    if not constant and not isinstance(node, ast.While):
        yield Edit("negated condition", start, end, f"not ({test})")
    if isinstance(node, ast.If):
        yield Edit("dropped branch", start, end, "False")
        if not constant:
            yield Edit("missing check", start, end, "True")
    elif isinstance(node, ast.IfExp):
        yield _swap("swapped branches", node.body, node.orelse, where)


def _calls(node: ast.Call, where: _Text) -> Iterator[Edit]:
    plain = [arg for arg in node.args if not isinstance(arg, ast.Starred)]
    if len(plain) == len(node.args) >= 2:
        for left, right in zip(plain, plain[1:], strict=False):
            yield _swap("swapped arguments", left, right, where)
    for keyword in node.keywords:
        if keyword.arg and plain:
            yield Edit("forgotten argument", where.span(node.args[-1])[1], where.span(keyword.value)[1], "")
            break
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _TWIN:
        end = where.span(node.func)[1]
        yield Edit("wrong function", end - len(name), end, _TWIN[name])
    if name == "range" and len(node.args) == 1 and plain:
        start, end = where.span(plain[0])
        yield Edit("off by one", start, end, f"{where.of(plain[0])} - 1")
        yield Edit("off by one", start, end, f"1, {where.of(plain[0])}")
    if name in ("sorted", "reversed", "list", "tuple", "set", "iter") and len(plain) == 1 and not node.keywords:
        start, end = where.span(node)
        yield Edit("forgotten call", start, end, where.of(plain[0]))


def _slices(node: ast.Subscript, where: _Text) -> Iterator[Edit]:
    if isinstance(node.slice, ast.Slice):
        for bound in (node.slice.lower, node.slice.upper):
            if bound is not None and not isinstance(bound, ast.Constant):
                start, end = where.span(bound)
                yield Edit("off by one", start, end, f"{where.of(bound)} + 1")
                yield Edit("off by one", start, end, f"{where.of(bound)} - 1")
    elif isinstance(node.slice, ast.Constant) and node.slice.value == 0:
        start, end = where.span(node.slice)
        yield Edit("wrong end", start, end, "-1")
    elif isinstance(node.slice, ast.UnaryOp) and where.of(node.slice) == "-1":
        start, end = where.span(node.slice)
        yield Edit("wrong end", start, end, "0")


def _statements(node: ast.stmt, where: _Text) -> Iterator[Edit]:
    start, end = where.span(node)
    if isinstance(node, ast.AugAssign):
        twin = {ast.Add: "-=", ast.Sub: "+=", ast.Mult: "+="}.get(type(node.op))
        gap_start, gap_end = where.span(node.target)[1], where.span(node.value)[0]
        if twin:
            yield Edit("wrong operator", gap_start, gap_end, f" {twin} ")
        yield Edit("lost accumulation", gap_start, gap_end, " = ")
        yield Edit("forgotten step", start, end, "pass")
    elif isinstance(node, (ast.Break, ast.Continue)):
        yield Edit("wrong jump", start, end, "continue" if isinstance(node, ast.Break) else "break")
        yield Edit("forgotten step", start, end, "pass")
    elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Yield)):
        yield Edit("forgotten step", start, end, "pass")
        if isinstance(node.value, ast.Yield):
            indent = " " * node.col_offset
            yield Edit("early return", end, end, f"\n{indent}return")
    elif isinstance(node, ast.For):
        body = node.body[-1]
        if not isinstance(body, (ast.Return, ast.Break, ast.Continue, ast.Raise)):
            yield Edit("early return", where.span(body)[1], where.span(body)[1], f"\n{' ' * body.col_offset}break")
