"""Booking's schema and the arithmetic of fares, connections and nights.

Pages and tasks both go through the functions here, so that what a page shows and what a task asks for cannot
drift apart. Money is whole euros. Days are ``YYYY-MM-DD``, times ``HH:MM``; every city keeps the same clock.
"""

from __future__ import annotations

import calendar
import sqlite3
import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

SCHEMA: Final = """
CREATE TABLE city (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE);
CREATE TABLE airline (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE);
CREATE TABLE flight (
  id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, airline_id INTEGER NOT NULL, origin_id INTEGER NOT NULL,
  dest_id INTEGER NOT NULL, departs TEXT NOT NULL, arrives TEXT NOT NULL, minutes INTEGER NOT NULL,
  weekdays TEXT NOT NULL, price INTEGER NOT NULL);
CREATE TABLE sold_out (id INTEGER PRIMARY KEY, flight_id INTEGER NOT NULL, day TEXT NOT NULL);
CREATE TABLE card (id INTEGER PRIMARY KEY, label TEXT NOT NULL, last4 TEXT NOT NULL, expires TEXT NOT NULL);
CREATE TABLE traveller (
  id INTEGER PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL, born TEXT NOT NULL, passport TEXT NOT NULL);
CREATE TABLE trip (
  id INTEGER PRIMARY KEY, ref TEXT NOT NULL UNIQUE, status TEXT NOT NULL, cabin TEXT NOT NULL, fare TEXT NOT NULL,
  bags INTEGER NOT NULL, email TEXT NOT NULL, card_id INTEGER NOT NULL, total INTEGER NOT NULL,
  refunded INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL);
CREATE TABLE segment (
  id INTEGER PRIMARY KEY, trip_id INTEGER NOT NULL, flight_id INTEGER NOT NULL, day TEXT NOT NULL, way TEXT NOT NULL);
CREATE TABLE passenger (
  id INTEGER PRIMARY KEY, trip_id INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL, born TEXT NOT NULL,
  passport TEXT NOT NULL);
CREATE TABLE seat (
  id INTEGER PRIMARY KEY, segment_id INTEGER NOT NULL, passenger_id INTEGER NOT NULL, code TEXT NOT NULL);
CREATE TABLE hotel (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city_id INTEGER NOT NULL, stars INTEGER NOT NULL,
  rating REAL NOT NULL, km REAL NOT NULL, about TEXT NOT NULL);
CREATE TABLE amenity (id INTEGER PRIMARY KEY, hotel_id INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE room (
  id INTEGER PRIMARY KEY, hotel_id INTEGER NOT NULL, name TEXT NOT NULL, beds TEXT NOT NULL, sleeps INTEGER NOT NULL,
  price INTEGER NOT NULL, breakfast INTEGER NOT NULL, free_days INTEGER NOT NULL);
CREATE TABLE full_night (id INTEGER PRIMARY KEY, room_id INTEGER NOT NULL, day TEXT NOT NULL);
CREATE TABLE stay (
  id INTEGER PRIMARY KEY, ref TEXT NOT NULL UNIQUE, room_id INTEGER NOT NULL, arrive TEXT NOT NULL,
  leave TEXT NOT NULL, guests INTEGER NOT NULL, guest TEXT NOT NULL, breakfast INTEGER NOT NULL DEFAULT 0,
  wishes TEXT NOT NULL DEFAULT '', status TEXT NOT NULL, total INTEGER NOT NULL, refunded INTEGER NOT NULL DEFAULT 0,
  card_id INTEGER NOT NULL, created TEXT NOT NULL);
"""

#: Days ahead that flights are sold and rooms are let.
HORIZON: Final = 56
EMAIL: Final = "robin.vale@mail.test"

AMENITIES: Final = ("pool", "gym", "sauna", "parking", "pets allowed", "bar", "bicycle rental", "airport shuttle")
CABINS: Final = {"economy": 1.0, "premium": 1.6, "business": 2.6}


@dataclass(frozen=True)
class Fare:
    """What a fare family allows; ``add`` is per direction and adult, ``change`` is None where none is allowed."""

    name: str
    add: int
    bag: int
    change: int | None
    refund: float


