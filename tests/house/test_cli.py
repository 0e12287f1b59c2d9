import importlib
import importlib.util
import io
import json
from pathlib import Path

import pytest

from thinkact import cli_progress
from thinkact.cli import main
from thinkact.cli_common import _USER_ERRORS, UserError, explain, knobs, pairs, suite_of
from thinkact.cli_progress import Clock, Lines, duration, plan
from thinkact.cli_train import Request, to_toml
from thinkact.policies.config import make_config

FACTBOOK = "thinkact/FactbookQA-v0"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THINKACT_DEBUG", raising=False)

    def call(*args):
        with pytest.raises(SystemExit) as left:
            main(list(args))
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    return call


def one_line(text):
    assert text.startswith("Error: ") and "Traceback" not in text
    return text


# Small commands.


def test_help_names_every_command(run):
    code, text, _ = run("--help")
    assert code == 0
    for command in ("envs", "play", "rollout", "train", "eval", "leaderboard", "doctor"):
        assert command in text


def test_envs_lists_ids_and_knobs(run):
    code, text, _ = run("envs", "--json")
    found = {env["id"]: env for env in json.loads(text)["envs"]}
    assert code == 0 and set(found) >= {FACTBOOK, "thinkact/PythonTask-v0"}
    default, about = found[FACTBOOK]["knobs"]["hops"]
    assert default == "(1, 2)" and about.startswith("Numbers of documents")
    assert FACTBOOK in run("envs")[1]


def test_play_shows_checks_and_rewards(run):
    code, text, _ = run("play", FACTBOOK, "--policy", "expert", "--env", "hops=1")
    assert code == 0 and "✗ answer" in text and "✓ answer" in text and "solved: score 1.000" in text


def test_a_person_can_play(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('{"search": "Peru"}\nnonsense\n{"submit": "Lima"}\n'))
    code, text, _ = run("play", FACTBOOK, "--task", "train/capital/shortest/Togo")
    assert code == 0 and "Peru" in text and "no JSON call found" in text and "not solved" in text


def test_leaving_a_game_is_no_error(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("quit\n"))
    assert run("play", FACTBOOK)[0] == 0


def test_rollout_writes_episodes_and_never_over_a_file(run):
    args = ("rollout", FACTBOOK, "--policy", "expert", "--episodes", "6", "--out", "e.jsonl", "--json")
    code, text, _ = run(*args)
    figures = json.loads(text)
    assert code == 0 and figures["success"] == 1.0 and figures["episodes"] == 6 and figures["first_fault"] is None
    assert len(Path("e.jsonl").read_text().splitlines()) == 6
    assert "exists already" in one_line(run(*args)[2])


def test_episodes_that_are_lost_say_what_took_them(run):
    text = run("rollout", FACTBOOK, "--policy", "endpoint:http://127.0.0.1:9/v1#none", "--episodes", "1")[1]
    assert "1 lost to faults" in text and "first fault     EndpointFault: ConnectError" in text


def test_eval_submits_and_the_board_shows_it(run):
    code, text, _ = run("eval", FACTBOOK, "--policy", "random", "--tasks", "8", "--submit", "--board", "b", "--json")
    assert code == 0 and json.loads(text)["submission"].startswith("random-")
    code, text, _ = run("leaderboard", "show", "--board", "b", "--json")
    (row,) = json.loads(text)["rows"]
    assert row["name"] == "random" and row["baseline"] and row["split"] == "eval"
    assert "random" in run("leaderboard", "show", "--board", "b")[1]
    assert run("leaderboard", "rebuild", "--board", "b")[1] == "1 rows\n"
    assert Path(run("leaderboard", "export", "--board", "b")[1].strip()).is_file()


