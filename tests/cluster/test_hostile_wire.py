"""What a hostile or broken client sends on the wire is answered in OpenAI's shape, and costs the next one nothing."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_http import CHAT, GOOD, Answer, chunked, converse, request

LIMITS = "limits:\n  body_read_seconds: 0.5\n  body_total_seconds: 2\n"
BIG = 100 * 2**20
UPGRADE = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
)
TOKENS = b"/admin/v1/tokens"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("wire")
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "config.yaml").write_text(LIMITS)
    with running(folder) as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.fixture(autouse=True)
def the_next_request_is_served(program: Program) -> Iterator[None]:
    """After whatever a test has sent."""
    yield
    assert program.chat().status_code == 200
    assert "Traceback" not in program.said()


def test_a_body_announced_too_long_is_refused_before_it_is_sent(program: Program) -> None:
    answer = converse(program, request(program, b"", length=BIG))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (413, "request_too_large", "body")
    assert answer.seconds < 0.5


def test_a_length_with_many_zeros_is_its_number(program: Program) -> None:
    padded = request(program).replace(b"content-length: ", b"content-length: " + b"0" * 5000)
    assert converse(program, padded).status == 200


def test_a_body_of_chunks_that_grows_too_long_is_cut_off(program: Program) -> None:
    piece = b"a" * 2**20
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        yield chunked(program)[0] + b'a\r\n{"model":"\r\n'
        while sent < BIG:
            sent += len(piece)
            yield b"%x\r\n%s\r\n" % (len(piece), piece)

    answer = converse(program, parts(), pause=0.002)
    assert sent < BIG
    assert answer.status in (0, 413)  # 0: what it said was lost with the connection that it had to cut
    leader = program.process("leader").memory_info().rss
    assert leader < 600 * 2**20


def test_headers_are_bounded_in_size_and_number(program: Program) -> None:
    long = converse(program, request(program, headers=b"x-long: %s\r\n" % (b"a" * 2**20)))
    many = converse(program, request(program, headers=b"".join(b"x-%d: a\r\n" % i for i in range(2000))))
    assert (long.status, many.status) == (431, 431)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b""], id="a body that is announced and never comes"),
        pytest.param([GOOD[:-5]], id="a body that ends before its announced length"),
    ],
)
def test_a_body_that_stops_arriving_times_out(program: Program, parts: list[bytes]) -> None:
    answer = converse(program, request(program, parts[0], length=len(GOOD)))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (408, "request_timeout", "body")
    assert 0.4 < answer.seconds < 3


def test_chunks_that_stop_time_out(program: Program) -> None:
    answer = converse(program, chunked(program, b'{"model":'))
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert answer.seconds < 3


def test_a_body_that_trickles_times_out_as_a_whole(program: Program) -> None:
    answer = converse(program, chunked(program, *[b" "] * 40), pause=0.2)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert 1.5 < answer.seconds < 5


def test_headers_that_never_end_cost_a_connection_ten_seconds(program: Program) -> None:
    parts = [b"POST %s HTTP/1.1\r\n" % CHAT, *[b"x-a: b\r\n"] * 80]
    answer = converse(program, parts, pause=0.2)
    assert answer.status in (0, 408)
    assert answer.seconds < 14


def test_a_client_that_hangs_up_in_its_body_is_told_so(program: Program) -> None:
    answer = converse(program, request(program, GOOD[:-5], length=len(GOOD)), close=True)
    assert (answer.status, answer.error["param"]) == (400, "body")


def test_a_body_longer_than_announced_is_no_second_request(program: Program) -> None:
    smuggled = request(program, b"", path=b"/admin/v1/tokens", method=b"GET")
    answer = converse(program, request(program, GOOD, length=len(GOOD) - 1) + smuggled)
    assert (answer.status, answer.error["param"]) == (400, "body")
    assert b"200 OK" not in answer.rest


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 3\r\n",
        b"content-length: -1\r\n",
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
    ],
)
def test_two_opinions_about_the_length_are_refused(program: Program, lines: bytes) -> None:
    answer = converse(
        program, request(program, headers=b"authorization: Bearer %s\r\n%s" % (program.key.encode(), lines))
    )
    assert answer.status == 400
    assert b"200 OK" not in answer.rest


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"hello\r\n\r\n", b"\x00" * 100, b"GET\r\n\r\n", b"\r\n" * 50],
)
def test_bytes_that_are_no_request_are_refused_without_an_answer_of_ours(
    program: Program, data: bytes
) -> None:
    answer = converse(program, data, close=True)
    assert answer.status in (0, 400)


def test_http_1_0_is_spoken(program: Program) -> None:
    assert converse(program, request(program, version=b"HTTP/1.0")).status == 200


def test_pipelined_requests_are_answered_in_order(program: Program) -> None:
    last = b"authorization: Bearer %s\r\nconnection: close\r\n" % program.key.encode()
    second = request(program, b"", path=b"/v1/models", method=b"GET", headers=last)
    answer = converse(program, request(program, b"{}") + second, to_the_end=True)
    assert answer.status == 400
    assert answer.rest.startswith(b"HTTP/1.1 200 OK")
    assert b'"flock-demo"' in answer.rest


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE"])
@pytest.mark.parametrize("path", [CHAT, b"/v1/completions", b"/v1/embeddings"])
def test_only_post_infers(program: Program, method: bytes, path: bytes) -> None:
    last = b"authorization: Bearer %s\r\nconnection: close\r\n" % program.key.encode()
    sent = request(program, b"", method=method, path=path, headers=last)
    answer = converse(program, sent, to_the_end=True)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert method == b"HEAD" or answer.error["code"] == "method_not_allowed"


@pytest.mark.parametrize(("method", "path"), [(b"BREW", CHAT), (b"POST", b"http://[")])
def test_what_no_http_request_says_is_refused(program: Program, method: bytes, path: bytes) -> None:
    assert converse(program, request(program, method=method, path=path)).status == 400


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/chat/completions",
        b"/v1/%2e%2e/v1/chat/completions",
        b"/v1/../v1/chat/completions",
        b"/v1/chat/completions%00",
        b"/v1/chat/completions%0d%0ax-evil:%201",
        b"/v1/chat/completions;a=b",
        b"/V1/CHAT/COMPLETIONS",
        b"/%ff%fe",
        b"/admin/v1/../../etc/passwd",
        b"/admin/v1/logs/..%2f..%2fadmin.key",
        b"*",
    ],
)
def test_a_path_that_only_looks_like_one_of_ours_is_none(program: Program, path: bytes) -> None:
    answer = converse(program, request(program, path=path))
    assert answer.status == 404
    assert str(program.data_dir).encode() not in answer.body


@pytest.mark.parametrize("name", [b"%00", b"%ff", b"..%2f..%2fadmin.key", b"a" * 5000, b"%F0%9F%A6%86"])
def test_a_model_of_an_impossible_name_is_not_found(program: Program, name: bytes) -> None:
    answer = converse(program, request(program, b"", path=b"/v1/models/" + name, method=b"GET"))
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert len(answer.body) < 1000


def clients(program: Program) -> int:
    """Connections to the leader's port."""
    connections = program.process("leader").net_connections()
    return sum(c.laddr.port == program.port and c.status != "LISTEN" for c in connections)


