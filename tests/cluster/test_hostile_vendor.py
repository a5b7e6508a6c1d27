"""Whatever a vendor answers, its client hears of it in good form, nobody is led elsewhere, and no key comes back."""

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.cluster.raw_http import converse, request
from tests.cluster.raw_messages import events, failure, message, stream
from tests.cluster.raw_vendor import STREAM, chunk, whole
from tests.cluster.watched import CANARY, CHAT, MESSAGES, Watched, body, forms, watched

both = pytest.mark.parametrize("path", [MESSAGES, CHAT], ids=["native", "translated"])
streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("hostile")) as world:
        yield world


def said_by_leader(world: Watched) -> bytes:
    program = world.program
    parts = [program.log.read_bytes(), program.cli("config", "show").stdout.encode()]
    with program.client() as client:
        for path in ("usage/recent", "requests", "config", "audit/recent", "status"):
            parts.append(client.get(f"/admin/v1/{path}").content)
        parts.append(client.get("/metrics").content)
    return b"\n".join(parts)


@both
@streamed
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 520])
def test_a_key_that_an_error_repeats_is_cut_out(world: Watched, path: str, streams: bool, status: int):
    said = failure(f"do not use {CANARY} here, {CANARY}")
    world.vendor.say(whole(said, status=status, headers=b"anthropic-note: %b\r\n" % CANARY.encode()))
    answer = world.ask(path, stream=streams)
    assert answer.status_code >= 400
    assert not any(form in answer.content for form in forms(CANARY))
    assert CANARY not in str(answer.headers)
    why = json.dumps(world.program.get(f"/admin/v1/requests/{answer.headers['x-request-id']}"))
    assert not any(form.decode() in why for form in forms(CANARY))


@both
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_key_that_a_stream_repeats_is_cut_out(world: Watched, path: str, cut: int):
    said = b"".join(events("one ", f"key {CANARY}!", " two"))
    world.vendor.say(stream(*(said[at : at + cut] for at in range(0, len(said), cut))))
    answer = world.ask(path, stream=True)
    assert answer.status_code == 200
    assert not any(form in answer.content for form in forms(CANARY))
    assert b"key ***!" in answer.content
    assert b" two" in answer.content


@both
def test_a_key_that_a_whole_answer_repeats_is_cut_out(world: Watched, path: str):
    if path == MESSAGES:
        world.vendor.say(whole(message(f"key {CANARY}!")))
    else:
        world.vendor.say(stream(*events(f"key {CANARY}!")))
    answer = world.ask(path)
    assert answer.status_code == 200
    assert not any(form in answer.content for form in forms(CANARY))
    assert b"key ***!" in answer.content


@pytest.mark.parametrize(("path", "streams"), [(MESSAGES, True), (CHAT, True), (CHAT, False)])
def test_a_key_that_an_error_within_a_stream_repeats_is_cut_out(world: Watched, path: str, streams: bool):
    broken = b"event: error\ndata: %b\n\n" % failure(f"no {CANARY}", "overloaded_error")
    world.vendor.say(stream(*events("one")[:3], broken))
    answer = world.ask(path, stream=streams)
    assert not any(form in answer.content for form in forms(CANARY))
    assert b"***" in answer.content


@both
@streamed
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_follows_where_a_vendor_points(world: Watched, path: str, streams: bool, status: int):
    world.trap.say(whole(message()))
    there = f"location: {world.trap.url}/v1/messages\r\n".encode()
    world.vendor.say(whole(b"", status=status, headers=there))
    answer = world.ask(path, stream=streams)
    assert answer.status_code in (502, 529)
    assert not world.trap.requests
    assert "location" not in answer.headers
    assert world.trap.url not in answer.text


@both
@streamed
@pytest.mark.parametrize("status", [201, 202, 203, 204, 206])
def test_only_200_is_an_answer(world: Watched, path: str, streams: bool, status: int):
    said = b"" if status == 204 else message()
    world.vendor.say(whole(said, status=status) if said else b"HTTP/1.1 204 No Content\r\n\r\n")
    assert world.ask(path, stream=streams).status_code in (502, 529)


@both
@streamed
def test_a_page_to_sign_in_on_is_no_answer(world: Watched, path: str, streams: bool):
    world.vendor.say(whole(b"<html><script>alert(1)</script>", kind=b"text/html; charset=utf-8"))
    answer = world.ask(path, stream=streams)
    assert answer.status_code in (502, 529)
    assert "script" not in answer.text
    assert "text/html" in answer.text
    assert answer.headers["content-type"].startswith("application/json")


@streamed
@pytest.mark.parametrize("status", [418, 499, 520, 524, 530, 599])
def test_a_status_that_no_standard_knows_passes(world: Watched, streams: bool, status: int):
    world.vendor.say(whole(failure("what is this"), status=status))
    answer = world.ask(stream=streams)
    assert (answer.status_code, answer.content) == (status, failure("what is this"))


def test_a_status_that_is_none_is_a_broken_answer(world: Watched):
    for status in (600, 999):
        world.vendor.say(whole(b"{}", status=status))
        assert world.ask().status_code in (502, 529)


