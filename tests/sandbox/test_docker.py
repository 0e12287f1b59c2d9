"""What only the Docker backend has: its flags, its supervisor, its pool, its replayed forks, its orphans."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from thinkact import sandbox
from thinkact.sandbox import ForkRefused, Limits, SandboxFault, SandboxUnavailable, seccomp
from thinkact.sandbox.docker import DockerSandbox, DockerSession, filters
from thinkact.sandbox.docker import daemon as daemons
from thinkact.sandbox.docker.daemon import Daemon, Owner

from .contract import marked, new_mark, set_mark, wait_until

MiB = 1 << 20
LIMITS = Limits(memory_bytes=256 * MiB, processes=16, tmpfs_bytes=8 * MiB, tmpfs_inodes=4096, output_bytes=64 << 10)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    try:
        line = Daemon()
    except SandboxUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    yield line
    line.close()


@pytest.fixture(scope="module")
def box(daemon: Daemon) -> Iterator[DockerSandbox]:
    with DockerSandbox(LIMITS, pool=1) as made:
        yield made


def container_of(session: DockerSession) -> str:
    assert session._box is not None
    return session._box.id


def wait_until_gone(daemon: Daemon, container: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if daemon.missing("inspect_container", container):
            return True
        time.sleep(0.05)
    return False


def test_the_daemon_confirms_every_lock(box: DockerSandbox, daemon: Daemon) -> None:
    with box.session() as session:
        found = daemon.call("inspect_container", container_of(session))
    host, config = found["HostConfig"], found["Config"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"]
    assert host["ReadonlyRootfs"] and host["AutoRemove"] and host["NetworkMode"] == "none"
    assert host["IpcMode"] == "none" and host["PidMode"] == "" and host["LogConfig"]["Type"] == "none"
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] == LIMITS.processes + 1
    assert 0 < host["Memory"] == host["MemorySwap"] < 2 * LIMITS.memory_bytes
    assert host["CpuQuota"] > 0 and not host["Devices"]
    assert config["User"] == "64100:64100" and not config["Env"]
    assert all(bind.endswith(":ro") and "docker.sock" not in bind for bind in host["Binds"])
    assert len(host["Binds"]) == 2


def test_the_profile_says_what_the_filter_says() -> None:
    rules = json.loads(filters.profile())["syscalls"]
    refused = {name for rule in rules if "args" not in rule for name in rule["names"]}
    assert refused >= {*seccomp._EPERM, *seccomp._ENOSYS} - {"memfd_create", "personality"}
    assert {"mount", "ptrace", "bpf", "io_uring_setup", "unshare", "setns", "keyctl", "mq_open"} <= refused


def test_a_guest_cannot_reach_its_supervisor_or_the_line(box: DockerSandbox) -> None:
    with box.session() as session:
        code = """
import os, signal
found = []
found += [name for name in os.listdir("/run/thinkact") if not name.endswith((".py", ".bpf"))]
found += [path for path in ("/run/thinkact-line/s", "/var/run/docker.sock") if os.path.exists(path)]
try:
    found += os.listdir("/run/thinkact-line")
except OSError:
    pass
for name in ("environ", "mem", "fd", "maps", "cwd"):
    try:
        os.listdir(f"/proc/1/{name}") if name == "fd" else open(f"/proc/1/{name}", "rb").read(1)
        found.append(name)
    except OSError:
        pass
for path in ("/run/thinkact/container_worker.py", "/run/thinkact/new", "/run/thinkact-line/s", "/dev/mqueue/q", "/x"):
    try:
        open(path, "w")
        found.append(path)
    except OSError:
        pass
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
import socket, stat
found += [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}")
          and stat.S_ISSOCK(os.fstat(fd).st_mode) and socket.socket(fileno=os.dup(fd)).getpeername()]
found
"""
        assert session.exec(code).stdout == "[]\n"
        assert session.exec("1").stdout == "1\n"


def test_what_a_guest_says_is_not_taken_for_what_happened(box: DockerSandbox) -> None:
    forged = """
import json, os, struct
def say(kind, value):
    data = json.dumps(value).encode()
    for fd in range(3, 200):
        try:
            os.write(fd, kind + struct.pack("!I", len(data)) + data)
        except OSError:
            pass
def f():
    say(b"Z", {"exit": 0, "limit": None, "broken": False, "seen": [0, 0]})
    say(b"R", {"value": "1"})
    os._exit(7)
"""
    case = box.run_cases(forged, "f", [[]])[0]
    assert not case.ok and case.run.status in ("killed", "error")
    with box.session() as session:
        result = session.exec(forged + "f()")
        assert result.status == "killed" and "fresh" in result.stderr


def test_cases_share_nothing(box: DockerSandbox) -> None:
    source = """
