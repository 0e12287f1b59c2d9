"""``thinkact/Wiki-v0``: tasks in a company's wiki."""

from __future__ import annotations

from typing import ClassVar

from thinkact.envs.web import (
    wiki,
    wiki_tasks_edit,
    wiki_tasks_history,
    wiki_tasks_keep,
    wiki_tasks_lists,
    wiki_tasks_read,
    wiki_tasks_talk,
)
from thinkact.envs.web.env import WebEnv

#: Imported for what they register: the application and its templates.
PARTS = (wiki, wiki_tasks_read, wiki_tasks_history, wiki_tasks_edit, wiki_tasks_keep, wiki_tasks_lists, wiki_tasks_talk)


class WikiEnv(WebEnv):
    """A wiki: search, links, categories, history, edits of pages and sections, moves, discussions, a watch list."""

    family: ClassVar[str] = "wiki"
