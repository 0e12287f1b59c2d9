"""Play a submission's actions again and compare everything: nothing on a board need be believed.

The tasks are drawn anew from the suite and the board's secret, every recorded action goes into a fresh environment,
and prompts, results, checks, rewards, states and scores have to come out the same to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from thinkact.envs import Action, Conversation
from thinkact.leaderboard import secret as secrets
from thinkact.leaderboard.bounded import BoundedRunner
from thinkact.leaderboard.plan import (
    BOARD_SPLITS,
    LACKING,
    AgentNote,
    BoardSplit,
    CellPlan,
    Missing,
    Plan,
    fault_for_all,
    label_of,
    plan_cell,
    reason_of,
    tasks_digest,
)
from thinkact.leaderboard.records import LOST, RejectedSubmission
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.suites import DIGESTS, Suite
from thinkact.policies.episode import Episode, episode_line
from thinkact.policies.rollout import Job

#: What the environment decides of a turn; the rest is the agent's own.
_OF_TURN = ("observation", "action", "result", "calls", "results", "checks", "reward", "invalid", "state_key")
_OF_EPISODE = ("family", "env_version", "split", "difficulty", "terminated", "truncated", "score", "success", "error")
_RAN_OUT = "the record ends here, the episode does not"
_SHOWN = 200


@dataclass(frozen=True)
class Difference:
    """Where a record and its repetition part.

    Attributes:
        episode: Id of the episode.
        turn: Number of the turn, from 1; None where it is about the episode.
        what: Name of the field.
        recorded: What the record says, clipped.
        replayed: What came out, clipped.
    """

    episode: str
    turn: int | None
    what: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        where = f"{self.episode}, turn {self.turn}" if self.turn is not None else self.episode
        return f"{where}: {self.what} is recorded as {self.recorded}, and came out as {self.replayed}"


@dataclass(frozen=True)
class Verification:
    """What came of looking at a submission again.

    Attributes:
        submission: Its id.
        verdict: ``verified``: all that can be repeated came out the same. ``rejected``: something does not.
            ``unverified``: it cannot be repeated here, for the reason given.
        reason: In a sentence.
        replayed: Episodes played again.
        rescored: Episodes of live environments, which cannot be: only their figures were found to agree.
        unresolved: Episodes that ended in a fault and have no score.
        differences: All that were found.
        notes: What else differs and decides nothing (versions).
    """

    submission: str
    verdict: Literal["verified", "rejected", "unverified"]
    reason: str
    replayed: int = 0
    rescored: int = 0
    unresolved: int = 0
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


class _Rejected(Exception):
    """The submission contradicts its suite, its board or itself."""


class _NotHere(Exception):
    """It cannot be played again on this installation."""


def verify(
    board: Board,
    submission: str,
    *,
    concurrency: int = 4,
    record: bool = True,
    on_episode: Callable[[int, int], None] | None = None,
) -> Verification:
    """Look at a submission again, and write the verdict into the decision log.

    Args:
        board: Where it is. Its secret is needed for the hidden tasks.
        submission: Its id.
        concurrency: Episodes at once.
        record: Write the verdict down; what is rejected is taken off the board.
        on_episode: Told how many episodes were played again, of how many.

    Raises:
        KeyError: There is no such submission.
    """
    manifest = board.manifest(submission)
    try:
        episodes = {episode.id: episode for episode in board.episodes(submission)}
        plan = _plan_again(board, manifest.meta, manifest.suite, manifest.name)
        _same_tasks(plan, episodes)
        found = _play_again(submission, plan, episodes, concurrency, on_episode)
    except (_Rejected, RejectedSubmission) as error:
        found = Verification(submission, "rejected", str(error))
    except ValidationError as error:
        found = Verification(submission, "rejected", f"a record is none: {error.errors()[0]['msg']}")
    except (_NotHere, secrets.SecretError) as error:
        found = Verification(submission, "unverified", str(error))
    if record:
        board.decisions.add(submission, found.verdict, found.reason)
    return found


def replay(board: Board, submission: str, episode: str) -> tuple[Episode, Episode | None, tuple[Difference, ...]]:
    """Play one recorded episode again.

    Returns:
        The record; its repetition, None where it cannot be repeated (it ended in a fault); the differences.

    Raises:
        KeyError: There is no such submission or episode.
        ValueError: It cannot be played here; the message says why.
    """
    manifest = board.manifest(submission)
    episodes = {one.id: one for one in board.episodes(submission)}
    if episode not in episodes:
        raise KeyError(f"no episode {episode!r} in {submission}; there are {', '.join(sorted(episodes)[:5])}, …")
    recorded = episodes[episode]
    if recorded.error is not None:
        return recorded, None, ()
    try:
        plan = _plan_again(board, manifest.meta, manifest.suite, manifest.name, only=recorded.env_id)
        if episode not in plan.jobs:
            raise _Rejected(f"{episode} is not part of the suite")
    except (_Rejected, _NotHere) as error:
        raise ValueError(str(error)) from error
    cell, split, _ = plan.jobs[episode]
    (played,) = _replayed(cell, split, [recorded], 1, plan.suite.limits.turn_s)
    return recorded, played, tuple(_differences(recorded, played))


def _plan_again(board: Board, meta: dict[str, Any], label: str, name: str, *, only: str | None = None) -> Plan:
    """Make the plan anew from the suite and the secret, believing nothing but what was asked for."""
    noted = meta.get("plan")
    if not isinstance(noted, dict):
        raise _NotHere("it was not played as a suite (thinkact submit): its settings are not on record")
    suite = Suite.model_validate(noted.get("suite"))
    if noted.get("suite_digest") != suite.digest:
        raise _Rejected("the suite's definition (tasks, trials or limits) was altered")
    plain = f"{suite.name}@{suite.version}"
    if DIGESTS.get(plain, suite.digest) != suite.digest:
        raise _Rejected(f"the definition (tasks, trials or limits) is not that of {plain}")
    missing = [Missing.model_validate(each) for each in noted.get("missing", ())]
    if label != label_of(suite, missing):
        raise _Rejected(f"it stands under {label!r}, its definition is {label_of(suite, missing)!r}")
    secret = secrets.load(board.path)
    if noted.get("commitment") != secret.commitment:
        raise _Rejected("it was played on a board with another secret")
    versions = {str(each.get("env")): each.get("version") for each in noted.get("cells", ())}
    left_out = {each.env for each in missing}
    cells = []
    for cell in suite.cells:
        if cell.env in left_out or only not in (None, cell.env):
            continue
        try:
            found = plan_cell(cell, suite.label, secret.key)
        except LACKING as error:
            raise _NotHere(f"{cell.env} cannot be run here: {reason_of(error)}") from error
        if versions.get(cell.env) != found.version:
            raise _NotHere(
                f"{cell.env} was at version {versions.get(cell.env)!r} and is at {found.version!r} here: other tasks"
            )
        cells.append(found)
    digest = tasks_digest(cells)
    if only is None and noted.get("tasks_digest") != digest:
        raise _Rejected("its tasks are not those that suite and secret give")
    agent = AgentNote.model_validate(noted.get("agent"))
    if agent.name != name:
        raise _Rejected(f"it was played by {agent.name!r} and stands under {name!r}")
    return Plan(
        run=str(noted.get("run")),
        agent=agent,
        suite=suite,
        suite_digest=suite.digest,
        label=label,
        seed=int(noted.get("seed", 0)),
        commitment=secret.commitment,
        cells=tuple(cells),
        missing=tuple(missing),
        tasks_digest=digest,
    )


def _same_tasks(plan: Plan, episodes: dict[str, Episode]) -> None:
    """Every episode of the plan is there, no other one is, and each is of the task it claims to be."""
    jobs = plan.jobs
    for verb, ids in (("lacks", jobs.keys() - episodes.keys()), ("adds", episodes.keys() - jobs.keys())):
        if ids:
            raise _Rejected(f"it {verb} {len(ids)} episodes against the suite, for example {sorted(ids)[0]}")
    for key, (cell, split, job) in jobs.items():
        episode = episodes[key]
        expected: dict[str, str | int] = {
            "env_id": cell.env,
            "env_version": cell.version,
            "split": split,
            "task_id": job.task_id,
        }
        if episode.error != LOST:
            expected["seed"] = job.seed
        for what, value in expected.items():
            if getattr(episode, what) != value:
                said = f" is {getattr(episode, what)!r}, the suite says {value!r}"
                raise _Rejected(f"{key}: {what}{' is not what the suite says' if split == 'hidden' else said}")


def _play_again(
    submission: str,
    plan: Plan,
    episodes: dict[str, Episode],
    concurrency: int,
    on_episode: Callable[[int, int], None] | None,
) -> Verification:
    turn_s = plan.suite.limits.turn_s
    resolved = {key for key, episode in episodes.items() if episode.error is None}
    again = {key: job for key, job in plan.jobs.items() if key in resolved and not job[0].live}
    differences: list[Difference] = []
    notes: dict[str, None] = {}
    faults: list[str] = []
    count = 0
    for cell in plan.cells:
        for split in BOARD_SPLITS:
            mine = [episodes[key] for key, job in again.items() if job[:2] == (cell, split)]
            for recorded, played in zip(mine, _replayed(cell, split, mine, concurrency, turn_s), strict=True):
                found = list(_differences(recorded, played))
                if found:  # once more and alone: a limit of time may have been met because the machine was busy
                    (played,) = _replayed(cell, split, [recorded], 1, turn_s)
                    found = list(_differences(recorded, played))
                if played.error is not None and played.error != _RAN_OUT:
                    faults.append(f"{recorded.id}: {fault_for_all(split, played.error)}")
                else:
                    differences += found
                notes.update(dict.fromkeys(_notes(cell, recorded, played)))
                count += 1
                if on_episode is not None:
                    on_episode(count, len(again))
    rescored = len(resolved) - len(again)
    unresolved = len(episodes) - len(resolved)
    result = Verification(
        submission, "verified", "", count, rescored, unresolved, tuple(differences), tuple(notes)
    )  # fmt: skip
    if differences:
        wrong = len({each.episode for each in differences})
        # The reason is for everyone: it says nothing of what is in a hidden task.
        open_ones = [str(each) for each in differences if plan.jobs[each.episode][1] != "hidden"]
        first = differences[0]
        shown = open_ones[0] if open_ones else f"{first.episode}, a hidden one: {first.what}"
        return replace(result, verdict="rejected", reason=f"{wrong} of {count} episodes differ: {shown}")
    if faults:
        return replace(result, verdict="unverified", reason=f"{len(faults)} episodes met faults here: {faults[0]}")
    reason = f"{count} episodes played again, all the same"
    if rescored:
        reason += f"; {rescored} of live environments cannot be, their figures agree with each other"
    if unresolved:
        reason += f"; {unresolved} are unresolved and count as not solved"
    if not count:
        return replace(result, verdict="unverified", reason=f"nothing could be played again; {reason}")
    return replace(result, reason=reason)


def _replayed(
    cell: CellPlan, split: BoardSplit, recorded: Sequence[Episode], concurrency: int, turn_s: float
) -> list[Episode]:
    if not recorded:
        return []
    jobs = [Job(each.id, each.task_id, each.seed) for each in recorded]
    kwargs = {**cell.kwargs, "split": split}
    lanes = min(concurrency, len(jobs))
    with BoundedRunner(cell.env, concurrency=lanes, env_kwargs=kwargs, turn_s=turn_s) as runner:
        return runner.run(jobs, _Replay(recorded))


class _Replay:
    """Says what was said before."""

    name = "replay"

    def __init__(self, recorded: Sequence[Episode]) -> None:
        self._turns = {episode.id: episode.turns for episode in recorded}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return each episode's next recorded action."""
        return [self._next(one) for one in conversations]

    def _next(self, conversation: Conversation) -> Action:
        turns = self._turns[conversation.id.rpartition("#")[0]]
        at = len(conversation.messages) // 2
        if at >= len(turns):
            return Action(text="", fault=_RAN_OUT)
        return Action(text=turns[at].action, stop=turns[at].stop)

    def release(self, conversation_id: str) -> None:
        """Nothing is held."""


