"""The Chrome DevTools Protocol over a pair of pipes, and Chromium's process at their other end.

Only who holds the pipes can speak to the browser: no port is open that a page or another process could find. One
message is one JSON object, ended by a zero byte (https://chromedevtools.github.io/devtools-protocol/, and
``--remote-debugging-pipe`` in Chromium's ``content/browser/devtools/devtools_pipe_handler.cc``).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import json
import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Handler = Callable[[Any], Any]


class ProtocolError(Exception):
    """Chromium refused a command; the text is its own."""


class TargetClosed(Exception):
    """What a command was for is no more: the page was closed or crashed, or the browser is gone."""


class Emitter:
    """Something that tells what happens to it; a handler may be a coroutine function."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._running: set[asyncio.Future[Any]] = set()

    def on(self, event: str, handler: Handler) -> None:
        """Call ``handler`` with every such event."""
        self._handlers.setdefault(event, []).append(handler)

    def remove_listener(self, event: str, handler: Handler) -> None:
        """Call it no more."""
        if handler in self._handlers.get(event, ()):
            self._handlers[event].remove(handler)

    def emit(self, event: str, value: Any) -> bool:
        """Tell an event; return whether anybody hears it."""
        heard = list(self._handlers.get(event, ()))
        for handler in heard:
            answer = handler(value)
            if inspect.isawaitable(answer):
                running = asyncio.ensure_future(answer)
                self._running.add(running)
                running.add_done_callback(self._running.discard)
        return bool(heard)


class Session(Emitter):
    """What is said to one target, and what it says: the browser itself, or a page."""

    def __init__(self, connection: Connection, name: str) -> None:
        super().__init__()
        self._connection = connection
        self._name = name
        #: Why nothing can be sent any more.
        self.over = ""

    def on(self, event: str, handler: Handler) -> None:
        """Call ``handler`` with the parameters of every such event."""
        self._connection.heard.add(event.encode())
        super().on(event, handler)

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> asyncio.Future[dict[str, Any]]:
        """Send a command at once; what is sent one after another is carried out in this order.

        Returns:
            A future of the answer. It fails with :class:`ProtocolError` or :class:`TargetClosed`.
        """
        return self._connection.send(self, self._name, method, params or {})

    def end(self, why: str) -> None:
        """Fail what is not answered, and all that will be sent."""
        if not self.over:
            self.over = why
            self._connection.fail(self, why)


class Connection(asyncio.Protocol):
    """The two pipes, and the commands that are not answered yet."""

    def __init__(self, process: Process) -> None:
        self.process = process
        #: Names of the events that anybody ever asked for; others are not even decoded.
        self.heard: set[bytes] = set()
        self.root = Session(self, "")
        self._sessions = {"": self.root}
        self._waiting: dict[int, tuple[asyncio.Future[Any], Session]] = {}
        self._count = 0
        self._rest: list[bytes] = []
        self._writer: asyncio.WriteTransport | None = None
        self._reader: asyncio.ReadTransport | None = None
        #: Called once when the browser is gone.
        self.lost: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Begin to read and to write."""
        loop = asyncio.get_running_loop()
        self._reader, _ = await loop.connect_read_pipe(lambda: self, os.fdopen(self.process.output, "rb", 0))
        self._writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(self.process.input, "wb", 0))

    def session(self, name: str) -> Session:
        """Return the session of this name; its events go there from now on."""
        session = self._sessions[name] = Session(self, name)
        return session

    def forget(self, name: str, why: str) -> None:
        """End a session, and tell ``closed`` on it."""
        session = self._sessions.pop(name, None)
        if session is not None:
            session.end(why)
            session.emit("closed", None)

    def send(self, session: Session, name: str, method: str, params: Mapping[str, Any]) -> asyncio.Future[Any]:
        """See :meth:`Session.send`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if session.over or self._writer is None:
            future.set_exception(TargetClosed(session.over or "the browser has not been opened."))
            return future
        self._count += 1
        self._waiting[self._count] = future, session
        message = {"id": self._count, "method": method, "params": params}
        if name:
            message["sessionId"] = name
        self._writer.write(json.dumps(message).encode() + b"\0")
        return future

    def fail(self, session: Session, why: str) -> None:
        """Fail what waits for an answer of a session."""
        for number in [number for number, (_, whose) in self._waiting.items() if whose is session]:
            future, _ = self._waiting.pop(number)
            if not future.done():
                future.set_exception(TargetClosed(why))

    # asyncio's side.

    def data_received(self, data: bytes) -> None:
        """Take bytes from the browser."""
        *whole, rest = data.split(b"\0")
        if whole:
            self._rest.append(whole[0])
            whole[0] = b"".join(self._rest)
            self._rest = []
        if rest:
            self._rest.append(rest)
        for message in whole:
            self._take(message)

    def connection_lost(self, _: Exception | None) -> None:
        """End everything: the browser is gone."""
        if self.root.over:
            return
        for name in list(self._sessions):
            self.forget(name, "the browser is gone.")
        self.lost()
        for end in (self._reader, self._writer):
            if end is not None:
                end.close()

    def _take(self, raw: bytes) -> None:
        # Most messages are events that nobody asked for, and begin with their name.
        if raw.startswith(b'{"method":"') and raw[11 : raw.index(b'"', 11)] not in self.heard:
            return
        message = json.loads(raw)
        number = message.get("id")
        if number is None:
            session = self._sessions.get(message.get("sessionId", ""))
            if session is not None:
                session.emit(message["method"], message.get("params", {}))
            return
        future, _ = self._waiting.pop(number, (None, None))
        if future is None or future.done():
            return
        if error := message.get("error"):
            future.set_exception(ProtocolError(str(error.get("message", error))))
        else:
            future.set_result(message["result"])


