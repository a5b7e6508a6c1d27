"""The commands against a stub leader: what they ask, what they print, how they end."""

import json
from pathlib import Path

import pytest

from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.stub_leader import StubLeader

MODEL = {
    "id": "demo",
    "name": "Demo",
    "source": "file:/m/demo.gguf",
    "size_bytes": 1536,
    "context_window": 4096,
    "capabilities": ["chat"],
    "engine": "",
    "node_id": "n_1",
    "state": "serving",
    "placements": [
        {"id": "p_1", "model_id": "demo", "node_id": "n_1", "state": "ready", "engine": "embedded"}
    ],
    "details": {"architecture": "llama"},
    "created_at": "2026-01-01T00:00:00.000Z",
}
NODE = {
    "id": "n_1",
    "hostname": "box",
    "role": "leader",
    "state": "ready",
    "version": "1",
    "address": "127.0.0.1",
    "hardware": {
        "os": "Linux",
        "arch": "x86_64",
        "cpu": "c",
        "physical_cores": 4,
        "memory_bytes": 2**33,
        "devices": [],
    },
    "engines": [{"name": "embedded", "available": True, "version": "9", "reason": ""}],
    "placements": MODEL["placements"],
    "last_seen": "2026-01-01T00:00:00.000Z",
}
KEY = {
    "id": "k_1",
    "name": "ada",
    "scope": "user",
    "prefix": "sk-orc-abcd",
    "daily_token_quota": 5000,
    "models": None,
    "expires_at": None,
    "revoked_at": None,
    "created_at": "2026-01-01T00:00:00.000Z",
}
RECORD = {
    "request_id": "req_1",
    "time": "2026-01-01T00:00:00.000Z",
    "user": "ada",
    "model": "demo",
    "surface": "chat",
    "prompt_tokens": 3,
    "completion_tokens": 4,
    "ttft_ms": None,
    "duration_ms": 12.5,
    "outcome": "ok",
}
ENTRY = {
    "id": "1",
    "time": RECORD["time"],
    "actor": "ada",
    "action": "model.add",
    "target": "demo",
    "detail": "x",
}
OPERATION = {
    "id": "op_1",
    "kind": "install",
    "target": "demo",
    "state": "running",
    "done_bytes": 1,
    "total_bytes": 2,
}


