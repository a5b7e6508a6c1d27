"""The turns of a conversation as Bedrock's Converse takes them, each a list of blocks. Pure.

It insists that the user begins, that turns alternate, that no text is blank, that every call has its result in the turn
right behind it and every result its call in the turn before, for most families also that nothing else is said in these
turns, and it refuses what a family of models does not know.
"""

import re
import zlib
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
from flockpy.errors import BadRequest

_Object = dict[str, Any]
_NOVA: Final = re.compile(r"amazon\.nova")
"""Its tool results may hold pictures and say that they are errors, and it goes on where the model's turn ends; other
families refuse all of that."""
_APART: Final = re.compile(r"(?:^|\.)(?:ai21|cohere|meta|mistral)\.")
"""Families that refuse what is said beside a call."""
_HEARING: Final = re.compile(r"voxtral|nova-2-omni")
_AUDIO: Final = frozenset({"aac", "flac", "m4a", "mp3", "mp4", "ogg", "opus", "pcm", "wav", "webm"})
_PICTURE: Final = re.compile(r"data:image/(png|jpe?g|gif|webp)(?:;[^,;]*)*;base64,", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST: Final = 64


def wire_name(name: str) -> str:
    """A tool's name, or a call's id, with the letters and the length that are allowed; always the same."""
    allowed = _FORBIDDEN.sub("_", name)
    if allowed == name and 0 < len(name) <= _LONGEST:
        return name
    return f"{allowed[: _LONGEST - 9]}_{zlib.crc32(name.encode()):08x}"


def conversation(messages: Iterable[Message], model: str) -> tuple[list[str], list[_Object]]:
    """The instructions at the head, and the turns. Raises BadRequest for a picture that is not in the request, or of a
    kind that is not taken."""
    turns = _Turns(model)
    for message in messages:
        turns.add(message)
    return turns.end()


class _Turns:
    def __init__(self, model: str) -> None:
        self._model = model
        self._nova = _NOVA.search(model) is not None
        self._head: list[str] = []
        self._turns: list[_Object] = []

    def add(self, message: Message) -> None:
        match message:
            case System(text) if not self._turns:
                self._head.append(text)
            case System(text):
                self._say("user", _text(f"<system>\n{text}\n</system>") if text.strip() else [])
            case User(parts):
                self._say("user", self._parts(parts))
            case ToolResult():
                self._say("user", self._result(message))
            case Assistant():
                self._say("assistant", _assistant(message))

    def end(self) -> tuple[list[str], list[_Object]]:
        head = [text for text in self._head if text.strip()]
        if not self._turns:
            self._turns.append(
                {"role": "user", "content": _text(head.pop() if head else "(nothing was said)")}
            )
        if self._turns[0]["role"] != "user":
            self._turns.insert(0, {"role": "user", "content": _text("(the conversation goes on)")})
        last = self._turns[-1]
        if last["role"] != "user" and (_calls(last) or not self._nova):
            content = [] if _calls(last) else _text("(go on)")
            self._turns.append({"role": "user", "content": content})
        called: list[str] = []
        for turn in self._turns:
            if turn["role"] == "user":
                turn["content"] = _answered(called, turn["content"])
            called = _calls(turn)
        return head, [part for turn in self._turns for part in self._apart(turn)]

    def _apart(self, turn: _Object) -> list[_Object]:
        """A turn, or what it is made of: results and the rest of a user's, a word of the model's and its calls."""
        role, user = turn["role"], turn["role"] == "user"
        tools = [block for block in turn["content"] if "toolUse" in block or "toolResult" in block]
        others = [block for block in turn["content"] if block not in tools]
        together = not user and not _APART.search(self._model)
        if together or not (tools and others):
            return [turn]
        first, last = (tools, others) if user else (others, tools)
        between = {
            "role": "assistant" if user else "user",
            "content": _text("(noted)" if user else "(go on)"),
        }
        return [{"role": role, "content": first}, between, {"role": role, "content": last}]

    def _say(self, role: str, blocks: list[_Object]) -> None:
        if not blocks:
            return
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        else:
            self._turns.append({"role": role, "content": blocks})

    def _parts(self, parts: Iterable[Part]) -> list[_Object]:
        blocks: list[_Object] = []
        for part in parts:
            match part:
                case TextPart(text):
                    blocks += _text(text) if text.strip() else []
                case ImagePart(url):
                    blocks.append(_picture(url))
                case AudioPart(data, form) if form in _AUDIO and _HEARING.search(self._model):
                    blocks.append({"audio": {"format": form, "source": {"bytes": data}}})
                case AudioPart():
                    blocks += _text("(a recording, which cannot be heard here)")
        return blocks

    def _result(self, message: ToolResult) -> list[_Object]:
        """The result, and behind it what it cannot hold."""
        content = self._parts(message.parts)
        attached: list[_Object] = []
        if not self._nova:
            attached = [block for block in content if "text" not in block]
            content = [block for block in content if "text" in block]
        if attached:
            attached = [*_text(f"(attached by the tool result {message.call_id})"), *attached]
            content = content or _text("(attached to the next message)")
        result: _Object = {"toolUseId": wire_name(message.call_id), "content": content or _text("(nothing)")}
        if message.is_error and self._nova:
            result["status"] = "error"
        elif message.is_error:
            result["content"] = [*_text("Error:"), *result["content"]]
        return [{"toolResult": result}, *attached]


def has_tools(turns: Iterable[_Object]) -> bool:
    return any("toolUse" in block or "toolResult" in block for turn in turns for block in turn["content"])


def _answered(called: list[str], blocks: list[_Object]) -> list[_Object]:
    """A user's blocks behind a turn with these calls: first a result for each call, then what else there is to say."""
    results: dict[str, _Object] = {}
    others: list[_Object] = []
    for block in blocks:
        result = block.get("toolResult")
        if result is None:
            others.append(block)
        elif result["toolUseId"] in called and result["toolUseId"] not in results:
            results[result["toolUseId"]] = block
        else:
            others += [*_text(f"(the tool result {result['toolUseId']})"), *result["content"]]
    return [*(results.get(call_id) or _unanswered(call_id) for call_id in called), *others]


def _unanswered(call_id: str) -> _Object:
    return {"toolResult": {"toolUseId": call_id, "content": _text("(no result)")}}


def _calls(turn: _Object) -> list[str]:
    return [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]


def _text(text: str) -> list[_Object]:
    return [{"text": text}]


def _picture(url: str) -> _Object:
    if found := _PICTURE.match(url):
        form = found[1].lower().replace("jpg", "jpeg")
        return {"image": {"format": form, "source": {"bytes": url[found.end() :]}}}
    raise BadRequest(
        f"messages: Bedrock takes no picture such as {url[:60]!r}",
        field="messages",
        hint="send it along as a PNG, JPEG, GIF or WebP: data:image/png;base64,…",
    )


def _assistant(message: Assistant) -> list[_Object]:
    """Without its thoughts: none of the families that are asked so takes them back."""
    said = _text(message.text) if message.text.strip() else []
    return said + [_call(call) for call in message.calls]


def _call(call: ToolCall) -> _Object:
    given = msgspec.Raw(input_of(call.arguments).encode())
    return {"toolUse": {"toolUseId": wire_name(call.id), "name": wire_name(call.name), "input": given}}