# What a user gets wrong.


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("rollout", "thinkact/FactbokQA-v0"), "Did you mean 'thinkact/FactbookQA-v0'"),
        (("play", "pythontask"), "Did you mean 'thinkact/PythonTask-v0'"),
        (("eval", "nothing-like-it"), "`thinkact envs` lists all"),
        (("rollout", FACTBOOK, "--env", "hop=1"), "Did you mean 'hops'"),
        (("rollout", FACTBOOK, "--env", "hops=99"), "hops must be some of"),
        (("rollout", FACTBOOK, "--env", "hops"), "key=value"),
        (("rollout", FACTBOOK, "--split", "test"), "split must be one of train, eval, hidden"),
        (("rollout", FACTBOOK, "--policy", "export"), "no policy 'export'"),
        (("play", FACTBOOK, "--policy", "expert", "--task", "nope"), "has no task 'nope'"),
        (("eval", FACTBOOK, "--split", "train"), "must be eval or hidden"),
        (("leaderboard", "show", "--board", "nowhere"), "no leaderboard in nowhere"),
        (("train", "--preset", "tinny"), "there are default, tiny"),
        (("train", "--set", "rl.stepz=1"), "unknown key 'rl.stepz' (did you mean 'steps'?)"),
        (("train", "--set", "rl.estimator=gropo"), "Bad configuration: rl: Unknown estimator 'gropo'"),
        (("train", "--set", "rl.steps=many"), "rl.steps"),
        (("train", "--config", "none.toml"), "no file none.toml; thinkact train --dry-run > none.toml writes one"),
        (("train", "--model", "./none"), "no folder ./none"),
        (("train", "--name", "../up"), "plain folder name"),
        (("train", "--resume"), "holds no run to resume"),
        (("train", "--set", "env.id=thinkact/Nope-v0"), "no environment 'thinkact/Nope-v0'"),
    ],
)
def test_a_mistake_is_one_clear_line(run, args, says):
    code, _, text = run(*args)
    assert code == 2 and says in one_line(text)
    assert not any(Path().glob("runs/*/config.json"))


def test_a_browser_that_is_not_there_is_one_clear_line(run, monkeypatch):
    pytest.importorskip("uvicorn", reason='the browser tools are not installed: pip install "thinkact[browser]"')
    from thinkact.tools.browser.host import shut_down

    shut_down()  # the browser of another test would serve this one, too
    monkeypatch.setenv("THINKACT_CHROME", "/nonexistent/chromium")
    code, _, text = run("play", "thinkact/Shop-v0", "--policy", "expert")
    assert code == 2 and "THINKACT_CHROME" in text and "Traceback" not in text


def test_a_broken_config_file_is_named(run):
    Path("bad.toml").write_text("rl = [")
    assert "bad.toml" in one_line(run("train", "--config", "bad.toml")[2])


def test_debug_shows_where_it_came_from(run, monkeypatch):
    monkeypatch.setenv("THINKACT_DEBUG", "1")
    assert "Traceback" in run("rollout", "nope")[2]


def test_a_full_disk_is_explained_and_a_bug_is_not_hidden():
    assert "make room" in explain(OSError(28, "No space left on device", "runs/x"))
    assert explain(OSError(13, "Permission denied", "runs")) == "runs: Permission denied"
    assert explain(ZeroDivisionError("ours")) is None


def test_a_fault_tells_the_reason_behind_it():
    from thinkact.envs import EnvironmentFault
    from thinkact.sandbox import SandboxUnavailable

    def explained(reason):
        try:
            raise EnvironmentFault("reset failed") from reason
        except EnvironmentFault as fault:
            return explain(fault)

    assert explained(SandboxUnavailable("install bubblewrap")) == "install bubblewrap"
    assert explained(ImportError("it needs more: pip install more")) == "it needs more: pip install more"
    missing = ModuleNotFoundError("No module named 'uvicorn.main'", name="uvicorn.main")
    assert "uvicorn.main is not installed: pip install" in explained(missing)
    assert explained(ValueError("THINKACT_SANDBOX=dokker: no such backend")).startswith("THINKACT_SANDBOX=dokker")
    assert explained(ValueError("ours")) is explained(ImportError("ours")) is explain(EnvironmentFault("ours")) is None


