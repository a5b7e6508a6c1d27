"""Pictures that lie elsewhere: engines would fetch them, from wherever a client points. Pure."""

from collections.abc import Iterator

from controlplane.protocols.ir import ImagePart, Part, Request, ToolResult, User
from flockpy.errors import BadRequest


def refuse_remote(request: Request) -> None:
    """Raises BadRequest for a picture that is not in the request itself: an engine stands where clients do not, next to
    routers, metadata services and files, and would read them out to whoever asks."""
    for part in _parts(request):
        if isinstance(part, ImagePart) and not part.url[:5].lower() == "data:":
            raise BadRequest(
                f"messages: the picture at {part.url[:100]!r} would have to be fetched from here",
                field="messages",
                hint="send it along: data:image/png;base64,…",
            )


def _parts(request: Request) -> Iterator[Part]:
    for message in request.messages:
        if isinstance(message, User | ToolResult):
            yield from message.parts
