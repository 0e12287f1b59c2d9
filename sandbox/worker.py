"""The program that runs inside: a fork server, a supervisor per box, and the interpreter of the guest.

Standard library only, and imported by nobody: the host hands the text to the Python inside. Three roles,
each a fork of the one before, so that a new box costs milliseconds and not an interpreter's start:

``serve``      The fork server. It never runs guest code. One request (a datagram with the box's file
               descriptors) makes one box: a child enters new user, pid, mount, network, ipc and uts
               namespaces and hands a pidfd of the box's first process to the host.
``supervise``  Process 1 of the box. It prepares the file system, forks the guest, reaps, opens files for
               the host, watches the memory of the tree, and reports how the guest ended. The guest cannot
               signal, trace or read it, so the host may believe it.
``guest``      Locked down (no capability, resource limits, system-call filter), then told by the host to
               run cells, one program, or one case of a test. Nothing it says is believed beyond "this is
               the value that I return".
"""

import array
import ast
import bisect  # noqa: F401  # what guests import most is loaded once, before the forks
import builtins
import collections  # noqa: F401
import copy  # noqa: F401
import ctypes
import dataclasses  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import errno
import fcntl
import fractions  # noqa: F401
import functools  # noqa: F401
import gc
import heapq  # noqa: F401
import itertools  # noqa: F401
import json
import linecache
import math
import operator  # noqa: F401
import os
import random
import re  # noqa: F401
import resource
import select
import signal
import socket
import stat
import statistics  # noqa: F401
import string  # noqa: F401
import struct
import sys
import textwrap  # noqa: F401
import traceback
import types
import typing

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_WORK = "/tmp"
_USER = 1000
_TRACEBACK_FRAMES = 6


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _send_with_fd(sock: socket.socket, message: dict[str, object], fd: int) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
    sock.sendmsg([json.dumps(message).encode()], [rights])


# --- fork server -----------------------------------------------------------------------------------------


def serve(line: socket.socket, bpf: bytes) -> None:
    """Make boxes on request until the host hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing here waits for children: no zombies either
    gc.collect()
    gc.freeze()  # keep the collector from touching, and so copying, pages shared with every box
    me = os.pidfd_open(os.getpid())
    _send_with_fd(line, {"ready": True}, me)
    os.close(me)
    while True:
        data, rights, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(5 * 4))
        if not data:
            return
        fds = array.array("i")
        for _, _, payload in rights:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        if os.fork() == 0:
            line.close()
            _make_box(json.loads(data), list(fds), bpf)
        for fd in fds:
            os.close(fd)


def _make_box(limits: dict[str, int], fds: list[int], bpf: bytes) -> typing.NoReturn:
    """Enter the namespaces, fork process 1 into them, tell the host, and vanish."""
    watch = socket.socket(fileno=fds[1])
    try:
        uid, gid = os.getuid(), os.getgid()
        _check(_libc.unshare(_NEW_NAMESPACES), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_USER} {uid} 1"),
            ("gid_map", f"{_USER} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        first = os.fork()
        if first:
            pidfd = os.pidfd_open(first)
            _send_with_fd(watch, {"started": True}, pidfd)
        else:
            supervise(limits, fds, watch, bpf)
    except BaseException as error:  # whatever it is, the host must hear of it
        watch.send(json.dumps({"fault": repr(error)[:2000]}).encode())
    os._exit(0)


# --- supervisor ------------------------------------------------------------------------------------------


def supervise(limits: dict[str, int], fds: list[int], watch: socket.socket, bpf: bytes) -> None:
    """Be process 1 of a box."""
    _mount_private(limits)
    _loopback_up()
    _libc.sethostname(b"sandbox", 7)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if the machine runs out of memory, boxes go first
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    _drop_capabilities()
    _libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: the guest, same user, gets nothing from /proc/1
    guest_pid = os.fork()
    if guest_pid == 0:
        guest(limits, fds, bpf)
    for fd in (fds[0], *fds[2:]):
        os.close(fd)
    poller = select.poll()
    poller.register(wake_read, select.POLLIN)
    poller.register(watch, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == wake_read:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
                _reap(guest_pid, watch)
            else:
                request = watch.recv(65536)
                if not request:
                    os._exit(0)
                _answer(json.loads(request), limits, watch)


def _reap(guest_pid: int, watch: socket.socket) -> None:
    """Collect dead processes; when the guest itself is dead, say how it ended and take the box down."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == guest_pid:
            watch.send(json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode())
            os._exit(0)


