"""Tasks of the shop that change one thing about the account: settings, addresses, orders, returns."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.shop_data import CITIES, LANGUAGES, REASONS
from thinkact.envs.web.shop_moves import (
    Item,
    ask_to_cancel,
    cancelled,
    cart_may_hold,
    delivered_line,
    in_cart,
    open_order,
)
from thinkact.envs.web.tasks import Allowed, Draw, Goal, Moves, Pilot, WebTask, template


@template("shop/cancel-order", app="shop", level=0)
def cancel_order(draw: Draw) -> WebTask | None:
    """Cancel an order that is not under way."""
    order = draw.pick("SELECT * FROM orders WHERE status = 'processing' ORDER BY id")
    assert order is not None

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        yield from p.click("button", "Cancel order")
        yield from p.done()

    return WebTask(ask_to_cancel(draw, order["id"]), solve, *cancelled(draw, order["id"]))


@template("shop/cancel-by-product", app="shop", level=1)
def cancel_by_product(draw: Draw) -> WebTask | None:
    """Cancel the order that holds a product; which one that is has to be found out."""
    line = draw.pick(
        "SELECT order_line.name, order_id FROM order_line JOIN orders ON orders.id = order_id"
        " WHERE status = 'processing' AND"
        " (SELECT count(*) FROM order_line AS other WHERE other.name = order_line.name) = 1 ORDER BY order_line.id"
    )
    if line is None:
        return None
    number = line["order_id"]

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Orders")
        yield from p.select("Status", "Processing")
        yield from p.click("button", "Show")
        for each in p.read_all(r"#([0-9]+)\" \|"):
            if not p.find("link", f"Order #{each}"):
                yield from open_order(p, int(each))
            else:
                yield from p.click("link", f"Order #{each}")
            if p.shows(f'"{line["name"]}"'):
                yield from p.click("button", "Cancel order")
                break
        yield from p.done()

    return WebTask(
        draw.say(
            f"One of my orders that is still processing contains the {line['name']}. Cancel that order.",
            f"Cancel the order with the {line['name']} in it.",
            indirect=[f"I found the {line['name']} cheaper elsewhere, so the order with it should not be sent."],
        ),
        solve,
        *cancelled(draw, number),
        steps=9,
    )


@template("shop/reorder", app="shop", level=0)
def reorder(draw: Draw) -> WebTask | None:
    """Put what an order held into the cart."""
    order = draw.pick(
        "SELECT id FROM orders WHERE NOT EXISTS (SELECT 1 FROM order_line JOIN variant ON variant.id = variant_id"
        " WHERE order_id = orders.id AND order_line.quantity > stock) ORDER BY id"
    )
    if order is None:
        return None
    sql = "SELECT * FROM order_line WHERE order_id = ? ORDER BY id"
    wanted = [
        Item(row["variant_id"], 0, row["name"], row["color"], row["size"], row["quantity"])
        for row in draw.rows(sql, order["id"])
    ]

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        yield from p.click("button", "Buy again")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Put everything that was in order #{order['id']} into the cart again, in the same quantities.",
            f"Fill the cart with what order #{order['id']} held, as many of each as then. Do not order yet.",
            indirect=(
                f"I have used up all that came with {hints.order(draw, order['id'])}. Get the same again ready in the "
                "cart, down to the numbers; I shall pay myself.",
            ),
        ),
        solve,
        goals=tuple(in_cart(item) for item in wanted),
        allowed=(cart_may_hold(wanted),),
        steps=5,
    )


@template("shop/settings", app="shop", level=1)
def settings(draw: Draw) -> WebTask | None:
    """Change one to three settings of the account."""
    me = draw.rows("SELECT * FROM customer")[0]
    phone = f"555 {draw.rng.randrange(1000, 9999)}"
    language = draw.rng.choice([each for each in LANGUAGES if each != me["language"]])
    onoff = {0: "off", 1: "on"}
    changes = draw.some(
        [
            ("phone", phone, f"change my phone number to {phone}"),
            ("language", language, f"set the language to {language}"),
            ("newsletter", 1 - me["newsletter"], f"turn the newsletter {onoff[1 - me['newsletter']]}"),
            ("reminders", 1 - me["reminders"], f"turn the reminders about the cart {onoff[1 - me['reminders']]}"),
        ],
        draw.rng.randint(1, 3),
    )

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Account")
        for column, value, _ in changes:
            if column == "phone":
                yield from p.fill("textbox", "Phone", phone)
            elif column == "language":
                yield from p.select("Language", language)
            else:
                yield from p.check("Newsletter" if column == "newsletter" else "Reminders about the cart", bool(value))
        yield from p.click("button", "Save settings")
        yield from p.done()

    wish = ", and ".join(words for _, _, words in changes)
    return WebTask(
        draw.say(
            f"In my account, {wish}.",
            indirect=(f"The shop does not treat me as I wish. Please {wish}: my account says otherwise.",),
        ),
        solve,
        goals=tuple(Goal(words, f"SELECT {column} = ? FROM customer", (value,)) for column, value, words in changes),
        allowed=(Allowed("customer", columns=tuple(column for column, _, _ in changes), ops=("update",)),),
    )


@template("shop/address-delete", app="shop", level=0)
def address_delete(draw: Draw) -> WebTask | None:
    """Delete a saved address."""
    row = draw.pick("SELECT * FROM address WHERE main = 0 ORDER BY id")
    assert row is not None

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Account")
        yield from p.click("button", f"Delete {row['label']}")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Delete my saved address {row['label']!r}.",
            f"Remove the address {row['label']!r} from my account.",
            indirect=[f"Nothing must ever be sent to {row['street']} in {row['city']} again: forget that address."],
        ),
        solve,
        goals=(Goal("deleted", "SELECT NOT EXISTS (SELECT 1 FROM address WHERE id = ?)", (row["id"],)),),
        allowed=(Allowed("address", f"id = {row['id']}", ops=("delete",)),),
    )


@template("shop/address-main", app="shop", level=0)
def address_main(draw: Draw) -> WebTask | None:
    """Make another saved address the main one."""
    row = draw.pick("SELECT * FROM address WHERE main = 0 ORDER BY id")
    assert row is not None

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Account")
        yield from p.click("button", f"Make {row['label']} the main address")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Make {row['label']!r} my main address.",
            f"My main address should be {row['label']!r} from now on.",
            indirect=(
                f"Of my addresses, {hints.address(draw, row)} is where I live now, and what counts before all others.",
            ),
        ),
        solve,
        goals=(Goal("main address", "SELECT main FROM address WHERE id = ?", (row["id"],)),),
        allowed=(Allowed("address", columns=("main",), ops=("update",)),),
    )


@template("shop/address-new", app="shop", level=1)
def address_new(draw: Draw) -> WebTask | None:
    """Save another address."""
    new = new_address(draw)

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Account")
        yield from p.click("link", "Add an address")
        yield from p.fill("textbox", "Label", new["label"])
        yield from fill_address(p, new)
        yield from p.click("button", "Save address")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Save a new address called {new['label']!r}: {address_words(new)}.",
            f"Add this address to my account, under the label {new['label']!r}: {address_words(new)}.",
            indirect=(
                f"I shall have things sent to {address_words(new)} at times. Let the shop know that as "
                f"{new['label']!r}.",
            ),
        ),
        solve,
        goals=(
            Goal(
                "address saved",
                "SELECT 1 FROM address WHERE label = ? AND name = ? AND street = ? AND city = ? AND zip = ?",
                tuple(new.values()),
            ),
        ),
        allowed=(Allowed("address", "label = ?", ops=("insert",), params=(new["label"],)),),
    )


def new_address(draw: Draw) -> dict[str, str]:
    """Draw an address that is not saved."""
    first = draw.rng.choice(("Noor", "Piet", "Rosa", "Sven", "Tara", "Uwe"))
    street = draw.rng.choice(("Lime Row", "Quay Road", "Rose Court", "Tower Street"))
    return {
        "label": draw.rng.choice(("Studio", "Neighbour", "Holiday flat", "Workshop", "Grandma")),
        "name": f"{first} {draw.rng.choice(('Brandt', 'Costa', 'Ekman', 'Fox', 'Ito'))}",
        "street": f"{street} {draw.rng.randint(1, 80)}",
        "city": draw.rng.choice(CITIES),
        "zip": str(draw.rng.randrange(10000, 99999)),
    }


def address_words(address: dict[str, str]) -> str:
    """Return an address as a person would write it."""
    return f"{address['name']}, {address['street']}, {address['zip']} {address['city']}"


def fill_address(p: Pilot, address: dict[str, str]) -> Moves:
    """Fill in the four fields of an address."""
    for name, field in (("Name", "name"), ("Street and number", "street"), ("City", "city"), ("ZIP code", "zip")):
        yield from p.fill("textbox", name, address[field])


@template("shop/address-edit", app="shop", level=1)
def address_edit(draw: Draw) -> WebTask | None:
    """Correct street and ZIP code of a saved address."""
    row = draw.rng.choice(draw.rows("SELECT * FROM address ORDER BY id"))
    new = new_address(draw)

    def solve(p: Pilot) -> Moves:
        yield from p.click("link", "Account")
        yield from p.click("link", f"Edit {row['label']}")
        yield from p.fill("textbox", "Street and number", new["street"])
        yield from p.fill("textbox", "ZIP code", new["zip"])
        yield from p.click("button", "Save address")
        yield from p.done()

    return WebTask(
        draw.say(
            f"In my saved address {row['label']!r}, change the street to {new['street']} and the ZIP code to "
            f"{new['zip']}.",
            indirect=(
                f"Of my saved addresses, {hints.address(draw, row)} is out of date: it is {new['street']} now, with "
                f"the ZIP code {new['zip']}; the rest holds.",
            ),
        ),
        solve,
        goals=(
            Goal("street", "SELECT street = ? FROM address WHERE id = ?", (new["street"], row["id"])),
            Goal("ZIP code", "SELECT zip = ? FROM address WHERE id = ?", (new["zip"], row["id"])),
        ),
        allowed=(Allowed("address", f"id = {row['id']}", ("street", "zip"), ("update",)),),
    )


@template("shop/ship-elsewhere", app="shop", level=1)
def ship_elsewhere(draw: Draw) -> WebTask | None:
    """Change where an order that is still processing goes."""
    order = draw.pick("SELECT * FROM orders WHERE status = 'processing' ORDER BY id")
    assert order is not None
    new = new_address(draw)

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, order["id"])
        yield from p.click("link", "Change delivery address")
        yield from fill_address(p, new)
        yield from p.click("button", "Save address")
        yield from p.done()

    columns = ("name", "street", "city", "zip")
    return WebTask(
        draw.say(
            f"Order #{order['id']} should go to another address: {address_words(new)}.",
            indirect=(
                f"I shall not be at home when {hints.order(draw, order['id'])} comes. {address_words(new)}: that is "
                "where it must go.",
            ),
        ),
        solve,
        goals=tuple(
            Goal(name, f"SELECT ship_{name} = ? FROM orders WHERE id = ?", (new[name], order["id"]))
            for name in columns
            if order[f"ship_{name}"] != new[name]
        ),
        allowed=(Allowed("orders", f"id = {order['id']}", tuple(f"ship_{name}" for name in columns), ("update",)),),
    )


@template("shop/return-line", app="shop", level=1)
def return_line(draw: Draw) -> WebTask | None:
    """Send a line of a delivered order back."""
    line = delivered_line(draw, "> '2026-02-20'")
    if line is None:
        return None
    reason = draw.rng.choice(REASONS)
    quantity = draw.rng.randint(1, line["quantity"])

    def solve(p: Pilot) -> Moves:
        yield from open_order(p, line["order_id"])
        yield from p.click("link", f"Return {line['name']}")
        if quantity != 1:
            yield from p.fill("textbox", "Quantity", str(quantity))
        yield from p.select("Reason", reason)
        yield from p.click("button", "Register return")
        yield from p.done()

    return WebTask(
        draw.say(
            f"Return {quantity} × {line['name']} from order #{line['order_id']}. The reason is {reason!r}.",
            f"Register a return for order #{line['order_id']}: {quantity} of the {line['name']}, reason {reason!r}.",
            indirect=(
                f"Of what came with {hints.order(draw, line['order_id'])} I do not keep {quantity} × {line['name']}. "
                f"Let the shop know, and that the reason is {reason!r}.",
            ),
        ),
        solve,
        goals=(
            Goal(
                "return registered",
                "SELECT quantity = ? AND reason = ? FROM return_request WHERE line_id = ?",
                (quantity, reason, line["id"]),
            ),
        ),
        allowed=(Allowed("return_request", f"line_id = {line['id']}", ops=("insert",)),),
    )
