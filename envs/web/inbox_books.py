"""The inbox's other pages: contacts, labels, rules for new mail, settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thinkact.envs.web.inbox_data import FOLDERS

if TYPE_CHECKING:
    from thinkact.envs.web.site import Reply, Web

_CONTACT = ("name", "email", "role", "phone")
RULE_FIELDS = ("from", "subject")


def contacts(web: Web) -> Reply:
    """List the contacts, or those that a word is found in."""
    word = web.query.get("q", "").strip()
    found = web.rows(
        "SELECT * FROM contact WHERE instr(lower(name || ' ' || email || ' ' || role || ' ' || phone), ?) ORDER BY "
        "name, id",
        word.lower(),
    )
    return web.render("contacts.html", contacts=found, q=word)


def contact(web: Web, id: int) -> Reply:
    """Show and save a contact; 0 is a new one."""
    known = web.need("SELECT * FROM contact WHERE id = ?", id) if id else None
    if web.method != "POST":
        value = {name: known[name] if known else web.query.get(name, "") for name in _CONTACT}
        return web.render("contact.html", id=id, value=value, errors={})
    value = {name: web.text(name, most=100) for name in _CONTACT}
    value["email"] = value["email"].lower()
    errors = {}
    if not value["name"]:
        errors["name"] = "Enter a name."
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+\.[a-z]+", value["email"]):
        errors["email"] = "Enter an e-mail address."
    elif web.value("SELECT id FROM contact WHERE email = ? AND id != ?", value["email"], id):
        errors["email"] = "Another contact has this address."
    if value["phone"] and not re.fullmatch(r"\+?[\d ()/-]{5,30}", value["phone"]):
        errors["phone"] = "A phone number is made of digits and spaces."
    if errors:
        return web.render("contact.html", id=id, value=value, errors=errors)
    if known:
        web.write("UPDATE contact SET name = ?, email = ?, role = ?, phone = ? WHERE id = ?", *value.values(), id)
    else:
        web.write("INSERT INTO contact VALUES (NULL, ?, ?, ?, ?)", *value.values())
    return web.redirect("/contacts", f"{value['name']} is saved.")


def delete_contact(web: Web, id: int) -> Reply:
    """Remove a contact."""
    web.write("DELETE FROM contact WHERE id = ?", id)
    return web.redirect("/contacts", "The contact is removed.")


def labels(web: Web) -> Reply:
    """List the labels, and make a new one."""
    name, error = web.text("name", most=40), ""
    if web.method == "POST":
        if not re.fullmatch(r"[\w][\w &-]*", name):
            error = "A label has a name of letters and digits."
        elif web.value("SELECT 1 FROM label WHERE lower(name) = ?", name.lower()):
            error = "There is such a label already."
        else:
            web.write("INSERT INTO label VALUES (NULL, ?)", name)
            return web.redirect("/labels", f"The label {name} is made.")
    found = web.rows(
        "SELECT label.*, (SELECT count(*) FROM mail_label WHERE label_id = label.id) AS mails FROM label ORDER BY name"
    )
    return web.render("labels.html", labels=found, name=name, error=error)


def delete_label(web: Web, id: int) -> Reply:
    """Remove a label from all mails and from the list."""
    web.need("SELECT 1 FROM label WHERE id = ?", id)
    if web.value("SELECT 1 FROM rule WHERE label_id = ?", id):
        return web.refuse(409, "A rule uses this label. Delete the rule first.")
    web.write("DELETE FROM mail_label WHERE label_id = ?", id)
    web.write("DELETE FROM label WHERE id = ?", id)
    return web.redirect("/labels", "The label is removed.")


def rules(web: Web) -> Reply:
    """List the rules for new mail, and make a new one."""
    value = {name: web.text(name, most=100) for name in ("field", "contains", "label", "move_to")}
    error = ""
    if web.method == "POST":
        label = web.value("SELECT id FROM label WHERE name = ?", value["label"])
        if value["field"] not in RULE_FIELDS or not value["contains"]:
            error = "Say what the sender or subject must contain."
        elif value["move_to"] not in ("", *FOLDERS) or (label is None and not value["move_to"]):
            error = "Choose a label or a folder."
        else:
            web.write(
                "INSERT INTO rule VALUES (NULL, ?, ?, ?, ?)", value["field"], value["contains"], label, value["move_to"]
            )
            return web.redirect("/rules", "The rule is made. It holds for new mail.")
    return web.render(
        "rules.html",
        rules=web.rows(
            "SELECT rule.*, label.name AS label FROM rule LEFT JOIN label ON label.id = label_id ORDER BY rule.id"
        ),
        fields=list(RULE_FIELDS),
        labels=[
            ("", "none"),
            *((each["name"], each["name"]) for each in web.rows("SELECT name FROM label ORDER BY name")),
        ],
        folders=[("", "none"), *((name, name) for name in ("Archive", "Spam", "Trash"))],
        value=value,
        error=error,
    )


def delete_rule(web: Web, id: int) -> Reply:
    """Remove a rule."""
    web.write("DELETE FROM rule WHERE id = ?", id)
    return web.redirect("/rules", "The rule is removed.")


def settings(web: Web) -> Reply:
    """Show and save the signature and the automatic reply."""
    names = ("signature", "auto_reply", "auto_reply_until")
    value = {each["name"]: each["value"] for each in web.rows("SELECT name, value FROM setting")}
    error = ""
    if web.method == "POST":
        value = {name: web.text(name) for name in names}
        until = value["auto_reply_until"]
        if until and (not re.fullmatch(r"\d{4}-\d\d-\d\d", until) or until < web.now.date().isoformat()):
            error = "Write the last day as YYYY-MM-DD; it is not over yet."
        else:
            for name in names:
                web.write("UPDATE setting SET value = ? WHERE name = ? AND value != ?", value[name], name, value[name])
            return web.redirect("/settings", "Saved.")
    return web.render("settings.html", value=value, error=error)
