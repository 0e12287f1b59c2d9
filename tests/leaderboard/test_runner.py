"""Running a submission: killed anywhere, on a full disk, twice, with a hostile agent; nothing lost, nothing twice."""

import json
import math
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import gymnasium as gym
import pytest

from thinkact.envs import Action, Conversation, EnvironmentFault, Message
from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.leaderboard import secret
from thinkact.leaderboard.agents import read_spec
from thinkact.leaderboard.bounded import EPISODE_LIMIT, MAX_TEXT, SUBMISSION_LIMIT, Guarded
from thinkact.leaderboard.journal import JournalBusy
from thinkact.leaderboard.runner import TooManyFaults, _Agent, begun, run_submission
from thinkact.leaderboard.running import RunFolder, running
from thinkact.leaderboard.standings import standings
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.suites import Budget, Cell, Suite
from thinkact.policies.scripted import ExpertPolicy, RandomPolicy

CREDIT = "thinkact/Credit-v0"
SUITE = Suite(name="small", cells=(Cell(env=CREDIT, public=4, hidden=3),))


class Agent(RandomPolicy):
    """Random, under a name of its own; ``dies`` when so many episodes have ended."""

    name = "mine"

    def __init__(self, dies=None, error=KeyboardInterrupt):
        self.turns, self.dies, self.error, self.episodes = 0, dies, error, []

    def act(self, conversations):
        self.turns += 1
        if self.dies is not None and len(self.episodes) >= self.dies:
            raise self.error
        return super().act(conversations)

    def release(self, conversation_id):
        self.episodes.append(conversation_id.partition("#")[0])


@pytest.fixture
def board(tmp_path):
    secret.create(tmp_path / "board")
    return Board(tmp_path / "board", busy_timeout_s=0.2)


def submit(board, agent=None, suite=SUITE, **options):
    return run_submission(board, agent or Agent(), suite, **{"baselines": False, "concurrency": 2, **options})


def ids(board, submission):
    return [episode.id for episode in board.episodes(submission)]


WHOLE = [f"Credit-v0.eval.000{at}.0" for at in range(4)] + [f"Credit-v0.hidden.000{at}.0" for at in range(3)]


def run_folder(board):
    (folder,) = (board.path / "running").glob("[!.]*")
    return folder


# A submission.


def test_a_submission_and_the_baselines_once_each(board):
    first = submit(board, baselines=True)
    assert first.played == 7 and first.suite == SUITE.label and ids(board, first.submission) == WHOLE
    public, hidden = sorted(standings(board), key=lambda one: one.split)
    for split, tasks in ((public, 4), (hidden, 3)):
        assert {one.name for one in split.agents} == {"mine", "null", "random", "expert"}
        assert {one.name for one in split.agents if one.baseline} == {"null", "random", "expert"}
        assert {one.summary.tasks for one in split.agents} == {tasks}
    by_name = {one.name: one.summary.success for one in public.agents}
    assert by_name["expert"] == 1.0 and by_name["null"] == 0.0
    other = Agent()
    other.name = "second"
    submit(board, other, baselines=True)
    assert len(board.submissions()) == 5  # the baselines were there
    part = Suite(name="small", cells=(*SUITE.cells, Cell(env="thinkact/NoSuchThing-v0")))
    submit(board, suite=part, baselines=True)
    assert len(board.submissions()) == 9  # a suite without an environment is another one
    verdicts = [one.verdict for one in board.decisions.all()]
    assert verdicts == ["accepted"] * 9 and running(board.path) == []


def test_a_baseline_that_another_process_plays_is_left_to_it(board, monkeypatch):
    folders = []

    class Busy(RunFolder):
        def __init__(self, path, run):
            folders.append(run)
            if run.startswith("null"):
                raise JournalBusy("busy")
            super().__init__(path, run)

    monkeypatch.setattr("thinkact.leaderboard.runner.RunFolder", Busy)
    assert submit(board, baselines=True).played == 7
    assert {row.name for row in board.rows()} == {"mine", "random", "expert"} and len(folders) == 4


def test_the_same_command_again_changes_nothing(board):
    first = submit(board)
    agent = Agent()
    again = submit(board, agent)
    assert again.submission == first.submission and again.played == 0 and agent.turns == 0
    assert submit(board, seed=1).submission != first.submission


def test_the_manifest_says_how_it_was_played_and_not_which_tasks_are_hidden(board):
    found = board.manifest(submit(board).submission)
    plan, machine = found.meta["plan"], found.meta["machine"]
    assert plan["suite_digest"] == SUITE.digest and plan["suite"]["limits"]["episode_s"] == 900.0
    assert plan["commitment"] == secret.board_file(board.path).commitment
    assert plan["cells"][0]["hidden"] == 3 and "hidden/" not in json.dumps(found.meta)
    assert machine["thinkact"] and machine["cores"] and machine["packages"]["gymnasium"]
    assert secret.load(board.path).key.hex() not in found.model_dump_json()


