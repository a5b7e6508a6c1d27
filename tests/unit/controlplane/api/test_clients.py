from dataclasses import replace

import pytest

from controlplane.api.clients import PLACEHOLDER
from controlplane.cluster.events import ModelInstalled
from controlplane.egress.anthropic import Anthropic
from controlplane.egress.registry import Vendors
from controlplane.routing.table import build_table
from flockpy.catalog import folders, load_vendors
from flockpy.config import Config
from tests.unit.controlplane.api.conftest import World, a_client
from tests.unit.controlplane.builders import model


async def test_every_client_is_told_where_the_leader_is_and_no_key(world: World):
    first = (await world.get("/clients", limit=5)).json()
    rest = (await world.get("/clients", cursor=first["next_cursor"])).json()
    items = first["items"] + rest["items"]
    assert len(items) == 19
    assert rest["next_cursor"] is None
    claude = next(item for item in items if item["id"] == "claude-code")
    assert claude["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8080"
    assert claude["env"]["ANTHROPIC_AUTH_TOKEN"] == PLACEHOLDER
    codex = next(item for item in items if item["id"] == "codex-cli")
    assert "[model_providers.flockpy]" in codex["files"][0]["content"]
    assert codex["undo"]
    assert world.admin not in str(items)


async def test_the_address_and_the_model_can_be_asked_for(world: World):
    items = (await world.get("/clients", model="qwen", base_url="https://flock.example.com")).json()["items"]
    cursor = next(item for item in items if item["id"] == "cursor")
    assert cursor["warnings"] == []
    assert any("https://flock.example.com/v1" in step for step in cursor["steps"])
    assert any("qwen" in step for step in cursor["steps"])
    refused = await world.get("/clients", base_url="file:///etc/passwd")
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "base_url")


async def test_an_invitation_is_a_users_key_on_a_card(world: World):
    answer = await world.post(
        "/invites",
        {
            "name": "carol",
            "daily_token_quota": 1000,
            "clients": ["claude-code", "curl"],
            "model": "qwen",
            "base_url": "https://flock.example.com/",
        },
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["scope"], made["daily_token_quota"], made["base_url"]) == (
        "user",
        1000,
        "https://flock.example.com",
    )
    assert [client["id"] for client in made["clients"]] == ["claude-code", "curl"]
    for part in (
        "carol",
        made["key"],
        "https://flock.example.com/v1",
        "export ANTHROPIC_MODEL=qwen",
        "### curl",
    ):
        assert part in made["card"]
    assert world.services.keyring.authenticate(made["key"]).name == "carol"
    assert [(entry.action, entry.target) for entry in await world.trail()] == [("invite.create", made["id"])]
    assert made["key"] not in str(await world.trail())
    assert made["key"] not in (await world.get("/tokens")).text


async def test_the_card_holds_every_client_unless_told(world: World):
    made = (await world.post("/invites", {"name": "dave"})).json()
    assert len(made["clients"]) == 19


async def test_a_card_for_a_vendors_model_has_its_window(world: World):
    vendors = Vendors([Anthropic("k", "https://api.example")], load_vendors(folders()), ())
    await world.services.cluster.commit(ModelInstalled(model("m")))
    table = build_table(world.services.cluster.state, "", vendors=vendors)
    async with a_client(replace(world.services, table=lambda: table)) as client:

        async def card(name: str, **body: object) -> dict[str, str]:
            made = {"name": name, "clients": ["claude-code", "codex-cli"], **body}
            answer = await client.post("/admin/v1/invites", json=made, headers=world.as_admin())
            first, second = answer.json()["clients"]
            return first["env"] | {"codex": second["files"][1]["content"]}

        wanted = await card("ann", model="claude-opus-5-5")
        assert wanted["ANTHROPIC_MODEL"] == "claude-opus-5-5"
        assert wanted["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "1000000"
        assert "claude-sonnet-5-5" not in wanted["codex"]  # a card holds what it is for
        bound = await card("bob", models=["claude-opus-5-5"])
        assert bound["ANTHROPIC_MODEL"] == "claude-opus-5-5"
        assert '"models":"claude-opus-5-5"' in (await world.trail())[-1].detail
        assert bound["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "1000000"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "name"),
        ({"name": "a", "clients": ["curl", "nano"]}, 404, "clients[1]"),
        ({"name": "a", "clients": []}, 400, "clients"),
        ({"name": "a", "base_url": "ftp://x"}, 400, "base_url"),
        ({"name": "a", "daily_token_quota": 0}, 400, "daily_token_quota"),
    ],
)
async def test_a_wrong_invitation_makes_no_key(
    world: World, body: dict[str, object], status: int, field: str
):
    answer = await world.post("/invites", body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert len(world.services.keyring.list()) == 1


async def test_inviting_is_for_admins(world: World):
    made = (await world.post("/tokens", {"name": "ann"})).json()
    for method, path in (("GET", "/clients"), ("POST", "/invites")):
        answer = await world.client.request(
            method, f"/admin/v1{path}", headers={"x-api-key": made["key"]}, json={}
        )
        assert answer.status_code == 403


class TestElsewhere:
    @pytest.fixture
    def config(self) -> Config:
        return Config(external_url="https://flock.example.com")

    async def test_the_configured_address_is_the_one_clients_get(self, world: World):
        items = (await world.get("/clients")).json()["items"]
        assert all("127.0.0.1" not in str(item) for item in items)
