"""One try with a vendor: bytes pass as they are where the client speaks its protocol, else they are told anew."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from controlplane.egress.base import NO_FIELDS, Manner, Posting, Question, Vendor
from controlplane.egress.left_out import left_out
from controlplane.egress.troubles import Troubles
from controlplane.gateway import translate
from controlplane.gateway.call import Attempt, VendorDecision
from controlplane.gateway.hush import Hush
from controlplane.gateway.job import ClientGone, Job
from controlplane.gateway.stream import Events, Tap
from controlplane.gateway.vendor_heads import asked_headers, head_of, passed_headers
from controlplane.gateway.vendor_refusal import Refused, refusal, unreadable
from controlplane.gateway.vendor_stream import Heard, Unframed
from controlplane.protocols import responses
from controlplane.protocols.base import Fields, Surface, read_fields
from controlplane.protocols.translated import Neutral
from controlplane.routing.table import Route
from flockpy.clock import Clock
from flockpy.errors import EngineDied, EngineUnreachable, FlockError
from flockpy.http import Client, ConnectError, Exchange, ExchangeBroken, Head, Silent, origin_of

MAX_ANSWER: Final = 256 * 2**20
_JSON: Final = b"application/json"
_ERROR_EVENT: Final = re.compile(rb"(?:^|\n)event: ?(?:error|response\.failed)\r?\n")


class VendorForwarder:
    """`client`: connections to vendors. `vendors`: those that may be asked, by name; `troubles`: where it is kept
    when one cannot be."""

    def __init__(
        self, client: Client, vendors: Mapping[str, Vendor], troubles: Troubles, clock: Clock
    ) -> None:
        self._client = client
        self._vendors = vendors
        self._troubles = troubles
        self._clock = clock

    def manner(self, surface: Surface, route: Route, fields: Fields = NO_FIELDS) -> Manner | None:
        """How requests of a surface, or the one of these `fields`, reach a vendor's model; None when they cannot."""
        return self._vendors[route.vendor].manner(surface.name, route.model_id, fields)

    async def serve(self, job: Job) -> None:
        """Raises FlockError, Refused, ClientGone."""
        call, model = job.call, job.leg.route.model_id
        vendor = self._vendors[job.leg.route.vendor]
        call.node_id = call.node_name = vendor.name
        call.stage = "prefilling"
        attempt = Attempt(VendorDecision(vendor.name, model))
        call.attempts = (*call.attempts, attempt)
        try:
            await self._try(job, vendor, attempt)
        except (FlockError, Refused) as error:
            attempt.error = attempt.error or str(error)
            self._troubles.note(
                vendor.name, error.error if isinstance(error, Refused) else error, attempt.error
            )
            raise

    async def _try(self, job: Job, vendor: Vendor, attempt: Attempt) -> None:
        call = job.call
        try:
            question = _question(job)
            posting = await vendor.posting(question)
            if question.request is not None:
                call.dropped = (*call.dropped, *left_out(question.request, posting.body))
            call.dropped = (*call.dropped, *posting.left_out)
            exchange = await self._client.start(origin_of(posting.url), head_of(posting), posting.body)
            await self._exchange(job, vendor, posting, exchange)
        except ConnectError as error:
            attempt.error = f"{vendor.name} cannot be reached: {error}"
            raise EngineUnreachable(
                f"{vendor.name} cannot be reached", hint="the leader's log says why", retry_after=5
            ) from None
        except ExchangeBroken as error:
            if call.cancelled_by:
                raise ClientGone from None
            attempt.error = str(error)
            if call.first_byte is None:
                raise EngineUnreachable(f"{vendor.name} did not answer: {error}", retry_after=2) from None
            raise EngineDied(f"{vendor.name} broke off: {error}", retry_after=1) from None

    async def _exchange(self, job: Job, vendor: Vendor, posting: Posting, exchange: Exchange) -> None:
        call = job.call
        call.on_cancel = exchange.abort
        try:
            if call.cancelled_by:
                raise ClientGone
            while isinstance(answer := await exchange.head(), Silent):
                if job.encoder is not None:
                    job.reply.tick(self._clock.monotonic())
            if answer.status != 200:
                raise await refusal(job, vendor, posting, answer, exchange)
            if wrong := unreadable(job, answer):
                raise EngineDied(f"{vendor.name} answered {wrong}", retry_after=1)
            self._troubles.answered(vendor.name)
            if not job.leg.native:
                await self._translate(job, posting, exchange)
                return
            job.reply.passed = Hush(posting.headers).whole(passed_headers(answer.headers))
            if call.stream:
                await self._relay(job, posting, exchange)
            else:
                await self._whole(job, posting, answer, exchange)
        finally:
            call.on_cancel = None
            exchange.abort()

    async def _translate(self, job: Job, posting: Posting, exchange: Exchange) -> None:
        inbound = job.leg.inbound
        if not isinstance(inbound, Neutral) or posting.reader is None:
            raise TypeError(f"{posting} is not to be read")
        unframe = posting.unframe and posting.unframe()
        decoder = Unframed(posting.reader(), unframe, Hush(posting.headers))
        if job.encoder is None:
            await translate.collect(job, inbound, exchange, self._clock, decoder, streamed=True)
        else:
            await translate.stream(job, inbound, job.encoder, exchange, self._clock, decoder)

    async def _relay(self, job: Job, posting: Posting, exchange: Exchange) -> None:
        call, reply, monotonic = job.call, job.reply, self._clock.monotonic
        unframe, hush = posting.unframe and posting.unframe(), Hush(posting.headers)
        heard = Heard(posting.reader()) if posting.reader else None
        tap = Tap(call.surface, hide_usage=posting.hide_usage, fixes=()) if heard is None else None
        events = Events()
        call.events = lambda: heard.events if heard else tap.events if tap else 0

        def pass_on(data: bytes) -> "asyncio.Future[None] | None":
            # Whole events: the error that may follow them is no part of a broken one.
            data = events.feed(hush.feed(unframe.feed(data) if unframe else data))
            return tell(data) if data else None

        def tell(data: bytes) -> "asyncio.Future[None] | None":
            now = monotonic()
            if heard:
                heard.feed(data)
                # Before anybody has seen anything of it another model may be asked; a failure that is told in other
                # words than the client's protocol has for it would not be seen.
                if heard.failure is not None and (call.first_byte is None or not _ERROR_EVENT.search(data)):
                    raise heard.failure
            out = tap.feed(data) if tap else data
            if call.first_byte is None:
                if tap and (said := tap.failure()):
                    raise self._vendors[job.leg.route.vendor].refusal(500, said, None)
                call.first_byte, call.stage = now, "generating"
            _settle_at_the_end(job, heard, tap)
            return reply.push(out, now) if out else None

        try:
            await exchange.relay(pass_on, lambda: reply.breathe(monotonic()))
            if last := events.feed(hush.rest()):
                tell(last)
            rest = events.rest()
            if tap:
                rest = tap.feed(rest) + tap.rest()
            failed = heard.failure is not None if heard else bool(tap and tap.failure())
            _settle_at_the_end(job, heard, tap)
            if not failed and not (heard.done if heard else tap and tap.done):
                raise ExchangeBroken("it ended its answer half way", answered=True)
        except (ExchangeBroken, FlockError):
            if heard and call.surface.name == "responses":
                reply.last_words = partial(responses.cut_short, heard.first, heard.last)
            raise
        reply.end_stream(rest)

    async def _whole(self, job: Job, posting: Posting, answer: Head, exchange: Exchange) -> None:
        call, surface, failed = job.call, job.call.surface, False
        body = Hush(posting.headers).whole(await exchange.body(MAX_ANSWER))
        if posting.reader:
            heard = Heard(posting.reader())
            heard.whole(body)
            usage, failed = heard.usage, heard.failure is not None
        else:
            usage = surface.usage(body)
        if surface.reshapes:
            model = call.asked_model or call.model
            body = surface.render(job.leg.inbound, body, model=model, request_id=call.request_id)
        call.first_byte = self._clock.monotonic()
        job.settle("failed" if failed else "ok", 200, usage, body)
        job.reply.whole(200, answer.get(b"content-type") or _JSON, body)


