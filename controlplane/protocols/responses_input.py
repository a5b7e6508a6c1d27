"""The items of a Responses request as the messages of a conversation. Pure.

There a turn of the model is a row of items: reasoning, messages, calls. Here it is one message.
"""

from collections.abc import Callable, Sequence

import msgspec

from controlplane.protocols import responses_shapes as shapes
from controlplane.protocols.base import decode
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
from controlplane.protocols.responses_tools import Toolbox, as_input
from flockpy.errors import BadRequest


class Conversation:
    """Reads items one after the other; `dropped` names what is not carried over."""

    def __init__(self, box: Toolbox) -> None:
        self.dropped: list[str] = []
        self._box = box
        self._messages: list[Message] = []
        self._texts: list[str] = []
        self._thoughts: list[Thought] = []
        self._calls: list[ToolCall] = []
        self._references: list[str] = []
        self._readers: dict[str, Callable[[msgspec.Raw, str, str], None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._function_call,
            "function_call_output": self._output,
            "custom_tool_call": self._custom_call,
            "custom_tool_call_output": self._output,
            "local_shell_call": self._shell_call,
            "local_shell_call_output": self._shell_output,
            "shell_call": self._shell_call,
            "shell_call_output": self._shell_output,
            "apply_patch_call": self._shell_call,
            "apply_patch_call_output": self._shell_output,
            "additional_tools": self._tools,
            "item_reference": self._reference,
        }

    def instruct(self, text: str) -> None:
        self._messages.append(System(text))

    def read(self, items: str | Sequence[msgspec.Raw]) -> None:
        """Read the request's ``input``. Raises BadRequest that names the item and its field."""
        if isinstance(items, str):
            self._messages.append(User((TextPart(items),)))
            return
        for i, raw in enumerate(items):
            at = f"input[{i}]"
            head = decode(shapes.HEAD, raw, at)
            kind = head.type or ("message" if head.role is not None else "item_reference")
            if reader := self._readers.get(kind):
                reader(raw, at, kind)
            else:
                self.dropped.append(f"{at}.{kind}")

    def messages(self) -> tuple[Message, ...]:
        """All that was read. Raises BadRequest when that is nothing."""
        self._turn_ends()
        if all(isinstance(message, System) for message in self._messages):
            if self.dropped:
                raise BadRequest(f"input: nothing is left of it without {self.dropped[0]}", field="input")
            if not self._messages:
                raise BadRequest("input: there is nothing in it to answer", field="input")
        return tuple(self._messages)

    def _turn_ends(self) -> None:
        if self._references and not (self._texts or self._calls):
            at = self._references[0]
            raise BadRequest(
                f"{at}: this server is stateless and keeps no items that could be referred to",
                field=at,
                hint="send the item itself, as clients do that are told not to store (store: false)",
            )
        # A turn whose call is here is understood without what was said or thought before it.
        self.dropped += [f"{at}.item_reference" for at in self._references]
        self._references = []
        if self._texts or self._thoughts or self._calls:
            text = "\n\n".join(self._texts)
            self._messages.append(Assistant(text, tuple(self._thoughts), tuple(self._calls)))
            self._texts, self._thoughts, self._calls = [], [], []

    def _add(self, message: Message) -> None:
        self._turn_ends()
        self._messages.append(message)

    def _message(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        message = decode(shapes.MESSAGE, raw, at)
        parts = self._parts(message.content, f"{at}.content")
        match message.role:
            case "user":
                if parts:
                    self._add(User(parts))
            case "assistant":
                self._texts.append(self._text(parts, "", f"{at}.content"))
            case "system" | "developer":
                self._add(System(self._text(parts, "\n\n", f"{at}.content")))
            case _:
                raise BadRequest(
                    f"{at}.role: must be user, assistant, system or developer", field=f"{at}.role"
                )

    def _reasoning(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        thought = decode(shapes.REASONING, raw, at)
        shown = self._parts(thought.content, f"{at}.content") or self._parts(thought.summary, f"{at}.summary")
        text, signature = self._text(shown, "\n\n", at), thought.encrypted_content or ""
        if text or signature:
            self._thoughts.append(Thought(text, signature, redacted=not text))

    def _function_call(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        call = decode(shapes.FUNCTION_CALL, raw, at)
        name = self._box.called(call.namespace or "", call.name)
        self._calls.append(ToolCall(call.call_id, name, call.arguments))

    def _custom_call(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        call = decode(shapes.CUSTOM_CALL, raw, at)
        name = self._box.called(call.namespace or "", call.name)
        self._calls.append(ToolCall(call.call_id, name, as_input(call.input)))

    def _output(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        result = decode(shapes.OUTPUT, raw, at)
        failed = False
        content = result.output
        if isinstance(content, shapes.Told):
            failed, content = content.success is False, content.content
        self._add(ToolResult(result.call_id, self._parts(content, f"{at}.output"), failed))

    def _shell_call(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        call = decode(shapes.SHELL_CALL, raw, at)
        arguments = bytes(call.action) or bytes(call.operation) or b"{}"
        id = _call_id(call.call_id or call.id, at)
        self._calls.append(ToolCall(id, kind.removesuffix("_call"), arguments.decode(errors="replace")))

    def _shell_output(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        result = decode(shapes.SHELL_OUTPUT, raw, at)
        said = bytes(result.output)
        text = (
            decode(shapes.STRING, said, f"{at}.output")
            if said.startswith(b'"')
            else said.decode(errors="replace")
        )
        self._add(ToolResult(_call_id(result.call_id or result.id, at), (TextPart(text),)))

    def _reference(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        self._references.append(at)

    def _tools(self, raw: msgspec.Raw, at: str, kind: str) -> None:
        self._box.add(decode(shapes.TOOLS, raw, at).tools, f"{at}.tools")

    def _parts(self, content: shapes.Content, at: str) -> tuple[Part, ...]:
        if content is None:
            return ()
        if isinstance(content, str):
            return (TextPart(content),)
        parts = (self._part(part, f"{at}[{i}]") for i, part in enumerate(content))
        return tuple(part for part in parts if part is not None)

    def _part(self, part: shapes.Part, at: str) -> Part | None:
        if part.type in shapes.TEXTS:
            if part.text is None:
                raise BadRequest(f"{at}.text: a text is required", field=f"{at}.text")
            return TextPart(part.text)
        if part.type == "refusal" and part.refusal is not None:
            return TextPart(part.refusal)
        if part.type == "input_image" and part.image_url is not None:
            return ImagePart(part.image_url, part.detail)
        if part.type == "input_audio" and part.input_audio is not None:
            return AudioPart(part.input_audio.data, part.input_audio.format)
        self.dropped.append(f"{at}.{part.type}")
        return None

    def _text(self, parts: tuple[Part, ...], between: str, at: str) -> str:
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        self.dropped += [f"{at}.{_kind(part)}" for part in parts if not isinstance(part, TextPart)]
        return between.join(texts)


def _kind(part: Part) -> str:
    return "input_image" if isinstance(part, ImagePart) else "input_audio"


def _call_id(id: str | None, at: str) -> str:
    if id is None:
        raise BadRequest(f"{at}.call_id: the id of the call is required", field=f"{at}.call_id")
    return id
