"""Tasks of Booking about finding and booking rooms."""

from __future__ import annotations

import sqlite3

from thinkact.envs.answers import Answer
from thinkact.envs.web.booking_data import HORIZON, plus, room_free
from thinkact.envs.web.booking_goals import (
    Stay,
    between,
    book_room,
    book_stays,
    full,
    hotel_lines,
    search_rooms,
    some_nights,
    the_one,
    today,
    travellers,
)
from thinkact.envs.web.booking_rooms import Nights, Offer, offers
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template

_KINDS = ("pool", "gym", "sauna", "parking", "bar")


def _city(draw: Draw) -> sqlite3.Row:
    return draw.rng.choice(draw.rows("SELECT * FROM city ORDER BY id"))


def _book(
    draw: Draw,
    prompt: str,
    city: str,
    nights: Nights,
    offer: Offer,
    *,
    pick: str = "total",
    highest: bool = False,
    budget: int = 0,
    search: dict[str, str | bool] | None = None,
    breakfast: bool = False,
    wishes: str = "",
) -> WebTask:
    """Return the task of booking the cheapest room of a hotel that the expert picks from the table by ``pick``."""
    guest = full(travellers(draw)[0])
    wanted = Stay((offer.room["id"],), nights, guest, breakfast, wishes)
    goals, allowed = book_stays(draw, wanted)

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, city, nights, **(search or {}))  # type: ignore[arg-type]
        lines = [line for line in hotel_lines(pilot) if not budget or line.total <= budget]
        line = min(lines, key=lambda line: getattr(line, pick) * (-1 if highest else 1))
        yield from book_room(pilot, line.name, line.room, guest, breakfast=breakfast, wishes=wishes)
        yield from pilot.done()

    extra = " with breakfast" if breakfast else ""
    closing = f" Take the cheapest room there that fits{extra}; the main guest is {guest}."
    asked = f' Under "Wishes" write: {wishes}' if wishes else ""
    return WebTask(prompt + closing + asked, solve, goals, allowed)