def _question(job: Job) -> Question:
    call, leg, inbound = job.call, job.leg, job.leg.inbound
    bound = job.admission.max_tokens_cap
    if leg.native:
        surface, model = call.surface, leg.route.model_id
        body = surface.engine_body(inbound, leg.body, model)
        if surface.opaque:
            fields, headers = {}, ((b"content-type", surface.content_type(inbound)),)
        else:
            fields, headers = inbound.fields or read_fields(body), asked_headers(job.headers)
        return Question(surface.name, model, call.stream, body, fields, None, headers, bound)
    if not isinstance(inbound, Neutral):
        raise TypeError(f"{leg.route.model_id} is asked in no protocol of its vendor")
    request = inbound.request
    if request.max_tokens is None and bound:
        request = msgspec.structs.replace(request, max_tokens=bound)
    return Question(call.surface.name, leg.route.model_id, True, b"", {}, request, ())


def _settle_at_the_end(job: Job, heard: Heard | None, tap: Tap | None) -> None:
    """Before the client can have seen the end: whoever got an answer has a record of it."""
    if job.call.record is not None:
        return
    if heard and heard.failure is not None:
        job.settle("failed", 200)  # what it counted so far is not what it said
    elif heard and heard.done:
        job.settle("ok", 200, heard.usage)
    elif tap and (tap.done or tap.failure()):
        job.settle("failed" if tap.failure() else "ok", 200, tap.usage())
