"""Attacks on the machine under a session, all run inside only: its system, its secrets, its privileges.

See ``contract.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thinkact.sandbox import Session

from .contract import SECRET, Place, out


def test_the_system_cannot_be_written(calm: Session) -> None:
    """Only the work directory and shared memory can be written to; the rest is read-only."""
    code = """
import os
wrote = []
for folder, names, _ in os.walk('/'):
    if folder.startswith(('/proc', '/sys', '/tmp', '/dev/shm', '/dev/mqueue')) or folder == os.getcwd():
        names[:] = []
        continue
    try:
        open(folder + '/probe', 'w').close()
        os.unlink(folder + '/probe')
        wrote.append(folder)
    except OSError:
        pass
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger',
             '/sys/kernel/uevent_helper', '/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/memory/release_agent'):
    try:
        open(path, 'w').close()
        wrote.append(path)
    except OSError:
        pass
print(wrote)
"""
    assert out(calm, code, timeout=60) == "[]"


def test_proc_and_sys_tell_nothing(calm: Session) -> None:
    """/proc and /sys give no kernel memory, addresses, keys, timers or log."""
    code = """
found = []
for path in ('/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/sysrq-trigger', '/proc/latency_stats',
             '/proc/kmsg', '/proc/sched_debug', '/proc/vmallocinfo', '/proc/slabinfo', '/proc/scsi/scsi', '/dev/mem',
             '/dev/kmem', '/dev/port', '/dev/kmsg', '/sys/firmware/acpi/tables/DSDT', '/sys/kernel/debug/sleep_time'):
    try:
        if open(path, 'rb').read(64): found.append(path)
    except OSError:
        pass
try:
    line = open('/proc/kallsyms').readline()
    if line and int(line.split()[0], 16): found.append('kallsyms')
except OSError:
    pass
print(found)
"""
    assert out(calm, code) == "[]"


def test_devices(calm: Session) -> None:
    """The only devices are the harmless ones: null, zero, full, random, terminals; new ones cannot be made."""
    code = """
import os, stat
odd = []
for folder, names, files in os.walk('/dev'):
    for name in files:
        path = os.path.join(folder, name)
        state = os.lstat(path)
        number = os.major(state.st_rdev), os.minor(state.st_rdev)
        if stat.S_ISBLK(state.st_mode): odd.append(path)
        harmless = number in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9)) or number[0] in (5, 136)
        if stat.S_ISCHR(state.st_mode) and not harmless: odd.append(path)
for mode, number in ((stat.S_IFBLK, (254, 0)), (stat.S_IFCHR, (1, 1)), (stat.S_IFCHR, (1, 3)), (stat.S_IFBLK, (7, 0))):
    try:
        os.mknod('made', mode | 0o666, os.makedev(*number))
        odd.append(number)
    except OSError:
        pass
print(odd)
"""
    assert out(calm, code) == "[]"


def test_environment(place: Place, calm: Session) -> None:
    """Nothing of the host's environment or command lines shows, in any process that can be seen."""
    code = """
import glob, os
seen = repr(dict(os.environ))
for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline') + ['/proc/self/mountinfo']:
    try: seen += open(path, errors='replace').read()
    except OSError: pass
print(seen)
"""
    assert os.environ["THINKACT_TEST_SECRET"] == SECRET
    for text in (out(calm, code), place.box.exec(["python3", "-c", code]).stdout, place.box.exec(["env"]).stdout):
        assert text and SECRET not in text and "THINKACT" not in text
        assert str(Path(__file__).parents[2]) not in text and os.environ["PATH"] not in text


def test_memory_of_the_interpreter(guest: Session) -> None:
    """The interpreter that runs the cells was not forked from the host's: its memory holds nothing of it."""
    code = f"""
import gc, sys
word = ''.join([{SECRET[:6]!r}, {SECRET[6:]!r}])
kinds = (dict, list, tuple)
hits = [type(o) for o in gc.get_objects() if type(o) in kinds and o is not globals() and word in repr(o)[:20000]]
frame, names = sys._getframe(), []
while frame:
    names.append(frame.f_code.co_filename)
    frame = frame.f_back
print(hits, 'pytest' in sys.modules, [n for n in names if 'tests' in n])
"""
    assert out(guest, code) == "[] False []"


