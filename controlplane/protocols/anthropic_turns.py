"""Conversations of the Anthropic Messages protocol, read into the neutral form. Pure."""

from typing import Final

import msgspec

from controlplane.protocols.anthropic_blocks import (
    PARTS,
    Dropped,
    RedactedBlock,
    Shape,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    read_blocks,
    read_parts,
)
from controlplane.protocols.ir import (
    Assistant,
    Message,
    Part,
    System,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    User,
)
from flockpy.errors import BadRequest

_ATTRIBUTION: Final = "x-anthropic-billing-header:"
"""So begins a line that Claude Code puts before its system prompt; it differs between conversations, and with it in
front no two of them would share a prefix in an engine's cache."""


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw


_MESSAGE: Final = Shape(_Message)


def read_system(content: msgspec.Raw, path: str, dropped: Dropped) -> str:
    """The instructions in a text or in blocks, as one text; "" when there are none. Raises BadRequest."""
    texts: list[str] = []
    for _, block in read_blocks(content, path, dropped, (TextBlock,)):
        text = block.text if isinstance(block, TextBlock) else ""
        texts.append(text.partition("\n")[2] if text.startswith(_ATTRIBUTION) else text)
    return "\n\n".join(text for text in texts if text)


def read_messages(raw: msgspec.Raw, path: str, dropped: Dropped) -> list[Message]:
    """What one message of a client amounts to. Raises BadRequest that names the place within `path`."""
    message = _MESSAGE.read(raw, path, dropped)
    content, at = message.content, f"{path}.content"
    match message.role:
        case "user":
            return _user(content, at, dropped)
        case "assistant":
            return [_assistant(content, at, dropped)]
        case "system":
            text = read_system(content, at, dropped)
            return [System(text)] if text else []
        case _:
            raise BadRequest(f"{path}.role: must be user, assistant or system", field=f"{path}.role")


def _user(content: msgspec.Raw, path: str, dropped: Dropped) -> list[Message]:
    """What tools answered comes first: it belongs to the calls of the message before."""
    results: list[Message] = []
    parts: list[Part] = []
    for at, block in read_blocks(content, path, dropped, (ToolResultBlock, *PARTS)):
        if isinstance(block, ToolResultBlock):
            inner = read_blocks(block.content, f"{at}.content", dropped, PARTS)
            shown = [part for where, each in inner for part in read_parts(each, where, dropped)]
            results.append(ToolResult(block.tool_use_id, tuple(shown), bool(block.is_error)))
        else:
            parts += read_parts(block, at, dropped)
    if parts or not results:
        results.append(User(tuple(parts) or (TextPart(""),)))
    return results


def _assistant(content: msgspec.Raw, path: str, dropped: Dropped) -> Assistant:
    texts: list[str] = []
    thoughts: list[Thought] = []
    calls: list[ToolCall] = []
    kinds = (TextBlock, ThinkingBlock, RedactedBlock, ToolUseBlock)
    for _, block in read_blocks(content, path, dropped, kinds):
        match block:
            case TextBlock(text):
                texts.append(text)
            case ThinkingBlock(thinking, signature):
                thoughts.append(Thought(thinking, signature or ""))
            case RedactedBlock(data):
                thoughts.append(Thought("", data, redacted=True))
            case ToolUseBlock(call_id, name, arguments):
                calls.append(ToolCall(call_id, name, bytes(arguments).decode()))
            case _:
                pass
    return Assistant("".join(texts), tuple(thoughts), tuple(calls))
