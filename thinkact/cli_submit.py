"""``thinkact submit``: play a suite with an agent and put it on the board."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkact import cli_common as common
from thinkact.cli_board import DEFAULT_BOARD, BoardOption, JsonOption

if TYPE_CHECKING:
    from thinkact.leaderboard.agents import AgentSpec
    from thinkact.leaderboard.runner import OnStatus, Submitted
    from thinkact.leaderboard.running import Status

_LINE_EVERY_S = 20.0


def submit(
    agent: Annotated[Path | None, typer.Argument(help="Folder with an agent.toml, or the file.")] = None,
    suite: Annotated[str, typer.Option(help="core-cpu, code, search, math, web, full, or a .toml file.")] = "core-cpu",
    policy: Annotated[str | None, typer.Option("--policy", help=f"Instead of AGENT: {common.POLICY_HELP}")] = None,
    name: Annotated[str | None, typer.Option(help="On the board; by default the agent's.")] = None,
    board: BoardOption = DEFAULT_BOARD,
    seed: Annotated[int, typer.Option(help="Of the agent's sampling. The tasks are the suite's.")] = 0,
    concurrency: Annotated[int, typer.Option(help="Episodes at once.", callback=common.positive)] = 8,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Let it call out; the board shows it.")
    ] = False,
    no_isolation: Annotated[
        bool, typer.Option("--no-isolation", help="Run its program with your rights; the board shows it.")
    ] = False,
    baselines: Annotated[bool, typer.Option(help="Add null, random and expert where they are missing.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with what was begun.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Give up what was begun (logged) and start again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Play a suite with an agent and put what came of it on the board.

    Stop it whenever you like, even with kill -9: the same command goes on with
    what is left, plays nothing twice, and when all is there changes nothing.

    \b
    thinkact leaderboard init                          once
    thinkact submit --policy expert --suite core-cpu   does everything work?
    thinkact submit ./my-agent --suite core-cpu
    thinkact submit --policy hf:runs/default/model --suite search --name mine
    thinkact submit ./my-agent --suite my-suite.toml
    """  # noqa: D301
    from thinkact.leaderboard.runner import begun, run_submission

    if (agent is None) == (policy is None):
        raise common.UserError("Give an agent's folder or --policy, one of the two.")
    if resume and fresh:
        raise common.UserError("--resume goes on and --fresh starts again: give one of them.")
    who = _spec(policy) if policy is not None else agent
    assert who is not None
    options: dict[str, Any] = {
        "name": name,
        "seed": seed,
        "allow_network": allow_network,
        "isolation": "none" if no_isolation else "strict",
    }
    if resume and not begun(board, who, suite, **options):
        raise common.UserError("There is nothing to go on with: no submission of this agent to this suite was begun.")
    with _watching() as told:
        try:
            result = run_submission(
                board, who, suite, **options, concurrency=concurrency, baselines=baselines, fresh=fresh, on_status=told
            )
        except ValueError as error:
            if common.explain(error) is not None:
                raise
            raise common.UserError(str(error)) from error
        except KeyboardInterrupt:
            print("\nInterrupted. What ended is kept; the same command goes on.", file=sys.stderr)
            raise SystemExit(130) from None
    _report(result, board, as_json)


def _spec(policy: str) -> AgentSpec | str:
    """Read ``--policy`` as an agent's specification."""
    from thinkact.leaderboard.agents import command_agent, load_agent, read_spec
    from thinkact.policies.scripted import POLICIES

    kind, colon, rest = policy.partition(":")
    if policy in POLICIES:
        return policy
    if rest and kind == "agent":
        return load_agent(Path(rest))
    if rest and kind == "command":
        return command_agent(rest)
    if rest and kind == "hf":
        return read_spec({"kind": "model", "name": Path(rest).name or "model", "model": rest})
    if rest and kind == "endpoint":
        url, _, model = rest.partition("#")
        data = {"kind": "endpoint", "name": model or "endpoint", "base_url": url, "model": model or "default"}
        return read_spec(data | ({"api_key_env": common.ENDPOINT_KEY} if os.environ.get(common.ENDPOINT_KEY) else {}))
    raise common.UserError(f"There is no policy {policy!r}. Give {common.POLICY_HELP}")


def _report(result: Submitted, board: Path, as_json: bool) -> None:
    missing = {each.env: each.reason for each in result.missing}
    if as_json:
        common.print_json(
            {"submission": result.submission, "suite": result.suite, "played": result.played, "missing": missing}
        )
        return
    said = f"{result.played} episodes played" if result.played else "was on the board already; nothing was played"
    common.out.print(f"{result.submission} on {result.suite}: {said}", markup=False, highlight=False)
    for env, reason in missing.items():
        common.out.print(f"not run here: {env}: {reason}", markup=False, highlight=False, style="yellow")
    if missing:
        text = "A suite without some of its environments is another suite: these rows compare with their like only."
        common.out.print(text, markup=False, highlight=False)
    where = "" if board == DEFAULT_BOARD else f" --board {board}"
    common.out.print(f"thinkact leaderboard show{where}", markup=False, highlight=False, style="dim")


@contextmanager
def _watching() -> Iterator[OnStatus]:
    """Show how far it is: a bar on a terminal, a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    if not common.err.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", style="cyan"),
    )  # fmt: skip
    with Progress(*columns, console=common.err) as progress:
        bars: dict[str, Any] = {}

        def told(status: Status) -> None:
            bar = bars.get(status.run)
            if bar is None:
                bar = bars[status.run] = progress.add_task(status.agent, total=status.total, note="")
            progress.update(bar, completed=status.done, note=_note(status))

        yield told


class _Lines:
    """Plain lines at sensible intervals, for logs."""

    def __init__(self) -> None:
        self._printed = 0.0
        self._ended: set[str] = set()

    def __call__(self, status: Status) -> None:
        now = time.monotonic()
        ended = status.done == status.total
        if status.run in self._ended if ended else now - self._printed < _LINE_EVERY_S:
            return
        if ended:
            self._ended.add(status.run)
        self._printed = now
        print(f"{status.agent} {status.done}/{status.total}  {_note(status)}", file=sys.stderr, flush=True)


def _note(status: Status) -> str:
    from thinkact.cli_progress import duration

    parts = [status.message] if status.message else []
    if status.done:
        parts.append(f"solved {100 * status.solved / status.done:.0f} %")
    if status.errors:
        parts.append(f"{status.errors} lost to faults")
    if status.eta is not None and status.done < status.total:
        parts.append(f"about {duration(status.eta)} left")
    return " · ".join(parts)
