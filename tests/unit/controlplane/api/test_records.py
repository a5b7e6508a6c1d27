import csv
import io
import json

import msgspec

from controlplane.api.live import Attempt, LiveRequest
from controlplane.routing.policy import Considered
from controlplane.tenants.lines import Opened
from controlplane.tenants.model import UsageRecord
from tests.unit.controlplane.api.conftest import World

RECORD = UsageRecord(
    request_id="req_1",
    time=1_800_000_000.0,
    key_id="k_1",
    user='ann, "the" user',
    model="m",
    node_id="n_1",
    surface="chat",
    stream=True,
    prompt_tokens=10,
    completion_tokens=20,
    cached_tokens=0,
    tokens_source="engine",
    queue_ms=1.5,
    ttft_ms=None,
    duration_ms=100.0,
    outcome="ok",
    status=200,
)


async def used(world: World, count: int, cost: float | None = None) -> None:
    """That many requests, metered and carried over into the table."""
    for number in range(count):
        record = msgspec.structs.replace(RECORD, request_id=f"req_{number}", time=world.services.clock.wall())
        record = msgspec.structs.replace(record, cost_usd=cost)
        opened = Opened(record.request_id, record.time, "k_1", record.user, "m", "chat", True, 10, 10)
        world.services.ledger.open(opened)
        world.services.ledger.close(record)
    await world.services.ledger.drain()


async def test_recent_usage_comes_in_pages_the_latest_first(world: World):
    await used(world, 3)
    first = (await world.get("/usage/recent", limit=2)).json()
    assert [r["request_id"] for r in first["items"]] == ["req_2", "req_1"]
    assert first["items"][0]["time"].endswith("Z")
    rest = (await world.get("/usage/recent", limit=2, cursor=first["next_cursor"])).json()
    assert ([r["request_id"] for r in rest["items"]], rest["next_cursor"]) == (["req_0"], None)
    assert (await world.get("/usage/recent", user="nobody")).json()["items"] == []
    assert (await world.get("/usage/recent", cursor="x")).status_code == 400


async def test_usage_adds_up_and_verifies(world: World):
    await used(world, 3)
    summary = (await world.get("/usage/summary")).json()
    assert (summary["requests"], summary["prompt_tokens"], summary["models"][0]["model"]) == (3, 30, "m")
    assert (await world.get("/usage/verify")).json()["ok"] is True


async def test_usage_is_exported_as_json_lines_and_as_csv(world: World):
    await used(world, 600)
    lines = (await world.get("/usage/export")).text.splitlines()
    assert (len(lines), json.loads(lines[0])["request_id"]) == (600, "req_0")
    answer = await world.get("/usage/export", format="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (len(rows), rows[599]["request_id"], rows[0]["user"]) == (600, "req_599", RECORD.user)
    assert answer.headers["content-type"].startswith("text/csv")
    assert (await world.get("/usage/export", format="xml")).status_code == 400


async def test_what_a_vendor_takes_stands_in_each_record_and_in_the_sum(world: World):
    await used(world, 2, cost=0.125)
    (latest, _) = (await world.get("/usage/recent")).json()["items"]
    assert latest["cost_usd"] == 0.125
    assert json.loads((await world.get("/usage/export")).text.splitlines()[0])["cost_usd"] == 0.125
    (row, _) = csv.DictReader(io.StringIO((await world.get("/usage/export", format="csv")).text))
    assert row["cost_usd"] == "0.125"
    summary = (await world.get("/usage/summary")).json()
    assert summary["cost_usd"] == summary["models"][0]["cost_usd"] == 0.25
    assert (await world.get("/usage/verify")).json()["ok"] is True


async def test_nothing_is_exported_as_nothing(world: World):
    assert (await world.get("/usage/export")).text == ""
    assert len((await world.get("/usage/export", format="csv")).text.splitlines()) == 1


async def test_the_audit_trail_is_listed_counted_exported_and_verified(world: World):
    for name in ("a", "b", "c"):
        await world.post("/tokens", {"name": name})
    recent = (await world.get("/audit/recent", limit=1)).json()
    assert (recent["items"][0]["action"], recent["next_cursor"] is None) == ("token.create", False)
    assert json.loads(recent["items"][0]["detail"])["name"] == "c"
    assert (await world.get("/audit/summary")).json()["actions"] == {"token.create": 3}
    assert len((await world.get("/audit/export")).text.splitlines()) == 3
    assert (await world.get("/audit/verify")).json() == {"ok": True, "checked": 3, "first_bad": None}


LIVE = LiveRequest(
    request_id="req_live",
    time=1_800_000_000.0,
    key_id="k_1",
    user="ann",
    asked_model="auto",
    model="m",
    node_id="n_1",
    surface="chat",
    stream=True,
    stage="generating",
    queue_ms=3.0,
    duration_ms=50.0,
    attempts=(Attempt("demo", "p_1", "n_1", "least busy", "", (Considered("p_1", "n_1", 0, 2, 1.0),)),),
)


async def test_a_request_is_shown_with_its_receipt_and_can_be_given_up(world: World):
    world.requests.known["req_live"] = LIVE
    (shown,) = (await world.get("/requests")).json()["items"]
    assert (shown["stage"], shown["receipt"]["asked_model"]) == ("generating", "auto")
    assert shown["receipt"]["attempts"][0]["candidates"][0]["score"] == 1.0
    cancelled = await world.post("/requests/req_live/cancel")
    assert cancelled.json()["stage"] == "cancelled"
    assert (await world.post("/requests/req_live/cancel")).status_code == 409
    assert [e.action for e in await world.trail()] == ["request.cancel"]
    assert (await world.get("/requests")).json()["items"] == []


async def test_an_old_request_is_known_by_its_usage_record(world: World):
    await used(world, 1)
    shown = (await world.get("/requests/req_0")).json()
    assert (shown["stage"], shown["receipt"], shown["outcome"]) == ("completed", None, "ok")
