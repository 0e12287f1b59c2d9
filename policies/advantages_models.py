"""Credit from what a model says of states: a critic's values, or its belief in the gold answer.

Registered in :mod:`thinkact.policies.advantages`, whose symbols are used here.
"""

from __future__ import annotations

import numpy as np

from thinkact.policies.advantages_batch import Advantages, CreditBatch, returns_to_go


def turn_gae(batch: CreditBatch, *, gamma: float = 1.0, lam: float = 0.95) -> Advantages:
    """GAE over turns with a critic (Turn-PPO, arXiv 2512.17008; GAE: 1506.02438).

    δ_t = r_t + γV(s_{t+1}) − V(s_t), A_t = Σ_k (γλ)^k δ_{t+k}; V after the last turn is 0, also after truncation: our
    limits of turns are part of a task, whose score is final there. Unbiased for γ = λ = 1, whatever V, and for exact V,
    whatever λ.

    Raises:
        ValueError: The batch has no values.
    """
    if not batch.values and batch.rewards:
        raise ValueError("turn_gae needs the critic's values.")
    out: Advantages = []
    for rewards, value in zip(batch.rewards, batch.values, strict=True):
        out.append(returns_to_go(rewards + gamma * np.append(value[1:], 0.0)[: len(value)] - value, gamma * lam))
    return out


def bilevel_gae(batch: CreditBatch, *, gamma: float = 1.0, lam: float = 0.95, token_lam: float = 1.0) -> Advantages:
    """Bi-level GAE (VAGEN, arXiv 2510.16907): :func:`turn_gae`, then GAE over the tokens of each turn.

    The turn's return A_t + V(s_t) rewards its last token; see :func:`thinkact.policies.critic.token_gae`, to which the
    trainer hands ``token_lam``. What is returned here is the turns' part.
    """
    return turn_gae(batch, gamma=gamma, lam=lam)


def igpo(batch: CreditBatch, *, gamma: float = 1.0) -> Advantages:
    """Information gain (IGPO, arXiv 2510.14967): r_t = p(gold | s_{t+1}) − p(gold | s_t), the return on the last turn.

    All r of the group are normalised together, (r − mean)/(std + 1e-6), and A_t = Σ_k γ^k r_{t+k}. Biased: the mean is
    taken once per turn, so that it pays or fines going on, and belief in the answer is not success.

    Raises:
        ValueError: The batch has no probabilities of the gold answer.
    """
    if not batch.values and batch.rewards:
        raise ValueError("igpo needs the probabilities of the gold answer.")
    out: Advantages = [np.zeros(len(rewards)) for rewards in batch.rewards]
    for members in batch.members().values():
        paid = {i: np.append(np.diff(batch.values[i]), batch.rewards[i].sum()) for i in members}
        every = np.concatenate(list(paid.values()))
        for i in members:
            out[i] = returns_to_go((paid[i] - every.mean()) / (every.std() + 1e-6), gamma)
    return out
