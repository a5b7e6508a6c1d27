"""Examples in prose are told from the real thing."""

import pytest

from controlplane.protocols.rescue.markdown import Markdown


@pytest.mark.parametrize(
    ("text", "line_start", "quoted"),
    [
        ("", True, False),
        ("a", False, False),
        ("a\n  ", True, False),
        ("- ", False, False),
        ("a `", False, True),
        ("a `b` ", False, False),
        ("a `b\n", True, False),
        ("```py\n", True, True),
        ("```py\nx `y` ``` z\n", True, True),
        ("```py\nx\n```\n", True, False),
        ("````\n```\n", True, True),
        ("```x``` ", False, False),
        ("  ```\n", True, True),
        ("`` ` ", False, False),
    ],
)
def test_examples_are_told_by_their_quotes(text, line_start, quoted):
    for pieces in ([text], list(text)):
        markdown = Markdown()
        for piece in pieces:
            markdown.read(piece)
        assert (markdown.line_start, markdown.quoted) == (line_start, quoted)
