"""Waiting in line: in order, bounded in length and time, with a sign of life; and models that load on demand."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.asking import Asked, await_busy, await_stage, slow_model
from tests.cluster.program import Program, eventually, running
from tests.timing import in_time, timed
from tests.tiny_models import tiny_model

DEPTH, WAIT_S, COOLDOWN_S = 3, 14, 2
CONFIG = f"""\
engine: {{defaults: {{slots: 1}}}}
limits: {{queue_depth: {DEPTH}, queue_wait_seconds: {WAIT_S}}}
jit: {{cooldown_seconds: {COOLDOWN_S}}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("queue")
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "config.yaml").write_text(CONFIG)
    with running(folder) as started:
        started.add_model(slow_model(), "slow")
        yield started


@pytest.fixture
def holder(program: Program) -> Iterator[Asked]:
    """A stream that has the only slot until it leaves."""
    with Asked(program, "slow", max_tokens=30_000) as asked:
        asked.until(b"fox")
        yield asked
    await_busy(program, "slow", 0)


def test_requests_are_served_in_the_order_they_came(program: Program, holder: Asked):
    waiting: list[Asked] = []
    for number in range(DEPTH):
        waiting.append(Asked(program, "slow", max_tokens=5))
        await_stage(program, "queued", number + 1)
    positions = [r["position"] for r in await_stage(program, "queued", DEPTH)]
    assert sorted(positions) == [1, 2, 3]
    holder.leave()
    ended = [(asked.everything(), time.monotonic())[1] for asked in waiting]
    assert ended == sorted(ended)


def test_a_full_queue_refuses_with_503_and_a_time_to_come_back(program: Program, holder: Asked):
    waiting = [Asked(program, "slow", max_tokens=5) for _ in range(DEPTH)]
    await_stage(program, "queued", DEPTH)
    refused = program.chat("slow")
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["code"] == "overloaded"
    assert "queue of model slow is full" in refused.json()["error"]["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-should-retry"] == "true"
    for asked in waiting:
        asked.leave()


@timed
def test_a_stream_in_line_hears_something_and_is_told_when_it_takes_too_long(program: Program, holder: Asked):
    with Asked(program, "slow", stream=False) as whole, Asked(program, "slow") as asked:
        asked.until(b"\r\n\r\n", within=30)
        headers = time.monotonic() - asked.began
        asked.until(b'"delta":{}', within=30)
        assert headers > 1.0
        said = asked.until(b'"error"', within=WAIT_S + 30)
        waited = time.monotonic() - asked.began
        refused = whole.everything()
    print(f"headers after {headers:.1f} s, given up after {waited:.1f} s")
    assert said.count(b'"delta":{}') == 2  # at 2 s and at 12 s
    assert waited >= WAIT_S - 1
    assert b"[DONE]" not in said
    assert b"all its slots are busy" in said
    assert refused.startswith("HTTP/1.1 503"), refused
    assert "retry-after: " in refused.lower()
    in_time(headers, 4.0)
    in_time(waited, WAIT_S + 2)


@timed
def test_a_model_loads_for_its_first_request_and_goes_when_nobody_asks(program: Program):
    rare = f"rare-{time.monotonic_ns()}"
    program.post("/admin/v1/models", {"ref": f"file:{tiny_model(mode='text')}", "id": rare})
    eventually(lambda: program.model_state(rare) == "installed", "rare is installed")
    answer = program.chat(rare)
    assert answer.status_code == 200, answer.text
    print(f"loaded and answered in {answer.elapsed.total_seconds():.2f} s")
    used = time.monotonic()
    eventually(lambda: program.model_state(rare) == "installed", "rare is unloaded")
    idle = time.monotonic() - used
    print(f"unloaded after {idle:.1f} s")
    in_time(COOLDOWN_S - idle, 0.5)  # else it was looked at too late
    assert all(rare not in engine.cmdline() for engine in program.engines())
    in_time(idle, COOLDOWN_S + 5)


def test_a_model_that_serves_a_request_is_never_unloaded(program: Program):
    other = slow_model(seed=1)
    program.post("/admin/v1/models", {"ref": f"file:{other}", "id": "busy"})
    with Asked(program, "busy", max_tokens=30_000) as asked:
        asked.until(b"fox")
        until = time.monotonic() + 2 * COOLDOWN_S + 2
        eventually(lambda: time.monotonic() > until, "twice the cooldown has passed", 60)
        assert program.model_state("busy") == "serving"
    eventually(lambda: program.model_state("busy") == "installed", "busy is unloaded")
