import ast
import builtins
import importlib
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from thinkact.cli import app

ROOT = Path(__file__).parents[2]
IMPORTS = (ast.Import, ast.ImportFrom)
README = (ROOT / "README.md").read_text()
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = PYTHON.findall(README)
DOCS = [
    (page.name, block) for page in sorted((ROOT / "docs").glob("*.md")) for block in PYTHON.findall(page.read_text())
]
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


@pytest.mark.parametrize(("page", "block"), DOCS, ids=[f"{page}-{at}" for at, (page, _) in enumerate(DOCS)])
def test_examples_of_the_docs_name_what_there_is(page, block):
    """They are not run (some need a key, or minutes): every name is defined, and what is imported exists."""
    tree = ast.parse(block)
    defined = {alias.asname or alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, IMPORTS)
               for alias in node.names}  # fmt: skip
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    defined |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    assert {node.id for node in names} <= defined
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("thinkact"):
            module = importlib.import_module(str(node.module))
            assert not [each.name for each in node.names if not hasattr(module, each.name)]
