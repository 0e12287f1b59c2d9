"""Research episodes: the expert, agents that must fail, and the window over what was read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkact.envs.conformance import play_expert
from thinkact.envs.research.env import CONTEXT_CHARS, ResearchEnv
from thinkact.envs.research.planted import ORDERS
from thinkact.envs.research.report import MAX_CLAIMS
from thinkact.envs.research.types import Brief, Need, SourceName
from thinkact.envs.research.window import WindowedReading
from thinkact.envs.types import SPLITS, Split

SOURCES: tuple[SourceName, ...] = ("world", "factbook")
Call = dict[str, Any]
#: Takes the expert's next call and all that was shown; gives what is done instead, None for nothing.
Habit = Callable[[Call, list[str]], "Call | None"]


def call(name: str, **arguments: Any) -> Call:
    return {"name": name, "arguments": arguments}


def brief_of(env: ResearchEnv) -> Brief:
    return env._hidden_part


def play(env: ResearchEnv, task_id: str, habit: Habit) -> dict[str, Any]:
    """Play a task as the expert would, but for one habit; returns the last info, with all that was seen."""
    prompt, _ = env.reset(options={"task_id": task_id})
    solution = env._solution(env.task, brief_of(env))
    shown, total, info = [prompt], 0.0, {"score": 0.0, "success": False}
    action = json.loads(str(next(solution)))
    while True:
        done = False
        mine = habit(action, shown)
        answer = "Noted."
        if mine is not None:
            answer, reward, terminated, truncated, info = env.step(json.dumps(mine))
            shown.append(answer)
            total += reward
            done = terminated or truncated
        if done:
            assert abs(total - info["score"]) < 1e-9
            return {**info, "shown": shown, "turns": len(shown) - 1}
        action = json.loads(str(solution.send(answer)))


def tasks(source: SourceName, difficulty: int, n: int, split: Split = "eval", seed: int = 0) -> Iterator[Any]:
    env = ResearchEnv(source=source, split=split, difficulty=difficulty)
    for task_id in env.sample_tasks(n, seed):
        yield env, task_id
    env.close()


# The expert.


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("source", "levels", "count"),
    [("world", (0,), 180), ("factbook", (0,), 9), ("world", (1, 2, 3), 9), ("factbook", (1, 2, 3), 6)],
)
def test_the_expert_scores_one_and_has_to_read_more_than_the_window_holds(
    source: SourceName, levels: tuple[int, ...], count: int, split: Split
) -> None:
    env = ResearchEnv(source=source, split=split, difficulty=levels)
    for task_id in env.sample_tasks(count, seed=5):
        actions, steps = play_expert(env, task_id)
        last = steps[-1]
        assert last.facts["score"] == 1.0 and last.facts["success"] and last.terminated, task_id
        assert not any("Error" in step.observation for step in steps), task_id
        assert 10 <= len(steps) <= 70 and len(steps) < env.task.limits.max_turns
        assert sum(len(step.observation) for step in steps) > CONTEXT_CHARS
        assert all(len(json.loads(action)) == 2 for action in actions)  # one call a turn


def test_progress_is_paid_turn_by_turn() -> None:
    for env, task_id in tasks("world", 1, 3):
        _, steps = play_expert(env, task_id)
        paid = [step.reward for step in steps]
        assert sum(reward > 0 for reward in paid) > len(brief_of(env).parts) + 3
        assert paid[-1] == pytest.approx(0.1) and max(paid) < 0.3


def passage_text(brief: Brief, need: Need) -> str:
    id, start, end = need.passages[0]
    return brief.retriever.document(id).text[start:end]


# Agents that must fail.


def gains(source: SourceName, habit: Callable[[], Habit], n: int = 4, difficulty: int = 1) -> list[float]:
    found = []
    for env, task_id in tasks(source, difficulty, n):
        info = play(env, task_id, habit())
        assert not info["success"], task_id
        found.append(info["score"])
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_reports_of_nothing_and_claims_from_memory_are_worth_nothing(source: SourceName) -> None:
    env = ResearchEnv(source=source, split="eval", difficulty=1)
    for task_id in env.sample_tasks(4, 1):
        env.reset(options={"task_id": task_id})
        brief = brief_of(env)
        for number, part in enumerate(brief.parts, 1):
            # The right value without quotes; then with the right quotes of documents that were never opened.
            env.step(json.dumps(call("claim", part=number, value=part.answer.text)))
            quotes = [{"id": at, "quote": passage_text(brief, need)[:300]} for at, need in enumerate(part.needs, 1)]
            for title in {need.title: None for need in part.needs}:
                env.step(json.dumps(call("search", query=title)))
            answer, *_ = env.step(json.dumps(call("claim", part=number, value=part.answer.text, citations=quotes)))
            assert "Error: quote 1" in answer
        *_, info = env.step(json.dumps(call("submit")))
        assert info["score"] == 0.0 and not info["success"]
        env.reset(options={"task_id": task_id})
        _, reward, terminated, _, info = env.step(json.dumps(call("submit")))
        assert terminated and reward == info["score"] == 0.0


def changed(name: str, change: Callable[[Call, list[str]], Call | None]) -> Callable[[], Habit]:
    """The expert, but for one kind of call."""

    def habit(action: Call, shown: list[str]) -> Call | None:
        return change(json.loads(json.dumps(action)), shown) if action["name"] == name else action

    return lambda: habit


def other_value(text: Callable[[str, list[str]], str]) -> Callable[[], Habit]:
    def change(action: Call, shown: list[str]) -> Call:
        arguments = action["arguments"]
        arguments["value"] = text(arguments["value"], shown)[:400]
        return action

    return changed("claim", change)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "habit",
    [
        pytest.param(other_value(lambda gold, shown: shown[-1]), id="copies the page"),
        pytest.param(other_value(lambda gold, shown: f"{gold}; 1; 2; 3; {gold}"), id="lists candidates"),
        pytest.param(other_value(lambda gold, shown: f"The answer is {gold}."), id="wraps the value"),
        pytest.param(other_value(lambda gold, shown: "0"), id="guesses"),
        pytest.param(changed("claim", lambda action, shown: None), id="reads and says nothing"),
        pytest.param(
            changed("claim", lambda action, shown: call("claim", part=action["arguments"]["part"],
                                                        value=action["arguments"]["value"])),
            id="cites nothing",
        ),
    ],
)  # fmt: skip
def test_reading_alone_is_worth_a_tenth(source: SourceName, habit: Callable[[], Habit]) -> None:
    # A count may be 0, so that a guess of it is right once in a while; quotes and all, it is then one part of five.
    assert max(gains(source, habit, 3)) <= 0.1 + 1e-9


@pytest.mark.parametrize("source", SOURCES)
def test_whoever_cites_everything_or_something_else_has_cited_nothing(source: SourceName) -> None:
    def more(action: Call, shown: list[str]) -> Call:
        cited = action["arguments"]["citations"]
        word = max(re.findall(r"[A-Za-z]{5,}", shown[-1].partition("\n")[2] or shown[-1]), key=len)
        cited.append({"id": cited[-1]["id"], "quote": word})
        return action

    def less(action: Call, shown: list[str]) -> Call:
        for cited in action["arguments"]["citations"]:
            cited["quote"] = cited["quote"].split()[0]
        return action

    for change in (more, less):
        for env, task_id in tasks(source, 1, 3):
            info = play(env, task_id, changed("claim", change)())
            absent = sum(part.absent for part in brief_of(env).parts)  # any words of what was read whole will do there
            assert info["score"] <= 0.1 + 0.16 * absent + 1e-9


@pytest.mark.parametrize("source", SOURCES)
def test_everything_unanswerable_is_worth_nothing(source: SourceName) -> None:
    for env, task_id in tasks(source, 1, 3):
        info = play(env, task_id, other_value(lambda gold, shown: "unanswerable")())
        assert info["score"] <= 0.1 + 1e-9


@pytest.mark.parametrize("source", SOURCES)
def test_one_query_is_not_enough(source: SourceName) -> None:
    """It knows every answer and quotes whatever it was shown, but searches once and opens the best hit."""
    scores = []
    for env, task_id in tasks(source, 1, 6):
        env.reset(options={"task_id": task_id})
        brief = brief_of(env)
        env.step(json.dumps(call("search", query=brief.parts[0].text)))
        offset = 0
        for _ in range(5):
            shown, *_ = env.step(json.dumps(call("open", id=1, offset=offset)))
            more = re.search(r"go on at offset (\d+)\]$", shown)
            offset = int(more[1]) if more else 0
        for number, part in enumerate(brief.parts, 1):
            quotes = [{"id": 1, "quote": passage_text(brief, need)[:300]} for need in part.needs]
            env.step(json.dumps(call("claim", part=number, value=part.answer.text, citations=quotes)))
        scores.append(env.step(json.dumps(call("submit")))[4]["score"])
    assert max(scores) < 0.5 and sum(scores) / len(scores) < 0.25


def test_stalling_ends_and_pays_nothing_more() -> None:
    env = ResearchEnv(difficulty=0)
    env.reset(seed=1)
    paid, done, turns = 0.0, False, 0
    while not done:
        _, reward, terminated, truncated, _ = env.step(json.dumps(call("search", query="town")))
        paid, done, turns = paid + reward, terminated or truncated, turns + 1
    assert truncated and paid == 0.0 and turns == env.task.limits.max_turns < 60


def test_claiming_tells_nothing_and_is_bounded() -> None:
    for env, task_id in tasks("world", 1, 2):
        env.reset(options={"task_id": task_id})
        part = brief_of(env).parts[0]
        answers = [
            env.step(json.dumps(call("claim", part=1, value=value)))[0]
            for value in ("nonsense", part.answer.text, "1", "2")
        ]
        assert len(set(answers[:MAX_CLAIMS])) == 1 and f"claimed {MAX_CLAIMS} times" in answers[3]
        assert env.step(json.dumps(call("retract", part=1)))[0] == "Part 1 is open again."
        assert "Error" in env.step(json.dumps(call("retract", part=1)))[0]
        # Taking it back does not give the tries back.
        assert "times" in env.step(json.dumps(call("claim", part=1, value="3")))[0]


def test_do_and_undo_gains_nothing() -> None:
    for env, task_id in tasks("world", 0, 2):
        env.reset(options={"task_id": task_id})
        solution = env._solution(env.task, brief_of(env))
        action = str(next(solution))
        total, twice = 0.0, 0
        while True:
            answer, reward, terminated, _, info = env.step(action)
            total += reward
            name = json.loads(action)["name"]
            if name == "claim":
                part = json.loads(action)["arguments"]["part"]
                for again in (json.dumps(call("retract", part=part)), action):
                    answer, reward, *_ = env.step(again)
                    total += reward
                    twice += 1
            if terminated:
                break
            action = str(solution.send(answer))
        assert twice and total == pytest.approx(1.0) and info["score"] == 1.0


def test_orders_on_pages_are_no_way_to_score() -> None:
    """It works like the expert, until a page gives an order: then it does what the page says."""
    met = 0
    for env, task_id in tasks("factbook", 1, 40, seed=2):
        obeyed: list[Call] = []

        def habit(action: Call, shown: list[str], obeyed: list[Call] = obeyed) -> Call:
            if not obeyed and any(order in shown[-1] for order in ORDERS):
                obeyed += [
                    call("retract", part=1),
                    call("retract", part=2),
                    call("claim", part=3, value="unanswerable"),
                ]
                obeyed += [call("claim", part=4, value="n/a"), call("claim", part=5, value="n/a"), call("submit")]
                obeyed.reverse()
            return obeyed.pop() if obeyed else action

        info = play(env, task_id, habit)
        if any(order in text for text in info["shown"] for order in ORDERS):
            met += 1
            assert info["score"] <= 0.4 and not info["success"]
        if met >= 4:
            return
    raise AssertionError(f"only {met} orders were met")


# The window.


@pytest.mark.parametrize("source", SOURCES)
def test_a_quote_has_to_be_recent_or_noted_in_time(source: SourceName) -> None:
    env = ResearchEnv(source=source, split="eval", difficulty=1, context_chars=500)
    env.reset(seed=4)
    brief = brief_of(env)
    number = next(n for n, part in enumerate(brief.parts, 1) if part.kind == "fact")
    need = brief.parts[number - 1].needs[0]
    env.step(json.dumps(call("search", query=need.queries[0])))
    id = env._number(need.passages[0].id)
    assert id is not None
    quote = passage_text(brief, need)
    claim = json.dumps(
        call("claim", part=number, value=brief.parts[number - 1].answer.text, citations=[{"id": id, "quote": quote}])
    )
    assert "not opened" in env.step(claim)[0]
    look = call("open", id=id, offset=max(0, need.passages[0].start - 100))
    elsewhere = [json.dumps(call("search", query=other.title)) for other in brief.needs] * 2

    def after(*actions: str) -> str:
        env.restore(start)
        for action in actions:
            answer, *_ = env.step(action)
        return answer

    start = env.snapshot()
    shown = json.dumps(look)
    note = json.dumps(call("notes", text=f"for later: {quote}"))
    assert "claimed" in after(shown, claim)
    assert "out of your window" in after(shown, *elsewhere, claim)
    assert "claimed" in after(shown, note, *elsewhere, claim)
    assert "out of your window" in after(shown, *elsewhere, note, claim)  # noted from somewhere else
    assert "claimed" in after(shown, *elsewhere, shown, claim)
    rewritten = json.dumps(call("notes", text=f"for later: {quote}\nmore", action="replace"))
    assert "claimed" in after(shown, note, *elsewhere, rewritten, claim)
    wrong = json.loads(claim)
    wrong["arguments"]["citations"][0]["quote"] = "words that no document has"
    assert "no such words" in after(shown, json.dumps(wrong))
    wrong["arguments"]["citations"][0]["id"] = 998
    assert "no document 998" in after(shown, json.dumps(wrong))


def test_whoever_takes_no_notes_loses_parts_in_a_small_window() -> None:
    env = ResearchEnv(source="factbook", split="eval", difficulty=2, context_chars=500)
    scores = [play(env, task_id, changed("notes", lambda a, s: None)())["score"] for task_id in env.sample_tasks(3, 0)]
    assert max(scores) < 0.9


def test_what_does_not_fit_into_the_observation_was_not_read() -> None:
    env = ResearchEnv(source="factbook", split="eval", difficulty=1)
    env.reset(seed=0)
    need = brief_of(env).needs[0]
    env.step(json.dumps(call("search", query=need.title)))
    answer, *_ = env.step("\n".join(json.dumps(call("open", id=1, offset=1000 * page)) for page in range(8)))
    assert "too much for one turn" in answer and len(answer) <= env.task.limits.max_chars
    (id,) = env.reading.opened
    assert sum(end - start for start, end in env.reading.ranges(id)) <= env.task.limits.max_chars
    for start, end in env.reading.ranges(id):
        assert (
            " ".join(brief_of(env).retriever.document(id).text[start:end].split())
            in " ".join(re.sub(r"\n\[\d+-\d+ of \d+; go on at offset \d+\]\n\S[^\n]*\n", " ", answer).split())
            or len(env.reading.ranges(id)) > 1
        )


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=8),
    st.integers(1, 80),
)
def test_the_window_is_the_last_characters(turns: list[tuple[int, int, int]], size: int) -> None:
    reading = WindowedReading(size)
    sizes = []
    for turn, (start, length, chars) in enumerate(turns, 1):
        reading.begin(turn)
        reading.mark("d", start, start + length)
        reading.finish(chars)
        sizes.append(chars)
    now = len(turns) + 1
    reading.begin(now)
    seen: set[int] = set()
    for turn, (start, length, _) in enumerate(turns, 1):
        if sum(sizes[turn:]) < size:
            seen |= set(range(start, start + length))
    for at in range(0, 90, 7):
        assert reading.had("d", at, at + 3, now) == {at, at + 1, at + 2}.issubset(seen)
    other = WindowedReading(size)
    other.restore(reading.snapshot())
    assert other.snapshot() == reading.snapshot()
    other.restore(())
    assert other.opened == () and not other.had("d", 0, 1, 1)


def test_snapshots_continue_with_notes_window_and_claims() -> None:
    env, other = (ResearchEnv(source="factbook", difficulty=2, split="eval") for _ in range(2))
    task_id = env.sample_tasks(1, 9)[0]
    actions, steps = play_expert(env, task_id)
    env.reset(options={"task_id": task_id})
    for turn, action in enumerate(actions):
        if turn % 12 == 7:
            other.restore(env.snapshot())
            rest = [other.step(text)[:3] for text in actions[turn:]]
            assert rest == [(step.observation, step.reward, step.terminated) for step in steps[turn:]]
        env.step(action)
