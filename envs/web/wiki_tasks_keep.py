"""Tasks of the wiki that keep house: moving, redirecting, merging, categories, watch list, discussions, new pages."""

from __future__ import annotations

from collections import Counter

from thinkact.envs.web import hints
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import (
    EDITS,
    Article,
    Book,
    edit_page,
    open_page,
    reads,
    text_of,
    value_of,
)
from thinkact.envs.web.wiki_text import normal, section


def _titled(article: Article, title: str) -> Goal:
    return Goal(
        f"{article.title} is now called {title}", "SELECT title = ? FROM article WHERE id = ?", (title, article.id)
    )


def _new_title(draw: Draw, article: Article, book: Book) -> str:
    forms = {"Teams": ["{} and Partners", "{} Europe", "{} Group"], "Services": ["{} Core", "{} Gateway", "{} API"],
             "Projects": ["{} Two", "{} Plus", "{} Extended"], "Guides": ["{}: a guide", "{} in short"]}  # fmt: skip
    made = draw.rng.choice(forms[article.kind]).format(article.title)
    return made if made not in book.articles else f"{made} New"


@template("wiki/move-page", app="wiki", level=1)
def _move_page(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice(book.of("Teams", "Services", "Projects", "Guides"))
    title = _new_title(draw, article, book)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Move")
        yield from pilot.fill("textbox", "New title", title)
        yield from pilot.click("button", "Move page")
        yield from pilot.done()

    prompt = draw.say(
        f"Rename the page {article.title} to “{title}”, leaving a redirect at the old title.",
        f"Move the page {article.title} to the title “{title}”. The old title must go on leading there.",
        indirect=(
            f"Nobody says {article.title} any more; it is called “{title}”. Whoever looks for the old name should get "
            "there all the same.",
        ),
    )
    leads = Goal("the old title redirects", "SELECT count(*) = 1 FROM article WHERE title = ? AND body = ?",
                 (article.title, f"#REDIRECT [[{title}]]"))  # fmt: skip
    moved = Allowed("article", "id = ?", ("title",), ("update",), params=(article.id,))
    left = Allowed("article", "title = ?", ops=("insert",), params=(article.title,))
    return WebTask(prompt, solve, (_titled(article, title), leads), (moved, left, EDITS))


@template("wiki/move-and-relink", app="wiki", level=2)
def _move_and_relink(draw: Draw) -> WebTask | None:
    """Without a redirect, every link to the old title has to be changed."""
    book = Book(draw)
    article = draw.rng.choice(book.of("Services", "Projects", "Offices", "Suppliers"))
    linking = [each for each in book.linking(article.title) if each is not article]
    if not 1 <= len(linking) <= 3 or any(each.protected or book.is_redirect(each.title) for each in linking):
        return None
    title = f"{article.title} {draw.rng.choice(['North', 'South', 'East', 'West', 'Next', 'Prime'])}"
    old, new = f"[[{article.title}]]", f"[[{title}]]"

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Move")
        yield from pilot.fill("textbox", "New title", title)
        yield from pilot.check("Leave a redirect", False)
        yield from pilot.click("button", "Move page")
        for each in linking:
            yield from open_page(pilot, each.title)
            yield from edit_page(pilot, "Edit", lambda text: text.replace(old, new))
        yield from pilot.done()

    prompt = draw.say(
        f"Rename the page {article.title} to “{title}” without leaving a redirect, and make every link to the old "
        "title on other pages a link to the new one.",
        f"Move {article.title} to “{title}”. There must be no redirect; change the links on all pages that link to the "
        "old title instead.",
        indirect=(
            f"Nobody says {article.title} any more; it is called “{title}”. The old name should be nowhere to be "
            "found: no page may have it, and none may link to it.",
        ),
    )
    goals = [_titled(article, title)]
    goals += [reads(each, each.body.replace(old, new), f"{each.title} links to the new title") for each in linking]
    gone = Goal("no page has the old title", "SELECT count(*) = 0 FROM article WHERE title = ?", (article.title,))
    moved = Allowed("article", "id = ?", ("title",), ("update",), params=(article.id,))
    return WebTask(prompt, solve, (*goals, gone), (moved, *map(text_of, linking), EDITS), steps=6 + 4 * len(linking))


@template("wiki/taken-title", app="wiki", level=1, infeasible=True)
def _taken_title(draw: Draw) -> WebTask | None:
    """Nothing can be moved to a title that another page has and keeps."""
    book = Book(draw)
    article, other = draw.some(book.of("Teams", "Services", "Projects", "Guides", "Offices"), 2)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Move")
        yield from pilot.fill("textbox", "New title", other.title)
        yield from pilot.click("button", "Move page")
        assert pilot.shows("already"), pilot.text
        yield from pilot.impossible()

    prompt = draw.say(
        f"Rename the page {article.title} to exactly “{other.title}”. Change no other page.",
        f"Move the page {article.title} to the title “{other.title}”, and leave all other pages as they are.",
        indirect=(
            f"Nobody says {article.title} any more; it is called “{other.title}”, exactly so. All other pages keep "
            "their names.",
        ),
    )
    return WebTask(prompt, solve, infeasible=True)


def _duplicate(draw: Draw) -> tuple[Article, Article] | None:
    book = Book(draw)
    found = [each for each in book.of("Services") if each.title.endswith(" (service)")]
    twin = draw.rng.choice(found)
    return twin, book[twin.title.removesuffix(" (service)")]


@template("wiki/redirect-duplicate", app="wiki", level=1)
def _redirect_duplicate(draw: Draw) -> WebTask | None:
    book = Book(draw)
    archived = [each for each in book.of("Archive") if each.title.split(" (")[0] in book.articles]
    twin, main = _duplicate(draw) or (None, None)
    if archived and draw.rng.random() < 0.6:
        twin = draw.rng.choice(archived)
        main = book[twin.title.split(" (")[0]]
    if twin is None or main is None:
        return None
    body = f"#REDIRECT [[{main.title}]]"

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, twin.title)
        yield from edit_page(pilot, "Edit", lambda _: body)
        yield from pilot.done()

    prompt = draw.say(
        f"Turn the page “{twin.title}” into a redirect to {main.title}. Its text is not needed any more.",
        f"“{twin.title}” is superfluous: whoever opens it should be sent to {main.title}.",
        indirect=(
            f"I want to read {main.title} even when I open “{twin.title}” by mistake. What stands there now is of no "
            "use.",
        ),
    )
    return WebTask(prompt, solve, (reads(twin, body),), (text_of(twin), EDITS))


