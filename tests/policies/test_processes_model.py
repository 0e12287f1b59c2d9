"""Models in several processes: their weights in shared memory, their episodes bit for bit those of one process."""

import gc
import json
import os
import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies import rollout  # noqa: E402
from thinkact.policies.collect import share_of  # noqa: E402
from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.crew_processes import ProcessCrew  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.shared_tensors import OpenedObject, SharedObject  # noqa: E402
from thinkact.policies.thinking import VotePolicy  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402

SMALL = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": "key-door", "horizon": 4}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 384},
    "eval": {"tasks": 4},
    "sft": {"episodes": 0},
    "rl": {"steps": 3, "tasks_per_step": 3, "group_size": 2, "filter": False, "entropy_coef": 0.01, "updates": 2},
    "rollout": {"shard_tasks": 1},
    "checkpoint_seconds": 60,
    "threads": 1,
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def loaded():
    return build_tiny(["Which door? {}"], hidden=64, layers=2, heads=2, seed=0)


def said(episodes):
    return [(e.id, e.score, [(t.token_ids, t.prompt_ids, t.forced) for t in e.turns]) for e in episodes]


def test_a_model_in_shared_memory_is_the_model_and_sees_what_is_written(loaded):
    model = loaded.model
    shared = SharedObject(loaded)
    other = OpenedObject(os.dup(shared.descriptor), shared.opening).value
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    assert shared.opening[0] >= weights > 10 * (shared.opening[1] - len(loaded.tokenizer.backend_tokenizer.to_str()))
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.equal(other.model(ids).logits, model(ids).logits)
    here, there = dict(model.named_parameters()), dict(other.model.named_parameters())
    assert here.keys() == there.keys()
    assert [p.requires_grad for p in there.values()] == [p.requires_grad for p in here.values()]
    assert other.model.lm_head.weight is other.model.model.embed_tokens.weight  # tied, as it was
    name = "model.layers.0.mlp.up_proj.weight"
    shared.view(here[name]).fill_(0.25)
    assert bool((there[name] == 0.25).all()) and not bool((here[name] == 0.25).any())
    shared.close()
    gc.collect()
    assert bool((there[name] == 0.25).all())  # it lives as long as anybody looks at it


def test_models_and_wrappers_of_models_sample_what_they_would_alone(loaded):
    policy = HFPolicy(loaded, max_new_tokens=12, max_thought_tokens=4, max_len=384, max_slots=8, dtype=torch.float32)
    options = {"episodes": 12, "trials": 2, "concurrency": 4, "env_kwargs": SMALL["env"]["kwargs"]}
    for each in (policy, VotePolicy(policy, 2)):
        one, two = (rollout(SMALL["env"]["id"], each, processes=count, **options) for count in (1, 2))
        assert said(one) == said(two) and {e.policy for e in two} == {each.name}
    assert any(t.forced for e in rollout(SMALL["env"]["id"], policy, processes=2, **options) for t in e.turns)


def train(path, reporter=None, **changes):
    """Train; return the weights' bytes and the rows of figures, without times."""
    Trainer(make_config("tiny", overrides={**SMALL, **changes}), path, reporter=reporter).run()
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    dropped = ("seconds", "_idle", "worker_deaths")
    timeless = [{k: v for k, v in row.items() if not any(word in k for word in dropped)} for row in rows]
    return (path / "model" / "model.safetensors").read_bytes(), timeless, rows


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rl.estimator": "vine", "rl.forks": 1, "rl.fork_turns": 2},
        {"rollout.max_staleness": 1, "rl.tis_cap": 2.0, "eval.every": 1},
        {"model.lora_rank": 2, "sft": {"source": "own", "episodes": 8, "min_score": 0.0}},
    ],
    ids=["plain", "forks", "ahead", "lora"],
)
def test_a_run_in_several_processes_is_the_run_in_one(tmp_path, changes):
    weights, rows, _ = train(tmp_path / "one", **changes)
    found, others, _ = train(tmp_path / "two", **changes, **{"rollout.processes": 2})
    assert others == rows
    assert found == weights


@pytest.fixture
def crews(monkeypatch):
    """The crews that are made from now on."""
    found, made = [], ProcessCrew.__init__

    def keep(crew, *args, **options):
        made(crew, *args, **options)
        found.append(crew)

    monkeypatch.setattr(ProcessCrew, "__init__", keep)
    return found


class After(Quiet):
    """Does something after each batch."""

    def __init__(self, do):
        self.do = do

    def figures(self, stage, step, values):
        if stage == "rl":
            self.do()


def test_a_run_whose_workers_are_killed_is_the_same_run(tmp_path, crews):
    weights, rows, _ = train(tmp_path / "whole", **{"rollout.processes": 2})
    kills = After(lambda: os.kill(crews[-1].pids[0], signal.SIGKILL))
    found, others, all_rows = train(tmp_path / "killed", kills, **{"rollout.processes": 2})
    assert (found, others) == (weights, rows)
    assert sum(row.get("worker_deaths", 0) for row in all_rows) >= 2


def test_a_run_that_is_interrupted_while_others_play_leaves_none_of_them(tmp_path, crews):
    pids = []

    def interrupt():
        pids.extend(crews[-1].pids)
        raise KeyboardInterrupt

    changes = {"rollout.processes": 2, "rollout.max_staleness": 2, "rl.tis_cap": 2.0}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, After(interrupt), **changes)
    assert len(pids) == 2 and not crews[-1].pids
    for pid in pids:  # waited for, so that the numbers are nobody's
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_each_process_has_its_part():
    config = make_config("tiny", overrides={"sample.concurrency": 9, "sample.max_kv_bytes": 1000})
    part = share_of(config, 4).sample
    assert (part.concurrency, part.max_kv_bytes, part.max_len) == (3, 250, config.sample.max_len)
    assert share_of(make_config("tiny"), 4).sample.max_kv_bytes is None
