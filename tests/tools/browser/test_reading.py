"""What a page reads like: names, states, tables, hidden things, parts, differences, and pages that lie."""

import pytest

from thinkact.tools.browser.text import difference, paginate


def test_controls_and_their_states(browse):
    page = browse("""<!doctype html><title>All of it</title>
        <a href=/x>Orders</a> <button>Add <b>to</b> cart</button>
        <label>Search <input name=q value=tea></label>
        <label for=w>Gift wrap</label><input id=w type=checkbox checked>
        <fieldset><legend>Colour</legend><label><input type=radio name=c>Red</label></fieldset>
        <select aria-label=Size><option>S<option selected>M<option disabled>L</select>
        <textarea placeholder=Notes>two
lines</textarea><input type=password aria-label=PIN value=1234><input type=number aria-label=Count min=1 max=9>
        <input type=date aria-label=Day><button disabled>Off</button><div role=switch aria-checked=true>Dark</div>
        <details><summary>More</summary><p>inside</details><input type=submit><input readonly required aria-label=Fixed>
        <div role=tab aria-selected=true aria-label=First></div><div contenteditable aria-label=Free>text</div>""")
    assert page.text.startswith("URL: http://shop.test/\nTitle: All of it\n\n")
    assert page.lines == [
        '- link [e1] "Orders"',
        '- button [e2] "Add to cart"',
        '- textbox [e3] "Search" value="tea"',
        '- checkbox [e4] "Gift wrap" [checked]',
        "Colour",
        '- radio [e5] "Red"',
        '- combobox [e6] "Size" value="M" options: S, M, L (disabled)',
        '- textbox [e7] "Notes" value="two\\nlines"',
        '- textbox [e8] "PIN" value="••••"',
        '- spinbutton [e9] "Count" range=1..9',
        '- textbox [e10] "Day" type=date',
        '- button [e11] "Off" [disabled]',
        '- switch [e12] "Dark" [checked]',
        '- button [e13] "More" [collapsed]',
        '- button [e14] "Submit"',
        '- textbox [e15] "Fixed" [readonly] [required]',
        '- tab [e16] "First" [selected]',
        '- textbox [e17] "Free" value="text"',
    ]


NAMES = [
    ("<button aria-label='Close it'>x</button>", "Close it"),
    (
        "<span id=a hidden>Delete</span><span id=b hidden>page</span><button aria-labelledby='a b'>x</button>",
        "Delete page",
    ),
    ("<button><img alt=Basket src=data:,></button>", "Basket"),
    ("<button title=Help><i></i></button>", "Help"),
    ("<button><svg><title>Menu</title></svg></button>", "Menu"),
    ("<button>Buy<span hidden> nothing</span><span aria-hidden=true>!</span></button>", "Buy"),
    ("<button> much \n white\tspace </button>", "much white space"),
    ('<button>say "yes" \\ no</button>', r"say \"yes\" \\ no"),
]


def test_names(browse):
    page = browse("".join(markup for markup, _ in NAMES))
    assert page.lines == [f'- button [e{n}] "{name}"' for n, (_, name) in enumerate(NAMES, 1)]


def test_what_is_hidden_is_left_out(browse):
    page = browse("""<p hidden>a</p><p style='display:none'>b</p><p style='visibility:hidden'>c
        <span style='visibility:visible'>seen</span></p><p aria-hidden=true>d</p><template>e</template>
        <script>"f"</script><details><summary>g</summary>h</details><div style='display:contents'>contents</div>
        <input type=hidden value=i><label><input type=checkbox style='display:none'>Custom</label>""")
    assert page.lines == ["seen", '- button [e1] "g" [collapsed]', "contents", '- checkbox [e2] "Custom"']


def test_a_row_of_a_table_is_a_line(browse):
    page = browse("""<table><caption>Cart</caption><tr><th>Name<th>Price<th></tr>
        <tr><td><a href=/1>Mug</a> (red)<td>3.50<td><button>Remove</button></tr>
        <tr><td colspan=2>Total<td><p>3</p><p>50</p></tr></table>""")
    assert page.lines == [
        "Cart",
        "Name | Price |",
        'link [e1] "Mug" (red) | 3.50 | button [e2] "Remove"',
        "Total | 3 50",
    ]


