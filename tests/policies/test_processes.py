"""Episodes in several processes: what one process would play, whoever is killed, and nobody left behind."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thinkact.policies import rollout
from thinkact.policies.crew import WorkersLost
from thinkact.policies.crew_processes import EPISODES_PER_CORE, automatic, cores
from thinkact.policies.jobs import Job, make_jobs
from thinkact.policies.process_runner import ProcessRunner
from thinkact.policies.scripted import ExpertPolicy, RandomPolicy

ENV_ID, KNOBS = "thinkact/Credit-v0", {"world": "key-door", "horizon": 4}
#: Policies that other processes have to import.
MODULE = """
import os, time
from pathlib import Path
from thinkact.policies.scripted import ExpertPolicy

class Dies(ExpertPolicy):
    '''Kills its process in the middle of an episode, so many times.'''

    def __init__(self, folder, times):
        super().__init__()
        self.folder, self.times = Path(folder), times

    def act(self, conversations):
        if any(len(talk.messages) == 3 for talk in conversations):
            for at in range(self.times):
                try:
                    (self.folder / f"death{at}").touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), 9)
        return super().act(conversations)

class Broken(ExpertPolicy):
    def act(self, conversations):
        if any(talk.seed == self.bad for talk in conversations):
            raise ZeroDivisionError("of the policy")
        return super().act(conversations)

class Slow(ExpertPolicy):
    def act(self, conversations):
        time.sleep(0.2)
        return super().act(conversations)
"""


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A module that worker processes can import."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "away_policies.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.delitem(sys.modules, "away_policies", raising=False)
    import away_policies

    return away_policies


def said(episodes):
    return [(e.id, e.task_id, e.seed, e.score, e.rewards, [t.action for t in e.turns]) for e in episodes]


def test_several_processes_play_what_one_plays():
    for policy in (ExpertPolicy(), RandomPolicy()):
        told = []
        options = {"episodes": 30, "trials": 3, "seed": 5, "concurrency": 6, "env_kwargs": KNOBS}
        one = rollout(ENV_ID, policy, **options)
        two = rollout(ENV_ID, policy, processes=2, on_episode=lambda e, told=told: told.append(e.id), **options)
        assert said(two) == said(one) and sorted(told) == sorted(e.id for e in one)


def test_groups_are_not_parted():
    with ProcessRunner(ENV_ID, ExpertPolicy(), processes=3, concurrency=3, env_kwargs=KNOBS) as runner:
        jobs = [Job(f"{task}-{trial}", f"task{task}", 0) for task in range(29) for trial in range(1 + task % 5)]
        shards = runner._shards(jobs)
    assert [job for shard in shards for job in shard] == jobs
    homes = [{at for at, shard in enumerate(shards) for job in shard if job.task_id == f"task{t}"} for t in range(29)]
    assert all(len(home) == 1 for home in homes)
    assert len(shards) >= 9 and max(map(len, shards)) <= 2 * min(map(len, shards[:-1]))


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_doubled(away, tmp_path, caplog):
    options = {"concurrency": 4, "env_kwargs": KNOBS, "lockstep": True}
    with ProcessRunner(ENV_ID, ExpertPolicy(), processes=2, **options) as runner:
        jobs = make_jobs(runner.sample_tasks(6, 0), trials=2, seed=0, prefix="x")
        wanted = runner.run(jobs)
    told = []
    with (
        caplog.at_level(logging.WARNING, "thinkact.policies.crew"),
        ProcessRunner(ENV_ID, away.Dies(tmp_path, 2), processes=2, **options) as runner,
    ):
        found = runner.run(jobs, on_episode=lambda episode: told.append(episode.id))
    assert said(found) == said(wanted) and sorted(told) == sorted(job.id for job in jobs)
    assert sum("killed by SIGKILL" in line for line in caplog.messages) == 2


def test_a_shard_that_kills_every_worker_ends_the_batch_and_the_crew_goes_on(away, tmp_path):
    options = {"processes": 2, "concurrency": 2, "env_kwargs": KNOBS}
    with ProcessRunner(ENV_ID, away.Dies(tmp_path, 5), **options) as runner:
        jobs = make_jobs(runner.sample_tasks(2, 0), seed=0, prefix="x")
        # Two shards, of which one dies thrice before all five deaths are spent.
        with pytest.raises(WorkersLost, match=r"killed by SIGKILL\. Is there enough memory"):
            runner.run(jobs)
        for at in range(5):
            (tmp_path / f"death{at}").touch()
        assert [e.score for e in runner.run(jobs)] == [1.0, 1.0]


def test_an_error_of_a_worker_is_raised_here_and_the_crew_goes_on(away):
    policy = away.Broken()
    with ProcessRunner(ENV_ID, policy, processes=1, env_kwargs=KNOBS) as runner:
        jobs = make_jobs(runner.sample_tasks(3, 0), seed=0, prefix="x")
    policy.bad = jobs[1].seed
    with ProcessRunner(ENV_ID, policy, processes=1, env_kwargs=KNOBS) as runner:
        with pytest.raises(ZeroDivisionError, match="of the policy") as caught:
            runner.run(jobs)
        assert any("away_policies.py" in note for note in caught.value.__notes__)
        assert [e.id for e in runner.run(jobs[2:])] == [jobs[2].id]


def test_what_cannot_be_copied_is_refused():
    policy = ExpertPolicy()
    policy.line = open(os.devnull)  # noqa: SIM115
    with policy.line, pytest.raises(TypeError, match="expert: play it in one process"):
        rollout(ENV_ID, policy, episodes=2, processes=2, env_kwargs=KNOBS)
    with pytest.raises(ValueError, match="at least 1"):
        rollout(ENV_ID, ExpertPolicy(), episodes=2, processes=0)


PARENT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from away_policies import Slow
from thinkact.policies.jobs import make_jobs
from thinkact.policies.process_runner import ProcessRunner

if __name__ == "__main__":
    with ProcessRunner("thinkact/Credit-v0", Slow(), processes=2, concurrency=2) as runner:
        jobs = make_jobs(runner.sample_tasks(40, 0), trials=50, seed=0, prefix="x")
        runner.run(jobs, on_episode=lambda episode: print(*runner.crew.pids, flush=True))
"""


