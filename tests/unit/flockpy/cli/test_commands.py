"""The commands that read, against a stub leader: what they ask, what they print, how they end."""

import json
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.samples import ALIAS, ENTRY, KEY, MODEL, NODE, RECORD
from tests.unit.flockpy.cli.stub_leader import StubLeader


@pytest.mark.parametrize(
    ("command", "path", "answer"),
    [
        (["status"], "/status", {"role": "leader", "version": "1"}),
        (["model", "ls"], "/models", {"items": [MODEL], "next_cursor": None}),
        (["model", "alias", "ls"], "/aliases", {"items": [ALIAS], "next_cursor": None}),
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


def test_what_vendors_take_is_shown_once_they_take_something(flockpy: Flockpy, leader: StubLeader):
    models = [{"model": "demo", "requests": 1, "tokens": 7, "cost_usd": 0.0}]
    leader.answers["GET /usage/summary"] = (200, {"requests": 1, "cost_usd": 0.0, "models": models})
    leader.items("/usage/recent", RECORD | {"cost_usd": None})
    for command in (["usage"], ["usage", "--summary"]):
        assert "cost" not in flockpy(*command).out.lower()
    paid = {"model": "claude-opus-4-8", "requests": 1, "tokens": 7, "cost_usd": 1.25}
    leader.answers["GET /usage/summary"] = (200, {"requests": 2, "cost_usd": 1.25, "models": [paid, *models]})
    leader.items("/usage/recent", RECORD | {"cost_usd": 0.0042}, RECORD)
    assert "$0.0042" in flockpy("usage").out
    summary = flockpy("usage", "--summary").out
    assert [line.split()[-1] for line in summary.splitlines() if "$" in line] == ["$1.25", "$1.25"]
    assert "demo" in summary and "USD" not in summary


def test_vendors_models_are_listed_with_what_they_cost(flockpy: Flockpy, leader: StubLeader):
    price = {"input": 4.0, "output": 20.0, "cache_read": 0.2, "cache_write": None, "long": None}
    opus = {
        "id": "claude-opus-5-5",
        "vendor": "anthropic",
        "context_window": 1_000_000,
        "capabilities": ["chat"],
        "price": price,
    }
    assert flockpy("model", "ls", "--vendors").err == "no vendor has a key here: nothing leaves the cluster\n"
    leader.items("/models", MODEL)
    assert "vendor" not in flockpy("model", "ls").err
    leader.items("/vendors", {"id": "anthropic", "trouble": None, "mend": None, "trouble_at": None})
    leader.items("/vendors/models", opus, opus | {"id": "claude-other", "price": None})
    assert "beside them stand models of anthropic: flockpy model ls --vendors\n" in flockpy("model", "ls").err
    rows = [line.split() for line in flockpy("model", "ls", "--vendors").out.splitlines()]
    assert rows[1] == ["claude-opus-5-5", "anthropic", "1.0M", "$4.00", "$0.20", "$20.00", "chat"]
    assert rows[2][3:6] == ["-", "-", "-"]
    shown = flockpy("model", "info", "claude-opus-5-5").out
    assert "price         $4.00 in, $0.20 from the cache, $20.00 out for a million tokens\n" in shown
    assert flockpy("model", "info", "claude-opus-5-5", "--json").document == opus
    assert "vendors  anthropic\n" in _status(flockpy, leader)
    leader.items("/vendors", {"id": "anthropic", "trouble": "no", "mend": None, "trouble_at": None})
    assert "anthropic (gave no answer: flockpy doctor)" in _status(flockpy, leader)


def _status(flockpy: Flockpy, leader: StubLeader) -> str:
    leader.answers["GET /status"] = (200, {"role": "leader", "version": "1"})
    leader.items("/nodes", NODE)
    return flockpy("status").out


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
    leader.items("/tokens")
    flockpy("token", "ls")
    (home / ".flock").mkdir()
    (home / ".flock/admin.key").write_text("from-file\n")
    flockpy("token", "ls")
    monkeypatch.setenv("FLOCK_TOKEN", "from-environment")
    flockpy("token", "ls")
    flockpy("token", "ls", "--token", "from-flag")
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
    url = f"http://127.0.0.1:{free_port()}"
    ran = flockpy("status", "--base-url", url, "--token", "x")
    assert ran.code == 1
    assert f"no leader answers at {url}" in ran.err
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


def test_a_receipt_of_several_models_says_which_was_asked_where_and_what_it_cost(
    flockpy: Flockpy, leader: StubLeader
):
    tries = [
        {"model_id": "claude-opus-4-8", "placement_id": "", "node_id": "anthropic", "error": "overloaded"},
        {"model_id": "gpt-5", "placement_id": "", "node_id": "openai", "error": ""},
    ]
    receipt = {
        "asked_model": "smart",
        "hops": ["claude-opus-4-8:overloaded"],
        "attempts": [one | {"reason": f"vendor:{one['node_id']}", "candidates": []} for one in tries],
    }
    found = {"request_id": "req_1", "model": "gpt-5", "cost_usd": 0.0042, "receipt": receipt}
    leader.answers["GET /requests/req_1"] = (200, found)
    out = flockpy("why", "req_1").out
    assert "try 1: claude-opus-4-8 at anthropic: failed: overloaded\n" in out
    assert "try 2: gpt-5 at openai: good\n" in out
    facts = out.partition("\n\n")[0].splitlines()
    assert "cost         $0.0042" in facts
    assert "hops         claude-opus-4-8:overloaded" in facts
    assert len({line.index(line.split("  ")[-1].strip()) for line in facts}) == 1  # one column


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


def test_doctor_says_which_vendors_may_be_asked_and_what_they_still_need(
    flockpy: Flockpy, home: Path, monkeypatch: pytest.MonkeyPatch
):
    def told() -> list[tuple[str, str, str]]:
        found = flockpy("doctor", "--json").document["items"]
        return [(f["state"], f["message"], f["mend"]) for f in found if f["check"] == "vendors"]

    assert told() == [("ok", "none has a key: nothing leaves the cluster", "")]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "s3cret-of-a-vendor")
    monkeypatch.setenv("FLOCK_BEDROCK_REGION", "us-east-1")
    monkeypatch.setattr("flockpy.cli.leader_checks._importable", lambda module: False)
    anthropic, bedrock, missing = told()
    assert anthropic == ("ok", "claude-… goes to Anthropic: ANTHROPIC_API_KEY is set", "")
    assert bedrock[0] == "ok"
    assert missing == (
        "problem",
        "router.fallback.bedrock_region is set, but botocore is not installed",
        f"{sys.executable} -m pip install botocore",
    )
    monkeypatch.delenv("FLOCK_BEDROCK_REGION")
    monkeypatch.setenv("FLOCK_VERTEX_PROJECT", "p")
    assert told()[-1] == (
        "problem",
        "router.fallback.vertex_project is set, but google-auth and requests are not installed",
        f"{sys.executable} -m pip install google-auth requests",
    )
    ran = flockpy("doctor")
    assert ran.code == 1
    assert "s3cret" not in ran.out + ran.err


def test_doctor_names_the_file_of_the_catalog_that_is_wrong(
    flockpy: Flockpy, home: Path, monkeypatch: pytest.MonkeyPatch
):
    (home / "mine/vendors").mkdir(parents=True)
    (home / "mine/vendors/openai.yaml").write_text("id: openai\n")
    monkeypatch.setenv("FLOCK_CATALOG_DIR", f"{home / 'mine'}:{home / 'nowhere'}")
    found = flockpy("doctor", "--json").document["items"]
    (wrong,) = [f["message"] for f in found if f["check"] == "catalog"]
    (absent,) = [f["message"] for f in found if f["check"] == "configuration" and f["state"] == "problem"]
    assert "mine/vendors/openai.yaml" in wrong
    assert "sources" in wrong
    assert absent == f"FLOCK_CATALOG_DIR: `catalog_dir`: there is no folder {home / 'nowhere'}"


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
