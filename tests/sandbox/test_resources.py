"""Resources: what one sandbox may use up, and that its neighbours never notice. See ``contract.py``."""

from __future__ import annotations

import os
import resource

import pytest

from thinkact.sandbox import Session

from .contract import LIMITS, MiB, Place, descendants, marked, new_mark, out, set_mark, wait_until


def host_memory() -> int:
    """Return the most that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_memory_of_one_process(guest: Session) -> None:
    """One process cannot take more memory than its limit, and a session survives its MemoryError."""
    result = guest.exec("x = bytearray(1 << 30)")
    assert (result.status, result.limit_hit) == ("oom", "memory"), result
    assert out(guest, "len(bytearray(16 << 20))") == str(16 * MiB)


def test_memory_of_a_tree(place: Place, guest: Session) -> None:
    """Many processes together cannot take more memory than the limit."""
    code = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        data = bytearray(100 << 20)
        for at in range(0, len(data), 4096): data[at] = 1
        time.sleep(100)
time.sleep(100)
"""
    result = guest.exec(code, timeout=60)
    assert (result.status, result.limit_hit) == ("oom", "memory"), result
    assert place.box.exec(["echo", "next"]).stdout == "next\n"


def test_fork_bomb(place: Place, guest: Session) -> None:
    """A fork bomb stops at the limit; no process of it is left, and a neighbour can still start programs."""
    mark = new_mark()
    code = f"""
import os, time
{set_mark(mark)}
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(100)
        count += 1
except BlockingIOError:
    pass
print(0 < count <= {LIMITS.processes})
"""
    with place.box.session() as neighbour:
        assert out(guest, code) == "True"
        assert len(marked(mark)) <= LIMITS.processes
        assert out(neighbour, "import subprocess; subprocess.run(['echo', 'fine']).returncode") == "fine\n0"
    guest.close()
    assert not marked(mark)
    bomb = f"{set_mark(mark)}import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert place.box.exec(["python3", "-c", bomb], timeout=1).status in ("timeout", "killed", "oom")
    assert not marked(mark)


def test_thread_bomb(guest: Session) -> None:
    """Threads count like processes."""
    code = """
import threading, time
stop, made = threading.Event(), 0
threading.stack_size(65536)
try:
    while made < 500:
        threading.Thread(target=stop.wait, daemon=True).start()
        made += 1
except RuntimeError:
    pass
stop.set()
print(made)
"""
    assert 0 < int(out(guest, code)) <= LIMITS.processes


def test_disk_bytes(guest: Session) -> None:
    """The work directory cannot hold more bytes than its limit, and can be used again once there is room."""
    code = """
import errno, os
wrote = 0
try:
    for name in range(64):
        with open(str(name), 'wb', buffering=0) as file:
            for _ in range(8): wrote += file.write(bytes(1 << 18))
except OSError as error:
    print(errno.errorcode[error.errno], end=' ')
for name in os.listdir('.'): os.unlink(name)
print(wrote)
"""
    word, wrote = out(guest, code).split()
    assert word in ("ENOSPC", "EDQUOT") and MiB < int(wrote) <= LIMITS.tmpfs_bytes
    assert out(guest, "open('again', 'w').write('x')") == "1"


def test_disk_inodes(guest: Session) -> None:
    """Nor more files and directories."""
    code = """
import os
made = 0
try:
    while made < 20000:
        os.mkdir(f'd{made}')
        made += 1
except OSError:
    pass
print(made)
"""
    assert 0 < int(out(guest, code, timeout=60)) <= LIMITS.tmpfs_inodes


def test_disk_elsewhere(guest: Session) -> None:
    """No other place that can be written to is without a limit: /dev/shm, /var/tmp, /run, /dev, the home."""
    code = """
import os
total = {}
for folder in ('/dev/shm', '/var/tmp', '/run', '/run/lock', '/dev', '/', '/home', '/root', '/mnt', '/dev/mqueue'):
    for name in range(64):
        try:
            with open(f'{folder}/fill{name}', 'wb', buffering=0) as file:
                for _ in range(4): total[folder] = total.get(folder, 0) + file.write(bytes(1 << 20))
        except OSError:
            break
for folder in total:
    for name in range(64):
        try: os.unlink(f'{folder}/fill{name}')
        except OSError: pass
print(sum(total.values()))
"""
    assert int(out(guest, code, timeout=60)) <= 64 * MiB


def test_one_file(guest: Session) -> None:
    """One file cannot grow beyond its limit, by writing or by truncate."""
    code = """
import os
with open('big', 'wb', buffering=0) as file:
    try:
        while file.write(bytes(1 << 20)): pass
    except OSError: pass
    size = os.path.getsize('big')
    try: file.truncate(1 << 40)
    except OSError: pass
print(size, os.path.getsize('big'))
"""
    assert [int(word) <= LIMITS.file_bytes for word in out(guest, code).split()] == [True, True]


def test_descriptors(guest: Session) -> None:
    """Open files are counted, and the session outlives their exhaustion."""
    code = """
files = []
try:
    while len(files) < 5000: files.append(open('/dev/null'))
except OSError:
    pass
count = len(files)
del files
print(count)
"""
    assert 0 < int(out(guest, code)) <= LIMITS.open_files


