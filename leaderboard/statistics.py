"""What a board may claim of one agent: means with intervals, and what they cost.

Trials of one task are not independent, so a task is the unit: every mean is a mean of task means, and intervals
resample tasks, or whole templates where tasks are cut from enough of them. An unresolved episode (a fault, no
score) counts as 0 in success and score, and has its own column. Repeated delivery of an episode changes nothing.
Two agents are compared in :mod:`thinkact.leaderboard.paired`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import NormalDist

import numpy as np

from thinkact.policies.episode import Episode

#: All intervals are 95 % unless they say otherwise.
LEVEL = 0.95
#: Fewer templates than this (in effect: unequal ones count for less) cannot carry an interval; tasks do then.
MIN_TEMPLATES = 8
_RESAMPLES = 4_000


@dataclass(frozen=True)
class Outcome:
    """What statistics need of one episode."""

    id: str
    task: str
    success: bool | None
    score: float | None
    truncated: bool = False
    turns: int = 0
    invalid_turns: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    attempts: int = 1
    family: str = ""
    difficulty: float = 0.0

    @classmethod
    def of(cls, episode: Episode) -> Outcome:
        """Reduce an episode to its outcome."""
        usage = episode.usage
        return cls(
            id=episode.id,
            task=f"{episode.env_id} {episode.task_id}",
            success=episode.success,
            score=episode.score,
            truncated=episode.truncated,
            turns=len(episode.turns),
            invalid_turns=sum(turn.invalid for turn in episode.turns),
            tokens=usage.prompt_tokens + usage.sampled_tokens,
            seconds=usage.policy_seconds + usage.env_seconds,
            cost=usage.cost,
            attempts=usage.attempts,
            family=episode.family,
            difficulty=episode.difficulty,
        )

    @property
    def environment(self) -> str:
        """The Gymnasium id."""
        return self.task.partition(" ")[0]


@dataclass(frozen=True)
class Interval:
    """An interval and the method that gave it."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Summary:
    """One row's figures.

    Attributes:
        episodes: Distinct episodes, unresolved ones included.
        tasks: Distinct tasks.
        success: Mean over tasks of the share of solved trials; unresolved counts as 0.
        low: Lower end of the 95 % interval of ``success``.
        high: Upper end of it.
        method: ``"wilson"`` (one trial per independent task), ``"bootstrap over tasks"`` or
            ``"bootstrap over templates"``.
        score: Mean over tasks of the mean score; unresolved counts as 0.
        unresolved: Episodes without a score because of a fault.
        truncated: Share of episodes cut by a limit.
        invalid: Share of turns whose action could not be run.
        turns: Mean per episode.
        tokens: Mean per episode, fed and sampled.
        seconds: Mean per episode, policy and environment.
        cost: US dollars in all, retried attempts included.
        retries: Attempts beyond the first, over all episodes.
    """

    episodes: int
    tasks: int
    success: float
    low: float
    high: float
    method: str
    score: float
    unresolved: int
    truncated: float
    invalid: float
    turns: float
    tokens: float
    seconds: float
    cost: float
    retries: int = 0


def template_of(task: str) -> str:
    """Return the template that a task was cut from, or the task itself where its id names none.

    Task ids read ``split/template/…/instance``: the template is the words between the split and the first part
    that starts with a digit, the last part left out. ``"E-v0 eval/capital/shortest/Togo"`` is cut from
    ``"E-v0 capital/shortest"``; ``"E-v0 eval/2/511136"`` (a level and a number) stands for itself.
    """
    environment, _, name = task.partition(" ")
    words = list(takewhile(lambda part: not part[:1].isdigit(), name.split("/")[1:-1]))
    return f"{environment} {'/'.join(words)}" if words else task


def clusters(tasks: Sequence[str]) -> list[str] | None:
    """Return each task's template where templates are the unit that can be resampled, else None.

    They are when tasks share templates and the templates are enough: at least :data:`MIN_TEMPLATES` in effect.
    With fewer, nothing can be said about other templates, and figures hold for tasks of these templates alone.
    """
    templates = [template_of(task) for task in tasks]
    _, sizes = np.unique(np.array(templates, dtype=object).astype(str), return_counts=True)
    if len(sizes) == len(templates) or sizes.sum() ** 2 / (sizes**2).sum() < MIN_TEMPLATES:
        return None
    return templates


def wilson(successes: float, n: float, *, level: float = LEVEL) -> Interval:
    """Wilson's score interval for ``successes`` out of ``n`` independent trials.

    Raises:
        ValueError: Unless ``0 <= successes <= n``.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], not {successes} of {n}.")
    return Interval(*_score_interval(successes, n, _z(level)), "wilson")


def bootstrap(
    means: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    level: float = LEVEL,
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Interval of a mean over tasks by resampling tasks, or whole clusters of them.

    Percentiles are widened to Student's t for few units (Hesterberg's expanded percentile interval). Near the
    bounds resampling sees too little of what could happen, so each end is the wider of two: the percentile, and
    Wilson's interval at the effective number of units (Korn and Graubard 1998), which is the one that covers
    there. Units that are all alike show no spread at all: the interval then allows for the share of units that
    may differ unseen.

    Args:
        means: One value per task.
        clusters: The unit each task belongs to; a drawn unit brings all its tasks. None: every task is one.
        level: Of confidence.
        bounds: What a value can be.
        seed: The same seed gives the same interval, whatever the order of the tasks.
        resamples: Bootstrap samples.
    """
    low, high = bounds
    method = "bootstrap over tasks" if clusters is None else "bootstrap over templates"
    values: _Array = (np.asarray(means, dtype=np.float64) - low) / (high - low)
    if not len(values):
        return Interval(low, high, method)
    sizes: _Array = np.ones(len(values))
    if clusters is not None:
        _, at = np.unique(np.array(clusters, dtype=object).astype(str), return_inverse=True)
        sizes, values = (np.bincount(at, weights).astype(np.float64) for weights in (sizes, values))
    # In one order, or the last bits of sums would depend on it.
    order = np.lexsort((sizes, values.round(12)))
    ends = _mirrored(values.round(12)[order], sizes[order], level, seed, resamples)
    below, above = (low + (high - low) * min(1.0, max(0.0, end)) for end in ends)
    return Interval(below, above, method)


