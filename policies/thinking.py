"""Policies around a policy that think longer before they act: several attempts and a vote, a plan, a sub-agent.

They change what a model is asked, never the environment, and work around any policy. Their actions carry counts of
tokens instead of token ids: what stands in the record is not what one model sampled in one go, so it is nothing to
train on.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from thinkact.envs import Action, Conversation, Message, Policy
from thinkact.tools.base import POSITIONAL
from thinkact.tools.parse import parse_action


class VotePolicy:
    """Asks for every action several times and takes what most attempts say (self-consistency, 2203.11171).

    Two actions are the same when their calls are. Among equally many, the one whose tokens were likelier on average
    is taken, where that is known, else the one that came first.

    Args:
        policy: Who is asked; it has to sample, or all attempts are alike.
        attempts: How often, per action.

    Raises:
        ValueError: Fewer than two attempts.
    """

    def __init__(self, policy: Policy, attempts: int = 5) -> None:
        if attempts < 2:
            raise ValueError(f"a vote needs at least 2 attempts, not {attempts}.")
        self.policy, self.attempts = policy, attempts
        self.name = f"{policy.name}, vote of {attempts}"

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return the winners."""
        asked = [
            replace(talk, id=f"{talk.id}~{len(talk.messages)}~{at}", seed=_seed(talk.seed, at))
            for talk in conversations
            for at in range(self.attempts)
        ]
        said = _ask_once(self.policy, asked)
        groups = [said[at : at + self.attempts] for at in range(0, len(said), self.attempts)]
        return [self._elect(group) for group in groups]

    def _elect(self, attempts: Sequence[Action]) -> Action:
        sound = [each for each in attempts if not each.fault]
        if not sound:
            return attempts[0]
        keys = [_meaning(each.text) for each in sound]
        votes = Counter(keys)
        best = max(
            range(len(sound)),
            key=lambda at: (votes[keys[at]], sum(sound[at].logprobs) / max(1, _chosen(sound[at])), -at),
        )
        said = f"{votes[keys[best]]} of {len(attempts)} attempts say this."
        return _merged(attempts, sound[best], thought="\n".join(part for part in (said, sound[best].thought) if part))

    def release(self, conversation_id: str) -> None:
        """Nothing is held: attempts are forgotten as soon as they are counted."""


class PlanPolicy:
    """Has a plan written before the first action, and shows it with the task from then on.

    Args:
        policy: Who plans and acts.
        planner: Who plans, if that is somebody else.
        request: What is asked for, after the task.
        chars: Longest plan that is kept.
    """

    REQUEST = "Before you act, write a plan: a few short numbered steps, no tool calls."

    def __init__(
        self, policy: Policy, *, planner: Policy | None = None, request: str = REQUEST, chars: int = 1500
    ) -> None:
        self.policy, self.planner = policy, planner or policy
        self.request, self.chars = request, chars
        self.name = f"{policy.name}, with a plan"
        self._plans: dict[str, str] = {}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return the next actions; those of episodes that begin are preceded by a plan."""
        new = [talk for talk in conversations if talk.id not in self._plans]
        asked = [
            replace(
                talk,
                id=f"{talk.id}~plan",
                tools=[],
                messages=[Message("user", f"{talk.messages[0].content}\n\n{self.request}")],
            )
            for talk in new
        ]
        plans = dict(zip((talk.id for talk in new), _ask_once(self.planner, asked), strict=True))
        for talk_id, plan in plans.items():
            # A planner's words may look like thought, like a call or like neither: all of it is the plan.
            self._plans[talk_id] = "\n".join(part for part in (plan.thought, plan.text) if part)[: self.chars].strip()
        said = self.policy.act([self._shown(talk) for talk in conversations])
        actions = []
        for talk, action in zip(conversations, said, strict=True):
            new_plan = [plans[talk.id]] if talk.id in plans else []
            thoughts = [self._plans[talk.id]] * len(new_plan) + [action.thought]
            actions.append(_merged([*new_plan, action], action, thought="\n".join(part for part in thoughts if part)))
        return actions

    def _shown(self, talk: Conversation) -> Conversation:
        task, *rest = talk.messages
        plan = self._plans[talk.id]
        content = f"{task.content}\n\nYour plan:\n{plan}" if plan else task.content
        return replace(talk, messages=[Message("user", content), *rest])

    def release(self, conversation_id: str) -> None:
        """Forget the plan."""
        self._plans.pop(conversation_id, None)
        self.policy.release(conversation_id)


@dataclass
class _Frame:
    """A conversation of somebody who acts; the last one of an episode's stack is the one who acts now."""

    talk: Conversation
    left: int
    seen: int  # messages of the episode that this one was told


@dataclass
class _Stack:
    frames: list[_Frame] = field(default_factory=list)
    spent: list[Action] = field(default_factory=list)  # what was said since the last action of the episode


