"""Tasks of Booking that book flights."""

from __future__ import annotations

from thinkact.envs.web.booking_data import (
    FARES,
    SEAT_LETTERS,
    clock,
    hhmm,
    itineraries,
    plus,
    seat_taken,
    seats,
)
from thinkact.envs.web.booking_goals import (
    LIGHT,
    Person,
    Route,
    Trip,
    a_route,
    book_flights,
    book_trips,
    flight_lines,
    full,
    in_words,
    pay,
    search_route,
    the_one,
    travellers,
)
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


def _one_way(
    draw: Draw,
    route: Route,
    prompt: str,
    number: str,
    people: list[Person],
    *,
    search: dict[str, str | int | bool] | None = None,
    pick: str = "price",
    fare: str = "light",
    cabin: str = "economy",
    bags: int = 0,
    card: tuple[int, str] = (0, ""),
) -> WebTask:
    """Return the task of booking one flight, that the expert picks from the table by ``pick``."""
    chosen = next(each for each in route.ways if each.numbers == number)
    goals, allowed = book_trips(draw, Trip((chosen,), tuple(people), fare, cabin, bags, card[0]))

    def solve(pilot: Pilot) -> Moves:
        options = {**(search or {}), "cabin": cabin, "adults": len(people)}
        yield from search_route(pilot, route, **options)
        lines = flight_lines(pilot)
        line = min(lines, key=lambda line: (-clock(line.departs),) if pick == "latest" else (getattr(line, pick),))
        names = [full(person) for person in people]
        yield from book_flights(pilot, [line.number], names, fare=FARES[fare].name, bags=bags, card=card[1])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("booking/flight-cheapest", app="booking", level=2)
def flight_cheapest(draw: Draw) -> WebTask | None:
    """Book the cheapest way."""
    route = a_route(draw)
    best = the_one(route.ways, lambda each: each.price()) if route else None
    if route is None or best is None:
        return None
    people = travellers(draw)
    prompt = draw.say(
        f"Book the cheapest flight {route.words} for {full(people[0])}, economy. {LIGHT}",
        f"{full(people[0])} has to fly {route.words}. Book whatever costs least in economy, stops do not matter. "
        f"{LIGHT}",
        indirect=(
            f"Get {full(people[0])} {route.words} for as little money as possible, in the simplest fare and cabin.",
        ),
    )
    return _one_way(draw, route, prompt, best.numbers, people)


@template("booking/flight-cheapest-direct", app="booking", level=2)
def flight_cheapest_direct(draw: Draw) -> WebTask | None:
    """Book the cheapest direct flight in a cabin, with bags and a card."""
    route = a_route(draw, stops=0, least=2)
    cabin = draw.rng.choice(("premium", "business"))
    best = the_one(route.ways, lambda each: each.price(cabin)) if route else None
    if route is None or best is None:
        return None
    people, bags = travellers(draw), draw.rng.randint(1, 3)
    plural = "s" if bags > 1 else ""
    prompt = draw.say(
        f"Book the cheapest direct flight {route.words} in {cabin} for {full(people[0])}: Standard fare, {bags} extra "
        f"bag{plural}, paid with the Mastercard.",
        f"Please get {full(people[0])} a {cabin} seat on the cheapest non-stop flight {route.words}. Standard fare, "
        f"add {bags} extra bag{plural} and use the Mastercard.",
        indirect=(
            f"{full(people[0])} has long legs and much luggage ({bags} bag{plural} more than the fare allows) and will "
            f"not change planes: get them {route.words} in {cabin}, Standard fare, for as little as that costs. It "
            "goes on the Mastercard.",
        ),
    )
    last4 = draw.rows("SELECT last4 FROM card WHERE id = 2")[0][0]
    return _one_way(draw, route, prompt, best.numbers, people, search={"direct": True}, fare="standard", cabin=cabin,
                    bags=bags, card=(2, f"Mastercard {last4}"))  # fmt: skip


