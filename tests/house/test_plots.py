import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thinkact.policies.plots import Measured, learning_curve, smooth
from thinkact.policies.trackers import TensorBoard

RL = [{"stage": "rl", "step": step, "success": 0.1 * step, "score": 0.1 * step} for step in range(6)]


def test_smoothing_keeps_lines_ends_and_length():
    assert np.allclose(smooth([1.0, 2.0, 3.0, 4.0]), [1, 2, 3, 4])
    assert smooth([]).shape == (0,) and smooth([7.0])[0] == 7.0
    assert np.allclose(smooth([0, 0, 3, 0, 0], window=3), [0, 1, 1, 1, 0])


@pytest.mark.parametrize("rows", [RL, RL[:1], []])
def test_a_curve_is_a_png_whatever_the_run_has(tmp_path, rows):
    held_out = {"before": Measured(0.0, 0.0, 0.1), "rl": Measured(1.0, 0.9, 1.0)} if rows else {}
    path = learning_curve(rows, held_out, tmp_path / "curve.png", title="a run")
    assert path.read_bytes().startswith(b"\x89PNG") and [each.name for each in tmp_path.iterdir()] == ["curve.png"]


def test_tensorboard_after_a_resume_has_every_step_once(tmp_path):
    board = TensorBoard(tmp_path / "tb", RL[:4])
    assert not board.repeats("rl", 4) and board.repeats("rl", 2)
    board.rewrite([*RL[:2], {**RL[2], "success": 0.9}])
    board.add("rl", 3, {"success": 1.0})
    board.add("eval-imitation", 0, {"success": 0.5})
    board.close()
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    points = [(each.step, round(each.value, 3)) for each in events.Scalars("rl/success")]
    assert points == [(0, 0.0), (1, 0.1), (2, 0.9), (3, 1.0)]
    assert [each.step for each in events.Scalars("held-out/success")] == [1]
