"""Requests as Bedrock's Converse takes them: held against the shapes of its official client and what it refuses."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.converse_dialect import render_request, told_names
from controlplane.protocols.converse_turns import wire_name
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
from tests.simulators.bedrock_rules import converse_complaints

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
RECORDED = sorted(GOLDEN.glob("clients/*/*.json"))
SURFACES = {
    "/v1/messages": MessagesSurface(),
    "/v1/chat/completions": TranslatedChat(),
    "/v1/responses": ResponsesSurface(),
}
NOVA, NOVA_2 = "amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0"
LLAMA, MISTRAL = "us.meta.llama3-3-70b-instruct-v1:0", "mistral.mistral-large-2402-v1:0"
GPT, QWEN = "openai.gpt-oss-120b-1:0", "qwen.qwen3-32b-v1:0"
MODELS = (NOVA, NOVA_2, LLAMA, MISTRAL, GPT, QWEN)
HI = User((TextPart("hi"),))
PICTURE = ImagePart("data:image/jpg;base64,iVBO")
TOOL = Tool("ls", "lists", msgspec.Raw(b'{"properties":{}}'))


def rendered(*messages: Message, model: str = NOVA, **fields: Any) -> dict[str, Any]:
    """The body, in which nothing is left to complain of."""
    body = json.loads(render_request(Request("m", messages or (HI,), **fields), model=model))
    assert converse_complaints(model, body) == []
    return body


texts = st.sampled_from(["", " \n", "a", "Ωk 🎉"])
names = st.sampled_from(["ls", "mcp__files.read", "", "x" * 80, "y" * 80])
ids = st.sampled_from(["call_1", "functions.ls:0", "", "z" * 99])
parts = st.lists(
    st.one_of(texts.map(TextPart), st.just(PICTURE), st.just(AudioPart("UklG", "wav"))), max_size=3
)
calls = st.lists(st.builds(ToolCall, ids, names, st.sampled_from(["", "{}", '{"a": 1}', '{"a'])), max_size=3)
thoughts = st.lists(
    st.sampled_from([Thought("mine"), Thought("hm", "c2ln"), Thought("", "ZGF0", True)]), max_size=2
)
messages = st.lists(
    st.one_of(
        st.builds(System, texts),
        st.builds(User, parts.map(tuple)),
        st.builds(Assistant, texts, thoughts.map(tuple), calls.map(tuple)),
        st.builds(ToolResult, ids, parts.map(tuple), st.booleans()),
    ),
    max_size=6,
)


@given(
    messages,
    st.sampled_from(MODELS),
    st.lists(names, max_size=3, unique=True),
    st.sampled_from([None, "auto", "none", "required", Named("ls")]),
)
def test_whatever_a_conversation_holds_it_is_put_so_that_no_family_refuses_it(
    messages: list[Message], model: str, tools: list[str], choice: Any
):
    if len({call.id for m in messages if isinstance(m, Assistant) for call in m.calls}) < sum(
        len(m.calls) for m in messages if isinstance(m, Assistant)
    ):
        messages = [
            m for m in messages if not isinstance(m, Assistant)
        ]  # ids that are not unique name nothing
    offered = tuple(Tool(name, "", msgspec.Raw(b"{}")) for name in tools)
    choice = choice if not isinstance(choice, Named) or "ls" in tools else None
    rendered(*messages or [HI], model=model, tools=offered, tool_choice=choice)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recorded_request_of_a_real_client_is_put_so_that_no_family_refuses_it(recorded: Path):
    asked = json.loads(recorded.read_bytes())
    if surface := SURFACES.get(asked["path"].partition("?")[0]):
        request = surface.request(json.dumps(asked["body"]).encode())
        for model in MODELS:
            assert converse_complaints(model, json.loads(render_request(request, model=model))) == []


def test_turns_are_put_so_that_they_are_taken():
    calls = (ToolCall("functions.ls:0", "ls", ""), ToolCall("b", "ls", '{"a": '), ToolCall("c", "ls", "{}"))
    thoughts = (Thought("mine"), Thought("hm", "c2ln"), Thought("", "ZGF0", redacted=True))
    conversation = (
        *(System("a"), System("b"), HI, User((TextPart(" "), AudioPart("UklG", "wav")))),
        *(Assistant("look", thoughts, calls), System("now"), ToolResult("functions.ls:0", (TextPart("x"),))),
        *(
            ToolResult("b", (PICTURE,), is_error=True),
            ToolResult("?", (TextPart("lost"),)),
            Assistant(" "),
            HI,
        ),
    )
    body = rendered(*conversation, tools=(TOOL,))
    assert body["system"] == [{"text": "a\n\nb"}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    user, assistant, results, noted, others = (turn["content"] for turn in body["messages"])
    dotted = wire_name("functions.ls:0")
    assert user == [{"text": "hi"}, {"text": "(a recording, which cannot be heard here)"}]
    assert assistant == [
        {"text": "look"},
        {"toolUse": {"toolUseId": dotted, "name": "ls", "input": {}}},
        {"toolUse": {"toolUseId": "b", "name": "ls", "input": {"_raw": '{"a": '}}},
        {"toolUse": {"toolUseId": "c", "name": "ls", "input": {}}},
    ]
    picture = {"image": {"format": "jpeg", "source": {"bytes": "iVBO"}}}
    assert results == [
        {"toolResult": {"toolUseId": dotted, "content": [{"text": "x"}]}},
        {"toolResult": {"toolUseId": "b", "content": [picture], "status": "error"}},
        {"toolResult": {"toolUseId": "c", "content": [{"text": "(no result)"}]}},
    ]
    assert noted == [{"text": "(noted)"}]
    assert others == [
        {"text": "<system>\nnow\n</system>"},
        {"text": f"(the tool result {wire_name('?')})"},
        {"text": "lost"},
        {"text": "hi"},
    ]
    apart = [turn["content"] for turn in rendered(*conversation, model=LLAMA, tools=(TOOL,))["messages"]]
    assert (apart[1], apart[2], apart[5]) == (
        [{"text": "look"}],
        [{"text": "(go on)"}],
        [{"text": "(noted)"}],
    )
    assert apart[3] == assistant[1:]
    told = {"toolUseId": "b", "content": [{"text": "Error:"}, {"text": "(attached to the next message)"}]}
    assert apart[4][1] == {"toolResult": told}
    assert (picture in apart[6], apart[6][-1]) == (True, {"text": "hi"})


def test_a_conversation_begins_and_ends_with_the_user():
    assert rendered(System("be"))["messages"] == [{"role": "user", "content": [{"text": "be"}]}]
    begun = rendered(Assistant("I am"), HI)["messages"]
    assert [turn["role"] for turn in begun] == ["user", "assistant", "user"]
    assert rendered(HI, Assistant("I am"))["messages"][-1]["role"] == "assistant"
    assert rendered(HI, Assistant("I am"), model=LLAMA)["messages"][-1]["role"] == "user"


def test_instructions_stand_with_the_user_where_a_family_has_no_place_for_them():
    body = rendered(System("be"), HI, model="mistral.mistral-7b-instruct-v0:2")
    assert "system" not in body
    assert body["messages"][0]["content"] == [{"text": "be"}, {"text": "hi"}]


def test_names_that_are_refused_are_renamed_and_known_again():
    long = "mcp__a_very_long_server_name__" + "and_a_longer_tool" * 5
    tools = tuple(Tool(name, "", TOOL.parameters) for name in ("ls", long, f"{long}_2", "files.read"))
    body = rendered(tools=tools)
    offered = [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    assert offered[0] == "ls"
    assert all(len(name) <= 64 for name in offered)
    known = told_names(Request("m", (HI,), tools=tools))
    assert [known.get(name, name) for name in offered] == [tool.name for tool in tools]


def test_a_history_with_tools_keeps_some_when_none_are_offered():
    history = (HI, Assistant("", (), (ToolCall("a", "ls", "{}"),)), ToolResult("a", (TextPart("x"),)))
    body = rendered(*history)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["ls"]
    assert "toolChoice" not in body["toolConfig"]
    assert body["system"] == [{"text": "Answer without calling any tool."}]
    assert rendered(*history, tools=(TOOL,), tool_choice="none")["system"] == body["system"]
    assert "toolConfig" not in rendered(HI, tools=(TOOL,), tool_choice="none")


@pytest.mark.parametrize(
    ("model", "choice", "said", "told"),
    [
        (NOVA, "auto", None, ""),
        (NOVA, "required", {"any": {}}, ""),
        (NOVA, Named("ls"), {"tool": {"name": "ls"}}, ""),
        (MISTRAL, "required", {"any": {}}, ""),
        (MISTRAL, Named("ls"), None, "Answer with a call of the tool ls."),
        (LLAMA, "required", None, "Answer with a call of one of the tools."),
    ],
)
def test_which_tool_is_called_is_told_in_words_where_it_cannot_be_chosen(
    model: str, choice: Any, said: dict[str, Any] | None, told: str
):
    body = rendered(model=model, tools=(TOOL,), tool_choice=choice)
    assert body["toolConfig"].get("toolChoice") == said
    assert body.get("system") == ([{"text": told}] if told else None)
    spec = {
        "name": "ls",
        "description": "lists",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
    assert body["toolConfig"]["tools"] == [{"toolSpec": spec}]


SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["tree"],
    "properties": {
        "tree": {"$ref": "#/$defs/a~1node", "description": "of nodes"},
        "again": {
            "items": [{"$ref": "#/properties/tree"}, {"$ref": "elsewhere.json"}, {"$ref": "#/$defs/none"}]
        },
    },
    "$defs": {"a/node": {"type": "object", "properties": {"left": {"$ref": "#/$defs/a~1node"}, "name": {}}}},
}


def schema_of(schema: dict[str, Any], model: str) -> dict[str, Any]:
    tools = (Tool("ls", "", msgspec.Raw(json.dumps(schema).encode())),)
    return rendered(model=model, tools=tools)["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]


def test_a_schema_loses_what_is_refused_and_keeps_what_it_means():
    assert schema_of(SCHEMA, LLAMA) == {k: v for k, v in SCHEMA.items() if k != "$schema"} | {
        "type": "object"
    }
    node = {"type": "object", "properties": {"left": {}, "name": {}}}
    tree = node | {"description": "of nodes"}
    properties = {"tree": tree, "again": {"items": [tree, {}, {}]}}
    assert schema_of(SCHEMA, NOVA) == {"type": "object", "properties": properties, "required": ["tree"]}
    assert schema_of({"oneOf": [{}]}, NOVA) == {"type": "object", "properties": {}}


def test_a_schema_that_grows_without_end_is_refused():
    parts = {f"d{n}": {"items": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    with pytest.raises(BadRequest, match="parts"):
        schema_of({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": parts}, NOVA)
    deep = b'{"properties": ' + b'{"a": ' * 3000 + b"1" + b"}" * 3001
    with pytest.raises(BadRequest, match="deeply"):
        render_request(Request("m", (HI,), tools=(Tool("ls", "", msgspec.Raw(deep)),)), model=NOVA)


def test_how_to_sample_and_when_to_stop_is_told_as_far_as_it_is_known():
    asked: dict[str, Any] = {
        "max_tokens": 9,
        "temperature": 1.7,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ("END", " "),
    }
    body = rendered(**asked)
    assert body["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 1.0,
        "topP": 0.5,
        "stopSequences": ["END"],
    }
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 3}}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert rendered(**asked, model=MISTRAL)["additionalModelRequestFields"] == {"top_k": 3}
    assert "additionalModelRequestFields" not in rendered(**asked, model=LLAMA)


@pytest.mark.parametrize(
    ("model", "thinking", "fields"),
    [
        (GPT, Thinking(effort="xhigh"), {"reasoning_effort": "high"}),
        (GPT, Thinking(enabled=True), {"reasoning_effort": "medium"}),
        (GPT, Thinking(enabled=False, effort="high"), None),
        (
            NOVA_2,
            Thinking(effort="low"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        ),
        (NOVA_2, Thinking(), None),
        (NOVA, Thinking(effort="low"), None),
    ],
)
def test_thinking_is_told_to_the_families_that_can_be_told(
    model: str, thinking: Thinking, fields: dict[str, Any] | None
):
    assert rendered(model=model, thinking=thinking).get("additionalModelRequestFields") == fields


def test_a_model_that_thinks_as_hard_as_it_can_takes_no_sampling_and_no_bound():
    hard = Thinking(effort="high")
    body = rendered(model=NOVA_2, thinking=hard, temperature=0.5, top_p=0.5)
    assert "inferenceConfig" not in body
    bounded = rendered(model=NOVA_2, thinking=hard, temperature=0.5, max_tokens=9)
    assert bounded["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
    assert bounded["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5}


def test_a_form_of_the_answer_is_held_to_where_it_can_be_and_asked_for_elsewhere():
    schema = msgspec.Raw(b'{"type":"object"}')
    held = rendered(model=QWEN, format=JsonFormat(schema, "a.b", strict=True))["outputConfig"]["textFormat"]
    assert held["structure"]["jsonSchema"]["schema"] == '{"type":"object"}'
    for model, form in (
        (NOVA, JsonFormat(schema, strict=True)),
        (QWEN, JsonFormat(schema)),
        (QWEN, JsonFormat()),
    ):
        body = rendered(model=model, format=form)
        assert body["system"][0]["text"].startswith("Answer with one JSON object")
        assert "outputConfig" not in body


@pytest.mark.parametrize(
    "url", ["https://example.org/a.png", "data:image/tiff;base64,AA", "data:image/png,AA"]
)
def test_a_picture_that_cannot_be_sent_is_refused(url: str):
    with pytest.raises(BadRequest, match="Bedrock takes no picture"):
        rendered(User((ImagePart(url),)))


def test_what_a_model_can_hear_is_sent():
    body = render_request(
        Request("m", (User((AudioPart("UklG", "wav"),)),)), model="mistral.voxtral-mini-3b-2507"
    )
    (block,) = json.loads(body)["messages"][0]["content"]
    assert block == {"audio": {"format": "wav", "source": {"bytes": "UklG"}}}
