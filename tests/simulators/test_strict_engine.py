"""The strict engine refuses what it should, and plays a model that only knows what its tools told it."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.simulators.strict_engine import Fault, Script, StrictEngine, strict_engine
from tests.simulators.strict_rules import complaints
from tests.simulators.tool_model import Call, picture_digest, play

SECRET = "FLOCK-SECRET-0123456789ab"
SHELL: Any = {
    "type": "function",
    "function": {
        "name": "Bash",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "background": {"type": "boolean"}},
            "required": ["command", "background"],
        },
    },
}
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "Bash", "arguments": "{}"}}
GOOD: Any = {
    "model": "strict",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Please do flock-task:read:secret.txt"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": SECRET},
    ],
    "tools": [SHELL],
    "stream": False,
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def changed(change: Callable[[Any], object]) -> Any:
    body = copy.deepcopy(GOOD)
    change(body)
    return body


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda b: b.update(cache_control={}), "cache_control: unknown field"),
        (lambda b: b.update(temperature=None), "temperature: is null"),
        (lambda b: b.update(max_tokens=0), "max_tokens: 0 is less than 1"),
        (lambda b: b.update(stream_options={}), "stream_options: only with stream"),
        (lambda b: b["messages"][0].update(role="developer"), "messages[0].role: 'developer' is none of"),
        (
            lambda b: b["messages"].insert(2, {"role": "system", "content": "x"}),
            "messages[2].role: system is not",
        ),
        (lambda b: b["messages"].pop(2), "messages[2].tool_call_id: 'c1' answers no open call"),
        (lambda b: b["messages"].pop(3), "messages: the calls c1 are not answered yet"),
        (
            lambda b: b["messages"].insert(3, {"role": "user", "content": "x"}),
            "messages[3]: the calls c1 are not",
        ),
        (
            lambda b: b["messages"][3].update(content=[IMAGE]),
            "messages[3].content[0]: 'image_url' may not stand",
        ),
        (lambda b: b["messages"][1].update(content=None), "messages[1].content: is null"),
        (lambda b: b["messages"][2].pop("tool_calls"), "messages[2].content: is null"),
        (lambda b: b["messages"][2]["tool_calls"][0].pop("id"), "messages[2].tool_calls[0]: has no id"),
        (lambda b: b["tools"][0]["function"].pop("parameters"), "tools[0].function.parameters: is no schema"),
        (lambda b: b["tools"].append({"type": "web_search"}), "tools[1]: is no function"),
        (lambda b: b["tools"].append(SHELL), "tools[1].function.name: 'Bash' is there twice"),
        (lambda b: b["tools"].clear(), "tools: is empty"),
        (
            lambda b: b.update(tool_choice={"type": "function", "function": {"name": "nobody"}}),
            "tool_choice: names no tool that is offered: 'nobody'",
        ),
    ],
)
def test_each_fault_of_a_request_is_named(change: Callable[[Any], object], complaint: str) -> None:
    assert any(said.startswith(complaint) for said in complaints(changed(change))), complaints(
        changed(change)
    )


def test_a_good_request_is_served() -> None:
    assert complaints(GOOD) == []


def test_the_model_calls_the_shell_with_what_its_schema_needs_and_then_says_the_secret() -> None:
    asked = changed(lambda b: b["messages"].__delitem__(slice(2, 4)))
    assert play(asked).calls == (
        Call("Bash", json.dumps({"command": "cat secret.txt", "background": False})),
    )
    assert play(GOOD).text == f"It says {SECRET}."
    assert SECRET not in play(changed(lambda b: b["messages"][3].update(content="no such file"))).text


def test_several_files_are_read_at_once_and_pictures_told_by_their_bytes() -> None:
    asked: Any = {"messages": [{"role": "user", "content": "flock-task:read:a.txt,b.txt"}], "tools": [SHELL]}
    assert [json.loads(call.arguments)["command"] for call in play(asked).calls] == ["cat a.txt", "cat b.txt"]
    seen = changed(lambda b: b["messages"].append({"role": "user", "content": [IMAGE]}))
    seen["messages"][1]["content"] = "flock-task:look:a.png"
    assert play(seen).text == f"It says {picture_digest('AAAA')}."


def test_a_call_that_is_insisted_on_is_made() -> None:
    asked: Any = {"messages": [{"role": "user", "content": "hello"}], "tools": [SHELL]}
    named = {"type": "function", "function": {"name": "Bash"}}
    assert play(asked).calls == ()
    for choice in (named, "required"):
        (call,) = play(asked | {"tool_choice": choice}).calls
        assert json.loads(call.arguments) == {"command": "Hello from the strict engine.", "background": False}


@pytest.fixture
def engine() -> Iterator[StrictEngine]:
    with strict_engine() as engine:
        yield engine


def test_an_sdk_runs_its_tool_loop_against_it_streamed_and_whole(engine: StrictEngine) -> None:
    engine.play(Script(reasoning="I think.", split=3))
    client: Any = OpenAI(base_url=f"{engine.url}/v1", api_key="k", max_retries=0)
    asked = changed(lambda b: b["messages"].__delitem__(slice(2, 4)))
    whole = client.chat.completions.create(**asked).choices[0]
    chunks = list(client.chat.completions.create(**asked | {"stream": True}))
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert (
        "".join(piece.function.arguments for piece in pieces)
        == whole.message.tool_calls[0].function.arguments
    )
    assert len(pieces) > 3
    assert whole.message.reasoning_content == "I think."
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason == "tool_calls"
    assert engine.refusals == []


def test_what_it_refuses_it_remembers(engine: StrictEngine) -> None:
    answer = httpx.post(f"{engine.url}/v1/chat/completions", json=GOOD | {"nonsense": 1})
    assert (answer.status_code, engine.refusals) == (400, ["nonsense: unknown field"])
    assert httpx.post(f"{engine.url}/v1/messages", json={}).status_code == 404


def test_faults_strike_as_often_as_they_are_told_to(engine: StrictEngine) -> None:
    url, streamed = f"{engine.url}/v1/chat/completions", GOOD | {"stream": True}
    engine.play(Script(fault=Fault("status", status=429, retry_after=3)))
    first, second = (httpx.post(url, json=GOOD) for _ in range(2))
    assert (first.status_code, first.headers["retry-after"], second.status_code) == (429, "3", 200)
    engine.play(Script(fault=Fault("cut", after=2)))
    assert "[DONE]" not in httpx.post(url, json=streamed).text
    engine.play(Script(fault=Fault("error", after=2)))
    assert '"scripted fault"' in httpx.post(url, json=streamed).text
    for kind in ("drop", "reset"):
        engine.play(Script(fault=Fault(kind, after=2)))
        with pytest.raises(httpx.TransportError):
            httpx.post(url, json=streamed)
        assert "[DONE]" in httpx.post(url, json=streamed).text