FARES: Final = {
    "light": Fare("Light", 0, 0, None, 0.0),
    "standard": Fare("Standard", 35, 1, 40, 0.0),
    "flex": Fare("Flex", 85, 1, 0, 1.0),
}
BAG_PRICE: Final = 30
SEAT_ROWS: Final = 9
SEAT_LETTERS: Final = "ABCDEF"


@dataclass(frozen=True)
class Itinerary:
    """One way from a city to another on one day: one flight, or two with a change of planes."""

    flights: tuple[sqlite3.Row, ...]
    day: str

    @property
    def key(self) -> str:
        """How URLs and forms name it: ``12`` or ``12-40``."""
        return "-".join(str(flight["id"]) for flight in self.flights)

    @property
    def numbers(self) -> str:
        """The flight numbers: ``NV 214`` or ``NV 214 + KT 90``."""
        return " + ".join(flight["number"] for flight in self.flights)

    @property
    def departs(self) -> str:
        """Local time of departure."""
        return str(self.flights[0]["departs"])

    @property
    def arrives(self) -> str:
        """Local time of arrival."""
        return str(self.flights[-1]["arrives"])

    @property
    def minutes(self) -> int:
        """From departure to arrival, waiting included."""
        return clock(self.arrives) - clock(self.departs)

    def price(self, cabin: str = "economy", fare: str = "light") -> int:
        """Euros per adult."""
        legs = sum(flight_price(flight, self.day, cabin) for flight in self.flights)
        return legs + FARES[fare].add


def clock(text: str) -> int:
    """Minutes since midnight of ``HH:MM``."""
    return int(text[:2]) * 60 + int(text[3:])


def hhmm(minutes: int) -> str:
    """``HH:MM`` of minutes since midnight."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def plus(day: str, days: int) -> str:
    """The day so many days later."""
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


def days_between(first: str, last: str) -> int:
    """Days from the first to the last."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def nights(arrive: str, leave: str) -> list[str]:
    """The nights of a stay, each named by the day on which it begins."""
    return [plus(arrive, number) for number in range(days_between(arrive, leave))]


def read_day(text: str) -> str | None:
    """The day in canonical form, or None where the text is no ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(text.strip()).isoformat() if len(text.strip()) == 10 else None
    except ValueError:
        return None


def _share(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, in every process."""
    return zlib.crc32("|".join(map(str, parts)).encode()) / 2**32


def flight_price(flight: sqlite3.Row, day: str, cabin: str) -> int:
    """Euros for one adult on one flight, Light fare; prices move with the day."""
    weekend = 1.15 if date.fromisoformat(day).isoweekday() >= 5 else 1.0
    return round(int(flight["price"]) * weekend * (0.75 + 0.5 * _share(flight["number"], day)) * CABINS[cabin])


def seat_taken(flight: sqlite3.Row, day: str, code: str) -> bool:
    """Whether somebody else has the seat."""
    return _share(flight["number"], day, code) < 0.45


def seats() -> list[str]:
    """Every seat of a plane: ``1A`` to ``9F``."""
    return [f"{number}{letter}" for number in range(1, SEAT_ROWS + 1) for letter in SEAT_LETTERS]


def night_price(room: sqlite3.Row, day: str) -> int:
    """Euros for the room and one night."""
    return round(int(room["price"]) * (1.2 if date.fromisoformat(day).isoweekday() in (5, 6) else 1.0))


def stay_price(room: sqlite3.Row, arrive: str, leave: str, guests: int = 1, *, breakfast: bool = False) -> int:
    """Euros for all nights, with breakfast per guest and night where wanted."""
    days = nights(arrive, leave)
    return sum(night_price(room, day) for day in days) + breakfast * int(room["breakfast"]) * guests * len(days)


def runs(flight: sqlite3.Row, day: str) -> bool:
    """Whether the flight is in the timetable of that day."""
    return str(date.fromisoformat(day).isoweekday()) in flight["weekdays"]


_ON_ROUTE = """
SELECT flight.*, airline.name AS airline FROM flight JOIN airline ON airline.id = airline_id
WHERE origin_id = ? OR dest_id = ? ORDER BY departs, flight.id
"""


