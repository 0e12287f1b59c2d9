"""Booking: flights and rooms, with calendars, fare rules, changes and refunds (``thinkact/Booking-v0``)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from typing import Literal

from thinkact.envs.web import booking_flights, booking_rooms, booking_trips
from thinkact.envs.web.booking_data import SCHEMA
from thinkact.envs.web.booking_fill import fill
from thinkact.envs.web.site import NOW, App, Knobs, Page, Reply, Web
from thinkact.envs.web.tasks import register_app

__all__ = ["BOOKING", "Booking"]

_WAYS: tuple[Literal["GET", "POST"], ...] = ("GET", "POST")


class Booking(App):
    """A travel site: search and book flights and hotel rooms, and look after what was booked."""

    name = "booking"
    host = "booking.northwind.test"
    title = "Wayfarer"
    schema = SCHEMA

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the menu."""
        return (("Flights", "/"), ("Rooms", "/rooms"), ("My bookings", "/trips"), ("Travellers", "/travellers"))

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert the seeded world."""
        fill(db, rng, NOW)

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        flights, trips, rooms = booking_flights, booking_trips, booking_rooms
        get: list[Page] = [
            Page("GET", "/", flights.flights),
            Page("GET", "/flights/return", flights.flights_return),
            Page("GET", "/flights/fares", flights.fares),
            Page("GET", "/flights/book", flights.passengers),
            Page("GET", "/flights/calendar", flights.calendar),
            Page("GET", "/trips", trips.trips),
            Page("GET", "/trip/{ref}", trips.trip_page),
            Page("GET", "/travellers", trips.travellers),
            Page("GET", "/rooms", rooms.rooms),
            Page("GET", "/hotel/{id:int}", rooms.hotel),
            Page("GET", "/room/{id:int}", rooms.room_calendar),
            Page("GET", "/stay/{ref}", rooms.stay_page),
        ]
        post = [
            Page("POST", "/flights/book", flights.book),
            Page("POST", "/trip/{ref}/bag", trips.add_bag),
            Page("POST", "/traveller/{id:int}/delete", trips.delete_traveller),
            Page("POST", "/stay/{ref}/edit", rooms.edit_stay),
        ]
        both: dict[str, Callable[..., Reply]] = {
            "/trip/{ref}/seats/{segment:int}": trips.seats_page,
            "/trip/{ref}/cancel": trips.cancel_trip,
            "/trip/{ref}/change/{way}": trips.change_trip,
            "/traveller/{id:int}": trips.traveller,
            "/room/{id:int}/book": rooms.room_book,
            "/stay/{ref}/cancel": rooms.cancel_stay,
            "/stay/{ref}/move": rooms.move_stay,
        }
        return [*get, *post, *(Page(way, path, page) for path, page in both.items() for way in _WAYS)]


BOOKING = register_app(Booking())
