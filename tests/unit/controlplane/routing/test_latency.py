"""Which models were lately slow to their first byte."""

from controlplane.routing.latency import FEWEST, MODELS, SAMPLES, WINDOW_S, Latencies


def observed(*took: float, slow_s: float = 1.0, at: float = 0.0) -> Latencies:
    latencies = Latencies(slow_s)
    for seconds in took:
        latencies.observe("m", seconds, at)
    return latencies


def test_a_model_is_slow_when_one_in_twenty_takes_too_long():
    assert observed(*[0.1] * 94, *[3.0] * 6).is_slow("m", 0)
    assert not observed(*[0.1] * 96, *[3.0] * 4).is_slow("m", 0)


def test_few_samples_say_nothing():
    assert not observed(*[3.0] * (FEWEST - 1)).is_slow("m", 0)
    assert observed(*[3.0] * FEWEST).is_slow("m", 0)


def test_what_is_long_past_is_forgotten_so_that_a_model_gets_another_turn():
    slow = observed(*[3.0] * 50, at=10.0)
    assert slow.is_slow("m", 10.0 + WINDOW_S)
    assert not slow.is_slow("m", 10.1 + WINDOW_S)


def test_only_the_last_samples_count():
    latencies = observed(*[3.0] * 50, *[0.1] * SAMPLES)
    assert not latencies.is_slow("m", 0)


def test_models_are_told_apart_and_an_unknown_one_is_not_slow():
    slow = observed(*[3.0] * 50)
    assert not slow.is_slow("another", 0)


def test_nothing_is_kept_where_no_bound_is_set():
    assert not observed(*[300.0] * 50, slow_s=0).is_slow("m", 0)


def test_of_names_that_clients_make_up_only_the_last_are_remembered():
    latencies = observed(*[3.0] * FEWEST)
    for number in range(3 * MODELS):
        latencies.observe(f"claude-{number}", 0.1, 0.0)
        if number == MODELS // 2:
            latencies.observe("m", 3.0, 0.0)
    assert len(latencies) == MODELS
    assert not latencies.is_slow("m", 0)
    assert not latencies.is_slow("never-asked", 0)
    assert len(latencies) == MODELS
