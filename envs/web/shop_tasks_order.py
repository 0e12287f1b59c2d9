"""Tasks of the shop that end in an order, and other errands of ten to twenty actions."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import CATEGORIES, REASONS
from thinkact.envs.web.shop_moves import (
    FIRST_LISTED,
    UNWISHED,
    Item,
    Way,
    a_coupon,
    bought,
    buying,
    check_out,
    choose,
    fill_cart,
    items,
    last_order,
    narrow,
    one_of,
    open_order,
    open_product,
    purchase,
    way,
)
from thinkact.envs.web.shop_tasks_account import address_words, fill_address, new_address
from thinkact.envs.web.shop_tasks_do import wish_for, wished
from thinkact.envs.web.tasks import Allowed, Draw, Goal, Moves, Pilot, WebTask, template


@template("shop/order-item", app="shop", level=2)
def order_item(draw: Draw) -> WebTask | None:
    """Order one variant to a saved address."""
    item, by = items(draw, 1)[0], way(draw)

    return purchase(
        draw,
        draw.say(
            f"Order {item.order} {by.words}.",
            f"Buy {item.order}. Have it sent {by.words}.",
            indirect=[f"I have run out of them: {item.order}. Get it {by.words}."],
        ),
        [item],
        by,
        steps=13,
    )


@template("shop/order-present", app="shop", level=2)
def order_present(draw: Draw) -> WebTask | None:
    """Order something with a message."""
    gift = draw.rng.choice(("Happy birthday!", "Get well soon", "With love", "Thank you for everything", "Well done"))
    item, by = items(draw, 1, most=1)[0], way(draw, gift=gift)

    return purchase(
        draw,
        draw.say(
            f"Order {item.order} as a present: {by.words}, and with the gift message {gift!r}.",
            indirect=(
                f"Somebody has a reason to be glad: get {item.order} {by.words}. A card with {gift!r} should come with "
                "it.",
            ),
        ),
        [item],
        by,
        steps=13,
    )


@template("shop/order-cheapest", app="shop", level=2)
def order_cheapest(draw: Draw) -> WebTask | None:
    """Order the cheapest product of a brand in a category, in a colour and size that are in stock."""
    category = draw.rng.choice(CATEGORIES)
    sql = "SELECT brand FROM product WHERE category = ? GROUP BY brand HAVING count(*) >= 2 ORDER BY brand"
    row = draw.pick(sql, category.name)
    if row is None:
        return None
    brand = row["brand"]
    best = draw.row("SELECT * FROM product WHERE category = ? AND brand = ? ORDER BY price", category.name, brand)
    assert best is not None
    variant = draw.pick("SELECT * FROM variant WHERE product_id = ? AND stock >= 3 ORDER BY id", best["id"])
    if variant is None:
        return None
    item = Item(variant["id"], best["id"], best["name"], variant["color"], variant["size"], draw.rng.randint(1, 2))
    by = way(draw)

    def solve(p: Pilot) -> Moves:
        yield from narrow(p, {"Category": category.name, "Brand": brand, "Sort by": "Price: low to high"})
        yield from p.click("link", p.read(FIRST_LISTED))
        yield from choose(p, item)
        yield from check_out(p, by)
        yield from p.done()

    size = "" if item.size == "One size" else f", size {item.size}"
    many = "one" if item.quantity == 1 else f"{item.quantity} of it"
    return WebTask(
        draw.say(
            f"Order the cheapest of the {category.name.lower()} by {brand}, {many}, in {item.color.lower()}{size}. "
            f"Have it sent {by.words}.",
            indirect=(
                f"Of all that {brand} has in {category.name}, I need what costs least ({many}, in "
                f"{item.color.lower()}{size}). Get it {by.words}.",
            ),
        ),
        solve,
        goals=bought(draw, [item], by),
        allowed=buying(draw, [item]),
        steps=17,
    )


@template("shop/order-coupon", app="shop", level=2)
def order_coupon(draw: Draw) -> WebTask | None:
    """Order with a coupon whose terms are met."""
    coupon = a_coupon(draw)
    where = f"stock >= 5 AND price >= {max(coupon['minimum'], coupon['amount'])}"
    found = items(draw, 1, where=where, most=2)
    if not found:
        return None
    item, by = found[0], way(draw, coupon=coupon["code"])

    return purchase(
        draw,
        draw.say(
            f"Order {item.order} with the coupon {coupon['code']}, {by.words}.",
            f"Use my coupon {coupon['code']} to buy {item.order}; send it {by.words}.",
            indirect=(
                f"I have run out of them: {item.order}. Get it {by.words}, and see that {coupon['code']} lowers the "
                "price.",
            ),
        ),
        [item],
        by,
        steps=15,
    )


@template("shop/order-best-coupon", app="shop", level=2)
def order_best_coupon(draw: Draw) -> WebTask | None:
    """Order with whichever coupon takes off most: the terms have to be read."""
    found = items(draw, 1, most=2)
    if not found:
        return None
    item = found[0]
    price, category = draw.rows("SELECT price, category FROM product WHERE id = ?", item.product)[0]
    worth = {}
    for row in draw.rows("SELECT * FROM coupon ORDER BY code"):
        subtotal = price * item.quantity
        usable = row["expires"] >= draw.now.date().isoformat() and subtotal >= row["minimum"]
        if usable and row["category"] in ("", category):
            worth[row["code"]] = min(subtotal, row["amount"] or subtotal * row["percent"] // 100)
    ranked = sorted(worth, key=lambda code: -worth[code])
    if len(ranked) < 2 or worth[ranked[0]] == worth[ranked[1]]:
        return None
    by = way(draw, coupon=ranked[0])

    return purchase(
        draw,
        draw.say(
            f"Order {item.order} {by.words}. Of the coupons under Offers use the one that saves most.",
            indirect=(
                f"I have run out of them: {item.order}. Get it {by.words}. One of the offers makes this cheaper than "
                "any other does.",
            ),
        ),
        [item],
        by,
        steps=17,
    )


@template("shop/order-new-card", app="shop", level=2)
def order_new_card(draw: Draw) -> WebTask | None:
    """Order and pay with a card that is not saved."""
    item, by = items(draw, 1, most=1)[0], way(draw)
    digits = "".join(str(draw.rng.randrange(10)) for _ in range(16))
    expires = f"{draw.rng.randint(1, 12):02d}/{draw.rng.randint(27, 31)}"
    paid = Way(by.address, f"Card {digits[-4:]}", by.delivery)

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from p.click("link", "Proceed to checkout")
        yield from p.click("button", f"Deliver to {by.address['label']}")
        if by.delivery == "express":
            yield from p.select("Delivery", "Express")
        yield from p.select("Pay with", "Another card")
        yield from p.fill("textbox", "Card number", digits)
        yield from p.fill("textbox", "Expires (MM/YY)", expires)
        yield from p.click("button", "Continue")
        yield from p.click("button", "Place order")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Order {item.order} to my saved address {by.address['label']!r} with {by.delivery} delivery. Pay with "
            f"another card: {digits}, expires {expires}.",
            indirect=(
                f"I need {item.order} at {by.address['label']!r}, {by.delivery} delivery. My saved cards are blocked; "
                f"take {digits} (until {expires}).",
            ),
        ),
        solve,
        goals=bought(draw, [item], paid),
        allowed=buying(draw, [item]),
        steps=15,
    )


@template("shop/order-elsewhere", app="shop", level=2)
def order_elsewhere(draw: Draw) -> WebTask | None:
    """Order to an address that is not saved, and is not to be."""
    item, by, new = items(draw, 1, most=1)[0], way(draw), new_address(draw)
    last = last_order(draw)

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from p.click("link", "Proceed to checkout")
        yield from fill_address(p, new)
        yield from p.click("button", "Deliver to this address")
        yield from p.select("Pay with", by.card)
        yield from p.click("button", "Continue")
        yield from p.click("button", "Place order")
        yield from p.done()

    goal = Goal(
        "ordered as wanted",
        "SELECT count(*) = 1 AND max(ship_name = ? AND ship_street = ? AND ship_city = ? AND ship_zip = ? AND card = ?"
        " AND delivery = 'standard') AND (SELECT count(*) = 1 AND max(variant_id = ? AND quantity = 1) FROM order_line"
        " WHERE order_id > ?) FROM orders WHERE id > ?",
        (new["name"], new["street"], new["city"], new["zip"], by.card, item.variant, last, last),
    )
    return WebTask(
        draw.say(
            f"Order {item.order} for a friend, with standard delivery to {address_words(new)}. Pay with my {by.card}, "
            "and do not save the address.",
            indirect=(
                f"A friend at {address_words(new)} should get {item.order}, the standard way, at the expense of my "
                f"{by.card}. I shall never send anything there again.",
            ),
        ),
        solve,
        goals=(goal,),
        allowed=buying(draw, [item]),
        steps=15,
    )


@template("shop/wish-clear-over", app="shop", level=0)
def wish_clear_over(draw: Draw) -> WebTask | None:
    """Take everything above a price off the wish list."""
    rows = draw.rows("SELECT product.* FROM wish JOIN product ON product.id = product_id ORDER BY price")
    cut = draw.rng.randint(1, len(rows) - 1)
    high = rows[cut]["price"] // 100
    if rows[cut - 1]["price"] > high * 100:
        return None
    dear = [row for row in rows if row["price"] > high * 100]

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Wish list")
        for name, amount in p.read_all(r'link \[e[0-9]+\] "([^"]+)" \| \$([0-9,]+\.[0-9]{2})'):
            if float(amount.replace(",", "")) > high:
                yield from p.click("button", f"Remove {name}")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Remove everything that costs more than {high} dollars from my wish list.",
            f"My wish list is too dear: take off whatever costs over {high} dollars, and nothing else.",
            indirect=(
                f"My friends cannot spend more than {high} dollars on one present. My wish list should not ask more of "
                "them; what they can pay stays.",
            ),
        ),
        solve,
        goals=tuple(
            Goal(f"off: {row['name']}", "SELECT NOT EXISTS (SELECT 1 FROM wish WHERE product_id = ?)", (row["id"],))
            for row in dear
        ),
        allowed=(Allowed("wish", one_of("product_id", [row["id"] for row in dear]), ops=("delete",)),),
    )


@template("shop/wish-light", app="shop", level=2)
def wish_light(draw: Draw) -> WebTask | None:
    """Put the lightest of three named products on the wish list."""
    chosen = draw.some(draw.rows(UNWISHED), 3)
    if len({row["weight"] for row in chosen}) < 3:
        return None
    best = min(chosen, key=lambda row: row["weight"])

    def solve(p: Pilot) -> Moves:
        seen = {}
        for row in chosen:
            yield from open_product(p, row["name"])
            seen[row["name"]] = int(p.read(r"Weight \| ([0-9]+) g"))
        yield from wish_for(p, min(seen, key=lambda name: seen[name]))
        yield from p.done()

    return WebTask(
        draw.say(
            f"Put the lightest of these on my wish list: {'; '.join(row['name'] for row in chosen)}.",
            indirect=(
                "I shall carry it all day: let my wish list have whichever weighs least of "
                f"{'; '.join(row['name'] for row in chosen)}.",
            ),
        ),
        solve,
        goals=(wished(best["id"], best["name"]),),
        allowed=(Allowed("wish", f"product_id = {best['id']}", ops=("insert",)),),
        steps=12,
    )


@template("shop/return-all", app="shop", level=2)
def return_all(draw: Draw) -> WebTask | None:
    """Send everything in an order back."""
    order = draw.pick(
        "SELECT order_id FROM order_line JOIN orders ON orders.id = order_id WHERE status = 'delivered' AND"
        " placed > '2026-02-20' GROUP BY order_id HAVING count(*) >= 2 ORDER BY order_id"
    )
    if order is None:
        return None
    lines = draw.rows("SELECT * FROM order_line WHERE order_id = ? ORDER BY id", order["order_id"])
    reason = draw.rng.choice(REASONS)

    def solve(p: Pilot) -> Moves:
        for line in lines:
            yield from open_order(p, order["order_id"])
            yield from p.click("link", f"Return {line['name']}")
            if line["quantity"] != 1:
                yield from p.fill("textbox", "Quantity", str(line["quantity"]))
            yield from p.select("Reason", reason)
            yield from p.click("button", "Register return")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Return all that came with order #{order['order_id']}, every piece of it, for the reason {reason!r}.",
            indirect=(
                f"Nothing that {hints.order(draw, order['order_id'])} brought stays here, not a single piece. Let the "
                f"shop know; the reason is {reason!r} each time.",
            ),
        ),
        solve,
        goals=tuple(
            Goal(
                f"returned: {line['name']}",
                "SELECT quantity = ? AND reason = ? FROM return_request WHERE line_id = ?",
                (line["quantity"], reason, line["id"]),
            )
            for line in lines
        ),
        allowed=(Allowed("return_request", one_of("line_id", [line["id"] for line in lines]), ops=("insert",)),),
        steps=18,
    )
