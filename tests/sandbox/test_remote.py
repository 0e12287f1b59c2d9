"""What only the remote backend has: a network that fails in every way, strangers, and clients that vanish."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from thinkact import sandbox
from thinkact.sandbox import Limits, SandboxFault, SandboxUnavailable
from thinkact.sandbox.remote import RemoteSandbox, line, wire
from thinkact.sandbox.remote.server import Settings, serve

from .contract import marked, new_mark, set_mark, wait_until

TOKEN = "a-token-for-the-tests"
PROGRAM = """
import json, sys
from thinkact.sandbox.remote.server import Settings, serve
serve(Settings(**json.loads(sys.argv[1])), port=0, ready=lambda url: print(url, flush=True))
"""


@contextlib.contextmanager
def server(**settings: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real server process on the loopback."""
    given = json.dumps({"token": TOKEN, "backend": "bubblewrap", **settings})
    with subprocess.Popen([sys.executable, "-c", PROGRAM, given], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with server() as found:
        yield found


@pytest.fixture(scope="module")
def url(served: tuple[str, subprocess.Popen[str]]) -> str:
    return served[0]


@pytest.fixture(scope="module")
def box(url: str) -> Iterator[RemoteSandbox]:
    with RemoteSandbox(url, TOKEN, Limits(wall_s=5)) as made:
        yield made


def post(url: str, body: bytes, token: str = TOKEN, **headers: str) -> httpx.Response:
    usual = {"Authorization": f"Bearer {token}", wire.VERSION_HEADER: "1"}
    return httpx.post(url + wire.PATH, content=body, headers=usual | headers, timeout=30, trust_env=False)


@contextlib.contextmanager
def listener(behave: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """A TCP server that treats its n-th connection as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as sock, contextlib.ExitStack() as stack:

        def accept() -> None:
            for number in range(100):
                try:
                    line, _ = sock.accept()
                except OSError:
                    return
                stack.enter_context(line)
                threading.Thread(target=quietly, args=(line, number), daemon=True).start()

        def quietly(line: socket.socket, number: int) -> None:
            with contextlib.suppress(OSError):
                behave(line, number)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def read_request(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length"))
    while len(body) < length:
        body += line.recv(1 << 16)
    return head + b"\r\n\r\n" + body


def op_of(request: bytes) -> str:
    return str(json.loads(request.partition(b"\r\n\r\n")[2])["op"])


def reply(value: object) -> bytes:
    body = json.dumps({"ok": value}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


OPENED = {"lease": "l", "idle_s": 1000, "level": "a test"}


def test_everything_works_from_afar(box: RemoteSandbox) -> None:
    assert box.exec(["cat", "f"], files={"f": b"\xff\x00x"}).stdout == "\ufffd\x00x"
    assert "bubblewrap" in box.level
    with box.session(files={"a": b"1"}) as session:
        assert session.exec("open('a').read()").stdout == "'1'\n"
        assert session.run(["sh", "-c", "cat >> a"], stdin=b"2").status == "ok"
        assert session.read_file("a") == b"12"
        assert session.exec("while True: pass", timeout=0.3).status == "timeout"
        with pytest.raises(sandbox.SandboxFileError):
            session.read_file("missing")
    cases = box.run_cases("def f(x):\n    return [x, None]", "f", [[1], [{"é": 2.5}]])
    assert [case.value for case in cases] == [[1, None], [{"é": 2.5}, None]]


def test_strangers_are_turned_away(url: str) -> None:
    for token in ("wrong", "", TOKEN + "x", TOKEN[:-1]):
        with pytest.raises(SandboxUnavailable, match="token"):
            RemoteSandbox(url, token)
        assert post(url, b"{}", token or "-").status_code == 401
    assert post(url, b"{}", **{wire.VERSION_HEADER: "2"}).json()["error"]["kind"] == "version"
    page = httpx.post(
        url + wire.PATH, content=b"{}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30, trust_env=False
    )
    assert page.status_code == 400  # what a web page can send without being asked lacks the version


def test_nobody_listens_beyond_this_machine_without_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ValueError, match="--token-file"):
            serve(Settings(token=None), host, 0)


def test_nonsense_is_refused_and_harms_nobody(url: str, box: RemoteSandbox) -> None:
    lease = box._line.lease
    call = {"op": "exec", "lease": lease, "key": "k", "args": {}}
    nonsense: list[Any] = [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, {**call, "args": []}, {**call, "key": 1}]
    nonsense += [
        {**call, "key": f"n{i}", "args": args}
        for i, args in enumerate(
            [
                {},
                {"argv": "ls", "timeout": 1},
                {"argv": [], "timeout": 1},
                {"argv": [1], "timeout": 1},
                {"argv": ["ls"], "timeout": float("inf")},
                {"argv": ["ls"], "timeout": True},
                {"argv": ["ls"], "timeout": 1e9},
                {"argv": ["ls"], "timeout": 1, "stdin": "%"},
                {"argv": ["ls"], "timeout": 1, "files": {"../x": ""}},
            ]
        )
    ]
    nonsense += [{**call, "op": op, "key": f"o{op}"} for op in ("", "no", "__init__", "close ", "session_exec")]
    for each in nonsense:
        said = post(url, each if isinstance(each, bytes) else json.dumps(each).encode())
        assert said.status_code == 400, (each, said.text)
        assert said.json()["error"]["kind"] == "value"
    assert box.exec(["echo", "fine"]).stdout == "fine\n"


def test_a_lease_reaches_its_own_things_only(url: str, box: RemoteSandbox) -> None:
    with box.session() as session, RemoteSandbox(url, TOKEN) as stranger:
        with pytest.raises(SandboxFault, match="gone"):
            stranger.call("session_exec", session=session._name, code="1", timeout=1)
        stranger._line.lease = "guessed"
        with pytest.raises(SandboxFault, match="lease is gone"):
            stranger.exec(["true"])


def test_a_ceiling_a_body_and_a_room_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(max_body=20_000, max_sessions=1, max_leases=1) as (url, _):
        with pytest.raises(ValueError, match="memory_bytes"):
            RemoteSandbox(url, TOKEN, Limits(memory_bytes=1 << 50))
        with RemoteSandbox(url, TOKEN) as box:
            with pytest.raises(ValueError, match="20000 bytes"):
                box.exec(["cat"], stdin=bytes(100_000))
            first = box.session()
            got: list[str] = []
            waiter = threading.Thread(target=lambda: got.append(box.session().exec("1").stdout))
            waiter.start()
            waiter.join(0.5)
            assert waiter.is_alive()
            first.close()
            waiter.join(30)
            assert got == ["1\n"]
            monkeypatch.setattr(line, "_QUEUE_S", 0.5)
            with pytest.raises(SandboxFault, match="full"):
                box.session()
            with pytest.raises(SandboxFault, match="full"):
                RemoteSandbox(url, TOKEN)


def test_a_server_killed_in_the_middle_is_a_fault_and_leaves_nothing(
    processes_below: Callable[[int], set[int]],
) -> None:
    with server() as (url, process):
        box = RemoteSandbox(url, TOKEN)
        session = box.session()
        session.exec("x = 1")
        inside = processes_below(process.pid)
        assert len(inside) >= 3
        mark = new_mark()
        killer = threading.Thread(target=lambda: wait_until(lambda: bool(marked(mark))) and process.kill())
        killer.start()
        with pytest.raises(SandboxFault):
            session.exec(f"{set_mark(mark)}import time; time.sleep(60)", timeout=60)
        killer.join()
        with pytest.raises(SandboxUnavailable, match="thinkact sandbox serve"):
            session.exec("1")
        box.close()
        assert wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in inside))


def test_a_dead_client_leaks_nothing(processes_below: Callable[[int], set[int]]) -> None:
    program = (
        "import sys, time\nfrom thinkact.sandbox.remote import RemoteSandbox\n"
        "box = RemoteSandbox(sys.argv[1], sys.argv[2])\nsession = box.session()\n"
        "print(session.exec('1').stdout, flush=True)\ntime.sleep(600)"
    )
    with server(idle_s=3.0) as (url, process):
        before = processes_below(process.pid)
        command = [sys.executable, "-c", program, url, TOKEN]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None and client.stdout.readline() == "1\n"
            during = processes_below(process.pid)
            assert during > before
            time.sleep(4.0)  # a living client is kept, however silent
            assert processes_below(process.pid) >= during
            client.kill()
        assert wait_until(lambda: processes_below(process.pid) <= before)


def test_a_lost_answer_is_asked_for_again_and_nothing_runs_twice(url: str) -> None:
    port = int(url.rpartition(":")[2])
    cut: list[bytes] = []

    def lossy(line: socket.socket, number: int) -> None:
        while True:
            request = read_request(line)
            with socket.create_connection(("127.0.0.1", port)) as real:
                real.sendall(request.replace(b"Connection: keep-alive", b"Connection: close"))
                answer = b""
                while part := real.recv(1 << 16):
                    answer += part
            if op_of(request) == "session_exec" and len(cut) < 2:
                cut.append(request)
                line.shutdown(socket.SHUT_RDWR)  # it was done, but nobody will know
                return
            line.sendall(answer.replace(b"connection: close\r\n", b""))

    with listener(lossy) as middle, RemoteSandbox(middle, TOKEN) as box, box.session() as session:
        assert session.exec("x = globals().get('x', 0) + 1; x").stdout == "1\n"
        assert len(cut) == 2
        assert session.exec("x").stdout == "1\n"


def test_a_third_loss_is_a_fault_and_the_session_starts_anew(url: str) -> None:
    port = int(url.rpartition(":")[2])
    left = [3]

    def lossy(line: socket.socket, number: int) -> None:
        while True:
            request = read_request(line)
            if op_of(request) == "session_exec" and left[0]:
                left[0] -= 1
                line.shutdown(socket.SHUT_RDWR)
                return
            with socket.create_connection(("127.0.0.1", port)) as real:
                real.sendall(request.replace(b"Connection: keep-alive", b"Connection: close"))
                answer = b""
                while part := real.recv(1 << 16):
                    answer += part
            line.sendall(answer.replace(b"connection: close\r\n", b""))

    with listener(lossy) as middle, RemoteSandbox(middle, TOKEN) as box, box.session() as session:
        session.write_file("kept", b"")
        with pytest.raises(SandboxFault, match="broke"):
            session.exec("1")
        assert session.list_files() == []


def test_silence_and_late_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_SLACK_S", 0.5)
    late = [threading.Event(), threading.Event()]

    def slow(line: socket.socket, number: int) -> None:
        while True:
            request = read_request(line)
            if op_of(request) == "exec":
                late[0].wait(60)  # until after the deadline
                line.sendall(reply({"stdout": "too late"}))
            elif op_of(request) == "session":
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")  # and never the rest
                late[1].wait(60)
            else:
                line.sendall(reply(OPENED))

    with listener(slow) as middle:
        box = RemoteSandbox(middle, TOKEN)
        with pytest.raises(SandboxFault, match="in time"):
            box.exec(["true"], timeout=0.2)
        late[0].set()
        monkeypatch.setattr(line, "_SLACK_S", 30.0)  # this one is answered, however busy the machine is
        assert box.call("keep") == OPENED  # on a line of its own: the late answer is nobody's
        monkeypatch.setattr(line, "_SLACK_S", 0.5)
        monkeypatch.setattr(RemoteSandbox, "session", lambda self: self.call("session", 0.1))
        with pytest.raises(SandboxFault, match="in time"):
            box.session()
        late[1].set()
        box.close()


def test_an_answer_without_sense_is_a_fault() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        reply({"stdout": 1}),
        reply({"stdout": "", "stderr": "", "exit_code": "0", "duration_s": 0, "truncated": False, "limit_hit": None,
               "status": "ok"}),
        reply(None),
    ]  # fmt: skip
    todo: list[bytes] = []

    def mad(line: socket.socket, number: int) -> None:
        while True:
            line.sendall(todo[0] if op_of(read_request(line)) == "exec" else reply(OPENED))

    with listener(mad) as middle, RemoteSandbox(middle, TOKEN) as box:
        for each in answers:
            todo[:] = [each]
            with pytest.raises(SandboxFault):
                box.exec(["true"])


def test_a_half_open_connection_holds_up_nobody(url: str, box: RemoteSandbox) -> None:
    port = int(url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for begun in (
            b"",
            b"POST /v1/call HTTP/1.1\r\nHost: x\r\n",
            b"POST /v1/call HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
        ):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(begun)
        assert box.exec(["echo", "served"]).stdout == "served\n"


def test_nobody_there_and_wrong_addresses_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(SandboxUnavailable, match="thinkact sandbox serve"):
        sandbox.create("remote", url=f"http://127.0.0.1:{port}", token=TOKEN)
    for wrong in ("127.0.0.1:8765", "ftp://x", "http://", ""):
        with pytest.raises(ValueError):
            sandbox.create("remote", url=wrong)
    monkeypatch.delenv("THINKACT_SANDBOX_URL", raising=False)
    with pytest.raises(ValueError, match="THINKACT_SANDBOX_URL"):
        sandbox.create("remote")


def test_the_command_line_serves_and_asks(tmp_path: Path) -> None:
    token = tmp_path / "token"
    base = [sys.executable, "-m", "thinkact.cli", "sandbox"]
    options = ["--port", "0", "--token-file", str(token), "--backend", "bubblewrap"]
    with subprocess.Popen([*base, "serve", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        url = one.stdout.readline().split()[-1]
        assert token.stat().st_mode & 0o777 == 0o600 and len(token.read_text()) > 30
        ask = [
            *base,
            "exec",
            "--backend",
            "remote",
            "--url",
            url,
            "--token-file",
            str(token),
            "--",
            "sh",
            "-c",
            "exit 7",
        ]
        assert subprocess.run(ask, timeout=60).returncode == 7
        one.terminate()
        assert one.wait(30) in (0, -signal.SIGTERM)