def gone(pid):
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_no_worker_outlives_the_process_that_made_it(away, tmp_path, how):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    # Ctrl-C is for all processes of a terminal. A job in the background may have been born with it ignored.
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "lib"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and not any(map(gone, workers))
    if how == "kill -9":
        parent.kill()
    else:
        os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=60)
    assert parent.returncode == (-signal.SIGKILL if how == "kill -9" else -signal.SIGINT), errors
    end = time.monotonic() + 60
    while not all(map(gone, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)
    # Only the parent speaks of it.
    assert errors.count("Traceback") == (0 if how == "kill -9" else 1)


def test_the_command_line_plays_in_several_processes(capsys):
    from thinkact.cli import main

    found = []
    for processes in ("1", "2"):
        with pytest.raises(SystemExit) as ended:
            main(["rollout", ENV_ID, "--episodes", "12", "--processes", processes, "--json", "--policy", "random"])
        assert not ended.value.code
        found.append({k: v for k, v in json.loads(capsys.readouterr().out).items() if k != "seconds"})
    assert found[0] == found[1] and found[0]["episodes"] == 12
    with pytest.raises(SystemExit):
        main(["rollout", ENV_ID, "--processes", "none"])
    assert "a number from 1 on, or auto" in capsys.readouterr().err


def test_auto_leaves_a_model_one_process_where_each_would_have_few_episodes(monkeypatch):
    torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")
    enough = EPISODES_PER_CORE * cores()
    for gpu, counts in ((False, [1, cores(), cores()]), (True, [1, 1, cores()])):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert [automatic(enough - 1), automatic(enough), automatic()] == counts
