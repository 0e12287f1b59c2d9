"""What Booking's tasks want: bookings as goals and allowed changes, draws, and the moves of its experts."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, TypeVar

from thinkact.envs.web.booking_data import EMAIL, HORIZON, Itinerary, itineraries, plus
from thinkact.envs.web.booking_rooms import Nights
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw

ItemT = TypeVar("ItemT")
_WAYS = (
    "(SELECT group_concat(k) FROM (SELECT way || flight_id || '@' || day k FROM segment "
    "WHERE trip_id = trip.id ORDER BY id))"
)
_PEOPLE = (
    "(SELECT group_concat(k) FROM (SELECT first || ' ' || last || ' ' || born || ' ' || passport k FROM passenger "
    "WHERE trip_id = trip.id ORDER BY passport))"
)
LIGHT = "Choose the Light fare, without extra bags."
Person = tuple[str, str, str, str]


def in_words(day: str) -> str:
    """A day as people write it: ``4 April 2026``."""
    moment = date.fromisoformat(day)
    return f"{moment.day} {moment:%B} {moment.year}"


def the_one(items: Sequence[ItemT], key: Callable[[ItemT], Any]) -> ItemT | None:
    """Return the item with the smallest key, or None where two share it or there is none."""
    ordered = sorted(items, key=key)
    if not ordered or (len(ordered) > 1 and key(ordered[0]) == key(ordered[1])):
        return None
    return ordered[0]


# Bookings as goals.


@dataclass(frozen=True)
class Trip:
    """A trip that shall be booked; ``seats`` is an SQL condition on ``code`` that every passenger's seat shall meet."""

    ways: tuple[Itinerary, ...]
    people: tuple[Person, ...]
    fare: str = "light"
    cabin: str = "economy"
    bags: int = 0
    card: int = 0
    seats: str = ""

    def condition(self) -> tuple[str, tuple[Any, ...]]:
        """Return what is true of this trip's row, as SQL with its values."""
        keys = [
            f"{way}{flight['id']}@{each.day}"
            for way, each in zip(("out", "back"), self.ways, strict=False)
            for flight in each.flights
        ]
        people = [" ".join(each) for each in sorted(self.people, key=lambda each: each[3])]
        sql = "status = 'confirmed' AND cabin = ? AND fare = ? AND bags = ? AND email = ?"
        sql += f" AND {_WAYS} = ? AND {_PEOPLE} = ?"
        values: tuple[Any, ...] = (self.cabin, self.fare, self.bags, EMAIL, ",".join(keys), ",".join(people))
        return (f"{sql} AND card_id = ?", (*values, self.card)) if self.card else (sql, values)


def book_trips(draw: Draw, *trips: Trip) -> tuple[tuple[Goal, ...], tuple[Allowed, ...]]:
    """Return the goals of booking these trips, and leave to do that once and nothing else."""
    last = draw.rows("SELECT coalesce(max(id), 0) FROM trip")[0][0]
    new = f"BETWEEN {last + 1} AND {last + len(trips)}"
    goals, allowed = [], []
    for number, trip in enumerate(trips, 1):
        sql, values = trip.condition()
        goals.append(
            Goal(f"trip {number} is booked", f"SELECT count(*) = 1 FROM trip WHERE id > {last} AND {sql}", values)
        )
        allowed.append(Allowed("trip", f"id {new} AND {sql}", ops=("insert",), params=values))
        if trip.seats:
            mine = f"segment_id IN (SELECT id FROM segment WHERE trip_id {new})"
            goals.append(
                Goal(
                    f"seats of trip {number}",
                    f"SELECT count(*) = {len(trip.people)} FROM seat WHERE {mine} AND {trip.seats}",
                )
            )
            allowed.append(Allowed("seat", f"{mine} AND {trip.seats}", ops=("insert",)))
    # What hangs on a trip that is allowed is judged with it: their contents are part of its condition.
    allowed += [Allowed(table, f"trip_id {new}", ops=("insert",)) for table in ("segment", "passenger")]
    return tuple(goals), tuple(allowed)


@dataclass(frozen=True)
class Stay:
    """A stay that shall be booked, in any of ``rooms``."""

    rooms: tuple[int, ...]
    nights: Nights
    guest: str
    breakfast: bool = False
    wishes: str = ""

    def condition(self) -> tuple[str, tuple[Any, ...]]:
        """Return what is true of this stay's row, as SQL with its values."""
        rooms = ", ".join(map(str, self.rooms))
        sql = (
            f"status = 'confirmed' AND room_id IN ({rooms}) AND arrive = ? AND leave = ? AND guests = ? AND guest = ? "
            "AND breakfast = ? AND wishes = ?"
        )
        return sql, (*vars(self.nights).values(), self.guest, int(self.breakfast), self.wishes)


