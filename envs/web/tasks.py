"""Tasks of web applications: templates that draw a task from a seeded database.

A template is a function from a :class:`Draw` to a :class:`WebTask` (or None where this draw gives none). A quarter
of the templates, chosen by a hash of their names, is the split ``hidden``; the others serve ``train`` and ``eval``,
whose databases have other seeds and whose prompts are told apart by a hash, so that no prompt is in both.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeVar

from thinkact.envs.answers import Answer
from thinkact.envs.types import Split
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.site import NOW, App, Knobs
from thinkact.envs.web.store import Allowed, Goal, Start

__all__ = ["Allowed", "Answer", "Draw", "Goal", "Moves", "Pilot", "Problem", "Template", "WebTask", "build", "template"]

ItemT = TypeVar("ItemT")
Wording = Literal["plain", "indirect"]
#: Seeds of databases per split, and numbers of tasks per template.
DATABASES, NUMBERS = 100, 100_000
LEVELS = range(4)
#: What a prompt says where the page shows more than what is asked for.
ANSWER_ONLY = "Give the answer only."


@dataclass(frozen=True)
class WebTask:
    """What a template makes.

    Attributes:
        prompt: What the agent is asked.
        goals: Facts that must come true; none of them holds at the start.
        allowed: What may change on the way; anything else is collateral damage.
        answer: The typed answer that must be given, if any.
        infeasible: Whether the only right thing is to say that it cannot be done (then no goals, no answer).
        solve: The expert: a generator of actions that reads nothing but what the pilot sees.
        steps: Actions that the expert takes, about; it sets the budget. 0 takes the template's level for it.
    """

    prompt: str
    solve: Callable[[Pilot], Moves]
    goals: tuple[Goal, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    answer: Answer | None = None
    infeasible: bool = False
    steps: int = 0


@dataclass(frozen=True)
class Draw:
    """What a template draws from.

    Attributes:
        rng: The task's own generator.
        starts: The seeded start of each application of the template.
        knobs: The difficulty knobs.
        wording: ``"indirect"`` asks for the harder phrasing where a template has one.
        now: The frozen clock.
    """

    rng: random.Random
    starts: Mapping[str, Start]
    knobs: Knobs
    wording: Wording
    now: datetime = NOW

    def db(self, app: str = "") -> sqlite3.Connection:
        """Return a read-only connection to the seeded start (of the first application where none is named)."""
        return self.starts[app or next(iter(self.starts))].db

    def rows(self, sql: str, *params: Any, app: str = "") -> list[sqlite3.Row]:
        """Return all rows of a query on the seeded start."""
        return self.db(app).execute(sql, params).fetchall()

    def row(self, sql: str, *params: Any, app: str = "") -> sqlite3.Row | None:
        """Return the first row of a query on the seeded start, or None."""
        found: sqlite3.Row | None = self.db(app).execute(sql, params).fetchone()
        return found

    def pick(self, sql: str, *params: Any, app: str = "") -> sqlite3.Row | None:
        """Return one row of a query, drawn evenly; None where there is none. The query must order its rows."""
        found = self.rows(sql, *params, app=app)
        return self.rng.choice(found) if found else None

    def some(self, items: Sequence[ItemT], n: int) -> list[ItemT]:
        """Return ``n`` different items, in drawn order; fewer where there are fewer."""
        return self.rng.sample(list(items), min(n, len(items)))

    def say(self, *phrasings: str, indirect: Sequence[str] = ()) -> str:
        """Return one of several ways to put it; one of ``indirect`` under that wording.

        Both wordings draw alike, so that what is drawn afterwards is the same.
        """
        at = self.rng.randrange(len(phrasings)) if len(phrasings) > 1 else 0
        return indirect[at % len(indirect)] if indirect and self.wording == "indirect" else phrasings[at]


Maker = Callable[[Draw], "WebTask | None"]


@dataclass(frozen=True)
class Template:
    """A family of tasks.

    Attributes:
        name: ``app/what-is-to-do``.
        apps: Names of the applications it uses; the first is where the browser starts.
        level: 0: 2 to 4 actions of the expert, 1: 5 to 9, 2: 10 to 19, 3: 20 to 40.
        make: Draws a task.
        infeasible: Whether its tasks cannot be done.
    """

    name: str
    apps: tuple[str, ...]
    level: int
    make: Maker
    infeasible: bool = False

    @property
    def hidden(self) -> bool:
        """Whether it belongs to the split ``hidden``."""
        return hashlib.blake2b(self.name.encode(), digest_size=2).digest()[0] % 4 == 0


#: All templates by name, and all applications by name; filled when an application's modules are imported.
TEMPLATES: dict[str, Template] = {}
APPS: dict[str, App] = {}


def template(
    name: str, *, app: str = "", apps: Sequence[str] = (), level: int, infeasible: bool = False
) -> Callable[[Maker], Maker]:
    """Register a function as a template.

    Raises:
        ValueError: The name is taken, the level does not exist, or no application is named.
    """
    chosen = (app, *apps) if app else tuple(apps)
    if name in TEMPLATES or level not in LEVELS or not chosen:
        raise ValueError(f"template {name!r}: the name is taken, or level or apps are wrong.")

    def register(make: Maker) -> Maker:
        TEMPLATES[name] = Template(name, chosen, level, make, infeasible)
        return make

    return register


def register_app(app: App) -> App:
    """Make an application known by its name, for templates and environments."""
    return APPS.setdefault(app.name, app)


@dataclass(frozen=True)
class Problem:
    """A task with all that belongs to it."""

    id: str
    split: Split
    number: int
    template: Template
    task: WebTask
    starts: Mapping[str, Start]


@lru_cache(maxsize=32)
def build(split: Split, name: str, number: int, knobs: Knobs, wording: Wording) -> Problem | None:
    """Build the task of a template and number; None where there is none of that number in that split."""
    found = TEMPLATES.get(name)
    if found is None or found.hidden != (split == "hidden") or not 0 <= number < NUMBERS:
        return None
    starts = {app: APPS[app].start(f"{split}/{number % DATABASES}", knobs) for app in found.apps}
    draw = Draw(random.Random(f"{split}/{name}/{number}"), starts, knobs, wording)
    for start in starts.values():
        start.lock.acquire()
    try:
        task = found.make(draw)
    finally:
        for start in starts.values():
            start.lock.release()
    if task is None or (split != "hidden" and _open_split(task.prompt) != split):
        return None
    return Problem(f"{split}/{name}/{number}", split, number, found, task, starts)


def _open_split(prompt: str) -> Split:
    return "eval" if hashlib.blake2b(prompt.encode(), digest_size=1).digest()[0] % 2 else "train"
