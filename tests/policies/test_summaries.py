"""Contexts that are summed up by the model that outgrew them: a turn like any other, and every token exact."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

import numpy as np  # noqa: E402
from transformers import (  # noqa: E402
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.leaderboard.transcripts import episode_view  # noqa: E402
from thinkact.policies.config import make_config  # noqa: E402
from thinkact.policies.critic import turn_starts  # noqa: E402
from thinkact.policies.episode import Episode, Turn, read_episodes  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.history import SUMMARY_REQUEST  # noqa: E402
from thinkact.policies.learner import Learner, rows_of  # noqa: E402
from thinkact.policies.learner_rows import encode_sampled, encode_segments  # noqa: E402
from thinkact.policies.models import LoadedModel, build_tiny  # noqa: E402
from thinkact.policies.rollout import Runner, make_jobs  # noqa: E402
from thinkact.policies.training import Quiet, Trainer  # noqa: E402
from thinkact.policies.vine import fork  # noqa: E402

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {"type": "string"}}}}}]
TURNS = 9
SHAPE = {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 2048, "initializer_range": 0.1},
}
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen": (Qwen2Config, Qwen2ForCausalLM, {}),
    "gemma": (Gemma2Config, Gemma2ForCausalLM, {"head_dim": 8, "sliding_window": 64}),
}
#: A request for a summary takes some 75 tokens of this tokenizer.
OPTIONS = {"max_new_tokens": 10, "max_summary_tokens": 14, "max_slots": 4, "max_len": 300, "dtype": torch.float32}


@pytest.fixture(scope="module")
def tiny():
    texts = [SUMMARY_REQUEST, "a, result 1: zoo hours zoo hours", "Reply with one JSON tool call: ", '{"act": 1}'] * 3
    return build_tiny(texts, vocab_size=560, hidden=32, layers=2, heads=2, seed=0)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tiny):
    config, build, more = FAMILIES[request.param]
    torch.manual_seed(5)
    model = build(config(vocab_size=len(tiny.tokenizer), **SHAPE, **more)).eval()
    return LoadedModel(model, tiny.tokenizer, request.param)


def result(name, turn):
    return f"{name}, result {turn}: " + "zoo hours " * (8 + turn % 3 * 6)


def recorded(talk, action):
    fields = ("stop", "prompt_ids", "token_ids", "logprobs", "forced", "restart", "summary")
    kept = {name: getattr(action, name) for name in fields}
    return Turn(observation=talk.messages[-1].content, action=action.text, result="", reward=0.0, **kept)


def play(loaded, names=("a", "b"), turns=TURNS, **options):
    """Play conversations whose results alone outgrow the context several times."""
    policy = HFPolicy(loaded, **{**OPTIONS, "history": "summarize", **options})
    talks = [Conversation(name, "e", "t", at, TOOLS, [Message("user", "When?")]) for at, name in enumerate(names)]
    said = {name: [] for name in names}
    for turn in range(turns):
        live = [talk for talk in talks if not said[talk.id] or said[talk.id][-1].stop not in ("context", "budget")]
        for talk, action in zip(live, policy.act(live), strict=True):
            said[talk.id].append(recorded(talk, action))
            talk.messages += [Message("assistant", action.text), Message("tool", result(talk.id, turn))]
    return policy, talks, said


def ids(turns):
    return [(turn.prompt_ids, turn.token_ids, turn.summary and turn.summary.token_ids) for turn in turns]


def episode(name, turns):
    fields = {"env_id": "e", "family": "f", "env_version": "0", "task_id": name, "split": "train", "seed": 0}
    return Episode(id=name, policy="p", turns=turns, truncated=True, score=0.0, success=False, **fields)


@pytest.fixture(scope="module")
def played(tiny):
    """What two conversations became, for those who only read it."""
    return play(tiny)


def test_every_segment_is_what_the_model_saw(family):
    """In each family the log-probabilities on record are those of one pass over each context, the summary's too."""
    policy, talks, said = play(family, temperature=0.9)
    learner = Learner(family.model, dtype=torch.float32, lr=1e-3, temperature=0.9)
    for talk in talks:
        turns = said[talk.id]
        anew = [at for at, turn in enumerate(turns) if turn.restart]
        assert 2 <= len(anew) < TURNS / 2 and len(turns) == TURNS
        assert [at for at, turn in enumerate(turns) if turn.summary is not None] == anew
        rows = encode_segments(episode(talk.id, turns), np.arange(1.0, TURNS + 1))
        assert len(rows) == 1 + len(anew) and all(len(row.ids) <= OPTIONS["max_len"] for row in rows)
        for row, found in zip(rows, learner.logprobs(rows), strict=True):
            assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4
        # What is trained on is what was sampled, each token once, in its order; all else is context.
        parts = [part for turn in turns for part in (turn.summary, turn) if part is not None]
        assert [i for row in rows for i in row.ids[row.sampled]] == [i for part in parts for i in part.token_ids]
        assert not any(row.advantage[~row.sampled].any() or row.logprob[~row.sampled].any() for row in rows)
        # A summary closes its context, and has the advantage of the turn after it.
        for row, at in zip(rows[:-1], anew, strict=True):
            wrote = turns[at].summary.token_ids
            assert row.ids[-len(wrote) :].tolist() == wrote and set(row.advantage[-len(wrote) :]) == {at + 1.0}
        starts = turn_starts(rows)
        assert len(starts) == TURNS
        trained = np.concatenate([row.advantage[row.sampled] for row in rows])
        assert trained[starts].tolist() == list(range(1, TURNS + 1))
    with pytest.raises(ValueError, match="encode_segments"):
        encode_sampled(episode("a", said["a"]), np.zeros(TURNS))


