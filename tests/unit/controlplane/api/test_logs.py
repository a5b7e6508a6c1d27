"""Following a log is tried over a real connection: the in-memory client would wait for the end of the stream."""

import asyncio
import json

import httpx

from controlplane.cluster.events import ModelInstalled
from tests.unit.controlplane.api.conftest import World
from tests.unit.controlplane.builders import model


async def test_the_last_lines_of_an_engines_log_are_shown_without_keys(world: World):
    await world.join_as_leader()
    world.services.cluster.apply(ModelInstalled(model()))
    path = world.services.settings.data.engine_log("m")
    assert (await world.get("/logs", model="m")).json()["items"] == []
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\nkey sk-orc-abcdefghijkl\nunfinished")
    shown = (await world.get("/logs", model="m", lines=2)).json()["items"]
    assert [line["line"] for line in shown] == ["two", "key sk-orc-abcd…"]
    assert (await world.get("/logs", model="other")).status_code == 404
    assert (await world.get("/logs", node="n_none")).status_code == 404


async def test_a_log_is_followed_line_by_line_and_across_its_replacement(world: World, url: str):
    await world.join_as_leader()
    world.services.cluster.apply(ModelInstalled(model()))
    path = world.services.settings.data.engine_log("m")
    path.parent.mkdir(parents=True)
    path.write_text("one\n")
    query = {"model": "m", "follow": "true"}
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient(headers=world.as_admin()) as client,
        client.stream("GET", f"{url}/admin/v1/logs", params=query) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (
            json.loads(line.removeprefix("data: "))["line"]
            async for line in answer.aiter_lines()
            if line.startswith("data: ")
        )
        assert await anext(lines) == "one"
        with path.open("a") as file:
            file.write("two\n")
        assert await anext(lines) == "two"
        path.unlink()
        path.write_text("three\n")
        assert await anext(lines) == "three"
