"""The run's folder under kills, full disks, damage and company."""

import json
import subprocess
import sys
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.rundir import CheckpointError, RunDir, RunError, write_whole  # noqa: E402

CONFIG = {"seed": 0, "rl": {"lr": 1e-5, "steps": 3}, "preset": "tiny"}


@pytest.fixture
def run(tmp_path):
    opened = RunDir(tmp_path / "run", CONFIG, resume=False)
    yield opened
    opened.close()


def state(value):
    return {"weights": {"w": torch.full((64, 64), float(value))}, "optimizer": {"step": value}}


def test_checkpoints_come_back_and_older_ones_go(run):
    assert run.load_checkpoint("sft") is None
    for step in (1, 2, 10):
        run.save_checkpoint("sft", step, state(step))
    run.save_checkpoint("rl", 1, state(7))
    loaded = run.load_checkpoint("sft")
    assert (loaded["stage"], loaded["step"]) == ("sft", 10)
    assert torch.equal(loaded["weights"]["w"], state(10)["weights"]["w"])
    assert run.load_checkpoint("rl")["step"] == 1
    names = sorted(file.name for file in (run.path / "checkpoints").iterdir())
    assert names == ["rl-00001.pt", "rl-00001.sha256", "sft-00010.pt", "sft-00010.sha256"]


FULL = """
import resource, sys
from pathlib import Path
import torch
from thinkact.policies.rundir import RunDir
run = RunDir(Path(sys.argv[1]), {}, resume=False)
run.save_checkpoint("sft", 1, {"weights": {"w": torch.zeros(64, 64)}})
# From here on no file may grow beyond 100 kB: writes fail in the middle, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    run.save_checkpoint("sft", 2, {"weights": {"w": torch.zeros(512, 512)}})
except OSError as error:
    print("OSError", error)
print(run.load_checkpoint("sft")["step"], sorted(file.name for file in (run.path / "checkpoints").iterdir()))
run.close()
"""


def test_a_disk_that_fills_up_leaves_the_previous_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    error, left = done.stdout.splitlines()
    assert error.startswith("OSError") and "sft-00002" in error
    assert left == "1 ['sft-00001.pt', 'sft-00001.sha256']"


KILLED = """
import os, sys
from pathlib import Path
import torch
from thinkact.policies import rundir

def child(path, moment):
    run = rundir.RunDir(path, {}, resume=False)
    run.save_checkpoint("sft", 1, {"weights": {"w": torch.zeros(64, 64)}})
    calls = 0
    def deadly(original):
        def either(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), 9)
            return original(*args, **kwargs)
        return either
    os.fsync, Path.rename, Path.unlink = deadly(os.fsync), deadly(Path.rename), deadly(Path.unlink)
    run.save_checkpoint("sft", 2, {"weights": {"w": torch.ones(64, 64)}})
    os._exit(0)

for moment in range(1, 30):
    pid = os.fork()
    if not pid:
        child(Path(sys.argv[1]) / str(moment), moment)
    if os.waitpid(pid, 0)[1] == 0:
        print(moment)
        break
"""


def test_killed_at_any_point_of_a_write_one_whole_checkpoint_is_left(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    moments = int(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)
    steps = []
    for moment in range(1, moments + 1):
        run = RunDir(tmp_path / str(moment), {}, resume=True)
        loaded = run.load_checkpoint("sft")
        assert float(loaded["weights"]["w"][0, 0]) == loaded["step"] - 1
        steps.append(loaded["step"])
        # The next write cleans up what the dead process left.
        run.save_checkpoint("sft", 3, state(3))
        assert run.load_checkpoint("sft")["step"] == 3
        names = sorted(file.name for file in (run.path / "checkpoints").iterdir())
        run.close()
        assert names == ["sft-00003.pt", "sft-00003.sha256"]
    assert moments > 4 and steps[0] == 1 and steps[-1] == 2 and steps == sorted(steps)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "no digest"])
def test_damage_is_found_and_the_message_names_the_way_out(run, damage):
    path = run.save_checkpoint("rl", 4, state(4))
    content = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
        case "cut":
            path.write_bytes(content[:-1])
        case "empty":
            path.write_bytes(b"")
        case "no digest":
            path.with_suffix(".sha256").unlink()
    with pytest.raises(CheckpointError, match=r"rl-00004\.pt .*Delete it"):
        run.load_checkpoint("rl")


def test_one_process_at_a_time(run):
    code = f"""
from pathlib import Path
from thinkact.policies.rundir import RunDir
RunDir(Path({str(run.path)!r}), {CONFIG!r}, resume=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "RunError" in done.stderr and "in use by another process" in done.stderr
    run.close()
    RunDir(run.path, CONFIG, resume=True).close()


def test_begin_and_resume_are_told_apart(tmp_path):
    with pytest.raises(RunError, match="no run to resume"):
        RunDir(tmp_path / "run", CONFIG, resume=True)
    assert not (tmp_path / "run").exists()
    RunDir(tmp_path / "run", CONFIG, resume=False).close()
    with pytest.raises(RunError, match="--resume"):
        RunDir(tmp_path / "run", CONFIG, resume=False)


@pytest.mark.parametrize(
    "other, named",
    [
        ({**CONFIG, "seed": 1}, "seed"),
        ({**CONFIG, "rl": {"lr": 1e-4, "steps": 3}}, r"rl\.lr"),
        ({**CONFIG, "new": 1}, "new"),
        ({"seed": 0, "rl": CONFIG["rl"]}, "preset"),
    ],
)
def test_another_configuration_is_refused_by_its_key(run, other, named):
    run.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RunError, match=rf"another configuration \({named} changed"):
            RunDir(run.path, other, resume=True)
    # The refusal holds no lock.
    RunDir(run.path, CONFIG, resume=True).close()


def test_a_damaged_configuration_says_so(run):
    run.close()
    (run.path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json"):
        RunDir(run.path, CONFIG, resume=True)


def test_metrics_are_rewound_and_survive_a_cut_line(run):
    for step in range(4):
        run.log("sft", step, {"loss": step / 2})
    run.log("eval-imitation", 0, {"success": 0.5})
    for step in range(3):
        run.log("rl", step, {"loss": 0.0})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "rl", "st')
    run.rewind_metrics("rl", 1)
    run.log("rl", 1, {"loss": 1.0})
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert rows == run.metrics()
    assert [(row["stage"], row["step"]) for row in rows] == [
        *(("sft", step) for step in range(4)),
        ("eval-imitation", 0),
        ("rl", 0),
        ("rl", 1),
    ]
    assert rows[-1]["loss"] == 1.0


def test_small_files_are_written_whole(tmp_path):
    write_whole(tmp_path / "file", "old")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "file", 3)
    assert (tmp_path / "file").read_text() == "old"
