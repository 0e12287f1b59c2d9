"""What the inbox's tasks want: letters and changed mails as goals and allowed changes, and the moves of the experts."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkact.envs.web.goals import Wants
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal, Op
from thinkact.envs.web.tasks import Draw

_PEOPLE = "(SELECT group_concat(k) FROM (SELECT kind || email k FROM recipient WHERE mail_id = mail.id ORDER BY k))"
_FILES = (
    "coalesce((SELECT group_concat(file_id) FROM (SELECT file_id FROM attachment WHERE mail_id = mail.id "
    "ORDER BY file_id)), '')"
)
#: How a mail about a deadline names the day.
DUE = r"due on (\d{4}-\d\d-\d\d)"
#: A forwarded mail may carry a word to its reader.
_NOTE = 200


@dataclass(frozen=True)
class Letter:
    """A mail that shall be sent (or kept as a draft).

    ``body`` None leaves a short note to the writer; ``reply_to`` and ``forward_of`` are ids of mails.
    """

    to: tuple[str, ...]
    subject: str
    body: str | None
    cc: tuple[str, ...] = ()
    files: tuple[int, ...] = ()
    reply_to: int | None = None
    forward_of: int | None = None
    folder: str = "Sent"

    def condition(self) -> tuple[str, tuple[Any, ...]]:
        """Return what is true of this mail's row, as SQL with its values."""
        people = sorted([f"to{email}" for email in self.to] + [f"cc{email}" for email in self.cc])
        sql = f"folder = ? AND subject = ? AND {_PEOPLE} = ? AND {_FILES} = ? AND reply_to IS ? AND forward_of IS ?"
        values = (self.folder, self.subject, ",".join(people), ",".join(map(str, sorted(self.files))), self.reply_to,
                  self.forward_of)  # fmt: skip
        if self.body is None:
            return f"{sql} AND length(body) <= {_NOTE}", values
        return f"{sql} AND trim(body) = ?", (*values, self.body)


def write(draw: Draw, *letters: Letter, draft: int = 0) -> Wants:
    """Return the goals of sending these mails, and leave to do that once and nothing else.

    Args:
        draw: The draw.
        letters: What shall be sent.
        draft: The draft that the one letter is made of.
    """
    last = draw.rows("SELECT max(id) FROM mail")[0][0]
    which = f"id = {draft}" if draft else f"id > {last}"
    new = f"= {draft}" if draft else f"BETWEEN {last + 1} AND {last + len(letters)}"
    goals, allowed = [], []
    for number, letter in enumerate(letters, 1):
        sql, values = letter.condition()
        name = "the mail" if len(letters) == 1 else f"mail {number}"
        verb = "is sent" if letter.folder == "Sent" else "is saved"
        goals.append(Goal(f"{name} {verb}", f"SELECT count(*) = 1 FROM mail WHERE {which} AND {sql}", values))
        allowed.append(
            Allowed(
                "mail",
                f"id {new} AND {sql}",
                ("folder", "subject", "body", "sent"),
                ("insert", "update"),
                params=values,
            )
        )
    # Recipients and files are part of the mail's condition, so they are judged with it.
    ops: tuple[Op, ...] = ("insert", "update", "delete") if draft else ("insert",)
    allowed += [Allowed(table, f"mail_id {new}", ops=ops) for table in ("recipient", "attachment")]
    return tuple(goals), tuple(allowed)


def change(what: str, mails: Sequence[sqlite3.Row], **values: Any) -> Wants:
    """Return a goal for every mail that gets these values, and leave for that."""
    where = " AND ".join(f"{column} = ?" for column in values)
    ids = ", ".join(str(mail["id"]) for mail in mails)
    some = len(mails) > 1
    return (
        tuple(
            Goal(
                f"{what}: {mail['subject']}" if some else what,
                f"SELECT count(*) FROM mail WHERE id = {mail['id']} AND {where}",
                tuple(values.values()),
            )
            for mail in mails
        ),
        (Allowed("mail", f"id IN ({ids}) AND {where}", tuple(values), ("update",), params=tuple(values.values())),),
    )


