"""Tasks of the inbox that write: new mails, replies, forwarding, files, drafts, and several of them in a row."""

from __future__ import annotations

from thinkact.envs.web import hints
from thinkact.envs.web.inbox_goals import (
    DUE,
    Letter,
    a_contact,
    a_mail,
    deadline_mail,
    due_day,
    find_contact,
    first_address,
    forwarded,
    lines,
    named,
    open_line,
    open_mail,
    project_of,
    quick,
    reply_to,
    send,
    write,
    write_down,
)
from thinkact.envs.web.pilot import Moves, Pilot
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
        indirect=(
            f"Let {who['name']} know: {text}{' My ' + other['role'] + ' should read along (Cc).' if other else ''} "
            f"Call it “{subject}”.",
        ),
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
        indirect=(
            f"Without {file['name']} my {who['role']} cannot go on. Let them have it, called “{subject}”, with these "
            f"words: {text}",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, who["role"])
        address = first_address(pilot)
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
        indirect=(
            f"I want to sleep on it before my {who['role']} reads this: {text} Have it lie ready, called “{subject}”.",
        ),
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
        indirect=(f"I wrote “{draft['subject']}” but never sent it. Now it may go, as it is, once you {also}.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Drafts")
        yield from pilot.click("link", draft["subject"])
        yield from send(pilot, cc="" if with_file else other["name"], files=[file["name"]] if with_file else [])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply", app="inbox", level=1)
def reply(draw: Draw) -> WebTask | None:
    """Reply to a mail with a given text."""
    mail, text = a_mail(draw, draw.rng.choice(("request", "question", "deadline", "code"))), draw.rng.choice(_TEXTS)
    assert mail is not None
    goals, allowed = write(draw, reply_to(mail, text))
    prompt = draw.say(
        f"Reply to {named(mail)}: {text}",
        f"Answer {named(mail)} with exactly this text: {text}",
        indirect=(f"{mail['sender']} waits for an answer to {hints.mail(draw, mail)}. It is: {text}",),
    )

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
        indirect=(
            f"Not only {mail['sender']} but all who were written to in {hints.mail(draw, mail)} must know: {text}",
        ),
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
    letter = forwarded(draw, mail, who["email"])
    goals, allowed = write(draw, letter)
    prompt = draw.say(
        f"Forward {named(mail)} to {who['name']}.",
        f"{who['name']} should see {named(mail)}. Forward it.",
        indirect=(f"My {who['role']} does not know what is in {hints.mail(draw, mail)} and should, as it came.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.click("link", "Forward")
        yield from send(pilot, to=who["name"])
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply-with-date", app="inbox", level=1)
def reply_with_date(draw: Draw) -> WebTask | None:
    """Answer a question with a day that another mail tells."""
    mail = a_mail(draw, "question")
    assert mail is not None
    project = project_of(mail)
    source = deadline_mail(draw, project)
    day = due_day(source)
    goals, allowed = write(draw, reply_to(mail, day))
    prompt = draw.say(
        f"{mail['sender']} asks until when parts of {project} can be handed in. Reply with the day that "
        f"{source['sender']} wrote, as YYYY-MM-DD and without another word.",
        f"Somebody asked me for the deadline of {project}. It is in a mail from {source['sender']}. Reply with nothing "
        "but the date (YYYY-MM-DD).",
        indirect=(
            f"Somebody would like to know how long they have for {project}, and there is a mail that knows. Tell them "
            "the day: YYYY-MM-DD, without another word.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, f"{project}: deadline")
        found = pilot.read(DUE)
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
    goals, allowed = write(draw, reply_to(mail, text, files=(file["id"],)))
    prompt = draw.say(
        f"{mail['sender']} asked me for a document of {project_of(mail)}. Reply to that mail with the latest version "
        f"attached and this text: {text}",
        f"Look at {named(mail)} and reply with the newest version of what is asked for. Text: {text}",
        indirect=(
            f"Somebody waits for a document of {project_of(mail)}. Let them have it, in its last version, as a reply "
            f"with this text: {text}",
        ),
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
