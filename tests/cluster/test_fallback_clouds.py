"""Chains that lead over clouds, from home and from one to the other, with whole programs at both ends."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.abroad import asked
from tests.cluster.clouds import BEDROCKS_CLAUDE, GEMINI, NOVA, VERTEXS_CLAUDE, Clouds, clouds
from tests.cluster.hopping import CHATS, HOME, Seen
from tests.cluster.surfaces import Surface
from tests.simulators.bedrock import Fault
from tests.simulators.vertex import Fault as VertexFault
from tests.simulators.vertex_answers import Turn

CHAINS = f"""\
chains:
  fake: ["{NOVA}", {GEMINI}]
  "{BEDROCKS_CLAUDE}": "{VERTEXS_CLAUDE}"
  "{VERTEXS_CLAUDE}": fake
"""
FAILS = {"fault": "status", "status": 500}
AWS, GOOGLE = "Quack from Bedrock: two words", "Quack from Vertex."
BUSY = Fault("status", 429, "ThrottlingException", "Too many tokens", times=9)
FORBIDDEN = Fault("status", 403, "AccessDeniedException", "not you", times=9)
NEVER_BEGINS = Fault("exception", after=0, times=9)
GOOGLE_IS_BUSY = (VertexFault(429),) * 9
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
chats = pytest.mark.parametrize("surface", CHATS, ids=lambda surface: surface.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with clouds(tmp_path_factory.mktemp("chains"), fallback=CHAINS) as world:
        yield world


def play(
    world: Clouds, engine: dict[str, Any], aws: Fault | None = None, google: tuple[VertexFault, ...] = ()
) -> None:
    world.stage.play(**{"text": HOME, **engine})
    world.of_bedrock(fault=aws)
    world.of_vertex(*(() if google else (Turn(GOOGLE),)), faults=google)


async def ask(world: Clouds, surface: Surface, **fields: Any) -> Seen:
    return Seen(*await asked(world.stage, surface, **fields))


def answered(seen: Seen, model: str, node: str, text: str) -> None:
    assert seen.answer.status == 200, seen.answer.body
    assert (seen.told.text, seen.told.ended, seen.told.error) == (text, True, "")
    record = seen.record
    assert (record["outcome"], record["model"], record["tokens_source"]) == ("ok", model, "engine")
    assert node in (record["node_id"], "home")
    assert (record["prompt_tokens"], record["completion_tokens"]) == seen.told.usage
    assert (record["cost_usd"] is None) == (node == "home")


@both
@chats
async def test_an_engine_that_fails_gives_way_to_bedrock(world: Clouds, surface: Surface, stream: bool):
    play(world, FAILS)
    seen = await ask(world, surface, stream=stream)
    answered(seen, NOVA, "bedrock", AWS)
    assert seen.hops == ["fake:engine_died", "vendor:bedrock"]
    assert [heard.model for heard in world.bedrock.state.heard] == [NOVA]


@chats
@pytest.mark.parametrize(
    ("fault", "reason", "stream"),
    [
        (BUSY, "overloaded", True),
        (BUSY, "overloaded", False),
        (FORBIDDEN, "vendor_auth", True),
        (FORBIDDEN, "vendor_auth", False),
        (NEVER_BEGINS, "engine_died", True),
    ],
    ids=["busy-stream", "busy-whole", "forbidden-stream", "forbidden-whole", "never-begins"],
)
async def test_bedrock_gives_way_to_vertex(
    world: Clouds, surface: Surface, stream: bool, fault: Fault, reason: str
):
    play(world, FAILS, fault)
    seen = await ask(world, surface, stream=stream)
    answered(seen, GEMINI, "vertex", GOOGLE)
    assert seen.hops == ["fake:engine_died", f"{NOVA}:{reason}", "vendor:vertex"]


@both
@chats
async def test_claude_of_one_cloud_gives_way_to_that_of_the_other(
    world: Clouds, surface: Surface, stream: bool
):
    """In the client's own protocol, too, where the bytes of both pass as they are."""
    play(world, {}, BUSY)
    seen = await ask(world, surface, model=BEDROCKS_CLAUDE, stream=stream)
    answered(seen, VERTEXS_CLAUDE, "vertex", GOOGLE)
    assert seen.hops == [f"{BEDROCKS_CLAUDE}:overloaded", "vendor:vertex"]


@both
@chats
async def test_vertex_gives_way_to_home(world: Clouds, surface: Surface, stream: bool):
    play(world, {}, google=GOOGLE_IS_BUSY)
    seen = await ask(world, surface, model=VERTEXS_CLAUDE, stream=stream)
    answered(seen, "fake", "home", HOME)
    assert seen.hops == [f"{VERTEXS_CLAUDE}:overloaded", "only-replica"]


@both
@chats
async def test_the_last_one_is_told_of_when_nobody_answers(world: Clouds, surface: Surface, stream: bool):
    play(world, FAILS, BUSY, GOOGLE_IS_BUSY)
    seen = await ask(world, surface, stream=stream)
    assert seen.answer.status == surface.busy
    assert "retry-after" in seen.answer.headers
    assert seen.hops == ["fake:engine_died", f"{NOVA}:overloaded", "vendor:vertex"]
    assert (seen.record["outcome"], seen.record["completion_tokens"]) == ("refused", 0)


@both
@chats
async def test_a_call_of_a_tool_comes_from_the_next_one_whole(world: Clouds, surface: Surface, stream: bool):
    play(world, FAILS)
    seen = await ask(world, surface, stream=stream, tools=True)
    assert [json.loads(each) for each in seen.told.arguments] == [{"city": "Zürich", "days": 2}]
    assert seen.hops == ["fake:engine_died", "vendor:bedrock"]
