"""What the parts of ``browser.py`` share: environments, experts at play, and the processes below this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import psutil

from thinkact.envs import Conversation, Message, ToolEnv

Env = ToolEnv[Any]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def opened(env_id: str, **kwargs: Any) -> Env:
    return gym.make(env_id, **kwargs).unwrapped  # type: ignore[return-value]


def play(env: Env, prompt: str, info: Mapping[str, Any], step: Callable[[str], Any]) -> None:
    """Let the expert play an episode that has been reset; ``step`` does what ``env.step`` does, and measures it."""
    expert = env.expert()
    conversation = Conversation("bench", "bench", info["task_id"], 0, info["tools"], [Message("user", prompt)])
    ended = False
    while not ended:
        action = expert.act([conversation])[0].text
        text, _, terminated, truncated, _ = step(action)
        conversation.messages += [Message("assistant", action), Message("tool", text)]
        ended = terminated or truncated


def tree() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def kind(process: psutil.Process) -> str:
    """Say which of the processes of a browser one is."""
    if process.pid == os.getpid():
        return "python"
    words = process.cmdline()
    if "chrom" not in process.name() and "headless" not in process.name():
        return process.name()
    kinds = [word[len("--type=") :] for word in words if word.startswith("--type=")]
    parts = [word.rpartition("=")[2].split(".")[0] for word in words if word.startswith("--utility-sub-type=")]
    return "/".join([*kinds, *parts]) or "browser"
