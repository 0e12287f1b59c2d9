"""The loop: order, faults, overlap, interruption. On real environments, one of them made for the purpose."""

import json
import math
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import gymnasium as gym
import pytest
from gymnasium.envs.registration import register, registry
from pydantic import BaseModel

from thinkact.envs import Action, Check, EnvironmentFault, Limits, Task, ToolEnv
from thinkact.policies.episode import Episode, Turn, read_episodes, write_episodes
from thinkact.policies.rollout import MAX_RETRIES, Job, Runner, make_jobs, rollout
from thinkact.policies.scripted import ExpertPolicy, NullPolicy, RandomPolicy
from thinkact.tools import ToolResult

ENV_ID = "thinkact/RolloutProbe-v0"
OPEN: list["Probe"] = []  # environments made and not closed
RESETS: Counter[str] = Counter()
ASKED = threading.Event()  # the policy was asked a second time
FREED = threading.Event()  # all others have ended


class Argument(BaseModel):
    text: str = ""


class ProbeTool:
    description = "Do what the test wants."
    Arguments = Argument

    def __init__(self, env, name, terminal):
        self.env, self.name, self.terminal = env, name, terminal
        self.done = 0

    def run(self, args, ctx):
        if self.name == "work":
            self.done += 1
        self.env.misbehave(args.text)
        return ToolResult(call_id=ctx.call_id, content=f"{self.name} {args.text} {self.done}")

    def snapshot(self):
        return self.done

    def restore(self, state):
        self.done = state

    def close(self):
        self.done = 0


class Probe(ToolEnv[str]):
    """Each ``work`` earns a quarter, at most four; ``submit`` ends. Task ids say what goes wrong."""

    family = "RolloutProbe"

    def __init__(self, **options):
        super().__init__(**options)
        OPEN.append(self)

    def _make_tools(self):
        self.worker = ProbeTool(self, "work", False)
        return [self.worker, ProbeTool(self, "submit", True)]

    def _draw_task_id(self, rng):
        return f"plain-{rng.integers(10**6)}"

    def _build_task(self, task_id):
        limits = Limits(max_turns=6, max_invalid=3)
        return Task(id=task_id, family=self.family, split=self.split, seed=0, prompt=task_id, limits=limits), "hidden"

    def _begin(self, task, hidden):
        RESETS[task.id] += 1
        self.worker.done = 0
        if task.id.startswith("dead"):
            raise OSError("no more of that")

    def _checks(self, task, hidden):
        return [Check(name=f"{i}", weight=0.25, passed=self.worker.done > i) for i in range(4)]

    def _solution(self, task, hidden):
        for _ in range(4):
            yield '{"work": ""}'
        yield '{"submit": ""}'

    def misbehave(self, text):
        task = self.task.id
        if text == "next":
            assert ASKED.wait(30), "the model was not asked for anybody while this tool ran"
        if task.startswith("slow"):
            time.sleep(0.1)
        if task.startswith("last"):
            assert FREED.wait(30), "the others did not end while this tool ran"
        if text == "fault" or (task.startswith("flaky") and RESETS[task] <= int(task.split("-")[1])):
            raise EnvironmentFault("the sandbox is gone")

    def step(self, action):
        if self.task.id.startswith("bug") and self._episode.turn == 1:
            raise ZeroDivisionError("a bug of ours")
        observation, reward, terminated, truncated, info = super().step(action)
        if self.task.id.startswith("nan"):
            reward = math.nan
        return observation, reward, terminated, truncated, info

    def close(self):
        super().close()
        if self in OPEN:
            OPEN.remove(self)
        if self._task is not None and self.task.id.startswith("stuck") and RESETS["stuck"] == 1:
            raise OSError("will not close")


@pytest.fixture(autouse=True)
def probe():
    if ENV_ID not in registry:
        register(ENV_ID, entry_point=Probe, disable_env_checker=True, order_enforce=False)
    OPEN.clear()
    RESETS.clear()
    before = set(threading.enumerate())
    yield
    assert OPEN == []
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(30)
    assert not [thread.name for thread in started if thread.is_alive()]


