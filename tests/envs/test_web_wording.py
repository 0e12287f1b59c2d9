"""The wording "indirect": every template has one, it leaves the task as it is, and what it describes is one thing."""

import pytest

from thinkact.cli_common import env_class
from thinkact.envs.web import hints, portal_mail, shop_data, wiki_words
from thinkact.envs.web.admin_data import ORDERS
from thinkact.envs.web.inbox_words import INJECTIONS
from thinkact.envs.web.site import Knobs
from thinkact.envs.web.tasks import APPS, TEMPLATES, Draw, build
from thinkact.envs.web.wiki_book import Book

FAMILIES = ("Shop-v0", "Inbox-v0", "Booking-v0", "Wiki-v0", "Admin-v0", "Portal-v0")


def _draw(app):
    for family in FAMILIES:
        env_class(f"thinkact/{family}")
    return Draw(None, {app: APPS[app].start("wording/0", Knobs(distractors=2))}, Knobs(), "indirect")


def _all(draw, sql, describe):
    return [describe(row) for row in draw.rows(sql)]


#: Application to what describes each row of its tables, all at once.
DESCRIBED = {
    "shop": lambda d: [
        _all(d, "SELECT * FROM product", lambda row: hints.product(d, row["id"])),
        _all(d, "SELECT * FROM product", lambda row: hints.product(d, row["id"], without="material")),
        _all(d, "SELECT * FROM orders", lambda row: hints.order(d, row["id"])),
        _all(d, "SELECT * FROM address", lambda row: hints.address(d, row)),
    ],
    "admin": lambda d: [
        _all(d, "SELECT * FROM ticket", lambda row: hints.ticket(d, row)),
        _all(d, "SELECT * FROM staff", lambda row: hints.person(d, row)),
        _all(d, "SELECT * FROM asset", lambda row: hints.asset(d, row)),
    ],
    "inbox": lambda d: [_all(d, "SELECT * FROM mail", lambda row: hints.mail(d, row))],
    "desk": lambda d: [_all(d, "SELECT * FROM mail", lambda row: hints.mail(d, row))],
    "wiki": lambda d: [[hints.article(d, each) for each in Book(d).of()]],
    "booking": lambda d: [
        _all(d, f"SELECT id FROM trip WHERE {_AHEAD}", lambda row: hints.coming(d, "trip", row["id"])),
        _all(d, "SELECT id FROM stay WHERE arrive > '2026-03-17'", lambda row: hints.coming(d, "stay", row["id"])),
    ],
}
_AHEAD = "(SELECT min(day) FROM segment WHERE trip_id = trip.id) > '2026-03-17'"


@pytest.mark.parametrize("app", DESCRIBED)
def test_no_two_things_are_described_alike(app):
    for said in DESCRIBED[app](_draw(app)):
        assert len(said) >= 3 and len(set(said)) == len(said), [each for each in said if said.count(each) > 1]


def test_most_descriptions_name_nothing():
    shop = _draw("shop")
    names = [row["name"] for row in shop.rows("SELECT name FROM product")]
    said = DESCRIBED["shop"](shop)[0]
    assert sum(name in words for name, words in zip(names, said, strict=True)) == 0
    assert sum("the page (among" in words for words in DESCRIBED["wiki"](_draw("wiki"))[0]) > 40


@pytest.mark.parametrize("family", FAMILIES)
def test_every_template_can_be_put_indirectly_and_stays_the_same_task(family):
    family = env_class(f"thinkact/{family}").family
    orders = (*ORDERS, *INJECTIONS, *shop_data.ORDERS, *wiki_words.ORDERS, *portal_mail.PLANTED)
    seen = 0
    for name, each in TEMPLATES.items():
        if not name.startswith(f"{family}/"):
            continue
        split = "hidden" if each.hidden else "train"
        for number in range(0, 2400, 100):  # all from one database
            plain, indirect = (build(split, name, number, Knobs(), wording) for wording in ("plain", "indirect"))
            if plain is None or indirect is None:
                continue
            one, other = plain.task, indirect.task
            assert one.prompt != other.prompt, name
            assert not any(order in prompt for order in orders for prompt in (one.prompt, other.prompt)), name
            wanted = [(task.goals, task.allowed, task.answer, task.infeasible) for task in (one, other)]
            assert wanted[0] == wanted[1], name
            seen += 1
            break
    assert seen > 25
