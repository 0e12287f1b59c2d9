"""The inbox's pages of mail: folders, search, one mail with its thread, and what can be done to many at once."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from thinkact.envs.web.inbox_data import FOLDERS

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

PAGE = 15
#: Buttons of a list or mail: what is done to a mail's row.
ACTIONS = {
    "archive": ("Archive", "folder = 'Archive'"),
    "inbox": ("Move to Inbox", "folder = 'Inbox'"),
    "spam": ("Report spam", "folder = 'Spam'"),
    "read": ("Mark as read", "read = 1"),
    "unread": ("Mark as unread", "read = 0"),
    "star": ("Star", "starred = 1"),
    "unstar": ("Remove star", "starred = 0"),
}


def labels_of(web: Web, mail: int) -> list[sqlite3.Row]:
    """Return the labels of a mail."""
    return web.rows(
        "SELECT label.* FROM label JOIN mail_label ON label.id = label_id WHERE mail_id = ? ORDER BY name", mail
    )


def _listed(web: Web, found: list[sqlite3.Row], **values: Any) -> Reply:
    shown = web.paged(found, PAGE)
    lines = [
        (
            mail,
            labels_of(web, mail["id"]),
            web.value("SELECT count(*) FROM attachment WHERE mail_id = ?", mail["id"]),
            people(web, mail["id"]) if mail["folder"] in ("Sent", "Drafts") else mail["sender"],
        )
        for mail in shown.items
    ]
    return web.render(
        "list.html",
        shown=shown,
        lines=lines,
        actions=ACTIONS,
        labels=[(each["name"], each["name"]) for each in web.rows("SELECT name FROM label ORDER BY name")],
        **values,
    )


def people(web: Web, mail: int, kind: str = "to") -> str:
    """Return the addresses of a mail's recipients, separated by commas."""
    found = web.rows("SELECT email FROM recipient WHERE mail_id = ? AND kind = ? ORDER BY id", mail, kind)
    return ", ".join(each["email"] for each in found)


def start(web: Web) -> Reply:
    """Show the inbox."""
    return folder(web, "Inbox")


def folder(web: Web, name: str) -> Reply:
    """List a folder, newest first."""
    if name not in FOLDERS:
        return web.refuse(404, "There is no such folder.")
    found = web.rows("SELECT * FROM mail WHERE folder = ? ORDER BY sent DESC, id DESC", name)
    unread = sum(not mail["read"] for mail in found)
    return _listed(web, found, title=f"{name}: {len(found)} mails, {unread} unread", search=None)


def search(web: Web) -> Reply:
    """Show the form for searching, and what it finds."""
    query = {
        name: web.query.get(name, "").strip()
        for name in ("q", "sender", "label", "folder", "before", "unread", "starred")
    }
    conditions, values = ["1"], list[Any]()
    if query["q"]:
        conditions.append("instr(lower(sender || ' ' || address || ' ' || subject || ' ' || body), ?)")
        values.append(query["q"].lower())
    if query["sender"]:
        conditions.append("instr(lower(sender || ' ' || address), ?)")
        values.append(query["sender"].lower())
    if query["label"]:
        conditions.append("id IN (SELECT mail_id FROM mail_label JOIN label ON label.id = label_id WHERE name = ?)")
        values.append(query["label"])
    # Like elsewhere, what was thrown away is found only where one looks for it.
    conditions.append("folder = ?" if query["folder"] in FOLDERS else "folder NOT IN ('Trash', 'Spam', ?)")
    values.append(query["folder"])
    if query["before"]:
        conditions.append("sent < ?")
        values.append(query["before"])
    conditions += [sql for name, sql in (("unread", "read = 0"), ("starred", "starred = 1")) if query[name]]
    found = web.rows(f"SELECT * FROM mail WHERE {' AND '.join(conditions)} ORDER BY sent DESC, id DESC", *values)
    asked = any(query.values())
    return _listed(
        web,
        found if asked else [],
        title=f"Search: {len(found)} mails" if asked else "Search",
        search=query,
        folders=[("", "any"), *((name, name) for name in FOLDERS)],
    )


