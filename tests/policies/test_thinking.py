"""Votes, plans and sub-agents, on real environments."""

import json

import pytest

from thinkact.envs import Action, Conversation, Message
from thinkact.policies.rollout import Runner, make_jobs, rollout
from thinkact.policies.scripted import ExpertPolicy
from thinkact.policies.thinking import DelegatePolicy, PlanPolicy, VotePolicy

ENV_ID = "thinkact/Credit-v0"
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {"type": "string"}}}}}]


def talk(name="a", seed=0, *messages):
    return Conversation(name, ENV_ID, "t", seed, TOOLS, list(messages) or [Message("user", "Do it.")])


class Says:
    """Answers by what a function of the conversation says; keeps what it was asked and told to forget."""

    name, max_slots = "says", 3

    def __init__(self, say):
        self.say, self.asked, self.released, self.most = say, [], [], 0

    def act(self, talks):
        self.most = max(self.most, len(talks))
        self.asked += talks
        found = [self.say(each) for each in talks]
        return [
            each if isinstance(each, Action) else Action(text=each, token_ids=[1], prompt_ids=[1, 2]) for each in found
        ]

    def release(self, name):
        self.released.append(name)


def test_most_attempts_win_whatever_their_spelling():
    said = iter(['{"look": "x"}', '{"look": "y"}', '{"name": "look", "arguments": {"at": "z"}}', '{"look":"y"}', "no"])
    policy = Says(lambda _: next(said))
    (action,) = VotePolicy(policy, 5).act([talk()])
    assert json.loads(action.text) == {"look": "y"} and action.thought.startswith("2 of 5")
    assert policy.most <= policy.max_slots
    assert sorted(policy.released) == sorted(each.id for each in policy.asked) and len(set(policy.released)) == 5
    assert len({each.seed for each in policy.asked}) == 5
    assert (action.prompt_tokens, action.sampled_tokens, action.token_ids) == (10, 5, [])


def test_among_equals_the_likelier_wins_and_faults_do_not_vote():
    def attempt(text, score, fault=""):
        return Action(text=text, token_ids=[1], logprobs=[score], fault=fault, cost=0.5)

    said = iter([attempt('{"look": "x"}', -2.0), attempt('{"look": "y"}', -1.0), attempt("", 0.0, "gone")])
    (action,) = VotePolicy(Says(lambda _: next(said)), 3).act([talk()])
    assert json.loads(action.text) == {"look": "y"} and action.cost == 1.5 and not action.fault
    (lost,) = VotePolicy(Says(lambda _: attempt("", 0.0, "gone")), 2).act([talk()])
    assert lost.fault == "gone"
    with pytest.raises(ValueError, match="at least 2"):
        VotePolicy(Says(str), 1)


def test_a_vote_of_noisy_experts_is_better_than_one():
    """Each attempt of an expert slips with chance 0.4, by its own seed; seven rarely slip together."""

    class Noisy(ExpertPolicy):
        def __init__(self):
            super().__init__()
            self.plans = {}

        def act(self, talks):
            actions = []
            for each in talks:
                origin = each.id.partition("~")[0]
                turn = len(each.messages) // 2
                if (origin, turn) not in self.plans:
                    (self.plans[origin, turn],) = super().act([Conversation(**{**vars(each), "id": origin})])
                slips = each.seed % 10 < 4
                text = (
                    '{"act": 0}'
                    if slips and each.seed % 3
                    else '{"act": 1}'
                    if slips
                    else self.plans[origin, turn].text
                )
                actions.append(Action(text=text))
            return actions

        def release(self, name):
            if "~" not in name:
                super().release(name)

    class Begun(VotePolicy):
        def begin(self, name, env):
            self.policy.begin(name, env)

    def score(policy):
        played = rollout(ENV_ID, policy, episodes=60, seed=0, env_kwargs={"world": "umbrella", "horizon": 6})
        return sum(e.score for e in played) / len(played)

    assert score(Begun(Noisy(), 7)) > score(Noisy()) + 0.1


