import asyncio

import msgspec
import pytest

from controlplane.cluster.events import HealthChecked, ModelInstalled, PlacementWanted
from flockpy import wire
from tests.unit.controlplane.api.conftest import World
from tests.unit.controlplane.builders import desired, info, model, placed, report

NODES = "/admin/v1/nodes"


def registration(token: str, **changes: object) -> dict[str, object]:
    message = wire.Register(token, wire.PROTOCOL, info())
    return {**msgspec.to_builtins(message), **changes}


async def join(world: World, **changes: object) -> tuple[str, dict[str, str]]:
    """A registered worker: its id, and the headers it calls with."""
    _, token = await world.services.join_tokens.issue("worker")
    answer = await world.client.post(f"{NODES}/register", json=registration(token, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["node_id"], {"authorization": f"Bearer {answer.json()['key']}"}


async def beat(world: World, headers: dict[str, str], *args, **kwargs):
    body = msgspec.to_builtins(report(*args, **kwargs))
    return await world.client.post(f"{NODES}/heartbeat", json=body, headers=headers)


async def test_a_node_joins_reports_and_is_told_what_to_run(world: World):
    node_id, headers = await join(world)
    services = world.services
    services.cluster.apply(ModelInstalled(model(node_id=node_id)))
    services.cluster.apply(PlacementWanted(desired(node_id=node_id)))
    answer = await beat(world, headers, 0)
    assert answer.status_code == 200
    orders = msgspec.convert(answer.json(), wire.DesiredState)
    assert [spec.id for spec in orders.placements] == ["p_1"]
    await beat(world, headers, 1, [placed()])
    shown = (await world.client.get(f"{NODES}/{node_id}", headers=world.as_admin())).json()
    assert (shown["state"], shown["hostname"], shown["role"]) == ("ready", "box", "worker")
    assert [(p["id"], p["state"], p["slots"]) for p in shown["placements"]] == [("p_1", "ready", 2)]
    assert shown["last_seen"].endswith("Z")
    (entry,) = await world.trail()
    assert (entry.action, entry.target) == ("node.register", node_id)


async def test_the_long_poll_ends_when_the_orders_change(world: World):
    node_id, headers = await join(world)
    known = world.services.cluster.desired_for(node_id)
    query = {"epoch": known.epoch, "generation": known.generation, "wait_s": 20}
    poll = asyncio.create_task(world.client.get(f"{NODES}/desired", params=query, headers=headers))
    await asyncio.sleep(0.05)
    assert not poll.done()
    world.services.cluster.apply(PlacementWanted(desired(node_id=node_id)))
    assert [p["id"] for p in (await poll).json()["placements"]] == ["p_1"]


async def test_a_join_token_is_good_for_one_node(world: World):
    _, token = await world.services.join_tokens.issue("worker")
    assert (await world.client.post(f"{NODES}/register", json=registration(token))).status_code == 200
    again = await world.client.post(f"{NODES}/register", json=registration(token))
    assert again.status_code == 401
    assert "used" in again.json()["error"]["message"]


async def test_a_token_of_a_refused_registration_is_not_used_up(world: World):
    _, token = await world.services.join_tokens.issue("worker")
    wrong = await world.client.post(f"{NODES}/register", json=registration(token, protocol=99))
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "protocol")
    assert (await world.client.post(f"{NODES}/register", json=registration(token))).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u0000", "é" * 50])
async def test_a_forged_join_token_is_refused(world: World, token: str):
    answer = await world.client.post(f"{NODES}/register", json=registration(token))
    assert (answer.status_code, answer.json()["error"]["field"]) == (401, "token")


async def test_an_expired_join_token_is_refused(world: World):
    _, token = await world.services.join_tokens.issue("worker", ttl_s=-1)
    answer = await world.client.post(f"{NODES}/register", json=registration(token))
    assert "expired" in answer.json()["error"]["message"]


async def test_the_leaders_own_agent_can_always_register_again_keeps_its_id_and_its_old_key_dies(
    world: World,
):
    data = world.services.settings.data
    world.services.join_tokens.mint_local(data)
    ids, keys = [], []
    for _ in range(2):
        assert data.join_token.stat().st_mode & 0o777 == 0o600
        answer = await world.client.post(
            f"{NODES}/register", json=registration(data.join_token.read_text("utf-8"))
        )
        ids.append(answer.json()["node_id"])
        keys.append({"x-api-key": answer.json()["key"]})
    assert ids[0] == ids[1]
    assert (await beat(world, keys[0], 0)).status_code == 401
    assert (await beat(world, keys[1], 0)).status_code == 200


async def test_nobody_takes_the_name_of_a_node_that_is_alive(world: World):
    node_id, headers = await join(world)
    await beat(world, headers, 0)
    _, token = await world.services.join_tokens.issue("worker")
    proof = {"node_id": node_id, "node_key": headers["authorization"].removeprefix("Bearer ")}
    taken = await world.client.post(f"{NODES}/register", json=registration(token, **proof))
    assert (taken.status_code, taken.json()["error"]["field"]) == (409, "node_id")
    world.services.cluster.apply(HealthChecked(world.services.clock.monotonic() + 100))
    back = await world.client.post(f"{NODES}/register", json=registration(token, **proof))
    assert back.json()["node_id"] == node_id


async def test_the_name_of_a_node_that_is_away_is_for_whom_shows_its_key(world: World):
    node_id, headers = await join(world)
    _, other = await join(world)
    stolen = other["authorization"].removeprefix("Bearer ")
    world.services.cluster.apply(HealthChecked(world.services.clock.monotonic() + 100))
    for key in ("", "sk-orc-guessed", stolen):
        assert (await join(world, node_id=node_id, node_key=key))[0] != node_id
    assert (await beat(world, headers, 0)).status_code == 200


async def test_an_agent_whose_identity_another_has_taken_over_is_told_so(world: World):
    _, headers = await join(world)
    await beat(world, headers, 0, boot_id="one")
    await beat(world, headers, 0, boot_id="two")
    answer = await beat(world, headers, 1, boot_id="one")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


async def test_a_node_key_opens_nothing_but_its_own_calls_and_an_admin_key_not_these(world: World):
    _, headers = await join(world)
    assert (await world.client.get(NODES, headers=headers)).status_code == 403
    assert (await beat(world, world.as_admin(), 0)).status_code == 403
    assert (await world.client.get(NODES)).status_code == 401
    assert (await world.client.get(f"{NODES}/desired")).status_code == 401


async def test_a_removed_nodes_key_stops_working(world: World):
    node_id, headers = await join(world)
    gone = await world.client.delete(f"{NODES}/{node_id}", headers=world.as_admin())
    assert (gone.status_code, gone.json()["id"]) == (200, node_id)
    assert (await beat(world, headers, 0)).status_code == 401
    assert (await world.client.delete(f"{NODES}/{node_id}", headers=world.as_admin())).status_code == 404


async def test_draining_and_undraining_are_audited_with_their_actor(world: World):
    node_id, headers = await join(world)
    await beat(world, headers, 0)
    drained = await world.client.post(f"{NODES}/{node_id}/drain", headers=world.as_admin())
    assert drained.json()["state"] == "drained"
    undrained = await world.client.post(f"{NODES}/{node_id}/undrain", headers=world.as_admin())
    assert undrained.json()["state"] == "ready"
    key = world.services.keyring.list()[0]
    actor = f"{key.id} (root)"
    assert [(e.actor, e.action, e.target) for e in (await world.trail())[1:]] == [
        (actor, "node.drain", node_id),
        (actor, "node.undrain", node_id),
    ]


async def test_what_fails_is_not_in_the_audit_trail(world: World):
    answer = await world.client.post(f"{NODES}/n_none/drain", headers=world.as_admin())
    assert answer.status_code == 404
    assert await world.trail() == []


async def test_a_report_that_lacks_a_field_is_told_which(world: World):
    _, headers = await join(world)
    body = msgspec.to_builtins(report(0, [placed()]))
    del body["placements"][0]["status"]["slots"]
    answer = await world.client.post(f"{NODES}/heartbeat", json=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "placements[0].status.slots"


async def test_nodes_come_in_pages(world: World):
    ids = [(await join(world))[0] for _ in range(3)]
    first = (await world.client.get(NODES, params={"limit": 2}, headers=world.as_admin())).json()
    assert [n["id"] for n in first["items"]] == ids[:2]
    query = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await world.client.get(NODES, params=query, headers=world.as_admin())).json()
    assert ([n["id"] for n in rest["items"]], rest["next_cursor"]) == (ids[2:], None)
    lost = await world.client.get(NODES, params={"cursor": "nowhere"}, headers=world.as_admin())
    assert (lost.status_code, lost.json()["error"]["field"]) == (404, "cursor")
