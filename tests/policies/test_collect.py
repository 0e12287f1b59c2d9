"""Batches of reinforcement: played now, ahead, in shards and by arms; what imitation is made of."""

import json
import signal
import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.episode import read_episodes, write_episodes  # noqa: E402
from thinkact.policies.rundir import RunError  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402
from thinkact.policies.turns import Turns  # noqa: E402

SMALL = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env": {"id": "thinkact/Credit-v0", "kwargs": {"world": "key-door", "horizon": 4}},
    "sample": {"concurrency": 8, "max_new_tokens": 12, "max_len": 384},
    "eval": {"tasks": 2},
    "sft": {"episodes": 0},
    "rl": {"steps": 3, "tasks_per_step": 2, "group_size": 2, "filter": False, "entropy_coef": 0.01, "updates": 2},
    "checkpoint_seconds": 60,
    "threads": 1,
}
ARMS = [
    {"name": "door", "kwargs": {"horizon": 4}},
    {"name": "maze", "id": "thinkact/Credit-v0", "kwargs": {"world": "maze", "horizon": 4}},
]


@pytest.fixture(autouse=True)
def keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(path, reporter=None, **changes):
    """Train; return the weights' bytes and the rows of figures of reinforcement, without times."""
    Trainer(make_config("tiny", overrides={**SMALL, **changes}), path, reporter=reporter).run()
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    timeless = [{k: v for k, v in row.items() if "seconds" not in k and "_idle" not in k} for row in rows]
    return (path / "model" / "model.safetensors").read_bytes(), [row for row in timeless if row["stage"] == "rl"]


def test_ahead_by_nothing_is_the_synchronous_run_and_ahead_by_one_is_another(tmp_path):
    now = run(tmp_path / "now", **{"rl.tis_cap": 2.0})
    nothing = run(tmp_path / "nothing", **{"rl.tis_cap": 2.0, "rollout.max_staleness": 0})
    assert [row.pop("staleness") for row in nothing[1]] == [0, 0, 0]
    assert nothing == now
    weights, rows = run(tmp_path / "one", **{"rl.tis_cap": 2.0, "rollout.max_staleness": 1})
    assert weights != now[0]
    # The first batch learned from is the same; from then on the weights that play are one batch old.
    assert [row["staleness"] for row in rows] == [0, 1, 1]
    assert [row["score"] for row in rows][:1] == [row["score"] for row in now[1]][:1]
    # Old weights are seen as such by what corrects for them; the sampler's own arithmetic is almost the trainer's.
    assert max(row["mismatch"] for row in now[1]) < 1e-9 < min(row["mismatch"] for row in rows[1:])
    assert all(abs(row["importance"] - 1) > 1e-7 for row in rows[1:])


def test_what_older_weights_play_is_what_they_would_have_played(tmp_path):
    run(tmp_path / "now", **{"rl.tis_cap": 2.0, "rl.lr": 1e-12})
    run(tmp_path / "two", **{"rl.tis_cap": 2.0, "rl.lr": 1e-12, "rollout.max_staleness": 2})
    for step in range(3):
        one, other = (
            [e.model_dump(include={"id", "task_id", "score", "seed"}) | {"said": [t.token_ids for t in e.turns]}
             for e in read_episodes(tmp_path / name / "episodes" / "rl" / f"{step:05d}.jsonl")]
            for name in ("now", "two")
        )  # fmt: skip
        assert one == other


class Stop(Quiet):
    """Presses Ctrl-C when the first batch has been learned from: the next one is being played."""

    def figures(self, stage, step, values):
        if stage == "rl":
            raise KeyboardInterrupt


def test_a_run_that_is_interrupted_leaves_no_sampler_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Stop(), **{"rl.tis_cap": 2.0, "rollout.max_staleness": 2})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sampler")]


def queued(turns, count):
    """Wait until so many have the turn or ask for it."""
    end = time.monotonic() + 60
    while len(turns._queue) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_turns_are_taken_in_the_order_of_asking():
    turns, order = Turns(), []

    def ask(number):
        with turns:
            order.append(number)

    threads = []
    with turns:
        for number in range(1, 5):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            queued(turns, number + 1)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError), turns:
        _ = 1 / 0
    ask(5)  # what failed has handed it on
    assert order[-1] == 5


