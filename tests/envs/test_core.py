"""``ToolEnv`` on a small family without any machinery: rewards, budgets, faults, snapshots."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from thinkact.envs import Check, EnvironmentFault, Limits, Task, ToolEnv
from thinkact.envs.conformance import RULES, Subject, findings
from thinkact.envs.spaces import TextSpace, ToolCallSpace
from thinkact.tools import ToolResult
from thinkact.tools.submit import SubmitTool


class LookArguments(BaseModel):
    box: int = Field(ge=0, le=6, description="Number of the box.")


class LookTool:
    """Opens one of seven boxes; box 6 makes the tool itself fail."""

    name = "look"
    description = "Open a box."
    Arguments = LookArguments
    terminal = False

    def __init__(self):
        self.opened = frozenset()
        self.closed = 0

    def run(self, args, ctx):
        if args.box == 6 and self.fragile:
            raise OSError("the box is stuck")
        self.opened |= {args.box}
        return ToolResult(call_id=ctx.call_id, content=f"Box {args.box} is open.")

    fragile = False

    def snapshot(self):
        return self.opened

    def restore(self, state):
        self.opened = state

    def close(self):
        self.closed += 1


class BoxEnv(ToolEnv[tuple[int, ...]]):
    """Open the boxes of the task, then submit "done". Weights 1/7: they do not add up to 1 in binary."""

    family = "boxes"
    broken_begin = False

    def _make_tools(self):
        return [LookTool(), SubmitTool()]

    def _draw_task_id(self, rng):
        return f"{self.split}-{int(rng.integers(1000))}"

    def _build_task(self, task_id):
        split, _, number = task_id.partition("-")
        if split not in ("train", "eval", "hidden") or not number.isdigit() or int(number) >= 1000:
            raise KeyError(task_id)
        limits = Limits(max_turns=8, max_invalid=2, max_chars=200)
        prompt = f"Open boxes 0 to 5 for {task_id}."
        return Task(id=task_id, family="boxes", split=split, seed=int(number), prompt=prompt, limits=limits), (0,) * 7

    def _begin(self, task, hidden):
        if self.broken_begin:
            raise OSError("no boxes today")
        self.tools["look"].opened = frozenset()
        self.tools["submit"].reset()

    def _checks(self, task, hidden):
        opened = self.tools["look"].opened
        done = self.tools["submit"].answer == "done"
        facts = [(f"box {i}", i in opened) for i in range(6)] + [("submitted", done)]
        return [Check(name=name, weight=1 / 7, passed=passed) for name, passed in facts]

    def _solution(self, task, hidden):
        for box in range(6):
            yield f'{{"look": {box}}}'
        yield '{"submit": "done"}'


@pytest.fixture(autouse=True)
def _other_processes_can_import_this_module(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))


@pytest.fixture
def env():
    env = BoxEnv()
    env.reset(seed=0)
    yield env
    env.close()


def test_the_family_passes_the_contract():
    assert not findings(BoxEnv, tasks=5)


def test_seven_sevenths_are_exactly_one(env):
    for box in range(6):
        env.step(f'{{"look": {box}}}')
    *_, terminated, truncated, info = env.step('{"submit": "done"}')
    assert (terminated, truncated, info["score"], info["success"]) == (True, False, 1.0, True)


def test_calls_after_the_terminal_one_are_not_run(env):
    _, reward, terminated, _, info = env.step('{"look": 1} {"submit": "x"} {"look": 2}')
    assert terminated and info["score"] == pytest.approx(1 / 7) == reward
    assert len(info["results"]) == 2


def test_info_says_what_changed(env):
    info = env.step('{"look": 1}')[4]
    assert [check["name"] for check in info["checks"] if check["passed"]] == ["box 1"]
    assert [check["name"] for check in env.step('{"look": 2}')[4]["checks"]] == ["box 2"]
    assert env.step('{"look": 2}')[4]["checks"] == []


def test_a_failing_tool_is_a_fault_and_ends_the_episode(env, monkeypatch):
    monkeypatch.setattr(LookTool, "fragile", True)
    with pytest.raises(EnvironmentFault, match="the box is stuck"):
        env.step('{"look": 6}')
    with pytest.raises(RuntimeError, match="reset"):
        env.step('{"look": 1}')
    env.reset(seed=1)
    env.step('{"look": 1}')


def test_a_failed_reset_does_not_leave_the_old_episode_running(env):
    env.broken_begin = True
    with pytest.raises(EnvironmentFault, match="no boxes today"):
        env.reset(seed=1)
    with pytest.raises(RuntimeError, match="reset"):
        env.step('{"look": 1}')


def test_close_ends_the_episode_and_reset_begins_anew(env):
    env.close()
    with pytest.raises(RuntimeError, match="reset"):
        env.step('{"look": 1}')
    env.reset(seed=0)
    env.step('{"look": 1}')


def test_invalid_actions_are_counted_in_a_row(env):
    for action in ("{}", '{"look": 1}', "{}"):
        assert not env.step(action)[3]
    assert env.step("{}")[3]


def test_observation_is_clipped_to_the_budget(env):
    observation = env.step('{"' + "x" * 500 + '": 1} ' * 5)[0]
    assert len(observation) <= env.task.limits.max_chars
    assert "characters cut" in observation


def test_gym_make_and_transcript(env):
    gym.register("thinkact-test/Boxes-v0", BoxEnv)
    try:
        with pytest.raises(TypeError):
            gym.make("thinkact-test/Boxes-v0", boxes=3)
        made = gym.make("thinkact-test/Boxes-v0", render_mode="ansi", split="eval")
        prompt, info = made.reset(seed=3)
        made.step('a thought {"look": 1}')
        text = made.render()
        assert prompt in text and "Box 1 is open." in text and "thought" not in text
        assert info["task_id"].startswith("eval-")
        made.close()
    finally:
        del gym.registry["thinkact-test/Boxes-v0"]


def test_spaces_compare_and_refuse_masks(env):
    assert env.action_space == BoxEnv().action_space
    assert env.action_space != ToolCallSpace(env.tool_schemas[:1])
    assert TextSpace(10) != TextSpace(11)
    assert hash(env.action_space) == hash(BoxEnv().action_space)
    assert 3 not in env.action_space
    for space in (env.action_space, env.observation_space):
        with pytest.raises(ValueError, match="mask"):
            space.sample(mask=np.ones(1))


ACTIONS = [f'{{"look": {box}}}' for box in range(7)] + ["{}", '{"look": 99}', '{"submit": "x"}', '{"submit": "done"}']


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=9), st.integers(0, 8))
def test_any_sequence_adds_up_and_can_be_continued(actions, cut):
    env, late, other = BoxEnv(), BoxEnv(reward="outcome"), BoxEnv()
    env.reset(seed=5)
    late.reset(seed=5)
    rewards, outcome, kept = [], [], None
    for turn, action in enumerate(actions):
        if turn == cut:
            kept = env.snapshot()
        step = env.step(action)
        rewards.append(step[1])
        outcome.append(late.step(action)[1])
        if kept is not None:
            other.restore(kept)
            for again in actions[cut : turn + 1]:
                repeated = other.step(again)
            assert repeated == step
        if step[2] or step[3]:
            assert sum(outcome) == pytest.approx(step[4]["score"], abs=1e-9)
            break
    assert sum(rewards) == pytest.approx(step[4]["score"], abs=1e-9)


class _Overpaid(BoxEnv):
    def _pay(self, checks, invalid, *, last):
        paid = super()._pay(checks, invalid, last=last)
        return paid.model_copy(update={"value": paid.value + 0.001})


class _Forgetful(BoxEnv):
    def restore(self, snapshot):
        super().restore(snapshot)
        self.tools["look"].opened = frozenset()


class _Unsettled(BoxEnv):
    counter = 0

    def _run(self, calls):
        results, terminated = super()._run(calls)
        type(self).counter += 1
        return [r.model_copy(update={"content": f"{r.content} {self.counter}"}) for r in results], terminated


class _Generous(BoxEnv):
    def _begin(self, task, hidden):
        super()._begin(task, hidden)
        self.tools["look"].opened = frozenset({0})


class _Leaky(BoxEnv):
    def _draw_task_id(self, rng):
        return f"train-{int(rng.integers(1000))}"


class _Deaf(BoxEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, info | {"invalid_action": False}


class _Listening(BoxEnv):
    def step(self, action):
        observation, *rest = super().step(action)
        return observation + ("!" if "<think>" in action else ""), *rest


class _Endless(BoxEnv):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated or truncated, False, info


class _Careless(BoxEnv):
    def _build_task(self, task_id):
        return super()._build_task(task_id if task_id.startswith(("train-", "eval-", "hidden-")) else "train-0")


class _Lazy(BoxEnv):
    def _solution(self, task, hidden):
        yield '{"submit": "done"}'


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (_Overpaid, "rewards_add_up"),
        (_Forgetful, "snapshots_are_exact"),
        (_Unsettled, "episodes_are_deterministic"),
        (_Generous, "expert_solves_and_null_does_not"),
        (_Lazy, "expert_solves_and_null_does_not"),
        (_Leaky, "splits_are_disjoint"),
        (_Deaf, "mistakes_are_observations"),
        (_Listening, "thoughts_do_not_count"),
        (_Endless, "budgets_truncate"),
        (_Careless, "misuse_raises"),
    ],
)
def test_the_conformance_suite_finds_a_broken_environment(broken, rule):
    [check] = [check for check in RULES if check.__name__ == rule]
    check(Subject(BoxEnv, tasks=3))
    with pytest.raises(AssertionError):
        check(Subject(broken, tasks=3))
