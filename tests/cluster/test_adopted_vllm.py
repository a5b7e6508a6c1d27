"""A whole program beside a real vLLM that runs already: `scripts/nightly-vllm`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cluster.program import Program, eventually, running
from tests.cluster.running_engines import vllm
from tests.tiny_models import tiny_folder

pytestmark = [pytest.mark.needs_program("vllm"), pytest.mark.timeout(900)]
WORDS: Any = [{"role": "user", "content": "hi"}]
MODEL = "org/tiny"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm(tmp_path_factory.mktemp("vllm"), tiny_folder(mode="tool"), MODEL, "sesame") as started:
        yield started


@pytest.fixture(scope="module", params=["by name", "by its answers"])
def program(
    tmp_path_factory: pytest.TempPathFactory, url: str, request: pytest.FixtureRequest
) -> Iterator[Program]:
    by_name = {"FLOCK_VLLM_ENDPOINT": url, "VLLM_API_KEY": "sesame"}
    unknown = {"FLOCK_EXTERNAL_ENDPOINTS": url.replace("://", "://:sesame@") + "/v1"}
    folder: Path = tmp_path_factory.mktemp("program")
    with running(folder, **(by_name if request.param == "by name" else unknown)) as started:
        eventually(lambda: MODEL in served(started), "it is adopted")
        yield started


def served(program: Program) -> dict[str, Any]:
    return {item["id"]: item for item in program.get("/admin/v1/models")["items"]}


def test_its_model_calls_a_tool_whole_and_streamed(program: Program):
    (placement,) = served(program)[MODEL]["placements"]
    assert (placement["engine"], placement["context_window"]) == ("vllm", 1024)
    assert served(program)[MODEL]["capabilities"] == ["chat", "completion", "tools"]
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=program.key, max_retries=0) as client:
        whole = client.chat.completions.create(model=MODEL, messages=WORDS, tools=tools)
        calls = whole.choices[0].message.tool_calls or []
        assert len(calls) == 1
        (call,) = calls
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
        parts = list(client.chat.completions.create(model=MODEL, messages=WORDS, tools=tools, stream=True))
        pieces = [call for part in parts if part.choices for call in part.choices[0].delta.tool_calls or ()]
        assert "".join(it.function.arguments or "" for it in pieces if it.function) == '{"city": "Paris"}'


def test_a_key_is_never_shown(program: Program):
    assert "sesame" not in program.said() + program.cli("config", "show").stdout
