"""A client that would spend what it may not on a vendor, or fill the leader's figures; and where the key may stand."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.cluster.metering import exported, record_of
from tests.cluster.program import eventually
from tests.cluster.raw_messages import events, failure, message, stream
from tests.cluster.raw_vendor import STREAM, chunk, whole
from tests.cluster.watched import CANARY, CHAT, CLAUDE, MESSAGES, Watched, body, watched

ROUTER = f"""aliases:
  cheap: {CLAUDE}
  "any-*": {CLAUDE}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("spending"), router=ROUTER) as world:
        yield world


@pytest.mark.parametrize("model", [CLAUDE, "cheap", "any-thing", f"claude-flock-{CLAUDE}", "claude-opus-4-8"])
@pytest.mark.parametrize("path", [MESSAGES, CHAT, "/v1/responses", "/api/chat", MESSAGES + "/count_tokens"])
def test_a_key_for_models_of_ours_reaches_no_vendor_under_any_name(world: Watched, path: str, model: str):
    world.vendor.say(whole(message()))
    bound = world.program.create_key("bound", models=["flock-demo"])
    answer = world.ask(path, key=bound, model=model, input="hi")
    assert answer.status_code in (403, 404)
    assert not world.vendor.requests
    assert CANARY not in answer.text
    with world.program.client(bound) as client:
        listed = {item["id"] for item in client.get("/v1/models").json()["data"]}
    assert listed == {"auto", "flock-demo", "claude-flock-flock-demo"}


def test_a_hundred_at_once_spend_no_more_than_the_quota(world: Watched):
    world.vendor.say(0.3, whole(message(usage={"input_tokens": 20, "output_tokens": 100})))
    poor = world.program.create_key("poor", daily_token_quota=1000)
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: world.ask(key=poor, max_tokens=100), range(100)))
    served = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert 1 <= len(served) == len(world.vendor.requests) <= 10


@pytest.mark.parametrize("most", [10**7, 10**15, 2**63, 10**40, 1e300])
def test_a_bound_that_is_none_does_not_go_past_a_quota(world: Watched, most: float):
    world.vendor.say(whole(message()))
    poor = world.program.create_key("greedy", daily_token_quota=10_000)
    for path, fields in ((MESSAGES, {}), (CHAT, {}), (CHAT, {"n": 100})):
        answer = world.ask(path, key=poor, **{**fields, "max_tokens": most})
        assert answer.status_code in (400, 429), answer.text
    assert not world.vendor.requests


def test_a_key_that_is_revoked_in_mid_stream_is_refused_from_then_on(world: Watched):
    program, (first, *others) = world.program, events("one", "two")
    world.vendor.say(STREAM, chunk(first), 1.0, *map(chunk, others), b"0\r\n\r\n")
    key = program.create_key("fickle")
    headers = {"authorization": f"Bearer {key}"}
    asked = {**body(), "stream": True}
    with httpx.stream("POST", program.url + MESSAGES, json=asked, headers=headers) as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        known = {item["name"]: item["id"] for item in program.get("/admin/v1/tokens?limit=1000")["items"]}
        with program.client() as client:
            assert client.delete(f"/admin/v1/tokens/{known['fickle']}").status_code < 300
        assert world.ask(key=key).status_code == 401
        assert b"message_stop" in b"".join(pieces)  # what was begun is paid for
    assert record_of(program, answer.headers["x-request-id"])["outcome"] == "ok"


def test_names_that_clients_make_up_are_one_in_the_metrics(world: Watched):
    """Also when the vendor accepts every one of them, and when its answers have to be mended."""
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    for number in range(40):
        world.vendor.say(stream(*events(call)))
        assert world.ask(CHAT, model=f"claude-made-up-{number}", tools=tools).status_code == 200
        world.vendor.say(whole(b"{}", status=404))
        world.ask(model=f"claude-not-there-{number}")
    with world.program.client() as client:
        metrics = client.get("/metrics").text
    assert "claude-made-up" not in metrics
    assert "claude-not-there" not in metrics
    assert 'model="anthropic/other"' in metrics


def test_who_asks_for_what_its_vendor_does_not_have_pays_nothing(world: Watched):
    world.vendor.say(whole(failure("model: claude-nobody-has-that", "not_found_error"), status=404))
    answer = world.ask(model="claude-nobody-has-that")
    record = record_of(world.program, answer.headers["x-request-id"])
    assert (record["outcome"], record["prompt_tokens"], record["completion_tokens"]) == ("refused", 0, 0)


def test_nothing_that_is_exported_or_backed_up_holds_the_key(world: Watched):
    program = world.program
    copy = program.data_dir.parent / "copy.flock"
    done = program.cli("backup", str(copy))
    assert done.returncode == 0, done.stderr
    said = copy.read_bytes() + json.dumps(exported(program)).encode() + program.log.read_bytes()
    for command in ("doctor --json", "config show --json", "usage --json", "audit --json", "status --json"):
        answer = program.cli(*command.split())
        said += (answer.stdout + answer.stderr).encode()
    with program.client() as client:
        for path in (
            "/metrics",
            "/openapi.json",
            "/admin/v1/config",
            "/admin/v1/audit/recent",
            "/admin/v1/status",
        ):
            said += client.get(path).content
    with sqlite3.connect(program.data_dir / "state.db", timeout=10) as database:
        said += "\n".join(database.iterdump()).encode()
    database.close()
    assert CANARY.encode() not in said
    assert json.dumps(CANARY)[1:-1].encode() not in said
    processes = [program.process("agent"), *program.engines()]
    assert len(processes) > 1
    for process in processes:
        assert CANARY not in str(process.cmdline()) + str(process.environ())
    eventually(program.ready, "it is still there")