def add_label(name: str, mails: Sequence[sqlite3.Row]) -> Wants:
    """Return a goal for every mail that gets a label, and leave for that."""
    label = f"label_id = (SELECT id FROM label WHERE name = '{name}')"
    ids = ", ".join(str(mail["id"]) for mail in mails)
    goals = tuple(
        Goal(
            f"labelled {name}: {mail['subject']}" if len(mails) > 1 else f"labelled {name}",
            f"SELECT count(*) FROM mail_label WHERE mail_id = {mail['id']} AND {label}",
        )
        for mail in mails
    )
    return goals, (Allowed("mail_label", f"mail_id IN ({ids}) AND {label}", ops=("insert",)),)


def reply_to(mail: sqlite3.Row, body: str, *, files: tuple[int, ...] = ()) -> Letter:
    """Return the reply to the sender of a mail."""
    subject = mail["subject"] if mail["subject"].startswith("Re: ") else f"Re: {mail['subject']}"
    return Letter((mail["address"],), subject, body, files=files, reply_to=mail["id"])


def forwarded(draw: Draw, mail: sqlite3.Row, email: str) -> Letter:
    """Return a mail sent on to somebody, with its files and perhaps a note."""
    return Letter((email,), f"Fwd: {mail['subject']}", None, files=files_of(draw, mail), forward_of=mail["id"])


# Draws.


def mails(draw: Draw, kind: str, where: str = "1", *params: Any) -> list[sqlite3.Row]:
    """Return the mails of a kind in the inbox, oldest first."""
    sql = f"SELECT * FROM mail WHERE kind = ? AND folder = 'Inbox' AND {where} ORDER BY sent, id"
    return draw.rows(sql, kind, *params)


def a_mail(draw: Draw, kind: str, where: str = "1", *params: Any) -> sqlite3.Row | None:
    """Draw a mail of a kind, None where there is none."""
    found = mails(draw, kind, where, *params)
    return draw.rng.choice(found) if found else None


def any_mail(draw: Draw, where: str = "1") -> sqlite3.Row | None:
    """Draw a mail in the inbox whose subject names it."""
    only = "(SELECT count(*) FROM mail o WHERE instr(o.subject, mail.subject)) = 1"
    return draw.pick(f"SELECT * FROM mail WHERE folder = 'Inbox' AND {only} AND {where} ORDER BY id")


def a_contact(draw: Draw, *without: str) -> sqlite3.Row:
    """Draw a contact whose address is none of these."""
    people = [each for each in draw.rows("SELECT * FROM contact ORDER BY id") if each["email"] not in without]
    return draw.rng.choice(people)


def deadline_mail(draw: Draw, project: str) -> sqlite3.Row:
    """Return the mail that names a project's deadline."""
    return mails(draw, "deadline", "instr(subject, ?)", project)[0]


def due_day(mail: sqlite3.Row) -> str:
    """Return the day that a mail about a deadline names."""
    return str(re.findall(DUE, mail["body"])[0])


def project_of(mail: sqlite3.Row) -> str:
    """The project that a mail's subject names."""
    return str(mail["subject"]).removeprefix("Question about ").split(":")[0]


def files_of(draw: Draw, mail: sqlite3.Row) -> tuple[int, ...]:
    """Return the ids of a mail's files."""
    return tuple(
        each[0] for each in draw.rows("SELECT file_id FROM attachment WHERE mail_id = ? ORDER BY id", mail["id"])
    )


def named(mail: sqlite3.Row) -> str:
    """A mail for a prompt."""
    return f"the mail “{mail['subject']}” from {mail['sender']}"


# Moves of the experts: they read the page, not the database.