def itineraries(db: sqlite3.Connection, origin: int, dest: int, day: str, *, stops: int = 1) -> list[Itinerary]:
    """Every way from one city to another that is on sale, direct first, by departure.

    Changes of planes take 45 minutes to 4 hours and are at most one.
    """
    gone = {row[0] for row in db.execute("SELECT flight_id FROM sold_out WHERE day = ?", (day,))}
    flights = [flight for flight in rows(db, _ON_ROUTE, origin, dest) if flight["id"] not in gone and runs(flight, day)]
    found = [Itinerary((f,), day) for f in flights if f["origin_id"] == origin and f["dest_id"] == dest]
    if stops:
        onward = [flight for flight in flights if flight["origin_id"] not in (origin, dest)]
        found += [
            Itinerary((first, second), day)
            for first in flights
            if first["origin_id"] == origin and first["dest_id"] != dest
            for second in onward
            if second["origin_id"] == first["dest_id"]
            and 45 <= clock(second["departs"]) - clock(first["arrives"]) <= 240
        ]
    return found


def room_free(db: sqlite3.Connection, room_id: int, arrive: str, leave: str, *, except_stay: int = 0) -> bool:
    """Whether the room can be had for every night, against the calendar and the account's own stays."""
    taken = db.execute(
        "SELECT (SELECT count(*) FROM full_night WHERE room_id = ?1 AND day >= ?2 AND day < ?3) + (SELECT count(*) "
        "FROM stay WHERE room_id = ?1 AND status = 'confirmed' AND arrive < ?3 AND leave > ?2 AND id != ?4)",
        (room_id, arrive, leave, except_stay),
    ).fetchone()[0]
    return not taken


def rows(db: sqlite3.Connection, sql: str, *params: object) -> list[sqlite3.Row]:
    """Run a query; the connection's rows are :class:`sqlite3.Row`."""
    return db.execute(sql, params).fetchall()


def row(db: sqlite3.Connection, sql: str, *params: object) -> sqlite3.Row | None:
    """Return the first row of a query."""
    return next(iter(rows(db, sql, *params)), None)


def trip_refund(trip: sqlite3.Row, first_day: str, today: str) -> int:
    """Euros that cancelling a trip pays back: the fare's share, nothing once the trip has begun."""
    return round(trip["total"] * FARES[trip["fare"]].refund) if today < first_day else 0


def stay_refund(stay: sqlite3.Row, free_days: int, today: str) -> int:
    """Euros that cancelling a stay pays back: all of it in time, none where or when it is not free (-1: never)."""
    in_time = free_days >= 0 and today <= plus(stay["arrive"], -free_days)
    return int(stay["total"]) if in_time else 0


def cards(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return the account's cards as options of a form: (id, words)."""
    return [(card["id"], f"{card['label']} {card['last4']}") for card in rows(db, "SELECT * FROM card ORDER BY id")]


def cities(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the cities as options of a form: (id, name), none chosen first."""
    known = rows(db, "SELECT id, name FROM city ORDER BY name")
    return [("", "choose"), *((str(city["id"]), city["name"]) for city in known)]


@dataclass(frozen=True)
class Month:
    """A calendar sheet: weeks of days (``""`` outside the month), and which days are on sale."""

    name: str
    weeks: tuple[tuple[str, ...], ...]
    sold: frozenset[str]
    before: str
    after: str


def month_grid(month: str, today: str) -> Month | None:
    """Return the sheet of a month (``YYYY-MM``), or None where nothing of it is on sale."""
    first = read_day(f"{month}-01")
    end = plus(today, HORIZON)
    if first is None or not plus(today, 1)[:7] <= month <= end[:7]:
        return None
    start = date.fromisoformat(first)
    sheet = calendar.Calendar().monthdatescalendar(start.year, start.month)
    weeks = tuple(tuple(day.isoformat() if day.month == start.month else "" for day in week) for week in sheet)
    days = [day for week in weeks for day in week if day]
    before, after = plus(days[0], -1)[:7], plus(days[-1], 1)[:7]
    return Month(
        start.strftime("%B %Y"),
        weeks,
        frozenset(day for day in days if today < day <= end),
        before if before >= plus(today, 1)[:7] else "",
        after if after <= end[:7] else "",
    )
