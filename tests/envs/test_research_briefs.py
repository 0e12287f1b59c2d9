"""Briefs of Research: answers that follow from the passages alone, splits apart, and the score's formula."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkact.envs.factbook.facts import split_of
from thinkact.envs.research.briefs import LEVELS, build, source_of
from thinkact.envs.research.env import CONTEXT_CHARS, ResearchEnv
from thinkact.envs.research.parts import HIDDEN_PLAN, OPEN_PLAN
from thinkact.envs.research.report import Claim, Report
from thinkact.envs.research.score import Scorer
from thinkact.envs.research.types import Brief, Need, Part, SourceName
from thinkact.envs.types import SPLITS, Split
from thinkact.envs.world.schema import BY_KEY
from thinkact.tools.search import Reading

SOURCES: tuple[SourceName, ...] = ("world", "factbook")


def brief_of(env: ResearchEnv) -> Brief:
    return env._hidden_part


def passage_text(brief: Brief, need: Need) -> str:
    id, start, end = need.passages[0]
    return brief.retriever.document(id).text[start:end]


def number_in(text: str) -> Decimal:
    return Decimal(re.findall(r"\d[\d,]*(?:\.\d+)?", text)[-1].replace(",", ""))


def proved(brief: Brief, part: Part) -> list[str] | None:
    """Work the answer out anew, from the passages alone; None for kinds that a passage alone does not prove."""
    values = [passage_text(brief, need) for need in part.needs]
    names = [need.title.rsplit(": ")[-1] for need in part.needs]
    if part.kind in ("most", "least"):
        best = max if part.kind == "most" else min
        return [names[values.index(best(values, key=number_in))]]
    numbers = [number_in(value) for value in values if re.search(r"\d", value)]
    if part.kind == "total":
        return [f"{sum(numbers):f}"]
    if part.kind == "range":
        return [f"{max(numbers) - min(numbers):f}"]
    if part.kind in ("count", "which"):
        found = re.search(r"(?:more than|above) (\d[\d,]*(?:\.\d+)?)", part.text)
        assert found is not None
        bar = number_in(found[1])
        above = [name for name, number in zip(names, numbers, strict=True) if number > bar]
        return [str(len(above))] if part.kind == "count" else above
    if part.kind == "order" and "smallest first" in part.text:
        return [name for _, name in sorted(zip(numbers, names, strict=True))]
    return None


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("split", SPLITS)
def test_answers_follow_from_the_passages(source: SourceName, split: Split) -> None:
    checked = 0
    for number in range(12):
        brief = build(split, source, 2 + number % 2, 12, number, CONTEXT_CHARS)
        for part in brief.parts:
            if (answer := proved(brief, part)) is not None:
                assert part.answer.accepts("; ".join(answer)), (brief.text, part, answer)
                checked += 1
            if part.kind == "fact":
                assert part.answer.text in passage_text(brief, part.needs[0])
            if part.absent:
                assert part.answer.kind == "unanswerable"
            if part.kind != "count":
                assert part.answer.text.lower() not in ("0", "")
    assert checked > 40


def test_what_a_world_leaves_out_stands_on_no_page() -> None:
    checked = 0
    for number in range(25):
        source = source_of("world", "train", 2, 8, number)
        pages = [source.retriever.document(id).text for id in source._pages.ids]  # type: ignore[attr-defined]
        everything = "\n".join(pages)
        for subject in source.groups[0]:
            for relation in source.relations:
                if source.absence(subject, relation) is not None:
                    for said in (*BY_KEY[relation.key].said, *BY_KEY[relation.key].news):
                        sentence = re.escape(said).replace(r"\{s\}", re.escape(subject)).replace(r"\{v\}", "[^.]*")
                        assert not re.search(rf"(?:^|\. |\n){sentence}", everything), (subject, relation.key)
                    checked += 1
    assert checked > 20


def test_what_a_country_page_leaves_out_is_named_nowhere_on_it() -> None:
    words = {"heliports": "heliport", "railways": "railway", "ships": "merchant marine", "reactors": "nuclear"}
    checked = 0
    for split in SPLITS:
        source = source_of("factbook", split, 0, 3, 0)
        for country in source.groups[0]:
            for relation in source.relations:
                if (absence := source.absence(country, relation)) is not None:
                    assert words[relation.key] not in source.retriever.document(country).text.lower()
                    assert source.statement(country, relation) is None
                    id, start, end = absence.need.passages[0]
                    assert source.retriever.document(id).text[start:end].startswith("== ")
                    checked += 1
    assert checked > 60


def test_a_lone_part_that_may_have_no_answer_often_has_one() -> None:
    kinds = [{part.kind for part in build("train", "world", 0, 3, number, CONTEXT_CHARS).parts} for number in range(60)]
    assert 15 < sum("missing" in found for found in kinds) < 45
    assert all(("missing" in found) != ("fact" in found) for found in kinds)


def test_splits_share_no_subjects_and_hidden_has_templates_of_its_own() -> None:
    countries = {split: set(source_of("factbook", split, 0, 3, 0).groups[0]) for split in SPLITS}
    assert not countries["train"] & (countries["eval"] | countries["hidden"]) and min(map(len, countries.values())) > 25
    for split in SPLITS:
        assert {split_of(country) for country in countries[split]} == {split}
        for number in range(10):
            brief = build(split, "factbook", 3, 12, number, CONTEXT_CHARS)
            assert {need.passages[0].id for need in brief.needs} <= countries[split]
    worlds = {split: build(split, "world", 0, 3, 0, CONTEXT_CHARS).text for split in SPLITS}
    assert len(set(worlds.values())) == 3
    assert set(HIDDEN_PLAN) - set(OPEN_PLAN) == {"least", "range", "which"}
    openings = {split: {" ".join(part.text.split()[:2]) for n in range(20) for part in
                        build(split, "factbook", 1, 5, n, CONTEXT_CHARS).parts} for split in SPLITS}  # fmt: skip
    assert openings["train"] & openings["eval"] and not openings["hidden"] & (openings["train"] | openings["eval"])


@pytest.mark.parametrize("source", SOURCES)
def test_briefs_have_the_parts_they_promise(source: SourceName) -> None:
    for level, knobs in enumerate(LEVELS):
        for parts in (None, 4, 12):
            env = ResearchEnv(source=source, difficulty=level, parts=parts)
            prompt, info = env.reset(seed=3)
            found = brief_of(env).parts
            assert len(found) == (parts or knobs.parts) and f"\n{len(found)}. " in prompt
            assert info["context_chars"] == CONTEXT_CHARS and str(CONTEXT_CHARS) in prompt
            assert all(base < number for number, part in enumerate(found, 1) for base in part.base)
            assert len({part.text for part in found}) == len(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["right", "unquoted", "wrong", "open"]), min_size=5, max_size=5), st.booleans())
def test_the_score_is_the_formula(states: list[str], submitted: bool) -> None:
    brief = build("train", "world", 1, 5, 0, CONTEXT_CHARS)
    reading, report = Reading(), Report()
    for need in brief.needs:
        for passage in need.passages:
            reading.mark(*passage)
    report.reset(5)
    for number, (state, part) in enumerate(zip(states, brief.parts, strict=True), 1):
        quotes = tuple(need.passages for need in part.needs)
        if state != "open":
            value = "nothing like it" if state == "wrong" else part.answer.text
            report.claims[number] = Claim(value, () if state == "unquoted" else quotes)
    checks = Scorer(brief).checks(report, reading, submitted=submitted)
    right = [state == "right" for state in states]
    right = [good and all(right[base - 1] for base in part.base) for good, part in zip(right, brief.parts, strict=True)]
    wrong = states.count("wrong")
    expected = 0.8 * max(0, sum(right) - wrong) / 5 + 0.1
    expected += 0.1 * (submitted and not wrong and 2 * sum(right) >= 5)
    assert sum(check.weight for check in checks if check.passed) == pytest.approx(expected)
    assert sum(check.weight for check in checks) == pytest.approx(1.0)
    assert len({check.name for check in checks}) == len(checks)


def test_gold_answers_are_for_training_only() -> None:
    for split in SPLITS:
        env = ResearchEnv(split=split)
        env.reset(seed=0)
        gold = env.gold()
        assert (gold is None) == (split == "hidden")
        if gold is not None:
            lines = [line.partition(". ")[2] for line in gold.split("\n")]
            assert all(part.answer.accepts(line) for part, line in zip(brief_of(env).parts, lines, strict=True))
        assert env.versions()["index"]


SCRIPT = """
import hashlib
from thinkact.envs.conformance import play_expert
from thinkact.envs.research.env import ResearchEnv
digest = hashlib.sha256()
for source in ("world", "factbook"):
    env = ResearchEnv(source=source, difficulty=(1, 2), split="hidden")
    env.action_space.seed(0)
    for seed in range(2):
        prompt, info = env.reset(seed=seed)
        digest.update(repr((prompt, info)).encode())
        for _ in range(15):
            digest.update(repr(env.step(env.action_space.sample())).encode()) if not env._episode.done else None
        digest.update(repr(play_expert(env, info["task_id"])).encode())
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_hashing() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_knobs_and_ids_are_checked() -> None:
    for wrong in (
        {"source": "web"},
        {"difficulty": 4},
        {"difficulty": ()},
        {"difficulty": (True,)},
        {"parts": 2},
        {"parts": 13},
        {"context_chars": 100},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ResearchEnv(**wrong)  # type: ignore[arg-type]
    env = ResearchEnv()
    for task_id in ("train/world/9/3/1200/1", "train/world/0/2/1200/1", "train/web/0/3/1200/1", "train/world/0/3/100/1",
                    "train/world/0/3/1200/01", "train/world/0/3/1200/1 ", "test/world/0/3/1200/1"):  # fmt: skip
        with pytest.raises(ValueError, match="no task"):
            env.reset(options={"task_id": task_id})
