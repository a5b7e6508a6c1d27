"""What Ollama's clients ask, as the neutral form has it; the official client writes the bodies where it can."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import ollama
import pytest

from controlplane.protocols.ir import (
    Assistant,
    ImagePart,
    JsonFormat,
    Request,
    System,
    TextPart,
    Thinking,
    Thought,
    ToolCall,
    ToolResult,
    User,
)
from controlplane.protocols.ollama import OllamaChatSurface, OllamaGenerateSurface
from flockpy.errors import BadRequest

HI = {"role": "user", "content": "hi"}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPhfDwAChAGA60e6kgAAAABJRU5ErkJggg=="


def chat(**fields: Any) -> Request:
    return OllamaChatSurface().request(json.dumps({"model": "m", "messages": [HI], **fields}).encode())


def generate(**fields: Any) -> Request:
    return OllamaGenerateSurface().request(json.dumps({"model": "m", "prompt": "hi", **fields}).encode())


def sent(method: str, **asked: Any) -> bytes:
    """The body the official client sends."""
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(200, json={"message": {"role": "assistant"}})

    getattr(ollama.Client(host="http://leader", transport=httpx.MockTransport(answer)), method)(**asked)
    return bodies[0]


def test_what_the_official_client_sends_to_chat_is_read() -> None:
    def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where
        """
        return city

    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    body = sent(
        "chat",
        model="m",
        messages=[
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "look", "images": [PNG]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]},
            {"role": "tool", "content": "sunny", "tool_name": "get_weather"},
        ],
        tools=[get_weather],
        format={"type": "object"},
        think="high",
        options={"num_predict": 5, "temperature": 0.5, "stop": ["a", "b"], "num_ctx": 4096},
        keep_alive="5m",
    )
    request = OllamaChatSurface().request(body)
    assert request.messages == (
        System("be kind"),
        User((TextPart("look"), ImagePart(f"data:image/png;base64,{PNG}"))),
        Assistant("", (Thought("hm"),), (ToolCall("call_0", "get_weather", '{"city":"Paris"}'),)),
        ToolResult("call_0", (TextPart("sunny"),)),
    )
    [tool] = request.tools
    assert (tool.name, tool.description) == ("get_weather", "Tell the weather.")
    assert msgspec.json.decode(tool.parameters)["required"] == ["city"]
    assert request.format == JsonFormat(request.format.schema if request.format else None)
    assert request.format
    assert bytes(request.format.schema or b"") == b'{"type":"object"}'
    assert request.thinking == Thinking(enabled=True, effort="high")
    assert (request.max_tokens, request.temperature, request.stop) == (5, 0.5, ("a", "b"))
    assert not request.stream
    assert request.dropped == ("keep_alive", "options.num_ctx")


def test_what_the_official_client_sends_to_generate_is_read() -> None:
    body = sent(
        "generate", model="m", prompt="look", system="be kind", images=[PNG], think=False, format="json"
    )
    request = OllamaGenerateSurface().request(body)
    image = ImagePart(f"data:image/png;base64,{PNG}")
    assert request.messages == (System("be kind"), User((TextPart("look"), image)))
    assert (request.thinking, request.format, request.raw) == (Thinking(enabled=False), JsonFormat(), False)


