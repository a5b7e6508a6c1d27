"""What a client's connection makes of the bytes that come: who is asked, what goes out, and when it ends."""

import hashlib
import inspect
import logging

import pytest
from uvicorn.protocols.http import flow_control, httptools_impl

from controlplane.gateway import door
from tests.unit.controlplane.gateway.wire import Wire, chunked, get, post, statuses

READ = "ea814cf42e50"
"""The beginning of the SHA-256 of the sources of uvicorn that `Connection` was written against."""


def test_what_it_was_built_on_has_been_read() -> None:
    """It uses parts of uvicorn that are not promised to stay.

    When this fails: read what has changed in these two modules, mend `Connection`, and put the new sum here.
    """
    sources = inspect.getsource(httptools_impl) + inspect.getsource(flow_control)
    assert hashlib.sha256(sources.encode()).hexdigest().startswith(READ)


# one request


async def test_a_request_is_whole_however_it_is_cut() -> None:
    sent = post(b"/v1/chat?x=1", b'{"a":1}', b"X-Odd: b")
    for size in (1, 2, 7, len(sent)):
        wire = Wire()
        await wire.send(*(sent[i : i + size] for i in range(0, len(sent), size)))
        (asked,) = wire.plane.started
        assert (asked.method, asked.path, b"".join(asked.parts)) == (b"POST", b"/v1/chat", b'{"a":1}')
        assert asked.named[b"x-odd"] == b"b"


@pytest.mark.parametrize(
    ("sent", "keeps"),
    [
        (post(), True),
        (post(b"/v1/chat", b"hi", b"connection: close"), False),
        (post(version=b"1.0"), False),
        (post(b"/v1/chat", b"hi", b"connection: keep-alive", version=b"1.0"), False),
        (post(version=b"0.9"), False),
        (post(version=b"2.0"), False),
    ],
)
async def test_a_connection_is_kept_when_both_sides_want_it(sent: bytes, keeps: bool) -> None:
    wire = Wire()
    await wire.send(sent)
    wire.plane.started[0].answer(200, b"x-a: b\r\n", b"yes")
    close = b"" if keeps else b"connection: close\r\n"
    head = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 3\r\n%bx-a: b\r\n\r\n" % close
    assert wire.transport.written == head + b"yes"
    assert wire.transport.closed is not keeps


@pytest.mark.parametrize("version", [b"1.0", b"0.9", b"2.0"])
async def test_a_stream_to_an_old_client_has_no_chunks(version: bytes) -> None:
    wire = Wire()
    await wire.send(post(version=version))
    wire.plane.started[0].begin(b"", b"one")
    wire.plane.started[0].end(b"two")
    assert wire.transport.written.endswith(b"connection: close\r\n\r\nonetwo")
    assert wire.transport.closed


async def test_the_answer_to_head_has_no_body() -> None:
    wire = Wire()
    await wire.send(b"HEAD /v1/models HTTP/1.1\r\nhost: a\r\n\r\n")
    wire.plane.started[0].answer(200, b"", b"yes")
    assert wire.transport.written.endswith(b"content-length: 3\r\n\r\n")


async def test_what_is_written_after_the_end_goes_nowhere() -> None:
    wire = Wire()
    await wire.send(post())
    (asked,) = wire.plane.started
    asked.answer(200, b"", b"yes")
    before = wire.transport.written
    asked.end(b"and more")
    asked.answer(500, b"", b"no")
    assert wire.transport.written == before


@pytest.mark.parametrize("url", [b"http://a/v1/chat", b"HTTP://a:80/v1/chat?x", b"http://u:p@[::1]/v1/chat"])
async def test_a_url_with_its_origin_is_the_path_alone(url: bytes) -> None:
    wire = Wire()
    await wire.send(post(url))
    assert wire.plane.started[0].path == b"/v1/chat"