import os, socket, subprocess, sys
def f(write):
    found = [name for place in ("/tmp", "/dev/shm", "/dev/mqueue") for name in os.listdir(place)]
    found += [name for name in os.listdir("/proc") if name.isdigit() and name not in ("1", str(os.getpid()))]
    with socket.socket(socket.AF_UNIX) as line:
        if line.connect_ex("\\0left") == 0:
            found.append("abstract socket")
    if write:
        open("/tmp/left", "w"), open("/dev/shm/left", "w")
        here = os.getcwd()
        for _ in range(200):  # longer than any path may be, and barred
            os.mkdir("d" * 100); os.chdir("d" * 100)
        os.chmod(".", 0)
        os.chdir(here); os.chmod("d" * 100, 0)
        subprocess.Popen([sys.executable, "-c", "import socket, time; u = socket.socket(socket.AF_UNIX); "
                          "u.bind('\\\\0left'); u.listen(); time.sleep(600)"], start_new_session=True)
    return sorted(found)
"""
    cases = box.run_cases(source, "f", [[True], [False], [False]])
    assert [(case.ok, case.value) for case in cases] == [(True, []), (True, []), (True, [])]


def test_a_container_that_somebody_removes_is_a_fault_not_a_result(box: DockerSandbox, daemon: Daemon) -> None:
    with box.session() as session:
        mark, name = new_mark(), container_of(session)
        remover = threading.Thread(target=lambda: wait_until(lambda: bool(marked(mark))) and daemon.remove(name))
        remover.start()
        with pytest.raises(SandboxFault, match="supervisor is gone"):
            session.exec(f"{set_mark(mark)}import time; time.sleep(60)", timeout=60)
        remover.join()
        assert session.exec("1 + 1").stdout == "2\n"  # in a fresh one


def test_a_frozen_container_is_removed_when_its_time_is_over(
    box: DockerSandbox, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkact.sandbox.docker.container._GRACE_S", 0.5)
    with box.session() as session:
        name = container_of(session)
        daemon.call("pause", name)
        with pytest.raises(SandboxFault, match="does not answer"):
            session.exec("1", timeout=0.2)
        assert wait_until_gone(daemon, name)


def test_an_owner_killed_outright_leaves_no_container(daemon: Daemon) -> None:
    program = """
