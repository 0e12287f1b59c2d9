"""Everything that a server may do wrong is a typed fault, in bounded time; and what a good one says arrives."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from thinkact.tools.search import faults
from thinkact.tools.search.exchange import MAX_PAUSE_S, Budget, Line, retry_after
from thinkact.tools.search.network import resolve
from thinkact.tools.search.sharing import SingleFlight, TokenBucket
from thinkact.tools.search.types import SearchFault
from thinkact.tools.search.web import open_web

pytest.importorskip("selectolax", reason="reading web pages needs the extra corpus")

#: For servers that answer, however slow the machine is; and for those that do not, so that they are given up soon.
CALM = Budget(total_s=15, tries=2, max_bytes=50_000)
QUICK = Budget(connect_s=1.0, read_s=0.4, total_s=0.9, tries=2, max_bytes=50_000)

Say = Callable[[socket.socket, str], None]


class Bad:
    """A server on a real socket; what it does with a request is up to the path's first word."""

    def __init__(self) -> None:
        self.says: dict[str, Say] = {}
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            self.asked.append(head.decode("latin-1"))
            path = head.split(b" ")[1].decode()
            self.says[path.strip("/").split("/")[0].split("?")[0]](connection, path)

    def wait(self, seconds: float = 5.0) -> None:
        """Hang until the test is over, or a bounded while."""
        self._over.wait(seconds)

    def close(self) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)


def http(body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    fields = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def answer(data: bytes) -> Say:
    return lambda connection, path: connection.sendall(data)


@pytest.fixture(scope="module")
def server() -> Iterator[Bad]:
    bad = Bad()
    says = bad.says
    for status, name in (("429 Slow Down", "429"), ("403 No", "403"), ("401 Who", "401"), ("500 Oh", "500"),
                         ("503 Later", "503"), ("404 None", "404"), ("302 There", "302")):  # fmt: skip
        says[name] = answer(http(b"sorry", status, "text/plain"))
    says["empty"] = answer(http(b""))
    says["blank"] = answer(http(b"  \n"))
    says["nothing"] = lambda connection, path: None
    says["garbage"] = answer(b"\x00\x01\x02 not http at all\r\n\r\n")
    says["html"] = answer(http(b"<html>Please log in</html>", kind="text/html"))
    says["nan"] = answer(http(b'{"results": NaN}'))
    says["deep"] = answer(http(b"[" * 20_000))
    says["list"] = answer(http(b"[]"))
    says["shape"] = answer(http(b'{"results": [{"title": "no url"}]}'))
    says["string"] = answer(http(b'{"results": "many"}'))
    says["numbers"] = answer(http(b'{"results": [{"url": 7, "title": 8, "content": 9}]}'))
    says["huge"] = answer(http(b"x" * 60_000))
    says["claims-huge"] = answer(http(b"{}", Content_Length="99999999999999"))
    says["bomb"] = answer(http(gzip.compress(b"0" * 20_000_000), Content_Encoding="gzip"))
    says["half-gzip"] = answer(http(gzip.compress(b'{"results": []}')[:-9], Content_Encoding="gzip"))
    says["not-gzip"] = answer(http(b'{"results": []}', Content_Encoding="gzip"))
    says["brotli"] = answer(http(b"....", Content_Encoding="br"))
    says["cut"] = answer(http(b'{"results": [', Content_Length="500"))
    says["headers"] = answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000)
    says["good"] = answer(http(b'{"results": []}'))
    says["packed"] = answer(http(gzip.compress(b'{"results": []}'), Content_Encoding="gzip"))

    def endless(connection: socket.socket, path: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    def drip(connection: socket.socket, path: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            bad.wait(0.05)

    def drip_head(connection: socket.socket, path: str) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 100:
            connection.sendall(bytes([byte]))
            bad.wait(0.05)

    says["endless"], says["drip"], says["drip-head"] = endless, drip, drip_head
    says["hang"] = lambda connection, path: bad.wait()
    yield bad
    bad.close()


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("429", faults.SearchRateLimited),
        ("403", faults.SearchRefused),
        ("401", faults.SearchRefused),
        ("404", faults.SearchRefused),
        ("500", faults.SearchServerError),
        ("503", faults.SearchServerError),
        ("302", faults.SearchBadAnswer),
        ("empty", faults.SearchBadAnswer),
        ("blank", faults.SearchBadAnswer),
        ("nothing", faults.SearchUnreachable),
        ("garbage", faults.SearchUnreachable),
        ("html", faults.SearchBadAnswer),
        ("nan", faults.SearchBadAnswer),
        ("deep", faults.SearchBadAnswer),
        ("list", faults.SearchBadAnswer),
        ("shape", faults.SearchBadAnswer),
        ("string", faults.SearchBadAnswer),
        ("huge", faults.SearchTooLarge),
        ("claims-huge", faults.SearchTooLarge),
        ("bomb", faults.SearchTooLarge),
        ("endless", faults.SearchTooLarge),
        ("half-gzip", faults.SearchUnreachable),
        ("not-gzip", faults.SearchBadAnswer),
        ("brotli", faults.SearchBadAnswer),
        ("cut", faults.SearchUnreachable),
        ("headers", faults.SearchUnreachable),
        ("drip", faults.SearchTimeout),
        ("drip-head", faults.SearchTimeout),
        ("hang", faults.SearchTimeout),
    ],
)
def test_every_failure_is_its_own_fault_in_bounded_time(server: Bad, path: str, fault: type[SearchFault]) -> None:
    budget = QUICK if fault is faults.SearchTimeout else CALM
    retriever = open_web("searxng", url=f"{server.url}/{path}", budget=budget, rate=1000)
    start = time.monotonic()
    with pytest.raises(SearchFault) as raised:
        retriever.search("anything")
    assert type(raised.value) is fault
    assert time.monotonic() - start < 15
    assert raised.value.__cause__ is None, "what the library says may hold what was sent"


