"""Tasks of the portal that begin with a colleague's mail: what it asks for is done elsewhere, and answered."""

from __future__ import annotations

import re
import sqlite3

from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import TICKETS, add_comment, change
from thinkact.envs.web.booking_data import itineraries
from thinkact.envs.web.booking_goals import (
    Stay,
    Trip,
    book_flights,
    book_room,
    book_stays,
    book_trips,
    flight_lines,
    hotel_lines,
    open_booking,
    row_goal,
    search_flights,
    search_rooms,
    the_one,
)
from thinkact.envs.web.booking_rooms import Nights, offers
from thinkact.envs.web.booking_trips import segments
from thinkact.envs.web.goals import Wants, added, of, together
from thinkact.envs.web.inbox_goals import a_mail, named, reply_to, send, write
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.portal_moves import DESK, comment, enter, read_mail, within
from thinkact.envs.web.shop_moves import ONE_SIZE, Item, bought, buying, check_out, fill_cart, last_order, way
from thinkact.envs.web.store import Allowed
from thinkact.envs.web.tasks import Draw, WebTask, template

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_ROUTE = r"from (\w+) to (\w+) on (\d+ \w+ \d+)"
_NIGHTS = r"room in (\w+) from (\d+ \w+ \d+) to (\d+ \w+ \d+) for (one|\d+) guests?, in the name of ([^.]+)\."
_ITEM = r"I need (?:(\d+) ×|one) (.+?) in ([\w ]+?)(?:, size ([^.]+?))?\. Could you order"
_BAGS = r"we carry (\d+) extra bags"
_THANKS = ("Done.", "It is done.", "All done, see you soon.", "Taken care of.")


def _day(words: str) -> str:
    day, month, year = words.split()
    return f"{year}-{_MONTHS.index(month) + 1:02d}-{int(day):02d}"


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return match.groups()


def _asked(draw: Draw, *kinds: str) -> sqlite3.Row | None:
    """Draw a request of one of these kinds."""
    return a_mail(within(draw, "desk"), draw.rng.choice(kinds))


def _reply(draw: Draw, mail: sqlite3.Row, text: str) -> Wants:
    return of("desk", write(within(draw, "desk"), reply_to(mail, text)))


def _reply_now(pilot: Pilot, subject: str, text: str) -> Moves:
    yield from read_mail(pilot, subject)
    yield from pilot.click("link", "Reply")
    yield from send(pilot, body=text)


def _prompt(draw: Draw, mail: sqlite3.Row, then: str, matter: str) -> str:
    """Say that a mail's request is to be met; ``matter`` is why, where the wording is indirect."""
    return draw.say(
        f"Do what {named(mail)} asks for. {then}",
        f"{mail['sender']} has a request in “{mail['subject']}” in my mail. See to it. {then}",
        indirect=(f"{matter} What it takes is in {hints.mail(draw, mail, 'desk')}. {then}",),
    )


@template("portal/book-asked-flight", apps=DESK, level=3)
def _book_asked_flight(draw: Draw) -> WebTask | None:
    """A mail asks for a flight: book it, and reply with the confirmation."""
    mail = _asked(draw, "cheapest", "first")
    if mail is None:
        return None
    origin, dest, when = _found(_ROUTE, mail["body"])
    who, day, booking = mail["subject"].split(" to ")[0], _day(when), within(draw, "booking")
    ends = [booking.rows("SELECT id FROM city WHERE name = ?", name)[0][0] for name in (origin, dest)]
    cheapest = mail["kind"] == "cheapest"
    ways = itineraries(booking.db(), ends[0], ends[1], day)
    best = the_one(ways, lambda each: each.price() if cheapest else each.arrives)
    person = next((tuple(row) for row in booking.rows("SELECT first, last, born, passport FROM traveller")
                   if f"{row['first']} {row['last']}" == who), None)  # fmt: skip
    assert best is not None and person is not None, mail["subject"]
    number = booking.rows("SELECT max(id) + 1 FROM trip")[0][0]
    trip = of("booking", book_trips(booking, Trip((best,), (person,))))
    goals, rules = together(trip, _reply(draw, mail, f"NEW{number:03d}"))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        start, end, date = _found(_ROUTE, pilot.text)
        first = pilot.shows("whatever arrives first")
        yield from enter(pilot, "booking")
        yield from search_flights(pilot, start, end, _day(date))
        line = min(flight_lines(pilot), key=lambda line: line.arrives if first else line.price)
        yield from book_flights(pilot, [line.number], [who])
        yield from _reply_now(pilot, mail["subject"], pilot.read(r"Trip (NEW\d+)"))
        yield from pilot.done()

    then = "Then reply to the mail with the reference of the trip (like ABC123), and nothing else."
    return WebTask(_prompt(draw, mail, then, f"{who} has to travel."), solve, goals, rules, steps=22)


