"""Attacks on what lies outside, all run inside only: network, host services and files, other sessions.

See ``contract.py``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from thinkact.sandbox import Session

from .contract import SECRET, Place, marked, new_mark, out, set_mark


def test_no_internet(calm: Session) -> None:
    """No address is reachable: IPv4, IPv6, UDP, name service, the clouds' metadata address."""
    code = """
import socket
reached = []
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ('1.1.1.1', 53)),
    (socket.AF_INET, socket.SOCK_STREAM, ('169.254.169.254', 80)),
    (socket.AF_INET, socket.SOCK_STREAM, ('172.17.0.1', 22)),
    (socket.AF_INET, socket.SOCK_DGRAM, ('8.8.8.8', 53)),
    (socket.AF_INET, socket.SOCK_DGRAM, ('255.255.255.255', 67)),
    (socket.AF_INET6, socket.SOCK_STREAM, ('2606:4700:4700::1111', 53)),
    (socket.AF_INET6, socket.SOCK_DGRAM, ('ff02::1%1', 5353)),
):
    try:
        with socket.socket(family, kind) as sock:
            sock.settimeout(3)
            sock.connect(address)
            sock.send(b'x')
            reached.append(address)
    except OSError as error:
        if isinstance(error, TimeoutError): reached.append((address, 'routed'))
try:
    reached.append(socket.getaddrinfo('example.com', 80))
except OSError:
    pass
print(reached)
"""
    assert out(calm, code) == "[]"


def test_host_services_are_out_of_reach(calm: Session, tmp_path: Path) -> None:
    """The host's loopback services, abstract sockets and socket files are out of reach."""
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as file:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        abstract.bind(b"\0thinkact-test-abstract")
        abstract.listen()
        path = str(tmp_path / "s")
        file.bind(path)
        file.listen()
        os.chmod(path, 0o777)
        code = f"""
import socket
reached = []
for family, address in (
    (socket.AF_INET, ('127.0.0.1', {tcp.getsockname()[1]})),
    (socket.AF_UNIX, b'\\0thinkact-test-abstract'),
    (socket.AF_UNIX, {path!r}),
    (socket.AF_UNIX, '/var/run/docker.sock'),
    (socket.AF_UNIX, '/run/docker.sock'),
    (socket.AF_UNIX, '/run/containerd/containerd.sock'),
    (socket.AF_UNIX, '/run/dbus/system_bus_socket'),
    (socket.AF_UNIX, '/run/systemd/journal/stdout'),
):
    with socket.socket(family) as sock:
        sock.settimeout(3)
        if sock.connect_ex(address) == 0: reached.append(address)
print(reached)
"""
        assert out(calm, code) == "[]"


def test_socket_families(calm: Session) -> None:
    """Sockets beyond unix and IP are refused: netlink, packet, vsock, raw, key, crypto, bluetooth, CAN."""
    code = """
import socket
families = dict(netlink=16, packet=17, vsock=40, key=15, crypto=38, bluetooth=31, can=29, tipc=30, xdp=44, rds=21)
opened = []
for name, family in families.items():
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind).close()
            opened.append(name)
        except OSError:
            pass
for family in (socket.AF_INET, socket.AF_INET6):
    try:
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
        opened.append('raw')
    except OSError:
        pass
print(opened)
"""
    assert out(calm, code) == "[]"


def test_host_files(calm: Session, tmp_path: Path) -> None:
    """No file of the host can be read: homes, repositories, temporary files, keys, other mounts."""
    canary = tmp_path / "canary.txt"
    canary.write_text(SECRET)
    os.chmod(canary, 0o644)
    here = Path(__file__).resolve()
    paths = [str(canary), str(here), str(here.parents[2]), str(Path.home() / ".ssh"), "/var/lib/docker", "/boot"]
    code = f"""
import glob, os
found = [path for path in {paths!r} if os.path.exists(path)]
for root in ('/home', '/root', '/mnt', '/media', '/srv', '/var/lib', '/var/log', '/var/spool', '/tmp'):
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            try: text = open(path, 'rb').read(1 << 16)
            except OSError: continue
            if {SECRET!r}.encode() in text: found.append(path)
for path in ('/etc/shadow', '/etc/gshadow', '/etc/sudoers', '/proc/1/root/etc/shadow', '/etc/ssh/ssh_host_rsa_key'):
    try: found.append((path, open(path).read(20)))
    except OSError: pass
print(found)
"""
    assert out(calm, code) == "[]"


def test_sessions_share_nothing(place: Place, calm: Session) -> None:
    """Two sessions share no file, shared memory, process, socket or port."""
    mark = new_mark()
    with place.box.session() as other:
        out(
            other,
            f"import os, socket, time\n{set_mark(mark)}"
            "open('mine-5b1f', 'w').write('x'); open('/dev/shm/mine-5b1f', 'w').write('x')\n"
            "tcp = socket.create_server(('127.0.0.1', 4711))\n"
            "unix = socket.socket(socket.AF_UNIX); unix.bind(b'\\0mine-5b1f'); unix.listen()\n"
            "if os.fork() == 0: time.sleep(100)",
        )
        assert marked(mark)
        code = f"""
import glob, os, signal, socket
found = [path for path in ('mine-5b1f', '/dev/shm/mine-5b1f', '/tmp/mine-5b1f') if os.path.exists(path)]
for path in glob.glob('/proc/[0-9]*/comm'):
    if open(path).read().strip() == {mark!r}: found.append(path)
if socket.socket().connect_ex(('127.0.0.1', 4711)) == 0: found.append('port')
if socket.socket(socket.AF_UNIX).connect_ex(b'\\0mine-5b1f') == 0: found.append('abstract')
for pid in {sorted(marked(mark))!r}:
    try:
        if open(f'/proc/{{pid}}/comm').read().strip() == {mark!r}: found.append(pid)
    except OSError:
        pass
child = os.fork()
if child == 0:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.kill(-1, signal.SIGUSR1)
    os._exit(0)
os.waitpid(child, 0)
print(found)
"""
        with place.box.session() as third:
            result = third.exec(code, timeout=20)
            assert result.status == "killed" or result.stdout == "[]\n", result
        assert out(other, "1") == "1" and len(marked(mark)) == 2
    assert not marked(mark)


def test_host_processes_cannot_be_signalled(calm: Session) -> None:
    """The host's process ids mean nothing inside."""
    pids = [os.getpid(), os.getppid()]
    code = f"""
import os
reached = []
for pid in {pids!r}:
    if not os.path.exists(f'/proc/{{pid}}'):
        try:
            os.kill(pid, 0)
            reached.append(pid)
        except OSError:
            pass
print(reached, len([name for name in os.listdir('/proc') if name.isdigit()]) < 20)
"""
    assert out(calm, code) == "[] True"
