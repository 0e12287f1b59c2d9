"""Tasks of the shop that cannot be done: the only right end is to say so, and to have changed nothing."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import REASONS
from thinkact.envs.web.shop_moves import (
    apply_coupon,
    ask_for_cart,
    ask_for_wish,
    ask_to_cancel,
    cart_may_hold,
    delivered_line,
    fill_cart,
    items,
    open_order,
    open_product,
    way,
)
from thinkact.envs.web.tasks import Allowed, Draw, Moves, Pilot, WebTask, template


@template("shop/cart-sold-out", app="shop", level=1, infeasible=True)
def cart_sold_out(draw: Draw) -> WebTask | None:
    """Something that is out of stock."""
    item = next(iter(items(draw, 1, where="stock = 0", most=2)), None)
    if item is None:
        return None

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from p.impossible()

    return WebTask(
        ask_for_cart(draw, item),
        solve,
        infeasible=True,
    )


@template("shop/order-too-many", app="shop", level=1, infeasible=True)
def order_too_many(draw: Draw) -> WebTask | None:
    """More than there is, or than one can buy at once."""
    item = next(iter(items(draw, 1, where="stock BETWEEN 1 AND 15")), None)
    if item is None:
        return None
    stock = draw.rows("SELECT stock FROM variant WHERE id = ?", item.variant)[0][0]
    wanted, by = stock + draw.rng.randint(1, 4), way(draw)

    def solve(p: Pilot) -> Moves:
        yield from open_product(p, item.name)
        left = int(p.read(rf"{item.color} \| {item.size} \| ([0-9]+)$"))
        assert left < wanted
        yield from p.impossible()

    return WebTask(
        draw.say(
            f"Order {wanted} × {item.words} {by.words}.",
            indirect=(f"A party needs exactly {wanted} × {item.words}. Get them {by.words}.",),
        ),
        solve,
        infeasible=True,
    )


@template("shop/order-expired-coupon", app="shop", level=2, infeasible=True)
def order_expired_coupon(draw: Draw) -> WebTask | None:
    """A coupon whose time is over; not worth buying without."""
    coupon = draw.row("SELECT * FROM coupon WHERE expires < ?", draw.now.date().isoformat())
    assert coupon is not None
    item, by = items(draw, 1, where=f"stock >= 5 AND price >= {coupon['minimum']}", most=1)[0], way(draw)

    def solve(p: Pilot) -> Moves:
        yield from fill_cart(p, item)
        yield from apply_coupon(p, coupon["code"])
        yield from p.impossible()

    return WebTask(
        draw.say(
            f"Order {item.order} with the coupon {coupon['code']}, {by.words}. Do not order without the coupon.",
            indirect=(
                f"I only want {item.order} if my {coupon['code']} takes something off. If so, have it sent {by.words}.",
            ),
        ),
        solve,
        allowed=(cart_may_hold([item]), Allowed("cart_coupon")),
        infeasible=True,
    )


@template("shop/cancel-too-late", app="shop", level=0, infeasible=True)
def cancel_too_late(draw: Draw) -> WebTask | None:
    """An order that is under way already."""
    order = draw.pick("SELECT * FROM orders WHERE status IN ('shipped', 'delivered') ORDER BY id")
    assert order is not None

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        assert not p.find("button", "Cancel order")
        yield from p.impossible()

    return WebTask(
        ask_to_cancel(draw, order["id"]),
        solve,
        infeasible=True,
        steps=5,
    )


@template("shop/return-too-late", app="shop", level=1, infeasible=True)
def return_too_late(draw: Draw) -> WebTask | None:
    """A line of an order that is older than returns are possible."""
    line = delivered_line(draw, "< '2026-02-12'")
    if line is None:
        return None
    reason = draw.rng.choice(REASONS)

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, line["order_id"])
        assert not p.find("link", f"Return {line['name']}")
        yield from p.impossible()

    return WebTask(
        draw.say(
            f"Return 1 × {line['name']} from order #{line['order_id']}. The reason is {reason!r}.",
            indirect=(
                f"I do not keep the one {line['name']} of {hints.order(draw, line['order_id'])}. Let the shop know, "
                f"and that the reason is {reason!r}.",
            ),
        ),
        solve,
        infeasible=True,
    )


@template("shop/wish-unknown", app="shop", level=0, infeasible=True)
def wish_unknown(draw: Draw) -> WebTask | None:
    """A product that does not exist, though others are called nearly so."""
    item = draw.pick("SELECT * FROM product ORDER BY id")
    assert item is not None
    name = f"{item['name'].removesuffix(' Plus')} {draw.rng.choice(('Ultra', 'Nova', 'Pro', 'XXL', 'Junior'))}"

    def solve(p: Pilot) -> Moves:
        yield from p.fill("textbox", "Search products", name, submit=True)
        assert not p.find("link", name)
        yield from p.impossible()

    return WebTask(
        ask_for_wish(draw, name),
        solve,
        infeasible=True,
    )
