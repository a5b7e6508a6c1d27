"""JSON as people write it: read with comments, trailing commas and JSON5's bare names, and changed in place. Pure.

A change touches the text of what it changes and leaves every other byte as it is.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

_BLANK = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BLANK_ON_LINE = re.compile(r"(?:[ \t]+|/\*[^\n]*?\*/)*(?://[^\n]*)?")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_BARE = re.compile(r"[A-Za-z_$][\w$]*")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_DEEPEST = 200


class NotJson(ValueError):
    """The text is no JSON; `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


@dataclass(slots=True)
class Node:
    """A value and where it stands: text[start:end]. Objects and arrays hold `slots`; `value` is for the others."""

    start: int
    end: int
    kind: str
    value: Any = None
    slots: list["Slot"] = field(default_factory=list["Slot"])

    def slot(self, key: str) -> "Slot | None":
        return next((slot for slot in reversed(self.slots) if slot.key == key), None)


@dataclass(slots=True)
class Slot:
    """A member of an object, or an item of an array (`key` is ""); it starts at its key."""

    start: int
    key: str
    node: Node


def parse(text: str) -> Node:
    """The tree of a text. Raises NotJson."""
    reader = _Reader(text)
    node = reader.value(0)
    reader.blank()
    if reader.at < len(text):
        raise reader.wrong("something follows the end of the value")
    return node


def plain(node: Node) -> Any:
    """The value a node stands for."""
    if node.kind == "object":
        return {slot.key: plain(slot.node) for slot in node.slots}
    if node.kind == "array":
        return [plain(slot.node) for slot in node.slots]
    return node.value


def replace(text: str, node: Node, value: Any) -> str:
    """`text` with another value in the place of `node`."""
    return text[: node.start] + _dump(value, text, _indent_at(text, node.start)) + text[node.end :]


def insert(text: str, holder: Node, key: str | None, value: Any) -> str:
    """`text` with one more member (or, without a `key`, item) at the end of `holder`."""
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = _indent_at(text, holder.start)
    if not holder.slots:
        inside = text[holder.start + 1 : holder.end - 1].rstrip()
        inner = outer + unit(text)
        made = name + _dump(value, text, inner)
        closing = newline + outer + text[holder.end - 1]
        return text[: holder.start + 1] + inside + newline + inner + made + closing + text[holder.end :]
    last = holder.slots[-1]
    first = holder.slots[0]
    if "\n" not in text[holder.start : first.start]:
        made = name + _dump(value, text, outer)
        comma = _comma_after(text, last.node.end)
        if comma is not None:
            return text[: comma + 1] + " " + made + "," + text[comma + 1 :]
        return text[: last.node.end] + ", " + made + text[last.node.end :]
    inner = _indent_at(text, first.start)
    comma = _comma_after(text, last.node.end)
    after = last.node.end if comma is None else comma + 1
    line_end = _end(_BLANK_ON_LINE.match(text, after), after)
    if line_end > holder.end - 1:
        line_end = after
    added = newline + inner + name + _dump(value, text, inner) + ("," if comma is not None else "")
    return (
        text[: last.node.end]
        + ("," if comma is None else text[last.node.end : after])
        + text[after:line_end]
        + added
        + text[line_end:]
    )


def remove(text: str, holder: Node, slot: Slot) -> str:
    """`text` without one member or item of `holder`; what only separated it goes with it."""
    index = holder.slots.index(slot)
    start, end = slot.start, slot.node.end
    comma = _comma_after(text, end)
    if comma is not None and not text[end:comma].strip():
        end = comma + 1
    elif comma is not None:
        text = text[:comma] + text[comma + 1 :]
    elif index:
        before = _comma_after(text, holder.slots[index - 1].node.end)
        if before is not None:
            text = text[:before] + text[before + 1 :]
            start, end = start - 1, end - 1
    if (
        len(holder.slots) == 1
        and not text[holder.start + 1 : start].strip() + text[end : holder.end - 1].strip()
    ):
        return text[: holder.start + 1] + text[holder.end - 1 :]
    line_start = start - len(text[:start]) + len(text[:start].rstrip(" \t"))
    alone = text[:line_start].endswith("\n")
    rest = re.compile(r"[ \t]*(\r?\n)?").match(text, end)
    if alone and rest and (rest[1] or not text[rest.end() :].strip()):
        return text[:line_start] + text[rest.end() :]
    if comma is None:
        return text[:start].rstrip(" \t") + text[end:]
    return text[:start] + text[_end(re.compile(r"[ \t]*").match(text, end), end) :]


def unit(text: str) -> str:
    """What one level of a text is indented by: two spaces where it does not tell."""
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    if found is None or found[1].startswith(" *"):
        return "  "
    return "\t" if found[1].startswith("\t") else found[1]


def _dump(value: Any, text: str, indent: str) -> str:
    made = json.dumps(value, indent=unit(text), ensure_ascii=False)
    return made.replace("\n", ("\r\n" if "\r\n" in text else "\n") + indent)


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _comma_after(text: str, at: int) -> int | None:
    at = _end(_BLANK.match(text, at), at)
    return at if text[at : at + 1] == "," else None


def _end(found: re.Match[str] | None, otherwise: int) -> int:
    return found.end() if found else otherwise


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, what: str) -> NotJson:
        return NotJson(what, self.text.count("\n", 0, self.at) + 1)

    def blank(self) -> str:
        """Go to what comes next; answers its first character."""
        self.at = _end(_BLANK.match(self.text, self.at), self.at)
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        opening = self.blank()
        if depth > _DEEPEST:
            raise self.wrong("it is nested too deeply")
        if opening and opening in "{[":
            return self.holder(depth, opening)
        start = self.at
        if opening and opening in "\"'":
            text = self.string()
            return Node(start, self.at, "value", text)
        if found := _NUMBER.match(self.text, start):
            number = found[0]
            self.at = found.end()
            whole = re.fullmatch(r"[-+]?\d+", number)
            return Node(start, self.at, "value", int(number) if whole else float(number))
        if (found := _BARE.match(self.text, start)) and found[0] in _WORDS:
            self.at = found.end()
            return Node(start, self.at, "value", _WORDS[found[0]])
        raise self.wrong(
            "a value is missing" if not opening or opening in ",]}:" else f"{opening!r} begins no value"
        )

    def holder(self, depth: int, opening: str) -> Node:
        node = Node(self.at, self.at, "object" if opening == "{" else "array")
        closing = "}" if opening == "{" else "]"
        self.at += 1
        while True:
            if self.blank() == closing:
                break
            start, key = self.at, ""
            if opening == "{":
                key = self.key()
            node.slots.append(Slot(start, key, self.value(depth + 1)))
            if self.blank() == ",":
                self.at += 1
            elif self.text[self.at : self.at + 1] != closing:
                raise self.wrong(f"a comma or {closing!r} is missing")
        self.at += 1
        node.end = self.at
        return node

    def key(self) -> str:
        first = self.text[self.at : self.at + 1]
        if first and first in "\"'":
            key = self.string()
        elif found := _BARE.match(self.text, self.at):
            key, self.at = found[0], found.end()
        else:
            raise self.wrong("the name of a member is missing")
        if self.blank() != ":":
            raise self.wrong("a colon is missing")
        self.at += 1
        return key

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self.wrong("a string does not end")
        raw = found[0]
        if raw.startswith("'"):
            raw = '"' + re.sub(r"\\'", "'", re.sub(r'(?<!\\)"', r"\"", raw[1:-1])) + '"'
        try:
            text: str = json.loads(raw, strict=False)
        except ValueError:
            raise self.wrong("a string is not well formed") from None
        self.at = found.end()
        return text