def test_what_is_missing_here_is_told_and_makes_another_suite(board):
    cells = (*SUITE.cells, Cell(env="thinkact/NoSuchThing-v0"))
    whole, part = submit(board), submit(board, suite=Suite(name="small", cells=cells))
    assert part.missing[0].env == "thinkact/NoSuchThing-v0" and "NameNotFound" in part.missing[0].reason
    assert part.suite.endswith("without NoSuchThing-v0") and part.suite != whole.suite
    assert {row.suite for row in board.rows()} == {whole.suite, part.suite}
    with pytest.raises(ValueError, match="nothing of the suite"):
        submit(board, suite=Suite(name="none", cells=cells[1:]))


def test_boards_without_a_secret_or_with_a_revealed_one_take_nothing(board, tmp_path):
    with pytest.raises(secret.SecretError, match="leaderboard init"):
        submit(Board(tmp_path / "other"))
    secret.reveal(board.path)
    with pytest.raises(secret.SecretError, match="make a new board"):
        submit(board)


def test_a_model_in_a_folder_is_known_by_its_weights(board, tmp_path):
    (tmp_path / "model").mkdir()
    weights = tmp_path / "model" / "model.safetensors"
    spec = read_spec({"kind": "model", "name": "m", "model": str(tmp_path / "model")})
    names = set()
    for content in (b"a", b"b"):
        weights.write_bytes(content)
        names.add(_Agent(spec, None).note.digest)
    assert len(names) == 2
    weights.write_bytes(b"a")
    assert _Agent(spec, None).note.digest in names


def test_nobody_takes_a_baselines_name(board):
    agent = Agent()
    agent.name = "expert"
    with pytest.raises(ValueError, match="baseline"):
        submit(board, agent)
    with pytest.raises(ValueError, match="baseline"):
        submit(board, name="null")


