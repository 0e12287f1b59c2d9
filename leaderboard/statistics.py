"""What a board may claim: means with intervals, paired comparisons, ranks that admit ties.

Trials of one task are not independent, so a task is the unit: every mean is a mean of task means, intervals
resample tasks, and two agents are compared task by task. An unresolved episode (a fault, no score) counts
as 0 in success and score, and has its own column. Repeated delivery of an episode changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from thinkact.policies.episode import Episode

#: All intervals are 95 %.
Z = NormalDist().inv_cdf(0.975)
_RESAMPLES = 10_000
_EXACT_UP_TO = 12


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
        )


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and the method that gave it."""

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
        method: ``"wilson"`` (one trial per task) or ``"bootstrap over tasks"``.
        score: Mean over tasks of the mean score; unresolved counts as 0.
        unresolved: Episodes without a score because of a fault.
        truncated: Share of episodes cut by a limit.
        invalid: Share of turns whose action could not be run.
        turns: Mean per episode.
        tokens: Mean per episode, fed and sampled.
        seconds: Mean per episode, policy and environment.
        cost: US dollars in all, retried attempts included.
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


@dataclass(frozen=True)
class Comparison:
    """Two agents over the tasks they share.

    ``difference`` is a's mean success minus b's; ``p_adjusted`` is Holm's, over all pairs looked at.
    """

    a: str
    b: str
    tasks: int
    difference: float
    p_value: float
    p_adjusted: float