def test_a_plan_is_written_once_and_shown_from_then_on():
    def say(each):
        return "1. look\n2. stop" if each.id.endswith("~plan") else '{"look": "x"}'

    policy = Says(say)
    planned = PlanPolicy(policy)
    (first,) = planned.act([talk()])
    assert first.thought == "1. look\n2. stop" and (first.prompt_tokens, first.sampled_tokens) == (4, 2)
    more = talk("a", 0, Message("user", "Do it."), Message("assistant", first.text), Message("tool", "seen"))
    (second,) = planned.act([more, talk("b")])[:1]
    assert second.thought == "" and second.sampled_tokens == 1
    asked = [each for each in policy.asked if each.id == "a"]
    assert all(each.messages[0].content == "Do it.\n\nYour plan:\n1. look\n2. stop" for each in asked)
    assert asked[1].messages[1:] == more.messages[1:]
    plan = next(each for each in policy.asked if each.id == "a~plan")
    assert plan.tools == [] and policy.released == ["a~plan", "b~plan"]
    planned.release("a")
    assert "a" in policy.released and more.messages[0].content == "Do it."


def test_a_sub_agent_acts_until_it_reports():
    script = iter(
        [
            '{"delegate": "find the key"}',  # the chief, without an action of the episode
            '{"look": "drawer"}',
            '{"look": "shelf"}',
            '{"report": "it is on the shelf"}',
            '{"look": "door"}',  # the chief again
        ]
    )
    policy = Says(lambda _: next(script))
    chief = DelegatePolicy(policy, turns=5)
    messages = [Message("user", "Do it.")]
    texts = []
    for result in ("empty", "a key", "open"):
        (action,) = chief.act([talk("a", 0, *messages)])
        texts.append(action.text)
        messages += [Message("assistant", action.text), Message("tool", result)]
    assert [json.loads(text)["look"] for text in texts] == ["drawer", "shelf", "door"]
    assert [each.content for each in policy.asked[-1].messages] == [
        "Do it.",
        '{"delegate": "find the key"}',
        "Report: it is on the shelf",
    ]
    worker = next(each for each in policy.asked if each.id != "a")
    assert [each.content for each in worker.messages][:3] == ["find the key", '{"look": "drawer"}', "empty"]
    names = [tool["function"]["name"] for tool in worker.tools]
    assert names == ["look", "report"]  # it cannot delegate in turn
    assert worker.id in policy.released
    chief.release("a")
    assert policy.released[-1] == "a"


def test_a_sub_agents_turns_end():
    def say(each):
        return '{"delegate": "go on for ever"}' if each.id == "a" and len(each.messages) == 1 else '{"look": "x"}'

    chief = DelegatePolicy(Says(say), turns=2)
    messages = [Message("user", "Do it.")]
    for turn in range(3):
        (action,) = chief.act([talk("a", 0, *messages)])
        messages += [Message("assistant", action.text), Message("tool", f"result {turn}")]
        assert action.thought.startswith("[sub-agent 1]") == (turn < 2)
    told = next(each for each in reversed(chief.policy.asked) if each.id == "a").messages
    assert told[-1].content == "Report: (out of turns) The last result was: result 1"


def test_an_expert_in_all_of_them_still_solves_everything():
    """Around a policy that never delegates, the wrappers change no action."""
    with Runner(ENV_ID, concurrency=4, env_kwargs={"horizon": 5}) as runner:
        jobs = make_jobs(runner.sample_tasks(8, 0), seed=0, prefix="x")
        plain = runner.run(jobs, ExpertPolicy())

        class Begun(DelegatePolicy):
            def begin(self, name, env):
                self.policy.begin(name, env)

        wrapped = runner.run(jobs, Begun(ExpertPolicy()))
    assert [[t.action for t in e.turns] for e in wrapped] == [[t.action for t in e.turns] for e in plain]
    assert all(e.success for e in wrapped)
