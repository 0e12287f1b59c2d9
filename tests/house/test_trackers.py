"""Figures sent to trackers: every step once, whatever was interrupted, and never at the run's expense."""

import json
import logging
import sys

import pytest

from thinkact.policies.trackers import KINDS, Tracker, TrackerError, scalars

ROWS = [{"stage": "rl", "step": step, "success": 0.1 * step, "note": "text"} for step in range(4)]
HELD_OUT = {"stage": "eval-imitation", "step": 0, "success": 0.5}

#: What both libraries offer of what is used, written to a file that a test can read.
LIBRARY = """
import json
from pathlib import Path

class Run:
    def __init__(self, **options):
        self.options = options
        self.tell({"init": options})
    def tell(self, what):
        with Path(FILE).open("a") as file:
            file.write(json.dumps(what) + "\\n")
    def define_metric(self, *names, **more):
        self.tell({"metric": [names, more]})
    def log(self, values):
        if values.get("rl/success", 0) > 1:
            raise ConnectionError("gone")
        self.tell({"log": values})
    def finish(self):
        self.tell({"finish": True})

def init(**options):
    if options["project"] == "forbidden":
        raise RuntimeError("no key")
    return Run(**options)
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Both libraries as far as they are used, and what they were told."""
    place = tmp_path / "libraries"
    place.mkdir()
    for kind in KINDS:
        (place / f"{kind}.py").write_text(LIBRARY.replace("FILE", repr(str(tmp_path / kind))))
        monkeypatch.delitem(sys.modules, kind, raising=False)
        monkeypatch.delenv(f"{kind.upper()}_PROJECT", raising=False)
    monkeypatch.syspath_prepend(place)
    yield lambda kind, what: [
        each[what] for each in map(json.loads, (tmp_path / kind).read_text().splitlines()) if what in each
    ]
    for kind in KINDS:
        sys.modules.pop(kind, None)


def test_stages_become_groups_with_places():
    assert scalars("rl", 3, ROWS[3]) == ("rl", 3, {"success": pytest.approx(0.3)})
    assert scalars("eval-imitation", 0, HELD_OUT) == ("held-out", 1, {"success": 0.5})
    assert scalars("eval-rl-8", 8, {"success": 1.0})[:2] == ("eval", 8)
    assert scalars("sft", 2, {"loss": 1.0})[:2] == ("sft", 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_begun_without_it_is_sent_whole_and_a_resumed_one_is_not_sent_twice(tmp_path, told, kind):
    run = tmp_path / "mine"
    run.mkdir()
    first = Tracker(kind, run, {"seed": 1}, ROWS[:2])
    first.add("rl", 2, ROWS[2])  # and killed
    again = Tracker(kind, run, {"seed": 1}, ROWS[:3])
    for row in ROWS[1:]:
        again.add(row["stage"], row["step"], row)
    again.add(HELD_OUT["stage"], 0, HELD_OUT)
    again.close()
    again.close()
    rows = told(kind, "log")
    assert [row["rl/step"] for row in rows if "rl/step" in row] == [0, 1, 2, 3]
    assert rows[-1] == {"held-out/success": 0.5, "held-out/step": 1}
    one, other = told(kind, "init")
    assert one == other and one["project"] == "thinkact" and one["config"] == {"seed": 1} and one["resume"] == "allow"
    assert len(told(kind, "finish")) == 1


def test_a_fault_ends_the_sending_and_not_the_run(tmp_path, told, caplog):
    tracker = Tracker("trackio", tmp_path, {}, ROWS[:1])
    with caplog.at_level(logging.WARNING):
        tracker.add("rl", 1, {"success": 7.0})
        tracker.add("rl", 2, ROWS[2])
        tracker.close()
    assert [row["rl/step"] for row in told("trackio", "log")] == [0]
    assert [record.message for record in caplog.records] == [
        "Nothing more is sent to trackio (gone); metrics.jsonl has every figure."
    ]


def test_one_that_does_not_start_says_what_to_do(tmp_path, told, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "forbidden")
    with pytest.raises(TrackerError, match=r"no key.*wandb login.*WANDB_MODE=offline"):
        Tracker("wandb", tmp_path, {})


def test_one_that_is_not_installed_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"thinkact\[wandb\]"):
        Tracker("wandb", tmp_path, {})


def test_the_real_weights_and_biases_keeps_every_step(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason='needs pip install "thinkact[wandb]"')
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = Tracker("wandb", tmp_path, {"seed": 1}, ROWS)
    tracker.close()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    steps = []
    data, at = (
        path.read_bytes(),
        7,
    )  # a header; then records of LevelDB's log: checksum, length, kind, and what it holds
    while at + 7 < len(data):
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        record = wandb_internal_pb2.Record.FromString(data[at + 7 : at + 7 + length])
        at += 7 + length
        steps += [
            json.loads(item.value_json)
            for item in record.history.item
            if "rl/step" in (item.key, "/".join(item.nested_key))
        ]
    assert steps == [0, 1, 2, 3]


def test_the_real_trackio_keeps_every_step(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
    pytest.importorskip("trackio", reason='needs pip install "thinkact[trackio]"')
    import sqlite3

    tracker = Tracker("trackio", tmp_path, {"seed": 1}, ROWS)
    tracker.close()
    with sqlite3.connect(tmp_path / "kept" / "thinkact.db") as db:
        rows = [json.loads(row) for (row,) in db.execute("SELECT metrics FROM metrics ORDER BY id")]
    assert [row["rl/step"] for row in rows] == [0, 1, 2, 3]
