"""A turn of the event loop: what it has to say to a client goes out at its end."""

from controlplane.gateway.door import AT_ONCE
from tests.unit.controlplane.gateway.wire import Wire, post, statuses


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
