"""Integrity: graders that compare outside cannot be fooled. See ``contract.py``."""

from __future__ import annotations

import pytest

from thinkact.sandbox import json_equal

from .contract import SECRET, Place, marked, new_mark, set_mark

INPUTS = [[1, 2], [5, 7]]
EXPECTED = [3, 12]


def score(place: Place, source: str, timeout: float = 2.0) -> int:
    """Grade like every grader of ours: inputs in, plain JSON out, compared here."""
    results = place.box.run_cases(source, "add", INPUTS, timeout=timeout)
    return sum(got.ok and json_equal(got.value, want) for got, want in zip(results, EXPECTED, strict=True))


def test_honest_solutions(place: Place) -> None:
    """A right solution passes, also a noisy one; a wrong one does not."""
    assert score(place, "def add(a, b): return a + b", 20) == 2
    noisy = "import sys\ndef add(a, b):\n    print('noise')\n    sys.stderr.write('x' * 1000)\n    return a + b"
    assert score(place, noisy, 20) == 2
    assert score(place, "def add(a, b): return 12", 20) == 1


_EVERY_FD = """
import json, os, struct
def say(body):
    frame = struct.pack('!I', len(body)) + body
    for fd in range(3, 1024):
        try: os.write(fd, frame)
        except OSError: pass
"""
_ALWAYS = "__eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __hash__ = int.__hash__"
# None of these ever computes the right value, so whatever scores has fooled the grader.
ATTACKS: dict[str, str] = {
    "leaves at import": "import os; os._exit(0)",
    "leaves in the call": "import os\ndef add(a, b): os._exit(0)",
    "SystemExit(0)": "def add(a, b): raise SystemExit(0)",
    "leaves through atexit": "import atexit, os; atexit.register(os._exit, 0)\ndef add(a, b): return 0",
    "equal to everything": f"class Any(int):\n    {_ALWAYS}\ndef add(a, b): return Any(0)",
    "equal to everything, by metaclass": f"""
class Meta(type):
    {_ALWAYS.replace("int.__hash__", "type.__hash__")}
class Any(metaclass=Meta):
    {_ALWAYS.replace("int.__hash__", "object.__hash__")}
def add(a, b): return Any
""",
    "equal keys in a dict": f"""
class Key(str):
    {_ALWAYS.replace("int.", "str.")}
def add(a, b): return {{Key('x'): 0}}
""",
    "prints a report": """
import os
print('PASS'); print('2 passed in 0.01s'); print('OK'); print('{"value": "3", "ok": true}', flush=True); os._exit(0)
""",
    "writes a result file": """
for name in ('result.json', 'junit.xml', '/tmp/result.json', '/dev/shm/result.json'):
    try: open(name, 'w').write('{"passed": 2, "failed": 0, "ok": true, "value": "3"}')
    except OSError: pass
def add(a, b): return 0
""",
    "patches json": "import json\njson.dumps = lambda *a, **k: '3'\njson.JSONEncoder.encode = lambda *a: '3'\n"
    "def add(a, b): return 0",
    "patches builtins": """
import builtins
builtins.all = builtins.any = lambda *a: True
builtins.type = lambda *a: int
builtins.isinstance = lambda *a: True
builtins.abs = lambda *a: 0
def add(a, b): return object()
""",
    "patches the runner": """
import sys
frame = sys._getframe()
while frame:
    for name, value in list(frame.f_globals.items()):
        if callable(value) and name not in ('add',): frame.f_globals[name] = lambda *a, **k: 3
    frame = frame.f_back
def add(a, b): return 0
""",
    "patches every module": """
import sys
for module in list(sys.modules.values()):
    for name in ('dumps', 'loads', '_plain', '_send', 'json_equal', 'strict_json'):
        if hasattr(module, name): setattr(module, name, lambda *a, **k: '3')
def add(a, b): return 0
""",
    "patches the test runners": """
import unittest
unittest.TestCase.assertEqual = lambda *a, **k: None
unittest.TestCase.run = lambda *a, **k: None
def add(a, b): return 0
""",
    "forges a verdict on every descriptor": _EVERY_FD
    + "say(json.dumps({'passed': 2, 'failed': 0, 'ok': True, 'value': 'true', 'exit': 0}).encode())\n"
    "def add(a, b): return 0",
    "forges the ends of cases": _EVERY_FD
    + "for _ in range(50): say(json.dumps({'value': '0'}).encode()); say(json.dumps({'exit': 0}).encode())\n"
    "def add(a, b): return 0",
    "answers, then dies": _EVERY_FD
    + "def add(a, b):\n    say(json.dumps({'value': str(a + b)}).encode())\n    os.abort()",
    "answers, then hangs": _EVERY_FD
    + "import time\ndef add(a, b):\n    say(json.dumps({'value': str(a + b)}).encode())\n    time.sleep(100)",
    "rubbish on every descriptor": _EVERY_FD + "say(b'\\xff' * 4096)\ndef add(a, b): say(b''); return 0",
    "a frame without an end": "import os, struct\ndef add(a, b):\n    for fd in range(3, 1024):\n"
    "        try: os.write(fd, struct.pack('!I', 1 << 31) + b'3' * 999)\n        except OSError: pass\n    return 0",
    "a frame nested a thousandfold": _EVERY_FD
    + "say(json.dumps({'value': '[' * 900 + ']' * 900}).encode())\nos._exit(0)",
    "a daemon answers later": _EVERY_FD
    + """
import time
if os.fork() == 0:
    os.setsid()
    for _ in range(40):
        time.sleep(0.02)
        say(json.dumps({'value': '3'}).encode())
        try: open('result.json', 'w').write('{"value": "3"}')
        except OSError: pass
    os._exit(0)
def add(a, b): return 0
""",
    "shadows the library": """
for name in ('json', 'struct', 'ast', 'traceback', 'sitecustomize', 'usercustomize', 'conftest', 'math'):
    open(name + '.py', 'w').write('import os; os._exit(0)')
open('x.pth', 'w').write('import os; os._exit(0)')
def add(a, b): return 0
""",
    "preloads a library": """
import os
os.environ.update(LD_PRELOAD='/tmp/x.so', PYTHONSTARTUP='/tmp/x.py', PYTHONPATH='/tmp', PATH='/tmp')
def add(a, b): return 0
""",
    "returns nan": "def add(a, b): return float('nan')",
    "returns infinity": "def add(a, b): return 1e999",
    "returns a tuple": "def add(a, b): return (a + b,)",
    "returns a bool": "def add(a, b): return True",
    "returns a float": "def add(a, b): return float(a + b)",
    "returns text": "def add(a, b): return str(a + b)",
    "returns itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "returns a deep list": "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "returns a number without end": "def add(a, b): return 10 ** 10000",
    "returns megabytes": "def add(a, b): return 'x' * (3 << 20)",
    "floods": "def add(a, b):\n    while True: print('x' * 65536)",
    "hangs": "import time\ndef add(a, b): time.sleep(100)",
    "eats its memory": "def add(a, b): return 'x' * (1 << 30)",
    "spells no function": "add = 3",
    "is no Python": "def add(",
    "an error that cannot be shown": """
class E(BaseException):
    def __str__(self): raise self
    __repr__ = __str__
def add(a, b): raise E()
""",
    "kills its parent": "import os\nos.kill(os.getppid(), 9); os.kill(1, 9); os.kill(-1, 9)\ndef add(a, b): return 0",
    "stops itself": "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGSTOP); return 0",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_turns_wrong_into_right(place: Place, name: str) -> None:
    """No attack on a grader makes a wrong solution right."""
    timeout = 0.7 if name in ("answers, then hangs", "hangs", "stops itself") else 5.0
    assert score(place, ATTACKS[name], timeout) == 0


def test_expected_values_are_not_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the expected values, the other cases' inputs nor the host's secrets are anywhere inside."""
    monkeypatch.setenv("THINKACT_EXPECTED", SECRET)
    source = f"""
import gc, glob, os, sys
def add(mine, other):
    words = [''.join(pair) for pair in ({(SECRET[:5], SECRET[5:])!r}, ('input-', 'of-another'))]
    def holds(item):
        parts = item.values() if type(item) is dict else item if type(item) in (list, tuple) else [item]
        return any(type(part) is str and part in words for part in parts)
    found, frame = [*gc.get_objects()], sys._getframe()
    while frame:
        found += [*frame.f_locals.values(), *frame.f_globals.values(), *frame.f_code.co_consts]
        frame = frame.f_back
    hits = [type(item).__name__ for item in found if item is not words and holds(item)]
    for pattern in ('/proc/[0-9]*/environ', '/proc/[0-9]*/cmdline', '/tmp/**'):
        for path in glob.glob(pattern, recursive=True):
            try: text = open(path, errors='replace').read()
            except OSError: continue
            hits += [path for word in words if word in text]
    return [hits, len(found) > 100]
"""
    results = place.box.run_cases(source, "add", [["a", 1], ["input-of-another", 2], ["b", 3]], timeout=20)
    assert [result.value for result in (results[0], results[2])] == [[[], True], [[], True]], results
    assert results[1].value != [[], True], "the search finds what is there: its own input"


def test_cases_share_nothing(place: Place) -> None:
    """What one case leaves does not reach the next: files, shared memory, modules, processes, sockets, limits."""
    mark = new_mark()
    source = f"""
import builtins, os, resource, signal, socket, sys, time
{set_mark(mark)}
def add(step, _):
    names = [open(f'/proc/{{pid}}/comm').read().strip() for pid in os.listdir('/proc') if pid.isdigit()]
    link, port = socket.socket(socket.AF_UNIX), socket.socket()
    seen = [sorted(os.listdir('.')), os.listdir('/dev/shm'), hasattr(builtins, 'mark'), names.count({mark!r}),
            link.connect_ex(b'\\0left') == 0, port.connect_ex(('127.0.0.1', 4712)) == 0,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 9, os.environ.get('LEFT'),
            os.path.exists('/tmp/left'), 'left' in sys.modules]
    builtins.mark, os.environ['LEFT'] = True, '1'
    sys.modules['left'] = sys
    open('left', 'w').write('x')
    open('/dev/shm/left', 'w').write('x')
    os.mkdir('folder')
    if os.fork() == 0:
        os.setsid()
        server = socket.socket(socket.AF_UNIX)
        server.bind(b'\\0left')
        server.listen()
        tcp = socket.create_server(('127.0.0.1', 4712))
        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
        time.sleep(100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))
    return seen
