"""What the tasks of the shop share: things to draw, goals, what may change, and an expert's ways through the pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinkact.envs.web import hints
from thinkact.envs.web.goals import Wants
from thinkact.envs.web.shop_data import DELIVERIES
from thinkact.envs.web.tasks import Allowed, Draw, Goal, Moves, Pilot, WebTask

ONE_SIZE = "One size"
#: The products that are not on the wish list.
UNWISHED = "SELECT * FROM product WHERE id NOT IN (SELECT product_id FROM wish) ORDER BY id"
#: The name of the first product in a list with prices.
FIRST_LISTED = r'^.*link \[e[0-9]+\] "([^"]+)" \| \$'


@dataclass(frozen=True)
class Item:
    """A variant of a product, and how many of it."""

    variant: int
    product: int
    name: str
    color: str
    size: str
    quantity: int = 1

    @property
    def words(self) -> str:
        """The variant as a person would say it."""
        size = "" if self.size == ONE_SIZE else f", size {self.size}"
        return f"{self.name} in {self.color.lower()}{size}"

    @property
    def order(self) -> str:
        """Quantity and variant as a person would say it."""
        return f"{self.quantity} × {self.words}" if self.quantity > 1 else f"one {self.words}"


@dataclass(frozen=True)
class Way:
    """How an order is to be placed: a saved address and card, the way of delivery, a message, a coupon."""

    address: sqlite3.Row
    card: str
    delivery: str = "standard"
    gift: str = ""
    coupon: str = ""

    @property
    def words(self) -> str:
        """The way as a person would say it."""
        speed = "express" if self.delivery == "express" else "standard"
        return f"to my saved address {self.address['label']!r} with {speed} delivery, and pay with my {self.card}"


def items(draw: Draw, n: int, *, where: str = "stock >= 5", most: int = 3) -> list[Item]:
    """Draw variants of ``n`` different products (fewer where there are fewer) that can be bought."""
    rows = draw.rows(
        "SELECT variant.id, product_id, name, color, size FROM variant JOIN product ON product.id = product_id"
        f" WHERE {where} ORDER BY variant.id"
    )
    chosen: dict[int, Item] = {}
    for row in draw.some(rows, 4 * n):
        if len(chosen) < n:
            item = Item(row["id"], row["product_id"], row["name"], row["color"], row["size"], draw.rng.randint(1, most))
            chosen.setdefault(item.product, item)
    return list(chosen.values())


def way(draw: Draw, *, coupon: str = "", gift: str = "") -> Way:
    """Draw an address, a card and a way of delivery."""
    address = draw.rng.choice(draw.rows("SELECT * FROM address ORDER BY id"))
    cards = [f"{row['label']} {row['digits']}" for row in draw.rows("SELECT * FROM card ORDER BY id")]
    return Way(address, draw.rng.choice(cards), draw.rng.choice(tuple(DELIVERIES)), gift, coupon)


def a_coupon(draw: Draw) -> sqlite3.Row:
    """Draw a coupon that is still good, for goods of any category."""
    sql = "SELECT * FROM coupon WHERE expires >= ? AND category = '' ORDER BY id"
    coupon = draw.pick(sql, draw.now.date().isoformat())
    assert coupon is not None
    return coupon


def delivered_line(draw: Draw, placed: str) -> sqlite3.Row | None:
    """Draw a line of an order that has arrived; ``placed`` (such as ``"> '2026-02-20'"``) says when it was ordered."""
    return draw.pick(
        "SELECT order_line.* FROM order_line JOIN orders ON orders.id = order_id WHERE status = 'delivered'"
        f" AND placed {placed} ORDER BY order_line.id"
    )


def variants_of(draw: Draw, order: int) -> list[int]:
    """Return the ids of the variants that an order holds."""
    return [row[0] for row in draw.rows("SELECT variant_id FROM order_line WHERE order_id = ?", order)]


def cancelled(draw: Draw, order: int) -> Wants:
    """Want an order cancelled, which puts its goods back into stock."""
    goal = Goal("cancelled", "SELECT status = 'cancelled' FROM orders WHERE id = ?", (order,))
    back = Allowed("variant", one_of("id", variants_of(draw, order)), ("stock",), ("update",))
    return (goal,), (Allowed("orders", f"id = {order}", ("status",), ("update",)), back)


def last_order(draw: Draw) -> int:
    """Return the highest order number at the start."""
    return int(draw.rows("SELECT max(id) FROM orders")[0][0])


def one_of(column: str, ids: Sequence[int]) -> str:
    """Return the condition that a column is one of some ids."""
    return f"{column} IN ({', '.join(str(int(each)) for each in ids)})"


def in_cart(item: Item) -> Goal:
    """The item, in that quantity, is in the cart."""
    sql = "SELECT 1 FROM cart WHERE variant_id = ? AND quantity = ?"
    return Goal(f"in the cart: {item.order}", sql, (item.variant, item.quantity))


def cart_may_hold(wanted: Sequence[Item]) -> Allowed:
    """Only these variants may come into the cart."""
    return Allowed("cart", one_of("variant_id", [each.variant for each in wanted]))


def bought(
    draw: Draw, wanted: Sequence[Item], by: Way, *, extra: str = "", params: tuple[str, ...] = ()
) -> tuple[Goal, ...]:
    """Goals of an order: each item chosen, and one order of exactly them, placed as wanted."""
    last = last_order(draw)
    goals = [
        Goal(
            f"chosen: {item.order}",
            "SELECT EXISTS (SELECT 1 FROM cart WHERE variant_id = ?1 AND quantity = ?2) OR EXISTS"
            " (SELECT 1 FROM order_line WHERE order_id > ?3 AND variant_id = ?1 AND quantity = ?2)",
            (item.variant, item.quantity, last),
            weight=1 / len(wanted),
        )
        for item in wanted
    ]
    lines = " AND ".join(
        f"EXISTS (SELECT 1 FROM order_line WHERE order_id = orders.id AND variant_id = {item.variant}"
        f" AND quantity = {item.quantity})"
        for item in wanted
    )
    placed = Goal(
        "ordered as wanted",
        "SELECT 1 FROM orders WHERE id > ? AND (SELECT count(*) FROM orders WHERE id > ?) = 1 AND ship_name = ? AND"
        " ship_street = ? AND ship_city = ? AND ship_zip = ? AND card = ? AND delivery = ? AND gift = ? AND coupon = ?"
        f" AND (SELECT count(*) FROM order_line WHERE order_id = orders.id) = {len(wanted)} AND {lines}"
        f" AND NOT EXISTS (SELECT 1 FROM cart) {extra}",
        (last, last, *(by.address[name] for name in ("name", "street", "city", "zip")), by.card, by.delivery, by.gift,
         by.coupon, *params),
        weight=2.0,
    )  # fmt: skip
    return (*goals, placed)


def buying(draw: Draw, wanted: Sequence[Item]) -> tuple[Allowed, ...]:
    """What an order of these items may change."""
    last = last_order(draw)
    return (
        cart_may_hold(wanted),
        Allowed("cart_coupon"),
        Allowed("orders", f"id > {last}", ops=("insert",)),
        Allowed("order_line", f"order_id > {last}", ops=("insert",)),
        Allowed("variant", one_of("id", [each.variant for each in wanted]), ("stock",), ("update",)),
    )


# What is asked for in the same words where it can be done and where it cannot.


def ask_for_cart(draw: Draw, item: Item) -> str:
    """Return the wish to have an item in the cart."""
    return draw.say(
        f"Put {item.order} into the cart.",
        f"I need {item.order}. Add that to the cart, but do not order.",
        indirect=(f"Get my cart ready so that I only have to pay: {item.order} is all I want.",),
    )


def ask_for_wish(draw: Draw, name: str) -> str:
    """Return the wish to have a product on the wish list."""
    return draw.say(
        f"Add the {name} to my wish list.",
        f"Put the {name} on my wish list, please.",
        indirect=(f"My birthday is near. See to it that my friends know that I would like the {name}.",),
    )


def ask_to_cancel(draw: Draw, order: int) -> str:
    """Return the wish to cancel an order."""
    return draw.say(
        f"Cancel order #{order}.",
        f"I do not want order #{order} any more: cancel it.",
        indirect=(f"I have changed my mind about {hints.order(draw, order)}. It must not be sent.",),
    )


# An expert's ways.


def open_product(p: Pilot, name: str) -> Moves:
    """Find a product by its name and open it."""
    yield from p.fill("textbox", "Search products", name, submit=True)
    yield from p.click("link", name)


def fill_cart(p: Pilot, item: Item) -> Moves:
    """Put an item into the cart."""
    yield from open_product(p, item.name)
    yield from choose(p, item)


def choose(p: Pilot, item: Item) -> Moves:
    """On the page of a product, put the variant into the cart."""
    yield from p.select("Colour", item.color)
    if item.size != ONE_SIZE:
        yield from p.select("Size", item.size)
    if item.quantity != 1:
        yield from p.fill("textbox", "Quantity", str(item.quantity))
    yield from p.click("button", "Add to cart")


def apply_coupon(p: Pilot, code: str) -> Moves:
    """In the cart, apply a coupon."""
    yield from p.fill("textbox", "Coupon code", code)
    yield from p.click("button", "Apply coupon")


def check_out(p: Pilot, by: Way) -> Moves:
    """From the cart to the placed order."""
    if by.coupon:
        yield from apply_coupon(p, by.coupon)
    yield from p.click("link", "Proceed to checkout")
    yield from p.click("button", f"Deliver to {by.address['label']}")
    yield from pay(p, by)
    yield from p.click("button", "Place order")


def pay(p: Pilot, by: Way) -> Moves:
    """Fill in delivery and payment, with a saved card."""
    if by.delivery != "standard":
        yield from p.select("Delivery", DELIVERIES[by.delivery][0])
    yield from p.select("Pay with", by.card)
    if by.gift:
        yield from p.fill("textbox", "Gift message", by.gift)
    yield from p.click("button", "Continue")


def narrow(p: Pilot, choices: Mapping[str, str], *, high: int = 0) -> Moves:
    """Filter and sort the catalogue: ``{"Category": "Mugs", "Sort by": "Rating"}``, up to ``high`` dollars."""
    yield from p.click("link", "Products")
    for name, value in choices.items():
        yield from p.select(name, value)
    if high:
        yield from p.fill("textbox", "Price to ($)", str(high))
    yield from p.click("button", "Apply filters")


def open_order(p: Pilot, number: int) -> Moves:
    """Open an order, turning pages until it shows."""
    yield from p.click("link", "Orders")
    while not p.find("link", f"Order #{number}"):
        yield from p.click("link", "Next page")
    yield from p.click("link", f"Order #{number}")


def purchase(draw: Draw, prompt: str, wanted: Sequence[Item], by: Way, *, steps: int) -> WebTask:
    """Return the task of one order of these items, which the expert finds one by one."""

    def solve(p: Pilot) -> Moves:
        for item in wanted:
            yield from fill_cart(p, item)
        yield from check_out(p, by)
        yield from p.done()

    return WebTask(prompt, solve, bought(draw, wanted, by), buying(draw, wanted), steps=steps)
