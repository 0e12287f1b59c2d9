"""Verify: what was played comes out the same again, and whatever was altered does not."""

import json
import pickle
import re

import pytest

from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.leaderboard import secret
from thinkact.leaderboard.runner import run_submission
from thinkact.leaderboard.store import Board
from thinkact.leaderboard.suites import SUITES, Cell, Suite
from thinkact.leaderboard.verify import replay, verify
from thinkact.policies.scripted import RandomPolicy

CREDIT = "thinkact/Credit-v0"
SUITE = Suite(name="small", cells=(Cell(env=CREDIT, public=3, hidden=2, trials=2),))


class Agent(RandomPolicy):
    name = "mine"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """One honest submission, for all to copy."""
    path = tmp_path_factory.mktemp("played") / "board"
    secret.create(path)
    board = Board(path)
    found = run_submission(board, Agent(), SUITE, baselines=False)
    return board, found.submission


@pytest.fixture
def board(played, tmp_path):
    """A board with the same secret and nothing on it."""
    for name in ("board.json", "secret.json"):
        (tmp_path / name).write_bytes((played[0].path / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    return Board(tmp_path)


def forge(played, board, change=None, note=None, name="mine"):
    """Submit a copy in which everything agrees with everything, but for what was changed."""
    original, submission = played
    manifest = original.manifest(submission)
    records = [episode.model_dump(mode="json") for episode in original.episodes(submission)]
    meta = json.loads(json.dumps(manifest.meta))
    if change is not None:
        records = change(records) or records
    if note is not None:
        note(meta["plan"])
    episodes = [type(next(original.episodes(submission))).model_validate(record) for record in records]
    return board.submit(name, episodes, suite=meta["plan"].get("label", manifest.suite), meta=meta)


def test_an_honest_submission_is_verified(played, board):
    found = verify(board, forge(played, board))
    assert (found.verdict, found.replayed, found.differences) == ("verified", 10, ())
    assert [one.verdict for one in board.decisions.all()] == ["verified"]
    assert {row.split for row in board.rows()} == {"eval", "hidden"}


def test_an_honest_submission_of_the_runner_itself(played):
    assert verify(played[0], played[1], record=False).verdict == "verified"
    recorded, again, differences = replay(*played, "Credit-v0.hidden.0001.1")
    assert recorded.turns and again is not None and differences == ()
    with pytest.raises(KeyError, match="no episode"):
        replay(*played, "none")
    with pytest.raises(KeyError, match="no submission"):
        verify(played[0], "none")


def first(field, value):
    def change(records):
        records[0][field] = value

    return change


def turn(**values):
    def change(records):
        records[0]["turns"][0].update(values)

    return change


def win(records):
    """Make a lost episode a won one; its figures agree."""
    lost = next(one for one in records if not one["success"])
    lost["turns"][-1]["reward"] += 1 - lost["score"]
    lost.update(score=1.0, success=True, terminated=True, truncated=False)


def cut(records):
    """Leave the last turn of an episode out."""
    long = next(one for one in records if len(one["turns"]) > 1)
    long["turns"].pop()
    long.update(score=sum(one["reward"] for one in long["turns"]), success=False, truncated=True, terminated=False)


def longer(records):
    records[0]["turns"].append({**records[0]["turns"][-1], "reward": 0.0})


def drop(records):
    return [one for one in records if one["success"]] or records[1:]


def easier(records):
    records[0]["task_id"] = records[2]["task_id"]


def moved(records):
    hidden = next(one for one in records if one["split"] == "hidden")
    hidden["split"] = "eval"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (win, "is recorded as"),
        (cut, "the record ends here|turns"),
        (longer, "turns is recorded as"),
        (drop, "it lacks"),
        (lambda records: [*records, {**records[0], "id": "Credit-v0.eval.0099.0"}], "it adds 1 episodes"),
        (easier, "task_id is"),
        (moved, "split is not what the suite says"),
        (first("seed", 1), "seed is 1"),
        (first("env_id", "thinkact/ZooHours-v0"), "env_id is"),
        (first("env_version", "99"), "env_version is '99'"),
        (first("difficulty", 0.5), "difficulty is recorded as 0.5"),
        (first("family", "other"), "family is recorded as"),
        (turn(result="You win."), "turn 1: result is recorded as"),
        (turn(observation="Do nothing."), "turn 1: observation is recorded as"),
        (turn(state_key="0"), "turn 1: state_key"),
        (turn(invalid=True), "turn 1: invalid"),
        (turn(action="{}"), "turn 1: action|turn 1: result|turn 1: calls"),
        (turn(checks=[]), "turn 1: checks"),
        (turn(calls=[{"name": "x"}]), "turn 1: calls"),
        (turn(results=[]), "turn 1: results"),
    ],
)
def test_altered_records_are_rejected(played, board, change, words):
    submission = forge(played, board, change)
    found = verify(board, submission)
    assert found.verdict == "rejected"
    assert re.search(words, " | ".join([found.reason, *map(str, found.differences)])), found
    (decision,) = board.decisions.all()
    assert (decision.verdict, decision.submission, decision.reason) == ("rejected", submission, found.reason)
    assert board.rows() == [] and board.withheld()[submission].startswith("rejected: ")


def limits(plan):
    plan["suite"]["limits"]["episode_s"] = 1000.0


def own_limits(plan):
    limits(plan)
    suite = Suite.model_validate(plan["suite"])
    plan.update(suite_digest=suite.digest)