@template("portal/book-asked-room", apps=DESK, level=3)
def _book_asked_room(draw: Draw) -> WebTask | None:
    """A mail asks for a room: book it, and reply with the confirmation."""
    mail = _asked(draw, "room")
    if mail is None:
        return None

    def wanted(text: str) -> tuple[str, Nights, str]:
        city, arrive, leave, guests, who = _found(_NIGHTS, text)
        return city, Nights(_day(arrive), _day(leave), 1 if guests == "one" else int(guests)), who

    city, nights, who = wanted(mail["body"])
    booking = within(draw, "booking")
    best = the_one(offers(booking.db(), booking.rows("SELECT id FROM city WHERE name = ?", city)[0][0], nights),
                   lambda each: each.total)  # fmt: skip
    assert best is not None, mail["subject"]
    number = booking.rows("SELECT max(id) + 1 FROM stay")[0][0]
    stay = of("booking", book_stays(booking, Stay((best.room["id"],), nights, who)))
    goals, rules = together(stay, _reply(draw, mail, f"STAY{number:03d}"))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        where, when, guest = wanted(pilot.text)
        yield from enter(pilot, "booking")
        yield from search_rooms(pilot, where, when)
        line = min(hotel_lines(pilot), key=lambda line: line.total)
        yield from book_room(pilot, line.name, line.room, guest)
        yield from _reply_now(pilot, mail["subject"], pilot.read(r"Stay (STAY\d+)"))
        yield from pilot.done()

    then = "Choose the cheapest room that fits. Then reply to the mail with the reference of the stay, nothing else."
    return WebTask(_prompt(draw, mail, then, f"{who} needs somewhere to sleep."), solve, goals, rules, steps=22)


@template("portal/asked-flight-gone", apps=DESK, level=1, infeasible=True)
def _asked_flight_gone(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "gone")
    if mail is None:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        start, end, date = _found(_ROUTE, pilot.text)
        yield from enter(pilot, "booking")
        yield from search_flights(pilot, start, end, _day(date))
        assert all(line.number != mail["subject"].split(" for ")[0] for line in flight_lines(pilot)), pilot.text
        yield from pilot.impossible()

    who = mail["subject"].split(" for ")[1]
    prompt = _prompt(draw, mail, "No reply is needed.", f"{who} has a flight in mind.")
    return WebTask(prompt, solve, infeasible=True)


def _coming(draw: Draw, mail: sqlite3.Row) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
    """Return the trip that a mail is about, with its flights; None where two go there on that day."""
    booking = within(draw, "booking")
    where, when = _found(r"to (\w+) on (\d+ \w+ \d+)", mail["body"])
    trips = [(trip, segments(booking.db(), trip["id"])) for trip in booking.rows("SELECT * FROM trip ORDER BY id")]
    fits = [each for each in trips if (each[1][0]["dest"], each[1][0]["day"]) == (where, _day(when))]
    return fits[0] if len(fits) == 1 else None


def _open_coming(pilot: Pilot, subject: str) -> Moves:
    yield from read_mail(pilot, subject)
    where, when = _found(r"to (\w+) on (\d+ \w+ \d+)", pilot.text)
    yield from enter(pilot, "booking")
    yield from open_booking(pilot, rf'"(\w+)" *\| *[^|\n]+\| *{where} *\| *{_day(when)}')


@template("portal/cancel-asked-trip", apps=DESK, level=2)
def _cancel_asked_trip(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "off")
    found = mail and _coming(draw, mail)
    if mail is None or found is None:
        return None
    text = draw.rng.choice(_THANKS)
    goal, rule = row_goal("the trip is cancelled", "trip", found[0]["id"], status="cancelled")
    goals, rules = together(of("booking", ((goal,), (rule,))), _reply(draw, mail, text))

    def solve(pilot: Pilot) -> Moves:
        yield from _open_coming(pilot, mail["subject"])
        yield from pilot.click("link", "Cancel this trip")
        yield from pilot.click("button", "Yes, cancel")
        yield from _reply_now(pilot, mail["subject"], text)
        yield from pilot.done()

    prompt = _prompt(draw, mail, f"Then reply to it: {text}", "One of our trips will not take place.")
    return WebTask(prompt, solve, goals, rules, steps=15)


@template("portal/asked-bags", apps=DESK, level=2)
def _asked_bags(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "bags")
    found = mail and _coming(draw, mail)
    if mail is None or found is None:
        return None

    id, more = found[0]["id"], int(_found(_BAGS, mail["body"])[0])
    goal, rule = row_goal("the bags are booked", "trip", id, bags=more)
    some = Allowed("trip", f"id = {id} AND bags < {more}", ("bags", "total"), ("update",))
    goals, rules = of("booking", ((goal,), (rule, some)))

    def solve(pilot: Pilot) -> Moves:
        yield from _open_coming(pilot, mail["subject"])
        while not pilot.shows(f"Extra bags: {more}."):
            yield from pilot.click("button", "Add a bag")
        yield from pilot.done()

    prompt = _prompt(draw, mail, "No reply is needed.", "We have more to carry than I thought.")
    return WebTask(prompt, solve, goals, rules, steps=12)


