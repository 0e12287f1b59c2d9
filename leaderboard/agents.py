"""Agents that people submit: an ``agent.toml``, checked, and the policy that it describes.

What a file may ask for and what it gets are two things: the network, a key from the environment, or a life
outside of the sandbox are the operator's to give, at :func:`open_agent`.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import shlex
import stat
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from thinkact.envs import Policy
from thinkact.policies.budgets import Budgets, Effort
from thinkact.policies.process_lines import ProcessLimits

Isolation = Literal["strict", "none"]
#: An agent's folder: more is no agent but a data set, and has to fit into the memory of its sandbox.
MAX_FILES = 2000
MAX_BYTES = 128 << 20
_SKIPPED = frozenset({".git", "__pycache__", ".venv", "node_modules", ".mypy_cache", ".ruff_cache"})
_SHIM = ".thinkact_agent.py"


class SpecError(ValueError):
    """An ``agent.toml`` that cannot be used; the message names the key and what to write instead."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(min_length=1, max_length=80, pattern=r"^[\w .:@/+()-]+$")
    description: str = Field("", max_length=2000)
    _folder: Path = PrivateAttr(default=Path())
    _only: dict[str, tuple[bytes, bool]] | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """Where the ``agent.toml`` lies; its own files are looked for there."""
        return self._folder

    @property
    def badges(self) -> tuple[str, ...]:
        """What a reader of the board has to know: ``network``, ``remote``."""
        return ()

    def files(self) -> dict[str, tuple[bytes, bool]]:
        """Return the agent's own files by path, and whether each is a program."""
        return {}

    @property
    def digest(self) -> str:
        """Digest of the file's content and of all files that belong to the agent."""
        total = hashlib.sha256(self.model_dump_json().encode())
        for path, (data, program) in sorted(self.files().items()):
            total.update(f"\0{path}\0{int(program)}\0{hashlib.sha256(data).hexdigest()}".encode())
        return total.hexdigest()


class ModelAgent(_Spec):
    """A causal language model, played by :class:`thinkact.policies.HFPolicy`."""

    kind: Literal["model"]
    #: A Hugging Face id, a folder, or a run folder of ``thinkact train``.
    model: str = Field(min_length=1)
    temperature: float = Field(1.0, ge=0.0)
    max_new_tokens: int = Field(64, ge=1)
    max_thought_tokens: int | None = Field(None, ge=1)
    max_episode_tokens: int | None = Field(None, ge=1)
    effort: Effort | None = None
    max_len: int = Field(1024, ge=64)
    history: Literal["cut", "drop", "summarize"] = "cut"
    dtype: Literal["bf16", "fp32"] = "bf16"

    @model_validator(mode="after")
    def _budgets_go_together(self) -> ModelAgent:
        Budgets.of(
            self.max_new_tokens,
            thought=self.max_thought_tokens,
            episode=self.max_episode_tokens,
            effort=self.effort,
        )
        return self

    def where(self) -> str:
        """Return the model as :func:`thinkact.policies.models.load_model` takes it."""
        for folder in (self.folder / self.model, Path(self.model)):
            if folder.is_dir():
                inner = folder / "model"
                return str(inner if inner.is_dir() else folder)
        return self.model


class EndpointAgent(_Spec):
    """A model behind an OpenAI-compatible address, played by :class:`thinkact.policies.endpoint.EndpointPolicy`."""

    kind: Literal["endpoint"]
    base_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    #: Which variable of the operator's environment holds the key. Other variables hold other secrets.
    api_key_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*_API_KEY$")
    temperature: float | None = Field(None, ge=0.0)
    max_tokens: int | None = Field(None, ge=1)
    max_episode_tokens: int | None = Field(None, ge=1)
    effort: Effort | None = None
    system: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    #: US dollars per million tokens.
    price_prompt: float = Field(0.0, ge=0.0, le=1e5, allow_inf_nan=False)
    price_sampled: float = Field(0.0, ge=0.0, le=1e5, allow_inf_nan=False)
    timeout_s: float = Field(120.0, gt=0.0, le=3600.0)
    parallel: int = Field(16, ge=1, le=256)

    @property
    def badges(self) -> tuple[str, ...]:
        """It runs elsewhere."""
        return ("remote",)


