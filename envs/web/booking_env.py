"""``thinkact/Booking-v0``: tasks on a travel site."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    booking,
    booking_tasks_flights,
    booking_tasks_long,
    booking_tasks_look,
    booking_tasks_rooms,
    booking_tasks_stays,
    booking_tasks_travellers,
    booking_tasks_trips,
)
from thinkact.envs.web.env import WebEnv

#: What has to be imported for the family to be known.
PARTS = (
    booking,
    booking_tasks_look,
    booking_tasks_flights,
    booking_tasks_long,
    booking_tasks_rooms,
    booking_tasks_travellers,
    booking_tasks_trips,
    booking_tasks_stays,
)


class BookingEnv(WebEnv):
    """A travel site: flights, fares, seats, hotels, calendars, changes, refunds, saved travellers."""

    family: ClassVar[str] = "booking"
