"""What the calls do to a page, and what they refuse."""

import json

import pytest

from thinkact.tools import tool_schema
from thinkact.tools.browser import BrowserHandle, browser_tools

HEARD = """<p id=log style="height:80px"></p><script>
    const log = (what) => document.getElementById('log').append(what + ' ');
    for (const type of ['mousedown', 'click', 'dblclick', 'keydown', 'input', 'change', 'focusin', 'mouseover'])
        document.addEventListener(type, (e) => e.target.closest('.t') &&
            log(e.isTrusted ? type : type.toUpperCase()), true);</script>"""


def heard(page):
    return page.lines[0].split()


def test_a_click_is_a_person_s(browse):
    page = browse(HEARD + "<button class=t>Go</button>")
    page.do("click", ref="e1")
    assert heard(page) == ["mouseover", "mousedown", "focusin", "click"]
    page.do("click", ref="e1", double=True)
    assert heard(page)[4:] == ["mousedown", "click", "mousedown", "click", "dblclick"]


def test_filling_is_typing(browse):
    page = browse(HEARD + "<input class=t aria-label=q value=old><button>b</button>")
    page.do("fill", ref="e1", text="né x")
    assert page.lines[1] == '- textbox [e1] "q" value="né x"'
    assert heard(page).count("input") == 4 and heard(page).count("keydown") >= 3 and "change" not in heard(page)
    page.do("click", ref="e2")
    assert heard(page)[-1] == "change"
    page.do("fill", ref="e1", text="")
    assert page.lines[1] == '- textbox [e1] "q"'
    page.do("fill", ref="e1", text="long " * 100)
    assert len(page.handle._open.tab.seen["state"]["fields"][0][2]) == 500


def test_fields_of_every_kind_are_filled(browse):
    page = browse("""<textarea aria-label=a>x</textarea><input type=number aria-label=n><input type=date aria-label=d>
        <div contenteditable aria-label=c>old</div><input type=range aria-label=r><input type=email aria-label=m>
        <input aria-label=short maxlength=3>""")
    for ref, text in (
        ("e1", "one\ntwo"),
        ("e2", "12"),
        ("e3", "2026-02-03"),
        ("e4", "new"),
        ("e5", "70"),
        ("e6", "a@b.c"),
    ):
        page.do("fill", ref=ref, text=text)
        assert page.kind is None, page.text
    page.do("fill", ref="e7", text="abcdef")
    assert [line.partition("value=")[2].split(" ")[0] for line in page.lines] == [
        '"one\\ntwo"',
        '"12"',
        '"2026-02-03"',
        '"new"',
        '"70"',
        '"a@b.c"',
        '"abc"',
    ]
    page.do("fill", ref="e3", text="tomorrow")
    assert page.kind == "tool_error" and "2026-01-31" in page.text
    page.do("page")
    assert 'value="2026-02-03"' in page.text


def test_enter_submits(browse):
    page = browse(
        {"/": "<form action=/s><input name=q></form><textarea></textarea>", "/s": lambda r: f"<p>{r.query['q']}"}
    )
    page.do("fill", ref="e2", text="x", submit=True)
    assert page.kind == "tool_error" and "several lines" in page.text
    page.do("fill", ref="e1", text="a & b", submit=True)
    assert page.handle.url == "http://shop.test/s?q=a+%26+b" and page.lines == ["a & b"]


def test_an_option_is_chosen_by_what_is_shown(browse):
    page = browse(
        HEARD
        + """<select class=t aria-label=s><option value=1>Small<option value=2>Large<option disabled>No</select>
        <select class=t aria-label=m multiple><option>A<option>B</select><button>b</button>"""
    )
    page.do("select", ref="e1", option="large")
    assert page.lines[1] == '- combobox [e1] "s" value="Large" options: Small, Large, No (disabled)'
    assert heard(page)[-2:] == ["INPUT", "CHANGE"]  # no mouse reaches a browser's own list
    page.do("select", ref="e1", option="1")
    assert 'value="Small"' in page.lines[1]
    page.do("select", ref="e2", option="A")
    page.do("select", ref="e2", option="B")
    assert '"m" value="A, B"' in page.lines[2]
    page.do("select", ref="e2", option="A")
    assert '"m" value="B"' in page.lines[2]
    for option, words in (("Huge", "Options: Small, Large, No"), ("No", "disabled")):
        page.do("select", ref="e1", option=option)
        assert page.kind == "tool_error" and words in page.text
    page.do("select", ref="e3", option="A")
    assert page.kind == "tool_error"


