"""Suites: versioned lists of environments, tasks and limits that agents are compared on.

A definition is frozen: what it says is part of its digest, and whoever changes it gives it another version, so that
rows of the old and the new one never stand in one table.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_NAME = r"^[a-z0-9][a-z0-9._-]{0,39}$"


class SuiteError(ValueError):
    """There is no such suite, or its file cannot be used; the message says what to write instead."""


class Budget(BaseModel):
    """Time limits, each inside the next; a tool's own limit is its environment's and lies within a turn.

    Attributes:
        action_s: Seconds for one answer of the agent. Later ones are empty actions.
        turn_s: Seconds for one step (or reset) of an environment, tools and verifier included. Beyond it the
            environment hangs: a fault of ours, tried again twice on a fresh one.
        episode_s: Seconds for one episode. Then it is cut and scored as it stands; the turn in which it was says
            ``episode limit``.
        submission_s: Seconds for the whole submission, over all its parts. Then what is not finished is cut in the
            same way, with ``submission limit``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action_s: float = Field(60.0, gt=0, allow_inf_nan=False)
    turn_s: float = Field(180.0, gt=0, allow_inf_nan=False)
    episode_s: float = Field(900.0, gt=0, allow_inf_nan=False)
    submission_s: float = Field(8 * 3600.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _nested(self) -> Budget:
        if not self.action_s <= self.turn_s <= self.episode_s <= self.submission_s:
            raise ValueError("limits must nest: action_s <= turn_s <= episode_s <= submission_s")
        return self


class Cell(BaseModel):
    """One environment of a suite.

    Attributes:
        env: Gymnasium id.
        kwargs: Its difficulty knobs.
        public: Tasks of the split ``eval``, the same on every board.
        hidden: Tasks of the split ``hidden``, drawn with the board's secret.
        trials: Episodes per task.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str = Field(pattern=r"^[A-Za-z][\w-]*/[A-Za-z][\w-]*-v\d+$", max_length=80)
    kwargs: dict[str, Any] = Field(default_factory=dict)
    public: int = Field(8, ge=0, le=100_000)
    hidden: int = Field(8, ge=0, le=100_000)
    trials: int = Field(1, ge=1, le=1000)

    @model_validator(mode="after")
    def _sound(self) -> Cell:
        if taken := self.kwargs.keys() & {"split", "render_mode"}:
            raise ValueError(f"kwargs cannot set {sorted(taken)[0]}")
        if self.public + self.hidden == 0:
            raise ValueError("public and hidden are both 0: there is nothing to play")
        return self


class Suite(BaseModel):
    """What agents are compared on. See :data:`SUITES` and :func:`load_suite`.

    Attributes:
        name: Lower-case letters, digits, dots and dashes.
        version: Counts up with every change of the definition.
        description: A line for people; not part of the digest.
        cells: One per environment.
        limits: Time limits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME)
    version: int = Field(1, ge=1)
    description: str = Field("", max_length=500)
    cells: tuple[Cell, ...] = Field(min_length=1, max_length=200)
    limits: Budget = Budget()

    @model_validator(mode="after")
    def _one_cell_each(self) -> Suite:
        ids = [cell.env for cell in self.cells]
        for env in ids:
            if ids.count(env) > 1:
                raise ValueError(f"{env} is in it twice; give one cell a list of levels, or make two suites")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 over all of the definition that decides a figure."""
        content = self.model_dump(mode="json", exclude={"description"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def label(self) -> str:
        """What rows of a board are grouped by: ``core-cpu@1``; for a suite of one's own also part of its digest."""
        plain = f"{self.name}@{self.version}"
        return plain if DIGESTS.get(plain) == self.digest else f"{plain}#{self.digest[:8]}"

    @property
    def episodes(self) -> int:
        """Episodes of one submission, where every cell can be run."""
        return sum((cell.public + cell.hidden) * cell.trials for cell in self.cells)