class _ProcessSpec(_Spec):
    #: Ask for the machine's network; the operator has to allow it.
    network: bool = False
    #: Questions that the agent takes at once.
    parallel: int = Field(1, ge=1, le=256)
    #: What Python inside can import: ``python`` is the standard library, ``python-data`` has numpy and pandas.
    profile: Literal["python", "python-data"] = "python"
    #: Seconds for one answer; an operator may set less.
    action_s: float = Field(60.0, gt=0.0, le=600.0)

    @property
    def badges(self) -> tuple[str, ...]:
        """Whether it asked for the network."""
        return ("network",) if self.network else ()

    def files(self) -> dict[str, tuple[bytes, bool]]:
        """Read the folder of the ``agent.toml``, links and caches left out.

        Raises:
            SpecError: There is too much of it.
        """
        return self._only if self._only is not None else read_folder(self.folder)


class CommandAgent(_ProcessSpec):
    """Any program that speaks the protocol of ``docs/agents.md``."""

    kind: Literal["command"]
    command: list[str] = Field(min_length=1)


class PythonAgent(_ProcessSpec):
    """A Python function ``module:factory`` in the agent's folder, run in a process of its own."""

    kind: Literal["python"]
    entry: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")


AgentSpec = Annotated[ModelAgent | EndpointAgent | PythonAgent | CommandAgent, Field(discriminator="kind")]
_KINDS: dict[str, type[_Spec]] = {
    "model": ModelAgent,
    "endpoint": EndpointAgent,
    "python": PythonAgent,
    "command": CommandAgent,
}
_ADAPTER: TypeAdapter[ModelAgent | EndpointAgent | PythonAgent | CommandAgent] = TypeAdapter(AgentSpec)


def load_agent(path: Path) -> AgentSpec:
    """Read an ``agent.toml``, or the one in a folder.

    Raises:
        SpecError: It is not there, no TOML, or says something that no agent has; the message helps.
    """
    path = Path(path)
    file = path / "agent.toml" if path.is_dir() else path
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror}. An agent is a folder with an agent.toml.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{file}: {error}") from error
    return read_spec(data, file.parent, str(file))


def read_spec(data: dict[str, Any], folder: Path = Path(), where: str = "agent") -> AgentSpec:
    """Check what an ``agent.toml`` says.

    Raises:
        SpecError: See :func:`load_agent`.
    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        close = difflib.get_close_matches(str(kind), _KINDS, n=1, cutoff=0.4)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SpecError(f"{where}: kind must be one of {', '.join(map(repr, _KINDS))}, not {kind!r}.{hint}")
    known = _KINDS[kind].model_fields
    for key in data:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise SpecError(f"{where}: kind {kind!r} has no key {key!r}.{hint} It has {', '.join(known)}.")
    try:
        spec = _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or kind
        raise SpecError(f"{where}: {place}: {first['msg']}.") from error
    spec._folder = folder
    return spec


def command_agent(text: str, name: str = "command") -> CommandAgent:
    """Make an agent of a command line; the files that it names, and no others, are the agent's own.

    Raises:
        SpecError: There is no word in it.
    """
    words: list[str] = []
    files: dict[str, tuple[bytes, bool]] = {}
    folder = Path()
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise SpecError(f"{text!r} is no command: {error}") from error
    for part in parts:
        path = Path(part)
        # A program of the system stays where it is, and is found there inside too.
        if ("/" in part or words) and path.is_file() and not path.resolve().is_relative_to("/usr"):
            files[path.name] = path.read_bytes(), os.access(path, os.X_OK)
            part = f"./{path.name}"
            folder = path.parent
        words.append(part)
    if not words:
        raise SpecError("a command needs at least one word, for example command:./agent.sh")
    spec = CommandAgent(name=name, kind="command", command=words)
    spec._folder, spec._only = folder, files
    return spec


def read_folder(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Read an agent's folder: its regular files by path, and whether each is a program.

    Links are left out, for they could bring the machine's own files into an agent.

    Raises:
        SpecError: There are too many files, or they are too large.
    """
    found: dict[str, tuple[bytes, bool]] = {}
    total = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            path = Path(place, name)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue  # a link, or nothing that this user may read
            with open(fd, "rb") as file:
                about = os.fstat(fd)
                if not stat.S_ISREG(about.st_mode):
                    continue
                data = file.read(MAX_BYTES + 1 - total)
            total += len(data)
            if total > MAX_BYTES or len(found) >= MAX_FILES:
                raise SpecError(
                    f"{folder} holds more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB; keep an agent in a folder "
                    "of its own."
                )
            found[path.relative_to(folder).as_posix()] = data, bool(about.st_mode & stat.S_IXUSR)
    return found


