"""The benchmark of estimators on a model: its figures against runs whose answers are known, and what it keeps."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("learning_estimators"), importlib.import_module("learning_estimators_report")


def result(scores: list[float], start: float, end: float) -> dict[str, Any]:
    stages = {"start": start, "middle": (start + end) / 2, "end": end}
    kinds = dict.fromkeys(("env_steps", "fork_steps", "trained_tokens", "cpu_seconds"), 1.0)
    held_out = {stage: {"score": value, "success": value} for stage, value in stages.items()}
    return {"score": scores, "success": scores, "held_out": held_out, **kinds}


def test_arms_are_compared_seed_by_seed(scripts):
    _, figures = scripts
    # Seeds differ by far more than arms: unpaired, the arms could not be told apart.
    done = {}
    for seed, level in enumerate([0.1, 0.5, 0.3]):
        for arm, gain in (("grpo", 0.0), ("memory_td", 0.05), ("rloo", -0.05 if seed else 0.1)):
            scores = [level, level + gain, level + gain, level + gain]
            done[figures.Run("some", arm, seed, "x")] = result(scores, level, level + gain)
    # An arm may have fewer seeds; it is compared on those alone.
    del done[figures.Run("some", "rloo", 2, "x")]
    found = figures.report(done, {"some": figures.Place({})})
    arms = found["places"]["some"]["arms"]
    assert arms["memory_td"]["area_minus_grpo"] == pytest.approx([0.05, 0.05, 0.05])
    assert arms["memory_td"]["ahead_of_grpo"] == [3, 3] and "area_minus_grpo" not in arms["grpo"]
    assert arms["rloo"]["ahead_of_grpo"] == [1, 2]
    assert arms["rloo"]["area_minus_grpo"][1:] == pytest.approx([-0.05, 0.1])
    assert found["places"]["some"]["curve_seeds"] == [0, 1]
    assert found["over_places"]["memory_td"]["area_minus_grpo"] == pytest.approx([0.05, 0.05, 0.05])
    assert found["over_places"]["rloo"]["seeds"] == [0, 1]
    assert figures.report(done, {"some": figures.Place({})}) == found


def test_half_way_is_counted_in_batches_that_were_played(scripts):
    _, figures = scripts
    at_once = result([0.2, 0.9, 0.9, 0.9, 0.9], 0.2, 0.9)
    assert figures.batches_to(at_once, 1.0) == 3  # the mean of the first three is above 0.6
    assert figures.batches_to(result([0.2, 0.2, 0.2, 0.9, 0.9], 0.2, 0.9), 1.0) == 5
    assert figures.batches_to(result([0.2] * 5, 0.2, 0.9), 1.0) == 6
    # The first batch is the same for all arms, and counts for none of them.
    assert figures.area(result([0.0, 0.6, 0.6], 0.0, 0.6)) == figures.area(result([1.0, 0.6, 0.6], 0.0, 0.6)) == 0.6


def test_runs_are_kept_and_a_line_that_was_cut_off_is_done_again(scripts, tmp_path):
    script, figures = scripts
    first, second = (figures.Run("credit-8", "grpo", seed, "x") for seed in (0, 1))
    script.keep(first, result([0.1], 0.1, 0.2), tmp_path)
    kept = tmp_path / "runs.jsonl"
    whole = kept.read_text()
    kept.write_text(whole + json.dumps([list(second), result([0.1], 0.1, 0.2)])[:40])
    assert list(script.read_runs(tmp_path)) == [first]
    script.keep(second, result([0.3], 0.1, 0.4), tmp_path)
    assert script.read_runs(tmp_path)[second]["score"] == [0.3] and set(script.read_runs(tmp_path)) == {first, second}


def test_another_setting_is_another_run(scripts, monkeypatch):
    script, _ = scripts
    before = {(name, arm): script.settings_of(name, arm) for name in script.PLACES for arm in script.ARMS}
    assert len(set(before.values())) == len(before)
    monkeypatch.setitem(script.PLACES["credit-8"].config, "rl.steps", 11)
    assert {key for key, old in before.items() if script.settings_of(*key) != old} == {
        ("credit-8", arm) for arm in script.ARMS
    }


def test_few_theorems_are_practised_and_others_measured(scripts):
    script, _ = scripts
    knobs = script.PLACES["proof-set"].practice["env.kwargs"]
    train, again, test = (script.ProofSet(**knobs, split=split) for split in ("train", "train", "eval"))
    try:
        practised = train.sample_tasks(100, seed=1)
        assert len(practised) == knobs["tasks"] and set(practised) == set(again.sample_tasks(100, seed=2))
        assert len(test.sample_tasks(50, seed=1)) == 50
        assert not set(practised) & set(test.sample_tasks(50, seed=1))
    finally:
        for env in (train, again, test):
            env.close()
