"""Progress of a training run: how far, how long still, and what came of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from thinkact.cli_common import err
from thinkact.policies.config import TrainConfig

if TYPE_CHECKING:
    from thinkact.policies.trackers import Kind

#: Seconds between lines of progress where there is no terminal to draw on.
LINE_EVERY_S = 20.0


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a ``metrics.jsonl`` that may be missing or still written to."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:  # a line that a crash cut off
            continue
    return rows


@dataclass
class _Stage:
    name: str
    units: int
    #: Guess of seconds per unit; only ratios between stages matter once some of the work is done.
    each: float


def plan(config: TrainConfig) -> list[_Stage]:
    """Return the stages of a run with a first guess of their cost."""
    play, learn = (0.03, 0.01) if config.model.name == "tiny" else (0.2, 0.5)
    tasks, sft, rl = config.eval.tasks, config.sft, config.rl
    stages = [_Stage(f"evaluate {name}", tasks, 0.02) for name in ("null", "random", "expert")]
    stages += [_Stage("expert episodes", sft.episodes, 0.02), _Stage("evaluate before", tasks, play)]
    if sft.episodes:
        steps = sft.epochs * -(-sft.episodes // sft.batch_episodes)
        stages += [_Stage("imitation", steps, learn * sft.batch_episodes), _Stage("evaluate imitation", tasks, play)]
    if rl.steps:
        episodes = rl.steps * rl.tasks_per_step * rl.group_size
        used = 0.6 if rl.filter else 1.0
        stages += [_Stage("reinforcement", episodes, play + used * learn), _Stage("evaluate rl", tasks, play)]
    return stages


class Clock:
    """How far a run is and how long it will take: guesses, corrected by what the work really took."""

    def __init__(self, stages: Sequence[_Stage], now: float) -> None:
        self.stages = list(stages)
        self._at = -1
        self._guessed = self._took = 0.0
        self._begin(0, 0, now)

    def _begin(self, total: int, done: int, now: float) -> None:
        self.total, self.done, self._restored, self._since = total, done, done, now

    def stage(self, name: str, total: int, done: int, now: float) -> None:
        """Enter a stage; those passed over were done by an interrupted run."""
        self._settle(now)
        names = [stage.name for stage in self.stages]
        self._at = names.index(name) if name in names else self._at
        if name in names:
            self.stages[self._at].units = total
        self._begin(total, done, now)

    def advance(self) -> None:
        """Count one unit."""
        self.done += 1

    def _settle(self, now: float) -> None:
        if self._at >= 0:
            self._guessed += (self.done - self._restored) * self.stages[self._at].each
            self._took += now - self._since

    @property
    def fraction(self) -> float:
        """The share of the whole work that is done."""
        if self._at < 0:
            return 0.0
        costs = [stage.units * stage.each for stage in self.stages]
        current = self.stages[self._at].each * min(self.done, self.total)
        return min(1.0, (sum(costs[: self._at]) + current) / max(1e-9, sum(costs)))

    def left(self, now: float) -> float | None:
        """Return the seconds still needed, or None while nothing is known."""
        if self._at < 0:
            return None
        # Five guessed seconds steady the first moments.
        pace = (self._took + 5.0) / (self._guessed + 5.0)
        each = self.stages[self._at].each * pace
        played = self.done - self._restored
        weight = max(1.0, 0.02 * self.total)
        each = (now - self._since + weight * each) / (played + weight)
        later = sum(stage.units * stage.each for stage in self.stages[self._at + 1 :])
        return each * max(0, self.total - self.done) + later * pace


def duration(seconds: float | None) -> str:
    """Write a time span as a person says it."""
    if seconds is None:
        return "…"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def figures_text(stage: str, values: dict[str, Any]) -> str:
    """Return what of a step's figures is worth watching."""
    if stage == "sft":
        return f"loss {values['loss']:.3f}"
    text = f"solved {100 * values['success']:.0f} %, score {values['score']:.2f}"
    if stage == "rl":
        return f"{text}, {100 * values['used_share']:.0f} % of the episodes taught something"
    return f"{text}, {values['turns']:.1f} turns"


