"""Tasks of Booking about stays that are booked: questions, wishes, other nights, cancellations."""

from __future__ import annotations

import re
import sqlite3

from thinkact.envs.answers import Answer
from thinkact.envs.web import hints
from thinkact.envs.web.booking_data import plus, row, stay_price, stay_refund
from thinkact.envs.web.booking_goals import (
    Stay,
    book_room,
    book_stays,
    hotel_lines,
    in_words,
    open_booking,
    row_goal,
    search_rooms,
    the_one,
    today,
)
from thinkact.envs.web.booking_rooms import Nights, offers
from thinkact.envs.web.booking_trips import stays
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


def _stay(draw: Draw, *, free: bool | None = None) -> tuple[sqlite3.Row, str] | None:
    """Draw a stay that lies ahead, with the words that name it; ``free``: whether cancelling it pays back."""
    found = [
        stay
        for stay in stays(draw.db())
        if stay["arrive"] > today(draw) and free in (None, stay_refund(stay, stay["free_days"], today(draw)) > 0)
    ]
    if not found:
        return None
    stay = draw.rng.choice(found)
    return stay, draw.say(
        f"stay at {stay['hotel']}",
        f"room in {stay['city']} from {in_words(stay['arrive'])} on",
        indirect=(hints.coming(draw, "stay", stay["id"]),),
    )


def _open_stay(pilot: Pilot, stay: sqlite3.Row) -> Moves:
    yield from open_booking(pilot, rf'"(\w+)" *\| *{re.escape(stay["hotel"])} *\| *[^|\n]+\| *{stay["arrive"]}')


