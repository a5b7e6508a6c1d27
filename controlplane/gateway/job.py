"""An admitted request with everything its steps share, and the one place where it is settled."""

from collections.abc import Mapping

import msgspec

from controlplane.gateway import counts
from controlplane.gateway.asked import Headers
from controlplane.gateway.call import Call
from controlplane.gateway.legs import Leg
from controlplane.gateway.reply import Reply
from controlplane.protocols.base import Inbound, Usage
from controlplane.protocols.ir import Encoder, Meta
from controlplane.protocols.translated import Retold
from controlplane.tenants.meter import Admission
from controlplane.tenants.model import LOCAL_USER, Outcome, TokensSource, UsageRecord
from flockpy.clock import Clock
from flockpy.telemetry.metrics import Metrics
from flockpy.vendors import Price


class ClientGone(Exception):
    """The request was given up: its client left, or an admin cancelled it."""


class Job(msgspec.Struct, eq=False):
    """`asked` and `asked_body` are as the client sent them, `headers` its own, `traceparent` checked or b"".
    `leg` is the way to the model that is asked now; it is to be taken (see `take`) before anything else."""

    call: Call
    asked: Inbound
    asked_body: bytes
    headers: Headers
    traceparent: bytes
    admission: Admission
    reply: Reply
    metrics: Metrics
    clock: Clock
    leg: Leg
    encoder: Encoder | None = None

    def take(self, leg: Leg) -> None:
        """Turn to the model of `leg`: the first one, or one behind it."""
        self.leg, call, inbound = leg, self.call, leg.inbound
        call.model, call.dropped = leg.route.model_id, leg.dropped
        call.node_id = call.node_name = ""  # nothing of a model that was passed over is said of this one
        call.events, self.reply.passed = None, b""
        if leg.native or not isinstance(inbound, Retold) or not inbound.stream:
            self.encoder = self.reply.encoder = None
        elif self.encoder is None:  # else the client has heard of it already
            self.encoder = self.reply.encoder = inbound.told.encoder(inbound.request, self.meta())

    def meta(self) -> Meta:
        """What a translated answer says of itself."""
        call = self.call
        return Meta(
            call.request_id, call.asked_model or call.model, int(call.time), self.admission.prompt_tokens
        )

    def mended(self, kinds: Mapping[str, int]) -> None:
        """Count what was mended in the engine's answer, by kind."""
        for kind, count in kinds.items():
            self.metrics.mended.labels(self.leg.route.label or self.call.model, kind).inc(count)

    def settle(self, outcome: Outcome, status: int, usage: Usage | None = None, answer: bytes = b"") -> None:
        """Write the request's one usage record; later calls do nothing. `status` is what the client got.

        `usage` is the engine's, if it gave one; `answer` a whole one, to be measured where it did not.
        """
        call = self.call
        if call.record is not None:
            return
        now = self.clock.monotonic()
        usage, source = self._counts(outcome, usage, answer)
        ttft = call.first_byte - call.started if call.first_byte is not None else None
        call.record = UsageRecord(
            request_id=call.request_id,
            time=call.time,
            key_id=call.key.id if call.key else "",
            user=call.key.name if call.key else LOCAL_USER,
            model=call.model,
            node_id=call.node_id,
            surface=call.surface.name,
            stream=call.stream,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            tokens_source=source,
            # To the microsecond; `round` takes four times as long.
            queue_ms=int(call.queue_s * 1e6) / 1000,
            ttft_ms=int(ttft * 1e6) / 1000 if ttft is not None else None,
            duration_ms=int((now - call.started) * 1e6) / 1000,
            outcome=outcome,
            status=status,
            cost_usd=None if (price := self.leg.route.price) is None else _cost(price, usage),
        )
        call.stage = "completed" if outcome == "ok" else "cancelled" if outcome == "cancelled" else "failed"
        self.admission.settle(call.record)
        tally = self.metrics.tally(self.leg.route.label or call.model, call.node_id, call.surface.name)
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        tally.prompt_tokens += usage.prompt_tokens
        tally.completion_tokens += usage.completion_tokens
        tally.cached_tokens += usage.cached_tokens
        tally.cost_usd += call.record.cost_usd or 0.0
        tally.duration.observe(now - call.started)
        if ttft is not None:
            tally.ttft.observe(ttft)
        tally.queue.observe(call.queue_s)

    def _counts(self, outcome: Outcome, usage: Usage | None, answer: bytes) -> tuple[Usage, TokensSource]:
        call, inbound = self.call, self.leg.inbound
        events = call.events() if call.events else 0
        if usage is None:
            # Who leaves while an engine is at work pays for it; nobody pays for an engine that failed.
            at_work = bool(call.attempts) and not call.attempts[-1].error
            if call.first_byte is None and not (outcome == "cancelled" and at_work):
                return Usage(0, 0), "estimated"
            completion = events or counts.of_answer(answer)
            return Usage(self.admission.prompt_tokens, completion), "counted" if events else "estimated"
        if inbound.choices == 1 or self.leg.route.vendor:  # vendors count all that they bill
            return usage, "engine"
        cap = self.admission.max_tokens_cap
        return counts.of_all_choices(
            usage,
            choices=inbound.choices,
            texts=inbound.texts,
            prompt_tokens=self.admission.prompt_tokens,
            bound=cap if inbound.max_tokens is None else inbound.max_tokens,
            events=events,
        )


def _cost(price: Price, usage: Usage) -> float:
    return price.cost(
        usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_written_tokens
    )
