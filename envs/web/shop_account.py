"""The shop's orders, returns, wish list and account."""

from __future__ import annotations

import sqlite3
from datetime import date

from thinkact.envs.web.shop_buy import MOST, read_address
from thinkact.envs.web.shop_data import DELIVERIES, LANGUAGES, REASONS, RETURN_DAYS, STATUSES
from thinkact.envs.web.site import Page, Refusal, Reply, Web

_PER_PAGE = 6


def orders(web: Web) -> Reply:
    """The orders, newest first, also those of one status."""
    status = web.query.get("status", "")
    sql = "SELECT * FROM orders WHERE ? IN ('', status) ORDER BY placed DESC, id DESC"
    found = web.paged(web.rows(sql, status), _PER_PAGE)
    choices = [("", "All"), *((each, each.capitalize()) for each in STATUSES)]
    return web.render("orders.html", found=found, choices=choices, status=status)


def order(web: Web, id: int) -> Reply:
    """One order with its lines and what can still be done with it."""
    row = web.need("SELECT * FROM orders WHERE id = ?", id)
    lines = web.rows(
        "SELECT order_line.*, reason, return_request.quantity AS returned, product_id FROM order_line"
        " JOIN variant ON variant.id = order_line.variant_id LEFT JOIN return_request ON line_id = order_line.id"
        " WHERE order_id = ? ORDER BY order_line.id",
        id,
    )
    words = DELIVERIES[row["delivery"]][0]
    return web.render("order.html", order=row, lines=lines, words=words, returnable=not _no_return(web, row))


def _no_return(web: Web, row: sqlite3.Row) -> str:
    """Return why an order's lines cannot be sent back, or an empty string."""
    if row["status"] != "delivered":
        return "Only what was delivered can be returned."
    if (web.now.date() - date.fromisoformat(row["placed"][:10])).days > RETURN_DAYS:
        return f"Returns are possible for {RETURN_DAYS} days after the order."
    return ""


def cancel(web: Web, id: int) -> Reply:
    """Cancel an order that is not under way yet; stock goes up again."""
    row = web.need("SELECT * FROM orders WHERE id = ?", id)
    if row["status"] != "processing":
        return web.redirect(f"/orders/{id}", f"An order that is {row['status']} cannot be cancelled.")
    web.write("UPDATE orders SET status = 'cancelled' WHERE id = ?", id)
    for line in web.rows("SELECT * FROM order_line WHERE order_id = ?", id):
        web.write("UPDATE variant SET stock = stock + ? WHERE id = ?", line["quantity"], line["variant_id"])
    return web.redirect(f"/orders/{id}", f"Order #{id} was cancelled.")


def again(web: Web, id: int) -> Reply:
    """Put what an order held into the cart once more, as far as there is enough."""
    web.need("SELECT * FROM orders WHERE id = ?", id)
    missing = []
    for line in web.rows(
        "SELECT order_line.*, stock FROM order_line JOIN variant ON variant.id = variant_id WHERE order_id = ?", id
    ):
        there = web.value("SELECT quantity FROM cart WHERE variant_id = ?", line["variant_id"]) or 0
        if there + line["quantity"] > min(line["stock"], MOST):
            missing.append(line["name"])
        elif there:
            web.write("UPDATE cart SET quantity = ? WHERE variant_id = ?", there + line["quantity"], line["variant_id"])
        else:
            web.write("INSERT INTO cart (variant_id, quantity) VALUES (?, ?)", line["variant_id"], line["quantity"])
    if missing:
        return web.redirect("/cart", f"Not in stock any more: {', '.join(missing)}.")
    return web.redirect("/cart", f"The lines of order #{id} are in the cart.")


def ship_form(web: Web, id: int, errors: dict[str, str] | None = None, form: dict[str, str] | None = None) -> Reply:
    """The form that changes where an order goes."""
    row = _changeable(web, id)
    form = form or {name: row[f"ship_{name}"] for name in ("name", "street", "city", "zip")}
    return web.render("order_address.html", order=row, form=form, errors=errors or {})


