"""A state that was taken is brought back exactly, or refused."""

import json
import pickle

import pytest

from thinkact.tools.browser import BrowserFault, NotExact

FORM = """<title>Form</title><body style="height:3000px"><a href=/2>next</a><input aria-label=q><input type=password
    aria-label=pin><input type=checkbox aria-label=c><label><input type=radio name=r>A</label><label><input type=radio
    name=r>B</label><select aria-label=s><option>1<option>2</select><textarea aria-label=t></textarea>
    <details><summary>More</summary><button>In</button></details><p id=p></p>
    <script>addEventListener('change', (e) => e.target.ariaLabel === 'q' && (p.textContent = 'changed'))</script>"""
PAGES = {"/": FORM, "/2": "<title>Two</title><a href=/>back</a><input aria-label=z>"}


def states(page):
    return [page.handle.observe(), page.handle.snapshot()]


def test_a_state_is_a_value_and_comes_back_anywhere(browse):
    page = browse(PAGES)
    page.do("fill", ref=page.ref("textbox", "pin"), text="12")
    page.do("check", ref=page.ref("checkbox", "c"))
    page.do("check", ref=page.ref("radio", "B"))
    page.do("select", ref=page.ref("combobox", "s"), option="2")
    page.do("fill", ref=page.ref("textbox", "t"), text="two\nlines")
    page.do("click", ref=page.ref("button", "More"))
    page.do("fill", ref=page.ref("textbox", "q"), text="tea")
    page.do("scroll", direction="down")
    text, state = states(page)
    assert 'value="tea"' in text and "[expanded]" in text and "Focus: textbox" in text
    assert json.loads(json.dumps(state)) == state == pickle.loads(pickle.dumps(state))
    page.do("click", ref=page.ref("link"))
    after = page.text
    other = browse(PAGES)
    for _ in range(2):
        for each in (page, other):
            each.handle.restore(state)
            assert states(each) == [text, state]
            # What the page does next is the same as well: leaving a field that was written in is a change.
            each.do("click", ref=page.ref("checkbox", "c") if "checkbox" in page.text else "e4")
            assert "changed" in each.text
    other.handle.restore(state)
    other.text = text
    other.do("click", ref=other.ref("link"))
    assert other.text == after


@pytest.mark.both_drivers
def test_tabs_history_and_storage_come_back(browse):
    pages = {
        "/": "<title>One</title><a href=/2>two</a><p id=p></p><script>p.textContent = localStorage.n +"
        " sessionStorage.m + document.cookie</script>",
        "/2": "<title>Two</title><script>localStorage.n = 1; sessionStorage.m = 2; document.cookie = 'k=3'</script>",
    }
    page = browse(pages)
    page.do("click", ref="e1")
    page.do("goto", url="/")
    page.do("open_tab", url="/2")
    page.do("switch_tab", n=1)
    text, state = states(page)
    assert page.lines[-1] == "12k=3"
    other = browse(pages)
    other.do("open_tab", url="/")
    other.do("open_tab", url="/")
    other.handle.restore(state)
    assert states(other) == [text, state]
    for _ in range(2):
        assert other.do("back") == page.do("back")
    assert other.handle.title == "One" and other.do("switch_tab", n=2) == page.do("switch_tab", n=2)


def test_what_cannot_come_back_exactly_is_refused(browse):
    counted = []
    page = browse(
        {
            "/": lambda r: f"<p>visit {counted.append(1) or len(counted)}</p>",
            "/free": "<div contenteditable aria-label=d></div>",
            "/post": lambda r: f"<form method=post><button>{r.method}</button></form>",
            "/script": "<p id=p>0</p><button onclick='p.textContent++'>more</button>",
        }
    )
    for path, call in (
        ("/", None),
        ("/free", ("fill", "textbox", "text")),
        ("/post", ("click", "button", None)),
        ("/script", ("click", "button", None)),
    ):
        page.do("goto", url=path)
        if call:
            page.do(call[0], ref=page.ref(call[1]), **({"text": "new"} if call[2] else {}))
        state = page.handle.snapshot()
        with pytest.raises(NotExact):
            page.handle.restore(state)
        page.do("goto", url="/script")
        assert page.kind is None


def test_a_page_that_has_not_settled_has_no_state(browse):
    import asyncio

    page = browse(
        {"/": "<button onclick=\"fetch('/never')\">b</button>", "/never": lambda r: asyncio.sleep(3600)},
        options={"action_timeout": 0.5},
    )
    page.do("click", ref="e1")
    with pytest.raises(NotExact):
        page.handle.snapshot()


def test_a_closed_browser_has_none(browse):
    page = browse("<p>x")
    page.handle.close()
    page.handle.close()
    with pytest.raises(BrowserFault):
        page.handle.snapshot()
