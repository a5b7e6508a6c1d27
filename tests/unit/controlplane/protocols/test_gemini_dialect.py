"""Neutral requests as bodies of Gemini's generateContent, which a vendor that refuses much takes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.anthropic import MessagesSurface, read_count_request
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.gemini_dialect import render_request
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    JsonFormat,
    Message,
    Named,
    Request,
    System,
    TextPart,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    User,
)
from controlplane.protocols.responses import ResponsesSurface
from flockpy.errors import BadRequest
from tests.simulators.vertex_rules import UNCHECKED, complaints

OLD, FLASH, PRO, LITE = "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"
PRO_3, NEW_FLASH, NEW_PRO = "gemini-3-pro-preview", "gemini-3.5-flash", "gemini-3.1-pro-preview"
MODELS = (OLD, FLASH, PRO, LITE, PRO_3, NEW_FLASH, NEW_PRO)
HI = User((TextPart("hi"),))
TOOL = Tool(
    "ls", "lists", msgspec.Raw(b'{"$schema":"http://json-schema.org/draft-07/schema#","properties":{}}')
)
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}')
PICTURE = ImagePart("data:image/png;base64,AAAA")
MADE = "Z2VtaW5p"


def rendered(*messages: Message, model: str = FLASH, **fields: Any) -> dict[str, Any]:
    body = json.loads(render_request(Request("m", messages or (HI,), **fields), model=model))
    assert complaints(body, model, [MADE]) == []
    return body


def config(model: str = FLASH, **fields: Any) -> dict[str, Any]:
    return rendered(model=model, **fields).get("generationConfig", {})


def turns(*messages: Message, model: str = FLASH) -> list[tuple[str, list[Any]]]:
    """The contents, their parts put short."""
    return [
        (turn["role"], [part["text"] if set(part) == {"text"} else part for part in turn["parts"]])
        for turn in rendered(*messages, model=model)["contents"]
    ]


def call(name: str, args: Any, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}, **more}


def result(name: str, **response: str) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response}}


def test_what_is_not_asked_for_is_not_said():
    assert rendered() == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_instructions_stand_at_the_head_and_later_ones_are_the_users():
    body = rendered(System("a"), System("b"), HI, System("c"), Assistant("ok"), System("d"), HI)
    assert body["systemInstruction"] == {"parts": [{"text": "a\n\nb"}]}
    texts = [[part["text"] for part in turn["parts"]] for turn in body["contents"]]
    assert texts == [["hi", "<system>\nc\n</system>"], ["ok"], ["<system>\nd\n</system>", "hi"]]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((System("a"),), [("user", ["a"])]),
        ((System(" "),), [("user", ["(nothing was said)"])]),
        ((User((TextPart(""),)),), [("user", ["(nothing was said)"])]),
        (
            (Assistant("a"),),
            [("user", ["(what was said before is lost)"]), ("model", ["a"]), ("user", ["Go on."])],
        ),
        ((HI, HI, Assistant(""), HI), [("user", ["hi", "hi", "hi"])]),
        (
            (HI, Assistant("a"), Assistant("b"), HI),
            [("user", ["hi"]), ("model", ["a", "b"]), ("user", ["hi"])],
        ),
    ],
)
def test_the_user_speaks_first_and_last_and_nobody_twice(messages: tuple[Message, ...], expected: Any):
    assert turns(*messages) == expected


def test_every_call_has_its_result_in_the_turn_behind_it():
    calls = (ToolCall("1", "ls", '{"p":1}'), ToolCall("2", "cat", "no JSON"), ToolCall("3", "now", ""))
    assert turns(
        HI,
        Assistant("let me see", calls=calls),
        System("hurry"),
        ToolResult("3", (TextPart("noon"), PICTURE)),
        ToolResult("1", (TextPart("a b"),), is_error=True),
        ToolResult("9", (TextPart("stray"),)),
        HI,
    ) == [
        ("user", ["hi"]),
        ("model", ["let me see", call("ls", {"p": 1}), call("cat", {"_raw": "no JSON"}), call("now", {})]),
        (
            "user",
            [
                result("ls", error="a b"),
                result("cat", error="(no result)"),
                result("now", output="noon\n(attached to the next message)"),
            ],
        ),
        (
            "user",
            [
                "<system>\nhurry\n</system>",
                "(attached by the tool result 3)",
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                "(the tool result 9)\nstray",
                "hi",
            ],
        ),
    ]


def test_calls_of_one_id_have_their_results_in_order():
    calls = (ToolCall("", "a", "{}"), ToolCall("", "b", "{}"))
    told = turns(
        HI, Assistant(calls=calls), ToolResult("", (TextPart("1"),)), ToolResult("", (TextPart("2"),))
    )
    assert told[-1] == ("user", [result("a", output="1"), result("b", output="2")])


def test_the_first_call_of_a_turn_goes_back_with_the_vendors_own_signature():
    calls = (ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}"))
    own, foreign = Thought("hm", f"gemini:{MADE}"), Thought("hm", "c29tZWJvZHkgZWxzZQ==")
    for model in (FLASH, PRO_3):
        (_, parts) = turns(HI, Assistant(thoughts=(foreign, own), calls=calls), HI, model=model)[1]
        assert parts == [call("a", {}, thoughtSignature=MADE), call("b", {})]
    for thoughts in ((foreign,), (Thought("hm", "gemini:no base64 at all"),), ()):
        (_, parts) = turns(HI, Assistant(thoughts=thoughts, calls=calls), HI, model=NEW_FLASH)[1]
        assert parts == [call("a", {}, thoughtSignature=UNCHECKED), call("b", {})]
        (_, parts) = turns(HI, Assistant(thoughts=thoughts, calls=calls), HI, model=PRO)[1]
        assert parts == [call("a", {}), call("b", {})]


def test_pictures_and_sound_go_along():
    parts = (
        *(PICTURE, ImagePart("data:image/JPEG;charset=x;base64,AAAA"), AudioPart("AAAA", "mp3")),
        AudioPart("AAAA", "wav"),
    )
    kinds = [part["inlineData"]["mimeType"] for _, said in turns(User(parts)) for part in said]
    assert kinds == ["image/png", "image/jpeg", "audio/mp3", "audio/wav"]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "gs://leaders-bucket/a.png",
        "file:///etc/passwd",
        "data:image/svg+xml,<svg/>",
    ],
)
def test_what_the_vendor_would_have_to_fetch_is_refused(url: str):
    with pytest.raises(BadRequest, match="cannot be seen from there") as raised:
        rendered(User((ImagePart(url),)))
    assert raised.value.field == "messages"


def test_functions_are_declared_by_their_schemas():
    body = rendered(tools=(TOOL, Tool("ls", "", SCHEMA)), tool_choice=Named("ls"))
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "ls", "parametersJsonSchema": json.loads(bytes(SCHEMA))}]}
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["ls"]}}
    (tool,) = rendered(tools=(TOOL,))["tools"][0]["functionDeclarations"]
    assert tool == {
        "name": "ls",
        "description": "lists",
        "parametersJsonSchema": {"properties": {}, "type": "object"},
    }


@pytest.mark.parametrize(
    ("choice", "mode"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY"), (None, None)]
)
def test_whether_a_function_is_called_is_said(choice: Any, mode: str | None):
    body = rendered(tools=(TOOL,), tool_choice=choice)
    assert body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == mode
    assert "toolConfig" not in rendered(tool_choice=choice)


def test_sampling_stays_within_what_the_vendor_takes():
    said = config(
        OLD, max_tokens=9, temperature=3.0, top_p=0.5, top_k=100, seed=2**40 + 7, stop=("a", "", *"bcdefg")
    )
    assert said == {
        "maxOutputTokens": 9,
        "temperature": 2.0,
        "topP": 0.5,
        "topK": 40,
        "seed": 7,
        "stopSequences": ["a", "b", "c", "d", "e"],
    }
    assert config(top_k=-1) == {}
    assert [config(model, max_tokens=99999)["maxOutputTokens"] for model in (OLD, PRO)] == [8192, 65536]


def test_json_is_demanded_or_wished_for():
    schema = json.loads(bytes(SCHEMA))
    assert config(format=JsonFormat()) == {"responseMimeType": "application/json"}
    demanded = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert config(format=JsonFormat(SCHEMA)) == demanded
    assert config(PRO_3, format=JsonFormat(SCHEMA), tools=(TOOL,)) == demanded
    wished = rendered(System("Be a duck."), HI, format=JsonFormat(SCHEMA), tools=(TOOL,))
    assert "generationConfig" not in wished
    (part,) = wished["systemInstruction"]["parts"]
    assert part["text"].startswith("Be a duck.\n\nUnless you call") and bytes(SCHEMA).decode() in part["text"]


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        (FLASH, Thinking(), None),
        (OLD, Thinking(enabled=True, budget_tokens=5000), None),
        (OLD, Thinking(enabled=False), None),
        (FLASH, Thinking(enabled=False), {"thinkingBudget": 0}),
        (PRO, Thinking(effort="none"), {"thinkingBudget": 128}),
        (PRO_3, Thinking(enabled=False), {"thinkingLevel": "LOW"}),
        (NEW_FLASH, Thinking(enabled=False), {"thinkingLevel": "MINIMAL"}),
        (FLASH, Thinking(enabled=True), {"includeThoughts": True}),
        (FLASH, Thinking(summary=True), {"includeThoughts": True}),
        (
            FLASH,
            Thinking(enabled=True, budget_tokens=99999),
            {"includeThoughts": True, "thinkingBudget": 24576},
        ),
        (
            PRO,
            Thinking(enabled=True, budget_tokens=99999),
            {"includeThoughts": True, "thinkingBudget": 32768},
        ),
        (LITE, Thinking(enabled=True, budget_tokens=9), {"includeThoughts": True, "thinkingBudget": 512}),
        (FLASH, Thinking(effort="medium"), {"includeThoughts": True, "thinkingBudget": 8192}),
        (PRO_3, Thinking(effort="medium"), {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        (NEW_PRO, Thinking(effort="medium"), {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        (NEW_PRO, Thinking(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "LOW"}),
        (NEW_FLASH, Thinking(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "MINIMAL"}),
        (NEW_FLASH, Thinking(effort="max"), {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        (
            NEW_FLASH,
            Thinking(enabled=True, budget_tokens=1024),
            {"includeThoughts": True, "thinkingLevel": "LOW"},
        ),
        (NEW_FLASH, Thinking(enabled=True), {"includeThoughts": True}),
    ],
)
def test_each_family_is_told_how_much_to_think(
    model: str, thinking: Thinking, expected: dict[str, Any] | None
):
    assert config(model, thinking=thinking).get("thinkingConfig") == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (OLD, None),
        (FLASH, {"thinkingBudget": 0}),
        (PRO, {"thinkingBudget": 128}),
        (PRO_3, {"thinkingLevel": "LOW"}),
        (NEW_FLASH, {"thinkingLevel": "MINIMAL"}),
    ],
)
def test_thoughts_do_not_eat_a_small_bound_that_was_not_meant_for_them(
    model: str, expected: dict[str, Any] | None
):
    assert config(model, max_tokens=100).get("thinkingConfig") == expected
    assert "thinkingConfig" not in config(model, max_tokens=4096)
    halved = config(FLASH, max_tokens=1000, thinking=Thinking(effort="high"))["thinkingConfig"]
    assert halved == {"includeThoughts": True, "thinkingBudget": 500}


_IDS = st.sampled_from(("", "1", "2"))
_TEXTS = st.sampled_from(("", " ", "a"))
_CALLS = st.builds(
    ToolCall, _IDS, st.sampled_from(("ls", "cat")), st.sampled_from(("", "{}", '{"a":1}', "[", "null"))
)
_THOUGHTS = st.sampled_from(
    (Thought("a", f"gemini:{MADE}"), Thought("a", "b"), Thought("", "c", redacted=True))
)
_PARTS = st.lists(st.one_of(st.builds(TextPart, _TEXTS), st.just(PICTURE)), max_size=2).map(tuple)
_MESSAGES = st.one_of(
    st.builds(System, _TEXTS),
    st.builds(User, _PARTS),
    st.builds(ToolResult, _IDS, _PARTS, st.booleans()),
    st.builds(
        Assistant, _TEXTS, st.lists(_THOUGHTS, max_size=2).map(tuple), st.lists(_CALLS, max_size=2).map(tuple)
    ),
)


@given(st.lists(_MESSAGES, max_size=8).map(tuple), st.sampled_from(MODELS))
def test_any_conversation_is_one_that_the_vendor_takes(messages: tuple[Message, ...], model: str):
    rendered(*messages, model=model)


_SURFACES: dict[str, Callable[[bytes], Request]] = {
    "/v1/chat/completions": TranslatedChat().request,
    "/v1/messages": MessagesSurface().request,
    "/v1/messages/count_tokens": read_count_request,
    "/v1/responses": ResponsesSurface().request,
}
_RECORDED = sorted((Path(__file__).resolve().parents[3] / "golden" / "clients").glob("*/*.json"))


@pytest.mark.parametrize("path", _RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_any_real_client_sends_is_taken(path: Path):
    recorded = msgspec.json.decode(path.read_bytes())
    request = _SURFACES[recorded["path"].partition("?")[0]](msgspec.json.encode(recorded["body"]))
    for model in MODELS:
        assert complaints(json.loads(render_request(request, model=model)), model) == []
