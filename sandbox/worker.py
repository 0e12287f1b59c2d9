"""The program that runs inside: a fork server, a supervisor per box, and the interpreter of the guest.

Standard library only, and imported by nobody: the host hands the text to the Python inside. Three roles,
each a fork of the one before, so that a new box costs milliseconds and not an interpreter's start:

``serve``      The fork server. It never runs guest code. One request (a datagram with the box's file
               descriptors) makes one box: a child enters new user, pid, mount, network, ipc and uts
               namespaces and hands a pidfd of the box's first process to the host.
``supervise``  Process 1 of the box. It prepares the file system, forks the guest, reaps, opens files for
               the host, watches the memory of the tree, and reports how the guest ended. The guest cannot
               signal, trace or read it, so the host may believe it.
``guest``      The interpreter or program itself, locked down: ``guest.py``, which lies beside this file.
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
import select
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
_NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_WORK = "/tmp"
_USER = 1000


def _load_guest() -> typing.Any:
    """Load the file beside this one, whose folder is not on ``sys.path`` and never shall be."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.py")
    spec = importlib.util.spec_from_file_location("_thinkact_guest", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_guest = _load_guest()


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
        data, rights, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(5 * 4), socket.MSG_CMSG_CLOEXEC)
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
        _guest.run(limits, fds, bpf)
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


def main() -> None:
    """Take the line to the host and the system-call filter from inherited descriptors, and serve."""
    line, bpf = (int(word) for word in sys.argv[1:3])
    with open(bpf, "rb") as file:
        program = file.read()
    for name in _PRELOAD.split():
        importlib.import_module(name)
    serve(socket.socket(fileno=line), program)


if __name__ == "__main__":
    main()
