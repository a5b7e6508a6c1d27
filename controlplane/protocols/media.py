"""Media that lie elsewhere: engines would fetch them, from wherever a client points. Pure.

An engine stands where clients do not, next to routers, metadata services and files, and would read them out to whoever
asks. So pictures, sound and films come with the request, or not at all.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from controlplane.protocols.base import decode
from controlplane.protocols.chat_outline import Outline
from controlplane.protocols.ir import ImagePart, Request, ToolResult, User
from flockpy.errors import BadRequest


class _Where(msgspec.Struct):
    url: str = ""


class _Part(msgspec.Struct):
    image_url: str | _Where | None = None
    video_url: str | _Where | None = None
    audio_url: str | _Where | None = None


_LIST: Final = ord("[")
_PARTS: Final = msgspec.json.Decoder(list[str | _Part])


def refuse_remote(request: Request) -> None:
    """Raises BadRequest for a picture of a translated request that is not in it."""
    for message in request.messages:
        if isinstance(message, User | ToolResult):
            for part in message.parts:
                if isinstance(part, ImagePart):
                    _refuse(part.url)


def refuse_remote_in_chat(lines: Outline) -> None:
    """The same for a chat request that an engine gets as it is, whatever the role of the message."""
    for number, line in enumerate(lines):
        if line.content and memoryview(line.content)[0] == _LIST:
            for part in decode(_PARTS, line.content, f"messages[{number}].content"):
                if isinstance(part, _Part):
                    for url in _urls(part):
                        _refuse(url)


def _urls(part: _Part) -> Iterator[str]:
    for where in (part.image_url, part.video_url, part.audio_url):
        if where is not None:
            yield where if isinstance(where, str) else where.url


def _refuse(url: str) -> None:
    if url[:5].lower() != "data:":
        raise BadRequest(
            f"messages: what lies at {url[:100]!r} would have to be fetched from here",
            field="messages",
            hint="send it along: data:image/png;base64,…",
        )
