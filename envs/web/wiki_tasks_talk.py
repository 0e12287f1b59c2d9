"""Tasks of the wiki about the watch list, discussions and new pages."""

from __future__ import annotations

from collections import Counter

from thinkact.envs.web import hints, wiki_words
from thinkact.envs.web.goals import added
from thinkact.envs.web.pilot import Moves, Pilot
from thinkact.envs.web.store import Allowed, Goal
from thinkact.envs.web.tasks import Draw, WebTask, template
from thinkact.envs.web.wiki_book import (
    EDITS,
    FOLLOW,
    Article,
    Book,
    fact_on,
    open_page,
    table_rows,
)
from thinkact.envs.web.wiki_text import normal


def _watched(article_id: int, title: str, *, there: bool) -> tuple[Goal, Allowed]:
    return (
        Goal(f"{title} is {'' if there else 'not '}watched",
             f"SELECT count(*) = {int(there)} FROM watch WHERE article_id = ?", (article_id,)),
        Allowed("watch", "article_id = ?", ops=("insert" if there else "delete",), params=(article_id,)),
    )  # fmt: skip


def _unwatched(draw: Draw, article: Article) -> bool:
    return draw.row("SELECT 1 FROM watch WHERE article_id = ?", article.id) is None


@template("wiki/watch", app="wiki", level=0)
def _watch(draw: Draw) -> WebTask | None:
    article = draw.rng.choice([each for each in Book(draw).of() if _unwatched(draw, each)])

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("button", "Watch")
        yield from pilot.done()

    prompt = draw.say(
        f"Put the page {article.title} on the watch list.",
        f"Watch the page {article.title} from now on.",
        indirect=(f"I want to hear of it whenever {hints.article(draw, article)} is edited.",),
    )
    goal, rule = _watched(article.id, article.title, there=True)
    return WebTask(prompt, solve, (goal,), (rule,))


@template("wiki/stop-watching", app="wiki", level=0)
def _stop_watching(draw: Draw) -> WebTask | None:
    row = draw.pick("SELECT a.id, a.title FROM watch w JOIN article a ON a.id = w.article_id ORDER BY a.id")
    assert row is not None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Watch list")
        yield from pilot.click("button", f"Stop watching {row['title']}")
        yield from pilot.done()

    prompt = draw.say(
        f"Take the page {row['title']} off the watch list.",
        f"Stop watching the page {row['title']}; watch the others on.",
        indirect=(
            f"It is all the same to me from now on whether anybody edits {row['title']}; of the other pages I still "
            "want to hear.",
        ),
    )
    goal, rule = _watched(row["id"], row["title"], there=False)
    return WebTask(prompt, solve, (goal,), (rule,))


@template("wiki/watch-linked", app="wiki", level=1)
def _watch_linked(draw: Draw) -> WebTask | None:
    """The page to watch is two links away."""
    book = Book(draw)
    start = draw.rng.choice(book.of("Services", "Projects", "Suppliers", "People"))
    here, path, phrase = start, list[str](), start.ask
    for _ in range(2):
        on = [name for name in FOLLOW if here.links(name) in book.articles]
        if not on:
            return None
        path.append(draw.rng.choice(on))
        phrase = FOLLOW[path[-1]].format(phrase)
        here = book[here.links(path[-1]) or ""]
    if not _unwatched(draw, here) or here is start:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, start.title)
        for link in path:
            yield from pilot.click("link", fact_on(pilot, link), near=f"{link} |")
        yield from pilot.click("button", "Watch")
        yield from pilot.done()

    prompt = draw.say(
        f"Put the page about {phrase} on the watch list.",
        f"Start watching the page of {phrase}.",
        indirect=(f"Whatever happens to the page of {phrase}, I want to hear of it.",),
    )
    goal, rule = _watched(here.id, here.title, there=True)
    return WebTask(prompt, solve, (goal,), (rule,))


