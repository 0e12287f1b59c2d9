"""The wiki: articles that are read, searched, linked, edited, compared, restored, moved, discussed and watched."""

from __future__ import annotations

import difflib
import random
import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from thinkact.envs.web import wiki_data
from thinkact.envs.web.site import NOW, App, Knobs, Page, Refusal, Reply, Web
from thinkact.envs.web.tasks import register_app
from thinkact.envs.web.wiki_text import (
    MAX_CHARS,
    normal,
    path_of,
    plain,
    redirect,
    row_cells,
    sections,
    to_html,
    with_section,
)

_PROTECTED = "This page is protected. Only administrators may change it."


class Wiki(App):
    """The company wiki of Northwind."""

    name = "wiki"
    host = "wiki.northwind.test"
    title = "Northwind Wiki"
    schema = wiki_data.SCHEMA

    def fill(self, db: sqlite3.Connection, rng: random.Random, knobs: Knobs) -> None:
        """Insert the articles of a company."""
        wiki_data.fill(db, rng, NOW, distractors=knobs.distractors, injection=knobs.injection)

    def user(self, web: Web) -> str:
        """Return the reader's account."""
        return wiki_data.ME

    def links(self, web: Web) -> Sequence[tuple[str, str]]:
        """Return the top bar."""
        return (
            ("Main page", "/"),
            ("All pages", "/all"),
            ("Categories", "/categories"),
            ("Recent changes", "/changes"),
            ("Watch list", "/watchlist"),
        )

    def common(self, web: Web) -> Mapping[str, Any]:
        """Return the function that writes a title into an address."""
        return {"path_of": path_of}

    def pages(self) -> Sequence[Page]:
        """Return the routes."""
        return (
            Page("GET", "/", main),
            Page("GET", "/all", all_pages),
            Page("GET", "/search", search),
            Page("GET", "/wiki/{slug}", article),
            Page("GET", "/edit/{slug}", edit),
            Page("POST", "/edit/{slug}", save),
            Page("GET", "/history/{slug}", history),
            Page("GET", "/diff/{rev:int}", diff),
            Page("POST", "/restore/{rev:int}", restore),
            Page("GET", "/move/{slug}", move),
            Page("POST", "/move/{slug}", moved),
            Page("GET", "/talk/{slug}", talk),
            Page("POST", "/talk/{slug}", new_topic),
            Page("POST", "/reply/{topic:int}", reply),
            Page("GET", "/links/{slug}", links_here),
            Page("GET", "/categories", categories),
            Page("GET", "/category/{name}", category),
            Page("GET", "/categories-of/{slug}", categories_of),
            Page("POST", "/categories-of/{slug}", categorise),
            Page("POST", "/watch/{slug}", watch),
            Page("GET", "/watchlist", watch_list),
            Page("GET", "/changes", changes),
            Page("GET", "/user/{name}", contributions),
        )


def _title(slug: str) -> str:
    return " ".join(slug.replace("_", " ").split())


def _find(web: Web, slug: str) -> sqlite3.Row:
    return web.need("SELECT * FROM article WHERE title = ?", _title(slug))


def _known(web: Web, title: str) -> bool:
    return web.row("SELECT 1 FROM article WHERE title = ?", title) is not None


def _now(web: Web) -> str:
    return f"{web.now:%Y-%m-%d %H:%M}"


def _store(web: Web, article_id: int, body: str, summary: str, *, minor: bool = False) -> None:
    web.write("UPDATE article SET body = ? WHERE id = ?", body, article_id)
    web.write(
        "INSERT INTO revision (article_id, author, at, summary, minor, body) VALUES (?, ?, ?, ?, ?, ?)",
        article_id, web.user, _now(web), summary, int(minor), body,
    )  # fmt: skip


def _latest(web: Web, article_id: int) -> sqlite3.Row:
    return web.need("SELECT * FROM revision WHERE article_id = ? ORDER BY id DESC LIMIT 1", article_id)


def main(web: Web) -> Reply:
    """Show the start page: lists, categories, figures."""
    lists = web.rows("SELECT a.title FROM article a JOIN category c ON c.article_id = a.id WHERE c.name = 'Lists' "
                     "ORDER BY a.title")  # fmt: skip
    count = web.value("SELECT count(*) FROM article WHERE body NOT LIKE '#REDIRECT%'")
    return web.render("main.html", lists=lists, count=count)


def all_pages(web: Web) -> Reply:
    """Show all articles by name."""
    rows = web.rows("SELECT title, body LIKE '#REDIRECT%' AS moved FROM article ORDER BY title")
    return web.render("all.html", found=web.paged(rows, 40))


