"""Tasks of Booking about trips that are booked, with seats, bags, changes and refunds; and saved travellers."""

from __future__ import annotations

import re
import sqlite3

from thinkact.envs.answers import Answer
from thinkact.envs.web import hints
from thinkact.envs.web.booking_data import FARES, itineraries, plus, row, seat_taken, seats
from thinkact.envs.web.booking_goals import (
    in_words,
    open_booking,
    row_goal,
    today,
)
from thinkact.envs.web.booking_trips import segments
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template


def _trip(draw: Draw, fares: str = "light standard flex") -> tuple[sqlite3.Row, list[sqlite3.Row], str] | None:
    """Draw a trip that lies ahead, with its flights and the words that name it (its destination and day)."""
    found = []
    for trip in draw.rows("SELECT * FROM trip ORDER BY id"):
        legs = segments(draw.db(), trip["id"])
        if legs[0]["day"] > today(draw) and trip["fare"] in fares.split():
            found.append((trip, legs, f"trip to {legs[0]['dest']} on {in_words(legs[0]['day'])}"))
    if not found:
        return None
    trip, legs, words = draw.rng.choice(found)
    return trip, legs, hints.coming(draw, "trip", trip["id"]) if draw.wording == "indirect" else words


def _open_trip(pilot: Pilot, legs: list[sqlite3.Row]) -> Moves:
    yield from open_booking(pilot, rf'"(\w+)" *\| *[^|\n]+\| *{legs[0]["dest"]} *\| *{legs[0]["day"]}')


def _people(draw: Draw, trip: sqlite3.Row) -> list[sqlite3.Row]:
    return draw.rows("SELECT * FROM passenger WHERE trip_id = ? ORDER BY id", trip["id"])


