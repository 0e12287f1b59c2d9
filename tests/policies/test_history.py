"""Episodes that outgrow their context: old results are dropped, and every token stays exact."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

import numpy as np  # noqa: E402

from thinkact.envs import Conversation, Message  # noqa: E402
from thinkact.policies.episode import Episode, Turn  # noqa: E402
from thinkact.policies.hf import HFPolicy  # noqa: E402
from thinkact.policies.learner import Learner, rows_of  # noqa: E402
from thinkact.policies.learner_rows import encode_sampled, encode_segments  # noqa: E402
from thinkact.policies.models import build_tiny  # noqa: E402

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {"type": "string"}}}}}]
MAX_LEN, TURNS = 400, 14


@pytest.fixture(scope="module")
def loaded():
    return build_tiny(
        [
            "a, result 1: zoo hours zoo hours",
            "[10 characters dropped]",
            "Reply with one JSON tool call: ",
            "user\n",
            "assistant\n",
            "system\n",
        ],
        vocab_size=420,
        hidden=32,
        layers=2,
        heads=2,
        seed=0,
    )


def results(name):
    return [f"{name}, result {turn}: " + "zoo hours " * (14 + turn % 5 * 8) for turn in range(TURNS)]


def play(loaded, names=("a", "b"), **options):
    """Play conversations whose results alone outgrow the context several times."""
    options = {"max_new_tokens": 12, "max_slots": 4, "max_len": MAX_LEN, "dtype": torch.float32, **options}
    policy = HFPolicy(loaded, **options)
    talks = [Conversation(name, "e", "t", at, TOOLS, [Message("user", "When?")]) for at, name in enumerate(names)]
    turns = {name: [] for name in names}
    for turn in range(TURNS):
        live = [talk for talk in talks if not turns[talk.id] or turns[talk.id][-1].stop != "context"]
        for talk, action in zip(live, policy.act(live), strict=True):
            assert len(policy.engine.tokens(policy._live[talk.id].slot)) <= policy.engine.max_len
            turns[talk.id].append(
                Turn(
                    observation=talk.messages[-1].content,
                    action=action.text,
                    result="",
                    reward=0.0,
                    stop=action.stop,
                    prompt_ids=action.prompt_ids,
                    token_ids=action.token_ids,
                    logprobs=action.logprobs,
                    restart=action.restart,
                )
            )
            talk.messages += [Message("assistant", action.text), Message("tool", results(talk.id)[turn])]
    return policy, talks, turns


def episode(name, turns):
    fields = {"env_id": "e", "family": "f", "env_version": "0", "task_id": name, "split": "train", "seed": 0}
    return Episode(id=name, policy="p", turns=turns, truncated=True, score=0.0, success=False, **fields)


def test_an_episode_goes_on_in_a_shorter_context(loaded):
    _, _, cut = play(loaded)
    policy, talks, turns = play(loaded, history="drop")
    for talk in talks:
        assert cut[talk.id][-1].stop == "context" and len(cut[talk.id]) < TURNS
        mine = turns[talk.id]
        assert len(mine) == TURNS and all(turn.token_ids for turn in mine)
        restarts = [at for at, turn in enumerate(mine) if turn.restart]
        assert 1 < len(restarts) < TURNS / 2  # now and then, not at every turn
        # Up to the first one, both are the same.
        assert [turn.token_ids for turn in mine[: restarts[0]]] == [t.token_ids for t in cut[talk.id][: restarts[0]]]
        for at in restarts:
            text = policy.codec.decode(mine[at].prompt_ids)
            newest = results(talk.id)[at - 1].strip()
            assert newest in text and "characters dropped]" in text
            assert results(talk.id)[0].strip() not in text
            # What was sampled is still there, as the ids it was, but for the oldest turns.
            fed, found, forgotten = mine[at].prompt_ids, 0, 0
            for turn in mine[:at]:
                said = turn.token_ids
                where = next((i for i in range(found, len(fed)) if fed[i : i + len(said)] == said), None)
                assert where is not None or found == 0
                forgotten, found = forgotten + (where is None), found if where is None else where + len(said)
            assert forgotten < at - 1


def test_every_segment_is_what_the_model_saw(loaded):
    """Per segment, the recorded log-probabilities are those of one pass of the learner over its ids."""
    _, talks, turns = play(loaded, history="drop", temperature=0.9)
    learner = Learner(loaded.model, dtype=torch.float32, lr=1e-3, temperature=0.9)
    for talk in talks:
        whole = episode(talk.id, turns[talk.id])
        rows = encode_segments(whole, np.arange(1.0, TURNS + 1))
        assert len(rows) == 1 + sum(turn.restart for turn in whole.turns)
        assert sum(int(row.sampled.sum()) for row in rows) == sum(len(turn.token_ids) for turn in whole.turns)
        assert all(len(row.ids) <= MAX_LEN for row in rows)
        assert sorted({float(v) for row in rows for v in row.advantage[row.sampled]}) == list(range(1, TURNS + 1))
        for row, found in zip(rows, learner.logprobs(rows), strict=True):
            assert np.abs(found - row.logprob)[row.sampled].max() < 1e-4
        with pytest.raises(ValueError, match="encode_segments"):
            encode_sampled(whole, np.zeros(TURNS))


def test_a_segment_without_credit_is_left_out(loaded):
    _, _, turns = play(loaded, names=("a",), history="drop")
    whole = episode("a", turns["a"])
    first = next(at for at, turn in enumerate(whole.turns) if turn.restart)
    values = np.zeros(TURNS)
    values[first] = 1.0
    (row,) = rows_of([whole], [values])
    assert row.ids[: len(whole.turns[first].prompt_ids)].tolist() == whole.turns[first].prompt_ids
    assert row.advantage.sum() == len(whole.turns[first].token_ids)


def test_a_fork_of_a_shortened_episode_goes_on_alike(loaded):
    """Resumed from its record, a conversation samples what it would have sampled."""
    policy, talks, turns = play(loaded, names=("a",), history="drop")
    talk = talks[0]
    (wanted,) = policy.act([talk])
    policy.release("a")
    policy.resume("a", turns["a"])
    (found,) = policy.act([talk])
    assert found.token_ids == wanted.token_ids


def test_a_single_result_that_does_not_fit_still_ends_the_episode(loaded):
    policy = HFPolicy(loaded, max_new_tokens=12, max_slots=1, max_len=200, dtype=torch.float32, history="drop")
    talk = Conversation("a", "e", "t", 0, TOOLS, [Message("user", "When?")])
    (action,) = policy.act([talk])
    talk.messages += [Message("assistant", action.text), Message("tool", "zoo " * 400)]
    (last,) = policy.act([talk])
    assert last.stop == "context" and not last.restart and not last.prompt_ids
    with pytest.raises(ValueError, match="'cut', 'drop', 'summarize'"):
        HFPolicy(loaded, history="summary")