def act(web: Web) -> Reply:
    """Do something to the mails that were ticked in a list."""
    ids = web.numbers("shown") if web.text("all") else web.numbers("mail")
    back = web.text("back", most=2000)
    back = back if back.startswith("/") and not back.startswith("//") else "/"
    if not ids:
        return web.redirect(back, "Nothing is selected.")
    return web.redirect(back, _do(web, ids, web.text("what"), web.text("label")))


def _do(web: Web, ids: list[int], what: str, label: str) -> str:
    known = [each for each in ids if web.value("SELECT 1 FROM mail WHERE id = ?", each)]
    count = f"{len(known)} mail{'s' if len(known) != 1 else ''}"
    for each in known:
        if what in ACTIONS:
            web.write(f"UPDATE mail SET {ACTIONS[what][1]} WHERE id = ?", each)
        elif what == "delete":
            _delete(web, each)
        elif what in ("label", "unlabel"):
            number = web.value("SELECT id FROM label WHERE name = ?", label)
            if number is None:
                return "Choose a label."
            if what == "label":
                web.write("INSERT OR IGNORE INTO mail_label VALUES (NULL, ?, ?)", each, number)
            else:
                web.write("DELETE FROM mail_label WHERE mail_id = ? AND label_id = ?", each, number)
    words = {"delete": "deleted", "label": f"labelled {label}", "unlabel": f"no longer labelled {label}"}
    done = words.get(what) or (f"done: {ACTIONS[what][0]}" if what in ACTIONS else "unchanged")
    return f"{count} {done}."


def _delete(web: Web, mail: int) -> None:
    """Move a mail to the trash; from there, remove it for good."""
    if web.value("SELECT folder FROM mail WHERE id = ?", mail) != "Trash":
        web.write("UPDATE mail SET folder = 'Trash' WHERE id = ?", mail)
        return
    for table in ("recipient", "attachment", "mail_label"):
        web.write(f"DELETE FROM {table} WHERE mail_id = ?", mail)
    web.write("DELETE FROM mail WHERE id = ?", mail)


def mail_page(web: Web, id: int) -> Reply:
    """Show a mail."""
    mail = web.need("SELECT * FROM mail WHERE id = ?", id)
    if mail["folder"] == "Drafts":
        return web.redirect(f"/compose?draft={id}")
    original = web.row("SELECT * FROM mail WHERE id = ?", mail["forward_of"] or 0)
    return web.render(
        "mail.html",
        mail=mail,
        to=people(web, id),
        cc=people(web, id, "cc"),
        files=web.rows(
            "SELECT file.* FROM file JOIN attachment ON file.id = file_id WHERE mail_id = ? ORDER BY name", id
        ),
        labels=labels_of(web, id),
        all_labels=[(each["name"], each["name"]) for each in web.rows("SELECT name FROM label ORDER BY name")],
        thread=web.rows("SELECT * FROM mail WHERE thread = ? AND id != ? ORDER BY sent, id", mail["thread"], id),
        original=original,
        actions=_useful(mail),
    )


def _useful(mail: sqlite3.Row) -> dict[str, str]:
    """Return the buttons that would change this mail."""
    idle = {
        "archive": mail["folder"] == "Archive",
        "inbox": mail["folder"] == "Inbox",
        "spam": mail["folder"] == "Spam",
        "read": mail["read"],
        "unread": not mail["read"],
        "star": mail["starred"],
        "unstar": not mail["starred"],
    }
    return {name: words for name, (words, _) in ACTIONS.items() if not idle[name]}


def file_page(web: Web, id: int) -> Reply:
    """Show the text of a file."""
    return web.render("file.html", file=web.need("SELECT * FROM file WHERE id = ?", id))


def files(web: Web) -> Reply:
    """List the account's files."""
    return web.render("files.html", files=web.rows("SELECT * FROM file ORDER BY name"))
