"""Run an agent on a suite and put what came of it on the board.

Everything that ended is on disk before the next thing begins, so a submission may be killed at any moment: the same
command goes on with what is left, and plays no episode twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thinkact.envs import Policy
from thinkact.leaderboard import secret as secrets
from thinkact.leaderboard.agents import AgentSpec, Isolation, ModelAgent, load_agent, open_agent
from thinkact.leaderboard.bounded import BoundedRunner, Guarded
from thinkact.leaderboard.journal import JournalBusy
from thinkact.leaderboard.machine import machine
from thinkact.leaderboard.plan import (
    BOARD_SPLITS,
    AgentNote,
    BoardSplit,
    CellPlan,
    Missing,
    Plan,
    fault_for_all,
    make_plan,
)
from thinkact.leaderboard.records import BASELINES, Kind, write_whole
from thinkact.leaderboard.running import RunFolder, Status, now
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.suites import Suite, find_suite
from thinkact.policies.episode import Episode, episode_line
from thinkact.policies.process_lines import ProcessLimits
from thinkact.policies.rollout import MAX_RETRIES, Job
from thinkact.policies.scripted import POLICIES

log = logging.getLogger(__name__)

#: Told how far a run is, after every episode.
OnStatus = Callable[[Status], None]
#: Share of faults among the episodes of one part beyond which it stops, and how many episodes that takes.
BREAKER, BREAKER_AFTER = 0.2, 10
_MOST_FAULTS = 100


class TooManyFaults(RuntimeError):
    """So many episodes ended in faults of ours that something is broken here; what ended is kept."""


class NotTheSame(ValueError):
    """A run cannot go on: what was begun is not what is asked for now; the message says what to do."""


@dataclass(frozen=True)
class Submitted:
    """What came of a submission.

    Attributes:
        submission: Its id on the board.
        suite: What its rows are grouped by; it names what of the suite was not run here.
        missing: Environments of the suite that were not run here, with the reason.
        played: Episodes that this call played; 0 when all was there already.
    """

    submission: str
    suite: str
    missing: tuple[Missing, ...]
    played: int


def run_submission(
    board: Board | Path,
    agent: AgentSpec | Path | str | Policy,
    suite: Suite | Path | str,
    *,
    name: str | None = None,
    seed: int = 0,
    concurrency: int = 8,
    allow_network: bool = False,
    isolation: Isolation = "strict",
    baselines: bool = True,
    breaker: float = BREAKER,
    fresh: bool = False,
    on_status: OnStatus | None = None,
) -> Submitted:
    """Play a suite with an agent, and with the baselines that the board has not played on it yet.

    Args:
        board: Where to put it; it needs a secret (``thinkact leaderboard init``).
        agent: An agent's specification, its folder, ``"null"``, ``"random"`` or ``"expert"``, or a policy of the
            caller's, which is known by its class and name alone.
        suite: A suite, its name, or a TOML file.
        name: On the board; by default the agent's.
        seed: Of the agent's sampling. The tasks do not depend on it.
        concurrency: Episodes at once.
        allow_network: See :func:`~thinkact.leaderboard.agents.open_agent`.
        isolation: Likewise.
        baselines: Add null, random and expert rows where the board has none for this suite.
        breaker: Share of faults above which a run stops.
        fresh: Give up what was begun of this submission, which the decision log tells, and start again.
        on_status: Told how far it is.

    Raises:
        SecretError: The board has no secret, or it is revealed.
        SuiteError: There is no such suite.
        SpecError: The agent cannot be used, or asks for what was not allowed.
        JournalBusy: Another process runs this submission.
        NotTheSame: What was begun is not what is asked for now.
        TooManyFaults: Something is broken here. What ended is kept.
        RejectedSubmission: An episode contradicts itself.
        OSError: The disk is full. What ended is kept.
        KeyboardInterrupt: Likewise.
    """
    if not isinstance(board, Board):
        secrets.board_file(Path(board))  # asked first: a board that takes nothing must not be left behind
        board = Board(board)
    suite = suite if isinstance(suite, Suite) else find_suite(suite)
    who = _Agent(agent, name, allow_network=allow_network, isolation=isolation)
    run = _Run(board, suite, concurrency=concurrency, breaker=breaker, on_status=on_status)
    result = run(who, seed, fresh=fresh)
    if baselines:
        there = {row.name for row in board.entries(suite=result.suite) if row.baseline}
        for each in (name for name in POLICIES if name not in there):
            try:
                # A suite without some of its environments has baselines of its own.
                run(_Agent(each, None), 0, beside=result.suite)
            except JournalBusy as error:
                log.warning("%s is played by another process: %s", each, error)
    return result


def begun(
    board: Path,
    agent: AgentSpec | Path | str | Policy,
    suite: Suite | Path | str,
    *,
    name: str | None = None,
    seed: int = 0,
    allow_network: bool = False,
    isolation: Isolation = "strict",
) -> bool:
    """Tell whether a submission was begun and has not ended. Arguments are :func:`run_submission`'s.

    Raises:
        SecretError, SuiteError, SpecError: See there.
    """
    suite = suite if isinstance(suite, Suite) else find_suite(suite)
    who = _Agent(agent, name, allow_network=allow_network, isolation=isolation)
    run = run_name(who.note, suite, seed, secrets.board_file(board).commitment)
    return (board / "running" / run / "plan.json").exists()


class _Agent:
    """Who plays, and how to open it."""

    def __init__(
        self,
        agent: AgentSpec | Path | str | Policy,
        name: str | None,
        *,
        allow_network: bool = False,
        isolation: Isolation = "strict",
    ) -> None:
        if isinstance(agent, str) and agent in POLICIES:
            agent = POLICIES[agent]()
        elif isinstance(agent, (str, Path)):
            agent = load_agent(Path(agent))
        self._agent, self._network, self._isolation = agent, allow_network, isolation
        scripted = type(agent) in POLICIES.values()
        own = agent.name
        badges: tuple[str, ...] = ()
        if isinstance(agent, Policy):
            cls = type(agent)
            kind = "scripted" if scripted else "policy"
            digest = hashlib.sha256(f"{cls.__module__}.{cls.__qualname__} {own}".encode()).hexdigest()
        else:
            kind, digest, badges = agent.kind, _spec_digest(agent), agent.badges
            if isolation == "none" and kind in ("command", "python"):
                badges = (*badges, "unisolated")
        self.baseline = scripted and name in (None, own)
        if (name or own) in BASELINES and not self.baseline:
            raise ValueError(f"{name or own!r} is the name of a baseline; give the agent another one.")
        self.note = AgentNote(name=name or own, kind=kind, digest=digest, badges=badges)

    @contextmanager
    def open(self, concurrency: int, limits: ProcessLimits, log_file: Path) -> Iterator[Policy]:
        if isinstance(self._agent, Policy):
            yield self._agent
            return
        with open_agent(
            self._agent,
            concurrency=concurrency,
            allow_network=self._network,
            isolation=self._isolation,
            limits=limits,
            log_file=log_file,
        ) as policy:
            yield policy


class _Run:
    """Runs one agent after another on one suite and board."""

    def __init__(
        self, board: Board, suite: Suite, *, concurrency: int, breaker: float, on_status: OnStatus | None
    ) -> None:
        self.board, self.suite = board, suite
        self.concurrency, self.breaker, self.on_status = concurrency, breaker, on_status
        about = secrets.board_file(board.path)
        if about.revealed is not None:
            raise secrets.SecretError(
                f"the hidden tasks of {board.path} are revealed since {about.revealed[:10]}; make a new board."
            )
        self.secret = secrets.load(board.path)

    def __call__(self, agent: _Agent, seed: int, *, fresh: bool = False, beside: str = "") -> Submitted:
        run = run_name(agent.note, self.suite, seed, self.secret.commitment, beside)
        with RunFolder(self.board.path, run) as folder:
            if fresh:
                self._give_up(folder)
            found = self.board.submission_of(run)
            if found is not None:
                self._decide(found[0])
                folder.remove()
                known = found[1]["plan"]
                return Submitted(found[0], known["label"], tuple(map(Missing.model_validate, known["missing"])), 0)
            plan = self._plan(folder, agent.note, run, seed)
            played = _Part(self, folder, plan).play(agent)
            return Submitted(self._accept(folder, plan, agent), plan.label, plan.missing, played)

    def _plan(self, folder: RunFolder, agent: AgentNote, run: str, seed: int) -> Plan:
        path = folder.path / "plan.json"
        if path.exists():
            plan = Plan.model_validate_json(path.read_bytes())
            if plan.suite_digest != self.suite.digest or plan.commitment != self.secret.commitment:
                raise NotTheSame(f"{folder.path} was begun with another suite or secret; give it up with --fresh.")
            return plan
        key, commitment = self.secret.key, self.secret.commitment
        plan = make_plan(self.suite, agent, run=run, seed=seed, secret=key, commitment=commitment)
        write_whole(path, plan.model_dump_json().encode())
        path.chmod(0o600)
        return plan

    def _accept(self, folder: RunFolder, plan: Plan, agent: _Agent) -> str:
        """Move the episodes to the board. Every step may be repeated after a crash."""
        jobs = plan.jobs
        found = folder.episodes()
        episodes = [found[key] for key in jobs]
        status = folder.status()
        meta = {
            "run": plan.run,
            "plan": plan.public(),
            "machine": machine(),
            "network": "network" in plan.agent.badges,
            "faults": [
                each.model_copy(update={"error": fault_for_all(jobs[each.episode][1], each.error)}).model_dump()
                for each in folder.faults()[:_MOST_FAULTS]
                if each.episode in jobs
            ],
            "seconds": status.seconds if status is not None else 0.0,
        }
        kind: Kind = "baseline" if agent.baseline else "agent"
        submission = self.board.submit(plan.agent.name, episodes, kind=kind, suite=plan.label, meta=meta)
        self._decide(submission)
        folder.remove()
        return submission

    def _decide(self, submission: str) -> None:
        """Write down that it is accepted, unless a decision is on record: then this is a repetition."""
        if not self.board.decisions.of(submission):
            episodes = self.board.manifest(submission).episodes
            self.board.decisions.add(submission, "accepted", f"played here: {len(episodes)} episodes")

    def _give_up(self, folder: RunFolder) -> None:
        done = len(folder.journal.lines())
        if done:
            self.board.decisions.add(folder.run, "abandoned", f"given up after {done} episodes, which are kept nowhere")
        folder.clear()


class _Part:
    """One sitting at a run: from where it was to its end, or as far as it gets."""

    def __init__(self, run: _Run, folder: RunFolder, plan: Plan) -> None:
        self.run, self.folder, self.plan = run, folder, plan
        self.jobs = plan.jobs
        self.done = {key: episode for key, episode in folder.episodes().items() if key in self.jobs}
        self.played = self.failed = 0
        before = folder.status()
        self.before = before.seconds if before else 0.0
        self.status = Status(
            run=plan.run,
            agent=plan.agent.name,
            suite=plan.label,
            done=len(self.done),
            total=len(self.jobs),
            solved=sum(bool(episode.success) for episode in self.done.values()),
            errors=sum(episode.error is not None for episode in self.done.values()),
            retries=sum(episode.usage.attempts - 1 for episode in self.done.values()),
            cost=sum(episode.usage.cost for episode in self.done.values()),
            started=before.started if before else now(),
            updated=now(),
            seconds=self.before,
            pid=os.getpid(),
        )

    def play(self, agent: _Agent) -> int:
        """Play what is left; returns how many episodes."""
        if len(self.done) == len(self.jobs):
            return 0
        limits = self.plan.suite.limits
        process = ProcessLimits(action_s=limits.action_s)
        self._tell()
        try:
            with agent.open(self.run.concurrency, process, self.folder.path / "agent.log") as policy:
                guard = Guarded(policy, limits, spent=self.before)
                for cell in self.plan.cells:
                    for split in BOARD_SPLITS:
                        self._cell(cell, split, guard)
        except BaseException as error:
            self.status.state = "stopped"
            self.status.message = _why(error)
            raise
        finally:
            self._tell()
        return self.played

    def _cell(self, cell: CellPlan, split: BoardSplit, guard: Guarded) -> None:
        left: list[Job] = [job for job in cell.jobs(split, self.plan.seed) if job.id not in self.done]
        if not left:
            return
        self.status.message = f"{cell.env}, {split}"
        with BoundedRunner(
            cell.env,
            concurrency=min(self.run.concurrency, len(left)),
            env_kwargs={**cell.kwargs, "split": split},
            turn_s=self.plan.suite.limits.turn_s,
            on_fault=self._fault,
        ) as runner:
            runner.run(left, guard, on_episode=lambda episode: self._ended(episode, guard))

    def _ended(self, episode: Episode, guard: Guarded) -> None:
        if episode.id in self.done:
            return  # delivered twice
        episode.policy = self.plan.agent.name
        self.folder.journal.append(episode_line(episode).encode())
        self.done[episode.id] = episode
        self.played += 1
        self.failed += episode.error is not None
        status = self.status
        status.seconds = guard.seconds
        status.done += 1
        status.eta = (guard.seconds - self.before) / self.played * (status.total - status.done)
        status.solved += bool(episode.success)
        status.errors += episode.error is not None
        status.retries += episode.usage.attempts - 1
        status.cost += episode.usage.cost
        self._tell(at_once=False)
        if self.played >= BREAKER_AFTER and self.failed > self.run.breaker * self.played:
            raise TooManyFaults(
                f"{self.failed} of {self.played} episodes ended in faults, the last: {episode.error}. What ended is "
                "kept; mend it and give the same command again."
            )

    def _fault(self, episode: str, attempt: int, error: str) -> None:
        again = "given up" if attempt > MAX_RETRIES else "played again"
        log.warning("%s, attempt %d: %s; %s", episode, attempt, error, again)
        self.folder.fault(episode, attempt, error)

    def _tell(self, *, at_once: bool = True) -> None:
        self.status.updated = now()
        self.folder.write_status(self.status, at_once=at_once)
        if self.run.on_status is not None:
            self.run.on_status(self.status)


def run_name(agent: AgentNote, suite: Suite, seed: int, commitment: str, beside: str = "") -> str:
    """Name a run: the same agent, suite, seed and board give the same name, and so go on where they were."""
    content = json.dumps([agent.name, agent.kind, agent.digest, agent.badges, suite.digest, seed, commitment, beside])
    slug = re.sub(r"[^a-z0-9]+", "-", agent.name.lower()).strip("-")[:40].strip("-") or "agent"
    return f"{slug}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _spec_digest(spec: AgentSpec) -> str:
    """A model in a folder is known by its files, not by the folder's name."""
    if not isinstance(spec, ModelAgent) or not Path(spec.where()).is_dir():
        return spec.digest
    total = hashlib.sha256(spec.digest.encode())
    for path in sorted(Path(spec.where()).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                total.update(f"\0{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return total.hexdigest()


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on"
    return f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace").decode()
