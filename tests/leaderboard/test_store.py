import errno
import json
import math
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkact.leaderboard import Board, BoardLocked, RejectedSubmission
from thinkact.leaderboard import records as records_module
from thinkact.leaderboard.records import LOST
from thinkact.policies.episode import Turn, Usage


@pytest.fixture
def board(tmp_path):
    return Board(tmp_path / "board", busy_timeout_s=0.2)


def row(board, name="agent"):
    (found,) = [row for row in board.rows() if row.name == name]
    return found


def test_submit_and_read_back(board, many):
    episodes = many(30, 0.6)
    key = board.submit("agent", episodes, suite="easy", meta={"model": "tiny"})
    assert list(board.episodes(key)) == episodes
    found = row(board)
    assert (found.submission, found.suite, found.meta) == (key, "easy", {"model": "tiny"})
    assert found.summary.episodes == 30
    assert found.summary.success == pytest.approx(sum(bool(e.success) for e in episodes) / 30)
    assert board.rows(suite="hard") == [] and len(board.rows(suite="easy", split="eval")) == 1


def test_submitting_again_adds_nothing(board, many):
    episodes = many(10, 0.5)
    first = board.submit("agent", episodes)
    again = Board(board.path).submit("agent", list(reversed(episodes)) + episodes[:3])
    assert first == again
    assert len(os.listdir(board.path / "episodes")) == 2
    assert row(board).summary.episodes == 10


def test_newest_of_a_name_is_shown_and_history_keeps_the_rest(board, many):
    old = board.submit("agent", many(10, 0.2, seed=1))
    new = board.submit("agent", many(10, 0.9, seed=2))
    assert (row(board).submission, row(board).earlier) == (new, 1)
    assert {r.submission for r in board.rows(history=True)} == {old, new}


def test_groups_baselines_and_ranks(board, make):
    for name, good in (("null", 0), ("better", 45), ("worse", 15), ("expert", 50)):
        board.submit(name, [make(i, success=i < good, policy=name) for i in range(50)])
    board.submit("reference", [make(i, policy="r") for i in range(50)], kind="baseline")
    board.submit("worse", [make(i, policy="w", env_id="thinkact/Other-v0") for i in range(5)])
    rows = [r for r in board.rows() if "Factbook" in r.env_id]
    assert [r.name for r in rows] == ["expert", "reference", "better", "worse", "null"]
    assert [r.rank for r in rows] == [None, None, 1, 2, None]
    assert [r.baseline for r in rows] == [True, True, False, False, True]
    (other,) = board.rows(env_id="thinkact/Other-v0")
    assert other.rank == 1 and other.group != rows[0].group


TURN = Turn(observation="o", action="a", result="r", reward=1.0)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": 0.5}, "not the sum"),
        ({"score": 1.0 + 1e-7}, r"\[0, 1\]"),
        ({"score": NAN}, r"\[0, 1\]"),
        ({"score": 2.0, "turns": [TURN, TURN]}, r"\[0, 1\]"),
        ({"turns": [TURN.model_copy(update={"reward": NAN})]}, "finite"),
        ({"turns": [TURN.model_copy(update={"reward": INF})]}, "finite"),
        ({"score": None}, "neither"),
        ({"success": None}, "neither"),
        ({"error": "boom"}, "never scored"),
        ({"score": 0.0, "turns": []}, "success with score 0"),
        ({"terminated": False}, "never ended"),
        ({"usage": Usage(cost=-1.0)}, "usage"),
        ({"usage": Usage(policy_seconds=INF)}, "usage"),
        ({"turns": [TURN.model_copy(update={"logprobs": [NAN]})]}, "JSON"),
        ({"turns": [TURN.model_copy(update={"result": "\ud800"})]}, "JSON"),
    ],
)
def test_contradicting_records_are_rejected_whole(board, make, changes, reason):
    bad = make(7).model_copy(update=changes)
    with pytest.raises(RejectedSubmission, match=reason) as caught:
        board.submit("agent", [make(0), bad])
    assert "agent-7-0" in str(caught.value)
    assert board.rows() == [] and os.listdir(board.path / "episodes") == []


