"""``thinkact/Portal-v0``: tasks that cross several applications of a company."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    admin,
    booking,
    inbox,
    portal,
    portal_mail,
    portal_tasks_desk,
    portal_tasks_do,
    portal_tasks_mail,
    portal_tasks_travel,
    shop,
    wiki,
)
from thinkact.envs.web.env import WebEnv

#: Imported for what they register: the applications and the templates.
PARTS = (
    portal,
    inbox,
    portal_mail,
    shop,
    wiki,
    admin,
    booking,
    portal_tasks_mail,
    portal_tasks_do,
    portal_tasks_desk,
    portal_tasks_travel,
)


class PortalEnv(WebEnv):
    """A start page that leads to mail, shop, wiki, operations and travel: read in one, act in another."""

    family: ClassVar[str] = "portal"