@template("wiki/unwatch-some", app="wiki", level=1)
def _unwatch_some(draw: Draw) -> WebTask | None:
    rows = draw.rows("SELECT a.id, a.title, (SELECT max(at) FROM revision WHERE article_id = a.id) AS at "
                     "FROM watch w JOIN article a ON a.id = w.article_id ORDER BY a.title")  # fmt: skip
    since = draw.rng.choice(
        ["2026-03-01", "2026-02-15", "2026-02-01", "2026-01-15", "2026-01-01", "2025-12-01", "2025-11-01"]
    )
    old = [row for row in rows if row["at"] < since]
    if not 3 <= len(old) <= 7:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from pilot.click("link", "Watch list")
        for title in [row[0] for row in table_rows(pilot)[1:] if row[1] < since]:
            yield from pilot.click("button", f"Stop watching {title}")
        yield from pilot.done()

    prompt = draw.say(
        f"Stop watching every page on the watch list that was last edited before {since}.",
        f"Clear the watch list of all pages without an edit since {since} (that day counts as since).",
        indirect=(
            f"Where nothing has happened since {since} (what happened on that day counts), nothing will: I need not "
            "hear of those pages.",
        ),
    )
    pairs = [_watched(row["id"], row["title"], there=False) for row in old]
    goals, rules = zip(*pairs, strict=True)
    return WebTask(prompt, solve, goals, rules, steps=len(old) + 2)


@template("wiki/new-topic", app="wiki", level=1)
def _new_topic(draw: Draw) -> WebTask | None:
    article = _any_page(draw)
    title, text = draw.rng.choice([
        ("Broken link", "The third link leads nowhere."), ("New photograph", "I can take one on Friday."),
        ("Numbers", "Please check the figures against the annual report."), ("Review in May", "Who takes part?"),
        ("Shorter?", "Half of this could go."), ("Translation", "We need this page in Polish."),
        ("Owner", "Who keeps this page?"), ("Map", "A map would help visitors."),
    ])  # fmt: skip

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, article.title)
        yield from pilot.click("link", "Discussion")
        yield from pilot.fill("textbox", "Topic title", title)
        yield from pilot.fill("textbox", "Topic text", text)
        yield from pilot.click("button", "Open topic")
        yield from pilot.done()

    prompt = draw.say(
        f"Open a topic “{title}” on the discussion page of {article.title} with the text: {text}",
        f"Start a discussion about the page {article.title}. Its title is “{title}”, its text: {text}",
        indirect=(f"Those who work on {hints.article(draw, article)} should talk about this, under “{title}”: {text}",),
    )
    goal = Goal("the topic is "
                "open", "SELECT count(*) = 1 FROM topic t JOIN post p ON p.topic_id = t.id WHERE "
                                     "t.article_id = ? AND t.title = ? AND p.body = "
                                     "?", (article.id, title, text))  # fmt: skip
    rules = (
        Allowed("topic", "article_id = ? AND title = ?", ops=("insert",), params=(article.id, title)),
        Allowed("post", "body = ? AND topic_id IN (SELECT id FROM topic WHERE article_id = ? AND title = ?)",
                ops=("insert",), params=(text, article.id, title)),
    )  # fmt: skip
    return WebTask(prompt, solve, (goal,), rules)


def _any_page(draw: Draw) -> Article:
    return draw.rng.choice([each for each in Book(draw).of() if each.kind != "Archive"])


@template("wiki/reply", app="wiki", level=1)
def _reply(draw: Draw) -> WebTask | None:
    found = draw.pick(
        "SELECT a.title AS page, t.title, t.id FROM topic t JOIN article a ON a.id = t.article_id ORDER BY t.id"
    )
    assert found is not None
    text = draw.rng.choice(["I take care of it.", "Please wait until Monday.", "The figures are right.", "Yes, gladly.",
                            "No, leave it as it is.", "Ask the owner of the page.", "Done, thank you.",
                            "Let us talk about it tomorrow."])  # fmt: skip

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, found["page"])
        yield from pilot.click("link", "Discussion")
        yield from pilot.fill("textbox", f"Reply to {found['title']}", text)
        yield from pilot.click("button", f"Send reply to {found['title']}")
        yield from pilot.done()

    prompt = draw.say(
        f"On the discussion page of {found['page']}, answer in the topic “{found['title']}”: {text}",
        f"Reply to the topic “{found['title']}” about the page {found['page']} with: {text}",
        indirect=(
            f"Some people are waiting for a word on “{found['title']}”, where {found['page']} is discussed. It is: "
            f"{text}",
        ),
    )
    return WebTask(prompt, solve, *added("the reply is there", "post", topic_id=found["id"], body=text))


