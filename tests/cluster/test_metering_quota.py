"""Daily quotas, raced for by many clients at once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.metering import exported, metered, verified
from tests.cluster.program import Program, eventually
from tests.cluster.traffic import Answer, Ask, ask_all

CLIENTS = 200
QUOTA = 6000


def asks(key: str, number: int, **fields: Any) -> list[Ask]:
    messages = [{"role": "user", "content": "a share of the quota, please"}]
    body = {"model": "loop", "messages": messages, **fields}
    return [Ask("/v1/chat/completions", key, body) for _ in range(number)]


def used(program: Program, name: str) -> int:
    verified(program)
    mine = [r for r in exported(program).values() if r["user"] == name]
    return sum(r["prompt_tokens"] + r["completion_tokens"] for r in mine)


def check_refusal(answer: Answer, name: str) -> None:
    """It is the one of a spent quota, it tells what remains and when it is whole, and not to try again."""
    assert answer.status == 429
    assert (answer.headers["x-should-retry"], "retry-after" in answer.headers) == ("false", True)
    error = json.loads(answer.body)["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert f"The daily quota of {name}" in error["message"]
    assert "remain" in error["message"]
    assert "the quota is whole again in" in error["message"]


async def test_two_hundred_clients_never_use_more_than_their_key_may(tmp_path: Path) -> None:
    with metered(tmp_path) as program:
        key = program.create_key("race", daily_token_quota=QUOTA)
        answers = await ask_all(program.port, asks(key, CLIENTS, max_tokens=100))
        statuses = Counter(answer.status for answer in answers)
        assert set(statuses) == {200, 429}
        for answer in answers:
            if answer.status == 429:
                check_refusal(answer, "race")
        spent = used(program, "race")
        assert spent == sum(a.usage["total_tokens"] for a in answers if a.usage)
        assert 0.5 * QUOTA < spent <= QUOTA

        for _ in range(50):  # one after the other they come closer, and never over
            (answer,) = await ask_all(program.port, asks(key, 1))  # without max_tokens it is capped
            if answer.status == 429:
                check_refusal(answer, "race")
                break
        else:
            pytest.fail("the quota was never spent")
        spent = used(program, "race")
        assert 0.8 * QUOTA < spent <= QUOTA

        program.process("leader").kill()
        eventually(program.ready, "the parent has started the leader again")
        (answer,) = await ask_all(program.port, asks(key, 1, max_tokens=QUOTA - spent))
        check_refusal(answer, "race")
        assert used(program, "race") == spent


async def test_a_cancelled_stream_gives_back_what_it_did_not_use(tmp_path: Path) -> None:
    with metered(tmp_path) as program:
        key = program.create_key("leaver", daily_token_quota=QUOTA)
        (whole,) = asks(key, 1, max_tokens=3500, stream=True)
        leaving = Ask(whole.path, whole.key, whole.body, leaves=True)
        for _ in range(5):  # each reserves more than half of the quota
            (answer,) = await ask_all(program.port, [leaving])
            assert answer.status == 200
            eventually(lambda: not program.get("/admin/v1/requests")["items"], "its end is noticed", 1)
        assert used(program, "leaver") < QUOTA // 2
        records = [r for r in exported(program).values() if r["user"] == "leaver"]
        assert {(r["outcome"], r["tokens_source"]) for r in records} == {("cancelled", "counted")}