class DelegatePolicy:
    """Gives the policy a tool ``delegate(task)``: a sub-agent acts in its place until it reports, or its turns end.

    The sub-agent has the environment's tools and a conversation of its own that opens with the subtask; who delegated
    sees neither its actions nor what came of them, only its report. Both kinds of turns count as the episode's.

    Args:
        policy: Who delegates.
        worker: Who does the subtasks; by default the same policy.
        turns: Turns of one subtask.
        depth: How deep sub-agents may delegate in turn; 1 means not at all.

    Raises:
        ValueError: Turns or depth below 1.
    """

    def __init__(self, policy: Policy, *, worker: Policy | None = None, turns: int = 8, depth: int = 1) -> None:
        if turns < 1 or depth < 1:
            raise ValueError("turns and depth must be at least 1.")
        self.policy, self.worker, self.turns, self.depth = policy, worker or policy, turns, depth
        self.name = f"{policy.name}, with sub-agents"
        self._stacks: dict[str, _Stack] = {}

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Return the episode's next actions, whoever's they are."""
        for talk in conversations:
            self._tell(talk)
        done: dict[str, Action] = {}
        while waiting := [talk for talk in conversations if talk.id not in done]:
            for chief in (True, False):
                mine = [talk for talk in waiting if (len(self._stacks[talk.id].frames) == 1) is chief]
                tops = [self._stacks[talk.id].frames[-1].talk for talk in mine]
                said = (self.policy if chief else self.worker).act(tops) if tops else []
                for talk, action in zip(mine, said, strict=True):
                    found = self._hear(talk, action)
                    if found is not None:
                        done[talk.id] = found
        return [done[talk.id] for talk in conversations]

    def _tell(self, talk: Conversation) -> None:
        """Show whoever acts in an episode what came of the last action."""
        stack = self._stacks.get(talk.id)
        if stack is None:
            opened = replace(talk, tools=[*talk.tools, DELEGATE], messages=list(talk.messages))
            self._stacks[talk.id] = _Stack([_Frame(opened, 1 << 30, len(talk.messages))])
            return
        top = stack.frames[-1]
        top.talk.messages += talk.messages[top.seen :]
        top.seen = len(talk.messages)
        top.left -= 1
        if top.left <= 0:
            last = talk.messages[-1].content
            self._return(stack, f"(out of turns) The last result was: {last}")

    def _hear(self, talk: Conversation, action: Action) -> Action | None:
        """Return the episode's action, or None when somebody else has to be asked first."""
        stack = self._stacks[talk.id]
        top = stack.frames[-1]
        calls = [] if action.fault else parse_action(action.text)
        call = calls[0] if len(calls) == 1 and calls[0].parse_error is None else None
        if call is not None and call.name == "report" and len(stack.frames) > 1:
            stack.spent.append(action)
            self._return(stack, _argument(call.arguments, "text"))
            return None
        if call is not None and call.name == "delegate" and any(t is DELEGATE for t in top.talk.tools):
            stack.spent.append(action)
            top.talk.messages.append(Message("assistant", action.text))
            tools = [*talk.tools, REPORT, *([DELEGATE] if len(stack.frames) < self.depth else [])]
            task = Message("user", _argument(call.arguments, "task") or "(no task was given)")
            name = f"{talk.id}~{len(talk.messages)}~{len(stack.spent)}"
            below = replace(talk, id=name, seed=_seed(talk.seed, len(stack.spent)), tools=tools, messages=[task])
            stack.frames.append(_Frame(below, self.turns, len(talk.messages)))
            return None
        who = f"[sub-agent {len(stack.frames) - 1}] " if len(stack.frames) > 1 else ""
        spent, stack.spent = [*stack.spent, action], []
        thoughts = [part for each in spent for part in (each.thought, each.text if each is not action else "") if part]
        return _merged(spent, action, thought=who + "\n".join(thoughts) if thoughts else who.strip())

    def _return(self, stack: _Stack, report: str) -> None:
        gone = stack.frames.pop()
        self.worker.release(gone.talk.id)
        top = stack.frames[-1]
        top.talk.messages.append(Message("tool", f"Report: {report}"))
        top.seen = gone.seen

    def release(self, conversation_id: str) -> None:
        """Forget an episode and all who act in it."""
        stack = self._stacks.pop(conversation_id, None)
        for at, frame in enumerate(stack.frames if stack is not None else ()):
            (self.policy if at == 0 else self.worker).release(frame.talk.id)


def _tool(name: str, argument: str, about: str, meaning: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {argument: {"type": "string", "description": meaning}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


DELEGATE = _tool("delegate", "task", "Hand a subtask to a sub-agent and get its report.", "All that it has to know.")
REPORT = _tool("report", "text", "End the subtask.", "What you found or did.")


def _ask_once(policy: Policy, talks: Sequence[Conversation]) -> list[Action]:
    """Ask about conversations that are not gone on with, no more at once than the policy can hold."""
    size = int(getattr(policy, "max_slots", 0)) or max(1, len(talks))
    said: list[Action] = []
    for first in range(0, len(talks), size):
        part = talks[first : first + size]
        try:
            said += policy.act(part)
        finally:
            for talk in part:
                policy.release(talk.id)
    return said


def _merged(spent: Sequence[Action], chosen: Action, *, thought: str) -> Action:
    """Return the chosen action with what all of them cost."""
    return Action(
        text=chosen.text,
        thought=thought,
        stop=chosen.stop,
        fault=chosen.fault,
        seconds=sum(each.seconds for each in spent),
        cost=sum(each.cost for each in spent),
        prompt_tokens=sum(each.tokens[0] for each in spent),
        sampled_tokens=sum(each.tokens[1] for each in spent),
    )


def _chosen(action: Action) -> int:
    """Return how many tokens of an action the model chose itself."""
    return len(action.logprobs) - len(action.forced)


def _meaning(text: str) -> str:
    calls = parse_action(text)
    if any(call.parse_error is not None for call in calls):
        return text
    return json.dumps([[call.name, call.arguments] for call in calls], sort_keys=True)


def _argument(arguments: dict[str, Any], name: str) -> str:
    value = arguments.get(name, arguments.get(POSITIONAL, ""))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seed(seed: int, at: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {at}".encode(), digest_size=8).digest(), "little") >> 1
