"""Eight worlds that tell good credit from bad: small, forkable, exactly solvable.

Each isolates one difficulty that many-turn tasks have. In all of them somebody who knew the luck beforehand could
always earn exactly 1, and doing nothing useful earns less. After the literature: the umbrella
chain of bsuite (arXiv 1908.03568), key-to-door with distractors (Hung et al. 2019, arXiv 1810.06721); the others
are the plainest world of their kind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import product
from typing import Any

from thinkact.envs.diagnostic.mdp import Outcome, World

Steps = Sequence[Outcome]


def umbrella(horizon: int, *, distractors: int = 1) -> World:
    """Pure delay: one choice on the first turn, paid on the last; every other act is inert.

    Args:
        horizon: Turns.
        distractors: Coins that are tossed anew on every turn and shown; they mean nothing.
    """
    coins = list(product("HT", repeat=distractors))

    def step(state: Any, action: int) -> Steps:
        turn, weather, carried, _ = state
        carried = action if turn == 0 else carried
        if turn == horizon - 1:
            return [Outcome(1.0, None, float(carried == weather))]
        return [Outcome(1 / len(coins), (turn + 1, weather, carried, toss)) for toss in coins]

    def observe(state: Any) -> str:
        turn, weather, _, toss = state
        if turn == 0:
            return f"at home, {('sun', 'rain')[weather]} announced"
        return f"on the way, coins {' '.join(toss)}" if toss else "on the way"

    start = [(0.5, (0, weather, -1, coins[0])) for weather in (0, 1)]
    goal = "Take a coat (1) if rain is announced, else none (0). Then walk; what you do on the way is all the same."
    return World("umbrella", horizon, start, ("0", "1"), step, observe, goal)


def key_door(horizon: int, *, bounty: float = 0.5) -> World:
    """Noise in between: take the key first, then bets on a coin, and a door that pays at the end.

    Args:
        horizon: Turns: the key, ``horizon - 2`` bets, the door.
        bounty: What all bets together pay at most; they are pure luck.
    """
    each = bounty / max(1, horizon - 2)
    door = 1.0 - each * (horizon - 2)

    def step(state: Any, action: int) -> Steps:
        turn, key = state
        if turn == 0:
            return [Outcome(1.0, (1, action))]
        if turn == horizon - 1:
            return [Outcome(1.0, None, door * key)]
        # Heads (0) wins in the lower half of the luck, tails (1) in the upper one.
        wins = [each, 0.0] if action == 0 else [0.0, each]
        return [Outcome(0.5, (turn + 1, key), wins[0]), Outcome(0.5, (turn + 1, key), wins[1])]

    def observe(state: Any) -> str:
        turn, _ = state
        return "a key lies here" if turn == 0 else "a door" if turn == horizon - 1 else "bet on a coin"

    goal = "Take the key (1) or leave it (0). Bet 0 or 1 on each coin. At the end the door opens for a key."
    return World("key-door", horizon, [(1.0, (0, 0))], ("0", "1"), step, observe, goal, enough=door)


def bifurcation(horizon: int) -> World:
    """One turn decides, at a place that changes; all others are inert."""

    def step(state: Any, action: int) -> Steps:
        turn, place, side, ok = state
        ok = ok and (turn != place or action == side)
        if turn == horizon - 1:
            return [Outcome(1.0, None, float(ok))]
        return [Outcome(1.0, (turn + 1, place, side, ok))]

    def observe(state: Any) -> str:
        turn, place, side, _ = state
        return f"a fork, the sign says {side}" if turn == place else "the road"

    start = [(0.5 / horizon, (0, place, side, True)) for place in range(horizon) for side in (0, 1)]
    goal = "Follow the road. At the one fork take the side on the sign; a wrong turn cannot be undone."
    return World("bifurcation", horizon, start, ("0", "1"), step, observe, goal)


def repair(horizon: int) -> World:
    """Mistakes that can be mended and one that cannot: build enough, keep it whole."""
    need = max(1, horizon // 2)

    def step(state: Any, action: int) -> Steps:
        turn, built, cracked, broken = state
        if action == 0 and not cracked:
            built = min(need, built + 1)
        elif action == 1:
            cracked = False
        elif action == 2:
            cracked, built = True, min(need, built + 1)  # hasty work counts, but cracks
        elif action == 3:
            broken = True
        if turn == horizon - 1:
            return [Outcome(1.0, None, float(built == need and not cracked and not broken))]
        return [Outcome(1.0, (turn + 1, built, cracked, broken))]

    def observe(state: Any) -> str:
        _, built, cracked, broken = state
        return f"{built} of {need} built{', cracked' if cracked else ''}{', in ruins' if broken else ''}"

    goal = f"Build {need}: 0 builds, 1 mends a crack, 2 builds in haste and cracks it, 3 tears it down for good."
    return World("repair", horizon, [(1.0, (0, 0, False, False))], ("0", "1", "2", "3"), step, observe, goal)


def maze(horizon: int, *, seen: bool = True) -> World:
    """A ring of rooms: walking round comes back to the same places; the exit is in one of them.

    Args:
        horizon: Turns; the ring has as many rooms as can be walked in two thirds of them.
        seen: Whether the room's number is shown; otherwise most rooms look alike.
    """
    rooms = max(4, (2 * horizon) // 3)

    def step(room: Any, action: int) -> Steps:
        room = (room + (1 if action == 1 else -1 if action == 0 else 0)) % rooms
        return [Outcome(1.0, room) if room else Outcome(1.0, None, 1.0)]

    def observe(room: Any) -> str:
        if seen:
            return f"room {room} of {rooms}"
        return "a light on the left" if room == 1 else "a light on the right" if room == rooms - 1 else "a dark room"

    start = [(1 / (rooms - 1), room) for room in range(1, rooms)]
    goal = "Find room 0: 0 walks to the room before, 1 to the next, 2 waits. The rooms form a ring."
    return World("maze" if seen else "dark-maze", horizon, start, ("0", "1", "2"), step, observe, goal)


def inventory(horizon: int) -> World:
    """What counts is not seen: the bag's content, packed on the first turn, may be swapped half-way."""
    bench = max(1, horizon // 2)

    def step(state: Any, action: int) -> Steps:
        turn, wanted, packed = state
        if turn == 0:
            packed = action
        elif turn == bench and action == 1:
            packed = 1 - packed
        if turn == horizon - 1:
            return [Outcome(1.0, None, float(packed == wanted))]
        return [Outcome(1.0, (turn + 1, wanted, packed))]

    def observe(state: Any) -> str:
        turn, wanted, _ = state
        return f"pack for door {wanted}" if turn == 0 else "the bench" if turn == bench else "the way"

    start = [(0.5, (0, wanted, -1)) for wanted in (0, 1)]
    goal = "Pack what the door wants (0 or 1). At the bench, 1 swaps it for the other. The bag stays closed."
    return World("inventory", horizon, start, ("0", "1"), step, observe, goal)


def lucky(horizon: int) -> World:
    """Noise that flatters: the wrong act pays in full one time in ten, the right one nearly always."""
    each = 1.0 / horizon

    def step(state: Any, action: int) -> Steps:
        turn = state
        then = turn + 1 if turn < horizon - 1 else None
        pays = (0.5 * each, each) if action == 0 else (each, 0.0)
        return [Outcome(0.1, then, pays[0]), Outcome(0.9, then, pays[1])]

    goal = "On every turn: 0 is sound, 1 is a gamble that seldom pays."
    return World("lucky", horizon, [(1.0, 0)], ("0", "1"), step, lambda state: "your move", goal, enough=0.8)


def stopping(horizon: int) -> World:
    """The policy decides how long an episode is: stop at the flag, not before, not after."""

    def step(state: Any, action: int) -> Steps:
        turn, flag = state
        if action == 1:
            return [Outcome(1.0, None, 1.0 if turn == flag else 0.5 * turn / flag if turn < flag else 0.0)]
        return [Outcome(1.0, (turn + 1, flag))]

    def observe(state: Any) -> str:
        turn, flag = state
        return "a flag" if turn == flag else "no flag yet" if turn < flag else "past the flag"

    start = [(1 / (horizon - 1), (0, flag)) for flag in range(1, horizon)]
    goal = "Go on (0) until you see the flag; stop (1) there."
    return World("stopping", horizon, start, ("0", "1"), step, observe, goal)


#: Every world by name; called with the horizon.
WORLDS: dict[str, Callable[[int], World]] = {
    "umbrella": umbrella,
    "key-door": key_door,
    "bifurcation": bifurcation,
    "repair": repair,
    "maze": maze,
    "dark-maze": lambda horizon: maze(horizon, seen=False),
    "inventory": inventory,
    "lucky": lucky,
    "stopping": stopping,
}


def make_world(name: str, horizon: int) -> World:
    """Return a world by name.

    Raises:
        ValueError: On an unknown name, or a horizon below 3 or above 100.
    """
    if name not in WORLDS:
        raise ValueError(f"Unknown world {name!r}; there are {', '.join(WORLDS)}.")
    if not 3 <= horizon <= 100:
        raise ValueError(f"horizon must be 3 to 100, not {horizon}.")
    return WORLDS[name](horizon)


def clairvoyant(world: World, luck: Sequence[float], state: Hashable, turn: int = 0) -> tuple[float, list[int]]:
    """Return the most that can still be earned under known luck, and actions that earn it.

    Args:
        world: The world.
        luck: One number in [0, 1) per turn: which outcome happens.
        state: Where the episode stands.
        turn: At which turn.
    """
    known: dict[tuple[int, Hashable], tuple[float, int]] = {}

    def best(turn: int, state: Hashable | None) -> float:
        if state is None or turn == world.horizon:
            return 0.0
        if (turn, state) not in known:
            values = []
            for action in range(len(world.actions)):
                reward, then = happens(world, state, action, luck[turn])
                values.append(reward + best(turn + 1, then))
            top = max(range(len(values)), key=lambda a: (round(values[a], 9), -a))
            known[turn, state] = (values[top], top)
        return known[turn, state][0]

    total = best(turn, state)
    actions: list[int] = []
    at: Hashable | None = state
    while at is not None and turn < world.horizon:
        actions.append(known[turn, at][1])
        _, at = happens(world, at, actions[-1], luck[turn])
        turn += 1
    return total, actions


def happens(world: World, state: Hashable, action: int, luck: float) -> tuple[float, Hashable | None]:
    """Return reward and next state under a roll of luck in [0, 1)."""
    below = 0.0
    outcomes = world.step(state, action)
    for outcome in outcomes:
        below += outcome.p
        if luck < below:
            return outcome.reward, outcome.state
    return outcomes[-1].reward, outcomes[-1].state