def ship_save(web: Web, id: int) -> Reply:
    """Change where an order goes."""
    _changeable(web, id)
    form, errors = read_address(web)
    if errors:
        return ship_form(web, id, errors, form)
    web.write(
        "UPDATE orders SET ship_name = ?, ship_street = ?, ship_city = ?, ship_zip = ? WHERE id = ?", *form.values(), id
    )
    return web.redirect(f"/orders/{id}", "The delivery address was changed.")


def _changeable(web: Web, id: int) -> sqlite3.Row:
    row = web.need("SELECT * FROM orders WHERE id = ?", id)
    if row["status"] != "processing":
        raise Refusal(409, f"The address of an order that is {row['status']} cannot be changed.")
    return row


def return_form(web: Web, id: int, errors: dict[str, str] | None = None, form: dict[str, str] | None = None) -> Reply:
    """The form that sends a line of an order back."""
    line, row = _line(web, id)
    return web.render("return.html", line=line, order=row, reasons=REASONS, errors=errors or {}, form=form or {})


def return_save(web: Web, id: int) -> Reply:
    """Send a line of an order back."""
    line, row = _line(web, id)
    form = {"quantity": web.text("quantity"), "reason": web.text("reason"), "comment": web.text("comment", most=300)}
    errors = {}
    quantity = web.number("quantity", 0)
    if not 1 <= quantity <= line["quantity"]:
        errors["quantity"] = f"1 to {line['quantity']} can be returned."
    if form["reason"] not in REASONS:
        errors["reason"] = "Choose a reason."
    if errors:
        return return_form(web, id, errors, form)
    web.write(
        "INSERT INTO return_request (line_id, quantity, reason, comment) VALUES (?, ?, ?, ?)",
        id, quantity, form["reason"], form["comment"],
    )  # fmt: skip
    return web.redirect(f"/orders/{row['id']}", f"The return of {line['name']} was registered.")


def _line(web: Web, id: int) -> tuple[sqlite3.Row, sqlite3.Row]:
    line = web.need("SELECT * FROM order_line WHERE id = ?", id)
    row = web.need("SELECT * FROM orders WHERE id = ?", line["order_id"])
    reason = _no_return(web, row)
    if not reason and web.value("SELECT 1 FROM return_request WHERE line_id = ?", id):
        reason = "The return of this line is registered already."
    if reason:
        raise Refusal(409, reason)
    return line, row


def return_undo(web: Web, id: int) -> Reply:
    """Take a return back."""
    line = web.need("SELECT * FROM order_line WHERE id = ?", id)
    web.write("DELETE FROM return_request WHERE line_id = ?", id)
    return web.redirect(f"/orders/{line['order_id']}", "The return was withdrawn.")


def wishes(web: Web) -> Reply:
    """The wish list."""
    found = web.rows("SELECT product.* FROM wish JOIN product ON product.id = product_id ORDER BY wish.id")
    return web.render("wishes.html", found=found)


def wish_add(web: Web) -> Reply:
    """Put a product on the wish list."""
    product = web.need("SELECT * FROM product WHERE id = ?", web.number("product"))
    if not web.value("SELECT 1 FROM wish WHERE product_id = ?", product["id"]):
        web.write("INSERT INTO wish (product_id) VALUES (?)", product["id"])
    return web.redirect(f"/product/{product['id']}", f"{product['name']} is on your wish list.")


def wish_remove(web: Web) -> Reply:
    """Take a product off the wish list."""
    product = web.need("SELECT * FROM product WHERE id = ?", web.number("product"))
    web.write("DELETE FROM wish WHERE product_id = ?", product["id"])
    return web.redirect("/wishes", f"{product['name']} was removed.")


def account(web: Web) -> Reply:
    """The account: settings, addresses and cards."""
    return web.render(
        "account.html",
        me=web.row("SELECT * FROM customer"),
        languages=LANGUAGES,
        addresses=web.rows("SELECT * FROM address ORDER BY id"),
        cards=web.rows("SELECT * FROM card ORDER BY id"),
    )


