"""Many threads parse at once, and the collector lets them in at the worst moments."""

import ast
import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkact.tools.syntax import parse_python


def storm(parse, rounds):
    source = "\n".join(f"def f{at}(x): return [y + {at} for y in x if y]" for at in range(200))
    expected = ast.dump(ast.parse(source))

    def yields(phase, info):
        time.sleep(0)

    kept = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(yields)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            return [ast.dump(tree) == expected for tree in pool.map(parse, [source] * rounds)]
    finally:
        gc.callbacks.remove(yields)
        gc.set_threshold(*kept[0])
        sys.setswitchinterval(kept[1])


def test_threads_may_parse_at_once():
    assert all(storm(parse_python, 12))


def test_what_is_no_python_is_told_as_ever():
    with pytest.raises(SyntaxError):
        parse_python("def f(:")