def test_first_process(calm: Session) -> None:
    """The first process inside cannot be read, traced or ended."""
    code = """
import os, signal
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV):
    try: os.kill(1, number)
    except PermissionError: pass
reached = []
for name in ('mem', 'environ', 'fd/3', 'root', 'cwd', 'syscall', 'stack'):
    try:
        os.close(os.open('/proc/1/' + name, os.O_RDONLY))
        reached.append(name)
    except OSError:
        pass
print(reached)
"""
    assert out(calm, code) == "[]"
    assert out(calm, "1") == "1"


def test_no_privileges(calm: Session) -> None:
    """No capability, not even one to gain; no_new_privs and a system-call filter are on; not root."""
    code = """
import os
state = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
print(*[int(state[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')])
print(state['NoNewPrivs'], state['Seccomp'], 0 in os.getresuid(), 0 in os.getresgid(), 0 in os.getgroups())
"""
    caps, rest = out(calm, code).split("\n")
    assert caps == "0 0 0 0 0" and rest == "1 2 False False False"


def test_root_cannot_be_had(calm: Session) -> None:
    """setuid, setgid, setgroups, capset and setuid programs give nothing."""
    code = """
import ctypes, os, shutil, struct, subprocess
libc, gained = ctypes.CDLL(None, use_errno=True), []
for name, call in (('setuid', lambda: os.setuid(0)), ('setresuid', lambda: os.setresuid(0, 0, 0)),
                   ('setgid', lambda: os.setgid(0)), ('setgroups', lambda: os.setgroups([0]))):
    try:
        call()
        gained.append(name)
    except OSError:
        pass
if libc.capset(struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[0xffffffff] * 6)) == 0: gained.append('capset')
for program in ('su', 'mount', 'passwd', 'newgrp', 'chsh', 'ping', 'sudo'):
    path = shutil.which(program)
    if path and os.stat(path).st_mode & 0o6000:
        pid = os.posix_spawn(path, [program, '--help'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', 1, 0)])
        try: state = open(f'/proc/{pid}/status').read()
        except OSError: state = ''
        os.waitpid(pid, 0)
        if 'Uid:' in state and state.split('Uid:')[1].split()[1] == '0': gained.append(program)
print(gained)
"""
    assert out(calm, code) == "[]"


CALLS: dict[str, dict[str, tuple[int | None, ...]]] = {
    # name: (x86_64, aarch64, arguments…); arguments are ones with which the call would work, or say something
    # other than "forbidden", where it is allowed.
    "namespaces": {
        "unshare user": (272, 97, 0x10000000),
        "unshare mount": (272, 97, 0x20000),
        "unshare net": (272, 97, 0x40000000),
        "unshare pid": (272, 97, 0x20000000),
        "setns": (308, 268, -1, 0),
        "clone user": (56, 220, 0x10000011, 0, 0, 0, 0),
        "clone3": (435, 435, 0, 0),
    },
    "mounts": {
        "mount": (165, 40, 0, 0, 0, 0, 0),
        "umount2": (166, 39, 0, 0),
        "pivot_root": (155, 41, 0, 0),
        "chroot": (161, 51, 0),
        "open_tree": (428, 428, -1, 0, 0),
        "move_mount": (429, 429, -1, 0, -1, 0, 0),
        "fsopen": (430, 430, 0, 0),
        "fsmount": (432, 432, -1, 0, 0),
        "mount_setattr": (442, 442, -1, 0, 0, 0, 0),
        "open_by_handle_at": (304, 265, -1, 0, 0),
        "name_to_handle_at": (303, 264, -1, 0, 0, 0, 0),
    },
    "tracing": {
        "ptrace": (101, 117, 0, 0, 0, 0),
        "process_vm_readv": (310, 270, 0, 0, 0, 0, 0, 0),
        "process_vm_writev": (311, 271, 0, 0, 0, 0, 0, 0),
        "pidfd_getfd": (438, 438, -1, 0, 0),
        "kcmp": (312, 272, 0, 0, 0, 0, 0),
        "perf_event_open": (298, 241, 0, 0, -1, -1, 0),
    },
    "kernel interfaces": {
        "io_uring_setup": (425, 425, 1, 0),
        "io_uring_enter": (426, 426, -1, 0, 0, 0, 0),
        "bpf": (321, 280, 0, 0, 0),
        "userfaultfd": (323, 282, 1),
        "keyctl": (250, 219, 0, -3, 0, 0),
        "add_key": (248, 217, 0, 0, 0, 0, -3),
        "request_key": (249, 218, 0, 0, 0, 0),
        "kexec_load": (246, 104, 0, 0, 0, 0),
        "init_module": (175, 105, 0, 0, 0),
        "finit_module": (313, 273, -1, 0, 0),
        "delete_module": (176, 106, 0, 0),
        "reboot": (169, 142, 0, 0, 0, 0),
        "swapon": (167, 224, 0, 0),
        "syslog": (103, 116, 10, 0, 0),
        "acct": (163, 89, 0),
        "settimeofday": (164, 170, 0, 0),
        "clock_settime": (227, 112, 0, 0),
        "sethostname": (170, 161, 0, 0),
        "quotactl": (179, 60, 0, 0, 0, 0),
        "fanotify_init": (300, 262, 0, 0),
        "personality": (135, 92, 0x40000),
    },
}


