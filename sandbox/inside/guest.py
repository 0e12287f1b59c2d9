"""What a guest is before and while it runs hostile code; see ``worker.py``, which loads this inside.

Locked down first (no capability, resource limits, system-call filter), then told by the host to run cells,
one program, or one case of a test. Nothing that it says is believed beyond "this is the value I return".
"""

import ast
import ctypes
import errno
import fcntl
import json
import linecache
import math
import os
import random
import resource
import signal
import socket
import struct
import sys
import time
import traceback
import types
import typing

_WORK = "/tmp"
_TRACEBACK_FRAMES = 6
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "ARROW_NUM_THREADS")
_libc = ctypes.CDLL(None, use_errno=True)


def run(
    limits: dict[str, typing.Any], fds: list[int], bpf: bytes, fence: typing.Callable[[], object]
) -> typing.NoReturn:
    """Lock down, with ``fence`` as the last thing, then do what the host says. Ends the process whatever happens."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        null = os.open("/dev/null", os.O_RDONLY)
        high = min(100, max(3, limits["open_files"] - 2))  # below the limit, so that a copy can have it too
        line = fcntl.fcntl(fds[0], fcntl.F_DUPFD_CLOEXEC, high)
        for target, source in enumerate((fds[4] if len(fds) > 4 else null, fds[2], fds[3])):
            os.dup2(source, target)
        os.closerange(3, line)
        os.closerange(line + 1, 4096)
        try:
            os.chdir(_WORK)
        except PermissionError:  # a program that ran here before took the permission from itself, and from us
            os.chmod(_WORK, 0o755)
            os.chdir(_WORK)
        _lock(limits, bpf)
        fence()
        code = _obey(socket.socket(fileno=line), limits)
    except BaseException as error:
        _complain(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def _lock(limits: dict[str, int], bpf: bytes) -> None:
    os.environ.clear()
    os.environ.update(
        PATH=f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
        HOME=_WORK,
        TMPDIR=_WORK,
        LANG="C.UTF-8",
        TZ="UTC",
        PYTHONHASHSEED="0",
        PYTHONDONTWRITEBYTECODE="1",
    )
    if limits["library_path"]:
        os.environ["LD_LIBRARY_PATH"] = str(limits["library_path"])
    if limits.get("packages"):
        os.environ["PYTHONPATH"] = str(limits["packages"])
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    random.seed(0)
    sys.argv[:] = [""]
    sys.path.insert(0, _WORK)
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(kind, (value, value))
    # The supervisor counts too. It may raise a soft limit, to copy a frozen guest; the filter holds the guest.
    count = limits["processes"] + 1
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1] if limits.get("mode") else count
    resource.setrlimit(resource.RLIMIT_NPROC, (count, hard))
    if _libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")
    _libc.prctl(4, 1, 0, 0, 0)  # dumpable again: the guest may look at its own /proc entry
    if not bpf:  # an architecture without a filter, and a caller who knows it
        return
    buffer = ctypes.create_string_buffer(bpf, len(bpf))
    program = struct.pack("HxxxxxxP", len(bpf) // 8, ctypes.addressof(buffer))
    if _libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "the system-call filter could not be loaded")


def _obey(line: socket.socket, limits: dict[str, int]) -> int:
    """Serve the host's requests; a program or a case ends the process, cells go on."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    out = sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    _send(line, {"ready": True})  # from here on, the end of this process is the guest's doing
    count, me = 0, os.getpid()
    while True:
        request = _receive(line)
        if request is None:
            return 0
        if request["op"] == "program":
            _limit_cpu(limits["cpu_s"], hard=True)
            return _run_program(request["argv"])
        if request["op"] == "case":
            _limit_cpu(limits["cpu_s"], hard=True)
            reply = _run_case(request)
            _flush(out)
            _send(line, reply)
            return 0
        count += 1
        _limit_cpu(limits["cpu_s"], hard=False)
        status, code = _run_cell(request["code"], f"<cell {count}>", main.__dict__)
        _flush(out)
        if os.getpid() != me:  # a fork that the cell did not end
            return code
        _send(line, {"status": status, "exit_code": code})


