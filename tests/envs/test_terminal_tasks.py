"""Tasks of Terminal, without the sandbox: sound by construction, and their goals not to be fooled."""

import gzip
import io
import random
import tarfile
from functools import cache

import pytest

from thinkact.envs.terminal.draw import Draw
from thinkact.envs.terminal.env import TerminalEnv
from thinkact.envs.terminal.tasks import HIDDEN, LEVELS, OPEN, build
from thinkact.envs.terminal.tree import (
    Archive,
    File,
    Folder,
    Json,
    Link,
    Other,
    Same,
    Text,
    damage,
    leftovers,
)

SAMPLE = [(hidden, level, number) for hidden in (False, True) for level in range(len(LEVELS)) for number in range(24)]


def packed(members, *, compressed=False):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(raw.getvalue()) if compressed else raw.getvalue()


def solved(problem):
    """Return the tree that a perfect agent leaves, made without any program."""
    tree = dict(problem.start)
    for path, wanted in problem.changes.items():
        if wanted is None:
            tree.pop(path, None)
        elif isinstance(wanted, Same):
            node = wanted.node
            tree[path] = File(node.data, 0o644) if isinstance(node, File) and node.mode is None else node
        elif isinstance(wanted, Text):
            tree[path] = File("\n".join(wanted.lines).encode())
        elif isinstance(wanted, Json):
            tree[path] = File(wanted.text.encode())
        else:
            tree[path] = File(packed(wanted.members, compressed=wanted.compressed))
    return tree


@cache
def problems():
    return [problem for key in SAMPLE if (problem := build(*key)) is not None]


def test_every_task_is_to_do_at_the_start_and_done_at_the_end():
    count = 0
    for problem in problems():
        end = solved(problem)
        assert not any(goal.done(problem.start) for goal in problem.goals)
        assert all(goal.done(end) for goal in problem.goals), problem.prompt
        for tree in (problem.start, end):
            assert not damage(problem.start, problem.changes, tree)
            assert not leftovers(problem.start, problem.changes, tree)
        count += 1
    assert count > 0.95 * len(SAMPLE)


def test_every_single_change_is_needed():
    for problem in problems():
        end = solved(problem)
        for goal in problem.goals:
            for path, wanted in goal.changes.items():
                before = problem.start.get(path)
                already = wanted.holds(before) if wanted is not None else path not in problem.start
                mutant = {**end, path: before} if before is not None else {k: v for k, v in end.items() if k != path}
                if not already and not (wanted is None and before is None):
                    assert not goal.done(mutant), f"{goal.name}: {path} may stay as it is"


