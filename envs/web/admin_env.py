"""``thinkact/Admin-v0``: tasks in an operations console."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    admin,
    admin_tasks_look,
    admin_tasks_office,
    admin_tasks_people,
    admin_tasks_reports,
    admin_tasks_tickets,
    admin_tasks_tidy,
)
from thinkact.envs.web.env import WebEnv

#: Imported for what they register: the application and its templates.
PARTS = (
    admin,
    admin_tasks_look,
    admin_tasks_reports,
    admin_tasks_tickets,
    admin_tasks_tidy,
    admin_tasks_people,
    admin_tasks_office,
)


class AdminEnv(WebEnv):
    """A console: tickets with filters and bulk changes, accounts, teams, roles, assets, requests, reports, a log."""

    family: ClassVar[str] = "admin"