def test_key_value_pairs_are_json_lists_or_text():
    found = pairs(["a=1", "b=1,2", 'c={"d":[1]}', "e=lookup,reverse", "f=x=y", "g=true", "h="], "--env")
    assert found == {
        "a": 1, "b": [1, 2], "c": {"d": [1]}, "e": ["lookup", "reverse"], "f": "x=y", "g": True, "h": ""
    }  # fmt: skip
    with pytest.raises(UserError, match="key=value"):
        pairs(["=1"], "--env")


def test_suites_do_not_depend_on_the_order_of_knobs():
    assert suite_of({}) == "default"
    assert suite_of({"b": [1, 2], "a": 1}) == suite_of({"a": 1, "b": [1, 2]}) == "a=1 b=[1,2]"


def test_every_knob_is_documented():
    import thinkact
    from thinkact.cli_common import env_class

    for env_id in thinkact.ENV_IDS:
        for name, (default, about) in knobs(env_class(env_id)).items():
            assert default and about, (env_id, name)


# Training.


def request(**changes):
    options = {
        "preset": "default", "model": None, "name": None, "seed": None, "file": None, "settings": {},
        "resume": False, "runs": Path("runs"), "board": None,
    }  # fmt: skip
    return Request.of(**{**options, **changes})


def test_the_name_follows_preset_and_seed(tmp_path):
    assert request().name == "default"
    assert request(preset="tiny", seed=2).name == "tiny-seed2"
    assert request(preset="tiny", seed=0).name == "tiny"
    assert request(name="mine").path == Path("runs/mine")
    (tmp_path / "c.toml").write_text('preset = "tiny"\nseed = 3')
    assert request(file=tmp_path / "c.toml").name == "tiny-seed3"


def test_knobs_of_the_environment_arrive_together():
    found = request(settings={"env.id": FACTBOOK, "env.kwargs.hops": [1], "env.kwargs.templates": ["capital"]})
    assert found.config.env.kwargs == {"hops": [1], "templates": ["capital"]}


def test_resume_with_a_name_alone_takes_the_runs_own_configuration(tmp_path):
    kept = make_config("tiny", overrides={"rl.steps": 3})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text(kept.model_dump_json())
    assert request(name="mine", resume=True, runs=tmp_path).config == kept
    assert request(name="mine", resume=True, runs=tmp_path, settings={"rl.steps": 4}).config.rl.steps == 4


@pytest.mark.parametrize("preset", ["default", "tiny"])
def test_the_printed_configuration_reads_back(tmp_path, preset):
    config = make_config(preset, overrides={"rl.estimator_options": {}, "threads": 2, "env.kwargs": {"a": [1, "b"]}})
    file = tmp_path / "c.toml"
    file.write_text(to_toml(config))
    assert make_config(file=file) == config


def test_dry_run_prints_everything_and_trains_nothing(run):
    code, text, checks = run(
        "train", "--preset", "tiny", "--set", f"env.id={FACTBOOK}", "--set", "env.kwargs={}", "--dry-run"
    )
    assert code == 0 and "group_size" in text and checks.count("✓") == 5
    assert not Path("runs").exists()
    code, text, _ = run("train", "--model", "./none", "--dry-run", "--json")
    report = json.loads(text)
    assert code == 2 and not report["checks"]["model"]["ok"] and report["config"]["rl"]["steps"]


def test_what_is_missing_is_told_before_anything_is_played(run, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else real(name, *rest))
    assert "thinkact[ray]" in one_line(run("train", "--preset", "tiny", "--ray", "2")[2])
    assert not Path("runs").exists()