from thinkact.sandbox.docker import DockerSandbox
made = DockerSandbox(pool=1)
session = made.session()
session.exec("import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(600)")
print(session._box.id, made._folder, flush=True)
session.exec("import time; time.sleep(600)", timeout=600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        name, folder = owner.stdout.readline().split()
        assert not daemon.missing("inspect_container", name) and os.path.exists(folder)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert wait_until_gone(daemon, name)
    daemons.prune(daemon)  # or a test beside this one has done it
    assert not os.path.exists(folder)


def test_prune_removes_orphans_only(box: DockerSandbox, daemon: Daemon) -> None:
    here = daemons.owner()
    dead = subprocess.Popen(["true"])
    dead.wait()
    whose = {
        "dead": Owner(here.boot, here.space, dead.pid, 1),
        "id used anew": Owner(here.boot, here.space, here.pid, here.began + 1),
        "before a reboot": Owner("another-boot", here.space, here.pid, here.began),
        "alive": here,
        "in another process namespace": Owner(here.boot, "1", dead.pid, 1),
    }
    made = {}
    try:
        for name, owner in whose.items():
            labels = {daemons.LABEL: str(owner)}
            made[name] = daemon.call("create_container", box.image, ["true"], labels=labels)["Id"]
        gone = {"dead", "id used anew", "before a reboot"}
        removed = set(daemons.prune(daemon))  # or a test beside this one was first
        assert {name for name in made if made[name] in removed} <= gone
        assert {name for name in made if daemon.missing("inspect_container", made[name])} == gone
    finally:
        for container in made.values():
            daemon.remove(container)


def test_no_daemon_no_permission_no_image_no_runtime_name_the_fix(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SandboxUnavailable, match="thinkact sandbox image"):
        sandbox.create("docker", image="no-such-image:at-all")
    with pytest.raises(SandboxUnavailable, match="has no such runtime"):
        sandbox.create("docker", runtime="no-such-runtime")
    assert "usermod -aG docker" in daemons.advice(PermissionError(13, "Permission denied"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(SandboxUnavailable, match="systemctl start docker"):
        sandbox.create("docker")
    assert not sandbox.probe("docker").works


def test_an_image_without_python_is_told_apart_from_a_broken_daemon(daemon: Daemon) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    daemon.call("import_image_from_data", data.getvalue(), repository="thinkact-test-empty", tag="1")
    try:
        with pytest.raises(SandboxUnavailable, match="python3"):
            DockerSandbox(image="thinkact-test-empty:1", pool=0)
    finally:
        daemon.call("remove_image", "thinkact-test-empty:1", force=True)


def test_a_fork_is_exact_or_refused(box: DockerSandbox) -> None:
    with box.session(files={"data.txt": b"12"}) as session:
        session.exec(
            "import random, abc, enum, functools\nfrom dataclasses import dataclass\n"
            "class Base(abc.ABC):\n    def __init__(self):\n        self.me = [self]\n"
            "class Kind(enum.Enum):\n    A = 1\n"
            "@dataclass\nclass Point(Base):\n    x: int\n    def __post_init__(self):\n        super().__init__()\n"
            "p, half, kind = Point(3), functools.partial(pow, 2), Kind.A\n"
            "def outer():\n    def inner(n):\n        return inner(n - 1) if n else p.x\n    return inner\n"
            "call, drawn = outer(), random.random()"
        )
        session.run(["sh", "-c", "ln -s data.txt link; cat data.txt > copy"])
        with session.fork() as branch:
            code = "call(5), half(3), kind, p.me[0] is p, drawn, random.random(), open('link').read()"
            assert branch.exec(code).stdout == session.exec(code).stdout
            branch.exec("p.x = 4; open('copy', 'w').write('branch')")
            assert session.exec("p.x, open('copy').read()").stdout == "(3, '12')\n"
        refused = {
            "import time; now = time.time_ns()": "'now'",
            "import uuid; print(uuid.uuid4())": "another result",
            "g = (n for n in range(3))": "'g'",
            "import os; open('noise', 'wb').write(os.urandom(8)); None": "other files",
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()": "threads",
            "import subprocess; child = subprocess.Popen(['sleep', '60'])": "processes",
        }
        for index, (cell, why) in enumerate(refused.items()):
            assert session.exec(cell).status == "ok"
            with pytest.raises(ForkRefused, match=why):
                session.fork()
            assert session.exec(f"{index}").stdout == f"{index}\n"  # unharmed
            session.restart()


def test_looking_at_the_variables_changes_nothing(box: DockerSandbox) -> None:
    with box.session() as session:
        session.exec(
            "class Sly:\n    calls = 0\n    def __reduce__(self):\n        Sly.calls += 1\n        return (str, ())\n"
            "    __getstate__ = __getattr__ = __eq__ = __hash__ = lambda *args: Sly.__reduce__(None)\n"
            "sly, deep = Sly(), []\nfor _ in range(50):\n    deep = [deep]"
        )
        with session.snapshot():
            assert session.exec("Sly.calls").stdout == "0\n"
            assert "<cell 3>" in session.exec("1/0").stderr


def test_a_snapshot_serves_many_sessions_and_outlives_its_own(box: DockerSandbox) -> None:
    session = box.session()
    session.exec("x = [1]")
    snapshot = session.snapshot()
    session.exec("x.append(2)")
    session.restore(snapshot)
    assert session.exec("x").stdout == "[1]\n"
    session.close()
    with snapshot.session() as one, snapshot.session() as other:
        one.exec("x.append(3)")
        assert (one.exec("x").stdout, other.exec("x").stdout) == ("[1, 3]\n", "[1]\n")
    snapshot.close()
    with pytest.raises(SandboxFault, match="closed"):
        snapshot.session()


def test_the_pool_hands_each_container_out_once_and_waits_when_it_is_full(daemon: Daemon) -> None:
    with DockerSandbox(LIMITS, pool=1, most=2) as small:
        one, two = small.session(), small.session()
        assert container_of(one) != container_of(two)
        got: list[Any] = []
        waiter = threading.Thread(target=lambda: got.append(small.exec(["echo", "hi"])))
        waiter.start()
        waiter.join(0.7)
        assert waiter.is_alive() and not got
        one.close()
        waiter.join(60)
        assert got[0].stdout == "hi\n"
        two.close()
        name = small._name
    left = daemon.call("containers", all=True, filters={"label": f"{daemons.LABEL}.sandbox={name}"})
    assert left == []


def test_standard_input_is_no_way_to_grow(box: DockerSandbox) -> None:
    assert box.exec(["wc", "-c"], stdin=bytes(20 * MiB)).stdout.split() == [str(20 * MiB)]
    with pytest.raises(ValueError, match="MiB"):
        box.exec(["cat"], stdin=bytes(40 * MiB))


def test_under_gvisor_a_guest_that_ends_its_supervisor_is_no_fault(daemon: Daemon) -> None:
    if "runsc" not in daemon.call("info")["Runtimes"]:
        pytest.skip("the daemon has no runtime runsc: see README")
    with DockerSandbox(LIMITS, runtime="runsc", pool=1) as box, box.session() as session:
        assert "runsc" in box.level
        look = """
import os
found = []
for name in os.listdir("/proc/1/fd"):
    try:
        found.append(os.open(f"/proc/1/fd/{name}", os.O_RDWR))
    except OSError:
        pass
[os.readlink(f"/proc/self/fd/{fd}") for fd in found if "socket" in os.readlink(f"/proc/self/fd/{fd}")]
"""
        assert session.exec(look).stdout in ("[]\n", "")
        result = session.exec("import os; os.kill(1, 9); import time; time.sleep(30)", timeout=30)
        assert result.status == "killed" and "fresh" in result.stderr
        assert session.exec("1").stdout == "1\n"
        source = "def f(n):\n    import os, time\n    if n:\n        os.kill(1, 9); time.sleep(30)\n    return n"
        cases = box.run_cases(source, "f", [[0], [1], [0]], timeout=30)
        assert [case.ok for case in cases] == [True, False, True]
