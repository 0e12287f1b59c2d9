"""The wiki: its markup, and what its pages store, undo and refuse."""

import random

import pytest

from thinkact.envs.conformance import play_expert
from thinkact.envs.web import wiki_text
from thinkact.envs.web.site import Knobs
from thinkact.envs.web.tasks import build
from thinkact.envs.web.visitor import Visitor
from thinkact.envs.web.wiki import WIKI
from thinkact.envs.web.wiki_env import WikiEnv

PLAIN = Knobs()


class Reader(Visitor):
    """Somebody who looks up articles."""

    def article(self, where="NOT protected AND body LIKE '%== %'"):
        return self.db.execute(f"SELECT * FROM article WHERE {where} ORDER BY id LIMIT 1").fetchone()

    def body(self, article):
        return self.db.execute("SELECT body FROM article WHERE id = ?", (article["id"],)).fetchone()[0]


@pytest.fixture
def reader():
    made = Reader(WIKI)
    yield made
    made.close()


def test_the_stored_form_is_a_fixed_point_and_sections_add_up(reader):
    for (body,) in reader.db.execute("SELECT body FROM revision").fetchall():
        assert wiki_text.normal(body) == body
        parts = wiki_text.sections(body)
        for number, (_, text) in enumerate(parts):
            assert wiki_text.with_section(body, number, text) == body
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choice(["a", "|", "*", "\n", "== b ==", "[[c|d]]", " ", "\r\n", "="]) for _ in range(30))
        once = wiki_text.normal(text)
        assert wiki_text.normal(once) == once, text


def test_what_is_typed_stays_text(reader):
    article = reader.article()
    hostile = '<script>alert(1)</script> [[<img src=x>|"><b>]] [[javascript:alert(1)]]'
    reader.ask("POST", f"/edit/{wiki_text.path_of(article['title'])}", text=hostile, section="", do="save")
    page = reader.ask("GET", f"/wiki/{wiki_text.path_of(article['title'])}").text
    assert "<script>alert" not in page and "<img" not in page and "<b>" not in page
    assert 'href="javascript' not in page and "/wiki/javascript%3Aalert" in page


def test_an_undone_edit_is_no_damage_but_its_versions_stay(reader):
    article = reader.article()
    path = wiki_text.path_of(article["title"])
    reader.ask("POST", f"/edit/{path}", text="gone", section="", do="save", summary="oops")
    assert reader.body(article) == "gone"
    last = reader.db.execute("SELECT max(id) FROM revision WHERE article_id = ? AND body != 'gone'", (article["id"],))
    reader.ask("POST", f"/restore/{last.fetchone()[0]}")
    assert reader.body(article) == article["body"]
    assert {(each.table, each.op) for each in reader.site.store.changes()} == {("revision", "insert")}


def test_previews_and_edits_without_a_change_store_nothing(reader):
    article = reader.article()
    path = wiki_text.path_of(article["title"])
    assert "only a preview" in reader.ask("POST", f"/edit/{path}", text="x", section="0", do="preview").text
    assert (
        "Nothing was changed" in reader.ask("POST", f"/edit/{path}", text=article["body"], section="", do="save").text
    )
    assert reader.site.store.changes() == []


def test_moving_leaves_a_redirect_that_leads_on(reader):
    article = reader.article()
    reader.ask("POST", f"/move/{wiki_text.path_of(article['title'])}", title="Somewhere else", redirect="1")
    page = reader.ask("GET", f"/wiki/{wiki_text.path_of(article['title'])}").text
    assert "<h1>Somewhere else</h1>" in page and "Redirected from" in page


@pytest.mark.parametrize("action", ["edit", "move", "categories-of"])
def test_protected_pages_keep_everybody_out(reader, action):
    article = reader.article("protected")
    path = wiki_text.path_of(article["title"])
    for method in ("GET", "POST"):
        reply = reader.ask(method, f"/{action}/{path}", text="x", section="", do="save", title="Y", name="Z")
        assert reply.status_code == 403 and "protected" in reply.text
    for (version,) in reader.db.execute("SELECT id FROM revision WHERE article_id = ?", (article["id"],)).fetchall():
        assert reader.ask("POST", f"/restore/{version}").status_code == 403
    assert reader.site.store.changes() == []


@pytest.mark.parametrize("title", ["", "A|B", "[[A]]", "x" * 81, "List of offices", "a/b", "<b>"])
def test_impossible_titles_are_refused(reader, title):
    article = reader.article()
    reply = reader.ask("POST", f"/move/{wiki_text.path_of(article['title'])}", title=title)
    assert reply.status_code in (400, 409) and reader.site.store.changes() == []


def test_the_expert_sees_that_a_page_is_protected_whoever_is_named_on_it(chrome):
    env = WikiEnv(level=0, infeasible=1, split="hidden")
    problems = (build("hidden", "wiki/protected-edit", number, Knobs(), "plain") for number in range(400))
    named = "SELECT count(*) FROM article WHERE protected AND instr(body, '[[Edit') AND instr(?, title)"
    found = next(p for p in problems if p and p.starts["wiki"].db.execute(named, (p.task.prompt,)).fetchone()[0])
    _, steps = play_expert(env, found.id)
    assert sum(step.reward for step in steps) == pytest.approx(1)
    env.close()
