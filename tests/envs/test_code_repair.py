"""CodeRepair: real functions, bugs that tests betray, layouts, the potential, and attacks on the work tree."""

import ast
import json
import os
import random

import pytest

from thinkact.envs.code import repair_pool as code_repair_pool
from thinkact.envs.code.grade import best_constant, evaluate
from thinkact.envs.code.mutate import edits
from thinkact.envs.code.repair import CodeRepairEnv
from thinkact.envs.code.repair_files import single_file
from thinkact.envs.code.repair_libraries import FUNCTIONS
from thinkact.envs.code.repair_pool import (
    LIBRARIES,
    MissingLibrary,
    bugs_of,
    call_of,
    catalogue,
    check_versions,
    checked_pool,
    slice_of,
)
from thinkact.envs.code.repair_tasks import LEVELS, build, rows, split_of
from thinkact.envs.code.slice import CannotSlice, slice_functions
from thinkact.envs.conformance import play_expert
from thinkact.envs.types import SPLITS
from thinkact.sandbox import json_equal, probe

BY_KEY = {function.key: function for function in FUNCTIONS}


@pytest.fixture(scope="module", autouse=True)
def libraries():
    try:
        check_versions()
    except MissingLibrary as error:
        pytest.skip(str(error))


def sample(count, seed=0):
    """Some tasks of every level and split."""
    rng = random.Random(seed)
    for split in SPLITS:
        for level in LEVELS:
            for _ in range(count):
                yield build(split, level, int(rng.random() * len(rows(split, level))))


def load(text):
    scope = {"__name__": "solution"}
    exec(compile(text, "solution", "exec", dont_inherit=True), scope)
    return scope


# The catalogue: no sandbox.


def test_there_are_many_functions_and_bugs_of_many_kinds():
    found = catalogue()["functions"]
    bugs = [(key, bug.edit, bug.definition) for key in found for bug in bugs_of(key)]
    assert len(found) >= 60 and len(bugs) == len(set(bugs)) >= 600
    assert len({edit.kind for _, edit, _ in bugs}) >= 15
    for split, least in (("train", 400), ("eval", 60), ("hidden", 60)):
        assert len(rows(split, 2)) == len(rows(split, 3)) == len(rows(split, 0)) + len(rows(split, 1)) >= least
    assert set(found) <= set(BY_KEY), "a function is gone"


def test_every_bug_applies_parses_and_is_betrayed_by_enough_inputs():
    for key in catalogue()["functions"]:
        texts = {each.name: each.text for each in slice_of(BY_KEY[key]).definitions}
        for bug in bugs_of(key):
            broken = bug.edit.apply(texts[bug.definition])
            assert broken != texts[bug.definition]
            compile("from __future__ import annotations\n" + broken, key, "exec", dont_inherit=True)
            assert bug.mask.bit_count() >= 4, (key, bug)


@pytest.mark.parametrize("key", list(catalogue()["functions"])[::6])
def test_sources_and_answers_are_those_of_the_catalogue(key):
    """Fails where a library or Python gives other answers; a cut-out function behaves like its library."""
    function = BY_KEY[key]
    pool = checked_pool(function)
    scope, call = load(single_file([slice_of(function)])), call_of(function, "")
    assert [evaluate(scope, call, args) for args in pool.inputs[:12]] == list(pool.wanted[:12])


def test_masks_tell_which_inputs_betray_a_bug():
    checked = 0
    for key in list(catalogue()["functions"])[::9]:
        function, pool = BY_KEY[key], checked_pool(BY_KEY[key])
        cut, call = slice_of(function), call_of(function, "")
        for bug in bugs_of(key)[::4]:
            (broken,) = [each for each in cut.definitions if each.name == bug.definition]
            if "while" in broken.text or bug.edit.kind in ("forgotten step", "wrong jump"):
                continue  # may not end outside of a sandbox
            changed = {(broken.module, broken.name): bug.edit.apply(broken.text)}
            scope = load(single_file([cut], changed))
            for i in range(0, len(pool.inputs), 5):
                try:
                    same = json_equal(evaluate(scope, call, pool.inputs[i]), pool.wanted[i])
                except TypeError:
                    same = False
                assert same != bool(bug.mask >> i & 1), (key, bug, pool.inputs[i])
                checked += 1
    assert checked > 50


