"""Tasks of the inbox that keep it in order: stars, labels, folders, newsletters, contacts, rules, settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from thinkact.envs.web import hints
from thinkact.envs.web.goals import together
from thinkact.envs.web.inbox_goals import (
    a_mail,
    add_label,
    any_mail,
    change,
    find,
    lines,
    mails,
    named,
    open_mail,
    project_of,
    quick,
    tick,
)
from thinkact.envs.web.inbox_words import LABELS
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template

#: What can be done to one mail: button, values, and how a person asks for it, twice directly and once not.
_DEEDS: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "star": ("Star", {"starred": 1}, "Star {}.", "Put a star on {}.",
             "When I look for starred mails, I want {} to be among them."),
    "archive": ("Archive", {"folder": "Archive"}, "Archive {}.", "Move {} to the archive.",
                "The inbox is for what is still to be done, and I am done with {}. Keep it where such mail is kept."),
    "delete": ("Delete", {"folder": "Trash"}, "Delete {}.", "Throw {} away.",
               "I never want to see {} again; it can lie in the trash until that is emptied."),
    "spam": ("Report spam", {"folder": "Spam"}, "Report {} as spam.", "Treat {} as spam.",
             "I never asked for {}. The mailbox should learn what I think of such mail."),
}  # fmt: skip


def _one(draw: Draw, deed: str, where: str = "1") -> WebTask | None:
    mail = any_mail(draw, where)
    if mail is None:
        return None
    button, values, short, long, indirect = _DEEDS[deed]
    goals, allowed = change(button.lower(), [mail], **values)

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"], mail["sender"])
        yield from pilot.click("button", button)
        yield from pilot.done()

    said = draw.say(short, long, indirect=(indirect,))
    return WebTask(said.format(hints.mail(draw, mail) if said == indirect else named(mail)), solve, goals, allowed)


@template("inbox/star", app="inbox", level=0)
def star(draw: Draw) -> WebTask | None:
    """Star a mail."""
    return _one(draw, "star", "starred = 0")


@template("inbox/archive", app="inbox", level=0)
def archive(draw: Draw) -> WebTask | None:
    """Archive a mail."""
    return _one(draw, "archive")


@template("inbox/delete", app="inbox", level=0)
def delete(draw: Draw) -> WebTask | None:
    """Delete a mail."""
    return _one(draw, "delete")


@template("inbox/report-spam", app="inbox", level=0)
def report_spam(draw: Draw) -> WebTask | None:
    """Report a mail as spam."""
    return _one(draw, "spam", "kind = 'newsletter'")


@template("inbox/not-spam", app="inbox", level=0)
def not_spam(draw: Draw) -> WebTask | None:
    """A mail that landed among spam by mistake."""
    mail = draw.pick("SELECT * FROM mail WHERE kind = 'ham' ORDER BY id")
    assert mail is not None
    goals, allowed = change("back in the inbox", [mail], folder="Inbox")
    prompt = draw.say(
        f"A mail from {mail['sender']} landed in the spam folder by mistake. Move it to the inbox.",
        f"{mail['sender']} wrote to me about keys, but the mail is among spam. Get it back into the inbox.",
        indirect=(
            f"{mail['sender']} is sure to have written to me about keys, and no spammer. Why do I not find that mail "
            "with the others? Set it right.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Spam")
        yield from pilot.click("link", mail["subject"])
        yield from pilot.click("button", "Move to Inbox")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/label-one", app="inbox", level=1)
def label_one(draw: Draw) -> WebTask | None:
    """Label a mail."""
    mail, label = any_mail(draw, "kind NOT IN ('invoice')"), draw.rng.choice(LABELS)
    if mail is None:
        return None
    goals, allowed = add_label(label, [mail])
    prompt = draw.say(
        f"Label {named(mail)} “{label}”.",
        f"Add the label {label} to {named(mail)}.",
        indirect=(f"I should find {hints.mail(draw, mail)} whenever I look under “{label}”; now I do not.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"], mail["sender"])
        yield from pilot.select("Label", label)
        yield from pilot.click("button", "Add label")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/read-all-from", app="inbox", level=1)
def read_all_from(draw: Draw) -> WebTask | None:
    """Mark everything unread from somebody as read."""
    senders = draw.rows(
        "SELECT sender FROM mail WHERE folder = 'Inbox' AND read = 0 GROUP BY sender HAVING count(*) > 1 ORDER BY 1"
    )
    if not senders:
        return None
    sender = draw.rng.choice(senders)[0]
    wanted = draw.rows("SELECT * FROM mail WHERE folder = 'Inbox' AND read = 0 AND sender = ? ORDER BY id", sender)
    goals, allowed = change("read", wanted, read=1)
    prompt = draw.say(
        f"Mark all unread mails from {sender} as read.",
        f"I have seen what {sender} wrote: mark it all as read.",
        indirect=(f"Nothing that {sender} wrote is new to me. My mailbox should not count it as if it were.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, sender=sender, unread=True)
        yield from tick(pilot, *[line for line in lines(pilot) if line.who == sender])
        yield from pilot.click("button", "Mark as read")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/old-newsletters", app="inbox", level=1)
def old_newsletters(draw: Draw) -> WebTask | None:
    """Delete the issues of a newsletter from before a day."""
    name = draw.rng.choice(sorted({mail["sender"] for mail in mails(draw, "newsletter")}))
    day = (draw.now - timedelta(days=draw.rng.randint(20, 70))).date().isoformat()
    old = mails(draw, "newsletter", "sender = ? AND sent < ?", name, day)
    if len(old) < 1 or len(old) == len(mails(draw, "newsletter", "sender = ?", name)):
        return None
    goals, allowed = change("deleted", old, folder="Trash")
    prompt = draw.say(
        f"Delete every issue of {name} that was sent before {day}, and no other.",
        f"Throw away the issues of {name} from before {day}; I want to keep the later ones.",
        indirect=(
            f"I shall never open the issues of {name} from the time before {day} again; they only take up room. The "
            "later ones I still want.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, sender=name, before=day)
        yield from tick(pilot, *lines(pilot))
        yield from pilot.click("button", "Delete")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/all-newsletters", app="inbox", level=2)
def all_newsletters(draw: Draw) -> WebTask | None:
    """Archive the newsletters of all senders from before a day."""
    day = (draw.now - timedelta(days=draw.rng.randint(25, 60))).date().isoformat()
    senders = sorted({mail["sender"] for mail in mails(draw, "newsletter")})
    old = mails(draw, "newsletter", "sent < ?", day)
    deed = draw.rng.choice(("archive", "delete"))
    button, values, *_ = _DEEDS[deed]
    goals, allowed = change(button.lower(), old, **values)
    listed = f"{', '.join(senders[:-1])} and {senders[-1]}"
    prompt = draw.say(
        f"{button} every newsletter (those of {listed}) that was sent before {day}.",
        f"My newsletters come from {listed}. {button} all their issues from before {day} and keep the later ones.",
        indirect=(
            f"What {listed} sent before {day} is old news. {button} it, all of it, and leave the later issues where "
            "they are.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        for sender in senders:
            yield from find(pilot, sender=sender, before=day)
            yield from tick(pilot, *lines(pilot))
            yield from pilot.click("button", button)
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/label-invoices", app="inbox", level=1)
def label_invoices(draw: Draw) -> WebTask | None:
    """Label the invoices of a firm that are not labelled yet."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    firm = mail["sender"]
    bare = mails(draw, "invoice", "sender = ? AND id NOT IN (SELECT mail_id FROM mail_label)", firm)
    goals, allowed = add_label("Invoices", bare)
    if not goals:
        return None
    prompt = draw.say(
        f"Every invoice from {firm} shall carry the label Invoices. Label those that do not yet.",
        f"Some invoices from {firm} lack the label Invoices. Add it where it is missing.",
        indirect=(
            f"When I look under Invoices, some of what {firm} billed me for is missing. It should all be there.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, sender=firm)
        yield from tick(pilot, *[line for line in lines(pilot) if "Invoices" not in line.labels])
        yield from pilot.select("Label", "Invoices")
        yield from pilot.click("button", "Add label")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/new-label", app="inbox", level=2)
def new_label(draw: Draw) -> WebTask | None:
    """Make a label for a project and put it on the mails about it."""
    mail = a_mail(draw, "meeting")
    assert mail is not None
    project = project_of(mail)
    about = draw.rows("SELECT * FROM mail WHERE folder = 'Inbox' AND instr(subject, ?) ORDER BY id", project)
    goals, allowed = add_label(project, about)
    made = Goal("the label is made", "SELECT count(*) FROM label WHERE name = ?", (project,), weight=2.0)
    prompt = draw.say(
        f"Make a label “{project}” and put it on every mail in the inbox that has {project} in its subject.",
        f"I want one label for all that is about {project}: make it, named like the project, and add it to each mail "
        f"in the inbox whose subject mentions {project}.",
        indirect=(
            f"All that the inbox has with {project} in the subject should be found under one label, which does not "
            f"exist yet; let it be called “{project}”.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Labels")
        yield from pilot.fill("textbox", "New label", project)
        yield from pilot.click("button", "Make label")
        yield from find(pilot, project, folder="Inbox")
        yield from tick(pilot, *[line for line in lines(pilot) if project in line.subject])
        yield from pilot.select("Label", project)
        yield from pilot.click("button", "Add label")
        yield from pilot.done()

    may = Allowed("label", "name = ?", ops=("insert",), params=(project,))
    return WebTask(prompt, solve, (made, *goals), (*allowed, may))


@template("inbox/unstar-all", app="inbox", level=2)
def unstar_all(draw: Draw) -> WebTask | None:
    """Take the star off every mail but one."""
    starred = draw.rows("SELECT * FROM mail WHERE folder = 'Inbox' AND starred = 1 ORDER BY id")
    if not 3 <= len(starred) <= 8:
        return None
    kept = draw.rng.choice(starred)
    rest = [mail for mail in starred if mail["id"] != kept["id"]]
    goals, allowed = change("star removed", rest, starred=0)
    prompt = draw.say(
        f"Remove the star from all my mails except {named(kept)}.",
        f"Only {named(kept)} shall stay starred. Take the star off all the others.",
        indirect=(f"Too much bears a star. Of all of it only {hints.mail(draw, kept)} still matters to me.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, starred=True)
        yield from tick(
            pilot, *[line for line in lines(pilot) if (line.subject, line.who) != (kept["subject"], kept["sender"])]
        )
        yield from pilot.click("button", "Remove star")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)


@template("inbox/star-and-archive", app="inbox", level=2)
def star_and_archive(draw: Draw) -> WebTask | None:
    """Different things for different mails of one project."""
    mail = a_mail(draw, "meeting")
    assert mail is not None
    project = project_of(mail)
    found = {
        each["kind"]: each for each in draw.rows("SELECT * FROM mail WHERE instr(subject, ?) ORDER BY id", project)
    }
    label = draw.rng.choice(("Urgent", "Projects"))
    if found["deadline"]["starred"]:
        return None
    goals, allowed = together(
        change("deadline starred", [found["deadline"]], starred=1),
        change("door code archived", [found["code"]], folder="Archive"),
        add_label(label, [found["request"]]),
    )
    prompt = draw.say(
        f"For the project {project}: star the mail about the deadline, archive the one with the door code and label "
        f"the one that asks me for a document “{label}”.",
        f"Tidy up {project}. The deadline mail gets a star, the mail with the door code goes to the archive, and the "
        f"request for a document gets the label {label}.",
        indirect=(
            f"About {project}: I must not overlook by when it is due, so that mail gets a star; I know the code by "
            "heart, so that mail can leave the inbox for the archive; and what is wanted from me should be found under "
            f"“{label}”.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, f"{project}: deadline")
        yield from pilot.click("button", "Star")
        yield from open_mail(pilot, f"{project}: door code")
        yield from pilot.click("button", "Archive")
        yield from quick(pilot, f"of {project}? Thanks!")
        yield from tick(pilot, lines(pilot)[0])
        yield from pilot.select("Label", label)
        yield from pilot.click("button", "Add label")
        yield from pilot.done()

    return WebTask(prompt, solve, goals, allowed)
