"""The secret: for its owner alone, committed to, never exchanged, checkable once revealed."""

import hashlib
import json
import os

import pytest

from thinkact.leaderboard import secret
from thinkact.leaderboard.secret import SecretError

OTHER = {"secret": "00" * 32, "salt": "00" * 32}


def test_it_is_random_private_and_committed_to(tmp_path):
    about = secret.create(tmp_path / "a")
    other = secret.create(tmp_path / "b")
    assert about.commitment != other.commitment
    assert os.stat(tmp_path / "a" / "secret.json").st_mode & 0o777 == 0o600
    found = secret.load(tmp_path / "a")
    assert len(found.key) == len(found.salt) == 32
    assert hashlib.sha256(found.key + found.salt).hexdigest() == about.commitment
    public = (tmp_path / "a" / "board.json").read_text()
    assert found.key.hex() not in public and found.salt.hex() not in public
    assert found.key.hex() not in repr(found) and sorted(os.listdir(tmp_path / "a")) == ["board.json", "secret.json"]


def test_it_is_never_replaced(tmp_path):
    secret.create(tmp_path)
    before = secret.load(tmp_path)
    with pytest.raises(SecretError, match="a board already"):
        secret.create(tmp_path)
    assert secret.load(tmp_path) == before


def test_a_crash_between_the_two_files_keeps_the_first_secret(tmp_path, monkeypatch):
    def dies(path, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(secret, "write_whole", dies)
    with pytest.raises(KeyboardInterrupt):
        secret.create(tmp_path)
    drawn = (tmp_path / "secret.json").read_bytes()
    monkeypatch.undo()
    secret.create(tmp_path)
    assert (tmp_path / "secret.json").read_bytes() == drawn


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: (path / "secret.json").chmod(0o644), "read by others"),
        (lambda path: (path / "secret.json").unlink(), "is missing"),
        (lambda path: (path / "secret.json").write_text("{}"), "is damaged"),
        (lambda path: (path / "secret.json").write_text('{"secret": "00", "salt": "00"}'), "is damaged"),
        (lambda path: (path / "secret.json").write_text(json.dumps(OTHER)), "commits"),
        (lambda path: (path / "board.json").unlink(), "leaderboard init"),
        (lambda path: (path / "board.json").write_text("{"), "is damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_refused(tmp_path, damage, words):
    secret.create(tmp_path)
    damage(tmp_path)
    with pytest.raises(SecretError, match=words):
        secret.load(tmp_path)


def test_revealed_it_can_be_checked_by_anyone(tmp_path):
    commitment = secret.create(tmp_path).commitment
    key = secret.load(tmp_path).key
    about = secret.reveal(tmp_path)
    assert secret.reveal(tmp_path) == about
    (tmp_path / "secret.json").unlink()  # what others have is board.json
    assert secret.load(tmp_path).key == key
    assert hashlib.sha256(bytes.fromhex(about.secret) + bytes.fromhex(about.salt)).hexdigest() == commitment
    forged = about.model_copy(update={"secret": "00" * 32})
    (tmp_path / "board.json").write_text(forged.model_dump_json())
    with pytest.raises(SecretError, match="was altered"):
        secret.load(tmp_path)
