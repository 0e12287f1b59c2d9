"""Tasks of the inbox that take many steps: letters, labels, folders and settings together."""

from __future__ import annotations

import re

from thinkact.envs.web.goals import together
from thinkact.envs.web.inbox_goals import (
    DUE,
    Letter,
    a_contact,
    a_mail,
    add_label,
    change,
    deadline_mail,
    due_day,
    find,
    find_contact,
    first_address,
    forwarded,
    lines,
    mails,
    open_line,
    open_mail,
    project_of,
    quick,
    reply_to,
    send,
    tick,
    write,
)
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template


@template("inbox/forward-invoice", app="inbox", level=2)
def forward_invoice(draw: Draw) -> WebTask | None:
    """Forward the latest invoice of a firm to somebody known by role, and label it."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    latest, who, label = mails(draw, "invoice", "sender = ?", mail["sender"])[-1], a_contact(draw), "Receipts"
    letter = forwarded(draw, latest, who["email"])
    goals, allowed = together(write(draw, letter), add_label(label, [latest]))
    prompt = draw.say(
        f"Forward the latest invoice from {mail['sender']} to my {who['role']}, then label that invoice {label}.",
        f"My {who['role']} needs the newest invoice of {mail['sender']}: forward it, and put the label {label} on the "
        "mail that I got.",
        indirect=(
            f"My {who['role']} should see what {mail['sender']} billed me for last: the mail as it came. In my inbox "
            f"it counts as “{label}” from now on.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, who["role"])
        address = first_address(pilot)
        yield from find(pilot, "Invoice", sender=mail["sender"])
        newest = max(lines(pilot), key=lambda line: line.sent)
        yield from open_line(pilot, newest)
        yield from pilot.select("Label", label)
        yield from pilot.click("button", "Add label")
        yield from pilot.click("link", "Forward")
        yield from send(pilot, to=address)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/reply-and-file", app="inbox", level=2)
def reply_and_file(draw: Draw) -> WebTask | None:
    """Reply to a question, then archive it and the mail that it is answered from."""
    mail = a_mail(draw, "question")
    assert mail is not None
    project = project_of(mail)
    source = deadline_mail(draw, project)
    day = due_day(source)
    goals, allowed = together(write(draw, reply_to(mail, day)), change("archived", [mail, source], folder="Archive"))
    prompt = draw.say(
        f"Reply to the question about {project} with the deadline of that project (only the date, YYYY-MM-DD), then "
        "archive both the question and the mail with the deadline.",
        indirect=(
            f"Somebody waits for a word on {project}: until when? Tell them by a reply that is only the date "
            "(YYYY-MM-DD). With that, neither this question nor the mail that knows the day need stay in the inbox: "
            "archive both.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, f"{project}: deadline")
        found = pilot.read(DUE)
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
        f"Subject: {project} meeting. Text: only day and time, as YYYY-MM-DD HH:MM.",
        indirect=(
            f"My {one['role']} does not know when they next meet about {project}, and my {two['role']} should be able "
            f"to read along (Cc). Subject: {project} meeting. Text: only day and time, as YYYY-MM-DD HH:MM.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        when = re.findall(r"is on (\S+) at (\S+) in", pilot.text)[0]
        yield from find_contact(pilot, one["role"])
        to = first_address(pilot)
        yield from find_contact(pilot, two["role"])
        cc = first_address(pilot)
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
    letters = [forwarded(draw, each, who["email"]) for each in theirs]
    goals, allowed = together(write(draw, *letters), change("archived", theirs, folder="Archive"))
    prompt = draw.say(
        f"Forward each of the invoices from {mail['sender']} in my inbox to my {who['role']}, one by one, and archive "
        "them all.",
        f"My {who['role']} wants every invoice of {mail['sender']} that is in the inbox: forward each, then archive "
        "each.",
        indirect=(
            f"My {who['role']} does the books for {mail['sender']} from now on: let them have each invoice of theirs "
            "from the inbox as it came, mail by mail, and archive what is passed on.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, who["role"])
        address = first_address(pilot)
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
        days[mail["id"]] = due_day(deadline_mail(draw, project_of(mail)))
    if any(mail["starred"] for mail in asked):
        return None
    letters = [reply_to(mail, days[mail["id"]]) for mail in asked]
    goals, allowed = together(write(draw, *letters), change("starred", asked, starred=1))
    names = ", ".join(project_of(mail) for mail in asked)
    prompt = draw.say(
        f"I was asked until when parts of {names} can be handed in. Reply to each of the three mails with the right "
        "deadline, which was sent around by mail (only the date, as YYYY-MM-DD), and star the three questions.",
        indirect=(
            f"Three colleagues, of {names}, do not know how much time they have, though it was sent around. Answer "
            "each question with the right day (only the date, as YYYY-MM-DD), and give the three questions a star.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        for mail in asked:
            project = project_of(mail)
            yield from open_mail(pilot, f"{project}: deadline")
            found = pilot.read(DUE)
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
    letters = [forwarded(draw, each, heir["email"]) for each in kept]
    label = f"{project} done"
    text = f"{heir['name']} looks after {project} now."
    made = Goal("the label is made", "SELECT count(*) FROM label WHERE name = ?", (label,))
    may_make = Allowed("label", "name = ?", ops=("insert",), params=(label,))
    is_set = "name = 'auto_reply' AND value = ?"
    away = Goal("automatic reply", f"SELECT count(*) FROM setting WHERE {is_set}", (text,))
    may_set = Allowed("setting", is_set, ("value",), ("update",), params=(text,))
    goals, allowed = together(
        write(draw, *letters),
        add_label(label, kept),
        ((made,), (may_make,)),
        ((away,), (may_set,)),
    )
    prompt = draw.say(
        f"{heir['name']} takes over {project}. Forward the mails with its deadline and its door code to "
        f"{heir['name']}; make a label “{label}” and put it on both of these mails; and set the automatic reply to: "
        f"{text}",
        indirect=(
            f"{project} is no longer mine but that of my {heir['role']}, who needs two mails from me as they came: by "
            f"when it is due, and how the door opens. Both should be found under the new label “{label}”. Whoever "
            f"writes to me shall read at once: {text}",
        ),
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
        change("deleted", old, folder="Trash"),
        add_label("Receipts", bills),
        change("back in the inbox", [ham], folder="Inbox"),
    )
    prompt = draw.say(
        f"Please tidy up: delete the issues of {senders[0]} and {senders[1]} from before {day}, put the label Receipts "
        f"on all invoices from {firm}, and move the mail from {ham['sender']} that landed among spam by mistake to the "
        "inbox.",
        indirect=(
            f"My mailbox is a mess. What {senders[0]} and {senders[1]} sent before {day} can go; all that {firm} "
            f"billed should be found under Receipts; and {ham['sender']} is no spammer, though one mail of theirs is "
            "treated so.",
        ),
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
