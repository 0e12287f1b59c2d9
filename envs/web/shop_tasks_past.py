"""Tasks of the shop that end in an answer about orders that were placed: nothing may change."""

from __future__ import annotations

from datetime import date, datetime

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import STATUSES
from thinkact.envs.web.shop_moves import open_order
from thinkact.envs.web.shop_tasks_look import PRICE, dollars, plain
from thinkact.envs.web.tasks import Answer, Draw, Moves, Pilot, WebTask, template


@template("shop/order-status", app="shop", level=0)
def order_status(draw: Draw) -> WebTask | None:
    """The state of an order that is not on the first page."""
    order = draw.pick("SELECT * FROM orders ORDER BY id")
    assert order is not None

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        yield from p.answer(p.read(r"Status: ([a-z]+)\."))

    return WebTask(
        draw.say(
            f"What is the status of order #{order['id']}: {', '.join(STATUSES)}?",
            f"Look up order #{order['id']}. Is it {', '.join(STATUSES[:-1])} or {STATUSES[-1]}?",
            indirect=(f"How far along is {hints.order(draw, order['id'])}? Answer with one of {', '.join(STATUSES)}.",),
        ),
        solve,
        answer=Answer("choice", order["status"], options=STATUSES),
        steps=5,
    )


@template("shop/order-fact", app="shop", level=0)
def order_fact(draw: Draw) -> WebTask | None:
    """Something about an order: its total, its city, its card."""
    order = draw.pick("SELECT * FROM orders WHERE id > 1004 ORDER BY id")
    assert order is not None
    question, pattern, answer = draw.rng.choice(
        (
            ("What was the total of order #{}, in dollars?", rf"Total \| {PRICE}", dollars(order["total"])),
            ("Which city did order #{} go to?", r"^[ -]*To .*, [0-9]{5} (.+)$", Answer("name", order["ship_city"])),
            ("How was order #{} paid? Name the card and its digits.", r"paid with ([A-Za-z]+ [0-9]{4})",
             Answer("name", order["card"])),
        )
    )  # fmt: skip

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        yield from p.answer(plain(p.read(pattern)))

    return WebTask(
        draw.say(
            question.format(order["id"]),
            indirect=(f"I mean {hints.order(draw, order['id'])}. {question.replace('order #{}', 'it')}",),
        ),
        solve,
        answer=answer,
        steps=5,
    )


@template("shop/find-order", app="shop", level=1)
def find_order(draw: Draw) -> WebTask | None:
    """Which order held a product, when there is only one such; orders have to be opened one after the other."""
    row = draw.pick(
        "SELECT name, max(order_id) AS number FROM order_line WHERE order_id > 1009"
        " GROUP BY name HAVING count(*) = 1 AND name NOT IN (SELECT name FROM order_line WHERE order_id <= 1009)"
        " ORDER BY name"
    )
    assert row is not None

    def solve(p: Pilot) -> Moves:
        for number in range(1016, 1000, -1):
            yield from open_order(p, number)
            if p.shows(f'"{row["name"]}"'):
                yield from p.answer(str(number))
                return

    return WebTask(
        draw.say(
            f"Which order did I buy the {row['name']} with? Answer with the order's number.",
            f"Find the number of the order that contains the {row['name']}.",
            indirect=(
                f"The {row['name']} has broken and the shop asks when I bought it. Under which number do they find "
                "that?",
            ),
        ),
        solve,
        answer=Answer("code", str(row["number"]), aliases=(f"#{row['number']}",)),
        steps=12,
    )


@template("shop/spent-on", app="shop", level=1)
def spent_on(draw: Draw) -> WebTask | None:
    """The sum of the totals of all orders of one status, over several pages."""
    status = draw.rng.choice(("delivered", "shipped", "processing", "cancelled"))
    year = draw.rng.choice((2025, 2026))
    sql = "SELECT sum(total), count(*) FROM orders WHERE status = ? AND substr(placed, 1, 4) = ?"
    total, count = draw.rows(sql, status, str(year))[0]
    if count < 2:
        return None

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Orders")
        yield from p.select("Status", status.capitalize())
        yield from p.click("button", "Show")
        cents = 0
        while True:
            for placed, amount in p.read_all(rf"#[0-9]+\" \| ([^|]+) \| {status} \| {PRICE}"):
                if placed.strip().endswith(str(year)):
                    cents += round(float(plain(amount)) * 100)
            if not p.find("link", "Next page"):
                break
            yield from p.click("link", "Next page")
        yield from p.answer(f"{cents / 100:.2f}")

    return WebTask(
        draw.say(
            f"Add up the totals of all my orders placed in {year} whose status is {status}. How many dollars is that?",
            indirect=(
                f"Of what I ordered in {year}, take all that is {status} today: how many dollars do these orders come "
                "to?",
            ),
        ),
        solve,
        answer=dollars(total),
        steps=8,
    )


@template("shop/days-since", app="shop", level=0)
def days_since(draw: Draw) -> WebTask | None:
    """How many days ago the last order of a status was placed."""
    status = draw.rng.choice(STATUSES)
    row = draw.row("SELECT placed FROM orders WHERE status = ? ORDER BY placed DESC", status)
    if row is None:
        return None
    today = draw.now.date()
    days = (today - date.fromisoformat(row["placed"][:10])).days

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Orders")
        yield from p.select("Status", status.capitalize())
        yield from p.click("button", "Show")
        shown = datetime.strptime(p.read(rf"#[0-9]+\" \| ([^|]+) \| {status}").strip(), "%d %b %Y").date()
        yield from p.answer(str((today - shown).days))

    return WebTask(
        draw.say(
            f"Today is {today:%d %B %Y}. How many days ago did I place the newest order whose status is {status}?",
            indirect=(f"It is {today:%d %B %Y}. Of my orders that are {status}, the newest is how many days old?",),
        ),
        solve,
        answer=Answer("number", str(days)),
    )
