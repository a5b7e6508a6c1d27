"""What keeps a vendor from answering is kept until it answers, and logged once."""

import logging

import pytest

from controlplane.egress.troubles import Trouble, Troubles
from flockpy.errors import BadRequest, EngineUnreachable, Overloaded
from tests.unit.controlplane.builders import LoopClock

WRONG_KEY = EngineUnreachable("it does not accept the key", hint="whoever runs the leader: check the key")


async def test_the_latest_is_kept_until_the_vendor_answers():
    clock = LoopClock()
    troubles = Troubles(clock)
    assert troubles.of("anthropic") is None
    troubles.note("anthropic", WRONG_KEY, WRONG_KEY.message)
    found = troubles.of("anthropic")
    assert found == Trouble("it does not accept the key", "check the key", found.at if found else 0)
    assert troubles.of("openai") is None
    troubles.note("anthropic", EngineUnreachable("cannot be reached", hint="see the log"), "no address")
    assert (found := troubles.of("anthropic")) is not None
    assert (found.message, found.mend) == ("no address", "")
    troubles.answered("anthropic")
    assert troubles.of("anthropic") is None


async def test_what_only_one_request_met_is_none():
    troubles = Troubles(LoopClock())
    for error in (BadRequest("no such parameter"), Overloaded("later")):
        troubles.note("anthropic", error, error.message)
    assert troubles.of("anthropic") is None


async def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture):
    troubles = Troubles(LoopClock())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            troubles.note("anthropic", WRONG_KEY, WRONG_KEY.message)
        troubles.answered("anthropic")
        troubles.note("anthropic", WRONG_KEY, WRONG_KEY.message)
    assert caplog.messages == ["anthropic: it does not accept the key (check the key)"] * 2
