"""Inputs and right answers per library function, and the catalogue of bugs that tests can tell from them.

A function's *pool* is a fixed list of inputs with what the installed library gives for them. The catalogue,
``repair_catalogue.json``, lists edits of its source (:mod:`thinkact.envs.code.mutate`) and, per edit, which inputs of
the pool betray it; ``repair_classes.json`` is the same for methods of classes. ``scripts/code_repair_catalogue.py``
writes both by running every edit in a sandbox. They hold for the pinned versions of the libraries only, so other
versions are refused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import random
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from thinkact.envs.code.grade import Call, outcome_of
from thinkact.envs.code.inputs import draw_all
from thinkact.envs.code.mutate import Edit
from thinkact.envs.code.repair_classes import library_texts
from thinkact.envs.code.repair_types import Function
from thinkact.envs.code.slice import Slice, slice_functions

#: Distinct inputs per function.
POOL = 48
#: Distribution, version and licence of each library, by import name.
LIBRARIES: dict[str, tuple[str, str, str]] = {
    "more_itertools": ("more-itertools", "11.2.1", "MIT, (c) Erik Rose and contributors"),
    "toolz": ("toolz", "1.2.0", "BSD-3-Clause, (c) Matthew Rocklin and contributors"),
    "boltons": ("boltons", "26.2.0", "BSD-3-Clause, (c) Mahmoud Hashemi and contributors"),
    "funcy": ("funcy", "2.1", "BSD-3-Clause, (c) Alexander Schepanovski and contributors"),
    "inflection": ("inflection", "0.5.1", "MIT, (c) Janko Marohnić and contributors"),
    "sortedcontainers": ("sortedcontainers", "2.4.0", "Apache-2.0, (c) Grant Jenks"),
    "humanize": ("humanize", "4.17.0", "MIT, (c) Jason Moiron and contributors"),
}


class MissingLibrary(ImportError):
    """A library of the extra ``code`` is not there, or not in the pinned version."""


@dataclass(frozen=True)
class Pool:
    """Inputs of one function and what the original gives for them."""

    inputs: tuple[tuple[Any, ...], ...]
    wanted: tuple[Any, ...]
    digest: str


@dataclass(frozen=True)
class Bug:
    """One edit of the catalogue: in which definition or method, what, and a bit per input that betrays it."""

    definition: str
    edit: Edit
    mask: int


def check_versions() -> None:
    """Refuse other versions of the libraries than the catalogue was made for.

    Raises:
        MissingLibrary: The message says what to install.
    """
    for distribution, version, _ in LIBRARIES.values():
        try:
            found = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            raise MissingLibrary(
                f"CodeRepair needs {distribution}=={version}, found {found}; install it with: "
                'pip install "thinkact[code]"'
            )


def call_of(function: Function, module: str) -> Call:
    """Return how a test calls the function, with its names from ``module``."""
    return Call(module, (function.name, *function.also), function.call)


@lru_cache(maxsize=512)
def slice_of(function: Function) -> Slice:
    """Return the function's source and that of all it needs."""
    return slice_functions(function.module, (function.name, *function.also))


def source_digest(function: Function) -> str:
    """Digest the source that tasks show, to notice other library contents under the same version."""
    texts = library_texts().values() if function.method else (each.text for each in slice_of(function).definitions)
    text = "\0".join(texts)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=512)
def pool_of(function: Function) -> Pool:
    """Draw the inputs and ask the installed library for the answers; errors and repeats are kept few."""
    rng = random.Random(f"pool/{function.key}")
    call = call_of(function, function.module)
    seen: set[str] = set()
    outputs: dict[str, int] = {}
    raising = 0
    inputs: list[tuple[Any, ...]] = []
    wanted: list[Any] = []
    for _ in range(POOL * 12):
        args = draw_all(function.inputs, rng)
        key = json.dumps(args)
        if key in seen or len(key) > 400:
            continue
        seen.add(key)
        value = outcome_of(function.module, call, args)
        text = json.dumps(value)
        raises = "raises" in value
        if len(text) > 1500 or raising + raises > POOL // 5 or outputs.get(text, 0) >= POOL // 6:
            continue
        raising += raises
        outputs[text] = outputs.get(text, 0) + 1
        inputs.append(tuple(args))
        wanted.append(value)
        if len(inputs) == POOL:
            break
    record = json.dumps([inputs, wanted], sort_keys=True).encode()
    return Pool(tuple(inputs), tuple(wanted), hashlib.blake2b(record, digest_size=8).hexdigest())


def _shipped(name: str) -> dict[str, Any]:
    text = resources.files("thinkact.envs.code").joinpath(name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Any]:
    """Read the catalogue of functions that ships with the package."""
    return _shipped("repair_catalogue.json")


@lru_cache(maxsize=1)
def class_catalogue() -> dict[str, Any]:
    """Read the catalogue of methods."""
    return _shipped("repair_classes.json")


def _row(key: str) -> Any:
    known = catalogue()["functions"]
    return known[key] if key in known else class_catalogue()["functions"][key]


@lru_cache(maxsize=1)
def catalogue_digest() -> str:
    """Tell catalogues apart: with another one, the same task id means another task."""
    return hashlib.blake2b(
        json.dumps([catalogue(), class_catalogue()], sort_keys=True).encode(), digest_size=8
    ).hexdigest()


@lru_cache(maxsize=512)
def bugs_of(key: str) -> tuple[Bug, ...]:
    """Return the catalogue's bugs of one function or method."""
    rows = _row(key)["bugs"]
    return tuple(Bug(name, Edit(kind, start, end, new), int(mask, 16)) for name, kind, start, end, new, mask in rows)


@lru_cache(maxsize=512)
def checked_pool(function: Function) -> Pool:
    """Return the pool after comparing source and answers with what the catalogue was made from.

    Raises:
        MissingLibrary: They differ.
    """
    check_versions()
    known = _row(function.key)
    pool = pool_of(function)
    if known["source"] != source_digest(function) or known["pool"] != pool.digest:
        raise MissingLibrary(
            f"{function.key} is not what the catalogue was made from (another build of its library, or a Python "
            'under which it answers differently); reinstall with: pip install --force-reinstall "thinkact[code]"'
        )
    return pool
