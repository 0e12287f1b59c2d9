"""How good is credit? Estimators' turn advantages against the true ones, in worlds where the truth is known.

For a world, a policy and a group size, batches of episodes are drawn, every estimator judges the same ones, and its
answers are compared with the exact advantages A*(s, a) = Q(s, a) − V(s) and with the exact policy gradient. Nothing
here needs a model: policies are tables (:mod:`thinkact.envs.diagnostic.mdp`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkact.envs.diagnostic.mdp import Exact, Floats, Ints, Mdp, Sample, ascent, on_the_way, softmax
from thinkact.envs.diagnostic.worlds import make_world
from thinkact.policies.advantages import DEFAULT_FORKS, ESTIMATORS, FORKING, NEED_MODEL, REMEMBERING, CreditBatch
from thinkact.policies.advantages_memory import TransitionMemory

#: Below this share of the largest true advantage a turn counts as inert.
INERT = 0.05
#: Batches in which a learner comes all the way, for estimators that remember the ones before (see :func:`lived`).
LIFE = 16


@dataclass(frozen=True)
class Setting:
    """One cell of the benchmark.

    Attributes:
        world: Name of the world.
        horizon: Its turns.
        group: Episodes per task (same start).
        share: How far the policy has come, from 0 (knows nothing) to 1 (as good as it gets).
    """

    world: str
    horizon: int = 16
    group: int = 8
    share: float = 0.5


@dataclass(frozen=True)
class Fidelity:
    """What one estimator's credit is worth in one setting. All are without unit.

    Attributes:
        cosine: Between the gradient of one batch and the exact gradient, mean over batches.
        low, high: 95 % bootstrap interval of ``cosine`` over batches.
        limit: Cosine of the *mean* gradient of all batches: what is left of 1 is bias of direction (and noise of a
            finite sample).
        snr: |E ĝ|² / tr Var ĝ per batch.
        scale: Least-squares factor that brings the estimates closest to the truth.
        mse: Mean square error of the scaled estimates over that of estimating nothing: 1 is worthless, 0 perfect.
        bias2, variance: Its two parts, from the pairs (state, action) visited at least twice, without the bias that
            few visits bring; so they add up to ``mse`` only nearly. ``bias2`` is of the *turn's* credit: a baseline
            that does not know the state makes it large and yet leaves the gradient (``limit``) right.
        pearson, spearman: Over all turns.
        within: Pearson inside an episode, mean over those in which both vary: does it know *which turn* mattered?
        signs: Share of the turns that matter whose sign is right.
        auroc: How well |Â| tells turns that matter from inert ones; None where all matter.
        leakage: Share of Σ|Â| that falls on inert turns.
        steps: Environment steps it needed per step of the episodes themselves (1, or more where it forks).
    """

    cosine: float
    low: float
    high: float
    limit: float
    snr: float
    scale: float
    bias2: float
    variance: float
    mse: float
    pearson: float
    spearman: float
    within: float | None
    signs: float
    auroc: float | None
    leakage: float
    steps: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain figures for JSON."""
        return {name: None if value is None else round(value, 5) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Drawn:
    """Episodes of one setting with their truth; arrays of shape (N, horizon).

    Attributes:
        sample: The episodes, whole groups one after the other.
        live: True on turns that took place.
        truth: A*(s, a), 0 elsewhere.
        credit: The same for estimators.
        exact: Values and gradient of the policy.
        pi: The policy, shape (observations, actions).
        memory: What the learner that has this policy remembers; for estimators that do.
        size: Episodes per batch; 0: all are one.
    """

    mdp: Mdp
    sample: Sample
    live: NDArray[np.bool_]
    truth: Floats
    credit: CreditBatch
    exact: Exact
    pi: Floats
    memory: TransitionMemory | None = None
    size: int = 0


def draw(mdp: Mdp, pi: Floats, *, groups: int, group: int, rng: np.random.Generator) -> Drawn:
    """Draw groups of episodes from a policy; a group shares its start, as attempts at one task do."""
    starts = mdp.layers[0][rng.choice(len(mdp.start_p), size=groups, p=mdp.start_p)]
    sample = mdp.sample(pi, groups * group, rng, np.repeat(starts, group))
    exact = mdp.solve(pi)
    live = np.arange(mdp.world.horizon)[None] < sample.length[:, None]
    truth = np.where(live, exact.advantage[sample.states, sample.actions], 0.0)
    keys: list[list[Hashable]] = [
        mdp.keys[states[:length]].tolist() for states, length in zip(sample.states, sample.length, strict=True)
    ]
    credit = CreditBatch(
        rewards=[rewards[:length] for rewards, length in zip(sample.rewards, sample.length, strict=True)],
        groups=[str(i // group) for i in range(groups * group)],
        states=keys,
    )
    return Drawn(mdp, sample, live, truth, credit, exact, pi)


Method = Callable[[Drawn, np.random.Generator], Floats]


def _registered(name: str) -> Method:
    def judge(drawn: Drawn, rng: np.random.Generator) -> Floats:
        credit = with_forks(drawn, DEFAULT_FORKS[name], rng) if name in FORKING else drawn.credit
        out = np.zeros_like(drawn.truth)
        if name in REMEMBERING:
            _remembering(name, drawn, out)
            return out
        # Continuations, where there are any, stand behind the episodes.
        for row, values in zip(out, ESTIMATORS[name](credit), strict=False):
            row[: len(values)] = values
        return out

    return judge


def _remembering(name: str, drawn: Drawn, out: Floats) -> None:
    """Judge every batch as the next one of the same learner's life."""
    size = drawn.size or len(out)
    for first in range(0, len(out), size):
        part = slice(first, first + size)
        whole = drawn.credit
        memory = drawn.memory.copy() if drawn.memory is not None else None
        batch = CreditBatch(whole.rewards[part], whole.groups[part], whole.states[part], memory=memory)
        for row, values in zip(out[part], ESTIMATORS[name](batch), strict=True):
            row[: len(values)] = values


def lived(
    mdp: Mdp, path: Sequence[tuple[float, Floats]], share: float, *, groups: int, group: int, rng: np.random.Generator
) -> TransitionMemory:
    """Return what a learner remembers that has come this far in even steps, :data:`LIFE` of them for the whole way.

    It played a batch, of the same size as those to be judged, with every policy it had before.
    """
    memory = TransitionMemory()
    for step in range(round(share * LIFE)):
        drawn = draw(mdp, softmax(on_the_way(path, step / LIFE)), groups=groups, group=group, rng=rng)
        ESTIMATORS["memory_td"](replace(drawn.credit, memory=memory))
    return memory


def with_forks(drawn: Drawn, count: int, rng: np.random.Generator, limit: int | None = None) -> CreditBatch:
    """Return the batch with ``count`` independent continuations forked from turns, evenly spaced where not all.

    Args:
        drawn: The episodes.
        count: Continuations per turn.
        rng: Their luck.
        limit: Turns per episode at most; None for all.
    """
    chosen = drawn.live.copy()
    if limit is not None:
        for row, turns_of in zip(chosen, drawn.sample.length, strict=True):
            row[:] = False
            row[[int(turns_of) * i // limit for i in range(limit)]] = True
    episodes, turns = np.nonzero(chosen)
    visited = np.repeat(drawn.sample.states[chosen], count)
    again = drawn.mdp.sample(drawn.pi, len(visited), rng, visited)
    keys = drawn.mdp.keys[again.states]
    parents = [(int(i), int(t)) for i, t in zip(np.repeat(episodes, count), np.repeat(turns, count), strict=True)]
    credit = drawn.credit
    return CreditBatch(
        rewards=[*credit.rewards, *(r[:n] for r, n in zip(again.rewards, again.length, strict=True))],
        groups=[*credit.groups, *(credit.groups[i] for i, _ in parents)],
        states=[*credit.states, *(k[:n].tolist() for k, n in zip(keys, again.length, strict=True))],
        parents=[*([None] * len(credit.rewards)), *parents],
    )


def _shuffled(drawn: Drawn, rng: np.random.Generator) -> Floats:
    out = _registered("turn_rtg")(drawn, rng)
    values = out[drawn.live]
    rng.shuffle(values)
    out[drawn.live] = values
    return out


def _position(drawn: Drawn, rng: np.random.Generator) -> Floats:
    """Only *when* a turn was, not what was done: the mean credit of all turns with that number."""
    out = _registered("turn_rtg")(drawn, rng)
    counts = np.maximum(drawn.live.sum(axis=0), 1)
    mean: Floats = np.where(drawn.live, out.sum(axis=0) / counts, 0.0)
    return mean


#: Everything that is judged: estimators that need no model, and controls in brackets that show what the figures mean.
METHODS: dict[str, Method] = {
    **{name: _registered(name) for name in ESTIMATORS if name not in NEED_MODEL},
    "(truth)": lambda drawn, rng: drawn.truth,
    "(shuffled)": _shuffled,
    "(position)": _position,
}


def gradient_of(drawn: Drawn, estimate: Floats, rows: slice = slice(None)) -> Floats:
    """Return the policy gradient that advantages give, mean over episodes, shape (observations, actions)."""
    live = drawn.live[rows]
    states, actions = drawn.sample.states[rows][live], drawn.sample.actions[rows][live]
    weight = estimate[rows][live] / max(1, len(live))
    seen = drawn.mdp.observation[states]
    out = np.zeros_like(drawn.pi)
    np.add.at(out, (seen, actions), weight)
    total = np.bincount(seen, weights=weight, minlength=len(out))
    out -= drawn.pi * total[:, None]
    return out


@functools.lru_cache(maxsize=16)
def _place(world: str, horizon: int) -> tuple[Mdp, list[tuple[float, Floats]]]:
    mdp = Mdp(make_world(world, horizon))
    return mdp, ascent(mdp)


def measure(
    setting: Setting, *, batches: int = 32, tasks: int = 4, seed: int = 0, methods: Collection[str] = ()
) -> dict[str, Fidelity]:
    """Measure methods in one setting.

    Args:
        setting: The setting.
        batches: Batches, each of ``tasks`` groups.
        tasks: Groups per batch: the gradient of so many is compared with the truth.
        seed: Picks every draw.
        methods: Names out of :data:`METHODS`; by default all.
    """
    mdp, path = _place(setting.world, setting.horizon)
    pi = softmax(on_the_way(path, setting.share))
    drawn = draw(mdp, pi, groups=batches * tasks, group=setting.group, rng=np.random.default_rng([seed, 1]))
    size = tasks * setting.group
    if not methods or REMEMBERING & set(methods):
        rng = np.random.default_rng([seed, 4])
        memory = lived(mdp, path, setting.share, groups=tasks, group=setting.group, rng=rng)
        drawn = replace(drawn, memory=memory, size=size)
    cells = drawn.sample.states[drawn.live] * mdp.n_actions + drawn.sample.actions[drawn.live]
    ahead = float(_remaining(drawn)[drawn.live].sum() / drawn.live.sum())
    found = {}
    for number, (name, method) in enumerate(METHODS.items()):
        if methods and name not in methods:
            continue
        estimate = method(drawn, np.random.default_rng([seed, 2, number]))
        gradients = np.array(
            [gradient_of(drawn, estimate, slice(i * size, (i + 1) * size)).ravel() for i in range(batches)]
        )
        found[name] = _compare(
            estimate,
            drawn,
            cells,
            gradients,
            np.random.default_rng([seed, 3]),
            1.0 + ahead * DEFAULT_FORKS.get(name, 0),
        )
    return found


def _remaining(drawn: Drawn) -> Floats:
    turns = np.arange(drawn.truth.shape[1])[None]
    out: Floats = np.maximum(drawn.sample.length[:, None] - turns, 0).astype(float)
    return out


def _compare(
    estimate: Floats, drawn: Drawn, cells: Ints, gradients: Floats, rng: np.random.Generator, steps: float
) -> Fidelity:
    exact = drawn.exact.gradient.ravel()
    cosines = np.array([_cosine(gradient, exact) for gradient in gradients])
    resampled = cosines[rng.integers(len(cosines), size=(1000, len(cosines)))].mean(axis=1)
    mean = gradients.mean(axis=0)
    noise = float(((gradients - mean) ** 2).sum(axis=1).mean())
    guess, truth = estimate[drawn.live], drawn.truth[drawn.live]
    square, power = float(guess @ guess), float(truth @ truth)
    scale = float(guess @ truth) / square if square > 0 else 0.0
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    means = np.bincount(cell, weights=scale * guess) / counts
    spread = np.bincount(cell, weights=(scale * guess - means[cell]) ** 2) / np.maximum(counts - 1, 1)
    often = counts > 1
    known = max(float((truth[often[cell]] ** 2).sum()), 1e-300)
    variance = float((counts * spread)[often].sum()) / known
    # The square of a mean of n is too large by a n-th of the variance.
    off = np.bincount(cell, weights=(means[cell] - truth) ** 2) - spread
    bias2 = float(off[often].sum()) / known
    matters = np.abs(truth) > INERT * float(np.abs(truth).max())
    total = float(np.abs(guess).sum())
    return Fidelity(
        cosine=float(cosines.mean()),
        low=float(np.quantile(resampled, 0.025)),
        high=float(np.quantile(resampled, 0.975)),
        limit=_cosine(mean, exact),
        snr=float(mean @ mean) / max(noise, 1e-300),
        scale=scale,
        bias2=bias2,
        variance=variance,
        mse=float(((scale * guess - truth) ** 2).sum()) / max(power, 1e-300),
        pearson=_pearson(guess, truth),
        spearman=_pearson(_ranks(guess), _ranks(truth)),
        within=_within(estimate, drawn),
        signs=float((np.sign(guess) == np.sign(truth))[matters].mean()),
        auroc=_auroc(np.abs(guess), matters),
        leakage=float(np.abs(guess)[~matters].sum()) / total if total > 0 else 0.0,
        steps=steps,
    )


def _cosine(a: Floats, b: Floats) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def _pearson(a: Floats, b: Floats) -> float:
    return _cosine(a - a.mean(), b - b.mean())


def _ranks(values: Floats) -> Floats:
    """Return ranks, ties at their mean."""
    _, inverse, counts = np.unique(np.round(values, 12), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    out: Floats = (last - (counts - 1) / 2.0)[inverse]
    return out


def _within(estimate: Floats, drawn: Drawn) -> float | None:
    found = []
    for guess, truth, live in zip(estimate, drawn.truth, drawn.live, strict=True):
        if live.sum() > 1 and np.ptp(truth[live]) > 1e-9:
            found.append(_pearson(guess[live], truth[live]))
    return float(np.mean(found)) if found else None


def _auroc(score: Floats, positive: NDArray[np.bool_]) -> float | None:
    """Area under the curve by the rank sum (Mann and Whitney 1947)."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return None
    return float((_ranks(score)[positive].sum() - n * (n + 1) / 2) / (n * m))
