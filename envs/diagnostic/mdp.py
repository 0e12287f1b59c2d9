"""Finite worlds with exact answers: values, advantages and policy gradients by dynamic programming.

A world is given by its rules (:class:`World`); :class:`Mdp` lays all reachable states out as arrays, one layer per
turn, so that evaluating a policy is one sweep over the layers and sampling is one indexing operation per turn.
Policies are tables of probabilities over *observations*, so several states may look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: More states than any world here needs; a knob that asks for more is refused.
MAX_STATES = 200_000
END = -1


class Outcome(NamedTuple):
    """One thing that an action may lead to; ``state`` None ends the episode.

    The outcomes of a state's actions are laid on one roll of luck in the order given, so the worlds in which one
    action is lucky are the same for all its actions.
    """

    p: float
    state: Hashable | None
    reward: float = 0.0


@dataclass(frozen=True)
class World:
    """The rules of a small world.

    Attributes:
        name: Its name.
        horizon: Turns after which an episode ends, whatever the state.
        start: Initial states with their probabilities.
        actions: What can be done in every state; index into it is the action's number.
        step: Outcomes of an action in a state. A state is all that counts apart from the turn.
        observe: What the agent sees of a state, in a few words.
        goal: One line that says what is to be done.
        enough: The return from which an episode counts as a success; less than 1 where the rest is luck.
    """

    name: str
    horizon: int
    start: Sequence[tuple[float, Hashable]]
    actions: tuple[str, ...]
    step: Callable[[Hashable, int], Sequence[Outcome]]
    observe: Callable[[Hashable], str]
    goal: str
    enough: float = 1.0


class Sample(NamedTuple):
    """Episodes drawn from an :class:`Mdp`; arrays of shape (N, horizon), valid where ``t < length``.

    Attributes:
        states: Indices of the states in which the turns began.
        actions: What was done.
        rewards: What it paid; 0 after the end.
        length: Turns per episode, shape (N,).
    """

    states: Ints
    actions: Ints
    rewards: Floats
    length: Ints


class Exact(NamedTuple):
    """What a policy is worth: V (S,), Q and A (S, actions), expected visits per episode (S,), J and its gradient.

    The gradient is with respect to the logits of the policy table, shape (observations, actions):
    ∂J/∂θ[o, a] = Σ_{s sees o} d(s) π(a|o) A(s, a) (Sutton et al. 2000).
    """

    value: Floats
    q: Floats
    advantage: Floats
    visits: Floats
    j: float
    gradient: Floats


class Mdp:
    """A world laid out: every reachable pair of turn and state has an index.

    Attributes:
        observation: Row of the policy table for every state, shape (S,).
        keys: The state without the turn, for estimators that compare equal states.
        observations: What the rows of the policy table say.

    Raises:
        ValueError: When probabilities do not sum to 1, or there are too many states.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.n_actions = len(world.actions)
        layer = {state: 0.0 for _, state in world.start}
        for p, state in world.start:
            layer[state] += p
        index: dict[tuple[int, Hashable], int] = {(0, state): i for i, state in enumerate(layer)}
        self.layers: list[Ints] = []
        rows: list[list[list[tuple[float, int, float]]]] = []
        self.start_p = np.array(list(layer.values()))
        _sum_to_one(self.start_p, "start")
        current: list[Hashable] = list(layer)
        for turn in range(world.horizon):
            self.layers.append(np.array([index[turn, state] for state in current], dtype=np.int64))
            following: dict[Hashable, None] = {}
            for state in current:
                row = []
                for action in range(self.n_actions):
                    outcomes = world.step(state, action)
                    _sum_to_one(np.array([o.p for o in outcomes]), f"{state}, {world.actions[action]}")
                    cells = []
                    for p, then, reward in outcomes:
                        at = END
                        if then is not None and turn + 1 < world.horizon:
                            at = index.setdefault((turn + 1, then), len(index))
                            following[then] = None
                        cells.append((p, at, reward))
                    row.append(cells)
                rows.append(row)
            if len(index) > MAX_STATES:
                raise ValueError(f"{world.name} has more than {MAX_STATES} states; make it shorter or simpler.")
            current = list(following)
            if not current:
                break
        self._arrays(rows)
        states = [state for _, state in index]
        seen = [world.observe(state) for state in states]
        self.observations = list(dict.fromkeys(seen))
        number = {text: i for i, text in enumerate(self.observations)}
        self.observation: Ints = np.array([number[text] for text in seen], dtype=np.int64)
        key_number = {state: i for i, state in enumerate(dict.fromkeys(states))}
        self.keys: Ints = np.array([key_number[state] for state in states], dtype=np.int64)

    def _arrays(self, rows: list[list[list[tuple[float, int, float]]]]) -> None:
        width = max(len(cells) for row in rows for cells in row)
        shape = (len(rows), self.n_actions, width)
        self.p: Floats = np.zeros(shape)
        self.next: Ints = np.full(shape, END, dtype=np.int64)
        self.reward: Floats = np.zeros(shape)
        for s, row in enumerate(rows):
            for a, cells in enumerate(row):
                for o, (p, at, reward) in enumerate(cells):
                    self.p[s, a, o], self.next[s, a, o], self.reward[s, a, o] = p, at, reward
        self._cumulative = np.cumsum(self.p, axis=2)

    @property
    def n_states(self) -> int:
        """States, counted once per turn at which they can occur."""
        return len(self.p)

    def uniform(self) -> Floats:
        """Return the logits of the policy that knows nothing, shape (observations, actions)."""
        return np.zeros((len(self.observations), self.n_actions))

    def solve(self, pi: Floats) -> Exact:
        """Evaluate a policy exactly.

        Args:
            pi: Probabilities, shape (observations, actions).
        """
        policy = pi[self.observation]
        value = np.append(np.zeros(self.n_states), 0.0)  # the last entry is the end: next == -1
        q = np.zeros((self.n_states, self.n_actions))
        for layer in reversed(self.layers):
            q[layer] = (self.p[layer] * (self.reward[layer] + value[self.next[layer]])).sum(axis=2)
            value[layer] = (policy[layer] * q[layer]).sum(axis=1)
        visits = np.zeros(self.n_states + 1)
        visits[self.layers[0]] = self.start_p
        for layer in self.layers:
            flow = visits[layer, None, None] * policy[layer][:, :, None] * self.p[layer]
            np.add.at(visits, self.next[layer].ravel(), flow.ravel())
        visits = visits[:-1]
        advantage = q - value[:-1, None]
        gradient = np.zeros_like(pi)
        np.add.at(gradient, self.observation, visits[:, None] * policy * advantage)
        j = float(self.start_p @ value[self.layers[0]])
        return Exact(value[:-1], q, advantage, visits, j, gradient)

    def sample(self, pi: Floats, n: int, rng: np.random.Generator, start: Ints | None = None) -> Sample:
        """Draw episodes.

        Args:
            pi: Probabilities, shape (observations, actions).
            n: How many.
            rng: Where the luck comes from.
            start: Indices of the states to begin in, shape (n,); by default drawn.
        """
        if start is None:
            start = self.layers[0][rng.choice(len(self.start_p), size=n, p=self.start_p)]
        horizon = self.world.horizon
        states = np.zeros((n, horizon), dtype=np.int64)
        actions = np.zeros((n, horizon), dtype=np.int64)
        rewards = np.zeros((n, horizon))
        length = np.zeros(n, dtype=np.int64)
        cumulative = np.cumsum(pi, axis=1)
        live = np.arange(n)
        at = start.copy()
        for t in range(horizon):
            if not len(live):
                break
            chosen = _draw(cumulative[self.observation[at]], rng)
            outcome = _draw(self._cumulative[at, chosen], rng)
            states[live, t], actions[live, t] = at, chosen
            rewards[live, t] = self.reward[at, chosen, outcome]
            length[live] += 1
            at = self.next[at, chosen, outcome]
            going = at != END
            live, at = live[going], at[going]
        return Sample(states, actions, rewards, length)


