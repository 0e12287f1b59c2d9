"""Cut one function of an installed library out of it, with everything of the library that it calls.

The cut is textual: comments, docstrings and formatting stay as their authors wrote them. Imports from the same
library are followed, imports from the standard library are kept, and anything else refuses the function.
"""

from __future__ import annotations

import ast
import importlib.util
import symtable
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from thinkact.tools.syntax import parse_python


class CannotSlice(ValueError):
    """The function needs something that a self-contained file cannot hold."""


@dataclass(frozen=True)
class Definition:
    """One top-level statement of a library module: its name there and its text."""

    module: str
    name: str
    line: int
    text: str


@dataclass(frozen=True)
class Slice:
    """What a self-contained file needs: import lines and definitions, callees before callers."""

    imports: tuple[str, ...]
    definitions: tuple[Definition, ...]


@dataclass(frozen=True)
class _Module:
    name: str
    is_package: bool
    lines: tuple[str, ...]
    nodes: dict[str, ast.stmt]


@lru_cache(maxsize=64)
def _load(name: str) -> _Module:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise CannotSlice(f"{name} has no source")
    source = Path(spec.origin).read_text(encoding="utf-8")
    nodes: dict[str, ast.stmt] = {}
    for node in parse_python(source).body:
        for defined in _names_of(node):
            nodes[defined] = node
    lines = tuple(source.splitlines(keepends=True))
    return _Module(name, spec.submodule_search_locations is not None, lines, nodes)


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return [node.target.id]
    if isinstance(node, (ast.Try, ast.If)):
        inner = [
            *node.body,
            *(part for handler in getattr(node, "handlers", []) for part in handler.body),
            *node.orelse,
        ]
        return [name for part in inner for name in _names_of(part)]
    return []


def _text(module: _Module, node: ast.stmt) -> str:
    first = min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))])
    return "".join(module.lines[first - 1 : node.end_lineno]).rstrip() + "\n"


def globals_read(text: str) -> list[str]:
    """Return the global names that a statement's text reads, in a stable order."""
    found: dict[str, None] = {}

    def visit(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found[symbol.get_name()] = None
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable("from __future__ import annotations\n" + text, "<slice>", "exec"))
    return sorted(found)


def slice_functions(module: str, names: tuple[str, ...]) -> Slice:
    """Collect the named definitions of a module and, transitively, what they use of their library.

    Raises:
        CannotSlice: One of them needs a third-party module, a renamed import or a name with two meanings.
    """
    library = module.split(".")[0]
    imports: dict[str, None] = {}
    done: dict[tuple[str, str], None] = {}
    owner: dict[str, str] = {}
    order: list[Definition] = []

    def claim(name: str, meaning: str) -> None:
        if owner.setdefault(name, meaning) != meaning:
            raise CannotSlice(f"{name} means {owner[name]} and {meaning}")

    def take(where: str, name: str) -> None:
        if (where, name) in done:
            return
        done[where, name] = None
        source = _load(where)
        node = source.nodes.get(name)
        if node is None:
            if name not in _BUILTINS:
                raise CannotSlice(f"{where} does not define {name}")
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            take_import(source, node, name)
            return
        text = _text(source, node)
        line = node.lineno
        if any(each.module == where and each.line == line for each in order):
            return
        if isinstance(node, (ast.Try, ast.If)) and "import" in text:
            raise CannotSlice(f"{where}: {name} is imported under a condition")
        claim(name, where)
        for used in globals_read(text):
            if used != name:
                take(where, used)
        order.append(Definition(where, name, line, text))

    def take_import(source: _Module, node: ast.Import | ast.ImportFrom, name: str) -> None:
        alias = next(each for each in node.names if (each.asname or each.name.split(".")[0]) == name)
        renamed = f" as {alias.asname}" if alias.asname else ""
        if isinstance(node, ast.Import):
            target, line = alias.name, f"import {alias.name}{renamed}"
        else:
            target = node.module or ""
            if node.level:
                parts = source.name.split(".")
                base = parts if source.is_package else parts[:-1]
                base = base[: len(base) - node.level + 1]
                target = ".".join([*base, *([node.module] if node.module else [])])
            line = f"from {target} import {alias.name}{renamed}"
        root = target.split(".")[0]
        if root == library:
            if isinstance(node, ast.Import) or alias.asname:
                raise CannotSlice(f"{source.name} imports {target} under another name")
            take(target, alias.name)
            return
        if root not in sys.stdlib_module_names:
            raise CannotSlice(f"{source.name} imports {target}")
        claim(name, line)
        imports[line] = None

    for name in names:
        take(module, name)
    return Slice(tuple(sorted(imports, key=lambda line: (line.startswith("from"), line))), tuple(order))


_BUILTINS = frozenset(dir(__import__("builtins"))) | {"__name__", "__file__"}
