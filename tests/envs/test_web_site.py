"""What all web applications share: databases with an audit, starts, pages and forms."""

import gc
import sqlite3
import weakref

import pytest

from thinkact.envs.web import look
from thinkact.envs.web.look.kept import Kept
from thinkact.envs.web.site import App, Knobs, Page, Site, clock, day, money
from thinkact.envs.web.store import Allowed, Goal, Store, start_of
from thinkact.envs.web.visitor import Visitor, ask

PLAIN = Knobs()


class Notes(App):
    """An application as small as one can be."""

    name, host, title = "notes", "notes.test", "Notes"
    schema = """
    CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE tag (id INTEGER PRIMARY KEY, note_id INTEGER NOT NULL REFERENCES note ON DELETE CASCADE, word TEXT);
    """

    def fill(self, db, rng, knobs):
        for number in range(3):
            note = db.execute("INSERT INTO note (text) VALUES (?)", (f"note {rng.random()}",)).lastrowid
            db.execute("INSERT INTO tag (note_id, word) VALUES (?, ?)", (note, f"t{number}"))

    def pages(self):
        return [
            Page("GET", "/", lambda web: web.render("error.html", status=200, message=web.query.get("q", ""))),
            Page("GET", "/sneaky", lambda web: self._write(web)),
            Page("POST", "/half", lambda web: self._half(web)),
            Page("POST", "/echo", lambda web: web.refuse(200, repr((web.text("a"), web.texts("b"), web.number("n"))))),
            Page("GET", "/count/{id:int}", lambda web, id: web.redirect("/", f"counted {id}")),
        ]

    def _write(self, web):
        web.write("DELETE FROM note")
        return web.redirect("/")

    def _half(self, web):
        web.write("DELETE FROM note")
        web.need("SELECT * FROM note")


NOTES = Notes()


@pytest.fixture
def store():
    made = Store(start_of(NOTES, "0", PLAIN))
    yield made
    made.close()


@pytest.fixture
def site():
    made = Site(NOTES, start_of(NOTES, "0", PLAIN), PLAIN)
    yield made
    made.store.close()


# Databases.


def test_what_is_undone_is_no_change(store):
    db = store.db
    assert store.changes() == []
    db.execute("UPDATE note SET done = 1 WHERE id = 2")
    assert [str(each) for each in store.changes()] == ["update note 2 (done)"]
    db.execute("UPDATE note SET done = 0 WHERE id = 2")
    db.execute("INSERT INTO note (text) VALUES ('new')")
    db.execute("DELETE FROM note WHERE text = 'new'")
    assert store.changes() == [] and store.writes() > 0


def test_a_row_that_comes_back_under_another_id_is_no_change(store):
    row = store.db.execute("SELECT note_id, word FROM tag WHERE id = 1").fetchone()
    store.db.execute("DELETE FROM tag WHERE id = 1")
    assert [each.op for each in store.changes()] == ["delete"]
    store.db.execute("INSERT INTO tag (note_id, word) VALUES (?, ?)", tuple(row))
    assert store.changes() == []


def test_replacing_and_cascading_do_not_go_behind_the_audit(store):
    store.db.execute("INSERT OR REPLACE INTO note (id, text) VALUES (1, 'other')")
    found = {(each.table, each.id, each.op) for each in store.changes()}
    assert ("note", 1, "update") in found and ("tag", 1, "delete") in found


def test_a_moved_id_is_seen_on_both_sides(store):
    store.db.execute("PRAGMA foreign_keys = 0")
    store.db.execute("UPDATE note SET id = 9 WHERE id = 3")
    assert store.changes() == []  # the same row under another number
    store.db.execute("UPDATE note SET text = 'x' WHERE id = 9")
    assert {(each.id, each.op) for each in store.changes()} == {(3, "delete"), (9, "insert")}


@pytest.mark.parametrize("sql", ["UPDATE _audit SET op = 'x'", "DELETE FROM _audit", "UPDATE _audit SET seq = seq + 9"])
def test_the_audit_can_only_grow(store, sql):
    store.db.execute("UPDATE note SET done = 1")
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        store.db.execute(sql)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Allowed("note"), 1),
        (Allowed("note", "id = 2"), 2),
        (Allowed("note", columns=("done",)), 2),
        (Allowed("note", columns=("done",), ops=("update",)), 2),
        (Allowed("note", ops=("insert",)), 3),
        (Allowed("tag"), 2),
        (Allowed("tag", "word = ?", params=("t0",)), 2),
        (Allowed("tag", "word = 't1'"), 3),
        (Allowed("note", "done = 1"), 2),
    ],
)
def test_only_what_a_rule_names_is_allowed(store, rule, left):
    store.db.execute("UPDATE note SET done = 1 WHERE id = 1")
    store.db.execute("UPDATE note SET text = 'x' WHERE id = 2")
    store.db.execute("DELETE FROM tag WHERE id = 1")
    assert len(store.collateral(store.changes(), [rule])) == left
    assert len(store.collateral(store.changes(), [])) == 3


def test_snapshots_of_a_database_are_exact(store):
    before = store.snapshot()
    store.db.execute("DELETE FROM note")
    store.save_session({"a": 1})
    after = store.snapshot()
    store.restore(before)
    assert store.changes() == [] and store.session() == {} and store.snapshot() == before
    store.restore(after)
    assert store.session() == {"a": 1} and store.holds(Goal("", "SELECT count(*) = 0 FROM note"))


