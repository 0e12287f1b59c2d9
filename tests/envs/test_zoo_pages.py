"""ZooHours' pages: what they say is true, every needed one is needed, and every other one misleads."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from thinkact.envs.types import SPLITS
from thinkact.envs.zoo import draw
from thinkact.envs.zoo.env import PAGE_CHARS, TOP_K, ZooHoursEnv
from thinkact.envs.zoo.expert import NotFound, read_prompt, solve
from thinkact.envs.zoo.hours import Hours, Notice, Season, clock, next_open, span_on
from thinkact.envs.zoo.index import CityIndex
from thinkact.envs.zoo.questions import QUESTIONS, Asked, answer_of
from thinkact.envs.zoo.read import (
    HoursPage,
    new_name,
    read_clock,
    read_dates,
    read_hours,
    read_news,
    read_prices,
    read_title,
)
from thinkact.envs.zoo.render import (
    HIDDEN_LAYOUTS,
    HOLIDAY_NAMES,
    OPEN_LAYOUTS,
    Style,
    holidays_text,
    hours_text,
    money,
    news_text,
    prices_text,
)
from thinkact.envs.zoo.tasks import LEVELS, Problem, build
from thinkact.envs.zoo.words import LANGS
from thinkact.tools.base import ToolContext
from thinkact.tools.search import Handles, OpenTool, Reading, SearchTool
from thinkact.tools.search.types import Document

STYLES = [
    Style(lang, layout, twelve)
    for lang in LANGS.values()
    for layout in (*OPEN_LAYOUTS, *HIDDEN_LAYOUTS)
    for twelve in ((False, True) if lang.code == "en" else (False,))
]


def problems(level: int, count: int, split: Any = "train") -> list[Problem]:
    found = [build(split, level, number) for number in range(count)]
    assert all(found)
    return [problem for problem in found if problem is not None]


def look_up(prompt: str, pages: tuple[Document, ...]) -> str | None:
    """Let the expert loose on some pages, with the real tools; None when it cannot say."""
    handles, index = Handles(), CityIndex(pages)
    search = SearchTool(index, handles, top_k=TOP_K)
    opener = OpenTool(index, handles, Reading(), page_chars=PAGE_CHARS)
    seeker = solve(prompt)
    action = json.loads(next(seeker))
    for turn in range(40):
        context = ToolContext("0", turn, 1000)
        if "submit" in action:
            return str(action["submit"])
        if "search" in action:
            shown = search.run(search.Arguments(query=action["search"]), context).content
        else:
            wanted = action["open"] if isinstance(action["open"], dict) else {"id": action["open"]}
            shown = opener.run(opener.Arguments(**wanted), context).content
        try:
            action = json.loads(seeker.send(shown))
        except NotFound:
            return None
    raise AssertionError("the expert never ends")


# What is true, and what the pages say.


@pytest.mark.parametrize("split", SPLITS)
def test_the_expert_reads_the_answer_off_the_pages(split: Any) -> None:
    offsets, asked = 0, Counter[str]()
    for level in range(len(LEVELS)):
        env = ZooHoursEnv(split=split, level=level)
        for task_id in env.sample_tasks(42, 7):
            env.reset(options={"task_id": task_id})
            solution = env._solution(env.task, env._hidden_part)
            action, total = next(solution), 0.0
            while True:
                observation, reward, terminated, truncated, info = env.step(action)
                assert not info["invalid_action"], (task_id, action, observation)
                total += reward
                offsets += "offset" in action
                if terminated or truncated:
                    break
                action = solution.send(observation)
            assert abs(total - 1.0) < 1e-9 and info["success"] and terminated, (task_id, env.task.prompt)
            asked[env._hidden_part.question] += 1
    # Long pages are read to their end.
    assert set(asked) == set(QUESTIONS) and offsets > 0


@pytest.mark.parametrize("style", STYLES, ids=lambda s: f"{s.lang.code}-{s.layout}{'-12h' if s.twelve else ''}")
def test_hours_read_back_in_every_layout_and_language(style: Style) -> None:
    rng = random.Random(f"{style.lang.code}{style.layout}{style.twelve}")
    for at in range(40):
        today = date(2030, 1, 1) + timedelta(days=rng.randrange(330))
        hours = draw.hours(rng, today, style, dated=at > 4, last=at % 2 == 0)
        if at % 3:
            hours = replace(hours, holiday=draw.holiday_rule(rng), city="Corhaven", news=at % 3 == 1)
        year = 2030 if at % 4 else None
        assert read_hours(hours_text(style, hours, year), style.lang) == HoursPage(year, hours)


@pytest.mark.parametrize("lang", LANGS.values(), ids=lambda lang: lang.code)
def test_other_pages_read_back(lang: Any) -> None:
    rng, style = random.Random(3), Style(lang, "table")
    for at in range(30):
        today = date(2031, 1, 1) + timedelta(days=rng.randrange(330))
        prices = draw.prices(rng, "Corhaven", tiers=at % 2 == 0)
        assert read_prices(prices_text(style, prices), lang) == prices
        notices = draw.notices(rng, today, today, at % 3 > 0, full=at % 3 == 1)
        assert read_news(news_text(style, notices), lang) == list(notices)
        days = draw.holidays(rng, today, today, at % 2 == 0)
        calendar = holidays_text(lang, list(zip(days, HOLIDAY_NAMES[lang.code], strict=False)))
        assert read_dates(calendar, lang) == list(days)
    moved = lang.now_called.format(old="Tarnby Zoo", new="Zoo Elmford")
    assert new_name(moved, lang) == "Zoo Elmford" and new_name("We are open.", lang) is None
    for sort in ("hours", "prices", "news"):
        title = read_title(f"Tarnby Zoo: {getattr(lang, sort)}")
        assert title is not None and (title.name, title.sort, title.lang) == ("Tarnby Zoo", sort, lang)
    assert read_title(f"Corhaven {lang.guide}: Tarnby Zoo") is None


def test_one_clock_in_all_spellings() -> None:
    for text in ("9:30", "9.30", "9h30", "9:30 am"):
        assert read_clock(text) == 570
    assert [read_clock(text) for text in ("17", "17h", "5 pm", "12 pm", "12 am", "12:30 am")] == [
        1020, 1020, 1020, 720, 0, 30
    ]  # fmt: skip
    for style in STYLES:
        for minutes in range(480, 1231, 15):
            assert read_clock(style.time(minutes)) == minutes == read_clock(style.time(minutes, brief=True))


def test_rules_go_before_one_another_as_the_pages_say() -> None:
    week = (None, (540, 1020), (540, 1020), (540, 1020), (540, 1020), (600, 960), (660, 900))
    hours = Hours((Season(1, 12, week),), holiday="sunday", city="C", news=True)
    monday, tuesday = date(2031, 3, 3), date(2031, 3, 4)
    assert span_on(hours, monday) is None and span_on(hours, tuesday) == (540, 1020)
    assert span_on(hours, monday, [monday]) == (660, 900) == span_on(hours, tuesday, [tuesday])
    late = Notice(tuesday, tuesday, "later", 30)
    assert span_on(hours, tuesday, [tuesday], [late]) == (690, 900)
    assert span_on(hours, tuesday, [], [Notice(monday, tuesday, "closed"), late]) is None
    assert next_open(hours, date(2031, 3, 2), [], []) == tuesday
    assert next_open(hours, date(2031, 3, 2), [monday], []) == monday
    winter = Hours((Season(11, 2, week), Season(3, 10, ((480, 600),) * 7)))
    assert span_on(winter, date(2031, 1, 7)) == (540, 1020) and span_on(winter, tuesday) == (480, 600)


# Every page that is needed is needed, every other one misleads.


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_without_any_one_of_its_pages_a_question_has_no_answer(level: int) -> None:
    counts = Counter[int]()
    for problem in problems(level, 25):
        counts[len(problem.needed)] += 1
        gold = look_up(problem.prompt, problem.pages)
        assert problem.answer.accepts(gold), problem.prompt
        for id in problem.needed:
            rest = tuple(page for page in problem.pages if page.id != id)
            assert not problem.answer.accepts(look_up(problem.prompt, rest)), (problem.number, id)
    wanted = {1: {1}, 2: {1}, 3: {2, 3}, 4: {4}}[level]
    assert set(counts) == wanted


def test_holidays_and_news_could_each_change_the_answer() -> None:
    changed = Counter[str]()
    for problem in [*problems(3, 60), *problems(4, 30)]:
        world, lang = problem.world, LANGS[problem.lang]  # type: ignore[index]
        query = read_prompt(problem.prompt)
        assert query is not None
        days = [world.today + timedelta(days=ahead) for ahead in range(1 if query.kind == "next" else 0, 15)]
        for sort in ("holidays", "news"):
            if sort not in problem.extras:
                continue
            title = next(p.title for p in problem.pages if p.id in problem.needed and sort_of(p.title) == sort)

            def other_page(day: date, sort: str = sort, world: Any = world, lang: Any = lang) -> str:
                if sort == "news":
                    hit = any(n.first <= day <= n.last for n in world.notices)
                    kept = [n for n in world.notices if not n.first <= day <= n.last]
                    return news_text(world.style, kept if hit else [*kept, Notice(day, day, "closed")])
                kept_days = [each for each in world.holidays if each != day]
                listed = kept_days if day in world.holidays else [*kept_days, day]
                return holidays_text(lang, [(each, "Feast") for each in listed])

            def differs(day: date, title: str = title, problem: Problem = problem, make: Any = other_page) -> bool:
                pages = tuple(replace(p, text=make(day)) if p.title == title else p for p in problem.pages)
                return not problem.answer.accepts(look_up(problem.prompt, pages))

            assert any(differs(day) for day in (days if query.kind == "next" else days[:1])), problem.number
            changed[sort] += 1
    assert changed["holidays"] > 40 and changed["news"] > 40


def sort_of(title: str) -> str | None:
    read = read_title(title)
    return read.sort if read else None


def test_pages_that_only_look_right_are_wrong() -> None:
    """Old copies, near-names and guides: read as if they were the page asked for, each gives another answer."""
    wrong = 0
    for problem in [*problems(2, 60), *problems(3, 40)]:
        lang, world = LANGS[problem.lang], problem.world  # type: ignore[index]
        query = read_prompt(problem.prompt)
        assert query is not None and query.name.split(" ")[0] in problem.prompt
        asked = Asked(query.kind, query.who, query.minutes)
        main = next(page for page in problem.pages if page.id == problem.needed[1 if "moved" in problem.extras else 0])
        name = main.title.partition(":")[0]
        for page in problem.pages:
            if page.id in problem.needed or not set(name.split()) <= set(page.title.replace(":", " ").split()):
                continue
            bare = page.text.partition("\nNo need")[0]
            if (found := read_hours(bare, lang)) is not None and asked.kind != "price":
                other = replace(world, hours=found.hours, holidays=(), notices=())
                assert answer_of(asked, other) != problem.answer, (problem.number, page.title)
                wrong += 1
    assert wrong > 200


def test_answers_cannot_be_told_from_the_question() -> None:
    """Either answer to a yes-or-no question is as likely, and no time is much more likely than others."""
    for level in (1, 3):
        seen: dict[str, Counter[str]] = {}
        for problem in problems(level, 300):
            seen.setdefault(problem.question, Counter())[problem.answer.text] += 1
        for kind in ("open", "at"):
            (_, often), *_ = seen[kind].most_common(1)
            assert often / seen[kind].total() < 0.7
        for kind in ("opens", "closes", "last", "price"):
            (_, often), *_ = seen[kind].most_common(1)
            assert often / seen[kind].total() < 0.35, seen[kind]


def test_amounts_and_times_in_words() -> None:
    assert money(LANGS["de"], 950) == "9,50" and money(LANGS["en"], 1205) == "12.05"
    assert clock(570) == "9:30" and clock(1020) == "17:00"
