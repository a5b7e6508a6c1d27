"""Other protocols' clients are served by OpenAI: posted for real, read, and told anew."""

import json
from typing import Any

import pytest

from controlplane.egress.base import Vendor
from controlplane.egress.openai import OpenAI
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import Failure, Meta, Reasoning, fold
from controlplane.protocols.ollama import OllamaChatSurface
from flockpy.errors import EngineDied, Overloaded
from tests.simulators.openai_vendor import OpenAiVendor
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import KEY, Fault
from tests.unit.controlplane.egress.asking import deltas, posting, sent, translated

META = Meta("9f", "m", 1760000000)
CALLED = Turn("I look.", (Call("ls", '{"path": "a"}'), Call("ls", '{"path": "b"}')))
TOOL: Any = {"name": "ls", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}


def vendor(cloud: OpenAiVendor) -> Vendor:
    return OpenAI(KEY, cloud.url)


def test_messages_run_a_loop_of_tools_whose_reasoning_goes_back_encrypted(cloud: OpenAiVendor):
    cloud.script(reasoning="I should look.", turn=CALLED, split=3, cache_read=4)
    surface, cloudy = MessagesSurface(), vendor(cloud)
    body: Any = {
        "model": "claude-opus-4-8",
        "max_tokens": 4000,
        "stream": True,
        "system": "Be brief.",
        "tools": [TOOL],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "List a and b."}],
    }
    question = translated("messages", surface, body, "gpt-5.5")
    posted = posting(cloudy, question)
    assert question.request is not None
    encoder = surface.encoder(question.request, META)
    stream = encoder.feed(deltas(posted, sent(posted))) + encoder.end()
    told = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    starts = [event["content_block"] for event in told if event["type"] == "content_block_start"]
    assert [block["type"] for block in starts] == ["thinking", "text", "tool_use", "tool_use"]
    whole = posting(cloudy, translated("messages", surface, body | {"stream": False}, "gpt-5.5"))
    answer = json.loads(surface.render(question.request, fold(deltas(whole, sent(whole))), META))
    thought, *_ = answer["content"]
    assert (thought["thinking"], answer["stop_reason"]) == ("I should look.", "tool_use")
    assert answer["usage"]["cache_read_input_tokens"] == 4
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": f"{block['input']['path']}.txt"}
        for block in answer["content"]
        if block["type"] == "tool_use"
    ]
    body["messages"] += [
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": results},
    ]
    cloud.script(turn=Turn("a.txt and b.txt"))
    again = posting(cloudy, translated("messages", surface, body, "gpt-5.5"))
    assert fold(deltas(again, sent(again))).text == "a.txt and b.txt"
    assert thought["signature"] in again.body.decode() and cloud.refusals == []


def test_ollama_and_chats_are_translated_where_they_must_be(cloud: OpenAiVendor):
    cloud.script(turn=Turn("One. Two. Three."), split=2)
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Count."}], "stream": True}
    question = translated(
        "ollama", OllamaChatSurface(), asked | {"options": {"stop": [" Three"], "num_predict": 99}}, "o3"
    )
    posted = posting(vendor(cloud), question)
    assert question.request is not None
    encoder = OllamaChatSurface().encoder(question.request, META)
    lines = (encoder.feed(deltas(posted, sent(posted))) + encoder.end()).splitlines()
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == "One. Two."
    assert json.loads(lines[-1])["eval_count"] == 3
    chat = posting(vendor(cloud), translated("chat", TranslatedChat(), asked, "gpt-5.1-codex"))
    assert fold(deltas(chat, sent(chat))).text == "One. Two. Three."


def test_tools_by_names_that_are_too_long_are_called_by_their_own(cloud: OpenAiVendor):
    name = "mcp__" + "server" * 11 + "__read"
    body: Any = {"model": "m", "max_tokens": 90, "messages": [{"role": "user", "content": "x"}]}
    body |= {"tools": [TOOL | {"name": name}], "tool_choice": {"type": "tool", "name": name}}
    posted = posting(vendor(cloud), translated("messages", MessagesSurface(), body, "gpt-5.5"))
    answer = fold(deltas(posted, sent(posted)))
    assert [call.name for call in answer.calls] == [name] and cloud.refusals == []


@pytest.mark.parametrize("within", ["reasoning", "text", "arguments"])
def test_a_stream_that_breaks_says_so(cloud: OpenAiVendor, within: Any):
    body: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    body |= {"max_tokens": 3000, "tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 2000}}
    posted = posting(vendor(cloud), translated("messages", MessagesSurface(), body, "gpt-5.5"))
    faults = Fault("cut", within=within), Fault("error", within=within, code="rate_limit_exceeded")
    for fault, softly, error in (
        (faults[0], False, EngineDied),
        (faults[1], False, Overloaded),
        (faults[1], True, Overloaded),
    ):
        cloud.script(reasoning="hm", turn=CALLED, fault=fault)
        cloud.fails_softly = softly
        *told, last = deltas(posted, sent(posted))
        assert isinstance(last, Failure) and isinstance(last.error, error)
        assert any(isinstance(delta, Reasoning) for delta in told)