def _answer(request: dict[str, typing.Any], limits: dict[str, int], watch: socket.socket) -> None:
    if request["op"] == "memory":
        used = _resident_bytes()
        if used > limits["memory_bytes"]:
            watch.send(json.dumps({"oom": used}).encode())
            os._exit(0)
        return
    try:
        fd = _open_beneath(request["path"], bool(request["write"]))
    except OSError as error:
        watch.send(json.dumps({"errno": error.errno or errno.EIO}).encode())
        return
    _send_with_fd(watch, {"opened": True}, fd)
    os.close(fd)


def _resident_bytes() -> int:
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/statm") as file:
                    pages = file.read().split()
                total += int(pages[1]) - int(pages[2])  # resident without file-backed and shared pages
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile
    return total * resource.getpagesize()


def _open_beneath(path: str, write: bool) -> int:
    """Open a regular file in the work directory without following a link anywhere on the way."""
    parts = path.split("/")
    here = os.open(_WORK, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            if write:
                try:
                    os.mkdir(part, 0o755, dir_fd=here)
                except FileExistsError:
                    pass
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        flags = os.O_WRONLY | os.O_CREAT if write else os.O_RDONLY
        fd = os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return fd


def _mount_private(limits: dict[str, int]) -> None:
    """Give the box its own work directory, shared memory and process table; the rest is read-only."""
    nosuid, nodev, noexec = 2, 4, 8
    work = f"size={limits['tmpfs_bytes']},nr_inodes={limits['tmpfs_inodes']},mode=0755"
    shared = "size=16m,nr_inodes=1024,mode=1777"
    _check(_libc.mount(b"tmpfs", _WORK.encode(), b"tmpfs", nosuid | nodev, work.encode()), "work directory")
    _check(_libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", nosuid | nodev | noexec, shared.encode()), "shm")
    # subset=pid: process directories only, nothing about the host's memory, uptime or boot line
    _check(_libc.mount(b"proc", b"/proc", b"proc", nosuid | nodev | noexec, b"subset=pid"), "/proc")


def _loopback_up() -> None:
    """Bring up 127.0.0.1, the only interface there is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def _drop_capabilities() -> None:
    for capability in range(64):
        if _libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP; the first unknown one ends it
            break
    _libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    _check(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    _check(_libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)), "capset")


# --- guest -----------------------------------------------------------------------------------------------


def guest(limits: dict[str, int], fds: list[int], bpf: bytes) -> typing.NoReturn:
    """Lock down, then do what the host says. Ends the process whatever happens."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        null = os.open("/dev/null", os.O_RDONLY)
        line = fcntl.fcntl(fds[0], fcntl.F_DUPFD_CLOEXEC, 100)
        for target, source in enumerate((fds[4] if len(fds) > 4 else null, fds[2], fds[3])):
            os.dup2(source, target)
        os.closerange(3, line)
        os.closerange(line + 1, 4096)
        os.chdir(_WORK)
        _lock(limits, bpf)
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
    random.seed(0)
    sys.argv[:] = [""]
    sys.path.insert(0, _WORK)
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"] + 1),  # the supervisor counts too
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(kind, (value, value))
    _libc.prctl(4, 1, 0, 0, 0)  # dumpable again: the guest may look at its own /proc entry
    buffer = ctypes.create_string_buffer(bpf, len(bpf))
    program = struct.pack("HxxxxxxP", len(bpf) // 8, ctypes.addressof(buffer))
    _check(_libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0), "seccomp")


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
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
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


def main() -> None:
    """Take the line to the host and the system-call filter from inherited descriptors, and serve."""
    line, bpf = (int(word) for word in sys.argv[1:3])
    with open(bpf, "rb") as file:
        program = file.read()
    sys.displayhook = sys.__displayhook__
    vars(builtins).pop("exit", None)
    serve(socket.socket(fileno=line), program)


if __name__ == "__main__":
    main()
