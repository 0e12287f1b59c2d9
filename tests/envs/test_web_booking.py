"""Booking: what its pages refuse, what counts as a booking, and experts and attackers in a real browser."""

import json
import random
import sqlite3

import pytest

from thinkact.envs.conformance import play_expert, take
from thinkact.envs.web import booking_data as data
from thinkact.envs.web.booking_env import BookingEnv
from thinkact.envs.web.booking_fill import fill
from thinkact.envs.web.booking_rooms import Nights, offers
from thinkact.envs.web.booking_trips import segments, stays
from thinkact.envs.web.site import NOW, Knobs, Site
from thinkact.envs.web.tasks import APPS, TEMPLATES
from thinkact.envs.web.visitor import ask

PLAIN = Knobs()
TODAY = NOW.date().isoformat()


@pytest.fixture
def site():
    app = APPS["booking"]
    made = Site(app, app.start("train/3", PLAIN), PLAIN)
    yield made
    assert made.fault is None
    made.store.close()


def a_flight(db):
    """Some direct flight on sale: route, day, itinerary."""
    rng = random.Random(0)
    while True:
        origin, dest = rng.sample(range(1, 6), 2)
        day = data.plus(TODAY, rng.randint(5, 30))
        if ways := data.itineraries(db, origin, dest, day, stops=0):
            return {"origin": origin, "dest": dest, "day": day, "out_key": ways[0].key, "fare": "light"}, ways[0]


def booking(**changes):
    form = {"adults": 1, "cabin": "economy", "bags": 0, "email": data.EMAIL, "card": 1, "terms": 1, "saved_1": 1}
    return {**form, **changes}


# The world.


def test_the_world_is_sound_whatever_the_seed():
    for seed in range(4):
        start = APPS["booking"].start(f"eval/{seed}", PLAIN)
        db = start.db
        trips = data.rows(db, "SELECT * FROM trip")
        assert len(trips) == 5 and len({trip["ref"] for trip in trips}) == 5
        for trip in trips:
            legs = segments(db, trip["id"])
            assert [leg["way"] for leg in legs] == ["out", "back"] and legs[0]["day"] <= legs[1]["day"]
            for leg in legs:
                flight = data.row(db, "SELECT * FROM flight WHERE id = ?", leg["flight_id"])
                assert data.runs(flight, leg["day"])
                codes = [
                    each["code"] for each in data.rows(db, "SELECT code FROM seat WHERE segment_id = ?", leg["id"])
                ]
                assert len(set(codes)) == len(codes) > 0
                assert not any(data.seat_taken(flight, leg["day"], code) for code in codes)
        for stay in stays(db):
            assert data.room_free(db, stay["room_id"], stay["arrive"], stay["leave"], except_stay=stay["id"])
            assert not data.room_free(db, stay["room_id"], stay["arrive"], stay["leave"])
        for flight in data.rows(db, "SELECT * FROM flight"):
            assert data.clock(flight["arrives"]) - data.clock(flight["departs"]) == flight["minutes"] < 240


def test_connections_leave_time_to_change_and_lead_where_they_should():
    db = APPS["booking"].start("train/1", PLAIN).db
    seen = 0
    for origin, dest in ((2, 3), (4, 1), (5, 2)):
        day = data.plus(TODAY, 9)
        for each in data.itineraries(db, origin, dest, day):
            assert each.flights[0]["origin_id"] == origin and each.flights[-1]["dest_id"] == dest
            assert each.price("business") > each.price("economy") and each.price(fare="flex") - each.price() == 85
            if len(each.flights) == 2:
                first, second = each.flights
                assert first["dest_id"] == second["origin_id"] not in (origin, dest)
                assert 45 <= data.clock(second["departs"]) - data.clock(first["arrives"]) <= 240
                seen += 1
    assert seen


def test_nights_and_refunds_are_counted_right():
    assert data.nights("2026-03-30", "2026-04-02") == ["2026-03-30", "2026-03-31", "2026-04-01"]
    db = APPS["booking"].start("train/1", PLAIN).db
    room = data.row(db, "SELECT * FROM room")
    plain = data.stay_price(room, "2026-03-30", "2026-04-01", 2)
    assert plain == 2 * room["price"]  # Monday and Tuesday
    assert data.stay_price(room, "2026-03-30", "2026-04-01", 2, breakfast=True) == plain + 4 * room["breakfast"]
    stay = {"arrive": "2026-03-20", "total": 200}
    assert [data.stay_refund(stay, days, "2026-03-18") for days in (-1, 0, 2, 3)] == [0, 200, 200, 0]


# Pages.


