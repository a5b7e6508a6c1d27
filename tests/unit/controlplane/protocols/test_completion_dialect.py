"""A bare prompt reaches an engine without a template, and what it writes comes back as any other answer."""

import json
from typing import Any

import msgspec
import pytest

from controlplane.protocols.base import Usage
from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.completion_dialect import render_prompt
from controlplane.protocols.ir import Counted, Delta, Request, Stop, Text, TextPart, User
from controlplane.protocols.ollama import OllamaGenerateSurface
from controlplane.protocols.openai_chat import CompletionSurface
from tests.unit.controlplane.protocols.deltas import in_two

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(text: str, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
    return {"choices": [choice], "created": 1, "model": "m", "object": "text_completion", "id": "x", **more}


def test_a_raw_request_of_ollamas_becomes_a_completion() -> None:
    options = {"num_predict": 5, "temperature": 0.5, "top_k": 3, "stop": ["<|end|>"], "seed": 7}
    asked = {"model": "m", "prompt": "<|fim_prefix|>a", "raw": True, "options": options}
    request = OllamaGenerateSurface().request(json.dumps(asked).encode())
    body = render_prompt(request, model="theirs", stream=True)
    assert json.loads(body) == {
        "model": "theirs",
        "prompt": "<|fim_prefix|>a",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "temperature": 0.5,
        "top_k": 3,
        "seed": 7,
        "stop": ["<|end|>"],
    }
    assert CompletionSurface().parse(body).max_tokens == 5


def test_what_was_not_said_is_not_sent() -> None:
    body = render_prompt(Request("m", (User((TextPart("a"),)),), raw=True), model="m", stream=False)
    assert json.loads(body) == {"model": "m", "prompt": "a", "stream": False}


def test_a_streamed_completion_is_read_wherever_it_is_cut() -> None:
    events = [chunk("a"), chunk("b"), chunk("", "length"), {**chunk(""), "choices": [], "usage": USAGE}]
    stream = (
        b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    )
    whole: list[Delta] = [Text("a"), Text("b"), Stop("length"), Counted(Usage(3, 2))]
    for first, second in in_two(stream):
        decoder = ChatDecoder()
        assert [*decoder.feed(first), *decoder.feed(second), *decoder.end()] == whole


@pytest.mark.parametrize(("said", "reason"), [("stop", "stop"), ("length", "length")])
def test_a_whole_completion_is_read(said: str, reason: Any) -> None:
    body = json.dumps(chunk("ab", said, usage=USAGE)).encode()
    assert ChatDecoder().whole(body) == [Text("ab"), Stop(reason), Counted(Usage(3, 2))]
