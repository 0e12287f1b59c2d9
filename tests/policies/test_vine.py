"""Forking real environments: continuations begin exactly where the episode stood, tokens included."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.envs import Action, EnvironmentFault  # noqa: E402
from thinkact.envs.diagnostic.env import CreditEnv  # noqa: E402
from thinkact.policies.advantages import ESTIMATORS, CreditBatch  # noqa: E402
from thinkact.policies.config import ConfigError, make_config  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.jobs import make_jobs  # noqa: E402
from thinkact.policies.learner import Learner, encode_sampled  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.reinforce import Reinforcer  # noqa: E402
from thinkact.policies.rollout import Runner  # noqa: E402
from thinkact.policies.rundir import RunError  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402
from thinkact.policies.vine import Forked, check_forkable, fork, pivots  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WORLD = {"world": "repair", "horizon": 5}


class Digits:
    """Acts on the exchange alone: the same exchange, the same act."""

    name = "digits"

    def act(self, conversations):
        return [Action(text=f'{{"act": {sum(len(m.content) for m in c.messages) % 4}}}') for c in conversations]

    def release(self, conversation_id):
        pass


def played(policy, *, trials=2, env_kwargs=WORLD, **options):
    runner = Runner("thinkact/Credit-v0", concurrency=6, env_kwargs=env_kwargs, lockstep=True)
    snapshots = {}
    jobs = make_jobs(runner.sample_tasks(2, 0), trials=trials, seed=1, prefix="e")
    episodes = runner.run(jobs, policy, snapshots=snapshots)
    forked = fork(
        runner, policy, episodes, snapshots, **{"count": 2, "turns": None, "by": "even", "seed": 5, **options}
    )
    runner.close()
    return episodes, snapshots, forked


def test_what_acts_the_same_ends_the_same():
    episodes, snapshots, forked = played(Digits())
    assert set(snapshots) == {(e.id, t) for e in episodes for t in range(len(e.turns))}
    assert len(forked.episodes) == 2 * sum(len(e.turns) for e in episodes) and forked.errors == 0
    for twin, (index, turn) in zip(forked.episodes, forked.parents, strict=True):
        whole = episodes[index]
        assert [(t.observation, t.action, t.result, t.reward, t.state_key) for t in twin.turns] == [
            (t.observation, t.action, t.result, t.reward, t.state_key) for t in whole.turns[turn:]
        ]
        assert twin.score == whole.score and twin.terminated == whole.terminated
    assert forked.figures["fork_steps"] == sum(len(e.turns) for e in forked.episodes)
    # So a vine sees that nothing was decided by chance: every turn has its reward and the change of the value.
    batch = CreditBatch.of([*episodes, *forked.episodes], [None] * len(episodes) + forked.parents)
    for values in ESTIMATORS["vine"](batch)[: len(episodes)]:
        np.testing.assert_allclose(values, 0.0, atol=1e-12)


def test_a_continuation_begins_with_the_very_tokens():
    texts = ['{"act": 1} {"act": 0} {"submit": ""} You see a fork, the road'] * 4
    policy = HFPolicy(
        build_tiny(texts, vocab_size=400, hidden=32, layers=2, heads=2, seed=0),
        temperature=0.0,
        max_new_tokens=6,
        max_slots=6,
        dtype=torch.float32,
    )
    episodes, _, forked = played(policy, trials=1, count=1)
    later = 0
    for twin, (index, turn) in zip(forked.episodes, forked.parents, strict=True):
        before = episodes[index].turns[:turn]
        fed = [i for t in before for i in (*t.prompt_ids, *t.token_ids)] + episodes[index].turns[turn].prompt_ids
        assert twin.turns[0].prompt_ids == fed
        assert [t.token_ids for t in twin.turns] == [t.token_ids for t in episodes[index].turns[turn:]]
        later += turn > 0
    assert later and not policy._live and not policy._resumed


def test_pivots():
    turns = [
        Turn(observation="", action="", result="", reward=0.0, logprobs=[-doubt]) for doubt in (0.1, 2.0, 0.3, 3.0, 0.2)
    ]
    episode = Episode(
        **dict(id="e", env_id="x", family="f", env_version="0", task_id="t", split="train", seed=0, policy="p"),
        turns=turns,
    )
    assert pivots(episode, None, "even") == pivots(episode, 9, "entropy") == [0, 1, 2, 3, 4]
    assert pivots(episode, 2, "even") == [0, 2]
    assert pivots(episode, 2, "entropy") == [1, 3]


def test_an_environment_that_cannot_fork_is_refused_with_the_reason(monkeypatch, tmp_path):
    def broken(self, snapshot):
        raise EnvironmentFault("the tool keeps no history")

    monkeypatch.setattr(CreditEnv, "restore", broken)
    with Runner("thinkact/Credit-v0") as runner, pytest.raises(RunError, match=r"no history\); choose .*state_td"):
        check_forkable(runner)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"rl.forks": 2}, "forks is used with estimators that fork"),
        ({"rl.estimator": "vine", "rl.fork_at": "entropy"}, "fork_at is used with fork_turns"),
        ({"rl.overlong_coef": 0.5}, "go together"),
        ({"rl.overlong_coef": 0.5, "rl.overlong_cache": 10_000}, "below sample.max_len"),
        ({"rl.reference_reset": 3}, "kl_coef > 0"),
        ({"rl.loss": "pg", "rl.clip_low": 0.1}, "no clip_low"),
    ],
)
def test_knobs_without_use_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_config(overrides=overrides)


SMALL = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env.kwargs": {"world": "lucky", "horizon": 3},
    "sample": {"concurrency": 16, "max_new_tokens": 8, "max_len": 256},
    "eval.tasks": 2,
    "sft": {"episodes": 24, "epochs": 1},
    "checkpoint_seconds": 0,
    "threads": 1,
}
FORKS = {
    **{"steps": 3, "tasks_per_step": 4, "group_size": 2, "filter": False, "max_rows": None, "updates": 1},
    **{"estimator": "vine_td", "fork_turns": 2, "kl_coef": 0.05, "kl_estimator": "k3", "reference_reset": 2},
    **{"tis_cap": 2.0, "entropy_coef": 0.01},
}


class StopAfter(Quiet):
    """Presses Ctrl-C when a step of reinforcement has been logged."""

    def __init__(self, step):
        self.step = step

    def figures(self, stage, step, values):
        if (stage, step) == ("rl", self.step):
            raise KeyboardInterrupt


def test_a_run_that_forks_is_repeated_bit_for_bit(tmp_path):
    config = make_config("tiny", overrides={**SMALL, "rl": FORKS})
    Trainer(config, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(config, tmp_path / "cut", reporter=StopAfter(2)).run()
    Trainer(config, tmp_path / "cut", resume=True).run()
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["stage"] == "rl"]
    assert len(steps) == 3
    for row in steps:
        assert row["fork_steps"] >= row["fork_episodes"] > 0 and row["fork_tokens"] > row["fork_sampled_tokens"] > 0
    # The policy has left the reference after a step, and is the reference again after the reset.
    assert [abs(row["kl_reference"]) < 1e-6 for row in steps] == [True, False, True]
    assert steps[0]["importance"] == pytest.approx(1.0, abs=1e-3)


def learner_and_episodes():
    model = build_tiny(["some text"], vocab_size=300, hidden=32, layers=1, heads=2, seed=1).model
    learner = Learner(model, dtype=torch.float32, lr=1e-2)
    rng = np.random.default_rng(0)

    def episode(name, rewards):
        turns = [
            Turn(
                **dict(observation="q", action="a", result="r", reward=reward, state_key=f"{name}{at}"),
                prompt_ids=rng.integers(300, size=4).tolist(),
                token_ids=rng.integers(300, size=3).tolist(),
                logprobs=[-5.5] * 3,
            )
            for at, reward in enumerate(rewards)
        ]
        identity = dict(
            id=name, env_id="x", family="f", env_version="0", task_id="t", split="train", seed=0, policy="p"
        )
        return Episode(**identity, turns=turns, terminated=True, score=sum(rewards), success=False)

    return learner, episode


def test_a_tree_trains_its_branches_once_and_not_their_trunk():
    learner, episode = learner_and_episodes()
    config = make_config(
        overrides={"rl.estimator": "tree", "rl.max_rows": None, "rl.updates": 1, "rl.warmup_updates": 0}
    )
    whole = [episode("a", [0.0, 1.0]), episode("b", [0.4])]
    branch = episode("c", [0.0])
    seen = []
    learner.rl_step = lambda rows, *args, **options: seen.extend(rows) or {"loss": 0.0}
    Reinforcer(config, learner, lambda step: 0).learn(whole, 0, Forked([branch], [(0, 1)], 0))
    assert sorted(len(row.ids) for row in seen) == [7, 14, 14]
    branched = next(row for row in seen if len(row.ids) == 14 and row.sampled.sum() == 3)
    trunk = [*whole[0].turns[0].prompt_ids, *whole[0].turns[0].token_ids]
    assert branched.ids[:7].tolist() == trunk and not branched.sampled[:7].any()
    assert branched.advantage[branched.sampled] == pytest.approx([-0.5] * 3)  # V(second turn) is the mean of 1 and 0


def test_penalties_are_taken_from_the_rewards_before_credit():
    learner, episode = learner_and_episodes()
    changes = {"kl_coef": 0.5, "kl_estimator": "k1", "overlong_coef": 0.2, "overlong_cache": 60, "estimator": "rloo"}
    config = make_config(overrides={"rl": {**changes, "max_rows": None}, "sample.max_len": 64})
    reinforcer = Reinforcer(config, learner, lambda step: 0)
    episodes = [episode("a", [0.0, 1.0]), episode("b", [0.4])]
    figures = reinforcer.learn(episodes, 0)
    plain = [encode_sampled(e, np.zeros(len(e.turns))) for e in episodes]
    with_reference = reinforcer.reference.annotate(learner, plain)
    k1 = [-5.5 * row.sampled.sum() - row.reference[row.sampled].sum() for row in with_reference]
    # 14 and 7 tokens; the ramp of 60 begins at 4 of 64.
    returns = [1.0 - 0.5 * k1[0] - 0.2 * 10 / 60, 0.4 - 0.5 * k1[1] - 0.2 * 3 / 60]
    advantages = [[turn.advantage for turn in e.turns] for e in episodes]
    assert advantages[0] == pytest.approx([returns[0] - returns[1]] * 2, abs=1e-4)
    assert advantages[1] == pytest.approx([returns[1] - returns[0]], abs=1e-4)
    assert figures["kl_reference"] == pytest.approx(sum(k1) / 9, abs=1e-4)
    assert figures["overlong_penalty"] == pytest.approx(-0.2 * 13 / 60 / 2)
    assert sum(e.rewards[-1] for e in episodes) == 1.4  # the record stays what the environment paid
