"""Keys switched off: this machine works without one, and nobody else, not even through a browser here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flockpy.environment import for_agent
from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_http import converse, request
from tests.ports import free_port

CHAT, NODES = "/v1/chat/completions", "/admin/v1/nodes"
BODY = {"model": "flock-demo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("keyless"), FLOCK_REQUIRE_KEYS="false") as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_needs_no_key(program: Program, host: str) -> None:
    url = f"http://{host}:{program.port}"
    assert httpx.post(url + CHAT, json=BODY).status_code == 200
    assert httpx.get(f"{url}/v1/models").status_code == 200
    assert httpx.get(url + NODES).status_code == 200
    assert httpx.post(f"{url}/admin/v1/tokens", json={"name": "made here"}).status_code == 201
    own_page = {"origin": url}
    assert httpx.post(url + CHAT, json=BODY, headers=own_page).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "10.0.0.1"},
        {"host": "0.0.0.0"},
        {"host": "[::ffff:10.0.0.1]"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "https://localhost.evil.example"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:1"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "file://"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models"), ("GET", NODES)])
def test_a_foreign_page_gets_nothing(
    program: Program, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.request(method, program.url + path, json=BODY, headers=headers)
    assert answer.status_code == 401, answer.text
    assert "access-control-allow-origin" not in answer.headers


def test_a_foreign_page_cannot_ask_whether_it_may(program: Program) -> None:
    asking = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    for path in (CHAT, NODES, "/admin/v1/tokens"):
        answer = httpx.options(program.url + path, headers=asking)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_host_named_twice_or_not_at_all_is_no_local_one(program: Program) -> None:
    twice = b"host: evil.example\r\n"
    assert converse(program, request(program, headers=twice)).status in (400, 401)
    nameless = b"GET /v1/models HTTP/1.1\r\n\r\n"
    assert converse(program, nameless).status in (400, 401)


def test_a_wrong_key_is_refused_although_none_is_needed(program: Program) -> None:
    wrong = {"authorization": "Bearer nonsense"}
    assert httpx.post(program.url + CHAT, json=BODY, headers=wrong).status_code == 401
    assert httpx.get(program.url + NODES, headers=wrong).status_code == 401


def test_a_node_still_has_to_show_its_key(program: Program) -> None:
    assert httpx.get(f"{program.url}{NODES}/desired").status_code == 401
    assert httpx.post(f"{program.url}{NODES}/heartbeat", json={}).status_code == 401
    registration = httpx.post(f"{program.url}{NODES}/register", json={"token": "", "protocol": 1})
    assert registration.status_code in (400, 401)


@pytest.mark.parametrize("listen", ["0.0.0.0", "[::]"])
def test_it_does_not_listen_elsewhere_unless_told_twice(tmp_path: Path, listen: str) -> None:
    environ = {k: v for k, v in for_agent(os.environ).items() if not k.startswith("FLOCK_")}
    environ |= {"FLOCK_DATA_DIR": str(tmp_path / "data"), "FLOCK_REQUIRE_KEYS": "0"}
    command = [sys.executable, "-m", "flockpy.cli.main", "up", "--no-wizard", "--listen"]
    done = subprocess.run(
        [*command, f"{listen}:{free_port()}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "--force-open" in done.stderr
    assert not (tmp_path / "data" / "state.db").exists()
