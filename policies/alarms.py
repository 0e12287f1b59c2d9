"""Alarms: what a training run looks like when it goes wrong, read from its own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thinkact.policies.config import AlarmConfig

#: Steps on either side of a comparison.
WINDOW = 4


def alarms(rows: Sequence[Mapping[str, Any]], config: AlarmConfig) -> dict[str, str]:
    """Return the alarms that the last step gives, by name, with what was seen.

    - ``entropy``: the policy's entropy is below a share of what it was in the first steps (collapse: it hardly
      explores any more; arXiv 2505.22617).
    - ``kl``: the policy of the last update is further from the sampling policy, or from the reference, than allowed.
    - ``hacking``: over the last steps the score rose while what is *not* paid for got worse (fewer attempts solve the
      whole task, more have invalid calls, or more run out of turns): the reward may be earned without the task.
    - ``errors``: more attempts than allowed ended in faults of ours.

    Args:
        rows: The figures of all steps of reinforcement so far, in order.
        config: Thresholds.
    """
    found: dict[str, str] = {}
    if not rows:
        return found
    last = rows[-1]
    entropy = [float(row["entropy"]) for row in rows if "entropy" in row]
    if len(entropy) > WINDOW:
        first, now = float(np.mean(entropy[:WINDOW])), float(np.mean(entropy[-2:]))
        if now < config.entropy_share * first:
            found["entropy"] = f"entropy fell from {first:.3g} to {now:.3g} per token"
    for name in ("kl_sampler", "kl_reference"):
        if float(last.get(name, 0.0)) > config.kl:
            found["kl"] = f"{name} is {float(last[name]):.3g}"
    if len(rows) >= 2 * WINDOW:
        before, after = rows[-2 * WINDOW : -WINDOW], rows[-WINDOW:]

        def change(name: str) -> float:
            return float(np.mean([row[name] for row in after]) - np.mean([row[name] for row in before]))

        worse = {"success": -change("success"), "invalid": change("invalid"), "truncated": change("truncated")}
        name, by = max(worse.items(), key=lambda item: item[1])
        if change("score") > config.hacking and by > config.hacking:
            direction = "fell" if name == "success" else "rose"
            found["hacking"] = f"the score rose by {change('score'):.2f} while {name} {direction} by {by:.2f}"
    share = float(last.get("errors", 0.0)) / max(1.0, float(last.get("episodes", 0.0)))
    if share > config.errors:
        found["errors"] = f"{share:.0%} of the attempts ended in faults"
    return found
