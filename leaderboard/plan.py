"""What one submission will play: every episode, fixed before the first one begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal, cast

import gymnasium as gym
from pydantic import BaseModel, ConfigDict, Field

from thinkact.envs import EnvironmentFault, ToolEnv
from thinkact.leaderboard.secret import PUBLIC_KEY, seeds
from thinkact.leaderboard.suites import Cell, Suite
from thinkact.policies.rollout import Job

#: The splits of a submission, in the order they are played.
BoardSplit = Literal["eval", "hidden"]
BOARD_SPLITS: tuple[BoardSplit, ...] = ("eval", "hidden")
#: What an installation may lack: the cell is left out, with the reason.
LACKING = (gym.error.Error, ImportError, ValueError, OSError, EnvironmentFault)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentNote(_Frozen):
    """Who played.

    Attributes:
        name: On the board.
        kind: ``command``, ``python``, ``model``, ``endpoint``, ``scripted`` or ``policy`` (an object of the caller's).
        digest: Tells any change of the agent.
        badges: What a reader has to know: ``network``, ``remote``, ``unisolated``.
    """

    name: str
    kind: str
    digest: str
    badges: tuple[str, ...] = ()


class CellPlan(_Frozen):
    """One environment as it is played here.

    Attributes:
        env: Gymnasium id.
        kwargs: Difficulty knobs.
        trials: Episodes per task.
        version: The environment's.
        versions: What else decides an episode: isolation level, fingerprints of indexes, image digests.
        live: It asks something outside that changes (live search): episodes cannot be repeated.
        eval: Public task ids.
        hidden: Hidden task ids.
    """

    env: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    trials: int
    version: str
    versions: dict[str, str] = Field(default_factory=dict)
    live: bool = False
    eval: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def tasks(self, split: BoardSplit) -> tuple[str, ...]:
        """Return the task ids of a split."""
        return self.eval if split == "eval" else self.hidden

    def jobs(self, split: BoardSplit, seed: int) -> Iterator[Job]:
        """Yield the episodes of a split; ids and sampling seeds depend on nothing but the arguments and the cell."""
        short = self.env.removeprefix("thinkact/")
        for at, task in enumerate(self.tasks(split)):
            for trial in range(self.trials):
                name = f"{short}.{split}.{at:04d}.{trial}"
                own = hashlib.sha256(f"{seed}|{name}".encode()).digest()[:4]
                yield Job(name, task, int.from_bytes(own, "big"))


class Missing(_Frozen):
    """An environment of the suite that is not run here, and why."""

    env: str
    reason: str


class Plan(_Frozen):
    """A submission before it is played; the content of ``plan.json``.

    Attributes:
        run: Name of the run: a digest of agent, suite, seed and board.
        agent: Who plays.
        suite: The definition.
        suite_digest: Its digest, so that a definition altered afterwards shows.
        label: What rows are grouped by: the suite's label, and what of it is not run here. Rows over other cells
            never stand in one table.
        seed: Of the agent's sampling.
        commitment: The board's, to its secret.
        cells: What is played.
        missing: What is not.
        tasks_digest: SHA-256 over all task ids.
    """

    schema_version: int = 1
    run: str
    agent: AgentNote
    suite: Suite
    suite_digest: str
    label: str
    seed: int
    commitment: str
    cells: tuple[CellPlan, ...]
    missing: tuple[Missing, ...] = ()
    tasks_digest: str

    @property
    def jobs(self) -> dict[str, tuple[CellPlan, BoardSplit, Job]]:
        """Every episode by its id."""
        return {
            job.id: (cell, split, job)
            for cell in self.cells
            for split in BOARD_SPLITS
            for job in cell.jobs(split, self.seed)
        }

    def public(self) -> dict[str, Any]:
        """Return the plan as JSON types without hidden task ids: what the board's manifest says of it."""
        plain = self.model_dump(mode="json")
        for cell in plain["cells"]:
            cell["hidden"] = len(cell["hidden"])
            cell["eval"] = len(cell["eval"])
        return plain


def draw(cell: Cell, suite: str, split: BoardSplit, key: bytes) -> tuple[str, ...]:
    """Draw a cell's tasks of one split, one for each seed of :func:`~thinkact.leaderboard.secret.seeds`; no repeats.

    Args:
        cell: The environment.
        suite: The suite's label.
        split: ``eval`` or ``hidden``.
        key: The board's secret; the public key on ``eval``.

    Returns:
        Task ids; fewer than asked where the family has fewer.

    Raises:
        gymnasium.error.Error: There is no such environment.
        ImportError, ValueError, OSError, EnvironmentFault: It cannot be made here.
    """
    wanted = cell.public if split == "eval" else cell.hidden
    if not wanted:
        return ()
    found: dict[str, None] = {}
    env = _make(cell, split)
    try:
        for tries, seed in enumerate(seeds(key, suite, cell.env)):
            if len(found) == wanted or tries == 20 * wanted + 100:
                return tuple(found)
            found.update(dict.fromkeys(cast("ToolEnv[Any]", env.unwrapped).sample_tasks(1, seed)))
    finally:
        env.close()
    raise AssertionError("seeds() never ends")


def plan_cell(cell: Cell, suite: str, secret: bytes) -> CellPlan:
    """Draw a cell's tasks and try the first one, so that what is missing here is told before anything is played.

    Raises:
        gymnasium.error.Error, ImportError, ValueError, OSError, EnvironmentFault: It cannot be run here.
    """
    public, hidden = draw(cell, suite, "eval", PUBLIC_KEY), draw(cell, suite, "hidden", secret)
    split: BoardSplit = "eval" if public else "hidden"
    env = _make(cell, split)
    try:
        env.reset(seed=0, options={"task_id": (public or hidden)[0]})
        inner = cast("ToolEnv[Any]", env.unwrapped)
        # A hidden task's index may be named after the task.
        versions = inner.versions() if public else {}
        version = inner.version
    finally:
        env.close()
    live = any(value.startswith("live:") for value in versions.values())
    return CellPlan(
        env=cell.env, kwargs=cell.kwargs, trials=cell.trials, version=version, versions=versions, live=live,
        eval=public, hidden=hidden,
    )  # fmt: skip


def make_plan(suite: Suite, agent: AgentNote, *, run: str, seed: int, secret: bytes, commitment: str) -> Plan:
    """Plan a submission.

    Raises:
        ValueError: Not one environment of the suite can be run here; the message gives the reasons.
    """
    cells: list[CellPlan] = []
    missing: list[Missing] = []
    for cell in suite.cells:
        try:
            cells.append(plan_cell(cell, suite.label, secret))
        except LACKING as error:
            missing.append(Missing(env=cell.env, reason=reason_of(error)))
    if not cells:
        reasons = "; ".join(f"{each.env}: {each.reason}" for each in missing[:3])
        raise ValueError(f"nothing of the suite {suite.label} can be run here: {reasons}")
    return Plan(
        run=run,
        agent=agent,
        suite=suite,
        suite_digest=suite.digest,
        label=label_of(suite, missing),
        seed=seed,
        commitment=commitment,
        cells=tuple(cells),
        missing=tuple(missing),
        tasks_digest=tasks_digest(cells),
    )


def label_of(suite: Suite, missing: list[Missing]) -> str:
    """Return what rows are grouped by: a suite without some of its cells is another one."""
    if not missing:
        return suite.label
    return f"{suite.label} without {', '.join(each.env.removeprefix('thinkact/') for each in missing)}"


def fault_for_all(split: str, error: str) -> str:
    """Return what anyone may read of a fault: one of a hidden task may name it."""
    return error.partition(":")[0] if split == "hidden" else error


def tasks_digest(cells: list[CellPlan]) -> str:
    """Digest the task ids of all cells."""
    content = [[cell.env, cell.kwargs, cell.trials, cell.eval, cell.hidden] for cell in cells]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _make(cell: Cell, split: str) -> gym.Env[str, str]:
    env = gym.make(cell.env, **cell.kwargs, split=split)
    if not isinstance(env.unwrapped, ToolEnv):
        env.close()
        raise ValueError(f"{cell.env} is not a thinkact environment.")
    return cast("gym.Env[str, str]", env)


def reason_of(error: BaseException) -> str:
    """Return what is missing: the innermost cause says it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"[:300].encode("utf-8", "replace").decode()
