"""Tasks of the inbox that write: new mails, replies, forwarding, files, drafts, and several of them in a row."""

from __future__ import annotations

import re
import sqlite3

from thinkact.envs.web.inbox_goals import (
    Letter,
    a_contact,
    a_mail,
    add_label,
    change,
    files_of,
    find,
    find_contact,
    lines,
    mails,
    named,
    open_line,
    open_mail,
    project_of,
    quick,
    send,
    tick,
    together,
    write,
    write_down,
)
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template

_SUBJECTS = ("Visit next week", "Copy of the key", "Plan for Monday", "Train times", "A question", "Your parcel")
_TEXTS = (
    "I will call you tomorrow.",
    "Please bring two copies.",
    "The date is fine with me.",
    "Could we talk on Thursday?",
    "Everything is ready.",
    "I need a few more days.",
)


def _address_of_role(pilot: Pilot, role: str) -> Moves:
    """Look up a contact by role; the address is then on the page."""
    yield from find_contact(pilot, role)


def _first_address(pilot: Pilot) -> str:
    return pilot.read(r'"[^"\n]+" *\| *([^|\n\s]+@[^|\n\s]+)')


@template("inbox/compose", app="inbox", level=1)
def compose(draw: Draw) -> WebTask | None:
    """Write to a contact, with a copy to another half of the time."""
    who = a_contact(draw)
    other = a_contact(draw, who["email"]) if draw.rng.random() < 0.5 else None
    subject, text = draw.rng.choice(_SUBJECTS), draw.rng.choice(_TEXTS)
    letter = Letter((who["email"],), subject, text, (other["email"],) if other else ())
    goals, allowed = write(draw, letter)
    copy = f" with a copy (Cc) to {other['name']}" if other else ""
    prompt = draw.say(
        f"Write to {who['name']}{copy}. Subject: {subject}. Text: {text}",
        f"Send {who['name']} a mail{copy} with the subject “{subject}” that says just this: {text}",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Write a mail")
        yield from send(pilot, to=who["name"], cc=other["name"] if other else "", subject=subject, body=text)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/compose-role", app="inbox", level=1)
def compose_role(draw: Draw) -> WebTask | None:
    """Write to somebody who is named by role only, with a file."""
    who, file = a_contact(draw), draw.pick("SELECT * FROM file ORDER BY name")
    assert file is not None
    subject, text = draw.rng.choice(_SUBJECTS), draw.rng.choice(_TEXTS)
    goals, allowed = write(draw, Letter((who["email"],), subject, text, files=(file["id"],)))
    prompt = draw.say(
        f"Send my {who['role']} the file {file['name']}. Subject: {subject}. Text: {text}",
        f"The {who['role']} among my contacts needs {file['name']}. Mail it, with the subject “{subject}” and this "
        f"text: {text}",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _address_of_role(pilot, who["role"])
        address = _first_address(pilot)
        yield from pilot.click("link", "Write a mail")
        yield from send(pilot, to=address, subject=subject, body=text, files=[file["name"]])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/save-draft", app="inbox", level=1)
def save_draft(draw: Draw) -> WebTask | None:
    """Keep a mail as a draft."""
    who, subject, text = a_contact(draw), draw.rng.choice(_SUBJECTS), draw.rng.choice(_TEXTS)
    goals, allowed = write(draw, Letter((who["email"],), subject, text, folder="Drafts"))
    prompt = draw.say(
        f"Prepare a mail to {who['name']}, subject “{subject}”, text: {text} Save it as a draft; do not send it.",
        f"Write a draft for {who['name']} (subject: {subject}; text: {text}) that I can send later.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Write a mail")
        yield from write_down(pilot, to=who["name"], subject=subject, body=text)
        yield from pilot.click("button", "Save draft")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/send-draft", app="inbox", level=1)
def send_draft(draw: Draw) -> WebTask | None:
    """Send a draft, with a copy to somebody or a file added."""
    draft, file = (
        draw.pick("SELECT * FROM mail WHERE folder = 'Drafts' ORDER BY id"),
        draw.pick("SELECT * FROM file ORDER BY name"),
    )
    assert draft is not None and file is not None
    to = draw.rows("SELECT email FROM recipient WHERE mail_id = ?", draft["id"])[0][0]
    other = a_contact(draw, to)
    with_file = draw.rng.random() < 0.5
    cc, files = ((), (file["id"],)) if with_file else ((other["email"],), ())
    goals, allowed = write(draw, Letter((to,), draft["subject"], draft["body"], cc, files), draft=draft["id"])
    also = f"attach {file['name']}" if with_file else f"put {other['name']} in Cc"
    prompt = draw.say(
        f"Open my draft “{draft['subject']}”, {also} and send it. Change nothing else in it.",
        f"The draft “{draft['subject']}” can go out, but first {also}.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Drafts")
        yield from pilot.click("link", draft["subject"])
        yield from send(pilot, cc="" if with_file else other["name"], files=[file["name"]] if with_file else [])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


def _reply(draw: Draw, mail: sqlite3.Row, body: str, **more: object) -> Letter:
    subject = mail["subject"] if mail["subject"].startswith("Re: ") else f"Re: {mail['subject']}"
    return Letter((mail["address"],), subject, body, reply_to=mail["id"], **more)  # type: ignore[arg-type]


@template("inbox/reply", app="inbox", level=1)
def reply(draw: Draw) -> WebTask | None:
    """Reply to a mail with a given text."""
    mail, text = a_mail(draw, draw.rng.choice(("request", "question", "deadline", "code"))), draw.rng.choice(_TEXTS)
    assert mail is not None
    goals, allowed = write(draw, _reply(draw, mail, text))
    prompt = draw.say(f"Reply to {named(mail)}: {text}", f"Answer {named(mail)} with exactly this text: {text}")

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.click("link", "Reply")
        yield from send(pilot, body=text)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply-all", app="inbox", level=1)
def reply_all(draw: Draw) -> WebTask | None:
    """Reply to everybody on a thread about a meeting."""
    mail, text = a_mail(draw, "meeting"), draw.rng.choice(_TEXTS)
    assert mail is not None
    people = draw.rows("SELECT * FROM recipient WHERE mail_id = ? ORDER BY id", mail["id"])
    own = "robin.vale@mail.test"
    to = (mail["address"], *(each["email"] for each in people if each["kind"] == "to" and each["email"] != own))
    cc = tuple(each["email"] for each in people if each["kind"] == "cc")
    goals, allowed = write(draw, Letter(to, f"Re: {mail['subject']}", text, cc, reply_to=mail["id"]))
    prompt = draw.say(
        f"Reply to {named(mail)} so that everybody who got it gets the reply as well: {text}",
        f"Tell all who are on {named(mail)}, by a reply to all: {text}",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.click("link", "Reply to all")
        yield from send(pilot, body=text)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/forward", app="inbox", level=1)
def forward(draw: Draw) -> WebTask | None:
    """Forward a mail to a contact."""
    mail = a_mail(draw, draw.rng.choice(("code", "deadline", "meeting", "invoice")))
    assert mail is not None
    who = a_contact(draw, mail["address"])
    letter = Letter((who["email"],), f"Fwd: {mail['subject']}", None, files=files_of(draw, mail), forward_of=mail["id"])
    goals, allowed = write(draw, letter)
    prompt = draw.say(
        f"Forward {named(mail)} to {who['name']}.", f"{who['name']} should see {named(mail)}. Forward it."
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.click("link", "Forward")
        yield from send(pilot, to=who["name"])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/forward-invoice", app="inbox", level=2)
def forward_invoice(draw: Draw) -> WebTask | None:
    """Forward the latest invoice of a firm to somebody known by role, and label it."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    latest, who, label = mails(draw, "invoice", "sender = ?", mail["sender"])[-1], a_contact(draw), "Receipts"
    letter = Letter(
        (who["email"],), f"Fwd: {latest['subject']}", None, files=files_of(draw, latest), forward_of=latest["id"]
    )
    goals, allowed = together(write(draw, letter), add_label(draw, label, [latest]))
    prompt = draw.say(
        f"Forward the latest invoice from {mail['sender']} to my {who['role']}, then label that invoice {label}.",
        f"My {who['role']} needs the newest invoice of {mail['sender']}: forward it, and put the label {label} on the "
        f"mail that I "
        "got.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _address_of_role(pilot, who["role"])
        address = _first_address(pilot)
        yield from find(pilot, "Invoice", sender=mail["sender"])
        newest = max(lines(pilot), key=lambda line: line.sent)
        yield from open_line(pilot, newest)
        yield from pilot.select("Label", label)
        yield from pilot.click("button", "Add label")
        yield from pilot.click("link", "Forward")
        yield from send(pilot, to=address)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply-with-date", app="inbox", level=1)
def reply_with_date(draw: Draw) -> WebTask | None:
    """Answer a question with a day that another mail tells."""
    mail = a_mail(draw, "question")
    assert mail is not None
    project = project_of(mail)
    source = mails(draw, "deadline", "instr(subject, ?)", project)[0]
    day = re.findall(r"due on (\S+)\.", source["body"])[0]
    goals, allowed = write(draw, _reply(draw, mail, day))
    prompt = draw.say(
        f"{mail['sender']} asks until when parts of {project} can be handed in. Reply with the day that "
        f"{source['sender']} wrote, as "
        "YYYY-MM-DD and without another word.",
        f"Somebody asked me for the deadline of {project}. It is in a mail from {source['sender']}. Reply with nothing "
        f"but the date "
        "(YYYY-MM-DD).",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, f"{project}: deadline")
        found = pilot.read(r"due on (\d{4}-\d\d-\d\d)\.")
        yield from open_mail(pilot, f"Question about {project}")
        yield from pilot.click("link", "Reply")
        yield from send(pilot, body=found)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/send-what-was-asked", app="inbox", level=1)
def send_what_was_asked(draw: Draw) -> WebTask | None:
    """Reply to a request with the latest version of a file."""
    mail, text = a_mail(draw, "request"), draw.rng.choice(_TEXTS)
    assert mail is not None
    start = mail["subject"].lower().replace(": ", "-").replace(" ", "-")
    file = draw.rows("SELECT * FROM file WHERE name = ?", f"{start}-v2.pdf")[0]
    goals, allowed = write(draw, _reply(draw, mail, text, files=(file["id"],)))
    prompt = draw.say(
        f"{mail['sender']} asked me for a document of {project_of(mail)}. Reply to that mail with the latest version "
        f"attached and "
        f"this text: {text}",
        f"Look at {named(mail)} and reply with the newest version of what is asked for. Text: {text}",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from quick(pilot, f"of {project_of(mail)}? Thanks!")
        yield from open_line(pilot, lines(pilot)[0])
        asked = pilot.read(r"the latest ([\w ]+) of")
        yield from pilot.click("link", "Reply")
        options = pilot.read(r'"Attach a file" value="none" options: (.*)$').split(", ")
        start = f"{project_of(mail)}-{asked}".lower().replace(" ", "-")
        yield from send(pilot, body=text, files=[max(name for name in options if name.startswith(start))])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply-and-file", app="inbox", level=2)
def reply_and_file(draw: Draw) -> WebTask | None:
    """Reply to a question, then archive it and the mail that it is answered from."""
    mail = a_mail(draw, "question")
    assert mail is not None
    project = project_of(mail)
    source = mails(draw, "deadline", "instr(subject, ?)", project)[0]
    day = re.findall(r"due on (\S+)\.", source["body"])[0]
    goals, allowed = together(
        write(draw, _reply(draw, mail, day)), change(draw, "archived", [mail, source], folder="Archive")
    )
    prompt = draw.say(
        f"Reply to the question about {project} with the deadline of that project (only the date, YYYY-MM-DD), then "
        f"archive both the "
        "question and the mail with the deadline.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, f"{project}: deadline")
        found = pilot.read(r"due on (\d{4}-\d\d-\d\d)\.")
        yield from pilot.click("button", "Archive")
        yield from open_mail(pilot, f"Question about {project}")
        yield from pilot.click("button", "Archive")
        yield from pilot.click("link", "Reply")
        yield from send(pilot, body=found)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/meeting-to-everyone", app="inbox", level=2)
def meeting_to_everyone(draw: Draw) -> WebTask | None:
    """Write to two people known by role, with what a mail says about a meeting."""
    mail = a_mail(draw, "meeting")
    assert mail is not None
    one = a_contact(draw, mail["address"])
    two = a_contact(draw, mail["address"], one["email"])
    day, hour = re.findall(r"is on (\S+) at (\S+) in", mail["body"])[0]
    project = project_of(mail)
    goals, allowed = write(draw, Letter((one["email"],), f"{project} meeting", f"{day} {hour}", (two["email"],)))
    prompt = draw.say(
        f"Write to my {one['role']}, with a copy to my {two['role']}, when the next meeting about {project} is. "
        f"Subject: {project} "
        "meeting. Text: only day and time, as YYYY-MM-DD HH:MM.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        when = re.findall(r"is on (\S+) at (\S+) in", pilot.text)[0]
        yield from _address_of_role(pilot, one["role"])
        to = _first_address(pilot)
        yield from _address_of_role(pilot, two["role"])
        cc = _first_address(pilot)
        yield from pilot.click("link", "Write a mail")
        yield from send(pilot, to=to, cc=cc, subject=f"{project} meeting", body=" ".join(when))
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/invoices-round", app="inbox", level=3)
def invoices_round(draw: Draw) -> WebTask | None:
    """Forward every invoice of a firm to somebody known by role, and archive them."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    theirs, who = mails(draw, "invoice", "sender = ?", mail["sender"]), a_contact(draw)
    letters = [
        Letter((who["email"],), f"Fwd: {each['subject']}", None, files=files_of(draw, each), forward_of=each["id"])
        for each in theirs
    ]
    goals, allowed = together(write(draw, *letters), change(draw, "archived", theirs, folder="Archive"))
    prompt = draw.say(
        f"Forward each of the invoices from {mail['sender']} in my inbox to my {who['role']}, one by one, and archive "
        f"them all.",
        f"My {who['role']} wants every invoice of {mail['sender']} that is in the inbox: forward each, then archive "
        f"each.",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from _address_of_role(pilot, who["role"])
        address = _first_address(pilot)
        yield from quick(pilot, f"billing@{mail['sender'].lower().replace(' ', '-')}")
        subjects = [line.subject for line in lines(pilot)]
        for subject in subjects:
            yield from open_mail(pilot, subject)
            yield from pilot.click("button", "Archive")
            yield from pilot.click("link", "Forward")
            yield from send(pilot, to=address)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=28)


@template("inbox/answer-everyone", app="inbox", level=3)
def answer_everyone(draw: Draw) -> WebTask | None:
    """Answer the questions about three projects, each with its own deadline, and star the questions' mails."""
    asked = draw.some(mails(draw, "question"), 3)
    days = {}
    for mail in asked:
        source = mails(draw, "deadline", "instr(subject, ?)", project_of(mail))[0]
        days[mail["id"]] = re.findall(r"due on (\S+)\.", source["body"])[0]
    if any(mail["starred"] for mail in asked):
        return None
    letters = [_reply(draw, mail, days[mail["id"]]) for mail in asked]
    goals, allowed = together(write(draw, *letters), change(draw, "starred", asked, starred=1))
    names = ", ".join(project_of(mail) for mail in asked)
    prompt = draw.say(
        f"I was asked until when parts of {names} can be handed in. Reply to each of the three mails with the right "
        f"deadline, which was "
        "sent around by mail (only the date, as YYYY-MM-DD), and star the three questions.",
    )

    def solve(pilot: Pilot) -> Moves:
        for mail in asked:
            project = project_of(mail)
            yield from open_mail(pilot, f"{project}: deadline")
            found = pilot.read(r"due on (\d{4}-\d\d-\d\d)\.")
            yield from open_mail(pilot, f"Question about {project}")
            yield from pilot.click("button", "Star")
            yield from pilot.click("link", "Reply")
            yield from send(pilot, body=found)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=28)


@template("inbox/hand-over", app="inbox", level=3)
def hand_over(draw: Draw) -> WebTask | None:
    """Hand a project over: forward what matters, make a label, put it on, set the automatic reply."""
    mail = a_mail(draw, "meeting")
    assert mail is not None
    project = project_of(mail)
    heir = a_contact(draw, mail["address"])
    kept = [mails(draw, kind, "instr(subject, ?)", project)[0] for kind in ("deadline", "code")]
    letters = [Letter((heir["email"],), f"Fwd: {each['subject']}", None, forward_of=each["id"]) for each in kept]
    label = f"{project} done"
    text = f"{heir['name']} looks after {project} now."
    made = Goal("the label is made", "SELECT count(*) FROM label WHERE name = ?", (label,))
    may_make = Allowed("label", "name = ?", ops=("insert",), params=(label,))
    is_set = "name = 'auto_reply' AND value = ?"
    away = Goal("automatic reply", f"SELECT count(*) FROM setting WHERE {is_set}", (text,))
    may_set = Allowed("setting", is_set, ("value",), ("update",), params=(text,))
    goals, allowed = together(
        write(draw, *letters),
        add_label(draw, label, kept),
        ((made,), (may_make,)),
        ((away,), (may_set,)),
    )
    prompt = draw.say(
        f"{heir['name']} takes over {project}. Forward the mails with its deadline and its door code to "
        f"{heir['name']}; make a label "
        f"“{label}” and put it on both of these mails; and set the automatic reply to: {text}",
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Labels")
        yield from pilot.fill("textbox", "New label", label)
        yield from pilot.click("button", "Make label")
        for what in ("deadline", "door code"):
            yield from open_mail(pilot, f"{project}: {what}")
            yield from pilot.select("Label", label)
            yield from pilot.click("button", "Add label")
            yield from pilot.click("link", "Forward")
            yield from send(pilot, to=heir["name"])
        yield from pilot.click("link", "Settings")
        yield from pilot.fill("textbox", "Automatic reply", text)
        yield from pilot.click("button", "Save settings")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=26)


@template("inbox/clean-up", app="inbox", level=3)
def clean_up(draw: Draw) -> WebTask | None:
    """A round of order: old newsletters, a firm's invoices, spam that is none, stars."""
    day = draw.say("2026-02-10", "2026-02-20", "2026-03-01")
    senders = draw.some(sorted({each["sender"] for each in mails(draw, "newsletter")}), 2)
    old = [each for sender in senders for each in mails(draw, "newsletter", "sender = ? AND sent < ?", sender, day)]
    firm = draw.rng.choice(sorted({each["sender"] for each in mails(draw, "invoice")}))
    bills = mails(draw, "invoice", "sender = ?", firm)
    ham = draw.pick("SELECT * FROM mail WHERE kind = 'ham' ORDER BY id")
    if not old or ham is None:
        return None
    goals, allowed = together(
        change(draw, "deleted", old, folder="Trash"),
        add_label(draw, "Receipts", bills),
        change(draw, "back in the inbox", [ham], folder="Inbox"),
    )
    prompt = draw.say(
        f"Please tidy up: delete the issues of {senders[0]} and {senders[1]} from before {day}, put the label Receipts "
        f"on all invoices "
        f"from {firm}, and move the mail from {ham['sender']} that landed among spam by mistake to the inbox.",
    )

    def solve(pilot: Pilot) -> Moves:
        for sender in senders:
            yield from find(pilot, sender=sender, before=day)
            if found := lines(pilot):
                yield from tick(pilot, *found)
                yield from pilot.click("button", "Delete")
        yield from find(pilot, "Invoice", sender=firm)
        yield from tick(pilot, *lines(pilot))
        yield from pilot.select("Label", "Receipts")
        yield from pilot.click("button", "Add label")
        yield from pilot.click("link", "Spam")
        yield from pilot.click("link", ham["subject"])
        yield from pilot.click("button", "Move to Inbox")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed, steps=26)
