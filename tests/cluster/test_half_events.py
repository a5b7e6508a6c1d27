"""An engine that stops within an event: yet what its client has of it is whole, and says the error."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import openai
import pytest

from tests.cluster.program import Program, eventually, running
from tests.simulators.strict_engine import MODEL, Fault, Script, StrictEngine, strict_engine

ASK = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "say something long enough to be cut"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
"""Nothing is taken out of such a stream."""


@dataclass(frozen=True)
class World:
    program: Program
    engine: StrictEngine
    key: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("half")
    with strict_engine() as engine, running(folder, FLOCK_EXTERNAL_ENDPOINTS=engine.url) as program:
        eventually(lambda: program.model_state(MODEL) == "serving", "the engine is adopted")
        yield World(program, engine, program.create_key("ann"))


@pytest.mark.parametrize("cut", [3, 6, 20, 60, 90, 120, 140, 150, 160])
def test_the_sdk_raises_the_gateways_error_wherever_a_chunk_is_cut(world: World, cut: int):
    world.engine.play(Script(fault=Fault("half", after=2, bytes=cut)))
    url = f"{world.program.url}/v1"
    with openai.OpenAI(base_url=url, api_key=world.key, max_retries=0) as client:
        stream = client.chat.completions.create(**ASK)
        with pytest.raises(openai.APIError, match="broke off") as raised:
            list(stream)
    assert raised.value.code == "engine_died"


def test_nothing_is_said_within_an_event_while_its_engine_is_silent(world: World):
    world.engine.play(Script(fault=Fault("half", after=2, bytes=60, pause_s=12)))
    with world.program.client(world.key) as client:
        answer: httpx.Response = client.post("/v1/chat/completions", json=ASK, timeout=60)
    *events, last = [event for event in answer.text.split("\n\n") if event]
    assert last.startswith('data: {"error":')
    assert all(event.startswith("data: {") and event.count("data: ") == 1 for event in events)
