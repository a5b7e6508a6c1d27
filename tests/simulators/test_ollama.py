"""The simulated Ollama, before its real judge: the official client."""

from collections.abc import Iterator

import ollama as official
import pytest

from tests.simulators import ollama
from tests.simulators.ollama import Model, Ollama

WORDS = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def engine() -> Iterator[Ollama]:
    with ollama.running(Model("tiny:latest"), Model("small:1b", capabilities=("embedding",))) as running:
        yield running


@pytest.fixture
def client(engine: Ollama) -> Iterator[official.Client]:
    with official.Client(host=engine.url) as made:
        yield made


def test_the_official_client_lists_shows_and_talks(client: official.Client):
    assert [model.model for model in client.list().models] == ["tiny:latest", "small:1b"]
    shown = client.show("tiny")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == 131072
    answer = client.chat("tiny", WORDS)
    assert (answer.message.content, answer.done_reason) == ("Quack from Ollama.", "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (3, 3)
    parts = list(client.chat("tiny", WORDS, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Quack from Ollama."
    assert [part.done for part in parts] == [False, False, False, True]
    assert client.generate("tiny", "hi").response == "Quack from Ollama."
    assert client.embed("small:1b", ["a", "b"]).embeddings == [[0.25, 0.5], [0.25, 0.5]]


def test_models_load_with_a_context_and_longer_prompts_are_cut_without_a_word(client: official.Client):
    assert client.ps().models == []
    answer = client.chat("tiny", WORDS, options={"num_ctx": 2})
    assert answer.prompt_eval_count == 2
    (loaded,) = client.ps().models
    assert (loaded.model, loaded.context_length) == ("tiny:latest", 2)
    client.generate("tiny", keep_alive=0)
    assert client.ps().models == []


def test_models_come_and_go(client: official.Client):
    steps = [step.status for step in client.pull("new:latest", stream=True)]
    assert (steps[0], steps[-1]) == ("pulling manifest", "success")
    client.delete("tiny:latest")
    assert [model.model for model in client.list().models] == ["small:1b", "new:latest"]
    with pytest.raises(official.ResponseError, match="model 'tiny' not found") as caught:
        client.chat("tiny", WORDS)
    assert caught.value.status_code == 404
