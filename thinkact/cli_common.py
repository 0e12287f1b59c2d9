"""What several commands need: clear errors, options of the form key=value, policies by name."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import errno
import importlib
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console

import thinkact

if TYPE_CHECKING:
    from thinkact.envs import Policy, ToolEnv
    from thinkact.leaderboard import Board, Summary

#: Figures and tables; what a program reads. A file or a pipe has no width of its own.
out = Console(width=None if sys.stdout.isatty() else 120)
#: Progress and errors; what a person watches.
err = Console(stderr=True)

POLICY_HELP = (
    "null, random, expert, hf:MODEL (smollm2-135m, a folder such as runs/default/model, or an id), agent:FOLDER (with "
    "an agent.toml), command:PROGRAM (see docs/agents.md), or endpoint:URL#MODEL (OpenAI-compatible, URL up to /v1). "
    "Before any of them, vote:N: takes what most of N attempts say, plan: has a plan written first, delegate: adds "
    "sub-agents."
)
#: Agents that run until this process ends.
_open_agents = contextlib.ExitStack()
atexit.register(_open_agents.close)
#: Errors that are the user's to mend. Named, not imported: whoever raised one has imported it.
_USER_ERRORS = frozenset(
    {
        "gymnasium.error.Error",
        "thinkact.cli_common.UserError",
        "thinkact.envs.miniwob.site.MiniWobMissing",
        "thinkact.leaderboard.agents.SpecError",
        "thinkact.leaderboard.journal.JournalBusy",
        "thinkact.leaderboard.records.RejectedSubmission",
        "thinkact.leaderboard.runner.NotTheSame",
        "thinkact.leaderboard.runner.TooManyFaults",
        "thinkact.leaderboard.secret.SecretError",
        "thinkact.leaderboard.index.BoardLocked",
        "thinkact.leaderboard.suites.SuiteError",
        "thinkact.policies.config.ConfigError",
        "thinkact.policies.crew.WorkersLost",
        "thinkact.policies.endpoint.EndpointFault",
        "thinkact.policies.endpoint.EndpointRefused",
        "thinkact.policies.models.ModelLoadError",
        "thinkact.policies.models.ModelNotFound",
        "thinkact.policies.process.AgentError",
        "thinkact.policies.rundir.RunError",
        "thinkact.policies.trackers.TrackerError",
        "thinkact.sandbox.types.SandboxUnavailable",
        "thinkact.tools.browser.types.BrowserFault",
        "thinkact.tools.search.types.CorpusMissing",
    }
)


class UserError(Exception):
    """Something the user can mend; the message says how."""


def explain(error: BaseException) -> str | None:
    """Return one line that names the fix, or None when the error is a bug of ours."""
    # A fault of an environment may wrap the reason that a person can do something about.
    cause: BaseException | None = error
    while cause is not None:
        if _USER_ERRORS & {f"{cls.__module__}.{cls.__qualname__}" for cls in type(cause).__mro__}:
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({cause.filename})" if cause.filename else ""
            return f"No space left on the device{where}. Nothing finished is lost: make room and run it again."
        if isinstance(cause, OSError) and cause.filename is not None:
            return f"{cause.filename}: {cause.strerror}"
        if isinstance(cause, ImportError) and "pip install" in str(cause):
            return str(cause)
        if isinstance(cause, ModuleNotFoundError) and cause.name and cause.name.split(".")[0] in _EXTRAS:
            extra = _EXTRAS[cause.name.split(".")[0]]
            return f'{cause.name} is not installed: pip install "thinkact[{extra}]", or make setup.'
        if isinstance(cause, ValueError) and str(cause).startswith("THINKACT_"):
            return str(cause)  # a variable of ours with a value that does not exist
        cause = cause.__cause__
    return None


_EXTRAS = {name: "train" for name in ("torch", "transformers", "safetensors", "gguf", "peft", "matplotlib")}
_EXTRAS |= {name: "corpus" for name in ("selectolax", "pypdf", "markdown_it")}
_EXTRAS |= {name: "browser" for name in ("uvicorn", "starlette", "PIL")}
_EXTRAS |= {"tensorboard": "train", "tokenizers": "train", "huggingface_hub": "train", "docker": "docker"}
_EXTRAS |= {"starlette": "serve", "uvicorn": "serve"}


def fail(error: BaseException) -> NoReturn:
    """Print one line on standard error and leave with status 2; a bug is raised as it is."""
    message = explain(error)
    if message is None:
        raise error
    if os.environ.get("THINKACT_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(2)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


def pairs(texts: Iterable[str], option: str) -> dict[str, Any]:
    """Read ``key=value`` options. A value is JSON, a comma-separated list, or else a string.

    Raises:
        UserError: When there is no ``=``.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{option} takes key=value, not {text!r}; for example {option} hops=1,2.")
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if "," in text and text[0] not in "[{":
            return [_value(part.strip()) for part in text.split(",")]
        return text


