"""Methods of sortedcontainers' classes (Apache-2.0) that CodeRepair breaks: the class around them stays whole.

A class such as ``SortedList`` is 1,600 lines of methods that use each other, so nothing is cut out of it: the work
tree holds the library's modules as they are, and one method of one class has a bug. All of them share one split, for
they share most of their code.
"""

from __future__ import annotations

import ast
import importlib.util
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from thinkact.envs.code.inputs import flag, ints, list_of, mapping, maybe, number, one_of, together, word
from thinkact.envs.code.repair_types import Function
from thinkact.tools.syntax import parse_python

LIBRARY = "sortedcontainers"
#: The modules of the work tree; what the library's own ``__init__`` says of itself and its releases stays away.
MODULES = ("sortedlist", "sortedset", "sorteddict")
CLASSES = ("SortedList", "SortedKeyList", "SortedSet", "SortedDict")
_HOME = {
    "SortedList": "sortedlist",
    "SortedKeyList": "sortedlist",
    "SortedSet": "sortedset",
    "SortedDict": "sorteddict",
}
_GROUP = "sortedcontainers"

_MANY = ints(9, 24, -9, 20)
_FEW = ints(5, 16, 0, 9)
_INDEX = maybe(number(-14, 14))
_STEP = maybe(one_of(-3, -2, -1, 1, 2, 3))
_VALUE = maybe(number(-9, 20))
_BOTH = together(flag(), flag())
_COUNTS = mapping(word(), number(0, 20), 2, 7)


def _entry(cls: str, method: str, body: str, start: str, *inputs: object) -> Function:
    """Make an entry: what is seen after ``start`` made the object ``s`` and ``body`` used it."""
    call = f"[{start}, {body}][{start.count(', s.') + 1}:]"
    gens = tuple(inputs)
    if call.count("{}") != len(gens):
        raise ValueError(f"{cls}.{method}: {call.count('{}')} places for {len(gens)} inputs")
    return Function(f"{LIBRARY}.{_HOME[cls]}", cls, call, gens, _GROUP, method=method)  # type: ignore[arg-type]


def _list(method: str, body: str, *inputs: object, start: object = _MANY) -> Function:
    # Four values to a list: what goes wrong between lists shows with few values.
    return _entry("SortedList", method, body, "(s := SortedList({})), s._reset(4)", start, *inputs)


def _keyed(method: str, body: str, *inputs: object, start: object = _MANY) -> Function:
    made = "(s := SortedKeyList({}, key=lambda v: v % 7)), s._reset(4)"
    return _entry("SortedKeyList", method, body, made, start, *inputs)


def _set(method: str, body: str, *inputs: object) -> Function:
    return _entry("SortedSet", method, body, "(s := SortedSet({}))", _FEW, *inputs)


def _dict(method: str, body: str, *inputs: object) -> Function:
    return _entry("SortedDict", method, body, "(s := SortedDict({}))", _COUNTS, *inputs)


