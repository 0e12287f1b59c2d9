"""Agents that are processes: the protocol, every way to break it, and that nothing is left running."""

import json
import os
import shutil
import time

import pytest

from thinkact.envs import Conversation, Message
from thinkact.policies.process import AgentError, HostLauncher, ProcessLimits, ProcessPolicy, SandboxLauncher
from thinkact.policies.process_lines import Inbox, act_message, line, read_action
from thinkact.policies.rollout import Job, Runner

SHELL = b"""#!/bin/sh
ask() { id=${line#*'"id":"'}; id=${id%%'"'*}; }
say() { echo '{"type":"action","id":"'"$id"'",'"$1"'}'; }
while IFS= read -r line; do
  case $line in
  '{"type":"hello"'*) echo '{"type":"ready"}' ;;
  '{"type":"end"'*) end ;;
  '{"type":"act"'*) ask; act ;;
  esac
done
"""


def shell(act, end=":", before=""):
    head, rest = SHELL.split(b"while", 1)
    return head + f"{before}\nact() {{ {act}; }}\nend() {{ {end}; }}\n".encode() + b"while" + rest


def talks(*texts, seed=0):
    return [Conversation(f"c{at}", "env", "task", seed, [], [Message("user", text)]) for at, text in enumerate(texts)]


@pytest.fixture
def agent():
    if shutil.which("bwrap") is None and os.environ.get("CI") != "true":
        pytest.skip("bubblewrap is missing: apt-get install bubblewrap")
    made = []

    def make(source, *, parallel=1, argv=("./agent",), network=False, log_file=None, **limits):
        most = ProcessLimits(**{"action_s": 20.0, "start_s": 20.0, **limits})
        launcher = SandboxLauncher(argv, {"agent": source}, {"agent"}, limits=most, network=network)
        policy = ProcessPolicy(launcher, name="agent", parallel=parallel, limits=most, log_file=log_file)
        made.append(policy)
        return policy

    yield make
    for policy in made:
        policy.close()


def test_answers_come_back_to_their_questions(agent):
    policy = agent(shell("""task=${line#*'"task":"'}; say '"text":"{\\"say\\": \\"'"${task%%'"'*}"'\\"}"'"""))
    actions = policy.act(talks("one", "two", "three"))
    assert [json.loads(action.text)["say"] for action in actions] == ["one", "two", "three"]
    assert policy.crashes == [] and all(action.seconds > 0 for action in actions)


def test_several_questions_may_be_open_and_answered_in_any_order(agent):
    # It answers the second question first, and neither before it has both.
    act = (
        'if [ -z "$first" ]; then first=$id; else say "\\"text\\":\\"{2}\\""; id=$first; say "\\"text\\":\\"{1}\\""; fi'
    )
    policy = agent(shell(act), parallel=2)
    assert [action.text for action in policy.act(talks("one", "two"))] == ["{1}", "{2}"]


def test_the_agent_sees_the_whole_conversation_and_nothing_that_tells_the_answer(agent):
    # The agent's thought is the question as it came.
    source = b"""#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if m["type"] == "hello": print('{"type":"ready"}', flush=True)
    if m["type"] == "act": print(json.dumps({"type": "action", "id": m["id"], "text": "", "thought": line}), flush=True)
"""
    policy = agent(source)
    messages = [Message("user", "Q?"), Message("assistant", "{}"), Message("tool", "no")]
    seen = json.loads(
        policy.act([Conversation("eval-00017-0#1", "thinkact/X-v0", "eval/gold=42", 987654321, [{"a": 1}], messages)])[
            0
        ].thought
    )
    assert seen["task"] == "Q?" and seen["env_id"] == "thinkact/X-v0" and seen["tools"] == [{"a": 1}]
    assert seen["messages"] == [{"role": each.role, "content": each.content} for each in messages]
    assert not any(word in json.dumps(seen) for word in ("gold", "987654321", "00017", "eval"))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("exit 3", "ended by itself with exit code 3"),
        ("exit 0", "ended by itself with exit code 0"),
        ("kill -9 $$", "was killed by signal 9"),
        ("while :; do echo garbage; done", "lines that answer nothing"),
        ("""while :; do id=a999; say '"text":"{}"'; done""", "lines that answer nothing"),
        ("exec cat /dev/zero", "printed a line of more than"),
        ("exec cat /dev/zero >&2", "printed too much"),
        ("""exec python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 24))'""", "ended by itself with exit code 1"),
    ],
)
def test_what_an_agent_breaks_costs_it_the_turn_and_nobody_else(agent, act, reason):
    policy = agent(
        shell(f"""case $line in *bad*) {act} ;; *) say '"text":"{{}}"' ;; esac"""),
        memory_bytes=256 << 20,
        total_bytes=8 << 20,
    )
    good, bad, after = policy.act(talks("good", "bad", "good"))
    assert good.text == after.text == "{}" and bad.text == "" and bad.fault == ""
    assert bad.stop.startswith("agent: ") and reason in bad.stop
    assert len(policy.crashes) == 1


