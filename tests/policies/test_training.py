"""The whole run on real parts: interrupted, resumed, exported."""

import json
import math
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.episode import read_episodes  # noqa: E402
from thinkact.policies.models import ModelNotFound, load_model  # noqa: E402
from thinkact.policies.reinforce import rate  # noqa: E402
from thinkact.policies.rundir import CheckpointError, RunDir, RunError  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402

SMALL = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": "key-door", "horizon": 4}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 384},
    "eval": {"tasks": 8},
    "sft": {"episodes": 12, "epochs": 1, "batch_episodes": 4, "warmup_steps": 1},
    # Entropy keeps the gradient alive: a policy this small earns nothing.
    "rl": {"steps": 4, "tasks_per_step": 3, "group_size": 3, "filter": False, "entropy_coef": 0.01, "updates": 2},
    "checkpoint_seconds": 0,
    "threads": 1,
}
LADDER = [{"name": f"steps{horizon}", "kwargs": {"horizon": horizon}} for horizon in (4, 6, 8)]
RUN = """
import json, os, sys
from pathlib import Path
from thinkact.policies.config import make_config
from thinkact.policies.rundir import RunDir
from thinkact.policies.training import Trainer

log, rename = RunDir.log, Path.rename

def live(path, resume, dies, changes):
    def at(*point):
        if list(point) == dies:
            os.kill(os.getpid(), 9)
    def log_and_die(run, stage, step, values):
        log(run, stage, step, values)
        at("log", stage, step)
    def rename_and_die(file, target):
        at("before", Path(target).name)
        rename(file, target)
        at("after", Path(target).name)
    RunDir.log, Path.rename = log_and_die, rename_and_die
    Trainer(make_config("tiny", overrides=changes), Path(path), resume=resume).run()

for path, resume, dies, changes in json.loads(sys.argv[1]):
    child = os.fork()  # every life begins with what is on the disk; to import torch again would only take longer
    if child == 0:
        live(path, resume, dies, changes)
        sys.stdout.flush()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == (-9 if dies else 0), (path, dies, status)
"""


