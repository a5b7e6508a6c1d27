"""The answer to a translated request: an engine's stream, read and mended, and told in the client's protocol."""

import asyncio
from typing import Final, NoReturn

from controlplane.gateway.job import Job
from controlplane.protocols.ir import Counted, Decoder, Delta, Encoder, fold
from controlplane.protocols.rescue import ALL_KINDS, Kind
from controlplane.protocols.translated import Retold, Translation, is_content
from flockpy.clock import Clock
from flockpy.errors import EngineDied, FlockError
from flockpy.http import Exchange, ExchangeBroken

MAX_ANSWER: Final = 64 * 2**20
"""Bytes of an engine's stream that are kept until a whole answer can be made of them."""


async def stream(
    job: Job,
    inbound: Retold,
    encoder: Encoder,
    exchange: Exchange,
    clock: Clock,
    decoder: Decoder | None = None,
) -> None:
    """Pass an engine's stream on; `decoder` reads it where it is not in OpenAI's chat protocol.

    Raises ExchangeBroken, and FlockError for what the engine says in its stream.
    """
    call, reply, monotonic = job.call, job.reply, clock.monotonic
    translation = _begin(job, inbound, decoder, whole=False)
    held: list[Delta] = []  # what is known before anything is said: vendors count the prompt first

    def pass_on(data: bytes) -> "asyncio.Future[None] | None":
        now = monotonic()
        deltas = translation.feed(data)
        if call.first_byte is None:
            if not is_content(deltas):
                # Nothing was said: an error may still have its status, and another engine its turn.
                if translation.failure is not None:
                    raise translation.failure
                held.extend(delta for delta in deltas if isinstance(delta, Counted))
                reply.tick(now)
                return None
            call.first_byte, call.stage = now, "generating"
            deltas = [*held, *deltas]
        out = encoder.feed(deltas)
        hold = reply.push(out, now) if out else None
        if translation.failure is not None:
            raise translation.failure
        if not out:
            reply.tick(now)
        return hold

    await exchange.relay(pass_on, lambda: reply.tick(monotonic()))
    deltas = translation.end()
    if translation.failure is not None:
        if call.first_byte is not None and (out := encoder.feed(deltas)):
            reply.push(out, monotonic())
        _cut(job, translation.failure)
    said = [*held, *deltas] if call.first_byte is None else deltas
    rest = encoder.feed(said) + encoder.end()
    job.mended(translation.rescued)
    # Before the client can have seen the end: whoever got an answer has a record of it.
    job.settle("ok", 200, translation.usage)
    reply.push(rest, monotonic())
    reply.end_stream()


async def collect(
    job: Job,
    inbound: Retold,
    exchange: Exchange,
    clock: Clock,
    decoder: Decoder | None = None,
    *,
    streamed: bool,
) -> None:
    """Make a whole answer of an engine's, `streamed` or not. Raises ExchangeBroken, and FlockError as `stream` does."""
    call = job.call
    translation = _begin(job, inbound, decoder, whole=True)
    kept: list[Delta] = []
    size = 0

    def keep(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > MAX_ANSWER:
            raise EngineDied(f"the engine answered with more than {MAX_ANSWER} bytes", retry_after=1)
        kept.extend(translation.feed(data))
        if translation.failure is not None:
            raise translation.failure

    if streamed:
        await exchange.relay(keep, lambda: None)
        kept.extend(translation.end())
    else:
        kept = translation.whole(await exchange.body(MAX_ANSWER))
    if translation.failure is not None:
        _cut(job, translation.failure)
    call.first_byte = clock.monotonic()
    answer = inbound.told.render(inbound.request, fold(kept), job.meta())
    job.mended(translation.rescued)
    job.settle("ok", 200, translation.usage)
    job.reply.whole(200, b"application/json", answer)


def _cut(job: Job, failure: FlockError) -> NoReturn:
    """For an answer that ended half way: while its client has nothing of it, another try may bring it whole."""
    if job.call.first_byte is None and isinstance(failure, EngineDied):
        raise ExchangeBroken(failure.message, answered=True)
    raise failure


def _begin(job: Job, inbound: Retold, decoder: Decoder | None, *, whole: bool) -> Translation:
    off = frozenset[Kind]() if job.leg.mends else ALL_KINDS
    translation = Translation(
        inbound.request, seed=job.call.request_id, off=off, whole=whole, decoder=decoder
    )
    job.call.events = lambda: translation.events
    return translation