@template("booking/hotel-total", app="booking", level=1)
def hotel_total(draw: Draw) -> WebTask | None:
    """What the cheapest stay in a city costs."""
    city, nights = _city(draw), some_nights(draw)
    found = offers(draw.db(), city["id"], nights)
    if len(found) < 3:
        return None
    prompt = draw.say(
        f"How much is the cheapest stay in {city['name']} {between(nights)}, without breakfast? Answer in EUR for all "
        "nights.",
        f"What is the lowest total in EUR for a room in {city['name']} {between(nights)}?",
        indirect=(
            f"If I take the least that is asked for a room in {city['name']} {between(nights)} and eat elsewhere, how "
            "many EUR do I pay in the end?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, city["name"], nights)
        yield from pilot.answer(str(min(line.total for line in hotel_lines(pilot))))

    return WebTask(prompt, solve, answer=Answer("number", str(found[0].total), unit="EUR"))


@template("booking/best-rated", app="booking", level=1)
def best_rated(draw: Draw) -> WebTask | None:
    """The hotel with the best rating among those with an amenity."""
    city, nights, amenity = _city(draw), some_nights(draw), draw.rng.choice(_KINDS)
    best = the_one(offers(draw.db(), city["id"], nights, amenity=amenity), lambda each: -each.hotel["rating"])
    if best is None:
        return None
    what = {"parking": "parking"}.get(amenity, f"a {amenity}")
    prompt = draw.say(
        f"Which hotel in {city['name']} with {what} has the best rating among those that are free {between(nights)}?",
        f"Name the best rated hotel with {what} in {city['name']} that has a room {between(nights)}.",
        indirect=(
            f"I will not stay in {city['name']} {between(nights)} without {what}. Of what I can have then, where were "
            "people most content?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, city["name"], nights, amenity=amenity)
        yield from pilot.answer(max(hotel_lines(pilot), key=lambda line: line.rating).name)

    return WebTask(prompt, solve, answer=Answer("name", best.hotel["name"]))


@template("booking/first-full-night", app="booking", level=1)
def first_full_night(draw: Draw) -> WebTask | None:
    """The first night that a room is full, from its calendar."""
    room = draw.pick(
        "SELECT room.*, hotel.name AS hotel, city.name AS city FROM room JOIN hotel ON hotel.id = hotel_id JOIN city "
        "ON city.id = city_id ORDER BY room.id"
    )
    assert room is not None
    days = [plus(today(draw), number) for number in range(1, HORIZON + 1)]
    full_nights = [day for day in days if not room_free(draw.db(), room["id"], day, plus(day, 1))]
    if not full_nights:
        return None
    prompt = draw.say(
        f"Look at the calendar of the {room['name']} room of {room['hotel']} in {room['city']}: which is the first "
        "night that is full? Answer as YYYY-MM-DD.",
        f"{room['hotel']} ({room['city']}) has a {room['name']} room. From when on, first, can it not be had for a "
        "night?",
        indirect=(
            f"I could sleep any night in the {room['name']} room of {room['hotel']} in {room['city']}, as long as "
            "nobody else does. On which night (YYYY-MM-DD) is that first the case?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        for ahead in (2, 12, 22, 32):
            night = Nights(plus(today(draw), ahead), plus(today(draw), ahead + 1), 1)
            yield from search_rooms(pilot, room["city"], night)
            if pilot.find("link", room["hotel"]):
                break
        yield from pilot.click("link", room["hotel"])
        yield from pilot.click("link", room["name"])
        while not (there := pilot.read_all(r"(\d{4}-\d\d-\d\d): full")):
            yield from pilot.click("link", "Next month")
        yield from pilot.answer(there[0])

    return WebTask(prompt, solve, answer=Answer("date", full_nights[0]))


@template("booking/room-cheapest", app="booking", level=2)
def room_cheapest(draw: Draw) -> WebTask | None:
    """Book the cheapest room in a city."""
    city, nights = _city(draw), some_nights(draw)
    best = the_one(offers(draw.db(), city["id"], nights), lambda each: each.total)
    if best is None:
        return None
    prompt = draw.say(
        f"Book the cheapest hotel in {city['name']} {between(nights)}.",
        f"I need a bed in {city['name']} {between(nights)}, at the lowest total there is. Book it.",
        indirect=(
            f"All I want in {city['name']} {between(nights)} is to spend as little as can be on a room. See to it.",
        ),
    )
    return _book(draw, prompt, city["name"], nights, best)


@template("booking/room-stars", app="booking", level=2)
def room_stars(draw: Draw) -> WebTask | None:
    """Book by stars, amenity and free cancellation."""
    city, nights, amenity = _city(draw), some_nights(draw), draw.rng.choice(_KINDS)
    found = offers(draw.db(), city["id"], nights, stars=3, amenity=amenity, free_cancellation=True)
    best = the_one(found, lambda each: each.total)
    rooms = offers(draw.db(), city["id"], nights)
    if best is None or rooms[0].hotel["id"] == best.hotel["id"]:
        return None
    in_hotel = next(each for each in rooms if each.hotel["id"] == best.hotel["id"])
    if in_hotel.room["id"] != best.room["id"]:
        return None  # "the cheapest room that fits" must not depend on how it is read
    prompt = draw.say(
        f"Book the cheapest hotel in {city['name']} {between(nights)} that has 3 stars or more, {amenity} and free "
        "cancellation.",
        f"In {city['name']}, {between(nights)}: 3 stars at least, {amenity}, free cancellation, and as cheap as that "
        "gets. Book it.",
        indirect=(
            f"I may have to call off my stay in {city['name']} {between(nights)} and want nothing to pay then. I need "
            f"{amenity}, and at least 3 stars. Among all that has this, money decides. See to it.",
        ),
    )
    options: dict[str, str | bool] = {"stars": "3 or more", "amenity": amenity, "free": True}
    return _book(draw, prompt, city["name"], nights, best, search=options)


@template("booking/room-central", app="booking", level=2)
def room_central(draw: Draw) -> WebTask | None:
    """Book the hotel nearest to the centre within a budget."""
    city, nights = _city(draw), some_nights(draw)
    found = offers(draw.db(), city["id"], nights)
    if len(found) < 4:
        return None
    budget = (found[2].total // 10 + 1) * 10
    best = the_one([each for each in found if each.total <= budget], lambda each: each.hotel["km"])
    if best is None or best is found[0] or best is the_one(found, lambda each: each.hotel["km"]):
        return None
    prompt = draw.say(
        f"Book the hotel nearest to the centre of {city['name']} {between(nights)} whose total is at most EUR "
        f"{budget}.",
        f"My budget for {city['name']} {between(nights)} is EUR {budget} in all, without breakfast. Book the most "
        "central hotel within it.",
        indirect=(
            f"I walk everywhere in {city['name']} {between(nights)} and do not want to walk far to the centre; EUR "
            f"{budget} is all that I have for the room. See to it.",
        ),
    )
    return _book(draw, prompt, city["name"], nights, best, pick="km", budget=budget)


@template("booking/room-rated-breakfast", app="booking", level=2)
def room_rated_breakfast(draw: Draw) -> WebTask | None:
    """Book the best rated hotel, with breakfast and a wish."""
    city, nights = _city(draw), some_nights(draw)
    best = the_one(offers(draw.db(), city["id"], nights), lambda each: -each.hotel["rating"])
    if best is None:
        return None
    wishes = draw.rng.choice(("a quiet room please", "a high floor please", "late arrival after 22:00", "a cot please"))
    prompt = draw.say(
        f"Book the best rated hotel in {city['name']} {between(nights)}.",
        f"Only the best rating will do: book that hotel in {city['name']} {between(nights)}.",
        indirect=(
            f"Where in {city['name']}, of all that is free {between(nights)}, were people most content? I want to stay "
            "there.",
        ),
    )
    return _book(draw, prompt, city["name"], nights, best, pick="rating", highest=True, breakfast=True, wishes=wishes)


@template("booking/named-room", app="booking", level=2)
def named_room(draw: Draw) -> WebTask | None:
    """Book a given room of a given hotel."""
    city, nights = _city(draw), some_nights(draw, 1)
    found = offers(draw.db(), city["id"], nights)
    if not found:
        return None
    offer = draw.rng.choice(found)
    rooms = draw.rows("SELECT * FROM room WHERE hotel_id = ? ORDER BY id", offer.hotel["id"])
    room = draw.rng.choice([each for each in rooms if room_free(draw.db(), each["id"], nights.arrive, nights.leave)])
    guest = full(travellers(draw)[0])
    goals, allowed = book_stays(draw, Stay((room["id"],), nights, guest, breakfast=True))
    prompt = draw.say(
        f"Book the {room['name']} room of {offer.hotel['name']} in {city['name']} {between(nights)}, with breakfast, "
        f"for {guest}.",
        f"{guest} wants to stay at {offer.hotel['name']}, {city['name']}, {between(nights)}: the {room['name']} room, "
        "breakfast included. Book it.",
        indirect=(
            f"{guest} was happy in the {room['name']} room of {offer.hotel['name']} in {city['name']}, and had "
            f"breakfast there. It should be the same {between(nights)}.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, city["name"], nights)
        yield from book_room(pilot, offer.hotel["name"], room["name"], guest, breakfast=True)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("booking/over-budget", app="booking", level=1, infeasible=True)
def over_budget(draw: Draw) -> WebTask | None:
    """No room is that cheap."""
    city, nights = _city(draw), some_nights(draw)
    found = offers(draw.db(), city["id"], nights)
    if not found:
        return None
    budget = found[0].total - draw.rng.randint(5, 40)
    guest = full(travellers(draw)[0])
    prompt = draw.say(
        f"Book a hotel in {city['name']} {between(nights)} for at most EUR {budget} in all; the main guest is {guest}.",
        f"{guest} has EUR {budget} for a room in {city['name']} {between(nights)}. Book one within that.",
        indirect=(
            f"Get {guest} a room in {city['name']} {between(nights)} so that of EUR {budget} nothing is missing in the "
            "end.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from search_rooms(pilot, city["name"], nights)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)


@template("booking/no-such-hotel", app="booking", level=1, infeasible=True)
def no_such_hotel(draw: Draw) -> WebTask | None:
    """No hotel has what is asked for."""
    city, nights, amenity = _city(draw), some_nights(draw), draw.rng.choice(_KINDS)
    stars = draw.rng.choice((4, 5))
    if offers(draw.db(), city["id"], nights, stars=stars, amenity=amenity):
        return None
    guest = full(travellers(draw)[0])
    prompt = draw.say(
        f"Book any hotel in {city['name']} {between(nights)} with {stars} stars or more and {amenity}, for {guest}.",
        indirect=(
            f"{guest} stays in {city['name']} {between(nights)} and is used to {amenity} and to {stars} stars at "
            "least. Get them a room; which one is all the same.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        label = "5" if stars == 5 else "4 or more"
        yield from search_rooms(pilot, city["name"], nights, stars=label, amenity=amenity)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)