@pytest.mark.parametrize(("url", "path"), [(b"http://a", "/"), (b"http://a/x?b=c", "/x"), (b"*", "*")])
async def test_the_application_hears_the_path_alone_too(url: bytes, path: str) -> None:
    wire = Wire()
    assert statuses(await wire.send(get(url))) == [200]
    assert wire.scopes[0]["path"] == path


async def test_nobody_is_believed_about_whom_a_request_is_from() -> None:
    wire = Wire()
    await wire.send(get(b"/who", b"x-forwarded-for: 127.0.0.1", b"forwarded: for=127.0.0.1"))
    assert wire.scopes[0]["client"] == ("10.0.0.9", 4711)
    await wire.send(post(b"/v1/chat", b"", b"x-forwarded-for: 127.0.0.1"))
    assert wire.plane.started[0].connection.client == ("10.0.0.9", 4711)


@pytest.mark.parametrize("path", [b"/v1/chat", b"/admin"])
@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", b"host: a\r\nx: 1\r\nx: 2\r\n", 200),
        (b"1.1", b"", 400),
        (b"1.1", b"x: 1\r\nx: 2\r\n", 400),
        (b"1.1", b"host: a\r\nhost: a\r\n", 400),
        (b"1.1", b"Host: a\r\nhOST: b\r\n", 400),
        (b"1.0", b"", 200),
        (b"1.0", b"x: 1\r\nx: 2\r\n", 200),
        (b"1.0", b"host: a\r\nhost: b\r\n", 400),
    ],
)
async def test_a_request_names_its_host_once(
    path: bytes, version: bytes, hosts: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire()
    monkeypatch.setattr(wire.plane, "start", lambda asked: asked.answer(200, b"", b""))
    assert statuses(await wire.send(b"POST %b HTTP/%b\r\n%b\r\n" % (path, version, hosts))) == [status]


# several requests


async def test_answers_go_out_in_the_order_of_the_requests() -> None:
    wire = Wire()
    await wire.send(get(b"/one") + post(b"/v1/two") + get(b"/slow") + post(b"/v1/four") + get(b"/five"))
    wire.plane.started[0].begin(b"", b"2a")
    assert wire.transport.written.endswith(b"2\r\n2a\r\n")
    wire.plane.started[0].end(b"2b")
    await wire.settle()
    assert b"/slow" not in wire.transport.written
    assert len(wire.plane.started) == 1
    wire.opened.set()
    await wire.settle()
    wire.plane.started[1].answer(200, b"", b"4444")
    await wire.settle()
    places = [
        wire.transport.written.index(word) for word in (b"/one", b"2a", b"2b", b"/slow", b"4444", b"/five")
    ]
    assert places == sorted(places)
    assert not wire.transport.paused


async def test_a_refused_request_among_others_has_its_turn() -> None:
    wire = Wire()
    await wire.send(post() + post(b"/v1/forbidden") + post(b"/v1/third"))
    wire.plane.started[0].answer(200, b"", b"")
    assert statuses(wire.transport.written) == [200, 403]
    assert [asked.path for asked in wire.plane.started] == [b"/v1/chat", b"/v1/third"]


async def test_nothing_is_served_behind_an_answer_that_ends_the_connection() -> None:
    wire = Wire()
    assert statuses(await wire.send(post(b"/v1/forbidden") + post() + get(b"/x"))) == [403]
    assert len(wire.plane.accepted) == 1
    assert not wire.scopes
    assert wire.transport.closed


async def test_a_refusal_before_the_body_is_whole_ends_the_connection_though_others_wait() -> None:
    wire = Wire()
    await wire.send(post() + post(b"/v1/two", b"hi", b"connection: close") + post(b"/v1/three"))
    wire.plane.started[0].answer(200, b"", b"")
    wire.plane.started[1].answer(200, b"", b"")
    await wire.settle()
    assert len(wire.plane.started) == 2
    assert wire.transport.closed


async def test_rubbish_behind_a_stream_waits_for_its_end() -> None:
    wire = Wire()
    await wire.send(post())
    wire.plane.started[0].begin(b"", b"a")
    assert await wire.send(b"rubbish\r\n\r\n", b"more") == b""
    wire.plane.started[0].end(b"b")
    assert wire.transport.written.endswith(b"1\r\nb\r\n0\r\n\r\n")
    wire.look(door.LINGER_S + 1)
    assert wire.transport.closed


async def test_a_client_is_told_to_go_on_when_it_is_its_turn() -> None:
    wire = Wire()
    await wire.send(post())
    wire.plane.started[0].begin(b"", b"a")
    head, _, body = post(b"/v1/chat", b"hi", b"expect: 100-continue").partition(b"\r\n\r\n")
    assert await wire.send(head + b"\r\n\r\n") == b""
    wire.plane.started[0].end()
    assert wire.transport.written.endswith(b"0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    await wire.send(body)
    assert len(wire.plane.started) == 2


@pytest.mark.parametrize(
    ("path", "version", "told"),
    [
        (b"/v1/chat", b"1.1", b"100"),
        (b"/v1/chat", b"1.0", b""),
        (b"/v1/forbidden", b"1.1", b"403"),
    ],
)
async def test_only_who_may_go_on_is_told_so(path: bytes, version: bytes, told: bytes) -> None:
    wire = Wire()
    head = post(path, b"hi", b"expect: 100-continue", version=version)[:-2]
    assert (await wire.send(head))[9:12] == told


async def test_requests_ahead_are_bounded() -> None:
    wire = Wire()
    await wire.send(post() * 1000)
    assert len(wire.plane.accepted) == door.AHEAD + 1
    assert wire.transport.paused
    for number in range(door.AHEAD + 1):
        wire.plane.started[number].answer(200, b"", b"")
    assert statuses(wire.transport.written) == [200] * (door.AHEAD + 1)
    assert not wire.transport.paused  # what else it sends is thrown away until its answers have reached it
    wire.look(door.LINGER_S + 1)
    assert wire.transport.closed


async def test_nothing_is_read_while_requests_wait() -> None:
    wire = Wire()
    await wire.send(post() * 3)
    wire.plane.started[0].answer(200, b"", b"")
    assert wire.transport.paused
    wire.plane.started[1].answer(200, b"", b"")
    assert not wire.transport.paused


async def test_who_takes_no_answers_is_not_served_further() -> None:
    wire = Wire()
    await wire.send(post() * 3)
    wire.connection.pause_writing()
    wire.plane.started[0].answer(200, b"", b"")
    assert wire.transport.paused
    assert len(wire.plane.started) == 1
    wire.connection.resume_writing()
    assert len(wire.plane.started) == 2
    wire.connection.pause_writing()
    hold = wire.connection.hold
    assert hold is not None
    wire.look(door.STALLED_S + 1)
    assert wire.transport.aborted
    wire.lose()
    assert hold.done()


# ends


async def test_a_client_that_goes_is_noticed_by_all_it_asked() -> None:
    wire = Wire()
    await wire.send(post() + get(b"/x") + post(b"/v1/three"))
    asked = wire.plane.started[0]
    asked.begin(b"", b"a")
    before = wire.transport.written
    wire.lose()
    assert asked.call.cancelled_by == "client"
    asked.write(b"b")
    asked.end(b"c")
    await wire.settle()
    assert wire.transport.written == before
    assert not wire.scopes
    assert len(wire.plane.started) == 1
    assert wire.door.empty.is_set()


async def test_the_application_notices_too_though_other_requests_wait() -> None:
    wire = Wire()
    await wire.send(get(b"/events") + post() + get(b"/x"))
    wire.lose()
    await wire.settle()
    assert wire.ended == ["/events"]
    assert not wire.door.state.tasks


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"", door.IDLE_S),
        (b"POST /v1/chat HTTP/1.1\r\nhost: a\r\nx", door.HEAD_S),
        (get(b"/x"), door.IDLE_S),
        (chunked(b"a"), 5),
        (chunked(b"a", path=b"/echo"), 5 + door.LINGER_S),
        (chunked(b"a", path=b"/deaf"), 5 + door.LINGER_S),
    ],
)
async def test_a_connection_on_which_nothing_comes_ends(sent: bytes, seconds: float) -> None:
    wire = Wire()
    await wire.send(sent) if sent else None
    wire.look(seconds - 0.5)
    assert not wire.transport.closed
    wire.look(seconds + 0.5)
    wire.look(seconds + 0.5 + door.LINGER_S)
    assert wire.transport.closed


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo", b"/deaf"])
async def test_a_body_has_to_be_whole_in_time(path: bytes) -> None:
    wire = Wire()
    await wire.send(chunked(b"a", path=path))
    wire.connection._last += 25  # something came just now
    wire.look(25)
    wire.connection._last -= 25
    wire.look(25 + door.LINGER_S)
    assert wire.transport.closed
    assert (408 in statuses(wire.transport.written)) is (path == b"/v1/chat")