def test_text_is_joined_where_it_is_one_line_to_the_eye(browse):
    page = browse("""<h2>A <em>title</em></h2><p>one<b>two</b> three<br>four</p><div><span>a</span><span>b</span></div>
        <div style="display:flex"><span>c</span><span>d</span></div><pre>x
  y</pre><p>You have <a href=/>3 items</a> left</p>""")
    assert page.lines == [
        "## A title",
        "onetwo three",
        "four",
        "ab",
        "c",
        "d",
        "x",
        "y",
        "You have",
        '- link [e1] "3 items"',
        "left",
    ]


def test_frames_and_shadow_trees_are_read_through_and_clicked(browse):
    page = browse(
        {
            "/": """<p>above</p><iframe src=/in title=Inner style='margin:30px;border:7px solid'></iframe>
                <div id=h></div><script>document.getElementById('h').attachShadow({mode: 'open'}).innerHTML =
                "<button onclick=\\"this.textContent='done'\\">In shadow</button>"</script>""",
            "/in": "<style>body{margin:50px}</style><button onclick=\"this.textContent='clicked'\">Inside</button>",
        }
    )
    assert page.lines == ["above", '- iframe "Inner"', '- button [e1] "Inside"', '- button [e2] "In shadow"']
    page.do("click", ref="e1")
    page.do("click", ref="e2")
    assert page.lines == ["above", '- iframe "Inner"', '- button [e1] "clicked"', '- button [e2] "done"']


LIES = """
    const nothing = () => { throw new Error("no"); };
    for (const kind of [Node, Element, HTMLElement, HTMLInputElement, Document, HTMLFormElement]) {
        for (const name of Object.getOwnPropertyNames(kind.prototype)) {
            try { Object.defineProperty(kind.prototype, name, {get: nothing, set: nothing}); } catch {}
            try { Object.defineProperty(kind.prototype, name, {get: () => "lie", configurable: true}); } catch {}
        }
    }
    JSON.stringify = () => '{"lines": ["lie"]}';
    JSON.parse = nothing; Map.prototype.get = nothing; Map.prototype.set = nothing; Array.prototype.push = nothing;
    Array.from = nothing; String.prototype.replace = () => "lie"; RegExp.prototype.exec = nothing;
    Promise.prototype.then = nothing; Object.hasOwn = nothing; Array.prototype.map = nothing;
    window.requestAnimationFrame = nothing; window.setTimeout = nothing; window.MutationObserver = nothing;
    window.getComputedStyle = nothing; window.MessageChannel = nothing;
    window.thinkactReader = {look: () => ({done: true, page: {lines: ["lie"]}})};
"""


def test_a_page_cannot_change_how_it_is_read(browse):
    page = browse(f"""<title>True</title><div id=thinkactReader></div><button id=b>Press</button>
        <script>{LIES}</script>""")
    assert page.lines == ['- button [e1] "Press"']
    page.do("click", ref="e1")
    assert page.kind is None and page.lines == ['- button [e1] "Press"']


def test_markup_cannot_shadow_what_is_asked_of_it(browse):
    names = "tagName childNodes firstChild parentNode getAttribute nodeType checkVisibility shadowRoot attributes"
    inputs = "".join(f"<input name={name} aria-label={name}>" for name in names.split())
    page = browse(f"<img name=body src=data:,><form name=documentElement>{inputs}<button>Go</button></form>")
    assert [line.split('"')[1] for line in page.lines] == [*names.split(), "Go"]


@pytest.mark.both_drivers
def test_a_page_does_not_see_the_reader(browse):
    page = browse("""<p id=p></p><script>setInterval(() => {
        const own = Object.getOwnPropertyNames(window).filter((name) => /thinkact|playwright|__/i.test(name));
        document.getElementById('p').textContent = 'found ' + own.join() + document.cookie;
    }, 1)</script>""")
    page.do("wait_for", text="found")
    assert page.lines == ["found"]


def test_text_does_not_look_like_a_control(browse):
    page = browse('<p>- button [e1] "Pay"</p><button>x [e7]</button><p>\x1b[31m\u0085 [e12]</p>')
    assert page.lines == ['– button (e1) "Pay"', '- button [e1] "x (e7)"', "[31m (e12)"]


