"""What every call has in common: who may make it, and how it fails."""

import asyncio
import dataclasses
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from controlplane.api.app import build_api
from flockpy.config import Auth, Config, Limits
from tests.unit.controlplane.api.conftest import World, a_client, with_config

OPEN = Config(auth=Auth(require_keys=False))


async def test_health_is_open_and_says_ok(world: World):
    answer = await world.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readiness_waits_for_the_leaders_own_node_and_the_store(world: World):
    early = await world.client.get("/readyz")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "overloaded")
    await world.join_as_leader()
    assert (await world.client.get("/readyz")).status_code == 200
    with closing(sqlite3.connect(world.services.settings.data.database)) as database:
        database.execute("DROP TABLE meta")
    answer = await world.client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert "no such table" in answer.json()["error"]["message"]


async def test_metrics_are_open_on_loopback_and_need_any_key_elsewhere(world: World):
    answer = await world.client.get("/metrics")
    assert answer.text == "# HELP flock_up\n"
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    _, user = await world.services.keyring.create("ann", "user")
    async with a_client(world.services, address="192.0.2.7") as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"x-api-key": user})).status_code == 200


async def test_status_counts_what_there_is(world: World):
    await world.join_as_leader()
    status = (await world.get("/status")).json()
    assert (status["ready"], status["nodes"], status["models"]) == (True, {"ready": 1}, {})
    assert status["engines"] == {"embedded": 1}


async def test_the_configuration_is_shown_with_where_it_came_from(world: World):
    shown = (await world.get("/config")).json()
    assert shown["values"]["auth.require_keys"] is True
    assert shown["sources"]["listen"] == "default"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer \xff\xfe"},
        {"x-api-key": "sk-orc-nothing"},
    ],
)
async def test_without_a_good_key_there_is_no_way_in(world: World, headers: dict[str, str]):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await world.client.get("/admin/v1/status", headers=raw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_either_header_is_enough(world: World):
    for headers in ({"authorization": f"bearer {world.admin}"}, {"x-api-key": world.admin}):
        assert (await world.client.get("/admin/v1/status", headers=headers)).status_code == 200


async def test_a_browser_at_the_front_door_is_told_what_this_is(world: World):
    answer = await world.client.get("/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "/v1" in answer.text


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("127.0.0.1", {"host": "127.0.0.1:8080"}, 200),
        ("127.0.0.1", {"host": "[::1]:8080"}, 200),
        ("127.0.0.1", {"origin": "http://localhost:8080"}, 200),
        ("192.0.2.7", {}, 401),
        ("127.0.0.1", {"host": "rebound.example:8080"}, 401),
        ("127.0.0.1", {"host": "[broken"}, 401),
        ("127.0.0.1", {"origin": "https://evil.example"}, 401),
        ("127.0.0.1", {"origin": "http://localhost:3000"}, 401),
        ("127.0.0.1", {"origin": "null"}, 401),
    ],
)
async def test_with_keys_switched_off_only_this_machine_gets_in_and_no_web_page_through_it(
    world: World, address: str, headers: dict[str, str], status: int
):
    async with a_client(with_config(world, OPEN), address) as client:
        answer = await client.get("/admin/v1/status", headers=headers)
    assert answer.status_code == status


async def test_with_keys_switched_off_nodes_still_prove_who_they_are_and_deeds_are_local(world: World):
    node_id = await world.join_as_leader()
    async with a_client(with_config(world, OPEN)) as client:
        assert (await client.get("/admin/v1/nodes/desired")).status_code == 401
        assert (await client.post(f"/admin/v1/nodes/{node_id}/drain")).status_code == 200
    assert (await world.trail())[-1].actor == "local"


