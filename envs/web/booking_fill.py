"""Booking's seeded rows: five cities, a timetable, hotels, and an account with trips and stays."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from thinkact.envs.web.booking_data import (
    AMENITIES,
    BAG_PRICE,
    EMAIL,
    FARES,
    HORIZON,
    hhmm,
    itineraries,
    plus,
    rows,
    seat_taken,
    seats,
    stay_price,
)

CITIES: Final = (
    ("OSL", "Oslo"), ("CPH", "Copenhagen"), ("BER", "Berlin"), ("VIE", "Vienna"), ("FCO", "Rome"),
    ("MAD", "Madrid"), ("CDG", "Paris"), ("PRG", "Prague"), ("ZRH", "Zurich"), ("AMS", "Amsterdam"),
    ("BRU", "Brussels"), ("WAW", "Warsaw"), ("BUD", "Budapest"), ("ARN", "Stockholm"), ("MXP", "Milan"),
)  # fmt: skip
AIRLINES: Final = (
    ("NV", "Norvia"), ("AZ", "Azurel"), ("KT", "Kestrel Air"), ("LM", "Lumen Airways"), ("PX", "Polarix"),
    ("SW", "Swiftline"), ("TR", "Terracotta Air"), ("GB", "Graybird"),
)  # fmt: skip
HOTEL_FIRST: Final = (
    "Amber", "Birch", "Cobalt", "Dahlia", "Ember", "Falcon", "Garnet", "Harbour", "Iris", "Juniper", "Kingfisher",
    "Linden", "Maple", "North Star", "Opal", "Pelican", "Quarry", "Rosewood", "Silver Oak", "Thistle", "Umber",
    "Velvet", "Willow", "Zephyr", "Copper Gate", "Old Mill", "Sunflower", "Blue Door", "Saffron", "Granite",
)  # fmt: skip
HOTEL_LAST: Final = ("Hotel", "House", "Inn", "Suites", "Lodge", "Court")
ROOMS: Final = (
    ("Single", "1 single bed", 1, 0.75), ("Double", "1 double bed", 2, 1.0), ("Twin", "2 single beds", 2, 1.05),
    ("Family", "1 double and 2 single beds", 4, 1.6), ("Suite", "1 king-size bed and a sofa bed", 3, 1.9),
)  # fmt: skip
FIRST: Final = (
    "Ada", "Bruno", "Clara", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Leo", "Mila",
    "Nils", "Olga", "Pavel", "Rosa", "Samir", "Tilda", "Ugo", "Vera", "Wim", "Yara", "Zoltan",
)  # fmt: skip
LAST: Final = (
    "Abel", "Brandt", "Costa", "Dahl", "Evers", "Fontana", "Gruber", "Holm", "Ivanov", "Jansen", "Keller", "Lindqvist",
    "Moreau", "Novak", "Olsen", "Petrov", "Quist", "Rossi", "Santos", "Toth", "Ullman", "Vogel", "Weiss", "Zeman",
)  # fmt: skip


def fill(db: sqlite3.Connection, rng: random.Random, today: datetime) -> None:
    """Write a seeded world into an empty database; the same generator state gives the same rows."""
    for number, (code, name) in enumerate(rng.sample(CITIES, 5), 1):
        db.execute("INSERT INTO city VALUES (?, ?, ?)", (number, code, name))
    for number, (code, name) in enumerate(rng.sample(AIRLINES, 4), 1):
        db.execute("INSERT INTO airline VALUES (?, ?, ?)", (number, code, name))
    _fill_flights(db, rng, today.date())
    _fill_hotels(db, rng, today.date())
    _fill_account(db, rng, today.date())


def _fill_flights(db: sqlite3.Connection, rng: random.Random, today: date) -> None:
    numbers = rng.sample(range(100, 990), 120)
    miles = {(a, b): rng.randrange(65, 175, 5) for a in range(1, 6) for b in range(a + 1, 6)}
    for origin in range(1, 6):
        for dest in range(1, 6):
            if origin == dest:
                continue
            # City 1 is the hub: every pair is at least two flights apart.
            count = rng.randint(3, 5) if 1 in (origin, dest) else rng.randint(1, 4)
            span = miles[min(origin, dest), max(origin, dest)]
            for start in sorted(rng.sample(range(6 * 12, 20 * 12), count)):
                airline = rng.randint(1, 4)
                code = db.execute("SELECT code FROM airline WHERE id = ?", (airline,)).fetchone()[0]
                minutes = span + rng.choice((0, 0, 5, 10))
                daily = "1234567" if rng.random() < 0.7 else "".join(sorted(rng.sample("1234567", 5)))
                db.execute(
                    "INSERT INTO flight VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (f"{code} {numbers.pop()}", airline, origin, dest, hhmm(start * 5), hhmm(start * 5 + minutes),
                     minutes, daily, rng.randrange(55, 190)),
                )  # fmt: skip
    flights = [found[0] for found in db.execute("SELECT id FROM flight ORDER BY id")]
    for _ in range(60):
        day = (today + timedelta(rng.randint(1, HORIZON))).isoformat()
        db.execute("INSERT INTO sold_out VALUES (NULL, ?, ?)", (rng.choice(flights), day))


def _fill_hotels(db: sqlite3.Connection, rng: random.Random, today: date) -> None:
    names = rng.sample(HOTEL_FIRST, 30)
    for number, name in enumerate(names, 1):
        stars = rng.choice((2, 3, 3, 4, 4, 5))
        rating, km = round(rng.uniform(6.1, 9.7), 1), round(rng.uniform(0.2, 7.5), 1)
        about = rng.choice(("A quiet place beside a park.", "In an old brewery, close to the tram.",
                            "A family business since 1931.", "New rooms above a food market."))  # fmt: skip
        title = f"{name} {rng.choice(HOTEL_LAST)}"
        db.execute("INSERT INTO hotel VALUES (?, ?, ?, ?, ?, ?, ?)", (number, title, (number - 1) // 6 + 1, stars,
                                                                      rating, km, about))  # fmt: skip
        for amenity in sorted(rng.sample(AMENITIES, rng.randint(2, 5))):
            db.execute("INSERT INTO amenity VALUES (NULL, ?, ?)", (number, amenity))
        base = rng.randrange(45, 75) * stars // 2
        for kind, beds, sleeps, factor in sorted(rng.sample(ROOMS, 3), key=ROOMS.index):
            price = round(base * factor) + rng.randrange(6)
            db.execute(
                "INSERT INTO room VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                (number, kind, beds, sleeps, price, rng.randrange(8, 22), rng.choice((-1, 1, 2, 3, 7))),
            )
    rooms = [found[0] for found in db.execute("SELECT id FROM room ORDER BY id")]
    for room in rooms:
        for _ in range(rng.randint(1, 3)):
            start = rng.randint(1, HORIZON)
            for offset in range(rng.randint(1, 3)):
                day = (today + timedelta(start + offset)).isoformat()
                db.execute("INSERT INTO full_night VALUES (NULL, ?, ?)", (room, day))


def _ref(rng: random.Random) -> str:
    return "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(3)) + f"{rng.randrange(100, 1000)}"


def _fill_account(db: sqlite3.Connection, rng: random.Random, today: date) -> None:
    for label, expires in (("Visa", f"{today.year + 2}-09"), ("Mastercard", f"{today.year + 1}-04")):
        db.execute("INSERT INTO card VALUES (NULL, ?, ?, ?)", (label, f"{rng.randrange(10000):04d}", expires))
    lasts = rng.sample(LAST, 4)
    people = [(first, last) for first, last in zip(rng.sample(FIRST, 4), lasts, strict=True)]
    for first, last in people:
        born = date(rng.randint(1955, 2002), rng.randint(1, 12), rng.randint(1, 28)).isoformat()
        passport = rng.choice("CFGHJK") + f"{rng.randrange(10**7, 10**8)}"
        db.execute("INSERT INTO traveller VALUES (NULL, ?, ?, ?, ?)", (first, last, born, passport))
    refs: set[str] = set()
    while len(refs) < 10:
        refs.add(_ref(rng))
    names = sorted(refs)
    rng.shuffle(names)
    _fill_trips(db, rng, today, names[:5])
    _fill_stays(db, rng, today, names[5:])


def _fill_trips(db: sqlite3.Connection, rng: random.Random, today: date, refs: Sequence[str]) -> None:
    dests = [2, 3, 4, 5, rng.randint(2, 5)]
    fares = ["light", "standard", "flex", rng.choice(("standard", "flex")), rng.choice(list(FARES))]
    rng.shuffle(fares)
    starts = sorted(rng.sample(range(6, HORIZON - 14), 4))
    for ref, dest, fare, start in zip(refs, dests, fares, [*starts, -rng.randint(20, 60)], strict=True):
        ways = []
        for way, offset in (("out", 0), ("back", rng.randint(2, 6))):
            ends = (1, dest) if way == "out" else (dest, 1)
            day = start + offset
            while not (found := itineraries(db, *ends, (today + timedelta(day)).isoformat(), stops=0)):
                day += 1
            ways.append((way, rng.choice(found)))
        cabin = rng.choice(("economy", "economy", "economy", "business"))
        travellers = rows(db, "SELECT * FROM traveller ORDER BY id")
        party = sorted(rng.sample(range(4), rng.choice((1, 1, 2))))
        bags = rng.randint(0, 1)
        total = sum(each.price(cabin, fare) for _, each in ways) * len(party) + bags * BAG_PRICE
        created = (today + timedelta(min(start, 0) - rng.randint(2, 30))).isoformat()
        cursor = db.execute(
            "INSERT INTO trip VALUES (NULL, ?, 'confirmed', ?, ?, ?, ?, ?, ?, 0, ?)",
            (ref, cabin, fare, bags, EMAIL, rng.randint(1, 2), total, created),
        )
        trip = cursor.lastrowid
        people = []
        for number in party:
            who = travellers[number]
            added = db.execute("INSERT INTO passenger VALUES (NULL, ?, ?, ?, ?, ?)",
                               (trip, who["first"], who["last"], who["born"], who["passport"]))  # fmt: skip
            people.append(added.lastrowid)
        for way, each in ways:
            flight = each.flights[0]
            segment = db.execute("INSERT INTO segment VALUES (NULL, ?, ?, ?, ?)", (trip, flight["id"], each.day, way))
            free = [code for code in seats() if not seat_taken(flight, each.day, code)]
            for passenger, code in zip(people, rng.sample(free, len(people)), strict=True):
                db.execute("INSERT INTO seat VALUES (NULL, ?, ?, ?)", (segment.lastrowid, passenger, code))


def _fill_stays(db: sqlite3.Connection, rng: random.Random, today: date, refs: Sequence[str]) -> None:
    starts = [rng.randint(6, 12), rng.randint(14, 20), rng.randint(22, 30), rng.randint(33, 40), -rng.randint(20, 60)]
    cities = rng.sample(range(1, 6), 5)
    for ref, start, city in zip(refs, starts, cities, strict=True):
        arrive, leave = ((today + timedelta(start + offset)).isoformat() for offset in (0, rng.randint(2, 4)))
        room = rng.choice(rows(db, "SELECT room.* FROM room JOIN hotel ON hotel.id = hotel_id WHERE city_id = ? "
                                   "AND sleeps > 1 ORDER BY room.id", city))  # fmt: skip
        # Nights of the account's own stay and the day after it are not others'.
        own = (room["id"], arrive, plus(leave, 2))
        db.execute("DELETE FROM full_night WHERE room_id = ? AND day BETWEEN ? AND ?", own)
        guest = rng.choice(rows(db, "SELECT first, last FROM traveller ORDER BY id"))
        guests = rng.randint(1, 2)
        created = (today + timedelta(min(start, 0) - rng.randint(2, 30))).isoformat()
        db.execute(
            "INSERT INTO stay VALUES (NULL, ?, ?, ?, ?, ?, ?, 0, '', 'confirmed', ?, 0, ?, ?)",
            (ref, room["id"], arrive, leave, guests, f"{guest['first']} {guest['last']}",
             stay_price(room, arrive, leave), rng.randint(1, 2), created),
        )  # fmt: skip
