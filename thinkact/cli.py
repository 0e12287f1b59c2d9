"""``thinkact``: the command line. Commands import what they need when they run, so ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import thinkact
from thinkact import cli_common as common
from thinkact.cli_board import DEFAULT_BOARD, BoardOption, JsonOption
from thinkact.cli_board import app as board_app
from thinkact.cli_corpus_share import app as corpus_app
from thinkact.cli_credit import credit_bench
from thinkact.cli_endpoint import serve
from thinkact.cli_film_command import film
from thinkact.cli_sandbox import app as sandbox_app
from thinkact.cli_submit import submit

if TYPE_CHECKING:
    from thinkact.policies.episode import Episode

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Environments over real tools, agents that think and act, a trainer and a leaderboard.",
)
app.add_typer(board_app, name="leaderboard")
app.add_typer(corpus_app, name="corpus")
app.add_typer(sandbox_app, name="sandbox")

EnvId = Annotated[str, typer.Argument(help="For example thinkact/FactbookQA-v0; see `thinkact envs`.")]
PolicyOption = Annotated[str, typer.Option("--policy", help=common.POLICY_HELP)]
EnvOptions = Annotated[list[str] | None, typer.Option("--env", help="Difficulty knob key=value; repeatable.")]
SeedOption = Annotated[int, typer.Option(help="Picks the tasks and every draw.")]
Concurrency = Annotated[int, typer.Option(help="Episodes in flight.", callback=common.positive)]
Temperature = Annotated[float, typer.Option(help="hf: of sampling; 0 is greedy.", min=0.0)]
MaxNewTokens = Annotated[int, typer.Option(help="hf: tokens of one turn.", min=1)]
MaxLen = Annotated[int, typer.Option(help="hf: tokens of one episode.", min=64)]
Dtype = Annotated[str, typer.Option(help="hf: bf16 or fp32.")]
MaxThoughtTokens = Annotated[int | None, typer.Option(help="hf: tokens of a thought, which is then closed.", min=1)]
MaxEpisodeTokens = Annotated[int | None, typer.Option(help="hf, endpoint: tokens written in one episode.", min=1)]
Effort = Annotated[
    str | None, typer.Option(help="low, medium or high; hf: 20, 50, 80 % of a turn's tokens for its thought.")
]
History = Annotated[
    str | None, typer.Option(help="hf: a full context is cut, drops old results, or is summed up: summarize.")
]
MaxKvBytes = Annotated[int | None, common.MAX_KV_BYTES]
Processes = Annotated[
    str, typer.Option(metavar="N", help="Sample in so many processes; auto: one per core, with a model where it pays.")
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        print(f"thinkact {thinkact.__version__}")
        raise typer.Exit


@app.command()
def envs(as_json: JsonOption = False) -> None:
    """List the environments, what each asks of an agent, and its difficulty knobs."""
    found: list[dict[str, Any]] = []
    for env_id in thinkact.ENV_IDS:
        cls = common.env_class(env_id)
        about = (cls.__doc__ or "").partition("\n")[0].strip()
        found.append({"id": env_id, "about": about, "version": cls.version, "knobs": common.knobs(cls)})
    if as_json:
        common.print_json({"envs": found})
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for env in found:
        common.out.print(Text(env["id"], style="bold cyan"), Text(env["about"]), sep="\n")
        view = Table.grid(padding=(0, 2))
        for knob, (default, text) in env["knobs"].items():
            view.add_row(Text(f"--env {knob}={default}", no_wrap=True), Text(text, style="dim"))
        common.out.print(Padding(view, (0, 0, 1, 2)))


@app.command()
def play(
    env_id: EnvId,
    policy: Annotated[str, typer.Option("--policy", help=f"human, {common.POLICY_HELP}")] = "human",
    task: Annotated[str | None, typer.Option(help="Task id; by default the seed picks one.")] = None,
    seed: SeedOption = 0,
    split: Annotated[str, typer.Option(help="train, eval or hidden.")] = "train",
    env: EnvOptions = None,
    headful: Annotated[bool, typer.Option("--headful", help="Web: work in a window of the browser yourself.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Web: work in your own browser, over ssh too.")] = False,
    port: Annotated[int, typer.Option(help="With --serve: the port; 0 is a free one.", min=0, max=65000)] = 0,
    film: Annotated[Path | None, typer.Option(help="Web: write the episode as a .gif or .png.")] = None,
) -> None:
    """Play one episode here: every turn, every check, every reward.

    \b
    thinkact play thinkact/FactbookQA-v0          you type the calls
    thinkact play thinkact/PythonTask-v0 --policy expert --env level=3
    thinkact play thinkact/FactbookQA-v0 --policy hf:runs/default/model
    thinkact play thinkact/Shop-v0 --serve        in your own browser
    thinkact play thinkact/Shop-v0 --policy expert --film shop.gif
    """  # noqa: D301
    from thinkact.cli_play import play_episode

    kwargs = {**common.pairs(env or (), "--env"), "split": split}
    common.check_env(env_id, kwargs)
    if not (headful or serve):
        play_episode(env_id, policy, task_id=task, seed=seed, kwargs=kwargs, film=film)
        return
    if policy != "human" or (headful and serve) or film is not None:
        raise common.UserError("--headful and --serve are for a person, one of them, and without --film.")
    from thinkact.cli_play_browser import play_in_browser

    play_in_browser(env_id, task_id=task, seed=seed, kwargs=kwargs, serve=serve, port=port)


@app.command()
def rollout(
    env_id: EnvId,
    policy: PolicyOption = "expert",
    episodes: Annotated[int, typer.Option(help="How many.", callback=common.positive)] = 32,
    seed: SeedOption = 0,
    split: Annotated[str, typer.Option(help="train, eval or hidden.")] = "train",
    concurrency: Concurrency = 32,
    out: Annotated[Path | None, typer.Option(help="Write the episodes here, as JSON lines.")] = None,
    env: EnvOptions = None,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 64,
    max_len: MaxLen = 1024,
    dtype: Dtype = "bf16",
    max_thought_tokens: MaxThoughtTokens = None,
    max_episode_tokens: MaxEpisodeTokens = None,
    effort: Effort = None,
    history: History = None,
    max_kv_bytes: MaxKvBytes = None,
    processes: Processes = "1",
    as_json: JsonOption = False,
) -> None:
    """Play many episodes at once and write them down.

    \b
    thinkact rollout thinkact/FactbookQA-v0 --episodes 200 --out expert.jsonl
    thinkact rollout thinkact/PythonTask-v0 --policy random --env level=0 --json
    thinkact rollout thinkact/FactbookQA-v0 --policy hf:runs/default/model --processes auto
    """  # noqa: D301
    from thinkact.cli_play import play_many
    from thinkact.leaderboard import summarise
    from thinkact.policies.episode import write_episodes

    if out is not None and out.exists():
        raise common.UserError(f"{out} exists already; name another file or remove it.")
    kwargs = common.pairs(env or (), "--env")
    common.check_env(env_id, {**kwargs, "split": split})
    workers = common.processes(processes, policy=policy, concurrency=concurrency)
    player = common.make_policy(
        policy,
        concurrency=concurrency,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        max_len=max_len,
        dtype=dtype,
        max_thought_tokens=max_thought_tokens,
        max_episode_tokens=max_episode_tokens,
        effort=effort,
        history=history,
        max_kv_bytes=max_kv_bytes // workers if max_kv_bytes else None,
    )
    played = play_many(
        env_id,
        player,
        episodes=episodes,
        seed=seed,
        split=split,
        concurrency=concurrency,
        processes=workers,
        kwargs=kwargs,
    )
    if out is not None and played:
        write_episodes(out, played)
    if not played:
        raise common.UserError("Interrupted before the first episode ended.")
    _show(f"{player.name} on {env_id}, {split}", asdict(summarise(played)), played, out, as_json)


@app.command("eval")
def evaluate(
    env_id: EnvId,
    policy: PolicyOption = "expert",
    tasks: Annotated[int, typer.Option(help="Held-out tasks, one attempt each.", callback=common.positive)] = 300,
    split: Annotated[str, typer.Option(help="eval or hidden.")] = "eval",
    seed: SeedOption = 1234,
    board: BoardOption = DEFAULT_BOARD,
    name: Annotated[str | None, typer.Option(help="On the leaderboard; by default the policy's.")] = None,
    put: Annotated[bool, typer.Option("--submit", help="Put the result on the leaderboard.")] = False,
    concurrency: Concurrency = 32,
    env: EnvOptions = None,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 64,
    max_len: MaxLen = 1024,
    dtype: Dtype = "bf16",
    max_thought_tokens: MaxThoughtTokens = None,
    max_episode_tokens: MaxEpisodeTokens = None,
    effort: Effort = None,
    history: History = None,
    max_kv_bytes: MaxKvBytes = None,
    processes: Processes = "1",
    as_json: JsonOption = False,
) -> None:
    """Measure a policy on held-out tasks: success with its 95 % interval.

    Tasks and seed are those that `thinkact train` measures with, so the
    figures compare.

    \b
    thinkact eval thinkact/FactbookQA-v0 --policy hf:runs/default/model
    thinkact eval thinkact/PythonTask-v0 --policy random --split hidden --submit
    """  # noqa: D301
    from thinkact.cli_play import play_many
    from thinkact.leaderboard import summarise

    if split not in ("eval", "hidden"):
        raise common.UserError(f"--split must be eval or hidden, not {split!r}; `thinkact rollout` plays train tasks.")
    kwargs = common.pairs(env or (), "--env")
    common.check_env(env_id, {**kwargs, "split": split})
    workers = common.processes(processes, policy=policy, concurrency=concurrency)
    player = common.make_policy(
        policy,
        concurrency=concurrency,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        max_len=max_len,
        dtype=dtype,
        max_thought_tokens=max_thought_tokens,
        max_episode_tokens=max_episode_tokens,
        effort=effort,
        history=history,
        max_kv_bytes=max_kv_bytes // workers if max_kv_bytes else None,
    )
    played = play_many(
        env_id,
        player,
        episodes=tasks,
        seed=seed,
        split=split,
        concurrency=concurrency,
        processes=workers,
        kwargs=kwargs,
    )
    if len(played) < tasks:
        raise common.UserError(f"Interrupted after {len(played)} of {tasks} tasks; a part is no measurement.")
    figures: dict[str, Any] = asdict(summarise(played))
    if put:
        kind: Literal["agent", "baseline"] = "baseline" if policy in ("null", "random", "expert") else "agent"
        settings = {"policy": policy, "seed": seed, "temperature": temperature}
        figures["submission"] = common.open_board(board, create=True).submit(
            name or player.name, played, kind=kind, suite=common.suite_of(kwargs), meta=settings
        )
    _show(f"{name or player.name} on {env_id}, {split}", figures, played, board if put else None, as_json)


def _show(title: str, figures: dict[str, Any], played: Sequence[Episode], written: Path | None, as_json: bool) -> None:
    faults = [episode.error for episode in played if episode.error]
    first = faults[0] if faults else None
    if as_json:
        common.print_json(
            {"title": title, **figures, "first_fault": first, "written": str(written) if written else None}
        )
        return
    from rich.table import Table
    from rich.text import Text

    from thinkact.leaderboard import Summary

    summary = Summary(**{key: value for key, value in figures.items() if key != "submission"})
    view = Table.grid(padding=(0, 2))
    for label, figure in common.summary_lines(title, summary):
        view.add_row(Text(label, style="dim"), Text(figure))
    if first:
        view.add_row(Text("first fault", style="dim"), Text(first))
    common.out.print(view)
    if written is not None:
        common.out.print(f"written to {written}", markup=False, highlight=False)


@app.command()
def train(
    preset: Annotated[str, typer.Option(help="default (SmolLM2-135M), tiny (from scratch), …")] = "default",
    model: Annotated[
        str | None, typer.Option(help="smollm2-135m, tiny, a Hugging Face id or a folder; overrides the preset.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the run; by default the preset, and the seed if not 0.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is random in the run.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings, over the preset.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="One setting key=value; repeatable.")] = None,
    ray: Annotated[int | None, typer.Option(help="Play batches on so many Ray workers (extra: ray).")] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Train on so many devices: GPUs, or processes where there is none.")
    ] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N", help="Play in so many processes here; auto: one per core where it pays.")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option(help="wandb or trackio: send the figures there, too; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print every setting, check all parts, stop.")] = False,
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    board: Annotated[Path | None, typer.Option(help="Leaderboard folder; default RUNS/leaderboard.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train an agent: measure, imitate the expert, reinforce over many turns, measure again.

    Three rows land on the leaderboard (before, imitation, rl), and runs/NAME/
    keeps the configuration, figures, checkpoints, every episode and the model.
    Stop it whenever you like; the same command with --resume goes on.

    \b
    thinkact train                         the default: SmolLM2-135M, Factbook
    thinkact train --preset tiny           a small model from scratch, minutes
    thinkact train --set rl.lr=2e-5 --set rl.steps=40 --name longer
    thinkact train --model ./my-model --set env.kwargs.hops=1 --name mine
    thinkact train --resume --name mine    goes on with what was begun
    thinkact train --devices 4             on four GPUs
    thinkact train --track wandb           figures to Weights & Biases, too
    thinkact train --dry-run > my.toml     a file to edit, for --config
    """  # noqa: D301
    from thinkact.cli_train import Request, dry_run_report, on_devices, train_and_publish

    request = Request.of(
        preset=preset,
        model=model,
        name=name,
        seed=seed,
        file=config,
        settings=common.pairs(settings or (), "--set"),
        ray=ray,
        processes=processes,
        resume=resume,
        runs=runs,
        board=board,
        track=track or (),
    )
    if dry_run:
        raise typer.Exit(dry_run_report(request, as_json=as_json))
    if on_devices(request, devices):
        return
    train_and_publish(request, as_json=as_json)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Try every part on this machine; say what works and how to mend the rest."""
    from thinkact.cli_doctor import report

    raise typer.Exit(report(as_json=as_json))


# Here, so that --help lists them after what a newcomer needs first.
app.command("submit")(submit)
app.command("serve")(serve)
app.command("film")(film)
app.command("credit-bench")(credit_bench)


def main(args: list[str] | None = None) -> None:
    """Run the command line. An error that the user can mend is one line and status 2."""
    try:
        app(args=args, prog_name="thinkact")
    except Exception as error:
        common.fail(error)


if __name__ == "__main__":
    main()
