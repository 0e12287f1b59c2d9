"""A value head on the policy's own trunk: what is still to be won, judged at the end of each observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from thinkact.policies.advantages_batch import Array, returns_to_go
from thinkact.policies.learner import Learner
from thinkact.policies.learner_rows import Row

#: Passes over a batch's targets.
_EPOCHS = 8


class TurnCritic:
    """A small head over the trunk's last hidden states; the trunk itself gets no gradient from it.

    A state is the token before the first one that the policy sampled in a turn: all of the observation, nothing of the
    action (Turn-PPO, arXiv 2512.17008). Values are predicted *before* the head is fitted to the batch they judge, so
    that no baseline has seen the outcome of its own episode.

    Args:
        learner: Model and optimiser of the policy.
        lr: Learning rate of the head.
        seed: Of its first weights.
    """

    def __init__(self, learner: Learner, *, lr: float, seed: int) -> None:
        self._learner = learner
        width = int(learner.hidden_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = nn.Linear(64, 1)
            self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.Tanh(), last)
        nn.init.zeros_(last.weight)  # the first values are 0, not noise
        nn.init.zeros_(last.bias)
        self.head.to(learner.device)
        self.optimizer = torch.optim.AdamW(self.head.parameters(), lr=lr, weight_decay=0.0)

    def features(self, episodes: Sequence[Sequence[Row]]) -> list[Tensor]:
        """Return per episode the hidden states before every sampled token, shape (sampled tokens, width), fp32.

        Args:
            episodes: The rows of every episode, one for each context it had.
        """
        found = iter(self._learner.hidden([row for rows in episodes for row in rows]))
        return [torch.cat([next(found) for _ in rows]) for rows in episodes]

    @torch.no_grad()
    def values(self, features: Sequence[Tensor]) -> list[Array]:
        """Return the value before every sampled token, shape (sampled tokens,) per episode."""
        return [self.head(each)[:, 0].double().cpu().numpy() for each in features]

    def fit(self, features: Sequence[Tensor], targets: Sequence[Array]) -> float:
        """Move the values towards targets of the same shapes; return the last mean square error."""
        inputs = torch.cat(list(features))
        wanted = torch.from_numpy(np.concatenate(targets)).float().to(inputs.device)
        loss = torch.zeros(())
        for _ in range(_EPOCHS):
            loss = F.mse_loss(self.head(inputs)[:, 0], wanted)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimizer.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"head": self.head.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])


def turn_starts(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Return where turns begin among an episode's sampled tokens, shape (turns with tokens,).

    A summary begins the turn after it, although it stands in the row before.

    Args:
        rows: The episode's rows, one for each context it had.
    """
    turns = [row.turns[row.sampled] for row in rows]
    starts = np.diff(np.concatenate(turns), prepend=-1) != 0 if turns else np.zeros(0)
    return np.flatnonzero(starts)


def per_turn(values: Array, starts: NDArray[np.int64], turns: int) -> Array:
    """Pick the value at the start of every turn, shape (turns,); a last turn without tokens keeps the one before it."""
    found = values[starts]
    return np.pad(found, (0, turns - len(found)), mode="edge") if len(found) else np.zeros(turns)


def explained_variance(values: Sequence[Array], returns: Sequence[Array]) -> float:
    """Return 1 − Var(Ĝ − V)/Var(Ĝ): 1 is perfect, 0 as good as a constant, below 0 worse than none."""
    wanted, found = np.concatenate(returns), np.concatenate(values)
    spread = float(wanted.var())
    return 1.0 - float((wanted - found).var()) / spread if spread > 1e-12 else 0.0


def token_gae(turn_return: float, values: Array, lam: float) -> Array:
    """Generalised advantages of a turn's tokens, rewarded with ``turn_return`` on the last one (VAGEN, 2510.16907).

    δ_i = V_{i+1} − V_i, on the last token turn_return − V_i; A_i = Σ_k λ^k δ_{i+k}.

    Args:
        turn_return: The turn's advantage plus the value at its start.
        values: V before every token, shape (tokens,).
        lam: λ within the turn.
    """
    return returns_to_go(np.append(values[1:], turn_return) - values, lam)