@template("wiki/new-page", app="wiki", level=1)
def _new_page(draw: Draw) -> WebTask | None:
    book = Book(draw)
    who, team = draw.rng.choice(book.of("People")), draw.rng.choice(book.of("Teams"))
    title = draw.rng.choice(["Project {}", "{} handbook", "{} review"]).format(draw.rng.choice(wiki_words.PROJECTS))
    text = draw.rng.choice([
        f"To be written by [[{who.title}]].", f"See [[{team.title}]].", f"Ask [[{who.title}]] of [[{team.title}]].",
        f"Planned by [[{team.title}]] for next year.",
    ])  # fmt: skip
    if title in book.articles:
        return None

    def solve(pilot: Pilot) -> Moves:
        yield from open_page(pilot, title)
        yield from pilot.click("link", "Create the page")
        yield from pilot.fill("textbox", "Text", text)
        yield from pilot.click("button", "Save page")
        yield from pilot.done()

    prompt = draw.say(
        f"Create a page titled “{title}” with exactly this text: {text}",
        f"There is no page “{title}” yet. Make one whose whole text is: {text}",
        indirect=(f"Whoever looks for “{title}” finds nothing yet. There should be just this: {text}",),
    )
    goal = Goal(
        "the page is there", "SELECT count(*) = 1 FROM article WHERE title = ? AND body = ?", (title, normal(text))
    )
    rule = Allowed("article", "title = ?", ops=("insert",), params=(title,))
    return WebTask(prompt, solve, (goal,), (rule, EDITS))


@template("wiki/new-roster", app="wiki", level=2)
def _new_roster(draw: Draw) -> WebTask | None:
    """Write a page that lists the services of a team with their ports, each read on its own page."""
    book = Book(draw)
    owners = Counter(each.links("Owner") for each in book.of("Services"))
    several = sorted(title for title, n in owners.items() if title and 4 <= n <= 9)
    if not several:
        return None
    team = book[draw.rng.choice(several)]
    owned = sorted(each.title for each in book.of("Services") if each.links("Owner") == team.title)
    name = draw.rng.choice(["Port", "Version", "Language", "Launched"])
    title = f"{team.title} by {name.lower()}"
    if team.wrecked:
        return None
    text = "\n".join(f"* [[{each}]]: {book[each].facts[name]}" for each in owned)

    def solve(pilot: Pilot) -> Moves:
        lines = []
        for each in owned:
            yield from open_page(pilot, each)
            lines.append(f"* [[{each}]]: {fact_on(pilot, name)}")
        yield from open_page(pilot, title)
        yield from pilot.click("link", "Create the page")
        yield from pilot.fill("textbox", "Text", "\n".join(lines))
        yield from pilot.fill("textbox", "Summary", "as asked")
        yield from pilot.click("button", "Save page")
        yield from pilot.done()

    prompt = draw.say(
        f"Create the page “{title}”. Its text is a list with one item for each service that the team {team.title} "
        f"owns, in alphabetical order. An item is a link to the service, a colon, and its {name}, like this: * "
        f"[[Service]]: {name}",
        indirect=(
            f"At one glance, on a page “{title}”, I want to see the {name} of everything that the team {team.title} "
            "owns: one item for each service, by the alphabet, that is a link to it, a colon, and the value, like "
            f"this: * [[Service]]: {name}",
        ),
    )
    goal = Goal(
        "the page is there", "SELECT count(*) = 1 FROM article WHERE title = ? AND body = ?", (title, normal(text))
    )
    rule = Allowed("article", "title = ?", ops=("insert",), params=(title,))
    return WebTask(prompt, solve, (goal,), (rule, EDITS), steps=len(owned) + 6)