def test_a_closed_port_and_a_name_without_an_address_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        with pytest.raises(faults.SearchUnreachable, match="no connection"):
            open_web("searxng", url=url, budget=CALM, rate=1000).search("anything")


def test_a_resolver_that_hangs_costs_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> Any:
        over.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    retriever = open_web("searxng", url="http://search.example", budget=QUICK, rate=1000)
    start = time.monotonic()
    with pytest.raises(faults.SearchTimeout):
        retriever.search("anything")
    over.set()
    assert time.monotonic() - start < 30
    assert resolve("::1", 80, 1) == ["::1"]


def test_nothing_found_is_an_ordinary_answer_packed_or_not(server: Bad) -> None:
    for path in ("good", "packed", "numbers"):
        assert open_web("searxng", url=f"{server.url}/{path}", budget=CALM, rate=1000).search("anything") == []


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(server: Bad) -> None:
    tries = {"flaky": iter([http(b"", "503 Later", Retry_After="0"), http(b"", "429 Slow", Retry_After="0"),
                            http(b'{"results": [{"url": "https://a.example/", "title": "A"}]}')])}  # fmt: skip
    server.says["flaky"] = lambda connection, path: connection.sendall(next(tries["flaky"]))
    budget = Budget(total_s=60, tries=3)
    assert [hit.title for hit in open_web("searxng", url=f"{server.url}/flaky", budget=budget).search("x")] == ["A"]
    before = len(server.asked)
    with pytest.raises(faults.SearchRefused):
        open_web("searxng", url=f"{server.url}/403", budget=budget).search("x")
    assert len(server.asked) == before + 1
    with pytest.raises(faults.SearchServerError, match="sent 3 times"):
        open_web("searxng", url=f"{server.url}/500", budget=budget).search("x")
    assert len(server.asked) == before + 4


def test_a_pause_longer_than_the_time_left_is_not_waited_for(server: Bad) -> None:
    server.says["later"] = answer(http(b"", "429 Slow", Retry_After="3600"))
    start = time.monotonic()
    with pytest.raises(faults.SearchRateLimited):
        open_web("searxng", url=f"{server.url}/later", budget=Budget(total_s=8), rate=1000).search("x")
    assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("2", 2.0), ("0.5", 0.5), ("-7", 0.0), ("1e99", MAX_PAUSE_S), ("nan", MAX_PAUSE_S), ("soon", None)],
)
def test_the_pause_that_is_asked_for_is_bounded(text: str, seconds: float | None) -> None:
    assert retry_after(httpx.Headers({"Retry-After": text})) == seconds


def test_the_pause_may_be_a_date() -> None:
    assert retry_after(httpx.Headers({"Retry-After": formatdate(time.time() + 500, usegmt=True)})) == MAX_PAUSE_S
    assert retry_after(httpx.Headers({"Retry-After": formatdate(time.time() - 500, usegmt=True)})) == 0.0


def test_connections_are_kept_and_a_broken_one_is_replaced(server: Bad) -> None:
    connections: set[Any] = set()

    def kept(connection: socket.socket, path: str) -> None:
        body = b'{"n": 1}'
        connections.add(connection.getpeername())
        for _ in range(3):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if not connection.recv(65536):
                return

    server.says["kept"] = kept
    line = Line("test", Budget(total_s=5))
    request = httpx.Request("GET", f"{server.url}/kept")
    assert [line.json(request) for _ in range(5)] == [{"n": 1}] * 5
    assert len(connections) == 2  # the first took three requests, then hung up
    line.close()
    assert line.json(request) == {"n": 1}
    line.close()


