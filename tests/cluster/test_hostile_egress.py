"""A client that would choose where its request goes, or what is fetched from here."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.raw_http import Answer, converse, request
from tests.cluster.raw_messages import events, message, stream
from tests.cluster.raw_vendor import Heard, whole
from tests.cluster.watched import CANARY, CHAT, CLAUDE, MESSAGES, Watched, body, watched

OURS = {"host", "x-api-key", "content-type", "accept-encoding", "content-length", "anthropic-version"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("egress")) as world:
        yield world


def raw(world: Watched, data: bytes, headers: bytes = b"", path: str = MESSAGES, **more: Any) -> Answer:
    lines = b"authorization: Bearer %b\r\n" % world.key.encode() + headers
    return converse(world.program, request(world.program, data, path=path.encode(), headers=lines, **more))


def only(world: Watched) -> Heard:
    (heard,) = world.vendor.requests
    return heard


@pytest.mark.parametrize(
    "name",
    [
        "claude-../../v1/organizations", "claude-x?beta=true", "claude-x#y", "claude-%2e%2e%2fx", "claude-\\..\\x",
        "claude-x@127.0.0.1:9", "claude-http://127.0.0.1:9/", "claude-;ls", "claude-$(id)", "claude-{0}",
        "claude-'\"--", "claude-<script>", "claude-x:8b", "claude-" + "y" * 193,
    ],
)  # fmt: skip
def test_a_models_name_is_a_word_in_a_body_and_nothing_else(world: Watched, name: str):
    world.vendor.say(whole(message()))
    answer = world.ask(model=name)
    if "@" in name:  # another vendor's form, and none is open that has it
        assert answer.status_code == 404
        return
    assert answer.status_code == 200, answer.text
    heard = only(world)
    assert heard.target == "/v1/messages"
    assert heard.headers["host"] == f"127.0.0.1:{world.vendor.port}"
    assert json.loads(heard.body)["model"] == name


@pytest.mark.parametrize(
    "name",
    [
        "claude-x\r\nx-injected: 1", "claude-x\n", "claude-x\0", "claude-\x1b[2J", "claude-\u202e", "claude-ü",
        "claude-x y", "claude-\U0001f600", "claude-\ufeff", " claude-x", "CLAUDE-X", "claude-" + "y" * 194,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [MESSAGES, CHAT, MESSAGES + "/count_tokens"])
def test_a_name_that_no_model_can_have_goes_nowhere(world: Watched, path: str, name: str):
    world.vendor.say(whole(message()))
    answer = world.ask(path, model=name)
    assert answer.status_code == 404
    assert not world.vendor.requests
    assert "x-injected" not in answer.headers


def test_a_name_as_long_as_a_body_is_not_remembered(world: Watched):
    leader = world.program.process("leader")
    before = leader.memory_info().rss
    for number in range(30):
        name = f"claude-{number}-" + "y" * 8 * 2**20
        assert world.ask(MESSAGES + "/count_tokens", model=name).status_code == 404
    assert leader.memory_info().rss - before < 150 * 2**20


@pytest.mark.parametrize(
    "line",
    [
        "host: evil.example", "x-forwarded-host: evil.example", "x-forwarded-for: 169.254.169.254",
        "forwarded: host=evil.example", "x-api-key: sk-theirs", "x-goog-api-key: theirs",
        "x-goog-user-project: theirs", "x-amz-security-token: theirs", "x-amz-target: theirs",
        "openai-organization: org-theirs", "openai-project: proj_theirs", "openai-beta: assistants=v2",
        "anthropic-organization-id: theirs", "anthropic-workspace-id: wrkspc_theirs", "cookie: session=theirs",
        "proxy-authorization: Basic eDp5", "proxy-connection: keep-alive", "te: trailers", "expect: nothing",
        "x-stainless-helper: x", "user-agent: evil/1", "origin: https://evil.example", "referer: http://evil",
        "accept-encoding: gzip", "accept: text/html", "content-encoding: gzip", "range: bytes=0-1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "via: 1.1 me", "x-request-id: mine",
        "x-http-method-override: DELETE", "x-original-url: /admin", "content-location: /x", "upgrade: h2c",
    ],
)  # fmt: skip
def test_nothing_of_a_clients_head_reaches_a_vendor_but_what_is_the_vendors(world: Watched, line: str):
    world.vendor.say(whole(message()))
    # What another vendor calls its account is nobody's here, and the path is the server's own.
    answer = raw(world, json.dumps(body()).encode(), f"{line}\r\n".encode())
    if not world.vendor.requests:
        assert answer.status in (400, 417), answer
        return
    heard = only(world)
    assert set(heard.headers) == OURS
    assert heard.headers["x-api-key"] == CANARY
    assert heard.headers["host"] == f"127.0.0.1:{world.vendor.port}"
    assert b"heirs" not in heard.head
    assert b"evil" not in heard.head


@pytest.mark.parametrize("size", [100, 8000, 60_000])
def test_the_vendors_own_headers_pass_at_any_length_that_is_let_in(world: Watched, size: int):
    world.vendor.say(whole(message()))
    line = b"anthropic-beta: " + b"b" * size
    answer = raw(world, json.dumps(body()).encode(), line + b"\r\nanthropic-new: x\r\n")
    assert answer.status == 200
    assert line in only(world).head
    assert only(world).headers["anthropic-new"] == "x"


@pytest.mark.parametrize(
    "lines",
    [
        b"transfer-encoding: chunked\r\n", b"content-length: 5\r\n", b"transfer-encoding: identity, chunked\r\n",
        b"anthropic-beta: a\r\n b: c\r\n", b"anthropic-beta: a\rx-injected: 1\r\n", b"anthropic-beta: a\0b\r\n",
        b"anthropic-beta : a\r\n", b"anthropic-beta: a\nx-injected: 1\r\n",
    ],
)  # fmt: skip
def test_what_two_servers_would_read_differently_is_refused(world: Watched, lines: bytes):
    world.vendor.say(whole(message()))
    answer = raw(world, json.dumps(body()).encode(), lines)
    assert answer.status in (0, 400)
    assert not world.vendor.requests


def test_a_body_with_a_request_in_it_is_one_body(world: Watched):
    world.vendor.say(whole(message()))
    inner = "0\r\n\r\nPOST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    data = json.dumps(body(system=inner)).encode()
    assert raw(world, data).status == 200
    assert only(world).body == data


@pytest.mark.parametrize("twice", ["model", "max_tokens", "mod\\u0065l"])
def test_a_body_that_says_a_thing_twice_is_refused(world: Watched, twice: str):
    world.vendor.say(whole(message()))
    data = json.dumps(body()).encode()[:-1] + b',"%b":"claude-opus-4-8"}' % twice.encode()
    assert raw(world, data).status == 400
    assert not world.vendor.requests


def leading(world: Watched) -> dict[str, Any]:
    """Fields that lead somewhere, in one vendor's form or another's."""
    there = world.trap.url
    names = (
        "base_url",
        "api_base",
        "endpoint",
        "callback_url",
        "webhook",
        "file_url",
        "api_key",
        "proxy",
        "host",
    )
    return {
        **dict.fromkeys(names, there),
        "mcp_servers": [{"type": "url", "url": there, "name": "m", "authorization_token": "t"}],
        "extra_headers": {"host": there, "x-api-key": "mine"},
        "extra_body": {"api_base": there},
        "container": "container_1",
        "background": True,
        "store": True,
        "previous_response_id": "resp_1",
        "litellm_params": {"api_base": there},
    }


def test_fields_that_lead_elsewhere_are_the_vendors_to_judge_in_its_own_protocol(world: Watched):
    """Byte for byte, and to it alone: what it does with them is done from its own network, on its own terms."""
    world.vendor.say(whole(message()))
    data = json.dumps(body(**leading(world))).encode()
    assert raw(world, data).status == 200
    assert only(world).body == data
    assert set(only(world).headers) == OURS
    assert not world.trap.requests


def test_in_another_protocol_they_go_no_further(world: Watched):
    world.vendor.say(stream(*events("hello")))
    answer = world.ask(CHAT, **leading(world))
    assert answer.status_code == 200
    assert world.trap.url.encode() not in only(world).body
    assert not leading(world).keys() & json.loads(only(world).body).keys()
    assert "mcp_servers" in answer.headers["x-flock-dropped"]
    assert not world.trap.requests


PLACES = (
    "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "gopher://x/",
    "http://metadata.google.internal/computeMetadata/v1/", "gs://leaders/bucket", "s3://leaders/bucket", "/etc/passwd",
    "ftp://x/", "http://0x7f000001/", "http://localhost:1/", "data:text/html,x", "\\\\server\\share", "TRAP",
)  # fmt: skip


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("path", [CHAT, "/v1/responses", MESSAGES, "/api/chat"])
@pytest.mark.parametrize("model", [CLAUDE, "flock-demo"])
def test_a_picture_that_lies_elsewhere_is_fetched_by_nobody_here(
    world: Watched, model: str, path: str, where: str
):
    world.trap.say(whole(b"a picture", kind=b"image/png"))
    world.vendor.say(whole(message()) if path == MESSAGES else stream(*events("hello")))
    url = world.trap.url + "/a.png" if where == "TRAP" else where
    answer = world.ask(path, model=model, **_picture(path, url))
    assert not world.trap.requests
    assert answer.status_code in (200, 400), answer.text
    if model != CLAUDE:
        assert answer.status_code == 400
    elif answer.status_code == 200:  # it is named to the vendor as it was named by the client
        assert json.dumps(url).encode() in only(world).body or path == "/api/chat"
    for secret in (b"root:", b"a picture"):
        assert secret not in answer.content


def _picture(path: str, url: str) -> dict[str, Any]:
    match path:
        case "/v1/responses":
            parts: list[Any] = [{"type": "input_image", "image_url": url}]
            return {"input": [{"role": "user", "content": parts}], "messages": None}
        case "/api/chat":
            return {"messages": [{"role": "user", "content": "see", "images": [url]}], "stream": False}
        case "/v1/messages":
            parts = [{"type": "image", "source": {"type": "url", "url": url}}]
        case _:
            parts = [{"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": parts}]}
