"""Booking's pages about rooms: search, hotel, calendar of free nights, booking, and changes of a stay."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from thinkact.envs.web.booking_data import (
    AMENITIES,
    HORIZON,
    cards,
    cities,
    days_between,
    month_grid,
    night_price,
    plus,
    read_day,
    room_free,
    rows,
    stay_price,
    stay_refund,
)
from thinkact.envs.web.booking_trips import stays

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

MAX_NIGHTS = 14
SORTS = {
    "price": lambda offer: (offer.total, offer.hotel["name"]),
    "rating": lambda offer: (-offer.hotel["rating"], offer.hotel["name"]),
    "distance": lambda offer: (offer.hotel["km"], offer.hotel["name"]),
    "stars": lambda offer: (-offer.hotel["stars"], offer.hotel["name"]),
}


@dataclass(frozen=True)
class Offer:
    """A hotel and its cheapest room that is free and large enough, with the total of all nights."""

    hotel: sqlite3.Row
    room: sqlite3.Row
    total: int


@dataclass(frozen=True)
class Nights:
    """From when to when, and for how many."""

    arrive: str
    leave: str
    guests: int

    @property
    def query(self) -> str:
        """As part of an address."""
        return urlencode(vars(self))


def read_nights(web: Web, source: dict[str, Any]) -> Nights | str:
    """Read arrival, departure and guests: what is wrong with them as text."""
    today = web.now.date().isoformat()
    arrive, leave = (read_day(str(source.get(name, ""))) for name in ("arrive", "leave"))
    guests = str(source.get("guests", "1") or "1")
    if arrive is None or leave is None:
        return "Write the days of arrival and departure as YYYY-MM-DD."
    if not today < arrive < leave <= plus(today, HORIZON) or days_between(arrive, leave) > MAX_NIGHTS:
        return f"Stays are 1 to {MAX_NIGHTS} nights between tomorrow and {plus(today, HORIZON)}."
    if guests not in ("1", "2", "3", "4"):
        return "Rooms are for 1 to 4 guests."
    return Nights(arrive, leave, int(guests))


def offers(
    db: sqlite3.Connection,
    city: int,
    wanted: Nights,
    *,
    stars: int = 0,
    amenity: str = "",
    free_cancellation: bool = False,
    sort: str = "price",
) -> list[Offer]:
    """Return the hotels of a city that have a room, each with its cheapest fitting one."""
    found = []
    for hotel in rows(db, "SELECT * FROM hotel WHERE city_id = ? AND stars >= ? ORDER BY id", city, stars):
        if amenity and not rows(db, "SELECT 1 FROM amenity WHERE hotel_id = ? AND name = ?", hotel["id"], amenity):
            continue
        fitting = [
            Offer(hotel, room, stay_price(room, wanted.arrive, wanted.leave))
            for room in free_rooms(db, hotel["id"], wanted)
            if room["free_days"] >= 0 or not free_cancellation
        ]
        if fitting:
            found.append(min(fitting, key=lambda offer: (offer.total, offer.room["id"])))
    return sorted(found, key=SORTS[sort])


def free_rooms(db: sqlite3.Connection, hotel: int, wanted: Nights) -> list[sqlite3.Row]:
    """Return the rooms of a hotel that are large enough and free for all nights."""
    return [
        room
        for room in rows(db, "SELECT * FROM room WHERE hotel_id = ? AND sleeps >= ? ORDER BY id", hotel, wanted.guests)
        if room_free(db, room["id"], wanted.arrive, wanted.leave)
    ]


def rooms(web: Web) -> Reply:
    """Show the search form and the hotels it finds."""
    query = web.query
    wanted = read_nights(web, query) if query.get("city") else None
    found: list[Offer] = []
    if isinstance(wanted, Nights):
        found = offers(
            web.db,
            web.number("city"),
            wanted,
            stars=web.number("stars"),
            amenity=query.get("amenity", ""),
            free_cancellation=bool(query.get("free_cancellation")),
            sort=query.get("sort", "price") if query.get("sort") in SORTS else "price",
        )
    return web.render(
        "rooms.html",
        cities=cities(web.db),
        amenities=[("", "any"), *((name, name) for name in AMENITIES)],
        sorts=list(SORTS),
        value={"city": "", "arrive": "", "leave": "", "guests": "1", "stars": "0", "amenity": "", "sort": "price",
               "free_cancellation": "", **query},
        error=wanted if isinstance(wanted, str) else "",
        wanted=wanted if isinstance(wanted, Nights) else None,
        found=found,
    )  # fmt: skip


def hotel(web: Web, id: int) -> Reply:
    """Show a hotel and, where the nights are known, its free rooms."""
    place = web.need(
        "SELECT hotel.*, city.name AS city FROM hotel JOIN city ON city.id = city_id WHERE hotel.id = ?", id
    )
    wanted = read_nights(web, web.query) if web.query.get("arrive") else None
    free = free_rooms(web.db, id, wanted) if isinstance(wanted, Nights) else []
    return web.render(
        "hotel.html",
        hotel=place,
        amenities=[each["name"] for each in web.rows("SELECT name FROM amenity WHERE hotel_id = ? ORDER BY name", id)],
        rooms=web.rows("SELECT * FROM room WHERE hotel_id = ? ORDER BY id", id),
        free=[(room, stay_price(room, wanted.arrive, wanted.leave)) for room in free if isinstance(wanted, Nights)],
        wanted=wanted if isinstance(wanted, Nights) else None,
        error=wanted if isinstance(wanted, str) else "",
        value={"arrive": "", "leave": "", "guests": "1", **web.query},
    )


def _room(web: Web, id: int) -> sqlite3.Row:
    return web.need(
        "SELECT room.*, hotel.name AS hotel FROM room JOIN hotel ON hotel.id = hotel_id WHERE room.id = ?", id
    )


def room_calendar(web: Web, id: int) -> Reply:
    """Show a month of a room: the price of free nights, and which are full."""
    room = _room(web, id)
    today = web.now.date().isoformat()
    grid = month_grid(web.query.get("month") or plus(today, 1)[:7], today)
    if grid is None:
        return web.refuse(404, "That month is not on sale.")
    price = {day: night_price(room, day) for day in grid.sold if room_free(web.db, id, day, plus(day, 1))}
    cells = [[(day, price.get(day, 0)) for day in week] for week in grid.weeks]
    return web.render("room.html", room=room, grid=grid, cells=cells)


def room_book(web: Web, id: int) -> Reply:
    """Show the form that books a room; book once it is filled in."""
    room = _room(web, id)
    posted = web.method == "POST"
    source = {name: web.text(name) for name in web.form} if posted else dict(web.query)
    wanted = read_nights(web, source)
    if isinstance(wanted, str):
        return web.refuse(400, wanted)
    if room["sleeps"] < wanted.guests or not room_free(web.db, id, wanted.arrive, wanted.leave):
        return web.refuse(409, "That room is not free for these nights and guests.")
    errors = {}
    if posted:
        card = web.row("SELECT id FROM card WHERE id = ?", source.get("card", ""))
        if len(source.get("guest", "").split()) < 2:
            errors["guest"] = "Enter the first and last name of the main guest."
        if card is None:
            errors["card"] = "Choose a card."
        if not source.get("terms"):
            errors["terms"] = "Accept the house rules to book."
        if not errors and card is not None:
            return _write(web, room, wanted, source, card["id"])
    return web.render(
        "room_book.html",
        room=room,
        wanted=wanted,
        total=stay_price(room, wanted.arrive, wanted.leave),
        cards=cards(web.db),
        value=source,
        errors=errors,
    )


def _write(web: Web, room: sqlite3.Row, wanted: Nights, source: dict[str, str], card: int) -> Reply:
    number = web.value("SELECT coalesce(max(id), 0) + 1 FROM stay")
    reference = f"STAY{number:03d}"
    breakfast = bool(source.get("breakfast"))
    total = stay_price(room, wanted.arrive, wanted.leave, wanted.guests, breakfast=breakfast)
    guest = " ".join(source["guest"].split())
    web.write(
        "INSERT INTO stay VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'confirmed', ?, 0, ?, ?)",
        number, reference, room["id"], wanted.arrive, wanted.leave, wanted.guests, guest, int(breakfast),
        source.get("wishes", ""), total, card, web.now.date().isoformat(),
    )  # fmt: skip
    return web.redirect(f"/stay/{reference}", f"Booked: {reference}, EUR {total}.")


def _open_stay(web: Web, ref: str, *, change: bool = False) -> sqlite3.Row | Reply:
    found = stays(web.db, "stay.ref = ?", ref)
    if not found:
        return web.refuse(404, "There is no such stay.")
    if change and found[0]["status"] != "confirmed":
        return web.refuse(409, "This stay is cancelled.")
    if change and found[0]["arrive"] <= web.now.date().isoformat():
        return web.refuse(409, "This stay has begun.")
    return found[0]


def stay_page(web: Web, ref: str) -> Reply:
    """Show a stay."""
    stay = _open_stay(web, ref)
    if not isinstance(stay, sqlite3.Row):
        return stay
    until = plus(stay["arrive"], -stay["free_days"]) if stay["free_days"] >= 0 else ""
    return web.render(
        "stay.html",
        stay=stay,
        until=until,
        open=stay["status"] == "confirmed" and stay["arrive"] > web.now.date().isoformat(),
        card=web.row("SELECT * FROM card WHERE id = ?", stay["card_id"]),
    )


def cancel_stay(web: Web, ref: str) -> Reply:
    """Show what cancelling pays back, and cancel once confirmed."""
    stay = _open_stay(web, ref, change=True)
    if not isinstance(stay, sqlite3.Row):
        return stay
    refund = stay_refund(stay, stay["free_days"], web.now.date().isoformat())
    if web.method != "POST":
        return web.render("cancel.html", what=f"stay {ref}", total=stay["total"], refund=refund, back=f"/stay/{ref}")
    web.write("UPDATE stay SET status = 'cancelled', refunded = ? WHERE id = ?", refund, stay["id"])
    return web.redirect(f"/stay/{ref}", f"Cancelled. EUR {refund} will be paid back.")


def edit_stay(web: Web, ref: str) -> Reply:
    """Save wishes, breakfast and the main guest of a stay."""
    stay = _open_stay(web, ref, change=True)
    if not isinstance(stay, sqlite3.Row):
        return stay
    guest = " ".join(web.text("guest").split())
    if len(guest.split()) < 2:
        return web.refuse(400, "Enter the first and last name of the main guest.")
    breakfast = int(bool(web.text("breakfast")))
    nights = days_between(stay["arrive"], stay["leave"])
    extra = (breakfast - stay["breakfast"]) * stay["breakfast_price"] * stay["guests"] * nights
    web.write("UPDATE stay SET guest = ?, wishes = ?, breakfast = ?, total = total + ? WHERE id = ?",
              guest, web.text("wishes"), breakfast, extra, stay["id"])  # fmt: skip
    return web.redirect(f"/stay/{ref}", "Saved.")


def move_stay(web: Web, ref: str) -> Reply:
    """Show what other nights would cost, and move the stay there once confirmed."""
    stay = _open_stay(web, ref, change=True)
    if not isinstance(stay, sqlite3.Row):
        return stay
    source = {name: web.text(name) for name in web.form} if web.method == "POST" else dict(web.query)
    wanted = read_nights(web, {**source, "guests": stay["guests"]}) if source.get("arrive") else None
    error = wanted if isinstance(wanted, str) else ""
    total = 0
    if isinstance(wanted, Nights):
        room = _room(web, stay["room_id"])
        if room_free(web.db, room["id"], wanted.arrive, wanted.leave, except_stay=stay["id"]):
            total = stay_price(room, wanted.arrive, wanted.leave, stay["guests"], breakfast=bool(stay["breakfast"]))
        else:
            error = "The room is not free for all of these nights."
    if web.method != "POST" or error or not isinstance(wanted, Nights):
        return web.render("move.html", stay=stay, value={"arrive": "", "leave": "", **source}, total=total, error=error)
    web.write(
        "UPDATE stay SET arrive = ?, leave = ?, total = ? WHERE id = ?", wanted.arrive, wanted.leave, total, stay["id"]
    )
    return web.redirect(f"/stay/{ref}", f"Moved. The stay costs EUR {total} now.")
