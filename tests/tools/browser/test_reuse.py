"""A context serves one episode after another, and none of them can tell: nothing of the one before is left."""

import pytest

from thinkact.tools.browser import BrowserHandle, BrowserOptions, Shell

LEAVES = """<title>T</title><p id=p>start</p><button id=b>Leave</button><a href=#x>hash</a>
<iframe src='http://in.shop.test/in'></iframe><script src=/kept.js></script><img src=/kept.svg><script>
const used = new Promise((done, failed) => {
    const asked = indexedDB.open('left', 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore('s').put('left', 'k');
    asked.onsuccess = () => { asked.result.close(); done(); };
    asked.onerror = failed;
});
b.onclick = async () => {
    document.cookie = 'left=1; max-age=1000';
    localStorage.left = sessionStorage.left = '1';
    name = 'left';
    history.pushState({left: 1}, '', '/two');
    await used;
    await navigator.storage?.getDirectory?.().then((d) => d.getFileHandle('left', {create: true})).catch(() => {});
    window.open('/popup', 'pop');
    addEventListener('unload', () => navigator.sendBeacon('/beacon', 'left'));
    p.textContent = 'left';
};
</script>"""
ASKS = """<title>T</title><p id=p>start</p>
<a href=# id=a style='position:absolute;left:0;top:0;width:1280px;height:720px'>over</a>
<script src=/kept.js></script><img src=/kept.svg><iframe src='http://in.shop.test/ask'></iframe><script>
const found = [];
const say = (what, is) => found.push(what + '=' + is);
say('cookie', document.cookie); say('local', Object.keys(localStorage)); say('session', Object.keys(sessionStorage));
say('name', name); say('history', history.length + JSON.stringify(history.state)); say('referrer', document.referrer);
say('opener', window.opener); say('navigation', performance.getEntriesByType('navigation')[0].type);
say('random', Math.random());
const inner = new Promise((r) => addEventListener('message', (e) => r(e.data)));
(async () => {
    say('databases', (await indexedDB.databases()).map((each) => each.name));
    say('other', await inner);
    // The browser moves the mouse over what is there now when it finds the time.
    for (let n = 0; n < 200 && !a.matches(':hover'); n++) await new Promise((r) => setTimeout(r, 20));
    say('hovered', a.matches(':hover'));
    const opened = window.open('', 'pop');
    say('window', opened ? opened.location.href : 'none');
    if (opened) opened.close();
    p.textContent = found.join('; ');
    document.title = 'asked';
})();
</script>"""
OTHER_LEAVES = """<p id=p>other</p><script>document.cookie = 'left=1'; localStorage.left = sessionStorage.left = '1';
    indexedDB.open('left', 1).onsuccess = () => p.textContent = 'left other'</script>"""
OTHER_ASKS = """<p id=p>other</p><script>indexedDB.databases().then((all) => {
    p.textContent = 'other: ' + [document.cookie, Object.keys(localStorage), Object.keys(sessionStorage), all.length];
    parent.postMessage(p.textContent, '*');
});</script>"""


def cached(kind, text):
    return (200, {"content-type": kind, "cache-control": "max-age=1000"}, text)


KEPT = {
    "/kept.js": cached("text/javascript", "var kept = 1"),
    "/kept.svg": cached("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg' width='5' height='5'/>"),
}
PAGES = {"/": LEAVES, "/ask": ASKS, "/popup": "<p>popup</p>", "/two": "<p>two</p>", **KEPT}
OTHER = {"/in": OTHER_LEAVES, "/ask": OTHER_ASKS}


def asked(page, site):
    """What a first page finds, as it is told to the agent, and what it asked its sites for."""
    page.open(site(PAGES), "/ask", more=others(site))
    page.do("wait_for", text="hovered")
    shown = page.do("page")
    page.do("open_tab", url="http://other.test/ask")
    page.do("wait_for", text="other:")
    return shown, page.do("page"), sorted(page.site.requests)