class Scripted:
    """Works ``n`` times and submits; keeps what it was asked."""

    name = "scripted"

    def __init__(self, n=2, stop="stop", cost=0.0):
        self.n, self.stop, self.cost = n, stop, cost
        self.batches, self.held, self.released = [], set(), []

    def act(self, conversations):
        self.batches.append([c.id for c in conversations])
        self.held |= {c.id for c in conversations}
        actions = []
        for c in conversations:
            turn = len(c.messages) // 2
            text = '{"work": ""}' if turn < self.n else '{"submit": ""}'
            stop = self.stop if turn == 1 else "stop"
            actions.append(Action(text=text, token_ids=[1, turn], logprobs=[-0.1, -0.2], stop=stop, cost=self.cost))
        return actions

    def release(self, conversation_id):
        self.released.append(conversation_id)
        self.held.discard(conversation_id)


def play(task_ids, policy=None, *, concurrency=4, lockstep=False, on_episode=None, **kwargs):
    with Runner(ENV_ID, concurrency=concurrency, lockstep=lockstep, env_kwargs=kwargs) as runner:
        jobs = make_jobs(task_ids, seed=0, prefix="job")
        return runner.run(jobs, policy or Scripted(), on_episode=on_episode)


def essence(episodes):
    return [e.model_dump(exclude={"usage"}) for e in episodes]


def test_episodes_come_in_the_jobs_order_and_rewards_sum_to_the_score():
    seen = []
    tasks = ["slow-a", *(f"plain-{i}" for i in range(7)), "slow-b"]
    policy = Scripted()
    episodes = play(tasks, policy, on_episode=lambda e: seen.append(e.id))
    assert [e.task_id for e in episodes] == tasks
    assert sorted(seen) == sorted(e.id for e in episodes) and len(set(seen)) == len(tasks)
    for episode in episodes:
        assert (episode.score, episode.success, episode.terminated) == (0.5, False, True)
        assert episode.rewards == [0.25, 0.25, 0.0]
        assert episode.usage.sampled_tokens == 6
        assert [t.observation for t in episode.turns] == [episode.task_id, "work  1", "work  2"]
        assert [t.result for t in episode.turns][:2] == [t.observation for t in episode.turns][1:]
    assert policy.held == set()


@pytest.mark.parametrize("policy", [NullPolicy, RandomPolicy, ExpertPolicy])
def test_in_lockstep_nothing_depends_on_how_many_play_at_once(policy):
    tasks = [f"plain-{i}" for i in range(9)]
    runs = [play(tasks, policy(), concurrency=n, lockstep=True) for n in (1, 4, 32)]
    assert essence(runs[0]) == essence(runs[1]) == essence(runs[2])
    if policy is ExpertPolicy:
        assert all(e.score == 1.0 and e.success for e in runs[0])


def test_in_lockstep_batches_do_not_depend_on_timing():
    policies = [Scripted(), Scripted()]
    play(["plain-0", "plain-1", "plain-2", "plain-3", "plain-4"], policies[0], concurrency=3, lockstep=True)
    # The same jobs, one of them slow.
    play(["plain-0", "slow-1", "plain-2", "plain-3", "plain-4"], policies[1], concurrency=3, lockstep=True)
    assert policies[0].batches == policies[1].batches


def test_a_straggler_holds_nobody_up():
    """Of two slots one is taken all the time, by a tool that waits until the other has played all the rest."""
    ends = []

    def ended(episode):
        ends.append(episode.task_id)
        if len(ends) == 12:
            FREED.set()

    FREED.clear()
    play(["last", *(f"plain-{i}" for i in range(12))], concurrency=2, on_episode=ended)
    assert len(ends) == 13 and ends[-1] == "last"


def test_two_waves_take_turns():
    """While the tools of one half run, the model writes for the other: here the tools wait for exactly that."""

    class Waves(Scripted):
        def act(self, conversations):
            actions = super().act(conversations)
            if len(self.batches) == 1:
                for action in actions:
                    action.text = '{"work": "next"}'
            else:
                ASKED.set()
            return actions

    ASKED.clear()
    policy = Waves()
    tasks = [f"plain-{i}" for i in range(11)]
    with Runner(ENV_ID, concurrency=5, waves=2) as runner:
        waved = runner.run(make_jobs(tasks, seed=0, prefix="job"), policy)
    assert max(map(len, policy.batches)) <= 3 and not policy.held
    assert [(e.task_id, e.score, len(e.turns)) for e in waved] == [(task, 0.5, 3) for task in tasks]