@contextmanager
def open_agent(
    spec: AgentSpec | Path,
    *,
    concurrency: int,
    allow_network: bool = False,
    isolation: Isolation = "strict",
    limits: ProcessLimits | None = None,
    log_file: Path | None = None,
) -> Iterator[Policy]:
    """Make the policy of an agent, and end all that runs for it.

    Args:
        spec: What :func:`load_agent` returned, or where it lies.
        concurrency: Episodes in flight at once.
        allow_network: Let an agent that asks for the network have it, and let an endpoint be called.
        isolation: ``strict`` runs programs in a sandbox or not at all; ``none`` runs them with this user's
            rights, for those who trust the agent like their own shell.
        limits: What an agent's process may take; a spec's ``action_s`` counts where it is less.
        log_file: Where its standard error goes.

    Raises:
        SpecError: The agent asks for what was not allowed.
        AgentError: Its process does not start; the message says what it printed.
        SandboxUnavailable: This machine cannot isolate; the message says what to install.
        EndpointRefused: A wrong address, or a key that is not there.
    """
    if isolation not in ("strict", "none"):
        raise ValueError(f"isolation must be 'strict' or 'none', not {isolation!r}.")
    if isinstance(spec, Path):
        spec = load_agent(spec)
    if isinstance(spec, ModelAgent):
        yield _model(spec, concurrency)
    elif isinstance(spec, EndpointAgent):
        if not allow_network:
            raise SpecError(f"the agent {spec.name!r} calls {spec.base_url}; allow the network to let it.")
        from thinkact.policies.endpoint import EndpointPolicy

        with EndpointPolicy(
            spec.base_url,
            spec.model,
            api_key_env=spec.api_key_env,
            temperature=spec.temperature,
            max_tokens=spec.max_tokens,
            max_episode_tokens=spec.max_episode_tokens,
            effort=spec.effort,
            system=spec.system,
            extra=spec.extra,
            prices=(spec.price_prompt, spec.price_sampled),
            concurrency=min(concurrency, spec.parallel),
            timeout_s=spec.timeout_s,
            name=spec.name,
        ) as endpoint:
            yield endpoint
    else:
        if spec.network and not allow_network:
            raise SpecError(f"the agent {spec.name!r} asks for the network; allow it, or take network = true out.")
        with _process(spec, concurrency, isolation, limits or ProcessLimits(), log_file) as process:
            yield process


def _model(spec: ModelAgent, concurrency: int) -> Policy:
    import torch

    from thinkact.policies.hf import HFPolicy

    return HFPolicy(
        spec.where(),
        temperature=spec.temperature,
        max_new_tokens=spec.max_new_tokens,
        max_thought_tokens=spec.max_thought_tokens,
        max_episode_tokens=spec.max_episode_tokens,
        effort=spec.effort,
        max_slots=concurrency,
        max_len=spec.max_len,
        history=spec.history,
        dtype=torch.bfloat16 if spec.dtype == "bf16" else torch.float32,
        name=spec.name,
    )


@contextmanager
def _process(
    spec: PythonAgent | CommandAgent,
    concurrency: int,
    isolation: Isolation,
    limits: ProcessLimits,
    log_file: Path | None,
) -> Iterator[Policy]:
    from dataclasses import replace

    from thinkact.policies import python_agent
    from thinkact.policies.process import HostLauncher, ProcessPolicy, SandboxLauncher

    limits = replace(limits, action_s=min(limits.action_s, spec.action_s))
    shim = Path(python_agent.__file__)
    launcher: SandboxLauncher | HostLauncher
    if isolation == "none":
        argv = spec.command if isinstance(spec, CommandAgent) else [sys.executable, "-P", str(shim), spec.entry]
        launcher = HostLauncher(argv, spec.folder, limits=limits)
    else:
        found = spec.files()
        files = {path: data for path, (data, _) in found.items()}
        if isinstance(spec, PythonAgent):
            files[_SHIM] = shim.read_bytes()
        launcher = SandboxLauncher(
            spec.command if isinstance(spec, CommandAgent) else ["python3", _SHIM, spec.entry],
            files,
            {path for path, (_, program) in found.items() if program},
            limits=limits,
            profile=spec.profile,
            network=spec.network,
        )
    parallel = min(concurrency, spec.parallel)
    with ProcessPolicy(launcher, name=spec.name, parallel=parallel, limits=limits, log_file=log_file) as policy:
        policy.start()
        yield policy