def test_a_context_begins_anew_with_the_task_the_summary_and_the_newest_result(tiny, played):
    policy, talks, said = played
    codec = policy.codec
    for talk in talks:
        for at, turn in enumerate(said[talk.id]):
            if turn.restart:
                asked = codec.decode(turn.summary.prompt_ids)
                assert SUMMARY_REQUEST in asked and "zoo hours" not in asked  # the newest result is not in there yet
                closed = turn.summary.token_ids[-1:] == [codec.end_id]
                assert turn.prompt_ids == [
                    *codec.opening(TOOLS, "When?"),
                    *turn.summary.token_ids,
                    *codec.observation(result(talk.id, at - 1), turn_closed=closed),
                ]
                assert turn.summary.text in codec.decode(turn.summary.token_ids)
    # Until the first summary, all is as without one; and who is in the batch makes no difference.
    _, _, cut = play(tiny, names=("a",), history="cut", turns=5)
    first = next(at for at, turn in enumerate(said["a"]) if turn.restart)
    assert [turn.token_ids for turn in cut["a"][:first]] == [turn.token_ids for turn in said["a"][:first]]
    _, _, alone = play(tiny, names=("a",))
    assert ids(alone["a"]) == ids(said["a"])


def test_a_record_is_read_back_with_its_summaries(played):
    whole = episode("a", played[2]["a"]).model_copy(deep=True)
    assert Episode.model_validate_json(whole.model_dump_json()) == whole
    assert json.loads(whole.model_dump_json())["turns"][0]["summary"] is None
    # The viewer shows it, inert like all that a model writes.
    anew = next(turn for turn in whole.turns if turn.restart)
    anew.summary.text = "seen: \x1b[2Jzoo"
    shown = [turn.get("summary") for turn in episode_view(whole)["turns"]]
    assert [text is not None for text in shown] == [turn.restart for turn in whole.turns]
    assert "zoo" in shown[whole.turns.index(anew)] and "\x1b" not in shown[whole.turns.index(anew)]


def test_only_a_summarys_credit_keeps_its_segment(played):
    whole = episode("a", played[2]["a"]).model_copy(deep=True)
    first = next(at for at, turn in enumerate(whole.turns) if turn.restart)
    values = np.zeros(TURNS)
    values[first] = 2.0
    before, after = rows_of([whole], [values])
    wrote = whole.turns[first].summary.token_ids
    assert before.advantage.sum() == 2.0 * len(wrote)
    assert after.advantage.sum() == 2.0 * len(whole.turns[first].token_ids)
    # Where credit ends before the summary, the summary is left out like the turn that it belongs to.
    values = np.zeros(TURNS)
    values[first - 1] = 1.0
    (row,) = rows_of([whole], [values])
    assert row.ids[row.sampled][-len(wrote) :].tolist() != wrote


def test_a_fork_goes_on_alike_wherever_it_begins(tiny, played):
    """Resumed from its record, before a summary, at one or after it, a conversation samples what it would have."""
    policy, talks, said = played
    learner = Learner(tiny.model, dtype=torch.float32, lr=1e-3)
    restarts = 0
    for at in range(1, TURNS):
        talk = Conversation("twin", "e", "t", 0, TOOLS, talks[0].messages[: 2 * at + 1])
        policy.resume("twin", said["a"][:at])
        (action,) = policy.act([talk])
        policy.release("twin")
        wanted = said["a"][at]
        assert action.token_ids == wanted.token_ids
        assert (action.summary is None) == (wanted.summary is None)
        restarts += action.summary is not None
        # The record of a fork stands by itself: nothing of its trunk is needed, or there twice.
        for history in ((), said["a"][:at]):
            rows = encode_segments(episode("twin", [recorded(talk, action)]), np.ones(1), history)
            assert len(rows) == 1 + (wanted.summary is not None)
            for row, found in zip(rows, learner.logprobs(rows), strict=True):
                assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4
    assert restarts >= 2


