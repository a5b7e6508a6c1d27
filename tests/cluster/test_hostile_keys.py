"""Keys that are wrong, old or for something else; join tokens and node identities in the wrong hands."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import msgspec
import pytest

from flockpy import wire
from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_http import converse, request
from tests.unit.controlplane.builders import info, report

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
NODES = "/admin/v1/nodes"
BODY = {"model": "flock-demo", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "input": "hi"}
UNKNOWN = "sk-orc-" + "x" * 43


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("keys")) as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}".strip()}


def call(
    program: Program, method: str, path: str, headers: dict[str, str], body: Any = None
) -> httpx.Response:
    return httpx.request(method, program.url + path, headers=headers, json=body, timeout=30)


def chat(program: Program, headers: dict[str, str], path: str = CHAT) -> httpx.Response:
    return call(program, "POST", path, headers, BODY)


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    if status == 401:
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("nonsense"),
        bearer(UNKNOWN),
        bearer("x" * 50_000),
        {"authorization": "Basic YTpi"},
        {"authorization": UNKNOWN},
        {"x-api-key": UNKNOWN},
    ],
)
def test_without_a_good_key_nothing_is_served(program: Program, path: str, headers: dict[str, str]) -> None:
    assert_refused(chat(program, headers, path), 401, "invalid_api_key")


def test_a_key_that_is_no_text_is_a_bad_key(program: Program) -> None:
    for value in (b"Bearer \xff\xfe", b"Bearer \xed\xa0\x80", b"Bearer " + "schlüssel".encode()):
        answer = converse(program, request(program, headers=b"authorization: %s\r\n" % value))
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


def test_either_header_is_enough_and_two_opinions_in_one_are_none(program: Program) -> None:
    key = program.create_key("either")
    assert chat(program, {"x-api-key": key}).status_code == 200
    assert chat(program, bearer(key) | {"x-api-key": "nonsense"}).status_code == 200
    assert chat(program, bearer("nonsense") | {"x-api-key": key}).status_code == 200
    good, bad = b"authorization: Bearer %s\r\n" % key.encode(), b"authorization: Bearer nonsense\r\n"
    for lines in (good + bad, bad + good):
        assert converse(program, request(program, headers=lines)).status == 401
        listing = request(program, b"", path=b"/admin/v1/tokens", method=b"GET", headers=lines)
        assert converse(program, listing).status == 401
    assert converse(program, request(program, headers=good + good)).status == 200


def test_a_revoked_key_is_refused_at_once(program: Program) -> None:
    made = program.post("/admin/v1/tokens", {"name": "leaver"})
    assert chat(program, bearer(made["key"])).status_code == 200
    gone = call(program, "DELETE", f"/admin/v1/tokens/{made['id']}", bearer(program.key))
    assert gone.status_code == 200
    answer = chat(program, bearer(made["key"]))
    assert_refused(answer, 401, "invalid_api_key")
    assert "revoked" in answer.json()["error"]["message"]
    assert made["key"] not in answer.text


def test_an_expired_key_is_refused(program: Program) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    key = program.create_key("guest", expires_at=soon.isoformat())
    eventually(lambda: chat(program, bearer(key)).status_code == 401, "the key expires")
    assert "expired" in chat(program, bearer(key)).json()["error"]["message"]


def test_a_key_with_a_list_of_models_is_held_to_it(program: Program) -> None:
    other = program.create_key("other", models=["another-model"])
    answer = chat(program, bearer(other))
    assert_refused(answer, 403, "permission_denied")
    assert answer.json()["error"]["param"] == "model"
    listed = call(program, "GET", "/v1/models", bearer(other)).json()["data"]
    assert listed == []
    assert call(program, "GET", "/v1/models/flock-demo", bearer(other)).status_code == 404
    demo = program.create_key("demo", models=["flock-demo"])
    assert chat(program, bearer(demo)).status_code == 200


def test_a_spent_quota_is_final(program: Program) -> None:
    key = program.create_key("poor", daily_token_quota=60)
    answers = [chat(program, bearer(key)) for _ in range(4)]
    assert_refused(answers[-1], 429, "insufficient_quota")
    assert answers[-1].headers["x-should-retry"] == "false"
    assert int(answers[-1].headers["retry-after"]) > 0


ADMIN_CALLS = [
    ("GET", "/admin/v1/status"),
    ("GET", "/admin/v1/config"),
    ("GET", NODES),
    ("POST", f"{NODES}/n_1/drain"),
    ("DELETE", f"{NODES}/n_1"),
    ("GET", "/admin/v1/models"),
    ("POST", "/admin/v1/models"),
    ("POST", "/admin/v1/models/flock-demo/unload"),
    ("DELETE", "/admin/v1/models/flock-demo"),
    ("GET", "/admin/v1/tokens"),
    ("POST", "/admin/v1/tokens"),
    ("DELETE", "/admin/v1/tokens/k_1"),
    ("GET", "/admin/v1/requests"),
    ("GET", "/admin/v1/operations"),
    ("GET", "/admin/v1/usage/recent"),
    ("GET", "/admin/v1/usage/export"),
    ("GET", "/admin/v1/audit/recent"),
    ("GET", "/admin/v1/logs?model=flock-demo"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_CALLS)
def test_the_admin_surface_is_for_admins(
    program: Program, node: tuple[str, str], method: str, path: str
) -> None:
    keys = {"": 401, UNKNOWN: 401, program.create_key(): 403, node[1]: 403}
    for key, status in keys.items():
        answer = call(program, method, path, bearer(key))
        assert answer.status_code == status, (key[:11], answer.text)
        assert set(answer.json()["error"]) <= {"code", "message", "field", "hint"}


# nodes


def invite(program: Program, **fields: Any) -> str:
    return program.create_key("a node", scope="node", **fields)


def register(program: Program, token: str, **claims: str) -> httpx.Response:
    message = msgspec.to_builtins(wire.Register(token, wire.PROTOCOL, info(), **claims))
    return call(program, "POST", f"{NODES}/register", {}, message)


def beat(program: Program, key: str, boot_id: str = "b1", seq: int = 1) -> httpx.Response:
    body = msgspec.to_builtins(report(seq, boot_id=boot_id))
    return call(program, "POST", f"{NODES}/heartbeat", bearer(key), body)


@pytest.fixture(scope="module")
def node(program: Program) -> tuple[str, str]:
    """The id and the key of a worker that has joined."""
    answer = register(program, invite(program))
    assert answer.status_code == 200, answer.text
    return answer.json()["node_id"], answer.json()["key"]


def test_a_join_token_is_good_once(program: Program) -> None:
    token = invite(program)
    assert register(program, token).status_code == 200
    assert_refused_node(register(program, token))


def test_a_join_token_expires(program: Program) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.5)
    token = invite(program, expires_at=soon.isoformat())
    expired = jwt.decode(token, options={"verify_signature": False})["exp"]
    eventually(lambda: datetime.datetime.now(datetime.UTC).timestamp() > expired + 1, "it expires")
    assert_refused_node(register(program, token))


def test_a_forged_join_token_is_refused(program: Program) -> None:
    real = invite(program)
    claims = jwt.decode(real, options={"verify_signature": False})
    leader = claims | {"role": "leader"}
    head, body, signature = real.split(".")
    forged = [
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, "x" * 32, algorithm="HS256"),
        jwt.encode(leader, "x" * 64, algorithm="HS512"),
        f"{head}.{jwt.encode(leader, 'x' * 32).split('.')[1]}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        jwt.encode({"alg": "none"}, "x" * 32, headers={"jwk": {"kty": "oct", "k": "eA"}}),
        program.key,
        "",
        "a.b.c",
        "\u0000",
        "." * 10_000,
    ]
    for token in forged:
        assert_refused_node(register(program, token))
    assert register(program, real).status_code == 200


def assert_refused_node(answer: httpx.Response) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (401, "invalid_api_key", "token")


def test_a_join_token_is_no_key_and_a_key_no_join_token(program: Program) -> None:
    token = invite(program)
    assert chat(program, bearer(token)).status_code == 401
    assert call(program, "GET", NODES, bearer(token)).status_code == 401
    assert beat(program, token).status_code == 401
    assert register(program, program.create_key()).status_code == 401


def test_a_node_key_does_no_inference(program: Program, node: tuple[str, str]) -> None:
    assert_refused(chat(program, bearer(node[1])), 403, "permission_denied")
    assert call(program, "GET", "/v1/models", bearer(node[1])).status_code == 403


def test_nobody_but_a_node_reports(program: Program) -> None:
    assert beat(program, program.key).status_code == 403
    assert beat(program, program.create_key()).status_code == 403
    assert beat(program, "").status_code == 401


def test_a_node_speaks_for_itself_alone(program: Program, node: tuple[str, str]) -> None:
    local = next(n for n in program.get(NODES)["items"] if n["role"] == "leader")
    body = msgspec.to_builtins(report(1, boot_id="evil")) | {"node_id": local["id"]}
    headers = bearer(node[1]) | {"x-node-id": local["id"]}
    assert call(program, "POST", f"{NODES}/heartbeat?node_id={local['id']}", headers, body).status_code == 200
    after = next(n for n in program.get(NODES)["items"] if n["id"] == local["id"])
    assert (after["state"], after["hostname"]) == ("ready", local["hostname"])
    assert call(program, "GET", f"{NODES}/desired?wait_s=0", headers).json()["placements"] == []


def test_a_join_token_does_not_give_another_nodes_name(program: Program, node: tuple[str, str]) -> None:
    local = next(n for n in program.get(NODES)["items"] if n["role"] == "leader")
    for claimed in (local["id"], node[0]):
        for key in ("", UNKNOWN, program.key):
            answer = register(program, invite(program), node_id=claimed, node_key=key)
            assert answer.status_code == 200
            assert answer.json()["node_id"] not in (local["id"], node[0])
    assert beat(program, node[1], "b9").status_code == 200
    assert program.model_state("flock-demo") == "serving"


def test_a_join_tokens_text_and_a_nodes_key_are_nowhere_told(program: Program, node: tuple[str, str]) -> None:
    token = invite(program)
    told = json.dumps([program.get(path) for path in ("/admin/v1/tokens", "/admin/v1/audit/recent", NODES)])
    for secret in (token, node[1], program.key):
        assert secret not in told
        assert secret == program.key or secret not in program.said()