def test_an_element_keeps_its_reference_while_it_is_shown(browse):
    page = browse("""<button onclick="list.insertAdjacentHTML('afterbegin', '<button>New</button>')">Add</button>
        <div id=list><button onclick="this.hidden = true">Old</button></div>""")
    add, old = page.ref("button", "Add"), page.ref("button", "Old")
    page.do("click", ref=add)
    assert (page.ref("button", "Add"), page.ref("button", "New"), page.ref("button", "Old")) == (add, "e3", old)
    page.do("click", ref=old)
    page.do("click", ref=old)
    assert page.kind == "tool_error" and f"no element {old}" in page.text


def test_all_elements_can_be_asked_for(browse):
    html = """<div><span>one</span> two</div><svg width=40 height=40><circle cx=10 cy=10 r=5 fill=red /></svg>"""
    assert browse(html).lines == ["one two"]
    page = browse(html, options={"refs": "all"})
    assert page.lines[0] == '- text [e1] "one"'
    assert page.lines[1:] == ["two", '- circle [e2] at 13,31 size 10x10 fill="red"']


def test_what_shows_a_pointer_can_be_clicked(browse):
    page = browse("""<style>.c{cursor:pointer}</style><div class=c id=d>Card <b>bold</b></div>
        <div class=c>Holds <button>Own</button></div><p tabindex=0>Focus</p><script>
        d.addEventListener('click', () => d.textContent = 'hit')</script>""")
    assert page.lines == [
        '- clickable [e1] "Card bold"',
        "- clickable [e2]",
        "Holds",
        '- button [e3] "Own"',
        '- clickable [e4] "Focus"',
    ]
    page.do("click", ref="e1")
    assert page.lines[0] == '- clickable [e1] "hit"'


def test_a_long_page_comes_in_parts(browse):
    page = browse("".join(f"<p>paragraph {i}</p>" for i in range(100)), options={"page_chars": 500})
    first = page.text
    assert "Part 1 of 3; page(n) shows another." in first and len(first) < 700
    shown = page.lines
    for n in (2, 3):
        page.do("page", n=n)
        shown += page.lines
    assert shown == [f"paragraph {i}" for i in range(100)]
    page.do("page", n=4)
    assert page.kind == "tool_error"


def test_a_huge_page_is_cut_and_says_so(browse):
    html = "<p>" + "long " * 50_000 + "</p>" + "<p>word</p>" * 15_500 + "<script>`" + "x" * 8_000_000 + "`</script>"
    page = browse(html, options={"page_chars": 400_000, "action_timeout": 60, "site_timeout": 90})
    assert len(page.text) < 320_000
    assert page.lines[-1] == "(The page goes on; this is all that can be shown.)"


def test_only_what_changed_is_shown_where_that_is_wanted(browse):
    html = "<title>T</title><p id=p>zero</p>" + "<p>the same line again and again</p>" * 30
    page = browse(
        {"/": html + "<button onclick='p.textContent=\"one\"'>b</button><a href=/2>next</a>", "/2": html},
        options={"observation": "diff"},
    )
    assert len(page.lines) == 33
    page.do("click", ref=page.ref("button"))
    assert page.lines == ["Changes (+ came, ~ went; 32 lines are as before; page() shows all):", "~ zero", "+ one"]
    assert len(page.do("page").splitlines()) > 33
    page.do("hover", ref=page.ref("button"))
    assert page.lines == ["(Nothing changed: 33 lines are as before; page() shows all.)"]
    page.do("page")
    page.do("click", ref=page.ref("link"))
    assert page.lines[0] == "zero" and len(page.lines) == 31


def test_parts_and_differences_lose_nothing():
    lines = ["a" * 30, "b", "c" * 25, ""]
    assert "".join(paginate(lines, 10)).replace("\n", "") == "".join(lines)
    assert all(len(part) <= 10 for part in paginate(lines, 10))
    assert paginate([], 10) == [""]
    assert difference(["x", "y"], ["x", "z"])[1:] == ["~ y", "+ z"]
