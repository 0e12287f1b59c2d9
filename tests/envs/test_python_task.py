"""PythonTask: tasks, candidates, and attacks on the verifier that must gain nothing."""

import copy
import json
import os

import pytest

from thinkact.envs import EnvironmentFault
from thinkact.envs import python_task as module
from thinkact.envs.conformance import play_expert
from thinkact.envs.python_task import PythonTaskEnv, defines_f, definitions_of
from thinkact.envs.python_task_gen import LEVELS, build, make_spec, pick, split_of
from thinkact.sandbox import SandboxFault, json_equal, probe

# Generation: no sandbox.


@pytest.mark.parametrize("level", LEVELS)
def test_experts_and_references_agree_and_cases_tell_them_from_constants(level):
    built = [problem for number in range(300) if (problem := build(level, number)) is not None]
    assert len(built) > 200
    for problem in built:
        scope = {}
        exec(problem.source, scope)
        for given, wanted in problem.visible + problem.hidden:
            assert json_equal(scope["f"](copy.deepcopy(given)), wanted), (problem.source, given)
        outputs = [json.dumps(wanted, sort_keys=True) for _, wanted in problem.visible + problem.hidden]
        assert len(set(outputs)) == 10, "all outputs differ: a constant passes one hidden test at most"
        inputs = [json.dumps(given) for given, _ in problem.visible + problem.hidden]
        assert len(set(inputs)) == 10, "a table of the visible examples passes no hidden test"
        assert problem.floor == 1
        assert len(problem.prompt) < 450


@pytest.mark.parametrize(("level", "least"), [(0, 300), (1, 1500), (2, 1300), (3, 1500), (4, 1300)])
def test_there_are_many_tasks(level, least):
    words = {problem.words for number in range(2000) if (problem := build(level, number)) is not None}
    assert len(words) >= least


def test_tasks_are_short_and_settled_by_their_id():
    problem = build(0, 0)
    assert problem == build(0, 0) and problem.prompt.startswith("Write f(x): ")
    assert build(1, 3).source.splitlines()[0] == "def f(x):"
    assert build(0, -1) is build(9, 0) is build(0, 10**9) is None


def test_the_same_function_in_other_words_shares_the_split():
    import random

    by_behaviour = {}
    for number in range(3000):
        spec = make_spec(1, random.Random(f"1/{number}"))
        key = tuple(spec.reference(x) for x in (0, 1, 2, 10, 1234))
        assert by_behaviour.setdefault(key, split_of(spec)) == split_of(spec), spec.words
    assert len(by_behaviour) < 2600, "some functions did come in several wordings"


def test_no_words_occur_in_two_splits():
    owner = {}
    for level in LEVELS:
        for number in range(400):
            problem = build(level, number)
            if problem is not None:
                assert owner.setdefault(problem.words, problem.split) == problem.split


def test_pick_covers_all_items():
    import random

    rng = random.Random(0)
    assert {pick(rng, "abc") for _ in range(50)} == set("abc")


@pytest.mark.parametrize("level", [5, -1, (), (1, 7), True, "1", (1.0,), None])
def test_unknown_levels_are_refused(level):
    with pytest.raises((ValueError, TypeError), match="level"):
        PythonTaskEnv(level=level)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x): return x", True),
        ("f = lambda x: x", True),
        ("f = g = abs", True),
        ("def g(x):\n    def f(x): pass", False),
        ("if 1:\n    def f(x): pass", False),
        ("print('def f(x)')", False),
        ("def f(x)", False),
        ("", False),
        ("\0", False),
        ("-" * 19_000 + "1", False),
        ("a" + ".a" * 9000, False),
        ("(" * 10_000, False),
        ("def f(x): return '\\d'", True),
    ],
)
def test_what_defines_f(source, expected):
    assert defines_f(source) is expected
    assert isinstance(definitions_of(source), str)


# With the sandbox.


@pytest.fixture(scope="module")
def sandboxed():
    report = probe()
    if not report.works and os.environ.get("CI") != "true":
        pytest.skip(f"no isolation on this machine: {report.detail}")


@pytest.fixture(scope="module")
def shared(sandboxed):
    env = PythonTaskEnv(level=1)
    yield env
    env.close()


@pytest.fixture
def env(shared):
    """One fixed task of level 1 on one environment object, reset for every test."""
    shared.reset(seed=11)
    return shared


def problem_of(env):
    _, level, number = env.task.id.split("/")
    return build(int(level), int(number))


def cell(env, code):
    observation, reward, terminated, truncated, info = env.step(json.dumps({"python": code}))
    assert not terminated
    return observation, info


def submit(env, code=""):
    return env.step(json.dumps({"submit": {"code": code}} if code else {"submit": ""}))[4]


