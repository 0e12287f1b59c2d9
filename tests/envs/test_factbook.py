from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from thinkact.envs.core import ScriptedExpert
from thinkact.envs.factbook.env import FactbookQAEnv
from thinkact.envs.factbook.facts import FIELDS, split_of
from thinkact.envs.factbook.tasks import HOPS, KINDS, factbook_tasks
from thinkact.envs.types import SPLITS, Conversation, Message, Split
from thinkact.tools.search.factbook import factbook_index


def play(env: FactbookQAEnv, task_id: str) -> tuple[float, dict[str, Any], list[str]]:
    prompt, info = env.reset(options={"task_id": task_id})
    expert: ScriptedExpert = env.expert()
    messages = [Message("user", prompt)]
    total = 0.0
    while True:
        conversation = Conversation("0", "test", task_id, 0, env.tool_schemas, messages)
        action = expert.act([conversation])[0]
        observation, reward, terminated, truncated, info = env.step(action.text)
        messages += [Message("assistant", action.text), Message("tool", observation)]
        total += reward
        if terminated or truncated:
            return total, info, [message.content for message in messages]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("hops", HOPS)
def test_expert_scores_one_and_null_zero(split: Split, hops: int) -> None:
    env = FactbookQAEnv(split=split, hops=(hops,))
    for task_id in env.sample_tasks(80 if hops < 3 else 25, seed=1):
        total, info, _ = play(env, task_id)
        assert abs(total - 1.0) < 1e-9 and info["success"], task_id
        env.reset(options={"task_id": task_id})
        for action in ("", "{}", "I refuse.", '{"submit": ""}'):
            _, reward, terminated, truncated, info = env.step(action)
            assert reward == 0.0 and info["score"] == 0.0 and not terminated
            if truncated:
                break
        assert truncated  # a policy that cannot act costs little
        env.reset(options={"task_id": task_id})
        assert env.step('{"submit": "I do not know"}')[1:3] == (0.0, True)


def test_every_hop_query_finds_its_document_early() -> None:
    hops = {hop for entry in factbook_tasks().entries.values() if entry.hops < 3 for hop in entry.build().hops}
    sample = sorted(hops)[::11]
    index = factbook_index()
    found = [hop.title in [hit.title for hit in index.search(hop.queries[0])] for hop in sample]
    assert len(sample) > 300 and np.mean(found) >= 0.97


def test_splits_are_disjoint_and_large_enough() -> None:
    tasks = factbook_tasks()
    for task_id, entry in tasks.entries.items():
        assert task_id.startswith(f"{entry.split}/")
        if entry.kind == "lookup":
            assert split_of(task_id.split("/", 2)[2]) == entry.split
    for hops in (1, 2):
        ids = [i for pool in tasks.pools["eval"][hops].values() for same in pool.values() for i in same]
        assert len(set(ids)) == len(ids) >= 300
    prompts: dict[str, set[str]] = {split: set() for split in SPLITS}
    for entry in tasks.entries.values():
        if entry.hops < 3:
            prompts[entry.split].add(entry.build().text)
    assert not prompts["train"] & prompts["eval"] and not prompts["hidden"] & (prompts["train"] | prompts["eval"])


def test_questions_name_their_answers_nowhere() -> None:
    tasks = factbook_tasks()
    first = total = 0
    for task_id, entry in list(tasks.entries.items())[::7]:
        question = entry.build()
        assert len(question.hops) == entry.hops and entry.hops in KINDS[entry.kind]
        assert len({hop.title for hop in question.hops}) == entry.hops
        assert question.answer.accepts(question.answer.value)
        if question.choice and entry.kind == "compare":
            first += question.text.split(": ")[1].startswith(question.answer.value)
            total += 1
        elif not question.choice and entry.kind != "lookup":
            assert question.answer.value not in task_id.split("/")
    assert total > 200 and abs(first / total - 0.5) < 0.1


def test_answers_can_be_read_in_the_evidence() -> None:
    env = FactbookQAEnv(split="train", hops=(1, 2, 3, 4, 5), templates=tuple(KINDS))
    for task_id in env.sample_tasks(120, seed=3):
        _, _, messages = play(env, task_id)
        question = factbook_tasks().entry(task_id).build()
        read = "\n".join(message for message in messages[2:-2:2] if "\n" in message or ":" in message)
        assert question.answer.value in read


def test_evidence_telescopes_and_pays_once() -> None:
    env = FactbookQAEnv(split="eval", hops=(2,), templates=("reverse",))
    env.reset(seed=5)
    search, open_first = '{"search": "%s"}', None
    question = factbook_tasks().entry(env.task.id).build()
    rewards = []
    for hop in question.hops:
        observation, reward, *_ = env.step(search % hop.queries[0])
        assert reward == 0.0
        number = next(line.split(" ")[0] for line in observation.split("\n") if line.endswith(hop.title))
        open_first = open_first or number
        for _ in range(2):
            if env.snapshot().turn < env.task.limits.max_turns - 1:
                rewards.append(env.step(json.dumps({"open": int(number)}))[1])
    assert rewards == pytest.approx([0.2, 0.0, 0.2, 0.0])
    _, reward, terminated, _, info = env.step(json.dumps({"submit": question.answer.value}))
    assert terminated and reward == pytest.approx(0.6) and info["score"] == pytest.approx(1.0)


