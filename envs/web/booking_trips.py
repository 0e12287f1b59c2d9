"""Booking's pages about what was booked: trips with seats, bags, changes and refunds; saved travellers."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from thinkact.envs.web.booking_data import (
    BAG_PRICE,
    FARES,
    HORIZON,
    SEAT_LETTERS,
    SEAT_ROWS,
    Itinerary,
    flight_price,
    itineraries,
    plus,
    read_day,
    row,
    rows,
    seat_taken,
    trip_refund,
)
from thinkact.envs.web.booking_flights import check_person, clean_person

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

MAX_BAGS = 5
_SEGMENTS = """
SELECT segment.*, flight.number, flight.departs, flight.arrives, flight.origin_id, flight.dest_id,
  a.name AS origin, b.name AS dest
FROM segment JOIN flight ON flight.id = flight_id JOIN city a ON a.id = origin_id JOIN city b ON b.id = dest_id
WHERE trip_id = ? ORDER BY day, departs, segment.id
"""
_OF_TRIP = "SELECT id FROM segment WHERE trip_id = ?"
_STAYS = """
SELECT stay.*, room.name AS room, room.free_days, room.breakfast AS breakfast_price, room.sleeps, hotel.name AS hotel,
  hotel.id AS hotel_id, city.name AS city
