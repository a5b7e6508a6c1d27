"""What the OpenAI surfaces make of a body: what they need of it, or an error that names the field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Surface
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface, EmbeddingSurface
from controlplane.routing.resolve import Wanted
from flockpy.errors import BadRequest

CHAT, COMPLETION, EMBEDDING = ChatSurface(), CompletionSurface(), EmbeddingSurface()
MESSAGES = [{"role": "user", "content": "hi"}]
BAD_SAMPLING = [
    ({"model": 5}, "model"),
    ({"model": None}, "model"),
    ({"stream": "true"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": 5}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": 5.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 2**31}, "max_tokens"),
    ({"max_tokens": 2**32 + 1}, "max_tokens"),
    ({"max_tokens": 10**4000}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"n_predict": -1}, "n_predict"),
    ({"n_predict": 2**32 - 1}, "n_predict"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n_cmpl": 1000}, "n_cmpl"),
    ({"best_of": 0}, "best_of"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 10**4000}, "temperature"),
    ({"top_p": []}, "top_p"),
    ({"top_k": 1.5}, "top_k"),
    ({"seed": "x"}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"seed": -(2**63) - 1}, "seed"),
    ({"stop": 5}, "stop"),
    ({"stop": ["a", 5]}, "stop[1]"),
    ({"user": 5}, "user"),
    ({"model": "m", "n": 1, "user": {}}, "user"),
]


def written(body: object) -> bytes:
    return json.dumps(body).encode()


def refusal(surface: Surface, body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        surface.parse(body)
    assert refused.value.field
    assert refused.value.message.startswith(refused.value.field) or refused.value.field == "body"
    return refused.value


@pytest.mark.parametrize(("wrong", "field"), BAD_SAMPLING, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_refused_and_named(wrong: dict[str, object], field: str) -> None:
    assert refusal(CHAT, written({"messages": MESSAGES, **wrong})).field == field
    assert refusal(COMPLETION, written({"prompt": "x", **wrong})).field == field


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"tool_choice": 5}, "tool_choice"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"logprobs": 5}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": 5}, "logit_bias"),
    ],
    ids=repr,
)
def test_a_wrong_value_that_only_chats_know_is_refused_and_named(wrong: dict, field: str) -> None:
    assert refusal(CHAT, written({"messages": MESSAGES, **wrong})).field == field


@pytest.mark.parametrize(
    "wrong", [{"echo": 5}, {"suffix": 5}, {"logprobs": "x"}, {"logit_bias": 5}], ids=repr
)
def test_a_wrong_value_that_only_completions_know_is_refused_and_named(wrong: dict) -> None:
    assert refusal(COMPLETION, written({"prompt": "x", **wrong})).field == next(iter(wrong))


@pytest.mark.parametrize("messages", [None, [], {}, "hi", 5], ids=repr)
def test_a_chat_without_messages_is_refused(messages: object) -> None:
    assert refusal(CHAT, written({"messages": messages})).field == "messages"
    assert refusal(CHAT, b'{"messages": [ ]}').field == "messages"
    assert refusal(CHAT, b"{}").field == "messages"


TEXTS = [
    ("x", 1),
    ("", 1),
    (["a"], 1),
    (["a", "b", "c"], 3),
    ([1, 2, 3], 1),
    ([[1, 2], [3]], 2),
]
NO_TEXTS = [
    (None, ""),
    ([], ""),
    ([[]], ""),
    ([[1], []], ""),
    (["a", 1], ""),
    (["a", [1]], ""),
    ({"a": 1}, ""),
    (5, ""),
    ([1.5], "[0]"),
    (["a", None], "[1]"),
    ([True], "[0]"),
    ([["a"]], "[0][0]"),
]


@pytest.mark.parametrize(("texts", "count"), TEXTS, ids=repr)
def test_texts_are_counted(texts: object, count: int) -> None:
    assert COMPLETION.parse(written({"prompt": texts})).choices == count
    assert COMPLETION.parse(written({"prompt": texts, "n": 3})).choices == 3 * count
    assert EMBEDDING.parse(written({"input": texts})).max_tokens == 0


@pytest.mark.parametrize(("texts", "place"), NO_TEXTS, ids=repr)
def test_what_is_no_text_is_refused_and_named(texts: object, place: str) -> None:
    assert refusal(COMPLETION, written({"prompt": texts})).field == f"prompt{place}"
    assert refusal(EMBEDDING, written({"input": texts})).field == f"input{place}"


@pytest.mark.parametrize(("surface", "field"), [(COMPLETION, "prompt"), (EMBEDDING, "input")])
def test_a_body_without_texts_is_refused(surface: Surface, field: str) -> None:
    assert refusal(surface, b"{}").field == field


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": 5}, "model"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"user": 5}, "user"),
    ],
)
def test_a_wrong_value_in_an_embedding_request_is_refused_and_named(wrong: dict, field: str) -> None:
    assert refusal(EMBEDDING, written({"input": "x", **wrong})).field == field


@pytest.mark.parametrize("field", ["model", "user"])
def test_a_text_that_is_no_utf8_is_refused_and_named(field: str) -> None:
    body = b'{"messages":[{}],"n":1,"%b":"\xff","top_k":1}' % field.encode()
    assert refusal(CHAT, body).field == field
    assert refusal(COMPLETION, body.replace(b'"messages":[{}]', b'"prompt":"x"')).field == field


@pytest.mark.parametrize("surface", [COMPLETION, EMBEDDING])
def test_a_prompt_that_is_no_utf8_is_refused_and_named(surface: Surface) -> None:
    field = "prompt" if surface is COMPLETION else "input"
    assert refusal(surface, b'{"%b":"\xff"}' % field.encode()).field == field


def test_what_the_pipeline_needs_is_read() -> None:
    body = {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "max_tokens": 5,
        "n": 2,
        "stream_options": {"include_usage": True, "more": 1},
        "unknown": {"kept": "as it is"},
    }
    inbound = CHAT.parse(written(body))
    assert (inbound.model, inbound.stream, inbound.max_tokens) == ("m", True, 5)
    assert (inbound.choices, inbound.wants_usage) == (2, True)
    assert bytes(inbound.fields["unknown"]) == b'{"kept": "as it is"}'


def test_what_is_not_said_is_not_assumed() -> None:
    for extra in ({}, dict.fromkeys(("stream", "max_tokens", "n", "stream_options", "stop", "user", "seed"))):
        inbound = CHAT.parse(written({"messages": MESSAGES, **extra}))
        assert (inbound.model, inbound.stream, inbound.max_tokens) == ("", False, None)
        assert (inbound.choices, inbound.wants_usage) == (1, False)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 5}, 7),
        ({"max_tokens": 1, "n_predict": 500}, 500),
        ({"max_tokens": None, "n_predict": 3}, 3),
        ({"max_tokens": 2**31 - 1}, 2**31 - 1),
    ],
    ids=repr,
)
def test_the_largest_bound_counts_since_any_may_win(bounds: dict[str, object], expected: int) -> None:
    assert CHAT.parse(written({"messages": MESSAGES, **bounds})).max_tokens == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({"n": 2, "n_cmpl": 4}, 4), ({"best_of": 8, "n": 2}, 8), ({"n": None}, 1)],
    ids=repr,
)
def test_the_largest_count_of_choices_counts(counts: dict[str, object], expected: int) -> None:
    assert CHAT.parse(written({"messages": MESSAGES, **counts})).choices == expected
    assert COMPLETION.parse(written({"prompt": ["a", "b"], **counts})).choices == 2 * expected


def test_an_odd_name_is_read_as_it_is() -> None:
    for name in ("a\0b", "é☃", "x" * 10_000, '"', "../../etc"):
        assert CHAT.parse(written({"messages": MESSAGES, "model": name})).model == name


# What ``auto`` has to look for.

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("content", "vision"),
    [
        ("hi", False),
        ([{"type": "text", "text": "hi"}], False),
        ([{"type": "text", "text": "hi"}, IMAGE], True),
        ('say "image_url"', False),
    ],
    ids=repr,
)
def test_a_chat_with_an_image_wants_eyes(content: object, vision: bool) -> None:
    inbound = CHAT.parse(written({"messages": [{"role": "user", "content": content}]}))
    wanted = CHAT.wanted(inbound)
    assert (wanted.capability, wanted.vision) == ("chat", vision)


def test_the_length_of_a_prompt_is_estimated() -> None:
    assert (
        1000 < CHAT.wanted(CHAT.parse(written({"messages": [{"content": "x" * 4000}]}))).prompt_tokens < 1100
    )
    assert COMPLETION.wanted(COMPLETION.parse(written({"prompt": "x" * 4000}))) == Wanted("completion", 1000)
    assert EMBEDDING.wanted(EMBEDDING.parse(written({"input": "x"}))) == Wanted("embedding")


# Why an engine refused.


def chat(*messages: object, **rest: object) -> bytes:
    return written({"messages": messages, **rest})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (chat({"content": "x"}), "messages[0].role"),
        (chat({"role": 5}), "messages[0].role"),
        (chat({"role": "user", "content": 5}), "messages[0].content"),
        (chat(MESSAGES[0], "hi"), "messages[1]"),
        (chat(MESSAGES[0], {"role": "user", "content": [{"text": "x"}]}), "messages[1].content[0].type"),
        (chat({"role": "user", "content": [{"type": "text", "text": 5}]}), "messages[0].content[0].text"),
        (chat({"role": "assistant", "tool_calls": {}}), "messages[0].tool_calls"),
        (chat({"role": "tool", "tool_call_id": 5}), "messages[0].tool_call_id"),
        (chat(MESSAGES[0], tools={}), "tools"),
        (chat(MESSAGES[0], tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
        (chat(MESSAGES[0], tool_choice=5), "tool_choice"),
        (chat(MESSAGES[0], response_format="json"), "response_format"),
        (chat(MESSAGES[0], response_format={}), "response_format.type"),
        (chat(MESSAGES[0], top_logprobs=21), "top_logprobs"),
        (chat(MESSAGES[0], logit_bias=5), "logit_bias"),
        (chat({"role": "user", "content": [{"type": "text"}, IMAGE]}), "messages"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_refused_chat_is_explained_with_the_field(body: bytes, field: str) -> None:
    explained = CHAT.explain(body, ("chat",))
    assert explained is not None
    assert explained.field == field


def test_a_chat_without_fault_is_not_explained() -> None:
    full = chat(
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE], "name": "me"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "done", "unknown": [1]},
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "x"}},
        logit_bias={"1": 5},
        unknown=1,
    )
    assert CHAT.explain(full, ("chat", "vision")) is None
    assert CHAT.explain(full, ("chat",)) is not None


def test_refused_completions_and_embeddings_are_explained() -> None:
    assert COMPLETION.explain(written({"prompt": "x"}), ("completion",)) is None
    explained = COMPLETION.explain(written({"prompt": "x", "suffix": 5}), ("completion",))
    assert explained is not None
    assert explained.field == "suffix"
    assert EMBEDDING.explain(written({"input": "x"}), ("embedding",)) is None
    explained = EMBEDDING.explain(written({"input": "x"}), ("chat",))
    assert explained is not None
    assert explained.field == "model"


# Anything at all.

KNOWN = [
    *(
        "model",
        "messages",
        "prompt",
        "input",
        "stream",
        "stream_options",
        "max_tokens",
        "n",
        "best_of",
        "stop",
    ),
    *(
        "tools",
        "tool_choice",
        "response_format",
        "logit_bias",
        "encoding_format",
        "dimensions",
        "user",
        "seed",
    ),
    *("max_completion_tokens", "n_predict", "temperature", "logprobs", "role", "content", "type", "usage"),
]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["auto", "user", "image_url", "\0", "", "float"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KNOWN), ANYTHING, max_size=6)


def assert_nothing_but_bad_requests(body: bytes) -> None:
    for surface in (CHAT, COMPLETION, EMBEDDING):
        try:
            inbound = surface.parse(body)
        except BadRequest as error:
            assert error.field
            json.loads(surface.error(error))
        else:
            surface.wanted(inbound)
            assert inbound.choices >= 1
        for explained in (surface.explain(body, ()), surface.explain(body, (surface.capability,))):
            assert explained is None or explained.field
        usage = surface.usage(body)
        assert usage is None or min(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) >= 0


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda noise: b'{"messages":[' + noise + b"]}"))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert_nothing_but_bad_requests(body)


@given(OBJECTS | ANYTHING, st.booleans())
def test_any_json_is_read_or_refused(value: object, ascii_only: bool) -> None:
    assert_nothing_but_bad_requests(
        json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    )


@given(OBJECTS, st.lists(st.integers(0, 10_000), max_size=3), st.binary(max_size=4))
def test_any_damaged_json_is_read_or_refused(value: object, cuts: list[int], noise: bytes) -> None:
    body = json.dumps(value).encode()
    for cut in cuts:
        at = cut % (len(body) + 1)
        body = body[:at] + noise + body[at + len(noise) :]
    assert_nothing_but_bad_requests(body)