_LINE = re.compile(
    r'"Select (\d+)"(?: \[checked\])? *\| *(read|unread)(, starred)? *\| *([^|\n]+?) *\| *(?:- )?link \[e\d+\] '
    r'"([^"\n]+)" *\| *([^|\n]+?) *\| *[^|\n]+? *\| *(\d{4}-\d\d-\d\d \d\d:\d\d)'
)


@dataclass(frozen=True)
class Line:
    """A line of a list of mails."""

    number: int
    unread: bool
    starred: bool
    who: str
    subject: str
    labels: str
    sent: str


def lines(pilot: Pilot) -> list[Line]:
    """Read the list of mails."""
    return [
        Line(int(number), state == "unread", bool(star), who, subject, labels, sent)
        for number, state, star, who, subject, labels, sent in _LINE.findall(pilot.text)
    ]


def find(
    pilot: Pilot, words: str = "", *, sender: str = "", before: str = "", label: str = "", unread: bool = False,
    starred: bool = False, folder: str = "",
) -> Moves:  # fmt: skip
    """Search for mails."""
    yield from pilot.click("link", "Search")
    if words:
        yield from pilot.fill("textbox", "Words", words)
    if sender:
        yield from pilot.fill("textbox", "From", sender)
    if before:
        yield from pilot.fill("textbox", "Sent before", before)
    if label:
        yield from pilot.select("With label", label)
    if folder:
        yield from pilot.select("In folder", folder)
    if unread:
        yield from pilot.check("Unread only")
    if starred:
        yield from pilot.check("Starred only")
    yield from pilot.click("button", "Search")


def quick(pilot: Pilot, words: str) -> Moves:
    """Search by the field above the inbox, and nothing else."""
    if pilot.find("textbox", "Search mail") is None:
        yield from pilot.click("link", "Inbox")
    yield from pilot.fill("textbox", "Search mail", words, submit=True)


def open_mail(pilot: Pilot, subject: str, sender: str = "") -> Moves:
    """Find a mail by its subject and open it."""
    yield from quick(pilot, subject)
    line = next(line for line in lines(pilot) if line.subject == subject and (not sender or line.who == sender))
    yield from open_line(pilot, line)


def open_line(pilot: Pilot, line: Line) -> Moves:
    """Open a mail of the list on the page."""
    yield from pilot.click("link", line.subject, near=f'"Select {line.number}"')


def tick(pilot: Pilot, *chosen: Line) -> Moves:
    """Tick mails of the list on the page, all at once where they are all there are."""
    if len(chosen) > 1 and len(chosen) == len(lines(pilot)):
        yield from pilot.check("Select all on this page")
        return
    for line in chosen:
        yield from pilot.check(f"Select {line.number}")


def send(
    pilot: Pilot, *, to: str = "", cc: str = "", subject: str = "", body: str = "", files: Sequence[str] = ()
) -> Moves:
    """Fill in the form and send the mail."""
    yield from write_down(pilot, to=to, cc=cc, subject=subject, body=body, files=files)
    yield from pilot.click("button", "Send")


def write_down(
    pilot: Pilot, *, to: str = "", cc: str = "", subject: str = "", body: str = "", files: Sequence[str] = ()
) -> Moves:
    """Fill in the form; what is empty stays as it is."""
    for label, text in (("To", to), ("Cc", cc), ("Subject", subject), ("Text", body)):
        if text:
            yield from pilot.fill("textbox", label, text)
    for label, name in zip(("Attach a file", "Attach another file"), files, strict=False):
        yield from pilot.select(label, name)


def find_contact(pilot: Pilot, words: str) -> Moves:
    """Show the contacts that words are found in."""
    yield from pilot.click("link", "Contacts")
    yield from pilot.fill("textbox", "Find a contact", words, submit=True)


def first_address(pilot: Pilot) -> str:
    """Read the address of the first contact of the list on the page."""
    return pilot.read(r'"[^"\n]+" *\| *([^|\n\s]+@[^|\n\s]+)')
