"""The commands that change something, against a stub leader."""

from pathlib import Path

import pytest

from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.samples import ALIAS, KEY, MODEL, OPERATION
from tests.unit.flockpy.cli.stub_leader import StubLeader


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
    leader.answers["POST /models"] = (200, {"engine": "embedded", "size_bytes": 1536, "refusal": None})
    ran = flockpy("model", "add", "demo.gguf", "--dry-run", "--id", "d")
    assert ran.out == "engine  embedded\nsize    1.5 KiB\nit fits\n"
    leader.answers["POST /models"] = (200, {"size_bytes": 1536, "refusal": "it needs 3 GiB"})
    ran = flockpy("model", "add", "demo.gguf", "--dry-run", "--id", "d")
    assert "refused without --force: it needs 3 GiB\n" in ran.out
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
    leader.items("/models", MODEL | {"id": "a"}, MODEL | {"id": "b"})
    leader.items("/aliases")
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


def test_a_key_bound_to_names_that_let_nobody_in_is_a_warning(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /tokens"] = (201, KEY | {"key": "sk-orc-plain"})
    leader.items("/models", MODEL | {"id": "qwen"})
    leader.items("/vendors/models", {"id": "claude-opus-5"})
    leader.items("/aliases", ALIAS | {"name": "fast", "model": "qwen"})
    assert "warning" not in flockpy("token", "create", "--models", "qwen,claude-opus-5").err
    ran = flockpy("token", "create", "--models", "auto,fast,qwem", "--json")
    assert ran.document["key"] == "sk-orc-plain"
    said = ran.err.splitlines()
    assert len(said) == 3
    assert "auto is no model by itself" in said[0]
    assert "fast is another name of qwen" in said[1]
    assert "no model that is known here is called qwem" in said[2]


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


def test_an_alias_is_added_and_removed_by_its_name(flockpy: Flockpy, leader: StubLeader):
    leader.answers["POST /aliases"] = (201, ALIAS)
    leader.items("/aliases", ALIAS, ALIAS | {"name": "gpt-*", "source": "shipped"})
    leader.answers["DELETE /aliases"] = (200, ALIAS)
    added = flockpy("model", "alias", "add", "claude-*haiku*", "demo")
    assert (added.code, added.out) == (0, "claude-*haiku* leads to demo\n")
    assert leader.bodies("POST /aliases") == [{"name": "claude-*haiku*", "model": "demo"}]
    unnamed = flockpy("model", "alias", "remove")
    assert unnamed.code == 1
    assert "claude-*haiku*  demo" in unnamed.err
    assert "gpt-*" not in unnamed.err
    assert flockpy("model", "alias", "remove", "claude-*haiku*", "--yes").code == 0
    assert leader.asked[-1][:2] == ("DELETE /aliases", {"name": "claude-*haiku*"})
