"""What streamed and whole answers of the Anthropic Messages protocol have in common. Pure."""

from math import ceil
from typing import Any, Final

import msgspec

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import Answer, Meta, Stop, StopReason

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHARACTERS_PER_TOKEN: Final = 4
_REASONS: Final[dict[StopReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "stop_sequence": "stop_sequence",
}


class CallIds:
    """Ids for the tool calls of one answer, in their order: the engine's own, unless it gave none or repeats itself."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._given: set[str] = set()
        self._count = 0

    def __call__(self, given: str) -> str:
        call_id = given if given and given not in self._given else f"toolu_{self._meta.id}_{self._count}"
        self._given.add(call_id)
        self._count += 1
        return call_id


def is_object(arguments: str) -> bool:
    """Whether a call's arguments are a whole JSON object."""
    try:
        _OBJECT.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def input_of(arguments: str) -> str:
    """The JSON text of a tool's `input`, which must be an object: no arguments are ``{}``; what is no object stands
    as it was written under ``_raw``. An empty object in its place would run a tool that needs no arguments, and
    arguments that were cut short and then completed would run it with half a command; under a name that no schema has
    they are refused, and the model reads in the refusal what it wrote."""
    if is_object(arguments):
        return arguments
    if arguments.strip() in ("", "null"):
        return "{}"
    return msgspec.json.encode({"_raw": arguments}).decode()


def stop_of(stop: Stop | None, calls: bool) -> dict[str, str | None]:
    """`stop_reason` and `stop_sequence`. Engines call the end after tool calls a plain stop, and leave it out."""
    reason: StopReason = stop.reason if stop else "stop"
    if reason in ("stop", "tool_calls"):
        reason = "tool_calls" if calls else "stop"
    sequence = stop.sequence if stop and reason == "stop_sequence" else None
    return {"stop_reason": _REASONS[reason], "stop_sequence": sequence}


def usage_of(usage: Usage | None, meta: Meta, characters: int = 0) -> dict[str, int]:
    """`input_tokens` are those that have to do with no cache. What the engine did not count is estimated: the prompt
    as `meta` has it, the answer by its `characters`."""
    counted = usage or Usage(meta.prompt_tokens, ceil(characters / _CHARACTERS_PER_TOKEN))
    return {
        "input_tokens": max(counted.prompt_tokens - counted.cached_tokens - counted.cache_written_tokens, 0),
        "cache_creation_input_tokens": counted.cache_written_tokens,
        "cache_read_input_tokens": counted.cached_tokens,
        "output_tokens": counted.completion_tokens,
    }


def message(
    meta: Meta, content: list[dict[str, Any]], stop: dict[str, Any], usage: dict[str, int]
) -> dict[str, Any]:
    """A message object."""
    head = {"id": f"msg_{meta.id}", "type": "message", "role": "assistant", "model": meta.model}
    return {**head, "content": content, **stop, "usage": usage}


def render(answer: Answer, meta: Meta) -> bytes:
    """The body of a whole answer."""
    content: list[dict[str, Any]] = []
    if answer.reasoning or answer.signature:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": answer.signature})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    call_id = CallIds(meta)
    characters = len(answer.text) + len(answer.reasoning)
    for call in answer.calls:
        arguments = input_of(call.arguments)
        characters += len(arguments)
        given = msgspec.Raw(arguments.encode())
        content.append({"type": "tool_use", "id": call_id(call.id), "name": call.name, "input": given})
    stop = stop_of(answer.stop, bool(answer.calls))
    return msgspec.json.encode(message(meta, content, stop, usage_of(answer.usage, meta, characters)))
