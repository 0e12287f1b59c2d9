"""Who acts, how many at once, and how it learns. Heavy names are imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinkact.policies.episode import Episode, Turn, Usage, read_episodes, write_episodes
from thinkact.policies.rollout import Job, Runner, make_jobs, rollout
from thinkact.policies.scripted import ExpertPolicy, NullPolicy, RandomPolicy

if TYPE_CHECKING:
    from thinkact.policies.endpoint import EndpointPolicy
    from thinkact.policies.hf import HFPolicy
    from thinkact.policies.process import ProcessPolicy
    from thinkact.policies.process_runner import ProcessRunner
    from thinkact.policies.training import Trainer

_LAZY = {
    "EndpointPolicy": "thinkact.policies.endpoint",
    "HFPolicy": "thinkact.policies.hf",
    "ProcessPolicy": "thinkact.policies.process",
    "ProcessRunner": "thinkact.policies.process_runner",
    "Trainer": "thinkact.policies.training",
}

__all__ = [
    "EndpointPolicy",
    "Episode",
    "ExpertPolicy",
    "HFPolicy",
    "Job",
    "NullPolicy",
    "ProcessPolicy",
    "ProcessRunner",
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
