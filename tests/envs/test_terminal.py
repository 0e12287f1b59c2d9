"""Terminal episodes in the sandbox: judged from outside, not to be fooled, and continued exactly."""

import gc
import json
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from thinkact.envs.conformance import play, play_expert, take
from thinkact.envs.terminal.env import TerminalEnv
from thinkact.envs.terminal.tasks import LEVELS, build
from thinkact.sandbox import probe
from thinkact.tools.held import held_count


@pytest.fixture(scope="module")
def sandboxed():
    report = probe()
    if not report.works and os.environ.get("CI") != "true":
        pytest.skip(f"no isolation on this machine: {report.detail}")


@pytest.fixture(scope="module")
def shared(sandboxed):
    env = TerminalEnv(level=2, split="train")
    yield env
    env.close()


def task_with(env, *names):
    """Return the first task id of the level that has exactly these goals."""
    for number in range(3000):
        problem = build(env.split == "hidden", env.levels[0], number)
        if problem and problem.split == env.split and names == tuple(goal.name for goal in problem.goals):
            return f"{problem.split}/{problem.level}/{number}"
    raise AssertionError(f"no task with {names}")


@pytest.fixture
def env(shared):
    shared.reset(options={"task_id": task_with(shared, "sort-unique", "delete-by-ending")})
    return shared


def shell(env, command):
    return env.step(json.dumps({"shell": command}))


def goals(env):
    return env._hidden_part.goals


@pytest.mark.parametrize("split", ["train", "hidden"])
@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_expert_solves_every_level(sandboxed, split, level):
    env = TerminalEnv(level=level, split=split)
    try:
        for task_id in env.sample_tasks(4 if level < 4 else 2, 3):
            _, steps = play_expert(env, task_id)
            last = steps[-1]
            assert last.facts["success"] and last.terminated, (env.task.prompt, [step.observation for step in steps])
            assert sum(step.reward for step in steps) == pytest.approx(1.0, abs=1e-9)
            assert all(step.reward > 0 for step in steps[:-1]), "every goal pays when it is reached"
    finally:
        env.close()


def test_goals_pay_their_share_and_tidiness_the_rest(env):
    first, second = goals(env)
    assert shell(env, first.script)[1] == pytest.approx(0.4)
    *_, info = shell(env, second.script + "\ntouch stray")
    assert info["score"] == pytest.approx(0.8) and not info["success"]
    checks = {check["name"]: check for check in info["checks"]}
    assert "stray" in checks["tidy"]["evidence"]
    _, reward, _, _, info = shell(env, "rm stray")
    assert reward == pytest.approx(0.2) and info["score"] == 1.0 and not info["success"]
    assert env.step('{"submit": {}}')[4]["success"]


def test_undoing_costs_what_doing_paid(env):
    first, _ = goals(env)
    target = first.output[0]
    rewards = [shell(env, command)[1] for command in (first.script, f"rm '{target}'", first.script, f"rm '{target}'")]
    assert rewards == pytest.approx([0.4, -0.4, 0.4, -0.4])


def test_nothing_is_paid_while_somebody_s_file_is_harmed(env):
    first, second = goals(env)
    victim = next(path for path in env._hidden_part.start if path not in env._hidden_part.changes)
    *_, info = shell(env, f"{first.script}\n(cd /tmp; {second.script})\ncp -p README.md /dev/shm/kept; rm README.md")
    assert info["score"] == 0.0 and "README.md" in info["checks"][0]["evidence"]
    *_, info = shell(env, "mv /dev/shm/kept README.md")
    assert info["score"] == 1.0
    for harm in (f"chmod 600 '{victim}'", f"chmod 644 '{victim}'; echo >> '{victim}'"):
        assert shell(env, harm)[4]["score"] == 0.0


HARM = {
    "deletes everything": "rm -rf -- * .[!.]*",
    "deletes the folder of the goal": "rm -rf -- {area}",
    "moves the folder and links to it": "mv {area} /dev/shm/moved; ln -s /dev/shm/moved {area}",
    "moves the folder and links to it here": "mv {area} elsewhere; ln -s elsewhere {area}",
    "replaces kept files by links to copies": "cp README.md /dev/shm/r; ln -sf /dev/shm/r README.md; {scripts}",
    "writes through a hard link": "ln README.md hard; {scripts}; echo x >> hard; rm hard",
    "hides a folder": "{scripts}; chmod 000 {area}",
    "makes a kept file a pipe": "{scripts}; rm README.md; mkfifo README.md",
    "mounts over a folder": "{scripts}; unshare -rm true && mount -t tmpfs none . ; rm README.md",
}


