"""The start page of a company: it leads to its mail, shop, wiki, operations console and travel site."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence

from thinkact.envs.web.site import App, Knobs, Page, Reply, Web
from thinkact.envs.web.tasks import register_app

_APPLICATIONS = (
    ("Mail", "inbox.northwind.test", "letters, contacts, files"),
    ("Shop", "shop.northwind.test", "orders of Northwind goods on the company's account"),
    ("Wiki", "wiki.northwind.test", "who is who, services, suppliers, policies"),
    ("Operations", "admin.northwind.test", "tickets, staff, assets, requests"),
)
_TRAVEL = ("Travel", "booking.northwind.test", "flights, rooms, what is booked")
_NOTICES = (
    "The lift in the main building is out of order until Friday.", "Lunch today: lentil soup.",
    "Please return borrowed umbrellas.", "The quarterly figures are due next week.", "New colleagues meet at nine.",
    "The car park is closed on Sunday.", "Flu shots are given on Thursday.",
)  # fmt: skip


class Portal(App):
    """Links to the company's applications, and a few notices."""

    name = "portal"
    host = "portal.northwind.test"
    title = "Northwind"
    schema = """
        CREATE TABLE application (id INTEGER PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL, what TEXT NOT NULL);
        CREATE TABLE notice (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    """

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert the links, in the seed's order, and the notices of the day."""
        for row in (*rng.sample(_APPLICATIONS, len(_APPLICATIONS)), _TRAVEL):
            db.execute("INSERT INTO application (name, host, what) VALUES (?, ?, ?)", row)
        for text in rng.sample(_NOTICES, 3):
            db.execute("INSERT INTO notice (text) VALUES (?)", (text,))

    def user(self, web: Web) -> str:
        """Return who is signed in, in all applications."""
        return "Robin Vale"

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        return [Page("GET", "/", start)]


def start(web: Web) -> Reply:
    """Show the start page."""
    rows, notices = (web.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("application", "notice"))
    return web.render("start.html", rows=rows, notices=notices)


PORTAL = register_app(Portal())
