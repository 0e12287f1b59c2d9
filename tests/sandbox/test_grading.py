"""Graders ask for values and compare outside; nothing a solution does may turn a wrong value into a pass."""

import pytest

from thinkact import sandbox
from thinkact.sandbox import Sandbox, json_equal

INPUTS = [[1, 2], [5, 7], [-4, 9]]
EXPECTED = [3, 12, 5]


def score(box: Sandbox, source: str) -> int:
    results = box.run_cases(source, "add", INPUTS, timeout=2)
    return sum(r.ok and json_equal(r.value, want) for r, want in zip(results, EXPECTED, strict=True))


def test_honest(box: Sandbox) -> None:
    assert score(box, "def add(a, b): return a + b") == 3
    assert score(box, "def add(a, b):\n    print('noise')\n    return a + b") == 3
    assert score(box, "def add(a, b): return 12") == 1


WALK = """
import sys, gc, re
def add(a, b):
    leak = re.compile('expected-canar[y]-77')  # a pattern that does not match itself
    found, frame = [], sys._getframe()
    while frame:
        found += [*frame.f_locals.values(), *frame.f_globals.values(), *frame.f_code.co_consts]
        frame = frame.f_back
    found += [item for item in gc.get_objects() if type(item) in (list, tuple, dict)]
    assert not [item for item in found if leak.search(repr(item)[:5000])], 'leak'
    for path in ('/proc/self/environ', '/proc/self/cmdline', '/proc/1/environ', '/proc/1/cmdline'):
        try:
            assert not leak.search(open(path, errors='replace').read()), 'leak'
        except OSError:
            pass
    return len(found) > 100
"""

