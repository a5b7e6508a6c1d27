"""Every client of the catalog is described well, and a description that is wrong says where."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from flockpy.clients.catalog import load_clients, read_client
from flockpy.clients.documents import open_document
from flockpy.clients.entry import Client, parse
from flockpy.clients.render import rendered, settings
from flockpy.errors import StartError
from tests.unit.flockpy.clients.makers import connection

CLIENTS = load_clients()
EVERY = pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))

GOOD: dict[str, Any] = {
    "id": "x",
    "name": "X",
    "homepage": "https://x.example",
    "kind": "env",
    "protocols": ["openai-chat"],
    "env": {"X_URL": "{api}"},
}


def test_the_catalog_knows_the_nineteen_clients():
    assert set(CLIENTS) == {
        *("claude-code", "cursor", "aider", "continue", "zed", "cline", "qwen-code", "hermes", "openclaw"),
        *("opencode", "open-webui", "open-notebook", "goose", "plandex", "openhands", "codex-cli"),
        *("openai-sdk", "anthropic-sdk", "curl"),
    }


@EVERY
def test_a_client_is_told_the_address_the_key_and_the_model(client: Client):
    told = msgspec.json.encode(rendered(client, connection(url="https://flock.example"))).decode()
    assert "https://flock.example" in told
    assert "sk-orc-secret" in told
    assert "auto" in told
    assert not [
        name
        for name in ("{url}", "{api}", "{key}", "{model}", "{context}", "{id}", "$each", "$env")
        if name in told
    ]


@EVERY
def test_what_is_shown_of_a_file_is_of_its_format(client: Client):
    for file, one in zip(rendered(client, connection()).files, settings(client, connection()), strict=True):
        document = open_document(file.format, file.content)
        assert all(document.get(path) == value for path, value in one.changes)
    for snippet in rendered(client, connection()).snippets:
        if snippet.language == "json":
            json.loads(snippet.text)
        if snippet.language == "python":
            compile(snippet.text, client.id, "exec")


@EVERY
def test_a_client_that_must_know_limits_is_told_those_of_each_model(client: Client):
    if client.id in ("codex-cli", "opencode", "qwen-code", "continue", "zed", "aider", "openclaw"):
        told = "".join(file.content for file in rendered(client, connection()).files)
        assert "100000" in told
        assert "32768" in told


def test_claude_code_asks_for_no_model_but_ours():
    env = rendered(CLIENTS["claude-code"], connection(chosen="qwen3")).env
    assert {name: value for name, value in env.items() if name.endswith("_MODEL")} == dict.fromkeys(
        [
            "ANTHROPIC_MODEL",
            *(f"ANTHROPIC_DEFAULT_{kind}_MODEL" for kind in ("OPUS", "SONNET", "HAIKU", "FABLE")),
            "CLAUDE_CODE_SUBAGENT_MODEL",
        ],
        "qwen3",
    )
    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "32768"


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://localhost:8080", True),
        ("https://192.168.1.4", True),
        ("https://flock.lan", True),
        ("http://flock.example.com", True),
        ("https://flock.example.com", False),
    ],
)
def test_cursor_needs_a_public_address(url: str, warned: bool):
    assert bool(rendered(CLIENTS["cursor"], connection(url=url)).warnings) is warned


def test_a_window_that_is_too_small_for_a_client_is_a_warning():
    assert rendered(CLIENTS["hermes"], connection()).warnings == ()
    (warning,) = rendered(CLIENTS["hermes"], connection(chosen="qwen3")).warnings
    assert "64000" in warning
    assert "32768" in warning


def test_a_container_reaches_a_leader_of_its_machine_by_another_name():
    assert (
        "http://host.docker.internal:8080/v1"
        in rendered(CLIENTS["open-webui"], connection()).snippets[0].text
    )
    elsewhere = rendered(CLIENTS["open-webui"], connection(url="http://flock:9")).snippets[0].text
    assert "http://flock:9/v1" in elsewhere


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"kind": "file"}, "files"),
        ({"kind": "gui", "steps": ["a"]}, "undo"),
        ({"kind": "code"}, "snippets"),
        ({"env": {"lower": "x"}}, "env"),
        ({"env": {}}, "env"),
        ({"protocols": []}, "protocols"),
        ({"protocols": ["smoke-signals"]}, "protocols[0]"),
        ({"homepage": "x.example"}, "homepage"),
        ({"colour": "red"}, "colour"),
        ({"files": [{"path": "/etc/x", "format": "json", "content": {}}]}, "files[0].path"),
        ({"files": [{"path": "~/x", "format": "ini", "content": {}}]}, "files[0].format"),
        ({"files": [{"path": "~/x", "format": "json"}]}, "content"),
        ({"env": {"X": "{apy}"}}, "{apy}"),
    ],
)
def test_a_description_that_is_wrong_names_the_file_and_the_field(change: dict[str, Any], field: str):
    with pytest.raises(StartError) as wrong:
        parse(GOOD | change, "some/x.yaml")
    assert "some/x.yaml" in wrong.value.message
    assert field in wrong.value.message


@pytest.mark.parametrize(
    ("text", "said"), [("id: [", ":1: not YAML"), ("- a", "expected `object`"), ("", "object")]
)
def test_a_file_that_is_no_description_says_so(tmp_path: Path, text: str, said: str):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(StartError) as wrong:
        read_client(file)
    assert str(file) in wrong.value.message
    assert said.lower() in wrong.value.message.lower()


def test_a_client_is_one_file_and_another_folder_comes_over_the_bundled_one(tmp_path: Path):
    folder = tmp_path / "clients"
    folder.mkdir()
    (folder / "mine.yaml").write_text(yaml.safe_dump(GOOD | {"id": "mine"}))
    (folder / "curl.yaml").write_text(yaml.safe_dump(GOOD | {"id": "curl", "name": "my curl"}))
    clients = load_clients(str(tmp_path))
    assert clients["mine"].name == "X"
    assert clients["curl"].name == "my curl"
    assert len(clients) == 20
    (folder / "wrong.yaml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(StartError, match=r"wrong\.yaml: `id`"):
        load_clients(str(tmp_path))