def with_key(program: Program, lines: bytes = b"") -> bytes:
    return b"authorization: Bearer %s\r\ncontent-type: application/json\r\n%s" % (program.key.encode(), lines)


@pytest.mark.parametrize(("path", "body"), [(CHAT, GOOD), (TOKENS, b'{"name":"someone"}')])
def test_who_would_rather_speak_http_2_is_served_in_http_1(
    program: Program, path: bytes, body: bytes
) -> None:
    answer = converse(program, request(program, body, path=path, headers=with_key(program, UPGRADE)))
    assert answer.status in (200, 201), answer.body


def admin_body(program: Program, rest: bytes, *, close: bool = False) -> Answer:
    head = b"POST %s HTTP/1.1\r\nhost: localhost:%d\r\n%s\r\n"
    lines = with_key(program, b"transfer-encoding: chunked\r\n")
    return converse(program, head % (TOKENS, program.port, lines) + rest, close=close)


def test_a_body_to_an_admin_route_that_is_framed_wrongly_is_refused(program: Program) -> None:
    answer = admin_body(program, b"zz\r\n")
    assert (answer.status, answer.error["param"]) == (400, "body")


def test_a_body_to_an_admin_route_that_stops_arriving_times_out(program: Program) -> None:
    before = clients(program)
    assert admin_body(program, b'5\r\n{"a"').status == 408
    eventually(lambda: clients(program) <= before, "its connection is closed")


def test_a_client_that_leaves_in_a_body_to_an_admin_route_is_no_failure_of_ours(program: Program) -> None:
    answer = admin_body(program, b'5\r\n{"a"', close=True)
    assert (answer.status, answer.error["param"]) == (400, "body")


def test_who_reads_no_answers_is_not_read_from_either_and_may_leave(program: Program) -> None:
    before, size = clients(program), program.process("leader").memory_info().rss
    one = request(program, b"", path=b"/v1/models", method=b"GET")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(2)
        connection.connect(("127.0.0.1", program.port))
        until = time.monotonic() + 30
        with pytest.raises(
            (TimeoutError, ConnectionError)
        ):  # it stops reading, or has enough of the requests
            while time.monotonic() < until:
                connection.sendall(one)
        assert program.process("leader").memory_info().rss < size + 50 * 2**20
    eventually(lambda: clients(program) <= before, "it was noticed that it has gone")


def test_thousands_of_requests_at_once_are_answered_as_far_as_they_are_let_in(program: Program) -> None:
    one = request(program, b"", path=b"/v1/models", method=b"GET")
    answer = converse(program, one * 2000, to_the_end=True)
    assert 10 < answer.rest.count(b"HTTP/1.1 200 OK") < 200


@pytest.mark.parametrize("hosts", [b"", b"host: a\r\nhost: b\r\n"], ids=["none", "two"])
@pytest.mark.parametrize(("method", "path"), [(b"POST", CHAT), (b"GET", TOKENS)])
def test_a_request_names_its_host_once(program: Program, method: bytes, path: bytes, hosts: bytes) -> None:
    asked = request(program, method=method, path=path)
    answer = converse(program, asked.replace(b"host: localhost:%d\r\n" % program.port, hosts))
    assert (answer.status, answer.error["param"]) == (400, "host")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_closes_its_side_before_the_answer_is_told_so(program: Program, stream: bool) -> None:
    body = GOOD[:-1] + b', "stream": %s}' % (b"true" if stream else b"false")
    answer = converse(program, request(program, body), close=True)
    assert answer.status in (200, 400)  # the answer may have been as quick
    assert answer.status == 200 or "keep it open" in answer.error["message"]
