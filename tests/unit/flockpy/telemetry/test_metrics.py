"""What a scrape says: stable names, bounded labels, valid text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flockpy.telemetry.metrics import CONTENT_TYPE, SECONDS, Durations, Metrics

NAMES = {
    # Dashboards and alerts outside of this repository rest on these: renaming one breaks them.
    "flockpy_requests": {"model", "node", "surface", "outcome"},
    "flockpy_tokens": {"model", "node", "surface", "kind"},
    "flockpy_request_duration_seconds": {"model", "node", "surface"},
    "flockpy_time_to_first_token_seconds": {"model", "node", "surface"},
    "flockpy_queue_wait_seconds": {"model", "node", "surface"},
    "flockpy_cost_usd": {"model"},
    "flockpy_refusals": {"surface", "code"},
    "flockpy_mended": {"model", "kind"},
    "flockpy_fallbacks": {"from", "to", "reason"},
    "flockpy_token_counts": {"by"},
    "flockpy_in_flight_requests": {"model", "node"},
    "flockpy_queued_requests": {"model"},
    "flockpy_placement_state": {"model", "node", "state"},
    "flockpy_placement_slots": {"model", "node"},
    "flockpy_nodes": {"health"},
    "flockpy_ledger_degraded": set(),
    "flockpy_build_info": {"version"},
}


def used() -> Metrics:
    """Metrics in which everything has happened once."""
    metrics = Metrics("0.1.0")
    tally = metrics.tally("m", "n_1", "chat")
    tally.outcomes["ok"] = 2
    tally.prompt_tokens, tally.completion_tokens, tally.cached_tokens = 10, 20, 5
    tally.cost_usd = 0.25
    for durations in (tally.duration, tally.ttft, tally.queue):
        durations.observe(0.02)
        durations.observe(3.0)
    metrics.refusals.labels("chat", "insufficient_quota").inc()
    metrics.mended.labels("m", "hermes").inc()
    metrics.token_counts.labels("estimate").inc()
    metrics.fallbacks.labels("m", "vendor/other", "timeout").inc()
    metrics.in_flight.labels("m", "n_1").set(1)
    metrics.queued.labels("m").set(2)
    metrics.placement.labels("m", "n_1", "ready").set(1)
    metrics.slots.labels("m", "n_1").set(4)
    metrics.nodes.labels("alive").set(1)
    metrics.degraded.set(0)
    return metrics


def scraped(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def value(family: Metric, sample: str, **labels: str) -> float:
    (found,) = [s.value for s in family.samples if s.name == sample and labels.items() <= s.labels.items()]
    return found


def test_every_metric_has_its_name_and_no_other_labels() -> None:
    ours = {name: family for name, family in scraped(used()).items() if name.startswith("flockpy_")}
    assert ours.keys() == NAMES.keys()
    for name, family in ours.items():
        assert family.documentation
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == NAMES[name]


def test_only_the_process_and_python_are_told_beside_our_own() -> None:
    others = [name for name in scraped(used()) if not name.startswith("flockpy_")]
    assert all(name.startswith(("process_", "python_")) for name in others)


def test_no_label_could_hold_what_a_client_sent() -> None:
    """Each value of a label is a time series for ever."""
    labels = set().union(*NAMES.values())
    of_requests = {"model", "node", "surface", "outcome", "kind", "code", "from", "to", "reason", "by"}
    assert labels == of_requests | {"state", "health", "version"}


def test_what_was_counted_is_what_is_scraped() -> None:
    families = scraped(used())
    requests, tokens = families["flockpy_requests"], families["flockpy_tokens"]
    assert value(requests, "flockpy_requests_total", outcome="ok") == 2
    kinds = {s.labels["kind"]: s.value for s in tokens.samples}
    assert kinds == {"prompt": 10, "completion": 20, "cached": 5}
    assert value(families["flockpy_refusals"], "flockpy_refusals_total", code="insufficient_quota") == 1
    assert value(families["flockpy_build_info"], "flockpy_build_info", version="0.1.0") == 1
    duration, name = families["flockpy_request_duration_seconds"], "flockpy_request_duration_seconds"
    assert value(duration, f"{name}_count") == 2
    assert value(duration, f"{name}_sum") == pytest.approx(3.02)
    assert value(duration, f"{name}_bucket", le="0.025") == 1
    assert value(duration, f"{name}_bucket", le="5.0") == 2


def test_what_vendors_cost_is_added_up_by_model() -> None:
    metrics = used()
    metrics.tally("m", "", "messages").cost_usd = 0.5
    metrics.tally("free", "n_1", "chat").outcomes["ok"] = 1
    (sample,) = scraped(metrics)["flockpy_cost_usd"].samples
    assert (sample.labels, sample.value) == ({"model": "m"}, 0.75)


def test_metrics_nobody_used_are_valid_too() -> None:
    families = scraped(Metrics("0.1.0"))
    assert families["flockpy_requests"].samples == []
    assert value(families["flockpy_ledger_degraded"], "flockpy_ledger_degraded") == 0


def test_a_route_is_counted_in_one_place() -> None:
    metrics = Metrics("0.1.0")
    assert metrics.tally("m", "n_1", "chat") is metrics.tally("m", "n_1", "chat")
    assert metrics.tally("m", "", "chat") is not metrics.tally("m", "n_1", "chat")


def test_gauges_are_refreshed_before_each_scrape() -> None:
    metrics, looks = Metrics("0.1.0"), 0

    def refresh() -> None:
        nonlocal looks
        looks += 1
        metrics.queued.labels("m").set(looks)

    metrics.on_scrape(refresh)
    for expected in (1, 2):
        assert value(scraped(metrics)["flockpy_queued_requests"], "flockpy_queued_requests") == expected


def test_two_registries_do_not_meet() -> None:
    first, second = Metrics("1"), Metrics("2")
    first.tally("m", "n", "chat").outcomes["ok"] = 1
    assert scraped(second)["flockpy_requests"].samples == []


@pytest.mark.parametrize("name", ['quo"ted', "new\nline", "back\\slash", "é☃", "a b", ""], ids=repr)
def test_any_name_of_a_model_is_told_as_it_is(name: str) -> None:
    metrics = Metrics("0.1.0")
    metrics.tally(name, "n", "chat").outcomes["ok"] = 1
    (sample,) = scraped(metrics)["flockpy_requests"].samples
    assert sample.labels["model"] == name


def test_the_content_type_is_the_one_prometheus_asks_for() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@given(st.lists(st.floats(0, 10_000), max_size=30))
def test_buckets_count_what_is_not_longer(seconds: list[float]) -> None:
    durations = Durations()
    for second in seconds:
        durations.observe(second)
    assert durations.total == pytest.approx(math.fsum(seconds))
    expected = [float(sum(second <= bound for second in seconds)) for bound in (*SECONDS, math.inf)]
    assert [count for _, count in durations.buckets()] == expected
    assert [float(bound) for bound, _ in durations.buckets()] == [*SECONDS, math.inf]