ATTACKS = {
    "exit at import": "import os; os._exit(0)",
    "exit in call": "import os\ndef add(a, b): os._exit(0)",
    "sys.exit": "import sys\ndef add(a, b): sys.exit(0)",
    "atexit": "import atexit, os; atexit.register(lambda: os._exit(0))\ndef add(a, b): return 0",
    "always equal": """
class Same(int):
    __eq__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __hash__ = int.__hash__
def add(a, b): return Same(0)
""",
    "always equal meta": """
class Meta(type):
    __eq__ = lambda s, o: True
    __hash__ = type.__hash__
class Any(metaclass=Meta):
    __eq__ = lambda s, o: True
def add(a, b): return Any()
""",
    "fake report": """
import os
print('PASS'); print('3 passed'); print('{"value": "3"}', flush=True); os._exit(0)
""",
    "fake report on stderr": 'import sys\nsys.stderr.write(\'OK\\n{"value": "3"}\\n\')\ndef add(a, b): return 0',
    "patched json": "import json\njson.dumps = lambda *a, **k: '{\"ok\": true}'\ndef add(a, b): return 0",
    "patched builtins": """
import builtins
builtins.all = lambda *a: True
builtins.type = lambda *a: int
builtins.isinstance = lambda *a: True
def add(a, b): return object()
""",
    "patched harness": """
import sys
module = sys.modules.get('__main__')
frame = sys._getframe()
while frame:
    for name in ('_plain', '_run_case', 'json_equal', 'strict_json'):
        if name in frame.f_globals:
            frame.f_globals[name] = lambda *a: True
    frame = frame.f_back
def add(a, b): return 0
""",
    "frames on every descriptor": """
import os, json, struct
body = json.dumps({'passed': 3, 'value': 'true', 'ok': True}).encode()
for fd in range(3, 256):
    try: os.write(fd, struct.pack('!I', len(body)) + body)
    except OSError: pass
def add(a, b): return 0
""",
    "value then death": """
import os, json, struct
def add(a, b):
    body = json.dumps({'value': str(a + b)}).encode()
    for fd in range(3, 256):
        try: os.write(fd, struct.pack('!I', len(body)) + body)
        except OSError: pass
    os.abort()
""",
    "huge frame": """
import os
def add(a, b):
    for fd in range(3, 256):
        try: os.write(fd, b'\\xff' * 4096)
        except OSError: pass
""",
    "deep frame": """
import os, json, struct
def add(a, b):
    body = json.dumps({'value': '[' * 900 + ']' * 900}).encode()
    for fd in range(3, 256):
        try: os.write(fd, struct.pack('!I', len(body)) + body)
        except OSError: pass
    os._exit(0)
""",
    "nan": "def add(a, b): return float('nan')",
    "duck": "def add(a, b): return (a + b,)",
    "bool": "def add(a, b): return True",
    "float": "def add(a, b): return float(a + b)",
    "deep": "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "long": "def add(a, b): return 10 ** 10000",
    "huge": "def add(a, b): return 'x' * (3 << 20)",
    "no function": "x = 1",
    "syntax": "def add(",
    "raises oddly": "class E(BaseException):\n    def __str__(self): raise self\ndef add(a, b): raise E()",
    "hang": "import time\ndef add(a, b): time.sleep(100)",
    "shadow modules": """
for name in ('json', 'struct', 'ast'): open(name + '.py', 'w').write('import os; os._exit(0)')
def add(a, b): return 0
""",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_scores_nothing(box: Sandbox, name: str) -> None:
    assert score(box, ATTACKS[name]) == 0


def test_expected_values_are_not_there(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["expected-canary-77"]  # held here, as a grader would; and in the environment
    monkeypatch.setenv("THINKACT_EXPECTED", expected[0])
    with sandbox.create() as fresh:
        for made in (box, fresh):
            result = made.run_cases(WALK, "add", INPUTS[:1], timeout=5)[0]
            assert result.ok and result.value is True, result


def test_cases_do_not_touch_each_other(box: Sandbox) -> None:
    source = """
import os, time, builtins, socket
def add(step, _):
    pids = [name for name in os.listdir('/proc') if name.isdigit()]
    seen = [os.listdir('.'), os.listdir('/dev/shm'), hasattr(builtins, 'mark'), pids]
    builtins.mark = True
    open('left', 'w').write('x')
    open('/dev/shm/left', 'w').write('x')
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
    return seen
"""
    for result in box.run_cases(source, "add", INPUTS):
        assert result.value == [[], [], False, ["1", "2"]]


def test_values_keep_their_types(box: Sandbox) -> None:
    values = [None, True, 1, 1.0, -0.5, "é\ud800", [1, [2]], {"a": {"b": []}}, 10**30]
    results = box.run_cases("def same(x): return x", "same", [[value] for value in values])
    assert all(r.ok and json_equal(r.value, value) for r, value in zip(results, values, strict=True))
    assert not json_equal(1, True) and not json_equal(1, 1.0) and not json_equal([1], (1,))
    assert not json_equal(float("nan"), float("nan")) and not json_equal({1: 2}, {1: 2})


def test_reasons_and_callers_mistakes(box: Sandbox) -> None:
    def reason(source: str) -> str:
        return box.run_cases(source, "f", [[1]], timeout=1)[0].error or ""

    assert "ValueError: bad" in reason("def f(x): raise ValueError('bad')")
    assert "not plain JSON" in reason("def f(x): return {1}")
    assert "timeout" in reason("def f(x):\n    while True: pass")
    assert "before the function returned" in reason("import os\ndef f(x): os._exit(0)")
    assert box.run_cases("def f(x): return 'x' * (1 << 30)", "f", [[1]])[0].run.status == "oom"
    for inputs in ([[object()]], [[(1,)]], [[float("nan")]], [[{1: 2}]]):
        with pytest.raises(ValueError):
            box.run_cases("def f(x): return x", "f", inputs)
    with pytest.raises(ValueError):
        box.run_cases("", "a.b", [])
    assert box.run_cases("", "f", []) == []
    assert sandbox.json_equal([1, {"a": None}], [1, {"a": None}])
