"""The gateway's requests in the shapes of the admin surface."""

from collections.abc import Sequence

from controlplane.api.live import Attempt as ShownAttempt
from controlplane.api.live import LiveRequest
from controlplane.gateway.call import Attempt, Call, Calls, VendorDecision
from controlplane.tenants.model import LOCAL_USER
from flockpy.clock import Clock


class LiveCalls:
    """What the admin surface may see and do of the gateway's calls."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    def list(self) -> Sequence[LiveRequest]:
        """Requests on their way, oldest first."""
        return [_shown(call, self._clock.monotonic()) for call in self._calls.live()]

    def get(self, request_id: str) -> LiveRequest | None:
        """A request on its way or lately ended."""
        call = self._calls.get(request_id)
        return _shown(call, self._clock.monotonic()) if call is not None else None

    def cancel(self, request_id: str, by: str) -> bool:
        """Give a request up; False when it has ended."""
        call = self._calls.get(request_id)
        if call is None or call.record is not None:
            return False
        call.cancel(by)
        return True


def _shown(call: Call, now: float) -> LiveRequest:
    record = call.record
    ttft_ms = (call.first_byte - call.started) * 1000 if call.first_byte is not None else None
    return LiveRequest(
        request_id=call.request_id,
        time=call.time,
        key_id=call.key.id if call.key else "",
        user=call.key.name if call.key else LOCAL_USER,
        asked_model=call.asked_model,
        model=call.model,
        node_id=call.node_id,
        surface=call.surface.name,
        stream=call.stream,
        stage=call.stage,
        queue_ms=call.queue_s * 1000,
        duration_ms=record.duration_ms if record else (now - call.started) * 1000,
        ttft_ms=ttft_ms,
        position=call.position() or None if call.position else None,
        prompt_tokens=record.prompt_tokens if record else None,
        completion_tokens=record.completion_tokens if record else None,
        cached_tokens=record.cached_tokens if record else None,
        tokens_source=record.tokens_source if record else None,
        cost_usd=record.cost_usd if record else None,
        outcome=record.outcome if record else None,
        status=record.status if record else None,
        error=call.error,
        hops=call.hops,
        attempts=tuple(map(_attempt, call.attempts)),
    )


def _attempt(attempt: Attempt) -> ShownAttempt:
    decision = attempt.decision
    if isinstance(decision, VendorDecision):
        return ShownAttempt(decision.model_id, "", decision.vendor, decision.reason, attempt.error, ())
    replica = decision.replica
    return ShownAttempt(
        replica.model_id,
        replica.placement_id,
        replica.node_id,
        decision.reason,
        attempt.error,
        decision.considered,
    )