def search(web: Web) -> Reply:
    """Go to the article of that name, else show the articles that hold every word."""
    query = " ".join(web.query.get("q", "").split())[:100]
    exact = web.row("SELECT title FROM article WHERE title = ? COLLATE NOCASE", query)
    if exact and "all" not in web.query:
        return web.redirect(f"/wiki/{path_of(exact['title'])}")
    terms = query.casefold().split()
    rows = web.rows("SELECT title, body FROM article ORDER BY title") if terms else []
    hits = []
    for row in rows:
        text = plain(row["body"])
        if all(term in f"{row['title']} {text}".casefold() for term in terms):
            hits.append((not all(term in row["title"].casefold() for term in terms), row["title"], _line(text, terms)))
    return web.render("search.html", q=query, exact=bool(exact), found=web.paged(sorted(hits), 15))


def _line(text: str, terms: list[str]) -> str:
    """Return the first line of a text that holds one of the terms, to show with a hit."""
    line = next((line for line in text.split("\n") if any(term in line.casefold() for term in terms)), "")
    return ": ".join(row_cells(line))[:120]


def article(web: Web, slug: str) -> Reply:
    """Show an article, an old version of it (``?old=``), or what a redirect leads to."""
    title = _title(slug)
    found = web.row("SELECT * FROM article WHERE title = ?", title)
    if found is None:
        return web.render("missing.html", _status=404, title=title, slug=path_of(title))
    came_from = ""
    target = redirect(found["body"])
    if target and "redirect" not in web.query and "old" not in web.query:
        there = web.row("SELECT * FROM article WHERE title = ?", target)
        if there is not None:
            came_from, found = title, there
    old = None
    if "old" in web.query:
        old = web.need("SELECT * FROM revision WHERE id = ? AND article_id = ?", web.number("old"), found["id"])
    slug = path_of(found["title"])
    names = web.rows("SELECT name FROM category WHERE article_id = ? ORDER BY name", found["id"])
    edits = None if old or found["protected"] else lambda number, heading: f"/edit/{slug}?section={number}"
    return web.render(
        "article.html", article=found, slug=slug, old=old, came_from=came_from, came_slug=path_of(came_from),
        html=to_html((old or found)["body"], partial(_known, web), edit=edits),
        categories=[(row["name"], path_of(row["name"])) for row in names], latest=_latest(web, found["id"]),
        watched=web.row("SELECT 1 FROM watch WHERE article_id = ?", found["id"]) is not None,
    )  # fmt: skip


def _part(body: str, asked: str) -> tuple[int | None, str, str]:
    """Return which section is edited (None: the whole text), its heading and its text."""
    parts = sections(body)
    if asked.isdigit() and int(asked) < len(parts):
        return int(asked), *parts[int(asked)]
    return None, "", body


def edit(web: Web, slug: str) -> Reply:
    """Show the form that edits an article, one section of it, or a new article."""
    title = _title(slug)
    found = web.row("SELECT * FROM article WHERE title = ?", title)
    if found and found["protected"]:
        return web.refuse(403, _PROTECTED)
    number, heading, text = _part(found["body"] if found else "", web.query.get("section", ""))
    return _form(web, title, number, heading, text, "", new=found is None)


def _form(
    web: Web, title: str, number: int | None, heading: str, text: str, summary: str, *, new: bool, preview: Any = None
) -> Reply:
    return web.render("edit.html", title=title, slug=path_of(title), number=number, heading=heading, text=text,
                      summary=summary, new=new, preview=preview)  # fmt: skip


def save(web: Web, slug: str) -> Reply:
    """Store an edit, or show what it would look like."""
    title = _title(slug)
    found = web.row("SELECT * FROM article WHERE title = ?", title)
    if found and found["protected"]:
        return web.refuse(403, _PROTECTED)
    typed, summary = normal(web.text("text", most=MAX_CHARS + 1)), web.text("summary", most=200)
    if len(typed) > MAX_CHARS:
        return web.refuse(400, f"The text is too long: {MAX_CHARS} characters at most.")
    number, heading, _ = _part(found["body"] if found else "", web.text("section"))
    if web.text("do") == "preview":
        shown = to_html(typed, partial(_known, web))
        return _form(web, title, number, heading, typed, summary, new=found is None, preview=shown)
    if found is None:
        if not typed:
            return web.refuse(400, "A new page needs a text.")
        _check_title(web, title)
        made = web.write("INSERT INTO article (title, body, protected) VALUES (?, ?, 0)", title, typed)
        _store(web, made, typed, summary or "new page", minor=False)
        return web.redirect(f"/wiki/{path_of(title)}", "The page was created.")
    body = typed if number is None else with_section(found["body"], number, typed)
    if not body:
        return web.refuse(400, "A page cannot be empty.")
    if body == found["body"]:
        return web.redirect(f"/wiki/{path_of(title)}", "Nothing was changed.")
    _store(web, found["id"], body, summary, minor=web.text("minor") == "1")
    return web.redirect(f"/wiki/{path_of(title)}{'?redirect=no' if redirect(body) else ''}", "Your edit was saved.")