@pytest.mark.parametrize(
    ("command", "path", "answer"),
    [
        (["status"], "/status", {"role": "leader", "version": "1"}),
        (["model", "ls"], "/models", {"items": [MODEL], "next_cursor": None}),
        (["node", "ls"], "/nodes", {"items": [NODE], "next_cursor": None}),
        (["token", "ls"], "/tokens", {"items": [KEY], "next_cursor": None}),
        (["usage"], "/usage/recent", {"items": [RECORD], "next_cursor": None}),
        (
            ["usage", "--summary"],
            "/usage/summary",
            {"requests": 1, "models": [{"model": "demo", "requests": 1}]},
        ),
        (["usage", "verify"], "/usage/verify", {"ok": True}),
        (["audit"], "/audit/recent", {"items": [ENTRY], "next_cursor": None}),
        (["audit", "verify"], "/audit/verify", {"ok": True}),
        (["why", "req_1"], "/requests/req_1", {"request_id": "req_1", "receipt": None}),
        (
            ["logs"],
            "/logs",
            {"items": [{"node_id": "n_1", "model_id": "demo", "line": "hello"}], "next_cursor": None},
        ),
        (
            ["config", "show", "--base-url", "URL"],
            "/config",
            {"values": {"listen": ":1"}, "sources": {}, "path": "p"},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_json_is_the_answer_and_nothing_else(
    flockpy: Flockpy, leader: StubLeader, command: list[str], path: str, answer: object
):
    leader.answers[f"GET {path}"] = (200, answer)
    command = [leader.url if word == "URL" else word for word in command]
    ran = flockpy(*command, "--json")
    assert ran.code == 0
    assert ran.document == answer
    leader.items("/nodes", NODE)
    leader.items("/models", MODEL)
    leader.answers[f"GET {path}"] = (200, answer)
    readable = flockpy(*command)
    assert readable.code == 0, readable.err
    assert readable.out.strip()


def test_lists_are_read_to_their_end(flockpy: Flockpy, leader: StubLeader):
    leader.answers["GET /tokens"] = [
        (200, {"items": [KEY], "next_cursor": "k_1"}),
        (200, {"items": [KEY | {"id": "k_2"}], "next_cursor": None}),
    ]
    ran = flockpy("token", "ls", "--json")
    assert [key["id"] for key in ran.document["items"]] == ["k_1", "k_2"]
    assert leader.asked[-1][1] == {"cursor": "k_1"}


def test_a_limit_bounds_what_is_read(flockpy: Flockpy, leader: StubLeader):
    leader.answers["GET /usage/recent"] = (200, {"items": [RECORD], "next_cursor": "more"})
    ran = flockpy("usage", "--limit", "2", "--user", "ada", "--json")
    assert ran.document == {"items": [RECORD, RECORD], "next_cursor": "more"}
    assert [query for _, query, _ in leader.asked] == [
        {"limit": "2", "user": "ada"},
        {"limit": "1", "user": "ada", "cursor": "more"},
    ]


def test_a_table_off_a_terminal_is_not_cut(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL | {"id": "m" * 300})
    ran = flockpy("model", "ls")
    assert "m" * 300 in ran.out
    assert "\x1b" not in ran.out


def test_what_others_named_is_shown_and_not_obeyed(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL | {"id": "\x1b[2J[red]x"})
    ran = flockpy("model", "ls")
    assert "\\x1b[2J[red]x" in ran.out


def test_the_token_comes_from_the_flag_then_the_environment_then_the_file(
    flockpy: Flockpy, leader: StubLeader, home: Path, monkeypatch: pytest.MonkeyPatch
):
    leader.items("/models")
    flockpy("model", "ls")
    (home / ".flock").mkdir()
    (home / ".flock/admin.key").write_text("from-file\n")
    flockpy("model", "ls")
    monkeypatch.setenv("FLOCK_TOKEN", "from-environment")
    flockpy("model", "ls")
    flockpy("model", "ls", "--token", "from-flag")
    assert leader.tokens == ["", "Bearer from-file", "Bearer from-environment", "Bearer from-flag"]


def test_an_error_of_the_leader_is_told_with_its_hint(flockpy: Flockpy, leader: StubLeader):
    leader.answers["GET /models"] = (
        401,
        {"error": {"code": "invalid_api_key", "message": "This key is not good."}},
    )
    ran = flockpy("model", "ls", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "This key is not good." in ran.err
    assert "--token" in ran.err


def test_no_leader_says_how_to_start_one(flockpy: Flockpy):
    ran = flockpy("status", "--base-url", "http://127.0.0.1:23099", "--token", "x")
    assert ran.code == 1
    assert "no leader answers at http://127.0.0.1:23099" in ran.err
    assert "flockpy up" in ran.err


@pytest.mark.parametrize("answer", [(200, b"<html>"), (502, b"<html>"), (500, {"error": "odd"})])
def test_something_that_is_no_leader_is_told_apart(
    flockpy: Flockpy, leader: StubLeader, answer: tuple[int, object]
):
    leader.answers["GET /status"] = answer
    ran = flockpy("status")
    assert ran.code == 1
    assert "--base-url" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "Did you mean 'status'?"),
        (["model", "lss"], "Did you mean 'ls'?"),
        (["status", "--jsn"], "--json"),
        (["token", "create", "--admin", "--node"], "not for both"),
        (["token", "create", "--expires", "soon"], "30d, 12h or 45m"),
        (["token", "create", "--expires", "2001-01-01"], "is in the past"),
        (["status", "--base-url", "ftp://x"], "no address"),
        (["model", "add"], "REF"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_what_was_meant(flockpy: Flockpy, words: list[str], said: str):
    ran = flockpy(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err


def test_a_wrong_configuration_is_told_by_file_and_line(flockpy: Flockpy, home: Path):
    (home / ".flock").mkdir()
    (home / ".flock/config.yaml").write_text("listn: ':1'\n")
    ran = flockpy("status")
    assert ran.code == 1
    assert "config.yaml:1: unknown key `listn`" in ran.err
    assert "did you mean `listen`?" in ran.err


def test_an_id_that_does_not_exist_lists_the_candidates_off_a_terminal(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL)
    for words in (["model", "info"], ["model", "info", "dmo"]):
        ran = flockpy(*words)
        assert ran.code == 1
        assert "demo  serving, 1.5 KiB" in ran.err
    assert "did you mean demo?" in ran.err


def test_nothing_to_choose_from_says_so(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models")
    assert "there is no model yet" in flockpy("model", "load", "x").err


def test_a_destructive_command_needs_yes_where_nobody_can_be_asked(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL)
    leader.answers["DELETE /models/demo"] = (200, MODEL)
    ran = flockpy("model", "remove", "demo")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert not leader.bodies("DELETE /models/demo")
    assert flockpy("model", "remove", "demo", "--yes").code == 0
    assert len(leader.bodies("DELETE /models/demo")) == 1


def test_adding_a_model_follows_its_operation(flockpy: Flockpy, leader: StubLeader, home: Path):
    leader.answers["POST /models"] = (202, {"operation": OPERATION, "model": MODEL})
    leader.answers["GET /operations/op_1"] = [(200, OPERATION), (200, OPERATION | {"state": "done"})]
    ran = flockpy("model", "add", "file:~/demo.gguf", "--load")
    assert ran.code == 0, ran.err
    assert ran.out == "added demo, loaded\n"
    assert ran.err == "install demo: running\ninstall demo: done\n"
    body = {"ref": f"file:{home}/demo.gguf", "force": False, "load": True, "dry_run": False}
    assert leader.bodies("POST /models") == [body]


def test_an_operation_that_fails_fails_the_command(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /models"] = (202, {"operation": OPERATION, "model": MODEL})
    leader.answers["GET /operations/op_1"] = (
        200,
        OPERATION | {"state": "failed", "error": "the disk is full"},
    )
    ran = flockpy("model", "add", "demo.gguf", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "install demo: the disk is full" in ran.err


def test_a_dry_run_shows_what_it_would_take(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /models"] = (200, {"engine": "embedded", "size_bytes": 1536, "fits": True})
    ran = flockpy("model", "add", "demo.gguf", "--dry-run", "--id", "d")
    assert "1.5 KiB" in ran.out
    assert leader.bodies("POST /models")[0]["id"] == "d"


@pytest.mark.parametrize("ref", ["hf:owner/repo", "ollama:tag", "qwen3-coder"])
def test_references_that_are_not_built_yet_say_so(flockpy: Flockpy, leader: StubLeader, ref: str):
    ran = flockpy("model", "add", ref)
    assert ran.code == 1
    assert "not built yet" in ran.err
    assert "roadmap" in ran.err
    assert not leader.asked


@pytest.mark.parametrize(
    "words", [["join", "http://h:1?token=x"], ["model", "search", "--sort", "size"], ["bench"]]
)
def test_commands_that_are_not_built_yet_say_so(flockpy: Flockpy, words: list[str]):
    ran = flockpy(*words)
    assert ran.code == 1
    assert "is not built yet; it is on the roadmap" in ran.err


def test_a_token_is_made_with_its_limits_and_shown_alone_on_stdout(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /tokens"] = (201, KEY | {"key": "sk-orc-plain"})
    ran = flockpy(
        "token", "create", "ada", "--quota", "5000", "--models", "a, b", "--expires", "2999-01-01T00:00:00Z"
    )
    assert ran.out == "sk-orc-plain\n"
    assert leader.bodies("POST /tokens") == [
        {
            "name": "ada",
            "scope": "user",
            "daily_token_quota": 5000,
            "models": ["a", "b"],
            "expires_at": "2999-01-01T00:00:00Z",
        }
    ]


def test_a_node_token_comes_with_the_command_to_join(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /tokens"] = (
        201,
        KEY | {"key": "sk-orc-plain", "join_url": "http://h:1?token=sk-orc-plain"},
    )
    assert "flockpy join 'http://h:1?token=sk-orc-plain'" in flockpy("token", "create", "--node").out


def test_a_key_is_revoked_by_its_name(flockpy: Flockpy, leader: StubLeader):
    leader.items("/tokens", KEY, KEY | {"id": "k_2", "name": "bob", "revoked_at": KEY["created_at"]})
    leader.answers["DELETE /tokens/k_1"] = (200, KEY)
    assert flockpy("token", "revoke", "ada", "--yes").out == "revoked k_1 (ada)\n"
    assert flockpy("token", "revoke", "bob", "--yes").code == 1


def test_a_broken_chain_fails_the_command(flockpy: Flockpy, leader: StubLeader):
    leader.answers["GET /audit/verify"] = (200, {"ok": False, "broken_at": "7"})
    ran = flockpy("audit", "verify")
    assert ran.code == 1
    assert "7" in ran.out
    assert flockpy("audit", "verify", "--json").code == 1


def test_logs_follow_the_stream(flockpy: Flockpy, leader: StubLeader):
    leader.items("/models", MODEL)
    events = "".join(
        f"data: {json.dumps({'node_id': 'n_1', 'model_id': 'demo', 'line': text})}\n\n"
        for text in ("one", "two")
    )
    leader.answers["GET /logs"] = (200, (": comment\n\n" + events).encode())
    assert flockpy("logs", "demo", "-f").out == "demo: one\ndemo: two\n"
    assert leader.asked[-1][1] == {"follow": "true", "model": "demo", "lines": "200"}


def test_a_receipt_shows_every_candidate(flockpy: Flockpy, leader: StubLeader):
    candidates = [
        {"placement_id": "p_1", "node_id": "n_1", "score": 0.5, "rejected": ""},
        {"placement_id": "p_2", "node_id": "n_2", "score": 0, "rejected": "no free slot"},
    ]
    attempt = {
        "placement_id": "p_1",
        "node_id": "n_1",
        "reason": "most free slots",
        "error": "",
        "candidates": candidates,
    }
    receipt = {"asked_model": "auto", "attempts": [attempt]}
    leader.answers["GET /requests/req_1"] = (
        200,
        {"request_id": "req_1", "model": "demo", "receipt": receipt},
    )
    out = flockpy("why", "req_1").out
    for words in ("auto", "most free slots", "REJECTED", "no free slot", "try 1: p_1 on n_1: good"):
        assert words in out


def test_doctor_names_what_mends_each_problem(flockpy: Flockpy, home: Path):
    (home / ".flock").mkdir(mode=0o755)
    (home / ".flock/admin.key").write_text("x")
    (home / ".flock/admin.key").chmod(0o644)
    ran = flockpy("doctor", "--json")
    mends = {finding["mend"] for finding in ran.document["items"]}
    assert ran.code == 1
    assert f"chmod 600 {home / '.flock/admin.key'}" in mends
    assert f"chmod 700 {home / '.flock'}" in mends
    assert ran.document["problems"] >= 2


def test_doctor_survives_a_wrong_configuration(flockpy: Flockpy, home: Path):
    (home / ".flock").mkdir(mode=0o700)
    (home / ".flock/config.yaml").write_text("log_level: loud\n")
    ran = flockpy("doctor")
    assert ran.code == 1
    assert "config.yaml:1" in ran.out


def test_config_tells_where_each_value_came_from(
    flockpy: Flockpy, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLOCK_LISTEN", ":1234")
    shown = flockpy("config", "show", "--json").document
    assert shown["values"]["listen"] == ":1234"
    assert shown["sources"]["listen"] == "FLOCK_LISTEN"
    assert shown["path"] == str(home / ".flock/config.yaml")
    assert flockpy("config", "path").out.strip() == shown["path"]


def test_down_with_nothing_running_is_fine(flockpy: Flockpy):
    ran = flockpy("down")
    assert (ran.code, ran.out) == (0, "nothing is running here\n")
