"""The program that judges submitted expressions, in a process that may be killed; see ``answers_process.py``.

One line of JSON in, one line of JSON out, nothing else. It never imports thinkact's packages with all they bring
along, only the parser and what reads numbers; it holds no secret and needs no right.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import types


def _allow(memory_bytes: int) -> None:
    """Give up what judging does not need; where a system knows no such limit, the host's clock is what is left."""
    try:
        import resource
    except ImportError:
        return
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 16)]
    for kind, value in [*limits, (resource.RLIMIT_AS, memory_bytes)]:
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):  # macOS refuses some
            continue


def _timer(seconds: float) -> None:
    """Die when so much processor time was used from now on; 0 takes that back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Judge until the host hangs up."""
    here = os.path.dirname(os.path.abspath(__file__))
    for name, places in (("thinkact", []), ("thinkact.envs", [here])):
        package = types.ModuleType(name)
        package.__path__ = places
        sys.modules[name] = package
    from thinkact.envs.answers_expression import JUDGES, Bounds, NoExpression

    cpu_s, memory_bytes, *bounds = json.loads(sys.argv[1])
    allowed = Bounds(*bounds)
    _allow(memory_bytes)
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    out.write(b"ready\n")
    out.flush()
    while line := lines.readline():
        request = json.loads(line)
        _timer(cpu_s)
        try:
            reply: dict[str, object] = {"right": JUDGES[request["judge"]](*request["args"], bounds=allowed)}
        except NoExpression as error:
            reply = {"right": False, "reason": str(error)}
        except (MemoryError, RecursionError) as error:
            reply = {"right": False, "reason": f"it cannot be evaluated: {type(error).__name__}"}
        except Exception as error:
            reply = {"fault": repr(error)[:500]}
        _timer(0)
        out.write(json.dumps(reply).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
