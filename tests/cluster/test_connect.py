"""connect, disconnect and invite through the whole program: the keys they show open it, and nothing is left behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.program import Program, running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("connect")) as ready:
        yield ready


def _exports(text: str) -> dict[str, str]:
    lines = (line.removeprefix("export ") for line in text.splitlines() if line.startswith("export "))
    return dict(line.split("=", 1) for line in lines)


def test_the_settings_that_are_printed_open_the_door(program: Program) -> None:
    done = program.cli("connect", "claude-code")
    assert done.returncode == 0, done.stderr
    env = _exports(done.stdout)
    assert env["ANTHROPIC_BASE_URL"].endswith(f":{program.port}")
    assert env["ANTHROPIC_AUTH_TOKEN"] != program.key
    assert int(env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"]) > 0
    with program.client(env["ANTHROPIC_AUTH_TOKEN"]) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/admin/v1/status").status_code == 403
    assert _exports(program.cli("connect", "claude-code").stdout) == env
    keys = [key["name"] for key in program.cli_json("token", "ls")["items"]]
    assert len([name for name in keys if name.startswith("claude-code@")]) == 1


def test_a_file_is_written_with_the_models_there_are_and_given_back(program: Program) -> None:
    home = Path(program.environ["HOME"])
    file = home / ".config" / "opencode" / "opencode.jsonc"
    file.parent.mkdir(parents=True)
    mine = '{\n  // mine\n  "theme": "dark",\n}\n'
    file.write_text(mine)
    done = program.cli("connect", "opencode", "--write")
    assert done.returncode == 0, done.stderr
    assert "flock-demo" in file.read_text()
    assert "// mine" in file.read_text()
    assert program.cli("disconnect", "opencode", "--write").returncode == 0
    assert file.read_text() == mine
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_invitation_lets_a_colleague_in_until_it_is_revoked(program: Program) -> None:
    done = program.cli("invite", "Zoë", "--quota", "1000", "--base-url", "https://flock.example.com")
    assert done.returncode == 0, done.stderr
    assert "https://flock.example.com/v1" in done.stdout
    made = json.loads(program.cli("invite", "bob", "--clients", "curl", "--format", "json").stdout)
    assert made["key"] in made["card"]
    with program.client(made["key"]) as client:
        body = {"model": made["model"], "messages": [{"role": "user", "content": "hi"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert program.cli("token", "revoke", "bob", "--yes").returncode == 0
        assert client.get("/v1/models").status_code == 401
    assert made["key"] not in program.said()
    actions = [entry["action"] for entry in program.cli_json("audit")["items"]]
    assert "invite.create" in actions


def test_the_surface_shows_every_client_without_a_key(program: Program) -> None:
    items = program.get("/admin/v1/clients")["items"]
    assert len(items) == 19
    assert "sk-orc-" not in json.dumps(items)
