"""Rollout workers on a cluster of two nodes: the same run as without, whoever dies."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")
pytest.importorskip("ray", reason="needs the extra [ray]: pip install 'thinkact[ray]'")

pytestmark = pytest.mark.skipif(
    not os.environ.get("THINKACT_TEST_RAY"), reason="starts a cluster and six processes: set THINKACT_TEST_RAY=1"
)

SETTINGS = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": "key-door", "horizon": 4}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 384},
    "eval": {"tasks": 2},
    "sft": {"episodes": 0},
    "rl": {"steps": 3, "tasks_per_step": 3, "group_size": 2, "filter": False, "entropy_coef": 0.01, "tis_cap": 2},
    "rollout": {"max_staleness": 1, "shard_tasks": 1},
    "checkpoint_seconds": 60,
    "threads": 1,
}
RUN = """
import json, os, sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from thinkact.policies import ray_player
from thinkact.policies.config import make_config
from thinkact.policies.training import Quiet, Trainer

folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
Trainer(make_config("tiny", overrides=settings), folder / "alone").run()

class Dies(ray_player.Worker):
    def play(self, version, weights, shard):
        episodes = super().play(version, weights, shard)
        try:
            (folder / "died").touch(exist_ok=False)
        except FileExistsError:
            return episodes
        os.kill(os.getpid(), 9)  # played, and nobody will ever know

class Watch(Quiet):
    def figures(self, stage, step, values):
        if (stage, step) == ("rl", 0):
            cluster.remove_node(other)  # and with it a worker

# On a machine that is busy a worker may take minutes to come up.
patient = {"worker_register_timeout_seconds": 600}
head = {"num_cpus": 1, "include_dashboard": False, "_system_config": patient}
cluster = Cluster(initialize_head=True, head_node_args=head)
other = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, logging_level="error", log_to_driver=False)
ray_player.Worker = Dies
settings["rollout"]["ray_workers"] = 2
Trainer(make_config("tiny", overrides=settings), folder / "ray", reporter=Watch()).run()
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_on_workers_that_die_is_the_run_without_workers(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(tmp_path), json.dumps(SETTINGS)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=540, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "died").exists()
    alone, ray = (
        {
            "weights": (tmp_path / name / "model" / "model.safetensors").read_bytes(),
            "episodes": [
                {k: v for k, v in json.loads(line).items() if k != "usage"}
                for file in sorted((tmp_path / name / "episodes" / "rl").glob("*.jsonl"))
                for line in file.read_text().splitlines()
            ],
        }
        for name in ("alone", "ray")
    )
    assert ray == alone and len(ray["episodes"]) == 3 * 3 * 2
    rows = [json.loads(line) for line in (tmp_path / "ray" / "metrics.jsonl").read_text().splitlines()]
    assert sum(row["worker_deaths"] for row in rows if row["stage"] == "rl") >= 2
