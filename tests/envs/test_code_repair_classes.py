"""CodeRepair's methods of classes: the catalogue, the work tree, and a repair of it."""

import json
import os
import random

import pytest

from thinkact.envs.code.grade import best_constant
from thinkact.envs.code.repair import CodeRepairEnv
from thinkact.envs.code.repair_classes import METHODS, layout, library_texts, method_text
from thinkact.envs.code.repair_pool import MissingLibrary, bugs_of, check_versions, checked_pool, class_catalogue
from thinkact.envs.code.repair_tasks import CLASS_LEVEL, build, rows, split_of
from thinkact.envs.conformance import play_expert
from thinkact.sandbox import probe

BY_KEY = {method.key: method for method in METHODS}


@pytest.fixture(scope="module", autouse=True)
def library():
    try:
        check_versions()
    except MissingLibrary as error:
        pytest.skip(str(error))


def some(count, seed=0):
    rng = random.Random(seed)
    return [build("train", CLASS_LEVEL, int(rng.random() * len(rows("train", CLASS_LEVEL)))) for _ in range(count)]


def test_there_are_many_bugs_in_many_methods_and_tests_betray_each():
    found = class_catalogue()["functions"]
    assert len(found) >= 45 and set(found) <= set(BY_KEY)
    bugs = [(key, bug) for key in found for bug in bugs_of(key)]
    assert len(rows("train", CLASS_LEVEL)) == len(bugs) == len({(key, bug.edit) for key, bug in bugs}) >= 300
    assert len({bug.edit.kind for _, bug in bugs}) >= 12
    for key, bug in bugs:
        text = method_text(BY_KEY[key])
        assert bug.edit.apply(text) != text
        assert bug.definition == BY_KEY[key].method and bug.mask.bit_count() >= 4


def test_they_are_in_one_split_only_and_others_are_refused():
    assert {split_of(method) for method in METHODS} == {"train"}
    assert rows("eval", CLASS_LEVEL) == rows("hidden", CLASS_LEVEL) == ()
    for split in ("eval", "hidden"):
        with pytest.raises(ValueError, match="train split only"):
            CodeRepairEnv(level=(0, CLASS_LEVEL), split=split)


@pytest.mark.parametrize("key", list(class_catalogue()["functions"])[::5])
def test_answers_are_those_of_the_catalogue(key):
    checked_pool(BY_KEY[key])  # raises if the library or Python answers differently


def test_a_work_tree_is_the_library_with_one_method_changed():
    for problem in some(6):
        path, old, new = problem.edits[0]
        assert problem.files[path].count(old) == 1
        for stem, text in library_texts().items():
            shown = problem.files[f"kit/{stem}.py"]
            head, _, body = shown.partition("\n")
            assert "sortedcontainers 2.4.0 (Apache-2.0" in head and "; changed." in head
            assert (body == text) == (path != f"kit/{stem}.py")
            assert shown.replace(old, new) == f"{head}\n{text}"
            compile(shown, stem, "exec", dont_inherit=True)
        assert len(problem.task.prompt) < 600
        assert "def " not in problem.files["kit/__init__.py"]


def test_hidden_tests_are_not_shown_and_constants_are_worth_nothing():
    for problem in some(12, seed=1):
        tests = problem.files[problem.tests]
        written = [problem.calls[case.call].written(case.args) for case in problem.cases]
        assert len(set(written)) == len(written) and not any(f"{text} ==" in tests for text in written)
        assert best_constant([case.wanted for case in problem.cases], [case.args for case in problem.cases]) <= (
            problem.floor
        )
        assert len(problem.cases) - problem.floor >= 2
        assert "assert" in tests or "except" in tests


def test_a_method_keeps_its_place_in_its_class():
    for method in METHODS:
        assert layout("kit", method, method_text(method)) == layout("kit", method)


@pytest.fixture(scope="module")
def env():
    report = probe()
    if not report.works and os.environ.get("CI") != "true":
        pytest.skip(f"no isolation on this machine: {report.detail}")
    with CodeRepairEnv(level=CLASS_LEVEL) as made:
        yield made


@pytest.mark.parametrize("cls", ["SortedList", "SortedDict"])
def test_expert_repairs_and_a_stub_does_not(env, cls):
    bugs = rows("train", CLASS_LEVEL)
    number = next(i for i, (method, bug) in enumerate(bugs) if method.name == cls and bug.mask.bit_count() < 30)
    task_id = f"train/{CLASS_LEVEL}/{number}"
    _, steps = play_expert(env, task_id)
    assert [step.reward for step in steps] == [0.0, 0.0, 1.0, 0.0, 0.0] and steps[-1].facts["success"]
    assert "failed: " in steps[0].observation and "failed: " not in steps[3].observation
    assert all(len(step.observation) <= 4000 for step in steps)
    env.reset(options={"task_id": task_id})
    stub = f"class {cls}(list):\n    pass\nclass SortedKeyList(list):\n    pass\n"
    home = bugs[number][0].module.split(".")[1]
    action = {"name": "write_file", "arguments": {"path": f"kit/{home}.py", "content": stub}}
    _, reward, _, _, info = env.step(json.dumps(action))
    assert reward == 0.0 and info["score"] == 0.0