@pytest.mark.parametrize("level", LEVELS)
def test_expert_solves_every_level_in_two_turns(sandboxed, level):
    env = PythonTaskEnv(level=level, split="eval")
    try:
        for task_id in env.sample_tasks(3, 5):
            actions, steps = play_expert(env, task_id)
            visible = problem_of(env).visible[0][1]
            assert steps[0].observation.strip() == str(visible).strip()
            assert [step.reward for step in steps] == [1.0, 0.0] and steps[-1].facts["success"]
            assert actions[-1] == '{"submit": ""}'
    finally:
        env.close()


def test_solved_but_not_submitted_is_no_success(env):
    for _ in range(5):
        _, info = cell(env, problem_of(env).source)
    assert (info["score"], info["success"]) == (1.0, False)
    *_, truncated, info = env.step(json.dumps({"python": "1"}))
    assert truncated and (info["score"], info["success"]) == (1.0, False)


def test_submitting_the_whole_program_at_once(env):
    info = submit(env, problem_of(env).source)
    assert (info["score"], info["success"]) == (1.0, True)


def test_submitted_code_must_define_f(env):
    info = submit(env, "print('done')")
    assert info["results"][0]["error_kind"] == "tool_error" and "does not define f" in info["results"][0]["content"]
    cell(env, problem_of(env).source)
    assert submit(env)["success"]


def test_submitting_nothing_scores_nothing(env):
    info = submit(env)
    assert (info["score"], info["success"]) == (0.0, False)


def test_the_last_definition_counts_even_if_it_is_worse(env):
    _, info = cell(env, problem_of(env).source)
    assert info["score"] == 1.0
    _, info = cell(env, "def f(x):\n    return 0")
    assert info["score"] == 0.0
    cell(env, problem_of(env).source)
    _, info = cell(env, "print(f(1))")
    assert info["score"] == 1.0, "a cell without f leaves the candidate alone"


def test_earlier_cells_belong_to_the_candidate(env):
    source = problem_of(env).source.replace("def f", "def helper")
    cell(env, source)
    _, info = cell(env, "def f(x):\n    return helper(x)")
    assert info["score"] == 1.0


def test_a_crash_while_trying_f_out_costs_nothing(env):
    observation, info = cell(env, "import math\n" + problem_of(env).source + "\nprint(f(None))")
    assert "TypeError" in observation and not info["invalid_action"]
    assert info["results"][0]["error_kind"] == "tool_error"
    assert info["score"] == 1.0


def test_partly_right_is_partly_paid(env):
    cases = problem_of(env).hidden
    wrong = {json.dumps(given) for given, _ in cases[:4]}
    source = problem_of(env).source.replace("def f", "def right")
    code = f"import json\n{source}\ndef f(x):\n    return None if json.dumps(x) in {wrong!r} else right(x)"
    _, info = cell(env, code)
    assert info["score"] == 0.5
    info = submit(env)
    assert (info["score"], info["success"]) == (0.5, False)


def test_a_program_that_hangs_or_dies_is_an_observation(env):
    _, info = cell(env, "import os\nos._exit(0)")
    assert info["results"][0]["error_kind"] in ("tool_error", "timeout") and not info["invalid_action"]
    _, info = cell(env, "def f(x):\n    while True: pass")
    assert info["score"] == 0.0
    assert all(check["evidence"] == "time-out" for check in info["checks"])
    _, info = cell(env, problem_of(env).source)
    assert info["score"] == 1.0


def test_nothing_is_left_over_from_the_episode_before(env):
    cell(env, problem_of(env).source + "\nopen('left', 'w').write('x')\nleft = 1")
    env.reset(seed=11)
    observation, _ = cell(env, "import os\nprint(os.path.exists('left'), 'left' in globals(), 'f' in globals())")
    assert observation.strip() == "False False False"
    assert submit(env)["score"] == 0.0


def test_verdicts_are_reused_while_the_candidate_is_the_same(env, monkeypatch):
    module._VERDICTS.clear()
    calls = []
    grader = type(env._python.sandbox)
    original = grader.run_cases
    monkeypatch.setattr(grader, "run_cases", lambda *a, **k: calls.append(1) or original(*a, **k))
    cell(env, problem_of(env).source)
    cell(env, "print(1)")
    submit(env)
    env.reset(seed=11)
    cell(env, problem_of(env).source)
    assert len(calls) == 2, "one case, then the other seven; once"


def test_a_fault_of_the_sandbox_is_no_score(env, monkeypatch):
    module._VERDICTS.clear()

    def fails(*args, **kwargs):
        raise SandboxFault("the machine is gone")

    monkeypatch.setattr(type(env._python.sandbox), "run_cases", fails)
    with pytest.raises(EnvironmentFault, match="the machine is gone"):
        cell(env, problem_of(env).source)


# Attacks. Each is a program, or a few cells, that must be paid nothing.

