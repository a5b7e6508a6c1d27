from dataclasses import replace

from controlplane.egress.anthropic import Anthropic
from controlplane.egress.registry import Vendors
from controlplane.routing.table import build_table
from flockpy.catalog import folders, load_vendors
from flockpy.errors import EngineUnreachable
from tests.unit.controlplane.api.conftest import World, a_client


async def test_without_a_key_there_are_no_vendors(world: World):
    for path in ("/vendors", "/vendors/models"):
        assert (await world.get(path)).json() == {"items": [], "next_cursor": None}


async def test_vendors_are_shown_with_what_keeps_them_from_answering(world: World):
    services = replace(world.services, vendors=("anthropic", "openai"))
    error = EngineUnreachable("it does not accept the key", hint="check it")
    services.troubles.note("openai", error, error.message)
    async with a_client(services) as client:
        shown = (await client.get("/admin/v1/vendors", headers=world.as_admin())).json()["items"]
    assert shown[0] == {"id": "anthropic", "trouble": None, "mend": None, "trouble_at": None}
    assert (shown[1]["trouble"], shown[1]["mend"]) == ("it does not accept the key", "check it")


async def test_their_models_are_shown_with_their_prices(world: World):
    vendors = Vendors(
        [Anthropic("s3cret", "https://api.example")], load_vendors(folders()), ("claude-opus-*",)
    )
    table = build_table(world.services.cluster.state, "", vendors=vendors)
    async with a_client(replace(world.services, table=lambda: table)) as client:
        answer = await client.get("/admin/v1/vendors/models", headers=world.as_admin())
    models = {model["id"]: model for model in answer.json()["items"]}
    assert models["claude-opus-5"]["price"]["output"] > models["claude-opus-5"]["price"]["input"] > 0
    assert models["claude-opus-5"]["vendor"] == "anthropic"
    assert "claude-sonnet-5" not in models
    assert "s3cret" not in answer.text
