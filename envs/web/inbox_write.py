"""The inbox's pages for writing: new mails, replies, forwarding, drafts."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

from thinkact.envs.web.inbox_mail import people
from thinkact.envs.web.inbox_words import OWNER

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[a-z]+", re.IGNORECASE)
_ALONG = "SELECT file.id, name FROM file JOIN attachment ON file.id = file_id WHERE mail_id = ? ORDER BY name"
_FIELDS = ("to", "cc", "subject", "body", "file_1", "file_2", "reply", "forward", "draft")
MAX_BODY = 5000


def compose(web: Web) -> Reply:
    """Show the form: empty, as a reply, as a forward, or with a draft in it."""
    values = dict.fromkeys(_FIELDS, "") | {"to": web.query.get("to", "")}
    for way in ("reply", "reply_all", "forward", "draft"):
        if way in web.query:
            mail = web.need("SELECT * FROM mail WHERE id = ?", web.number(way))
            values |= _prefilled(web, way, mail)
    return _form(web, values, {})


def _prefilled(web: Web, way: str, mail: sqlite3.Row) -> dict[str, str]:
    number = mail["id"]
    if way == "draft":
        attached = web.rows("SELECT file_id FROM attachment WHERE mail_id = ? ORDER BY id", number)
        files = {f"file_{n}": str(each["file_id"]) for n, each in enumerate(attached[:2], 1)}
        return {
            "draft": str(number),
            "to": people(web, number),
            "cc": people(web, number, "cc"),
            "subject": mail["subject"],
            "body": mail["body"],
            "reply": str(mail["reply_to"] or ""),
            "forward": str(mail["forward_of"] or ""),
            **files,
        }
    if way == "forward":
        return {"forward": str(number), "subject": _prefix("Fwd: ", mail["subject"])}
    to, cc = [mail["address"]], list[str]()
    if way == "reply_all":
        others = {mail["address"], OWNER[1]}
        to += [email for email in people(web, number).split(", ") if email and email not in others]
        cc = [email for email in people(web, number, "cc").split(", ") if email and email not in others]
    return {"reply": str(number), "to": ", ".join(to), "cc": ", ".join(cc), "subject": _prefix("Re: ", mail["subject"])}


def _prefix(prefix: str, subject: str) -> str:
    return subject if subject.startswith(prefix) else prefix + subject


def _form(web: Web, values: dict[str, str], errors: dict[str, str]) -> Reply:
    forwarded = web.row("SELECT * FROM mail WHERE id = ?", values["forward"]) if values["forward"] else None
    files = [("", "none"), *((str(each["id"]), each["name"]) for each in web.rows("SELECT * FROM file ORDER BY name"))]
    along = web.rows(_ALONG, forwarded["id"]) if forwarded else []
    return web.render("compose.html", value=values, errors=errors, files=files, forwarded=forwarded, along=along)


def read_addresses(web: Web, text: str) -> tuple[list[str], str]:
    """Read addresses and names of contacts, separated by commas; returns them and what is wrong."""
    found: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        if not _ADDRESS.fullmatch(part):
            named = web.rows("SELECT email FROM contact WHERE lower(name) = ?", part.lower())
            if len(named) != 1:
                return [], f"“{part}” is no address and no name in the contacts."
            part = named[0]["email"]
        if part.lower() not in found:
            found.append(part.lower())
    return found, ""


def post(web: Web) -> Reply:
    """Send a mail or save it as a draft."""
    values = {name: web.text(name, most=MAX_BODY if name == "body" else 500) for name in _FIELDS}
    sending = web.text("what") == "send"
    errors: dict[str, str] = {}
    to, errors["to"] = read_addresses(web, values["to"])
    cc, errors["cc"] = read_addresses(web, values["cc"])
    if sending and not to and not errors["to"]:
        errors["to"] = "Who is it for?"
    if sending and not values["subject"]:
        errors["subject"] = "Enter a subject."
    known = {str(each["id"]) for each in web.rows("SELECT id FROM file")}
    files = list(dict.fromkeys(values[name] for name in ("file_1", "file_2") if values[name]))
    if not known.issuperset(files):
        errors["file_1"] = "There is no such file."
    errors = {name: message for name, message in errors.items() if message}
    sources = [web.row("SELECT * FROM mail WHERE id = ?", values[name]) for name in ("reply", "forward")]
    if errors:
        return _form(web, values, errors)
    number = _save(web, values, sources[0], sources[1], folder="Sent" if sending else "Drafts")
    for kind, emails in (("to", to), ("cc", [email for email in cc if email not in to])):
        for email in emails:
            web.write("INSERT INTO recipient VALUES (NULL, ?, ?, ?)", number, kind, email)
    if sending and sources[1] is not None:
        files += [key for each in web.rows(_ALONG, sources[1]["id"]) if (key := str(each["id"])) not in files]
    for each in files:
        web.write("INSERT INTO attachment VALUES (NULL, ?, ?)", number, int(each))
    return web.redirect("/folder/Sent", "Sent.") if sending else web.redirect("/folder/Drafts", "The draft is saved.")


def _save(
    web: Web, values: dict[str, str], reply: sqlite3.Row | None, forward: sqlite3.Row | None, *, folder: str
) -> int:
    """Write the mail's row, over the draft it was; recipients and attachments come after."""
    now = web.now.isoformat(" ", "minutes")
    draft = web.row("SELECT * FROM mail WHERE id = ? AND folder = 'Drafts'", values["draft"] or 0)
    if draft is not None:
        for table in ("recipient", "attachment"):
            web.write(f"DELETE FROM {table} WHERE mail_id = ?", draft["id"])
        web.write("UPDATE mail SET folder = ?, subject = ?, body = ?, sent = ? WHERE id = ?",
                  folder, values["subject"], values["body"], now, draft["id"])  # fmt: skip
        return int(draft["id"])
    source = reply or forward
    thread = source["thread"] if source else web.value("SELECT max(thread) + 1 FROM mail")
    return web.write(
        "INSERT INTO mail VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, 1, 0, '', ?, ?)",
        thread, folder, *OWNER, values["subject"], values["body"], now,
        reply["id"] if reply else None, forward["id"] if forward else None,
    )  # fmt: skip
