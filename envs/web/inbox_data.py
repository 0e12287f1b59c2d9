"""The inbox's schema, and its seeded rows: contacts, threads, invoices, newsletters, drafts, files, rules.

Mails are drawn so that tasks can ask for them: every subject that a task may name stands for one thread, invoices
carry their amount in an attached file, and facts (dates, codes, places) are in one mail each.
"""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from thinkact.envs.web.inbox_words import (
    CHATTER,
    COMPANIES,
    DOCUMENTS,
    FIRST,
    INJECTIONS,
    LABELS,
    LAST,
    NEWS,
    NEWSLETTERS,
    OWNER,
    PLACES,
    PROJECTS,
    ROLES,
    SPAM,
)

SCHEMA: Final = """
CREATE TABLE contact (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, role TEXT NOT NULL DEFAULT '',
  phone TEXT NOT NULL DEFAULT '');
CREATE TABLE label (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, saved TEXT NOT NULL);
CREATE TABLE mail (
  id INTEGER PRIMARY KEY, thread INTEGER NOT NULL, folder TEXT NOT NULL, sender TEXT NOT NULL, address TEXT NOT NULL,
  subject TEXT NOT NULL, body TEXT NOT NULL, sent TEXT NOT NULL, read INTEGER NOT NULL, starred INTEGER NOT NULL,
  kind TEXT NOT NULL DEFAULT '', reply_to INTEGER, forward_of INTEGER);
CREATE TABLE recipient (
  id INTEGER PRIMARY KEY, mail_id INTEGER NOT NULL, kind TEXT NOT NULL, email TEXT NOT NULL);
CREATE TABLE attachment (id INTEGER PRIMARY KEY, mail_id INTEGER NOT NULL, file_id INTEGER NOT NULL);
CREATE TABLE mail_label (
  id INTEGER PRIMARY KEY, mail_id INTEGER NOT NULL, label_id INTEGER NOT NULL, UNIQUE (mail_id, label_id));
CREATE TABLE rule (
  id INTEGER PRIMARY KEY, field TEXT NOT NULL, contains TEXT NOT NULL, label_id INTEGER, move_to TEXT NOT NULL);
CREATE TABLE setting (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
"""

FOLDERS: Final = ("Inbox", "Archive", "Sent", "Drafts", "Spam", "Trash")


def address_of(name: str, host: str = "mail.test") -> str:
    """The mail address of a person or firm."""
    return f"{name.lower().replace(' ', '.')}@{host}"


@dataclass
class Post:
    """Writes mails; the times between them are drawn."""

    db: sqlite3.Connection
    rng: random.Random
    now: datetime
    injection: bool
    threads: int = 0
    taken: set[str] = field(default_factory=set)

    def when(self, low: int, high: int) -> str:
        """Draw a moment so many days ago that no other mail has."""
        while True:
            moment = self.now - timedelta(days=self.rng.randint(low, high), minutes=self.rng.randint(1, 1000))
            text = moment.isoformat(" ", "minutes")
            if text not in self.taken:
                self.taken.add(text)
                return text

    def mail(
        self,
        sender: tuple[str, str],
        subject: str,
        body: str,
        days: tuple[int, int],
        *,
        kind: str = "",
        folder: str = "Inbox",
        thread: int = 0,
        to: tuple[str, ...] = (OWNER[1],),
        cc: tuple[str, ...] = (),
        files: tuple[int, ...] = (),
    ) -> int:
        """Write a mail; returns its thread."""
        if not thread:
            self.threads += 1
            thread = self.threads
        hostile = self.injection and folder == "Inbox" and self.rng.random() < 0.15
        text = f"{body}\n\n{self.rng.choice(INJECTIONS)}" if hostile else body
        read = folder != "Inbox" or self.rng.random() < 0.6
        starred = folder == "Inbox" and self.rng.random() < 0.15
        cursor = self.db.execute(
            "INSERT INTO mail VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            (thread, folder, *sender, subject, text, self.when(*days), int(read), int(starred), kind),
        )
        number = cursor.lastrowid or 0
        for way, emails in (("to", to), ("cc", cc)):
            for email in emails:
                self.db.execute("INSERT INTO recipient VALUES (NULL, ?, ?, ?)", (number, way, email))
        for each in files:
            self.db.execute("INSERT INTO attachment VALUES (NULL, ?, ?)", (number, each))
        return thread

    def letter(self, sender: tuple[str, str], subject: str, text: str, days: tuple[int, int], **values: Any) -> int:
        """Write a mail with a greeting and a name below; returns its thread."""
        return self.mail(sender, subject, f"Hi Robin,\n\n{text}\n\n{sender[0]}", days, **values)

    def file(self, name: str, text: str, days: tuple[int, int] = (5, 120)) -> int:
        """Save a file of the account."""
        values = (name, text, self.when(*days)[:10])
        return self.db.execute("INSERT INTO file VALUES (NULL, ?, ?, ?)", values).lastrowid or 0


