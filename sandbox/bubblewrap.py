"""The bubblewrap backend: one fork server inside bubblewrap, one box of namespaces per session or run.

bubblewrap builds the read-only inside once and drops every capability. Its fork server, a Python with the
usual standard modules loaded, then makes a box in milliseconds: new user, pid, mount, network, ipc and uts
namespaces, a work directory in memory, resource limits, a system-call filter. Boxes share nothing but
read-only files, so what runs in one cannot see or touch another.

Not covered: kernel bugs; timing side channels; memory that the kernel holds for pipes and sockets; the disk
and processor caches. Processor time is limited by the clock and the number of processes only.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import weakref
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from thinkact.sandbox import inside, profiles, rootfs, seccomp
from thinkact.sandbox.box import Box, memory_file
from thinkact.sandbox.closing import Closing
from thinkact.sandbox.grading import case_requests, case_result, check_argv, check_wall
from thinkact.sandbox.running import Running, Sink
from thinkact.sandbox.session import BubblewrapSession, BubblewrapSnapshot, write_file
from thinkact.sandbox.talk import Outcome, readable, receive
from thinkact.sandbox.types import (
    CaseResult,
    ExecResult,
    Isolation,
    Limits,
    Profile,
    SandboxFault,
    SandboxUnavailable,
)

_START_S = 30.0


class BubblewrapSandbox(Closing):
    """Isolated programs, sessions and test cases on this machine.

    Boxes may be made from several threads; one session belongs to one thread at a time.

    Args:
        limits: What each box may use.
        network: Let the boxes use this machine's network, its loopback included. For programs that somebody
            vouches for; nothing else about the isolation changes.

    Raises:
        SandboxUnavailable: This machine cannot isolate; the message says what to install or allow.
    """

    backend = "bubblewrap"

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        profile: Profile = "python",
        isolation: Isolation = "strict",
        network: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.profile = profile
        self.network = network
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._sessions: weakref.WeakSet[BubblewrapSession] = weakref.WeakSet()
        self._snapshots: weakref.WeakSet[BubblewrapSnapshot] = weakref.WeakSet()
        self._running: weakref.WeakSet[Running] = weakref.WeakSet()
        self._closed = False
        self._server, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._library_path = rootfs.interpreter().library_path
        self._process: subprocess.Popen[bytes] | None = None
        self._server_pidfd = -1
        said = os.memfd_create("thinkact-stderr", os.MFD_CLOEXEC)
        inner = [memory_file(f"thinkact-{path.name}", path.read_bytes()) for path in inside.files()]
        bpf = memory_file("thinkact-seccomp", seccomp.build() if seccomp.supported() else b"")
        try:
            bwrap = rootfs.find_bwrap(isolation)
            profiles.packages(profile)  # raises if one is missing
            args = [str(far.fileno()), str(bpf), profiles.PACKAGES_HOME, profiles.preloaded(profile)]
            self._process = rootfs.Starter.get().start(
                bwrap, profile, inner, args, [far.fileno(), bpf], said, network=network
            )
            far.close()
            try:
                _, fd = receive(self._server, _START_S)
            except SandboxFault as error:
                raise SandboxUnavailable(f"bubblewrap did not start within {_START_S:.0f} s") from error
            if fd is None:
                raise SandboxUnavailable(rootfs.explain(os.pread(said, 65536, 0).decode("utf-8", "replace")))
            self._server_pidfd = fd
        except BaseException:
            self.close()
            raise
        finally:
            far.close()
            for fd in (said, *inner, bpf):
                os.close(fd)

    @property
    def level(self) -> str:
        """The isolation reached, in words."""
        kinds = "user+pid+mount+ipc+uts+cgroup" if self.network else "user+pid+mount+net+ipc+uts+cgroup"
        parts = [f"bubblewrap: {kinds} namespaces, no capabilities, no new privileges"]
        parts += ["seccomp"] if seccomp.supported() else ["no seccomp"]
        landlock = seccomp.landlock_version()
        parts += ["landlock scopes around every box"] if landlock >= 6 else []
        parts += ["landlock of files around single programs and cases"] if landlock >= 2 else []
        parts += ["a user id of its own"] if os.geteuid() == 0 else []
        parts += ["the machine's network"] if self.network else []
        return ", ".join([*parts, "resource limits, memory of the tree sampled"])

    @property
    def own(self) -> bool:
        """Whether this process made the sandbox; a forked child must make its own."""
        return os.getpid() == self._pid

    @property
    def alive(self) -> bool:
        """Whether it can still make boxes."""
        return not self._closed and self.own and not readable(self._server_pidfd, 0)

    def make_box(self, stdin_fd: int | None = None, mode: str = "session", sink: Sink | None = None) -> Box:
        """Make a box; see :class:`Box` for the modes.

        Raises:
            SandboxFault: The sandbox is closed, belongs to the parent process, or could not make one.
        """
        if not self.own:
            raise SandboxFault("this sandbox belongs to the parent process; create one after the fork")
        with self._lock:
            if self._closed:
                raise SandboxFault("this sandbox is closed")
            return Box(self._server, self.limits, mode, self._request(mode), stdin_fd, sink=sink)

    def _request(self, mode: str) -> dict[str, object]:
        limits = self.limits
        return {
            "mode": mode,
            "network": self.network,
            "memory_bytes": limits.memory_bytes,
            "cpu_s": limits.cpu_s,
            "processes": limits.processes,
            "file_bytes": limits.file_bytes,
            "tmpfs_bytes": limits.tmpfs_bytes,
            "tmpfs_inodes": limits.tmpfs_inodes,
            "open_files": limits.open_files,
            "library_path": self._library_path,
            "packages": "" if self.profile == "python" else profiles.PACKAGES_HOME,
        }

    def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run one program; see :meth:`thinkact.sandbox.types.Sandbox.exec`."""
        words = check_argv(argv)
        wall = self.wall(timeout)
        stdin_fd = memory_file("thinkact-stdin", stdin) if stdin else None
        try:
            box = self.make_box(stdin_fd, "run")
        finally:
            if stdin_fd is not None:
                os.close(stdin_fd)
        try:
            for path, data in (files or {}).items():
                write_file(box, path, data)
            return self.checked(box.talk({"op": "program", "argv": words}, wall, until_exit=True)).run
        finally:
            box.kill()

    def start(
        self,
        argv: Sequence[str],
        sink: Sink,
        *,
        files: Mapping[str, bytes] | None = None,
        executable: Collection[str] = (),
        timeout: float | None = None,
    ) -> Running:
        """Start a program that goes on running, with pipes to its standard input and output.

        Every fence is that of :meth:`exec`; ``Limits.output_bytes`` caps what is kept of its standard error,
        and a program that prints more than ``flood_factor`` times that on either stream is stopped.

        Args:
            argv: The program and its arguments.
            sink: Takes its standard output as it comes, in another thread.
            files: Contents by path relative to the work directory.
            executable: Which of them are programs.
            timeout: Seconds that it may live; ``limits.wall_s`` if None.

        Raises:
            ValueError: An empty ``argv``, or a path in ``files`` that is absolute or climbs out.
            SandboxFileError: ``files`` do not fit into the work directory.
            SandboxFault: The machinery failed.
        """
        words, wall = check_argv(argv), self.wall(timeout)
        far, near = os.pipe()
        try:
            box = self.make_box(far, "run", sink)
        except BaseException:
            os.close(near)
            raise
        finally:
            os.close(far)
        try:
            for path, data in (files or {}).items():
                write_file(box, path, data, executable=path in executable)
            running = Running(self, box, words, near, wall)
        except BaseException:
            os.close(near)
            box.kill()
            raise
        self._running.add(running)
        return running

    def session(
        self, language: Literal["python"] = "python", *, files: Mapping[str, bytes] | None = None
    ) -> BubblewrapSession:
        """Open a stateful interpreter; see :meth:`thinkact.sandbox.types.Sandbox.session`."""
        if language != "python":
            raise ValueError(f"no session for {language!r}; there is one for 'python'")
        session = self.adopt(None)
        try:
            for path, data in (files or {}).items():
                session.write_file(path, data)
        except BaseException:
            session.close()
            raise
        return session

    def adopt(self, box: Box | None) -> BubblewrapSession:
        """Make a session of a box, or of a new one; it dies with the sandbox."""
        session = BubblewrapSession(self, box)
        self._sessions.add(session)
        return session

    def register(self, snapshot: BubblewrapSnapshot) -> None:
        """Have a snapshot die with the sandbox."""
        self._snapshots.add(snapshot)

    def run_cases(
        self,
        source: str,
        function: str,
        inputs: Sequence[Sequence[object]],
        *,
        timeout: float | None = None,
    ) -> list[CaseResult]:
        """Call a function once per case; see :meth:`thinkact.sandbox.types.Sandbox.run_cases`.

        All cases share one box of namespaces and its supervisor, which kills every process between two cases
        and gives the next one new mounts, a new network, new lines to the host and the first process id.
        """
        requests, wall = case_requests(source, function, inputs), self.wall(timeout)
        if not requests:
            return []
        box = self.make_box(mode="cases")
        try:
            return [self._case(box, request, wall) for request in requests]
        finally:
            box.kill()

    def _case(self, box: Box, request: dict[str, object], wall: float) -> CaseResult:
        outcome = self.checked(box.next_case(request, wall))
        return case_result(outcome.run, outcome.reply)

    def checked(self, outcome: Outcome) -> Outcome:
        """Return an outcome that the guest is to blame for.

        Raises:
            SandboxFault: The box went down with the fork server, which no guest can reach.
        """
        if outcome.lost and readable(self._server_pidfd, 0.5):
            raise SandboxFault("the sandbox's fork server died; create a new sandbox")
        return outcome

    def wall(self, timeout: float | None) -> float:
        """Return the seconds to allow, or raise ValueError."""
        return check_wall(self.limits, timeout)

    def close(self) -> None:
        """Kill every process and session; closing twice is harmless.

        Raises:
            SandboxFault: Something would not die.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for running in list(self._running):
            running.close()
        for session in list(self._sessions):
            session.close()
        for snapshot in list(self._snapshots):
            snapshot.close()
        self._server.close()
        process = self._process
        if process is not None:
            if self.own:
                # bubblewrap's death is the fork server's (--die-with-parent); then wait for both.
                process.kill()
                process.wait()
                if self._server_pidfd >= 0 and not readable(self._server_pidfd, _START_S):
                    raise SandboxFault(f"the sandbox did not die within {_START_S:.0f} s of SIGKILL")
            else:
                process.returncode = 0  # the parent's process: nothing for this one to wait for
        if self._server_pidfd >= 0:
            os.close(self._server_pidfd)

    def __del__(self) -> None:
        """Close a forgotten sandbox."""
        if hasattr(self, "_closed") and hasattr(self, "_process"):
            self.close()
