"""Tasks of the portal around mail: what one application says goes into a letter, what a letter says into another."""

from __future__ import annotations

import re
import sqlite3

from thinkact.envs.web import hints
from thinkact.envs.web.admin_moves import (
    TICKET_COLUMNS,
    TICKETS,
    add_comment,
    change,
    find,
    listed,
    narrow,
    overdue,
    report,
)
from thinkact.envs.web.goals import of, together
from thinkact.envs.web.inbox_goals import DUE, a_contact, a_mail, due_day, project_of, reply_to, write
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.portal_moves import (
    APPS,
    comment,
    enter,
    letter,
    look_up,
    page,
    read_mail,
    send_mail,
    within,
    write_page,
)
from thinkact.envs.web.shop_moves import open_order, open_product
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import ASK, EDITS, Book, edit_page, fact_on, reads, text_of
from thinkact.envs.web.wiki_text import plain

_SUBJECTS = ("What you asked for", "As agreed", "For your notes", "Short answer", "The figure you need")


def _told(draw: Draw) -> tuple[sqlite3.Row, str]:
    return a_contact(within(draw, "inbox")), draw.rng.choice(_SUBJECTS)


def _ask_to_mail(draw: Draw, what: str, where: str, who: sqlite3.Row, subject: str) -> str:
    return draw.say(
        f"Find out {what} ({where}) and mail it to {who['name']}. The subject is “{subject}”; the text is the answer "
        "and nothing else.",
        f"{who['name']} wants to know {what}; {where} says it. Send a mail with the subject “{subject}” whose text is "
        "just the answer.",
        indirect=(
            f"My {who['role']} will not stop asking for {what}, and {where} has it. Put an end to that by a mail whose "
            f"subject is “{subject}”, and whose text is the bare answer.",
        ),
    )


@template("portal/mail-wiki-fact", apps=APPS, level=1)
def _mail_wiki_fact(draw: Draw) -> WebTask | None:
    article = draw.rng.choice(
        Book(draw, "wiki").of("Offices", "Services", "Suppliers", "People", "Projects", facts=True)
    )
    name = draw.rng.choice([name for name in article.facts if name in ASK])
    who, subject = _told(draw)
    goals, rules = letter(draw, who["email"], subject, plain(article.facts[name]))

    def solve(pilot: Pilot) -> Moves:
        yield from look_up(pilot, article.title)
        value = fact_on(pilot, name)
        yield from send_mail(pilot, who["name"], subject, value)
        yield from pilot.done()

    prompt = _ask_to_mail(draw, ASK[name].format(article.ask), "the wiki", who, subject)
    return WebTask(prompt, solve, goals, rules)


@template("portal/mail-ticket-field", apps=APPS, level=2)
def _mail_ticket_field(draw: Draw) -> WebTask | None:
    row = draw.pick(f"{TICKETS} WHERE t.assignee_id IS NOT NULL ORDER BY t.id", app="admin")
    assert row is not None
    column, at = draw.rng.choice([("assignee", 5), ("team", 4), ("customer", 3), ("due", 8)])
    who, subject = _told(draw)
    goals, rules = letter(draw, who["email"], subject, row[column])

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "admin")
        yield from find(pilot, "Tickets", str(row["id"]))
        value = listed(pilot, TICKET_COLUMNS)[0][at]
        yield from send_mail(pilot, who["name"], subject, value)
        yield from pilot.done()

    what = f"the {'due date' if column == 'due' else column} of ticket {row['id']}"
    prompt = _ask_to_mail(draw, what, "the list of tickets in Operations, written as there", who, subject)
    return WebTask(prompt, solve, goals, rules, steps=10)


@template("portal/mail-report", apps=APPS, level=2)
def _mail_report(draw: Draw) -> WebTask | None:
    late = [row for row in draw.rows(f"{TICKETS} ORDER BY t.id", app="admin") if overdue(draw, row)]
    by = draw.rng.choice(["team", "customer"])
    counts = {row[by]: sum(each[by] == row[by] for each in late) for row in late}
    top = max(counts, key=lambda name: counts[name])
    if list(counts.values()).count(counts[top]) > 1:
        return None
    who, subject = _told(draw)
    goals, rules = letter(draw, who["email"], subject, top)

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "admin")
        yield from report(pilot, "overdue tickets", by)
        shown = {row[0]: int(row[1]) for row in listed(pilot, 2)}
        yield from send_mail(pilot, who["name"], subject, max(shown, key=lambda name: shown[name]))
        yield from pilot.done()

    prompt = _ask_to_mail(draw, f"which {by} has the most overdue tickets", "a report in Operations", who, subject)
    return WebTask(prompt, solve, goals, rules, steps=12)