def others(site):
    """Two more sites: one in a frame, of the same domain, and one in a tab."""
    return {"in.shop.test": site(OTHER), "other.test": site(OTHER)}


def context(page):
    return page.handle._episode.lease.context


@pytest.mark.both_drivers
def test_nothing_of_an_episode_is_left_for_the_next_in_its_context(browse):
    def site(pages):
        return type(first.site)(pages)

    first = browse("<p>x</p>", options={"width": 900})
    other = browse("<p>x</p>", options={"width": 910})  # of its own kind: a context that nobody has used
    fresh = asked(other, site)
    assert "cookie=; local=; session=; name=; history=1null; referrer=; opener=null; navigation=navigate" in fresh[0]
    assert "databases=; other=other: ,,,0; hovered=true; window=about:blank" in fresh[0]
    assert "other: ,,,0" in fresh[1]
    used, served = [], 0
    for _ in range(8):
        page = first.open(site(PAGES), "/", more=others(site))
        used.append(context(page))
        page.do("click", ref=page.ref("button", "Leave"))
        page.do("open_tab", url="http://other.test/in")
        page.do("wait_for", text="left other")
        page.do("switch_tab", n=1)
        assert "left" in page.lines and "Tabs: *1" in page.text
        page.do("hover", ref=page.ref("link", "hash"))
        now = asked(page, site)
        served += context(page) in used
        assert now == fresh
        if served == 2:
            return
    raise AssertionError("no context served a second time")


def test_a_start_tells_the_page_and_may_begin_with_an_action(browse):
    page = browse("<p>x</p>")
    later = type(page.site)("<p id=p>now</p><script>setTimeout(() => p.textContent = 'then', 100)</script>")
    told = page.handle.start({"shop.test": later}, "http://shop.test/", first=("wait_for", {"text": "then"}))
    assert told.endswith("\n\nthen") and told == page.handle.observe()


def test_a_context_whose_episode_was_odd_serves_nobody_else(browse):
    page = browse(
        {"/": "<p>here</p><button onclick='for(;;);'>b</button>", "/2": "<p>two</p>"},
        options={"action_timeout": 0.7, "width": 920},
    )
    page.do("click", ref="e1")
    assert "ran too long and was stopped" in page.text
    hung = context(page)
    for _ in range(4):
        assert page.open("<p>next</p>").lines == ["next"]
        assert context(page) is not hung


@pytest.mark.both_drivers
@pytest.mark.parametrize(
    ("left", "told"),
    [("cookies", "1 cookies"), ("page", "2 targets"), ("session", "session storage of http://shop.test/")],
)
def test_a_wash_that_leaves_something_is_noticed(browse, monkeypatch, left, told):
    from thinkact.tools.browser import contexts

    async def nothing(*_, **__):
        return {"left": []}

    script = {"cookies": "document.cookie = 'left=1'", "page": "", "session": "sessionStorage.left = 1"}[left]
    width = {"cookies": 930, "page": 940, "session": 970}[left]
    page = browse(f"<p>0</p><script>{script}</script>", options={"width": width})
    episode = page.handle._episode
    if left == "cookies":
        monkeypatch.setattr(episode.lease.context, "clear_cookies", nothing)
    elif left == "page":
        page.do("open_tab", url="/")
        monkeypatch.setattr(episode.tabs[1].page, "close", nothing)
    else:
        monkeypatch.setattr(episode.tab, "call", nothing)

    async def wash():
        episode.host.server.dismiss(episode.visit)
        with pytest.raises(contexts.Unclean, match=told):
            await contexts.wash(episode.lease, ["other.test"])

    episode.host.call(wash(), 60)


