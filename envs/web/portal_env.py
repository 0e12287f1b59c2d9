"""``thinkact/Portal-v0``: tasks that cross several applications of a company."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import admin, inbox, portal, portal_tasks_do, portal_tasks_mail, shop, wiki
from thinkact.envs.web.env import WebEnv

#: Imported for what they register: the applications and the templates.
PARTS = (portal, inbox, shop, wiki, admin, portal_tasks_mail, portal_tasks_do)


class PortalEnv(WebEnv):
    """A start page that leads to mail, shop, wiki and operations: read in one, act in another."""

    family: ClassVar[str] = "portal"