def softmax(logits: Floats) -> Floats:
    """Return probabilities, row by row."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return out


def ascent(mdp: Mdp, *, steps: int = 400) -> list[tuple[float, Floats]]:
    """Return the way of exact gradient ascent as pairs of expected return and logits.

    It begins at a policy that is uniform but for a little noise (exactly uniform, some worlds have no gradient), so it
    is the same for every estimator.

    Args:
        mdp: The world.
        steps: Ascent steps at most.
    """
    logits = 0.1 * np.random.default_rng(0).standard_normal(mdp.uniform().shape)
    path = [(mdp.solve(softmax(logits)).j, logits.copy())]
    for _ in range(steps):
        gradient = mdp.solve(softmax(logits)).gradient
        size = float(np.abs(gradient).max())
        if size < 1e-9:
            break
        logits = logits + 0.25 * gradient / size
        path.append((mdp.solve(softmax(logits)).j, logits.copy()))
    return path


def on_the_way(path: Sequence[tuple[float, Floats]], share: float) -> Floats:
    """Return the first logits of an :func:`ascent` that have a share, 0 to 1, of its whole gain in expected return."""
    low, high = path[0][0], max(j for j, _ in path)
    wanted = low + share * (high - low)
    return next(logits for j, logits in path if j >= wanted - 1e-12)


def along_the_way(mdp: Mdp, share: float, *, steps: int = 400) -> Floats:
    """Return logits at a share of the way from knowing nothing to the best that :func:`ascent` finds."""
    return on_the_way(ascent(mdp, steps=steps), share)


def _draw(cumulative: Floats, rng: np.random.Generator) -> Ints:
    """Draw one column per row of cumulative probabilities."""
    u = rng.random(len(cumulative))[:, None]
    out: Ints = np.minimum((cumulative <= u).sum(axis=1), cumulative.shape[1] - 1)
    return out


def _sum_to_one(p: Floats, where: str) -> None:
    if (p < 0).any() or abs(float(p.sum()) - 1.0) > 1e-9:
        raise ValueError(f"Probabilities at {where} sum to {float(p.sum()):g}, not to 1.")