def wilson(successes: float, n: int) -> Interval:
    """Wilson's score interval for ``successes`` out of ``n`` independent trials.

    Raises:
        ValueError: Unless ``0 <= successes <= n``.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], not {successes} of {n}.")
    if n == 0:
        return Interval(0.0, 1.0, "wilson")
    p = successes / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high, "wilson")


def bootstrap(task_means: Sequence[float], *, seed: int = 0, resamples: int = _RESAMPLES) -> Interval:
    """Interval of the mean by resampling whole tasks.

    Percentiles are widened to Student's t for few tasks (Hesterberg's expanded percentile interval).
    Tasks that all have the same mean show no spread to resample; they fall back to Wilson with one trial
    per task, which is the wider claim.

    Args:
        task_means: One mean in [0, 1] per task.
        seed: The same seed gives the same interval.
        resamples: Bootstrap samples.
    """
    values, counts = np.unique(np.asarray(task_means, dtype=float), return_counts=True)
    n = int(counts.sum())
    if len(values) < 2:
        return wilson(float(values[0]) * n if n else 0.0, n)
    # Drawing n tasks with replacement is one multinomial draw over the distinct means.
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)  # (R, distinct)
    means = draws @ values / n
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * _student_quantile(n - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(max(0.0, low)), float(min(1.0, high)), "bootstrap over tasks")


def task_means(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """Share of solved trials per task; unresolved trials count as not solved."""
    return {
        task: sum(bool(outcome.success) for outcome in trials) / len(trials)
        for task, trials in _by_task(_distinct(outcomes)).items()
    }


def summarise(episodes: Iterable[Episode | Outcome], *, seed: int = 0) -> Summary:
    """Reduce episodes of one agent to the figures of its row; an episode delivered twice counts once."""
    outcomes = _distinct(Outcome.of(episode) if isinstance(episode, Episode) else episode for episode in episodes)
    by_task = _by_task(outcomes)
    means = list(task_means(outcomes).values())
    if len(by_task) == len(outcomes):
        interval = wilson(sum(means), len(means))
    else:
        interval = bootstrap(means, seed=seed)
    n, turns = len(outcomes), sum(outcome.turns for outcome in outcomes)
    return Summary(
        episodes=n,
        tasks=len(by_task),
        success=_mean(means),
        low=interval.low,
        high=interval.high,
        method=interval.method,
        score=_mean([_mean([trial.score or 0.0 for trial in trials]) for trials in by_task.values()]),
        unresolved=sum(outcome.success is None for outcome in outcomes),
        truncated=_mean([float(outcome.truncated) for outcome in outcomes]),
        invalid=sum(outcome.invalid_turns for outcome in outcomes) / turns if turns else 0.0,
        turns=turns / n if n else 0.0,
        tokens=_mean([float(outcome.tokens) for outcome in outcomes]),
        seconds=_mean([outcome.seconds for outcome in outcomes]),
        cost=math.fsum(outcome.cost for outcome in outcomes),
    )


def paired_p_value(differences: Sequence[float], *, seed: int = 0, resamples: int = _RESAMPLES) -> float:
    """Two-sided paired permutation test: were the two agents' names exchangeable within each task?

    Exact when few tasks differ or all differ by the same amount (then it is the sign test); otherwise
    ``resamples`` random sign flips, with the add-one rule that keeps the test valid.

    Args:
        differences: One difference of task means per common task.
        seed: The same seed gives the same p-value.
        resamples: Random sign flips.
    """
    d = np.asarray(differences, dtype=float)
    d = d[np.abs(d) > 1e-12]
    m = len(d)
    if m == 0:
        return 1.0
    sizes = np.abs(d)
    if np.ptp(sizes) < 1e-12:
        fewer = int(min((d > 0).sum(), (d < 0).sum()))
        tail = sum(math.comb(m, k) for k in range(fewer + 1))
        return min(1.0, float(2 * tail / 2**m))
    observed = abs(float(d.sum())) - 1e-9
    if m <= _EXACT_UP_TO:
        bits = np.arange(2**m)[:, None] >> np.arange(m) & 1  # (2^m, m)
        return float(np.mean(np.abs((2 * bits - 1) @ d) >= observed))
    # n random signs of one size add up to size * (2 Binomial(n, 1/2) - n): one draw per distinct size.
    values, counts = np.unique(sizes.round(12), return_counts=True)
    plus = np.random.default_rng(seed).binomial(counts, 0.5, size=(resamples, len(values)))  # (R, distinct)
    hits = int(np.count_nonzero(np.abs((2 * plus - counts) @ values) >= observed))
    return (1 + hits) / (1 + resamples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = running
    return adjusted


def compare(agents: Mapping[str, Mapping[str, float]], *, seed: int = 0) -> list[Comparison]:
    """Compare every pair of agents over the tasks they share, Holm-corrected over the pairs.

    Args:
        agents: Task means (:func:`task_means`) by agent. A pair without a common task has p = 1.
        seed: Of the random sign flips.
    """
    raw: list[tuple[str, str, int, float, float]] = []
    for a, b in combinations(agents, 2):
        common = sorted(agents[a].keys() & agents[b].keys())
        differences = [agents[a][task] - agents[b][task] for task in common]
        raw.append((a, b, len(common), _mean(differences), paired_p_value(differences, seed=seed)))
    return [Comparison(*pair, adjusted) for pair, adjusted in zip(raw, holm([p[4] for p in raw]), strict=True)]


def ranks(agents: Mapping[str, Mapping[str, float]], *, alpha: float = 0.05, seed: int = 0) -> dict[str, int]:
    """Rank agents: 1 + the number of agents shown to be better. Who cannot be told apart shares a rank."""
    better = dict.fromkeys(agents, 0)
    for pair in compare(agents, seed=seed):
        if pair.p_adjusted <= alpha and pair.difference != 0:
            better[pair.b if pair.difference > 0 else pair.a] += 1
    return {agent: 1 + count for agent, count in better.items()}


def _distinct(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return list({outcome.id: outcome for outcome in outcomes}.values())


def _by_task(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.task, []).append(outcome)
    return groups


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _student_quantile(freedom: int) -> float:
    """97.5 % quantile of Student's t, by the Cornish-Fisher expansion (to 1 % from 3 degrees on)."""
    z, v = Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
