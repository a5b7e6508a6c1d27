"""How many tokens a request has used where the engine does not say it, or not all of it. Pure."""

from math import ceil
from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Usage
from controlplane.tenants.model import TokensSource

BYTES_PER_TOKEN: Final = 4
"""Of an answer in plain words; a guess."""


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw()


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    text: str = ""


class _Answer(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list[_Choice])


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def of_all_choices(
    one: Usage, *, choices: int, texts: int, prompt_tokens: int, bound: int | None, events: int
) -> tuple[Usage, TokensSource]:
    """The usage of `choices` completions of `texts` prompts, where the engine gave that of `one`, as llama.cpp does.

    `prompt_tokens` is the estimate for all of the prompts, `bound` the most of one completion, `events` those of the
    stream, 0 without one.
    """
    prompt = one.prompt_tokens if texts == 1 else max(one.prompt_tokens, prompt_tokens)
    if not events:
        return Usage(prompt, one.completion_tokens * choices, one.cached_tokens), "estimated"
    # One event for each token, one to begin or end each choice, one for the usage and one for the end of all.
    tokens = events - choices - 2
    if bound is not None:
        tokens = min(tokens, bound * choices)
    return Usage(prompt, max(tokens, one.completion_tokens), one.cached_tokens), "counted"


def of_answer(body: bytes) -> int:
    """Completion tokens of a whole answer, by its length; 0 when it is none."""
    try:
        choices = _ANSWER.decode(body).choices
    except UNREADABLE:
        return 0
    size = 0
    for choice in choices:
        message = choice.message
        texts = (choice.text, message.content or "", message.reasoning_content or "")
        size += sum(len(text.encode()) for text in texts) + len(memoryview(message.tool_calls))
    return ceil(size / BYTES_PER_TOKEN)