async def test_unknown_paths_and_wrong_methods_answer_in_the_one_shape(world: World):
    missing = await world.get("/nothing/here")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = await world.client.put("/admin/v1/models", headers=world.as_admin())
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert set(wrong.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {"content-type": "application/json"}, 400),
        (b"{", {"content-type": "application/json"}, 400),
        (b"\xff\xfe", {"content-type": "application/json"}, 400),
        (b"[" * 100_000, {"content-type": "application/json"}, 400),
        (b"null", {"content-type": "application/json"}, 400),
        (b'{"name": "\xff"}', {"content-type": "application/json"}, 400),
        (b'{"name": "a"}', {"content-type": "text/plain"}, 415),
        (b"name=a", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"name": "' + b"a" * 2**20 + b'"}', {"content-type": "application/json"}, 413),
        (b'{"name": "a"}', {"content-type": "Application/JSON; charset=utf-8"}, 201),
        (b'{"name": "a", "unknown": 1}', {}, 201),
    ],
)
async def test_a_body_is_json_of_bounded_size(
    world: World, content: bytes, headers: dict[str, str], status: int
):
    answer = await world.client.post(
        "/admin/v1/tokens", content=content, headers={**world.as_admin(), **headers}
    )
    assert answer.status_code == status, answer.text
    if status != 201:
        assert answer.json()["error"]["message"]


async def test_wrong_query_parameters_are_named(world: World):
    for query, field in (({"limit": "many"}, "limit"), ({"limit": 0}, "limit"), ({"limit": 10**30}, "limit")):
        answer = await world.get("/nodes", **query)
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_what_goes_wrong_inside_stays_inside(world: World, caplog: pytest.LogCaptureFixture):
    class Broken:
        def list(self):
            raise RuntimeError("/secret/path and sk-orc-key")

    broken = dataclasses.replace(world.services, requests=Broken())  # pyright: ignore[reportArgumentType]
    async with a_client(broken) as client:
        answer = await client.get("/admin/v1/requests", headers=world.as_admin())
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "secret" in caplog.text


async def test_every_route_that_changes_something_is_audited_or_says_that_it_is_not(world: World):
    app = build_api(world.services)
    unaudited = {
        route.path
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if handler.http_methods & {"POST", "PUT", "PATCH", "DELETE"} and handler.opt.get("action") is None
    }
    assert unaudited == {"/admin/v1/nodes/heartbeat", "/admin/v1/models/scan"}


async def test_every_route_of_the_admin_surface_needs_a_key(world: World):
    app = build_api(world.services)
    for route in app.routes:
        for method in route.methods - {"OPTIONS", "HEAD"} if hasattr(route, "methods") else ():
            path = route.path
            for part in route.path_components:
                if not isinstance(part, str):
                    path = path.replace(f"{{{part.full}}}", "x")
            answer = await world.client.request(method, path)
            expected = {"/admin/v1/nodes/register": 400, "/healthz": 200, "/metrics": 200}.get(path, 401)
            if path not in ("/", "/readyz", "/openapi.json"):
                assert answer.status_code == expected, (method, path, answer.text)


async def test_the_description_is_complete(world: World):
    description = (await world.client.get("/openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    add = description["paths"]["/admin/v1/models"]["post"]
    assert {"202", "200", "400", "401", "403", "404", "409", "413", "415"} <= add["responses"].keys()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
    assert description["paths"]["/admin/v1/nodes/register"]["post"].get("security", []) == []
    assert description["paths"]["/admin/v1/models"]["get"]["security"]


async def test_a_body_that_stops_arriving_ends_the_call(world: World):
    impatient = with_config(world, Config(limits=Limits(body_read_seconds=0.05)))
    app = build_api(impatient)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if receive_started.is_set():
            await asyncio.sleep(3600)
        receive_started.set()
        return {"type": "http.request", "body": b'{"tok', "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    receive_started = asyncio.Event()
    scope: Any = {
        "type": "http", "method": "POST", "path": "/admin/v1/nodes/register", "headers": [], "query_string": b"",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080), "scheme": "http", "http_version": "1.1",
        "root_path": "", "raw_path": b"", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)  # pyright: ignore[reportArgumentType]
    assert sent[0]["status"] == 408
    assert b"request_timeout" in sent[1]["body"]


async def test_a_node_that_waits_for_orders_is_sent_away_when_the_leader_shuts_down(world: World):
    await world.join_as_leader()
    _, text = await world.services.keyring.create(
        "node", "node", subject=next(iter(world.services.cluster.state.nodes))
    )
    state = world.services.cluster.state
    query = {"epoch": state.epoch, "generation": 0, "wait_s": 50}
    waiting = asyncio.create_task(
        world.client.get("/admin/v1/nodes/desired", params=query, headers={"x-api-key": text})
    )
    await asyncio.sleep(0.05)
    assert not waiting.done()
    world.services.cluster.close()
    answer = await waiting
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