@template("portal/asked-traveller", apps=DESK, level=2)
def _asked_traveller(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "traveller")
    if mail is None:
        return None
    pattern = r"save (\w+) (\w+) as a traveller: born on (\S+), passport (\w+)\."
    person = _found(pattern, mail["body"])
    columns = dict(zip(("first", "last", "born", "passport"), person, strict=True))
    goals, rules = of("booking", added("the traveller is saved", "traveller", **columns))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        values = _found(pattern, pilot.text)
        yield from enter(pilot, "booking")
        yield from pilot.click("link", "Travellers")
        yield from pilot.click("link", "Add a traveller")
        for label, value in zip(("First name", "Last name", "Date of birth", "Passport number"), values, strict=True):
            yield from pilot.fill("textbox", label, value)
        yield from pilot.click("button", "Save traveller")
        yield from pilot.done()

    prompt = _prompt(draw, mail, "No reply is needed.", "Somebody new flies with us, and Travel should know them.")
    return WebTask(prompt, solve, goals, rules, steps=12)


@template("portal/order-asked", apps=DESK, level=3)
def _order_asked(draw: Draw) -> WebTask | None:
    """A mail asks for something from the shop: order it, and reply with the number of the order."""
    mail = _asked(draw, "order")
    shop = within(draw, "shop")
    if mail is None:
        return None
    item, by = _item(shop, mail["body"]), way(shop)
    order = of("shop", (bought(shop, [item], by), buying(shop, [item])))
    goals, rules = together(order, _reply(draw, mail, str(last_order(shop) + 1)))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        many, name, color, size = _found(_ITEM, pilot.text)
        seen = Item(0, 0, name, color.capitalize(), size or ONE_SIZE, int(many or 1))
        yield from enter(pilot, "shop")
        yield from fill_cart(pilot, seen)
        yield from check_out(pilot, by)
        yield from _reply_now(pilot, mail["subject"], pilot.read(r"^# Order #(\d+)"))
        yield from pilot.done()

    then = f"Have it sent {by.words}. Then reply to the mail with the number of the order: digits only."
    return WebTask(_prompt(draw, mail, then, f"{mail['sender']} lacks something."), solve, goals, rules, steps=24)


def _item(shop: Draw, text: str) -> Item:
    many, name, color, size = _found(_ITEM, text)
    row = shop.rows(
        "SELECT variant.*, product.name FROM variant JOIN product ON product.id = product_id"
        " WHERE name = ? AND lower(color) = ? AND size = ?", name, color, size or ONE_SIZE,
    )[0]  # fmt: skip
    return Item(row["id"], row["product_id"], row["name"], row["color"], row["size"], int(many or 1))


@template("portal/asked-item-out", apps=DESK, level=1, infeasible=True)
def _asked_item_out(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "out")
    if mail is None:
        return None
    by = way(within(draw, "shop"))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        name = pilot.read(r"I would like to have (?:\d+ ×|one) (.+?) in ")
        yield from enter(pilot, "shop")
        yield from pilot.fill("textbox", "Search products", name, submit=True)
        yield from pilot.click("link", name)
        assert pilot.shows("out of stock"), pilot.text
        yield from pilot.impossible()

    then = f"Order it in the shop, {by.words}."
    return WebTask(_prompt(draw, mail, then, f"{mail['sender']} lacks something."), solve, infeasible=True)


@template("portal/asked-ticket", apps=DESK, level=2)
def _asked_ticket(draw: Draw) -> WebTask | None:
    mail = _asked(draw, "ticket")
    if mail is None:
        return None
    number, note = _found(r"ticket (\d+) in .* comment on it “(.+)”", mail["body"])
    row = draw.row(f"{TICKETS} WHERE t.id = ?", int(number), app="admin")
    if row is None or row["priority"] == "urgent":
        return None
    text = draw.rng.choice(_THANKS)
    raised = of("admin", change("ticket", [row], {"priority": "urgent"}))
    goals, rules = together(raised, comment(row["id"], note), _reply(draw, mail, text))

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        which, words = _found(r"ticket (\d+) in .* comment on it “(.+)”", pilot.text)
        yield from enter(pilot, "admin")
        yield from add_comment(pilot, int(which), words)
        yield from pilot.select("Priority", "urgent")
        yield from pilot.click("button", "Save changes")
        yield from _reply_now(pilot, mail["subject"], text)
        yield from pilot.done()

    prompt = _prompt(draw, mail, f"Then reply to it: {text}", f"{mail['sender']} is worried about a ticket.")
    return WebTask(prompt, solve, goals, rules, steps=17)
