"""A run on several devices is the run on one: real processes, connected by gloo."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

import numpy as np  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from thinkact.policies.config import ConfigError, make_config  # noqa: E402
from thinkact.policies.distributed import Ranks  # noqa: E402
from thinkact.policies.training import Trainer  # noqa: E402

SETTINGS = {
    "model": {"tiny_hidden": 32, "tiny_layers": 2},
    "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": "key-door", "horizon": 4}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 384},
    "eval": {"tasks": 2},
    "sft": {"episodes": 6, "epochs": 1, "batch_episodes": 3, "lr": 1e-3, "warmup_steps": 0},
    "rl": {"steps": 2, "tasks_per_step": 3, "group_size": 2, "filter": False, "entropy_coef": 0.01, "updates": 2},
    "rollout": {"shard_tasks": 1},
    "checkpoint_seconds": 0,
    "threads": 1,
}

#: One of several processes: does runs one after the other, each a name and settings.
PROCESS = """
import json, os, signal, sys
from pathlib import Path
import torch.distributed as dist
from thinkact.policies.config import make_config
from thinkact.policies.training import Quiet, Trainer

folder, rank, size, runs, resume, victim = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])
# A file is where they meet: no port that something else could take.
meeting = f"file://{folder}/meeting-{size}-{int(resume)}"
dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)

class Dies(Trainer):
    def _learn(self, reinforcer, batch, step):
        if rank == victim and step == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._learn(reinforcer, batch, step)

for name, settings in runs.items():
    Dies(make_config("tiny", overrides=settings), folder / name, resume=resume).run()
dist.destroy_process_group()
"""


def changed(**changes):
    found = json.loads(json.dumps(SETTINGS))
    for key, value in changes.items():
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    return found


@contextmanager
def processes(folder, size, runs, *, resume=False, victim=None):
    """Yield so many processes that do these runs; at the end they are gone."""
    rest = [json.dumps(each) for each in (size, runs, resume, victim)]
    files = [folder / f"errors-{size}-{rank}" for rank in range(size)]
    started = []
    try:
        for rank, file in enumerate(files):
            command = [sys.executable, "-W", "ignore", "-c", PROCESS, str(folder), str(rank), *rest]
            with file.open("w") as errors:
                started.append(subprocess.Popen(command, stderr=errors))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def finish(started, folder):
    codes = [process.wait(timeout=180) for process in started]
    told = [file.read_text()[-3000:] for file in folder.glob("errors-*")]
    assert codes == [0] * len(codes), told


def alone(folder, name, settings, *, resume=False):
    Trainer(make_config("tiny", overrides=settings), folder / name, resume=resume).run()


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def figures(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def sampled(folder):
    files = sorted((folder / "episodes/rl").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [(each["id"], [turn["token_ids"] for turn in each["turns"]]) for each in map(json.loads, lines)]


def assert_same_run(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=0)
    assert sampled(one) == sampled(other)
    mine, theirs = figures(one), figures(other)
    assert [(row["stage"], row["step"]) for row in mine] == [(row["stage"], row["step"]) for row in theirs]
    for a, b in zip(mine, theirs, strict=True):
        for name in {"loss", "grad_norm", "entropy", "trained_tokens", "success", "episodes", "advantage_std"} & {
            *a,
            *b,
        }:
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-6), name


@pytest.fixture
def keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.timeout(500)
def test_two_processes_learn_what_one_does(tmp_path, keep_threads):
    lora = {"model": {"tiny_hidden": 32, "tiny_layers": 2, "lora_rank": 2}}
    # One task of two attempts is one shard: the second process plays nothing, and one row leaves it nothing to learn.
    uneven = {"rl": {**SETTINGS["rl"], "tasks_per_step": 1, "max_rows": 1, "updates": 1, "entropy_coef": 0.0}}
    kinds = {"all": {}, "lora": lora, "uneven": uneven}
    runs = {
        f"{name}-{shard}": changed(**changes, shard=shard)
        for name, changes in kinds.items()
        for shard in ("none", "full")
    }
    with processes(tmp_path, 2, runs) as started:
        for name, changes in kinds.items():
            alone(tmp_path, name, changed(**changes))
        finish(started, tmp_path)
    for name in kinds:
        for shard in ("none", "full"):
            assert_same_run(tmp_path / name, tmp_path / f"{name}-{shard}")
    learned = [row["grad_norm"] for row in figures(tmp_path / "all") if row["stage"] == "rl"]
    assert len(learned) == 2 and min(learned) > 0
    begun = torch.load(next((tmp_path / "all/checkpoints").glob("sft-*.pt")), weights_only=True)["weights"]
    ended = torch.load(next((tmp_path / "all/checkpoints").glob("rl-*.pt")), weights_only=True)["weights"]
    assert max(float((begun[name] - ended[name]).abs().max()) for name in begun) > 1e-5


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("THINKACT_TEST_DEVICES"), reason="starts five processes: THINKACT_TEST_DEVICES=1"
)
@pytest.mark.timeout(900)
def test_a_killed_process_ends_the_run_and_any_number_of_processes_goes_on(tmp_path, keep_threads):
    settings = changed(shard="full")
    with processes(tmp_path, 2, {"killed": settings}, victim=1) as (survivor, victim):
        assert victim.wait(timeout=300) == -signal.SIGKILL
        assert survivor.wait(timeout=60) == 1  # long before it would give up waiting
    assert "LostProcess: Process 0 of 2 has lost another one" in (tmp_path / "errors-2-0").read_text()
    shutil.copytree(tmp_path / "killed", tmp_path / "three")
    alone(tmp_path, "whole", settings)
    alone(tmp_path, "killed", settings, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    with processes(tmp_path, 3, {"three": settings}, resume=True) as started:
        finish(started, tmp_path)
    assert_same_run(tmp_path / "whole", tmp_path / "three")


def test_every_row_is_one_processs_and_their_shares_are_close():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 500, rng.integers(0, 40)).tolist()
        for count in (1, 2, 3, 5):
            shares = [Ranks(rank, count).share(sizes) for rank in range(count)]
            assert sorted(i for share in shares for i in share) == list(range(len(sizes)))
            loads = [sum(sizes[i] for i in share) for share in shares]
            assert max(loads) - min(loads) <= max(sizes, default=0)


def test_what_needs_whole_copies_of_the_model_is_refused_when_it_is_sharded():
    with pytest.raises(ConfigError, match="shard = 'none'"):
        make_config("tiny", overrides={"shard": "full", "rollout.max_staleness": 1, "rl.tis_cap": 2.0})
