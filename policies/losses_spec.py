"""Which losses there are and which knobs each has; without torch, so that a configuration is checked in no time.

Every loss has the form ``−Σ_i w_i (u_i − β·k_i + c·H_i) / n`` over the sampled tokens i of an update: u_i the
surrogate below, k_i a KL term to the reference, H_i the entropy, w_i and n the aggregation. Symbols: ρ = π/π_old of
one token, A its advantage, s the geometric mean of ρ over a turn or an episode, sg a stopped gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["token", "turn", "sequence"]
Aggregation = Literal["token_mean", "sequence_mean", "constant"]
Guard = Literal["none", "clip_cov", "kl_cov"]
KL = Literal["k1", "k2", "k3"]

#: Clip-Cov (arXiv 2505.22617) chooses among tokens whose covariance is between these, as public implementations do.
CLIP_COV_BOUNDS = (1.0, 5.0)


@dataclass(frozen=True)
class LossKind:
    """One loss of the registry.

    Attributes:
        formula: The surrogate u of a token.
        level: Over what the ratio is taken.
        clip_low, clip_high: Defaults, the paper's where it names them; None where the loss has no such bound.
        aggregation: Its default.
        source: Where it comes from.
    """

    formula: str
    level: Level
    clip_low: float | None
    clip_high: float | None
    aggregation: Aggregation
    source: str


LOSSES: dict[str, LossKind] = {
    "pg": LossKind("A·log π", "token", None, None, "token_mean", "Williams 1992"),
    "ppo": LossKind("min(ρA, clip(ρ, 1−low, 1+high)A)", "token", 0.2, 0.2, "token_mean", "PPO, arXiv 1707.06347 eq. 7"),
    "clip_higher": LossKind(
        "as ppo, with more room upwards", "token", 0.2, 0.28, "token_mean", "DAPO, arXiv 2503.14476 eq. 10"
    ),
    # The bounds are ours: a turn has tens of tokens, GSPO's bounds are for answers of thousands.
    "turn": LossKind(
        "as ppo, with s of the turn, s·π/sg(π) per token", "turn", 0.02, 0.03, "token_mean", "GSPO's ratio, per turn"
    ),
    "gspo": LossKind(
        "as ppo, with s of the episode, s·π/sg(π) per token (GSPO-token: turns may differ in A)",
        "sequence",
        3e-4,
        4e-4,
        "sequence_mean",
        "GSPO, arXiv 2507.18071 eqs. 5 and 14; near 1e-3 for agents: ARLArena, arXiv 2602.21534",
    ),
    # MiniMax-M1 names no bound; the cap of 5 is in the range that later studies of scaling use.
    "cispo": LossKind(
        "sg(min(ρ, 1+high))·A·log π", "token", None, 4.0, "token_mean", "CISPO, MiniMax-M1, arXiv 2506.13585 eqs. 4-5"
    ),
}


@dataclass(frozen=True)
class LossOptions:
    """A loss with all its knobs; None means the loss's own default.

    Attributes:
        name: One of :data:`LOSSES`.
        clip_low, clip_high: The ratio is clipped to [1 − low, 1 + high].
        aggregation: ``token_mean``: w = 1, n = tokens of the update (DAPO). ``sequence_mean``: w = 1/tokens of the
            episode, n = episodes (GRPO, arXiv 2402.03300). ``constant``: w = 1, n = episodes · ``aggregation_constant``
            (Dr. GRPO, arXiv 2503.20783), so that an episode's length changes nobody's weight.
        aggregation_constant: For ``constant``: the tokens an episode may have at most, for example.
        entropy_coef: c; 0 is no bonus.
        kl_coef: β; 0 is no KL term.
        kl_estimator: With d = log π − log π_ref: ``k1`` = d, taken from the turn's *reward*; ``k2`` = d²/2 and
            ``k3`` = exp(−d) − 1 + d, in the *loss* (Schulman, "Approximating KL divergence", 2020; GRPO has k3 at
            β = .04). The other places are wrong: on policy k1's gradient has mean 0, and k3 as a reward is not the
            gradient of the KL (arXiv 2506.09477).
        entropy_guard: Against entropy collapse (arXiv 2505.22617), on tokens with a large covariance
            (log π_old − mean)(A − mean): ``clip_cov`` takes the gradient from a share of those between 1 and 5,
            ``kl_cov`` fines |log ρ| on the share with the largest.
        cov_share: Of the update's tokens, at least one; 2e-4 by default, as in public implementations.
        cov_coef: The fine of ``kl_cov``; 1 by default.
        off_policy_mask: Tokens with A < 0 are left out in episodes whose mean of log(π_old/π) exceeds this
            (DeepSeek-V3.2, arXiv 2512.02556): what the policy has long left need not be pushed down further.
        tis_cap: Truncated importance sampling: ρ is taken against the *trainer's* probabilities before the first
            update, and u is multiplied by min(π_trainer/π_sampler, cap), 2 in the source (Yao et al. 2025, "Your
            efficient RL framework secretly brings you off-policy RL training"). Without it ρ is taken against the
            sampler's recorded probabilities, which corrects for the mismatch already.

    Raises:
        ValueError: An unknown loss, a knob that the chosen options do not use, or one that they need.
    """

    name: str = "clip_higher"
    clip_low: float | None = None
    clip_high: float | None = None
    aggregation: Aggregation | None = None
    aggregation_constant: int | None = None
    entropy_coef: float = 0.0
    kl_coef: float = 0.0
    kl_estimator: KL | None = None
    entropy_guard: Guard = "none"
    cov_share: float | None = None
    cov_coef: float | None = None
    off_policy_mask: float | None = None
    tis_cap: float | None = None

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ValueError(f"Unknown loss {self.name!r}; there are {', '.join(LOSSES)}.")
        kind = self.kind
        for knob in ("clip_low", "clip_high"):
            if getattr(self, knob) is not None and getattr(kind, knob) is None:
                raise ValueError(f"loss {self.name!r} has no {knob}: {kind.formula}.")
        _together(self.reduction == "constant", "aggregation 'constant'", "aggregation_constant", self)
        _together(self.kl_coef > 0, "kl_coef > 0", "kl_estimator", self)
        if self.entropy_guard == "none" and self.cov_share is not None:
            raise ValueError("cov_share belongs to an entropy_guard, and there is none.")
        if self.entropy_guard != "kl_cov" and self.cov_coef is not None:
            raise ValueError("cov_coef belongs to entropy_guard 'kl_cov'.")

    @property
    def kind(self) -> LossKind:
        """The registry's entry."""
        return LOSSES[self.name]

    @property
    def reduction(self) -> Aggregation:
        """The aggregation in use."""
        return self.aggregation or self.kind.aggregation

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The lower and the upper bound of the ratio, None where there is none."""
        low = self.kind.clip_low if self.clip_low is None else self.clip_low
        high = self.kind.clip_high if self.clip_high is None else self.clip_high
        return None if low is None else 1.0 - low, None if high is None else 1.0 + high

    @property
    def kl_in_loss(self) -> bool:
        """Whether the KL term is in the loss (else in the reward, or nowhere)."""
        return self.kl_coef > 0 and self.kl_estimator != "k1"

    @property
    def kl_in_reward(self) -> bool:
        """Whether the KL term is taken from the rewards."""
        return self.kl_coef > 0 and self.kl_estimator == "k1"


def _together(needed: bool, why: str, knob: str, options: LossOptions) -> None:
    given = getattr(options, knob) is not None
    if needed and not given:
        raise ValueError(f"{why} needs {knob}.")
    if given and not needed:
        raise ValueError(f"{knob} is used with {why} only.")


def overlong_penalty(tokens: int, max_tokens: int, cache: int) -> float:
    """Soft overlong punishment (DAPO, arXiv 2503.14476 eq. 13), in [-1, 0], to be added to the last reward.

    Args:
        tokens: Length of the episode.
        max_tokens: Where an episode is cut.
        cache: Width of the ramp before it: 0 up to ``max_tokens − cache``, then falling linearly to −1.
    """
    return -min(1.0, max(0.0, (tokens - (max_tokens - cache)) / cache))
