"""Owning engines, on virtual time and in a world of data: starts, restarts, hangs, stops, and finding them again."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.http import Answer
from agent.lifecycle import RESTART_DELAYS_S
from agent.rack import Rack
from agent.records import Record, Records
from flockpy.errors import BadRequest
from flockpy.paths import DataDir
from flockpy.placement import Draining, EngineOptions, Failed, PlacementSpec, Ready, Starting, Status
from flockpy.wire import DesiredState
from tests import virtual_time
from tests.unit.agent.world import World, launcher, spec

Test = Callable[[Rack, World], Awaitable[None]]


@asynccontextmanager
async def running(world: World, root: Path) -> AsyncIterator[Rack]:
    """A rack at work; at the end it is abandoned, as by an agent that is killed."""
    for process in world.living:
        process.gone = asyncio.Event()  # those of an earlier loop belong to that loop
    rack = Rack(launcher(world, root), world, virtual_time.VirtualClock(), lambda: None)
    task = asyncio.ensure_future(rack.run())
    await asyncio.sleep(0)
    try:
        yield rack
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and task.exception():
            raise task.exception() or RuntimeError


def want(*specs: PlacementSpec, generation: int = 1) -> DesiredState:
    return DesiredState("epoch", generation, specs)


def play(root: Path, test: Test, world: World | None = None, desired: DesiredState | None = None) -> World:
    """Run `test` with a rack that is told to run one placement."""
    world = world or World()

    async def main() -> None:
        async with running(world, root) as rack:
            rack.apply(want(spec()) if desired is None else desired)
            await test(rack, world)

    virtual_time.run(main)
    return world


async def until(rack: Rack, kind: type[Status], limit_s: float = 300.0) -> Status:
    """The status of the one placement, once it is of that kind."""
    async with asyncio.timeout(limit_s):
        while not (reports := rack.reports()) or not isinstance(reports[0].status, kind):
            await asyncio.sleep(0.05)
    return reports[0].status


def test_an_engine_is_started_and_ready(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        status = await until(rack, Ready)
        assert isinstance(status, Ready)
        assert (status.slots, status.context_window) == (2, 4096)
        assert status.endpoint.url == "http://127.0.0.1:20000"
        assert status.endpoint.key
        (report,) = rack.reports()
        assert (report.engine, report.pid, report.memory_bytes) == ("fake", 1000, 1000)

    play(tmp_path, test)


def test_a_crash_is_answered_by_a_start_on_another_port(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        first = await until(rack, Ready)
        world.living[0].end(-signal.SIGSEGV)
        failed = await until(rack, Failed)
        assert failed == Failed("the engine was ended by SIGSEGV while serving", 1, pytest.approx(1, abs=0.1))  # type: ignore[arg-type]
        second = await until(rack, Ready)
        assert isinstance(first, Ready)
        assert isinstance(second, Ready)
        assert first.endpoint != second.endpoint
        assert len(world.living) == 1

    play(tmp_path, test)


def test_an_engine_that_never_loads_is_given_up(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        async with asyncio.timeout(60):
            while True:
                status = await until(rack, Failed)
                assert isinstance(status, Failed)
                if status.retry_in_s is None:
                    break
                await asyncio.sleep(0.5)
        assert status.reason == "the engine exited with status 7 while loading"
        assert status.attempts == len(RESTART_DELAYS_S) + 1
        await asyncio.sleep(3600)
        assert len(world.processes) == status.attempts

    play(tmp_path, test, World(born_dead=7))


def test_a_hung_engine_is_killed_and_started_again(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        hung = world.living[0]
        hung.answering, hung.stubborn = False, True
        began = asyncio.get_running_loop().time()
        failed = await until(rack, Failed)
        assert isinstance(failed, Failed)
        assert "has not answered" in failed.reason
        assert 15 <= asyncio.get_running_loop().time() - began <= 25
        await until(rack, Ready)
        assert hung.signals[:3] == [signal.SIGTERM, signal.SIGCONT, signal.SIGKILL]
        assert len(world.living) == 1

    play(tmp_path, test)


def test_an_engine_that_computes_in_silence_is_left_alone(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        busy = world.living[0]
        busy.answering = False
        for _ in range(600):
            busy.cpu_s += 1.0
            await asyncio.sleep(1)
        assert world.living == [busy]
        assert not busy.signals

    play(tmp_path, test)


def test_loading_may_take_long_while_it_answers_that_it_loads(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await asyncio.sleep(1800)
        await until(rack, Starting)
        world.answer = Answer(200, b'{"default_generation_settings":{"n_ctx":1},"total_slots":1}')
        await until(rack, Ready)
        assert len(world.processes) == 1

    play(tmp_path, test, World(answer=Answer(503, b"{}")))


def test_somebody_else_on_the_port_is_no_engine(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        failed = await until(rack, Failed)
        assert isinstance(failed, Failed)
        assert "another server listens on the port" in failed.reason
        world.answer = Answer(200, b'{"default_generation_settings":{"n_ctx":1},"total_slots":1}')
        await until(rack, Ready)
        assert len(world.living) == 1

    play(tmp_path, test, World(answer=Answer(401, b"{}")))


def test_what_is_not_wanted_any_more_is_stopped(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        world.living[0].stubborn = True
        rack.apply(want(generation=2))
        await until(rack, Draining)
        async with asyncio.timeout(30):
            while rack.reports():
                await asyncio.sleep(0.1)
        assert not world.living
        assert not Records(DataDir(tmp_path)).load()

    play(tmp_path, test)


def test_a_changed_specification_replaces_the_engine(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        changed = msgspec.structs.replace(spec(), options=EngineOptions(slots=1))
        rack.apply(want(changed, generation=2))
        await asyncio.sleep(30)
        await until(rack, Ready)
        assert len(world.processes) == 2
        assert len(world.living) == 1
        (record,) = Records(DataDir(tmp_path)).load()
        assert record.spec == changed

    play(tmp_path, test)


def test_wanting_it_again_while_it_stops_starts_it_anew(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        world.living[0].stubborn = True
        rack.apply(want(generation=2))
        await asyncio.sleep(1)
        rack.apply(want(spec(), generation=3))
        await asyncio.sleep(30)
        await until(rack, Ready)
        assert len(world.processes) == 2

    play(tmp_path, test)


def test_a_placement_with_no_engine_fails_with_the_reason(tmp_path: Path):
    async def test(rack: Rack, world: World) -> None:
        failed = await until(rack, Failed)
        assert failed == Failed("this machine has no engine called 'vllm'", 1)
        assert not world.processes

    play(tmp_path, test, desired=want(msgspec.structs.replace(spec(), engine="vllm")))


def test_a_damaged_model_is_not_tried_twice(tmp_path: Path):
    async def damaged(path: str) -> None:
        raise BadRequest("m.gguf is not a usable GGUF file: it has only 0 bytes")

    async def main() -> None:
        world = World()
        made = launcher(world, tmp_path)
        made.inspect = damaged
        rack = Rack(made, world, virtual_time.VirtualClock(), lambda: None)
        task = asyncio.ensure_future(rack.run())
        rack.apply(want(spec()))
        failed = await until(rack, Failed)
        assert failed == Failed("m.gguf is not a usable GGUF file: it has only 0 bytes", 1)
        rack.stop()
        await task

    virtual_time.run(main)


def test_the_next_agent_finds_the_engine_again(tmp_path: Path):
    async def first(rack: Rack, world: World) -> None:
        await until(rack, Ready)

    async def second(rack: Rack, world: World) -> None:
        await until(rack, Ready)
        await asyncio.sleep(600)
        assert len(world.processes) == 1

    world = play(tmp_path, first)
    assert len(world.living) == 1
    play(tmp_path, second, world)
    assert world.living[0].signals == []


def test_without_orders_what_is_found_goes_on(tmp_path: Path):
    async def first(rack: Rack, world: World) -> None:
        await until(rack, Ready)

    world = play(tmp_path, first)

    async def main() -> None:
        async with running(world, tmp_path) as rack:
            await until(rack, Ready)
            await asyncio.sleep(3600)
            assert len(world.living) == 1

    virtual_time.run(main)


def test_an_engine_found_hung_is_replaced(tmp_path: Path):
    async def first(rack: Rack, world: World) -> None:
        await until(rack, Ready)

    async def second(rack: Rack, world: World) -> None:
        await until(rack, Failed, 40)
        await until(rack, Ready)
        assert [process.answering for process in world.living] == [True]

    world = play(tmp_path, first)
    world.living[0].answering = False
    play(tmp_path, second, world)


def test_engines_without_a_record_are_ended_and_records_without_one_dropped(tmp_path: Path):
    async def first(rack: Rack, world: World) -> None:
        await until(rack, Ready)

    world = play(tmp_path, first)
    records = Records(DataDir(tmp_path))
    records.remove("p_1")
    records.save(Record("never-started", spec("p_2"), "fake", 1, "k"))

    async def main() -> None:
        async with running(world, tmp_path) as rack:
            await asyncio.sleep(30)
            assert rack.reports() == ()

    virtual_time.run(main)
    assert not world.living
    assert not records.load()


def test_stopping_ends_every_engine_and_starts_none(tmp_path: Path):
    async def main() -> None:
        world = World()
        rack = Rack(launcher(world, tmp_path), world, virtual_time.VirtualClock(), lambda: None)
        task = asyncio.ensure_future(rack.run())
        await asyncio.sleep(0)
        rack.apply(want(spec("p_1", "a"), spec("p_2", "b")))
        async with asyncio.timeout(10):
            while len(world.living) < 2:
                await asyncio.sleep(0.1)
        world.living[0].stubborn = True
        rack.stop()
        rack.apply(want(spec("p_3", "c"), generation=2))
        async with asyncio.timeout(30):
            await task
        assert not world.living
        assert len(world.processes) == 2

    virtual_time.run(main)
