"""Credit from values of states: what the group's visits, and continuations forked from them, say of a state.

Registered in :mod:`thinkact.policies.advantages`, whose symbols are used here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from thinkact.policies.advantages_batch import Advantages, Array, CreditBatch, episode_term, returns_to_go
from thinkact.policies.advantages_memory import TransitionMemory, Values


def state_rtg(batch: CreditBatch, *, gamma: float = 1.0, kappa: float = 1.0, nu: float = 0.25) -> Advantages:
    """Return-to-go against the group's visits to the same state, and little weight on what has no company.

    With n visits of the group to the state s_t::

        A_t = (n·(Ĝ_t − mean_{u: s_u = s_t} Ĝ_u) + κ·ν·(R_i − R̄)) / (n + κ)    and  ν·(R_i − R̄) where nobody else came

    GiGPO's step term without its episode term, which is the noise of everything that happened before and after: on
    turns that changed nothing all visitors fare alike and the credit is 0. Ours; ``thinkact credit-bench`` is why.
    Biased as :func:`gigpo` is, and where states never recur it is RLOO at ν of the size.
    """
    out = episode_term(batch, lambda r: nu * (r - r.mean()))
    to_go = [returns_to_go(rewards, gamma) for rewards in batch.rewards]
    for members in batch.members().values():
        visits: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
        for i in members:
            for t, state in enumerate(batch.states[i]):
                visits[state].append((i, t))
        for places in visits.values():
            if len({i for i, _ in places}) < 2:
                continue
            n, mean = len(places), float(np.mean([to_go[i][t] for i, t in places]))
            for i, t in places:
                out[i][t] = (n * (to_go[i][t] - mean) + kappa * out[i][t]) / (n + kappa)
    return out


def state_td(batch: CreditBatch, *, kappa: float = 1.0, nu: float = 0.25) -> Advantages:
    """One-step credit under the values of the Markov chain that the group's own transitions make up.

    With every pair of turn and state a node, V is solved backwards over the group's transitions (the certainty
    equivalent, which batch TD(0) converges to: Sutton 1988, section 4.1)::

        V_t(s) = mean over the group's visits (t, s) of r + V_{t+1}(s')
        A_t = (n·(r_t + V_{t+1}(s_{t+1}) − V_t(s_t)) + κ·ν·(R_i − R̄)) / (n + κ)    and  ν·(R_i − R̄) where n = 1

    where n is the number of visits. Episodes that meet share all that happens to any of them afterwards, which a mean
    of returns does not use. The turn is part of the node because what can still be earned depends on the turns left.
    Biased as :func:`~thinkact.policies.advantages.gigpo` is (V holds the judged step), and where the policy sees more
    than the state says. No discount.
    """
    return _chain_credit(batch, kappa, nu)


def vine_td(batch: CreditBatch, *, kappa: float = 0.0, nu: float = 0.25) -> Advantages:
    """:func:`state_td` with the transitions of forked continuations among the group's: one fork a turn is enough.

    Continuations get no credit themselves. Where every turn is forked and no state recurs, V(s_t) is the mean of the
    judged step and K others, so that the expectation is K/(K + 1) of that of :func:`vine`; where continuations meet,
    each says something about the states of all.
    """
    return _chain_credit(batch, kappa, nu)


def memory_td(batch: CreditBatch, *, decay: float = 0.9, kappa: float = 1.0, nu: float = 0.25) -> Advantages:
    """:func:`state_td` that does not throw its values away: batches before this one count, each ``decay`` times less.

    The chain is made up of the transitions of all groups and of those that ``batch.memory`` holds, under the keys of
    the states: the same task again, or states that tasks have in common. With n visits, those of earlier batches at
    their weight::

        A_t = (n·(r_t + V_{t+1}(s_{t+1}) − V_t(s_t)) + κ·ν·(R_i − R̄)) / (n − 1 + κ)    and  ν·(R_i − R̄) where n = 1

    The factor n/(n − 1) makes up for the judged step's own share in V_t(s_t): it is the difference to the mean of the
    *other* visits. What is left of bias: V_{t+1} holds what an older policy did, forgotten at the rate of ``decay``,
    and the judged episode's own luck after t + 1, as one visit of n. With a policy that stands still both vanish as
    the memory fills. Where no state recurs and nothing is remembered, it is RLOO at ν·(G − 1)/G of the size.

    The batch is added to ``batch.memory``, which then fades; without one nothing is remembered. No discount.
    """
    memory = batch.memory if batch.memory is not None else TransitionMemory()
    _remember(memory, batch, range(len(batch.rewards)))
    chain = memory.solve()
    out: Advantages = [np.zeros(len(rewards)) for rewards in batch.rewards]
    for members in batch.members().values():
        for i, n, step, episode in _chain_steps(batch, members, chain):
            out[i] = np.where(n > 1, (n * step + kappa * nu * episode) / np.maximum(n - 1 + kappa, 1e-9), nu * episode)
    memory.fade(decay)
    return out


def _chain_credit(batch: CreditBatch, kappa: float, nu: float) -> Advantages:
    out: Advantages = [np.zeros(len(rewards)) for rewards in batch.rewards]
    for members in batch.members().values():
        memory = TransitionMemory()
        _remember(memory, batch, members)
        for i, n, step, episode in _chain_steps(batch, members, memory.solve()):
            out[i] = np.where(n > 1, (n * step + kappa * nu * episode) / (n + kappa), nu * episode)
    return out


def _remember(memory: TransitionMemory, batch: CreditBatch, members: Iterable[int]) -> None:
    for i in members:
        place = batch.parent(i)
        memory.add(batch.states[i], batch.rewards[i], 0 if place is None else place[1])


def _chain_steps(
    batch: CreditBatch, members: Sequence[int], chain: Values
) -> Iterator[tuple[int, Array, Array, float]]:
    """Yield for the group's attempts: index, visits (T,), r + V(s') − V(s) (T,), and R − R̄."""
    whole = [i for i in members if batch.parent(i) is None]
    totals = {i: float(batch.rewards[i].sum()) for i in whole}
    mean = float(np.mean(list(totals.values())))
    for i in whole:
        nodes = list(enumerate(batch.states[i]))
        value = np.array([*(chain.value[node] for node in nodes), 0.0])
        n = np.array([chain.visits[node] for node in nodes])
        yield i, n, batch.rewards[i] + value[1:] - value[:-1], totals[i] - mean


def vine(batch: CreditBatch) -> Advantages:
    """VinePPO (arXiv 2410.01679): A_t = r_t + V̂(s_{t+1}) − V̂(s_t), V̂ the mean return of K forked continuations.

    Where only some turns are forked, the turns from one to the next share r + … + r + V̂(s_b) − V̂(s_a), a and b the
    turns forked (segments: SPO, arXiv 2505.23564); at the start the other attempts are continuations too. V̂(s_a) never
    depends on what was done at a or later, so the gradient is unbiased, also when the policy decides when to stop,
    as long as *where* to fork does not depend on it either. No discount. Continuations get no credit themselves.
    """
    out: Advantages = [np.zeros(len(rewards)) for rewards in batch.rewards]
    forked = batch.forks()
    for members in batch.members().values():
        whole = [i for i in members if batch.parent(i) is None]
        totals = {i: float(batch.rewards[i].sum()) for i in whole}
        start = [float(batch.rewards[f].sum()) for i in whole for f in forked.get((i, 0), ())]
        for i in whole:
            from_start = start + [totals[j] for j in whole if j != i]
            if not from_start:
                continue
            value = {0: float(np.mean(from_start))}
            for t in range(1, len(batch.rewards[i])):
                if (i, t) in forked:
                    value[t] = float(np.mean([batch.rewards[f].sum() for f in forked[i, t]]))
            _fill(out[i], batch.rewards[i], value)
    return out


def tree(batch: CreditBatch) -> Advantages:
    """Tree-structured credit (Tree-GRPO, arXiv 2509.21240; AT²PO, arXiv 2601.04767): A(edge) = V̂(child) − V̂(parent).

    Attempts and their continuations are a tree whose nodes are the start and the forked turns; V̂(node) is the mean of
    r + … of the leaves below it, every leaf counting once, and V̂ of a leaf is its own return. The turns of an edge
    share its credit. Continuations are trained on as well; the trunk's tokens are counted once, in the attempt itself.
    Biased: V̂(parent) holds the leaves of the judged edge, and attempts with many leaves weigh more. No discount.
    """
    out: Advantages = [np.zeros(len(rewards)) for rewards in batch.rewards]
    forked = batch.forks()
    for members in batch.members().values():
        whole = [i for i in members if batch.parent(i) is None]
        leaves: dict[int, list[float]] = {}  # returns from the start, of all leaves of an attempt
        value: dict[int, dict[int, float]] = {}
        for i in whole:
            rewards = batch.rewards[i]
            total: float = float(rewards.sum())
            below, count = total, 1
            value[i], leaves[i] = {}, [total]
            for t in range(len(rewards) - 1, -1, -1):
                for f in forked.get((i, t), ()):
                    ended = float(rewards[:t].sum() + batch.rewards[f].sum())
                    leaves[i].append(ended)
                    below, count = below + ended, count + 1
                if t and (i, t) in forked:
                    value[i][t] = below / count - float(rewards[:t].sum())
        root = float(np.mean([leaf for i in whole for leaf in leaves[i]]))
        for i in whole:
            value[i][0] = root
            _fill(out[i], batch.rewards[i], value[i])
            for t in value[i]:
                for f in forked.get((i, t), ()):
                    out[f][:] = batch.rewards[f].sum() - value[i][t]
    return out


def _fill(into: Array, rewards: Array, value: dict[int, float]) -> None:
    """Write r + … + r + V(b) − V(a) to the turns from each valued turn a to the next one b; V of the end is 0."""
    bounds = [*sorted(value), len(rewards)]
    for a, b in zip(bounds, bounds[1:], strict=False):
        into[a:b] = rewards[a:b].sum() + value.get(b, 0.0) - value[a]