def book_stays(draw: Draw, *wanted: Stay) -> tuple[tuple[Goal, ...], tuple[Allowed, ...]]:
    """Return the goals of booking these stays, and leave to do that once and nothing else."""
    last = draw.rows("SELECT coalesce(max(id), 0) FROM stay")[0][0]
    goals, allowed = [], []
    for number, stay in enumerate(wanted, 1):
        sql, values = stay.condition()
        goals.append(
            Goal(f"stay {number} is booked", f"SELECT count(*) = 1 FROM stay WHERE id > {last} AND {sql}", values)
        )
        allowed.append(Allowed("stay", f"id <= {last + len(wanted)} AND {sql}", ops=("insert",), params=values))
    return tuple(goals), tuple(allowed)


def row_goal(name: str, table: str, id: int, **values: Any) -> tuple[Goal, Allowed]:
    """Return the goal that a row gets these values, and leave to change them and only so."""
    where = " AND ".join(f"{column} = ?" for column in values)
    columns = tuple(values)
    # Money follows from what is done; it is not for the agent to get right.
    extra = ("total", "refunded") if table in ("trip", "stay") else ()
    return (
        Goal(name, f"SELECT count(*) FROM {table} WHERE id = {id} AND {where}", tuple(values.values())),
        Allowed(table, f"id = {id} AND {where}", (*columns, *extra), ("update",), params=tuple(values.values())),
    )


# Draws.


class Route(NamedTuple):
    """A day and two cities, with every way to go."""

    origin: sqlite3.Row
    dest: sqlite3.Row
    day: str
    ways: list[Itinerary]

    @property
    def words(self) -> str:
        """For a prompt."""
        return f"from {self.origin['name']} to {self.dest['name']} on {in_words(self.day)}"


def today(draw: Draw) -> str:
    """The frozen day."""
    return draw.now.date().isoformat()


def a_day(draw: Draw, low: int = 3, high: int = HORIZON - 10) -> str:
    """Draw a day so many days ahead."""
    return plus(today(draw), draw.rng.randint(low, high))


def a_route(draw: Draw, day: str = "", *, stops: int = 1, least: int = 3) -> Route | None:
    """Draw a route with at least so many ways to go."""
    cities = draw.rows("SELECT * FROM city ORDER BY id")
    origin, dest = draw.some(cities, 2)
    day = day or a_day(draw)
    ways = itineraries(draw.db(), origin["id"], dest["id"], day, stops=stops)
    return Route(origin, dest, day, ways) if len(ways) >= least else None


def travellers(draw: Draw, n: int = 1) -> list[Person]:
    """Draw saved travellers."""
    saved = draw.rows("SELECT first, last, born, passport FROM traveller ORDER BY id")
    return [tuple(each) for each in draw.some(saved, n)]


def full(person: Person) -> str:
    """First and last name."""
    return f"{person[0]} {person[1]}"


def some_nights(draw: Draw, guests: int = 0) -> Nights:
    """Draw nights and guests."""
    arrive = a_day(draw)
    return Nights(arrive, plus(arrive, draw.rng.randint(2, 4)), guests or draw.rng.randint(1, 2))


def between(nights: Nights) -> str:
    """Nights for a prompt."""
    people = "one guest" if nights.guests == 1 else f"{nights.guests} guests"
    return f"from {in_words(nights.arrive)} to {in_words(nights.leave)} for {people}"


# Moves of the experts: they read the page, not the database.


@dataclass(frozen=True)
class FlightLine:
    """A line of the table of flights."""

    number: str
    departs: str
    arrives: str
    minutes: int
    direct: bool
    airline: str
    price: int


_FLIGHT = re.compile(
    r'"([A-Z]{2} \d+(?: \+ [A-Z]{2} \d+)?)" *\| *(\d\d:\d\d) *\| *(\d\d:\d\d) *\| *(\d+) h (\d\d) min *'
    r"\| *(direct|via \w+) *\| *([^|\n]+?) *\| *EUR (\d+)"
)
_HOTEL = re.compile(
    r'"([^"\n]+)" *\| *(\d) *\| *([\d.]+) *\| *([\d.]+) km *\| *(\w+) *\| *(free|not free) *\| *EUR (\d+)'
)