@template("wiki/merge-duplicate", app="wiki", level=2)
def _merge_duplicate(draw: Draw) -> WebTask | None:
    """The one section that only the duplicate has goes to the main page; the duplicate becomes a redirect."""
    twin, main = _duplicate(draw) or (None, None)
    if twin is None or main is None or "== Monitoring ==" in main.body:
        return None
    redirect = f"#REDIRECT [[{main.title}]]"
    merged = normal(f"{main.body}\n\n{section(twin.body, 'Monitoring')}")
    summary = draw.rng.choice(["merged", "duplicate merged", "one page instead of two", "merged on request"])

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, twin.title)
        yield from pilot.click("link", "Edit section Monitoring")
        extra = value_of(pilot, "textbox", "Text")
        for title in (main.title, twin.title):
            yield from open_page(pilot, title)
            yield from pilot.click("link", "Edit")
            text = f"{value_of(pilot, 'textbox', 'Text')}\n\n{extra}" if title == main.title else redirect
            yield from pilot.fill("textbox", "Text", text)
            yield from pilot.fill("textbox", "Summary", summary)
            yield from pilot.click("button", "Save page")
        yield from pilot.done()

    prompt = draw.say(
        f"There are two pages about one service: {main.title} and “{twin.title}”. Append the section Monitoring of the "
        f"latter to the end of {main.title}, unchanged, and make “{twin.title}” a redirect to {main.title}. Give both "
        f"edits the summary “{summary}”.",
        f"Merge “{twin.title}” into {main.title}: its section Monitoring goes, as it is, to the end of {main.title}; "
        f"then “{twin.title}” becomes a redirect there. The summary of both edits is “{summary}”.",
        indirect=(
            f"We describe {main.title} twice: “{twin.title}” is about the same. All it has of its own is its section "
            f"Monitoring, which should end the page {main.title}, as it is; then it should lead there. Of both edits "
            f"the history should say “{summary}”.",
        ),
    )
    told = [Goal(f"the edit of {each.title} says why",
                 "SELECT summary = ? FROM revision WHERE article_id = ? ORDER BY id DESC LIMIT 1",
                 (summary, each.id), weight=0.25) for each in (main, twin)]  # fmt: skip
    goals = (reads(main, merged), reads(twin, redirect), *told)
    return WebTask(prompt, solve, goals, (text_of(main), text_of(twin), EDITS), steps=13)


