"""Anthropic's models on Vertex AI, asked in their own protocol: what must be put otherwise there, and no more."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from controlplane.egress.base import Vendor
from controlplane.egress.vertex import Vertex
from controlplane.protocols.ir import fold
from flockpy.errors import BadRequest
from tests.simulators.vertex import LOCATION, PROJECT, running
from tests.simulators.vertex import Vertex as Simulator
from tests.unit.controlplane.egress.vertex_asked import CLAUDE, GEMINI, HI, Tokens, asked, native, send

BODY: Mapping[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def vertex(cloud: Simulator) -> Vendor:
    return Vertex(PROJECT, LOCATION, Tokens(), base_url=cloud.url)


@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_passed_on_without_the_model_and_with_the_version(
    vertex: Vertex, cloud: Simulator, stream: bool
):
    sent = {**BODY, "metadata": {"user_id": "u"}, "stream": stream}
    assert fold(await send(vertex, native(sent))).text == "Quack from Vertex."
    (heard,) = cloud.state.heard
    assert heard.body == sent | {"anthropic_version": "vertex-2023-10-16"}
    method = "streamRawPredict" if stream else "rawPredict"
    assert heard.path == (
        f"/v1/projects/{PROJECT}/locations/{LOCATION}/publishers/anthropic/models/{CLAUDE}:{method}"
    )


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (b"2023-06-01", "vertex-2023-10-16"),
        (b"2026-10-21", "2026-10-21"),
        (b"nonsense", "vertex-2023-10-16"),
    ],
)
async def test_the_version_is_the_clients(vertex: Vertex, cloud: Simulator, asked: bytes, sent: str):
    await send(vertex, native({**BODY}, (b"anthropic-version", asked)))
    assert cloud.state.heard[0].body["anthropic_version"] == sent


async def test_only_betas_that_are_offered_there_are_asked_for(vertex: Vertex, cloud: Simulator):
    betas = b"claude-code-20250219, interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20"
    more = (b"anthropic-beta", b"tool-search-tool-2025-10-19,effort-2025-11-24")
    await send(vertex, native({**BODY}, (b"anthropic-beta", betas), more, (b"user-agent", b"me")))
    headers = cloud.state.heard[0].headers
    assert headers["anthropic-beta"] == "interleaved-thinking-2025-05-14,tool-search-tool-2025-10-19"
    posting = await vertex.posting(native({**BODY}, (b"anthropic-beta", b"unknown")))
    assert [name for name, _ in posting.headers] == [b"authorization", b"content-type"]


async def test_a_name_as_anthropic_itself_writes_it_is_understood(vertex: Vertex, cloud: Simulator):
    await send(vertex, native({**BODY}, model="claude-sonnet-4-5-20250929"))
    assert cloud.state.heard[0].path.endswith("/claude-sonnet-4-5@20250929:rawPredict")


async def test_a_bound_is_set_where_the_client_set_none(vertex: Vertex, cloud: Simulator):
    await send(vertex, native({"messages": BODY["messages"]}, max_tokens=3))
    assert cloud.state.heard[0].body["max_tokens"] == 3


async def test_a_prompt_is_counted(vertex: Vertex):
    posting = await vertex.counting(native({"messages": BODY["messages"]}))
    assert posting is not None
    headers = [(name.decode(), value.decode()) for name, value in posting.headers]
    async with httpx.AsyncClient() as client:
        answer = await client.post(posting.url, headers=headers, content=posting.body)
    assert answer.json()["input_tokens"] > 0
    assert await vertex.counting(native({**BODY}, model=GEMINI)) is None
    assert await vertex.counting(asked(HI, model=CLAUDE)) is None


async def test_what_anthropics_models_refuse_is_told_in_their_words(vertex: Vertex):
    with pytest.raises(BadRequest, match="Google Vertex AI answered: future: Extra inputs are not permitted"):
        await send(
            vertex, native({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "future": 1})
        )