def flight_lines(pilot: Pilot) -> list[FlightLine]:
    """Read the table of flights."""
    return [
        FlightLine(number, departs, arrives, int(hours) * 60 + int(minutes), stops == "direct", airline, int(price))
        for number, departs, arrives, hours, minutes, stops, airline, price in _FLIGHT.findall(pilot.text)
    ]


def search_flights(
    pilot: Pilot,
    origin: str,
    dest: str,
    day: str,
    *,
    back: str = "",
    adults: int = 1,
    cabin: str = "economy",
    direct: bool = False,
    latest: str = "",
) -> Moves:
    """Fill in the search and send it."""
    if pilot.find("button", "Search flights") is None:
        yield from pilot.click("link", "Flights")
    yield from pilot.select("From", origin)
    yield from pilot.select("To", dest)
    if back:
        yield from pilot.fill("textbox", "Return date", back)
    if adults > 1:
        yield from pilot.select("Adults", str(adults))
    if cabin != "economy":
        yield from pilot.select("Cabin", cabin)
    if direct:
        yield from pilot.select("Stops", "direct")
    if latest:
        yield from pilot.fill("textbox", "Arrive by", latest)
    yield from pilot.fill("textbox", "Departure date", day)
    yield from pilot.click("button", "Search flights")


def search_route(pilot: Pilot, route: Route, **options: Any) -> Moves:
    """Search for a route."""
    yield from search_flights(pilot, route.origin["name"], route.dest["name"], route.day, **options)


def book_flights(
    pilot: Pilot, numbers: Sequence[str], people: Sequence[str], *, fare: str = "Light", bags: int = 0, card: str = ""
) -> Moves:
    """Click through from the table of flights: flights, fare, saved travellers, payment."""
    for number in numbers:
        yield from pilot.click("link", number)
    yield from pilot.click("link", fare)
    for place, name in enumerate(people, 1):
        yield from pilot.select(f"Saved traveller {place}", name)
    yield from pay(pilot, bags=bags, card=card)


def pay(pilot: Pilot, *, bags: int = 0, card: str = "") -> Moves:
    """Extras, card, rules, button."""
    if bags:
        yield from pilot.select("Extra bags", str(bags))
    if card:
        yield from pilot.select("Pay with", card)
    yield from pilot.check("I accept the fare rules")
    yield from pilot.click("button", "Pay and book")


@dataclass(frozen=True)
class HotelLine:
    """A line of the table of hotels."""

    name: str
    stars: int
    rating: float
    km: float
    room: str
    free: bool
    total: int


def hotel_lines(pilot: Pilot) -> list[HotelLine]:
    """Read the table of hotels."""
    return [
        HotelLine(name, int(stars), float(rating), float(km), room, free == "free", int(total))
        for name, stars, rating, km, room, free, total in _HOTEL.findall(pilot.text)
    ]


def search_rooms(
    pilot: Pilot, city: str, nights: Nights, *, stars: str = "", amenity: str = "", free: bool = False, sort: str = ""
) -> Moves:
    """Fill in the search of rooms and send it."""
    if pilot.find("button", "Search rooms") is None:
        yield from pilot.click("link", "Rooms")
    yield from pilot.select("City", city)
    yield from pilot.fill("textbox", "Arrival", nights.arrive)
    yield from pilot.fill("textbox", "Departure", nights.leave)
    if nights.guests > 1:
        yield from pilot.select("Guests", str(nights.guests))
    if stars:
        yield from pilot.select("Stars", stars)
    if amenity:
        yield from pilot.select("Amenity", amenity)
    if sort:
        yield from pilot.select("Sort by", sort)
    if free:
        yield from pilot.check("Free cancellation only")
    yield from pilot.click("button", "Search rooms")


def book_room(pilot: Pilot, hotel: str, room: str, guest: str, *, breakfast: bool = False, wishes: str = "") -> Moves:
    """Click through from the table of hotels: hotel, room, guest, payment."""
    yield from pilot.click("link", hotel)
    yield from pilot.click("link", f"Book {room}")
    yield from pilot.fill("textbox", "Main guest", guest)
    if breakfast:
        yield from pilot.check("Breakfast")
    if wishes:
        yield from pilot.fill("textbox", "Wishes", wishes)
    yield from pilot.check("I accept the house rules")
    yield from pilot.click("button", "Book now")


def open_booking(pilot: Pilot, pattern: str) -> Moves:
    """Go to "My bookings" and open the first whose line matches; the reference is the pattern's only group."""
    yield from pilot.click("link", "My bookings")
    yield from pilot.click("link", pilot.read(pattern))