@template("portal/mail-order-total", apps=APPS, level=2)
def _mail_order_total(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT * FROM orders ORDER BY id DESC LIMIT 12", app="shop")
    assert row is not None
    who, subject = _told(draw)
    total = f"${row['total'] // 100:,}.{row['total'] % 100:02d}"
    goals, rules = letter(draw, who["email"], subject, total)

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "shop")
        yield from open_order(pilot, row["id"])
        value = pilot.read(r"Total[ |]*(\$[\d,.]+)")
        yield from send_mail(pilot, who["name"], subject, value)
        yield from pilot.done()

    prompt = _ask_to_mail(draw, f"the total of order #{row['id']}, with the dollar sign", "the shop", who, subject)
    return WebTask(prompt, solve, goals, rules, steps=13)


@template("portal/mail-to-page", apps=APPS, level=1)
def _mail_to_page(draw: Draw) -> WebTask | None:
    mail = a_mail(within(draw, "inbox"), "deadline")
    if mail is None:
        return None
    day = due_day(mail)
    name = project_of(mail)
    goals, rules = page(name, f"All parts are due on {day}.")

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        due = pilot.read(DUE)
        yield from write_page(pilot, name, f"All parts are due on {due}.")
        yield from pilot.done()

    prompt = draw.say(
        f"A mail says when all parts of {name} are due. Create a page “{name}” in the wiki with the text “All parts "
        "are due on DAY.”, with that day in the form 2026-12-31.",
        f"Make a wiki page titled “{name}”. Its text is “All parts are due on DAY.”; the day (like 2026-12-31) is in "
        f"the mail “{mail['subject']}”.",
        indirect=(
            f"Nobody remembers until when all parts of {name} are wanted, though it was said by mail. The wiki should "
            f"have it, as a page “{name}”: “All parts are due on DAY.”, with the day like 2026-12-31.",
        ),
    )
    return WebTask(prompt, solve, goals, rules)


@template("portal/mail-to-project", apps=APPS, level=1)
def _mail_to_project(draw: Draw) -> WebTask | None:
    mail = a_mail(within(draw, "inbox"), "deadline")
    article = draw.rng.choice(Book(draw, "wiki").of("Projects", editable=True, facts=True))
    if mail is None:
        return None
    day = due_day(mail)
    old = article.facts["Deadline"]
    if old == day:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        due = pilot.read(DUE)
        yield from look_up(pilot, article.title)
        yield from edit_page(
            pilot, "Edit introduction", lambda text: text.replace(f"| Deadline | {old}", f"| Deadline | {due}")
        )
        yield from pilot.done()

    prompt = draw.say(
        f"{article.title} must be ready when {project_of(mail)} is due, says the mail “{mail['subject']}”. Set the "
        f"Deadline on the wiki's page {article.title} to that day.",
        f"On the wiki's page {article.title}, the Deadline becomes the day that the mail “{mail['subject']}” names.",
        indirect=(
            f"On {hints.article(draw, article, 'wiki', without='Deadline')} of the wiki, the Deadline is no longer "
            f"right. It must be ready when {project_of(mail)} is due, and a mail says when that is.",
        ),
    )
    body = article.body.replace(f"| Deadline | {old}", f"| Deadline | {day}")
    goals, rules = of("wiki", ((reads(article, body),), (text_of(article), EDITS)))
    return WebTask(prompt, solve, goals, rules)


@template("portal/code-to-ticket", apps=APPS, level=2)
def _code_to_ticket(draw: Draw) -> WebTask | None:
    mail = a_mail(within(draw, "inbox"), "code")
    row = draw.pick(f"{TICKETS} ORDER BY t.id", app="admin")
    if mail is None or row is None:
        return None
    code = _code(mail)
    goals, rules = comment(row["id"], code)

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        seen = pilot.read(_CODE)
        yield from enter(pilot, "admin")
        yield from add_comment(pilot, row["id"], seen)
        yield from pilot.done()

    prompt = draw.say(
        f"The mail “{mail['subject']}” has a code. Add it as a comment to ticket {row['id']} in Operations: the code "
        "only.",
        f"Ticket {row['id']} in Operations needs the code of the mail “{mail['subject']}”. Put the code, and nothing "
        "else, into a comment.",
        indirect=(
            f"Whoever works on ticket {row['id']} in Operations stands before a locked door of {project_of(mail)}; my "
            "mail has the code. Let them read it there, as a comment that is the code and nothing else.",
        ),
    )
    return WebTask(prompt, solve, goals, rules, steps=10)


_CODE = r"the door code for [^.]+ is (\w+)\."


def _code(mail: sqlite3.Row) -> str:
    found = re.search(_CODE, mail["body"])
    assert found is not None, mail["body"]
    return found[1]