def test_the_clock_starts_at_nothing_ends_at_everything_and_learns_the_pace():
    clock = Clock(plan(make_config("tiny")), 0.0)
    assert clock.fraction == 0.0 and clock.left(0.0) is None
    now, seen = 0.0, []
    for stage in list(clock.stages):
        clock.stage(stage.name, stage.units, 0, now)
        for _ in range(stage.units):
            now += 10 * stage.each  # a machine ten times slower than guessed
            clock.advance()
        seen.append((clock.fraction, clock.left(now)))
    total = now
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert seen[-1][0] == pytest.approx(1.0) and seen[-1][1] == 0.0
    halfway = [left for fraction, left in seen if 0.3 < fraction < 0.9]
    assert halfway and all(0.2 * total < left < total for left in halfway)


def test_restored_work_does_not_count_for_the_pace():
    config = make_config("tiny")
    clock = Clock(plan(config), 0.0)
    units = next(stage.units for stage in clock.stages if stage.name == "reinforcement")
    clock.stage("reinforcement", units, units // 2, 0.0)
    for at in range(100):
        clock.advance()
        left = clock.left(at + 1.0)
    assert left > 0.5 * (units - units // 2 - 100)


def test_lines_say_what_began_and_what_came_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli_progress, "LINE_EVERY_S", 0.0)
    lines = Lines(make_config("tiny"), tmp_path)
    lines.stage("evaluate before", 2)
    lines.advance()
    values = {"success": 0.5, "score": 0.5, "turns": 3.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"stage": "eval-before", "step": 0, **values}) + "\n")
    lines.figures("eval-before", 0, values)
    lines.close()
    text = capsys.readouterr().err
    assert "evaluate before 0/2" in text and "solved 50 %" in text and "left" in text
    assert list((tmp_path / "tensorboard").iterdir())


def test_durations_read_as_a_person_says_them():
    assert [duration(each) for each in (None, 5, 600, 10_000)] == ["…", "5 s", "10 min", "2.8 h"]


def test_every_error_that_is_the_users_exists_under_its_name():
    for name in _USER_ERRORS:
        module, _, error = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), error), Exception), name


MICRO = """
    --preset tiny --runs r --set env.id=thinkact/FactbookQA-v0 --set env.kwargs.hops=1 --set model.tiny_hidden=32
    --set model.tiny_layers=1 --set eval.tasks=4 --set sft.episodes=8 --set sft.epochs=1 --set sft.batch_episodes=4
    --set rl.steps=2 --set rl.tasks_per_step=2 --set rl.group_size=2 --set sample.concurrency=4 --set threads=1
    --set sample.max_new_tokens=8
""".split()


@pytest.mark.slow
def test_training_publishes_rows_curve_figures_and_site(run):
    code, text, progress = run("train", *MICRO, "--json")
    report = json.loads(text)
    assert code == 0 and "reinforcement" in progress
    folder = Path(report["run"])
    assert folder == Path("r/tiny")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model/config.json").is_file() and list((folder / "tensorboard").iterdir())
    assert Path(report["site"], "index.html").is_file()
    rows = json.loads(run("leaderboard", "show", "--board", "r/leaderboard", "--json")[1])["rows"]
    assert {row["name"]: row["baseline"] for row in rows} == {
        "null": True, "random": True, "expert": True,
        "tiny/before": False, "tiny/imitation": False, "tiny/rl": False,
    }  # fmt: skip
    assert {row["suite"] for row in rows} == {"hops=1"}
    # Resuming what is done changes nothing.
    again = json.loads(run("train", *MICRO, "--json", "--resume")[1])
    assert again["submissions"] == report["submissions"]
    assert "already holds a run" in one_line(run("train", *MICRO)[2])


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(run, monkeypatch):
    from thinkact.policies.training import Trainer

    def interrupt(self, *rest):
        raise KeyboardInterrupt

    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr("sys.argv", ["thinkact", "train", *MICRO])  # what the message repeats
    monkeypatch.setattr(Trainer, "_imitate", interrupt)
    code, _, error = run("train", *MICRO)
    assert code == 130, error
    assert "thinkact train --preset tiny" in error and "--resume" in error
    assert "Traceback" not in error