def test_an_agent_that_hangs_is_stopped_with_all_it_owes(agent):
    policy = agent(shell("exec sleep 1000"), action_s=0.3, parallel=2)
    actions = policy.act(talks("one", "two", "three"))
    assert all(action.text == "" and "gave no answer within 0.3 s" in action.stop for action in actions)
    assert len(policy.crashes) == 2


def test_one_that_does_not_read_is_stopped(agent):
    policy = agent(b"""#!/bin/sh\necho '{"type":"ready"}'\nexec sleep 1000\n""", action_s=0.3)
    action = policy.act(talks("x" * 1_000_000))[0]  # more than a pipe holds
    assert action.text == "" and "does not read its standard input" in action.stop


def test_wrong_answers_are_empty_actions_without_a_crash():
    for message in (
        {},
        {"text": 7},
        {"calls": "submit"},
        {"calls": [{"arguments": {}}]},
        {"calls": [{"name": "x"}] * 65},
        {"text": "{}", "thought": 3},
        {"error": "ValueError: no"},
    ):
        action = read_action(message)
        assert action.text == "" and action.stop.startswith("agent: ") and len(action.stop) < 400


def test_what_an_agent_says_of_itself_is_bounded():
    for cost in (-1, 1e9, float("nan"), float("inf"), "1", True, None):
        assert read_action({"text": "{}", "cost": cost}).cost == 0.0
    assert read_action({"text": "{}", "cost": 0.25}).cost == 0.25
    for tokens in (-1, "7", 1e3, True, [7], {"prompt": -1}, 1 << 50):
        action = read_action({"text": "{}", "tokens": tokens})
        assert (action.prompt_tokens, action.sampled_tokens) == (0, 0)
    action = read_action({"text": "{}", "tokens": {"prompt": 3, "sampled": 4}})
    assert (action.prompt_tokens, action.sampled_tokens) == (3, 4)
    action = read_action({"text": '{"a": "\ud800"}', "thought": "\udfff" * 200_000})
    (action.text + action.thought).encode()
    assert len(action.thought) == 100_000


def test_calls_become_the_text_that_the_environments_read():
    action = read_action({"calls": [{"name": "search", "arguments": {"query": "é"}}, {"name": "submit"}]})
    assert action.text == '{"name": "search", "arguments": {"query": "é"}}\n{"name": "submit", "arguments": {}}'
    assert read_action({"text": 'so I search {"search": "x"}'}).thought == "so I search"


def test_the_inbox_keeps_at_most_a_line_whatever_comes():
    inbox = Inbox(ProcessLimits(line_bytes=1000, total_bytes=10_000))
    inbox.owe("a1")
    for _ in range(20):
        inbox.feed(b"x" * 100)
    assert "more than 1000 bytes" in inbox.reason and len(inbox._buffer) == 0
    inbox.feed(b'{"type":"action","id":"a1","text":"{}"}\n')  # too late
    assert inbox.collect() == {}
    answer = b'{"type":"action","id":"a1","text":"{}"}\n'
    inbox = Inbox(ProcessLimits())
    inbox.owe("a1")
    for at in range(len(answer)):  # byte by byte
        assert inbox.collect() == {}
        inbox.feed(answer[at : at + 1])
    inbox.feed(answer)  # a second answer to one question is an answer to none
    assert list(inbox.collect()) == ["a1"] and inbox._bad == 1


def test_after_too_many_crashes_the_rest_is_empty_and_nothing_is_started(agent):
    policy = agent(shell("exit 1"), crashes=3)
    actions = policy.act(talks(*"abcdefgh"))
    assert len(policy.crashes) == 3 and all(action.text == "" for action in actions)
    assert "not started again" in actions[-1].stop and "not started again" not in actions[0].stop
    assert all(action.text == "" for action in policy.act(talks(*"ab" * 500)))
    assert len(policy.crashes) == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"#!/bin/sh\necho no such model >&2; exit 4\n", "exit code 4. It printed: no such model"),
        (b"#!/bin/sh\necho hello\nexec sleep 1000\n", "was not .ready. within 1 s"),
        (b"#!/no/such/interpreter\n", "exit code 127"),
    ],
)
def test_an_agent_that_does_not_start_is_told_before_anything_is_played(agent, source, words):
    policy = agent(source, start_s=1.0 if b"sleep" in source else 20.0)
    with pytest.raises(AgentError, match=words):
        policy.start()


def test_it_ends_whole_and_leaves_no_process(agent):
    marker = f"31{os.getpid()}.5"
    before = f"setsid sleep {marker} & (sleep {marker} &) ; trap '' TERM HUP"
    policy = agent(shell("""say '"text":"{}"'""", before=before))
    policy.start()
    _wait_for(marker, 2)
    policy.close()
    policy.close()
    _wait_for(marker, 0)


