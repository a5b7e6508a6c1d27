"""What is recorded where an engine's own count is missing or speaks of one choice only."""

import pytest

from controlplane.gateway.counts import of_all_choices, of_answer
from controlplane.protocols.base import Usage

ONE = Usage(18, 13, 0)


@pytest.mark.parametrize(
    ("choices", "texts", "events", "bound", "expected"),
    [
        (2, 1, 30, None, (18, 26, "counted")),  # as llama.cpp streams two choices of a chat
        (2, 1, 30, 12, (18, 24, "counted")),
        (2, 1, 0, None, (18, 26, "estimated")),
        (2, 2, 30, None, (50, 26, "counted")),
        (3, 1, 16, None, (18, 13, "counted")),  # best_of=3 makes llama.cpp answer once
    ],
)
def test_all_choices_are_counted_where_the_engine_speaks_of_one(
    choices: int, texts: int, events: int, bound: int | None, expected: tuple[int, int, str]
):
    usage, source = of_all_choices(
        ONE, choices=choices, texts=texts, prompt_tokens=50, bound=bound, events=events
    )
    assert (usage.prompt_tokens, usage.completion_tokens, source) == expected


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"choices":[{"message":{"role":"assistant","content":"12345678"}}]}', 2),
        (b'{"choices":[{"text":"12345678"},{"text":"123"}]}', 3),
        (b'{"choices":[{"message":{"content":null,"reasoning_content":"1234"}}]}', 1),
        (b'{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]}}]}', 3),
        (b'{"data":[]}', 0),
        (b"no JSON", 0),
        (b'{"choices":7}', 0),
    ],
)
def test_an_answer_without_usage_is_measured(body: bytes, tokens: int):
    assert of_answer(body) == tokens