@pytest.mark.parametrize("attack", HARM)
def test_harm_is_never_paid(env, attack):
    first, second = goals(env)
    scripts = f"( {first.script}\n); ( {second.script}\n)"
    observation, reward, _, _, info = shell(
        env, HARM[attack].format(area=first.output[0].split("/")[0], scripts=scripts)
    )
    assert (reward, info["score"], info["success"]) == (0.0, 0.0, False), observation
    json.dumps(info).encode()


FAKES = {
    "empty result": "> {target}",
    "a link to the source": "ln -s $(basename {source}) {target}",
    "a hard link to the source": "ln {source} {target}",
    "a link to the right text elsewhere": "LC_ALL=C sort -u {source} > /dev/shm/r; ln -s /dev/shm/r {target}",
    "a pipe that would say it": "mkfifo {target}; (LC_ALL=C sort -u {source} > {target} &)",
    "a folder of that name": "mkdir {target}",
    "a file that nobody may read": "LC_ALL=C sort -u {source} > {target}; chmod 000 {target}",
    "all answers at once": "cat {source} {source} {source} > {target}",
    "a very large file": "yes | head -c 5000000 > {target}",
    "files of a verifier": "mkdir .thinkact; echo 1 > reward.txt; echo '{{\"score\": 1}}' > result.json",
    "a changed clock": "date -s 2030-01-01; touch -d 2030-01-01 {source}",
    "a wrapped PATH and environment": "mkdir -p bin; printf '#!/bin/sh\\nexit 0' > bin/ls; export PATH=$PWD/bin:$PATH",
}


@pytest.mark.parametrize("attack", FAKES)
def test_fakes_are_paid_nothing(env, attack):
    target, _ = goals(env)[0].output
    source = goals(env)[0].script.split(" -u ")[1].split(" > ")[0].strip("'")
    _, reward, _, _, info = shell(env, FAKES[attack].format(target=f"'{target}'", source=f"'{source}'"))
    assert (reward, info["score"]) == (0.0, 0.0)
    assert env.step('{"submit": {}}')[4]["score"] == 0.0


def test_floods_break_nothing(env):
    first, second = goals(env)
    for flood in ("mkdir $(seq -f d%g 0 9000) 2>/dev/null; ls | wc -l", "cat /dev/zero > full", "yes"):
        observation, reward, _, _, info = shell(env, flood)
        assert (reward, info["score"]) == (0.0, 0.0)
        assert len(observation) <= env.task.limits.max_chars
    shell(env, "rm -rf d[0-9]* full")
    shell(env, f"{first.script}")
    assert shell(env, second.script)[4]["score"] == 1.0


def test_names_of_any_bytes_are_borne(env):
    *_, info = shell(env, "touch $'a\\nb' $'\\xff\\xfe' $'\\e[31m' '<script>'; mkdir -p " + "d/" * 60)
    json.dumps(info).encode()
    env.step('{"list_files": {}}')[0].encode()
    evidence = info["checks"][-1]["evidence"] if info["checks"] else ""
    assert "\x1b" not in evidence and "\n" not in evidence


def test_a_daemon_does_not_outlive_its_command(env):
    target, lines = goals(env)[0].output
    text = "\\n".join(lines)
    daemon = (
        f"(setsid sh -c 'while :; do printf \"{text}\" > {target}; sleep 0.01; rm -f {target}; done' >/dev/null 2>&1 &)"
    )
    shell(env, daemon)
    seen = {shell(env, "true")[4]["state_key"] for _ in range(4)}
    assert len(seen) == 1, "files change while no command runs"


def test_python_shares_the_files_and_its_leftovers_do_not_pay(sandboxed):
    env = TerminalEnv(level=2, python=True)
    try:
        env.reset(options={"task_id": task_with(env, "sort-unique", "delete-by-ending")})
        target, lines = goals(env)[0].output
        code = f"open({target!r}, 'w').write({chr(10).join(lines)!r})"
        *_, info = env.step(json.dumps({"python": code}))
        assert info["score"] == pytest.approx(0.4)
        thread = (
            f"import os, threading, time\ndef undo():\n    while True:\n"
            f"        os.path.exists({target!r}) and os.remove({target!r})\n        time.sleep(0.01)\n"
            "threading.Thread(target=undo, daemon=True).start()\ntime.sleep(0.2)"
        )
        env.step(json.dumps({"python": thread}))
        assert env.step('{"submit": {}}')[4]["score"] == 0.0, "what counts is what lies there in the end"
    finally:
        env.close()


def test_equal_files_are_equal_states(env):
    first, second = goals(env)
    keys = [shell(env, command)[4]["state_key"] for command in ("ls", "cat README.md", "touch x", "rm x", "mkdir y")]
    assert keys[0] == keys[1] == keys[3] and len(set(keys)) == 3
    assert shell(env, "rmdir y; echo x > /dev/shm/hoard")[4]["state_key"] != keys[0], "the files do not tell it all"


