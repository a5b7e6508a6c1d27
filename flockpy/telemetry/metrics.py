"""Every metric flockpy exports, and nothing else does. Names start with ``flockpy_``.

Cardinality is bounded: model, node and engine labels are ids of things an admin made, never what a client sent.
Requests are counted in plain numbers (`Tally`) and rendered when somebody scrapes: on the data path the library's own
counters and histograms would cost several times as much as everything else that happens at a request's end.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

disable_created_metrics()  # a second series for each counter, which Prometheus does not read

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
_ROUTE: Final = ("model", "node", "surface")


class Durations:
    """A histogram under construction."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        bounds = [*(str(bound) for bound in SECONDS), "+Inf"]
        sums = [sum(self.counts[: i + 1]) for i in range(len(bounds))]
        return list(zip(bounds, (float(s) for s in sums), strict=True))


class Tally:
    """What happened to the requests of one (model, node, surface)."""

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "cost_usd",
        "duration",
        "outcomes",
        "prompt_tokens",
        "queue",
        "ttft",
    )

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.cached_tokens = 0
        self.cost_usd = 0.0
        self.duration = Durations()
        self.ttft = Durations()
        self.queue = Durations()


class _Requests(Collector):
    def __init__(self, tallies: dict[tuple[str, str, str], Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        outcomes = CounterMetricFamily(
            "flockpy_requests",
            "Requests by outcome: ok, cancelled, refused, failed",
            labels=(*_ROUTE, "outcome"),
        )
        tokens = CounterMetricFamily(
            "flockpy_tokens", "Tokens by kind: prompt, completion, cached", labels=(*_ROUTE, "kind")
        )
        duration = HistogramMetricFamily(
            "flockpy_request_duration_seconds", "From the request to its last byte", labels=_ROUTE
        )
        ttft = HistogramMetricFamily(
            "flockpy_time_to_first_token_seconds",
            "From the request to the engine's first byte",
            labels=_ROUTE,
        )
        queue = HistogramMetricFamily("flockpy_queue_wait_seconds", "Time waited for a slot", labels=_ROUTE)
        cost = CounterMetricFamily(
            "flockpy_cost_usd", "US dollars that vendors' answers cost", labels=("model",)
        )
        costs: dict[str, float] = {}
        for route, tally in self._tallies.items():
            for outcome, count in tally.outcomes.items():
                outcomes.add_metric((*route, outcome), count)
            tokens.add_metric((*route, "prompt"), tally.prompt_tokens)
            tokens.add_metric((*route, "completion"), tally.completion_tokens)
            tokens.add_metric((*route, "cached"), tally.cached_tokens)
            for family, durations in ((duration, tally.duration), (ttft, tally.ttft), (queue, tally.queue)):
                family.add_metric(route, durations.buckets(), durations.total)
            if tally.cost_usd:
                costs[route[0]] = costs.get(route[0], 0.0) + tally.cost_usd
        for model, dollars in costs.items():
            cost.add_metric((model,), dollars)
        yield from (outcomes, tokens, duration, ttft, queue, cost)


class Metrics:
    """The leader's registry. Gauges that mirror state are read at scrape time through `on_scrape`."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        self.registry.register(_Requests(self._tallies))
        self.refusals = Counter(
            "flockpy_refusals",
            "Requests answered with an error before admission",
            ("surface", "code"),
            registry=self.registry,
        )
        self.mended = Counter(
            "flockpy_mended",
            "What was wrong in engines' answers and was put right, by kind",
            ("model", "kind"),
            registry=self.registry,
        )
        self.fallbacks = Counter(
            "flockpy_fallbacks",
            "Requests that went on to the next model of a chain, by why the one before could not answer",
            ("from", "to", "reason"),
            registry=self.registry,
        )
        self.token_counts = Counter(
            "flockpy_token_counts",
            "Prompts whose tokens a client wanted to know, by who told: an engine, a vendor, or an estimate",
            ("by",),
            registry=self.registry,
        )
        self.in_flight = self._gauge("in_flight_requests", "Requests on an engine now", "model", "node")
        self.queued = self._gauge("queued_requests", "Requests that wait for a slot now", "model")
        self.placement = self._gauge(
            "placement_state", "1 for the state a placement is in", "model", "node", "state"
        )
        self.slots = self._gauge(
            "placement_slots", "Requests a ready placement serves at once", "model", "node"
        )
        self.nodes = self._gauge("nodes", "Nodes by health", "health")
        self.degraded = self._gauge("ledger_degraded", "1 while usage records cannot be made durable")
        Info("flockpy_build", "The running program", registry=self.registry).info({"version": version})
        self._on_scrape: list[Callable[[], None]] = []

    def tally(self, model: str, node: str, surface: str) -> Tally:
        """Where requests for `model` on `node` ("" before one was chosen) through `surface` are counted."""
        route = (model, node, surface)
        found = self._tallies.get(route)
        if found is None:
            found = self._tallies[route] = Tally()
        return found

    def on_scrape(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` set gauges right before each scrape."""
        self._on_scrape.append(refresh)

    def render(self) -> bytes:
        """The Prometheus text of everything."""
        for refresh in self._on_scrape:
            refresh()
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"flockpy_{name}", text, labels, registry=self.registry)
