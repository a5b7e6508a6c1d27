"""Questions to Vertex AI, sent for real, and what comes back."""

import json
from typing import Any, Final

import httpx

from controlplane.egress.base import Posting, Question
from controlplane.egress.vertex import Vertex
from controlplane.protocols.base import read_fields
from controlplane.protocols.ir import Delta, Reader, Request, TextPart, User
from flockpy.errors import EngineDied
from tests.simulators.vertex import TOKEN

GEMINI: Final = "gemini-2.5-flash"
GEMINI_3: Final = "gemini-3-pro-preview"
CLAUDE: Final = "claude-sonnet-4-5@20250929"
HI: Final = Request("m", (User((TextPart("hi"),)),))


class Tokens:
    """`fetched` counts how often a new one was wanted."""

    def __init__(self) -> None:
        self.fetched, self._forgotten = 0, True

    async def token(self) -> str:
        self.fetched += self._forgotten
        self._forgotten = False
        return TOKEN

    def forget(self) -> None:
        self._forgotten = True


def asked(request: Request, *, model: str = GEMINI, stream: bool = False, **more: Any) -> Question:
    return Question("chat", model, stream, b"", {}, request, (), **more)


def native(body: dict[str, Any], *headers: tuple[bytes, bytes], model: str = CLAUDE, **more: Any) -> Question:
    sent = json.dumps({"model": "alias", **body}).encode()
    stream = bool(body.get("stream"))
    return Question("messages", model, stream, sent, read_fields(sent), None, headers, **more)


def reader_of(posting: Posting) -> Reader:
    assert posting.reader is not None
    return posting.reader()


async def send(vertex: Vertex, question: Question) -> list[Delta]:
    """The deltas of an answer. Raises the vendor's refusal, and EngineDied for one that was cut."""
    posting = await vertex.posting(question)
    reader, deltas = reader_of(posting), list[Delta]()
    headers = [(name.decode(), value.decode()) for name, value in posting.headers]
    try:
        async with (
            httpx.AsyncClient() as client,
            client.stream("POST", posting.url, headers=headers, content=posting.body) as answer,
        ):
            if answer.status_code >= 400:
                raise vertex.refusal(answer.status_code, await answer.aread(), None)
            if not question.stream:
                return reader.whole(await answer.aread())
            async for data in answer.aiter_bytes():
                deltas += reader.feed(data)
            return deltas + reader.end()
    except httpx.HTTPError as error:
        raise EngineDied(str(error)) from None