async def test_who_is_not_read_from_cannot_be_late() -> None:
    for rest in (b"POST /v1/chat HTTP/1.1\r\nhost", chunked(b"a")):
        wire = Wire()
        await wire.send(post() + post() + rest)
        wire.look(1000)
        assert not wire.transport.closed
        wire.plane.started[0].answer(200, b"", b"")
        wire.plane.started[1].answer(200, b"", b"")
        assert not wire.transport.paused
        wire.look(3)
        assert statuses(wire.transport.written) == [200, 200]


async def test_a_head_that_stops_behind_a_stream_does_not_end_the_stream() -> None:
    wire = Wire()
    await wire.send(post() + b"POST /v1")
    wire.plane.started[0].begin(b"", b"a")
    wire.look(door.HEAD_S + 1)
    assert not wire.transport.closed
    wire.plane.started[0].end(b"b")
    wire.look(door.HEAD_S + door.LINGER_S + 1)
    assert wire.transport.closed


@pytest.mark.parametrize("line", [b"connection: close", b"x: y"])
async def test_an_answer_that_is_still_being_taken_is_not_cut_off(line: bytes) -> None:
    wire = Wire()
    await wire.send(post(b"/v1/chat", b"hi", line))
    wire.plane.started[0].answer(200, b"", b"a" * 10_000)
    wire.transport.unsent = 5000
    wire.look(100)
    assert not wire.transport.aborted
    wire.look(door.STALLED_S + 1)
    assert wire.transport.aborted


