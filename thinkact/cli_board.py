"""``thinkact leaderboard``: the board itself. ``thinkact submit`` fills it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkact import cli_common as common
from thinkact.cli_serve import serve_board

if TYPE_CHECKING:
    from thinkact.leaderboard import Board
    from thinkact.leaderboard.verify import Verification
    from thinkact.policies.episode import Turn

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="A leaderboard of your own: make it, show it, check it.\n\n"
    "thinkact leaderboard init makes one, thinkact submit plays a suite and adds a row, show and serve look at it, "
    "verify plays everything again.",
)
app.command("serve")(serve_board)

BoardOption = Annotated[Path, typer.Option("--board", help="Folder of the leaderboard.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
SuiteOption = Annotated[str | None, typer.Option(help="Only rows of this suite, as `show` names it.")]
ReasonOption = Annotated[str, typer.Option(help="For the decision log.")]
DEFAULT_BOARD = Path("runs/leaderboard")


@contextmanager
def _known() -> Iterator[None]:
    """Turn what a user got wrong into one line."""
    try:
        yield
    except KeyError as error:
        raise common.UserError(str(error.args[0])) from error
    except (ValueError, FileExistsError) as error:
        raise common.UserError(str(error)) from error


@app.command("init")
def init(board: BoardOption = DEFAULT_BOARD, as_json: JsonOption = False) -> None:
    """Make a board: a folder with a secret from which hidden tasks are drawn.

    The secret stays in BOARD/secret.json, readable by you alone. Its commitment
    goes into BOARD/board.json, so that `reveal` can prove later which tasks
    were the hidden ones all along.
    """
    from thinkact.leaderboard import Board, secret

    about = secret.create(board)
    Board(board)
    if as_json:
        common.print_json(about.model_dump())
        return
    common.out.print(f"{board} is ready.", markup=False, highlight=False)
    common.out.print(f"commitment {about.commitment}", markup=False, highlight=False, style="dim")
    common.out.print("Next: thinkact submit --policy expert --suite core-cpu", markup=False, highlight=False)


@app.command("suites")
def suites(
    name: Annotated[str | None, typer.Argument(help="One suite, or a .toml file of your own: its cells.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the suites, or what is in one of them."""
    from thinkact.leaderboard.suites import SUITES, find_suite

    found = [find_suite(name)] if name else list(SUITES.values())
    if as_json:
        common.print_json({"suites": [one.model_dump(mode="json") | _about(one) for one in found]})
        return
    for one in found:
        common.out.print(f"[bold cyan]{one.label}[/]  {one.episodes} episodes  [dim]{one.description}[/]")
        for cell in one.cells if name else ():
            knobs = " ".join(f"{key}={value}" for key, value in cell.kwargs.items())
            counts = f"{cell.public} public + {cell.hidden} hidden" + (f" x {cell.trials}" if cell.trials > 1 else "")
            common.out.print(f"  {cell.env}  {counts}  {knobs}", markup=False, highlight=False)


def _about(suite: Any) -> dict[str, Any]:
    return {"label": suite.label, "digest": suite.digest, "episodes": suite.episodes}


@app.command("show")
def show(board: BoardOption = DEFAULT_BOARD, suite: SuiteOption = None, as_json: JsonOption = False) -> None:
    """Print the board: success with 95 % intervals, and ranks that admit ties."""
    from thinkact.leaderboard import as_dict, table
    from thinkact.leaderboard.running import running

    opened = common.open_board(board)
    runs = running(board)
    if as_json:
        common.print_json(as_dict(opened, suite) | {"running": [run.model_dump() for run in runs]})
        return
    common.out.print(table(opened, suite))
    for run in runs:
        text = f"{run.state}: {run.agent} on {run.suite}, {run.done} of {run.total} episodes {run.message}"
        common.out.print(text, markup=False, highlight=False, style="dim")


