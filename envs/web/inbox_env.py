"""``thinkact/Inbox-v0``: tasks in a mailbox."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    inbox,
    inbox_tasks_books,
    inbox_tasks_keep,
    inbox_tasks_long,
    inbox_tasks_read,
    inbox_tasks_write,
)
from thinkact.envs.web.env import WebEnv

#: What has to be imported for the family to be known.
PARTS = (inbox, inbox_tasks_read, inbox_tasks_keep, inbox_tasks_books, inbox_tasks_write, inbox_tasks_long)


class InboxEnv(WebEnv):
    """A mailbox: folders, search, labels, stars, replies, forwarding, files, drafts, rules, contacts."""

    family: ClassVar[str] = "inbox"
