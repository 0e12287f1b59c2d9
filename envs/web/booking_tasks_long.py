"""Tasks of Booking that take more than one booking, or a whole family."""

from __future__ import annotations

from thinkact.envs.web.booking_data import (
    itineraries,
    plus,
    seat_taken,
)
from thinkact.envs.web.booking_goals import (
    Route,
    Stay,
    Trip,
    a_route,
    between,
    book_flights,
    book_room,
    book_stays,
    book_trips,
    flight_lines,
    full,
    hotel_lines,
    in_words,
    search_rooms,
    search_route,
    some_nights,
    the_one,
    travellers,
)
from thinkact.envs.web.booking_rooms import Nights, offers
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


@template("booking/family", app="booking", level=3)
def family(draw: Draw) -> WebTask | None:
    """Book for three and seat them in one row, the window not left out."""
    route = a_route(draw, stops=0, least=2)
    best = the_one(route.ways, lambda each: each.price()) if route else None
    if route is None or best is None:
        return None
    side = draw.rng.choice(("ABC", "DEF"))
    rows = [number for number in range(1, 10)
            if not any(seat_taken(best.flights[0], route.day, f"{number}{letter}") for letter in side)]  # fmt: skip
    if not rows:
        return None
    people = travellers(draw, 3)
    codes = ", ".join(f"'{rows[0]}{letter}'" for letter in side)
    goals, allowed = book_trips(draw, Trip((best,), tuple(people), "standard", seats=f"code IN ({codes})"))
    names = f"{full(people[0])}, {full(people[1])} and {full(people[2])}"
    prompt = draw.say(
        f"Book the cheapest direct flight {route.words} for {names} in one booking, economy, Standard fare. Then seat "
        f"them side by side in {side[0]}, {side[1]} and {side[2]} of the first row from the front where all three are "
        "free.",
        indirect=(
            f"{names} belong together: one booking {route.words}, economy, Standard fare, no change of planes, for as "
            f"little as that costs. They sit next to each other in {side[0]}, {side[1]} and {side[2]}; of the rows "
            "where that can be had, theirs is nearest to the cockpit.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, direct=True, adults=3)
        line = min(flight_lines(pilot), key=lambda line: line.price)
        yield from book_flights(pilot, [line.number], [full(person) for person in people], fare="Standard")
        row = ""
        for person, letter in zip(people, side, strict=True):
            yield from pilot.click("link", f"Seats on {line.number}")
            if not row:
                free = {each.name for each in pilot.elements() if each.role == "button"}
                row = next(str(n) for n in range(1, 10) if all(f"{n}{each}" in free for each in side))
            yield from pilot.select("Passenger", full(person))
            yield from pilot.click("button", f"{row}{letter}")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=24)


@template("booking/multi-city", app="booking", level=3)
def multi_city(draw: Draw) -> WebTask | None:
    """Two one-way bookings, one after the other."""
    first = a_route(draw)
    cities = draw.rows("SELECT * FROM city ORDER BY id")
    if first is None:
        return None
    third = draw.rng.choice([city for city in cities if city["id"] not in (first.origin["id"], first.dest["id"])])
    day = plus(first.day, draw.rng.randint(2, 5))
    ways = itineraries(draw.db(), first.dest["id"], third["id"], day)
    one, two = the_one(first.ways, lambda each: each.price()), the_one(ways, lambda each: each.minutes)
    if one is None or two is None:
        return None
    second = Route(first.dest, third, day, ways)
    person = travellers(draw)[0]
    goals, allowed = book_trips(draw, Trip((one,), (person,)), Trip((two,), (person,), "flex"))
    prompt = draw.say(
        f"Book two one-way trips for {full(person)} in economy: the cheapest flight {first.words} in the Light fare, "
        f"then the one with the shortest duration {second.words} in the Flex fare. No extra bags.",
        f"{full(person)} goes {first.words} (cheapest, Light) and on {second.words} (quickest, Flex). Book both as "
        "separate one-way trips in economy, no extra bags.",
        indirect=(
            f"{full(person)} goes {first.words} for as little as it costs (Light), and {second.words} in as little "
            "time as it takes (Flex). They are two bookings of one way each, in economy, with no bags but those of the "
            "fare.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, first)
        cheapest = min(flight_lines(pilot), key=lambda line: line.price)
        yield from book_flights(pilot, [cheapest.number], [full(person)])
        yield from search_route(pilot, second)
        quickest = min(flight_lines(pilot), key=lambda line: line.minutes)
        yield from book_flights(pilot, [quickest.number], [full(person)], fare="Flex")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=22)


@template("booking/flight-and-room", app="booking", level=3)
def flight_and_room(draw: Draw) -> WebTask | None:
    """Fly there and back, and a room for the nights between."""
    route = a_route(draw)
    if route is None:
        return None
    nights = Nights(route.day, plus(route.day, draw.rng.randint(2, 4)), 1)

    home = the_one(
        itineraries(draw.db(), route.dest["id"], route.origin["id"], nights.leave), lambda each: each.price()
    )
    out = the_one(route.ways, lambda each: each.price())
    hotel = the_one(offers(draw.db(), route.dest["id"], nights), lambda each: each.total)
    if out is None or home is None or hotel is None:
        return None
    person = travellers(draw)[0]
    flight_goals, may_fly = book_trips(draw, Trip((out, home), (person,), "standard"))
    room_goals, may_stay = book_stays(draw, Stay((hotel.room["id"],), nights, full(person)))
    prompt = draw.say(
        f"{full(person)} travels {route.words} and back on {in_words(nights.leave)}. Book the round trip in economy, "
        "Standard fare, with the cheapest flight each way, and the cheapest hotel room there for the nights between, "
        "without breakfast. No extra bags.",
        f"Plan a journey for {full(person)}: {route.words}, home on {in_words(nights.leave)}. One booking for both "
        "flights (economy, Standard, the cheapest each way, no extra bags) and the cheapest room in between, no "
        "breakfast.",
        indirect=(
            f"{full(person)} has to be away {route.words}, and home again on {in_words(nights.leave)}. Nothing may "
            "cost more than it must: not the flights (one booking, economy, Standard fare, no bags but those of the "
            "fare), not the room for the nights between, which has no breakfast.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, back=nights.leave)
        yield from pilot.click("link", min(flight_lines(pilot), key=lambda line: line.price).number)
        cheapest = min(flight_lines(pilot), key=lambda line: line.price)
        yield from book_flights(pilot, [cheapest.number], [full(person)], fare="Standard")
        yield from search_rooms(pilot, route.dest["name"], nights)
        line = min(hotel_lines(pilot), key=lambda line: line.total)
        yield from book_room(pilot, line.name, line.room, full(person))
        yield from pilot.done()

    return WebTask(prompt, solve, flight_goals + room_goals, may_fly + may_stay, steps=24)


@template("booking/two-cities", app="booking", level=3)
def two_cities(draw: Draw) -> WebTask | None:
    """Rooms in two cities, one stay after the other."""
    one, two = draw.some(draw.rows("SELECT * FROM city ORDER BY id"), 2)
    first = some_nights(draw)
    second = Nights(first.leave, plus(first.leave, draw.rng.randint(2, 3)), first.guests)
    best = the_one(offers(draw.db(), one["id"], first), lambda each: each.total)
    rated = the_one(offers(draw.db(), two["id"], second), lambda each: -each.hotel["rating"])
    if best is None or rated is None:
        return None
    guest = full(travellers(draw)[0])
    goals, allowed = book_stays(
        draw, Stay((best.room["id"],), first, guest), Stay((rated.room["id"],), second, guest, breakfast=True)
    )
    prompt = draw.say(
        f"Book two stays for {guest}: the cheapest hotel in {one['name']} {between(first)} without breakfast, then the "
        f"best rated hotel in {two['name']} {between(second)} with breakfast, its cheapest room that fits.",
        indirect=(
            f"{guest} sleeps in {one['name']} {between(first)} and in {two['name']} {between(second)}. In the first, "
            "money decides, and there is no breakfast. In the second it is how content people were with the hotel; "
            "there it is the room that costs least of those that fit, and breakfast belongs to it.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, one["name"], first)
        cheapest = min(hotel_lines(pilot), key=lambda line: line.total)
        yield from book_room(pilot, cheapest.name, cheapest.room, guest)
        yield from search_rooms(pilot, two["name"], second)
        top = max(hotel_lines(pilot), key=lambda line: line.rating)
        yield from book_room(pilot, top.name, top.room, guest, breakfast=True)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=22)
