"""``python``: a stateful interpreter in a sandbox."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import BaseModel, Field

from thinkact.sandbox import ExecResult, Limits, Sandbox, SandboxFault, Session
from thinkact.sandbox.shared import acquire, release
from thinkact.tools.base import ErrorKind, ToolContext, ToolResult, clip

#: What one cell may use. Small enough that a rollout of many episodes fits on an ordinary machine.
LIMITS = Limits(wall_s=5.0, cpu_s=5, memory_bytes=512 << 20, processes=16, output_bytes=64 << 10)


class PythonArguments(BaseModel):
    """Arguments of ``python``."""

    code: str = Field(description="Python to run; the value of a last expression is shown.", max_length=20_000)

    model_config = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class PythonState:
    """What brings an interpreter back: the cells it ran, each with a digest of what it answered."""

    cells: tuple[tuple[str, str], ...] = ()


class PythonTool:
    """Runs cells in one isolated session per episode; variables and files last until it ends.

    The session starts with the first cell. The crash of a cell is an ordinary observation
    (``error_kind="tool_error"``, or ``"timeout"``); a failure of the sandbox itself raises ``SandboxFault``.

    Args:
        limits: What one cell may use.
    """

    name = "python"
    description = "Run Python code. Variables and files are kept between calls. No network, standard library only."
    Arguments: type[BaseModel] = PythonArguments
    terminal = False

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self._sandbox: Sandbox | None = None
        self._session: Session | None = None
        self._cells: tuple[tuple[str, str], ...] = ()

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox behind the sessions, for a grader's ``run_cases``: its boxes see none of the agent's.

        Raises:
            SandboxUnavailable: This machine cannot isolate; the message says what to install or allow.
        """
        if self._sandbox is None:
            self._sandbox = acquire(self.limits)
        return self._sandbox

    def reset(self) -> None:
        """Forget everything: the next cell runs in a fresh interpreter. A broken sandbox is given back."""
        self._end_session()
        sandbox = self._sandbox
        if sandbox is not None and not getattr(sandbox, "alive", True):
            self._sandbox = None
            release(sandbox)

    def run(self, args: PythonArguments, ctx: ToolContext) -> ToolResult:
        """Run one cell.

        Raises:
            SandboxFault: The sandbox failed, which is not the model's fault.
        """
        result = self._exec(args.code)
        kind: ErrorKind | None = None
        if result.status != "ok":
            kind = "timeout" if result.status == "timeout" else "tool_error"
        return ToolResult(
            call_id=ctx.call_id,
            content=_text(result, ctx.max_chars),
            error_kind=kind,
            artifacts={"status": result.status, "exit_code": result.exit_code},
        )

    def snapshot(self) -> PythonState:
        """Return the cells that led here from a fresh interpreter."""
        return PythonState(self._cells)

    def restore(self, state: PythonState) -> None:
        """Run the cells of a snapshot again in a fresh interpreter.

        Raises:
            SandboxFault: The sandbox failed, or a cell answered something else than it did at first (it
                printed the time, say), so that the state is not the same.
        """
        self.reset()
        for number, (code, digest) in enumerate(state.cells, 1):
            self._exec(code)
            if len(self._cells) != number or self._cells[-1][1] != digest:
                self._end_session()
                raise SandboxFault(f"replay: cell {number} did not answer what it did at first: {code[:200]!r}")

    def close(self) -> None:
        """End the session and give the sandbox back. Idempotent."""
        self._end_session()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            release(sandbox)

    def _exec(self, code: str) -> ExecResult:
        if self._session is None:
            self._session = self.sandbox.session()
        result = self._session.exec(code)
        if result.status in ("ok", "error") or (result.status == "oom" and result.exit_code == 1):
            digest = hashlib.blake2b(f"{result.status}\0{result.stdout}\0{result.stderr}".encode(), digest_size=8)
            self._cells += ((code, digest.hexdigest()),)
        else:  # the session was stopped: what comes next starts from nothing, and so does a replay
            self._cells = ()
        return result

    def _end_session(self) -> None:
        session, self._session = self._session, None
        self._cells = ()
        if session is not None:
            session.close()


def _text(result: ExecResult, limit: int) -> str:
    """Join output and error so that a long output never pushes the error out."""
    error = result.stderr.rstrip()
    if result.truncated:
        error = f"{error}\n[output cut]".lstrip()
    error = clip(error, limit // 2)
    output = clip(result.stdout.rstrip(), limit - len(error) - 1)
    return "\n".join(part for part in (output, error) if part) or "(no output)"