def settings(web: Web) -> Reply:
    """Save the settings."""
    mail, language = web.text("email", most=80), web.text("language")
    if "@" not in mail.strip("@"):
        return web.redirect("/account", "Not saved: this is no e-mail address.")
    if language not in LANGUAGES:
        return web.redirect("/account", "Not saved: choose a language.")
    web.write(
        "UPDATE customer SET email = ?, phone = ?, newsletter = ?, reminders = ?, language = ?",
        mail, web.text("phone", most=40), int(bool(web.text("newsletter"))), int(bool(web.text("reminders"))), language,
    )  # fmt: skip
    return web.redirect("/account", "Your settings were saved.")


def address_form(
    web: Web, id: int = 0, errors: dict[str, str] | None = None, form: dict[str, str] | None = None
) -> Reply:
    """The form for a saved address; id 0 is a new one."""
    if form is None and id:
        row = web.need("SELECT * FROM address WHERE id = ?", id)
        form = {name: row[name] for name in ("label", "name", "street", "city", "zip")}
    return web.render("address.html", id=id, form=form or {}, errors=errors or {})


def address_save(web: Web, id: int = 0) -> Reply:
    """Save an address."""
    if id:
        web.need("SELECT * FROM address WHERE id = ?", id)
    form, errors = read_address(web)
    form = {"label": web.text("label", most=40), **form}
    if not form["label"]:
        errors["label"] = "This is needed."
    if errors:
        return address_form(web, id, errors, form)
    if id:
        sql = "UPDATE address SET label = ?, name = ?, street = ?, city = ?, zip = ? WHERE id = ?"
        web.write(sql, *form.values(), id)
    else:
        web.write("INSERT INTO address (label, name, street, city, zip) VALUES (?, ?, ?, ?, ?)", *form.values())
    return web.redirect("/account", f"The address {form['label']} was saved.")


def address_delete(web: Web, id: int) -> Reply:
    """Delete a saved address, unless it is the main one."""
    row = web.need("SELECT * FROM address WHERE id = ?", id)
    if row["main"]:
        return web.redirect("/account", "The main address cannot be deleted.")
    web.write("DELETE FROM address WHERE id = ?", id)
    return web.redirect("/account", f"The address {row['label']} was deleted.")


def address_main(web: Web, id: int) -> Reply:
    """Make a saved address the main one."""
    row = web.need("SELECT * FROM address WHERE id = ?", id)
    web.write("UPDATE address SET main = 0 WHERE main = 1 AND id != ?", id)
    web.write("UPDATE address SET main = 1 WHERE id = ?", id)
    return web.redirect("/account", f"{row['label']} is the main address now.")


PAGES = (
    Page("GET", "/orders", orders),
    Page("GET", "/orders/{id:int}", order),
    Page("POST", "/orders/{id:int}/cancel", cancel),
    Page("POST", "/orders/{id:int}/again", again),
    Page("GET", "/orders/{id:int}/address", ship_form),
    Page("POST", "/orders/{id:int}/address", ship_save),
    Page("GET", "/returns/{id:int}", return_form),
    Page("POST", "/returns/{id:int}", return_save),
    Page("POST", "/returns/{id:int}/undo", return_undo),
    Page("GET", "/wishes", wishes),
    Page("POST", "/wishes/add", wish_add),
    Page("POST", "/wishes/remove", wish_remove),
    Page("GET", "/account", account),
    Page("POST", "/account/settings", settings),
    Page("GET", "/addresses/new", address_form),
    Page("POST", "/addresses/new", address_save),
    Page("GET", "/addresses/{id:int}", address_form),
    Page("POST", "/addresses/{id:int}", address_save),
    Page("POST", "/addresses/{id:int}/delete", address_delete),
    Page("POST", "/addresses/{id:int}/main", address_main),
)
