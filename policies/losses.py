"""The losses' arithmetic on one pass of sampled tokens; what they mean is in :mod:`thinkact.policies.losses_spec`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thinkact.policies.losses_spec import CLIP_COV_BOUNDS, LossOptions

#: Share of the update's tokens and the fine, where none are given.
_COV_SHARE, _COV_COEF = 2e-4, 1.0


@dataclass(frozen=True)
class Tokens:
    """What a loss knows of the sampled tokens of one pass; tensors of shape (N,).

    Attributes:
        advantage: A.
        old: Log-probability that the ratio is taken against.
        sequence: Number of the token's episode in this pass.
        turn: Number of the token's turn in this pass, no two episodes sharing one.
        weight: Aggregation weight w, see :func:`weights_of`.
        importance: min(π_trainer/π_sampler, cap), or None.
        reference: Log-probability under the reference, or None.
        guarded: True where the entropy guard acts, or None.
    """

    advantage: Tensor
    old: Tensor
    sequence: Tensor
    turn: Tensor
    weight: Tensor
    importance: Tensor | None = None
    reference: Tensor | None = None
    guarded: Tensor | None = None


def segment_mean(values: Tensor, segment: Tensor) -> Tensor:
    """Mean of ``values`` (N,) over the tokens of each token's segment, shape (N,)."""
    count = int(segment.max()) + 1 if len(segment) else 0
    total = values.new_zeros(count).index_add(0, segment, values)
    size = values.new_zeros(count).index_add(0, segment, torch.ones_like(values))
    return (total / size.clamp(min=1))[segment]


def surrogate(logp: Tensor, tokens: Tokens, options: LossOptions) -> tuple[Tensor, Tensor]:
    """Return the surrogate u of every token and where a bound of the ratio has taken its gradient, both (N,)."""
    log_ratio = logp - tokens.old
    low, high = options.bounds
    advantage = tokens.advantage
    if options.name == "pg":
        return advantage * logp, torch.zeros_like(logp, dtype=torch.bool)
    if options.name == "cispo":
        ratio = log_ratio.detach().exp()
        capped = ratio.clamp(max=high)
        return capped * advantage * logp, torch.zeros_like(ratio, dtype=torch.bool) | (ratio > capped)
    if options.kind.level != "token":
        segment = tokens.turn if options.kind.level == "turn" else tokens.sequence
        # The value is the segment's ratio, the gradient each token's own.
        log_ratio = segment_mean(log_ratio.detach(), segment) + logp - logp.detach()
    ratio = log_ratio.exp()
    clipped = ratio.clamp(low, high)
    return torch.minimum(ratio * advantage, clipped * advantage), ratio * advantage > clipped * advantage


def kl_term(logp: Tensor, reference: Tensor, estimator: str) -> Tensor:
    """Return k1, k2 or k3 of every token, (N,)."""
    d = logp - reference
    if estimator == "k1":
        return d
    return 0.5 * d**2 if estimator == "k2" else torch.exp(-d) - 1 + d


def loss_of(
    logp: Tensor, entropy: Tensor, tokens: Tokens, options: LossOptions, normaliser: float
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of one pass and its figures; both add up over the passes of an update.

    Args:
        logp: Log-probabilities under the policy in training, (N,), with gradient.
        entropy: Of the distribution at every token, (N,).
        tokens: The rest.
        options: The loss.
        normaliser: n, of the whole update; see :func:`weights_of`.
    """
    objective, outside = surrogate(logp, tokens, options)
    if tokens.importance is not None:
        objective = objective * tokens.importance
    masked = None
    if options.off_policy_mask is not None:
        left = segment_mean((tokens.old - logp).detach(), tokens.sequence) > options.off_policy_mask
        masked = left & (tokens.advantage < 0)
        objective = objective.masked_fill(masked, 0.0)
    if tokens.guarded is not None:
        if options.entropy_guard == "clip_cov":
            objective = objective.masked_fill(tokens.guarded, 0.0)
        else:
            fine = _COV_COEF if options.cov_coef is None else options.cov_coef
            objective = objective - fine * (logp - tokens.old).abs() * tokens.guarded
    total = (tokens.weight * (objective + options.entropy_coef * entropy)).sum()
    divergence = None
    if tokens.reference is not None:
        divergence = kl_term(logp, tokens.reference, options.kl_estimator or "k3")
        if options.kl_in_loss:
            total = total - options.kl_coef * (tokens.weight * divergence).sum()
    loss = -total / normaliser
    with torch.no_grad():
        log_ratio = logp - tokens.old
        share = tokens.weight / normaliser

        def mean(values: Tensor) -> float:
            return float((values * share).sum())

        figures = {
            "loss": float(loss),
            "entropy": mean(entropy),
            # k3 of the step away from the old policy
            "kl_sampler": mean(log_ratio.exp() - 1 - log_ratio),
            "clip_fraction": mean(outside.float()),
        }
        if divergence is not None:
            figures["kl_reference"] = mean(divergence)
        if tokens.importance is not None:
            figures["importance"] = mean(tokens.importance)
        if masked is not None:
            figures["masked_fraction"] = mean(masked.float())
    return loss, figures


def weights_of(lengths: Sequence[int], options: LossOptions) -> tuple[list[float], float]:
    """Return every episode's aggregation weight and the normaliser of an update.

    Args:
        lengths: Sampled tokens of each episode of the update.
        options: The loss.
    """
    if options.reduction == "sequence_mean":
        return [1.0 / max(1, length) for length in lengths], float(max(1, len(lengths)))
    if options.reduction == "constant":
        return [1.0] * len(lengths), float(max(1, len(lengths)) * (options.aggregation_constant or 1))
    return [1.0] * len(lengths), float(max(1, sum(lengths)))


def guarded_tokens(
    old: NDArray[np.float32], advantage: NDArray[np.float32], options: LossOptions, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose the tokens on which the entropy guard acts, over a whole update.

    The covariance is taken at the old policy, so that it does not depend on how an update is cut into passes.

    Args:
        old: Log-probabilities under the old policy, (N,).
        advantage: Advantages, (N,).
        options: The loss, with a guard.
        rng: For Clip-Cov's draw.
    """
    chosen = np.zeros(len(old), dtype=np.bool_)
    share = _COV_SHARE if options.cov_share is None else options.cov_share
    count = max(1, int(share * len(old))) if len(old) else 0
    covariance = (old - old.mean()) * (advantage - advantage.mean()) if len(old) else old
    if options.entropy_guard == "kl_cov":
        chosen[np.argsort(-covariance, kind="stable")[:count]] = True
    else:
        low, high = CLIP_COV_BOUNDS
        between = np.flatnonzero((covariance > low) & (covariance < high))
        chosen[rng.choice(between, size=min(count, len(between)), replace=False)] = True
    return chosen