def env_class(env_id: str) -> type[ToolEnv[Any]]:
    """Return the class behind one of our ids.

    Raises:
        UserError: On an unknown id, with a suggestion.
    """
    if env_id not in thinkact.ENV_ENTRY_POINTS:
        raise UserError(f"There is no environment {env_id!r}.{_suggest(env_id)} `thinkact envs` lists all.")
    module, name = thinkact.ENV_ENTRY_POINTS[env_id].split(":")
    found: type[ToolEnv[Any]] = getattr(importlib.import_module(module), name)
    return found


def _suggest(env_id: str) -> str:
    def plain(text: str) -> str:
        return re.sub(r"^thinkact/|-v\d+$|[-_\s]", "", text.lower().removeprefix("thinkact:"))

    known = {plain(known): known for known in thinkact.ENV_IDS}
    close = difflib.get_close_matches(plain(env_id), known, n=1, cutoff=0.5)
    return f" Did you mean {known[close[0]]!r}?" if close else ""


#: Holds the key of ``endpoint:`` policies, where they need one.
ENDPOINT_KEY = "THINKACT_ENDPOINT_KEY"


def knobs(cls: type[ToolEnv[Any]]) -> dict[str, tuple[str, str]]:
    """Return an environment's own options: name → (default, what it does)."""
    # A family may leave the description of its options to the class that it is made from.
    docs = (inspect.cleandoc(each.__doc__ or "") for each in cls.__mro__)
    text = next((doc for doc in docs if "Args:\n" in doc), "").partition("Args:\n")[2].split("\n\n")[0]
    described = {
        # Docstrings are reStructuredText; a terminal shows plain words.
        match[1]: re.sub(r"``|:\w+:`~?[\w.]*?(?=\w+`)|`", "", " ".join(match[2].split()))
        for match in re.finditer(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", text, re.MULTILINE | re.DOTALL)
    }
    shared = {"split", "reward", "render_mode"}
    return {
        name: ("" if each.default is each.empty else repr(each.default), described.get(name, ""))
        for name, each in inspect.signature(cls).parameters.items()
        if name not in shared
    }


def check_env(env_id: str, kwargs: dict[str, Any]) -> None:
    """Make the environment once, so that a wrong id or knob is told before any work is done.

    Raises:
        UserError: On an unknown id, an unknown knob or a value that it refuses.
    """
    import gymnasium as gym

    cls = env_class(env_id)
    known = inspect.signature(cls).parameters
    for name in kwargs:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UserError(f"{env_id} has no option {name!r}.{hint} It has {', '.join(known)}.")
    try:
        gym.make(env_id, **kwargs).close()
    except (ValueError, TypeError) as error:
        raise UserError(f"{env_id}: {error}") from error


_MODEL_BUDGETS = {"max_thought_tokens", "max_episode_tokens", "effort", "history", "max_kv_bytes"}
#: Which budgets a kind of policy knows; those around another policy hand them on.
_BUDGETS = {
    "hf": _MODEL_BUDGETS,
    "endpoint": {"max_episode_tokens", "effort"},
    **dict.fromkeys(("vote", "plan", "delegate"), _MODEL_BUDGETS),
}


def make_policy(
    spec: str,
    *,
    concurrency: int,
    temperature: float = 1.0,
    max_new_tokens: int = 64,
    max_len: int = 1024,
    dtype: str = "bf16",
    **budgets: Any,
) -> Policy:
    """Build a policy from its name on the command line.

    Args:
        spec: Its name; see :data:`POLICY_HELP`.
        concurrency: Episodes in flight at once.
        temperature: Of sampling.
        max_new_tokens: Tokens of one turn.
        max_len: Tokens of one context.
        dtype: Of a model's arithmetic.
        budgets: ``max_thought_tokens``, ``max_episode_tokens``, ``effort``, ``history`` and ``max_kv_bytes``, where
            given.

    Raises:
        UserError: On an unknown name, or budgets that it does not know.
        ModelNotFound: When the model is not there.
        SpecError: On an ``agent.toml`` that cannot be used.
        AgentError: When an agent's program does not start.
    """
    from thinkact.policies.scripted import POLICIES

    kind, colon, model = spec.partition(":")
    budgets = {name: value for name, value in budgets.items() if value is not None}
    unknown = set(budgets) - _BUDGETS.get(kind, set())
    if unknown:
        option = "--" + sorted(unknown)[0].replace("_", "-")
        raise UserError(f"{option} is not for {spec!r}: it says how a model of {' or '.join(_BUDGETS)} writes.")
    if not colon and spec in POLICIES:
        return POLICIES[spec]()
    if kind in ("vote", "plan", "delegate") and model:
        from thinkact.policies.thinking import DelegatePolicy, PlanPolicy, VotePolicy

        attempts, _, rest = model.partition(":") if kind == "vote" else ("", "", model)
        if kind == "vote" and (not attempts.isdecimal() or int(attempts) < 2 or not rest):
            raise UserError(f"{spec!r}: write vote:5:hf:MODEL, with at least 2 attempts.")
        inner = make_policy(
            rest,
            concurrency=concurrency,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            max_len=max_len,
            dtype=dtype,
            **budgets,
        )
        if kind == "vote":
            return VotePolicy(inner, int(attempts))
        return PlanPolicy(inner) if kind == "plan" else DelegatePolicy(inner)
    if kind in ("agent", "command") and model:
        from thinkact.leaderboard.agents import command_agent, load_agent, open_agent

        agent = load_agent(Path(model)) if kind == "agent" else command_agent(model)
        return _open_agents.enter_context(open_agent(agent, concurrency=concurrency))
    if kind == "endpoint" and model:
        import os

        from thinkact.policies.endpoint import EndpointPolicy

        url, _, name = model.partition("#")
        try:
            return EndpointPolicy(
                url,
                name or "default",
                api_key_env=ENDPOINT_KEY if os.environ.get(ENDPOINT_KEY) else None,
                temperature=temperature,
                max_tokens=max_new_tokens,
                concurrency=concurrency,
                **budgets,
            )
        except ValueError as error:
            raise UserError(str(error)) from error
    if kind != "hf" or not model:
        raise UserError(f"There is no policy {spec!r}. Give {POLICY_HELP}")
    if dtype not in ("bf16", "fp32"):
        raise UserError(f"--dtype must be bf16 or fp32, not {dtype!r}.")
    with err.status(f"loading {model} …"):
        import torch

        from thinkact.policies.hf import HFPolicy

        try:
            return HFPolicy(
                model,
                temperature=temperature,
                max_new_tokens=max_new_tokens,
                max_slots=concurrency,
                max_len=max_len,
                dtype=torch.bfloat16 if dtype == "bf16" else torch.float32,
                **budgets,
            )
        except ValueError as error:  # budgets that do not go together
            raise UserError(str(error)) from error


def suite_of(kwargs: dict[str, Any]) -> str:
    """Name the settings of an environment: rows of a leaderboard compare only within equal ones."""
    parts = [f"{key}={json.dumps(kwargs[key], separators=(',', ':'))}" for key in sorted(kwargs)]
    return " ".join(parts) or "default"


def open_board(path: Path, *, create: bool = False) -> Board:
    """Open a leaderboard.

    Raises:
        UserError: When there is none and it is not to be made.
    """
    from thinkact.leaderboard import Board

    if not create and not (path / "episodes").is_dir():
        raise UserError(f"There is no leaderboard in {path}; `thinkact leaderboard init` makes one.")
    return Board(path)


def percent(summary: Summary) -> str:
    """Write a success rate with its interval."""
    return f"{100 * summary.success:.1f} % [{100 * summary.low:.1f}, {100 * summary.high:.1f}]"


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)I?B?", text.strip().upper())
    if match is None or not int(match[1]):
        raise typer.BadParameter(f"{text!r} is no size; write 500M or 2G.")
    return int(match[1]) << (10 * " KMGT".index(match[2] or " "))