@pytest.mark.parametrize(
    ("asked", "stream"), [({}, True), ({"stream": None}, True), ({"stream": False}, False)]
)
def test_ollama_streams_unless_told_otherwise(asked: dict[str, Any], stream: bool) -> None:
    assert chat(**asked).stream is generate(**asked).stream is stream


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"num_predict": -1}, {"max_tokens": None}),
        ({"num_predict": -2}, {"max_tokens": None}),
        ({"num_predict": 0}, {"max_tokens": None}),
        ({"num_predict": 12.0}, {"max_tokens": 12}),
        ({"num_predict": 2**40}, {"max_tokens": 2**31 - 1}),
        ({"seed": 42.0}, {"seed": 42}),
        ({"seed": 2**62 + 1}, {"seed": 2**62 + 1}),
        ({"seed": -1}, {"seed": None}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"top_k": 40, "top_p": 1}, {"top_k": 40, "top_p": 1.0}),
        ({"stop": "x"}, {"stop": ("x",)}),
        ({"stop": None, "seed": None}, {"stop": (), "seed": None}),
        ({"mirostat": 1, "top_k": 1}, {"top_k": 1, "dropped": ("options.mirostat",)}),
        (None, {"dropped": ()}),
    ],
    ids=repr,
)
def test_options_are_read(options: object, known: Mapping[str, Any]) -> None:
    for request in (chat(options=options), generate(options=options)):
        assert {name: getattr(request, name) for name in known} == known


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": 5}, "model"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [HI, {"role": "nobody"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "images": [5]}]}, "messages[0].images[0]"),
        ({"format": "xml"}, "format"),
        ({"format": 5}, "format"),
        ({"think": 5}, "think"),
        ({"stream": "yes"}, "stream"),
        ({"options": 5}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"stop": [5]}}, "options.stop[0]"),
        ({"tools": {}}, "tools"),
    ],
    ids=repr,
)
def test_a_wrong_value_is_refused_and_named(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat(**wrong)
    assert refused.value.field == field
    assert refused.value.message.startswith(field)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"\xff"}', b'{"model":"a","model":"b"}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    for surface in (OllamaChatSurface(), OllamaGenerateSurface()):
        with pytest.raises(BadRequest):
            surface.request(body)


def test_unknown_fields_are_named_and_never_refused() -> None:
    assert chat(logprobs=True, zzz={"a": 1}, context=None, top=[]).dropped == ("logprobs", "zzz")
    assert generate(template="{{ .Prompt }}", context=[1, 2]).dropped == ("template", "context")
    assert chat(tools=[{"type": "function"}, {"type": "web", "function": {"name": ""}}]).dropped == (
        "tools[0]",
        "tools[1]",
    )


def test_a_raw_prompt_is_for_no_template() -> None:
    request = generate(raw=True, prompt="<|fim|>a", system="be kind", format="json", think=False, images=[])
    assert (request.raw, request.messages) == (True, (User((TextPart("<|fim|>a"),)),))
    assert (request.format, request.thinking, request.dropped) == (None, Thinking(), ("system", "format"))


def test_filling_a_middle_is_refused_as_ollama_refuses_it() -> None:
    with pytest.raises(BadRequest, match="does not support insert"):
        generate(suffix="}")
    assert generate(suffix="").messages


@pytest.mark.parametrize(
    ("image", "kind"), [("/9j/4AAQ", "jpeg"), ("R0lGODlh", "gif"), ("UklGRiI", "webp"), ("iVBORw0", "png")]
)
def test_the_kind_of_an_image_is_read_off_its_first_bytes(image: str, kind: str) -> None:
    [user] = chat(messages=[{"role": "user", "images": [image]}]).messages
    assert user == User((ImagePart(f"data:image/{kind};base64,{image}"),))


def test_an_address_of_an_image_stays_data() -> None:
    [user] = chat(
        messages=[{"role": "user", "images": ["http://169.254.169.254/", "data:image/png;base64,x"]}]
    ).messages
    assert isinstance(user, User)
    assert [part.url for part in user.parts if isinstance(part, ImagePart)] == [
        "data:image/png;base64,http://169.254.169.254/",
        "data:image/png;base64,x",
    ]


def test_results_find_their_calls_by_id_by_name_or_by_their_order() -> None:
    def called(name: str, **more: Any) -> dict[str, Any]:
        return {"function": {"name": name, "arguments": '{"a": 1}'}, **more}

    request = chat(
        messages=[
            {
                "role": "assistant",
                "tool_calls": [called("a"), called("b"), called("c", id="mine"), called("d")],
            },
            {"role": "tool", "content": "of c", "tool_call_id": "mine"},
            {"role": "tool", "content": "of b", "tool_name": "b"},
            {"role": "tool", "content": "of a"},
            {"role": "tool", "content": "of d", "tool_name": "?"},
            {"role": "tool", "content": "of none"},
        ]
    )
    assistant, *results = request.messages
    assert isinstance(assistant, Assistant)
    assert [(call.id, call.arguments) for call in assistant.calls] == [
        ("call_0", '{"a": 1}'),
        ("call_1", '{"a": 1}'),
        ("mine", '{"a": 1}'),
        ("call_3", '{"a": 1}'),
    ]
    ids = [result.call_id for result in results if isinstance(result, ToolResult)]
    assert ids == ["mine", "call_1", "call_0", "call_3", "call_4"]
