"""Run hostile code isolated: ``with thinkact.sandbox.create() as box: box.exec(["python3", "-V"])``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thinkact.sandbox.plain import json_equal
from thinkact.sandbox.types import (
    CaseResult,
    ExecResult,
    Limits,
    Sandbox,
    SandboxFault,
    SandboxFileError,
    SandboxUnavailable,
    Session,
    Status,
)

__all__ = [
    "CaseResult",
    "ExecResult",
    "Limits",
    "Report",
    "Sandbox",
    "SandboxFault",
    "SandboxFileError",
    "SandboxUnavailable",
    "Session",
    "Status",
    "create",
    "json_equal",
    "probe",
]

Backend = Literal["auto", "bubblewrap"]


def create(backend: Backend = "auto", *, limits: Limits | None = None) -> Sandbox:
    """Make a sandbox; use it as a context manager or close it.

    Args:
        backend: ``auto`` takes the strongest isolation that this machine has. There is no backend without
            isolation, and no silent fall-back to one.
        limits: What one run, session or case may use.

    Raises:
        ValueError: There is no such backend.
        SandboxUnavailable: This machine cannot isolate; the message says what to install or allow.
    """
    if backend not in ("auto", "bubblewrap"):
        raise ValueError(f"no sandbox backend {backend!r}; there are 'auto' and 'bubblewrap'")
    from thinkact.sandbox.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(limits)


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`probe` found.

    Attributes:
        backend: The backend that was tried.
        works: Whether isolated code really ran.
        detail: What was observed inside, or why it does not work and what to do about it.
    """

    backend: str
    works: bool
    detail: str


_PROBE = """
import os, socket
state = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
assert state["NoNewPrivs"].strip() == "1" and state["Seccomp"].strip() == "2", "not locked down"
assert int(state["CapEff"], 16) == int(state["CapBnd"], 16) == 0, "capabilities are left"
assert not os.path.exists("/home") and not os.path.exists("/root"), "the host's homes are visible"
try:
    open("/usr/probe", "w")
except OSError:
    pass
else:
    raise AssertionError("the root is writable")
try:
    socket.create_connection(("192.0.2.1", 9), timeout=1)
except OSError as error:
    assert error.errno == 101, f"the network answered: {error}"
"isolated"
"""


def probe(backend: Backend = "auto") -> Report:
    """Try a real isolated run here, rather than look for a program's name. Raises nothing but ValueError.

    Raises:
        ValueError: There is no such backend.
    """
    try:
        with create(backend) as sandbox, sandbox.session() as session:
            result = session.exec(_PROBE)
    except SandboxFault as error:
        return Report("bubblewrap", False, str(error))
    if result.status == "ok" and result.stdout == "'isolated'\n":
        return Report("bubblewrap", True, "ran code without network, capabilities or host files")
    return Report("bubblewrap", False, f"the isolation does not hold: {result.stdout}{result.stderr}"[:2000])
