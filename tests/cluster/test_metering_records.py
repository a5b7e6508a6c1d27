"""What is recorded can be read, exported, verified and carried away, and what was tampered with is found."""

import csv
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.metering import Record, metered, record_of
from tests.cluster.program import Program
from tests.cluster.traffic import Answer, Ask, ask_all
from tests.ports import free_port
from tests.tiny_models import tiny_model

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with metered(tmp_path_factory.mktemp("records")) as program:
        program.add_model(tiny_model(mode="random", pooling=1), "vectors")
        yield program


async def asked(program: Program, path: str, **body: Any) -> tuple[Answer, Record]:
    (answer,) = await ask_all(program.port, [Ask(path, program.key, body)])
    assert answer.status == 200, answer.body
    return answer, record_of(program, answer.request_id)


@pytest.mark.parametrize("stream", [False, True])
async def test_every_choice_is_paid_for(program: Program, stream: bool) -> None:
    _, one = await asked(program, CHAT, **HELLO, stream=stream)
    _, two = await asked(program, CHAT, **HELLO, stream=stream, n=2)
    assert (one["tokens_source"], two["tokens_source"]) == ("engine", "counted")
    assert abs(two["completion_tokens"] - 2 * one["completion_tokens"]) <= 2
    assert two["prompt_tokens"] == one["prompt_tokens"], "the prompt is read once"


@pytest.mark.parametrize("stream", [False, True])
async def test_every_text_is_paid_for(program: Program, stream: bool) -> None:
    _, one = await asked(program, TEXT, model="tiny", prompt="hello", stream=stream)
    _, three = await asked(program, TEXT, model="tiny", prompt=["hello"] * 3, stream=stream)
    assert (one["tokens_source"], three["tokens_source"]) == ("engine", "counted")
    assert abs(three["completion_tokens"] - 3 * one["completion_tokens"]) <= 3
    assert three["prompt_tokens"] >= 3 * one["prompt_tokens"]


async def test_best_of_is_counted_as_it_is_made(program: Program) -> None:
    answer, record = await asked(program, TEXT, model="tiny", prompt="hello", best_of=3)
    made = json.loads(answer.body)["choices"]
    assert abs(record["completion_tokens"] - 13 * len(made)) <= 3


async def test_embeddings_have_a_prompt_and_no_completion(program: Program) -> None:
    answer, record = await asked(program, "/v1/embeddings", model="vectors", input=["hello", "world"])
    assert answer.usage
    assert record["prompt_tokens"] == answer.usage["prompt_tokens"] > 0
    assert (record["completion_tokens"], record["tokens_source"]) == (0, "engine")
    assert (record["surface"], record["outcome"]) == ("embeddings", "ok")


def rows(program: Program, path: str) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """An export in both of its forms."""
    with program.client() as client:
        lines = client.get(f"/admin/v1/{path}/export", params={"format": "jsonl"}).text.splitlines()
        table = client.get(f"/admin/v1/{path}/export", params={"format": "csv"}).text
    return [json.loads(line) for line in lines], list(csv.DictReader(io.StringIO(table)))


def as_text(value: object) -> str:
    return "" if value is None else str(value)


async def test_recent_summary_and_exports_of_usage_agree(program: Program) -> None:
    await ask_all(program.port, [Ask(CHAT, program.key, HELLO) for _ in range(8)])
    assert program.cli("usage", "verify").returncode == 0
    lines, table = rows(program, "usage")
    assert [{k: as_text(v) for k, v in line.items()} for line in lines] == table
    recent = program.cli_json("usage", "--limit", "1000")["items"]
    assert recent == lines[::-1]
    summary = program.cli_json("usage", "--summary")
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert summary[name] == sum(line[name] for line in lines)
    assert summary["requests"] == len(lines) == sum(summary["requests_per_minute"])
    models = Counter(line["model"] for line in lines)
    assert {m["model"]: m["requests"] for m in summary["models"]} == models
    durations = sorted(line["duration_ms"] for line in lines if line["outcome"] == "ok")
    assert durations[0] <= summary["p50_ms"] <= summary["p95_ms"] <= summary["p99_ms"] <= durations[-1]


def test_the_audit_trail_and_its_exports_tell_who_did_what(program: Program) -> None:
    created = program.cli_json("token", "create", "guest", "--quota", "1000")
    assert program.cli("token", "revoke", created["id"], "--yes").returncode == 0
    lines, table = rows(program, "audit")
    assert [{k: as_text(v) for k, v in line.items()} for line in lines] == table
    assert program.cli_json("audit", "--limit", "1000")["items"] == lines[::-1]
    assert [(e["action"], e["target"]) for e in lines[-2:]] == [
        ("token.create", created["id"]),
        ("token.revoke", created["id"]),
    ]
    assert all("(admin)" in line["actor"] for line in lines if line["action"].startswith("token."))
    assert created["key"] not in json.dumps(lines)
    assert program.cli_json("audit", "--summary")["entries"] == len(lines)
    checked = program.cli_json("audit", "verify")
    assert checked == {"ok": True, "checked": len(lines), "first_bad": None}


def test_a_backup_carries_keys_usage_and_both_chains_to_another_place(
    program: Program, tmp_path: Path
) -> None:
    key = program.create_key("mover")
    assert program.cli("usage", "verify").returncode == 0
    before = rows(program, "usage"), rows(program, "audit")
    assert program.cli("backup", str(tmp_path / "copy")).returncode == 0
    other = Program(tmp_path / "data", free_port(), {})
    restored = other.cli("restore", str(tmp_path / "copy"), "--yes")
    assert restored.returncode == 0, restored.stderr
    (other.data_dir / "admin.key").write_text(program.key)
    other.start()
    try:
        assert (rows(other, "usage"), rows(other, "audit")) == before
        assert other.cli("usage", "verify").returncode == 0
        assert other.cli("audit", "verify").returncode == 0
        with other.client(key) as client:
            assert client.get("/v1/models").status_code == 200
    finally:
        other.stop()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("usage", "UPDATE usage SET completion_tokens = completion_tokens - 1 WHERE seq = 2"),
        ("usage", "UPDATE usage SET user = 'somebody else' WHERE seq = 2"),
        ("usage", "DELETE FROM usage WHERE seq = 1"),
        ("audit", "UPDATE audit SET actor = 'nobody' WHERE seq = 2"),
        ("audit", "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"),
    ],
)
def test_a_changed_row_is_found(program: Program, what: str, change: str) -> None:
    assert program.cli(what, "verify").returncode == 0
    path = program.data_dir / "state.db"
    table = {"usage": "usage", "audit": "audit"}[what]
    with closing(sqlite3.connect(path)) as database:
        kept = database.execute(f"SELECT * FROM {table}").fetchall()
        database.execute(change)
        database.commit()
    try:
        found = program.cli(what, "verify", "--json")
        assert found.returncode == 1
        assert not json.loads(found.stdout)["ok"]
    finally:
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(kept[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", kept)
            database.commit()
    assert program.cli(what, "verify").returncode == 0, "put back, all is well again"