METHODS: tuple[Function, ...] = (
    _list("add", "[s.add(v) for v in {}], list(s), len(s)", _MANY),
    _list("_expand", "[s.add(v) for v in {}], list(s), [s[i] for i in range(len(s))]", ints(12, 30)),
    _list("update", "s.update({}), list(s), len(s)", _MANY, start=_FEW),
    _list("__contains__", "[v in s for v in range({}, 21)]", number(-12, 12)),
    _list("discard", "[s.discard(v) for v in {}], list(s), len(s)", _MANY),
    _list("remove", "[s.remove(v) for v in {}], list(s)", list_of(number(-9, 20), 1, 2), start=ints(16, 40)),
    _list("_delete", "[s.discard(v) for v in {}], list(s), [s[i] for i in range(len(s))]", _MANY),
    _list("_loc", "[s.bisect_left(v) for v in {}], [s.bisect_right(v) for v in range(0, 9)]", _FEW),
    _list("_pos", "[s[i] for i in {}]", list_of(number(-9, 8), 2, 6)),
    _list("_build_index", "[s[i] for i in range({}, len(s))], s.index(max(s))", number(0, 5), start=ints(12, 44)),
    _list("__delitem__", "s.__delitem__(slice({}, {}, {})), list(s), len(s)", _INDEX, _INDEX, _STEP),
    _list("__getitem__", "s[slice({}, {}, {})]", _INDEX, _INDEX, _STEP),
    _list("__reversed__", "list(reversed(s))[:{}]", number(1, 24)),
    _list("islice", "list(s.islice({}, {}, {}))", _INDEX, _INDEX, flag()),
    _list("_islice", "list(s.islice({}, {}, {})), list(s.irange({}, {}))", _INDEX, _INDEX, flag(), _VALUE, _VALUE),
    _list("irange", "list(s.irange({}, {}, {}, {}))", _VALUE, _VALUE, _BOTH, flag()),
    _list("bisect_left", "[s.bisect_left(v) for v in {}]", _FEW, start=_FEW),
    _list("bisect_right", "[s.bisect_right(v) for v in {}]", _FEW, start=_FEW),
    _list("count", "[s.count(v) for v in range({}, 11)]", number(-2, 8), start=_FEW),
    _list("pop", "s.pop({}), s.pop(), list(s)", number(-12, 12)),
    _list("index", "s.index({}, {}, {})", number(0, 9), _INDEX, _INDEX, start=_FEW),
    _list("__add__", "list(s + {}), list(s)", _FEW),
    _list("__mul__", "list(s * {}), list(s)", number(0, 3)),
    _list("__imul__", "list(s.__imul__({})), len(s)", number(0, 3)),
    _keyed("add", "[s.add(v) for v in {}], list(s), len(s)", _MANY),
    _keyed("_expand", "[s.add(v) for v in {}], list(s), [s[i] for i in range(len(s))]", ints(12, 30)),
    _keyed("update", "s.update({}), list(s), len(s)", _MANY),
    _keyed("__contains__", "[v in s for v in range({}, 21)]", number(-12, 12)),
    _keyed("discard", "[s.discard(v) for v in {}], list(s), len(s)", _MANY),
    _keyed("remove", "[s.remove(v) for v in {}], list(s)", list_of(number(-9, 20), 1, 2), start=ints(16, 40)),
    _keyed("_delete", "[s.discard(v) for v in {}], list(s), [s[i] for i in range(len(s))]", _MANY),
    _keyed("irange_key", "list(s.irange_key({}, {}, {}, {}))", maybe(number(0, 6)), maybe(number(0, 6)), _BOTH, flag()),
    _keyed("bisect_key_left", "[s.bisect_key_left(v) for v in {}]", _FEW),
    _keyed("bisect_key_right", "[s.bisect_key_right(v) for v in {}]", _FEW),
    _keyed("count", "[s.count(v) for v in range({}, 11)]", number(-2, 8), start=_FEW),
    _keyed("index", "s.index({}, {}, {})", number(0, 9), _INDEX, _INDEX, start=_FEW),
    _keyed("__mul__", "list(s * {}), list(s)", number(0, 3)),
    _set("__delitem__", "s.__delitem__(slice({}, {})), list(s), sorted(s._set)", _INDEX, _INDEX),
    _set("add", "[s.add(v) for v in {}], list(s)", _FEW),
    _set("discard", "[s.discard(v) for v in {}], list(s)", _FEW),
    _set("pop", "s.pop({}), list(s), sorted(s._set)", number(-5, 5)),
    _set("remove", "s.remove({}), list(s)", number(0, 9)),
    _set("difference", "list(s.difference({}, {})), list(s)", _FEW, ints(0, 3, 0, 9)),
    _set("difference_update", "list(s.difference_update({}, {})), sorted(s._set)", _FEW, ints(0, 9, 0, 40)),
    _set("intersection", "list(s.intersection({}, {}))", _FEW, ints(5, 16, 0, 9)),
    _set("symmetric_difference_update", "list(s.symmetric_difference_update({})), sorted(s._set)", _FEW),
    _set("update", "list(s.update({}, {})), sorted(s._set)", ints(0, 9, 0, 30), ints(0, 3, 0, 30)),
    _dict("__delitem__", "s.__delitem__({}), list(s.items())", word()),
    _dict("__setitem__", "[s.__setitem__(k, 7) for k in {}], list(s.items())", list_of(word(), 1, 4)),
    _dict("copy", "(c := s.copy()), c.__setitem__({}, 1), list(c.items()), list(s.items())", word()),
    _dict("pop", "s.pop({}, {}), list(s.items())", word(), maybe(number(90, 99))),
    _dict("popitem", "s.popitem({}), list(s.items())", number(-4, 4)),
    _dict("peekitem", "s.peekitem({}), list(s)", number(-4, 4)),
    _dict("setdefault", "s.setdefault({}, {}), list(s.items())", word(), number(90, 99)),
    _dict("update", "s.update({}), list(s.items())", _COUNTS),
)


@lru_cache(maxsize=1)
def library_texts() -> dict[str, str]:
    """Return the text of each module of the installed library."""
    texts = {}
    for stem in MODULES:
        spec = importlib.util.find_spec(f"{LIBRARY}.{stem}")
        assert spec is not None and spec.origin is not None
        texts[stem] = Path(spec.origin).read_text(encoding="utf-8")
    return texts


def method_text(function: Function) -> str:
    """Return the text of the method, as if it stood outside of its class."""
    return textwrap.dedent(_found(function))


@lru_cache(maxsize=128)
def _found(function: Function) -> str:
    text = library_texts()[_HOME[function.name]]
    (cls,) = [node for node in parse_python(text).body if getattr(node, "name", None) == function.name]
    assert isinstance(cls, ast.ClassDef)
    (node,) = [node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == function.method]
    assert node.end_lineno is not None
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno])


def layout(package: str, function: Function, text: str | None = None, header: str = "") -> dict[str, str]:
    """Return the library as a package, with another text for the method if there is one.

    Args:
        package: The package's name.
        function: The method that ``text`` is for.
        text: Its text, as if it stood outside of its class.
        header: Comment lines that each module begins with.
    """
    files = {f"{package}/{stem}.py": header + source for stem, source in library_texts().items()}
    if text is not None:
        path, old = f"{package}/{_HOME[function.name]}.py", _found(function)
        assert files[path].count(old) == 1
        files[path] = files[path].replace(old, textwrap.indent(text, "    "))
    homes: Mapping[str, list[str]] = {stem: [cls for cls in CLASSES if _HOME[cls] == stem] for stem in MODULES}
    lines = [f"from {package}.{stem} import {', '.join(found)}\n" for stem, found in homes.items()]
    return {f"{package}/__init__.py": "".join(lines), **files}
