"""Suites: frozen definitions, tasks that depend on nothing but them and the key, files of one's own."""

import pickle

import pytest

from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.leaderboard.plan import BOARD_SPLITS, draw, plan_cell
from thinkact.leaderboard.secret import PUBLIC_KEY, seeds
from thinkact.leaderboard.suites import DIGESTS, SUITES, Budget, Cell, Suite, SuiteError, find_suite

CREDIT = Cell(env="thinkact/Credit-v0", public=6, hidden=6)
#: Never edit a line: a changed definition gets a new version, and a new line.
PINNED = {
    "core-cpu@1": "d47a4426620178f6",
    "code@1": "ae7aec374e79d1db",
    "search@1": "045ed36865f57bee",
    "math@1": "ee43af34e8136b97",
    "web@1": "6fe505d4a4a3d32f",
    "full@1": "ceecc4be4dbcf483",
}


def test_a_definition_is_changed_only_with_its_version():
    assert {label: digest[:16] for label, digest in DIGESTS.items()} == PINNED
    for suite in SUITES.values():
        assert suite.digest == DIGESTS[suite.label], f"{suite.name}: count its version up and add its digest"
        assert suite.label == f"{suite.name}@{suite.version}"


def test_everything_that_decides_a_figure_is_in_the_digest():
    suite = SUITES["core-cpu"]
    cell = suite.cells[0]
    changes = [
        {"version": 2},
        {"limits": Budget(submission_s=10_000)},
        {"cells": suite.cells[1:]},
        *({"cells": (cell.model_copy(update=change), *suite.cells[1:])} for change in
          ({"public": 9}, {"hidden": 9}, {"trials": 2}, {"kwargs": {"horizon": 4}}, {"env": "thinkact/AskQA-v0"})),
    ]  # fmt: skip
    digests = {suite.model_copy(update=change).digest for change in changes}
    assert len(digests) == len(changes) and suite.digest not in digests
    assert suite.model_copy(update={"description": "other words"}).digest == suite.digest
    assert all("#" in suite.model_copy(update=change).label for change in changes)


def test_tasks_are_deterministic_distinct_and_of_their_split():
    for split in BOARD_SPLITS:
        first = draw(CREDIT, "s@1", split, b"a")
        assert first == draw(CREDIT, "s@1", split, b"a")
        assert len(set(first)) == 6 and all(task.startswith(f"{split}/") for task in first)
        assert draw(CREDIT, "s@1", split, b"b") != first != draw(CREDIT, "s@2", split, b"a")


def test_public_tasks_are_the_same_on_every_board_and_hidden_ones_are_not():
    one, other = (plan_cell(CREDIT, "s@1", key) for key in (b"a", b"b"))
    assert one.eval == other.eval == draw(CREDIT, "s@1", "eval", PUBLIC_KEY)
    assert one.hidden != other.hidden and one.version == "0"
    # Written down: the tasks of a version must never move.
    assert one.eval[:2] == ("eval/bifurcation/8/177665", "eval/umbrella/8/138215")


def test_a_small_family_gives_what_it_has(monkeypatch):
    monkeypatch.setattr(CreditEnv, "_draw_task_id", lambda self, rng: f"eval/maze/8/10000{rng.integers(3)}")
    assert len(draw(CREDIT, "s@1", "eval", b"a")) == 3
    assert draw(CREDIT.model_copy(update={"public": 0}), "s@1", "eval", b"a") == ()


def test_seeds_are_the_documented_hmac():
    import hashlib
    import hmac

    drawn = seeds(b"key", "core-cpu@1", "thinkact/Math-v0")
    next(drawn)
    expected = hmac.new(b"key", b"core-cpu@1|thinkact/Math-v0|1", hashlib.sha256).hexdigest()
    assert next(drawn) == int(expected, 16)


def test_a_suite_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[[cells]]\nenv = "thinkact/Credit-v0"\nkwargs = {horizon = 4}\npublic = 3\n')
    suite = find_suite(path)
    assert suite.cells == (Cell(env="thinkact/Credit-v0", kwargs={"horizon": 4}, public=3),)
    assert find_suite(str(path)) == suite and suite.label == f"mine@1#{suite.digest[:8]}"
    assert find_suite("core-cpu") is find_suite("core-cpu@1")


CELL = '[[cells]]\nenv = "thinkact/Credit-v0"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "no TOML"),
        ("!!python/object/apply:os.system ['touch owned']", "no TOML"),
        (pickle.dumps({"name": "x"}).decode("latin-1"), "no TOML"),
        ("a = " + "[" * 5000, "no TOML"),
        ('name = "mine"', "cells"),
        ('name = "../up"\n' + CELL, "name"),
        ('name = "core-cpu"\n' + CELL, "take another one"),
        ('name = "mine"\nextra = 1\n' + CELL, "extra"),
        ('name = "mine"\n' + CELL + CELL, "in it twice"),
        ('name = "mine"\n[[cells]]\nenv = "os:system"', "env"),
        ('name = "mine"\n[[cells]]\nenv = "thinkact/../x-v0"', "env"),
        ('name = "mine"\n' + CELL + "public = 0\nhidden = 0", "nothing to play"),
        ('name = "mine"\n' + CELL + "public = -1", "public"),
        ('name = "mine"\n' + CELL + 'kwargs = {split = "train"}', "cannot set split"),
        ('name = "mine"\n' + CELL + "[limits]\nturn_s = 1", "must nest"),
        ('name = "mine"\n' + CELL + "[limits]\nsubmission_s = inf", "submission_s"),
        ('name = "mine"\n' + CELL + "[limits]\naction_s = nan", "action_s"),
    ],
)
def test_files_that_are_no_suites_are_refused_with_the_reason(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SuiteError, match=words):
        find_suite(path)


def test_unknown_names_get_help(tmp_path):
    with pytest.raises(SuiteError, match="Did you mean 'core-cpu'"):
        find_suite("core-cpx")
    with pytest.raises(SuiteError, match="version 1 here"):
        find_suite("core-cpu@7")
    with pytest.raises(SuiteError, match="No such file"):
        find_suite(tmp_path / "none.toml")


def test_the_web_suite_names_the_applications():
    names = [cell.env.removeprefix("thinkact/") for cell in SUITES["web"].cells]
    assert names == ["Shop-v0", "Booking-v0", "Inbox-v0", "Wiki-v0", "Admin-v0", "Portal-v0", "MiniWoB-v0"]
    assert isinstance(SUITES["full"], Suite) and SUITES["full"].episodes > 1000
