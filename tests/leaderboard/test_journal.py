"""Append-only files: whole lines only, one writer at a time."""

import threading

import pytest

from thinkact.leaderboard.decisions import Decisions
from thinkact.leaderboard.journal import Journal, JournalBusy


def test_a_journal_ends_with_a_whole_line_whatever_happens(tmp_path, monkeypatch):
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(b"one")
        with pytest.raises(ValueError):
            journal.append(b"two\nthree")
        with pytest.raises(JournalBusy):
            Journal(path)

        def full(fd):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("thinkact.leaderboard.journal.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.append(b"lost")
        monkeypatch.undo()
        journal.append(b"two")
        assert journal.lines() == [b"one", b"two"]
    path.write_bytes(path.read_bytes() + b"torn")
    with Journal(path) as journal:
        assert journal.lines() == [b"one", b"two"] and path.read_bytes() == b"one\ntwo\n"
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError):
        Journal(tmp_path / "link")


def test_many_writers_of_one_decision_log(tmp_path):
    decisions = Decisions(tmp_path)
    threads = [threading.Thread(target=decisions.add, args=("s", "accepted", f"{at}")) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.reason for one in decisions.all()) == [str(at) for at in range(8)]