def test_no_cookie_is_kept(server: Bad) -> None:
    server.says["cookie"] = answer(http(b"{}", Set_Cookie="who=you"))
    line = Line("test", CALM)
    for _ in range(2):
        line.json(httpx.Request("GET", f"{server.url}/cookie"))
    assert "cookie:" not in server.asked[-1].lower().replace("/cookie", "")


def test_equal_questions_at_once_are_sent_once_and_share_the_fault(server: Bad) -> None:
    gate, count = threading.Event(), 0

    def slow(connection: socket.socket, path: str) -> None:
        nonlocal count
        count += 1
        gate.wait(60)
        good = "fine" in path
        connection.sendall(http(json.dumps({"results": []}).encode()) if good else http(b"", "403 No"))

    server.says["slow"] = slow
    budget = Budget(total_s=90, tries=1)
    for query, fault in (("fine", None), ("bad", faults.SearchRefused)):
        count = 0
        gate.clear()
        outcomes: list[Any] = []

        def ask(query: str = query, outcomes: list[Any] = outcomes) -> None:
            try:
                outcomes.append(open_web("searxng", url=f"{server.url}/slow", budget=budget, rate=1000).search(query))
            except SearchFault as error:
                outcomes.append(error)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        while not count:
            time.sleep(0.005)
        while sum(thread.is_alive() for thread in threads) < 6:
            time.sleep(0.005)
        time.sleep(
            0.1
        )  # the others come up to the gate; one that is later would only make the count wrong, not the test
        gate.set()
        for thread in threads:
            thread.join()
        if fault is None:
            assert outcomes == [[]] * 6
        else:
            assert all(type(outcome) is fault for outcome in outcomes)
            assert len({id(outcome) for outcome in outcomes}) == 6
        assert count < 6


def test_single_flight_passes_on_what_the_first_one_got() -> None:
    flight, inside, go = SingleFlight(), threading.Event(), threading.Event()
    results: list[Any] = []

    def work() -> str:
        inside.set()
        go.wait(5)
        return "answer"

    first = threading.Thread(target=lambda: results.append(flight.do("key", work)))
    first.start()
    inside.wait(5)
    second = threading.Thread(target=lambda: results.append(flight.do("key", lambda: "another")))
    second.start()
    assert flight.do("other key", lambda: "at once") == "at once"
    time.sleep(0.05)
    go.set()
    first.join()
    second.join()
    assert results in (["answer", "answer"], ["answer", "another"])  # the second may have come too late to share
    assert flight.do("key", lambda: "anew") == "anew"


def test_the_rate_holds_for_all_threads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    bucket = TokenBucket(2.0)
    waits = [bucket.take(10.0) for _ in range(6)]
    assert waits == pytest.approx([0, 0, 0.5, 1.0, 1.5, 2.0]) and slept == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert bucket.take(1.0) is None, "nobody waits longer than he will"
    now += 10.0
    assert [bucket.take(0.0) for _ in range(3)] == [0, 0, None]
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(0)


def test_waiting_for_a_turn_is_no_part_of_the_time_for_an_answer_and_has_an_end(server: Bad) -> None:
    bucket = TokenBucket(0.66, burst=1)
    line = Line("test", Budget(total_s=1.2, queue_s=5), bucket=bucket)
    request = httpx.Request("GET", f"{server.url}/good")
    assert [line.json(request) for _ in range(2)] == [{"results": []}] * 2  # the second waits one and a half seconds
    empty = TokenBucket(0.01, burst=1)
    empty.take(0.0)
    with pytest.raises(faults.SearchRateLimited, match="rate limit of 0.01 requests"):
        Line("test", Budget(queue_s=0), bucket=empty).json(request)


def test_the_proxy_of_the_environment_is_used_for_services_but_never_for_this_machine(
    server: Bad, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.says["http:"] = answer(http(b'{"results": []}'))
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert open_web("searxng", url="http://search.example", budget=CALM, rate=1000).search("x") == []
    assert server.asked[-1].startswith("GET http://search.example/search?")
    assert open_web("searxng", url=f"{server.url}/good", budget=CALM, rate=1000).search("x") == []
    assert server.asked[-1].startswith("GET /good/search?")


def test_budgets_that_bound_nothing_are_refused() -> None:
    for wrong in ({"total_s": 0}, {"tries": 0}, {"max_bytes": 0}, {"connect_s": -1}, {"queue_s": -1}):
        with pytest.raises(ValueError, match="above 0"):
            Budget(**wrong)  # type: ignore[arg-type]