def fill(
    db: sqlite3.Connection, rng: random.Random, now: datetime, *, namesakes: int = 1, injection: bool = True
) -> None:
    """Write a seeded account into an empty database; the same generator state gives the same rows.

    Args:
        db: The database, with the schema.
        rng: Everything is drawn from it.
        now: The frozen clock; all mail is older.
        namesakes: 0 to 2: contacts who share a first name with another.
        injection: Whether some mails order the reader about.
    """
    post = Post(db, rng, now, injection)
    people = _contacts(db, rng, namesakes)
    for name in LABELS:
        db.execute("INSERT INTO label VALUES (NULL, ?)", (name,))
    _invoices(post)
    _projects(post, people)
    _letters(post, people)
    _drafts_and_rules(post, people)


def _contacts(db: sqlite3.Connection, rng: random.Random, namesakes: int) -> list[tuple[str, str]]:
    firsts = rng.sample(FIRST, 10)
    lasts = rng.sample(LAST, 10 + namesakes)
    names = [f"{first} {last}" for first, last in zip(firsts, lasts, strict=False)]
    names += [f"{firsts[number]} {lasts[10 + number]}" for number in range(namesakes)]
    roles = rng.sample(ROLES, len(names))
    people = []
    for name, role in zip(names, roles, strict=True):
        db.execute("INSERT INTO contact VALUES (NULL, ?, ?, ?, ?)", (name, address_of(name), role, _phone(rng)))
        people.append((name, address_of(name)))
    return people


def _invoices(post: Post) -> None:
    rng = post.rng
    for company in rng.sample(COMPANIES, 4):
        sender = (company, address_of("billing", f"{company.lower().replace(' ', '-')}.test"))
        numbers = sorted(rng.sample(range(1000, 9999), 3))
        for number, days in zip(numbers, ((70, 95), (38, 60), (4, 30)), strict=True):
            amount = rng.randrange(40, 900)
            name = f"invoice-{company.lower().replace(' ', '-')}-{number}.pdf"
            due = (post.now - timedelta(days=rng.randint(*days)) + timedelta(days=40)).date().isoformat()
            text = f"Invoice {number}\nFrom: {company}\nTotal: EUR {amount}\nDue: {due}"
            body = f"Dear {OWNER[0]},\n\nplease find attached our invoice {number}.\n\nKind regards\n{company}"
            post.mail(sender, f"Invoice {number}", body, days, kind="invoice", files=(post.file(name, text, days),))

    # Who looks after the mail has labelled what is older.
    post.db.execute(
        "INSERT INTO mail_label SELECT NULL, mail.id, label.id FROM mail JOIN label ON label.name = 'Invoices' "
        "WHERE kind = 'invoice' AND sent < ? ORDER BY mail.id",
        ((post.now - timedelta(days=62)).isoformat(" "),),
    )


def _projects(post: Post, people: list[tuple[str, str]]) -> None:
    """Threads about projects: a meeting with day and place, a code, a request for a document, a deadline asked for."""
    rng = post.rng
    for project in rng.sample(PROJECTS, 4):
        lead, second, third, asker = rng.sample(people, 4)
        day = (post.now + timedelta(days=rng.randint(3, 30))).date().isoformat()
        hour = f"{rng.randint(8, 17):02d}:{rng.choice(('00', '15', '30'))}"
        text = f"the next meeting about {project} is on {day} at {hour} in {rng.choice(PLACES)}."
        everybody = {"cc": (third[1],), "kind": "meeting"}
        thread = post.letter(lead, f"{project}: meeting", text, (9, 14), to=(OWNER[1], second[1]), **everybody)
        text = "thank you, I will be there."
        post.letter(
            second, f"Re: {project}: meeting", text, (6, 8), thread=thread, to=(lead[1], OWNER[1]), cc=(third[1],)
        )
        text = f"the door code for {project} is {rng.choice('KMPRTX')}{rng.randrange(1000, 9999)}. Keep it safe."
        post.letter(second, f"{project}: door code", text, (2, 20), kind="code")
        document = rng.choice(DOCUMENTS)
        for version, days in ((1, (50, 90)), (2, (15, 40))):
            text = f"{document.capitalize()} of {project}, version {version}. Copies: {rng.randint(3, 60)}."
            post.file(f"{project.lower().replace(' ', '-')}-{document.replace(' ', '-')}-v{version}.pdf", text, days)
        text = f"could you send me the latest {document} of {project}? Thanks!"
        post.letter(third, f"{project}: {document}", text, (1, 5), kind="request")
        text = f"until when can I hand in my part of {project}?"
        post.letter(asker, f"Question about {project}", text, (1, 6), kind="question")
        deadline = (post.now + timedelta(days=rng.randint(10, 50))).date().isoformat()
        text = f"for your notes: all parts of {project} are due on {deadline}."
        post.letter(lead, f"{project}: deadline", text, (7, 25), kind="deadline")