def _check_title(web: Web, title: str) -> None:
    if not title or len(title) > 80 or re.search(r"[\[\]|#<>{}/?_]", title):
        raise Refusal(400, "This is no possible title: 1 to 80 characters, none of [ ] | # < > { } / ? _")
    if _known(web, title):
        raise Refusal(409, f"There is a page called {title} already.")


def history(web: Web, slug: str) -> Reply:
    """Show the versions of an article, the latest first."""
    found = _find(web, slug)
    rows = web.rows("SELECT * FROM revision WHERE article_id = ? ORDER BY id DESC", found["id"])
    return web.render("history.html", article=found, slug=path_of(found["title"]), found=web.paged(rows, 12))


def _before(web: Web, rev: sqlite3.Row) -> sqlite3.Row | None:
    return web.row("SELECT * FROM revision WHERE article_id = ? AND id < ? ORDER BY id DESC LIMIT 1", rev["article_id"],
                   rev["id"])  # fmt: skip


def diff(web: Web, rev: int) -> Reply:
    """Show what one edit changed."""
    after = web.need("SELECT * FROM revision WHERE id = ?", rev)
    before = _before(web, after)
    found = web.need("SELECT * FROM article WHERE id = ?", after["article_id"])
    old, new = ((each["body"] if each else "").split("\n") for each in (before, after))
    lines = [(line[0], line[2:]) for line in difflib.ndiff(old, new) if line[0] in "+-" and line[2:].strip()]
    latest = _latest(web, found["id"])["id"] == rev
    return web.render("diff.html", article=found, slug=path_of(found["title"]), after=after, before=before,
                      removed=[line for sign, line in lines if sign == "-"],
                      added=[line for sign, line in lines if sign == "+"], latest=latest)  # fmt: skip


def restore(web: Web, rev: int) -> Reply:
    """Make an old version the current one."""
    old = web.need("SELECT * FROM revision WHERE id = ?", rev)
    found = web.need("SELECT * FROM article WHERE id = ?", old["article_id"])
    if found["protected"]:
        return web.refuse(403, _PROTECTED)
    where = f"/wiki/{path_of(found['title'])}"
    if old["body"] == found["body"]:
        return web.redirect(where, "Nothing was changed.")
    _store(web, found["id"], old["body"], f"version of {old['at']} restored")
    return web.redirect(where, f"The version of {old['at']} by {old['author']} was restored.")


def move(web: Web, slug: str) -> Reply:
    """Show the form that gives an article another title."""
    found = _find(web, slug)
    if found["protected"]:
        return web.refuse(403, _PROTECTED)
    return web.render("move.html", article=found, slug=path_of(found["title"]))


def moved(web: Web, slug: str) -> Reply:
    """Give an article another title, with or without a redirect from the old one."""
    found = _find(web, slug)
    if found["protected"]:
        return web.refuse(403, _PROTECTED)
    title = _title(web.text("title"))
    _check_title(web, title)
    web.write("UPDATE article SET title = ? WHERE id = ?", title, found["id"])
    if web.text("redirect") == "1":
        body = f"#REDIRECT [[{title}]]"
        made = web.write("INSERT INTO article (title, body, protected) VALUES (?, ?, 0)", found["title"], body)
        _store(web, made, body, f"moved to {title}")
    return web.redirect(f"/wiki/{path_of(title)}", f"{found['title']} was moved to {title}.")


def talk(web: Web, slug: str) -> Reply:
    """Show what people said about an article."""
    found = _find(web, slug)
    topics = [(row, web.rows("SELECT * FROM post WHERE topic_id = ? ORDER BY id", row["id"]))
              for row in web.rows("SELECT * FROM topic WHERE article_id = ? ORDER BY id", found["id"])]  # fmt: skip
    return web.render("talk.html", article=found, slug=path_of(found["title"]), topics=topics)


def new_topic(web: Web, slug: str) -> Reply:
    """Open a topic on an article's talk page."""
    found = _find(web, slug)
    title, body = web.text("title", most=100), web.text("body", most=1000)
    if not title or not body:
        return web.refuse(400, "A topic needs a title and a text.")
    topic = web.write("INSERT INTO topic (article_id, title) VALUES (?, ?)", found["id"], title)
    _say(web, topic, body)
    return web.redirect(f"/talk/{path_of(found['title'])}", "Your topic was opened.")


def _say(web: Web, topic: int, body: str) -> None:
    web.write("INSERT INTO post (topic_id, author, at, body) VALUES (?, ?, ?, ?)", topic, web.user, _now(web), body)


