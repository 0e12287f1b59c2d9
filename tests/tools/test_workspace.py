import copy
import gc
import os
import pickle
import shutil
from collections.abc import Iterator

import pytest

from thinkact.sandbox import ForkRefused, Limits, SandboxFault, SandboxFileError
from thinkact.tools.held import MOST_HELD, held_count
from thinkact.tools.workspace import LIMITS, MOST_GENERATIONS, Workspace

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None and os.environ.get("CI") != "true",
    reason="bubblewrap is missing: apt-get install bubblewrap",
)

FILES = {"a.txt": b"one\n", "deep/b.txt": b"two\n"}


@pytest.fixture
def space() -> Iterator[Workspace]:
    made = Workspace(files=FILES)
    yield made
    made.close()


def bash(space: Workspace, command: str) -> str:
    return space.run(["bash", "-c", command]).stdout


def work(space: Workspace) -> None:
    """Bring about memory, files, and a file that only the order of things explains."""
    space.exec("import random\nitems = [random.random()]")
    bash(space, "echo three >> a.txt; mkdir -p new; ln -s ../a.txt new/link; chmod 600 deep/b.txt")
    space.write("new/c.bin", bytes(range(256)))
    space.exec("open('from-python', 'w').write(str(items)); 1 / 0")


def look(space: Workspace) -> tuple[str, str, str, list[str]]:
    """Do the same further work, and return everything that it shows."""
    memory = space.exec("items.append(random.random()); items, open('a.txt').read()").stdout
    told = bash(space, "echo four >> a.txt; find . | sort; cat a.txt new/link from-python; stat -c '%n %a %s' deep/*")
    return memory, told, space.snapshot().key, [f"{entry}" for entry in space.list() if entry.kind != "directory"]


def test_python_programs_and_files_share_one_directory(space: Workspace) -> None:
    assert bash(space, "cat a.txt deep/b.txt") == "one\ntwo\n"
    space.exec("open('a.txt', 'a').write('from python\\n')")
    assert bash(space, "tail -n 1 a.txt; pwd") == "from python\n/tmp\n"
    space.write("x/y.txt", b"from outside")
    assert "from outside" in space.exec("open('x/y.txt').read()").stdout
    assert space.read("a.txt") == b"one\nfrom python\n"
    assert [entry.path for entry in space.list()] == ["a.txt", "deep", "deep/b.txt", "x", "x/y.txt"]


def test_reset_brings_the_first_files_of_the_next_episode(space: Workspace) -> None:
    work(space)
    space.reset({"only.txt": b"1"}, prepare="import os; os.symlink('only.txt', 'link'); os.chmod('only.txt', 0o711)")
    assert bash(space, "ls -A; readlink link; stat -c %a only.txt") == "link\nonly.txt\nonly.txt\n711\n"
    assert "NameError" in space.exec("items").stderr and "NameError" in space.exec("os").stderr


def test_a_broken_preparation_is_our_fault(space: Workspace) -> None:
    space.reset(prepare="1 / 0")
    with pytest.raises(SandboxFault, match="could not be prepared"):
        space.list()


def test_a_stopped_program_leaves_files_and_interpreter(space: Workspace) -> None:
    space.exec("x = 7")
    result = space.run(["bash", "-c", "echo begun > begun; sleep 60"], timeout=1.0)
    assert result.status == "timeout"
    assert space.exec("x, open('begun').read()").stdout == "(7, 'begun\\n')\n"


def test_a_stopped_cell_takes_the_workspace_back_to_its_start(space: Workspace) -> None:
    work(space)
    assert space.exec("while True: pass", timeout=0.3).status == "timeout"
    assert space.journal == () and space.snapshot().key == Workspace(files=FILES).snapshot().key
    assert bash(space, "cat a.txt; find . -type f | sort") == "one\n./a.txt\n./deep/b.txt\n"
    assert "NameError" in space.exec("items").stderr


def test_nothing_of_a_program_survives_it(space: Workspace) -> None:
    ticking = "(setsid sh -c 'while sleep 0.05; do date >> ticks; done' >/dev/null 2>&1 &)"
    bash(space, f"{ticking} ; until [ -s ticks ]; do sleep 0.01; done")
    first = space.read("ticks")
    space.run(["sleep", "0.3"])
    assert space.read("ticks") == first