async def test_the_time_to_be_idle_begins_with_the_answer() -> None:
    wire = Wire()
    await wire.send(get(b"/slow"))
    wire.connection._last -= 100
    wire.opened.set()
    await wire.settle()
    wire.look(1)
    assert not wire.transport.closed


async def test_a_shutdown_ends_what_is_idle_and_waits_for_what_is_not() -> None:
    idle, busy = Wire(), Wire()
    await busy.send(post())
    for wire in (idle, busy):
        wire.connection.shutdown()
    assert (idle.transport.closed, busy.transport.closed) == (True, False)
    busy.plane.started[0].answer(200, b"", b"")
    assert busy.transport.closed


@pytest.mark.parametrize(("path", "status"), [(b"/v1/defect", [500]), (b"/v1/defect-later", [])])
async def test_a_defect_of_ours_is_no_mistake_of_the_client(
    path: bytes, status: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    await wire.send(post(path))
    assert statuses(wire.transport.written) == status
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    wire.look(door.LINGER_S + 1)
    assert wire.transport.closed


@pytest.mark.parametrize("url", [b"/\xc3\xa9", b"http://[/"])
async def test_a_url_that_is_none_is_a_mistake_of_the_client(
    url: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    assert statuses(await wire.send(get(url))) == [400]
    assert not caplog.records
