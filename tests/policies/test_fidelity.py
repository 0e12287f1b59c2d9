"""The credit benchmark: its figures against worlds and estimators whose answers are known beforehand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from thinkact.cli import app
from thinkact.envs.diagnostic.mdp import Mdp, Outcome, World, along_the_way, ascent, on_the_way, softmax
from thinkact.envs.diagnostic.worlds import WORLDS, make_world
from thinkact.policies.advantages import ESTIMATORS, CreditBatch
from thinkact.policies.credit_bench import Cell, draw_picture, gain_over, run, settings
from thinkact.policies.fidelity import METHODS, Setting, draw, gradient_of, lived, measure


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_the_truth_is_perfect_and_shuffled_credit_is_worthless(world):
    found = measure(Setting(world, 8), batches=8)
    truth, shuffled = found["(truth)"], found["(shuffled)"]
    assert truth.mse == pytest.approx(0.0, abs=1e-9) and truth.scale == pytest.approx(1.0)
    assert truth.pearson == pytest.approx(1.0) and truth.spearman == pytest.approx(1.0) and truth.signs == 1.0
    assert truth.cosine > shuffled.cosine + 0.4
    assert truth.cosine >= max(f.cosine for name, f in found.items() if name != "(truth)") - 0.12
    assert shuffled.mse > 0.9
    for fidelity in found.values():
        assert all(math.isfinite(value) for value in fidelity.as_dict().values() if value is not None)
        assert -1.0 - 1e-9 <= fidelity.low <= fidelity.cosine <= fidelity.high <= 1.0 + 1e-9
        assert fidelity.mse <= 1.0 + 1e-9  # the least-squares scale can always choose 0
        assert fidelity.auroc is None or 0.0 <= fidelity.auroc <= 1.0
        assert 0.0 <= fidelity.leakage <= 1.0


def test_with_much_data_the_gradient_of_unbiased_credit_is_the_exact_one():
    mdp = Mdp(make_world("stopping", 6))
    pi = softmax(along_the_way(mdp, 0.4))
    drawn = draw(mdp, pi, groups=1500, group=4, rng=np.random.default_rng(0))
    exact = drawn.exact.gradient
    for name in ("(truth)", "rloo", "turn_rtg", "reinforce", "vine"):
        estimate = METHODS[name](drawn, np.random.default_rng(1))
        assert np.abs(gradient_of(drawn, estimate) - exact).max() < 0.02 * np.abs(exact).max() + 0.006, name


def test_forks_cost_steps_and_find_the_turn_that_matters():
    found = measure(Setting("umbrella", 16), batches=16, methods=("grpo", "state_rtg", "state_td", "vine", "vine_td"))
    assert found["vine"].steps > 10 > found["grpo"].steps == 1.0
    assert found["vine"].cosine > found["grpo"].cosine + 0.2
    assert found["vine"].steps > 3 * found["vine_td"].steps > 3 * found["state_td"].steps == 3.0
    assert found["vine_td"].cosine > found["grpo"].cosine + 0.2
    assert found["state_rtg"].cosine > found["grpo"].cosine + 0.15
    assert found["grpo"].leakage > 0.8 > 0.3 > found["vine"].leakage
    assert found["grpo"].within == pytest.approx(0.0, abs=1e-9)


def test_what_earlier_batches_saw_is_worth_as_much_as_forks():
    """A maze's rooms rarely recur within a group; a learner has been in all of them before."""
    found = measure(Setting("maze", 16), batches=6, methods=("grpo", "state_td", "memory_td", "vine_td"))
    assert found["memory_td"].steps == 1.0 < found["vine_td"].steps
    assert found["memory_td"].cosine > found["state_td"].cosine + 0.1
    assert found["memory_td"].cosine > found["grpo"].cosine + 0.15
    assert found["memory_td"].cosine > found["vine_td"].cosine - 0.1


def test_every_batch_is_the_same_learners_next_one():
    mdp = Mdp(make_world("maze", 6))
    path = ascent(mdp)
    memory = lived(mdp, path, 0.5, groups=2, group=4, rng=np.random.default_rng(0))
    held = memory.state()
    drawn = draw(mdp, softmax(on_the_way(path, 0.5)), groups=4, group=4, rng=np.random.default_rng(1))
    found = METHODS["memory_td"](replace(drawn, memory=memory, size=8), np.random.default_rng(0))
    assert memory.state() == held  # the others of the measurement are never in it
    late = CreditBatch(drawn.credit.rewards[8:], drawn.credit.groups[8:], drawn.credit.states[8:], memory=memory.copy())
    for row, values in zip(found[8:], ESTIMATORS["memory_td"](late), strict=True):
        np.testing.assert_array_equal(row[: len(values)], values)
    late = replace(late, memory=None)
    assert any((row[: len(v)] != v).any() for row, v in zip(found[8:], ESTIMATORS["memory_td"](late), strict=True))