@pytest.mark.parametrize("group", CALLS)
def test_system_calls(calm: Session, group: str) -> None:
    """The kernel's riskier system calls are refused: namespaces, mounts, tracing, kernel interfaces."""
    code = f"""
import ctypes, errno, os, platform
column = {{'x86_64': 0, 'aarch64': 1}}[platform.machine()]
libc, allowed = ctypes.CDLL(None, use_errno=True), []
for name, words in {CALLS[group]!r}.items():
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        result = libc.syscall(words[column], *[ctypes.c_long(word) for word in words[2:]])
        refused = result == -1 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS)
        os._exit(0 if refused else 1)
    status = os.waitpid(child, 0)[1]
    if status not in (0, 31):  # 31: killed by the filter
        allowed.append(name)
print(allowed)
"""
    assert out(calm, code) == "[]"


def test_terminal_and_ioctls(calm: Session) -> None:
    """There is no controlling terminal to type into."""
    code = """
import fcntl, os
typed = []
try:
    os.close(os.open('/dev/tty', os.O_RDWR))
    typed.append('tty')
except OSError:
    pass
for fd in range(3):
    for number, argument in ((0x5412, b'x'), (0x541C, b'\\x02')):
        try:
            fcntl.ioctl(fd, number, argument)
            typed.append((fd, number))
        except OSError:
            pass
print(typed)
"""
    assert out(calm, code) == "[]"


def test_the_supervisors_line(place: Place) -> None:
    """A guest that writes rubbish on every descriptor, or closes them all, is data and never a fault."""
    find = """
import os, stat, struct, json
opened = [fd for fd in range(3, 1024) if os.path.exists(f'/proc/self/fd/{fd}')]
lines = [fd for fd in opened if stat.S_ISSOCK(os.fstat(fd).st_mode)]
"""
    with place.box.session() as session:
        for attack in (
            "[os.write(fd, b'\\xff' * 64) for fd in lines]",
            "[os.write(fd, struct.pack('!I', 3) + b'[1]') for fd in lines]",
            "[os.write(fd, struct.pack('!I', 400) + b'[' * 400) for fd in lines]",
            "[os.write(fd, struct.pack('!I', 2) + b'{}') for fd in lines]",
            "[os.close(fd) for fd in lines]",
            "[os.close(fd) for fd in (0, 1, 2)]",
            "import sys; json.dumps = None; sys.stdout = sys.stderr = None",
        ):
            result = session.exec(find + attack, timeout=5)
            assert result.status in ("killed", "ok", "error", "timeout"), (attack, result)
            assert session.exec("1", timeout=20).status in ("ok", "killed", "error")
            session.restart()
        assert out(session, "1") == "1"