def test_a_wash_asks_only_the_sites_that_keep_something_in_the_tab(browse, monkeypatch):
    from thinkact.tools.browser import contexts

    asked, visit = [], contexts._visit

    async def noted(tab, url, deadline):
        if tab is episode.tab:
            asked.append(url)
        await visit(tab, url, deadline)

    monkeypatch.setattr(contexts, "_visit", noted)
    uses = {
        "/": "<p>0</p><script>localStorage.here = 1</script>",
        "/gone": "<script>sessionStorage.left = 1; sessionStorage.clear()</script>",
        "/kept": "<script>sessionStorage.left = ''</script>",
    }
    hosts = ["shop.test", "a.shop.test", "b.shop.test", "other.test"]
    page = browse("<p>x</p>", options={"width": 960})
    page.open(uses, more={host: type(page.site)(uses) for host in hosts[1:]})
    episode = page.handle._episode
    for url in ("http://a.shop.test/kept", "http://b.shop.test/gone", "http://other.test/kept", "http://shop.test/"):
        page.do("goto", url=url)

    async def wash():
        episode.host.server.dismiss(episode.visit)
        return await contexts.wash(episode.lease, hosts)

    episode.host.call(wash(), 60)
    assert asked == ["http://a.shop.test/", "http://other.test/"] and not episode.tab.kept


SHELL = """<!doctype html><title></title><p id=p>nothing yet</p><script>
let told = 0;
addEventListener('popstate', async () => {
    document.documentElement.dataset.pending = 1;
    document.body.innerHTML = await (await fetch(location.href)).text();
    p.append(`, told ${++told}, cookie [${document.cookie}], local [${Object.keys(localStorage)}], `
        + `session [${Object.keys(sessionStorage)}], name [${name}], history ${history.length}, `
        + `referrer [${document.referrer}], random ${Math.random()}`);
    delete document.documentElement.dataset.pending;
});
document.addEventListener('click', () => {
    document.cookie = 'left=1';
    localStorage.left = sessionStorage.left = name = 'left';
    history.pushState(null, '', '#left');
    globalThis.told = told = 7;
    p.append(', left');
});
</script>"""


def test_a_first_page_is_fetched_into_a_shell_that_holds_nothing_of_the_episode_before(browse):
    shell = Shell("shop.test", SHELL, "default-src 'self' 'unsafe-inline'")
    handle = BrowserHandle(BrowserOptions(width=950))
    pages, contexts, asked = [], [], []

    async def site(scope, receive, send):
        asked.append((scope["path"], b"cookie" in dict(scope["headers"])))
        text = f"<p id=p>page {len(pages)}</p><button>Leave</button>".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": text})

    try:
        for _ in range(5):
            asked.clear()
            told = handle.start({"shop.test": site}, "http://shop.test/", shell=shell)
            pages.append(told.partition("\n\n")[2])
            contexts.append(handle._episode.lease.context)
            assert [path for path, _ in asked if path != "/favicon.ico"] == ["/"]
            assert not any(cookie for _, cookie in asked)
            if "told" in told:
                assert "left" in handle.act("click", {"ref": "e1", "double": False})[0]
            _spares_ready(handle)
    finally:
        handle.close()
    # The very first had no spare, and was loaded as ever; each of the others is as new, in a context used before, too.
    new = "told 1, cookie [], local [], session [], name [], history 1, referrer [], random 0."
    assert all(new in page for page in pages[1:]) and len(set(map(id, contexts))) < len(contexts)
    assert [f"page {n}" in page for n, page in enumerate(pages)] == [True] * 5
    assert len({page.partition("told")[2] for page in pages[1:]}) == 1


def _spares_ready(handle):
    """Wait until every context that is being made, or made as new, is there."""
    lease = handle._episode.lease

    async def wait():
        for spare in lease.chromium.spares.get(lease.window, []):
            await spare

    handle._episode.host.call(wait(), 60)


def test_a_shell_is_where_the_episode_begins():
    with pytest.raises(ValueError, match="is not where the shell is"):
        BrowserHandle().start(
            {"a.test": None, "b.test": None}, "http://a.test/", shell=Shell("b.test", "", "default-src 'none'")
        )
