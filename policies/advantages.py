"""Credit: one advantage per turn, behind one registry and one signature.

``ESTIMATORS[name](batch, **options)`` returns one array per episode, one value per turn; the learner spreads
it over that turn's sampled tokens. Groups are episodes of the same task.

The baselines of ``reinforce``, ``rloo``, ``turn_rtg`` and ``grouped_gae`` with λ = 1 are built from *other*
episodes only (leave-one-out). They never depend on the action they judge, so with γ = 1 the policy gradient is
unbiased, also when the policy decides when to stop. So is it with ``vine`` where every turn is forked, and with
``turn_gae`` where γ = λ = 1. The others are biased; their docstrings say how.

Estimators that compare states more closely, or need forks, are in :mod:`thinkact.policies.advantages_states`, those
that ask a model in :mod:`thinkact.policies.advantages_models`.

Symbols: episode i of a group of G, turn t of T_i, reward r_t, return R_i = Σ r_t, return-to-go
Ĝ_t = Σ_{u≥t} γ^{u−t} r_u.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from thinkact.policies.advantages_batch import Advantages, Array, CreditBatch, episode_term, returns_to_go
from thinkact.policies.advantages_models import bilevel_gae, igpo, turn_gae
from thinkact.policies.advantages_states import memory_td, state_rtg, state_td, tree, vine, vine_td

__all__ = [
    "CRITIC",
    "DEFAULT_FORKS",
    "ESTIMATORS",
    "FORKING",
    "NEED_MODEL",
    "REMEMBERING",
    "Advantages",
    "CreditBatch",
    "check_estimator",
    "returns_to_go",
]


def reinforce(batch: CreditBatch, *, gamma: float = 1.0) -> Advantages:
    """Return-to-go minus the mean return-to-go of the batch's other episodes (Williams 1992).

    A_t = Ĝ_t − mean over all turns of all other episodes.
    """
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    sums, counts = np.array([g.sum() for g in to_go]), np.array([len(g) for g in to_go])
    others = np.maximum(counts.sum() - counts, 1)
    baselines = (sums.sum() - sums) / others
    return [g - b for g, b in zip(to_go, baselines, strict=True)]


def rloo(batch: CreditBatch) -> Advantages:
    """Leave-one-out REINFORCE (Kool et al. 2019; arXiv 2402.14740): A = G/(G−1)·(R_i − R̄), for every turn.

    A group of one has advantage 0.
    """
    return episode_term(batch, lambda r: (r - r.mean()) * len(r) / max(1, len(r) - 1))


def grpo(batch: CreditBatch) -> Advantages:
    """Group-relative advantage (arXiv 2402.03300): A = (R_i − R̄)/(std + 1e-6), for every turn.

    R̄ and std are over *episodes*; a mean over turns would over-weight long episodes. Biased: R̄ and std hold
    the judged episode, and the division weighs tasks that are nearly always or never solved the most.
    """
    return episode_term(batch, lambda r: (r - r.mean()) / (r.std() + 1e-6))


def dr_grpo(batch: CreditBatch) -> Advantages:
    """GRPO without the division by the standard deviation (arXiv 2503.20783): A = R_i − R̄.

    R̄ holds the judged episode: the expectation is (G−1)/G of the policy gradient.
    """
    return episode_term(batch, lambda r: r - r.mean())


def turn_rtg(batch: CreditBatch, *, gamma: float = 1.0, kappa: float = 2.0, normalise: bool = False) -> Advantages:
    """Turn-level return-to-go against comparable moments of the same task.

    A_t = Ĝ_t − b_t. The baseline is what the *other* attempts still earned from the same progress
    Φ_t = Σ_{u<t} r_u, shrunk with weight κ towards what they earned in all minus Φ_t (the potential makes
    that the natural prior: an attempt that stands at Φ_t has Φ_t less to win)::

        b_t = (n·mean_{j≠i, u: Φ_u = Φ_t} Ĝ_u + κ·(R̄_{−i} − Φ_t)) / (n + κ)

    With n = 0 everywhere and γ = 1 this is RLOO. A group of one has advantage 0. A per-turn-index mean would
    be simpler and biased when the policy decides when to stop; progress is a function of the state.

    ``normalise`` divides a task's advantages by the spread of its returns, std(R) + 0.1, so that a hard task,
    where attempts differ by partial credit only, is heard beside an easy one. Biased like GRPO's division; one
    number for all turns of a task, so the order of turns within it stays.
    """
    progress = [np.round(np.cumsum(rewards) - rewards, 6) for rewards in batch.rewards]
    keys: list[list[Hashable]] = [[float(phi) for phi in row] for row in progress]
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    totals = [float(rewards.sum()) for rewards in batch.rewards]

    def prior(i: int, t: int, others: list[int]) -> float:
        return float(np.mean([totals[j] for j in others])) - float(progress[i][t])

    baselines = _loo_values(batch, keys, to_go, kappa, prior)
    out = [g - b if b is not None else np.zeros_like(g) for g, b in zip(to_go, baselines, strict=True)]
    if normalise:
        for members in batch.members().values():
            spread = float(np.std([totals[i] for i in members])) + 0.1
            for i in members:
                out[i] /= spread
    return out


def gigpo(batch: CreditBatch, *, omega: float = 1.0, gamma: float = 0.95, normalise: bool = False) -> Advantages:
    """Group-in-group policy optimisation (arXiv 2505.10978): A = A_episode + ω·A_step.

    A_episode = R_i − R̄; A_step = Ĝ_t − mean over the group's steps from the same state (singletons 0).
    ``normalise`` divides both by their standard deviation as in GRPO; off is the better default.

    Biased, as published: the means hold the judged step, so a step seen with m others counts m/(m+1), and
    where an episode returns to a state its own later steps are in the baseline; γ < 1 prefers early rewards.
    """

    def centre(values: Array) -> Array:
        centred: Array = (values - values.mean()) / ((values.std() + 1e-6) if normalise else 1.0)
        return centred

    out = episode_term(batch, centre)
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    for members in batch.members().values():
        visits: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
        for i in members:
            for t, state in enumerate(batch.states[i]):
                visits[state].append((i, t))
        for places in visits.values():
            if len(places) < 2:
                continue
            step = omega * centre(np.array([to_go[i][t] for i, t in places]))
            for (i, t), value in zip(places, step, strict=True):
                out[i][t] += value
    return out


def reinforce_pp(batch: CreditBatch, *, gamma: float = 1.0) -> Advantages:
    """REINFORCE++ (arXiv 2501.03262): return-to-go, whitened over all turns of the batch.

    A_t = (Ĝ_t − mean)/(std + 1e-6). Mean and std hold the judged turn; the direction is kept as the batch grows.
    """
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    every = np.concatenate(to_go) if to_go else np.zeros(0)
    if not len(every):
        return to_go
    mean, spread = float(every.mean()), float(every.std()) + 1e-6
    return [(g - mean) / spread for g in to_go]


def hgpo(
    batch: CreditBatch, *, omega: float = 1.0, gamma: float = 0.95, history: int = 2, alpha: float = 1.0
) -> Advantages:
    """Hierarchy-of-groups policy optimisation (arXiv 2602.22817): GiGPO over the last 1 to ``history + 1`` states.

    A = (R_i − R̄) + ω·Σ_k w_k·(Ĝ_t − mean over the group's steps whose last k+1 states are the same), w_k ∝ (k+1)^α
    over those k at which the step is not alone: what shares more of the past is more alike and counts more. Biased as
    :func:`gigpo` is.
    """
    out = episode_term(batch, lambda r: r - r.mean())
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    for members in batch.members().values():
        total = {i: np.zeros(len(to_go[i])) for i in members}
        weight = {i: np.zeros(len(to_go[i])) for i in members}
        for k in range(history + 1):
            visits: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
            for i in members:
                for t in range(k, len(batch.states[i])):
                    visits[tuple(batch.states[i][t - k : t + 1])].append((i, t))
            for places in visits.values():
                if len(places) < 2:
                    continue
                mean = float(np.mean([to_go[i][t] for i, t in places]))
                for i, t in places:
                    total[i][t] += (k + 1) ** alpha * (to_go[i][t] - mean)
                    weight[i][t] += (k + 1) ** alpha
        for i in members:
            out[i] += omega * total[i] / np.maximum(weight[i], 1e-12)
    return out


def mt_grpo(batch: CreditBatch, *, lam: float = 1.0) -> Advantages:
    """MT-GRPO (arXiv 2505.11821): A = A_outcome + λ·A_turn, each normalised within the group; for comparison only.

    A_outcome = (R_i − R̄)/(std + 1e-6); A_turn normalises r_t over the group's t-th turns, and the last turn has the
    outcome alone. Biased, and not by a little, where the policy decides when to stop: the turns compared at index t
    are those of the episodes still going, so staying in that company is paid or fined.
    """
    out = grpo(batch)
    for members in batch.members().values():
        for t in range(max(len(batch.rewards[i]) for i in members)):
            here = [i for i in members if t < len(batch.rewards[i]) - 1]
            if len(here) < 2:
                continue
            paid = np.array([batch.rewards[i][t] for i in here])
            for i, value in zip(here, (paid - paid.mean()) / (paid.std() + 1e-6), strict=True):
                out[i][t] += lam * value
    return out


def grouped_gae(batch: CreditBatch, *, gamma: float = 1.0, lam: float = 0.9, kappa: float = 2.0) -> Advantages:
    """GAE (arXiv 1506.02438) over a value table instead of a critic (arXiv 2605.13217, 2606.05885).

    V(s) is the mean return-to-go of the other attempts' visits to s, shrunk with weight κ towards what the
    others earned in all minus the progress made; δ_t = r_t + γV(s_{t+1}) − V(s_t), A_t = Σ_k (γλ)^k δ_{t+k},
    V after the last turn 0. A group of one has advantage 0. λ < 1 trades bias (V is an estimate) for variance.
    """
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    totals = [float(rewards.sum()) for rewards in batch.rewards]

    def prior(i: int, t: int, others: list[int]) -> float:
        return float(np.mean([totals[j] for j in others]) - batch.rewards[i][:t].sum())

    values = _loo_values(batch, batch.states, to_go, kappa, prior)
    out: Advantages = []
    for rewards, value in zip(batch.rewards, values, strict=True):
        if value is None:
            out.append(np.zeros_like(rewards))
            continue
        deltas = rewards + gamma * np.append(value[1:], 0.0) - value
        out.append(returns_to_go(deltas, gamma * lam))
    return out


def _loo_values(
    batch: CreditBatch,
    keys: Sequence[Sequence[Hashable]],
    to_go: Sequence[Array],
    kappa: float,
    prior: Callable[[int, int, list[int]], float],
) -> list[Array | None]:
    """Value of each turn's state from the group's other episodes; None for a group of one."""
    out: list[Array | None] = [None] * len(to_go)
    for members in batch.members().values():
        if len(members) < 2:
            continue
        total: dict[Hashable, float] = defaultdict(float)
        count: dict[Hashable, int] = defaultdict(int)
        own_total: dict[tuple[int, Hashable], float] = defaultdict(float)
        own_count: dict[tuple[int, Hashable], int] = defaultdict(int)
        for i in members:
            for key, g in zip(keys[i], to_go[i], strict=True):
                total[key] += g
                count[key] += 1
                own_total[i, key] += g
                own_count[i, key] += 1
        for i in members:
            others = [j for j in members if j != i]
            value = np.zeros(len(to_go[i]))
            for t, key in enumerate(keys[i]):
                n = count[key] - own_count[i, key]
                observed = total[key] - own_total[i, key]
                if n + kappa == 0:
                    value[t] = prior(i, t, others)
                else:
                    value[t] = (observed + kappa * prior(i, t, others)) / (n + kappa)
            out[i] = value
    return out


Estimator = Callable[..., Advantages]
#: Every estimator by name.
ESTIMATORS: dict[str, Estimator] = {
    "reinforce": reinforce,
    "rloo": rloo,
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "turn_rtg": turn_rtg,
    "reinforce_pp": reinforce_pp,
    "gigpo": gigpo,
    "hgpo": hgpo,
    "state_rtg": state_rtg,
    "state_td": state_td,
    "memory_td": memory_td,
    "mt_grpo": mt_grpo,
    "grouped_gae": grouped_gae,
    "vine": vine,
    "vine_td": vine_td,
    "tree": tree,
    "turn_gae": turn_gae,
    "bilevel_gae": bilevel_gae,
    "igpo": igpo,
}
#: Those that need continuations forked from turns of the episodes.
FORKING = frozenset({"vine", "vine_td", "tree"})
#: Those that need a critic, and with igpo those that need a model at all.
CRITIC = frozenset({"turn_gae", "bilevel_gae"})
NEED_MODEL = CRITIC | {"igpo"}
#: Those that carry values from batch to batch in a :class:`~thinkact.policies.advantages_memory.TransitionMemory`.
REMEMBERING = frozenset({"memory_td"})
#: Continuations per forked turn, where none are asked for; VinePPO's paper has 9 and shows 1 to gain as well.
DEFAULT_FORKS = {"vine": 4, "vine_td": 1, "tree": 2}


def check_estimator(name: str, options: dict[str, Any]) -> None:
    """Refuse an unknown estimator or an option it does not have.

    Raises:
        ValueError: Naming what exists.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"Unknown estimator {name!r}; there are {', '.join(ESTIMATORS)}.")
    known = [p for p in inspect.signature(ESTIMATORS[name]).parameters if p != "batch"]
    for option in options:
        if option not in known:
            raise ValueError(f"Estimator {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}.")
