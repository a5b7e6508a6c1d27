from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from flockpy.wire import PROTOCOL, Register
from tests.unit.controlplane.api.conftest import World
from tests.unit.controlplane.builders import info


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(world: World):
    answer = await world.post("/tokens", {"name": "Zoë", "scope": "admin"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    headers = {"x-api-key": made["key"]}
    assert (await world.client.get("/admin/v1/status", headers=headers)).status_code == 200
    listed = (await world.get("/tokens")).json()["items"]
    assert made["id"] in {token["id"] for token in listed}
    assert made["key"] not in str(listed)
    revoked = (await world.delete(f"/tokens/{made['id']}")).json()
    assert revoked["revoked_at"] is not None
    assert (await world.client.get("/admin/v1/status", headers=headers)).status_code == 401
    actions = [(e.action, e.target) for e in await world.trail()]
    assert actions == [("token.create", made["id"]), ("token.revoke", made["id"])]
    assert made["key"] not in str(await world.trail())


async def test_a_users_key_carries_its_limits_and_opens_no_admin_call(world: World):
    expires = datetime.now(UTC) + timedelta(days=36500)
    body = {"name": "ann", "daily_token_quota": 1000, "models": ["b", "a"], "expires_at": expires.isoformat()}
    made = (await world.post("/tokens", body)).json()
    assert (made["scope"], made["daily_token_quota"], made["models"]) == ("user", 1000, ["a", "b"])
    assert made["expires_at"].startswith(expires.date().isoformat())
    refused = await world.client.get("/admin/v1/status", headers={"x-api-key": made["key"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")


async def test_a_key_cannot_expire_in_the_past(world: World):
    for scope in ("user", "node"):
        answer = await world.post(
            "/tokens", {"name": "a", "scope": scope, "expires_at": "2001-01-01T00:00:00Z"}
        )
        assert (answer.status_code, answer.json()["error"]["field"]) == (409, "expires_at")


async def test_a_node_token_joins_one_node(world: World):
    made = (await world.post("/tokens", {"name": "gpu box", "scope": "node"})).json()
    assert made["join_url"].endswith(f"?token={made['key']}")
    assert made["single_use"]
    assert made["id"] in {token["id"] for token in (await world.get("/tokens")).json()["items"]}
    body = msgspec.json.encode(Register(made["key"], PROTOCOL, info()))
    assert (await world.client.post("/admin/v1/nodes/register", content=body)).status_code == 200
    assert made["id"] not in {token["id"] for token in (await world.get("/tokens")).json()["items"]}


async def test_a_join_token_can_be_revoked_before_it_is_used(world: World):
    made = (await world.post("/tokens", {"name": "gpu box", "scope": "node"})).json()
    assert (await world.delete(f"/tokens/{made['id']}")).status_code == 200
    body = msgspec.json.encode(Register(made["key"], PROTOCOL, info()))
    assert (await world.client.post("/admin/v1/nodes/register", content=body)).status_code == 401


async def test_the_last_admin_key_cannot_be_revoked(world: World):
    (own,) = (await world.get("/tokens")).json()["items"]
    refused = await world.delete(f"/tokens/{own['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert "flockpy token create" in refused.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "\n"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a", "scope": "god"}, "scope"),
        ({"name": "a", "daily_token_quota": 0}, "daily_token_quota"),
        ({"name": "a", "daily_token_quota": "5"}, "daily_token_quota"),
        ({"name": "a", "models": []}, "models"),
        ({"name": "a", "models": [1]}, "models[0]"),
        ({"name": "a", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "a", "scope": "node", "daily_token_quota": 5}, "daily_token_quota"),
    ],
)
async def test_a_wrong_field_is_named(world: World, body: dict[str, object], field: str):
    answer = await world.post("/tokens", body)
    assert (answer.status_code, answer.json()["error"].get("field")) == (400, field)
