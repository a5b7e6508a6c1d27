"""What the gateway calls for each request: admit it against its key's quota, settle it when it is over.

Synchronous and without I/O, but for one short write to the journal.
"""

import msgspec

from controlplane.store.db import Database
from controlplane.store.usage import tokens_since
from controlplane.tenants import estimate, quota
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.lines import Opened
from controlplane.tenants.model import LOCAL_USER, Key, Surface, UsageRecord
from controlplane.tenants.quota import Quota, Refused
from flockpy.clock import Clock
from flockpy.errors import QuotaSpent

SHORT_ANSWER = 1024


class Ticket(msgspec.Struct, frozen=True):
    """A request about to be admitted. `request_id` is the leader's own making, unique, never the client's.

    `time`: seconds since the epoch; `key` None where keys are not required; `prompt_bytes`: of its body;
    `max_tokens`: the client's bound on all its `choices` together; `context_window`: tokens of the largest
    placement, 0 if not known.
    """

    request_id: str
    time: float
    key: Key | None
    model: str
    surface: Surface
    stream: bool
    prompt_bytes: int
    max_tokens: int | None
    context_window: int
    choices: int = 1


class Admission(msgspec.Struct, eq=False):
    """An admitted request. It must be settled exactly once, on every exit path.

    `prompt_tokens` is the estimate, `reserved` what the key's quota holds back for it on `day`.
    `max_tokens_cap` is the limit (for each choice) that the gateway must send to the engine, because the
    client named none and the key has a quota; None leaves the request alone.
    """

    ticket: Ticket
    prompt_tokens: int
    reserved: int
    day: int
    max_tokens_cap: int | None
    meter: "Meter"

    def settle(self, record: UsageRecord) -> None:
        """Give back the reservation, charge what was spent, write the record.

        Raises RuntimeError when it was settled before, or when the record is of another request.
        """
        self.meter.settle(self, record)

    def turn_to(self, model: str, context_window: int) -> None:
        """The request goes to another model, where it may cost more: hold that much back. What is held stays held.

        Raises QuotaSpent, nothing being changed, when the key's quota has not that much left.
        """
        self.meter.turn(self, model, context_window)


