"""One try on one engine: send the request, bring the answer back, settle before the client can have seen its end."""

import asyncio
from functools import partial
from typing import Final

import msgspec

from controlplane.gateway import translate, upstream
from controlplane.gateway.call import Attempt
from controlplane.gateway.job import ClientGone, Job
from controlplane.gateway.outbound import outbound
from controlplane.gateway.stream import Fixes, Progress, Tap
from controlplane.protocols import half_event
from controlplane.protocols.assembly import assemble, can_assemble
from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.translated import Neutral, Retold
from controlplane.routing.policy import RouteDecision
from flockpy.clock import Clock
from flockpy.engines import quirks as quirks_of
from flockpy.errors import ContextTooLong, EngineDied, FlockError
from flockpy.http import Client, ConnectError, Exchange, ExchangeBroken, Silent, origin_of

MAX_ANSWER: Final = 256 * 2**20
MAX_REFUSAL: Final = 2**20
MOST_BYTES: Final = 5
"""Of a prompt, for a token: longer ones are refused where an engine would cut them without a word."""
_JSON: Final = b"application/json"
_NO_ANSWER: Final = frozenset({401, 403, 429, 503})
"""An engine's statuses that speak of the engine (not ours, busy, half loaded), never of the request."""


class NotServed(Exception):
    """This placement did not answer; another try may. `sent`: it may have begun to work on the request."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Forwarder:
    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def forward(self, job: Job, decision: RouteDecision) -> None:
        """Raises NotServed before the first byte, FlockError for the engine's verdict and after it, ClientGone."""
        call, replica = job.call, decision.replica
        quirks = quirks_of(replica.engine)
        # An engine that was here before us is asked for what the client asks for, and for nothing more.
        streams = isinstance(job.leg.inbound, Neutral) or can_assemble(call.surface.name)
        live = quirks.hears_leaving_by_writing and streams and not replica.adopted
        out = outbound(
            call.surface,
            job.leg.inbound,
            job.leg.body,
            model=replica.engine_model,
            quirks=quirks,
            max_tokens_cap=job.admission.max_tokens_cap,
            live=live,
        )
        data = out.data
        if quirks.cuts_long_prompts and _too_long(job, replica.context_window):
            raise ContextTooLong(
                f"the prompt does not fit the {replica.context_window} tokens of {replica.model_id}",
                field="messages",
            )
        if out.ignored:  # a second try on the same model says so again
            call.dropped = tuple(dict.fromkeys((*call.dropped, *out.ignored)))
        head = upstream.head_of(replica.endpoint, out.path, out.content_type, len(data), job.traceparent)
        attempt = Attempt(decision)
        call.attempts = (*call.attempts, attempt)
        try:
            exchange = await self._client.start(origin_of(replica.endpoint.url), head, data)
            fixes = upstream.fixes(call.surface.name, quirks, replica.engine_model, replica.model_id)
            await self._exchange(job, exchange, fixes, replica.engine, live=live)
        except ConnectError as error:
            attempt.error = str(error)
            raise NotServed(attempt.error, sent=False) from None
        except ExchangeBroken as error:
            if call.cancelled_by:
                raise ClientGone from None
            attempt.error = str(error)
            if call.first_byte is None:
                raise NotServed(attempt.error, sent=True) from None
            raise EngineDied(f"the engine {replica.engine} broke off: {error}", retry_after=1) from None
        except (NotServed, FlockError) as error:
            attempt.error = str(error)
            raise

    async def _exchange(self, job: Job, exchange: Exchange, fixes: Fixes, engine: str, *, live: bool) -> None:
        call, inbound = job.call, job.leg.inbound
        call.on_cancel = exchange.abort
        try:
            if call.cancelled_by:
                raise ClientGone
            while isinstance(answer := await exchange.head(), Silent):
                job.reply.tick(self._clock.monotonic())
            if answer.status in _NO_ANSWER:
                raise NotServed(f"it answered with status {answer.status}", sent=False)
            if answer.status >= 400:
                refusal = upstream.refusal(answer.status, await exchange.body(MAX_REFUSAL), engine)
                raise call.surface.explain(job.leg.body, job.leg.route.capabilities) or refusal
            if isinstance(inbound, Retold):
                if job.encoder is None:
                    streamed = live or isinstance(inbound, Neutral)
                    await translate.collect(job, inbound, exchange, self._clock, streamed=streamed)
                else:
                    await translate.stream(job, inbound, job.encoder, exchange, self._clock)
            elif call.stream:
                await self._relay(job, exchange, fixes, live=live)
            elif live:
                answer, usage = await self._collect(job, exchange, engine)
                self._whole(job, answer, fixes, usage)
            else:
                content_type = answer.get(b"content-type") or _JSON
                answer = await exchange.body(MAX_ANSWER)
                if not call.surface.opaque and not answer.lstrip().startswith((b"{", b"[")):
                    raise ExchangeBroken("it answered with what is no JSON", answered=True)
                self._whole(job, answer, fixes, call.surface.usage(answer), content_type)
        finally:
            call.on_cancel = None
            exchange.abort()

    async def _collect(self, job: Job, exchange: Exchange, engine: str) -> tuple[bytes, Usage | None]:
        """A stream to its end, as one answer."""
        call = job.call
        progress = Progress(several=job.leg.inbound.choices > 1)
        tap = Tap(call.surface, hide_usage=False, fixes=())
        call.events = lambda: tap.events
        parts: list[bytes] = []
        size = 0

        def keep(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > MAX_ANSWER:
                raise EngineDied(
                    f"the engine {engine} answered with more than {MAX_ANSWER} bytes", retry_after=1
                )
            part = progress.feed(data)
            tap.feed(part)
            parts.append(part)

        await exchange.relay(keep, lambda: None)
        if failure := tap.failure():
            raise upstream.refusal(500, failure, engine)
        if not tap.done:
            raise ExchangeBroken("it ended its answer half way", answered=True)
        try:
            return assemble(call.surface.name, b"".join(parts)), tap.usage()
        except msgspec.DecodeError as error:
            raise EngineDied(f"the engine {engine} answered nonsense: {error}", retry_after=1) from None

    def _whole(
        self, job: Job, answer: bytes, fixes: Fixes, usage: Usage | None, content_type: bytes = _JSON
    ) -> None:
        call, surface = job.call, job.call.surface
        call.first_byte = self._clock.monotonic()
        if surface.reshapes:
            answer = surface.render(
                job.leg.inbound, answer, model=call.asked_model or call.model, request_id=call.request_id
            )
        for wrong, right in fixes:
            answer = answer.replace(wrong, right, 1)
        job.settle("ok", 200, usage, answer)
        job.reply.whole(200, content_type if surface.opaque else _JSON, answer)

    async def _relay(self, job: Job, exchange: Exchange, fixes: Fixes, *, live: bool) -> None:
        call, reply, monotonic = job.call, job.reply, self._clock.monotonic
        tap = Tap(call.surface, hide_usage=not job.leg.inbound.wants_usage, fixes=fixes)
        call.events = lambda: tap.events
        hidden = live and bytes(job.leg.inbound.fields.get("return_progress", b"")) != b"true"
        progress = Progress(several=job.leg.inbound.choices > 1) if hidden else None

        def pass_on(data: bytes) -> "asyncio.Future[None] | None":
            now = monotonic()
            if progress is not None and not (data := progress.feed(data)):
                reply.tick(now)
                return None
            if call.first_byte is None:
                call.first_byte, call.stage = now, "generating"
            out = tap.feed(data)
            if tap.done and call.record is None:
                # Before the client can have seen the end: whoever got an answer has a record of it.
                job.settle("failed" if tap.failure() else "ok", 200, tap.usage())
            return reply.push(out, now) if out else None

        def wait() -> None:
            if not tap.half():  # within an event nothing else can be said
                reply.tick(monotonic())

        try:
            await exchange.relay(pass_on, wait)
            if tap.failure():  # its client has it in the engine's words
                job.settle("failed", 200, tap.usage())
            elif not tap.done:
                raise ExchangeBroken("it ended its answer half way", answered=True)
        except ExchangeBroken:
            reply.last_words = partial(_last_words, call.surface, tap.half())
            raise
        reply.end_stream(tap.rest())


def _last_words(surface: Surface, half: bytes, error: FlockError) -> bytes:
    """What ends a stream with an error, after the `half` of an event."""
    return half_event.ending(half, surface.error(error)) + surface.stream_error(error)


def _too_long(job: Job, context_window: int) -> bool:
    """Whether a single prompt of text is surely more than a window, if that is known."""
    surface, inbound = job.call.surface, job.leg.inbound
    if surface.capability == "embedding" or inbound.texts > 1 or surface.wanted(inbound).vision:
        return False
    return 0 < context_window * MOST_BYTES < len(job.leg.body)