@template("booking/flight-before", app="booking", level=2)
def flight_before(draw: Draw) -> WebTask | None:
    """Book the cheapest way that arrives in time."""
    route = a_route(draw, least=4)
    if route is None:
        return None
    latest = hhmm(clock(draw.rng.choice(route.ways).arrives) // 15 * 15 + 15)
    best = the_one([each for each in route.ways if each.arrives <= latest], lambda each: each.price())
    cheapest = the_one(route.ways, lambda each: each.price())
    if best is None or cheapest is best or latest > "23:30":
        return None  # where the limit changes nothing it is no task
    people = travellers(draw)
    prompt = draw.say(
        f"Book the cheapest flight {route.words} that arrives by {latest} for {full(people[0])}, economy. {LIGHT}",
        f"{full(people[0])} must have landed by {latest}. Book the least expensive economy way {route.words}. {LIGHT}",
        indirect=(
            f"Somebody waits for {full(people[0])} in {route.dest['name']} until {latest} and not a minute longer. Get "
            f"them there {route.words}, in economy, for as little as that costs. {LIGHT}",
        ),
    )
    return _one_way(draw, route, prompt, best.numbers, people, search={"latest": latest})


@template("booking/flight-last-direct", app="booking", level=2)
def flight_last_direct(draw: Draw) -> WebTask | None:
    """Book the last direct flight of a day."""
    route = a_route(draw, stops=0, least=2)
    best = the_one(route.ways, lambda each: -clock(each.departs)) if route else None
    if route is None or best is None:
        return None
    people = travellers(draw)
    prompt = draw.say(
        f"Book the last direct flight of the day {route.words} for {full(people[0])}, economy, Flex fare.",
        f"{full(people[0])} wants to leave as late as possible without a stop, {route.words}: book that in economy, "
        "Flex.",
        indirect=(
            f"{full(people[0])} wants to have the whole day before leaving {route.words}, without changing planes, and "
            "to be able to call it off for nothing (Flex). Economy will do.",
        ),
    )
    return _one_way(draw, route, prompt, best.numbers, people, search={"direct": True}, pick="latest", fare="flex")


@template("booking/flight-shortest-two", app="booking", level=2)
def flight_shortest_two(draw: Draw) -> WebTask | None:
    """Book the shortest journey for two."""
    route = a_route(draw)
    best = the_one(route.ways, lambda each: each.minutes) if route else None
    if route is None or best is None:
        return None
    people = travellers(draw, 2)
    both = " and ".join(map(full, people))
    prompt = draw.say(
        f"Book the flight with the shortest duration {route.words} for {both} together, economy. {LIGHT}",
        f"{both} travel together {route.words}. Book the quickest way for both in one booking, economy. {LIGHT}",
        indirect=(
            f"{both} hate sitting around, and want to sit around together {route.words} for as short a time as can be, "
            f"on one booking. Economy will do. {LIGHT}",
        ),
    )
    return _one_way(draw, route, prompt, best.numbers, people, pick="minutes")


@template("booking/flight-refundable", app="booking", level=2)
def flight_refundable(draw: Draw) -> WebTask | None:
    """Book the cheapest way that can be refunded."""
    route = a_route(draw)
    best = the_one(route.ways, lambda each: each.price()) if route else None
    if route is None or best is None:
        return None
    people = travellers(draw)
    prompt = draw.say(
        f"Book the cheapest economy flight {route.words} for {full(people[0])}, in a fare that pays everything back if "
        "it is cancelled. No extra bags.",
        f"{full(people[0])} may have to cancel. Find the cheapest fully refundable economy ticket {route.words} and "
        "book it.",
        indirect=(
            f"It is not sure that {full(people[0])} goes {route.words}. If not, no money should be lost; and if so, as "
            "little as can be spent, in economy and with no bag more than the fare has.",
        ),
    )
    return _one_way(draw, route, prompt, best.numbers, people, fare="flex")


@template("booking/flight-airline", app="booking", level=2)
def flight_airline(draw: Draw) -> WebTask | None:
    """Book the cheapest direct flight of an airline."""
    route = a_route(draw, stops=0, least=3)
    if route is None:
        return None
    airline = draw.rng.choice(route.ways).flights[0]["airline"]
    theirs = [each for each in route.ways if each.flights[0]["airline"] == airline]
    best = the_one(theirs, lambda each: each.price())
    if best is None or best is the_one(route.ways, lambda each: each.price()):
        return None
    person = travellers(draw)[0]
    goals, allowed = book_trips(draw, Trip((best,), (person,)))
    prompt = draw.say(
        f"Book the cheapest direct flight of {airline} {route.words} for {full(person)}, economy. {LIGHT}",
        f"{full(person)} collects miles with {airline}: book their cheapest direct flight {route.words}, economy. "
        f"{LIGHT}",
        indirect=(
            f"Nobody but {airline} flies {full(person)}, who cannot stand changing planes either: get them "
            f"{route.words}, in economy, for as little as that costs. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, direct=True)
        mine = [line for line in flight_lines(pilot) if line.airline == airline]
        yield from book_flights(pilot, [min(mine, key=lambda line: line.price).number], [full(person)])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("booking/flight-new-passenger", app="booking", level=2)
def flight_new_passenger(draw: Draw) -> WebTask | None:
    """Book a given flight for somebody who is not saved."""
    route = a_route(draw, stops=0, least=2)
    if route is None:
        return None
    flight = draw.rng.choice(route.ways)
    first, last = (
        draw.rng.choice(("Nora", "Emil", "Lucia", "Otto")),
        draw.rng.choice(("Falk", "Marin", "Sorensen", "Blau")),
    )
    born = f"{draw.rng.randint(1960, 2001)}-{draw.rng.randint(1, 12):02d}-{draw.rng.randint(1, 28):02d}"
    person = (first, last, born, f"L{draw.rng.randrange(10**7, 10**8)}")
    goals, allowed = book_trips(draw, Trip((flight,), (person,)))
    prompt = draw.say(
        f"Book flight {flight.numbers} {route.words} for {first} {last}, born {born}, passport {person[3]}, economy. "
        f"{LIGHT} Do not save the traveller.",
        f"A new colleague, {first} {last} (date of birth {born}, passport number {person[3]}), flies {route.words} on "
        f"{flight.numbers}. Book it in economy. {LIGHT}",
        indirect=(
            f"{first} {last} (born {born}, passport {person[3]}) flies only this once, {route.words} on "
            f"{flight.numbers}, so nobody needs to remember them. Economy. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route)
        yield from pilot.click("link", flight.numbers)
        yield from pilot.click("link", "Light")
        labels = ("First name 1", "Last name 1", "Date of birth 1", "Passport number 1")
        for label, text in zip(labels, person, strict=True):
            yield from pilot.fill("textbox", label, text)
        yield from pay(pilot)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("booking/flight-and-seat", app="booking", level=2)
def flight_and_seat(draw: Draw) -> WebTask | None:
    """Book a given flight and choose the first seat of a kind from the front."""
    route = a_route(draw, stops=0, least=2)
    if route is None:
        return None
    flight, person = draw.rng.choice(route.ways), travellers(draw)[0]
    kind, letters = draw.rng.choice((("window", "AF"), ("aisle", "CD"), ("middle", "BE")))
    free = [code for code in seats() if code[-1] in letters and not seat_taken(flight.flights[0], route.day, code)]
    if not free:
        return None
    front = [code for code in free if code[:-1] == free[0][:-1]]
    codes = ", ".join(f"'{code}'" for code in front)
    goals, allowed = book_trips(draw, Trip((flight,), (person,), seats=f"code IN ({codes})"))
    prompt = draw.say(
        f"Book flight {flight.numbers} {route.words} for {full(person)}, economy. {LIGHT} Then reserve the free {kind} "
        "seat that is nearest to the front.",
        f"{full(person)} flies {route.words} on {flight.numbers}: book it in economy. {LIGHT} Afterwards choose a "
        f"{kind} seat, as far to the front as there is one.",
        indirect=(
            f"{full(person)} flies {route.words} on {flight.numbers}, in economy, and wants to be out of the plane "
            f"early, from a {kind} seat: of those that are free, nothing is further ahead. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route)
        yield from book_flights(pilot, [flight.numbers], [full(person)])
        yield from pilot.click("link", f"Seats on {flight.numbers}")
        there = [each.name for each in pilot.elements() if each.role == "button" and each.name[-1:] in SEAT_LETTERS]
        yield from pilot.click("button", next(name for name in there if name[-1] in letters))
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("booking/round-trip", app="booking", level=2)
def round_trip(draw: Draw) -> WebTask | None:
    """Book out and back, each by its own criterion."""
    route = a_route(draw)
    if route is None:
        return None
    back = plus(route.day, draw.rng.randint(2, 7))
    ways = itineraries(draw.db(), route.dest["id"], route.origin["id"], back)
    out, home = the_one(route.ways, lambda each: each.price()), the_one(ways, lambda each: each.minutes)
    if out is None or home is None:
        return None
    person = travellers(draw)[0]
    goals, allowed = book_trips(draw, Trip((out, home), (person,), "standard"))
    prompt = draw.say(
        f"Book a round trip {route.words}, back on {in_words(back)}, for {full(person)} in economy, Standard fare: the "
        "cheapest flight out and the shortest journey back, in one booking.",
        f"{full(person)} flies {route.words} and returns on {in_words(back)}. One booking, economy, Standard fare: out "
        "as cheaply as possible, back as quickly as possible.",
        indirect=(
            f"{full(person)} has time but no money {route.words}, and money but no time on the way home on "
            f"{in_words(back)}. One booking, economy, Standard fare.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, back=back)
        yield from pilot.click("link", min(flight_lines(pilot), key=lambda line: line.price).number)
        shortest = min(flight_lines(pilot), key=lambda line: line.minutes)
        yield from book_flights(pilot, [shortest.number], [full(person)], fare="Standard")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)
