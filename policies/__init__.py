"""Who acts, how many at once, and how it learns. Names that need torch are imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinkact.policies.episode import Episode, Turn, Usage, read_episodes, write_episodes
from thinkact.policies.rollout import Job, Runner, make_jobs, rollout
from thinkact.policies.scripted import ExpertPolicy, NullPolicy, RandomPolicy

if TYPE_CHECKING:
    from thinkact.policies.hf import HFPolicy
    from thinkact.policies.training import Trainer

_LAZY = {"HFPolicy": "thinkact.policies.hf", "Trainer": "thinkact.policies.training"}

__all__ = [
    "Episode",
    "ExpertPolicy",
    "HFPolicy",
    "Job",
    "NullPolicy",
    "RandomPolicy",
    "Runner",
    "Trainer",
    "Turn",
    "Usage",
    "make_jobs",
    "read_episodes",
    "rollout",
    "write_episodes",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
