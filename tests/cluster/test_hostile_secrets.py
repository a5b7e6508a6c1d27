"""A key that clients use is looked for in everything the program writes, answers and runs."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_http import converse, request

CHAT = "/v1/chat/completions"
VENDOR = "canary-of-a-vendor-0123456789"
NOBODY = "http://127.0.0.1:9"
CONFIGURATION = f"router: {{fallback: {{anthropic_url: '{NOBODY}', openai_url: '{NOBODY}'}}}}\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    environ = {
        "FLOCK_LOG_LEVEL": "debug",
        "FLOCK_TOKEN": VENDOR,
        "OPENAI_API_KEY": VENDOR,
        "ANTHROPIC_API_KEY": VENDOR,
        "AWS_SECRET_ACCESS_KEY": VENDOR,
        "AWS_PROFILE": VENDOR,
        "GOOGLE_APPLICATION_CREDENTIALS": VENDOR,
        "HF_TOKEN": VENDOR,
    }
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "data").mkdir(0o700)
    (folder / "data" / "config.yaml").write_text(CONFIGURATION)
    (folder / "data" / "config.yaml").chmod(0o600)
    with running(folder, **environ) as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.fixture(scope="module")
def canary(program: Program) -> str:
    """A user's key that has been used well and badly, in every place where a client may put one."""
    key = program.create_key("canary", daily_token_quota=10**6)
    body = {"model": "flock-demo", "messages": [{"role": "user", "content": key}], "user": key}
    with program.client(key) as client:
        for path in (CHAT, "/v1/completions", "/v1/embeddings"):
            client.post(path, json=body | {"prompt": key, "input": key})
            client.post(path, json=body | {"stream": True, "prompt": key, "input": key})
        for bad in (
            {"model": key},
            {"max_tokens": key},
            {key: 1},
            {"tool_choice": key},
        ):
            client.post(CHAT, json=body | bad)
        client.post(CHAT, content=key)
        client.post(f"{CHAT}?api_key={key}", json=body)
        client.get(f"/v1/models/{key}")
        client.get(f"/{key}", headers={"referer": key, "user-agent": key, "x-request-id": key})
        client.get("/admin/v1/status")
        client.post("/admin/v1/tokens", json={"name": key})
        client.post("/admin/v1/nodes/register", json={"token": key, "protocol": 1, "info": key})
    httpx.post(program.url + CHAT, json=body, headers={"x-api-key": key})
    httpx.post(program.url + CHAT, json=body, headers={"authorization": f"Bearer {key}x"})
    httpx.get(program.url.replace("//", f"//user:{key}@") + "/v1/models")
    converse(program, request(program, b"{", headers=b"authorization: Bearer %s\r\n" % key.encode()))
    return key


def secret(key: str) -> bytes:
    """What must not be seen of a key: all but its prefix."""
    return key[11:].encode()


def files_with(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_no_log_and_no_file_holds_it(program: Program, canary: str) -> None:
    program.get("/admin/v1/usage/recent")
    assert secret(canary) not in program.log.read_bytes()
    assert files_with(program.data_dir, secret(canary)) == []
    admin = files_with(program.data_dir, secret(program.key))
    assert admin == [program.data_dir / "admin.key"]


def test_no_answer_holds_it(program: Program, canary: str) -> None:
    paths = ["status", "config", "nodes", "models", "tokens", "requests", "operations", "catalog"]
    paths += ["usage/recent", "usage/summary", "usage/export", "audit/recent", "logs?model=flock-demo"]
    with program.client() as client:
        for path in (
            *(f"/admin/v1/{path}" for path in paths),
            "/metrics",
            "/openapi.json",
            "/readyz",
            "/v1/models",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert secret(canary) not in answer.content, path
            assert VENDOR.encode() not in answer.content, path


def test_no_refusal_repeats_the_key_it_refuses(program: Program, canary: str) -> None:
    for headers in ({"authorization": f"Bearer {canary}x"}, {"x-api-key": canary + "x"}):
        for path in (CHAT, "/v1/models", "/admin/v1/nodes"):
            answer = httpx.request("GET", program.url + path, headers=headers)
            assert secret(canary) not in answer.content + str(answer.headers).encode()


@pytest.mark.parametrize(
    "command",
    ["config show", "doctor", "doctor --json", "status --json", "token ls", "usage", "logs flock-demo"],
)
def test_no_command_shows_it(program: Program, canary: str, command: str) -> None:
    program.environ["FLOCK_TOKEN"] = program.key
    done = subprocess.run(
        [sys.executable, "-m", "flockpy.cli.main", *command.split()],
        env=program.environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout
    for said in (done.stdout, done.stderr):
        assert secret(canary) not in said
        assert secret(program.key) not in said


def test_no_command_line_and_no_engines_environment_holds_it(program: Program, canary: str) -> None:
    assert program.parent is not None
    parent = psutil.Process(program.parent.pid)
    engines = program.engines()
    assert engines
    for process in {parent, *parent.children(recursive=True), *engines}:
        line = " ".join(process.cmdline())
        for key in (canary, program.key):
            assert key not in line
        assert VENDOR not in line
        assert canary not in str(process.environ())
        assert program.key not in str(process.environ())
    for engine in engines:
        assert VENDOR not in str(engine.environ())
    agent = program.process("agent").environ()
    assert {name for name, value in agent.items() if value == VENDOR} == {"FLOCK_TOKEN", "HF_TOKEN"}
    assert program.process("leader").environ()["ANTHROPIC_API_KEY"] == VENDOR


def test_the_leader_holds_the_vendors_keys_and_shows_stars(program: Program) -> None:
    values = program.get("/admin/v1/config")["values"]
    for key in ("router.fallback.anthropic_api_key", "router.fallback.openai_api_key"):
        assert values[key] == "***"
    assert VENDOR.encode() not in program.log.read_bytes()
    assert files_with(program.data_dir, VENDOR.encode()) == []


def test_all_that_is_kept_is_for_its_owner_alone(program: Program, canary: str) -> None:
    open_to_others = [
        f"{path.relative_to(program.data_dir)} {path.stat().st_mode & 0o777:o}"
        for path in (program.data_dir, *program.data_dir.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []


def test_a_leader_that_fails_and_dies_says_why_without_it(program: Program, canary: str) -> None:
    with sqlite3.connect(program.data_dir / "state.db", timeout=10) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = next(name for name in tables if "key" in name)
        database.execute(f"ALTER TABLE {kept} RENAME TO lost")
    database.close()
    with program.client() as client:
        failed = client.post("/admin/v1/tokens", json={"name": "unlucky"})
    assert failed.status_code in (500, 503)
    assert str(program.data_dir) not in failed.text
    assert "sqlite" not in failed.text.lower()
    assert "Traceback" not in failed.text
    with sqlite3.connect(program.data_dir / "state.db", timeout=10) as database:
        database.execute(f"ALTER TABLE lost RENAME TO {kept}")
    database.close()
    with program.client(canary) as client:
        assert client.get("/v1/models").status_code == 200
    leader = program.process("leader")
    leader.send_signal(signal.SIGABRT)
    leader.wait(30)
    eventually(program.ready, "the leader is started again")
    assert "SIGABRT" in program.said() or "signal 6" in program.said()
    assert secret(canary) not in program.log.read_bytes()
    assert json.dumps(canary) not in program.said()
    assert files_with(program.data_dir, secret(canary)) == []