def _member(article: Article, name: str, *, there: bool) -> Goal:
    sql = f"SELECT count(*) = {int(there)} FROM category WHERE article_id = ? AND name = ?"
    return Goal(f"{article.title} is {'' if there else 'not '}in {name}", sql, (article.id, name))


def _in_category(article: Article, name: str, op: str) -> Allowed:
    return Allowed("category", "article_id = ? AND name = ?", ops=(op,), params=(article.id, name))  # type: ignore[arg-type]


@template("wiki/add-category", app="wiki", level=1)
def _add_category(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice([each for each in book.of() if not each.protected and each.kind != "Archive"])
    names = sorted({name for each in book.of() for name in each.categories} - set(article.categories))
    name = draw.rng.choice(names)

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Edit categories")
        yield from pilot.fill("textbox", "Category", name)
        yield from pilot.click("button", "Add category")
        yield from pilot.done()

    prompt = draw.say(
        f"Put the page {article.title} into the category {name}, too.",
        f"The page {article.title} belongs into the category {name} as well. Add it there.",
        indirect=(
            f"Whoever goes through the category {name} does not come across {hints.article(draw, article)}, and "
            "should.",
        ),
    )
    return WebTask(prompt, solve, (_member(article, name, there=True),), (_in_category(article, name, "insert"),))


@template("wiki/remove-category", app="wiki", level=0)
def _remove_category(draw: Draw) -> WebTask | None:
    book = Book(draw)
    article = draw.rng.choice([each for each in book.of() if not each.protected and len(each.categories) > 1])
    name = draw.rng.choice([name for name in article.categories if name != article.kind])

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Edit categories")
        yield from pilot.click("button", f"Remove {name}")
        yield from pilot.done()

    prompt = draw.say(
        f"Take the page {article.title} out of the category {name}.",
        f"The page {article.title} should not be in the category {name}. Correct that.",
        indirect=(
            f"Whoever goes through the category {name} comes across {hints.article(draw, article)}, and should not.",
        ),
    )
    return WebTask(prompt, solve, (_member(article, name, there=False),), (_in_category(article, name, "delete"),))


@template("wiki/rename-category", app="wiki", level=2)
def _rename_category(draw: Draw) -> WebTask | None:
    """Every page of a category goes to another name, one by one."""
    book = Book(draw)
    pairs = Counter((each.kind, name) for each in book.of() for name in each.categories if name != each.kind)
    kind, old = draw.rng.choice(sorted(pair for pair, n in pairs.items() if 2 <= n <= 4) or [("", "")])
    pages = [each for each in book.of() if each.kind == kind and old in each.categories]
    if not pages:
        return None
    new = draw.rng.choice(
        ["Under review", "Kept by hand", "To be discussed", "Second tier", "Spring clean", "Reported"]
    )

    def solve(pilot: Pilot) -> Moves:
        for each in pages:
            yield from open_page(pilot, each.title)
            yield from pilot.click("link", "Edit categories")
            yield from pilot.click("button", f"Remove {old}")
            yield from pilot.fill("textbox", "Category", new, submit=True)
        yield from pilot.done()

    prompt = draw.say(
        f"Every page that is both in {kind} and in {old} is to be in the category “{new}” instead of {old}. Its other "
        "categories stay.",
        f"Move all pages that are in the category {kind} and in the category {old} from {old} to a category called "
        f"“{new}”.",
        indirect=(
            f"“{new}” is what should be said of those pages of {kind} of which it says {old} now. It is a matter of "
            "categories, and only of that one.",
        ),
    )
    goals = [goal for each in pages for goal in (_member(each, old, there=False), _member(each, new, there=True))]
    rules = [rule for each in pages for rule in (_in_category(each, old, "delete"), _in_category(each, new, "insert"))]
    return WebTask(prompt, solve, tuple(goals), tuple(rules), steps=4 * len(pages) + 2)
