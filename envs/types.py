"""Core types that environments and policies share; one definition each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "eval", "hidden"]
SPLITS: tuple[Split, ...] = ("train", "eval", "hidden")


class EnvironmentFault(RuntimeError):
    """Our infrastructure failed (sandbox, index, verifier): never the model's doing, never reward 0."""


class Limits(BaseModel):
    """Budgets of one episode; reaching any of them truncates it."""

    model_config = ConfigDict(frozen=True)

    max_turns: int = Field(8, ge=1)
    #: Consecutive invalid actions after which the episode is cut: a policy that cannot act costs little.
    max_invalid: int = Field(3, ge=1)
    #: Characters of one observation; longer ones are clipped with the cut shown.
    max_chars: int = Field(1500, ge=64)


class Task(BaseModel):
    """What the agent is asked. The gold answer lives elsewhere, where only the verifier looks."""

    model_config = ConfigDict(frozen=True)

    id: str
    family: str
    split: Split
    seed: int
    prompt: str
    difficulty: float = 0.0
    limits: Limits = Limits()


class Check(BaseModel):
    """One verifiable fact about the state. Weights of an environment's checks sum to 1."""

    model_config = ConfigDict(frozen=True)

    name: str
    weight: float = Field(ge=0.0, le=1.0)
    passed: bool
    evidence: str = ""


class StepReward(BaseModel):
    """The reward of one turn: the change of the verified potential."""

    model_config = ConfigDict(frozen=True)

    value: float
    checks: tuple[Check, ...] = ()
    invalid: bool = False


@dataclass(frozen=True)
class Message:
    """One message of a conversation. An assistant's ``content`` is its action text."""

    role: Literal["user", "assistant", "tool"]
    content: str


@dataclass
class Conversation:
    """What a policy sees of one live episode. It never holds the environment.

    Attributes:
        id: Unique per episode attempt; model policies key their cache on it.
        env_id: Gymnasium id.
        task_id: The task's id.
        seed: Seed for the policy's own sampling in this episode.
        tools: JSON schemas in the OpenAI function format.
        messages: The exchange so far: the task first, then actions and observations in turn.
    """

    id: str
    env_id: str
    task_id: str
    seed: int
    tools: list[dict[str, Any]]
    messages: list[Message]


@dataclass
class Summary:
    """What a model wrote of its context before that began anew: a turn of its own, which no environment sees.

    Attributes:
        text: The summary.
        prompt_ids: Token ids fed to the model since its previous action, the request for a summary among them.
        token_ids: Token ids that the model wrote; the new context holds the very same ones.
        logprobs: Log-probability of each of them under the sampling distribution.
    """

    text: str
    prompt_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass
class Action:
    """One think-act step of a policy.

    Attributes:
        text: What goes to the environment (tool calls; thoughts are not in it).
        thought: What stays on the policy's side.
        prompt_ids: Token ids fed to the model since its previous action, mask 0.
        restart: Whether the context begins anew with ``prompt_ids``: what came before was shortened, or was played
            by another attempt.
        token_ids: Token ids the model sampled, mask 1; never re-tokenised.
        logprobs: Log-probability of each sampled token under the sampling distribution, 0 where ``forced``.
        forced: Positions in ``token_ids`` that the model did not choose (a thought that was closed for it), mask 0.
        summary: What the model wrote of the context before this one, where it was asked to.
        stop: Why sampling ended: ``stop``, ``length`` (of the turn), or, which ends the episode, ``context`` (it is
            full) or ``budget`` (the episode's tokens are spent).
        seconds: Wall time this action took, shared evenly within a batch.
        cost: Money spent on it, in US dollars.
        prompt_tokens: Tokens read, where they are counted but not known (a remote model's).
        sampled_tokens: Tokens written, likewise.
        fault: Why there is no action at all, where that is nobody's choice (an endpoint that is down): the
            episode ends with this error and has no score.
    """

    text: str
    thought: str = ""
    prompt_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    restart: bool = False
    forced: list[int] = field(default_factory=list)
    summary: Summary | None = None
    stop: str = "stop"
    seconds: float = 0.0
    cost: float = 0.0
    prompt_tokens: int = 0
    sampled_tokens: int = 0
    fault: str = ""

    @property
    def tokens(self) -> tuple[int, int]:
        """How many tokens the model read and wrote for it, the summary's among them; forced ones were read."""
        read = len(self.prompt_ids) + len(self.forced)
        written = len(self.token_ids) - len(self.forced)
        if self.summary is not None:
            read, written = read + len(self.summary.prompt_ids), written + len(self.summary.token_ids)
        return read or self.prompt_tokens, written or self.sampled_tokens


@runtime_checkable
class Policy(Protocol):
    """Who acts: batched by nature. Ragged batches and late joiners are normal."""

    name: str

    def act(self, conversations: Sequence[Conversation]) -> Sequence[Action]:
        """Return one action per conversation, in order."""
        ...

    def release(self, conversation_id: str) -> None:
        """Forget an episode that has ended (free its cache)."""
        ...
