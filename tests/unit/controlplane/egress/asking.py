"""Questions to vendors, what is posted for them, and what is made of the answers."""

import asyncio
import json
from typing import Any

import httpx

from controlplane.egress.base import Posting, Question, Vendor
from controlplane.protocols.base import read_fields
from controlplane.protocols.ir import Delta, Translated
from controlplane.tenants.model import Surface


def posting(vendor: Vendor, question: Question) -> Posting:
    return asyncio.run(vendor.posting(question))


def native(surface: Surface, body: bytes, model: str, **more: Any) -> Question:
    fields = read_fields(body)
    stream = bytes(fields.get("stream", b"false")) == b"true"
    return Question(surface, model, stream, body, fields, None, **{"headers": (), **more})


def translated(surface: Surface, told: Translated, body: Any, model: str, **more: Any) -> Question:
    request = told.request(json.dumps(body).encode())
    return Question(surface, model, request.stream, b"", {}, request, (), **more)


def sent(posted: Posting) -> httpx.Response:
    headers = [(name.decode(), value.decode()) for name, value in posted.headers]
    return httpx.post(posted.url, content=posted.body, headers=headers)


def deltas(posted: Posting, answer: httpx.Response, size: int = 7) -> list[Delta]:
    """What its reader makes of an answer."""
    assert posted.reader is not None
    reader, data = posted.reader(), answer.content
    if "event-stream" not in answer.headers["content-type"]:
        return reader.whole(data)
    read = [delta for at in range(0, len(data), size) for delta in reader.feed(data[at : at + size])]
    return read + reader.end()
