"""The top level of a body: read without looking into long values, and written back byte for byte."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Fields, read_fields, rewrite
from flockpy.errors import BadRequest

BODY = {"model": "m", "messages": [{"role": "user", "content": 'a "quoted" key: {"n": 1, "n": 2}'}], "n": 1}
STYLES = {
    "compact": lambda value: json.dumps(value, separators=(",", ":")),
    "as Python writes it": json.dumps,
    "pretty": lambda value: json.dumps(value, indent=2),
    "tabs": lambda value: json.dumps(value, indent="\t", separators=(" ,", "  :  ")),
    "not only ASCII": lambda value: json.dumps({**value, "é☃": "é☃"}, ensure_ascii=False),
    "spread": lambda value: json.dumps(value, separators=(" " * 100 + ",", "\n" * 100 + ":")),
}
IN_STYLE = pytest.mark.parametrize("write", STYLES.values(), ids=STYLES)


def raw(fields: Fields) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in fields.items()}


@IN_STYLE
def test_fields_are_found_in_every_style(write) -> None:
    fields = read_fields(write(BODY).encode())
    assert {name: json.loads(bytes(fields[name])) for name in BODY} == BODY


@IN_STYLE
@pytest.mark.parametrize("key", BODY)
@pytest.mark.parametrize("value", ["the same", "another"])
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_repeated_key_is_found_in_every_style(write, key: str, value: str, where: str) -> None:
    again = {"@": BODY[key] if value == "the same" else 12}
    text = write({**again, **BODY} if where == "first" else {**BODY, **again}).replace('"@"', f'"{key}"')
    with pytest.raises(BadRequest, match="twice") as refused:
        read_fields(text.encode())
    assert refused.value.field == key


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1,"n":1}',
        b'{"n":12,"n":1}',
        b'{"n":1,"n":12}',
        b'{"n":50,"a":1,"b":1,"c":1,"n":12}',
        b'{"n": 1,"\\u006e":2}',
        b'{"n":"x","a":"\\"n\\":1","n":"x"}',
        b'{"n":{"n":1,"n":1},"n":2}',
    ],
    ids=repr,
)
def test_a_repeated_key_is_found_however_it_hides(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        read_fields(body)
    assert refused.value.field == "n"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b" { } ",
        b'{"":1}',
        b'{"a":{"a":{"a":1}},"b":["a","a"]}',
        b'{"a":"\\"a\\":1"}',
        b'\n{"a"\t:1}\n',
    ],
    ids=repr,
)
def test_what_only_looks_like_a_repeated_key_is_none(body: bytes) -> None:
    assert {name: json.loads(value) for name, value in raw(read_fields(body)).items()} == json.loads(body)


SPACE = st.sampled_from(["", "", " ", "\n  ", "\t", " " * 70])
KEYS = st.sampled_from(["a", "b", "n", "model", "é", '"', "\\", "", ":", "{"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 120)
    | st.sampled_from(["", "a", '"a":', '","a": "', "}{", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, Sequence[tuple[str, object]]]:
    """A JSON object in some mix of styles, and its pairs."""
    pairs = draw(st.lists(st.tuples(KEYS, VALUES), max_size=6))
    ascii_only = draw(st.booleans())

    def text(value: object) -> str:
        separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        return json.dumps(value, ensure_ascii=ascii_only, separators=separators)

    inner = ",".join(
        draw(SPACE) + text(key) + draw(SPACE) + ":" + draw(SPACE) + text(value) + draw(SPACE)
        for key, value in pairs
    )
    return f"{draw(SPACE)}{{{inner or draw(SPACE)}}}{draw(SPACE)}", pairs


@given(objects())
def test_a_body_is_refused_exactly_when_it_says_a_thing_twice(
    written: tuple[str, Sequence[tuple[str, object]]],
) -> None:
    text, pairs = written
    keys = [key for key, _ in pairs]
    if len(set(keys)) == len(keys):
        fields = read_fields(text.encode())
        assert {name: json.loads(value) for name, value in raw(fields).items()} == dict(pairs)
        return
    with pytest.raises(BadRequest) as refused:
        read_fields(text.encode())
    assert keys.count(str(refused.value.field)) > 1


@given(objects(), st.dictionaries(KEYS | st.just("stream_options"), VALUES, max_size=3))
def test_rewriting_keeps_every_other_value_byte_for_byte(
    written: tuple[str, Sequence[tuple[str, object]]], changes: dict[str, object]
) -> None:
    text, pairs = written
    if len({key for key, _ in pairs}) < len(pairs):
        return
    fields = read_fields(text.encode())
    again = read_fields(rewrite(fields, changes))
    assert list(again) == [*fields, *(key for key in changes if key not in fields)]
    for name, value in raw(again).items():
        assert json.loads(value) == changes[name] if name in changes else value == bytes(fields[name])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":1}x', "trailing"),
        (b'{"a":1,}', "comma"),
        (b'{"a":01}', "number"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
        (b'{"a":"\\x"}', "escaped"),
        (b'{"a":"\\ud800 and so on"}', "hex escape"),
        (b'{"a":"\\udc00 and so on"}', "surrogate"),
        (b"\xef\xbb\xbf{}", "byte 0"),
        (b"\xff", "byte 0"),
        (b'{"\xff":1}', "UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'"x"', "Expected `object`, got `str`"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too deeply"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_place(body: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says) as refused:
        read_fields(body)
    assert refused.value.field == "body"


def test_a_long_body_is_gone_through_fast_whatever_is_in_it() -> None:
    """Bodies of many megabytes are allowed; time and memory may only grow with their length."""
    text = '\\n\\"{[' * 500_000
    body = b'{ "messages": [ { "role": "user", "content": "%b" } ], "model": "m" }' % text.encode()
    assert msgspec.json.decode(bytes(read_fields(body)["model"])) == "m"