#: Waits until its input ends, as it does when this process ends however it ends; then nothing is left.
_GUARD = 'read _; kill -9 -- "-$0"; rm -rf "$1"'
_processes: weakref.WeakSet[Process] = weakref.WeakSet()


class Process:
    """Chromium, in a process group and with a folder of its own; both go with this process, however that ends.

    Args:
        command: The program and its options, but for those of the pipe and of the folder.

    Raises:
        OSError: It cannot be run.
    """

    def __init__(self, command: list[str]) -> None:
        self.folder = tempfile.mkdtemp(prefix="thinkact-chromium-")
        self._complaints = Path(self.folder, "stderr")
        command = [*command, f"--user-data-dir={self.folder}", "--remote-debugging-pipe", "--no-startup-window"]
        theirs: list[int] = []
        mine: list[int] = []
        try:
            for write in (False, True):
                ends = os.pipe()
                mine.append(ends[not write])
                # Far from 3 and 4, which they become in the child.
                theirs.append(fcntl.fcntl(ends[write], fcntl.F_DUPFD_CLOEXEC, 10))
                os.close(ends[write])
            null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            out = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
            error = (os.POSIX_SPAWN_OPEN, 2, str(self._complaints), os.O_WRONLY | os.O_CREAT, 0o600)
            pipes = [(os.POSIX_SPAWN_DUP2, their, end) for their, end in zip(theirs, (3, 4), strict=True)]
            files = [null, out, error, *pipes]
            # Every page in UTC and in English, whatever the machine's zone and language.
            environment = {**os.environ, "TZ": "UTC", "LANGUAGE": "en_US"}
            self.pid = os.posix_spawn(command[0], command, environment, file_actions=files, setpgroup=0)
        except BaseException:
            for end in mine:
                os.close(end)
            os.rmdir(self.folder)
            raise
        finally:
            for end in theirs:
                os.close(end)
        #: Where commands are written, and where answers are read.
        self.input, self.output = mine
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self.pid), self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _processes.add(self)

    def complaints(self) -> str:
        """Return what Chromium wrote last to its standard error."""
        try:
            return self._complaints.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def end(self) -> None:
        """Kill it and remove its folder; blocks for a moment."""
        _processes.discard(self)
        self._guard.communicate()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)  # where somebody has killed the guard
        shutil.rmtree(self.folder, ignore_errors=True)
        # Not before: until it is waited for, nobody else gets its number.
        os.waitpid(self.pid, 0)

    def orphan(self) -> None:
        """Hold its pipes no more in a forked child, where they would keep it alive after its parent."""
        null = os.open(os.devnull, os.O_RDWR)
        for end in (self.input, self.output, self._guard.stdin.fileno() if self._guard.stdin else -1):
            with contextlib.suppress(OSError):
                os.dup2(null, end, inheritable=False)  # the number stays taken: its owner will close it
        os.close(null)


def _after_fork() -> None:
    for process in list(_processes):
        process.orphan()


os.register_at_fork(after_in_child=_after_fork)
