"""What the portal's tasks share: the ways between applications, and goals in one of several databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from thinkact.envs.web import tasks
from thinkact.envs.web.goals import Wants, added, of
from thinkact.envs.web.inbox_goals import Letter, open_mail, send, write
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw
from thinkact.envs.web.wiki_book import EDITS, open_page
from thinkact.envs.web.wiki_text import normal

#: The applications of every task; the browser starts in the first.
APPS = ("portal", "inbox", "shop", "wiki", "admin", "booking")
#: The same where the mailbox is the one with requests (:mod:`~thinkact.envs.web.portal_mail`).
DESK = ("portal", "desk", "shop", "wiki", "admin", "booking")
#: What the links on the start page are called.
_WORDS: Mapping[str, str] = {
    "inbox": "Mail", "desk": "Mail", "shop": "Shop", "wiki": "Wiki", "admin": "Operations", "booking": "Travel",
}  # fmt: skip


def within(draw: Draw, app: str) -> Draw:
    """Return the draw as the tasks of one application know it."""
    return replace(draw, starts={app: draw.starts[app]})


def letter(draw: Draw, email: str, subject: str, body: str) -> Wants:
    """Want one mail."""
    return of("inbox", write(within(draw, "inbox"), Letter((email,), subject, body)))


def page(title: str, text: str) -> Wants:
    """Want a new page in the wiki."""
    sql = "SELECT count(*) = 1 FROM article WHERE title = ? AND body = ?"
    goal = Goal(f"the page {title} is there", sql, (title, normal(text)))
    return of("wiki", ((goal,), (Allowed("article", "title = ?", ops=("insert",), params=(title,)), EDITS)))


def comment(number: int, text: str) -> Wants:
    """Want a comment on a ticket."""
    return of("admin", added(f"ticket {number} has the comment", "comment", ticket_id=number, body=text))


# Ways.


def enter(pilot: Pilot, app: str) -> Moves:
    """Open an application: by its link on the start page, from elsewhere by its address."""
    if pilot.shows("# Northwind start page"):
        yield from pilot.click("link", _WORDS[app])
    else:
        yield from pilot.goto(f"http://{tasks.APPS[app].host}/")


def read_mail(pilot: Pilot, subject: str) -> Moves:
    """Open a mail by its subject."""
    yield from enter(pilot, "inbox")
    yield from open_mail(pilot, subject)


def send_mail(pilot: Pilot, to: str, subject: str, body: str) -> Moves:
    """Write a mail to a contact."""
    yield from enter(pilot, "inbox")
    yield from pilot.click("link", "Write a mail")
    yield from send(pilot, to=to, subject=subject, body=body)


def look_up(pilot: Pilot, title: str) -> Moves:
    """Open a page of the wiki."""
    yield from enter(pilot, "wiki")
    yield from open_page(pilot, title)


def write_page(pilot: Pilot, title: str, text: str) -> Moves:
    """Make a page in the wiki."""
    yield from look_up(pilot, title)
    yield from pilot.click("link", "Create the page")
    yield from pilot.fill("textbox", "Text", text)
    yield from pilot.click("button", "Save page")