def test_a_booking_is_written_once_and_whole(site):
    search, way = a_flight(site.store.db)
    reply = ask(site, "POST", "/flights/book", data=booking(**search, bags=2))
    assert reply.status_code == 303 and reply.headers["Location"] == "/trip/NEW006"
    assert [(each.op, each.table) for each in site.store.changes()] == [
        ("insert", "passenger"), ("insert", "segment"), ("insert", "trip"),
    ]  # fmt: skip
    trip = data.row(site.store.db, "SELECT * FROM trip WHERE id = 6")
    assert trip["total"] == way.price() + 2 * data.BAG_PRICE and trip["fare"] == "light"
    assert "NEW006" in ask(site, "GET", "/trips").text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"terms": ""}, "Accept the fare rules"),
        ({"card": 9}, "Choose a card"),
        ({"email": "nobody"}, "Enter an e-mail address"),
        ({"bags": 9}, "Choose 0 to 3 extra bags"),
        ({"saved_1": 77}, "Choose a saved traveller"),
        (
            {"saved_1": "", "first_1": "A", "last_1": "B", "born_1": "2030-01-01", "passport_1": "C12345678"},
            "date of birth",
        ),
        (
            {"saved_1": "", "first_1": "A", "last_1": "B", "born_1": "1980-02-30", "passport_1": "C12345678"},
            "date of birth",
        ),
        (
            {"saved_1": "", "first_1": "A", "last_1": "B", "born_1": "1980-02-03", "passport_1": "12"},
            "one letter and eight",
        ),
        (
            {"saved_1": "", "first_1": " ", "last_1": "B", "born_1": "1980-02-03", "passport_1": "C12345678"},
            "first name",
        ),
        ({"adults": 2, "saved_2": 1}, "same person"),
        ({"adults": 9}, "1 to 4 adults"),
        ({"fare": "free"}, "not on sale"),
        ({"out_key": "1-2-3"}, "not on sale"),
        ({"day": "2020-01-01"}, "sold from tomorrow"),
        ({"day": "tomorrow"}, "YYYY-MM-DD"),
    ],
)
def test_a_form_that_is_wrong_books_nothing(site, wrong, message):
    search, _ = a_flight(site.store.db)
    reply = ask(site, "POST", "/flights/book", data=booking(**{**search, **wrong}))
    assert reply.status_code in (200, 400, 404) and message in reply.text
    assert site.store.changes() == []


def test_prices_are_not_for_the_visitor_to_say(site):
    search, way = a_flight(site.store.db)
    ask(site, "POST", "/flights/book", data=booking(**search, total=1, price=1, status="free"))
    assert data.row(site.store.db, "SELECT total FROM trip WHERE id = 6")["total"] == way.price()


def test_seats_of_others_and_trips_of_the_past_stay_as_they_are(site):
    db = site.store.db
    old = next(trip for trip in data.rows(db, "SELECT * FROM trip") if segments(db, trip["id"])[0]["day"] < TODAY)
    for path in ("cancel", "bag", "change/out"):
        assert ask(site, "POST", f"/trip/{old['ref']}/{path}").status_code == 409
    trip = next(trip for trip in data.rows(db, "SELECT * FROM trip") if segments(db, trip["id"])[0]["day"] > TODAY)
    leg = segments(db, trip["id"])[0]
    flight = data.row(db, "SELECT * FROM flight WHERE id = ?", leg["flight_id"])
    taken = next(code for code in data.seats() if data.seat_taken(flight, leg["day"], code))
    who = data.row(db, "SELECT id FROM passenger WHERE trip_id = ?", trip["id"])["id"]
    path = f"/trip/{trip['ref']}/seats/{leg['id']}"
    for seat, passenger in ((taken, who), ("99Z", who), ("", who), ("1", who), ("1A", 9999)):
        assert ask(site, "POST", path, data={"seat": seat, "passenger": passenger}).status_code in (400, 409)
    assert ask(site, "POST", f"/trip/{trip['ref']}/seats/9999", data={"seat": "1A"}).status_code == 404
    assert site.store.changes() == []


def test_a_light_fare_cannot_be_changed_and_a_flex_fare_can(site):
    db = site.store.db
    for trip in data.rows(db, "SELECT * FROM trip"):
        leg = segments(db, trip["id"])[0]
        if leg["day"] <= TODAY or leg["day"] == data.plus(TODAY, 1):
            continue
        day = data.plus(leg["day"], -1)
        ways = data.itineraries(db, leg["origin_id"], leg["dest_id"], day)
        if not ways:
            continue
        form = {"day": day, "key": ways[0].key}
        reply = ask(site, "POST", f"/trip/{trip['ref']}/change/out", data=form)
        assert reply.status_code == (409 if trip["fare"] == "light" else 303)
        now = segments(db, trip["id"])[0]["day"]
        assert now == (leg["day"] if trip["fare"] == "light" else day)


