"""The program that runs inside: a fork server, a supervisor per box, and the interpreter of the guest.

Standard library only, and imported by nobody: the host hands the texts to the Python inside. Three roles,
each a fork of the one before, so that a new box costs milliseconds and not an interpreter's start:

``serve``      The fork server. It never runs guest code. One request (a datagram with the box's file
               descriptors) makes one box: a child enters new user, pid, mount, network, ipc and uts
               namespaces and hands a pidfd of the box's first process to the host.
``supervisor`` Process 1 of the box: it forks the guest, reaps, opens files for the host, watches the memory
               of the tree, copies a frozen guest into another box, and reports how the guest ended.
``guest``      The interpreter or program itself, locked down.

The last two are the files of that name beside this one; the others are the supervisor's.
"""

import array
import ctypes
import errno
import fcntl
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import typing

_PRELOAD = (
    "bisect collections contextlib copy csv dataclasses datetime decimal enum fractions functools heapq itertools "
    "math operator random re statistics string textwrap typing"
)
"""What guests import most, loaded once, before the forks."""

_libc = ctypes.CDLL(None, use_errno=True)
_held = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock during a call
_CLONE = 220 if os.uname().machine == "aarch64" else 56
_CLONE_PIDFD = 0x1000
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000
_NEW_NET = 0x40000000  # takes longer than all others, so each box makes it by itself
_WORK, _SHM = "/tmp", "/dev/shm"
_USER = 1000
_KEPT = {"session": 1 << 19, "cases": 1 << 21 | 1 << 12 | 1 << 5}
"""Capabilities that a supervisor keeps, over its own box: to freeze a guest; to wipe a box between two cases."""


def _load(name: str) -> typing.Any:
    """Load a file beside this one, whose folder is not on ``sys.path`` and never shall be."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_thinkact_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_guest = _load("guest")
_fence = _load("fence")
_supervisor: typing.Any = None
_copying: typing.Any = None
_trace: typing.Any = None
_program: typing.Any = None
_transplant: typing.Any = None
_inspection: typing.Any = None
_tree: typing.Any = None


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _send_with_fd(sock: socket.socket, message: dict[str, object], fd: int) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
    sock.sendmsg([json.dumps(message).encode()], [rights])


def write(path: str, text: str) -> None:
    """Write to a file that is there; the file objects of Python cost more than the kernel's work."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


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
        data, rights, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(5 * 4), socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        fds = array.array("i")
        for _, _, payload in rights:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        try:
            make_box(json.loads(data), list(fds), bpf)
        except OSError as error:
            with socket.socket(fileno=os.dup(fds[1])) as watch:
                watch.send(json.dumps({"fault": str(error)}).encode())
        for fd in fds:
            os.close(fd)


def make_box(request: dict[str, typing.Any], fds: list[int], bpf: bytes, kinds: int = _NEW_NAMESPACES) -> None:
    """Make process 1 of a new box and tell who asked.

    Args:
        request: The limits, and what the box is for: its ``mode``.
        fds: Line, watch, stdout and stderr of the guest, perhaps its stdin.
        bpf: The guest's system-call filter.
        kinds: Which namespaces are new.

    Raises:
        OSError: The kernel refused.
    """
    uid, gid = os.getuid(), os.getgid()
    first, pidfd = _clone(kinds)
    watch = socket.socket(fileno=os.dup(fds[1]))
    if first == 0:
        _be_first(request, fds, watch, bpf, uid, gid)
    _send_with_fd(watch, {"started": True}, pidfd)
    watch.close()
    os.close(pidfd)


def clone_box(request: dict[str, typing.Any], bpf: bytes, above: socket.socket) -> tuple[int, int]:
    """Make process 1 of a box whose guest and lines come later; return its id and a pidfd.

    Args:
        request: The limits, and what the box is for: its ``mode``.
        bpf: The guest's system-call filter.
        above: Where it gets them, and tells what goes wrong.

    Raises:
        OSError: The kernel refused.
    """
    uid, gid = os.getuid(), os.getgid()
    first, pidfd = _clone(_NEW_NAMESPACES)
    if first == 0:
        _be_first(request, [], above, bpf, uid, gid)
    return first, pidfd


def _clone(kinds: int) -> tuple[int, int]:
    """Fork into new namespaces; return the child's id and a pidfd, or in the child 0 and nothing of use."""
    pidfd = ctypes.c_int(-1)
    # One call instead of fork, unshare and fork: a fork of an interpreter is what costs most here. Nothing that
    # the C library or Python do after a fork is needed: there is one thread, and no lock is held.
    first = int(_held.syscall(_CLONE, kinds | _CLONE_PIDFD | signal.SIGCHLD, None, ctypes.byref(pidfd), None, None))
    if first < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"clone: {os.strerror(number)}")
    return first, pidfd.value