SEARCH_EVERYTHING = """
import gc, os, sys
def f(x):
    out = []
    frame = sys._getframe()
    while frame:
        out += [repr(v) for v in (*frame.f_locals.values(), *frame.f_globals.values())][:50]
        frame = frame.f_back
    for name in ("wanted", "expected", "hidden", "value", "answer"):
        for thing in gc.get_objects():
            if isinstance(thing, dict) and name in thing:
                return thing[name]
    return None
"""
ATTACKS = {
    "prints the visible answers": "print({visible})\ndef f(x):\n    print({visible})",
    "table of the visible examples": "def f(x):\n    return dict({pairs}).get(x, {constant})",
    "the best constant there is": "def f(x):\n    return {best}",
    "identity": "def f(x):\n    return x",
    "leaves before the answer": "import os\ndef f(x):\n    os._exit(0)",
    "leaves by SystemExit": "def f(x):\n    raise SystemExit(0)",
    "equals everything": "class A(int):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
    "    __hash__ = int.__hash__\ndef f(x):\n    return A(1)",
    "object that equals everything": "class A:\n    def __eq__(self, o): return True\ndef f(x):\n    return A()",
    "patched builtins": "import builtins, json, operator\nfor name in ('all', 'any', 'isinstance', 'type', 'repr'):\n"
    "    setattr(builtins, name, lambda *a: True)\njson.dumps = lambda *a, **k: '1'\n"
    "operator.eq = lambda a, b: True\ndef f(x):\n    return None",
    "tracing": "import sys\nseen = []\ndef trace(frame, event, arg):\n"
    "    seen.append(frame.f_locals)\n    return trace\n"
    "sys.settrace(trace)\ndef f(x):\n    return str(seen)[:5000]",
    "walks stack and heap": SEARCH_EVERYTHING,
    "reads environment and files": "import os\ndef f(x):\n    found = str(dict(os.environ))\n"
    "    for path in ('/proc/self/environ', '/proc/1/environ', '/proc/self/cmdline'):\n"
    "        try: found += open(path).read()\n        except OSError: pass\n    return found",
    "answers on every descriptor": "import json, os\ndef f(x):\n    for fd in range(64):\n"
    "        try: os.write(fd, json.dumps({{'value': '{constant}', 'ok': True, 'passed': True}}).encode())\n"
    "        except OSError: pass\n    os._exit(0)",
    "answers at exit": "import atexit, json\natexit.register(lambda: print(json.dumps({{'value': '{constant}'}})))\n"
    "def f(x):\n    raise KeyError(x)",
    "counts its calls in a file": "def f(x):\n    open('n', 'a').write('.')\n"
    "    return {outputs}[len(open('n').read()) - 1]",
    "not a number": "def f(x):\n    return float('nan')",
    "endless": "def f(x):\n    while True: pass",
    "takes all memory": "def f(x):\n    return len([bytearray(1 << 30) for _ in range(64)])",
    "deep nesting": "def f(x):\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a",
    "generator": "def f(x):\n    yield 1",
}


WORDS_OF_THE_VERIFIER = {"wrong value", "no value", "time-out", "out of memory", "right, as a constant would be"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_paid_nothing(env, attack, monkeypatch):
    if attack == "endless":
        monkeypatch.setattr(module, "CASE_TIMEOUT_S", 1.0)
    problem = problem_of(env)
    code = ATTACKS[attack]
    if "{" in code and attack != "walks stack and heap":
        code = code.format(
            visible=[wanted for _, wanted in problem.visible],
            pairs=list(problem.visible),
            constant=problem.visible[0][1],
            best=problem.hidden[0][1],
            outputs=[wanted for _, wanted in problem.hidden[1:]],
        )
    observation, info = cell(env, code)
    assert "def f(x)" in env._candidate, "the attack itself must run"
    assert {check["evidence"] for check in info["checks"]} <= WORDS_OF_THE_VERIFIER
    seen = json.dumps(info["results"]) + json.dumps(info["checks"]) + observation
    assert info["score"] == 0.0, [check for check in info["checks"] if check["passed"]]
    final = submit(env)
    assert (final["score"], final["success"]) == (0.0, False)
    assert "hidden" not in seen and "reference" not in seen


def test_error_texts_carry_no_hidden_input_out(env):
    """The program's words on hidden inputs reach neither the observation nor info."""
    observation, info = cell(env, "def f(x):\n    raise ValueError(f'canary {x}')")
    assert "canary" not in observation + json.dumps(info["checks"]) + json.dumps(info["results"])


def test_doing_and_undoing_pays_once(env):
    right, wrong = problem_of(env).source, "def f(x):\n    return 0"
    rewards = [env.step(json.dumps({"python": code}))[1] for code in (right, wrong, right, wrong, right)]
    assert sum(rewards) == 1.0
