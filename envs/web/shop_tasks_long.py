"""Long tasks of the shop: twenty to forty actions, several things in one go."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import CATEGORIES, REASONS
from thinkact.envs.web.shop_moves import (
    FIRST_LISTED,
    UNWISHED,
    a_coupon,
    bought,
    buying,
    cancelled,
    check_out,
    delivered_line,
    fill_cart,
    items,
    narrow,
    one_of,
    open_order,
    purchase,
    variants_of,
    way,
)
from thinkact.envs.web.shop_tasks_account import address_words, fill_address, new_address
from thinkact.envs.web.shop_tasks_do import wish_for, wished
from thinkact.envs.web.tasks import Allowed, Draw, Goal, Moves, Pilot, WebTask, template


@template("shop/order-three", app="shop", level=3)
def order_three(draw: Draw) -> WebTask | None:
    """One order of three things."""
    wanted, by = items(draw, 3), way(draw)
    if len(wanted) < 3:
        return None

    return purchase(
        draw,
        draw.say(
            f"Place one order of all of these: {'; '.join(item.order for item in wanted)}. Have it sent {by.words}.",
            indirect=(
                f"I am out of several things: {'; '.join(item.order for item in wanted)}. One parcel {by.words} would "
                "set that right.",
            ),
        ),
        wanted,
        by,
        steps=25,
    )


@template("shop/order-four-coupon", app="shop", level=3)
def order_four_coupon(draw: Draw) -> WebTask | None:
    """One order of four things with a message and a coupon."""
    coupon = a_coupon(draw)
    where = f"stock >= 5 AND price >= {max(coupon['minimum'], coupon['amount']) // 4}"
    wanted = items(draw, 4, where=where, most=2)
    if len(wanted) < 4:
        return None
    by = way(draw, coupon=coupon["code"], gift=draw.rng.choice(("For the new flat", "From all of us", "Enjoy!")))

    return purchase(
        draw,
        draw.say(
            f"Buy {'; '.join(item.order for item in wanted)}, all in one order, using the coupon {coupon['code']} and "
            f"the gift message {by.gift!r}. Have it sent {by.words}.",
            indirect=(
                f"One parcel shall hold {'; '.join(item.order for item in wanted)}, with a card that says {by.gift!r}. "
                f"My {coupon['code']} should make it cheaper; it goes {by.words}.",
            ),
        ),
        wanted,
        by,
        steps=33,
    )


@template("shop/wish-categories", app="shop", level=3)
def wish_categories(draw: Draw) -> WebTask | None:
    """The cheapest product of each of four categories goes on the wish list."""
    chosen = draw.some(CATEGORIES, 4)
    best = {}
    for each in chosen:
        row = draw.row("SELECT * FROM product WHERE category = ? ORDER BY price", each.name)
        assert row is not None
        best[each.name] = row
    if draw.row(f"SELECT 1 FROM wish WHERE {one_of('product_id', [row['id'] for row in best.values()])}"):
        return None

    def solve(p: Pilot) -> Moves:
        for each in chosen:
            yield from narrow(p, {"Category": each.name, "Sort by": "Price: low to high"})
            yield from p.click("link", p.read(FIRST_LISTED))
            yield from p.click("button", "Add to wish list")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Put the cheapest product of each of these categories on my wish list: {', '.join(best)}.",
            indirect=(
                f"My friends have little money and ask what I would like from each of {', '.join(best)}. Let my wish "
                "list name what costs least there.",
            ),
        ),
        solve,
        goals=tuple(wished(row["id"], row["name"]) for row in best.values()),
        allowed=(Allowed("wish", one_of("product_id", [row["id"] for row in best.values()]), ops=("insert",)),),
        steps=25,
    )


@template("shop/address-book", app="shop", level=3)
def address_book(draw: Draw) -> WebTask | None:
    """Two new addresses, one deleted, one corrected."""
    first, second, third = (new_address(draw) for _ in range(3))
    saved = draw.rows("SELECT * FROM address ORDER BY main, id")
    gone, kept = saved[0], saved[1]
    if first["label"] == second["label"]:
        return None

    def solve(p: Pilot) -> Moves:
        for each in (first, second):
            yield from p.click("link", "Account")
            yield from p.click("link", "Add an address")
            yield from p.fill("textbox", "Label", each["label"])
            yield from fill_address(p, each)
            yield from p.click("button", "Save address")
        yield from p.click("button", f"Delete {gone['label']}")
        yield from p.click("link", f"Edit {kept['label']}")
        yield from fill_address(p, third)
        yield from p.click("button", "Save address")
        yield from p.done()

    saved_as = "SELECT 1 FROM address WHERE label = ? AND name = ? AND street = ? AND city = ? AND zip = ?"
    new = f"label IN ({', '.join('?' * 2)})"
    return WebTask(
        draw.say(
            f"Bring my saved addresses up to date: add {first['label']!r} ({address_words(first)}) and "
            f"{second['label']!r} ({address_words(second)}), delete {gone['label']!r}, and change {kept['label']!r} to "
            f"{address_words(third)}.",
            indirect=(
                f"People have moved. {kept['label']!r} is {address_words(third)} now, nobody lives at "
                f"{gone['label']!r} any more, and the shop does not know {first['label']!r} ({address_words(first)}) "
                f"and {second['label']!r} ({address_words(second)}) yet.",
            ),
        ),
        solve,
        goals=(
            Goal(f"added: {first['label']}", saved_as, tuple(first.values())),
            Goal(f"added: {second['label']}", saved_as, tuple(second.values())),
            Goal("deleted", "SELECT NOT EXISTS (SELECT 1 FROM address WHERE id = ?)", (gone["id"],)),
            Goal(
                "changed",
                saved_as + " AND id = ?",
                (kept["label"], *(third[name] for name in ("name", "street", "city", "zip")), kept["id"]),
            ),
        ),
        allowed=(
            Allowed("address", new, ops=("insert",), params=(first["label"], second["label"])),
            Allowed("address", f"id = {gone['id']}", ops=("delete",)),
            Allowed("address", f"id = {kept['id']}", ("name", "street", "city", "zip"), ("update",)),
        ),
        steps=22,
    )


@template("shop/errands", app="shop", level=3)
def errands(draw: Draw) -> WebTask | None:
    """Cancel one order, return from another, order something, wish for something."""
    item, by = items(draw, 1)[0], way(draw)
    off = draw.pick("SELECT * FROM orders WHERE status = 'processing' ORDER BY id")
    line = delivered_line(draw, "> '2026-02-20'")
    wish = draw.pick(UNWISHED)
    if off is None or line is None or wish is None:
        return None
    if item.variant in variants_of(draw, off["id"]):
        return None
    reason = draw.rng.choice(REASONS)
    goals, allowed = cancelled(draw, off["id"])

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, off["id"])
        yield from p.click("button", "Cancel order")
        yield from open_order(p, line["order_id"])
        yield from p.click("link", f"Return {line['name']}")
        yield from p.select("Reason", reason)
        yield from p.click("button", "Register return")
        yield from wish_for(p, wish["name"])
        yield from fill_cart(p, item)
        yield from check_out(p, by)
        yield from p.done()

    return WebTask(
        draw.say(
            f"Four errands: cancel order #{off['id']}; return one {line['name']} from order #{line['order_id']} "
            f"(reason {reason!r}); add the {wish['name']} to my wish list; and order {item.order} {by.words}.",
            indirect=(
                f"Some things to see to: I no longer want {hints.order(draw, off['id'])}; one {line['name']} of "
                f"{hints.order(draw, line['order_id'])} goes back ({reason!r}); friends should see that I would like "
                f"the {wish['name']}; and I need {item.order} {by.words}.",
            ),
        ),
        solve,
        goals=(
            *goals,
            Goal(
                "return registered",
                "SELECT quantity = 1 AND reason = ? FROM return_request WHERE line_id = ?",
                (reason, line["id"]),
            ),
            wished(wish["id"], wish["name"]),
            *bought(draw, [item], by),
        ),
        allowed=(
            *allowed,
            Allowed("return_request", f"line_id = {line['id']}", ops=("insert",)),
            Allowed("wish", f"product_id = {wish['id']}", ops=("insert",)),
            *buying(draw, [item]),
        ),
        steps=28,
    )
