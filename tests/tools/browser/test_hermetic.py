"""Nothing leaves: no page and no call reaches anything but the episode's own sites."""

import socket
import threading
from datetime import UTC, datetime

import pytest

from thinkact.tools.browser import BrowserFault, BrowserHandle
from thinkact.tools.browser.host import current


@pytest.fixture
def canary():
    """A port that notes whoever talks to it, by TCP or UDP."""
    heard = []
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))

    def listen():
        while True:
            try:
                talk, _ = tcp.accept()
            except OSError:
                return
            heard.append("tcp")
            talk.close()

    def packets():
        while True:
            try:
                data, _ = udp.recvfrom(2048)
            except OSError:
                return
            if data == b"stop":
                return
            heard.append("udp")

    threads = [threading.Thread(target=listen), threading.Thread(target=packets)]
    for thread in threads:
        thread.start()
    yield port, heard
    tcp.shutdown(socket.SHUT_RDWR)
    tcp.close()
    udp.sendto(b"stop", ("127.0.0.1", port))
    for thread in threads:
        thread.join()
    udp.close()


@pytest.mark.both_drivers
def test_a_page_reaches_nothing_but_its_sites(browse, canary):
    port, heard = canary
    own = current().server.port
    page = browse(
        {
            "/": f"""<p id=out></p><script>
        const hosts = ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '127.1.2.3', 'example.com',
            'a.example', '2130706433'];
        const tried = [];
        for (const host of hosts) {{
            const url = `http://${{host}}:{port}/`;
            tried.push(fetch(url, {{mode: 'no-cors'}}).then(() => 'reached ' + host, () => 'no'));
            tried.push(new Promise((r) => {{
                const i = new Image; i.onload = () => r('image'); i.onerror = () => r('no'); i.src = url; }}));
            tried.push(new Promise((r) => {{
                const w = new WebSocket(`ws://${{host}}:{port}/`);
                w.onopen = () => r('socket'); w.onerror = () => r('no'); }}));
            navigator.sendBeacon(url, 'x');
            for (const rel of ['dns-prefetch', 'preconnect', 'prefetch']) {{
                const link = document.createElement('link');
                link.rel = rel; link.href = url; document.head.append(link);
            }}
        }}
        for (const port of [{port}, {own}]) for (const how of ['http', 'https'])
            tried.push(fetch(`${{how}}://127.0.0.1:${{port}}/`).then(() => 'reached', () => 'no'));
        tried.push(new Promise((r) => {{
            const p = new RTCPeerConnection({{iceServers: [{{urls: 'stun:127.0.0.1:{port}'}},
                {{urls: 'turn:127.0.0.1:{port}?transport=tcp', username: 'u', credential: 'c'}}]}});
            p.createDataChannel('x'); const seen = [];
            p.onicecandidate = (e) => e.candidate && e.candidate.candidate
                ? seen.push(e.candidate.candidate) : r(seen.join() || 'no');
            p.createOffer().then((o) => p.setLocalDescription(o)); setTimeout(() => r(seen.join() || 'no'), 1500);
        }}));
        Promise.all(tried).then((all) => out.textContent = 'Done: ' + [...new Set(all)].join());
        </script><a href=http://127.0.0.1:{port}/>loopback</a><a href=/away>away</a>""",
            "/away": (302, {"location": f"http://127.0.0.1:{port}/"}, ""),
        }
    )
    page.do("wait_for", text="Done:")
    assert page.lines[0] == "Done: no"
    for name in ("loopback", "away"):
        page.do("click", ref=page.ref("link", name))
        assert page.text.startswith("URL: (this page could not be opened)")
        page.do("back")
        page.do("wait_for", text="Done:")
    assert heard == []


ELSEWHERE = [
    "file:///etc/passwd",
    "view-source:http://shop.test/",
    "chrome://version",
    "chrome://crash",
    "about:blank",
    "data:text/html,<p>x",
    "javascript:alert(1)",
    "blob:http://shop.test/x",
    "https://shop.test/",
    "http://shop.test:8080/",
    "http://shop.test:80/",
    "http://user@shop.test/",
    "http://127.0.0.1/",
    "http://localhost/",
    "http://shop.test.evil.example/",
    "http://other.test/",
    "//other.test/x",
    "http://shop.test\\@other.test/",
    "http://[::1/",
    "ftp://shop.test/",
    "http://SHOP.test@other.test/",
    "\\\\other.test\\x",
]


def test_only_the_sites_can_be_opened(browse):
    page = browse("<p>home</p>")
    for url in ELSEWHERE:
        for call in ("goto", "open_tab"):
            page.do(call, url=url)
            assert page.kind == "invalid_arguments" and "only addresses of these sites" in page.text, url
    page.do("page")
    assert page.handle.url == "http://shop.test/" and "Tabs" not in page.text


def test_links_to_other_schemes_lead_nowhere(browse):
    page = browse("""<a href=file:///etc/passwd>f</a><a href="data:text/html,<p>x">d</a><a href=chrome://version>c</a>
        <a href=view-source:http://shop.test/>v</a><a href=ftp://shop.test/>t</a>""")
    for name in "fdcvt":
        page.do("click", ref=page.ref("link", name))
        assert "root:" not in page.text and page.handle.url.startswith(("http://shop.test/", "chrome-error:"))
        page.do("goto", url="/")


