"""Running a submission: killed anywhere, on a full disk, twice; nothing lost, nothing twice."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from thinkact.envs import Action
from thinkact.leaderboard import secret
from thinkact.leaderboard.agents import read_spec
from thinkact.leaderboard.journal import JournalBusy
from thinkact.leaderboard.runner import _Agent, begun
from thinkact.leaderboard.running import RunFolder, running
from thinkact.leaderboard.standings import standings
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.suites import Cell, Suite
from thinkact.policies.scripted import ExpertPolicy

from .runs import CREDIT, SUITE, Agent, submit


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
    with pytest.raises(secret.SecretError, match="leaderboard init"):
        submit(tmp_path / "never made")
    assert not (tmp_path / "never made").exists()
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
from pathlib import Path
sys.path.insert(0, {os.path.dirname(__file__)!r})
from runs import Agent, submit
from thinkact.leaderboard.store import Board
class Slow(Agent):
    def act(self, conversations):
        if len(self.episodes) >= 3:
            time.sleep(600)
        return super().act(conversations)
Slow.__module__, Slow.__qualname__ = {Agent.__module__!r}, "Agent"
submit(Board(Path(sys.argv[1])), Slow())
"""
    process = subprocess.Popen([sys.executable, "-c", script, str(board.path)])
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