def _limit_cpu(seconds: int, *, hard: bool) -> None:
    """Allow so many CPU seconds from now; a session's next cell may ask again, so its hard limit stays."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, until + 1 if hard else resource.RLIM_INFINITY))


def _receive(line: socket.socket) -> dict[str, typing.Any] | None:
    head = line.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    size = struct.unpack("!I", head)[0]
    parts = bytearray()
    while len(parts) < size:
        part = line.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    request: dict[str, typing.Any] = json.loads(parts)
    return request


def _send(line: socket.socket, reply: dict[str, object], dumps: typing.Any = json.dumps) -> None:
    data = dumps(reply).encode()
    line.sendall(struct.pack("!I", len(data)) + data)


def _flush(own: typing.TextIO) -> None:
    for stream in (own, sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the guest's replacement may do anything
            continue


def _complain(text: str) -> None:
    """Write to standard error past whatever the guest made of ``sys.stderr``."""
    try:
        os.write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _run_cell(code: str, name: str, scope: dict[str, typing.Any]) -> tuple[str, int]:
    """Run one cell the way an interactive interpreter would."""
    lines = code.splitlines(keepends=True)
    linecache.cache[name] = (len(code), None, lines, name)  # so that tracebacks show the lines
    try:
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            exec(compile(tree, name, "exec"), scope)
        if last is not None:
            exec(compile(ast.Interactive([last]), name, "single"), scope)
    except SystemExit as stop:
        if stop.code is None:
            return "ok", 0
        if isinstance(stop.code, int):
            return ("error", int(stop.code)) if stop.code else ("ok", 0)
        _complain(f"{stop.code}\n")
        return "error", 1
    except BaseException as error:
        _complain(_short_traceback(error))
        return ("oom" if isinstance(error, MemoryError) else "error"), 1
    return "ok", 0


def _short_traceback(error: BaseException) -> str:
    """Describe an exception without the frames of this file, keeping only the innermost ones."""
    try:
        if isinstance(error, SyntaxError) and (error.filename or "").startswith("<cell"):
            return "".join(traceback.format_exception_only(error))
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(error), error, trace, limit=-_TRACEBACK_FRAMES))
    except BaseException:  # an exception whose own __str__ fails, or no memory left
        return f"{type(error).__name__}\n"


def _run_program(argv: list[str]) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    patience = time.monotonic() + 5
    while True:
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            # Whoever wrote the program's file, or a process that they just forked, may not have closed it yet.
            if error.errno == errno.ETXTBSY and time.monotonic() < patience:
                time.sleep(0.005)
                continue
            _complain(f"{argv[0]}: {error.strerror}\n")
            return 127


def _run_case(request: dict[str, typing.Any]) -> dict[str, object]:
    """Load the source as a module, call the function, and turn what it returns into plain JSON.

    The source shares this interpreter and can replace anything in it, this function included. All it gains
    is the choice of the value that goes out, which returning it would have given too; what would make a
    value right is not here.
    """
    encode, dump = _plain, json.dumps
    name = "<solution>"
    source = request["source"]
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(source, name, "exec"), module.__dict__)
        value = getattr(module, request["function"])(*request["args"])
        return {"value": dump(encode(value, 0), allow_nan=False)}
    except BaseException as error:
        _complain(_short_traceback(error))
        reason = f"{type(error).__name__}: {_text_of(error)}"
        return {"error": reason[:500], "oom": isinstance(error, MemoryError)}


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "(no message)"


def _plain(value: typing.Any, depth: int) -> typing.Any:
    """Copy plain JSON, refusing every other type: a subclass could lie about what it equals."""
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is str:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise TypeError("the returned value holds a number that JSON does not know: nan or infinity")
        return value
    if depth > 100:
        raise TypeError("the returned value is nested more than 100 levels deep")
    if kind is list:
        return [_plain(item, depth + 1) for item in value]
    if kind is dict:
        if any(type(key) is not str for key in value):
            raise TypeError("the returned value holds a dict with a key that is not a str")
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"the returned value holds a {kind.__name__}, which is not plain JSON")