FROM stay JOIN room ON room.id = room_id JOIN hotel ON hotel.id = hotel_id JOIN city ON city.id = city_id
"""


def stays(db: sqlite3.Connection, where: str = "1", *params: object) -> list[sqlite3.Row]:
    """Return stays with the names of their room, hotel and city."""
    return rows(db, f"{_STAYS} WHERE {where} ORDER BY arrive, stay.id", *params)


def segments(db: sqlite3.Connection, trip_id: int) -> list[sqlite3.Row]:
    """Return the flights of a trip in order, with the names of their cities."""
    return rows(db, _SEGMENTS, trip_id)


def trips(web: Web) -> Reply:
    """List what the account has booked."""
    flown = []
    for trip in web.rows("SELECT * FROM trip ORDER BY id"):
        legs = segments(web.db, trip["id"])
        out = [leg for leg in legs if leg["way"] == "out"]
        flown.append((trip, out, [leg for leg in legs if leg["way"] == "back"]))
    flown.sort(key=lambda each: each[1][0]["day"])
    return web.render("trips.html", trips=flown, stays=stays(web.db))


def _open_trip(web: Web, ref: str, *, change: bool = False) -> tuple[sqlite3.Row, list[sqlite3.Row]] | Reply:
    trip = web.need("SELECT * FROM trip WHERE ref = ?", ref)
    legs = segments(web.db, trip["id"])
    if change and trip["status"] != "confirmed":
        return web.refuse(409, "This trip is cancelled.")
    if change and legs[0]["day"] <= web.now.date().isoformat():
        return web.refuse(409, "This trip is over.")
    return trip, legs


def trip_page(web: Web, ref: str) -> Reply:
    """Show a trip."""
    opened = _open_trip(web, ref)
    if not isinstance(opened, tuple):
        return opened
    trip, legs = opened
    people = web.rows("SELECT * FROM passenger WHERE trip_id = ? ORDER BY id", trip["id"])
    held = {
        (seat["segment_id"], seat["passenger_id"]): seat["code"]
        for seat in web.rows(f"SELECT * FROM seat WHERE segment_id IN ({_OF_TRIP})", trip["id"])
    }
    return web.render(
        "trip.html",
        trip=trip,
        legs=legs,
        people=people,
        held=held,
        fare=FARES[trip["fare"]],
        card=web.row("SELECT * FROM card WHERE id = ?", trip["card_id"]),
        bag_price=BAG_PRICE,
        open=trip["status"] == "confirmed" and legs[0]["day"] > web.now.date().isoformat(),
        two_way=any(leg["way"] == "back" for leg in legs),
    )


def seats_page(web: Web, ref: str, segment: int) -> Reply:
    """Show the seat map of one flight of a trip."""
    opened = _open_trip(web, ref, change=True)
    if not isinstance(opened, tuple):
        return opened
    trip, legs = opened
    leg = next((leg for leg in legs if leg["id"] == segment), None)
    if leg is None:
        return web.refuse(404, "There is no such flight in this trip.")
    flight = web.need("SELECT * FROM flight WHERE id = ?", leg["flight_id"])
    people = web.rows("SELECT * FROM passenger WHERE trip_id = ? ORDER BY id", trip["id"])
    held = {seat["code"]: seat["passenger_id"] for seat in web.rows("SELECT * FROM seat WHERE segment_id = ?", segment)}
    if web.method == "POST":
        return _take_seat(web, trip, leg, flight, [each["id"] for each in people], held)
    lines = []
    for number in range(1, SEAT_ROWS + 1):
        codes = [f"{number}{letter}" for letter in SEAT_LETTERS]
        lines.append([(code, "yours" if code in held else "taken" if seat_taken(flight, leg["day"], code) else "free")
                      for code in codes])  # fmt: skip
    return web.render("seats.html", trip=trip, leg=leg, people=people, held=held, lines=lines)


def _take_seat(
    web: Web, trip: sqlite3.Row, leg: sqlite3.Row, flight: sqlite3.Row, people: list[int], held: dict[str, int]
) -> Reply:
    code, who = web.text("seat"), web.text("passenger")
    known = code[:-1] in map(str, range(1, SEAT_ROWS + 1)) and code[-1:] in SEAT_LETTERS and code[-1:] != ""
    if not known or who not in map(str, people):
        return web.refuse(400, "Choose a passenger and a seat.")
    if code in held or seat_taken(flight, leg["day"], code):
        return web.refuse(409, f"Seat {code} is taken.")
    web.write("DELETE FROM seat WHERE segment_id = ? AND passenger_id = ?", leg["id"], who)
    web.write("INSERT INTO seat VALUES (NULL, ?, ?, ?)", leg["id"], who, code)
    return web.redirect(f"/trip/{trip['ref']}", f"Seat {code} on {leg['number']} is reserved.")


def add_bag(web: Web, ref: str) -> Reply:
    """Add a bag to a trip."""
    opened = _open_trip(web, ref, change=True)
    if not isinstance(opened, tuple):
        return opened
    trip, _ = opened
    if trip["bags"] >= MAX_BAGS:
        return web.refuse(409, f"No more than {MAX_BAGS} extra bags fit a trip.")
    web.write("UPDATE trip SET bags = bags + 1, total = total + ? WHERE id = ?", BAG_PRICE, trip["id"])
    return web.redirect(f"/trip/{ref}", f"One bag added for EUR {BAG_PRICE}.")


def cancel_trip(web: Web, ref: str) -> Reply:
    """Show what cancelling pays back, and cancel once confirmed."""
    opened = _open_trip(web, ref, change=True)
    if not isinstance(opened, tuple):
        return opened
    trip, legs = opened
    refund = trip_refund(trip, legs[0]["day"], web.now.date().isoformat())
    if web.method != "POST":
        return web.render("cancel.html", what=f"trip {ref}", total=trip["total"], refund=refund, back=f"/trip/{ref}")
    web.write("UPDATE trip SET status = 'cancelled', refunded = ? WHERE id = ?", refund, trip["id"])
    return web.redirect(f"/trip/{ref}", f"Cancelled. EUR {refund} will be paid back.")


def change_cost(trip: sqlite3.Row, new: Itinerary, old_price: int, people: int) -> int:
    """Return what moving one way of a trip to other flights costs: the fee, and what they cost more."""
    fee = FARES[trip["fare"]].change
    assert fee is not None
    return people * (fee + max(0, new.price(trip["cabin"]) - old_price))


def way_price(db: sqlite3.Connection, trip: sqlite3.Row, legs: list[sqlite3.Row]) -> int:
    """Return the price per adult of flights already booked, Light, on their day."""
    known = [row(db, "SELECT * FROM flight WHERE id = ?", leg["flight_id"]) for leg in legs]
    return sum(
        flight_price(flight, leg["day"], trip["cabin"]) for flight, leg in zip(known, legs, strict=True) if flight
    )


def change_trip(web: Web, ref: str, way: str) -> Reply:
    """Show the flights of another day for one way of a trip; move it there once one is chosen."""
    opened = _open_trip(web, ref, change=True)
    if not isinstance(opened, tuple):
        return opened
    trip, legs = opened
    mine = [leg for leg in legs if leg["way"] == way]
    if not mine:
        return web.refuse(404, "There is no such part of this trip.")
    if FARES[trip["fare"]].change is None:
        return web.refuse(409, "The Light fare cannot be changed.")
    today = web.now.date().isoformat()
    asked = web.text("day") if web.method == "POST" else web.query.get("day", "")
    day = read_day(asked)
    error = ""
    if asked and (day is None or not today < day <= plus(today, HORIZON)):
        day, error = None, f"Write a date from tomorrow to {plus(today, HORIZON)} as YYYY-MM-DD."
    people = web.value("SELECT count(*) FROM passenger WHERE trip_id = ?", trip["id"])
    old = way_price(web.db, trip, mine)
    ways = itineraries(web.db, mine[0]["origin_id"], mine[-1]["dest_id"], day) if day else []
    other = [leg["day"] for leg in legs if leg["way"] != way]
    if day and other and (day > other[0] if way == "out" else day < other[0]):
        ways, error = [], "The way back cannot be before the way out."
    offers = [(each, change_cost(trip, each, old, people)) for each in ways]
    if web.method != "POST":
        return web.render("change.html", trip=trip, way=way, legs=mine, day=asked, offers=offers, error=error)
    chosen = next((offer for offer in offers if offer[0].key == web.text("key")), None)
    if chosen is None:
        return web.refuse(409, error or "That flight is not on sale.")
    web.write(f"DELETE FROM seat WHERE segment_id IN ({_OF_TRIP} AND way = ?)", trip["id"], way)
    web.write("DELETE FROM segment WHERE trip_id = ? AND way = ?", trip["id"], way)
    for flight in chosen[0].flights:
        web.write("INSERT INTO segment VALUES (NULL, ?, ?, ?, ?)", trip["id"], flight["id"], day, way)
    web.write("UPDATE trip SET total = total + ? WHERE id = ?", chosen[1], trip["id"])
    return web.redirect(f"/trip/{ref}", f"Changed for EUR {chosen[1]}.")


def travellers(web: Web) -> Reply:
    """List the saved travellers."""
    return web.render("travellers.html", travellers=web.rows("SELECT * FROM traveller ORDER BY last, first"))


def traveller(web: Web, id: int = 0) -> Reply:
    """Show and save a traveller's fields; 0 is a new one."""
    known = web.need("SELECT * FROM traveller WHERE id = ?", id) if id else None
    fields = ("first", "last", "born", "passport")
    if web.method != "POST":
        value = {name: known[name] for name in fields} if known else dict.fromkeys(fields, "")
        return web.render("traveller.html", id=id, value=value, errors={})
    values = {name: web.text(name) for name in fields}
    if wrong := check_person(web, values):
        return web.render("traveller.html", id=id, value=values, errors=wrong)
    person = clean_person(values)
    if known:
        web.write("UPDATE traveller SET first = ?, last = ?, born = ?, passport = ? WHERE id = ?", *person, id)
    else:
        web.write("INSERT INTO traveller VALUES (NULL, ?, ?, ?, ?)", *person)
    return web.redirect("/travellers", f"{person[0]} {person[1]} is saved.")


def delete_traveller(web: Web, id: int) -> Reply:
    """Remove a saved traveller; what was booked for them stays."""
    web.write("DELETE FROM traveller WHERE id = ?", id)
    return web.redirect("/travellers", "The traveller is removed.")