def test_it_sees_no_network_no_secrets_and_no_files_of_the_host(agent, monkeypatch, tmp_path):
    monkeypatch.setenv("THINKACT_TEST_SECRET", "canary-77")
    (tmp_path / "secret").write_text("canary-78")
    look = f"env; cat {tmp_path}/secret; ls /root /home; cat /proc/1/environ"
    reach = "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 9), timeout=3)'"
    policy = agent(shell(f"""{{ {look}; {reach}; touch /usr/x; }} >seen 2>&1; say '"text":"'"$(base64 -w0 seen)"'"'"""))
    import base64

    seen = base64.b64decode(policy.act(talks("go"))[0].text).decode()
    assert "canary" not in seen and "Network is unreachable" in seen and "Read-only file system" in seen
    assert seen.count("No such file or directory") >= 3 and "PATH=" in seen


def test_it_is_told_the_end_of_an_episode_under_the_name_it_knows(agent):
    end = """ended="$ended ${line#*'"episode":"'}\""""
    policy = agent(shell("""e=${line#*'"episode":"'}; say '"text":"'"${e%%'"'*}|${ended%%'"'*}"'"'""", end=end))
    first = policy.act(talks("x"))[0].text
    again = policy.act(talks("x"))[0].text
    policy.release("c0")
    policy.release("c0")
    policy.release("unknown")
    after = policy.act(talks("x"))[0].text
    assert first == again and first.endswith("|")
    assert after.split("|")[1].strip() == first[:-1] and after.split("|")[0] != first[:-1]


def test_its_words_are_logged_inert_and_cut(agent, tmp_path):
    log_file = tmp_path / "log" / "agent.txt"
    flood = "head -c 100000 /dev/zero >&2"
    policy = agent(shell(f"printf '\\033[31mred\\n' >&2; {flood}; exit 1"), log_file=log_file, crashes=1)
    policy.act(talks("x"))
    text = log_file.read_text()
    assert "\\x1b[31mred\n" in text and "\x1b" not in text and text.count("\\x00") == (64 << 10) - 9
    assert "[the agent ended by itself with exit code 1]" in text


def test_without_isolation_its_group_dies_with_it_and_few_variables_are_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("THINKACT_TEST_SECRET", "canary-77")
    marker = f"32{os.getpid()}.5"
    program = tmp_path / "agent"
    program.write_bytes(shell("""say '"text":"'"$THINKACT_TEST_SECRET|$PWD"'"'""", before=f"sleep {marker} &"))
    program.chmod(0o755)
    with ProcessPolicy(HostLauncher(["./agent"], tmp_path), name="own") as policy:
        assert policy.act(talks("x"))[0].text == f"|{tmp_path}"
        _wait_for(marker, 1)
    _wait_for(marker, 0)
    with ProcessPolicy(HostLauncher(["./none"], tmp_path), name="none") as policy:
        with pytest.raises(AgentError, match="No such file"):
            policy.start()
    dies = shell("echo gone >&2; exit 5")
    program.write_bytes(dies)
    with ProcessPolicy(HostLauncher(["./agent"], tmp_path), name="dies") as policy:
        assert "exit code 5" in policy.act(talks("x"))[0].stop and policy._words == "gone\n"


def test_episodes_of_a_crashing_agent_are_zeros_with_the_reason_in_the_record(agent):
    policy = agent(shell("exit 9"), crashes=2)
    with Runner("thinkact/PythonTask-v0", concurrency=2, env_kwargs={"level": 0, "split": "eval"}) as runner:
        jobs = [Job(f"j{at}", task, at) for at, task in enumerate(runner.sample_tasks(3, 0))]
        episodes = runner.run(jobs, policy)
    assert [episode.score for episode in episodes] == [0.0] * 3 and not any(episode.error for episode in episodes)
    assert all(turn.invalid and turn.stop.startswith("agent: ") for e in episodes for turn in e.turns)


def test_a_call_that_was_broken_off_leaves_the_next_one_in_step(agent, monkeypatch):
    policy = agent(shell("""task=${line#*'"task":"'}; say '"text":"{'"${task%%'"'*}"'}"'"""))
    policy.start()

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(policy._life.inbox, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        policy.act(talks("one"))
    monkeypatch.undo()
    assert [action.text for action in policy.act(talks("two", "three"))] == ["{two}", "{three}"]
    assert policy.crashes == []


def test_messages_are_one_line_of_ascii():
    message = act_message("a1", "e1", talks("é\n\u2028\ud800")[0])
    data = line(message)
    assert data.count(b"\n") == 1 and data.isascii() and json.loads(data) == message
    assert data.startswith(b'{"type":"act","id":"a1",')


def _wait_for(marker, count, patience_s=30.0):
    """Wait until so many run: a child that was forked is not yet `sleep`, one that was killed not yet gone."""
    until = time.monotonic() + patience_s
    while (now := _running(marker)) != count:
        assert time.monotonic() < until, f"{now} of {count} processes run"
        time.sleep(0.02)


def _running(marker):
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    count += file.read() == b"sleep\0" + marker.encode() + b"\0"
            except OSError:
                continue
    return count