def test_a_start_that_anybody_holds_is_not_built_again_and_one_that_nobody_holds_is_forgotten():
    held = start_of(NOTES, "held", PLAIN)
    loose = start_of(NOTES, "loose", PLAIN)
    digest, loose = loose.digest, weakref.ref(loose)
    start_of.cache_clear()
    assert start_of(NOTES, "held", PLAIN) is held
    gc.collect()
    assert loose() is None
    assert start_of(NOTES, "loose", PLAIN).digest == digest


def test_an_application_that_nobody_asks_anything_of_has_no_database():
    class Idle(Notes):
        def fill(self, db, rng, knobs):
            raise AssertionError("nobody has looked")

    store = Store(start_of(Idle(), "0", PLAIN))
    assert (store.snapshot(), store.session(), store.changes(), store.writes()) == (b"", {}, [], 0)
    store.save_session({})
    store.restore(b"")
    assert store.equals(b"")
    with pytest.raises(AssertionError, match="nobody has looked"):
        store.holds(Goal("", "SELECT 1"))
    store.close()


def test_a_database_that_is_used_and_one_that_is_not_are_equal_while_nothing_is_written(store):
    goal = Goal("", "SELECT count(*) = 3 FROM note")
    assert store.holds(goal) and store.snapshot() == b""
    used = Store(store.start)
    used.db.execute("SELECT * FROM note").fetchall()
    assert used.snapshot() and used.equals(b"") and store.equals(used.snapshot()) and used.holds(goal)
    used.db.execute("DELETE FROM note")
    assert not used.equals(b"") and not store.equals(used.snapshot()) and not used.holds(goal)
    used.restore(b"")
    assert used.changes() == [] and used.holds(goal)
    used.close()
    with pytest.raises(ValueError, match="closed"):
        used.db  # noqa: B018


def test_a_schema_without_ids_is_refused():
    class Odd(Notes):
        schema = "CREATE TABLE note (text TEXT); CREATE TABLE tag (id INTEGER PRIMARY KEY, note_id, word)"

    with pytest.raises(ValueError, match="id INTEGER PRIMARY KEY"):
        start_of(Odd(), "0", PLAIN).db.execute("SELECT 1")


# Pages.


def test_asking_cannot_write(site):
    assert ask(site, "GET", "/sneaky").status_code == 500
    assert isinstance(site.fault, sqlite3.OperationalError)
    assert site.store.changes() == [] and site.store.writes() == 0


def test_a_page_that_refuses_has_changed_nothing(site):
    assert ask(site, "POST", "/half").status_code == 404
    assert site.fault is None and site.store.changes() == []


def test_words_of_visitors_are_inert(site):
    reply = ask(site, "GET", "/", params={"q": "<script>alert(1)</script>"})
    assert "<script>alert" not in reply.text and "&lt;script&gt;alert" in reply.text
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe-eval" not in policy


def test_forms_are_read_whatever_they_hold(site):
    posted = ask(site, "POST", "/echo?a=query", content=b"a=%00x&a=2&b=1&b=%ff&n=99999999999999&%zz")
    assert posted.status_code == 200
    assert ask(site, "POST", "/echo", content=b"x" * 100_000).status_code == 413
    assert ask(site, "POST", "/echo", content=b"&".join([b"a=1"] * 2000)).status_code == 200
    for path in ("/count/" + "9" * 40, "/count/-1", "/count/x", "/%ff", "/..%2f..%2fetc", "/reset", "/step", "/state"):
        assert ask(site, "GET", path).status_code == 404
    assert ask(site, "DELETE", "/").status_code == 405
    assert site.fault is None


def test_a_message_is_shown_once(site):
    assert ask(site, "GET", "/count/7").headers["Location"] == "/"
    assert "counted 7" in ask(site, "GET", "/").text
    assert "counted 7" not in ask(site, "GET", "/").text


def test_a_page_is_the_same_whether_its_template_was_compiled_before_or_is_damaged_or_cannot_be_kept(
    tmp_path, monkeypatch
):
    shown, loaded = [], []
    load = Kept.load_bytecode
    monkeypatch.setattr(Kept, "load_bytecode", lambda self, bucket: (load(self, bucket), loaded.append(bucket.code)))
    for folder in ("kept", "kept", "damaged", "file"):
        if folder == "damaged":
            for each in (tmp_path / "kept").rglob("*.cache"):
                each.write_bytes(each.read_bytes()[:40])
        monkeypatch.setenv("THINKACT_CACHE", str(tmp_path / folder.replace("damaged", "kept")))
        (tmp_path / "file").write_text("in the way")
        look.templates.cache_clear()
        loaded.clear()
        visitor = Visitor(NOTES)
        shown.append(visitor.ask("GET", "/?q=<b>%26").text)
        visitor.close()
        assert loaded and all(code is not None for code in loaded) == (len(shown) == 2), folder
    look.templates.cache_clear()
    assert len(set(shown)) == 1 and "&lt;b&gt;&amp;" in shown[0]


def test_amounts_and_days_are_shown_like_this():
    assert [money(0), money(5), money(-123456789)] == ["$0.00", "$0.05", "-$1,234,567.89"]
    assert day("2026-03-07") == "7 Mar 2026" and clock("2026-03-07 09:05") == "7 Mar 2026, 09:05"


def test_a_visitor_uses_a_site_without_a_browser_and_hears_of_its_faults():
    visitor = Visitor(NOTES)
    assert "counted 7" in visitor.ask("GET", "/count/7").text and visitor.site.store.changes() == []
    assert visitor.one("SELECT count(*) FROM note") == 3
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        visitor.ask("GET", "/sneaky")
    visitor.close()