def test_killing_everything_in_sight_leaves_a_working_workspace(space: Workspace) -> None:
    space.exec("x = 7")
    space.run(["bash", "-c", "echo mark > mark; kill -9 -1"])
    assert space.run(["echo", "on"]).stdout == "on\n"
    assert space.exec("1 + 1").stdout == "2\n"
    state, seen = space.snapshot(), bash(space, "ls")
    space.reset(FILES)
    space.restore(state)
    assert bash(space, "ls") == seen


@pytest.mark.parametrize(
    "deed",
    [
        "chmod 000 /tmp",
        "rm -rf /tmp; rmdir /tmp",
        # One process: two hundred would take longer than the limit where much else runs.
        "python3 -c \"import os; d = 'ddddddddddddddddddddddddd'; [os.mkdir(d) or os.chdir(d) for _ in range(200)]\"",
        "kill -STOP -1; kill -9 $PPID",
        "exec >&- 2>&- <&-; touch on",
        "mkdir $'\\xff'; ln -s $'\\xff' $'a\\nb'; mkfifo pipe",
        "cat /dev/zero > full; cat /dev/zero > /dev/shm/full",
    ],
)
def test_nothing_that_a_program_does_is_a_fault_of_ours(deed: str) -> None:
    small = Limits(wall_s=2.0, tmpfs_bytes=4 << 20, file_bytes=8 << 20, processes=16, output_bytes=64 << 10)
    space = Workspace(small, files=FILES)
    space.exec("x = 1")
    space.run(["bash", "-c", deed])
    held = space.hold()
    assert space.run(["echo", "on"]).stdout == "on\n" and space.exec("x").stdout == "1\n"
    try:
        space.list()
    except SandboxFileError:
        assert "ddd" in deed, "only a tree too deep cannot be listed"
    state = space.snapshot()
    if held is not None:
        assert space.resume(held) and space.run(["echo", "on"]).stdout == "on\n"
    space.reset(FILES)
    space.restore(state)
    assert space.snapshot() == state
    space.close()


def test_replay_is_exact_anywhere_and_any_number_of_times(space: Workspace) -> None:
    work(space)
    state = pickle.loads(pickle.dumps(space.snapshot()))
    first = look(space)
    other = Workspace(files=FILES)
    for again in (space, other, other):
        again.restore(state)
        assert again.snapshot() == state
        assert look(again) == first
    other.close()


def test_resuming_is_exact_any_number_of_times_also_from_what_was_resumed(space: Workspace) -> None:
    work(space)
    held = space.hold()
    assert held is not None
    first = look(space)
    other = Workspace(files=FILES)
    for again in (space, other, other, space):
        assert again.resume(held)
        assert again.snapshot() == held.state
        assert look(again) == first
    assert other.resume(held)
    second = other.hold()
    assert second is not None and space.resume(second) and look(space) == first
    other.close()
    assert held.usable and not second.usable, "closing a workspace frees its own handles only"


def test_resuming_needs_the_same_start(space: Workspace) -> None:
    work(space)
    held, state = space.hold(), space.snapshot()
    assert held is not None
    other = Workspace(files={"a.txt": b"another"})
    assert not other.resume(held)
    with pytest.raises(SandboxFault, match="other files"):
        other.restore(state)
    other.close()


def test_what_answers_otherwise_is_refused_by_replay_and_exact_when_resumed(space: Workspace) -> None:
    moment = bash(space, "date +%N | tee now")
    state, held = space.snapshot(), space.hold()
    assert held is not None
    bash(space, "rm now")
    assert space.resume(held)
    assert space.read("now").decode() == moment
    space.reset(FILES)
    with pytest.raises(SandboxFault, match=r"operation 1 \(run\)"):
        space.restore(state)
    assert space.journal == ()


def test_a_time_out_is_replayed_by_what_it_left(space: Workspace) -> None:
    space.run(["bash", "-c", "echo $RANDOM$RANDOM$RANDOM > left; sleep 60"], timeout=1.0)
    state = space.snapshot()
    space.reset(FILES)
    with pytest.raises(SandboxFault, match="operation 1"):
        space.restore(state)


