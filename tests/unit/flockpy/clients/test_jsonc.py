"""JSON as people write it: read right, changed only where it is to be."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flockpy.clients import jsonc
from tests.unit.flockpy.clients.makers import JSON_FILES

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)
LAYOUTS = st.sampled_from([None, 0, 2, 4, "\t"])


@given(OBJECTS, LAYOUTS)
def test_json_reads_as_json(value: dict[str, Any], indent: Any):
    assert jsonc.plain(jsonc.parse(json.dumps(value, indent=indent))) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('// a\n{/* b */"a": 1, // c\n}', {"a": 1}),
        ("{a: 'it\\'s', $b_1: \"x\", }", {"a": "it's", "$b_1": "x"}),
        ("['say \"hi\"',]", ['say "hi"']),
        ('{"url": "http://h//x", "n": -1.5e3, "p": +1}', {"url": "http://h//x", "n": -1500.0, "p": 1}),
        ('\ufeff{"é": "\\u00e9"}', {"é": "é"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_people_write_is_read(text: str, value: Any):
    assert jsonc.plain(jsonc.parse(text)) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ('{"a" 1}', 1),
        ('{\n"a": 1\n"b": 2}', 3),
        ("{}\n}", 2),
        ('{"a": }', 1),
        ('{"a": "x\n"}', 1),
        ("[" * 500, 1),
    ],
)
def test_what_is_no_json_says_the_line(text: str, line: int):
    with pytest.raises(jsonc.NotJson) as wrong:
        jsonc.parse(text)
    assert wrong.value.line == line


@given(OBJECTS, LAYOUTS, st.text(max_size=5), VALUES)
@settings(max_examples=150)
def test_a_member_goes_in_and_out_again(value: dict[str, Any], indent: Any, key: str, new: Any):
    text = json.dumps(value, indent=indent)
    root = jsonc.parse(text)
    if root.slot(key):
        return
    longer = jsonc.insert(text, root, key, new)
    assert jsonc.plain(jsonc.parse(longer)) == value | {key: new}
    root = jsonc.parse(longer)
    slot = root.slot(key)
    assert slot
    shorter = jsonc.remove(longer, root, slot)
    assert jsonc.plain(jsonc.parse(shorter)) == value
    if value:
        assert shorter == text


@given(OBJECTS.filter(bool), LAYOUTS, VALUES, st.data())
def test_a_value_is_replaced_alone(value: dict[str, Any], indent: Any, new: Any, data: st.DataObject):
    text = json.dumps(value, indent=indent)
    key = data.draw(st.sampled_from(sorted(value)))
    slot = jsonc.parse(text).slot(key)
    assert slot
    assert jsonc.plain(jsonc.parse(jsonc.replace(text, slot.node, new))) == value | {key: new}


@pytest.mark.parametrize("text", [text for text in JSON_FILES if text.strip()])
def test_a_member_more_leaves_every_line_of_a_persons_file(text: str):
    longer = jsonc.insert(text, jsonc.parse(text), "new", {"a": [1]})
    assert jsonc.plain(jsonc.parse(longer)) == jsonc.plain(jsonc.parse(text)) | {"new": {"a": [1]}}
    left = iter(longer)
    assert all(character in left for character in text if not character.isspace())
    root = jsonc.parse(longer)
    slot = root.slot("new")
    assert slot
    shorter = jsonc.remove(longer, root, slot)
    assert shorter == text or text in ("{}", "{}\n", "{\n}\n")