def test_splits_share_no_function_not_even_as_a_neighbour_or_helper():
    owner = {(function.module, function.name): split_of(function) for function in FUNCTIONS}
    names = {}
    for function in FUNCTIONS:
        assert names.setdefault(function.name, split_of(function)) == split_of(function)
        for each in slice_of(function).definitions:
            other = owner.get((each.module, each.name), split_of(function))
            assert other == split_of(function), f"{function.key} calls {each.name} of {other}"
    for problem in sample(4):
        for call in problem.calls:
            assert names[call.names[0]] == problem.task.split


def test_other_versions_of_a_library_are_refused(monkeypatch):
    monkeypatch.setitem(LIBRARIES, "toolz", ("toolz", "0.0.1", ""))
    with pytest.raises(MissingLibrary, match=r"toolz==0.0.1.*thinkact\[code\]"):
        CodeRepairEnv()


def test_another_content_under_the_same_version_is_refused(monkeypatch):
    key = next(iter(catalogue()["functions"]))
    known = {**catalogue()["functions"], key: {**catalogue()["functions"][key], "source": "0"}}
    monkeypatch.setattr(code_repair_pool, "catalogue", lambda: {"functions": known})
    with pytest.raises(MissingLibrary, match="reinstall"):
        checked_pool.__wrapped__(BY_KEY[key])


# Slices and edits.


def test_slices_bring_helpers_and_imports_along_and_refuse_what_they_cannot_hold():
    cut = slice_functions("toolz.itertoolz", ("join",))
    assert [each.name for each in cut.definitions][-1] == "join"
    assert {"getter", "groupby"} <= {each.name for each in cut.definitions}
    assert "import collections" in cut.imports
    with pytest.raises(CannotSlice, match="under a condition"):
        slice_functions("more_itertools.recipes", ("convolve",))
    with pytest.raises(CannotSlice, match="does not define"):
        slice_functions("toolz.itertoolz", ("no_such_function",))


SOURCE = '''def f(xs, k=2):
    """Keep 1 < 2."""
    out = []
    for i, x in enumerate(xs):  # ä < 3
        if x < k and not i == 3:
            out.append(x + 1)
        elif x in (5, 7):
            break
    if k > 9:
        raise ValueError("k is above 9 + 1")
    return out[:k] if out else [0]
'''


def test_edits_are_small_parse_and_leave_comments_and_messages_alone():
    found = edits(SOURCE, "f")
    assert len(found) > 20 and found == edits(SOURCE, "f")
    kinds = {edit.kind for edit in found}
    assert {"wrong comparison", "off by one", "and for or", "dropped branch", "wrong jump", "lost negation"} <= kinds
    for edit in found:
        text = edit.apply(SOURCE)
        ast.parse(text)
        assert '"""Keep 1 < 2."""' in text and "# ä < 3" in text and '"k is above 9 + 1"' in text
    assert any(edit.apply(SOURCE).count("x <= k") for edit in found)
    assert any("def f(xs, k=3):" in edit.apply(SOURCE) for edit in found)


# Tasks.


