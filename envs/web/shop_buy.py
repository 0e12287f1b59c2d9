"""The shop's cart and checkout."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from thinkact.envs.web.shop_data import DELIVERIES, FREE_FROM
from thinkact.envs.web.site import Page, Refusal, Reply, Web, money

#: Pieces of one variant that a cart holds at most.
MOST = 20


@dataclass(frozen=True)
class Bill:
    """What a cart comes to, in cents."""

    lines: list[sqlite3.Row]
    coupon: str
    subtotal: int
    discount: int
    shipping: int

    @property
    def total(self) -> int:
        """What is to be paid."""
        return self.subtotal - self.discount + self.shipping


def bill(web: Web, delivery: str = "standard") -> Bill:
    """Add up the cart; a coupon whose terms no longer hold takes nothing off."""
    lines = web.rows(
        "SELECT cart.id, variant_id, quantity, name, category, color, size, price, stock, product_id FROM cart"
        " JOIN variant ON variant.id = variant_id JOIN product ON product.id = product_id ORDER BY cart.id"
    )
    subtotal = sum(line["price"] * line["quantity"] for line in lines)
    code = web.value("SELECT code FROM cart_coupon") or ""
    coupon = web.row("SELECT * FROM coupon WHERE code = ?", code)
    discount = 0
    if coupon is not None and not objection(web, coupon, lines):
        base = sum(line["price"] * line["quantity"] for line in lines if coupon["category"] in ("", line["category"]))
        discount = min(base, coupon["amount"] or base * coupon["percent"] // 100)
    shipping = 0 if delivery == "standard" and subtotal - discount >= FREE_FROM else DELIVERIES[delivery][1]
    return Bill(lines, code, subtotal, discount, shipping if lines else 0)


def objection(web: Web, coupon: sqlite3.Row, lines: list[sqlite3.Row]) -> str:
    """Return why a coupon does not hold for these lines, or an empty string."""
    subtotal = sum(line["price"] * line["quantity"] for line in lines)
    if coupon["expires"] < web.now.date().isoformat():
        return f"Coupon {coupon['code']} has expired."
    if subtotal < coupon["minimum"]:
        return f"Coupon {coupon['code']} needs a subtotal of {money(coupon['minimum'])} or more."
    if coupon["category"] and all(line["category"] != coupon["category"] for line in lines):
        return f"Coupon {coupon['code']} is for {coupon['category']} only."
    return ""


def cart(web: Web) -> Reply:
    """The cart."""
    return web.render("cart.html", bill=bill(web), most=MOST)


def cart_add(web: Web) -> Reply:
    """Put a variant into the cart."""
    product = web.need("SELECT * FROM product WHERE id = ?", web.number("product"))
    sql = "SELECT * FROM variant WHERE product_id = ? AND color = ? AND size = ?"
    variant = web.row(sql, product["id"], web.text("color"), web.text("size"))
    back = f"/product/{product['id']}"
    if variant is None:
        return web.redirect(back, "Choose a colour and a size.")
    quantity = web.number("quantity", 0)
    there = web.value("SELECT quantity FROM cart WHERE variant_id = ?", variant["id"]) or 0
    what = f"{product['name']}, {variant['color']}, {variant['size']}"
    if not 1 <= quantity <= MOST:
        return web.redirect(back, f"The quantity must be 1 to {MOST}.")
    if there + quantity > variant["stock"]:
        left = "out of stock" if variant["stock"] == 0 else f"only {variant['stock']} left"
        return web.redirect(back, f"Not added: {what} is {left}.")
    if there:
        web.write("UPDATE cart SET quantity = ? WHERE variant_id = ?", there + quantity, variant["id"])
    else:
        web.write("INSERT INTO cart (variant_id, quantity) VALUES (?, ?)", variant["id"], quantity)
    return web.redirect("/cart", f"Added: {what}.")


def cart_update(web: Web) -> Reply:
    """Change the quantity of a line; 0 removes it."""
    line = web.need(
        "SELECT cart.*, stock, name FROM cart JOIN variant ON variant.id = variant_id"
        " JOIN product ON product.id = product_id WHERE cart.id = ?",
        web.number("line"),
    )
    quantity = web.number("quantity", -1, low=-1)
    if not 0 <= quantity <= MOST:
        return web.redirect("/cart", f"The quantity must be 0 to {MOST}.")
    if quantity > line["stock"]:
        return web.redirect("/cart", f"Only {line['stock']} of {line['name']} are left.")
    if quantity == 0:
        web.write("DELETE FROM cart WHERE id = ?", line["id"])
        return web.redirect("/cart", f"Removed: {line['name']}.")
    web.write("UPDATE cart SET quantity = ? WHERE id = ?", quantity, line["id"])
    return web.redirect("/cart", "The cart was updated.")


def coupon_apply(web: Web) -> Reply:
    """Apply a coupon to the cart."""
    code = web.text("code", most=40).upper()
    coupon = web.row("SELECT * FROM coupon WHERE code = ?", code)
    if coupon is None:
        return web.redirect("/cart", f"There is no coupon {code}." if code else "Enter a coupon code.")
    if reason := objection(web, coupon, bill(web).lines):
        return web.redirect("/cart", reason)
    web.write("INSERT OR REPLACE INTO cart_coupon VALUES (1, ?)", code)
    return web.redirect("/cart", f"Coupon {code} was applied.")


def coupon_remove(web: Web) -> Reply:
    """Take the coupon off the cart."""
    web.write("DELETE FROM cart_coupon")
    return web.redirect("/cart", "The coupon was removed.")


def _draft(web: Web, *steps: str) -> dict[str, Any]:
    """Return what the checkout knows so far; sends back to the first step that is missing."""
    draft: dict[str, Any] = web.session.get("checkout", {})
    if not bill(web).lines:
        raise Refusal(409, "The cart is empty.")
    for step in steps:
        if step not in draft:
            raise Refusal(409, f"The checkout needs the step {step} first.")
    return draft


def _keep(web: Web, **values: Any) -> None:
    web.session["checkout"] = {**web.session.get("checkout", {}), **values}


def address(web: Web, errors: dict[str, str] | None = None, form: dict[str, str] | None = None) -> Reply:
    """First step: a saved address or a new one."""
    _draft(web)
    saved = web.rows("SELECT * FROM address ORDER BY id")
    return web.render("checkout_address.html", saved=saved, errors=errors or {}, form=form or {})


def read_address(web: Web) -> tuple[dict[str, str], dict[str, str]]:
    """Return a posted address and what is wrong with it."""
    form = {name: web.text(name, most=80) for name in ("name", "street", "city", "zip")}
    errors = {name: "This is needed." for name, value in form.items() if not value}
    if form["zip"] and not re.fullmatch(r"[0-9]{5}", form["zip"]):
        errors["zip"] = "A ZIP code has five digits."
    return form, errors


def address_save(web: Web) -> Reply:
    """Keep the address of the order."""
    _draft(web)
    if saved := web.number("saved"):
        row = web.need("SELECT name, street, city, zip FROM address WHERE id = ?", saved)
        form = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row iterates over its values
    else:
        form, errors = read_address(web)
        if errors:
            return address(web, errors, form)
    _keep(web, address=form)
    return web.redirect("/checkout/payment")


def payment(web: Web, errors: dict[str, str] | None = None, form: dict[str, str] | None = None) -> Reply:
    """Second step: delivery and a saved card or a new one."""
    _draft(web, "address")
    cards = web.rows("SELECT * FROM card ORDER BY id")
    deliveries = [(key, words) for key, (words, _) in DELIVERIES.items()]
    return web.render(
        "checkout_payment.html",
        cards=cards,
        deliveries=deliveries,
        prices={key: cents for key, (_, cents) in DELIVERIES.items()},
        free=FREE_FROM,
        errors=errors,
        form=form,
    )


def payment_save(web: Web) -> Reply:
    """Keep how the order is paid and delivered."""
    _draft(web, "address")
    form = {name: web.text(name, most=40) for name in ("card", "number", "expires", "delivery", "gift")}
    form["gift"] = web.text("gift", most=200)
    errors = {}
    if form["delivery"] not in DELIVERIES:
        errors["delivery"] = "Choose a way of delivery."
    if form["card"] == "new":
        digits = re.sub(r"[ -]", "", form["number"])
        month = re.fullmatch(r"(0[1-9]|1[0-2])/([0-9]{2})", form["expires"])
        if not re.fullmatch(r"[0-9]{16}", digits):
            errors["number"] = "A card number has 16 digits."
        if month is None:
            errors["expires"] = "Write the month as MM/YY."
        elif (int(month[2]), int(month[1])) < (web.now.year % 100, web.now.month):
            errors["expires"] = "This card has expired."
        card = f"Card {digits[-4:]}"
    else:
        row = web.row("SELECT * FROM card WHERE id = ?", web.number("card"))
        card = "" if row is None else f"{row['label']} {row['digits']}"
        if row is None:
            errors["card"] = "Choose a card."
    if errors:
        return payment(web, errors, form)
    _keep(web, card=card, delivery=form["delivery"], gift=form["gift"])
    return web.redirect("/checkout/review")


def review(web: Web) -> Reply:
    """Last step: look it all over."""
    draft = _draft(web, "address", "card")
    words = DELIVERIES[draft["delivery"]][0]
    return web.render("checkout_review.html", draft=draft, bill=bill(web, draft["delivery"]), words=words)


def place(web: Web) -> Reply:
    """Place the order: stock goes down, the cart is emptied."""
    draft = _draft(web, "address", "card")
    due = bill(web, draft["delivery"])
    for line in due.lines:
        if line["quantity"] > line["stock"]:
            return web.redirect("/cart", f"Only {line['stock']} of {line['name']} are left.")
    to = draft["address"]
    order = web.write(
        "INSERT INTO orders (placed, status, ship_name, ship_street, ship_city, ship_zip, delivery, card, coupon, gift,"
        " subtotal, discount, shipping, total) VALUES (?, 'processing', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        web.now.isoformat(" ", "minutes"), to["name"], to["street"], to["city"], to["zip"], draft["delivery"],
        draft["card"], due.coupon if due.discount else "", draft["gift"], due.subtotal, due.discount, due.shipping,
        due.total,
    )  # fmt: skip
    for line in due.lines:
        web.write(
            "INSERT INTO order_line (order_id, variant_id, name, color, size, quantity, price)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            order, line["variant_id"], line["name"], line["color"], line["size"], line["quantity"], line["price"],
        )  # fmt: skip
        web.write("UPDATE variant SET stock = stock - ? WHERE id = ?", line["quantity"], line["variant_id"])
    web.write("DELETE FROM cart")
    web.write("DELETE FROM cart_coupon")
    web.session.pop("checkout", None)
    return web.redirect(f"/orders/{order}", f"Thank you. Order #{order} was placed.")


PAGES = (
    Page("GET", "/cart", cart),
    Page("POST", "/cart/add", cart_add),
    Page("POST", "/cart/update", cart_update),
    Page("POST", "/cart/coupon", coupon_apply),
    Page("POST", "/cart/coupon/remove", coupon_remove),
    Page("GET", "/checkout/address", address),
    Page("POST", "/checkout/address", address_save),
    Page("GET", "/checkout/payment", payment),
    Page("POST", "/checkout/payment", payment_save),
    Page("GET", "/checkout/review", review),
    Page("POST", "/checkout/place", place),
)
