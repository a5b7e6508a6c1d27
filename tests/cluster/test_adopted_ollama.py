"""A whole program beside an Ollama that runs already: its models are ours while they are there."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import ollama as official
import openai
import pytest

from tests.cluster.program import Program, eventually, running
from tests.ports import free_port
from tests.simulators import ollama
from tests.simulators.ollama import Model

TINY = Model("tiny:latest")
EMBEDDER = Model("small:1b", capabilities=("embedding",), trained=512)
FOLLOWED_S = 15.0


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Program]:
    address = f"http://127.0.0.1:{port}"
    with running(tmp_path_factory.mktemp("program"), FLOCK_OLLAMA_ENDPOINT=address) as started:
        yield started


@pytest.fixture
def engine(program: Program, port: int) -> Iterator[ollama.Ollama]:
    with ollama.running(TINY, EMBEDDER, port=port) as started:
        eventually(lambda: program.model_state("tiny") == "serving", "it is adopted", FOLLOWED_S)
        yield started


def model(program: Program, model_id: str) -> dict[str, Any] | None:
    items = program.get("/admin/v1/models")["items"]
    return next((item for item in items if item["id"] == model_id), None)


def test_its_models_answer_under_their_short_names(program: Program, engine: ollama.Ollama):
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=program.key, max_retries=0) as client:
        assert {"tiny", "small:1b"} <= {it.id for it in client.models.list()}
        words: Any = [{"role": "user", "content": "one two three"}]
        whole = client.chat.completions.create(model="tiny", messages=words)
        assert whole.choices[0].message.content == "Quack from Ollama."
        assert whole.usage is not None
        assert whole.usage.prompt_tokens == 3
        parts = client.chat.completions.create(model="tiny", messages=words, stream=True)
        said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        assert said == "Quack from Ollama."
        row = client.embeddings.create(model="small:1b", input="hi", encoding_format="float").data[0]
        assert row.embedding == [0.25, 0.5]
    shown = model(program, "tiny")
    assert shown is not None
    assert shown["capabilities"] == ["chat", "completion", "tools"]
    (placement,) = shown["placements"]
    assert (placement["engine"], placement["adopted"]) == ("ollama", True)


def test_models_that_are_pulled_appear_and_those_that_are_removed_go(program: Program, engine: ollama.Ollama):
    with official.Client(host=engine.url) as client:
        client.pull("new:latest")
        eventually(lambda: program.model_state("new") == "serving", "it is there", FOLLOWED_S)
        assert program.chat("new").status_code == 200
        client.delete("new:latest")
        eventually(lambda: program.model_state("new") == "absent", "it is gone", FOLLOWED_S)
    assert program.chat("new").status_code == 404


def test_the_context_is_the_one_it_was_loaded_with(program: Program, engine: ollama.Ollama):
    with official.Client(host=engine.url) as client:
        client.generate("tiny", options={"num_ctx": 8192})

    def context() -> int:
        shown = model(program, "tiny")
        return shown["placements"][0]["context_window"] if shown else 0

    eventually(lambda: context() == 8192, "the report tells it", FOLLOWED_S)


def test_an_ollama_that_is_gone_is_named_with_the_command_that_starts_it_and_is_found_again(
    program: Program, port: int
):
    with ExitStack() as first:
        first.enter_context(ollama.running(TINY, port=port))
        eventually(lambda: program.model_state("tiny") == "serving", "it is adopted", FOLLOWED_S)
    eventually(lambda: program.model_state("tiny") == "failed", "it is missed", 2 * FOLLOWED_S)
    refused = program.chat("tiny")
    assert refused.status_code == 503
    error = refused.json()["error"]
    assert error["code"] == "engine_unreachable"
    assert "model load" not in error["message"]  # it is not ours to load
    assert "ollama serve" in error["message"]
    assert str(port) in error["message"]
    with ollama.running(TINY, port=port):
        eventually(lambda: program.model_state("tiny") == "serving", "it is found again", FOLLOWED_S)
        assert program.chat("tiny").json()["choices"][0]["message"]["content"] == "Quack from Ollama."
