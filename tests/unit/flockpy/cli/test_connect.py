"""connect, disconnect and invite against a stub leader: what they print, and what --write changes."""

from pathlib import Path

import pytest

from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.samples import KEY
from tests.unit.flockpy.cli.stub_leader import StubLeader
from tests.unit.flockpy.cli.terminal import on_a_terminal

MADE = (201, KEY | {"key": "sk-orc-made"})
MODELS = (
    200,
    {
        "object": "list",
        "data": [
            {"id": "auto", "context_window": 65536, "capabilities": ["chat", "tools"], "loaded": True},
            {"id": "qwen", "context_window": 262144, "capabilities": ["chat", "vision"], "loaded": False},
            {"id": "claude-flock-qwen", "context_window": 262144, "capabilities": ["chat"], "loaded": False},
            {"id": "embedder", "context_window": 512, "capabilities": ["embedding"], "loaded": True},
        ],
    },
)


@pytest.fixture
def offers(leader: StubLeader, home: Path) -> StubLeader:
    """A leader with models, on whose machine we are."""
    leader.answers["GET /v1/models"] = MODELS
    leader.answers["POST /tokens"] = MADE
    (home / ".flock").mkdir()
    (home / ".flock" / "admin.key").write_text("sk-orc-admin\n")
    return leader


def _home(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): path.read_text()
        for path in home.rglob("*")
        if path.is_file() and path.relative_to(home).parts[0] != ".flock"
    }


def test_connecting_prints_and_changes_nothing(flockpy: Flockpy, offers: StubLeader, home: Path):
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text('model = "mine"\n')
    before = _home(home)
    ran = flockpy("connect", "codex-cli", "--token", "sk-orc-given")
    assert ran.code == 0, ran.err
    assert "export FLOCKPY_API_KEY=sk-orc-given" in ran.out
    assert f'base_url = "{offers.url}/v1"' in ran.out
    assert '"context_window": 65536' in ran.out
    assert "flockpy connect codex-cli --write" in ran.err
    assert _home(home) == before
    assert not offers.bodies("POST /tokens")


def test_what_is_printed_for_a_client_of_variables_can_be_evaluated(flockpy: Flockpy, offers: StubLeader):
    out = flockpy("connect", "goose", "--token", "k", "--model", "qwen").out
    lines = [line for line in out.splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("export ") for line in lines)
    assert "export GOOSE_MODEL=qwen" in lines
    assert "export GOOSE_CONTEXT_LIMIT=100000" in lines  # not loaded: what it will be loaded with


def test_a_client_gets_a_key_of_its_own_once(flockpy: Flockpy, offers: StubLeader, home: Path):
    for _ in range(2):
        ran = flockpy("connect", "goose")
        assert "export OPENAI_API_KEY=sk-orc-made" in ran.out
        assert "sk-orc-admin" not in ran.out
    (body,) = offers.bodies("POST /tokens")
    assert body["name"].startswith("goose@")
    assert body["scope"] == "user"
    kept = home / ".flock" / "clients" / "goose.key"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_model_that_is_not_listed_is_asked_after(flockpy: Flockpy, offers: StubLeader):
    one = {"id": "gpt-9/x", "context_window": 400_000, "capabilities": ["chat"], "owned_by": "openai"}
    offers.answers["GET /v1/models/gpt-9%2Fx"] = (200, one)
    ran = flockpy("connect", "goose", "--token", "k", "--model", "gpt-9/x")
    assert "export GOOSE_MODEL=gpt-9/x" in ran.out
    assert "export GOOSE_CONTEXT_LIMIT=400000" in ran.out
    assert "no model here" not in ran.err
    ran = flockpy("connect", "goose", "--token", "k", "--model", "qwem")
    assert "qwem is no model here that chats; there are: auto, qwen\n" in ran.err
    many = [{"id": f"m{n}", "context_window": 4096, "capabilities": ["chat"]} for n in range(40)]
    offers.answers["GET /v1/models"] = (200, {"data": many})
    told = flockpy("connect", "goose", "--token", "k", "--model", "qwem").err
    assert "m11 and 28 others: flockpy model ls\n" in told


def test_an_admins_key_for_a_client_is_a_warning(flockpy: Flockpy, offers: StubLeader):
    assert "admin" not in flockpy("connect", "goose", "--token", "sk-orc-given").err
    offers.answers["GET /status"] = (200, {"role": "leader"})
    assert "this is an admin's key" in flockpy("connect", "goose", "--token", "sk-orc-admin").err


def test_a_key_that_was_revoked_is_made_anew(flockpy: Flockpy, offers: StubLeader, home: Path):
    flockpy("connect", "goose")
    offers.answers["GET /v1/models"] = [(401, {"error": {}}), MODELS]
    offers.answers["POST /tokens"] = (201, KEY | {"key": "sk-orc-second"})
    assert "sk-orc-second" in flockpy("connect", "goose").out


def test_a_key_that_is_given_and_wrong_fails(flockpy: Flockpy, offers: StubLeader):
    offers.answers["GET /v1/models"] = (401, {"error": {}})
    ran = flockpy("connect", "goose", "--token", "sk-orc-wrong")
    assert (ran.code, ran.out) == (1, "")
    assert "401" in ran.err
    assert "sk-orc-wrong" not in ran.err


