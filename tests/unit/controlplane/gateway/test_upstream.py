"""What an engine is sent: the client's own bytes but where they must differ; and what its refusals mean."""

import json
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.upstream import body_for, fixes, head_of, refusal
from controlplane.protocols.base import Surface, read_fields
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface, EmbeddingSurface
from flockpy.engines.base import Quirks
from flockpy.errors import BadRequest, ContextTooLong, EngineDied, FlockError
from flockpy.placement import Endpoint

CHAT, COMPLETION, EMBEDDING = ChatSurface(), CompletionSurface(), EmbeddingSurface()
STRICT, LAX = Quirks(checks_model_name=True), Quirks(checks_model_name=False)
NAMED_FOR_AUTO = Quirks(ignores_named_tool_choice=True, checks_model_name=False)
MESSAGES = [{"role": "user", "content": "hi"}]


def sent(
    body: dict | bytes,
    quirks: Quirks = STRICT,
    surface: Surface = CHAT,
    cap: int | None = None,
    live: bool = False,
) -> bytes:
    """What an engine that calls its model "m" is sent."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    inbound = surface.parse(body)
    return body_for(inbound, body, model="m", quirks=quirks, max_tokens_cap=cap, live=live)


def changes(body: dict, *args, **kwargs) -> dict:
    """The fields in which what is sent differs."""
    after = json.loads(sent(body, *args, **kwargs))
    assert body.keys() <= after.keys()
    return {name: value for name, value in after.items() if name not in body or value != body[name]}


@pytest.mark.parametrize(
    ("surface", "body", "quirks"),
    [
        (CHAT, b'{"model": "m",  "messages":[{}] , "x":\t1e2}', STRICT),
        (CHAT, b'{"model":"an alias","messages":[{}]}', LAX),
        (
            CHAT,
            b'{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}',
            STRICT,
        ),
        (CHAT, b'{"model":"m","messages":[{}],"tool_choice":"auto"}', NAMED_FOR_AUTO),
        (CHAT, b'{"model":"m","messages":[{}],"tool_choice":null}', NAMED_FOR_AUTO),
        (CHAT, b'{"model":"m","messages":[{}],"tool_choice":{"function":{"name":"f"}}}', STRICT),
        (COMPLETION, b'{"model":"m","prompt":"x"}', STRICT),
        (EMBEDDING, b'{"model":"m","input":["x"]}', STRICT),
    ],
)
def test_a_body_that_needs_no_change_is_sent_as_it_came(
    surface: Surface, body: bytes, quirks: Quirks
) -> None:
    assert sent(body, quirks, surface) is body


@pytest.mark.parametrize(
    ("asked", "quirks", "expected"),
    [
        ("m", STRICT, {}),
        ("alias", STRICT, {"model": "m"}),
        ("alias", LAX, {}),
        ("auto", LAX, {"model": "m"}),
        ("auto", STRICT, {"model": "m"}),
        ("", LAX, {"model": "m"}),
    ],
)
def test_the_model_is_the_engines_own_name_where_that_matters(asked: str, quirks: Quirks, expected) -> None:
    assert changes({"model": asked, "messages": MESSAGES}, quirks) == expected
    assert changes({"model": asked, "prompt": "x"}, quirks, COMPLETION) == expected
    assert changes({"model": asked, "input": "x"}, quirks, EMBEDDING) == expected


def test_an_absent_model_is_named() -> None:
    assert changes({"messages": MESSAGES}, LAX) == {"model": "m"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream_options": {"include_usage": None, "more": [1, 2]}},
            {"include_usage": True, "more": [1, 2]},
        ),
    ],
    ids=repr,
)
def test_a_stream_is_always_asked_for_its_usage(options: dict, expected: dict) -> None:
    body = {"model": "m", "messages": MESSAGES, "stream": True, **options}
    assert changes(body) == {"stream_options": expected}
    assert changes({**body, "stream": False}) == {}


def test_a_live_answer_is_a_stream_with_progress_whatever_the_client_wants() -> None:
    body = {"model": "m", "messages": MESSAGES}
    asked = {"stream": True, "return_progress": True, "stream_options": {"include_usage": True}}
    assert changes(body, live=True) == asked
    assert changes({**body, "stream": True}, live=True) == {k: asked[k] for k in asked if k != "stream"}


def test_a_cap_bounds_the_answer() -> None:
    assert changes({"model": "m", "messages": MESSAGES}, cap=9) == {"max_tokens": 9}
    assert changes({"model": "m", "messages": MESSAGES, "max_tokens": None}, cap=9) == {"max_tokens": 9}


def tool(name: str) -> dict:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def named(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def test_a_named_tool_is_the_only_one_offered_and_required() -> None:
    body = {"model": "m", "messages": MESSAGES, "tools": [tool("a"), tool("b")], "tool_choice": named("b")}
    assert changes(body, NAMED_FOR_AUTO) == {"tools": [tool("b")], "tool_choice": "required"}
    assert changes(body, LAX) == {}


def test_a_named_tool_keeps_its_bytes() -> None:
    raw = b'{"type": "function",  "function":{"name":"a","parameters":{"x":1E2}}}'
    body = b'{"messages":[{}],"tools":[%b],"tool_choice":{"function":{"name":"a"}},"model":"m"}' % raw
    assert bytes(read_fields(sent(body, NAMED_FOR_AUTO))["tools"]) == b"[" + raw + b"]"


@pytest.mark.parametrize(
    ("tools", "choice", "field"),
    [
        ([tool("a")], named("b"), ""),
        ([], named("b"), ""),
        ([{"type": "function"}], named("b"), ""),
        ([tool("a")], {"type": "function"}, ".function"),
        ([tool("a")], {"type": "function", "function": {}}, ".function.name"),
        ([tool("a")], {}, ".function"),
    ],
    ids=repr,
)
def test_a_named_tool_that_is_not_offered_is_refused(tools: list, choice: dict, field: str) -> None:
    body = {"model": "m", "messages": MESSAGES, "tools": tools, "tool_choice": choice}
    with pytest.raises(BadRequest) as refused:
        sent(body, NAMED_FOR_AUTO)
    assert refused.value.field == f"tool_choice{field}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'"tools":"x","tool_choice":{"function":{"name":"a"}}', "tools"),
        (b'"tools":[5],"tool_choice":{"function":{"name":"a"}}', "tools[0]"),
        (b'"tools":null,"tool_choice":{"function":{"name":"a"}}', "tool_choice"),
        (b'"tools":[{"function":{"name":"\xff"}}],"tool_choice":{"function":{"name":"a"}}', "tools"),
        (b'"tools":[],"tool_choice":{"function":{"name":"\xff"}}', "tool_choice"),
        (b'"tools":[],"tool_choice":{"function":{"name":5}}', "tool_choice.function.name"),
    ],
    ids=repr,
)
def test_a_broken_named_tool_is_refused_and_named(body: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        sent(b'{"messages":[{}],%b}' % body, NAMED_FOR_AUTO)
    assert refused.value.field == field


def test_a_named_tool_of_any_depth_is_sent_or_refused() -> None:
    """The deeper the call, the less depth is left for what was not too deep when the body was read."""

    def deeper(calls: int, send: Callable[[], bytes]) -> bytes:
        return deeper(calls - 1, send) if calls else send()

    outcomes: set[str] = set()
    for depth in range(1, 1000):
        nest = b"[" * depth + b"]" * depth
        body = b'{"messages":[{}],"tools":[{"x":%b,"function":{"name":"a"}}],' % nest
        body += b'"tool_choice":{"x":%b,"function":{"name":"a"}}}' % nest
        try:
            inbound = CHAT.parse(body)
            send = partial(
                body_for, inbound, body, model="m", quirks=NAMED_FOR_AUTO, max_tokens_cap=None, live=False
            )
            assert b'"required"' in deeper(20, send)
            outcomes.add("sent")
        except BadRequest as error:
            assert "too deeply" in error.message
            outcomes.add(str(error.field))
    assert {"sent", "body", "tool_choice"} <= outcomes


KEPT = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([b"1.50", b"1E0", b"null"]),
        "stop": st.sampled_from([b'"a\\u00e9"', b"[ ]"]),
        "é": st.sampled_from([b'{ "x" : [1 ,2] }', b"-0"]),
    },
)


@given(KEPT, st.sampled_from([b'"m"', b'"auto"', b'"alias"']), st.booleans(), st.none() | st.integers(1, 99))
def test_whatever_changes_everything_else_keeps_its_bytes(
    kept: dict[str, bytes], model: bytes, stream: bool, cap: int | None
) -> None:
    given_fields = {
        **kept,
        "messages": b'[ {"role" :"user","content":"\\u2603"} ]',
        "model": model,
        "stream": b"true" if stream else b"false",
    }
    body = b"{%b}" % b" , ".join(b'"%b" : %b' % (k.encode(), v) for k, v in given_fields.items())
    after = read_fields(sent(body, cap=cap))
    for name in (*kept, "messages", "stream"):
        assert bytes(after[name]) == given_fields[name]
    assert json.loads(bytes(after["model"])) == "m"
    assert set(after) - set(given_fields) <= {"stream_options", "max_tokens"}


# The head.


@pytest.mark.parametrize(
    ("endpoint", "line", "host"),
    [
        (Endpoint("http://127.0.0.1:4000"), "", "127.0.0.1:4000"),
        (Endpoint("http://127.0.0.1:4000/"), "", "127.0.0.1:4000"),
        (Endpoint("http://box:80/engines/one/"), "/engines/one", "box:80"),
        (Endpoint("http://[::1]:4000"), "", "[::1]:4000"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
def test_the_head_names_path_host_and_length(endpoint: Endpoint, line: str, host: str, path: str) -> None:
    assert (
        head_of(endpoint, path, b"application/json", 12, b"")
        == (
            f"POST {line}{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            "content-length: 12\r\n\r\n"
        ).encode()
    )


def test_the_head_shows_the_engines_key_and_passes_the_trace_on() -> None:
    head = head_of(
        Endpoint("http://e:1", "secret"), "/v1/chat/completions", b"application/json", 0, b"00-aa-bb-01"
    )
    assert b"\r\nauthorization: Bearer secret\r\n" in head
    assert b"\r\ntraceparent: 00-aa-bb-01\r\n" in head
    assert head.endswith(b"\r\ncontent-length: 0\r\n\r\n")
    assert b"secret" not in head_of(
        Endpoint("http://e:1", "other"), "/v1/chat/completions", b"application/json", 0, b""
    ), "each its own"


def test_no_url_brings_a_header_of_its_own() -> None:
    head = head_of(
        Endpoint("http://e:1/a\r\nx-evil: 1\r\n"), "/v1/chat/completions", b"application/json", 0, b""
    )
    assert b"\r\nx-evil" not in head


# What comes back.


def test_ids_of_the_wrong_kind_are_replaced_for_completions_only() -> None:
    quirky = Quirks(chat_ids_everywhere=True)
    assert fixes("completions", quirky, "m", "m") == ((b'"id":"chatcmpl-', b'"id":"cmpl-'),)
    assert fixes("chat", quirky, "m", "m") == ()
    assert fixes("completions", STRICT, "m", "m") == ()


def test_an_engines_own_name_for_the_model_is_not_told() -> None:
    assert fixes("chat", STRICT, '/a/"b"', "b") == ((rb'"/a/\"b\""', b'"b"'),)


@pytest.mark.parametrize("stream", [False, True])
def test_what_an_engine_must_not_hear_is_not_sent(stream: bool) -> None:
    body = msgspec.json.encode(
        {"model": "m", "messages": MESSAGES, "stream": stream, "adapters": "/etc", "seed": 1}
    )
    sent = body_for(
        CHAT.parse(body),
        body,
        model="m",
        quirks=Quirks(never_sent=frozenset({"adapters"})),
        max_tokens_cap=None,
    )
    assert "adapters" not in read_fields(sent)
    assert "seed" in read_fields(sent)


def error(message: str, kind: str = "", **more: object) -> dict:
    return {"error": {"message": message, "type": kind, **more}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "field"),
    [
        (400, error("too long", "exceed_context_size_error", n_ctx=4096), ContextTooLong, "messages"),
        (500, error("too long", "exceed_context_size_error"), ContextTooLong, "messages"),
        (400, error("what?", "invalid_request_error"), BadRequest, None),
        (400, error("Field 'n_probs': type must be number"), BadRequest, "n_probs"),
        (404, error("no such model"), BadRequest, None),
        (404, {"error": "generation thread died"}, BadRequest, None),
        (422, {"detail": [{"loc": ["body"]}]}, BadRequest, None),
        (501, error("This server does not support embeddings"), BadRequest, None),
        (500, error("image input is not supported - hint"), BadRequest, "messages"),
        (500, error("Failed to parse messages: no role"), BadRequest, "messages"),
        (500, error("Failed to parse tools: x"), BadRequest, "tools"),
        (500, error("Failed to parse grammar"), BadRequest, None),
        (500, error("Unable to generate parser for this template"), BadRequest, None),
        (500, error("out of memory"), EngineDied, None),
        (502, {}, EngineDied, None),
        (500, {"error": None}, EngineDied, None),
        (500, {"error": {"code": 500}}, EngineDied, None),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_refusal_is_the_clients_or_the_engines_fault(
    status: int, body: dict, expected: type[FlockError], field: str | None
) -> None:
    found = refusal(status, json.dumps(body).encode(), "llamacpp")
    assert type(found) is expected
    assert found.field == field
    assert found.message.startswith("the engine (llamacpp) refused: ")
    said = body.get("error")
    if isinstance(said, dict) and "message" in said:
        assert found.message.endswith(said["message"])


@pytest.mark.parametrize(
    "body", [b"", b"Not Found", b"<html>", b"[]", b"null", b'{"error":5}', b'{"a":' * 10**5], ids=len
)
def test_a_refusal_without_a_word_says_its_status(body: bytes) -> None:
    assert refusal(404, body, "mlx").message == "the engine (mlx) refused: status 404"
    assert isinstance(refusal(500, body, "mlx"), EngineDied)


def test_what_an_engine_says_is_told_though_it_is_no_utf8_or_stands_elsewhere() -> None:
    assert refusal(400, b'{"error":{"message":"cut \xff"}}', "e").message.endswith("cut \ufffd")
    vllm = {"object": "error", "message": "not so", "type": "BadRequestError", "code": 400}
    assert refusal(400, json.dumps(vllm).encode(), "vllm").message.endswith("not so")


def test_a_refusal_tells_no_path_of_the_machine_and_no_novel() -> None:
    found = refusal(400, json.dumps(error("cannot open /srv/models/secret/m.gguf")).encode(), "e")
    assert "/srv" not in found.message
    assert "m.gguf" in found.message
    assert len(refusal(400, json.dumps(error("x" * 10**6)).encode(), "e").message) < 2100