@template("booking/next-stay", app="booking", level=0)
def next_stay(draw: Draw) -> WebTask | None:
    """Where the first or last stay ahead is, or how long."""
    ahead = [stay for stay in stays(draw.db()) if stay["arrive"] > today(draw)]
    which = draw.rng.choice(("next", "last"))
    stay = ahead[0] if which == "next" else ahead[-1]
    day = draw.rng.choice((stay["arrive"], plus(stay["arrive"], -1)))
    ask = draw.say("Name the hotel.", "Which hotel is it?")
    when = "before all others" if which == "next" else "after all others"
    prompt = draw.say(
        f"Where is the {which} of the stays that I have booked for the time after today? {ask} It is not before "
        f"{in_words(day)}.",
        f"I am looking for the {which} booked stay, as of {in_words(today(draw))}; it begins on {in_words(day)} or "
        f"later. {ask}",
        indirect=(
            f"It is {in_words(today(draw))}. Of the hotels that expect me, which sees me {when}? That is not before "
            f"{in_words(day)}.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "My bookings")
        lines = re.findall(
            r'"\w+" *\| *([^|\n]+?) *\| *[^|\n]+\| *(\d{4}-\d\d-\d\d)', re.split(r"\bStays\b", pilot.text)[-1]
        )
        coming = sorted((day, hotel) for hotel, day in lines if day > today(draw))
        yield from pilot.answer(coming[0 if which == "next" else -1][1])

    return WebTask(prompt, solve, answer=Answer("name", stay["hotel"]))


@template("booking/refund-amount", app="booking", level=1)
def refund_amount(draw: Draw) -> WebTask | None:
    """What cancelling two stays would pay back, without doing it."""
    first, second = _stay(draw), _stay(draw)
    if first is None or second is None or first[0]["id"] == second[0]["id"]:
        return None
    one, two = first[0], second[0]
    total = sum(stay_refund(each, each["free_days"], today(draw)) for each in (one, two))
    if not total:
        return None
    prompt = draw.say(
        f"If I cancelled my stays at {one['hotel']} and {two['hotel']} today, how much would I get back in all, in "
        "EUR? Do not cancel them.",
        f"How many euros would cancelling {one['hotel']} and {two['hotel']} today pay back together? I only want to "
        "know.",
        indirect=(
            f"Suppose I stayed at home, and called off {one['hotel']} and {two['hotel']} today. How many EUR would I "
            "see again in all? It is only an idea so far.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        back = 0
        for each in (one, two):
            yield from _open_stay(pilot, each)
            yield from pilot.click("link", "Cancel this stay")
            back += int(pilot.read(r"pays back EUR (\d+)"))
        yield from pilot.answer(str(back))

    return WebTask(prompt, solve, answer=Answer("number", str(total), unit="EUR"))


@template("booking/cancel-stay", app="booking", level=1)
def cancel_stay(draw: Draw) -> WebTask | None:
    """Cancel a stay."""
    found = _stay(draw)
    if found is None:
        return None
    stay, words = found
    goal, allowed = row_goal("the stay is cancelled", "stay", stay["id"], status="cancelled")
    prompt = draw.say(
        f"Cancel my {words}.",
        f"I no longer need the {words}. Cancel it, whatever it pays back.",
        indirect=(
            f"Plans have changed, and nobody will sleep there: the {words} must not take place, even if I lose money.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        yield from pilot.click("link", "Cancel this stay")
        yield from pilot.click("button", "Yes, cancel")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed,))


@template("booking/wishes", app="booking", level=1)
def wishes(draw: Draw) -> WebTask | None:
    """Tell a hotel a wish."""
    found = _stay(draw)
    if found is None:
        return None
    stay, words = found
    text = draw.rng.choice(
        ("two keys please", "a room facing the yard", "we arrive after 23:00", "an extra pillow please")
    )
    goal, allowed = row_goal("the wish is there", "stay", stay["id"], wishes=text)
    prompt = draw.say(
        f"Add this wish to my {words}: {text}",
        f'For the {words}, write "{text}" under wishes and save it.',
        indirect=(f"They should know something about me before the {words}: {text}",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        yield from pilot.fill("textbox", "Wishes", text)
        yield from pilot.click("button", "Save stay")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed,))


@template("booking/breakfast", app="booking", level=1)
def breakfast(draw: Draw) -> WebTask | None:
    """Add breakfast, and say what the stay costs then."""
    found = _stay(draw)
    if found is None:
        return None
    stay, words = found
    room = row(draw.db(), "SELECT * FROM room WHERE id = ?", stay["room_id"])
    assert room is not None
    total = stay_price(room, stay["arrive"], stay["leave"], stay["guests"], breakfast=True)
    goal, allowed = row_goal("breakfast is booked", "stay", stay["id"], breakfast=1)
    prompt = draw.say(
        f"Add breakfast to my {words} and tell me the new total in EUR.",
        f"I want breakfast during the {words}. Book it and answer with what the stay costs then, in EUR.",
        indirect=(
            f"I shall not want to look for a bakery in the morning during the {words}. See to it, and tell me what I "
            "pay in all then, in EUR.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        yield from pilot.check("Breakfast")
        yield from pilot.click("button", "Save stay")
        yield from pilot.answer(pilot.read(r"Total: EUR (\d+)"))

    return WebTask(prompt, solve, (goal,), (allowed,), Answer("number", str(total), unit="EUR"))


@template("booking/move-stay", app="booking", level=1)
def move_stay(draw: Draw) -> WebTask | None:
    """Stay one night longer."""
    found = _stay(draw)
    if found is None:
        return None
    stay, words = found
    leave = plus(stay["leave"], draw.rng.randint(1, 2))
    goal, allowed = row_goal("the stay is longer", "stay", stay["id"], arrive=stay["arrive"], leave=leave)
    prompt = draw.say(
        f"Extend my {words} so that I leave on {in_words(leave)} instead.",
        f"I want to keep the room until {in_words(leave)}: change the {words}. The day of arrival stays.",
        indirect=(f"The {words} is too short: I only go home on {in_words(leave)}. I still come when I was to come.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        yield from pilot.click("link", "Change the nights")
        yield from pilot.fill("textbox", "New arrival", stay["arrive"])
        yield from pilot.fill("textbox", "New departure", leave)
        yield from pilot.click("button", "Show the price")
        yield from pilot.click("button", "Move the stay")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed,))


@template("booking/rebook-cheaper", app="booking", level=2)
def rebook_cheaper(draw: Draw) -> WebTask | None:
    """Cancel a stay that pays back and book the cheapest hotel of that city for the same nights."""
    found = _stay(draw, free=True)
    if found is None:
        return None
    stay, words = found
    nights = Nights(stay["arrive"], stay["leave"], stay["guests"])
    city = draw.rows("SELECT id FROM city WHERE name = ?", stay["city"])[0][0]
    best = the_one(offers(draw.db(), city, nights), lambda each: each.total)
    if best is None or best.hotel["id"] == stay["hotel_id"] or best.total >= stay["total"]:
        return None
    goals, allowed = book_stays(draw, Stay((best.room["id"],), nights, stay["guest"]))
    goal, cancel = row_goal("the old stay is cancelled", "stay", stay["id"], status="cancelled")
    prompt = draw.say(
        f"My {words} is too expensive. Book the cheapest hotel in {stay['city']} for the same nights, number of guests "
        "and main guest, without breakfast, and cancel the old stay.",
        f"Replace my {words} by the cheapest there is in {stay['city']}: same nights, same number of guests, same main "
        "guest, no breakfast. The old one must be cancelled.",
        indirect=(
            f"I pay too much for the {words}. In {stay['city']} nothing should cost less than where I sleep those "
            "nights, without breakfast, with as many guests as before and in the same name; and I sleep in one place "
            "only.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        read = (r"Arrival: (\S+)\.", r"Departure: (\S+)\.", r"Guests: (\d+)\.", r"Main guest: ([^.\n]+)\.")
        arrive, leave, guests, guest = (pilot.read(pattern) for pattern in read)
        yield from pilot.click("link", "Cancel this stay")
        yield from pilot.click("button", "Yes, cancel")
        yield from search_rooms(pilot, stay["city"], Nights(arrive, leave, int(guests)))
        line = min(hotel_lines(pilot), key=lambda line: line.total)
        yield from book_room(pilot, line.name, line.room, guest)
        yield from pilot.done()

    return WebTask(prompt, solve, (*goals, goal), (*allowed, cancel))


@template("booking/no-refund", app="booking", level=0, infeasible=True)
def no_refund(draw: Draw) -> WebTask | None:
    """Nothing would be paid back."""
    found = _stay(draw, free=False)
    if found is None:
        return None
    stay, words = found
    prompt = draw.say(
        f"Cancel my {words}, but only if all that I paid comes back.",
        f"Get me out of the {words}, with a full refund; nothing less will do.",
        indirect=(f"I would give up the {words} if I lost nothing by it, not a euro, and only then.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _open_stay(pilot, stay)
        yield from pilot.click("link", "Cancel this stay")
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)
