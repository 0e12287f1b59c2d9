"""Process 1 of a box: it makes the guests, watches them, speaks for them to the host, and outlives them.

It runs no hostile code, and the guests cannot signal, trace or read it, so the host may believe it. Besides
the guest that the box was made for it makes, on request:

* the next test case, a fresh guest in a box wiped to the last counter;
* a program in the session's work directory, in process and user namespaces of its own inside this box;
* a *branch*: a copy of the session's frozen interpreter, moved into a whole new box inside this one. The
  original stays frozen while copies of it live, or is dropped; so no hostile code is ever above a box.
"""

from __future__ import annotations

import array
import json
import os
import resource
import select
import signal
import socket
import typing

NEW_USER, NEW_PID, NEW_MOUNT, NEW_NET = 0x10000000, 0x20000000, 0x00020000, 0x40000000
_SYS_PTRACE, _SYS_ADMIN, _NET_ADMIN = 1 << 19, 1 << 21, 1 << 12


class Supervisor:
    """See the module.

    Args:
        kit: The module ``worker.py``, which knows how to make boxes.
        limits: What the host allows.
        watch: The line to the host; that of a branch comes later.
        bpf: The guests' system-call filter.
        above: The line to the supervisor that this box was made by, if it is a branch's.
    """

    def __init__(
        self,
        kit: typing.Any,
        limits: dict[str, typing.Any],
        watch: socket.socket | None,
        bpf: bytes,
        above: socket.socket | None = None,
    ) -> None:
        self.kit, self.limits, self.bpf, self.above = kit, limits, bpf, above
        if watch is not None:
            self.watch = watch
        self.copier = kit._copying.Copier(kit, limits, bpf)
        self.guest = 0
        self.adopted = False  # a branch's guest is the child of the supervisor above
        self.case = 0
        self.mounted = True
        self.pipes: dict[str, int] = {}  # what the guest's standard streams and line are, by link text
        self.last_pid = -1
        self.wake = -1

    # --- beginnings ---------------------------------------------------------------------------------------

    def settle(self, keep: int) -> None:
        """Give up what is not needed any more and become untouchable."""
        self.kit.write("/proc/self/oom_score_adj", "1000")  # if the machine runs out of memory, boxes go first
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.kit._drop_capabilities(keep)
        self.kit._libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: the guest, same user, gets nothing from /proc/1

    def make_guest(self, fds: list[int]) -> None:
        """Fork the guest; its ends of the lines are closed here."""
        self.pipes = {os.readlink(f"/proc/self/fd/{fds[index]}"): index for index in (0, 2, 3)}
        self.guest = os.fork()
        if self.guest == 0:
            self.kit._guest.run(self.limits, fds, self.bpf, self.kit.fence_of(self.limits["mode"]))
        for fd in (fds[0], *fds[2:]):
            os.close(fd)

    def serve(self) -> typing.NoReturn:
        """Do what the host asks for, and reap, until the box goes down."""
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        poller.register(self.watch, select.POLLIN)
        if self.above is not None:
            poller.register(self.above, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd == self.wake:
                    try:
                        os.read(self.wake, 4096)
                    except BlockingIOError:
                        pass
                    self._reap()
                elif fd == self.watch.fileno():
                    request, fds = self._receive(self.watch)
                    self._obey(request, fds)
                elif self.above is not None:
                    data = self.above.recv(4096)
                    if data:
                        self._ended(int(json.loads(data)["exit"]))
                    else:  # it has no more to say about a dead guest
                        poller.unregister(self.above)
                        self.above.close()
                        self.above = None

    @staticmethod
    def _receive(line: socket.socket) -> tuple[dict[str, typing.Any], list[int]]:
        data, rights, _, _ = line.recvmsg(65536, socket.CMSG_SPACE(5 * 4), socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)
        fds = array.array("i")
        for _, _, payload in rights:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        return json.loads(data), list(fds)

    # --- ends ---------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Collect dead processes; say how a guest ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                continue
            code = os.waitstatus_to_exitcode(status)
            if pid == self.guest and not self.adopted:
                self._ended(code)
            else:
                self.copier.ended(pid, code)

    def _ended(self, code: int) -> None:
        """Tell the host that the guest is dead, and take the box down unless it may carry others."""
        self.guest = 0
        self.copier.forget()
        self._say({"exit": code, "case": self.case})
        if not self.copier.carries and not self.case:
            os._exit(0)

    def _say(self, message: dict[str, object]) -> None:
        try:
            self.watch.send(json.dumps(message).encode())
        except OSError:
            os._exit(0)  # the host has hung up

    # --- requests -----------------------------------------------------------------------------------------

    def _obey(self, request: dict[str, typing.Any], fds: list[int]) -> None:
        name = request["op"]
        if name == "memory":
            used = _own_bytes(self.kit._inspection.is_inner)
            if used > self.limits["memory_bytes"]:
                self._say({"oom": used, "case": self.case})
                if not self.case:
                    os._exit(0)
            return
        try:
            if name == "open":
                fd = self.kit._open_beneath(request["path"], bool(request["write"]))
                self._send(self.watch, {"opened": True}, fd)
                os.close(fd)
            elif name == "list":
                self._list(int(request["most"]))
            elif name == "pause":
                self.copier.pause(self.guest, self.pipes)
                self._say({"done": True})
                self.copier.make_ahead()
            elif name == "resume":
                self._reap()  # or else the guest could see the first processes of copies that just ended
                self.copier.resume()
                self._say({"done": True})
            elif name == "drop":
                self._drop()
                self._say({"done": True})
            elif name == "program":
                self._program(fds)
            elif name == "branch":
                pidfd = self.copier.branch(self.guest, self.pipes, fds)
                try:
                    self._send(self.watch, {"done": True}, pidfd)
                finally:
                    os.close(pidfd)
            elif name == "case":
                self._next_case(fds)
            elif name == "end":
                self._end_case()
        except (self.kit._trace.Refused, self.kit._inspection.Refused) as error:
            self._say({"refused": str(error)})
        except OSError as error:
            self._say(self.kit._tree.describe(error))
        finally:
            for fd in fds:
                try:
                    os.close(fd)
                except OSError:
                    pass  # its owner closed it
        if name == "branch" and (request["more"] > 0 or (request["more"] == 0 and self.copier.more_are_likely)):
            self.copier.make_ahead()

    @staticmethod
    def _send(line: socket.socket, message: dict[str, object], fd: int) -> None:
        line.sendmsg([json.dumps(message).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])

    def _list(self, most: int) -> None:
        folder = os.open(self.kit._WORK, os.O_RDONLY | os.O_DIRECTORY)
        try:
            rows = self.kit._tree.entries(folder, most)
        finally:
            os.close(folder)
        fd = os.memfd_create("list", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(json.dumps(rows).encode())
            self._send(self.watch, {"listed": len(rows)}, fd)
        finally:
            os.close(fd)

    # --- test cases ---------------------------------------------------------------------------------------

    def prepare_cases(self) -> None:
        """Get hold of the counter of process ids before the view of ``/proc`` is narrowed."""
        self.last_pid = os.open("/proc/sys/kernel/ns_last_pid", os.O_WRONLY | os.O_CLOEXEC)

    def _next_case(self, fds: list[int]) -> None:
        """Start a guest of which nothing tells that others were before it."""
        self.case += 1
        if not self.mounted:
            self.kit._mount_work(self.limits)
            self.mounted = True
        os.pwrite(self.last_pid, b"1", 0)
        self.guest = os.fork()
        if self.guest == 0:
            try:
                if self.case > 1:  # counters, ports in their time of waiting, abstract names: all new
                    self.kit._check(self.kit._libc.unshare(NEW_NET), "unshare")
                    self.kit._loopback_up()
                self.kit._guest.run(self.limits, fds, self.bpf, self.kit.fence_of(self.limits["mode"]))
            finally:
                os._exit(70)

    def _end_case(self) -> None:
        """Kill all, reap all, free what they left, then say so."""
        self.guest = 0
        try:
            os.kill(-1, signal.SIGKILL)  # from process 1: every other process of the box
        except ProcessLookupError:
            pass
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        for path in (self.kit._WORK, self.kit._SHM) if self.mounted else ():
            self.kit._check(self.kit._libc.umount2(path.encode(), 2), "umount")  # MNT_DETACH: nobody is left in it
        self.mounted = False
        self._say({"ended": self.case})

    def _wipe(self) -> None:
        for path in (self.kit._WORK, self.kit._SHM):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            self.kit._tree.wipe(folder)
            os.close(folder)

    # --- a program beside the interpreter -----------------------------------------------------------------

    def _program(self, fds: list[int]) -> None:
        """Make an inner box that shares the work directory, network and shared memory with this one."""
        self.kit.make_box({**self.limits, "mode": "program"}, fds, self.bpf, NEW_USER | NEW_PID | NEW_MOUNT)

    # --- branches -----------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Kill the frozen guest and free its files: only its copies live on."""
        pid, self.guest = self.guest, 0
        self.copier.forget()
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0x40000000)  # __WALL: as its tracer; it may be the child of the supervisor above
        self._wipe()

    def become_branch(self, folders: list[int]) -> None:
        """In a new box: copy the guest's files, wait for its lines, and let it be moved in."""
        assert self.above is not None
        for source, path in zip(folders, (self.kit._WORK, self.kit._SHM), strict=True):
            target = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            self.kit._tree.copy(source, target)
            os.close(source)
            os.close(target)
        _, fds = self._receive(self.above)
        self.watch = socket.socket(fileno=fds[1])
        self.pipes = {os.readlink(f"/proc/self/fd/{fds[index]}"): index for index in (0, 2, 3)}
        self.above.send(json.dumps({"ready": fds}).encode())
        if not self.above.recv(4096):
            os._exit(0)
        for fd in (fds[0], fds[2], fds[3]):
            os.close(fd)
        self.guest, self.adopted = 2, True

    def say_settled(self) -> None:
        """In a new box: tell the supervisor above that the guest may run."""
        assert self.above is not None
        self.above.send(b'{"settled": true}')


def _own_bytes(is_inner: typing.Callable[[int], bool]) -> int:
    """Return the resident memory of this box, without that of the boxes inside: they look after themselves."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1" and not is_inner(int(name)):
            try:
                with open(f"/proc/{name}/statm") as file:
                    pages = file.read().split()
                total += int(pages[1]) - int(pages[2])  # resident without file-backed and shared pages
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile
    return total * resource.getpagesize()
