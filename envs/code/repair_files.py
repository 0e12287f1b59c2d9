"""Lay sliced definitions out as files: one file, or a small package whose files import from each other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from thinkact.envs.code.slice import Definition, Slice, globals_read
from thinkact.tools.syntax import parse_python

#: Replacement texts of definitions, by (module, name).
Changes = Mapping[tuple[str, str], str]

_FUTURE = "from __future__ import annotations\n"


def _merged(slices: Iterable[Slice]) -> tuple[list[str], list[Definition]]:
    imports: dict[str, None] = {}
    definitions: dict[tuple[str, int], Definition] = {}
    for each in slices:
        imports.update(dict.fromkeys(each.imports))
        for definition in each.definitions:
            definitions.setdefault((definition.module, definition.line), definition)
    return sorted(imports, key=lambda line: (line.startswith("from"), line)), list(definitions.values())


def _render(imports: Sequence[str], inner: Sequence[str], definitions: Sequence[Definition], changes: Changes) -> str:
    texts = [changes.get((each.module, each.name), each.text) for each in definitions]
    used = set().union(*(globals_read(text) for text in texts)) if texts else set()
    kept = [line for line in imports if _bound(line) in used]
    head = _FUTURE + "\n" + "".join(f"{line}\n" for line in kept)
    if inner:
        head += ("\n" if kept else "") + "".join(f"{line}\n" for line in inner)
    body = ""
    for each, text in zip(definitions, texts, strict=True):
        small = not isinstance(parse_python(each.text).body[0], (ast.FunctionDef, ast.ClassDef))
        body += ("\n" if small else "\n\n") + text
    return head + body


def _bound(line: str) -> str:
    return line.split()[-1].split(".")[0]


def single_file(slices: Iterable[Slice], changes: Changes | None = None) -> str:
    """Return one self-contained module."""
    imports, definitions = _merged(slices)
    return _render(imports, [], definitions, changes or {})


def package(
    name: str, slices: Sequence[Slice], public: Sequence[str], files: Sequence[str], changes: Changes | None = None
) -> dict[str, str]:
    """Return a package: what others use in ``core.py``, the public rest spread over ``files``.

    Only ``core.py`` is imported from by other files, so the imports have no cycles.
    """
    imports, definitions = _merged(slices)
    changes = changes or {}
    reads = {each.name: set(globals_read(each.text)) - {each.name} for each in definitions}
    used = set().union(*reads.values())
    core = [each for each in definitions if each.name in used or each.name not in public]
    rest = [each for each in definitions if each not in core]
    out: dict[str, str] = {}
    homes: dict[str, str] = {each.name: "core" for each in core}
    if core:
        out[f"{name}/core.py"] = _render(imports, [], core, changes)
    for number, stem in enumerate(files):
        part = rest[number :: len(files)]
        if not part:
            continue
        wanted = sorted({used for each in part for used in reads[each.name]} & homes.keys())
        inner = [f"from {name}.core import {', '.join(wanted)}"] if wanted else []
        out[f"{name}/{stem}.py"] = _render(imports, inner, part, changes)
        homes.update({each.name: stem for each in part})
    lines = [f"from {name}.{homes[each]} import {each}\n" for each in sorted(public, key=lambda p: (homes[p], p))]
    out[f"{name}/__init__.py"] = "".join(lines)
    return out