def test_a_box_is_checked_once(browse):
    page = browse("""<label><input type=checkbox>One</label><label><input type=radio name=r>Two</label>
        <label><input type=checkbox style="display:none">Three</label>
        <div role=switch aria-checked=false onclick="this.setAttribute('aria-checked', 'true')">Four</div>""")
    for ref in ("e1", "e2", "e3", "e4", "e1", "e2", "e3", "e4"):
        page.do("check", ref=ref)
        assert page.kind is None, page.text
    assert [line.endswith("[checked]") for line in page.lines] == [True] * 4
    page.do("check", ref="e1", checked=False)
    assert not page.lines[0].endswith("[checked]")
    page.do("check", ref="e2", checked=False)
    assert page.kind == "tool_error" and "another" in page.text


def test_keys(browse):
    page = browse("""<p id=log></p><input aria-label=q value=abc><button>b</button><script>
        addEventListener('keydown', (e) => /^(Sh|Con)/.test(e.key) || log.append(
            (e.ctrlKey ? 'C-' : '') + (e.shiftKey ? 'S-' : '') + e.key + ' '))
        </script>""")
    for key in ("Tab", "ctrl+a", "x", "Shift+Tab", "escape", "+", "Control++", "ArrowDown"):
        page.do("press", key=key)
        assert page.kind is None, page.text
    assert page.lines[0] == "Tab C-a x S-Tab Escape + C-+ ArrowDown"
    assert page.lines[1] == '- textbox [e1] "q" value="x"'
    for key in ("Hyper+x", "F99", "Control", "Enter+a", "ab"):
        page.do("press", key=key)
        assert page.kind == "invalid_arguments", key


def test_what_cannot_be_done_is_said_and_changes_nothing(browse):
    page = browse("""<button disabled>Off</button><button id=c onclick="this.textContent='clicked'">Under</button>
        <div role=dialog aria-label=Cookies style="position:fixed;inset:0;background:#fff"><button>Accept</button></div>
        <input type=file aria-label=File><input readonly value=1 aria-label=Fixed>""")
    before = page.text
    for call, words in (
        (dict(name="click", ref="e1"), 'e1 (button "Off") is disabled'),
        (dict(name="click", ref="e2"), 'e2 (button "Under") is covered by dialog "Accept"'),
        (dict(name="click", ref="e99"), "no element e99"),
        (dict(name="fill", ref="e3", text="x"), "takes no text"),
        (dict(name="check", ref="e3"), "no checkbox"),
        (dict(name="back"), "no page before"),
        (dict(name="close_tab", n=1), "the only tab"),
        (dict(name="switch_tab", n=2), "1 tab"),
    ):
        assert words in page.do(**call) and page.kind == "tool_error", page.text
    for call in (
        dict(name="click", ref="button"),
        dict(name="click", ref=""),
        dict(name="switch_tab", n=200),
        dict(name="click_at", x=5000, y=1),
        dict(name="goto", url="http://other.test/"),
    ):
        page.do(**call)
        assert page.kind == "invalid_arguments", page.text
    assert page.handle.observe() == before


def test_an_element_below_the_fold_is_scrolled_to(browse):
    page = browse("""<div style="height:5000px">top</div><button onclick="this.textContent=scrollY>3000">Low</button>
        <div id=s style="height:60px;overflow:auto"><div style="height:900px">in</div>
        <button onclick="this.textContent='in box'">Deep</button></div>""")
    page.do("click", ref="e1")
    page.do("click", ref="e2")
    assert [page.ref("button", "true"), page.ref("button", "in box")] == ["e1", "e2"]


def test_scrolling_loads_more(browse):
    page = browse("""<div id=d style="height:3000px">top</div><script>
        addEventListener('scroll', () => scrollY > 1500 && (document.title = 'low'))</script>""")
    for title in ("", "", "low"):
        page.do("scroll", direction="down")
        assert page.handle.title == title
    page.do("scroll", direction="top")
    assert page.handle.snapshot()["tabs"][0]["state"]["scroll"] == [0, 0]