def test_answers_packed_into_an_agent_show_as_a_gap(board):
    suite = Suite(name="gap", cells=(Cell(env=CREDIT, public=12, hidden=12),))
    honest = submit(board, ExpertPolicy(), suite)
    book = {}
    for episode in board.episodes(honest.submission):
        if episode.split == "eval":
            book[episode.turns[0].observation] = [turn.action for turn in episode.turns]

    class Memory:
        name = "memory"

        def act(self, conversations):
            return [Action(text=self.recall(one.messages)) for one in conversations]

        def recall(self, messages):
            known = book.get(messages[0].content, [])
            return known[len(messages) // 2] if len(messages) // 2 < len(known) else ""

        def release(self, conversation_id):
            pass

    submit(board, Memory(), suite)
    flags = {one.name: (one.flags, one.gap.flagged) for found in standings(board, split="eval") for one in found.agents}
    assert flags["memory"] == (("gap",), True) and flags["expert"] == ((), False)


# Broken off.


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_broken_off_goes_on_with_the_rest(board, error):
    with pytest.raises(error):
        submit(board, Agent(dies=3, error=error))
    (status,) = running(board.path)
    assert status.state == "stopped" and 0 < status.done < 7 and status.total == 7
    assert begun(board.path, Agent(), SUITE) and not begun(board.path, Agent(), SUITE, seed=1)
    before = (run_folder(board) / "episodes.jsonl").read_bytes()
    agent = Agent()
    result = submit(board, agent)
    kept = [json.loads(line)["id"] for line in before.splitlines()]
    assert not set(kept) & set(agent.episodes) and len(kept) + result.played == 7
    assert ids(board, result.submission) == WHOLE and not list((board.path / "running").iterdir())
    after = (board.path / "episodes" / f"{result.submission}.jsonl").read_bytes().splitlines()
    assert set(before.splitlines()) <= set(after)


def test_two_interrupts_in_a_row(board):
    class Impatient(Agent):
        def release(self, conversation_id):
            super().release(conversation_id)
            if self.dies is not None and len(self.episodes) > self.dies:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit(board, Impatient(dies=3))
    agent = Impatient()
    result = submit(board, agent)
    assert ids(board, result.submission) == WHOLE and 0 < result.played < 7


def test_killed_with_sigkill_in_the_middle(board):
    script = f"""
import sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
import test_runner
class Slow(test_runner.Agent):
    def act(self, conversations):
        if len(self.episodes) >= 3:
            time.sleep(600)
        return super().act(conversations)
Slow.__module__, Slow.__qualname__ = {Agent.__module__!r}, "Agent"
test_runner.submit(test_runner.Board(test_runner.Path(sys.argv[1])), Slow())
"""
    process = subprocess.Popen([sys.executable, "-c", script.replace("test_runner.Path", "__import__('pathlib').Path"),
                                str(board.path)])  # fmt: skip
    try:
        while not list((board.path / "running").glob("*/episodes.jsonl")) or not (
            (run_folder(board) / "episodes.jsonl").read_bytes().count(b"\n") >= 2
        ):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = (run_folder(board) / "episodes.jsonl").read_bytes()
    agent = Agent()
    result = submit(board, agent)
    whole = before[: before.rfind(b"\n") + 1].splitlines()
    assert 2 <= len(whole) == 7 - result.played
    assert not {json.loads(line)["id"] for line in whole} & set(agent.episodes)
    assert ids(board, result.submission) == WHOLE


@pytest.mark.parametrize("step", ["submit", "decide", "remove"])
def test_killed_while_the_episodes_move_to_the_board(board, monkeypatch, step):
    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    at = {"submit": (Board, "submit"), "decide": (type(board.decisions), "add"), "remove": (RunFolder, "remove")}[step]
    monkeypatch.setattr(*at, dies)
    with pytest.raises(KeyboardInterrupt):
        submit(board)
    monkeypatch.undo()
    agent = Agent()
    result = submit(board, agent)
    assert agent.turns == 0 and ids(board, result.submission) == WHOLE and len(board.submissions()) == 1
    assert [one.verdict for one in board.decisions.all()] == ["accepted"]
    assert not list((board.path / "running").iterdir())


def test_torn_repeated_and_damaged_lines(board):
    with pytest.raises(KeyboardInterrupt):
        submit(board, Agent(dies=3))
    path = run_folder(board) / "episodes.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], lines[0], b"\0" * 40, *lines[1:], b'{"id": "torn']))
    result = submit(board)
    assert ids(board, result.submission) == WHOLE and result.played == 7 - len(lines)


def test_a_full_disk_keeps_what_ended(board):
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(Agent):
        def act(self, conversations):
            if self.dies is None and len(self.episodes) == 2:
                room = (run_folder(board) / "episodes.jsonl").stat().st_size + 200
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, kept[1]))
            return super().act(conversations)

    plain = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="File too large"):
            submit(board, Filling(), concurrency=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
        signal.signal(signal.SIGXFSZ, plain)
    assert begun(board.path, Filling(), SUITE)
    before = (run_folder(board) / "episodes.jsonl").read_bytes()
    assert before.endswith(b"\n") and 0 < before.count(b"\n") < 7
    result = submit(board, Filling(dies=99))
    assert result.played == 7 - before.count(b"\n") and ids(board, result.submission) == WHOLE


def test_two_runs_of_one_submission(board):
    with pytest.raises(KeyboardInterrupt):
        submit(board, Agent(dies=3))
    with (
        RunFolder(board.path, run_folder(board).name),
        pytest.raises(JournalBusy, match="the same command then goes on"),
    ):
        submit(board)
    assert ids(board, submit(board).submission) == WHOLE


def test_a_locked_index_loses_nothing(board):
    board.rows()
    holder = sqlite3.connect(board.path / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    result = submit(board)
    holder.execute("ROLLBACK")
    holder.close()
    assert result.played == 7 and {row.submission for row in board.rows()} == {result.submission}


def test_a_run_that_is_given_up_is_on_record(board):
    with pytest.raises(KeyboardInterrupt):
        submit(board, Agent(dies=3))
    run = run_folder(board).name
    assert submit(board, fresh=True).played == 7
    assert [(one.submission, one.verdict) for one in board.decisions.all()][0] == (run, "abandoned")


# Faults and limits.


class Broken(CreditEnv):
    """Fails as its class says, for everyone who makes one."""

    faults = 0
    hang = None
    held = 0
    freed = None

    def step(self, action):
        cls = type(self)
        if cls.hang is not None and cls.held > 0:
            cls.held -= 1
            cls.freed = cls.hang.wait(20)
        if cls.faults > 0:
            cls.faults -= 1
            raise EnvironmentFault("the sandbox is gone")
        return super().step(action)


@pytest.fixture
def broken(monkeypatch):
    gym.register("test/Broken-v0", entry_point=lambda **kwargs: Broken(**kwargs), disable_env_checker=True)
    monkeypatch.setattr(Broken, "faults", 0)
    monkeypatch.setattr(Broken, "hang", None)
    monkeypatch.setattr(Broken, "held", 0)
    monkeypatch.setattr(Broken, "freed", None)
    yield Suite(name="broken", cells=(Cell(env="test/Broken-v0", public=12, hidden=0),))
    gym.registry.pop("test/Broken-v0")


class Priced(Agent):
    def act(self, conversations):
        return [Action(text=action.text, cost=1.0) for action in super().act(conversations)]


def test_faults_are_played_again_logged_and_paid_for(board, broken):
    Broken.faults = 2
    result = submit(board, Priced(), broken, concurrency=1)
    first, *rest = board.episodes(result.submission)
    assert first.usage.attempts == 3 and first.error is None and all(one.usage.attempts == 1 for one in rest)
    assert first.usage.cost == len(first.turns) + 2
    logged = board.manifest(result.submission).meta["faults"]
    assert [(one["episode"], one["attempt"]) for one in logged] == [(first.id, 1), (first.id, 2)]


def test_a_fault_that_stays_is_unresolved_and_not_a_zero(board, broken):
    Broken.faults = 3
    result = submit(board, suite=broken, concurrency=1)
    first, *rest = board.episodes(result.submission)
    assert first.score is None and "the sandbox is gone" in first.error and all(one.error is None for one in rest)
    (row,) = board.rows()
    assert row.summary.unresolved == 1 and row.summary.episodes == 12


def test_too_many_faults_stop_it_and_it_goes_on_when_mended(board, broken):
    Broken.faults = 1000
    with pytest.raises(TooManyFaults, match="10 of 10 episodes"):
        submit(board, suite=broken, concurrency=1)
    Broken.faults = 0
    result = submit(board, suite=broken)
    errors = [one.error for one in board.episodes(result.submission)]
    assert result.played == 2 and len(errors) == 12 and sum(error is not None for error in errors) == 10


def test_an_environment_that_hangs_is_a_fault_by_name(board, broken):
    Broken.hang, Broken.held = threading.Event(), 3
    cells = (broken.cells[0].model_copy(update={"public": 1}),)
    suite = Suite(name="hang", cells=cells, limits=Budget(action_s=0.3, turn_s=0.3, episode_s=60))
    try:
        result = submit(board, suite=suite)
    finally:
        Broken.hang.set()
    (episode,) = board.episodes(result.submission)
    assert episode.error.startswith("TurnLimit: test/Broken-v0: a step took more than 0.3 s")
    assert episode.score is None and episode.turns == [] and episode.usage.attempts == 3


def test_a_straggler_holds_nobody_up(board, broken):
    class Freeing(Agent):
        def release(self, conversation_id):
            super().release(conversation_id)
            if len(self.episodes) == 11:
                Broken.hang.set()  # only when all others have ended

    Broken.hang, Broken.held = threading.Event(), 1
    submit(board, Freeing(), broken)
    assert Broken.freed


def conversation():
    return Conversation("e#1", CREDIT, "t", 0, [], [Message("user", "prompt")])


def test_episodes_and_submissions_that_take_too_long_are_cut_and_scored(board):
    class Slow(Agent):
        def act(self, conversations):
            time.sleep(0.03)
            return [Action(text="nonsense") for _ in conversations]

    limits = Budget(action_s=0.02, turn_s=0.02, episode_s=0.02)
    quick = Budget(action_s=0.02, turn_s=0.02, episode_s=0.02, submission_s=0.02)
    asked = [conversation()]
    guard = Guarded(Slow(), limits)
    assert [guard.act(asked)[0].stop for _ in range(2)] == ["stop", EPISODE_LIMIT]
    guard.release("e#1")
    assert guard.act(asked)[0].stop == "stop"
    assert Guarded(Slow(), quick, spent=0.02).act(asked)[0].stop == SUBMISSION_LIMIT
    none = Budget.model_construct(action_s=60.0, turn_s=60.0, episode_s=0.0, submission_s=60.0)
    tight = SUITE.model_copy(update={"limits": none})
    result = submit(board, Slow(), tight)
    for episode in board.episodes(result.submission):
        assert episode.truncated and episode.score == 0.0 and episode.turns[-1].stop == EPISODE_LIMIT


def test_an_agent_is_trusted_with_nothing(board):
    handed = []

    class Hostile(Agent):
        name = "<script>alert(1)</script> \x1b[31m"

        def begin(self, conversation_id, env):
            handed.append(env)

        def act(self, conversations):
            self.turns += 1
            bad = Action(text="\ud800" + "x" * (MAX_TEXT + 1), thought="y" * (MAX_TEXT + 1), stop=EPISODE_LIMIT)
            bad.cost, bad.seconds = math.nan, -1.0
            return [bad for _ in conversations]

    result = submit(board, Hostile())
    for episode in board.episodes(result.submission):
        assert not handed and episode.score == 0.0 and episode.usage.cost == 0.0
        assert len(episode.turns) > 1 and len(episode.turns[0].action) == MAX_TEXT
        assert episode.turns[0].action.startswith("?x") and episode.turns[0].stop == "stop"
    assert "/" not in result.submission and "<" not in result.submission
