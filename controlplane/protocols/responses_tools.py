"""The tools of a Responses request as plain functions that any engine understands, and calls of them back. Pure."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from controlplane.protocols.base import UNREADABLE, decode
from controlplane.protocols.ir import Named, Origin, Request, Tool, ToolChoice
from flockpy.errors import BadRequest

_LONGEST: Final = 64
"""Of a function's name, in every vendor's and engine's rules."""


class _Head(msgspec.Struct):
    type: str
    name: str = ""


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Format(msgspec.Struct):
    syntax: str = ""
    definition: str = ""


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: _Format | None = None


class _Namespace(msgspec.Struct):
    name: str
    description: str | None = None
    tools: tuple[msgspec.Raw, ...] = ()


class _Choice(msgspec.Struct):
    type: str
    name: str = ""
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: tuple["_Choice", ...] = ()


class _Text(msgspec.Struct):
    input: str


_HEAD: Final = msgspec.json.Decoder(_Head)
_FUNCTION: Final = msgspec.json.Decoder(_Function)
_CUSTOM: Final = msgspec.json.Decoder(_Custom)
_NAMESPACE: Final = msgspec.json.Decoder(_Namespace)
_Choices = Literal["auto", "none", "required"] | _Choice | None
_CHOICE: Final = msgspec.json.Decoder[_Choices](_Choices)
_TEXT: Final = msgspec.json.Decoder(_Text)
_STRING: Final = msgspec.json.Decoder(str)
_ANY_STRING: Final = msgspec.json.Decoder(dict[str, str])

_OURS: Final = ("function", "custom")
"""The kinds of tools that are called back by the client itself."""
_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NO_PARAMETERS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_ONE_TEXT: Final = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"The whole input, as plain text."}},'
    b'"required":["input"],"additionalProperties":false}'
)


class Toolbox:
    """The tools of one request, each under a name of its own that every engine accepts.

    `dropped` names those that only a vendor could run.
    """

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.dropped: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()
        self._reserved: set[str] = set()

    def add(self, tools: Iterable[msgspec.Raw], at: str) -> None:
        """Offer `tools`, whose place in the body is `at`. Raises BadRequest when one lacks what it needs."""
        named = [(f"{at}[{i}]", tool, decode(_HEAD, tool, f"{at}[{i}]")) for i, tool in enumerate(tools)]
        self._reserved |= {head.name for _, _, head in named if head.type in _OURS} - self._taken
        for where, tool, head in named:
            self._add(tool, head, where)

    def _add(self, raw: msgspec.Raw, head: _Head, at: str, namespace: str = "") -> None:
        if head.type == "namespace" and not namespace:
            group = decode(_NAMESPACE, raw, at)
            if group.description:
                self.dropped.append(f"{at}.description")
            for i, inner in enumerate(group.tools):
                where = f"{at}.tools[{i}]"
                self._add(inner, decode(_HEAD, inner, where), where, group.name)
        elif head.type not in _OURS:
            self.dropped.append(f"{at}.{head.type}")
        elif not head.name:
            raise BadRequest(f"{at}.name: a tool needs a name", field=f"{at}.name")
        elif (namespace, head.name) in self._names:
            self.dropped.append(f"{at}.{head.name}")
        else:
            name = self._name(namespace, head.name)
            custom = head.type == "custom"
            special = custom or namespace or name != head.name
            origin = Origin(head.name, namespace, custom) if special else None
            make = _custom if custom else _function
            self.tools.append(make(raw, at, name, origin))

    def _name(self, namespace: str, name: str) -> str:
        wish = chosen = flat(namespace, name)
        count = 1
        if not namespace and wish == name:
            self._reserved.discard(name)
        while chosen in self._taken or chosen in self._reserved:
            count += 1
            chosen = f"{wish[: _LONGEST - len(str(count)) - 1]}_{count}"
        self._taken.add(chosen)
        self._names[namespace, name] = chosen
        return chosen

    def called(self, namespace: str, name: str) -> str:
        """The name that a call in the conversation so far goes by."""
        if known := self._names.get((namespace, name)):
            return known
        near = [chosen for (_, bare), chosen in self._names.items() if bare == name and not namespace]
        return near[0] if len(near) == 1 else flat(namespace, name)

    def choose(self, raw: msgspec.Raw) -> ToolChoice | None:
        """What ``tool_choice`` asks for; ``allowed_tools`` takes the others away.

        Raises BadRequest when it names a tool that the request does not have.
        """
        choice = decode(_CHOICE, raw, "tool_choice")
        if isinstance(choice, _Choice):
            choice = self._chosen(choice)
        if not self.tools:  # engines refuse a choice among no tools
            if choice not in (None, "auto", "none"):
                self.dropped.append("tool_choice")
            return None
        return choice

    def _chosen(self, choice: _Choice) -> ToolChoice | None:
        if choice.type in ("function", "custom"):
            name = self.called(choice.namespace or "", choice.name)
            if name not in self._names.values():
                raise BadRequest(f"tool_choice.name: tools has no {choice.name!r}", field="tool_choice.name")
            return Named(name)
        if choice.type != "allowed_tools":
            self.dropped.append(f"tool_choice.{choice.type}")
            return None
        allowed = {self.called(tool.namespace or "", tool.name) for tool in choice.tools}
        groups = {tool.name for tool in choice.tools if tool.type == "namespace"}
        self.tools = [
            tool
            for tool in self.tools
            if tool.name in allowed or (tool.origin is not None and tool.origin.namespace in groups)
        ]
        return choice.mode


