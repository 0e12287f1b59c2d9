"""Tasks of Booking that end in an answer about flights, or in the finding that it cannot be done."""

from __future__ import annotations

from thinkact.envs.answers import Answer
from thinkact.envs.web.booking_data import (
    FARES,
    HORIZON,
    clock,
    hhmm,
    itineraries,
    month_grid,
    plus,
)
from thinkact.envs.web.booking_goals import (
    LIGHT,
    a_day,
    a_route,
    flight_lines,
    full,
    in_words,
    search_flights,
    search_route,
    the_one,
    today,
    travellers,
)
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


@template("booking/flight-departure", app="booking", level=1)
def flight_departure(draw: Draw) -> WebTask | None:
    """When a flight leaves."""
    route = a_route(draw, stops=0, least=2)
    if route is None:
        return None
    flight = draw.rng.choice(route.ways)
    ask, gold = draw.rng.choice((("leave", flight.departs), ("arrive", flight.arrives)))
    prompt = draw.say(
        f"At what time does flight {flight.numbers} {route.words} {ask}?",
        f"I am on flight {flight.numbers} {route.words}. Find out when it is to {ask}, as HH:MM.",
        indirect=(
            f"Somebody will {'take me to' if ask == 'leave' else 'fetch me at'} the airport when I fly {route.words} "
            f"on {flight.numbers}. For when do I order them, if they come at the very minute the plane is to {ask}? "
            "HH:MM, please.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route)
        line = next(line for line in flight_lines(pilot) if line.number == flight.numbers)
        yield from pilot.answer(line.departs if ask == "leave" else line.arrives)

    return WebTask(prompt, solve, answer=Answer("time", gold))


@template("booking/fastest-flight", app="booking", level=1)
def fastest_flight(draw: Draw) -> WebTask | None:
    """The direct flight that takes the least time."""
    route = a_route(draw, stops=0, least=2)
    best = the_one(route.ways, lambda each: each.minutes) if route else None
    if route is None or best is None:
        return None
    prompt = draw.say(
        f"Which direct flight {route.words} takes the least time? Answer with its flight number.",
        f"Give me the number of the shortest direct flight {route.words}.",
        indirect=(f"I hate sitting in planes. Direct flights {route.words}: which number keeps me in the air least?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, direct=True)
        yield from pilot.answer(min(flight_lines(pilot), key=lambda line: line.minutes).number)

    return WebTask(prompt, solve, answer=Answer("literal", best.numbers))


@template("booking/cheapest-price", app="booking", level=1)
def cheapest_price(draw: Draw) -> WebTask | None:
    """The lowest price of a cabin."""
    route = a_route(draw)
    if route is None:
        return None
    cabin = draw.rng.choice(("economy", "premium", "business"))
    price = min(each.price(cabin) for each in route.ways)
    prompt = draw.say(
        f"What is the lowest price in {cabin} for one adult {route.words}, in EUR?",
        f"How many euros does the cheapest {cabin} flight {route.words} cost for one adult? Stops do not matter.",
        indirect=(
            f"How many EUR do I need at least to sit in {cabin} {route.words}, on my own, however often I change "
            "planes?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, cabin=cabin)
        yield from pilot.answer(str(min(line.price for line in flight_lines(pilot))))

    return WebTask(prompt, solve, answer=Answer("number", str(price), unit="EUR"))


@template("booking/count-before", app="booking", level=1)
def count_before(draw: Draw) -> WebTask | None:
    """How many ways arrive early enough."""
    route = a_route(draw, least=6)
    if route is None:
        return None
    latest = hhmm(clock(draw.rng.choice(route.ways).arrives) // 30 * 30 + 30)
    if latest > "23:00":
        return None
    count = sum(each.arrives <= latest for each in route.ways)
    prompt = draw.say(
        f"How many ways are there to fly {route.words} that arrive by {latest}, connections included? Answer with a "
        "number.",
        f"Count the connections {route.words}, direct or not, with arrival at {latest} or earlier.",
        indirect=(
            f"I have to be there by {latest}. Between how many ways {route.words} can I choose, if I do not mind "
            "changing planes?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, latest=latest)
        yield from pilot.answer(str(len(flight_lines(pilot))))

    return WebTask(prompt, solve, answer=Answer("number", str(count)))


@template("booking/fare-rules", app="booking", level=1)
def fare_rules(draw: Draw) -> WebTask | None:
    """What a fare costs for several adults."""
    route = a_route(draw, stops=0, least=2)
    if route is None:
        return None
    flight, adults = draw.rng.choice(route.ways), draw.rng.randint(2, 4)
    key = draw.rng.choice(("standard", "flex"))
    what = {
        "standard": "the fare that includes a bag but pays nothing back",
        "flex": "the fare that can be cancelled with a full refund",
    }[key]
    prompt = draw.say(
        f"What would {adults} adults pay in all, in EUR, for flight {flight.numbers} {route.words} in economy with "
        f"{what}?",
        f"Tell me the total in EUR for {adults} adults on {flight.numbers}, {route.words}, economy, with {what}. Book "
        "nothing.",
        indirect=(
            f"There are {adults} of us, and we think of {flight.numbers} {route.words}, in economy. How many EUR do we "
            f"all pay for {what}? It is too early to book.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, adults=adults)
        yield from pilot.click("link", flight.numbers)
        yield from pilot.answer(pilot.read(rf'"{FARES[key].name}" *\|.*EUR (\d+)$'))

    return WebTask(prompt, solve, answer=Answer("number", str(flight.price("economy", key) * adults), unit="EUR"))


@template("booking/cheapest-day", app="booking", level=1)
def cheapest_day(draw: Draw) -> WebTask | None:
    """The cheapest day of a month, from the calendar."""
    route = a_route(draw, a_day(draw, 1, 3))
    month = plus(today(draw), 20)[:7]
    grid = month_grid(month, today(draw))
    if route is None or grid is None:
        return None
    lowest: dict[str, int] = {}
    for day in sorted(grid.sold):
        if ways := itineraries(draw.db(), route.origin["id"], route.dest["id"], day):
            lowest[day] = min(each.price() for each in ways)
    best = the_one(list(lowest), lambda day: lowest[day])
    if best is None:
        return None
    ends = f"from {route.origin['name']} to {route.dest['name']}"
    prompt = draw.say(
        f"On which day in {grid.name} is it cheapest to fly {ends} (economy, one adult)? Answer as YYYY-MM-DD.",
        f"I can fly {ends} any day in {grid.name}. Which date has the lowest price in economy?",
        indirect=(
            f"My holiday is in {grid.name} and I am free to fly {ends} whenever it costs least (economy, alone). Tell "
            "me the date as YYYY-MM-DD.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route)
        yield from pilot.click("link", "Calendar of lowest prices")
        if not pilot.shows(grid.name):
            yield from pilot.click("link", "Next month")
        found = pilot.read_all(r'"(\d{4}-\d\d-\d\d): EUR (\d+)"')
        yield from pilot.answer(min(found, key=lambda each: int(each[1]))[0])

    return WebTask(prompt, solve, answer=Answer("date", best))


@template("booking/not-running", app="booking", level=1, infeasible=True)
def not_running(draw: Draw) -> WebTask | None:
    """A flight that is sold out, or not in the timetable of that day."""
    route = a_route(draw, stops=0, least=1)
    if route is None:
        return None
    flights = draw.rows(
        "SELECT * FROM flight WHERE origin_id = ? AND dest_id = ? ORDER BY id", route.origin["id"], route.dest["id"]
    )
    sold = {each.numbers for each in route.ways}
    gone = [flight for flight in flights if flight["number"] not in sold]
    if not gone:
        return None
    flight, person = draw.rng.choice(gone), travellers(draw)[0]
    prompt = draw.say(
        f"Book flight {flight['number']} {route.words} for {full(person)}, economy. {LIGHT}",
        f"{full(person)} needs flight {flight['number']} {route.words}, no other. Book it in economy. {LIGHT}",
        indirect=(
            f"{full(person)} has told everybody about coming on {flight['number']} {route.words}, so it must be that "
            f"one. See that there is a seat in economy. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, direct=True)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)


@template("booking/too-early", app="booking", level=1, infeasible=True)
def too_early(draw: Draw) -> WebTask | None:
    """No way arrives in time."""
    route = a_route(draw)
    if route is None:
        return None
    latest = hhmm(min(clock(each.arrives) for each in route.ways) - draw.rng.choice((10, 25, 40)))
    person = travellers(draw)[0]
    prompt = draw.say(
        f"{full(person)} must be in {route.dest['name']} by {latest}. Book the cheapest economy flight {route.words} "
        f"that arrives by then. {LIGHT}",
        f"Book an economy flight {route.words} for {full(person)} that arrives no later than {latest}. {LIGHT}",
        indirect=(
            f"Somebody waits for {full(person)} in {route.dest['name']} until {latest} and not a minute longer. Get "
            f"them there {route.words}, in economy, for as little as that costs. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_route(pilot, route, latest=latest)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)


@template("booking/beyond-sale", app="booking", level=1, infeasible=True)
def beyond_sale(draw: Draw) -> WebTask | None:
    """A day for which nothing is sold yet."""
    cities = draw.some(draw.rows("SELECT * FROM city ORDER BY id"), 2)
    day, person = plus(today(draw), HORIZON + draw.rng.randint(5, 90)), travellers(draw)[0]
    prompt = draw.say(
        f"Book the cheapest economy flight from {cities[0]['name']} to {cities[1]['name']} on {in_words(day)} for "
        f"{full(person)}. {LIGHT}",
        indirect=(
            f"{full(person)} likes to plan ahead: get them from {cities[0]['name']} to {cities[1]['name']} on "
            f"{in_words(day)}, in economy, for as little as it costs. {LIGHT}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_flights(pilot, cities[0]["name"], cities[1]["name"], day)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)