def test_nothing_to_hold_before_the_first_operation(space: Workspace) -> None:
    assert space.hold() is None
    space.restore(space.snapshot())
    assert bash(space, "ls") == "a.txt\ndeep\n"


def test_what_cannot_be_copied_is_left_to_replay(space: Workspace) -> None:
    space.exec("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nx = 1")
    assert space.hold() is None
    assert space.exec("x").stdout == "1\n"


def test_handles_are_freed_by_forgetting_closing_and_their_number(space: Workspace) -> None:
    gc.collect()
    before = held_count()
    space.exec("x = 1")
    kept = [space.hold() for _ in range(3)]
    assert held_count() == before + 3
    kept.pop()
    gc.collect()
    assert held_count() == before + 2
    one = kept[0]
    assert one is not None
    one.close()
    one.close()
    assert held_count() == before + 1 and not space.resume(one)
    space.close()
    assert held_count() == before


def test_the_oldest_handles_give_way(monkeypatch: pytest.MonkeyPatch, space: Workspace) -> None:
    assert MOST_HELD >= 16
    gc.collect()
    before = held_count()
    monkeypatch.setattr("thinkact.tools.held.MOST_HELD", before + 2)
    space.exec("x = 1")
    kept = [space.hold() for _ in range(4)]
    assert [held is not None and held.usable for held in kept] == [False, False, True, True]


def test_long_chains_of_snapshots_end_in_replay_and_never_in_a_fault(space: Workspace) -> None:
    kept = []
    for number in range(MOST_GENERATIONS + 4):
        space.exec(f"x = {number}")
        kept.append((space.hold(), space.snapshot()))
    assert [held is not None for held, _ in kept] == [True] * MOST_GENERATIONS + [False] * 4
    for number in (len(kept) - 1, 0, MOST_GENERATIONS - 1):
        held, state = kept[number]
        space.reset(FILES)
        assert held is None or space.resume(held)
        space.restore(state)
        assert space.exec("x").stdout == f"{number}\n"


def test_snapshots_that_were_forgotten_do_not_count(space: Workspace) -> None:
    for number in range(MOST_GENERATIONS + 2):
        space.exec(f"x = {number}")
        held = space.hold()
        assert held is not None
        held.close()


def test_a_session_that_cannot_go_on_is_replayed(monkeypatch: pytest.MonkeyPatch, space: Workspace) -> None:
    work(space)
    state = space.snapshot()
    kind = type(space._session)
    refuse = iter([True, False])
    original = kind.exec

    def once(self: object, *args: object, **kwargs: object) -> object:
        if next(refuse, False):
            raise ForkRefused("too many generations")
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "exec", once)
    assert space.exec("len(items)").stdout == "1\n"
    assert space.snapshot().journal[:-1] == state.journal


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_no_handles_and_frees_none(space: Workspace) -> None:
    space.exec("x = 5")
    held = space.hold()
    assert held is not None
    child = os.fork()
    if child == 0:
        right = held_count() == 0 and not held.usable
        held.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert space.resume(held) and space.exec("x").stdout == "5\n"


def test_writes_that_fail_are_part_of_the_history(space: Workspace) -> None:
    bash(space, "mkfifo pipe; ln -s /etc/passwd link")
    for path in ("pipe", "link", "a.txt/below"):
        with pytest.raises(SandboxFileError):
            space.write(path, b"x")
    with pytest.raises(ValueError, match="relative"):
        space.write("../x", b"x")
    state = space.snapshot()
    assert len(state.journal) == 4
    space.reset(FILES)
    space.restore(state)
    assert space.snapshot() == state


def test_limits_are_the_workspace_s() -> None:
    space = Workspace(Limits(wall_s=LIMITS.wall_s, tmpfs_bytes=1 << 20))
    assert space.run(["bash", "-c", "head -c 2000000 /dev/zero > big"]).status == "error"
    space.close()


def test_state_is_a_value() -> None:
    space = Workspace(files=FILES)
    assert copy.deepcopy(space.snapshot()) == space.snapshot()
    assert len(repr(space.snapshot())) < 200