def test_tasks_are_whole_and_show_neither_the_hidden_tests_nor_the_repair():
    sizes = {level: set() for level in LEVELS}
    for problem in sample(3):
        path, old, new = problem.edits[0]
        assert problem.files[path].count(old) == 1 and old != new
        level = int(problem.task.id.split("/")[1])
        sizes[level].add((len(problem.calls) > 1, len(problem.graded) > 1))
        tests = problem.files[problem.tests]
        written = [problem.calls[case.call].written(case.args) for case in problem.cases]
        assert len(set(written)) == len(written)
        assert not any(f"{text} ==" in tests for text in written), "a hidden test is shown"
        assert len(problem.cases) - problem.floor >= 2
        compile(tests, "tests", "exec")
        for each in problem.graded:
            compile(problem.files[each], each, "exec", dont_inherit=True)
            assert "; changed." in problem.files[each] or each.endswith("__init__.py"), "no attribution"
        assert sum(map(len, problem.files.values())) < 30_000
    assert sizes[0] == sizes[1] == {(False, False)}
    assert (True, False) in sizes[2] and (True, True) in sizes[3]


def test_constants_and_handed_back_arguments_are_worth_nothing():
    for problem in sample(4, seed=1):
        (target,) = {case.call for case in problem.cases if "def " in problem.edits[0][0] or True} & {
            max(range(len(problem.calls)), key=lambda n: sum(case.call == n for case in problem.cases))
        }
        mine = [case for case in problem.cases if case.call == target]
        most = best_constant([case.wanted for case in mine], [case.args for case in mine])
        assert most + len(problem.cases) - len(mine) <= problem.floor


@pytest.mark.parametrize("level", [5, -1, (), (0, 9), True, "0", None])
def test_unknown_levels_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        CodeRepairEnv(level=level)


# With the sandbox.


@pytest.fixture(scope="module")
def shared():
    report = probe()
    if not report.works and os.environ.get("CI") != "true":
        pytest.skip(f"no isolation on this machine: {report.detail}")
    env = CodeRepairEnv(level=LEVELS)
    yield env
    env.close()


TASK = next(
    f"train/1/{number}"
    for number, (function, bug) in enumerate(rows("train", 1))
    if function.key == "more_itertools.chunked"
)


@pytest.fixture
def env(shared):
    """One fixed task: ``chunked`` of more-itertools, wrong on few inputs."""
    shared.reset(options={"task_id": TASK})
    return shared


def problem_of(env):
    split, level, number = env.task.id.split("/")
    return build(split, int(level), int(number))


def call(env, tool, **arguments):
    observation, reward, terminated, truncated, info = env.step(json.dumps({"name": tool, "arguments": arguments}))
    return observation, reward, info


def write(env, text, path="solution.py"):
    return call(env, "write_file", path=path, content=text)


def fixed(env):
    path, old, new = problem_of(env).edits[0]
    return problem_of(env).files[path].replace(old, new)


@pytest.mark.parametrize("level", LEVELS)
def test_expert_repairs_every_level(shared, level):
    for split in ("train", "hidden"):
        number = len(rows(split, level)) * 2 // 3
        actions, steps = play_expert(shared, f"{split}/{level}/{number}")
        assert [step.reward for step in steps] == [0.0, 0.0, 1.0, 0.0, 0.0]
        assert "failed: " in steps[0].observation and "failed: " not in steps[3].observation
        assert steps[-1].facts["success"]


def test_the_repair_counts_only_with_what_worked_still_working(env):
    """The floor: each hidden test lost costs what one gained earns; success needs all and a submit."""
    problem = problem_of(env)
    kept = [case for case in problem.cases if "value" in case.wanted]
    lost = [json.dumps(case.args[0]) for case in kept[:2]]
    source = fixed(env).replace("def chunked(", "def right(")
    wrapper = (
        f"{source}\n\nimport json\ndef chunked(iterable, n, strict=False):\n    iterable = list(iterable)\n"
        f"    if json.dumps(iterable) in {lost!r}:\n        return []\n    return right(iterable, n, strict)\n"
    )
    _, _, info = write(env, wrapper)
    total = len(problem.cases)
    passed = total - sum(json.dumps(case.args[0]) in lost and case.wanted != {"value": []} for case in problem.cases)
    assert passed < total
    expected = max(0, passed - problem.floor) / (total - problem.floor)
    assert info["score"] == pytest.approx(expected)
    _, _, info = call(env, "submit")
    assert not info["success"]