def _differences(recorded: Episode, played: Episode) -> list[Difference]:
    """Return every field in which two episodes differ, in the form in which they are stored."""
    was, came = (json.loads(episode_line(each)) for each in (recorded, played))
    found = []
    for at, (one, other) in enumerate(zip(was["turns"], came["turns"], strict=False), 1):
        for what in _OF_TURN:
            if _text(one[what]) != _text(other[what]):
                found.append(Difference(recorded.id, at, what, *_apart(one[what], other[what])))
    if len(was["turns"]) != len(came["turns"]):
        found.append(Difference(recorded.id, None, "turns", str(len(was["turns"])), str(len(came["turns"]))))
    for what in _OF_EPISODE:
        if _text(was[what]) != _text(came[what]):
            found.append(Difference(recorded.id, None, what, *_apart(was[what], came[what])))
    return found


def _apart(one: Any, other: Any) -> tuple[str, str]:
    """Show two values from shortly before where they part."""
    texts = _text(one), _text(other)
    start = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    first = max(0, start - 40)
    shown = [("…" if first else "") + text[first : first + _SHOWN] for text in texts]
    return shown[0], shown[1]


def _notes(cell: CellPlan, recorded: Episode, played: Episode) -> list[str]:
    return [
        f"{cell.env}: {key} was {recorded.versions[key]} and is {played.versions.get(key, 'unknown')} here"
        for key in sorted(recorded.versions)
        if recorded.versions[key] != played.versions.get(key)
    ]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