class Watch:
    """The trainer's reporter: bars on a terminal, lines elsewhere, TensorBoard always.

    Args:
        config: The run's.
        run: Its folder.
        track: Trackers besides, see :class:`~thinkact.policies.trackers.Tracker`.
    """

    def __init__(self, config: TrainConfig, run: Path, track: Sequence[Kind] = ()) -> None:
        from thinkact.policies.trackers import TensorBoard, Tracker

        self.run = run
        run.mkdir(parents=True, exist_ok=True)
        rows = read_metrics(run / "metrics.jsonl")
        self._trackers = [Tracker(kind, run, config.model_dump(mode="json"), rows) for kind in track]
        self.clock = Clock(plan(config), time.monotonic())
        self._make_board = TensorBoard
        self._board: TensorBoard | None = None
        self._name, self._text = "starting", ""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Enter a stage."""
        self.clock.stage(name, total, done, time.monotonic())
        self._name, self._text = name, ""
        self.show(entered=True)

    def advance(self) -> None:
        """Count one unit of the stage."""
        self.clock.advance()
        self.show()

    def note(self, text: str) -> None:
        """Show a figure, unless the stage has shown fuller ones."""
        self._text = self._text or text
        self.show()

    def figures(self, stage: str, step: int, values: dict[str, Any]) -> None:
        """Show and keep a step's figures."""
        self._text = figures_text(stage, values)
        metrics = self.run / "metrics.jsonl"
        if self._board is None:
            self._board = self._make_board(self.run / "tensorboard", read_metrics(metrics))
        elif self._board.repeats(stage, step):
            self._board.rewrite(read_metrics(metrics))
        else:
            self._board.add(stage, step, values)
        for tracker in self._trackers:
            tracker.add(stage, step, values)
        self.show(finished=stage.startswith("eval-"))

    def close(self) -> None:
        """End the display, and leave TensorBoard with exactly what ``metrics.jsonl`` has."""
        if self._board is not None:
            self._board.rewrite(read_metrics(self.run / "metrics.jsonl"))
            self._board.close()
        for tracker in self._trackers:
            tracker.close()

    def show(self, *, entered: bool = False, finished: bool = False) -> None:
        """Bring the display up to date."""
        raise NotImplementedError

    @property
    def left(self) -> str:
        """The time still needed."""
        return f"about {duration(self.clock.left(time.monotonic()))} left"


class Bars(Watch):
    """Two bars: the whole run with the time left, and the current stage with live figures."""

    def __init__(self, config: TrainConfig, run: Path, track: Sequence[Kind] = ()) -> None:
        super().__init__(config, run, track)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", style="cyan"),
            console=err,
        )
        self._all: TaskID = self.progress.add_task("whole run", total=1.0, text="")
        self._one: TaskID = self.progress.add_task("starting", total=None, text="")
        self.progress.start()

    def show(self, *, entered: bool = False, finished: bool = False) -> None:
        """Redraw; finished evaluations stay above the bars."""
        clock = self.clock
        self.progress.update(self._all, completed=clock.fraction, text=self.left)
        if entered:
            self.progress.reset(self._one, total=clock.total, description=self._name)
        self.progress.update(self._one, completed=clock.done, text=self._text)
        if finished:
            self.progress.console.print(f"{self._name}: {self._text}", highlight=False)

    def close(self) -> None:
        """Take the bars down."""
        self.progress.stop()
        super().close()


class Lines(Watch):
    """Plain lines at sensible intervals, for logs."""

    _printed = 0.0
    _due = False

    def show(self, *, entered: bool = False, finished: bool = False) -> None:
        """Print when something ended or began, or after a while."""
        now = time.monotonic()
        if not (entered or finished or self._due):
            # Episodes end in bursts; the next call of this one knows better how fast it goes.
            self._due = now - self._printed >= LINE_EVERY_S
            return
        self._printed, self._due = now, False
        clock = self.clock
        parts = [f"{self._name} {clock.done}/{clock.total}", *([self._text] if self._text else []), self.left]
        stamp = time.strftime("%H:%M:%S")
        print(f"[{stamp}] {100 * clock.fraction:3.0f} %  {' · '.join(parts)}", file=sys.stderr, flush=True)


@contextmanager
def watching(config: TrainConfig, run: Path, track: Sequence[Kind] = ()) -> Iterator[Watch]:
    """Show a run while it lasts."""
    watch = (Bars if err.is_terminal else Lines)(config, run, track)
    try:
        yield watch
    finally:
        watch.close()
