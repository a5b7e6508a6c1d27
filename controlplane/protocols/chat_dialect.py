"""A neutral request as the body of chat/completions, for an engine or a vendor that speaks nothing else. Pure.

What local chat templates refuse is put so that they take it: one system message at the head, tool results of text
alone, arguments that are a JSON object, contents that are no list when they are nothing but text.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    JsonFormat,
    Message,
    Named,
    Part,
    Request,
    System,
    TextPart,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    User,
)

_Object = dict[str, Any]
THREE_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""How hard a model is to think, for those who know three degrees and refuse others."""
_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def render_request(request: Request, *, model: str, stream: bool, thoughts: bool = False) -> bytes:
    """The body. `model` is what the engine calls it; `thoughts`: reasoning of earlier turns goes along as
    ``reasoning_content``. A stream always asks for usage, for we count by it."""
    body: _Object = {"model": model, "messages": _messages(request.messages, thoughts), "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _choice(request)
        body["parallel_tool_calls"] = request.parallel_tool_calls
    body["max_tokens"] = request.max_tokens
    body["temperature"] = request.temperature
    body["top_p"] = request.top_p
    body["top_k"] = request.top_k
    body["seed"] = request.seed
    body["stop"] = list(request.stop) or None
    body["response_format"] = _format(request.format)
    body["user"] = request.user
    body |= _thinking(request.thinking)
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


class _Turns:
    """Messages in the order templates and vendors insist on.

    Instructions in mid-conversation and images of tool results wait for the next place where a user may speak. Every
    call has its result right behind it: one that has none is told so, and a result of no call is said by the user.
    """

    def __init__(self, thoughts: bool) -> None:
        self._thoughts = thoughts
        self._head: list[str] = []
        self._turns: list[_Object] = []
        self._waiting: list[Part] = []
        self._unanswered: dict[str, None] = {}

    def add(self, message: Message) -> None:
        match message:
            case System() if not self._turns:
                self._head.append(message.text)
            case System():
                self._waiting.append(TextPart(message.text))
            case User():
                self._answer_all()
                self._turns.append({"role": "user", "content": [*self._waiting, *message.parts]})
                self._waiting.clear()
            case ToolResult() if message.call_id in self._unanswered:
                del self._unanswered[message.call_id]
                self._turns.append(_result(message.call_id, _told(message)))
                self._waiting += _media(message)
            case ToolResult():
                said = f"(the tool result {message.call_id})\n{_joined(message.parts)}"
                self._waiting += [TextPart(said), *_media(message)]
            case Assistant():
                self._speak()
                self._turns.append(_assistant(message, self._thoughts))
                self._unanswered = dict.fromkeys(call.id for call in message.calls)

    def end(self) -> list[_Object]:
        self._speak()
        if self._head and not any(turn["role"] == "user" for turn in self._turns):  # many templates need one
            self._turns.insert(0, {"role": "user", "content": [TextPart(self._head.pop())]})
        for turn in self._turns:
            if turn["role"] == "user":
                turn["content"] = _content(turn["content"])
        head = [{"role": "system", "content": "\n\n".join(self._head)}] if self._head else []
        return [*head, *self._turns]

    def _speak(self) -> None:
        """What waits is said in the user's turn just before, or else in one of its own."""
        self._answer_all()
        if self._waiting and self._turns and self._turns[-1]["role"] == "user":
            self._turns[-1]["content"] += self._waiting
        elif self._waiting:
            self._turns.append({"role": "user", "content": [*self._waiting]})
        self._waiting.clear()

    def _answer_all(self) -> None:
        self._turns += [_result(call_id, "(no result)") for call_id in self._unanswered]
        self._unanswered.clear()


def render_messages(messages: Iterable[Message]) -> bytes:
    """The messages of a body alone, reasoning of earlier turns among them."""
    return msgspec.json.encode(_messages(messages, thoughts=True))


def _messages(messages: Iterable[Message], thoughts: bool) -> list[_Object]:
    turns = _Turns(thoughts)
    for message in messages:
        turns.add(message)
    return turns.end()


def _content(parts: list[Part]) -> str | list[_Object]:
    if all(isinstance(part, TextPart) for part in parts):
        return _joined(parts)
    return [_part(part) for part in parts]


def _joined(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _part(part: Part) -> _Object:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            image = {"url": part.url} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}


def _assistant(message: Assistant, thoughts: bool) -> _Object:
    turn: _Object = {"role": "assistant", "content": message.text}
    reasoning = "\n".join(thought.text for thought in message.thoughts if thought.text)
    if thoughts and reasoning:
        turn["reasoning_content"] = reasoning
    if message.calls:
        turn["tool_calls"] = [_call(call) for call in message.calls]
    return turn


def _call(call: ToolCall) -> _Object:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(text: str) -> str:
    """Templates read the arguments of earlier calls, and engines answer 500 when they are no object."""
    try:
        _ARGUMENTS.decode(text)
    except UNREADABLE:
        return msgspec.json.encode({"arguments": text}).decode() if text.strip() else "{}"
    return text


def _result(call_id: str, text: str) -> _Object:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def _told(message: ToolResult) -> str:
    text = _joined(message.parts)
    if message.is_error and "error" not in text.casefold():
        text = f"Error: {text}"
    if _media(message):
        text = f"{text}\n(attached to the next message)".lstrip()
    return text


def _media(message: ToolResult) -> list[Part]:
    """What a tool message cannot hold, with a word on where it comes from."""
    media = [part for part in message.parts if not isinstance(part, TextPart)]
    return [TextPart(f"(attached by the tool result {message.call_id})"), *media] if media else []


def _tool(tool: Tool) -> _Object:
    function: _Object = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {
        "type": "function",
        "function": function | ({} if tool.strict is None else {"strict": tool.strict}),
    }


def _choice(request: Request) -> str | _Object | None:
    if isinstance(request.tool_choice, Named):
        return {"type": "function", "function": {"name": request.tool_choice.name}}
    return request.tool_choice


def _format(wanted: JsonFormat | None) -> _Object | None:
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: _Object = {"name": wanted.name, "schema": wanted.schema}
    return {
        "type": "json_schema",
        "json_schema": schema | ({} if wanted.strict is None else {"strict": wanted.strict}),
    }


def _thinking(wanted: Thinking) -> _Object:
    """Templates that can reason do so unless told otherwise."""
    if wanted.enabled is False or wanted.effort == "none":
        return {"chat_template_kwargs": {"enable_thinking": False}}
    return {"reasoning_effort": THREE_EFFORTS.get(wanted.effort or "")}
