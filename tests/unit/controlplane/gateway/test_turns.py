"""A turn of the event loop: what it has to say to a client goes out at its end."""

import asyncio

import pytest

from controlplane.gateway.asked import Asked
from controlplane.gateway.door import AT_ONCE
from controlplane.gateway.listener import Listener
from flockpy.clock import SystemClock
from flockpy.http import Outbox
from tests.ports import free_port
from tests.unit.controlplane.gateway.wire import LIMITS, Plane, Wire, get, post, statuses


async def test_what_is_said_in_one_turn_goes_out_at_its_end_in_one_piece() -> None:
    wire = Wire()
    await wire.send(post())
    (asked,) = wire.plane.started
    assert asked.begin(b"a: b\r\n", b"one ") is None
    asked.end(b"two")
    assert wire.transport.pieces == []
    await wire.settle()
    assert len(wire.transport.pieces) == 1
    assert wire.transport.written.endswith(b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_much_is_written_at_once_so_that_a_slow_client_is_known_in_time() -> None:
    wire = Wire()
    await wire.send(post())
    (asked,) = wire.plane.started
    asked.begin(b"a: b\r\n", b"x")
    assert asked.write(b"x" * AT_ONCE) is None
    assert len(wire.transport.pieces) == 1
    wire.connection.pause_writing()
    assert asked.write(b"x") is not None


async def test_nothing_is_said_to_a_client_that_left_in_the_same_turn() -> None:
    wire = Wire()
    await wire.send(post())
    wire.plane.started[0].answer(200, b"", b"late")
    wire.lose()
    await wire.settle()
    assert wire.transport.pieces == []


async def test_half_a_body_and_no_more_is_refused() -> None:
    wire = Wire()
    await wire.send(post()[:-1])
    assert not wire.connection.eof_received()
    wire.transport.close()  # as the event loop does then
    assert statuses(wire.transport.written) == [400]


async def test_what_is_much_is_counted_from_one_turn_to_the_next_no_more() -> None:
    wire = Wire()
    await wire.send(post())
    (asked,) = wire.plane.started
    asked.begin(b"a: b\r\n", b"x" * (AT_ONCE // 2))
    assert wire.transport.pieces == []
    await wire.settle()
    asked.write(b"x" * (AT_ONCE // 2))
    assert len(wire.transport.pieces) == 1
    asked.write(b"x" * (AT_ONCE // 2))  # together with what waits it is much
    assert len(wire.transport.pieces) == 2


async def test_what_is_written_at_once_has_its_record_first() -> None:
    wire = Wire()
    written: list[int] = []
    wire.door.outbox = Outbox(before=lambda: written.append(len(wire.transport.pieces)))
    await wire.send(post())
    wire.plane.started[0].answer(200, b"", b"x" * AT_ONCE)
    assert (written, len(wire.transport.pieces)) == ([0], 1)
    await wire.send(post()[:-1])
    wire.connection.eof_received()
    assert (written, len(wire.transport.pieces)) == ([0, 1], 2)


async def test_the_connection_ends_behind_an_answer_that_was_written_at_once() -> None:
    wire = Wire()
    await wire.send(post(b"/v1/chat", b"hi", b"connection: close"))
    wire.plane.started[0].answer(200, b"", b"x" * AT_ONCE)
    assert wire.transport.closed


async def test_what_is_no_request_is_answered_behind_the_answers_of_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire()
    monkeypatch.setattr(wire.plane, "start", lambda asked: asked.answer(200, b"", b""))
    assert statuses(await wire.send(post() + b"nonsense\r\n\r\n")) == [200, 400]


async def test_an_answer_given_in_the_turn_in_which_the_listener_closes_arrives() -> None:
    closing = asyncio.Event()

    class AtOnce(Plane):
        def start(self, asked: Asked) -> None:
            closing.set()  # wakes who closes before the turn's answers are written
            asked.answer(200, b"", b"there")

    port = free_port()
    listener = Listener(None, AtOnce(), LIMITS, Outbox(before=None), SystemClock())
    await listener.open("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post())
    await closing.wait()
    await listener.close()
    assert (await reader.read()).endswith(b"there")
    writer.close()


async def test_what_is_said_in_the_turn_in_which_a_closing_listener_waits_no_more_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controlplane.gateway.listener.CLOSE_S", 0)
    loop, talking = asyncio.get_running_loop(), asyncio.Event()
    closed, said = False, 0

    def talk(asked: Asked) -> None:
        nonlocal said
        if not closed:
            asked.write(b"x")
            said += 1
            loop.call_soon(talk, asked)  # in each turn, before whatever close() waits for

    class Talker(Plane):
        def start(self, asked: Asked) -> None:
            asked.begin(b"", b"y")
            talk(asked)
            talking.set()

    port = free_port()
    listener = Listener(None, Talker(), LIMITS, Outbox(before=None), SystemClock())
    await listener.open("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post())
    await talking.wait()
    await listener.close()
    closed = True
    assert (await reader.read()).count(b"x") == said > 1
    writer.close()


@pytest.mark.parametrize("sent", [post(), post() + post()[:-1], get(b"/slow")])
async def test_a_client_that_closes_its_side_before_the_answer_hears_that_it_counts_as_gone(
    sent: bytes,
) -> None:
    wire = Wire()
    await wire.send(sent)
    assert not wire.connection.eof_received()
    wire.transport.close()  # as the event loop does then
    assert statuses(wire.transport.written) == [400]
    assert b"keep it open" in wire.transport.written
    wire.connection.connection_lost(None)
    assert [asked.call.cancelled_by for asked in wire.plane.started] == ["client"] * len(wire.plane.started)


async def test_a_stream_whose_client_closes_its_side_just_ends() -> None:
    wire = Wire()
    await wire.send(post())
    (asked,) = wire.plane.started
    asked.begin(b"", b"one")
    before = wire.transport.written
    wire.connection.eof_received()
    wire.connection.connection_lost(None)
    asked.write(b"two")
    assert wire.transport.written == before
    assert asked.call.cancelled_by == "client"


async def test_an_answer_that_is_there_goes_to_a_client_that_closed_its_side() -> None:
    wire = Wire()
    await wire.send(post())
    wire.plane.started[0].answer(200, b"", b"yes")
    wire.connection.eof_received()
    assert statuses(wire.transport.written) == [200]
    assert wire.plane.started[0].call.cancelled_by == ""
