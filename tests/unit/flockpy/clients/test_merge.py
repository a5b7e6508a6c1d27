"""Settings go into a person's file and come out of it as if they had never been there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flockpy.clients.catalog import load_clients
from flockpy.clients.documents import MISSING, Unreadable, open_document
from flockpy.clients.entry import Format
from flockpy.clients.merge import merge, undo
from flockpy.clients.render import settings as settings_of
from flockpy.clients.template import Item, Path
from tests.unit.flockpy.clients.makers import JSON_FILES, TOML_FILES, YAML_FILES, connection

FILES: dict[Format, list[str]] = {"json": JSON_FILES, "toml": TOML_FILES, "yaml": YAML_FILES}
CASES = [
    pytest.param(one, text, id=f"{client.id}-{number}")
    for client in load_clients().values()
    for one in settings_of(client, connection())
    for number, text in enumerate(FILES[one.format])
]


@pytest.mark.parametrize(("one", "text"), CASES)
def test_every_clients_settings_go_in_and_come_out_again(one: Any, text: str):
    document = open_document(one.format, text)
    before = document.get(())
    merged = merge(document, one.changes, one.defaults)
    written = open_document(one.format, document.text())
    again = merge(open_document(one.format, document.text()), one.changes, one.defaults)
    assert not again.made
    assert all(written.get(done.path) == done.after for done in merged.done)
    assert undo(written, merged) == []
    assert open_document(one.format, written.text()).get(()) == before


@pytest.mark.parametrize(("one", "text"), CASES)
def test_what_a_person_changes_later_stays(one: Any, text: str):
    document = open_document(one.format, text)
    merged = merge(document, one.changes, one.defaults)
    mine = merged.done[0].path
    by_hand = {mine[-1].by: mine[-1].name, "x": 1} if isinstance(mine[-1], Item) else "changed by hand"
    document.set(mine, by_hand)
    document.set(("added_by_hand",), 1)
    assert undo(document, merged) == [mine]
    after = open_document(one.format, document.text())
    assert after.get(mine) == by_hand
    assert after.get(("added_by_hand",)) == 1


KEYS = st.sampled_from(["a", "b", "c", "d e", "é"])
LEAVES = (
    st.booleans()
    | st.integers(-1000, 1000)
    | st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=6)
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(LEAVES, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)


def _fitting(changes: dict[Path, Any]) -> list[tuple[Path, Any]]:
    """Without those that lead through another's end."""
    return [
        (path, value)
        for path, value in changes.items()
        if not any(path != other and path == other[: len(path)] for other in changes)
    ]


@pytest.mark.parametrize("format", ["json", "toml", "yaml"])
@given(TREES, st.dictionaries(PATHS, LEAVES | st.lists(LEAVES, max_size=2), min_size=1, max_size=4))
@settings(max_examples=60)
def test_any_changes_to_any_document_can_be_taken_back(
    format: Format, tree: dict[str, Any], wanted: dict[Path, Any]
):
    document = open_document(format, "")
    merge(document, [((key,), value) for key, value in tree.items()])
    text = document.text()
    document = open_document(format, text)
    assert document.get(()) == tree
    merged = merge(document, _fitting(wanted))
    reopened = open_document(format, document.text())
    assert all(reopened.get(path) == value for path, value in _fitting(wanted))
    assert undo(reopened, merged) == []
    assert open_document(format, reopened.text()).get(()) == tree


def test_items_that_others_share_a_list_with_are_told_apart():
    files: list[tuple[Format, str]] = [
        ("json", '{"l": [{"id": "mine", "x": 1}, {"id": "ours", "x": 2}]}'),
        ("yaml", "l:\n  - id: mine\n    x: 1\n  - id: ours\n    x: 2\n"),
    ]
    for format, text in files:
        document = open_document(format, text)
        new: Path = ("l", Item("id", "new"))
        ours: Path = ("l", Item("id", "ours"))
        merged = merge(document, [(new, {"id": "new"}), (ours, {"id": "ours", "x": 3})])
        assert document.get(("l",)) == [{"id": "mine", "x": 1}, {"id": "ours", "x": 3}, {"id": "new"}]
        undo(document, merged)
        assert document.get(("l",)) == [{"id": "mine", "x": 1}, {"id": "ours", "x": 2}]
        assert document.get(new) is MISSING


@pytest.mark.parametrize(
    ("format", "text", "line"),
    [
        ("json", '{\n"a": }', 2),
        ("json", "[]", 1),
        ("toml", "a = 1\nb =\n", 2),
        ("toml", "a = 1\na = 2\n", 2),
        ("yaml", "a: 1\nb: [\n", 3),
        ("yaml", "- a\n", 1),
        ("yaml", "a: 1\na: 2\n", 2),
    ],
)
def test_a_file_that_cannot_be_read_says_the_line(format: Format, text: str, line: int):
    with pytest.raises(Unreadable) as wrong:
        open_document(format, text)
    assert wrong.value.line == line
    assert wrong.value.what


NOISE = st.lists(
    st.sampled_from(
        [
            *"{}[]:,=\"'#&*!|>%@`~?-+.\\/\n\t 0a",
            "- ",
            ": ",
            "2026-13-45",
            "&a ",
            "*a",
            "<<: ",
            "---\n",
            "0x",
            "1e",
        ]
    )
).map("".join)


@pytest.mark.parametrize("format", ["json", "toml", "yaml"])
@given(NOISE | st.text(max_size=20))
@settings(max_examples=150)
def test_whatever_a_file_holds_it_is_read_or_said_to_be_unreadable(format: Format, text: str):
    try:
        document = open_document(format, text)
    except Unreadable:
        return
    before = document.get(())
    merged = merge(document, [(("flockpy", "url"), "x")])
    reopened = open_document(format, document.text())
    assert reopened.get(("flockpy", "url")) == "x"
    undo(reopened, merged)
    assert reopened.get(()) == before