@both
@streamed
@pytest.mark.parametrize("status", [200, 400, 529])
def test_what_is_packed_though_nobody_asked_is_not_unpacked(
    world: Watched, path: str, streams: bool, status: int
):
    bomb = gzip.compress(b" " * 10**7)
    world.vendor.say(whole(bomb, status=status, headers=b"content-encoding: gzip\r\n"))
    answer = world.ask(path, stream=streams)
    assert world.vendor.requests[0].headers["accept-encoding"] == "identity"
    assert answer.status_code >= 400
    assert answer.json()["error"]["message"]
    assert bomb[:20] not in answer.content


@pytest.mark.parametrize(
    "line",
    [
        b"anthropic-a: b\r\n x-injected: 1",
        b"anthropic-a: b\rx-injected: 1",
        b"anthropic-a: b\nx-injected: 1",
        b"anthropic-a: b\0x-injected: 1",
        b"anthropic-\rx-injected: 1",
        b"anthropic-a: \xe2\x80\xa8x-injected: 1",
        b"content-type: application/json\rx-injected: 1",
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_header_line_makes_no_other(world: Watched, line: bytes, status: int):
    world.vendor.say(whole(message(), status=status, headers=line + b"\r\n"))
    asked = json.dumps(body()).encode()
    headers = b"authorization: Bearer %b\r\n" % world.key.encode()
    answer = converse(world.program, request(world.program, asked, path=MESSAGES.encode(), headers=headers))
    assert answer.status in (status, 529)
    assert "x-injected" not in answer.headers
    assert not any(name.strip() != name or "\r" in value for name, value in answer.headers.items())


def test_what_belongs_to_a_connection_or_an_account_stays_where_it_is(world: Watched):
    lines = (
        "set-cookie: a=b", "connection: close", "keep-alive: 9", "via: x", "server: theirs", "x-flock-node: me",
        "x-request-id: theirs", "access-control-allow-origin: *", "anthropic-organization-id: org",
        "anthropic-workspace-id: w", "openai-project: p", "strict-transport-security: max-age=1",
        "alt-svc: h3", "location: /", "www-authenticate: Basic", "content-disposition: attachment",
    )  # fmt: skip
    world.vendor.say(whole(message(), headers="".join(f"{line}\r\n" for line in lines).encode()))
    headers = world.ask().headers
    assert headers["x-flock-node"] == "anthropic"
    assert headers["x-request-id"] != "theirs"
    named = {line.partition(":")[0] for line in lines} - {"x-flock-node", "x-request-id", "connection"}
    assert named.isdisjoint(headers)


def test_no_more_headers_than_a_client_can_take(world: Watched):
    many = b"".join(b"anthropic-%d: %b\r\n" % (number, b"x" * 500) for number in range(100))
    world.vendor.say(whole(message(), headers=many))
    answer = world.ask()
    assert answer.status_code == 200
    assert len(str(answer.headers)) < 10_000
    world.vendor.say(whole(message(), headers=many * 2))
    assert world.ask().status_code == 529


@both
@streamed
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        STREAM + b"zz\r\nhello\r\n0\r\n\r\n",
        STREAM + b"ffffffffffffffffff\r\n",
        STREAM + chunk(b"data: {}\n\n"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{",
    ],
    ids=range(11),
)
def test_what_is_no_http_is_no_answer(world: Watched, path: str, streams: bool, said: bytes):
    world.vendor.say(said)
    answer = world.ask(path, stream=streams)
    if answer.status_code == 200:  # what had begun well ends with an error
        assert b"error" in answer.content
    else:
        assert answer.status_code in (502, 503, 529)


@both
@streamed
def test_an_error_without_end_is_told_by_its_status(world: Watched, path: str, streams: bool):
    head = b"HTTP/1.1 429 Slow\r\ncontent-type: application/json\r\nretry-after: 9\r\n\r\n"
    world.vendor.say_for_ever(head, b"x" * 65536)
    answer = world.ask(path, stream=streams)
    assert answer.status_code == (529 if path == MESSAGES else 503)
    assert answer.headers["retry-after"] == "9"
    assert len(answer.content) < 1000


def test_an_error_that_drips_is_told_by_its_status(world: Watched):
    head = b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    world.vendor.say(head, *(part for _ in range(100) for part in (b"x", 1.0)))
    answer = world.ask()
    assert answer.status_code == 400
    assert answer.elapsed.total_seconds() < 20


@both
def test_an_event_without_end_fills_no_memory(world: Watched, path: str):
    leader = world.program.process("leader")
    before = leader.memory_info().rss
    world.vendor.say_for_ever(STREAM, chunk(b"x" * 65536))
    answer = world.ask(path, stream=True)
    assert answer.status_code == 502
    assert leader.memory_info().rss - before < 300 * 2**20


def test_after_all_that_the_key_is_nowhere(world: Watched):
    world.vendor.say(whole(message()))
    assert world.ask().status_code == 200
    assert world.vendor.requests[0].headers["x-api-key"] == CANARY
    said = said_by_leader(world)
    assert not any(form in said for form in forms(CANARY))
    assert b"Traceback" not in said
    assert b"failed; its log" not in said