def test_full_rooms_are_not_let(site):
    full = data.row(site.store.db, "SELECT * FROM full_night ORDER BY id")
    form = {
        "arrive": full["day"],
        "leave": data.plus(full["day"], 1),
        "guests": 1,
        "guest": "A B",
        "card": 1,
        "terms": 1,
    }
    assert ask(site, "POST", f"/room/{full['room_id']}/book", data=form).status_code == 409
    assert ask(site, "GET", f"/room/{full['room_id']}?month={full['day'][:7]}").text.count("full") >= 1
    nights = Nights(data.plus(TODAY, 6), data.plus(TODAY, 8), 1)
    room = next(offer.room for offer in offers(site.store.db, 1, nights) if offer.room["sleeps"] < 4)
    form, path = {**vars(nights), "guest": "A B", "card": 1, "terms": 1}, f"/room/{room['id']}/book"
    assert ask(site, "POST", path, data={**form, "guests": 4}).status_code == 409
    assert ask(site, "POST", path, data={**form, "leave": nights.arrive}).status_code == 400
    assert "first and last name" in ask(site, "POST", path, data={**form, "guest": "A"}).text
    assert site.store.changes() == []
    assert [ask(site, "POST", path, data=form).status_code for _ in range(2)] == [303, 409]


def test_looking_changes_nothing(site):
    pages = [
        "/",
        "/trips",
        "/rooms",
        "/travellers",
        "/traveller/0",
        "/traveller/1",
        "/hotel/1",
        "/room/1",
        "/flights/calendar",
    ]
    refs = [trip["ref"] for trip in data.rows(site.store.db, "SELECT ref FROM trip")]
    pages += [f"/trip/{ref}{rest}" for ref in refs for rest in ("", "/cancel", "/cancel?confirm=yes", "/change/out")]
    pages += [f"/stay/{stay['ref']}{rest}" for stay in stays(site.store.db) for rest in ("", "/cancel", "/move")]
    for page in pages:
        assert ask(site, "GET", page).status_code in (200, 400, 409), page
    assert site.store.writes() == 0


def test_the_same_seed_fills_the_same_rows():
    app, found = APPS["booking"], []
    for _ in range(2):
        db = sqlite3.connect(":memory:")
        db.row_factory = sqlite3.Row
        db.executescript(app.schema)
        fill(db, random.Random("x"), NOW)
        found.append("\n".join(db.iterdump()))
        db.close()
    assert found[0] == found[1]


# In the browser.


@pytest.fixture(scope="module")
def env(chrome):
    made = BookingEnv(level=(0, 1, 2, 3))
    yield made
    made.close()


@pytest.mark.parametrize("name", ["booking/move-stay", "booking/flight-and-seat"])
def test_experts_find_their_way_through_pop_ups_and_slow_pages(chrome, first_problem, name):
    noisy = BookingEnv(level=(0, 1, 2, 3), split="hidden" if TEMPLATES[name].hidden else "train", noise=2)
    try:
        _, steps = play_expert(noisy, first_problem(name).id)
    finally:
        noisy.close()
    assert steps[-1].facts["success"] and steps[-1].facts["score"] == 1.0
    shown = "".join(step.observation for step in steps)
    assert "Got it" in shown and "Show the page" in shown


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def test_who_books_twice_or_more_than_asked_gets_nothing(env, first_problem):
    where = first_problem("booking/flight-cheapest").id
    actions, steps = play_expert(env, where)
    paid = next(number for number, step in enumerate(steps) if step.reward)
    once = actions[: paid + 1]
    env.reset(options={"task_id": where})
    first = [take(env, action) for action in once]
    assert sum(step.reward for step in first) == 1.0
    over = take(env, call("click", ref=_ref(first[-1].observation, "Add a bag for EUR 30")))
    assert over.reward == -1.0 and over.facts["score"] == 0.0
    last = take(env, call("answer"))
    assert last.terminated and last.facts["score"] == 0.0 and not last.facts["success"]


def _ref(text, name):
    return text.split(f'"{name}"')[0].rsplit("[", 1)[1].split("]")[0]


def test_addresses_alone_cancel_and_book_nothing(env, first_problem):
    where = first_problem("booking/cancel-stay").id
    env.reset(options={"task_id": where})
    ref = stays(env._sites["booking"].store.db, "arrive > ?", TODAY)[0]["ref"]
    for url in (
        f"/stay/{ref}/cancel?confirm=yes",
        "/state",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "/trips?status=cancelled",
    ):
        step = take(env, call("goto", url=url))
        assert step.reward == 0.0
    assert env._sites["booking"].store.writes() == 0
    last = take(env, call("answer", impossible=True))
    assert last.facts["score"] == 0.0 and not last.facts["success"]