def test_a_guess_between_named_options_is_no_answer() -> None:
    env = FactbookQAEnv(split="eval", hops=(2,), templates=("compare",))
    env.reset(seed=0)
    gold = factbook_tasks().entry(env.task.id).build().answer.value
    _, reward, terminated, _, info = env.step(json.dumps({"submit": gold}))
    assert terminated and reward == 0.0 and not info["success"]


def test_candidate_lists_score_nothing() -> None:
    env = FactbookQAEnv(split="eval", hops=(1,))
    for task_id in env.sample_tasks(60, seed=2):
        gold = factbook_tasks().entry(task_id).build().answer.value
        for hack in (f"{gold}, {gold}", f"{gold} or Atlantis", f"Atlantis; {gold}", f"It is {gold}", gold * 3):
            env.reset(options={"task_id": task_id})
            assert env.step(json.dumps({"submit": hack}))[4]["score"] == 0.0, hack


def test_snapshot_and_restore_are_exact() -> None:
    env, other = FactbookQAEnv(split="eval", hops=(2, 3)), FactbookQAEnv(split="eval", hops=(2, 3))
    rng = np.random.default_rng(0)
    env.action_space.seed(0)
    for seed in range(8):
        env.reset(seed=seed)
        actions = [env.action_space.sample() for _ in range(2)] + ['{"search": "France capital"}', '{"open": 1}']
        for action in actions[: int(rng.integers(1, 5))]:
            if env.step(action)[2]:
                env.reset(seed=seed)
        snapshot = env.snapshot()
        rest = ['{"search": "population"}', '{"open": 3}', '{"submit": "1"}']

        def run(target: FactbookQAEnv, rest: list[str] = rest) -> list[Any]:
            out: list[Any] = []
            for action in rest:
                out.append(target.step(action))
                if out[-1][2] or out[-1][3]:
                    break
            return out

        expected = run(env)
        for target in (env, other, env):
            target.restore(snapshot)
            assert target.snapshot() == snapshot
            assert run(target) == expected


SCRIPT = """
import hashlib, sys
from thinkact.envs.factbook.env import FactbookQAEnv
envs = [FactbookQAEnv(split="train", hops=(1, 2, 3, 4, 5, 6), templates="all", renamed=flag) for flag in (False, True)]
digest = hashlib.sha256()
for env in envs:
    env.action_space.seed(0)
for seed in range(30):
    env = envs[seed % 3 == 0]
    prompt, info = env.reset(seed=seed)
    digest.update(repr((prompt, info)).encode())
    solution = env._solution(env.task, env._hidden_part)
    action = next(solution)
    while True:
        out = env.step(action if seed % 2 else env.action_space.sample())
        digest.update(repr(out).encode())
        if out[2] or out[3]:
            break
        if seed % 2:
            action = solution.send(out[0])
print(digest.hexdigest())
"""


def test_same_seed_and_actions_give_the_same_bytes_in_another_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_gymnasium_has_nothing_to_say() -> None:
    name = "thinkact-tests/FactbookQA-v0"
    gym.register(name, entry_point=FactbookQAEnv)
    try:
        for render_mode in (None, "ansi"):
            check_env(gym.make(name, render_mode=render_mode, split="eval").unwrapped)
    finally:
        del gym.registry[name]


def test_knobs_are_checked() -> None:
    with pytest.raises(ValueError, match="hops"):
        FactbookQAEnv(hops=(7,))
    with pytest.raises(ValueError, match="hops"):
        FactbookQAEnv(hops=())
    with pytest.raises(ValueError, match="captial"):
        FactbookQAEnv(templates=("captial",))
    with pytest.raises(ValueError, match="No 2-hop"):
        FactbookQAEnv(hops=(1, 2), templates=("capital",))
    with pytest.raises(ValueError, match="no task"):
        FactbookQAEnv().reset(options={"task_id": "eval/capital/Atlantis"})
    env = FactbookQAEnv(hops=1, templates=("capital", "who"))
    kinds = {factbook_tasks().entry(task_id).template for task_id in env.sample_tasks(80, 0)}
    assert "capital" in kinds and all(kind == "capital" or kind.startswith("country<") for kind in kinds)
    assert set(env.task_ids()) >= set(env.sample_tasks(20, 1))
    assert len(FIELDS) >= 12


def test_opening_what_was_not_listed_changes_nothing() -> None:
    env = FactbookQAEnv()
    env.reset(seed=0)
    before = env.snapshot().tools
    env.step('{"open": 1}')
    assert env.snapshot().tools == before