@pytest.mark.parametrize("faults", [1, MAX_RETRIES])
def test_a_fault_is_retried_on_a_fresh_environment(faults):
    policy = Scripted(cost=1.0)
    made = []
    episodes = play([f"flaky-{faults}", "plain-0"], policy, on_episode=made.append)
    flaky, plain = episodes
    assert flaky.error is None and flaky.score == 0.5 and flaky.usage.attempts == faults + 1
    assert plain.usage.attempts == 1
    assert [e.id for e in made].count(flaky.id) == 1
    # What the lost attempts cost is not forgotten; their turns are.
    assert flaky.usage.cost == faults + 3 and len(flaky.turns) == 3
    assert policy.held == set()


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("task", [f"flaky-{MAX_RETRIES + 1}", "dead", "nan"])
def test_a_fault_that_stays_is_an_error_and_no_zero(task, lockstep):
    episodes = play(["plain-0", task, "plain-1"], lockstep=lockstep)
    assert [e.score for e in episodes] == [0.5, None, 0.5]
    lost = episodes[1]
    assert lost.success is None and "EnvironmentFault" in lost.error and not lost.terminated
    assert lost.usage.attempts == MAX_RETRIES + 1 == RESETS[task]


def test_an_environment_that_will_not_close_stops_nobody(caplog):
    class Breaks(Scripted):
        def act(self, conversations):
            actions = super().act(conversations)
            for action, c in zip(actions, conversations, strict=True):
                if c.task_id == "stuck" and "#1" in c.id:
                    action.text = '{"work": "fault"}'
            return actions

    episodes = play(["stuck", "plain-0"], Breaks())
    assert [e.error for e in episodes] == [None, None]
    assert "did not close" in caplog.text


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_bug_is_raised_and_nothing_leaks(lockstep):
    policy = Scripted()
    with Runner(ENV_ID, concurrency=4, lockstep=lockstep) as runner:
        with pytest.raises(ZeroDivisionError):
            runner.run(make_jobs(["plain-0", "bug", "slow-0", "plain-1"], seed=0, prefix="x"), policy)
        assert policy.held == set()
        # The runner is as good as new.
        assert [e.score for e in runner.run(make_jobs(["plain-5"] * 3, seed=0, prefix="y"), policy)] == [0.5] * 3


def test_a_policy_that_answers_too_little_is_a_bug_too():
    class Lazy(Scripted):
        def act(self, conversations):
            return super().act(conversations)[:-1]

    policy = Lazy()
    with Runner(ENV_ID, concurrency=3) as runner:
        with pytest.raises(ValueError):
            runner.run(make_jobs(["plain-0", "plain-1", "plain-2"], seed=0, prefix="x"), policy)
        episodes = runner.run(make_jobs([f"plain-{i}" for i in range(6)], seed=0, prefix="y"), Scripted())
        assert [e.score for e in episodes] == [0.5] * 6


@pytest.mark.parametrize("reward", ["step", "outcome"])
def test_a_full_context_truncates_with_a_score(reward):
    (episode,) = play(["plain-0"], Scripted(stop="context"), reward=reward)
    assert episode.truncated and not episode.terminated and episode.error is None
    assert len(episode.turns) == 2 and episode.turns[-1].stop == "context"
    assert episode.score == 0.5 == sum(episode.rewards) and episode.success is False


def test_a_subclass_sees_every_reset_step_and_fault_and_says_what_ends_an_episode():
    done, told, closed = [], [], []

    class Watching(Runner):
        cuts = Runner.cuts | {"enough"}

        def perform(self, what, live, work):
            done.append((what, live.job.task_id))
            work()

        def faulted(self, live, fault):
            told.append((live.job.task_id, live.attempt, str(fault)))

        def shut(self, env):
            closed.append(env)
            super().shut(env)

    with Watching(ENV_ID, concurrency=2) as runner:
        episodes = runner.run(make_jobs(["plain-0", "flaky-1"], seed=0, prefix="job"), Scripted(stop="enough"))
    assert [(e.score, e.truncated, e.turns[-1].stop) for e in episodes] == [(0.5, True, "enough")] * 2
    assert told == [("flaky-1", 1, "RolloutProbe flaky-1, turn 1: the sandbox is gone")] and len(closed) == 3
    plain, flaky = (Counter(what for what, task in done if task == name) for name in ("plain-0", "flaky-1"))
    assert plain == {"reset": 1, "step": 2} and flaky == {"reset": 2, "step": 3}


def test_running_out_of_turns_truncates_with_a_score():
    (episode,) = play(["plain-0"], Scripted(n=99))
    assert episode.truncated and episode.score == 1.0 == sum(episode.rewards)