def test_near_misses_are_no_goals():
    for problem in problems():
        end = solved(problem)
        for goal in problem.goals:
            for path, wanted in goal.changes.items():
                node = end.get(path)
                if wanted is None or not isinstance(node, File):
                    continue
                wrong = [File(b""), File(node.data[: min(600, len(node.data) // 3)]), Folder(), Link(path), Other()]
                if not isinstance(wanted, Archive):  # what comes after the end of an archive is no part of it
                    wrong += [File(node.data + b"x", node.mode), File(node.data[:-2], node.mode)]
                for miss in wrong:
                    assert miss == node or not goal.done({**end, path: miss}), f"{goal.name}: {path}: {miss}"


def test_whatever_was_to_stay_is_guarded():
    for problem in problems():
        end = solved(problem)
        kept = [path for path in problem.start if path not in problem.changes]
        assert len(kept) >= 2, "there is always something to destroy"
        for path in kept:
            node = problem.start[path]
            missing = {key: value for key, value in end.items() if key != path}
            assert damage(problem.start, problem.changes, missing) == [path]
            for other in (Link("x"), Other(), File(b"", 0o644), File(b"x", 0o600)):
                if other != node:
                    assert damage(problem.start, problem.changes, {**end, path: other}) == [path]


def test_the_templates_are_many_and_the_hidden_ones_are_their_own():
    def name(maker):
        return maker(Draw(random.Random(1), "area", 8, tricky=False)).name

    names, hidden = {name(maker) for maker in OPEN}, {name(maker) for maker in HIDDEN}
    assert len(names) == len(OPEN) == 20 and len(hidden) == len(HIDDEN) == 7 and not names & hidden
    seen = {goal.name for problem in problems() for goal in problem.goals}
    assert {"then-copy", "then-count", "then-last", *names, *hidden} == seen


def test_levels_grow():
    def mean(level, what):
        chosen = [problem for problem in problems() if problem.level == level]
        return sum(what(problem) for problem in chosen) / len(chosen)

    files = [mean(level, lambda problem: len(problem.start)) for level in range(len(LEVELS))]
    goals = [mean(level, lambda problem: len(problem.goals)) for level in range(len(LEVELS))]
    assert files == sorted(files) and goals == sorted(goals) and goals[-1] > 4
    awkward = [problem for problem in problems() if problem.level >= 2 and any(" " in path for path in problem.start)]
    assert len(awkward) > 40


def test_no_prompt_is_in_two_splits_and_prompts_name_no_answer():
    owner = {}
    for problem in problems():
        assert owner.setdefault(problem.prompt, problem.split) == problem.split
        for wanted in problem.changes.values():
            if isinstance(wanted, Text) and len(wanted.lines) > 2:
                assert not all(line in problem.prompt for line in wanted.lines)


@pytest.mark.parametrize(
    ("hidden", "level", "number"), [(False, 9, 0), (True, -1, 0), (False, 0, -1), (False, 0, 10**9)]
)
def test_there_are_no_other_tasks(hidden, level, number):
    assert build(hidden, level, number) is None


MEMBERS = {"a/x.txt": b"1", "a/y.txt": b"2"}


def hostile_tar(kind):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if name.endswith("y.txt"):
                info.type = kind
                info.linkname = "/etc/passwd"
                info.size = 0 if kind != tarfile.REGTYPE else info.size
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def test_archives_are_read_in_memory_and_must_hold_exactly_the_files():
    wanted = Archive(MEMBERS, False)
    assert wanted.holds(File(packed(MEMBERS))) and wanted.holds(File(packed({f"./{k}": v for k, v in MEMBERS.items()})))
    wrong = [
        b"", b"x" * 5000, packed(MEMBERS)[:700], packed(MEMBERS, compressed=True), packed({}), b"\0" * 10240,
        packed({**MEMBERS, "a/z.txt": b""}), packed({"a/x.txt": b"1"}), packed({**MEMBERS, "a/y.txt": b"3"}),
        packed({f"/{k}": v for k, v in MEMBERS.items()}), packed({f"../{k}": v for k, v in MEMBERS.items()}),
        *(hostile_tar(kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"?")),
    ]  # fmt: skip
    assert not any(wanted.holds(File(data)) for data in wrong)
    assert not wanted.holds(Link("x")) and not wanted.holds(None)
    zipped = Archive(MEMBERS, True)
    assert zipped.holds(File(packed(MEMBERS, compressed=True)))
    bomb = gzip.compress(b"\0" * (64 << 20))
    cut = packed(MEMBERS, compressed=True)[:-9]
    assert not any(zipped.holds(File(data)) for data in (packed(MEMBERS), bomb, cut, b"\x1f\x8b", b""))


def test_json_is_compared_by_value_and_type():
    wanted = Json('[{"id": "1"}]')
    assert wanted.holds(File(b'[ {"id":\n"1"} ]\n'))
    for wrong in (b'[{"id": 1}]', b"[]", b"[" * 100_000, b'[{"id": "1"}] x', b"\xff", b"NaN", b'{"id": "1"}'):
        assert not wanted.holds(File(wrong))


@pytest.mark.parametrize("level", [5, -1, (), (1, 7), True, "1", (1.0,), None])
def test_unknown_levels_are_refused(level):
    with pytest.raises((ValueError, TypeError), match="level"):
        TerminalEnv(level=level)
