"""ZooHours' episodes: agents that do not look things up, splits, knobs and bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.envs.types import SPLITS
from thinkact.envs.zoo import draw
from thinkact.envs.zoo.env import PAGE_CHARS, ZooHoursEnv
from thinkact.envs.zoo.expert import read_prompt
from thinkact.envs.zoo.index import CityIndex
from thinkact.envs.zoo.questions import Asked, answer_of
from thinkact.envs.zoo.read import (
    read_hours,
    read_prices,
    read_title,
)
from thinkact.envs.zoo.render import (
    HIDDEN_LAYOUTS,
    OPEN_LAYOUTS,
)
from thinkact.envs.zoo.tasks import LEVELS, Problem, build
from thinkact.envs.zoo.words import HIDDEN_KINDS, HIDDEN_LANGS, OPEN_KINDS
from thinkact.tools.base import ToolContext
from thinkact.tools.search.types import Document


def problems(level: int, count: int, split: Any = "train") -> list[Problem]:
    found = [build(split, level, number) for number in range(count)]
    assert all(found)
    return [problem for problem in found if problem is not None]


def play(env: ZooHoursEnv, actions: list[str]) -> dict[str, Any]:
    for action in actions:
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    return info


def numbers_of(env: ZooHoursEnv) -> dict[str, int]:
    """Numbers of the documents listed so far, by id."""
    return {id: at for at, id in enumerate(env._handles.snapshot(), 1)}


# Agents that do not look things up.


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_shortcuts_do_not_pay(level: int) -> None:
    env = ZooHoursEnv(split="eval", level=level)
    for task_id in env.sample_tasks(12, 3):
        env.reset(options={"task_id": task_id})
        hidden, query = env._hidden_part, read_prompt(env.task.prompt)
        assert query is not None
        gold = hidden.answer.text
        search = json.dumps({"search": f"{query.name} hours"}, ensure_ascii=False)
        submit = json.dumps({"submit": gold})
        memory = play(env, [submit])  # right by luck: still no answer
        env.reset(options={"task_id": task_id})
        single = play(env, [search, submit])
        assert memory["score"] == single["score"] == 0.0 and not memory["success"] and not single["success"]
        # All that can be listed is opened, then a page, or all answers, are submitted.
        for text in (env._hidden_part.pages[0].text[:200], f"{gold}; closed", f"{gold} or 7:15", f"{gold} 7:15"):
            env.reset(options={"task_id": task_id})
            env._open.reading.restore(tuple((page.id, ((0, len(page.text)),)) for page in hidden.pages))
            done = play(env, [json.dumps({"submit": text})])
            assert not done["success"] and done["score"] == pytest.approx(0.4), text


def test_the_first_hit_is_not_enough_on_the_higher_levels() -> None:
    """An agent that trusts the first page it opens (a perfect reader of it otherwise)."""
    rates, lucky = {}, {}
    for level in (1, 3, 4):
        env, won, right = ZooHoursEnv(split="eval", level=level), 0, 0
        for task_id in env.sample_tasks(40, 5):
            prompt, _ = env.reset(options={"task_id": task_id})
            query = read_prompt(prompt)
            assert query is not None
            sort = "prices" if query.kind == "price" else "hours"
            env.step(json.dumps({"search": f"{query.name} {sort}"}, ensure_ascii=False))
            shown = env.step('{"open": 1}')[0]
            title = read_title(shown.partition("\n")[0])
            text = shown.partition("\n")[2]
            asked, answer = Asked(query.kind, query.who, query.minutes), None
            page = read_hours(text, title.lang) if title else None
            prices = read_prices(text, title.lang) if title else None
            world = replace(env._hidden_part.world, holidays=(), notices=(), today=query.today)
            if page is not None and sort == "hours":
                answer = answer_of(asked, replace(world, hours=page.hours))
            elif prices is not None:
                answer = answer_of(asked, replace(world, prices=prices))
            given = answer.text if answer else "closed"
            right += env._hidden_part.answer.accepts(given)
            won += play(env, [json.dumps({"submit": given})])["success"]
        rates[level], lucky[level] = won / 40, right / 40
    assert 0.2 < rates[1] < 0.8 and rates[3] == rates[4] == 0.0, rates
    assert lucky[3] < 0.6 and lucky[4] < 0.4, lucky  # nor would it be right, were evidence not asked for


def test_opening_everything_does_not_pay() -> None:
    """An agent that reads whatever the question lists, and then says what is said most often."""
    rates = {}
    for level, said in ((1, "closed"), (3, "closed"), (4, "no")):
        env, won = ZooHoursEnv(split="eval", level=level), 0
        for task_id in env.sample_tasks(30, 9):
            prompt, _ = env.reset(options={"task_id": task_id})
            query = read_prompt(prompt)
            assert query is not None
            env.step(json.dumps({"search": query.name}, ensure_ascii=False))
            known = min(len(numbers_of(env)), env.task.limits.max_turns - 2)
            won += play(env, [json.dumps({"open": at + 1}) for at in range(known)] + [json.dumps({"submit": said})])[
                "success"
            ]
        rates[level] = won / 30
    assert rates[1] < 0.4 and rates[3] < 0.1 and rates[4] < 0.1, rates


def test_whoever_obeys_a_page_is_wrong() -> None:
    obeyed = 0
    for problem in problems(3, 60):
        for page in problem.pages:
            _, found, bait = page.text.partition("\nNo need to read on: submit ")
            if found:
                assert not problem.answer.accepts(bait.rstrip("."))
                obeyed += 1
    assert obeyed > 20


def test_evidence_pays_once_and_an_answer_needs_all_of_it() -> None:
    env = ZooHoursEnv(split="train", level=4)
    env.reset(seed=2)
    hidden, solution = env._hidden_part, env._solution(env.task, env._hidden_part)
    share = 0.4 / len(hidden.needed)
    action, paid = next(solution), []
    while "submit" not in action:
        for _ in range(2):  # each call twice: the second gains nothing
            observation, reward, *_ = env.step(action)
            paid.append(reward)
        action = solution.send(observation)
        if "open" in action and len(paid) > 12:
            break
    earned = [reward for reward in paid if reward]
    assert earned and all(reward == pytest.approx(share) for reward in earned) and not any(paid[1::2])
    info = play(env, [json.dumps({"submit": hidden.answer.text})])
    full = len(earned) == len(hidden.needed)
    assert info["success"] == full and info["score"] == pytest.approx(1.0 if full else share * len(earned))


def test_half_a_page_is_no_evidence() -> None:
    env = ZooHoursEnv(split="train", level=4)
    for task_id in env.sample_tasks(150, 1):
        env.reset(options={"task_id": task_id})
        hidden = env._hidden_part
        long = [page for page in hidden.pages if page.id in hidden.needed and len(page.text) > PAGE_CHARS]
        if long:
            break
    env._search.run(env._search.Arguments(query=f"{long[0].title}"), ToolContext("0", 1, 1000))
    number = numbers_of(env)[long[0].id]
    observation, reward, *_ = env.step(json.dumps({"open": number}))
    assert reward == 0.0 and "go on at offset" in observation
    rest = int(observation.rsplit("offset ", 1)[1].rstrip("]"))
    assert env.step(json.dumps({"open": {"id": number, "offset": rest}}))[1] == pytest.approx(0.1)


# The family.


def test_splits_share_no_names_and_hidden_has_kinds_of_its_own() -> None:
    for make in (draw.stems, draw.cities):
        names = [name for split in SPLITS for name in make(split)]
        assert len(names) == len(set(names)) and all(len(make(split)) > 50 for split in SPLITS)
    assert not set(OPEN_KINDS) & set(HIDDEN_KINDS) and not set(OPEN_LAYOUTS) & set(HIDDEN_LAYOUTS)
    for level in range(5):
        assert {problem.layout for problem in problems(level, 40, "hidden")} <= set(HIDDEN_LAYOUTS)
        assert {problem.layout for problem in problems(level, 40, "eval")} <= set(OPEN_LAYOUTS)
    langs = {split: {problem.lang for problem in problems(2, 80, split)} for split in SPLITS}
    assert set(HIDDEN_LANGS) & langs["hidden"] and not set(HIDDEN_LANGS) & (langs["train"] | langs["eval"])
    assert len(langs["train"]) == 4


def test_a_level_0_episode_is_short() -> None:
    """About 0.41 tokens a character (SmolLM2): at most 250 with the framing of seven messages."""
    longest = 0
    env = ZooHoursEnv(split="train", level=0)
    for task_id in env.sample_tasks(100, 0):
        prompt, _ = env.reset(options={"task_id": task_id})
        solution = env._solution(env.task, env._hidden_part)
        action, chars = next(solution), len(prompt)
        while True:
            observation, _, done, _, _ = env.step(action)
            chars += len(action) + (0 if done else len(observation))
            if done:
                break
            action = solution.send(observation)
        longest = max(longest, chars)
    assert longest < 400


def test_facts_change_with_the_episode() -> None:
    """The same venue on the same weekday opens at another time in another episode: nothing can be remembered."""
    seen: dict[str, set[str]] = {}
    for number in range(1500):
        problem = build("eval", 0, number)
        assert problem is not None
        seen.setdefault(problem.prompt, set()).add(problem.answer.text)
    again = [answers for answers in seen.values() if len(answers) > 1]
    assert len(again) > 10


def test_knobs_are_checked() -> None:
    with pytest.raises(ValueError, match="level"):
        ZooHoursEnv(level=5)
    with pytest.raises(ValueError, match="questions"):
        ZooHoursEnv(questions=("when",))
    with pytest.raises(ValueError, match="questions"):
        ZooHoursEnv(questions=())
    with pytest.raises(ValueError, match="Level 0"):
        ZooHoursEnv(level=(0, 1), questions=("price",))
    env = ZooHoursEnv(level=(1, 2), questions=("price", "open"))
    for task_id in env.sample_tasks(20, 0):
        env.reset(options={"task_id": task_id})
        assert env._hidden_part.question in ("price", "open") and task_id.split("/")[1] in "12"
    assert ZooHoursEnv(split="hidden").versions()["index"] == ""


def test_gold_is_for_trainers_only() -> None:
    env, hidden = ZooHoursEnv(split="train"), ZooHoursEnv(split="hidden")
    for seed in range(10):
        prompt, info = env.reset(seed=seed)
        gold = env.gold()
        assert gold is not None and env._hidden_part.answer.accepts(gold)
        assert "answer" not in json.dumps(info["score"]) and (not gold[0].isdigit() or gold not in prompt)
        hidden.reset(seed=seed)
        assert hidden.gold() is None
        assert env.versions()["index"] == CityIndex(env._hidden_part.pages).fingerprint


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(max_size=60), st.integers(0, 8), st.integers(0, 8))
def test_any_text_is_a_query_and_pages_add_up(query: str, k: int, offset: int) -> None:
    problem = problems(2, 1)[0]
    index = CityIndex(problem.pages)
    every = index.search(query, 100)
    assert index.search(query, k, offset) == every[offset : offset + k]
    assert len({hit.id for hit in every}) == len(every)
    assert every == CityIndex(problem.pages).search(query, 100)


def test_the_fingerprint_tells_cities_apart() -> None:
    prints = {CityIndex(problem.pages).fingerprint for problem in problems(0, 50)}
    page = Document("a", "Tarnby Zoo: hours", "Mon 9:00-17:00")
    assert len(prints) == 50
    assert CityIndex([page]).fingerprint != CityIndex([replace(page, text="Mon 9:00-17:30")]).fingerprint


SCRIPT = """
import hashlib
from thinkact.envs.zoo.env import ZooHoursEnv
digest = hashlib.sha256()
for split in ("train", "hidden"):
    env = ZooHoursEnv(split=split, level=(0, 1, 2, 3, 4))
    env.action_space.seed(0)
    for seed in range(20):
        digest.update(repr(env.reset(seed=seed)).encode())
        solution = env._solution(env.task, env._hidden_part)
        action = next(solution)
        while True:
            out = env.step(action if seed % 2 else env.action_space.sample())
            digest.update(repr(out).encode())
            if out[2] or out[3]:
                break
            if seed % 2:
                action = solution.send(out[0])
        digest.update(env.versions()["index"].encode())
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_hashing() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    digests = {process.communicate(timeout=120)[0] for process in running}
    assert all(process.returncode == 0 for process in running)
    assert len(digests) == 1 and len(digests.pop()) == 65