def test_arguments():
    with pytest.raises(ValueError, match="concurrency"):
        Runner(ENV_ID, concurrency=0)
    with pytest.raises(ValueError, match="waves must be from 1 to the concurrency"):
        Runner(ENV_ID, concurrency=2, waves=3)
    with pytest.raises(ValueError, match="lockstep acts for all at once"):
        Runner(ENV_ID, concurrency=2, waves=2, lockstep=True)
    with pytest.raises(gym.error.Error, match="FactbookQA"):
        rollout("thinkact/FactbookQX-v0", NullPolicy(), episodes=1)
    with pytest.raises(ValueError, match="not a thinkact environment"):
        Runner("CartPole-v1")
    with pytest.raises(ValueError, match="at least 1"):
        rollout(ENV_ID, NullPolicy(), episodes=0)
    with Runner(ENV_ID) as runner, pytest.raises(ValueError, match="same id"):
        runner.run([Job("a", "plain-0", 0), Job("a", "plain-1", 0)], NullPolicy())


def test_rollout_draws_tasks_and_trials_by_seed():
    def once(**changes):
        return rollout(ENV_ID, Scripted(), **{"episodes": 5, "trials": 2, "seed": 3, "split": "eval", **changes})

    episodes = once()
    assert len(episodes) == 6 and {e.split for e in episodes} == {"eval"}
    assert [e.task_id for e in episodes[::2]] == [e.task_id for e in episodes[1::2]]
    assert len({e.task_id for e in episodes}) == 3 and len({e.seed for e in episodes}) == 6
    assert essence(once()) == essence(episodes) != essence(once(seed=4))


INTERRUPTED = """
import signal, sys, threading, time
# A job that a shell put in the background is born with SIGINT ignored, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
import test_rollout as t
t.register(t.ENV_ID, entry_point=t.Probe, disable_env_checker=True, order_enforce=False)
class Telling(t.Scripted):
    def act(self, conversations):
        if not self.batches:
            print("ready", flush=True)  # in the middle of it
        return super().act(conversations)
try:
    t.play([f"slow-{i}" for i in range(4000)], Telling(), concurrency=64)
except KeyboardInterrupt:
    assert not t.OPEN and threading.active_count() == 1, (t.OPEN, threading.enumerate())
    print("clean", flush=True)
"""


def test_ctrl_c_leaves_nothing_hanging():
    here = str(__file__).rpartition("/")[0]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, here], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    output, _ = process.communicate(timeout=120)
    assert output == "clean\n" and process.returncode == 0
    assert time.monotonic() - start < 30, "all of it would take some 75 seconds"


def episode(text):
    calls, results = [{"arguments": {text: [text]}}], [{"content": text}]
    turn = Turn(observation=text, thought=text, action=text, result=text, reward=0.0, calls=calls, results=results)
    return Episode(
        **dict(id="a", env_id="e", family="f", env_version="0", task_id="t", split="train", seed=0, policy="p"),
        turns=[turn],
        error=text,
    )


@pytest.mark.parametrize("text", ["plain", "\ud800", "a\udc80\n\r\u2028\x00\x1b[0m</script>", "\ud83d\ude00"])
def test_any_text_can_be_written_and_read(tmp_path, text):
    path = tmp_path / "deep" / "episodes.jsonl"
    assert write_episodes(path, [episode(text), episode("next")]) == 2
    first, second = read_episodes(path)
    assert second == episode("next")
    clean = text.encode(errors="replace").decode()
    assert first == episode(clean)


def test_a_cut_off_last_line_is_passed_over_and_a_damaged_one_is_not(tmp_path):
    path = tmp_path / "episodes.jsonl"
    write_episodes(path, [episode("one"), episode("two")])
    whole = path.read_text()
    path.write_text(whole[:-40])
    assert [e.turns[0].action for e in read_episodes(path)] == ["one"]
    path.write_text(whole[40:])
    with pytest.raises(ValueError, match="line 1"):
        list(read_episodes(path))
    assert json.loads(whole.splitlines()[0])["id"] == "a"


@pytest.mark.parametrize("split", ["train", "eval", "hidden"])
def test_the_gold_answer_is_recorded_for_training_only(split):
    episodes = rollout("thinkact/FactbookQA-v0", ExpertPolicy(), episodes=2, split=split)
    for episode in episodes:
        assert episode.success
        assert (episode.gold is not None) == (split == "train")
        if episode.gold is not None:
            assert episode.gold in episode.turns[-1].action
            assert episode.gold not in json.dumps(episode.turns[-1].results)