def train(*lives):
    """Train in a process of its own; a life is a folder, whether it resumes, where it is killed, and its settings."""
    command = [sys.executable, "-W", "ignore", "-c", RUN, json.dumps(lives)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr[-3000:]


def untimed(rows):
    return [{k: v for k, v in row.items() if "seconds" not in k and "_idle" not in k} for row in rows]


def metrics_of(path):
    return untimed(json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines())


def weights_of(path):
    return (path / "model" / "model.safetensors").read_bytes()


def episodes_of(path):
    found = {}
    for file in sorted((path / "episodes").rglob("*.jsonl")):
        episodes = []
        for episode in read_episodes(file):
            usage = episode.usage.model_copy(update={"policy_seconds": 0.0, "env_seconds": 0.0})
            episodes.append(episode.model_copy(update={"usage": usage}))
        found[str(file.relative_to(path))] = episodes
    return found


#: How runs differ, and where each is killed, life after life: between any two things that reach the disk.
RUNS = {
    "full": (
        {},
        [
            ("after", "expert-train.jsonl"),
            ("before", "eval-before.jsonl"),
            ("log", "sft", 1),
            ("before", "sft-00002.pt"),
            ("after", "sft-00003.pt"),
            ("log", "rl", 0),
            ("before", "rl-00002.sha256"),
            ("before", "00002.jsonl"),
            ("after", "rl-00004.pt"),
            ("before", "model"),
        ],
    ),
    "lora": ({"model.lora_rank": 4}, [("log", "sft", 2), ("log", "rl", 1)]),
    # Batches in flight, and a curriculum that has moved on, come back as well.
    "ahead": (
        {
            "rollout.max_staleness": 2,
            "rl.tis_cap": 2.0,
            "curriculum": {"arms": LADDER, "mode": "staged", "window": 4, "promote": 0.01, "retire": 1.0},
        },
        [("log", "rl", 0), ("before", "rl-00002.pt"), ("after", "rl-00003.pt")],
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(tmp_path):
    lives = []
    for name, (changes, deaths) in RUNS.items():
        settings = {**SMALL, **changes}
        lives.append((str(tmp_path / name), False, None, settings))
        for at, dies in enumerate([*deaths, None]):
            lives.append((str(tmp_path / f"{name}-killed"), at > 0, dies, settings))
    train(*lives)
    for name in RUNS:
        whole, broken = tmp_path / name, tmp_path / f"{name}-killed"
        # The same weights, byte for byte, and they are not the ones imitation left.
        assert weights_of(broken) == weights_of(whole)
        assert load_model(str(broken / "model")).model.num_parameters() > 0
        state = torch.load(next((whole / "checkpoints").glob("rl-*.pt")), weights_only=True)["weights"]
        before = torch.load(next((whole / "checkpoints").glob("sft-*.pt")), weights_only=True)["weights"]
        assert any(not torch.equal(state[name], before[name]) for name in state)
        assert all(("lora_" in parameter) == (name == "lora") for parameter in state)

        # The same figures, each step once.
        figures = metrics_of(whole)
        assert figures == metrics_of(broken)
        stages = [(row["stage"], row["step"]) for row in figures]
        assert stages == [
            *((f"eval-{name}", 0) for name in ("null", "random", "expert", "before")),
            *(("sft", step) for step in range(3)),
            ("eval-imitation", 0),
            *(("rl", step) for step in range(4)),
            ("eval-rl", 0),
        ]
        for row in figures:
            assert all(math.isfinite(v) for v in row.values() if isinstance(v, float)), row

        # The same episodes, every one readable, every score the sum of its rewards.
        ones = episodes_of(whole)
        assert ones == episodes_of(broken)
        assert len(ones) == 1 + 6 + 4
        for episode in (e for episodes in ones.values() for e in episodes):
            assert episode.error is None and sum(episode.rewards) == pytest.approx(episode.score, abs=1e-9)
        assert [e.score for e in ones["episodes/eval-expert.jsonl"]] == [1.0] * 8
        assert [e.score for e in ones["episodes/eval-null.jsonl"]] == [0.0] * 8
        # Nothing half-written is left.
        assert not [file for path in (whole, broken) for file in path.rglob("*.part")]
    ages = [row["staleness"] for row in metrics_of(tmp_path / "ahead") if row["stage"] == "rl"]
    assert ages == [0, 1, 2, 2]


class Stop(Quiet):
    """Presses Ctrl-C when a stage begins."""

    def __init__(self, stage):
        self.at = stage

    def stage(self, name, *sizes):
        if name == self.at:
            raise KeyboardInterrupt


def small(**changes):
    return make_config("tiny", overrides={**SMALL, **changes})


@pytest.fixture(autouse=True)
def keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_an_interrupted_trainer_frees_its_folder_and_resumes(tmp_path):
    config = small(**{"rl.steps": 0, "eval.tasks": 2})
    with pytest.raises(KeyboardInterrupt):
        Trainer(config, tmp_path / "run", reporter=Stop("imitation")).run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(config, tmp_path / "run", resume=True, reporter=Stop("evaluate imitation")).run()
    result = Trainer(config, tmp_path / "run", resume=True).run()
    assert set(result.evaluations) == {"null", "random", "expert", "before", "imitation"}
    # A finished run can be resumed: nothing is done again.
    again = Trainer(config, tmp_path / "run", resume=True, reporter=Stop("evaluate imitation")).run()
    assert again.evaluations == result.evaluations


def test_what_is_trained_is_what_was_asked(tmp_path):
    config = small(**{"model.tiny_layers": 2, "model.train_layers": 1, "rl.steps": 0, "eval.tasks": 1})
    Trainer(config, tmp_path / "run").run()
    trained = torch.load(next((tmp_path / "run" / "checkpoints").glob("sft-*.pt")), weights_only=True)["weights"]
    assert trained and all(name.startswith("model.layers.1.") for name in trained)
    with pytest.raises(RunError, match="has 2 layers"):
        Trainer(small(**{"model.tiny_layers": 2, "model.train_layers": 3, "eval.tasks": 1}), tmp_path / "other").run()


def test_a_bad_start_leaves_no_lock_behind(tmp_path):
    config = small(**{"env.id": "thinkact/Kredit-v0"})
    with pytest.raises(Exception, match="Credit"):
        Trainer(config, tmp_path / "run").run()
    RunDir(tmp_path / "run", config.model_dump(mode="json"), resume=True).close()


def test_a_missing_model_is_found_before_anything_is_played(tmp_path):
    config = make_config("tiny", overrides={**SMALL, "model": {"name": str(tmp_path / "nowhere")}})
    with pytest.raises(ModelNotFound, match="check the path"):
        Trainer(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_learning_rate_rises_and_falls():
    rates = [rate(update, 4, 20) for update in range(20)]
    peak = rates.index(max(rates))
    assert rates[0] < 0.25 and peak == 4 and 0.1 <= rates[-1] < 0.2
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)


def test_imitation_data_that_does_not_fit_is_an_error(tmp_path):
    config = small(**{"sample.max_len": 64, "eval.tasks": 1, "rl.steps": 0})
    with pytest.raises(RunError, match="max_len"):
        Trainer(config, tmp_path / "run").run()


def test_a_damaged_checkpoint_names_the_way_out_and_the_way_works(tmp_path):
    config = small(**{"rl.steps": 0, "eval.tasks": 1})
    Trainer(config, tmp_path / "run").run()
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    checkpoint = next((tmp_path / "run" / "checkpoints").glob("sft-*.pt"))
    with checkpoint.open("r+b") as file:
        file.seek(os.path.getsize(checkpoint) // 2)
        file.write(b"\0damaged\0")
    with pytest.raises(CheckpointError, match=checkpoint.name):
        Trainer(config, tmp_path / "run", resume=True).run()
    checkpoint.unlink()
    checkpoint.with_suffix(".sha256").unlink()
    Trainer(config, tmp_path / "run", resume=True).run()
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights
