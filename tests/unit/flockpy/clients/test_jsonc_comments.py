"""Comments, odd layouts and trailing commas outlive every change: made-up files as wild as people's."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flockpy.clients import jsonc

BLANKS = st.lists(
    st.sampled_from([" ", "  ", "\n", "\t", "\n    ", "/* b, } */", "// l, {\n", "//\n", "/*\n*/ "]),
    max_size=3,
).map("".join)
SCALARS = st.sampled_from(["1", '"x"', "true", "null", '"a, b"', '"// no"', "'one'", '"\\""'])
KEYS = st.sampled_from(['"a"', "b", "'c'", '"d e"', '"//"'])


@st.composite
def wild(draw: st.DrawFn, depth: int = 0, kind: str = "") -> str:
    """The text of a value."""
    kind = kind or (draw(st.sampled_from(["scalar", "object", "array"])) if depth < 3 else "scalar")
    if kind == "scalar":
        return draw(SCALARS)
    keys = draw(st.lists(KEYS, max_size=3, unique_by=lambda key: key.strip("\"'")))
    parts: list[str] = []
    for key in keys:
        name = f"{key}{draw(BLANKS)}:{draw(BLANKS)}" if kind == "object" else ""
        parts.append(f"{draw(BLANKS)}{name}{draw(wild(depth + 1))}{draw(BLANKS)}")
    if parts and draw(st.booleans()):
        parts.append(draw(BLANKS))  # a trailing comma
    inside = ",".join(parts) or draw(BLANKS)
    return "{" + inside + "}" if kind == "object" else "[" + inside + "]"


def _comments(text: str) -> list[str]:
    strings = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'"
    found = re.findall(rf"{strings}|(//[^\n]*|/\*.*?\*/)", text, re.DOTALL)
    return sorted(comment.rstrip() for comment in found if comment)


@given(BLANKS, wild(kind="object"), BLANKS, st.sampled_from([1, {"n": [1]}, []]))
@settings(max_examples=300)
def test_a_member_goes_in_and_out_and_every_comment_stays(before: str, text: str, after: str, new: Any):
    text = before + text + after
    root = jsonc.parse(text)
    value = jsonc.plain(root)
    longer = jsonc.insert(text, root, "new", new)
    assert jsonc.plain(jsonc.parse(longer)) == value | {"new": new}
    assert _comments(longer) == _comments(text)
    root = jsonc.parse(longer)
    slot = root.slot("new")
    assert slot
    shorter = jsonc.remove(longer, root, slot)
    assert jsonc.plain(jsonc.parse(shorter)) == value
    assert _comments(shorter) == _comments(text)


@given(wild(kind="object"), st.data())
@settings(max_examples=200)
def test_any_member_can_be_taken_out_or_replaced(text: str, data: st.DataObject):
    root = jsonc.parse(text)
    if not root.slots:
        return
    slot = data.draw(st.sampled_from(root.slots))
    value = jsonc.plain(root)
    rest = {key: inner for key, inner in value.items() if key != slot.key}
    shorter = jsonc.remove(text, root, slot)
    assert jsonc.plain(jsonc.parse(shorter)) == rest
    replaced = jsonc.replace(text, slot.node, {"x": 2})
    assert jsonc.plain(jsonc.parse(replaced)) == value | {slot.key: {"x": 2}}
    assert json.loads(json.dumps(rest)) == rest
