"""Where a run's figures go besides ``metrics.jsonl``: TensorBoard, Weights & Biases, trackio."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from thinkact.policies.plots import STAGES

Kind = Literal["wandb", "trackio"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_log = logging.getLogger(__name__)


class TrackerError(RuntimeError):
    """A tracker does not start; the message says what to do."""


def scalars(stage: str, step: int, values: Mapping[str, Any]) -> tuple[str, int, dict[str, float]]:
    """Return the group that a row's figures are shown in, their place on its x axis, and the figures.

    Args:
        stage: ``"sft"``, ``"rl"``; ``"eval-before"``, ``"eval-imitation"`` and ``"eval-rl"``, which become points of
            one group; ``"eval-rl-8"``, measured after so many batches.
        step: Of the stage.
        values: The row.
    """
    name = stage.removeprefix("eval-")
    group, at = stage, step
    if name in STAGES and name != stage:
        group, at = "held-out", STAGES.index(name)
    elif name.startswith("rl-"):
        group, at = "eval", int(name.removeprefix("rl-"))
    figures = {
        key: value for key, value in values.items() if key not in ("stage", "step") and isinstance(value, int | float)
    }
    return group, at, figures


class TensorBoard:
    """Writes a run's figures as TensorBoard scalars; ``metrics.jsonl`` stays the truth.

    Args:
        folder: For the event files; what is in it is replaced.
        metrics: The rows so far, of an interrupted run.
    """

    def __init__(self, folder: Path, metrics: Sequence[Mapping[str, Any]] = ()) -> None:
        self.folder = folder
        self._writer: Any = None
        self._last: dict[str, int] = {}
        self.rewrite(metrics)

    def rewrite(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Begin anew: after a resume the steps since the last checkpoint are done, and written, again."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        make: Any = SummaryWriter
        self._writer = make(str(self.folder))
        self._last = {}
        for row in metrics:
            self.add(row["stage"], row["step"], row)
        self._writer.flush()

    def repeats(self, stage: str, step: int) -> bool:
        """Tell whether this step was written already, so that :meth:`rewrite` is due."""
        return step <= self._last.get(stage, -1)

    def add(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Write one row."""
        group, at, shown = scalars(stage, step, values)
        if group == stage:
            self._last[stage] = step
        for key, value in shown.items():
            self._writer.add_scalar(f"{group}/{key}", value, at)

    def close(self) -> None:
        """Flush and close the event file. Idempotent."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Tracker:
    """A run on Weights & Biases or trackio, whose interfaces are alike.

    What was sent stays there. After a resume the steps since the last checkpoint are done again and come out the same
    (but for times), so they are not sent again; a run that was begun without its tracker is sent whole. A fault while
    the run lasts ends the sending, with a warning, and never the run.

    Args:
        kind: Which.
        run: The run's folder; its name is the run's there.
        config: What the run was asked for.
        metrics: The rows so far.

    Raises:
        ImportError: It is not installed.
        TrackerError: It does not start: no key, say.
    """

    def __init__(
        self, kind: Kind, run: Path, config: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.kind = kind
        self._file = run / f"{kind}.json"
        known = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self._id: str = known.get("id") or uuid.uuid4().hex[:8]
        self._last: dict[str, int] = known.get("last", {})
        self._known: set[str] = set()
        self._run: Any = _start(kind, run, self._id, dict(config))
        for row in metrics:
            self.add(row["stage"], row["step"], row)

    def add(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Send one row, unless it was sent before."""
        group, at, shown = scalars(stage, step, values)
        if self._run is None or at <= self._last.get(group, -1):
            return
        try:
            if self.kind == "wandb" and group not in self._known:
                self._run.define_metric(f"{group}/step")
                self._run.define_metric(f"{group}/*", step_metric=f"{group}/step")
                self._known.add(group)
            self._run.log({**{f"{group}/{key}": value for key, value in shown.items()}, f"{group}/step": at})
        except Exception as error:  # theirs, of whatever kind: the run is worth more
            _log.warning("Nothing more is sent to %s (%s); metrics.jsonl has every figure.", self.kind, error)
            self._run = None
            return
        self._last[group] = at
        part = self._file.with_name(f".{self._file.name}.part")
        part.write_text(json.dumps({"id": self._id, "last": self._last}))
        part.rename(self._file)

    def close(self) -> None:
        """Send what waits. Idempotent."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()


def _start(kind: Kind, run: Path, key: str, config: dict[str, Any]) -> Any:
    try:
        module = importlib.import_module(kind)
    except ImportError as error:
        raise ImportError(f'--track {kind} needs pip install "thinkact[{kind}]".') from error
    project = os.environ.get(f"{kind.upper()}_PROJECT", "thinkact")
    try:
        if kind == "wandb":
            name = run.name
            return module.init(project=project, id=key, name=name, dir=str(run), resume="allow", config=config)
        # There a run is known by its name alone.
        return module.init(project=project, name=f"{run.name}-{key}", resume="allow", config=config, embed=False)
    except Exception as error:
        hint = "log in with `wandb login`, or keep the run here with WANDB_MODE=offline; or " if kind == "wandb" else ""
        raise TrackerError(f"{kind} does not start ({error}): {hint}leave out --track {kind}.") from error
