"""Tasks of the inbox that end in an answer, or in the finding that it cannot be done."""

from __future__ import annotations

import re

from thinkact.envs.answers import Answer
from thinkact.envs.web import hints
from thinkact.envs.web.inbox_goals import (
    DUE,
    a_contact,
    a_mail,
    due_day,
    find,
    find_contact,
    lines,
    mails,
    named,
    open_line,
    open_mail,
    project_of,
    quick,
)
from thinkact.envs.web.inbox_words import NEWSLETTERS, PROJECTS
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


@template("inbox/door-code", app="inbox", level=0)
def door_code(draw: Draw) -> WebTask | None:
    """A code that is in one mail."""
    mail = a_mail(draw, "code")
    assert mail is not None
    project = project_of(mail)
    prompt = draw.say(
        f"What is the door code for {project}?",
        f"I am standing outside: which code opens the door for {project}? It is in one of my mails.",
        indirect=(f"The door is locked and everybody who works on {project} is waiting. What do I type?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.answer(pilot.read(r"door code for [\w ]+ is (\w+)\."))

    return WebTask(prompt, solve, answer=Answer("literal", re.findall(r" is (\w+)\.", mail["body"])[0]))


@template("inbox/meeting-fact", app="inbox", level=0)
def meeting_fact(draw: Draw) -> WebTask | None:
    """Day, time or place of a meeting."""
    mail = a_mail(draw, "meeting")
    assert mail is not None
    pattern = r"is on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) in ([^.\n]+)\."
    facts = re.findall(pattern, mail["body"])[0]
    number = draw.rng.randrange(3)
    ask = ("On which day is", "At what time is", "Where is")[number]
    answer = (Answer("date", facts[0]), Answer("time", facts[1]), Answer("name", facts[2]))[number]
    project = project_of(mail)
    prompt = draw.say(
        f"{ask} the next meeting about {project}?",
        f"{ask} the next {project} meeting, according to my mail?",
        indirect=(f"People on {project} will sit together soon, and I have not noted it. {ask} that?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        yield from pilot.answer(re.findall(pattern, pilot.text)[0][number])

    return WebTask(prompt, solve, answer=answer)


@template("inbox/invoice-amount", app="inbox", level=1)
def invoice_amount(draw: Draw) -> WebTask | None:
    """Amount or due day of the latest or first invoice of a firm: they are in the attached file."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    theirs = mails(draw, "invoice", "sender = ?", mail["sender"])
    number = draw.rng.choice((0, -1))
    text = draw.rows(
        "SELECT text FROM file JOIN attachment ON file.id = file_id WHERE mail_id = ?", theirs[number]["id"]
    )[0][0]
    what, pattern = draw.rng.choice((("total", r"Total: EUR (\d+)"), ("due", r"Due: (\S+)")))
    gold = re.findall(pattern, text)[0]
    which, last = ("latest", "last") if number == -1 else ("first", "first")
    prompt = {
        "total": draw.say(
            f"How much is the {which} invoice from {mail['sender']} in my inbox, in EUR?",
            indirect=(f"{mail['sender']} bills me often. What was I asked to pay the {last} time, in EUR?",),
        ),
        "due": draw.say(
            f"By which day must the {which} invoice from {mail['sender']} in my inbox be paid?",
            indirect=(f"{mail['sender']} bills me often. Until when can I pay what they asked for the {last} time?",),
        ),
    }[what]

    def solve(pilot: Pilot) -> Moves:
        yield from find(pilot, "Invoice", sender=mail["sender"])
        ordered = sorted(lines(pilot), key=lambda line: line.sent)
        yield from open_line(pilot, ordered[number])
        yield from pilot.click("link", "invoice-")
        yield from pilot.answer(pilot.read(pattern))

    answer = Answer("number", gold, unit="EUR") if what == "total" else Answer("date", gold)
    return WebTask(prompt, solve, answer=answer)


@template("inbox/invoice-sum", app="inbox", level=2)
def invoice_sum(draw: Draw) -> WebTask | None:
    """The sum of all invoices of a firm."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    firm = mail["sender"]
    texts = draw.rows(
        "SELECT text FROM file JOIN attachment ON file.id = file_id JOIN mail ON mail.id = mail_id WHERE sender = ? "
        "ORDER BY file.id",
        firm,
    )
    total = sum(int(re.findall(r"EUR (\d+)", each["text"])[0]) for each in texts)
    prompt = draw.say(
        f"What do the invoices from {firm} in my inbox come to in all, in EUR?",
        f"Add up every invoice that {firm} has sent me (they are all in the inbox). Answer in EUR.",
        indirect=(f"If I pay {firm} all that they ask of me in my inbox, how many EUR will be gone?",),
    )

    def solve(pilot: Pilot) -> Moves:
        amounts = []
        for number in range(len(texts)):
            yield from find(pilot, "Invoice", sender=firm)
            yield from open_line(pilot, lines(pilot)[number])
            yield from pilot.click("link", "invoice-")
            amounts.append(int(pilot.read(r"Total: EUR (\d+)")))
        yield from pilot.answer(str(sum(amounts)))

    return WebTask(prompt, solve, answer=Answer("number", str(total), unit="EUR"))


@template("inbox/phone", app="inbox", level=0)
def phone(draw: Draw) -> WebTask | None:
    """Something about a contact."""
    who = a_contact(draw)
    number = draw.rng.randrange(3)
    prompt = draw.say(
        (
            f"What is {who['name']}'s phone number?",
            f"Which of my contacts is the {who['role']}? Answer with the full name.",
            f"To whom does the phone number {who['phone']} belong? Answer with the full name.",
        )[number],
        indirect=(
            (
                f"I have to speak to my {who['role']} at once. What do I dial?",
                f"Whom do I mean when I speak of my {who['role']}? Answer with the full name.",
                f"Somebody called from {who['phone']} and said nothing. Who? Answer with the full name.",
            )[number],
        ),
    )
    answer = Answer("literal", who["phone"]) if number == 0 else Answer("name", who["name"])

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, (who["name"], who["role"], who["phone"])[number])
        name, called = pilot.read_all(r'"([^"\n]+)" *\| *[^|\n]+@[^|\n]+\| *[^|\n]+\| *(\+[\d ]+)')[0]
        yield from pilot.answer(called.strip() if number == 0 else name)

    return WebTask(prompt, solve, answer=answer)


@template("inbox/unread-count", app="inbox", level=0)
def unread_count(draw: Draw) -> WebTask | None:
    """How many unread or starred mails there are from somebody or in all."""
    what = draw.rng.choice(("unread", "starred"))
    column = {"unread": "read = 0", "starred": "starred = 1"}[what]
    sender = draw.rng.choice(
        [each[0] for each in draw.rows("SELECT DISTINCT sender FROM mail WHERE folder = 'Inbox' ORDER BY 1")]
    )
    count = draw.rows(f"SELECT count(*) FROM mail WHERE folder = 'Inbox' AND sender = ? AND {column}", sender)[0][0]
    if not count:
        return None
    prompt = draw.say(
        f"How many {what} mails from {sender} are in my inbox?",
        f"Count the {what} mails from {sender} in the inbox.",
        indirect=(f"Of what {sender} sent me and still lies in the inbox, how much is {what}? A number will do.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from quick(pilot, sender)
        mine = [line for line in lines(pilot) if line.who == sender and getattr(line, what)]
        yield from pilot.answer(str(len(mine)))

    return WebTask(prompt, solve, answer=Answer("number", str(count)))


@template("inbox/who-asked", app="inbox", level=0)
def who_asked(draw: Draw) -> WebTask | None:
    """Who wants something."""
    kind, words = draw.rng.choice(
        (("request", "could you send me the latest"), ("question", "until when can I hand in"))
    )
    mail = a_mail(draw, kind)
    assert mail is not None
    project = project_of(mail)
    prompt = {
        "request": draw.say(
            f"Who asked me by mail for a document of {project}?",
            indirect=(f"There is somebody who cannot work on {project} without a paper of mine. Who?",),
        ),
        "question": draw.say(
            f"Who wants to know until when parts of {project} can be handed in?",
            indirect=(f"There is somebody who does not know how much time is left for their part of {project}. Who?",),
        ),
    }[kind]

    def solve(pilot: Pilot) -> Moves:
        yield from quick(pilot, words)
        line = next(line for line in lines(pilot) if project in line.subject)
        yield from pilot.answer(line.who)

    return WebTask(prompt, solve, answer=Answer("name", mail["sender"]))


@template("inbox/deadline-count", app="inbox", level=1)
def deadline_count(draw: Draw) -> WebTask | None:
    """The first of several deadlines."""
    found = mails(draw, "deadline")
    days = {project_of(mail): due_day(mail) for mail in found}
    chosen = draw.some(sorted(days), 2)
    first = min(chosen, key=lambda each: days[each])
    if len({days[each] for each in chosen}) < len(chosen):
        return None
    listed = " and ".join(chosen)
    prompt = draw.say(
        f"For {listed}, deadlines were sent around by mail. Which of them is earlier? Answer with its date as "
        "YYYY-MM-DD.",
        f"When is the earlier of the deadlines of {listed}? Look into the mails and answer with the day.",
        indirect=(
            f"I can only finish one of {listed} in time, and take the one that is due first. By which day "
            "(YYYY-MM-DD)?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        read = []
        for project in chosen:
            yield from open_mail(pilot, f"{project}: deadline")
            read.append(pilot.read(DUE))
        yield from pilot.answer(min(read))

    return WebTask(prompt, solve, answer=Answer("date", days[first]))


@template("inbox/file-fact", app="inbox", level=0)
def file_fact(draw: Draw) -> WebTask | None:
    """What the latest version of a file says."""
    file = draw.pick("SELECT * FROM file WHERE name LIKE '%-v2.pdf' ORDER BY name")
    assert file is not None
    what = re.findall(r"^(.+), version 2\. Copies: (\d+)\.", file["text"])[0]
    prompt = draw.say(
        f"How many copies does the latest version of this file of mine speak of: {what[0].lower()}?",
        f"I keep a file, the {what[0].lower()}, in several versions. How many copies does the newest one mention?",
        indirect=(f"I have to print the {what[0].lower()}, as it stands now and not as it was. How many of it?",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Files")
        yield from pilot.click("link", file["name"])
        yield from pilot.answer(pilot.read(r"Copies: (\d+)"))

    return WebTask(prompt, solve, answer=Answer("number", what[1]))


@template("inbox/reply-sender", app="inbox", level=1)
def reply_sender(draw: Draw) -> WebTask | None:
    """Phone number of whoever wrote a mail."""
    only = "(SELECT count(*) FROM mail o WHERE o.subject = mail.subject) = 1 AND sender IN (SELECT name FROM contact)"
    mail = draw.pick(f"SELECT * FROM mail WHERE folder = 'Inbox' AND {only} ORDER BY id")
    if mail is None:
        return None
    number = draw.rows("SELECT phone FROM contact WHERE email = ?", mail["address"])[0][0]
    prompt = draw.say(
        f"What phone number do my contacts have for the sender of the mail “{mail['subject']}”?",
        f"I want to call whoever sent “{mail['subject']}”. Which number stands in my contacts?",
        indirect=(
            f"I would rather talk than write to the person behind {hints.mail(draw, mail)}. What do I dial, by my "
            "contacts?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from open_mail(pilot, mail["subject"])
        sender = pilot.read(r"^From: [^(\n]+ \(([^)\n]+)\)")
        yield from find_contact(pilot, sender)
        yield from pilot.answer(pilot.read(r"\| *(\+[\d ]+\d)"))

    return WebTask(prompt, solve, answer=Answer("literal", number))


@template("inbox/nothing-like-it", app="inbox", level=0, infeasible=True)
def nothing_like_it(draw: Draw) -> WebTask | None:
    """A mail that is not there."""
    there = {project_of(mail) for mail in mails(draw, "meeting")}
    project = draw.rng.choice([each for each in PROJECTS if each not in there])
    prompt = draw.say(
        f"Forward the mail with the door code for {project} to {a_contact(draw)['name']}.",
        f"What is the door code for {project}, according to my mail?",
        f"Star the mail about the next meeting of {project}.",
        indirect=(
            f"Everybody who works on {project} is waiting outside, and one mail of mine has the code of the door. What "
            "do I type?",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from quick(pilot, project)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)


@template("inbox/no-such-contact", app="inbox", level=0, infeasible=True)
def no_such_contact(draw: Draw) -> WebTask | None:
    """Somebody whose address is nowhere."""
    mail = a_mail(draw, "invoice")
    assert mail is not None
    role = draw.rng.choice(("dentist", "beekeeper", "piano tuner", "tax inspector", "gardener"))
    prompt = draw.say(
        f"Forward {named(mail)} to my {role}.",
        f"Please send {named(mail)} on to the {role} in my contacts.",
        indirect=(f"My {role} should see {hints.mail(draw, mail)} as it came.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from find_contact(pilot, role)
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)


@template("inbox/no-such-rule", app="inbox", level=0, infeasible=True)
def no_such_rule(draw: Draw) -> WebTask | None:
    """A rule that is not there cannot be deleted."""
    there = {each["contains"] for each in draw.rows("SELECT contains FROM rule")}
    name = draw.rng.choice([each for each in NEWSLETTERS if each not in there])
    prompt = draw.say(
        f"Delete the rule for mail from {name} that I made some time ago.",
        f"I no longer want {name} to be sorted by a rule. Delete that rule, and no other.",
        indirect=(f"Mail from {name} shall come in like any other again: I once told the mailbox otherwise.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Rules")
        assert not pilot.shows(f"| {name}"), "a rule about it is there"
        yield from pilot.impossible()

    return WebTask(prompt, solve, infeasible=True)
