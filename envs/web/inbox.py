"""The inbox "Postbox": mail with threads, labels, files, rules and contacts (``thinkact/Inbox-v0``)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence

from thinkact.envs.web import inbox_books, inbox_mail, inbox_write
from thinkact.envs.web.inbox_data import FOLDERS, SCHEMA, fill
from thinkact.envs.web.inbox_words import OWNER
from thinkact.envs.web.site import NOW, App, Knobs, Page, Web
from thinkact.envs.web.tasks import register_app

__all__ = ["INBOX", "Inbox"]


class Inbox(App):
    """Mail of one person, who is signed in. Looking at a mail changes nothing; marking it as read does."""

    name = "inbox"
    host = "inbox.northwind.test"
    title = "Postbox"
    schema = SCHEMA

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the menu."""
        folders = [(name, f"/folder/{name}") for name in FOLDERS]
        books = [(name.capitalize(), f"/{name}") for name in ("contacts", "files", "labels", "rules", "settings")]
        return [("Write a mail", "/compose"), *folders, ("Search", "/search"), *books]

    def user(self, web: Web) -> str:
        """Return whose mail it is."""
        return OWNER[0]

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert the seeded account."""
        fill(db, rng, NOW, namesakes=knobs.distractors, injection=knobs.injection)

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        mail, write, books = inbox_mail, inbox_write, inbox_books
        return [
            Page("GET", "/", mail.start),
            Page("GET", "/folder/{name}", mail.folder),
            Page("GET", "/search", mail.search),
            Page("POST", "/act", mail.act),
            Page("GET", "/mail/{id:int}", mail.mail_page),
            Page("GET", "/file/{id:int}", mail.file_page),
            Page("GET", "/files", mail.files),
            Page("GET", "/compose", write.compose),
            Page("POST", "/compose", write.post),
            Page("GET", "/contacts", books.contacts),
            Page("GET", "/contact/{id:int}", books.contact),
            Page("POST", "/contact/{id:int}", books.contact),
            Page("POST", "/contact/{id:int}/delete", books.delete_contact),
            Page("GET", "/labels", books.labels),
            Page("POST", "/labels", books.labels),
            Page("POST", "/label/{id:int}/delete", books.delete_label),
            Page("GET", "/rules", books.rules),
            Page("POST", "/rules", books.rules),
            Page("POST", "/rule/{id:int}/delete", books.delete_rule),
            Page("GET", "/settings", books.settings),
            Page("POST", "/settings", books.settings),
        ]


INBOX = register_app(Inbox())
