"""Gymnasium environments over real tools, with a verifiable reward at every step."""

from thinkact.envs.core import ScriptedExpert, Snapshot, Solution, ToolEnv
from thinkact.envs.types import (
    SPLITS,
    Action,
    Check,
    Conversation,
    EnvironmentFault,
    Limits,
    Message,
    Policy,
    Split,
    StepReward,
    Summary,
    Task,
)

__all__ = [
    "SPLITS",
    "Action",
    "Check",
    "Conversation",
    "EnvironmentFault",
    "Limits",
    "Message",
    "Policy",
    "ScriptedExpert",
    "Snapshot",
    "Solution",
    "Split",
    "StepReward",
    "Summary",
    "Task",
    "ToolEnv",
]
