"""Budgets of thoughts, turns and episodes: what is put into a turn by force is context, and all else is exact."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

import numpy as np  # noqa: E402

from thinkact.cli_common import UserError, make_policy  # noqa: E402
from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.policies.budgets import Budgets  # noqa: E402
from thinkact.policies.codec import in_thought, split_thought  # noqa: E402
from thinkact.policies.config import ConfigError, make_config  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.learner import Learner  # noqa: E402
from thinkact.policies.learner_rows import encode_sampled  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.rollout import Runner, make_jobs  # noqa: E402
from thinkact.policies.sampling import SamplingParams  # noqa: E402
from thinkact.policies.writing import Writing, write  # noqa: E402

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {"type": "string"}}}}}]
OPTIONS = {"max_new_tokens": 12, "max_slots": 6, "max_len": 900, "dtype": torch.float32}


@pytest.fixture(scope="module")
def loaded():
    return build_tiny(
        ['{"act": 1} Reply with one JSON tool call: zoo hours'] * 3,
        vocab_size=340,
        hidden=32,
        layers=2,
        heads=2,
        seed=0,
    )


def test_a_thought_is_closed_by_force_and_what_closes_it_is_context(loaded):
    policy = HFPolicy(loaded, **OPTIONS, max_thought_tokens=5, temperature=0.9)
    learner = Learner(loaded.model, dtype=torch.float32, lr=1e-3, temperature=0.9)
    with Runner("thinkact/Credit-v0", concurrency=6, env_kwargs={"horizon": 6}, lockstep=True) as runner:
        episodes = runner.run(make_jobs(runner.sample_tasks(6, 0), seed=0, prefix="e"), policy)
    end = policy.codec.thought_end
    closed = 0
    for episode in episodes:
        row = encode_sampled(episode, np.ones(len(episode.turns)))
        for turn in episode.turns:
            if turn.forced:
                closed += 1
                assert turn.forced == list(range(5, 5 + len(end))) and turn.token_ids[5 : 5 + len(end)] == end
                assert all(turn.logprobs[at] == 0.0 for at in turn.forced)
                assert policy.codec.decode(turn.token_ids[:5]).strip() == turn.thought
            assert len(turn.token_ids) - len(turn.forced) <= OPTIONS["max_new_tokens"]
        chosen = [i for t in episode.turns for at, i in enumerate(t.token_ids) if at not in t.forced]
        assert row.ids[row.sampled].tolist() == chosen and episode.usage.sampled_tokens == len(chosen)
        assert episode.usage.prompt_tokens + len(chosen) == len(row.ids)
        (found,) = learner.logprobs([row])
        assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4
        # A turn is one turn, although its tokens are apart.
        assert len(set(row.turns[row.sampled])) == len(episode.turns)
    assert closed


def test_a_turn_in_parts_is_the_turn_in_one_go(loaded):
    """However it is cut, and with a budget that its thought keeps, a turn has the same tokens."""
    policy = HFPolicy(loaded, **OPTIONS)
    prompt = policy.codec.opening(TOOLS, "When?")
    params = SamplingParams(max_new_tokens=12, stop_ids=policy.codec.stop_ids)

    def written(most=None, thought=None):
        slot = policy.engine.open()
        turn = Writing(slot, prompt, params, policy.codec, 7, thought)
        while not turn.stop:
            turn.take(policy.engine.generate([turn.request(most)], SamplingParams())[0])
        policy.engine.close(slot)
        return turn

    whole = written()
    assert len(whole.tokens) > 3
    for most in (1, 2, 5, 100):
        again = written(most)
        assert (again.tokens, again.stop) == (whole.tokens, whole.stop)
        assert again.logprobs == pytest.approx(whole.logprobs, abs=1e-5)
    forced = written(thought=4)
    assert forced.tokens[:4] == whole.tokens[:4] and forced.forced
    assert (written(1, thought=4).tokens, written(3, thought=4).tokens) == (forced.tokens, forced.tokens)
    # One that has come to its action by then is left alone.
    policy.codec.decode = lambda ids: '{"act": 1}'
    assert written(thought=4).tokens == whole.tokens


def test_a_budget_that_nobody_reaches_changes_nothing(loaded):
    def played(**more):
        policy = HFPolicy(loaded, **OPTIONS, **more)
        return [
            policy.act([Conversation(f"{at}", "e", "t", at, TOOLS, [Message("user", "When?")])])[0] for at in range(3)
        ]

    plain = played()
    assert [a.token_ids for a in played(max_episode_tokens=1000)] == [a.token_ids for a in plain]


@pytest.mark.parametrize("history", ["cut", "drop"])
def test_an_episode_ends_when_its_tokens_are_spent(loaded, history):
    policy = HFPolicy(loaded, **OPTIONS, max_episode_tokens=10, history=history)
    with Runner("thinkact/Credit-v0", concurrency=6, env_kwargs={"horizon": 6}, lockstep=True) as runner:
        episodes = runner.run(make_jobs(runner.sample_tasks(6, 0), seed=0, prefix="e"), policy)
    assert any(episode.turns[-1].stop == "budget" for episode in episodes)
    for episode in episodes:
        assert episode.usage.sampled_tokens <= 10
        assert sum(episode.rewards) == pytest.approx(episode.score)
        if episode.turns[-1].stop == "budget":
            assert episode.truncated and episode.usage.sampled_tokens == 10
            assert not episode.turns[-1].prompt_ids and not episode.turns[-1].token_ids


def test_full_slots_leave_no_room_to_close_a_thought(loaded):
    """The engine takes nothing in then, and nothing of it is on record."""
    policy = HFPolicy(loaded, **{**OPTIONS, "max_len": 60}, max_thought_tokens=5)
    room = 60 - len(policy.codec.opening(TOOLS, ""))
    talk = Conversation("a", "e", "t", 0, TOOLS, [Message("user", "")])
    while 60 - len(policy.codec.opening(TOOLS, talk.messages[0].content)) > 8:
        talk.messages[0] = Message("user", talk.messages[0].content + "a ")
    (action,) = policy.act([talk])
    assert room > 8 and action.stop == "context" and not action.forced and len(action.token_ids) == 5
    assert policy.engine.tokens(policy._live["a"].slot) == action.prompt_ids + action.token_ids


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ("The zoo opens", True),
        ('<think>Perhaps {"a": 1}', True),
        ("<think>Yes.</think>", False),
        ('So: {"look', False),
        ("So: <tool_call>", False),
        ('{"python": "</think', False),
        ("", True),
    ],
)
def test_where_a_thought_ends(text, thinking):
    assert in_thought(text) == thinking
    if thinking:  # closed by force, all of it is read as thought
        assert split_thought(f'{text}\n</think>\n\n{{"b": 2}}') == (text.replace("<think>", "").strip(), '{"b": 2}')


def test_effort_is_a_share_of_the_turn():
    found = [Budgets.of(100, thought=None, episode=7, effort=name) for name in ("low", "medium", "high", None)]
    assert [(each.thought, each.turn, each.episode) for each in found] == [
        *((share, 100, 7) for share in (20, 50, 80)),
        (None, 100, 7),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thought": 10}, "below max_new_tokens"),
        ({"thought": 0}, "from 1"),
        ({"episode": 0}, "max_episode_tokens"),
        ({"effort": "huge"}, "'low', 'medium', 'high'"),
        ({"effort": "low", "thought": 3}, "give one of them"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Budgets.of(10, **{"thought": None, "episode": None, "effort": None, **options})


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"sample.max_thought_tokens": 48}, "below max_new_tokens"),
        ({"sample.budget": 300}, "budget is used with"),
        ({"sample.max_summary_tokens": 30}, "'summarize' only"),
    ],
)
def test_a_run_with_knobs_without_use_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words):
        make_config(overrides=overrides)


@pytest.mark.parametrize(
    ("policy", "option", "words"),
    [
        ("random", {"effort": "low"}, "--effort is not for 'random'"),
        ("endpoint:http://127.0.0.1:1/v1", {"max_thought_tokens": 5}, "--max-thought-tokens is not for"),
        ("endpoint:http://127.0.0.1:1/v1", {"effort": "huge"}, "'low', 'medium', 'high'"),
        ("command:./agent.sh", {"history": "drop"}, "--history is not for"),
    ],
)
def test_an_option_that_a_policy_does_not_know_is_refused_on_the_command_line(policy, option, words):
    with pytest.raises(UserError, match=words):
        make_policy(policy, concurrency=1, **option)


def test_write_ends_every_turn(loaded):
    policy = HFPolicy(loaded, **OPTIONS)
    params = SamplingParams(max_new_tokens=6, stop_ids=policy.codec.stop_ids)
    prompt = policy.codec.opening(TOOLS, "When?")
    turns = [
        Writing(policy.engine.open(), prompt, params, policy.codec, seed, thought)
        for seed, thought in enumerate((None, 2, 3))
    ]
    write(policy.engine, turns)
    assert all(turn.stop and len(turn.logprobs) == len(turn.tokens) for turn in turns)
