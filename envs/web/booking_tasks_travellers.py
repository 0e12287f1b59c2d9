"""Tasks of Booking about the saved travellers."""

from __future__ import annotations

from thinkact.envs.answers import Answer
from thinkact.envs.web.booking_goals import (
    in_words,
    row_goal,
)
from thinkact.envs.web.goals import added, removed
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.tasks import Draw, WebTask, template


@template("booking/remove-traveller", app="booking", level=0)
def remove_traveller(draw: Draw) -> WebTask | None:
    """Remove a saved traveller, named by one fact."""
    who = draw.pick("SELECT * FROM traveller ORDER BY id")
    assert who is not None
    fact, pattern = draw.rng.choice((
        (f"whose passport is {who['passport']}", rf'"([^"\n]+)" *\| *[\d-]+ *\| *{who["passport"]}'),
        (f"who was born on {in_words(who['born'])}", rf'"([^"\n]+)" *\| *{who["born"]}'),
    ))  # fmt: skip
    prompt = draw.say(
        f"Remove the saved traveller {fact}.",
        f"The traveller {fact} does not fly with us any more. Take them off the saved travellers.",
        indirect=(f"We do not travel any more with the one {fact}, and need not keep their passport.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Travellers")
        yield from pilot.click("button", f"Remove {pilot.read(pattern)}")
        yield from pilot.done()

    return WebTask(prompt, solve, *removed("the traveller is removed", "traveller", who["id"]))


@template("booking/new-traveller", app="booking", level=1)
def new_traveller(draw: Draw) -> WebTask | None:
    """Save a traveller."""
    first, last = (
        draw.rng.choice(("Nora", "Emil", "Lucia", "Otto")),
        draw.rng.choice(("Falk", "Marin", "Sorensen", "Blau")),
    )
    born = f"{draw.rng.randint(1960, 2001)}-{draw.rng.randint(1, 12):02d}-{draw.rng.randint(1, 28):02d}"
    person = (first, last, born, f"L{draw.rng.randrange(10**7, 10**8)}")
    prompt = draw.say(
        f"Save a new traveller: {first} {last}, born {born}, passport {person[3]}.",
        f"{first} {last} will fly with us more often (date of birth {in_words(born)}, passport number {person[3]}). "
        "Save them as a traveller.",
        indirect=(f"I do not want to type this every time: {first} {last}, born {born}, passport {person[3]}.",),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Travellers")
        yield from pilot.click("link", "Add a traveller")
        for label, text in zip(("First name", "Last name", "Date of birth", "Passport number"), person, strict=True):
            yield from pilot.fill("textbox", label, text)
        yield from pilot.click("button", "Save traveller")
        yield from pilot.done()

    saved = added("the traveller is saved", "traveller", first=first, last=last, born=born, passport=person[3])
    return WebTask(prompt, solve, *saved)


@template("booking/new-passport", app="booking", level=1)
def new_passport(draw: Draw) -> WebTask | None:
    """Change a saved passport, and that of nobody else."""
    who = draw.pick("SELECT * FROM traveller ORDER BY id")
    assert who is not None
    passport = f"X{draw.rng.randrange(10**7, 10**8)}"
    goal, allowed = row_goal("the passport is saved", "traveller", who["id"], passport=passport)
    name = f"{who['first']} {who['last']}"
    prompt = draw.say(
        f"{name} has a new passport: {passport}. Update the saved traveller.",
        f"Change the passport number of the saved traveller {name} to {passport}. Trips already booked stay as they "
        "are.",
        indirect=(
            f"{name} will be turned away at the border with the passport that the site knows; the valid one is "
            f"{passport}. What is booked already is settled otherwise.",
        ),
    )

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Travellers")
        yield from pilot.click("link", name)
        yield from pilot.fill("textbox", "Passport number", passport)
        yield from pilot.click("button", "Save traveller")
        yield from pilot.done()

    return WebTask(prompt, solve, (goal,), (allowed,))


@template("booking/traveller-fact", app="booking", level=0)
def traveller_fact(draw: Draw) -> WebTask | None:
    """What is saved about a traveller, or who is the oldest."""
    saved = draw.rows("SELECT * FROM traveller ORDER BY id")
    who = draw.rng.choice(saved)
    name = f"{who['first']} {who['last']}"
    oldest = min(saved, key=lambda each: each["born"])
    kind = draw.rng.choice(("passport", "born", "oldest"))
    plain, vague, answer = {
        "passport": (
            f"What is the passport number of the saved traveller {name}?",
            f"The border police want to know who {name} is, before we travel. Which number do I give them?",
            Answer("literal", who["passport"]),
        ),
        "born": (
            f"When was the saved traveller {name} born? Answer as YYYY-MM-DD.",
            f"From which day (YYYY-MM-DD) on can the age of the saved traveller {name} be counted?",
            Answer("date", who["born"]),
        ),
        "oldest": (
            f"Who is the oldest of my saved travellers? One of them is {name}.",
            f"Of {name} and all others that I have saved, somebody has had more birthdays than the rest. Who?",
            Answer("name", f"{oldest['first']} {oldest['last']}"),
        ),
    }[kind]
    prompt = draw.say(plain, indirect=(vague,))

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Travellers")
        lines = {name: (born, passport) for name, born, passport in
                 pilot.read_all(r'"([^"\n]+)" *\| *(\d{4}-\d\d-\d\d) *\| *([A-Z]\d{8})')}  # fmt: skip
        found = min(lines, key=lambda each: lines[each][0])
        yield from pilot.answer({"passport": lines[name][1], "born": lines[name][0], "oldest": found}[kind])

    return WebTask(prompt, solve, answer=answer)