def official(plan):
    """Claim to have run a suite that comes with thinkact, on fewer tasks."""
    cell = Cell(env=CREDIT, public=3, hidden=2, trials=2)
    suite = SUITES["core-cpu"].model_copy(update={"cells": (cell,)})
    plan.update(suite=suite.model_dump(mode="json"), suite_digest=suite.digest, label="core-cpu@1")


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (limits, "definition .* was altered"),
        (own_limits, "it stands under"),
        (official, "is not that of core-cpu@1"),
        (lambda plan: plan["suite"]["cells"][0].update(trials=1), "was altered"),
        (lambda plan: plan["suite"]["cells"][0].update(kwargs={"horizon": 1}), "was altered"),
        (lambda plan: plan.update(tasks_digest="0" * 64), "tasks are not those"),
        (lambda plan: plan.update(commitment="0" * 64), "another secret"),
        (lambda plan: plan.update(seed=7), "seed is"),
        (lambda plan: plan.update(missing=[{"env": CREDIT, "reason": "x"}]), "it stands under"),
        (lambda plan: plan.update(label="core-cpu@1"), "it stands under"),
        (lambda plan: plan["agent"].update(name="other"), "played by 'other'"),
        (lambda plan: plan.update(suite={"name": "../x"}), "a record is none"),
        (lambda plan: plan["suite"].update(limits={"turn_s": "NaN"}), "a record is none"),
    ],
)
def test_altered_settings_are_rejected(played, board, note, words):
    found = verify(board, forge(played, board, note=note))
    assert found.verdict == "rejected"
    assert re.search(words, found.reason), found.reason


def test_another_boards_secret_gives_other_hidden_tasks(played, tmp_path):
    secret.create(tmp_path / "other")
    other = Board(tmp_path / "other")

    def note(plan):
        plan["commitment"] = secret.board_file(other.path).commitment

    found = verify(other, forge(played, other, note=note))
    assert found.verdict == "rejected" and "tasks are not those" in found.reason


def test_files_altered_on_disk_are_rejected(played, board):
    submission = forge(played, board)
    path = board.path / "episodes" / f"{submission}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"success":false', b'"success":true', 1))
    assert verify(board, submission).verdict == "rejected" and board.rows() == []


def test_payloads_are_text_and_nothing_more(played, board, tmp_path):
    submission = forge(played, board)
    owned = tmp_path / "owned"

    class Payload:
        def __reduce__(self):
            return open, (str(owned), "w")

    for data in (pickle.dumps(Payload()) + b"\n", b"!!python/object/apply:os.system ['touch x']\n", b'{"a": NaN}\n'):
        (board.path / "episodes" / f"{submission}.jsonl").write_bytes(data)
        assert verify(board, submission).verdict == "rejected"
        assert board.rows() == [] and not owned.exists()


@pytest.mark.parametrize("name", ["../board", "..", ".secret", "a/b", "/etc/passwd"])
def test_names_lead_nowhere(board, name):
    with pytest.raises(KeyError):
        verify(board, name)


def test_faults_are_not_played_again_and_win_nothing(played, board):
    def change(records):
        for record in records[1:]:
            record.update(error="EnvironmentFault: x", score=None, success=None, terminated=False, truncated=False)

    found = verify(board, forge(played, board, change))
    assert (found.verdict, found.replayed, found.unresolved) == ("verified", 1, 9)
    assert all(row.summary.success <= 1 / 3 for row in board.rows())


def test_reasons_say_nothing_of_what_is_in_hidden_tasks(played, board):
    def change(records):
        hidden = next(one for one in records if one["split"] == "hidden")
        hidden["turns"][0]["observation"] = "altered"

    found = verify(board, forge(played, board, change))
    assert found.verdict == "rejected" and "a hidden one: observation" in found.reason
    swap = [one.task_id for one in played[0].episodes(played[1]) if one.split == "hidden"]

    def exchange(records):
        next(one for one in records if one["task_id"] == swap[0])["task_id"] = swap[-1]

    (told,) = [verify(board, forge(played, board, exchange)).reason]
    assert "task_id is not what the suite says" in told and not any(task in told for task in swap)


# What cannot be repeated is neither verified nor rejected.


def test_other_versions_of_an_environment(played, board, monkeypatch):
    submission = forge(played, board)
    monkeypatch.setattr(CreditEnv, "version", "1")
    found = verify(board, submission)
    assert found.verdict == "unverified" and "at version '0' and is at '1' here" in found.reason
    assert board.rows()


def test_results_that_no_suite_made(board, played):
    submission = board.submit("mine", list(played[0].episodes(played[1])), suite="default")
    assert verify(board, submission).verdict == "unverified" and board.rows()


def test_live_environments_are_only_scored_again(played, board, monkeypatch):
    monkeypatch.setattr(CreditEnv, "versions", lambda self: {"index": "live:somewhere"})
    found = verify(board, forge(played, board))
    assert (found.verdict, found.replayed, found.rescored) == ("unverified", 0, 10)
    assert "cannot be" in found.reason


def test_a_fault_of_this_machine_is_no_verdict_on_the_agent(played, board, monkeypatch):
    submission = forge(played, board)
    monkeypatch.setattr(CreditEnv, "_checks", lambda *args: 1 / 0)
    found = verify(board, submission)
    assert found.verdict == "unverified" and "faults here" in found.reason


# Decisions.


def test_what_was_retracted_stays_off_until_it_is_accepted_again(played, board):
    submission = forge(played, board)
    board.decisions.add(submission, "retracted", "a mistake of mine")
    assert board.rows() == [] and board.withheld() == {submission: "retracted: a mistake of mine"}
    assert verify(board, submission).verdict == "verified" and board.rows() == []
    board.decisions.add(submission, "accepted", "none after all")
    assert board.rows() and board.withheld() == {}


def test_what_was_rejected_in_error_comes_back_when_it_verifies(played, board):
    submission = forge(played, board)
    board.decisions.add(submission, "rejected", "x")
    assert board.rows() == []
    verify(board, submission)
    assert board.rows()