def test_other_rejections(board, make):
    with pytest.raises(RejectedSubmission, match="share the id"):
        board.submit("agent", [make(0), make(0, success=False)])
    with pytest.raises(RejectedSubmission, match="at least one"):
        board.submit("agent", [])
    with pytest.raises(RejectedSubmission, match="name"):
        board.submit("  ", [make(0)])
    with pytest.raises(KeyError):
        list(board.episodes("../../etc/passwd"))


def test_an_altered_score_is_withheld_even_when_it_adds_up(board, make):
    key = board.submit("agent", [make(0, success=False), make(1)])
    path = board.path / "episodes" / f"{key}.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[0])
    record |= {"score": 1.0, "success": True}
    record["turns"][0]["reward"] = 1.0
    path.write_text("\n".join([json.dumps(record), lines[1]]) + "\n")
    assert board.rows() == []
    assert "line 1 is not what was submitted" in board.withheld()[key]
    with pytest.raises(RejectedSubmission):
        list(board.episodes(key))
    board.submit("agent", [make(0, success=False), make(1)])  # the true copy mends it
    assert row(board).summary.success == 0.5 and board.withheld() == {}


def test_an_altered_manifest_is_withheld(board, make):
    key = board.submit("agent", [make(0, success=False), make(1)])
    path = board.path / "episodes" / f"{key}.json"
    manifest = json.loads(path.read_text())
    manifest["episodes"] = manifest["episodes"][1:]  # drop the failure
    path.write_text(json.dumps(manifest))
    assert board.rows() == [] and "altered" in board.withheld()[key]


def test_a_truncated_last_line_counts_as_unresolved_not_as_absent(board, make):
    key = board.submit("agent", [make(0), make(1, success=False)])
    path = board.path / "episodes" / f"{key}.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    summary = row(board).summary
    assert (summary.success, summary.episodes, summary.unresolved) == (0.5, 2, 1)
    assert [e.error for e in board.episodes(key)] == [None, LOST]
    board.submit("agent", [make(0), make(1, success=False)])
    assert row(board).summary.unresolved == 0


def test_killed_between_episodes_and_index(board, make, monkeypatch):
    monkeypatch.setattr(Board, "_repair", lambda self: None)
    key = board.submit("agent", [make(0)])
    monkeypatch.undo()
    assert Board(board.path).rows()[0].submission == key


def test_killed_between_episodes_and_manifest_counts_nothing_and_can_be_resubmitted(board, make, monkeypatch):
    real = records_module.write_whole

    def dies(path, data):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr("thinkact.leaderboard.store.write_whole", dies)
    with pytest.raises(KeyboardInterrupt):
        board.submit("agent", [make(0)])
    monkeypatch.undo()
    assert board.rows() == []
    board.submit("agent", [make(0)])
    assert row(board).summary.episodes == 1


def test_full_disk_leaves_nothing_half_written(board, make, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("thinkact.leaderboard.records.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        board.submit("agent", [make(0)])
    monkeypatch.undo()
    assert os.listdir(board.path / "episodes") == [] and board.rows() == []


def test_a_locked_index_loses_no_submission(board, make):
    board.submit("first", [make(0)])
    holder = sqlite3.connect(board.path / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    key = board.submit("second", [make(1)])
    with pytest.raises(BoardLocked, match="another process"):
        board.rows()
    holder.execute("ROLLBACK")
    holder.close()
    assert key in {r.submission for r in board.rows()}


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to look at" * 30, b""])
def test_a_broken_index_is_rebuilt(board, many, damage):
    board.submit("agent", many(10, 0.5))
    before = board.rows()
    board.rebuild()
    assert board.rows() == before
    for path in board.path.glob("index.sqlite*"):
        path.unlink()
    (board.path / "index.sqlite").write_bytes(damage)
    assert board.rows() == before


def test_rebuild_clears_left_over_parts(board, make):
    board.submit("agent", [make(0)])
    (board.path / "episodes" / ".x.jsonl.abc.part").write_bytes(b"half")
    board.rebuild()
    assert len(os.listdir(board.path / "episodes")) == 2


def test_many_submitters_at_once(tmp_path, make):
    def submit(number):
        name = f"agent {number % 4}"
        return Board(tmp_path / "board").submit(name, [make(i, policy=name) for i in range(5)])

    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(submit, range(16)))
    rows = Board(tmp_path / "board").rows()
    assert len(set(keys)) == len(rows) == 4
    assert all(r.summary.episodes == 5 for r in rows)
