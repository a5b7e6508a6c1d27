"""What a client gets that does not stream is what the engine itself would have answered."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.asking import engine_client
from tests.cluster.program import Program, running
from tests.tiny_models import tiny_model

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module", params=["llamacpp", "embedded"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp(request.param), FLOCK_ENGINE=request.param) as started:
        started.add_model(tiny_model(mode="text"), "text")
        started.add_model(tiny_model(mode="tool"), "tool")
        yield started


def comparable(answer: Any) -> Any:
    """An answer without what differs each time; the prompt tokens are those of any one of several prompts.

    Answers with tools are told anew, in OpenAI's words: there no text is null, and no logprobs are, too.
    """
    for choice in answer["choices"]:
        if choice.get("message", {}).get("tool_calls"):
            choice["message"]["content"] = choice["message"]["content"] or ""
            choice.setdefault("logprobs", None)
        for call in choice.get("message", {}).get("tool_calls", ()):
            del call["id"]
    tokens = answer["usage"]["completion_tokens"]
    return answer["object"], answer["model"], tokens, sorted(answer["choices"], key=lambda c: c["index"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "text", "messages": MESSAGES}),
        (CHAT, {"model": "text", "messages": MESSAGES, "max_tokens": 3, "logprobs": True, "top_logprobs": 1}),
        (CHAT, {"model": "text", "messages": MESSAGES, "n": 2}),
        (CHAT, {"model": "tool", "messages": MESSAGES, "tools": [TOOL]}),
        ("/v1/completions", {"model": "text", "prompt": "hi", "max_tokens": 3}),
        ("/v1/completions", {"model": "text", "prompt": ["hi", "the"], "max_tokens": 3, "logprobs": 1}),
    ],
    ids=["text", "logprobs", "two choices", "tool call", "completion", "two prompts"],
)
def test_a_whole_answer_is_the_engines_own(program: Program, path: str, body: dict[str, Any]):
    with engine_client(program, body["model"]) as engine, program.client() as client:
        engine.post(path, json=body)  # so that both find the same in the prompt cache
        own, ours = engine.post(path, json=body), client.post(path, json=body)
    assert own.status_code == ours.status_code == 200, ours.text
    assert comparable(ours.json()) == comparable(own.json())


def test_a_prompt_that_is_too_long_is_refused_with_the_clients_status(program: Program):
    refused = program.chat("text", "the " * 6000)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["code"] == "context_length_exceeded"
