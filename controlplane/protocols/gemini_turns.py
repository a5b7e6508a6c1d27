"""The turns of a conversation as Gemini's generateContent takes them. Pure.

What the vendor would refuse is put so that it takes it. A turn with calls is followed by one turn with as many results
in the same order: a call that has none is told so, and a result of no call is said by the user. The user speaks first
and last, nothing is said in empty parts, and instructions in mid-conversation become the user's.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from controlplane.protocols.anthropic_answer import input_of
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    Message,
    Part,
    System,
    TextPart,
    ToolCall,
    ToolResult,
    User,
)
from controlplane.protocols.signatures import given_to_gemini
from flockpy.errors import BadRequest

Content = dict[str, Any]

_UNSIGNED: Final = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""For a call whose signature did not come back, or that another model made: base64, as of every signature, of
``skip_thought_signature_validator``, which the vendor documents for it."""
_DATA: Final = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[^;,]*)*;base64,", re.IGNORECASE)
_SOUNDS: Final = {"mp3": "audio/mp3", "mpeg": "audio/mpeg", "m4a": "audio/mp4"}


def render_turns(messages: Iterable[Message], *, demands_signatures: bool) -> tuple[list[str], list[Content]]:
    """The instructions at the head, and ``contents``. `demands_signatures`: the model refuses a call without one.

    Raises BadRequest for a picture that is not in the request.
    """
    turns = _Turns(demands_signatures)
    for message in messages:
        turns.add(message)
    return turns.end()


class _Turns:
    def __init__(self, demands_signatures: bool) -> None:
        self._demands_signatures = demands_signatures
        self._head: list[str] = []
        self._turns: list[Content] = []
        self._calls: tuple[ToolCall, ...] = ()  # of the turn before, as long as results may come
        self._results: dict[int, Content] = {}
        self._waiting: list[Content] = []  # said by the user as soon as the calls have their results

    def add(self, message: Message) -> None:
        match message:
            case System(text) if not self._turns:
                self._head += [text] if text.strip() else []
            case System(text):
                self._waiting += _text(f"<system>\n{text}\n</system>")
            case User(parts):
                self._answer()
                self._say("user", [*self._waiting, *_parts(parts)])
                self._waiting.clear()
            case ToolResult():
                self._result(message)
            case Assistant():
                self._speak()
                self._say("model", _model(message, self._demands_signatures))
                self._calls = message.calls

    def end(self) -> tuple[list[str], list[Content]]:
        self._speak()
        if not self._turns:
            self._say("user", _text(self._head.pop() if self._head else "(nothing was said)"))
        if self._turns[0]["role"] == "model":
            self._turns.insert(0, {"role": "user", "parts": _text("(what was said before is lost)")})
        if self._turns[-1]["role"] == "model":
            self._say("user", _text("Go on."))
        return self._head, self._turns

    def _result(self, message: ToolResult) -> None:
        text = "\n".join(part.text for part in message.parts if isinstance(part, TextPart))
        media = [part for part in message.parts if not isinstance(part, TextPart)]
        for place, call in enumerate(self._calls):
            if call.id == message.call_id and place not in self._results:
                told = f"{text}\n(attached to the next message)".lstrip() if media else text
                self._results[place] = _response(call.name, "error" if message.is_error else "output", told)
                break
        else:
            self._waiting += _text(f"(the tool result {message.call_id})\n{text}")
        if media:
            self._waiting += [*_text(f"(attached by the tool result {message.call_id})"), *_parts(media)]

    def _speak(self) -> None:
        self._answer()
        self._say("user", self._waiting)
        self._waiting = []

    def _answer(self) -> None:
        if self._calls:
            results = [
                self._results.get(place) or _response(call.name, "error", "(no result)")
                for place, call in enumerate(self._calls)
            ]
            self._turns.append({"role": "user", "parts": results})
        self._calls, self._results = (), {}

    def _say(self, role: str, parts: list[Content]) -> None:
        """Results keep a turn of their own: what else stands in it would be counted with them."""
        if not parts:
            return
        last = self._turns[-1] if self._turns else None
        if last and last["role"] == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        else:
            self._turns.append({"role": role, "parts": [*parts]})


def _text(text: str) -> list[Content]:
    return [{"text": text}] if text.strip() else []


def _parts(parts: Iterable[Part]) -> list[Content]:
    made: list[Content] = []
    for part in parts:
        match part:
            case TextPart(text):
                made += _text(text)
            case ImagePart(url):
                made.append(_image(url))
            case AudioPart(data, format):
                made.append(
                    {"inlineData": {"mimeType": _SOUNDS.get(format, f"audio/{format}"), "data": data}}
                )
    return made


def _image(url: str) -> Content:
    """The vendor would fetch what lies elsewhere with the leader's own rights: from its buckets, too."""
    if (data := _DATA.match(url)) is None:
        raise BadRequest(
            f"messages: what lies at {url[:100]!r} cannot be seen from there",
            field="messages",
            hint="send it along: data:image/png;base64,…",
        )
    return {"inlineData": {"mimeType": data[1].lower(), "data": url[data.end() :]}}


def _response(name: str, kind: str, text: str) -> Content:
    return {"functionResponse": {"name": name, "response": {kind: text}}}


def _model(message: Assistant, demands_signatures: bool) -> list[Content]:
    """The vendor signs the first call of a turn, and that one alone. It needs no thoughts back."""
    calls = [_call(call) for call in message.calls]
    own = filter(None, (given_to_gemini(thought.signature) for thought in message.thoughts))
    signature = next(own, "") or (_UNSIGNED if demands_signatures else "")
    if calls and signature:
        calls[0]["thoughtSignature"] = signature
    return [*_text(message.text), *calls]


def _call(call: ToolCall) -> Content:
    return {"functionCall": {"name": call.name, "args": msgspec.Raw(input_of(call.arguments).encode())}}
