"""The leaderboard from the command line, as docs/leaderboard.md walks through it."""

import json
from pathlib import Path

import pytest

from thinkact.cli import main

SUITE = 'name = "small"\n[[cells]]\nenv = "thinkact/Credit-v0"\npublic = 3\nhidden = 2\n'


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THINKACT_DEBUG", raising=False)
    Path("small.toml").write_text(SUITE)

    def call(*args):
        with pytest.raises(SystemExit) as left:
            main(list(args))
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    return call


def told(run, *args):
    code, text, err = run(*args)
    assert code == 0, err
    return text


def as_json(run, *args):
    return json.loads(told(run, *args, "--json"))


def test_the_whole_way(run):
    assert "is ready" in told(run, "leaderboard", "init", "--board", "b")
    said = told(run, "submit", "--policy", "random", "--name", "rnd", "--suite", "small.toml", "--board", "b")
    assert "5 episodes played" in said and "thinkact leaderboard show --board b" in said
    again = as_json(run, "submit", "--policy", "random", "--name", "rnd", "--suite", "small.toml", "--board", "b")
    assert again["played"] == 0 and again["missing"] == {}

    table = told(run, "leaderboard", "show", "--board", "b")
    assert all(name in table for name in ("rnd", "null *", "random *", "expert *"))
    shown = as_json(run, "leaderboard", "show", "--board", "b")
    assert len(shown["rows"]) == 8 and shown["running"] == [] and shown["withheld"] == {}

    compared = as_json(run, "leaderboard", "compare", "rnd", "expert", "--board", "b")
    assert compared["tasks"] == 3 and compared["split"] == "eval" and compared["b"] == "expert"
    assert "expert" in told(run, "leaderboard", "compare", "rnd", "expert", "--split", "hidden", "--board", "b")

    verified = as_json(run, "leaderboard", "verify", "--board", "b")["verified"]
    assert [one["verdict"] for one in verified] == ["verified"] * 4
    key = again["submission"]
    assert told(run, "leaderboard", "verify", key, "--board", "b").startswith(f"verified {key} 5 episodes")
    replayed = told(run, "leaderboard", "replay", key, "Credit-v0.eval.0000.0", "--board", "b")
    assert "the same when played again" in replayed and "[1]" in replayed

    assert "retracted" in told(run, "leaderboard", "retract", key, "--reason", "a slip", "--board", "b")
    assert "rnd" not in {row["name"] for row in as_json(run, "leaderboard", "show", "--board", "b")["rows"]}
    told(run, "leaderboard", "retract", key, "--undo", "--reason", "none", "--board", "b")
    log = as_json(run, "leaderboard", "log", key, "--board", "b")["decisions"]
    assert [one["verdict"] for one in log] == ["accepted", "verified", "verified", "retracted", "accepted"]
    assert "a slip" in told(run, "leaderboard", "log", "--board", "b")
    assert told(run, "leaderboard", "rebuild", "--board", "b") == "8 rows\n"

    index = as_json(run, "leaderboard", "export", "--board", "b")["index"]
    assert Path(index).is_file()
    revealed = as_json(run, "leaderboard", "reveal", "--yes", "--board", "b")
    assert len(revealed["secret"]) == 64
    code, _, err = run("submit", "--policy", "null", "--suite", "small.toml", "--seed", "1", "--board", "b")
    assert code == 2 and "make a new board" in err


def test_what_was_altered_leaves_the_board_with_status_1(run):
    told(run, "leaderboard", "init", "--board", "b")
    found = as_json(run, "submit", "--policy", "null", "--suite", "small.toml", "--board", "b", "--no-baselines")
    path = Path(f"b/episodes/{found['submission']}.jsonl")
    path.write_text(path.read_text().replace('"reward":0.0', '"reward":1.0', 1))
    code, text, _ = run("leaderboard", "verify", "--board", "b")
    assert code == 1 and "rejected" in text and "is not what was submitted" in text
    assert as_json(run, "leaderboard", "show", "--board", "b")["rows"] == []


def test_missing_environments_are_told(run):
    Path("part.toml").write_text(SUITE + '[[cells]]\nenv = "thinkact/Nowhere-v0"\n')
    told(run, "leaderboard", "init", "--board", "b")
    said = told(run, "submit", "--policy", "null", "--suite", "part.toml", "--board", "b", "--no-baselines")
    assert "not run here: thinkact/Nowhere-v0" in said and "without Nowhere-v0" in said


def test_interrupted_and_gone_on_with(run, monkeypatch):
    from thinkact.policies.scripted import NullPolicy

    told(run, "leaderboard", "init", "--board", "b")
    args = ("submit", "--policy", "null", "--suite", "small.toml", "--board", "b", "--no-baselines")
    code, _, err = run(*args, "--resume")
    assert code == 2 and "nothing to go on with" in err

    def stop(self, conversations):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NullPolicy, "act", stop)
        code, _, err = run(*args)
    assert code == 130 and "the same command goes on" in err
    assert as_json(run, "leaderboard", "show", "--board", "b")["running"][0]["state"] == "stopped"
    assert as_json(run, *args, "--resume")["played"] == 5


def test_suites_are_listed(run):
    found = as_json(run, "leaderboard", "suites")["suites"]
    assert {one["label"] for one in found} >= {"core-cpu@1", "web@1", "full@1"}
    assert "3 public + 2 hidden" in told(run, "leaderboard", "suites", "small.toml")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("submit", "--board", "b"), "one of the two"),
        (("submit", "x", "--policy", "null", "--board", "b"), "one of the two"),
        (("submit", "x", "--board", "b"), "agent.toml"),
        (("submit", "--policy", "expret", "--board", "b"), "no policy 'expret'"),
        (("submit", "--policy", "null", "--suite", "core-gpu", "--board", "b"), "Did you mean 'core-cpu'"),
        (("submit", "--policy", "null", "--board", "none"), "leaderboard init --board none"),
        (("submit", "--policy", "random", "--name", "expert", "--board", "b", "--suite", "small.toml"), "baseline"),
        (("submit", "--policy", "null", "--resume", "--fresh", "--board", "b"), "give one of them"),
        (("leaderboard", "init", "--board", "b"), "a board already"),
        (("leaderboard", "compare", "a", "b", "--board", "b"), "no agent or submission 'a'"),
        (("leaderboard", "verify", "nope", "--board", "b"), "no submission 'nope'"),
        (("leaderboard", "verify", "../b", "--board", "b"), "not a submission id"),
        (("leaderboard", "replay", "nope", "x", "--board", "b"), "no submission 'nope'"),
        (("leaderboard", "retract", "nope", "--reason", "x", "--board", "b"), "no submission 'nope'"),
        (("leaderboard", "suites", "none.toml"), "none.toml"),
    ],
)
def test_a_mistake_is_one_clear_line(run, args, says):
    told(run, "leaderboard", "init", "--board", "b")
    code, _, err = run(*args)
    assert code == 2 and err.startswith("Error: ") and says in err and "Traceback" not in err


def test_help_teaches(run):
    text = told(run, "leaderboard", "--help")
    for command in ("init", "suites", "show", "compare", "export", "verify", "replay", "log", "retract", "reveal"):
        assert command in text
    text = told(run, "submit", "--help")
    assert "plays nothing twice" in text and "thinkact submit ./my-agent" in text
