"""Running a submission: environments that fail or hang, agents that take too long or are hostile."""

import math
import threading
import time

import gymnasium as gym
import pytest

from thinkact.envs import Action, Conversation, EnvironmentFault, Message
from thinkact.envs.diagnostic.env import CreditEnv
from thinkact.leaderboard.bounded import EPISODE_LIMIT, MAX_TEXT, SUBMISSION_LIMIT, Guarded
from thinkact.leaderboard.runner import TooManyFaults
from thinkact.leaderboard.suites import Budget, Cell, Suite

from .runs import CREDIT, SUITE, Agent, submit


class Broken(CreditEnv):
    """Fails as its class says, for everyone who makes one."""

    faults = 0
    hang = None
    held = 0
    freed = None

    def step(self, action):
        cls = type(self)
        if cls.hang is not None and cls.held > 0:
            cls.held -= 1
            cls.freed = cls.hang.wait(20)
        if cls.faults > 0:
            cls.faults -= 1
            raise EnvironmentFault("the sandbox is gone")
        return super().step(action)


@pytest.fixture
def broken(monkeypatch):
    gym.register("test/Broken-v0", entry_point=lambda **kwargs: Broken(**kwargs), disable_env_checker=True)
    monkeypatch.setattr(Broken, "faults", 0)
    monkeypatch.setattr(Broken, "hang", None)
    monkeypatch.setattr(Broken, "held", 0)
    monkeypatch.setattr(Broken, "freed", None)
    yield Suite(name="broken", cells=(Cell(env="test/Broken-v0", public=12, hidden=0),))
    gym.registry.pop("test/Broken-v0")


class Priced(Agent):
    def act(self, conversations):
        return [Action(text=action.text, cost=1.0) for action in super().act(conversations)]


def test_faults_are_played_again_logged_and_paid_for(board, broken):
    Broken.faults = 2
    result = submit(board, Priced(), broken, concurrency=1)
    first, *rest = board.episodes(result.submission)
    assert first.usage.attempts == 3 and first.error is None and all(one.usage.attempts == 1 for one in rest)
    assert first.usage.cost == len(first.turns) + 2
    logged = board.manifest(result.submission).meta["faults"]
    assert [(one["episode"], one["attempt"]) for one in logged] == [(first.id, 1), (first.id, 2)]


def test_a_fault_that_stays_is_unresolved_and_not_a_zero(board, broken):
    Broken.faults = 3
    result = submit(board, suite=broken, concurrency=1)
    first, *rest = board.episodes(result.submission)
    assert first.score is None and "the sandbox is gone" in first.error and all(one.error is None for one in rest)
    (row,) = board.rows()
    assert row.summary.unresolved == 1 and row.summary.episodes == 12


def test_too_many_faults_stop_it_and_it_goes_on_when_mended(board, broken):
    Broken.faults = 1000
    with pytest.raises(TooManyFaults, match="10 of 10 episodes"):
        submit(board, suite=broken, concurrency=1)
    Broken.faults = 0
    result = submit(board, suite=broken)
    errors = [one.error for one in board.episodes(result.submission)]
    assert result.played == 2 and len(errors) == 12 and sum(error is not None for error in errors) == 10


def test_an_environment_that_hangs_is_a_fault_by_name(board, broken):
    Broken.hang, Broken.held = threading.Event(), 3
    cells = (broken.cells[0].model_copy(update={"public": 1}),)
    suite = Suite(name="hang", cells=cells, limits=Budget(action_s=0.3, turn_s=0.3, episode_s=60))
    try:
        result = submit(board, suite=suite)
    finally:
        Broken.hang.set()
    (episode,) = board.episodes(result.submission)
    assert episode.error.startswith("TurnLimit: test/Broken-v0: a step took more than 0.3 s")
    assert episode.score is None and episode.turns == [] and episode.usage.attempts == 3


def test_a_straggler_holds_nobody_up(board, broken):
    class Freeing(Agent):
        def release(self, conversation_id):
            super().release(conversation_id)
            if len(self.episodes) == 11:
                Broken.hang.set()  # only when all others have ended

    Broken.hang, Broken.held = threading.Event(), 1
    submit(board, Freeing(), broken)
    assert Broken.freed


def conversation():
    return Conversation("e#1", CREDIT, "t", 0, [], [Message("user", "prompt")])


def test_episodes_and_submissions_that_take_too_long_are_cut_and_scored(board):
    class Slow(Agent):
        def act(self, conversations):
            time.sleep(0.03)
            return [Action(text="nonsense") for _ in conversations]

    limits = Budget(action_s=0.02, turn_s=0.02, episode_s=0.02)
    quick = Budget(action_s=0.02, turn_s=0.02, episode_s=0.02, submission_s=0.02)
    asked = [conversation()]
    guard = Guarded(Slow(), limits)
    assert [guard.act(asked)[0].stop for _ in range(2)] == ["stop", EPISODE_LIMIT]
    guard.release("e#1")
    assert guard.act(asked)[0].stop == "stop"
    assert Guarded(Slow(), quick, spent=0.02).act(asked)[0].stop == SUBMISSION_LIMIT
    none = Budget.model_construct(action_s=60.0, turn_s=60.0, episode_s=0.0, submission_s=60.0)
    tight = SUITE.model_copy(update={"limits": none})
    result = submit(board, Slow(), tight)
    for episode in board.episodes(result.submission):
        assert episode.truncated and episode.score == 0.0 and episode.turns[-1].stop == EPISODE_LIMIT


def test_an_agent_is_trusted_with_nothing(board):
    handed = []

    class Hostile(Agent):
        name = "<script>alert(1)</script> \x1b[31m"

        def begin(self, conversation_id, env):
            handed.append(env)

        def act(self, conversations):
            self.turns += 1
            bad = Action(text="\ud800" + "x" * (MAX_TEXT + 1), thought="y" * (MAX_TEXT + 1), stop=EPISODE_LIMIT)
            bad.cost, bad.seconds = math.nan, -1.0
            return [bad for _ in conversations]

    result = submit(board, Hostile())
    for episode in board.episodes(result.submission):
        assert not handed and episode.score == 0.0 and episode.usage.cost == 0.0
        assert len(episode.turns) > 1 and len(episode.turns[0].action) == MAX_TEXT
        assert episode.turns[0].action.startswith("?x") and episode.turns[0].stop == "stop"
    assert "/" not in result.submission and "<" not in result.submission
