"""The items of a Responses request as clients send them: what is read of each. Pure."""

from typing import Final

import msgspec


class Head(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None


class Audio(msgspec.Struct):
    data: str
    format: str


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    input_audio: Audio | None = None


Content = str | tuple[Part, ...] | None


class Message(msgspec.Struct):
    role: str
    content: Content = None


class Reasoning(msgspec.Struct):
    summary: tuple[Part, ...] | None = None
    content: tuple[Part, ...] | None = None
    encrypted_content: str | None = None


class FunctionCall(msgspec.Struct):
    call_id: str
    name: str
    arguments: str = ""
    namespace: str | None = None


class CustomCall(msgspec.Struct):
    call_id: str
    name: str
    input: str = ""
    namespace: str | None = None


class Told(msgspec.Struct):
    """How older clients wrap an output."""

    content: str = ""
    success: bool | None = None


class Output(msgspec.Struct):
    call_id: str
    output: str | tuple[Part, ...] | Told | None = None


class ShellCall(msgspec.Struct):
    """`id` is what older clients call the call by."""

    call_id: str | None = None
    id: str | None = None
    action: msgspec.Raw = msgspec.Raw()
    operation: msgspec.Raw = msgspec.Raw()


class ShellOutput(msgspec.Struct):
    call_id: str | None = None
    id: str | None = None
    output: msgspec.Raw = msgspec.Raw(b'""')


class Tools(msgspec.Struct):
    tools: tuple[msgspec.Raw, ...] = ()


HEAD: Final = msgspec.json.Decoder(Head)
MESSAGE: Final = msgspec.json.Decoder(Message)
REASONING: Final = msgspec.json.Decoder(Reasoning)
FUNCTION_CALL: Final = msgspec.json.Decoder(FunctionCall)
CUSTOM_CALL: Final = msgspec.json.Decoder(CustomCall)
OUTPUT: Final = msgspec.json.Decoder(Output)
SHELL_CALL: Final = msgspec.json.Decoder(ShellCall)
SHELL_OUTPUT: Final = msgspec.json.Decoder(ShellOutput)
TOOLS: Final = msgspec.json.Decoder(Tools)
STRING: Final = msgspec.json.Decoder(str)
TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
"""Kinds of parts that are a text."""