def test_without_a_leader_and_a_key_the_settings_are_shown_with_a_placeholder(flockpy: Flockpy, home: Path):
    ran = flockpy("connect", "claude-code", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 0
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:9\n" in ran.out
    assert "ANTHROPIC_AUTH_TOKEN=YOUR_FLOCKPY_KEY" in ran.out
    assert "flockpy token create" in ran.err


def test_write_puts_the_settings_into_the_file_and_says_no_key(
    flockpy: Flockpy, offers: StubLeader, home: Path
):
    file = home / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text('{\n  "theme": "dark" // mine\n}\n')
    ran = flockpy("connect", "claude-code", "--write")
    assert ran.code == 0, ran.err
    assert ran.out == f"wrote {file}\n"
    assert "sk-orc" not in ran.out + ran.err
    assert '"ANTHROPIC_AUTH_TOKEN": "sk-orc-made"' in file.read_text()
    assert '"theme": "dark", // mine' in file.read_text()
    assert flockpy("connect", "claude-code", "--write").out == f"already so: {file}\n"
    said = flockpy("disconnect", "claude-code").err
    assert "flockpy disconnect claude-code --write" in said
    assert "flockpy token revoke 'claude-code@" in said
    assert flockpy("disconnect", "claude-code", "--write").out == f"as it was before: {file}\n"
    assert _home(home) == {".claude/settings.json": '{\n  "theme": "dark" // mine\n}\n'}


def test_write_without_a_key_writes_no_placeholder(flockpy: Flockpy, home: Path):
    ran = flockpy("connect", "codex-cli", "--write", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 1
    assert "key" in ran.err
    assert _home(home) == {}


def test_what_no_file_carries_is_for_the_shell(flockpy: Flockpy, offers: StubLeader, home: Path):
    ran = flockpy("connect", "codex-cli", "--write", "--token", "sk-orc-given")
    assert "export FLOCKPY_API_KEY=sk-orc-given" in ran.out
    assert "sk-orc-given" not in (home / ".codex" / "config.toml").read_text()


def test_a_client_without_a_file_is_for_the_person(flockpy: Flockpy, offers: StubLeader):
    ran = flockpy("connect", "cursor", "--write")
    assert ran.code == 0
    assert "Override OpenAI Base URL" in ran.out
    assert "public https://" in ran.err
    assert "for you to do" in ran.err


def test_a_file_that_cannot_be_read_is_named_and_left(flockpy: Flockpy, offers: StubLeader, home: Path):
    file = home / ".hermes" / "config.yaml"
    file.parent.mkdir()
    file.write_text("model: [\n")
    ran = flockpy("connect", "hermes", "--write")
    assert ran.code == 1
    assert f"{file}:2" in ran.err
    assert file.read_text() == "model: [\n"


def test_disconnecting_says_how(flockpy: Flockpy, home: Path):
    ran = flockpy("disconnect", "claude-code")
    assert ran.out.splitlines()[1].startswith("unset ANTHROPIC_BASE_URL ANTHROPIC_AUTH_TOKEN ")
    assert "log in" in ran.out
    assert "Override OpenAI Base URL off" in flockpy("disconnect", "cursor").out
    assert flockpy("disconnect", "codex-cli", "--write").code == 0


def test_the_clients_are_listed_with_what_is_here(
    flockpy: Flockpy, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (home / ".codex").mkdir()
    listed = flockpy("connect", "--list", "--json").document["items"]
    assert len(listed) == 19
    assert [client["id"] for client in listed if client["installed"]] == ["codex-cli"]
    assert "codex-cli" in flockpy("disconnect", "--list").out


@pytest.mark.parametrize("command", ["connect", "disconnect"])
def test_a_client_that_is_not_known_lists_those_that_are(flockpy: Flockpy, home: Path, command: str):
    ran = flockpy(command, "claudecode")
    assert ran.code == 1
    assert "did you mean claude-code?" in ran.err
    assert flockpy(command).code == 1


def test_without_a_client_a_person_picks_one(home: Path):
    seen = on_a_terminal(home, "disconnect", typed=[("client:", "aider\r")])
    assert "unset OPENAI_API_BASE" in seen


def test_json_is_what_programs_read(flockpy: Flockpy, offers: StubLeader):
    shown = flockpy("connect", "opencode", "--token", "k", "--json").document
    assert shown["files"][0]["path"].endswith("opencode.json")
    assert "claude-flock" not in shown["files"][0]["content"]
    assert shown["env"] == {"OPENCODE_DISABLE_MODELS_FETCH": "1"}
    assert flockpy("disconnect", "opencode", "--json").document["written"] is False


INVITATION = KEY | {
    "key": "sk-orc-made",
    "card": "## ada\n",
    "base_url": "https://f",
    "model": "auto",
    "clients": [{"id": "cursor", "warnings": ["needs https"]}],
}


def test_an_invitation_is_a_card_to_paste(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /invites"] = (201, INVITATION)
    leader.items("/models", {"id": "qwen"})
    leader.items("/aliases")
    ran = flockpy(
        *("invite", "ada", "--quota", "5000", "--clients", "curl, cursor", "--models", "qwen,claude-opus-5"),
        *("--model", "qwen", "--token", "t"),
    )
    assert ran.out == "## ada\n"
    assert "needs https" in ran.err
    assert "flockpy token revoke k_1" in ran.err
    assert "no model that is known here is called claude-opus-5" in ran.err
    assert leader.bodies("POST /invites") == [
        {
            "name": "ada",
            "daily_token_quota": 5000,
            "clients": ["curl", "cursor"],
            "model": "qwen",
            "models": ["qwen", "claude-opus-5"],
        }
    ]
    assert leader.tokens[-1] == "Bearer t"
    assert flockpy("invite", "ada", "--format", "json").document == INVITATION


def test_an_invitation_can_name_another_address(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /invites"] = (201, INVITATION)
    assert flockpy("invite", "ada", "--base-url", leader.url).code == 0
    assert leader.bodies("POST /invites") == [{"name": "ada", "base_url": leader.url}]
