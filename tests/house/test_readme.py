import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from thinkact.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {match[1] for match in re.finditer(r"^\s*(?:`)?thinkact (\w[\w-]*(?: (?:show|export))?)", README, re.M)}
)


@pytest.mark.parametrize("at", range(len(BLOCKS)))
def test_the_examples_run(at):
    exec(compile(BLOCKS[at], f"README.md, example {at + 1}", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_exist(command):
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def test_the_options_exist():
    shown = set(re.findall(r"thinkact (train|eval|play|rollout|leaderboard export)\b([^\n`]*)", README))
    assert len(shown) > 6
    for command, rest in shown:
        text = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).stdout
        for option in re.findall(r"--[a-z-]+", rest.split("#")[0]):
            assert option in text, (command, option)


def test_make_targets_and_files_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets
    for path in re.findall(r"`((?:sandbox|tools|envs|policies|leaderboard)/[\w/]+\.py)`", README):
        assert (ROOT / path).exists(), path