def test_continuations_of_a_real_environment_are_exact_too(tiny):
    """Forks as a tree or a vine plays them, laid out with and without what they were forked from."""
    options = {**OPTIONS, "max_len": 330, "max_summary_tokens": 6, "max_new_tokens": 6, "history": "summarize"}
    policy = HFPolicy(tiny, **options)
    learner = Learner(tiny.model, dtype=torch.float32, lr=1e-3)
    with Runner("thinkact/ZooHours-v0", concurrency=4, lockstep=True) as runner:
        snapshots = {}
        jobs = make_jobs(runner.sample_tasks(2, 0), seed=0, prefix="e")
        episodes = runner.run(jobs, policy, snapshots=snapshots)
        forked = fork(runner, policy, episodes, snapshots, count=1, turns=3, by="even", seed=1)
    assert any(turn.summary for twin in forked.episodes for turn in twin.turns)
    histories = [episodes[index].turns[:turn] for index, turn in forked.parents]
    rows = [
        row
        for twin, history in zip(forked.episodes, histories, strict=True)
        for row in encode_segments(twin, np.ones(len(twin.turns)), history)
    ]
    for row, found in zip(rows, learner.logprobs(rows), strict=True):
        assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4


RUN = {
    "model": {"tiny_hidden": 32, "tiny_layers": 1},
    "env": {"id": "thinkact/ZooHours-v0", "kwargs": {}},
    "sample": {
        **{"concurrency": 12, "max_new_tokens": 8, "max_thought_tokens": 5, "max_summary_tokens": 8},
        **{"max_len": 700, "budget": 400, "history": "summarize"},
    },
    "eval.tasks": 1,
    "sft": {"episodes": 8, "epochs": 1},
    "rl": {"steps": 2, "tasks_per_step": 2, "group_size": 2, "filter": False, "max_rows": None, "updates": 1},
    "checkpoint_seconds": 0,
    "threads": 1,
}


class StopAfter(Quiet):
    """Presses Ctrl-C when the first step of reinforcement has been logged."""

    def figures(self, stage, step, values):
        if (stage, step) == ("rl", 0):
            raise KeyboardInterrupt


def test_a_run_with_summaries_is_repeated_bit_for_bit(tmp_path):
    config = make_config("tiny", overrides={**RUN, "rl.kl_coef": 0.1, "rl.kl_estimator": "k1", "rl.tis_cap": 2.0})
    Trainer(config, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(config, tmp_path / "cut", reporter=StopAfter()).run()
    Trainer(config, tmp_path / "cut", resume=True).run()
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    steps = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    importance = [row["importance"] for row in steps if row["stage"] == "rl"]
    assert importance == pytest.approx([1.0, 1.0], abs=1e-3)  # trainer and sampler agree on every token
    played = [e for step in (0, 1) for e in read_episodes(tmp_path / "whole" / "episodes" / "rl" / f"{step:05d}.jsonl")]
    assert sum(turn.summary is not None for episode in played for turn in episode.turns) >= 4
    # A summary leads to no call, but is no thought that is to be closed.
    assert all(len(turn.summary.token_ids) <= 8 for e in played for turn in e.turns if turn.summary is not None)
    for episode in played:
        rows = encode_segments(episode, np.ones(len(episode.turns)))
        assert sum(int(row.sampled.sum()) for row in rows) == episode.usage.sampled_tokens


def test_a_summary_is_not_asked_for_in_vain(tiny):
    """Where the newest result would not fit behind it, or the episode's tokens end with it."""
    policy = HFPolicy(tiny, **{**OPTIONS, "history": "summarize"})
    talk = Conversation("a", "e", "t", 0, TOOLS, [Message("user", "When?")])
    (action,) = policy.act([talk])
    talk.messages += [Message("assistant", action.text), Message("tool", "zoo " * 600)]
    (last,) = policy.act([talk])
    assert last.stop == "context" and last.summary is None and not last.prompt_ids
    _, _, said = play(tiny, names=("a",), max_episode_tokens=30)
    assert all(turn.summary is None for turn in said["a"])
    with pytest.raises(ValueError, match="raise budget or max_len"):
        HFPolicy(tiny, **{**OPTIONS, "history": "summarize", "budget": 60})
    with pytest.raises(ValueError, match="'drop' or 'summarize'"):
        HFPolicy(tiny, **OPTIONS, budget=300)


def test_a_budget_below_the_engines_length_is_kept(tiny, played):
    _, _, said = play(tiny, names=("a",), max_len=2000, budget=300)
    assert ids(said["a"]) == ids(played[2]["a"])