def test_kernel_memory(guest: Session) -> None:
    """Memory that belongs to no process (memfd, SysV shared memory, full pipes) is refused, counted or small."""
    code = """
import ctypes, fcntl, os
libc, total = ctypes.CDLL(None, use_errno=True), 0
try:
    fd = os.memfd_create('x')
    for _ in range(600): total += os.write(fd, bytes(1 << 20))
except OSError:
    pass
pipes = []
try:
    for _ in range(400):
        r, w = os.pipe()
        pipes += [r, w]
        os.set_blocking(w, False)
        try: fcntl.fcntl(w, 1031, 1 << 20)
        except OSError: pass
        try:
            while True: total += os.write(w, bytes(65536))
        except BlockingIOError: pass
except OSError:
    pass
for fd in pipes: os.close(fd)
if libc.shmget(0, 512 << 20, 0o1600) != -1: total += 512 << 20
print(total)
"""
    result = guest.exec(code, timeout=60)
    assert result.status in ("oom", "killed") or int(result.stdout) <= LIMITS.memory_bytes, result


def test_sleep_beyond_the_wall_clock(place: Place) -> None:
    """A time-out comes whatever the program does: sleep, spin, stop itself, block signals; the overshoot is small."""
    for code in (
        "import time; time.sleep(100)",
        "while True: pass",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import signal, time\nfor n in {*range(1, 65)} - {9, 19, 32, 33}: signal.signal(n, 1)\ntime.sleep(100)",
        "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(100)",
    ):
        result = place.box.exec(["python3", "-c", code], timeout=0.4)
        assert (result.status, result.limit_hit) == ("timeout", "wall"), (code, result)
        assert result.duration_s < 20, "generous: the machine may be busy; benchmarks/sandbox.py measures it"


def test_a_flood_costs_the_host_no_memory(place: Place) -> None:
    """Endless output is read to its limit and stopped; the host does not grow with it."""
    before = host_memory()
    with place.box.session() as session:
        for stream in (1, 2):
            result = session.exec(f"import os\nwhile True: os.write({stream}, b'x' * 65536)", timeout=60)
            assert (result.status, result.truncated) == ("output_limit", True), result
            assert len(result.stdout) <= LIMITS.output_bytes + 1000
    assert host_memory() - before < 64 * MiB


def test_neighbours_go_on(place: Place, calm: Session) -> None:
    """While one sandbox eats all it can get, another still computes, writes and starts programs."""
    bomb = """
import os, time
for number in range(6):
    if os.fork() == 0:
        try:
            data = bytearray(20 << 20)
            open(f'fill{number}', 'wb').write(bytes(2 << 20))
            while True: pass
        except OSError:
            time.sleep(100)
print('started', flush=True)
"""
    with place.box.session() as eater:
        assert out(eater, bomb) == "started"
        assert out(calm, "open('n', 'wb').write(bytes(1 << 20))") == str(MiB)
        assert out(calm, "import os; os.unlink('n'); os.system('echo fine')") == "fine\n0"
        assert place.box.exec(["python3", "-c", "print(sum(range(10**5)))"], timeout=60).stdout == "4999950000\n"


def test_no_core_is_dumped(place: Place) -> None:
    """A crash writes no core file."""
    crash = "ulimit -c; ulimit -H -c; python3 -c 'import os; os.abort()' 2>/dev/null; ls -A"
    result = place.box.exec(["sh", "-c", crash])
    assert result.stdout.split() == ["0", "0"], result


def test_priority_cannot_be_raised(guest: Session) -> None:
    """Niceness cannot be lowered, real-time scheduling cannot be had, limits cannot be lifted."""
    code = """
import os, resource
gained = []
def attempt(name, call, *args):
    try:
        call(*args)
        gained.append(name)
    except (OSError, ValueError, PermissionError):
        pass
attempt('nice', os.setpriority, os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 5)
attempt('fifo', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
for name in ('RLIMIT_NPROC', 'RLIMIT_NOFILE', 'RLIMIT_FSIZE', 'RLIMIT_CORE', 'RLIMIT_MEMLOCK'):
    soft, hard = resource.getrlimit(getattr(resource, name))
    if hard != resource.RLIM_INFINITY:
        attempt(name, resource.setrlimit, getattr(resource, name), (soft, hard + 1))
print(gained)
"""
    assert out(guest, code) == "[]"


def test_idle_sessions_are_cheap(place: Place) -> None:
    """Ten idle sessions cost a few processes each and no more."""
    if place.backend == "docker":
        pytest.skip("its processes are the daemon's; their memory is the container's")
    before = descendants(place.root)
    sessions = [place.box.session() for _ in range(10)]
    try:
        assert all(session.exec("1").stdout == "1\n" for session in sessions)
        assert len(descendants(place.root) - before) <= 30
    finally:
        for session in sessions:
            session.close()
    assert wait_until(lambda: descendants(place.root) <= before | {os.getpid()})
