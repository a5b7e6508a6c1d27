"""When an engine counts as hung."""

from agent.watchdog import MISSED, SERVING_SILENCE_S, Quiet, hung, missed, patience_s


def silence(cpu: list[float], every_s: float) -> Quiet:
    """The silence after one unanswered question each `every_s`, the process having used so much CPU by then."""
    quiet: Quiet | None = None
    for i, used in enumerate(cpu):
        quiet = missed(quiet, i * every_s, used)
    assert quiet
    return quiet


def test_silence_without_work_is_a_hang():
    assert hung(silence([5.0] * 3, 6.0), SERVING_SILENCE_S, 17.0, 5.0)


def test_an_engine_that_computes_is_never_hung():
    quiet = silence([float(i) for i in range(1000)], 6.0)
    assert not hung(quiet, SERVING_SILENCE_S, 1000 * 6.0, 999.0)


def test_work_in_between_begins_the_silence_anew():
    quiet = silence([5.0, 5.0, 5.0, 5.5, 5.5], 6.0)
    assert quiet.since == 18.0
    assert not hung(quiet, SERVING_SILENCE_S, 24.0, 5.5)


def test_a_machine_that_slept_through_one_question_is_forgiven():
    quiet = missed(missed(None, 0.0, 5.0), 3600.0, 5.0)
    assert quiet.missed < MISSED
    assert not hung(quiet, SERVING_SILENCE_S, 3605.0, 5.0)


def test_work_that_began_after_the_last_question_counts():
    assert not hung(silence([5.0] * 3, 6.0), SERVING_SILENCE_S, 17.0, 5.2)


def test_loading_gets_more_patience():
    assert patience_s(loading=True) > patience_s(loading=False)