@template("portal/spread-code", apps=APPS, level=3)
def _spread_code(draw: Draw) -> WebTask | None:
    """Mail, wiki, operations, and back to mail."""
    mail = a_mail(within(draw, "inbox"), "code")
    row = draw.pick(f"{TICKETS} WHERE t.priority != 'high' ORDER BY t.id", app="admin")
    if mail is None or row is None:
        return None
    code, title = _code(mail), f"Access to {project_of(mail)}"
    text = draw.rng.choice(["Done, thank you.", "It is in the wiki now.", "I have passed it on."])
    answer = of("inbox", write(within(draw, "inbox"), reply_to(mail, text)))
    raised = of("admin", change("ticket", [row], {"priority": "high"}))
    goals, rules = together(page(title, f"The code is {code}."), comment(row["id"], code), raised, answer)

    def solve(pilot: Pilot) -> Moves:
        yield from read_mail(pilot, mail["subject"])
        seen = pilot.read(_CODE)
        yield from pilot.click("link", "Reply")
        yield from pilot.fill("textbox", "Text", text)
        yield from pilot.click("button", "Send")
        yield from look_up(pilot, title)
        yield from pilot.click("link", "Create the page")
        yield from pilot.fill("textbox", "Text", f"The code is {seen}.")
        yield from pilot.fill("textbox", "Summary", "from a mail")
        yield from pilot.click("button", "Save page")
        yield from enter(pilot, "admin")
        yield from add_comment(pilot, row["id"], seen)
        yield from pilot.select("Priority", "high")
        yield from pilot.click("button", "Save changes")
        yield from pilot.done()

    prompt = draw.say(
        f"The mail “{mail['subject']}” has a code. Create the wiki page “{title}” with the text “The code is CODE.”, "
        f"add the code (only the code) as a comment to ticket {row['id']} in Operations, give that ticket the priority "
        f"high, and reply to the mail: {text}",
        f"Pass on the code of the mail “{mail['subject']}”: as a comment on ticket {row['id']} in Operations (nothing "
        f"but the code), which also gets the priority high, and as a new wiki page “{title}” that says “The code is "
        f"CODE.” Then reply to the mail: {text}",
        indirect=(
            f"The door code of {project_of(mail)} is in one of my mails, and three should have it: the wiki, as a page "
            f"“{title}” that says “The code is CODE.”; whoever works on ticket {row['id']} in Operations, as a comment "
            "that is just the code, and that ticket's priority is high from now on; and who wrote to me should read, "
            f"as a reply: {text}",
        ),
    )
    return WebTask(prompt, solve, goals, rules, steps=21)


@template("portal/product-page", apps=APPS, level=1)
def _product_page(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT * FROM product ORDER BY id", app="shop")
    assert row is not None
    column, words = draw.rng.choice([("Material", "material"), ("Brand", "brand")])
    text = f"{column}: {row[words]}"
    goals, rules = page(row["name"], text)

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "shop")
        yield from open_product(pilot, row["name"])
        value = fact_on(pilot, column)
        yield from write_page(pilot, row["name"], f"{column}: {value}")
        yield from pilot.done()

    prompt = draw.say(
        f"Create a wiki page “{row['name']}” with the text “{column}: …”, completed with the {words} that the shop "
        "gives for that product.",
        f"The wiki needs a page about the product {row['name']}. Its title is the product's name, its text “{column}: "
        f"…” with the {words} from the shop.",
        indirect=(
            f"Nobody in the house knows which {words} {hints.product(draw, row['id'], 'shop', without=words)} in the "
            f"shop has. The wiki should say it, on a page called like the product, name and all: “{column}: …”.",
        ),
    )
    return WebTask(prompt, solve, goals, rules)


@template("portal/leavers-page", apps=APPS, level=2)
def _leavers_page(draw: Draw) -> WebTask | None:
    status = draw.rng.choice(["left", "on leave"])
    rows = draw.rows("SELECT name FROM staff WHERE status = ? ORDER BY name", status, app="admin")
    title = draw.rng.choice(["People who {}", "Who {}?", "List of people who {}"]).format(
        "left" if status == "left" else "are on leave").replace("?", "")  # fmt: skip
    goals, rules = page(title, "\n".join(f"* {row['name']}" for row in rows))

    def solve(pilot: Pilot) -> Moves:
        yield from enter(pilot, "admin")
        yield from narrow(pilot, "Staff", Status=status)
        shown = sorted(row[0] for row in listed(pilot, 7))
        yield from write_page(pilot, title, "\n".join(f"* {name}" for name in shown))
        yield from pilot.done()

    prompt = draw.say(
        f"Create a wiki page “{title}” that lists everybody whose status in Operations is “{status}”: one item per "
        "person (a line that starts with *), full names, in alphabetical order, no other text.",
        f"Operations knows who has the status “{status}”. Make a wiki page “{title}” with those names as a list: each "
        "line is * and a full name, sorted by the alphabet.",
        indirect=(
            f"I keep being asked of whom Operations says “{status}”. The wiki should have a page “{title}” for that: "
            "full names by the alphabet, one item for each (a line that starts with *), no other text.",
        ),
    )
    return WebTask(prompt, solve, goals, rules, steps=10)
