"""``thinkact corpus serve`` and ``cassette`` from the outside."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from thinkact.cli import main
from thinkact.tools.search.cassette import Cassette

pytest.importorskip("uvicorn", reason='needs pip install "thinkact[serve]"')


def call(capsys, *args):
    with pytest.raises(SystemExit) as left:
        main(["corpus", *args])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return int(left.value.code or 0), printed.out, printed.err


@pytest.fixture
def manuals(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THINKACT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pump.md").write_text("# The pump\n\nIt moves water.\n")
    assert call(capsys, "build", "pump.md", "--name", "manuals")[0] == 0
    return tmp_path


def test_a_corpus_is_served_with_a_key(manuals):
    program = "from thinkact.cli import main; main()"
    command = [sys.executable, "-c", program, "corpus", "serve", "manuals", "--port", "0", "--key-env", "K"]
    env = {**os.environ, "K": "secret", "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            line = server.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http"))
            asked = {"queries": ["water"], "topk": 1}
            assert httpx.post(f"{url}/retrieve", json=asked).status_code == 401
            answer = httpx.post(f"{url}/retrieve", json=asked, headers={"Authorization": "Bearer secret"}).json()
            assert "water" in json.dumps(answer["result"][0][0])
        finally:
            server.terminate()


def test_who_may_be_served_is_asked_before_anything_is(manuals, capsys):
    assert "not set" in call(capsys, "serve", "manuals", "--key-env", "NO_SUCH")[2]
    code, _, err = call(capsys, "serve", "manuals", "--host", "0.0.0.0", "--port", "0")
    assert code and "can be reached from elsewhere" in err
    assert call(capsys, "serve", "nothing")[0]


def test_a_cassette_is_shown_and_written_out(tmp_path, capsys):
    path, rows = tmp_path / "a.cassette", tmp_path / "rows.jsonl"
    cassette = Cassette(path)
    cassette.put("brave", '{"search": "zoo"}', b'{"hits": []}', replace=False)
    cassette.put("brave", '{"open": "u"}', b'{"text": ""}', replace=False)
    cassette.close()
    code, out, _ = call(capsys, "cassette", str(path), "--json", "--out", str(rows))
    assert code == 0 and json.loads(out)["searches"] == {"brave": 1} and len(rows.read_text().splitlines()) == 2
    assert "brave" in call(capsys, "cassette", str(path))[1]
    assert "exists already" in call(capsys, "cassette", str(path), "--out", str(rows))[2]
    assert call(capsys, "cassette", str(tmp_path / "none"))[0]