def test_hovering_shows_a_menu(browse):
    page = browse(
        "<style>ul{display:none}div:hover ul{display:block}</style><div tabindex=0>Menu<ul><li>Item</ul></div>"
    )
    page.do("hover", ref="e1")
    assert page.lines == ['- clickable [e1] "Menu Item"']


def test_back_opens_the_address_before(browse):
    pages = {f"/{n}": f"<title>{n}</title><a href=/{n + 1}>next</a>" for n in range(4)}
    page = browse(pages, "/0")
    for n in (1, 2):
        page.do("click", ref=page.ref("link"))
        assert page.handle.title == str(n)
    page.do("back")
    assert page.handle.title == "1"
    page.do("click", ref=page.ref("link"))
    for title in ("1", "0"):
        page.do("back")
        assert page.handle.title == title
    page.do("back")
    assert page.kind == "tool_error"


@pytest.mark.both_drivers
def test_tabs(browse):
    pages = {
        "/": "<title>First</title><a href=/2 target=_blank>two</a><button onclick=\"window.open('/3')\">three</button>",
        "/2": "<title>Second</title><button onclick=window.close()>close</button>",
        "/3": "<title>Third</title><script>opener.document.title = 'Changed'</script>",
    }
    page = browse(pages, options={"max_tabs": 3})
    page.do("click", ref="e1")
    assert "Tabs: 1 First; *2 Second" in page.text and page.handle.url == "http://shop.test/2"
    page.do("switch_tab", n=1)
    page.do("click", ref="e2")
    assert "Tabs: 1 First; 2 Second; *3 Third" in page.text
    page.do("open_tab", url="/2")
    assert page.kind == "tool_error" and "close one first" in page.text
    page.do("switch_tab", n=1)
    assert page.handle.title == "Changed"
    page.do("click", ref="e1")
    assert "too many" in page.text and "Tabs: *1 Changed" in page.text
    page.do("close_tab", n=3)
    page.do("switch_tab", n=2)
    page.do("click", ref=page.ref("button", "close"))
    assert "Tabs" not in page.text and page.handle.title == "Changed"
    page.do("open_tab", url="shop.test/2")
    assert "Tabs: 1 Changed; *2 Second" in page.text


def test_waiting_for_a_text(browse):
    page = browse(
        "<p id=p></p><button onclick=\"setTimeout(() => p.textContent = 'Now', 300)\">b</button>",
        options={"action_timeout": 3},
    )
    page.do("click", ref="e1")
    assert "Now" not in page.text
    page.do("wait_for", text="now")
    assert page.kind is None and page.lines[0] == "Now"
    page.do("wait_for", text="never")
    assert page.kind == "tool_error" and "did not appear" in page.text


@pytest.mark.both_drivers
def test_dialogs_are_answered_and_told(browse):
    html = """<p id=p></p><button onclick="p.textContent = [alert('Saved\\n!'), confirm('Sure?'),
        prompt('Name?', 'Jo')]">
        b</button>"""
    page = browse(html)
    page.do("click", ref="e1")
    assert page.lines[0] == ",true,Jo"
    told = [line for line in page.text.splitlines() if line.startswith("Dialog")]
    assert told == [
        'Dialog: alert "Saved !" (accepted)',
        'Dialog: confirm "Sure?" (accepted)',
        "Dialog: prompt \"Name?\" (accepted with 'Jo')",
    ]
    assert "Dialog" not in page.do("page")
    page = browse(html, options={"dialogs": "dismiss"})
    page.do("click", ref="e1")
    assert page.lines[0] == ",false," and "(dismissed)" in page.text


def test_pixels(browse):
    page = browse(
        "<style>body{margin:0}</style><button style='width:50px;height:40px' onclick=\"this.textContent='hit'\">",
        options={"width": 200, "height": 100},
    )
    page.do("click_at", x=25, y=20)
    assert page.lines == ['- button [e1] "hit"']
    shot = page.handle.screenshot()
    assert shot[:8] == b"\x89PNG\r\n\x1a\n" and (shot[16:20], shot[20:24]) == (b"\0\0\0\xc8", b"\0\0\0\x64")


def test_schemas_are_json_and_closed():
    for tool in browser_tools(BrowserHandle(), pixels=True):
        schema = json.loads(json.dumps(tool_schema(tool)))["function"]
        assert schema["parameters"]["additionalProperties"] is False and schema["description"]
