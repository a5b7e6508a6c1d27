"""The messages of chat/completions, in all the shapes that clients send them, as neutral messages. Pure."""

import msgspec

from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
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


class _Image(msgspec.Struct):
    url: str
    detail: str | None = None


class _Audio(msgspec.Struct):
    data: str
    format: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _Image | str | None = None
    input_audio: _Audio | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, msgspec.Raw] | None = None


class _Custom(msgspec.Struct):
    name: str
    input: str = ""


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class ChatMessage(msgspec.Struct):
    """A message as it stands in a body; `function_call` and the role ``function`` are of old."""

    role: str
    content: str | list[_Part | str] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    tool_call_id: str | None = None


class Conversation:
    """Takes a body's messages one after the other; `dropped` is added to.

    A call without an id gets one, and a result without one answers the oldest call that has none yet.
    """

    def __init__(self, dropped: list[str]) -> None:
        self.messages: list[Message] = []
        self._dropped = dropped
        self._unanswered: list[str] = []
        self._count = 0

    def add(self, message: ChatMessage) -> None:
        """Raises BadRequest that names the field."""
        where = f"messages[{self._count}]"
        self._count += 1
        match message.role:
            case "system" | "developer":
                self.messages.append(System(self._text(message, where)))
            case "user":
                if message.name:
                    self._dropped.append(f"{where}.name")
                self.messages.append(User(self._parts(message, where)))
            case "assistant":
                self.messages.append(self._assistant(message, where))
            case "tool" | "function":
                call_id = self._answered(message, where)
                self.messages.append(ToolResult(call_id, self._parts(message, where)))
            case _:
                said = f"{where}.role: must be system, developer, user, assistant or tool, not {message.role}"
                raise BadRequest(said, field=f"{where}.role")

    def _assistant(self, message: ChatMessage, where: str) -> Assistant:
        calls = list(message.tool_calls or ())
        if message.function_call is not None:
            calls.append(_Call(function=message.function_call))
        made = tuple(
            _call(call, f"{where}.tool_calls[{i}]", f"call_{self._count}_{i}") for i, call in enumerate(calls)
        )
        self._unanswered = [call.id for call in made]
        reasoning = message.reasoning_content or message.reasoning
        thoughts = (Thought(reasoning),) if reasoning else ()
        return Assistant(self._text(message, where) or message.refusal or "", thoughts, made)

    def _answered(self, message: ChatMessage, where: str) -> str:
        call_id = message.tool_call_id or next(iter(self._unanswered), None)
        if call_id is None:
            field = f"{where}.tool_call_id"
            raise BadRequest(f"{field}: a tool's result needs the id of its call", field=field)
        if call_id in self._unanswered:
            self._unanswered.remove(call_id)
        return call_id

    def _text(self, message: ChatMessage, where: str) -> str:
        """The text of what can be nothing but text."""
        parts = self._parts(message, where)
        self._dropped += [
            f"{where}.content[{i}]" for i, part in enumerate(parts) if not isinstance(part, TextPart)
        ]
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))

    def _parts(self, message: ChatMessage, where: str) -> tuple[Part, ...]:
        if message.content is None or isinstance(message.content, str):
            return (TextPart(message.content),) if message.content else ()
        parts: list[Part] = []
        for index, part in enumerate(message.content):
            read = TextPart(part) if isinstance(part, str) else _part(part, f"{where}.content[{index}]")
            if read is not None:
                parts.append(read)
            elif isinstance(part, _Part):
                self._dropped.append(f"{where}.content[{index}].{part.type}")
        return tuple(parts)


def _call(call: _Call, where: str, otherwise: str) -> ToolCall:
    """`otherwise`: the id of a call that has none."""
    if call.custom is not None:
        return ToolCall(call.id or otherwise, call.custom.name, _json({"input": call.custom.input}))
    if call.function is None:
        raise BadRequest(f"{where}.function: a call needs its function", field=f"{where}.function")
    arguments = call.function.arguments
    text = _json(arguments) if isinstance(arguments, dict) else arguments or ""
    return ToolCall(call.id or otherwise, call.function.name, text)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _part(part: _Part, where: str) -> Part | None:
    """None for a kind that no engine knows."""
    match part:
        case _Part(type="image_url" | "input_image", image_url=_Image(url=url, detail=detail)):
            return ImagePart(url, detail)
        case _Part(type="image_url" | "input_image", image_url=str(url)):
            return ImagePart(url)
        case _Part(type="input_audio", input_audio=_Audio(data=data, format=form)):
            return AudioPart(data, form)
        case _Part(type="text" | "input_text" | "output_text", text=str(text)):
            return TextPart(text)
        case _Part(type="refusal", refusal=str(text)):
            return TextPart(text)
        case _Part(type="image_url" | "input_audio" | "text"):
            raise BadRequest(f"{where}.{part.type}: is required here", field=f"{where}.{part.type}")
        case _:
            return None