@template("booking/my-seat", app="booking", level=0)
def my_seat(draw: Draw) -> WebTask | None:
    """Which seat somebody has."""
    found = _trip(draw)
    if found is None:
        return None
    trip, legs, words = found
    who, number = draw.rng.choice(_people(draw, trip)), draw.rng.randrange(2)
    seat = draw.rows("SELECT code FROM seat WHERE segment_id = ? AND passenger_id = ?", legs[number]["id"], who["id"])[
        0
    ][0]
    name, way = f"{who['first']} {who['last']}", ("out", "back")[number]
    prompt = draw.say(
        f"Which seat does {name} have on the flight {way} of the {words}?",
        f"What is {name}'s seat on the way {way}, {words}?",
        indirect=(f"On the {words}, {name} cannot find their place on the way {way}. Which is it?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        yield from pilot.answer(pilot.read_all(rf"{name} *\|.*\| *(\w+) *\| *(\w+)$")[0][number])

    return WebTask(prompt, solve, answer=Answer("literal", seat))


@template("booking/trip-total", app="booking", level=0)
def trip_total(draw: Draw) -> WebTask | None:
    """What a trip cost and when it was booked."""
    found = _trip(draw)
    if found is None:
        return None
    trip, legs, words = found
    what, answer = draw.rng.choice((
        ("On which day was the {} booked? Answer as YYYY-MM-DD.", Answer("date", trip["created"])),
        ("Which passport number is the first passenger of the {} booked with?",
         Answer("literal", _people(draw, trip)[0]["passport"])),
    ))  # fmt: skip
    vague = {
        "date": "The bank asks on which day I paid for the {} (YYYY-MM-DD). I paid as soon as I booked.",
        "literal": "Whoever stands first on the booking of the {} needs a visa. Which passport number do I write down?",
    }[answer.kind]

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        pattern = r"Booked on (\S+)\." if answer.kind == "date" else r"\| *\d{4}-\d\d-\d\d *\| *([A-Z]\d{8})"
        yield from pilot.answer(pilot.read(pattern))

    return WebTask(draw.say(what, indirect=(vague,)).format(words), solve, answer=answer)


@template("booking/spent", app="booking", level=0)
def spent(draw: Draw) -> WebTask | None:
    """The sum of all trips or stays ahead."""
    kind = draw.rng.choice(("trips", "stays"))
    table = kind[:-1]
    day = "(SELECT min(day) FROM segment WHERE trip_id = trip.id)" if table == "trip" else "arrive"
    totals = draw.rows(f"SELECT total FROM {table} WHERE {day} > ? ORDER BY id", today(draw))
    prompt = draw.say(
        f"What do my {kind} that still lie ahead cost together, in EUR? Leave out those in the past.",
        f"Add up the totals in EUR of all {kind} that begin after today ({in_words(today(draw))}).",
        indirect=(f"If nobody pays me back anything, how many EUR have gone into {kind} that I have not begun yet?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "My bookings")
        halves = re.split(r"\bStays\b", pilot.text)
        half = halves[0] if kind == "trips" else halves[-1]
        mine = re.findall(r"(\d{4}-\d\d-\d\d) *\| *(?:\d{4}-\d\d-\d\d|-) *\| *confirmed *\| *EUR (\d+)", half)
        yield from pilot.answer(str(sum(int(total) for day, total in mine if day > today(draw))))

    return WebTask(prompt, solve, answer=Answer("number", str(sum(each[0] for each in totals)), unit="EUR"))


@template("booking/cancel-flex", app="booking", level=1)
def cancel_flex(draw: Draw) -> WebTask | None:
    """Cancel the only trip that pays everything back."""
    ahead = [
        (trip, legs)
        for trip in draw.rows("SELECT * FROM trip ORDER BY id")
        if (legs := segments(draw.db(), trip["id"]))[0]["day"] > today(draw)
    ]
    flex = [(trip, legs) for trip, legs in ahead if FARES[trip["fare"]].refund]
    if not flex:
        return None
    trip, legs = min(flex, key=lambda each: each[1][0]["day"])
    goal, allowed = row_goal("the trip is cancelled", "trip", trip["id"], status="cancelled")
    home = legs[0]["origin"]
    prompt = draw.say(
        f"Cancel the first of my coming trips from {home} that pays everything back when it is cancelled.",
        f"One of my coming trips from {home} must go. Cancel the earliest one whose price is refunded in full.",
        indirect=(
            f"One of my coming trips from {home} must not take place, and I do not want to lose money by that. Where "
            "there is a choice, it is the one that would begin first.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "My bookings")
        lines = pilot.read_all(r'"(\w+)" *\| *[^|\n]+\| *[^|\n]+\| *(\d{4}-\d\d-\d\d) *\| *[\d-]+ *\| *confirmed')
        refs = [ref for ref, day in lines if day > today(draw)]
        for ref in refs:
            yield from pilot.click("link", ref)
            if pilot.shows("Cancelling pays everything back"):
                break
            yield from pilot.click("link", "My bookings")
        yield from pilot.click("link", "Cancel this trip")
        yield from pilot.click("button", "Yes, cancel")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed,), steps=12)


@template("booking/add-bags", app="booking", level=1)
def add_bags(draw: Draw) -> WebTask | None:
    """Add bags to a trip."""
    found = _trip(draw)
    if found is None:
        return None
    trip, legs, words = found
    more = draw.rng.randint(2, 4)
    goal, allowed = row_goal("the bags are booked", "trip", trip["id"], bags=trip["bags"] + more)
    # On the way to three bags there are one and two.
    way = Allowed("trip", f"id = {trip['id']} AND bags < {trip['bags'] + more}", ("bags", "total"), ("update",))
    prompt = draw.say(
        f"Add {more} bags to my {words}.",
        f"We take {more} more bags on the {words}. Add them.",
        indirect=(f"For the {words} we have packed {more} bags that nobody has paid for yet.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        for _ in range(more):
            yield from pilot.click("button", "Add a bag")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed, way))


@template("booking/change-seat", app="booking", level=1)
def change_seat(draw: Draw) -> WebTask | None:
    """Move somebody to another kind of seat, in a given part of the plane."""
    found = _trip(draw)
    if found is None:
        return None
    trip, legs, words = found
    who, number = draw.rng.choice(_people(draw, trip)), draw.rng.randrange(2)
    leg, kind = legs[number], draw.rng.choice(("window", "aisle", "middle"))
    letters = {"window": "AF", "aisle": "CD", "middle": "BE"}[kind]
    low = draw.rng.choice((1, 4, 7))
    flight = row(draw.db(), "SELECT * FROM flight WHERE id = ?", leg["flight_id"])
    assert flight is not None
    held = {
        each["passenger_id"]: each["code"] for each in draw.rows("SELECT * FROM seat WHERE segment_id = ?", leg["id"])
    }
    free = [code for code in seats() if code[-1] in letters and low <= int(code[:-1]) <= low + 2
            and not seat_taken(flight, leg["day"], code) and code not in held.values()]  # fmt: skip
    now = held[who["id"]]
    if not free or (now[-1] in letters and low <= int(now[:-1]) <= low + 2):
        return None
    codes = ", ".join(f"'{code}'" for code in free)
    where = f"segment_id = {leg['id']} AND passenger_id = {who['id']} AND code IN ({codes})"
    name, way = f"{who['first']} {who['last']}", ("out", "back")[number]
    prompt = draw.say(
        f"Move {name} to any free {kind} seat in rows {low} to {low + 2} on the flight {way} of the {words}.",
        f"On the {words}, flight {way}: {name} wants to sit on a {kind} seat in row {low}, {low + 1} or {low + 2}.",
        indirect=(
            f"{name} is not content with the place on the way {way}, {words}. It should be a {kind} seat, and no "
            f"further to the front than row {low}, nor further back than row {low + 2}.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        yield from pilot.click("link", f"Seats on {leg['number']}")
        there = [
            each.name for each in pilot.elements() if each.role == "button" and re.fullmatch(r"\d[A-F]", each.name)
        ]
        seat = next(name for name in there if name[-1] in letters and low <= int(name[0]) <= low + 2)
        yield from pilot.select("Passenger", name)
        yield from pilot.click("button", seat)
        yield from pilot.done()

    return WebTask(
        prompt,
        solve,
        (Goal("the new seat is reserved", f"SELECT count(*) FROM seat WHERE {where}"),),
        (
            Allowed("seat", where, ops=("insert", "update")),
            Allowed("seat", f"segment_id = {leg['id']} AND passenger_id = {who['id']}", ops=("delete",)),
        ),
    )


@template("booking/change-flight", app="booking", level=1)
def change_flight(draw: Draw) -> WebTask | None:
    """Move the way out or back to another day, at the lowest cost."""
    found = _trip(draw, "standard flex")
    if found is None:
        return None
    trip, legs, words = found
    number = draw.rng.randrange(2)
    leg, way = legs[number], ("out", "back")[number]
    day = plus(leg["day"], draw.rng.choice((-2, -1)) if way == "out" else draw.rng.choice((1, 2)))
    ways = itineraries(draw.db(), leg["origin_id"], leg["dest_id"], day)
    if not ways or day <= today(draw):
        return None
    best = ways[0] if draw.rng.random() < 0.5 else max(ways, key=lambda each: each.departs)
    if sum(each.departs == best.departs for each in ways) > 1 or (
        best is ways[0] and best.departs != min(w.departs for w in ways)
    ):
        return None
    first = best is ways[0]
    keys = ",".join(f"{flight['id']}@{day}" for flight in best.flights)
    legs_now = (
        f"SELECT flight_id || '@' || day k FROM segment WHERE trip_id = {trip['id']} AND way = '{way}' ORDER BY id"
    )
    ids = ", ".join(str(flight["id"]) for flight in best.flights)
    prompt = draw.say(
        f"Move the flight {way} of my {words} to {in_words(day)}, onto the {'earliest' if first else 'latest'} "
        "departure there is.",
        f"Change my {words}: I want to fly {way} on {in_words(day)} instead, as {'early' if first else 'late'} as "
        "possible.",
        indirect=(
            f"I cannot fly {way} on the day of my {words}, only on {in_words(day)}. That day I want to be in the air "
            f"{'before all others' if first else 'after all others'}.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        yield from pilot.click("link", f"Change the flight {way}")
        yield from pilot.fill("textbox", "New date", day)
        yield from pilot.click("button", "Show flights")
        offers = pilot.read_all(r"^(?:- )?([A-Z]{2} \d[^|\n]*?) *\| *(\d\d:\d\d) *\| *\d\d:\d\d *\| *(?:direct|1 stop)")
        wanted = min(offers, key=lambda each: each[1]) if first else max(offers, key=lambda each: each[1])
        yield from pilot.click("button", f"Change to {wanted[0]}")
        yield from pilot.done()

    return WebTask(
        prompt,
        solve,
        (Goal("the flight is changed", f"SELECT group_concat(k) = ? FROM ({legs_now})", (keys,)),),
        (
            Allowed("segment", f"trip_id = {trip['id']} AND way = '{way}' AND day = ? AND flight_id IN ({ids})",
                    ops=("insert", "update"), params=(day,)),
            Allowed("segment", f"trip_id = {trip['id']} AND way = '{way}'", ops=("delete",)),
            Allowed("seat", f"segment_id = {leg['id']}", ops=("delete",)),
            Allowed("trip", f"id = {trip['id']}", ("total",), ("update",)),
        ),
    )  # fmt: skip


@template("booking/light-change", app="booking", level=1, infeasible=True)
def light_change(draw: Draw) -> WebTask | None:
    """The Light fare cannot be moved."""
    found = _trip(draw, "light")
    if found is None:
        return None
    trip, legs, words = found
    day = plus(legs[0]["day"], -1)
    prompt = draw.say(
        f"Move the flight out of my {words} to {in_words(day)}. Keep the trip; do not cancel it or book another.",
        f"I want to leave on {in_words(day)} already: change the flight out of the {words}, without booking anything "
        "new.",
        indirect=(
            f"I cannot leave on the day of my {words}, but only on {in_words(day)}. I will neither give it up nor pay "
            "for another, so it must be moved.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_trip(pilot, legs)
        yield from pilot.click("link", "Change the flight out")
        yield from pilot.click("link", "Back to the start")
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)
