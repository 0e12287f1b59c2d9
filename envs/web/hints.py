"""Saying which thing is meant without naming it, for the wording ``"indirect"``.

Every function describes one row by what can be found out about it in the application. A description is only given
where it fits no other row of the seeded start; where none does, the row is named after all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from thinkact.envs.web.look import clock, day
from thinkact.envs.web.tasks import Draw
from thinkact.envs.web.wiki_book import Article, Book
from thinkact.envs.web.wiki_text import plain


def fits_one(draw: Draw, sql: str, *params: Any, app: str = "") -> bool:
    """Tell whether a query on the seeded start finds exactly one row."""
    return len(draw.rows(sql, *params, app=app)) == 1


def _first(draw: Draw, table: str, ways: Iterable[tuple[str, Mapping[str, Any]]], name: str, app: str) -> str:
    """Return the first description whose columns fit one row of a table; ``name`` where none does."""
    for words, values in ways:
        where = " AND ".join(f"{column} IS ?" for column in values)
        if fits_one(draw, f"SELECT 1 FROM {table} WHERE {where}", *values.values(), app=app):
            return words
    return name


def product(draw: Draw, id: int, app: str = "", without: str = "") -> str:
    """Describe a product of the shop by category, brand and material, or by category and price.

    Args:
        draw: The draw.
        id: The product.
        app: Whose database.
        without: The column that the task itself asks for.
    """
    row = draw.rows("SELECT * FROM product WHERE id = ?", id, app=app)[0]
    shelf = row["category"]
    known = (
        (f"what {row['brand']} makes of {row['material'].lower()} in {shelf}",
         {"category": shelf, "brand": row["brand"], "material": row["material"]}),
        (f"the product in {shelf} that costs ${row['price'] // 100}.{row['price'] % 100:02d}",
         {"category": shelf, "price": row["price"]}),
    )  # fmt: skip
    ways = [way for way in known if without not in way[1]]
    return _first(draw, "product", ways, f"the {row['name']}", app)


def order(draw: Draw, id: int, app: str = "") -> str:
    """Describe an order of the shop by the day it was placed on, or by the minute."""
    row = draw.rows("SELECT *, date(placed) AS day FROM orders WHERE id = ?", id, app=app)[0]
    ways = (
        (f"the order of {day(row['day'])}", {"date(placed)": row["day"]}),
        (f"the order of {clock(row['placed'])}", {"placed": row["placed"]}),
    )
    return _first(draw, "orders", ways, f"order #{id}", app)


def address(draw: Draw, row: sqlite3.Row, app: str = "") -> str:
    """Describe a saved address of the shop by its city, or its street."""
    ways = (
        (f"the one in {row['city']}", {"city": row["city"]}),
        (f"the one in {row['street']}", {"street": row["street"]}),
    )
    return _first(draw, "address", ways, repr(row["label"]), app)


def ticket(draw: Draw, row: sqlite3.Row, app: str = "") -> str:
    """Describe a ticket of the console by customer and subject, or also by its day."""
    of = {"customer": row["customer"], "subject": row["subject"]}
    words = f"what {row['customer']} wrote about “{row['subject']}”"
    ways = ((words, of), (f"{words} on {row['created']}", {**of, "created": row["created"]}))
    return _first(draw, "ticket", ways, f"ticket {row['id']}", app)


def person(draw: Draw, row: sqlite3.Row, app: str = "") -> str:
    """Describe somebody of the console's staff by title and team, by phone, or by mail address."""
    team = draw.rows("SELECT name FROM team WHERE id = ?", row["team_id"], app=app)[0][0]
    ways = (
        (f"the {row['title']} of the team {team}", {"title": row["title"], "team_id": row["team_id"]}),
        (f"whoever joined the team {team} on {row['joined']}", {"joined": row["joined"], "team_id": row["team_id"]}),
        (f"whoever has the address {row['email']}", {"email": row["email"]}),
    )
    return _first(draw, "staff", ways, str(row["name"]), app)


def asset(draw: Draw, row: sqlite3.Row, app: str = "") -> str:
    """Describe an asset of the console by kind and day of purchase, or also by its model."""
    bought = {"kind": row["kind"], "bought": row["bought"]}
    words = f"the {row['kind']} bought on {row['bought']}"
    ways = ((words, bought), (f"{words}, a {row['model']}", {**bought, "model": row["model"]}))
    return _first(draw, "asset", ways, f"the {row['kind']} {row['serial']}", app)


def article(draw: Draw, of: Article, app: str = "", without: str = "") -> str:
    """Describe a page of the wiki by a fact that no other page of its kind has.

    Args:
        draw: The draw.
        of: The page.
        app: Whose database.
        without: The fact that the task itself is about.
    """
    others = [each for each in Book(draw, app).of(of.kind, facts=True) if each.id != of.id]
    for name, value in of.facts.items():
        if name != without and all(each.facts.get(name) != value for each in others) and value != "none":
            return f"the page (among {of.kind}) on which {name} is {plain(value)}"
    return f"the page {of.title}"


def mail(draw: Draw, row: sqlite3.Row, app: str = "") -> str:
    """Describe a mail by its sender and day, or by the minute."""
    sent = str(row["sent"])
    ways = (
        (f"the mail that {row['sender']} sent on {sent[:10]}", {"sender": row["sender"], "date(sent)": sent[:10]}),
        (f"the mail of {sent} from {row['sender']}", {"sender": row["sender"], "sent": sent}),
    )
    return _first(draw, "mail", ways, f"the mail “{row['subject']}” from {row['sender']}", app)


def coming(draw: Draw, table: str, id: int, app: str = "") -> str:
    """Describe a trip or stay that lies ahead by its place in time among all of them; goes after "my" or "the"."""
    start = "(SELECT min(day) FROM segment WHERE trip_id = trip.id)" if table == "trip" else "arrive"
    rows = draw.rows(f"SELECT id, {start} AS day FROM {table} WHERE day > ? ORDER BY day",
                     draw.now.date().isoformat(), app=app)  # fmt: skip
    days, ids = [row["day"] for row in rows], [row["id"] for row in rows]
    if len(set(days)) < len(days):
        return f"{table} of {next(row['day'] for row in rows if row['id'] == id)}"
    return f"coming {table} number {ids.index(id) + 1} by date"