@app.command("compare")
def compare_two(
    a: Annotated[str, typer.Argument(help="An agent's name, or a submission's id.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    board: BoardOption = DEFAULT_BOARD,
    suite: Annotated[str | None, typer.Option(help="Needed where both ran more than one.")] = None,
    split: Annotated[str | None, typer.Option(help="eval (public tasks) or hidden; by default eval.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two agents on the tasks that both ran: difference, interval, test, and where they differ."""
    from thinkact.leaderboard import compare, comparison_table, disagreement_table

    with _known():
        found = compare(common.open_board(board), a, b, suite=suite, split=split)
    if as_json:
        common.print_json(asdict(found))
        return
    common.out.print(comparison_table(found))
    if found.disagreements:
        common.out.print(disagreement_table(found))


@app.command("export")
def export(
    board: BoardOption = DEFAULT_BOARD,
    site: Annotated[Path | None, typer.Option(help="Folder of the site; default BOARD/site.")] = None,
    suite: SuiteOption = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Hidden tasks too; whoever sees them knows them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the board as static pages, with a transcript of every public episode."""
    from thinkact.leaderboard import export_site

    with _known():
        index = export_site(common.open_board(board), site or board / "site", suite=suite, hidden=hidden)
    if as_json:
        common.print_json({"index": str(index)})
    else:
        print(index)


@app.command("verify")
def verify_board(
    submission: Annotated[str | None, typer.Argument(help="Its id, see `log`; all of them by default.")] = None,
    board: BoardOption = DEFAULT_BOARD,
    concurrency: Annotated[int, typer.Option(help="Episodes at once.", callback=common.positive)] = 4,
    as_json: JsonOption = False,
) -> None:
    """Play every recorded action again, in fresh environments, and compare everything.

    Tasks are drawn anew from suite and secret; prompts, results, checks, rewards
    and scores have to be equal to the byte. What differs is rejected: it leaves
    the board, with the reason in the log, and the status is 1.
    """
    from thinkact.leaderboard.verify import verify

    opened = common.open_board(board)
    found = []
    with _known(), common.err.status("playing again …") as line:
        for one in [submission] if submission else opened.submissions():

            def told(done: int, of: int, one: str = one) -> None:
                line.update(f"{one}: {done} of {of} episodes played again")

            found.append(verify(opened, one, concurrency=concurrency, on_episode=told))
            if not as_json:
                _show_verification(found[-1])
    if as_json:
        common.print_json({"verified": [asdict(one) for one in found]})
    raise typer.Exit(1 if any(one.verdict == "rejected" for one in found) else 0)


def _show_verification(found: Verification) -> None:
    from rich.text import Text

    from thinkact.leaderboard.inert import inert, one_line

    style = {"verified": "green", "rejected": "bold red", "unverified": "yellow"}[found.verdict]
    common.out.print(Text(found.verdict, style=style), Text(one_line(found.submission)), Text(inert(found.reason, 600)))
    for difference in found.differences[1:10]:
        common.out.print(Text(f"  {inert(str(difference), 600)}"))
    for note in found.notes[:10]:
        common.out.print(Text(f"  {one_line(note, 300)}", style="dim"))


@app.command("replay")
def replay_episode(
    submission: Annotated[str, typer.Argument(help="Its id; see `log`.")],
    episode: Annotated[str, typer.Argument(help="Its id, for example PythonTask-v0.eval.0003.0.")],
    board: BoardOption = DEFAULT_BOARD,
    as_json: JsonOption = False,
) -> None:
    """Play one recorded episode again and show it turn by turn, with what differs."""
    from rich.text import Text

    from thinkact.leaderboard.inert import inert
    from thinkact.leaderboard.verify import replay

    with _known():
        recorded, played, differences = replay(common.open_board(board), submission, episode)
    if as_json:
        shown = {"recorded": recorded.model_dump(mode="json"), "differences": [asdict(one) for one in differences]}
        common.print_json(shown | {"replayed": played.model_dump(mode="json") if played else None})
        raise typer.Exit(1 if differences else 0)
    common.out.print(Text(inert(recorded.turns[0].observation) if recorded.turns else ""), style="bold")
    for number, turn in enumerate(recorded.turns, 1):
        _show_turn(number, turn, [str(one) for one in differences if one.turn == number])
    for one in (one for one in differences if one.turn is None):
        common.out.print(Text(inert(str(one)), style="bold red"))
    score = f"score {recorded.score:.3f}" if recorded.score is not None else f"no score: {recorded.error}"
    again = "not played again" if played is None else "different" if differences else "the same when played again"
    common.out.print(Text(f"{inert(score)}, {again}"), style="bold")
    raise typer.Exit(1 if differences else 0)


def _show_turn(number: int, turn: Turn, differences: list[str]) -> None:
    from rich.text import Text

    from thinkact.leaderboard.inert import inert

    if turn.thought:
        common.out.print(Text(inert(turn.thought), style="italic dim"))
    common.out.print(Text(f"[{number}] ") + Text(inert(turn.action) or "(nothing)", style="cyan"))
    if turn.stop != "stop":
        common.out.print(Text(f"    {inert(turn.stop, 300)}", style="yellow"))
    common.out.print(Text(inert(turn.result), style="yellow" if turn.invalid else ""))
    for check in turn.checks:
        mark = "✓" if check.get("passed") is True else "✗"
        common.out.print(Text(f"    {mark} {inert(str(check.get('name', '')), 200)}"))
    common.out.print(Text(f"    reward {turn.reward:+.3f}", style="dim"))
    for difference in differences:
        common.out.print(Text(f"    {inert(difference)}", style="bold red"))


@app.command("log")
def decision_log(
    submission: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    board: BoardOption = DEFAULT_BOARD,
    as_json: JsonOption = False,
) -> None:
    """Print every decision: accepted, verified, rejected, retracted, and why."""
    from rich.text import Text

    from thinkact.leaderboard.inert import one_line

    decisions = common.open_board(board).decisions
    found = decisions.of(submission) if submission else decisions.all()
    if as_json:
        common.print_json({"decisions": [one.model_dump() for one in found]})
        return
    for one in found:
        common.out.print(
            Text(one.at[:19], style="dim"), Text(one.verdict), Text(one_line(one.submission)),
            Text(one_line(one.reason, 600)),
        )  # fmt: skip


@app.command("retract")
def retract(
    submission: Annotated[str, typer.Argument(help="Its id; see `log`.")],
    reason: ReasonOption,
    undo: Annotated[bool, typer.Option("--undo", help="Show it again.")] = False,
    board: BoardOption = DEFAULT_BOARD,
    as_json: JsonOption = False,
) -> None:
    """Take a submission off the board. Its episodes stay, and the log says why."""
    opened: Board = common.open_board(board)
    with _known():
        opened.manifest(submission)
    made = opened.decisions.add(submission, "accepted" if undo else "retracted", reason)
    if as_json:
        common.print_json(made.model_dump())
    else:
        common.out.print(f"{submission}: {made.verdict}", markup=False, highlight=False)


@app.command("reveal")
def reveal(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    board: BoardOption = DEFAULT_BOARD,
    as_json: JsonOption = False,
) -> None:
    """Publish the secret: anyone can then check the hidden tasks, and the board takes no more agents."""
    from thinkact.leaderboard import secret

    secret.load(board)
    if not yes and not typer.confirm("Hidden tasks are then known, and this board takes no more agents. Go on?"):
        raise typer.Exit(1)
    about = secret.reveal(board)
    common.open_board(board, create=True).decisions.add("board", "revealed", f"commitment {about.commitment}")
    if as_json:
        common.print_json(about.model_dump())
        return
    common.out.print(f"secret {about.secret}\nsalt {about.salt}", markup=False, highlight=False, soft_wrap=True)
    common.out.print("SHA-256 of secret and salt, as bytes, is the commitment:", about.commitment, highlight=False)


@app.command("rebuild")
def rebuild(board: BoardOption = DEFAULT_BOARD, as_json: JsonOption = False) -> None:
    """Derive the index anew from the episode files, which are the truth."""
    opened = common.open_board(board)
    opened.rebuild()
    rows, withheld = len(opened.rows(history=True)), opened.withheld()
    if as_json:
        common.print_json({"rows": rows, "withheld": withheld})
        return
    print(f"{rows} rows")
    for submission, reason in withheld.items():
        print(f"withheld: {submission}: {reason}")
