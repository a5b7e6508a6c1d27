"""A vendor's answer that is none: its own error, to be passed on or told in our words, or what cannot be read."""

import asyncio
from typing import Final

from controlplane.egress.base import Posting, Vendor
from controlplane.gateway.hush import Hush
from controlplane.gateway.job import Job
from controlplane.gateway.vendor_heads import is_error_of, passed_headers, wait_of
from flockpy.errors import EngineDied, FlockError
from flockpy.http import Exchange, ExchangeBroken, Head

MAX_REFUSAL: Final = 2**20
REFUSAL_S: Final = 10.0
"""How long the words of an error answer are waited for; its status says enough."""
_JSON: Final = b"application/json"
_OF_OUR_KEY: Final = frozenset({401, 403})
"""Statuses that may speak of the leader's own key: told in our words."""
_LATER: Final = frozenset({429, 503, 529})
"""Statuses after which some clients come again only when they are told when."""


class Refused(Exception):
    """A vendor's own error answer, to be passed on as it is where nobody else can be asked; `error`: what it means."""

    def __init__(
        self, error: FlockError, status: int, content_type: bytes, body: bytes, passed: bytes
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.status = status
        self.content_type = content_type
        self.body = body
        self.passed = passed


def unreadable(job: Job, answer: Head) -> str:
    """What is wrong with the form of an answer, such as that of a proxy's page to sign in on; "" when nothing is."""
    if (encoding := answer.get(b"content-encoding")) not in (b"", b"identity"):
        return f"in an encoding that nobody asked for: {encoding[:40].decode('latin-1')}"
    if job.leg.native and job.call.surface.opaque:  # text, subtitles and more
        return ""
    form, streamed = answer.get(b"content-type").lower(), job.call.stream or not job.leg.native
    # Bedrock's streams have a form of their own, application/vnd.amazon.eventstream.
    if not form or (b"stream" in form if streamed else b"json" in form):
        return ""
    return f"with {form[:80].decode('latin-1')} instead of {'a stream' if streamed else 'JSON'}"


async def refusal(
    job: Job, vendor: Vendor, posting: Posting, answer: Head, exchange: Exchange
) -> FlockError | Refused:
    """What to raise for an error answer. Raises ExchangeBroken when the client has gone meanwhile."""
    if answer.status < 400:
        return EngineDied(f"{vendor.name} answered with status {answer.status}", retry_after=1)
    body, hush = await _words(job, answer, exchange), Hush(posting.headers)
    told = hush.whole(body or b"")
    error = vendor.refusal(answer.status, told, wait_of(answer.get(b"retry-after")))
    ours = answer.status in _OF_OUR_KEY or answer.status >= 600 or body is None
    told_as_it_is = job.leg.native and not job.reply.started and not job.call.surface.reshapes
    if ours or not told_as_it_is or not is_error_of(job.call.surface.name, told):
        return error
    content_type = answer.get(b"content-type") or _JSON
    passed = hush.whole(passed_headers(answer.headers))
    if answer.status in _LATER and not answer.get(b"retry-after"):
        passed += b"retry-after: %d\r\n" % (error.retry_after or 1)
    return Refused(error, answer.status, content_type, told, passed)


async def _words(job: Job, answer: Head, exchange: Exchange) -> bytes | None:
    """The body of an error answer; None when it does not come, has no end or cannot be read."""
    if answer.get(b"content-encoding") not in (b"", b"identity"):
        return None
    try:
        async with asyncio.timeout(REFUSAL_S):
            return await exchange.body(MAX_REFUSAL)
    except TimeoutError:
        return None
    except ExchangeBroken:
        if job.call.cancelled_by:
            raise
        return None
