"""A page is read when it has settled: never too early, and never later than the limit."""

import asyncio
import time

from thinkact.tools.browser import driver
from thinkact.tools.browser import host as hosts


async def slow(text, seconds=0.25):
    await asyncio.sleep(seconds)
    return text


ACTS = [
    "location.href = '/end'",
    "location.assign('/hop')",
    "document.getElementById('f').submit()",
    "document.getElementById('f').requestSubmit()",
    "setTimeout(() => location.replace('/hop'), 0)",
    "fetch('/end').then((r) => r.text()).then((t) => { document.body.innerHTML = t; })",
    "fetch('/hop').then((r) => fetch('/end')).then((r) => r.text()).then((t) => { document.body.innerHTML = t; })",
    "const x = new XMLHttpRequest(); x.open('GET', '/end'); x.onload = () => document.body.innerHTML = x.response;"
    " x.send()",
    "requestAnimationFrame(() => { document.body.innerHTML = '<p>end'; })",
    "const s = document.createElement('script'); s.src = '/s.js'; document.head.append(s)",
    "document.getElementById('i').src = '/end'",
    "window.open('/end')",
    "queueMicrotask(() => Promise.resolve().then(() => fetch('/end').then(() => location.href = '/end')))",
]


def test_what_an_action_sets_off_is_waited_for(browse):
    def start(request):
        return f"""<p>start</p><button id=b>Go</button><form id=f action=/hop></form><iframe id=i></iframe>
            <script>b.onclick = () => {{ {ACTS[int(request.query["n"])]} }}</script>"""

    pages = {
        "/": start,
        "/hop": lambda r: slow((303, {"location": "/end"}, ""), 0.1),
        "/end": lambda r: slow("<p>end</p>"),
        "/s.js": lambda r: slow((200, {"content-type": "text/javascript"}, "document.body.innerHTML = '<p>end'")),
    }
    page = browse(pages, "/?n=0", options={"max_tabs": len(ACTS)})
    for n, act in enumerate(ACTS):
        page.do("goto", url=f"/?n={n}")
        assert "start" in page.lines
        page.do("click", ref=page.ref("button"))
        assert "end" in page.lines, act


def test_a_soft_navigation_is_waited_for_by_its_own_counter(browse):
    page = browse("""<p id=p>start</p><button>Go</button><script>document.querySelector('button').onclick = () => {
        document.documentElement.dataset.pending = 2;
        setTimeout(() => document.documentElement.dataset.pending = 1, 100);
        setTimeout(() => { p.textContent = 'end'; document.documentElement.dataset.pending = 0; }, 200);
    }</script>""")
    page.do("click", ref="e1")
    assert page.lines[0] == "end"


def test_reading_counts_for_nothing_until_it_is_shown(browse):
    # Readings of a page that is still loading must not use up numbers: how many there are depends on time.
    body = "".join(f"<button>{i}</button>" for i in range(5))
    page = browse({"/": f"{body}<img src=/slow><button>last</button>", "/slow": lambda r: slow((404, {}, ""))})
    page.do("goto", url="/")
    assert page.ref("button", "0") == "e7"


def test_what_never_ends_is_not_waited_for_longer_than_the_limit(browse):
    pages = {
        "/": "<p>here</p><button onclick=\"fetch('/never')\">Go</button><a href=/never>x</a>",
        "/never": lambda r: asyncio.Event().wait(),
    }
    page = browse(pages, options={"action_timeout": 1.0, "site_timeout": 60})
    for ref in ("e1", "e2"):
        begun = time.monotonic()
        page.do("click", ref=ref)
        assert "The page did not finish loading." in page.text and "here" in page.lines
        assert time.monotonic() - begun < 30  # the limit, and the machine's other work
    page.do("goto", url="/never")
    assert "The page did not finish loading." in page.text
    page.do("goto", url="/")
    assert page.lines[0] == "here"


def test_a_stream_of_events_is_not_waited_for(browse):
    pages = {
        "/": "<p id=p>start</p><button id=b>Go</button><script>b.onclick = () => { p.textContent = 'end';"
        "new EventSource('/events') }</script>",
        "/events": lambda r: asyncio.sleep(3600),
    }
    page = browse(pages, options={"action_timeout": 2})
    page.do("click", ref="e1")
    assert page.lines[0] == "end"


FRAMED = """<button id=b onmousemove="this.textContent = 'moved'">b</button><p id=p>start</p>
<div style='height:3000px'></div><p id=q>below</p><script>
b.onclick = () => requestAnimationFrame(() => {
    p.textContent = 'a frame';
    setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => p.textContent = 'and two')), 200);
});
new IntersectionObserver((all) => { if (all.some((each) => each.isIntersecting)) q.textContent = 'met'; }).observe(q);
addEventListener('scroll', () => { document.title = 'scrolled'; });
</script>"""


def played(page):
    shown = [page.text, page.do("hover", ref="e1"), page.do("click", ref="e1"), page.do("wait_for", text="and two")]
    page.do("scroll", direction="bottom")
    return [*shown, page.do("wait_for", text="met"), page.handle.screenshot()]


def test_pages_do_the_same_whether_frames_are_asked_for_or_come_by_themselves(browse, monkeypatch):
    asked = played(browse(FRAMED))
    hosts.shut_down()
    monkeypatch.setattr(driver, "shell", lambda program: False)
    try:
        assert played(browse(FRAMED)) == asked
    finally:
        hosts.shut_down()
    for told, shown in zip(asked[1:], ("moved", "a frame", "and two", "met"), strict=False):
        assert shown in told
    assert "scrolled" in asked[4]
    assert asked[5].startswith(b"\x89PNG")