"""
    for result in place.box.run_cases(source, "add", [[1, 0], [2, 0], [3, 0]], timeout=20):
        assert result.value == [[], [], False, 1, False, False, False, None, False, False], result
    assert not marked(mark)


def test_a_dead_case_spoils_no_other(place: Place) -> None:
    """A case that dies, hangs, floods or eats its memory fails alone; the others keep their verdicts and output."""
    source = """
import os, time
def f(how):
    print('this is', how)
    if how == 'die': os.abort()
    if how == 'hang': time.sleep(100)
    if how == 'eat': return len('x' * (1 << 30))
    if how == 'flood':
        while True: print('y' * 65536)
    return how
"""
    order = ["a", "die", "b", "hang", "c", "eat", "d", "flood", "e"]
    results = dict(zip(order, place.box.run_cases(source, "f", [[how] for how in order], timeout=3), strict=True))
    for how in "abcde":
        assert results[how].value == how and results[how].run.stdout == f"this is {how}\n", results[how]
    assert [results[how].run.status for how in ("die", "hang", "eat", "flood")] == [
        "killed",
        "timeout",
        "oom",
        "output_limit",
    ]
    assert not any(results[how].ok for how in ("die", "hang", "eat", "flood"))


def test_values_keep_their_types(place: Place) -> None:
    """Values come back with their exact JSON types."""
    values = [None, True, 1, 1.0, -0.0, 1e-300, "é\ud800\0", [1, [2]], {"a": {"b": []}}, 10**30, ""]
    results = place.box.run_cases("def same(x): return x", "same", [[value] for value in values], timeout=20)
    assert all(got.ok and json_equal(got.value, value) for got, value in zip(results, values, strict=True)), results
    assert not json_equal(1, True) and not json_equal(1, 1.0) and not json_equal([1], (1,))
    assert not json_equal(float("nan"), float("nan")) and not json_equal({1: 2}, {1: 2})
