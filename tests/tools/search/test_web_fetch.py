"""A page leads nowhere but to the open web, whoever names it; and what comes of it is text."""

from __future__ import annotations

import copy
import itertools
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from thinkact.tools.search import faults
from thinkact.tools.search.exchange import Budget
from thinkact.tools.search.fetch import PageFetcher, is_public
from thinkact.tools.search.providers import make_provider
from thinkact.tools.search.types import SearchFault
from thinkact.tools.search.web import UNAVAILABLE, WebRetriever

pytest.importorskip("selectolax", reason="reading web pages needs the extra corpus")

HTML = b"""<!doctype html><html><head><title>Zoo &amp; Park</title><script>secret()</script></head>
<body><nav>Menu</nav><main><h1>Opening hours</h1><p>Open from 9\xe2\x80\x9317.</p></main></body></html>"""
BUDGET = Budget(tries=1, max_bytes=100_000)


class Site:
    """A site on this machine; what a path answers is set by the tests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer.asked.append(f"{self.headers['Host']}{self.path}")
                status, headers, body = outer.pages[self.path.split("?")[0]]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, path: str, body: bytes = HTML, kind: str = "text/html", status: int = 200, **headers: str) -> str:
        self.pages[path] = (status, {"Content-Type": kind, **headers} if kind else headers, body)
        return f"{self.url}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def fetcher(site: Site) -> PageFetcher:
    return PageFetcher(allow_networks=["127.0.0.1/32"], ports=[site.port], budget=BUDGET)


@pytest.mark.parametrize(
    "address",
    (
        "127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.100.100.200 168.63.129.16 "
        "192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: "
        "::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 "
        "2002:7f00:1:: 2001:0:53aa:64c:0:0:80ff:fffe 2001:db8::1 3fff::1 100::1 5f00::1 none 1.2.3"
    ).split(),
)
def test_addresses_that_are_not_the_open_web_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "100.128.0.1"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)


def test_a_page_becomes_a_document(site: Site, fetcher: PageFetcher) -> None:
    url = site.put("/zoo")
    document = fetcher.fetch(f"{url}?day=1")
    assert document.id == f"{url}?day=1" and document.url == url
    assert document.title == "Zoo & Park"
    assert document.text == "Opening hours\nOpen from 9–17."
    plain = fetcher.fetch(site.put("/plain", b"First line\r\n\x1b[31mred\x00\r\n", "text/plain; charset=nonsense"))
    assert plain.title == "First line" and plain.text == "First line\n[31mred"


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=latin-1", "Käse".encode("latin-1"), "Käse"),
        ("text/plain; charset=utf-8", b"K\xffse", "K\ufffdse"),
        ('text/html; charset="windows-1252"', b"<p>\x93K\x94</p>", "“K”"),
        ("text/html", b'<meta charset="iso-8859-1"><p>K\xe4se</p>', "Käse"),
        ("text/plain; charset=idna", b"abc", "abc"),
        ("text/plain; charset=zlib", b"abc", "abc"),
        ("text/plain; charset=utf-16", "Käse".encode("utf-16"), "Käse"),
    ],
)
def test_charsets_are_read_and_broken_ones_replaced(
    site: Site, fetcher: PageFetcher, kind: str, body: bytes, text: str
) -> None:
    assert fetcher.fetch(site.put("/charset", body, kind)).text == text


HOSTS = [
    "localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "017700000001",
]


@pytest.mark.parametrize("host", HOSTS)
def test_this_machine_is_not_the_web_however_it_is_spelt(site: Site, host: str) -> None:
    site.put("/zoo")
    site.asked.clear()
    with pytest.raises(SearchFault) as raised:
        PageFetcher(ports=[site.port], budget=BUDGET).fetch(f"http://{host}:{site.port}/zoo")
    assert type(raised.value) in (faults.ForbiddenAddress, faults.SearchUnreachable)  # some are no names everywhere
    assert not site.asked


def _names(monkeypatch: pytest.MonkeyPatch, answers: Callable[[str], list[str]]) -> None:
    def look(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET6 if ":" in found else socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))
                for found in answers(host)]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", look)


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["10.1.2.3"], ["93.184.216.34", "169.254.169.254"], ["::1"], ["::ffff:192.168.0.1"]]
)
def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: connected.append(args))
    _names(monkeypatch, lambda host: found)
    with pytest.raises(faults.ForbiddenAddress):
        PageFetcher(budget=BUDGET).fetch("http://innocent.example/")
    assert not connected


def test_a_name_that_changes_its_mind_does_not_get_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    connected: list[Any] = []

    def connect(address: Any, *args: Any, **kwargs: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    _names(monkeypatch, lambda host: next(answers))
    with pytest.raises(faults.SearchUnreachable):
        PageFetcher(budget=BUDGET).fetch("http://rebinding.example/")
    assert connected == [("93.184.216.34", 80)], "the connection goes to the address that was looked at"


def test_a_public_address_of_this_machine_itself_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both ends of a connection to oneself have one address; here it plays the part of a public one.
    monkeypatch.setattr("thinkact.tools.search.fetch.is_public", lambda address: address == "127.0.0.9")
    real = socket.create_connection

    def connect(address: Any, timeout: Any = None, source_address: Any = None) -> Any:
        return real(("127.0.0.1", address[1]), timeout, ("127.0.0.9", 0))

    site.put("/zoo")
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(faults.ForbiddenAddress):
        PageFetcher(ports=[site.port], budget=BUDGET).fetch(f"http://127.0.0.9:{site.port}/zoo")


def test_every_hop_of_a_redirect_is_looked_at(site: Site, fetcher: PageFetcher) -> None:
    site.put("/zoo")
    good = site.put("/moved", b"", status=301, Location="/zoo?from=moved")
    document = fetcher.fetch(good)
    assert document.id == good and document.url == f"{site.url}/zoo" and "9–17" in document.text
    for target, fault in (
        ("http://169.254.169.254/latest/meta-data/", faults.ForbiddenAddress),
        (f"http://127.0.0.2:{site.port}/zoo", faults.ForbiddenAddress),
        (f"http://[::1]:{site.port}/zoo", faults.ForbiddenAddress),
        ("http://127.0.0.1:22/", faults.ForbiddenAddress),
        ("file:///etc/passwd", faults.SearchBadAnswer),
        ("gopher://127.0.0.1/", faults.SearchBadAnswer),
        ("http://user:pw@127.0.0.1/", faults.SearchBadAnswer),
        ("", faults.SearchBadAnswer),
        ("http://[::1/", faults.SearchBadAnswer),
    ):
        site.asked.clear()
        bad = site.put("/bad", b"", status=302, **({"Location": target} if target else {}))
        with pytest.raises(fault):
            fetcher.fetch(bad)
        assert len(site.asked) == 1


def test_redirects_end(site: Site, fetcher: PageFetcher) -> None:
    site.put("/a", b"", status=302, Location="/b")
    loop = site.put("/b", b"", status=302, Location="/a")
    with pytest.raises(faults.SearchBadAnswer, match="circle"):
        fetcher.fetch(loop)
    for step in range(8):
        site.put(f"/step{step}", b"", status=302, Location=f"/step{step + 1}")
    site.asked.clear()
    with pytest.raises(faults.SearchBadAnswer, match="more than 5"):
        fetcher.fetch(f"{site.url}/step0")
    assert len(site.asked) == 6


def test_the_hops_of_a_page_share_its_time(site: Site) -> None:
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        for hop in itertools.count():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                over.wait(0.3)
                location = f"Location: /{hop}\r\n".encode()
                connection.sendall(b"HTTP/1.1 302 F\r\nConnection: close\r\nContent-Length: 0\r\n" + location + b"\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    fetcher = PageFetcher(allow_networks=["127.0.0.1/32"], ports=[port], budget=Budget(total_s=0.7, tries=1))
    start = time.monotonic()
    with pytest.raises(faults.SearchTimeout):
        fetcher.fetch(f"http://127.0.0.1:{port}/")
    assert time.monotonic() - start < 30
    over.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_what_is_no_page_of_text_is_refused(site: Site, fetcher: PageFetcher) -> None:
    for name, kind, body in (
        ("image", "image/png", b"\x89PNG"),
        ("none", "", b"what is it"),
        ("program", "application/octet-stream", b"MZ"),
        ("blank", "text/html", b"<html><script>x()</script></html>"),
    ):
        with pytest.raises(faults.SearchRefused):
            fetcher.fetch(site.put(f"/{name}", body, kind))
    with pytest.raises(faults.SearchTooLarge):
        fetcher.fetch(site.put("/large", b"<p>" + b"x" * 200_000))
    with pytest.raises(faults.SearchBadAnswer, match="empty"):
        fetcher.fetch(site.put("/empty", b""))
    for url in ("", "nonsense", "file:///etc/passwd", "http://user:pw@a.example/"):
        with pytest.raises(KeyError):
            fetcher.fetch(url)


@pytest.mark.parametrize("tag", [b"<div>", b"<b>", b"<table><tr><td>", b"<svg>", b"<p>", b"<a href=x>", b"<!--", b"<"])
def test_a_page_nested_without_end_is_text_soon(site: Site, fetcher: PageFetcher, tag: bytes) -> None:
    body = b"<p>Begin here</p>" + tag * (90_000 // len(tag)) + b"end"
    start = time.monotonic()
    assert fetcher.fetch(site.put("/deep", body)).text.startswith("Begin here")
    assert time.monotonic() - start < 30


def test_a_dead_page_is_a_fault_or_a_note_but_an_outage_is_a_fault(site: Site) -> None:
    provider = make_provider("searxng", url="http://search.example")
    fetcher = PageFetcher(allow_networks=["127.0.0.1/32"], ports=[site.port], budget=BUDGET)
    strict = WebRetriever(provider, fetcher=fetcher, dead_pages="fault")
    lenient = WebRetriever(provider, fetcher=fetcher)
    for path, status in (("/403", 403), ("/404", 404), ("/410", 410)):
        url = site.put(path, b"no", status=status)
        with pytest.raises(faults.SearchRefused):
            strict.document(url)
        assert lenient.document(url).text == UNAVAILABLE
    assert lenient.document(site.put("/image", b"\x89PNG", "image/png")).text == UNAVAILABLE
    assert lenient.document("http://169.254.169.254/latest/meta-data/").text == UNAVAILABLE
    for path, status, fault in (("/429", 429, faults.SearchRateLimited), ("/503", 503, faults.SearchServerError)):
        url = site.put(path, b"no", status=status)
        for retriever in (strict, lenient):
            with pytest.raises(fault):
                retriever.document(url)


def test_the_environment_s_proxy_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("all_proxy", site.url)
    _names(monkeypatch, lambda host: ["127.0.0.1"])
    site.put("/zoo")
    site.asked.clear()
    allowed = PageFetcher(allow_networks=["127.0.0.1/32"], ports=[site.port], budget=BUDGET)
    allowed.fetch(f"http://zoo.example:{site.port}/zoo")
    assert site.asked == [f"zoo.example:{site.port}/zoo"]


def test_settings_are_checked_and_survive_a_copy(site: Site) -> None:
    for wrong in ({"ports": [0]}, {"ports": ["80"]}, {"allow_networks": ["everywhere"]}):
        with pytest.raises(ValueError):
            PageFetcher(**wrong)  # type: ignore[arg-type]
    fetcher = PageFetcher(allow_networks=["127.0.0.1/32"], ports=[site.port], budget=BUDGET)
    url = site.put("/zoo")
    for other in (copy.deepcopy(fetcher), pickle.loads(pickle.dumps(fetcher))):
        assert other.settings == fetcher.settings and other.fetch(url) == fetcher.fetch(url)
        other.close()
    fetcher.close()