class Meter:
    """Call `load` after the ledger has recovered and before the first request."""

    def __init__(self, ledger: Ledger, database: Database, clock: Clock) -> None:
        self._ledger = ledger
        self._database = database
        self._clock = clock
        self._used_at_start: dict[str, int] = {}
        self._loaded_day = 0
        self._quotas: dict[str, Quota] = {}
        self._ratios: dict[str, float] = {}
        self._admitted: dict[str, Admission] = {}

    @property
    def in_flight(self) -> int:
        """Requests admitted and not settled."""
        return len(self._admitted)

    async def load(self) -> None:
        """Read what every key has used today."""
        self._loaded_day = quota.day_of(self._clock.wall())
        self._used_at_start = await tokens_since(self._database, self._loaded_day * quota.DAY_S)

    def standing(self, key: Key) -> Quota | None:
        """The quota of `key` as it is now; None when it has none."""
        known = self._quota(key)
        return known and quota.roll(known, self._clock.wall())

    def admit(self, ticket: Ticket) -> Admission:
        """Reserve what the request may cost and note it in the journal.

        That is the most its prompt can be and its max_tokens, at most the context window for each choice. Near the
        quota's end the estimate of the prompt will do for a request that runs alone, which then holds all that is left:
        however many race, a key ends above its quota by one short estimate at most.
        Raises QuotaSpent when the key's quota has not that much left, Overloaded when usage cannot be
        recorded.
        """
        ratio = self._ratios.get(ticket.model, estimate.UNKNOWN)
        prompt_tokens = estimate.estimate(ratio, ticket.prompt_bytes, ticket.context_window)
        key = ticket.key
        known = None if key is None else self._quota(key)
        tokens, cap, after = prompt_tokens, None, None
        if key is not None and known is not None:
            known = quota.roll(known, ticket.time)
            tokens, cap = _cost(ticket, known, prompt_tokens)
            after = quota.reserve(known, tokens, ticket.time)
            if isinstance(after, Refused):
                raise _spent(key, known, after, tokens)
        admission = Admission(ticket, prompt_tokens, tokens, after.day if after else 0, cap, self)
        self._ledger.open(
            Opened(
                ticket.request_id,
                ticket.time,
                key.id if key else "",
                key.name if key else LOCAL_USER,
                ticket.model,
                ticket.surface,
                ticket.stream,
                prompt_tokens,
                tokens,
            )
        )
        if key is not None and after is not None:
            self._quotas[key.id] = after
        self._admitted[ticket.request_id] = admission
        return admission

    def turn(self, admission: Admission, model: str, context_window: int) -> None:
        """See `Admission.turn_to`."""
        ticket = msgspec.structs.replace(admission.ticket, context_window=context_window)
        ratio = self._ratios.get(model, estimate.UNKNOWN)
        prompt_tokens = estimate.estimate(ratio, ticket.prompt_bytes, context_window)
        key = ticket.key
        held = None if key is None else self._quotas.get(key.id)
        if key is not None and held is not None and held.day == admission.day:  # else its day is over
            others = quota.settle(held, admission.reserved, 0, admission.day)
            tokens, cap = _cost(ticket, others, prompt_tokens)
            tokens = max(tokens, admission.reserved)
            after = quota.reserve(others, tokens, ticket.time)
            if isinstance(after, Refused):
                raise _spent(key, others, after, tokens)
            self._quotas[key.id] = after
            admission.reserved, admission.max_tokens_cap = tokens, cap
        admission.prompt_tokens = prompt_tokens

    def settle(self, admission: Admission, record: UsageRecord) -> None:
        """See `Admission.settle`."""
        if self._admitted.get(record.request_id) is not admission:
            raise RuntimeError(f"{admission.ticket.request_id} is not to be settled by {record.request_id}")
        self._ledger.close(record)
        del self._admitted[record.request_id]
        ticket = admission.ticket
        key = ticket.key
        if key is not None and (known := self._quotas.get(key.id)) is not None:
            actual = record.prompt_tokens + record.completion_tokens
            self._quotas[key.id] = quota.settle(known, admission.reserved, actual, admission.day)
        if record.tokens_source == "engine" and record.prompt_tokens:
            ratio = self._ratios.get(record.model, estimate.UNKNOWN)
            self._ratios[record.model] = estimate.learn(ratio, ticket.prompt_bytes, record.prompt_tokens)

    def _quota(self, key: Key) -> Quota | None:
        if key.daily_token_quota is None:
            return None
        known = self._quotas.get(key.id)
        if known is None:
            return Quota(key.daily_token_quota, self._loaded_day, self._used_at_start.get(key.id, 0))
        return known


def _cost(ticket: Ticket, known: Quota, estimated: int) -> tuple[int, int | None]:
    """Tokens to reserve under a quota, and the cap if the client named no max_tokens."""
    remaining = known.remaining
    tokens, cap = _bound(ticket, estimate.most(ticket.prompt_bytes, ticket.context_window), remaining)
    if tokens > remaining and not known.reserved:
        tokens, cap = _bound(ticket, estimated, remaining)
        if tokens <= remaining:
            tokens = remaining
    return tokens, cap


def _bound(ticket: Ticket, prompt_tokens: int, remaining: int) -> tuple[int, int | None]:
    """Tokens a request with such a prompt can cost, and the cap if the client named no max_tokens.

    Such a request gets half of what remains, so that others of its key can run beside it, but enough for
    a short answer while there is that much. What fills the whole window needs no cap: the engine ends there.
    """
    choices = ticket.choices
    window = ticket.context_window * choices
    if ticket.surface == "embeddings":
        return prompt_tokens, None
    if ticket.max_tokens is not None:
        tokens = prompt_tokens + ticket.max_tokens
        return (min(tokens, window) if window else tokens), None
    share = min(remaining, max(remaining // 2, prompt_tokens + SHORT_ANSWER * choices))
    if window and share >= window:
        return window, None
    cap = max(1, (share - prompt_tokens) // choices)
    return prompt_tokens + cap * choices, cap


def _spent(key: Key, known: Quota, refused: Refused, tokens: int) -> QuotaSpent:
    minutes = int(refused.reset_in_s // 60)
    running = f", {known.reserved} are held for requests that still run" if known.reserved else ""
    return QuotaSpent(
        f"The daily quota of {key.name} does not cover this request: it may cost {tokens} tokens, "
        f"{refused.remaining} of {known.limit} remain{running}; "
        f"the quota is whole again in {minutes // 60} h {minutes % 60} min",
        hint="ask for fewer max_tokens, or ask the administrator for a larger quota",
        remaining=refused.remaining,
        reset_in_s=refused.reset_in_s,
    )
