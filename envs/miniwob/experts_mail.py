"""Experts for tasks of mail and of posts."""

from __future__ import annotations

import re

from thinkact.envs.miniwob.reading import Hand, Turns
from thinkact.envs.miniwob.scripts import script


def _reply(hand: Hand, text: str) -> Turns:
    yield from hand.click("Reply")
    yield from hand.fill(hand.page.one("textbox"), text)
    yield from hand.click("send reply", "button")


def _forward(hand: Hand, receiver: str) -> Turns:
    yield from hand.click("Forward")
    yield from hand.fill(hand.page.one("textbox"), receiver)
    yield from hand.click("send forward", "button")


def _mark(hand: Hand, sender: str, what: str) -> Turns:
    yield from hand.click(hand.page.after(f'"{sender}"', "button", lambda name: name.startswith(what)))


@script(
    "email-inbox",
    "email-inbox-noscroll",
    "email-inbox-delete",
    "email-inbox-important",
    "email-inbox-reply",
    "email-inbox-forward",
    "email-inbox-star-reply",
)
def email(hand: Hand) -> Turns:
    """Do one thing to the mail of one sender."""
    (sender,) = hand.found(r"email by (\w+)")
    if "trash" in hand.goal:
        yield from _mark(hand, sender, "trash")
    elif "star icon" in hand.goal:
        yield from _mark(hand, sender, "star")
    elif "reply" in hand.goal:
        yield from hand.click(sender)
        yield from _reply(hand, hand.quoted()[0])
    else:
        yield from hand.click(sender)
        yield from _forward(hand, hand.found(r"forward that email to (\w+)")[0])


@script("email-inbox-forward-nl")
def email_forward_worded(hand: Hand) -> Turns:
    """Forward a mail, as asked for in one of many ways."""
    names = re.findall(r"\b[A-Z][\w-]*\b", hand.goal)
    senders = [name for name in names if hand.page.all("", name)]
    # Of two that both have written, the one after "by" or "from", or the one who "sent", is the sender.
    said = re.search(r"(?:by|from) (\w[\w-]*)|(\w[\w-]*) (?:sent|wants his)", hand.goal)
    sender = senders[0] if len(senders) == 1 or said is None else str(said[1] or said[2])
    known = [name for name in names if name != sender and not re.search(rf"^{name}\b(?! is| wants)", hand.goal)]
    yield from hand.click(sender)
    yield from _forward(hand, known[-1])


def _post_of(hand: Hand, user: str, control: str) -> list[str]:
    """Return the refs of a control on every post of a user."""
    refs = []
    author = ""
    controls = {each.line: each for each in hand.page.all("button")}
    for number, line in enumerate(hand.page.lines):
        if found := re.search(r"(@[\w.]+)", line):
            author = found[1]
        each = controls.get(number)
        if each is not None and author == user and each.name.split(" ")[0] == control:
            refs.append(each.ref)
    return refs


@script("social-media")
def social_media(hand: Hand) -> Turns:
    """Press a button of one user's post, some of which hide in a menu."""
    (user,) = hand.found(r"For the user (@[\w.]+)")
    action = hand.quoted()[0]
    if action in ("Reply", "Retweet", "Like"):
        yield from hand.call("click", ref=_post_of(hand, user, action.lower())[0])
        return
    yield from hand.call("click", ref=_post_of(hand, user, "more")[0])
    yield from hand.click(hand.page.one("", lambda name: name.startswith(action)))


@script("social-media-all", "social-media-some")
def social_media_many(hand: Hand) -> Turns:
    """Press a button of all, or of some, posts of a user."""
    action, user = hand.quoted()[0].lower(), hand.found(r"by (@[\w.]+)")[0]
    count = re.search(r"on (\d+) posts?", hand.goal)
    for nth in range(int(count[1]) if count else len(_post_of(hand, user, action))):
        yield from hand.call("click", ref=_post_of(hand, user, action)[nth])
    yield from hand.submit()