MAX_KV_BYTES = typer.Option(parser=_size, metavar="SIZE", help="hf: memory for keys and values, such as 2G.")


def processes(text: str, *, policy: str, concurrency: int) -> int:
    """Read how many processes are to sample.

    Args:
        text: What was asked for.
        policy: Who acts.
        concurrency: Episodes in flight.

    Raises:
        UserError: It is neither a number nor ``auto``.
    """
    if text == "auto":
        from thinkact.policies.crew_processes import automatic

        return automatic(concurrency if "hf:" in policy else None)
    if not text.isdecimal() or not int(text):
        raise UserError(f"--processes takes a number from 1 on, or auto, not {text!r}.")
    return int(text)


def positive(value: int) -> int:
    """Check an option that counts something."""
    if value < 1:
        raise typer.BadParameter("must be at least 1")
    return value


def summary_lines(title: str, summary: Summary) -> Sequence[tuple[str, str]]:
    """Return what a person wants to know of a batch of episodes, as (name, figure)."""
    return (
        ("", title),
        ("success", f"{percent(summary)}  (95 %, {summary.method})"),
        ("score", f"{summary.score:.3f}"),
        ("episodes", f"{summary.episodes} on {summary.tasks} tasks, {summary.unresolved} lost to faults"),
        ("turns", f"{summary.turns:.1f} per episode, {100 * summary.invalid:.1f} % could not be run"),
        ("cut by a limit", f"{100 * summary.truncated:.1f} %"),
        ("tokens", f"{summary.tokens:,.0f} per episode"),
    )