@pytest.fixture
def ctrl_c():
    """A function that interrupts the main thread, even in a job that was born with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.get_ident()
    yield lambda: signal.pthread_kill(main, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_who_is_interrupted_while_waiting_does_not_keep_others_waiting(ctrl_c):
    turns, go, got = Turns(), threading.Event(), []

    def hold():
        with turns:
            go.set()
            queued(turns, 2)  # this test's thread asks as well
            ctrl_c()
            gone.wait(60)

    def ask():
        with turns:
            got.append(True)

    gone, holder, other = threading.Event(), threading.Thread(target=hold), threading.Thread(target=ask)
    holder.start()
    go.wait(60)
    with pytest.raises(KeyboardInterrupt), turns:
        pass
    other.start()
    gone.set()
    holder.join()
    other.join(60)
    assert got == [True]


def test_several_envs_in_one_run_have_their_own_figures_groups_and_tools(tmp_path):
    _, rows = run(
        tmp_path, **{"curriculum.arms": ARMS, "rl.tasks_per_step": 3, "eval.tasks": 5, "rl.estimator": "vine"}
    )
    for row in rows:
        assert row["attempts/door"] + row["attempts/maze"] == row["episodes"] == 6
        weighted = sum(row[f"attempts/{name}"] * row[f"score/{name}"] for name in ("door", "maze"))
        assert weighted / 6 == pytest.approx(row["score"])
    # Equal shares: three tasks a batch, half of them each.
    assert [(row["tasks/door"], row["tasks/maze"]) for row in rows] == [(2, 1), (1, 2), (2, 1)]
    for file in (tmp_path / "episodes" / "rl").glob("*.jsonl"):
        groups = {}
        for episode in read_episodes(file):
            world = episode.task_id.split("/")[1]
            assert {"door": "key-door", "maze": "maze"}[episode.id.split(".")[1].split("-")[0]] == world
            groups.setdefault(episode.task_id, []).append(episode)
        assert all(len(members) == 2 for members in groups.values())
    report = (tmp_path / "report.html").read_text()
    assert "What the batches were made of" in report and ">door<" in report and ">maze<" in report
    held_out = list(read_episodes(tmp_path / "episodes" / "eval-rl.jsonl"))
    assert len(held_out) == 5 and {e.split for e in held_out} == {"eval"}


def test_held_out_tasks_are_played_on_schedule_and_change_nothing(tmp_path):
    whole = run(tmp_path / "whole")
    for name, changes in (("now", {}), ("ahead", {"rollout.max_staleness": 0})):
        weights, rows = run(tmp_path / name, **{"eval.every": 1, **changes})
        assert weights == whole[0] and [row["score"] for row in rows] == [row["score"] for row in whole[1]]
        found = sorted(file.stem for file in (tmp_path / name / "episodes").glob("eval-rl*"))
        assert found == ["eval-rl", "eval-rl-00001", "eval-rl-00002"]


def test_one_arm_is_the_run_without_arms(tmp_path):
    alone = run(tmp_path / "alone")
    arm = run(tmp_path / "arm", **{"curriculum.arms": [{"name": "only"}]})
    assert arm == alone


def test_shards_do_not_change_what_is_played(tmp_path):
    # Sampling is by episode; only rounding may differ with who shares a batch.
    run(tmp_path / "whole", **{"rl.steps": 1})
    run(tmp_path / "cut", **{"rl.steps": 1, "rollout.shard_tasks": 1})
    said = [
        [
            [turn.token_ids for turn in e.turns]
            for e in read_episodes(tmp_path / name / "episodes" / "rl" / "00000.jsonl")
        ]
        for name in ("whole", "cut")
    ]
    assert said[0] == said[1] and len(said[0]) == 4


# Imitation.


def sft(**changes):
    return {"sft": {"episodes": 8, "epochs": 1, "batch_episodes": 4, **changes}, "rl.steps": 0}


def test_own_attempts_that_were_good_are_imitated_token_by_token(tmp_path):
    with pytest.raises(RunError, match=r"reached a score of 1\.0: lower sft\.min_score"):
        run(tmp_path / "strict", **sft(source="own"))
    run(tmp_path / "run", **sft(source="own", min_score=0.0, attempts=4, keep=2, episodes=12, batch_episodes=6))
    own = list(read_episodes(tmp_path / "run" / "episodes" / "own-train.jsonl"))
    assert len(own) == 12 and len({e.task_id for e in own}) == 3 and {e.split for e in own} == {"train"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(row["attempts"], row["imitated"]) for row in rows if row["stage"] == "lessons"] == [(12, 6)]
    # The loss of the one step is over the very tokens that were sampled, of two different attempts per task.
    chosen = {}
    for episode in own:
        chosen.setdefault(episode.task_id, {}).setdefault(tuple(t.action for t in episode.turns), episode)
    imitated = [e for attempts in chosen.values() for e in list(attempts.values())[:2]]
    logprobs = [p for e in imitated for turn in e.turns for p in turn.logprobs]
    (loss,) = [row["loss"] for row in rows if row["stage"] == "sft"]
    assert loss == pytest.approx(-sum(logprobs) / len(logprobs), rel=1e-5)


def teacher(path, count=8, **changes):
    """Write expert episodes as another agent's."""
    Trainer(make_config("tiny", overrides={**SMALL, **sft(episodes=count)}), path).run()
    episodes = [
        e.model_copy(update={"policy": "teacher", **changes})
        for e in read_episodes(path / "episodes" / "expert-train.jsonl")
    ]
    file = path / "teacher.jsonl"
    write_episodes(file, episodes)
    return file


def test_a_teachers_episodes_teach_what_the_expert_would(tmp_path):
    file = teacher(tmp_path / "expert", 64)
    expert = (tmp_path / "expert" / "model" / "model.safetensors").read_bytes()
    weights, _ = run(tmp_path / "distilled", **sft(source=str(file), episodes=64))
    assert weights == expert
    # The run keeps what it took: the file may go.
    assert len(list(read_episodes(tmp_path / "distilled" / "episodes" / "teacher-train.jsonl"))) == 64


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"split": "eval"}, "split 'eval', which is for measuring"),
        ({"env_id": "thinkact/FactbookQA-v0"}, "this run is about thinkact/Credit-v0"),
        ({"score": 0.5}, "None of 8 episodes"),
        ({"error": "EnvironmentFault: x", "score": None, "success": None}, "None of 8 episodes"),
    ],
)
def test_what_must_not_be_learned_from_is_refused(tmp_path, changes, message):
    folder = tmp_path / "teacher"
    folder.mkdir()
    file = teacher(tmp_path / "expert", **changes).rename(folder / "episodes.jsonl")
    with pytest.raises(RunError, match=message):
        run(tmp_path / "run", **sft(source=str(folder if "split" in changes else file)))


def test_a_teacher_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RunError, match=r"nowhere\.jsonl is neither"):
        run(tmp_path / "run", **sft(source=str(tmp_path / "nowhere.jsonl")))
    (tmp_path / "bad.jsonl").write_text("{}\n\n")
    with pytest.raises(RunError, match=r"bad\.jsonl, line 1"):
        run(tmp_path / "other", **sft(source=str(tmp_path / "bad.jsonl")))