class Returned:
    """Calls, as the client of this request knows its tools."""

    def __init__(self, request: Request) -> None:
        self._origins = {tool.name: tool.origin or Origin(tool.name) for tool in request.tools}
        bare = Counter(origin.name for origin in self._origins.values())
        self._bare = {o.name: o for o in self._origins.values() if bare[o.name] == 1}

    def origin(self, name: str) -> Origin:
        """The client's own name of the tool a model calls by `name`; a name without its namespace will do."""
        return self._origins.get(name) or self._bare.get(name) or Origin(name)


def flat(namespace: str, name: str) -> str:
    """A namespaced name as one legal one: ``mcp__files`` and ``read`` are ``mcp__files__read``."""
    joined = f"{namespace.rstrip('_')}__{name}" if namespace else name
    return _ILLEGAL.sub("_", joined)[:_LONGEST]


def as_input(text: str) -> str:
    """The arguments that stand for the plain text which a custom tool was given."""
    return msgspec.json.encode({"input": text}).decode()


def plain_input(arguments: str) -> str:
    """The plain text that a call of a custom tool means. Models that forget the JSON around it are understood."""
    decoders: tuple[msgspec.json.Decoder[Any], ...] = (_TEXT, _STRING, _ANY_STRING)
    for decoder in decoders:
        try:
            found = decoder.decode(arguments)
        except UNREADABLE:
            continue
        if isinstance(found, _Text):
            return found.input
        if isinstance(found, str):
            return found
        if len(found) == 1:
            return next(iter(found.values()))
    return arguments


def _function(raw: msgspec.Raw, at: str, name: str, origin: Origin | None) -> Tool:
    tool = decode(_FUNCTION, raw, at)
    parameters = bytes(tool.parameters)
    if parameters in (b"", b"null"):
        return Tool(name, tool.description or "", _NO_PARAMETERS, tool.strict, origin)
    if not parameters.startswith(b"{"):
        raise BadRequest(f"{at}.parameters: a JSON schema is an object", field=f"{at}.parameters")
    return Tool(name, tool.description or "", tool.parameters, tool.strict, origin)


def _custom(raw: msgspec.Raw, at: str, name: str, origin: Origin | None) -> Tool:
    tool = decode(_CUSTOM, raw, at)
    said = tool.description or ""
    if tool.format is not None and tool.format.definition:
        said += f"\n\nThe input must match this {tool.format.syntax} grammar:\n{tool.format.definition}"
    said += "\n\nHand the input over as the string argument `input`."
    return Tool(name, said.strip(), _ONE_TEXT, None, origin)
