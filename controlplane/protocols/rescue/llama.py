"""Llama JSON: ``{"name": …, "parameters": {…}}`` as the whole answer, after ``<|python_tag|>``, or as
``<function=name>{…}</function>``. Pure."""

import re
from typing import Final

from controlplane.protocols.rescue.base import MORE, Format, More, Place, Reader
from controlplane.protocols.rescue.jsoncall import Head, JsonCall
from controlplane.protocols.rescue.offered import Offered

_TAG: Final = "<|python_tag|>"
_FIRST_KEY: Final = re.compile(r"""\[?\s*\{\s*(["'])(\w*)(\1)?""")
_NAME: Final = re.compile(r"""\[?\s*\{\s*["'](?:name|function|tool)["']\s*:\s*(["'])([\w.\-]*)(\1)?""")
_KEYS: Final = ("name", "function", "tool", "arguments", "parameters", "args", "input", "type", "id")
_FUNCTION: Final = re.compile(r"<function=([^>\s<]{1,128})>\s*")


def _after_tag(text: str) -> Head | More | None:
    at = len(_TAG) + len(text[len(_TAG) :]) - len(text[len(_TAG) :].lstrip())
    rest = text[at : at + 1]
    return Head(at) if rest in ("{", "[") else (None if rest else MORE)


def _tag_reader(offered: Offered, place: Place, opener: str) -> Reader:
    return JsonCall(offered, _after_tag, ("<|eom_id|>", "<|eot_id|>"), between=";,")


def _whole_reader(offered: Offered, place: Place, opener: str) -> Reader:
    def head(text: str) -> Head | More | None:
        """Most answers that are JSON are seen to be no call at their first key, and are held back no longer."""
        if not (key := _FIRST_KEY.match(text)):
            return MORE if re.fullmatch(r"\[?\s*\{?\s*", text) else None
        if not key[3]:
            cut = key.end() == len(text)
            return MORE if cut and any(one.startswith(key[2]) for one in _KEYS) else None
        if key[2] not in _KEYS:
            return None
        if name := _NAME.match(text):
            if not name[3]:
                return MORE if name.end() == len(text) and len(name[2]) <= 128 else None
            return Head(0) if offered.known(name[2]) else None
        if key[2] in ("name", "function", "tool"):
            rest = text[key.end() :].lstrip()
            return MORE if rest in ("", ":") or not rest[1:].strip() else Head(0)
        return Head(0)

    return JsonCall(offered, head, between=";,", strict=True)


def _function_reader(offered: Offered, place: Place, opener: str) -> Reader:
    def head(text: str) -> Head | More | None:
        if not (found := _FUNCTION.match(text)):
            return MORE if ">" not in text and len(text) < 140 else None
        name = offered.known(found[1])
        mark = text[found.end() : found.end() + 1]
        if name is None or mark not in ("", "{"):
            return None
        return Head(found.end(), name) if mark else MORE

    return JsonCall(offered, head, ("</function>", "</tool_call>"))


PYTHON_TAG: Final = Format("llama_json", (_TAG,), _tag_reader)
FUNCTION_TAG: Final = Format("llama_json", ("<function=",), _function_reader, where="line")
WHOLE_ANSWER: Final = Format(
    "llama_json", ("{", "["), _whole_reader, where="answer", tail="last", thoughts=False
)