def reply(web: Web, topic: int) -> Reply:
    """Answer in a topic."""
    found = web.need("SELECT a.title FROM topic t JOIN article a ON a.id = t.article_id WHERE t.id = ?", topic)
    body = web.text("body", most=1000)
    if not body:
        return web.refuse(400, "A reply needs a text.")
    _say(web, topic, body)
    return web.redirect(f"/talk/{path_of(found['title'])}", "Your reply was added.")


def links_here(web: Web, slug: str) -> Reply:
    """Show which pages link to an article."""
    found = _find(web, slug)
    title = found["title"]
    rows = web.rows("SELECT title, body LIKE '#REDIRECT%' AS moved FROM article "
                    "WHERE instr(body, ?) OR instr(body, ?) ORDER BY title", f"[[{title}]]", f"[[{title}|")  # fmt: skip
    return web.render("links.html", article=found, slug=path_of(title), found=web.paged(rows, 40))


def categories(web: Web) -> Reply:
    """Show the categories with how many articles each has."""
    rows = web.rows("SELECT name, count(*) AS n FROM category GROUP BY name ORDER BY name")
    return web.render("categories.html", rows=[(row["name"], path_of(row["name"]), row["n"]) for row in rows])


def category(web: Web, name: str) -> Reply:
    """Show the articles of a category."""
    rows = web.rows("SELECT a.title FROM category c JOIN article a ON a.id = c.article_id WHERE c.name = ? "
                    "ORDER BY a.title", _title(name))  # fmt: skip
    if not rows:
        raise Refusal(404, "There is no such category.")
    return web.render("category.html", name=_title(name), found=web.paged(rows, 40))


def categories_of(web: Web, slug: str) -> Reply:
    """Show the form that changes an article's categories."""
    found = _find(web, slug)
    if found["protected"]:
        return web.refuse(403, _PROTECTED)
    rows = web.rows("SELECT * FROM category WHERE article_id = ? ORDER BY name", found["id"])
    return web.render("categories_of.html", article=found, slug=path_of(found["title"]), rows=rows)


def categorise(web: Web, slug: str) -> Reply:
    """Put an article into a category, or take it out of one."""
    found = _find(web, slug)
    if found["protected"]:
        return web.refuse(403, _PROTECTED)
    name = _title(web.text("name", most=60))
    where = f"/categories-of/{path_of(found['title'])}"
    if gone := web.number("remove"):
        web.write("DELETE FROM category WHERE id = ? AND article_id = ?", gone, found["id"])
        return web.redirect(where, "The category was removed.")
    if not name or re.search(r"[\[\]|#<>{}/?]", name):
        return web.refuse(400, "A category needs a name.")
    if web.row("SELECT 1 FROM category WHERE article_id = ? AND name = ?", found["id"], name):
        return web.redirect(where, "The page is in that category already.")
    web.write("INSERT INTO category (article_id, name) VALUES (?, ?)", found["id"], name)
    return web.redirect(where, f"The page was added to {name}.")


def watch(web: Web, slug: str) -> Reply:
    """Put an article on the watch list, or take it off."""
    found = _find(web, slug)
    back = "/watchlist" if web.text("back") else f"/wiki/{path_of(found['title'])}"
    if web.row("SELECT 1 FROM watch WHERE article_id = ?", found["id"]):
        web.write("DELETE FROM watch WHERE article_id = ?", found["id"])
        return web.redirect(back, f"You no longer watch {found['title']}.")
    web.write("INSERT INTO watch (article_id) VALUES (?)", found["id"])
    return web.redirect(back, f"You now watch {found['title']}.")


def watch_list(web: Web) -> Reply:
    """Show the watched articles with their last edits."""
    rows = web.rows(
        "SELECT a.title, r.author, r.at FROM watch w JOIN article a ON a.id = w.article_id "
        "JOIN revision r ON r.id = (SELECT max(id) FROM revision WHERE article_id = a.id) ORDER BY a.title"
    )
    return web.render("watchlist.html", rows=[(row, path_of(row["title"])) for row in rows])


def _edits(web: Web, condition: str, *params: Any) -> list[sqlite3.Row]:
    return web.rows("SELECT r.*, a.title, r.id = (SELECT max(id) FROM revision WHERE article_id = a.id) AS latest "
                    f"FROM revision r JOIN article a ON a.id = r.article_id WHERE {condition} ORDER BY r.id DESC",
                    *params)  # fmt: skip


def changes(web: Web) -> Reply:
    """Show the latest edits of all articles."""
    return web.render("changes.html", found=web.paged(_edits(web, "1"), 15), name="")


def contributions(web: Web, name: str) -> Reply:
    """Show the edits of one account."""
    name = name.replace("%20", " ")
    web.need("SELECT 1 FROM account WHERE name = ?", name)
    return web.render("changes.html", found=web.paged(_edits(web, "r.author = ?", name), 15), name=name)


WIKI = register_app(Wiki())
