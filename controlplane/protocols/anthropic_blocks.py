"""Content blocks of Anthropic messages, as clients send them. Pure.

Bodies are open: a block of a kind we do not know, and a field we do not carry over, are named in `Dropped`; a block
that lacks what its kind needs is a BadRequest that names the path.
"""

import re
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

from controlplane.protocols.base import Fields, decode
from controlplane.protocols.ir import ImagePart, Part, TextPart
from flockpy.errors import BadRequest

NULL: Final = msgspec.Raw(b"null")
_SILENT: Final = frozenset({"type", "cache_control"})
"""`cache_control` asks for what our engines do anyway."""

_NUMBER: Final = re.compile(r"\d+")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]")
_IMAGE: Final = re.compile(r"image/[a-z0-9.+-]+", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)

T = TypeVar("T", bound=msgspec.Struct)


class Dropped:
    """What of a request is not carried over: every kind of thing once, by the path where it first stood.

    The names are a client's own words and go into a header: what is no plain ASCII in them becomes ``?``.
    """

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}

    def add(self, within: str, name: str) -> None:
        name = _ODD.sub("?", name[:64])
        path = f"{within}.{name}" if within else name
        self._paths.setdefault(_NUMBER.sub("", within) + "." + name, path)

    def add_unknown(self, fields: Fields, known: frozenset[str], within: str) -> None:
        if not fields.keys() <= known:
            for name, value in fields.items():
                if name not in known and name not in _SILENT and value != NULL:
                    self.add(within, name)

    def paths(self) -> tuple[str, ...]:
        return tuple(self._paths.values())


class Shape(Generic[T]):
    """Reads JSON objects of one struct; what the struct does not name is dropped and named."""

    def __init__(self, struct: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(struct)
        self._known = frozenset(struct.__struct_encode_fields__) | _SILENT

    def read(self, raw: msgspec.Raw, path: str, dropped: Dropped) -> T:
        """Raises BadRequest that names the place within `path`."""
        return self.read_known(raw, decode(_FIELDS, raw, path), path, dropped)

    def read_known(self, raw: msgspec.Raw, fields: Fields, path: str, dropped: Dropped) -> T:
        """The same, when the fields of `raw` have been read already."""
        value = decode(self._decoder, raw, path)
        dropped.add_unknown(fields, self._known, path)
        return value


class TextBlock(msgspec.Struct):
    text: str


class ImageBlock(msgspec.Struct):
    source: msgspec.Raw


class DocumentBlock(msgspec.Struct):
    source: msgspec.Raw
    title: str | None = None
    context: str | None = None


class SearchResultBlock(msgspec.Struct):
    title: str
    source: str
    content: list[TextBlock]


class ThinkingBlock(msgspec.Struct):
    thinking: str
    signature: str | None = None


class RedactedBlock(msgspec.Struct):
    data: str


class ToolUseBlock(msgspec.Struct):
    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


class ToolResultBlock(msgspec.Struct):
    tool_use_id: str
    content: msgspec.Raw = NULL
    is_error: bool | None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
)


class _Kind(msgspec.Struct):
    type: str


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: str | None = None
    url: str | None = None
    content: msgspec.Raw = NULL


_SHAPES: Final[dict[bytes, Shape[Block]]] = {
    b'"text"': Shape[Block](TextBlock),
    b'"image"': Shape[Block](ImageBlock),
    b'"document"': Shape[Block](DocumentBlock),
    b'"search_result"': Shape[Block](SearchResultBlock),
    b'"thinking"': Shape[Block](ThinkingBlock),
    b'"redacted_thinking"': Shape[Block](RedactedBlock),
    b'"tool_use"': Shape[Block](ToolUseBlock),
    b'"tool_result"': Shape[Block](ToolResultBlock),
}
_SOURCE: Final = Shape(_Source)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_KIND: Final = msgspec.json.Decoder(_Kind)
_CONTENT: Final = msgspec.json.Decoder[str | list[msgspec.Raw] | None](str | list[msgspec.Raw] | None)


def read_blocks(
    content: msgspec.Raw, path: str, dropped: Dropped, kinds: tuple[type[Block], ...]
) -> Iterator[tuple[str, Block]]:
    """The blocks of a `content` (a text stands for one block of it) with their paths, those of `kinds` only."""
    given = decode(_CONTENT, content, path)
    if isinstance(given, str):
        yield path, TextBlock(given)
        return
    for index, raw in enumerate(given or ()):
        at = f"{path}[{index}]"
        fields = decode(_FIELDS, raw, at)
        shape = _SHAPES.get(bytes(fields.get("type", b"")))
        block = shape.read_known(raw, fields, at, dropped) if shape else None
        if isinstance(block, kinds):
            yield at, block
        else:
            dropped.add(at, decode(_KIND, raw, at).type)


PARTS: Final = (TextBlock, ImageBlock, DocumentBlock, SearchResultBlock)
"""The kinds of blocks that `read_parts` understands."""


def read_parts(block: Block, path: str, dropped: Dropped) -> list[Part]:
    """What a block shows the model: texts and images; nothing when it holds neither."""
    match block:
        case TextBlock(text):
            return [TextPart(text)] if text else []
        case ImageBlock(source):
            return _image(source, path, dropped)
        case DocumentBlock():
            return _document(block, path, dropped)
        case SearchResultBlock(title, source, content):
            return [TextPart("\n\n".join([title, source, *(part.text for part in content)]))]
        case _:
            return []


def _image(raw: msgspec.Raw, path: str, dropped: Dropped) -> list[Part]:
    at = f"{path}.source"
    source = _SOURCE.read(raw, at, dropped)
    if source.type == "base64":
        if not _IMAGE.fullmatch(source.media_type):
            raise BadRequest(
                f"{at}.media_type: must be that of an image, such as image/png", field=f"{at}.media_type"
            )
        return [ImagePart(f"data:{source.media_type};base64,{_needed(source.data, f'{at}.data')}")]
    if source.type == "url":
        url = _needed(source.url, f"{at}.url")
        if not _ADDRESS.match(url):
            raise BadRequest(f"{at}.url: must begin with https:// or http://", field=f"{at}.url")
        return [ImagePart(url)]
    dropped.add(at, source.type)
    return []


def _document(block: DocumentBlock, path: str, dropped: Dropped) -> list[Part]:
    at = f"{path}.source"
    source = _SOURCE.read(block.source, at, dropped)
    head: list[Part] = [TextPart(text) for text in (block.title, block.context) if text]
    if source.type == "text":
        return [*head, TextPart(_needed(source.data, f"{at}.data"))]
    if source.type == "content":
        inner = read_blocks(source.content, f"{at}.content", dropped, (TextBlock, ImageBlock))
        return [*head, *(part for where, each in inner for part in read_parts(each, where, dropped))]
    dropped.add(path, "document")
    return []


def _needed(value: str | None, path: str) -> str:
    if value is None:
        raise BadRequest(f"{path}: Field required", field=path)
    return value