def test_the_isolation_is_on_record(env):
    assert env.versions()["sandbox"] == env._workspace.sandbox.level


def test_files_tools_solve_it_too(env):
    source = goals(env)[0].script.split(" -u ")[1].split(" > ")[0].strip("'")
    shown = env.step(json.dumps({"read_file": source}))[0].split("\n")
    target, lines = goals(env)[0].output
    assert set(shown) == set(lines)
    call = {"name": "write_file", "arguments": {"path": target, "content": "\n".join(sorted(set(shown)))}}
    assert env.step(json.dumps(call))[1] == pytest.approx(0.4)


# Snapshots: the fast path and replay.


def rest(env, task_id):
    """Take the same further steps and return all that they show."""
    first, second = goals(env)
    return [take(env, json.dumps({"shell": f"{first.script}; ls -A"})), take(env, json.dumps({"shell": second.script}))]


def started(env):
    shell(env, "mkdir -p z; echo $RANDOM > /dev/null; echo one > z/a; ln -s a z/b; chmod 751 z")
    env.step(json.dumps({"write_file": {"path": "z/c d", "content": "x"}}))


def test_restore_is_exact_by_either_way_and_any_number_of_times(env, monkeypatch):
    started(env)
    point = env.snapshot()
    assert len(point.live) == 1 and point.live[0].usable
    value = pickle.loads(pickle.dumps(point))
    assert value == point and value.live == () and env.snapshot(live=False).live == ()
    first = rest(env, point.task_id)
    replays = []
    again = type(env._workspace)._again
    monkeypatch.setattr(type(env._workspace), "_again", lambda *a: replays.append(1) or again(*a))
    other = TerminalEnv(level=2)
    for where in (env, other, env):
        where.restore(point)
        assert rest(where, point.task_id) == first
    assert not replays, "the fast way replays nothing"
    for where in (env, other):
        where.restore(value)
        assert rest(where, point.task_id) == first
    assert len(replays) == 2 * 2
    other.close()


def test_random_numbers_of_an_interpreter_go_on_exactly(sandboxed):
    env = TerminalEnv(level=0, python=True)
    env.reset(seed=1)
    env.step(json.dumps({"python": "import random, time\nstart = time.time()\nrandom.random()"}))
    point = env.snapshot()
    first = take(env, json.dumps({"python": "random.random(), start"}))
    for _ in range(3):
        env.restore(point)
        assert take(env, json.dumps({"python": "random.random(), start"})) == first, "even the clock of then"
    env.close()


def test_restore_after_the_original_was_closed(sandboxed):
    gc.collect()
    before = held_count()
    env, other = TerminalEnv(level=2), TerminalEnv(level=2)
    env.reset(options={"task_id": task_with(env, "sort-unique", "delete-by-ending")})
    started(env)
    point = env.snapshot()
    first = rest(env, point.task_id)
    assert held_count() == before + 1
    env.close()
    assert held_count() == before and not point.live[0].usable
    other.restore(point)
    assert rest(other, point.task_id) == first
    other.close()


def test_forgotten_snapshots_are_freed(env):
    started(env)
    gc.collect()
    before = held_count()
    points = [env.snapshot() for _ in range(3)]
    assert held_count() == before + 3
    del points
    gc.collect()
    assert held_count() == before


def _elsewhere(point):
    env = TerminalEnv(level=2)
    try:
        env.restore(point)
        return rest(env, point.task_id)
    finally:
        env.close()


def test_restore_in_another_process(env):
    started(env)
    point = env.snapshot()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(_elsewhere, point).result() == rest(env, point.task_id)


def test_forks_go_on_alone(env):
    started(env)
    twins = [env.fork() for _ in range(3)]
    try:
        assert all(twin.levels == env.levels and twin.task == env.task for twin in twins)
        first = rest(env, env.task.id)
        for twin in twins:
            assert rest(twin, env.task.id) == first
        shell(twins[0], "rm -rf *")
        assert "README.md" in shell(twins[1], "ls")[0]
    finally:
        for twin in twins:
            twin.close()
    assert "README.md" in shell(env, "ls")[0], "closing a fork leaves the original alone"


def test_episodes_repeat_byte_for_byte(env):
    commands = ["ls -la", "ls -lR | head -40", "find . | head -50", "wc -c README.md; stat -c '%a %s %y' README.md"]
    actions = [json.dumps({"shell": command}) for command in commands]
    task_id = env.task.id
    assert play(env, task_id, actions) == play(env, task_id, actions)
