"""The benchmarks of learning beside TRL and of transfer: their figures against runs whose answers are known."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_time_to_the_success_of_the_other_is_counted_from_both_starts(script):
    trl = script("trl_learning")

    def run(reached_at: int, seconds: float, steps: int = 40) -> dict:
        score = [0.2] * reached_at + [0.8] * (steps - reached_at)
        each = {name: [seconds] * steps for name in ("cpu_seconds", "seconds", "sampled_tokens")}
        return {"score": score, **each, "peak_rss_mb": 1}

    # Ours has it after half the updates, each of which costs a tenth. The mean of eight updates has to be there.
    runs = {
        "trl grpo": {seed: run(20, 1.0) for seed in range(3)},
        "thinkact grpo": {seed: run(6, 0.1) for seed in range(3)},
        "thinkact memory_td": {0: run(40, 0.1), 1: run(6, 0.1)},
    }
    found = trl.report(runs)
    share = found["thinkact grpo"]["to_final_of_trl"]
    assert share["reached_by"] == [3, 3]
    assert share["share_of_updates"] == pytest.approx([14 / 28] * 3, abs=1e-4)
    assert share["share_of_cpu_seconds"] == pytest.approx([1.4 / 28] * 3, abs=1e-4)
    assert share["final_minus_trl"] == pytest.approx([0.0] * 3)
    # Who never gets there is told, and is in no mean; the gap in the end is of all seeds.
    never = found["thinkact memory_td"]["to_final_of_trl"]
    assert never["reached_by"] == [1, 2] and never["final_minus_trl"][1:] == pytest.approx([-0.6, 0.0])
    assert found["trl grpo"]["to_level"]["0.8"] == {"reached_by": [3, 3], "updates": 28, "cpu_seconds": 28.0}
    assert "to_final_of_trl" not in found["trl grpo"] and trl.report(runs) == found


def test_all_families_together_are_no_more_lessons_than_one(script):
    transfer = script("transfer")
    lists = [[f"{name}{at}" for at in range(8)] for name in "abcd"]
    mixed = transfer._turns(lists)
    assert len(mixed) == 8 and mixed[:4] == ["a0", "b0", "c0", "d0"]


def test_a_cell_of_the_matrix_is_over_the_seeds_that_have_it(script):
    transfer = script("transfer")
    names = list(transfer.FAMILIES)
    cells = {f"matrix/{source}/{target}": [source == target] * 4 for source in names for target in names}
    tables = transfer.summarise({0: cells, 1: {f"matrix/{names[0]}/{names[0]}": [False] * 4}})
    row = tables["matrix"][names[0]]
    assert row[names[0]]["success"] == 0.5 and row[names[0]]["seeds"] == [0, 1]
    assert row[names[1]]["success"] == 0.0 and row[names[1]]["seeds"] == [0]
    # Where nothing differs, the interval is still no point.
    assert row[names[1]]["high"] > 0.0
    assert f"| {names[0]} | **50 [" in transfer.as_markdown(tables)