def test_one_episode_does_not_see_another(browse):
    said = []
    remember = """<script>localStorage.x = 'mine'; document.cookie = 'a=b';</script><p id=p></p>
        <script>p.textContent = document.cookie</script>"""
    first = browse({"/": remember})
    second = browse(
        {
            "/": lambda r: (
                said.append(r.headers.get("cookie"))
                or "<p id=p></p><script>p.textContent = 'found ' + (localStorage.x || '') + document.cookie</script>"
            )
        }
    )
    assert first.lines == ["a=b"] and second.lines == ["found"] and said == [None]
    third = browse(
        {"/": lambda r: said.append(r.headers.get("cookie")) or "<p>x<script>document.cookie='k=v'</script>"}
    )
    third.do("goto", url="/")
    assert said[1:] == [None, "k=v"]  # the cookie that ties a page to its episode is not the site's to see


def test_hosts_of_one_domain_keep_to_themselves(browse):
    keeps = "<p>kept</p><script>document.cookie = 'k=1'; localStorage.k = sessionStorage.k = '1'</script>"
    looks = """<p id=p></p><iframe src=http://a.shop.test/></iframe><script>
        try { document.domain = 'shop.test' } catch {} // the other would have to say the same
        onload = () => {
            let inside = 'read';
            try { frames[0].document.body } catch { inside = 'refused' }
            const found = [document.cookie, Object.keys(localStorage), Object.keys(sessionStorage)];
            p.textContent = `found ${found}, frame ${inside}`;
        }</script>"""
    page = browse("<p>x</p>")
    site = type(page.site)
    page.open("<p>x</p>", more={"a.shop.test": site(keeps), "b.shop.test": site(looks)})
    page.do("goto", url="http://a.shop.test/")
    assert page.lines == ["kept"]
    page.do("goto", url="http://b.shop.test/")
    assert page.lines[0] == "found ,,, frame refused"


def test_without_its_cookie_nobody_is_served(browse):
    page = browse("<p>secret</p>")
    with socket.create_connection(("127.0.0.1", current().server.port)) as talk:
        talk.sendall(
            b"GET / HTTP/1.1\r\nHost: shop.test\r\nCookie: thinkact-episode=guess\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: talk.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403") and b"secret" not in answer
    assert page.site.requests == ["GET /"]


@pytest.mark.both_drivers
def test_downloads_workers_and_permissions_are_refused(browse):
    page = browse(
        {
            "/": """<a href=/file>get</a><p id=out></p><script>
            const no = (p) => p.then((x) => 'yes ' + x, () => 'no');
            Promise.all([
                no(navigator.serviceWorker ? navigator.serviceWorker.register('/sw.js') : Promise.reject()),
                no(new Promise((ok, bad) => navigator.geolocation
                    ? navigator.geolocation.getCurrentPosition(ok, bad) : bad())),
                no(Notification.requestPermission().then((x) => x === 'granted' ? x : Promise.reject())),
            ]).then((all) => out.textContent = 'Done: ' + all)</script>""",
            "/file": (200, {"content-disposition": "attachment; filename=x.bin"}, "bytes"),
            "/sw.js": (200, {"content-type": "text/javascript"}, ""),
        },
        options={"action_timeout": 5},
    )
    page.do("wait_for", text="Done:")
    assert page.lines[-1] == "Done: no,no,no"
    page.do("click", ref="e1")
    assert page.handle.url == "http://shop.test/" and "did not finish" not in page.text
    assert "/sw.js" not in "".join(page.site.requests)


def test_the_clock_stands_and_chance_is_seeded(browse):
    html = """<p id=p></p><iframe srcdoc="<script>document.write(new Date().getTime())</script>"></iframe><script>
        const t = Date.now();
        setTimeout(() => p.textContent = [Date.now() - t, new Date().toISOString(), Date().slice(0, 15),
            new Date(0).getTime(), new Date(2020, 1, 3).getDate(), new Date() instanceof Date, typeof new Date(),
            new (class extends Date {})().getTime() === t, new Intl.DateTimeFormat('en').format(),
            Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.language, new Date(t).constructor === Date,
            Math.random().toFixed(6), matchMedia('(prefers-reduced-motion: reduce)').matches].join(' '), 20)</script>"""
    now = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)
    shown = []
    for seed in (1, 2):
        page = browse({"/": html}, now=now, seed=seed)
        page.do("wait_for", text="2025-03-14")
        shown.append(page.lines[0])
        assert str(int(now.timestamp() * 1000)) in page.lines
    assert shown[0] != shown[1]
    assert shown[0].startswith(
        "0 2025-03-14T09:26:53.000Z Fri Mar 14 2025 0 3 true object true 3/14/2025 UTC en-US true 0."
    )
    assert shown[0].endswith(" true")


def test_an_init_script_runs_first_in_every_page(browse):
    page = browse(
        {
            "/": "<a href=/2>x</a><p id=p></p><script>p.textContent = window.early</script>",
            "/2": "<p id=p></p><script>p.textContent = window.early</script>",
        },
        init_script="window.early = 'yes'",
    )
    assert page.lines[-1] == "yes"
    page.do("click", ref="e1")
    assert page.lines == ["yes"]


def test_sites_and_addresses_are_checked_at_once():
    handle = BrowserHandle()
    for sites, url in (
        ({}, "http://a.test/"),
        ({"example.com": None}, "http://example.com/"),
        ({"a.test": None}, "http://b.test/"),
        ({"a.test": None}, "https://a.test/"),
        ({"a.test:80": None}, "http://a.test:80/"),
    ):
        with pytest.raises(ValueError):
            handle.start(sites, url)
    with pytest.raises(BrowserFault, match="call start"):
        handle.observe()
    handle.close()