def _be_first(
    request: dict[str, typing.Any], fds: list[int], line: socket.socket, bpf: bytes, uid: int, gid: int
) -> typing.NoReturn:
    """Be process 1 of a box, and say so if that fails."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _libc.prctl(4, 1, 0, 0, 0)  # dumpable, or else the maps below belong to root
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_USER} {uid} 1"),
            ("gid_map", f"{_USER} {gid} 1"),
        ):
            write(f"/proc/self/{name}", text)
        _supervise(request, fds, line, bpf)
    except BaseException as error:  # whatever it is, the host must hear of it
        number = error.errno if isinstance(error, OSError) else 0
        line.send(json.dumps({"fault": repr(error)[:2000], "errno": number}).encode())
    finally:
        os._exit(0)


def _supervise(request: dict[str, typing.Any], fds: list[int], line: socket.socket, bpf: bytes) -> None:
    mode = request["mode"]
    begin = 3
    for fd in sorted({line.fileno(), *fds}):
        os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, 4096)
    watch, above = (None, line) if mode == "branch" else (line, None)
    if watch is not None:
        os.close(fds[1])
    supervisor = _supervisor.Supervisor(sys.modules[__name__], request, watch, bpf, above)
    folders = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (_WORK, _SHM)] if mode == "branch" else []
    if mode != "program":
        if not request.get("network"):
            _check(_libc.unshare(_NEW_NET), "network")
            _loopback_up()
        _mount_work(request)
        _libc.sethostname(b"sandbox", 7)
    if mode == "cases":
        _mount_proc(b"")
        supervisor.prepare_cases()
    # subset=pid: process directories only, nothing about the host's memory, uptime or boot line
    _mount_proc(b"subset=pid")
    if mode == "branch":
        supervisor.become_branch(folders)
    supervisor.settle(_KEPT["cases" if mode == "cases" else "session"])
    if mode == "session":  # its interpreter and the boxes inside it are in its fence
        _fence.scopes()
    if mode in ("session", "program", "run"):
        supervisor.make_guest(fds)
    elif mode == "cases":
        for fd in (fds[0], *fds[2:]):
            os.close(fd)
    else:
        supervisor.say_settled()
    supervisor.serve()


def fence_of(mode: str) -> typing.Callable[[], object]:
    """Return what fences the guest of a box in, beyond its box's own fence; see ``fence.py``."""
    if mode == "session":
        return lambda: None
    return _fence.scopes if mode == "program" else lambda: _fence.files(_WORK)


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


def _mount_work(limits: dict[str, int]) -> None:
    """Give the box its own work directory and shared memory; the rest is read-only."""
    nosuid, nodev, noexec = 2, 4, 8
    work = f"size={limits['tmpfs_bytes']},nr_inodes={limits['tmpfs_inodes']},mode=0755"
    shared = "size=16m,nr_inodes=1024,mode=1777"
    _check(_libc.mount(b"tmpfs", _WORK.encode(), b"tmpfs", nosuid | nodev, work.encode()), "work directory")
    _check(_libc.mount(b"tmpfs", _SHM.encode(), b"tmpfs", nosuid | nodev | noexec, shared.encode()), "shm")


def _mount_proc(options: bytes) -> None:
    """Show the box's own processes."""
    _check(_libc.mount(b"proc", b"/proc", b"proc", 2 | 4 | 8, options), "/proc")


def _loopback_up() -> None:
    """Bring up 127.0.0.1, the only interface there is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def _drop_capabilities(keep: int = 0) -> None:
    """Give up all capabilities but those of a mask, for ever, and for all that comes of this process."""
    for capability in range(64):
        if _libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP; the first unknown one ends it
            break
    _libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    _check(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    low, high = keep & 0xFFFFFFFF, keep >> 32
    data = struct.pack("6I", low, low, 0, high, high, 0)
    _check(_libc.capset(struct.pack("Ii", 0x20080522, 0), data), "capset")


def main() -> None:
    """Take the line to the host and the system-call filter from inherited descriptors, and serve."""
    global _supervisor, _copying, _trace, _program, _transplant, _inspection, _tree
    _supervisor, _copying, _trace, _program = map(_load, ("supervisor", "copying", "trace", "program"))
    _transplant, _inspection, _tree = map(_load, ("transplant", "inspection", "tree"))
    line, bpf = (int(word) for word in sys.argv[1:3])
    packages, preload = sys.argv[3:5]
    if preload:
        sys.path.append(packages)
    with open(bpf, "rb") as file:
        program = file.read()
    for name in (_PRELOAD + " " + preload).split():
        importlib.import_module(name)
    serve(socket.socket(fileno=line), program)


if __name__ == "__main__":
    main()