def success_interval(means: Mapping[str, float], *, trials: int, level: float = LEVEL, seed: int = 0) -> Interval:
    """Interval of the mean success over tasks, by the method that their design allows.

    Args:
        means: Share of solved trials by task (:func:`task_means`).
        trials: Episodes in all. As many as tasks, none of which share a template: Wilson; else bootstrap.
        level: Of confidence.
        seed: Of the bootstrap.
    """
    tasks, units = list(means), clusters(list(means))
    if units is None and trials == len(tasks):
        return wilson(sum(means.values()), len(tasks), level=level)
    return bootstrap([means[task] for task in tasks], units, level=level, seed=seed)


def task_means(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Share of solved trials per task; unresolved trials count as not solved."""
    return {
        task: sum(bool(outcome.success) for outcome in trials) / len(trials)
        for task, trials in by_task(distinct(outcomes)).items()
    }


def summarise(episodes: Iterable[Episode | Outcome], *, seed: int = 0) -> Summary:
    """Reduce episodes of one agent to the figures of its row; an episode delivered twice counts once."""
    outcomes = distinct(episodes)
    groups = by_task(outcomes)
    means = task_means(outcomes)
    interval = success_interval(means, trials=len(outcomes), seed=seed)
    n, turns = len(outcomes), sum(outcome.turns for outcome in outcomes)
    return Summary(
        episodes=n,
        tasks=len(groups),
        success=mean(list(means.values())),
        low=interval.low,
        high=interval.high,
        method=interval.method,
        score=mean([mean([trial.score or 0.0 for trial in trials]) for trials in groups.values()]),
        unresolved=sum(outcome.success is None for outcome in outcomes),
        truncated=mean([float(outcome.truncated) for outcome in outcomes]),
        invalid=sum(outcome.invalid_turns for outcome in outcomes) / turns if turns else 0.0,
        turns=turns / n if n else 0.0,
        tokens=mean([float(outcome.tokens) for outcome in outcomes]),
        seconds=mean([outcome.seconds for outcome in outcomes]),
        cost=math.fsum(outcome.cost for outcome in outcomes),
        retries=sum(max(0, outcome.attempts - 1) for outcome in outcomes),
    )


def distinct(episodes: Iterable[Episode | Outcome]) -> list[Outcome]:
    """Reduce episodes to outcomes, each id of a task once."""
    outcomes = (Outcome.of(one) if isinstance(one, Episode) else one for one in episodes)
    return list({(outcome.task, outcome.id): outcome for outcome in outcomes}.values())


def by_task(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Group outcomes by task, in the order of first appearance."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.task, []).append(outcome)
    return groups


def mean(values: Sequence[float]) -> float:
    """Mean, whose sum depends on no order; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


_Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _mirrored(sums: _Array, sizes: _Array, level: float, seed: int, resamples: int) -> tuple[float, float]:
    """Resample so that the mirror image of the values has the mirror image of their interval."""
    here, there = (sorted(zip(side.round(12), sizes, strict=True)) for side in (sums, sizes - sums))
    if there < here:
        low, high = _resample(sizes - sums, sizes, level, seed, resamples)
        return 1 - high, 1 - low
    low, high = _resample(sums, sizes, level, seed, resamples)
    if here == there:  # their own mirror image
        low = min(low, 1 - high)
        return low, 1 - low
    return low, high


def _resample(sums: _Array, sizes: _Array, level: float, seed: int, resamples: int) -> tuple[float, float]:
    units = len(sums)
    centre = float(sums.sum() / sizes.sum())
    spread = float(((sums - centre * sizes) ** 2).sum())
    if units < 2 or spread < 1e-18:
        unseen = _score_interval(0, units, _z(level))[1]
        return centre - unseen * centre, centre + unseen * (1 - centre)
    # Units of unequal size tell less than their number: this many equal ones would tell as much.
    worth = float(sizes.sum() ** 2 / (sizes**2).sum())
    t = _student(worth - 1, level) if worth > 1.5 else _student(0.5, level)
    # Drawing units with replacement is one multinomial draw over the distinct ones.
    kinds, counts = np.unique(np.column_stack([sums, sizes]).round(12), axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(units, counts / units, size=resamples)  # (R, distinct)
    drawn = draws @ kinds
    tail = NormalDist().cdf(-math.sqrt(units / (units - 1)) * t)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [tail, 1 - tail])
    variance = spread * units / (units - 1) / float(sizes.sum()) ** 2
    wide = _score_interval(centre * (n := centre * (1 - centre) / variance), n, t)
    return min(float(low), wide[0]), max(float(high), wide[1])


def _score_interval(successes: float, n: float, z: float) -> tuple[float, float]:
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, p * (1 - p) / n) + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return low, high


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), not {level}.")
    return NormalDist().inv_cdf(0.5 + level / 2)


def _student(freedom: float, level: float) -> float:
    """Two-sided quantile of Student's t, by the Cornish-Fisher expansion (to 1 % from 3 degrees on)."""
    z, v = _z(level), freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