def _cells(tasks: int, *ids: str, **knobs: dict[str, Any]) -> tuple[Cell, ...]:
    return tuple(
        Cell(env=f"thinkact/{name}-v0", kwargs=knobs.get(name, {}), public=tasks, hidden=tasks) for name in ids
    )


_SEARCH = ("FactbookQA", "WorldQA", "ZooHours", "DocsQA", "Research")
_CODE = ("PythonTask", "CodeWrite", "CodeRepair", "Terminal", "DataQA")
_MATH = ("Math", "Proof")
_WEB = ("Shop", "Booking", "Inbox", "Wiki", "Admin", "Portal", "MiniWoB")
_LEVELS: dict[str, dict[str, Any]] = {"PythonTask": {"level": [0, 1, 2]}}
#: Offline, and without what has to be fetched first.
_CORE = ("Credit", "FactbookQA", "WorldQA", "ZooHours", "Research", *_MATH, *_CODE)

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="core-cpu",
            description="A few tasks of every environment that needs neither a browser nor downloads: minutes on two "
            "cores with a fast agent.",
            cells=_cells(8, *_CORE, **_LEVELS),
            limits=Budget(action_s=60, turn_s=120, episode_s=600, submission_s=3600),
        ),
        Suite(
            name="code",
            description="Write, repair, analyse: everything that runs programs.",
            cells=_cells(40, *_CODE, **_LEVELS),
        ),
        Suite(name="search", description="Look it up: real and invented worlds.", cells=_cells(40, *_SEARCH)),
        Suite(name="math", description="Exact answers with Python, and formal proofs.", cells=_cells(60, *_MATH)),
        Suite(name="web", description="Real pages in a real browser.", cells=_cells(20, *_WEB)),
        Suite(
            name="full",
            description="Everything.",
            cells=_cells(40, "Credit", *_SEARCH, *_MATH, *_CODE, *_WEB, **_LEVELS),
            limits=Budget(submission_s=48 * 3600),
        ),
    )
}

#: Digests of all versions there ever were. A changed definition gets a new version and a line here.
DIGESTS: dict[str, str] = {
    "core-cpu@1": "d47a4426620178f60ce477ebbad473f90480b495367e134a74e6e503060b33cc",
    "code@1": "ae7aec374e79d1dbdf8aee18d5666c4d69fe67367d108f4b9ba041c9afc796cc",
    "search@1": "045ed36865f57beea6e9705864b2dae0478c5e132f19f3dd6f3d905e52881264",
    "math@1": "ee43af34e8136b971f31f2fe5662540bff40fa620ee6620dd6fba02e3817eeaa",
    "web@1": "6fe505d4a4a3d32fea2aefbf06f66ce795c067926e3f16327ce889ed54fdfcc4",
    "full@1": "ceecc4be4dbcf483b7f0a6e52550aec27590242eea59d0939b29be2d76ebb9d5",
}


def find_suite(name: str | Path) -> Suite:
    """Return a suite by its name, with or without version, or from a TOML file.

    Raises:
        SuiteError: There is none; the message names those there are.
    """
    if isinstance(name, Path) or name.endswith(".toml"):
        return load_suite(Path(name))
    plain, _, version = name.partition("@")
    suite = SUITES.get(plain)
    if suite is None:
        close = difflib.get_close_matches(plain, SUITES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SuiteError(
            f"there is no suite {name!r}.{hint} There are {', '.join(SUITES)}; one of your own is a .toml file."
        )
    if version and version != str(suite.version):
        raise SuiteError(f"{plain} is at version {suite.version} here, not {version!r}.")
    return suite


def load_suite(path: Path) -> Suite:
    """Read a suite of one's own.

    Raises:
        SuiteError: It is not there, no TOML, or says something that no suite has.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SuiteError(f"{path} is no TOML: {error}") from error
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "suite"
        raise SuiteError(f"{path}: {where}: {re.sub('^Value error, ', '', first['msg'])}.") from error
    known = SUITES.get(suite.name)
    if known is not None and known.digest != suite.digest:
        raise SuiteError(f"{path}: {suite.name!r} is the name of a suite that comes with thinkact; take another one.")
    return suite