def test_repairing_breaking_and_reverting_pays_once(env):
    broken, right = problem_of(env).files["solution.py"], fixed(env)
    rewards = [write(env, text)[1] for text in (right, broken, right, "def chunked(*a): return []", right)]
    assert rewards == [1.0, -1.0, 1.0, -1.0, 1.0]
    assert call(env, "submit")[2]["success"]


ATTACKS = {
    "weakened tests": ("test_solution.py", "def test_ok(): pass\n"),
    "emptied tests": ("test_solution.py", ""),
    "conftest": ("conftest.py", "import solution\nsolution.chunked = lambda *a, **k: 1\n"),
    "sitecustomize": ("sitecustomize.py", "import os\nos._exit(0)\n"),
    "path file": ("x.pth", "import os; os._exit(0)\n"),
    "a result to find": ("result.json", '{"score": 1.0, "passed": 12, "success": true}'),
    "module of a test runner": ("unittest.py", "def main(*a, **k): pass\n"),
    "a json of one's own": ("json.py", "def dumps(*a, **k): return '1'\ndef loads(*a, **k): return 1\n"),
    "a solution package": ("solution/__init__.py", "def chunked(*a, **k):\n    return []\n"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_other_files_are_worth_nothing(env, attack):
    path, text = ATTACKS[attack]
    _, reward, info = write(env, text, path)
    assert (reward, info["score"]) == (0.0, 0.0), info["checks"]
    if attack != "a solution package":  # the agent's own import is ambiguous then, and so is the grader's
        assert write(env, fixed(env))[2]["score"] == 1.0, "an honest repair beside it counts"


PROGRAMS = {
    "constant": "def chunked(iterable, n, strict=False):\n    return [[1]]",
    "everything is equal": "class A(list):\n    def __eq__(self, o): return True\n"
    "def chunked(iterable, n, strict=False):\n    return A()",
    "ends the process": "import os\ndef chunked(iterable, n, strict=False):\n    os._exit(0)",
    "ends at the import": "import sys\nsys.exit(0)",
    "always raises": "def chunked(iterable, n, strict=False):\n    raise ValueError",
    "hangs": "def chunked(iterable, n, strict=False):\n    while True: pass",
    "patches list": "import builtins\nbuiltins.list = lambda *a: [[1]]\n"
    "def chunked(iterable, n, strict=False):\n    return iterable",
    "asks the library": "def chunked(iterable, n, strict=False):\n    import more_itertools\n"
    "    return more_itertools.chunked(iterable, n, strict)",
    "is a link": "",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_that_do_not_repair_are_worth_nothing(env, program):
    if program == "is a link":
        code = "import os; os.remove('solution.py'); os.symlink('/etc/passwd', 'solution.py')"
        _, reward, info = call(env, "python", code=code)
    else:
        _, reward, info = write(env, PROGRAMS[program])
    assert (reward, info["score"]) == (0.0, 0.0), info["checks"]
    _, reward, info = call(env, "submit")
    assert (reward, info["score"], info["success"]) == (0.0, 0.0, False)


def test_the_library_and_the_catalogue_are_not_inside(env):
    code = (
        "import importlib.util, os\n"
        f"print([n for n in {list(LIBRARIES)!r} + ['thinkact'] if importlib.util.find_spec(n)])\n"
        "found = [os.path.join(d, f) for d, _, fs in os.walk('/', onerror=None) for f in fs\n"
        "         if 'catalogue' in f or 'more_itertools' in d]\nprint(found)"
    )
    for _ in range(4):  # a disk that has not read these folders yet takes longer than a cell may
        observation, _, _ = call(env, "python", code=code)
        if "[time-out" not in observation:
            break
    assert observation.split("\n") == ["[]", "[]"]
