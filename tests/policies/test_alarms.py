"""Alarms ring for what they name and for nothing else; the report shows a run and obeys nothing in it."""

import re

import pytest

from thinkact.policies.alarms import alarms
from thinkact.policies.config import AlarmConfig
from thinkact.policies.episode import Episode, Turn
from thinkact.policies.metrics_report import run_report, write_report


def rows(steps=10, **changes):
    """Steps of a run that goes well; a change is a function of the step."""
    fine = {
        **{"success": lambda s: 0.2 + 0.05 * s, "score": lambda s: 0.3 + 0.05 * s, "invalid": lambda s: 0.1},
        **{"truncated": lambda s: 0.0, "entropy": lambda s: 1.0 - 0.05 * s, "kl_sampler": lambda s: 0.01},
        **{"errors": lambda s: 0.0, "episodes": lambda s: 32.0},
    }
    return [{name: at(step) for name, at in {**fine, **changes}.items()} for step in range(steps)]


@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({}, set()),
        ({"entropy": lambda s: 1.0 if s < 5 else 0.01}, {"entropy"}),
        ({"kl_sampler": lambda s: 0.9 if s == 9 else 0.0}, {"kl"}),
        ({"kl_reference": lambda s: 0.9}, {"kl"}),
        ({"success": lambda s: 0.5 - 0.03 * s}, {"hacking"}),
        ({"invalid": lambda s: 0.06 * s}, {"hacking"}),
        ({"invalid": lambda s: 0.06 * s, "score": lambda s: 0.5}, set()),  # worse, but not rewarded for it
        ({"success": lambda s: 0.5 - 0.03 * s, "score": lambda s: 0.5 - 0.03 * s}, set()),  # worse altogether
        ({"errors": lambda s: 4.0}, {"errors"}),
    ],
)
def test_each_alarm_rings_for_its_own_trouble(changes, wanted):
    assert set(alarms(rows(**changes), AlarmConfig())) == wanted


def test_a_young_run_gives_no_alarm_of_trends():
    assert alarms([], AlarmConfig()) == {}
    assert alarms(rows(3, entropy=lambda s: 10.0**-s, success=lambda s: -float(s)), AlarmConfig()) == {}


def episode(text):
    turns = [
        Turn(observation=text, action=text, result=text, reward=reward, advantage=advantage)
        for reward, advantage in ((0.0, 0.5), (1.0, -0.25))
    ]
    return Episode(
        **dict(id="e", env_id="x", family="f", env_version="0", task_id=text, split="train", seed=0, policy="p"),
        **dict(turns=turns, terminated=True, score=1.0, success=True, difficulty=2.0),
    )


def test_the_report_shows_and_obeys_nothing(tmp_path):
    hostile = '<script>alert(1)</script>"><img src=//evil onerror=x>\x1b[2J\ud800'
    metrics = [{"stage": "eval-before", "step": 0, "turns": 2.0, **rows(1)[0]}]
    metrics += [
        {"stage": "rl", "step": step, "rollout_seconds": 2.0, "learn_seconds": 1.0, **row}
        for step, row in enumerate(rows(5))
    ]
    metrics[-1]["alarms"] = {"hacking": hostile}
    html = run_report(hostile, metrics, trained=[episode("plain"), episode(hostile)], measured=[episode(hostile)])
    assert "<script" not in html and "<img" not in html and "\x1b" not in html
    assert not re.search(r"<[^>]*(src|href|on\w+)\s*=", html)  # one file, nothing is fetched
    assert html.count("<polyline") == 2 and html.count("<rect") == 2 * 5 + 1
    assert "advantage +0.500" in html and "advantage -0.250" in html
    # Credit is shown by strength: .25 of .5 is half as strong.
    assert "rgba(31,119,180,0.55)" in html and "rgba(214,39,40,0.30)" in html
    write_report(tmp_path / "report.html", html)
    assert (tmp_path / "report.html").read_bytes().decode("utf-8").startswith("<!doctype html>")
    assert run_report("empty", [])
    assert run_report("begun", metrics[:1])
