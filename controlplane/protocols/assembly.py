"""A whole answer out of a stream: for engines that only notice a client's leaving while they write to it. Pure."""

from typing import Any, Final, Protocol

import msgspec

from controlplane.tenants.model import Surface as SurfaceName

_Raws = list[msgspec.Raw]


class _Function(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    arguments: str = ""


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    type: str = "function"
    function: _Function = msgspec.field(default_factory=_Function)


class _Delta(msgspec.Struct):
    role: str = "assistant"
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] = msgspec.field(default_factory=list[_Call])


class _Logprobs(msgspec.Struct):
    content: _Raws | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str = ""
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list[_Choice])


_HEAD: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHUNK: Final = msgspec.json.Decoder(_Chunk)


class _Made:
    """One choice, as far as it has come."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.logprobs: _Raws = []
        self.finish_reason: str | None = None

    def add(self, choice: _Choice) -> None:
        self.texts.append(choice.text or choice.delta.content or "")
        self.reasoning.append(choice.delta.reasoning_content or "")
        self.finish_reason = choice.finish_reason or self.finish_reason
        if choice.logprobs is not None:
            self.logprobs += choice.logprobs.content or ()
        for part in choice.delta.tool_calls:
            known = self.calls.setdefault(part.index, part)
            if known is not part:
                known.id = known.id or part.id
                known.function.name = known.function.name or part.function.name
                known.function.arguments += part.function.arguments


class _Shape(Protocol):
    def __call__(self, index: int, made: _Made) -> dict[str, Any]: ...


def _chat(index: int, made: _Made) -> dict[str, Any]:
    content, reasoning = "".join(made.texts), "".join(made.reasoning)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if made.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": call.type, "function": call.function} for call in made.calls.values()
        ]
    choice: dict[str, Any] = {"finish_reason": made.finish_reason, "index": index, "message": message}
    if made.logprobs:
        choice["logprobs"] = {"content": made.logprobs}
    return choice


def _completion(index: int, made: _Made) -> dict[str, Any]:
    logprobs = {"content": made.logprobs} if made.logprobs else None
    text = "".join(made.texts)
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": made.finish_reason}


_SHAPES: Final[dict[str, tuple[str, _Shape]]] = {
    "chat": ("chat.completion", _chat),
    "completions": ("text_completion", _completion),
}


def can_assemble(surface: SurfaceName) -> bool:
    """Whether this surface has streams at all."""
    return surface in _SHAPES


def assemble(surface: SurfaceName, stream: bytes) -> bytes:
    """The whole answer that a complete stream of chunks amounts to; usage and the rest as its last chunks have them.

    Raises msgspec.DecodeError when that is no such stream.
    """
    made: dict[int, _Made] = {}
    head: dict[str, msgspec.Raw] = {}
    for event in stream.split(b"\n\n"):
        if not event.startswith(b"data: {"):
            continue
        try:
            head |= _HEAD.decode(event[6:])
            choices = _CHUNK.decode(event[6:]).choices
        except (UnicodeDecodeError, RecursionError) as error:
            raise msgspec.DecodeError(str(error)) from None
        for choice in choices:
            made.setdefault(choice.index, _Made()).add(choice)
    kind, shape = _SHAPES[surface]
    head.pop("prompt_progress", None)
    whole = [shape(index, made[index]) for index in sorted(made)]
    return msgspec.json.encode({**head, "object": kind, "choices": whole})
