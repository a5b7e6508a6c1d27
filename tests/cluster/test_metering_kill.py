"""``kill -9`` of the leader under load: nothing that a client got is unaccounted for, nothing is counted twice."""

from pathlib import Path

from tests.cluster.metering import (
    engine_tokens,
    exported,
    hold_against,
    make_keys,
    metered,
    recorded_tokens,
    verified,
)
from tests.cluster.program import eventually
from tests.cluster.traffic import CLIENTS, long_stream, mixed, send

REQUESTS = 2000
ANSWER_TOKENS = 13
"""What the model ``tiny`` says each time."""


async def test_a_leader_killed_amid_two_thousand_requests_accounts_for_every_one(tmp_path: Path) -> None:
    with metered(tmp_path) as program:
        keys, spent = make_keys(program)
        leader = program.process("leader")

        def kill_half_way(done: int) -> None:
            if done == REQUESTS // 2:
                leader.kill()

        asks = mixed(REQUESTS, keys, spent)
        for place in range(
            REQUESTS // 2 - 20, REQUESTS // 2 - 16
        ):  # two of these run when it comes, two wait
            asks[place] = long_stream(keys[0])
        answers = await send(program, asks, kill_half_way)
        eventually(program.ready, "the parent has started the leader again")
        assert program.process("leader").pid != leader.pid

        found = verified(program)
        records = exported(program)
        seen = hold_against(answers, records)
        assert found["records"] == len(records)
        assert seen["whole"] > REQUESTS // 2
        assert min(seen["left"], seen["refused"], seen["not admitted"]) > 0
        assert 4 <= seen["cut off, by their records"] <= CLIENTS
        for here, there, each in zip(
            recorded_tokens(records, "tiny"), engine_tokens(program, "tiny"), (32, ANSWER_TOKENS), strict=True
        ):
            assert here <= there <= here + CLIENTS * each, "more than what was cut off is missing"
