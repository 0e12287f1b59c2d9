"""sandbox → tools → envs → policies → leaderboard → thinkact.cli: a room imports only rooms to its left."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ["sandbox", "tools", "envs", "policies", "leaderboard"]


def imported_rooms(source: str):
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name.split(".")[1] for name in names if name.startswith("thinkact."))


def test_a_room_imports_only_rooms_to_its_left():
    files = [(at, path) for at, room in enumerate(ROOMS) for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 30
    bad = [
        f"{path.relative_to(ROOT)} imports thinkact.{room}"
        for at, path in files
        for room in imported_rooms(path.read_text())
        if (room in ROOMS and ROOMS.index(room) > at) or room.startswith("cli")
    ]
    assert not bad, bad


def test_the_check_sees_every_spelling():
    source = "import thinkact.policies.hf\nfrom thinkact import leaderboard\ndef f():\n  from thinkact.envs import x"
    assert {"policies", "leaderboard", "envs"} <= set(imported_rooms(source))
