"""What every sandbox backend takes and gives: limits, results, protocols and errors.

Whose fault a failure is decides its type. What the isolated program does (crash, hang, flood, exhaust its
memory) is *data*: an :class:`ExecResult` with a status. What the caller does wrong (a bad limit, a path
outside the work directory) raises ``ValueError`` or :class:`SandboxFileError` at once. What the isolation
machinery does wrong raises :class:`SandboxFault`, so that a broken machine is never scored as a bad agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Literal, Protocol, Self

Status = Literal["ok", "error", "timeout", "oom", "killed", "output_limit"]
"""``ok``: exit code 0 (or a cell without an exception). ``error``: it failed by itself. ``timeout``: wall or
CPU time ran out. ``oom``: memory ran out. ``killed``: it died by a signal, or broke the line to its
supervisor. ``output_limit``: it was stopped because it would not stop printing."""

MiB = 1 << 20


class SandboxFault(RuntimeError):
    """The isolation machinery failed; the isolated program is not to blame and must not be scored."""


class SandboxUnavailable(SandboxFault):
    """This machine cannot isolate code; the message names what to install or enable."""


class SandboxFileError(OSError):
    """A file could not be read from, or written into, a session's work directory.

    The program inside controls that directory (it may have filled it, or replaced a file by a symlink or a
    pipe), so this is an ordinary event and not a :class:`SandboxFault`.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """What one isolated process tree may use. Every field must be positive.

    Attributes:
        wall_s: Wall-clock seconds for one exec, cell or case, unless the call names another time-out.
        cpu_s: CPU seconds of one process. In a session the allowance is renewed with every cell.
        memory_bytes: Address space of one process, and resident memory of the whole tree together (the
            latter is sampled ten times a second, so a fast allocator can overshoot for a moment).
        processes: Processes and threads alive at once.
        file_bytes: Size of one file.
        tmpfs_bytes: Size of the work directory, which lives in memory.
        tmpfs_inodes: Files and directories in the work directory.
        open_files: File descriptors of one process.
        output_bytes: Kept bytes of stdout, and of stderr. What comes after is read and dropped; a program
            that writes more than ``flood_factor`` times as much is stopped.
        flood_factor: See ``output_bytes``.
    """

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_bytes: int = 1024 * MiB
    processes: int = 32
    file_bytes: int = 64 * MiB
    tmpfs_bytes: int = 64 * MiB
    tmpfs_inodes: int = 16_384
    open_files: int = 256
    output_bytes: int = 1 * MiB
    flood_factor: int = 16

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing.

        Raises:
            ValueError: A field is not a positive number of its type.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            wanted: tuple[type, ...] = (int, float) if field.name == "wall_s" else (int,)
            if type(value) not in wanted or not 0 < value < float("inf"):
                kind = "number" if field.name == "wall_s" else "integer"
                raise ValueError(f"Limits.{field.name} must be a positive {kind}, got {value!r}")


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What one program or cell did.

    Attributes:
        stdout: Standard output, decoded as UTF-8 with replacement characters.
        stderr: Standard error, likewise; it carries the short traceback of a failed cell.
        exit_code: 0 for success; negative, minus the signal number, for a death by signal.
        duration_s: Wall-clock seconds. Never part of an observation: it differs from run to run.
        truncated: Whether output beyond ``Limits.output_bytes`` was dropped.
        limit_hit: Which limit was met: ``wall``, ``cpu``, ``memory``, ``output``, or None.
        status: The outcome in one word.
    """

    stdout: str
    stderr: str
    exit_code: int
    duration_s: float
    truncated: bool
    limit_hit: str | None
    status: Status


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a function under test returned for one list of arguments.

    Attributes:
        ok: Whether the function returned plain JSON. It does *not* mean that the value is right: that is
            for the caller to decide, outside, with :func:`json_equal` or its own comparison.
        value: The returned value, only meaningful if ``ok``.
        error: A one-line reason if not ``ok``, else None.
        run: Output, timing and status of the interpreter that ran the case.
    """

    ok: bool
    value: object
    error: str | None
    run: ExecResult


class Session(Protocol):
    """An interpreter that keeps its state between cells; not safe for use from two threads at once."""

    def exec(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run one cell, echoing the value of a last expression.

        Raises:
            SandboxFault: The machinery failed.
        """
        ...

    def restart(self) -> None:
        """Forget all state, files included.

        Raises:
            SandboxFault: The machinery failed.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Put a file into the work directory, making its parent directories.

        Raises:
            ValueError: The path is absolute or climbs out.
            SandboxFileError: The program inside made that impossible (disk full, a symlink in the way).
            SandboxFault: The machinery failed.
        """
        ...

    def read_file(self, path: str, *, max_bytes: int = 16 * MiB) -> bytes:
        """Get a regular file from the work directory; links are not followed.

        Raises:
            ValueError: The path is absolute or climbs out.
            SandboxFileError: There is no such regular file, or it is larger than ``max_bytes``.
            SandboxFault: The machinery failed.
        """
        ...

    def close(self) -> None:
        """Kill every process of the session and drop its files; closing twice is harmless."""
        ...

    def __enter__(self) -> Self:
        """Return the session."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        ...


class Sandbox(Protocol):
    """A place to run hostile code in."""

    limits: Limits

    def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run one program in a fresh, empty work directory and kill everything it leaves behind.

        Raises:
            ValueError: An empty ``argv``, or a path in ``files`` that is absolute or climbs out.
            SandboxFileError: ``files`` do not fit into the work directory.
            SandboxFault: The machinery failed.
        """
        ...

    def session(self, language: Literal["python"] = "python") -> Session:
        """Open a stateful interpreter.

        Raises:
            ValueError: The language is not supported.
            SandboxFault: The machinery failed.
        """
        ...

    def run_cases(
        self,
        source: str,
        function: str,
        inputs: Sequence[Sequence[object]],
        *,
        timeout: float | None = None,
    ) -> list[CaseResult]:
        """Call ``function`` from ``source`` once per list of arguments, each in a fresh interpreter.

        Expected values stay with the caller and never enter.

        Raises:
            ValueError: The inputs are not plain JSON.
            SandboxFault: The machinery failed.
        """
        ...

    def close(self) -> None:
        """Kill every process and session; closing twice is harmless."""
        ...

    def __enter__(self) -> Self:
        """Return the sandbox."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sandbox."""
        ...
