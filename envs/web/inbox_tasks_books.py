"""Tasks of the inbox about contacts, rules for new mail and settings."""

from __future__ import annotations

import re
from datetime import timedelta

from thinkact.envs.web.goals import added, removed
from thinkact.envs.web.inbox_goals import (
    a_contact,
    a_mail,
    find_contact,
    open_mail,
)
from thinkact.envs.web.inbox_words import COMPANIES, LABELS
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template

_AWAY = (
    "I am away and will answer later.",
    "Out of office. For urgent matters please call.",
    "I am on a journey and read no mail.",
    "Thank you for your mail. I am on leave.",
)


@template("inbox/new-contact", app="inbox", level=2)
def new_contact(draw: Draw) -> WebTask | None:
    """Save whoever introduced themselves as a contact."""
    mail = a_mail(draw, "stranger")
    assert mail is not None
    role, phone = re.findall(r"as a (\w+); my phone number is (\+[\d ]+)\.", mail["body"])[0]
    prompt = draw.say(
        f"{mail['sender']} wrote to me after we met. Save them as a contact, with address, phone and what they work as "
        "under Role.",
        f"Make a contact of {mail['sender']}: name, e-mail, phone and role (the profession, one word) are in their "
        "mail.",
        indirect=(
            f"{mail['sender']} and I have met, and I want to be able to reach them: by mail, by phone, and knowing "
            "what they do (one word).",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        name, email = re.findall(r"^From: ([^(\n]+) \(([^)\n]+)\)", pilot.text, re.MULTILINE)[0]
        job, called = re.findall(r"as a (\w+); my phone number is (\+[\d ]+)\.", pilot.text)[0]
        yield from pilot.click("link", "Contacts")
        yield from pilot.click("link", "Add a contact")
        for label, text in (("Name", name), ("E-mail", email), ("Role", job), ("Phone", called)):
            yield from pilot.fill("textbox", label, text)
        yield from pilot.click("button", "Save contact")
        yield from pilot.done()

    name, email = mail["sender"], mail["address"]
    saved = added("the contact is saved", "contact", name=name, email=email, role=role, phone=phone)
    return WebTask(prompt, solve, *saved)


@template("inbox/new-phone", app="inbox", level=1)
def new_phone(draw: Draw) -> WebTask | None:
    """Put somebody's new number into the contacts."""
    mail = a_mail(draw, "phone")
    assert mail is not None
    number = re.findall(r"number: (\+[\d ]+)\.", mail["body"])[0]
    who = draw.rows("SELECT id FROM contact WHERE email = ?", mail["address"])[0]["id"]
    where = f"id = {who} AND phone = ?"
    prompt = draw.say(
        "One of my contacts has sent me a new phone number. Update the contact.",
        f"{mail['sender']} has a new phone number; it is in a mail. Put it into my contacts.",
        indirect=("Somebody I know can be reached under another number now. See to it that my contacts are right.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, "My new number")
        called = pilot.read(r"number: (\+[\d ]+)\.")
        name = pilot.read(r"^From: [^(\n]+ \(([^)\n]+)\)")
        yield from find_contact(pilot, name)
        yield from pilot.click("link", pilot.read(rf'"([^"\n]+)" *\| *{re.escape(name)}'))
        yield from pilot.fill("textbox", "Phone", called)
        yield from pilot.click("button", "Save contact")
        yield from pilot.done()

    goal = Goal("the number is saved", f"SELECT count(*) FROM contact WHERE {where}", (number,))
    return WebTask(prompt, solve, (goal,), (Allowed("contact", where, ("phone",), ("update",), params=(number,)),))


@template("inbox/delete-contact", app="inbox", level=1)
def delete_contact(draw: Draw) -> WebTask | None:
    """Remove a contact, known by role."""
    who = a_contact(draw)
    prompt = draw.say(
        f"Remove the {who['role']} from my contacts.",
        f"I no longer need the contact of my {who['role']}. Delete it.",
        indirect=(
            f"I have another {who['role']} now and shall never write to the old one again: my contacts need not know "
            "them.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, who["role"])
        yield from pilot.click("link", pilot.read(r'"([^"\n]+)" *\| *[^|\n]+@'))
        yield from pilot.click("button", "Delete contact")
        yield from pilot.done()

    return WebTask(prompt, solve, *removed("the contact is removed", "contact", who["id"]))


@template("inbox/new-rule", app="inbox", level=1)
def new_rule(draw: Draw) -> WebTask | None:
    """Make a rule."""
    word, label = draw.rng.choice(COMPANIES), draw.rng.choice(LABELS)
    field = draw.rng.choice(("from", "subject"))
    folder = draw.rng.choice(("", "Archive"))
    where = "field = ? AND contains = ? AND label_id = (SELECT id FROM label WHERE name = ?) AND move_to = ?"
    values = (field, word, label, folder)
    what = {"from": f"comes from “{word}”", "subject": f"has “{word}” in its subject"}[field]
    also = " and move it to the archive" if folder else ""
    prompt = draw.say(
        f"Make a rule: new mail that {what} shall get the label {label}{' and go to the archive' if folder else ''}.",
        f"From now on, whenever a mail {what}, label it {label}{also}. Make a rule for that.",
        indirect=(
            f"I am tired of sorting by hand. What {what.replace('has', 'will have').replace('comes', 'will come')} is "
            f"“{label}”{', and need not wait in the inbox but goes to the archive' if folder else ''}; let the mailbox "
            "see to it itself.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Rules")
        yield from pilot.select("If the", field)
        yield from pilot.fill("textbox", "contains", word)
        yield from pilot.select("add label", label)
        if folder:
            yield from pilot.select("move to", folder)
        yield from pilot.click("button", "Make rule")
        yield from pilot.done()

    goal = Goal("the rule is made", f"SELECT count(*) = 1 FROM rule WHERE {where}", values)
    return WebTask(prompt, solve, (goal,), (Allowed("rule", where, ops=("insert",), params=values),))


@template("inbox/delete-rule", app="inbox", level=0)
def delete_rule(draw: Draw) -> WebTask | None:
    """Delete a rule, known by what it does."""
    names = "SELECT rule.*, label.name AS label FROM rule LEFT JOIN label ON label.id = label_id"
    rule = draw.pick(f"{names} ORDER BY rule.id")
    assert rule is not None
    does = f"labels mail “{rule['label']}”" if rule["label"] else f"moves mail to the {rule['move_to'].lower()}"
    prompt = draw.say(
        f"Delete the rule about {rule['contains']}.",
        f"There is a rule that {does} when it comes from {rule['contains']}. Delete it.",
        indirect=(f"Mail from {rule['contains']} shall come in like any other again.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Rules")
        there = pilot.read_all(r"^(?:from|subject) *\| *([^|\n]+?) *\|")
        yield from pilot.click("button", f"Delete rule {there.index(rule['contains']) + 1}")
        yield from pilot.done()

    return WebTask(prompt, solve, *removed("the rule is deleted", "rule", rule["id"]))


@template("inbox/away", app="inbox", level=1)
def away(draw: Draw) -> WebTask | None:
    """Set an automatic reply."""
    until = (draw.now + timedelta(days=draw.rng.randint(3, 40))).date().isoformat()
    text = draw.rng.choice(_AWAY)
    prompt = draw.say(
        f"Set an automatic reply until {until} with this text: {text}",
        f'I am away until {until}. Let the mailbox answer by itself until then, with "{text}".',
        indirect=(
            f"I shall not read mail before {until} is over. Whoever writes to me until then should hear: {text}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Settings")
        yield from pilot.fill("textbox", "Automatic reply", text)
        yield from pilot.fill("textbox", "Automatic reply until", until)
        yield from pilot.click("button", "Save settings")
        yield from pilot.done()

    wanted = {"auto_reply": text, "auto_reply_until": until}
    goals = tuple(
        Goal(name.replace("_", " "), "SELECT count(*) FROM setting WHERE name = ? AND value = ?", (name, value))
        for name, value in wanted.items()
    )
    allowed = tuple(
        Allowed("setting", "name = ? AND value = ?", ("value",), ("update",), params=pair) for pair in wanted.items()
    )
    return WebTask(prompt, solve, goals, allowed)
