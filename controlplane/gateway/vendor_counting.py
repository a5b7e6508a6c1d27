"""How many tokens a prompt has for a vendor's model: asked of the vendor, where it counts them."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from controlplane.egress.base import Posting, Question, Vendor
from controlplane.gateway.hush import Hush
from controlplane.gateway.vendor_heads import asked_headers, head_of, wait_of
from controlplane.gateway.vendor_refusal import MAX_REFUSAL
from controlplane.protocols.anthropic_thoughts import own_thoughts
from controlplane.protocols.base import UNREADABLE, read_fields
from controlplane.routing.table import Route
from flockpy.http import Client, Head, HttpError, Silent, origin_of

log = logging.getLogger(__name__)

COUNT_S: Final = 30.0
"""How long a count may take, after which an estimate has to do."""


class _Counted(msgspec.Struct):
    input_tokens: int


_COUNTED: Final = msgspec.json.Decoder(_Counted)


class VendorCounter:
    """`client`: connections to vendors. `vendors`: those that may be asked, by name."""

    def __init__(self, client: Client, vendors: Mapping[str, Vendor]) -> None:
        self._client = client
        self._vendors = vendors

    async def count(self, route: Route, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int | None:
        """Tokens of the prompt in the body of a Messages request; None where the vendor does not count them. Raises
        FlockError for its refusal."""
        vendor = self._vendors[route.vendor]
        body, _ = own_thoughts(body)
        fields, asked = read_fields(body), asked_headers(headers)
        posting = await vendor.counting(
            Question("messages", route.model_id, False, body, fields, None, asked)
        )
        if posting is None:
            return None
        try:
            async with asyncio.timeout(COUNT_S):
                answer, told = await self._ask(posting)
        except (HttpError, TimeoutError) as error:
            log.warning("%s counted no tokens: %s", vendor.name, error or "it took too long")
            return None
        if answer.status >= 400:
            told = Hush(posting.headers).whole(told)
            raise vendor.refusal(answer.status, told, wait_of(answer.get(b"retry-after")))
        try:
            return _COUNTED.decode(told).input_tokens
        except UNREADABLE:
            return None

    async def _ask(self, posting: Posting) -> tuple[Head, bytes]:
        exchange = await self._client.start(origin_of(posting.url), head_of(posting), posting.body)
        try:
            while isinstance(answer := await exchange.head(), Silent):
                pass
            return answer, await exchange.body(MAX_REFUSAL)
        finally:
            exchange.abort()