def random_world(seed, horizon=12, states=8, actions=3):
    """A garnet (Archibald et al. 1995): random transitions, a few places that pay on the last turn."""
    rng = np.random.default_rng([seed, 5])
    then = rng.integers(states, size=(states, actions, 2))
    chance = rng.dirichlet(np.ones(2), size=(states, actions))
    pay = rng.random(states) * (rng.random(states) < 0.4)

    def step(state, action):
        turn, at = state
        if turn == horizon - 1:
            return [Outcome(1.0, None, float(pay[at]))]
        cells = zip(chance[at, action], then[at, action], strict=True)
        return [Outcome(float(p), (turn + 1, int(to))) for p, to in cells]

    return World("garnet", horizon, [(1.0, (0, 0))], tuple("012"), step, lambda state: str(state[1]), "")


def test_values_of_states_find_the_gradient_in_worlds_that_nobody_chose_from():
    found = {}
    for seed in range(4):
        mdp = Mdp(random_world(seed))
        path = ascent(mdp, steps=60)
        drawn = draw(mdp, softmax(on_the_way(path, 0.5)), groups=16, group=8, rng=np.random.default_rng(0))
        memory = lived(mdp, path, 0.5, groups=4, group=8, rng=np.random.default_rng(1))
        drawn = replace(drawn, memory=memory, size=32)
        exact = drawn.exact.gradient.ravel()
        for name in ("grpo", "state_td", "memory_td", "vine_td", "(truth)"):
            estimate = METHODS[name](drawn, np.random.default_rng(1))
            parts = [gradient_of(drawn, estimate, slice(i * 32, (i + 1) * 32)).ravel() for i in range(4)]
            cosines = [g @ exact / np.linalg.norm(g) / np.linalg.norm(exact) for g in parts]
            found.setdefault(name, []).append(np.mean(cosines))
    mean = {name: np.mean(values) for name, values in found.items()}
    assert mean["vine_td"] > mean["grpo"] + 0.2
    assert mean["memory_td"] > mean["grpo"] + 0.2
    assert mean["state_td"] > mean["grpo"] + 0.05


def test_bias_and_variance_are_told_apart():
    # The vine's values are unbiased: what is wrong with them is variance.
    vine = measure(Setting("umbrella", 8), batches=64, methods=("vine",))["vine"]
    assert vine.variance > 3 * max(vine.bias2, 0.0)
    assert vine.mse == pytest.approx(vine.bias2 + vine.variance, rel=0.2, abs=0.02)


def test_figures_depend_on_setting_and_seed_alone():
    cells = [Setting("maze", 4), Setting("lucky", 4, group=2), Setting("maze", 8)]
    alone = {cell.setting: cell.methods for cell in run(cells, batches=4, tasks=2, seed=3, workers=1)}
    both = {cell.setting: cell.methods for cell in run(cells, batches=4, tasks=2, seed=3, workers=2)}
    assert alone == both
    assert measure(cells[0], batches=4, tasks=2, seed=4) != alone[cells[0]]


def test_the_sweep_holds_every_setting_once():
    found = settings()
    assert len(found) == len(set(found))
    assert {s.world for s in found} == set(WORLDS)
    assert {s.group for s in found} == {2, 4, 8, 16} and {s.horizon for s in found} == {4, 8, 16, 32}


def test_command_line_and_picture(tmp_path):
    args = ["credit-bench", "--quick", "--world", "umbrella", "--world", "maze", "--batches", "3", "--workers", "1"]
    result = CliRunner().invoke(app, [*args, "--horizon", "4", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "vine" in result.output and "umbrella" in result.output
    record = json.loads((tmp_path / "record.json").read_text())
    assert [cell["world"] for cell in record["cells"]] == ["umbrella", "maze"]
    assert (tmp_path / "credit.png").read_bytes().startswith(b"\x89PNG")
    cells = [Cell(Setting("maze", 4), measure(Setting("maze", 4), batches=2))]
    assert gain_over(cells, "grpo", "grpo") == (0.0, 0.0, 0.0)
    assert draw_picture(cells, tmp_path / "one.png").exists()
    wrong = CliRunner().invoke(app, ["credit-bench", "--world", "nowhere", "--out", str(tmp_path)])
    assert wrong.exit_code != 0