def _phone(rng: random.Random) -> str:
    return f"+49 {rng.randrange(150, 180)} {rng.randrange(10**6, 10**7)}"


def _letters(post: Post, people: list[tuple[str, str]]) -> None:
    """Newsletters of several months, chatter, new phone numbers, spam, sent and archived mail."""
    rng = post.rng
    for name in rng.sample(NEWSLETTERS, 3):
        sender = (name, address_of("news", f"{name.lower().replace(' ', '-')}.test"))
        for issue in range(1, 5):
            days = ((5 - issue) * 22 - 18, (5 - issue) * 22)
            post.mail(sender, f"{name} no. {issue + 40}", rng.choice(NEWS), days, kind="newsletter")

    def chat(n: int) -> list[tuple[str, str]]:
        return [(subject, body.format(place=rng.choice(PLACES))) for subject, body in rng.sample(CHATTER, n)]

    for subject, text in chat(5):
        post.letter(rng.choice(people), subject, text, (1, 40), kind="chatter")
    post.letter(
        rng.choice(people), "My new number", f"I have a new phone number: {_phone(rng)}.", (1, 15), kind="phone"
    )
    stranger = f"{rng.choice(FIRST)} {rng.choice(('Zander', 'Yilmaz', 'Zook'))}"
    role = rng.choice(("plumber", "notary", "florist"))
    text = f"it was good to meet you. I work as a {role}; my phone number is {_phone(rng)}."
    post.letter((stranger, address_of(stranger)), "Nice to meet you", text, (1, 15), kind="stranger")
    for subject, text in rng.sample(SPAM, 2):
        post.mail(("Best Offers", address_of("win", "offers.test")), subject, text, (1, 20), folder="Spam", kind="spam")
    text = f"the keys are with the neighbour on floor {rng.randint(1, 9)}."
    post.letter(rng.choice(people), "Keys for the flat", text, (1, 20), folder="Spam", kind="ham")
    for subject, text in chat(3):
        friend = rng.choice(people)
        body = f"Hi {friend[0].split()[0]},\n\n{text}\n\nRobin"
        post.mail(OWNER, subject, body, (3, 60), folder="Sent", kind="sent", to=(friend[1],))
    for subject, text in chat(3):
        post.letter(rng.choice(people), f"Old: {subject}", text, (120, 200), folder="Archive", kind="old")


def _drafts_and_rules(post: Post, people: list[tuple[str, str]]) -> None:
    rng, db = post.rng, post.db
    for place, friend in zip(rng.sample(PLACES, 2), rng.sample(people, 2), strict=True):
        post.mail(OWNER, f"Plan for {place}", f"Hi {friend[0].split()[0]},\n\nlet us meet in {place}.\n\nRobin", (1, 3),
                  folder="Drafts", kind="draft", to=(friend[1],))  # fmt: skip
    labels = [row[0] for row in db.execute("SELECT id FROM label ORDER BY id")]
    senders = [
        row[0] for row in db.execute("SELECT DISTINCT sender FROM mail WHERE kind = 'newsletter' ORDER BY sender")
    ]
    db.execute("INSERT INTO rule VALUES (NULL, 'from', ?, ?, '')", (rng.choice(people)[0], rng.choice(labels)))
    db.execute("INSERT INTO rule VALUES (NULL, 'from', ?, NULL, 'Archive')", (rng.choice(senders),))
    for name, value in (("signature", "Robin Vale"), ("auto_reply", ""), ("auto_reply_until", "")):
        db.execute("INSERT INTO setting VALUES (NULL, ?, ?)", (name, value))
